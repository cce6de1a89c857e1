"""A run that was begun, read from its folder to go on with it: its network and its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from archdsl.compiler import Options
from archdsl.diagnostics import ArchError
from archdsl.net import Net, check_network, program_of
from archdsl.problems import Fault
from archdsl.project import read
from archdsl.recipes.keys import LENGTH
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.run import NETWORK, RECIPE, TrainingError


def begun(folder: Path, settings: Mapping[str, str], allow_python: bool = False) -> tuple[Net, Recipe]:
    """The network of a run and the recipe that it was begun with, in which `settings` replace keys.

    Raises `TrainingError` where the folder can't be read, and `ArchError` with what is wrong now with its
    network, or with its recipe, whose data are looked at.
    """
    try:
        stored = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        source = read(folder / NETWORK)
        options = Options(**stored["options"])
        options.inputs.update({name: tuple(shape) for name, shape in options.inputs.items()})
        name = stored["recipe"]["network"]
        kept = Recipe.stored_settings(stored["recipe"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Fault) as error:
        reason = getattr(error, "strerror", None) or "it is no run, or a broken one"
        raise TrainingError(f"the run in {folder} can't be read: {reason}") from None
    checked = check_network(program_of(source, allow_python), name, options)
    if checked.net is None:
        raise ArchError(checked.diagnostics)
    if settings.keys() & set(LENGTH):
        kept = {key: text for key, text in kept.items() if key not in LENGTH}
    network = checked.net.network
    names = checked.net.program.names()
    recipe, found = read_recipe(
        network.train, network, {**kept, **settings}, names, look=True, allow_python=allow_python
    )
    if recipe is None:
        raise ArchError([one for one in found if one.severity == "error"])
    return checked.net, recipe
