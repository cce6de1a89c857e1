"""What all lessons have in common: a problem at a node and its place in the file, and who reads a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from archdsl.analysis.flow import Flow
from archdsl.compiler.network import Node
from archdsl.diagnostics import Diagnostic, Label
from archdsl.problems import Problem
from archdsl.source import Span


class Finding(NamedTuple):
    """A problem at a node; `others` are further nodes that take part, each with what is to be seen there."""

    problem: Problem
    node: Node
    others: tuple[tuple[Node, str], ...] = ()


def place_of(node: Node) -> Span:
    """Where a layer is written: inside a block, if it comes from one."""
    return node.defined or node.use


def in_place(findings: Iterable[Finding]) -> Iterator[Diagnostic]:
    """The diagnostics of what was found: of a block that is used often, or a loop, the first."""
    seen: set[tuple[str, Span]] = set()
    for problem, node, others in findings:
        span = place_of(node)
        if (problem.name, span) in seen:
            continue
        seen.add((problem.name, span))
        labels = {place_of(other): text for other, text in others}
        if node.defined is not None:
            labels.setdefault(node.use, "used here")
        labels.pop(span, None)
        yield Diagnostic.of(problem, span, tuple(Label(at, text) for at, text in labels.items()))


NEAR = 32
"""So many layers are looked through one by one."""


class Readers:
    """Who reads the values of a network. An index is made only where the readers of a value lie far apart."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._index: dict[int, list[int]] | None = None
        self.given = frozenset(flow.outputs)
        """The values that the network gives out."""

    def of(self, value: int) -> Sequence[int]:
        """The layers that read a value, in order of execution, each once."""
        feeds = self._flow.feeds
        maker, last = self._flow.makers[value], self._flow.last_use[value]
        if last <= maker + 1:
            return () if last < 0 else (last,)
        if last - maker <= NEAR:
            return [i for i in range(maker + 1, last + 1) if value in feeds[i]]
        if self._index is None:
            self._index = {}
            for i, values in enumerate(feeds):
                for one in dict.fromkeys(values):
                    self._index.setdefault(one, []).append(i)
        return self._index[value]
