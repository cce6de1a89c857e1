"""What an editor can put in for an error, and what silences a warning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archdsl.diagnostics import Diagnostic, Edit
from archdsl.editing.document import Document
from archdsl.problems.teaching import UnknownAllow, UnusedAllow
from archdsl.source import Span
from archdsl.syntax.formatter import WIDTH
from archdsl.teaching.allowing import allowed


@dataclass(frozen=True, slots=True)
class Mend:
    """An edit and what it is called; `certain` where it mends what is wrong, and does not only silence it."""

    title: str
    diagnostic: Diagnostic
    edit: Edit
    certain: bool = True


def mends(document: Document, found: list[Diagnostic], start: int, end: int) -> Iterator[Mend]:
    """The mends of what is said of a stretch of a document."""
    for one in found:
        if one.span.end < start or one.span.start > end:
            continue
        if one.edit is not None:
            yield Mend(_title(one.edit), one, one.edit)
        if one.severity != "error" and one.name not in (UnknownAllow.name, UnusedAllow.name):
            yield Mend(f"Allow `{one.name}` here", one, _allowing(document, one), certain=False)


def _title(edit: Edit) -> str:
    old, new = edit.span.text[:40], edit.replacement
    if not old:
        return f"Insert `{new}`"
    return f"Replace `{old}` by `{new}`" if new else f"Remove `{old}`"


def _allowing(document: Document, diagnostic: Diagnostic) -> Edit:
    """The comment that silences a warning: in one that is there, behind its line or above it."""
    source, name = document.source, diagnostic.name
    number = diagnostic.span.line
    line = source.line(number)
    there = [one for one in allowed(source) if one.line == number]
    if there:
        at = there[-1].span.end
        return Edit(Span(source, at, at), f", {name}")
    text = line.rstrip()
    comment = f"# allow {name}"
    commented = any(one.span.line == number for one in document.file.comments)
    if len(text) + 2 + len(comment) <= WIDTH and not commented:
        at = source.offset(number, len(text) + 1)
        return Edit(Span(source, at, at), f"  {comment}")
    at = source.offset(number, 1)
    indent = line[: len(line) - len(line.lstrip())]
    newline = "\r\n" if "\r\n" in source.text else "\n"
    return Edit(Span(source, at, at), f"{indent}{comment}{newline}")
