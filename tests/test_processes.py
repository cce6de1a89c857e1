"""Several processes that train together: real ones, on this machine's CPU."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forks import Started, run, start
from safetensors.torch import load_file

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train
from archdsl.training.processes import Parted, Processes
from archdsl.training.run import CHECKPOINTS, Checkpoint
from archdsl.training.together import idle
from archdsl.training.trained import Trained

PLAIN = """network Small {
  input signal: [1, 40]
  conv(8, kernel=3, stride=2) -> relu
  body: { conv(8, kernel=3, stride=2) -> relu }
  scores: flatten -> linear(10)
  early: from body -> global_avg_pool -> flatten -> linear(10)
  spare: from body -> global_avg_pool -> flatten -> linear(3)
  output scores, early, spare
}

train {
  data           = mnist1d(examples=490)
  loss           = cross_entropy(scores) + 0.3 * cross_entropy(early, ignore=2)
  optimizer      = OPTIMIZER
  batch          = 97
  steps          = 60
  measurements   = 6
  augment        = random_crop(40, padding=2)
  moving_average = 0.9
  clip           = norm(1)
}
"""
"""490 examples: the last batch of an epoch has five, which two processes share. Of three outputs the loss
judges two, with weights; the third one's layer gets no gradient in any process."""
NORMALISED = PLAIN.replace("-> relu\n  body", "-> batch_norm(momentum=0.9) -> relu\n  body").replace(
    "OPTIMIZER", "sgd(lr=0.1, momentum=0.9)"
)
ADAM = PLAIN.replace("OPTIMIZER", "adamw(lr=0.01)")


def together(folder: Path, count: int, *arguments: str) -> list[Started]:
    """So many processes under way that train together, as torchrun starts them."""
    words = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        start("train", "small.arch", "--out", "run", *arguments, cwd=folder, RANK=str(rank), **words)
        for rank in range(count)
    ]


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
        return port


def until_it_measures(folder: Path) -> None:
    """Wait for the first measurement of a run that another process takes, and the checkpoint after it."""
    until = time.monotonic() + 120
    while not (folder / "metrics.csv").exists() or Checkpoint.newest(folder) is None:
        assert time.monotonic() < until
        time.sleep(0.05)


def losses(folder: Path) -> list[float]:
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    return [float(row[rows[0].index("loss")]) for row in rows[2:]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process comes to."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    net = archdsl.loads(ADAM)
    recipe, found = read_recipe(net.network.train, net.network)
    assert recipe is not None and not found
    train(net.network, recipe, folder)
    return folder


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Started]]:
    """What two processes come to, and what they said."""
    folder = tmp_path_factory.mktemp("paired")
    (folder / "small.arch").write_text(ADAM)
    return folder, [one.wait() for one in together(folder, 2)]


def killed(folder: Path, processes: list[Started], after: int = 0) -> int:
    """Kill the processes of a run at the next checkpoint; the step that it can go on from."""
    place = folder / "run" / CHECKPOINTS
    until = time.monotonic() + 120
    while max((path.name for path in place.glob("step-*")), default="") <= f"step-{after:012}":
        assert time.monotonic() < until
        time.sleep(0.01)
    for one in processes:
        one.send_signal(signal.SIGKILL)
    for one in processes:
        one.wait()
    last = Checkpoint.newest(folder / "run")
    assert last is not None and after < last.step < 60
    return last.step


def by_slurm(folder: Path, *words: str) -> list[Started]:
    """Two tasks that train in the places that SLURM gives."""
    given = {"SLURM_STEP_NUM_TASKS": "2", "MASTER_PORT": str(free_port())}
    return [
        start(
            "train", "small.arch", "--out", "run", *words,
            cwd=folder, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), **given,
        )
        for rank in range(2)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of two processes that SLURM started, killed, and the step that they can go on from."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "small.arch").write_text(ADAM)
    return folder, killed(folder, by_slurm(folder))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Started]:
    """What two processes come to that have a part of the state each, and what the command said."""
    folder = tmp_path_factory.mktemp("split")
    (folder / "small.arch").write_text(ADAM)
    done = run("train", "small.arch", "--out", "run", "--devices", "2", "--shard", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def agree(found: Path, wanted: Path) -> None:
    """Losses to a thousandth, and weights to a hundredth: sums are taken in another order."""
    assert losses(found) == pytest.approx(losses(wanted), rel=1e-3)
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (found, wanted))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(
            tensor, theirs[name], rtol=1e-2, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_every_example_is_someones_share() -> None:
    for count in (0, 1, 2, 5, 96, 97):
        for processes in (1, 2, 3, 8):
            shares = [Processes(rank, processes).share(count) for rank in range(processes)]
            assert [i for share in shares for i in range(share.start, share.stop)] == list(range(count))
            sizes = [share.stop - share.start for share in shares]
            assert max(sizes) - min(sizes) <= 1 and sizes[0] == max(sizes)


def test_which_weights_lie_idle() -> None:
    """Those on no way to an output that is judged; not those that are shared with a layer that is on one."""
    text = """network Ways {
      input signal: [1, 40]
      stem: flatten -> linear(20)
      shared tied: linear(3)
      spare: from stem -> tied
      scores: from stem -> relu -> tied
      other: from scores -> softmax
      output scores, spare, other
    }"""
    for changed, judged, expected in (
        (text, {0}, False),
        (text, {1}, False),
        (text.replace("spare: from stem -> tied", "spare: from stem -> linear(3)"), {0}, True),
        (text.replace("spare: from stem -> tied", "spare: from stem -> linear(3)"), {1, 2}, False),
        (text.replace("spare: from stem -> tied", "spare: from stem -> linear(3)"), {1}, True),
    ):
        assert idle(archdsl.loads(changed).network, judged) is expected


def as_one(folder: Path, done: list[Started], alone: Path, parts: int) -> None:
    """The same examples made up a step, augmented alike; and only one process spoke and wrote."""
    assert [one.returncode for one in done] == [0] * len(done), [one.stderr for one in done]
    said = "".join(one.stderr for one in done)
    assert said.count("step 60 of 60") == 1 and "Traceback" not in said and "Warning" not in said
    assert "".join(one.stdout for one in done).count("training error") == 1
    agree(folder / "run", alone)
    assert len([*(folder / "run" / CHECKPOINTS).glob("*/*.safetensors")]) == parts


def test_two_processes_compute_what_one_does(paired: tuple[Path, list[Started]], alone: Path) -> None:
    as_one(*paired, alone, parts=1)


def test_as_many_processes_go_on_bit_for_bit_in_the_places_that_slurm_gives(
    tmp_path: Path, begun: tuple[Path, int], paired: tuple[Path, list[Started]]
) -> None:
    shutil.copytree(begun[0], tmp_path, dirs_exist_ok=True)
    tasks = by_slurm(tmp_path, "--resume")
    assert [task.wait().returncode for task in tasks] == [0, 0], tasks[0].stderr
    found, wanted = tmp_path / "run", paired[0] / "run"
    assert f"going on after step {begun[1]}" in (found / "train.log").read_text()
    assert losses(found) == losses(wanted)
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (found, wanted))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_a_killed_run_goes_on_with_another_number_of_processes(
    tmp_path: Path, begun: tuple[Path, int], alone: Path
) -> None:
    """Two of them, then three that split the state, then one."""
    shutil.copytree(begun[0], tmp_path, dirs_exist_ok=True)
    first = begun[1]
    second = killed(tmp_path, together(tmp_path, 3, "--shard", "--resume"), first)
    done = run("train", "small.arch", "--out", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for step in (first, second):
        assert f"going on after step {step}" in (tmp_path / "run/train.log").read_text()
    agree(tmp_path / "run", alone)


def test_two_processes_that_split_the_state_compute_what_one_does(
    split: tuple[Path, Started], alone: Path
) -> None:
    """Started by the command, which says what they say."""
    folder, done = split
    as_one(folder, [done], alone, parts=2)


@pytest.mark.parametrize("shard", [[], ["--shard"]], ids="-".join)
def test_processes_agree_on_statistics(tmp_path: Path, shard: list[str]) -> None:
    """What is measured by all is what the saved network scores: running statistics are of one process."""
    (tmp_path / "small.arch").write_text(NORMALISED)
    done = [one.wait() for one in together(tmp_path, 2, *shard)]
    assert [one.returncode for one in done] == [0, 0], done[0].stderr
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()
    last = float(rows[-1].split(",")[rows[0].split(",").index("test_error")])
    assert Trained(tmp_path / "run").score().metrics["error"] == pytest.approx(last, abs=1e-5)


def test_two_machines(tmp_path: Path, alone: Path) -> None:
    """Two launchers that meet on the loopback, a process each."""
    (tmp_path / "small.arch").write_text(ADAM)
    port = free_port()
    launchers = [
        subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
                f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}",
                "-m", "archdsl", "train", "small.arch", "--out", "run",
            ],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [launcher.communicate(timeout=240) for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    assert "step 60 of 60" in said[0][1] and "step" not in said[1][1]
    agree(tmp_path / "run", alone)


def test_ctrl_c_reaches_all_processes(tmp_path: Path) -> None:
    (tmp_path / "small.arch").write_text(ADAM.replace("= 60", "= 100_000"))
    process = subprocess.Popen(
        [sys.executable, "-m", "archdsl", "train", "small.arch", "--out", "run", "--devices", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until_it_measures(tmp_path / "run")
    time.sleep(1)
    # As a terminal does: to the launcher and to its processes.
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "archdsl train run --devices 2 --resume\n" in said
    assert "Traceback" not in said and "internal error" not in said


def test_what_the_first_process_has_against_a_folder_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "small.arch").write_text(ADAM)
    (tmp_path / "run").write_text("")
    done = [one.wait() for one in together(tmp_path, 2)]
    assert [one.returncode for one in done] == [1, 1]
    said = "error: run is a file: name a folder with --out\n"
    assert [one.stderr for one in done] == [said, ""]


def test_a_loss_that_is_no_number_ends_all_processes(tmp_path: Path) -> None:
    (tmp_path / "small.arch").write_text(
        PLAIN.replace("OPTIMIZER", "sgd(lr=1e15)").replace("norm(1)", "norm(1e15)")
    )
    done = run("train", "small.arch", "--out", "run", "--devices", "2", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("the loss is no number after a step from 1 to 10") == 1


def test_a_process_that_ended_is_spoken_of_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended it is its own to say; torch says to the others which address it had."""

    def lost(**_: object) -> None:
        raise RuntimeError("[/pytorch/gloo/pair.cc:553] Connection closed by peer [127.0.0.1]:16265")

    monkeypatch.setattr(torch.distributed, "barrier", lost)
    with pytest.raises(Parted, match=r"^another process of the run has ended$"):
        Processes(1, 2).wait()
    # As its gradient is summed, and nothing else that goes wrong there.
    with pytest.raises(Parted), Processes(1, 2).computing():
        lost()
    with pytest.raises(RuntimeError, match="out of memory"), Processes(1, 2).computing():
        raise RuntimeError("out of memory")


def test_one_of_two_processes_is_killed(tmp_path: Path) -> None:
    """Whoever started them says which it was, up to where all is saved, and how to go on."""
    (tmp_path / "small.arch").write_text(ADAM.replace("= 60", "= 100_000").replace("= 6\n", "= 10_000\n"))
    launcher = start("train", "small.arch", "--out", "run", "--devices", "2", cwd=tmp_path)
    until_it_measures(tmp_path / "run")
    lock = str((tmp_path / "run/.lock").resolve())
    others = Path(f"/proc/{launcher.process.pid}/task/{launcher.process.pid}/children")
    writes = [
        int(child)
        for child in others.read_text().split()
        if any(os.path.realpath(open_) == lock for open_ in Path(f"/proc/{child}/fd").iterdir())
    ]
    os.kill(writes[0], signal.SIGKILL)
    assert launcher.wait().returncode == 1
    said = launcher.stderr.split("error: ")[1].splitlines()
    assert said[0] == "process 1 of 2 was ended by SIGKILL, as where memory runs out"
    assert re.fullmatch(r"what was trained up to step [\d,]+ is saved. To go on:", said[1])
    assert said[2:] == ["  archdsl train run --devices 2 --resume"]


def test_what_can_not_be_split(tmp_path: Path) -> None:
    (tmp_path / "small.arch").write_text(ADAM)
    done = [one.wait() for one in together(tmp_path, 2, "--shard", "--set", "train.precision=float16")]
    assert [one.returncode for one in done] == [1, 1]
    assert "".join(one.stderr for one in done).count("are not trained in float16") == 1
    alone = run("train", "small.arch", "--device", "cuda", "--devices", "99", cwd=tmp_path)
    assert alone.returncode == 1 and "devices to train on here, not 99" in alone.stderr


def test_a_mistake_in_the_file_is_said_under_a_launcher(tmp_path: Path) -> None:
    (tmp_path / "small.arch").write_text(ADAM.replace("batch          = 97", "batch = many"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", "archdsl", "train", "small.arch"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("error[") == 1 and "small.arch:15:" in done.stderr


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "small.arch").write_text(ADAM.replace("= 60", "= 100_000"))
    launcher = start("train", "small.arch", "--out", "run", "--devices", "2", cwd=tmp_path)
    until_it_measures(tmp_path / "run")
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    until = time.monotonic() + 120
    while "interrupted" not in (tmp_path / "run/train.log").read_text():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_one_part_of_a_checkpoint_is_lost(tmp_path: Path, split: tuple[Path, Started]) -> None:
    shutil.copytree(split[0], tmp_path, dirs_exist_ok=True)
    next((tmp_path / "run" / CHECKPOINTS).glob("*/shard-00002*")).unlink()
    done = run("train", "small.arch", "--out", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: the run in run has no whole checkpoint to resume from\n"
    done = run("train", "small.arch", "--out", "other", "--shard", cwd=tmp_path)
    assert done.returncode == 2 and "--devices N" in done.stderr
