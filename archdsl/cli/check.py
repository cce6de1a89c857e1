"""`archdsl check`: everything that is wrong with files, for people, scripts and CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG
from archdsl.cli.output import message, result, show
from archdsl.cli.targets import File, Target

if TYPE_CHECKING:
    from archdsl.checking import CheckedFile
    from archdsl.diagnostics import Diagnostic


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
    from archdsl.checking import check_file

    checked = [check_file(target.source, target.network) for target in files]
    found = [diagnostic for file in checked for diagnostic in file.diagnostics]
    _report(found, form)
    if form == "text":
        for target, file in zip(files, checked, strict=True):
            if not file.wrong:
                message(_confirmation(target.source.name, file))
        wrong = summary_line(found, len(files))
        if wrong:
            message(wrong)
    return WRONG if any(file.wrong for file in checked) else 0


def _report(found: list[Diagnostic], form: str) -> None:
    if form == "text":
        show(found, to_error=False)
        return
    from archdsl.report import findings

    write = {"json": findings.as_json, "sarif": findings.as_sarif, "github": findings.as_github}[form]
    text = write(found)
    if text:
        result(text)


def _confirmation(name: str, checked: CheckedFile) -> str:
    """`alexnet.arch: 2 networks, 12 expectations hold`."""
    from archdsl.problems import plural

    networks = plural(len(checked.networks), "network") if checked.networks else "no network"
    outcomes = [outcome.holds for one in checked.networks for outcome in one.outcomes]
    if not outcomes:
        return f"{name}: {networks}, no errors; it expects nothing"
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
