"""What a terminal shows: colours, the width of characters, and what must not reach it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

BOLD = "1"
DIM = "2"
RED = "1;31"
GREEN = "1;32"
YELLOW = "1;33"
CYAN = "1;36"
BLUE = "1;34"

_ESCAPE = re.compile("\x1b\\[[0-9;]*m")

TAB = "    "


@dataclass(frozen=True, slots=True)
class Style:
    """How text is dressed: `colour` puts in ANSI escapes, `ascii` keeps to signs that every encoding has."""

    colour: bool = False
    ascii: bool = False

    def paint(self, text: str, code: str) -> str:
        """`text` in a colour, where there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def sign(self, fine: str, plain: str) -> str:
        """The finer of two signs where the encoding has it."""
        return plain if self.ascii else fine


def character_width(character: str) -> int:
    """The columns that a character takes: 2 for wide ones, 0 for those that combine."""
    if character < "\x7f":
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def text_width(text: str) -> int:
    """The columns that a text takes; colours take none."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    return sum(map(character_width, _ESCAPE.sub("", text)))


def visible(text: str) -> str:
    """A text with tabs as spaces and without characters that would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == "\t":
        return TAB
    category = unicodedata.category(character)
    # A mark that reorders text (U+202E and its kind) would show a line other than the file's.
    if category in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _REORDERING:
        return "\ufffd"
    return character


_REORDERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
