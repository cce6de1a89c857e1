"""Which layer of one network is which of another.

Networks that are the same are found to be by what each layer is computed from and what is computed from it,
so that branches may be executed in any order. Of others the layers are aligned in order of execution by how
alike they are (`rows.py`), whatever blocks, groups and loops they stand in. A stretch that only one network
has may often lie at several places that are as good, as when one of five equal blocks is gone: it is the one
that fits the labels, then the blocks, then the last. What is left and is the same somewhere else was moved;
the rest was added or removed. Scopes are each other where they hold the same layers of those that both have.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from itertools import accumulate

from archdsl.comparison.likeness import AROUND, LABEL, Likeness, related
from archdsl.comparison.outline import Book, Outline, Unit, label
from archdsl.comparison.rows import Rows
from archdsl.compiler.network import Network, Node, Scope

MOST_BRANCHES = 100
"""Layers that take one value of which each is held against each."""


class Matching:
    """Two networks, and for every layer of either the one of the other that it is, or -1.

    `moved` are the numbers of layers of the second that are somewhere else in the first.
    """

    def __init__(self, before: Network, after: Network) -> None:
        self._book = book = Book()
        self.before = Outline(before, book)
        self.after = Outline(after, book)
        self.after_of = [-1] * len(self.before.nodes)
        self.before_of = [-1] * len(self.after.nodes)
        self.moved: set[int] = set()
        # Whichever network comes first, they are matched in one way: what is added there is removed here.
        self._turned = _comes_later(before, after)
        self._first, self._second = (self.after, self.before) if self._turned else (self.before, self.after)
        if not self._match_same():
            self._match(book)
            self._match_crossed()
            self._match_wires()
        pairs = self._same_scopes()
        self._paired = dict(pairs)
        self.scopes = {y: x for x, y in pairs} if self._turned else self._paired
        """The scopes of the first that the second has, too."""
        self._both = {*self.scopes, *self.scopes.values()}
        self._find_moved()

    def in_common(self) -> float:
        """The part of the smaller network that the other has, by weight, but for what was moved."""
        pairs = [(i, j) for i, j in enumerate(self.after_of) if j >= 0 and j not in self.moved]
        return Likeness(self._book).in_common(self.before.looks, self.after.looks, pairs)

    # ------------------------------------------------------------------------ in place

    def _match_same(self) -> bool:
        """Pair every layer, if the networks are the same, in whatever order branches are executed."""
        if len(self.before.nodes) != len(self.after.nodes):
            return False
        roles, others = self.before.roles(), self.after.roles()
        if Counter(roles) != Counter(others):
            return False
        waiting: dict[Hashable, deque[int]] = defaultdict(deque)
        same = range(len(others))
        for j, role in enumerate(others):
            waiting[role, self.after.wired(j, same)].append(j)
        found: list[int] = []
        for i, role in enumerate(roles):
            places = waiting[role, self.before.wired(i, found)]
            if not places:
                return False
            found.append(places.popleft())
        for i, j in enumerate(found):
            self.after_of[i], self.before_of[j] = j, i
        return True

    def _match(self, book: Book) -> None:
        ours, theirs = [-1] * len(self._first.nodes), [-1] * len(self._second.nodes)
        for i, j in Rows(self._first, self._second, book).pairs():
            ours[i], theirs[j] = j, i
        _settle(self._first, self._second, ours, theirs)
        _settle(self._second, self._first, theirs, ours)
        for i, j in enumerate(ours):
            if j >= 0:
                self._pair(i, j)

    def _match_crossed(self) -> None:
        """Pair what takes the same and is the same where both are in other pairs, as of branches that stand
        in another order, if more layers then take what they took."""
        one, other = self._first, self._second
        ours, theirs = self._of(one), self._of(other)

        def paired(pairs: dict[int, int]) -> int:
            """How many of some layers and those after them take what they took, when they are paired so."""
            for number in pairs:
                if ours[number] >= 0:
                    theirs[ours[number]] = -1
            for number, found in pairs.items():
                ours[number] = found
                if found >= 0:
                    theirs[found] = number
            near = {*pairs, *(taker for number in pairs for taker in one.takers[number])}
            return sum(self._takes_the_same(number) for number in near)

        for start in range(len(ours)):
            if self._crossed(start) is None:
                continue
            was: dict[int, int] = {}
            waiting, done = [start], set[int]()
            while waiting:
                number = heappop(waiting)
                found = None if number in done else self._crossed(number)
                if found is None:
                    continue
                done.add(number)
                now, left = ours[number], theirs[found]
                was = {number: now, left: found, **was}
                alike = related(one.nodes[left].layer, other.nodes[now].layer)
                ours[number], theirs[found] = found, number
                ours[left], theirs[now] = (now, left) if alike else (-1, -1)
                for taker in (*one.takers[number], *one.takers[left]):
                    heappush(waiting, taker)
            new = {number: ours[number] for number in was}
            if paired(new) > paired(was):
                paired(new)

    def _takes_the_same(self, number: int) -> bool:
        """Whether a layer of the first is paired with one that is the same and takes the same."""
        ours, theirs = self._of(self._first), self._of(self._second)
        key = self._first.wired(number, range(len(ours)))
        return ours[number] >= 0 and key is not None and self._second.wired(ours[number], theirs) == key

    def _crossed(self, number: int) -> int | None:
        """The layer of the second that one of the first is, though paired with another; None without one."""
        one, other = self._first, self._second
        ours, theirs = self._of(one), self._of(other)
        same = range(len(ours))
        key, makers = one.wired(number, same), one.makers(number)
        if ours[number] < 0 or key is None or ours[makers[0]] < 0 or self._takes_the_same(number):
            return None
        for found in other.takers[ours[makers[0]]][:MOST_BRANCHES]:
            left = theirs[found]
            if left >= 0 and other.wired(found, theirs) == key != one.wired(left, same):
                return found
        return None

    def _match_wires(self) -> None:
        """Pair what takes the same, also where branches are executed in another order."""
        for one, other in ((self._second, self._first), (self._first, self._second)):
            matched, known = self._of(one), set[int]()
            for number in range(len(matched)):
                left: int | None = number
                while left is not None and matched[left] < 0:
                    left = self._match_wired(one, other, left, known)

    def _match_wired(self, one: Outline, other: Outline, number: int, known: set[int]) -> int | None:
        """Pair a layer of `one` with one of `other` that takes the same.

        Where that is matched with one that is called or made otherwise, or takes something else of what both
        have, it is no longer, and that one is given back. `known` are those of `other` that were paired so.
        """
        ours, theirs = self._of(one), self._of(other)
        same = range(len(ours))
        key, makers = one.wired(number, same), one.makers(number)
        if key is None or ours[makers[0]] < 0:
            return None
        for found in other.takers[ours[makers[0]]][:MOST_BRANCHES]:
            left = theirs[found]
            if found in known or other.wired(found, theirs) != key:
                continue
            if left >= 0:
                name, was, called = one.labels[number][0], one.labels[left][0], other.labels[found][0]
                another = one.nodes[left].kind != one.nodes[number].kind
                another |= was != name == called is not None and one.kinds[left] != one.kinds[number]
                kept = all(ours[maker] >= 0 for maker in one.makers(left))
                if not another and not (kept and one.wired(left, same) != key):
                    continue
                ours[left] = -1
            known.add(found)
            self._pair(*((number, found) if one is self._first else (found, number)))
            return left if left >= 0 else None
        return None

    def _of(self, outline: Outline) -> list[int]:
        """For each layer of a network that of the other."""
        return self.after_of if outline is self.before else self.before_of

    def _pair(self, i: int, j: int, moved: bool = False) -> None:
        before, after = (j, i) if self._turned else (i, j)
        self.after_of[before], self.before_of[after] = after, before
        if moved:
            self.moved.add(after)

    def _pair_all(self, x: Unit, y: Unit) -> None:
        for i, j in zip(self._first.layers(x), self._second.layers(y), strict=True):
            node = self._first.nodes[i]
            # What takes nothing is nowhere, but for the inputs, which have their order.
            self._pair(i, j, moved=bool(node.inputs) or node.kind == "input")

    def _same_scopes(self) -> list[tuple[Scope, Scope]]:
        """The scopes that hold the same layers of those that both have; of several, the innermost first."""
        ours, theirs = self._of(self._first), self._of(self._second)
        found: dict[tuple[int, int], list[Scope]] = defaultdict(list)
        for scope, span in _held(self._second, [j if i >= 0 else -1 for j, i in enumerate(theirs)]):
            found[span].append(scope)
        pairs = [(self._first.network.scope, self._second.network.scope)]
        same: dict[tuple[int, int], list[Scope]] = defaultdict(list)
        for scope, span in _held(self._first, ours):
            same[span].append(scope)
        for span, scopes in same.items():
            pairs += zip(scopes, found[span], strict=False)
        return pairs

    # ------------------------------------------------------------------------ moved

    def _find_moved(self) -> None:
        """Pair what is left on both sides and is the same, or has one name within one scope."""
        ours, theirs = self._left(self._first), self._left(self._second)
        gap = self._gap_of()
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
                if waiting and gap[x] != gap[waiting[0]]:
                    taken.update((x, waiting[0]))
                    self._pair_all(x, waiting[0])
                    break
        named = {(self._second.parents[y], label(y)): y for y in theirs if y not in taken}
        for x in ours:
            around = self._paired.get(self._first.parents[x])
            if x in taken or label(x) is None or not isinstance(around, Scope):
                continue
            found = named.get((around, label(x)))
            if (
                isinstance(x, Node)
                and isinstance(found, Node)
                and x.kind == found.kind
                and gap[x] != gap[found]
            ):
                self._pair_all(x, found)

    def _gap_of(self) -> dict[Unit, int]:
        """How many layers that both have stand before each unit: what moved has passed some of them."""
        found: dict[Unit, int] = {}
        for outline in (self.before, self.after):
            before = [0, *accumulate(number >= 0 for number in self._of(outline))]
            found.update((unit, before[start]) for unit, (start, _) in outline.ranges.items())
        return found

    def _left(self, outline: Outline) -> list[Unit]:
        """The largest units of which nothing is matched."""
        matched = self._of(outline)
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


def _held(outline: Outline, matched: list[int]) -> Iterator[tuple[Scope, tuple[int, int]]]:
    """The scopes within a network, inner ones first, with the first and last that they hold of `matched`."""
    for scope, (start, stop) in outline.ranges.items():
        if isinstance(scope, Scope) and scope in outline.parents:
            held = [number for number in matched[start:stop] if number >= 0]
            if held:
                yield scope, (held[0], held[-1])


def _settle(one: Outline, other: Outline, matched: list[int], back: list[int]) -> None:
    """Move each stretch that `one` alone has to the best of the places where it may as well lie.

    `matched` has for each layer of `one` that of `other`, and `back` the other way round.
    """
    around = other.blocks()

    def alike(i: int, j: int) -> int:
        labels = zip(one.labels[i], other.labels[j], (LABEL, AROUND), strict=True)
        return sum(points for label, name, points in labels if label is not None and label == name)

    def fit() -> tuple[int, int]:
        place = start + steps, stop + steps
        return -one.passing(place), -one.cut(place) - around[at + steps]

    stop = 0
    while (start := next((k for k in range(stop, len(matched)) if matched[k] < 0), -1)) >= 0:
        stop = next((k for k in range(start, len(matched)) if matched[k] >= 0), len(matched))
        at = matched[start - 1] + 1 if start else 0
        if at != (matched[stop] if stop < len(matched) else len(back)):
            continue
        steps = labels = 0
        best = (labels, fit(), steps)
        while start + steps > 0 and matched[start + steps - 1] == at + steps - 1 >= 0:
            steps -= 1
            if one.kinds[start + steps] != one.kinds[stop + steps]:
                break
            labels += alike(stop + steps, at + steps) - alike(start + steps, at + steps)
            best = max(best, (labels, fit(), steps))
        steps = labels = 0
        while stop + steps < len(matched) and matched[stop + steps] == at + steps:
            if one.kinds[start + steps] != one.kinds[stop + steps]:
                break
            labels += alike(start + steps, at + steps) - alike(stop + steps, at + steps)
            steps += 1
            best = max(best, (labels, fit(), steps))
        steps = best[2]
        for k in range(steps, 0):
            back[at + k], matched[stop + k] = stop + k, at + k
        for k in range(steps):
            back[at + k], matched[start + k] = start + k, at + k
        matched[start + steps : stop + steps] = [-1] * (stop - start)
        stop += max(steps, 0)


def _counts(unit: Unit) -> bool:
    """Whether a unit is enough to be known again anywhere: one activation is like every other."""
    return isinstance(unit, Scope) or bool(unit.layer.weights(*[wire.shape for wire in unit.inputs]))
