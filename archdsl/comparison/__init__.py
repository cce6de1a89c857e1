"""Two networks held against each other: by their structure, not by the lines of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.comparison.declared import Declared, recipe_files, recipe_keys
from archdsl.comparison.difference import Difference
from archdsl.comparison.printed import PrintedDifference

if TYPE_CHECKING:
    from archdsl.recipes.recipe import Recipe
    from archdsl.report import Report
    from archdsl.syntax.tree import Expect

__all__ = ["Difference", "compared", "declared"]


def compared(before: Report, after: Report, ours: Declared, theirs: Declared) -> Difference:
    """How the second network differs from the first, by their reports and by what else their files say."""
    return PrintedDifference(before, after, (ours, theirs))


def declared(report: Report, recipe: Recipe | None, expected: list[Expect]) -> Declared:
    """What a file says beside layers; the recipe is None where it has none, or one that can't be followed."""
    keys: dict[str, str] | None = {} if report.network.train is None else None
    conditions = [expectation.test.span.text for expectation in expected]
    if recipe is None:
        return Declared(keys, conditions)
    return Declared(recipe_keys(recipe), conditions, recipe_files(recipe))
