"""Pictures: what they show of a network, to scale, legible, and written whole."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import ImageFont

import archdsl
from archdsl.analysis.flow import Flow
from archdsl.cli.main import run
from archdsl.drawing.blocks import blocks
from archdsl.drawing.raster import png
from archdsl.drawing.trunk import Trunk, trunk
from archdsl.project import bundled_networks

SVG = "{http://www.w3.org/2000/svg}"
NETWORKS = sorted(bundled_networks())


@cache
def net(name: str) -> archdsl.Net:
    return archdsl.load(name)


def trunk_of(name: str) -> Trunk:
    return trunk(net(name).network, Flow(net(name).network))


@cache
def picture(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(blocks(net(name).network, Flow(net(name).network)))


def shapes(found: Trunk) -> list[tuple[int, ...]]:
    return [station.shape for station in found.stations]


# ------------------------------------------------------------------------------ what is shown


def test_alexnet_as_figure_10_16_has_it() -> None:
    assert shapes(trunk_of("AlexNet")) == [
        (3, 224, 224),
        (96, 55, 55),
        (256, 27, 27),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
        (4096,),
        (4096,),
        (1000,),
    ]
    assert trunk_of("AlexNet").skips == []


def test_a_residual_network_is_its_sums() -> None:
    found = trunk_of("ResNet50")
    assert [shape for shape in shapes(found) if shape[0] >= 256 and len(shape) == 3] == [
        *[(256, 56, 56)] * 3,
        *[(512, 28, 28)] * 4,
        *[(1024, 14, 14)] * 6,
        *[(2048, 7, 7)] * 3,
    ]
    assert shapes(found)[-2:] == [(2048,), (1000,)]
    units = [
        k for k, station in enumerate(found.stations) if len(station.shape) == 3 and station.channels >= 256
    ]
    assert found.skips == [(k - 1, k) for k in units]


def test_an_inception_module_is_what_it_joins() -> None:
    found = trunk_of("GoogLeNet")
    assert [s.channels for s in found.stations if s.size in ((28, 28), (14, 14), (7, 7))] == [
        *(256, 480),
        *(512, 512, 512, 528, 832),
        *(832, 1024),
    ]
    assert [name for station in found.stations for name in station.outputs] == ["auxiliary1", "auxiliary2"]
    assert [s.named[0].name.split(".")[0] for s in found.stations if s.outputs] == [
        "inception_4a",
        "inception_4d",
    ]


def test_a_u_net_keeps_both_arms_and_its_copies_are_skips() -> None:
    found = trunk_of("UNet")
    sizes = [station.size[0] for station in found.stations]
    assert sizes[0] == 572 and min(sizes) == 28 and sizes[-1] == 388
    reached = [(found.stations[a].size[0], found.stations[b].size[0]) for a, b in found.skips]
    assert reached == [(568, 392), (280, 200), (136, 104), (64, 56)]


def test_unpooling_reaches_back_to_its_pooling() -> None:
    found = trunk_of("DeconvNet")
    sizes = [
        (found.stations[a].size[0], found.stations[b].size[0])
        for a, b in found.skips
        if found.stations[a].size
    ]
    assert len(found.skips) == 5
    assert sizes == sorted(sizes, reverse=True)


def test_equal_stations_are_one_where_there_are_many() -> None:
    found = trunk_of("DenseNet121")
    assert [s.size for s in found.stations if s.size] == [(e, e) for e in (224, 112, 56, 28, 14, 7)]
    assert [(s.least, s.channels) for s in found.stations[2:-2]] == [
        (96, 256),
        (160, 512),
        (288, 1024),
        (544, 1024),
    ]
    assert found.stations[-3].repeated == 16


def test_what_comes_in_beside_the_trunk_is_named() -> None:
    """No arrow says that a picture goes where a second input goes."""
    siamese = trunk_of("SiameseTDNN")
    assert [(s.joins, s.shape) for s in siamese.stations if s.joins] == [(["signature2"], (304,))]
    assert siamese.skips == []
    fast = trunk_of("FastRCNN")
    assert [s.joins for s in fast.stations if s.joins] == [["regions"]]
    streams = trunk_of("ActionCNN3D")
    assert [s.joins for s in streams.stations if s.joins] == [["4 more branches"]]
    text = "network N { input left: [1, 9]\ninput right: [1, 9]\n a: from left -> conv(2, kernel=3) -> relu\n"
    both = archdsl.loads(text + "b: from right -> conv(2, kernel=3)\n from a, b -> concat\n}")
    found = trunk(both.network, Flow(both.network))
    assert [s.joins for s in found.stations] == [[], [], ["right"]]
    assert found.skips == []


def test_a_picture_has_an_end() -> None:
    """Of thousands of layers that all differ, neighbours are one."""
    deep = archdsl.loads("network Deep { input x: [4, 6010]\n repeat 3000 { conv(4, kernel=3) } }")
    found = trunk(deep.network, Flow(deep.network))
    assert 30 <= len(found.stations) <= 60
    assert sum(station.repeated for station in found.stations) == 3001


def test_learned_tokens_do_not_hide_the_way_from_the_image() -> None:
    assert shapes(trunk_of("ViT"))[0] == (3, 224, 224)


# ------------------------------------------------------------------------------ how it looks


@pytest.mark.parametrize("name", NETWORKS)
def test_labels_never_overlap_and_all_is_within_the_picture(name: str) -> None:
    """As wide as a wide font draws them."""
    root = picture(name)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = []
    for text in root.iter(f"{SVG}text"):
        size = {"title": 13, "name": 9, "out": 9}.get(text.attrib["class"], 10)
        wide = ImageFont.load_default(size).getlength(text.text or "") * 1.1
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = x if text.attrib["class"] == "title" else x - wide / 2
        boxes.append((left, y - size, left + wide, y, text.text))
    for one, other in combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)
    assert all(0 <= box[0] and box[2] <= width and 0 <= box[1] and box[3] <= height for box in boxes)
    for rect in root.iter(f"{SVG}rect"):
        x, y = float(rect.attrib["x"]), float(rect.attrib["y"])
        assert 0 <= x and x + float(rect.attrib["width"]) <= width
        assert 0 <= y and y + float(rect.attrib["height"]) <= height
    assert len(list(root.iter(f"{SVG}rect"))) == len(trunk_of(name).stations)


def test_bodies_are_to_scale() -> None:
    bodies = list(picture("VGG16").iter(f"{SVG}rect"))
    stations = trunk_of("VGG16").stations
    maps = [(s, b) for s, b in zip(stations, bodies, strict=True) if s.size and s.channels >= 64]
    heights = {s.size[0]: float(b.attrib["height"]) / s.size[0] for s, b in maps}
    widths = {s.channels: float(b.attrib["width"]) / s.channels for s, b in maps}
    assert max(heights.values()) == pytest.approx(min(heights.values()), rel=0.02)
    assert max(widths.values()) == pytest.approx(min(widths.values()), rel=0.02)


def test_the_picture_has_colours_for_dark_pages() -> None:
    assert "prefers-color-scheme: dark" in blocks(net("LeNet5").network, Flow(net("LeNet5").network))


def test_names_in_a_file_are_text_in_the_picture() -> None:
    """What a file calls its layers is escaped where it is written."""
    found = archdsl.loads("network N {\n input x: [1, 8, 8]\n flatten\n a: linear(3)\n}")
    assert ElementTree.fromstring(blocks(found.network, Flow(found.network))) is not None


# ------------------------------------------------------------------------------ the command


def test_draw_writes_svg_and_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["draw", "AlexNet", "-o", str(tmp_path / "a.svg")]) == 0
    assert run(["draw", "alexnet.arch:AlexNet", "-o", str(tmp_path / "a.png")]) == 0
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == f"{SVG}svg"
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG") and data == png(text)
    assert capsys.readouterr().err == f"wrote {tmp_path / 'a.svg'}\nwrote {tmp_path / 'a.png'}\n"
    assert run(["draw", "AlexNet"]) == 0
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["draw", "LeNet5", "-o", "x.pdf"],
            "a picture is written to a file called *.svg or *.png, not to x.pdf",
        ),
        (["draw", "LeNet5", "-o", "x"], "not to x\n"),
        (["draw", "open.arch"], "a picture to scale needs sizes: give `--size H=...` and `--size W=...`"),
        (["draw", "LeNet5", "--set", "train.steps=1"], "a picture has no recipe"),
    ],
)
def test_what_can_not_be_drawn(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("open.arch").write_text("network N {\n input x: [1, H, W]\n conv(2, kernel=3)\n}\n")
    assert run(arguments) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["open.arch"]


def test_a_broken_budget_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.arch").write_text(
        "network N {\n input x: [1, 9]\n conv(2, kernel=3)\n expect parameters < 5\n}\n"
    )
    assert run(["draw", "n.arch", "-o", "n.svg"]) == 1
    assert ">conv_1</text>" in Path("n.svg").read_text(encoding="utf-8")


def test_sizes_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("open.arch").write_text("network N {\n input x: [1, H, W]\n conv(2, kernel=3)\n}\n")
    assert run(["draw", "open.arch", "--size", "H=20", "--size", "W=30", "-o", "n.svg"]) == 0
    assert ">18×28</text>" in Path("n.svg").read_text(encoding="utf-8")


def test_without_the_library_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['drawsvg'] = None\n"
        "from archdsl.cli.main import main\nmain(['draw', 'LeNet5', '-o', 'l.svg'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: pictures need drawsvg: `pip install 'archdsl[pictures]'`\n"
