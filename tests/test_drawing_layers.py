"""Pictures of one layer or one unit: weights as a matrix, what a unit reads, what it computes."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from expected import oracle
from PIL import ImageFont
from translating import label, translate

import archdsl
from archdsl.analysis.equation import Equations, equations
from archdsl.analysis.formula import (
    Call,
    Formula,
    Index,
    Negative,
    Number,
    Over,
    Product,
    Quotient,
    Sum,
    Symbol,
)
from archdsl.analysis.units_read import units_read
from archdsl.analysis.weight_matrix import WeightMatrix, weight_matrix
from archdsl.cli.main import run
from archdsl.drawing.equation import equation
from archdsl.drawing.matrix import matrix
from archdsl.drawing.receptive_field import receptive_field

PROBLEMS = oracle("problems")
SVG = "{http://www.w3.org/2000/svg}"


def one_layer(layer: str, shape: list[int]) -> archdsl.Net:
    return archdsl.loads(f"network Problem {{ input x: {shape}\nlayer: {layer} }}")


def doubles(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64) - 0.5


def parameters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a network of one layer, by their last names."""
    return {name.rsplit(".", 1)[-1]: value for name, value in model.state_dict().items()}


# ------------------------------------------------------------------------------ the matrix

LINEAR: list[tuple[str, list[int]]] = [
    ("conv(1, kernel=3, padding=1)", [1, 6]),
    ("conv(4, kernel=3, stride=2, dilation=2, padding=[[1, 2]], groups=2)", [2, 9]),
    ("conv(2, kernel=5, padding=3, padding_mode=circular)", [1, 5]),
    ("conv(2, kernel=5, padding=3, padding_mode=reflect)", [1, 5]),
    ("conv(2, kernel=5, padding=3, padding_mode=replicate)", [1, 5]),
    ("conv(2, kernel=3, padding=1)", [2, 4, 5]),
    ("conv(1, kernel=2, stride=2)", [1, 2, 4, 4]),
    ("depthwise_conv(kernel=[3, 2], multiplier=2, padding=same)", [2, 4, 5]),
    ("conv_transpose(4, kernel=4, stride=3, padding=1, dilation=2, output_padding=1, groups=2)", [2, 3]),
    ("conv_transpose(2, kernel=[3, 2], stride=2, padding=[[1, 0], [0, 0]])", [2, 3, 3]),
    ("conv_transpose(2, kernel=2, stride=5, padding=same)", [1, 3]),
    ("linear(3)", [4]),
    ("avg_pool(3, stride=2, padding=1, ceil=true)", [2, 6]),
    ("avg_pool(3, stride=2, padding=1, count_padding=false)", [2, 6]),
    ("avg_pool(3, stride=2, padding=same, count_padding=false, ceil=true)", [1, 6, 7]),
    ("avg_pool([2, 3], stride=2, padding=[[1, 0], [0, 1]], ceil=true)", [1, 6, 8]),
    ("global_avg_pool", [2, 3, 4]),
    ("adaptive_avg_pool([3, 2])", [1, 5, 4]),
    ("subsample(2)", [2, 7]),
    ("blur_pool(4, stride=[2, 1])", [2, 6, 7]),
]


@pytest.mark.parametrize(("layer", "shape"), LINEAR)
def test_a_matrix_is_what_the_lowered_layer_does(layer: str, shape: list[int]) -> None:
    """To each unit vector in turn."""
    net = one_layer(layer, shape)
    node, model, inputs = net.network.nodes[-1], net.build().double(), math.prod(shape)
    weight = parameters(model).get("weight")
    with torch.no_grad():
        bias = model(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
        made = model(torch.eye(inputs, dtype=torch.float64).reshape(inputs, *shape)).flatten(1) - bias
    found = weight_matrix(node.layer, node.inputs[0].shape)
    assert found is not None
    values = [
        float(value) if isinstance(value, Fraction) else sum(float(weight[place]) for place in value)
        for value in found.values
    ]
    torch.testing.assert_close(
        torch.tensor([[values[n] for n in row] for row in found.cells], dtype=torch.float64), made.T
    )


def labelled(found: WeightMatrix, names: list[str]) -> list[list[Any]]:
    """The matrix with names for its weights, in their order."""
    assert len(found.values) == len(names) + 1
    return [[[0, *names][n] for n in row] for row in found.cells]


@pytest.mark.parametrize(
    ("layer", "shape", "names", "expected"),
    [
        ("conv(1, kernel=3, stride=2, padding=1)", [1, 6], "w1 w2 w3", PROBLEMS["10.5"]["i_stride2_3x6"]),
        ("conv(1, kernel=5, padding=2)", [1, 6], "w1 w2 w3 w4 w5", PROBLEMS["10.5"]["ii_kernel5_6x6"]),
        ("conv(2, kernel=3, padding=1)", [1, 6], "a1 a2 a3 b1 b2 b3", PROBLEMS["10.6"]["matrix_12x6"]),
        ("conv(1, kernel=3, padding=1)", [2, 6], "c1 c2 c3 c4 c5 c6", PROBLEMS["10.7"]["matrix_6x12"]),
        (
            "conv(1, kernel=3, padding=1)",
            [1, 4, 6],
            "w11 w12 w13 w21 w22 w23 w31 w32 w33",
            PROBLEMS["10.13"]["matrix_24x24_for_4x6"],
        ),
        (
            "conv_transpose(1, kernel=3, stride=2, padding=1, output_padding=1)",
            [1, 3],
            "w1 w2 w3",
            PROBLEMS["fig10.13"]["up_6x3"],
        ),
    ],
)
def test_matrices_of_the_book(layer: str, shape: list[int], names: str, expected: list[list[Any]]) -> None:
    node = one_layer(layer, shape).network.nodes[-1]
    found = weight_matrix(node.layer, node.inputs[0].shape)
    assert found is not None
    assert labelled(found, names.split()) == expected


def test_the_picture_shows_the_matrix() -> None:
    """A cell a weight, in its colour and with its letter; on a smaller input where the network's is large."""
    net = archdsl.loads("network N { input x: [8, 500]\nconv(9, kernel=3, stride=2, padding=1) }")
    root = ElementTree.fromstring(matrix(net.network, [], None))
    cells = [rect for rect in root.iter(f"{SVG}rect") if "cell" in rect.attrib["class"]]
    words = [words_of(text) for text in root.iter(f"{SVG}text")]
    assert "output channels 1 to 3 of 9; input channels 1 to 3 of 8; on an input of 6 positions" in words
    # Of each pair of channels: 3 units of 3 weights, one of which meets the padding.
    assert len(cells) == 9 * (3 * 3 - 1)
    assert len({rect.attrib["class"] for rect in cells}) == 9 * 3
    assert words.count("ω111") == 2 and words.count("ω332") == 3


def test_biases_stand_beside_every_matrix_that_has_some() -> None:
    """Also where the cells have no room for letters; then it is said below what their colour is."""
    for bias, units in (("true", 6), ("false", 0)):
        net = archdsl.loads(f"network N {{ input x: [2, 900]\nconv(32, kernel=80, stride=4, bias={bias}) }}")
        root = ElementTree.fromstring(matrix(net.network, [], None))
        biases = [rect for rect in root.iter(f"{SVG}rect") if rect.attrib["class"] == "bias"]
        assert len(biases) == (units and units + 1)
        assert ("β" in [words_of(text) for text in root.iter(f"{SVG}text")]) == bool(units)


def test_numbers_have_colours_of_their_own() -> None:
    """In all matrices of a picture the same, and none that of a weight."""
    net = archdsl.loads(
        "network N { input x: [1, 6]\nmade: conv(1, kernel=3)\nblur: from x -> blur_pool(3)\n"
        "mean: from x -> avg_pool(2)\noutput made, blur, mean }"
    )
    root = ElementTree.fromstring(matrix(net.network, ["made", "blur", "mean"], None))
    assert_legible(matrix(net.network, ["blur"], None))
    kinds = {
        rect.attrib["class"].split()[1] for rect in root.iter(f"{SVG}rect") if "cell" in rect.attrib["class"]
    }
    assert kinds == {"c1-1", "c1-2", "c1-3", "n1", "n2"}, "1/4 and 1/2"


def test_matrices_stand_beside_each_other() -> None:
    """Figure 10.4: a fully connected layer, a convolution, and one with a stride of 2."""
    net = archdsl.loads(
        "network N { input x: [1, 6]\nfull: from x -> flatten -> linear(6)\n"
        "conv: from x -> conv(1, kernel=3, padding=1)\n"
        "strided: from x -> conv(1, kernel=3, stride=2, padding=1)\noutput full, conv, strided }"
    )
    svg = matrix(net.network, ["full", "conv", "strided"], None)
    assert_legible(svg)
    root = ElementTree.fromstring(svg)
    cells = [rect.attrib for rect in root.iter(f"{SVG}rect") if rect.attrib["class"].startswith("cell")]
    kinds = [cell["class"].split()[1].split("-")[0] for cell in cells]
    assert [kinds.count(kind) for kind in dict.fromkeys(kinds)] == [36, 6 * 3 - 2, 3 * 3 - 1]
    assert [
        len({cell["class"] for cell in cells if kind in cell["class"]}) for kind in dict.fromkeys(kinds)
    ] == [
        36,
        3,
        3,
    ]
    assert len({cell["width"] for cell in cells}) == 1 and len({cell["y"] for cell in cells}) == 6
    many = ElementTree.fromstring(matrix(net.network, ["conv"] * 9, None))
    assert float(many.attrib["width"]) < 1200


# ------------------------------------------------------------------------------ what a unit reads


@pytest.mark.parametrize(
    "record", [r for r in oracle("rf_dag") if "units" in r["axes"][0]], ids=lambda record: record["id"]
)
def test_a_unit_reads_where_gradients_go(record: dict[str, Any]) -> None:
    """The first and the last position of the input, and how many, of every unit, borders and all."""
    layers = [{**node, "out": record["shapes"][node["id"]]} for node in record["spec"]]
    net = archdsl.loads(translate({"layers": layers}))
    analysis = net.analysis()
    flow, fields = analysis.flow, analysis.fields
    (value,) = (flow.starts[i] for i, node in enumerate(flow.nodes) if node.name == label(record["output"]))
    axes = record["axes"]
    for k in range(max(axis["n_units"] for axis in axes)):
        place = tuple(min(k, axis["n_units"] - 1) for axis in axes)
        found = units_read(flow, fields, value, place).units.get(flow.starts[flow.inputs[0]], [])
        for j, axis in enumerate(axes):
            read = sorted(frozenset().union(*(box[j] for box in found)))
            assert [*(read[:1] or [None]), *(read[-1:] or [None]), len(read)] == axis["units"][place[j]]


def test_figure_10_6() -> None:
    """Three convolutions with a kernel of 3 over 11 inputs: what a unit sees is 3, 5, 7 wide."""
    net = archdsl.loads(
        "network N { input x: [1, 11]\n"
        + "\n".join(f"h{k}: conv(3, kernel=3, padding=1)" for k in (1, 2, 3))
        + "}"
    )
    root = ElementTree.fromstring(receptive_field(net.network, net.analysis(), None))
    filled: dict[str, int] = {}
    for rect in root.iter(f"{SVG}rect"):
        if rect.attrib["class"].startswith("read"):
            filled[rect.attrib["y"]] = filled.get(rect.attrib["y"], 0) + 1
    assert [*filled.values()] == [1, 3, 5, 7]
    assert len(list(root.iter(f"{SVG}line"))) + sum(
        path.attrib["class"] == "edge" for path in root.iter(f"{SVG}path")
    ) == 3 * (1 + 3 + 5)
    words = [words_of(text) for text in root.iter(f"{SVG}text")]
    assert words[:2] == ["What unit 5 of h3 reads", "7 positions of x, stride 1"]
    assert words[-1] == "10"


def test_holes_and_padding_are_shown() -> None:
    net = archdsl.loads("network N { input x: [1, 20]\nconv(2, kernel=3, dilation=4, padding=4) }")
    root = ElementTree.fromstring(receptive_field(net.network, net.analysis(), "conv_1:1"))
    kinds = [rect.attrib["class"].split()[0] for rect in root.iter(f"{SVG}rect")]
    assert (kinds.count("read"), kinds.count("pad"), kinds.count("unit")) == (1 + 2, 1, 19 + 18)
    assert note_of(root) == "2 positions of x, in a field of 9 that reaches into the padding, stride 1"


def note_of(root: ElementTree.Element) -> str:
    return [words_of(text) for text in root.iter(f"{SVG}text")][1]


def test_the_caption_says_what_is_filled() -> None:
    """Also where padding between the layers hides a part of the field, and of what is no rectangle."""
    cross = (
        "a: conv(2, kernel=[1, 5], padding=same)\n"
        "b: from x -> conv(2, kernel=[5, 1], padding=same)\n c: from a, b -> add"
    )
    for lines, unit, note in (
        (
            "conv(2, kernel=3, padding=1)\n" * 3,
            "conv_3:0,4",
            "4 × 7 positions of x, in a field of 7 × 7 that",
        ),
        (cross, "c:4,4", "9 positions of x, in a field of 5 × 5, stride 1"),
    ):
        net = archdsl.loads(f"network N {{ input x: [1, 9, 9]\n{lines} }}")
        root = ElementTree.fromstring(receptive_field(net.network, net.analysis(), unit))
        assert note_of(root).startswith(note)


def test_where_units_differ_the_picture_is_of_one_that_sees_the_most() -> None:
    conv, up = "conv(4, kernel=3, padding=1)", "conv_transpose(4, kernel=2, stride=2)"
    net = archdsl.loads(
        f"network N {{ input x: [1, 64]\na: {conv}\n max_pool(2)\n b: {conv}\n max_pool(2) -> {conv}\n"
        f"{up}\n concat(b) -> {conv} -> {up}\n concat(a) -> {conv} }}"
    )
    (most,) = net.analysis().fields[-1].size
    note = note_of(ElementTree.fromstring(receptive_field(net.network, net.analysis(), None)))
    assert note.startswith(f"{most} positions of x, stride 1; units differ, their fields are ")
    assert note.endswith(f" to {most}")


def test_a_row_is_open_where_it_goes_on() -> None:
    net = archdsl.loads("network N { input x: [1, 16000]\n a: conv(2, kernel=300, padding=[[299, 0]]) }")
    for unit, opened in (("a:8000", (True, True)), ("a:10", (False, True)), ("a:15999", (True, False))):
        root = ElementTree.fromstring(receptive_field(net.network, net.analysis(), unit))
        bars = [bar.attrib for bar in root.iter(f"{SVG}rect") if bar.attrib.get("class") == "unit"]
        wide, high = (float(bars[-1][side]) for side in ("width", "height"))
        dashes = [float(dash) for dash in bars[-1]["stroke-dasharray"].split()]
        gaps = [sum(dashes[:k]) for k in range(1, len(dashes), 2) if dashes[k]]
        sides = [at for at, is_open in ((wide, opened[1]), (2 * wide + high, opened[0])) if is_open]
        # Dashes of both sides begin again halfway around.
        assert len(bars) == 2 and gaps == pytest.approx(sides[:1], abs=0.3)
        assert sum(dashes) == pytest.approx((wide + high) * (1 if all(opened) else 2), abs=0.5)


def test_dots_stand_wherever_rows_are_left_out() -> None:
    """Also where something skips over them."""
    conv = "conv(4, kernel=3, padding=1)"
    unit = f"parallel add {{\n{{ {conv} -> {conv} }}\n{{ }}\n}}\n"
    net = archdsl.loads("network N { input x: [4, 40]\n" + unit * 6 + "}")
    root = ElementTree.fromstring(receptive_field(net.network, net.analysis(), None))
    beside = sorted(
        (float(text.attrib["y"]), words_of(text))
        for text in root.iter(f"{SVG}text")
        if text.attrib["class"] == "end"
    )
    every = [node.name for node in net.analysis().flow.nodes][::-1]
    shown = [name for _, name in beside if name != "⋮"]
    expected = []
    for name, after in zip(shown, [*shown[1:], None], strict=True):
        expected += [name] + ["⋮"] * (after is not None and every.index(after) > every.index(name) + 1)
    assert len(shown) == 14 < len(every) and [name for _, name in beside] == expected


def test_fields_in_each_other_have_one_middle() -> None:
    """Also where some of what is read lies outside the map."""
    net = archdsl.loads(
        "network N { input x: [1, 32, 32]\nconv(2, kernel=3, padding=1) -> conv(2, kernel=3, padding=1)\n"
        "conv(2, kernel=3, padding=1) -> conv(2, kernel=3, padding=2, dilation=2) }"
    )
    root = ElementTree.fromstring(receptive_field(net.network, net.analysis(), "conv_4:3,3"))
    squares = [rect.attrib for rect in root.iter(f"{SVG}rect") if rect.attrib["class"].startswith("outline")]
    fields = [square for square in squares if float(square["width"]) > 11]
    assert len(fields) == 4
    for place, length in (("x", "width"), ("y", "height")):
        middles = [float(square[place]) + float(square[length]) / 2 for square in fields]
        assert max(middles) - min(middles) < 0.1


# ------------------------------------------------------------------------------ equations


def test_what_follows_and_is_left_out_is_said() -> None:
    text = "network N {{ input x: [8]\nlinear(4) -> {after} }}"
    for after, said in (("softmax", True), ("dropout(0.5) -> softmax", True), ("relu", False)):
        found = equation(archdsl.loads(text.format(after=after)).network, None, ".txt")
        assert ("`softmax` comes after it, and is not in the equation." in found) == said


def place_of(index: Index, letters: dict[str, int]) -> int:
    return sum(times * letters[name] for name, times in index.terms) + index.constant


class Evaluation:
    """A formula's number, where `values` gives that of a letter at its indices."""

    def __init__(self, values: Any, activation: Formula | None) -> None:
        self.values = values
        self.activation = activation

    def of(self, formula: Formula, letters: dict[str, Any]) -> float:
        match formula:
            case Number(value):
                return float(value)
            case Symbol("z", ()):
                return letters["z"]
            case Symbol(letter, indices, square):
                places = tuple(place_of(index, letters) for index in indices)
                return self.values("σ²" if square else letter, places)
            case Negative(inner):
                return -self.of(inner, letters)
            case Sum(terms):
                return sum(self.of(term, letters) for term in terms)
            case Product(factors):
                return math.prod(self.of(factor, letters) for factor in factors)
            case Quotient(top, bottom):
                return self.of(top, letters) / self.of(bottom, letters)
            case Call("a", (inner,)):
                assert self.activation is not None
                return self.of(self.activation, {**letters, "z": self.of(inner, letters)})
            case Call(name, arguments):
                function = {"max": max, "min": min}.get(name) or getattr(math, name)
                return function(*(self.of(argument, letters) for argument in arguments))
            case Over(operation, index, last, inner):
                each = [self.of(inner, {**letters, index: n}) for n in range(1, int(last) + 1)]
                return sum(each) if operation == "sum" else max(each)


FILLINGS = {"mirrored": "reflect", "other end": "circular", "as at its": "replicate"}


def evaluated(found: Equations, x: torch.Tensor, shape: list[int], tensors: dict[str, Any]) -> torch.Tensor:
    """What the equations say of an input, unit by unit; a group is rounded up as the note says."""
    notes = " ".join(found.notes)
    filling = next((filled for words, filled in FILLINGS.items() if words in notes), "zeros")
    extents = x.shape[1:]
    made: dict[str, torch.Tensor] = {}
    per_group = re.search(r"c / (\d+), rounded up", notes)
    samples = tensors.pop("samples", None)

    def sample(letter: str, places: tuple[int, ...]) -> float:
        value = made.get(letter, x)
        channel, *at = places if len(places) == value.ndim else (1, *places)
        at = [n - 1 for n in at]
        for k, (n, extent) in enumerate(zip(at, extents, strict=False)):
            if not 0 <= n < extent and letter == "x":
                if "do not count" in notes:
                    return -math.inf
                if filling == "zeros":
                    return 0.0
                back = n % (2 * extent - 2)
                folded = {
                    "circular": n % extent,
                    "replicate": min(max(n, 0), extent - 1),
                    "reflect": min(back, 2 * extent - 2 - back),
                }
                at[k] = folded[filling]
        return float(value[(channel - 1, *at)])

    def values(letter: str, places: tuple[int, ...]) -> float:
        if letter in ("x", "z", "h"):
            return sample(letter, places)
        if letter == "n":
            return float(samples[tuple(n - 1 for n in places)])
        tensor = tensors[letter]
        # Axes of extent 1 are left out.
        squeezed = tensor.squeeze()
        return float(squeezed[tuple(n - 1 for n in places)] if places else squeezed)

    activation = next((line.right for line in found.lines if isinstance(line.left, Call)), None)
    evaluation = Evaluation(values, activation)
    for line in found.lines:
        if isinstance(line.left, Call):
            continue
        assert isinstance(line.left, Symbol)
        into = made.setdefault(line.left.letter, torch.full(shape, math.nan, dtype=torch.float64))
        indices = (
            line.left.indices if len(line.left.indices) == len(shape) else (Index((), 1), *line.left.indices)
        )
        for place in product(*(range(1, n + 1) for n in shape)):
            letters: dict[str, Any] = {}
            for index, n in zip(indices, place, strict=True):
                for name, times in index.terms:
                    turns, rest = divmod(n - index.constant, times)
                    if rest:
                        break
                    letters[name] = turns
                else:
                    continue
                break
            else:
                letters.setdefault("c", place[0])
                if per_group:
                    letters["g"] = -(-place[0] // int(per_group[1]))
                into[tuple(n - 1 for n in place)] = evaluation.of(line.right, letters)
    return made["h"]


COMPUTED: list[tuple[str, list[int]]] = [
    ("conv(1, kernel=3, stride=2, padding=1) -> relu", [1, 8]),
    ("conv(1, kernel=7, stride=3, dilation=3, padding=9)", [1, 12]),
    ("conv(2, kernel=4, padding=2) -> leaky_relu(0.2)", [3, 6]),
    ("conv(2, kernel=3, padding=1, bias=false) -> batch_norm -> gelu", [2, 4, 5]),
    ("conv(6, kernel=2, groups=3) -> prelu(per_channel=true)", [6, 5]),
    ("conv(4, kernel=5, padding=3, padding_mode=reflect, groups=2) -> mish", [2, 7]),
    ("depthwise_conv(kernel=[3, 2], padding=same, padding_mode=circular) -> silu", [2, 4, 5]),
    ("conv_transpose(2, kernel=3, stride=2, padding=1) -> tanh", [3, 4]),
    ("conv_transpose(4, kernel=[3, 4], stride=[2, 3], padding=1, groups=2) -> hard_swish", [4, 3, 3]),
    ("conv_transpose(1, kernel=2, stride=3)", [1, 3]),
    ("conv_transpose(2, kernel=5, dilation=2) -> softplus", [1, 4]),
    ("conv(2, kernel=2) -> selu", [1, 3, 2, 2]),
    ("linear(3) -> sigmoid", [5]),
    ("linear(2) -> elu", [1]),
    ("max_pool(3, stride=2, padding=1)", [2, 7]),
    ("max_pool(3, stride=2, padding=1)", [1, 5, 6]),
    ("global_max_pool", [2, 3, 3]),
    ("avg_pool(2)", [2, 6, 4]),
    ("avg_pool(3, stride=2, padding=1, count_padding=false)", [2, 6]),
    ("global_avg_pool", [2, 3, 2]),
    ("adaptive_avg_pool(2)", [1, 3]),
    ("blur_pool(3, padding_mode=replicate)", [2, 7]),
    ("subsample(2) -> hard_sigmoid", [1, 7]),
    ("batch_norm", [3, 4]),
    ("relu6", [3, 4]),
    ("relu", [2, 3]),
]


@pytest.mark.parametrize(("layer", "shape"), COMPUTED)
def test_equations_are_what_the_lowered_layer_computes(layer: str, shape: list[int]) -> None:
    torch.manual_seed(0)
    net = one_layer(layer, shape)
    model, chain = net.build().double().eval(), net.network.nodes[1:]
    found = equations(net.network, chain[0])
    assert found is not None and len(found.layers) == len(chain)
    tensors: dict[str, Any] = {"ε": torch.tensor(1e-5), "samples": torch.tensor([2, 3, 3])}
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not name.endswith("filter"):
            value.copy_(torch.rand_like(value) + 0.1)
        of = next(node for node in reversed(chain) if len(chain) == 1 or f".{node.key}." in f".{name}")
        shift = "δ" if of is not chain[0] else "β"
        letters = {"bias": shift, "weight": "γ" if of.layer.formula else "ω", "running_mean": "μ"}
        tensors[{**letters, "running_var": "σ²"}.get(name.rsplit(".", 1)[-1], name)] = value
    x = doubles(*shape)
    with torch.no_grad():
        (expected,) = model(x[None])
    torch.testing.assert_close(evaluated(found, x, [*expected.shape], tensors), expected)


@pytest.mark.parametrize(
    ("number", "layer"),
    [
        ("10.2", "conv(1, kernel=3, stride=2, padding=1, bias=false)"),
        ("10.3", "conv(1, kernel=3, dilation=2, padding=2, bias=false)"),
        ("10.4", "conv(1, kernel=7, stride=3, dilation=3, padding=9, bias=false)"),
    ],
)
def test_problems_10_2_to_10_4(number: str, layer: str) -> None:
    text = equation(one_layer(layer, [1, 30]).network, None, ".txt")
    first, _, rest = text.partition("\n")
    ours = first.removeprefix("h_i = ").replace("x_i ", "x_{i} ")
    theirs = PROBLEMS[number]["formula"].split(" = ")[-1].replace("x_i ", "x_{i} ")
    terms = re.findall(r"w(\d) x_\{([^}]*)\}", theirs)
    assert ours == " + ".join(f"ω_{n} x_{{{index}}}" for n, index in terms)
    assert rest == "\nOutside of the input, x is 0."


def test_the_forms_of_an_equation() -> None:
    net = archdsl.loads(
        "network N { input x: [3, H, W]\nconv(8, kernel=3, padding=1, bias=false) -> batch_norm -> relu }"
    )
    assert equation(net.network, None, ".txt").splitlines() == [
        "z_{c,i,j} = Σ_{d=1..3} Σ_{m=1..3} Σ_{n=1..3} ω_{c,d,m,n} x_{d,i+m-2,j+n-2}",
        "h_{c,i,j} = a[γ_c (z_{c,i,j} - μ_c) / sqrt(σ²_c + ε) + δ_c]",
        "a[z] = max(0, z)",
        "",
        "Outside of the input, x is 0.",
        "μ and σ² are a channel's mean and variance, as kept from training; ε is 1e-05.",
    ]
    assert (
        r"z_{c, i, j} &= \sum_{d=1}^{3} \sum_{m=1}^{3} \sum_{n=1}^{3} "
        r"\omega_{c, d, m, n} \, x_{d, i+m-2, j+n-2} \\"
    ) in equation(net.network, None, ".tex")


# ------------------------------------------------------------------------------ how they look


@cache
def font(size: float) -> Any:
    return ImageFont.load_default(size)


def words_of(text: ElementTree.Element) -> str:
    return "".join(text.itertext())


def box_of(text: ElementTree.Element) -> tuple[float, float, float, float, str]:
    """Where a text lies at most, as wide as a wide font draws it."""
    kinds = text.attrib.get("class", "").split()
    size = {"title": 13.0, "note": 10.0}.get(kinds[0] if kinds else "", 11.0)
    size = float(re.search(r"font-size:([\d.]+)", text.attrib.get("style", f"font-size:{size}"))[1])
    parts = [(size, text.text or "")]
    for span in text:
        parts.append((size * 0.68 if span.attrib.get("class") == "low" else size, span.text or ""))
    wide = sum(font(s).getlength(word) for s, word in parts)
    x, y = float(text.attrib["x"]), float(text.attrib["y"])
    start = {"title": 0.0, "note": 0.0, "start": 0.0, "end": 1.0}
    left = x - wide * next((start[kind] for kind in kinds if kind in start), 0.5)
    return left, y - size * 0.7, left + wide, y + size * 0.1, words_of(text)


def assert_legible(svg: str) -> None:
    """No label overlaps another, and nothing lies outside of the picture."""
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [box_of(text) for text in root.iter(f"{SVG}text")]
    near: list[tuple[float, float, float, float, str]] = []
    for one in sorted(boxes, key=lambda box: box[1]):
        near = [other for other in near if other[3] > one[1]]
        assert all(one[2] <= other[0] + 0.5 or other[2] <= one[0] + 0.5 for other in near), (one, near)
        near.append(one)
    assert all(0 <= box[0] and box[2] <= width and 0 <= box[1] and box[3] <= height for box in boxes)
    for rect in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert -0.5 <= x and x + wide <= width + 0.5 and 0 <= y and y + high <= height + 0.5
    assert "prefers-color-scheme: dark" in svg


@pytest.mark.parametrize(
    "name",
    ["AlexNet", "MNIST1DConv", "ResNet18", "UNet", "C3D"],
)
def test_pictures_of_bundled_networks_are_legible(name: str) -> None:
    net = archdsl.load(name)
    assert_legible(receptive_field(net.network, net.analysis(), None))
    assert_legible(matrix(net.network, [], None))
    assert_legible(equation(net.network, None, ".svg"))


@pytest.mark.parametrize(("layer", "shape"), [*LINEAR, ("conv(3, kernel=11, stride=4)", [3, 224, 224])])
def test_matrices_are_legible(layer: str, shape: list[int]) -> None:
    net = one_layer(layer, shape)
    assert_legible(matrix(net.network, ["layer"], None))
    assert_legible(equation(net.network, "layer", ".svg"))


# ------------------------------------------------------------------------------ the command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--style matrix --layer pool", "`max_pool` is no matrix: which sample is the largest depends on"),
        ("--style matrix --layer act", "of `relu` no weight matrix is drawn; one is drawn of convolutions"),
        ("--style matrix --layer cov", "Small has no layer cov; did you mean conv"),
        ("--style matrix --positions 500", "would have 497 rows and 500 columns, and at most 400 are drawn"),
        ("--style matrix --positions 1", "conv does not take an input of 1 position"),
        ("--style matrix --positions 2,3", "--positions has 2 numbers, and of conv it takes 1"),
        ("--style matrix --positions x", "'x' is not of the form 6 or 4,6"),
        ("--style matrix --unit conv:1", "--unit is for --style receptive-field"),
        ("--layer conv", "--layer is for --style matrix or equation"),
        ("--style equation --layer conv --layer head", "an equation is of one layer"),
        ("--style receptive-field --unit conv:37", "names no unit: conv has 37 units, counted from 0"),
        ("--style receptive-field --unit head:1", "head has no positions"),
        ("--style receptive-field --unit conv:a", "conv has units like conv:"),
        ("--style equation --layer flatten_1", "of `flatten` no equation is written"),
        ("--style equation -o x.doc", "the style equation is written to a file called *.txt, *.tex, *.svg"),
        ("--style matrix -o x.tex", "not to x.tex"),
    ],
)
def test_what_can_not_be_drawn(
    arguments: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.arch").write_text(
        "network Small {\n input x: [1, 40]\n conv: conv(4, kernel=4)\n act: relu\n pool: max_pool(37)\n"
        " flatten\n head: linear(2)\n}\n"
    )
    assert run(["draw", "small.arch", *arguments.split()]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["small.arch"]


def test_each_form_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for style, names in (
        ("matrix", ["m.svg", "m.png"]),
        ("receptive-field", ["r.svg", "r.png"]),
        ("equation", ["e.txt", "e.tex", "e.svg", "e.png"]),
    ):
        for name in names:
            assert run(["draw", "MNIST1DConv", "--style", style, "-o", str(tmp_path / name)]) == 0
            data = (tmp_path / name).read_bytes()
            begins = {
                ".svg": b"<?xml",
                ".png": b"\x89PNG",
                ".tex": b"\\begin{align*}",
                ".txt": b"h_{c,i} = a[",
            }
            assert data.startswith(begins[Path(name).suffix])
    assert run(["draw", "MNIST1DConv", "--style", "equation"]) == 0
    assert capsys.readouterr().out.encode() == (tmp_path / "e.txt").read_bytes() + b"\n"
