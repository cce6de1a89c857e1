"""What stands behind the lines of a file: the shape that each gives, and on request more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archdsl.editing.checks import Check, Seen
from archdsl.editing.wording import seen_text, shapes_text
from archdsl.report.units import separated
from archdsl.syntax import tree


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is shown besides shapes."""

    parameters: bool = False
    receptive_field: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """A text behind a line, at an offset, and what is told to one who asks; Markdown."""

    offset: int
    text: str
    tooltip: str


def hints(check: Check, wanted: Wanted | None = None, start: int = 0, end: int | None = None) -> list[Hint]:
    """A hint at the end of each line of text on which a line of the language ends, in order of place.

    Where a block's line, or a loop's, gives several shapes, the first is shown and `…` says that there are
    others. What has no shape because of a mistake has no hint.
    """
    wanted = wanted or Wanted()
    source = check.document.source
    end = len(source.text) if end is None else end
    by_line: dict[int, Hint] = {}
    for line in lines_of(check.document.file):
        seen = check.lines.get(line.span.start)
        if seen is None or not seen.first:
            continue
        number = source.line_at(max(line.span.start, line.span.end - 1))
        offset = source.offset(number, len(source.line(number)) + 1)
        if start <= offset <= end:
            # Of several that end in one line of text, the last is the outermost.
            by_line[number] = Hint(offset, _text(seen, wanted), seen_text(seen))
    return [by_line[number] for number in sorted(by_line)]


def _text(seen: Seen, wanted: Wanted) -> str:
    first = seen.first[0]
    parts = [_marked(shapes_text(first.shapes), len(seen.shapes) > 1)]
    if wanted.parameters and first.parameters:
        counts = {facts.parameters for facts in seen.first}
        parts.append(_marked(f"{separated(first.parameters)} parameters", len(counts) > 1))
    if wanted.receptive_field and first.field:
        # A block's field depends on what is above each of its uses, and not all of these are kept.
        parts.append(_marked(f"field {first.field}", not seen.once))
    return " · ".join(parts)


def _marked(text: str, first_of_several: bool) -> str:
    return f"{text} …" if first_of_several else text


def lines_of(file: tree.File) -> Iterator[tree.Line]:
    """Every line of the language in a file, what is nested before what it is nested in."""
    for declaration in file.declarations:
        if isinstance(declaration, tree.Block):
            yield from _in_body(declaration.body)


def _in_body(body: list[tree.Statement]) -> Iterator[tree.Line]:
    waiting: list[tree.Statement | tree.Line] = list(reversed(body))
    opened: set[int] = set()
    while waiting:
        statement = waiting.pop()
        if not isinstance(statement, tree.Line):
            continue
        inner = [s for item in statement.items for body in tree.bodies_of(item) for s in body]
        if inner and id(statement) not in opened:
            opened.add(id(statement))
            waiting.append(statement)
            waiting += reversed(inner)
        else:
            yield statement


def line_at(file: tree.File, offset: int) -> tree.Line | None:
    """The innermost line of the language around a place."""
    return next((line for line in lines_of(file) if line.span.start <= offset <= line.span.end), None)
