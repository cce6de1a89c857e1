"""Pictures of what shifts of the input do to values: differences by shift, and unit by unit."""

from __future__ import annotations

from dataclasses import dataclass

import drawsvg

from archdsl.drawing.canvas import MARGIN, TITLE, WORDS, canvas, finished, rounded, title, words
from archdsl.drawing.colours import graded
from archdsl.drawing.lettering import width as length

GRADES = 8
"""How many colours differences have, from just above 0 to 1."""
STYLE = """
.same { fill: $map } .unseen { fill: $plain }
.head { font-weight: 600; text-anchor: start }
.claim { fill: none; stroke: $text; stroke-width: 1.4 }
.inside { fill: none; stroke: $text; stroke-width: 1.2; stroke-dasharray: 4 3 }
.base { stroke: $line; stroke-width: .8 }
"""

PLOT = 160.0
"""Pixels of the side of a map, or of the width of bars, at most."""
CELL = 20.0
"""Pixels of a cell where there are few."""
BARS = 64.0
"""Pixels of a bar that stands for 1."""
GAP = 34.0
"""Pixels between what stands beside or below each other."""
LINE = 14.0
"""Pixels a line of words is high."""
AXIS = 14.0
"""Pixels below bars that their numbers take."""
LEAST_APART = 16.0
"""Pixels between the numbers of an axis."""

Shares = list[list[float | None]]
"""Differences by row and column, as shares; a signal has one row. None where nothing is compared."""
Frame = tuple[int, int, int, int]
"""The first row, the row after the last, and the same of columns."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What shifts do to one value.

    `by_shift` has a row for each shift along one axis and a column for each along the next; of the shifts
    `answered`, it is claimed that the value answers to them. `by_unit` is after one shift, which `shifted`
    says; `frame` is what is claimed of it.
    """

    name: str
    notes: tuple[str, ...]
    by_shift: Shares
    answered: list[list[bool]]
    by_unit: Shares | None
    shifted: str
    frame: Frame | None


def shifts(heading: str, note: str, panels: list[Panel]) -> str:
    """The panels, two beside each other, as SVG."""
    body = drawsvg.Group()
    right = max(length(heading, TITLE, bold=True), length(note, WORDS)) + MARGIN
    body.append(title(heading))
    body.append(words(note, MARGIN, MARGIN + 26, "note"))
    aside = max(22 + 2 * PLOT + GAP, *(length(note, WORDS) for one in panels for note in one.notes)) + GAP
    top = MARGIN + 26 + LINE
    for k in range(0, len(panels), 2):
        ends = [
            _panel(body, panel, MARGIN + column * aside, top)
            for column, panel in enumerate(panels[k : k + 2])
        ]
        right = max(right, *(end for end, _ in ends))
        top = max(low for _, low in ends)
    wide, bottom = _legend(body, top + 4)
    grades = graded(GRADES, "grade")
    rules = STYLE + "".join(f".{name} {{ fill: ${name} }}\n" for name in grades)
    drawing = canvas(max(right, wide) + MARGIN, bottom + MARGIN, heading, rules, grades)
    drawing.append(body)
    return finished(drawing)


def _panel(body: drawsvg.Group, panel: Panel, left: float, top: float) -> tuple[float, float]:
    """One value with its words and plots; gives where it ends at the right and at the bottom."""
    body.append(words(panel.name, left, top + LINE, "head"))
    right = left + length(panel.name, WORDS, bold=True)
    for k, note in enumerate(panel.notes, 2):
        body.append(words(note, left, top + k * LINE, "note"))
        right = max(right, left + length(note, WORDS))
    y = top + (len(panel.notes) + (1 if len(panel.by_shift) == 1 else 2)) * LINE + 8
    left += 22
    end, low = _plot(body, panel.by_shift, left, y, "by shift of the input")
    for row, answers in enumerate(panel.answered):
        for column, answered in enumerate(answers):
            if answered:
                _mark(body, panel.by_shift, left, y, row, column)
    _numbers(body, panel, left, y)
    right = max(right, end)
    if panel.by_unit is not None:
        left = max(end, left + PLOT) + GAP
        end, under = _plot(body, panel.by_unit, left, y, panel.shifted)
        if panel.frame is not None:
            _frame(body, panel.by_unit, left, y, panel.frame)
        right, low = max(right, end), max(low, under)
    return right, low + GAP / 2


def _cell(shares: Shares) -> float:
    return min(CELL, PLOT / max(len(shares), len(shares[0])))


def _plot(body: drawsvg.Group, shares: Shares, left: float, top: float, caption: str) -> tuple[float, float]:
    """A map of cells, or bars, with what it is below it; gives where it ends."""
    cell = _cell(shares)
    flat = len(shares) == 1
    high = BARS if flat else cell * len(shares)
    for grade in range(-1, GRADES + 1):
        path = "".join(
            _bar(share, column) if flat else f"M{column} {row}h1v1h-1z"
            for row, some in enumerate(shares)
            for column, share in enumerate(some)
            if _grade(share) == grade
        )
        if path:
            kind = "unseen" if grade < 0 else "same" if grade == 0 else f"grade{grade}"
            tall = BARS if flat else cell
            placed = f"translate({rounded(left)} {rounded(top)}) scale({cell:.4g} {tall:.4g})"
            body.append(drawsvg.Path(d=path, class_=kind, transform=placed))
    end = left + cell * len(shares[0])
    if flat:
        base = rounded(top + high)
        body.append(drawsvg.Line(rounded(left), base, rounded(end), base, class_="base"))
    low = top + high + LINE + (AXIS if flat else 0)
    body.append(words(caption, left, low, "note"))
    return max(end, left + length(caption, WORDS)), low + 4


def _grade(share: float | None) -> int:
    """Which colour a share has: 0 where there is no difference, -1 where nothing is compared."""
    if share is None:
        return -1
    return 0 if share == 0 else min(GRADES, 1 + int(share * GRADES))


def _bar(share: float | None, column: int) -> str:
    """A bar in units of its width and of the height that stands for 1; a thin one for no difference."""
    tall = 1.0 if share is None else min(max(share, 0.05), 1.0)
    return f"M{column + 0.1:g} 1v{-tall:.3g}h.8v{tall:.3g}z"


def _mark(body: drawsvg.Group, shares: Shares, left: float, top: float, row: int, column: int) -> None:
    """That a shift is claimed to be answered."""
    cell = _cell(shares)
    x = left + column * cell
    if len(shares) == 1:
        y = top + BARS + 3
        body.append(
            drawsvg.Line(rounded(x + 1), rounded(y), rounded(x + cell - 1), rounded(y), class_="claim")
        )
        return
    y, side = top + row * cell, rounded(cell - 2)
    body.append(drawsvg.Rectangle(rounded(x + 1), rounded(y + 1), side, side, class_="claim"))


def _numbers(body: drawsvg.Group, panel: Panel, left: float, top: float) -> None:
    """The shifts at the axes, as many as have room, and what the axes are."""
    cell = _cell(panel.by_shift)
    every = next(step for step in (1, 2, 4, 8, 16, 32, 64) if step * cell >= LEAST_APART)
    flat = len(panel.by_shift) == 1
    y = top + BARS + AXIS if flat else top - 4
    for k in range(0, len(panel.by_shift[0]), every):
        body.append(words(str(k), left + (k + 0.5) * cell, y, "middle", 8))
    for k in range(0, 0 if flat else len(panel.by_shift), every):
        body.append(words(str(k), left - 4, top + (k + 0.5) * cell + 3, "end", 8))


def _frame(body: drawsvg.Group, shares: Shares, left: float, top: float, frame: Frame) -> None:
    """The units of which something is claimed."""
    cell = _cell(shares)
    first, last, start, end = frame
    if first >= last or start >= end:
        return
    flat = len(shares) == 1
    high = BARS if flat else (last - first) * cell
    y = top if flat else top + first * cell
    body.append(
        drawsvg.Rectangle(
            *map(rounded, (left + start * cell, y, (end - start) * cell, high)), class_="inside"
        )
    )


def _legend(body: drawsvg.Group, top: float) -> tuple[float, float]:
    """What colours and lines mean; gives where it ends."""
    x, side = MARGIN, 11.0
    for kind, said in (
        ("same", "no difference"),
        ("unseen", "nothing to compare"),
        ("claim", "shift that is claimed to be answered"),
        ("inside", "units of which that is claimed"),
    ):
        body.append(drawsvg.Rectangle(rounded(x), rounded(top), side, side, class_=kind))
        body.append(words(said, x + side + 5, top + 9, "note"))
        right = x + side + 5 + length(said, WORDS)
        x = right + 14
    x, top = MARGIN, top + LINE + 5
    for grade in range(1, GRADES + 1):
        body.append(drawsvg.Rectangle(rounded(x), rounded(top), side, side, class_=f"grade{grade}"))
        x += side
    said = "from nearly none to 1: as different as for another input"
    body.append(words(said, x + 5, top + 9, "note"))
    return max(right, x + 5 + length(said, WORDS)), top + side
