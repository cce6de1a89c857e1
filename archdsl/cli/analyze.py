"""`archdsl analyze`: the table of a network, or the same as JSON, Markdown or CSV."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import result, show, style, width
from archdsl.cli.settings import network_options, python_option, recipe_settings, teach_option
from archdsl.cli.targets import File, Target

if TYPE_CHECKING:
    from archdsl.net import Net


class Columns(click.ParamType):
    """`name,shape,macs`."""

    name = "COLUMN,..."

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from archdsl.problems import listed, nearest
        from archdsl.report.columns import COLUMNS

        keys = tuple(key.strip() for key in value.split(","))
        for key in keys:
            if key not in COLUMNS:
                meant = nearest(key, COLUMNS)
                known = f"did you mean {meant}?" if meant else f"there are {listed(COLUMNS)}"
                self.fail(f"there is no column {key!r}; {known}", parameter, context)
        return keys


@click.command(short_help="Show a network's layers and totals.")
@click.argument("file", type=File(), metavar="FILE[:NETWORK]")
@click.option("--json", "forms", flag_value="json", multiple=True, help="The whole report as JSON.")
@click.option("--markdown", "forms", flag_value="markdown", multiple=True, help="The table in Markdown.")
@click.option("--csv", "forms", flag_value="csv", multiple=True, help="The layers as comma-separated values.")
@click.option("--columns", type=Columns(), help="The columns to show, as in name,shape,macs.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Fold what is nested deeper than N.")
@click.option("--batch", type=click.IntRange(1, 2**31), default=1, metavar="N", help="Examples at once [1].")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "bfloat16", "float64"]),
    default="float32",
    help="What numbers are stored as [float32].",
)
@teach_option
@python_option
@network_options
def analyze(
    file: Target,
    forms: tuple[str, ...],
    columns: tuple[str, ...] | None,
    depth: int | None,
    batch: int,
    precision: str,
    teach: bool,
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Show a network's layers: shapes, parameters, MACs, memory, receptive fields; totals below."""
    if len(set(forms)) > 1:
        raise click.UsageError(f"--{forms[0]} and --{forms[1]} are two forms: name one")
    form = forms[0] if forms else None
    if form == "json" and (columns or depth):
        raise click.UsageError("--columns and --depth are about tables; the JSON has every layer whole")
    net = compiled(file, settings, sizes, inputs, allow_python, unexpected=True, teach=teach)
    report = net.report(batch, precision, _optimizer_state(net, recipe_settings(settings)))
    if form == "json":
        import json

        result(json.dumps(report.to_dict(), indent=2))
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


def _optimizer_state(net: Net, settings: dict[str, str]) -> int:
    """The numbers that the recipe's optimizer keeps for each parameter; none without a recipe.

    A recipe that can't be followed is the business of `check` and `train`, unless its keys were set here.
    """
    if net.network.train is None and not settings:
        return 0
    from archdsl.recipes.reader import read_recipe

    recipe, diagnostics = read_recipe(net.network.train, net.network, settings, net.program.names())
    if settings:
        from archdsl.teaching.allowing import divided

        show(divided(diagnostics)[0])
        if recipe is None:
            raise click.exceptions.Exit(WRONG)
    return recipe.optimizer.kept() if recipe is not None else 0
