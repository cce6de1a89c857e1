"""The training loop: a network, a recipe, and a folder that holds what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from archdsl.analysis import analyse
from archdsl.compiler import Network
from archdsl.lowering.build import build
from archdsl.training.initialisation import initialise_he
from archdsl.training.mnist1d import EXAMPLES, signals
from archdsl.training.recipe import Recipe
from archdsl.training.run import Run, TrainingError
from archdsl.training.step import NotCompiled, Step

TESTED = 1_000
"""The last so many signals are the test set."""
EVALUATIONS = 100
"""How often a run is measured and saved: often enough for a curve, rarely enough to cost little."""
MACS_OF_ONE_THREAD = 20_000_000
"""Below so many multiplications a batch, threads cost more than they save."""

Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. Errors are fractions of examples classified wrongly."""

    folder: Path
    training_error: float
    test_error: float
    steps: int
    seconds: float
    interrupted: bool


def train(
    network: Network, recipe: Recipe, folder: Path, device: str = "cpu", progress: Progress | None = None
) -> Result:
    """Train a network as its recipe says, and write the run into a new folder.

    `progress` is told the step and the training error now and then. Ctrl-C ends the run early, with
    everything written. Raises `TrainingError` where the device is not there, where the folder exists
    or can't be written, and where the loss is no number any more.
    """
    where = _device(device)
    run = Run(folder)
    with _threads(network, recipe):
        run.describe(network, recipe, where)
        torch.manual_seed(recipe.seed)
        model = build(network)
        initialise_he(model)
        model.to(where)
        return _Training(run, model, recipe, _data(network, recipe, where), progress).all_steps(network.name)


@dataclass(frozen=True, slots=True)
class _Data:
    """Examples and their classes, on the device and in the network's shape."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


class _Training:
    """One training under way."""

    def __init__(
        self, run: Run, model: nn.Module, recipe: Recipe, data: _Data, progress: Progress | None
    ) -> None:
        self.run = run
        self.model = model
        self.recipe = recipe
        self.data = data
        self.progress = progress
        self.step = Step(model, recipe.optimizer)
        self.done = 0

    def all_steps(self, title: str) -> Result:
        """Take every step of the recipe, or those before Ctrl-C."""
        every = max(1, self.recipe.steps // EVALUATIONS)
        interrupted = False
        self._measure()
        try:
            self._compile()
            for inputs, classes in _batches(self.data, self.recipe):
                self.step(inputs, classes)
                self.done += 1
                if self.done % every == 0 or self.done == self.recipe.steps:
                    self._check_loss()
                    self._measure()
        except KeyboardInterrupt:
            interrupted = True
            self.run.log(f"interrupted after step {self.done:,}")
            self._measure()
        self.run.draw(title)
        _, training_error, test_error = self.run.rows[-1]
        seconds = self.run.seconds
        return Result(self.run.folder, training_error, test_error, self.done, seconds, interrupted)

    def _compile(self) -> None:
        batch = self.recipe.batch
        try:
            self.step.compile(self.data.x[:batch], self.data.y[:batch], self.recipe.steps)
            self.run.log("the step is compiled")
        except NotCompiled as reason:
            self.run.log(f"the step is not compiled: {reason}")

    def _check_loss(self) -> None:
        if not torch.isfinite(self.step.total_loss):
            self.run.log(f"the loss is no number any more by step {self.done:,}")
            raise TrainingError(
                f"the loss is no number any more by step {self.done:,}: try a lower learning rate "
                f"(weights and metrics from before are in {self.run.folder})"
            )

    def _measure(self) -> None:
        data = self.data
        training_error = _error(self.model, data.x, data.y)
        self.run.measured(self.done, training_error, _error(self.model, data.test_x, data.test_y))
        self.run.save(self.model.state_dict(), self.step.momenta, self.done)
        if self.progress is not None:
            self.progress(self.done, training_error)


def _data(network: Network, recipe: Recipe, device: torch.device) -> _Data:
    signal, label = signals()
    x = torch.from_numpy(signal.astype(np.float32)).reshape(EXAMPLES, *network.inputs[0].shape).to(device)
    y = torch.from_numpy(label).to(device)
    return _Data(x[: recipe.data.examples], y[: recipe.data.examples], x[-TESTED:], y[-TESTED:])


def _batches(data: _Data, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without replacement, in a new order each epoch, until the steps are done.

    An epoch is gathered at once, since a gather a step costs more than a small network's step.
    """
    left = recipe.steps
    order = torch.Generator().manual_seed(recipe.seed)
    while left > 0:
        shuffled = torch.randperm(len(data.x), generator=order).to(data.x.device)
        x, y = data.x[shuffled], data.y[shuffled]
        for start in range(0, min(len(x), left * recipe.batch), recipe.batch):
            left -= 1
            yield x[start : start + recipe.batch], y[start : start + recipe.batch]


@torch.no_grad()
def _error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The fraction of examples whose highest score is not their class."""
    model.eval()
    wrong = 0
    for start in range(0, len(x), 1000):
        scores: Tensor = model(x[start : start + 1000])
        wrong += int((scores.argmax(1) != y[start : start + 1000]).sum())
    model.train()
    return wrong / len(x)


def _device(name: str) -> torch.device:
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
