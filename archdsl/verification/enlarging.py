"""Inputs enlarged by repeating each sample, and the network that takes them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from archdsl.compiler import Network, Options, Program
from archdsl.layers.shapes import Shape

FACTOR = 2
"""How often each sample is repeated along every axis."""


def larger(program: Program, network: Network) -> Network | None:
    """The same network of enlarged inputs; None where it can't have such."""
    options = Options(**network.options)
    inputs = dict(options.inputs)
    for node in network.inputs:
        if has_positions(node.shape):
            channels, *size = (number for number in node.shape if isinstance(number, int))
            inputs[node.name] = (channels, *(FACTOR * extent for extent in size))
    return program.compile(network.name, replace(options, inputs=inputs)).network


def has_positions(shape: Shape) -> bool:
    """Whether there is anything to enlarge: what has one position stays as it is."""
    return any(extent != 1 for extent in shape.size)


def enlarged(x: Tensor) -> Tensor:
    """Each sample repeated along every axis."""
    for axis in range(2, x.dim()):
        x = x.repeat_interleave(FACTOR, axis)
    return x
