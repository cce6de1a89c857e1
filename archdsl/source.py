"""Source text and places in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

_NO_TEXT = re.compile("[\udc80-\udcff]")
"""A byte of a file's name that is no text, as Python holds it."""

_LONE_RETURN = re.compile(r"\r(?!\n)")
_NEWLINE = re.compile(r"\n")


def readable(name: str) -> str:
    """A file's name as text that can be written: what of it is no text as escapes, `\\xff`."""
    if name.isascii():
        return name
    escaped = _NO_TEXT.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", name)
    return escaped.encode("utf-8", "backslashreplace").decode()


class Source:
    """The text of one file and the name a user knows it by."""

    __slots__ = ("__dict__", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        # A lone carriage return ended the lines of old Macs; one that stands before a newline stays.
        self.text = _LONE_RETURN.sub("\n", text) if "\r" in text else text

    @property
    def is_file(self) -> bool:
        """Whether it is called as a file is: not `<standard input>`, nor by an option (`--set classes`)."""
        return not self.name.startswith(("<", "--"))

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(newline.end() for newline in _NEWLINE.finditer(self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        line = self.line_at(offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line_at(self, offset: int) -> int:
        """The number of the line, from 1, that a character is in."""
        return bisect_right(self._line_starts, offset)

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both from 1; where there is no such place, of the nearest."""
        starts = self._line_starts
        if line > len(starts):
            return len(self.text)
        start = starts[max(line, 1) - 1]
        return min(start + max(column, 1) - 1, start + len(self.line(max(line, 1))))

    @property
    def line_count(self) -> int:
        """How many lines there are; behind a last newline there is an empty one."""
        return len(self._line_starts)

    def line(self, number: int) -> str:
        """The text of a line (from 1), without its end."""
        start = self._line_starts[number - 1]
        end = self._line_starts[number] if number < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


class Span(NamedTuple):
    """A stretch of a source, from `start` up to but not including `end` (offsets in characters)."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        return self.source.line_at(self.start)

    def within(self, other: Span) -> bool:
        """Whether another stretch has all of it."""
        return self.source is other.source and other.start <= self.start and self.end <= other.end

    def to(self, other: Span) -> Span:
        """The stretch from the start of this one to the end of `other`."""
        return Span(self.source, self.start, other.end)
