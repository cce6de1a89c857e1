"""The scopes of a network while it is unrolled, and the names of what stands in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from archdsl.compiler.network import Node, Scope, Wire


@dataclass(slots=True, eq=False)
class Open:
    """A scope while its statements run: the nodes still without a key, and the keys in use.

    `numbered` are the unlabelled uses of blocks in it, which have the keys of `next_use`.
    """

    scope: Scope
    labelled: bool
    unnamed: list[Node] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    uses: dict[str, int] = field(default_factory=dict)
    numbered: list[Scope] = field(default_factory=list)


class Inside:
    """An open scope as a context: it is closed at the end. (A generator takes three times as long.)"""

    __slots__ = ("_around", "_scope", "_scopes")

    def __init__(self, scopes: Scopes, around: Scope, scope: Scope) -> None:
        self._scopes = scopes
        self._around = around
        self._scope = scope

    def __enter__(self) -> Scope:
        return self._scope

    def __exit__(self, *raised: object) -> None:
        self._scopes.close()
        if not self._scope.members:
            self._around.members.pop()


class Scopes:
    """The scopes that are open, outermost first. A layer is named when its scope is closed, since a kind
    that occurs once in a label's scope is named by the kind alone."""

    def __init__(self, outermost: Scope) -> None:
        self._open = [Open(outermost, labelled=False)]

    @property
    def innermost(self) -> Scope:
        return self._open[-1].scope

    def take(self, key: str) -> None:
        """Keep a key for a label, so that no layer is given it."""
        self._open[-1].keys.add(key)

    def next_use(self, block: str) -> str:
        """The key of the next unlabelled use of a block: `BasicBlock_1`, `BasicBlock_2`."""
        opened = self._open[-1]
        return _next(block, opened.uses, opened.keys)

    def add(self, node: Node, key: str | None) -> None:
        """Put a node into the innermost scope, under a label's key or one that is given later."""
        opened = self._open[-1]
        if key is None:
            opened.unnamed.append(node)
        else:
            node.key = key
            node.name = f"{opened.scope.name}.{key}" if opened.scope.name else key
        opened.scope.members.append(node)

    def inside(
        self,
        key: str,
        labelled: bool,
        inputs: tuple[Wire, ...],
        block: str | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> Inside:
        """A scope inside the innermost one, for a `with`. One that stays empty leaves no trace."""
        around = self._open[-1]
        name = f"{around.scope.name}.{key}" if around.scope.name else key
        scope = Scope(name, key, around.scope, block, arguments or {}, inputs)
        around.scope.members.append(scope)
        if not labelled:
            around.numbered.append(scope)
        self._open.append(Open(scope, labelled))
        return Inside(self, around.scope, scope)

    @contextmanager
    def as_if_in(self, declared: Scope) -> Iterator[None]:
        """What is made now is named after `declared`, and stands among the innermost scope's members."""
        stand_in = Scope(declared.name, declared.key, declared.parent)
        self._open.append(Open(stand_in, labelled=False))
        try:
            yield
        finally:
            self._open.pop()
        for member in stand_in.members:
            if isinstance(member, Node):
                member.scope = declared
            else:
                member.parent = declared
        self.innermost.members += stand_in.members

    def close(self) -> None:
        """Leave the innermost scope, and name its layers."""
        opened = self._open.pop()
        if opened.numbered:
            _give_way(opened)
        if not opened.unnamed:
            return
        prefix = f"{opened.scope.name}." if opened.scope.name else ""
        kinds = Counter([node.layer.kind for node in opened.unnamed]) if opened.labelled else {}
        ordinals: dict[str, int] = {}
        for node in opened.unnamed:
            kind = node.layer.kind
            key = kind
            if not opened.labelled or kinds[kind] > 1 or kind in opened.keys:
                key = _next(kind, ordinals, opened.keys)
            node.key = key
            node.name = prefix + key


def _give_way(opened: Open) -> None:
    """Number the unlabelled uses of a block anew, where a later label is called like one of them."""
    for block in {scope.block or "" for scope in opened.numbered if scope.key in opened.keys}:
        ordinals: dict[str, int] = {}
        for scope in opened.numbered:
            if scope.block == block:
                _rename(scope, _next(block, ordinals, opened.keys))


def _rename(scope: Scope, key: str) -> None:
    """Give a scope another key, and all that is named after it the name that follows."""
    before, scope.key = f"{scope.name}.", key
    scope.name = f"{scope.name.rpartition('.')[0]}.{key}".lstrip(".")
    pending = list(scope.members)
    while pending:
        member = pending.pop()
        if member.name.startswith(before):
            member.name = f"{scope.name}.{member.name.removeprefix(before)}"
        if isinstance(member, Scope):
            pending += member.members


def _next(name: str, ordinals: dict[str, int], taken: set[str]) -> str:
    """`name_1`, `name_2`, ...: the next that no label has."""
    ordinal = ordinals.get(name, 0) + 1
    while f"{name}_{ordinal}" in taken:
        ordinal += 1
    ordinals[name] = ordinal
    return f"{name}_{ordinal}"
