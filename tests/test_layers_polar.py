"""Log-polar resampling and centroids, against loops of NumPy, and under real turns of their input."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from layer_harness import Lowered, Tensor, check_saved, check_weights, macs, make
from standalone import Standalone, compare

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.layers.symmetry import SCALAR, Fibre, Motion
from archdsl.problems import Fault
from archdsl.sizes import symbol
from archdsl.training.trained import Trained

Array = Any


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def lowered(kind: str, *xs: tuple[int, ...], **given: Any) -> Lowered:
    return Lowered(make(kind, **given), *map(Shape, xs)).double()


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def turned(x: Tensor) -> Tensor:
    return torch.rot90(x, 1, (-1, -2))


# ------------------------------------------------------------------------------ values


def at(picture: Array, column: float, row: float) -> float:
    """A picture between its samples, bilinearly; 0 outside."""
    left, top = math.floor(column), math.floor(row)
    total = 0.0
    for i, j in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= i < picture.shape[0] and 0 <= j < picture.shape[1]:
            total += picture[i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def resampled(picture: Array, angles: int, radii: int, origin: tuple[float, float] = (0, 0)) -> Array:
    height, width = picture.shape
    farthest = math.hypot(height, width) / 2
    column, row = ((n / 2) * (1 + place) - 0.5 for n, place in zip((width, height), origin, strict=True))
    made = np.zeros((angles, radii))
    for j, k in np.ndindex(angles, radii):
        distance, angle = farthest ** (k / radii), 2 * math.pi * j / angles
        made[j, k] = at(picture, column + distance * math.cos(angle), row + distance * math.sin(angle))
    return made


@pytest.mark.parametrize(("shape", "size"), [((2, 6, 6), [8, 5]), ((1, 5, 9), [7, 4]), ((3, 1, 4), [1, 2])])
@pytest.mark.parametrize("moved", [False, True])
def test_a_log_polar_map_samples_where_the_paper_says(
    shape: tuple[int, ...], size: list[int], moved: bool
) -> None:
    x = random(2, *shape)
    origins = torch.tensor([[0.3, -0.2], [-1.1, 0.5]], dtype=torch.float64)
    inputs = (shape, (2,)) if moved else (shape,)
    made = lowered("log_polar", *inputs, size=size)(x, *([origins] if moved else []))
    assert made.shape == (2, shape[0], *size)
    for b, c in np.ndindex(2, shape[0]):
        origin = tuple(origins[b].tolist()) if moved else (0.0, 0.0)
        wanted = resampled(x[b, c].numpy(), *size, origin)
        assert np.allclose(made[b, c].numpy(), wanted, atol=1e-12)


def mass_of(heat: Array, mass: str) -> Array:
    if mass == "softmax":
        return np.exp(heat) / np.exp(heat).sum()
    if mass == "relu":
        return np.maximum(heat, 0) / np.maximum(heat, 0).sum()
    return heat / heat.sum()


@pytest.mark.parametrize("size", [(7,), (4, 6), (3, 2, 5)])
@pytest.mark.parametrize("mass", ["softmax", "relu", "sum"])
def test_a_centroid_is_the_centre_of_mass(size: tuple[int, ...], mass: str) -> None:
    x = random(3, 1, *size) + (2 if mass == "sum" else 0)
    made = lowered("centroid", (1, *size), mass=mass)(x)
    for b in range(3):
        share = mass_of(x[b, 0].numpy(), mass)
        wanted = np.zeros(len(size))
        for index in np.ndindex(*size):
            for axis, (i, n) in enumerate(zip(index, size, strict=True)):
                wanted[len(size) - 1 - axis] += share[index] * ((2 * i + 1) / n - 1)
        assert np.allclose(made[b].numpy(), wanted)


def test_a_map_without_mass_has_its_centroid_in_the_centre() -> None:
    x = -torch.rand(1, 1, 4, 5, dtype=torch.float64).requires_grad_()
    made = lowered("centroid", (1, 4, 5), mass="relu")(x)
    made.sum().backward()
    assert made.tolist() == [[0, 0]]


def test_a_map_of_another_resolution_has_the_same_centroid() -> None:
    x = torch.rand(1, 1, 4, 6, dtype=torch.float64)
    coarse = lowered("centroid", (1, 4, 6), mass="sum")(x)
    fine = lowered("centroid", (1, 12, 18), mass="sum")(x.repeat_interleave(3, 2).repeat_interleave(3, 3))
    assert torch.allclose(coarse, fine)


def test_the_gradient_reaches_the_map_and_the_origin() -> None:
    polar = lowered("log_polar", (2, 6, 6), (2,), size=[5, 4])
    x, origin = random(2, 2, 6, 6).requires_grad_(), (0.1 * random(2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(polar, (x, origin))
    for mass in ("softmax", "relu", "sum"):
        heat = (random(2, 1, 3, 4) + 3).requires_grad_()
        assert torch.autograd.gradcheck(lowered("centroid", (1, 3, 4), mass=mass), (heat,))


# ------------------------------------------------------------------------------ rules


@pytest.mark.parametrize("inputs", [[(3, 6, 7)], [(3, 6, 7), (2,)]])
def test_what_a_log_polar_map_costs_and_keeps(inputs: list[tuple[int, ...]]) -> None:
    layer = make("log_polar", size=[8, 5])
    shapes = tuple(map(Shape, inputs))
    assert layer.shape(*shapes) == (3, 8, 5)
    assert layer.macs(*shapes) == 0
    # 4 products and 3 sums for each of 120 outputs; the origin is added to 40 places of 2 numbers.
    assert layer.flops(*shapes) == 840 + (80 if len(inputs) == 2 else 0)
    module = Lowered(layer, *shapes)
    check_weights(layer, module.module, *shapes)
    check_saved(layer, module, *(torch.rand(3, *shape) for shape in inputs))


@pytest.mark.parametrize(
    ("mass", "flops"), [("softmax", 5 * 20 - 2), ("relu", 3 * 20 - 1), ("sum", 2 * 20 - 1)]
)
def test_what_a_centroid_costs_and_keeps(mass: str, flops: int) -> None:
    layer, x = make("centroid", mass=mass), Shape((1, 4, 5))
    assert layer.shape(x) == (2,)
    module = Lowered(layer, x)
    value = torch.rand(3, *x)
    assert layer.macs(x) == 40 == macs(module, value) / 3
    assert layer.flops(x) == 80 + flops
    check_saved(layer, module, value)


def test_what_they_read() -> None:
    x, point = Shape((1, 8, 8)), Shape((2,))
    assert make("log_polar", size=[8, 4]).reads(x) == (Reach.UNTOLD,)
    assert make("log_polar", size=[8, 4]).reads(x, point) == (Reach.CHOSEN, Reach.MIXED)
    assert make("centroid").reads(x) == (Reach.MIXED,)


def test_open_sizes_go_on_with_what_is_known() -> None:
    h, w = symbol("H"), symbol("W")
    x = Shape((3, h, w))
    assert make("log_polar", size=[8, 4]).shape(x) == (3, 8, 4)
    assert make("log_polar", size=[8, 4]).doubts(x, Shape((2,))) == ()
    assert make("log_polar", size=[h, 4]).shape(x) == (3, h, 4)
    (doubt,) = make("log_polar", size=[8, 4]).doubts(x, Shape((h,)))
    assert doubt.message() == "`log_polar` may not fit: whether H is 2 depends on H"
    (doubt,) = make("centroid").doubts(Shape((h, 3, w)))
    assert doubt.message() == "`centroid` may not fit: whether H is 1 depends on H"
    assert make("centroid").shape(Shape((1, h, w))) == (2,)
    assert make("centroid").macs(Shape((1, h, w))) == 2 * h * w
    text = "network Open {\n input x: [1, H, W]\n m: centroid\n from x -> log_polar([8, 4], origin=m)\n}"
    net = archdsl.loads(text)
    model = net.build().double()
    for height, width in ((5, 6), (9, 4)):
        picture = random(1, 1, height, width)
        origin = lowered("centroid", (1, height, width))(picture)
        wanted = lowered("log_polar", (1, height, width), (2,), size=[8, 4])(picture, origin)
        assert torch.equal(model(picture), wanted)


WRONG = [
    (
        "log_polar",
        {"size": [8, 4]},
        [(10,)],
        (0,),
        "`log_polar` works along spatial axes, and [10] is a vector",
    ),
    (
        "log_polar",
        {"size": [8, 4]},
        [(1, 9)],
        (0,),
        "`log_polar` is for images, and [1, 9] has 1 spatial axis",
    ),
    (
        "log_polar",
        {"size": [8, 4]},
        [(1, 9, 9, 9)],
        (0,),
        "`log_polar` is for images, and [1, 9, 9, 9] has 3 spatial axes",
    ),
    (
        "log_polar",
        {"size": [8, 4]},
        [(1, 9, 9), (3,)],
        (1,),
        "the origin of `log_polar` is a point of the plane, and [3] is none",
    ),
    (
        "log_polar",
        {"size": [8, 4]},
        [(1, 9, 9), (2, 1)],
        (1,),
        "the origin of `log_polar` is a point of the plane, and [2, 1] is none",
    ),
    ("centroid", {}, [(10,)], (0,), "`centroid` works along spatial axes, and [10] is a vector"),
    ("centroid", {}, [(2, 4, 4)], (0,), "`centroid` needs 1 channel, and [2, 4, 4] has 2"),
]


@pytest.mark.parametrize(("kind", "arguments", "inputs", "which", "message"), WRONG)
def test_what_does_not_fit_is_said(
    kind: str, arguments: dict[str, Any], inputs: list[tuple[int, ...]], which: tuple[int, ...], message: str
) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **arguments).shape(*map(Shape, inputs))
    assert (caught.value.inputs, caught.value.problem.message()) == (which, message)


@pytest.mark.parametrize("size", [8, [8], [8, 4, 2], [0, 4], ["_", 4]])
def test_a_grid_has_two_extents(size: Any) -> None:
    with pytest.raises(AssertionError, match="is refused"):
        make("log_polar", size=size)


# ------------------------------------------------------------------------------ turns


SHAPES = [(2, 8, 8), (2, 7, 7), (1, 5, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_quarter_turn_moves_the_angles_by_a_quarter(shape: tuple[int, int, int]) -> None:
    layer = make("log_polar", size=[12, 6])
    assert layer.answers(Motion.ROTATION, (SCALAR,), Shape(shape)) == Fibre("polar", 12, exact=True)
    polar, x = Lowered(layer, Shape(shape)), random(2, *shape)
    assert torch.allclose(polar(turned(x)), polar(x).roll(3, 2), rtol=0, atol=1e-12)
    assert not torch.allclose(polar(turned(x)), polar(x).roll(-3, 2), atol=0.1)


@pytest.mark.parametrize("mass", ["softmax", "relu", "sum"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_centroid_turns_and_takes_the_grid_along(shape: tuple[int, int, int], mass: str) -> None:
    layer, map_ = make("centroid", mass=mass), Shape((1, *shape[1:]))
    point = layer.answers(Motion.ROTATION, (SCALAR,), map_)
    assert point == Fibre("harmonic", orders=(1,), exact=True)
    centroid, heat = Lowered(layer, map_), random(2, *map_) + (1 if mass == "sum" else 0)
    here, there = centroid(heat), centroid(turned(heat))
    assert torch.allclose(torch.view_as_complex(there), 1j * torch.view_as_complex(here))
    assert here.abs().max() > 1e-2

    polar = make("log_polar", size=[12, 6])
    shapes = (Shape(shape), Shape((2,)))
    assert polar.answers(Motion.ROTATION, (SCALAR, point), *shapes) == Fibre("polar", 12, exact=True)
    run, x = Lowered(polar, *shapes), random(2, *shape)
    assert torch.allclose(run(turned(x), there), run(x, here).roll(3, 2), rtol=0, atol=1e-9)


def smooth(size: int, scale: float, angle: float) -> Tensor:
    """Some bells about the centre of a picture, scaled and turned there."""
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    c, s = math.cos(angle), math.sin(angle)
    u, v = (c * x + s * y) / scale, (-s * x + c * y) / scale
    bells = [(6.0, 2.0, 3.0), (-4.0, 5.0, 4.0), (-3.0, -7.0, 3.0)]
    return sum(
        (torch.exp(-((u - a) ** 2 + (v - b) ** 2) / (2 * d * d)) for a, b, d in bells), torch.zeros(())
    )


def test_any_turn_and_any_growth_moves_smooth_pictures_about() -> None:
    angles, radii, size = 30, 20, 64
    layer = make("log_polar", size=[angles, radii])
    shape = Shape((1, size, size))
    assert layer.answers(Motion.SCALE, (SCALAR,), shape) == Fibre("polar", exact=False)
    # 30 angles have no quarter.
    assert layer.answers(Motion.ROTATION, (SCALAR,), shape) == Fibre("polar", 30, exact=False)
    polar = Lowered(layer, shape)
    still = polar(smooth(size, 1, 0)[None, None])
    by = polar(smooth(size, 1, 4 * math.pi / angles)[None, None])
    assert (by - still.roll(2, 2)).abs().max() < 0.02 < (by - still).abs().max() / 10
    farthest = size / math.sqrt(2)
    grown = polar(smooth(size, farthest ** (2 / radii), 0)[None, None])
    assert (grown[..., 2:] - still[..., :-2]).abs().max() < 0.02 < (grown - still).abs().max() / 10


def test_of_other_motions_and_fibres_nothing_is_claimed() -> None:
    x, point = Shape((4, 8, 8)), Shape((2,))
    polar, centroid = make("log_polar", size=[8, 4]), make("centroid")
    regular, about = Fibre("regular", 4), Fibre("scalar", exact=False)
    assert polar.answers(Motion.REFLECTION, (SCALAR,), x) is None
    assert polar.answers(Motion.ROTATION, (regular,), x) is None
    assert polar.answers(Motion.ROTATION, (about,), x) == Fibre("polar", 8, exact=False)
    assert polar.answers(Motion.ROTATION, (SCALAR, SCALAR), x, point) is None
    assert polar.answers(Motion.ROTATION, (SCALAR, Fibre("harmonic", orders=(2,))), x, point) is None
    assert polar.answers(Motion.SCALE, (SCALAR, Fibre("harmonic", orders=(1,))), x, point) is None
    heat = Shape((1, 8, 8))
    assert centroid.answers(Motion.REFLECTION, (SCALAR,), heat) is None
    assert centroid.answers(Motion.SCALE, (SCALAR,), heat) is None
    assert centroid.answers(Motion.ROTATION, (SCALAR,), Shape((1, 8, 8, 8))) is None


# ------------------------------------------------------------------------------ whole networks

POLAR = """
network Polar {
  input image: [1, 8, 8]
  middle: conv(4, kernel=3, padding=1) -> relu -> conv(1, kernel=1) -> centroid
  from image -> log_polar([16, 6], origin=middle)
  pad([1, 0], mode=circular) -> conv(16, kernel=3, padding=[0, 1]) -> batch_norm -> relu
  pad([1, 0], mode=circular) -> conv(16, kernel=3, padding=[0, 1]) -> batch_norm -> relu
  global_max_pool -> flatten
  logits: linear(10)
}

train {
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.02)
  batch        = 50
  steps        = 40
  measurements = 1
  metrics      = [error]
}
"""


def test_padded_in_a_ring_a_network_does_not_see_a_quarter_turn() -> None:
    net = archdsl.loads(POLAR.replace("middle: conv(4, kernel=3, padding=1) -> relu -> ", "middle: "))
    body = net.build().double().eval()
    x = random(2, 1, 8, 8)
    assert torch.allclose(body(turned(x)), body(x), atol=1e-9)
    open_ = archdsl.loads(
        POLAR.replace("middle: conv(4, kernel=3, padding=1) -> relu -> ", "middle: ").replace(
            "mode=circular", "mode=zeros"
        )
    )
    body = open_.build().double().eval()
    assert not torch.allclose(body(turned(x)), body(x), atol=1e-6)


def test_a_polar_transformer_learns_digits(tmp_path: Path) -> None:
    (tmp_path / "polar.arch").write_text(POLAR)
    done = CliRunner().invoke(
        command,
        ["train", str(tmp_path / "polar.arch"), "--out", str(tmp_path / "run")],
        standalone_mode=False,
    )
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.5


def test_exported_source_runs_alone(worker: Standalone) -> None:
    compare(archdsl.loads(POLAR), worker)
    for mass in ("relu", "sum"):
        body = f"m: centroid(mass={mass})\nfrom x -> log_polar([5, 3], origin=m)\nlog_polar([2, 2])"
        compare(archdsl.loads(f"network Small {{\ninput x: [1, 6, 7]\n{body}\n}}"), worker)


def test_torch_exports_it() -> None:
    model = archdsl.loads(POLAR).build().eval()
    x = torch.rand(2, 1, 8, 8)
    exported = torch.export.export(model, (x,)).module()
    assert torch.allclose(exported(x), model(x))
