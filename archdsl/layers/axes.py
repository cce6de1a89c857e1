"""Axes by their names, and what is not decided about their extents."""

from __future__ import annotations

from collections.abc import Iterable
from math import lcm

from archdsl.layers.shapes import Shape
from archdsl.layers.windows import divides
from archdsl.problems.arrangement import UndecidedSize, UnevenGroups, UnknownAxis
from archdsl.problems.problem import Fault, Problem
from archdsl.residues import LONGEST, Values, agreeing, holding, tried
from archdsl.sizes import Question, Size, equal, symbols_of


def axis_index(x: Shape, axis: str) -> int:
    """The number of the axis called `axis` in `x` (channels are 0). Raises `Fault` if it has none."""
    if axis in x.axis_names:
        return x.axis_names.index(axis)
    raise Fault(UnknownAxis(axis, str(x), x.axis_names), argument="axis")


def undecided(kind: str, question: str, *sizes: Size) -> UndecidedSize:
    """The warning that the answer to `question` depends on the symbols of `sizes`."""
    names = set().union(*(symbols_of(size) for size in sizes))
    return UndecidedSize(kind, question, tuple(sorted(names)))


def undecided_extents(
    kind: str, pairs: Iterable[tuple[str, Size, Size]], repeated: bool = False
) -> tuple[Problem, ...]:
    """The warning that extents, each pair with the axis's name, are equal for some sizes only.

    Where extents of 1 are `repeated`, they fit all others.
    """
    found: Problem | None = None
    others: list[Problem] = []
    for name, a, b in pairs:
        if equal(a, b) is not None:
            continue
        decided = agreeing(a, b)
        if decided is not None:
            decided = _meeting(a, b, *decided, repeated)
            if decided is None:
                continue
        one = undecided(kind, f"{name} {a} is {b}", a, b)
        if decided is not None:
            one = UndecidedSize(kind, one.question, one.symbols, (decided,))
        both = None if found is None else found.together(one)
        if found is not None and both is None:
            others.append(one)
        found = both or found or one
    return () if found is None else (found, *others)


def _meeting(a: Size, b: Size, name: str, values: Values, repeated: bool) -> tuple[str, Values] | None:
    """For which values two extents fit each other, given when they are equal; None where they always do.

    A value that there is has extents of at least 1.
    """
    if symbols_of(a) | symbols_of(b) != {name}:
        return None if values.everything else (name, values)
    ones = [holding(Question("equal", size, 1), name) for size in (a, b)] if repeated else []
    some = [holding(Question("at least", size, 1), name) for size in (a, b)]
    known = [one for one in (values, *ones, *some) if one is not None]
    start, period = max(one.start for one in known), lcm(*(one.period for one in known))
    if len(known) < 1 + len(ones) + len(some) or start + period > LONGEST:
        return None if values.everything else (name, values)

    def there(value: int) -> bool:
        return all(value in one for one in some if one is not None)

    def fits(value: int) -> bool:
        return any(value in one for one in (values, *ones) if one is not None)

    if all(fits(value) for value in range(1, start + period) if there(value)):
        return None
    return name, tried(lambda value: there(value) and fits(value), start, period)


NEIGHBOURHOOD = 1_000
"""How far from the number of groups that was asked for one that would do is looked for."""


def check_groups(kind: str, channels: Size, groups: Size) -> None:
    """Raises `Fault` where `channels` can't be put into so many equal groups."""
    if divides(groups, channels) is not False:
        return
    near: tuple[int, ...] = ()
    if isinstance(channels, int) and isinstance(groups, int):
        below = range(min(groups, channels), max(0, groups - NEIGHBOURHOOD), -1)
        above = range(groups + 1, min(channels, groups + NEIGHBOURHOOD) + 1)
        found = (next((n for n in numbers if channels % n == 0), None) for numbers in (below, above))
        near = tuple(n for n in found if n is not None)
    raise Fault(UnevenGroups(kind, str(channels), str(groups), near), argument="groups")


def doubt_groups(kind: str, channels: Size, groups: Size) -> tuple[UndecidedSize, ...]:
    """The warning for groups that are equal for some sizes only."""
    if divides(groups, channels) is not None:
        return ()
    return (undecided(kind, f"{channels} channels make {groups} equal groups", channels, groups),)
