"""The scattering transform, against the package kymatio, loops of NumPy, and turned pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from expected import oracle
from layer_harness import Lowered, Tensor, check_saved, check_weights, macs, make
from standalone import Standalone, compare

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.layers.symmetry import SCALAR, Motion
from archdsl.problems import Fault
from archdsl.sizes import symbol
from archdsl.training.trained import Trained

Array = Any
Arguments = dict[str, Any]

ORACLE = oracle("scattering")
PI_OF_KYMATIO = 3.1415
"""Its filters are divided by this in place of pi."""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def use(x: tuple[int, ...], **given: Any) -> Lowered:
    return Lowered(make("scattering", **given), Shape(x)).double()


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


# ------------------------------------------------------------------------------ values


@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: str(case["seed"]))
def test_it_is_that_of_kymatio(case: dict[str, Any]) -> None:
    arguments = {"scales": case["J"], "angles": case["L"], "order": case["max_order"]}
    x = np.random.RandomState(case["seed"]).standard_normal(case["shape"])
    shape = (2, *case["shape"])
    found = use(shape, **arguments)(torch.from_numpy(np.stack([x, -2 * x]))[None])[0].numpy()
    wanted = np.array(case["values"]).reshape(case["size"])
    assert found.shape == make("scattering", **arguments).shape(Shape(shape))
    first = 1 + case["J"] * case["L"]
    filters = np.array([1] + [2] * (first - 1) + [3] * (len(wanted) - first))
    wanted = wanted * (PI_OF_KYMATIO / math.pi) ** filters[:, None, None]
    assert np.allclose(found[: len(wanted)], wanted, atol=5e-7, rtol=0)
    # The second channel follows the first; moduli forget a sign.
    signs = np.where(filters == 1, -2, 2)[:, None, None]
    assert np.allclose(found[len(wanted) :], signs * wanted, atol=1e-6, rtol=0)
    assert np.abs(wanted[first:]).max(initial=1) > 1e-2


def torus_wavelet(size: tuple[int, int], scale: int, angle: float, angles: int, wave: bool = True) -> Array:
    """A Morlet wavelet (or its bell) on a torus, in space, sample by sample of the plane around it."""
    sigma, slant = 0.8 * 2.0**scale, 4 / angles if wave else 1.0
    n, m = size
    rows, columns = np.mgrid[-2 * n : 3 * n, -2 * m : 3 * m]
    along = rows * math.cos(angle) + columns * math.sin(angle)
    across = -rows * math.sin(angle) + columns * math.cos(angle)
    bell = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2)) * slant / (2 * math.pi * sigma**2)
    if wave:
        carrier = np.exp(1j * 0.75 * math.pi / 2**scale * along)
        bell = bell * carrier - bell * (bell * carrier).sum() / bell.sum()
    return bell.reshape(5, n, 5, m).sum((0, 2))


def circle_filters(angles: int) -> list[Array]:
    """Morlet wavelets on a circle of twice as many angles, and a bell."""
    last, made = int(math.log2(angles)), []
    place = np.arange(-4 * angles, 6 * angles)
    for scale in range(last + 1):
        bell = np.exp(-(place**2) / (2 * (0.8 * 2.0 ** min(scale, last - 1)) ** 2))
        bell = bell / bell.sum()
        if scale < last:
            carrier = np.exp(1j * 0.75 * math.pi / 2**scale * place)
            bell = bell * carrier - bell * (bell * carrier).sum()
        made.append(bell.reshape(5, 2 * angles).sum(0))
    return made


def convolved(x: Array, filter_: Array, step: int) -> Array:
    """Convolution on a torus with a filter's low frequencies, every `step`-th sample."""
    full, size = np.fft.fft2(filter_), x.shape
    kept = full
    for axis, n in enumerate(size):
        if n < full.shape[axis]:
            half = n // 2
            index = np.r_[0:half, full.shape[axis] - half : full.shape[axis]]
            kept = np.take(kept, index, axis)
    return np.fft.ifft2(np.fft.fft2(x) * kept)[::step, ::step]


def reference_roto(x: Array, scales: int, angles: int) -> Array:
    """The page's equations for `roto=true`, angle by angle over the full circle."""
    step = 2**scales
    padded = tuple((n // step + 2) * step for n in x.shape)
    sides = [((p - n) // 2, (p - n + 1) // 2) for p, n in zip(padded, x.shape, strict=True)]
    x = np.pad(x, sides, mode="reflect")
    phi = torus_wavelet(padded, scales - 1, 0, angles, wave=False)
    turn = [(angles // 2 - 1 - index) * math.pi / angles for index in range(2 * angles)]
    psi = [[torus_wavelet(padded, j, angle, angles) for angle in turn] for j in range(scales)]
    rho = circle_filters(angles)

    def smooth(u: Array, level: int) -> Array:
        return convolved(u, phi, 2 ** (scales - level)).real[1:-1, 1:-1]

    def around(values: list[Array], filter_: Array) -> Array:
        total = 0
        for out in range(2 * angles):
            mixed = sum(values[i] * filter_[(out - i) % (2 * angles)] for i in range(2 * angles))
            total = total + np.abs(mixed) / (2 * angles)
        return total

    first, turned, second = [smooth(x, 0)], [], []
    for low in range(scales):
        u = [np.abs(convolved(x, psi[low][i], 2**low)) for i in range(2 * angles)]
        s = [smooth(one, low) for one in u]
        first.append(sum(s) / (2 * angles))
        turned += [around(s, filter_) for filter_ in rho[:-1]]
        for high in range(low + 1, scales):
            for other in range(angles):
                v = [
                    convolved(u[i], psi[high][(i + other) % (2 * angles)], 2 ** (high - low))
                    for i in range(2 * angles)
                ]
                second += [smooth(around(v, filter_), high) for filter_ in rho]
    return np.stack([*first, *turned, *second])


@pytest.mark.parametrize(
    ("shape", "scales", "angles"), [((8, 8), 2, 4), ((9, 12), 2, 3), ((16, 16), 3, 4), ((5, 4), 1, 4)]
)
def test_along_the_angles_it_is_what_the_page_says(shape: tuple[int, int], scales: int, angles: int) -> None:
    x = random(1, 1, *shape)
    found = use((1, *shape), scales=scales, angles=angles, roto=True)(x)[0].numpy()
    wanted = reference_roto(x[0, 0].numpy(), scales, angles)
    assert found.shape == wanted.shape
    # Where a filter reaches the highest frequency of a coarse grid, half a turn is not quite a conjugate.
    assert np.allclose(found, wanted, atol=1e-5, rtol=0)
    plain = use((1, *shape), scales=scales, angles=angles, roto=True, order=1)(x)[0].numpy()
    assert np.array_equal(plain, found[: 1 + scales])


def test_wavelets_have_the_mean_zero_and_a_uniform_picture_none_of_them() -> None:
    run = use((1, 16, 16), scales=2, angles=4)
    assert run.module is not None
    assert float(run.module.psi[..., 0, 0].abs().max()) < 1e-6
    assert abs(float(run.module.phi[0, 0]) - 1) < 1e-3
    made = run(torch.ones(1, 1, 16, 16, dtype=torch.float64))[0]
    assert torch.allclose(made[0], torch.ones_like(made[0]), atol=1e-3)
    assert float(made[1:].abs().max()) < 1e-6


def test_the_gradient_is_that_of_the_function() -> None:
    for roto in (False, True):
        run = use((1, 4, 6), scales=2, angles=2, roto=roto)
        assert torch.autograd.gradcheck(run, (random(1, 1, 4, 6).requires_grad_(),))
        x = torch.zeros(1, 1, 4, 6, dtype=torch.float64, requires_grad=True)
        run(x).sum().backward()
        assert x.grad is not None and torch.isfinite(x.grad).all()


# ------------------------------------------------------------------------------ turns

SIZE, STEP = 32, 8


def blot() -> Tensor:
    """Something about the middle of a picture, whose borders are empty."""
    x = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.float64)
    x[..., 12:21, 12:21] = random(9, 9)
    return x


def about_the_middle(x: Tensor) -> Tensor:
    """A quarter turn about the sample in the middle of an even extent: where a unit of the output lies."""
    return torch.rot90(x, 1, (-1, -2)).roll(1, -1)


def test_a_quarter_turn_about_a_unit_permutes_the_angles() -> None:
    """Exactly at the first order; at the second but for the highest frequency of a coarse grid."""
    run, angles = use((1, SIZE, SIZE), scales=3, angles=8), 8
    x = blot()
    still, turned = (run(one)[0, :, 1:, 1:] for one in (x, about_the_middle(x)))
    wanted = torch.rot90(still, 1, (-1, -2))
    first = wanted[1 : 1 + 3 * angles].unflatten(0, (3, angles)).roll(angles // 2, 1).flatten(0, 1)
    assert torch.allclose(turned[:1], wanted[:1], rtol=0, atol=1e-12)
    assert torch.allclose(turned[1 : 1 + 3 * angles], first, rtol=0, atol=1e-12)
    # Scale 0 has two larger ones, scale 1 has one; the angles of both wavelets turn.
    zero, one = wanted[1 + 3 * angles :].split([2 * angles**2, angles**2])
    second = torch.cat(
        [
            part.unflatten(0, (angles, -1, angles)).roll((angles // 2, angles // 2), (0, 2)).flatten(0, 2)
            for part in (zero, one)
        ]
    )
    assert torch.allclose(turned[1 + 3 * angles :], second, rtol=0, atol=1e-5)
    assert not torch.allclose(turned, wanted, rtol=0, atol=1e-2)


def test_along_the_angles_a_quarter_turn_changes_no_channel() -> None:
    run = use((1, SIZE, SIZE), scales=3, angles=8, roto=True)
    x = blot()
    still, turned = (run(one)[0, :, 1:, 1:] for one in (x, about_the_middle(x)))
    assert torch.allclose(turned, torch.rot90(still, 1, (-1, -2)), rtol=0, atol=2e-6)
    assert float(still.abs().median()) > 1e-3


def test_of_samples_nothing_is_claimed() -> None:
    """A quarter turn about the picture's centre carries no unit of the output onto another."""
    for roto in (False, True):
        layer = make("scattering", scales=2, roto=roto)
        for motion in Motion:
            assert layer.answers(motion, (SCALAR,), Shape((1, 16, 16))) is None
        assert layer.reads(Shape((1, 16, 16))) == (Reach.MIXED,)


# ------------------------------------------------------------------------------ rules

USES: list[tuple[tuple[int, ...], Arguments]] = [
    ((2, 9, 12), {"scales": 2, "angles": 4}),
    ((1, 8, 8), {"scales": 3, "angles": 3}),
    ((1, 8, 8), {"scales": 2, "angles": 4, "order": 1}),
    ((2, 9, 12), {"scales": 2, "angles": 4, "roto": True}),
    ((1, 8, 8), {"scales": 3, "angles": 2, "roto": True}),
    ((1, 8, 8), {"scales": 2, "angles": 4, "roto": True, "order": 1}),
    ((3, 4, 4), {"scales": 1, "angles": 1, "roto": True}),
]


@pytest.mark.parametrize(("x", "arguments"), USES)
def test_buffers_macs_and_saved(x: tuple[int, ...], arguments: Arguments) -> None:
    layer, shape = make("scattering", **arguments), Shape(x)
    run = Lowered(layer, shape)
    value = torch.rand(3, *x)
    check_weights(layer, run.module, shape)
    assert run(value).shape[1:] == layer.shape(shape)
    assert layer.macs(shape) == 0 == macs(run, value)
    check_saved(layer, run, value)


def test_how_many_channels_there_are() -> None:
    x = Shape((3, 32, 40))
    assert make("scattering", scales=3).shape(x) == (3 * (1 + 24 + 3 * 64), 4, 5)
    assert make("scattering", scales=3, order=1).shape(x) == (3 * 25, 4, 5)
    assert make("scattering", scales=3, roto=True).shape(x) == (3 * (1 + 3 + 9 + 3 * 8 * 4), 4, 5)


def test_flops_by_hand() -> None:
    """4 x 4 samples are padded to 8 x 8, and halved to 4 x 4: transforms of 64 and of 16 numbers."""
    x = Shape((2, 4, 4))
    large, small = 5 * 64 * 6, 5 * 16 * 4
    smooth = 2 * 64 + 2 * 64 + small
    first = 2 * 64 + large + 4 * 64 + large + smooth
    assert make("scattering", scales=1, angles=2).flops(x) == 2 * (large + smooth + 2 * first)
    # Four angles on the circle, a wavelet and a bell along them; four positions.
    circle = 5 * 4 * 2
    around = 4 * (circle + 2 * (2 * 4 + circle + 4 * 4 + 4))
    roto = 2 * (large + smooth + 2 * first + 2 * 4 + around)
    assert make("scattering", scales=1, angles=2, roto=True).flops(x) == roto
    two = make("scattering", scales=2, angles=2)
    # 4 x 4 becomes 12 x 12 here; pairs are (0, 1).
    n0, n1, n2 = 144, 36, 9
    f0, f1, f2 = (round(5 * n * math.log2(n)) for n in (n0, n1, n2))
    total = f0 + 4 * n0 + f2
    total += 2 * (2 * n0 + f0 + 4 * n0 + f0 + 4 * n0 + f2) + 2 * (4 * n0 + f1 + 4 * n1 + f1 + 4 * n1 + f2)
    total += 4 * (4 * n0 + f1 + 4 * n1 + f1 + 4 * n1 + f2)
    assert two.flops(x) == 2 * total


H = symbol("H")
WRONG: list[tuple[Arguments, tuple[Any, ...], str]] = [
    ({}, (10,), "`scattering` works along spatial axes, and [10] is a vector"),
    ({}, (1, 10), "`scattering` is for images, and [1, 10] has 1 spatial axis"),
    ({"scales": 4}, (1, 15, 20), "a scattering of 4 scales averages over 2^4 samples of [1, 15, 20]"),
    ({}, (1, H, 20), "`scattering` has filters as large as its input, and [1, H, 20] depends on H"),
    (
        {"angles": H},
        (1, 20, 20),
        "`scattering` has filters as large as its input, and [1, 20, 20] depends on H",
    ),
]


@pytest.mark.parametrize(("arguments", "x", "message"), WRONG)
def test_what_does_not_fit_is_said(arguments: Arguments, x: tuple[Any, ...], message: str) -> None:
    with pytest.raises(Fault) as caught:
        make("scattering", **{"scales": 2, **arguments}).shape(Shape(x))
    assert caught.value.problem.message() == message


@pytest.mark.parametrize("order", [0, 3, 1.5, True])
def test_the_order_is_one_or_two(order: Any) -> None:
    with pytest.raises(AssertionError, match="is refused"):
        make("scattering", scales=2, order=order)


# ------------------------------------------------------------------------------ whole networks

NETWORK = """
network Scattered {
  input image: [1, 8, 8]
  scattering(2, angles=4) -> batch_norm -> flatten
  logits: linear(10)
}

train {
  data         = digits(examples=500)
  loss         = cross_entropy
  optimizer    = adam(lr=0.02)
  batch        = 50
  steps        = 40
  measurements = 1
  metrics      = [error]
}
"""


def test_it_learns_digits(tmp_path: Path) -> None:
    (tmp_path / "scattered.arch").write_text(NETWORK)
    done = CliRunner().invoke(
        command,
        ["train", str(tmp_path / "scattered.arch"), "--out", str(tmp_path / "run")],
        standalone_mode=False,
    )
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.5


@pytest.mark.parametrize("roto", ["false", "true"])
def test_exported_source_runs_alone(roto: str, worker: Standalone) -> None:
    compare(archdsl.loads(NETWORK.replace("angles=4", f"angles=4, roto={roto}")), worker)


def test_torch_exports_it() -> None:
    model = archdsl.loads(NETWORK.replace("angles=4", "angles=2, roto=true")).build().eval()
    x = torch.rand(2, 1, 8, 8)
    assert torch.allclose(torch.export.export(model, (x,)).module()(x), model(x), atol=1e-6)
