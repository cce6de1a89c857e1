"""`archdsl check`: everything that is wrong with files, for people, scripts and CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG
from archdsl.cli.output import message, result, show
from archdsl.cli.targets import File, Target

if TYPE_CHECKING:
    from archdsl.diagnostics import Diagnostic
    from archdsl.net import Checked


@click.command(short_help="Check files for errors and warnings.")
@click.argument("files", type=File(), metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    help="How to say it: for people, for programs, for code scanning, for GitHub's annotations [text].",
)
def check(files: tuple[Target, ...], form: str) -> int:
    """Check files: every error and warning, and every expectation."""
    found: list[Diagnostic] = []
    confirmations: list[str] = []
    for target in files:
        checked = _checked(target)
        diagnostics = _once([d for one in checked for d in (*one.diagnostics, *_recipe_problems(one))])
        found += diagnostics
        if not any(d.severity == "error" for d in diagnostics):
            confirmations.append(_confirmation(target.source.name, checked))
    _report(found, form)
    if form == "text":
        for confirmation in confirmations:
            message(confirmation)
        wrong = summary_line(found, len(files))
        if wrong:
            message(wrong)
    return WRONG if any(d.severity == "error" for d in found) else 0


def _checked(target: Target) -> list[Checked]:
    from archdsl.net import check, check_network, program_of

    if target.network is None:
        return check(target.source)
    return [check_network(program_of(target.source), target.network)]


def _recipe_problems(checked: Checked) -> list[Diagnostic]:
    """What is wrong with the recipe of a network that has one."""
    from archdsl.training.recipe import read_recipe

    if checked.net is None or checked.net.network.train is None:
        return []
    return read_recipe(checked.net.network.train, checked.net.network)[1]


def _once(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Each diagnostic once, in order of place, though several networks of a file may meet it."""
    seen: dict[tuple[str, str, int, int, str], Diagnostic] = {}
    for d in diagnostics:
        seen.setdefault((d.name, d.span.source.name, d.span.start, d.span.end, d.message), d)
    return sorted(seen.values(), key=lambda d: (d.span.source.name, d.span.start, d.span.end))


def _report(found: list[Diagnostic], form: str) -> None:
    if form == "text":
        show(found, to_error=False)
        return
    from archdsl.report import findings

    write = {"json": findings.as_json, "sarif": findings.as_sarif, "github": findings.as_github}[form]
    text = write(found)
    if text:
        result(text)


def _confirmation(name: str, checked: list[Checked]) -> str:
    """`alexnet.arch: 2 networks, 12 expectations hold`."""
    from archdsl.problems import plural

    networks = plural(len(checked), "network")
    outcomes = [outcome.holds for one in checked for outcome in one.outcomes]
    if not outcomes:
        return f"{name}: {networks}, nothing wrong; it expects nothing"
    held = sum(holds is True for holds in outcomes)
    open_ones = len(outcomes) - held
    said = f"{plural(held, 'expectation')} hold{'s' if held == 1 else ''}"
    return f"{name}: {networks}, {said}" + (
        f", {open_ones} can't be decided for all sizes" if open_ones else ""
    )


def summary_line(found: list[Diagnostic], files: int) -> str:
    """`2 errors and 1 warning in broken.arch`; empty where nothing was found."""
    from archdsl.report.diagnostics import summary

    counts = summary(found)
    names = dict.fromkeys(d.span.source.name for d in found)
    where = next(iter(names)) if len(names) == 1 else f"{len(names)} files"
    return f"{counts} in {where}" if counts else ""
