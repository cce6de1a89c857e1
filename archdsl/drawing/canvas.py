"""What all pictures are drawn on and with: the sheet and its style, words, letters with an index, tips."""

from __future__ import annotations

from collections.abc import Mapping

import drawsvg

from archdsl.drawing.colours import Pair
from archdsl.drawing.lettering import FAMILY
from archdsl.drawing.theme import styled

MARGIN = 14.0
"""Pixels around a picture."""

TITLE = 13
"""Pixels of the letters of a title, which are bold."""
WORDS = 10
"""Pixels of other letters."""

STYLE = f"""
text {{ fill: $text; text-anchor: middle; font: {WORDS}px {FAMILY} }}
.title {{ font-size: {TITLE}px; font-weight: 600; text-anchor: start }}
.note {{ fill: $quiet; text-anchor: start }}
.start {{ text-anchor: start }} .middle {{ text-anchor: middle }} .end {{ text-anchor: end }}
.way {{ fill: none; stroke: $quiet; stroke-width: 1 }} .tip {{ fill: $quiet }}
.skip {{ fill: none; stroke: $red; stroke-width: 1.1 }} .skip-tip {{ fill: $red }}
"""
"""What pictures of all kinds have in common."""


def canvas(
    wide: float, high: float, about: str, rules: str, colours: Mapping[str, Pair] | None = None
) -> drawsvg.Drawing:
    """An empty picture with its style sheet, and what it is about for who can't see it."""
    drawing = drawsvg.Drawing(round(wide), round(high))
    drawing.append_css(styled(STYLE + rules, colours))
    drawing.append_title(about)
    return drawing


def finished(drawing: drawsvg.Drawing) -> str:
    """The picture as SVG."""
    return str(drawing.as_svg())


def rounded(number: float) -> float:
    """As many digits as a picture needs."""
    return round(number, 1)


def words(text: str, x: float, y: float, kind: str, size: float = WORDS) -> drawsvg.Text:
    """Words as the style sheet has them; their baseline is at y."""
    return drawsvg.Text(text, size, rounded(x), rounded(y), class_=kind)


def title(text: str) -> drawsvg.Text:
    """The words at the head of a picture."""
    return words(text, MARGIN, MARGIN + 9, "title", TITLE)


def numbered(base: str, below: str, x: float, y: float, size: float, kind: str = "") -> drawsvg.Text:
    """A letter with an index below it."""
    text = words("", x, y, f"letter {kind}".strip(), rounded(size))
    # The style sheet sets a size, too, and would win over an attribute.
    upright = "" if base.isalpha() else ";font-style:normal"
    text.args["style"] = f"font-size:{rounded(size)}px{upright}"
    text.append(drawsvg.TSpan(base))
    if below:
        text.append(drawsvg.TSpan(below, dy=rounded(size * 0.22), class_="low"))
    return text


LETTERS = """
.letter { font-family: "STIX Two Text", "Cambria", "Times New Roman", Times, "Liberation Serif",
  "DejaVu Serif", serif; font-style: italic }
.low { font-size: 68%; font-style: normal }
"""
"""The rules for letters with an index."""


def width_of(base: str, below: str, size: float) -> float:
    """How wide a letter with an index is, rather more than less."""
    return (len(base) * (0.86 if base.isalpha() else 0.64) + len(below) * 0.68 * 0.66) * size


def tip(x: float, y: float, down: float = 0, right: float = 0, kind: str = "tip") -> drawsvg.Lines:
    """The head of an arrow that ends at a place: down or up (-1), right or left (-1)."""
    long, half = 5.0, 3.0
    back = (x - long * right, y - long * down)
    corners = (
        *(back[0] - half * down, back[1] - half * right, back[0] + half * down, back[1] + half * right),
        *(x, y),
    )
    return drawsvg.Lines(*map(rounded, corners), close=True, class_=kind)
