"""Two networks side by side: what both have across, what one alone has on its side, the totals below.

What is the same is folded, and what is alike stands once, where the first is. A part that was put in place of
another stands beside it. Signs and words say what colours say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import drawsvg

from archdsl.comparison.changes import Change
from archdsl.comparison.groups import Group, from_to
from archdsl.comparison.parts import together
from archdsl.comparison.text import NAMES, SIGNS, costs, total_texts, unlikeness
from archdsl.drawing.canvas import MARGIN, TITLE, WORDS, canvas, finished, rounded, words
from archdsl.drawing.lettering import width as text_width
from archdsl.problems.problem import plural
from archdsl.report.calls import layer_call

if TYPE_CHECKING:
    from archdsl.comparison.difference import Difference

STYLE = """
.head { font-weight: 600 }
.wire { stroke: $line; stroke-width: 1.2 } .rule { stroke: $faint; stroke-width: 1 }
rect { stroke-width: 1.2 } .same { fill: $plain; stroke: $faint }
.affected { fill: $plain; stroke: $orange; stroke-dasharray: 4 3 }
.added { fill: $new; stroke: $green } .removed { fill: $join; stroke: $red }
.changed { fill: $output; stroke: $orange } .moved { fill: $layer; stroke: $blue }
"""

SPACE = "\u2003"
"""Between words that are apart: plain spaces close up in a picture."""

COLUMN = 300.0
"""Pixels that one network's side is wide."""
BETWEEN = 20.0
WIDTH = 2 * MARGIN + 2 * COLUMN + BETWEEN
LINE = 15.0
"""Pixels a line of text is high."""
PADDING = 7.0
"""Pixels between a box and its text."""
GAP = 10.0
"""Pixels between boxes."""

MOST = 150
"""How many rows it has at most."""


@dataclass(frozen=True, slots=True)
class Box:
    """What is said of a change: its kind, its lines from the top, and the layers that it is."""

    status: str
    lines: tuple[str, ...]
    layers: tuple[str, ...]

    @property
    def high(self) -> float:
        return 2 * PADDING + LINE * len(self.lines)


@dataclass(frozen=True, slots=True)
class Row:
    """A box across both sides, or one on either side."""

    both: Box | None = None
    left: Box | None = None
    right: Box | None = None

    @property
    def high(self) -> float:
        return max(box.high for box in (self.both, self.left, self.right) if box is not None)


def difference(found: Difference) -> str:
    """The picture as SVG."""
    rows = _rows(found)
    legend = 54.0
    top = legend + 34
    tall = sum(row.high for row in rows) + GAP * (len(rows) + 1)
    totals = _totals(found)
    high = top + tall + LINE * (len(totals) + 1) + 3 * MARGIN
    drawing = canvas(WIDTH, high, f"How {found.after.name} differs from {found.before.name}", STYLE)
    names = from_to(found.before.name, found.after.name)
    drawing.append(_text(names, MARGIN, MARGIN + 9, "title", WIDTH - 2 * MARGIN))
    drawing.append(_text(_legend(found, rows), MARGIN, legend - 10, "note", WIDTH - 2 * MARGIN))
    centres = (MARGIN + COLUMN / 2, MARGIN + COLUMN + BETWEEN + COLUMN / 2)
    for report, x in zip((found.before, found.after), centres, strict=True):
        drawing.append(_text(report.name, x, legend + 14, "head middle", COLUMN))
        file = report.network.place.source.name
        drawing.append(_text(file, x, legend + 14 + LINE, "note middle", COLUMN))
        drawing.append(drawsvg.Line(x, top, x, rounded(top + tall), class_="wire"))
    y = top + GAP
    for row in rows:
        for box, left, wide in (
            (row.both, MARGIN, 2 * COLUMN + BETWEEN),
            (row.left, MARGIN, COLUMN),
            (row.right, MARGIN + COLUMN + BETWEEN, COLUMN),
        ):
            if box is not None:
                _draw(drawing, box, left, y, wide)
        y += row.high + GAP
    _table(drawing, totals, y + MARGIN)
    return finished(drawing)


# ------------------------------------------------------------------------------ rows


def _rows(found: Difference) -> list[Row]:
    """Rows in order of execution. Changes that are alike are told once as in the text, where the first is.

    Of two unlike networks it is their outermost parts, each on its side.
    """
    if found.unlike:
        ours, theirs = found.apart()
        pairs = zip_longest(
            [_whole(Change("removed", part, None)) for part in ours],
            [_whole(Change("added", None, part)) for part in theirs],
        )
        return _shortened([Row(left=left, right=right) for left, right in pairs])
    sequence = found.readable()
    groups = {id(group.changes[0]): group for group in found.grouped(sequence)}
    rows: list[Row] = []
    free = 0
    kept: list[Change] = []
    for change in sequence:
        group = groups.get(id(change))
        if change.status in ("same", "affected"):
            kept.append(change)
        elif group is not None:
            if kept:
                rows.append(Row(both=_kept(kept)))
                kept, free = [], 0
            free = _add(rows, _box(group), free)
    if kept:
        rows.append(Row(both=_kept(kept)))
    return _shortened(rows)


def _shortened(rows: list[Row]) -> list[Row]:
    if len(rows) <= MOST:
        return rows
    left = plural(len(rows) - MOST, "more row")
    return [*rows[:MOST], Row(both=Box("same", (left,), ()))]


def _add(rows: list[Row], box: Box, free: int) -> int:
    """One box more. What was removed and what was added in its place are in one row.

    `free` is how many of the last rows have place on the right; what is given back is how many then have.
    """
    if box.status == "removed":
        rows.append(Row(left=box))
        return free + 1
    if box.status != "added":
        rows.append(Row(both=box))
        return 0
    if free:
        rows[-free] = Row(left=rows[-free].left, right=box)
        return free - 1
    rows.append(Row(right=box))
    return 0


def _kept(changes: Sequence[Change]) -> Box:
    """Layers that the file has as before."""
    parts = [change.part for change in changes]
    layers = [node.name for part in parts for node in part.layers]
    follow = sum(len(change.part.layers) for change in changes if change.status == "affected")
    name = parts[0].name if len(parts) == 1 else together(parts).name
    many = plural(len(layers), "layer") if len(layers) > 1 else ""
    if not follow:
        return Box("same", (f"{name}{SPACE}{f'{many} unchanged'.strip()}",), tuple(layers))
    others = "other shapes or figures" if follow == len(layers) else f"{follow} of them follow"
    said = ", ".join(filter(None, (many, others)))
    return Box("affected", (f"{SIGNS['affected'][0]} {name}{SPACE}{said}",), tuple(layers))


def _box(group: Group) -> Box:
    lines = [f"{SIGNS[group.status][0]} {group.shown}", SPACE.join(filter(None, (group.often, group.said)))]
    layers = tuple(node.name for change in group.changes for node in change.part.layers)
    return Box(group.status, (*lines, *filter(None, [costs(group)])), layers)


def _whole(change: Change) -> Box:
    """A part of one of two unlike networks."""
    part = change.part
    many = len(part.layers)
    said = layer_call(part.layers[0]) if many == 1 else plural(many, "layer")
    lines = (f"{SIGNS[change.status][0]} {part.name}", said, costs(Group((change,))))
    return Box(change.status, tuple(filter(None, lines)), tuple(node.name for node in part.layers))


def _legend(found: Difference, rows: Sequence[Row]) -> str:
    """The signs that are there, and their words; of unlike networks, that they are."""
    if found.unlike:
        return unlikeness(found)
    if found.same:
        return "no difference in structure"
    boxes = [box for row in rows for box in (row.both, row.left, row.right) if box is not None]
    there = {box.status for box in boxes}
    return (2 * SPACE).join(f"{sign} {word}" for status, (sign, word, _) in SIGNS.items() if status in there)


# ------------------------------------------------------------------------------ drawn


def _draw(drawing: drawsvg.Drawing, box: Box, left: float, y: float, wide: float) -> None:
    shape = drawsvg.Rectangle(rounded(left), rounded(y), wide, rounded(box.high), rx=4, class_=box.status)
    if box.layers:
        more = f", … ({len(box.layers)} layers)" if len(box.layers) > 12 else ""
        shape.append_title(", ".join(box.layers[:12]) + more)
    drawing.append(shape)
    room = wide - 2 * PADDING - 4
    for number, line in enumerate(box.lines):
        below = y + PADDING + LINE * (number + 1) - 4
        head = number == 0 and box.status not in ("same", "affected")
        drawing.append(_text(line, left + wide / 2, below, "head middle" if head else "note middle", room))


def _text(text: str, x: float, y: float, kind: str, room: float) -> drawsvg.Text:
    """Words that take no more than so many pixels; longer ones lose their end."""
    size, bold = (TITLE if kind == "title" else WORDS), kind in ("title", "head middle")
    if text_width(text, size, bold) > room:
        while text and text_width(f"{text}…", size, bold) > room:
            text = text[:-1]
        text = f"{text.rstrip()}…"
    return words(text, x, y, kind, size)


def _totals(found: Difference) -> list[tuple[str, ...]]:
    """The totals that changed: name, before, after, difference, and the part that this is."""
    rows: list[tuple[str, ...]] = []
    for total in found.totals:
        if total.name in NAMES and total.changed:
            texts = total_texts(total)
            if texts[0] != texts[1]:
                rows.append((NAMES[total.name], *texts))
    return rows


def _table(drawing: drawsvg.Drawing, rows: list[tuple[str, ...]], y: float) -> None:
    edges = (MARGIN, MARGIN + 245, MARGIN + 390, WIDTH - MARGIN - 75, WIDTH - MARGIN)
    rooms = (105.0, 135.0, 135.0, 145.0, 70.0)
    if rows:
        rows = [("", "before", "after", "difference", ""), *rows]
        drawing.append(drawsvg.Line(MARGIN, rounded(y), WIDTH - MARGIN, rounded(y), class_="rule"))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            kind = "note" if number == 0 or column in (0, 4) else ""
            place = kind if column == 0 else f"{kind} end".strip()
            below = y + LINE * (number + 1)
            drawing.append(_text(text, edges[column], below, place, rooms[column]))
