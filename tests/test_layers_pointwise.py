"""Layers that keep the shape, each against direct calls of torch or its formula in float64.

A new layer of this sort adds one case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import pytest
import torch
from expected import oracle
from layer_harness import Lowered, check_saved, check_weights, make, source
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from archdsl.layers import Layer
from archdsl.layers.layer import Saved
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.problems import Fault
from archdsl.sizes import symbol

SHAPES = [Shape((6,)), Shape((6, 5)), Shape((6, 4, 3)), Shape((6, 2, 4, 3))]


@dataclass
class Case:
    """One use of a layer: what it should give, and how torch says it."""

    kind: str
    arguments: dict[str, Any]
    expected: Callable[..., Tensor]
    """Of the input, and of the weights by name where it has some."""
    flops: Callable[[int, int, int], int]
    """Of the elements, the channels and the positions, for one example."""
    module: Callable[[int, Shape], nn.Module] | None = None
    """torch's own module, of the spatial axes and the shape, where the layer has weights or buffers."""
    reach: Reach = Reach.POINT
    axes: tuple[int, ...] = (0, 1, 2, 3)
    saves: bool = True
    """Whether torch on the CPU keeps for the backward pass what the rule says."""
    written: dict[int, str] = field(default_factory=dict)
    """The call of torch.nn that is written, by the number of spatial axes."""

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"


def last(x: Tensor, weight: Tensor) -> Tensor:
    """A number a channel, put beside the axis of channels of `x`."""
    return weight.reshape(-1, *(1,) * (x.dim() - 2))


def normalised(x: Tensor, axes: tuple[int, ...], eps: float = 1e-5) -> Tensor:
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x * last(x, weight) + last(x, bias)


def batch_norm(eps: float = 1e-5) -> Callable[..., Tensor]:
    def expected(x: Tensor, running_mean: Tensor, running_var: Tensor, **learned: Tensor) -> Tensor:
        learned.pop("num_batches_tracked")
        y = (x - last(x, running_mean)) / (last(x, running_var) + eps).sqrt()
        return affine(y, **learned) if learned else y

    return expected


def everything(x: Tensor) -> tuple[int, ...]:
    return tuple(range(1, x.dim()))


def group_norm(groups: int, eps: float = 1e-5) -> Callable[..., Tensor]:
    def expected(x: Tensor, **learned: Tensor) -> Tensor:
        apart = x.unflatten(1, (groups, -1))
        y = normalised(apart, everything(apart)[1:], eps).flatten(1, 2)
        return affine(y, **learned) if learned else y

    return expected


def instance_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    y = normalised(x, everything(x)[1:])
    return y if weight is None or bias is None else affine(y, weight, bias)


def response_norm(size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> Callable[..., Tensor]:
    def expected(x: Tensor) -> Tensor:
        channels = x.shape[1]
        rows = []
        for c in range(channels):
            around = x[:, max(0, c - size // 2) : min(channels, c + (size - 1) // 2 + 1)]
            rows.append(x[:, c] / (k + alpha / size * around.square().sum(1)) ** beta)
        return torch.stack(rows, 1)

    return expected


def softmax(axis: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.exp() / x.exp().sum(axis, keepdim=True)


def each(cost: int) -> Callable[[int, int, int], int]:
    return lambda count, channels, positions: cost * count


NORMS: list[Any] = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d]
INSTANCES: list[Any] = [None, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d]

CASES = [
    Case("relu", {}, lambda x: x.clamp(min=0), each(1), written={2: "nn.ReLU()"}),
    Case("relu6", {}, lambda x: x.clamp(0, 6), each(2)),
    Case(
        "leaky_relu",
        {},
        lambda x: torch.where(x > 0, x, 0.01 * x),
        each(2),
        written={0: "nn.LeakyReLU()"},
    ),
    Case(
        "leaky_relu",
        {"slope": 0.2},
        lambda x: torch.where(x > 0, x, 0.2 * x),
        each(2),
        written={1: "nn.LeakyReLU(negative_slope=0.2)"},
    ),
    Case(
        "prelu",
        {},
        lambda x, weight: torch.where(x > 0, x, weight * x),
        each(2),
        lambda axes, x: nn.PReLU(),
        written={3: "nn.PReLU()"},
    ),
    Case(
        "prelu",
        {"per_channel": True},
        lambda x, weight: torch.where(x > 0, x, last(x, weight) * x),
        each(2),
        lambda axes, x: nn.PReLU(6),
        written={3: "nn.PReLU(6)"},
    ),
    Case("elu", {}, lambda x: torch.where(x > 0, x, x.exp() - 1), each(3)),
    Case(
        "selu",
        {},
        lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
        each(5),
    ),
    Case("gelu", {}, lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2, each(5)),
    Case("silu", {}, lambda x: x / (1 + (-x).exp()), each(5)),
    Case("mish", {}, lambda x: x * torch.tanh((1 + x.exp()).log()), each(9)),
    Case("sigmoid", {}, lambda x: 1 / (1 + (-x).exp()), each(4)),
    Case("tanh", {}, lambda x: ((2 * x).exp() - 1) / ((2 * x).exp() + 1), each(5)),
    Case("softplus", {}, lambda x: (1 + x.exp()).log(), each(3)),
    Case("hard_sigmoid", {}, lambda x: (x + 3).clamp(0, 6) / 6, each(4)),
    Case("hard_swish", {}, lambda x: x * (x + 3).clamp(0, 6) / 6, each(5)),
    Case("identity", {}, lambda x: x, each(0)),
    Case("softmax", {}, softmax(1), lambda n, c, p: (5 * c - 2) * p, written={2: "nn.Softmax(dim=1)"}),
    Case(
        "softmax",
        {"axis": "height"},
        softmax(2),
        lambda n, c, p: (5 * 4 - 2) * 6 * 3,
        reach=Reach.NORMALISED,
        axes=(2,),
        written={2: "nn.Softmax(dim=2)"},
    ),
    Case(
        "softmax",
        {"axis": "length"},
        softmax(2),
        lambda n, c, p: (5 * 5 - 2) * 6,
        reach=Reach.NORMALISED,
        axes=(1,),
    ),
    Case("log_softmax", {}, lambda x: softmax(1)(x).log(), lambda n, c, p: (5 * c - 1) * p),
    Case(
        "log_softmax",
        {"axis": "width"},
        lambda x: softmax(-1)(x).log(),
        lambda n, c, p: (5 * 3 - 1) * n // 3,
        reach=Reach.NORMALISED,
        axes=(2, 3),
    ),
    Case(
        "log_softmax",
        {"axis": "depth"},
        lambda x: softmax(2)(x).log(),
        lambda n, c, p: (5 * 2 - 1) * n // 2,
        reach=Reach.NORMALISED,
        axes=(3,),
    ),
    Case(
        "batch_norm",
        {},
        batch_norm(),
        each(2),
        lambda axes, x: NORMS[axes](6),
        written={0: "nn.BatchNorm1d(6)", 2: "nn.BatchNorm2d(6)"},
    ),
    Case(
        "batch_norm",
        {"eps": 0.1, "momentum": 0.01},
        batch_norm(0.1),
        each(2),
        lambda axes, x: NORMS[axes](6, eps=0.1, momentum=0.01),
        written={3: "nn.BatchNorm3d(6, eps=0.1, momentum=0.01)"},
    ),
    Case(
        "batch_norm",
        {"affine": False},
        batch_norm(),
        each(2),
        lambda axes, x: NORMS[axes](6, affine=False),
        written={1: "nn.BatchNorm1d(6, affine=False)"},
    ),
    Case(
        "layer_norm",
        {},
        lambda x, weight, bias: affine(normalised(x, (1,)), weight, bias),
        lambda n, c, p: 7 * n + 2 * p,
        lambda axes, x: nn.LayerNorm(6),
        written={0: "nn.LayerNorm(6)", 2: "nn.LayerNorm(6)"},
    ),
    Case(
        "layer_norm",
        {"eps": 0.1, "affine": False},
        lambda x: normalised(x, (1,), 0.1),
        lambda n, c, p: 5 * n + 2 * p,
        lambda axes, x: nn.LayerNorm(6, eps=0.1, elementwise_affine=False),
        written={2: "nn.LayerNorm(6, eps=0.1, elementwise_affine=False)"},
    ),
    Case(
        "layer_norm",
        {"axis": "all"},
        lambda x, weight, bias: normalised(x, everything(x)) * weight + bias,
        lambda n, c, p: 7 * n + 2,
        lambda axes, x: nn.LayerNorm(list(x)),
        reach=Reach.MIXED,
        written={0: "nn.LayerNorm(6)", 2: "nn.LayerNorm([6, 4, 3])"},
    ),
    Case(
        "layer_norm",
        {"axis": "all", "affine": False},
        lambda x: normalised(x, everything(x)),
        lambda n, c, p: 5 * n + 2,
        lambda axes, x: nn.LayerNorm(list(x), elementwise_affine=False),
        reach=Reach.NORMALISED,
    ),
    Case(
        "group_norm",
        {"groups": 2},
        group_norm(2),
        lambda n, c, p: 7 * n + 2 * 2,
        lambda axes, x: nn.GroupNorm(2, 6),
        reach=Reach.NORMALISED,
        written={1: "nn.GroupNorm(2, 6)"},
    ),
    Case(
        "group_norm",
        {"groups": 3, "eps": 0.1, "affine": False},
        group_norm(3, 0.1),
        lambda n, c, p: 5 * n + 2 * 3,
        lambda axes, x: nn.GroupNorm(3, 6, eps=0.1, affine=False),
        reach=Reach.NORMALISED,
        written={1: "nn.GroupNorm(3, 6, eps=0.1, affine=False)"},
    ),
    Case(
        "instance_norm",
        {},
        instance_norm,
        lambda n, c, p: 5 * n + 2 * c,
        lambda axes, x: INSTANCES[axes](6),
        reach=Reach.NORMALISED,
        axes=(1, 2, 3),
        written={2: "nn.InstanceNorm2d(6)"},
    ),
    Case(
        "instance_norm",
        {"eps": 1e-5, "affine": True},
        instance_norm,
        lambda n, c, p: 7 * n + 2 * c,
        lambda axes, x: INSTANCES[axes](6, affine=True),
        reach=Reach.NORMALISED,
        axes=(1, 2, 3),
        written={3: "nn.InstanceNorm3d(6, affine=True)"},
    ),
    Case("local_response_norm", {"size": 3}, response_norm(3), each(7)),
    Case(
        "local_response_norm",
        {"size": 4, "alpha": 0.5, "beta": 1.5, "k": 2},
        response_norm(4, 0.5, 1.5, 2),
        each(8),
        written={2: "nn.LocalResponseNorm(4, alpha=0.5, beta=1.5, k=2)"},
    ),
    Case(
        "dropout",
        {},
        lambda x: x,
        each(0),
        saves=False,  # the CPU keeps the mask as floats
        written={2: "nn.Dropout(0.5)"},
    ),
    Case("dropout", {"rate": 0}, lambda x: x, each(0)),
    Case(
        "channel_dropout",
        {"rate": 0.2},
        lambda x: x,
        each(0),
        axes=(1, 2, 3),
        written={1: "nn.Dropout1d(0.2)", 2: "nn.Dropout2d(0.2)", 3: "nn.Dropout3d(0.2)"},
    ),
    Case(
        "channel_dropout",
        {},
        lambda x: x,
        each(0),
        axes=(0,),
        saves=False,  # the CPU keeps the mask as floats
        written={0: "nn.Dropout(0.5)"},
    ),
    Case("channel_dropout", {"rate": 0}, lambda x: x, each(0)),
]

USES = [pytest.param(case, SHAPES[axes], id=f"{case}-{axes}") for case in CASES for axes in case.axes]
LEARNING = [
    pytest.param(case, SHAPES[axes], id=f"{case}-{axes}")
    for case in CASES
    if case.module
    for axes in case.axes
]
KEEPING = [
    pytest.param(case, SHAPES[axes], id=f"{case}-{axes}")
    for case in CASES
    if case.saves
    for axes in case.axes
]


def of(case: Case) -> Layer:
    return make(case.kind, **case.arguments)


def scattered(module: nn.Module | None) -> dict[str, Tensor]:
    """Gives weights and buffers random numbers, in float64, and returns them by name."""
    if module is None:
        return {}
    module.double().eval()
    state = module.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, dtype=torch.float64) + (0.5 if "var" in name else 0))
    return state


@pytest.mark.parametrize(("case", "x"), USES)
def test_values_are_those_of_the_formula(case: Case, x: Shape) -> None:
    torch.manual_seed(0)
    used = of(case)
    lowered = Lowered(used, x)
    state = scattered(lowered.module)
    value = 3 * torch.randn(4, *x, dtype=torch.float64)
    output = lowered(value)
    assert output.shape == (4, *used.shape(x))
    torch.testing.assert_close(output, case.expected(value, **state), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("case", "x"), USES)
def test_shape_and_multiplications_are_torchs(case: Case, x: Shape) -> None:
    learned = case.module(x.axes, x).state_dict() if case.module else {}
    state = {name: tensor.to("meta") for name, tensor in learned.items()}
    value = torch.empty(2, *x, device="meta")
    with FlopCounterMode(display=False) as counter:
        output = case.expected(value, **state)
    assert of(case).shape(x) == Shape(output.shape[1:])
    assert of(case).macs(x) == counter.get_total_flops() == 0


@pytest.mark.parametrize(("case", "x"), USES)
def test_flops_are_as_documented(case: Case, x: Shape) -> None:
    assert of(case).flops(x) == case.flops(prod(x), x[0], prod(x[1:]))


@pytest.mark.parametrize(("case", "x"), LEARNING)
def test_weights_and_buffers_are_those_of_torchs_module(case: Case, x: Shape) -> None:
    assert case.module is not None
    theirs = case.module(x.axes, x)
    ours = of(case)
    written = Lowered(ours, x).module
    for module in (theirs, written):
        check_weights(ours, module, x)
    whole = {name for name, tensor in theirs.named_buffers() if not tensor.is_floating_point()}
    assert whole == {name for name, buffer in ours.buffers(x).items() if buffer.integer}
    settings = ("eps", "momentum", "affine", "num_groups", "elementwise_affine")
    for setting in settings:
        assert getattr(written, setting, None) == getattr(theirs, setting, None)


@pytest.mark.parametrize("case", [case for case in CASES if not case.module], ids=str)
def test_the_others_have_none(case: Case) -> None:
    x = SHAPES[case.axes[0]]
    assert not of(case).weights(x)
    assert not of(case).buffers(x)
    assert not Lowered(of(case), x).state_dict()


@pytest.mark.parametrize(("case", "axes"), [(case, axes) for case in CASES for axes in case.written], ids=str)
def test_the_call_is_written_as_people_write_it(case: Case, axes: int) -> None:
    text, _ = source(of(case), SHAPES[axes])
    assert text == case.written[axes]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("case", "x"), KEEPING)
def test_backward_keeps_what_the_rule_says(case: Case, x: Shape, batch: int) -> None:
    if case.kind == "batch_norm" and x.axes == 0 and batch == 1:
        batch = 2  # torch refuses to take a variance of one number
    check_saved(of(case), Lowered(of(case), x), torch.rand(batch, *x))


def test_a_mask_is_a_byte_an_element() -> None:
    x = Shape((6, 4, 3))
    assert make("dropout").saved(x).extra == 72
    assert make("channel_dropout").saved(x) == Saved(floats=6)
    assert make("channel_dropout").saved(Shape((6,))).extra == 6


@pytest.mark.parametrize(("case", "x"), USES)
def test_a_unit_reads_what_the_rule_says(case: Case, x: Shape) -> None:
    """By the support of the gradient of the last position, in float64, as the network is used."""
    ours = of(case).reads(x)
    assert ours == (case.reach if x.axes else Reach.POINT,)
    position = tuple(extent - 1 for extent in x.size)
    torch.manual_seed(0)
    value = (torch.rand(1, *x, dtype=torch.float64) + 0.5).requires_grad_()
    unit = Lowered(of(case), x).double().eval()(value)[(0, slice(None), *position)]
    (torch.rand(unit.shape, dtype=torch.float64) * unit).sum().backward()
    assert value.grad is not None
    found = {tuple(place) for place in value.grad[0].abs().sum(0).nonzero().tolist()}
    if ours == (Reach.POINT,):
        assert found == {position}
    else:
        assert position in found
        assert len(found) > 1


def test_batch_norm_has_twice_its_channels_and_a_counter_of_buffers() -> None:
    buffers = make("batch_norm").buffers(Shape((16, 4, 4)))
    assert sum(buffer.shape.count for buffer in buffers.values()) == 33


ORACLE = {
    "batchnorm2d": lambda arguments: make("batch_norm", affine=arguments["affine"]),
    "instancenorm2d": lambda arguments: make("instance_norm", affine=arguments["affine"]),
    "groupnorm": lambda arguments: make("group_norm", groups=arguments["groups"]),
    "prelu": lambda arguments: make("prelu", per_channel=arguments["n"] > 1),
    "lrn": lambda arguments: make("local_response_norm", size=arguments["size"]),
}
COUNTED = [case for case in oracle("ops") if case["group"] == "params" and case["op"] in ORACLE]


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: case["id"])
def test_counts_agree_with_the_oracle(case: dict[str, Any]) -> None:
    x = Shape(case["inputs"][0][1:])
    used = ORACLE[case["op"]](case["args"])
    assert list(used.shape(x)) == case["output"][1:]
    assert sum(shape.count for shape in used.weights(x).values()) == case["params"] == case["trainable"]
    assert sum(buffer.shape.count for buffer in used.buffers(x).values()) == case["buffers"]
    assert used.macs(x) == case["macs_with_batch"] == 0


def test_the_oracle_has_cases() -> None:
    assert len(COUNTED) == 6


# ------------------------------------------------------------------------------ what does not fit

WRONG = [
    (
        "softmax",
        {"axis": "length"},
        (6, 4, 3),
        "axis",
        "[6, 4, 3] has no axis `length`",
        "expected `channels`, `height` or `width`",
        None,
    ),
    (
        "log_softmax",
        {"axis": "width"},
        (6,),
        "axis",
        "[6] has no axis `width`",
        "expected `channels`",
        None,
    ),
    (
        "group_norm",
        {"groups": 4},
        (10, 8, 8),
        "groups",
        "`group_norm` can't put 10 channels into 4 equal groups",
        "expected a divisor of 10",
        "10 channels make 2 or 5 equal groups",
    ),
    (
        "group_norm",
        {"groups": 12},
        (10, 8, 8),
        "groups",
        "`group_norm` can't put 10 channels into 12 equal groups",
        "expected a divisor of 10",
        "10 channels make 10 equal groups",
    ),
    (
        "instance_norm",
        {},
        (64,),
        None,
        "`instance_norm` of [64] has one number a channel to normalise over",
        "expected a map of at least 2 positions",
        "`layer_norm` normalises over the channels, `batch_norm` over the batch",
    ),
    (
        "instance_norm",
        {},
        (64, 1, 1),
        None,
        "`instance_norm` of [64, 1, 1] has one number a channel to normalise over",
        "expected a map of at least 2 positions",
        "`layer_norm` normalises over the channels, `batch_norm` over the batch",
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "x", "argument", "message", "label", "mend"), WRONG)
def test_what_does_not_fit_is_said(
    kind: str,
    arguments: dict[str, Any],
    x: tuple[int, ...],
    argument: str | None,
    message: str,
    label: str,
    mend: str | None,
) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **arguments).shape(Shape(x))
    problem = caught.value.problem
    assert (caught.value.argument, problem.message(), problem.label(), problem.help()) == (
        argument,
        message,
        label,
        mend,
    )


def test_groups_of_symbolic_channels_are_doubted() -> None:
    channels = symbol("C")
    used = make("group_norm", groups=4)
    assert used.shape(Shape((channels, 8))) == (channels, 8)
    (doubt,) = used.doubts(Shape((channels, 8)))
    assert doubt.severity == "warning"
    assert doubt.message() == "`group_norm` may not fit: whether C channels make 4 equal groups depends on C"
    assert not used.doubts(Shape((4 * channels, 8)))


def test_symbolic_shapes_give_symbolic_costs() -> None:
    height = symbol("H")
    x = Shape((6, height, 3))
    assert str(make("relu").flops(x)) == "18*H"
    assert str(make("softmax", axis="height").flops(x)) == "90*H - 36"
    assert str(make("layer_norm", axis="all").weights(x)["weight"].count) == "18*H"
    assert str(make("local_response_norm", size=5).saved(x).floats) == "66*H"
