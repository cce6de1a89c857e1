"""What the weights are before the first step."""

from __future__ import annotations

from math import prod

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from archdsl.recipes.initialisations import Fans
from archdsl.recipes.recipe import Recipe


@torch.no_grad()
def initialise(model: nn.Module, recipe: Recipe) -> None:
    """Fill the weights of convolutions and linear layers as the recipe says, and their biases.

    All other parameters, those of normalisations among them, stay as their layers make them. Draws from
    torch's own random state.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | _ConvNd):
            how = recipe.part_of(name, "initialize") or recipe.initialize
            how.fill(nn.init, module.weight, _fans(module), isinstance(module, _ConvTransposeNd))
            if module.bias is not None and how.bias is not None:
                nn.init.constant_(module.bias, how.bias)


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
