"""Equations as a picture: boxes beside and above each other, their letters on one line.

A font that stands in for another is wider or narrower. So each letter stands in the middle of a box that is
wide enough for a wide one, and what spans something, such as a bracket or a line, is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import drawsvg

from archdsl.analysis.formula import (
    Call,
    Formula,
    Negative,
    Number,
    Over,
    Product,
    Quotient,
    Sum,
    Symbol,
)
from archdsl.drawing.canvas import LETTERS, MARGIN, TITLE, WORDS, canvas, finished, rounded, title, words
from archdsl.drawing.lettering import width as length
from archdsl.drawing.notation import bracketed, number, terms, written

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archdsl.analysis.equation import Equations

STYLE = """
.upright { font-style: normal }
.line { fill: none; stroke: $text; stroke-width: 1.1; stroke-linejoin: round; stroke-linecap: round }
"""

SIZE = 19.0
"""Pixels of the letters."""
SMALL = 0.68
"""How large those of an index are."""
LEAST = 9.0
"""Pixels of the smallest: indices of indices are no smaller."""
AXIS = 0.28
"""How far above the line the middle of a letter is, of its size."""
SPACE = 0.26
"""The room on both sides of a sign, of the size."""
GREEK = {"ω": 0.84, "β": 0.68, "γ": 0.64, "δ": 0.64, "μ": 0.7, "σ": 0.68, "ε": 0.58, "−": 0.84, "≤": 0.84}
"""How wide such letters and signs are, of their size."""
ROOM = 18.0
"""Pixels between equations."""


@dataclass(slots=True)
class Piece:
    """Letters, or a drawn line, at a place relative to where its box begins on the line."""

    x: float
    y: float
    text: str = ""
    size: float = 0.0
    upright: bool = False
    path: tuple[tuple[float, float], ...] = ()


@dataclass(slots=True)
class Box:
    """Something that is set: how wide it is, how far it reaches above the line and below it, its pieces."""

    width: float
    above: float
    below: float
    pieces: list[Piece] = field(default_factory=list)

    def at(self, x: float, y: float) -> list[Piece]:
        """Its pieces, moved."""
        return [
            Piece(p.x + x, p.y + y, p.text, p.size, p.upright, tuple((a + x, b + y) for a, b in p.path))
            for p in self.pieces
        ]


def typeset(found: Equations) -> str:
    """The equations as SVG, their signs of equality below each other."""
    sides = [(_set(line.left, SIZE), _set(line.right, SIZE)) for line in found.lines]
    equal = _sign("=", SIZE)
    first = max(left.width for left, _ in sides)
    names = " → ".join(node.name for node in found.layers)
    top = MARGIN + 30.0
    body = drawsvg.Group()
    for left, right in sides:
        above = max(left.above, right.above, equal.above)
        y = top + above
        x = MARGIN + 6 + first - left.width
        for piece in (
            *left.at(x, y),
            *equal.at(MARGIN + 6 + first, y),
            *right.at(MARGIN + 6 + first + equal.width, y),
        ):
            body.append(_drawn(piece))
        top = y + max(left.below, right.below) + ROOM
    widest = max(right.width for _, right in sides) + first + equal.width + 6
    for note in found.notes:
        body.append(words(note, MARGIN, top, "note"))
        top += 16
    said = max([length(names, TITLE, bold=True), *(length(note, WORDS) for note in found.notes)])
    about = f"What a unit of {names} computes"
    drawing = canvas(max(widest, said) + 2 * MARGIN, top - 4, about, LETTERS + STYLE)
    drawing.append(title(names))
    drawing.append(body)
    return finished(drawing)


def _drawn(piece: Piece) -> drawsvg.DrawingElement:
    if piece.path:
        (x, y), *rest = piece.path
        path = drawsvg.Path(class_="line").M(rounded(x), rounded(y))
        for a, b in rest:
            path.L(rounded(a), rounded(b))
        return path
    kind = "letter upright" if piece.upright else "letter"
    text = words(piece.text, piece.x, piece.y, kind, rounded(piece.size))
    # The style sheet sets a size, too, and would win over an attribute.
    text.args["style"] = f"font-size:{rounded(piece.size)}px"
    return text


# ------------------------------------------------------------------------------ boxes


def _set(formula: Formula, size: float) -> Box:
    match formula:
        case Number(Fraction() as value) if value.denominator != 1:
            return _fraction(
                _text(str(value.numerator), _less(size), True),
                _text(str(value.denominator), _less(size), True),
                size,
            )
        case Number(value):
            return _text(number(value).replace("-", "−"), size, True)
        case Symbol(letter, indices, square):
            box = _text(letter, size)
            if indices:
                names = ",".join(written(index, "−") for index in indices)
                return _indexed(box, _letters(names, _less(size)), size, square)
            return _indexed(box, None, size, square) if square else box
        case Negative(inner):
            return _row([_text("−", size, True), _factor(inner, size)])
        case Sum():
            boxes = []
            for k, (taken, term) in enumerate(terms(formula)):
                if k:
                    boxes.append(_sign("−" if taken else "+", size))
                elif taken:
                    boxes.append(_text("−", size, True))
                boxes.append(_set(term, size))
            return _row(boxes)
        case Product(factors):
            boxes = []
            for factor in factors:
                boxes += [_space(size * 0.14), _factor(factor, size)]
            return _row(boxes[1:])
        case Quotient(top, bottom):
            return _fraction(_set(top, size * 0.86), _set(bottom, size * 0.86), size)
        case Call("sqrt", (inner,)):
            return _root(_set(inner, size), size)
        case Call("exp", (inner,)):
            return _raised(_text("e", size), _set(inner, _less(size)), size)
        case Call(name, arguments):
            boxes = []
            for argument in arguments:
                boxes += [_text(",", size, True), _space(size * 0.2), _set(argument, size)]
            own = _text(name, size, upright=name != "a")
            return _row([own, _space(size * 0.06), _between(_row(boxes[2:]), size, square=name == "a")])
        case Over(operation, index, last, inner):
            sign = _large(operation, index, last, size)
            return _row([sign, _space(size * 0.16), _factor(inner, size)])


def _less(size: float) -> float:
    return max(LEAST, size * SMALL)


def _factor(formula: Formula, size: float) -> Box:
    box = _set(formula, size)
    return _between(box, size) if bracketed(formula) else box


def _text(text: str, size: float, upright: bool = False) -> Box:
    wide = max(sum(GREEK.get(c, 0.0) * size or length(c, size) for c in text), size * 0.3)
    return Box(wide, size * 0.76, size * 0.24, [Piece(wide / 2, 0.0, text, size, upright)])


def _letters(text: str, size: float) -> Box:
    """Letters in italics, digits and signs upright, as an index has them."""
    runs: list[tuple[str, bool]] = []
    for c in text:
        upright = not c.isalpha()
        if runs and runs[-1][1] == upright:
            runs[-1] = (runs[-1][0] + c, upright)
        else:
            runs.append((c, upright))
    return _row([_text(run, size, upright) for run, upright in runs])


def _space(wide: float) -> Box:
    return Box(wide, 0.0, 0.0)


def _sign(text: str, size: float) -> Box:
    return _row([_space(size * SPACE), _text(text, size, True), _space(size * SPACE)])


def _row(boxes: Iterable[Box]) -> Box:
    """Boxes beside each other, on one line."""
    found = Box(0.0, 0.0, 0.0)
    for box in boxes:
        found.pieces += box.at(found.width, 0.0)
        found.width += box.width
        found.above = max(found.above, box.above)
        found.below = max(found.below, box.below)
    return found


def _indexed(box: Box, index: Box | None, size: float, square: bool) -> Box:
    """A letter with what stands below it at the right, and a 2 above it."""
    pieces = box.at(0.0, 0.0)
    wide, below, above = box.width, box.below, box.above
    if index is not None:
        low = size * 0.24
        pieces += index.at(box.width, low)
        wide, below = box.width + index.width, max(below, low + index.below)
    if square:
        two = _text("2", _less(size), True)
        pieces += two.at(box.width, -size * 0.4)
        wide, above = max(wide, box.width + two.width), size * 0.4 + two.above
    return Box(wide + size * 0.03, above, below, pieces)


def _raised(box: Box, power: Box, size: float) -> Box:
    high = size * 0.4 + power.below * 0.6
    return Box(
        box.width + power.width,
        max(box.above, high + power.above),
        box.below,
        box.at(0.0, 0.0) + power.at(box.width, -high),
    )


def _fraction(top: Box, bottom: Box, size: float) -> Box:
    wide = max(top.width, bottom.width) + size * 0.3
    middle, gap = size * AXIS, size * 0.16
    high, low = middle + gap + top.below, -middle + gap + bottom.above
    line = Piece(0, 0, path=((0.0, -middle), (wide, -middle)))
    pieces = [line, *top.at((wide - top.width) / 2, -high), *bottom.at((wide - bottom.width) / 2, low)]
    side = size * 0.08
    box = Box(wide, high + top.above, low + bottom.below, pieces)
    return _row([_space(side), box, _space(side)])


def _root(inner: Box, size: float) -> Box:
    hook = size * 0.5
    high, low = inner.above + size * 0.12, inner.below
    path = (
        (0.0, -size * 0.22),
        (hook * 0.3, -size * 0.3),
        (hook * 0.6, low),
        (hook, -high),
        (hook + inner.width + size * 0.1, -high),
    )
    pieces = [Piece(0, 0, path=path), *inner.at(hook + size * 0.05, 0.0)]
    return Box(hook + inner.width + size * 0.1, high + 2, low, pieces)


def _between(inner: Box, size: float, square: bool = False) -> Box:
    """Something in brackets as high as it is."""
    above, below = max(inner.above, size * 0.76) + 1, max(inner.below, size * 0.24) + 1
    wide = size * 0.3
    bend = wide * 0.55

    def bracket(x: float, way: float) -> Piece:
        if square:
            path: tuple[tuple[float, float], ...] = (
                (x + way * bend, -above),
                (x, -above),
                (x, below),
                (x + way * bend, below),
            )
        else:
            steps = 12
            # An arc whose ends lean to what is inside.
            path = tuple(
                (x + way * bend * (2 * k / steps - 1) ** 2, -above + (above + below) * k / steps)
                for k in range(steps + 1)
            )
        return Piece(0, 0, path=path)

    pieces = [
        bracket(size * 0.1, 1.0),
        *inner.at(wide, 0.0),
        bracket(wide * 2 + inner.width - size * 0.1, -1.0),
    ]
    return Box(inner.width + 2 * wide, above, below, pieces)


def _large(operation: str, index: str, last: str, size: float) -> Box:
    """The sign of a sum with its limits above and below, or `max` with its below."""
    small = _less(size)
    if operation == "sum":
        high = size * 1.7
        wide = size * 1.05
        middle = size * AXIS
        top, bottom = -middle - high / 2, -middle + high / 2
        path = (
            (wide, top + size * 0.2),
            (wide, top),
            (0.0, top),
            (wide * 0.52, -middle),
            (0.0, bottom),
            (wide, bottom),
            (wide, bottom - size * 0.2),
        )
        sign = Box(wide, -top, bottom, [Piece(0, 0, path=path)])
        below, above = _letters(f"{index}=1", small), _letters(last, small)
        over = [(above, top - small * 0.42), (below, bottom + small * 0.95)]
    else:
        sign = _text("max", size, True)
        below = _letters(f"1≤{index}≤{last}", small)
        over = [(below, small * 1.15)]
    widest = max(sign.width, *(box.width for box, _ in over))
    pieces = sign.at((widest - sign.width) / 2, 0.0)
    for box, y in over:
        pieces += box.at((widest - box.width) / 2, y)
    return Box(
        widest,
        max(sign.above, *(box.above - y for box, y in over)),
        max(sign.below, *(box.below + y for box, y in over)),
        pieces,
    )
