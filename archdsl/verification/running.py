"""A network lowered so that values inside it can be seen, in double precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor

from archdsl.compiler import Network, Wire
from archdsl.lowering.build import build
from archdsl.lowering.layers import own_layers

Inputs = list[Tensor]
"""One tensor for each input of the network, a batch of one."""

State = Mapping[str, Tensor]
"""Weights and statistics by their names."""


class Unfitting(Exception):
    """Weights that are not this network's."""


class Running:
    """The network with the weights of `state`, as it is used; what it makes of inputs are values of `wires`.

    What none of them needs is not computed. Raises `Unfitting`.
    """

    def __init__(self, network: Network, wires: Sequence[Wire], state: State, seed: int) -> None:
        self._seed = seed
        shown = replace(network, outputs=list(wires), output_names=[f"value_{i}" for i in range(len(wires))])
        torch.manual_seed(seed)
        # A user's own layer may keep numbers that are no part of the state.
        self._model = build(shown, None if own_layers(network) else "meta").eval()
        try:
            self._model.load_state_dict(state, assign=True)
        except RuntimeError:
            raise Unfitting from None
        self._model.double()

    def __call__(self, inputs: Inputs) -> list[Tensor]:
        torch.default_generator.manual_seed(self._seed)
        with torch.no_grad():
            made = self._model(*inputs)
        # A `parameter` gives itself.
        return [value.detach() for value in ([made] if isinstance(made, Tensor) else made)]


def drawn(network: Network, seed: int) -> State:
    """Random weights and statistics.

    Nothing may hold by accident: no zeros, no ones, and statistics of no data.
    """
    torch.manual_seed(seed)
    model = build(network)
    statistics = [tensor for name, tensor in model.named_buffers() if "running" in name]
    for tensor in (*model.parameters(), *statistics):
        if not tensor.is_floating_point():
            continue
        if tensor.dim() < 2:
            # Variances, which are positive, are among them.
            tensor.data.uniform_(0.1, 1.1)
        else:
            tensor.data.normal_(0, sqrt(2 / max(1, tensor[0].numel())))
    return in_double(model.state_dict())


def in_double(state: State) -> State:
    """Weights and statistics in double precision; indices stay as they are."""
    return {name: one.double() if one.is_floating_point() else one for name, one in state.items()}


def fitted(network: Network, state: State, seed: int) -> State:
    """The weights of a network of another size: those of equal shapes, and random ones for the rest."""
    own = drawn(network, seed)
    return {
        name: state[name] if name in state and state[name].shape == one.shape else one
        for name, one in own.items()
    }
