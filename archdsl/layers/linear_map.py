"""Layers that are linear: which weight a unit gives to which position.

A stencil says which positions a unit reads; this says with which of the layer's weights. A layer whose rule
`linear_map` gives one is, but for its bias, a matrix with a row for each unit of its output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from archdsl.layers.stencils import MOST_PHASES
from archdsl.sizes import Size, TooLarge, Undecided

if TYPE_CHECKING:
    from archdsl.layers.stencils import Stencil

Tap = tuple[int, int]
"""A position, and which weight of the kernel it is multiplied with."""


@dataclass(frozen=True, slots=True)
class Taps:
    """What the units along one axis multiply with what.

    Unit `q * step_out + r` multiplies position `q * step_in + p` with weight `t` for every `(p, t)` of
    `phases[r]`. Positions are not clipped; `filling` says what those outside of the input hold: `zeros`, or
    samples of the input as `padding_mode` has them. `fixed` gives the weight where none is learned, by unit
    and `t`; along several axes the weights are multiplied.
    """

    step_in: int
    step_out: int
    phases: tuple[tuple[Tap, ...], ...]
    filling: str = "zeros"
    fixed: Callable[[int, int], Fraction] | None = None

    def of(self, unit: int) -> tuple[Tap, ...]:
        """What one unit multiplies with what."""
        turns, phase = divmod(unit, self.step_out)
        return tuple((turns * self.step_in + p, t) for p, t in self.phases[phase])

    def place(self, position: int, extent: int) -> int | None:
        """The sample of an input of that extent that a position holds; None for a zero."""
        if 0 <= position < extent:
            return position
        if self.filling == "circular":
            return position % extent
        if self.filling == "replicate":
            return 0 if position < 0 else extent - 1
        if self.filling == "reflect":
            back = position % (2 * extent - 2)
            return min(back, 2 * extent - 2 - back)
        return None


@dataclass(frozen=True, slots=True)
class LinearMap:
    """How a layer is linear: along each axis, and among the channels of a group, all with all.

    Learned weights stand in the tensor `weight`: output channels first, then the input channels of a group,
    then the taps of each axis; with `inputs_first` the channels the other way round. Without axes the layer
    takes vectors.
    """

    axes: tuple[Taps, ...]
    groups: Size = 1
    inputs_first: bool = False

    @property
    def learned(self) -> bool:
        return not self.axes or self.axes[0].fixed is None


def window_taps(
    kernel: Size,
    stride: Size,
    before: Size,
    dilation: Size = 1,
    filling: str = "zeros",
    fixed: Callable[[int, int], Fraction] | None = None,
) -> Taps:
    """Those of a convolution: unit i gives weight t to position i*stride - before + t*dilation."""
    kernel, stride, before, dilation = map(number, (kernel, stride, before, dilation))
    _bounded(kernel)
    return Taps(stride, 1, (tuple((t * dilation - before, t) for t in range(kernel)),), filling, fixed)


def transposed_taps(kernel: Size, stride: Size, before: Size, dilation: Size) -> Taps:
    """Those of a transposed convolution: weight t takes position i to unit i*stride - before + t*dilation."""
    kernel, stride, before, dilation = map(number, (kernel, stride, before, dilation))
    _bounded(max(kernel, stride))
    phases: list[list[Tap]] = [[] for _ in range(stride)]
    for t in range(kernel):
        unit = (t * dilation - before) % stride
        phases[unit].append(((unit + before - t * dilation) // stride, t))
    return Taps(1, stride, tuple(tuple(sorted(taps)) for taps in phases))


def stencil_taps(stencil: Stencil, filling: str, fixed: Callable[[int, int], Fraction]) -> Taps:
    """Those of a layer without weights of its own that reads as a stencil says."""
    _bounded(max(map(len, stencil.offsets), default=0))
    phases = tuple(tuple((offset, t) for t, offset in enumerate(offsets)) for offsets in stencil.offsets)
    return Taps(stencil.step_in, stencil.step_out, phases, filling, fixed)


def mean_taps(stencil: Stencil | None, samples: Callable[[int], int]) -> Taps:
    """Those of a mean: `samples` says of how many it is at a unit."""
    if stencil is None:
        raise Undecided
    return stencil_taps(stencil, "zeros", lambda unit, t: Fraction(1, samples(unit)))


def number(size: Size) -> int:
    """A size that must be known. Raises `Undecided`."""
    if not isinstance(size, int):
        raise Undecided
    return size


def _bounded(number: int) -> None:
    """Raise `TooLarge` where a pattern is too long to be written out."""
    if number > MOST_PHASES:
        raise TooLarge


def once(unit: int, tap: int) -> Fraction:
    """The weight of a sample that is taken as it is."""
    return Fraction(1)
