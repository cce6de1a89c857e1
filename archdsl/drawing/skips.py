"""Skips above the bodies of a picture: arcs within a row, and ways along the right edge to further rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import drawsvg

from archdsl.drawing.canvas import rounded, tip, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archdsl.drawing.bodies import Body
    from archdsl.drawing.trunk import Trunk

SHORT = 24.0
"""Pixels between the ends of an arc that stands for several."""
RISE = 8.0
"""Pixels between an arc and what is below it."""
TEXT = 12.0
"""Pixels that a text above an arc takes."""
LANE = 7.0
"""Pixels between ways that go down along the right edge."""
EDGE = 18.0
"""Pixels between the bodies and the first of them."""
BEND = 6.0
"""The radius of a bend."""


@dataclass(slots=True)
class Arc:
    """A skip, from above one body to above another of its row."""

    row: int
    start: float
    end: float
    top_start: float
    """How far above the row's middle the first body ends."""
    top_end: float
    high: float
    """How far above the row's middle it goes."""
    text: str = ""
    """What stands above it."""

    @property
    def tops(self) -> dict[int, float]:
        """How far above the middle of a row it ends, with its text."""
        return {self.row: self.high + (TEXT if self.text else 0)}

    @property
    def right(self) -> float:
        return self.end

    def drawn(self, axes: Sequence[float]) -> drawsvg.Group:
        """The arc, where the rows have their middles at these heights."""
        axis = axes[self.row]
        high = axis - self.high
        arc = drawsvg.Path(class_="skip")
        _rise(arc, self.start, axis - self.top_start, high)
        group = drawsvg.Group()
        group.append(_fall(arc, self.end, axis - self.top_end, high, from_left=True))
        group.append(tip(self.end, axis - self.top_end, down=1, kind="skip-tip"))
        if self.text:
            group.append(words(self.text, (self.start + self.end) / 2, high - 3, "times", 9))
        return group


class Landing(NamedTuple):
    """Where a way comes into a row."""

    row: int
    high: float
    """How far above the row's middle it goes."""
    ends: list[tuple[float, float]]
    """Where it ends, and how far above the middle: at the tops of bodies."""


@dataclass(slots=True)
class Descent:
    """The skips from one body to bodies of lower rows: along the right edge, and back above those rows."""

    row: int
    start: float
    top_start: float
    high: float
    landings: list[Landing]
    lane: int = 0
    right: float = 0.0
    """Where it goes down."""

    @property
    def tops(self) -> dict[int, float]:
        return {self.row: self.high, **{landing.row: landing.high for landing in self.landings}}

    @property
    def last(self) -> Landing:
        return self.landings[-1]

    def drawn(self, axes: Sequence[float]) -> drawsvg.Group:
        high = axes[self.row] - self.high
        way = drawsvg.Path(class_="skip")
        _rise(way, self.start, axes[self.row] - self.top_start, high)
        way.L(rounded(self.right - BEND), rounded(high))
        way.Q(*map(rounded, (self.right, high, self.right, high + BEND)))
        group = drawsvg.Group()
        group.append(way)
        for landing in self.landings:
            axis = axes[landing.row]
            high = axis - landing.high
            if landing is self.last:
                way.L(rounded(self.right), rounded(high - BEND))
            for x, top in landing.ends:
                back = drawsvg.Path(class_="skip").M(rounded(self.right), rounded(high - BEND))
                back.Q(*map(rounded, (self.right, high, self.right - BEND, high)))
                group.append(_fall(back, x, axis - top, high, from_left=False))
                group.append(tip(x, axis - top, down=1, kind="skip-tip"))
        return group


Skip = Arc | Descent


def _rise(path: drawsvg.Path, x: float, top: float, high: float) -> None:
    """Up from a body, and to the right."""
    path.M(rounded(x), rounded(top - 2)).L(rounded(x), rounded(high + BEND))
    path.Q(rounded(x), rounded(high), rounded(x + BEND), rounded(high))


def _fall(path: drawsvg.Path, x: float, top: float, high: float, from_left: bool) -> drawsvg.Path:
    """On at a height, and down to a body."""
    path.L(rounded(x - BEND if from_left else x + BEND), rounded(high))
    return path.Q(rounded(x), rounded(high), rounded(x), rounded(high + BEND)).L(rounded(x), rounded(top - 4))


class _Stretch(NamedTuple):
    """What the way from a body takes of a row, by the indices of bodies.

    What goes on below, or comes from above, ends past the last of them.
    """

    row: int
    first: int
    last: int
    start: int

    @property
    def order(self) -> tuple[int, bool]:
        """Wider ones go over narrower ones; what comes in at a body, over what leaves it the same way."""
        return self.last - self.first, self.start != self.first


class _Stack:
    """How high what lies above the bodies of rows goes."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        self.bodies = bodies
        self.tops: list[tuple[_Stretch, float]] = []

    def over(self, stretch: _Stretch) -> float:
        """The height at which one goes over all that is there between its ends."""
        under = [
            top
            for other, top in self.tops
            if other.row == stretch.row and other.first < stretch.last and stretch.first < other.last
        ]
        between = [
            body.reach for body in self.bodies[stretch.first : stretch.last + 1] if body.row == stretch.row
        ]
        high = max([*under, *between]) + RISE
        self.tops.append((stretch, high))
        return high


def skips(found: Trunk, bodies: Sequence[Body], bent: bool = False) -> list[Skip]:
    """The ways of all skips, each over the bodies between its ends.

    Of a body that stands for several there is one arc for all skips from one of them to the next, with how
    many. In a U, which is `bent`, the shortcut of a step to another row goes beside the arrow.
    """
    stack = _Stack(bodies)
    made: list[Skip] = []
    for k, times in found.within.items():
        body = bodies[k]
        arc = Arc(
            body.row,
            body.middle - SHORT / 2,
            body.middle + SHORT / 2,
            body.reach,
            body.reach,
            body.reach + RISE,
            f"× {times}" if times > 1 else "",
        )
        stack.tops.append((_Stretch(body.row, k, k, k), arc.tops[body.row]))
        made.append(arc)
    past = {body.row: k + 1 for k, body in enumerate(bodies)}
    within: list[_Stretch] = []
    below: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for a, b in found.skips:
        row, other = bodies[a].row, bodies[b].row
        if row == other:
            within.append(_Stretch(row, a, b, a))
        elif not bent:
            below[a][other].append(b)
    leaving = {a: _Stretch(bodies[a].row, a, past[bodies[a].row], a) for a in below}
    coming = {
        (a, row): _Stretch(row, min(ends), past[row], a)
        for a, rows in below.items()
        for row, ends in rows.items()
    }
    ordered = sorted([*within, *leaving.values(), *coming.values()], key=lambda stretch: stretch.order)
    highs = {stretch: stack.over(stretch) for stretch in ordered}

    def start(k: int) -> float:
        # Beside a short arc, where there is one.
        return bodies[k].middle + (SHORT / 2 + 5 if k in found.within else 3)

    def end(k: int) -> float:
        return bodies[k].middle - (SHORT / 2 + 5 if k in found.within else 3)

    for stretch in sorted(within, key=lambda stretch: stretch.order):
        row, a, b, _ = stretch
        made.append(Arc(row, start(a), end(b), bodies[a].reach, bodies[b].reach, highs[stretch]))
    descents = []
    for a, rows in below.items():
        landings = [
            Landing(row, highs[coming[a, row]], [(end(b), bodies[b].reach) for b in ends])
            for row, ends in sorted(rows.items())
        ]
        row, high = bodies[a].row, highs[leaving[a]]
        descents.append(Descent(row, start(a), bodies[a].reach, high, landings))
    _in_lanes(descents, max(body.left + body.wide for body in bodies) + EDGE)
    return [*made, *descents]


def _in_lanes(descents: list[Descent], right: float) -> None:
    """Longer ways down go outside of shorter ones; those that follow each other share a lane."""
    descents.sort(key=lambda way: (way.last.row - way.row, way.high - way.last.high))
    for k, way in enumerate(descents):
        beside = {other.lane for other in descents[:k] if not (_follows(way, other) or _follows(other, way))}
        way.lane = next(lane for lane in range(k + 1) if lane not in beside)
        way.right = right + way.lane * LANE


def _follows(way: Descent, before: Descent) -> bool:
    """Whether one begins below where the one before ends."""
    return (way.row, -way.high) > (before.last.row, -before.last.high)
