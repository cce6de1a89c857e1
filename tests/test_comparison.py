"""The page that compares archdsl with other tools: what it says of ours is in what ours writes."""

from __future__ import annotations

import re
from pathlib import Path

import archdsl
from archdsl.analysis.flow import Flow
from archdsl.drawing.blocks import blocks
from archdsl.drawing.graph import graph
from archdsl.report.page import page
from archdsl.report.table import table

PAGE = (Path(__file__).parent.parent / "docs" / "comparison.md").read_text(encoding="utf-8")

SHOWN = {
    ("name of a layer", "table"): "stem.conv",
    ("name of a layer", "page"): '"conv_1"',
    ("name of a layer", "graph"): ">stage_1<",
    ("name of a layer", "blocks"): ">stage_1<",
    ("kind of a layer", "table"): "max_pool",
    ("kind of a layer", "page"): '"batch_norm"',
    ("kind of a layer", "graph"): "max_pool(",
    ("kernel", "page"): "kernel=7",
    ("kernel", "graph"): "kernel=7",
    ("kernel", "blocks"): "7×7",
    ("stride, padding, other arguments", "page"): "padding=3, bias=false",
    ("stride, padding, other arguments", "graph"): "padding=3, bias=false",
    ("activation", "table"): "relu",
    ("activation", "page"): '"relu"',
    ("activation", "graph"): ">relu<",
    ("shape of the output", "table"): "64 × 112 × 112",
    ("shape of the output", "page"): "64 × 112 × 112",
    ("shape of the output", "graph"): "64 × 112 × 112",
    ("shape of the output", "blocks"): "112",
    ("shape of the input", "graph"): "3 × 224 × 224",
    ("parameters of a layer", "table"): "2,049,000",
    ("parameters of a layer", "page"): "2,049,000",
    ("parameters of a layer", "graph"): "2.05 M parameters",
    ("parameters of a block", "page"): "215,808",
    ("parameters of a block", "graph"): "216 K parameters",
    ("share of the parameters", "page"): 'id="shares"',
    ("parameters of the network", "table"): "25,557,032",
    ("parameters of the network", "page"): "25,557,032",
    ("MACs of a layer", "table"): "118,013,952",
    ("MACs of a layer", "page"): "118,013,952",
    ("MACs of the network", "table"): "3,857,973,248",
    ("MACs of the network", "page"): "3,857,973,248",
    ("memory of a layer", "table"): "3.06 MiB",
    ("memory of a layer", "page"): "3.06 MiB",
    ("memory of the network", "table"): "forward peak",
    ("memory of the network", "page"): "forward peak",
    ("what reads what", "columns"): "residual.batch_norm_3, stage_1.Bottleneck_1.shortcut",
    ("what reads what", "graph"): 'class="way"',
    ("what reads what", "blocks"): "<path",
    ("what joins: add, concat", "table"): "add",
    ("what joins: add, concat", "page"): '"add"',
    ("what joins: add, concat", "graph"): ">add<",
    ("nesting", "table"): "stage_1.",
    ("nesting", "page"): '"Bottleneck"',
    ("nesting", "graph"): 'class="frame"',
    ("parts that are repeated, once", "graph"): "× 2",
    ("type of the numbers", "table"): "float32",
    ("sizes to scale", "blocks"): "50 positions",
    ("a picture as the input", "page"): 'type="file"',
    ("receptive field", "table"): "483",
    ("receptive field", "page"): "483",
    ("line in the file", "columns"): "87 (8)",
    ("line in the file", "page"): '"87 (8)"',
}
"""What stands in our output of ResNet-50, for each fact and each place of it."""


def test_what_the_page_says_of_ours_is_there() -> None:
    rows = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", PAGE.split("## What ours")[0], re.M)]
    claims = {
        (fact, place)
        for fact, *_, ours in rows[2:]
        for place in re.findall(r"\b(table|columns|page|graph|blocks)\b", re.sub(r"\[.*?\)", "", ours))
    }
    assert claims == SHOWN.keys()
    net = archdsl.load("ResNet50")
    flow, report = Flow(net.network), net.report()
    written = {
        "table": table(report),
        "columns": table(report, columns=("name", "from", "line")),
        "page": page(report).replace("\\u00d7", "×"),
        "graph": graph(net.network, flow) + graph(net.network, flow, depth=3),
        "blocks": blocks(net.network, flow),
    }
    assert [claim for claim, text in SHOWN.items() if text not in written[claim[1]]] == []


def test_its_figures_are_those_of_the_reports() -> None:
    rows = re.findall(r"^\| (\w+) \| [\d.]+ G \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.M)
    assert len(rows) == 5
    for name, macs, parameters in rows:
        totals = archdsl.load(name).report().to_dict()["totals"]
        assert (f"{totals['macs']:,}", f"{totals['parameters']:,}") == (macs, parameters)
