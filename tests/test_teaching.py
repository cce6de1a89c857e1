"""Warnings of what is nearly always a mistake, notes of what one should know, and how both are silenced."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
from expected import ARCHITECTURES
from programs import Program

import archdsl
from archdsl.checking import check_file
from archdsl.diagnostics import Diagnostic
from archdsl.layers import LAYERS
from archdsl.problems import CATALOGUE
from archdsl.residues import Values, agreeing
from archdsl.sizes import maximum, minimum, substitute, symbol
from archdsl.source import Source, Span
from archdsl.teaching.allowing import divided
from archdsl.teaching.finding import Readers
from archdsl.teaching.mistakes import BIASED

SHAPES = {1: "[4, 24]", 2: "[4, 24, 24]", 3: "[4, 24, 24, 24]"}


def network(body: str, shape: str = "[4, 24, 24]", blocks: str = "") -> str:
    lines = "\n".join(f"  {line}" for line in body.strip().splitlines())
    return f"{blocks}\nnetwork Case {{\n  input x: {shape}\n{lines}\n}}\n"


def found(text: str, teach: bool = False) -> list[Diagnostic]:
    return archdsl.loads(text, teach=teach).diagnostics


def names(text: str, teach: bool = False) -> list[str]:
    return [d.name for d in found(text, teach)]


# ------------------------------------------------------------------------------ biases and dropouts


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("conv(8, kernel=3) -> batch_norm", 1),
        ("conv(8, kernel=3) -> batch_norm(affine=false)", 1),
        ("conv(8, kernel=3) -> instance_norm", 1),
        ("depthwise_conv(kernel=3) -> batch_norm", 1),
        ("conv_transpose(8, kernel=2, stride=2) -> batch_norm", 1),
        ("flatten -> linear(8) -> batch_norm", 1),
        ("repeat 3 { conv(4, kernel=3) -> batch_norm }", 1),
        ("conv(8, kernel=3, bias=false) -> batch_norm", 0),
        ("conv(8, kernel=3) -> relu -> batch_norm", 0),
        ("conv(8, kernel=3) -> identity -> max_pool(2) -> batch_norm", 1),
        ("conv(8, kernel=3) -> global_avg_pool -> batch_norm", 1),
        ("conv(8, kernel=3) -> avg_pool(3, stride=2, padding=1) -> batch_norm", 0),
        ("conv(8, kernel=3) -> avg_pool(3, stride=2, padding=1, count_padding=false) -> batch_norm", 1),
        ("a: conv(4, kernel=3)\nb: from x -> conv(4, kernel=3)\nfrom a, b -> concat -> batch_norm", 2),
        ("a: conv(4, kernel=3)\nb: from x -> conv(4, kernel=3)\nfrom a, b -> subtract -> batch_norm", 2),
        ("a: conv(4, kernel=3)\nb: from x -> conv(4, kernel=3)\nfrom a, b -> multiply -> batch_norm", 0),
        ("a: conv(4, kernel=1)\nfrom a, x -> add -> batch_norm", 1),
        (
            "a: conv(4, kernel=1)\nb: from a, x -> add\nbatch_norm -> conv(4, kernel=1)\n"
            "add(b) -> batch_norm",
            2,
        ),
        ("a: conv(4, kernel=1)\nb: from a, x -> add\nbatch_norm -> conv(4, kernel=1)\nadd(b)", 0),
        ("conv(8, kernel=3) -> layer_norm", 0),
        ("conv(8, kernel=3) -> group_norm(2)", 0),
        ("a: conv(4, kernel=3)\nbatch_norm\nadd(a)", 0),
        ("a: conv(4, kernel=3)\nb: batch_norm\noutput a, b", 0),
        ("a: conv(4, kernel=3)\nb: batch_norm\nc: from a -> batch_norm\nfrom b, c -> add", 1),
        ("shared c: conv(4, kernel=3, padding=1)\nc -> batch_norm -> c -> batch_norm", 1),
        ("shared c: conv(4, kernel=3, padding=1)\nc -> batch_norm -> c -> relu", 0),
        ("shared c: conv(4, kernel=3, padding=1)\nc -> relu -> c -> batch_norm", 0),
    ],
)
def test_a_bias_before_a_normalisation(axes: int, body: str, expected: int) -> None:
    told = names(network(body, SHAPES[axes]))
    assert told.count("bias-before-norm") == expected == len(told)


USES = {
    "conv": "{}(4, kernel=3)",
    "depthwise_conv": "{}(kernel=3)",
    "conv_transpose": "{}(4, kernel=3, stride=2)",
    "linear": "flatten -> {}(4)",
    "deformable_conv": "{}(4, kernel=1, offsets=offsets)",
    "context_deformable_conv": "{}(4, kernel=1, sigma=spread)",
    "pixel_adaptive_conv": "{}(4, kernel=3, guide=x, padding=1)",
    "njet_conv": "{}(4, reach=3)",
    "lifting_conv": "{}(4, kernel=3)",
    "group_conv": "lifting_conv(4, kernel=3) -> {}(4, kernel=3)",
    "scale_invariant_conv": "{}(4, kernel=3, scales=[0.5, 1])",
    "partial_conv": "{}(4, kernel=3, mask=known, padding=1)",
}


def test_every_layer_with_a_bias_is_tried() -> None:
    assert set(USES) == {kind for kind, layer in LAYERS.items() if "bias" in layer.arguments}


@pytest.mark.parametrize("kind", sorted(USES))
def test_a_bias_that_is_warned_of_changes_nothing(kind: str) -> None:
    """In torch the result stays the same whatever the bias is, if and only if the layer is among them."""
    import torch

    inputs = "  input known: [1, 8, 8]\n  from x\n" if kind == "partial_conv" else ""
    before = {
        "deformable_conv": "  offsets: conv(2, kernel=1, bias=false)\n  from x\n",
        "context_deformable_conv": "  spread: conv(1, kernel=1, bias=false) -> softplus\n  from x\n",
    }.get(kind, "")
    line = USES[kind].format(kind)
    taken = f"  made: {line}\n" if kind != "partial_conv" else f"  made, _: {line}\n  from made\n"
    text = f"network Case {{\n  input x: [2, 8, 8]\n{inputs}{before}{taken}  batch_norm\n}}\n"
    net = archdsl.loads(text)
    assert ("bias-before-norm" in [d.name for d in net.diagnostics]) == (kind in BIASED)
    torch.manual_seed(0)
    model = net.build().train().double()
    values = [torch.randn(3, 2, 8, 8).double()]
    if kind == "partial_conv":
        values.append((torch.rand(3, 1, 8, 8) > 0.7).double())
    biases = [p for n, p in model.named_parameters() if n.endswith("bias") and "norm" not in n]
    # Of a lifting and a group convolution it is the second's.
    bias = biases[-1]
    first = model(*values).detach()
    with torch.no_grad():
        bias.add_(torch.randn_like(bias))
    assert torch.allclose(model(*values), first, atol=1e-8) == (kind in BIASED)


@pytest.mark.parametrize(
    "chain",
    [
        "identity",
        "max_pool(2)",
        "avg_pool(2)",
        "avg_pool(3, padding=1)",
        "avg_pool(3, padding=1, count_padding=false)",
        "avg_pool(3, padding=[[0, 1]])",
        "global_avg_pool",
        "concat(x)",
        "concat(x, axis=length)",
        "add(x)",
        "subtract(x)",
        "multiply(x)",
        "upsample(2)",
        "relu",
    ],
)
def test_a_bias_that_is_warned_of_through_other_layers_changes_nothing(chain: str) -> None:
    """What is warned of does nothing; what does nothing need not be warned of."""
    import torch

    net = archdsl.loads(network(f"conv(4, kernel=1) -> {chain} -> batch_norm", "[4, 8]"))
    torch.manual_seed(0)
    model = net.build().train().double()
    x = torch.randn(3, 4, 8).double()
    first = model(x).detach()
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if n.endswith("conv_1.bias")).add_(torch.randn(4))
    same = torch.allclose(model(x), first, atol=1e-8)
    assert same >= ("bias-before-norm" in [d.name for d in net.diagnostics])
    kept = ("identity", "max", "avg_pool(2)", "concat(x)", "add", "subtract", "global", "upsample")
    assert same == (chain.startswith(kept) or "false" in chain)


def test_the_mend_of_a_bias_is_text_that_can_be_put_in() -> None:
    text = network(
        "conv(8, kernel=3) -> batch_norm\nconv(8, kernel=3, bias=true) -> batch_norm\n"
        "let b = true\nconv(8, kernel=3, bias=b) -> batch_norm"
    )
    told = found(text)
    assert len(told) == 3
    mended = text
    for d in sorted(told, key=lambda d: -d.span.start):
        if d.edit is not None:
            at = d.edit.span
            mended = mended[: at.start] + d.edit.replacement + mended[at.end :]
    assert [d.span.text for d in found(mended)] == ["conv(8, kernel=3, bias=b)"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("dropout(0.5) -> batch_norm", 1),
        ("channel_dropout(0.5) -> batch_norm", 1),
        ("for rate in [0.1, 0.2] { dropout(rate) -> batch_norm -> relu }", 1),
        ("dropout(0) -> batch_norm", 0),
        ("dropout(0.5) -> relu -> batch_norm", 1),
        ("channel_dropout(0.5) -> leaky_relu -> identity -> batch_norm", 1),
        ("dropout(0.5) -> gelu -> batch_norm", 0),
        ("dropout(0.5) -> conv(4, kernel=3, bias=false) -> batch_norm", 0),
        ("batch_norm -> dropout(0.5)", 0),
        ("dropout(0.5) -> layer_norm", 0),
    ],
)
def test_a_dropout_before_a_batch_normalisation(body: str, expected: int) -> None:
    assert names(network(body)) == ["dropout-before-norm"] * expected


# ------------------------------------------------------------------------------ samples


def windows(rng: random.Random) -> tuple[str, int, int, int, int]:
    kernel, stride, dilation = rng.randint(1, 4), rng.randint(1, 4), rng.choice([1, 1, 2, 3])
    padding = rng.randint(0, kernel // 2)
    kind = rng.choice(["conv(2, ", "max_pool("])
    text = f"{kind}kernel={kernel}, stride={stride}, padding={padding}, dilation={dilation})"
    return text, kernel, stride, padding, dilation


@pytest.mark.parametrize("seed", range(60))
def test_samples_that_no_window_reads(seed: int) -> None:
    """Against the windows, put over the samples one by one."""
    rng = random.Random(seed)
    text, kernel, stride, padding, dilation = windows(rng)
    extent = rng.randint(12, 20)
    read = set[int]()
    start = -padding
    while start + (kernel - 1) * dilation < extent + padding:
        read |= {start + tap * dilation for tap in range(kernel)}
        start += stride
    unseen = sorted(set(range(extent)) - read)
    told = [d for d in found(network(text, f"[2, {extent}]"), teach=True) if d.name in SAMPLES]
    assert bool(told) == bool(unseen)
    if told:
        overlap = dilation == 1 and kernel > stride
        assert told[0].name == ("unread-edge" if overlap else "unseen-samples")
        assert f" {unseen[0]}" in told[0].message
        assert f" {unseen[-1]} of 0 to {extent - 1} along length" in told[0].message


SAMPLES = ("unseen-samples", "unread-edge")


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("conv(4, kernel=1, stride=2)", True),
        ("relu -> max_pool(5)", True),
        ("max_pool(5, ceil=true)", False),
        ("max_pool(2)", False),
        ("subsample(2)", False),
        ("conv(4, kernel=3, stride=2, padding=1)", False),
        ("crop(23) -> relu", False),
        ("pad(1) -> conv(4, kernel=5, stride=5)", False),
        ("a: max_pool(5)\nb: from x -> conv(4, kernel=5, stride=5)\nfrom a, b -> add", True),
        ("a: max_pool(2)\nb: from x -> conv(4, kernel=1, stride=2)\nfrom a, b -> add", False),
        ("a: conv(4, kernel=1, stride=2)\nb: from x -> global_avg_pool\nfrom a, b -> multiply", False),
        ("a: relu\nb: conv(4, kernel=1, stride=2)\noutput a, b", False),
    ],
)
def test_samples_that_another_path_reads_are_seen(axes: int, body: str, expected: bool) -> None:
    assert names(network(body, SHAPES[axes])) == ["unseen-samples"] * expected


def test_the_kernel_that_is_said_to_read_every_sample_is_the_smallest() -> None:
    rng = random.Random(0)
    said = 0
    lines = [
        "conv(4, kernel={}, stride={}, padding={})",
        "conv(4, kernel={}, stride={}, padding=same)",
        "max_pool({}, stride={}, padding={}, ceil=true)",
    ]
    for _ in range(120):
        line, kernel = rng.choice(lines), rng.randint(1, 3)
        stride, padding = rng.randint(2, 5), rng.randint(0, kernel // 2)
        shape = str([1, *(rng.randint(4, 20) for _ in range(rng.randint(1, 2)))])
        for d in found(network(line.format(kernel, stride, padding), shape)):
            mend = re.match(r"a kernel of (\d+) reads every sample", d.help or "")
            if mend:
                said += 1
                # Of smaller ones, those are no pooling whose padding is more than half of them.
                tried = range(max(1, 2 * padding), int(mend[1]) + 1)
                told = [names(network(line.format(k, stride, padding), shape), teach=True) for k in tried]
                assert [not {*SAMPLES} & {*one} for one in told] == [False] * (len(told) - 1) + [True]
    assert said > 40


@pytest.mark.parametrize(
    ("line", "shape", "expected"),
    [
        ("max_pool(2, padding=1, ceil=true, stride=3)", "[1, 6]", "3 reads every sample"),
        ("max_pool(2, padding=1, ceil=true, stride=3)", "[1, 7, 6]", "3 reads every sample"),
        ("conv(4, kernel=1, stride=2, padding=same)", "[1, 33]", "2 reads every sample"),
        ("conv(4, kernel=1, stride=[2, 3])", "[1, H, W]", "3 or more leaves none out between windows"),
        ("conv(4, kernel=1, stride=2, dilation=2)", "[1, 9]", None),
    ],
)
def test_which_kernel_is_said_to_be_enough(line: str, shape: str, expected: str | None) -> None:
    (told,) = [d for d in found(network(line, shape)) if d.name == "unseen-samples"]
    assert (told.help or "").startswith(f"a kernel of {expected};" if expected else "a smaller dilation")


def test_of_an_open_extent_only_what_lies_between_windows_is_known() -> None:
    assert names(network("conv(4, kernel=1, stride=2)", "[4, H]")) == ["unseen-samples"]
    assert "unseen-samples" not in names(network("max_pool(2)", "[4, H]"))


# ------------------------------------------------------------------------------ unused results


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a, b: split([2, 2])\nfrom a -> relu", ["unused-result"]),
        ("a, _: split([2, 2])\nfrom a -> relu", []),
        ("a, b: split([2, 2])\nfrom a, b -> add", []),
        ("a, b: split([2, 2])\noutput a, b", []),
        ("a, b: Halves\nfrom a -> relu", ["unused-result"]),
        ("a, _: Halves\nfrom a -> relu", []),
        ("a, b: Two\nfrom a -> relu", ["unused-value"]),
        ("a, _: Two\nfrom a -> relu", []),
        ("repeat 2 { Drops }", ["unused-result"]),
        ("Halves -> add", []),
    ],
)
def test_results_that_are_named_and_not_used(body: str, expected: list[str]) -> None:
    blocks = """
block Halves { low, high: split([2, 2])
output low, high }
block Two { one: relu
two: from input -> tanh
output one, two }
block Drops { low, high: split([2, 2])
from low -> conv(4, kernel=1) }
"""
    assert names(network(body, blocks=blocks)) == expected


# ------------------------------------------------------------------------------ sizes that fit


def expression(rng: random.Random, depth: int = 3):  # type: ignore[no-untyped-def]
    """A size in H, as layers make them."""
    size = symbol("H")
    for _ in range(depth):
        match rng.randint(0, 4):
            case 0 | 1:
                size = (size + rng.randint(0, 3)) // rng.randint(2, 4) + rng.randint(0, 1)
            case 2:
                size = size * rng.randint(2, 3) + rng.randint(-1, 1)
            case 3:
                size = maximum(size - rng.randint(1, 6), rng.randint(1, 3))
            case 4:
                size = minimum(size + 2, 2 * size - rng.randint(0, 8))
    return size


@pytest.mark.parametrize("seed", range(150))
def test_where_sizes_agree_is_exact(seed: int) -> None:
    """Every value up to one far beyond thresholds and periods is tried."""
    rng = random.Random(seed)
    a, b = expression(rng), expression(rng)
    if rng.random() < 0.5:
        # More often equal: one and the same, but for a rounding.
        b = rng.randint(2, 4) * (a // rng.randint(2, 4)) + rng.randint(0, 1)
    if isinstance(a - b, int):
        return
    decided = agreeing(a, b)
    assert decided is not None
    name, values = decided
    assert name == "H"
    for value in range(1, 400):
        agree = substitute(a, {"H": value}) == substitute(b, {"H": value})
        assert (value in values) == agree, value
    assert (set(range(1, 400)) == {v for v in range(1, 400) if v in values}) == values.everything
    assert holds(values.said("H")) == {v for v in range(1, 400) if v in values}


def holds(said: str) -> set[int]:
    """The values below 400 for which what was said of H holds."""

    def numbers(text: str) -> set[int]:
        parts = re.findall(r"(\d+) to (\d+)|(\d+)", text)
        return {n for a, b, c in parts for n in (range(int(a), int(b) + 1) if a else [int(c)])}

    values = set[int]()
    if exact := re.match(r"H is ([\d, tor]*\d)", said):
        values |= numbers(exact[1])
    if every := re.search(r"H >= (\d+)$", said):
        values |= set(range(int(every[1]), 400))
    if modulo := re.search(r"H mod (\d+) is (.*?)(?:, from (\d+) on)?$", said):
        remainders, start = numbers(modulo[2]), int(modulo[3] or 1)
        values |= {v for v in range(start, 400) if v % int(modulo[1]) in remainders}
    return values


def test_sets_of_values_are_met_and_told_apart() -> None:
    even, threes = Values(2, frozenset({0})), Values(3, frozenset({0}), 5, frozenset({1}))
    both = even.both(threes)
    assert both is not None
    assert {v for v in range(1, 60) if v in both} == {v for v in range(5, 60) if v % 6 == 0}
    assert agreeing(symbol("H"), symbol("W")) is None
    assert agreeing(64 // symbol("H"), symbol("H")) is None


SKIPS = {
    "unet": "block L(d) {\nhere: relu\nif d > 0 {\nbelow: max_pool(2) -> L(d - 1) -> upsample(2)\n"
    "from here, below -> add\n}\n}\n" + "network Case {\n  input x: [2, H]\n  L(3)\n}",
    "pad": "network Case {\n  input x: [2, H]\n  a: pad(1) -> conv(2, kernel=3, stride=2)\n"
    "  from x -> max_pool(2) -> add(a)\n}",
    "strides": "network Case {\n  input x: [2, H]\n  a: conv(2, kernel=3, stride=3)\n"
    "  from x -> conv(2, kernel=4, stride=3, padding=1) -> add(a)\n}",
    "loop": "network Case {\n  input x: [2, H]\n  for s in [2, 3] {\n    parallel concat {\n      {}\n"
    "      max_pool(s) -> upsample(s)\n    }\n    conv(2, kernel=1)\n  }\n}",
    "floors": "network Case {\n  input x: [2, H]\n  a: max_pool(4)\n"
    "  from x -> max_pool(3) -> concat(a, axis=channels)\n}",
    "repeated": "network Case {\n  input x: [2, H]\n  conv(2, kernel=3, stride=2, padding=1)\n"
    "  conv_transpose(2, kernel=2, stride=2) -> add(x)\n}",
    "image": "network Case {\n  input x: [2, 8, H]\n  a: max_pool(2) -> upsample(2)\n  from x, a -> add\n}",
}


@pytest.mark.parametrize("name", SKIPS)
def test_the_sizes_that_a_skip_fits_are_those_that_compile(name: str) -> None:
    text = SKIPS[name]
    (said,) = [d for d in found(text) if d.name == "undecided-size"]
    fits = holds(said.message.split(" where ")[1])
    for value in range(1, 60):
        try:
            archdsl.loads(text, sizes={"H": value})
            compiles = True
        except archdsl.ArchError as error:
            compiles = False
            if value in fits:
                # Whether windows fit is said apart.
                assert "window-outside-input" in {d.name for d in error.diagnostics}
                continue
        assert compiles == (value in fits), value


# ------------------------------------------------------------------------------ notes


@pytest.mark.parametrize("seed", range(40))
def test_how_far_apart_the_centres_of_paths_are(seed: int) -> None:
    """Against the positions that each unit of a branch reads, followed one by one."""
    rng = random.Random(seed)
    branches: list[str] = []
    centres: list[Fraction] = []
    stride = rng.choice([1, 2])
    for _ in range(2):
        before, span = rng.randint(0, 2), rng.randint(2, 5)
        after = rng.randint(0, 2)
        step = rng.choice([1, 2])
        branches.append(
            f"conv(4, kernel={span}, dilation={step}, stride={stride}, padding=[[{before}, {after}]])"
            " -> crop(5)"
        )
        extent = (40 + before + after - (span - 1) * step - 1) // stride + 1
        start = (extent - 5) // 2 * stride - before
        centres.append(Fraction(start + start + (span - 1) * step, 2))
    text = network("parallel add {\n" + "\n".join(branches) + "\n}", "[4, 40]")
    told = [d.message for d in found(text, teach=True) if d.name == "shifted-paths"]
    apart = abs(centres[0] - centres[1])
    assert bool(told) == bool(apart)
    if told:
        number = re.search(r"are ([\d.]+) samples? apart along length", told[0])
        assert number and Fraction(number[1]) == apart


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("parallel add {\nconv(4, kernel=3, padding=1)\n{}\n}", None),
        ("parallel add {\nconv(4, kernel=2, padding=[[0, 1], [0, 1]])\n{}\n}", "0.5 samples"),
        ("parallel add {\nconv(4, kernel=2, padding=[[1, 0], [0, 1]])\n{}\n}", "0.5 samples"),
        ("parallel add {\nmax_pool(2) -> upsample(2)\n{}\n}", None),
        ("parallel add {\nsubsample(2) -> upsample(2)\n{}\n}", "0.5 samples apart on average"),
        ("a: max_pool(2) -> crop(6)\nb: from x -> crop(6)\nfrom a, b -> concat", "strides are 1 and 2"),
        ("gate: global_avg_pool -> conv(4, kernel=1)\nfrom x, gate -> multiply", None),
    ],
)
def test_paths_with_different_centres(body: str, expected: str | None) -> None:
    told = [d.message for d in found(network(body), teach=True) if d.name == "shifted-paths"]
    assert len(told) == (expected is not None)
    assert expected is None or expected in told[0]


@pytest.mark.parametrize(("kernel", "stride"), [*product(range(1, 7), range(1, 5))])
def test_checkerboards_are_uneven_sums(kernel: int, stride: int) -> None:
    import torch

    ones = torch.ones(1, 1, 20)
    inside = torch.nn.functional.conv_transpose1d(ones, torch.ones(1, 1, kernel), stride=stride)[0, 0, 8:-8]
    uneven = len(set(inside.tolist())) > 1
    text = network(f"conv_transpose(4, kernel={kernel}, stride={stride})", "[4, 20]")
    told = [d for d in found(text, teach=True) if d.name == "checkerboard"]
    assert bool(told) == uneven
    for d in told:
        counts = sorted({int(n) for n in inside.tolist()})
        assert d.text == f"units in turn are sums over {counts[0]} and {counts[1]} taps"


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("max_pool(2)", True),
        ("conv(4, kernel=3, stride=2, padding=1)", True),
        ("max_pool(2, stride=1) -> blur_pool", False),
        ("blur_pool(3, stride=1) -> subsample(2)", False),
        ("avg_pool(2)", False),
        ("conv(8, kernel=4, stride=4)", False),
        ("conv(8, kernel=3)", False),
    ],
)
def test_steps_without_smoothing(axes: int, body: str, expected: bool) -> None:
    assert ("aliasing" in names(network(body, SHAPES[axes]), teach=True)) == expected


@pytest.mark.parametrize(
    ("body", "holes"),
    [
        ("conv(4, kernel=3, dilation=2)", (3, 5)),
        ("conv(4, kernel=3, dilation=2) -> conv(4, kernel=2)", None),
        ("repeat 3 { conv(4, kernel=3, dilation=2) }", (7, 13)),
        ("conv(4, kernel=1, stride=2) -> conv(4, kernel=3) -> global_avg_pool", (3, 5)),
        ("conv(4, kernel=3) -> conv(4, kernel=3)", None),
    ],
)
def test_holes_in_the_last_field(body: str, holes: tuple[int, int] | None) -> None:
    told = [d.message for d in found(network(body, "[4, 24]"), teach=True) if d.name == "holes-in-field"]
    assert len(told) == (holes is not None)
    if holes:
        assert f"sees {holes[0]} of the {holes[1]} samples" in told[0]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("conv(4, kernel=3) -> global_avg_pool", True),
        ("conv(4, kernel=24, padding=12) -> global_avg_pool", False),
        ("conv(4, kernel=3) -> flatten -> linear(2)", False),
        ("gate: global_avg_pool -> conv(4, kernel=1)\nfrom x, gate -> multiply -> flatten", False),
    ],
)
def test_a_pooling_of_units_that_see_too_little(body: str, told: bool) -> None:
    assert ("field-short-of-input" in names(network(body), teach=True)) == told


def notes(file: str, network: str, name: str) -> list[str]:
    net = archdsl.load(ARCHITECTURES / file, network=network, teach=True)
    return [d.message for d in net.diagnostics if d.name == name]


def test_the_field_of_vgg16_never_covers_its_input() -> None:
    """Araujo, Norris and Sim, 2019: 212 of 224 samples."""
    assert notes("vgg.arch", "VGG16", "field-covers-input") == []
    net = archdsl.load(ARCHITECTURES / "vgg.arch", network="VGG16")
    assert net.report().to_dict()["totals"]["receptive_field"]["size"] == [212, 212]


@pytest.mark.parametrize(
    ("network", "units", "late"),
    [
        ("ResNet50", (3, 4, 6, 3), False),
        ("ResNet101", (3, 4, 23, 3), False),
        ("ResNet50V15", (3, 4, 6, 3), True),
    ],
)
def test_from_which_layer_on_a_resnet_sees_all(network: str, units: tuple[int, ...], late: bool) -> None:
    """By hand: a window of 3 adds twice the step so far; after the stem it is 11 samples and a step of 4."""
    size, step = 11, 4
    first = None
    for stage, depth in enumerate(units, 1):
        for unit in range(1, depth + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            if not late:
                step *= stride
            if first is None and size >= 224:
                first = f"stage_{stage}.Bottleneck_{unit}.residual.conv_2", size
            size += 2 * step
            if late:
                step *= stride
    assert first is not None
    (said,) = notes("resnet.arch", network, "field-covers-input")
    field = f"{first[1]} x {first[1]}"
    assert said == f"the receptive field before `{first[0]}` is {field}, and the whole input 224 x 224"


# ------------------------------------------------------------------------------ silencing


MISTAKE = "conv(4, kernel=3) -> batch_norm"


@pytest.mark.parametrize(
    ("lines", "quiet"),
    [
        (f"{MISTAKE}  # allow bias-before-norm", True),
        (f"{MISTAKE}  #allow bias-before-norm: a reason, with commas", True),
        (f"{MISTAKE}  # allow unseen-samples, bias-before-norm", True),
        (f"# allow bias-before-norm\n{MISTAKE}", True),
        (f"# a word\n# allow bias-before-norm\n# another\n{MISTAKE}", True),
        (f"# allow bias-before-norm\n\n{MISTAKE}", True),
        (f"# allow bias-before-norm\n\n# another\n\n{MISTAKE}", True),
        (f"# allow: bias-before-norm\n{MISTAKE}", True),
        (f"## Allow bias-before-norm: a reason\n{MISTAKE}", True),
        (f"# Allowed bias-before-norm\n{MISTAKE}", False),
        ("# allow bias-before-norm\nconv(4,\nkernel=3) -> batch_norm", True),
        ("conv(4,\nkernel=3) -> batch_norm  # allow bias-before-norm", True),
        ("conv(4,  # allow bias-before-norm\nkernel=3) -> batch_norm", True),
        ("conv(4,\nkernel=3  # allow bias-before-norm\n) -> batch_norm", False),
        (f"relu  # allow bias-before-norm\n{MISTAKE}", False),
        (f"{MISTAKE}\n# allow bias-before-norm", False),
        (f"{MISTAKE}  # allow dropout-before-norm", False),
        (f"{MISTAKE}  # I allow bias-before-norm", False),
        (f"{MISTAKE}  # allow bias-before-norm here", False),
        (f"{MISTAKE}  # allow", False),
    ],
)
def test_where_a_comment_silences(lines: str, quiet: bool) -> None:
    told = names(network(lines))
    assert ("bias-before-norm" not in told) == quiet
    if quiet:
        assert told == ["unused-allow"] * ("unseen-samples" in lines)


def test_a_hash_in_a_string_begins_no_comment() -> None:
    def quiet(line: str) -> bool:
        span = Span(Source("a.arch", f"network A {{\n{line}\n}}\n"), 12, 14)
        return divided([Diagnostic("unused-value", "warning", "", span)])[0] == []

    assert quiet('data = f("#") # allow unused-value')
    assert not quiet('data = f("# allow unused-value")')
    assert not quiet('data = f("#", "# allow unused-value')


def test_every_warning_can_be_silenced_and_no_error() -> None:
    """Those of today and of older days; the warning is on the line of its own comment."""
    programs = {
        "unused-value": network("a: relu  # allow unused-value\nfrom x -> tanh"),
        "unused-sharing": network("shared s: relu  # allow unused-sharing\ntanh"),
        "undecided-size": "network A {\n input x: [1, H]\n input y: [1, 4]\n"
        " from x, y -> add  # allow undecided-size\n}",
        "expectation-undecided": "network A {\n input x: [1, H]\n a: relu\n"
        " expect a.length == 4  # allow expectation-undecided\n}",
    }
    for name, text in programs.items():
        assert names(text) == [], name
        assert name in names(text.replace(f"# allow {name}", "")), name
    with pytest.raises(archdsl.ArchError) as error:
        found(network("rleu  # allow unknown-layer"))
    assert "unknown-layer" in [d.name for d in error.value.diagnostics]


def test_a_comment_for_one_of_several_networks_is_not_needless() -> None:
    text = (
        "block Down(kernel) {\n  # allow unseen-samples\n"
        "  conv(4, kernel=kernel, stride=2, padding=kernel // 2)\n}\n"
        "network A { input x: [4, 8]\n Down(1) }\nnetwork B { input x: [4, 8]\n Down(3) }\n"
    )
    assert check_file(Source("a.arch", text)).diagnostics == []
    assert archdsl.loads(text, network="B").diagnostics == []
    gone = text.replace("Down(1)", "Down(5)")
    assert [d.name for d in check_file(Source("a.arch", gone)).diagnostics] == ["unused-allow"]


def test_a_name_is_needless_only_where_all_was_looked_at() -> None:
    note = network("relu  # allow aliasing")
    assert names(note) == []
    assert names(note, teach=True) == ["unused-allow"]
    text = "network A(k = 1) {\n input x: [4, 8]\n # allow unseen-samples\n conv(4, kernel=k, stride=2)\n}"
    assert archdsl.loads(text, parameters={"k": 2}).diagnostics == []
    broken = network("relu  # allow unseen-samples") + "network Other {\n input x: [1]\n rleu\n}"
    assert "unused-allow" not in [d.name for d in check_file(Source("a.arch", broken)).diagnostics]


ALLOWING = sorted(
    path.name for path in ARCHITECTURES.glob("*.arch") if "# allow " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("file", ALLOWING)
def test_what_bundled_files_allow_is_there(file: str) -> None:
    text = (ARCHITECTURES / file).read_text(encoding="utf-8")
    assert check_file(Source(str(ARCHITECTURES / file), text)).diagnostics == []


# ------------------------------------------------------------------------------ where they are told


@pytest.mark.parametrize("seed", range(10))
def test_who_reads_a_value(seed: int) -> None:
    """Near or far apart, each reader once."""
    far = "\n".join(f"l{i}: from x -> relu" for i in range(60))
    back = "\n".join(f"m{i}: from l{i}, l{i}, l{59 - i} -> add" for i in range(60))
    text = network(f"{far}\n{back}\nfrom {', '.join(f'm{i}' for i in range(60))} -> add")
    for program in (text, Program(seed).text()):
        flow = archdsl.loads(program).analysis().flow
        readers = Readers(flow)
        for value in range(len(flow.makers)):
            assert [*readers.of(value)] == [i for i, feeds in enumerate(flow.feeds) if value in feeds]


def test_a_place_that_several_networks_use_is_warned_of_once() -> None:
    blocks = "block B(c) { conv(c, kernel=1, stride=2) -> batch_norm }\n"
    text = blocks + "".join(
        f"network N{c} {{\n input x: [{c}, {8 * c}]\n B({c}) -> B({c})\n}}\n" for c in (2, 3)
    )
    assert sorted(d.name for d in check_file(Source("a.arch", text)).diagnostics) == [
        "bias-before-norm",
        "unseen-samples",
    ]


def test_no_more_is_told_than_problems_are_shown() -> None:
    text = network("\n".join(["conv(4, kernel=1) -> batch_norm"] * 150))
    assert names(text) == ["bias-before-norm"] * 100


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("conv(1, kernel=2_000_000_000, dilation=2, stride=3)", "[1, H]"),
        ("conv(1, kernel=3, stride=2_000_000_000_000)", "[1, H]"),
        ("conv(1, kernel=60_000, dilation=2, stride=3)", "[1, 200_000]"),
        ("conv(1, kernel=1, stride=2)", "[1, 10_000_000]"),
        ("a: max_pool(4099) -> upsample(4099)\nfrom x, a -> add", "[1, H]"),
    ],
)
def test_huge_numbers_are_not_counted_out(body: str, shape: str) -> None:
    begun = time.process_time()
    found(network(body, shape), teach=True)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_are_told_nothing_wrong(seed: int) -> None:
    """They keep their extents and use what they split; whatever else is said lies in the file."""
    net = archdsl.loads(Program(seed).text(), teach=True)
    told = {d.name for d in net.diagnostics}
    assert not told & {"unseen-samples", "unused-result", "unread-edge", "unused-allow", "unknown-allow"}
    assert all(CATALOGUE[d.name].severity == d.severity for d in net.diagnostics)
    assert len({(d.name, d.span) for d in net.diagnostics}) == len(net.diagnostics)


NOTED = network("max_pool(2)\nconv(4, kernel=3) -> batch_norm")


@pytest.mark.parametrize(
    ("form", "level"), [("json", "note"), ("sarif", "note"), ("github", "notice"), ("text", "note")]
)
def test_the_command_line_tells_notes_when_asked(tmp_path: Path, form: str, level: str) -> None:
    (tmp_path / "a.arch").write_text(NOTED)
    command = [sys.executable, "-m", "archdsl", "check", "a.arch", "--format", form]
    without, given = (
        subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for more in ([], ["--teach"])
    )
    assert "aliasing" not in without and "bias-before-norm" in without
    if form == "json":
        told = {d["name"]: d["severity"] for d in json.loads(given)["diagnostics"]}
    elif form == "sarif":
        told = {r["ruleId"]: r["level"] for r in json.loads(given)["runs"][0]["results"]}
    elif form == "github":
        told = {m[2]: m[1] for m in re.finditer(r"^::(\w+) .*?title=([\w-]+)", given, re.M)}
    else:
        told = {m[2]: m[1] for m in re.finditer(r"^(\w+)\[([\w-]+)\]", given, re.M)}
    assert told == {"aliasing": level, "bias-before-norm": "warning"}


def test_analyze_tells_them_on_standard_error_and_loads_no_lessons_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.arch").write_text(NOTED)
    program = (
        "import sys; from archdsl.cli.main import run; run(sys.argv[1:])\n"
        "print('archdsl.teaching.lessons' in sys.modules, file=sys.stderr)"
    )
    for more, loaded in ([], "False"), (["--teach"], "True"):
        run = subprocess.run(
            [sys.executable, "-c", program, "analyze", "a.arch", *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "warning[bias-before-norm]" in run.stderr and "batch_norm" in run.stdout
        assert ("note[aliasing]" in run.stderr) == bool(more)
        assert run.stderr.splitlines()[-1] == loaded


def test_all_warnings_and_notes_are_on_their_page() -> None:
    page = (ARCHITECTURES.parent / "docs" / "teaching.md").read_text(encoding="utf-8")
    missing = [n for n, kind in CATALOGUE.items() if kind.severity != "error" and f"`{n}`" not in page]
    assert missing == []
