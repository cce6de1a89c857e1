"""What parts that are alike are called together: `*` where it is every one so called, and else which.

`conv_*` are all that are called so, `conv_{2,4..6}` these four.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from archdsl.compiler.network import Network, Node, Scope

LONGEST = 40
"""Letters of numbers and words in braces beyond which they are not read."""

Place = tuple[str, ...]
"""The blocks that a unit is in, whatever their labels, and its name in these without numbers."""


class Names:
    """The names of all layers and scopes of a network, by their places."""

    def __init__(self, network: Network) -> None:
        self._by_place: dict[Place, list[str]] = {}
        self._within: dict[Place, list[str]] = {}
        for unit in units(network):
            self._by_place.setdefault(place(unit), []).append(unit.name)
            for tail in within(unit):
                self._within.setdefault(tail, []).append(unit.name)

    def alike(self, unit: Node | Scope, pattern: str) -> int:
        """How many there are at the place of a unit that a name with `*` is of."""
        fits = re.compile(re.escape(pattern).replace(r"\*", "[^.]*"))
        return sum(fits.fullmatch(name) is not None for name in self._by_place.get(place(unit), ()))

    def in_every(self, tail: Place, names: Sequence[str]) -> bool:
        """Whether some names are those of all units that stand so within a block."""
        return sorted(self._within.get(tail, ())) == sorted(names)


def units(network: Network) -> Iterator[Node | Scope]:
    """All layers and scopes of a network but itself."""
    waiting: list[Node | Scope] = [*network.scope.members]
    while waiting:
        unit = waiting.pop()
        yield unit
        if isinstance(unit, Scope):
            waiting += unit.members


def place(unit: Node | Scope) -> Place:
    """The place of a unit, from the outermost block on."""
    keys = []
    for scope in _around(unit):
        keys.append(scope.block or starred(scope.key))
    return (*reversed(keys), starred(unit.key))


def within(unit: Node | Scope) -> Iterator[Place]:
    """Each block that a unit is in, the innermost first, and its name from there with its numbers."""
    keys = [unit.key]
    for scope in _around(unit):
        if scope.block is not None:
            yield (scope.block, *reversed(keys))
        keys.append(scope.key)


def _around(unit: Node | Scope) -> Iterator[Scope]:
    """The scopes that a unit is in, the innermost first; the network is none of them."""
    scope = unit.scope if isinstance(unit, Node) else unit.parent
    while scope is not None and scope.parent is not None:
        yield scope
        scope = scope.parent


# ------------------------------------------------------------------------------ names as one


def together(names: Sequence[str]) -> str:
    """Names of as many parts as one, with `*` for what differs in a part."""
    columns = zip(*(name.split(".") for name in names), strict=True)
    return ".".join(map(_alike, columns))


def _alike(words: tuple[str, ...]) -> str:
    if len(set(map(starred, words))) == 1:
        return common(words)
    head = _beginning(words)
    tail = _beginning([word[len(head) :][::-1] for word in words])[::-1]
    return f"{head}*{tail}"


def _beginning(words: Sequence[str]) -> str:
    """What all words begin with."""
    first, last = min(words), max(words)
    differ = (k for k, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differ, min(len(first), len(last)))]


def common(names: Sequence[str]) -> str:
    """Names that differ in numbers alone as one, with `*` for the numbers that differ."""
    pieces = [re.split(r"(\d+)", name) for name in names]
    columns = zip(*pieces, strict=True)
    return "".join(column[0] if len(set(column)) == 1 else "*" for column in columns)


def starred(name: str) -> str:
    """A name without its numbers."""
    return re.sub(r"\d+", "*", name)


def which(names: Sequence[str]) -> str | None:
    """Names as one that says which: `stage_{1..3}.conv_2`. None where it would say it of others, too."""
    pattern = r"(\d+)" if len(set(map(starred, names))) == 1 else r"([^. ]+)"
    columns = [*zip(*(re.split(pattern, name) for name in names), strict=False)]
    if len({len(re.split(pattern, name)) for name in names}) > 1:
        return None
    choices = {column for column in columns if len(set(column)) > 1}
    many = 1
    for column in choices:
        many *= len(set(column))
    texts = [column[0] if len(set(column)) == 1 else _choice(column) for column in columns]
    exact = many == len(set(names)) and all(len(text) <= LONGEST for text in texts)
    return "".join(texts) if exact else None


def _choice(words: Sequence[str]) -> str:
    """`{1,3..6}`."""
    if not all(word.isdecimal() for word in words):
        return f"{{{','.join(dict.fromkeys(words))}}}"
    numbers = sorted(set(map(int, words)))
    texts: list[str] = []
    for _, some in groupby(enumerate(numbers), lambda one: one[1] - one[0]):
        row = [number for _, number in some]
        texts += [f"{row[0]}..{row[-1]}"] if len(row) > 2 else map(str, row)
    return f"{{{','.join(texts)}}}"
