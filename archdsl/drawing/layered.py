"""Boxes in layers from top to bottom, and the ways of the edges between them.

After Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures", 1981:
a box stands below all that it reads; an edge that passes ranks has a place of its own in each; the orders in
the ranks are those of the barycentres that cross least. Within an order the places are those that bend the
edges least, found by pooling neighbours that would overlap (isotonic regression).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

APART = 18.0
"""Pixels between boxes of a rank."""
LANE = 14.0
"""Pixels that an edge takes where it passes a rank."""
BELOW = 20.0
"""Pixels between ranks, and more where edges go far to the side."""
SWEEPS = 12
STRAIGHT = 12.0
"""How much more a bend within a long edge counts than one at a box."""

Point = tuple[float, float]

End = tuple[float | None, float | None]
"""How far right of the boxes' middles an edge leaves and arrives; None where it may be anywhere."""


class Link(NamedTuple):
    """A part of an edge, from one rank to the next, and how far right of the middles its ends are."""

    above: int
    below: int
    leaves: float
    arrives: float


@dataclass(slots=True)
class Arrangement:
    """Where boxes and edges are: the boxes' middles and tops, and the points of each edge from top to bottom.

    Between an edge's points with odd and even index it goes straight down, between the others across.
    """

    middles: list[float]
    tops: list[float]
    routes: list[list[Point]]
    width: float
    height: float


def arranged(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[tuple[int, int]],
    first: Sequence[int] = (),
    last: Sequence[int] = (),
    ends: Sequence[End] = (),
    low: Collection[int] = (),
) -> Arrangement:
    """The places of boxes; edges go from lower to higher numbers.

    `first` and `last` stand in the outer ranks; `ends` say where an edge leaves and arrives, where that is
    given. Boxes stand in the middle of their rank, those that are `low` at its foot.
    """
    ranks = _ranks(len(sizes), edges, first, last)
    widths = [size[0] for size in sizes]
    lanes: list[list[int]] = []
    for a, b in edges:
        between = range(ranks[a] + 1, ranks[b])
        lanes.append([a, *range(len(ranks), len(ranks) + len(between)), b])
        ranks += between
        widths += [LANE] * len(between)
    ends = ends or [(None, None)] * len(edges)
    links = [
        Link(
            a, b, (ends[n][0] or 0.0) if a == lane[0] else 0.0, (ends[n][1] or 0.0) if b == lane[-1] else 0.0
        )
        for n, lane in enumerate(lanes)
        for a, b in pairwise(lane)
    ]
    rows = _ordered(ranks, links)
    middles = _placed(rows, widths, links, len(sizes))
    _straighten(middles, rows, widths, [lane[1:-1] for lane in lanes])
    left = min(x - w / 2 for x, w in zip(middles, widths, strict=True))
    middles = [x - left for x in middles]
    heights = [max((sizes[k][1] for k in row if k < len(sizes)), default=0.0) for row in rows]
    across = [0.0] * len(rows)
    for a, b, _, _ in links:
        across[ranks[a]] = max(across[ranks[a]], abs(middles[a] - middles[b]))
    top, above = 0.0, []
    for height, far in zip(heights, across, strict=True):
        above.append(top)
        top += height + BELOW + min(28.0, far / 10)
    tops = [
        above[ranks[k]] + (heights[ranks[k]] - size[1]) / (1 if k in low else 2)
        for k, size in enumerate(sizes)
    ]
    leaves, arrives = _ends(lanes, middles, widths, ends)
    routes: list[list[Point]] = []
    for number, lane in enumerate(lanes):
        a, b = lane[0], lane[-1]
        points = [
            (leaves[number], tops[a] + sizes[a][1]),
            (leaves[number], above[ranks[a]] + heights[ranks[a]]),
        ]
        for k in lane[1:-1]:
            points += [(middles[k], above[ranks[k]]), (middles[k], above[ranks[k]] + heights[ranks[k]])]
        routes.append([*points, (arrives[number], above[ranks[b]]), (arrives[number], tops[b])])
    right = max(x + w / 2 for x, w in zip(middles, widths, strict=True))
    return Arrangement(middles[: len(sizes)], tops, routes, right, above[-1] + heights[-1])


def _ranks(
    count: int, edges: Sequence[tuple[int, int]], first: Sequence[int], last: Sequence[int]
) -> list[int]:
    ranks = [0] * count
    for a, b in sorted(edges):
        ranks[b] = max(ranks[b], ranks[a] + 1)
    # What reads nothing stands where it is needed; only inputs stand first.
    reads = {b for _, b in edges}
    for k in range(count):
        below = [ranks[b] for a, b in edges if a == k] if k not in reads and k not in first else []
        if below:
            ranks[k] = min(below) - 1
    if last:
        bottom = max(max(ranks), 1)
        for k in last:
            ranks[k] = bottom
    return ranks


def _ordered(ranks: Sequence[int], links: Sequence[Link]) -> list[list[int]]:
    """The boxes and lanes of each rank from left to right."""
    rows: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    up: dict[int, list[tuple[int, float]]] = {}
    down: dict[int, list[Link]] = {}
    below: dict[int, list[tuple[int, float]]] = {}
    for link in links:
        down.setdefault(link.above, []).append(link)
        up.setdefault(link.below, []).append((link.above, link.leaves))
        below.setdefault(link.above, []).append((link.below, link.arrives))
    for k, rank in enumerate(ranks):
        rows[rank].append(k)
    best, least = [list(row) for row in rows], _crossings(rows, down)
    for sweep in range(SWEEPS):
        if not least:
            break
        downwards = sweep % 2 == 0
        order = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
        near = up if downwards else below
        for r in order:
            place = {k: i for i, k in enumerate(rows[r - 1 if downwards else r + 1])}
            centre = {
                # Of what one frame makes, each stands nearest to where it leaves.
                k: sum(place[m] + end / 1e4 for m, end in near[k]) / len(near[k]) if k in near else float(i)
                for i, k in enumerate(rows[r])
            }
            rows[r].sort(key=centre.__getitem__)
        crossed = _crossings(rows, down)
        if crossed < least:
            best, least = [list(row) for row in rows], crossed
    return best


def _crossings(rows: Sequence[Sequence[int]], down: dict[int, list[Link]]) -> int:
    found = 0
    for above, below in pairwise(rows):
        place = {k: i for i, k in enumerate(below)}
        ways = sorted(
            (i, link.leaves, place[link.below], link.arrives)
            for i, k in enumerate(above)
            for link in down.get(k, ())
        )
        seen: list[tuple[int, float]] = []
        for _, _, at, arrives in ways:
            found += sum(other > (at, arrives) for other in seen)
            seen.append((at, arrives))
    return found


def _placed(
    rows: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[Link], boxes: int
) -> list[float]:
    """The middles of boxes and lanes, near those of what they are linked with."""
    near: dict[int, list[tuple[int, float, bool, float]]] = {}
    for a, b, leaves, arrives in links:
        weight = STRAIGHT if a >= boxes and b >= boxes else 3.0 if max(a, b) >= boxes else 1.0
        shift = leaves - arrives
        near.setdefault(a, []).append((b, weight, False, -shift))
        near.setdefault(b, []).append((a, weight, True, shift))
    middles = [0.0] * len(widths)
    for row in rows:
        x = -sum(widths[k] + APART for k in row) / 2
        for k in row:
            middles[k] = x + (widths[k] + APART) / 2
            x += widths[k] + APART
    for sweep in range(SWEEPS + 1):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted, weights = [], []
            for k in row:
                sides = [
                    (middles[m] + shift, weight)
                    for m, weight, above, shift in near.get(k, ())
                    if sweep == SWEEPS or above == (sweep % 2 == 0)
                ]
                total = sum(weight for _, weight in sides)
                wanted.append(sum(x * weight for x, weight in sides) / total if total else middles[k])
                weights.append(total or 0.1)
            for k, x in zip(row, _apart(row, wanted, weights, widths), strict=True):
                middles[k] = x
    return middles


def _straighten(
    middles: list[float],
    rows: Sequence[Sequence[int]],
    widths: Sequence[float],
    lanes: Sequence[Sequence[int]],
) -> None:
    """Take edges straight down through the ranks that they pass, where their neighbours leave the room."""
    beside: dict[int, tuple[int | None, int | None]] = {}
    for row in rows:
        for before, k, after in zip([None, *row[:-1]], row, [*row[1:], None], strict=True):
            beside[k] = before, after
    for lane in sorted(lanes, key=len, reverse=True):
        if len(lane) < 2:
            continue
        least, most = -inf, inf
        for k in lane:
            before, after = beside[k]
            if before is not None:
                least = max(least, middles[before] + (widths[before] + widths[k]) / 2 + APART)
            if after is not None:
                most = min(most, middles[after] - (widths[k] + widths[after]) / 2 - APART)
        if least <= most:
            straight = min(max(sum(middles[k] for k in lane) / len(lane), least), most)
            for k in lane:
                middles[k] = straight


def _apart(
    row: Sequence[int], wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float]
) -> list[float]:
    """Places in a rank as near to the wanted ones as boxes that do not overlap can be, by least squares."""
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + (widths[a] + widths[b]) / 2 + APART)
    pools: list[tuple[float, float, int]] = []
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, total, count = want - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, heavy, many = pools.pop()
            mean = (other * heavy + mean * total) / (heavy + total)
            total, count = total + heavy, count + many
        pools.append((mean, total, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _ends(
    lanes: Sequence[Sequence[int]],
    middles: Sequence[float],
    widths: Sequence[float],
    given: Sequence[End],
) -> tuple[list[float], list[float]]:
    """Where along a box's border each edge leaves and arrives, in the order of the other ends."""
    found = []
    for side, (end, other) in enumerate(((0, 1), (-1, -2))):
        places = [0.0] * len(lanes)
        at: dict[int, list[int]] = {}
        for number, lane in enumerate(lanes):
            at.setdefault(lane[end], []).append(number)
        for k, numbers in at.items():
            numbers.sort(key=lambda number, other=other: middles[lanes[number][other]])  # type: ignore[misc]
            step = min(22.0, widths[k] * 0.8 / len(numbers))
            for i, number in enumerate(numbers):
                fixed = given[number][side]
                places[number] = (
                    middles[k] + fixed
                    if fixed is not None
                    else middles[k] + (i - (len(numbers) - 1) / 2) * step
                )
        found.append(places)
    return found[0], found[1]
