"""The networks before 1998: units, connections and parameters of their papers, and what they compute."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from expected import ARCHITECTURES, report
from torch.nn import functional as F

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train


def stages(file: str, network: str) -> dict[str, list[dict[str, Any]]]:
    """The layers of a network by the first part of their names."""
    found: dict[str, list[dict[str, Any]]] = {}
    for layer in report(file, network)["layers"]:
        found.setdefault(layer["name"].split(".")[0], []).append(layer)
    return found


def counts(layers: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Units, connections (weights and biases, as often as they are used) and free parameters of a stage."""
    units = prod(layers[-1]["shape"])
    averaged = sum(prod(layer["shape"]) for layer in layers if layer["kind"] == "depthwise_conv")
    connections = sum(layer["macs"] for layer in layers) + 3 * averaged + units
    return units, connections, sum(layer["parameters"] for layer in layers)


# What Section 3 of LeCun et al., Neural Computation 1989, says of each layer.
ZIP_CODES = {
    "h1": (768, 19_968, 1_068),
    "h2": (192, 38_592, 2_592),
    "h3": (30, 5_790, 5_790),
    "output_layer": (10, 310, 310),
}
# The same of LeCun et al., NIPS 1989, which gives the totals alone; by hand.
LENET1 = {
    "h1": (4 * 24 * 24, 4 * 24 * 24 * 26, 4 * 26),
    "h2": (4 * 12 * 12, 4 * 12 * 12 * 5, 4 * 2),
    "h3": (12 * 8 * 8, 8 * 8 * (4 * 26 + 8 * 51), 4 * 26 + 8 * 51),
    "h4": (12 * 4 * 4, 12 * 4 * 4 * 5, 12 * 2),
    "output_layer": (10, 1_930, 1_930),
}
# Of Waibel et al., 1989, Figure 2, by hand: a sum of nine frames counts as nine connections.
TDNN = {"hidden1": (104, 5_096, 392), "hidden2": (27, 1_107, 123)}


@pytest.mark.parametrize(
    ("file", "network", "expected"),
    [
        ("lenet1989.arch", "LeNet1989", ZIP_CODES),
        ("lenet1.arch", "LeNet1", LENET1),
        ("tdnn.arch", "TDNN", TDNN),
    ],
)
def test_units_connections_and_parameters(
    file: str, network: str, expected: dict[str, tuple[int, int, int]]
) -> None:
    found = stages(file, network)
    assert {name: counts(found[name]) for name in expected} == expected


def test_published_totals() -> None:
    """1,256 units, 64,660 connections, 9,760 parameters; 4,635 (a bias unit among them), 98,442, 2,578."""
    assert [sum(column) for column in zip(*ZIP_CODES.values(), strict=True)] == [1_256 - 256, 64_660, 9_760]
    assert [sum(column) for column in zip(*LENET1.values(), strict=True)] == [4_635 - 784 - 1, 98_442, 2_578]
    assert report("lenet1989.arch", "LeNet1989")["totals"]["parameters"] == 9_760
    assert report("lenet1.arch", "LeNet1")["totals"]["parameters"] == 2_578


def test_each_unit_of_h1_and_h2_has_its_own_bias() -> None:
    found = stages("lenet1989.arch", "LeNet1989")
    layers = found["h1"] + found["h2"]
    assert [layer["shape"] for layer in layers if layer["kind"] == "parameter"] == [[12, 8, 8], [12, 4, 4]]
    assert not any(layer["biases"] for layer in layers if layer["kind"] == "conv")


def test_outside_of_a_map_lies_the_background() -> None:
    """In a picture of nothing but background, a unit of H1 at the border sees what all others see."""
    model = archdsl.load(ARCHITECTURES / "lenet1989.arch").build().eval()
    seen: dict[str, Any] = {}
    for name, module in model.named_modules():
        if name == "h1.conv":
            module.register_forward_hook(lambda _, __, made: seen.update(h1=made))
    model(torch.full((1, 1, 16, 16), -1.0))
    assert torch.allclose(seen["h1"], seen["h1"][..., :1, :1].expand_as(seen["h1"]), atol=1e-6)


def test_lenet1_is_two_modules() -> None:
    """Table 1: the first six maps of H3 read the first two of H2, the other six the other two."""
    text = (ARCHITECTURES / "lenet1.arch").read_text(encoding="utf-8")
    table = json.loads(re.search(r"let connections = (\[.*?\])\n\n", text, re.DOTALL)[1])
    rows = ["XXX.XX......", ".XXXXX......", "......XXX.XX", ".......XXXXX"]
    assert table == [[row for row in range(4) if rows[row][map_] == "X"] for map_ in range(12)]


def test_tdnn_sums_over_time() -> None:
    model = archdsl.load(ARCHITECTURES / "tdnn.arch").build().eval()
    state = model.state_dict()
    speech = torch.rand(2, 16, 15)
    hidden = torch.sigmoid(F.conv1d(speech, state["hidden1.conv.weight"], state["hidden1.conv.bias"]))
    hidden = torch.sigmoid(F.conv1d(hidden, state["hidden2.conv.weight"], state["hidden2.conv.bias"]))
    threshold = next(value for name, value in state.items() if name.startswith("threshold"))
    assert torch.allclose(model(speech), torch.sigmoid(hidden.sum(2) + threshold.flatten()), atol=1e-5)


def test_siamese_gives_the_cosine() -> None:
    model = archdsl.load(ARCHITECTURES / "siamese_tdnn.arch").build().eval()
    halves: list[Any] = []
    for name, module in model.named_modules():
        if name == "half.layer2.tanh":
            module.register_forward_hook(lambda _, __, made: halves.append(made.flatten(1)))
    one, other = torch.randn(2, 3, 8, 200)
    for left, right in [(one, other), (one, one)]:
        made = model(left, right)
        assert torch.allclose(made[:, 0], F.cosine_similarity(halves[-2], halves[-1]), atol=1e-5)
    assert torch.allclose(made, torch.ones(3, 1), atol=1e-5)


def test_maps_of_face_recognition() -> None:
    """Each map of layer 3 reads 30 % of the twenty, and each of the twenty is read about as often."""
    layers = stages("face_recognition.arch", "FaceRecognition")["layer3"]
    assert [layer["weights"] for layer in layers if layer["kind"] == "conv"] == 25 * [6 * 9]
    text = (ARCHITECTURES / "face_recognition.arch").read_text(encoding="utf-8")
    steps = [0] + [int(step) for step in re.findall(r"\(m \+ (\d+)\) % 20", text)]
    chosen = [{(m + step) % 20 for step in steps} for m in range(25)]
    assert {len(maps) for maps in chosen} == {round(0.3 * 20)}
    assert {sum(m in maps for maps in chosen) for m in range(20)} == {7, 8}


def test_inhibition_of_the_neocognitron() -> None:
    """An inhibitory cell sees all planes of its window, one of a C-layer all planes of its place."""
    model = archdsl.load(ARCHITECTURES / "neocognitron.arch").build().eval()
    taken: dict[str, Any] = {}
    made: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: Any, given: Any, result: Any) -> None:
            taken[name], made[name] = given[0], result

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(keep(name))
    model(torch.rand(2, 1, 16, 16))
    for stage, planes in [("s1", 1), ("s2", 24), ("s3", 24)]:
        squares = F.conv2d(taken[f"{stage}.a"] ** 2, torch.ones(1, planes, 5, 5))
        assert torch.allclose(made[f"{stage}.b.v"], squares.sqrt(), atol=1e-4)
    for stage in ("c1", "c2", "c3"):
        mean = made[f"{stage}.d"].mean(1, keepdim=True)
        assert mean.any()
        assert torch.allclose(made[f"{stage}.v"], mean, atol=1e-5)


def test_lenet1989_learns(tmp_path: Path) -> None:
    """Whole, its training ends with 4.0 % errors on the test pictures; this is the first fiftieth of it."""
    net = archdsl.load(ARCHITECTURES / "lenet1989.arch")
    recipe, found = read_recipe(net.network.train, net.network, {"steps": "184", "measurements": "1"})
    assert recipe is not None and not found
    assert train(net.network, recipe, tmp_path / "run").measured.test[0] < 0.25
