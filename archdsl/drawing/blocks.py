"""A network as bodies in a row, to scale, as papers and books draw AlexNet and VGG.

A map is a cuboid: as high and as deep as its rows and columns, as thick as its channels. A vector is a bar,
as high as it has features. Skips are arcs above them. A network that narrows and widens again by the same
steps is drawn as a U, each step one row lower; a row that would be too long goes on in the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import drawsvg

from archdsl.drawing.canvas import MARGIN, TITLE, canvas, finished, rounded, tip, words
from archdsl.drawing.lettering import width
from archdsl.drawing.trunk import Station, Trunk, trunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archdsl.analysis.flow import Flow
    from archdsl.compiler.network import Network, Node

STYLE = """
.name, .kernel { fill: $quiet; font-size: 9px } .name { font-style: italic }
.scale { fill: $quiet; font-size: 9px; text-anchor: start }
.map, .input, .vector { stroke-width: .7; stroke-linejoin: round }
.map { fill: $map; stroke: $blue } .map.side { fill: $map-shade } .map.top { fill: $map-light }
.input { fill: $input; stroke: $edge } .input.side { fill: $input-shade } .input.top { fill: $input-light }
.vector { fill: $vector; stroke: $orange } .split { stroke: $blue; stroke-width: 1.8 }
.window { fill: $page; fill-opacity: .6; stroke: $text; stroke-width: .6 }
.ray { fill: none; stroke: $edge; stroke-width: .6 } .span { stroke: $line; stroke-width: .8 }
"""

TALLEST = 132.0
"""Pixels of the largest extent, and of the longest vector."""
THICKEST = 420.0
"""Pixels that all channels together may take."""
LONGEST = 1250.0
"""Pixels of a row, where it can go on in the next."""
WORTH = 0.75
"""The part of it that its longest row may still have, if breaking it is to be of use."""
LEAN = 0.34
"""How far a cuboid reaches to the right and up, for each pixel that it is deep."""
BAR = 7.0
"""Pixels that a vector is thick."""
GAP = 14.0
"""Pixels between bodies and between their labels."""
LINE = 12.0
"""Pixels a line of text is high."""
RISE = 8.0
"""Pixels between an arc and what is below it."""
STEP = 0.75
"""An extent that shrinks to less than this is a step down, one that grows by its inverse a step up."""
SPLITS = 4
"""The most groups that are shown as slices of a body."""
SMALLEST = 2.5
"""Pixels of the smallest kernel that is drawn."""


@dataclass(slots=True)
class Scale:
    """Pixels for each position, channel and feature of a vector."""

    position: float
    channel: float
    feature: float


@dataclass(slots=True)
class Body:
    """A station where it stands: its front's size, how deep it is, its labels, its row, its place there."""

    station: Station
    labels: tuple[str, ...]
    """Channels, extents, kernel, name; then what joins and leaves here, a line each."""
    thick: float
    high: float
    deep: float
    row: int = 0
    wide: float = 0.0
    """What it takes of the row."""
    left: float = 0.0

    @property
    def lean(self) -> float:
        return self.deep * LEAN

    @property
    def reach(self) -> float:
        """How far it goes above and below the middle of its row."""
        return (self.high + self.lean) / 2

    @property
    def middle(self) -> float:
        return self.left + self.wide / 2

    @property
    def front(self) -> tuple[float, float]:
        """The upper left corner of its front, from the middle of its row."""
        return self.middle - (self.thick + self.lean) / 2, self.lean - self.reach


@dataclass(slots=True)
class Label:
    """A text below neighbours in a row that share it."""

    text: str
    line: int
    first: int
    last: int


@dataclass(slots=True)
class Figure:
    """A network's bodies in rows."""

    name: str
    found: Trunk
    bodies: list[Body]
    labels: list[Label] = field(default_factory=list)
    arcs: list[Arc] = field(default_factory=list)
    bent: bool = False
    """Whether it is a U."""

    def of(self, row: int) -> list[Body]:
        return [body for body in self.bodies if body.row == row]

    @property
    def rows(self) -> int:
        return self.bodies[-1].row + 1 if not self.bent else max(body.row for body in self.bodies) + 1

    @property
    def right(self) -> float:
        return max(body.left + body.wide for body in self.bodies)


def blocks(network: Network, flow: Flow) -> str:
    """The picture of a network, all of whose sizes are numbers, as SVG."""
    return compared([(network, flow)])


def compared(networks: Sequence[tuple[Network, Flow]]) -> str:
    """The picture of several networks, one below the other, at one scale."""
    trunks = [(network.name, trunk(network, flow)) for network, flow in networks]
    scale = _scale([found.stations for _, found in trunks])
    figures = [_figure(name, found, scale) for name, found in trunks]
    legend = _legend(scale, figures)
    wide = max(
        *(figure.right + MARGIN for figure in figures),
        *(MARGIN * 2 + width(figure.name, TITLE, bold=True) for figure in figures),
        MARGIN * 2 + sum(length + 30 + width(text, 9) for length, text in legend),
    )
    ends = [f"{f.name}, from {f.bodies[0].labels[0]} to {f.bodies[-1].labels[0]}" for f in figures]
    body = drawsvg.Group()
    top = MARGIN
    for figure in figures:
        body.append(words(figure.name, MARGIN, top + 9, "title", TITLE))
        top = _draw(body, figure, scale, top + 19) + MARGIN
    left = MARGIN
    for length, text in legend:
        bar = drawsvg.Path(class_="way").M(rounded(left), rounded(top)).h(rounded(length))
        for x in (left, left + length):
            bar.M(rounded(x), rounded(top - 3)).v(6)
        body.append(bar)
        body.append(words(text, left + length + 6, top + 3, "scale", 9))
        left += length + 30 + width(text, 9)
    drawing = canvas(wide + 1, top + 6 + MARGIN, "; ".join(ends), STYLE)
    drawing.append(body)
    return finished(drawing)


def _scale(networks: list[list[Station]]) -> Scale:
    """The largest scales at which nothing is too high and no row too long.

    Positions and channels have one scale where that is possible; features of vectors have their own.
    """
    maps = [[station for station in stations if station.size] for stations in networks]
    extent = max((max(_extents(station)) for stations in maps for station in stations), default=1)
    channels = max(sum(station.channels for station in stations) for stations in maps)
    vectors = [station for stations in networks for station in stations if not station.size]
    features = max((station.channels for station in vectors), default=1)
    position = TALLEST / extent
    return Scale(position, min(position, THICKEST / max(channels, 1)), min(4.0, TALLEST / features))


def _legend(scale: Scale, figures: list[Figure]) -> list[tuple[float, str]]:
    """Bars of round numbers: their pixels, and what they stand for."""
    stations = [body.station for figure in figures for body in figure.bodies]
    maps = [station for station in stations if station.size]
    found = []
    for each, unit, used in (
        (scale.position, "positions", bool(maps)),
        (scale.channel, "channels", bool(maps)),
        (scale.feature, "features", len(maps) < len(stations)),
    ):
        if used:
            least = 16.0 / each
            power = 10 ** (len(str(int(least))) - 1) if least >= 1 else 1
            number = next(n * power for n in (1, 2, 5, 10, 20) if n * power >= least)
            found.append((number * each, f"{number} {unit if number > 1 else unit[:-1]}"))
    return found


def _extents(station: Station) -> tuple[int, int]:
    """Rows and columns: of a signal only rows, of a volume the last two axes."""
    size = station.size
    return (size[-2], size[-1]) if len(size) > 1 else (size[0], 0)


# ------------------------------------------------------------------------------ bodies and their labels


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
    return _rounds(names, stations)


def _rounds(names: list[str], stations: list[Station]) -> list[str]:
    """The names, those of a loop's rounds as one where what they make has one shape: `encoder_1 … 12`."""
    keys: list[object] = []
    for k, (name, station) in enumerate(zip(names, stations, strict=True)):
        base, _, number = name.rpartition("_")
        keys.append((base, station.shape) if number.isdecimal() else k)
    found = []
    for _, members in groupby(range(len(names)), key=keys.__getitem__):
        run = list(members)
        first, last = names[run[0]], names[run[-1]]
        same = first == last
        found += [first if same else f"{first} … {last.rpartition('_')[2]}"] * len(run)
    return found


def _windows(station: Station) -> list[Node]:
    """The layers of a station that slide a window over what comes in, down to the first with weights."""
    found = []
    for node in station.nodes:
        if "kernel" in node.layer.values and node.inputs:
            found.append(node)
            if node.layer.weights(*(wire.shape for wire in node.inputs)):
                break
    return found


def _per_axis(node: Node, argument: str) -> tuple[int, ...]:
    """An argument of a window, a number an axis."""
    value = node.layer.values.get(argument, 1)
    axes = node.inputs[0].shape.axes
    numbers = value if isinstance(value, tuple) else (value,) * axes
    return tuple(number if isinstance(number, int) else 0 for number in numbers)


def _times(numbers: tuple[int, ...]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "×".join(map(str, numbers))


def _powers(size: tuple[int, ...]) -> str:
    """`572²` for rows and columns that are as many: the rows of a U have little room."""
    if len(size) < 2 or len(set(size)) > 1:
        return "×".join(map(str, size))
    return f"{size[0]}{'²³'[len(size) - 2]}"


def _kernel(station: Station) -> str:
    """`11×11 /4` for a convolution, `pool /2, 5×5` for one of a pooled map."""
    if station.repeated > 1:
        return ""
    said = []
    windows = _windows(station)
    for node in windows:
        kernel, stride = _per_axis(node, "kernel"), _per_axis(node, "stride")
        step = f" /{_times(stride)}" if max(stride, default=1) > 1 else ""
        if not all(kernel):
            continue
        if "pool" in node.kind:
            said.append(f"pool{step or ' ' + _times(kernel)}")
        else:
            groups = node.layer.values.get("groups", 1)
            several = f", {groups} groups" if isinstance(groups, int) and 1 < groups <= SPLITS else ""
            sign = "↑" if "transpose" in node.kind else ""
            said.append(
                "×".join(map(str, kernel)) + (f" {sign}{_times(stride)}" if sign and step else step) + several
            )
    return ", ".join(said)


def _body(station: Station, name: str, scale: Scale) -> Body:
    further = [*(f"← {what}" for what in station.joins), *(f"→ {output}" for output in station.outputs)]
    made = (
        f"{station.channels}" if station.least == station.channels else f"{station.least}–{station.channels}"
    )
    labels = (made, "×".join(map(str, station.size)), _kernel(station), name, *further)
    if not station.size:
        high = max(2.0, station.channels * scale.feature)
        return Body(station, labels, BAR, high, 0.0)
    rows, columns = _extents(station)
    thick = max(1.2, station.channels * scale.channel)
    return Body(station, labels, thick, max(1.5, rows * scale.position), columns * scale.position)


# ------------------------------------------------------------------------------ places


def _figure(name: str, found: Trunk, scale: Scale) -> Figure:
    names = _names(found.stations)
    bodies = [_body(station, said, scale) for station, said in zip(found.stations, names, strict=True)]
    figure = Figure(name, found, bodies)
    levels = _levels(found)
    figure.bent = levels is not None
    if figure.bent:
        for body in bodies:
            body.labels = (body.labels[0], _powers(body.station.size), *body.labels[2:])
    for body, row in zip(bodies, levels or [0] * len(bodies), strict=True):
        body.row = row
    _label(figure)
    if levels is None:
        breaks = _breaks(found, bodies)
        if breaks:
            for k, body in enumerate(bodies):
                body.row = sum(at <= k for at in breaks)
            _label(figure)
    ends: dict[int, float] = {}
    before: Body | None = None
    for body in bodies:
        at = ends.get(body.row, MARGIN)
        if before is None or (before.row != body.row and not figure.bent):
            body.left = MARGIN
        elif before.row == body.row:
            body.left = at
        else:
            body.left = max(before.middle - body.wide / 2, at + 2 * GAP if body.row in ends else MARGIN)
        ends[body.row] = body.left + body.wide + GAP
        before = body
    figure.arcs = _arcs(found, bodies)
    return figure


def _levels(found: Trunk) -> list[int] | None:
    """The row of each station of a network that is a U: down by steps, and up again by as many."""
    extents = [station.size[-1] if station.size else 1 for station in found.stations]
    levels, steps = [0], []
    for before, after in pairwise(extents):
        steps.append(1 if after < before * STEP else -1 if after * STEP > before else 0)
        levels.append(levels[-1] + steps[-1])
    turns = [step for step in steps if step]
    down, up = turns.count(1), turns.count(-1)
    if down < 2 or down != up or turns != [1] * down + [-1] * up:
        return None
    return levels if all(levels[a] == levels[b] for a, b in found.skips if b - a > 1) else None


def _breaks(found: Trunk, bodies: list[Body]) -> list[int]:
    """Where a row that is too long goes on in the next: where no skip is, in rows of about equal length."""
    long = sum(body.wide + GAP for body in bodies)
    if long <= LONGEST:
        return []
    rows = -(-long // LONGEST)
    free = [k for k in range(2, len(bodies) - 1) if not any(a < k <= b for a, b in found.skips)]
    ends = [0.0]
    for body in bodies:
        ends.append(ends[-1] + body.wide + GAP)
    breaks: list[int] = []
    for row in range(1, int(rows)):
        near = [k for k in free if not breaks or k > breaks[-1] + 1]
        if near:
            breaks.append(min(near, key=lambda k: abs(ends[k] - long * row / rows)))
    longest = max(ends[b] - ends[a] for a, b in pairwise([0, *breaks, len(bodies)]))
    return breaks if longest <= WORTH * long else []


def _label(figure: Figure) -> None:
    """The labels of each row, neighbours' equal ones as one, and what bodies need so that none overlap."""
    bodies = figure.bodies
    for body in bodies:
        body.wide = body.thick + body.lean
    figure.labels = []
    runs = [list(run) for _, run in groupby(range(len(bodies)), key=lambda k: bodies[k].row)]
    for run in runs:
        for line in range(max(len(bodies[k].labels) for k in run)):
            texts = [(k, bodies[k].labels[line] if line < len(bodies[k].labels) else "") for k in run]
            for text, same in groupby(texts, key=lambda item: item[1]):
                members = [k for k, _ in same]
                if text:
                    figure.labels.append(Label(text, line, members[0], members[-1]))
    for label in sorted(figure.labels, key=lambda label: label.last - label.first):
        above = bodies[label.first : label.last + 1]
        lacks = width(label.text, 10) - sum(body.wide for body in above) - GAP * (len(above) - 1)
        for body in above:
            body.wide += max(0.0, lacks) / len(above)


@dataclass(slots=True)
class Arc:
    """A skip, from above one body to above another."""

    row: int
    start: float
    end: float
    top_start: float
    """How far above the row's middle the first body ends."""
    top_end: float
    high: float
    """How far above the row's middle it goes."""

    def path(self, axis: float) -> drawsvg.DrawingElement:
        y1, y2 = axis - self.top_start - 2, axis - self.top_end - 4
        high = axis - self.high
        arc = drawsvg.Path(class_="skip")
        arc.M(rounded(self.start), rounded(y1)).L(rounded(self.start), rounded(high + 6))
        arc.Q(rounded(self.start), rounded(high), rounded(self.start + 6), rounded(high))
        arc.L(rounded(self.end - 6), rounded(high)).Q(
            rounded(self.end), rounded(high), rounded(self.end), rounded(high + 6)
        ).L(rounded(self.end), rounded(y2))
        group = drawsvg.Group()
        group.append(arc)
        group.append(tip(self.end, y2 + 4, down=1, kind="skip-tip"))
        return group


def _arcs(found: Trunk, bodies: list[Body]) -> list[Arc]:
    """Wider arcs go over narrower ones, and each over the bodies between its ends."""
    highs: dict[tuple[int, int], float] = {}
    for a, b in sorted(found.skips, key=lambda skip: skip[1] - skip[0]):
        row = bodies[a].row
        under = [high for (c, d), high in highs.items() if c < b and a < d and bodies[c].row == row]
        between = [body.reach for body in bodies[a : b + 1] if body.row == row]
        highs[a, b] = max([*under, *between]) + RISE
    return [
        Arc(
            bodies[a].row,
            bodies[a].middle + 3,
            bodies[b].middle - 3,
            bodies[a].reach,
            bodies[b].reach,
            highs[a, b],
        )
        for a, b in found.skips
    ]


# ------------------------------------------------------------------------------ drawing


def _draw(drawing: drawsvg.Group, figure: Figure, scale: Scale, top: float) -> float:
    """Draw a figure below `top`; returns where it ends."""
    axes: list[float] = []
    floors: list[float] = []
    for row in range(figure.rows):
        members = figure.of(row)
        reach = max(body.reach for body in members)
        above = max([reach, *(arc.high for arc in figure.arcs if arc.row == row)])
        axes.append(top + above + 2)
        floors.append(axes[-1] + reach + 4)
        labels = [label for label in figure.labels if figure.bodies[label.first].row == row]
        lines = sorted({label.line for label in labels})
        for label in labels:
            _write(drawing, figure.bodies, label, floors[-1] + (lines.index(label.line) + 1) * LINE)
        top = floors[-1] + len(lines) * LINE + 6
        if row + 1 < figure.rows:
            top += 12 if figure.bent else 8
        floors[-1] += len(lines) * LINE
    for body in figure.bodies:
        for shape in _shapes(body, axes[body.row]):
            drawing.append(shape)
    for before, body in pairwise(figure.bodies):
        if before.row == body.row:
            for shape in _window(before, body, axes[body.row], scale):
                drawing.append(shape)
        elif figure.bent:
            down = body.row > before.row
            y1 = floors[before.row] + 4 if down else axes[before.row] - before.reach - 2
            y2 = axes[body.row] - body.reach - 3 if down else floors[body.row] + 4
            # Straight where it can be.
            near = abs(before.middle - body.middle) < (before.thick + before.lean) / 2
            drawing.append(_arrow(body.middle if near else before.middle, y1, body.middle, y2))
    for arc in figure.arcs:
        drawing.append(arc.path(axes[arc.row]))
    return top


def _write(drawing: drawsvg.Group, bodies: list[Body], label: Label, y: float) -> None:
    first, last = bodies[label.first], bodies[label.last]
    middle = (first.left + last.left + last.wide) / 2
    kind = ("label", "label", "kernel", "name")[min(label.line, 3)]
    drawing.append(words(label.text, middle, y, kind))
    half = width(label.text, 10) / 2 + 4
    for left, right in ((first.left, middle - half), (middle + half, last.left + last.wide)):
        if label.last > label.first and right - left > 4:
            drawing.append(
                drawsvg.Line(rounded(left), rounded(y - 3.5), rounded(right), rounded(y - 3.5), class_="span")
            )


def _shapes(body: Body, axis: float) -> list[drawsvg.DrawingElement]:
    """The body with its front, top and side; the row's bodies have their middles at one height."""
    lean = body.lean
    x, y = body.front[0], axis + body.front[1]
    nodes = body.station.nodes
    kind = "vector" if not body.station.size else "input" if nodes[0].kind == "input" else "map"
    front = drawsvg.Rectangle(rounded(x), rounded(y), rounded(body.thick), rounded(body.high), class_=kind)
    front.append_title(", ".join(dict.fromkeys(f"{n.name} ({n.kind})" for n in nodes[:12])))
    if lean < 1:
        return [front]
    right, low = x + body.thick, y + body.high
    top = [x, y, x + lean, y - lean, right + lean, y - lean, right, y]
    side = [right, y, right + lean, y - lean, right + lean, low - lean, right, low]
    shapes = [
        drawsvg.Lines(*map(rounded, top), close=True, class_=f"{kind} top"),
        drawsvg.Lines(*map(rounded, side), close=True, class_=f"{kind} side"),
        front,
    ]
    groups = _groups(body.station)
    for part in range(1, groups):
        at = x + body.thick * part / groups
        split = (
            drawsvg.Path(class_="split", fill="none").M(rounded(at), rounded(low)).L(rounded(at), rounded(y))
        )
        shapes.append(split.L(rounded(at + lean), rounded(y - lean)))
    return shapes


def _groups(station: Station) -> int:
    """The groups of the convolution that makes it, where it is shown in slices."""
    groups = [node.layer.values.get("groups", 1) for node in _windows(station)]
    found = groups[-1] if groups and station.repeated == 1 else 1
    return found if isinstance(found, int) and found <= SPLITS else 1


def _window(before: Body, body: Body, axis: float, scale: Scale) -> list[drawsvg.DrawingElement]:
    """The kernel where it reads the map before, on its side, and where that goes."""
    windows = _windows(body.station)
    if not windows or not before.station.size or body.station.repeated > 1 or before.lean < 4:
        return []
    kernel = _per_axis(windows[0], "kernel")
    rows, columns = _extents(before.station)
    read = windows[0].inputs[0]
    if len(kernel) < 2 or (read.shape.size != before.station.size and read.node.kind != "pad"):
        return []
    tall, deep = min(kernel[-2], rows), min(kernel[-1], columns)
    high, lean = tall * scale.position, deep / columns * before.lean
    if high < SMALLEST:
        return []
    x, y = before.front[0] + before.thick, axis + before.front[1]
    x += (before.lean - lean) / 2
    y += (before.high - high) / 2 - (before.lean - lean) / 2
    corners = [x, y, x + lean, y - lean, x + lean, y - lean + high, x, y + high]
    to = (body.front[0], axis)
    rays = drawsvg.Path(class_="ray").M(rounded(corners[2]), rounded(corners[3])).L(*map(rounded, to))
    rays.L(rounded(corners[4]), rounded(corners[5]))
    return [drawsvg.Lines(*map(rounded, corners), close=True, class_="window"), rays]


def _arrow(x1: float, y1: float, x2: float, y2: float) -> drawsvg.DrawingElement:
    """From one row of a U to the next."""
    group = drawsvg.Group()
    sign = 1 if y2 > y1 else -1
    middle = (y1 + y2) / 2
    way = drawsvg.Path(class_="way").M(rounded(x1), rounded(y1))
    way.L(rounded(x1), rounded(middle)).L(rounded(x2), rounded(middle)).L(rounded(x2), rounded(y2 - 4 * sign))
    group.append(way)
    group.append(tip(x2, y2, down=sign))
    return group
