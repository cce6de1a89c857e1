"""The folder of a run: what was trained, how, and how it went. No file in it is ever half written."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save as packed
from torch import Tensor

from archdsl.compiler import Network
from archdsl.training.curve import draw
from archdsl.training.recipe import Recipe


class TrainingError(Exception):
    """A run that can't be begun or went wrong. Its message is one line for the user."""


class Run:
    """A run's folder. `rows` are the measurements so far: step, training error and test error.

    Raises `TrainingError` where the folder is there already (a run never overwrites another) or
    can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[int, float, float]] = []
        self._log: list[str] = []
        self._begun = time.perf_counter()
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise TrainingError(f"{folder} exists already: name another folder with --out") from None
        except OSError as error:
            raise TrainingError(f"{folder} can't be made: {error.strerror}") from None

    @property
    def seconds(self) -> float:
        """The time since the run was begun."""
        return time.perf_counter() - self._begun

    def describe(self, network: Network, recipe: Recipe, device: torch.device) -> None:
        """Write down the file, the recipe as it was resolved, and what it runs on."""
        machine = {
            "device": str(device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        text = json.dumps({"network": network.name, **asdict(recipe), **machine}, indent=2) + "\n"
        self._write("network.arch", network.inputs[0].use.source.text.encode())
        self._write("recipe.json", text.encode())

    def log(self, line: str) -> None:
        """Add a line to the log, with the seconds since the run was begun."""
        self._log.append(f"{self.seconds:9.1f} s  {line}\n")
        self._write("train.log", "".join(self._log).encode())

    def measured(self, step: int, training_error: float, test_error: float) -> None:
        """Add a measurement to the metrics and to the log."""
        self.rows.append((step, training_error, test_error))
        lines = ["step,training_error,test_error", *(f"{n},{a:.5f},{b:.5f}" for n, a, b in self.rows)]
        self._write("metrics.csv", ("\n".join(lines) + "\n").encode())
        self.log(f"step {step:,}: training error {training_error:.2%}, test error {test_error:.2%}")

    def save(self, weights: Mapping[str, Tensor], momenta: Mapping[str, Tensor], step: int) -> None:
        """Save the weights, and beside them what a run would go on from. Neither file can hold code."""
        self._write("weights.safetensors", packed(_plain(weights)))
        self._write("state.safetensors", packed(_plain(momenta), {"step": str(step)}))

    def draw(self, title: str) -> None:
        """Draw the curve of the measurements."""
        self._write("curve.svg", draw(title, self.rows).encode())

    def _write(self, name: str, content: bytes) -> None:
        """Write a file beside its place and move it there, so that no one sees half of it."""
        path = self.folder / name
        aside = path.with_name(f"{name}.part")
        try:
            aside.write_bytes(content)
            os.replace(aside, path)
        except OSError as error:
            raise TrainingError(f"{path} can't be written: {error.strerror}") from None


def free_folder(name: str) -> Path:
    """`runs/NAME-1`, or the next that there is not."""
    number = 1
    while (Path("runs") / f"{name}-{number}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
