"""`archdsl draw`: a network as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import Refused, message, result, write_file
from archdsl.cli.settings import network_options, python_option, recipe_settings
from archdsl.cli.targets import File, Target

FORMS = (".svg", ".png")


@click.command(short_help="Draw a network.")
@click.argument("file", type=File(), metavar="FILE[:NETWORK]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, .svg or .png [SVG on standard output].",
)
@click.option(
    "--style",
    "picture",
    type=click.Choice(["blocks"]),
    default="blocks",
    show_default=True,
    help="What is drawn: the maps of the trunk, to scale.",
)
@python_option
@network_options
def draw(
    file: Target,
    output: Path | None,
    picture: str,
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Draw a network: its maps in a row, to scale, what skips over some of them, and what else comes in.

    A residual unit or an Inception module is one body; where there are very many, equal neighbours are one.
    """
    if recipe_settings(settings):
        raise click.UsageError("a picture has no recipe: leave out --set train....")
    form = ".svg" if output is None or str(output) == "-" else output.suffix.lower()
    if form not in FORMS:
        raise click.UsageError(
            f"a picture is written to a file called *{' or *'.join(FORMS)}, not to {output}"
        )
    try:
        from archdsl.drawing.blocks import blocks
        from archdsl.drawing.raster import png
    except ImportError as error:
        raise Refused(f"pictures need {error.name}: `pip install 'archdsl[pictures]'`") from None
    from archdsl.analysis.flow import Flow
    from archdsl.sizes import symbols_of

    # A budget that is broken keeps no one from seeing what breaks it.
    net = compiled(file, settings, sizes, inputs, allow_python, unexpected=True)
    network, wrong = net.network, any(diagnostic.severity == "error" for diagnostic in net.diagnostics)
    open_sizes = {name for node in network.inputs for extent in node.shape for name in symbols_of(extent)}
    if open_sizes:
        needed = " and ".join(f"`--size {name}=...`" for name in sorted(open_sizes))
        raise Refused(f"a picture to scale needs sizes: give {needed}")
    svg = blocks(network, Flow(network))
    if output is None or str(output) == "-":
        result(svg)
        return WRONG if wrong else 0
    write_file(output, png(svg) if form == ".png" else svg)
    message(f"wrote {output}")
    return WRONG if wrong else 0
