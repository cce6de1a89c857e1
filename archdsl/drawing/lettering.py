"""How wide texts are: as DejaVu Sans has them, which is wider than nearly every font it may stand for."""

from __future__ import annotations

FAMILY = 'system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", "Liberation Sans", sans-serif'
"""The fonts of pictures, the first that is there."""

ADVANCES = (
    *(32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34),
    *(64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53),
    *(100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79),
    *(60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50),
    *(50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61),
    *(63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84),
)
"""Of the characters from space to tilde, in hundredths of the font's size."""

OTHER = 100
"""Of any other character."""

BOLD = 1.13
"""How much wider a bold text is, at most."""


def width(text: str, size: float, bold: bool = False) -> float:
    """The pixels that a text takes in a row."""
    hundredths = sum(ADVANCES[ord(c) - 32] if 32 <= ord(c) < 127 else OTHER for c in text)
    return hundredths * size / 100 * (BOLD if bold else 1.0)


def cut(text: str, characters: int) -> str:
    """A text that is no longer than so many characters."""
    return text if len(text) <= characters else f"{text[: characters - 1].rstrip(' ,(')}…"


def wrapped(text: str, characters: int, lines: int) -> list[str]:
    """A text in at most so many lines of at most so many characters, broken behind commas.

    The lines are about as long as each other; what has no room is cut.
    """
    parts = [f"{part}," for part in text.split(", ")]
    parts[-1] = parts[-1][:-1]
    longest = max(map(len, parts))
    found = _filled(parts, characters)
    if len(found) > lines or longest > characters:
        return [cut(line, characters) for line in (*found[: lines - 1], " ".join(found[lines - 1 :])) if line]
    narrower = (_filled(parts, most) for most in range(longest, characters + 1))
    return next(even for even in narrower if len(even) == len(found))


def _filled(parts: list[str], most: int) -> list[str]:
    """Lines of as many parts as they have room for, and one where that is longer."""
    found = [parts[0]]
    for part in parts[1:]:
        if len(found[-1]) + 1 + len(part) <= most:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found
