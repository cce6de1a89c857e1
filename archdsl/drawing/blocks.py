"""A network as bodies in a row, to scale, as papers and books draw AlexNet and VGG.

A map is a cuboid: as high and as deep as its rows and columns, as thick as its channels. A vector is a bar,
as high as it has features. Skips are arcs above them. A network that narrows and widens again by the same
steps is drawn as a U, each step one row lower; a row that would be too long goes on in the next.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

import drawsvg

from archdsl.drawing.bodies import Body, Scale
from archdsl.drawing.canvas import MARGIN, TITLE, canvas, finished, rounded, tip, words
from archdsl.drawing.folding import breaks
from archdsl.drawing.lettering import width as length_of
from archdsl.drawing.skips import Skip, skips
from archdsl.drawing.trunk import Station, Trunk, trunk
from archdsl.layers.convolution import Convolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from archdsl.analysis.flow import Flow
    from archdsl.compiler.network import Network, Node

STYLE = """
.name, .kernel, .times { fill: $quiet; font-size: 9px } .name { font-style: italic }
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
WIDEST = 1250.0
"""Pixels that a picture is wide at most where no width is asked for; what is longer goes on in a next row."""
INDENT = 20.0
"""Pixels before the first body of such a row, where the way from the one above comes in."""
TRIALS = 8
"""How often the breaks of a row are looked for again where labels or skips make it longer than it was."""
FLATTEST = 24.0
"""Pixels that the most rows or columns have at least, by a scale of their own where need be."""
OBLONG = 4
"""How many times as long as wide a map is where that need may be."""
THINNEST = 10.0
"""Pixels that the most channels have at least, likewise."""
SAYING = 30.0
"""Pixels before and behind what is said of a bar of the scale."""
BAR = 7.0
"""Pixels that a vector is thick."""
GAP = 14.0
"""Pixels between bodies and between their labels."""
LINE = 12.0
"""Pixels a line of text is high."""
BESIDE = 7.0
"""Pixels between an arrow and the shortcut beside it."""
BETWEEN = 12.0
"""Pixels between the labels of a row and what is above the next, beside those at the foot of any row."""
STEP = 0.75
"""An extent that shrinks to less than this is a step down, one that grows by its inverse a step up."""
SPLITS = 4
"""The most groups that are shown as slices of a body."""
STAGES = 8
"""How many times as large as another a map of one name is, if that is the name of many stages."""
KERNELS = 4
"""The most kernels that are said of a residual unit."""
NAME = 3 + KERNELS
"""Which label of a body is its name: after channels, extents, pooling and kernels."""
ENLARGING = ("upsample", "max_unpool", "pixel_shuffle")
"""Layers without a kernel that make maps larger."""
SMALLEST = 2.5
"""Pixels of the smallest kernel that is drawn."""


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
    skips: list[Skip] = field(default_factory=list)
    bent: bool = False
    """Whether it is a U."""

    def of(self, row: int) -> list[Body]:
        return [body for body in self.bodies if body.row == row]

    @property
    def rows(self) -> int:
        return self.bodies[-1].row + 1 if not self.bent else max(body.row for body in self.bodies) + 1

    @property
    def wide(self) -> float:
        """Pixels that it takes of a picture, with the margins and a border."""
        right = max(body.left + body.wide for body in self.bodies)
        return max([right, *(skip.right for skip in self.skips)]) + MARGIN + 1


def blocks(network: Network, flow: Flow, width: float | None = None) -> str:
    """The picture of a network, all of whose sizes are numbers, as SVG."""
    return compared([(network, flow)], width)


def compared(networks: Sequence[tuple[Network, Flow]], width: float | None = None) -> str:
    """The picture of several networks, one below the other, at one scale.

    Rows go on in a next one where they are longer than the `width` in pixels.
    """
    trunks = [(network.name, trunk(network, flow)) for network, flow in networks]
    room = WIDEST if width is None else width
    scale = _scale([found.stations for _, found in trunks])
    figures = [_figure(name, found, scale, width) for name, found in trunks]
    legend, foot = _placed(_legend(scale, figures), room)
    wide = max(
        *(figure.wide for figure in figures),
        *(MARGIN * 2 + 1 + length_of(figure.name, TITLE, bold=True) for figure in figures),
        *(MARGIN + 1 + bar.right for bar in legend),
    )
    ends = [f"{f.name}, from {f.bodies[0].labels[0]} to {f.bodies[-1].labels[0]}" for f in figures]
    body = drawsvg.Group()
    top = MARGIN
    for figure in figures:
        body.append(words(figure.name, MARGIN, top + 9, "title", TITLE))
        top = _draw(body, figure, scale, top + 19) + MARGIN
    for bar in legend:
        for shape in bar.drawn(top):
            body.append(shape)
    drawing = canvas(wide, top + foot + 6 + MARGIN, "; ".join(ends), STYLE)
    drawing.append(body)
    return finished(drawing)


def _scale(networks: list[list[Station]]) -> Scale:
    """The largest scales at which nothing is too high and no row too long.

    Rows, columns and channels have one scale where that is possible and leaves no slivers; features of
    vectors have their own.
    """
    maps = [[station for station in stations if station.size] for stations in networks]
    every = [station for stations in maps for station in stations]
    rows, columns = (max((_extents(station)[axis] for station in every), default=1) for axis in (0, 1))
    channels = max(sum(station.channels for station in stations) for stations in maps)
    widest = max((station.channels for station in every), default=1)
    vectors = [station for stations in networks for station in stations if not station.size]
    features = max((station.channels for station in vectors), default=1)
    position = TALLEST / max(rows, columns)
    firsts = [sorted(_extents(stations[0])) for stations in maps if stations]
    # Where some begin with maps that are about as high as wide, these are drawn so.
    flattest = FLATTEST if firsts and all(OBLONG * short < long for short, long in firsts) else 0.0
    return Scale(
        max(position, flattest / rows),
        max(position, flattest / columns) if columns else position,
        min(max(position, THINNEST / widest), THICKEST / max(channels, 1)),
        min(4.0, TALLEST / features),
    )


def _legend(scale: Scale, figures: list[Figure]) -> list[tuple[float, str]]:
    """Bars of round numbers: their pixels, and what they stand for."""
    stations = [body.station for figure in figures for body in figure.bodies]
    maps = [station for station in stations if station.size]
    found = []
    alike = scale.row == scale.column
    for each, unit, used in (
        (scale.row, "positions" if alike else "rows", bool(maps)),
        (scale.column, "columns", bool(maps) and not alike),
        (scale.channel, "channels", bool(maps)),
        (scale.feature, "features", len(maps) < len(stations)),
    ):
        if used:
            least = 16.0 / each
            power = 10 ** (len(str(int(least))) - 1) if least >= 1 else 1
            number = next(n * power for n in (1, 2, 5, 10, 20) if n * power >= least)
            found.append((number * each, f"{number} {unit if number > 1 else unit[:-1]}"))
    return found


class Bar(NamedTuple):
    """A bar of the scale at its place, from the top of the foot."""

    left: float
    down: float
    length: float
    text: str

    @property
    def right(self) -> float:
        return self.left + self.length + SAYING + length_of(self.text, 9)

    def drawn(self, top: float) -> Iterator[drawsvg.DrawingElement]:
        y = top + self.down
        bar = drawsvg.Path(class_="way").M(rounded(self.left), rounded(y)).h(rounded(self.length))
        for x in (self.left, self.left + self.length):
            bar.M(rounded(x), rounded(y - 3)).v(6)
        yield bar
        yield words(self.text, self.left + self.length + 6, y + 3, "scale", 9)


def _placed(legend: list[tuple[float, str]], room: float) -> tuple[list[Bar], float]:
    """The bars in a line, or in several where it would be too long; how far down the last line is."""
    bars: list[Bar] = []
    left, down = MARGIN, 0.0
    for length, text in legend:
        bar = Bar(left, down, length, text)
        if bars and bar.right + MARGIN + 1 > room:
            left, down = MARGIN, down + LINE
            bar = Bar(left, down, length, text)
        bars.append(bar)
        left = bar.right
    return bars, down


def _extents(station: Station) -> tuple[int, int]:
    """Rows and columns: of a signal only rows, of a volume the last two axes."""
    size = station.size
    return (size[-2], size[-1]) if len(size) > 1 else (size[0], 0)


# ------------------------------------------------------------------------------ bodies and their labels


def _names(stations: list[Station]) -> list[str]:
    """What stands below each station: the outermost name, or the next where that is of many stages."""
    paths = [(station.named[0].name.split("."), station.named[-1].name.split(".")) for station in stations]
    outermost = [first[0] for first, _ in paths]
    extents: dict[str, list[int]] = defaultdict(list)
    for name, station in zip(outermost, stations, strict=True):
        if station.size:
            extents[name].append(max(station.size))
    wide = {name for name in outermost if outermost.count(name) > len(stations) / 2}
    wide |= {name for name, found in extents.items() if max(found) >= STAGES * min(found)}
    names = []
    for station, (first, last) in zip(stations, paths, strict=True):
        at = 1 if first[0] in wide and len(first) > 2 else 0
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


def _shaping(station: Station) -> list[Node]:
    """The layers of a station that may change what comes in, down to the first window with weights."""
    found = []
    for node in station.nodes:
        if node.inputs:
            found.append(node)
            if "kernel" in node.layer.values and node.layer.weights(*(wire.shape for wire in node.inputs)):
                break
    return found


def _windows(station: Station) -> list[Node]:
    """Those of them that slide a window over it."""
    return [node for node in _shaping(station) if "kernel" in node.layer.values]


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


def _changes(station: Station) -> list[str]:
    """A line of what pools or enlarges the map first, then one for each kernel.

    Of stations that are one, kernels are said where all but the first have the same, as in a stage of
    residual units, of which the first has a stride.
    """
    first, *others = station.members or [station]
    before, kernels = _before(first), _kernels(first)
    every = kernels
    if others:
        every = _kernels(others[0])
        if any(_before(other) or _kernels(other) != every for other in others) or len(kernels) != len(every):
            every = []
    said = [
        line if line == own else f"{line} (first {own})" for own, line in zip(kernels, every, strict=False)
    ]
    lines = [", ".join(before), *said]
    return [*lines, *[""] * (KERNELS + 1 - len(lines))]


def _before(station: Station) -> list[str]:
    """What is said of the layers that shape a map before a window with weights does."""
    said: list[str] = []
    for node in _shaping(station):
        if "pool" in node.kind and "kernel" in node.layer.values:
            said += _of_window(node)
        elif enlarged := _enlarged(node):
            said.append(f"↑{_times(enlarged)}")
    return said


def _kernels(station: Station) -> list[str]:
    """Those of its window with weights, or of the few of the way through the residual unit that it is."""
    nodes = [
        node
        for node in station.way or _shaping(station)
        if "kernel" in node.layer.values and "pool" not in node.kind and set(node.shape.size) != {1}
    ]
    # Between them, layers that see one position have nothing to say, such as those of a transformer.
    if station.way and all({*_per_axis(node, "kernel")} == {1} for node in nodes):
        return []
    said = [", ".join(_of_window(node)) for node in nodes]
    return said if len(said) <= KERNELS and all(said) else []


def _of_window(node: Node) -> list[str]:
    """What is said of a layer with a kernel, where its figures are numbers."""
    kernel, stride, dilation = (_per_axis(node, name) for name in ("kernel", "stride", "dilation"))
    if not all(kernel):
        return []
    step = ""
    if max(stride, default=1) > 1:
        # Along one axis `3 /2` would be three halves.
        sign = " ↑" if "transpose" in node.kind else " /" if len(kernel) > 1 else ", stride "
        step = f"{sign}{_times(stride)}"
    size = f"{'×'.join(map(str, kernel))}{step}"
    further = [f"dilation {_times(dilation)}"] if max(dilation, default=1) > 1 else []
    if "pool" in node.kind:
        return [f"pool {size}", *further]
    groups = _groups_of(node)
    depthwise = groups > 1 and groups == node.inputs[0].shape.channels
    if groups > 1 and not depthwise:
        further.append(f"{groups} groups")
    return [f"{'depthwise ' if depthwise else ''}{size}", *further]


def _groups_of(node: Node) -> int:
    """The groups of a convolution; 1 of any other layer."""
    layer = node.layer
    groups = (
        layer.channels_and_groups(node.inputs[0].shape)[1]
        if isinstance(layer, Convolution)
        else layer.values.get("groups", 1)
    )
    return groups if isinstance(groups, int) else 1


def _enlarged(node: Node) -> tuple[int, ...]:
    """How many times as large a layer makes a map, if it is one that does so by a whole number."""
    before, after = node.inputs[0].shape.size, node.shape.size
    if node.kind not in ENLARGING:
        return ()
    times = []
    for n, m in zip(before, after, strict=True):
        if not isinstance(n, int) or not isinstance(m, int) or m % n:
            return ()
        times.append(m // n)
    return tuple(times) if max(times, default=1) > 1 else ()


def _body(station: Station, name: str, scale: Scale) -> Body:
    further = [f"← {what}" for what in station.joins]
    further += ["output" if output == name else f"output {output}" for output in station.outputs]
    further += [f"→ {output}" for output in station.departing]
    made = (
        f"{station.channels}" if station.least == station.channels else f"{station.least}–{station.channels}"
    )
    labels = (made, "×".join(map(str, station.size)), *_changes(station), name, *further)
    if not station.size:
        high = max(2.0, station.channels * scale.feature)
        return Body(station, labels, BAR, high, 0.0)
    rows, columns = _extents(station)
    thick = max(1.2, station.channels * scale.channel)
    return Body(station, labels, thick, max(1.5, rows * scale.row), columns * scale.column)


# ------------------------------------------------------------------------------ places


def _figure(name: str, found: Trunk, scale: Scale, width: float | None) -> Figure:
    """The bodies at their places. A U stays one unless a width is asked for that it does not fit."""
    names = _names(found.stations)
    bodies = [_body(station, said, scale) for station, said in zip(found.stations, names, strict=True)]
    if not any(body.labels[2] and body.labels[3] for body in bodies):
        # Where nothing is pooled and convolved at once, one line has room for both.
        for body in bodies:
            pooled, kernel = body.labels[2:4]
            body.labels = (*body.labels[:2], "", kernel or pooled, *body.labels[4:])
    figure = Figure(name, found, bodies)
    levels = _levels(found)
    if levels is not None:
        figure.bent = True
        extents = [body.labels[1] for body in bodies]
        for body, row in zip(bodies, levels, strict=True):
            body.row = row
            body.labels = (body.labels[0], _powers(body.station.size), *body.labels[2:])
        _label(figure)
        _place(figure)
        if width is None or figure.wide <= width:
            return figure
        figure.bent = False
        for body, extent in zip(bodies, extents, strict=True):
            body.labels = (body.labels[0], extent, *body.labels[2:])
    most = room = WIDEST if width is None else width
    for _ in range(TRIALS):
        _in_rows(figure, most)
        if figure.wide <= room:
            break
        most -= figure.wide - room + GAP
    return figure


def _in_rows(figure: Figure, most: float) -> None:
    """Bodies in one row, or in several where it would be too long."""
    bodies = figure.bodies
    for body in bodies:
        body.row = 0
    _label(figure)
    _place(figure)
    if figure.wide <= most:
        return
    widths = [body.wide + GAP for body in bodies]
    stages = [(body.labels[1], body.labels[NAME]) for body in bodies]
    begins = breaks(widths, figure.found.skips, stages, max(most - 2 * MARGIN - INDENT, 1.0))
    for k, body in enumerate(bodies):
        body.row = sum(at <= k for at in begins)
    _label(figure)
    _place(figure)


def _place(figure: Figure) -> None:
    """From the left to the right; in a U each row begins below or above the end of the one before."""
    bodies, found = figure.bodies, figure.found
    ends: dict[int, float] = {}
    before: Body | None = None
    for k, body in enumerate(bodies):
        entered = any(bodies[a].row == body.row for a, b in found.skips if b == k)
        fallen = k > 0 and bodies[k - 1].row < body.row
        rises = k + 1 < len(bodies) and bodies[k + 1].row < body.row
        body.aside = figure.bent and rises and (entered or fallen)
    for body in bodies:
        at = ends.get(body.row, MARGIN)
        if before is None:
            body.left = MARGIN
        elif before.row == body.row:
            body.left = at
        elif not figure.bent:
            body.left = MARGIN + INDENT
        else:
            above = before.side + GAP if before.aside else before.middle
            body.left = max(above - body.wide / 2, at + 2 * GAP if body.row in ends else MARGIN)
        ends[body.row] = body.left + body.wide + GAP
        before = body
    figure.skips = skips(found, bodies, figure.bent)


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
    across = any(b - a > 1 for a, b in found.skips)
    if not across and not all(station.size for station in found.stations):
        # The arms of an autoencoder have only a code in common.
        return None
    return levels if all(levels[a] == levels[b] for a, b in found.skips if b - a > 1) else None


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
        lacks = length_of(label.text, 10) - sum(body.wide for body in above) - GAP * (len(above) - 1)
        for body in above:
            body.wide += max(0.0, lacks) / len(above)


# ------------------------------------------------------------------------------ drawing


def _draw(drawing: drawsvg.Group, figure: Figure, scale: Scale, top: float) -> float:
    """Draw a figure below `top`; returns where it ends."""
    axes: list[float] = []
    floors: list[float] = []
    for row in range(figure.rows):
        members = figure.of(row)
        reach = max(body.reach for body in members)
        above = max([reach, *(skip.tops.get(row, 0.0) for skip in figure.skips)])
        axes.append(top + above + 2)
        floors.append(axes[-1] + reach + 4)
        labels = [label for label in figure.labels if figure.bodies[label.first].row == row]
        lines = sorted({label.line for label in labels})
        for label in labels:
            _write(drawing, figure.bodies, label, floors[-1] + (lines.index(label.line) + 1) * LINE)
        top = floors[-1] + len(lines) * LINE + 6
        if row + 1 < figure.rows:
            top += BETWEEN
        floors[-1] += len(lines) * LINE
    for body in figure.bodies:
        for shape in _shapes(body, axes[body.row]):
            drawing.append(shape)
    for k, (before, body) in enumerate(pairwise(figure.bodies), 1):
        if before.row == body.row:
            for shape in _window(before, body, axes[body.row], scale):
                drawing.append(shape)
        elif figure.bent:
            for shape in _step(before, body, axes, floors, (k - 1, k) in figure.found.skips):
                drawing.append(shape)
        else:
            drawing.append(_return(before, body, axes, floors[before.row] + BETWEEN / 2))
    for skip in figure.skips:
        drawing.append(skip.drawn(axes))
    return top


def _write(drawing: drawsvg.Group, bodies: list[Body], label: Label, y: float) -> None:
    first, last = bodies[label.first], bodies[label.last]
    middle = (first.left + last.left + last.wide) / 2
    kind = "label" if label.line < 2 else "kernel" if label.line < NAME else "name"
    drawing.append(words(label.text, middle, y, kind))
    half = length_of(label.text, 10) / 2 + 4
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
    windows = _windows(station)
    found = _groups_of(windows[-1]) if windows and station.repeated == 1 else 1
    return found if found <= SPLITS else 1


def _window(before: Body, body: Body, axis: float, scale: Scale) -> list[drawsvg.DrawingElement]:
    """The kernel where it reads the map before, on its side, and where that goes."""
    windows = _windows(body.station)
    if not windows or not before.station.size or body.station.repeated > 1 or before.lean < 4:
        return []
    taps, dilation = _per_axis(windows[0], "kernel"), _per_axis(windows[0], "dilation")
    kernel = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
    rows, columns = _extents(before.station)
    read = windows[0].inputs[0]
    if len(kernel) < 2 or (read.shape.size != before.station.size and read.node.kind != "pad"):
        return []
    tall, deep = min(kernel[-2], rows), min(kernel[-1], columns)
    high, lean = tall * scale.row, deep / columns * before.lean
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


def _step(
    before: Body, body: Body, axes: list[float], floors: list[float], skipped: bool
) -> Iterator[drawsvg.DrawingElement]:
    """From one row of a U to the next, and beside it the shortcut of a step that has one."""
    if before.aside:
        y1, y2 = axes[before.row] - before.lean / 2, floors[body.row] + 4
        yield _way([(before.side + 2, y1), (body.middle, y1), (body.middle, y2)])
        if skipped:
            x, y = body.middle + BESIDE, y1 + BESIDE
            yield _way([(before.side + 2, y), (x, y), (x, y2)], "skip")
        return
    down = body.row > before.row
    y1 = floors[before.row] + 4 if down else axes[before.row] - before.reach - 2
    y2 = axes[body.row] - body.reach - 3 if down else floors[body.row] + 4
    # Straight where it can be.
    near = abs(before.middle - body.middle) < (before.thick + before.lean) / 2
    x1, x2, middle = body.middle if near else before.middle, body.middle, (y1 + y2) / 2
    yield _way([(x1, y1), (x1, middle), (x2, middle), (x2, y2)])
    if skipped:
        # On the way down it keeps clear of what is copied across, which leaves from the right.
        aside = -BESIDE if down else BESIDE
        x1, x2, middle = x1 + aside, x2 + aside, middle + BESIDE * ((x2 > x1) - (x2 < x1))
        yield _way([(x1, y1), (x1, middle), (x2, middle), (x2, y2)], "skip")


def _return(before: Body, body: Body, axes: list[float], level: float) -> drawsvg.DrawingElement:
    """From the last body of a row to the first of the next, at a level between the rows."""
    right, left = before.left + before.wide + GAP / 2, MARGIN
    y1, y2 = axes[before.row] - before.lean / 2, axes[body.row] + body.lean / 2
    points = [(before.side + 2, y1), (right, y1), (right, level), (left, level), (left, y2)]
    return _way([*points, (body.front[0] - 2, y2)])


def _way(points: list[tuple[float, float]], kind: str = "way") -> drawsvg.DrawingElement:
    """Straight from point to point, with a tip at the last."""
    *_, (x1, y1), (x2, y2) = points
    across, down = ((x2 > x1) - (x2 < x1), 0) if y1 == y2 else (0, (y2 > y1) - (y2 < y1))
    way = drawsvg.Path(class_=kind).M(*map(rounded, points[0]))
    for x, y in points[1:-1]:
        way.L(rounded(x), rounded(y))
    way.L(rounded(x2 - 4 * across), rounded(y2 - 4 * down))
    group = drawsvg.Group()
    group.append(way)
    group.append(tip(x2, y2, down=down, right=across, kind="tip" if kind == "way" else "skip-tip"))
    return group
