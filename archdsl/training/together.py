"""A model as the processes of a run compute with it: torch's own means, and nothing beside them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from archdsl.compiler import Network
from archdsl.recipes.recipe import Recipe
from archdsl.training.measuring import outputs_of
from archdsl.training.processes import Processes


def together(
    model: nn.Module,
    network: Network,
    recipe: Recipe,
    processes: Processes,
    sharded: bool,
    device: torch.device,
) -> nn.Module:
    """The model whose gradients are those of all processes; with `sharded` its state is split over them."""
    if sharded:
        from archdsl.training.sharding import shard

        shape = tuple(network.inputs[0].shape)
        shard(model, torch.zeros(2, *shape, device=device))  # type: ignore[arg-type]
        return model
    if processes.count == 1:
        return model
    judged = {term.output for term in recipe.loss}
    return DistributedDataParallel(_Judged(model, judged), find_unused_parameters=idle(network, judged))


class _Judged(nn.Module):
    """A model that gives no gradient to outputs which no loss judges: torch waits for that of all others."""

    def __init__(self, model: nn.Module, judged: set[int]) -> None:
        super().__init__()
        self.model = model
        self.judged = judged

    def forward(self, *inputs: Tensor) -> Any:
        outputs = outputs_of(self.model(*inputs))
        return tuple(y if i in self.judged else y.detach() for i, y in enumerate(outputs))


def idle(network: Network, judged: set[int]) -> bool:
    """Whether there are weights on no way to the outputs of these numbers."""
    leading = set()
    left = [network.outputs[number].node for number in judged]
    while left:
        node = left.pop()
        if node not in leading:
            leading.add(node)
            left += [wire.node for wire in node.inputs]
    used = {node.first or node for node in leading}
    return any(
        node.first is None and node not in used and node.layer.weights(*(wire.shape for wire in node.inputs))
        for node in network.nodes
    )
