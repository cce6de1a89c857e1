"""Two networks held against each other: by their structure, not by the lines of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archdsl.collection import uncollected
from archdsl.comparison.difference import Difference

if TYPE_CHECKING:
    from archdsl.net import Net
    from archdsl.recipes.recipe import Recipe

__all__ = ["Difference", "diff"]


@uncollected()
def diff(before: Net, after: Net, batch: int = 1, precision: str = "float32") -> Difference:
    """How the second network differs from the first, for `batch` examples at a precision.

    The peak of training has what the recipes' optimizers keep where both files have a recipe, and is that of
    plain SGD otherwise.
    """
    recipes = [before.recipe, after.recipe]
    kept = [0 if recipe is None else recipe.optimizer.kept() for recipe in recipes]
    if None in recipes:
        kept = [0, 0]
    ours, theirs = (
        net.report(batch, precision, numbers) for net, numbers in zip((before, after), kept, strict=True)
    )
    said = [_said(net, recipe) for net, recipe in zip((before, after), recipes, strict=True)]
    return Difference(ours, theirs, (said[0], said[1]))


def _said(net: Net, recipe: Recipe | None) -> dict[str, str] | None:
    """What a file says of the training, by key: nothing without a recipe, None where it can't be followed."""
    if recipe is None:
        return {} if net.network.train is None else None
    # Where a file lies is no matter of what it says.
    said = {**recipe.to_dict(), "data": str(recipe.data), "initialize": str(recipe.initialize)}
    said["parts"] = {
        part.name: {"rate": part.rate, "initialize": part.initialize and str(part.initialize)}
        for part in recipe.parts
    }
    del said["shape"]
    return dict(_flat(said))


def _flat(said: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """What a recipe says, a line a key; of the keys of a part, the part's name stands before them."""
    found = []
    for key, value in said.items():
        if isinstance(value, dict):
            found += _flat(value, "" if key == "parts" else f"{prefix}{key}.")
        elif value is not None and value != []:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((prefix + key, text))
    return found
