"""Reports and diagnostics as text: layout, folding, units, marks, and the forms for programs."""

from __future__ import annotations

import csv as standard_csv
import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import CASES, sections
from programs import Program
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

import archdsl
from archdsl.checking import check_program
from archdsl.compiler.network import Scope
from archdsl.diagnostics import Diagnostic, Edit, Label
from archdsl.net import program_of
from archdsl.report import Report
from archdsl.report.calls import block_call
from archdsl.report.columns import COLUMNS
from archdsl.report.csv import csv
from archdsl.report.diagnostics import render, summary
from archdsl.report.findings import as_github, as_json, as_sarif
from archdsl.report.markdown import markdown
from archdsl.report.table import table
from archdsl.report.terminal import Style, text_width, visible
from archdsl.report.units import human, human_bytes, separated
from archdsl.source import Source, Span

RESIDUAL = """
block Block(channels) {
  parallel add {
    residual: {
      conv(channels, kernel=3, padding=1, bias=false) -> batch_norm -> relu
      conv(channels, kernel=3, padding=1, bias=false) -> batch_norm
    }
    {}
  }
  relu
}

network Residual {
  input image: [3, 32, 32]
  stem: conv(16, kernel=3, padding=1)
  stage: repeat 3 { Block(16) }
  global_avg_pool -> flatten
  logits: linear(10)
}
"""


@pytest.fixture(scope="module")
def residual() -> Report:
    return archdsl.loads(RESIDUAL, name="residual.arch").report()


@pytest.fixture(scope="module")
def resnet() -> Report:
    return archdsl.load("resnet.arch", network="ResNet50").report()


# ------------------------------------------------------------------------------ the JSON object


def schema(name: str) -> Any:
    from importlib.resources import files

    return json.loads(files("archdsl").joinpath("schema", f"{name}.json").read_text(encoding="utf-8"))


SYMBOLIC = """
network Open {
  input image: [3, H, W]
  conv(8, kernel=3, stride=2, padding=1) -> relu -> upsample(2)
  scores: conv(2, kernel=1)
}
"""

TWO_INPUTS = """
network Two {
  input left: [4, 16, 16]
  input right: [4, 8, 8]
  up: from right -> upsample(2)
  small, large: from left -> split([1, 3])
  joined: from left, up -> concat
  bias: parameter([8, 1, 1])
  scaled: from joined, bias -> multiply
  vector: from left -> global_avg_pool
  output scaled, vector, small, large
}
"""


@pytest.mark.parametrize("text", [RESIDUAL, SYMBOLIC, TWO_INPUTS])
def test_json_is_of_its_schema(text: str) -> None:
    net = archdsl.loads(text)
    found = json.loads(json.dumps(net.report().to_dict()))
    jsonschema.validate(found, schema("report"))
    # A program finds the layer behind every value.
    shapes = {one["name"]: [one["shape"]] for one in found["inputs"]}
    shapes |= {node.name: [[*map(str, shape)] for shape in node.shapes] for node in net.network.nodes}
    assert [one["name"] for one in found["output_values"]] == found["outputs"]
    for value in found["output_values"]:
        layer, port = re.fullmatch(r"(.*?)(?:\.(\d+))?", value["from"]).groups()  # type: ignore[union-attr]
        assert shapes[layer][int(port or 0)] == [*map(str, value["shape"])]
        assert port is not None or len(shapes[layer]) == 1


@pytest.mark.parametrize("name", ["report", "diagnostics"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("layers", 0, "macs"), None),
        (("layers", 0, "receptive_field", "stride"), [1.5]),
        (("layers", 0, "line"), 0),
        (("totals", "parameters"), -1),
        (("schema",), 2),
    ],
)
def test_a_broken_report_is_not_of_the_schema(residual: Report, path: tuple[Any, ...], value: Any) -> None:
    broken = json.loads(json.dumps(residual.to_dict()))
    inside = broken
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema("report"))


def test_json_of_a_layer() -> None:
    first = archdsl.load("alexnet.arch").report().to_dict()["layers"][0]
    line = first.pop("line")
    assert line > 1
    ended = {"answer": "none", "channels": None, "exact": True, "ended_by": "conv1.conv"}
    assert first == {
        "name": "conv1.conv",
        "kind": "conv",
        "from": ["image"],
        "shape": [96, 55, 55],
        "weights": 34848,
        "biases": 96,
        "parameters": 34944,
        "buffers": 0,
        "macs": 105415200,
        "flops": 211120800,
        "activation_bytes": 1161600,
        "equivariance": {
            "translation": "equivariant",
            "shift": [4, 4],
            "border": [1, 1],
            "ended_by": None,
            "rotation": ended,
            "reflection": ended,
            "scale": ended,
        },
        "receptive_field": {
            "size": [11, 11],
            "stride": [4, 4],
            "padding": [2, 2],
            "taps": [11, 11],
            "phases": None,
            "aligned": True,
            "global": False,
            "at_most": False,
        },
        "file": "alexnet.arch",
        "defined": None,
    }


def test_symbolic_sizes_are_strings() -> None:
    found = archdsl.loads(SYMBOLIC).report().to_dict()
    assert found["inputs"] == [{"name": "image", "shape": [3, "H", "W"]}]
    assert found["layers"][0]["shape"] == [8, "(H + 1)//2", "(W + 1)//2"]
    assert found["layers"][2]["receptive_field"]["stride"] == [1, 1]


def test_results_of_a_layer_with_several_are_numbered() -> None:
    layers = {
        layer["name"]: layer
        for layer in archdsl.loads("network N { input x: [4, 8]\n a, b: split([1, 3])\n from b -> relu }")
        .report()
        .to_dict()["layers"]
    }
    assert layers["relu_1"]["from"] == ["split_1.1"]


def test_places_in_a_block(residual: Report) -> None:
    conv = next(e.facts for e in residual.layers if e.facts["name"] == "stage_1.Block_1.residual.conv_1")
    assert (conv["line"], conv["defined"]) == (16, 5)


# ------------------------------------------------------------------------------ folding


def test_depth_folds_and_keeps_the_sums(resnet: Report) -> None:
    whole = resnet.to_dict()["totals"]
    for depth in (1, 2, 3, 9):
        entries = resnet.entries(depth)
        assert sum(entry.facts["parameters"] for entry in entries) == whole["parameters"]
        assert sum(entry.facts["macs"] for entry in entries) == whole["macs"]
        assert all(entry.facts["name"].count(".") < depth for entry in entries)
    assert len(resnet.entries(9)) == len(resnet.layers)


def test_a_folded_block_is_its_result(residual: Report) -> None:
    stages = residual.entries(1)[1:4]
    assert [stage.facts["name"] for stage in stages] == ["stage_1", "stage_2", "stage_3"]
    assert [stage.facts["receptive_field"]["size"] for stage in stages] == [[7, 7], [11, 11], [15, 15]]
    assert [stage.facts["from"] for stage in stages] == [
        ["stem"],
        ["stage_1.Block_1.relu_1"],
        ["stage_2.Block_1.relu_1"],
    ]
    assert [stage.facts["kind"] for stage in stages] == ["7 layers"] * 3
    block = residual.entries(2)[1].facts
    assert (block["name"], block["kind"], block["parameters"]) == (
        "stage_1.Block_1",
        "Block",
        2 * (16 * 16 * 9 + 32),
    )


# ------------------------------------------------------------------------------ the table


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 200])
@pytest.mark.parametrize(
    "name", ["alexnet.arch", "resnet.arch", "googlenet.arch", "unet.arch", "lenet5.arch"]
)
def test_tables_fit(name: str, width: int) -> None:
    network = {"resnet.arch": "ResNet152"}.get(name)
    report = archdsl.load(name, network=network).report()
    lines = table(report, width).split("\n")
    grid = lines[lines.index("") + 3 :]
    rule = next(i for i, line in enumerate(grid) if line.startswith("─"))
    # What stands around the grid is written for 80 columns.
    assert max(map(text_width, lines if width >= 80 else grid[:rule])) <= width
    # Names may lose their middle, but a line of the grid is there for every layer.
    figures = [line for line in grid[:rule] if re.search(r"\S {2,}\d", line)]
    assert len(figures) == len(report.layers)


def test_without_a_width_nothing_is_left_out(resnet: Report) -> None:
    text = table(resnet)
    for entry in resnet.layers:
        assert re.search(rf"^ {re.escape(entry.facts['name'])} ", text, re.MULTILINE)
    assert "25,557,032" in text
    assert "118,013,952" in text


def test_room_is_used(resnet: Report) -> None:
    assert "FLOPs  " in table(resnet, 170, depth=2).split("\n")[2]
    assert "FLOPs" not in table(resnet, 80, depth=2).split("\n")[2]


def test_columns_are_as_asked(residual: Report) -> None:
    lines = table(residual, 120, columns=("name", "taps", "stride")).split("\n")
    assert lines[2].split() == ["layer", "taps", "stride"]
    assert lines[4].split() == ["stem", "3", "1"]


def test_ascii(residual: Report) -> None:
    for width in (None, 40, 80, 160):
        assert table(residual, width, Style(ascii=True)).isascii()


def test_colours_change_no_character(residual: Report) -> None:
    plain, coloured = table(residual, 80), table(residual, 80, Style(colour=True))
    assert coloured != plain
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured).split() == plain.split()


def test_numbers_stand_below_each_other(residual: Report) -> None:
    lines = table(residual).split("\n")
    end = lines[2].index("parameters") + len("parameters")
    figures = [line[:end].split()[-1] for line in lines[4:] if line.startswith((" stem", " logits"))]
    assert figures == ["448", "170"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 K"),
        (9995, "10.0 K"),
        (62378344, "62.4 M"),
        (999_500, "1.00 M"),
        (10**12, "1.00 T"),
    ],
)
def test_human(number: int, text: str) -> None:
    assert human(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1161600, "1.11 MiB"), (1 << 40, "1.00 TiB")],
)
def test_human_bytes(number: int, text: str) -> None:
    assert human_bytes(number) == text


def test_separated() -> None:
    assert separated(62378344) == "62,378,344"


# ------------------------------------------------------------------------------ Markdown and CSV


def test_markdown(residual: Report) -> None:
    lines = markdown(residual).split("\n")
    assert lines[0] == "### Residual"
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == len(residual.layers) + 2
    assert {row.replace("\\|", "").count("|") for row in rows} == {8}
    assert rows[2] == "| stem | conv | 16 × 32 × 32 | 448 | 442,368 | 64.0 KiB | 3 |"


def test_csv_is_read_by_the_standard_library(residual: Report) -> None:
    rows = list(standard_csv.DictReader(io.StringIO(csv(residual))))
    assert list(rows[0]) == list(COLUMNS)
    assert sum(int(row["parameters"]) for row in rows) == residual.totals["parameters"]
    assert rows[0]["shape"] == "16x32x32"


def test_csv_quotes() -> None:
    report = archdsl.loads("network N { input x: [3, H]\n relu -> upsample(size=7) }").report()
    assert [row["shape"] for row in standard_csv.DictReader(io.StringIO(csv(report)))] == ["3xH", "3x7"]


# ------------------------------------------------------------------------------ diagnostics


def diagnostic(program: str, at: str, *labels: tuple[str, str], **fields: Any) -> Diagnostic:
    """A diagnostic about the first `at` in a text."""
    source = Source("file.arch", program)

    def span(words: str) -> Span:
        start = program.index(words)
        return Span(source, start, start + len(words))

    return Diagnostic(
        "some-name",
        fields.pop("severity", "error"),
        fields.pop("message", "the message"),
        span(at),
        fields.pop("text", "here"),
        tuple(Label(span(words), said) for words, said in labels),
        **fields,
    )


def marked(found: Diagnostic, **options: Any) -> list[str]:
    """The rendered lines below the place."""
    return render(found, **options).split("\n")[3:]


def test_the_page_of_the_language() -> None:
    text = "\n" * 7 + "  pool2: max_pool(3, stride=2)\n  conv5: conv(256, kernel=11)\n"
    found = diagnostic(
        text,
        "kernel=11",
        ("pool2", "this is [384, 6, 6]"),
        message="a kernel of 11 x 11 does not fit in 6 x 6",
        text="needs at least 11 x 11 after padding",
        help="padding=same keeps 6 x 6",
    )
    assert render(found) == (
        "error[some-name]: a kernel of 11 x 11 does not fit in 6 x 6\n"
        "  --> file.arch:9:20\n"
        "   |\n"
        " 8 |   pool2: max_pool(3, stride=2)\n"
        "   |   ----- this is [384, 6, 6]\n"
        " 9 |   conv5: conv(256, kernel=11)\n"
        "   |                    ^^^^^^^^^ needs at least 11 x 11 after padding\n"
        "   |\n"
        " help: padding=same keeps 6 x 6"
    )


def test_several_marks_on_a_line() -> None:
    found = diagnostic("conv(3, kernel=1, stride=2)", "kernel=1", ("conv", "first"), ("stride=2", "last"))
    assert marked(found) == [
        " 1 | conv(3, kernel=1, stride=2)",
        "   | ----    ^^^^^^^^  -------- last",
        "   | |       |",
        "   | |       here",
        "   | first",
    ]


def test_marks_inside_marks() -> None:
    found = diagnostic("conv(3, kernel=1)", "3", ("conv(3, kernel=1)", "whole"))
    assert marked(found) == [
        " 1 | conv(3, kernel=1)",
        "   | -----^-----------",
        "   | |    |",
        "   | |    here",
        "   | whole",
    ]


def test_lines_between_are_shown_or_left_out() -> None:
    text = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"
    found = diagnostic(text, "j", ("a", "one"), ("c", "two"))
    assert marked(found) == [
        "  1 | a",
        "    | - one",
        "  2 | b",
        "  3 | c",
        "    | - two",
        "...",
        " 10 | j",
        "    | ^ here",
    ]


def test_labels_in_other_files_have_a_block_each() -> None:
    other = Source("other.arch", "x\nblock B {}\n")
    found = diagnostic("B()", "B")
    found = Diagnostic("n", "error", "m", found.span, "used", (Label(Span(other, 8, 9), "defined"),))
    assert marked(found) == [
        " 1 | B()",
        "   | ^ used",
        "  ::: other.arch:2:7",
        "   |",
        " 2 | block B {}",
        "   |       - defined",
    ]


def test_spans_over_several_lines() -> None:
    text = "x {\n  a\n  b\n  c\n}\n"
    assert marked(diagnostic(text, text.rstrip())) == [
        " 1 | x {",
        "   | ^^^",
        "...",
        " 5 | }",
        "   | ^ here",
    ]


def test_tabs_and_wide_characters() -> None:
    assert marked(diagnostic("\tconv(漢字, kernel)", "kernel", ("漢字", "wide"))) == [
        " 1 |     conv(漢字, kernel)",
        "   |          ----  ^^^^^^ here",
        "   |          |",
        "   |          wide",
    ]


def test_long_lines_are_cut_around_the_mark() -> None:
    found = diagnostic("x" * 500 + "kernel" + "y" * 500, "kernel")
    line, mark = marked(found, width=40)
    assert line == " 1 | …" + "x" * 16 + "kernel" + "y" * 16 + "…"
    assert mark == "   |  " + " " * 16 + "^^^^^^ here"
    assert marked(found, width=40, style=Style(ascii=True))[0].isascii()


def test_marks_longer_than_the_line_begin_it() -> None:
    line, mark = marked(diagnostic("a = " + "x" * 500, "x" * 500), width=40)
    assert text_width(line) == text_width(" 1 | ") + 40
    assert mark.removesuffix(" here").endswith("^" * 38)


def test_empty_files_and_ends_of_files_have_a_mark() -> None:
    for text in ("", "network\n"):
        source = Source("file.arch", text)
        found = Diagnostic("n", "error", "m", Span(source, len(text), len(text)), "here")
        assert render(found).endswith("^ here" if text else "--> file.arch")


def test_nothing_that_steers_the_terminal_gets_through() -> None:
    found = diagnostic("conv(\x1b[2J\u202e3)", "conv", message="bad \x1b[31m", help="a\x07b")
    assert all(character == "\n" or character.isprintable() for character in render(found))
    assert visible("a\tb") == "a    b"


def test_colour_is_only_added() -> None:
    found = diagnostic("conv(3, kernel=1, stride=2)", "kernel=1", ("conv", "first"), help="a mend")
    coloured = render(found, Style(colour=True))
    assert "\x1b[1;31m" in coloured
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == render(found)


def test_summary() -> None:
    error, warning = diagnostic("a", "a"), diagnostic("a", "a", severity="warning")
    assert summary([error, error, warning]) == "2 errors and 1 warning"
    assert summary([]) == ""


# ------------------------------------------------------------------------------ findings


def test_findings_as_json() -> None:
    found = diagnostic("conv(3)\nrelu", "3", ("relu", "label"), help="a mend", notes=("a note",))
    found = Diagnostic(
        found.name,
        "error",
        "m",
        found.span,
        "t",
        found.labels,
        found.notes,
        found.help,
        Edit(found.span, "4"),
    )
    data = json.loads(as_json([found]))
    jsonschema.validate(data, schema("diagnostics"))
    place = {"file": "file.arch", "line": 1, "column": 6, "end_line": 1, "end_column": 7}
    only = data["diagnostics"][0]
    assert only["edit"] == {**place, "replacement": "4"}
    assert only["labels"] == [
        {"file": "file.arch", "line": 2, "column": 1, "end_line": 2, "end_column": 5, "text": "label"}
    ]
    assert {key: only[key] for key in place} == place


def test_findings_as_github() -> None:
    found = diagnostic("conv(3)", "3", message="50% is\ntoo much", help="less, please", notes=("by 20%",))
    assert as_github([found]) == (
        "::error file=file.arch,line=1,col=6,title=some-name,endColumn=7"
        "::50%25 is%0Atoo much%0Ahere%0Anote: by 20%25%0Ahelp: less, please"
    )
    # What is beside the place is in the message, and there is no file to show it in.
    with pytest.raises(archdsl.ArchError) as raised:
        archdsl.loads("network 100 { relu }", name="<standard input>")
    assert as_github(raised.value.diagnostics) == (
        "::error title=unexpected-text::<standard input>:1:9: expected a name, found `100`"
        "%0Ahelp: put a name in its place"
    )


def test_findings_as_sarif() -> None:
    with pytest.raises(archdsl.ArchError) as raised:
        archdsl.loads("network N { input x: [3, 4]\n conv(2, kernal=3) }", name="a b.arch")
    log = json.loads(as_sarif(raised.value.diagnostics))
    # These classes are made from the standard's schema.
    Sarif.model_validate(log)
    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted(
        {r["ruleId"] for r in run["results"]}
    )
    result = run["results"][0]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "a%20b.arch"
    assert location["region"]["startLine"] == 2
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert run["tool"]["driver"]["version"] == archdsl.__version__


def test_where_texts_are_in_sarif() -> None:
    def artifact(name: str) -> Any:
        with pytest.raises(archdsl.ArchError) as raised:
            archdsl.loads("network N { input x: [3, 4]\n conv(2, kernal=3) }", name=name)
        log = json.loads(as_sarif(raised.value.diagnostics))
        Sarif.model_validate(log)
        result = log["runs"][0]["results"][0]
        location = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert result["fixes"][0]["artifactChanges"][0]["artifactLocation"] == location
        return location

    absolute = Path(__file__).with_name("a b.arch")
    assert artifact(str(absolute)) == {"uri": absolute.as_uri()}
    assert artifact("nets/a:b.arch") == {"uri": "nets/a%3Ab.arch"}
    assert artifact("<standard input>") == {"description": {"text": "standard input"}}


def test_sarif_of_everything_is_of_its_schema() -> None:
    """Of every program that the cases of this folder have: places, related places, mends, all severities.

    But for those that reach a limit, which take seconds.
    """
    found: list[Diagnostic] = []
    for case in sorted(set(CASES.glob("*.md")) - {CASES / "bounds.md"}):
        for section in sections(case.read_text(encoding="utf-8")):
            program = program_of(Source("a folder/ö.arch", section.program.text))
            found += check_program(program, teach=True).diagnostics
    Sarif.model_validate(json.loads(as_sarif(found)))
    assert {one.severity for one in found} == {"error", "warning", "note"}
    broken = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"level": 1}]}]}
    with pytest.raises(ValidationError):
        Sarif.model_validate(broken)


def test_a_table_of_open_sizes_keeps_to_the_width() -> None:
    net = archdsl.loads("""network Open {
      input image: [3, H, W]
      repeat 3 { conv(16, kernel=3, stride=2, padding=1) -> batch_norm -> relu -> max_pool(3, stride=2) }
      conv(12, kernel=1) -> global_avg_pool -> flatten
    }""")
    for width in (80, 160):
        lines = table(net.report(), width).splitlines()
        assert max(map(len, lines)) <= width + len("  bytes, batch 1, float32")
        assert all(len(line) <= width for line in lines[:20])
    assert "…" not in table(net.report())


def test_outputs_out_of_a_list_are_called_as_their_layers() -> None:
    net = archdsl.loads("""network Rounds {
      input x: [1, 8]
      s: for i in [1, 2] { h: conv(2, kernel=1) -> relu }
      t: conv(1, kernel=1) -> relu
      output t, s.h
    }""")
    assert net.report().to_dict()["outputs"] == ["t", "s_1.h.relu", "s_2.h.relu"]
    assert "s_2.h.relu 2 × 8" in table(net.report())
    assert "s_2.h.relu" in markdown(net.report())


@pytest.mark.parametrize("seed", range(6))
def test_expect_has_the_figures_of_the_folded_table(seed: int) -> None:
    text = Program(seed).text()
    rows = [entry.facts for entry in archdsl.loads(text).report().entries(depth=1)]
    labelled = [facts for facts in rows if re.search(rf"^  {facts['name']}:", text, re.MULTILINE)]
    keys = {"parameters": "parameters", "macs": "macs", "flops": "flops", "memory": "activation_bytes"}
    lines = [f"expect {row['name']}.{name} == {row[key]}" for row in labelled for name, key in keys.items()]
    body = text.rstrip().removesuffix("}")
    net = archdsl.loads(body + "\n".join(lines) + "\n}")
    assert labelled and len(net.outcomes) == len(lines) and all(one.holds for one in net.outcomes)


def test_blocks_are_called_as_a_file_calls_them() -> None:
    """With shared layers, values and layers that are arguments by their names."""
    net = archdsl.loads("""
        block B(cell, extra, acts) { cell -> concat(extra)
          for act in acts { act } }
        network N { input x: [2, 8, 8]
          shared cell: conv(2, kernel=1)
          p: conv(2, kernel=1) -> relu
          cell -> B(cell, p, [gelu, relu]) }
    """)
    scopes = [one for one in net.network.scope.members if isinstance(one, Scope)]
    assert [block_call(one) for one in scopes if one.block] == ["B(cell=cell, extra=p, acts=[gelu, relu])"]
