"""What files say beside layers: the network's parameters, what is expected of it, how it is trained."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archdsl.compiler.network import Network
from archdsl.report.calls import argument

if TYPE_CHECKING:
    from archdsl.recipes.recipe import Recipe
    from archdsl.recipes.word import Word
    from archdsl.source import Span


@dataclass(frozen=True, slots=True)
class Setting:
    """A key that says otherwise; None where one side says nothing of it."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file says of its network beside layers.

    `recipe` is what the `train` block says, by key: empty without one, None where it can't be followed.
    `files` are the keys that name files, each in two ways: from the folder of the file that says it, and in
    full. `expected` are the conditions of its `expect` lines.
    """

    recipe: dict[str, str] | None = None
    expected: Sequence[str] = field(default=())
    files: Mapping[str, Set[str]] = field(default_factory=dict)


def settings(before: Declared, after: Declared) -> list[Setting]:
    """The keys of two recipes that say otherwise; none where one of them is not known.

    Two that name one file, or that two files write alike, say the same: where a file lies is no matter.
    """
    ours, theirs = before.recipe, after.recipe
    if ours is None or theirs is None:
        return []
    found = [Setting(key, ours.get(key), theirs.get(key)) for key in dict.fromkeys([*ours, *theirs])]
    return [
        setting
        for setting in found
        if setting.before != setting.after
        and not before.files.get(setting.key, set()) & after.files.get(setting.key, set())
    ]


def parameters(before: Network, after: Network) -> list[Setting]:
    """The parameters that two networks both have, with other values."""
    ours, theirs = (
        {name: argument(value) for name, value in network.parameters.items()} for network in (before, after)
    )
    both = [Setting(name, ours[name], theirs[name]) for name in ours if name in theirs]
    return [setting for setting in both if setting.before != setting.after]


def expectations(before: Iterable[str], after: Iterable[str]) -> list[Setting]:
    """The conditions that one file alone has, with its fact as key; two of one fact are together."""
    texts = [[" ".join(text.split()) for text in dict.fromkeys(some)] for some in (before, after)]
    alike = [Counter(map(_plain, some)) for some in texts]
    ours, theirs = (
        [text for text in some if not other[_plain(text)]]
        for some, other in zip(texts, reversed(alike), strict=True)
    )
    found = []
    for text in ours:
        fact = _fact(text)
        other = next((one for one in theirs if _fact(one) == fact), None)
        if other is not None:
            theirs.remove(other)
        found.append(Setting(fact, text, other))
    return found + [Setting(_fact(text), None, text) for text in theirs]


def _plain(condition: str) -> str:
    """A condition without what is no matter: `300_000` is `300000`."""
    return re.sub(r"\s|(?<=\d)_(?=\d)", "", condition)


def _fact(condition: str) -> str:
    """What a condition is of: `parameters` of `parameters <= 300_000`."""
    return re.split(r"\s*(?:[=!<>]=|[<>])", condition, maxsplit=1)[0]


def recipe_keys(recipe: Recipe) -> dict[str, str]:
    """What a recipe says, by key."""
    said = {**recipe.to_dict(), "data": str(recipe.data), "initialize": str(recipe.initialize)}
    said["parts"] = {
        part.name: {"rate": part.rate, "initialize": part.initialize and str(part.initialize)}
        for part in recipe.parts
    }
    del said["shape"]
    return dict(_flat(said))


def recipe_files(recipe: Recipe) -> dict[str, Set[str]]:
    """The keys of a recipe that name files, as `Declared` has them."""
    begun = {f"{part.name}.initialize": part.initialize for part in recipe.parts}
    said = {"data": recipe.data, "initialize": recipe.initialize, **begun}
    return {key: _ways(word, recipe.places.get(key)) for key, word in said.items() if word is not None}


def _ways(word: Word, place: Span | None) -> Set[str]:
    file = "" if place is None else place.source.name
    folder = os.path.dirname(file) if os.path.isfile(file) else ""
    return {str(word.seen_from(folder)), str(word.located())}


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
