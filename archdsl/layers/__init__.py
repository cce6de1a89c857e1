"""Every layer of the language: a module a family, a class a layer."""

from archdsl.layers import (
    activation,
    arrangement,
    convolution,
    linear,
    merging,
    normalisation,
    padding,
    pooling,
    regularisation,
    resampling,
    structure,
)
from archdsl.layers.layer import LAYERS, MANY, Layer

__all__ = [
    "LAYERS",
    "MANY",
    "Layer",
    "activation",
    "arrangement",
    "convolution",
    "linear",
    "merging",
    "normalisation",
    "padding",
    "pooling",
    "regularisation",
    "resampling",
    "structure",
]
