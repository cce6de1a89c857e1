"""`archdsl diff`: two networks held against each other, or a network and what it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import Refused, json_result, result, style, width
from archdsl.cli.pictures import draw_to, form_of, theme_option
from archdsl.cli.settings import batch_options, network_options, python_option, stated
from archdsl.cli.targets import STANDARD_INPUT, FileOfRun, Target

if TYPE_CHECKING:
    from archdsl.comparison import Difference
    from archdsl.drawing.theme import Theme


class Side(FileOfRun):
    """FILE[:NETWORK], a run's folder, or REVISION:FILE[:NETWORK] of a git repository."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if isinstance(value, str) and not os.path.exists(value):
            from archdsl.project import divided
            from archdsl.revisions import divided as revision_and_path

            file, network = divided(value)
            found = None if os.path.exists(file) else revision_and_path(file)
            if found is not None:
                return _at(found[0], found[1], Path(), file, network)
        return super().convert(value, parameter, context)


def _at(revision: str, path: str, folder: Path, name: str, network: str | None) -> Target:
    """A file of a revision. Raises `Refused` with one line on what is wrong."""
    from archdsl.revisions import Unavailable, read_at

    try:
        source, load = read_at(revision, path, folder, name)
    except Unavailable as error:
        raise Refused(str(error)) from None
    return Target(source, network, load)


@click.command(short_help="Compare two networks, or two revisions of one.")
@click.argument("before", type=Side(), metavar="BEFORE")
@click.argument("after", type=Side(), metavar="[AFTER]", required=False)
@click.option("--since", metavar="REVISION", help="Compare the file with what it was at a git revision.")
@click.option("--json", "as_json", is_flag=True, help="The whole difference as JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw it, to an .svg, .png or .pdf file.",
)
@theme_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 where the structure differs.")
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    metavar="N",
    help="Fold what is nested deeper than N, of unlike networks too.",
)
@batch_options
@python_option
@network_options("a difference is of what the files say")
def diff(
    before: Target,
    after: Target | None,
    since: str | None,
    as_json: bool,
    output: Path | None,
    theme: Theme,
    exit_code: bool,
    depth: int | None,
    batch: int,
    precision: str | None,
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Compare two networks by their structure: layers added, removed, changed and moved, and what that costs.

    BEFORE and AFTER are FILE[:NETWORK], folders of runs, or REVISION:FILE[:NETWORK] as git knows it; or one
    FILE is compared with what it was, by --since.
    """
    if as_json and depth is not None:
        raise click.UsageError("--depth is about text; the JSON has every change whole")
    if output is not None and depth is not None:
        raise click.UsageError("--depth is about text: a picture has every change")
    if output is not None and as_json:
        raise click.UsageError("--json and -o are two forms: name one")
    if output is None and stated("theme"):
        raise click.UsageError("--theme is of a picture: name its file by -o")
    form = form_of(output)
    before, after = _sides(before, after, since)
    from archdsl.net import diff as compare

    # A budget that is broken keeps no one from seeing what broke it.
    ours, theirs = (
        compiled(side, settings, sizes, inputs, allow_python, unexpected=True, quiet=True)
        for side in (before, after)
    )
    found = compare(ours, theirs, batch, precision)
    if output is not None:
        draw_to(output, form, theme, lambda: _drawn(found))
    elif as_json:
        json_result(found.to_dict())
    else:
        from archdsl.comparison.text import text

        result(text(found, width(sys.stdout), style(sys.stdout), depth))
    wrong = any(diagnostic.severity == "error" for net in (ours, theirs) for diagnostic in net.diagnostics)
    return WRONG if wrong or (exit_code and not found.same) else 0


def _sides(before: Target, after: Target | None, since: str | None) -> tuple[Target, Target]:
    """The two that are compared: those that are named, or one and what it was."""
    if since is None:
        if after is None:
            raise click.UsageError("name two networks, or one and --since REVISION")
        return before, after
    if after is not None:
        raise click.UsageError("--since compares one file with what it was: leave out the second")
    if before.run is not None:
        raise Refused("a run has no past: --since is about a file of a repository")
    name = before.source.name
    path = Path(name)
    if before.load is not None or name == STANDARD_INPUT or not os.path.isfile(path):
        raise Refused(f"{name} is no file here, so it has no past: --since is about a file of a repository")
    return _at(since, f"./{path.name}", path.parent, f"{since}:{name}", before.network), before


def _drawn(found: Difference) -> str:
    from archdsl.drawing.difference import difference

    return difference(found)
