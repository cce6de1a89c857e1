"""Which tensor of a state file is which of a network, from names, order, prefixes and shapes.

No library names its layers as another does, but all of them put a layer's tensors under one prefix, and
nest prefixes as they nest modules. So a file is a tree, and a network a sequence of layers with tensors,
in order of execution. They are matched in this order:

1. By name, where the file has every name that the network asks for, with its shapes. A prefix that all of
   the file's names have is left off where that helps, and what stands before a nested label may be left
   off: `c1` in the file is `body.c1`, unless another label of the network ends so.
2. By order, where the file's layers come as the network's do: files of torch keep the order in which
   modules were defined.
3. By prefixes. What stands under a prefix stays together, but what stands beside each other may come in
   another order (a shortcut before its branch; a file that is sorted by name), in which all shapes agree.
   Of equal ones beside each other the lower number comes first, and what is named by a number alone keeps
   its place. Of several such orders that is meant whose prefixes agree most often with the network's own
   scopes, if there is one.

What is called like a layer or a label of the network, or like the end of one alone, is that one, or nothing
fits. What of the file no layer takes is refused, but for what is called like a part of the network that is
not asked for. Refused are also modules whose weights are computed from other tensors, as those of a weight
norm are, for none of these is a weight; what the file's own numbers contradict (`conv2` before `conv1`, of
equal shape); an order beside which another agrees better with the network's scopes; and a value whose layout
can't be told. Where order alone tells modules of equal shape apart, that is said (`doubts`). Nothing here
reads a tensor.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from archdsl.compiler.depth import deep
from archdsl.problems import Fault, Problem, nearest
from archdsl.problems.pretrained import (
    AmbiguousWeights,
    ComputedWeights,
    LayersWithoutWeights,
    LayoutOfWeights,
    NoSuchPrefix,
    PermutedWeights,
    WeightsWithoutLayers,
)
from archdsl.weights.modules import Extents, Module, fits, layout, modules_of

MOST_TRIES = 200_000
"""How many places are tried for the layers of a file, before its order is called too open."""

Same = Callable[[Module, Module], bool]
"""Whether two modules of a file have the same weights, so that they can be one layer's."""


@dataclass(frozen=True, slots=True)
class Match:
    """A layer of the network, the module of the file that it takes its tensors from, and which is which.

    `tensors` has the file's full name of each of the layer's own. In the file the channels are the last axis
    where it is `turned`.
    """

    layer: str
    module: str
    tensors: Mapping[str, str]
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Matching:
    """Every match, in order of execution, how they were found, and what of the file was not asked for.

    `doubts` are modules of equal shape that only the order of the file tells apart.
    """

    matches: list[Match]
    by: str
    unused: list[str] = field(default_factory=list)
    doubts: tuple[str, str] | None = None

    @property
    def doubt(self) -> str | None:
        """The doubt in words."""
        if self.doubts is None:
            return None
        a, b = self.doubts
        return f"`{a}` and `{b}` have equal shapes, and only the order of the file tells which is which"

    @property
    def remarks(self) -> list[str]:
        """What is worth knowing of how a file was taken: the doubt, what was turned, what was left."""
        found = [] if self.doubt is None else [self.doubt]
        found += [
            f"`{one.module}` has its channels last, and was turned" for one in self.matches if one.turned
        ]
        if self.unused:
            more = f" and {len(self.unused) - 10:,} more" if len(self.unused) > 10 else ""
            found.append(f"not asked for: {', '.join(f'`{name}`' for name in self.unused[:10])}{more}")
        return found


def match(
    layers: Sequence[Module],
    shapes: Mapping[str, Extents],
    ordered: bool,
    ignored: Sequence[str] = (),
    only: str | None = None,
    others: Iterable[Module] = (),
    same: Same | None = None,
) -> Matching:
    """Match layers to the tensors of a file, whose names are in its order if it is `ordered`.

    `ignored` are prefixes of the file that are left out, and `only` is one beside which all is. `others` are
    the network's layers that are not asked for: what is named as they are may be left. Raises `Fault` where
    something has no counterpart, or where more than one way is open.
    """
    others = list(others)
    modules = modules_of(shapes, [*layers, *others])
    common = _common_prefix(modules)
    if only is not None:
        modules = _part(modules, only, common)
    for prefix in ignored:
        left_out = {module.name for module in _part(modules, prefix, common)}
        modules = [module for module in modules if module.name not in left_out]
    kinds = _Kinds(layers)
    if same is not None:
        modules = _without_twins(layers, modules, kinds, same)
    common = _common_prefix(modules)
    for start in (0, *(len(part) + 1 for part in _nested(common))):
        named = {module.name[start:]: module for module in modules}
        if all(layer.name in named and fits(layer, named[layer.name]) is not None for layer in layers):
            asked = {layer.name for layer in layers}
            unused = [module for module in modules if module.name[start:] not in asked]
            _refuse_strays(unused, modules, start, _prefixes(others) - _prefixes(layers))
            taken = _matches(layers, [named[layer.name] for layer in layers], start)
            return Matching(taken, "name", [module.name for module in unused])
    _refuse_computed(modules)
    anchors = _Anchors(layers, modules, len(common) + 1 if common else 0)
    _same_kinds(layers, modules, anchors, kinds)
    called = anchors.layers_called(layers, modules)
    if called is not None:
        return Matching(_matches(layers, called), "name")
    return _arranged(layers, modules, ordered, anchors)


def _refuse_computed(modules: Sequence[Module]) -> None:
    """Refuse modules that lack their weights, and have what those are computed from."""
    some = [module for module in modules if module.computed]
    if some:
        tensor, its = next(iter(some[0].computed.items()))
        name = f"{some[0].name}.{tensor}" if some[0].name else tensor
        raise Fault(ComputedWeights(name, its.of, its.end, len(some)))


def _refuse_strays(unused: Sequence[Module], modules: Sequence[Module], start: int, other: set[str]) -> None:
    """Refuse what no layer takes, but for what is called like a part of the network that is not asked for."""
    strays = [module for module in unused if other.isdisjoint(_nested(module.name[start:]))]
    if strays:
        beside = tuple((module.name, module.shapes) for module in strays)
        raise Fault(WeightsWithoutLayers(beside, len(strays), _widest(strays, modules)))


def _without_twins(
    layers: Sequence[Module], modules: Sequence[Module], kinds: _Kinds, same: Same
) -> list[Module]:
    """The modules of a file, but only one of those that are one layer under several names.

    That are modules with the same weights, where the network uses a layer of their kind as often at least,
    and has fewer of it than the file.
    """
    uses: dict[object, int] = {}
    for layer in layers:
        uses[kinds(layer)] = max(layer.uses, uses.get(kinds(layer), 0))
    over = Counter(map(kinds, modules)) - Counter(map(kinds, layers))
    own = {layer.name for layer in layers}
    groups: list[list[Module]] = []
    for module in modules:
        if kinds(module) not in over or uses.get(kinds(module), 0) < 2:
            continue
        group = next((g for g in groups if kinds(g[0]) == kinds(module) and same(g[0], module)), None)
        if group is None:
            groups.append([module])
        else:
            group.append(module)
    twins: set[str] = set()
    for group in groups:
        if len(group) <= uses[kinds(group[0])]:
            kept = next((module for module in group if module.name in own), group[0])
            twins |= {module.name for module in group if module is not kept}
    return [module for module in modules if module.name not in twins]


def _arranged(
    layers: Sequence[Module], modules: Sequence[Module], ordered: bool, anchors: _Anchors
) -> Matching:
    """Match as many modules as there are layers."""
    tree = _Tree.of(modules, anchors)
    if ordered:
        _refuse_contradiction(tree)
    arranging = _Arranging(layers, ordered)
    best, other = arranging.arrange(tree)
    in_order = ordered and all(fits(*both) is not None for both in zip(layers, modules, strict=True))
    anchored = in_order and all(tree.anchors.allows(*both) for both in zip(layers, modules, strict=True))
    if best is None:
        both = list(zip(layers, modules, strict=True))
        forbidden = next((pair for pair in both if not tree.anchors.allows(*pair)), None)
        if in_order and forbidden is not None:
            layer, module = forbidden
            raise Fault(AmbiguousWeights(layer.name, module.name, tree.anchors.of(module) or ""))
        apart = next((pair for pair in both if fits(*pair) is None), ())
        shown = tuple((one.name, one.shapes) for one in apart)
        raise Fault(PermutedWeights(None, None, shown, scattered=not apart and forbidden is None))
    if not anchored:
        if other is not None:
            raise _open_between(layers, best, other)
        return Matching(_matches(layers, best), "prefixes")
    doubts = arranging.alike
    if other is not None:
        a, b = next((a, b) for a, b in zip(best, other, strict=True) if a is not b)
        doubts = a.name, b.name
    elif any(a is not b for a, b in zip(best, modules, strict=True)) and doubts is None:
        raise _open_between(layers, modules, best)
    return Matching(_matches(layers, modules), "order", doubts=doubts)


def _open_between(layers: Sequence[Module], first: Sequence[Module], second: Sequence[Module]) -> Fault:
    layer, a, b = next(m for m in zip(layers, first, second, strict=True) if m[1] is not m[2])
    return Fault(AmbiguousWeights(layer.name, a.name, b.name))


# ------------------------------------------------------------------------------ one module


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _nested(name: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` of the last."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)] if name else []


def _common_prefix(modules: Sequence[Module]) -> str:
    """What the names of all modules begin with, in whole parts, and not the whole name of any."""
    if not modules:
        return ""
    parts = [module.name.split(".")[:-1] for module in modules]
    shared = 0
    while all(len(p) > shared and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    return ".".join(parts[0][:shared])


def _part(modules: Sequence[Module], prefix: str, common: str) -> list[Module]:
    """What stands under a prefix, which may leave off the one that all names have."""
    for one in (prefix, f"{common}.{prefix}"):
        found = [module for module in modules if _under(module.name, one)]
        if found:
            return found
        # A part of what a weight is computed from can't be left out: the rest is no weight.
        _refuse_computed(
            [m for m in modules if m.computed and any(_under(its, one) for its in m.full.values())]
        )
    raise Fault(NoSuchPrefix(prefix, nearest(prefix, sorted(_prefixes(modules)))))


def _prefixes(modules: Iterable[Module]) -> set[str]:
    return {prefix for module in modules for prefix in _nested(module.name)}


def _matches(layers: Sequence[Module], modules: Sequence[Module], start: int | None = None) -> list[Match]:
    """What is taken. Names that count from `start` on are the network's own, and so are layouts then."""
    found: list[Match] = []
    for layer, module in zip(layers, modules, strict=True):
        pairs = fits(layer, module)
        assert pairs is not None
        turned = False
        for own, its in pairs.items() if layer.value else ():
            lies = layout(layer.tensors[own], module.tensors[its])
            named = start is not None and module.full[its][start:] == f"{layer.name}.{own}"
            if lies == "open" and not (named and layer.tensors[own] == module.tensors[its]):
                shapes = layer.tensors[own], module.tensors[its]
                raise Fault(LayoutOfWeights(layer.name, own, module.full[its], *shapes))
            turned = lies == "channels last"
        found.append(
            Match(layer.name, module.name, {own: module.full[its] for own, its in pairs.items()}, turned)
        )
    return found


Kind = tuple[tuple[int, int], ...]
"""What can be told of a module whatever form its tensors have: their first extents, and their elements."""


class _Kinds:
    """The kind of a layer, or of a module of a file.

    The first axis of a network's value may be any in a file, so there its elements alone count.
    """

    def __init__(self, layers: Sequence[Module]) -> None:
        values = (shape for layer in layers if layer.value for shape in layer.tensors.values())
        self._values = frozenset(map(prod, values))

    def __call__(self, module: Module) -> Kind:
        found = sorted(((shape[:1] or (1,))[0], prod(shape)) for shape in module.tensors.values())
        if len(found) == 1 and found[0][1] in self._values:
            return ((0, found[0][1]),)
        return tuple(found)


def _same_kinds(
    layers: Sequence[Module], modules: Sequence[Module], anchors: _Anchors, kinds: _Kinds
) -> None:
    """Refuse a file that lacks what the network has, or has what the network lacks."""
    wanted, given = Counter(map(kinds, layers)), Counter(map(kinds, modules))
    over, lacking = given - wanted, wanted - given
    left = _of_kinds(modules, over, kinds, [module for module in modules if anchors.of(module) is None])
    beside = tuple((module.name, module.shapes) for module in left)
    prefixes = _widest(left, modules) if len(left) == over.total() else tuple(m.name for m in left)
    problem: Problem
    if lacking:
        without = _of_kinds(layers, lacking, kinds, [layer for layer in layers if not anchors.claim(layer)])
        shown = tuple((layer.name, layer.shapes) for layer in without)
        alone = _lacking_alone(without, lacking, left, over, kinds)
        thirds = _thirds(without[0], left)
        problem = LayersWithoutWeights(shown, lacking.total(), alone, beside, prefixes, thirds)
        raise Fault(problem)
    if over:
        problem = WeightsWithoutLayers(beside, over.total(), prefixes, _whole(wanted, modules, kinds))
        raise Fault(problem)


def _whole(wanted: Counter[Kind], modules: Sequence[Module], kinds: _Kinds) -> tuple[str, ...]:
    """The outermost prefixes under which there is all that the network has, where they are several."""
    under: dict[str, Counter[Kind]] = {}
    for module in modules:
        for prefix in _nested(module.name):
            under.setdefault(prefix, Counter())[kinds(module)] += 1
    found = [prefix for prefix, given in under.items() if given == wanted]
    outermost = [one for one in found if not any(other in found for other in _nested(one)[:-1])]
    return tuple(outermost) if len(outermost) > 1 else ()


def _of_kinds(
    some: Sequence[Module], many: Counter[Kind], kinds: _Kinds, unnamed: Sequence[Module]
) -> list[Module]:
    """Those of kinds of which there are so many too many: the `unnamed` ones where they are as many."""
    found = [one for one in unnamed if kinds(one) in many]
    if Counter(map(kinds, found)) == many:
        return found
    return [one for one in some if kinds(one) in many]


def _thirds(layer: Module, left: Sequence[Module]) -> str | None:
    """Under what three modules stand that are a layer if they are joined, as queries, keys and values are."""
    third = [(shape[0] / 3, prod(shape) / 3) for shape in layer.tensors.values() if shape]
    around = Counter(
        module.name.rpartition(".")[0]
        for module in left
        if module.tensors.keys() == layer.tensors.keys()
        and [(shape[0], prod(shape)) for shape in module.tensors.values() if shape] == third
    )
    return next((name for name, count in around.items() if name and count >= 3), None)


def _lacking_alone(
    without: Sequence[Module],
    lacking: Counter[Kind],
    left: Sequence[Module],
    over: Counter[Kind],
    kinds: _Kinds,
) -> tuple[str, ...]:
    """The tensors, biases or statistics, whose lack is all that layers have against modules of a file."""
    first = without[0].tensors
    for module in left:
        gone = {name: None for name in first if name not in module.tensors}
        if not (gone and module.tensors.keys() < first.keys()):
            continue
        bare: Counter[Kind] = Counter()
        for kind, count in lacking.items():
            of = next(layer for layer in without if kinds(layer) == kind)
            kept = {name: shape for name, shape in of.tensors.items() if name not in gone}
            bare[kinds(Module(of.name, kept))] += count
        if all(gone.keys() <= layer.tensors.keys() for layer in without) and bare <= over:
            return tuple(gone)
    return ()


def _widest(left: Sequence[Module], modules: Sequence[Module]) -> tuple[str, ...]:
    """The shortest prefixes under which nothing but what is left over stands."""
    over = {module.name for module in left}
    found: dict[str, None] = {}
    for module in left:
        for prefix in _nested(module.name):
            if all(other.name in over for other in modules if _under(other.name, prefix)):
                found[prefix] = None
                break
    return tuple(found)


class _Anchors:
    """What in a file is called like something in the network: a layer, or a label with as many layers.

    A nested label may be called by its end, where no other of the network's ends so.
    """

    def __init__(self, layers: Sequence[Module], modules: Sequence[Module], start: int) -> None:
        """The names of the file count from `start` on."""
        inside = Counter(name for layer in layers for name in _nested(layer.name))
        there = Counter(name for module in modules for name in _nested(module.name[start:]))
        ending: dict[str, list[str]] = {}
        for label in inside:
            parts = label.split(".")
            for n in range(1, len(parts)):
                ending.setdefault(".".join(parts[n:]), []).append(label)
        called = {name: name for name in there if name in inside}
        for name in there:
            labels = ending.get(name, [])
            # A mere number is a place among others, and no name.
            if name not in called and len(labels) == 1 and labels[0] not in there and not name.isdigit():
                called[name] = labels[0]
        often = Counter(called.values())
        self._called = {
            name: label
            for name, label in called.items()
            if inside[label] == there[name] and often[label] == 1
        }
        self._labels = {*self._called.values()}
        self._start = start

    def of(self, module: Module) -> str | None:
        """The longest name of the network that a module is called by."""
        shared = [name for name in _nested(module.name[self._start :]) if name in self._called]
        return self._called[shared[-1]] if shared else None

    def claim(self, layer: Module) -> bool:
        """Whether something in the file is called like a layer, or like a label around it."""
        return any(name in self._labels for name in _nested(layer.name))

    def layers_called(self, layers: Sequence[Module], modules: Sequence[Module]) -> list[Module] | None:
        """The module of each layer, where names alone tell them all."""
        by_label: dict[str | None, list[Module]] = {}
        for module in modules:
            by_label.setdefault(self.of(module), []).append(module)
        found: list[Module] = []
        for layer in layers:
            its = [module for label in _nested(layer.name) for module in by_label.get(label, ())]
            if len(its) != 1 or fits(layer, its[0]) is None:
                return None
            found += its
        return found

    def allows(self, layer: Module, module: Module) -> bool:
        """Whether a module's name leaves it open that it is a layer's."""
        shared = self.of(module)
        return shared is None or _under(layer.name, shared)


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
    anchors: _Anchors = field(kw_only=True)

    @staticmethod
    def of(modules: Sequence[Module], anchors: _Anchors) -> _Tree:
        root = _Tree("", anchors=anchors)
        known = {"": root}

        def at(prefix: str) -> _Tree:
            if prefix not in known:
                around, _, _ = prefix.rpartition(".")
                known[prefix] = _Tree(prefix, anchors=anchors)
                at(around).parts.append(known[prefix])
            return known[prefix]

        for module in modules:
            at(module.name).parts.append(_Tree(module.name, module, [], 1, anchors=anchors))
        root.measure()
        return root

    def measure(self) -> None:
        if self.module is not None:
            self.form = (*sorted(self.module.tensors.items()), self.anchors.of(self.module))
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
        self.alike: tuple[str, str] | None = None
        """Two parts that nothing but the order of the file tells apart."""

    @deep()
    def arrange(self, tree: _Tree) -> tuple[list[Module] | None, list[Module] | None]:
        """The best order, None where there is none, and another as good, if there is one."""
        for one in tree.all():
            self._order(one)
        found = self._way(tree, 0)
        if found is None:
            return None, None
        return list(_flat(found.order)), None if found.other is None else list(_flat(found.other))

    def _order(self, tree: _Tree) -> None:
        """Put equal parts into the one order that they may have: that of their numbers, or of the file."""
        if not self._ordered:
            tree.parts.sort(key=_natural)
        last: dict[object, _Tree] = {}
        for part in tree.parts:
            before = last.get(part.form)
            if before is not None and _numbered(before.name) != _numbered(part.name):
                if not self._ordered:
                    raise Fault(AmbiguousWeights(None, before.name, part.name))
                self.alike = self.alike or (before.name, part.name)
            last[part.form] = part

    def _way(self, tree: _Tree, at: int) -> _Way | None:
        """The best order in which what is under a prefix fits the layers from one on."""
        if tree.module is not None:
            if at == len(self._layers) or not tree.anchors.allows(self._layers[at], tree.module):
                return None
            return None if fits(self._layers[at], tree.module) is None else _Way(0, tree.module)
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
