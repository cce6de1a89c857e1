"""Which layer of one network is which of another.

The trees of scopes are walked together from the outermost. Within a pair of scopes the members are aligned:
by the labels that the file gives, then by equal structure, then the rounds of loops by their numbers, and
what is left between those by how alike it is. A run of layers on one side and a block of the same layers on
the other are a matter of writing, and their layers are matched one by one. What is left at last is moved
where the other network has the same somewhere else, and added or removed where it has not.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence

from archdsl.comparison.alignment import Pair, aligned, gaps, increasing
from archdsl.comparison.outline import Book, Outline, Unit, differ, label
from archdsl.compiler.network import Network, Node, Scope
from archdsl.layers.layer import Layer

ALIKE = 0.5
"""The part of the smaller of two scopes of one name that must be in the other for them to be one, changed."""
REWRITTEN = 0.75
"""The part of a block's layers that must be on the other side for it to be the same under another name."""
MOST_COMPARED = 10_000
"""Pairs of members of which each is held against each; of more, only the kinds are aligned."""

Members = Sequence[Unit]


class Matching:
    """Two networks, and for every layer of either the one of the other that it is, or -1.

    `moved` are the numbers of layers of the second that are somewhere else in the first.
    """

    def __init__(self, before: Network, after: Network) -> None:
        book = Book()
        self.before = Outline(before, book)
        self.after = Outline(after, book)
        self.after_of = [-1] * len(self.before.nodes)
        self.before_of = [-1] * len(self.after.nodes)
        self.moved: set[int] = set()
        # Whichever network comes first, they are matched in one way: what is added there is removed here.
        self._turned = _comes_later(before, after)
        self._first, self._second = (self.after, self.before) if self._turned else (self.before, self.after)
        self._paired: dict[Unit, Unit] = {self._first.network.scope: self._second.network.scope}
        self._match()
        pairs = [(x, y) for x, y in self._paired.items() if isinstance(x, Scope) and isinstance(y, Scope)]
        self.scopes = {y: x for x, y in pairs} if self._turned else dict(pairs)
        """The scopes of the first that the second has, too."""
        self._both = {*self.scopes, *self.scopes.values()}
        self._find_moved()

    # ------------------------------------------------------------------------ in place

    def _match(self) -> None:
        waiting = [(self._first.network.scope, self._second.network.scope)]
        while waiting:
            x, y = waiting.pop()
            if self._first.signature(x) == self._second.signature(y):
                self._pair_all(x, y)
                continue
            for one, other in self._aligned(x.members, y.members):
                self._paired[one] = other
                if isinstance(one, Scope) and isinstance(other, Scope):
                    waiting.append((one, other))
                else:
                    self._pair(self._first.ranges[one][0], self._second.ranges[other][0])

    def _pair(self, i: int, j: int, moved: bool = False) -> None:
        before, after = (j, i) if self._turned else (i, j)
        self.after_of[before], self.before_of[after] = after, before
        if moved:
            self.moved.add(after)

    def _pair_all(self, x: Unit, y: Unit, moved: bool = False) -> None:
        for i, j in zip(self._first.layers(x), self._second.layers(y), strict=True):
            self._pair(i, j, moved)

    def _aligned(self, xs: Members, ys: Members) -> Iterator[tuple[Unit, Unit]]:
        """Members that are each other. Layers of blocks that are only written otherwise are paired here."""
        pairs = increasing(self._by_name(xs, ys, label))
        for step in (self._by_structure, self._by_round, self._by_likeness):
            found = [
                (i0 + i, j0 + j)
                for i0, i1, j0, j1 in gaps(pairs, len(xs), len(ys))
                for i, j in step(xs[i0:i1], ys[j0:j1])
            ]
            pairs = sorted([*pairs, *found])
        for i0, i1, j0, j1 in gaps(pairs, len(xs), len(ys)):
            self._pair_rewritten(xs[i0:i1], ys[j0:j1])
        return ((xs[i], ys[j]) for i, j in pairs)

    def _by_name(self, xs: Members, ys: Members, name: Callable[[Unit], str | None]) -> Iterator[Pair]:
        named = {name(y): j for j, y in enumerate(ys)}
        for i, x in enumerate(xs):
            key = name(x)
            if key is not None and key in named and self._may_be(x, ys[named[key]]):
                yield i, named[key]

    def _may_be(self, x: Unit, y: Unit) -> bool:
        """Whether two units of one name can be the same, changed."""
        if isinstance(x, Node) and isinstance(y, Node):
            return _related(x.layer, y.layer)
        if isinstance(x, Scope) and isinstance(y, Scope):
            return _same_block(x, y) or self._likeness(x, y, min) >= ALIKE
        return False

    def _by_structure(self, xs: Members, ys: Members) -> list[Pair]:
        return aligned([self._first.signature(x) for x in xs], [self._second.signature(y) for y in ys])

    def _by_round(self, xs: Members, ys: Members) -> list[Pair]:
        return increasing(self._by_name(xs, ys, _round))

    def _by_likeness(self, xs: Members, ys: Members) -> list[Pair]:
        """The pairs in order that are most alike in all."""
        n, m = len(xs), len(ys)
        if n * m > MOST_COMPARED:
            return aligned([_sort(x) for x in xs], [_sort(y) for y in ys])
        best = [[0.0] * (m + 1) for _ in range(n + 1)]
        scores = [[self._score(x, y) for y in ys] for x in xs]
        for i in range(n - 1, -1, -1):
            for j in range(m - 1, -1, -1):
                together = scores[i][j] + best[i + 1][j + 1] if scores[i][j] else 0.0
                best[i][j] = max(best[i + 1][j], best[i][j + 1], together)
        found, i, j = [], 0, 0
        while i < n and j < m:
            if scores[i][j] and best[i][j] == scores[i][j] + best[i + 1][j + 1]:
                found.append((i, j))
                i, j = i + 1, j + 1
            elif best[i][j] == best[i + 1][j]:
                i += 1
            else:
                j += 1
        return found

    def _score(self, x: Unit, y: Unit) -> float:
        """How alike two members are; 0 where they can't be the same."""
        same_name = 0.25 if x.key == y.key else 0.0
        if isinstance(x, Node) and isinstance(y, Node):
            if x.kind == y.kind:
                return 1 + _share_of_arguments(x.layer, y.layer) + same_name
            return 0.5 + same_name if _related(x.layer, y.layer) else 0.0
        if isinstance(x, Scope) and isinstance(y, Scope):
            likeness = self._likeness(x, y, max)
            return 1 + likeness + same_name if likeness >= REWRITTEN or _same_block(x, y) else 0.0
        return 0.0

    def _likeness(self, x: Scope, y: Scope, of: Callable[[int, int], int]) -> float:
        """The part of the layers of the smaller or larger of two scopes that both have."""
        ours, theirs = self._first.contents(x), self._second.contents(y)
        return (ours & theirs).total() / max(of(ours.total(), theirs.total()), 1)

    def _pair_rewritten(self, xs: Members, ys: Members) -> None:
        """Pair the layers of what one side has in a block and the other has not, or in another."""
        if all(isinstance(unit, Node) for unit in (*xs, *ys)):
            return
        ours = [i for x in xs for i in self._first.layers(x)]
        theirs = [j for y in ys for j in self._second.layers(y)]
        pairs = [
            (ours[i], theirs[j])
            for i, j in aligned([self._first.kinds[i] for i in ours], [self._second.kinds[j] for j in theirs])
        ]
        while True:
            left, right = {i for i, _ in pairs}, {j for _, j in pairs}
            poor_left = _poor(self._first, xs, left)
            poor_right = _poor(self._second, ys, right)
            kept = [(i, j) for i, j in pairs if i not in poor_left and j not in poor_right]
            if len(kept) == len(pairs):
                break
            pairs = kept
        for i, j in pairs:
            self._pair(i, j)

    # ------------------------------------------------------------------------ moved

    def _find_moved(self) -> None:
        """Pair what is left on both sides and is the same, or has one name within one scope."""
        ours, theirs = self._left(self._first), self._left(self._second)
        places: dict[Hashable, deque[Unit]] = defaultdict(deque)
        often: Counter[int] = Counter()
        for y in theirs:
            signature, scope = self._second.signature(y), self._second.parents[y]
            often[signature] += 1
            for key in _places(signature, label(y), scope):
                places[key].append(y)
        once = Counter(self._first.signature(x) for x in ours)
        taken: set[Unit] = set()
        for x in ours:
            signature = self._first.signature(x)
            *narrow, anywhere = _places(signature, label(x), self._paired.get(self._first.parents[x]))
            if once[signature] == often[signature] == 1 and _counts(x):
                narrow.append(anywhere)
            for key in narrow:
                waiting = places[key]
                while waiting and waiting[0] in taken:
                    waiting.popleft()
                if waiting:
                    taken.update((x, waiting[0]))
                    self._pair_all(x, waiting[0], moved=True)
                    break
        named = {(self._second.parents[y], label(y)): y for y in theirs if y not in taken}
        for x in ours:
            around = self._paired.get(self._first.parents[x])
            if x in taken or label(x) is None or not isinstance(around, Scope):
                continue
            found = named.get((around, label(x)))
            if isinstance(x, Node) and isinstance(found, Node) and x.kind == found.kind:
                self._pair_all(x, found, moved=True)

    def _left(self, outline: Outline) -> list[Unit]:
        """The largest units of which nothing is matched."""
        matched = self.after_of if outline is self.before else self.before_of
        units = []
        waiting: list[Unit] = [*reversed(outline.network.scope.members)]
        while waiting:
            unit = waiting.pop()
            free = [matched[i] < 0 for i in outline.layers(unit)]
            if free and all(free) and unit not in self._both:
                units.append(unit)
            elif isinstance(unit, Scope) and any(free):
                waiting += reversed(unit.members)
        return units


def _places(signature: int, name: str | None, scope: Unit | None) -> list[Hashable]:
    """Where to look for a unit that was moved, from the likeliest place to anywhere."""
    named: list[Hashable] = [(signature, name, scope), (signature, name)] if name is not None else []
    return [*named, (signature, scope), signature]


def _comes_later(network: Network, other: Network) -> bool:
    """One order of any two networks that are not alike, whichever is named first."""
    if len(network.nodes) != len(other.nodes):
        return len(network.nodes) > len(other.nodes)
    for x, y in zip(network.nodes, other.nodes, strict=True):
        ours, theirs = (f"{node.name} {node.layer!r}" for node in (x, y))
        if ours != theirs:
            return ours > theirs
    return False


def _round(unit: Unit) -> str | None:
    return unit.key if isinstance(unit, Scope) and unit.loop is not None else None


def _sort(unit: Unit) -> tuple[str, str | None]:
    return ("layer", unit.kind) if isinstance(unit, Node) else ("block", unit.block)


def _same_block(x: Scope, y: Scope) -> bool:
    return x.block is not None and x.block == y.block


def _related(x: Layer, y: Layer) -> bool:
    """Whether one layer may have been put in place of another: two convolutions, two activations."""
    return x.kind == y.kind or type(x).__module__ == type(y).__module__


def _share_of_arguments(x: Layer, y: Layer) -> float:
    same = sum(not differ(name, x, y) for name in x.values)
    return same / max(len(x.values), 1)


def _counts(unit: Unit) -> bool:
    """Whether a unit is enough to be known again anywhere: one activation is like every other."""
    return isinstance(unit, Scope) or bool(unit.layer.weights(*[wire.shape for wire in unit.inputs]))


def _poor(outline: Outline, units: Members, matched: set[int]) -> set[int]:
    """The layers of blocks too few of whose layers are matched."""
    found: set[int] = set()
    for unit in units:
        layers = outline.layers(unit)
        if sum(i in matched for i in layers) < REWRITTEN * len(layers):
            found.update(layers)
    return found
