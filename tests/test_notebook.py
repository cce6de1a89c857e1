"""What a notebook shows of a network, and its cells: one real kernel runs them."""

from __future__ import annotations

import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
from click import Option
from IPython.core.completer import CompletionContext
from nbclient import NotebookClient
from programs import Program

import archdsl
from archdsl.cli.main import run
from archdsl.notebook import Cells, _line, complete
from archdsl.report.columns import COLUMNS, STANDARD
from archdsl.report.diagnostics import render_all
from archdsl.report.html import MOST_ROWS, OPEN_ROWS
from archdsl.report.table import LONGEST_NUMBER
from archdsl.report.terminal import Style
from archdsl.report.totals import totals

PICTURES = Path(__file__).parent.parent / "docs" / "pictures.md"

HOLDERS = {"div", "style", "pre", "span", "table", "caption", "b", "thead", "tbody", "tfoot"}
ELEMENTS = HOLDERS | {"tr", "th", "td", "details", "summary", "img", "p"}


class Page(HTMLParser):
    """What is in a piece of HTML, every element of which must be closed where it belongs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.classes: list[str] = []
        self.style = ""
        self.said = ""
        self.images: list[dict[str, str | None]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {"thead": [], "tbody": [], "tfoot": []}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        assert tag in ELEMENTS and "id" not in given
        if tag == "img":
            self.images.append(given)
            return
        if not self.open:
            self.classes = (given["class"] or "").split()
        self.open.append(tag)
        if tag == "tr":
            self.rows[self.open[-2]].append({"hidden": "hidden" in given, "cells": [], "block": False})
        elif tag in ("th", "td"):
            self.row["cells"].append("")
            assert tag == "td" or given["scope"] in ("row", "col")
        elif tag == "details":
            self.row["block"] = True
        elif tag == "span" and "title" in given and "td" in self.open:
            self.row["cells"][-1] = given["title"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif "pre" in self.open:
            self.said += data
        elif "th" in self.open or ("td" in self.open and "…" not in data):
            self.row["cells"][-1] += data

    @property
    def row(self) -> dict[str, Any]:
        return self.rows[next(part for part in self.open if part in self.rows)][-1]


def page(net: archdsl.Net) -> Page:
    return Page(net._repr_html_())


@pytest.mark.parametrize("name", ["AlexNet", "ResNet152", "UNet", "MNIST1DConv"])
def test_it_shows_what_the_analysis_found(name: str) -> None:
    """Every layer with its figures, the totals below, and no more rows open than one can take in."""
    net = archdsl.load(name)
    report, shown = net.report(), page(net)
    columns = [COLUMNS[key] for key in STANDARD]
    assert shown.rows["thead"][0]["cells"] == [column.heading for column in columns]
    layers = [row["cells"] for row in shown.rows["tbody"] if not row["block"]]
    figures = [[column.cell(entry.facts) for column in columns[1:]] for entry in report.layers]
    assert [cells[1:] for cells in layers] == figures
    for cells, entry in zip(layers, report.layers, strict=True):
        assert cells[0] in entry.facts["name"]
    below = [row["cells"] for row in shown.rows["tfoot"]]
    assert below == [[total.name, total.exact, total.beside] for total in totals(report)]
    blocks = {scope for entry in report.layers for scope in entry.path}
    assert sum(row["block"] for row in shown.rows["tbody"]) <= len(blocks)
    assert sum(not row["hidden"] for row in shown.rows["tbody"]) <= OPEN_ROWS
    (picture,) = shown.images
    assert (picture["src"] or "").startswith("data:image/svg+xml;base64,") and name in (picture["alt"] or "")


def test_reports_and_differences_show_what_the_commands_print() -> None:
    net, other = archdsl.load("LeNet5"), archdsl.load("LeNet1")
    report = net.report(batch=32, precision="float16")
    below = {row["cells"][0]: row["cells"][1:] for row in Page(report._repr_html_()).rows["tfoot"]}
    assert below == {total.name: [total.exact, total.beside] for total in totals(report)}
    difference = archdsl.diff(net, other)
    shown = Page(difference._repr_html_())
    assert shown.said == str(difference) and "training peak" in shown.said
    assert f".{shown.classes[1]}" in shown.style


def test_a_block_has_the_sum_of_its_layers() -> None:
    rows = {row["cells"][0]: row for row in page(archdsl.load("ResNet152")).rows["tbody"] if row["block"]}
    folded = {entry.facts["name"]: entry.facts for entry in archdsl.load("ResNet152").report().entries(1)}
    for name, facts in folded.items():
        assert rows[name]["cells"][3] == f"{facts['parameters']:,}"
        assert not rows[name]["hidden"]


@pytest.mark.parametrize(
    ("body", "visible"),
    [
        pytest.param("relu\n" * 2_000, MOST_ROWS, id="long"),
        pytest.param("repeat 30 { B }\n", 30, id="folded"),
    ],
)
def test_a_long_network_is_cut_or_folded(body: str, visible: int) -> None:
    block = "block B { repeat 40 { C } }\nblock C { relu -> relu }\n"
    net = archdsl.loads(f"{block}network Long {{\n  input x: [4]\n{body}}}")
    shown = page(net)
    rows = shown.rows["tbody"]
    assert len(rows) <= 2 * MOST_ROWS
    assert sum(not row["hidden"] for row in rows) == visible
    assert "2,000" in net._repr_html_() if visible == MOST_ROWS else "nested deeper" in net._repr_html_()


def test_outputs_keep_to_themselves() -> None:
    """Every rule of style is for the output that it came with, and equal outputs are equal."""
    nets = [archdsl.load(name) for name in ("AlexNet", "UNet", "VGG16")]
    nets.append(archdsl.loads(WARNED))
    pages = [page(net) for net in nets]
    names = [shown.classes[1] for shown in pages]
    assert len(set(names)) == len(names)
    for name, shown in zip(names, pages, strict=True):
        rules = re.sub(r"\{[^{}]*\}", "{}", shown.style).split("{}")
        selectors = [one.strip() for rule in rules[:-1] for one in re.split(r",(?![^(]*\))", rule)]
        assert len(selectors) > 20
        assert [one for one in selectors if f".{name}" not in one] == []
    assert nets[0]._repr_html_() == archdsl.load("AlexNet")._repr_html_()


WARNED = "network Warned { input image: [3, 31, 31]\nconv(16, kernel=3) -> batch_norm -> relu\n}"


def test_what_a_file_says_is_text() -> None:
    net = archdsl.loads(WARNED + " # <script>alert('&')</script>", "<img src=x>.arch")
    assert re.search("<script|<img src=x", net._repr_html_()) is None
    assert page(net).said == render_all(net.diagnostics, Style())
    assert "<img src=x>.arch:2:1" in page(net).said


def test_sizes_may_be_open_and_pictures_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = archdsl.loads("network Open { input image: [3, H, W]\n conv(16, kernel=3) -> relu\n}")
    shown = page(net)
    assert shown.images == []
    macs = shown.rows["tbody"][0]["cells"][4]
    assert len(macs) > LONGEST_NUMBER and macs == str(net.report().layers[0].facts["macs"])
    for name in [name for name in sys.modules if name.startswith(("archdsl.drawing", "drawsvg"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "drawsvg", None)
    assert page(archdsl.load("AlexNet")).images == []


def test_random_programs() -> None:
    for seed in range(10):
        net = archdsl.loads(Program(seed).text())
        shown = page(net)
        assert sum(not row["block"] for row in shown.rows["tbody"]) == len(net.report().layers)


# ------------------------------------------------------------------------------ pictures


def test_a_picture_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each style with what it can be asked for, in each form; the page of pictures runs as it stands."""
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", PICTURES.read_text(encoding="utf-8"), re.M | re.S)
    exec(snippet, {})
    for options, name in (
        ("FPN --width 640", "fpn.pdf"),
        ("LeNet5 --style graph --figures parameters,macs", "lenet5.png"),
        ("LeNet5 --style equation --layer c1", "c1.tex"),
        ("LeNet5 --style receptive-field --unit s4 --theme dark", "field.svg"),
    ):
        assert run(["draw", *options.split(), "-o", f"ours.{name}"]) == 0
        assert Path(f"ours.{name}").read_bytes() == Path(name).read_bytes(), name


def test_numbers_of_numpy_are_numbers() -> None:
    net, seven = archdsl.load("LeNet5"), np.int64(7)
    for style, options in (
        ("blocks", {"width": 100 * seven}),
        ("graph", {"height": 100 * seven, "depth": seven, "figures": "macs"}),
        ("matrix", {"layer": "c1", "positions": [seven, seven]}),
    ):
        plain = {name: [7, 7] if name == "positions" else one for name, one in options.items()}
        plain = {name: int(one) if isinstance(one, np.integer) else one for name, one in plain.items()}
        assert net.draw(style, **options).svg == net.draw(style, **plain).svg  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="width is a whole number from 0, not 'wide'"):
        net.draw(width="wide")  # type: ignore[arg-type]


def test_a_picture_shows_itself_on_a_page_of_its_own() -> None:
    """A notebook may put it into its own page: no rule of style is for anything else."""
    net = archdsl.load("LeNet5")
    shown = {theme: net.draw("graph", theme=theme)._repr_svg_() for theme in ("auto", "light", "dark")}
    assert shown["auto"] == shown["light"] != shown["dark"]
    assert "#ffffff" in shown["light"] and "background: #0d1117" in shown["dark"]
    for svg in (*shown.values(), net.draw("matrix", layer="c1", positions=6)._repr_svg_()):
        root = ElementTree.fromstring(svg)
        style = next(root.iter("{http://www.w3.org/2000/svg}style")).text or ""
        rules = re.sub(r"\{[^{}]*\}", "{}", style).split("{}")
        selectors = [one.strip() for rule in rules[:-1] for one in rule.split(",")]
        assert [one for one in selectors if not one.startswith(f".{root.attrib['class']}")] == []
        assert len(selectors) > 20 and "@media" not in style


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style": "graf"}, "there is no style 'graf'; did you mean graph?"),
        ({"theme": "blue"}, "there is no theme 'blue'; there are auto, light and dark"),
        ({"depth": 2}, "depth is for the style graph"),
        ({"width": 10}, "width is 200 or more, not 10"),
        (
            {"style": "graph", "figures": ["mac"]},
            "there is no figure 'mac'; did you mean macs?",
        ),
        ({"style": "matrix", "layer": "nothing"}, "LeNet5 has no layer nothing"),
    ],
)
def test_what_can_not_be_drawn(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        archdsl.load("LeNet5").draw(**options)


def test_where_a_picture_is_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = archdsl.load("LeNet5")
    with pytest.raises(ValueError, match=r"not to .*net\.gif$"):
        net.draw().save(tmp_path / "net.gif")
    open_ = archdsl.loads("network Open { input image: [3, H, W]\n conv(16, kernel=3) -> relu\n}")
    with pytest.raises(ValueError, match=re.escape('load it with sizes={"H": ..., "W": ...}')):
        open_.draw()
    for name in [name for name in sys.modules if name.startswith(("archdsl.drawing", "drawsvg"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "drawsvg", None)
    with pytest.raises(ImportError, match=re.escape("`pip install 'archdsl[pictures]'`")):
        net.draw()
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ cells

PAGE = PICTURES.with_name("notebooks.md")
CELL = re.compile(r"^```ipython\n(.*?)\n```$", re.MULTILINE | re.DOTALL)

SMALL = """network Small(classes = 10) {
  input image: [1, 28, 28]
  conv(16, kernel=3) -> relu
  flatten -> linear(classes)
}"""


def ran(folder: Path, cells: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The outputs of a notebook's cells, run in a kernel of this Python."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python",
        "language": "python",
    }
    (folder / "kernels" / "here").mkdir(parents=True)
    (folder / "kernels" / "here" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        timeout=100,
        kernel_name="here",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def written(outputs: list[Any]) -> str:
    """All that the outputs of a cell say as text, colours left out."""
    parts = [o.get("text") or "\n".join(o.get("traceback", ())) or o["data"]["text/plain"] for o in outputs]
    return re.sub("\x1b\\[[0-9;]*m", "", "\n".join(parts))


def test_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook from its first cell to its last, beginning with those of the page of notebooks."""
    (tmp_path / "stem.arch").write_text("block Stem { conv(4, kernel=3) -> relu }", encoding="utf-8")
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')", encoding="utf-8")
    cells = {
        **{f"page {k}": cell for k, cell in enumerate(CELL.findall(PAGE.read_text(encoding="utf-8")))},
        "load": "n = 3",
        "shown": f"%%arch\n{SMALL}",
        "wrong": "%%arch\n" + SMALL.replace("relu", "rleu").replace("linear(classes)", "linear(clases)"),
        "kept": "print(Small, Small.report().totals['parameters'])",
        "named": f"%%arch net --set classes={{n}} --input image=1,8,8\n{SMALL}",
        "again": "print(net, Small)",
        "imported": "%%arch\nimport Stem from 'stem.arch'\nimport Bottleneck from 'resnet.arch'\n".replace(
            "'", '"'
        )
        + "network Imported { input image: [3, 8, 8]\n Stem -> Bottleneck(4)\n}",
        "several": "%%arch\n"
        + "network A { input x: [4]\n relu\n}\nnetwork B { input x: [4]\n bias: linear(4, bias=true)\n}",
        "both": "print(A, B)",
        "warned": f"%%arch\n{WARNED}",
        "budget": "%%arch\n" + SMALL.replace("\n}", "\n  expect parameters < 10\n}"),
        "blocks": "%%arch\nblock Lonely { relu }",
        "python": '%%arch\nimport mine from "mine.py"\nnetwork P { input x: [4]\n mine\n}',
        "run": '%%arch --allow-python\nimport mine from "mine.py"\nnetwork P { input x: [4]\n mine\n}',
        "twice": f"%%arch x\n{SMALL}\n{SMALL.replace('Small', 'Other')}",
        "keyword": "%%arch\n" + SMALL.replace("Small", "lambda"),
        "option": f"%%arch --sise H=3\n{SMALL}",
        "recipe": f"%%arch --set train.batch=3\n{SMALL}",
        "quote": f"%%arch 'net\n{SMALL}",
        "outside": "archdsl = __import__('archdsl')\narchdsl.loads('network A { input x: [3]\\n rleu\\n}')",
        "unload": "%unload_ext archdsl",
        "gone": f"%%arch\n{SMALL}",
    }
    outputs = dict(zip(cells, ran(tmp_path, [*cells.values()], monkeypatch), strict=True))
    text = {name: written(found) for name, found in outputs.items()}

    of_page = [found for name, found in outputs.items() if name.startswith("page")]
    assert [[output.output_type for output in found] for found in of_page] == [
        ["execute_result"],
        ["execute_result"],
        [],
        ["display_data"],
        ["display_data"],
    ]
    assert "MACs" in outputs["page 1"][0]["data"]["image/svg+xml"]
    assert text["page 4"] == "<Net(signal: [2, 64]) -> [8, 13]>"
    assert text["load"] == text["unload"] == ""
    assert outputs["shown"][0]["data"]["text/html"] == archdsl.loads(SMALL)._repr_html_()
    assert text["shown"] == "<Small(image: [1, 28, 28]) -> [10]>"

    for problem in ("unknown-layer", "unknown-name"):
        assert f"error[{problem}]" in text["wrong"]
    # As the cell is numbered: the line of the magic is its first.
    assert f"--> In[{[*cells].index('wrong') + 1}]:4:25" in text["wrong"] and "Traceback" not in text["wrong"]
    assert "\x1b[1;31merror" in outputs["wrong"][0]["traceback"][0]
    parameters = archdsl.loads(SMALL).report().totals["parameters"]
    assert text["kept"] == f"<Small(image: [1, 28, 28]) -> [10]> {parameters}\n"

    assert text["again"] == "<Small(image: [1, 8, 8]) -> [3]> <Small(image: [1, 28, 28]) -> [10]>\n"
    assert [output.output_type for output in outputs["imported"]] == ["display_data"]
    assert text["both"] == "<A(x: [4]) -> [4]> <B(x: [4]) -> [4]>\n"
    assert "the bias of `conv`" in Page(outputs["warned"][0]["data"]["text/html"]).said

    shown, raised = outputs["budget"]
    assert str(parameters) in shown["data"]["text/plain"] or f"{parameters:,}" in shown["data"]["text/html"]
    assert raised["ename"] == "ArchError" and "expectation-failed" in written([raised])
    assert "no-network" in text["blocks"]
    assert "python-not-allowed" in text["python"] and "was run" not in text["python"]
    assert "was run" in text["run"]

    for name, said in {
        "twice": "the cell has 2 networks",
        "keyword": "nothing can be called 'lambda'",
        "option": "--sise",
        "recipe": "leave out --set train",
        "quote": "No closing quotation",
        "gone": "`%%arch` not found",
    }.items():
        assert said in text[name] and "Traceback" not in text[name]
    assert text["outside"].startswith("error[unknown-layer]") and "Traceback" not in text["outside"]


@pytest.mark.parametrize(
    ("cell", "there", "fragment"),
    [
        ("%%arch\nnetwork A {\n  input x: [3, 4, 4]\n  con|", ["conv", "concat"], "con"),
        ("%%arch net --set n=3\nnetwork A {\n  input x: [3, 4, 4]\n  conv(4, ke|)\n}", ["kernel="], "ke"),
        ('%%arch\nimport Bottle| from "resnet.arch"', ["Bottleneck"], "Bottle"),
        ("%%arch\n|", ["network", "block"], ""),
        ("con|", [], None),
        ("%%arch --se|\nnetwork A {}", [], None),
        ("# a remark\n%%arch\ncon|", [], None),
    ],
)
def test_completion(cell: str, there: list[str], fragment: str | None) -> None:
    before, _, after = cell.partition("|")
    line = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1)
    context = CompletionContext(
        token="", full_text=before + after, cursor_position=column, cursor_line=line, limit=None
    )
    found = complete(context)
    labels = [one.text for one in found["completions"]]
    assert set(there) <= set(labels) and bool(labels) == bool(there)
    assert found.get("matched_fragment") == fragment


def test_its_help_names_every_option() -> None:
    said = Cells.arch.__doc__ or ""
    options = [option for option in _line.params if isinstance(option, Option)]
    assert len(options) >= 5
    assert [o.opts[0] for o in options if f"        {o.opts[0]} " not in said] == []
