"""From the data that a recipe names to examples."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from archdsl.problems import listed
from archdsl.recipes import files
from archdsl.recipes.data import Arrays, Digits, ImageFolder, Mnist, Mnist1d, Python, TimeSeries
from archdsl.recipes.files import DIGITS, MNIST, arrays, carried, made, time_series
from archdsl.recipes.recipe import Recipe
from archdsl.training.examples import Examples, InMemory
from archdsl.training.folder import TrainingError
from archdsl.training.mnist1d import signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Split = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

ORDER = 42
"""The seed of the order in which examples are parted that come sorted by class."""


def load(recipe: Recipe, device: torch.device, known: Sequence[str] | None = None) -> Examples:
    """The examples of a recipe's data, in its shape; classes are counted as they are `known` by name.

    Raises `TrainingError` where a picture is none, or a class is not known.
    """
    if isinstance(recipe.data, ImageFolder):
        from archdsl.training import pictures

        training, testing = files.pictures(recipe.data.path, recipe.data.tested)
        if known is not None:
            places = _places(training.classes, known)
            training, testing = (
                replace(one, labels=[places[label] for label in one.labels], classes=tuple(known))
                for one in (training, testing)
            )
        return pictures.load(recipe.data, (training, testing), device)
    read, classes = READERS[type(recipe.data)](recipe.data)
    x, y, test_x, test_y = (torch.from_numpy(np.ascontiguousarray(array)) for array in read)
    if classes is not None and known is not None:
        numbers = torch.tensor(_places(classes, known))
        y, test_y, classes = numbers[y], numbers[test_y], tuple(known)
    whole = recipe.described is not None and recipe.described.target.classes is not None
    targets = [one.long() if whole else one.float() for one in (y, test_y)]
    if not whole:
        targets = [one.reshape(len(one), -1) if one.dim() == 1 else one for one in targets]
    inputs = [one.float().reshape(len(one), *recipe.shape) for one in (x, test_x)]
    return InMemory((inputs[0], targets[0]), (inputs[1], targets[1]), device, classes)


def _places(classes: Sequence[str], known: Sequence[str]) -> list[int]:
    """The number of each class among those that are known."""
    numbers = {name: number for number, name in enumerate(known)}
    for name in classes:
        if name not in numbers:
            raise TrainingError(f"the data have the class {name}, and the run learnt {listed(known)}")
    return [numbers[name] for name in classes]


def _mnist1d(data: Mnist1d) -> tuple[Split, None]:
    signal, label = signals()
    x = signal.astype(np.float32)
    return (x[: data.examples], label[: data.examples], x[-1_000:], label[-1_000:]), None


def _mnist(data: Mnist) -> tuple[Split, None]:
    place = carried(*MNIST)
    with gzip.open(place, "rt", encoding="ascii") as file:
        rows = np.array(list(csv.reader(file)), dtype=np.float64)
    return _parted(rows[:, :-1] / 255, rows[:, -1].astype(np.int64), data.examples, 1_000), None


def _digits(data: Digits) -> tuple[Split, None]:
    place = carried(*DIGITS)
    with gzip.open(place, "rt", encoding="ascii") as file:
        rows = np.array(list(csv.reader(file)), dtype=np.float64)
    return _parted(rows[:, :-1] / 16, rows[:, -1].astype(np.int64), data.examples, 297), None


def _parted(x: NDArray[Any], y: NDArray[Any], examples: int, tests: int) -> Split:
    """Examples that come by class, shuffled once and for all, and the last ones kept for testing."""
    order = np.random.RandomState(ORDER).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    return x[:examples], y[:examples], x[-tests:], y[-tests:]


def _time_series(data: TimeSeries) -> tuple[Split, tuple[str, ...]]:
    training, testing = time_series(data.name)
    x, test_x = (np.array(one.series, dtype=np.float64) for one in (training, testing))
    mean, std = x.mean(), x.std() or 1.0
    y, test_y = (
        np.array([training.classes.index(label) for label in one.labels]) for one in (training, testing)
    )
    return ((x - mean) / std, y, (test_x - mean) / std, test_y), training.classes


def _arrays(data: Arrays) -> tuple[Split, None]:
    return arrays(data.path, data.tested), None


def _python(data: Python) -> tuple[Split, None]:
    return made(data.target, data.tested), None


READERS: dict[type[Any], Callable[[Any], tuple[Split, tuple[str, ...] | None]]] = {
    Mnist1d: _mnist1d,
    Mnist: _mnist,
    Digits: _digits,
    TimeSeries: _time_series,
    Arrays: _arrays,
    Python: _python,
}
"""What reads each kind of data."""
