"""The folder of a run: what was trained, how, and how it went. No file in it is ever half written."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor

from archdsl.compiler import Network
from archdsl.project import PYTHON, RECIPE
from archdsl.recipes.initialisations import Pretrained
from archdsl.recipes.keys import LENGTH
from archdsl.recipes.recipe import Recipe
from archdsl.source import Source
from archdsl.syntax.tokens import words
from archdsl.training.choices import Choices
from archdsl.training.copies import copies
from archdsl.training.curve import Line, alone, curve
from archdsl.training.folder import NETWORK, TrainingError
from archdsl.version import version
from archdsl.weights.matching import Matching
from archdsl.writing import unwritten

if TYPE_CHECKING:
    from archdsl.training.examples import Examples

LOG = "train.log"
PRETRAINED = "pretrained.csv"
PART = ".part"
"""How the name of a file ends that is not there yet."""
CHECKPOINTS = "checkpoints"
STATE = "state.safetensors"
PARTS = "parts.json"
LOCK = ".lock"
PAGE = "run.html"
PACE = "pace.csv"
FIRST = {LOCK, LOG, PRETRAINED, RECIPE}
"""What a run writes before all else: a folder of nothing more is one that had hardly begun."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured after a step: each metric on the training and on the test examples, the mean loss
    since the last measurement, and the learning rate."""

    step: int
    training: list[float]
    test: list[float]
    loss: float | None
    rate: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast training went from the measurement before up to a step: examples a second, and the share of
    the time that it waited for them."""

    step: int
    examples: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a run goes on from, after so many steps, in a folder of `.safetensors` files.

    It is one file, or one of each process that had a part of the state.
    """

    step: int
    place: Path

    @property
    def in_parts(self) -> bool:
        return not (self.place / STATE).exists()

    def tensors(self) -> dict[str, Tensor]:
        """The state of a run that was not in parts."""
        return load_file(self.place / STATE)

    def whole(self) -> bool:
        """Whether every file is as it was written: none cut short, changed or lost, by whatever means."""
        try:
            written = json.loads((self.place / PARTS).read_text(encoding="utf-8"))
            return bool(written) and bool(written == _checksums(self.place))
        except (OSError, ValueError):
            return False

    @staticmethod
    def newest(folder: Path) -> Checkpoint | None:
        """The last whole checkpoint of a run. One that is being written has no name yet, so none is half."""
        for place in sorted((folder / CHECKPOINTS).glob("step-*"), reverse=True):
            number = place.name.removeprefix("step-")
            if number.isdigit() and Checkpoint(int(number), place).whole():
                return Checkpoint(int(number), place)
        return None


class Run:
    """A run's folder. `measurements` are those so far, `last` the checkpoint that it goes on from.

    Of several processes one `writes`, and the others know what it does. A run never overwrites another.
    Raises `TrainingError` where something is in the folder already or it can't be written; and, to resume,
    where there is no run in it, its checkpoints are gone, or the run is of another network or recipe.
    """

    def __init__(
        self, folder: Path, network: Network, recipe: Recipe, resume: bool = False, writes: bool = True
    ) -> None:
        self.folder = folder
        self._writes = writes
        self._held: FileLock | None = None
        self.measurements: list[Measurement] = []
        self.paces: list[Pace] = []
        self.last: Checkpoint | None = None
        self._network = network
        self._recipe = recipe
        self._log: list[str] = []
        self._described: dict[str, Any] = {}
        self._began: list[tuple[str, str, str]] = []
        self._begun = time.perf_counter()
        if resume:
            self._lock()
            self._take_up()
            return
        if not writes:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = {path.name.removesuffix(PART) for path in folder.iterdir()}
        except FileExistsError:
            raise TrainingError(f"{folder} is a file: name a folder with --out") from None
        except OSError as error:
            raise TrainingError(f"{folder} can't be made: {error.strerror}") from None
        if there:
            own = RECIPE in there or there <= FIRST
            why, mend = ("", ", or go on with --resume") if own else (", and what is in it is no run", "")
            raise TrainingError(f"{folder} exists already{why}: name another folder with --out{mend}")
        self._lock()

    def _lock(self) -> None:
        """Keep others from writing into the folder, until this process ends or the run is closed."""
        if not self.folder.is_dir():
            raise TrainingError(f"there is no run in {self.folder} to resume")
        if not self._writes:
            return
        self._held = FileLock(self.folder / LOCK, blocking=False)
        try:
            self._held.acquire()
        except Timeout:
            raise TrainingError(f"another process is training in {self.folder}") from None
        except OSError as error:
            raise TrainingError(unwritten(self.folder, error)) from None

    def close(self) -> None:
        """Let others write into the folder."""
        if self._held is not None:
            self._held.release()

    @property
    def seconds(self) -> float:
        """The time since the run was begun or taken up."""
        return time.perf_counter() - self._begun

    def _take_up(self) -> None:
        """Read what is there of a run that stopped; one that had no time for a checkpoint begins anew."""
        self.last = Checkpoint.newest(self.folder)
        begun = (self.folder / RECIPE).is_file()
        there = {path.name.removesuffix(PART) for path in self.folder.iterdir()}
        if not begun and (CHECKPOINTS in there or not there <= FIRST):
            raise TrainingError(f"there is no run in {self.folder} to resume")
        if self.last is None and any((self.folder / CHECKPOINTS).glob("step-*")):
            raise TrainingError(f"the run in {self.folder} has no whole checkpoint to resume from")
        # The page is first written after a checkpoint: without one there is nothing yet to lose.
        if self.last is None and PAGE in there:
            raise TrainingError(
                f"the checkpoints of the run in {self.folder} are gone, and it can't go on: to begin anew, "
                "name another folder with --out, or remove this one, with its metrics and weights"
            )
        if self.last is None and CHECKPOINTS not in there:
            return
        try:
            self._described = json.loads((self.folder / RECIPE).read_text(encoding="utf-8"))
            before = self._described["recipe"]
            text = (self.folder / NETWORK).read_text(encoding="utf-8")
            self._log = (self.folder / LOG).read_text(encoding="utf-8").splitlines(keepends=True)
        except (OSError, ValueError, KeyError, TypeError):
            raise TrainingError(f"the run in {self.folder} can't be read") from None
        own, *imported = self._copies().items()
        if words(Source(NETWORK, text)) != words(own[1]):
            raise self._changed(NETWORK)
        for name, source in imported:
            if self._differs(source, self.folder / name):
                raise self._changed(name)
        now = {"network": self._network.name, **self._recipe.to_dict()}
        changed = [key for key in now if now[key] != before.get(key)]
        if changed and set(changed) <= set(LENGTH) and self.last is not None:
            self._refuse_other_steps(before, self.last.step)
        elif changed:
            key = changed[0]
            was, would = ("nothing" if one.get(key) is None else one[key] for one in (before, now))
            raise TrainingError(
                f"the run in {self.folder} has `{key}` {was}, and not {would}: a run goes on with the recipe "
                "that it began with"
            )
        if self.last is not None:
            try:
                self._read_metrics(self.last.step)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is broken"
                raise TrainingError(f"{self.folder / 'metrics.csv'} can't be read: {reason}") from None
            self._read_paces(self.last.step)

    def _refuse_other_steps(self, before: dict[str, Any], done: int) -> None:
        """Refuse another length than that of the run, unless it is longer, and the steps until now were taken
        as they would have been."""
        examples, tests = map(int, self._described["examples"])
        planned = replace(self._recipe, steps=before.get("steps"), epochs=before.get("epochs"))
        why = not_as_long(planned, self._recipe, done, examples, tests)
        if why is not None:
            length, other = (one.all_steps(examples) for one in (planned, self._recipe))
            raise TrainingError(f"the run in {self.folder} has {length:,} steps, and not {other:,}: {why}")

    def _changed(self, name: str) -> TrainingError:
        """A run goes on with what it began with, and no other."""
        return TrainingError(
            f"the file has changed since the run in {self.folder} began; as it was it is {self.folder / name}"
        )

    def _differs(self, source: Source, copy: Path) -> bool:
        """Whether an imported file says something else than the run's copy of it; none says nothing."""
        try:
            if source.name.endswith(PYTHON):
                return copy.read_bytes() != source.text.encode()
            return words(Source(source.name, copy.read_text(encoding="utf-8"))) != words(source)
        except OSError:
            return False
        except UnicodeDecodeError:
            return True

    def _copies(self) -> dict[str, Source]:
        """The files of the network, by the names of their copies; the network's own is the first."""
        return copies(self._network.place.source, self._network.sources, NETWORK)

    def _read_metrics(self, end: int) -> None:
        """The measurements up to a step: those after it will be made again."""
        count = len(self._recipe.metrics)
        for line in (self.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]:
            step, *rest = line.split(",")
            values = [float(value) for value in rest[: 2 * count]]
            loss, rate = rest[2 * count :]
            if int(step) <= end:
                self.measurements.append(
                    Measurement(
                        int(step), values[0::2], values[1::2], float(loss) if loss else None, float(rate)
                    )
                )

    def _read_paces(self, end: int) -> None:
        """How fast it went up to a step, as far as that can be read: nothing else depends on it."""
        with suppress(OSError, ValueError):
            for line in (self.folder / PACE).read_text(encoding="utf-8").splitlines()[1:]:
                step, examples, waiting = line.split(",")
                if int(step) <= end:
                    self.paces.append(Pace(int(step), float(examples), float(waiting)))

    def changed(self, examples: Examples) -> str | None:
        """What a run that goes on says where its data are not those that it began with."""
        for what, now in _data(examples).items():
            before = self._described.get(what, now)
            if before != now:
                how = f", {before} then and {now} now" if what == "examples" else ""
                return f"the data have changed since the run in {self.folder} began: other {what}{how}"
        return None

    def describe(
        self, device: torch.device, examples: Examples, choices: Choices, processes: int = 1
    ) -> None:
        """Write down the files, the recipe as it was resolved, what there is of data, and what it runs on,
        with what the program chose by itself."""
        machine = {
            "device": str(device),
            **choices.to_dict(),
            "processes": processes,
            "processor": _processor(device),
            "archdsl": version(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
        }
        recipe = {"network": self._network.name, **self._recipe.to_dict()}
        self._described = {
            "schema": 1,
            "recipe": recipe,
            "options": self._network.options,
            **_data(examples),
            "machine": machine,
        }
        self._write_recipe()
        for name, source in self._copies().items() if self._writes else ():
            self._write(name, source.text.encode())

    def steps_are(self, taken: str) -> None:
        """Write down how the steps are taken: whether they are compiled, and why not."""
        self.log(taken)
        self._described["machine"]["steps"] = taken
        self._write_recipe()

    def _write_recipe(self) -> None:
        self._write(RECIPE, (json.dumps(self._described, indent=2) + "\n").encode())

    def began_from(self, how: Pretrained, found: Matching) -> None:
        """Write down which layer began with the weights of which module of a file."""
        count = len(found.matches)
        begin = "1 layer begins" if count == 1 else f"{count:,} layers begin"
        self.log(f"{begin} with {how.file}, matched by {found.by}")
        for remark in found.remarks:
            self.log(f"of {how.file}: {remark}")
        self._began += [(match.layer, match.module, how.file) for match in found.matches]
        table = StringIO()
        csv.writer(table).writerows([("layer", "module", "file"), *self._began])
        self._write(PRETRAINED, table.getvalue().encode())

    def log(self, line: str) -> None:
        """Add a line to the log, with the seconds since the run was begun."""
        self._log.append(f"{self.seconds:9.1f} s  {line}\n")
        self._write(LOG, "".join(self._log).encode())

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """Save the weights that are being measured."""
        self._write("weights.safetensors", packed(_plain(weights)))

    def measured(self, found: Measurement) -> None:
        """Add a measurement to the metrics and the log."""
        self.measurements.append(found)
        titles = [metric.title for metric in self._recipe.metrics]
        heads = [f"{which}_{title}" for title in titles for which in ("training", "test")]
        lines = [",".join(["step", *heads, "loss", "rate"]), *map(_row, self.measurements)]
        self._write("metrics.csv", ("\n".join(lines) + "\n").encode())
        words = ", ".join(f"{name} {text}" for name, text in said(self._recipe, found))
        self.log(f"step {found.step:,}: {words}")

    @contextmanager
    def checkpoint(self, step: int, wait: Callable[[], None]) -> Iterator[Path]:
        """A folder to write a checkpoint into, which gets its name when all is there; older ones then go.

        All processes are in it at a time, and `wait` for each other. No file in it may hold code.
        """
        folder = self.folder / CHECKPOINTS
        place, aside = folder / f"step-{step:012}", folder / "part"
        try:
            if self._writes:
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir(parents=True)
            wait()
            yield aside
            wait()
            if self._writes:
                (aside / PARTS).write_text(json.dumps(_checksums(aside)), encoding="utf-8")
                if place.exists():
                    shutil.rmtree(place)
                os.replace(aside, place)
                for old in folder.glob("step-*"):
                    if old != place:
                        shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise TrainingError(unwritten(place, error)) from None

    def draw(self) -> None:
        """Draw the curve of the first metric."""
        metric = self._recipe.metrics[0]
        title = f"{self._network.name}: {metric.title.replace('_', ' ')}"
        lines = [
            Line("training", "training", [(m.step, m.training[0]) for m in self.measurements]),
            Line("test", "test", [(m.step, m.test[0]) for m in self.measurements]),
        ]
        self._write("curve.svg", alone(curve(title, lines, metric.percent)).encode())

    def show(self, page: str) -> None:
        """Write the page that shows the run."""
        self._write(PAGE, page.encode())

    def paced(self, pace: Pace) -> None:
        """Add how fast training went up to a step."""
        self.paces.append(pace)
        rows = [f"{p.step},{p.examples:.6g},{p.waiting:.4g}" for p in self.paces]
        self._write(PACE, ("\n".join(["step,examples_per_second,waiting", *rows]) + "\n").encode())

    def _write(self, name: str, content: bytes) -> None:
        """Write a file beside its place and move it there, so that no one sees half of it."""
        if not self._writes:
            return
        path = self.folder / name
        aside = path.with_name(path.name + PART)
        try:
            if path.parent != self.folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(content)
            os.replace(aside, path)
        except OSError as error:
            raise TrainingError(unwritten(path, error)) from None


def not_as_long(planned: Recipe, other: Recipe, done: int, examples: int, tests: int) -> str | None:
    """Why a run that was planned so and took some steps can't be made as long as another; None where it can.

    It must be longer, and those steps must have been taken as they would have been.
    """
    length, longer = (one.all_steps(examples) for one in (planned, other))
    if longer < length:
        return "it can be made longer, but not shorter"
    every, often = (one.measured_every(examples, tests) for one in (planned, other))
    if every != often and any(piece.reactive for piece in other.schedule):
        return (
            f"its schedule answers to measurements, which would have been made every {often:,} steps, "
            f"and not every {every:,}"
        )
    for step in range(done):
        was, would = planned.rate(step, examples), other.rate(step, examples)
        if was != would:
            rates = f"{was:.6g} at step {step + 1:,}, and would have been {would:.6g}"
            return f"by its schedule the learning rate was {rates}"
    return None


def _checksums(place: Path) -> dict[str, int]:
    """The CRC-32 of every file of a checkpoint, by name."""
    found: dict[str, int] = {}
    for path in sorted(place.glob("*.safetensors")):
        checksum = 0
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                checksum = crc32(piece, checksum)
        found[path.name] = checksum
    return found


def said(recipe: Recipe, found: Measurement) -> list[tuple[str, str]]:
    """A measurement in words: each metric on each set of examples, and its value."""
    words = []
    for metric, training, test in zip(recipe.metrics, found.training, found.test, strict=True):
        title = metric.title.replace("_", " ")
        for which, value in (("training", training), ("test", test)):
            words.append((f"{which} {title}", f"{value:.2%}" if metric.percent else f"{value:.5g}"))
    return words


def _row(found: Measurement) -> str:
    values = [f"{v:.5f}" for pair in zip(found.training, found.test, strict=True) for v in pair]
    loss = "" if found.loss is None else f"{found.loss:.6g}"
    return ",".join([str(found.step), *values, loss, f"{found.rate:.6g}"])


def _data(examples: Examples) -> dict[str, Any]:
    """How many examples there are to train on and to test on, and the names of their classes."""
    classes = None if examples.classes is None else list(examples.classes)
    return {"examples": [examples.count, examples.tests], "classes": classes}


def _processor(device: torch.device) -> str:
    """What the device is called, as far as it says."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def free_folder(name: str) -> Path:
    """`runs/NAME-1`, or the next that there is not."""
    number = 1
    while (Path("runs") / f"{name}-{number}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"


def last_folder(name: str) -> Path:
    """The newest of `runs/NAME-1`, `runs/NAME-2` and so on; the first where there is none."""
    number = 1
    while (Path("runs") / f"{name}-{number + 1}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"


def write_state(tensors: Mapping[str, Tensor], place: Path) -> None:
    """Write a state into the folder of a checkpoint."""
    (place / STATE).write_bytes(packed(_plain(tensors)))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
