"""Training: the data, recipes and their mistakes, and runs of a few steps."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import archdsl
from archdsl.cli.train import train as command
from archdsl.training.loop import TrainingError, train
from archdsl.training.mnist1d import signals
from archdsl.training.recipe import read_recipe

CONV = "mnist1d_conv.arch"


def problems_of(settings: str) -> list[tuple[str, str]]:
    """The problems of a recipe, each with the text it underlines."""
    network = "network Small { input signal: [40] -> linear(10) }".replace(" -> ", "\n")
    net = archdsl.loads(f"{network}\ntrain {{\n{settings}\n}}")
    _, found = read_recipe(net.network.train, net.network)
    return [(d.name, d.span.text) for d in found]


WHOLE = "data = mnist1d\nloss = cross_entropy\noptimizer = sgd(lr=0.1)\nbatch = 10\nsteps = 20\n"


def test_data_are_those_published() -> None:
    x, y = signals()
    assert x.shape == (5000, 40)
    assert np.bincount(y).tolist() == [500] * 10
    assert abs(x.mean()) < 1e-12 and abs(x.std() - 1) < 1e-12
    again, _ = signals()
    assert (x == again).all()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (WHOLE, []),
        (WHOLE.replace("batch", "btach"), [("unknown-setting", "btach")]),
        (WHOLE + "schedule = cosine", [("unsupported-setting", "schedule")]),
        (WHOLE + "epochs = 3", [("conflicting-settings", "epochs")]),
        (WHOLE + "batch = 20", [("duplicate-setting", "batch")]),
        (WHOLE.replace("= 10", "= 0"), [("bad-setting", "0")]),
        (WHOLE.replace("cross_entropy", "huber"), [("bad-setting", "huber")]),
        (WHOLE.replace("lr=0.1", "rate=0.1"), [("missing-argument", "sgd"), ("unknown-argument", "rate")]),
        (WHOLE.replace("lr=0.1", "lr=0"), [("bad-setting", "0")]),
        (WHOLE.replace("mnist1d", "mnist1d(examples=9000)"), [("bad-setting", "9000")]),
    ],
)
def test_recipes(settings: str, expected: list[tuple[str, str]]) -> None:
    assert problems_of(settings) == expected


def test_the_network_must_fit_the_data() -> None:
    net = archdsl.load("alexnet.arch")
    _, found = read_recipe(None, net.network, {})
    assert [(d.name, d.span.text) for d in found] == [("missing-setting", "image")]


def run(folder: Path, steps: int, seed: int = 0) -> tuple[float, float]:
    net = archdsl.load(CONV)
    recipe, found = read_recipe(net.network.train, net.network, {"steps": str(steps), "seed": str(seed)})
    assert recipe is not None and not found
    done = train(net.network, recipe, folder)
    return done.training_error, done.test_error


def test_a_run_learns_and_is_reproducible(tmp_path: Path) -> None:
    first = run(tmp_path / "a", 2000)
    assert first == run(tmp_path / "b", 2000)
    assert (tmp_path / "a/metrics.csv").read_bytes() == (tmp_path / "b/metrics.csv").read_bytes()
    one, other = (load_file(tmp_path / name / "weights.safetensors") for name in "ab")
    assert one.keys() == archdsl.load(CONV).build().state_dict().keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    # Guessing is wrong nine times of ten.
    assert first[1] < 0.65
    assert run(tmp_path / "c", 2000, seed=1) != first


def test_what_a_run_leaves(tmp_path: Path) -> None:
    run(tmp_path / "run", 100)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "network.arch",
        "recipe.json",
        "metrics.csv",
        "weights.safetensors",
        "state.pt",
        "curve.svg",
    }
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()
    assert rows[0] == "step,training_error,test_error"
    assert [row.split(",")[0] for row in rows[1:]] == [str(n) for n in range(101)]
    assert ET.parse(tmp_path / "run/curve.svg").getroot().tag.endswith("svg")
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 100


def test_a_run_overwrites_nothing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="exists already"):
        run(tmp_path, 1)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    net = archdsl.load(CONV)
    recipe, _ = read_recipe(net.network.train, net.network, {"steps": "200", "optimizer": "sgd(lr=1e20)"})
    assert recipe is not None
    with pytest.raises(TrainingError, match="lower learning rate"):
        train(net.network, recipe, tmp_path / "run")


def test_the_command(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    done = CliRunner().invoke(
        command, [CONV, "--set", "train.steps=20", "--out", folder], standalone_mode=False
    )
    assert done.return_value == 0, done.output
    assert "test error" in done.output
    again = CliRunner().invoke(
        command, [CONV, "--set", "train.steps=20", "--out", folder], standalone_mode=False
    )
    assert again.return_value == 1
    assert "exists already" in again.output
