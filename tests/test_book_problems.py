"""Problems of chapter 10 of "Understanding Deep Learning" (Prince, 2023) that archdsl can answer."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
import torch
from expected import ARCHITECTURES, compiled, oracle, report, units

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.initialisation import initialise

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


def lowered_matrix(layer: str, shape: list[int], labels: list[str]) -> list[list[Any]]:
    """The matrix of a lowered layer: a row an output, a column an input, and the labels of its weights.

    The weights are powers of two, so that one which stands in two places is told from a sum of others.
    """
    net = archdsl.loads(f"network Problem {{ input x: {shape}\nlayer: {layer} }}", name="problem.arch")
    model = net.build().double()
    (weight,) = model.parameters()
    assert weight.numel() == len(labels)
    weight.data = 2.0 ** torch.arange(len(labels), dtype=torch.float64).reshape(weight.shape)
    inputs = math.prod(shape)
    with torch.no_grad():
        made = model(torch.eye(inputs, dtype=torch.float64).reshape(inputs, *shape)).flatten(1).T
    names = {0.0: 0, **{2.0**i: label for i, label in enumerate(labels)}}
    return [[names[float(value)] for value in row] for row in made]


def numbered(letter: str, *extents: int) -> list[str]:
    """`w1`, `w2`, ... or `w11`, `w12`, ..."""
    return [
        letter + "".join(map(str, place)) for place in itertools.product(*(range(1, n + 1) for n in extents))
    ]


MATRICES = {
    "10.5i": (
        "conv(1, kernel=3, stride=2, padding=1, bias=false)",
        [1, 6],
        numbered("w", 3),
        PROBLEMS["10.5"]["i_stride2_3x6"],
    ),
    "10.5ii": (
        "conv(1, kernel=5, padding=2, bias=false)",
        [1, 6],
        numbered("w", 5),
        PROBLEMS["10.5"]["ii_kernel5_6x6"],
    ),
    "10.5iii": (
        "conv(1, kernel=3, dilation=2, padding=2, bias=false)",
        [1, 6],
        numbered("w", 3),
        PROBLEMS["10.5"]["iii_dilated_6x6"],
    ),
    "10.6": (
        "conv(2, kernel=3, padding=1, bias=false)",
        [1, 6],
        numbered("a", 3) + numbered("b", 3),
        PROBLEMS["10.6"]["matrix_12x6"],
    ),
    "10.7": (
        "conv(1, kernel=3, padding=1, bias=false)",
        [2, 6],
        numbered("c", 6),
        PROBLEMS["10.7"]["matrix_6x12"],
    ),
    "10.13": (
        "conv(1, kernel=3, padding=1, bias=false)",
        [1, 4, 6],
        numbered("w", 3, 3),
        PROBLEMS["10.13"]["matrix_24x24_for_4x6"],
    ),
    "10.13, the other way up": (
        "conv(1, kernel=3, padding=1, bias=false)",
        [1, 6, 4],
        numbered("w", 3, 3),
        PROBLEMS["10.13"]["alternative_24x24_for_6x4"],
    ),
    "10.15, 1 and 1": (
        "conv(1, kernel=1, bias=false)",
        [1, 6],
        ["w1"],
        PROBLEMS["10.15"]["k1_stride1"],
    ),
    "10.15, 1 and 2": (
        "conv(1, kernel=1, stride=2, bias=false)",
        [1, 6],
        ["w1"],
        PROBLEMS["10.15"]["k1_stride2_equals_S_times_k1"],
    ),
    "10.15, 2 and 1": (
        "conv(1, kernel=2, padding=[[0, 1]], bias=false)",
        [1, 6],
        numbered("w", 2),
        PROBLEMS["10.15"]["k2_stride1"],
    ),
    "10.15, 2 and 2": (
        "conv(1, kernel=2, stride=2, bias=false)",
        [1, 6],
        numbered("w", 2),
        PROBLEMS["10.15"]["k2_stride2_equals_S_times_k2"],
    ),
    "10.15, 3 and 1": (
        "conv(1, kernel=3, padding=1, bias=false)",
        [1, 6],
        numbered("w", 3),
        PROBLEMS["10.15"]["k3_stride1"],
    ),
    "10.15, 3 and 2": (
        "conv(1, kernel=3, stride=2, padding=1, bias=false)",
        [1, 6],
        numbered("w", 3),
        PROBLEMS["10.15"]["k3_stride2_equals_S_times_k3"],
    ),
    "figure 10.13, down": (
        "conv(1, kernel=3, stride=2, padding=1, bias=false)",
        [1, 6],
        numbered("w", 3),
        PROBLEMS["fig10.13"]["down_3x6"],
    ),
    "figure 10.13, up": (
        "conv_transpose(1, kernel=3, stride=2, padding=1, output_padding=1, bias=false)",
        [1, 3],
        numbered("w", 3),
        PROBLEMS["fig10.13"]["up_6x3"],
    ),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_of_lowered_layers(name: str) -> None:
    layer, shape, labels, matrix = MATRICES[name]
    assert lowered_matrix(layer, shape, labels) == matrix
    made = compiled(f"network Problem {{ input x: {shape}\nlayer: {layer} }}")[-1]
    assert made["weights"] == len(labels)
    assert math.prod(made["shape"]) == len(matrix)


def test_matrices_turned_round_and_counted() -> None:
    for problem, matrix, turned in (
        ("10.6", "matrix_12x6", "matrix_6x12_transposed"),
        ("10.7", "matrix_6x12", "matrix_12x6_transposed"),
    ):
        expected = PROBLEMS[problem]
        assert [list(column) for column in zip(*expected[matrix], strict=True)] == expected[turned]
    for problem, matrix in (
        ("10.6", "matrix_12x6"),
        ("10.7", "matrix_6x12"),
        ("10.13", "matrix_24x24_for_4x6"),
        ("10.13", "alternative_24x24_for_6x4"),
    ):
        weights = [weight for row in PROBLEMS[problem][matrix] for weight in row if weight != 0]
        assert len(weights) == PROBLEMS[problem]["nonzeros"]


def test_problem_10_15_a_stride_is_a_sampling() -> None:
    """Sampling every other output of a stride of 1 gives that of a stride of 2."""
    found = PROBLEMS["10.15"]
    sampled = [row.index(1) for row in found["sampling_matrix_3x6"]]
    for kernel in (1, 2, 3):
        dense = found[f"k{kernel}_stride1"]
        assert [dense[row] for row in sampled] == found[f"k{kernel}_stride2_equals_S_times_k{kernel}"]
    (layer,) = one_dimensional("select([0, 2, 4], axis=length)", length=6)
    field = layer["receptive_field"]
    assert [unit * field["stride"][0] - field["padding"][0] for unit in range(3)] == sampled


@pytest.mark.parametrize(
    ("problem", "layer", "labels"),
    [
        ("10.2", "conv(1, kernel=3, stride=2, padding=1, bias=false)", 3),
        ("10.3", "conv(1, kernel=3, dilation=2, padding=2, bias=false)", 3),
        ("10.4", "conv(1, kernel=7, stride=3, dilation=3, padding=9, bias=false)", 7),
    ],
)
def test_problems_10_2_to_10_4_formulas(problem: str, layer: str, labels: int) -> None:
    """Each term `w1 x_{2i-2}` of unit i is a weight of the lowered layer; both count from 1."""
    formula = PROBLEMS[problem]["formula"].split(" = ")[-1]
    terms = re.findall(r"w(\d) x_\{(\d*)i([+-]\d+)?\}|w(\d) x_(i)()", formula)
    assert len(terms) == labels
    length = 30
    matrix = lowered_matrix(layer, [1, length], numbered("w", labels))
    for unit, row in enumerate(matrix, 1):
        expected = [0] * length
        for braced, times, offset, bare, *_ in terms:
            place = unit * int(times or 1) + int(offset or 0)
            if 1 <= place <= length:
                expected[place - 1] = f"w{braced or bare}"
        assert row == expected
    (made,) = one_dimensional(layer, length=length)
    field = made["receptive_field"]
    centre = PROBLEMS[problem].get("center_of_z_i", "i").split(" ")[0]
    times, offset = re.fullmatch(r"(\d*)i([+-]\d+)?", centre).groups()
    # The centre of unit 1, and from unit to unit, counted from 1.
    assert 1 - field["padding"][0] + (field["size"][0] - 1) / 2 == int(times or 1) + int(offset or 0)
    assert field["stride"] == [int(times or 1)]


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
    if file.startswith("alexnet"):
        labels = [x["name"].split(".")[0] for x in found["layers"] if x["parameters"]]
        assert labels == [*(x["layer"] for x in expected["layers"][:-1]), "logits"]
    assert with_parameters(found["layers"]) == [
        {k: layer[k] for k in ("weights", "biases", "params")} for layer in expected["layers"]
    ]
    assert found["totals"]["parameters"] == expected["total"]


@pytest.mark.parametrize(
    ("kernel", "expected"), [(3, PROBLEMS["10.17"]), (2, PROBLEMS["10.17"]["if_pool_2x2_stride2"])]
)
def test_problem_10_17_fields_of_alexnet(kernel: int, expected: dict[str, int]) -> None:
    """With the poolings of the paper, which overlap, and with such that do not."""
    text = (ARCHITECTURES / "alexnet.arch").read_text(encoding="utf-8")
    text = re.sub(r"^ *expect .*$", "", text, flags=re.MULTILINE)
    text = text.replace("max_pool(3, stride=2)", f"max_pool({kernel}, stride=2)")
    layers = archdsl.loads(text, network="AlexNet").report().to_dict()["layers"]
    fields = {layer["name"]: layer["receptive_field"] for layer in layers}
    for name, layer in (
        ("conv1", "conv1.conv"),
        ("pool1", "pool1"),
        ("conv2", "conv2.conv"),
        ("pool2", "pool2"),
        ("conv3", "conv3.conv"),
    ):
        assert fields[layer]["size"] == [expected[name]] * 2


def test_problem_10_19_initialisation() -> None:
    """For the forward pass; a convolution of C1 maps with a kernel of 3 x 3."""
    net = archdsl.loads("network Problem { input maps: [128, 8, 8]\nconv(512, kernel=3) }")
    model = net.build()
    book = archdsl.load("mnist1d_conv.arch").network
    recipe, _ = read_recipe(book.train, book)
    assert recipe is not None
    torch.manual_seed(0)
    initialise(model, net.network, recipe)
    weight, bias = (parameter.detach() for parameter in model.parameters())
    expected = PROBLEMS["10.19"]
    assert expected["variance_fan_in"] == "2/(9*C1)"
    assert float(weight.var()) == pytest.approx(2 / (9 * 128), rel=0.01)
    assert abs(float(weight.mean())) < 1e-3
    assert set(bias.tolist()) == {expected["biases"]}


def test_figures_of_the_text() -> None:
    text = PROBLEMS["text_numbers"]
    for file, network, key in (
        ("mnist1d_conv.arch", "MNIST1DConv", "mnist1d_conv_params"),
        ("mnist1d_fc.arch", "MNIST1DFC", "mnist1d_fc_params"),
    ):
        layers = report(file, network)["layers"]
        assert [x["parameters"] for x in layers if x["parameters"]] == text[key][:-1]
        assert report(file, network)["totals"]["parameters"] == text[key][-1]
    (image,) = compiled(
        "network Image { input image: [3, 224, 224]\nflatten -> linear(150_528, bias=false) }"
    )[1:]
    assert image["weights"] == text["squared"] == text["inputs_224_rgb"] ** 2
    hidden = [
        x["shape"][0] for x in report("mnist1d_fc.arch", "MNIST1DFC")["layers"] if x["kind"] == "linear"
    ]
    assert hidden == [*text["mnist1d_hidden"], 10]
    flat = next(x for x in report("alexnet.arch", "AlexNet")["layers"] if x["kind"] == "flatten")
    assert flat["shape"] == [text["alexnet_fc_in"]]
