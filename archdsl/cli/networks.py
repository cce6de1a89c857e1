"""From a FILE and its options to a network that is right, or to what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archdsl.cli.output import message, show
from archdsl.cli.settings import parameters

if TYPE_CHECKING:
    from archdsl.cli.targets import Target
    from archdsl.net import Net

WRONG = 1
"""The exit code where the file is wrong or a check failed."""


def compiled(
    target: Target,
    settings: tuple[tuple[str, str], ...] = (),
    sizes: tuple[tuple[str, int], ...] = (),
    inputs: tuple[tuple[str, tuple[int, ...]], ...] = (),
) -> Net:
    """The network that is meant. What is said of the file goes to standard error; errors end the command."""
    from archdsl.compiler import Options
    from archdsl.net import check_network, program_of
    from archdsl.report.diagnostics import summary

    options = Options(parameters(settings), dict(sizes), dict(inputs))
    checked = check_network(program_of(target.source), target.network, options)
    show(checked.diagnostics)
    if checked.net is None:
        message(f"{summary(checked.diagnostics)} in {target.source.name}")
        raise click.exceptions.Exit(WRONG)
    broken = sum(outcome.holds is False for outcome in checked.outcomes)
    if broken:
        message(f"note: {broken} of {len(checked.outcomes)} expectations do not hold with what was set")
    return checked.net
