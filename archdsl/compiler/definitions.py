"""Names defined: each once in its scope, and none that the language keeps for itself."""

from __future__ import annotations

from typing import Any

from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame
from archdsl.compiler.reporting import Failed, Reporter
from archdsl.compiler.values import UNKNOWN, Function
from archdsl.diagnostics import Label
from archdsl.problems.names import DuplicateName, ReservedName
from archdsl.syntax import tree


class Definitions:
    """Binds names in frames."""

    def __init__(self, evaluator: Evaluator, reporter: Reporter) -> None:
        self._evaluator = evaluator
        self._reporter = reporter

    def let(self, statement: tree.Let, frame: Frame) -> None:
        """Bind a name to a number, a list or a function."""
        bound: Any
        if statement.parameters is not None:
            self._reporter.spend(len(frame.names), statement.span)
            bound = Function(statement, self._snapshot(frame))
        else:
            try:
                bound = self._evaluator.evaluate(statement.value, frame)
            except Failed:
                bound = UNKNOWN
        self.define(tree.Label(statement.name_span, statement.name), bound, frame)

    def _snapshot(self, frame: Frame) -> Frame:
        """The names that are defined so far: a function sees no later one, so none can call itself."""
        copy = Frame(frame.parent, frame.module, frame.block)
        copy.names = dict(frame.names)
        copy.tainted = frame.tainted
        return copy

    def define(self, label: tree.Label, bound: Any, frame: Frame) -> None:
        name = label.name
        if name in ("_", "input"):
            # That `input` is no name has been said where the file was read.
            return
        if name == "N":
            self._reporter.report(ReservedName(name), label.span)
        elif name in frame.names:
            first = frame.spans.get(name)
            places = (Label(first, "first defined here"),) if first else ()
            self._reporter.report(DuplicateName(name), label.span, places)
            return
        frame.names[name] = bound
        frame.spans[name] = label.span
