"""Two sequences aligned: which members of one are which of the other, in order.

`weighed` finds the alignment that is worth most, where pairs may be more or less alike and what is left out
costs less in one stretch than in many (Osamu Gotoh, "An improved algorithm for matching biological
sequences", Journal of Molecular Biology 1982). Its time is the product of the lengths.

`aligned` is for sequences that are too long for that, and pairs equal members alone. What both begin and end
with is taken as it is. Between, members that each side has once are anchors (the patience of Bram Cohen), and
what lies between anchors is aligned by the shortest edit script (Eugene Myers, "An O(ND) Difference Algorithm
and Its Variations", Algorithmica 1986). Where that is long, it is given up for a walk that takes the next
member that fits, so that the time stays near linear.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

Pair = tuple[int, int]

LONGEST_SCRIPT = 256
"""Edits beyond which no shortest script is looked for."""

NEVER = -(1 << 40)
"""What a pair is worth that can't be."""

_BEFORE, _AFTER, _GOES_ON_BEFORE, _GOES_ON_AFTER = 1, 2, 4, 8


def weighed(
    worth: Sequence[Sequence[int]], before: Sequence[int], after: Sequence[int], opening: int
) -> tuple[int, list[Pair]]:
    """The alignment that is worth most, and its worth.

    `worth` has a row for each member of the first sequence, with what its pair with each of the second is
    worth. A member that is in no pair costs what `before` or `after` says, and each stretch of such members
    `opening`. Of alignments that are worth the same, it is one that leaves out what is last.
    """
    n, m = len(before), len(after)
    best, gone = [0] * (m + 1), [NEVER] * (m + 1)
    for j, cost in enumerate(after):
        best[j + 1] = (best[j] if j else -opening) - cost
    ways: list[bytearray] = []
    for row, cost in zip(worth, before, strict=True):
        way = bytearray(m)
        diagonal = best[0]
        best[0] = left = (diagonal if ways else -opening) - cost
        come = NEVER
        for j in range(m):
            above = best[j + 1]
            taken = 0
            opened = above - opening
            lasting = gone[j + 1]
            if lasting > opened:
                opened, taken = lasting, _GOES_ON_BEFORE
            gone[j + 1] = opened = opened - cost
            left -= opening
            if come > left:
                left, taken = come, taken | _GOES_ON_AFTER
            come = left = left - after[j]
            both = diagonal + row[j]
            diagonal = above
            if both > opened and both > left:
                left = both
            elif opened >= left:
                left, taken = opened, taken | _BEFORE
            else:
                taken |= _AFTER
            best[j + 1] = left
            way[j] = taken
        ways.append(way)
    return best[m], _back(ways, n, m)


def _back(ways: Sequence[bytearray], i: int, j: int) -> list[Pair]:
    """The pairs of the best alignment, from its end on."""
    found: list[Pair] = []
    stretch = 0
    while i and j:
        taken = ways[i - 1][j - 1]
        stretch = stretch or taken & (_BEFORE | _AFTER)
        if stretch == _BEFORE:
            i, stretch = i - 1, stretch if taken & _GOES_ON_BEFORE else 0
        elif stretch == _AFTER:
            j, stretch = j - 1, stretch if taken & _GOES_ON_AFTER else 0
        else:
            i, j = i - 1, j - 1
            found.append((i, j))
    return found[::-1]


def aligned(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[Pair]:
    """Pairs of equal members, increasing on both sides."""
    found: list[Pair] = []
    waiting = [(0, len(a), 0, len(b))]
    while waiting:
        i0, i1, j0, j1 = waiting.pop()
        while i0 < i1 and j0 < j1 and a[i0] == b[j0]:
            found.append((i0, j0))
            i0, j0 = i0 + 1, j0 + 1
        while i0 < i1 and j0 < j1 and a[i1 - 1] == b[j1 - 1]:
            i1, j1 = i1 - 1, j1 - 1
            found.append((i1, j1))
        if i0 == i1 or j0 == j1:
            continue
        anchors = increasing(_unique(a, i0, i1, b, j0, j1))
        if anchors:
            found += anchors
            inside = [(i - i0, j - j0) for i, j in anchors]
            waiting += [(i0 + k, i0 + m, j0 + n, j0 + o) for k, m, n, o in gaps(inside, i1 - i0, j1 - j0)]
        else:
            found += [(i0 + i, j0 + j) for i, j in _shortest(a[i0:i1], b[j0:j1])]
    return sorted(found)


def increasing(pairs: Iterable[Pair]) -> list[Pair]:
    """The most of some pairs that are in order on both sides; no member is in two of them."""
    ordered = sorted(pairs)
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(ordered):
        at = bisect_left(ends, j)
        before.append(last[at - 1] if at else -1)
        ends[at : at + 1] = [j]
        last[at : at + 1] = [number]
    found = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(ordered[number])
        number = before[number]
    return found[::-1]


def gaps(pairs: Sequence[Pair], n: int, m: int) -> Iterator[tuple[int, int, int, int]]:
    """What lies between pairs where both sides have something: two ranges."""
    i0 = j0 = 0
    for i, j in [*pairs, (n, m)]:
        if i > i0 and j > j0:
            yield i0, i, j0, j
        i0, j0 = i + 1, j + 1


def _unique(a: Sequence[Hashable], i0: int, i1: int, b: Sequence[Hashable], j0: int, j1: int) -> list[Pair]:
    """Members that are once on either side."""
    often_a, often_b = Counter(a[i0:i1]), Counter(b[j0:j1])
    where = {b[j]: j for j in range(j0, j1)}
    return [(i, where[a[i]]) for i in range(i0, i1) if often_a[a[i]] == often_b[a[i]] == 1]


def _shortest(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[Pair]:
    """The pairs of a shortest edit script; those of a plain walk where that has too many edits."""
    n, m = len(a), len(b)
    reached = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(min(n + m, LONGEST_SCRIPT) + 1):
        trace.append(dict(reached))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
            i = reached[k + 1] if down else reached[k - 1] + 1
            j = i - k
            while i < n and j < m and a[i] == b[j]:
                i, j = i + 1, j + 1
            reached[k] = i
            if i >= n and j >= m:
                return _followed(trace, n, m)
    return _walked(a, b)


def _followed(trace: list[dict[int, int]], i: int, j: int) -> list[Pair]:
    """The pairs on the way back from the end of a script."""
    found = []
    for edits in range(len(trace) - 1, -1, -1):
        reached, k = trace[edits], i - j
        down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
        k = k + 1 if down else k - 1
        start = reached[k] if edits else 0
        stop = max(start, 0) + (0 if down or not edits else 1)
        while i > stop and i > 0 and j > 0:
            i, j = i - 1, j - 1
            found.append((i, j))
        if edits:
            i, j = start, start - k
    return found


def _walked(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[Pair]:
    """Each member of `b` with the next of `a` that equals it, where none is far ahead."""
    where: dict[Hashable, list[int]] = {}
    for i, member in enumerate(a):
        where.setdefault(member, []).append(i)
    found, at = [], 0
    reach = abs(len(a) - len(b)) + LONGEST_SCRIPT
    for j, member in enumerate(b):
        places = where.get(member, [])
        k = bisect_left(places, at)
        if k < len(places) and places[k] - at <= reach:
            found.append((places[k], j))
            at = places[k] + 1
    return found
