"""Lines of Python broken the way formatters break them."""

from __future__ import annotations

import re
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
    if bracket is not None and len(_calls(text)) > 2:
        return _bracketed(text, level)
    if bracket is None or (text.startswith("return ") and len(list(_split(text, ","))) > 1):
        return _bracketed(text, level)
    start, end = bracket
    early = _bracket(text, first=True) if text.startswith("for ") else None
    if len(margin) + start >= WIDTH and early and early != bracket:
        # The names of the loop do not fit on a line either.
        head, inside, tail = text[: early[0] + 1], text[early[0] + 1 : early[1]], text[early[1] + 1 :]
        lines = [margin + head]
        for piece in _split(inside, ","):
            lines += _broken(piece.strip() + ",", level + 1)
        closed, *rest = _broken(f"_{tail}", level)
        return [*lines, f"{margin}){closed[len(margin) + 1 :]}", *rest]
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


def _bracketed(text: str, level: int) -> list[str]:
    """A statement that is broken at commas, operators or the calls of a chain: its value gets brackets."""
    margin, inner = INDENT * level, INDENT * (level + 1)
    begins = re.match(r"return |\w+ = ", text)
    if begins is None:
        return [margin + text]
    value = text[begins.end() :]
    pieces = [piece.strip() for piece in _split(value, ",")]
    calls = _calls(value)
    if len(calls) > 2:
        lines = [inner + value] if len(inner + value) <= WIDTH else [inner + call for call in calls]
    elif len(pieces) > 1:
        lines = [line for piece in pieces for line in _broken(piece + ",", level + 1)]
    else:
        lines = [inner + piece for piece in re.split(r" (?=[-+*/] )", value)]
    return [f"{margin}{begins[0]}(", *lines, f"{margin})"]


def _calls(text: str) -> list[str]:
    """A chain of calls, `x.f(...).g(...)`, divided before every dot that follows a call."""
    depth, start = 0, 0
    found: list[str] = []
    for index, character in _code(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and character == "." and text[index - 1] in ")]":
            found.append(text[start:index])
            start = index
        elif depth == 0 and character in ",:+-*/":
            return []
    return [*found, text[start:]]


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
