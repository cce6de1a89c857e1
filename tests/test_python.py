"""The Python interface: what it takes, what it refuses and in which words, and what its objects can do."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy
import pytest

import archdsl
from archdsl.cli.main import run

OPEN = (
    "network Open(classes = 10, drop = 0.5) { input x: [1, H, W]\n conv(classes, kernel=3) -> dropout(drop) }"
)
BUDGET = "network Budget { input x: [4]\n linear(3)\n expect parameters == 12\n expect macs == 12 }"


def test_numbers_of_every_kind_are_taken() -> None:
    one = archdsl.loads(
        OPEN,
        parameters={"classes": numpy.int64(5), "drop": numpy.float32(0.25)},
        sizes={"H": numpy.int32(64)},
        inputs={"x": [numpy.int8(1), "H", numpy.int64(32)]},
    )
    other = archdsl.loads(
        OPEN, parameters={"classes": "5", "drop": 0.25}, inputs={"x": numpy.array([1, 64, 32])}
    )
    assert one.report(batch=numpy.int64(3)).to_dict() == other.report(3).to_dict()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"parameters": 3}, TypeError, "parameters are a dictionary of what belongs to each name, not 3"),
        ({"parameters": {"classes": {}}}, TypeError, "parameter 'classes' is a number, a truth value, text"),
        ({"sizes": {"H": "64"}}, TypeError, "size 'H' is a whole number from 1, not '64'"),
        ({"sizes": {"H": 0}}, ValueError, "size 'H' is a whole number from 1, not 0"),
        ({"sizes": {"H": True}}, TypeError, "size 'H' is a whole number from 1, not True"),
        ({"inputs": {"x": "1,8,8"}}, TypeError, "the shape of input 'x' is a list of sizes, as in"),
        ({"inputs": {"x": 8}}, TypeError, "the shape of input 'x' is a list of sizes, as in"),
        (
            {"inputs": {"x": (1, "8", 8)}},
            ValueError,
            "is a whole number, or a name in capitals that leaves it",
        ),
        ({"text": b"network"}, TypeError, "the text of a file is a str, not bytes"),
    ],
)
def test_what_is_no_setting_is_refused(given: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        archdsl.loads(**{"text": OPEN, **given})
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"batch": -1}, ValueError, "batch is a whole number from 1 to 2_147_483_648, not -1"),
        ({"batch": 1.5}, TypeError, "batch is a whole number from 1 to 2_147_483_648, not 1.5"),
        ({"batch": "3"}, TypeError, "batch is a whole number from 1 to 2_147_483_648, not '3'"),
        ({"precision": "fp16"}, ValueError, "'float32', 'float16', 'bfloat16' or 'float64', not 'fp16'"),
        ({"optimizer_state": -1}, ValueError, "optimizer_state is a whole number from 0, not -1"),
        ({"trained_in": "fp8"}, ValueError, "trained_in is 'float32', 'bfloat16' or 'float16', not 'fp8'"),
    ],
)
def test_what_no_report_is_of_is_refused(asked: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        archdsl.loads(OPEN).report(**asked)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"parameters": {"clases": 5}}, "parameters['clases']:1: network `Open` has no parameter `clases`"),
        ({"parameters": {"classes": "5 +"}}, "parameters['classes']:1: expected a value"),
        ({"sizes": {"D": 5}}, "sizes['D']:1: network `Open` has no symbolic size `D`"),
    ],
)
def test_what_does_not_fit_stands_where_python_gave_it(given: dict[str, Any], said: str) -> None:
    with pytest.raises(archdsl.ArchError) as raised:
        archdsl.loads(OPEN, **given)
    assert said in str(raised.value)


def test_names_are_no_files_and_no_networks() -> None:
    for nothing in (None, 3):
        with pytest.raises(TypeError, match="expected str, bytes"):
            archdsl.load(nothing)  # type: ignore[arg-type]
    # As the command line says it, and as what a script would catch.
    with pytest.raises(
        FileNotFoundError, match=r"here or among the bundled .* mean alexnet\.arch\?$"
    ) as raised:
        archdsl.load("alexnt.arch")
    assert raised.value.filename == "alexnt.arch"
    with pytest.raises(IsADirectoryError, match=r"tests is a folder; name an \.arch file in it$"):
        archdsl.load(Path(__file__).parent)
    with pytest.raises(TypeError, match="a difference is of two networks"):
        archdsl.diff("VGG16", "VGG19")  # type: ignore[arg-type]
    assert archdsl.load(Path("VGG16")).name == "VGG16"


def test_a_broken_budget_keeps_no_one_from_its_figures() -> None:
    with pytest.raises(archdsl.ArchError):
        archdsl.loads(BUDGET)
    net = archdsl.loads(BUDGET, unexpected=True)
    assert net.report().to_dict()["totals"]["parameters"] == 15
    assert [outcome.holds for outcome in net.outcomes] == [False, True]
    (said,) = net.diagnostics
    assert (said.name, said.severity, said.notes) == (
        "expectation-failed",
        "warning",
        ("the difference is +3",),
    )
    # What is wrong otherwise is an error all the same.
    with pytest.raises(archdsl.ArchError):
        archdsl.loads(BUDGET.replace("linear", "liner"), unexpected=True)


def test_a_report_is_written_as_analyze_writes_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert run(["analyze", "AlexNet"]) == 0
    report = archdsl.load("AlexNet").report()
    assert f"{report}\n" == capsys.readouterr().out
    assert repr(report) == "<report of AlexNet, batch 1, float32>"


def test_networks_and_errors_can_be_pickled_and_copied(tmp_path: Path) -> None:
    """Though the files are gone, and a network is deeper than pickles may be."""
    files = {
        "a.arch": 'import B from "sub/b.arch"\nnetwork A(k = 2) { input x: [3, H, H]\n B(k) }',
        "sub/b.arch": 'import C from "c.arch"\nblock B(k) { C(k) }',
        "sub/c.arch": "block C(k) { conv(k, kernel=3) }",
    }
    (tmp_path / "sub").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    own = archdsl.load(tmp_path / "a.arch", parameters={"k": 4}, sizes={"H": 9}, teach=True)
    nets = [own, archdsl.loads(BUDGET, unexpected=True), archdsl.load("PreResNet200")]
    for name in files:
        (tmp_path / name).unlink()
    for net in nets:
        for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            assert other.report().to_dict() == net.report().to_dict()
            assert [d.to_dict() for d in other.diagnostics] == [d.to_dict() for d in net.diagnostics]
            assert [o.holds for o in other.outcomes] == [o.holds for o in net.outcomes]
    deep = archdsl.loads("network Deep { input x: [1, 8]\n" + 600 * "conv(1, kernel=1)\n" + "}")
    difference = archdsl.diff(deep, own)
    equation = archdsl.loads(BUDGET, unexpected=True).draw("equation")
    given = (deep.report(4), deep.network.nodes[300], deep.graph, difference, equation)
    # They belong together still when they have been copied together.
    report, node, graph, change, picture = pickle.loads(pickle.dumps(given))
    assert report.to_dict() == deep.report(4).to_dict() and report.network.nodes[300] is node
    assert graph.nodes[node.name]["node"] is node and node.scope is report.network.scope
    assert change.to_dict() == difference.to_dict()
    for form in (".svg", ".tex"):
        assert picture.written(form) == equation.written(form) == copy.copy(picture).written(form)
    assert copy.deepcopy(difference).changes[0].to_dict() == difference.changes[0].to_dict()
    with pytest.raises(archdsl.ArchError) as raised:
        archdsl.loads("network A { relu }")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), [d.name for d in again.diagnostics]) == (str(raised.value), ["no-input"])


def test_the_package_shows_what_is_meant_to_be_used() -> None:
    assert dir(archdsl) == sorted(archdsl.__all__)
    assert all(hasattr(archdsl, name) for name in archdsl.__all__)
    assert archdsl.__version__[0].isdigit()
