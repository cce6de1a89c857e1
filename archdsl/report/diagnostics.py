"""A diagnostic as a person reads it: the message, the source with its parts underlined, the mend."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from archdsl.diagnostics import Diagnostic
from archdsl.problems.problem import plural
from archdsl.report.terminal import (
    BLUE,
    BOLD,
    CYAN,
    RED,
    YELLOW,
    Style,
    character_width,
    text_width,
    visible,
)
from archdsl.source import Source, Span, readable

WIDTH = 120
"""Lines of source longer than this are cut around what is underlined."""

SEVERITIES = {"error": RED, "warning": YELLOW, "note": CYAN}


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of one line to be underlined. Columns are those of the file, from 0."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


def render(diagnostic: Diagnostic, style: Style | None = None, width: int = WIDTH) -> str:
    """The diagnostic as text, without a newline at its end.

    `width` is how wide a line of source may be before it is cut around what is underlined.
    """
    style = style or Style()
    colour = SEVERITIES[diagnostic.severity]
    files = _marks_by_file(diagnostic)
    gutter = max(len(str(mark.line)) for marks in files.values() for mark in marks)
    space = " " * gutter

    lines = [
        style.paint(f"{diagnostic.severity}[{diagnostic.name}]", colour)
        + style.paint(f": {visible(diagnostic.message)}", BOLD)
    ]
    for index, (source, marks) in enumerate(files.items()):
        at = diagnostic.span if index == 0 else _first_label(diagnostic, source)
        line, column = source.position(at.start)
        arrow = style.paint("-->" if index == 0 else ":::", BLUE)
        if not source.text:
            # An empty file, or one that could not be read, has no line to show.
            lines.append(f"{space} {arrow} {visible(readable(source.name))}")
            continue
        lines.append(f"{space} {arrow} {visible(readable(source.name))}:{line}:{column}")
        lines.append(f"{space}  {style.paint('|', BLUE)}")
        lines += _excerpt(source, marks, gutter, colour, style, width)
    tail = [("note", note) for note in diagnostic.notes]
    if diagnostic.help:
        tail.append(("help", diagnostic.help))
    if tail:
        lines.append(f"{space}  {style.paint('|', BLUE)}")
    for word, text in tail:
        first, *rest = text.split("\n")
        lines.append(f" {style.paint(word + ':', CYAN)} {visible(first)}")
        lines += [f"       {visible(more)}" for more in rest]
    return "\n".join(line.rstrip() for line in lines)


def render_all(diagnostics: list[Diagnostic], style: Style | None = None, width: int = WIDTH) -> str:
    """Several diagnostics, an empty line between them."""
    return "\n\n".join(render(diagnostic, style, width) for diagnostic in diagnostics)


def summary(diagnostics: list[Diagnostic]) -> str:
    """`2 errors and 1 warning`."""
    counts = []
    for severity in ("error", "warning"):
        count = sum(d.severity == severity for d in diagnostics)
        if count:
            counts.append(plural(count, severity))
    return " and ".join(counts)


# ------------------------------------------------------------------------------ what is underlined


def _marks_by_file(diagnostic: Diagnostic) -> dict[Source, list[Mark]]:
    """The stretches to underline, by file: the primary's file first, each file's in order of line."""
    files: dict[Source, list[Mark]] = {
        diagnostic.span.source: _marks(diagnostic.span, diagnostic.text, primary=True)
    }
    for label in diagnostic.labels:
        files.setdefault(label.span.source, []).extend(_marks(label.span, label.text, primary=False))
    for marks in files.values():
        marks.sort(key=lambda mark: (mark.line, mark.start, mark.end))
    return files


def _first_label(diagnostic: Diagnostic, source: Source) -> Span:
    return next(label.span for label in diagnostic.labels if label.span.source is source)


def _marks(span: Span, text: str, primary: bool) -> list[Mark]:
    """A stretch over several lines is underlined on its first and on its last, the text at the last."""
    source = span.source
    end = span.end
    while end > span.start + 1 and source.text[end - 1] in "\r\n":
        end -= 1
    first, start = source.position(span.start)
    last, stop = source.position(max(span.start, end))
    start, stop = start - 1, stop - 1
    if first == last:
        return [Mark(first, start, max(stop, start + 1), text, primary)]
    whole = source.line(first).rstrip()
    line = source.line(last)
    indent = len(line) - len(line.lstrip())
    return [
        Mark(first, start, max(len(whole), start + 1), "", primary),
        Mark(last, min(indent, max(stop - 1, 0)), max(stop, 1), text, primary),
    ]


# ------------------------------------------------------------------------------ the source


def _excerpt(
    source: Source, marks: list[Mark], gutter: int, colour: str, style: Style, width: int
) -> list[str]:
    numbers = sorted({mark.line for mark in marks})
    bar = style.paint("|", BLUE)
    lines: list[str] = []
    previous: int | None = None
    for number in numbers:
        if previous is not None and number == previous + 2:
            # One line between two is shown: dots would take as much room.
            between = _Shown(source.line(number - 1), [], width, style).text
            lines.append(f"{_number(number - 1, gutter, style)} {bar} {between}")
        elif previous is not None and number > previous + 2:
            lines.append(style.paint("...", BLUE))
        here = [mark for mark in marks if mark.line == number]
        shown = _Shown(source.line(number), here, width, style)
        lines.append(f"{_number(number, gutter, style)} {bar} {shown.text}")
        for annotation in _annotations(here, shown, colour, style):
            lines.append(f" {' ' * gutter} {bar} {annotation}")
        previous = number
    return lines


def _number(number: int, gutter: int, style: Style) -> str:
    return " " + style.paint(f"{number:>{gutter}}", BLUE)


@lru_cache(maxsize=16)
def _laid_out(line: str) -> tuple[list[str], list[int]]:
    """What is shown of each character of a line, and the column of each, with that of the end.

    A file may be one line of a million characters, with a hundred mistakes.
    """
    pieces = [visible(character) for character in line]
    widths = (sum(map(character_width, piece)) for piece in pieces)
    return pieces, list(accumulate(widths, initial=0))


class _Shown:
    """A line of source as shown: tabs as spaces, cut around its marks where it is too long."""

    def __init__(self, line: str, marks: list[Mark], width: int, style: Style) -> None:
        pieces, self._columns = _laid_out(line.rstrip())
        first, last, dots = 0, len(pieces), ""
        if self._columns[-1] > width:
            dots = style.sign("…", "...")
            first, last = self._window(marks, width - 2 * len(dots))
        before, after = dots if first else "", dots if last < len(pieces) else ""
        self.text = before + "".join(pieces[first:last]) + after
        self._origin = self._columns[first] - len(before)
        self._end = self._columns[last] if after else None

    def _window(self, marks: list[Mark], room: int) -> tuple[int, int]:
        """The characters to keep: the primary mark in the middle, or its start if it is too long."""
        low, high = 0, 0
        if marks:
            mark = max(marks, key=lambda mark: mark.primary)
            low, high = self._column(mark.start), self._column(mark.end)
        begin = 0 if high <= room else max(0, low - max(0, room - (high - low)) // 2)
        begin = max(0, min(begin, self._columns[-1] - room))
        first = bisect_left(self._columns, begin)
        return first, bisect_right(self._columns, self._columns[first] + room) - 1

    def _column(self, offset: int) -> int:
        """The column of a character of the line, were the line not cut; past its end they go on."""
        beyond = max(0, offset - (len(self._columns) - 1))
        return self._columns[offset - beyond] + beyond

    def place(self, mark: Mark) -> tuple[int, int]:
        """Where a mark begins and ends, as shown. One outside what is shown is put at its edge."""
        start, end = self._column(mark.start), self._column(mark.end)
        if self._end is not None:
            start, end = min(start, self._end), min(end, self._end + 1)
        start = max(0, start - self._origin)
        return start, max(start + 1, end - self._origin)


def _annotations(marks: list[Mark], shown: _Shown, colour: str, style: Style) -> list[str]:
    """The lines below a line of source: the underlines, and each text as near to its own as fits."""
    placed = [(*shown.place(mark), mark) for mark in marks]
    placed.sort(key=lambda place: (place[0], place[1]))
    end = max(stop for _, stop, _ in placed)
    underline: list[tuple[str, str]] = [(" ", "")] * end
    # Labels first, so that the primary is never hidden by one.
    for start, stop, mark in sorted(placed, key=lambda place: place[2].primary):
        sign = ("^", colour) if mark.primary else ("-", BLUE)
        underline[start:stop] = [sign] * (stop - start)

    waiting = [(start, mark) for start, _, mark in placed if mark.text]
    first = _painted(underline, style)
    if waiting and placed[-1][2].text and placed[-1][1] == end:
        # Nothing is underlined further on, so the text can stand beside its underline.
        start, mark = waiting.pop()
        first += " " + _text(mark, colour, style)
    lines = [first]
    if waiting:
        lines.append(_stems(waiting, colour, style))
    while waiting:
        start, mark = waiting.pop()
        stems = _stems([w for w in waiting if w[0] < start], colour, style)
        lines.append(stems + " " * (start - text_width(stems)) + _text(mark, colour, style))
    return lines


def _text(mark: Mark, colour: str, style: Style) -> str:
    return style.paint(visible(mark.text), colour if mark.primary else BLUE)


def _stems(waiting: list[tuple[int, Mark]], colour: str, style: Style) -> str:
    columns = {start: (colour if mark.primary else BLUE) for start, mark in waiting}
    if not columns:
        return ""
    cells = [("|", columns[i]) if i in columns else (" ", "") for i in range(max(columns) + 1)]
    return _painted(cells, style)


def _painted(cells: list[tuple[str, str]], style: Style) -> str:
    """Characters with their colours, those of one colour in one escape."""
    text = ""
    i = 0
    while i < len(cells):
        j = i
        while j < len(cells) and cells[j][1] == cells[i][1]:
            j += 1
        run = "".join(character for character, _ in cells[i:j])
        text += style.paint(run, cells[i][1]) if cells[i][1] else run
        i = j
    return text
