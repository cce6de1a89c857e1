"""Problems of chapter 10 of "Understanding Deep Learning" (Prince, 2023) that archdsl can answer."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from typing import Any

import pytest
import torch
from expected import ARCHITECTURES, compiled, oracle, report, units

import archdsl
from archdsl.analysis.weight_matrix import weight_matrix
from archdsl.recipes.explaining import explained
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


# ------------------------------------------------------------------------------ docs/chapter.md

CHAPTER = (ARCHITECTURES.parent / "docs" / "chapter.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", CHAPTER, re.MULTILINE | re.DOTALL))
"""What stands under each heading. That a screen is what its command prints, `test_docs.py` holds."""


def of_the_page(number: str) -> str:
    """The section whose heading names a problem or figure."""
    (section,) = (text for heading, text in SECTIONS.items() if re.search(rf"\b{number}\b", heading))
    return section


def screen(number: str, command: str) -> str:
    """What stands under the one command of a section that has these words."""
    screens = re.findall(r"^```console\n\$ ([^\n]*)\n(.*?)^```$", of_the_page(number), re.M | re.S)
    (shown,) = (text for line, text in screens if command in line)
    assert isinstance(shown, str)
    return shown


def figures(number: str, command: str = "--csv") -> list[list[str]]:
    """The rows of a section's comma-separated values, without heading and names."""
    return [row[1:] for row in csv.reader(screen(number, command).splitlines()[1:])]


@pytest.mark.parametrize(("number", "layer"), [("10.2", "strided"), ("10.3", "dilated"), ("10.4", "seven")])
def test_the_page_has_the_formulas(number: str, layer: str) -> None:
    shown = screen("Problems 10.2 to 10.5", f"--layer {layer}").splitlines()[0]
    found, expected = (
        formula.replace(" ", "").split("=")[-1] for formula in (shown, PROBLEMS[number]["formula"])
    )
    assert found.replace("ω_", "w") == expected


@pytest.mark.parametrize(
    ("number", "layer", "labels", "matrix"),
    [
        ("Figure 10.3", "strided", numbered("w", 3), PROBLEMS["10.5"]["i_stride2_3x6"]),
        ("Figure 10.3", "wide", numbered("w", 5), PROBLEMS["10.5"]["ii_kernel5_6x6"]),
        ("Figure 10.3", "dilated", numbered("w", 3), PROBLEMS["10.5"]["iii_dilated_6x6"]),
        ("Figure 10.5", "h1", numbered("a", 3) + numbered("b", 3), PROBLEMS["10.6"]["matrix_12x6"]),
        ("Figure 10.5", "h2", numbered("c", 6), PROBLEMS["10.7"]["matrix_6x12"]),
        ("Problem 10.13", "h.conv", numbered("w", 3, 3), PROBLEMS["10.13"]["matrix_24x24_for_4x6"]),
        ("Problem 10.15", "dense", numbered("w", 3), PROBLEMS["10.15"]["k3_stride1"]),
        ("Problem 10.15", "sampling", [1], PROBLEMS["10.15"]["sampling_matrix_3x6"]),
        ("Problem 10.15", "strided", numbered("w", 3), PROBLEMS["10.15"]["k3_stride2_equals_S_times_k3"]),
        ("Problem 10.15", "one", ["w1"], PROBLEMS["10.15"]["k1_stride1"]),
        ("Problem 10.15", "two", numbered("w", 2), PROBLEMS["10.15"]["k2_stride2_equals_S_times_k2"]),
    ],
)
def test_the_page_has_the_matrices(
    number: str, layer: str, labels: list[Any], matrix: list[list[Any]]
) -> None:
    """Of the program of a section. That the picture is what its command draws, `test_docs.py` holds."""
    programs = re.findall(r"^```arch\n(.*?)^```$", of_the_page(number), re.M | re.S)
    (program,) = (text for text in programs if re.search(rf"^  {layer.split('.')[0]}: ", text, re.M))
    assert f"--layer {layer} " in of_the_page(number) or number == "Problem 10.13"
    network = archdsl.loads(program.replace("T]", "6]")).network
    (node,) = (node for node in network.nodes if node.name == layer)
    found = weight_matrix(node.layer, node.inputs[0].shape)
    assert found is not None
    assert [[[0, *labels][cell] for cell in row] for row in found.cells] == matrix


def test_the_page_has_the_numbers() -> None:
    """Parameters, fields and extents, as its screens show them."""

    def of_layers(*layers: dict[str, Any]) -> list[list[str]]:
        return [[str(layer["weights"]), str(layer["biases"])] for layer in layers]

    assert figures("Problem 10.8") == of_layers(PROBLEMS["10.8"]["layer1"], PROBLEMS["10.8"]["layer2"])
    assert figures("Problem 10.14") == of_layers(PROBLEMS["10.14"])
    assert figures("Problem 10.9")[-1] == [str(PROBLEMS["10.9"])]
    assert f"reads {PROBLEMS['10.9']} inputs" in of_the_page("Problem 10.9")
    assert figures("Problem 10.10")[-1] == [str(PROBLEMS["10.10"])]
    assert [field for field, _ in figures("Problem 10.11")] == [str(n) for n in PROBLEMS["10.11"]]
    text = PROBLEMS["text_numbers"]
    inputs, squared = str(text["inputs_224_rgb"]), str(text["squared"])
    assert figures("images") == [[inputs, "0"], [inputs, squared]]
    for number, key in (("Figure 10.7", "mnist1d_conv_params"), ("Figure 10.8", "mnist1d_fc_params")):
        own = [row[1] for row in figures(number) if row[1] != "0"]
        assert own == [str(n) for n in text[key][:-1]]
        assert f"{text[key][-1]:,}" in of_the_page("Figure 10.8")


def test_the_page_has_the_parameters_of_alexnet_and_vgg() -> None:
    for network, number, command in (
        ("ungrouped", "Problems 10.16", "alexnet.arch"),
        ("vgg19", "Problem 10.18", "VGG19"),
    ):
        table = screen(number, command)
        rows = re.findall(r"^ \S+ +([\d,]+) +([\d,]+)(?: |$)", table.split("\n\n")[1], re.MULTILINE)
        shown = [[int(n.replace(",", "")) for n in row] for row in rows]
        expected = {**PROBLEMS["10.16"], **PROBLEMS["10.18"]}[network]
        assert shown == [[layer["weights"], layer["biases"]] for layer in expected["layers"]]
        assert re.search(rf"^ parameters +{expected['total']:,} ", table, re.MULTILINE)
    grouped = [row for row in figures("Problems 10.16") if row[0] != "0"]
    assert grouped == [
        [str(layer[key]) for key in ("weights", "biases", "params")]
        for layer in PROBLEMS["10.16"]["grouped_2gpu"]["layers"]
    ]


def test_the_page_has_the_fields_of_alexnet() -> None:
    said, expected = of_the_page("Problems 10.16"), PROBLEMS["10.17"]
    fields = dict(re.findall(r"^ (\w+) .* (\d+)$", screen("Problems 10.16", "alexnet.arch"), re.MULTILINE))
    layers = ("conv1", "pool1", "conv2", "pool2", "conv3")
    assert [fields[layer] for layer in layers] == [str(expected[layer]) for layer in layers]
    apart = expected["if_pool_2x2_stride2"]
    assert "is {conv1}, then {conv2}, then {conv3}.".format(**expected) in said
    assert "be {conv1}, {conv2} and {conv3}.".format(**apart) in said


def test_the_page_has_the_epochs_and_the_initialisation() -> None:
    net = archdsl.load("mnist1d_conv.arch")
    recipe, _ = read_recipe(net.network.train, net.network)
    assert recipe is not None
    (quoted,) = re.findall(r"^```text\n(.*?)^```$", of_the_page("Problem 10.12"), re.M | re.S)
    assert quoted in explained(net.network, recipe)
    assert f" {PROBLEMS['10.12']:,} epochs" in quoted
    said = of_the_page("Problem 10.19")
    weights, channels = (int(n) for n in figures("Problem 10.19")[0])
    assert weights == channels * 9 * 64
    assert f"{weights:,} / {channels} = {9 * 64} = 9·C₁" in said
    for fan in ("in", "out"):
        variance = PROBLEMS["10.19"][f"variance_fan_{fan}"].replace("/(9*C", " / (9 C")
        assert variance.translate(str.maketrans({"1": "₁"})).replace("C2", "C₂") in said


def test_the_page_has_the_equivariance() -> None:
    section = of_the_page("Problem 10.1")
    (program,) = re.findall(r"^```arch\n(.*?)^```$", section, re.M | re.S)
    (quoted,) = re.findall(r"^```json\n(.*?)^```$", section, re.M | re.S)
    (layer,) = (layer for layer in compiled(program) if layer["name"] == "plain.relu")
    assert json.loads(quoted).items() <= layer["equivariance"].items()
