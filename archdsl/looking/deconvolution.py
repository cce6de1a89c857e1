"""What of an input a unit answers to: its value brought back through the network.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, Section 2.1: all other
units of the layer are set to 0, and layer by layer back to the input

- a maximum goes to the place that it was taken from (the switches of max pooling; where windows overlap, what
  comes to one place is added),
- relu is relu of what comes back, whatever it was on the way there,
- a convolution is the transposed one, without its bias.

All of it is the slope of the unit times its value, but for relu, whose slope would let through what was
above 0 on the way there (Simonyan et al. 2014, Section 4). What the paper's networks have not, such as tanh
or batch normalisation, goes back by its slope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from archdsl.analysis import analyse
from archdsl.looking.examples import Best, best_examples, best_place, over_examples, reads
from archdsl.looking.subject import MOST_EXAMPLES, Given, Seen, Subject
from archdsl.looking.units import Unit
from archdsl.looking.unseen import Unseen
from archdsl.looking.work import bounded
from archdsl.progress import Progress, Told, untold

EXAMPLES = 4
"""How many examples are shown of each unit."""

RECTIFIERS = frozenset(
    {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
)
"""In how many ways torch is asked for relu."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A unit's value for an example, brought back to the input; `read` is what the unit reads there."""

    unit: Unit
    example: Best
    input: Tensor
    read: tuple[slice, ...] | None
    state: str

    def to_dict(self) -> dict[str, Any]:
        return {"unit": str(self.unit), "state": self.state, "example": self.example.to_dict()}


@dataclass(frozen=True, slots=True)
class Unexcited:
    """A unit that no example excites in a state of the network."""

    unit: Unit
    state: str

    def to_dict(self) -> dict[str, Any]:
        return {"unit": str(self.unit), "state": self.state, "example": None}


def projections(
    subject: Subject,
    units: Sequence[Unit],
    given: Given | None = None,
    count: int = EXAMPLES,
    told: Told = untold,
) -> dict[str, list[list[Projection]]]:
    """For each of the subject's states and each unit the examples that excite it most, or the one given.

    Examples that do not excite the unit, whose value is not above 0, are left out; `told` hears how far it
    is. Raises `Unseen` where no example is left, or it would take too long.
    """
    analysis = analyse(subject.network)
    tried = MOST_EXAMPLES if given is None else 1
    bounded("projections", analysis, len(subject.states) * len(units) * (tried + 3 * count))
    progress = Progress(len(subject.states) * len(units), told)
    found: dict[str, list[list[Projection]]] = {}
    for state in subject.states:
        found[state] = []
        for unit in units:
            seen = subject.seen([unit.excited], state)
            if given is None:
                values = over_examples(subject, analysis, seen, [unit.channel])[:, 0]
                best = best_examples(subject, values, unit, count)
            else:
                best = [_placed(seen, given, unit)]
            best = [example for example in best if example.excitation > 0]
            found[state].append(
                [
                    Projection(unit, example, back, reads(subject, analysis, unit, example.place), state)
                    for example, back in zip(best, projected(seen, unit, best), strict=True)
                ]
            )
            progress.went()
    if not any(own for units_found in found.values() for own in units_found):
        raise Unseen(f"none of {', '.join(map(str, units))} is excited: no value of theirs is above 0")
    return found


def projected(seen: Seen, unit: Unit, examples: Sequence[Best]) -> list[Tensor]:
    """The values of a unit, each at its example's place, brought back to the input."""
    if not examples:
        return []
    x = torch.stack([example.input for example in examples]).requires_grad_()
    with _Deconvolving():
        values = seen(x)[0]
    own = torch.stack([values[(k, unit.channel, *one.place)] for k, one in enumerate(examples)])
    (back,) = torch.autograd.grad(own, x, own.detach())
    return list(back)


def _placed(seen: Seen, given: Given, unit: Unit) -> Best:
    """An input that is given, with the place on the map where the unit is most excited."""
    with torch.no_grad():
        value = seen(given.input)[0][0, unit.channel]
    place = unit.place or best_place(value)
    return Best(given.name, given.input[0], place, value[place].item(), given.target)


class _Rectified(torch.autograd.Function):
    """Relu on the way there, and on the way back as well."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.clamp_min(0)

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        return slope.clamp_min(0)


class _Deconvolving(TorchFunctionMode):
    """While this is active, relu is `_Rectified`, in whatever way a layer asks for it."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, given: Sequence[Any] = (), named: Any = None
    ) -> Any:
        named = named or {}
        if function in RECTIFIERS:
            x = given[0] if given else named["input"]
            return _Rectified.apply(x)  # type: ignore[no-untyped-call]
        return function(*given, **named)
