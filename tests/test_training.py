"""Training: the data, recipes and their mistakes, and runs of a few steps."""

from __future__ import annotations

import json
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from zlib import crc32

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from forks import start
from safetensors.torch import load_file

import archdsl
from archdsl.cli.train import train as command
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.folder import TrainingError
from archdsl.training.initialisation import initialise
from archdsl.training.loop import train
from archdsl.training.mnist1d import signals
from archdsl.training.run import Checkpoint, Measurement
from archdsl.version import version

CONV = "mnist1d_conv.arch"
ARCHITECTURES = Path(__file__).parents[1] / "architectures"
LINEAR = """network Linear {
  input signal: [40]
  logits: linear(10)
}
train {
  data      = mnist1d(examples=4000)
  loss      = cross_entropy
  optimizer = sgd(lr=0.01)
  batch     = 100
  steps     = 10_000
}
"""


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
    # From `make_dataset(get_dataset_args())` of the package mnist1d 0.0.2, which takes 20 seconds for them.
    # On one machine they are the same bit for bit; on another the last bits of a logarithm may differ.
    assert x[0, :3] == pytest.approx(
        [-0.3320056673693902, -0.4719103656557236, -0.778697076293495], rel=1e-12
    )
    assert x[-1, -3:] == pytest.approx([0.6598756470890784, 0.8777343497528006, 1.193151836835276], rel=1e-12)
    waves = np.cos(np.arange(40)), np.sin(np.arange(5000))
    assert x @ waves[0] @ waves[1] == pytest.approx(125.13379558627373, rel=1e-9)
    assert crc32(y.astype("<i8").tobytes()) == 2638373878


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (WHOLE, []),
        (WHOLE.replace("batch", "btach"), [("unknown-setting", "btach")]),
        (WHOLE + "epochs = 3", [("conflicting-settings", "epochs")]),
        (WHOLE + "batch = 20", [("duplicate-setting", "batch")]),
        (WHOLE.replace("= 10", "= 0"), [("bad-setting", "0")]),
        (WHOLE.replace("cross_entropy", "huber"), [("bad-setting", "huber")]),
        (WHOLE.replace("lr=0.1", "rate=0.1"), [("unknown-argument", "rate")]),
        (WHOLE.replace("lr=0.1", "lr=0"), [("bad-argument", "lr=0")]),
        (WHOLE.replace("mnist1d", "mnist1d(examples=9000)"), [("bad-argument", "examples=9000")]),
    ],
)
def test_recipes(settings: str, expected: list[tuple[str, str]]) -> None:
    assert problems_of(settings) == expected


def test_the_network_must_fit_the_data() -> None:
    net = archdsl.load("alexnet.arch")
    _, found = read_recipe(None, net.network, {})
    assert [(d.name, d.span.text) for d in found] == [("no-recipe", "AlexNet")]


def recipe_of(net: archdsl.Net, **overrides: str) -> Recipe:
    recipe, found = read_recipe(net.network.train, net.network, overrides)
    assert recipe is not None and not found
    return recipe


def run(folder: Path, steps: int, seed: int = 0, measurements: int = 100) -> tuple[float, float]:
    net = archdsl.load(CONV)
    recipe = recipe_of(net, steps=str(steps), seed=str(seed), measurements=str(measurements))
    done = train(net.network, recipe, folder)
    return done.measured.training[0], done.measured.test[0]


def test_a_run_learns_and_is_reproducible(tmp_path: Path) -> None:
    first = run(tmp_path / "a", 400, measurements=10)
    assert first == run(tmp_path / "b", 400, measurements=10)
    assert (tmp_path / "a/metrics.csv").read_bytes() == (tmp_path / "b/metrics.csv").read_bytes()
    one, other = (load_file(tmp_path / name / "weights.safetensors") for name in "ab")
    assert one.keys() == archdsl.load(CONV).build().state_dict().keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    # Guessing is wrong nine times of ten.
    assert run(tmp_path / "long", 2000, measurements=1)[1] < 0.65
    assert run(tmp_path / "c", 20, 1, measurements=2) != run(tmp_path / "d", 20, 2, measurements=2)


def test_what_a_run_leaves(tmp_path: Path) -> None:
    run(tmp_path / "run", 100)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "network.arch",
        "recipe.json",
        "train.log",
        "metrics.csv",
        "weights.safetensors",
        "checkpoints",
        "pace.csv",
        "curve.svg",
        "run.html",
        ".lock",
    }
    assert (tmp_path / "run/network.arch").read_text() == (ARCHITECTURES / CONV).read_text()
    described = json.loads((tmp_path / "run/recipe.json").read_text())
    recipe, machine = described["recipe"], described["machine"]
    assert recipe["network"] == "MNIST1DConv" and recipe["batch"] == 100 and recipe["steps"] == 100
    assert recipe["optimizer"] == "sgd(lr=0.01)" and recipe["initialize"] == "he"
    # What the program chose by itself, and where it ran.
    assert machine["steps"] == "the step is not compiled: it would not pay for 100 steps"
    assert (machine["threads"], machine["layout"], machine["device"]) == (1, "contiguous", "cpu")
    assert machine["torch"] == torch.__version__ and machine["archdsl"] == version()
    assert machine["processor"] and machine["python"] and machine["system"]
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()
    assert rows[0] == "step,training_error,test_error,loss,rate"
    assert [row.split(",")[0] for row in rows[1:]] == [str(n) for n in range(101)]
    assert ET.parse(tmp_path / "run/curve.svg").getroot().tag.endswith("svg")
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000000000100"]
    log = (tmp_path / "run/train.log").read_text()
    assert "step 100: training error" in log and "not compiled: it would not pay for 100 steps" in log


def test_a_run_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(TrainingError, match="exists already, and what is in it is no run"):
        run(tmp_path, 1)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_before(tmp_path: Path) -> None:
    net = archdsl.load(CONV)
    with pytest.raises(TrainingError, match="lower learning rate"):
        train(net.network, recipe_of(net, steps="200", optimizer="sgd(lr=1e15)"), tmp_path / "run")
    weights = load_file(tmp_path / "run/weights.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert "the loss is no number from step" in (tmp_path / "run/train.log").read_text()


def test_ctrl_c_ends_a_run_with_everything_written(tmp_path: Path) -> None:
    net = archdsl.load(CONV)

    presses = iter([True])

    class Interrupt:
        def __call__(self, step: int, steps: int, measured: Measurement) -> None:
            if step == 40 and next(presses, False):
                signal.raise_signal(signal.SIGINT)

        def busy(self, what: str) -> None:
            assert what == "stopping after this step"

    recipe = recipe_of(net, steps="100", measurements="100")
    done = train(net.network, recipe, tmp_path / "run", progress=Interrupt())
    assert done.interrupted and done.steps == 40
    assert (tmp_path / "run/metrics.csv").read_text().splitlines()[-1].startswith("40,")
    assert "interrupted after step 40" in (tmp_path / "run/train.log").read_text()
    assert (tmp_path / "run/curve.svg").exists()


@pytest.mark.parametrize("device", ["warp", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there(tmp_path: Path, device: str) -> None:
    net = archdsl.load(CONV)
    with pytest.raises(TrainingError, match="there is no device"):
        train(net.network, recipe_of(net, steps="1"), tmp_path / "run", device)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    net = archdsl.load(CONV)
    with pytest.raises(TrainingError, match="can't be made"):
        train(net.network, recipe_of(net, steps="1"), tmp_path / "file/run")


def test_weights_begin_as_he_has_it() -> None:
    net = archdsl.loads("""network Wide {
      input x: [64, 30, 30]
      conv(256, kernel=3) -> batch_norm -> relu
      conv_transpose(128, kernel=4, stride=2, groups=2)
      flatten
      linear(3)
    }""")
    model = net.build()
    torch.manual_seed(0)
    initialise(model, net.network, recipe_of(archdsl.load(CONV)))
    for name, fan_in in {
        "conv_1": 64 * 9,
        "conv_transpose_1": 256 / 2 * 4,
        "linear_1": 128 * 58 * 58,
    }.items():
        layer = model.get_submodule(name)
        assert layer.weight.var().item() == pytest.approx(2 / fan_in, rel=0.02)
        assert not layer.bias.any()
    assert (model.get_submodule("batch_norm_1").weight == 1).all()


def test_a_run_where_there_is_no_c_plus_plus_compiler(tmp_path: Path) -> None:
    (tmp_path / "linear.arch").write_text(LINEAR)
    bare = {"PATH": "", "CXX": "", "HOME": str(tmp_path)}
    process = start("train", "linear.arch", "--out", "run", cwd=tmp_path, **bare)
    log = tmp_path / "run/train.log"
    until = time.monotonic() + 120
    while not log.exists() or "not compiled: there is no C++ compiler" not in log.read_text():
        assert time.monotonic() < until and process.returncode is None, process.stderr
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait().returncode == 130
    steps = Checkpoint.newest(tmp_path / "run")
    assert steps is not None and steps.step > 0


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    # Its folder has all that it goes on from.
    longer = CliRunner().invoke(
        command, [folder, "--resume", "--set", "train.steps=25"], standalone_mode=False
    )
    assert longer.return_value == 0 and "5 steps in" in longer.output, longer.output
    for wrong, said in ((["--resume", "--set", "hidden=3"], "train.KEY alone"), ([], "--resume goes on")):
        with pytest.raises(click.UsageError, match=said):
            CliRunner().invoke(command, [folder, *wrong], standalone_mode=False, catch_exceptions=False)
    # Before it began there is nothing to go on from.
    for number in (signal.SIGINT, signal.SIGTERM):
        monkeypatch.setattr("archdsl.cli.train._read", lambda *_, sent=number: signal.raise_signal(sent))
        ended = CliRunner().invoke(command, [CONV], standalone_mode=False)
        assert (ended.return_value, ended.output) == (128 + number, "interrupted before the run began\n")
