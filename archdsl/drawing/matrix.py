"""The weights of a layer as a matrix: a row for each unit, a column for each input, equal weights alike."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import drawsvg

from archdsl.analysis.weight_matrix import Value, WeightMatrix, weight_matrix
from archdsl.drawing.canvas import (
    LETTERS,
    MARGIN,
    TITLE,
    WORDS,
    canvas,
    finished,
    numbered,
    rounded,
    width_of,
    words,
)
from archdsl.drawing.choosing import layer_named
from archdsl.drawing.colours import neutral, told_apart
from archdsl.drawing.lettering import width as length
from archdsl.drawing.undrawable import OpenSizes, Undrawable
from archdsl.layers.layer import Layer
from archdsl.layers.linear_map import number
from archdsl.layers.shapes import Shape
from archdsl.problems import Fault
from archdsl.problems.problem import plural
from archdsl.sizes import Size, TooLarge, Undecided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archdsl.compiler.network import Network, Node

STYLE = """
.zero { fill: $page } .cell, .zero { stroke: $line; stroke-width: .5 }
.map, .channel { stroke: $text; fill: none } .map { stroke-width: 1 } .channel { stroke-width: 2 }
.bias { fill: $input; stroke: $line; stroke-width: .5 }
"""

CELL = 34.0
"""Pixels of a cell where there are few."""
WIDEST = 820.0
"""Pixels that all columns together may take, where cells do not become too small."""
ROW = 1100.0
"""Pixels that matrices side by side may take; more go on below."""
BESIDE = 40.0
"""Pixels between matrices."""
SMALLEST = 4.0
READABLE = 36
"""How many rows and columns there are at most, where not even one channel has more."""
FEW = 3
"""How many channels there are, where not all have room."""
MOST = 400
"""How many rows or columns are drawn at all."""
LONGEST_KERNEL = 200
"""The longest input that is tried for one on which the layer makes a few units."""
LEAST_LETTERS = 5.5
"""Pixels of the smallest letters."""
LEGEND = 24
"""Of how many weights the colours are told below, where the cells have no room for letters."""


Letters = list[tuple[tuple[str, str], ...]]
"""How each value of a matrix is written: a sum of letters with their indices, or a number."""


@dataclass(slots=True)
class Sheet:
    """A matrix that is to be drawn, and what is said above it; `kind` is what its colours are called."""

    kind: str
    heading: str
    note: str
    found: WeightMatrix
    letters: Letters
    bias: bool

    def colours(self, constants: Sequence[Fraction]) -> list[str]:
        """What the colour of each value is called: a number has one of its own, in all matrices the same."""
        return [
            f"n{constants.index(value)}" if isinstance(value, Fraction) else f"{self.kind}{k}"
            for k, value in enumerate(self.found.values)
        ]

    @property
    def columns(self) -> int:
        return len(self.found.cells[0])


def matrix(network: Network, names: Sequence[str], positions: tuple[int, ...] | None) -> str:
    """The matrices of layers, or that of the first with weights, as SVG. Raises `Undrawable`."""
    return _drawn([_sheet(network, name, positions, f"c{k}-") for k, name in enumerate(names or [None], 1)])


def _sheet(network: Network, name: str | None, positions: tuple[int, ...] | None, kind: str) -> Sheet:
    node = layer_named(network, name, "a weight matrix")
    layer = node.layer
    if layer.no_matrix:
        raise Undrawable(f"`{layer.kind}` is no matrix: {layer.no_matrix}")
    if type(layer).linear_map is Layer.linear_map:
        raise Undrawable(
            f"of `{layer.kind}` no weight matrix is drawn; one is drawn of convolutions, `linear`, means, "
            "`subsample` and `blur_pool`"
        )
    whole = node.inputs[0].shape
    try:
        x = _input(node, whole, positions)
        y = layer.shape(x)
        assert isinstance(y, Shape)
        most = (positions or (12,))[0] if not whole.axes else READABLE
        all_ = all(number(shape.count) <= most for shape in (y, x))
        made, taken = (_channels(shape, most, all_) for shape in (y, x))
        rows, columns = len(made) * number(y.positions), len(taken) * number(x.positions)
        if max(rows, columns) > MOST:
            raise Undrawable(
                f"the matrix of {node.name} would have {plural(rows, 'row')} and "
                f"{plural(columns, 'column')}, and at most {MOST} are drawn: "
                "ask for fewer --positions"
            )
        found = weight_matrix(layer, x, made, taken)
        weights = layer.weights(x)
    except Fault as fault:
        at = f" of {_by(positions)}" if positions else ""
        raise Undrawable(f"{node.name} does not take an input{at}: {fault.problem.message()}") from None
    except Undecided:
        raise OpenSizes(f"what {node.name} weighs depends on open sizes", network.symbols) from None
    except TooLarge:
        raise Undrawable(f"{node.name} is too large to be drawn as a matrix") from None
    assert found is not None
    notes = [
        _channels_note("output", made, y.channels, x.axes),
        _channels_note("input", taken, x.channels, x.axes),
        "" if x == whole or not x.axes else f"on an input of {_by(x.size)}",
    ]
    heading = f"{node.name}: {plural(rows, 'unit')} from {plural(columns, 'input')}"
    letters = _letters(found, weights.get("weight"))
    return Sheet(kind, heading, "; ".join(filter(None, notes)), found, letters, "bias" in weights)


def _input(node: Node, whole: Shape, positions: tuple[int, ...] | None) -> Shape:
    """The input on which the matrix is drawn."""
    axes = whole.axes
    if not axes:
        return whole
    if positions is not None:
        if len(positions) not in (1, axes):
            raise Undrawable(
                f"--positions has {plural(len(positions), 'number')}, and of {node.name} it takes {axes}"
            )
        return Shape((whole.channels, *(positions if len(positions) == axes else positions * axes)))
    few = {1: 12, 2: 6, 3: 3}[axes]
    if all(isinstance(n, int) and n <= few for n in whole.size):
        return whole
    fault: Fault | None = None
    for n in range({1: 6, 2: 4, 3: 3}[axes], LONGEST_KERNEL):
        x = Shape((whole.channels, *(n for _ in whole.size)))
        try:
            y = node.layer.shape(x)
        except Fault as found:
            fault = found
            continue
        assert isinstance(y, Shape)
        if number(y.positions) > number(x.positions):
            # What makes maps larger is readable from a smaller one.
            x = Shape((whole.channels, *(3 for _ in whole.size)))
            return x
        if all(number(m) > (2 if axes == 1 and n <= 12 else 1) for m in y.size):
            return x
    why = f": {fault.problem.message()}" if fault is not None else ""
    raise Undrawable(f"of {node.name} no small matrix can be drawn{why}")


def _by(size: tuple[Size, ...]) -> str:
    return " × ".join(map(str, size)) if len(size) > 1 else plural(size[0], "position")


def _channels(shape: Shape, most: int, all_: bool) -> tuple[int, ...]:
    """All channels, or the first, as many as keep the matrix readable."""
    channels, positions = number(shape.channels), number(shape.positions)
    if all_:
        return tuple(range(channels))
    few = most if not shape.axes else min(FEW, most // positions)
    return tuple(range(min(channels, max(1, few))))


def _channels_note(side: str, some: tuple[int, ...], of: Size, axes: int) -> str:
    if len(some) == of:
        return ""
    what = "channel" if axes else "feature"
    which = f"{what} 1" if len(some) == 1 else f"{what}s 1 to {len(some)}"
    return f"{side} {which} of {of}"


def _letters(found: WeightMatrix, weight: Shape | None) -> Letters:
    numbers = {number for value in found.values if not isinstance(value, Fraction) for number in value}
    kept = [
        k
        for k in range(len(weight or ()))
        if len({number[k] for number in numbers}) > 1 or (k == len(weight or ()) - 1 and len(numbers) == 1)
    ]
    apart = "," if any(number[k] > 8 for number in numbers for k in kept) and len(kept) > 1 else ""

    def written(value: Value) -> tuple[tuple[str, str], ...]:
        if isinstance(value, Fraction):
            return ((str(value), ""),)
        return tuple(("ω", apart.join(str(number[k] + 1) for k in kept)) for number in value)

    return [written(value) for value in found.values]


def _drawn(sheets: list[Sheet]) -> str:
    """Matrices beside each other, their cells of one size."""
    cell = max(SMALLEST, min(CELL, WIDEST / max(sheet.columns for sheet in sheets)))
    constants = sorted(
        {Fraction(0)} | {v for sheet in sheets for v in sheet.found.values if isinstance(v, Fraction)},
        key=abs,
    )
    body = drawsvg.Group()
    left, top, width, bottom = MARGIN, MARGIN, 0.0, 0.0
    for sheet in sheets:
        panel, right, low = _panel(sheet, constants, cell, left, top)
        if left > MARGIN and right > ROW:
            left, top = MARGIN, bottom + BESIDE
            panel, right, low = _panel(sheet, constants, cell, left, top)
        body.append(panel)
        width, bottom, left = max(width, right), max(bottom, low), right + BESIDE
    colours = neutral(len(constants) - 1, "n")
    for sheet in sheets:
        colours |= told_apart(len(sheet.letters) - 1, sheet.kind)
    rules = LETTERS + STYLE + "".join(f".{name} {{ fill: ${name} }}\n" for name in colours)
    about = "; ".join(sheet.heading for sheet in sheets)
    drawing = canvas(width + MARGIN, bottom + MARGIN, f"The weights of {about}", rules, colours)
    drawing.append(body)
    return finished(drawing)


def _panel(
    sheet: Sheet, constants: Sequence[Fraction], cell: float, left: float, top: float
) -> tuple[drawsvg.Group, float, float]:
    """A matrix with all that is said of it; gives where it ends at the right and at the bottom."""
    found, letters = sheet.found, sheet.letters
    rows, columns = len(found.cells), sheet.columns
    body = drawsvg.Group()
    body.append(words(sheet.heading, left, top + 9, "title", TITLE))
    wide = max(length(sheet.heading, TITLE, bold=True), length(sheet.note, WORDS))
    if sheet.note:
        body.append(words(sheet.note, left, top + 25, "note"))
    size = _letters_size(letters, cell)
    names = [
        [_index(place, channels) for channels in _named(some) for place in product(*map(range, extents_))]
        for some, extents_ in ((found.made, found.size_out), (found.taken, found.size_in))
    ]
    small = cell * 0.36
    aside = max(width_of("h", name, small) for name in names[0])
    above = max(width_of("x", name, small) for name in names[1])
    named = small >= LEAST_LETTERS and above < cell
    x = left + (aside + 6 if named else 0)
    y = top + 18 + (16 if sheet.note else 0) + (cell * 0.5 if named else 8)
    kinds = sheet.colours(constants)
    _cells(body, sheet, kinds, x, y, cell, size)
    _lines(body, found, x, y, cell)
    right, bottom = x + columns * cell, y + rows * cell
    if named:
        for k, name in enumerate(names[1]):
            body.append(numbered("x", name, x + (k + 0.5) * cell, y - cell * 0.2, small))
        for k, name in enumerate(names[0]):
            body.append(numbered("h", name, x - 6, y + (k + 0.62) * cell, small, "end"))
    if sheet.bias:
        right = _bias(body, found, right + max(cell * 0.5, 6), y, cell, named)
    right = max(right, left + wide)
    named_below = [
        (f"cell {kinds[value]}", sums)
        for value, sums in enumerate(letters[1:], 1)
        if size < LEAST_LETTERS and len(letters) - 1 <= LEGEND
    ]
    if sheet.bias and _bias_size(found, cell) < LEAST_LETTERS:
        named_below.append(("bias", (("β", ""),)))
    if named_below:
        bottom = _legend(body, named_below, left, bottom + 14, right)
    return body, right, bottom


def _letters_size(letters: Letters, cell: float) -> float:
    """The size at which all letters fit into a cell."""
    widest = max((_wide(sums, 1) for sums in letters[1:]), default=1)
    return min(cell * 0.46, (cell - 5) / widest)


def _wide(sums: tuple[tuple[str, str], ...], size: float) -> float:
    return sum(width_of(base, below, size) for base, below in sums) + 0.9 * size * (len(sums) - 1)


def _named(channels: tuple[int, ...]) -> Sequence[int | None]:
    """The channels as indices; none where there is but one."""
    return (None,) if len(channels) == 1 else channels


def _index(place: tuple[int, ...], channel: int | None) -> str:
    """A unit's index, from 1: `3`, `2,3` on a map, with its channel before."""
    return ",".join(str(n + 1) for n in ((*place,) if channel is None else (channel, *place)))


def _cells(
    body: drawsvg.Group, sheet: Sheet, kinds: list[str], left: float, top: float, cell: float, size: float
) -> None:
    rows, columns = len(sheet.found.cells), sheet.columns
    body.append(
        drawsvg.Rectangle(
            rounded(left), rounded(top), rounded(columns * cell), rounded(rows * cell), class_="zero"
        )
    )
    for i, row in enumerate(sheet.found.cells):
        for j, value in enumerate(row):
            if not value:
                continue
            x, y = left + j * cell, top + i * cell
            body.append(
                drawsvg.Rectangle(
                    rounded(x), rounded(y), rounded(cell), rounded(cell), class_=f"cell {kinds[value]}"
                )
            )
            if size >= LEAST_LETTERS:
                _written(body, sheet.letters[value], x + cell / 2, y + cell / 2 + size * 0.26, size)


def _written(
    body: drawsvg.Group, sums: tuple[tuple[str, str], ...], middle: float, y: float, size: float
) -> None:
    """A sum of letters about a middle."""
    at = middle - _wide(sums, size) / 2
    for k, (base, below) in enumerate(sums):
        if k:
            body.append(numbered("+", "", at + 0.45 * size, y, size))
            at += 0.9 * size
        wide = width_of(base, below, size)
        body.append(numbered(base, below, at + wide / 2, y, size))
        at += wide


def _lines(body: drawsvg.Group, found: WeightMatrix, left: float, top: float, cell: float) -> None:
    """Where a channel ends, and where a row of a map does."""
    rows, columns = len(found.cells), len(found.cells[0])
    for many, extents_, across in ((rows, found.size_out, False), (columns, found.size_in, True)):
        whole, line = prod(extents_), extents_[-1] if len(extents_) > 1 else 0
        for k in range(many + 1):
            at_channel = k in (0, many) or (bool(extents_) and k % whole == 0)
            kind = "channel" if at_channel and many > whole and k not in (0, many) else "map"
            if not at_channel and not (line and k % line == 0):
                continue
            ends = (
                (left + k * cell, top, left + k * cell, top + rows * cell)
                if across
                else (left, top + k * cell, left + columns * cell, top + k * cell)
            )
            body.append(drawsvg.Line(*map(rounded, ends), class_=kind))


def _bias(
    body: drawsvg.Group, found: WeightMatrix, left: float, top: float, cell: float, named: bool
) -> float:
    """The biases in a column of their own; gives where it ends."""
    each = prod(found.size_out)
    several = len(found.made) > 1
    size = _bias_size(found, cell)
    for k, _ in enumerate(found.cells):
        y = top + k * cell
        body.append(drawsvg.Rectangle(rounded(left), rounded(y), rounded(cell), rounded(cell), class_="bias"))
        if size >= LEAST_LETTERS:
            below = str(k // each + 1) if several else ""
            body.append(numbered("β", below, left + cell / 2, y + cell / 2 + size * 0.26, size))
    if named:
        body.append(numbered("1", "", left + cell / 2, top - cell * 0.2, cell * 0.36))
    return left + cell


def _bias_size(found: WeightMatrix, cell: float) -> float:
    """The size of the biases' letters."""
    return min(cell * 0.46, (cell - 5) / width_of("β", "00" if len(found.made) > 1 else "", 1))


def _legend(
    body: drawsvg.Group,
    named: list[tuple[str, tuple[tuple[str, str], ...]]],
    left: float,
    top: float,
    right: float,
) -> float:
    """Below the matrix, what each colour stands for; gives where it ends."""
    x, y = left, top
    for kind, sums in named:
        wide = 16 + _wide(sums, 12) + 12
        if x + wide > right and x > left:
            x, y = left, y + 18
        body.append(drawsvg.Rectangle(rounded(x), rounded(y), 11, 11, class_=kind))
        _written(body, sums, x + 16 + _wide(sums, 12) / 2, y + 9, 12)
        x += wide
    return y + 12
