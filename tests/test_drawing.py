"""Pictures: what they show of a network, to scale, legible, and written whole."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import combinations, pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bundled import BUNDLED, load
from PIL import ImageFont
from programs import Program

import archdsl
import archdsl.drawing
from archdsl.analysis.flow import Flow
from archdsl.cli.main import run
from archdsl.compiler.network import Network
from archdsl.drawing.blocks import blocks, compared
from archdsl.drawing.colours import PALETTE
from archdsl.drawing.graph import graph
from archdsl.drawing.layered import arranged
from archdsl.drawing.lettering import wrapped
from archdsl.drawing.raster import png
from archdsl.drawing.theme import themed
from archdsl.drawing.trunk import Trunk, trunk
from archdsl.report.units import human

SVG = "{http://www.w3.org/2000/svg}"
FONTS = {size: ImageFont.load_default(size) for size in (9, 10, 13)}


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
    assert [name for station in found.stations for name in station.departing] == ["auxiliary1", "auxiliary2"]
    assert [s.named[0].name.split(".")[0] for s in found.stations if s.departing] == [
        "inception_4a",
        "inception_4d",
    ]


def test_a_body_that_is_an_output_is_told_from_one_that_an_output_is_made_from() -> None:
    net = archdsl.loads(
        "network Several {\n input x: [1, 32, 32]\n f: { a: conv(3, kernel=3)\n b: conv(4, kernel=3) }\n"
        " g: from f.a -> conv(5, kernel=3)\n output f.b, g, f.a\n}"
    )
    found = trunk(net.network, net.analysis().flow)
    assert [(s.outputs, s.departing) for s in found.stations] == [([], []), (["f.a"], ["g"]), (["f.b"], [])]
    assert all(text in net.draw().svg for text in (">output f.a<", ">→ g<", ">output f.b<"))


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
    assert [(s.joins, s.shape) for s in siamese.stations if s.joins] == [
        (["signature2, through half"], (304,))
    ]
    assert siamese.skips == []
    fast = trunk_of("FastRCNN")
    assert [s.joins for s in fast.stations if s.joins] == [["regions"]]
    streams = trunk_of("ActionCNN3D")
    assert [s.joins for s in streams.stations if s.joins] == [["4 more branches"]]
    text = "network N { input left: [1, 9]\ninput right: [1, 9]\n a: from left -> conv(2, kernel=3) -> relu\n"
    both = archdsl.loads(text + "b: from right -> conv(2, kernel=3)\n from a, b -> concat\n}")
    found = trunk(both.network, Flow(both.network))
    assert [s.joins for s in found.stations] == [[], [], ["right, through b"]]
    assert found.skips == []
    text = "network N { input t: [4]\ninput noisy: [2, 8, 8]\n"
    text += "time: from t -> linear(3) -> silu -> linear(9) -> silu -> linear(2) -> reshape([2, 1, 1])\n"
    told = archdsl.loads(text + "from noisy, time -> multiply -> conv(2, kernel=3)\n}")
    assert shapes(trunk(told.network, Flow(told.network))) == [(2, 8, 8), (2, 8, 8), (2, 6, 6)]


def test_an_input_that_the_trunk_knows_nothing_of_stands_with_the_output_that_does() -> None:
    text = "network N { input a: [1, 9]\n input b: [1, 9]\n input c: [4]\n"
    text += " x: from a -> conv(2, kernel=3)\n y: from b -> conv(2, kernel=3)\n"
    text += " near: from x -> conv(2, kernel=3) -> relu -> conv(2, kernel=3)\n"
    text += " far: from x, y -> add\n other: from c -> linear(2)\n"
    net = archdsl.loads(text + " output near, far, other\n}")
    found = trunk(net.network, Flow(net.network))
    assert [station.departing for station in found.stations] == [
        ["other (of c)"],
        ["far (with b, through y)"],
        [],
        [],
    ]
    boxes = [s.departing for s in trunk_of("MaskRCNN").stations if s.departing]
    assert boxes == [["box.scores", "box.boxes"]]


def test_a_picture_has_an_end() -> None:
    """Of thousands of layers that all differ, neighbours are one."""
    deep = archdsl.loads("network Deep { input x: [4, 6010]\n repeat 3000 { conv(4, kernel=3) } }")
    found = trunk(deep.network, Flow(deep.network))
    assert 30 <= len(found.stations) <= 60
    assert sum(station.repeated for station in found.stations) == 3001


def test_learned_tokens_do_not_hide_the_way_from_the_image() -> None:
    assert shapes(trunk_of("ViT"))[0] == (3, 224, 224)


# ------------------------------------------------------------------------------ how it looks


Box = tuple[float, float, float, float]


@cache
def length(text: str, size: float) -> float:
    return FONTS[size].getlength(text)


def texts(root: ElementTree.Element, sizes: dict[str, float]) -> list[tuple[Box, str]]:
    """What is written in a picture, and where, as wide as a wide font draws it."""
    found = []
    for text in root.iter(f"{SVG}text"):
        kind = text.attrib["class"]
        size = sizes.get(kind, 10)
        wide = length(text.text or "", size) * 1.1
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = x if kind in ("title", "head", "aside", "scale") else x - wide / 2
        found.append(((left, y - size * 0.8, left + wide, y + size * 0.2), text.text or ""))
    return found


def rectangles(root: ElementTree.Element, kind: str = "") -> list[Box]:
    found = []
    for rect in root.iter(f"{SVG}rect"):
        if rect.attrib["class"].startswith(kind):
            x, y = float(rect.attrib["x"]), float(rect.attrib["y"])
            found.append((x, y, x + float(rect.attrib["width"]), y + float(rect.attrib["height"])))
    return found


def apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def within(one: Box, other: Box) -> bool:
    return other[0] <= one[0] and one[2] <= other[2] and other[1] <= one[1] and one[3] <= other[3]


def legible(svg: str, sizes: dict[str, float]) -> list[str]:
    """What of a picture's texts overlaps or is outside it."""
    root = ElementTree.fromstring(svg)
    page = (0.0, 0.0, float(root.attrib["width"]), float(root.attrib["height"]))
    boxes = texts(root, sizes)
    found = [text for box, text in boxes if not within(box, page)]
    found += ["outside" for box in rectangles(root) if not within(box, page)]
    boxes.sort(key=lambda item: item[0][1])
    for k, (one, text) in enumerate(boxes):
        for other, further in boxes[k + 1 :]:
            if other[1] >= one[3]:
                break
            if not apart(one, other):
                found.append(f"{text} on {further}")
    return found


def points(path: ElementTree.Element) -> list[tuple[float, float]]:
    """The corners of a way, where it turns."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.attrib["d"])]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def ways(root: ElementTree.Element, kind: str) -> list[list[tuple[float, float]]]:
    """The ways of a kind, but for the bars of the scale."""
    paths = [path for path in root.iter(f"{SVG}path") if path.attrib["class"] == kind]
    return [points(path) for path in paths if not re.search("[hv]", path.attrib["d"])]


def astray(root: ElementTree.Element, found: Trunk) -> list[str]:
    """What is wrong with the ways of blocks: one through a body or a text, or a skip that ends elsewhere."""
    bodies = rectangles(root)
    sizes: dict[str, float] = {"title": 13, "name": 9, "kernel": 9, "scale": 9, "times": 9}
    things = [*bodies, *(box for box, _ in texts(root, sizes))]
    wrong = []
    for way in [*ways(root, "way"), *ways(root, "skip")]:
        for (x1, y1), (x2, y2) in pairwise(way):
            line = (min(x1, x2), min(y1, y2), max(x1, x2) + 0.1, max(y1, y2) + 0.1)
            wrong += [f"{line} through {thing}" for thing in things if not apart(line, thing)]
    # A skip may go beside the arrow of a U from row to row.
    ends = [way[-1] for way in ways(root, "skip")]
    for _, k in found.skips:
        left, top, right, _ = bodies[k]
        near = [y for x, y in ends if left - 4 < x < right + 50 and y < top]
        if not near or top - max(near) > 60:
            wrong.append(f"nothing comes in at {k}")
    return wrong


def test_the_pictures_of_all_bundled_networks_are_legible() -> None:
    """No text is on another one or outside, every body is there, and no way goes through a box."""
    for file, names in BUNDLED.items():
        for name in names:
            network = load(file, name, small=True)
            flow = network.analysis().flow
            found = trunk(network.network, flow)
            for width in (1250, 500):
                svg = blocks(network.network, flow, width)
                root = ElementTree.fromstring(svg)
                assert legible(svg, {"title": 13, "name": 9, "kernel": 9, "scale": 9}) == [], name
                assert len(rectangles(root)) == len(found.stations)
                assert astray(root, found) == [], (name, width)
                assert float(root.attrib["width"]) <= width, name
            svg = graph(network.network, flow)
            root = ElementTree.fromstring(svg)
            assert legible(svg, {"title": 13, "fact": 9, "aside": 9}) == [], name
            boxes = rectangles(root, "box")
            for text, said in texts(root, {"fact": 9, "aside": 9}):
                inside = any(within(text, box) for box in boxes)
                assert inside or all(apart(text, box) for box in boxes), (name, said)


def test_graphs_of_programs_made_by_chance_are_legible() -> None:
    for seed in range(10):
        found = archdsl.loads(Program(seed).text())
        for depth in (1, 9):
            svg = graph(found.network, Flow(found.network), depth)
            assert legible(svg, {"title": 13, "fact": 9, "aside": 9}) == [], (seed, depth)


def test_boxes_are_apart_and_ways_go_around_them() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        sizes = [(chance.uniform(10, 120), chance.uniform(5, 50)) for _ in range(chance.randint(2, 24))]
        edges = sorted(
            {
                (a, b)
                for b in range(1, len(sizes))
                for a in chance.sample(range(b), min(b, chance.randint(1, 3)))
            }
        )
        found = arranged(sizes, edges)
        boxes = [
            (x - w / 2, y, x + w / 2, y + h)
            for (w, h), x, y in zip(sizes, found.middles, found.tops, strict=True)
        ]
        assert all(apart(one, other) for one, other in combinations(boxes, 2))
        assert all(within(box, (-0.01, -0.01, found.width + 0.01, found.height + 0.01)) for box in boxes)
        for (a, b), route in zip(edges, found.routes, strict=True):
            assert route[0][1] == pytest.approx(boxes[a][3]) and route[-1][1] == pytest.approx(boxes[b][1])
            assert all(first[1] <= second[1] + 0.01 for first, second in pairwise(route)), "downwards"
            for k, ((x1, y1), (x2, y2)) in enumerate(pairwise(route)):
                # Across it goes between the ranks, where no box is; down, beside every box.
                swept = (min(x1, x2), y1 + 0.01, max(x1, x2), y2 - 0.01)
                if y2 - y1 > 0.02:
                    others = boxes if k % 2 else [box for m, box in enumerate(boxes) if m not in (a, b)]
                    assert all(apart(swept, box) for box in others), (seed, a, b)


def test_a_residual_unit_is_a_way_around_its_box() -> None:
    """The transformer's block once, twelve times; its sums read what comes in and what is made of it."""
    root = ElementTree.fromstring(graph(net("ViT").network, Flow(net("ViT").network)))
    said = [text for _, text in texts(root, {})]
    assert said.count("encoder × 12") == 1 and "attention(12)" in said and said.count("add") == 3
    assert [text for text in said if "85.1 M parameters" in text] != []
    shallow = graph(net("ViT").network, Flow(net("ViT").network), depth=1)
    assert "encoder × 12" in shallow and "attention(12)" not in shallow


def test_a_graph_shows_inputs_outputs_and_shared_weights() -> None:
    root = ElementTree.fromstring(graph(net("SiameseTDNN").network, Flow(net("SiameseTDNN").network)))
    kinds = [rect.attrib["class"] for rect in root.iter(f"{SVG}rect")]
    assert kinds.count("box input") == 2 and kinds.count("box output") == 1
    assert kinds.count("box weights shared") == 2
    assert "weights of half" in [text for _, text in texts(root, {})]
    aided = graph(net("GoogLeNet").network, Flow(net("GoogLeNet").network))
    assert aided.count('class="box output"') == 3
    assert "512 × 14 × 14</text>" in aided, "the shape stands where its ways part"


def test_ways_part_at_a_dot() -> None:
    """All ways of a value begin where the one that comes in ends."""
    root = ElementTree.fromstring(graph(net("GoogLeNet").network, Flow(net("GoogLeNet").network)))
    dots = [(dot.attrib["cx"], dot.attrib["cy"]) for dot in root.iter(f"{SVG}circle")]
    ways = [path.attrib["d"].split() for path in root.iter(f"{SVG}path") if path.attrib["class"] == "way"]
    first, last = [way[0] for way in ways], [way[-1] for way in ways]
    assert [(last.count(f"L{x},{y}"), first.count(f"M{x},{y}")) for x, y in dots] == [(1, 2), (1, 2)]


def test_a_graph_that_is_too_high_goes_on_in_the_next_column() -> None:
    """The same boxes side by side, also within a frame, and the ways between columns go around them."""
    for name, height in (("GoogLeNet", 700), ("VGG16", 950), ("ShuffleNetV2", 400), ("DenseNet121", 400)):
        network, flow = net(name).network, Flow(net(name).network)
        whole, folded = (ElementTree.fromstring(graph(network, flow, height=most)) for most in (None, height))
        assert float(folded.attrib["height"]) <= height < float(whole.attrib["height"])
        assert legible(ElementTree.tostring(folded, "unicode"), {"title": 13, "fact": 9, "aside": 9}) == []
        boxes, frames = rectangles(folded, "box"), rectangles(folded, "frame")
        assert len(boxes) == len(rectangles(whole, "box"))
        up = [way for way in ways(folded, "way") if len(way) == 6 and way[2][0] == way[3][0]]
        assert up
        for way in up:
            below, above = way[1][1], way[3][1]
            assert above < way[0][1] < below
            x, y = way[0]
            assert any(left <= x <= right and abs(foot - y) < 2 for left, _, right, foot in (*boxes, *frames))
            for (x1, y1), (x2, y2) in pairwise(way[1:5]):
                line = (min(x1, x2), min(y1, y2), max(x1, x2) + 0.1, max(y1, y2) + 0.1)
                around = [box for box in (*boxes, *frames) if not within(line, box)]
                assert all(apart(line, box) for box in around), name
                along = (min(x1, x2), min(y1, y2) - 5, max(x1, x2) + 0.1, max(y1, y2) + 5)
                assert all(apart(along, box) or within(along, box) for box in frames) or x1 == x2, name
    # What four copies lead on from is not broken.
    network, flow = net("UNet").network, Flow(net("UNet").network)
    assert graph(network, flow, height=400) == graph(network, flow)


def test_figures_are_sums_over_a_box() -> None:
    """Those of the report, one line below the shape; what is nothing is not there."""
    found = net("LeNet5")
    svg = graph(found.network, Flow(found.network), 1, ("parameters", "macs"))
    facts = of_kind(ElementTree.fromstring(svg), "fact")
    for entry in found.report().entries(1):
        shape = " × ".join(map(str, entry.facts["shape"]))
        parts = [
            (human(entry.facts[key]), unit) for key, unit in (("parameters", "parameters"), ("macs", "MACs"))
        ]
        said = " · ".join(f"{figure} {unit}" for figure, unit in parts if figure != "0")
        assert shape in facts and (not said or facts[facts.index(shape) + 1] == said), entry.facts["name"]


def test_long_calls_go_on_in_further_lines() -> None:
    """Nothing that a file says of a module is cut, and what it leaves at its default is not said."""
    root = ElementTree.fromstring(graph(net("GoogLeNet").network, Flow(net("GoogLeNet").network)))
    said = " ".join(text for _, text in texts(root, {}))
    assert "Inception(ones=192, reduce3=96, threes=208, reduce5=16, fives=48, pooled=64)" in said
    assert "…" not in said
    deep = graph(net("ResNet18").network, Flow(net("ResNet18").network), 2)
    assert ">BasicBlock(channels=64)<" in deep and ">channels=128, stride=2<" in deep
    assert wrapped("f(a=1, b=2, c=3, d=4)", 12, 3) == ["f(a=1, b=2,", "c=3, d=4)"]
    assert wrapped("f(aaaaaa, b, c, dddd, e)", 9, 2) == ["f(aaaaaa,", "b, c, dd…"]
    assert wrapped("f(aaaaaaaaaa)", 6, 3) == ["f(aaa…"]


def test_words_can_be_read_on_every_surface() -> None:
    """The contrast that WCAG asks for, on light pages and on dark ones."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for surface, words in product(
        ("page", "plain", "input", "layer", "block", "join", "output", "new"), (0, 1)
    ):
        for ink in ("text", "quiet"):
            low, high = sorted(light(PALETTE[role][words]) for role in (surface, ink))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (surface, ink)


def test_all_colours_are_of_the_palette() -> None:
    for path in Path(archdsl.drawing.__file__).parent.glob("*.py"):
        if path.name != "colours.py":
            assert re.findall(r"#[0-9a-f]{3,6}\b", path.read_text(encoding="utf-8")) == [], path.name


def test_a_graph_of_open_sizes_and_of_thousands_of_layers() -> None:
    text = "network N {{\n input x: [{shape}]\n repeat {n} {{ conv(4, kernel=3, padding={p}) -> relu }}\n}}\n"
    opened = archdsl.loads(text.format(shape="3, H, W", n=1, p=0))
    assert "4 × (H - 2) × (W - 2)" in graph(opened.network, Flow(opened.network))
    alike = archdsl.loads(text.format(shape="4, 8", n=500, p=1))
    assert ">conv(4, kernel=3, padding=1) × 500</text>" in graph(alike.network, Flow(alike.network))
    differ = archdsl.loads(text.format(shape="4, 2010", n=500, p=0))
    svg = graph(differ.network, Flow(differ.network))
    assert len(rectangles(ElementTree.fromstring(svg))) < 100


def test_several_networks_have_one_scale() -> None:
    two = [(net(name).network, Flow(net(name).network)) for name in ("LeNet5", "AlexNet")]
    bodies = rectangles(ElementTree.fromstring(compared(two)))
    stations = [station for network, flow in two for station in trunk(network, flow).stations]
    assert len(bodies) == len(stations)
    high = {
        round((box[3] - box[1]) / station.size[0], 2)
        for box, station in zip(bodies, stations, strict=True)
        if station.size and station.size[0] > 20
    }
    assert max(high) - min(high) <= 0.02
    names = [text for _, text in texts(ElementTree.fromstring(compared(two)), {})]
    assert "LeNet5" in names and "AlexNet" in names


def test_a_u_net_is_a_u() -> None:
    """The arms stand side by side in rows, at equal heights, and the skips go straight across."""
    root = picture("UNet")
    bodies = rectangles(root)
    stations = trunk_of("UNet").stations
    lows = {station.size[0]: box[3] for station, box in zip(stations, bodies, strict=True)}
    assert lows[568] < lows[280] < lows[136] < lows[64] < lows[28] and lows[388] < lows[196] < lows[52]
    for a, b in trunk_of("UNet").skips:
        # Both are in the middle of their row.
        middles = [(bodies[k][1] + bodies[k][3]) / 2 for k in (a, b)]
        assert abs(middles[0] - middles[1]) < 12
    assert float(root.attrib["width"]) < 1250


def test_a_row_that_is_too_long_goes_on_in_the_next() -> None:
    """A way leads from each row to the next, and skips go along the right edge; what fits stays a row."""
    flow = Flow(net("VGG16").network)
    assert blocks(net("VGG16").network, flow, 5000) == blocks(net("VGG16").network, flow)
    root = ElementTree.fromstring(blocks(net("VGG16").network, flow, 300))
    assert float(root.attrib["width"]) <= 300, "the bars of the scale, too"
    bodies = rectangles(root)
    broken = [k for k in range(1, len(bodies)) if bodies[k][0] < bodies[k - 1][0]]
    leads = ways(root, "way")
    assert len(broken) == len(leads) >= 2
    for k, way in zip(broken, leads, strict=True):
        for (x, y), (left, top, right, low) in ((way[0], bodies[k - 1]), (way[-1], bodies[k])):
            assert left - 8 < x < right + 60 and top - 60 < y < low
    fpn = ElementTree.fromstring(blocks(net("FPN").network, Flow(net("FPN").network)))
    edge = max(box[2] for box in rectangles(fpn))
    lanes = {x for way in ways(fpn, "skip") for x, _ in way if x > edge}
    assert len(lanes) == 3 + 3, "those of three maps, each with its bends"


def test_what_parts_and_meets_in_a_block_is_one_body() -> None:
    """Whatever lies between, unless it narrows as a U does; not where the network itself says it."""
    unit = "from input -> upsample(2) -> conv(8, kernel=3, padding=1) -> max_pool(2) -> add(input)"
    arms = "from input -> max_pool(2) -> conv(8, kernel=3, padding=1) -> upsample(2) -> add(input)"
    for body, block, bodies in ((unit, True, 3), (unit, False, 4), (arms, True, 4)):
        lines = "input x: [8, 16, 16]\n a: conv(8, kernel=3, padding=1)\n"
        if block:
            found = archdsl.loads(f"block Unit {{ {body} }}\nnetwork N {{\n{lines} Unit\n}}")
        else:
            found = archdsl.loads(f"network N {{\n{lines} {body.replace('input', 'a')}\n}}")
        made = trunk(found.network, Flow(found.network))
        assert len(made.stations) == bodies, (body, block)
    assert shapes(trunk_of("R2Plus1D18"))[-6:-2] == [(256, 4, 14, 14)] * 2 + [(512, 2, 7, 7)] * 2


def test_a_shortcut_to_the_next_row_of_a_u_goes_beside_the_arrow() -> None:
    root = drawn(
        "input x: [1, 64, 64]\n a: conv(8, kernel=3, padding=1)\n"
        "short: from a -> conv(16, kernel=1, stride=2)\n"
        "from a -> conv(16, kernel=3, stride=2, padding=1) -> conv(16, kernel=3, padding=1)\n b: add(short)\n"
        "max_pool(2) -> conv(32, kernel=3, padding=1) -> upsample(2)\n c: concat(b)\n"
        "conv(16, kernel=3, padding=1) -> upsample(2)\n concat(a)"
    )
    (beside,) = (way for way in ways(root, "skip") if len({x for x, _ in way}) == 1)
    arrows = [way for way in ways(root, "way") if len({x for x, _ in way}) == 1]
    assert any(0 < way[0][0] - beside[0][0] < 10 and way[-1][1] == beside[-1][1] for way in arrows)


def test_the_name_of_many_stages_is_left_to_theirs() -> None:
    assert {"stage_1 (3)", "stage_3 (23)"} <= {*of_kind(picture("ResNeXt101"), "name")}


def test_kernels_and_groups_are_shown() -> None:
    grouped = ElementTree.tostring(picture("AlexNetGrouped"), encoding="unicode")
    assert "11×11 /4" in grouped and "2 groups" in grouped and grouped.count('class="split"') == 3
    assert 'class="window"' in grouped
    assert 'class="split"' not in ElementTree.tostring(picture("AlexNet"), encoding="unicode")


def drawn(lines: str) -> ElementTree.Element:
    """The bodies of a network of these lines."""
    found = archdsl.loads(f"network N {{\n{lines}\n}}")
    svg = blocks(found.network, Flow(found.network))
    assert legible(svg, {"title": 13, "name": 9, "kernel": 9, "scale": 9}) == []
    return ElementTree.fromstring(svg)


def of_kind(root: ElementTree.Element, kind: str) -> list[str | None]:
    return [text.text for text in root.iter(f"{SVG}text") if text.attrib["class"] == kind]


def test_labels_say_what_kind_of_window_it_is() -> None:
    root = drawn(
        "input x: [16, 32, 32]\n conv(16, kernel=3, groups=16) -> depthwise_conv(5)\n"
        "conv(32, kernel=3, dilation=4, groups=8) -> conv(32, kernel=3, dilation=[1, 2])\n"
        "upsample(2) -> conv(4, kernel=3, padding=1) -> pixel_shuffle(2)\n"
        "p: max_pool(2)\n max_unpool(p) -> conv_transpose(2, kernel=4, stride=2)"
    )
    assert of_kind(root, "kernel") == [
        *("↑2", "pool 2×2 /2", "↑2"),
        "depthwise 3×3",
        "depthwise 5×5",
        "3×3, dilation 4, 8 groups",
        "3×3, dilation 1×2",
        "3×3",
        "4×4 ↑2",
    ], "what is done to the map before stands in a line of its own"
    signal = drawn("input x: [1, 40]\n conv(4, kernel=3, stride=2) -> max_pool(3, stride=1) -> max_pool(2)")
    assert of_kind(signal, "kernel") == ["3, stride 2", "pool 3", "pool 2, stride 2"]
    high = []
    for dilation in (1, 4):
        root = drawn(f"input x: [8, 32, 32]\n conv(8, kernel=3, dilation={dilation}, padding={dilation})")
        (window,) = (path for path in root.iter(f"{SVG}path") if path.attrib["class"] == "window")
        edges = [float(number) for number in re.findall(r"[\d.]+", window.attrib["d"])]
        high.append(edges[7] - edges[1])
    assert high[1] == pytest.approx(3 * high[0], rel=0.01), "9 rows and not 3"


def test_what_is_one_body_says_its_kernels() -> None:
    """A residual unit those of its longest way, a line each; many equal layers theirs, and what pools."""
    assert of_kind(picture("ResNet18"), "kernel") == [
        *("pool 3×3 /2", "7×7 /2", "3×3"),
        *("3×3 /2", "3×3") * 3,
        "3×3",
    ]
    assert of_kind(picture("ResNet101"), "kernel")[-4:] == ["1×1", "1×1 (first 1×1 /2)", "3×3", "1×1"]
    assert of_kind(picture("ShuffleNetV2"), "kernel")[2:] == [
        *["1×1"] * 3,
        *["depthwise 3×3"] * 3,
        *["1×1"] * 3,
    ]
    deep = "repeat 20 {{ conv({0}, kernel=3, padding=1) -> relu }}"
    many = drawn(
        f"input x: [3, 32, 32]\n{deep.format(8)}\n max_pool(2)\n{deep.format(16)}\n conv(4, kernel=1)"
    )
    assert of_kind(many, "kernel") == ["pool 2×2 /2", "3×3", "1×1"]


def test_the_map_that_a_vector_becomes_has_a_body() -> None:
    root = drawn(
        "input x: [1, 28, 28]\n"
        "conv(8, kernel=3, stride=2, padding=1) -> conv(16, kernel=3, stride=2, padding=1)\n"
        "flatten -> linear(8) -> linear(784) -> reshape([16, 7, 7])\n"
        "conv_transpose(8, kernel=4, stride=2, padding=1) -> conv_transpose(1, kernel=4, stride=2, padding=1)"
    )
    assert of_kind(root, "label").count("7×7") == 2 and len(rectangles(root)) == 8
    assert not [way for way in ways(root, "way") if len(way) > 2], "an autoencoder is a row"


def test_the_way_up_leaves_where_nothing_comes_in() -> None:
    """At the bottom of a U, and where a skip ends, it begins at the body's side."""
    root = drawn(
        "input x: [1, 64, 64]\n a: conv(8, kernel=3, padding=same)\n max_pool(2)\n"
        "b: conv(16, kernel=3, padding=same)\n max_pool(2)\n conv(32, kernel=3, padding=same)\n"
        "upsample(2) -> conv(16, kernel=3, padding=same)\n add(b)\n"
        "upsample(2) -> conv(8, kernel=3, padding=same)\n add(a)"
    )
    ways = [path.attrib["d"] for path in root.iter(f"{SVG}path") if path.attrib["class"] == "way"]
    points = [
        [tuple(map(float, point.split(","))) for point in re.findall(r"[\d.]+,[\d.]+", d)] for d in ways
    ]
    up = [way for way in points if len(way) > 2 and way[-1][1] < way[0][1] - 20]
    assert len(up) == 2
    bodies = rectangles(root)
    for way, k in zip(up, (3, 5), strict=True):
        (x, y), (right, level), (end, _) = way
        assert level == y and right == end > x >= bodies[k][2] and bodies[k][1] - 40 < y < bodies[k][3]


@pytest.mark.parametrize("units", [3, 40])
def test_a_long_skip_is_an_arc_over_the_units_that_it_goes_around(units: int) -> None:
    text = """
    block Unit(gated) {
      parallel add {
        { conv(8, kernel=3, padding=1) -> relu -> conv(8, kernel=3, padding=1)
          if gated { parallel multiply {
            {}
            { global_avg_pool -> conv(2, kernel=1) -> relu -> conv(8, kernel=1) -> sigmoid }
          } } }
        {}
      }
    }
    """
    for gated in ("true", "false"):
        lines = "input low: [3, 24, 24]\n head: conv(8, kernel=9, padding=4)\n"
        lines += f"repeat {units} {{ Unit({gated}) }}\n"
        lines += "conv(8, kernel=3, padding=1) -> add(head) -> conv(3, kernel=3, padding=1)"
        net = archdsl.loads(f"{text} network N {{ {lines} }}")
        found = trunk(net.network, Flow(net.network))
        bodies = units if units < 32 else 1
        assert len(found.stations) == bodies + 4
        assert (1, bodies + 2) in found.skips
        short = [(k, k + 1) for k in range(1, bodies + 1)]
        assert [skip for skip in found.skips if skip != (1, bodies + 2)] == (short if bodies > 1 else [])
        assert found.within == ({} if bodies > 1 else {2: units})
        root = ElementTree.fromstring(blocks(net.network, Flow(net.network)))
        assert of_kind(root, "kernel") == ["9×9", *["3×3"] * 2]


def test_dense_connections_are_drawn() -> None:
    lines, read = "input image: [3, 32, 32]\n c1: conv(12, kernel=3, padding=1)\n", "image, c1"
    for k in (2, 3, 4):
        lines += f"c{k}: from {read} -> concat -> conv(12, kernel=3, padding=1)\n"
        read += f", c{k}"
    root = drawn(lines)
    assert len(rectangles(root)) == 2 + 2 * 3
    assert len([path for path in root.iter(f"{SVG}path") if path.attrib["class"] == "skip"]) == 1 + 2 + 3


def test_skips_within_a_body_that_stands_for_many_are_one_short_arc() -> None:
    for name, times in (("ResNet152", ["× 3", "× 8", "× 36", "× 3"]), ("ResNet50", [])):
        root = picture(name)
        assert of_kind(root, "times") == times
        skips = [path.attrib["d"] for path in root.iter(f"{SVG}path") if path.attrib["class"] == "skip"]
        assert len(skips) == (len(times) or 16)
        for skip in skips if times else ():
            across = [float(x) for x in re.findall(r"([\d.]+),[\d.]+", skip)]
            assert max(across) - min(across) < 30


def test_no_map_is_a_sliver() -> None:
    """Where one scale would make it one, rows, columns or channels have their own, and a bar of their own."""
    long = drawn("input wave: [2, 16000]\n conv(128, kernel=80, stride=4)")
    assert rectangles(long)[1][2] - rectangles(long)[1][0] >= 10
    flat = drawn("input x: [1, 8, 400]\n conv(16, kernel=[3, 9], stride=[1, 4])")
    assert rectangles(flat)[0][3] - rectangles(flat)[0][1] >= 24
    units = [text.split()[1] for text in of_kind(flat, "scale") if text]
    assert units == ["rows", "columns", "channels"]


def test_a_value_that_is_read_twice_has_two_arrows() -> None:
    found = archdsl.loads("network N {\n input x: [3, 8]\n a: relu\n from a, a -> add -> relu\n}")
    root = ElementTree.fromstring(graph(found.network, Flow(found.network)))
    assert [path.attrib["class"] for path in root.iter(f"{SVG}path")].count("tip") == 1 + 2 + 1


def test_the_scale_is_stated() -> None:
    root = picture("AlexNet")
    said = {text.text for text in root.iter(f"{SVG}text") if text.attrib["class"] == "scale"}
    assert said == {"50 positions", "100 channels", "500 features"}


def test_bodies_are_to_scale() -> None:
    bodies = list(picture("VGG16").iter(f"{SVG}rect"))
    stations = trunk_of("VGG16").stations
    maps = [(s, b) for s, b in zip(stations, bodies, strict=True) if s.size and s.channels >= 64]
    heights = {s.size[0]: float(b.attrib["height"]) / s.size[0] for s, b in maps}
    widths = {s.channels: float(b.attrib["width"]) / s.channels for s, b in maps}
    assert max(heights.values()) == pytest.approx(min(heights.values()), rel=0.02)
    assert max(widths.values()) == pytest.approx(min(widths.values()), rel=0.02)


@pytest.mark.parametrize("style", [blocks, graph])
def test_the_picture_has_colours_for_dark_pages(style: Callable[[Network, Flow], str]) -> None:
    """The page decides, unless the picture is for pages of one kind."""
    svg = style(net("LeNet5").network, Flow(net("LeNet5").network))
    assert "prefers-color-scheme: dark" in svg and "#e6edf3" in svg
    assert "#e6edf3" not in themed(svg, "light") and "@media" not in themed(svg, "light")
    dark = themed(svg, "dark")
    assert "@media" not in dark and dark.index("fill: #24292f") < dark.index("fill: #e6edf3")
    assert png(svg) == png(svg, "light") != png(svg, "dark")


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


def test_draw_writes_pdf_with_text_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        assert run(["draw", "LeNet5", "--style", "graph", "-o", str(tmp_path / name)]) == 0
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF-") and data == (tmp_path / "b.pdf").read_bytes()
    # Its fonts are in it, with what maps their glyphs back to text; nothing is pixels.
    assert b"/FontFile" in data and b"/ToUnicode" in data and b"/Subtype/Image" not in data


def test_a_file_of_several_is_drawn_whole(tmp_path: Path) -> None:
    assert run(["draw", "lenet5.arch:LeNet5Modern", "mnist1d_conv.arch", "-o", str(tmp_path / "a.svg")]) == 0
    both = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert both.index(">LeNet5Modern<") < both.index(">MNIST1DConv<")
    assert run(["draw", "vgg.arch", "-o", str(tmp_path / "b.svg")]) == 0
    assert (tmp_path / "b.svg").read_text(encoding="utf-8").count('class="title"') == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["draw", "LeNet5", "-o", "x.gif"],
            "a picture is written to a file called *.svg, *.png or *.pdf, not to x.gif",
        ),
        (["draw", "LeNet5", "AlexNet", "--style", "graph"], "a graph is of one network; several are for"),
        (["draw", "LeNet5", "--depth", "2"], "--depth is for --style graph"),
        (["draw", "LeNet5", "--style", "graph", "--width", "500"], "--width is for --style blocks"),
        (["draw", "LeNet5", "--figures", "macs"], "--figures is for --style graph"),
        (["draw", "LeNet5", "--style", "graph", "--figures", "mac"], "no figure 'mac'; did you mean macs?"),
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
