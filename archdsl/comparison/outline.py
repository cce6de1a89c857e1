"""A network as the comparison sees it: layers in a row, scopes as stretches of it, and what is alike.

What two networks have in common is found by numbers: a layer's is that of its kind and arguments, a
scope's that of its layers and the wires between them, whatever they are called. Equal numbers are equal
structure, for both networks are numbered from one book.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.layers.arguments import amount, extent, factors, naturals, padding
from archdsl.layers.layer import Layer

Unit = Node | Scope
"""A layer, or a block, labelled group or round of a loop with all that is in it."""

Stretch = tuple[int, int]
"""Layers in a row: the number of the first, and the one after the last."""

COMMUTATIVE = frozenset({"add", "multiply"})
"""Layers whose inputs may be in any order."""


PER_AXIS = (extent, naturals, factors, padding, amount)
"""Arguments that are one value for all axes or one for each."""


class Book:
    """Numbers for what is alike."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.examples: dict[int, Example] = {}
        """What layers of a number are like, for those that `Outline.looks` has."""

    def number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


class Example(NamedTuple):
    """A layer of those that look alike: one node, and the number of its kind."""

    node: Node
    kind: int


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
        self.looks = [self._look(node, kind) for node, kind in zip(self.nodes, self.kinds, strict=True)]
        """For each layer the number of its kind, of how many inputs it has, and if it shares its weights."""
        self.labels = [(label(node), label(self.parents[node])) for node in self.nodes]
        """For each layer its label and that of the scope around it."""
        self._signatures: dict[Unit, int] = {}
        self._texts: dict[Stretch, int] = {}
        self.takers: list[list[int]] = [[] for _ in self.nodes]
        """For each layer the numbers of those that take what it makes."""
        for number in range(len(self.nodes)):
            for maker in dict.fromkeys(self.makers(number)):
                self.takers[maker].append(number)
        self._crossing = self._crossings()

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

    def makers(self, number: int) -> list[int]:
        """The numbers of the layers that a layer takes from."""
        return [self.index[maker] for maker, _ in self.nodes[number].inputs]

    def wired(self, number: int, numbers: Sequence[int]) -> Hashable:
        """A layer's kind and what it takes, by `numbers` for its makers; None where one of them has none."""
        node = self.nodes[number]
        inputs = [(numbers[self.index[maker]], port) for maker, port in node.inputs]
        owner = None if node.first is None else numbers[self.index[node.first]]
        if not inputs or owner == -1 or any(maker < 0 for maker, _ in inputs):
            return None
        if node.kind in COMMUTATIVE:
            inputs.sort()
        return (self.kinds[number], owner, *inputs)

    def roles(self) -> list[int]:
        """For each layer the number of what it is computed from and of all that is computed from it."""
        number = self._book.number
        places = {node: place for place, node in enumerate(self.network.inputs)}
        sources: list[int] = []
        takers: list[list[Hashable]] = [[] for _ in self.nodes]
        for at, node in enumerate(self.nodes):
            inputs = [(sources[self.index[maker]], port) for maker, port in node.inputs]
            if node.kind in COMMUTATIVE:
                inputs.sort()
            owner = None if node.first is None else sources[self.index[node.first]]
            sources.append(number(("from", self.kinds[at], places.get(node), owner, *inputs)))
        for place, wire in enumerate(self.network.outputs):
            takers[self.index[wire.node]].append(("output", place, wire.port))
        found = [0] * len(self.nodes)
        for at in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[at]
            found[at] = number(("role", sources[at], *sorted(takers[at], key=repr)))
            for slot, (maker, port) in enumerate(node.inputs):
                place = -1 if node.kind in COMMUTATIVE else slot
                takers[self.index[maker]].append((found[at], place, port))
            if node.first is not None:
                takers[self.index[node.first]].append((found[at], "weights"))
        return found

    # ------------------------------------------------------------------------ stretches

    def _look(self, node: Node, kind: int) -> int:
        number = self._book.number((kind, len(node.inputs), node.first is not None))
        self._book.examples.setdefault(number, Example(node, kind))
        return number

    def text(self, stretch: Stretch) -> int:
        """The number of a row of layers: equal ones have layers that look alike."""
        if stretch not in self._texts:
            start, stop = stretch
            self._texts[stretch] = self._book.number(("row", *self.looks[start:stop]))
        return self._texts[stretch]

    def divided(self, stretch: Stretch) -> list[Stretch]:
        """A stretch in its regions: it is cut where the fewest values pass, or one.

        In a chain that is after every layer; a block with a shortcut is one region of those around it.
        """
        start, stop = stretch
        if stop - start < 2:
            return [stretch]
        fewest = max(min(self._crossing[start + 1 : stop]), 1)
        cuts = [start, *(p for p in range(start + 1, stop) if self._crossing[p] <= fewest), stop]
        return list(pairwise(cuts))

    def _crossings(self) -> list[int]:
        """For each place between two layers how many values are made before and taken after it.

        What takes nothing itself, inputs and parameters, is there wherever it is taken. A branch that goes
        to another end, as to an auxiliary output, may as well stand where it begins: no value waits for it.
        """
        ends = [0] * len(self.nodes)
        trunk = self.index[self.network.outputs[0].node] if self.network.outputs else 0
        steps = [0] * (len(self.nodes) + 1)
        for number in range(len(self.nodes) - 1, -1, -1):
            for taker in self.takers[number]:
                ends[number] |= ends[taker]
            ends[number] = ends[number] or 1 << number
            if self.nodes[number].inputs and self.takers[number]:
                waiting = next(
                    (t for t in self.takers[number] if ends[t] & ends[trunk]), self.takers[number][0]
                )
                steps[number + 1] += 1
                steps[max(t for t in self.takers[number] if ends[t] & ends[waiting]) + 1] -= 1
        return list(accumulate(steps))

    def blocks(self) -> list[int]:
        """For each place between two layers how many blocks go on there."""
        steps = [0] * (len(self.nodes) + 2)
        for unit, (start, stop) in self.ranges.items():
            if isinstance(unit, Scope) and unit.block is not None and unit in self.parents and stop > start:
                steps[start + 1] += 1
                steps[stop] -= 1
        return list(accumulate(steps))

    def passing(self, stretch: Stretch) -> int:
        """How many values pass where a stretch begins and where it ends."""
        return self._crossing[stretch[0]] + self._crossing[stretch[1]]

    def cut(self, stretch: Stretch) -> int:
        """How many scopes a stretch has a part of, where neither holds the other."""
        start, stop = stretch
        within = {self.ranges[scope] for number in (start, stop - 1) for scope in self._scopes(number)}
        return sum(a < start < b < stop or start < a < stop < b for a, b in within)

    def _scopes(self, number: int) -> Iterator[Scope]:
        """The scopes that a layer is in, the innermost first; the network is none of them."""
        scope = self.parents[self.nodes[number]]
        while scope in self.parents:
            yield scope
            scope = self.parents[scope]

    def called(self, stretch: Stretch) -> str | None:
        """The label of a stretch: of the smallest scope that it is most of."""
        start, stop = stretch
        for scope in self._scopes(start):
            first, last = self.ranges[scope]
            if last - first > 2 * (stop - start):
                return None
            if last >= stop and first <= start and label(scope) is not None:
                return label(scope)
        return None

    def path(self, number: int) -> tuple[str, ...]:
        """The labels and rounds that a layer is in, from the outermost on."""
        named = (s.key for s in self._scopes(number) if s.loop is not None or label(s) is not None)
        return tuple(named)[::-1]


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
