"""What the weights are before the first step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archdsl.compiler import Network
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.problems import Fault
from archdsl.recipes.initialisations import Filling, Pretrained
from archdsl.recipes.recipe import Recipe
from archdsl.weights.archive import State, read_state
from archdsl.weights.loading import load_weights
from archdsl.weights.matching import Matching


@torch.no_grad()
def initialise(model: nn.Module, network: Network, recipe: Recipe) -> None:
    """Fill the weights that are kernels or matrices as the recipe says, and the biases beside them.

    All other parameters, those of normalisations among them, stay as their layers make them, and so do
    layers whose weights come from a file. Draws from torch's own random state.
    """
    for node in network.nodes:
        how = recipe.part_of(node.name, "initialize") or recipe.initialize
        fans = node.layer.fans(*(wire.shape for wire in node.inputs))
        if fans is None or node.first is not None or not isinstance(how, Filling):
            continue
        module = model.get_submodule(node.name)
        how.fill(nn.init, module.weight, fans)
        if isinstance(module.bias, Tensor) and how.bias is not None:
            nn.init.constant_(module.bias, how.bias)


def take_pretrained(model: nn.Module, network: Network, recipe: Recipe) -> list[tuple[Pretrained, Matching]]:
    """Take the weights that the recipe has from files, and say which layers have which.

    Raises `ArchError` where a file is none, or is not of this network.
    """
    asked: dict[Pretrained, list[str]] = {}
    keys: dict[Pretrained, str] = {}
    for node in network.nodes:
        part = recipe.part_that_says(node.name, "initialize")
        how = recipe.initialize if part is None else part.initialize
        if isinstance(how, Pretrained):
            asked.setdefault(how, []).append(node.name)
            keys.setdefault(how, "initialize" if part is None else f"{part.name}.initialize")
    states: dict[str, State] = {}
    found: list[tuple[Pretrained, Matching]] = []
    for how, layers in asked.items():
        try:
            state = states[how.file] = states.get(how.file) or read_state(how.file)
            found.append((how, load_weights(model, network, state, how.ignored, how.only, layers)))
        except Fault as fault:
            place = recipe.places.get(keys[how], network.place)
            raise ArchError([Diagnostic.of(fault.problem, place)]) from None
    return found
