"""Sets of input positions, kept small.

A set is what the units of deep layers see along one axis, so it must not grow with depth. Almost always
it is evenly spaced, or a sum of evenly spaced sets (a window moved in steps); then it is kept as its ends
and the counts of its steps. A union that is neither becomes a bit mask (a Python integer), up to a bound;
beyond the bound only its ends are known.
"""

from __future__ import annotations

from typing import NamedTuple

from archdsl.analysis.flow import Run

MAX_MASK = 2**15
"""The longest hull, in positions, that is carried on as a mask."""

MAX_COUNTED = 2**20
"""The longest hull whose positions are counted by a mask."""

Parts = tuple[tuple[int, int], ...]


class Positions(NamedTuple):
    """A set with the ends `first` and `last`.

    With `parts` ((s1, n1), (s2, n2), ...), ordered by step, it holds first + s1*k1 + s2*k2 + ... for
    every 0 <= ki <= ni: none for a single position, ((1, n),) for n + 1 in a row. Otherwise (None) bit i
    of `mask` stands for first + i, and a mask of 0 says that only the ends are known.
    """

    first: int
    last: int
    parts: Parts | None
    mask: int = 0

    def shifted(self, by: int) -> Positions:
        return Positions(self.first + by, self.last + by, self.parts, self.mask) if by else self

    @property
    def number(self) -> int | None:
        """How many positions the set holds; None where only its ends are known."""
        if self.parts is None:
            return self.mask.bit_count() or None
        product = 1
        reach = 0
        for step, n in self.parts:
            if step <= reach:
                mask = _mask(self, MAX_COUNTED)
                return None if mask is None else mask.bit_count()
            product *= n + 1
            reach += step * n
        return product


_new = tuple.__new__
"""Makes Positions in a third of the time; they are made for every convolution of a deep network."""


def moved(positions: Positions, run: Run, step: int) -> Positions:
    """The union of the set moved by `step` times every offset of a run."""
    offset, gap, n = run
    first, last, parts, mask = positions
    first += offset * step
    if not n or not step:
        return _new(Positions, (first, last + offset * step, parts, mask))
    gap *= step
    last += offset * step + gap * n
    if parts is not None:
        return _new(Positions, (first, last, added(parts, gap, n), 0))
    if not mask or last - first >= MAX_MASK:
        return Positions(first, last, None)
    return _simplest(first, last, _repeated(mask, gap, n))


def added(parts: Parts, gap: int, n: int) -> Parts:
    """The parts of a sum with an evenly spaced set: `n` further steps of `gap`."""
    if not parts:
        return ((gap, n),)
    step, m = parts[0]
    if len(parts) == 1 and gap % step == 0 and gap // step <= m + 1:
        return ((step, m + n * (gap // step)),)
    for i, (step, m) in enumerate(parts):
        if gap % step == 0 and gap // step <= m + 1:
            merged = (step, m + n * (gap // step))
        elif step % gap == 0 and step // gap <= n + 1:
            merged = (gap, n + m * (step // gap))
        else:
            continue
        return (merged,) if len(parts) == 1 else added(parts[:i] + parts[i + 1 :], *merged)
    return tuple(sorted((*parts, (gap, n))))


def union(a: Positions | None, b: Positions | None) -> Positions | None:
    """The positions of either set; None is the empty set."""
    if a is None or b is None:
        return a or b
    if a == b or _holds(a, b):
        return a
    if _holds(b, a):
        return b
    if b.first < a.first:
        a, b = b, a
    first, last = a.first, max(a.last, b.last)
    if a.parts is not None and b.parts is not None and len(a.parts) < 2 and len(b.parts) < 2:
        step = (a.parts or b.parts or ((b.first - a.first, 1),))[0][0]
        steps = {part[0] for part in (*a.parts, *b.parts)} or {step}
        if steps == {step} and (b.first - a.first) % step == 0 and b.first <= a.last + step:
            return Positions(first, last, ((step, (last - first) // step),))
    if last - first >= MAX_MASK:
        return Positions(first, last, None)
    left, right = _mask(a, MAX_MASK), _mask(b, MAX_MASK)
    if left is None or right is None:
        return Positions(first, last, None)
    return _simplest(first, last, left | right << (b.first - a.first))


def same(a: Positions | None, b: Positions | None) -> bool:
    """Whether two sets hold the same positions (False where that isn't known)."""
    if a is None or b is None:
        return a is b
    if a.first != b.first or a.last != b.last:
        return False
    if a == b:
        return a.parts is not None or a.mask != 0
    left, right = _mask(a, MAX_MASK), _mask(b, MAX_MASK)
    return left is not None and left == right


def _holds(outer: Positions, inner: Positions) -> bool:
    """Whether `inner` lies in `outer`, where that is plain to see."""
    if outer.parts is None or inner.parts is None:
        return False
    before = inner.first - outer.first
    if before < 0 or inner.last > outer.last:
        return False
    counts = dict(inner.parts)
    for step, n in reversed(outer.parts):
        if step == 1 and len(outer.parts) == 1:
            return True
        slack = n - counts.pop(step, 0)
        if slack < 0:
            return False
        before -= step * min(before // step, slack)
    return before == 0 and not counts


def _mask(positions: Positions, longest: int) -> int | None:
    if positions.last - positions.first >= longest:
        return None
    if positions.parts is None:
        return positions.mask or None
    mask = 1
    for step, n in positions.parts:
        mask = _repeated(mask, step, n)
    return mask


def _repeated(mask: int, gap: int, n: int) -> int:
    """The mask, and the mask moved by one to `n` times the gap."""
    times, result = 1, mask
    while times < n + 1:
        more = min(times, n + 1 - times)
        result |= result << gap * more
        times += more
    return result


def _simplest(first: int, last: int, mask: int) -> Positions:
    """A mask, or the one evenly spaced part that it shows."""
    if first == last:
        return Positions(first, last, ())
    rest = mask >> 1
    step = (rest & -rest).bit_length()
    n, left = divmod(last - first, step)
    if not left and mask == _repeated(1, step, n):
        return Positions(first, last, ((step, n),))
    return Positions(first, last, None, mask)
