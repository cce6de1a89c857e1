"""What was added, removed, changed and moved, from one matching of two networks.

A layer is changed where the file gives it another kind, other arguments or other inputs. Where it has another
shape or other figures only since layers before it have, it is affected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from archdsl.comparison.matching import Matching
from archdsl.comparison.outline import COMMUTATIVE, Outline, differ, values_differ
from archdsl.comparison.parts import FIGURES, Part, Parts
from archdsl.compiler.network import Node, Scope
from archdsl.layers.arguments import SameAs, written
from archdsl.layers.layer import Layer
from archdsl.report.calls import layer_call
from archdsl.report.report import plain
from archdsl.sizes import TooLarge

if TYPE_CHECKING:
    from archdsl.sizes import Size

Status = Literal["added", "removed", "changed", "moved", "affected", "same"]

MOST_MAKERS = 16
"""How many layers that a value comes from are told apart."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing that the file says otherwise of a layer: an argument, its kind, its inputs, its weights."""

    what: Literal["argument", "kind", "inputs", "weights"]
    name: str
    before: str | None
    after: str | None

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "name": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Change:
    """A part that is not as it was. `details` say what the file says otherwise of it."""

    status: Status
    before: Part | None
    after: Part | None
    details: tuple[Detail, ...] = ()

    @property
    def part(self) -> Part:
        """The later of its two parts that is there."""
        found = self.after or self.before
        assert found is not None
        return found

    def figure(self, name: str) -> Size | None:
        """How much more of a figure there is."""
        return minus(
            0 if self.after is None else self.after.figures[name],
            0 if self.before is None else self.before.figures[name],
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "name": self.part.name,
            "before": None if self.before is None else self.before.to_dict(),
            "after": None if self.after is None else self.after.to_dict(),
            "details": [detail.to_dict() for detail in self.details],
            "difference": {name: plain(self.figure(name)) for name in FIGURES},
        }


class Entry(NamedTuple):
    """A layer by its numbers in both networks; -1 where it is in one alone."""

    before: int
    after: int
    status: Status
    details: tuple[Detail, ...] = ()


class Changes:
    """Every layer of two networks, each once, in one order, and the same in runs."""

    def __init__(self, matching: Matching, before: Parts, after: Parts) -> None:
        self._matching = matching
        self._before = before
        self._after = after
        self._came = _origins(matching.before, matching.after_of, matching.moved)
        kept = [j if i >= 0 else -1 for j, i in enumerate(matching.before_of)]
        self._comes = _origins(matching.after, kept, matching.moved)
        self.entries = list(self._walk())
        self.sequence = list(self._folded())

    def same_value(self, maker: Node, other: Node) -> bool:
        """Whether a layer of the first network stands where one of the second does."""
        i, j = self._matching.before.index[maker], self._matching.after.index[other]
        return self._matching.after_of[i] == j or not self._came[i].isdisjoint(self._comes[j])

    def single(self, entry: Entry) -> Change:
        """A layer that both networks have."""
        before, after = self._before.of([entry.before]), self._after.of([entry.after])
        return Change(entry.status, before, after, entry.details)

    def folded(self, depth: int) -> list[Change]:
        """The sequence with scopes deeper than `depth` as one, where something changed in them."""

        def place(entry: Entry) -> tuple[str, ...]:
            outline = self._matching.before if entry.after < 0 else self._matching.after
            node = outline.nodes[entry.before if entry.after < 0 else entry.after]
            return tuple(node.name.split(".")[:depth])

        found: list[Change] = []
        run: list[Entry] = []
        for scope, some in groupby(self.entries, place):
            entries = list(some)
            statuses = {entry.status for entry in entries}
            whole = len(statuses) == 1 and (len(entries) == 1 or statuses != {"changed"})
            if run and not (whole and all(map(_goes_on, [run[-1], *entries], entries))):
                found += self._of_run(run)
                run = []
            if whole:
                run += entries
            else:
                found.append(self._summary(entries, ".".join(scope)))
        return [*found, *(self._of_run(run) if run else [])]

    def apart(self) -> tuple[list[Part], list[Part]]:
        """Either network in parts by the first word of names, but for the inputs."""
        return self._outermost(self._before), self._outermost(self._after)

    def _outermost(self, parts: Parts) -> list[Part]:
        numbered = [one for one in enumerate(parts.outline.nodes) if one[1].kind != "input"]
        found = groupby(numbered, key=lambda one: one[1].name.split(".")[0])
        return [replace(parts.of([number for number, _ in some]), scope=name) for name, some in found]

    def _summary(self, entries: list[Entry], scope: str) -> Change:
        """Layers of one scope and several fates as one change."""
        ours = sorted(entry.before for entry in entries if entry.before >= 0)
        theirs = [entry.after for entry in entries if entry.after >= 0]
        before = replace(self._before.of(ours), scope=scope) if ours else None
        after = replace(self._after.of(theirs), scope=scope) if theirs else None
        status: Status = "removed" if after is None else "added" if before is None else "changed"
        if {entry.status for entry in entries} <= {"same", "affected"}:
            status = "affected"
        return Change(status, before, after)

    # ------------------------------------------------------------------------ layer by layer

    def _walk(self) -> Iterator[Entry]:
        removed = self._removed()
        for j, i in enumerate(self._matching.before_of):
            yield from removed.pop(j, [])
            if i < 0:
                yield Entry(-1, j, "added")
            elif j in self._matching.moved:
                yield Entry(i, j, "moved", self._details(i, j))
            else:
                details = self._details(i, j)
                yield Entry(i, j, "changed" if details else self._followed(i, j), details)
        for left in removed.values():
            yield from left

    def _removed(self) -> dict[int, list[Entry]]:
        """What was removed, by the number of the layer of the second network before which it is told of.

        That is after what was before it, and within the scope that it was in.
        """
        matching, found, at = self._matching, dict[int, list[Entry]](), 0
        begins: dict[Scope, int] = {}
        for i, j in enumerate(matching.after_of):
            if self._stays(j):
                at = j + 1
            elif j < 0:
                scope: Scope | None = matching.before.parents[matching.before.nodes[i]]
                while scope is not None and scope not in matching.scopes:
                    scope = matching.before.parents.get(scope)
                if scope is not None and scope not in begins:
                    begins[scope] = matching.after.ranges[matching.scopes[scope]][0]
                at = max(at, 0 if scope is None else begins[scope])
                found.setdefault(at, []).append(Entry(i, -1, "removed"))
        return found

    def _followed(self, i: int, j: int) -> Status:
        x, y = self._matching.before.nodes[i], self._matching.after.nodes[j]
        ours, theirs = self._before.figures[i], self._after.figures[j]
        return "same" if x.shapes == y.shapes and ours == theirs else "affected"

    def _details(self, i: int, j: int) -> tuple[Detail, ...]:
        """What the file says otherwise of a layer that both networks have."""
        matching = self._matching
        x, y = matching.before.nodes[i], matching.after.nodes[j]
        found: list[Detail] = []
        if x.kind != y.kind:
            found.append(Detail("kind", "kind", layer_call(x), layer_call(y)))
        elif matching.before.kinds[i] != matching.after.kinds[j]:
            found += _arguments(x.layer, y.layer)
        if j not in matching.moved and not self._same_inputs(x, y):
            found.append(_inputs(x, y))
        owner = None if x.first is None else matching.after_of[matching.before.index[x.first]]
        now = None if y.first is None else matching.after.index[y.first]
        if owner != now:
            found.append(Detail("weights", "weights", _weights(x), _weights(y)))
        return tuple(found)

    def _same_inputs(self, x: Node, y: Node) -> bool:
        """Whether a layer takes what it took, seen past what was added, removed and moved."""
        matching = self._matching
        ours = [(matching.after_of[matching.before.index[maker]], port) for maker, port in x.inputs]
        theirs = [(matching.after.index[maker], port) for maker, port in y.inputs]
        if ours == theirs:
            return True
        sources = [self._came[matching.before.index[maker]] for maker, _ in x.inputs]
        came = [(*one, source) for one, source in zip(ours, sources, strict=True)]
        sources = [self._comes[matching.after.index[maker]] for maker, _ in y.inputs]
        comes = [(*one, source) for one, source in zip(theirs, sources, strict=True)]
        if y.kind in COMMUTATIVE:
            both = Counter(ours) & Counter(theirs)
            came, comes = _without(came, both), _without(comes, both)
        if len(came) == len(comes):
            return all(self._fits(one, other) for one, other in zip(came, comes, strict=True))
        return [one[:2] for one in came if self._stays(one[0])] == [
            one[:2] for one in comes if self._stays(one[0])
        ]

    def _stays(self, j: int) -> bool:
        """Whether a layer, by its number in the second network, is in both and at one place."""
        return j >= 0 and self._matching.before_of[j] >= 0 and j not in self._matching.moved

    def _fits(self, one: _Input, other: _Input) -> bool:
        if self._stays(one[0]) and self._stays(other[0]):
            return one[:2] == other[:2]
        return one[2] == other[2] or not one[2].isdisjoint(other[2])

    # ------------------------------------------------------------------------ in runs

    def _folded(self) -> Iterator[Change]:
        run: list[Entry] = []
        for entry in self.entries:
            if run and not _goes_on(run[-1], entry):
                yield from self._of_run(run)
                run = []
            run.append(entry)
        if run:
            yield from self._of_run(run)

    def _of_run(self, run: list[Entry]) -> Iterator[Change]:
        status = run[0].status
        ours, theirs = [entry.before for entry in run], [entry.after for entry in run]
        if status == "removed":
            for part in self._before.divided(ours):
                yield Change(status, part, None)
        elif status == "added":
            for part in self._after.divided(theirs):
                yield Change(status, None, part)
        elif status == "moved":
            yield from self._moved(run)
        else:
            yield Change(status, self._before.of(ours), self._after.of(theirs), run[0].details)

    def _moved(self, run: list[Entry]) -> Iterator[Change]:
        by_number = {entry.after: entry for entry in run}
        for part in self._after.divided([entry.after for entry in run]):
            entries = [by_number[self._matching.after.index[node]] for node in part.layers]
            ours = self._before.of([entry.before for entry in entries])
            place = _inputs(ours.layers[0], part.layers[0])
            yield Change("moved", ours, part, (*(d for e in entries for d in e.details), place))


_Input = tuple[int, int, frozenset[int]]
"""What a layer takes: the number of its maker in the second network, the result, and where it comes from."""


def _goes_on(last: Entry, entry: Entry) -> bool:
    """Whether a layer belongs to one run with the one before it."""
    if entry.status == "moved":
        return last.status == "moved" and last.before + 1 == entry.before
    in_order = entry.before < 0 or last.before < entry.before
    return in_order and entry.status == last.status and entry.status != "changed"


def _without(inputs: list[_Input], taken: Counter[tuple[int, int]]) -> list[_Input]:
    """Inputs but for those that are taken, in an order of what they come from."""
    left, found = Counter(taken), []
    for one in inputs:
        if left[one[:2]] > 0:
            left[one[:2]] -= 1
        else:
            found.append(one)
    return sorted(found, key=lambda one: sorted(one[2]))


def _origins(outline: Outline, kept: list[int], moved: set[int]) -> list[frozenset[int]]:
    """What every layer's value comes from, seen past what was added, removed and moved.

    For each layer of a network: layers that both have, by their numbers in the second. `kept` has those.
    """
    found: list[frozenset[int]] = []
    for number, node in enumerate(outline.nodes):
        if kept[number] >= 0 and kept[number] not in moved:
            found.append(frozenset((kept[number],)))
            continue
        makers: set[int] = set()
        for maker, _ in node.inputs:
            makers |= found[outline.index[maker]]
        found.append(frozenset(sorted(makers)[-MOST_MAKERS:]))
    return found


def _arguments(x: Layer, y: Layer) -> Iterator[Detail]:
    """Arguments that differ, but for those that are by default what another is that differs."""
    for name in y.values:
        # Padding that is `same` is another of another kernel, but the file says what it said.
        if x.values.get(name) == y.values[name] or not differ(name, x, y):
            continue
        default = y.arguments[name].default if name in y.arguments else None
        if isinstance(default, SameAs):
            same = [not values_differ(one.values[name], one.values[default.name]) for one in (x, y)]
            if all(same):
                continue
        yield Detail("argument", name, written(x.values.get(name)), written(y.values[name]))


def _inputs(x: Node, y: Node) -> Detail:
    name = "input" if len(x.inputs) == len(y.inputs) == 1 else "inputs"
    return Detail("inputs", name, *[", ".join(map(str, node.inputs)) or None for node in (x, y)])


def _weights(node: Node) -> str:
    return "its own" if node.first is None else f"those of {node.first.name}"


def minus(after: Any, before: Any) -> Size | None:
    """A difference; None where one of the two is not known, or symbols make it too long to say."""
    if after is None or before is None:
        return None
    try:
        difference: Size = after - before
    except TooLarge:
        return None
    return difference
