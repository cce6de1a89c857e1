"""Kernels and strides whose extent is learned, against loops over taps and sums over frequencies."""

from __future__ import annotations

import csv
import itertools
import math
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
from archdsl.layers import LAYERS, Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach, Stencil
from archdsl.problems import Fault
from archdsl.sizes import Size, substitute, symbol

Array = np.ndarray[Any, Any]


# ------------------------------------------------------------------------------ njet_conv


def derivative(n: int, u: float) -> float:
    """sigma^n times the n-th derivative of a Gaussian, by the Gaussian, at u deviations; by hand up to 4."""
    return (
        1,
        -u,
        u**2 - 1,
        -(u**3) + 3 * u,
        u**4 - 6 * u**2 + 3,
    )[n]


def jets(axes: int, reach: int, order: int, sigma: float, truncate: float) -> list[Array]:
    """The kernels of all derivatives, in the order of their orders along the axes."""
    furthest = min(reach, math.ceil(truncate * sigma + 0.5))
    taps = range(-reach, reach + 1)
    weights = [math.exp(-(t**2) / (2 * sigma**2)) if abs(t) <= furthest else 0 for t in taps]
    total = sum(weights)
    found = []
    for orders in itertools.product(range(order + 1), repeat=axes):
        if sum(orders) > order:
            continue
        kernel = np.zeros((len(taps),) * axes)
        for place in itertools.product(range(len(taps)), repeat=axes):
            value = 1.0
            for n, i in zip(orders, place, strict=True):
                value *= weights[i] / total * derivative(n, taps[i] / sigma)
            kernel[place] = value
        found.append(kernel)
    return found


def convolved(
    x: Array, kernel: Array, bias: Array | None, stride: list[int], before: list[int], size: tuple[int, ...]
) -> Array:
    """A convolution with zeros around the map, position by position."""
    groups = x.shape[1] // kernel.shape[1]
    y = np.zeros((len(x), len(kernel), *size))
    for n, c, i in itertools.product(range(len(x)), range(len(kernel)), itertools.product(*map(range, size))):
        total = 0.0 if bias is None else float(bias[c])
        first = c // (len(kernel) // groups) * kernel.shape[1]
        for a, t in itertools.product(
            range(kernel.shape[1]), itertools.product(*map(range, kernel.shape[2:]))
        ):
            place = tuple(j * s - b + o for j, s, b, o in zip(i, stride, before, t, strict=True))
            if all(0 <= p < e for p, e in zip(place, x.shape[2:], strict=True)):
                total += kernel[(c, a, *t)] * x[(n, first + a, *place)]
        y[(n, c, *i)] = total
    return y


# The arguments, the input, the output's extents, what is added before each axis, and the FLOPs by hand.
JETS = [
    ({"channels": 3, "reach": 4}, (2, 9), (9,), [4], 2 * 27 * 2 * 9 + 27),
    (
        {"channels": 2, "reach": 2, "order": 4, "sigma": 3, "stride": 2, "padding": 1, "bias": False},
        (2, 8),
        (3,),
        [1],
        2 * 6 * 2 * 5,
    ),
    (
        {"channels": 4, "reach": 2, "sigma": 0.4, "groups": 2},
        (4, 5, 6),
        (5, 6),
        [2, 2],
        2 * 120 * 2 * 25 + 120,
    ),
    (
        {"channels": 2, "reach": 3, "order": 2, "truncate": 1, "stride": [2, 3]},
        (1, 6, 7),
        (3, 3),
        [2, 3],
        2 * 18 * 49 + 18,
    ),
    ({"channels": 2, "reach": 1, "order": 0, "padding": 0}, (1, 3, 4), (1, 2), [0, 0], 2 * 4 * 9 + 4),
    (
        {"channels": 2, "reach": 1, "order": 2, "padding": [[1, 0], [0, 2], [1, 1]]},
        (2, 3, 4, 2),
        (2, 4, 2),
        [1, 0, 1],
        2 * 32 * 2 * 27 + 32,
    ),
    ({"channels": 2, "reach": 1, "order": 0}, (2, 3, 2, 2), (3, 2, 2), [1, 1, 1], 2 * 24 * 2 * 27 + 24),
]
EVERY_JET = pytest.mark.parametrize(("given", "shape", "size", "before", "flops"), JETS, ids=str)


@EVERY_JET
def test_an_njet_kernel_is_a_sum_of_derivatives(
    given: dict[str, Any], shape: tuple[int, ...], size: tuple[int, ...], before: list[int], flops: int
) -> None:
    torch.manual_seed(2)
    layer, x = make("njet_conv", **given), Shape(shape)
    lowered = Lowered(layer, x).double()
    module = lowered.module
    assert module is not None
    if module.bias is not None:
        assert module.bias.abs().max() == 0
        torch.nn.init.normal_(module.bias)
    sigma = given.get("sigma", 1)
    np.testing.assert_allclose(module.scale.detach().numpy(), [math.log2(sigma)], atol=1e-6)
    # As learned, not as it started.
    module.scale.data += 0.3
    sigma = 2.0 ** module.scale.item()
    basis = jets(x.axes, given["reach"], given.get("order", 3), sigma, given.get("truncate", 2))
    weight = module.weight.detach().numpy()
    assert weight.shape[2] == len(basis)
    kernel = np.zeros((*weight.shape[:2], *basis[0].shape))
    for i, jet in enumerate(basis):
        kernel += weight[:, :, i].reshape(*weight.shape[:2], *(1,) * x.axes) * jet
    values = torch.randn(2, *shape, dtype=torch.float64)
    strides = given.get("stride", 1)
    strides = strides if isinstance(strides, list) else [strides] * x.axes
    bias = None if module.bias is None else module.bias.detach().numpy()
    y = lowered(values)
    assert layer.shape(x) == (given["channels"], *size) == y.shape[1:]
    expected = convolved(values.numpy(), kernel, bias, strides, before, size)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)


@EVERY_JET
def test_njet_rules(
    given: dict[str, Any], shape: tuple[int, ...], size: tuple[int, ...], before: list[int], flops: int
) -> None:
    layer, x = make("njet_conv", **given), Shape(shape)
    lowered = Lowered(layer, x)
    values = torch.randn(2, *shape)
    check_weights(layer, lowered.module, x)
    assert 2 * layer.macs(x) == macs(lowered, values)
    assert layer.flops(x) == flops
    check_saved(layer, lowered, values)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_an_njet_is_the_derivative_of_a_blurred_signal(axes: int) -> None:
    """Of a polynomial along the last axis, away from the border, the derivatives are known."""
    layer = make("njet_conv", channels=1, reach=12, sigma=2, truncate=6, padding=0, bias=False)
    x = Shape((1, *(25,) * (axes - 1), 31))
    module = Lowered(layer, x).double().module
    assert module is not None
    orders = [n for n in itertools.product(range(4), repeat=axes) if sum(n) <= 3]
    t = torch.arange(31, dtype=torch.float64)
    signal = 0.3 * t**2 - 2 * t + 1
    map_ = signal.expand(1, *x)
    slope = orders.index((*(0,) * (axes - 1), 1))
    bend = orders.index((*(0,) * (axes - 1), 2))
    for index, wanted in (
        (slope, -2 * (0.6 * t - 2)),
        (bend, 4 * torch.full_like(t, 0.6)),
        (0, signal + 1.2),
    ):
        torch.nn.init.zeros_(module.weight)
        module.weight.data[0, 0, index] = 1
        # A correlation turns round odd derivatives; a Gaussian of deviation 2 adds 0.3 * 4 to the square.
        sign = 1 if index != slope else -1
        found = module(map_).detach().flatten()[-7:]
        torch.testing.assert_close(
            found, sign * -wanted[12:19] if index == slope else wanted[12:19], atol=2e-4, rtol=0
        )


def test_the_scale_of_an_njet_learns_the_size_of_a_blur() -> None:
    """Gradients reach sigma, and lead it to where the data were made."""
    torch.manual_seed(0)
    layer, x = make("njet_conv", channels=1, reach=8, order=0, bias=False, truncate=3), Shape((1, 40))
    module = Lowered(layer, x).double().module
    assert module is not None
    torch.nn.init.ones_(module.weight)
    t = torch.arange(-8, 9, dtype=torch.float64)
    blur = torch.exp(-(t**2) / (2 * 2.5**2))
    signal = torch.randn(16, 1, 40, dtype=torch.float64)
    wanted = F.conv1d(signal, (blur / blur.sum()).view(1, 1, -1), padding=8)
    optimizer = torch.optim.SGD([module.scale], lr=10)
    for _ in range(80):
        optimizer.zero_grad()
        (module(signal) - wanted).square().mean().backward()
        optimizer.step()
    assert 2.0 ** module.scale.item() == pytest.approx(2.5, abs=0.1)


def test_gradients_of_an_njet() -> None:
    layer, x = make("njet_conv", channels=2, reach=2, sigma=1.3), Shape((2, 4, 4))
    lowered = Lowered(layer, x).double()
    module = lowered.module
    assert module is not None

    def called(given: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        own = {"weight": weight, "scale": scale}
        return torch.func.functional_call(module, own, (given,))

    given = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(called, (given, module.weight, module.scale), fast_mode=True)


@pytest.mark.parametrize(("sigma", "radius"), [(0.5, 2), (1, 3), (1.7, 4), (40, 4)])
def test_an_njet_reads_as_far_as_its_scale_and_never_past_its_reach(sigma: float, radius: int) -> None:
    layer = make("njet_conv", channels=2, reach=4, stride=2, sigma=sigma)
    x = Shape((2, 13))
    reads = layer.reads(x)
    assert isinstance(reads[0], tuple)
    (bound,) = reads[0]
    assert bound == Stencil(2, 1, (range(-4, 5),), at_most=True)
    found = support(Lowered(layer, x).double(), x)
    narrower = (Stencil(2, 1, (range(-radius, radius + 1),)),)
    assert torch.equal(found, read_positions(narrower, (13,), (7,), "zeros"))
    assert not (found & ~read_positions(reads[0], (13,), (7,), "zeros")).any()


def test_moving_what_an_njet_reads_moves_what_it_gives() -> None:
    net = archdsl.loads(
        "network N {\n input x: [1, 24, 22]\n njet_conv(3, reach=3, stride=2, padding=3) -> relu\n}"
    )
    layer = net.report().to_dict()["layers"][-1]
    assert layer["equivariance"]["translation"] == "equivariant"
    assert layer["equivariance"]["shift"] == [2, 2]
    assert layer["receptive_field"]["size"] == [7, 7]
    border = layer["equivariance"]["border"][0]
    assert border < 4
    model = net.build().double()
    x = torch.randn(1, 1, 24, 22, dtype=torch.float64)
    with torch.no_grad():
        y, moved = model(x), model(x.roll(4, 2))
    torch.testing.assert_close(moved[:, :, border + 2 : 12 - border], y[:, :, border : 10 - border])


def test_an_njet_of_open_sizes() -> None:
    h, c = symbol("H"), symbol("C")
    layer = make("njet_conv", channels=4, reach=2, stride=2)
    x = Shape((c, h, 9))
    assert layer.shape(x) == (4, (h + 1) // 2, 5)
    assert [problem.name for problem in layer.doubts(x)] == ["reads-depend-on-size"]
    assert not layer.doubts(Shape((c, 9, 9)))
    numbers: dict[str, int] = {"H": 7, "C": 3}
    known = Shape((3, 7, 9))
    for rule in ("macs", "flops"):
        assert substitute(getattr(layer, rule)(x), numbers) == getattr(layer, rule)(known)
    assert substitute(layer.weights(x)["weight"].count, numbers) == 4 * 3 * 10
    open_ = make("njet_conv", channels=4, reach=symbol("R"), order=symbol("N"))
    (reads,) = open_.reads(Shape((1, 9, 9)))
    assert reads is Reach.UNTOLD
    assert substitute(open_.weights(Shape((1, 9, 9, 9)))["weight"].count, {"N": 3}) == 4 * 20
    # One module for every extent.
    lowered = Lowered(layer, Shape((2, h, 6))).double()
    for height in (5, 6):
        values = torch.randn(2, 2, height, 6).double()
        fixed = Lowered(layer, Shape((2, height, 6))).double()
        fixed.load_state_dict(lowered.state_dict())
        torch.testing.assert_close(lowered(values), fixed(values))


# ------------------------------------------------------------------------------ diff_stride


def window(f: int, n: int, stride: float, smoothness: float) -> float:
    return min(max((n / (2 * stride) + smoothness - f) / smoothness, 0), 1)


def resampled(x: Array, m: int, stride: float, smoothness: float) -> Array:
    """The last axis as m samples, by sums over frequencies of both signs."""
    n = x.shape[-1]
    y = np.zeros((*x.shape[:-1], m), dtype=complex)
    for f in range(-(n // 2), (n + 1) // 2):
        if m < n and 2 * abs(f) >= m:
            continue
        transform = sum(x[..., k] * np.exp(-2j * np.pi * f * k / n) for k in range(n)) / n
        for j in range(m):
            y[..., j] += window(abs(f), n, stride, smoothness) * transform * np.exp(2j * np.pi * f * j / m)
    if m == n and n % 2 == 0:
        return y.real
    np.testing.assert_allclose(y.imag, 0, atol=1e-12)
    return y.real


# The arguments, the input, the output's extents, and the strides that are tried.
STRIDES = [
    ({"stride": 2, "smoothness": 1}, (3, 16), (10,), [(2.0,), (3.3,), (9.0,), (0.5,)]),
    ({"stride": 2.5}, (2, 40), (24,), [(2.5,), (7.5,)]),
    ({"stride": 1}, (1, 12), (12,), [(1.0,), (1.5,), (2.4,)]),
    ({"stride": 1}, (1, 11), (11,), [(1.0,), (2.0,)]),
    ({"stride": [2, 1.5], "smoothness": 1.5}, (2, 9, 12), (7, 11), [(2.0, 1.5), (2.6, 3.1)]),
    ({"stride": 3, "smoothness": 0.5}, (1, 6, 1, 5), (3, 1, 2), [(3.0, 3.0, 3.0), (4.0, 3.5, 3.2)]),
]
EVERY_STRIDE = pytest.mark.parametrize(("given", "shape", "size", "tried"), STRIDES, ids=str)


@EVERY_STRIDE
def test_a_learned_stride_keeps_the_frequencies_of_its_window(
    given: dict[str, Any], shape: tuple[int, ...], size: tuple[int, ...], tried: list[tuple[float, ...]]
) -> None:
    layer, x = make("diff_stride", **given), Shape(shape)
    assert layer.shape(x) == (shape[0], *size)
    lowered = Lowered(layer, x).double()
    module = lowered.module
    assert module is not None
    least = module.stride.detach().clone()
    assert tuple(least.tolist()) == tried[0]
    smoothness = given.get("smoothness", 4)
    values = torch.randn(2, *shape, dtype=torch.float64)
    for strides in tried:
        module.stride.data = torch.tensor(strides, dtype=torch.float64)
        wanted = values.numpy()
        for axis, (n, m) in enumerate(zip(shape[1:], size, strict=True)):
            s = max(strides[axis], float(least[axis]), n / max(n - smoothness, 1))
            s = min(s, n / 2)
            wanted = np.moveaxis(resampled(np.moveaxis(wanted, axis + 2, -1), m, s, smoothness), -1, axis + 2)
        found = lowered(values)
        assert found.shape == (2, shape[0], *size)
        np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-12)
    ones = torch.ones(1, *shape, dtype=torch.float64)
    torch.testing.assert_close(lowered(ones), torch.ones(1, shape[0], *size, dtype=torch.float64))


@EVERY_STRIDE
def test_rules_of_a_learned_stride(
    given: dict[str, Any], shape: tuple[int, ...], size: tuple[int, ...], tried: list[tuple[float, ...]]
) -> None:
    layer, x = make("diff_stride", **given), Shape(shape)
    lowered = Lowered(layer, x)
    values = torch.randn(2, *shape)
    check_weights(layer, lowered.module, x)
    assert layer.macs(x) == macs(lowered, values) == 0
    check_saved(layer, lowered, values)


def test_flops_of_a_learned_stride() -> None:
    layer = make("diff_stride", stride=2, smoothness=1)
    # 3 lines: 16 samples in 4 halvings, 10 of at most 16 in 4, and the frequencies 0 to 5.
    assert layer.flops(Shape((3, 16))) == 3 * (5 * 16 * 4 // 2 + 5 * 10 * 4 // 2 + 2 * 6)
    # First 12 columns of height 8, then the 6 rows of what that made.
    columns = 12 * (5 * 8 * 3 // 2 + 5 * 6 * 3 // 2 + 2 * 4)
    rows = 6 * (5 * 12 * 4 // 2 + 5 * 8 * 3 // 2 + 2 * 5)
    assert layer.flops(Shape((1, 8, 12))) == columns + rows
    open_ = layer.flops(Shape((3, symbol("H"))))
    assert substitute(open_, {"H": 16}) == 3 * (4 * 16 * 6 + 4 * 10 * 6 + 2 * 6)


def test_gradients_reach_the_stride() -> None:
    layer, x = make("diff_stride", stride=[2, 1.5], smoothness=2), Shape((2, 8, 9))
    lowered = Lowered(layer, x).double()
    module = lowered.module
    assert module is not None
    module.stride.data += torch.tensor([0.37, 0.21])

    def called(given: Tensor, stride: Tensor) -> Tensor:
        return torch.func.functional_call(module, {"stride": stride}, (given,))

    given = torch.randn(1, *x, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(called, (given, module.stride), fast_mode=True)
    # A parameter that has fallen below the least stride is not stuck there.
    module.stride.data = torch.tensor([0.1, 0.1], dtype=torch.float64)
    lowered(given).square().sum().backward()
    assert module.stride.grad is not None and module.stride.grad.abs().min() > 0


@pytest.mark.parametrize(("n", "m", "shift", "units"), [(16, 10, 8, 5), (12, 8, 3, 2), (9, 6, 3, 2)])
def test_moving_in_a_ring_moves_the_output_in_a_ring(n: int, m: int, shift: int, units: int) -> None:
    text = f"network N {{\n input x: [2, {n}]\n diff_stride(2, smoothness={(m - n // 2) / 2})\n}}"
    net = archdsl.loads(text)
    layer = net.report().to_dict()["layers"][-1]
    assert layer["shape"] == [2, m]
    certificate = layer["equivariance"]
    assert certificate["translation"] == "equivariant"
    assert certificate["shift"] == [shift]
    assert certificate["border"] == [0]
    model = net.build().double()
    model.get_parameter(next(name for name, _ in model.named_parameters())).data += 0.4
    x = torch.randn(1, 2, n, dtype=torch.float64)
    with torch.no_grad():
        y, moved, other = model(x), model(x.roll(shift, 2)), model(x.roll(1, 2))
    torch.testing.assert_close(moved, y.roll(units, 2))
    assert not any(torch.allclose(other, y.roll(by, 2)) for by in range(m))


def test_a_learned_stride_reads_the_whole_axis() -> None:
    layer, x = make("diff_stride", stride=2, smoothness=1), Shape((1, 8, 10))
    lowered = Lowered(layer, x).double()
    assert lowered.module is not None
    lowered.module.stride.data += 0.7
    (reads,) = layer.reads(x)
    assert isinstance(reads, tuple) and all(stencil.at_most for stencil in reads)
    found = support(lowered, x)
    assert torch.equal(found, read_positions(reads, (8, 10), (6, 7), "circular"))
    assert found.all()
    # Where extents are open, or have no period to speak of, nothing is claimed.
    assert layer.reads(Shape((1, 8, symbol("W")))) == (Reach.MIXED,)
    assert make("diff_stride", stride=1.5).reads(Shape((1, 2 * MOST_PHASES + 1))) == (Reach.MIXED,)


def test_a_learned_stride_of_open_sizes() -> None:
    h, w = symbol("H"), symbol("W")
    layer = make("diff_stride", stride=[1.1, 2], smoothness=1.5)
    size = layer.shape(Shape((3, h, w)))
    lowered = Lowered(layer, Shape((3, h, w)))
    assert source(layer, Shape((3, h, w)))[0] == "DiffStride((1.1, 2.0), smoothness=1.5)"

    def number(extent: Size, n: int) -> Size:
        return substitute(extent, {"H": n, "W": n})

    for n in (1, 2, 5, 11, 33, 64):
        assert number(size[1], n) == min(n, max(math.floor(round(n / 1.1 + 3, 9)), 2))
        known = layer.shape(Shape((3, n, n)))
        assert tuple(number(extent, n) for extent in size) == known
        assert lowered(torch.randn(1, 3, n, n)).shape[1:] == known


def test_half_precision_comes_out_as_it_went_in() -> None:
    layer, x = make("diff_stride", stride=2, smoothness=1), Shape((1, 10))
    lowered = Lowered(layer, x)
    given = torch.randn(2, *x)
    half = lowered.to(torch.bfloat16)(given.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), lowered.float()(given), atol=0.05, rtol=0.05)


# ------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("layer", "shape", "problem", "argument"),
    [
        (make("njet_conv", channels=2, reach=2), (4,), "needs-map", None),
        (make("njet_conv", channels=2, reach=2, padding=0), (4, 4), "window-outside-input", "reach"),
        (make("njet_conv", channels=2, reach=2, groups=3), (4, 9), "groups-do-not-divide", "groups"),
        (make("njet_conv", channels=2, reach=2, stride=[1, 2]), (4, 9), "argument-axes", "stride"),
        (make("diff_stride", stride=2), (4,), "needs-map", None),
        (make("diff_stride", stride=[2, 2]), (4, 9), "argument-axes", "stride"),
    ],
)
def test_what_does_not_fit(layer: Layer, shape: tuple[int, ...], problem: str, argument: str | None) -> None:
    with pytest.raises(Fault) as fault:
        layer.shape(Shape(shape))
    assert fault.value.problem.name == problem
    assert fault.value.argument == argument


def test_strides_are_at_least_one() -> None:
    kind = LAYERS["diff_stride"].arguments["stride"].kind
    assert kind.check(0.5) is None
    assert kind.check((2, 0.5)) is None
    assert kind.check("two") is None
    assert kind.check((2, 1)) == (2, 1)


# ------------------------------------------------------------------------------ networks


NETWORK = """network Digits {
  input image: [1, 8, 8]
  njet_conv(12, reach=3, order=2) -> batch_norm -> relu
  diff_stride(2, smoothness=1)
  njet_conv(16, reach=2, order=2) -> batch_norm -> relu
  flatten
  logits: linear(10)
}
train {
  data = digits
  loss = cross_entropy
  optimizer = adam(lr=0.01)
  batch = 50
  steps = 80
  measurements = 1
  metrics = [error]
}
"""


def test_a_network_of_them_learns(tmp_path: Path) -> None:
    (tmp_path / "digits.arch").write_text(NETWORK)
    words = ["train", str(tmp_path / "digits.arch"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, words, standalone_mode=False)
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
