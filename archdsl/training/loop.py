"""The training loop: a network, a recipe, and a folder that holds what came of them."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.compiler import Network
from archdsl.lowering.build import build
from archdsl.training.curve import draw
from archdsl.training.mnist1d import EXAMPLES, signals
from archdsl.training.recipe import Recipe

TESTED = 1_000
"""The last so many signals are the test set."""
EVALUATIONS = 100
"""How often a run is measured: often enough for a curve, rarely enough to cost little."""


class TrainingError(Exception):
    """A run that can't be begun or went wrong. Its message is one line for the user."""


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
    network: Network,
    recipe: Recipe,
    folder: Path,
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
) -> Result:
    """Train a network as its recipe says, and write the run into a new folder.

    `progress` is told the step and the training error now and then. Ctrl-C ends the run early, with
    everything written. Raises `TrainingError` where the folder exists or can't be written, and where
    the loss is no number any more.
    """
    make_folder(folder)
    torch.manual_seed(recipe.seed)
    model = build(network)
    initialize_he(model)
    model.to(device)
    x, y, test_x, test_y = data_for(network, recipe, device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.optimizer.lr,
        momentum=recipe.optimizer.momentum,
        weight_decay=recipe.optimizer.weight_decay,
        foreach=True,
    )
    write_aside(folder / "network.arch", network.inputs[0].use.source.text.encode())
    write_aside(folder / "recipe.json", json.dumps(described(recipe, device), indent=2).encode() + b"\n")
    rows: list[tuple[int, float, float]] = []
    every = max(1, recipe.steps // EVALUATIONS)
    begun = time.perf_counter()
    step = 0
    interrupted = False

    def measure() -> None:
        rows.append((step, error_of(model, x, y), error_of(model, test_x, test_y)))
        write_aside(folder / "metrics.csv", table(rows))
        if progress is not None:
            progress(step, rows[-1][1])

    try:
        measure()
        for inputs, classes in batches(x, y, recipe):
            loss = F.cross_entropy(model(inputs), classes)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            if step % every == 0 or step == recipe.steps:
                if not torch.isfinite(loss):
                    raise TrainingError(
                        f"the loss is {loss.item()} at step {step}: try a lower learning rate"
                    )
                measure()
    except KeyboardInterrupt:
        interrupted = True
        measure()
    seconds = time.perf_counter() - begun
    save(folder, model, optimizer, step)
    write_aside(folder / "curve.svg", draw(network.name, rows).encode())
    _, training_error, test_error = rows[-1]
    return Result(folder, training_error, test_error, step, seconds, interrupted)


def data_for(network: Network, recipe: Recipe, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training signals and classes, then the test set's, on the device and in the network's shape."""
    signal, label = signals()
    x = torch.from_numpy(signal.astype(np.float32)).reshape(EXAMPLES, *network.inputs[0].shape).to(device)
    y = torch.from_numpy(label).to(device)
    return x[: recipe.data.examples], y[: recipe.data.examples], x[-TESTED:], y[-TESTED:]


def batches(x: Tensor, y: Tensor, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without replacement, in a new order each epoch, until the steps are done.

    An epoch is gathered at once, since a gather a step costs more than a small network's step.
    """
    left = recipe.steps
    order = torch.Generator().manual_seed(recipe.seed)
    while left > 0:
        shuffled = torch.randperm(len(x), generator=order).to(x.device)
        inputs, classes = x[shuffled], y[shuffled]
        for start in range(0, len(x), recipe.batch):
            if left == 0:
                return
            left -= 1
            yield inputs[start : start + recipe.batch], classes[start : start + recipe.batch]


def initialize_he(model: nn.Module) -> None:
    """Weights of variance 2 / fan-in, biases zero (He et al., 2015); normalisations stay at 1 and 0."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                nn.init.zeros_(bias)


@torch.no_grad()
def error_of(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The fraction of examples whose highest score is not their class."""
    was_training = model.training
    model.eval()
    wrong = 0
    for start in range(0, len(x), 1000):
        scores = model(x[start : start + 1000])
        wrong += int((scores.argmax(1) != y[start : start + 1000]).sum())
    model.train(was_training)
    return wrong / len(x)


def make_folder(folder: Path) -> None:
    """Make the run's folder, which must not be there: a run never overwrites another."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise TrainingError(f"{folder} exists already: name another folder with --out") from None
    except OSError as error:
        raise TrainingError(f"{folder} can't be made: {error.strerror}") from None


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """The weights, and beside them the state that a run would go on from; neither can hold code."""
    from safetensors.torch import save as packed

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_aside(folder / "weights.safetensors", packed(weights))
    aside = folder / "state.pt.part"
    torch.save({"step": step, "optimizer": optimizer.state_dict()}, aside)
    os.replace(aside, folder / "state.pt")


def write_aside(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that no one sees half of it."""
    aside = path.with_name(f"{path.name}.part")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError as error:
        raise TrainingError(f"{path} can't be written: {error.strerror}") from None


def table(rows: list[tuple[int, float, float]]) -> bytes:
    """The metrics as CSV."""
    lines = ["step,training_error,test_error", *(f"{step},{a:.5f},{b:.5f}" for step, a, b in rows)]
    return ("\n".join(lines) + "\n").encode()


def described(recipe: Recipe, device: str) -> dict[str, Any]:
    """The recipe as it was resolved, and what it ran on."""
    return {
        **asdict(recipe),
        "device": device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def free_folder(name: str) -> Path:
    """`runs/NAME-1`, or the next that there is not."""
    number = 1
    while (Path("runs") / f"{name}-{number}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"
