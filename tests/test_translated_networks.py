"""Networks translated into the language from a description: layers, totals, other libraries' modules."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from expected import MODELS, alignment, assert_same_layer, oracle, units
from translating import label, translate

import archdsl


@cache
def translated(model: str) -> dict[str, Any]:
    return archdsl.loads(translate(MODELS[model]), name=f"{model}.arch").report().to_dict()


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_translated(model: str) -> None:
    found = translated(model)["layers"]
    aligned = alignment(MODELS[model])
    by_label: dict[str, list[Any]] = {}
    for layer in found:
        by_label.setdefault(layer["name"].split(".")[0], []).append(layer)
    for expected in MODELS[model]["layers"]:
        if expected["op"] == "input":
            continue
        name = label(expected["id"])
        made = by_label[name]
        if expected["op"] in ("subsample_trainable", "conv_table", "channel_scale"):
            made = made + by_label.get(f"{name}_scale", [])
            total = {
                k: sum(layer[k] for layer in made)
                for k in ("weights", "biases", "parameters", "buffers", "macs")
            }
            if expected["op"] == "subsample_trainable":
                assert total.pop("macs") == expected["out"][0] * expected["out"][1] * expected["out"][2]
                total["macs"] = 0
            last = next(layer for layer in reversed(made) if layer["kind"] != "parameter")
            assert_same_layer({**last, **total}, expected, aligned.get(expected["id"], True))
        else:
            (layer,) = made
            assert_same_layer(layer, expected, aligned.get(expected["id"], True))


@pytest.mark.parametrize("expected", oracle("totals"), ids=lambda row: row["model"])
def test_totals_translated(expected: dict[str, Any]) -> None:
    found = translated(expected["model"])
    totals = found["totals"]
    assert found["inputs"][0]["shape"] == expected["input"]
    assert (totals["parameters"], totals["buffers"]) == (expected["params"], expected["buffers"])
    subsampling = 6 * 14 * 14 + 16 * 5 * 5 if expected["model"] == "lenet5_1998" else 0
    assert totals["macs"] == expected["macs"] + subsampling


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model["whole_map_rf"]])
def test_field_of_a_unit_that_sees_the_whole_map(model: str) -> None:
    """As if the first layer that reads the whole map were a convolution as large as the map."""
    expected = MODELS[model]["whole_map_rf"]
    at = next(layer for layer in MODELS[model]["layers"] if layer["id"] == expected["at"])
    before = label(at["in"][0])
    layer = [x for x in translated(model)["layers"] if x["name"].split(".")[0] == before][-1]
    for axis, extent in enumerate(layer["shape"][1:]):
        spans = units(layer["receptive_field"], axis, count=extent)
        assert spans is not None
        low, high = spans[0][0], spans[-1][1]
        assert [low, high] == expected["unclipped"][axis]
        assert high - low + 1 == expected["size"][axis]
        last = MODELS[model]["input"][1 + axis] - 1
        assert [max(low, 0), min(high, last)] == expected["clipped_to_input"][axis]


WITH_EXTERNAL = [name for name, model in MODELS.items() if model["external_rf"] and name != "efficientnet_b0"]


@pytest.mark.parametrize("model", WITH_EXTERNAL)
def test_field_of_the_last_map_agrees_with_other_libraries(model: str) -> None:
    """The last map before the global pooling; of timm and pytorchcv by the support of gradients."""
    layers = MODELS[model]["layers"]
    at = next(layer for layer in layers if layer["op"] in ("adaptive_avgpool", "flatten"))
    field = next(x for x in translated(model)["layers"] if x["name"] == label(at["in"][0]))["receptive_field"]
    for expected in MODELS[model]["external_rf"]:
        assert field["size"] == [expected["size"]] * 2
        assert field["stride"] == [expected["jump"]] * 2
        assert field["padding"] == [expected["pad_left"]] * 2


def test_field_of_efficientnet_without_its_gates() -> None:
    """With the gates every map sees everything; without them timm's has a field of 851."""
    model = MODELS["efficientnet_b0"]
    gated = {layer["id"]: layer["in"][0] for layer in model["layers"] if layer["op"] == "mul"}
    layers = [
        {**layer, "in": [gated.get(i, i) for i in layer["in"]]}
        for layer in model["layers"]
        if layer["op"] != "mul" and ".se." not in layer["id"]
    ]
    found = archdsl.loads(translate({**model, "layers": layers})).report().to_dict()["layers"]
    at = next(layer for layer in layers if layer["op"] == "adaptive_avgpool")
    field = next(x for x in found if x["name"] == label(at["in"][0]))["receptive_field"]
    (expected,) = model["external_rf"]
    assert (field["size"], field["stride"]) == ([expected["size"]] * 2, [expected["jump"]] * 2)
    assert field["padding"] == [expected["pad_left"]] * 2


# ------------------------------------------------------------------------------ modules of other libraries

CLASSES = {
    "Conv2d": "product",
    "Linear": "product",
    "BatchNorm2d": "batch_norm",
    "LayerNorm": "layer_norm",
    "LayerNorm2d": "layer_norm",
    "MaxPool2d": "max_pool",
    "AvgPool2d": "mean",
    "AdaptiveAvgPool2d": "mean",
    "ReLU": "rectifier",
    "ReLU6": "rectifier",
    "SiLU": "silu",
    "Swish": "silu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
    "ChannelShuffle": "channel_shuffle",
}
FAMILIES = {
    **{family: family for family in CLASSES.values()},
    **dict.fromkeys(("conv", "depthwise_conv", "linear"), "product"),
    **dict.fromkeys(("avg_pool", "global_avg_pool"), "mean"),
    **dict.fromkeys(("relu", "relu6"), "rectifier"),
}
"""Of the libraries' classes and of ours: a matrix product may be a convolution with a kernel of 1, a global
pooling one as large as the map, and timm's MobileNet is cut off at 6 where ours isn't."""

PASSED_OVER = {"Identity", "Dropout", "Flatten"}

Leaf = tuple[str, tuple[int, ...], int]


def leaf(family: str, shape: list[int], count: int) -> Leaf:
    """Family, extents whatever their order and without those of 1, parameters."""
    return family, tuple(sorted(n for n in shape if n > 1)), count


def leaves_of_ours(layers: list[dict[str, Any]]) -> Counter[Leaf]:
    return Counter(
        leaf(FAMILIES[layer["kind"]], layer["shape"], layer["parameters"])
        for layer in layers
        if layer["kind"] in FAMILIES
    )


def leaves_of_theirs(row: dict[str, Any]) -> Counter[Leaf]:
    return Counter(
        leaf(CLASSES[name], shape, count) for name, shape, count in row["leaves"] if name not in PASSED_OVER
    )


@cache
def inception(name: str) -> list[dict[str, Any]]:
    """TF-Slim's network with normalisation and a head."""
    text = (Path(__file__).parent / "slim" / f"{name}.arch").read_text(encoding="utf-8")
    for block in re.findall(r"^block (?:Unit|Inside)\(.*?^}", text, re.MULTILINE | re.DOTALL):
        text = text.replace(block, block.replace(") -> relu", ", bias=false) -> batch_norm -> relu"))
    text = text.rstrip().removesuffix("}") + "  global_avg_pool -> flatten -> linear(1000)\n}\n"
    net = archdsl.loads(text, name=f"{name}.arch", inputs={"image": [3, 299, 299]})
    layers: list[dict[str, Any]] = net.report().to_dict()["layers"]
    return layers


BATCH_NORMS = {
    "densenet121",
    "mobilenetv1_100",
    "efficientnet_b0",
    "inception_v3",
    "inception_v4",
    "inception_resnet_v2",
}
"""Where timm normalises without calling a module, so that its modules do not show it."""


def not_hooked(row: dict[str, Any], ours: Counter[Leaf]) -> Counter[Leaf]:
    """What a library computes without a module of its own."""
    hidden = Counter[Leaf]()
    if row["lib"] == "timm" and row["ref"] in BATCH_NORMS:
        hidden += Counter({one: n for one, n in ours.items() if one[0] == "batch_norm"})
    if row["lib"] == "timm" and row["ref"] == "efficientnet_b0":
        # The means of its gates; the one before the classes is a module.
        means = [layer for layer in translated(row["model"])["layers"] if layer["kind"] == "global_avg_pool"]
        hidden += Counter(leaf("mean", layer["shape"], 0) for layer in means[:-1])
    if row["ref"] == "inception_v3":
        # The poolings within its blocks are functions.
        pools = [layer for layer in inception("inception_v3") if layer["name"].startswith("Mixed_")]
        pools = [layer for layer in pools if layer["kind"] in ("max_pool", "avg_pool")]
        hidden += Counter(leaf(FAMILIES[layer["kind"]], layer["shape"], 0) for layer in pools)
    return hidden


@pytest.mark.parametrize("row", oracle("leaves"), ids=lambda row: f"{row['lib']}-{row['ref']}")
def test_layers_are_those_of_other_libraries(row: dict[str, Any]) -> None:
    if row["model"].startswith("inception"):
        layers = inception(row["model"])
    else:
        model = "alexnet_torchvision" if row["ref"] == "alexnetb" else row["model"]
        layers = translated(model)["layers"]
        assert MODELS[model]["input"] == row["input"]
    ours, theirs = leaves_of_ours(layers), leaves_of_theirs(row)
    more = Counter[Leaf]()
    if row["ref"].startswith("vgg") and row["lib"] == "timm":
        # Its hidden layers are convolutions, and the map after them, of one position here, is averaged.
        more[leaf("mean", [4096], 0)] = 1
    if row["ref"] == "shufflenetv2b_w1":
        # In the first unit its shortcut keeps 24 channels, and the other branch has the rest of 116.
        more += Counter(
            leaf(*one) for one in (("product", [24, 28, 28], 576), ("product", [92, 28, 28], 5336))
        )
        more += Counter(leaf("batch_norm", [n, 28, 28], 2 * n) for n in (24, 92))
        more[leaf("rectifier", [24, 28, 28], 0)] = more[leaf("rectifier", [92, 28, 28], 0)] = 1
        ours -= Counter(leaf("product", [58, 28, 28], count) for count in (58 * 24, 58 * 58))
        ours -= Counter({leaf("batch_norm", [58, 28, 28], 116): 2, leaf("rectifier", [58, 28, 28], 0): 2})
    assert ours - not_hooked(row, ours) + more == theirs
