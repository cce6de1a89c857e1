"""Turns, reflections and changes of scale: the certificates, held to lowered networks."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
import torch
from test_equivariance import lowered

import archdsl
from archdsl.layers.symmetry import Motion
from archdsl.project import bundled

Tensor = torch.Tensor


def moved(motion: str, x: Tensor) -> Tensor:
    return torch.rot90(x, 1, (-1, -2)) if motion == "rotation" else x.flip(-1)


def permuted(motion: str, channels: str, y: Tensor, size: int) -> Tensor:
    """What the channels of a fibre do."""
    if channels == "scalar":
        return y
    assert channels == "regular"
    runs = y.unflatten(1, (-1, size))
    order = REGULAR[motion, size]
    return runs[:, :, order].flatten(1, 2)


REGULAR = {
    ("rotation", 4): [3, 0, 1, 2],
    ("rotation", 8): [3, 0, 1, 2, 7, 4, 5, 6],
    ("reflection", 8): [4, 7, 6, 5, 0, 3, 2, 1],
}
"""Which member of a run comes to each place."""


def values(text: str) -> tuple[list[dict[str, Any]], list[Tensor], dict[str, list[Tensor]]]:
    """The certificates of a network's outputs, and the outputs for an input, as it is and moved."""
    net = archdsl.loads(text)
    report = net.report().to_dict()
    layers = {layer["name"]: layer for layer in report["layers"]}
    model = lowered(net)
    (entry,) = report["inputs"]
    torch.manual_seed(2)
    x = torch.randn(2, *entry["shape"], dtype=torch.float64)

    def run(x: Tensor) -> list[Tensor]:
        with torch.no_grad():
            found = model(x)
        return [found] if isinstance(found, Tensor) else list(found)

    square = len(entry["shape"]) > 2 and entry["shape"][-1] == entry["shape"][-2]
    motions = ["rotation", "reflection"] if square else ["reflection"]
    certificates = [layers[name.partition(".")[0]]["equivariance"] for name in report["outputs"]]
    return certificates, run(x), {motion: run(moved(motion, x)) for motion in motions}


def held(text: str, size: int = 4) -> Counter[str]:
    """Hold every claim to what the network does; gives how many there were of each sort."""
    certificates, before, after = values(text)
    found: Counter[str] = Counter()
    for number, certificate in enumerate(certificates):
        for motion, results in after.items():
            claim = certificate[motion]
            y, there = before[number], results[number]
            found[f"{motion} {claim['answer']}"] += 1
            found[f"{motion} {claim['channels']}"] += 1
            if claim["answer"] == "none":
                assert claim["ended_by"] is not None
                continue
            assert claim["exact"] and claim["ended_by"] is None
            wanted = (
                y
                if claim["answer"] == "invariant"
                else moved(motion, permuted(motion, claim["channels"], y, size))
            )
            torch.testing.assert_close(there, wanted, rtol=1e-9, atol=1e-9)
    return found


LINES = (
    "relu", "softmax", "prelu(per_channel=true)", "tanh", "batch_norm", "layer_norm", "layer_norm(axis=all)",
    "instance_norm(affine=true)", "group_norm(2)", "local_response_norm(3)", "dropout", "channel_shuffle(2)",
    "conv(4, kernel=1)", "conv(6, kernel=1, stride=2)", "conv(4, kernel=3, padding=1)",
    "depthwise_conv(kernel=1)",
    "max_pool(2)", "max_pool(3, stride=2, padding=1)", "max_pool(3, stride=1, padding=1)",
    "avg_pool(3, stride=2)",
    "avg_pool([2, 2], stride=2, ceil=true)", "avg_pool([3, 1], stride=1, padding=[1, 0])",
    "lp_pool(2, kernel=3, stride=1)",
    "adaptive_avg_pool(3)", "adaptive_max_pool([2, 3])", "global_avg_pool", "global_max_pool",
    "upsample(2)", "upsample(2, mode=linear)", "upsample(size=[9, 9], mode=linear, align_corners=true)",
    "pad(1)", "pad([[1, 0], [1, 0]])", "pad(1, mode=reflect)", "crop(4)", "slice(0, 2)", "select([1, 0])",
    "slice(0, 3, axis=height)", "add(v0)", "multiply(v0)", "concat(v0)", "concat(v0, axis=width)",
)  # fmt: skip


GROUP_LINES = (
    "group_conv(2, kernel=3, padding=1, group=G)",
    "group_conv(3, kernel=[3, 3], stride=2, padding=1, group=G)",
    "group_batch_norm(group=G)", "relu", "max_pool(2)", "avg_pool(3, stride=1, padding=1)", "blur_pool",
    "group_pool(group=G)", "batch_norm", "softmax", "add(v0)", "concat(v0)", "upsample(2)", "global_max_pool",
    "conv(8, kernel=1)", "instance_norm", "channel_dropout",
)  # fmt: skip


LIFTED = "lifting_conv(2, kernel=3, padding=1, group=p4m)"


def chain(seed: int, first: str = "conv(4, kernel=1)", choices: tuple[str, ...] = LINES) -> str:
    """A random network of lines that may keep what is claimed, all of whose values are outputs."""
    draw = random.Random(seed)
    n = draw.choice((7, 8, 9, 12))
    shape = (
        [2, n, n]
        if "group" in first
        else draw.choice(([4, n, n], [4, n, n], [4, n, n + 1], [2, 3, n, n], [4, n]))
    )
    lines = [f"v0: {first}"]
    for number in range(1, 9):
        while True:
            line = f"v{number}: {draw.choice(choices)}"
            text = "\n".join(["network N {", f"  input x: {shape}", *(f"  {one}" for one in [*lines, line])])
            names = ", ".join(f"v{i}" for i in range(number + 1))
            try:
                archdsl.loads(f"{text}\n  output {names}\n}}")
            except archdsl.ArchError:
                continue
            lines.append(line)
            break
    return f"{text}\n  output {names}\n}}"


@pytest.mark.parametrize("part", range(3))
def test_every_claim_holds(part: int) -> None:
    found: Counter[str] = Counter()
    for seed in range(30):
        text = chain(1000 * part + seed)
        try:
            found += held(text)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{text}") from None
    for motion in ("rotation", "reflection"):
        for answer in ("equivariant", "invariant", "none"):
            assert found[f"{motion} {answer}"] > 2, found


@pytest.mark.parametrize(("group", "size"), [("p4", 4), ("p4m", 8)])
def test_every_claim_of_a_group_holds(group: str, size: int) -> None:
    found: Counter[str] = Counter()
    lines = tuple(line.replace("G", group) for line in GROUP_LINES)
    for seed in range(20):
        text = chain(seed, f"lifting_conv(2, kernel=3, padding=1, group={group})", lines)
        try:
            found += held(text, size)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{text}") from None
    for motion in ("rotation", "reflection"):
        kinds = ("regular", "scalar") if group == "p4m" or motion == "rotation" else ("None",)
        for kind in kinds:
            assert found[f"{motion} {kind}"] > 5, found


def test_open_sizes() -> None:
    """What is claimed for all sizes is claimed for each, and what is left open depends on the size."""
    found: Counter[tuple[bool, bool]] = Counter()
    lines = tuple(line.replace("G", "p4m") for line in GROUP_LINES)
    for seed in range(14):
        text = chain(seed) if seed % 2 else chain(seed, LIFTED, lines)
        for symbols in ("SS", "HW"):
            shape = rf"\1, {', '.join(symbols)}]"
            opened = re.sub(r"(input x: \[\d+), (\d+), \2\]", shape, text)
            if opened == text:
                continue
            try:
                every = archdsl.loads(opened)
                each = [archdsl.loads(opened, sizes=dict.fromkeys(symbols, n)) for n in (24, 25, 26)]
            except archdsl.ArchError:
                continue
            for wire in every.network.outputs:
                for motion in Motion:
                    said = every.analysis().symmetry(wire).of(motion)
                    assert said is not None
                    for net in each:
                        (there,) = (one for one in net.network.outputs if str(one) == str(wire))
                        known = net.analysis().symmetry(there).of(motion)
                        assert known is not None
                        if said.where is None:
                            assert known.answer == said.answer, (str(wire), motion, opened)
                        else:
                            assert known.answer in ("none", said.where) or said.where == "none", opened
                            found[symbols == "SS", known.answer != "none"] += 1
    # With one symbol some strides fit even extents alone, or odd ones; with two of one size all may fit.
    assert found[True, True] > 2 and found[True, False] > 2 and found[False, True] > 2, found


@pytest.mark.parametrize("name", ["group_equivariant.arch:P4CNN", "unet.arch:UNet", "lenet5.arch:LeNet5"])
def test_expectations_say_what_the_report_says(name: str) -> None:
    """Of every labelled layer; and what the report does not say fails, each at its line."""
    source = bundled(name.partition(":")[0])
    assert source is not None
    network = name.partition(":")[2]
    start = source.text.index(f"network {network}")
    end = source.text.index("\n}\n", start)
    lines: list[str] = []
    for layer in archdsl.load(name).report().to_dict()["layers"]:
        if re.search(rf"^  {layer['name']}:", source.text[start:end], re.MULTILINE) is None:
            continue
        said = layer["equivariance"]
        for fact in ("translation", "rotation", "reflection", "scale", "shift", "border"):
            value = said[fact]["answer"] if isinstance(said[fact], dict) else said[fact]
            lines.append(f"  expect {layer['name']}.{fact} == {'none' if value is None else value}")
    assert len(lines) >= 6

    def stated(lines: list[str]) -> str:
        return "\n".join([source.text[:end], *lines, source.text[end + 1 :]])

    assert all(outcome.holds for outcome in archdsl.loads(stated(lines), network=network).outcomes)
    wrong = [line.replace("== equivariant", "== none") for line in lines if line.endswith("== equivariant")]
    with pytest.raises(archdsl.ArchError) as raised:
        archdsl.loads(stated(wrong), network=network)
    assert [one.name for one in raised.value.diagnostics] == ["expectation-failed"] * len(wrong)


POLAR = """
network Polar {
  input image: [1, 8, 8]
  middle: {
    avg_pool(2) -> conv(1, kernel=1) -> centroid
  }
  from image -> log_polar([16, 8], origin=middle)
  pad([1, 0], mode=circular) -> conv(16, kernel=3, padding=[0, 1]) -> batch_norm -> relu
  max_pool([2, 1])
  pad([1, 0], mode=circular) -> conv(32, kernel=3, stride=2, padding=[0, 1]) -> batch_norm -> relu
  global_max_pool -> flatten
  logits: linear(10)
}
"""

HARMONIC = """
network Harmonic {
  input image: [1, 9, 9]
  a: harmonic_conv(3, kernel=3) -> harmonic_norm
  parallel add {
    { harmonic_conv(3, kernel=3, input_orders=[0, 1], padding=1) -> avg_pool(3, stride=1, padding=1) }
    {}
  }
  harmonic_norm -> magnitude
  global_avg_pool -> flatten -> linear(4)
}
"""


@pytest.mark.parametrize("text", [POLAR, HARMONIC])
def test_a_network_that_is_blind_to_turns(text: str) -> None:
    (certificate,), (y,), after = values(text)
    assert certificate["rotation"]["answer"] == "invariant" and certificate["rotation"]["exact"]
    torch.testing.assert_close(after["rotation"][0], y, rtol=1e-7, atol=1e-7)
    assert not torch.allclose(after["reflection"][0], y)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("pad([1, 0], mode=circular) -> conv(16, kernel=3, padding=[0, 1])", "conv(16, kernel=3, padding=1)"),
        ("max_pool([2, 1])", "max_pool([5, 1])"),
        ("log_polar([16, 8], origin=middle)", "log_polar([18, 8], origin=middle)"),
    ],
)
def test_a_ring_that_is_broken_ends_the_claim(line: str, instead: str) -> None:
    assert line in POLAR
    (certificate,), (y,), after = values(POLAR.replace(line, instead))
    claim = certificate["rotation"]
    assert claim["answer"] == "none" or not claim["exact"]
    assert not torch.allclose(after["rotation"][0], y)
