"""The folder of a run, as it says itself what it is: read without torch, and before anything is compiled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from archdsl.compiler import Options
from archdsl.problems import Fault
from archdsl.project import RECIPE, is_run, read
from archdsl.recipes.keys import replaced
from archdsl.recipes.recipe import Recipe
from archdsl.source import Source

NETWORK = "network.arch"


class TrainingError(Exception):
    """A run that can't be begun or went wrong. Its message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a run is of: a network of a file, with what was set of it, and what its `recipe.json` says."""

    source: Source
    network: str
    options: Options
    said: Mapping[str, Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe that it was begun with, as `Recipe.to_dict` has it."""
        recipe: dict[str, Any] = self.said["recipe"]
        return recipe

    def kept(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The recipe's settings, with others in place of some."""
        return replaced(Recipe.stored_settings(self.recipe), settings)


def described(folder: Path) -> Described:
    """Read what a run is of. Raises `TrainingError` where that can't be done."""
    if folder.is_dir() and not is_run(folder):
        raise TrainingError(f"{folder} is no folder of a run: it has no {RECIPE}")
    with reading(folder):
        said = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        source = read(folder / NETWORK)
        options = Options(**said["options"])
        options.inputs.update({name: tuple(shape) for name, shape in options.inputs.items()})
        Recipe.stored_settings(said["recipe"])
        return Described(source, said["recipe"]["network"], options, said)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """While this is active a run is read. Raises `TrainingError` where a file is not as it was written."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Fault, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or "it is no run, or a broken one"
        raise TrainingError(f"the run in {folder} can't be read: {reason}") from None
