"""`archdsl draw`: a network, or a part of it, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.pictures import form_of, output_option, put, theme_option
from archdsl.cli.settings import Extents, Names, network_options, python_option, stated
from archdsl.cli.targets import FileOfRun, Target
from archdsl.drawing.figures import FIGURES
from archdsl.drawing.picture import PICTURES
from archdsl.drawing.styles import LEAST, STANDARD, STYLES, Asked, heeded, picture
from archdsl.drawing.undrawable import Unheeded

if TYPE_CHECKING:
    from archdsl.drawing.theme import Theme


@click.command(short_help="Draw a network.")
@click.argument("files", type=FileOfRun(), metavar="FILE[:NETWORK]|RUN...", nargs=-1, required=True)
@output_option("The file to write, .svg, .png or .pdf; an equation .txt or .tex, too [standard output].")
@click.option(
    "--style",
    "name",
    type=click.Choice([*STYLES]),
    default=STANDARD,
    show_default=True,
    help="What is drawn: " + "; ".join(f"{name}, {style.shows}" for name, style in STYLES.items()) + ".",
)
@click.option(
    "--layer",
    metavar="NAME",
    multiple=True,
    help="The layer of a matrix or an equation [the first with weights]; again: one more matrix.",
)
@click.option(
    "--unit",
    metavar="LAYER[:PLACE]",
    help="The unit whose receptive field is drawn, counted from 0: conv3:5, or conv3:5,7 on a map "
    "[the middle one of the last layer that does not see everything].",
)
@click.option(
    "--positions",
    metavar="N[,N]",
    type=Extents(),
    help="The input of a matrix, in units along each axis [one on which it is readable].",
)
@click.option(
    "--depth",
    type=click.IntRange(min=LEAST["depth"]),
    metavar="N",
    help="How deep the blocks of a graph are opened [as deep as it stays readable].",
)
@click.option(
    "--figures",
    type=Names("figure", lambda: FIGURES),
    help="What stands on the boxes of a graph, as in parameters,macs,flops [parameters].",
)
@click.option(
    "--width",
    type=click.IntRange(min=LEAST["width"]),
    metavar="N",
    help="How many pixels wide blocks may be; what is longer goes on in a next row [1250].",
)
@click.option(
    "--height",
    type=click.IntRange(min=LEAST["height"]),
    metavar="N",
    help="How many pixels high a graph may be; it goes on in a next column where one way leads on [any].",
)
@theme_option
@python_option
@network_options("a picture has no recipe")
def draw(
    files: tuple[Target, ...],
    output: Path | None,
    name: str,
    layer: tuple[str, ...],
    unit: str | None,
    positions: tuple[int, ...] | None,
    depth: int | None,
    figures: tuple[str, ...] | None,
    width: int | None,
    height: int | None,
    theme: Theme,
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Draw networks, or what a layer or unit of one does.

    `blocks` has the maps in a row, to scale, what skips over some of them, and what else comes in; a residual
    unit or an Inception module is one body, and where there are very many, equal neighbours are one. Several
    networks, or those of a file, are one below the other at one scale. `graph` has a box for each layer or
    block, from top to bottom, and one for those that repeat.
    """
    asked = Asked(layer, unit, positions, depth, figures, width, height)
    try:
        style = heeded(name, asked)
    except Unheeded as error:
        raise click.UsageError(f"--{error.option} is for --style {error.fitting}") from None
    form = form_of(output, style.forms, style.what)
    if form not in PICTURES and stated("theme"):
        raise click.UsageError(f"--theme is of a picture: a {form} file has no colours")
    if style.several:
        files = tuple(target for file in files for target in _all(file, allow_python))
    elif len(files) > 1:
        several = " or ".join(other for other, style in STYLES.items() if style.several)
        raise click.UsageError(f"a {name} is of one network; several are for --style {several}")
    # A budget that is broken keeps no one from seeing what breaks it.
    nets = [compiled(file, settings, sizes, inputs, allow_python, unexpected=True) for file in files]
    wrong = any(diagnostic.severity == "error" for net in nets for diagnostic in net.diagnostics)
    put(output, form, picture(name, [(net.network, net.analysis()) for net in nets], asked, theme))
    return WRONG if wrong else 0


def _all(file: Target, allow_python: bool) -> list[Target]:
    """The network that is meant, or all of a file of several."""
    from archdsl.net import program_of

    program = program_of(file.source, allow_python)
    if isinstance(program.chosen(file.network), str) or len(program.networks) < 2 or file.network is not None:
        return [file]
    return [file._replace(network=name) for name in program.networks]
