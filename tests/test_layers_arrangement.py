"""Layers that rearrange, take apart, join and begin values, each against direct calls of torch.

A new layer of this sort adds one case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import pytest
import torch
from expected import oracle
from layer_harness import Lowered, check_saved, check_weights, macs, make, read_positions, source, support
from torch import Tensor

from archdsl.layers import LAYERS, Layer
from archdsl.layers.layer import Saved
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach, Stencil, shifted
from archdsl.layers.structure import Input
from archdsl.problems import Fault
from archdsl.sizes import symbol

MIXED, POINT, POOLED = Reach.MIXED, Reach.POINT, Reach.POOLED

Reading = Reach | str
"""A reach, or `stencils`: those of the rule are compared with what torch computes."""


@dataclass
class Case:
    """One use of a layer: what it should give, and how torch says it."""

    kind: str
    arguments: dict[str, Any]
    inputs: list[tuple[int, ...]]
    expected: Callable[..., Any]
    """Of the inputs, with their batch."""
    reads: list[Reading]
    """Of each input; of a layer with several results, of each result."""
    written: str
    """The expression that is written for the output."""
    flops: int = 0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(map(Shape, self.inputs))

    @property
    def layer(self) -> Layer:
        return make(self.kind, **self.arguments)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.kind}({given})-{'-'.join('x'.join(map(str, shape)) for shape in self.inputs)}"


def dealt(x: Tensor, groups: int) -> Tensor:
    """Channels dealt out, by counting."""
    each = x.shape[1] // groups
    return torch.stack([x[:, g * each + j] for j in range(each) for g in range(groups)], 1)


CASES = [
    Case("flatten", {}, [(6,)], lambda x: x, [POINT], "x0"),
    Case("flatten", {}, [(3, 4)], lambda x: torch.flatten(x, 1), [MIXED], "x0.flatten(1)"),
    Case("flatten", {}, [(3, 4, 5)], lambda x: torch.flatten(x, 1), [MIXED], "x0.flatten(1)"),
    Case("flatten", {}, [(3, 4, 5, 2)], lambda x: torch.flatten(x, 1), [MIXED], "x0.flatten(1)"),
    Case("flatten", {}, [(8, 1, 1)], lambda x: x[:, :, 0, 0], [MIXED], "x0.flatten(1)"),
    Case(
        "reshape",
        {"shape": [4, 5, 3]},
        [(60,)],
        lambda x: x.view(-1, 4, 5, 3),
        [MIXED],
        "x0.reshape(-1, 4, 5, 3)",
    ),
    Case(
        "reshape",
        {"shape": [6, "_"]},
        [(3, 4, 5)],
        lambda x: x.view(-1, 6, 10),
        [MIXED],
        "x0.reshape(-1, 6, 10)",
    ),
    Case("reshape", {"shape": ["_"]}, [(3, 4)], lambda x: x.view(-1, 12), [MIXED], "x0.reshape(-1, 12)"),
    Case(
        "reshape",
        {"shape": [2, 3, 2, "_"]},
        [(60,)],
        lambda x: x.view(-1, 2, 3, 2, 5),
        [MIXED],
        "x0.reshape(-1, 2, 3, 2, 5)",
    ),
    Case("reshape", {"shape": [3, "_", 5]}, [(3, 4, 5)], lambda x: x, [POINT], "x0.reshape(-1, 3, 4, 5)"),
    Case(
        "reshape",
        {"shape": [8, 1, 1]},
        [(8,)],
        lambda x: x[:, :, None, None],
        [MIXED],
        "x0.reshape(-1, 8, 1, 1)",
    ),
    Case("permute", {"order": [0]}, [(6,)], lambda x: x, [POINT], "x0.permute(0, 1)"),
    Case("permute", {"order": [1, 0]}, [(3, 4)], lambda x: x.transpose(1, 2), [MIXED], "x0.permute(0, 2, 1)"),
    Case(
        "permute",
        {"order": ["channels", "width", "height"]},
        [(3, 4, 5)],
        lambda x: x.transpose(2, 3),
        [MIXED],
        "x0.permute(0, 1, 3, 2)",
    ),
    Case(
        "permute",
        {"order": ["width", 0, "depth", 2]},
        [(3, 4, 5, 2)],
        lambda x: torch.einsum("bcdhw->bwcdh", x),
        [MIXED],
        "x0.permute(0, 4, 1, 2, 3)",
    ),
    Case("permute", {"order": [0, 1, 2]}, [(3, 4, 5)], lambda x: x, [POINT], "x0.permute(0, 1, 2, 3)"),
    Case("slice", {"start": 1, "end": 3}, [(5,)], lambda x: x.narrow(1, 1, 2), [POINT], "x0[:, 1:3]"),
    Case("slice", {"start": 0, "end": 3}, [(5, 4)], lambda x: x.narrow(1, 0, 3), [POINT], "x0[:, 0:3]"),
    Case(
        "slice",
        {"start": 2, "end": 7, "axis": "length"},
        [(5, 9)],
        lambda x: x.narrow(2, 2, 5),
        ["stencils"],
        "x0[:, :, 2:7]",
    ),
    Case(
        "slice",
        {"start": 1, "end": 4, "axis": "width"},
        [(2, 3, 4)],
        lambda x: x.narrow(3, 1, 3),
        ["stencils"],
        "x0[:, :, :, 1:4]",
    ),
    Case(
        "slice",
        {"start": 0, "end": 1, "axis": "depth"},
        [(2, 3, 4, 2)],
        lambda x: x.narrow(2, 0, 1),
        ["stencils"],
        "x0[:, :, 0:1]",
    ),
    Case(
        "select",
        {"indices": [4, 0, 0]},
        [(5,)],
        lambda x: torch.stack([x[:, 4], x[:, 0], x[:, 0]], 1),
        [POINT],
        "x0[:, [4, 0, 0]]",
    ),
    Case("select", {"indices": [3]}, [(5, 4)], lambda x: x[:, 3, None], [POINT], "x0[:, 3:4]"),
    Case("select", {"indices": [1, 3, 5]}, [(6, 2, 2)], lambda x: x[:, [1, 3, 5]], [POINT], "x0[:, 1:6:2]"),
    Case(
        "select",
        {"indices": [1, 4, 7], "axis": "length"},
        [(2, 9)],
        lambda x: x.index_select(2, torch.tensor([1, 4, 7], device=x.device)),
        ["stencils"],
        "x0[:, :, 1:8:3]",
    ),
    Case(
        "select",
        {"indices": [5, 0, 2, 2], "axis": "height"},
        [(2, 6, 3)],
        lambda x: x.index_select(2, torch.tensor([5, 0, 2, 2], device=x.device)),
        ["stencils"],
        "x0[:, :, [5, 0, 2, 2]]",
    ),
    Case(
        "select",
        {"indices": [2, 1, 0], "axis": "width"},
        [(2, 2, 2, 3)],
        lambda x: x.flip(4),
        ["stencils"],
        "x0[:, :, :, :, [2, 1, 0]]",
    ),
    Case(
        "channel_shuffle",
        {"groups": 3},
        [(12,)],
        lambda x: dealt(x, 3),
        [POINT],
        "x0.unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)",
    ),
    Case(
        "channel_shuffle",
        {"groups": 2},
        [(6, 3, 4)],
        lambda x: torch.nn.functional.channel_shuffle(x, 2) if x.device.type == "cpu" else dealt(x, 2),
        [POINT],
        "x0.unflatten(1, (2, 3)).transpose(1, 2).flatten(1, 2)",
    ),
    Case(
        "split",
        {"sizes": [1, 2, 3]},
        [(6, 4)],
        lambda x: (x[:, :1], x[:, 1:3], x[:, 3:]),
        [POINT, POINT, POINT],
        "x0.split([1, 2, 3], dim=1)",
    ),
    Case(
        "split",
        {"sizes": [4, 1], "axis": "width"},
        [(2, 3, 5)],
        lambda x: (x[..., :4], x[..., 4:]),
        ["stencils", "stencils"],
        "x0.split([4, 1], dim=3)",
    ),
    Case("split", {"sizes": [5]}, [(5,)], lambda x: (x,), [POINT], "x0.split([5], dim=1)"),
    Case("add", {}, [(6,), (6,)], lambda x, y: x + y, [POINT, POINT], "x0 + x1", 6),
    Case("add", {}, [(6, 2, 2)], lambda x: x, [POINT], "x0"),
    Case("add", {}, [(3, 4), (3, 4), (3, 4)], lambda x, y, z: z + y + x, [POINT] * 3, "x0 + x1 + x2", 24),
    Case(
        "add",
        {},
        [(3, 1, 1), (3, 1, 1), (3, 4, 5)],
        lambda x, y, z: z + (y + x).expand_as(z),
        [POOLED, POOLED, POINT],
        "x0 + x1 + x2",
        3 + 60,
    ),
    Case("add", {}, [(1, 4, 5), (3, 4, 5)], lambda x, y: y + x, [POINT, POINT], "x0 + x1", 60),
    Case("add", {}, [(3, 4, 1), (3, 1, 5)], lambda x, y: x + y, [MIXED, MIXED], "x0 + x1", 60),
    Case("add", {}, [(3, 2, 4, 5), (3, 2, 4, 5)], lambda x, y: x + y, [POINT, POINT], "x0 + x1", 120),
    Case("subtract", {}, [(3, 4), (3, 4)], lambda x, y: x + -1 * y, [POINT, POINT], "x0 - x1", 12),
    Case(
        "subtract",
        {},
        [(3, 4), (3, 4), (1, 4)],
        lambda x, y, z: x - (y + z),
        [POINT] * 3,
        "x0 - x1 - x2",
        24,
    ),
    Case("multiply", {}, [(6,), (6,)], lambda x, y: torch.mul(x, y), [POINT, POINT], "x0 * x1", 6),
    Case("multiply", {}, [(6,)], lambda x: x, [POINT], "x0"),
    Case(
        "multiply",
        {},
        [(3, 4, 5), (3, 1, 1)],
        lambda x, y: torch.einsum("bchw,bcij->bchw", x, y),
        [POINT, POOLED],
        "x0 * x1",
        60,
    ),
    Case(
        "multiply",
        {},
        [(3, 4), (3, 4), (3, 4), (3, 4)],
        lambda *xs: torch.stack(xs).prod(0),
        [POINT] * 4,
        "x0 * x1 * x2 * x3",
        36,
    ),
    Case(
        "concat",
        {},
        [(6,), (2,)],
        lambda x, y: torch.hstack([x, y]),
        [POINT, POINT],
        "torch.cat([x0, x1], dim=1)",
    ),
    Case("concat", {}, [(6, 3)], lambda x: x, [POINT], "x0"),
    Case(
        "concat",
        {},
        [(3, 4, 5), (1, 4, 5), (2, 4, 5)],
        lambda x, y, z: torch.hstack([x, y, z]),
        [POINT] * 3,
        "torch.cat([x0, x1, x2], dim=1)",
    ),
    Case(
        "concat",
        {"axis": "length"},
        [(3, 4), (3, 2), (3, 1)],
        lambda x, y, z: torch.cat([x.mT, y.mT, z.mT], 1).mT,
        ["stencils"] * 3,
        "torch.cat([x0, x1, x2], dim=2)",
    ),
    Case(
        "concat",
        {"axis": "height"},
        [(3, 2, 3), (3, 3, 3)],
        lambda x, y: torch.cat([x, y], -2),
        ["stencils", "stencils"],
        "torch.cat([x0, x1], dim=2)",
    ),
    Case(
        "concat",
        {"axis": "depth"},
        [(2, 2, 2, 3), (2, 1, 2, 3)],
        lambda x, y: torch.cat([x, y], 2),
        ["stencils", "stencils"],
        "torch.cat([x0, x1], dim=2)",
    ),
]


def results(value: Any) -> tuple[Any, ...]:
    """The results of a layer: shapes or tensors."""
    return (value,) if isinstance(value, Shape | Tensor) else tuple(value)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_are_torchs(case: Case) -> None:
    torch.manual_seed(0)
    values = [torch.randn(4, *x, dtype=torch.float64) for x in case.inputs]
    found = results(Lowered(case.layer, *case.shapes)(*values))
    wanted = results(case.expected(*values))
    assert [tuple(value.shape) for value in found] == [
        (4, *y) for y in results(case.layer.shape(*case.shapes))
    ]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shape_and_costs_are_torchs(case: Case) -> None:
    values = [torch.empty(2, *x, device="meta") for x in case.inputs]
    wanted = [tuple(value.shape[1:]) for value in results(case.expected(*values))]
    used = case.layer
    assert results(used.shape(*case.shapes)) == tuple(wanted)
    check_weights(used, None, *case.shapes)
    assert used.flops(*case.shapes) == case.flops
    assert used.macs(*case.shapes) == macs(Lowered(used, *case.shapes), *values) == 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_expression_is_written_as_people_write_it(case: Case) -> None:
    assert source(case.layer, *case.shapes) == (None, case.written)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_backward_keeps_what_the_rule_says(case: Case, batch: int) -> None:
    values = [torch.rand(batch, *x) for x in case.inputs]
    check_saved(case.layer, Lowered(case.layer, *case.shapes), *values)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_unit_reads_what_the_rule_says(case: Case) -> None:
    used, xs = case.layer, case.shapes
    outputs = results(used.shape(*xs))
    lowered = Lowered(used, *xs)
    for number, wanted in enumerate(case.reads):
        result, of = (number, 0) if len(outputs) > 1 else (0, number)
        reads = used.reads_of(result, *xs)[of]

        def alone(x: Tensor, of: int = of, result: int = result) -> Tensor:
            """The result of one input, the others fixed."""
            values = [torch.full((len(x), *shape), 0.7, dtype=torch.float64) for shape in xs]
            values[of] = x
            return results(lowered(*values))[result]

        if wanted == "stencils":
            assert isinstance(reads, tuple)
        else:
            assert reads is wanted
        if wanted is MIXED or not xs[of].axes:
            continue
        if wanted is POINT:
            reads = tuple(shifted(0) for _ in xs[of].size)
        found = support(alone, xs[of])
        assert torch.equal(found, read_positions(reads, xs[of].size, outputs[result].size, "zeros"))


def test_a_split_along_space_claims_nothing_of_all_its_results() -> None:
    x = Shape((2, 3, 5))
    assert make("split", sizes=[4, 1], axis="width").reads(x) == (MIXED,)
    assert make("split", sizes=[1, 1]).reads(x) == (POINT,)


def test_a_concatenation_too_long_for_a_table_claims_nothing() -> None:
    used = make("concat", axis="length")
    first, second = used.reads(Shape((1, MOST_PHASES - 1)), Shape((1, 1)))
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    (stencil,) = second
    assert isinstance(stencil, Stencil)
    assert list(stencil.offsets[-1]) == [0]
    assert used.reads(Shape((1, MOST_PHASES)), Shape((1, 1))) == (MIXED, MIXED)


# ------------------------------------------------------------------------------ where values begin


@pytest.mark.parametrize("shape", [[6], [6, 5], [3, 4, 5], [2, 3, 4, 5]], ids=str)
def test_a_parameter_is_learned_and_the_same_for_every_example(shape: list[int]) -> None:
    used = make("parameter", shape=shape)
    assert used.inputs == 0
    assert used.shape() == tuple(shape)
    assert source(used) == (f"LearnedValue({', '.join(map(str, shape))})", "module(x0.shape[0])")
    torch.manual_seed(0)
    lowered = Lowered(used)
    check_weights(used, lowered.module)
    output = lowered(torch.empty(4, 1))
    assert output.shape == (4, *shape)
    weight = lowered.module.weight
    assert all(torch.equal(one, weight) for one in output)
    output.sum().backward()
    assert torch.equal(weight.grad, torch.full_like(weight, 4))
    assert (used.macs(), used.flops(), used.saved(), used.reads()) == (0, 0, Saved(), ())


def test_a_parameter_starts_as_noise_of_deviation_0_02() -> None:
    torch.manual_seed(0)
    weight = Lowered(make("parameter", shape=[100, 100])).module.weight
    assert abs(weight.std().item() - 0.02) < 0.001
    assert abs(weight.mean().item()) < 0.001


def test_an_input_is_the_compilers_alone() -> None:
    entry = Input({"shape": (3, 32, 32)})
    assert entry.kind == "input"
    assert entry.shape() == (3, 32, 32)
    assert "input" not in LAYERS


# ------------------------------------------------------------------------------ the expected values

ORACLE = [case for case in oracle("ops") if case["group"] in ("concat", "broadcast", "flatten")]


def asked(case: dict[str, Any]) -> Shape | None:
    """What a layer makes of a case of the oracle; None where the language has no such use."""
    xs = [Shape(shape[1:]) for shape in case["inputs"]]
    arguments = case["args"]
    match case["op"]:
        case "concat":
            result = make("concat", axis=xs[0].axis_names[arguments["dim"] % (len(xs[0]) + 1) - 1]).shape(*xs)
        case "add":
            result = make("add").shape(*xs)
        case "transpose>flatten":
            result = make("flatten").shape(xs[0])
        case "reshape":
            shape = ["_" if extent == -1 else extent for extent in arguments["shape"][1:]]
            result = make("reshape", shape=shape).shape(*xs)
        case "flatten" if arguments == {"start": 1, "end": 2}:
            result = make("reshape", shape=["_", xs[0][-1]]).shape(*xs)
        case _:
            return None
    assert isinstance(result, Shape)
    return result


@pytest.mark.parametrize("case", ORACLE, ids=lambda case: case["id"])
def test_shapes_and_refusals_agree_with_the_oracle(case: dict[str, Any]) -> None:
    if case["id"] == "flatten-260":  # a part of the axes from the end backwards: not to be written here
        assert case["error"]["category"] == "bad_argument"
        return
    if case["id"] == "broadcast-254":  # no batch axis: torch aligns from the right, the language never does
        with pytest.raises(Fault):
            make("add").shape(Shape((8, 4, 4)), Shape((4,)))
        return
    if case["error"]:
        with pytest.raises(Fault) as caught:
            asked(case)
        named = {"concat_mismatch": "shape-mismatch", "reshape_mismatch": "reshape-mismatch"}
        assert caught.value.problem.name == named[case["error"]["category"]]
        return
    found = asked(case)
    assert found is not None
    assert list(found) == case["output"][1:]
    figures = [case[key] for key in ("params", "trainable", "buffers", "macs_with_batch")]
    assert figures == [0, 0, 0, 0], "no such layer has any"


def test_the_oracle_has_cases() -> None:
    assert len(ORACLE) == 13


# ------------------------------------------------------------------------------ what does not fit

WRONG: list[tuple[str, dict[str, Any], list[tuple[int, ...]], Any, str, str, str | None]] = [
    (
        "reshape",
        {"shape": [7, 9]},
        [(60,)],
        "shape",
        "[60] can't become [7, 9]: it has 60 elements, not 63",
        "expected a shape of 60 elements",
        "one extent may be `_`: it follows from the others",
    ),
    (
        "reshape",
        {"shape": [7, "_"]},
        [(3, 4, 5)],
        "shape",
        "[3, 4, 5] can't become [7, _]: its 60 elements don't divide by 7",
        "expected a shape of 60 elements",
        None,
    ),
    (
        "reshape",
        {"shape": [2, 2, 2, 2, 4]},
        [(64,)],
        "shape",
        "[2, 2, 2, 2, 4] has 5 axes",
        "expected channels and 0 to 3 spatial extents",
        None,
    ),
    (
        "reshape",
        {"shape": ["_", 2, "_"]},
        [(64,)],
        "shape",
        "[_, 2, _] leaves 2 extents open",
        "expected one `_` at most",
        None,
    ),
    (
        "parameter",
        {"shape": [2, 2, 2, 2, 4]},
        [],
        "shape",
        "[2, 2, 2, 2, 4] has 5 axes",
        "expected channels and 0 to 3 spatial extents",
        None,
    ),
    (
        "permute",
        {"order": [0, 2, 2]},
        [(3, 32, 16)],
        "order",
        "[0, 2, 2] is not an order of the axes of [3, 32, 16]",
        "expected each once: channels (0), height (1) and width (2)",
        None,
    ),
    (
        "permute",
        {"order": ["channels", "length"]},
        [(3, 32, 16)],
        "order",
        "[channels, length] is not an order of the axes of [3, 32, 16]",
        "expected each once: channels (0), height (1) and width (2)",
        None,
    ),
    (
        "slice",
        {"start": 0, "end": 16, "axis": "length"},
        [(3, 32, 32)],
        "axis",
        "[3, 32, 32] has no axis `length`",
        "expected `channels`, `height` or `width`",
        None,
    ),
    (
        "slice",
        {"start": 30, "end": 50, "axis": "length"},
        [(1, 40)],
        "end",
        "end 50 is outside length, which is 40 in [1, 40]",
        "expected 40 at most",
        None,
    ),
    (
        "slice",
        {"start": 2, "end": 2},
        [(4, 40)],
        "end",
        "a slice from 2 to 2 is empty",
        "expected an end above 2; the end is not part of the slice",
        None,
    ),
    (
        "select",
        {"indices": [0, 6]},
        [(6, 14, 14)],
        "indices",
        "index 6 is outside channels, which is 6 in [6, 14, 14]",
        "expected 5 at most",
        None,
    ),
    (
        "split",
        {"sizes": [2, 3]},
        [(6, 40)],
        "sizes",
        "[2, 3] adds up to 5, and channels of [6, 40] is 6",
        "expected sizes that add up to 6",
        None,
    ),
    (
        "channel_shuffle",
        {"groups": 4},
        [(6, 8, 8)],
        "groups",
        "`channel_shuffle` can't put 6 channels into 4 equal groups",
        "expected a divisor of 6",
        "6 channels make 3 or 6 equal groups",
    ),
    (
        "add",
        {},
        [(64, 56, 56), (128, 56, 56)],
        1,
        "`add` of [64, 56, 56] and [128, 56, 56]: they differ in channels (64 and 128)",
        "expected values of equal extents, or extents of 1",
        "`conv(128, kernel=1)` makes 128 channels of 64",
    ),
    (
        "add",
        {},
        [(64, 56, 56), (128, 28, 28)],
        1,
        "`add` of [64, 56, 56] and [128, 28, 28]: "
        "they differ in channels (64 and 128), height (56 and 28) and width (56 and 28)",
        "expected values of equal extents, or extents of 1",
        "`conv(128, kernel=1, stride=2)` brings [64, 56, 56] to [128, 28, 28]",
    ),
    (
        "subtract",
        {},
        [(8, 40), (8, 38)],
        1,
        "`subtract` of [8, 40] and [8, 38]: they differ in length (40 and 38)",
        "expected values of equal extents, or extents of 1",
        "`crop(like=LABEL)`, with the label of [8, 38], cuts 40 down to 38",
    ),
    (
        "multiply",
        {},
        [(64, 28, 28), (64,)],
        1,
        "`multiply` of [64, 28, 28] and [64]: they have different numbers of axes",
        "expected values of equal extents, or extents of 1",
        "`reshape([64, 1, 1])` makes a map of the vector [64]",
    ),
    (
        "add",
        {},
        [(8, 40), (8, 40, 1)],
        1,
        "`add` of [8, 40] and [8, 40, 1]: they have different numbers of axes",
        "expected values of equal extents, or extents of 1",
        None,
    ),
    (
        "add",
        {},
        [(10,), (12,)],
        1,
        "`add` of [10] and [12]: they differ in channels (10 and 12)",
        "expected values of equal extents, or extents of 1",
        "`linear(12)` makes 12 features of 10",
    ),
    (
        "concat",
        {},
        [(64, 28, 28), (64, 56, 56)],
        1,
        "`concat` of [64, 28, 28] and [64, 56, 56]: they differ in height (28 and 56) and width (28 and 56)",
        "expected values whose extents are equal but for channels",
        "`upsample(2)` brings 28 x 28 to 56 x 56",
    ),
    (
        "concat",
        {},
        [(512, 56, 56), (512, 64, 64)],
        1,
        "`concat` of [512, 56, 56] and [512, 64, 64]: "
        "they differ in height (56 and 64) and width (56 and 64)",
        "expected values whose extents are equal but for channels",
        "`crop(like=LABEL)`, with the label of [512, 56, 56], cuts 64 x 64 down to 56 x 56",
    ),
    (
        "concat",
        {"axis": "width"},
        [(3, 4, 5), (3, 4, 9), (1, 4, 2)],
        2,
        "`concat` of [3, 4, 5] and [1, 4, 2]: they differ in channels (3 and 1)",
        "expected values whose extents are equal but for width",
        None,
    ),
    (
        "concat",
        {"axis": "length"},
        [(3, 4, 5), (3, 4, 9)],
        "axis",
        "[3, 4, 5] has no axis `length`",
        "expected `channels`, `height` or `width`",
        None,
    ),
    (
        "concat",
        {},
        [(10,), (10, 1)],
        1,
        "`concat` of [10] and [10, 1]: they have different numbers of axes",
        "expected values whose extents are equal but for channels",
        "`reshape([10, 1])` makes a map of the vector [10]",
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "inputs", "place", "message", "label", "mend"), WRONG)
def test_what_does_not_fit_is_said(
    kind: str,
    arguments: dict[str, Any],
    inputs: list[tuple[int, ...]],
    place: str | int,
    message: str,
    label: str,
    mend: str | None,
) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **arguments).shape(*map(Shape, inputs))
    fault = caught.value
    at = fault.argument if not fault.inputs else fault.inputs[-1]
    problem = fault.problem
    assert (at, problem.message(), problem.label(), problem.help()) == (place, message, label, mend)


def test_of_many_inputs_the_two_that_differ_are_named() -> None:
    shapes = [Shape((1, 8, 8)), Shape((4, 8, 8)), Shape((4, 8, 8)), Shape((5, 8, 8))]
    with pytest.raises(Fault) as caught:
        make("add").shape(*shapes)
    assert caught.value.inputs == (1, 3)
    problem = caught.value.problem
    assert problem.message() == "`add` of [4, 8, 8] and [5, 8, 8]: they differ in channels (4 and 5)"
    assert problem.notes() == (
        "input 1 is [1, 8, 8]",
        "input 2 is [4, 8, 8]",
        "input 3 is [4, 8, 8]",
        "input 4 is [5, 8, 8]",
    )


# ------------------------------------------------------------------------------ symbolic sizes

H, W = symbol("H"), symbol("W")

SYMBOLIC: list[tuple[str, dict[str, Any], list[tuple[Any, ...]], Any, list[str]]] = [
    ("flatten", {}, [(3, H, W)], (3 * H * W,), []),
    ("reshape", {"shape": ["_", 4]}, [(8, H)], (2 * H, 4), []),
    (
        "reshape",
        {"shape": ["_", 4]},
        [(H,)],
        (H // 4, 4),
        ["`reshape` may not fit: whether 4 divides H depends on H"],
    ),
    (
        "reshape",
        {"shape": [64, 4]},
        [(H, W)],
        (64, 4),
        ["`reshape` may not fit: whether H*W is 256 depends on H and W"],
    ),
    ("permute", {"order": [0, 2, 1]}, [(3, H, W)], (3, W, H), []),
    (
        "split",
        {"sizes": [1, 2], "axis": "height"},
        [(3, H, W)],
        None,
        ["`split` may not fit: whether height, H, is 3 depends on H"],
    ),
    ("slice", {"start": 0, "end": 2}, [(3, H)], (2, H), []),
    ("add", {}, [(3, H), (3, H)], (3, H), []),
    ("add", {}, [(3, 1), (3, H)], (3, H), []),
    ("add", {}, [(3, H), (3, W)], (3, H), ["`add` may not fit: whether length H is W depends on H and W"]),
    ("concat", {}, [(3, H), (2, 2 * H - H)], (5, H), []),
    ("concat", {}, [(3, H), (2, 8)], (5, H), ["`concat` fits only where H is 8"]),
    ("concat", {"axis": "length"}, [(3, H), (3, W)], (3, H + W), []),
]


@pytest.mark.parametrize(("kind", "arguments", "inputs", "shape", "doubts"), SYMBOLIC)
def test_symbolic_sizes_go_on_with_what_is_known(
    kind: str, arguments: dict[str, Any], inputs: list[tuple[Any, ...]], shape: Any, doubts: list[str]
) -> None:
    used = make(kind, **arguments)
    xs = tuple(map(Shape, inputs))
    if shape is not None:
        assert used.shape(*xs) == shape
    found = used.doubts(*xs)
    assert [doubt.message() for doubt in found] == doubts
    assert all(doubt.severity == "warning" and doubt.name == "undecided-size" for doubt in found)


@pytest.mark.parametrize("kind", ["add", "concat"])
def test_symbolic_sizes_that_never_agree_are_an_error(kind: str) -> None:
    with pytest.raises(Fault):
        make(kind).shape(Shape((3, H)), Shape((3, H + 1)))


def test_a_slice_of_a_symbolic_axis_states_its_condition() -> None:
    x = Shape((3, H))
    sliced = make("slice", start=4, end=16, axis="length")
    assert sliced.shape(x) == (3, 12)
    assert [doubt.name for doubt in sliced.doubts(x)] == ["fits-only-where"]
    assert sliced.reads(x) == ((shifted(4),),)
    assert [doubt.name for doubt in make("select", indices=[3, 1], axis="length").doubts(x)] == [
        "fits-only-where"
    ]
    assert make("select", indices=[3, 1], axis="length").reads(x) == (MIXED,)
    assert make("concat", axis="length").reads(x, x) == (MIXED, MIXED)


def test_costs_of_symbolic_sizes_are_symbolic() -> None:
    x = Shape((3, H, W))
    assert str(make("add").flops(x, x, x)) == "6*H*W"
    assert str(make("multiply").saved(x, x, x).floats) == "3*H*W"
    assert prod(make("flatten").shape(x)) == 3 * H * W
