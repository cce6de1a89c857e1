"""Runs: what they leave, how they stop, and that going on is as if they had not stopped."""

from __future__ import annotations

import copy
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forks import run as started
from forks import start
from safetensors.torch import load_file

import archdsl
from archdsl.recipes.optimizers import Optimizer
from archdsl.recipes.reader import read_recipe
from archdsl.training.folder import TrainingError
from archdsl.training.loop import Result, _Training, train
from archdsl.training.parameters import optimizer
from archdsl.training.run import CHECKPOINTS, Checkpoint, Measurement
from archdsl.training.sharding import save_state
from archdsl.training.step import Step

NETWORK = """network Noisy {
  input signal: [1, 40]
  conv(8, kernel=3, stride=2) -> batch_norm -> relu -> dropout(0.2)  # allow bias-before-norm
  conv(8, kernel=3, stride=2) -> relu
  flatten -> linear(10)
}

train {
  data           = mnist1d(examples=490)
  loss           = cross_entropy(label_smoothing=0.1)
  optimizer      = adamw(lr=0.005, decay=weights)
  schedule       = warm_up(steps=20) -> plateau(by=0.5, patience=3)
  batch          = 96
  steps          = 300
  moving_average = 0.9
  clip           = norm(1)
  metrics        = [error, top_error(3)]
}
"""


class StopAt:
    """Presses Ctrl-C after a step was measured, or the next one that is, once."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.pressed = False

    def __call__(self, step: int, steps: int, measured: Measurement) -> None:
        if step >= self.step and not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)

    def busy(self, what: str) -> None:
        pass


def run(
    folder: Path, text: str = NETWORK, stop: int | None = None, resume: bool = False, device: str = "cpu"
) -> Result:
    net = archdsl.loads(text)
    recipe, found = read_recipe(net.network.train, net.network)
    assert recipe is not None and all(d.severity != "error" for d in found)
    progress = None if stop is None else StopAt(stop)
    return train(net.network, recipe, folder, device, progress=progress, resume=resume)


def content(folder: Path) -> dict[str, bytes]:
    """What a run came to; the log tells of times, and of stops."""
    files = [*folder.glob("*.safetensors"), folder / "metrics.csv", folder / "curve.svg"]
    files += (folder / CHECKPOINTS).rglob("*.safetensors")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(folder)
    return folder


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path, whole: Path) -> None:
    """Order, dropout, averages, momenta and the plateau among them."""
    stopped = run(tmp_path / "run", stop=123)
    assert stopped.interrupted and stopped.steps == 123
    again = run(tmp_path / "run", resume=True)
    assert (again.steps, again.taken) == (300, 177)
    assert content(tmp_path / "run") == content(whole)
    rates = [line.split(",")[-1] for line in (whole / "metrics.csv").read_text().splitlines()[1:]]
    assert len(set(rates)) > 8, "the plateau was never reached"


def test_a_run_without_state_of_its_own_goes_on_too(tmp_path: Path) -> None:
    plain = (Path(archdsl.__file__).parents[1] / "architectures/mnist1d_fc.arch").read_text()
    plain = plain.replace("100_000", "120\n  measurements = 12")
    run(tmp_path / "whole", plain)
    run(tmp_path / "run", plain, stop=60)
    run(tmp_path / "run", plain, resume=True)
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_a_run_that_was_killed_goes_on_from_the_last_checkpoint(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "noisy.arch").write_text(NETWORK)
    process = start("train", "noisy.arch", "--out", "run", cwd=tmp_path)
    place = tmp_path / "run" / CHECKPOINTS
    until = time.monotonic() + 120
    while not list(place.glob("step-*1?")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    last = Checkpoint.newest(tmp_path / "run")
    assert last is not None and 0 < last.step < 300
    done = started("train", "noisy.arch", "--out", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "run") == content(whole)


def test_checkpoints_that_are_cut_short_or_changed_are_passed_over(tmp_path: Path) -> None:
    run(tmp_path / "run", stop=30)
    place = tmp_path / "run" / CHECKPOINTS
    state = next(place.glob("step-*30")) / "state.safetensors"
    for broken, cut in (("step-000000000060", False), ("step-000000000090", True)):
        (place / broken).mkdir()
        shutil.copy(state.parent / "parts.json", place / broken)
        written = bytearray(state.read_bytes())
        written[-500] ^= 1
        (place / broken / "state.safetensors").write_bytes(written[:-400] if cut else written)
    # One that is being written when the power goes has no name yet.
    (place / "part").mkdir()
    (place / "part/state.safetensors").write_bytes(b"")
    found = Checkpoint.newest(tmp_path / "run")
    assert found is not None and found.step == 30
    assert run(tmp_path / "run", resume=True).steps == 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("conv(8", "conv(9"), "the file has changed since the run"),
        (lambda text: text, "has no whole checkpoint"),
    ],
)
def test_what_can_not_be_resumed(tmp_path: Path, change: object, said: str) -> None:
    run(tmp_path / "run", stop=3)
    if "checkpoint" in said:
        for state in (tmp_path / "run" / CHECKPOINTS).rglob("*.safetensors"):
            state.write_bytes(b"")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(TrainingError, match=said):
        run(tmp_path / "run", change(NETWORK), resume=True)  # type: ignore[operator]
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_comments_and_spaces_do_not_keep_a_run_from_being_resumed(tmp_path: Path, whole: Path) -> None:
    run(tmp_path / "run", stop=30)
    said = "# What I learnt since.\n\n" + NETWORK.replace("conv(8", "conv( 8").replace("{\n", "{  # so\n\n")
    run(tmp_path / "run", said, resume=True)
    assert content(tmp_path / "run") == content(whole)


def test_a_run_is_not_resumed_with_another_recipe(tmp_path: Path) -> None:
    run(tmp_path / "run", stop=3)
    net = archdsl.loads(NETWORK)
    recipe, _ = read_recipe(net.network.train, net.network, {"batch": "50"})
    assert recipe is not None
    with pytest.raises(TrainingError, match="has `batch` 96, and not 50"):
        train(net.network, recipe, tmp_path / "run", resume=True)


def test_a_run_is_not_resumed_with_other_data(tiny: Callable[..., Result]) -> None:
    tiny("run", stop=2)
    before = content(Path("run"))
    np.savez("tiny.npz", x=np.zeros((15, 4)), y=np.arange(15) % 3)
    with pytest.raises(TrainingError, match=r"began: other examples, \[10, 2\] then and \[12, 3\] now"):
        tiny("run", resume=True)
    assert content(Path("run")) == before


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no run in"):
        run(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / "my net.arch").write_text(NETWORK)
    process = start("train", "my net.arch", "--set", "train.steps=100000", cwd=tmp_path)
    until = time.monotonic() + 120
    while "step 0" not in process.stderr:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(sent)
    said = process.wait().stderr.splitlines()
    assert process.returncode == 128 + sent
    assert said[-2] == "interrupted: what was trained until then is saved. To go on:"
    assert said[-1].strip() == "archdsl train runs/Noisy-1 --resume"
    assert Checkpoint.newest(tmp_path / "runs/Noisy-1") is not None


def test_a_loss_that_is_no_number_names_step_and_layer(tmp_path: Path) -> None:
    text = NETWORK.replace("adamw(lr=0.005, decay=weights)", "sgd(lr=1e15)").replace(
        "= norm(1)", "= value(1e15)"
    )
    text = text.replace("warm_up(steps=20) -> ", "constant(steps=7, times=1e-40) -> ")
    with pytest.raises(TrainingError) as error:
        run(tmp_path / "run", text)
    # With seven steps of hardly any rate, the eighth spoils the weights and the ninth meets them.
    assert str(error.value).startswith("the loss is no number from step 9 on, first in ")
    assert "try a lower learning rate" in str(error.value)
    weights = load_file(tmp_path / "run/weights.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


TINY = """network Tiny {
  input x: [4]
  linear(1_000) -> linear(3)
}
train {
  data         = arrays("tiny.npz")
  loss         = cross_entropy
  optimizer    = sgd(lr=0.1, momentum=0.9)
  batch        = 4
  steps        = 4
  measurements = 4
}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Trains a small network on twelve examples, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    np.savez("tiny.npz", x=np.random.default_rng(0).normal(size=(12, 4)), y=np.arange(12) % 3)
    net = archdsl.loads(TINY)

    def trained(
        folder: str | Path,
        stop: int | None = None,
        resume: bool = False,
        tensorboard: bool = False,
        **settings: str,
    ) -> Result:
        recipe, found = read_recipe(net.network.train, net.network, settings, look=True)
        assert recipe is not None, found
        progress = None if stop is None else StopAt(stop)
        return train(
            net.network, recipe, Path(folder), progress=progress, resume=resume, tensorboard=tensorboard
        )

    return trained


@contextmanager
def no_file_over(most: int) -> Iterator[None]:
    """While this is active the system writes no more than so many bytes of a file, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(tiny: Callable[..., Result], tmp_path: Path) -> None:
    """Whichever file is the first that finds no room: what the run goes on from is still there."""
    tiny("whole")
    assert tiny("begun", stop=2).interrupted
    for first, most in (("recipe.json", 0), ("weights.safetensors", 20_000), ("checkpoints", 40_000)):
        folder = shutil.copytree("begun", tmp_path / first)
        with no_file_over(most), pytest.raises(TrainingError) as error:
            tiny(folder, resume=True)
        assert str(error.value).startswith(f"{folder}/{first}")
        assert str(error.value).endswith(" can't be written: File too large")
        last = Checkpoint.newest(folder)
        assert last is not None and last.step == 2
        tiny(folder, resume=True)
        assert content(folder) == content(Path("whole"))


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_full_disk_under_a_state_in_parts(tmp_path: Path) -> None:
    """What torch raises there is no `Exception`, and would end in its stack."""
    with no_file_over(1_000), pytest.raises(OSError, match="File too large"):
        save_state({"model/weight": torch.zeros(1_000)}, tmp_path)


def test_a_full_disk_under_the_files_of_tensorboard(
    tiny: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "flush", full)
    with pytest.raises(TrainingError, match=r"run/tensorboard can't be written: No space left on device"):
        tiny("run", tensorboard=True)
    assert Checkpoint.newest(Path("run")) is not None


class Killed(BaseException):
    """No handler hears of it, as of SIGKILL."""


class KillAt:
    """Ends a run at its so many-th change of a file, of which half is then there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        for of, name in (
            *((Path, name) for name in ("write_bytes", "write_text", "mkdir")),
            (os, "replace"),
            (shutil, "rmtree"),
        ):
            monkeypatch.setattr(of, name, self.counted(getattr(of, name)))

    def counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if original.__name__.startswith("write"):
                    path, whole = given
                    original(path, whole[: len(whole) // 2], **options)
                raise Killed
            return original(*given, **options)

        return counted


def test_a_run_that_is_killed_at_any_moment_goes_on(
    tiny: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, after and in the middle of every file that it writes, those of a checkpoint among them."""
    length = {"steps": "2", "measurements": "1"}
    tiny("whole", **length)
    wanted, reached = content(Path("whole")), [-1]
    for number in count(1):
        folder = Path(f"run-{number}")
        with monkeypatch.context() as patch, suppress(Killed):
            files = KillAt(patch, number)
            tiny(folder, **length)
        if files.left > 0:
            break
        # The later it is killed, the later it goes on from: there is no moment without a checkpoint.
        last = Checkpoint.newest(folder)
        reached.append(-1 if last is None else last.step)
        assert reached[-1] >= reached[-2], f"killed at change {number}"
        tiny(folder, resume=folder.exists(), **length)
        # An older checkpoint may be left, too.
        assert wanted.items() <= content(folder).items(), f"killed at change {number}"
    assert number > 40 and set(reached) == {-1, 0, 2}


def test_a_run_goes_on_for_longer(tiny: Callable[..., Result]) -> None:
    """Where its steps were taken as they would have been; and from nothing it does not begin anew."""
    Path("run").mkdir()
    tiny("run")
    tiny("run", resume=True, steps="8")
    tiny("whole", steps="8")
    assert content(Path("run"))["weights.safetensors"] == content(Path("whole"))["weights.safetensors"]
    with pytest.raises(TrainingError, match=r"has 8 steps, and not 4: .* not shorter"):
        tiny("run", resume=True)
    falls = {"schedule": "constant(steps=2) -> cosine"}
    tiny("falls", **falls)
    with pytest.raises(TrainingError, match=r"the learning rate was .* at step 4, and would have been"):
        tiny("falls", resume=True, steps="8", **falls)
    waits = {"schedule": "plateau", "measurements": "2"}
    tiny("waits", **waits)
    with pytest.raises(TrainingError, match="made every 4 steps, and not every 2"):
        tiny("waits", resume=True, steps="8", **waits)
    shutil.rmtree(Path("run", CHECKPOINTS))
    before = content(Path("run"))
    with pytest.raises(TrainingError, match="checkpoints of the run in run are gone"):
        tiny("run", resume=True, steps="8")
    assert content(Path("run")) == before


def test_averaged_weights_are_those_that_are_measured_and_saved(tiny: Callable[..., Result]) -> None:
    """Averages that hardly move score as they did at first, whatever the trained weights have learnt."""
    errors = []
    for folder, slowness in (("slow", "0.99999"), ("none", "0")):
        tiny(folder, steps="20", optimizer="sgd(lr=0.01)", moving_average=slowness)
        rows = [line.split(",") for line in Path(folder, "metrics.csv").read_text().splitlines()]
        errors.append([float(row[rows[0].index("training_error")]) for row in rows[1:]])
    assert len(set(errors[0])) == 1 and errors[1][0] == errors[0][0] > errors[1][-1]
    last = Checkpoint.newest(Path("slow"))
    assert last is not None
    saved, state = load_file("slow/weights.safetensors"), last.tensors()
    assert saved and all(torch.equal(tensor, state[f"average/{name}"]) for name, tensor in saved.items())
    assert not any(torch.equal(tensor, state[f"model/{name}"]) for name, tensor in saved.items())


def test_going_on_and_stopping_at_once_writes_over_nothing(
    tiny: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only checkpoint is not replaced by one of the same step: for a moment there would be neither."""
    with monkeypatch.context() as patch:
        StopInStep(patch, 1)
        assert tiny("run", measurements="1").steps == 1
    place = Path("run", CHECKPOINTS, "step-000000000001")
    before = place.stat()
    begin = _Training._begin

    def stopped(self: _Training) -> None:
        begin(self)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_Training, "_begin", stopped)
    again = tiny("run", resume=True, measurements="1")
    assert again.interrupted and (again.steps, again.taken) == (1, 0)
    assert place.stat() == before


@pytest.mark.parametrize("word", sorted(Optimizer.words))
def test_the_state_of_every_optimizer_is_taken_up(word: str) -> None:
    """With averaged weights and the scale of a loss beside it: the next steps come out bit for bit."""
    net = archdsl.loads(TINY)
    options = {"optimizer": Optimizer.words[word].new(**({"lr": 0.1} if word == "sgd" else {}))}
    recipe, _ = read_recipe(net.network.train, net.network)
    assert recipe is not None
    recipe = replace(recipe, **options, moving_average=0.9, precision="float16")  # type: ignore[arg-type]
    torch.manual_seed(0)
    whole = net.build()
    again = copy.deepcopy(whole)
    batches = [(torch.randn(5, 4), torch.randint(3, (5,))) for _ in range(6)]
    one, other = (Step(model, recipe, optimizer(model, net.network, recipe)) for model in (whole, again))
    for x, y in batches[:3]:
        one(x, y)
    saved = {name: tensor.detach().clone() for name, tensor in one.state()}
    other.restore(saved)
    for x, y in batches[3:]:
        one(x, y)
        other(x, y)
    found, wanted = dict(other.state()), dict(one.state())
    assert found.keys() == wanted.keys()
    assert [name for name, tensor in wanted.items() if not torch.equal(tensor, found[name])] == []
    assert all(not torch.equal(tensor, saved[name]) for name, tensor in wanted.items() if "average" in name)


def test_how_often_a_run_is_measured(tmp_path: Path) -> None:
    run(tmp_path / "run", NETWORK.replace("steps          = 300", "steps = 50\n  measurements = 5"))
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "10", "20", "30", "40", "50"]


def test_two_processes_never_train_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "noisy.arch").write_text(NETWORK.replace("= 300", "= 20_000"))
    first = start("train", "noisy.arch", "--out", "run", cwd=tmp_path)
    try:
        until = time.monotonic() + 120
        while not list((tmp_path / "run" / CHECKPOINTS).glob("step-*")) and time.monotonic() < until:
            time.sleep(0.01)
        second = started("train", "noisy.arch", "--out", "run", "--resume", cwd=tmp_path)
        assert second.returncode == 1
        assert second.stderr == "error: another process is training in run\n"
        assert first.returncode is None
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    # What held the folder is gone with the process that did.
    run(tmp_path / "run", NETWORK.replace("= 300", "= 20_000"), stop=1, resume=True)


def test_tensorboard_shows_what_was_measured(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    net = archdsl.loads(NETWORK)
    recipe, _ = read_recipe(net.network.train, net.network, {"steps": "40", "measurements": "4"})
    assert recipe is not None
    train(net.network, recipe, tmp_path / "run", progress=StopAt(20), tensorboard=True)
    train(net.network, recipe, tmp_path / "run", resume=True, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    names = ["error", "top_3_error"]
    wanted = {"loss", "rate", *(f"{name}/{which}" for name in names for which in ("training", "test"))}
    assert set(events.Tags()["scalars"]) == wanted
    rows = [line.split(",") for line in (tmp_path / "run/metrics.csv").read_text().splitlines()]
    place = rows[0].index("test_error")
    found = [(event.step, round(event.value, 5)) for event in events.Scalars("error/test")]
    assert found == [(int(row[0]), float(row[place])) for row in rows[1:]]
    assert [step for step, _ in found] == [0, 10, 20, 30, 40]


class StopInStep:
    """Presses Ctrl-C while a step is taken, which is not measured after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        original = Step.__call__

        def counted(step: Step, *given: Any) -> None:
            original(step, *given)
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Step, "__call__", counted)


def test_stops_between_measurements_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the metrics, whose mean losses span them, nor in the patience of a plateau."""
    text = NETWORK.replace("steps          = 300", "steps          = 120\n  measurements   = 12")
    run(tmp_path / "whole", text)
    resume = False
    for steps in (7, 9, 31, 40):
        with monkeypatch.context() as patch:
            StopInStep(patch, steps)
            assert run(tmp_path / "run", text, resume=resume).interrupted
        resume = True
    assert not run(tmp_path / "run", text, resume=True).interrupted
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_a_run_that_had_no_time_for_a_checkpoint_begins_anew(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").touch()
    run(tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == content(whole)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/thesis.txt").write_text("not a run's")
    with pytest.raises(TrainingError, match=r"no run in .*own to resume"):
        run(tmp_path / "own", resume=True)


@pytest.mark.parametrize("lost", ["metrics.csv", "train.log", "network.arch"])
def test_a_run_that_lost_a_file_is_refused(tmp_path: Path, lost: str) -> None:
    run(tmp_path / "run", NETWORK.replace("= 300", "= 10"))
    (tmp_path / "run" / lost).unlink()
    with pytest.raises(TrainingError, match="can't be read"):
        run(tmp_path / "run", NETWORK.replace("= 300", "= 10"), resume=True)


def test_nothing_to_train(tmp_path: Path) -> None:
    text = "network N {\n input signal: [1, 40]\n flatten\n head: linear(10)\n}\ntrain {\n data = mnist1d\n"
    text += " loss = cross_entropy\n optimizer = sgd(lr=1)\n batch = 10\n steps = 5\n head.rate = 0\n}\n"
    with pytest.raises(TrainingError, match="every part that learns has the rate 0"):
        run(tmp_path / "run", text)
