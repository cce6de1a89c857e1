"""Harmonic convolutions: against complex sums written out, and by really turning images."""

from __future__ import annotations

import cmath
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from layer_harness import (
    Lowered,
    check_saved,
    check_weights,
    macs,
    make,
    read_positions,
    source,
    support,
)
from standalone import Standalone
from torch import Tensor

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers import LAYERS, Layer
from archdsl.layers.layer import Saved
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.layers.symmetry import SCALAR, Fibre, Motion
from archdsl.problems import Fault
from archdsl.sizes import substitute, symbol
from archdsl.training.trained import Trained


def as_complex(x: Tensor) -> Tensor:
    """Pairs of channels as complex numbers."""
    return torch.view_as_complex(x.unflatten(1, (-1, 2)).movedim(2, -1).contiguous())


def turned(x: Tensor, times: int = 1) -> Tensor:
    return torch.rot90(x, times, (-1, -2))


# ------------------------------------------------------------------------------ filters by their definition


def harmonic(kernel: int, order: int) -> np.ndarray:
    """exp(i order phi) on each ring: [rings, kernel, kernel], point by point, pixel by pixel."""
    count, radius, points = (kernel + 1) // 2, (kernel - 1) / 2, 4 * 8 * (kernel + 2)
    if order:
        radii = [radius * (j + 1) / count for j in range(count)]
    else:
        radii = [radius * j / (count - 1) for j in range(count)] if count > 1 else [0.0]
    made = np.zeros((count, kernel, kernel), complex)
    for j, point in itertools.product(range(count), range(points)):
        phi = 2 * math.pi * (point + 0.5) / points
        gauss = np.zeros((kernel, kernel))
        for row, column in itertools.product(range(kernel), repeat=2):
            right = column - radius - radii[j] * math.cos(phi)
            down = row - radius - radii[j] * math.sin(phi)
            gauss[row, column] = math.exp(-(right**2 + down**2) / (2 * 0.5**2))
        made[j] += gauss / gauss.sum() * cmath.exp(1j * order * phi) / points
    return made


@pytest.mark.parametrize(("kernel", "order"), [(2, 0), (2, 1), (3, 0), (3, -1), (3, 4), (4, 2), (5, 3)])
def test_rings_are_those_of_the_definition(kernel: int, order: int) -> None:
    names: dict[str, Any] = {"torch": torch, "nn": torch.nn}
    exec(LAYERS["harmonic_conv"].source, names)
    made = names["HarmonicConv2d"].rings(kernel, order)
    wanted = harmonic(kernel, order)
    torch.testing.assert_close(made[0].double(), torch.from_numpy(wanted.real), rtol=0, atol=2e-6)
    torch.testing.assert_close(made[1].double(), torch.from_numpy(wanted.imag), rtol=0, atol=2e-6)
    # A quarter turn is kept to the last bit.
    z = torch.complex(*made.double())
    assert torch.equal(turned(z) * torch.tensor([1, 1j, -1, -1j])[order % 4], z)


USES: list[tuple[dict[str, Any], tuple[int, int, int]]] = [
    ({"channels": 2, "kernel": 3}, (1, 5, 6)),
    ({"channels": 1, "kernel": 4, "orders": [2, -1], "stride": 2, "padding": 1}, (3, 6, 4)),
    ({"channels": 2, "kernel": 3, "orders": [1], "padding": 1}, (2, 4, 4)),
    ({"channels": 2, "kernel": 3, "orders": [0, 1, 2], "input_orders": [0, 1]}, (8, 4, 5)),
    ({"channels": 1, "kernel": 5, "orders": [1, 0], "input_orders": [-1], "padding": 2}, (4, 4, 4)),
    ({"channels": 1, "kernel": 2, "orders": [3], "input_orders": [0, 2, 3], "stride": [2, 1]}, (6, 4, 4)),
]
every_use = pytest.mark.parametrize(("given", "x"), USES, ids=lambda value: str(value))


def lowered(given: dict[str, Any], x: tuple[int, ...]) -> tuple[Layer, Lowered]:
    torch.manual_seed(0)
    layer = make("harmonic_conv", **given)
    return layer, Lowered(layer, Shape(x)).double()


@every_use
def test_values_are_those_of_the_complex_sum(given: dict[str, Any], x: tuple[int, int, int]) -> None:
    _, module = lowered(given, x)
    value = torch.randn(2, *x, dtype=torch.float64)
    padding = given.get("padding", 0)
    steps = given.get("stride", 1)
    down, right = steps if isinstance(steps, list) else (steps, steps)
    input_orders = given.get("input_orders")
    z = value.to(torch.complex128) if input_orders is None else as_complex(value)
    maps = np.pad(z.numpy(), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    before = input_orders or [0]
    maps = maps.reshape(2, len(before), -1, *maps.shape[2:])
    weight, phase = module.module.weight.detach().numpy(), module.module.phase.detach().numpy()
    kernel = given["kernel"]
    made = as_complex(module(value).detach()).numpy()
    orders = given.get("orders", [0, 1])
    made = made.reshape(2, len(orders), given["channels"], *made.shape[2:])
    rows, columns = made.shape[3:]
    wanted = np.zeros_like(made)
    for (i, n), (j, p) in itertools.product(enumerate(orders), enumerate(before)):
        rings = harmonic(kernel, n - p)
        for c, a in itertools.product(range(given["channels"]), range(maps.shape[2])):
            taps = np.tensordot(weight[i, c, j, a], rings, 1) * cmath.exp(1j * phase[i, c, j, a])
            for row, column in itertools.product(range(rows), range(columns)):
                r, s = row * down, column * right
                patch = maps[:, j, a, r : r + kernel, s : s + kernel]
                wanted[:, i, c, row, column] += (patch * taps).sum((1, 2))
    np.testing.assert_allclose(made, wanted, atol=2e-5)


@every_use
def test_costs_and_what_is_kept(given: dict[str, Any], x: tuple[int, int, int]) -> None:
    layer, module = lowered(given, x)
    shape = Shape(x)
    y = layer.shape(shape)
    check_weights(layer, module.module, shape)
    assert y.channels == 2 * given["channels"] * len(given.get("orders", [0, 1]))
    assert layer.macs(shape) == macs(module, torch.zeros(1, *x, dtype=torch.float64))
    assert layer.macs(shape) == y.count * x[0] * given["kernel"] ** 2
    assert layer.flops(shape) == 2 * layer.macs(shape)
    check_saved(layer, module, torch.rand(3, *x))


@every_use
def test_which_units_are_read(given: dict[str, Any], x: tuple[int, int, int]) -> None:
    layer, module = lowered(given, x)
    y = layer.shape(Shape(x))
    (reads,) = layer.reads(Shape(x))
    found, said = support(module, Shape(x)), read_positions(reads, x[1:], y.size, "zeros")
    if reads[0].at_most:
        assert not (found & ~said).any() and (said & ~found).any()
    else:
        assert torch.equal(found, said)


def test_only_a_filter_without_a_centre_reads_less() -> None:
    x = Shape((2, 6, 6))

    def bound(**given: Any) -> bool:
        return bool(make("harmonic_conv", channels=1, **given).reads(x)[0][0].at_most)

    assert bound(kernel=3, orders=[1, 2])
    assert not bound(kernel=4, orders=[1, 2])
    assert not bound(kernel=3, orders=[1, 0])
    assert not bound(kernel=3, orders=[1], input_orders=[1])


def test_weights_by_hand() -> None:
    layer = make("harmonic_conv", channels=5, kernel=4, orders=[0, 1, 2], input_orders=[0, 1])
    x = Shape((12, 9, 9))
    assert layer.weights(x) == {"weight": Shape((3, 5, 2, 3, 2)), "phase": Shape((3, 5, 2, 3))}
    assert layer.buffers(x)["basis"].shape == (2, 3, 2, 2, 4, 4)
    assert layer.saved(x) == Saved(inputs=(0,), floats_once=30 * 12 * 16 + 2 * 90)
    assert source(layer, x)[0] == "HarmonicConv2d(3, 5, 4, (0, 1, 2), input_orders=(0, 1))"


def test_filters_start_with_the_norm_1_together() -> None:
    torch.manual_seed(0)
    layer = make("harmonic_conv", channels=200, kernel=5, input_orders=[0, 1])
    filters = Lowered(layer, Shape((32, 12, 12))).module.filters().detach()
    norms = filters.square().sum((1, 2, 3)).unflatten(0, (2, -1)).mean(1)
    assert norms.tolist() == pytest.approx([1, 1], rel=0.1)


def test_padding_that_differs_from_side_to_side() -> None:
    uneven = make("harmonic_conv", channels=1, kernel=3, padding=[[2, 0], [1, 1]])
    assert source(uneven, Shape((1, 5, 5))) == (
        "HarmonicConv2d(1, 1, 3, (0, 1))",
        "module(F.pad(x0, (1, 1, 2, 0)))",
    )
    even = make("harmonic_conv", channels=1, kernel=3, padding=1, stride=2)
    assert source(even, Shape((1, 5, 5)))[0] == "HarmonicConv2d(1, 1, 3, (0, 1), stride=2, padding=1)"


# ------------------------------------------------------------------------------ magnitudes

SIZES = [(), (5,), (4, 3), (2, 4, 3)]


def values(size: tuple[int, ...], batch: int = 4) -> tuple[Shape, Tensor, np.ndarray]:
    torch.manual_seed(0)
    x = Shape((6, *size))
    value = torch.randn(batch, *x, dtype=torch.float64)
    array = value.numpy()
    return x, value, array[:, 0::2] + 1j * array[:, 1::2]


def pairs_of(z: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([z.real, z.imag], 2).reshape(len(z), -1, *z.shape[2:]))


@pytest.mark.parametrize("size", SIZES)
def test_relu_of_magnitudes(size: tuple[int, ...]) -> None:
    x, value, z = values(size)
    layer = make("harmonic_relu", eps=0.01)
    module = Lowered(layer, x).double()
    check_weights(layer, module.module, x)
    assert layer.weights(x) == {"bias": (3,)}
    bias = np.array([0.3, -0.5, -1.2])
    torch.testing.assert_close(module(value), value)
    module.module.bias.data = torch.from_numpy(bias)
    size_of = np.sqrt(abs(z) ** 2 + 0.01)
    left = np.maximum(size_of + bias.reshape(-1, *(1 for _ in size)), 0)
    torch.testing.assert_close(module(value), pairs_of(left * z / size_of))
    assert layer.shape(x) == x and layer.macs(x) == 0 and layer.flops(x) == 10 * z[0].size
    assert layer.reads(x) == (Reach.POINT,) and not layer.buffers(x)
    check_saved(layer, module, value)


@pytest.mark.parametrize("size", SIZES)
def test_norm_of_magnitudes(size: tuple[int, ...]) -> None:
    x, value, z = values(size)
    layer = make("harmonic_norm", eps=0.01, momentum=0.2)
    module = Lowered(layer, x).double()
    check_weights(layer, module.module, x)
    weight, bias = np.array([1.5, -0.7, 0.9]), np.array([0.4, 0.2, -0.1])
    module.module.weight.data, module.module.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    beside = (-1, *(1 for _ in size))
    over = (0, *range(2, z.ndim))
    size_of = np.sqrt(abs(z) ** 2 + 0.01)
    mean, variance = size_of.mean(over), size_of.var(over)

    def normalised(mean: np.ndarray, variance: np.ndarray) -> Tensor:
        made = (size_of - mean.reshape(beside)) / np.sqrt(variance + 0.01).reshape(beside)
        left = np.maximum(made * weight.reshape(beside) + bias.reshape(beside), 0)
        return pairs_of(left * z / size_of)

    torch.testing.assert_close(module(value), normalised(mean, variance))
    count = size_of[:, 0].size
    module.eval()
    running = normalised(0.2 * mean, 0.8 + 0.2 * variance * count / (count - 1))
    torch.testing.assert_close(module(value), running)
    assert layer.shape(x) == x and layer.macs(x) == 0 and layer.flops(x) == 11 * z[0].size
    assert layer.reads(x) == (Reach.POINT,)
    check_saved(layer, module.train(), value)
    assert not make("harmonic_norm", affine=False).weights(x)


@pytest.mark.parametrize("size", SIZES)
def test_magnitudes(size: tuple[int, ...]) -> None:
    x, value, z = values(size)
    layer = make("magnitude")
    module = Lowered(layer, x)
    torch.testing.assert_close(module(value), torch.from_numpy(abs(z)))
    assert layer.shape(x) == (3, *size) and layer.macs(x) == 0 and layer.flops(x) == 4 * z[0].size
    assert layer.reads(x) == (Reach.POINT,) and not layer.weights(x) and not layer.buffers(x)
    check_saved(layer, module, value)


@pytest.mark.parametrize("kind", ["harmonic_relu", "harmonic_norm", "magnitude"])
def test_gradients_are_finite_at_0(kind: str) -> None:
    """A picture's empty border makes maps of exactly 0."""
    layer = make(kind)
    module = Lowered(layer, Shape((4, 3, 3)))
    value = torch.zeros(2, 4, 3, 3)
    value[0, :, 1, 1] = 1
    value.requires_grad_()
    module(value).sum().backward()
    assert value.grad is not None and torch.isfinite(value.grad).all()
    assert value.grad.abs().max() < 1e3


# ------------------------------------------------------------------------------ turns

NETWORK: list[tuple[str, dict[str, Any]]] = [
    ("harmonic_conv", {"channels": 3, "kernel": 5, "orders": [0, 1, -2], "padding": 1}),
    ("harmonic_norm", {}),
    (
        "harmonic_conv",
        {"channels": 2, "kernel": 4, "orders": [1, 0], "input_orders": [0, 1, -2], "padding": 2, "stride": 2},
    ),
    ("harmonic_relu", {}),
    ("harmonic_conv", {"channels": 2, "kernel": 3, "orders": [0, 3, 1], "input_orders": [1, 0]}),
]


def stack(x: tuple[int, ...], uses: list[tuple[str, dict[str, Any]]]) -> tuple[list[Lowered], Fibre]:
    """The modules, and the fibre that the rules give."""
    torch.manual_seed(1)
    made = []
    shape, fibre = Shape(x), SCALAR
    for kind, given in uses:
        layer = make(kind, **given)
        made.append(Lowered(layer, shape).double())
        answer = layer.answers(Motion.ROTATION, (fibre,), shape)
        assert answer is not None
        shape, fibre = layer.shape(shape), answer
        if kind in ("harmonic_relu", "harmonic_norm"):
            torch.nn.init.normal_(made[-1].module.bias)
    return made, fibre


def through(modules: list[Lowered], x: Tensor) -> Tensor:
    with torch.no_grad():
        for module in modules:
            x = module(x)
    return x


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(10, 10), (8, 12)])
def test_a_stack_answers_as_its_fibre_says(train: bool, size: tuple[int, int]) -> None:
    modules, fibre = stack((2, *size), NETWORK)
    assert fibre == Fibre("harmonic", orders=(0, 0, 3, 3, 1, 1))
    for module in modules:
        module.train(train)
    value = torch.randn(2, 2, *size, dtype=torch.float64)
    plain = as_complex(through(modules, value))
    for times in (1, 2, 3):
        units = torch.tensor([1j ** (order * times) for order in fibre.orders], dtype=torch.complex128)
        made = as_complex(through(modules, turned(value, times)))
        torch.testing.assert_close(
            made, turned(plain, times) * units.reshape(-1, 1, 1), rtol=1e-10, atol=1e-10
        )
        assert not torch.allclose(made, turned(plain, times))


def test_magnitudes_only_turn() -> None:
    modules, fibre = stack((2, 9, 9), [NETWORK[0], NETWORK[1], ("magnitude", {})])
    assert fibre == SCALAR
    value = torch.randn(1, 2, 9, 9, dtype=torch.float64)
    plain = through(modules, value)
    torch.testing.assert_close(through(modules, turned(value)), turned(plain), rtol=1e-10, atol=1e-10)


def test_a_turn_by_an_eighth_is_kept_about() -> None:
    """A smooth picture, drawn anew at 45 degrees: at its centre a map of order m turns by m eighths."""
    layer = make("harmonic_conv", channels=2, kernel=9, orders=[0, 1, 2])
    torch.manual_seed(0)
    module = Lowered(layer, Shape((1, 9, 9))).double()
    down, right = torch.meshgrid(*[torch.arange(9, dtype=torch.float64) - 4] * 2, indexing="ij")

    def drawn(angle: float) -> Tensor:
        cos, sin = math.cos(angle), math.sin(angle)
        x, y = cos * right + sin * down, cos * down - sin * right
        return (
            torch.exp(-((x - 1.5) ** 2 + (y / 2 - 0.3) ** 2) / 4) + 0.3 * torch.exp(-((x + 2) ** 2) / 3)
        ).expand(1, 1, 9, 9)

    angle = math.pi / 4
    plain, made = (as_complex(module(drawn(a)).detach()).flatten() for a in (0.0, angle))
    orders = [0, 0, 1, 1, 2, 2]
    wanted = plain * torch.tensor([cmath.exp(1j * m * angle) for m in orders], dtype=torch.complex128)
    assert ((made - wanted).abs() < 0.02 * plain.abs().max()).all()
    assert ((made - plain).abs()[2:] > 0.1 * plain.abs()[2:]).all()


def test_answers() -> None:
    x, y = Shape((2, 9, 9)), Shape((8, 7, 7))
    about = SCALAR._replace(exact=False)
    lifting = make("harmonic_conv", channels=2, kernel=3)
    inner = make("harmonic_conv", channels=1, kernel=3, orders=[2], input_orders=[0, 1])
    made = Fibre("harmonic", orders=(0, 0, 1, 1))
    assert lifting.answers(Motion.ROTATION, (SCALAR,), x) == made
    assert lifting.answers(Motion.ROTATION, (about,), x) == made._replace(exact=False)
    assert lifting.answers(Motion.ROTATION, (made,), x) is None
    assert inner.answers(Motion.ROTATION, (made,), y) == Fibre("harmonic", orders=(2,))
    for wrong in (Fibre("harmonic", orders=(1, 1, 0, 0)), SCALAR, Fibre("regular", 4)):
        assert inner.answers(Motion.ROTATION, (wrong,), y) is None
    # Pairs of order 0 are pictures, which nothing but their places turns.
    pictures = make("harmonic_conv", channels=1, kernel=3, orders=[2], input_orders=[0])
    assert pictures.answers(Motion.ROTATION, (SCALAR,), y) == Fibre("harmonic", orders=(2,))
    for motion in (Motion.REFLECTION, Motion.SCALE):
        assert lifting.answers(motion, (SCALAR,), x) is None
        assert make("magnitude").answers(motion, (SCALAR,), y) == SCALAR
    for kind in ("harmonic_relu", "harmonic_norm"):
        assert make(kind).answers(Motion.ROTATION, (made,), y) == made
        assert make(kind).answers(Motion.ROTATION, (Fibre("regular", 4),), y) is None
    assert make("magnitude").answers(Motion.ROTATION, (made,), y) == SCALAR
    assert make("magnitude").answers(Motion.ROTATION, (made._replace(exact=False),), y) == about
    assert make("magnitude").answers(Motion.ROTATION, (Fibre("regular", 4),), y) is None


# ------------------------------------------------------------------------------ open sizes, faults


@every_use
def test_symbolic_sizes_agree_with_numbers(given: dict[str, Any], x: tuple[int, int, int]) -> None:
    layer = make("harmonic_conv", **given)
    run = 2 * len(given["input_orders"]) if "input_orders" in given else 1
    open_, closed = Shape((run * symbol("C"), symbol("H"), symbol("W"))), Shape(x)
    numbers = {"C": x[0] // run, "H": x[1], "W": x[2]}
    assert tuple(substitute(size, numbers) for size in layer.shape(open_)) == layer.shape(closed)
    for rule in ("macs", "flops"):
        assert substitute(getattr(layer, rule)(open_), numbers) == getattr(layer, rule)(closed)
    assert substitute(layer.saved(open_).floats_once, numbers) == layer.saved(closed).floats_once
    for name, weight in layer.weights(open_).items():
        assert tuple(substitute(size, numbers) for size in weight) == layer.weights(closed)[name]
    assert layer.reads(open_) == layer.reads(closed)


def test_doubts() -> None:
    def messages(kind: str, *x: Any, **given: Any) -> list[str]:
        return [doubt.message() for doubt in make(kind, **given).doubts(Shape(x))]

    c, h = symbol("C"), symbol("H")
    assert messages("harmonic_conv", c, h, 9, channels=2, kernel=3) == [
        "`harmonic_conv` fits only where H >= 3"
    ]
    assert messages("harmonic_conv", c, 9, 9, channels=2, kernel=3, input_orders=[0, 1]) == [
        "`harmonic_conv` may not fit: whether 4 divides C depends on C"
    ]
    for kind in ("harmonic_relu", "harmonic_norm", "magnitude"):
        assert messages(kind, c, 9, 9) == [f"`{kind}` may not fit: whether 2 divides C depends on C"]
        assert messages(kind, 2 * c, 9, 9) == []


@pytest.mark.parametrize(
    ("kind", "given", "x", "name", "message"),
    [
        ("harmonic_conv", {"channels": 2, "kernel": 3}, (4,), "needs-map", "works along spatial axes"),
        ("harmonic_conv", {"channels": 2, "kernel": 3}, (4, 9), "needs-plane", "has 1 spatial axis"),
        ("harmonic_conv", {"channels": 2, "kernel": 7}, (4, 5, 9), "window-outside-input", "a kernel of 7"),
        (
            "harmonic_conv",
            {"channels": 2, "kernel": 3, "input_orders": [0, 1]},
            (6, 9, 9),
            "broken-runs",
            "takes runs of 4 channels, a real and an imaginary part of each of 2 orders, and [6, 9, 9] has 6",
        ),
        (
            "harmonic_conv",
            {"channels": 2, "kernel": 3, "input_orders": [1]},
            (3, 9, 9),
            "broken-runs",
            "takes runs of 2 channels, a real and an imaginary part of 1 order",
        ),
        ("harmonic_relu", {}, (3, 9), "broken-runs", "`harmonic_relu` takes runs of 2 channels"),
        ("harmonic_norm", {}, (3, 9, 9), "broken-runs", "`harmonic_norm` takes runs of 2 channels"),
        ("magnitude", {}, (5,), "broken-runs", "a real and an imaginary part, and [5] has 5"),
    ],
)
def test_faults(kind: str, given: dict[str, Any], x: tuple[int, ...], name: str, message: str) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **given).shape(Shape(x))
    assert caught.value.problem.name == name
    assert message in caught.value.problem.message()


@pytest.mark.parametrize("orders", [(), (0, 0), (17,), (0.5,), (True,), 1])
def test_orders_that_are_refused(orders: Any) -> None:
    assert LAYERS["harmonic_conv"].arguments["orders"].kind.check(orders) is None


def test_kernels_that_are_refused() -> None:
    check = LAYERS["harmonic_conv"].arguments["kernel"].kind.check
    assert [check(size) for size in (1, 0, 2.5, True, (3, 3))] == [None] * 5
    assert check(2) == 2 and check(symbol("K")) == symbol("K")


# ------------------------------------------------------------------------------ whole networks

HARMONIC = """\
## A harmonic network for digits: complex maps of orders 0 and 1, whose magnitudes stay the same when a
## picture is turned.
network HarmonicDigits(classes = 10, width = 6) {
  input image: [1, 8, 8]

  harmonic_conv(width, kernel=3) -> harmonic_norm
  harmonic_conv(width, kernel=3, input_orders=[0, 1]) -> harmonic_norm
  harmonic_conv(2 * width, kernel=4, input_orders=[0, 1]) -> harmonic_norm
  magnitude -> flatten
  logits: linear(classes)

  expect parameters == 12 * 3 + 24 + 12 * 12 * 3 + 24 + 24 * 12 * 3 + 48 + 24 * 10 + 10
}

train {
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.02)
  batch        = 50
  steps        = 90
  measurements = 1
  metrics      = [error]
}
"""


@pytest.fixture(scope="module")
def network() -> Any:
    return archdsl.loads(HARMONIC)


def test_logits_do_not_change_with_turns(network: Any) -> None:
    torch.manual_seed(0)
    model = network.build().double().eval()
    value = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    plain = model(value)
    for times in range(4):
        torch.testing.assert_close(model(turned(value, times)), plain, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(model(value.flip(-1)), plain, atol=1e-4)


def test_exported_source_runs_alone_and_exports(network: Any, worker: Standalone) -> None:
    torch.manual_seed(0)
    model = network.build().eval()
    value = torch.rand(2, 1, 8, 8)
    ran = worker.run(network.source(), model.state_dict(), [value])
    torch.testing.assert_close(ran["results"], model(value).detach())
    program = torch.export.export(model, (value,))
    torch.testing.assert_close(program.module()(value), model(value))


def test_it_learns_digits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "digits.arch").write_text(HARMONIC)
    given = ["train", str(tmp_path / "digits.arch"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, given, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.4
