"""A network as parts within parts: blocks opened to a depth, equal ones that follow each other as one.

A part is a stretch of the network's layers in their order. A scope of the file is one; so are layers that
only go over the values of the one before, such as an activation, together with it; so are the rounds of a
repetition, each of which reads what the one before makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from archdsl.compiler.network import Node, Scope
from archdsl.report.calls import block_call, layer_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archdsl.analysis.flow import Flow
    from archdsl.compiler.network import Network

FULL = 60
"""How many parts of a scope are shown one by one; of more, neighbours are one."""
LONGEST_PERIOD = 8
"""The most parts in a row whose repetition is found."""
LINES = 4
"""How many layers a box names."""


@dataclass(slots=True)
class Part:
    """A stretch of layers that is drawn as one.

    `reads` and `makes` are the values, by their numbers in the flow, that come from before and are used
    after. Of a part that is repeated, `start` and `stop` are the first round's, `end` where the last ends.
    """

    name: str
    calls: list[str]
    start: int
    stop: int
    end: int
    reads: tuple[int, ...] = ()
    makes: tuple[int, ...] = ()
    hands: tuple[int, ...] = ()
    """What its first round makes for the next: the values that leave what is shown of it."""
    layers: int = 1
    shared: str = ""
    """Whose weights it uses, where not its own."""
    scope: Scope | None = None
    loop: str = ""
    """The label of the loop whose round it is."""
    repeated: int = 1
    inner: list[Part] | None = None
    """What it is made of, where it is shown opened."""


def openings(network: Network, flow: Flow) -> Iterator[list[Part]]:
    """The parts of a network, opened to a depth of 1, of 2 and so on, as long as that opens more."""
    cutter = _Cutter(network, flow)
    before: list[Part] = []
    for depth in count(1):
        found = cutter.opened(network.scope, 0, len(flow.nodes), depth)
        if found == before:
            return
        yield found
        before = found


def boxes(found: list[Part]) -> int:
    """How many boxes parts are."""
    return sum(1 + boxes(part.inner) if part.inner else 1 for part in found)


class _Cutter:
    def __init__(self, network: Network, flow: Flow) -> None:
        self.flow = flow
        self.outputs = set(flow.outputs)
        self.signatures: dict[object, int] = {}
        self.lengths: dict[Scope, int] = {}
        self._measure(network.scope)

    def _measure(self, root: Scope) -> None:
        """How many layers each scope has."""
        order, to_see = [], [root]
        while to_see:
            scope = to_see.pop()
            order.append(scope)
            to_see += [member for member in scope.members if isinstance(member, Scope)]
        for scope in reversed(order):
            self.lengths[scope] = sum(
                self.lengths[member] if isinstance(member, Scope) else 1 for member in scope.members
            )

    def opened(self, scope: Scope, start: int, stop: int, depth: int) -> list[Part]:
        """The parts of a scope that is opened, and theirs where the depth allows."""
        found = []
        at = start
        for member in scope.members:
            length = self.lengths[member] if isinstance(member, Scope) else 1
            if length:
                found.append(self._part(member, at, at + length))
            at += length
        found = self._repeated(self._joined(found))
        if len(found) > FULL:
            each = -(-len(found) // (FULL * 2 // 3))
            found = [self._group(found[k : k + each]) for k in range(0, len(found), each)]
        if depth > 1:
            for part in found:
                for shown in part.inner or [part]:
                    self._open(shown, depth - 1)
        return found

    def _open(self, part: Part, depth: int) -> None:
        if part.scope is None:
            return
        inner = self.opened(part.scope, part.start, part.stop, depth)
        only = inner[0]
        if len(inner) > 1 or (only.repeated > 1 and part.repeated > 1):
            part.inner = inner
            return
        part.inner, part.calls, part.layers, part.scope = only.inner, only.calls, only.layers, only.scope
        if only.repeated > 1:
            part.repeated, part.stop, part.hands = only.repeated, only.stop, only.hands

    def _part(self, member: Node | Scope, start: int, stop: int) -> Part:
        name, loop = member.key, member.loop or "" if isinstance(member, Scope) else ""
        while isinstance(member, Scope) and len(member.members) == 1 and member.block is None:
            member = member.members[0]
        name = name if _given(name, member) else ""
        node = self.flow.nodes[start]
        if isinstance(member, Scope):
            calls = [block_call(member)] if member.block else _kinds(self.flow, start, stop)
        else:
            calls = [layer_call(member)]
        part = Part(name, calls, start, stop, stop, layers=stop - start)
        part.scope = member if isinstance(member, Scope) and part.layers > 1 else None
        part.loop = loop
        part.shared = _owner(node) if all(n.first for n in self._weighted(start, stop)) else ""
        part.reads, part.makes = self._ends(start, stop)
        part.hands = part.makes
        return part

    def _weighted(self, start: int, stop: int) -> list[Node]:
        weighted = [
            self.flow.nodes[i]
            for i in range(start, stop)
            if self.flow.rules[i].weights or self.flow.rules[i].biases
        ]
        return weighted or [self.flow.nodes[start]]

    def _ends(self, start: int, stop: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        flow = self.flow
        reads = dict.fromkeys(
            value for i in range(start, stop) for value in flow.feeds[i] if flow.makers[value] < start
        )
        first = flow.starts[start]
        last = flow.starts[stop] if stop < len(flow.starts) else len(flow.makers)
        makes = tuple(v for v in range(first, last) if flow.last_use[v] >= stop or v in self.outputs)
        return tuple(reads), makes

    def _joined(self, found: list[Part]) -> list[Part]:
        """Layers that only go over the values of the layer before, as one with it."""
        joined: list[Part] = []
        for part in found:
            before = joined[-1] if joined else None
            if before and self._goes_over(before, part):
                before.calls = [*before.calls, *part.calls]
                before.stop = before.end = part.stop
                before.layers += part.layers
                before.makes = before.hands = part.makes
                before.name = before.name or part.name
                before.scope = None
            else:
                joined.append(part)
        return joined

    def _goes_over(self, before: Part, part: Part) -> bool:
        if part.scope or before.scope or part.name or part.reads != before.makes or len(part.makes) > 1:
            return False
        if (
            len(part.reads) != 1
            or len(before.calls) == LINES
            or self.flow.nodes[before.start].kind == "input"
        ):
            return False
        value = part.reads[0]
        if self.flow.last_use[value] != part.start or value in self.outputs:
            return False
        rules = self.flow.rules[part.start]
        node = self.flow.nodes[part.start]
        same = len(node.inputs) == 1 and self.flow.counts[value] == rules.counts[0]
        owned = part.shared == before.shared or (rules.weights == 0 and rules.biases == 0)
        return same and rules.macs == 0 and owned

    def _repeated(self, found: list[Part]) -> list[Part]:
        """Rounds that follow each other and are equal, as one."""
        marks = [self._signature(part.start, part.stop) for part in found]
        kept: list[Part] = []
        k = 0
        while k < len(found):
            best, length = 1, 1
            for period in range(1, min(LONGEST_PERIOD, (len(found) - k) // 2) + 1):
                if marks[k] != marks[k + period]:
                    continue
                rounds = self._rounds(found, marks, k, period)
                if rounds > 1 and rounds * period > best * length:
                    best, length = rounds, period
            if best > 1:
                kept.append(self._round(found[k : k + best * length], best))
            else:
                kept.append(found[k])
            k += best * length
        return kept

    def _rounds(self, found: list[Part], marks: list[int], k: int, period: int) -> int:
        first = found[k : k + period]
        if first[-1].makes == () or self.flow.nodes[first[0].start].kind == "input":
            return 1
        rounds = 1
        while k + (rounds + 1) * period <= len(found):
            at = k + rounds * period
            if marks[at : at + period] != marks[k : k + period]:
                break
            if not self._follows(first, found[at - period : at], found[at : at + period]):
                break
            rounds += 1
        return rounds

    def _follows(self, first: list[Part], before: list[Part], after: list[Part]) -> bool:
        """Whether a round reads what the one before it makes, as the first reads what comes in."""
        made = [value for part in before for value in part.makes]
        stop = after[-1].stop
        handed = before[-1].makes
        if len(handed) != 1 or any(
            self._used_until(value) >= before[-1].stop for value in made if value != handed[0]
        ):
            return False
        if self._used_until(handed[0]) >= stop:
            return False
        inside: dict[int, int] = {}
        entry: int | None = None
        for one, other in zip(first, after, strict=True):
            for a, b in zip(one.reads, other.reads, strict=True):
                if b in inside:
                    if inside[b] != a:
                        return False
                elif b == handed[0]:
                    if entry not in (None, a):
                        return False
                    entry = a
                elif a != b:
                    return False
            if one is not first[-1]:
                if len(one.makes) != len(other.makes):
                    return False
                inside.update(zip(other.makes, one.makes, strict=True))
        return entry is not None

    def _used_until(self, value: int) -> int:
        return len(self.flow.nodes) if value in self.outputs else self.flow.last_use[value]

    def _round(self, found: list[Part], rounds: int) -> Part:
        period = len(found) // rounds
        first = found[:period]
        part = first[0] if period == 1 else self._group(first)
        return Part(
            part.loop or part.name,
            part.calls,
            part.start,
            part.stop,
            found[-1].end,
            part.reads,
            found[-1].makes,
            first[-1].makes,
            part.layers,
            part.shared,
            part.scope,
            repeated=rounds,
            inner=first if period > 1 else None,
        )

    def _group(self, found: list[Part]) -> Part:
        """Neighbours as one part."""
        first, last = found[0], found[-1]
        names = [part.name or part.calls[0].partition("(")[0] for part in (first, last)]
        reads, makes = self._ends(first.start, last.end)
        layers = sum(part.layers * part.repeated for part in found)
        name = f"{names[0]} … {names[1]}" if len(found) > 1 else names[0]
        return Part(name, [f"{layers} layers"], first.start, last.stop, last.end, reads, makes, makes, layers)

    def _signature(self, start: int, stop: int) -> int:
        """The same number for stretches of equal layers that are wired alike."""
        flow = self.flow
        outside: dict[int, int] = {}
        first_value = flow.starts[start]
        key: list[object] = []
        for i in range(start, stop):
            node = flow.nodes[i]
            key.append((id(node.shapes), id(node.first) if node.first else 0))
            for value in flow.feeds[i]:
                inside = value >= first_value
                key.append(value - first_value if inside else ~outside.setdefault(value, len(outside)))
        return self.signatures.setdefault(tuple(key), len(self.signatures))


def _given(name: str, member: Node | Scope) -> bool:
    """Whether a name is the file's own and not made from what it names."""
    kind = member.block if isinstance(member, Scope) else member.kind
    base, _, number = name.rpartition("_")
    return name != kind and not (base == kind and number.isdigit())


def _owner(node: Node) -> str:
    if node.first is None:
        return ""
    return node.first.name.split(".")[0]


def _kinds(flow: Flow, start: int, stop: int) -> list[str]:
    kinds = list(dict.fromkeys(flow.nodes[i].kind for i in range(start, stop)))
    return [", ".join(kinds[:LINES]) + (", …" if len(kinds) > LINES else "")]
