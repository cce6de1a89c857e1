"""Receptive fields and operations as Araujo, Norris and Sim (2019) published them.

Their networks are those of TF-Slim, written down in `tests/slim/`. They counted the operations of
networks as they are without normalisation: each convolution has biases.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from expected import oracle

import archdsl

SLIM = Path(__file__).parent / "slim"
PUBLISHED = oracle("published_rf")

VGG_A, VGG_16 = [1, 1, 2, 2, 2], [2, 2, 3, 3, 3]
R50, R101, R152, R200 = [3, 4, 6, 3], [3, 4, 23, 3], [3, 8, 36, 3], [3, 24, 36, 3]

NETWORKS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "alexnet_v2": ("alexnet_v2", None, {}),
    "vgg_a": ("vgg", None, {"depths": VGG_A}),
    "vgg_16": ("vgg", None, {"depths": VGG_16}),
    "resnet_v1_50": ("resnets", "ResNetV1", {"depths": R50}),
    "resnet_v1_101": ("resnets", "ResNetV1", {"depths": R101}),
    "resnet_v1_152": ("resnets", "ResNetV1", {"depths": R152}),
    "resnet_v1_200": ("resnets", "ResNetV1", {"depths": R200}),
    "resnet_v2_50": ("resnets", "ResNetV2", {"depths": R50}),
    "resnet_v2_101": ("resnets", "ResNetV2", {"depths": R101}),
    "resnet_v2_152": ("resnets", "ResNetV2", {"depths": R152}),
    "resnet_v2_200": ("resnets", "ResNetV2", {"depths": R200}),
    "mobilenet_v1": ("mobilenet_v1", None, {"multiplier": 1}),
    "mobilenet_v1_075": ("mobilenet_v1", None, {"multiplier": 0.75}),
    "inception_v2": ("inception_v2", None, {"separable": True}),
    "inception_v2-no-separable-conv": ("inception_v2", None, {"separable": False}),
    "inception_v3": ("inception_v3", None, {}),
    "inception_v4": ("inception_v4", None, {}),
    "inception_resnet_v2": ("inception_resnet_v2", None, {}),
    "inception_resnet_v2-same": ("inception_resnet_v2", None, {}),
}
"""A network of the table, its file, its name there, its parameters."""

COUNTED = {"conv", "depthwise_conv", "max_pool", "avg_pool"}
"""What the table's operations are: those of convolutions and poolings."""


@cache
def layers_of(network: str, extent: int) -> list[dict[str, Any]]:
    file, name, parameters = NETWORKS[network]
    text = (SLIM / f"{file}.arch").read_text(encoding="utf-8")
    if network.endswith("-same"):
        text = text.replace("padding=0", "padding=same")
    inputs = {"image": [3, extent, extent]}
    net = archdsl.loads(text, name=f"{file}.arch", network=name, parameters=parameters, inputs=inputs)
    layers: list[dict[str, Any]] = net.report().to_dict()["layers"]
    return layers


def end_of(network: str, end_point: str) -> str:
    """The label here of an end point there."""
    name = end_point.split("/")[-1]
    if network.startswith("vgg"):
        kind, stage, number = re.fullmatch(r"(conv|pool)(\d)(?:_(\d))?", name).groups()
        deep = NETWORKS[network][2]["depths"][int(stage) - 1] > 1
        return f"stage_{stage}.{kind}" + (f"_{number}" if number and deep else "_1" if number else "")
    if network.startswith("resnet"):
        return f"stage_{name.removeprefix('block')}"
    return re.sub(r"Conv2d_(\d+)_(pointwise|depthwise)", r"Conv2d_\1.\2", name)


def upto(network: str, extent: int, end_point: str) -> list[dict[str, Any]]:
    """The layers up to an end point, its own last one included."""
    layers, label = layers_of(network, extent), end_of(network, end_point)
    last = max(
        i for i, layer in enumerate(layers) if layer["name"] == label or layer["name"].startswith(f"{label}.")
    )
    return layers[: last + 1]


@pytest.mark.parametrize(
    "row", PUBLISHED["rows"], ids=lambda row: f"{row['network']}-{row['end_point']}-{row['resolution']}"
)
def test_published_fields(row: dict[str, Any]) -> None:
    """Where no resolution is given, the field is that of any; the padding then only if it is of any too."""
    layers = upto(row["network"], row["resolution"] or 224, row["end_point"])
    field = layers[-1]["receptive_field"]
    assert (field["size"], field["stride"]) == ([row["rf"]] * 2, [row["stride"]] * 2)
    assert field["global"] is False
    if row["padding"] is not None:
        assert field["padding"] == [row["padding"]] * 2
    if row["rederived"]:
        again = row["rederived"]
        assert again["agrees"] is True
        assert (again["rf"], again["stride"]) == (row["rf"], row["stride"])
    if row["gflops_table"] is not None:
        flops = sum(layer["flops"] for layer in layers if layer["kind"] in COUNTED)
        assert flops / 1e9 == pytest.approx(row["gflops_table"], rel=0.007, abs=0.0006)


def test_the_table_is_whole() -> None:
    networks = {row["network"] for row in PUBLISHED["rows"]}
    assert networks == set(NETWORKS)
    families = {name.removesuffix("*") for name in PUBLISHED["variants"]}
    assert all(any(network.startswith(family) for family in families) for network in networks)
