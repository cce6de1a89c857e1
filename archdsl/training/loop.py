"""The training loop: a network, a recipe, and a folder that holds what came of them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor

from archdsl.compiler import Network
from archdsl.lowering.build import build
from archdsl.problems import plural
from archdsl.recipes.recipe import MEASURED, Recipe
from archdsl.training.board import Board
from archdsl.training.choices import Choices, Effort, choose, macs_of_a_step, repeatable, threads
from archdsl.training.diagnosis import first_without_number
from archdsl.training.examples import Batch, Examples
from archdsl.training.folder import TrainingError
from archdsl.training.initialisation import initialise, take_pretrained
from archdsl.training.measuring import measured, scored
from archdsl.training.page import SHOWN, Page
from archdsl.training.parameters import freeze, optimizer
from archdsl.training.place import LAUNCHED
from archdsl.training.plateau import Plateau
from archdsl.training.processes import ALONE, Processes
from archdsl.training.quickening import quicken
from archdsl.training.run import Checkpoint, Measurement, Pace, Run
from archdsl.training.sources import load
from archdsl.training.state import State
from archdsl.training.step import Step
from archdsl.training.together import together
from archdsl.training.transforming import Mixed, augmented

NAMED = 10
"""Files that are left out together and named; of more their number is said."""
SHOW_EVERY = 1.0
"""Seconds at least between two states of the page: short runs are measured more often than one can look."""


class Progress(Protocol):
    """Is told how a run goes: the step, of how many, and what was measured; what it is busy with, or what one
    should know of it."""

    def __call__(self, step: int, steps: int, measured: Measurement) -> None: ...

    def busy(self, what: str) -> None: ...

    def note(self, what: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to: the last measurement, the steps behind it, and those `taken` this time."""

    folder: Path
    measured: Measurement
    steps: int
    taken: int
    seconds: float
    ended_by: int | None
    """The signal that ended it early."""

    @property
    def interrupted(self) -> bool:
        return self.ended_by is not None


def train(
    network: Network,
    recipe: Recipe,
    folder: Path,
    device: str = "cpu",
    progress: Progress | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    processes: Processes = ALONE,
    sharded: bool = False,
    choices: Choices | None = None,
) -> Result:
    """Train a network as its recipe says, and write the run into a new folder.

    With `resume` the run in the folder goes on from its last checkpoint, as if it had not stopped.
    `progress` is told of every measurement, and with `tensorboard` so are event files for it. Of several
    `processes` each takes its share of every batch; `sharded` splits the network's state over them, too.
    `choices` are the program's own unless they are given.
    Ctrl-C ends the run early, with everything written. Raises `TrainingError` where the device is not
    there, where the folder exists (or does not, to resume), holds another run, is written by another
    process or can't be written, and where the loss is no number any more; `ArchError` where the recipe
    begins from weights that are not there or not the network's.
    """
    where = device_of(device)
    if sharded and recipe.precision == "float16":
        raise processes.failure(
            "weights that are split over devices are not trained in float16: try bfloat16"
        )
    if sharded and not recipe.optimizer.splits:
        raise processes.failure(
            f"{recipe.optimizer.word} does not train weights that are split over devices: try adamw"
        )
    chosen = choices or choose(network, recipe, where)
    with threads(chosen.threads), repeatable():
        torch.manual_seed(recipe.seed)
        model = build(network)
        initialise(model, network, recipe)
        goes_on = resume and Checkpoint.newest(folder) is not None
        # A run that goes on has its weights, and the files that it began with may be gone.
        taken = [] if goes_on else take_pretrained(model, network, recipe)

        def begun() -> Run:
            return Run(folder, network, recipe, resume, writes=processes.first)

        # The first makes the folder, and what it has against that the others hear.
        run = _begun(begun, processes)
        with closing(run), processes.computing():
            for how, matching in taken:
                run.began_from(how, matching)
                if progress is not None and matching.doubt is not None:
                    progress.note(f"of {how.file}, {matching.doubt}")
            model.to(where, memory_format=chosen.memory_format)  # type: ignore[call-overload]
            freeze(model, recipe)
            examples = load(recipe, where)
            for remark in recipe.described.remarks if recipe.described is not None else ():
                run.log(remark)
            if (changed := run.changed(examples)) is not None:
                raise processes.failure(changed)
            run.describe(where, examples, chosen, processes.count)
            parallel = together(model, network, recipe, processes, sharded, where)
            step = Step(
                model,
                recipe,
                optimizer(model, network, recipe, sharded),
                parallel=parallel,
                processes=processes,
                memory_format=chosen.memory_format,
            )
            since = 0 if run.last is None else run.last.step
            shown = tensorboard and processes.first
            with Board(folder, recipe, since) if shown else nullcontext() as board:
                training = _Training(
                    run, network, step, recipe, examples, progress, board, processes, sharded, chosen.effort
                )
                return training.all_steps()


def _begun(begin: Callable[[], Run], processes: Processes) -> Run:
    """The run, of which the first process makes the folder before the others look into it."""
    found: list[Run] = []
    processes.by_the_first(lambda: found.append(begin()))
    return found[0] if found else begin()


class _Training:
    """One training under way."""

    def __init__(
        self,
        run: Run,
        network: Network,
        step: Step,
        recipe: Recipe,
        examples: Examples,
        progress: Progress | None,
        board: Board | None,
        processes: Processes,
        sharded: bool,
        effort: Effort,
    ) -> None:
        self.run = run
        self.step = step
        self.recipe = recipe
        self.examples = examples
        self.progress = progress
        self.board = board
        self.processes = processes
        self.sharded = sharded
        self.effort: Effort = effort
        self.macs = macs_of_a_step(network, recipe)
        self.state = State(step, recipe, processes, sharded)
        self.steps = recipe.all_steps(examples.count)
        self.looked_at = examples.some(SHOWN)
        self.page = Page(run, network, recipe, self.steps, self.looked_at, examples.classes)
        self.done = 0
        self.heard: int | None = None
        """The signal that is to end the run, of this process or another."""
        self.plateau = Plateau(recipe)
        self._left_out: set[str] = set()
        self._shown = -SHOW_EVERY
        self._parent = os.getppid() if LAUNCHED in os.environ else None
        self._start_clock()

    def all_steps(self) -> Result:
        """Take every step of the recipe, or those before Ctrl-C."""
        with self._interruptible():
            self._begin()
            begun = self.done
            if begun < self.steps:
                self._quicken()
                self._start_clock()
            try:
                with self.processes.computing():
                    self._take_steps()
            except TrainingError as error:
                self.page.write(None, f"stopped: {error}")
                raise
            ended_by = self.heard if self.done < self.steps else None
            if ended_by is not None:
                self._stop()
            self.run.draw()
            self._show("done;" if ended_by is None else "interrupted, and can be resumed;")
        last = self.run.measurements[-1]
        taken = self.done - begun
        return Result(self.run.folder, last, self.done, taken, self.run.seconds, ended_by)

    def _take_steps(self) -> None:
        """Take the steps that are left, and measure the network between them, until a signal is heard of."""
        every = self.recipe.measured_every(self.examples.count, self.examples.tests)
        for inputs, targets in self._left(self.steps):
            ended = self.heard == signal.SIGTERM or self._orphaned()
            interrupts, ends, whole = self.processes.summed(self.heard == signal.SIGINT, ended, len(inputs))
            if interrupts or ends:
                self.heard = signal.SIGINT if interrupts else signal.SIGTERM
                break
            if whole:
                # Of a batch that could not be read nothing is learnt, but its step is done.
                self.step.set_rate(self._rate())
                x, mixed = self._augmented(inputs, targets, int(whole))
                self.step(x, targets, mixed, int(whole))
            self.done += 1
            self._taken += int(whole)
            if self.done % every == 0 or self.done == self.steps:
                self._check_loss()
                self._measure()

    def _stop(self) -> None:
        """Save what the run goes on from, and nothing else: it is measured when it would have been."""
        self.run.log(f"interrupted after step {self.done:,}")
        # Right after it went on, it could only write over what it would go on from.
        went_on = 0 if self.run.last is None else self.run.last.step
        if self.run.measurements[-1].step != self.done != went_on:
            self._check_loss()
            self.state.save(self.run, self.done)

    def _orphaned(self) -> bool:
        """Whether the process that started this one and its like is gone."""
        return self._parent is not None and os.getppid() != self._parent

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """While this is active Ctrl-C, or SIGTERM, waits for the step to end; a second one does not."""

        def stop(number: int, frame: FrameType | None) -> None:
            # A launcher that hears of Ctrl-C ends its processes, who have heard of it themselves.
            if self.heard is not None and (self.processes.count == 1 or number == signal.SIGINT):
                usual = before[number]
                if not callable(usual):
                    raise KeyboardInterrupt
                usual(number, frame)
            self.heard = self.heard or number
            if self.progress is not None:
                self.progress.busy("stopping after this step")

        if threading.current_thread() is not threading.main_thread():
            # Only the main thread may say what a signal does.
            yield
            return
        # A batch system that wants its machine back sends the second.
        before: dict[int, Any] = {}
        for one in (signal.SIGINT, signal.SIGTERM):
            before[one] = signal.signal(one, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _begin(self) -> None:
        """From the last checkpoint where there is one, otherwise from the initial weights."""
        last = self.run.last
        if last is None:
            # Until here all drew the same; what a layer drops is each process's own.
            self.state.sow(0)
            self._measure()
            return
        self.state.restore(last)
        self.done = last.step
        for found in self.run.measurements:
            self.plateau.see(found)
        self.run.log(f"going on after step {self.done:,}")

    def _augmented(self, inputs: Tensor, targets: Tensor, whole: int) -> tuple[Tensor, Mixed | None]:
        first = self.processes.share(whole).start
        return augmented(self.recipe, self.done, inputs, targets, whole, first)

    def _left(self, steps: int) -> Iterator[Batch]:
        """The batches of the steps that are left of so many, this process's share of them."""
        recipe = self.recipe
        return self.examples.batches(recipe.batch, steps, recipe.seed, self.done, self.processes.share)

    def _rate(self) -> float:
        return self.recipe.rate(self.done, self.examples.count, self.plateau.drops)

    def _quicken(self) -> None:
        busy = None if self.progress is None else self.progress.busy
        inputs, targets = next(self._left(self.steps))
        x, _ = augmented(self.recipe, self.done, inputs, targets)
        self.run.steps_are(quicken(self.step, x, targets, self.steps, self.macs, self.effort, busy))

    def _check_loss(self) -> None:
        """Sum the loss over the processes, and end the run where it is no number."""
        self.processes.add(self.step.total_loss)
        if torch.isfinite(self.step.total_loss):
            return
        if self.processes.count > 1:
            since = self.run.measurements[-1].step
            raise self.processes.failure(
                f"the loss is no number after a step from {since + 1:,} to {self.done:,}: try a lower "
                f"learning rate (weights and metrics from before are in {self.run.folder})"
            )
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
        self.state.restore(last)
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
        self._pace()
        # A batch normalisation's statistics, and their averages, are those of the first process's examples.
        buffers = dict(step.model.named_buffers())
        averages = [step.averages[name] for name in buffers if name in step.averages]
        self.processes.follow_the_first([*buffers.values(), *averages])
        # What is gathered for each layer must be gathered by all: then every process measures everything.
        share = ALONE.share if self.sharded else self.processes.share
        with step.averaged():
            training, test = (
                # As the metrics file has them, so that a run that goes on sees the same numbers.
                [round(value, 5) for value in self._measured(some)]
                for some in (examples.training(MEASURED, share), examples.testing(share))
            )
            weights = self.state.weights()
        rate = self.recipe.rate(max(self.done - 1, 0), examples.count, self.plateau.drops)
        found = Measurement(self.done, training, test, loss, rate)
        self.plateau.see(found)
        self.run.keep(weights)
        self.run.measured(found)
        # Last: what is measured after the checkpoint that a run goes on from is measured again.
        self.state.save(self.run, self.done)
        if self.board is not None:
            self.board.add(found)
        self._show()
        if self.progress is not None:
            self.progress(self.done, self.steps, found)
        self._start_clock()

    def _measured(self, examples: Iterator[Batch]) -> list[float]:
        """The metrics on examples, of which each process has its share."""
        tally = measured(self.step.model, self.recipe, examples, self.step.precision())
        if not self.sharded:
            tally.join(self.processes.all_of(tally))
        return tally.values()

    def _show(self, ended: str | None = None) -> None:
        """Write the page, with what the network says of a few examples; `ended` is how the run came out."""
        # Where weights are gathered for each layer, all must take part, and all at once.
        if not self.sharded:
            soon = ended is None and self.run.seconds - self._shown < SHOW_EVERY
            if soon or not self.processes.first:
                return
        self._shown = self.run.seconds
        with self.step.averaged():
            some = [self.looked_at] if len(self.looked_at[0]) else []
            outputs = [y for y, _ in scored(self.step.model, self.recipe, some, self.step.precision())]
        self.page.write(outputs[0] if outputs else None, ended)

    def _pace(self) -> None:
        """Tell how fast training went since the last measurement, and what it left out."""
        left_out = [reason for reason in self.examples.skipped if reason not in self._left_out]
        if left_out:
            self._left_out.update(left_out)
            more = [f"and {len(left_out) - NAMED:,} more"] if len(left_out) > NAMED else []
            note = f"left out {plural(len(left_out), 'file')}: {'; '.join([*left_out[:NAMED], *more])}"
            self.run.log(note)
            if self.progress is not None:
                self.progress.note(note)
        seconds = max(self.run.seconds - self._since, 1e-9)
        share = (self.examples.waited - self._waited) / seconds
        if share > 0:
            self.run.log(f"waited for examples {share:.1%} of the time")
        if self._taken:
            self.run.paced(Pace(self.done, self._taken / seconds, share))

    def _start_clock(self) -> None:
        """From now on time is spent on training."""
        self._since, self._waited, self._taken = self.run.seconds, self.examples.waited, 0


def device_of(name: str) -> torch.device:
    """The device of a name, seen to be there."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().splitlines()[0]
        raise TrainingError(f"there is no device {name!r} ({said})") from None
    return device
