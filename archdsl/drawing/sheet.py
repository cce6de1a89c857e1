"""Small pictures in rows and columns, with words at them: pixels as they are, signals as lines."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import drawsvg

from archdsl.drawing.canvas import MARGIN, TITLE, WORDS, canvas, finished, rounded, title, words
from archdsl.drawing.lettering import width as length

STYLE = """
image { image-rendering: pixelated }
.frame { fill: none; stroke: $line; stroke-width: .6 } .zero { stroke: $faint; stroke-width: .8 }
.curve { fill: none; stroke-width: 1.3; stroke-linejoin: round }
.curve0 { stroke: $blue } .curve1 { stroke: $orange } .curve2 { stroke: $green } .curve3 { stroke: $red }
.head { font-weight: 600; text-anchor: start } .small { fill: $quiet }
"""
CURVES = 4
"""How many colours there are for the channels of a signal."""

SIDE = 84.0
"""Pixels of the larger side of a picture, unless a table says otherwise."""
CURVE = (132.0, 64.0)
"""Pixels of a signal's width and height."""
GAP = 10.0
"""Pixels between pictures."""
LINE = 13.0
"""Pixels a line of words is high."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture as PNG, and how its sides are to each other."""

    png: bytes
    wide: int
    high: int


@dataclass(frozen=True, slots=True)
class Curves:
    """A signal's channels as heights from 0 to 1, and the height of zero, where it is among them."""

    channels: tuple[tuple[float, ...], ...]
    zero: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A small picture and the words below it, a line each; without a picture its place stays empty."""

    image: Pixels | Curves | None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Pictures side by side, and what they are."""

    name: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of pictures below each other, with a name for the whole and one for each column.

    `side` is how many pixels the larger side of a picture takes.
    """

    rows: tuple[Row, ...]
    heads: tuple[str, ...] = ()
    name: str = ""
    side: float = SIDE


@dataclass(frozen=True, slots=True)
class Sheet:
    """Tables below each other, under a title and some lines of words."""

    heading: str
    note: str
    tables: tuple[Table, ...]

    def drawn(self) -> str:
        """The picture as SVG."""
        body = drawsvg.Group()
        top = MARGIN + 9
        right = MARGIN + length(self.heading, TITLE, bold=True)
        for line in self.note.splitlines():
            top += LINE + 2
            body.append(words(line, MARGIN, top, "note"))
            right = max(right, MARGIN + length(line, WORDS))
        for table in self.tables:
            wide, top = _table(body, table, top + 16)
            right = max(right, wide)
        drawing = canvas(right + MARGIN, top + MARGIN, f"{self.heading}. {self.note}", STYLE)
        drawing.append(title(self.heading))
        drawing.append(body)
        return finished(drawing)


def _table(body: drawsvg.Group, table: Table, top: float) -> tuple[float, float]:
    """Draw a table from a height on; its right edge and where it ends."""
    if table.name:
        body.append(words(table.name, MARGIN, top + WORDS, "head"))
        top += LINE + 6
    left = MARGIN + max((length(row.name, WORDS) + GAP for row in table.rows if row.name), default=0.0)
    count = max((len(row.panels) for row in table.rows), default=0)
    widths = [_width(table, k) for k in range(count)]
    starts = [left + sum(widths[:k]) + GAP * k for k in range(count)]
    if any(table.heads):
        for head, x, wide in zip(table.heads, starts, widths, strict=False):
            body.append(words(head, x + wide / 2, top + WORDS, "middle"))
        top += LINE + 4
    for row in table.rows:
        sizes = [_size(panel, table.side) for panel in row.panels]
        high = max((size[1] for size in sizes), default=0.0)
        if row.name:
            body.append(words(row.name, MARGIN, top + high / 2 + WORDS / 3, "start"))
        for panel, (wide, tall), x, column in zip(row.panels, sizes, starts, widths, strict=False):
            _draw(body, panel, x + (column - wide) / 2, top + (high - tall) / 2, wide, tall)
            for k, line in enumerate(panel.words):
                body.append(words(line, x + column / 2, top + high + LINE * (k + 1) - 1, "small middle"))
        top += high + LINE * max((len(panel.words) for panel in row.panels), default=0) + GAP
    right = max(left + sum(widths) + GAP * max(0, count - 1), MARGIN + length(table.name, WORDS, bold=True))
    return right, top - GAP


def _width(table: Table, column: int) -> float:
    """How wide a column is: its widest picture or words."""
    panels = [row.panels[column] for row in table.rows if column < len(row.panels)]
    said = [length(line, WORDS) for panel in panels for line in panel.words]
    head = length(table.heads[column], WORDS) if column < len(table.heads) else 0.0
    return max(*(_size(panel, table.side)[0] for panel in panels), head, *said, 0.0)


def _size(panel: Panel, side: float) -> tuple[float, float]:
    if isinstance(panel.image, Pixels):
        scale = side / max(panel.image.wide, panel.image.high)
        return panel.image.wide * scale, panel.image.high * scale
    return CURVE if isinstance(panel.image, Curves) else (0.0, 0.0)


def _draw(body: drawsvg.Group, panel: Panel, x: float, y: float, wide: float, high: float) -> None:
    if panel.image is None:
        return
    if isinstance(panel.image, Pixels):
        data = base64.b64encode(panel.image.png).decode()
        place = tuple(map(rounded, (x, y, wide, high)))
        body.append(drawsvg.Raw(_IMAGE.format(*place, data)))
    else:
        _curves(body, panel.image, x, y, wide, high)
    body.append(drawsvg.Rectangle(*map(rounded, (x, y, wide, high)), class_="frame"))


_IMAGE = (
    '<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" href="data:image/png;base64,{}"/>'
)


def _curves(body: drawsvg.Group, curves: Curves, x: float, y: float, wide: float, high: float) -> None:
    if curves.zero is not None:
        level = rounded(y + high * (1 - curves.zero))
        body.append(drawsvg.Line(rounded(x), level, rounded(x + wide), level, class_="zero"))
    for k, channel in enumerate(curves.channels):
        points = [
            (rounded(x + wide * i / max(1, len(channel) - 1)), rounded(y + high * (1 - value)))
            for i, value in enumerate(channel)
        ]
        line = drawsvg.Lines(
            *(number for point in points for number in point), class_=f"curve curve{k % CURVES}"
        )
        body.append(line)
