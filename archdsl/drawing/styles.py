"""The ways to draw a network, and what each can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from archdsl.drawing.figures import FIGURES
from archdsl.drawing.figures import STANDARD as STANDARD_FIGURES
from archdsl.drawing.picture import PICTURES, Picture
from archdsl.drawing.undrawable import OpenSizes, Undrawable, Unheeded

if TYPE_CHECKING:
    from archdsl.analysis import Analysis
    from archdsl.compiler.network import Network
    from archdsl.drawing.theme import Theme

Subject = tuple["Network", "Analysis"]
"""What is drawn: a network, and what is known of it."""

STANDARD = "blocks"
"""The style where none is asked for."""


class Asked(NamedTuple):
    """What a style draws of a network, where it can choose."""

    layer: tuple[str, ...] = ()
    unit: str | None = None
    positions: tuple[int, ...] | None = None
    depth: int | None = None
    figures: tuple[str, ...] | None = None
    width: int | None = None
    height: int | None = None


class Style(NamedTuple):
    """A way to draw.

    `draw` makes an SVG of the networks (of the first, unless the style is for `several`), or the text of a
    form that is no picture; which sizes must be numbers is its own affair. `options` are those of `Asked`
    that it heeds; the first of `forms`, the endings of files, is what standard output gets.
    """

    shows: str
    draw: Callable[[Sequence[Subject], Asked, str], str]
    options: tuple[str, ...] = ()
    forms: tuple[str, ...] = PICTURES
    several: bool = False
    what: str = "a picture"
    """What messages call it where its forms are meant."""


def _blocks(subjects: Sequence[Subject], asked: Asked, form: str) -> str:
    from archdsl.drawing.blocks import compared
    from archdsl.sizes import symbols_of

    firsts = [node for network, _ in subjects for node in network.inputs]
    open_sizes = {name for node in firsts for extent in node.shape for name in symbols_of(extent)}
    if open_sizes:
        raise OpenSizes("a picture to scale needs sizes", open_sizes)
    return compared([(network, analysis.flow) for network, analysis in subjects], asked.width)


def _graph(subjects: Sequence[Subject], asked: Asked, form: str) -> str:
    from archdsl.drawing.graph import graph

    network, analysis = subjects[0]
    return graph(network, analysis.flow, asked.depth, asked.figures or STANDARD_FIGURES, asked.height)


def _matrix(subjects: Sequence[Subject], asked: Asked, form: str) -> str:
    from archdsl.drawing.matrix import matrix

    return matrix(subjects[0][0], asked.layer, asked.positions)


def _receptive_field(subjects: Sequence[Subject], asked: Asked, form: str) -> str:
    from archdsl.drawing.receptive_field import receptive_field

    return receptive_field(*subjects[0], asked.unit)


def _equation(subjects: Sequence[Subject], asked: Asked, form: str) -> str:
    from archdsl.drawing.equation import equation

    if len(asked.layer) > 1:
        raise Undrawable("an equation is of one layer; several are for the style matrix")
    return equation(subjects[0][0], next(iter(asked.layer), None), form)


STYLES: dict[str, Style] = {
    "blocks": Style("the maps of the trunk, to scale", _blocks, ("width",), several=True),
    "graph": Style("layers and blocks, and what reads what", _graph, ("depth", "figures", "height")),
    "matrix": Style("the weights of a layer as a matrix", _matrix, ("layer", "positions")),
    "receptive-field": Style("what a unit reads, layer by layer", _receptive_field, ("unit",)),
    "equation": Style(
        "what a unit of a layer computes",
        _equation,
        ("layer",),
        (".txt", ".tex", *PICTURES),
        what="the style equation",
    ),
}


LEAST = {"depth": 1, "width": 200, "height": 200}
"""The least that may be asked for."""


def heeded(name: str, asked: Asked) -> Style:
    """The style of a name, which must have a choice of all that is asked. Raises `Undrawable`."""
    from archdsl.problems import unknown

    if name not in STYLES:
        raise Undrawable(unknown("style", name, STYLES))
    for option, value in asked._asdict().items():
        if value not in (None, ()) and option not in STYLES[name].options:
            raise Unheeded(option, [other for other, style in STYLES.items() if option in style.options])
        if option in LEAST and isinstance(value, int) and value < LEAST[option]:
            raise Undrawable(f"{option} is {LEAST[option]} or more, not {value}")
    for figure in asked.figures or ():
        if figure not in FIGURES:
            raise Undrawable(unknown("figure", figure, FIGURES))
    return STYLES[name]


def picture(name: str, subjects: Sequence[Subject], asked: Asked, theme: Theme = "auto") -> Picture:
    """A picture of networks in a style. Raises `Undrawable`, here and where it is drawn."""
    from archdsl.drawing.theme import THEMES
    from archdsl.problems import unknown

    style = heeded(name, asked)
    if theme not in THEMES:
        raise Undrawable(unknown("theme", theme, THEMES))
    return Picture(lambda form: style.draw(subjects, asked, form), theme, style.forms, style.what)
