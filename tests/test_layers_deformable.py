"""Convolutions that another value steers, against loops over positions, taps and neighbours."""

from __future__ import annotations

import csv
import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from layer_harness import Lowered, check_saved, check_weights, macs, make, read_positions, source, support
from torch import Tensor
from torch.nn import functional as F

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers import Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach
from archdsl.problems import Fault
from archdsl.sizes import Size, substitute, symbol

Array = np.ndarray[Any, Any]
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


# ------------------------------------------------------------------------------ references


@dataclass(frozen=True)
class Geometry:
    """A kernel's geometry, an entry for each axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def taps(self) -> list[tuple[int, ...]]:
        return list(itertools.product(*map(range, self.kernel)))

    def place(self, i: tuple[int, ...], tap: tuple[int, ...]) -> list[int]:
        numbers = zip(i, tap, self.stride, self.before, self.dilation, strict=True)
        return [n * s - b + t * d for n, t, s, b, d in numbers]


def sample(x: Array, place: list[float]) -> Array:
    """All channels of a map at a place between its samples: zeros outside."""
    total = np.zeros(x.shape[0])
    for corner in itertools.product(*([math.floor(p), math.floor(p) + 1] for p in place)):
        if all(0 <= c < n for c, n in zip(corner, x.shape[1:], strict=True)):
            weight = math.prod(1 - abs(p - c) for p, c in zip(place, corner, strict=True))
            total += weight * x[(slice(None), *corner)]
    return total


def contract(at_taps: Array, weight: Array, groups: int) -> Array:
    """What a kernel makes of [channels, taps] samples at one position."""
    made = []
    each_in, each_out = weight.shape[1], len(weight) // groups
    for c in range(len(weight)):
        first = c // each_out * each_in
        made.append((at_taps[first : first + each_in] * weight[c].reshape(each_in, -1)).sum())
    return np.array(made)


def deformed(
    g: Geometry,
    x: Array,
    offsets: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None = None,
    reach: float | None = None,
) -> Array:
    """Dai et al., 2017, equations 2 to 4, and Zhu et al., 2019, equation 1."""
    y = np.zeros((len(x), len(weight), *offsets.shape[2:]))
    axes = len(g.kernel)
    for n, i in itertools.product(range(len(x)), itertools.product(*map(range, offsets.shape[2:]))):
        at_taps = np.zeros((x.shape[1], len(g.taps())))
        for t, tap in enumerate(g.taps()):
            moved = [float(offsets[(n, axes * t + axis, *i)]) for axis in range(axes)]
            if reach is not None:
                moved = [min(max(by, -reach), reach) for by in moved]
            place = [p + by for p, by in zip(g.place(i, tap), moved, strict=True)]
            at_taps[:, t] = sample(x[n], place) * (1 if mask is None else mask[(n, t, *i)])
        y[(n, slice(None), *i)] = contract(at_taps, weight, g.groups) + (0 if bias is None else bias)
    return y


def weighted(
    g: Geometry, x: Array, sigma: Array, weight: Array, bias: Array | None, eps: float = 1e-6
) -> Array:
    """A kernel multiplied by a Gaussian about its centre."""
    y = np.zeros((len(x), len(weight), *sigma.shape[2:]))
    for n, i in itertools.product(range(len(x)), itertools.product(*map(range, sigma.shape[2:]))):
        at_taps = np.zeros((x.shape[1], len(g.taps())))
        for t, tap in enumerate(g.taps()):
            exponent = 0.0
            for axis, (k, d) in enumerate(zip(g.kernel, g.dilation, strict=True)):
                deviation = sigma[(n, axis if sigma.shape[1] > 1 else 0, *i)]
                exponent -= ((tap[axis] - (k - 1) / 2) * d) ** 2 / (2 * (deviation**2 + eps))
            at_taps[:, t] = sample(x[n], [float(p) for p in g.place(i, tap)]) * math.exp(exponent)
        y[(n, slice(None), *i)] = contract(at_taps, weight, g.groups) + (0 if bias is None else bias)
    return y


def numpy_of(value: Tensor | None) -> Array | None:
    return None if value is None else value.detach().numpy()


# ------------------------------------------------------------------------------ cases


@dataclass
class Case:
    """A use, with its geometry and its FLOPs worked out by hand."""

    kind: str
    arguments: dict[str, Any]
    inputs: list[tuple[int, ...]]
    geometry: Geometry
    size: tuple[int, ...]
    flops: int
    id: str = field(default="", init=False)

    def __post_init__(self) -> None:
        words = ",".join(f"{key}={value}" for key, value in self.arguments.items())
        self.id = f"{self.kind}({words})-{len(self.inputs)}"

    @property
    def layer(self) -> Layer:
        given = dict(self.arguments)
        guide = "offsets" if self.kind == "deformable_conv" else "sigma"
        return make(self.kind, **{guide: "a label", **given})

    @property
    def shapes(self) -> list[Shape]:
        return list(map(Shape, self.inputs))

    def values(self) -> list[Tensor]:
        torch.manual_seed(3)
        # Offsets of up to some samples, also out of the map; deviations of either sign.
        return [(1 if i == 0 else 1.5) * torch.randn(2, *shape) for i, shape in enumerate(self.inputs)]

    def expected(self, module: torch.nn.Module, values: list[Tensor]) -> Array:
        weight, bias = numpy_of(module.weight), numpy_of(module.bias)
        x, guide, *mask = [value.numpy() for value in values]
        assert weight is not None
        if self.kind == "context_deformable_conv":
            return weighted(self.geometry, x, guide, weight, bias, self.arguments.get("eps", 1e-6))
        reach = self.arguments.get("reach")
        return deformed(self.geometry, x, guide, weight, bias, mask[0] if mask else None, reach)


def unit(axes: int) -> tuple[int, ...]:
    return (1,) * axes


CASES = [
    Case(
        "deformable_conv",
        {"channels": 4, "kernel": 3, "padding": 1},
        [(2, 6), (3, 6)],
        Geometry((3,), unit(1), (1,), unit(1)),
        (6,),
        2 * 4 * 6 * 2 * 3 + 6 * 3 * (3 + 2 * 3) + 24,
    ),
    Case(
        "deformable_conv",
        {"channels": 3, "kernel": 3, "stride": 2, "padding": "same", "reach": 1.5, "bias": False},
        [(2, 8), (3, 4), (3, 4)],
        Geometry((3,), (2,), (0,), unit(1)),
        (4,),
        2 * 3 * 4 * 2 * 3 + 4 * 3 * (5 + 2 * 4),
    ),
    Case(
        "deformable_conv",
        {"channels": 4, "kernel": [3, 2], "stride": [2, 1], "padding": [[1, 0], [0, 2]], "groups": 2},
        [(4, 5, 6), (12, 2, 7)],
        Geometry((3, 2), (2, 1), (1, 0), unit(2), 2),
        (2, 7),
        2 * 4 * 14 * 2 * 6 + 14 * 6 * (2 * 3 + 4 + 4 * 7) + 56,
    ),
    Case(
        "deformable_conv",
        {"channels": 2, "kernel": 3, "padding": "same", "dilation": [1, 2], "reach": 1},
        [(3, 4, 5), (18, 4, 5), (9, 4, 5)],
        Geometry((3, 3), unit(2), (1, 2), (1, 2)),
        (4, 5),
        2 * 2 * 20 * 3 * 9 + 20 * 9 * (2 * 5 + 4 + 3 * 8) + 40,
    ),
    Case(
        "deformable_conv",
        {"channels": 2, "kernel": 1, "bias": False},
        [(1, 1, 3), (2, 1, 3)],
        Geometry((1, 1), unit(2), (0, 0), unit(2)),
        (1, 3),
        2 * 2 * 3 + 3 * (2 * 3 + 4 + 7),
    ),
    Case(
        "deformable_conv",
        {"channels": 2, "kernel": [2, 1, 3], "padding": [0, 1, 1], "dilation": [2, 1, 1]},
        [(2, 4, 2, 3), (18, 2, 4, 3), (6, 2, 4, 3)],
        Geometry((2, 1, 3), unit(3), (0, 1, 1), (2, 1, 1)),
        (2, 4, 3),
        2 * 2 * 24 * 2 * 6 + 24 * 6 * (3 * 3 + 8 * 2 + 2 * 16) + 48,
    ),
    Case(
        "context_deformable_conv",
        {"channels": 4, "kernel": 4, "dilation": 2, "padding": 3},
        [(2, 7), (1, 7)],
        Geometry((4,), unit(1), (3,), (2,)),
        (7,),
        2 * 4 * 7 * 2 * 4 + 7 * 4 * (2 + 2) + 3 * 7 + 28,
    ),
    Case(
        "context_deformable_conv",
        {"channels": 4, "kernel": 3, "groups": 2, "bias": False},
        [(4, 5, 6), (1, 3, 4)],
        Geometry((3, 3), unit(2), (0, 0), unit(2), 2),
        (3, 4),
        2 * 4 * 12 * 2 * 9 + 12 * 9 * (4 + 2) + 3 * 12,
    ),
    Case(
        "context_deformable_conv",
        {"channels": 3, "kernel": [3, 5], "stride": 2, "padding": "same", "eps": 0.01},
        [(2, 6, 5), (2, 3, 3)],
        Geometry((3, 5), (2, 2), (0, 2), unit(2)),
        (3, 3),
        2 * 3 * 9 * 2 * 15 + 9 * 15 * (2 + 4) + 3 * 18 + 27,
    ),
    Case(
        "context_deformable_conv",
        {"channels": 2, "kernel": [1, 3, 2], "padding": [[0, 0], [1, 1], [1, 0]]},
        [(1, 2, 4, 3), (3, 2, 4, 3)],
        Geometry((1, 3, 2), unit(3), (0, 1, 1), unit(3)),
        (2, 4, 3),
        2 * 2 * 24 * 6 + 24 * 6 * (1 + 6) + 3 * 72 + 48,
    ),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@EVERY
def test_it_computes_what_the_loops_do(case: Case) -> None:
    lowered = Lowered(case.layer, *case.shapes).double()
    values = [value.double() for value in case.values()]
    y = lowered(*values)
    assert case.layer.shape(*case.shapes) == (case.arguments["channels"], *case.size)
    assert tuple(y.shape) == (2, case.arguments["channels"], *case.size)
    assert lowered.module is not None
    np.testing.assert_allclose(y.detach().numpy(), case.expected(lowered.module, values), atol=1e-12)
    single = lowered.float()(*(value.float() for value in values))
    np.testing.assert_allclose(single.detach().numpy(), y.detach().numpy(), atol=2e-5)


@EVERY
def test_its_rules_are_those_of_torch(case: Case) -> None:
    layer, shapes = case.layer, case.shapes
    lowered = Lowered(layer, *shapes)
    check_weights(layer, lowered.module, *shapes)
    assert 2 * layer.macs(*shapes) == macs(lowered, *case.values())
    check_saved(layer, lowered, *case.values())
    assert layer.flops(*shapes) == case.flops


@EVERY
def test_gradients_reach_every_input_and_weight(case: Case) -> None:
    lowered = Lowered(case.layer, *case.shapes).double()
    values = [(0.3 * value.double() + 0.21).requires_grad_() for value in case.values()]
    assert torch.autograd.gradcheck(lowered, values, eps=1e-7, atol=1e-4, fast_mode=True)
    lowered(*values).square().sum().backward()
    for tensor in (*values, *lowered.parameters()):
        assert tensor.grad is not None and tensor.grad.abs().max() > 0


@EVERY
def test_it_starts_as_a_convolution_does(case: Case) -> None:
    torch.manual_seed(0)
    x = case.shapes[0]
    module = Lowered(case.layer, *case.shapes).module
    assert module is not None
    bound = math.prod(case.geometry.kernel) ** -0.5 * (int(x.channels) // case.geometry.groups) ** -0.5
    for parameter in module.parameters():
        assert parameter.abs().max() <= bound
    assert module.weight.abs().max() > 0.3 * bound


# ------------------------------------------------------------------------------ what the guides mean


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_without_offsets_it_is_a_convolution(axes: int) -> None:
    layer = make("deformable_conv", channels=3, kernel=3, offsets="o", stride=2, padding=1, dilation=2)
    x = Shape((2, *(7, 6, 8)[:axes]))
    size = (3, 2, 3)[:axes]
    shapes = (x, Shape((axes * 3**axes, *size)), Shape((3**axes, *size)))
    lowered = Lowered(layer, *shapes).double()
    given = torch.randn(2, *x, dtype=torch.float64)
    assert lowered.module is not None
    wanted = CONV[axes](given, lowered.module.weight, lowered.module.bias, 2, 1, 2)
    still = torch.zeros(2, *shapes[1], dtype=torch.float64)
    torch.testing.assert_close(lowered(given, still, torch.ones(2, *shapes[2]).double()), wanted)


def test_offsets_come_tap_by_tap_the_height_first() -> None:
    """As in torchvision.ops.deform_conv2d: channel 2*t moves tap t down, channel 2*t + 1 to the right."""
    layer = make("deformable_conv", channels=1, kernel=[2, 3], offsets="o", bias=False)
    lowered = Lowered(layer, Shape((1, 9, 9)), Shape((12, 8, 7))).double()
    assert lowered.module is not None
    x = torch.arange(81.0).double().view(1, 1, 9, 9)
    for tap, (row, column) in enumerate(itertools.product(range(2), range(3))):
        torch.nn.init.zeros_(lowered.module.weight)
        lowered.module.weight.data[0, 0, row, column] = 1
        for axis, step in enumerate((9, 1)):
            offsets = torch.zeros(1, 12, 8, 7, dtype=torch.float64)
            offsets[:, 2 * tap + axis] = 2
            y = lowered(x, offsets)[0, 0]
            assert float(y.detach()[3, 2]) == pytest.approx(float(x[0, 0, 3 + row, 2 + column]) + 2 * step)


def test_a_wide_gaussian_leaves_the_kernel_and_a_narrow_one_its_centre() -> None:
    layer = make("context_deformable_conv", channels=3, kernel=3, sigma="s", padding=1)
    x, sigma = Shape((2, 5, 6)), Shape((1, 5, 6))
    lowered = Lowered(layer, x, sigma).double()
    assert lowered.module is not None
    weight, bias = lowered.module.weight, lowered.module.bias
    given, ones = torch.randn(2, *x).double(), torch.ones(2, *sigma).double()
    torch.testing.assert_close(lowered(given, 1e6 * ones), F.conv2d(given, weight, bias, 1, 1))
    torch.testing.assert_close(lowered(given, 0 * ones), F.conv2d(given, weight[..., 1:2, 1:2], bias))
    torch.testing.assert_close(lowered(given, -ones), lowered(given, ones))


# ------------------------------------------------------------------------------ what they read


@pytest.mark.parametrize(
    ("reach", "kernel", "dilation"), [(1, 3, 1), (0.5, 2, 4), (2, 2, 4), (1.2, 3, 2)], ids=str
)
def test_offsets_reach_as_far_as_is_said_and_no_further(reach: float, kernel: int, dilation: int) -> None:
    """Over offsets of all sizes, what a unit reads is exactly the bound."""
    layer = make(
        "deformable_conv",
        channels=2,
        kernel=kernel,
        offsets="o",
        stride=2,
        padding=1,
        dilation=dilation,
        reach=reach,
    )
    x = Shape((1, 15))
    (units,) = layer.shape(x).size
    assert isinstance(units, int)
    guide = Shape((kernel, units))
    lowered = Lowered(layer, x, guide).double()
    reads, point = layer.reads(x, guide)
    assert point is Reach.POINT
    assert isinstance(reads, tuple) and reads[0].at_most
    found = torch.zeros(15, units, dtype=torch.bool)
    for by in (-9, -0.9, -0.3, 0, 0.3, 0.9, 9):
        for tap in range(kernel):
            offsets = torch.zeros(1, *guide, dtype=torch.float64)
            offsets[:, tap] = by
            batch = support(lambda given, o=offsets: lowered(given, o.expand(len(given), -1, -1)), x)
            found |= batch
    assert torch.equal(found, read_positions(reads, (15,), (units,), "zeros"))


def test_without_a_bound_positions_are_chosen() -> None:
    layer = make("deformable_conv", channels=2, kernel=3, offsets="o", padding=1)
    assert layer.reads(Shape((1, 4, 4)), Shape((18, 4, 4))) == (Reach.CHOSEN, Reach.POINT)
    # However long the table of positions might be, the bound is written down shortly.
    wide = make("deformable_conv", channels=2, kernel=MOST_PHASES, offsets="o", dilation=9, reach=2)
    (reads,), _ = wide.reads(Shape((1, 2**18)), Shape((MOST_PHASES, 2**17)))
    assert isinstance(reads.offsets[0], range)


@pytest.mark.parametrize("padding", [0, 2, "same"])
def test_a_gaussian_kernel_reads_its_window(padding: Any) -> None:
    layer = make(
        "context_deformable_conv", channels=2, kernel=[3, 2], sigma="s", stride=[1, 2], padding=padding
    )
    x = Shape((2, 5, 6))
    guide = Shape((1, *layer.shape(x).size))
    lowered = Lowered(layer, x, guide).double()
    reads, point = layer.reads(x, guide)
    assert point is Reach.POINT
    sigma = torch.ones(1, *guide).double()
    found = support(lambda given: lowered(given, sigma.expand(len(given), -1, -1, -1)), x)
    assert torch.equal(found, read_positions(reads, (5, 6), guide.size, "zeros"))


MOVED = """network Moved {
  input x: [2, 64, 15]
  narrow: conv(3, kernel=3, stride=2, padding=1)
  moves: conv(18, kernel=3, stride=2, padding=1)
  from narrow -> deformable_conv(4, kernel=3, offsets=moves, stride=2, padding=1, reach=1.5)
  last: relu
  width: conv(2, kernel=1)
  from last -> context_deformable_conv(3, kernel=3, sigma=width, padding=1)
}"""


def test_moving_the_input_moves_the_output() -> None:
    net = archdsl.loads(MOVED)
    torch.manual_seed(0)
    model = net.build().double()
    for name, weight in model.named_parameters():
        # Offsets of some samples, so that they are cut, too.
        weight.data *= 5 if name.startswith("moves") else 1
    layer = net.report().to_dict()["layers"][-1]
    certificate = layer["equivariance"]
    assert certificate["translation"] == "equivariant"
    assert certificate["shift"] == [4, 4]
    x = torch.randn(1, 2, 64, 15, dtype=torch.float64)
    with torch.no_grad():
        y, moved, between = model(x), model(x.roll(4, 2)), model(x.roll(2, 2))
    border = certificate["border"][0]
    first, last = border + 1, 16 - border
    assert last - first >= 4
    torch.testing.assert_close(moved[:, :, first:last], y[:, :, first - 1 : last - 1])
    assert not torch.allclose(between[:, :, first:last], y[:, :, first - 1 : last - 1])


def test_a_network_says_that_the_field_is_a_bound() -> None:
    text = MOVED.replace(", reach=1.5", "")
    layers = {layer["name"]: layer for layer in archdsl.loads(text).report().to_dict()["layers"]}
    assert layers["deformable_conv_1"]["equivariance"]["translation"] == "none"
    bounded = {layer["name"]: layer for layer in archdsl.loads(MOVED).report().to_dict()["layers"]}
    field_ = bounded["deformable_conv_1"]["receptive_field"]
    # 3 samples, 2 on either side of them, and the kernel of 3 with stride 2 before: 2*(7 - 1) + 3.
    assert field_["size"] == [15, 15]


# ------------------------------------------------------------------------------ open sizes and faults


def test_open_sizes() -> None:
    h, w, c = symbol("H"), symbol("W"), symbol("C")
    layer = make("deformable_conv", channels=8, kernel=3, offsets="o", mask="m", padding=1, reach=1)
    x, offsets, mask = Shape((c, h, w)), Shape((18, h, w)), Shape((9, h, w))
    assert layer.shape(x, offsets, mask) == (8, h, w)
    assert layer.doubts(x, offsets, mask) == ()
    numbers: dict[str, int] = {"H": 6, "W": 5, "C": 4}

    def number(size: Size) -> Size:
        return substitute(size, numbers)

    known = tuple(Shape(map(number, shape)) for shape in (x, offsets, mask))
    for rule in ("macs", "flops"):
        assert number(getattr(layer, rule)(x, offsets, mask)) == getattr(layer, rule)(*known)
    assert number(layer.saved(x, offsets, mask).floats) == layer.saved(*known).floats
    undecided = layer.doubts(Shape((c, h, w)), Shape((18, w, w)))
    assert [problem.name for problem in undecided] == ["undecided-size"]
    (channels,) = layer.doubts(Shape((3, 4, 4)), Shape((c, 4, 4)))
    assert "offsets has 18 channels" in channels.message()


@pytest.mark.parametrize("kind", ["deformable_conv", "context_deformable_conv"])
def test_padding_of_open_sizes_follows_the_map(kind: str) -> None:
    """One module for every extent."""
    guide = {"offsets": "o"} if kind == "deformable_conv" else {"sigma": "s"}
    layer = make(kind, channels=2, kernel=[3, 2], stride=2, padding="same", **guide)
    h = symbol("H")
    channels = 12 if kind == "deformable_conv" else 1
    shapes = (Shape((2, h, 6)), Shape((channels, (h + 1) // 2, 3)))
    lowered = Lowered(layer, *shapes).double()
    for height in (5, 6, 9):
        x = torch.randn(2, 2, height, 6).double()
        steered = torch.randn(2, channels, -(-height // 2), 3).double()
        fixed = Lowered(layer, Shape(x.shape[1:]), Shape(steered.shape[1:])).double()
        fixed.load_state_dict(lowered.state_dict())
        torch.testing.assert_close(lowered(x, steered), fixed(x, steered))


@pytest.mark.parametrize(
    ("kind", "arguments", "inputs", "problem", "argument"),
    [
        ("deformable_conv", {"kernel": 3}, [(4,), (4,)], "needs-map", None),
        ("deformable_conv", {"kernel": 9}, [(4, 5), (9, 5)], "window-outside-input", "kernel"),
        ("deformable_conv", {"kernel": [3, 3]}, [(4, 5), (9, 5)], "argument-axes", "kernel"),
        ("deformable_conv", {"kernel": 3, "groups": 3}, [(4, 5), (3, 3)], "groups-do-not-divide", "groups"),
        ("deformable_conv", {"kernel": 3}, [(4, 5, 5), (9, 3, 3)], "guide-mismatch", "offsets"),
        ("deformable_conv", {"kernel": 3}, [(4, 5, 5), (18, 5, 5)], "guide-mismatch", "offsets"),
        ("deformable_conv", {"kernel": 3}, [(4, 5, 5), (18,)], "guide-mismatch", "offsets"),
        ("deformable_conv", {"kernel": 3}, [(4, 5, 5), (18, 3, 3), (18, 3, 3)], "guide-mismatch", "mask"),
        ("context_deformable_conv", {"kernel": 3}, [(4, 5, 5), (3, 3, 3)], "guide-mismatch", "sigma"),
        ("context_deformable_conv", {"kernel": 3}, [(4, 5, 5), (1, 5, 3)], "guide-mismatch", "sigma"),
        ("context_deformable_conv", {"kernel": 3}, [(4,), (1,)], "needs-map", None),
    ],
)
def test_what_does_not_fit(
    kind: str, arguments: dict[str, Any], inputs: list[tuple[int, ...]], problem: str, argument: str | None
) -> None:
    guide = "offsets" if kind == "deformable_conv" else "sigma"
    layer = make(kind, channels=6, **{guide: "a label"}, **arguments)
    with pytest.raises(Fault) as fault:
        layer.shape(*map(Shape, inputs))
    assert fault.value.problem.name == problem
    assert fault.value.argument == argument


def test_the_source_that_is_written() -> None:
    layer = make("deformable_conv", channels=8, kernel=3, offsets="o", padding=1, reach=2, groups=2)
    built, called = source(layer, Shape((4, 6, 6)), Shape((18, 6, 6)))
    assert built == (
        "DeformableConvolution(4, 8, kernel=(3, 3), padding=((1, 1), (1, 1)), groups=2, reach=2)"
    )
    assert called == "module(x0, x1)"


# ------------------------------------------------------------------------------ networks


NETWORK = """network Digits {
  input image: [1, 8, 8]
  conv(8, kernel=3, padding=1) -> batch_norm -> relu
  features: identity
  moves: conv(18, kernel=3, padding=1)
  strength: { from features -> conv(9, kernel=3, padding=1) -> sigmoid }
  from features -> deformable_conv(16, kernel=3, offsets=moves, mask=strength, padding=1, reach=2)
  batch_norm -> relu -> max_pool(2)
  middle: identity
  width: { conv(1, kernel=1) -> softplus }
  from middle -> context_deformable_conv(16, kernel=3, sigma=width, padding=1) -> relu
  flatten
  logits: linear(10)
}
train {
  data = digits
  loss = cross_entropy
  optimizer = adam(lr=0.005)
  batch = 50
  steps = 80
  measurements = 1
  metrics = [error]
}
"""


def test_a_network_of_them_learns(tmp_path: Path) -> None:
    (tmp_path / "digits.arch").write_text(NETWORK)
    done = CliRunner().invoke(
        command,
        ["train", str(tmp_path / "digits.arch"), "--out", str(tmp_path / "run")],
        standalone_mode=False,
    )
    assert done.return_value == 0, done.output
    with open(tmp_path / "run/metrics.csv", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["test_error"]) < 0.25


def test_its_source_runs_alone_and_can_be_traced() -> None:
    net = archdsl.loads(NETWORK)
    model = net.build().eval()
    x = torch.randn(3, 1, 8, 8)
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(net.source(), "digits.py", "exec", dont_inherit=True), names)
    alone = names["Digits"]().eval()
    alone.load_state_dict(model.state_dict())
    torch.testing.assert_close(alone(x), model(x))
    batch = torch.export.Dim("batch", min=2, max=64)
    traced = torch.export.export(model, (x,), dynamic_shapes=({0: batch},))
    other = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(traced.module()(other), model(other))


def test_further_values_are_told_apart_by_their_names() -> None:
    """Whichever stands first in the file."""
    text = NETWORK.replace("offsets=moves, mask=strength", "mask=strength, offsets=moves")
    assert text != NETWORK
    assert archdsl.loads(text).source() == archdsl.loads(NETWORK).source()
