"""Downsampling by dropping, blurring and chance, against loops of NumPy; and what section 10.4 names."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
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
    undone,
)
from standalone import Standalone, compare
from torch.nn import functional as F

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers import LAYERS, Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, window
from archdsl.layers.symmetry import SCALAR, Fibre, Motion
from archdsl.lowering.onnx import export
from archdsl.problems import Fault
from archdsl.sizes import substitute, symbol
from archdsl.training.trained import Trained

Array = Any
KINDS = ("subsample", "blur_pool", "stochastic_pool", "max_pool_dropout")


def lowered(kind: str, x: tuple[int, ...], **given: Any) -> tuple[Layer, Shape, Lowered]:
    layer, shape = make(kind, **given), Shape(x)
    module = Lowered(layer, shape).double()
    module.eval()
    return layer, shape, module


def random(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(7).standard_normal(shape))


# ------------------------------------------------------------------------------ by loops


def per_axis(value: Any, axes: int) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] * axes


def windows(x: Array, kernel: Any, stride: Any) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Every output position, with its window of [channels, *size]: [channels, *kernel]."""
    axes = x.ndim - 1
    k, s = per_axis(kernel, axes), per_axis(stride, axes)
    counts = [len(range(0, n - a + 1, b)) for n, a, b in zip(x.shape[1:], k, s, strict=True)]
    for place in itertools.product(*map(range, counts)):
        part = tuple(slice(i * b, i * b + a) for i, a, b in zip(place, k, s, strict=True))
        yield place, x[(slice(None), *part)]


def pooled(x: Array, kernel: Any, stride: Any, reduce: Callable[[Array], float]) -> Array:
    """`reduce` of the samples of each window of each channel."""
    found = list(windows(x, kernel, stride))
    y = np.empty((len(x), *(1 + i for i in found[-1][0])))
    for place, samples in found:
        for channel, own in enumerate(samples):
            y[(channel, *place)] = reduce(own.reshape(-1))
    return y


def subsampled(x: Array, given: dict[str, Any]) -> Array:
    return pooled(x, 1, given["stride"], lambda a: a[0])


def blurred(x: Array, given: dict[str, Any]) -> Array:
    axes = x.ndim - 1
    kernel = per_axis(given.get("kernel", 3), axes)
    sides = given.get("padding", [[math.floor((k - 1) / 2), math.ceil((k - 1) / 2)] for k in kernel])
    sides = [pair if isinstance(pair, list) else [pair, pair] for pair in per_axis(sides, axes)]
    mode: Any = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    x = np.pad(x, [(0, 0), *map(tuple, sides)], mode[given.get("padding_mode", "reflect")])
    taps = np.ones(())
    for k in kernel:
        taps = np.multiply.outer(taps, [math.comb(k - 1, t) / 2 ** (k - 1) for t in range(k)])
    return pooled(x, kernel, given.get("stride", 2), lambda a: float(np.dot(a, taps.reshape(-1))))


def stochastic(x: Array, given: dict[str, Any]) -> Array:
    def mean(samples: Array) -> float:
        a = [max(float(value), 0.0) for value in samples]
        return sum(value * value for value in a) / sum(a) if sum(a) else 0.0

    return pooled(x, given["kernel"], given.get("stride", given["kernel"]), mean)


def dropped(x: Array, given: dict[str, Any]) -> Array:
    """The mean over everything that dropout can leave of a window, each with its probability."""
    rate = given.get("rate", 0.5)

    def mean(samples: Array) -> float:
        total = 0.0
        for left in itertools.product((False, True), repeat=len(samples)):
            chance = math.prod(1 - rate if one else rate for one in left)
            rest = [float(value) for value, one in zip(samples, left, strict=True) if one]
            total += chance * (max(rest) if rest else 0.0)
        return total

    return pooled(x, given["kernel"], given.get("stride", given["kernel"]), mean)


BY_LOOPS = {
    "subsample": subsampled,
    "blur_pool": blurred,
    "stochastic_pool": stochastic,
    "max_pool_dropout": dropped,
}

Case = tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...], int]
CASES: list[Case] = [
    # kind, arguments, input, output, and FLOPs by hand
    ("subsample", {"stride": 2}, (2, 7), (2, 4), 0),
    ("subsample", {"stride": [3, 2]}, (2, 7, 8), (2, 3, 4), 0),
    ("subsample", {"stride": [1, 9, 2]}, (1, 2, 5, 6), (1, 2, 1, 3), 0),
    ("blur_pool", {}, (2, 8), (2, 4), 2 * 8 * 3),
    ("blur_pool", {"kernel": 1}, (2, 7), (2, 4), 2 * 8),
    ("blur_pool", {"kernel": 7, "stride": 3, "padding_mode": "zeros"}, (1, 10), (1, 4), 2 * 4 * 7),
    ("blur_pool", {"kernel": 4}, (2, 6, 7), (2, 3, 4), 2 * 24 * 16),
    ("blur_pool", {"kernel": 2, "stride": 1}, (2, 4, 5), (2, 4, 5), 2 * 40 * 4),
    (
        "blur_pool",
        {"kernel": [5, 1], "stride": [2, 3], "padding_mode": "replicate"},
        (2, 3, 7),
        (2, 2, 3),
        2 * 12 * 5,
    ),
    ("blur_pool", {"kernel": 3, "padding": 0}, (3, 7, 8), (3, 3, 3), 2 * 27 * 9),
    (
        "blur_pool",
        {"kernel": 6, "padding": [[1, 3], [4, 0]], "padding_mode": "circular"},
        (1, 6, 6),
        (1, 3, 3),
        2 * 9 * 36,
    ),
    ("blur_pool", {"padding": [1, 2, 0]}, (2, 4, 5, 3), (2, 2, 4, 1), 2 * 16 * 27),
    ("blur_pool", {"kernel": [2, 3, 4], "stride": [1, 2, 2]}, (1, 3, 4, 5), (1, 3, 2, 3), 2 * 18 * 24),
    ("stochastic_pool", {"kernel": 2}, (2, 7), (2, 3), 14 + 6 * (4 * 2 - 2)),
    ("stochastic_pool", {"kernel": 3, "stride": 2}, (2, 7, 6), (2, 3, 2), 84 + 12 * (4 * 9 - 2)),
    (
        "stochastic_pool",
        {"kernel": [1, 2, 3], "stride": [2, 1, 1]},
        (1, 3, 3, 4),
        (1, 2, 2, 2),
        36 + 8 * (4 * 6 - 2),
    ),
    ("max_pool_dropout", {"kernel": 3}, (2, 7), (2, 2), 4 * (3 + 3 + 2)),
    ("max_pool_dropout", {"kernel": 2, "rate": 0.3}, (2, 4, 6), (2, 2, 3), 12 * (6 + 4 + 3)),
    (
        "max_pool_dropout",
        {"kernel": [3, 2], "stride": [2, 1], "rate": 0},
        (2, 5, 4),
        (2, 2, 3),
        12 * (15 + 6 + 5),
    ),
    (
        "max_pool_dropout",
        {"kernel": 2, "stride": [1, 2, 2], "rate": 0.9},
        (1, 3, 4, 4),
        (1, 2, 2, 2),
        8 * (28 + 8 + 7),
    ),
]
every_case = pytest.mark.parametrize(
    ("kind", "given", "x", "y", "flops"), CASES, ids=[f"{k}{g}" for k, g, *_ in CASES]
)


def test_every_argument_is_in_a_case_along_one_two_and_three_axes() -> None:
    for kind in KINDS:
        cases = [case for case in CASES if case[0] == kind]
        assert {len(x) for _, _, x, _, _ in cases} == {2, 3, 4}
        assert {name for case in cases for name in case[1]} == set(LAYERS[kind].arguments)


@every_case
def test_values_and_costs(
    kind: str, given: dict[str, Any], x: tuple[int, ...], y: tuple[int, ...], flops: int
) -> None:
    layer, shape, module = lowered(kind, x, **given)
    value = random(3, *x)
    wanted = np.stack([BY_LOOPS[kind](one, given) for one in value.numpy()])
    np.testing.assert_allclose(module(value).numpy(), wanted, rtol=1e-12, atol=1e-12)
    assert layer.shape(shape) == y == wanted.shape[1:]
    check_weights(layer, module.module, shape)
    assert layer.macs(shape) == macs(module, random(1, *x)) == (flops // 2 if kind == "blur_pool" else 0)
    assert layer.flops(shape) == flops


@every_case
def test_training_keeps_what_is_said(
    kind: str, given: dict[str, Any], x: tuple[int, ...], y: tuple[int, ...], flops: int
) -> None:
    layer, _, module = lowered(kind, x, **given)
    module.train()
    check_saved(layer, module, torch.rand(2, *x))


@every_case
def test_reads_are_the_units_that_matter(
    kind: str, given: dict[str, Any], x: tuple[int, ...], y: tuple[int, ...], flops: int
) -> None:
    layer, shape, module = lowered(kind, x, **given)
    (reads,) = layer.reads(shape)
    border = given.get("padding_mode", "reflect")
    assert torch.equal(support(module, shape), read_positions(reads, x[1:], y[1:], border))


@every_case
def test_symbolic_sizes_agree_with_numbers(
    kind: str, given: dict[str, Any], x: tuple[int, ...], y: tuple[int, ...], flops: int
) -> None:
    layer, shape = make(kind, **given), Shape(x)
    names = ("C", "D", "H", "W")[: len(x)]
    open_ = Shape(symbol(name) for name in names)
    numbers = dict(zip(names, x, strict=True))

    def closed(size: Any) -> Any:
        return substitute(size, numbers)

    assert tuple(map(closed, layer.shape(open_))) == y
    assert [tuple(map(closed, b.shape)) for b in layer.buffers(open_).values()] == [
        tuple(b.shape) for b in layer.buffers(shape).values()
    ]
    assert closed(layer.macs(open_)) == layer.macs(shape)
    assert closed(layer.flops(open_)) == flops
    assert closed(layer.saved(open_).extra) == layer.saved(shape).extra
    assert closed(layer.saved(open_).floats) == layer.saved(shape).floats
    assert layer.saved(open_)[:2] == layer.saved(shape)[:2]
    assert layer.reads(open_) == layer.reads(shape)
    assert layer.doubts(shape) == ()


# ------------------------------------------------------------------------------ blur_pool


@pytest.mark.parametrize("kernel", range(1, 8))
def test_the_filter_is_the_papers(kernel: int) -> None:
    """Zhang, 2019: rectangle-2, triangle-3, binomial-5 and the like; extents are those of a stride."""
    rows = {
        1: [1], 2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1], 6: [1, 5, 10, 10, 5, 1],
        7: [1, 6, 15, 20, 15, 6, 1],
    }  # fmt: skip
    row = torch.tensor(rows[kernel]) / sum(rows[kernel])
    module: Any = Lowered(make("blur_pool", kernel=kernel), Shape((3, 9, 9))).module
    for channel in module.filter:
        assert torch.equal(channel[0], torch.outer(row, row))
    assert not list(module.parameters()) and list(module.state_dict()) == ["filter"]
    for extent, stride in itertools.product(range(4, 12), range(1, 6)):
        found = make("blur_pool", kernel=kernel, stride=stride).shape(Shape((1, extent)))
        assert found == (1, math.ceil(extent / stride))


def test_a_constant_stays_and_a_stripe_vanishes() -> None:
    _, _, module = lowered("blur_pool", (1, 8, 8))
    assert torch.equal(module(torch.ones(1, 1, 8, 8).double()), torch.ones(1, 1, 4, 4).double())
    stripes = torch.tensor([1.0, -1.0]).double().repeat(4).expand(1, 1, 8, 8)
    assert not module(stripes).any()
    _, _, module = lowered("subsample", (1, 8, 8), stride=2)
    assert torch.equal(module(stripes), torch.ones(1, 1, 4, 4).double())


def check_gradient(module: Lowered, x: Tensor) -> None:
    """The slope along a random direction is that of differences."""
    x = x.requires_grad_()
    y = module(x)
    along, weights = torch.randn_like(x), torch.randn_like(y)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    with torch.no_grad():
        rise = module(x + 1e-6 * along) - module(x - 1e-6 * along)
        torch.testing.assert_close((gradient * along).sum(), (rise * weights).sum() / 2e-6, rtol=1e-6, atol=0)


def test_gradients_reach_the_input_and_nothing_else() -> None:
    torch.manual_seed(6)
    for kind, given in (("blur_pool", {"kernel": 4}), ("subsample", {"stride": 3})):
        _, _, module = lowered(kind, (2, 5, 6), **given)
        check_gradient(module, random(1, 2, 5, 6))
        assert not list(module.parameters())


# ------------------------------------------------------------------------------ with chance


def many(x: Array, count: int) -> Tensor:
    return torch.from_numpy(np.asarray(x)).double().expand(count, *np.shape(x)).contiguous()


def within(found: Tensor, wanted: Array, deviations: float = 5.0) -> None:
    """The mean over the batch is the wanted one, as closely as so many draws allow."""
    error = found.std(0) / math.sqrt(len(found)) + 1e-12
    difference = (found.mean(0) - torch.from_numpy(wanted)).abs() / error
    assert difference.max() < deviations, f"off by {difference.max():.1f} standard errors"


@pytest.mark.parametrize(("kind", "given"), [(k, g) for k, g, *_ in CASES if k in KINDS[2:]])
def test_what_is_used_is_the_mean_of_training(kind: str, given: dict[str, Any]) -> None:
    x = next(x for k, g, x, _, _ in CASES if (k, g) == (kind, given))
    one = random(*x).numpy()
    torch.manual_seed(0)
    _, _, module = lowered(kind, x, **given)
    module.train()
    within(module(many(one, 4000)), BY_LOOPS[kind](one, given))


def test_stochastic_pooling_draws_in_proportion() -> None:
    torch.manual_seed(1)
    _, _, module = lowered("stochastic_pool", (1, 2, 3), kernel=[2, 3])
    module.train()
    found = module(many([[[1, 0, 2], [-5, 3, 4]]], 20_000)).flatten()
    for value, probability in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)):
        share = (found == value).double().mean().item()
        assert abs(share - probability) < 5 * math.sqrt(probability * (1 - probability) / 20_000)
    assert set(found.tolist()) == {1, 2, 3, 4}


def test_stochastic_pooling_draws_every_window_for_itself() -> None:
    """Two windows over the same two samples agree half of the time, as two coins do."""
    torch.manual_seed(2)
    _, _, module = lowered("stochastic_pool", (1, 4), kernel=4, stride=1)
    assert module.train()(many([[0, 1, 2, 0]], 5)).shape == (5, 1, 1)
    _, _, module = lowered("stochastic_pool", (1, 4), kernel=3, stride=1)
    first, second = module.train()(many([[0, 1, 1.0000001, 0]], 20_000))[:, 0].unbind(-1)
    assert abs((first == second).double().mean().item() - 0.5) < 5 * 0.5 / math.sqrt(20_000)


def test_a_window_without_anything_is_zero() -> None:
    value = torch.tensor([[[0.0, 0.0, -1.0, -2.0]]]).double().requires_grad_()
    _, _, module = lowered("stochastic_pool", (1, 4), kernel=2)
    for mode in (True, False):
        y = module.train(mode)(value)
        assert y.tolist() == [[[0, 0]]]
        (gradient,) = torch.autograd.grad(y.sum(), value)
        assert not gradient.any()
    torch.manual_seed(3)
    _, _, module = lowered("max_pool_dropout", (1, 2), kernel=2, rate=0.9)
    found = module.train()(many([[-3, -2]], 10_000)).flatten()
    assert set(found.tolist()) == {-3, -2, 0}
    assert abs((found == 0).double().mean().item() - 0.81) < 0.02


def test_dropout_is_of_samples_and_not_of_windows() -> None:
    """Windows that overlap lose the same samples: the shared one is the maximum of both or of neither."""
    torch.manual_seed(4)
    _, _, module = lowered("max_pool_dropout", (1, 3), kernel=2, stride=1)
    first, second = module.train()(many([[1, 9, 2]], 2000))[:, 0].unbind(-1)
    assert torch.equal(first == 9, second == 9)
    assert 0.4 < (first == 9).double().mean() < 0.6


def test_without_dropout_it_is_max_pooling() -> None:
    x = random(2, 3, 7, 6)
    _, _, module = lowered("max_pool_dropout", (3, 7, 6), kernel=3, stride=2, rate=0)
    for mode in (True, False):
        assert torch.equal(module.train(mode)(x), F.max_pool2d(x, 3, 2))


@pytest.mark.parametrize("kind", KINDS[2:])
def test_gradients_go_to_the_samples_that_were_taken(kind: str) -> None:
    torch.manual_seed(5)
    x = torch.rand(4, 2, 6, 6, dtype=torch.float64).requires_grad_()
    _, _, module = lowered(kind, (2, 6, 6), kernel=2)
    y = module.train()(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert set(gradient.flatten().tolist()) == {0, 1}
    torch.testing.assert_close(F.avg_pool2d(gradient * x, 2) * 4, y)
    module.eval()
    check_gradient(module, torch.rand(1, 2, 6, 6, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS[2:])
@pytest.mark.parametrize("number", [torch.float16, torch.bfloat16, torch.float32])
def test_other_precisions(kind: str, number: torch.dtype) -> None:
    x = (random(2, 1, 6, 6).abs() * 500).to(number)
    _, _, module = lowered(kind, (1, 6, 6), kernel=3)
    exact = module(x.double())
    y = module.to(number)(x)
    assert y.dtype == number
    torch.testing.assert_close(y.double(), exact, rtol=3e-2, atol=1e-3)
    assert torch.isfinite(module.train()(x)).all()


# ------------------------------------------------------------------------------ symmetries

REGULAR = Fibre("regular", 4)
HARMONIC = Fibre("harmonic", orders=(1,))


def test_turned_and_reflected_inputs_give_turned_and_reflected_outputs() -> None:
    """Where the windows lie alike from both ends: with a stride of 2 and a kernel of 3, along odd extents."""
    alike: list[tuple[str, dict[str, Any], int]] = [
        ("subsample", {"stride": 2}, 7),
        ("blur_pool", {}, 7),
        ("blur_pool", {"kernel": 4, "padding_mode": "zeros"}, 8),
        ("blur_pool", {"kernel": 2}, 8),
        ("stochastic_pool", {"kernel": 3, "stride": 2}, 7),
        ("max_pool_dropout", {"kernel": 2}, 8),
    ]
    for kind, given, extent in alike:
        layer, x, module = lowered(kind, (2, extent, extent), **given)
        value = random(1, *x)
        torch.testing.assert_close(module(value.rot90(1, (-1, -2))), module(value).rot90(1, (-1, -2)))
        torch.testing.assert_close(module(value.flip(-1)), module(value).flip(-1))
        for motion, fibre in itertools.product((Motion.ROTATION, Motion.REFLECTION), (SCALAR, REGULAR)):
            assert layer.answers(motion, (fibre,), x) == fibre


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("subsample(2)", 13),
        ("blur_pool", 13),
        ("blur_pool(4, padding_mode=zeros)", 12),
        ("stochastic_pool(2)", 12),
        ("max_pool_dropout(3, stride=2)", 13),
    ],
)
def test_where_windows_lie_alike_from_both_ends_is_reported(line: str, kept: int) -> None:
    for extent in (12, 13):
        net = archdsl.loads(f"network Small {{\n input image: [2, {extent}, {extent}]\n {line}\n}}")
        claims = net.report().to_dict()["layers"][-1]["equivariance"]
        answer = "equivariant" if extent == kept else "none"
        assert claims["rotation"]["answer"] == claims["reflection"]["answer"] == answer
        model, x = net.build().double().eval(), random(1, 2, extent, extent)
        assert torch.allclose(model(x.flip(-1)), model(x).flip(-1)) == (extent == kept)


def test_what_a_turn_does_not_keep() -> None:
    unlike: list[tuple[str, dict[str, Any]]] = [
        ("subsample", {"stride": [2, 1]}),
        ("blur_pool", {"kernel": [3, 1]}),
        ("blur_pool", {"stride": [1, 2]}),
        ("blur_pool", {"padding": [[0, 2], [2, 0]]}),
        ("stochastic_pool", {"kernel": [2, 3]}),
        ("max_pool_dropout", {"kernel": 3, "stride": [1, 2]}),
    ]
    for kind, given in unlike:
        _, _, module = lowered(kind, (2, 7, 7), **given)
        value = random(1, 2, 7, 7)
        turned, wanted = module(value.rot90(1, (-1, -2))), module(value).rot90(1, (-1, -2))
        assert turned.shape != wanted.shape or not torch.allclose(turned, wanted)
        arguments = ", ".join(f"{name}={value}" for name, value in given.items())
        net = archdsl.loads(f"network Small {{\n input image: [2, 7, 7]\n {kind}({arguments})\n}}")
        claims = net.report().to_dict()["layers"][-1]["equivariance"]
        assert claims["rotation"]["answer"] == "none"


def test_fibres_that_are_kept() -> None:
    """What is linear keeps pairs that turn; a choice among samples, number by number, does not."""
    x = Shape((4, 9, 9))
    for kind, given in (("subsample", {"stride": 2}), ("blur_pool", {})):
        layer = make(kind, **given)
        assert layer.answers(Motion.ROTATION, (HARMONIC,), x) == HARMONIC
        assert layer.answers(Motion.SCALE, (SCALAR,), x) is None
    for kind in KINDS[2:]:
        layer = make(kind, kernel=3)
        assert layer.answers(Motion.ROTATION, (HARMONIC,), x) is None
        assert layer.answers(Motion.SCALE, (SCALAR,), x) is None
    # The last two axes of a volume are those of a turn.
    layer = make("blur_pool", kernel=[1, 3, 3], stride=[1, 2, 2])
    assert layer.answers(Motion.ROTATION, (SCALAR,), Shape((1, 4, 5, 5))) == SCALAR


@pytest.mark.parametrize(
    ("line", "shift"),
    [
        ("subsample(3)", 3),
        ("blur_pool(padding_mode=circular)", 2),
        ("stochastic_pool(2)", 2),
        ("max_pool_dropout(3)", 3),
    ],
)
def test_moved_by_the_stride_the_output_moves_by_one(line: str, shift: int) -> None:
    net = archdsl.loads(f"network Small {{\n input image: [2, 12, 12]\n {line}\n}}")
    (layer,) = (one for one in net.report().to_dict()["layers"] if one["kind"] in KINDS)
    claim = layer["equivariance"]
    assert (claim["translation"], claim["shift"], claim["border"]) == ("equivariant", [shift] * 2, [0, 0])
    model = net.build().double().eval()
    x = random(1, 2, 12, 12)
    for axis in (2, 3):
        torch.testing.assert_close(model(x.roll(shift, axis)), model(x).roll(1, axis))
        assert not torch.allclose(model(x.roll(1, axis)), model(x).roll(1, axis))


def test_a_blur_makes_downsampling_less_sensitive_to_shifts() -> None:
    """The paper's claim: of a moving image, max pooling after which is blurred changes less."""
    x = random(8, 4, 32, 32)

    def change(line: str) -> float:
        model = archdsl.loads(f"network Small {{\n input image: [4, 32, 32]\n {line}\n}}").build().double()
        y, moved = model(x)[..., 2:-2, 2:-2], model(x.roll(1, -1))[..., 2:-2, 2:-2]
        return float((moved - y).norm() / y.norm())

    plain = change("pad([[0, 1], [0, 1]], mode=circular) -> max_pool(2)")
    blurred_ = change("max_pool(2, stride=1) -> blur_pool")
    assert blurred_ < 0.7 * plain


# ------------------------------------------------------------------------------ what does not fit

WRONG: list[tuple[str, dict[str, Any], tuple[int, ...], str, str | None, str]] = [
    (
        "blur_pool",
        {},
        (2, 1),
        "padding-outside-input",
        "padding",
        "reflect padding of 1, and the length is 1",
    ),
    (
        "blur_pool",
        {"kernel": 5, "padding": [1, 6], "padding_mode": "circular"},
        (2, 6, 5),
        "padding-outside-input",
        "padding",
        "circular padding of 6, and the width is 5",
    ),
    (
        "blur_pool",
        {"kernel": 5, "padding": 0},
        (2, 4, 9),
        "window-outside-input",
        "kernel",
        "a kernel of 5 x 5 does not fit in 4 x 9",
    ),
    (
        "blur_pool",
        {"kernel": [3, 3]},
        (2, 9),
        "argument-axes",
        "kernel",
        "`kernel` has 2 entries, and [2, 9] has 1 spatial axis",
    ),
    (
        "blur_pool",
        {"stride": [2]},
        (2, 9, 9),
        "argument-axes",
        "stride",
        "`stride` has 1 entry, and [2, 9, 9] has 2 spatial axes",
    ),
    (
        "blur_pool",
        {"padding": [[1, 1]]},
        (2, 9, 9),
        "argument-axes",
        "padding",
        "`padding` has 1 entry, and [2, 9, 9] has 2 spatial axes",
    ),
    (
        "subsample",
        {"stride": [2, 2]},
        (2, 9),
        "argument-axes",
        "stride",
        "`stride` has 2 entries, and [2, 9] has 1 spatial axis",
    ),
    ("stochastic_pool", {"kernel": 3}, (2, 2), "window-outside-input", "kernel",
     "a kernel of 3 does not fit in 2"),
    ("stochastic_pool", {"kernel": [3, 3]}, (2, 9), "argument-axes", "kernel",
     "`kernel` has 2 entries, and [2, 9] has 1 spatial axis"),
    ("max_pool_dropout", {"kernel": 3}, (2, 9, 2), "window-outside-input", "kernel",
     "a kernel of 3 x 3 does not fit in 9 x 2"),
    ("max_pool_dropout", {"kernel": 3, "stride": [1, 2, 3]}, (2, 9, 9), "argument-axes", "stride",
     "`stride` has 3 entries, and [2, 9, 9] has 2 spatial axes"),
    *(
        (kind, given, (10,), "needs-map", None, f"`{kind}` works along spatial axes, and [10] is a vector")
        for kind, given in {case[0]: case[1] for case in CASES}.items()
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "given", "x", "name", "argument", "message"), WRONG)
def test_what_does_not_fit_is_refused(
    kind: str, given: dict[str, Any], x: tuple[int, ...], name: str, argument: str | None, message: str
) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **given).shape(Shape(x))
    problem = caught.value.problem
    assert (problem.name, caught.value.argument, problem.message()) == (name, argument, message)


def test_arguments_that_are_refused() -> None:
    for kind, name, value in (
        ("blur_pool", "padding", "same"),
        ("blur_pool", "padding", -1),
        ("blur_pool", "padding_mode", "mirror"),
        ("blur_pool", "kernel", 0),
        ("subsample", "stride", 0),
        ("max_pool_dropout", "rate", 1),
        ("stochastic_pool", "kernel", 2.5),
    ):
        assert LAYERS[kind].arguments[name].kind.check(value) is None


def test_doubts_of_symbolic_sizes() -> None:
    def doubts(kind: str, **given: Any) -> list[str]:
        return [doubt.message() for doubt in make(kind, **given).doubts(Shape((3, symbol("H"), symbol("W"))))]

    assert doubts("subsample", stride=2) == []
    assert doubts("blur_pool") == ["`blur_pool` fits only where H >= 2 and W >= 2"]
    assert doubts("blur_pool", padding_mode="replicate") == []
    assert doubts("blur_pool", kernel=5, padding_mode="circular") == [
        "`blur_pool` fits only where H >= 2 and W >= 2"
    ]
    assert doubts("blur_pool", kernel=3, padding=0) == ["`blur_pool` fits only where H >= 3 and W >= 3"]
    for kind in KINDS[2:]:
        assert doubts(kind, kernel=[1, 3]) == [f"`{kind}` fits only where W >= 3"]
    k = symbol("K")
    for kind, given in (("subsample", {"stride": k}), ("blur_pool", {"kernel": k}),
                        ("stochastic_pool", {"kernel": k})):  # fmt: skip
        x = Shape((3, 9))
        assert make(kind, **given).reads(x) == (Reach.UNTOLD,)
        names = [doubt.name for doubt in make(kind, **given).doubts(x)]
        assert "reads-depend-on-size" in names


# ------------------------------------------------------------------------------ whole networks

ALL = """network Small {
  input image: [1, 12, 12]
  conv(8, kernel=3, padding=1) -> relu -> max_pool(2, stride=1) -> blur_pool
  conv(8, kernel=3, padding=1) -> relu -> stochastic_pool(2)
  conv(8, kernel=3, padding=1) -> relu -> max_pool_dropout(2, stride=1, rate=0.4)
  conv(8, kernel=1) -> subsample(2) -> flatten
  linear(10)
}
"""


def test_exported_source_runs_alone_and_is_clean(tmp_path: Path, worker: Standalone) -> None:
    compare(archdsl.loads(ALL), worker)
    file = tmp_path / "small.py"
    file.write_text(archdsl.loads(ALL).source())
    rules = "E,F,W,I,UP,B,C4,SIM,PIE,RET,ANN,N805,RUF100"
    for words in (["check", "--select", rules], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--isolated", "--no-cache", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_torch_and_onnx_export_it(tmp_path: Path) -> None:
    net = archdsl.loads(ALL)
    model = net.build().eval()
    x = torch.rand(3, 1, 12, 12)
    with torch.no_grad():
        y = model(x)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), y)
    assert export(net.network, model, tmp_path / "net.onnx") < 1e-4
    (found,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"image": x.numpy()})
    np.testing.assert_allclose(found, y.numpy(), rtol=1e-3, atol=1e-5)


def test_weights_load_with_the_filter(tmp_path: Path) -> None:
    """From a file in other names, whose filters are once a channel, as the paper's authors have them."""
    model = archdsl.loads(ALL).build()
    state = model.state_dict()
    assert [list(value.shape) for name, value in state.items() if "filter" in name] == [[8, 1, 3, 3]]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    theirs = {}
    for name, value in state.items():
        module, _, tensor = name.rpartition(".")
        theirs[f"features.{modules.index(module)}.{tensor.replace('filter', 'filt')}"] = value
    torch.save(theirs, tmp_path / "weights.pth")
    ours = archdsl.loads(ALL).build(weights=tmp_path / "weights.pth").state_dict()
    assert all(torch.equal(ours[name], value) for name, value in state.items())


LEARNS = """network Digits {
  input image: [1, 8, 8]
  conv(12, kernel=3, padding=1) -> relu -> max_pool(2, stride=1) -> blur_pool(stride=1)
  conv(24, kernel=3, padding=1) -> relu -> stochastic_pool(2, stride=1)
  conv(24, kernel=3, padding=1) -> relu -> max_pool_dropout(2, rate=0.3)
  subsample(2) -> flatten
  logits: linear(10)
}

train {
  data      = digits
  loss      = cross_entropy
  optimizer = adam(lr=0.01)
  batch     = 50
  steps     = 60
  metrics   = [error]
  measurements = 2
}
"""


def test_a_network_learns_digits(tmp_path: Path) -> None:
    file = tmp_path / "digits.arch"
    file.write_text(LEARNS)
    arguments = ["train", str(file), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.25


# ------------------------------------------------------------------------------ section 10.4 of Prince, 2023


def by_source(layer: Layer, *values: Tensor) -> Any:
    module = Lowered(layer, *(Shape(value.shape[1:]) for value in values)).double()
    return module(*values)


def places(y: Array) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, y.shape))


@pytest.mark.parametrize("size", [(8,), (6, 8), (4, 2, 6)], ids=["signal", "image", "volume"])
def test_ways_down(size: tuple[int, ...]) -> None:
    """Figure 10.11: every other sample, the largest of each two by two, and their mean."""
    x = random(2, 3, *size)
    for kind, reduce in (("subsample", lambda a: a[0]), ("max_pool", max), ("avg_pool", np.mean)):
        layer = make(kind, **{"stride" if kind == "subsample" else "kernel": 2})
        wanted = np.stack([pooled(one, 2, 2, reduce) for one in x.numpy()])
        np.testing.assert_allclose(by_source(layer, x).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("size", [(4,), (3, 4), (2, 3, 2)], ids=["signal", "image", "volume"])
def test_ways_up(size: tuple[int, ...]) -> None:
    """Figures 10.12 and 10.13: duplication, max unpooling, linear interpolation, transposed convolution."""
    axes = len(size)
    whole = tuple(2 * n for n in size)
    x = random(1, 2, *size)
    given = x[0].numpy()

    wanted = np.empty((2, *whole))
    for c, *place in places(wanted):
        wanted[(c, *place)] = given[(c, *(i // 2 for i in place))]
    np.testing.assert_allclose(by_source(make("upsample", scale=2), x)[0].numpy(), wanted)

    for c, *place in places(wanted):
        # Samples are centres of pixels; beyond the outermost centre its sample is repeated.
        total = 0.0
        at = [min(max((i + 0.5) / 2 - 0.5, 0), n - 1) for i, n in zip(place, size, strict=True)]
        for corner in itertools.product((0, 1), repeat=axes):
            near = [min(math.floor(a) + e, n - 1) for a, e, n in zip(at, corner, size, strict=True)]
            shares = (a % 1 if e else 1 - a % 1 for a, e in zip(at, corner, strict=True))
            total += math.prod(shares) * given[(c, *near)]
        wanted[(c, *place)] = total
    found = by_source(make("upsample", scale=2, mode="linear"), x)
    np.testing.assert_allclose(found[0].numpy(), wanted, rtol=1e-12, atol=1e-12)

    before = random(1, 2, *whole)
    pool = make("max_pool", kernel=2)
    _, indices = Lowered(pool, Shape(before.shape[1:]), indices=True)(before)
    wanted = np.zeros((2, *whole))
    for block, samples in windows(before[0].numpy(), 2, 2):
        for c, own in enumerate(samples):
            inside = np.unravel_index(own.argmax(), own.shape)
            wanted[(c, *np.add(np.multiply(block, 2), inside))] = given[(c, *block)]
    layer = make("max_unpool", pool=undone(pool, Shape(before.shape[1:])))
    np.testing.assert_array_equal(by_source(layer, x, indices)[0].numpy(), wanted)

    layer = make("conv_transpose", channels=3, kernel=3, stride=2, padding=1, output_padding=1)
    module = Lowered(layer, Shape(x.shape[1:])).double()
    weight, bias = (p.detach().numpy() for p in module.parameters())
    wanted = np.zeros((3, *whole)) + bias.reshape(-1, *(1,) * axes)
    for a, *place in places(given):
        for tap in itertools.product(range(3), repeat=axes):
            to = [2 * i - 1 + t for i, t in zip(place, tap, strict=True)]
            if all(0 <= j < n for j, n in zip(to, whole, strict=True)):
                for c in range(3):
                    wanted[(c, *to)] += weight[(a, c, *tap)] * given[(a, *place)]
    np.testing.assert_allclose(module(x)[0].detach().numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(4,), (3, 4), (2, 3, 2)], ids=["signal", "image", "volume"])
def test_pixel_shuffle(size: tuple[int, ...]) -> None:
    """Channel c * 2**d + r gives channel c the r-th of the 2**d places of each block, rows first."""
    axes = len(size)
    x = random(1, 3 * 2**axes, *size)
    wanted = np.empty((3, *(2 * n for n in size)))
    for c, *place in places(wanted):
        r = sum((i % 2) * 2 ** (axes - 1 - a) for a, i in enumerate(place))
        wanted[(c, *place)] = x[(0, c * 2**axes + r, *(i // 2 for i in place))]
    np.testing.assert_array_equal(by_source(make("pixel_shuffle", factor=2), x)[0].numpy(), wanted)


def test_subsampling_reads_every_stride_th() -> None:
    layer, x = make("subsample", stride=[3, 1]), Shape((1, 9, 9))
    assert layer.reads(x) == ((window(1, 3), window(1)),)
    assert source(layer, x) == (None, "x0[..., ::3, :]")
