"""The bundled networks: every layer, and what their papers and others published of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from bundled import BUNDLED
from expected import (
    ARCHITECTURES,
    KINDS,
    MODELS,
    alignment,
    assert_same_field,
    assert_same_layer,
    report,
)

import archdsl

NETWORKS = [
    (file, network, model) for file, networks in BUNDLED.items() for network, model in networks.items()
]
COMPARED = [(file, network, model) for file, network, model in NETWORKS if model]

STRUCTURAL = {"input", "flatten", "dropout", "identity"}
"""Kinds without figures of their own, which a description may or may not write down."""


def test_every_bundled_network_is_here() -> None:
    found = {
        path.name: set(re.findall(r"^network (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in ARCHITECTURES.glob("*.arch")
    }
    assert found == {file: set(networks) for file, networks in BUNDLED.items()}


@pytest.mark.parametrize(("file", "network", "model"), NETWORKS)
def test_expectations_hold_and_nothing_is_warned_of(file: str, network: str, model: str | None) -> None:
    net = archdsl.load(ARCHITECTURES / file, network=network)
    assert net.diagnostics == []
    assert "expect" in (ARCHITECTURES / file).read_text(encoding="utf-8")
    assert net.graph.number_of_nodes() > 4


@pytest.mark.parametrize(("file", "network", "model"), COMPARED)
def test_totals(file: str, network: str, model: str) -> None:
    totals = report(file, network)["totals"]
    expected = dict(MODELS[model]["totals"])
    if network == "LeNet5":
        expected["macs"] += 6 * 14 * 14 + 16 * 5 * 5  # its coefficients are depthwise convolutions here
    assert totals["parameters"] == totals["trainable"] == expected["params"]
    assert totals["buffers"] == expected["buffers"]
    assert totals["macs"] == expected["macs"]
    layers = report(file, network)["layers"]
    assert sum(layer["weights"] for layer in layers) == expected["weights"]
    assert sum(layer["biases"] for layer in layers) == expected["biases"]


@pytest.mark.parametrize(("file", "network", "model"), [c for c in COMPARED if c[1] != "LeNet5"])
def test_every_layer(file: str, network: str, model: str) -> None:
    """Layers of a kind are met in the same order on both sides."""
    found: dict[str, list[Any]] = {}
    for layer in report(file, network)["layers"]:
        found.setdefault(layer["kind"], []).append(layer)
    expected: dict[str, list[Any]] = {}
    aligned = alignment(MODELS[model])
    for layer in MODELS[model]["layers"]:
        kind = KINDS.get(layer["op"], layer["args"].get("fn", layer["op"]))
        whole = layer["op"] == "adaptive_avgpool" and layer["args"]["out"] == [1, 1]
        if whole or (network == "NIN" and layer["id"] == "pool3"):
            kind = "global_avg_pool"
            layer = {**layer, "rf": {"global": True}}
        expected.setdefault(kind, []).append(layer)
    for kind in STRUCTURAL:
        found.pop(kind, None)
        expected.pop(kind, None)
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {
        kind: len(of_kind) for kind, of_kind in expected.items()
    }
    for kind, of_kind in expected.items():
        for one, other in zip(found[kind], of_kind, strict=True):
            assert_same_layer(one, other, aligned.get(other["id"], True))


def test_every_layer_of_lenet5() -> None:
    """Subsampling and the connection table are several layers each: their figures are summed."""
    layers = report("lenet5.arch", "LeNet5")["layers"]
    for expected in MODELS["lenet5_1998"]["layers"]:
        label = {"t2": "s2", "t4": "s4", "t5": "c5", "t6": "f6"}.get(expected["id"], expected["id"])
        if expected["op"] in ("input", "flatten"):
            continue
        made = [layer for layer in layers if layer["name"].split(".")[0] == label]
        if expected["op"] == "act":
            made = [layer for layer in made if layer["kind"] == "tanh"]
        else:
            made = [layer for layer in made if layer["kind"] != "tanh"]
        assert made[-1]["shape"] == expected["out"]
        assert sum(layer["weights"] for layer in made) == expected["weights"]
        assert sum(layer["biases"] for layer in made) == expected["biases"]
        if expected["op"] != "subsample_trainable":
            assert sum(layer["macs"] for layer in made) == expected["macs"]
        assert_same_field(made[-1]["receptive_field"], expected["rf"], len(expected["out"]) - 1, label)


def test_connections_of_lenet5_are_those_of_the_paper() -> None:
    text = (ARCHITECTURES / "lenet5.arch").read_text(encoding="utf-8")
    table = json.loads(re.search(r"let connections = (\[.*?\n\])", text, re.DOTALL)[1])
    expected = next(layer for layer in MODELS["lenet5_1998"]["layers"] if layer["op"] == "conv_table")
    assert [sorted(maps) for maps in table] == [sorted(maps) for maps in expected["args"]["table"]]


def test_googlenet_as_published() -> None:
    """Table 1 of the paper; by hand, 6,998,552 parameters and the two heads."""
    layers = report("googlenet.arch", "GoogLeNet")["layers"]
    shapes = {layer["name"]: layer["shape"] for layer in layers}
    concatenated = {
        "3a": 256,
        "3b": 480,
        "4a": 512,
        "4b": 512,
        "4c": 512,
        "4d": 528,
        "4e": 832,
        "5a": 832,
        "5b": 1024,
    }
    extent = {"3": 28, "4": 14, "5": 7}
    for name, channels in concatenated.items():
        assert shapes[f"inception_{name}.concat"] == [channels, extent[name[0]], extent[name[0]]]
    assert shapes["auxiliary1.avg_pool"] == [512, 4, 4]
    assert shapes["auxiliary2.avg_pool"] == [528, 4, 4]
    heads = [layer for layer in layers if layer["name"].startswith("auxiliary")]
    first = 512 * 128 + 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000
    second = first + 16 * 128
    assert sum(layer["parameters"] for layer in heads) == first + second
    assert sum(layer["parameters"] for layer in layers) - first - second == 6_998_552
    assert sum(layer["macs"] for layer in layers if layer not in heads) == 1_582_671_872
    assert report("googlenet.arch", "GoogLeNet")["outputs"] == ["logits", "auxiliary1", "auxiliary2"]


def test_resnet152_moves_the_stride_only() -> None:
    """The paper's differs from torchvision's as ResNet-101's does: in the first unit of three stages."""
    mine, late = (report("resnet.arch", n)["totals"] for n in ("ResNet152", "ResNet152V15"))
    moved = MODELS["resnet101"]["totals"]["macs"] - MODELS["resnet101_v1_original"]["totals"]["macs"]
    assert late["macs"] - mine["macs"] == moved
    assert late["parameters"] == mine["parameters"]
