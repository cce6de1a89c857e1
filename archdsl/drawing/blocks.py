"""A network as bodies in a row, to scale, as papers and books draw AlexNet and VGG.

A map is a cuboid: as high and as deep as its rows and columns, as thick as its channels. A vector is a bar,
as high as it has features. Skips are arcs above them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import drawsvg

from archdsl.drawing.trunk import Station, Trunk, trunk

if TYPE_CHECKING:
    from archdsl.analysis.flow import Flow
    from archdsl.compiler.network import Network

STYLE = """
text { fill: #24292f; text-anchor: middle;
  font: 10px system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", "Liberation Sans", sans-serif }
.title { font-size: 13px; font-weight: 600; text-anchor: start }
.name, .out { fill: #59636e; font-size: 9px }
.map, .input, .vector { stroke-width: .7; stroke-linejoin: round }
.map { fill: #b6d7f2; stroke: #1f5f99 } .map.side { fill: #8fbfe8 } .map.top { fill: #d8eafa }
.input { fill: #e4e7ea; stroke: #6e7781 } .input.side { fill: #cdd2d7 } .input.top { fill: #f3f4f6 }
.vector { fill: #f6c98a; stroke: #9a5b00 }
.skip { fill: none; stroke: #b1365a; stroke-width: 1.1 } .head { fill: #b1365a; stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .name, .out { fill: #9aa4ae }
.map { fill: #2c5f8f; stroke: #9ccbf5 } .map.side { fill: #234d75 } .map.top { fill: #3a76ae }
.input { fill: #4a5159; stroke: #b3bac1 } .input.side { fill: #3c4249 } .input.top { fill: #5a626b }
.vector { fill: #a8701f; stroke: #f6c98a } .skip { stroke: #f28aa6 } .head { fill: #f28aa6 }
}
"""

TALLEST = 132.0
"""Pixels of the largest extent, and of the longest vector."""
THICKEST = 460.0
"""Pixels that all channels together may take."""
LEAN = 0.34
"""How far a cuboid reaches to the right and up, for each pixel that it is deep."""
BAR = 7.0
"""Pixels that a vector is thick."""
GAP = 14.0
"""Pixels between bodies and between their labels."""
MARGIN = 12.0
LINE = 12.0
"""Pixels a line of text is high."""
CHARACTER = 6.2
"""Pixels a character of a label is wide, rather more than less."""


@dataclass(slots=True)
class Scale:
    """Pixels for each position, channel and feature of a vector."""

    position: float
    channel: float
    feature: float


@dataclass(slots=True)
class Body:
    """A station where it stands: its front's left edge and size, how deep it is, and its labels."""

    station: Station
    labels: tuple[str, ...]
    thick: float
    high: float
    deep: float
    left: float = 0.0

    @property
    def lean(self) -> float:
        return self.deep * LEAN

    @property
    def width(self) -> float:
        """What body and labels take of the row."""
        return max(self.thick + self.lean, max(map(len, self.labels)) * CHARACTER)

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def blocks(network: Network, flow: Flow) -> str:
    """The picture as SVG. Every size of the network must be a number."""
    found = trunk(network, flow)
    scale = _scale(found.stations)
    names = _names(found.stations)
    bodies = [_body(station, name, scale) for station, name in zip(found.stations, names, strict=True)]
    left = MARGIN
    for body in bodies:
        body.left = left
        left += body.width + GAP
    arcs = _arcs(found, bodies)
    highest = max(body.high + body.lean for body in bodies)
    above = MARGIN + 18 + max([0.0, *(arc.highest + arc.rise - highest / 2 for arc in arcs)])
    axis = above + highest / 2
    floor = above + highest + 4
    lines = max(len(body.labels) for body in bodies)
    width = max(left - GAP + MARGIN, MARGIN * 2 + len(network.name) * 8)
    drawing = drawsvg.Drawing(round(width), round(floor + lines * LINE + MARGIN))
    drawing.append_css(STYLE)
    drawing.append_title(f"{network.name}, from {bodies[0].labels[0]} to {bodies[-1].labels[0]}")
    drawing.append(drawsvg.Text(network.name, 13, MARGIN, MARGIN + 8, class_="title"))
    for body in bodies:
        for shape in _shapes(body, axis):
            drawing.append(shape)
        for number, label in enumerate(body.labels):
            kind = "label" if number < 2 else "name"
            drawing.append(
                drawsvg.Text(label, 10, _n(body.middle), _n(floor + (number + 1) * LINE), class_=kind)
            )
    for arc in arcs:
        drawing.append(arc.path(axis))
    return str(drawing.as_svg())


def _scale(stations: list[Station]) -> Scale:
    """The largest scales at which nothing is too high and the row not too long.

    Positions and channels have one scale where that is possible; features of vectors have their own.
    """
    maps = [station for station in stations if station.size]
    extent = max((max(_extents(station)) for station in maps), default=1)
    channels = sum(station.channels for station in maps)
    features = max((station.channels for station in stations if not station.size), default=1)
    position = TALLEST / extent
    return Scale(position, min(position, THICKEST / max(channels, 1)), min(4.0, TALLEST / features))


def _extents(station: Station) -> tuple[int, int]:
    """Rows and columns: of a signal only rows, of a volume the last two axes."""
    size = station.size
    return (size[-2], size[-1]) if len(size) > 1 else (size[0], 0)


def _names(stations: list[Station]) -> list[str]:
    """What stands below each station: the outermost name, or the next where most have the outermost."""
    paths = [(station.named[0].name.split("."), station.named[-1].name.split(".")) for station in stations]
    outermost = [first[0] for first, _ in paths]
    names = []
    for station, (first, last) in zip(stations, paths, strict=True):
        at = 1 if outermost.count(first[0]) > len(stations) / 2 and len(first) > 2 else 0
        begins, ends = first[at], last[min(at, len(last) - 1)]
        name = begins if begins == ends or station.repeated == 1 else f"{begins} … {ends}"
        names.append(f"{name} ({station.repeated})" if station.repeated > 1 else name)
    return names


def _body(station: Station, name: str, scale: Scale) -> Body:
    further = [*(f"← {what}" for what in station.joins), *(f"→ {output}" for output in station.outputs)]
    made = (
        f"{station.channels}" if station.least == station.channels else f"{station.least}–{station.channels}"
    )
    labels = (made, "×".join(map(str, station.size)), name, *further)
    if not station.size:
        high = max(2.0, station.channels * scale.feature)
        return Body(station, labels, BAR, high, 0.0)
    rows, columns = _extents(station)
    thick = max(1.2, station.channels * scale.channel)
    return Body(station, labels, thick, max(1.5, rows * scale.position), columns * scale.position)


def _shapes(body: Body, axis: float) -> list[drawsvg.DrawingElement]:
    """The body with its front, top and side; the row's bodies have their middles at one height."""
    lean = body.lean
    x = body.middle - (body.thick + lean) / 2
    y = axis - (body.high + lean) / 2 + lean
    node = body.station.nodes
    kind = "vector" if not body.station.size else "input" if node[0].kind == "input" else "map"
    front = drawsvg.Rectangle(_n(x), _n(y), _n(body.thick), _n(body.high), class_=kind)
    front.append_title(", ".join(dict.fromkeys(f"{n.name} ({n.kind})" for n in node[:12])))
    if lean < 1:
        return [front]
    right, low = x + body.thick, y + body.high
    top = [x, y, x + lean, y - lean, right + lean, y - lean, right, y]
    side = [right, y, right + lean, y - lean, right + lean, low - lean, right, low]
    return [
        drawsvg.Lines(*map(_n, top), close=True, class_=f"{kind} top"),
        drawsvg.Lines(*map(_n, side), close=True, class_=f"{kind} side"),
        front,
    ]


@dataclass(slots=True)
class Arc:
    """A skip, from above one body to above another."""

    start: float
    end: float
    top_start: float
    """How far above the axis the first body ends."""
    top_end: float
    rise: float
    """How far above the bodies below it it goes."""
    highest: float
    """How far above the axis those bodies end."""

    def path(self, axis: float) -> drawsvg.DrawingElement:
        y1, y2 = axis - self.top_start - 2, axis - self.top_end - 4
        high = axis - self.highest - self.rise
        arc = drawsvg.Path(class_="skip")
        arc.M(_n(self.start), _n(y1)).L(_n(self.start), _n(high + 6))
        arc.Q(_n(self.start), _n(high), _n(self.start + 6), _n(high))
        arc.L(_n(self.end - 6), _n(high)).Q(_n(self.end), _n(high), _n(self.end), _n(high + 6)).L(
            _n(self.end), _n(y2)
        )
        group = drawsvg.Group()
        group.append(arc)
        tip = [self.end - 2.5, y2 - 1, self.end + 2.5, y2 - 1, self.end, y2 + 4]
        group.append(drawsvg.Lines(*map(_n, tip), close=True, class_="head"))
        return group


def _arcs(found: Trunk, bodies: list[Body]) -> list[Arc]:
    """Wider arcs go over narrower ones; those to the next body only over the two."""
    highest = max((body.high + body.lean) / 2 for body in bodies)
    rises: dict[tuple[int, int], float] = {}
    wide = [(a, b) for a, b in found.skips if b - a > 1]
    for a, b in sorted(wide, key=lambda skip: skip[1] - skip[0]):
        under = [rise for (c, d), rise in rises.items() if c < b and a < d]
        rises[a, b] = max(under, default=0.0) + 8.0
    arcs = []
    for a, b in found.skips:
        first, last = ((body.high + body.lean) / 2 for body in (bodies[a], bodies[b]))
        rise, over = (rises[a, b], highest) if (a, b) in rises else (8.0, max(first, last))
        arcs.append(Arc(bodies[a].middle + 3, bodies[b].middle - 3, first, last, rise, over))
    return arcs


def _n(number: float) -> float:
    """As many digits as a picture needs."""
    return round(number, 1)
