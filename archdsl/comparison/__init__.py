"""Two networks held against each other: by their structure, not by the lines of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archdsl.comparison.difference import Difference

if TYPE_CHECKING:
    from archdsl.recipes.recipe import Recipe
    from archdsl.report import Report

__all__ = ["Difference", "compared"]


def compared(before: Report, after: Report, recipes: tuple[Recipe | None, Recipe | None]) -> Difference:
    """How the second network differs from the first, by their reports, and by their recipes, which are None
    where a file has none, or one that can't be followed."""
    ours, theirs = recipes
    return Difference(before, after, (_said(before, ours), _said(after, theirs)))


def _said(report: Report, recipe: Recipe | None) -> dict[str, str] | None:
    """What a file says of the training, by key: nothing without a recipe, None where it can't be followed."""
    if recipe is None:
        return {} if report.network.train is None else None
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
