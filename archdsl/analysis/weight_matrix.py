"""The matrix that a linear layer is: a row for each unit of its output, a column for each of its input.

Units are in the order of a flattened value: channel by channel, along each the positions, the last axis
fastest. The bias is no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod

from archdsl.layers.layer import Layer
from archdsl.layers.linear_map import LinearMap, Taps, number
from archdsl.layers.shapes import Shape

Weight = tuple[int, ...]
"""A learned weight, by its place in the tensor `weight`."""

Value = tuple[Weight, ...] | Fraction
"""What stands in a cell: a sum of learned weights, or a number."""


@dataclass(frozen=True, slots=True)
class WeightMatrix:
    """`cells` has a row for each unit of the output; equal numbers in it are equal weights, 0 is none.

    `values[n]` is what n stands for; those of learned weights are in the order of the tensor. Rows are for
    the channels `made` of the output, columns for the channels `taken` of the input.
    """

    cells: list[list[int]]
    values: list[Value]
    made: tuple[int, ...]
    taken: tuple[int, ...]
    size_out: tuple[int, ...]
    size_in: tuple[int, ...]


def weight_matrix(
    layer: Layer, x: Shape, made: Sequence[int] | None = None, taken: Sequence[int] | None = None
) -> WeightMatrix | None:
    """The matrix of a layer on an input of shape x, all of it or for some channels; None where it is none.

    Raises `Fault` where the layer does not take that input, `Undecided` where a size is no number and
    `TooLarge` where a kernel is too long to be written out.
    """
    found = layer.linear_map(x)
    if found is None:
        return None
    y = layer.shape(x)
    assert isinstance(y, Shape)
    size_out, size_in = tuple(map(number, y.size)), tuple(map(number, x.size))
    made = tuple(range(number(y.channels)) if made is None else made)
    taken = tuple(range(number(x.channels)) if taken is None else taken)
    along = [
        [_row(taps, unit, n) for unit in range(m)]
        for taps, n, m in zip(found.axes, size_in, size_out, strict=True)
    ]
    sums = [
        [_met(found, c, a, x, y, rows) for a in taken]
        for c in made
        for rows in product(*along)
    ]  # fmt: skip
    values: list[Value] = sorted(
        {value for row in sums for met in row for value in met.values()},
        key=lambda value: (isinstance(value, tuple) and len(value) > 1, value),
    )
    numbered = {value: n for n, value in enumerate(values, 1)}
    positions = [*product(*map(range, size_in))]
    cells = [
        [numbered[met[place]] if place in met else 0 for met in row for place in positions] for row in sums
    ]
    return WeightMatrix(cells, [Fraction(0), *values], made, taken, size_out, size_in)


Meeting = tuple[int, int, Fraction]
"""A sample, the tap that meets it, and the fixed weight."""


def _row(taps: Taps, unit: int, extent: int) -> list[Meeting]:
    """What a unit meets along one axis, inside of the input."""
    met = []
    for position, tap in taps.of(unit):
        place = taps.place(position, extent)
        if place is not None:
            met.append((place, tap, Fraction(1) if taps.fixed is None else taps.fixed(unit, tap)))
    return met


def _met(
    found: LinearMap, c: int, a: int, x: Shape, y: Shape, rows: tuple[list[Meeting], ...]
) -> dict[tuple[int, ...], Value]:
    """What a unit of output channel c gives to the samples of input channel a."""
    of_group, to_group = number(y.channels // found.groups), number(x.channels // found.groups)
    if c // of_group != a // to_group:
        return {}
    channels = (a, c % of_group) if found.inputs_first else (c, a % to_group)
    learned: dict[tuple[int, ...], list[Weight]] = {}
    fixed: dict[tuple[int, ...], Fraction] = {}
    for meetings in product(*rows):
        place = tuple(meeting[0] for meeting in meetings)
        if found.learned:
            learned.setdefault(place, []).append((*channels, *(meeting[1] for meeting in meetings)))
        else:
            weight = prod((meeting[2] for meeting in meetings), start=Fraction(1))
            fixed[place] = fixed.get(place, Fraction(0)) + weight
    return {place: tuple(sorted(sums)) for place, sums in learned.items()} if found.learned else {**fixed}
