"""The layers of two networks in a row, aligned: the pairs that are most alike in all, in order.

A network is cut into regions where the fewest values pass, and so is each of these again, whatever the file
calls them; regions are aligned by how alike they are within. Blocks, groups and loops are no part of it, so
a network that is written otherwise is aligned alike. Regions that are there often are aligned once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from archdsl.comparison.alignment import NEVER, Pair, aligned, gaps, weighed
from archdsl.comparison.likeness import AROUND, CHANGED, END, HEAVY, LABEL, OPENING, UNPAIRED, Likeness
from archdsl.comparison.outline import Book, Outline, Stretch

FEW = 1_500
"""Pairs of layers that are all compared; of more, regions are."""

DEEPEST = 12
"""Regions in regions beyond which layers are compared one by one."""

MOST = 60_000
"""Pairs of members that are all compared; of more, equal ones are anchors."""

ALIKE = 0.42
"""The part of the larger of two regions that must be in the other for them to be one, changed."""

ALIKE_IN_NAME = 0.25
"""The same where both have one label."""

SMALL = 40
"""Layers of a region that is one thing, and not some that are to be told apart."""

TIMES = 4
"""How often pairs are looked through for those that are alike by chance: one that goes may leave another."""

PLACE = 4
"""What each label around both is worth to a pair of regions, from the outermost on."""


class Alignment(NamedTuple):
    """Of two stretches, without regard to names."""

    points: int
    """What the pairs are worth, and with what is left out."""
    worth: int
    pairs: list[Pair]
    """Numbers of layers within the stretches."""


class Rows:
    """Two networks whose layers are aligned."""

    def __init__(self, first: Outline, second: Outline, book: Book) -> None:
        self._first = first
        self._second = second
        self._likeness = Likeness(book)
        self._known: dict[tuple[int, int], Alignment] = {}
        self._weights = {
            outline: [0, *accumulate(map(self._likeness.weight, outline.looks))]
            for outline in (first, second)
        }
        """Sums of what the layers before each weigh."""
        self._depth = 0
        self._ends = {
            first.index[ours.node]: second.index[theirs.node]
            for ours, theirs in zip(first.network.outputs, second.network.outputs, strict=False)
        }
        """Layers that make the outputs at one place."""

    def pairs(self) -> list[Pair]:
        """Numbers of layers that are each other, increasing on both sides."""
        x, y = (0, len(self._first.nodes)), (0, len(self._second.nodes))
        few = x[1] * y[1] <= FEW
        found = self._members(_singly(x), _singly(y), True) if few else self._by_regions(x, y, True, True)
        for _ in range(TIMES):
            found = self._without_islands(found)
        return found

    def _without_islands(self, pairs: list[Pair]) -> list[Pair]:
        """Pairs but for those that are like each other by chance, among more that was replaced."""
        runs: list[list[Pair]] = []
        for pair in pairs:
            if runs and runs[-1][-1] == (pair[0] - 1, pair[1] - 1):
                runs[-1].append(pair)
            else:
                runs.append([pair])
        ends = [(-1, -1), *(run[-1] for run in runs)]
        begins = [*(run[0] for run in runs), (len(self._first.nodes), len(self._second.nodes))]
        replaced = [
            min(self._weight(self._first, (i + 1, k)), self._weight(self._second, (j + 1, m)))
            for (i, j), (k, m) in zip(ends, begins, strict=True)
        ]
        found: list[Pair] = []
        for run, around in zip(runs, pairwise(replaced), strict=True):
            if max(around) <= self._points(run) or any(map(self._sure, run)):
                found += run
        return found

    def _sure(self, pair: Pair) -> bool:
        """Whether a pair is known by itself: it has weights, and its label or all arguments but one."""
        i, j = pair
        weight = self._likeness.weight(self._first.looks[i])
        if weight < HEAVY:
            return False
        (name, _), (called, _) = self._first.labels[i], self._second.labels[j]
        named = name is not None and name == called
        alike = 100 * self._points([pair]) >= CHANGED[0] * weight
        return alike or named or self._first.nodes[i].kind == "input"

    # ------------------------------------------------------------------------ two stretches

    def _best(self, x: Stretch, y: Stretch) -> Alignment:
        key = self._first.text(x), self._second.text(y)
        if key not in self._known:
            pairs = [(i - x[0], j - y[0]) for i, j in self._pairs(x, y, False)]
            points = self._points(pairs, x[0], y[0])
            self._known[key] = Alignment(points, points - self._left_out(pairs, x, y), pairs)
        return self._known[key]

    def _pairs(self, x: Stretch, y: Stretch, named: bool) -> list[Pair]:
        """The pairs of two stretches, by the numbers of the layers; labels count where it is `named`."""
        n, m = x[1] - x[0], y[1] - y[0]
        if self._first.text(x) == self._second.text(y):
            return [(x[0] + k, y[0] + k) for k in range(n)]
        if n * m <= FEW or 1 in (n, m) or self._depth == DEEPEST:
            return [(x[0] + i, y[0] + j) for i, j in self._members(_singly(x), _singly(y), named)]
        self._depth += 1
        found = self._by_regions(x, y, named)
        self._depth -= 1
        return found

    def _points(self, pairs: Iterable[Pair], x: int = 0, y: int = 0) -> int:
        """What pairs of layers are worth, by their numbers from `x` and `y` on."""
        ours, theirs = self._first.looks, self._second.looks
        return sum(self._likeness.worth(ours[x + i], theirs[y + j]) for i, j in pairs)

    def _left_out(self, pairs: Sequence[Pair], x: Stretch, y: Stretch) -> int:
        """What the layers that are in no pair cost."""
        found = 0
        for stretch, outline, side in ((x, self._first, 0), (y, self._second, 1)):
            last = -1
            for k in [*(pair[side] for pair in pairs), stretch[1] - stretch[0]]:
                if k - last > 1:
                    found += OPENING + self._cost(outline, (stretch[0] + last + 1, stretch[0] + k))
                last = k
        return found

    def _cost(self, outline: Outline, stretch: Stretch) -> int:
        return self._weight(outline, stretch) // UNPAIRED

    def _weight(self, outline: Outline, stretch: Stretch) -> int:
        weights = self._weights[outline]
        return weights[stretch[1]] - weights[stretch[0]]

    # ------------------------------------------------------------------------ region by region

    def _by_regions(self, x: Stretch, y: Stretch, named: bool, outermost: bool = False) -> list[Pair]:
        found: list[Pair] = []
        waiting = [(self._first.divided(x), self._second.divided(y))]
        while waiting:
            xs, ys = waiting.pop()
            members = self._members(xs, ys, named, outermost)
            for i, j in members:
                found += self._pairs(xs[i], ys[j], named)
            for i0, i1, j0, j1 in gaps(members, len(xs), len(ys)):
                # What one side has as a region may be a row on the other.
                some, others = xs[i0:i1], ys[j0:j1]
                longest = max(stop - start for start, stop in (*some, *others))
                if longest == 1:
                    continue
                if _long(some) * _long(others) <= MOST:
                    found += self._one_by_one(some, others, named)
                else:
                    most = max(longest // 2, 1)
                    waiting.append((_further(self._first, some, most), _further(self._second, others, most)))
        return sorted(found)

    def _one_by_one(self, xs: Sequence[Stretch], ys: Sequence[Stretch], named: bool) -> list[Pair]:
        """The pairs of layers of two rows, but for regions that have too little in common with the other."""
        x, y = (xs[0][0], xs[-1][1]), (ys[0][0], ys[-1][1])
        pairs = [(x[0] + i, y[0] + j) for i, j in self._members(_singly(x), _singly(y), named)]
        regions = [
            (side, region, ALIKE * self._weight(outline, region))
            for side, outline, row in ((0, self._first, xs), (1, self._second, ys))
            for region in _parts(outline, row)
        ]
        while True:
            poor = [set[int](), set[int]()]
            for side, region, least in regions:
                within = [pair for pair in pairs if region[0] <= pair[side] < region[1]]
                if self._points(within) < least:
                    poor[side].update(range(*region))
            kept = [(i, j) for i, j in pairs if i not in poor[0] and j not in poor[1]]
            if len(kept) == len(pairs):
                return pairs
            pairs = kept

    # ------------------------------------------------------------------------ two rows

    def _members(
        self, xs: Sequence[Stretch], ys: Sequence[Stretch], named: bool, outermost: bool = False
    ) -> list[Pair]:
        """The pairs of two rows of layers and regions, by their numbers in the rows."""
        if len(xs) * len(ys) <= MOST:
            return self._weighed(xs, ys, named, outermost)
        pairs = aligned([self._first.text(x) for x in xs], [self._second.text(y) for y in ys])
        found = list(pairs)
        for i0, i1, j0, j1 in gaps(pairs, len(xs), len(ys)):
            if (i1 - i0) * (j1 - j0) <= MOST:
                within = self._weighed(xs[i0:i1], ys[j0:j1], named, outermost)
                found += [(i0 + i, j0 + j) for i, j in within]
        return sorted(found)

    def _weighed(
        self, xs: Sequence[Stretch], ys: Sequence[Stretch], named: bool, outermost: bool
    ) -> list[Pair]:
        rows: dict[tuple[int, tuple[str, ...], str | None], list[int]] = {}
        places = [self._second.path(y[0]) if outermost else () for y in ys]
        names = [self._second.called(y) if named else None for y in ys]
        called = [self._called(ys, part) if named else {} for part in (0, 1)]
        worth = []
        for x in xs:
            place = self._first.path(x[0]) if outermost else ()
            name = self._first.called(x) if named else None
            key = self._first.text(x), place, name
            if key not in rows:
                rows[key] = [
                    self._together(x, y, name is not None and name == other)
                    + PLACE * _in_common(place, around)
                    for y, around, other in zip(ys, places, names, strict=True)
                ]
            row = rows[key]
            if named and x[1] - x[0] == 1:
                more = self._labelled(x[0], called, ys)
                row = row.copy() if more else row
                for j, points in more:
                    row[j] += points
            worth.append(row)
        costs = [self._cost(self._first, x) for x in xs], [self._cost(self._second, y) for y in ys]
        return weighed(worth, *costs, OPENING)[1]

    def _labelled(
        self, number: int, called: Sequence[dict[str | None, list[int]]], ys: Sequence[Stretch]
    ) -> list[tuple[int, int]]:
        """What labels are worth to the pairs of a layer with those of a row."""
        own, around = self._first.labels[number]
        found = [(j, LABEL) for j in called[0].get(own, ())]
        if number in self._ends:
            found += [(j, END) for j, y in enumerate(ys) if y == (self._ends[number], self._ends[number] + 1)]
        for label, where in ((own, called[1]), (around, called[0]), (around, called[1])):
            found += [(j, AROUND) for j in where.get(label, ())]
        return found

    def _called(self, ys: Sequence[Stretch], part: int) -> dict[str | None, list[int]]:
        """The layers of a row by their labels, or by those around them."""
        found: dict[str | None, list[int]] = {}
        for j, y in enumerate(ys):
            label = self._second.labels[y[0]][part]
            if y[1] - y[0] == 1 and label is not None:
                found.setdefault(label, []).append(j)
        return found

    def _together(self, x: Stretch, y: Stretch, called_alike: bool) -> int:
        single = x[1] - x[0] == 1, y[1] - y[0] == 1
        if all(single):
            return self._likeness.worth(self._first.looks[x[0]], self._second.looks[y[0]])
        if any(single):
            return NEVER
        less, more = sorted((self._weight(self._first, x), self._weight(self._second, y)))
        least = (ALIKE_IN_NAME if called_alike else ALIKE) * more
        if less < least:
            return NEVER
        best = self._best(x, y)
        if best.points < least:
            return NEVER
        return best.worth + (less // 4 if called_alike else 0)


def _long(row: Sequence[Stretch]) -> int:
    return row[-1][1] - row[0][0]


def _further(outline: Outline, row: Sequence[Stretch], most: int) -> list[Stretch]:
    """A row with the regions of more layers than `most` divided."""
    return [part for one in row for part in (outline.divided(one) if one[1] - one[0] > most else [one])]


def _parts(outline: Outline, row: Sequence[Stretch]) -> list[Stretch]:
    """The regions of a row, those that are large divided."""
    while any(stop - start > SMALL for start, stop in row):
        row = _further(outline, row, SMALL)
    return [one for one in row if one[1] - one[0] > 1]


def _singly(stretch: Stretch) -> list[Stretch]:
    return [(number, number + 1) for number in range(*stretch)]


def _in_common(place: Sequence[str], other: Sequence[str]) -> int:
    """How many names both begin with."""
    count = 0
    for ours, theirs in zip(place, other, strict=False):
        if ours != theirs:
            break
        count += 1
    return count
