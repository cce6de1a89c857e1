"""Scale-invariant convolution, against loops of NumPy, and with inputs that are moved and resized."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from layer_harness import Lowered, Tensor, check_saved, check_weights, macs, make, read_positions, support
from standalone import Standalone, compare

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.layers.symmetry import SCALAR, Motion
from archdsl.problems import Fault
from archdsl.sizes import substitute, symbol
from archdsl.training.trained import Trained

Array = Any
Arguments = dict[str, Any]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def use(x: tuple[int, ...], **given: Any) -> Lowered:
    return Lowered(make("scale_invariant_conv", **given), Shape(x)).double()


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


# ------------------------------------------------------------------------------ values


def between(x: Array, place: tuple[float, ...]) -> Any:
    """A map [channels, ...] between its samples, linearly; outside its outermost samples are repeated."""
    corners = []
    for at, extent in zip(place, x.shape[1:], strict=True):
        at = min(max(at, 0.0), extent - 1.0)
        low = min(math.floor(at), extent - 1)
        corners.append([(low, 1 - (at - low)), (min(low + 1, extent - 1), at - low)])
    total = np.zeros(x.shape[0])
    for chosen in itertools.product(*corners):
        total += math.prod(share for _, share in chosen) * x[(slice(None), *(i for i, _ in chosen))]
    return total


def sides_of(padding: Any, size: tuple[int, ...], kernel: Array, stride: Array) -> list[tuple[int, int]]:
    if padding != "same":
        return [(side, side) if isinstance(side, int) else tuple(side) for side in padding]
    made = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        total = max((math.ceil(n / s) - 1) * s + k - n, 0)
        made.append((total // 2, total - total // 2))
    return made


def convolved(x: Array, weight: Array, bias: Array, stride: Array, sides: Array) -> Array:
    padded = np.pad(x, [(0, 0), *sides])
    kernel = weight.shape[2:]
    size = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], kernel, stride, strict=True)]
    y = np.zeros((weight.shape[0], *size))
    for unit in np.ndindex(*size):
        cut = tuple(slice(u * s, u * s + k) for u, s, k in zip(unit, stride, kernel, strict=True))
        y[(slice(None), *unit)] = np.tensordot(weight, padded[(slice(None), *cut)], weight.ndim - 1) + bias
    return y


def reference(x: Array, weight: Array, bias: Array, scales: Any, stride: Any, padding: Any) -> Array:
    """Steps 1 to 3 of the page, and the maximum."""
    size, kernel = x.shape[1:], weight.shape[2:]
    sides = sides_of(padding, size, kernel, stride)
    best = convolved(x, weight, bias, stride, sides)
    for scale in scales:
        resized = np.zeros((x.shape[0], *(math.floor(n * scale + 1e-9) for n in size)))
        for i in np.ndindex(*resized.shape[1:]):
            resized[(slice(None), *i)] = between(x, tuple((j + 0.5) / scale - 0.5 for j in i))
        own = sides_of(padding, resized.shape[1:], kernel, stride)
        response = convolved(resized, weight, bias, stride, own)
        for unit in np.ndindex(*best.shape[1:]):
            place, outside = [], False
            for axis, u in enumerate(unit):
                # The middle of the unit's window, in the input and in the resized input, by edges of samples.
                middle = u * stride[axis] - sides[axis][0] + kernel[axis] / 2
                at = (middle * scale - kernel[axis] / 2 + own[axis][0]) / stride[axis]
                outside |= not -0.5 - 1e-9 <= at <= response.shape[axis + 1] - 0.5 + 1e-9
                place.append(at)
            if not outside:
                best[(slice(None), *unit)] = np.maximum(
                    best[(slice(None), *unit)], between(response, tuple(place))
                )
    return best


CASES: list[tuple[tuple[int, ...], Arguments]] = [
    ((2, 11), {"channels": 3, "kernel": 3, "scales": [0.5, 1, 2]}),
    (
        (2, 12),
        {"channels": 2, "kernel": 4, "scales": [1, 0.63, 1.25], "stride": 2, "padding": 1, "bias": False},
    ),
    ((1, 9, 8), {"channels": 2, "kernel": 3, "scales": [0.75, 1, 1.5], "padding": "same"}),
    (
        (1, 9, 8),
        {"channels": 2, "kernel": [3, 2], "scales": [0.5, 1, 1.1], "padding": "same", "stride": [2, 3]},
    ),
    ((1, 6, 7), {"channels": 1, "kernel": 2, "scales": [1, 1.5], "padding": [[0, 1], [1, 0]]}),
    ((1, 4, 5, 4), {"channels": 2, "kernel": 2, "scales": [0.5, 1, 1.5], "padding": [1, 0, 1]}),
    ((2, 7), {"channels": 3, "kernel": 3, "scales": [1]}),
]


def per_axis(value: Any, axes: int) -> Any:
    return value if isinstance(value, list | str) else [value] * axes


@pytest.mark.parametrize(("x", "arguments"), CASES)
def test_the_largest_response_over_the_scales_is_kept(x: tuple[int, ...], arguments: Arguments) -> None:
    run, axes = use(x, **arguments), len(x) - 1
    assert run.module is not None
    weight = run.module.weight.detach().numpy()
    bias = run.module.bias.detach().numpy() if arguments.get("bias", True) else 0
    value = random(2, *x)
    made = run(value).detach().numpy()
    assert made.shape[1:] == make("scale_invariant_conv", **arguments).shape(Shape(x))
    stride, padding = (per_axis(arguments.get(k, d), axes) for k, d in (("stride", 1), ("padding", 0)))
    for b in range(2):
        wanted = reference(value[b].numpy(), weight, bias, arguments["scales"], stride, padding)
        assert np.allclose(made[b], wanted, atol=1e-12)


def test_with_scale_one_alone_it_is_a_convolution() -> None:
    x = random(2, 3, 9, 8)
    given: Arguments = {"channels": 4, "kernel": 3, "stride": 2, "padding": 1}
    run = use((3, 9, 8), scales=[1], **given)
    plain = Lowered(make("conv", **given), Shape((3, 9, 8))).double()
    assert run.module is not None and plain.module is not None
    plain.module.load_state_dict(run.module.state_dict())
    assert torch.equal(run(x), plain(x))


def test_the_kernel_begins_as_that_of_a_convolution() -> None:
    module = use((8, 9, 9), channels=400, kernel=3, scales=[1]).module
    assert module is not None
    bound = 1 / math.sqrt(72)
    for tensor in (module.weight.detach(), module.bias.detach()):
        assert 0.95 * bound < float(tensor.abs().max()) < bound * (1 + 1e-6)
        assert abs(float(tensor.std()) - bound / math.sqrt(3)) < 0.1 * bound


def test_a_pattern_of_twice_the_size_is_found_as_strongly() -> None:
    """A spot that the kernel fits answers alike at half the size, where a convolution alone answers less."""
    place = torch.arange(33, dtype=torch.float64) - 16
    square = place[:, None] ** 2 + place[None] ** 2
    small, large = torch.exp(-square / 8), torch.exp(-square / 32)
    kernel = (small - torch.exp(-square / 18) * 4 / 9)[8:25, 8:25]
    kernel = kernel - kernel.mean()
    answers = []
    for scales in ([1], [0.5, 1]):
        run = use((1, 33, 33), channels=1, kernel=17, scales=scales, padding=8, bias=False)
        assert run.module is not None
        run.module.weight.data[0, 0] = kernel
        answers.append([float(run(x[None, None]).detach().max()) for x in (small, large)])
    assert answers[0][1] < 0.9 * answers[0][0]
    assert abs(answers[1][1] / answers[1][0] - 1) < 0.05


# ------------------------------------------------------------------------------ rules


@pytest.mark.parametrize(("x", "arguments"), CASES)
def test_weights_macs_and_saved(x: tuple[int, ...], arguments: Arguments) -> None:
    layer, shape = make("scale_invariant_conv", **arguments), Shape(x)
    run = Lowered(layer, shape)
    value = torch.rand(3, *x)
    check_weights(layer, run.module, shape)
    assert layer.macs(shape) == macs(run, value) / 3
    check_saved(layer, run, value)


def test_flops_by_hand() -> None:
    layer, x = make("scale_invariant_conv", channels=4, kernel=3, scales=[0.5, 1]), Shape((2, 10, 8))
    # Responses: 4 of 8 x 6 and 4 of 3 x 2, each of 18 products.
    count = 2 * 18 * 4 * (48 + 6)
    # There: 2 of 5 x 8, then 2 of 5 x 4. Back: 4 of 8 x 2, then 4 of 8 x 6.
    interpolated = 3 * (2 * 40 + 2 * 20 + 4 * 16 + 4 * 48)
    assert layer.flops(x) == count + 4 * (48 + 6) + interpolated + 4 * 48
    without = make("scale_invariant_conv", channels=4, kernel=3, scales=[0.5, 1], bias=False)
    assert without.flops(x) == count + interpolated + 4 * 48


@pytest.mark.parametrize(("x", "arguments"), CASES)
def test_a_unit_reads_within_its_bound(x: tuple[int, ...], arguments: Arguments) -> None:
    layer, shape = make("scale_invariant_conv", **arguments), Shape(x)
    (reads,) = layer.reads(shape)
    bound = read_positions(reads, x[1:], tuple(int(n) for n in layer.shape(shape)[1:]), "zeros")
    found = torch.zeros_like(bound)
    for _ in range(8):
        found |= support(use(x, **arguments), shape)
    assert not (found & ~bound).any()
    assert found.any(0).all()


def test_units_that_repeat_after_very_many_have_no_bound() -> None:
    """Of more than a field may have, whose pattern would be written out to be dropped."""
    layer = make("scale_invariant_conv", channels=2, kernel=3, scales=[1, 1.2599])
    assert layer.reads(Shape((1, 20))) == (Reach.UNTOLD,)


def test_the_bound_is_as_narrow_as_one_other_scale_makes_it() -> None:
    """Of a kernel of 1 at half the scale, unit j reads the two pairs of samples around it, and no others."""
    arguments: Arguments = {"channels": 6, "kernel": 1, "scales": [0.5, 1]}
    layer, x = make("scale_invariant_conv", **arguments), Shape((1, 16))
    (reads,) = layer.reads(x)
    assert isinstance(reads, tuple) and reads[0].at_most and not reads[0].wraps
    assert (reads[0].step_in, reads[0].step_out) == (2, 2)
    assert [list(offsets) for offsets in reads[0].offsets] == [[-2, -1, 0, 1], [0, 1, 2, 3]]
    bound = read_positions(reads, (16,), (16,), "zeros")
    found = torch.zeros_like(bound)
    for _ in range(30):
        found |= support(use((1, 16), **arguments), x, positive=False)
    assert torch.equal(found[:, 2:-2], bound[:, 2:-2])


@pytest.mark.parametrize(
    ("body", "shift"),
    [
        ("scale_invariant_conv(3, kernel=3, scales=[0.5, 1, 2])", 2),
        ("scale_invariant_conv(3, kernel=3, scales=[0.75, 1], padding=same) -> relu", 4),
        ("scale_invariant_conv(3, kernel=4, scales=[1, 1.5, 0.25], stride=2, padding=[[0, 2]])", 8),
    ],
)
def test_moved_by_the_common_denominator_the_answer_moves(body: str, shift: int) -> None:
    from test_equivariance import assert_moves, layers_of, lowered, network

    net = network(body, [2, 61])
    layer = layers_of(net)[-1]
    assert layer["equivariance"]["translation"] == "equivariant"
    assert layer["equivariance"]["shift"] == [shift]
    assert assert_moves(lowered(net), [2, 61], layer) == 1


def test_of_turns_and_scales_nothing_is_claimed() -> None:
    layer = make("scale_invariant_conv", channels=4, kernel=3, scales=[0.5, 1])
    for motion in Motion:
        assert layer.answers(motion, (SCALAR,), Shape((1, 8, 8))) is None


def test_open_sizes() -> None:
    h, w = symbol("H"), symbol("W")
    x, n = Shape((3, h, w)), Shape((3, 20, 17))
    layer = make("scale_invariant_conv", channels=4, kernel=3, scales=[0.5, 1, 1.5], stride=2)
    for rule in ("shape", "macs", "flops"):
        closed, open_ = getattr(layer, rule)(n), getattr(layer, rule)(x)
        found = open_ if rule != "shape" else tuple(open_)
        sizes = found if isinstance(found, tuple) else (found,)
        made = tuple(substitute(size, {"H": 20, "W": 17}) for size in sizes)
        assert made == (tuple(closed) if rule == "shape" else (closed,))
    assert layer.reads(x) == layer.reads(n)
    (note,) = layer.doubts(x)
    assert note.message() == "`scale_invariant_conv` fits only where H >= 6 and W >= 6"
    same = make("scale_invariant_conv", channels=4, kernel=3, scales=[0.5, 1], stride=2, padding="same")
    assert same.reads(x) == (Reach.UNTOLD,)
    assert [doubt.name for doubt in same.doubts(x)] == ["fits-only-where", "reads-depend-on-size"]
    line = "scale_invariant_conv(2, kernel=3, scales=[0.5, 1], padding=same)"
    text = f"network Open {{\n input x: [1, H, W]\n {line}\n}}"
    model = archdsl.loads(text).build().double()
    for height, width in ((8, 9), (5, 4)):
        run = use((1, height, width), channels=2, kernel=3, scales=[0.5, 1], padding="same")
        assert run.module is not None
        run.module.load_state_dict({k.rpartition(".")[2]: v for k, v in model.state_dict().items()})
        value = random(1, 1, height, width)
        assert torch.equal(model(value), run(value))


def test_scales_that_never_repeat_have_no_stencil() -> None:
    layer = make("scale_invariant_conv", channels=1, kernel=3, scales=[1, 1.000001])
    assert layer.reads(Shape((1, 20))) == (Reach.UNTOLD,)


@pytest.mark.parametrize(
    ("arguments", "x", "argument", "message"),
    [
        ({}, (3,), None, "`scale_invariant_conv` works along spatial axes, and [3] is a vector"),
        ({}, (3, 4, 4), "scales", "a kernel of 3 x 3 does not fit in 2 x 2"),
        ({"scales": [1, 2]}, (3, 2, 4), "kernel", "a kernel of 3 x 3 does not fit in 2 x 4"),
        (
            {"padding": 3, "scales": [0.1, 1]},
            (3, 8),
            "scales",
            "`scale_invariant_conv` of [3, 8] would have an extent of 0",
        ),
        ({"kernel": [3, 3]}, (3, 8), "kernel", "`kernel` has 2 entries, and [3, 8] has 1 spatial axis"),
        ({"stride": [1, 1]}, (3, 8), "stride", "`stride` has 2 entries, and [3, 8] has 1 spatial axis"),
        ({"padding": [1, 1]}, (3, 8), "padding", "`padding` has 2 entries, and [3, 8] has 1 spatial axis"),
    ],
)
def test_what_does_not_fit_is_said(
    arguments: Arguments, x: tuple[int, ...], argument: str | None, message: str
) -> None:
    given: Arguments = {"channels": 2, "kernel": 3, "scales": [0.5, 1], **arguments}
    with pytest.raises(Fault) as caught:
        make("scale_invariant_conv", **given).shape(Shape(x))
    assert (caught.value.argument, caught.value.problem.message()) == (argument, message)


@pytest.mark.parametrize("scales", [1, [], [2], [0, 1], [-1, 1], [1, 1], [1, "H"]])
def test_scales_are_different_numbers_with_one_among_them(scales: Any) -> None:
    with pytest.raises(AssertionError, match="is refused"):
        make("scale_invariant_conv", channels=2, kernel=3, scales=scales)


# ------------------------------------------------------------------------------ whole networks

NETWORK = """
network ScaleInvariant {
  input image: [1, 8, 8]
  scale_invariant_conv(8, kernel=3, scales=[0.5, 1, 1.5], padding=same) -> batch_norm -> relu -> max_pool(2)
  flatten
  logits: linear(10)
}

train {
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.02)
  batch        = 50
  steps        = 30
  measurements = 1
  metrics      = [error]
}
"""


def test_it_learns_digits(tmp_path: Path) -> None:
    (tmp_path / "scale.arch").write_text(NETWORK)
    done = CliRunner().invoke(
        command,
        ["train", str(tmp_path / "scale.arch"), "--out", str(tmp_path / "run")],
        standalone_mode=False,
    )
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.4


def test_exported_source_runs_alone(worker: Standalone) -> None:
    compare(archdsl.loads(NETWORK), worker)


def test_torch_exports_it() -> None:
    model = archdsl.loads(NETWORK).build().eval()
    x = torch.rand(2, 1, 8, 8)
    exported = torch.export.export(model, (x,)).module()
    assert torch.allclose(exported(x), model(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    run = use((1, 9, 9), channels=2, kernel=3, scales=[0.5, 1, 1.5], padding=1)
    x = random(2, 1, 9, 9)
    with torch.no_grad():
        wanted = run(x)
        made = run.to(dtype)(x.to(dtype))
    assert made.dtype == dtype
    assert torch.allclose(made.double(), wanted, atol=0.05 if dtype == torch.bfloat16 else 1e-12)
