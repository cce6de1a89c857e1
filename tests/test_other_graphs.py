"""The networks that the onnx package carries as graphs, made by others, against the bundled ones.

Those graphs have constant weights, so they are small; shapes are those that ONNX's own inference finds.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from onnx import numpy_helper, shape_inference

import archdsl

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"

OPERATORS = {
    "Conv": "conv",
    "Gemm": "linear",
    "MaxPool": "max_pool",
    "AveragePool": "avg_pool",
    "GlobalAveragePool": "avg_pool",
    "Concat": "concat",
    "BatchNormalization": "batch_norm",
    "LRN": "local_response_norm",
    "Sum": "add",
}
"""The operators that are compared, in the language's words."""

WORDS = {kind: kind for kind in OPERATORS.values()} | {
    "depthwise_conv": "conv",
    "global_avg_pool": "avg_pool",
}


class Layer(NamedTuple):
    """What is compared of a layer. A linear layer is a convolution on one position."""

    kind: str
    shape: tuple[int, ...]
    weights: int
    biases: int


@cache
def graph(name: str) -> tuple[Layer, ...]:
    """The layers of a graph of the onnx package."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    inferred = shape_inference.infer_shapes(model, data_prop=True, strict_mode=True).graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in [*inferred.value_info, *inferred.output]
    }
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes |= {name: list(array.shape) for name, array in stored.items()}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = [int(extent) for extent in stored[node.input[0]]]
    layers = []
    for node in model.graph.node:
        kind = OPERATORS.get(node.op_type)
        if kind is None or not shapes.get(node.output[0]):
            continue
        sizes = [prod(shapes[name]) for name in node.input[1:]] if kind in ("conv", "linear") else []
        layers.append(layer(kind, shapes[node.output[0]][1:], *sizes))
    return tuple(layers)


def layer(kind: str, shape: list[int], weights: int = 0, biases: int = 0) -> Layer:
    if kind == "linear" or (kind == "conv" and shape[1:] == [1, 1]):
        kind, shape = "linear", shape[:1]
    return Layer(kind, tuple(shape), weights, biases)


def bundled(name: str, **loading: Any) -> tuple[Layer, ...]:
    """The layers of a bundled network, its auxiliary heads left out."""
    return tuple(
        layer(
            WORDS[row["kind"]],
            row["shape"],
            *((row["weights"], row["biases"]) if WORDS[row["kind"]] in ("conv", "linear") else ()),
        )
        for row in archdsl.load(name, **loading).report().to_dict()["layers"]
        if row["kind"] in WORDS and not row["name"].startswith("auxiliary")
    )


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("vgg19", "VGG19"),
        ("densenet121", "DenseNet121"),
        ("squeezenet", "SqueezeNet11"),
        ("inception_v2", "BNInception"),
        # The graph takes the step of a stage in the 3 x 3 convolution, as torchvision does.
        ("resnet50", "ResNet50V15"),
    ],
)
def test_the_same_network(name: str, network: str) -> None:
    assert len(graph(name)) > 20
    assert Counter(graph(name)) == Counter(bundled(network))


def test_alexnet_without_padding() -> None:
    """The graph takes 224 pixels and pads nothing, which makes 54 positions: ours on 220 with its padding.

    Its last pooling pads at the end instead, so what follows is as it is on 224 pixels in the paper.
    """
    theirs, convolutions = graph("bvlc_alexnet"), 9
    assert theirs[:convolutions] == bundled("AlexNetGrouped", inputs={"image": (3, 220, 220)})[:convolutions]
    assert {one.kind for one in theirs[convolutions:]} == {"max_pool", "linear"}
    assert theirs[convolutions - 1].kind == "conv"
    assert theirs[convolutions:] == bundled("AlexNetGrouped")[convolutions:]


def test_inception_v1_with_poolings_that_round_down() -> None:
    """The graph lost Caffe's rounding up: 55, 27 and 13 positions where the paper has 56, 28 and 14."""
    smaller = {55: 56, 27: 28, 13: 14, 6: 7}

    def mended(one: Layer) -> Layer:
        size = (smaller.get(extent, extent) for extent in one.shape[1:])
        return one._replace(shape=(one.shape[0], *size))

    assert {extent for one in graph("inception_v1") for extent in one.shape[1:]} >= {55, 27, 13, 6}
    assert Counter(map(mended, graph("inception_v1"))) == Counter(bundled("GoogLeNet"))


def test_zfnet_with_512_maps() -> None:
    """The graph is the paper's wider network of Section 5.1, without padding, and with a narrower fc7."""
    theirs, ours = graph("zfnet512"), bundled("ZFNet")
    assert Counter(one.kind for one in theirs) == Counter(one.kind for one in ours)
    convolutions = [one for one in theirs if one.kind == "conv"]
    own = [one for one in ours if one.kind == "conv"]
    assert [one.shape[0] for one in convolutions] == [96, 256, 512, 512, 512]
    assert [one.shape[0] for one in own] == [96, 256, 384, 384, 256]
    assert [(one.weights, one.biases) for one in convolutions[:2]] == [
        (one.weights, one.biases) for one in own[:2]
    ]
    assert {one.shape[1] - other.shape[1] for one, other in zip(own, convolutions, strict=True)} == {1}


def test_shufflenet_that_is_another() -> None:
    """The graph has the paper's units, 4, 8 and 4 in three stages, with other widths.

    They are 136 to 544 channels, and no unit narrows them to a quarter.
    """
    theirs, ours = graph("shufflenet"), bundled("ShuffleNet")
    assert Counter(one.kind for one in theirs) == Counter(one.kind for one in ours)
    for kind in ("add", "concat"):
        assert Counter(one.shape[1:] for one in theirs if one.kind == kind) == Counter(
            one.shape[1:] for one in ours if one.kind == kind
        )
    assert {one.shape[0] for one in theirs if one.kind == "add"} == {136, 272, 544}
    assert {one.shape[0] for one in ours if one.kind == "add"} == {240, 480, 960}
