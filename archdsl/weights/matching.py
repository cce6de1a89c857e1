"""Which tensor of a state file is which of a network, from order, prefixes and shapes.

No library names its layers as another does, but all of them put a layer's tensors under one prefix, and
nest prefixes as they nest modules. So a file is a tree, and a network a sequence of layers with tensors,
in order of execution. They are matched in this order:

1. By name, where the file has every name that the network asks for, with its shapes.
2. By order, where the file's layers come as the network's do: files of torch keep the order in which
   modules were defined.
3. By prefixes. What stands under a prefix stays together, but what stands beside each other may come in
   another order (a shortcut before its branch; a file that is sorted by name), in which all shapes agree.
   Of equal ones beside each other the lower number comes first, and what is named by a number alone keeps
   its place. Of several such orders that is meant whose prefixes agree most often with the network's own
   scopes, if there is one.

Anything that leaves two ways open is refused, and so is an order that the names' own numbers contradict:
shapes alone would not tell `conv2` from `conv1`. Nothing here reads a tensor.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from archdsl.compiler.depth import deep
from archdsl.compiler.network import Network
from archdsl.problems import Fault, Problem, nearest
from archdsl.problems.pretrained import (
    AmbiguousWeights,
    LayersWithoutWeights,
    NoSuchPrefix,
    PermutedWeights,
    WeightsWithoutLayers,
)

COUNTER = "num_batches_tracked"
"""A batch normalisation's counter. Older files have none, and nothing follows from it."""
MOST_TRIES = 200_000
"""How many places are tried for the layers of a file, before its order is called too open."""

Extents = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """The tensors under one prefix: their shapes, by the last part of their names."""

    name: str
    tensors: Mapping[str, Extents]

    @property
    def shapes(self) -> str:
        return ", ".join(str(list(shape)) for shape in self.tensors.values())


@dataclass(frozen=True, slots=True)
class Match:
    """A layer of the network, the module of the file that it takes its tensors from, and which is which.

    `tensors` has the file's full name of each of the layer's own.
    """

    layer: str
    module: str
    tensors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Matching:
    """Every match, in order of execution, how they were found, and what of the file was not asked for."""

    matches: list[Match]
    by: str
    unused: list[str]


def layers_of(network: Network, wanted: Iterable[str] | None = None) -> list[Module]:
    """The layers of a network that have tensors, in order of execution; only the `wanted` ones if named."""
    names = None if wanted is None else frozenset(wanted)
    found: list[Module] = []
    for node in network.nodes:
        if node.first is not None or node.kind == "input" or (names is not None and node.name not in names):
            continue
        xs = [wire.shape for wire in node.inputs]
        tensors = dict(node.layer.weights(*xs))
        tensors |= {name: buffer.shape for name, buffer in node.layer.buffers(*xs).items()}
        # A network is built before it takes weights, and then no extent of one is open.
        shapes = {
            name: tuple(extent if isinstance(extent, int) else 0 for extent in shape)
            for name, shape in tensors.items()
            if name != COUNTER
        }
        if shapes:
            found.append(Module(node.name, shapes))
    return found


def match(
    layers: Sequence[Module],
    shapes: Mapping[str, Extents],
    ordered: bool,
    ignored: Sequence[str] = (),
    only: str | None = None,
) -> Matching:
    """Match layers to the tensors of a file, whose names are in its order if it is `ordered`.

    `ignored` are prefixes of the file that are left out, and `only` is one beside which all is. Raises
    `Fault` where something has no counterpart, or where more than one way is open.
    """
    modules = _modules(shapes)
    for prefix in ignored if only is None else (only, *ignored):
        if not any(_under(module.name, prefix) for module in modules):
            raise Fault(NoSuchPrefix(prefix, nearest(prefix, _prefixes(modules))))
    modules = [m for m in modules if not any(_under(m.name, prefix) for prefix in ignored)]
    if only is not None:
        modules = [module for module in modules if _under(module.name, only)]
    named = {module.name: module for module in modules}
    if all(layer.name in named and _fits(layer, named[layer.name]) is not None for layer in layers):
        asked = {layer.name for layer in layers}
        unused = [module.name for module in modules if module.name not in asked]
        return Matching(_matches(layers, [named[layer.name] for layer in layers]), "name", unused)
    _same_kinds(layers, modules)
    tree = _Tree.of(modules)
    if ordered and all(_fits(*both) is not None for both in zip(layers, modules, strict=True)):
        _refuse_contradiction(tree)
        return Matching(_matches(layers, modules), "order", [])
    found = _Arranging(layers, ordered).arrange(tree)
    return Matching(_matches(layers, found), "prefixes", [])


# ------------------------------------------------------------------------------ one module


def _modules(shapes: Mapping[str, Extents]) -> list[Module]:
    found: dict[str, dict[str, Extents]] = {}
    for full, shape in shapes.items():
        prefix, _, name = full.rpartition(".")
        if name != COUNTER:
            found.setdefault(prefix, {})[name] = shape
    return [Module(prefix, tensors) for prefix, tensors in found.items()]


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _prefixes(modules: Iterable[Module]) -> list[str]:
    found: dict[str, None] = {}
    for module in modules:
        parts = module.name.split(".")
        found.update(dict.fromkeys(".".join(parts[:n]) for n in range(1, len(parts) + 1)))
    return list(found)


def _fits(layer: Module, module: Module) -> dict[str, str] | None:
    """The file's name of each of a layer's tensors; None where they differ.

    The one tensor of a layer may be called as it likes.
    """
    if layer.tensors.keys() == module.tensors.keys():
        pairs = {name: name for name in layer.tensors}
    elif len(layer.tensors) == len(module.tensors) == 1:
        pairs = dict(zip(layer.tensors, module.tensors, strict=True))
    else:
        return None
    alike = all(_alike(layer.tensors[own], module.tensors[its]) for own, its in pairs.items())
    return pairs if alike else None


def _alike(a: Extents, b: Extents) -> bool:
    """Whether a shape is another's, but for extents of 1 and for a map that was flattened to be read.

    A linear layer over a flattened map is a convolution over all of it, and reads in the same order.
    """
    if a == b:
        return True
    if a[:1] != b[:1] or prod(a) != prod(b):
        return False
    return len(a) == 2 or len(b) == 2 or [n for n in a if n != 1] == [n for n in b if n != 1]


def _matches(layers: Sequence[Module], modules: Sequence[Module]) -> list[Match]:
    found: list[Match] = []
    for layer, module in zip(layers, modules, strict=True):
        pairs = _fits(layer, module)
        assert pairs is not None
        start = f"{module.name}." if module.name else ""
        found.append(Match(layer.name, module.name, {own: start + its for own, its in pairs.items()}))
    return found


Kind = tuple[int, int]
"""What can be told of a tensor whatever form it has: its first extent, and its elements."""


def _kind(module: Module) -> tuple[Kind, ...]:
    return tuple(sorted(((shape[:1] or (1,))[0], prod(shape)) for shape in module.tensors.values()))


def _same_kinds(layers: Sequence[Module], modules: Sequence[Module]) -> None:
    """Refuse a file that lacks what the network has, or has what the network lacks."""
    wanted, given = Counter(map(_kind, layers)), Counter(map(_kind, modules))
    over, lacking = given - wanted, wanted - given
    problem: Problem
    if lacking:
        without = [layer for layer in layers if _kind(layer) in lacking]
        left = [module for module in modules if _kind(module) in over]
        shown = tuple((layer.name, layer.shapes) for layer in without)
        beside = tuple((module.name, module.shapes) for module in left)
        problem = LayersWithoutWeights(shown, beside, _widest(left, modules))
        raise Fault(problem)
    if over:
        left = [module for module in modules if _kind(module) in over]
        shown = tuple((module.name, module.shapes) for module in left)
        problem = WeightsWithoutLayers(shown, sum(over.values()), _widest(left, modules))
        raise Fault(problem)


def _widest(left: Sequence[Module], modules: Sequence[Module]) -> tuple[str, ...]:
    """The shortest prefixes under which nothing but what is left over stands."""
    over = {module.name for module in left}
    found: dict[str, None] = {}
    for module in left:
        parts = module.name.split(".")
        for n in range(1, len(parts) + 1):
            prefix = ".".join(parts[:n])
            if all(other.name in over for other in modules if _under(other.name, prefix)):
                found[prefix] = None
                break
    return tuple(found)


# ------------------------------------------------------------------------------ the tree of prefixes


@dataclass(eq=False)
class _Tree:
    """What stands under a prefix: `parts` in the order of the file, of which a module itself is one."""

    name: str
    module: Module | None = None
    parts: list[_Tree] = field(default_factory=list)
    size: int = 0
    """How many modules there are."""
    form: object = None
    """Equal for parts that can stand for each other: the same names inside, with the same shapes."""

    @staticmethod
    def of(modules: Sequence[Module]) -> _Tree:
        root = _Tree("")
        known = {"": root}

        def at(prefix: str) -> _Tree:
            if prefix not in known:
                around, _, _ = prefix.rpartition(".")
                known[prefix] = _Tree(prefix)
                at(around).parts.append(known[prefix])
            return known[prefix]

        for module in modules:
            at(module.name).parts.append(_Tree(module.name, module, [], 1))
        root.measure()
        return root

    def measure(self) -> None:
        if self.module is not None:
            self.form = tuple(sorted(self.module.tensors.items()))
            return
        for part in self.parts:
            part.measure()
        self.size = sum(part.size for part in self.parts)
        inside = len(self.name) + 1 if self.name else 0
        self.form = frozenset((part.name[inside:], part.form) for part in self.parts)

    def all(self) -> Iterator[_Tree]:
        yield self
        for part in self.parts:
            yield from part.all()


def _numbered(name: str) -> tuple[str, ...]:
    """A name without its numbers: the names of a series are equal so."""
    return tuple(re.split(r"\d+", name.rpartition(".")[2]))


def _natural(tree: _Tree) -> list[tuple[int, str]]:
    """Sorts names as people count: `conv2` before `conv10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", tree.name)]


def _refuse_contradiction(tree: _Tree) -> None:
    """Refuse a file whose names count otherwise than its order does, where shapes don't tell."""
    for one in tree.all():
        series: dict[object, _Tree] = {}
        for part in one.parts:
            before = series.get((_numbered(part.name), part.form))
            if before is not None and _natural(part) < _natural(before):
                raise Fault(PermutedWeights(before.name, part.name))
            series[(_numbered(part.name), part.form)] = part


@dataclass(frozen=True, slots=True)
class _Way:
    """An order of what stands under a prefix, as nested pairs.

    `agrees` counts the prefixes under which there is what one of the network's scopes holds. `other` is
    another order that agrees as well.
    """

    agrees: int
    order: Any
    other: Any = None

    def then(self, rest: _Way) -> _Way:
        other = None
        if self.other is not None:
            other = (self.other, rest.order)
        elif rest.other is not None:
            other = (self.order, rest.other)
        return _Way(self.agrees + rest.agrees, (self.order, rest.order), other)

    def better(self, than: _Way | None) -> _Way:
        """The better of two ways; of equal ones the first, with the second as the other one."""
        if than is None or self.agrees > than.agrees:
            return self
        if self.agrees < than.agrees:
            return than
        return _Way(than.agrees, than.order, than.other if than.other is not None else self.order)


class _Arranging:
    """Finds the order of a file's modules in which all shapes are the network's.

    Of several that whose prefixes agree best with the network's scopes is taken, if it is one.
    """

    def __init__(self, layers: Sequence[Module], ordered: bool) -> None:
        self._layers = layers
        self._ordered = ordered
        self._scopes = _ranges(layers)
        self._known: dict[tuple[int, int, frozenset[int]], _Way | None] = {}

    @deep()
    def arrange(self, tree: _Tree) -> list[Module]:
        for one in tree.all():
            self._order(one)
        found = self._way(tree, 0)
        if found is None:
            raise Fault(PermutedWeights(None, None))
        order = list(_flat(found.order))
        if found.other is not None:
            other = _flat(found.other)
            layer, a, b = next(m for m in zip(self._layers, order, other, strict=True) if m[1] is not m[2])
            raise Fault(AmbiguousWeights(layer.name, a.name, b.name))
        return order

    def _order(self, tree: _Tree) -> None:
        """Put equal parts into the one order that they may have: that of their numbers, or of the file."""
        if not self._ordered:
            tree.parts.sort(key=_natural)
        alike: dict[object, _Tree] = {}
        for part in tree.parts:
            before = alike.setdefault(part.form, part)
            if before is part:
                continue
            if _numbered(before.name) != _numbered(part.name):
                if not self._ordered:
                    raise Fault(AmbiguousWeights(None, before.name, part.name))
            elif _natural(part) < _natural(before):
                raise Fault(PermutedWeights(before.name, part.name))
            alike[part.form] = part

    def _way(self, tree: _Tree, at: int) -> _Way | None:
        """The best order in which what is under a prefix fits the layers from one on."""
        if tree.module is not None:
            fits = at < len(self._layers) and _fits(self._layers[at], tree.module) is not None
            return _Way(0, tree.module) if fits else None
        found = self._rest(tree, at, frozenset(range(len(tree.parts))))
        if found is not None and tree.size > 1 and (at, at + tree.size) in self._scopes:
            return _Way(found.agrees + 1, found.order, found.other)
        return found

    def _rest(self, tree: _Tree, at: int, left: frozenset[int]) -> _Way | None:
        """The best order of those parts of a tree that are left."""
        if not left:
            return _Way(0, None)
        key = (id(tree), at, left)
        if key in self._known:
            return self._known[key]
        if len(self._known) > MOST_TRIES:
            raise Fault(PermutedWeights(None, None))
        best: _Way | None = None
        tried: set[object] = set()
        numbered = False
        for index in sorted(left):
            part = tree.parts[index]
            # What is called 0, 1, 2 runs in that order: torch's Sequential names its modules so.
            follows = part.name.rpartition(".")[2].isdigit()
            if part.form in tried or (follows and numbered):
                continue
            numbered = numbered or follows
            tried.add(part.form)
            first = self._way(part, at)
            rest = None if first is None else self._rest(tree, at + part.size, left - {index})
            if first is not None and rest is not None:
                best = first.then(rest).better(best)
        self._known[key] = best
        return best


def _ranges(layers: Sequence[Module]) -> set[tuple[int, int]]:
    """Where the network's scopes begin and end among its layers."""
    found: dict[str, list[int]] = {}
    for number, layer in enumerate(layers):
        parts = layer.name.split(".")
        for n in range(1, len(parts)):
            found.setdefault(".".join(parts[:n]), []).append(number)
    return {
        (numbers[0], numbers[-1] + 1)
        for numbers in found.values()
        if numbers[-1] - numbers[0] == len(numbers) - 1
    }


def _flat(order: Any) -> Iterator[Module]:
    """The modules of nested pairs, in order."""
    waiting = [order]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Module):
            yield one
        elif one is not None:
            waiting += reversed(one)
