"""Where the units of a map lie on the input: each at the middle of what it sees.

A map that is laid over the input is stretched between these places, not between its edges and the input's:
without padding, or with more on one side, they are not the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archdsl.analysis.receptive_field import Axis, Field, Fields


@dataclass(frozen=True, slots=True)
class Anchor:
    """Along an axis of the input of `extent` samples: unit u of `units` lies at `first` + u * `step`."""

    units: int
    extent: int
    first: float
    step: float

    def neighbours(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each sample the units before and behind it, and how far it is from the first to the second.

        Outside of the outermost units, the sample has their value.
        """
        place = (torch.arange(self.extent, dtype=torch.float64) - self.first) / self.step
        place = place.clamp(0, self.units - 1)
        before = place.floor().long().clamp(max=max(0, self.units - 2))
        behind = (before + 1).clamp(max=self.units - 1)
        return before, behind, (place - before).float()


def anchors(
    field: Field | Fields | None, units: tuple[int, ...], extents: tuple[int, ...]
) -> tuple[tuple[Anchor, ...], bool]:
    """Those of a map, and whether they are known from what its units see.

    Where a unit sees all, or paths of different strides have met, the units share the input's extents evenly.
    """
    if isinstance(field, Field) and len(field.axes) == len(extents):
        known = [_known(axis, n, m) for axis, n, m in zip(field.axes, units, extents, strict=True)]
        placed = tuple(anchor for anchor in known if anchor is not None)
        if len(placed) == len(known):
            return placed, True
    return tuple(Anchor(n, m, m / n / 2 - 0.5, m / n) for n, m in zip(units, extents, strict=True)), False


def _known(axis: Axis, units: int, extent: int) -> Anchor | None:
    if len(axis) > 1 or axis[0].step == 0:
        return None
    (lattice,) = axis
    step = lattice.step / lattice.period
    # Of units that differ in turn, as after an upsampling, the middle of a period counts.
    middles = [
        (seen.first + seen.last) / 2 - phase * step
        for phase, seen in enumerate(lattice.phases)
        if seen is not None
    ]
    return Anchor(units, extent, sum(middles) / len(middles), step) if middles else None


def laid_over(maps: Tensor, placed: tuple[Anchor, ...]) -> Tensor:
    """Maps `[..., rows, columns]` stretched over the input, linearly between its units."""
    for axis, anchor in enumerate(placed):
        before, behind, share = (one.to(maps.device) for one in anchor.neighbours())
        at = maps.dim() - len(placed) + axis
        shape = [-1 if other == at else 1 for other in range(maps.dim())]
        # So that between equal units their very value comes out, whatever is rounded.
        maps = torch.lerp(
            maps.index_select(at, before), maps.index_select(at, behind), share.reshape(shape).to(maps.dtype)
        )
    return maps
