"""What the weights are before the first step."""

from __future__ import annotations

from math import prod

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from archdsl.compiler import Network
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.problems import Fault
from archdsl.recipes.initialisations import Fans, Filling, Pretrained
from archdsl.recipes.recipe import Recipe
from archdsl.weights.archive import State, read_state
from archdsl.weights.loading import load_weights
from archdsl.weights.matching import Matching


@torch.no_grad()
def initialise(model: nn.Module, recipe: Recipe) -> None:
    """Fill the weights of convolutions and linear layers as the recipe says, and their biases.

    All other parameters, those of normalisations among them, stay as their layers make them, and so do
    layers whose weights come from a file. Draws from torch's own random state.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | _ConvNd):
            how = recipe.part_of(name, "initialize") or recipe.initialize
            if not isinstance(how, Filling):
                continue
            how.fill(nn.init, module.weight, _fans(module), isinstance(module, _ConvTransposeNd))
            if module.bias is not None and how.bias is not None:
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


def _fans(module: nn.Linear | _ConvNd) -> Fans:
    """How many weights meet in a unit of the output and of the input, on average where units differ."""
    if isinstance(module, nn.Linear):
        return Fans(module.in_features, module.out_features)
    kernel, stride = prod(module.kernel_size), prod(module.stride)
    taken, made = module.in_channels // module.groups, module.out_channels // module.groups
    # Between strides a unit is reached by every stride-th value of the kernel along each axis.
    reached = max(kernel / stride, 1)
    if isinstance(module, _ConvTransposeNd):
        return Fans(taken * reached, made * kernel)
    return Fans(taken * kernel, made * reached)
