"""Offsets in a text and positions in an editor, which counts a line's columns in units of its own."""

from __future__ import annotations

from lsprotocol import types

from archdsl.source import Source, Span

_CODECS = {
    types.PositionEncodingKind.Utf8: "utf-8",
    types.PositionEncodingKind.Utf16: "utf-16-le",
    types.PositionEncodingKind.Utf32: "utf-32-le",
}
_UNIT = {"utf-8": 1, "utf-16-le": 2, "utf-32-le": 4}


class Positions:
    """Positions in one source."""

    def __init__(self, source: Source, encoding: str = types.PositionEncodingKind.Utf16) -> None:
        self.source = source
        self._codec = _CODECS.get(types.PositionEncodingKind(encoding), "utf-16-le")

    def position(self, offset: int) -> types.Position:
        """The position of an offset; behind the text, of its end."""
        line, column = self.source.position(min(max(offset, 0), len(self.source.text)))
        before = self.source.text[max(offset, 0) - column + 1 : max(offset, 0)]
        return types.Position(line - 1, self._units(before))

    def range(self, start: int, end: int) -> types.Range:
        return types.Range(self.position(start), self.position(end))

    def shown(self, span: Span) -> types.Range:
        """The range of a span; of an empty one, the sign before or behind it, so that it can be seen."""
        start, end = span.start, span.end
        text = self.source.text
        if start == end:
            if end < len(text) and text[end] not in "\r\n":
                end += 1
            elif start > 0 and text[start - 1] not in "\r\n":
                start -= 1
        return self.range(start, end)

    def offset(self, position: types.Position) -> int:
        """The offset of a position; behind a line's end, of that end, and within a sign, of its start."""
        if position.line >= self.source.line_count:
            return len(self.source.text)
        line = self.source.line(position.line + 1)
        start = self.source.offset(position.line + 1, 1)
        if line.isascii():
            return start + min(position.character, len(line))
        units = 0
        for index, sign in enumerate(line):
            units += self._units(sign)
            if units > position.character:
                return start + index
        return start + len(line)

    def _units(self, text: str) -> int:
        if text.isascii():
            return len(text)
        return len(text.encode(self._codec, "surrogatepass")) // _UNIT[self._codec]
