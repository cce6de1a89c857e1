"""`archdsl draw`: a network, or a part of it, as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import Refused
from archdsl.cli.pictures import PICTURES, draw_to, form_of, output_option, theme_option
from archdsl.cli.settings import Extents, network_options, python_option, recipe_settings
from archdsl.cli.targets import File, Target

if TYPE_CHECKING:
    from archdsl.drawing.theme import Theme
    from archdsl.net import Net


class Asked(NamedTuple):
    """What a style draws of a network, where it can choose."""

    layer: tuple[str, ...]
    unit: str | None
    positions: tuple[int, ...] | None
    depth: int | None


class Style(NamedTuple):
    """A way to draw.

    `draw` makes an SVG of the networks (of the first, unless the style is for `several`), or the text of a
    form that is no picture; which sizes must be numbers is its own affair. `options` are those of `Asked`
    that it heeds; the first of `forms`, the endings of files, is what standard output gets.
    """

    shows: str
    draw: Callable[[list[Net], Asked, str], str]
    options: tuple[str, ...] = ()
    forms: tuple[str, ...] = PICTURES
    several: bool = False


def _blocks(nets: list[Net], asked: Asked, form: str) -> str:
    from archdsl.drawing.blocks import compared
    from archdsl.sizes import symbols_of

    firsts = [node for net in nets for node in net.network.inputs]
    open_sizes = {name for node in firsts for extent in node.shape for name in symbols_of(extent)}
    if open_sizes:
        needed = " and ".join(f"`--size {name}=...`" for name in sorted(open_sizes))
        raise Refused(f"a picture to scale needs sizes: give {needed}")
    return compared([(net.network, net.analysis().flow) for net in nets])


def _graph(nets: list[Net], asked: Asked, form: str) -> str:
    from archdsl.drawing.graph import graph

    return graph(nets[0].network, nets[0].analysis().flow, asked.depth)


def _matrix(nets: list[Net], asked: Asked, form: str) -> str:
    from archdsl.drawing.matrix import matrix

    return matrix(nets[0].network, asked.layer, asked.positions)


def _receptive_field(nets: list[Net], asked: Asked, form: str) -> str:
    from archdsl.drawing.receptive_field import receptive_field

    return receptive_field(nets[0].network, nets[0].analysis(), asked.unit)


def _equation(nets: list[Net], asked: Asked, form: str) -> str:
    from archdsl.drawing.equation import equation

    if len(asked.layer) > 1:
        raise click.UsageError("an equation is of one layer; several are for --style matrix")
    return equation(nets[0].network, next(iter(asked.layer), None), form)


STYLES: dict[str, Style] = {
    "blocks": Style("the maps of the trunk, to scale", _blocks, several=True),
    "graph": Style("layers and blocks, and what reads what", _graph, ("depth",)),
    "matrix": Style("the weights of a layer as a matrix", _matrix, ("layer", "positions")),
    "receptive-field": Style("what a unit reads, layer by layer", _receptive_field, ("unit",)),
    "equation": Style("what a unit of a layer computes", _equation, ("layer",), (".txt", ".tex", *PICTURES)),
}


@click.command(short_help="Draw a network.")
@click.argument("files", type=File(), metavar="FILE[:NETWORK]...", nargs=-1, required=True)
@output_option("The file to write, .svg, .png or .pdf; an equation .txt or .tex, too [standard output].")
@click.option(
    "--style",
    "picture",
    type=click.Choice([*STYLES]),
    default="blocks",
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
    type=click.IntRange(min=1),
    metavar="N",
    help="How deep the blocks of a graph are opened [as deep as it stays readable].",
)
@theme_option
@python_option
@network_options
def draw(
    files: tuple[Target, ...],
    output: Path | None,
    picture: str,
    layer: tuple[str, ...],
    unit: str | None,
    positions: tuple[int, ...] | None,
    depth: int | None,
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
    if recipe_settings(settings):
        raise click.UsageError("a picture has no recipe: leave out --set train....")
    style = STYLES[picture]
    asked = Asked(layer, unit, positions, depth)
    for option, value in asked._asdict().items():
        if value not in (None, ()) and option not in style.options:
            fitting = " or ".join(name for name, other in STYLES.items() if option in other.options)
            raise click.UsageError(f"--{option} is for --style {fitting}")
    what = "a picture" if style.forms == PICTURES else f"the style {picture}"
    form = form_of(output, style.forms, what)
    if style.several:
        files = tuple(target for file in files for target in _all(file, allow_python))
    elif len(files) > 1:
        fitting = " or ".join(name for name, other in STYLES.items() if other.several)
        raise click.UsageError(f"a {picture} is of one network; several are for --style {fitting}")
    # A budget that is broken keeps no one from seeing what breaks it.
    nets = [compiled(file, settings, sizes, inputs, allow_python, unexpected=True) for file in files]
    wrong = any(diagnostic.severity == "error" for net in nets for diagnostic in net.diagnostics)
    draw_to(output, form, theme, lambda: style.draw(nets, asked, form))
    return WRONG if wrong else 0


def _all(file: Target, allow_python: bool) -> list[Target]:
    """The network that is meant, or all of a file of several."""
    from archdsl.net import program_of

    program = program_of(file.source, allow_python)
    if isinstance(program.chosen(file.network), str) or len(program.networks) < 2 or file.network is not None:
        return [file]
    return [file._replace(network=name) for name in program.networks]
