"""A network lowered so that all its values can be seen, with random weights and statistics."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor, nn

from archdsl.compiler import Network, Wire
from archdsl.lowering.build import build

Inputs = list[Tensor]
"""One tensor for each input of the network, a batch of one."""


class Running:
    """The network in double precision, as it is used; what it makes of inputs are the values of `wires`."""

    def __init__(self, network: Network, wires: list[Wire], seed: int) -> None:
        self._seed = seed
        # Every value is a result, those that no output needs among them.
        shown = replace(network, outputs=wires, output_names=[f"value_{i}" for i in range(len(wires))])
        torch.manual_seed(seed)
        self._model = build(shown).double().eval()
        _randomise(self._model)

    def take_weights(self, other: Running) -> None:
        """Have the weights and statistics of another, where they are of equal shapes."""
        own = self._model.state_dict()
        given = other._model.state_dict()
        fitting = {name: one for name, one in given.items() if name in own and own[name].shape == one.shape}
        self._model.load_state_dict(fitting, strict=False)

    def __call__(self, inputs: Inputs) -> list[Tensor]:
        torch.default_generator.manual_seed(self._seed)
        with torch.no_grad():
            made = self._model(*inputs)
        # A `parameter` gives itself.
        return [value.detach() for value in ([made] if isinstance(made, Tensor) else made)]


def _randomise(model: nn.Module) -> None:
    """Nothing may hold by accident: no zeros, no ones, and statistics of no data."""
    statistics = [tensor for name, tensor in model.named_buffers() if "running" in name]
    for tensor in (*model.parameters(), *statistics):
        if not tensor.is_floating_point():
            continue
        if tensor.dim() < 2:
            # Variances, which are positive, are among them.
            tensor.data = torch.rand_like(tensor) + 0.1
        else:
            tensor.data = torch.randn_like(tensor) * sqrt(2 / max(1, tensor[0].numel()))
