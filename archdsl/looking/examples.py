"""Which test examples excite a unit, and what of an input it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from archdsl.analysis import Analysis
from archdsl.looking.subject import Seen, Subject, class_of
from archdsl.looking.units import Unit
from archdsl.looking.work import at_once


@dataclass(frozen=True, slots=True)
class Best:
    """The test example, and the place on the map, at which a unit is most excited."""

    name: str
    input: Tensor
    place: tuple[int, ...]
    excitation: float
    target: int | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "place": list(self.place),
            "excitation": self.excitation,
            "class": self.target,
        }


def over_examples(subject: Subject, analysis: Analysis, seen: Seen, channels: list[int]) -> Tensor:
    """The values of channels over the test examples, `[n, channels, *extents]`."""
    with torch.no_grad():
        pieces = torch.split(subject.examples.inputs, at_once(analysis))
        return torch.cat([seen(x)[0][:, channels] for x in pieces])


def best_examples(subject: Subject, values: Tensor, unit: Unit, count: int) -> list[Best]:
    """The examples with the largest of `values`, those of the unit's channel; the largest first."""
    if unit.place is not None:
        values = at(values, unit.place)
    highest, flat = values.reshape(len(values), -1).max(1)
    examples = subject.examples
    found = []
    for number in highest.topk(min(count, len(highest))).indices.tolist():
        place = unit.place or _place(int(flat[number]), values.shape[1:])
        name = f"test example {examples.numbers[number]}"
        excitation, target = highest[number].item(), class_of(examples.targets[number])
        found.append(Best(name, examples.inputs[number], place, excitation, target))
    return found


def at(values: Tensor, place: tuple[int, ...]) -> Tensor:
    """What of values `[n, *extents]` is at a place."""
    index: tuple[slice | int, ...] = (slice(None), *place)
    return values[index]


def part(x: Tensor, read: tuple[slice, ...] | None) -> Tensor:
    """The part of inputs `[..., channels, *extents]` that is read."""
    index: tuple[Any, ...] = (..., *(read or ()))
    return x[index]


def best_place(value: Tensor) -> tuple[int, ...]:
    """The place of the largest number."""
    return _place(int(value.argmax()), value.shape)


def _place(flat: int, extents: tuple[int, ...]) -> tuple[int, ...]:
    place: list[int] = []
    for extent in reversed(extents):
        flat, at = divmod(flat, extent)
        place.insert(0, at)
    return tuple(place)


def reads(
    subject: Subject, analysis: Analysis, unit: Unit, place: tuple[int, ...]
) -> tuple[slice, ...] | None:
    """What of an input the unit at a place reads, along each spatial axis; None where it may read it all."""
    field = analysis.receptive_field(unit.excited)
    extents = subject.shape[1:]
    axes = getattr(field, "axes", ())
    if len(axes) != len(place) or len(axes) != len(extents) or not axes:
        return None
    found = []
    for lattices, at, extent in zip(axes, place, extents, strict=True):
        seen = [one for one in (lattice.at(at) for lattice in lattices) if one is not None]
        first = max(0, min((one.first for one in seen), default=0))
        last = min(extent - 1, max((one.last for one in seen), default=extent - 1))
        found.append(slice(first, last + 1))
    return tuple(found)
