"""Two networks side by side: what both have across, what one alone has on its side, the totals below.

What is the same is folded. A part that was put in place of another stands beside it. Signs and words say what
colours say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import drawsvg

from archdsl.comparison.changes import Change
from archdsl.comparison.text import DEEPEST, NAMES, READABLE, SIGNS, from_to, said, signed, total_texts
from archdsl.drawing.canvas import MARGIN, TITLE, WORDS, canvas, finished, rounded, words
from archdsl.drawing.lettering import width as text_width
from archdsl.problems.problem import plural

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
    """Rows in order of execution, as deep as they stay readable."""
    rows = _arranged(found.sequence)
    for depth in range(DEEPEST, 0, -1):
        if len(rows) <= READABLE:
            break
        rows = _arranged(found.folded(depth))
    if len(rows) > MOST:
        left = plural(len(rows) - MOST, "more row")
        rows = [*rows[:MOST], Row(both=Box("same", (left,), ()))]
    return rows


def _arranged(changes: Iterable[Change]) -> list[Row]:
    """What was removed and what was added in its place are in one row."""
    rows: list[Row] = []
    free = 0
    for change in changes:
        box = _box(change)
        if change.status == "removed":
            rows.append(Row(left=box))
            free += 1
        elif change.status == "added":
            if free:
                rows[-free] = Row(left=rows[-free].left, right=box)
                free -= 1
            else:
                rows.append(Row(right=box))
            continue
        else:
            rows.append(Row(both=box))
            free = 0
    return rows


def _box(change: Change) -> Box:
    layers = tuple(node.name for node in change.part.layers)
    if change.status == "same":
        many = f"{plural(len(layers), 'layer')} " if len(layers) > 1 else ""
        return Box("same", (f"{change.part.name}{SPACE}{many}unchanged",), layers)
    costs = [
        f"{signed(figure, short)} {noun}"
        for noun, figure, short in (
            ("parameters", change.figure("parameters"), False),
            ("MACs", change.figure("macs"), True),
        )
        if figure is not None and figure != 0
    ]
    lines = [f"{SIGNS[change.status][0]} {change.part.name}"]
    if change.status == "affected":
        lines[0] += f"{SPACE}{plural(len(layers), 'layer')}, other shapes or figures"
    else:
        lines.append(said(change))
    if costs:
        lines.append(", ".join(costs))
    return Box(change.status, tuple(lines), layers)


def _legend(found: Difference, rows: Sequence[Row]) -> str:
    """The signs that are there, and their words."""
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
