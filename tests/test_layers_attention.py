"""Attention against loops of NumPy and torch's own, and the vision transformers that are written with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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
    support,
)
from standalone import Standalone, compare
from torch.nn.attention import SDPBackend, sdpa_kernel

import archdsl
from archdsl.checking import check_file
from archdsl.cli.main import archdsl as command
from archdsl.layers import Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach
from archdsl.layers.symmetry import SCALAR, Fibre, Motion
from archdsl.lowering.onnx import export
from archdsl.problems import Fault
from archdsl.sizes import substitute, symbol
from archdsl.source import Source
from archdsl.training.trained import Trained

Array = Any
Extents = tuple[int, ...]
Arguments = dict[str, Any]

CASES: list[tuple[str, Arguments, Extents, int]] = [
    # MACs of both products, by hand: pairs of positions (or channels) x features, twice.
    ("attention", {"heads": 2}, (12, 5), 2 * 25 * 4),
    ("attention", {"heads": 1}, (9, 3, 4), 2 * 144 * 3),
    ("attention", {"heads": 3}, (18, 2, 2, 3), 2 * 144 * 6),
    ("attention", {"heads": 2, "causal": True}, (12, 6), 2 * 36 * 4),
    ("attention", {"heads": 2, "causal": True}, (12, 3, 4), 2 * 144 * 4),
    ("window_attention", {"heads": 2, "window": 3}, (12, 9), 2 * 27 * 4),
    ("window_attention", {"heads": 2, "window": [2, 3]}, (12, 4, 6), 2 * 144 * 4),
    ("window_attention", {"heads": 1, "window": 2, "shift": 1}, (9, 6), 2 * 12 * 3),
    ("window_attention", {"heads": 2, "window": 4, "shift": [1, 3]}, (12, 8, 12), 2 * 96 * 16 * 4),
    ("window_attention", {"heads": 2, "window": 4, "shift": 2}, (12, 4, 8), 2 * 32 * 16 * 4),
    ("window_attention", {"heads": 3, "window": 4, "shift": 2}, (9, 4), 2 * 16 * 3),
    ("window_attention", {"heads": 2, "window": 3, "relative_positions": True}, (12, 9), 2 * 27 * 4),
    (
        "window_attention",
        {"heads": 2, "window": [3, 2], "shift": 1, "relative_positions": True},
        (12, 6, 4),
        2 * 24 * 6 * 4,
    ),
    (
        "window_attention",
        {"heads": 1, "window": [2, 1, 3], "shift": [1, 0, 2], "relative_positions": True},
        (6, 4, 2, 6),
        2 * 48 * 6 * 2,
    ),
    ("channel_attention", {"groups": 2}, (12, 5), 2 * 2 * 2 * 2 * 5),
    ("channel_attention", {"groups": 1}, (9, 3, 4), 2 * 9 * 12),
    ("channel_attention", {"groups": 4}, (12, 2, 2, 2), 2 * 4 * 8),
]
EVERY = pytest.mark.parametrize(
    ("kind", "given", "x", "products"), CASES, ids=[f"{k}-{g}-{x}" for k, g, x, _ in CASES]
)


def lowered(kind: str, x: Extents, **given: Any) -> tuple[Layer, Lowered]:
    torch.manual_seed(0)
    layer = make(kind, **given)
    module = Lowered(layer, Shape(x)).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return layer, module


def weight_of(module: Lowered, name: str) -> Any:
    return None if module.module is None else getattr(module.module, name, None)


def random(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def over(x: Tensor, size: Extents) -> Tensor:
    """The last axis as several."""
    return x.reshape(*x.shape[:-1], *size)


# ------------------------------------------------------------------------------ what is computed


def softmax(scores: list[float]) -> Array:
    exponentials = np.exp(np.array(scores) - max(scores))
    return exponentials / exponentials.sum()


def places(size: Extents) -> Iterator[Extents]:
    return itertools.product(*map(range, size))


def window_of(place: Extents, size: Extents, window: Extents, shift: Extents) -> Extents:
    """The number of a position's window along each axis."""
    found = []
    for p, n, w, s in zip(place, size, window, shift, strict=True):
        found.append(math.floor((p - (s if n > w else 0)) / w))
    return tuple(found)


def reference(kind: str, given: Arguments, x: Array, table: Array | None) -> Array:
    """One example, position by position: Vaswani et al., Equation 1; Liu et al., Equation 4; Ding et al."""
    size = x.shape[1:]
    thirds: list[Any] = np.split(x, 3)
    query, key, value = thirds
    channels = len(query)
    y: Any = np.zeros_like(query)
    if kind == "channel_attention":
        each = channels // given["groups"]
        for c in range(channels):
            group = range(c // each * each, c // each * each + each)
            scores = [(query[c] * key[e]).sum() / math.sqrt(each) for e in group]
            y[c] = sum(a * value[e] for a, e in zip(softmax(scores), group, strict=True))
        return y
    window: Any = None
    shift: Any = None
    if kind == "window_attention":
        axes = range(len(size))
        window, shift = (
            tuple(v[a] if isinstance(v, list) else v for a in axes)
            for v in (given["window"], given.get("shift", 0))
        )
    features = channels // given["heads"]
    for head in range(given["heads"]):
        part = slice(head * features, head * features + features)
        for i in places(size):
            seen = []
            for j in places(size):
                if given.get("causal") and j > i:
                    continue
                if window and window_of(i, size, window, shift) != window_of(j, size, window, shift):
                    continue
                seen.append(j)
            scores = [float(query[(part, *i)] @ key[(part, *j)]) / math.sqrt(features) for j in seen]
            if table is not None:
                for number, j in enumerate(seen):
                    row = 0
                    for a, b, w in zip(i, j, window, strict=True):
                        row = row * (2 * w - 1) + a - b + w - 1
                    scores[number] += table[row, head]
            weights = softmax(scores)
            y[(part, *i)] = sum(a * value[(part, *j)] for a, j in zip(weights, seen, strict=True))
    return y


@EVERY
def test_it_computes_what_the_papers_say(kind: str, given: Arguments, x: Extents, products: int) -> None:
    layer, module = lowered(kind, x, **given)
    batch = random(2, *x)
    bias = weight_of(module, "bias")
    table = None if bias is None else bias.detach().numpy()
    wanted = np.stack([reference(kind, given, one, table) for one in batch.numpy()])
    found = module(batch).detach().numpy()
    assert found.shape[1:] == tuple(layer.shape(Shape(x)))
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@EVERY
def test_the_rules_are_those_of_torch(kind: str, given: Arguments, x: Extents, products: int) -> None:
    layer, module = lowered(kind, x, **given)
    check_weights(layer, module.module, Shape(x))
    assert layer.macs(Shape(x)) == products
    with sdpa_kernel(SDPBackend.MATH):
        assert macs(module, random(1, *x)) == products
    check_saved(layer, module, torch.randn(2, *x))
    check_saved(layer, module, torch.randn(3, *x))


@pytest.mark.parametrize("causal", [False, True])
def test_torch_has_the_same_with_its_projections(causal: bool) -> None:
    net = archdsl.loads(f"""network N {{
  input tokens: [12, 7]
  conv(36, kernel=1) -> attention(heads=3, causal={str(causal).lower()}) -> conv(12, kernel=1)
}}""")
    model = net.build().double()
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).double()
    own = [parameter.detach() for parameter in model.parameters()]
    for parameter, value in zip(theirs.parameters(), own, strict=True):
        parameter.data = value.reshape(parameter.shape)
    x = random(2, 12, 7)
    mask = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    tokens = x.transpose(1, 2)
    wanted, _ = theirs(tokens, tokens, tokens, attn_mask=mask, need_weights=False)
    torch.testing.assert_close(model(x), wanted.transpose(1, 2))


def test_operations_are_counted() -> None:
    """By hand: products, a scaling of each score, and a softmax over each row (5 n - 2)."""
    x = Shape((12, 6))
    assert make("attention", heads=2).flops(x) == 4 * 36 * 4 + 2 * 36 + 2 * 6 * (5 * 6 - 2)
    windows = make("window_attention", heads=2, window=3, shift=1)
    assert windows.flops(x) == 4 * 18 * 4 + 2 * 18 + 2 * 6 * (5 * 3 - 2)
    learned = make("window_attention", heads=2, window=3, relative_positions=True)
    assert learned.flops(x) == windows.flops(x) + 2 * 18
    assert make("channel_attention", groups=2).flops(x) == 4 * 8 * 6 + 8 + 4 * (5 * 2 - 2)
    assert make("layer_scale").flops(x) == 72


def test_tables_begin_as_noise_of_one_deviation() -> None:
    torch.manual_seed(0)
    layer = make("window_attention", heads=8, window=12, relative_positions=True)
    bias = weight_of(Lowered(layer, Shape((48, 12, 12))), "bias")
    assert bias.shape == (23 * 23, 8)
    assert 0.019 < float(bias.detach().std()) < 0.021


@pytest.mark.parametrize(("kind", "given", "x"), [case[:3] for case in CASES if "shift" in case[1]])
def test_half_precision_is_taken(kind: str, given: Arguments, x: Extents) -> None:
    _, module = lowered(kind, x, **given)
    module, batch = module.float(), torch.randn(2, *x)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(batch.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), module(batch), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("x", [(4,), (4, 6), (4, 3, 2), (4, 2, 3, 2)])
def test_a_layer_scale_multiplies_channels(x: Extents) -> None:
    layer, module = lowered("layer_scale", x, initial=0.25)
    check_weights(layer, module.module, Shape(x))
    check_saved(layer, module, torch.randn(2, *x))
    assert layer.macs(Shape(x)) == 0
    batch = random(2, *x)
    module = Lowered(layer, Shape(x)).double()
    assert torch.equal(module(batch), 0.25 * batch)
    weight = weight_of(module, "weight")
    weight.data = random(4)
    found = module(batch)
    for channel in range(4):
        torch.testing.assert_close(found[:, channel], batch[:, channel] * weight[channel])
    assert layer.reads(Shape(x)) == (Reach.POINT,)


# ------------------------------------------------------------------------------ which positions are read


@EVERY
def test_it_reads_what_it_says(kind: str, given: Arguments, x: Extents, products: int) -> None:
    layer, module = lowered(kind, x, **given)
    (reads,) = layer.reads(Shape(x))
    found = support(module, Shape(x))
    if isinstance(reads, Reach):
        wanted = torch.eye(len(found), dtype=torch.bool) if reads is Reach.POINT else torch.ones_like(found)
        assert torch.equal(found, wanted)
        assert (reads is Reach.POINT) == (given.get("groups") == x[0] // 3)
        return
    said = read_positions(reads, x[1:], x[1:], "zeros")
    if all(not axis.at_most for axis in reads):
        assert torch.equal(found, said)
    else:
        assert not (found & ~said).any()
        assert torch.equal(found, torch.ones_like(found).triu())


@pytest.mark.parametrize("kind", ["attention", "channel_attention"])
def test_a_ring_may_move_where_positions_are_alike(kind: str) -> None:
    given = {"heads": 2} if kind == "attention" else {"groups": 2}
    _, module = lowered(kind, (12, 4, 5), **given)
    x = random(2, 12, 4, 5)
    moved = module(x.roll((1, 3), (2, 3)))
    torch.testing.assert_close(moved, module(x).roll((1, 3), (2, 3)))
    order = torch.randperm(20)
    shuffled = module(over(x.flatten(2)[..., order], (4, 5)))
    torch.testing.assert_close(shuffled.flatten(2), module(x).flatten(2)[..., order])


def certificate(text: str) -> dict[str, Any]:
    layers = archdsl.loads(text).report().to_dict()["layers"]
    found: dict[str, Any] = layers[-1]["equivariance"]
    return found


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("learned", [False, True])
def test_windows_answer_to_moves_by_windows(shift: int, learned: bool) -> None:
    words = f"window=3, shift={shift}, relative_positions={str(learned).lower()}"
    said = certificate(f"network N {{\n input x: [6, 9]\n window_attention(2, {words})\n}}")
    assert (said["translation"], said["shift"]) == ("equivariant", [3])
    (border,) = said["border"]
    assert border == max(shift, 3 - shift) % 3
    _, module = lowered(
        "window_attention", (6, 9), heads=2, window=3, shift=shift, relative_positions=learned
    )
    x = random(1, 6, 9)
    y, moved = module(x), module(x.roll(3, 2))
    for unit in range(border, 9 - border - 3):
        torch.testing.assert_close(moved[..., unit + 3], y[..., unit])
    # A move by less than a window is another value, and so is, with a shift, what lies in the border.
    assert (module(x.roll(1, 2)).roll(-1, 2) - y).abs().max() > 0.01
    assert (moved.roll(-3, 2) - y).abs().max() < 1e-12 or shift


def test_causal_attention_ends_no_claim_falsely() -> None:
    said = certificate("network N {\n input x: [6, 9]\n attention(2, causal=true)\n}")
    assert (said["translation"], said["border"]) == ("equivariant", [8])
    assert make("attention", heads=2, causal=True).reads(Shape((6, 65))) == (Reach.UNTOLD,)
    assert make("attention", heads=2, causal=True).reads(Shape((6, 4, symbol("W")))) == (Reach.UNTOLD,)
    window = make("window_attention", heads=1, window=MOST_PHASES + 1)
    assert window.reads(Shape((3, MOST_PHASES + 1))) == (Reach.UNTOLD,)


def turned(motion: Motion, x: Tensor) -> Tensor:
    return x.rot90(1, (-1, -2)) if motion is Motion.ROTATION else x.flip(-1)


SYMMETRIC: list[tuple[str, Arguments, bool]] = [
    ("attention", {"heads": 2}, True),
    ("attention", {"heads": 2, "causal": True}, False),
    ("window_attention", {"heads": 2, "window": 4}, True),
    ("window_attention", {"heads": 2, "window": 4, "shift": 2}, True),
    ("window_attention", {"heads": 2, "window": 4, "shift": 1}, False),
    ("window_attention", {"heads": 2, "window": 4, "relative_positions": True}, False),
    ("channel_attention", {"groups": 2}, True),
    ("layer_scale", {"initial": 2.0}, True),
]


@pytest.mark.parametrize("motion", [Motion.ROTATION, Motion.REFLECTION])
@pytest.mark.parametrize(("kind", "given", "symmetric"), SYMMETRIC)
def test_pictures_may_be_turned(kind: str, given: Arguments, symmetric: bool, motion: Motion) -> None:
    layer, module = lowered(kind, (12, 8, 8), **given)
    x = random(2, 12, 8, 8)
    alike = torch.allclose(module(turned(motion, x)), turned(motion, module(x)))
    assert alike == symmetric
    answered = layer.answers(motion, (SCALAR,), Shape((12, 8, 8))) == SCALAR
    words = ", ".join(f"{key}={str(value).lower()}" for key, value in given.items())
    said = certificate(f"network N {{\n input x: [12, 8, 8]\n {kind}({words})\n}}")
    assert answered or not symmetric
    assert said[motion.value]["answer"] == ("equivariant" if symmetric else "none")


@pytest.mark.parametrize("kind", ["attention", "window_attention", "channel_attention"])
def test_channels_may_change_places_within_a_head(kind: str) -> None:
    parts = {"groups": 2} if kind == "channel_attention" else {"heads": 2}
    more = {"window": 4} if kind == "window_attention" else {}
    layer, module = lowered(kind, (24, 8), **parts, **more)
    x = random(2, 24, 8)

    def cycled(value: Tensor) -> Tensor:
        return value.reshape(len(value), -1, 4, 8).roll(1, 2).flatten(1, 2)

    torch.testing.assert_close(module(cycled(x)), cycled(module(x)))
    regular = Fibre("regular", 4)
    assert layer.answers(Motion.ROTATION, (regular,), Shape((24, 8, 8))) == regular
    # Runs of 8 reach over two heads, and pairs turned by an angle are nothing that a softmax is told of.
    assert layer.answers(Motion.ROTATION, (Fibre("regular", 8),), Shape((24, 8, 8))) is None
    assert layer.answers(Motion.ROTATION, (Fibre("harmonic", orders=(1,) * 12),), Shape((24, 8, 8))) is None


def test_polar_maps_move_in_a_ring() -> None:
    polar, x = Fibre("polar"), Shape((12, 8, 8))
    learned = make("window_attention", heads=2, window=2, relative_positions=True)
    assert learned.answers(Motion.ROTATION, (polar,), x) == polar
    assert learned.answers(Motion.REFLECTION, (polar,), x) is None
    assert learned.answers(Motion.SCALE, (polar,), x) is None
    assert make("attention", heads=2).answers(Motion.SCALE, (polar,), x) is None
    _, module = lowered("window_attention", (12, 8, 8), heads=2, window=2, relative_positions=True)
    batch = random(2, 12, 8, 8)
    torch.testing.assert_close(module(batch.roll(2, 2)), module(batch).roll(2, 2))


def test_a_picture_of_more_samples_is_attended_alike() -> None:
    x = random(2, 12, 4, 4)
    _, module = lowered("attention", (12, 4, 4), heads=2)
    double = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    wanted = module(x).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(module(double), wanted)
    assert make("attention", heads=2).answers(Motion.SCALE, (SCALAR,), Shape((12, 4, 4))) == SCALAR
    for kind, given in (
        ("channel_attention", {"groups": 2}),
        ("window_attention", {"heads": 2, "window": 2}),
    ):
        assert make(kind, **given).answers(Motion.SCALE, (SCALAR,), Shape((12, 4, 4))) is None


# ------------------------------------------------------------------------------ open sizes, what does not fit


@EVERY
def test_open_sizes_give_the_same_numbers(kind: str, given: Arguments, x: Extents, products: int) -> None:
    layer = make(kind, **given)
    names = ("L",) if len(x) == 2 else ("H", "W") if len(x) == 3 else ("D", "H", "W")
    values = dict(zip(names, x[1:], strict=True))
    open_ = Shape((x[0], *map(symbol, names)))
    for rule in (layer.macs, layer.flops):
        assert substitute(rule(open_), values) == rule(Shape(x))
    made = layer.shape(open_)
    assert isinstance(made, Shape)
    assert tuple(substitute(n, values) for n in made) == tuple(layer.shape(Shape(x)))
    assert layer.weights(open_) == layer.weights(Shape(x))
    named = {doubt.name for doubt in layer.doubts(open_)}
    shifted = given.get("shift", 0) != 0
    windowed = {"undecided-size"} if kind == "window_attention" else set()
    assert named == windowed | ({"reads-depend-on-size"} if shifted or given.get("causal") else set())


def test_channels_may_be_open() -> None:
    layer, x = make("attention", heads=4), Shape((symbol("C"), 9))
    assert [doubt.name for doubt in layer.doubts(x)] == ["undecided-size"]
    assert layer.doubts(Shape((12 * symbol("C"), 9))) == ()
    assert layer.shape(Shape((12 * symbol("C"), 9))) == (4 * symbol("C"), 9)


def test_a_network_takes_maps_of_any_size() -> None:
    def text(extents: str) -> str:
        return f"""network N {{
  input x: [6, {extents}]
  window_attention(2, window=4, shift=2, relative_positions=true)
  conv(6, kernel=1) -> attention(1) -> conv(6, kernel=1) -> channel_attention(2)
}}"""

    open_ = archdsl.loads(text("H, W")).build().double()
    for height, width in ((4, 4), (8, 4), (8, 12)):
        fixed = archdsl.loads(text(f"{height}, {width}")).build().double()
        fixed.load_state_dict(open_.state_dict())
        x = random(2, 6, height, width)
        torch.testing.assert_close(open_(x), fixed(x))


FAULTS: list[tuple[str, Arguments, Extents, str, str | None]] = [
    ("attention", {"heads": 2}, (12,), "needs-map", None),
    ("window_attention", {"heads": 2, "window": 2}, (12,), "needs-map", None),
    ("channel_attention", {"groups": 2}, (12,), "needs-map", None),
    ("attention", {"heads": 4}, (16, 5), "not-queries-keys-values", "heads"),
    ("attention", {"heads": 5}, (12, 5), "not-queries-keys-values", "heads"),
    ("channel_attention", {"groups": 5}, (12, 5), "not-queries-keys-values", "groups"),
    ("window_attention", {"heads": 1, "window": 4}, (12, 10), "windows-leave-rest", "window"),
    ("window_attention", {"heads": 1, "window": 4}, (12, 8, 2), "windows-leave-rest", "window"),
    ("window_attention", {"heads": 1, "window": [2, 2]}, (12, 8), "argument-axes", "window"),
    ("window_attention", {"heads": 1, "window": 4, "shift": [1, 1]}, (12, 8), "argument-axes", "shift"),
    ("window_attention", {"heads": 1, "window": 4, "shift": 4}, (12, 8), "shift-past-window", "shift"),
]


@pytest.mark.parametrize(("kind", "given", "x", "name", "argument"), FAULTS)
def test_what_does_not_fit(kind: str, given: Arguments, x: Extents, name: str, argument: str | None) -> None:
    with pytest.raises(Fault) as raised:
        make(kind, **given).shape(Shape(x))
    assert (raised.value.problem.name, raised.value.argument) == (name, argument)


@pytest.mark.parametrize(
    ("line", "help_"),
    [
        ("attention(heads=8)", "`conv(192, kernel=1)` before it makes queries, keys and values"),
        ("conv(36, kernel=1) -> attention(heads=5)", "heads=4 or 6 would fit"),
        ("conv(36, kernel=1) -> channel_attention(groups=40)", "groups=12 would fit"),
        ("conv(37, kernel=1) -> attention(heads=5)", None),
        ("conv(36, kernel=1) -> window_attention(2, window=5)", "`pad` can add 4 to the height"),
    ],
)
def test_what_is_said_to_mend_it(line: str, help_: str | None) -> None:
    checked = check_file(Source("n.arch", f"network N {{\n  input x: [64, 16, 16]\n  {line}\n}}\n"))
    assert [diagnostic.help for diagnostic in checked.diagnostics] == [help_]


# ------------------------------------------------------------------------------ the networks of the papers

SMALL: dict[str, dict[str, Any]] = {
    "vit": {"side": 32, "patch": 8, "width": 24, "depth": 2, "heads": 3, "hidden": 48, "classes": 10},
    "swin": {"side": 32, "window": 4, "width": 12, "stages": [[2, 2], [2, 4]], "classes": 10},
    "davit": {"side": 32, "window": 4, "stages": [[1, 12, 2], [1, 24, 4]], "classes": 10},
    "imagegpt": {"colours": 16, "side": 4, "width": 24, "depth": 2, "heads": 3},
}
"""The bundled networks, by their files, at sizes that are quick to run."""


@pytest.mark.parametrize("name", SMALL)
def test_a_network_takes_a_step(name: str) -> None:
    torch.manual_seed(0)
    net = archdsl.load(f"{name}.arch", parameters=SMALL[name])
    totals = net.report().to_dict()["totals"]
    model = net.build()
    assert sum(p.numel() for p in model.parameters()) == totals["parameters"]
    x = torch.randn(4, *net.report().to_dict()["inputs"][0]["shape"])
    with sdpa_kernel(SDPBackend.MATH):
        assert macs(model, x) == 4 * totals["macs"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    target = torch.randint(10, model(x).shape[:1] + model(x).shape[2:])
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), target)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    assert losses[-1] < losses[0]


ALL = """network All {
  input image: [6, 4, 8]
  window_attention(2, window=[2, 4], shift=[1, 2], relative_positions=true)
  conv(6, kernel=1) -> channel_attention(groups=1) -> layer_scale(initial=0.5)
  conv(6, kernel=1) -> attention(heads=2, causal=true)
}"""


def test_what_is_written_runs_alone(worker: Standalone) -> None:
    compare(archdsl.loads(ALL), worker)


def test_the_graph_of_onnx_computes_the_same(tmp_path: Path) -> None:
    net = archdsl.loads(ALL)
    assert export(net.network, net.build().eval(), tmp_path / "net.onnx") < 1e-4


def test_a_pixel_depends_on_those_before_it() -> None:
    model = archdsl.load("imagegpt.arch", parameters=SMALL["imagegpt"]).build().double()
    x = random(1, 16, 16)
    y = model(x)
    changed = x.clone()
    changed[..., 7] += 1
    difference = (model(changed) - y).abs().amax((0, 1))
    assert not difference[:8].any()
    assert (difference[8:] > 0).all()


def test_names_of_timm_are_taken(tmp_path: Path) -> None:
    """The table stands under `attn` itself, and before the projections."""
    net = archdsl.load("swin.arch", parameters={**SMALL["swin"], "stages": [[2, 2]]})
    model = net.build()
    state: dict[str, Tensor] = {}
    own = dict(model.named_parameters())
    parts = {"layer_norm_1": "norm1", "conv_1": "attn.qkv", "conv_2": "attn.proj", "layer_norm_2": "norm2"}
    parts |= {"conv_3": "mlp.fc1", "conv_4": "mlp.fc2"}
    for name in ("patches.conv", "patches.layer_norm"):
        for each in ("weight", "bias"):
            state[f"patch_embed.{'proj' if name.endswith('conv') else 'norm'}.{each}"] = own[f"{name}.{each}"]
    for number in range(2):
        start = f"stage_1.unit_{number + 1}.SwinBlock_1"
        there = f"layers.0.blocks.{number}"
        wanted = [
            "layer_norm_1",
            "window_attention_1",
            "conv_1",
            "conv_2",
            "layer_norm_2",
            "conv_3",
            "conv_4",
        ]
        for part in wanted:
            if part == "window_attention_1":
                state[f"{there}.attn.relative_position_bias_table"] = own[f"{start}.{part}.bias"]
                continue
            for each in ("weight", "bias"):
                value = own[f"{start}.{part}.{each}"]
                state[f"{there}.{parts[part]}.{each}"] = value.flatten(1) if value.dim() > 1 else value
    for ours, theirs in (("layer_norm_1", "norm"), ("logits", "head.fc")):
        for each in ("weight", "bias"):
            state[f"{theirs}.{each}"] = own[f"{ours}.{each}"]
    assert len(state) == len(own)
    torch.save({name: value.detach() + 1 for name, value in state.items()}, tmp_path / "swin.pth")
    loaded = net.build(weights=tmp_path / "swin.pth")
    for name, value in loaded.named_parameters():
        torch.testing.assert_close(value, own[name] + 1)


# ------------------------------------------------------------------------------ training

LEARNS = """network Digits {
  input image: [1, 8, 8]
  patches: conv(24, kernel=2, stride=2)
  positions: parameter([24, 4, 4])
  from patches, positions -> add
  for attend in [attention(2), window_attention(2, 2, 1, relative_positions=true), channel_attention(2)] {
    parallel add {
      {}
      { layer_norm -> conv(72, kernel=1) -> attend -> conv(24, kernel=1) -> layer_scale(0.5) }
    }
    parallel add {
      {}
      { layer_norm -> conv(48, kernel=1) -> gelu -> conv(24, kernel=1) }
    }
  }
  layer_norm -> global_avg_pool -> flatten
  logits: linear(10)
}

train {
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.01)
  batch        = 50
  steps        = 120
  metrics      = [error]
  measurements = 1
}
"""


def test_a_network_learns_digits(tmp_path: Path) -> None:
    file = tmp_path / "digits.arch"
    file.write_text(LEARNS)
    arguments = ["train", str(file), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.35
