"""What is said about a file: a problem, its place, and the places that explain it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from archdsl.source import readable

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem, Severity
    from archdsl.source import Span


@dataclass(frozen=True, slots=True)
class Label:
    """A further place, and what is to be seen there."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A mechanical mend: put `replacement` in place of `span`."""

    span: Span
    replacement: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing said about a file. `text` stands beside the underlined `span`."""

    name: str
    severity: Severity
    message: str
    span: Span
    text: str = ""
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    edit: Edit | None = None

    @classmethod
    def of(cls, problem: Problem, span: Span, labels: tuple[Label, ...] = ()) -> Diagnostic:
        """A problem put in its place."""
        replacement = problem.replacement()
        return cls(
            problem.name,
            problem.severity,
            problem.message(),
            span,
            problem.label(),
            labels,
            problem.notes(),
            problem.help(),
            None if replacement is None else Edit(span, replacement),
        )

    def to_dict(self) -> dict[str, Any]:
        """The object that `check --format json` prints: lines and columns from 1, the end exclusive."""
        return {
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            **_place(self.span),
            "text": self.text,
            "labels": [{**_place(label.span), "text": label.text} for label in self.labels],
            "notes": list(self.notes),
            "help": self.help,
            "edit": None
            if self.edit is None
            else {**_place(self.edit.span), "replacement": self.edit.replacement},
        }


class ArchError(Exception):
    """A file that has errors. `diagnostics` holds everything that was found, in order of place.

    As text it is one line; a traceback shows all that is said, as the command line does.
    """

    rendered: ClassVar[Callable[[ArchError, bool], str]]
    """All that is said, with colours or without: `archdsl/net.py` knows how it is drawn."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = diagnostics
        errors = [d for d in diagnostics if d.severity == "error"]
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.span.source.name}:{first.span.line}: {first.message}{more}")

    @cached_property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        """What Python shows below the last line of a traceback, by this name."""
        return [self.rendered(False)]

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback, by this name: that would tell nothing of the file."""
        return self.rendered(not os.environ.get("NO_COLOR")).split("\n")

    def __reduce__(self) -> tuple[type[ArchError], tuple[list[Diagnostic]]]:
        return ArchError, (self.diagnostics,)


def _place(span: Span) -> dict[str, Any]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": readable(span.source.name),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }
