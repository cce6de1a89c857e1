"""Problems of chapter 10 of "Understanding Deep Learning" (Prince, 2023) that archdsl can answer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from expected import ARCHITECTURES, compiled, oracle, report, units

PROBLEMS = oracle("problems")


def one_dimensional(*layers: str, channels: int = 1, length: int = 64) -> list[dict[str, Any]]:
    chain = "\n".join(f"layer{i}: {layer}" for i, layer in enumerate(layers, 1))
    return compiled(f"network Problem {{ input x: [{channels}, {length}]\n{chain}\n}}")[-len(layers) :]


def test_problem_10_8_weights_and_biases() -> None:
    layers = one_dimensional("conv(4, kernel=3)", "conv(10, kernel=5)", channels=3)
    for layer, expected in zip(layers, (PROBLEMS["10.8"]["layer1"], PROBLEMS["10.8"]["layer2"]), strict=True):
        assert {"weights": layer["weights"], "biases": layer["biases"]} == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (["conv(1, kernel=3, padding=1)"] * 3, [3, 5, PROBLEMS["10.9"]]),
        (["conv(1, kernel=7, padding=3)"] * 3, [7, 13, PROBLEMS["10.10"]]),
        (
            ["conv(1, kernel=5, stride=2)", "conv(1, kernel=3)", "conv(1, kernel=5, dilation=2)"],
            PROBLEMS["10.11"],
        ),
        (["conv(1, kernel=7, stride=3, dilation=3)"], [PROBLEMS["10.4"]["window_extent"]]),
    ],
)
def test_problems_10_4_to_10_11_receptive_fields(layers: list[str], expected: list[int]) -> None:
    assert [layer["receptive_field"]["size"] for layer in one_dimensional(*layers)] == [[n] for n in expected]


@pytest.mark.parametrize(
    ("layer", "matrix"),
    [
        ("conv(1, kernel=3, stride=2, padding=1)", PROBLEMS["10.5"]["i_stride2_3x6"]),
        ("conv(1, kernel=5, padding=2)", PROBLEMS["10.5"]["ii_kernel5_6x6"]),
        ("conv(1, kernel=3, dilation=2, padding=2)", PROBLEMS["10.5"]["iii_dilated_6x6"]),
        ("conv(1, kernel=1)", PROBLEMS["10.15"]["k1_stride1"]),
        ("conv(1, kernel=1, stride=2)", PROBLEMS["10.15"]["k1_stride2_equals_S_times_k1"]),
        ("conv(1, kernel=2, stride=2)", PROBLEMS["10.15"]["k2_stride2_equals_S_times_k2"]),
        ("conv(1, kernel=3, stride=2, padding=1)", PROBLEMS["10.15"]["k3_stride2_equals_S_times_k3"]),
        ("conv(1, kernel=3, stride=2, padding=1)", PROBLEMS["fig10.13"]["down_3x6"]),
    ],
)
def test_problems_10_5_and_10_15_connections(layer: str, matrix: list[list[Any]]) -> None:
    """A row is an output, and what it reads is where its row has weights."""
    (made,) = one_dimensional(layer, length=6)
    assert made["shape"] == [1, len(matrix)]
    field = made["receptive_field"]
    size, taps = field["size"][0], field["taps"][0]
    step = (size - 1) // (taps - 1) if taps > 1 else 1
    for unit, row in enumerate(matrix):
        first = unit * field["stride"][0] - field["padding"][0]
        read = {position for position in range(first, first + size, step) if 0 <= position < 6}
        assert read == {position for position, weight in enumerate(row) if weight != 0}


def test_figure_10_13_upsampling() -> None:
    (made,) = one_dimensional("conv_transpose(1, kernel=3, stride=2, padding=1, output_padding=1)", length=3)
    matrix = PROBLEMS["fig10.13"]["up_6x3"]
    assert made["shape"] == [1, len(matrix)]
    for unit, (low, high) in enumerate(units(made["receptive_field"], 0, count=len(matrix)) or []):
        read = {position for position in range(int(low), int(high) + 1) if 0 <= position < 3}
        assert read == {position for position, weight in enumerate(matrix[unit]) if weight != 0}


@pytest.mark.parametrize(
    ("inputs", "outputs", "matrix"),
    [(1, 2, PROBLEMS["10.6"]["matrix_12x6"]), (2, 1, PROBLEMS["10.7"]["matrix_6x12"])],
)
def test_problems_10_6_and_10_7_channels(inputs: int, outputs: int, matrix: list[list[Any]]) -> None:
    """As many different weights as the convolution has, and a row a unit."""
    (made,) = one_dimensional(f"conv({outputs}, kernel=3, padding=1, bias=false)", channels=inputs, length=6)
    assert made["weights"] == len({weight for row in matrix for weight in row if weight != 0})
    assert made["shape"] == [outputs, 6]
    assert len(matrix) == outputs * 6
    assert len(matrix[0]) == inputs * 6


def test_problem_10_12_epochs() -> None:
    recipe = (ARCHITECTURES / "mnist1d_conv.arch").read_text(encoding="utf-8")
    steps = int(re.search(r"steps\s+= (\S+)", recipe)[1].replace("_", ""))
    batch = int(re.search(r"batch\s+= (\S+)", recipe)[1])
    examples = int(re.search(r"examples=(\d+)", recipe)[1])
    assert steps * batch / examples == PROBLEMS["10.12"]


def test_problem_10_14_weights_and_biases() -> None:
    (layer,) = compiled("network Problem { input image: [3, 32, 32]\nconv(10, kernel=5) }")[-1:]
    assert {k: layer[k] for k in ("weights", "biases")} == PROBLEMS["10.14"]


def with_parameters(layers: list[dict[str, Any]]) -> list[dict[str, int]]:
    return [
        {"weights": x["weights"], "biases": x["biases"], "params": x["parameters"]}
        for x in layers
        if x["parameters"]
    ]


@pytest.mark.parametrize(
    ("file", "network", "expected"),
    [
        ("alexnet.arch", "AlexNet", PROBLEMS["10.16"]["ungrouped"]),
        ("alexnet_grouped.arch", "AlexNetGrouped", PROBLEMS["10.16"]["grouped_2gpu"]),
        ("vgg.arch", "VGG16", PROBLEMS["10.18"]["vgg16"]),
        ("vgg.arch", "VGG19", PROBLEMS["10.18"]["vgg19"]),
    ],
)
def test_problems_10_16_and_10_18_parameters(file: str, network: str, expected: dict[str, Any]) -> None:
    found = report(file, network)
    assert with_parameters(found["layers"]) == [
        {k: layer[k] for k in ("weights", "biases", "params")} for layer in expected["layers"]
    ]
    assert found["totals"]["parameters"] == expected["total"]


def test_problem_10_17_fields_of_alexnet() -> None:
    layers = {
        layer["name"]: layer["receptive_field"] for layer in report("alexnet.arch", "AlexNet")["layers"]
    }
    expected = PROBLEMS["10.17"]
    for name, layer in (
        ("conv1", "conv1.conv"),
        ("pool1", "pool1"),
        ("conv2", "conv2.conv"),
        ("pool2", "pool2"),
        ("conv3", "conv3.conv"),
    ):
        assert layers[layer]["size"] == [expected[name]] * 2


def test_figures_of_the_text() -> None:
    text = PROBLEMS["text_numbers"]
    for file, network, key in (
        ("mnist1d_conv.arch", "MNIST1DConv", "mnist1d_conv_params"),
        ("mnist1d_fc.arch", "MNIST1DFC", "mnist1d_fc_params"),
    ):
        layers = report(file, network)["layers"]
        assert [x["parameters"] for x in layers if x["parameters"]] == text[key][:-1]
        assert report(file, network)["totals"]["parameters"] == text[key][-1]
    hidden = [
        x["shape"][0] for x in report("mnist1d_fc.arch", "MNIST1DFC")["layers"] if x["kind"] == "linear"
    ]
    assert hidden == [*text["mnist1d_hidden"], 10]
    flat = next(x for x in report("alexnet.arch", "AlexNet")["layers"] if x["kind"] == "flatten")
    assert flat["shape"] == [text["alexnet_fc_in"]]
