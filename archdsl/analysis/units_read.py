"""Which units of every value before it one unit of a value reads, through all paths.

A receptive field says it for every unit and one input; this goes back from a single unit and stops at each
value on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

from archdsl.analysis.flow import Flow, Pattern
from archdsl.analysis.receptive_field import Field, Fields
from archdsl.layers.linear_map import number
from archdsl.layers.stencils import Reach, Stencil
from archdsl.sizes import TooLarge

MOST_UNITS = 2**14
"""How many units along an axis are followed."""
MOST_BOXES = 64
"""Of how many products a set of units is made, where paths meet, before `TooLarge` is raised."""

Box = tuple[frozenset[int], ...]
"""Units of a map: all whose index along each axis is in that axis's set."""


class Reading(NamedTuple):
    """What a layer reads for some units of its result: `read` has the positions outside of the map, too.

    `patterns` has for each axis how, None where each unit reads the one at its own place.
    """

    reader: int
    """The value that is made."""
    feed: int
    """The value that is read."""
    units: list[Box]
    read: list[Box]
    patterns: tuple[Pattern | None, ...]


class UnitsRead(NamedTuple):
    """`units` are those of every value that are read, by its number; `readings` by whom, the last first."""

    units: dict[int, list[Box]]
    readings: list[Reading]


def units_read(
    flow: Flow, fields: Sequence[Field | Fields | None], value: int, unit: tuple[int, ...]
) -> UnitsRead:
    """What one unit reads, back to the inputs. The value's field must be local, and sizes numbers."""
    units: dict[int, list[Box]] = {value: [tuple(frozenset([n]) for n in unit)]}
    readings: list[Reading] = []
    for i in range(flow.makers[value], -1, -1):
        for made, reader in enumerate(flow.rules[i].readers, flow.starts[i]):
            if made not in units:
                continue
            for feed, how, extents in zip(flow.feeds[i], reader.readings, reader.extents_in, strict=True):
                if fields[feed] is None or len(extents) != len(unit):
                    continue
                sizes = tuple(map(number, extents))
                patterns = _patterns(how, sizes, tuple(map(number, reader.extents)))
                if patterns is None:
                    continue
                read = [_read(box, patterns) for box in units[made]]
                readings.append(Reading(made, feed, units[made], read, patterns))
                inside = [_inside(box, sizes, patterns) for box in read]
                units[feed] = joined([*units.get(feed, []), *(box for box in inside if all(box))])
    return UnitsRead({v: boxes for v, boxes in units.items() if boxes}, readings)


def joined(boxes: Iterable[Box]) -> list[Box]:
    """Some products, without those that lie in another, and two that differ along one axis as one."""
    found: list[Box] = []
    for box in boxes:
        found = [*_with(found, box)]
        if len(found) > MOST_BOXES:
            raise TooLarge
    return found


def number_of(boxes: list[Box]) -> int:
    """How many units some products hold together."""
    if not boxes or not boxes[0]:
        return len(boxes[:1])
    if len(boxes) == 1:
        return prod(map(len, boxes[0]))
    # Along the first axis those in the same products have the same beside them.
    alike = Counter(
        tuple(k for k, box in enumerate(boxes) if n in box[0])
        for n in frozenset().union(*(box[0] for box in boxes))
    )
    return sum(times * number_of([boxes[k][1:] for k in members]) for members, times in alike.items())


def _with(found: list[Box], box: Box) -> list[Box]:
    for other in found:
        if all(mine <= its for mine, its in zip(box, other, strict=True)):
            return found
        apart = [j for j, (mine, its) in enumerate(zip(box, other, strict=True)) if mine != its]
        if len(apart) == 1:
            (j,) = apart
            one = (*box[:j], box[j] | other[j], *box[j + 1 :])
            return _with([kept for kept in found if kept is not other], one)
    return [
        *(other for other in found if not all(its <= mine for mine, its in zip(box, other, strict=True))),
        box,
    ]


def _patterns(
    how: Reach | tuple[Pattern, ...], extents: tuple[int, ...], to: tuple[int, ...]
) -> tuple[Pattern | None, ...] | None:
    """How a value is read along each axis; None where nothing of it is."""
    if isinstance(how, Reach):
        # The field is local: whoever reads anything else than a position reads no input.
        if how is not Reach.POINT:
            return None
        return tuple(BROADCAST if n == 1 and m != 1 else None for n, m in zip(extents, to, strict=True))
    if not all(any(pattern.runs) for pattern in how):
        return None
    return tuple(None if pattern.identity else pattern for pattern in how)


BROADCAST = Pattern(Stencil(0, 1, (range(1),)))
"""Every unit reads the first."""


def positions(pattern: Pattern | None, unit: int) -> list[int]:
    """What one unit reads along an axis, those outside of the map, too."""
    if pattern is None:
        return [unit]
    turns, phase = divmod(unit, pattern.step_out)
    if sum(further for _, _, further in pattern.runs[phase]) > MOST_UNITS:
        raise TooLarge
    return [
        turns * pattern.step_in + first + gap * k
        for first, gap, further in pattern.runs[phase]
        for k in range(further + 1)
    ]


def _read(box: Box, patterns: tuple[Pattern | None, ...]) -> Box:
    read = []
    for units, pattern in zip(box, patterns, strict=True):
        found: set[int] = set()
        for unit in units:
            found.update(positions(pattern, unit))
            if len(found) > MOST_UNITS:
                raise TooLarge
        read.append(frozenset(found))
    return tuple(read)


def _inside(box: Box, extents: tuple[int, ...], patterns: tuple[Pattern | None, ...]) -> Box:
    """Those of the map; what padding takes from the other end is there."""
    return tuple(
        frozenset(n % extent for n in read)
        if pattern is not None and pattern.wraps
        else frozenset(n for n in read if 0 <= n < extent)
        for read, extent, pattern in zip(box, extents, patterns, strict=True)
    )
