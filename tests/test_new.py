"""`archdsl new`: a first file that is right, laid out, and trains."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import Finished, run

import archdsl
from archdsl.checking import check_file
from archdsl.recipes.reader import read_recipe
from archdsl.source import Source
from archdsl.training.loop import Result, train


def new(*arguments: str, cwd: Path) -> Finished:
    return run("new", *arguments, cwd=cwd)


def right(path: Path) -> archdsl.Net:
    """A file that a user can begin with: nothing is said of it, and it is in its layout."""
    text = path.read_text(encoding="utf-8")
    checked = check_file(Source(path.name, text))
    assert [d.message for d in checked.diagnostics] == []
    assert all(outcome.holds for one in checked.networks for outcome in one.outcomes)
    assert archdsl.format(text) == text
    return archdsl.loads(text)


@pytest.mark.parametrize(
    ("arguments", "shape", "output"),
    [
        ("", (1, 8, 8), (10,)),
        ("--data mnist", (1, 28, 28), (10,)),
        ("--data mnist1d", (1, 40), (10,)),
        ("--task signal", (1, 40), (10,)),
        ("--task classify --data mnist1d", (1, 40), (10,)),
        ("--task classify --data time_series", (1, 128), (10,)),
        ("--task segment", (3, 64, 64), (2, 64, 64)),
        ("--task segment --input 1x33x64 --classes 5", (1, 33, 64), (5, 33, 64)),
        ("--task segment --input 2x128 --data none", (2, 128), (2, 128)),
        ("--task signal --input 12x5000 --classes 2 --data time_series", (12, 5000), (2,)),
        ("--task classify --input 3x224x224 --classes 1000", (3, 224, 224), (1000,)),
        ("--input 1x100x100", (1, 100, 100), (10,)),
        ("--input 1x40", (1, 40), (10,)),
        ("--input 4x16x16x16 --data arrays", (4, 16, 16, 16), (10,)),
        ("--input 3,32,32 --data arrays", (3, 32, 32), (10,)),
        ("--input [2,64] --data arrays", (2, 64), (10,)),
        ("--input 1x1x1", (1, 1, 1), (10,)),
        ("--input 7 --classes 3", (7,), (3,)),
        ("--data image_folder", (3, 224, 224), (10,)),
        ("--data none", (3, 32, 32), (10,)),
    ],
)
def test_what_is_written_is_right(
    arguments: str, shape: tuple[int, ...], output: tuple[int, ...], tmp_path: Path
) -> None:
    finished = new("first", *arguments.split(), "--yes", cwd=tmp_path)
    assert (finished.code, finished.out) == (0, "")
    assert finished.err.startswith("wrote first.arch; see `archdsl analyze first.arch`")
    net = right(tmp_path / "first.arch")
    assert net.name == "First"
    assert tuple(net.network.inputs[0].shape) == shape
    assert tuple(net.network.outputs[0].shape) == output
    assert (net.network.train is None) == ("none" in arguments)


def trained(path: Path, settings: dict[str, str]) -> Result:
    network = archdsl.load(path).network
    recipe, found = read_recipe(network.train, network, settings, look=True)
    assert recipe is not None, [d.message for d in found]
    return train(network, recipe, path.parent / "run")


@pytest.mark.parametrize("data", ["digits", "mnist", "mnist1d"])
def test_what_is_written_trains(data: str, tmp_path: Path) -> None:
    assert new("--data", data, cwd=tmp_path).code == 0
    few = {"epochs": "1", "data": f"{data}(examples=150)"}
    assert trained(tmp_path / f"{data}.arch", few).steps == 3


def test_a_segmentation_trains_on_the_arrays_that_its_file_speaks_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new("s", "--task", "segment", "--input", "1x16x16", cwd=tmp_path).code == 0
    assert "x [n, 1, 16, 16] and y [n, 16, 16]" in (tmp_path / "s.arch").read_text()
    x = np.random.default_rng(0).random((20, 1, 16, 16), dtype=np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x[:, 0] > 0.5).astype(np.int64))
    monkeypatch.chdir(tmp_path)
    assert trained(Path("s.arch"), {"epochs": "1", "batch": "8"}).steps > 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.arch").write_text("mine")
    (tmp_path / "b.arch").symlink_to("nowhere")
    for name in ("a", "a.arch", "b.arch"):
        finished = new(name, cwd=tmp_path)
        assert (finished.code, finished.out) == (2, "")
        assert "is there already, and is left as it is" in finished.err
    assert (tmp_path / "a.arch").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert new("gone/a.arch", cwd=tmp_path).code == 1


def test_data_that_have_to_be_installed_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the packages that carry data, what is chosen is generated, and what is wanted is said."""
    from archdsl.cli.main import run as run_here
    from archdsl.recipes import files

    monkeypatch.setattr(files, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    assert run_here(["new", "--yes"]) == 0
    assert capsys.readouterr().err.startswith("wrote mnist1d.arch; ")
    assert right(tmp_path / "mnist1d.arch").network.train is not None
    assert run_here(["new", "--data", "digits"]) == 0
    assert "the examples of digits come with `pip install 'archdsl[data]'`" in capsys.readouterr().err


def test_standard_output(tmp_path: Path) -> None:
    finished = new("-", cwd=tmp_path)
    assert (finished.code, finished.err) == (0, "")
    assert "network Digits(classes = 10) {" in finished.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("my-digits_2.arch", "MyDigits2"),
        ("N.arch", "First"),
        ("unit.arch", "First"),
        ("5.arch", "First"),
        ("字.arch", "First"),
    ],
)
def test_the_network_is_called_like_its_file(name: str, network: str, tmp_path: Path) -> None:
    assert new(name, cwd=tmp_path).code == 0
    assert right(tmp_path / name).name == network


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--input 3x", "is no shape"),
        ("--input 0x3x3", "is no shape"),
        ("--input 1x2x3x4x5", "is no shape"),
        ("--input 224x224x3", "did you mean 3x224x224?"),
        ("--classes 1", "'1' is no number of classes: a whole number from 2 to 1,000,000"),
        ("--classes five", "'five' is no number of classes: a whole number from 2 to 1,000,000"),
        ("--data image_folder --input 3x20000x20000", "--data image_folder is not for `classify`"),
        ("--data digits --classes 3", "--data digits has 10 classes: leave out --classes"),
        ("--data mnist --input 3x28x28", "--data mnist is not for `classify` of 3x28x28"),
        ("--data mnist1d --task segment", "--data mnist1d is not for `segment`; it takes arrays, none"),
        ("--task signal --input 3x32x32", "--input 3x32x32 is not for `signal`"),
        ("--task segment --input 3", "--input 3 is not for `segment`"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: str, said: str, tmp_path: Path) -> None:
    finished = new(*arguments.split(), "--yes", cwd=tmp_path)
    assert (finished.code, finished.out) == (2, "")
    assert said in finished.err
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_can_not_be_is_not_written(tmp_path: Path) -> None:
    finished = new("--input", "1000000x999999999x99999999", "--data", "none", cwd=tmp_path)
    assert finished.code == 1
    assert "size-too-large" in finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
@pytest.mark.parametrize(
    ("arguments", "answers", "name", "shape"),
    [
        ([], ["", "", ""], "digits.arch", (1, 8, 8)),
        ([], ["segment", "", "1x32x32", "3", "cells"], "cells.arch", (1, 32, 32)),
        (["--data", "none"], ["nonsense", "1x9x9", "4", "a.arch"], "a.arch", (1, 9, 9)),
        (["mine", "--task", "signal"], ["arrays", "2x64", ""], "mine.arch", (2, 64)),
        (["--data", "none"], ["1x9x9", "4", "old", "old.arch", "my file"], "my file.arch", (1, 9, 9)),
        (["--data", "none"], ["1x9x9", "4", ""], "image2.arch", (1, 9, 9)),
    ],
)
def test_questions_on_a_terminal(
    arguments: list[str], answers: list[str], name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    for there in ("old.arch", "image.arch"):
        (tmp_path / there).write_text("mine")
    ours, theirs = os.openpty()
    command: list[Any] = [sys.executable, "-m", "archdsl", "new", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert process.wait(timeout=60) == 0, said
    process.stderr.close()
    os.close(ours)
    os.close(theirs)
    assert f"wrote {name}; see `archdsl analyze {shlex.quote(name)}`" in said
    assert tuple(right(tmp_path / name).network.inputs[0].shape) == shape
