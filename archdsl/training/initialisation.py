"""What the weights are before the first step."""

from __future__ import annotations

from math import prod, sqrt

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd


def initialise_he(model: nn.Module) -> None:
    """Weights of convolutions and linear layers normal with variance 2 / fan-in, their biases 0.

    The fan-in is the number of inputs that a unit sums, of a transposed convolution on average. All
    other parameters, those of normalisations among them, stay as their layers make them. He, Zhang,
    Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, Equation 10. Draws from torch's own
    random state.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | _ConvNd):
            nn.init.normal_(module.weight, std=sqrt(2 / _fan_in(module)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _fan_in(module: nn.Linear | _ConvNd) -> float:
    if isinstance(module, _ConvTransposeNd):
        # A unit is reached by every stride-th value of the kernel along each axis.
        reached = prod(module.kernel_size) / prod(module.stride)
        return module.in_channels // module.groups * max(reached, 1)
    return module.weight[0].numel()
