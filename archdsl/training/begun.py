"""The network of a run, checked as it is now, and the recipe that it goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from archdsl.diagnostics import ArchError
from archdsl.net import Net, check_network, program_of
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.folder import Described, described


@dataclass(frozen=True, slots=True)
class Begun:
    """A run's network, and what its folder says of it."""

    net: Net
    described: Described


def begun(folder: Path, allow_python: bool = False) -> Begun:
    """Read a run's folder.

    Raises `TrainingError` where that can't be done, and `ArchError` with what is wrong now with its network.
    """
    found = described(folder)
    checked = check_network(program_of(found.source, allow_python), found.network, found.options)
    if checked.net is None:
        raise ArchError(checked.diagnostics)
    checked.net.settings = found.kept({})
    return Begun(checked.net, found)


def goes_on(folder: Path, settings: Mapping[str, str], allow_python: bool = False) -> tuple[Net, Recipe]:
    """The network and the recipe of a run that goes on, in which `settings` replace keys.

    Raises as `begun` does, and `ArchError` with what is wrong with its recipe, whose data are looked at.
    """
    found = begun(folder, allow_python)
    network = found.net.network
    recipe, problems = read_recipe(
        network.train,
        network,
        found.described.kept(settings),
        found.net.program.names(),
        look=True,
        allow_python=allow_python,
    )
    if recipe is None:
        raise ArchError([one for one in problems if one.severity == "error"])
    return found.net, recipe
