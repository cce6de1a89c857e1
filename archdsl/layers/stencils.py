"""Which units of its input a unit of a layer's output reads.

One description serves the receptive field, the effective stride and the certificate of
equivariance, for convolution, pooling, transposed convolution and interpolation alike. It is what
XLA calls a window, made periodic so that upsampling fits in too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from math import floor, gcd

Offsets = Sequence[int]
"""Sorted input positions: a `range` where they are evenly spaced."""

MAX_PERIOD = 1_024
"""The most units after which a field repeats itself; of one that takes more, nothing is said."""

MOST_PHASES = 2**14
"""The longest pattern that is written out: a file must not make an analysis endless."""


@dataclass(frozen=True, slots=True)
class Stencil:
    """What the units along one axis read.

    Unit `q * step_out + r` of the output reads the input units `q * step_in + o` for every `o` in
    `offsets[r]`, so `len(offsets) == step_out`. Positions are not clipped: those outside the input
    are padding. `wraps` says that padding takes its values from the other end of the axis
    (circular). `at_most` says that the values, or what was learned, choose among these positions: a unit
    reads some of them, and no other.
    """

    step_in: int
    step_out: int
    offsets: tuple[Offsets, ...]
    wraps: bool = False
    at_most: bool = False


@lru_cache(maxsize=1024)
def window(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, wraps: bool = False) -> Stencil:
    """The stencil of a convolution or pooling: `padding` is the padding before the first sample."""
    return Stencil(stride, 1, (range(-padding, -padding + (kernel - 1) * dilation + 1, dilation),), wraps)


def shifted(offset: int) -> Stencil:
    """Each unit reads the one `offset` further on: a crop (positive) or padding (negative)."""
    return Stencil(1, 1, (range(offset, offset + 1),))


class Reach(Enum):
    """What a unit reads, where no stencil says it."""

    POINT = "point"
    """The same position of every input, all channels. Equivariant to everything that moves positions."""
    NORMALISED = "normalised"
    """The same position, and figures taken over the whole map (instance normalisation)."""
    POOLED = "pooled"
    """The whole map, all positions alike (global pooling): invariant to what moves positions."""
    MIXED = "mixed"
    """Positions become features, or are put in another order (flattening): nothing is kept."""
    CHOSEN = "chosen"
    """Positions anywhere in the map, which the values choose: the whole map at most, and nothing is kept."""
    UNTOLD = "untold"
    """Some positions, which can't be given: the pattern is too long, or depends on open sizes."""


Reads = Reach | tuple[Stencil, ...]
"""What one input is read by: a `Reach`, or a stencil for each spatial axis."""


def transposed(
    kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, indices_only: bool = False
) -> Stencil | None:
    """The stencil of a transposed convolution, whose output is cropped by `padding` at the start.

    Input i adds to the outputs j = i*stride - padding + t*dilation, t in 0 to kernel - 1; so unit j reads
    every i that solves this. Where the stride passes the kernel, some units read nothing. With
    `indices_only` none reads anything: the values of that input are positions, which no gradient reaches.
    None where the pattern is longer than `MOST_PHASES`.
    """
    if stride > MOST_PHASES:
        return None
    if indices_only:
        return Stencil(1, stride, (range(0),) * stride)
    common = gcd(stride, dilation)
    every = stride // common
    apart = dilation // common
    phases: list[Offsets] = []
    for unit in range(stride):
        place = unit + padding
        # The first t that solves place - t*dilation = i*stride; t + every solves it too, `apart` before.
        first = place // common * pow(apart, -1, every) % every if place % common == 0 else kernel
        count = max(0, -(-(kernel - first) // every))
        last = (place - first * dilation) // stride
        phases.append(range(last - (count - 1) * apart, last + 1, apart) if count else range(0))
    return Stencil(1, stride, tuple(phases))


def interpolation(step: Fraction, start: Fraction, before: int, after: int) -> Stencil | None:
    """The stencil of an interpolation: unit j lies at the input position start + j*step.

    It reads from `before` samples before the sample at or below that place to `after` samples past it;
    where it lies on a sample, and `after` is not 0, the weights of all others are exactly zero, and it
    reads that one alone. None where the pattern is longer than `MOST_PHASES`.
    """
    if step.denominator > MOST_PHASES:
        return None
    phases: list[Offsets] = []
    for unit in range(step.denominator):
        place = start + unit * step
        low = floor(place)
        phases.append(range(low, low + 1) if place == low else range(low - before, low + after + 1))
    return Stencil(step.numerator, step.denominator, tuple(phases))


def adaptive(extent: int, size: int) -> Stencil | None:
    """The stencil of an adaptive pooling: unit j reads floor(j*extent/size) up to ceil((j + 1)*extent/size).

    Where the windows that there are happen to be alike and evenly spaced, it is that of a plain pooling.
    None where the pattern is longer than `MOST_PHASES`.
    """
    if 1 < size <= MOST_PHASES:
        windows = [range(j * extent // size, -(-(j + 1) * extent // size)) for j in range(size)]
        kernel, stride = len(windows[0]), windows[1].start
        if stride and all(one == range(j * stride, j * stride + kernel) for j, one in enumerate(windows)):
            return window(kernel, stride)
    common = gcd(extent, size)
    step_in, step_out = extent // common, size // common
    if step_out > MOST_PHASES:
        return None
    phases = [range(r * step_in // step_out, -(-(r + 1) * step_in // step_out)) for r in range(step_out)]
    return Stencil(step_in, step_out, tuple(phases))


def repeated(factor: int) -> Stencil | None:
    """The stencil of an axis on which every sample becomes `factor` units."""
    return Stencil(1, factor, (range(1),) * factor) if factor <= MOST_PHASES else None


def along_axes(stencils: Iterable[Stencil | None]) -> Reads:
    """A stencil an axis; `Reach.UNTOLD` where one of them can't be given."""
    known: list[Stencil] = []
    for stencil in stencils:
        if stencil is None:
            return Reach.UNTOLD
        known.append(stencil)
    return tuple(known)
