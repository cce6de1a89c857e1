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
from random_graphs import random_graph
from test_symmetry import GROUP_LINES, HARMONIC, POLAR, chain
from translating import translate

import archdsl
from archdsl.analysis import Analysis
from archdsl.analysis.equivariance import Equivariance, Motion
from archdsl.analysis.symmetry import INVARIANT, Symmetry
from archdsl.cli.main import run
from archdsl.net import Net
from archdsl.verification import Finding, Verification, verify
from archdsl.verification import measuring as limits

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


def verified(text: str) -> Verification:
    net = archdsl.loads(text)
    return verify(net.network, net.analysis())


def of(found: Verification, layer: str, motion: str = "translation") -> Finding:
    return next(one for one in found.findings if (str(one.wire), one.motion) == (layer, motion))


def random_networks() -> Iterator[str]:
    yield from (HARMONIC, POLAR, ROUND)
    for seed in range(22):
        yield translate({"layers": random_graph(seed, 1 + seed % 2)})
    for seed in range(10):
        yield chain(seed)
    for group in ("p4", "p4m"):
        lines = tuple(line.replace("G", group) for line in GROUP_LINES)
        for seed in range(3):
            yield chain(seed, f"lifting_conv(2, kernel=3, padding=1, group={group})", lines)


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


def test_what_is_measured() -> None:
    found = verified(SHOWN)
    assert [str(one.wire) for one in found.of("refuted")] == []
    a, b, c = of(found, "a"), of(found, "b.conv"), of(found, "c.global_avg_pool")
    assert (a.shift, a.border, a.needed, a.verdict) == ([1, 1], [1, 1], [1, 1], "holds")
    assert (b.shift, b.border, b.needed, b.verdict) == ([2, 2], [2, 2], [2, 2], "holds")
    assert (c.claimed, c.shift, c.verdict) == ("invariant", [2, 2], "holds")
    # Height and width that change places answer to no shift along either; once more, and all is as it was.
    assert of(found, "permute_1").verdict == "none"
    assert (of(found, "d").verdict, of(found, "d").found) == ("found", "equivariant")
    assert of(found, "e").verdict == "none"
    ring = verified(ROUND)
    assert of(ring, "max_pool_1").needed == [0, 0]
    assert of(ring, "global_avg_pool_1").verdict == "holds"


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
    ],
)
def test_a_wrong_certificate_is_refuted(layer: str, changed: dict[str, Any], motion: str) -> None:
    net = archdsl.loads(SHOWN)
    found = verify(net.network, mistaken(net.analysis(), layer, **changed))
    refuted = of(found, layer, motion)
    assert refuted.verdict == "refuted"
    assert refuted.difference is not None and refuted.difference > 1e-3


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


def test_the_page_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for the last digits of differences, which are a processor's."""
    section = (
        DOCS.read_text(encoding="utf-8").partition("## Theory beside measurement\n")[2].partition("\n## ")[0]
    )
    program, printed = re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("turning.arch").write_text(program, encoding="utf-8")
    assert run(["verify", "turning.arch"]) == 0

    def stable(text: str) -> list[str]:
        return [" ".join(re.sub(r"\d+e-\d+|exact", "#", line).split()) for line in text.splitlines()]

    assert stable(capsys.readouterr().out) == stable(printed)
