"""Lines of Python broken the way formatters break them."""

from __future__ import annotations

from collections.abc import Iterator

WIDTH = 88
"""The width that ruff and black take unless they are told another."""

INDENT = "    "


def wrapped(text: str, level: int, comment: str = "") -> list[str]:
    """A statement as lines that fit, at `level` indents; a `comment` stands beside it or above."""
    margin = INDENT * level
    note = f"  # {comment}" if comment else ""
    if len(margin) + len(text) + len(note) <= WIDTH:
        return [f"{margin}{text}{note}"]
    above = [f"{margin}# {comment}"] if comment else []
    return above + _broken(text, level)


def _broken(text: str, level: int) -> list[str]:
    margin = INDENT * level
    if len(margin) + len(text) <= WIDTH:
        return [margin + text]
    bracket = _bracket(text, first=text.startswith("def "))
    if bracket is None:
        return [margin + text]
    start, end = bracket
    inside = text[start + 1 : end]
    head, tail = text[: start + 1], text[end:]
    lines = [margin + head]
    pieces = list(_split(inside, ","))
    if len(margin) + len(INDENT) + len(inside) <= WIDTH:
        lines.append(margin + INDENT + inside)
    elif len(pieces) == 1:
        lines += _broken(inside, level + 1)
    else:
        for piece in pieces:
            lines += _broken(piece.strip() + ",", level + 1)
    return [*lines, margin + tail]


def _bracket(text: str, first: bool) -> tuple[int, int] | None:
    """The last pair of brackets that stands in no other, or the first."""
    depth, start, found = 0, 0, None
    for index, character in _code(text):
        if character in "([{":
            if depth == 0:
                start = index
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0 and index > start + 1:
                found = start, index
                if first:
                    break
    return found


def _split(text: str, separator: str) -> Iterator[str]:
    """The text between separators that stand in no bracket."""
    depth, start = 0, 0
    for index, character in _code(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == separator and depth == 0:
            yield text[start:index]
            start = index + 1
    if text[start:].strip():
        yield text[start:]


def _code(text: str) -> Iterator[tuple[int, str]]:
    """The characters outside strings, with their places."""
    quote, escaped = "", False
    for index, character in enumerate(text):
        if quote:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        else:
            yield index, character
