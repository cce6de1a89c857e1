"""What the folder of a run says of it: its network, and the recipe that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from archdsl.compiler import Options
from archdsl.diagnostics import ArchError
from archdsl.net import Net, check_network, program_of
from archdsl.problems import Fault
from archdsl.project import read
from archdsl.recipes.keys import LENGTH
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.run import NETWORK, RECIPE, TrainingError


@dataclass(frozen=True, slots=True)
class Begun:
    """A run's network, and what its `recipe.json` says."""

    net: Net
    described: Mapping[str, Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe that it was begun with, as `Recipe.to_dict` has it."""
        recipe: dict[str, Any] = self.described["recipe"]
        return recipe

    def kept(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The recipe's settings, with others in place of some: a run has one length, in whatever unit."""
        own = Recipe.stored_settings(self.recipe)
        if settings.keys() & set(LENGTH):
            own = {key: text for key, text in own.items() if key not in LENGTH}
        return {**own, **settings}


def begun(folder: Path, allow_python: bool = False) -> Begun:
    """Read a run's folder.

    Raises `TrainingError` where that can't be done, and `ArchError` with what is wrong now with its network.
    """
    if folder.is_dir() and not (folder / RECIPE).exists():
        raise TrainingError(f"{folder} is no folder of a run: it has no {RECIPE}")
    with reading(folder):
        described = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        source = read(folder / NETWORK)
        options = Options(**described["options"])
        options.inputs.update({name: tuple(shape) for name, shape in options.inputs.items()})
        name = described["recipe"]["network"]
        Recipe.stored_settings(described["recipe"])
    checked = check_network(program_of(source, allow_python), name, options)
    if checked.net is None:
        raise ArchError(checked.diagnostics)
    return Begun(checked.net, described)


def goes_on(folder: Path, settings: Mapping[str, str], allow_python: bool = False) -> tuple[Net, Recipe]:
    """The network and the recipe of a run that goes on, in which `settings` replace keys.

    Raises as `begun` does, and `ArchError` with what is wrong with its recipe, whose data are looked at.
    """
    found = begun(folder, allow_python)
    network = found.net.network
    recipe, problems = read_recipe(
        network.train,
        network,
        found.kept(settings),
        found.net.program.names(),
        look=True,
        allow_python=allow_python,
    )
    if recipe is None:
        raise ArchError([one for one in problems if one.severity == "error"])
    return found.net, recipe


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """While this is active a run is read. Raises `TrainingError` where a file is not as it was written."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Fault, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or "it is no run, or a broken one"
        raise TrainingError(f"the run in {folder} can't be read: {reason}") from None
