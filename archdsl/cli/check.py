"""`archdsl check`: everything that is wrong with files, for people, scripts and CI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from archdsl.cli.internal import INTERNAL_ERROR, internal_error, traced
from archdsl.cli.networks import WRONG
from archdsl.cli.output import message, result, show
from archdsl.cli.settings import batch_options, network_options, parameters, python_option, teach_option
from archdsl.cli.targets import STANDARD_INPUT, Target, Unreadable, targets_of
from archdsl.precision import STANDARD, Measure

if TYPE_CHECKING:
    from archdsl.checking import CheckedFile
    from archdsl.compiler import Program
    from archdsl.diagnostics import Diagnostic


@click.command(short_help="Check files for errors and warnings.")
@click.argument("places", metavar="FILE|FOLDER...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    help="How to say it: for people, for programs, for code scanning, for GitHub's annotations [text].",
)
@click.option("--strict", is_flag=True, help="Exit with 1 where there is a warning, too.")
@batch_options
@network_options("recipes are checked as the files have them")
@teach_option
@python_option
def check(
    places: tuple[str, ...],
    form: str,
    strict: bool,
    batch: int,
    precision: str | None,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int | str, ...]], ...],
    teach: bool,
    allow_python: bool,
) -> int:
    """Check files: every error and warning, and every expectation. Of a folder, all .arch files below it.

    A folder's links to files are followed; names that begin with a dot and linked folders are passed over.

    The exit code is 1 where a file is wrong, and 2 where one can't be read or a folder has none.

    What is set goes to those networks that have it, in whichever file. An expectation that does not hold is
    then no error. Peaks of memory are held to what is expected of them for --batch examples at a --precision.
    """
    from archdsl.checking import check_program, shares
    from archdsl.compiler import Options
    from archdsl.net import program_of

    options = Options(parameters(settings), dict(sizes), dict(inputs))
    found: list[Diagnostic] = []
    names: list[str] = []
    right: list[str] = []
    unread = False
    measure = Measure(batch, precision)
    files = [*targets_of(places)]
    mistakes: list[str] = []
    programs: dict[int, tuple[Program, str | None]] = {}
    for place, file in enumerate(files):
        if isinstance(file, Target):
            with _alone(file, places, mistakes):
                programs[place] = program_of(file.source, allow_python), file.network
    shared = dict(zip(programs, shares([*programs.values()], options), strict=True))
    for place, file in enumerate(files):
        if isinstance(file, Unreadable):
            found.append(_unreadable(file))
            names.append(file.file)
            unread = True
            continue
        checked: CheckedFile | None = None
        if place in programs:
            program, network = programs[place]
            with _alone(file, places, mistakes):
                checked = check_program(program, network, teach=teach, options=shared[place], measure=measure)
        if checked is None:
            continue
        found += checked.diagnostics
        if checked.diagnostics:
            names.append(file.source.name)
        if not checked.wrong:
            right.append(_confirmation(file.source.name, checked, measure))
    failed = {d.severity for d in found} & ({"error", "warning"} if strict else {"error"})
    _report(found, form)
    if form == "text":
        for line in right:
            message(line)
        wrong = summary_line(found, names)
        if wrong:
            message(f"{wrong}; --strict lets no warning pass" if failed == {"warning"} else wrong)
    for mistake in mistakes:
        message(mistake)
    if mistakes:
        return INTERNAL_ERROR
    if unread:
        return Unreadable.exit_code
    return WRONG if failed else 0


@contextmanager
def _alone(file: Target, places: tuple[str, ...], mistakes: list[str]) -> Iterator[None]:
    """Have a mistake of archdsl end the check of one file alone; what is said of it joins the `mistakes`."""
    try:
        yield
    except Exception as error:
        if traced():
            raise
        arguments: list[str] = click.get_current_context().find_root().obj
        name = "-" if file.source.name == STANDARD_INPUT else file.source.name
        name += f":{file.network}" if file.network else ""
        mistakes.append(internal_error(error, [*(word for word in arguments if word not in places), name]))


def _unreadable(file: Unreadable) -> Diagnostic:
    from archdsl.diagnostics import Diagnostic
    from archdsl.problems.files import UnreadableFile
    from archdsl.project import place_of
    from archdsl.source import Source, Span

    if file.fault is not None:
        return Diagnostic.of(file.fault.problem, place_of(file.fault, file.file))
    return Diagnostic.of(UnreadableFile(file.reason), Span(Source(file.file, ""), 0, 0))


def _report(found: list[Diagnostic], form: str) -> None:
    if form == "text":
        show(found, to_error=False)
        return
    from archdsl.report import findings

    write = {"json": findings.as_json, "sarif": findings.as_sarif, "github": findings.as_github}[form]
    text = write(found)
    if text:
        result(text)


def _confirmation(name: str, checked: CheckedFile, measure: Measure) -> str:
    """`alexnet.arch: 2 networks, 12 expectations hold`."""
    from archdsl.problems import plural

    networks = plural(len(checked.networks), "network") if checked.networks else "no network"
    outcomes = [outcome.holds for one in checked.networks for outcome in one.outcomes]
    if not outcomes:
        return f"{name}: {networks}, no errors; it expects nothing"
    held = outcomes.count(True)
    open_ones, broken = outcomes.count(None), outcomes.count(False)
    said = f"{plural(held, 'expectation')} hold{'s' if held == 1 else ''}"
    more = f", {open_ones} can't be decided for all sizes" if open_ones else ""
    if broken:
        more += f", {broken} do{'es' if broken == 1 else ''} not with what was set"
    if measure != STANDARD:
        more += f"; peaks that say no other are of {measure}"
    return f"{name}: {networks}, {said}{more}"


def summary_line(found: list[Diagnostic], checked: list[str]) -> str:
    """`2 errors and 1 warning in broken.arch`, by the files in whose check that was found; empty for none."""
    from archdsl.report.diagnostics import summary

    counts = summary(found)
    names = [*dict.fromkeys(checked)]
    where = names[0] if len(names) == 1 else f"{len(names)} files"
    return f"{counts} in {where}" if counts else ""
