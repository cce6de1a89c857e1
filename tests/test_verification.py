"""`archdsl verify`: claims held to lowered networks, and claims that are wrong refuted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from moving_networks import Grower
from random_graphs import random_graph
from safetensors.torch import load_file, save_file
from test_symmetry import GROUP_LINES, HARMONIC, POLAR, chain
from torch import Tensor
from translating import translate

import archdsl
from archdsl.analysis import Analysis
from archdsl.analysis.equivariance import Equivariance, Motion
from archdsl.analysis.symmetry import INVARIANT, Answer, Symmetry
from archdsl.cli.main import run
from archdsl.layers.symmetry import SCALAR
from archdsl.net import Net
from archdsl.verification import Finding, TooMuch, Verification, passes, verify
from archdsl.verification import measuring as limits
from archdsl.verification.passes import spent
from archdsl.verification.running import Inputs, Running
from archdsl.verification.shifting import shifted

DOCS = Path(__file__).parent.parent / "docs" / "analysis.md"

ROUND = """
network Round {
  input image: [2, 12, 12]
  conv(3, kernel=3, padding=1, padding_mode=circular) -> tanh -> max_pool(2)
  instance_norm -> global_avg_pool
}
"""
"""A ring all along, whose border is 0."""

SHOWN = """
network Shown {
  input image: [2, 24, 24]
  a: conv(3, kernel=3, padding=1)
  b: max_pool(2) -> conv(3, kernel=3, padding=1)
  c: group_norm(1) -> global_avg_pool
  from a -> permute([channels, width, height])
  d: permute([channels, width, height])
  from a -> flatten
  e: linear(2)
  output b, c, d, e
}
"""


POINTS = """
network Points {
  input image: [3, 8, 8]
  a: conv(8, kernel=1) -> relu -> upsample(2)
  b: instance_norm -> conv(24, kernel=1) -> attention(heads=2)
  mean: adaptive_avg_pool(1)
  gated: from b -> multiply(mean)
  scores: global_max_pool -> flatten -> linear(10)
  padded: from b -> conv(4, kernel=1, padding=1)
  output scores, padded
}
"""
"""What acts at one position, repeats samples or sees a whole map answers to enlargement exactly."""


def verified(text: str) -> Verification:
    net = archdsl.loads(text)
    return verify(net.network, net.analysis(), program=net.program)


def of(found: Verification, layer: str, motion: str = "translation") -> Finding:
    return next(one for one in found.findings if (str(one.wire), one.motion) == (layer, motion))


def random_networks() -> Iterator[str]:
    yield from (HARMONIC, POLAR, ROUND, POINTS)
    for seed in range(22):
        yield translate({"layers": random_graph(seed, 1 + seed % 2)})
    for seed in range(10):
        yield chain(seed)
    for group in ("p4", "p4m"):
        lines = tuple(line.replace("G", group) for line in GROUP_LINES)
        for seed in range(3):
            yield chain(seed, f"lifting_conv(2, kernel=3, padding=1, group={group})", lines)
    for seed in range(160):
        yield Grower(seed).text(layers=5)


def test_no_claim_is_refuted() -> None:
    counts: Counter[tuple[str, str, str]] = Counter()
    for text in random_networks():
        found = verified(text)
        assert found.of("refuted") == [], text
        counts.update((one.motion, one.claimed, one.verdict) for one in found.findings)
        for one in found.findings:
            if one.verdict == "holds" and one.needed is not None:
                assert one.border is not None
                for needed, border in zip(one.needed, one.border, strict=True):
                    assert needed is None or (border is not None and needed <= border), (str(one.wire), text)
    for motion in ("translation", "rotation", "reflection"):
        for claim in ("equivariant", "invariant"):
            # Most claims are measured: nothing holds because nothing was looked at.
            assert counts[motion, claim, "holds"] >= 12, counts
            assert counts[motion, claim, "holds"] > 2 * counts[motion, claim, "unmeasured"], counts
        assert counts[motion, "none", "none"] > 12, counts
    for claim in ("equivariant", "invariant"):
        assert counts["scale", claim, "holds"] >= 4, counts


STILL = """
network Still {
  input x: [2, 12, 12]
  a: conv(3, kernel=1)
  small: max_pool(2) -> max_pool(3)
  mean: from a -> flatten -> reshape([4, 108]) -> global_avg_pool -> flatten
  whole: from a -> flatten -> reshape([1, 432]) -> global_avg_pool -> flatten
  even: from a -> flatten -> reshape([1, 432]) -> subsample(2) -> global_avg_pool -> flatten
  output small, mean, whole, even
}
"""


def test_what_is_measured() -> None:
    net, parts = archdsl.loads(SHOWN), list[float]()
    found = verify(net.network, net.analysis(), program=net.program, told=parts.append)
    assert parts[0] == 0 and parts == sorted(parts) and len(parts) > 8 and parts[-1] <= 1
    assert [str(one.wire) for one in found.of("refuted")] == []
    a, b, c = of(found, "a"), of(found, "b.conv"), of(found, "c.global_avg_pool")
    assert (a.shift, a.border, a.needed, a.verdict) == ([1, 1], [1, 1], [1, 1], "holds")
    assert (b.shift, b.border, b.needed, b.verdict) == ([2, 2], [2, 2], [2, 2], "holds")
    assert (c.claimed, c.shift, c.verdict) == ("invariant", [2, 2], "holds")
    # Height and width that change places answer to no shift along either; once more, and all is as it was.
    assert of(found, "permute_1").verdict == "none"
    assert (of(found, "d").verdict, of(found, "d").found) == ("found", "equivariant")
    assert of(found, "e").verdict == "none"
    # What answers when the input moves by six samples, as it does for `small`, is moved by one as well.
    still = verified(STILL)
    assert of(still, "whole.flatten_2").found == "invariant"
    assert of(still, "even.flatten_2").verdict == of(still, "mean.flatten_2").verdict == "none"
    ring = verified(ROUND)
    assert of(ring, "max_pool_1").needed == [0, 0]
    assert of(ring, "global_avg_pool_1").verdict == "holds"


LOOPED = """
block Residual(kernel) {
  parallel add {
    {}
    conv(3, kernel=kernel, padding=kernel // 2) -> batch_norm -> tanh
  }
}

network Looped {
  input image: [3, 16, 16]
  repeat 3 { Residual(3) }
  repeat 2 { Residual(1) -> max_pool(2) }
  flatten -> linear(4)
}
"""


FLAT = """
network Flat {
  input image: [1, 8, 8]
  conv(2, kernel=2, stride=2) -> flatten -> linear(4)
}
"""
"""Of which nothing is left to measure by one sample along the second axis."""


@pytest.mark.parametrize("text", [SHOWN, LOOPED, FLAT])
def test_what_is_left_out_of_a_pass_changes_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = archdsl.loads(text)
    computed: list[int] = []
    called = Running.__call__

    def counted(self: Running, inputs: Inputs) -> list[Tensor]:
        made = called(self, inputs)
        computed.append(len(made))
        return made

    monkeypatch.setattr(Running, "__call__", counted)
    monkeypatch.setattr(passes, "WORTH", 10**15)
    whole = verify(net.network, net.analysis(), program=net.program).findings
    passed = sum(computed)
    del computed[:]
    monkeypatch.setattr(passes, "WORTH", -1)
    assert verify(net.network, net.analysis(), program=net.program).findings == whole
    assert sum(computed) < passed


def mistaken(analysis: Analysis, layer: str, **changed: Any) -> Analysis:
    """The analysis with another certificate for one layer."""
    flow = analysis.flow
    value = next(flow.starts[i] for i, node in enumerate(flow.nodes) if node.name == layer)
    if "symmetry" in changed:
        symmetries = list(analysis.symmetries)
        symmetries[value] = changed["symmetry"]
        return replace(analysis, symmetries=symmetries)
    certificates = list(analysis.certificates)
    certificate = certificates[value]
    translation = changed.pop("translation", certificate.translation)
    motions = tuple(motion._replace(**changed) for motion in certificate.motions) or (START, START)
    certificates[value] = Equivariance(translation, motions)
    return replace(analysis, certificates=certificates)


START = Motion(1, 1, 1, 1, False)


@pytest.mark.parametrize(
    ("layer", "changed", "motion"),
    [
        ("a", {"before": 0, "after": 0}, "translation"),
        ("b.conv", {"before": 1, "after": 1}, "translation"),
        ("b.conv", {"shift": 1}, "translation"),
        ("a", {"units": 2}, "translation"),
        ("a", {"translation": "invariant"}, "translation"),
        ("c.global_avg_pool", {"shift": 1}, "translation"),
        ("c.group_norm", {"before": 1, "after": 1}, "translation"),
        ("permute_1", {"translation": "equivariant"}, "translation"),
        ("e", {"translation": "invariant"}, "translation"),
        ("e", {"symmetry": Symmetry((INVARIANT, INVARIANT, None))}, "rotation"),
        ("e", {"symmetry": Symmetry((INVARIANT, INVARIANT, None))}, "reflection"),
        ("a", {"symmetry": Symmetry((None, None, Answer("equivariant", SCALAR)))}, "scale"),
    ],
)
def test_a_wrong_certificate_is_refuted(layer: str, changed: dict[str, Any], motion: str) -> None:
    net = archdsl.loads(SHOWN)
    found = verify(net.network, mistaken(net.analysis(), layer, **changed), program=net.program)
    refuted = of(found, layer, motion)
    assert refuted.verdict == "refuted"
    assert refuted.difference is not None and refuted.difference > 1e-3


# ------------------------------------------------------------------------------ by shift

SHIFTED = """
network Shifted {
  input image: [1, 24, 24]
  conv(2, kernel=3, padding=1) -> tanh
  strided: max_pool(2)
  from strided -> conv(2, kernel=3, padding=1)
  mean: global_avg_pool
  from image -> conv(2, kernel=3, padding=1, padding_mode=circular) -> tanh
  ring: avg_pool(2)
  from strided -> flatten
  flat: linear(3)
  output strided, mean, ring, flat
}
"""


@pytest.mark.parametrize("text", [SHIFTED, SHIFTED.replace("[1, 24, 24]", "[1, 40]")])
def test_what_every_shift_does(text: str) -> None:
    net = archdsl.loads(text)
    found = verify(net.network, net.analysis())
    note, panels = shifted(found, net.analysis())
    assert note.startswith(f"the input is moved by 0 to {7 if '24' in text else 15} samples along ")
    assert [panel.name for panel in panels] == ["conv_1", "strided", "mean", "ring", "flat"]
    for panel in panels:
        period = {"conv_1": 1, "flat": 100}.get(panel.name, 2)
        for row, (shares, answered) in enumerate(zip(panel.by_shift, panel.answered, strict=True)):
            for column, (share, answer) in enumerate(zip(shares, answered, strict=True)):
                assert share is not None
                fits = row % period == 0 == column % period
                assert (share == 0) == fits, (panel.name, row, column)
                assert answer == (fits and panel.name != "flat")
    # By unit: nothing inside the border, something in it, and nowhere where the ring is whole.
    _, strided, mean, ring, flat = panels
    assert (mean.by_unit, flat.by_unit) == (None, None)
    for panel, border in ((strided, True), (ring, False)):
        assert panel.by_unit is not None and panel.frame is not None
        first, last, start, end = panel.frame
        inner = {share for row in panel.by_unit[first:last] for share in row[start:end]}
        outer = {share for row in panel.by_unit for share in row} - {None, 0.0}
        assert inner == {0.0}
        assert bool(outer) == border


def test_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shifted.arch").write_text(SHIFTED.replace("[1, 24, 24]", "[1, 40]"), encoding="utf-8")
    assert run(["verify", "shifted.arch", "-o", "shifted.svg", "--layer", "ring", "--layer", "mean"]) == 0
    said = capsys.readouterr()
    assert "claims hold" in said.out and said.err == "wrote shifted.svg\n"
    drawn = Path("shifted.svg").read_text(encoding="utf-8")
    assert "claimed: equivariant, shift 2, border 0 (holds)" in drawn and ">mean<" in drawn
    assert ">strided<" not in drawn
    assert run(["verify", "shifted.arch", "-o", "-", "--layer", "ring"]) == 0
    assert capsys.readouterr().out.startswith("<?xml")
    assert run(["verify", "shifted.arch", "--layer", "ring"]) == 2
    assert "--layer is for a picture" in capsys.readouterr().err
    assert run(["verify", "shifted.arch", "-o", "x.svg", "--layer", "rong"]) == 2
    assert "has no layer rong; did you mean ring?" in capsys.readouterr().err
    Path("vector.arch").write_text("network Vector {\n  input x: [8]\n  linear(2)\n}\n", encoding="utf-8")
    assert run(["verify", "vector.arch", "-o", "x.svg"]) == 2
    assert "no input of Vector has an axis along which it could be moved" in capsys.readouterr().err
    assert not Path("x.svg").exists()


MIRRORED = """
network Mirrored {
  input signal: [1, 40]
  a: conv(4, kernel=3, padding=1)
  b: relu -> max_pool(2)
  flatten -> linear(10)
}

train {
  data      = mnist1d
  loss      = cross_entropy
  optimizer = sgd(lr=0.01)
  batch     = 100
  steps     = 1
}
"""


def test_a_run_is_measured_with_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mirrored.arch").write_text(MIRRORED, encoding="utf-8")
    assert run(["train", "mirrored.arch", "--out", "run"]) == 0
    weights = load_file("run/weights.safetensors")
    weights["a.weight"][:, :, 0] = weights["a.weight"][:, :, 2]
    save_file(weights, "run/weights.safetensors")
    found = {}
    for given, drawn in (("mirrored.arch", "weights and inputs"), ("run", "trained weights, inputs")):
        capsys.readouterr()
        assert run(["verify", given]) == 0
        assert f"Mirrored  signal 1 × 40, {drawn} by chance (seed 0)" in capsys.readouterr().out
        assert run(["verify", given, "--json"]) == 0
        found[given] = json.loads(capsys.readouterr().out)
    random, trained = found.values()
    assert (random["weights"], trained["weights"]) == ("random", "trained")
    # Kernels that are alike from both ends answer to a reflection, and nothing else is claimed of them.
    told = ("claimed", "shift", "border", "verdict", "found")
    changed = [
        (theirs["layer"], theirs["motion"], theirs["found"])
        for ours, theirs in zip(random["findings"], trained["findings"], strict=True)
        if [ours[key] for key in told] != [theirs[key] for key in told]
    ]
    assert changed == [(layer, "reflection", "equivariant") for layer in ("a", "b.relu", "b.max_pool")]
    assert run(["verify", "run", "--input", "signal=1,80"]) == 2
    assert "with such inputs Mirrored has other weights than those of run" in capsys.readouterr().err
    assert run(["verify", "run", "--set", "classes=3"]) == 2
    assert "a run's network is as it was trained" in capsys.readouterr().err
    # What is no run is none here as elsewhere.
    Path("empty").mkdir()
    for command in ("evaluate", "verify"):
        assert run([command, "empty"]) == 1
        assert "empty is no folder of a run: it has no recipe.json" in capsys.readouterr().err


SMALL = """
network Small {
  input s: [2, 6]
  a: conv(3, kernel=3, padding=1)
  b: max_pool(2) -> max_pool(2)
  c: global_avg_pool
  output b, c
}
"""
"""Too small for all but the first of its claims."""


def test_a_picture_shows_no_claim_that_is_not_measured() -> None:
    net = archdsl.loads(SMALL)
    found = verify(net.network, net.analysis())
    a, *others = shifted(found, net.analysis())[1]
    assert a.notes[1] == "measured: no difference at all of these shifts" and a.by_unit is not None
    assert [panel.name for panel in others] == ["b.max_pool_1", "b.max_pool_2", "c"]
    for panel in others:
        assert panel.notes[0].endswith(" (not measured)") and "not measured here: " in panel.notes[1]
        assert panel.by_unit is None
        (shares,), (answered,) = panel.by_shift, panel.answered
        claimed = [share for share, answer in zip(shares, answered, strict=True) if answer]
        assert len(claimed) > 1 and not any(claimed)
    # What is not claimed is shown all the same, in a ring.
    assert others[-1].notes[2].endswith(" on average at other shifts, moved in a ring")
    assert any(others[-1].by_shift[0])


def test_more_shifts_than_can_be_measured_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = archdsl.loads(SHIFTED)
    found = verify(net.network, net.analysis())
    flow = net.analysis().flow
    ring = next(flow.number(one.wire) for one in found.findings if str(one.wire) == "ring")
    monkeypatch.setattr(limits, "MOST_FLOPS", 60 * spent(flow, [ring]))
    # Along both axes they are too many, along one they are not.
    assert len(shifted(found, net.analysis(), ["ring"])[1][0].by_shift) == 1
    monkeypatch.setattr(limits, "MOST_FLOPS", 9 * spent(flow, [ring]))
    with pytest.raises(TooMuch, match="10 passes take"):
        shifted(found, net.analysis(), ["ring"])


RULES = (
    # What is cut off does not come round again.
    ("pad([[1, -1], [0, 0]], mode=circular)", "translation", "equivariant"),
    # One position is read as any map is: in the middle, or not.
    (
        "lifting_conv(1, kernel=3) -> global_avg_pool -> group_conv(1, kernel=2, padding=[[1, 0], [1, 0]])",
        "rotation",
        "none",
    ),
    (
        "lifting_conv(1, kernel=3) -> global_avg_pool -> group_conv(1, kernel=3, padding=1)",
        "rotation",
        "equivariant",
    ),
    # One maximum does not show where it was, and its place does.
    ("p: max_pool(12)\nfrom p -> max_unpool(p)", "reflection", "none"),
    # Twelve samples become fifteen, alike from both ends; eleven become thirteen and three quarters.
    ("upsample(1.25, mode=linear)", "rotation", "equivariant"),
    ("max_pool(2, stride=1) -> upsample(1.25, mode=linear)", "rotation", "none"),
    # Of the last window, which reaches past the padding, three samples count, and four of the first.
    ("avg_pool(4, stride=2, padding=[[2, 1], [2, 1]], ceil=true)", "rotation", "none"),
    ("avg_pool(4, stride=2, padding=[[2, 2], [2, 1]], ceil=true)", "reflection", "none"),
    # A kernel may take any form along the axes that stay.
    ("conv(2, kernel=[3, 1], padding=[2, 0])", "reflection", "equivariant"),
    ("conv(2, kernel=[3, 1], padding=[1, 0])", "rotation", "none"),
    ("max_pool(2, stride=1) -> conv(2, kernel=1, stride=2)", "rotation", "equivariant"),
    ("conv(2, kernel=1, stride=2)", "rotation", "none"),
    ("softmax(axis=width)", "reflection", "equivariant"),
    ("softmax(axis=width)", "rotation", "none"),
    ("slice(1, 11, axis=width)", "reflection", "equivariant"),
    ("slice(1, 12, axis=width)", "reflection", "none"),
    ("concat(image, axis=height)", "reflection", "equivariant"),
    # Four taps read three samples in a ring, and one of them twice: from the other end, another one.
    ("max_pool(4) -> blur_pool(4, stride=3, padding_mode=circular)", "reflection", "none"),
    # Whatever the strides before, what stays may be joined; and with what moves, what is the same everywhere.
    (
        "parallel concat {\n max_pool(2) -> global_avg_pool\n max_pool(3) -> global_max_pool\n}",
        "translation",
        "invariant",
    ),
    (
        "parallel concat {\n {}\n global_avg_pool -> relu -> upsample(size=12, mode=linear)\n}",
        "translation",
        "equivariant",
    ),
    ("parallel concat {\n {}\n global_avg_pool -> adaptive_max_pool(12)\n}", "rotation", "equivariant"),
    ("parallel concat {\n {}\n global_avg_pool -> pad(6) -> crop(12)\n}", "translation", "none"),
    (
        "from word -> linear(2) -> reshape([2, 1, 1])\nmultiply(image)",
        "translation",
        "equivariant",
    ),
    # What lies near an edge is reflected there: it must stay away from it for what is pooled not to change.
    ("pad(2, mode=reflect) -> global_avg_pool", "translation", "invariant"),
)
"""Chains, and what is claimed of their last layers."""


@pytest.mark.parametrize(("chain", "motion", "claimed"), RULES)
def test_a_rule_holds(chain: str, motion: str, claimed: str) -> None:
    text = f"network Rule {{\n  input word: [3]\n  input image: [2, 12, 12]\n  from image\n  {chain}\n}}\n"
    found = verified(text)
    assert found.of("refuted") == []
    (result,) = found.network.outputs
    finding = of(found, str(result), motion)
    assert finding.claimed == claimed
    assert finding.verdict == "holds" or claimed == "none"


TIED = """
network Tied {
  input x: [2, 8, 8]
  from x, x -> subtract
  conv(3, kernel=1) -> upsample(2.5, mode=linear) -> crop([16, 18], offset=0)
  pooled: max_pool(2)
  layer_scale
  restored: max_unpool(pooled)
}
"""
"""The same number everywhere, but for the rounding of the interpolation, which chooses the maxima."""


def test_maxima_that_rounding_chooses_refute_nothing() -> None:
    restored = of(verified(TIED), "restored")
    assert (restored.claimed, restored.verdict) == ("equivariant", "unmeasured")
    assert restored.reason == "maxima equal but for rounding"
    # Other maxima excuse nothing.
    body = TIED[TIED.index("  pooled") :]
    net = archdsl.loads(f"network Restored {{\n  input x: [2, 16, 16]\n  tanh\n{body}")
    wrong = verify(net.network, mistaken(net.analysis(), "restored", shift=1, units=1))
    assert of(wrong, "restored").verdict == "refuted"


# ------------------------------------------------------------------------------ the command


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("shown.arch").write_text(SHOWN, encoding="utf-8")
    assert run(["verify", "shown.arch", "--seed", "3", "--json"]) == 0
    schema = json.loads(files("archdsl").joinpath("schema", "verification.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    said = json.loads(capsys.readouterr().out)
    jsonschema.validate(said, schema)
    assert (said["seed"], said["refuted"]) == (3, 0)
    # A claim that is refuted ends in 1, and says by how much.
    net = archdsl.loads(SHOWN)
    wrong = mistaken(net.analysis(), "a", before=0, after=0)
    monkeypatch.setattr(Net, "analysis", lambda self: wrong)
    monkeypatch.setattr("archdsl.cli.verify.compiled", lambda *given, **named: net)
    assert run(["verify", "shown.arch"]) == 1
    line = re.search(r"^a  .*", capsys.readouterr().out, re.MULTILINE)
    assert line is not None
    assert re.search(r"equivariant, shift 1, border 0  \d.*, border 1 +REFUTED$", line[0])


def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("open.arch").write_text(
        "network Open {\n  input x: [1, H]\n  conv(2, kernel=3)\n}\n", encoding="utf-8"
    )
    assert run(["verify", "open.arch"]) == 2
    assert "give `--size H=...`" in capsys.readouterr().err
    assert run(["verify", "open.arch", "--size", "H=20"]) == 0
    assert run(["verify", "open.arch", "--size", "H=20", "--set", "train.batch=2"]) == 2
    # One example, of which PyTorch's group_norm normalises no single number.
    one = "network One {\n  input x: [2, 1, 1]\n  group_norm(2)\n}\n"
    Path("one.arch").write_text(one, encoding="utf-8")
    assert run(["verify", "one.arch"]) == 1
    assert "error: torch does not compute it: Expected more than 1" in capsys.readouterr().err
    monkeypatch.setattr(limits, "MOST_FLOPS", 100)
    assert run(["verify", "open.arch", "--size", "H=20"]) == 2
    assert "a smaller input may do, as by `--input x=1,10`" in capsys.readouterr().err
    monkeypatch.setattr(limits, "MOST_NUMBERS", 10)
    assert run(["verify", "open.arch", "--size", "H=20"]) == 2
    assert "a pass makes 36 numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "title", "whole"),
    [
        ("analysis.md", "## Theory beside measurement", True),
        ("chapter.md", "### Equations 10.1 and 10.2, Problem 10.1", False),
    ],
)
def test_the_pages_show_what_it_prints(
    page: str,
    title: str,
    whole: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of it or a part, but for the last digits of differences, which are a processor's."""
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    section = re.split(r"\n##+ ", text.partition(f"{title}\n")[2])[0]
    program, printed = re.findall(r"^```(?:arch|text)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("given.arch").write_text(program, encoding="utf-8")
    assert run(["verify", "given.arch"]) == 0

    def stable(text: str) -> list[str]:
        return [" ".join(re.sub(r"\d+e-\d+|exact", "#", line).split()) for line in text.splitlines()]

    found, expected = stable(capsys.readouterr().out), stable(printed)
    begin = found.index(expected[0])
    assert found[begin : begin + len(expected)] == expected
    assert len(found) == len(expected) or not whole
