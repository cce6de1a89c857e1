"""`archdsl analyze`: the table of a network, or the same as JSON, Markdown, CSV or a page of HTML."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import json_result, message, result, show, style, width, write_file
from archdsl.cli.settings import (
    Names,
    batch_options,
    network_options,
    python_option,
    recipe_settings,
    stated,
    teach_option,
)
from archdsl.cli.targets import FileOfRun, Target

if TYPE_CHECKING:
    from archdsl.net import Net
    from archdsl.report import Report

PAGES = (".html", ".htm")
ANSWERED = frozenset({"fits-only-where", "undecided-size", "reads-depend-on-size"})
"""What is said of open sizes layer by layer, and by `--legal-sizes` in full."""


def _columns() -> Iterable[str]:
    from archdsl.report.columns import COLUMNS

    return COLUMNS


def _headings() -> dict[str, str]:
    from archdsl.report.columns import COLUMNS

    return {column.heading: key for key, column in COLUMNS.items()}


@click.command(short_help="Show a network's layers and totals.")
@click.argument("file", type=FileOfRun(), metavar="FILE[:NETWORK]|RUN")
@click.option("--json", "forms", flag_value="json", multiple=True, help="The whole report as JSON.")
@click.option("--markdown", "forms", flag_value="markdown", multiple=True, help="The table in Markdown.")
@click.option("--csv", "forms", flag_value="csv", multiple=True, help="The layers as comma-separated values.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A page to explore, in one file; - for standard output.",
)
@click.option(
    "--columns",
    type=Names("column", _columns, _headings),
    help="The columns to show, as in name,shape,macs, or by their headings.",
)
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Fold what is nested deeper than N.")
@batch_options
@click.option("--legal-sizes", is_flag=True, help="Say for which open sizes the network fits, and why.")
@teach_option
@python_option
@network_options()
def analyze(
    file: Target,
    forms: tuple[str, ...],
    html: Path | None,
    columns: tuple[str, ...] | None,
    depth: int | None,
    batch: int,
    precision: str | None,
    legal_sizes: bool,
    teach: bool,
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Show a network's layers: shapes, parameters, MACs, memory, receptive fields; totals below."""
    named = [*dict.fromkeys(forms), *(["html"] if html is not None else [])]
    if len(named) > 1:
        raise click.UsageError(f"--{named[0]} and --{named[1]} are two forms: name one")
    form = named[0] if named else None
    if form in ("json", "html") and (columns or depth):
        whole = "JSON" if form == "json" else "page"
        raise click.UsageError(f"--columns and --depth are about tables; the {whole} has every layer whole")
    if html is not None and str(html) != "-" and html.suffix.lower() not in PAGES:
        raise click.UsageError(f"a page is written to a file called *{' or *'.join(PAGES)}, not to {html}")
    if legal_sizes:
        _no_table(form, recipe_settings(settings))
    answered = ANSWERED if legal_sizes else frozenset[str]()
    net = compiled(file, settings, sizes, inputs, allow_python, True, teach, answered)
    if legal_sizes:
        _legal_sizes(net, form)
        return WRONG if any(d.severity == "error" for d in net.diagnostics) else 0
    recipe = recipe_settings(settings)
    kept, trained_in = _trained(net, recipe)
    # A precision that is said here is not the file's to change.
    mixed = trained_in if precision is None or "precision" in recipe else None
    report = net.report(batch, precision, kept, mixed)
    if form == "json":
        json_result(report.to_dict())
    elif html is not None:
        _page(html, net, report)
    elif form == "markdown":
        from archdsl.report.markdown import markdown

        result(markdown(report, depth, columns or ()))
    elif form == "csv":
        from archdsl.report.csv import csv

        result(csv(report, depth, columns or ()))
    else:
        from archdsl.report.table import table

        result(table(report, width(sys.stdout), style(sys.stdout), depth, columns or ()))
    return WRONG if any(d.severity == "error" for d in net.diagnostics) else 0


def _no_table(form: str | None, recipe: dict[str, str]) -> None:
    """Refuse what says something of a table, or of a recipe, where sizes alone are asked for."""
    given = stated("columns", "depth", "batch", "precision")
    if form not in (None, "json"):
        given.append(f"--{form}")
    if recipe:
        given.append("--set train....")
    if given:
        raise click.UsageError(f"--legal-sizes gives text or --json, of sizes alone: leave out {given[0]}")


def _legal_sizes(net: Net, form: str | None) -> None:
    from archdsl.analysis.legal_sizes import legal_sizes
    from archdsl.report.legal_sizes import to_dict, words

    found = legal_sizes(net.network)
    if form == "json":
        json_result(to_dict(found))
    else:
        result(words(found, width(sys.stdout), style(sys.stdout)))


def _page(path: Path, net: Net, report: Report) -> None:
    """Write the page, with a picture where pictures are installed and every size is known."""
    from archdsl.report.page import page

    text = page(report, net.diagnostics, _picture(net))
    if str(path) == "-":
        result(text.rstrip("\n"))
    else:
        write_file(path, text)
        message(f"wrote {path}")


def _picture(net: Net) -> str | None:
    from archdsl.drawing.undrawable import OpenSizes

    try:
        return net.draw().svg
    except (ImportError, OpenSizes):
        return None


def _trained(net: Net, settings: dict[str, str]) -> tuple[int | None, str | None]:
    """How many numbers training keeps for each parameter, and its precision; None where the file says it.

    A recipe that can't be followed is the business of `check` and `train`, unless its keys were set here.
    """
    if not settings:
        return None, None
    from archdsl.recipes.keys import REPORTED, replaced
    from archdsl.recipes.reader import read_recipe
    from archdsl.teaching.allowing import divided

    all_set = replaced(net.settings, settings)
    recipe, diagnostics = read_recipe(net.network.train, net.network, all_set, net.program.names())
    show(divided(diagnostics)[0])
    if recipe is None:
        raise click.exceptions.Exit(WRONG)
    from archdsl.problems import listed

    idle = next((key for key in settings if key not in REPORTED), None)
    # Where the file has no recipe, one is made of all that is set.
    if idle is not None and (net.network.train is not None or net.settings):
        those = listed([f"train.{key}" for key in REPORTED])
        message(f"note: train.{idle} changes nothing of a report; {those} do")
    return recipe.kept, recipe.precision
