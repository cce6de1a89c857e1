"""From a FILE and its options to a network that is right, or to what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archdsl.cli.output import message, show
from archdsl.cli.settings import TRAIN, parameters

if TYPE_CHECKING:
    from archdsl.cli.targets import Target
    from archdsl.diagnostics import Diagnostic
    from archdsl.net import Net

NAMED = 4
"""The most broken expectations that are named in a line."""
WRONG = 1
"""The exit code where the file is wrong or a check failed."""


def compiled(
    target: Target,
    settings: tuple[tuple[str, str], ...] = (),
    sizes: tuple[tuple[str, int], ...] = (),
    inputs: tuple[tuple[str, tuple[int, ...]], ...] = (),
    allow_python: bool = False,
    unexpected: bool = False,
    teach: bool = False,
    answered: frozenset[str] = frozenset(),
    quiet: bool = False,
) -> Net:
    """The network that is meant. What is said of the file goes to standard error; errors end the command.

    Warnings and notes that are `answered`, by their names, are left to what the command says itself.

    One whose expectations do not hold is given all the same where `unexpected` ones will do: whoever holds
    a budget wants the figures when it is broken. With `quiet` only errors are said.
    """
    from archdsl.compiler import Options
    from archdsl.net import check_network, program_of
    from archdsl.report.diagnostics import summary

    options = Options(parameters(settings), dict(sizes), dict(inputs))
    if target.run is not None:
        options = target.run.options.replaced(options)
    program = program_of(target.source, allow_python, target.load)
    checked = check_network(program, target.network, options, teach=teach)
    net = checked.net or checked.unexpected
    if target.run is not None and net is not None:
        net.settings = target.run.kept({})
    shown = [
        d for d in checked.diagnostics if d.name not in answered and (not quiet or d.severity == "error")
    ]
    show(shown)
    if checked.net is None:
        _name_keys_of_the_recipe(settings, shown)
        message(f"{summary(shown)} in {target.source.name}")
        if not unexpected or checked.unexpected is None:
            raise click.exceptions.Exit(WRONG)
        return checked.unexpected
    said = unheld(checked.net)
    if said:
        message(said)
    return checked.net


def _name_keys_of_the_recipe(settings: tuple[tuple[str, str], ...], said: list[Diagnostic]) -> None:
    """Of what is no parameter of the network, and a key of its recipe, say how that is set."""
    unknown = {one.span.source.name for one in said if one.name == "unknown-parameter"}
    if unknown:
        from archdsl.recipes.keys import KEYS

        for key, text in settings:
            if key in KEYS and f"--set {key}" in unknown:
                message(f"`{key}` is a key of the recipe: --set {TRAIN}{key}={text}\n")


def unheld(net: Net) -> str:
    """What to say of expectations that do not hold with what was set; nothing where all of them do."""
    broken = [f"`{o.expectation.test.span.text}`" for o in net.outcomes if o.holds is False]
    if not broken:
        return ""
    named = ", ".join(broken[:NAMED]) + (", ..." if len(broken) > NAMED else "")
    return f"note: {len(broken)} of {len(net.outcomes)} expectations do not hold with what was set: {named}"
