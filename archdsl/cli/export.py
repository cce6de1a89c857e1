"""`archdsl export`: the network in another form."""

from __future__ import annotations

from pathlib import Path

import click

from archdsl.cli.networks import compiled
from archdsl.cli.output import message, result, write_file
from archdsl.cli.settings import network_options, recipe_settings
from archdsl.cli.targets import File, Target


@click.command(short_help="Write a network as PyTorch source.")
@click.argument("file", type=File(), metavar="FILE[:NETWORK]")
@click.option("--to", "form", type=click.Choice(["torch"]), required=True, help="PyTorch source.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write [standard output].",
)
@network_options
def export(
    file: Target,
    form: str,
    output: Path | None,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Write a network as PyTorch source that runs without archdsl."""
    if recipe_settings(settings):
        raise click.UsageError("an export has no recipe: leave out --set train....")
    source = compiled(file, settings, sizes, inputs).source()
    if output is None or str(output) == "-":
        result(source.rstrip("\n"))
    else:
        write_file(output, source)
        message(f"wrote {output}")
    return 0
