"""Collecting problems in their places, each of them once."""

from __future__ import annotations

from collections.abc import Callable

from archdsl.compiler import limits
from archdsl.diagnostics import Diagnostic, Label
from archdsl.problems import Problem
from archdsl.problems.bounds import TooManyProblems, TooMuchWork
from archdsl.source import Span


class Failed(Exception):
    """An expression or use has no value, and the reason has been reported."""


class Stop(Exception):
    """Compilation is given up; the reason has been reported."""


class Work:
    """The steps that may still be spent on a file, by all of its networks together."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = limits.STEPS


def _nothing(diagnostic: Diagnostic) -> bool:
    return False


class Reporter:
    """The diagnostics of one compilation, and the work that is left for it.

    A problem in the body of a loop or block is met at every round and use; it is reported once, with what the
    later ones add to it.
    `calls` are the lines that use the blocks we are in, outermost first; a problem shows them.
    It may go on from what another has found, of which some errors may be `harmless` for what it is about.
    """

    def __init__(
        self,
        work: Work | None = None,
        after: Reporter | None = None,
        harmless: Callable[[Diagnostic], bool] | None = None,
    ) -> None:
        self._harmless = harmless or _nothing
        self.diagnostics: list[Diagnostic] = list(after.diagnostics) if after else []
        self.calls: list[Span] = []
        self.symbols: set[str] = set(after.symbols) if after else set()
        """The symbolic sizes that the file has named."""
        self._seen: dict[tuple[str, int, int, int], tuple[int, Problem]] = dict(after._seen) if after else {}
        self._work = work or Work()

    @property
    def has_errors(self) -> bool:
        return any(d.severity == "error" and not self._harmless(d) for d in self.diagnostics)

    @property
    def steps_left(self) -> int:
        return self._work.left

    def report(self, problem: Problem, span: Span, labels: tuple[Label, ...] = ()) -> None:
        key = (problem.name, id(span.source), span.start, span.end)
        if key in self._seen:
            index, first = self._seen[key]
            both = first.together(problem)
            if both is not None:
                self._seen[key] = index, both
                self.diagnostics[index] = Diagnostic.of(both, span, self.diagnostics[index].labels)
            return
        self._seen[key] = len(self.diagnostics), problem
        if len(self.diagnostics) >= limits.PROBLEMS:
            self.diagnostics.append(Diagnostic.of(TooManyProblems(limits.PROBLEMS), span))
            raise Stop
        self.diagnostics.append(Diagnostic.of(problem, span, (*labels, *self._called_from(span))))

    def fail(self, problem: Problem, span: Span, labels: tuple[Label, ...] = ()) -> Failed:
        """Report a problem; to be raised by the caller."""
        self.report(problem, span, labels)
        return Failed()

    def stop(self, problem: Problem, span: Span, labels: tuple[Label, ...] = ()) -> Stop:
        """Report a problem that ends the compilation; to be raised by the caller."""
        self.report(problem, span, labels)
        return Stop()

    def spend(self, steps: int, span: Span, problem: TooMuchWork | None = None) -> None:
        """Count steps of work, and give up when there were too many, which the problem may say more of."""
        self._work.left -= steps
        if self._work.left < 0:
            raise self.stop(problem or TooMuchWork(limits.STEPS), span)

    def _called_from(self, at: Span) -> tuple[Label, ...]:
        """The uses that led to a place; the middle of many is left out."""
        calls = self.calls if len(self.calls) <= 4 else [*self.calls[:2], *self.calls[-2:]]
        return tuple(
            Label(call, "used here")
            for call in dict.fromkeys(calls)
            if call.source is not at.source or at.end <= call.start or call.end <= at.start
        )
