"""Translation: the certificates, held to lowered networks whose input is moved."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from random_graphs import random_graph
from reference import Node, Reference
from translating import label, translate

import archdsl
from archdsl.report.columns import COLUMNS

Certificate = dict[str, Any]
Tensor = torch.Tensor


def lowered(net: archdsl.Net) -> torch.nn.Module:
    """The network with random weights and statistics, as it is used, in float64."""
    torch.manual_seed(0)
    model = net.build().double().eval()
    statistics = [tensor for name, tensor in model.named_buffers() if "running" in name]
    for tensor in (*model.parameters(), *statistics):
        if tensor.is_floating_point():
            tensor.data = torch.rand_like(tensor) + 0.1 if tensor.dim() < 2 else torch.randn_like(tensor)
    return model


def layers_of(net: archdsl.Net) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = net.report().to_dict()["layers"]
    return layers


def of_translation(layer: dict[str, Any]) -> Certificate:
    return {name: layer["equivariance"][name] for name in ("translation", "shift", "border", "ended_by")}


def network(body: str, shape: list[int]) -> archdsl.Net:
    return archdsl.loads(f"network Moved {{\n  input x: {shape}\n{body}\n}}", name="moved.arch")


def run(model: torch.nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = model(x)
    assert isinstance(y, Tensor)
    return y


# ------------------------------------------------------------------------------ moving


def agree(y: Tensor, moved: Tensor, axis: int, by: int, border: int) -> bool:
    """Whether `moved` is `y` moved by so many units, wherever both units lie outside the border."""
    n = y.shape[2 + axis]
    first, last = max(border, border - by), min(n - border, n - border - by)
    if first >= last:
        return True
    here = y.narrow(2 + axis, first, last - first)
    there = moved.narrow(2 + axis, first + by, last - first)
    return torch.allclose(here, there, rtol=1e-9, atol=1e-9 * float(y.abs().max()))


def units_compared(y: Tensor, axis: int, by: int, border: int) -> int:
    return int(y.shape[2 + axis]) - 2 * border - abs(by)


def strides_of(layer: dict[str, Any]) -> list[Fraction]:
    """Input samples for one unit, from the report."""
    return [Fraction(stride) for stride in layer["receptive_field"]["stride"]]


def assert_moves(model: torch.nn.Module, shape: list[int], layer: dict[str, Any]) -> int:
    """Moved in a ring by multiples of `shift`, the value moves by shift/stride outside the border.

    Gives how many axes were compared in at least one unit.
    """
    certificate = layer["equivariance"]
    assert certificate["ended_by"] is None
    torch.manual_seed(1)
    x = torch.randn(1, *shape, dtype=torch.float64)
    y = run(model, x)
    compared = 0
    for axis, stride in enumerate(strides_of(layer)):
        shift, border = certificate["shift"][axis], certificate["border"][axis]
        for times in (1, -1, 2):
            by = times * shift / stride
            assert by.denominator == 1, "a shift moves the value by whole units"
            moved = run(model, x.roll(times * shift, 2 + axis))
            assert agree(y, moved, axis, int(by), border)
        compared += units_compared(y, axis, int(shift / stride), border) > 0
    return compared


def assert_no_smaller_shift(model: torch.nn.Module, shape: list[int], layer: dict[str, Any]) -> int:
    """Moved by anything between multiples of `shift`, the value is none of its own translations.

    Gives how many shifts were tried.
    """
    certificate, tried = layer["equivariance"], 0
    torch.manual_seed(2)
    x = torch.randn(1, *shape, dtype=torch.float64)
    y = run(model, x)
    for axis, stride in enumerate(strides_of(layer)):
        shift, border = certificate["shift"][axis], certificate["border"][axis]
        if units_compared(y, axis, int(shift / stride) + 1, border) < 3:
            continue
        for samples in range(1, shift):
            moved = run(model, x.roll(samples, 2 + axis))
            tried += 1
            for by in range(int(shift / stride) + 2):
                assert not agree(y, moved, axis, by, border), (samples, by)
    return tried


def assert_border_is_tight(model: torch.nn.Module, shape: list[int], layer: dict[str, Any]) -> None:
    """One unit less of border, and padding shows: at one of the ends, for one of the directions."""
    torch.manual_seed(3)
    x = torch.randn(1, *shape, dtype=torch.float64)
    y = run(model, x)
    for axis, stride in enumerate(strides_of(layer)):
        shift, border = layer["equivariance"]["shift"][axis], layer["equivariance"]["border"][axis]
        if border:
            by = int(shift / stride)
            both = [
                agree(y, run(model, x.roll(sign * shift, 2 + axis)), axis, sign * by, border - 1)
                for sign in (1, -1)
            ]
            assert not all(both), f"axis {axis} has no unit of border at {border - 1}"


# ------------------------------------------------------------------------------ certificates by hand

EQUIVARIANT = {
    "convolution": ([2, 40], "conv(3, kernel=3, padding=1)", [1], [1]),
    "convolution-without-padding": ([2, 40], "conv(3, kernel=3)", [1], [0]),
    "stride": ([2, 64], "conv(3, kernel=7, stride=2, padding=3) -> relu -> conv(3, kernel=3)", [2], [2]),
    "stem-of-alexnet": ([3, 64, 64], "conv(4, kernel=11, stride=4, padding=2)", [4, 4], [1, 1]),
    "dilation": ([2, 60], "conv(3, kernel=3, padding=4, dilation=4)", [1], [4]),
    "axes-differ": ([1, 20, 24], "conv(2, kernel=[3, 5], stride=[1, 2], padding=[1, 2])", [1, 2], [1, 1]),
    "volume": ([1, 8, 10, 12], "conv(2, kernel=3, stride=[1, 2, 1], padding=1)", [1, 2, 1], [1, 1, 1]),
    # 38 samples have 12 windows of 3, and a thirteenth that reaches past the end.
    "pooling-with-ceil": ([2, 40], "conv(16, kernel=3) -> max_pool(3, ceil=true)", [3], [1]),
    "pooling-with-padding": ([16, 40], "max_pool(3, stride=2, padding=1) -> relu", [2], [1]),
    "average-pooling": ([2, 41], "avg_pool(4) -> tanh", [4], [0]),
    "transposed": ([2, 20], "conv_transpose(3, kernel=4, stride=2, padding=1)", [1], [1]),
    "down-and-up": (
        [2, 48],
        "conv(3, kernel=3, stride=2, padding=1) -> relu -> conv_transpose(2, kernel=3, stride=2, padding=1)",
        [2],
        [2],
    ),
    "nearest": ([2, 20], "upsample(2) -> conv(3, kernel=3, padding=1)", [1], [1]),
    "linear": ([2, 20, 16], "upsample(2, mode=linear)", [1, 1], [1, 1]),
    "cubic": ([1, 20, 16], "upsample(2, mode=cubic)", [1, 1], [3, 3]),
    "one-and-a-half": ([2, 24], "upsample(1.5) -> conv(2, kernel=2)", [2], [0]),
    "up-by-three-down-by-two": ([2, 40], "upsample(3) -> conv(2, kernel=2, stride=2)", [2], [0]),
    "shuffle": ([4, 10, 12], "pixel_shuffle(2) -> conv(2, kernel=3)", [1, 1], [0, 0]),
    "unshuffle": ([1, 20, 24], "pixel_unshuffle(2) -> conv(2, kernel=3, padding=1)", [2, 2], [1, 1]),
    "circular": ([2, 16], "conv(3, kernel=5, padding=2, padding_mode=circular) -> tanh", [1], [0]),
    "circular-and-stride": (
        [2, 16, 16],
        "conv(3, kernel=3, padding=1, padding_mode=circular) -> max_pool(2) -> relu",
        [2, 2],
        [0, 0],
    ),
    "circular-in-an-open-ring": (
        [2, 20],
        "conv(2, kernel=3) -> conv(3, kernel=5, padding=2, padding_mode=circular)",
        [1],
        [2],
    ),
    "reflect": ([2, 20], "pad(3, mode=reflect) -> conv(2, kernel=3)", [1], [3]),
    "crop": ([2, 30], "conv(2, kernel=5, padding=2) -> crop(20, offset=[4])", [1], [0]),
    "slice": ([2, 30], "conv(2, kernel=5, padding=2) -> slice(1, 21, axis=length)", [1], [1]),
    "every-third": ([2, 30], "conv(2, kernel=3) -> select([0, 3, 6, 9, 12, 15], axis=length)", [3], [0]),
    "normalised-by-statistics": ([3, 20], "conv(4, kernel=3) -> batch_norm -> relu", [1], [0]),
    "normalised-at-each-position": ([3, 12, 10], "conv(4, kernel=3) -> layer_norm", [1, 1], [0, 0]),
    "channels": (
        [4, 20],
        "local_response_norm(3) -> prelu(per_channel=true) -> channel_shuffle(2)",
        [1],
        [0],
    ),
    "softmax-over-channels": ([4, 20], "conv(3, kernel=3) -> softmax", [1], [0]),
    "residual": (
        [2, 40],
        "parallel add { { conv(2, kernel=3, padding=1) -> relu }\n {} }\nconv(2, kernel=3, padding=1)",
        [1],
        [2],
    ),
    "branches-of-the-same-stride": (
        [2, 40],
        "parallel concat { { max_pool(2) -> max_pool(2) }\n conv(2, kernel=5, stride=4, padding=[[0, 1]]) }",
        [4],
        [1],
    ),
    "a-number-for-each-channel": ([2, 20], "p: parameter([2, 1])\nfrom x, p -> add", [1], [0]),
    "adaptive-where-it-divides": ([2, 20], "adaptive_avg_pool(5) -> conv(2, kernel=1)", [4], [0]),
}
"""A network, the shift and the border that follow by hand."""


@pytest.mark.parametrize("name", EQUIVARIANT)
def test_moved_content_moves_the_value(name: str) -> None:
    shape, body, shift, border = EQUIVARIANT[name]
    net = network(body, shape)
    layer = layers_of(net)[-1]
    assert of_translation(layer) == {
        "translation": "equivariant",
        "shift": shift,
        "border": border,
        "ended_by": None,
    }
    model = lowered(net)
    assert assert_moves(model, shape, layer) == len(shape) - 1
    assert_no_smaller_shift(model, shape, layer)
    assert_border_is_tight(model, shape, layer)


def test_a_ring_is_answered_everywhere() -> None:
    """With circular padding all along, units next to the ends move as all others, around the ring."""
    shape, body, *_ = EQUIVARIANT["circular-and-stride"]
    model = lowered(network(body, shape))
    x = torch.randn(1, *shape, dtype=torch.float64)
    for axis in (2, 3):
        assert torch.allclose(run(model, x.roll(6, axis)), run(model, x).roll(3, axis), rtol=1e-9)


def test_a_pooling_is_undone_at_its_own_places() -> None:
    net = network("pool: max_pool(2)\nconv(2, kernel=1)\nmax_unpool(pool)", [2, 24])
    layer = layers_of(net)[-1]
    assert layer["equivariance"]["shift"] == [2]
    model = lowered(net)
    assert assert_moves(model, [2, 24], layer) == 1
    assert assert_no_smaller_shift(model, [2, 24], layer) == 1


@pytest.mark.parametrize("side", ["[1, 0]", "[0, 1]"])
def test_the_border_of_a_pooling_is_that_of_its_places(side: str) -> None:
    """What is put back has no border of its own here; where it is put, the padding has a say."""
    body = f"""
    conv(2, kernel=2, padding=[{side}])
    pool: max_pool(2)
    from x -> avg_pool(2) -> max_unpool(pool)"""
    layer = layers_of(network(body, [2, 24]))[-1]
    assert layer["equivariance"]["border"] == [2]


def test_of_two_inputs_both_move() -> None:
    text = """network Two {
      input left: [1, 32]
      input right: [1, 32]
      from left -> conv(2, kernel=2, stride=2)
      a: conv(2, kernel=1)
      from right -> avg_pool(2)
      concat(a) -> max_pool(3)
    }"""
    net = archdsl.loads(text)
    layer = layers_of(net)[-1]
    assert of_translation(layer) == {
        "translation": "equivariant",
        "shift": [6],
        "border": [0],
        "ended_by": None,
    }
    model = lowered(net)
    left, right = torch.randn(2, 1, 1, 32, dtype=torch.float64)
    with torch.no_grad():
        y = model(left, right)
        assert agree(y, model(left.roll(6, 2), right.roll(6, 2)), 0, 1, 0)
        assert not agree(y, model(left.roll(6, 2), right), 0, 1, 0)
        for samples in range(1, 6):
            moved = model(left.roll(samples, 2), right.roll(samples, 2))
            assert not any(agree(y, moved, 0, by, 0) for by in range(3))


# ------------------------------------------------------------------------------ content on a background

BODIES = {
    "instance_norm": ("conv(3, kernel=3, padding=1) -> instance_norm -> relu", "equivariant", [1, 1]),
    "group_norm": ("conv(4, kernel=3, stride=2, padding=1) -> group_norm(2)", "equivariant", [2, 2]),
    "layer_norm": ("conv(3, kernel=3) -> layer_norm(axis=all, affine=false)", "equivariant", [1, 1]),
    "softmax": ("conv(2, kernel=3) -> softmax(axis=height)", "equivariant", [1, 1]),
    "gate": (
        "y: conv(3, kernel=3, padding=1)\nglobal_avg_pool -> conv(3, kernel=1) -> sigmoid -> multiply(y)",
        "equivariant",
        [1, 1],
    ),
    "global_avg_pool": ("conv(3, kernel=3, padding=1) -> relu -> global_avg_pool", "invariant", [1, 1]),
    "global_max_pool": ("conv(3, kernel=3, stride=2) -> global_max_pool", "invariant", [2, 2]),
    "adaptive": ("max_pool(3) -> adaptive_avg_pool(1)", "invariant", [3, 3]),
    "head": ("conv(3, kernel=3) -> global_avg_pool -> flatten -> linear(4)", "invariant", [1, 1]),
    "after-it": ("global_avg_pool -> reshape([2, 1, 1]) -> upsample(4) -> flatten", "invariant", [1, 1]),
}


def on_background(shape: list[int], at: tuple[int, int]) -> Tensor:
    """A patch of noise on a uniform background."""
    torch.manual_seed(4)
    x = torch.full((1, *shape), 0.3, dtype=torch.float64)
    x[:, :, at[0] : at[0] + 6, at[1] : at[1] + 6] = torch.randn(1, shape[0], 6, 6, dtype=torch.float64)
    return x


@pytest.mark.parametrize("name", BODIES)
def test_a_patch_on_a_background(name: str) -> None:
    """With statistics of the whole map only this is claimed: content moves, far from the border."""
    body, translation, shift = BODIES[name]
    shape = [2, 30, 30]
    net = network(body, shape)
    layer = layers_of(net)[-1]
    certificate = layer["equivariance"]
    assert (certificate["translation"], certificate["shift"]) == (translation, shift)
    assert certificate["ended_by"] is None
    assert (certificate["border"] is None) == (translation == "invariant")
    if translation == "invariant":
        under = "" if shift == [1, 1] else f", shift {shift[0]}"
        assert COLUMNS["equivariance"].cell(layer) == f"invariant{under}"
    model = lowered(net)
    y = run(model, on_background(shape, (9, 9)))
    for axis, step in enumerate(shift):
        at = (9 + step, 9) if axis == 0 else (9, 9 + step)
        moved = run(model, on_background(shape, at))
        if translation == "invariant":
            assert torch.allclose(moved, y, rtol=1e-9, atol=1e-12)
        else:
            assert agree(y, moved, axis, 1, certificate["border"][axis])
            assert not torch.allclose(moved, y)
        if step > 1:
            at = (8 + step, 9) if axis == 0 else (9, 8 + step)
            between = run(model, on_background(shape, at))
            assert not torch.allclose(between, y, rtol=1e-9)
            assert translation == "invariant" or not agree(y, between, axis, 1, certificate["border"][axis])


# ------------------------------------------------------------------------------ where it ends

NONE = {
    "flatten": ("conv(2, kernel=3) -> flatten -> linear(4)", "flatten_1"),
    "reshape": ("reshape([6, 8, 8]) -> conv(2, kernel=1)", "reshape_1"),
    "permute": ("conv(2, kernel=3) -> permute([channels, width, height]) -> relu", "permute_1"),
    "strides-differ": (
        "parallel add { conv(2, kernel=2, stride=2)\n { crop([8, 6]) } }\nrelu",
        "add_1",
    ),
    "parameter-map": ("p: parameter([2, 16, 12])\nfrom x, p -> add\nconv(2, kernel=1)", "add_1"),
    "parameter-times": ("p: parameter([2, 16, 12])\nfrom x, p -> multiply", "multiply_1"),
    "parameter-beside": ("p: parameter([2, 16, 12])\nfrom x, p -> concat", "concat_1"),
    "parameter-convolved": (
        "p: parameter([1, 18, 14])\nfrom p -> conv(2, kernel=3)\nsubtract(x)",
        "subtract_1",
    ),
    "parameter-along-one-axis": ("p: parameter([2, 1, 12])\nfrom x, p -> add", "add_1"),
    "scale-of-each-element": ("conv(2, kernel=3) -> layer_norm(axis=all)", "layer_norm_1"),
    "one-unit-for-the-map": ("g: conv(2, kernel=[16, 12])\nfrom x, g -> multiply", "multiply_1"),
    "end-to-end": ("conv(2, kernel=1) -> concat(x, axis=height) -> relu", "concat_1"),
    "positions-picked": ("select([0, 1, 5], axis=height) -> conv(2, kernel=1)", "select_1"),
    "adaptive-where-it-does-not-divide": ("adaptive_avg_pool([7, 4]) -> relu", "adaptive_avg_pool_1"),
}


@pytest.mark.parametrize("name", NONE)
def test_the_claim_ends_with_the_layer_that_breaks_it(name: str) -> None:
    """From that layer on nothing is claimed; before it, something; and no small translation is answered."""
    body, ended_by = NONE[name]
    shape = [2, 16, 12]
    net = network(body, shape)
    layers = layers_of(net)
    names = [layer["name"] for layer in layers]
    after = names.index(ended_by)
    for layer in layers[after:]:
        assert of_translation(layer) == {
            "translation": "none",
            "shift": None,
            "border": None,
            "ended_by": ended_by,
        }
    assert all(layer["equivariance"]["translation"] != "none" for layer in layers[:after])
    model = lowered(net)
    torch.manual_seed(5)
    x = torch.randn(1, *shape, dtype=torch.float64)
    y = run(model, x)
    if y.dim() != 4:
        assert not torch.allclose(run(model, x.roll(1, 2)), y)
        return
    answered = [
        all(
            any(agree(y, run(model, x.roll(samples, 2 + axis)), axis, by, 0) for by in range(3))
            for samples in range(1, 3)
        )
        for axis in range(2)
    ]
    assert not all(answered)


def test_a_vector_has_no_positions() -> None:
    net = archdsl.loads("network Vector {\n  input features: [8]\n  linear(4) -> relu\n}")
    for layer in layers_of(net):
        assert layer["equivariance"]["translation"] == "none"
        assert layer["equivariance"]["ended_by"] == "features"


# ------------------------------------------------------------------------------ random programs


def skips_samples(node: Node) -> bool:
    """Whether the layer's stride is larger than its kernel: of its input's border it may see nothing."""
    if node["op"] not in ("conv", "maxpool", "avgpool"):
        return False
    return any(step > kernel for step, kernel in zip(node["args"]["s"], node["args"]["k"], strict=True))


def smooth(node: Node) -> Node:
    """Rectifiers and maxima may make a value constant, which then answers any translation."""
    if node["op"] == "act":
        return {**node, "args": {"fn": "softplus"}}
    dilated = node["op"] == "maxpool" and any(gap > 1 for gap in node["args"]["d"])
    return {**node, "op": "avgpool"} if node["op"] == "maxpool" and not dilated else node


def assert_certificate(nodes: list[Node], layers: dict[str, dict[str, Any]]) -> None:
    """The border is as far as padding reaches, followed back unit by unit."""
    reference = Reference(nodes)
    skips = {node["id"] for node in nodes if skips_samples(node)}
    before: dict[str, set[str]] = {"input": set()}
    for node in nodes[1:]:
        name, certificate = node["id"], layers[node["id"]]["equivariance"]
        before[name] = {name}.union(*(before[source] for source in node["in"]))
        if certificate["translation"] == "none":
            assert layers[name]["receptive_field"]["stride"] is None, name
            continue
        for axis in range(len(node["out"]) - 1):
            border = max(reference.border(name, axis))
            if before[name] & skips:
                assert certificate["border"][axis] >= border, name
            else:
                assert certificate["border"][axis] == border, name


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int, axes: int) -> None:
    nodes = [smooth(node) for node in random_graph(seed, axes)]
    net = archdsl.loads(translate({"layers": nodes}), name="random.arch")
    made = {layer["name"]: layer for layer in layers_of(net)}
    layers = {node["id"]: made[label(node["id"])] for node in nodes[1:]}
    assert_certificate(nodes, layers)
    last = layers[nodes[-1]["id"]]
    if last["equivariance"]["translation"] == "equivariant":
        model = lowered(net)
        assert_moves(model, nodes[0]["out"], last)
        assert_no_smaller_shift(model, nodes[0]["out"], last)
