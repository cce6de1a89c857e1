"""Convolutions over p4 and p4m: against sums over the group written out, and by really turning images."""

from __future__ import annotations

import itertools
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
from archdsl.layers import Layer
from archdsl.layers.layer import Saved
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.layers.symmetry import SCALAR, Fibre, Motion
from archdsl.problems import Fault
from archdsl.sizes import substitute, symbol
from archdsl.training.trained import Trained

SIZES = {"p4": 4, "p4m": 8}
every_group = pytest.mark.parametrize("group", SIZES)

# ------------------------------------------------------------------------------ the group, as matrices

TURN = np.array([[0, 1], [-1, 0]])
"""What a quarter turn does to (row, column) from the centre: the right goes down, below goes to the left."""
REFLECTION = np.array([[1, 0], [0, -1]])


def members(group: str) -> list[np.ndarray]:
    """The members as matrices, in the order of the documentation."""
    turns = [np.linalg.matrix_power(TURN, r) for r in range(4)]
    return turns + ([turn @ REFLECTION for turn in turns] if group == "p4m" else [])


def index(group: str, matrix: np.ndarray) -> int:
    return next(i for i, member in enumerate(members(group)) if np.array_equal(member, matrix))


def by_definition(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, group: str, stride: int, padding: int
) -> np.ndarray:
    """The sum over features, members and positions, each filter value looked up where g^-1 carries it.

    `x` is [features, members, height, width], with one member for an image; `weight` is [outputs, features,
    members, kernel, kernel].
    """
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    outputs, _, given, kernel, _ = weight.shape
    rows, columns = ((n - kernel) // stride + 1 for n in x.shape[2:])
    centre = (kernel - 1) / 2
    elements = members(group)
    y = np.zeros((outputs, len(elements), rows, columns))
    for g, member in enumerate(elements):
        inverse = np.linalg.inv(member).round().astype(int)
        for h, (i, j) in itertools.product(range(given), itertools.product(range(kernel), repeat=2)):
            place = inverse @ np.array([i - centre, j - centre]) + centre
            k, m = place.round().astype(int)
            source_member = index(group, inverse @ elements[h]) if given > 1 else 0
            for row, column in itertools.product(range(rows), range(columns)):
                samples = x[:, h, row * stride + i, column * stride + j]
                y[:, g, row, column] += weight[:, :, source_member, k, m] @ samples
    return y if bias is None else y + bias[:, None, None, None]


def test_the_matrices_are_torchs_turn_and_flip() -> None:
    x = torch.zeros(3, 3)
    x[0, 2] = 1
    for moved, matrix in ((torch.rot90(x, 1, (-1, -2)), TURN), (x.flip(-1), REFLECTION)):
        assert (moved.nonzero()[0] - 1).tolist() == (matrix @ np.array([-1, 1])).tolist()


# ------------------------------------------------------------------------------ values

USES: list[tuple[str, dict[str, Any], tuple[int, int, int]]] = [
    ("lifting_conv", {"channels": 3, "kernel": 3}, (2, 5, 6)),
    ("lifting_conv", {"channels": 2, "kernel": 2, "group": "p4m", "stride": 2, "padding": 1}, (1, 4, 6)),
    ("lifting_conv", {"channels": 2, "kernel": 1, "group": "p4m", "bias": False}, (2, 3, 3)),
    ("group_conv", {"channels": 2, "kernel": 3, "padding": 1, "bias": False}, (8, 4, 3)),
    ("group_conv", {"channels": 3, "kernel": 3, "group": "p4m"}, (8, 5, 5)),
    ("group_conv", {"channels": 1, "kernel": 2, "group": "p4m", "stride": 2}, (16, 4, 4)),
]
every_use = pytest.mark.parametrize(("kind", "given", "x"), USES, ids=lambda value: str(value))


def lowered(kind: str, given: dict[str, Any], x: tuple[int, ...]) -> tuple[Layer, Lowered]:
    torch.manual_seed(0)
    layer = make(kind, **given)
    return layer, Lowered(layer, Shape(x)).double()


@every_use
def test_values_are_those_of_the_definition(
    kind: str, given: dict[str, Any], x: tuple[int, int, int]
) -> None:
    layer, module = lowered(kind, given, x)
    group = given.get("group", "p4")
    value = torch.randn(2, *x, dtype=torch.float64)
    made = module(value)
    assert tuple(made.shape[1:]) == layer.shape(Shape(x))
    run = SIZES[group] if kind == "group_conv" else 1
    weight = module.module.weight.detach().numpy()
    bias = None if module.module.bias is None else module.module.bias.detach().numpy()
    for one, result in zip(value.numpy(), made.detach(), strict=True):
        wanted = by_definition(
            one.reshape(-1, run, *x[1:]),
            weight if kind == "group_conv" else weight[:, :, None],
            bias,
            group,
            given.get("stride", 1),
            given.get("padding", 0),
        )
        torch.testing.assert_close(result, torch.from_numpy(wanted).flatten(0, 1))


@every_use
def test_costs_and_what_is_kept(kind: str, given: dict[str, Any], x: tuple[int, int, int]) -> None:
    layer, module = lowered(kind, given, x)
    shape = Shape(x)
    y = layer.shape(shape)
    check_weights(layer, module.module, shape)
    assert layer.macs(shape) == macs(module, torch.zeros(1, *x, dtype=torch.float64))
    assert layer.macs(shape) == y.count * x[0] * given["kernel"] ** 2
    assert layer.flops(shape) == 2 * layer.macs(shape) + (y.count if given.get("bias", True) else 0)
    check_saved(layer, module, torch.rand(3, *x))


@every_use
def test_which_units_are_read(kind: str, given: dict[str, Any], x: tuple[int, int, int]) -> None:
    layer, module = lowered(kind, given, x)
    y = layer.shape(Shape(x))
    (reads,) = layer.reads(Shape(x))
    assert torch.equal(support(module, Shape(x)), read_positions(reads, x[1:], y.size, "zeros"))


def test_weights_by_hand() -> None:
    lifting = make("lifting_conv", channels=5, kernel=3, group="p4m")
    assert lifting.weights(Shape((2, 9, 9))) == {"weight": Shape((5, 2, 3, 3)), "bias": Shape((5,))}
    conv = make("group_conv", channels=5, kernel=3, group="p4m")
    assert conv.weights(Shape((16, 9, 9))) == {"weight": Shape((5, 2, 8, 3, 3)), "bias": Shape((5,))}
    assert conv.saved(Shape((16, 9, 9))) == Saved(inputs=(0,), floats_once=40 * 16 * 9)
    assert "bias" not in make("group_conv", channels=5, kernel=3, bias=False).weights(Shape((16, 9, 9)))


def test_a_convolution_starts_as_torchs() -> None:
    torch.manual_seed(0)
    module = Lowered(make("group_conv", channels=64, kernel=3), Shape((64, 5, 5))).module
    like = torch.nn.Conv2d(64, 64, 3)
    for ours, theirs in ((module.weight, like.weight), (module.bias, like.bias)):
        assert float(ours.detach().abs().max()) == pytest.approx(float(theirs.detach().abs().max()), rel=0.1)


def test_padding_that_differs_from_side_to_side() -> None:
    plain = make("lifting_conv", channels=2, kernel=3)
    uneven = make("lifting_conv", channels=2, kernel=3, padding=[[2, 0], [1, 1]])
    assert source(uneven, Shape((1, 5, 5))) == (
        "GroupConv2d(1, 2, 3, members=4, lifting=True)",
        "module(F.pad(x0, (1, 1, 2, 0)))",
    )
    one, other = (Lowered(layer, Shape((1, 5, 5))) for layer in (plain, uneven))
    other.load_state_dict(one.state_dict())
    value = torch.rand(1, 1, 5, 5)
    wider = torch.nn.functional.pad(value, (1, 1, 2, 0))
    torch.testing.assert_close(other(value), one(wider))
    same = make("lifting_conv", channels=2, kernel=2, padding="same", stride=[2, 1])
    assert same.shape(Shape((1, 5, 5))) == (8, 3, 5)
    assert Lowered(same, Shape((1, 5, 5)))(value).shape == (1, 8, 3, 5)


@every_group
@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("size", [(), (5,), (4, 3), (2, 4, 3)])
def test_pooling_over_members(group: str, mode: str, size: tuple[int, ...]) -> None:
    n = SIZES[group]
    x = Shape((3 * n, *size))
    layer = make("group_pool", group=group, mode=mode)
    module = Lowered(layer, x)
    value = torch.randn(2, *x, dtype=torch.float64)
    array = value.numpy()
    take = np.max if mode == "max" else np.mean
    wanted = np.stack([take(array[:, c * n : (c + 1) * n], axis=1) for c in range(3)], 1)
    torch.testing.assert_close(module(value), torch.from_numpy(wanted))
    assert layer.shape(x) == (3, *size)
    assert layer.flops(x) == 3 * Shape((1, *size)).count * (n - (mode == "max"))
    assert layer.macs(x) == 0 and not layer.weights(x) and not layer.buffers(x)
    assert layer.reads(x) == (Reach.POINT,)
    check_saved(layer, module, value)


@every_group
@pytest.mark.parametrize("size", [(), (5,), (4, 3)])
def test_batch_norm_of_features(group: str, size: tuple[int, ...]) -> None:
    n = SIZES[group]
    x = Shape((3 * n, *size))
    layer = make("group_batch_norm", group=group, eps=0.01, momentum=0.2)
    module = Lowered(layer, x).double()
    norm = module.module
    check_weights(layer, norm, x)
    assert layer.weights(x) == {"weight": (3,), "bias": (3,)}
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    value = torch.randn(4, *x, dtype=torch.float64)
    array = value.numpy().reshape(4, 3, -1)
    mean, variance = array.mean((0, 2)), array.var((0, 2))
    weight, bias = (parameter.detach().numpy()[:, None] for parameter in (norm.weight, norm.bias))

    def normalised(mean: np.ndarray, variance: np.ndarray) -> Tensor:
        wanted = (array - mean[:, None]) / np.sqrt(variance[:, None] + 0.01) * weight + bias
        return torch.from_numpy(wanted.reshape(value.shape))

    torch.testing.assert_close(module(value), normalised(mean, variance))
    count = array[:, 0].size
    unbiased = variance * count / (count - 1)
    module.eval()
    torch.testing.assert_close(module(value), normalised(0.2 * mean, 0.8 + 0.2 * unbiased))
    assert layer.shape(x) == x and layer.macs(x) == 0 and layer.flops(x) == 2 * x.count
    assert layer.reads(x) == (Reach.POINT,)
    check_saved(layer, module.train(), value)
    assert not make("group_batch_norm", affine=False).weights(x)


# ------------------------------------------------------------------------------ turns and reflections


def turned(x: Tensor, times: int = 1) -> Tensor:
    return torch.rot90(x, times, (-1, -2))


def acted(y: Tensor, motion: Motion, n: int) -> Tensor:
    """A function on the group after a motion of the input, as the documentation words it."""
    runs = y.unflatten(1, (-1, n))
    moved = torch.empty_like(turned(runs) if motion is Motion.ROTATION else runs)
    for r, side in itertools.product(range(4), range(n // 4)):
        if motion is Motion.ROTATION:
            moved[:, :, 4 * side + (r + 1) % 4] = turned(runs[:, :, 4 * side + r])
        else:
            moved[:, :, 4 * (1 - side) + -r % 4] = runs[:, :, 4 * side + r].flip(-1)
    return moved.flatten(1, 2)


def stack(group: str, x: tuple[int, ...], *uses: tuple[str, dict[str, Any]]) -> list[Lowered]:
    torch.manual_seed(1)
    made = []
    shape = Shape(x)
    for kind, given in uses:
        layer = make(kind, **given, **({} if kind == "relu" else {"group": group}))
        made.append(Lowered(layer, shape).double())
        shape = layer.shape(shape)
    for module in made:
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    return made


def through(modules: list[Lowered], x: Tensor) -> Tensor:
    with torch.no_grad():
        for module in modules:
            x = module(x)
    return x


NETWORK = (
    ("lifting_conv", {"channels": 3, "kernel": 3, "padding": 1}),
    ("group_batch_norm", {}),
    ("relu", {}),
    ("group_conv", {"channels": 4, "kernel": 4, "padding": 2, "stride": 2, "bias": False}),
    ("group_batch_norm", {}),
    ("relu", {}),
    ("group_conv", {"channels": 2, "kernel": 3}),
)


@every_group
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(10, 10), (8, 12)])
def test_a_stack_answers_as_its_fibre_says(group: str, train: bool, size: tuple[int, int]) -> None:
    """By turning and reflecting real inputs, exactly, in use and while it is trained."""
    modules = stack(group, (2, *size), *NETWORK)
    for module in modules:
        module.train(train)
    torch.manual_seed(2)
    value = torch.randn(2, 2, *size, dtype=torch.float64)
    plain = through(modules, value)
    n = SIZES[group]
    torch.testing.assert_close(
        through(modules, turned(value)), acted(plain, Motion.ROTATION, n), rtol=1e-10, atol=1e-10
    )
    if group == "p4m":
        reflected = through(modules, value.flip(-1))
        torch.testing.assert_close(reflected, acted(plain, Motion.REFLECTION, n), rtol=1e-10, atol=1e-10)


@every_group
@pytest.mark.parametrize("mode", ["max", "mean"])
def test_what_is_pooled_only_turns(group: str, mode: str) -> None:
    modules = stack(group, (2, 10, 10), *NETWORK, ("group_pool", {"mode": mode}))
    torch.manual_seed(2)
    value = torch.randn(1, 2, 10, 10, dtype=torch.float64)
    plain = through(modules, value)
    torch.testing.assert_close(through(modules, turned(value)), turned(plain))
    reflected = through(modules, value.flip(-1))
    kept = torch.allclose(reflected, plain.flip(-1))
    assert kept is (group == "p4m")
    # What it is set against would be noticed.
    assert not torch.allclose(turned(plain), plain)


def test_a_stride_that_lies_unevenly_keeps_no_turns() -> None:
    """The analysis sees it by what is read: 7 samples and a stride of 2 leave one out, at one end alone."""
    modules = stack("p4", (1, 8, 8), ("lifting_conv", {"channels": 2, "kernel": 3, "stride": 2}))
    value = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    moved = acted(through(modules, value), Motion.ROTATION, 4)
    assert not torch.allclose(through(modules, turned(value)), moved)


def test_answers() -> None:
    x = Shape((1, 9, 9))
    about = SCALAR._replace(exact=False)
    for group, n in SIZES.items():
        regular = Fibre("regular", n)
        other = Fibre("regular", 12 - n)
        y = Shape((2 * n, 9, 9))
        lifting = make("lifting_conv", channels=2, kernel=3, group=group)
        conv = make("group_conv", channels=2, kernel=3, group=group)
        pool = make("group_pool", group=group)
        norm = make("group_batch_norm", group=group)
        assert lifting.answers(Motion.ROTATION, (SCALAR,), x) == regular
        assert lifting.answers(Motion.ROTATION, (about,), x) == regular._replace(exact=False)
        assert lifting.answers(Motion.REFLECTION, (SCALAR,), x) == (regular if group == "p4m" else None)
        assert lifting.answers(Motion.SCALE, (about,), x) is None
        assert lifting.answers(Motion.ROTATION, (regular,), y) is None
        assert conv.answers(Motion.ROTATION, (regular,), y) == regular
        assert conv.answers(Motion.REFLECTION, (regular,), y) == (regular if group == "p4m" else None)
        for motion in (Motion.ROTATION, Motion.REFLECTION):
            assert conv.answers(motion, (SCALAR,), y) is None
            assert pool.answers(motion, (regular,), y) == SCALAR
            assert pool.answers(motion, (SCALAR,), y) == SCALAR
            assert norm.answers(motion, (regular,), y) == regular
            for layer in (conv, pool, norm):
                assert layer.answers(motion, (other,), y) is None
                assert layer.answers(motion, (Fibre("harmonic", orders=(0,) * n),), y) is None
        assert pool.answers(Motion.ROTATION, (regular._replace(exact=False),), y) == about


# ------------------------------------------------------------------------------ open sizes, faults


@every_use
def test_symbolic_sizes_agree_with_numbers(kind: str, given: dict[str, Any], x: tuple[int, int, int]) -> None:
    layer = make(kind, **given)
    run = SIZES[given.get("group", "p4")] if kind == "group_conv" else 1
    open_ = Shape((run * symbol("C"), symbol("H"), symbol("W")))
    numbers = {"C": x[0] // run, "H": x[1], "W": x[2]}
    closed = Shape(x)
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
    assert messages("lifting_conv", c, h, 9, channels=2, kernel=3, padding=1) == []
    assert messages("lifting_conv", 1, h, 9, channels=2, kernel=3) == [
        "`lifting_conv` fits only where H >= 3"
    ]
    open_ = "may not fit: whether 4 divides C depends on C"
    assert messages("group_conv", c, 9, 9, channels=2, kernel=3) == [f"`group_conv` {open_}"]
    assert messages("group_pool", c, 9, 9) == [f"`group_pool` {open_}"]
    assert messages("group_batch_norm", c, 9, 9) == [f"`group_batch_norm` {open_}"]
    assert messages("group_pool", 8 * c, 9, 9, group="p4m") == []


@pytest.mark.parametrize(
    ("kind", "given", "x", "name", "message"),
    [
        ("lifting_conv", {"channels": 2, "kernel": 3}, (4,), "needs-map", "works along spatial axes"),
        ("lifting_conv", {"channels": 2, "kernel": 3}, (4, 9), "needs-plane", "has 1 spatial axis"),
        ("group_conv", {"channels": 2, "kernel": 3}, (4, 9, 9, 9), "needs-plane", "has 3 spatial axes"),
        ("group_batch_norm", {}, (4, 9, 9, 9), "needs-plane", "has 3 spatial axes"),
        ("lifting_conv", {"channels": 2, "kernel": 7}, (4, 5, 9), "window-outside-input", "a kernel of 7"),
        (
            "lifting_conv",
            {"channels": 2, "kernel": 3, "stride": [1, 2, 3]},
            (4, 9, 9),
            "argument-axes",
            "`stride` has 3 entries",
        ),
        (
            "group_conv",
            {"channels": 2, "kernel": 3},
            (6, 9, 9),
            "broken-runs",
            "`group_conv` takes runs of 4 channels, one for each member of p4, and [6, 9, 9] has 6",
        ),
        (
            "group_conv",
            {"channels": 2, "kernel": 3, "group": "p4m"},
            (4, 9, 9),
            "broken-runs",
            "member of p4m",
        ),
        ("group_pool", {"group": "p4m"}, (12, 9), "broken-runs", "`group_pool` takes runs of 8 channels"),
        ("group_batch_norm", {}, (2,), "broken-runs", "`group_batch_norm` takes runs of 4 channels"),
    ],
)
def test_faults(kind: str, given: dict[str, Any], x: tuple[int, ...], name: str, message: str) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **given).shape(Shape(x))
    assert caught.value.problem.name == name
    assert message in caught.value.problem.message()


# ------------------------------------------------------------------------------ whole networks

P4M = """\
## A p4m group-convolutional network for digits: its logits stay the same when a picture is turned by
## quarters or reflected.
network GroupDigits(classes = 10, width = 4) {
  input image: [1, 8, 8]

  lifting_conv(width, kernel=3, group=p4m, bias=false) -> group_batch_norm(group=p4m) -> relu
  group_conv(width, kernel=3, group=p4m, bias=false) -> group_batch_norm(group=p4m) -> relu
  group_conv(2 * width, kernel=3, group=p4m, bias=false) -> group_batch_norm(group=p4m) -> relu
  global_avg_pool -> group_pool(group=p4m) -> flatten
  logits: linear(classes)

  expect parameters == 4 * 9 + 8 + 4 * 4 * 8 * 9 + 8 + 8 * 4 * 8 * 9 + 16 + 8 * 10 + 10
}

train {
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.02)
  batch        = 50
  steps        = 60
  measurements = 1
  metrics      = [error]
}
"""


@pytest.fixture(scope="module")
def network() -> Any:
    return archdsl.loads(P4M)


def test_logits_do_not_change_with_turns_and_reflections(network: Any) -> None:
    torch.manual_seed(0)
    model = network.build().double().eval()
    value = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    plain = model(value)
    for r in range(4):
        torch.testing.assert_close(model(turned(value, r)), plain)
        torch.testing.assert_close(model(turned(value, r).flip(-1)), plain)
    assert not torch.allclose(model(value.roll(1, -1)), plain)


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
    (tmp_path / "digits.arch").write_text(P4M)
    given = ["train", str(tmp_path / "digits.arch"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, given, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.4
