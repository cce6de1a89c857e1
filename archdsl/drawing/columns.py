"""A graph that is too high for a page goes on in a next column, where a single way leads on."""

from __future__ import annotations

from bisect import bisect
from itertools import pairwise
from typing import TYPE_CHECKING

from archdsl.drawing.folding import breaks

if TYPE_CHECKING:
    from archdsl.drawing.cells import Layout
    from archdsl.drawing.layered import Point

WORTH = 0.75
"""The part of its height that the highest column may still have, if breaking it is to be of use."""
SLACK = 1.15
"""How much higher than the highest part a column may be."""
GUTTER = 44.0
"""Pixels between columns; the way to the next goes up in their middle."""
TURN = 12.0
"""Pixels between the boxes and where that way turns below and above them."""


def in_columns(layout: Layout, most: float) -> bool:
    """Move what is in a layout into columns that are at most so high, as far as it can be broken so.

    Gives whether it was broken.
    """
    begins = _begins(layout, most)
    if begins:
        _Columns(layout, begins).fill(layout)
    return bool(begins)


def _begins(layout: Layout, most: float) -> list[float]:
    """The heights at which columns begin, but for the first."""
    cuts = _cuts(layout)
    heights = [low - high for high, low in pairwise([0.0, *cuts, layout.high])]
    # Above and below the boxes a way turns, and there is as much room beyond it.
    room = 4 * TURN
    most -= room
    if max(heights) > most:
        # Beside a part that is higher than what is asked for, others need be no less high.
        most = SLACK * max(heights)
    begins = [cuts[k - 1] for k in breaks(heights, (), [()] * len(heights), most)]
    longest = max(low - high for high, low in pairwise([0.0, *begins, layout.high]))
    return begins if max(longest / WORTH, longest + room) <= layout.high else []


def _cuts(layout: Layout) -> list[float]:
    """The heights below a box at which a single way, and nothing else, leads on to another."""
    spans = [(y, y + cell.high) for (_, y), cell in zip(layout.places, layout.cells, strict=True)]
    ways = [(route[0][1], route[-1][1]) for route, _ in layout.routes]
    tops = sorted({high for high, _ in spans})
    # Where only points are above or below, a column would have no box.
    boxes = [y for (_, y), cell in zip(layout.places, layout.cells, strict=True) if cell.kind != "point"]
    return [
        top
        for top in tops
        if min(boxes) < top <= max(boxes)
        and not any(high < top < low for high, low in spans)
        and sum(start < top <= end for start, end in ways) == 1
    ]


class _Columns:
    """Where the columns of a layout come to stand."""

    def __init__(self, layout: Layout, begins: list[float]) -> None:
        self.begins = begins
        boxes = [*zip(layout.places, layout.cells, strict=True)]
        corners = [point for (x, y), cell in boxes for point in ((x, y), (x + cell.wide, y))]
        points = [*corners, *(point for route, _ in layout.routes for point in route)]
        self.moves: list[Point] = []
        self.rights: list[float] = []
        left = 0.0
        for column in range(len(begins) + 1):
            across = [x for x, y in points if self.of(y) == column]
            top = min(y for _, y in layout.places if self.of(y) == column)
            # Room for the way that comes in from above.
            self.moves.append((left - min(across), (2 * TURN if column else 0.0) - top))
            self.rights.append(left + max(across) - min(across))
            left = self.rights[-1] + GUTTER
        self.lows = [0.0] * len(self.moves)
        for (x, y), cell in boxes:
            column = self.of(y)
            self.lows[column] = max(self.lows[column], self.moved((x, y))[1] + cell.high)

    def of(self, y: float) -> int:
        """The column of what is at a height."""
        return bisect(self.begins, y)

    def moved(self, point: Point) -> Point:
        across, down = self.moves[self.of(point[1])]
        return point[0] + across, point[1] + down

    def fill(self, layout: Layout) -> None:
        routes = []
        for route, ends in layout.routes:
            points = [self.moved(point) for point in route]
            start = 0
            for k in range(1, len(route)):
                column = self.of(route[k - 1][1])
                if self.of(route[k][1]) > column:
                    layout.leads.append(self._lead(points[k - 1], points[k], column))
                    routes.append((points[start:k], False))
                    start = k
            routes.append((points[start:], ends))
        layout.places = [self.moved(place) for place in layout.places]
        layout.routes = routes
        layout.wide = self.rights[-1]
        # Behind the last column no way turns.
        layout.high = max(self.lows[-1], max(self.lows[:-1]) + 2 * TURN)

    def _lead(self, before: Point, after: Point, column: int) -> list[Point]:
        """From the foot of a column up to the head of the next."""
        below, middle = self.lows[column] + TURN, self.rights[column] + GUTTER / 2
        return [before, (before[0], below), (middle, below), (middle, 0.0), (after[0], 0.0), after]
