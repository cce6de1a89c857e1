"""`archdsl diff`: what it finds, that it finds nothing else, and that a repository makes it run nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from itertools import pairwise, zip_longest
from pathlib import Path
from random import Random
from time import process_time
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from programs import Program

import archdsl
from archdsl.cli.main import run
from archdsl.comparison import Difference
from archdsl.comparison.alignment import aligned
from archdsl.comparison.naming import which
from archdsl.comparison.text import text
from archdsl.compiler.network import Node
from archdsl.report.calls import layer_call
from archdsl.report.terminal import Style, text_width

SCHEMA = json.loads(files("archdsl").joinpath("schema", "difference.json").read_text(encoding="utf-8"))
PAGE = (Path(__file__).parent.parent / "docs" / "diff.md").read_text(encoding="utf-8")
OTHER_WAY = {"added": "removed", "removed": "added"}
SVG = "{http://www.w3.org/2000/svg}"


def bundled(before: str, after: str) -> Difference:
    return archdsl.diff(archdsl.load(before), archdsl.load(after))


def said(found: Difference) -> list[tuple[str, str, str]]:
    """The changes: what happened, to what, and what it is."""
    return [(change.status, change.part.name, change.part.kind) for change in found.changes]


def told(found: Difference) -> list[tuple[str, str, int]]:
    """The changes as they are told: those that are alike as one."""
    return [(group.status, group.name, len(group.changes)) for group in found.groups]


def details(found: Difference) -> list[tuple[str, str, str | None, str | None]]:
    return [
        (change.part.name, detail.name, detail.before, detail.after)
        for change in found.changes
        for detail in change.details
    ]


def fates(found: Difference) -> list[tuple[str, str | None, str | None]]:
    """What became of every layer, by its names."""
    return [
        (
            change.status,
            None if change.before is None else change.before.name,
            None if change.after is None else change.after.name,
        )
        for change in (*found.changes, *found.affected)
    ]


# ------------------------------------------------------------------------------ known networks


def test_vgg_grows_by_a_convolution_in_each_of_three_stages() -> None:
    found = bundled("VGG16", "VGG19")
    assert said(found) == [
        ("added", f"features.stage_{k}.conv_4 … relu_4", f"conv({width}, kernel=3, padding=1) -> relu")
        for k, width in ((3, 256), (4, 512), (5, 512))
    ]
    assert found.affected == found.renamed == []


def test_resnet_grows_by_whole_blocks() -> None:
    found = bundled("ResNet18", "ResNet34")
    assert said(found) == [
        ("added", "stage_1.BasicBlock_3", "BasicBlock(channels=64)"),
        ("added", "stage_2.BasicBlock_3 … BasicBlock_4", "2 × BasicBlock(channels=128)"),
        ("added", "stage_3.BasicBlock_3 … BasicBlock_6", "4 × BasicBlock(channels=256)"),
        ("added", "stage_4.BasicBlock_3", "BasicBlock(channels=512)"),
    ]
    other = bundled("ResNet34", "ResNet50")
    assert told(other)[0] == ("changed", "stage_*.Bottleneck_*.residual.conv_1", 16)
    assert [change.part.name for change in other.affected][-1] == "head.logits"


SQUEEZED = ("added", "stage_*.SEBottleneck_*.residual.SqueezeExcitation_1", 16)


@pytest.mark.parametrize("before", ["ResNet50", "ResNeXt50"])
def test_what_was_added_in_every_block_is_one_change_of_these(before: str) -> None:
    """The blocks are called otherwise, and stand in another place: what is in them is told, once."""
    from archdsl.drawing.difference import difference

    after = before.replace("Res", "SERes")
    found = bundled(before, after)
    assert told(found) == [SQUEEZED] and not found.affected
    (group,) = found.groups
    written = found.to_dict()
    (entry,) = written["groups"]
    assert (entry["status"], entry["name"], entry["count"]) == SQUEEZED
    assert entry["changes"] == list(range(16)) and len(written["changes"]) == 16
    for figure in ("parameters", "macs"):
        assert entry["difference"][figure] == written["totals"][figure]["difference"]
    drawn = [
        "".join(words.itertext()) for words in ElementTree.fromstring(difference(found)).iter(f"{SVG}text")
    ]
    assert before == "ResNeXt50" or text(found, 100) in PAGE, "the documentation shows it"
    line = next(line for line in text(found).splitlines() if " added " in line and "recipe" not in line)
    for word in (group.often, group.said, "+2,530,992 parameters, +2.51 M MACs"):
        assert word in line and any(word in words for words in drawn)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "Swin",
            "DaViT",
            [
                ("added", "stage_*.unit_*.DualBlock_1.Positioned_*", 24),
                ("changed", "stage_*.unit_*.DualBlock_1.window_attention_1", 6),
            ],
        ),
        (
            "UNet",
            "UNetPadded",
            [
                ("changed", "up_*.PaddedDoubleConv_1.conv_*", 8),
                ("added", "up_*.PaddedDoubleConv_1.batch_norm_*", 8),
                ("removed", "bottom.dropout", 1),
            ],
        ),
        (
            "GoogLeNet",
            "BNInception",
            [
                ("removed", "auxiliary1 … auxiliary2", 1),
                ("changed", "inception_*.pool.avg_pool", 7),
            ],
        ),
        (
            "InceptionV3",
            "InceptionV4",
            [("removed", "auxiliary", 1), ("added", "inception_b_5 … inception_b_7", 1)],
        ),
    ],
)
def test_relatives_are_told_by_what_was_done_to_their_blocks(
    before: str, after: str, expected: list[tuple[str, str, int]]
) -> None:
    found = bundled(before, after)
    assert set(expected) <= set(told(found)) and not found.unlike


def test_arguments_that_the_file_changed_are_told_from_shapes_that_follow() -> None:
    assert details(bundled("AlexNet", "AlexNetGrouped")) == [
        (name, "groups", "1", "2") for name in ("conv2.conv", "conv4.conv", "conv5.conv")
    ]
    found = bundled("AlexNet", "AlexNetTorchvision")
    assert details(found)[0] == ("conv1.conv", "channels", "96", "64")
    assert [change.part.name for change in found.affected][:2] == ["conv1.relu", "pool1"]


def test_unlike_networks_are_told_as_wholes() -> None:
    """Their pairs of layers are chance; who asks for them by a depth, and programs, get them all the same."""
    from archdsl.drawing.difference import difference

    found = bundled("MobileNetV2", "EfficientNet")
    assert found.unlike and text(found, 105) in PAGE, "the documentation shows it"
    assert " renamed " not in text(found) and " renamed " in text(found, depth=2)
    written = json.loads(json.dumps(found.to_dict()))
    jsonschema.validate(written, SCHEMA)
    assert written["in_common"] == pytest.approx(0.38, abs=0.01) and written["changes"]
    assert written["kinds"]["relu6"] == {"before": 35, "after": 0}
    assert written["blocks"]["Bottleneck"] == {"before": 17, "after": 0}
    boxes = {words.text for words in ElementTree.fromstring(difference(found)).iter(f"{SVG}text")}
    assert {"− bottleneck_2", "+ stage4"} <= boxes
    # All layers wider and of another kernel, in a network that is its own kin.
    lines = ["conv({}, kernel={}, padding={}) -> relu"] * 8
    wide = [small("\n".join(lines).format(*[8 * k, 2 * k + 1, k] * 8)) for k in (1, 2)]
    assert not archdsl.diff(*wide).unlike


# ------------------------------------------------------------------------------ any network


@pytest.fixture(scope="module")
def nets() -> list[archdsl.Net]:
    return [archdsl.loads(Program(seed).text()) for seed in range(10)]


def test_a_network_is_itself(nets: list[archdsl.Net]) -> None:
    for net in nets:
        found = archdsl.diff(net, net)
        assert found.same and found.identical
        assert not (found.changes or found.affected or found.renamed or found.recipe)


def test_the_other_way_round_is_the_mirror_image(nets: list[archdsl.Net]) -> None:
    for before, after in pairwise(nets):
        there, back = archdsl.diff(before, after), archdsl.diff(after, before)
        turned = [(OTHER_WAY.get(status, status), b, a) for status, a, b in fates(back)]
        assert {f for f in fates(there) if f[0] == "affected"} == {f for f in turned if f[0] == "affected"}
        names = [
            {
                (status, node.name)
                for change in found.changes
                for status, part in ((change.status, change.before), (change.status, change.after))
                if part is not None and status in OTHER_WAY
                for node in part.layers
            }
            for found in (there, back)
        ]
        assert names[0] == {(OTHER_WAY[status], name) for status, name in names[1]}


def test_every_layer_is_told_of_once_and_figures_add_up(nets: list[archdsl.Net]) -> None:
    for before, after in pairwise(nets):
        found = archdsl.diff(before, after)
        for changes in (found.sequence, found.folded(1)):
            ours = [node.name for change in changes if change.before for node in change.before.layers]
            theirs = [node.name for change in changes if change.after for node in change.after.layers]
            assert sorted(ours) == sorted(node.name for node in before.network.nodes)
            assert sorted(theirs) == sorted(node.name for node in after.network.nodes)
        grouped = [id(change) for group in found.groups for change in group.changes]
        assert sorted(grouped) == sorted(map(id, found.changes))
        for total in found.totals:
            if total.name in ("parameters", "buffers", "macs", "flops"):
                assert sum(change.figure(total.name) for change in found.sequence) == total.difference
                changed = [thing.figure(total.name) for thing in (*found.groups, *found.affected)]
                assert sum(changed) == total.difference
        jsonschema.validate(json.loads(json.dumps(found.to_dict())), SCHEMA)
        for width in (80, 120):
            shown = text(found, width)
            assert max(map(text_width, shown.splitlines())) <= width
        assert text(found, 80, Style(ascii=True)).isascii()


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("{0}conv(4, kernel=3, padding=1)", [("kernel", "1", "3"), ("padding", "0", "1")]),
        ("{0}conv(4, kernel=1, bias=false)", [("bias", "true", "false")]),
        ("{0}conv(4, kernel=[1, 1], padding=same, stride=1)", []),
    ],
)
def test_what_was_changed_is_what_is_found(new: str, expected: list[tuple[str, str, str]]) -> None:
    for seed in range(8):
        program = Program(seed).text()
        line = re.search(r"(from \w+ -> )conv\(4, kernel=1\)", program)
        assert line
        changed = program.replace(line[0], new.format(line[1]), 1)
        found = archdsl.diff(archdsl.loads(program), archdsl.loads(changed))
        assert [detail[1:] for detail in details(found)] == expected
        assert found.same == (not expected)


def small(body: str) -> archdsl.Net:
    return archdsl.loads(f"network N {{\n  input x: [4, 8, 8]\n{body}\n}}")


BODY = "a: conv(8, kernel=3, padding=1)\nb: batch_norm\nc: relu\nd: conv(8, kernel=1)\nflatten -> linear(3)"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("c: relu", "c: relu\nnew: dropout(0.3)", [("added", "new", "dropout(rate=0.3)")]),
        ("c: relu\n", "", [("removed", "c", "relu")]),
        ("b: batch_norm\nc: relu", "c: relu\nb: batch_norm", [("moved", "c", "relu")]),
        ("c: relu", "c: gelu", [("changed", "c", "gelu")]),
        ("flatten", "add(c) -> flatten", [("added", "add_1", "add")]),
        ("d: conv", "from a -> conv", [("changed", "conv_1", "conv(8, kernel=1)")]),
    ],
)
def test_a_mutation_is_said(old: str, new: str, expected: list[tuple[str, str, str]]) -> None:
    found = archdsl.diff(small(BODY), small(BODY.replace(old, new)))
    assert said(found) == expected
    assert not found.same


def lines(before: archdsl.Net, after: archdsl.Net) -> list[str]:
    """What is told of two networks, without the totals."""
    shown = text(archdsl.diff(before, after)).splitlines()
    return [line[3:] for line in shown if line[1:2] in tuple("+−~→·=")]


UNITS = """
block Unit(c) {
  body: conv(c, kernel=3, padding=1) -> relu
  conv(c, kernel=1)
}
network N(width = 4) {
  input x: [4, 8, 8]
  first: repeat 3 { Unit(width) }
  second: {
    Unit(width)
    repeat 2 { Unit(2 * width) }
  }
  flatten -> linear(3)
  expect parameters < 1M
}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("relu", "gelu", ["changed  body.gelu in every Unit  × 6   relu → gelu"]),
        ("repeat 3 {", "repeat 3 { relu\n", ["added    first_*.relu  × 3   relu"]),
        (
            "Unit(2 * width)",
            "Unit(3 * width)",
            [
                "changed  second.Unit_{2,3}.body.conv  × 2   channels 8 → 12   +872 parameters, +55.3 K MACs",
                "changed  second.Unit_{2,3}.conv_1  × 2   channels 8 → 12   +168 parameters, +10.2 K MACs",
                "follows  second   2 layers, 8 × 8 × 8 → 12 × 8 × 8",
                "follows  flatten_1   512 → 768",
                "follows  linear_1   other figures   +768 parameters, +768 MACs",
            ],
        ),
        ("Unit", "Part", ["renamed  Unit_* → Part_*   18 layers"]),
        ("< 1M", "<1_000_000", ["changed  expect parameters   < 1M → <1_000_000"]),
        (
            "expect parameters < 1M",
            "expect macs < 1G",
            ["removed  expect parameters   < 1M", "added    expect macs   < 1G"],
        ),
        ("1M", "1M  # enough", []),
        ("width = 4", "width = 4, more = 1", []),
    ],
)
def test_an_edit_is_told_in_few_words(old: str, new: str, expected: list[str]) -> None:
    assert lines(archdsl.loads(UNITS), archdsl.loads(UNITS.replace(old, new))) == expected


def test_parameters_and_the_name_are_told() -> None:
    before, wider = archdsl.loads(UNITS), archdsl.loads(UNITS.replace("width = 4", "width = 8"))
    assert lines(before, wider)[0] == "changed  parameter width   4 → 8"
    other = archdsl.diff(before, archdsl.loads(UNITS.replace("network N", "network M")))
    assert other.same and not other.identical
    assert "the same structure; the network's name differs" in text(other)


def test_branches_in_another_order_are_these_branches() -> None:
    """In order of execution each stands where the other stood; what is new is where they come together."""
    ways = [
        "one: conv(16, kernel=1) -> relu",
        "three: { conv(24, kernel=1) -> relu -> conv(32, kernel=3, padding=1) -> relu }",
        "five: { conv(8, kernel=1) -> relu -> conv(16, kernel=5, padding=2) -> relu }",
    ]
    both = [
        small(f"mixed: repeat 2 {{\nparallel concat {{\n{chr(10).join(some)}\n}}\n}}")
        for some in (ways, [ways[1], ways[0], ways[2]])
    ]
    found = archdsl.diff(*both)
    assert [(change.status, change.part.name) for change in found.changes] == [
        ("changed", "mixed_1.concat"),
        ("changed", "mixed_2.concat"),
    ]
    assert not found.affected and not found.renamed


def test_names_and_writing_are_no_structure() -> None:
    blocks = "block U(w) { conv(w, kernel=3, padding=1) -> relu }\n"
    before = archdsl.loads(f"{blocks}network N {{ input x: [4, 8, 8]\nbody: {{ repeat 3 {{ U(8) }} }} }}")
    after = small("\n".join(["conv(8, kernel=[3, 3], padding=same) -> relu"] * 3))
    found = archdsl.diff(before, after)
    assert found.same and not found.identical and len(found.renamed) == 6
    # The branches of a sum may be in any order, those of a concatenation may not.
    for join, same in (("add", True), ("concat", False)):
        ways = ["p: from x -> conv(4, kernel=1)", "q: from x -> conv(4, kernel=3, padding=1)"]
        pair = [small("\n".join([*ways, f"from {order} -> {join}"])) for order in ("p, q", "q, p")]
        assert archdsl.diff(*pair).same is same


def in_any_order(nodes: list[Node], chance: Random) -> list[Node]:
    """Layers in another order in which they can be executed, the inputs first."""
    found = [node for node in nodes if node.kind == "input"]
    left = [node for node in nodes if node.kind != "input"]
    while left:
        ready = [node for node in left if all(wire.node in found for wire in node.inputs)]
        found.append(chance.choice(ready))
        left.remove(found[-1])
    return found


def written_out(net: archdsl.Net, stem: str, chance: Random | None = None) -> archdsl.Net | None:
    """A network without blocks, loops and its labels: a line a layer. None where it shares or unpools."""
    names: dict[Any, list[str]] = {}
    lines = []
    nodes = net.network.nodes
    for number, node in enumerate(in_any_order(nodes, chance) if chance else nodes):
        names[node] = [f"{stem}{number}_{port}" for port in range(len(node.shapes))]
        inputs = ", ".join(names[wire.node][wire.port] for wire in node.inputs)
        if node.first is not None or (node.kind == "max_pool" and len(node.shapes) > 1):
            return None
        if node.kind == "input":
            lines.append(f"input {names[node][0]}: {node.shape}")
        else:
            start = f"from {inputs} -> " if inputs else ""
            lines.append(f"{', '.join(names[node])}: {start}{layer_call(node)}")
    outputs = ", ".join(names[wire.node][wire.port] for wire in net.network.outputs)
    return archdsl.loads("\n".join(["network N {", *lines, f"output {outputs}", "}"]))


@pytest.mark.parametrize(
    ("before", "after"),
    [("ResNet50", "SEResNet50"), ("VGG16", "VGG19"), ("DenseNet121", "DenseNet169"), ("R3D18", "R2Plus1D18")],
)
def test_a_difference_is_the_same_however_the_networks_are_written(before: str, after: str) -> None:
    ours, theirs = archdsl.load(before), archdsl.load(after)
    plain, other = written_out(ours, "a"), written_out(theirs, "b")
    assert plain is not None and other is not None

    def numbers(x: archdsl.Net, y: archdsl.Net) -> list[tuple[str, int | None, int | None]]:
        """What became of every layer, by its place in either network."""
        found: list[tuple[str, int | None, int | None]] = []
        for change in archdsl.diff(x, y).sequence:
            ours, theirs = (
                [net.network.nodes.index(node) for node in part.layers] if part else []
                for part, net in ((change.before, x), (change.after, y))
            )
            found += [(change.status, i, j) for i, j in zip_longest(ours, theirs)]
        return sorted(found, key=str)

    expected = numbers(ours, theirs)
    for x, y in ((plain, theirs), (ours, other), (plain, other)):
        assert numbers(x, y) == expected


def test_any_network_is_the_same_written_out() -> None:
    seen = 0
    for seed in range(20):
        net = archdsl.loads(Program(seed).text())
        for chance in (None, Random(seed)):
            plain = written_out(net, "n", chance)
            if plain is not None:
                seen += 1
                found = archdsl.diff(net, plain)
                assert found.same and not found.changes
    assert seen > 9


def test_branches_may_be_executed_in_any_order() -> None:
    head = "head: from a -> conv(3, kernel=1) -> flatten -> linear(2)\n"
    last = (
        f"a: conv(8, kernel=3)\nb: relu\nc: conv(8, kernel=3) -> flatten -> linear(3)\n{head}output c, head"
    )
    first = last.replace(head, "").replace("b: relu", f"{head}b: from a -> relu")
    assert archdsl.diff(small(last), small(first)).same


def test_shared_weights_are_structure() -> None:
    shared = small("shared h: conv(4, kernel=3, padding=1)\nh -> relu -> h -> relu")
    apart = small("conv(4, kernel=3, padding=1) -> relu -> conv(4, kernel=3, padding=1) -> relu")
    assert not archdsl.diff(shared, apart).same


def test_outputs_are_compared() -> None:
    body = "a: conv(4, kernel=1)\nb: relu\n"
    outputs = [small(f"{body}output {names}").report() for names in ("a, b", "b, a", "b")]
    assert [output.same for output in Difference(outputs[0], outputs[0]).outputs] == [True, True]
    assert not Difference(outputs[0], outputs[1]).same
    assert [output.after for output in Difference(outputs[0], outputs[2]).outputs] == [("b", 1), None]


def test_three_thousand_layers_take_a_moment() -> None:
    def long(extra: int) -> archdsl.Net:
        line = "  conv({}, kernel=3, padding=1) -> batch_norm -> relu"
        lines = [line.format(8 + k % 3) for k in range(1000)]
        lines[400:400] = ["  gelu"] * extra
        return small("\n".join(lines))

    before, after = long(0), long(2)
    start = process_time()
    found = archdsl.diff(before, after)
    assert said(found) == [("added", "gelu_1 … gelu_2", "gelu -> gelu")]
    assert process_time() - start < 2


def test_names_that_are_shown_as_one_are_these() -> None:
    grid = [f"stage_{i}.conv_{j}" for i in (1, 2, 3, 5) for j in (1, 2)]
    assert which(grid) == "stage_{1..3,5}.conv_{1,2}"
    assert which(["first.conv", "second.conv"]) == "{first,second}.conv"
    assert which(["conv_1 … relu_1", "conv_2 … relu_2"]) == "conv_{1,2} … relu_{1,2}"
    assert which(grid[1:]) is None, "it would say of stage_1.conv_1, too"


def test_an_alignment_is_the_longest() -> None:
    assert aligned("abcabba", "cbabac") in ([(0, 2), (1, 3), (3, 4), (5, 5)], aligned("abcabba", "cbabac"))
    assert len(aligned("abcabba", "cbabac")) == 4
    assert aligned("xxxyyy", "yyyxxx") in ([(k, k + 3) for k in range(3)], [(k + 3, k) for k in range(3)])


# ------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    ("before", "after"), [("ResNet34", "ResNet50"), ("YOLOv7", "YOLOv7Training"), ("UNet", "UNet")]
)
def test_a_picture_holds_its_words(before: str, after: str) -> None:
    from PIL import ImageFont

    from archdsl.drawing.difference import difference

    drawn = ElementTree.fromstring(difference(bundled(before, after)))
    width, height = (float(drawn.get(side, "0")) for side in ("width", "height"))
    boxes = [[float(r.get(k, "0")) for k in ("x", "y", "width", "height")] for r in drawn.iter(f"{SVG}rect")]
    assert boxes and len(boxes) < 80
    for x, y, w, h in boxes:
        assert 0 <= x and x + w <= width and 0 <= y and y + h <= height
        others = [box for box in boxes if box != [x, y, w, h]]
        assert not any(a < x + w and x < a + c and b < y + h and y < b + d for a, b, c, d in others), (
            "no box lies on another"
        )
    font = ImageFont.load_default(10)
    lines: dict[float, list[tuple[float, float]]] = {}
    for words in drawn.iter(f"{SVG}text"):
        size, x, y = (float(words.get(key, "0")) for key in ("font-size", "x", "y"))
        long = font.getlength("".join(words.itertext())) * size / 10
        anchor = words.get("class", "")
        start = x - long if "end" in anchor else x - long / 2 if "middle" in anchor else x
        assert start >= 0 and start + long <= width
        lines.setdefault(y, []).append((start, start + long))
    for spans in lines.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(spans))), "no word lies on another"


def test_a_difference_is_written_as_other_pictures_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["diff", "VGG16", "VGG19", "--theme", "dark", "-o"]
    for form, begins in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF-")):
        assert run([*arguments, str(tmp_path / f"d{form}")]) == 0
        assert (tmp_path / f"d{form}").read_bytes().startswith(begins)
    written = (tmp_path / "d.svg").read_text(encoding="utf-8")
    assert "@media" not in written and "#e6edf3" in written
    capsys.readouterr()
    assert run([*arguments, "-"]) == 0
    assert capsys.readouterr().out == written + "\n"


# ------------------------------------------------------------------------------ revisions


GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
UNIT = "block Unit(c) {{ conv(c, kernel={0}, padding={1}) -> relu }}\n"
NET = 'import Unit from "parts/unit.arch"\n\nnetwork N {\n  input x: [4, 8, 8]\n  Unit(8)\n}\n'


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a folder of a repository, with an import that has changed since, and the file itself too."""
    models = tmp_path / "models"
    (models / "parts").mkdir(parents=True)
    (models / "n.arch").write_text(NET, encoding="utf-8")
    (models / "parts" / "unit.arch").write_text(UNIT.format(3, 1), encoding="utf-8")
    (models / "big.arch").write_text("#" * (1 << 20) + "\n", encoding="utf-8")
    (models / "out.arch").write_text('import B from "../b.arch"\n' + NET, encoding="utf-8")
    (tmp_path / "b.arch").write_text(UNIT.format(3, 1).replace("Unit", "B"), encoding="utf-8")
    own = 'import Stem from "resnet.arch"\nnetwork Own {\n  input x: [3, 64, 64]\n  Stem\n}\n'
    (models / "resnet.arch").write_text(own, encoding="utf-8")
    nets = models / "project" / "nets"
    nets.mkdir(parents=True)
    (nets.parent / ".archroot").touch()
    (nets.parent / "b.arch").write_text(UNIT.format(3, 1).replace("Unit", "B"), encoding="utf-8")
    for name, path in (("in", "../b.arch"), ("out", "../../b.arch")):
        text = NET.replace('"parts/unit', f'"{path[:-5]}').replace("Unit", "B")
        (nets / f"{name}.arch").write_text(text, encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "as it was")
    (nets.parent / ".archroot").unlink()
    (models / "parts" / "unit.arch").write_text(UNIT.format(5, 2), encoding="utf-8")
    monkeypatch.chdir(models)
    return tmp_path


def test_a_revision_is_read_with_its_own_imports(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["n.arch", "--since", "HEAD"],
        ["n.arch:N", "--since", "HEAD"],
        ["HEAD:models/n.arch", "n.arch"],
        ["HEAD:./n.arch:N", "n.arch"],
        [str(repository / "models" / "n.arch"), "--since", "HEAD^{/as it}"],
    ):
        assert run(["diff", *arguments, "--exit-code", "--json"]) == 1, arguments
        found = json.loads(capsys.readouterr().out)
        assert [detail["name"] for change in found["changes"] for detail in change["details"]] == [
            "kernel",
            "padding",
        ]
    for name in ("n.arch", "resnet.arch", "project/nets/in.arch"):
        assert run(["diff", f"HEAD:models/{name}", f"HEAD:./{name}", "--exit-code"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["HEAD:n.arch", "n.arch"], "there is no file n.arch at HEAD; from this folder it is HEAD:./n.arch"),
        (["HEAD:./m.arch", "n.arch"], "there is no file m.arch at HEAD"),
        (["nowhere:n.arch", "n.arch"], "there is no revision 'nowhere' in this repository"),
        (["n.arch", "--since=--output=x"], "there is no revision '--output=x' in this repository"),
        (["n.arch", "--since", "HEAD\nHEAD"], "no revision and no file can be called so"),
        (["HEAD:models", "n.arch"], "there is no file 'HEAD'"),
        (["HEAD:./parts/", "n.arch"], "is a folder"),
        (["HEAD:./big.arch", "n.arch"], "larger than"),
        (["HEAD:./out.arch", "n.arch"], "error[import-outside]"),
        (
            ["HEAD:models/project/nets/out.arch", "n.arch"],
            "stay inside the folder of HEAD:models/project/nets/../.archroot",
        ),
        (["n.arch", "n.arch", "--since", "HEAD"], "leave out the second"),
        (["n.arch", "ResNet18", "--set", "train.batch=3"], "leave out --set train"),
        (["n.arch", "ResNet18", "-o", "x.gif"], "*.svg, *.png or *.pdf"),
        (["n.arch", "ResNet18", "--theme", "dark"], "name its file by -o"),
        (["n.arch", "ResNet18", "-o", "x.svg", "--json"], "name one"),
    ],
)
def test_what_can_not_be_compared_is_said(
    repository: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["diff", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err


def test_what_is_counted_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "n.arch"
    body = "conv(4, kernel=1) -> batch_norm\nexpect parameters < 9"
    file.write_text(f"network N {{ input x: [4, 8, 8]\n{body}\n}}", encoding="utf-8")
    assert run(["diff", str(file), "ResNet18"]) == 1
    said = capsys.readouterr().err
    assert "1 error in" in said and "warning" not in said


def test_outside_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run(["diff", "HEAD:n.arch", "ResNet18"]) == 2
    assert "is in no git repository" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert run(["diff", "HEAD:n.arch", "ResNet18"]) == 2
    assert "not installed" in capsys.readouterr().err


def test_a_repository_runs_nothing(repository: Path) -> None:
    """Its configuration, attributes and hooks name programs; none of them is started."""
    mark = repository / "started"
    script = repository / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n", encoding="utf-8")
    script.chmod(0o755)
    (repository / ".gitattributes").write_text("*.arch diff=own filter=own\n", encoding="utf-8")
    for key in (
        "diff.own.textconv",
        "diff.own.command",
        "filter.own.smudge",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.gitProxy",
        "credential.helper",
        "remote.origin.uploadpack",
        "alias.cat-file",
    ):
        git(repository, "config", key, f"!{script}" if key.startswith("alias") else str(script))
    git(repository, "config", "extensions.partialClone", "origin")
    git(repository, "config", "remote.origin.url", f"ext::{script}")
    git(repository, "config", "remote.origin.promisor", "true")
    missing = subprocess.run(
        ["git", "rev-parse", "HEAD:models/parts/unit.arch"], cwd=repository, capture_output=True, text=True
    ).stdout.strip()
    mark.unlink(missing_ok=True)
    command = [sys.executable, "-m", "archdsl", "diff", "n.arch", "--since", "HEAD"]
    done = subprocess.run(command, cwd=repository / "models", capture_output=True, text=True)
    assert (done.returncode, mark.exists()) == (0, False), done.stderr
    (repository / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    done = subprocess.run(command, cwd=repository / "models", capture_output=True, text=True)
    assert (done.returncode, mark.exists()) == (1, False), done.stderr
    assert "Traceback" not in done.stderr
