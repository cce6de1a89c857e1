"""A trained run, read from its folder: what it scores, and what it says of new inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from safetensors.torch import load_file
from torch import Tensor, nn

from archdsl.diagnostics import ArchError
from archdsl.lowering.build import build
from archdsl.recipes.data import ImageFolder
from archdsl.recipes.files import ARRAYS
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.begun import begun
from archdsl.training.examples import numbers
from archdsl.training.folder import NETWORK, Described, TrainingError, reading
from archdsl.training.measuring import Tally, as_read, counted, scored
from archdsl.training.sources import load


@dataclass(frozen=True, slots=True)
class Score:
    """What a run scores on test examples: each metric, and how often examples of each class (a row) were
    taken for each class (a column); None where targets are no single classes."""

    metrics: dict[str, float]
    confusion: Tensor | None
    examples: int


class Trained:
    """A run's network with its weights.

    Raises `TrainingError` where there is no run in the folder, or it can't be read, and `ArchError` with
    what is wrong with its recipe as it is set now.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        device: torch.device | None = None,
        look: bool = True,
        allow_python: bool = False,
    ) -> None:
        """`settings` replace keys of the recipe. With `look` the run's data are read, too."""
        self.device = device or torch.device("cpu")
        found = begun(folder, allow_python)
        run = found.described
        self.net = found.net
        self.network = found.net.network
        with reading(folder):
            classes = run.said["classes"]
            self.classes: tuple[str, ...] | None = classes and tuple(classes)
            weights = load_file(folder / "weights.safetensors", device=str(self.device))
        self.stored = run.recipe
        """The recipe that it was trained by, as `Recipe.to_dict` has it."""
        self.recipe = self._recipe(run, settings or {}, look, allow_python)
        judged = self.recipe.loss[0]
        scores = self.network.outputs[judged.output].shape[0]
        assert isinstance(scores, int)
        self.unlearnt = judged.loss.unlearnt(scores)
        """The score that is of no class, where there is one."""
        self.learnt = [number for number in range(scores) if number != self.unlearnt]
        self.names = self.classes
        """What the classes are called; None where they are called by their numbers, from 0."""
        if self.unlearnt is not None:
            self.names = tuple(self.classes[n] if self.classes else str(n) for n in self.learnt)
        self.model: nn.Module = build(self.network).to(self.device).eval()
        try:
            self.model.load_state_dict(weights)
        except RuntimeError:
            raise TrainingError(f"{folder} has weights of another network than its {NETWORK}") from None

    def _recipe(self, run: Described, settings: Mapping[str, str], look: bool, allow_python: bool) -> Recipe:
        # How many examples make a step is nothing to measuring, and new data may be few.
        recipe, found = read_recipe(
            self.network.train,
            self.network,
            run.kept({"batch": "1", "accumulate": "1", **settings}),
            look=look,
            allow_python=allow_python,
            learnt_from=run.recipe["data"],
        )
        if recipe is None:
            # What a recipe is warned of is of use to a training.
            raise ArchError([one for one in found if one.severity == "error"])
        return recipe if look else replace(recipe, shape=tuple(run.recipe["shape"]))

    def score(self) -> Score:
        """Measure the network on the test examples of its data.

        Raises `TrainingError` where they have other classes, or one can't be decoded.
        """
        examples = load(self.recipe, self.device, self.classes)
        described = self.recipe.described
        assert described is not None
        classes = described.target.classes if not described.target.shape else None
        confusion = torch.zeros(classes, classes, dtype=torch.long) if classes else None
        tally = Tally(self.recipe.metrics)
        count = 0
        for output, target in scored(self.model, self.recipe, examples.testing(), self._precision()):
            count += len(target)
            output, target = counted(self.recipe, output, target)
            tally.add(output, target)
            if confusion is not None and classes:
                said = output.argmax(1) if output.shape[1] > 1 else (output[:, 0] > 0).long()
                pairs = (target * classes + said).bincount(minlength=classes * classes)
                confusion += pairs.reshape(classes, classes).cpu()
        if confusion is not None:
            kept = [number for number in range(len(confusion)) if number != self.unlearnt]
            confusion = confusion[kept][:, kept]
        titles = [metric.title for metric in self.recipe.metrics]
        return Score(dict(zip(titles, tally.values(), strict=True)), confusion, count)

    def say(self, file: Path) -> Iterator[tuple[str, Tensor]]:
        """What the network says of a picture, or of each example of a `.npy` or `.npz` file.

        Each is a name and the output: for scores of classes their softmax, otherwise the values.
        """
        data = self.recipe.data
        most = {"pixels": data.pixels} if isinstance(data, ImageFolder) else {}
        for name, x in inputs_of(file, self.recipe.shape, **most):
            batch = x.unsqueeze(0).to(self.device)
            target = torch.zeros(1)
            ((output, _),) = scored(self.model, self.recipe, [(batch, target)], self._precision())
            output = output[:, self.learnt]
            if not output.isfinite().all():
                raise TrainingError(f"{name}: what the network makes of it is infinite or no number")
            yield name, as_read(self.recipe, output)[0].cpu()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.recipe.precision))


def inputs_of(file: Path, shape: tuple[int, ...], pixels: int = 50_000_000) -> Iterator[tuple[str, Tensor]]:
    """A picture, or each example of a `.npy` or `.npz` file, in a shape, with what it is called.

    Raises `TrainingError` where it is none, has another shape, or more than so many pixels.
    """
    if file.suffix.lower() in ARRAYS:
        array = _array(file)
        several = array.shape[1:] == shape or array[0].size == np.prod(shape)
        if not several and array.size != np.prod(shape):
            held, taken = list(array.shape), ", ".join(map(str, shape))
            raise TrainingError(
                f"{file} is an array of {held}; the network takes one of [{taken}], or several: [N, {taken}]"
            )
        for number, one in enumerate(array if several else array[None]):
            name = f"{file}[{number}]" if several else str(file)
            yield name, torch.from_numpy(np.ascontiguousarray(one)).float().reshape(shape)
        return
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TrainingError(f"{file}: the network takes {list(shape)}, which is no picture: give a .npy file")
    from archdsl.training.pictures import decode

    try:
        yield str(file), numbers(decode(file, (shape[1], shape[2]), shape[0] == 1, pixels))
    except ValueError as reason:
        raise TrainingError(f"{file} {reason}") from None


def _array(file: Path) -> np.ndarray[Any, Any]:
    """The array of a `.npy` file, or `x` of a `.npz` file."""
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, NpzFile) and "x" not in loaded.files:
            there = ", ".join(loaded.files) or "none"
            raise TrainingError(f"{file} has no array `x`, which is what is looked for; its arrays: {there}")
        array: np.ndarray[Any, Any] = loaded["x"] if isinstance(loaded, NpzFile) else loaded
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "it is no array of numbers"
        raise TrainingError(f"{file} can't be read: {reason}") from None
    if array.ndim == 0 or array.dtype.kind not in "iufb" or not array.size:
        raise TrainingError(f"{file} holds no numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise TrainingError(f"{file} holds values that are infinite or no numbers")
    return array
