"""Partial convolution against its equations as plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
from archdsl.problems import Fault
from archdsl.sizes import symbol
from archdsl.training.trained import Trained


@dataclass
class Case:
    """One use of `partial_conv`; the window's numbers are written out an axis, as the loops take them."""

    arguments: dict[str, Any]
    x: Place
    mask_channels: int
    stride: Place
    sides: tuple[Place, ...]
    dilation: Place
    flops: int
    """By hand."""

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.arguments.items())

    @property
    def mask(self) -> Place:
        return (self.mask_channels, *self.x[1:])


CASES = [
    # 3 outputs at 9 positions of 2 x 3 samples; 2 x 9 products with the mask; 9 sums of 3 samples.
    Case(
        {"channels": 3, "kernel": 3, "padding": 1},
        (2, 9),
        1,
        (1,),
        ((1, 1),),
        (1,),
        2 * 3 * 9 * 6 + 18 + 9 * 4 + 27 * 2,
    ),
    Case(
        {"channels": 4, "kernel": [3, 2], "stride": [2, 1], "padding": [[1, 0], [0, 2]], "bias": False},
        (2, 6, 5),
        1,
        (2, 1),
        ((1, 0), (0, 2)),
        (1, 1),
        2 * 4 * 18 * 12 + 60 + 18 * 7 + 72,
    ),
    # A mask for each channel: 15 sums of 3 x 4 samples.
    Case(
        {"channels": 4, "kernel": 2, "dilation": [2, 1]},
        (3, 5, 6),
        3,
        (1, 1),
        ((0, 0), (0, 0)),
        (2, 1),
        2 * 4 * 15 * 12 + 90 + 15 * 13 + 60 * 2,
    ),
    # Groups: with a mask for each channel, 2 sums a position, of 2 x 3 samples each.
    Case(
        {"channels": 6, "kernel": 3, "groups": 2, "stride": 2, "padding": "same"},
        (4, 8),
        4,
        (2,),
        ((0, 1),),
        (1,),
        2 * 6 * 4 * 6 + 32 + 8 * 7 + 24 * 2,
    ),
    Case(
        {"channels": 6, "kernel": 3, "groups": 2},
        (4, 7),
        1,
        (1,),
        ((0, 0),),
        (1,),
        2 * 6 * 5 * 6 + 28 + 5 * 4 + 30 * 2,
    ),
    Case(
        {"channels": 2, "kernel": [2, 1, 3], "padding": [0, 0, 1]},
        (1, 3, 2, 4),
        1,
        (1, 1, 1),
        ((0, 0), (0, 0), (1, 1)),
        (1, 1, 1),
        2 * 2 * 16 * 6 + 24 + 16 * 7 + 32 * 2,
    ),
]


def partial_conv(**arguments: Any) -> Layer:
    """The layer; which value is its mask is told by what it is called on."""
    return make("partial_conv", mask="label", **arguments)


EVERY = pytest.mark.parametrize("case", CASES, ids=str)


def drawn(case: Case, batch: int = 2) -> tuple[Tensor, Tensor, Lowered]:
    """An input, a mask with large holes, and the layer with biases that are not 0."""
    torch.manual_seed(1)
    x = torch.randn(batch, *case.x, dtype=torch.float64)
    mask = (torch.rand(batch, *case.mask) < 0.35 / case.mask_channels).double()
    lowered = Lowered(partial_conv(**case.arguments), Shape(case.x), Shape(case.mask)).double()
    if lowered.module.bias is not None:
        torch.nn.init.normal_(lowered.module.bias)
    return x, mask, lowered


def loops(case: Case, x: Any, mask: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """Equations 1 and 2, sample by sample, for one example."""
    channels, each, kernel = weight.shape[0], weight.shape[1], weight.shape[2:]
    size = extents(case.x[1:], kernel, case.stride, case.sides, case.dilation)
    y = np.zeros((channels, *size))
    known = np.zeros((channels, *size))
    for c in range(channels):
        group = c * case.arguments.get("groups", 1) // channels
        for unit in positions(size):
            weighted = marked = window = 0.0
            for a in range(each):
                for tap, at, inside in taps(unit, case.x[1:], kernel, case.stride, case.sides, case.dilation):
                    window += 1
                    if inside:
                        channel = group * each + a
                        m = mask[(channel if case.mask_channels > 1 else 0, *at)]
                        marked += m
                        weighted += weight[(c, a, *tap)] * x[(channel, *at)] * m
            if marked > 0:
                y[(c, *unit)] = weighted * window / marked + (0 if bias is None else bias[c])
                known[(c, *unit)] = 1
    return y, known if case.mask_channels > 1 else known[:1]


@EVERY
def test_it_is_its_equations_as_loops(case: Case) -> None:
    x, mask, lowered = drawn(case)
    y, known = lowered(x, mask)
    weight = lowered.module.weight.detach().numpy()
    bias = None if lowered.module.bias is None else lowered.module.bias.detach().numpy()
    for index in range(2):
        expected, marked = loops(case, x[index].numpy(), mask[index].numpy(), weight, bias)
        assert np.allclose(y[index].detach().numpy(), expected, atol=1e-12)
        assert np.array_equal(known[index].numpy(), marked)
        # The draw has both kinds of window, or the comparison would say little.
    assert 0 < known.mean() < 1
    shapes = partial_conv(**case.arguments).shape(Shape(case.x), Shape(case.mask))
    assert [tuple(shape) for shape in shapes] == [tuple(y.shape[1:]), tuple(known.shape[1:])]


@EVERY
def test_weights_and_costs(case: Case) -> None:
    layer = partial_conv(**case.arguments)
    xs = Shape(case.x), Shape(case.mask)
    x, mask, lowered = drawn(case)
    check_weights(layer, lowered.module, *xs)
    assert macs(lowered, x, mask) == 2 * layer.macs(*xs)
    assert layer.flops(*xs) == case.flops
    check_saved(layer, lowered, x, mask)


@EVERY
def test_what_it_reads(case: Case) -> None:
    layer = partial_conv(**case.arguments)
    xs = Shape(case.x), Shape(case.mask)
    _, _, lowered = drawn(case)
    size, output = case.x[1:], layer.shape(*xs)[0].size
    reads = layer.reads_of(0, *xs)
    assert reads == layer.reads(*xs)
    torch.manual_seed(2)
    other = torch.rand(1, *case.mask, dtype=torch.float64) + 0.5
    found = support(lambda x: lowered(x, other.expand(len(x), *case.mask))[0], xs[0])
    assert torch.equal(found, read_positions(reads[0], size, output, "zeros"))
    other = torch.randn(1, *case.x, dtype=torch.float64)
    found = support(lambda mask: lowered(other.expand(len(mask), *case.x), mask)[0], xs[1])
    assert torch.equal(found, read_positions(reads[1], size, output, "zeros"))


@EVERY
def test_the_new_mask_reads_the_mask_alone(case: Case) -> None:
    layer = partial_conv(**case.arguments)
    xs = Shape(case.x), Shape(case.mask)
    _, _, lowered = drawn(case)
    size, output = case.x[1:], layer.shape(*xs)[1].size
    of_x, of_mask = (read_positions(reads, size, output, "zeros") for reads in layer.reads_of(1, *xs))
    assert not of_x.any()
    places = list(positions(size))
    single = torch.zeros(len(places), *case.mask, dtype=torch.float64)
    for index, place in enumerate(places):
        single[(index, slice(None), *place)] = 1
    _, known = lowered(torch.zeros(len(places), *case.x, dtype=torch.float64), single)
    assert torch.equal(known.flatten(2).bool().any(1), of_mask)


def test_where_everything_is_known_it_is_a_convolution() -> None:
    lowered = Lowered(partial_conv(channels=5, kernel=3), Shape((2, 6, 7)), Shape((1, 6, 7))).double()
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    y, known = lowered(x, torch.ones(2, 1, 6, 7, dtype=torch.float64))
    assert torch.allclose(y, F.conv2d(x, lowered.module.weight, lowered.module.bias))
    assert known.min() == 1


def test_what_lies_in_holes_is_not_seen_and_gets_no_gradient() -> None:
    case = CASES[1]
    x, mask, lowered = drawn(case)
    x.requires_grad_()
    mask.requires_grad_()
    y, known = lowered(x, mask)
    filled = torch.where(mask.detach() > 0, x, 1e6)
    assert torch.allclose(lowered(filled, mask)[0], y, atol=1e-9)
    (given,) = torch.autograd.grad(y.square().sum(), x, retain_graph=True)
    assert not given[(mask == 0).expand_as(x)].any() and given.any()
    assert torch.autograd.grad(y.sum(), mask, allow_unused=True) == (None,)
    assert not known.requires_grad


def test_an_input_without_any_data_gives_zeros() -> None:
    x, mask, lowered = drawn(CASES[0])
    y, known = lowered(x.requires_grad_(), torch.zeros_like(mask))
    assert not y.any() and not known.any()
    y.sum().backward()
    assert x.grad is not None and not x.grad.any() and not lowered.module.weight.grad.any()


def test_gradients_are_those_of_differences() -> None:
    x, mask, lowered = drawn(CASES[3])
    assert torch.autograd.gradcheck(lambda x: lowered(x, mask)[0], x.requires_grad_(), fast_mode=True)


def test_weights_start_as_he_et_al_draw_them() -> None:
    torch.manual_seed(0)
    module = Lowered(partial_conv(channels=64, kernel=5), Shape((32, 8, 8)), Shape((1, 8, 8))).module
    assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / (32 * 25)), rel=0.02)
    assert not module.bias.any()


def test_what_is_written() -> None:
    layer = partial_conv(channels=8, kernel=3, padding=1, groups=2, bias=False)
    assert source(layer, Shape((4, 6, 6)), Shape((4, 6, 6))) == (
        "PartialConvolution(4, 8, (3, 3), (1, 1), (1, 1), groups=2, bias=False, mask_channels=4)",
        "module(F.pad(x0, (1, 1, 1, 1)), F.pad(x1, (1, 1, 1, 1)))",
    )


# ------------------------------------------------------------------------------ in a network

NETWORK = """
network Holes {
  input image: [2, 17, 17]
  input known: [1, 17, 17]
  from image
  first, first_known: partial_conv(4, kernel=3, mask=known, stride=2, padding=1)
  from first -> relu
  second, second_known: partial_conv(3, kernel=3, mask=first_known)
  from second, second_known -> concat
}
"""


def test_a_network_moves_as_it_says() -> None:
    """Content and mask are moved about in an empty field; outside of the border all moves with them."""
    net = archdsl.loads(NETWORK)
    layers = {layer["name"]: layer for layer in net.report().to_dict()["layers"]}
    moves = layers["concat_1"]["equivariance"]
    assert (moves["translation"], moves["shift"], moves["border"]) == ("equivariant", [2, 2], [1, 1])
    assert layers["concat_1"]["receptive_field"]["known"]["size"] == [7, 7]
    model = net.build().double()
    torch.manual_seed(3)
    x, mask = torch.zeros(1, 2, 17, 17).double(), torch.zeros(1, 1, 17, 17).double()
    x[..., 6:9, 6:9] = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    mask[..., 6:9, 6:9] = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 0]])
    before = model(x, mask)
    after = model(x.roll((2, 4), (2, 3)), mask.roll((2, 4), (2, 3)))
    assert before.any()
    assert torch.allclose(after, before.roll((1, 2), (2, 3)))
    assert not torch.allclose(model(x.roll(1, 2), mask.roll(1, 2)), before.roll(1, 2))


def test_a_network_with_open_sizes() -> None:
    text = NETWORK.replace("[2, 17, 17]", "[2, H, W]").replace("[1, 17, 17]", "[1, H, W]")
    model = archdsl.loads(text).build()
    made = model(torch.randn(3, 2, 12, 15), torch.ones(3, 1, 12, 15))
    assert made.shape == (3, 4, 4, 6)


def test_exported_programs_take_any_batch() -> None:
    model = archdsl.loads(NETWORK).build().eval()
    batch = {0: torch.export.Dim("batch")}
    given = torch.randn(2, 2, 17, 17), (torch.rand(2, 1, 17, 17) < 0.5).float()
    program = torch.export.export(model, given, dynamic_shapes=(batch, batch)).module()
    given = torch.randn(5, 2, 17, 17), (torch.rand(5, 1, 17, 17) < 0.5).float()
    assert torch.allclose(program(*given), model(*given))


def test_it_learns(tmp_path: Path) -> None:
    """Digits in which what is black counts as unknown."""
    (tmp_path / "digits.arch").write_text("""
network Digits(classes = 10) {
  input image: [1, 8, 8]
  ink: relu
  from image
  first, first_ink: partial_conv(12, kernel=3, mask=ink, padding=1)
  from first -> batch_norm -> relu
  second, second_ink: partial_conv(24, kernel=3, mask=first_ink, stride=2, padding=1)
  from second -> relu -> flatten -> linear(classes)
}
train {
  data = digits
  loss = cross_entropy
  optimizer = adam(lr=0.003)
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
    layer = partial_conv(channels=8, kernel=3, stride=2, padding=1)
    x, mask = Shape((4, H, W)), Shape((1, H, W))
    assert [str(shape) for shape in layer.shape(x, mask)] == [
        "[8, (H + 1)//2, (W + 1)//2]",
        "[1, (H + 1)//2, (W + 1)//2]",
    ]
    assert str(layer.macs(x, mask)) == "288*((H + 1)//2)*((W + 1)//2)"
    assert layer.doubts(x, mask) == ()
    found = layer.doubts(x, Shape((1, W, W)))
    assert [doubt.message() for doubt in found] == [
        "`partial_conv` may not fit: whether height W is H depends on H and W"
    ]
    found = layer.doubts(x, Shape((C, H, W)))
    assert [doubt.message() for doubt in found] == [
        "`partial_conv` may not fit: whether channels C is 4 depends on C"
    ]


def test_same_padding_of_open_sizes() -> None:
    layer = partial_conv(channels=8, kernel=3, stride=2, padding="same")
    x, mask = Shape((4, H)), Shape((1, H))
    assert layer.shape(x, mask)[0] == (8, (H + 1) // 2)
    assert [doubt.name for doubt in layer.doubts(x, mask)] == ["reads-depend-on-size"]
    assert layer.saved(x, mask).inputs == ()
    net = archdsl.loads("""
network Open {
  input signal: [4, H]
  input known: [1, H]
  from signal
  made, made_known: partial_conv(8, kernel=3, mask=known, stride=2, padding=same)
  from made -> relu
}
""")
    with pytest.raises(ArchError, match="needs numbers for `H`"):
        net.build()


def test_a_kernel_of_open_size_is_untold() -> None:
    layer = partial_conv(channels=8, kernel=H)
    x, mask = Shape((4, 9)), Shape((1, 9))
    assert layer.reads_of(1, x, mask) == (Reach.UNTOLD, Reach.UNTOLD)


WRONG: list[tuple[dict[str, Any], Place, Place, str | None, str, str]] = [
    ({"kernel": 3}, (4,), (1,), None, "needs-map", "`partial_conv` works along spatial axes"),
    (
        {"kernel": 3},
        (4, 8, 8),
        (2, 8, 8),
        "mask",
        "further-value-mismatch",
        "`partial_conv` of [4, 8, 8] needs `mask` of [1, 8, 8] or [4, 8, 8], not [2, 8, 8]",
    ),
    (
        {"kernel": 3},
        (1, 8, 8),
        (1, 8, 7),
        "mask",
        "further-value-mismatch",
        "`partial_conv` of [1, 8, 8] needs `mask` of [1, 8, 8], not [1, 8, 7]",
    ),
    (
        {"kernel": 3},
        (4, 8, 8),
        (1, 8),
        "mask",
        "further-value-mismatch",
        "`partial_conv` of [4, 8, 8] needs `mask` of [1, 8, 8] or [4, 8, 8], not [1, 8]",
    ),
    (
        {"kernel": 9},
        (4, 8, 8),
        (1, 8, 8),
        "kernel",
        "window-outside-input",
        "a kernel of 9 x 9 does not fit in 8 x 8",
    ),
    (
        {"kernel": 3, "groups": 3},
        (4, 8, 8),
        (1, 8, 8),
        "groups",
        "groups-do-not-divide",
        "3 groups do not divide 4 input and 8 output channels",
    ),
    (
        {"kernel": [3, 3, 3]},
        (4, 8, 8),
        (1, 8, 8),
        "kernel",
        "argument-axes",
        "`kernel` has 3 entries, and [4, 8, 8] has 2 spatial axes",
    ),
    (
        {"kernel": 3, "dilation": [1]},
        (4, 8, 8),
        (1, 8, 8),
        "dilation",
        "argument-axes",
        "`dilation` has 1 entry, and [4, 8, 8] has 2 spatial axes",
    ),
]


@pytest.mark.parametrize(("arguments", "x", "mask", "argument", "name", "message"), WRONG)
def test_what_does_not_fit_is_said(
    arguments: dict[str, Any], x: Place, mask: Place, argument: str | None, name: str, message: str
) -> None:
    with pytest.raises(Fault) as caught:
        partial_conv(channels=8, **arguments).shape(Shape(x), Shape(mask))
    problem = caught.value.problem
    assert (caught.value.argument, problem.name) == (argument, name)
    assert problem.message().startswith(message)
