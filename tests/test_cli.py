"""The command line as a user meets it: processes, streams, exit codes, and what is loaded on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

import archdsl
from archdsl.cli import main as command_line
from archdsl.cli.output import write_all
from archdsl.editing.checks import Checker
from archdsl.editing.document import Document, Library
from archdsl.editing.navigation import references
from archdsl.project import divided

START = "from archdsl.cli.main import main; main()"

GOOD = """
network Small(classes = 10) {
  input image: [3, 32, 32]
  conv1: conv(8, kernel=3) -> relu
  flatten
  logits: linear(classes)
  expect conv1.shape == [8, 30, 30]
  expect logits.channels == 10
}
"""

WRONG = """
network Broken {
  input image: [3, 6, 6]
  conv(8, kernel=11)
  rleu
}
"""

WARNED = """
network Warned {
  input image: [3, 32, 32]
  first: conv(16, kernel=3)
  from input -> conv(8, kernel=1)
}
"""


CHOSEN = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "ARCHDSL_DEBUG")
"""Variables by which whoever runs the tests may have chosen something for the commands, too."""


class Finished:
    """What a process left."""

    def __init__(self, process: subprocess.CompletedProcess[bytes]) -> None:
        self.code = process.returncode
        self.out = process.stdout.decode()
        self.err = process.stderr.decode()


def run(
    *arguments: str, cwd: Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> Finished:
    """`archdsl ARGUMENTS` in a process of its own, in a folder."""
    kept = {k: v for k, v in os.environ.items() if k not in CHOSEN}
    process = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env={**kept, **(environment or {})},
        timeout=120,
        check=False,
    )
    finished = Finished(process)
    assert "Traceback" not in finished.err
    return finished


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("good", GOOD), ("wrong", WRONG), ("warned", WARNED)):
        (tmp_path / f"{name}.arch").write_text(text, encoding="utf-8")
    return tmp_path


def schema(name: str) -> Any:
    return json.loads(files("archdsl").joinpath("schema", f"{name}.json").read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------ analyze


def test_analyze_writes_the_table_and_nothing_else(folder: Path) -> None:
    found = run("analyze", "good.arch", cwd=folder)
    assert (found.code, found.err) == (0, "")
    assert re.search(r"^ conv1\.conv +conv +8 × 30 × 30 +224 +194,400 ", found.out, re.MULTILINE)
    assert "\x1b" not in found.out


def test_a_bundled_file_is_found_anywhere(tmp_path: Path) -> None:
    found = run("analyze", "alexnet.arch", cwd=tmp_path, environment={"COLUMNS": "80"})
    assert (found.code, found.err) == (0, "")
    assert re.search(r"^ parameters +62,378,344 ", found.out, re.MULTILINE)
    assert max(map(len, found.out.split("\n"))) <= 80


def test_a_file_here_comes_before_a_bundled_one(folder: Path) -> None:
    (folder / "alexnet.arch").write_text(GOOD, encoding="utf-8")
    assert json.loads(run("analyze", "alexnet.arch", "--json", cwd=folder).out)["network"] == "Small"


def test_a_file_called_like_a_bundled_one_is_not_that_one(folder: Path) -> None:
    """It means the bundled one by its own name, and bundled files never mean it."""
    net = "network {0} {{\n  input image: [3, 64, 64]\n  {1}\n}}\n"
    own = 'import Head, Stem from "resnet.arch"\n' + net.format("Own", "Stem -> Head(5)")
    (folder / "resnet.arch").write_text(own, encoding="utf-8")
    (folder / "blocks.arch").write_text("block Mine {\n  relu\n}\n", encoding="utf-8")
    both = 'import Mine from "blocks.arch"\nimport Stages from "resnext.arch"\n'
    both += net.format("Both", "Mine -> Stages([1], 1, 4)")
    (folder / "both.arch").write_text(both, encoding="utf-8")
    found = run("check", "resnet.arch", "both.arch", "ResNeXt50", "vit.arch", cwd=folder)
    assert (found.code, found.out) == (0, "")
    assert found.err.startswith("resnet.arch: 1 network")


@pytest.mark.parametrize(
    "target", ["alexnet.arch", "googlenet.arch", "resnet.arch:ResNet50", "lenet5.arch:LeNet5"]
)
def test_json_is_of_its_schema(tmp_path: Path, target: str) -> None:
    found = run("analyze", target, "--json", cwd=tmp_path)
    assert (found.code, found.err) == (0, "")
    jsonschema.validate(json.loads(found.out), schema("report"))


def test_standard_input(tmp_path: Path) -> None:
    found = run("analyze", "-", "--json", cwd=tmp_path, stdin=GOOD.encode())
    assert json.loads(found.out)["layers"][0]["file"] == "<standard input>"
    two = GOOD + GOOD.replace("Small", "Other")
    assert (
        json.loads(run("analyze", "-:Other", "--json", cwd=tmp_path, stdin=two.encode()).out)["network"]
        == "Other"
    )


def test_options_reach_the_network(folder: Path) -> None:
    def analyzed(*options: str) -> Any:
        found = run("analyze", "good.arch", "--json", *options, cwd=folder)
        assert found.code == 0, found.err
        return json.loads(found.out)

    plain = analyzed()
    assert analyzed("--set", "classes=7")["layers"][-1]["shape"] == [7]
    assert analyzed("--input", "image=3,12,14")["layers"][0]["shape"] == [8, 10, 12]
    assert (
        analyzed("--batch", "4")["layers"][0]["activation_bytes"]
        == 4 * plain["layers"][0]["activation_bytes"]
    )
    half = analyzed("--precision", "float16")["totals"]
    assert half["parameter_bytes"] * 2 == plain["totals"]["parameter_bytes"]
    assert half["parameters"] == plain["totals"]["parameters"]


def test_size_binds_a_symbol(tmp_path: Path) -> None:
    text = "network N { input image: [3, H, W]\n conv(8, kernel=3, padding=1) }"
    found = run("analyze", "-", "--json", "--size", "H=20", cwd=tmp_path, stdin=text.encode())
    assert json.loads(found.out)["layers"][0]["shape"] == [8, 20, "W"]


def test_momentum_is_in_the_training_peak(tmp_path: Path) -> None:
    def peak(*options: str) -> int:
        found = run("analyze", "mnist1d_conv.arch", "--json", *options, cwd=tmp_path)
        assert found.code == 0, found.err
        return int(json.loads(found.out)["totals"]["training_peak_bytes"])

    assert peak("--set", "train.optimizer=sgd(lr=0.1, momentum=0.9)") - peak() == 4 * 2050
    said = run("analyze", "mnist1d_conv.arch", "--set", "train.batch=3", cwd=tmp_path).err
    assert said.startswith("note: train.batch changes nothing of a report; train.optimizer, ")


def test_expectations_bind_no_more_with_what_was_set(folder: Path) -> None:
    found = run("analyze", "good.arch", "--set", "classes=7", cwd=folder)
    assert found.code == 0
    assert found.err == "note: 1 of 2 expectations do not hold with what was set: `logits.channels == 10`\n"


def test_depth_and_columns(tmp_path: Path) -> None:
    found = run(
        "analyze", "resnet.arch:ResNet18", "--csv", "--depth", "1", "--columns", "layer,macs", cwd=tmp_path
    )
    rows = [line.split(",") for line in found.out.split()]
    assert [name for name, _ in rows] == ["name", "stem", "stage_1", "stage_2", "stage_3", "stage_4", "head"]
    assert sum(int(macs) for _, macs in rows[1:]) == 1_814_073_344


def test_warnings_are_said_and_fail_nothing(folder: Path) -> None:
    found = run("analyze", "warned.arch", "--json", cwd=folder)
    assert found.code == 0
    assert found.err.startswith("warning[unused-value]: ")
    json.loads(found.out)


def test_errors_go_to_standard_error(folder: Path) -> None:
    found = run("analyze", "wrong.arch", cwd=folder)
    assert (found.code, found.out) == (1, "")
    assert "error[window-outside-input]" in found.err
    assert "error[unknown-layer]" in found.err
    assert found.err.endswith("2 errors in wrong.arch\n")


# ------------------------------------------------------------------------------ check


def test_check_confirms(folder: Path) -> None:
    found = run("check", "good.arch", cwd=folder)
    assert (found.code, found.out) == (0, "")
    assert found.err == "good.arch: 1 network, 2 expectations hold\n"


def test_check_shows_everything(folder: Path) -> None:
    found = run("check", "good.arch", "wrong.arch", "warned.arch", cwd=folder)
    assert found.code == 1
    assert re.findall(r"^(\w+\[[a-z-]+\])", found.out, re.MULTILINE) == [
        "error[window-outside-input]",
        "error[unknown-layer]",
        "warning[unused-value]",
    ]
    assert "2 errors and 1 warning in 2 files" in found.err


def test_check_of_a_warning_fails_where_it_is_to(folder: Path) -> None:
    assert run("check", "warned.arch", cwd=folder).code == 0
    strict = run("check", "warned.arch", "--strict", cwd=folder)
    assert strict.code == 1
    assert strict.err.endswith("\n1 warning in warned.arch; --strict lets no warning pass\n")


def test_check_of_a_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for place in (".hidden", "inner", "none"):
        Path(place).mkdir()
        if place != "none":
            Path(place, "wrong.arch").write_text(WRONG, encoding="utf-8")
    assert command_line.run(["check", ".", "wrong.arch", "--format", "json"]) == 1
    said = json.loads(capsys.readouterr().out)["diagnostics"]
    files = ["inner/wrong.arch", "warned.arch", "wrong.arch"]
    assert [*dict.fromkeys(one["file"].replace(os.sep, "/") for one in said)] == files
    # A check of nothing is none, whatever else is right.
    assert command_line.run(["check", "none", "warned.arch", "--format", "json"]) == 2
    said = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [one["message"] for one in said if one["severity"] == "error"] == [
        "none is a folder without .arch files"
    ]


def test_peaks_are_expected_as_they_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the optimizer of the file, and in `check` for a batch and a precision."""
    monkeypatch.chdir(tmp_path)
    recipe = (
        "train { data = mnist1d\n loss = cross_entropy\n optimizer = adam(lr=0.1)\n batch = 9\n steps = 9 }"
    )
    text = f"network Small {{ input x: [1, 40]\n flatten -> linear(10)\n expect PEAK }}\n{recipe}\n"
    totals = archdsl.loads(text.replace("PEAK", "true")).report
    for given, asked in (({}, ""), ({"batch": 64, "precision": "float16"}, "--batch 64 --precision float16")):
        found = totals(**given).to_dict()["totals"]
        peaks = " and ".join(
            f"{peak} == {found[f'{peak}_bytes']}" for peak in ("training_peak", "forward_peak")
        )
        Path("small.arch").write_text(text.replace("PEAK", peaks), encoding="utf-8")
        assert command_line.run(["check", "small.arch", *asked.split()]) == 0
        for other in ("--batch 2", "--precision float64"):
            assert command_line.run(["check", "small.arch", *asked.split(), *other.split()]) == 1
        # What a file says of them itself is asked of no option.
        measure = {"batch": 1, "precision": "float32", **given}
        said = ", ".join(f"{key}={value}" for key, value in measure.items())
        own = peaks.replace("_peak ", f"_peak({said}) ")
        Path("own.arch").write_text(text.replace("PEAK", own), encoding="utf-8")
        assert command_line.run(["check", "own.arch", "--batch", "2", "--precision", "float64"]) == 0
    assert (
        "small.arch: 1 network, 1 expectation holds; peaks that say no other are of batch 64, float16\n"
        in capsys.readouterr().err
    )


def test_what_would_change_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for line, said in {
        "check LeNet5 --set train.batch=3": "recipes are checked as the files have them: leave out --set",
        "draw LeNet5 --set train.batch=3": "a picture has no recipe: leave out --set train.",
        "draw LeNet5 --style equation -o x.tex --theme dark": "a .tex file has no colours",
        "verify LeNet5 --set train.batch=3": "what is claimed holds for any weights: leave out --set train.",
        "verify LeNet5 --theme dark": "--theme is of a picture: name its file by -o",
        "verify LeNet5 --json -o -": "--json and -o - are both for standard output",
        "diff LeNet5 AlexNet --theme auto": "--theme is of a picture: name its file by -o",
        "diff LeNet5 AlexNet --depth 1 -o x.svg": "--depth is about text: a picture has every change",
        "export LeNet5 --to torch --set train.batch=3": "an export has no recipe: leave out --set train.",
        "export LeNet5 --to torch --ignore fc": "--ignore leaves out names of --weights, and there are none",
        "export LeNet5 --to torch --fresh fc": "--fresh begins a part without --weights, and there are none",
        "train LeNet5 --explain --out run": "--explain trains nothing: leave out --out",
        "predict . x.npy --json --top 2": "the JSON has every class: leave out --top",
        "analyze LeNet5 --size H=8 --size H=9": "Invalid value for '--size': 'H' is given twice",
        "analyze LeNet5 --set train.=3": "'train.=3' is not of the form classes=10",
    }.items():
        assert command_line.run(line.split()) == 2, line
        assert said in capsys.readouterr().err, line


def test_a_mistake_of_the_file_is_said_once_for_all_networks(tmp_path: Path) -> None:
    text = "block Bad(n) { conv(n, kernel=oops) }\n" + GOOD + GOOD.replace("Small", "Other")
    found = run("check", "-", "--format", "json", cwd=tmp_path, stdin=text.encode())
    assert [d["name"] for d in json.loads(found.out)["diagnostics"]] == ["unknown-name"]


def test_check_json(folder: Path) -> None:
    found = run("check", "wrong.arch", "--format", "json", cwd=folder)
    assert (found.code, found.err) == (1, "")
    data = json.loads(found.out)
    jsonschema.validate(data, schema("diagnostics"))
    first = data["diagnostics"][0]
    place = {key: first[key] for key in ("file", "line", "column", "end_line", "end_column")}
    assert place == {"file": "wrong.arch", "line": 4, "column": 11, "end_line": 4, "end_column": 20}
    good = run("check", "good.arch", "--format", "json", cwd=folder)
    assert (good.code, json.loads(good.out)) == (0, {"schema": 1, "diagnostics": []})


def test_check_github(folder: Path) -> None:
    found = run("check", "wrong.arch", "--format", "github", cwd=folder)
    assert found.out.startswith(
        "::error file=wrong.arch,line=4,col=11,title=window-outside-input,endColumn=20::"
    )
    assert run("check", "good.arch", "--format", "github", cwd=folder).out == ""


def test_check_sarif(folder: Path) -> None:
    run_ = json.loads(run("check", "wrong.arch", "--format", "sarif", cwd=folder).out)["runs"][0]
    assert [result["ruleId"] for result in run_["results"]] == ["window-outside-input", "unknown-layer"]


def test_check_finds_what_is_wrong_with_a_recipe(tmp_path: Path) -> None:
    text = (
        GOOD
        + "train { data = mnist1d()\n loss = cross_entropy\n optimizer = sdg(lr=1)\n batch = 1\n steps = 1 }"
    )
    found = run("check", "-", cwd=tmp_path, stdin=text.encode())
    assert found.code == 1
    assert "error[bad-setting]" in found.out


# ------------------------------------------------------------------------------ the others


def test_layers_and_explain(tmp_path: Path) -> None:
    listed = run("layers", cwd=tmp_path)
    assert listed.code == 0
    assert re.search(r"^conv +\S", listed.out, re.MULTILINE)
    page = run("layers", "conv", "--rules", cwd=tmp_path).out
    assert page.startswith("conv(channels, kernel, stride=1, padding=0, dilation=1, groups=1, bias=true, ")
    assert "def shape(self, x: Shape) -> Shape:" in page
    plain = run("layers", "conv", cwd=tmp_path).out
    assert page.startswith(plain.rstrip()) and "def " not in plain
    for name in ("channel-mismatch", "error[channel-mismatch]: `conv` needs"):
        assert run("explain", name, cwd=tmp_path).out.startswith("error[channel-mismatch]\n\n")
    assert re.search(r"^channel-mismatch +\S", run("explain", cwd=tmp_path).out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("layers", "cnv"), "error: there is no layer 'cnv'; did you mean conv?\n"),
        (("layers", "nn.Conv2d"), "error: there is no layer 'nn.Conv2d'; did you mean conv?\n"),
        (
            ("explain", "CHANNEL_MISMATCH"),
            "error: there is no problem 'CHANNEL_MISMATCH'; did you mean channel-mismatch?\n",
        ),
        (
            ("explain", "conv"),
            "error: there is no problem 'conv' (`archdsl layers conv` shows the layer)\n",
        ),
        (
            ("explain", "channel-mis"),
            "error: there is no problem 'channel-mis'; did you mean channel-mismatch?\n",
        ),
    ],
)
def test_unknown_names_get_the_nearest(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    found = run(*arguments, cwd=tmp_path)
    assert (found.code, found.out, found.err) == (2, "", said)


def test_list_names_every_network(tmp_path: Path) -> None:
    found = run("list", cwd=tmp_path)
    assert re.search(r"^unet\.arch +2015  UNet, UNetPadded$", found.out, re.MULTILINE)
    assert re.search(r"^blocks\.arch +blocks: SeparableConv, ", found.out, re.MULTILINE)


@pytest.mark.parametrize("name", ["unet.arch", "unet", "UNet", "unetpadded", "unet.arch:UNet"])
def test_list_says_where_a_network_comes_from(tmp_path: Path, name: str) -> None:
    found = run("list", name, cwd=tmp_path)
    assert found.code == 0
    assert found.out.startswith('unet.arch\n\nOlaf Ronneberger, Philipp Fischer and Thomas Brox, "U-Net')
    if name != "unetpadded":
        assert "\nnetwork UNet\n  U-Net: Ronneberger et al., MICCAI 2015, Figure 1." in found.out
    assert ("\nnetwork UNetPadded\n" in found.out) == ("UNet" not in name)
    assert ("\nblock DoubleConv" in found.out) == (name in ("unet.arch", "unet"))


def test_list_keeps_tables_and_shows_files_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.arch").write_text("# Mine.\n#\n#     a  1\n#     b  2\n\n## It: is.\n" + GOOD.lstrip())
    found = run("list", "own.arch", cwd=tmp_path)
    assert found.out.startswith("own.arch\n\nMine.\n\n    a  1\n    b  2\n\nnetwork Small\n  It: is.")


def test_a_bundled_network_goes_by_its_name(tmp_path: Path) -> None:
    named, filed = (run("analyze", name, cwd=tmp_path) for name in ("resnet50", "resnet.arch:ResNet50"))
    assert (named.code, named.out) == (0, filed.out)
    (tmp_path / "resnet.arch").write_text(GOOD)
    assert run("analyze", "resnet50", cwd=tmp_path).out == filed.out
    assert "no network `ResNet50`" in run("analyze", "resnet.arch:ResNet50", cwd=tmp_path).err
    (tmp_path / "ResNet50").mkdir()
    assert "ResNet50 is a folder" in run("analyze", "ResNet50", cwd=tmp_path).err


def test_export_runs_without_archdsl(folder: Path) -> None:
    assert run("export", "good.arch", "--to", "torch", "-o", "small.py", cwd=folder).code == 0
    shown = run("export", "good.arch", "--to", "torch", cwd=folder)
    assert shown.out == (folder / "small.py").read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.glob("*.py")) == ["small.py"]
    program = (
        "import sys; sys.modules['archdsl'] = None; import torch, small\n"
        "print(sum(p.numel() for p in small.Small().parameters()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.split() == [str(224 + 8 * 30 * 30 * 10 + 10)]


def test_an_output_that_cannot_be_written(folder: Path) -> None:
    found = run("export", "good.arch", "--to", "torch", "-o", "nowhere/small.py", cwd=folder)
    assert (found.code, found.out) == (1, "")
    assert found.err == "error: nowhere/small.py can't be written: No such file or directory\n"


def test_train(tmp_path: Path) -> None:
    settings = ("--set", "train.steps=30", "--set", "train.batch=20")
    found = run("train", "mnist1d_conv.arch", *settings, "--out", "run", cwd=tmp_path)
    assert found.code == 0, found.err
    assert re.search(r"^test error +\d+\.\d+%$", found.out, re.MULTILINE)
    assert (tmp_path / "run" / "weights.safetensors").is_file()


# ------------------------------------------------------------------------------ wrong command lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("analyze", "alexnt.arch"), "there is no file 'alexnt.arch'.*; did you mean alexnet.arch\\?"),
        (("analyze", "alexnets"), "did you mean alexnet.arch\\?"),
        (("analyze", "ResNet_50"), "did you mean ResNet50\\?"),
        (("list", "VGG17"), "no bundled file or network is called 'VGG17'; did you mean VGG19\\?"),
        (("layers", "SqueezeExcitation"), 'is a block: `import SqueezeExcitation from "blocks.arch"`'),
        (("analyze", "sub/god.arch"), "did you mean sub/good.arch\\?"),
        (("analyze", "nothing-like-it.xyz"), "`archdsl list` shows those"),
        (("analyze", "sub"), "sub is a folder"),
        (("analyze",), "Missing argument"),
        (("analyze", "good.arch", "--columns", "name,mac"), "no column 'mac'; did you mean macs\\?"),
        (("analyze", "good.arch", "--json", "--depth", "1"), "the JSON has every layer"),
        (("analyze", "good.arch", "--size", "H"), "'H' is not of the form H=512"),
        (("analyze", "good.arch", "--size", "H=0"), "'0' is not a positive whole number"),
        (("analyze", "good.arch", "--input", "image=3,x"), "'3,x' is not a shape"),
        (("analyze", "good.arch", "--batch", "0"), "0 is not in the range"),
        (("export", "good.arch"), "Missing option '--to'"),
        (("export", "good.arch", "--to", "torch", "--set", "train.batch=3"), "an export has no recipe"),
        (("check", "good.arch", "--format", "xml"), "'xml' is not one of"),
        (("paint", "good.arch"), "No such command 'paint'"),
    ],
)
def test_wrong_command_lines(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "good.arch").write_text(GOOD, encoding="utf-8")
    found = run(*arguments, cwd=folder)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: ")
    assert re.search(said, found.err)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"network A {\n  \xff\n}\n", "byte 0xff in line 2 is not UTF-8 text"),
        (b"# " + b"x" * (1 << 20), "the file is larger than 1,048,576 bytes, the most that is read"),
        (GOOD.encode("utf-16"), "the file looks like UTF-16; save it as UTF-8"),
        (GOOD.encode("utf-16-le"), "the file looks like UTF-16; save it as UTF-8"),
    ],
)
def test_files_that_are_no_text(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    Path("bad.arch").write_bytes(content)
    bad = f"error: bad.arch: {said}\n"
    for arguments in ("analyze", "draw", "export --to torch", "verify", "diff good.arch", "fmt"):
        assert command_line.run([*arguments.split(), "bad.arch"]) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.removesuffix("1 file not laid out\n") == bad, arguments
    assert command_line.run(["check", "good.arch", "bad.arch", "wrong.arch"]) == 2
    shown = capsys.readouterr()
    text = b"\xff" in content[2:] and len(content) < 100
    place = "bad.arch:2:3\n   |\n 2 |   \ufffd\n   |   ^\n   |\n" if text else "bad.arch\n\n"
    assert shown.out.startswith(f"error[unreadable-file]: {said}\n  --> {place}")
    assert shown.err.endswith("3 errors in 2 files\n")
    piped = run("analyze", "-", cwd=folder, stdin=content)
    assert (piped.code, piped.err) == (2, bad.replace("bad.arch", "-"))
    with pytest.raises(archdsl.ArchError) as raised:
        archdsl.load("bad.arch")
    assert str(raised.value) == f"bad.arch:{2 if text else 1}: {said}"
    assert [d.name for d in raised.value.diagnostics] == ["unreadable-file"]


def test_byte_order_marks_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "bom.arch").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert run("check", "bom.arch", cwd=tmp_path).code == 0


def test_files_that_are_named_like_a_network(folder: Path) -> None:
    (folder / "a:Small").write_text(GOOD, encoding="utf-8")
    assert run("check", "a:Small", cwd=folder).code == 0
    assert run("check", "good.arch:Small", cwd=folder).code == 0
    assert "unknown-network" in run("analyze", "good.arch:Smal", cwd=folder).err


@pytest.mark.parametrize(
    ("text", "windows", "expected"),
    [
        ("resnet.arch:ResNet50", False, ("resnet.arch", "ResNet50")),
        ("resnet.arch", False, ("resnet.arch", None)),
        ("-:Net", False, ("-", "Net")),
        ("a:b.arch", False, ("a:b.arch", None)),
        ("a:b.arch:Net", False, ("a:b.arch", "Net")),
        ("C:\\nets\\resnet.arch", True, ("C:\\nets\\resnet.arch", None)),
        ("C:\\nets\\resnet.arch:Net", True, ("C:\\nets\\resnet.arch", "Net")),
        ("C:resnet", True, ("C:resnet", None)),
    ],
)
def test_file_and_network(text: str, windows: bool, expected: tuple[str, str | None]) -> None:
    assert divided(text, windows) == expected


def test_a_network_is_named_from_python_as_on_the_command_line() -> None:
    assert archdsl.load("resnet.arch:ResNet34").name == "ResNet34"
    assert archdsl.load("resnet.arch", "ResNet34").name == "ResNet34"


def test_a_report_has_one_form(folder: Path) -> None:
    done = run("analyze", "good.arch", "--json", "--csv", cwd=folder)
    assert done.code == 2
    assert "--json and --csv are two forms: name one" in done.err


# ------------------------------------------------------------------------------ where results go


def test_an_export_goes_through_links_and_into_pipes(folder: Path) -> None:
    """What stands at the path is written to, and not replaced by something else."""
    (folder / "true.py").write_text("old")
    (folder / "link.py").symlink_to("true.py")
    assert run("export", "good.arch", "--to", "torch", "-o", "link.py", cwd=folder).code == 0
    assert (folder / "link.py").is_symlink() and "class Small" in (folder / "true.py").read_text()
    os.mkfifo(folder / "pipe")
    reader = subprocess.Popen(["cat", "pipe"], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert run("export", "good.arch", "--to", "torch", "-o", "pipe", cwd=folder).code == 0
    assert "class Small" in reader.communicate(timeout=30)[0]
    assert (folder / "pipe").is_fifo()


def test_imports_within_a_marked_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a folder, a file, a text and an editor; never anything outside of it, by a link either."""
    project, nets = folder / "project", folder / "project/models/small"
    nets.mkdir(parents=True)
    (project / "lib").mkdir()
    (project / "lib/unit.arch").write_text("block Unit {\n  relu\n}\n")
    (folder / "far.arch").write_text("block Unit {\n  secret\n}\n")

    def text(path: str) -> str:
        return f'import Unit from "{path}"\n\nnetwork N {{\n  input x: [3, 8, 8]\n  Unit\n}}\n'

    near, far, link = (text(path) for path in ("../../lib/unit.arch", "../../../far.arch", "far.arch"))
    (nets / "net.arch").write_text(near)
    monkeypatch.chdir(project)
    for name in (Path("models/small/net.arch"), nets / "net.arch"):
        with pytest.raises(archdsl.ArchError) as refused:
            archdsl.load(name)
        (said,) = refused.value.diagnostics
        mark = ".archroot" if name.parts[0] == "models" else (project / ".archroot").as_posix()
        assert said.name == "import-outside" and (said.help or "").endswith(f"by an empty file {mark}")
    library = Library()
    document = Document(str(nets / "net.arch"), near)
    library.put(document)
    assert [d.name for d in Checker(library).check(document).diagnostics] == ["import-outside"]

    (project / ".archroot").touch()
    assert Checker(library).check(document).diagnostics == []
    unit = library.document(str(project / "lib/unit.arch"))
    assert unit is not None and {Path(one.name).name for one in references(library, unit, 6)} == {
        "net.arch",
        "unit.arch",
    }
    found = run("check", ".", cwd=project)
    assert found.code == 0 and "models/small/net.arch: 1 network" in found.err
    for name in (Path("models/small/net.arch"), nets / "net.arch"):
        inside = archdsl.load(name).network.nodes[-1].defined
        assert inside is not None and inside.source.name == str(
            (project if name.is_absolute() else Path()) / "lib/unit.arch"
        )
    # A path from the root, or from that of the disk, is not relative to the importing file.
    for wrong in ("lib/unit.arch", (project / "lib/unit.arch").as_posix()):
        (said,) = Checker(library).check(Document(str(nets / "net.arch"), text(wrong))).diagnostics
        assert said.edit is not None
        assert (said.name, said.edit.replacement) == ("import-not-found", '"../../lib/unit.arch"')
    (nets / "far.arch").symlink_to(folder / "far.arch")
    monkeypatch.chdir(nets)
    assert archdsl.loads(near).network.sources[0].name == "../../lib/unit.arch"
    for outside, where in ((far, ""), (link, "this is ../../../far.arch, and ")):
        with pytest.raises(archdsl.ArchError) as refused:
            archdsl.loads(outside)
        (said,) = refused.value.diagnostics
        assert said.name == "import-outside" and "secret" not in str(said)
        assert said.text == f"{where}imports stay inside the folder of ../../.archroot"


def test_an_import_through_links_that_lead_in_a_circle(folder: Path) -> None:
    (folder / "loop.arch").symlink_to("loop.arch")
    (folder / "user.arch").write_text('import B from "loop.arch"\n' + GOOD)
    found = run("check", "user.arch", cwd=folder)
    assert found.code == 1
    assert "import-not-found" in found.out and "links lead in a circle" in found.out


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no full device")
def test_a_full_disk_is_said(folder: Path) -> None:
    command = f"{sys.executable} -m archdsl analyze good.arch > /dev/full"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: the result can't be written: No space left on device\n"


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("<&-", 0), ("2>&-", 0)])
def test_streams_that_are_closed(folder: Path, closed: str, code: int) -> None:
    command = f"{sys.executable} -m archdsl analyze good.arch {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"rmdir ../gone && {sys.executable} -P -m archdsl analyze alexnet.arch"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path / "gone", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("AlexNet")


def test_more_broken_expectations_than_are_shown(folder: Path) -> None:
    lines = "\n".join(["  expect a.channels == 4"] * 150)
    (folder / "many.arch").write_text(f"network Many {{\n  input x: [3, 8, 8]\n  a: relu\n{lines}\n}}\n")
    done = run("check", "many.arch", "--format", "json", cwd=folder)
    assert done.code == 1
    names = [d["name"] for d in json.loads(done.out)["diagnostics"]]
    assert names == ["expectation-failed"] * 100 + ["too-many-problems"]


# ------------------------------------------------------------------------------ ends of processes


def test_a_closed_pipe_is_no_news(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, "analyze", "resnet.arch:ResNet152", "--json"]
    # Unbuffered, Python itself drops what does not fit into the pipe, and no error is seen.
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=buffered, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, "analyze", "-"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background would not hear of it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        # It waits for standard input; a little later than its start, the interrupt reaches the command.
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().strip() == b""


def test_an_internal_error_says_how_to_reproduce_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("break")
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setitem(command_line.archdsl.commands, "break", broken)
    monkeypatch.delenv("ARCHDSL_DEBUG", raising=False)
    assert command_line.run(["break"]) == 70
    said = capsys.readouterr().err
    assert said.startswith("internal error: ZeroDivisionError: oh\n")
    assert "\n  archdsl break\n" in said
    assert re.search(r"\n  archdsl \S.*, Python 3\.\d+", said)
    monkeypatch.setenv("ARCHDSL_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        command_line.run(["break"])


def test_an_internal_error_ends_the_check_of_one_file_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = archdsl.checking.check_program

    def broken(program: Any, *arguments: Any, **more: Any) -> Any:
        if program.source.name == "good.arch":
            raise ZeroDivisionError("oh")
        return right(program, *arguments, **more)

    monkeypatch.chdir(folder)
    monkeypatch.setattr("archdsl.checking.check_program", broken)
    monkeypatch.delenv("ARCHDSL_DEBUG", raising=False)
    given = ["check", "--format", "json", "--strict"]
    assert command_line.run([*given, "warned.arch", "good.arch:Small", "wrong.arch"]) == 70
    shown = capsys.readouterr()
    assert {d["file"] for d in json.loads(shown.out)["diagnostics"]} == {"warned.arch", "wrong.arch"}
    assert shown.err.startswith("internal error: ZeroDivisionError: oh\n")
    assert "\n  archdsl check --format json --strict good.arch:Small\n" in shown.err


def test_a_folder_with_pipes_links_and_names_that_are_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "nets").mkdir()
    monkeypatch.chdir(tmp_path / "nets")
    Path("../elsewhere/far.arch").write_text(WARNED, encoding="utf-8")
    try:
        Path(os.fsdecode(b"odd\xff.arch")).write_text(WARNED, encoding="utf-8")
    except OSError:
        pytest.skip("the file system takes no name that is no text")
    os.mkfifo("pipe.arch")
    Path("gone.arch").symlink_to("nothere.arch")
    Path("far.arch").symlink_to("../elsewhere/far.arch")
    Path("again.arch").symlink_to("far.arch")

    for stream in (sys.stdout, sys.stderr):
        write_all(stream)

    def said(*arguments: str, code: int = 0) -> str:
        assert command_line.run([*arguments]) == code
        shown = capsys.readouterr()
        return shown.out or shown.err

    # A link is followed, and a file that several lead to is checked once.
    found = json.loads(said("check", ".", "--format", "json"))["diagnostics"]
    assert [d["file"] for d in found] == ["odd\\xff.arch", "again.arch"]
    results = json.loads(said("check", ".", "--format", "sarif"))["runs"][0]["results"]
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results]
    assert places == ["odd%FF.arch", "again.arch"]
    assert said("check", ".", "--format", "github").startswith("::warning file=odd\\xff.arch,line=4,")
    assert "--> odd\\xff.arch:4:10\n" in said("check", ".")
    for command in ("check", "analyze"):
        assert "pipe.arch can't be read: it is a pipe, and nothing" in said(command, "pipe.arch", code=2)
    for command in ("check", "analyze", "fmt"):
        assert "gone.arch is a link to nothere.arch, which isn't" in said(command, "gone.arch", code=2)
    assert said("fmt", "--check", ".", code=1) == "odd\\xff.arch\n"


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"archdsl \d+\.\d+\.\d+\S*\n", run("--version", cwd=tmp_path).out)


# ------------------------------------------------------------------------------ terminals


def on_a_terminal(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command writes to a terminal of 80 columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in CHOSEN}
    with subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**kept, "TERM": "xterm", **(environment or {})},
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:
                break
            if not part:
                break
            written += part
        process.wait(60)
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def test_terminals_get_colour_and_their_width(folder: Path) -> None:
    coloured = on_a_terminal("analyze", "alexnet.arch", cwd=folder)
    assert "\x1b[" in coloured
    plain = on_a_terminal("analyze", "alexnet.arch", cwd=folder, environment={"NO_COLOR": "1"})
    assert "\x1b" not in plain
    assert max(map(len, plain.split("\n"))) <= 80
    assert "\x1b" not in on_a_terminal("check", "wrong.arch", cwd=folder, environment={"TERM": "dumb"})
    assert "\x1b[" in run("check", "wrong.arch", cwd=folder, environment={"FORCE_COLOR": "1"}).out


def test_encodings_without_the_finer_signs(folder: Path) -> None:
    found = run(
        "analyze", "good.arch", cwd=folder, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert found.code == 0
    assert found.out.isascii()
    assert " 8 x 30 x 30 " in found.out


# ------------------------------------------------------------------------------ what is loaded

LOADED = """
import json, sys
sys.argv[1:] = {arguments!r}
from archdsl.cli.main import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> set[str]:
    """The modules that a fresh process has loaded at the end of a command."""
    found = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=list(arguments))],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(json.loads(found.stderr.split("\n")[-2]))


HEAVY = {"torch", "numpy", "networkx", "rich", "sympy", "safetensors", "matplotlib"}
SLOW = {"lark", "asyncio", "email", "http", "importlib.metadata", "logging", "unittest"}
"""Not as heavy, but each of them tells in the time of a start."""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user who has run archdsl before. The first run does load Lark."""
    folder = tmp_path_factory.mktemp("cache")
    environment = {"XDG_CACHE_HOME": str(folder), "LOCALAPPDATA": str(folder), "HOME": str(folder)}
    assert "lark" in loaded("check", "alexnet.arch", cwd=folder, environment=environment)
    return environment


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "alexnet.arch"),
        ("analyze", "mnist1d_conv.arch", "--json"),
        ("analyze", "resnet.arch:ResNet50", "--markdown", "--depth", "2"),
        ("analyze", "open.arch"),
        ("check", "alexnet.arch", "mnist1d_conv.arch", "wrong.arch"),
        ("export", "alexnet.arch", "--to", "torch"),
    ],
)
def test_nothing_heavy_is_loaded(folder: Path, warm: dict[str, str], arguments: tuple[str, ...]) -> None:
    (folder / "open.arch").write_text(
        "network Open { input x: [3, H, W]\n conv(8, kernel=3) }", encoding="utf-8"
    )
    modules = loaded(*arguments, cwd=folder, environment=warm)
    assert "archdsl.compiler" in modules
    assert not modules & (HEAVY | SLOW)


@pytest.mark.parametrize("arguments", [("--help",), ("layers",), ("explain", "channel-mismatch"), ("list",)])
def test_the_reference_loads_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not loaded(*arguments, cwd=tmp_path) & HEAVY


def test_help_loads_hardly_anything(tmp_path: Path) -> None:
    modules = loaded("--help", cwd=tmp_path)
    assert not modules & {"lark", "archdsl.problems", "archdsl.layers", "archdsl.compiler"}


def test_a_heavy_import_would_be_found(tmp_path: Path, warm: dict[str, str]) -> None:
    """The tests above can fail: imports planted on the way of `analyze` are seen."""
    package = Path(command_line.__file__).parents[1]
    shutil.copytree(package, tmp_path / "archdsl")
    for folder in ("grammars", "architectures"):
        ignored = shutil.ignore_patterns("vscode")
        shutil.copytree(package.parent / folder, tmp_path / "archdsl" / folder, ignore=ignored)
    for heavy in HEAVY:
        (tmp_path / f"{heavy}.py").write_text("", encoding="utf-8")
    with (tmp_path / "archdsl" / "report" / "table.py").open("a", encoding="utf-8") as file:
        file.writelines(f"import {heavy}\n" for heavy in sorted(HEAVY))
    modules = loaded(
        "analyze", "alexnet.arch", cwd=tmp_path, environment={**warm, "PYTHONPATH": str(tmp_path)}
    )
    assert modules & HEAVY == HEAVY


def test_a_slow_run_has_a_speed_too() -> None:
    from archdsl.cli.train import _took

    assert _took(2, 5.9) == "2 steps in 5.9 s (0.34 a second)"
    assert _took(20_000, 4) == "20,000 steps in 4.0 s (5,000 a second)"


def test_a_shape_may_have_the_form_of_either_command(tmp_path: Path) -> None:
    """`new` says 3x32x32, a file [3, 32, 32]; `tests/test_new.py` has the other half."""
    (tmp_path / "a.arch").write_text("network A {\n  input image: [3, 8, 8]\n  relu\n}\n")
    shapes = {
        run("analyze", "a.arch", "--input", f"image={shape}", cwd=tmp_path).out.splitlines()[0]
        for shape in ("3,16,H", "[3, 16, H]", "3x16xH")
    }
    assert shapes == {"A  image 3 × 16 × H → relu_1 3 × 16 × H"}
