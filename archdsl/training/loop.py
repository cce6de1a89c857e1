"""The training loop: a network, a recipe, and a folder that holds what came of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from archdsl.analysis import analyse
from archdsl.compiler import Network
from archdsl.lowering.build import build
from archdsl.recipes.recipe import Recipe
from archdsl.recipes.schedules import Schedule
from archdsl.training.board import Board
from archdsl.training.diagnosis import first_without_number
from archdsl.training.examples import Batch, Examples
from archdsl.training.initialisation import initialise, take_pretrained
from archdsl.training.measuring import measure
from archdsl.training.parameters import freeze, optimizer
from archdsl.training.run import Checkpoint, Measurement, Run, TrainingError
from archdsl.training.sources import load
from archdsl.training.step import NotCompiled, Step
from archdsl.training.transforming import augmented

MEASURED = 10_000
"""The most training examples that are measured."""
MACS_OF_ONE_THREAD = 20_000_000
"""Below so many multiplications a batch, threads cost more than they save."""


class Progress(Protocol):
    """Is told how a run goes: the step, of how many, and what was measured; or what it is busy with."""

    def __call__(self, step: int, steps: int, measured: Measurement) -> None: ...

    def busy(self, what: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to: the last measurement, the steps behind it, and those `taken` this time."""

    folder: Path
    measured: Measurement
    steps: int
    taken: int
    seconds: float
    interrupted: bool


def train(
    network: Network,
    recipe: Recipe,
    folder: Path,
    device: str = "cpu",
    progress: Progress | None = None,
    resume: bool = False,
    tensorboard: bool = False,
) -> Result:
    """Train a network as its recipe says, and write the run into a new folder.

    With `resume` the run in the folder goes on from its last checkpoint, as if it had not stopped.
    `progress` is told of every measurement, and with `tensorboard` so are event files for it. Ctrl-C ends
    the run early, with everything written. Raises `TrainingError` where the device is not there, where the
    folder exists (or does not, to resume), holds another run, is written by another process or can't be
    written, and where the loss is no number any more; `ArchError` where the recipe begins from weights that
    are not there or not the network's.
    """
    where = device_of(device)
    with _threads(network, recipe):
        torch.manual_seed(recipe.seed)
        model = build(network)
        initialise(model, recipe)
        # A run that goes on has its weights, and the files that it began with may be gone.
        taken = [] if resume else take_pretrained(model, network, recipe)
        with closing(Run(folder, network, recipe, resume)) as run:
            for how, matching in taken:
                run.began_from(how, matching)
            model.to(where)
            freeze(model, recipe)
            examples = load(recipe, where)
            run.describe(where, examples.classes)
            step = Step(model, recipe, optimizer(model, network, recipe))
            since = 0 if run.last is None else run.last.step
            with Board(folder, recipe, since) if tensorboard else nullcontext() as board:
                return _Training(run, step, recipe, examples, progress, board).all_steps()


class _Training:
    """One training under way."""

    def __init__(
        self,
        run: Run,
        step: Step,
        recipe: Recipe,
        examples: Examples,
        progress: Progress | None,
        board: Board | None,
    ) -> None:
        self.run = run
        self.step = step
        self.recipe = recipe
        self.examples = examples
        self.progress = progress
        self.board = board
        self.steps = recipe.all_steps(examples.count)
        self.done = 0
        self.plateau = Plateau(recipe)
        self._left_out: set[str] = set()
        self._seconds = run.seconds
        self._waited = 0.0

    def all_steps(self) -> Result:
        """Take every step of the recipe, or those before Ctrl-C."""
        every = max(1, self.steps // self.recipe.measurements)
        with self._interruptible():
            self._begin()
            begun = self.done
            if begun < self.steps:
                self._compile()
            for inputs, targets in self._left(self.steps):
                if self.interrupted:
                    break
                self.step.set_rate(self._rate())
                x, mixed = augmented(self.recipe, self.done, inputs, targets)
                self.step(x, targets, mixed)
                self.done += 1
                if self.done % every == 0 or self.done == self.steps:
                    self._check_loss()
                    self._measure()
            interrupted = self.done < self.steps
            if interrupted:
                self.run.log(f"interrupted after step {self.done:,}")
            if self.run.measurements[-1].step != self.done:
                self._measure()
            self.run.draw()
        last = self.run.measurements[-1]
        taken = self.done - begun
        return Result(self.run.folder, last, self.done, taken, self.run.seconds, interrupted)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """While this is active Ctrl-C, or SIGTERM, waits for the step to end; a second one does not."""
        self.interrupted = False

        def stop(number: int, frame: object) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            if self.progress is not None:
                self.progress.busy("stopping after this step")

        if threading.current_thread() is not threading.main_thread():
            # Only the main thread may say what a signal does.
            yield
            return
        # A batch system that wants its machine back sends the second.
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _begin(self) -> None:
        """From the last checkpoint where there is one, otherwise from the initial weights."""
        last = self.run.last
        if last is None:
            self._measure()
            return
        self.step.restore(last.tensors)
        torch.set_rng_state(last.tensors["random"])
        if "random.cuda" in last.tensors:
            torch.cuda.set_rng_state(last.tensors["random.cuda"])
        self.done = last.step
        for measured in self.run.measurements:
            self.plateau.see(measured)
        self.run.log(f"going on after step {self.done:,}")

    def _left(self, steps: int) -> Iterator[Batch]:
        """The batches of the steps that are left of so many."""
        return self.examples.batches(self.recipe.batch, steps, self.recipe.seed, self.done)

    def _rate(self) -> float:
        return self.recipe.rate(self.done, self.examples.count, self.plateau.drops)

    def _compile(self) -> None:
        busy = None if self.progress is None else self.progress.busy
        try:
            inputs, targets = next(self._left(self.steps))
            x, _ = augmented(self.recipe, 0, inputs, targets)
            self.step.compile(x, targets, self.steps, busy)
            self.run.log("the step is compiled")
        except NotCompiled as reason:
            self.run.log(f"the step is not compiled: {reason}")

    def _check_loss(self) -> None:
        if torch.isfinite(self.step.total_loss):
            return
        step, layer = self._first_without_number()
        self.run.log(f"the loss is no number from step {step:,} on, first in {layer}")
        raise TrainingError(
            f"the loss is no number from step {step:,} on, first in {layer}: try a lower learning rate "
            f"(weights and metrics from before are in {self.run.folder})"
        )

    def _first_without_number(self) -> tuple[int, str]:
        """The first step whose loss is no number, and where in the network that begins.

        The steps since the last checkpoint are taken again, one by one and not compiled.
        """
        last = Checkpoint.newest(self.run.folder)
        assert last is not None
        self.step.restore(last.tensors)
        torch.set_rng_state(last.tensors["random"])
        end = self.done
        self.done = last.step
        for inputs, targets in self._left(end):
            self.step.set_rate(self._rate())
            x, mixed = augmented(self.recipe, self.done, inputs, targets)
            found = first_without_number(self.step, x, targets, mixed)
            if found is not None:
                break
            self.done += 1
        return self.done + 1, found or "the loss"

    def _measure(self) -> None:
        """Measure the network, and save all that the run would go on from."""
        examples, step = self.examples, self.step
        since = self.done - (self.run.measurements[-1].step if self.run.measurements else 0)
        loss = (step.total_loss / since).item() if since else None
        step.total_loss.zero_()
        with step.averaged():
            training, test = (
                # As the metrics file has them, so that a run that goes on sees the same numbers.
                [round(value, 5) for value in measure(step.model, self.recipe, some, step.precision())]
                for some in (examples.training(MEASURED), examples.testing())
            )
            weights = {name: tensor.detach().clone() for name, tensor in step.model.state_dict().items()}
        rate = self.recipe.rate(max(self.done - 1, 0), examples.count, self.plateau.drops)
        measured = Measurement(self.done, training, test, loss, rate)
        self.plateau.see(measured)
        tensors = {**dict(step.state()), "random": torch.get_rng_state()}
        if step.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        self.run.measured(measured, weights, Checkpoint(self.done, tensors))
        if self.board is not None:
            self.board.add(measured)
        self._tell_of_data()
        if self.progress is not None:
            self.progress(self.done, self.steps, measured)

    def _tell_of_data(self) -> None:
        """Log what share of the time since the last measurement training waited for examples."""
        for reason in self.examples.skipped:
            if reason not in self._left_out:
                self._left_out.add(reason)
                self.run.log(f"left out: {reason}")
        seconds, waited = self.run.seconds, self.examples.waited
        if waited > self._waited:
            share = (waited - self._waited) / max(seconds - self._seconds, 1e-9)
            self.run.log(f"waited for examples {share:.1%} of the time")
        self._seconds, self._waited = seconds, waited


class Plateau:
    """How often a reactive schedule has lowered the rate: after so many measurements without a better one."""

    def __init__(self, recipe: Recipe) -> None:
        self.piece: Schedule | None = next((p for p in recipe.schedule if p.reactive), None)
        self.falls = not recipe.metrics or recipe.metrics[0].falls
        self.best: float | None = None
        self.waited = 0
        self.drops = 0

    def see(self, measured: Measurement) -> None:
        if self.piece is None:
            return
        value = measured.test[0] if self.falls else -measured.test[0]
        if self.best is None or value < self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited == self.piece.values["patience"]:
            self.drops, self.waited = self.drops + 1, 0


def device_of(name: str) -> torch.device:
    """The device of a name, seen to be there."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().splitlines()[0]
        raise TrainingError(f"there is no device {name!r} to train on ({said})") from None
    return device


@contextmanager
def _threads(network: Network, recipe: Recipe) -> Iterator[None]:
    """One thread for a small network, and after the run as many as before."""
    before = torch.get_num_threads()
    if analyse(network).totals.macs * recipe.batch < MACS_OF_ONE_THREAD:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
