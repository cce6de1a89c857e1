"""Passes through a network that compute what is looked at, and little else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from archdsl.analysis.flow import Flow
from archdsl.compiler import Network, Wire
from archdsl.verification.running import Inputs, Running, State

WORTH = 2 * 10**9
"""How many FLOPs a pass must spare for the network to be built once more, without them."""


def needed_for(flow: Flow, values: Iterable[int]) -> set[int]:
    """The layers that make these values, and what they are made of."""
    needed: set[int] = set()
    waiting = [flow.makers[value] for value in values]
    while waiting:
        layer = waiting.pop()
        if layer not in needed:
            needed.add(layer)
            waiting += flow.sources[layer]
    return needed


def spent(flow: Flow, values: Iterable[int]) -> int:
    """The FLOPs of a pass in which these values are made, where all extents are numbers."""
    each = (flow.rules[layer].flops for layer in needed_for(flow, values))
    return sum(flops for flops in each if isinstance(flops, int))


class Passes:
    """A network that is run again and again, each time for some of its `wires`, by their places."""

    def __init__(self, network: Network, flow: Flow, wires: Sequence[Wire], state: State, seed: int) -> None:
        self._network, self._flow, self._wires = network, flow, wires
        self._state, self._seed = state, seed
        self._values = [flow.number(wire) for wire in wires]
        self._built: dict[tuple[int, ...], tuple[int, Running]] = {}

    def __call__(self, inputs: Inputs, places: Sequence[int]) -> dict[int, Tensor]:
        """What the network makes of inputs, a value for each of the places."""
        if not places:
            return {}
        shown, run = self._for(places)
        made = dict(zip(shown, run(inputs), strict=True))
        return {place: made[place] for place in places}

    def _for(self, places: Sequence[int]) -> tuple[tuple[int, ...], Running]:
        """A network that shows these places, and all that it shows: one that there is already will do."""
        wanted, flops = set(places), spent(self._flow, (self._values[place] for place in places))
        fitting = [(more, key) for key, (more, _) in self._built.items() if wanted.issubset(key)]
        if fitting and min(fitting)[0] - flops <= WORTH:
            key = min(fitting)[1]
        else:
            key = tuple(sorted(wanted))
            wires = [self._wires[place] for place in key]
            self._built[key] = (flops, Running(self._network, wires, self._state, self._seed))
        return key, self._built[key][1]
