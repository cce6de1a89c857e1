"""Which units of its input a unit of a layer's output reads.

One description serves the receptive field, the effective stride and the certificate of
equivariance, for convolution, pooling, transposed convolution and interpolation alike. It is what
XLA calls a window, made periodic so that upsampling fits in too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

Offsets = Sequence[int]
"""Sorted input positions: a `range` where they are evenly spaced."""


@dataclass(frozen=True, slots=True)
class Stencil:
    """What the units along one axis read.

    Unit `q * step_out + r` of the output reads the input units `q * step_in + o` for every `o` in
    `offsets[r]`, so `len(offsets) == step_out`. Positions are not clipped: those outside the input
    are padding. `wraps` says that padding takes its values from the other end of the axis
    (circular), `edges` how many output units at (start, end) differ from the pattern for another
    reason than a position outside the input (clamped interpolation).
    """

    step_in: int
    step_out: int
    offsets: tuple[Offsets, ...]
    wraps: bool = False


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


Reads = Reach | tuple[Stencil, ...]
"""What one input is read by: a `Reach`, or a stencil for each spatial axis."""
