"""What is nearly always a mistake in a network that has errors, as far as no mend of these can change it.

Where a layer could not be made, what it would have read is not known, so a value may have more readers than
are there. That of a layer without a label has none but the layer that follows it in the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.analysis.flow import Flow
from archdsl.compiler.network import Network
from archdsl.layers import LAYERS
from archdsl.problems.teaching import BiasBeforeNorm, DropoutBeforeNorm
from archdsl.sizes import TooLarge
from archdsl.source import Span
from archdsl.syntax import tree
from archdsl.teaching.finding import Finding, place_of
from archdsl.teaching.mistakes import mistakes


def certain(partial: Network, file: tree.File) -> Iterator[Finding]:
    """The findings between two layers that follow each other in the file."""
    if any(node.layer.kind not in LAYERS and node.layer.kind != "input" for node in partial.nodes):
        return
    try:
        found = list(mistakes(Flow(partial)))
    except TooLarge:
        return
    followed = _followed(file) if found else {}
    for one in found:
        between = isinstance(one.problem, BiasBeforeNorm | DropoutBeforeNorm)
        if between and one.others and followed.get(place_of(one.node)) == place_of(one.others[0][0]):
            yield one


def _followed(file: tree.File) -> dict[Span, Span]:
    """The uses of layers without a label, each with the one that takes its value and is alone in that."""
    found: dict[Span, Span] = {}
    bodies = [one.body for one in file.declarations if isinstance(one, tree.Block)]
    shared: set[str] = set()
    for body in bodies:
        last: tree.Use | None = None
        for statement in body:
            if isinstance(statement, tree.Let | tree.Expect):
                continue
            if isinstance(statement, tree.Shared):
                shared.add(statement.label.name)
            if not isinstance(statement, tree.Line):
                last = None
                continue
            if statement.origin is not None:
                last = None
            for item in statement.items:
                bodies += tree.bodies_of(item)
                use = item if isinstance(item, tree.Use) else None
                if last is not None and use is not None and _written_between(last, use):
                    found[last.span] = use.span
                last = use
            if statement.labels:
                last = None
    return {first: then for first, then in found.items() if first.text.split("(")[0] not in shared}


def _written_between(first: tree.Use, then: tree.Use) -> bool:
    """Whether an arrow or the end of a line stands between two uses, and not what was read as one."""
    between = first.span.source.text[first.span.end : then.span.start]
    return "->" in between or "\n" in between
