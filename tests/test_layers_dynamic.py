"""Convolutions whose filters the data give, against their equations as plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from layer_harness import (
    Lowered,
    Tensor,
    check_saved,
    check_weights,
    macs,
    make,
    read_positions,
    source,
    support,
)
from torch.nn import functional as F
from window_loops import Place, extents, positions, taps

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.diagnostics import ArchError
from archdsl.layers import Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.lowering.onnx import export
from archdsl.problems import Fault
from archdsl.sizes import symbol
from archdsl.training.trained import Trained

FURTHER = {"dynamic_conv": "filters", "local_filter": "filters", "pixel_adaptive_conv": "guide"}


def layer_of(kind: str, **arguments: Any) -> Layer:
    """The layer; which value is its further one is told by what it is called on."""
    return make(kind, **{FURTHER[kind]: "label"}, **arguments)


@dataclass
class Case:
    """One use of a layer; the window's numbers are written out an axis, as the loops take them."""

    kind: str
    arguments: dict[str, Any]
    x: Place
    other: Place
    kernel: Place
    stride: Place
    sides: tuple[Place, ...]
    dilation: Place
    macs: int
    """By hand, as are the FLOPs."""
    flops: int
    output: Place = field(init=False)

    def __post_init__(self) -> None:
        self.output = extents(self.x[1:], self.kernel, self.stride, self.sides, self.dilation)

    def __str__(self) -> str:
        return f"{self.kind}({','.join(f'{key}={value}' for key, value in self.arguments.items())})"

    @property
    def xs(self) -> tuple[Shape, Shape]:
        return Shape(self.x), Shape(self.other)

    def layer(self) -> Layer:
        return layer_of(self.kind, **self.arguments)

    def taps(self, unit: Place) -> list[tuple[Place, Place, bool]]:
        return list(taps(unit, self.x[1:], self.kernel, self.stride, self.sides, self.dilation))


CASES = [
    # -------------------------------------------------------------- dynamic_conv
    Case(
        "dynamic_conv",
        {"channels": 4, "kernel": 3},
        (2, 9),
        (24,),
        (3,),
        (1,),
        ((0, 0),),
        (1,),
        4 * 7 * 6,
        2 * 4 * 7 * 6,
    ),
    Case(
        "dynamic_conv",
        {"channels": 3, "kernel": [3, 2], "stride": [2, 1], "padding": [[1, 0], [0, 2]]},
        (2, 6, 5),
        (36,),
        (3, 2),
        (2, 1),
        ((1, 0), (0, 2)),
        (1, 1),
        3 * 3 * 6 * 12,
        2 * 3 * 3 * 6 * 12,
    ),
    Case(
        "dynamic_conv",
        {"channels": 6, "kernel": 3, "groups": 2, "stride": 2, "padding": "same"},
        (4, 7, 4),
        (108,),
        (3, 3),
        (2, 2),
        ((1, 1), (0, 1)),
        (1, 1),
        6 * 4 * 2 * 18,
        2 * 6 * 4 * 2 * 18,
    ),
    Case(
        "dynamic_conv",
        {"channels": 2, "kernel": [2, 1, 3], "groups": 2},
        (2, 3, 2, 4),
        (12,),
        (2, 1, 3),
        (1, 1, 1),
        ((0, 0), (0, 0), (0, 0)),
        (1, 1, 1),
        2 * 8 * 6,
        2 * 2 * 8 * 6,
    ),
    # -------------------------------------------------------------- local_filter
    Case(
        "local_filter",
        {"kernel": 3},
        (2, 7),
        (3, 7),
        (3,),
        (1,),
        ((1, 1),),
        (1,),
        2 * 7 * 3,
        2 * 2 * 7 * 3,
    ),
    Case(
        "local_filter",
        {"kernel": [2, 3]},
        (3, 4, 5),
        (18, 4, 5),
        (2, 3),
        (1, 1),
        ((0, 1), (1, 1)),
        (1, 1),
        3 * 20 * 6,
        2 * 3 * 20 * 6,
    ),
    Case(
        "local_filter",
        {"kernel": [3, 2], "padding": 0},
        (3, 5, 4),
        (6, 3, 3),
        (3, 2),
        (1, 1),
        ((0, 0), (0, 0)),
        (1, 1),
        3 * 9 * 6,
        2 * 3 * 9 * 6,
    ),
    Case(
        "local_filter",
        {"kernel": [2, 1, 3], "padding": [[1, 0], [0, 0], [1, 2]]},
        (2, 2, 2, 3),
        (12, 2, 2, 4),
        (2, 1, 3),
        (1, 1, 1),
        ((1, 0), (0, 0), (1, 2)),
        (1, 1, 1),
        2 * 16 * 6,
        2 * 2 * 16 * 6,
    ),
    Case(
        "local_filter",
        {"kernel": 3},
        (1, 4, 2, 3),
        (27, 4, 2, 3),
        (3, 3, 3),
        (1, 1, 1),
        ((1, 1),) * 3,
        (1, 1, 1),
        24 * 27,
        2 * 24 * 27,
    ),
    # -------------------------------------------------------------- pixel_adaptive_conv
    # 7 positions of 3 taps; a guide of 4 channels: 3 * 4 + 1 for each, and 2 channels of the input.
    Case(
        "pixel_adaptive_conv",
        {"channels": 5, "kernel": 3},
        (2, 9),
        (4, 9),
        (3,),
        (1,),
        ((0, 0),),
        (1,),
        5 * 7 * 6,
        2 * 5 * 7 * 6 + 35 + 7 * 3 * (13 + 2),
    ),
    Case(
        "pixel_adaptive_conv",
        {
            "channels": 3,
            "kernel": [3, 2],
            "stride": [2, 1],
            "padding": 1,
            "dilation": [1, 2],
            "bias": False,
        },
        (2, 6, 5),
        (1, 6, 5),
        (3, 2),
        (2, 1),
        ((1, 1), (1, 1)),
        (1, 2),
        3 * 15 * 12,
        2 * 3 * 15 * 12 + 15 * 6 * (4 + 2),
    ),
    Case(
        "pixel_adaptive_conv",
        {"channels": 2, "kernel": 4, "padding": "same"},
        (1, 5, 6),
        (2, 5, 6),
        (4, 4),
        (1, 1),
        ((1, 2), (1, 2)),
        (1, 1),
        2 * 30 * 16,
        2 * 2 * 30 * 16 + 60 + 30 * 16 * (7 + 1),
    ),
    Case(
        "pixel_adaptive_conv",
        {"channels": 2, "kernel": [2, 1, 3], "padding": [0, 0, 1]},
        (2, 3, 2, 4),
        (3, 3, 2, 4),
        (2, 1, 3),
        (1, 1, 1),
        ((0, 0), (0, 0), (1, 1)),
        (1, 1, 1),
        2 * 16 * 12,
        2 * 2 * 16 * 12 + 32 + 16 * 6 * (10 + 2),
    ),
    Case(
        "pixel_adaptive_conv",
        {"channels": 2, "kernel": 1, "stride": 2},
        (3, 5, 4),
        (2, 5, 4),
        (1, 1),
        (2, 2),
        ((0, 0), (0, 0)),
        (1, 1),
        2 * 6 * 3,
        2 * 2 * 6 * 3 + 12 + 6 * (7 + 3),
    ),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=str)


def drawn(case: Case, batch: int = 2) -> tuple[Tensor, Tensor, Lowered]:
    torch.manual_seed(1)
    lowered = Lowered(case.layer(), *case.xs).double()
    x = torch.randn(batch, *case.x, dtype=torch.float64)
    # Of this size the weights of a guide are neither about 0 nor about 1.
    return x, 0.7 * torch.randn(batch, *case.other, dtype=torch.float64), lowered


# ------------------------------------------------------------------------------ references


def dynamic_conv(case: Case, x: Any, filters: Any, parameters: dict[str, Any]) -> Any:
    channels, groups = case.arguments["channels"], case.arguments.get("groups", 1)
    each = case.x[0] // groups
    weight = filters.reshape(channels, each, *case.kernel)
    y = np.zeros((channels, *case.output))
    for c in range(channels):
        for unit in positions(case.output):
            for a in range(each):
                for tap, at, inside in case.taps(unit):
                    if inside:
                        channel = c * groups // channels * each + a
                        y[(c, *unit)] += weight[(c, a, *tap)] * x[(channel, *at)]
    return y


def local_filter(case: Case, x: Any, filters: Any, parameters: dict[str, Any]) -> Any:
    count = math.prod(case.kernel)
    y = np.zeros((case.x[0], *case.output))
    for c in range(case.x[0]):
        first = c * count if len(filters) > count else 0
        for unit in positions(case.output):
            for number, (_, at, inside) in enumerate(case.taps(unit)):
                if inside:
                    y[(c, *unit)] += filters[(first + number, *unit)] * x[(c, *at)]
    return y


def pixel_adaptive_conv(case: Case, x: Any, guide: Any, parameters: dict[str, Any]) -> Any:
    weight, bias = parameters["weight"], parameters.get("bias", np.zeros(case.arguments["channels"]))
    y = np.zeros((len(weight), *case.output))
    middle = tuple((k - 1) // 2 for k in case.kernel)
    for unit in positions(case.output):
        window = {tap: (at, inside) for tap, at, inside in case.taps(unit)}

        def of_guide(tap: Place, window: dict[Place, tuple[Place, bool]] = window) -> Any:
            at, inside = window[tap]
            return guide[(slice(None), *at)] if inside else np.zeros(len(guide))

        for tap, (at, inside) in window.items():
            if inside:
                near = np.exp(-0.5 * ((of_guide(tap) - of_guide(middle)) ** 2).sum())
                for o in range(len(weight)):
                    for c in range(case.x[0]):
                        y[(o, *unit)] += near * weight[(o, c, *tap)] * x[(c, *at)]
    return y + bias.reshape(-1, *(1,) * len(case.output))


REFERENCES: dict[str, Callable[[Case, Any, Any, dict[str, Any]], Any]] = {
    "dynamic_conv": dynamic_conv,
    "local_filter": local_filter,
    "pixel_adaptive_conv": pixel_adaptive_conv,
}


@EVERY
def test_it_is_its_equation_as_loops(case: Case) -> None:
    x, other, lowered = drawn(case)
    y = lowered(x, other).detach()
    assert tuple(case.layer().shape(*case.xs)) == tuple(y.shape[1:])
    parameters = {name: p.detach().numpy() for name, p in lowered.module.named_parameters()}
    for index in range(2):
        expected = REFERENCES[case.kind](case, x[index].numpy(), other[index].numpy(), parameters)
        assert np.allclose(y[index].numpy(), expected, atol=1e-12)


@EVERY
def test_weights_and_costs(case: Case) -> None:
    layer = case.layer()
    x, other, lowered = drawn(case)
    check_weights(layer, lowered.module, *case.xs)
    assert layer.macs(*case.xs) == case.macs
    assert macs(lowered, x, other) == 2 * case.macs
    assert layer.flops(*case.xs) == case.flops
    check_saved(layer, lowered, x, other)


@EVERY
def test_what_it_reads(case: Case) -> None:
    x, other, lowered = drawn(case, batch=1)
    size = case.x[1:]
    of_x, of_other = case.layer().reads(*case.xs)
    found = support(lambda x: lowered(x, other.expand(len(x), *case.other)), case.xs[0])
    assert torch.equal(found, read_positions(of_x, size, case.output, "zeros"))
    if case.kind == "dynamic_conv":
        # A vector: each of its numbers is a weight at every position.
        assert of_other is Reach.POOLED
        return
    found = support(lambda other: lowered(x.expand(len(other), *case.x), other), case.xs[1])
    if case.kind == "local_filter":
        assert of_other is Reach.POINT
        assert torch.equal(found, torch.eye(math.prod(case.output), dtype=torch.bool))
    else:
        assert torch.equal(found, read_positions(of_other, size, case.output, "zeros"))
        assert found.any() == (math.prod(case.kernel) > 1)


@pytest.mark.parametrize("case", [CASES[2], CASES[5], CASES[6], CASES[10]], ids=str)
def test_gradients_are_those_of_differences(case: Case) -> None:
    x, other, lowered = drawn(case)
    assert torch.autograd.gradcheck(lowered, (x.requires_grad_(), other.requires_grad_()), fast_mode=True)


# ------------------------------------------------------------------------------ beside convolutions of torch


def test_each_example_has_the_convolution_that_torch_gives_it() -> None:
    lowered = Lowered(
        layer_of("dynamic_conv", channels=6, kernel=3, groups=2), Shape((4, 7, 8)), Shape((108,))
    )
    x, filters = torch.randn(3, 4, 7, 8), torch.randn(3, 108)
    expected = [F.conv2d(x[i : i + 1], filters[i].reshape(6, 2, 3, 3), groups=2) for i in range(3)]
    assert torch.allclose(lowered(x, filters), torch.cat(expected), atol=1e-4)


@pytest.mark.parametrize("own", [False, True])
def test_filters_that_are_alike_everywhere_are_a_depthwise_convolution(own: bool) -> None:
    count = 27 if own else 9
    lowered = Lowered(layer_of("local_filter", kernel=3), Shape((3, 6, 7)), Shape((count, 6, 7)))
    x, filters = torch.randn(2, 3, 6, 7), torch.randn(1, count, 1, 1)
    weight = filters.reshape(-1, 1, 3, 3).expand(3, 1, 3, 3)
    expected = F.conv2d(x, weight, padding=1, groups=3)
    assert torch.allclose(lowered(x, filters.expand(2, count, 6, 7)), expected, atol=1e-4)


def test_a_guide_that_is_the_same_everywhere_leaves_a_convolution() -> None:
    layer = layer_of("pixel_adaptive_conv", channels=4, kernel=3, stride=2)
    lowered = Lowered(layer, Shape((3, 7, 7)), Shape((2, 7, 7)))
    x, guide = torch.randn(2, 3, 7, 7), torch.randn(2, 2, 1, 1).expand(2, 2, 7, 7)
    expected = F.conv2d(x, lowered.module.weight, lowered.module.bias, 2)
    assert torch.allclose(lowered(x, guide), expected, atol=1e-5)


def test_sums_keep_to_their_side_of_an_edge_in_the_guide() -> None:
    layer = layer_of("pixel_adaptive_conv", channels=2, kernel=5, padding=2, bias=False)
    lowered = Lowered(layer, Shape((1, 9, 10)), Shape((1, 9, 10)))
    guide = torch.zeros(1, 1, 9, 10)
    guide[..., 5:] = 100
    x = torch.randn(1, 1, 9, 10)
    left = lowered(torch.cat([x[..., :5], torch.randn(1, 1, 9, 5)], -1), guide)[..., :5]
    assert torch.equal(lowered(x, guide)[..., :5], left)
    assert not torch.allclose(lowered(x, 0 * guide)[..., :5], left)


def test_kernels_start_as_those_of_a_convolution() -> None:
    torch.manual_seed(0)
    layer = layer_of("pixel_adaptive_conv", channels=64, kernel=3)
    module = Lowered(layer, Shape((32, 8, 8)), Shape((1, 8, 8))).module
    like = torch.nn.Conv2d(32, 64, 3)
    for own, torchs in ((module.weight.detach(), like.weight.detach()), (module.bias.detach(), like.bias)):
        assert float(own.abs().max()) <= 1 / math.sqrt(32 * 9)
        assert float(own.std()) == pytest.approx(float(torchs.detach().std()), rel=0.2)


@pytest.mark.parametrize(
    ("kind", "arguments", "xs", "written"),
    [
        (
            "dynamic_conv",
            {"channels": 8, "kernel": 3, "stride": 2, "groups": 2},
            [(4, 9, 9), (144,)],
            ("DynamicConvolution((3, 3), (2, 2), groups=2)", "module(x0, x1)"),
        ),
        (
            "local_filter",
            {"kernel": 3},
            [(4, 9), (3, 9)],
            ("LocalFiltering(1)", "module(F.pad(x0, (1, 1)).unfold(2, 3, 1), x1)"),
        ),
        (
            "local_filter",
            {"kernel": 1},
            [(4, 9), (4, 9)],
            ("LocalFiltering(1, 4)", "module(x0.unfold(2, 1, 1), x1)"),
        ),
        (
            "pixel_adaptive_conv",
            {"channels": 8, "kernel": [3, 1], "stride": 2, "dilation": [2, 1], "bias": False},
            [(4, 9, 9), (2, 9, 9)],
            (
                "PixelAdaptiveConvolution(4, 8, (3, 1), bias=False)",
                "module(x0.unfold(2, 5, 2)[..., ::2].unfold(3, 1, 2), "
                "x1.unfold(2, 5, 2)[..., ::2].unfold(3, 1, 2))",
            ),
        ),
    ],
)
def test_what_is_written(
    kind: str, arguments: dict[str, Any], xs: list[Place], written: tuple[str, str]
) -> None:
    assert source(layer_of(kind, **arguments), *map(Shape, xs)) == written


# ------------------------------------------------------------------------------ in a network

NETWORK = """
network Filtered {
  input image: [2, 17, 17]
  kernels: {
    conv(4, kernel=3, bias=false) -> relu -> global_avg_pool -> flatten -> linear(3 * 2 * 9)
  }
  from image -> dynamic_conv(3, kernel=3, filters=kernels, stride=2, padding=1)
  made: tanh
  filters: conv(9, kernel=3, padding=1, bias=false)
  from made -> local_filter(kernel=3, filters=filters)
  pixel_adaptive_conv(4, kernel=3, guide=made, padding=1, bias=false)
}
"""


def test_a_network_moves_as_it_says() -> None:
    """Content is moved about in an empty field; outside of the border all moves with it."""
    net = archdsl.loads(NETWORK)
    layer = net.report().to_dict()["layers"][-1]
    moves = layer["equivariance"]
    assert (moves["translation"], moves["shift"], moves["border"]) == ("equivariant", [2, 2], [3, 3])
    assert layer["receptive_field"]["global"]
    model = net.build().double()
    torch.manual_seed(3)
    x = torch.zeros(1, 2, 17, 17, dtype=torch.float64)
    x[..., 7:9, 7:9] = torch.randn(1, 2, 2, 2, dtype=torch.float64)
    before, after = model(x), model(x.roll((2, -2), (2, 3)))
    assert before.any()
    assert torch.allclose(after, before.roll((1, -1), (2, 3)))
    assert not torch.allclose(model(x.roll(1, 2)), before.roll(1, 2))


def test_filters_that_stand_still_end_the_claim() -> None:
    net = archdsl.loads("""
network Fixed {
  input image: [3, 8, 8]
  filters: parameter([9, 8, 8])
  from image -> local_filter(kernel=3, filters=filters)
}
""")
    moves = net.report().to_dict()["layers"][-1]["equivariance"]
    assert (moves["translation"], moves["ended_by"]) == ("none", "local_filter_1")


def test_what_the_filters_and_the_guide_see_is_seen() -> None:
    net = archdsl.loads("""
network Seen {
  input image: [3, 32, 32]
  wide: conv(9, kernel=7, padding=3)
  from image -> local_filter(kernel=3, filters=wide)
  pixel_adaptive_conv(4, kernel=5, guide=wide, padding=2)
}
""")
    layers = {layer["name"]: layer for layer in net.report().to_dict()["layers"]}
    assert layers["local_filter_1"]["receptive_field"]["size"] == [7, 7]
    assert layers["pixel_adaptive_conv_1"]["receptive_field"]["size"] == [11, 11]


def test_exported_programs_take_any_batch() -> None:
    model = archdsl.loads(NETWORK).build().eval()
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (torch.randn(2, 2, 17, 17),), dynamic_shapes=batch).module()
    x = torch.randn(5, 2, 17, 17)
    assert torch.allclose(program(x), model(x), atol=1e-6)


def test_the_graph_of_all_but_dynamic_convolution(tmp_path: Path) -> None:
    net = archdsl.loads("""
network Filtered {
  input image: [1, 8, 8]
  filters: conv(9, kernel=3, padding=1)
  from image -> local_filter(kernel=3, filters=filters)
  pixel_adaptive_conv(2, kernel=3, guide=image)
}
""")
    assert export(net.network, net.build(), tmp_path / "net.onnx") < 1e-5


def test_a_network_with_open_sizes() -> None:
    model = archdsl.loads(NETWORK.replace("[2, 17, 17]", "[2, H, W]")).build()
    assert model(torch.randn(3, 2, 12, 15)).shape == (3, 4, 6, 8)


def test_it_learns(tmp_path: Path) -> None:
    (tmp_path / "digits.arch").write_text("""
network Digits(classes = 10) {
  input image: [1, 8, 8]
  kernels: flatten -> linear(4 * 9) -> tanh
  from image -> dynamic_conv(4, kernel=3, filters=kernels, padding=1) -> batch_norm
  made: relu
  filters: conv(9, kernel=3, padding=same) -> softmax
  from made -> local_filter(kernel=3, filters=filters)
  pixel_adaptive_conv(8, kernel=3, guide=image, stride=2, padding=1) -> relu
  flatten -> linear(classes)
}
train {
  data = digits
  loss = cross_entropy
  optimizer = adam(lr=0.01)
  batch = 50
  steps = 60
  measurements = 1
  metrics = [error]
}
""")
    arguments = ["train", str(tmp_path / "digits.arch"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.3


# ------------------------------------------------------------------------------ open sizes and faults

C, H, W = symbol("C"), symbol("H"), symbol("W")


def test_open_sizes() -> None:
    conv = layer_of("dynamic_conv", channels=8, kernel=3, stride=2, padding=1)
    xs = Shape((4, H, W)), Shape((288,))
    assert str(conv.shape(*xs)) == "[8, (H + 1)//2, (W + 1)//2]"
    assert str(conv.macs(*xs)) == "288*((H + 1)//2)*((W + 1)//2)"
    assert conv.doubts(*xs) == ()
    found = conv.doubts(xs[0], Shape((H,)))
    assert [d.message() for d in found] == [
        "`dynamic_conv` may not fit: whether channels H is 288 depends on H"
    ]

    filtering = layer_of("local_filter", kernel=3)
    xs = Shape((C, H, W)), Shape((9, H, W))
    assert filtering.shape(*xs) == (C, H, W)
    assert str(filtering.flops(*xs)) == "18*C*H*W"
    assert str(filtering.saved(*xs).floats) == "9*C*H*W + 9*H*W"
    assert filtering.doubts(*xs) == ()
    assert filtering.doubts(Shape((C, H)), Shape((3 * C, H))) == ()
    found = filtering.doubts(Shape((2, H)), Shape((C, W)))
    assert [d.message() for d in found] == [
        "`local_filter` may not fit: whether channels C is 6 depends on C",
        "`local_filter` may not fit: whether length W is H depends on H and W",
    ]

    adaptive = layer_of("pixel_adaptive_conv", channels=8, kernel=3, padding="same")
    xs = Shape((4, H, W)), Shape((C, H, W))
    assert adaptive.shape(*xs) == (8, H, W)
    assert str(adaptive.macs(*xs)) == "288*H*W"
    assert adaptive.doubts(*xs) == ()
    found = adaptive.doubts(xs[0], Shape((2, H, 8)))
    assert [d.message() for d in found] == [
        "`pixel_adaptive_conv` may not fit: whether width 8 is W depends on W"
    ]


def test_same_padding_of_open_sizes() -> None:
    for kind, filters in (("dynamic_conv", Shape((96,))), ("pixel_adaptive_conv", Shape((1, H)))):
        layer = layer_of(kind, channels=8, kernel=3, stride=2, padding="same")
        assert layer.shape(Shape((4, H)), filters) == (8, (H + 1) // 2)
        assert [doubt.name for doubt in layer.doubts(Shape((4, H)), filters)] == ["reads-depend-on-size"]
        assert 0 not in layer.saved(Shape((4, H)), filters).inputs
    net = archdsl.loads("""
network Open {
  input signal: [4, H]
  guide: tanh
  pixel_adaptive_conv(8, kernel=3, guide=guide, stride=2, padding=same)
}
""")
    with pytest.raises(ArchError, match="needs numbers for `H`"):
        net.build()


def test_a_kernel_of_open_size_is_untold() -> None:
    layer = layer_of("pixel_adaptive_conv", channels=8, kernel=H)
    assert layer.reads(Shape((4, 9)), Shape((1, 9))) == (Reach.UNTOLD, Reach.UNTOLD)
    assert layer_of("local_filter", kernel=H).reads(Shape((4, 9)), Shape((H, 9)))[0] is Reach.UNTOLD


WRONG: list[tuple[str, dict[str, Any], Place, Place, str | None, str, str, str | None]] = [
    (
        "dynamic_conv",
        {"channels": 8, "kernel": 3},
        (4,),
        (288,),
        None,
        "needs-map",
        "`dynamic_conv` works along spatial axes, and [4] is a vector",
        "`reshape` makes a map of a vector: `reshape([channels, length])`",
    ),
    (
        "dynamic_conv",
        {"channels": 8, "kernel": 3},
        (4, 8, 8),
        (100,),
        "filters",
        "further-value-mismatch",
        "`dynamic_conv` of [4, 8, 8] needs `filters` of [288], not [100]",
        "`linear(288)` makes them of [100]",
    ),
    (
        "dynamic_conv",
        {"channels": 8, "kernel": 3},
        (4, 8, 8),
        (288, 1, 1),
        "filters",
        "further-value-mismatch",
        "`dynamic_conv` of [4, 8, 8] needs `filters` of [288], not [288, 1, 1]",
        "`flatten` makes a vector of [288, 1, 1]",
    ),
    (
        "dynamic_conv",
        {"channels": 8, "kernel": 3},
        (4, 8, 8),
        (20, 2, 2),
        "filters",
        "further-value-mismatch",
        "`dynamic_conv` of [4, 8, 8] needs `filters` of [288], not [20, 2, 2]",
        "`flatten -> linear(288)` makes them of [20, 2, 2]",
    ),
    (
        "dynamic_conv",
        {"channels": 8, "kernel": 9},
        (4, 8, 8),
        (2592,),
        "kernel",
        "window-outside-input",
        "a kernel of 9 x 9 does not fit in 8 x 8",
        "padding=same keeps 8 x 8",
    ),
    (
        "dynamic_conv",
        {"channels": 8, "kernel": 3, "groups": 3},
        (4, 8, 8),
        (72,),
        "groups",
        "groups-do-not-divide",
        "3 groups do not divide 4 input and 8 output channels",
        "groups=2 or 4 would fit",
    ),
    (
        "dynamic_conv",
        {"channels": 8, "kernel": [3]},
        (4, 8, 8),
        (72,),
        "kernel",
        "argument-axes",
        "`kernel` has 1 entry, and [4, 8, 8] has 2 spatial axes",
        None,
    ),
    (
        "local_filter",
        {"kernel": 3},
        (4,),
        (9,),
        None,
        "needs-map",
        "`local_filter` works along spatial axes, and [4] is a vector",
        "`reshape` makes a map of a vector: `reshape([channels, length])`",
    ),
    (
        "local_filter",
        {"kernel": 3},
        (4, 8, 8),
        (8, 8, 8),
        "filters",
        "further-value-mismatch",
        "`local_filter` of [4, 8, 8] needs `filters` of [9, 8, 8] or [36, 8, 8], not [8, 8, 8]",
        "`conv(9, kernel=1)` makes 9 channels of 8",
    ),
    (
        "local_filter",
        {"kernel": 3, "padding": 0},
        (1, 8, 8),
        (9, 8, 8),
        "filters",
        "further-value-mismatch",
        "`local_filter` of [1, 8, 8] needs `filters` of [9, 6, 6], not [9, 8, 8]",
        None,
    ),
    (
        "local_filter",
        {"kernel": 3},
        (1, 8, 8),
        (9,),
        "filters",
        "further-value-mismatch",
        "`local_filter` of [1, 8, 8] needs `filters` of [9, 8, 8], not [9]",
        None,
    ),
    (
        "local_filter",
        {"kernel": 9, "padding": 0},
        (1, 8, 8),
        (81, 1, 1),
        "kernel",
        "window-outside-input",
        "a kernel of 9 x 9 does not fit in 8 x 8",
        "padding=same keeps 8 x 8",
    ),
    (
        "pixel_adaptive_conv",
        {"channels": 8, "kernel": 3},
        (4,),
        (4,),
        None,
        "needs-map",
        "`pixel_adaptive_conv` works along spatial axes, and [4] is a vector",
        "`reshape` makes a map of a vector: `reshape([channels, length])`",
    ),
    (
        "pixel_adaptive_conv",
        {"channels": 8, "kernel": 3},
        (4, 8, 8),
        (3, 8, 7),
        "guide",
        "further-value-mismatch",
        "`pixel_adaptive_conv` of [4, 8, 8] needs `guide` of [_, 8, 8], not [3, 8, 7]",
        None,
    ),
    (
        "pixel_adaptive_conv",
        {"channels": 8, "kernel": 3},
        (4, 8, 8),
        (3,),
        "guide",
        "further-value-mismatch",
        "`pixel_adaptive_conv` of [4, 8, 8] needs `guide` of [_, 8, 8], not [3]",
        None,
    ),
    (
        "pixel_adaptive_conv",
        {"channels": 8, "kernel": 3, "dilation": 4},
        (4, 8, 8),
        (3, 8, 8),
        "kernel",
        "window-outside-input",
        "a kernel of 3 x 3 with dilation 4 does not fit in 8 x 8",
        "padding=same keeps 8 x 8",
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "x", "other", "argument", "name", "message", "mend"), WRONG)
def test_what_does_not_fit_is_said(
    kind: str,
    arguments: dict[str, Any],
    x: Place,
    other: Place,
    argument: str | None,
    name: str,
    message: str,
    mend: str | None,
) -> None:
    with pytest.raises(Fault) as caught:
        layer_of(kind, **arguments).shape(Shape(x), Shape(other))
    problem = caught.value.problem
    assert (caught.value.argument, problem.name) == (argument, name)
    assert (problem.message(), problem.help()) == (message, mend)


def test_kernels_may_be_shorter_numbers_than_the_map() -> None:
    """In mixed precision a linear layer makes them of bfloat16, and an input of the network is float32."""
    x, filters = torch.rand(2, 2, 6, 6), torch.rand(2, 3 * 2 * 9).bfloat16()
    module = Lowered(layer_of("dynamic_conv", channels=3, kernel=3), Shape((2, 6, 6)), Shape((54,)))
    with torch.autocast("cpu", torch.bfloat16):
        assert module(x, filters).dtype == torch.bfloat16
