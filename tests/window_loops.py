"""Windows as plain loops, for references that share nothing with archdsl's code."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

Place = tuple[int, ...]


def positions(size: Place) -> Iterator[Place]:
    """Every position of a map, the last axis fastest."""
    return itertools.product(*(range(extent) for extent in size))


def extents(size: Place, kernel: Place, stride: Place, sides: tuple[Place, ...], dilation: Place) -> Place:
    """How many windows fit along each axis, counted by moving one until it sticks out."""
    counts = []
    for n, k, s, (before, after), d in zip(size, kernel, stride, sides, dilation, strict=True):
        start, count = -before, 0
        while start + (k - 1) * d <= n - 1 + after:
            start, count = start + s, count + 1
        counts.append(count)
    return tuple(counts)


def taps(
    unit: Place, size: Place, kernel: Place, stride: Place, sides: tuple[Place, ...], dilation: Place
) -> Iterator[tuple[Place, Place, bool]]:
    """Each tap of the window of an output unit, the position it reads, and whether that is in the input."""
    for tap in positions(kernel):
        at = tuple(
            u * s - before + t * d
            for u, s, (before, _), t, d in zip(unit, stride, sides, tap, dilation, strict=True)
        )
        yield tap, at, all(0 <= p < n for p, n in zip(at, size, strict=True))
