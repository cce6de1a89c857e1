"""A network as the comparison sees it: layers in a row, scopes as stretches of it, and what is alike.

What two networks have in common is found by numbers: a layer's is that of its kind and arguments, a
scope's that of its layers and the wires between them, whatever they are called. Equal numbers are equal
structure, for both networks are numbered from one book.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from typing import Any

from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.layers.arguments import amount, extent, factors, naturals, padding
from archdsl.layers.layer import Layer

Unit = Node | Scope
"""A layer, or a block, labelled group or round of a loop with all that is in it."""

COMMUTATIVE = frozenset({"add", "multiply"})
"""Layers whose inputs may be in any order."""


PER_AXIS = (extent, naturals, factors, padding, amount)
"""Arguments that are one value for all axes or one for each."""


class Book:
    """Numbers for what is alike."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


class Outline:
    """The layers of a network by number, and every scope as the range of them that it holds."""

    def __init__(self, network: Network, book: Book) -> None:
        self.network = network
        self.nodes: list[Node] = []
        self.ranges: dict[Unit, tuple[int, int]] = {}
        self._walk(network.scope)
        self.index = {node: number for number, node in enumerate(self.nodes)}
        self.parents: dict[Unit, Scope] = {}
        """The scope among whose members a unit stands; a shared layer is named after another."""
        for scope in self.ranges:
            if isinstance(scope, Scope):
                for member in scope.members:
                    self.parents[member] = scope
        self._book = book
        known: dict[int, int] = {}
        self.kinds = [self._kind(node, known) for node in self.nodes]
        """For each layer the number of its kind and arguments."""
        self._signatures: dict[Unit, int] = {}
        self._contents: dict[Scope, Counter[int]] = {}

    def _walk(self, scope: Scope) -> None:
        """Members stand in order of execution, those of an inner scope together."""
        waiting: list[tuple[Unit, int]] = [(scope, -1)]
        while waiting:
            unit, begun = waiting.pop()
            if isinstance(unit, Node):
                self.ranges[unit] = len(self.nodes), len(self.nodes) + 1
                self.nodes.append(unit)
            elif begun >= 0:
                self.ranges[unit] = begun, len(self.nodes)
            else:
                waiting.append((unit, len(self.nodes)))
                waiting += [(member, -1) for member in reversed(unit.members)]

    def _kind(self, node: Node, known: dict[int, int]) -> int:
        # Uses of a block share their layers, so most have been asked before.
        layer = id(node.layer)
        if layer not in known:
            known[layer] = self._book.number((node.kind, *_comparable(node.layer)))
        return known[layer]

    def layers(self, unit: Unit) -> range:
        """The numbers of the layers of a unit."""
        return range(*self.ranges[unit])

    def signature(self, unit: Unit) -> int:
        """The number of a unit's structure: equal ones have the same layers, wired alike."""
        if unit not in self._signatures:
            self._signatures[unit] = self._book.number(tuple(self._structure(unit)))
        return self._signatures[unit]

    def _structure(self, unit: Unit) -> list[Hashable]:
        if isinstance(unit, Node):
            return [self.kinds[self.index[unit]], len(unit.inputs), unit.first is not None]
        start, end = self.ranges[unit]
        outside: dict[tuple[int, int], int] = {}
        found: list[Hashable] = []
        for number in range(start, end):
            node = self.nodes[number]
            inputs = []
            for maker, port in node.inputs:
                at = self.index[maker]
                if at >= start:
                    inputs.append((at - number, port))
                else:
                    inputs.append((1 + outside.setdefault((at, port), len(outside)), 0))
            if node.kind in COMMUTATIVE:
                inputs.sort()
            owner = 0
            if node.first is not None:
                at = self.index[node.first]
                owner = at - number if at >= start else 1
            found.append((self.kinds[number], owner, *inputs))
        return found

    def contents(self, scope: Scope) -> Counter[int]:
        """How often each kind of layer is in a scope."""
        if scope not in self._contents:
            self._contents[scope] = Counter(self.kinds[number] for number in self.layers(scope))
        return self._contents[scope]


def label(unit: Unit) -> str | None:
    """What the file calls a unit; None where it has its name from its kind and a number, or is a round."""
    if isinstance(unit, Scope) and unit.loop is not None:
        return None
    kind = unit.kind if isinstance(unit, Node) else unit.block
    numbered = kind is not None and re.fullmatch(rf"{re.escape(kind)}(_\d+)?(@\d+)?", unit.key)
    return None if numbered else unit.key


def _comparable(layer: Layer) -> list[Hashable]:
    """Arguments; of those that are other layers of the network, only that they are."""
    return [(name, *_typed(_given(layer, name, value))) for name, value in layer.values.items()]


def _given(layer: Layer, name: str, value: Any) -> Any:
    """What a file gives, however it is written: one number for axes that have the same.

    Of a value whose shape is taken, it is that it is given, and not what shape it has.
    """
    if name not in layer.arguments:
        return value
    kind = layer.arguments[name].kind
    if kind.role == "like":
        return value is not None
    if kind is padding and value == "same" and layer.values.get("stride") == 1:
        kernel, dilation = (_alike(layer.values.get(key)) for key in ("kernel", "dilation"))
        if isinstance(kernel, int) and isinstance(dilation, int) and kernel % 2 == 1:
            return dilation * (kernel // 2)
    return _alike(value) if kind in PER_AXIS else value


def _alike(value: Any) -> Any:
    """`3` for `[3, 3]`, and for `[[3, 3], [3, 3]]`; another value as it is."""
    if not isinstance(value, tuple):
        return value
    values = [_alike(one) for one in value]
    return values[0] if all(one == values[0] for one in values) else value


def _typed(value: Any) -> tuple[Hashable, ...]:
    if isinstance(value, Node | Wire):
        return ("layer",)
    if isinstance(value, bool):
        return (value, "truth")
    return (value,)


def differ(name: str, x: Layer, y: Layer) -> bool:
    """Whether an argument of two layers of a kind is given otherwise; other layers are compared elsewhere."""
    ours, theirs = _given(x, name, x.values.get(name)), _given(y, name, y.values.get(name))
    return values_differ(ours, theirs)


def values_differ(a: Any, b: Any) -> bool:
    """Whether two values are not alike: for Python, 1 and `true` are equal."""
    return _typed(a) != _typed(b)
