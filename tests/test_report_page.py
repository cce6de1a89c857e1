"""The page of a report: what it shows in a browser, by keyboard, and to an accessibility checker."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright
from programs import Program

import archdsl
from archdsl.analysis.positions import Positions
from archdsl.analysis.receptive_field import Field, Fields
from archdsl.cli.main import run
from archdsl.report.columns import COLUMNS, STANDARD
from archdsl.report.page import content, page
from archdsl.report.units import human_bytes

KINDS = """
## Every way of seeing: holes, steps, units that differ in turn, and units that see nothing.
network Kinds {
  input image: [3, 21, 27]
  # allow unused-value
  mixed: parallel add {
    { conv(4, kernel=3, dilation=3, padding=3) }
    { conv(4, kernel=3, dilation=2, padding=2) -> relu }
  }
  holes: from image -> conv(4, kernel=3, dilation=2)
  met: parallel add {
    { conv(4, kernel=1, stride=2) }
    { conv(4, kernel=[9, 12]) }
  }
  up: conv_transpose(4, kernel=4, stride=2, padding=1)
  gaps: conv_transpose(2, kernel=1, stride=3)
  # allow unused-value
  unused: conv(2, kernel=1)
  from gaps -> global_avg_pool -> flatten
  logits: linear(7)
}
"""
FLAT = """
network Flat {
  input signal: [2, 40]
  conv(3, kernel=5, stride=3, dilation=2)
  conv(3, kernel=3)
}
"""
CLIP = """
network Clip {
  input clip: [1, 6, 9, 10]
  input label: [5]
  first: from clip -> conv(2, kernel=[3, 2, 1], stride=[1, 2, 3], padding=[1, 0, 0])
  other: from label -> linear(4)
  output first, other
}
"""
OPEN = "network Open {\n  input image: [3, H, W]\n  a: conv(8, kernel=1) -> relu\n}"
HOSTILE = """# Ann </script><script>hacked = 1</script>, "A <img src=x onerror='window.hacked = 1'>", B 2020
## $name ${data} </title></script><img src="x" onerror="window.hacked = 1"> & \u2028 \u202e &lt;
network Hostile {
  input image: [3, 8, 8]
  # <svg onload="window.hacked = 1">
  first: conv(4, # </script><script>window.hacked = 1</script>
    kernel=3)
  from image -> conv(2, kernel=1)
}
"""
HOSTILE_NAME = "<img src=x onerror='window.hacked = 1'>&\"\udc80$data.arch"


def page_of(net: archdsl.Net) -> str:
    return page(net.report(), net.diagnostics)


BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the module: the system's, or the one that playwright has installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            # Without a sandbox, since tests may run as root; every page here is the test's own.
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            if os.environ.get("BROWSER_TESTS") == "required":
                raise
            said = str(error).strip().splitlines()[0]
            pytest.skip(f"no browser (`apt-get install chromium-headless-shell`): {said}")
        yield browser
        browser.close()


class Screen:
    """A tab, and all that its pages complained of and asked for."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.view = browser.new_page(**options)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.view.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.view.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.view.on("request", lambda request: self.asked.append(request.url))

    def show(self, html: str, path: Path) -> None:
        path.write_text(html, encoding="utf-8")
        self.view.goto(path.as_uri())

    def holds(self) -> None:
        """Nothing was asked for but the page, and the console has no error, of its policy or its script."""
        assert self.complaints == []
        assert all(re.fullmatch(r"file://\S+/page\.html|data:image/svg\S+", url) for url in self.asked)


@pytest.fixture(scope="module")
def screen(browser: Browser) -> Screen:
    return Screen(browser)


Show = Callable[..., Page]


@pytest.fixture
def shown(screen: Screen, tmp_path: Path) -> Iterator[Show]:
    """Shows a page."""

    def show(html: str, width: int = 1400) -> Page:
        screen.view.set_viewport_size({"width": width, "height": 900})
        screen.show(html, tmp_path / "page.html")
        return screen.view

    yield show
    screen.holds()


# ------------------------------------------------------------------------------ the tree


def test_the_tree_by_keyboard(shown: Show) -> None:
    net = archdsl.load("AlexNet")
    view = shown(page_of(net))

    def at() -> str:
        return str(view.evaluate("document.activeElement.querySelector('th').title"))

    def names() -> list[str]:
        return [row.get_attribute("title") or "" for row in view.locator("#layers tbody th").all()]

    outermost = names()
    view.locator("#layers tbody tr").first.focus()
    assert at() == "conv1"
    view.keyboard.press("ArrowRight")
    assert names()[:4] == ["conv1", "conv1.conv", "conv1.relu", "conv1.ResponseNorm_1"]
    for key, reached in [
        ("ArrowRight", "conv1.conv"),
        ("ArrowDown", "conv1.relu"),
        ("ArrowLeft", "conv1"),
        ("End", "logits"),
        ("f", "flatten_1"),
        ("ArrowUp", "pool5"),
        ("Home", "conv1"),
    ]:
        view.keyboard.press(key)
        assert at() == reached
    # What the keys reach is what the explorer shows.
    assert view.locator("#layer option:checked").text_content() == "conv1"
    view.keyboard.press("ArrowLeft")
    assert names() == outermost
    view.keyboard.press("Enter")
    assert view.locator("#layers tr[aria-level='2']").count() == 3
    view.locator("#unfold").press("Enter")
    rows = view.evaluate(
        "[...document.querySelectorAll('#layers tbody tr:not([aria-expanded])')]"
        ".map(row => [row.cells[0].title, ...[...row.cells].slice(1).map(cell => cell.textContent)])"
    )
    assert rows == [[COLUMNS[key].cell(one.facts) for key in STANDARD] for one in net.report().layers]
    blocks = view.locator("#layers tr[aria-expanded='true']")
    assert blocks.count() == len(net.report().entries(1)) - 5 + 2


def test_without_a_script_the_outermost_parts_are_there(browser: Browser, tmp_path: Path) -> None:
    report = archdsl.load("AlexNet").report()
    screen = Screen(browser, java_script_enabled=False)
    screen.show(page(report), tmp_path / "page.html")
    view = screen.view
    rows = [
        [cell.strip() for cell in row.split("\t")]
        for row in view.locator("#layers tbody").inner_text().split("\n")
    ]
    assert rows == [[COLUMNS[key].cell(one.facts) for key in STANDARD] for one in report.entries(1)]
    assert view.locator("#explorer").is_hidden()
    assert "62,378,344" in view.locator(".totals").inner_text()
    view.close()


# ------------------------------------------------------------------------------ what units see


def seen_by(field: Field, unit: list[int]) -> list[set[int]]:
    """What the analysis says that a unit sees, position by position."""

    def all_of(positions: Positions | None) -> set[int]:
        if positions is None:
            return set()
        if positions.parts is None:
            assert positions.mask
            return {
                positions.first + i for i in range(positions.mask.bit_length()) if positions.mask >> i & 1
            }
        found = {positions.first}
        for step, n in positions.parts:
            found = {position + step * k for position in found for k in range(n + 1)}
        return found

    return [
        set().union(*(all_of(lattice.at(place)) for lattice in axis))
        for axis, place in zip(field.axes, unit, strict=True)
    ]


READ_OFF = """([layer, units]) => {
  const choice = document.getElementById("layer");
  choice.value = [...choice.options].find((one) => one.text === layer).value;
  choice.dispatchEvent(new Event("change"));
  return units.map((unit) => {
    const boxes = document.querySelectorAll("#unit input");
    unit.forEach((place, i) => {
      boxes[i].value = place;
      boxes[i].dispatchEvent(new Event("input"));
    });
    return document.getElementById("seen").textContent;
  });
}"""


def read_off(text: str) -> list[set[int]]:
    """The positions in `Unit row 1, column 2 sees rows −1 to 3, 5; column 4 of image: ...`."""
    found = re.search(r" sees (.*) of \w+: ", text)
    assert found and "…" not in text, text
    axes = []
    for part in found[1].replace("−", "-").split("; "):
        runs = re.findall(r"(-?\d+)(?: to (-?\d+))?", part)
        axes.append({place for a, b in runs for place in range(int(a), int(b or a) + 1)})
    return axes


@pytest.mark.parametrize(
    ("net", "layers"),
    [
        (archdsl.load("AlexNet"), ["conv1.conv", "conv2.relu", "pool5"]),
        (archdsl.loads(KINDS), ["holes", "mixed.add", "met.add", "up", "gaps"]),
        (archdsl.loads(FLAT), ["conv_1", "conv_2"]),
        (archdsl.loads(CLIP), ["first"]),
    ],
    ids=lambda one: one.name if isinstance(one, archdsl.Net) else "",
)
def test_units_see_what_the_analysis_says(shown: Show, net: archdsl.Net, layers: list[str]) -> None:
    view = shown(page_of(net))
    for facts in net.analysis().facts:
        if facts.node.name not in layers:
            continue
        layers.remove(facts.node.name)
        field = facts.receptive_field
        field = field.by_input["clip"] if isinstance(field, Fields) else field
        assert isinstance(field, Field)
        extents = [int(str(extent)) for extent in field.extents]
        units = [[min(k, extent - 1) for extent in extents] for k in range(max(extents))]
        for unit, text in zip(units, view.evaluate(READ_OFF, [facts.node.name, units]), strict=True):
            expected = seen_by(field, unit)
            if all(expected):
                assert read_off(text) == expected, (facts.node.name, unit)
            else:
                assert "sees nothing" in text or set() in read_off(text)
    assert layers == []


def test_the_picture_shows_the_region(shown: Show) -> None:
    """Where the unit sees, the picture is as it is; elsewhere it is darkened, holes among it."""
    view = shown(page_of(archdsl.loads(KINDS)))
    look = """(unit) => {
      const canvas = document.querySelector("#picture canvas");
      const pen = canvas.getContext("2d");
      const each = canvas.width / 27;
      const light = (x, y) => [...pen.getImageData((x + 0.5) * each, (y + 0.5) * each, 1, 1).data];
      return [[3, 3], [4, 3], [5, 3], [3, 4], [20, 3]].map(([x, y]) => light(x, y));
    }"""
    view.evaluate(READ_OFF, ["unused", [[0, 0]]])
    view.evaluate(READ_OFF, ["holes", [[1, 1]]])
    seen = view.evaluate(look)
    # Unit (1, 1) has rows and columns 1, 3 and 5.
    view.evaluate(READ_OFF, ["holes", [[2, 2]]])
    moved = view.evaluate(look)
    # Unit (2, 2) has 2, 4 and 6: nothing here is seen by both.
    assert [sum(a) > sum(b) + 20 for a, b in zip(seen, moved, strict=True)] == [
        True,
        False,
        True,
        False,
        False,
    ]
    # By keyboard and by pointer.
    view.locator("#units").press("ArrowRight")
    assert (
        view.locator("#seen")
        .inner_text()
        .startswith("Unit row 2, column 3 sees rows 2, 4, 6; columns 3, 5, 7")
    )
    box = view.locator("#units canvas").bounding_box()
    assert box
    view.locator("#units canvas").hover(position={"x": box["width"] - 1, "y": 1})
    assert view.locator("#seen").inner_text().startswith("Unit row 0, column 22 sees")


def test_it_is_said_that_units_differ(shown: Show) -> None:
    view = shown(page_of(archdsl.loads(KINDS)))
    (up,), (holes,) = (view.evaluate(READ_OFF, [name, [[2, 2]]]) for name in ("up", "holes"))
    assert up.endswith(" Units differ in this: the field, 15 × 18, is that of those that see the most.")
    assert "Units differ" not in holes


def test_hatching_can_be_seen(shown: Show) -> None:
    """On pages of both kinds, also below what darkens all that a unit does not see."""
    view = shown(page_of(archdsl.loads(KINDS)))
    look = """() => {
      const canvas = document.querySelector("#picture canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 6);
      const light = [...data].filter((_, i) => i % 4 === 1);
      return Math.max(...light) - Math.min(...light);
    }"""
    for theme in ("light", "dark"):
        view.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        view.evaluate(READ_OFF, ["mixed.add", [[20, 20]]])
        assert view.evaluate(look) >= 24, theme


def test_a_picture_of_ones_own(shown: Show, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30), (250, 0, 200)).save(tmp_path / "own.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    view = shown(page_of(archdsl.loads(KINDS)))
    middle = """() => {
      const canvas = document.querySelector("#picture canvas");
      return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
    }"""
    view.evaluate(READ_OFF, ["logits", []])
    assert view.locator("#unseen-field").inner_text() == "Global: every unit sees the whole input."
    view.set_input_files("#file", tmp_path / "own.png")
    view.locator("#drawn").wait_for()
    assert view.evaluate(middle)[:3] == [250, 0, 200]
    view.set_input_files("#file", tmp_path / "none.png")
    view.get_by_text("none.png can't be read as a picture").wait_for()
    view.locator("#drawn").click()
    assert view.evaluate(middle)[:3] != [250, 0, 200]


def test_what_has_no_region_says_why(shown: Show) -> None:
    view = shown(page_of(archdsl.loads(CLIP)))
    assert view.locator("#layer option:checked").text_content() == "first"
    view.evaluate(READ_OFF, ["other", []])
    assert view.locator("#input option:checked").text_content() == "label"
    assert "label is a vector" in view.locator("#unseen-field").inner_text()
    view.locator("#input").select_option("clip")
    assert view.locator("#unseen-field").inner_text() == "It sees nothing of clip."
    view = shown(page_of(archdsl.loads(OPEN)))
    assert "--size H=224" in view.locator("#unseen-field").inner_text()
    assert "--size H=224" in view.locator("#memory-none").inner_text()
    view.locator("input[name=measure][value='1']").check()
    assert "depends on the sizes" in view.locator("#treemap-said").inner_text()
    assert "8 × H × W" in view.locator("#layers").inner_text()


# ------------------------------------------------------------------------------ where it sits, and when


def test_the_areas_add_up(shown: Show) -> None:
    report = archdsl.load("UNet").report()
    view = shown(page(report))
    totals = [
        report.totals["parameters"],
        report.totals["macs"],
        sum(layer.facts["activation_bytes"] for layer in report.layers),
    ]
    for measure, total in enumerate(totals):
        view.locator(f"input[name=measure][value='{measure}']").check()
        tiles = view.evaluate(
            "(({x, y}) => [...document.querySelectorAll('.tile')].map((tile) => {"
            " const box = tile.getBoundingClientRect();"
            f" const size = tile.row.measures[{measure}];"
            " return [tile.title, size, box.x - x, box.y - y, box.width, box.height];"
            "}))(document.getElementById('treemap').getBoundingClientRect())"
        )
        assert sum(size for _, size, *_ in tiles) == total
        named = {f"{one.facts['name']} ({one.facts['kind']})" for one in report.layers}
        assert {title.split(":")[0] for title, *_ in tiles} <= named
        width, height = view.evaluate(
            "(({clientWidth: w, clientHeight: h}) => [w, h])(document.getElementById('treemap'))"
        )
        places = [place for _, _, *place in tiles]
        assert all(
            x >= -1 and y >= -1 and x + w <= width + 1 and y + h <= height + 1 for x, y, w, h in places
        )
        for (x, y, w, h), (u, v, s, t) in combinations(places, 2):
            across, down = min(x + w, u + s) - max(x, u), min(y + h, v + t) - max(y, v)
            assert across < 0.01 or down < 0.01
        # Headings take some room, so that areas are as the figures only about.
        large = [
            (size / total, w * h / (width * height)) for _, size, _, _, w, h in tiles if size > total / 20
        ]
        assert large
        assert all(0.7 < shown / share < 1.15 for share, shown in large)
    view.locator(".tile[tabindex='0']").focus()
    view.keyboard.press("Home")
    view.keyboard.press("ArrowRight")
    title = view.evaluate("document.activeElement.title")
    assert view.locator("#layer option:checked").text_content() == title.split(" (")[0]


def test_memory_step_by_step(shown: Show) -> None:
    net = archdsl.loads(KINDS)
    view = shown(page_of(net))
    analysis = net.analysis()
    memory, flow = analysis.memory, analysis.flow
    chart = view.locator("#chart")
    peak = max(memory.forward)
    assert int(chart.get_attribute("aria-valuenow") or "") == memory.forward.index(peak) + 1
    chart.press("Home")
    steps = view.evaluate("""() => {
      const chart = document.getElementById("chart");
      const holders = () => [...document.querySelectorAll("#held li > span:first-of-type")];
      return Array.from({ length: Number(chart.getAttribute("aria-valuemax")) }, () => {
        const found = [chart.getAttribute("aria-valuetext"), holders().map((one) => one.textContent).sort()];
        chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
        return found;
      });
    }""")
    for step, (size, node) in enumerate(zip(memory.forward, flow.nodes, strict=True)):
        alive = [v for v in range(len(flow.makers)) if memory.births[v] <= step <= memory.deaths[v]]
        assert sum(memory.sizes[v] for v in alive) == size
        assert steps[step] == [
            f"step {step + 1} of {len(flow.nodes)}, {node.name}: {human_bytes(size)} alive",
            sorted(flow.nodes[flow.makers[v]].name for v in alive),
        ]
    view.locator("input[name=pass][value=training]").check()
    assert f": {human_bytes(max(memory.training))} alive" in (chart.get_attribute("aria-valuetext") or "")
    chart.press("End")
    assert ", backward: " in view.locator("#step").inner_text()


# ------------------------------------------------------------------------------ everyone, everywhere


def test_nothing_keeps_anyone_out(shown: Show) -> None:
    net = archdsl.loads(KINDS.replace("# allow unused-value", ""))
    view = shown(page_of(net))
    view.locator("#unfold").click()

    def background() -> str:
        return str(view.evaluate("getComputedStyle(document.body).backgroundColor"))

    def held(**options: Any) -> int:
        found = Axe().run(view, options={"resultTypes": ["violations"], **options})
        assert found.response["violations"] == [], found.generate_report()
        return len(found.response["passes"])

    assert background() == "rgb(255, 255, 255)"
    assert held() > 20
    view.emulate_media(color_scheme="dark")
    dark = background()
    assert dark != "rgb(255, 255, 255)"
    assert held(runOnly=["color-contrast"]) == 1
    # The page's own choice comes before the system's.
    view.locator("#theme").click()
    assert view.locator("#theme").inner_text() == "Theme: light"
    assert background() == "rgb(255, 255, 255)"
    view.emulate_media(color_scheme="light")
    view.locator("#theme").click()
    assert background() == dark


def test_a_narrow_screen_scrolls_one_way(shown: Show) -> None:
    view = shown(page_of(archdsl.load("ResNet18")), width=360)
    view.locator("#unfold").click()
    assert view.evaluate("document.documentElement.scrollWidth") == 360


def test_beside_what_a_unit_sees_the_table_has_room(shown: Show) -> None:
    """On a screen of 1,300 pixels with a scroll bar."""
    view = shown(page_of(archdsl.load("ResNet18")), width=1284)
    across = view.evaluate(
        "[...document.querySelectorAll('.scrolled')].map(e => [e.clientWidth, e.scrollWidth])"
    )
    assert across and all(room == needed < 1000 for room, needed in across)


def test_names_are_names(shown: Show) -> None:
    net = archdsl.loads(HOSTILE, HOSTILE_NAME)
    assert net.diagnostics
    view = shown(page_of(net))
    assert view.evaluate("window.hacked") is None
    assert view.locator("img, svg[onload]").count() == 0
    view.evaluate(READ_OFF, ["first", []])
    assert "</script><script>" in view.locator("#about").inner_text()
    said = view.locator(".source").inner_text()
    assert '$name ${data} </title></script><img src="x" onerror="window.hacked = 1"> &' in said
    assert "\u202e" not in said
    assert "<img src=x onerror='window.hacked = 1'>&" in view.locator("pre").inner_text()


# ------------------------------------------------------------------------------ bounds, and the command


def test_a_deep_network_stays_small() -> None:
    net = archdsl.load("ResNet152")
    assert len(page_of(net)) < 250_000


def test_what_is_too_much_is_folded(shown: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound, value in (("MOST_ROWS", 60), ("MOST_MEMBERS", 12), ("RUNS", 6), ("MOST_STEPS", 20)):
        monkeypatch.setattr(content, bound, value)
    monkeypatch.setattr(content, "PATTERN_ROOM", 100)
    net = archdsl.loads(
        "network Long {\n  input x: [1, 30, 30]\n  stem: conv(2, kernel=3, dilation=2)\n"
        "  repeat 40 { conv(2, kernel=3, padding=2, dilation=2) -> relu }\n"
        "  stage: repeat 3 { conv(2, kernel=1)\n repeat 9 { conv(2, kernel=1) } }\n}"
    )
    rows = content.rows(net.report())
    assert len(rows) < 60
    leaves = [row for row in rows if not row.opens or row.facts["name"] == row.node.name]
    for figure in content.MEASURED:
        assert sum(row.facts[figure] for row in leaves) == sum(
            one.facts[figure] for one in net.report().layers
        )
    view = shown(page_of(net))
    assert "stem … conv_7" in view.locator("#layers").inner_text()
    assert "Step 2 of" not in view.locator("#held").inner_text()
    assert re.match(
        r"steps \d+ to \d+ of 112, at most, ", view.locator("#chart").get_attribute("aria-valuetext") or ""
    )
    view.evaluate(READ_OFF, [rows[-1].name, [[3, 3]]])
    assert "there may be holes" in view.locator("#seen").inner_text()


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_the_report(seed: int) -> None:
    report = archdsl.loads(Program(seed).text()).report()
    rows = content.rows(report)
    assert [row.name for row in rows if row.name == row.node.name] == [
        layer.facts["name"] for layer in report.layers
    ]
    said = content.data_of(report, rows)
    names: list[str] = []
    for (
        depth,
        label,
        *_,
        place,
    ) in [(one[0], one[1], one) for one in said["rows"]]:
        del names[depth:]
        names.append(place[7] if len(place) > 7 else ".".join([*names[-1:], label]))
        assert names[-1] == rows[said["rows"].index(place)].name


def test_the_command(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out = tmp_path / "out.html"
    assert run(["analyze", "AlexNet", "--html", str(out)]) == 0
    assert capsysbinary.readouterr() == (b"", f"wrote {out}\n".encode())
    assert run(["analyze", "AlexNet", "--html", "-"]) == 0
    assert capsysbinary.readouterr().out.decode() == out.read_text(encoding="utf-8")
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    for arguments, said in (
        (["--json", "--html", str(out)], b"--json and --html are two forms"),
        (["--depth", "2", "--html", str(out)], b"the page has every layer whole"),
        (["--html", str(tmp_path / "net.arch")], b"a page is written to a file called *.html or *.htm"),
        (["--html", str(tmp_path)], b"is a directory"),
    ):
        assert run(["analyze", "AlexNet", *arguments]) == 2
        assert said in capsysbinary.readouterr().err
    assert run(["analyze", "AlexNet", "--html", str(tmp_path / "none" / "out.html")]) == 1
    assert b"out.html can't be written" in capsysbinary.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html"]
