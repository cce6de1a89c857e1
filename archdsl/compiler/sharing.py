"""Uses of shared lines: made at the first, and with the same weights at every later one."""

from __future__ import annotations

from collections.abc import Callable

from archdsl.compiler import limits
from archdsl.compiler.frames import Frame
from archdsl.compiler.network import Node
from archdsl.compiler.reporting import Reporter
from archdsl.compiler.signatures import takes_no_more
from archdsl.compiler.unrolled import Unrolled
from archdsl.compiler.values import UNKNOWN, Flow, Labelled, Rounds, Shared, Unknown
from archdsl.diagnostics import Label
from archdsl.problems.bounds import RecursionTooDeep
from archdsl.problems.structure import NoValue
from archdsl.problems.values import SharedMismatch
from archdsl.syntax import tree

LabelledLine = Callable[[tree.Label, tree.Line, Frame, Flow], Labelled | Rounds]
"""Unrolls a line with one label."""


class SharedUses:
    """Uses shared lines, which are unrolled by `labelled`."""

    def __init__(self, reporter: Reporter, unrolled: Unrolled, labelled: LabelledLine) -> None:
        self._reporter = reporter
        self._unrolled = unrolled
        self._labelled = labelled
        self._calls = reporter.calls

    def use(self, shared: Shared, use: tree.Use, value: Flow) -> Labelled:
        """Make a shared line at its first use, and its later uses with the same weights."""
        shared.uses += 1
        if not takes_no_more(use, self._reporter) or isinstance(value, Unknown):
            return Labelled(UNKNOWN)
        if value is None:
            self._reporter.report(NoValue(()), use.span)
            return Labelled(UNKNOWN)
        if len(self._calls) >= limits.NESTING:
            raise self._reporter.stop(
                RecursionTooDeep("shared lines", shared.label, limits.NESTING), use.span
            )
        key = shared.label if shared.uses == 1 else f"{shared.label}@{shared.uses}"
        before = len(self._unrolled.nodes)
        self._calls.append(use.span)
        try:
            with self._unrolled.scopes.as_if_in(shared.scope):
                line = tree.Line(use.span, [], None, shared.items)
                bound = self._labelled(tree.Label(use.span, key), line, shared.frame, value)
        finally:
            self._calls.pop()
        made = self._unrolled.nodes[before:]
        if shared.uses == 1:
            shared.made = made
        else:
            self._same_weights(shared, made, use)
        return bound if isinstance(bound, Labelled) else Labelled(bound.value)

    def _same_weights(self, shared: Shared, made: list[Node], use: tree.Use) -> None:
        """Tie what a later use made to the owner of the weights."""
        for owner, node in zip(shared.made, made, strict=False):
            node.first = owner.first or owner
            then = owner.layer.weights(*(w.shape for w in owner.inputs))
            now = node.layer.weights(*(w.shape for w in node.inputs))
            for tensor, shape in now.items():
                if then.get(tensor) != shape:
                    problem = SharedMismatch(shared.label, tensor, str(then.get(tensor)), str(shape))
                    self._reporter.report(problem, use.span, (Label(shared.span, "declared here"),))
                    return
