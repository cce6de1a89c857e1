"""What one unit reads: along each axis the units of every layer before it, and on a map nested squares.

A layer is a row of squares, each above the middle of what it sees of the input. Those that the unit depends
on are filled; positions in the padding are hatched. Layers whose units read only their own place have no row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod
from typing import TYPE_CHECKING

import drawsvg

from archdsl.analysis.flow import Flow, Pattern
from archdsl.analysis.receptive_field import Axis, Field, Fields, last_local_value, units_in_turn
from archdsl.analysis.units_read import MOST_UNITS, Box, UnitsRead, number_of, positions, units_read
from archdsl.drawing.canvas import (
    MARGIN,
    TITLE,
    WORDS,
    canvas,
    finished,
    rounded,
    tip,
    title,
    words,
)
from archdsl.drawing.choosing import layer_named
from archdsl.drawing.colours import told_apart
from archdsl.drawing.lettering import width as length
from archdsl.drawing.undrawable import OpenSizes, Undrawable
from archdsl.layers.linear_map import number
from archdsl.sizes import Size, TooLarge, symbols_of

if TYPE_CHECKING:
    from archdsl.analysis import Analysis
    from archdsl.compiler.network import Network

STYLE = """
.unit { fill: $page; stroke: $line; stroke-width: .6 } .read { stroke: $edge; stroke-width: .7 }
.chosen { stroke: $text; stroke-width: 1.8 } .pad { fill: $plain; stroke: $line; stroke-width: .6 }
.hatch { stroke: $line; stroke-width: .7 } .edge { stroke: $line; stroke-width: .6 }
.window { fill: $line; fill-opacity: .3 } .map { fill: $page; stroke: $edge; stroke-width: 1 }
.quiet { fill: $quiet } .grid { stroke: $faint; stroke-width: .5 } .outline { fill: none; stroke-width: 2 }
"""

CELL = 24.0
"""Pixels from one position of the input to the next, where there are few."""
WIDEST = 760.0
"""Pixels that a row may take."""
WHOLE_CELL = 16.0
"""Pixels between positions from which on the whole input is shown."""
LEAST_CELL = 4.0
"""Pixels of the smallest squares; smaller ones in a row become one bar."""
SPACE = 46.0
"""Pixels from row to row."""
AROUND = 3
"""Positions that are shown on both sides of a field, where the whole input has no room."""
MOST_ROWS = 14
MOST_EDGES = 240
"""How many lines are drawn between two rows; where there are more, the outline of them all."""
MAP = 400.0
"""Pixels of the larger side of a map."""
MOST_PATCHES = 5_000

Corner = Callable[[float, float], tuple[float, float]]
"""From a row and a column to a point of the picture."""


@dataclass(slots=True)
class Row:
    """A value that has a row, and which of its units are read."""

    value: int
    name: str
    field: Field
    units: list[Box]
    padded: list[Box]
    """What is read of it, with the positions outside."""
    cut: bool = False
    """Whether rows between it and the next are left out."""


@dataclass(slots=True)
class Edge:
    """How the units of one row read those of another, by their places in the list of rows."""

    upper: int
    lower: int
    patterns: tuple[Pattern | None, ...]


def receptive_field(network: Network, analysis: Analysis, unit: str | None) -> str:
    """The picture as SVG. Raises `Undrawable`."""
    flow, fields = analysis.flow, analysis.fields
    open_sizes = {name for node in network.inputs for extent in node.shape for name in symbols_of(extent)}
    if open_sizes:
        raise OpenSizes("what a unit reads is drawn of sizes that are numbers", open_sizes)
    value, place = _unit(network, flow, fields, unit)
    source, seen = _seen(network, flow, fields, value)
    every: Sequence[Field | Fields | None] = (
        fields if source is None else [_one(each, source) for each in fields]
    )
    try:
        read = units_read(flow, every, value, place)
    except TooLarge:
        raise Undrawable("the unit reads too many others to be drawn") from None
    rows, edges = _rows(flow, every, read, value)
    name = flow.nodes[flow.makers[value]].name
    chosen = f"unit {','.join(map(str, place))} of {name}"
    return _drawn(rows, edges, chosen, seen, place)


def _unit(
    network: Network, flow: Flow, fields: list[Field | Fields | None], unit: str | None
) -> tuple[int, tuple[int, ...]]:
    """The value that is meant, and which of its units."""
    if unit is None:
        found = last_local_value(flow, fields)
        if found is None or not flow.nodes[flow.makers[found]].shape.axes:
            raise Undrawable(f"{network.name} has no layer whose units see less than the whole input")
        value, text = found, ""
    else:
        name, _, text = unit.partition(":")
        node = layer_named(network, name, "the receptive field")
        value = flow.starts[flow.index[node]]
    node = flow.nodes[flow.makers[value]]
    size = tuple(map(number, node.shape.size))
    if not size:
        raise Undrawable(f"{node.name} has no positions: each of its units sees the whole input")
    if not text:
        _, seen = _seen(network, flow, fields, value)
        return value, tuple(_middle(axis, n) for axis, n in zip(seen.axes, size, strict=True))
    parts = text.split(",")
    if len(parts) != len(size) or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        example = ",".join(str((n - 1) // 2) for n in size)
        raise Undrawable(f"{unit!r} names no unit: {node.name} has units like {node.name}:{example}")
    place = tuple(map(int, parts))
    if not all(at < n for at, n in zip(place, size, strict=True)):
        of = " × ".join(map(str, size))
        raise Undrawable(f"{unit!r} names no unit: {node.name} has {of} units, counted from 0")
    return value, place


def _middle(axis: Axis, extent: int) -> int:
    """The unit in the middle; where units differ in turn, the nearest to it of those that see the most."""
    middle = (extent - 1) // 2
    (first, *others) = axis
    near = range(max(0, middle - first.period), min(extent, middle + first.period + 1))
    if others or first.period == 1:
        return middle
    return min(near, key=lambda unit: (-_hull(axis, unit), abs(unit - middle), unit))


def _hull(axis: Axis, unit: int) -> int:
    """How many positions there are from the first that a unit sees to the last."""
    seen = [one for one in (lattice.at(unit) for lattice in axis) if one is not None]
    return max(one.last for one in seen) - min(one.first for one in seen) + 1 if seen else 0


def _one(found: Field | Fields | None, source: str) -> Field | None:
    return found.by_input.get(source) if isinstance(found, Fields) else None


def _seen(
    network: Network, flow: Flow, fields: list[Field | Fields | None], value: int
) -> tuple[str | None, Field]:
    """The input in which the field is drawn, where there are several, and the field."""
    found = fields[value]
    name = flow.nodes[flow.makers[value]].name
    some = {None: found} if not isinstance(found, Fields) else {**found.by_input}
    for source, one in some.items():
        if isinstance(one, Field) and one.reach == "local":
            return source, one
    if found is None:
        raise Undrawable(f"{name} depends on no input")
    if any(isinstance(one, Field) and one.reach == "global" for one in some.values()):
        raise Undrawable(f"every unit of {name} sees the whole input: name a layer before it")
    raise Undrawable(f"the receptive field of {name} is not known")


# ------------------------------------------------------------------------------ rows


def _rows(
    flow: Flow, fields: Sequence[Field | Fields | None], read: UnitsRead, value: int
) -> tuple[list[Row], list[Edge]]:
    """The rows, that of the unit first, and how they read each other.

    A value that reads only its own places of one other stands in that one's row.
    """
    reads: dict[int, set[Way]] = {v: set() for v in read.units}
    padded: dict[int, list[Box]] = {}
    for reading in read.readings:
        reads[reading.reader].add((reading.feed, reading.patterns))
        if reading.feed in reads:
            padded.setdefault(reading.feed, []).extend(reading.read)
    stands = _merged(reads)
    names: dict[int, list[str]] = {}
    for v in sorted(read.units):
        name = flow.nodes[flow.makers[v]].name
        if v == stands[v] or stands[v] == stands[value]:
            names[stands[v]] = [name]
        elif not _only_places(reads[v]):
            names.setdefault(stands[v], []).append(name)
    names[stands[value]] = [flow.nodes[flow.makers[value]].name]
    kept = sorted({*stands.values()}, reverse=True)
    at = {v: k for k, v in enumerate(kept)}
    rows = []
    for v in kept:
        found = fields[v]
        assert isinstance(found, Field)
        several = names[v]
        name = several[0] if len(several) == 1 else f"{several[0]} ({len(several)} alike)"
        rows.append(Row(v, name, found, read.units[v], []))
    ways: dict[tuple[int, int, tuple[Pattern | None, ...]], None] = {}
    for reader, its in reads.items():
        for feed, patterns in its:
            rows[at[stands[feed]]].padded += padded[feed]
            if stands[reader] != stands[feed]:
                ways[at[stands[reader]], at[stands[feed]], patterns] = None
    return _fewer(rows, [Edge(*way) for way in ways])


Way = tuple[int, tuple[Pattern | None, ...]]
"""A value that is read, and how along each axis."""


def _only_places(ways: set[Way]) -> bool:
    """Whether a value reads nothing but its own places."""
    return bool(ways) and not any(any(patterns) for _, patterns in ways)


def _merged(reads: dict[int, set[Way]]) -> dict[int, int]:
    """In the row of which value each stands.

    One that reads its own places of one row alone stands there; those that read the same and are read by the
    same, as branches side by side, stand together.
    """
    stands = {v: v for v in reads}

    def of(v: int) -> int:
        while stands[v] != v:
            v = stands[v]
        return v

    while True:
        ways: dict[int, set[Way]] = {}
        readers: dict[int, set[Way]] = {}
        for v, its in reads.items():
            for feed, patterns in its:
                if of(v) != of(feed):
                    ways.setdefault(of(v), set()).add((of(feed), patterns))
                    readers.setdefault(of(feed), set()).add((of(v), patterns))
        places = {v: its for v, its in ways.items() if len(its) == 1 and _only_places(its)}
        for v, its in places.items():
            ((feed, _),) = its
            stands[v] = of(feed)
        if places:
            continue
        alike: dict[tuple[frozenset[Way], frozenset[Way]], int] = {}
        several = False
        for v in sorted(ways):
            if v in readers:
                first = alike.setdefault((frozenset(ways[v]), frozenset(readers[v])), v)
                if first != v:
                    stands[v], several = first, True
        if not several:
            return {v: of(v) for v in reads}


def _fewer(rows: list[Row], edges: list[Edge]) -> tuple[list[Row], list[Edge]]:
    """Some of very many rows: those after which the extents change, and of the others some.

    Between rows that do not follow each other nothing is said of how they are read.
    """
    if len(rows) <= MOST_ROWS:
        return rows, edges
    kept = {0, len(rows) - 1}
    kept |= {k for k, (row, after) in enumerate(pairwise(rows)) if row.field.extents != after.field.extents}
    rest = [k for k in range(len(rows)) if k not in kept]
    room = max(0, MOST_ROWS - len(kept))
    kept |= {rest[(2 * k + 1) * len(rest) // (2 * room)] for k in range(room)} if rest and room else set()
    order = sorted(kept)
    if len(order) > MOST_ROWS:
        order = [order[k * (len(order) - 1) // (MOST_ROWS - 1)] for k in range(MOST_ROWS)]
    place = {k: n for n, k in enumerate(order)}
    for k, after in pairwise(order):
        rows[k].cut = after > k + 1
    return [rows[k] for k in order], [
        Edge(place[e.upper], place[e.lower], e.patterns)
        for e in edges
        if e.upper in place and e.lower in place
    ]


def _along(boxes: list[Box], axis: int) -> frozenset[int]:
    return frozenset().union(*(box[axis] for box in boxes))


def _nominal(row: Row, axis: int) -> tuple[float, float]:
    """Where unit 0 of a row lies in the input, and how far apart its units lie."""
    lattice = row.field.axes[axis][0]
    stride = lattice.step / lattice.period
    middles = [
        (seen.first + seen.last) / 2 - r * stride for r, seen in enumerate(lattice.phases) if seen is not None
    ]
    return sum(middles) / len(middles) if middles else 0.0, stride


# ------------------------------------------------------------------------------ the picture


def _drawn(rows: list[Row], edges: list[Edge], chosen: str, seen: Field, place: tuple[int, ...]) -> str:
    axes = len(place)
    alike = _alike(rows, axes)
    names = {1: ("",), 2: ("height", "width"), 3: ("depth", "height", "width")}[axes]
    heading = f"What {chosen} reads"
    note = _note(rows[-1], seen, place)
    body = drawsvg.Group()
    top = MARGIN + 32.0
    width = MARGIN + max(length(heading, TITLE, bold=True), length(note, WORDS))
    if axes == 2:
        right, top = _map(body, rows, top)
        width = max(width, right)
    for axis in alike:
        same = [names[other] for other in range(axes) if alike[axis] and other in alike[axis]]
        if axes > 1:
            top += 18
            body.append(words(f"Along the {' and the '.join(same)}", MARGIN, top, "note"))
            top += 8
        right, top = _stack(body, rows, edges, axis, top)
        width = max(width, right)
    surfaces, lines = told_apart(len(rows), "c"), told_apart(len(rows), "s", strong=True)
    rules = STYLE + "".join(
        f".{name} {{ {what}: ${name} }}\n"
        for what, colours in (("fill", surfaces), ("stroke", lines))
        for name in colours
    )
    drawing = canvas(width + MARGIN, top + MARGIN, f"{heading}: {note}", rules, surfaces | lines)
    drawing.append(title(heading))
    drawing.append(words(note, MARGIN, MARGIN + 25, "note"))
    drawing.append(body)
    return finished(drawing)


def _alike(rows: list[Row], axes: int) -> dict[int, list[int]]:
    """The axes of which a picture is drawn, each with those that look the same."""
    found: dict[int, list[int]] = {}
    for axis in range(axes):
        for first, same in found.items():
            if all(
                row.field.extents[axis] == row.field.extents[first]
                and row.field.axes[axis] == row.field.axes[first]
                and _along(row.units, axis) == _along(row.units, first)
                and _along(row.padded, axis) == _along(row.padded, first)
                for row in rows
            ):
                same.append(axis)
                break
        else:
            found[axis] = [axis]
    return found


def _note(source: Row, seen: Field, place: tuple[int, ...]) -> str:
    """What the unit reads of the input, its field where that is not the same, and how other units' differ."""
    read = number_of(source.units)
    if not read:
        return f"nothing of {source.name}"
    size = tuple(_hull(axis, n) for axis, n in zip(seen.axes, place, strict=True))
    along = tuple(len(_along(source.units, axis)) for axis in range(len(size)))
    # What lies in a cross or a ring is no product.
    number = along if prod(along) == read else (read,)
    said = [f"{_times(number)} position{'s' if read > 1 else ''} of {source.name}"]
    outside = any(
        one.first < 0 or one.last >= extent
        for axis, n, extent in zip(seen.axes, place, source.field.extents, strict=True)
        for one in (lattice.at(n) for lattice in axis)
        if one is not None and isinstance(extent, int)
    )
    if number != size:
        said.append(f"in a field of {_times(size)}{' that reaches into the padding' if outside else ''}")
    if seen.stride is not None:
        steps = [str(step) for step in seen.stride]
        said.append(f"stride {steps[0] if len(set(steps)) == 1 else ' × '.join(steps)}")
    if seen.at_most:
        said.append("at most, as the values choose")
    note = ", ".join(said)
    ends = [_least_and_most(axis, extent) for axis, extent in zip(seen.axes, seen.extents, strict=True)]
    if any(least < most for least, most in ends):
        least, most = (_times(tuple(end[k] for end in ends)) for k in (0, 1))
        note += f"; units differ, their fields are {least} to {most}"
    return note


def _times(numbers: tuple[int, ...]) -> str:
    return " × ".join(map(str, numbers))


def _least_and_most(axis: Axis, extent: Size) -> tuple[int, int]:
    """The smallest and the largest field along an axis, of units that see anything."""
    assert isinstance(extent, int)
    several = units_in_turn(axis[0].period, extent) if len(axis) == 1 else min(extent, MOST_UNITS)
    sizes = [size for unit in range(several) if (size := _hull(axis, unit))]
    return min(sizes, default=0), max(sizes, default=0)


@dataclass(slots=True)
class Scale:
    """Where a position of the input stands in the picture."""

    left: float
    low: float
    cell: float
    high: float

    def x(self, position: float) -> float:
        return self.left + (position - self.low + 0.5) * self.cell


def _stack(
    body: drawsvg.Group, rows: list[Row], edges: list[Edge], axis: int, top: float
) -> tuple[float, float]:
    """The rows along one axis; gives where they end at the right and at the bottom."""
    places = [_nominal(row, axis) for row in rows]
    ends = []
    for row, (start, stride) in zip(rows, places, strict=True):
        for n in _along([*row.units, *row.padded], axis):
            ends.append(start + n * stride)
    extent = rows[-1].field.extents[axis]
    assert isinstance(extent, int)
    low, high = min(ends), max(ends)
    if max(high, extent - 1) - min(low, 0) < WIDEST / WHOLE_CELL:
        low, high = min(low, 0), max(high, extent - 1)
    else:
        low, high = low - AROUND, high + AROUND
    if WIDEST / (high - low + 1) * 0.8 < LEAST_CELL:
        # Bars reach to where the next unit would begin.
        over = max(stride for _, stride in places) / 2
        low, high = low - over, high + over
    names = [row.name for row in rows]
    left = MARGIN + max(length(name, WORDS) for name in names) + 10
    cell = min(CELL, WIDEST / (high - low + 1))
    scale = Scale(left, low, cell, high)
    right = left + (high - low + 1) * cell
    heights = [top + 14 + k * SPACE for k in range(len(rows))]
    for edge in edges:
        if edge.lower == edge.upper + 1:
            _edges(body, rows, places, edge, axis, scale, heights)
    direct = {(edge.upper, edge.lower) for edge in edges}
    for k, row in enumerate(rows):
        if row.cut:
            y = heights[k] + SPACE / 2 + 4
            body.append(words("⋮", left - 10, y, "end"))
            # Lines that lead on between them say how the one reads the other past those left out.
            if (k, k + 1) not in direct:
                body.append(words("⋮", left + (right - left) / 2, y, ""))
    for k, row in enumerate(rows):
        _row(body, row, k, places[k], axis, scale, heights[k])
        body.append(words(row.name, left - 10, heights[k] + 4, "end"))
    bottom = heights[-1] + 14
    if length(f"{extent - 1} ", WORDS) <= cell:
        for n in range(extent):
            if low <= n <= high:
                body.append(words(str(n), scale.x(n), heights[-1] + 25, "quiet"))
        bottom += 16
    skips = sorted(
        {(e.upper, e.lower) for e in edges if e.lower > e.upper + 1}, key=lambda skip: skip[1] - skip[0]
    )
    at = right + 8
    for upper, lower in skips:
        body.append(_skip(right + 4, at + 8, heights[upper], heights[lower]))
        at += 8
    return (at + 8 if skips else right), bottom


def _side(stride: float, cell: float) -> float:
    """How wide the square of a unit is."""
    return max(1.5, cell * min(1.0, stride or 1.0) * 0.8)


def _half(stride: float, cell: float) -> float:
    """Half of that; of a bar, half of what belongs to a unit."""
    side = _side(stride, cell)
    return max(stride * cell, 1.5) / 2 if side < LEAST_CELL else side / 2


def _row(
    body: drawsvg.Group,
    row: Row,
    k: int,
    place: tuple[float, float],
    axis: int,
    scale: Scale,
    y: float,
) -> None:
    start, stride = place
    side = _side(stride, scale.cell)
    high = min(side, CELL * 0.8) if side >= LEAST_CELL else 12.0
    extent = row.field.extents[axis]
    assert isinstance(extent, int)
    read = _along(row.units, axis)
    outside = [n for n in _along(row.padded, axis) if not 0 <= n < extent]
    inside = [n for n in range(extent) if scale.low - 0.01 <= start + n * stride <= scale.high + 0.01]
    kind = f"read c{k + 1}" + (" chosen" if k == 0 else "")
    if side < LEAST_CELL:
        for numbers, name in ((inside, "unit"), (sorted(read), kind), (sorted(outside), "pad")):
            for first, last in _runs(numbers):
                half = _half(stride, scale.cell)
                x = scale.x(start + first * stride) - half
                end = min(x + (last - first) * stride * scale.cell + 2 * half, scale.x(scale.high + 0.5))
                x = max(x, scale.left)
                wide = end - x
                bar = _rectangle(x, y - high / 2, wide, high, name)
                if name == "unit" and (first > 0 or last < extent - 1):
                    bar.args["stroke-dasharray"] = _open(wide, high, first > 0, last < extent - 1)
                body.append(bar)
                if name == "pad" and wide > 6:
                    for line in _hatches(x, y - high / 2, wide, high):
                        body.append(line)
        return
    for n in inside:
        name = kind if n in read else "unit"
        body.append(_rectangle(scale.x(start + n * stride) - side / 2, y - high / 2, side, high, name))
    for n in outside:
        x = scale.x(start + n * stride) - side / 2
        body.append(_rectangle(x, y - high / 2, side, high, "pad"))
        for line in _hatches(x, y - high / 2, side, high):
            body.append(line)


def _open(wide: float, high: float, left: bool, right: bool) -> str:
    """The dashes that leave out sides of a rectangle, where a row goes on: clockwise from the upper left."""
    if left and right:
        dashes = [wide, high]
    elif left:
        dashes = [2 * wide + high, high]
    else:
        dashes = [wide, high, wide + high, 0.0]
    return " ".join(f"{rounded(dash)}" for dash in dashes)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """The first and last of each run of numbers that follow each other."""
    runs: list[tuple[int, int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    return runs


def _rectangle(x: float, y: float, wide: float, high: float, kind: str) -> drawsvg.Rectangle:
    return drawsvg.Rectangle(rounded(x), rounded(y), rounded(wide), rounded(high), class_=kind)


def _hatches(x: float, y: float, wide: float, high: float, apart: float = 6.0) -> list[drawsvg.Line]:
    """Slanted lines within a rectangle."""
    lines = []
    at = apart / 2
    while at < wide + high:
        # From the upper edge or the right one down to the left edge or the lower one.
        x1, y1 = (x + at, y) if at <= wide else (x + wide, y + at - wide)
        x2, y2 = (x, y + at) if at <= high else (x + at - high, y + high)
        lines.append(drawsvg.Line(*map(rounded, (x1, y1, x2, y2)), class_="hatch"))
        at += apart
    return lines


def _edges(
    body: drawsvg.Group,
    rows: list[Row],
    places: list[tuple[float, float]],
    edge: Edge,
    axis: int,
    scale: Scale,
    heights: list[float],
) -> None:
    """Lines from the units of a row to what they read of the one below it, or the outline of many."""
    pattern = edge.patterns[axis]
    (above, over), (below, under) = places[edge.upper], places[edge.lower]
    pairs = [(u, p) for u in sorted(_along(rows[edge.upper].units, axis)) for p in positions(pattern, u)]
    if not pairs:
        return
    tops, lows = (min(_side(s, scale.cell), CELL * 0.8) / 2 for s in (over, under))
    y1, y2 = heights[edge.upper] + max(tops, 6), heights[edge.lower] - max(lows, 6)
    # Between squares the lines end at their edges, so that none crosses a square.
    y1, y2 = min(y1, heights[edge.upper] + 10), max(y2, heights[edge.lower] - 10)
    if len(pairs) <= MOST_EDGES and scale.cell >= LEAST_CELL:
        for u, p in pairs:
            x1, x2 = scale.x(above + u * over), scale.x(below + p * under)
            body.append(drawsvg.Line(*map(rounded, (x1, y1, x2, y2)), class_="edge"))
        return
    first, last = min(u for u, _ in pairs), max(u for u, _ in pairs)
    low, high = min(p for _, p in pairs), max(p for _, p in pairs)
    half = [_half(s, scale.cell) for s in (over, under)]
    corners = [
        *(scale.x(above + first * over) - half[0], y1, scale.x(above + last * over) + half[0], y1),
        *(scale.x(below + high * under) + half[1], y2, scale.x(below + low * under) - half[1], y2),
    ]
    body.append(drawsvg.Lines(*map(rounded, corners), close=True, class_="window"))


def _skip(start: float, right: float, upper: float, lower: float) -> drawsvg.Group:
    """A way round the rows between two."""
    group = drawsvg.Group()
    path = drawsvg.Path(class_="skip")
    path.M(rounded(start), rounded(upper)).L(rounded(right), rounded(upper))
    path.L(rounded(right), rounded(lower)).L(rounded(start + 5), rounded(lower))
    group.append(path)
    group.append(tip(start, lower, right=-1, kind="skip-tip"))
    return group


# ------------------------------------------------------------------------------ a map


def _map(body: drawsvg.Group, rows: list[Row], top: float) -> tuple[float, float]:
    """The input's grid, what the unit reads of it, and around it the fields of a unit of each row."""
    source = rows[-1]
    height, width = source.field.extents
    assert isinstance(height, int) and isinstance(width, int)
    chosen = [sorted(_along(rows[0].units, axis))[0] for axis in (0, 1)]
    places = [_nominal(rows[0], axis) for axis in (0, 1)]
    middles = [start + n * stride for n, (start, stride) in zip(chosen, places, strict=True)]
    squares = [_field_of(row, middles) for row in rows]
    spans = [
        (min(0, *(s[axis][0] for s in squares)), max(n - 1, *(s[axis][1] for s in squares)))
        for axis, n in enumerate((height, width))
    ]
    scale = min(CELL * 0.8, MAP / max(high - low + 1 for low, high in spans))
    left = MARGIN + 4

    def corner(row: float, column: float) -> tuple[float, float]:
        return left + (column - spans[1][0]) * scale, top + (row - spans[0][0]) * scale

    x, y = corner(0, 0)
    outer = squares[0]
    if outer[0][0] < 0 or outer[1][0] < 0 or outer[0][1] >= height or outer[1][1] >= width:
        x0, y0 = corner(outer[0][0], outer[1][0])
        x1, y1 = corner(outer[0][1] + 1, outer[1][1] + 1)
        body.append(_rectangle(x0, y0, x1 - x0, y1 - y0, "pad"))
        for line in _hatches(x0, y0, x1 - x0, y1 - y0, 8.0):
            body.append(line)
    body.append(_rectangle(x, y, width * scale, height * scale, "map"))
    _patches(body, source, corner, scale)
    if scale >= LEAST_CELL + 1:
        for n in range(1, width):
            ends = (x + n * scale, y, x + n * scale, y + height * scale)
            body.append(drawsvg.Line(*map(rounded, ends), class_="grid"))
        for n in range(1, height):
            ends = (x, y + n * scale, x + width * scale, y + n * scale)
            body.append(drawsvg.Line(*map(rounded, ends), class_="grid"))
    right = corner(0, spans[1][1] + 1)[0] + 22
    widest = 0.0
    for k, (row, square) in enumerate(zip(rows[:-1], squares, strict=False)):
        x0, y0 = corner(square[0][0], square[1][0])
        x1, y1 = corner(square[0][1] + 1, square[1][1] + 1)
        body.append(_rectangle(x0, y0, x1 - x0, y1 - y0, f"outline s{k + 1}"))
        at = top + 6 + k * 18
        body.append(_rectangle(right, at, 11, 11, f"outline s{k + 1}"))
        size = " × ".join(str(last - first + 1) for first, last in square)
        said = f"{row.name}: {size}"
        body.append(words(said, right + 18, at + 9, "start"))
        widest = max(widest, 18 + length(said, WORDS))
    bottom = max(corner(spans[0][1] + 1, 0)[1], top + 6 + (len(rows) - 1) * 18)
    return right + widest, bottom + 4


def _field_of(row: Row, middles: list[float]) -> tuple[tuple[int, int], ...]:
    """The ends of the field of one unit: of the one in the middle of what is read, or the one before it.

    What is read has its middle where the unit has that reads it, also where a part is outside the map.
    """
    ends = []
    for axis, lattices in enumerate(row.field.axes):
        units = sorted(_along(row.units, axis))
        start, stride = _nominal(row, axis)
        nearest = ceil((middles[axis] - start) / stride - 0.5 - 1e-6) if stride else units[0]
        unit = min(max(nearest, units[0]), units[-1])
        seen = [one for one in (lattice.at(unit) for lattice in lattices) if one is not None]
        ends.append((min((s.first for s in seen), default=0), max((s.last for s in seen), default=0)))
    return tuple(ends)


def _patches(body: drawsvg.Group, source: Row, corner: Corner, scale: float) -> None:
    """What is read of the input, each run of rows and columns as one."""
    for box in source.units:
        down, across = (_runs(sorted(units)) for units in box)
        if len(down) * len(across) > MOST_PATCHES:
            down, across = ([(runs[0][0], runs[-1][1])] for runs in (down, across))
        for first, last in down:
            for begin, end in across:
                x, y = corner(first, begin)
                wide, high = (end - begin + 1) * scale, (last - first + 1) * scale
                body.append(_rectangle(x, y, wide, high, "patch c1"))
