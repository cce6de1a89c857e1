"""Which declarations of a file each of its networks may depend on, as far as their words tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from archdsl.syntax import tree

_WORD = re.compile(r"\w+")


class Needs:
    """The declarations of a file by what they are called, for many networks that ask."""

    def __init__(self, file: tree.File) -> None:
        self._declarations = file.declarations
        self._networks: dict[str, list[int]] = {}
        self._trains: dict[str | None, list[int]] = {}
        self._others: dict[str, list[int]] = {}
        self._broken: list[int] = []
        for number, one in enumerate(file.declarations):
            if isinstance(one, tree.Train):
                self._trains.setdefault(one.network, []).append(number)
            elif isinstance(one, tree.Broken):
                self._broken.append(number)
            else:
                if isinstance(one, tree.Block) and one.is_network:
                    self._networks.setdefault(one.name, []).append(number)
                names = {n.name for n in one.names} if isinstance(one, tree.Import) else {one.name}
                for name in names:
                    self._others.setdefault(name, []).append(number)

    def of(self, network: str) -> list[tree.Declaration]:
        """What a network may depend on, in the order of the file; what is broken may be any."""
        waiting = [*self._networks.get(network, ()), *self._trains.get(network, ()), *self._broken]
        if sum(map(len, self._networks.values())) == 1:
            waiting += self._trains.get(None, ())
        kept = set(waiting)
        words: set[str] = set()
        for number in waiting:
            fresh = set(_WORD.findall(self._declarations[number].span.text)) - words
            words |= fresh
            for word in fresh & self._others.keys():
                waiting += [other for other in self._others[word] if other not in kept]
                kept.update(self._others[word])
        return [self._declarations[number] for number in sorted(kept)]

    def words_of(self, network: str) -> set[str]:
        """The words of all that a network may depend on."""
        return {word for one in self.of(network) for word in _WORD.findall(one.span.text)}


def expectations_of(declaration: tree.Declaration) -> Iterator[tree.Expect]:
    """The `expect` lines of a block or network, at any depth."""
    bodies = [declaration.body] if isinstance(declaration, tree.Block) else []
    for body in bodies:
        for statement in body:
            if isinstance(statement, tree.Expect):
                yield statement
            elif isinstance(statement, tree.Line | tree.Shared):
                for item in statement.items:
                    bodies += tree.bodies_of(item)
