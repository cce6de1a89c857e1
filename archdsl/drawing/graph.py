"""A network as a graph from top to bottom: a box a part, frames around blocks that are opened.

Where a value is read more than once, its shape stands where its ways part. A part that is repeated is drawn
once, with how often.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import drawsvg

from archdsl.drawing.canvas import MARGIN, TITLE, canvas, finished, rounded, tip, title, words
from archdsl.drawing.cells import Cell, Layout
from archdsl.drawing.columns import in_columns
from archdsl.drawing.figures import FIGURES, STANDARD
from archdsl.drawing.layered import End, Point, arranged
from archdsl.drawing.lettering import cut, width, wrapped
from archdsl.drawing.parts import Part, boxes, openings
from archdsl.report.columns import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archdsl.analysis.flow import Flow
    from archdsl.compiler.network import Network

STYLE = """
.name { font-weight: 600 } .head { font-weight: 600; text-anchor: start }
.fact { fill: $quiet; font-size: 9px } .aside { fill: $quiet; font-size: 9px; text-anchor: start }
.box { fill: $plain; stroke: $edge; stroke-width: .8 }
.weights { fill: $layer; stroke: $blue } .block { fill: $block; stroke: $blue; stroke-width: 1.2 }
.merge { fill: $join; stroke: $red } .input { fill: $input; stroke: $text; stroke-width: 1.2 }
.output { fill: $output; stroke: $orange; stroke-width: 1.2 } .shared { stroke-dasharray: 4 2 }
.frame { fill: $blue; fill-opacity: .05; stroke: $blue; stroke-width: .9; stroke-dasharray: 5 3 }
"""

AROUND = 2 * MARGIN + 24
"""Pixels above and below the boxes, the title's among them."""
READABLE = 32
"""How many boxes a picture has at most where no depth is asked for."""
MOST = 300
"""How many it has at most where one is."""
WIDEST = 1300.0
"""Pixels that it is wide at most where no depth is asked for."""
FRAME = 100.0
"""Pixels of the height that are for a frame, its heading and the ways around it, beside what is in it."""
SHARES = (0.85, 0.7, 0.55)
"""What is tried of the height that is asked for, where the whole of it gives a graph that is higher."""
MORE = 1.05
"""How much higher a graph that can't be as low as is asked for may be, if frames are whole for that."""
LINE = 12.5
"""Pixels a line of text is high."""
PAD = 8.0
"""Pixels between text and border."""
HEAD = 7.0
"""Pixels that the heading of a frame takes beside its lines."""
LONGEST = 42
"""The most characters of a line."""
CALL = 3
"""The most lines of a call."""
WIDE = 6.0
"""Pixels of a character in the heading of a frame, about."""
SHORT = 32
"""The most characters of a call that is a heading; a longer one has its arguments below it."""
STACK = 3.0
"""Pixels between the sheets of a box that stands for several."""
MERGES = ("add", "concat", "multiply", "subtract", "maximum", "average")


def graph(
    network: Network,
    flow: Flow,
    depth: int | None = None,
    figures: tuple[str, ...] = STANDARD,
    height: float | None = None,
) -> str:
    """The picture as SVG, with figures on its boxes.

    Blocks are opened to a depth, or as deep as the picture stays readable. What is higher than `height`
    pixels goes on in a next column.
    """
    writer = _Writer(network, flow, figures)
    layout = Layout()
    parts: list[Part] = []
    for number, found in enumerate(openings(network, flow), 1):
        if layout.cells and boxes(found) > (READABLE if depth is None else MOST):
            break
        deeper = writer.layout(found)
        if layout.cells and depth is None and deeper.wide > WIDEST:
            break
        layout, parts = deeper, found
        if number == depth:
            break
    if height is not None and layout.high + AROUND > height:
        layout = writer.folded(parts, height - AROUND)
    wide = max(layout.wide, width(network.name, TITLE, bold=True)) + 2 * MARGIN
    drawing = canvas(wide, layout.high + AROUND, f"{network.name}, what reads what", STYLE)
    drawing.append(title(network.name))
    _draw(drawing, layout, (wide - layout.wide) / 2, AROUND - MARGIN)
    return finished(drawing)


class _Writer:
    def __init__(self, network: Network, flow: Flow, figures: tuple[str, ...]) -> None:
        self.network = network
        self.flow = flow
        self.figures = [FIGURES[name] for name in figures]
        self.shapes = [shape for node in flow.nodes for shape in node.shapes]
        self.named: dict[int, list[str]] = {}
        for value, name in zip(flow.outputs, network.output_names, strict=True):
            self.named.setdefault(value, []).append(name)
        self.broken: set[int] = set()
        """The parts, by their `id`, that were drawn in columns, and those that are not to be."""
        self.whole: set[int] = set()

    def folded(self, found: list[Part], most: float) -> Layout:
        """Parts in columns, so that what is higher than the most is less high; no frame in vain."""
        asked = most
        layout = self.layout(found, most=most)
        # What frames take is an estimate: what is in them may have to be lower for all to fit.
        for share in SHARES:
            if layout.high <= most:
                break
            lower = self.layout(found, most=share * most)
            if lower.high < layout.high:
                layout, asked = lower, share * most
        high = most if layout.high <= most else layout.high * MORE
        frames = [part for part in found if part.inner]
        while frames:
            part, *frames = frames
            if id(part) in self.broken:
                self.whole.add(id(part))
                again = self.layout(found, most=asked)
                if again.high <= high:
                    layout = again
                    continue
                self.whole.remove(id(part))
            frames += [one for one in part.inner or () if one.inner]
        return layout

    def layout(self, found: list[Part], of: Part | None = None, most: float | None = None) -> Layout:
        """Parts at places. What the part they are `of` reads comes in at the top, what it makes leaves.

        What is higher than the most goes on in a next column where it can.
        """
        reads, makes = (of.reads, of.hands) if of else ((), ())
        users = Counter([*makes, *(value for part in found for value in self._read(part))])
        if of is None:
            users.update({value: len(names) for value, names in self.named.items()})
        cells: list[Cell] = []
        edges: list[tuple[int, int]] = []
        ends: list[End] = []
        source: dict[int, tuple[int, float | None]] = {}
        points: set[int] = set()

        def put(cell: Cell, values: Iterable[int] = ()) -> int:
            """A cell that reads values."""
            cells.append(cell)
            here = len(cells) - 1
            for value in values:
                edges.append((source[value][0], here))
                ends.append((source[value][1], cell.inner.enters[value] if cell.inner else None))
            if cell.kind == "point":
                points.add(here)
            return here

        first = []
        for value in reads:
            first.append(put(_point(self._shape([value]) if users[value] > 1 else "")))
            source[value] = (first[-1], 0.0)
        for part in found:
            cell = self._cell(part, most)
            here = put(cell, self._read(part))
            if cell.kind == "input":
                first.append(here)
            for number, value in enumerate(part.makes):
                source[value] = (here, cell.inner.leaves[number] if cell.inner else None)
                # Where a value's ways part, and of several what each is.
                if users[value] > 1 or len(part.makes) > 1:
                    source[value] = (put(_point(self._shape([value])), [value]), 0.0)
        last = [put(_point(""), [value]) for value in makes]
        if of is None:
            for value, names in self.named.items():
                for name in names:
                    lines = [("name", cut(name, LONGEST)), ("fact", self._shape([value]))]
                    put(_box("output", lines), [value])
        sizes = [(cell.wide, cell.high) for cell in cells]
        placed = arranged(sizes, edges, first, last, ends, points)
        layout = Layout(cells, wide=placed.width, high=placed.height)
        layout.places = [
            (x - cell.wide / 2, y) for cell, x, y in zip(cells, placed.middles, placed.tops, strict=True)
        ]
        layout.routes = [
            (route, edge[1] not in points) for route, edge in zip(placed.routes, edges, strict=True)
        ]
        if most is not None and layout.high > most and in_columns(layout, most):
            layout.leads += [_down(layout, k) for k in last]
            self.broken.add(id(of))
        layout.enters = {value: _aside(layout, k) for value, k in zip(reads, first, strict=False)}
        layout.leaves = [_aside(layout, k) for k in last]
        return layout

    def _read(self, part: Part) -> tuple[int, ...]:
        """What a part reads, each value as often as its first layer reads it, where no other reads any."""
        feeds = self.flow.feeds[part.start]
        return part.reads if part.inner or {*feeds} != {*part.reads} else feeds

    def _cell(self, part: Part, most: float | None) -> Cell:
        times = f" × {part.repeated}" if part.repeated > 1 else ""
        facts = self._facts(part)
        about = f"{self.flow.nodes[part.start].name} … {self.flow.nodes[part.end - 1].name}"
        if part.inner:
            inside = self.layout(
                part.inner, part, None if most is None or id(part) in self.whole else most - FRAME
            )
            name = (part.name + times) if part.name else part.calls[0] + times
            call = part.calls[0] if part.name and part.scope and part.scope.block else ""
            shared = [f"weights of {part.shared}"] if part.shared else []
            said = [cut(name, LONGEST)]
            said += wrapped(call, max(LONGEST, int(inside.wide / WIDE)), CALL) if call else []
            said.append(" · ".join([*facts, *shared]))
            if len(said) == 3 and width(" · ".join(said[1:]), 9) < inside.wide:
                said[1:] = [" · ".join(said[1:])]
            head = [("aside" if number else "head", text) for number, text in enumerate(said)]
            wide = max(inside.wide, *(width(text, 10, bold=style == "head") for style, text in head))
            high = inside.high + HEAD + LINE * len(head)
            return Cell("frame", head, wide + 2 * PAD, high, inside, part.repeated, about)
        kind = self._kind(part)
        if part.name or kind == "input":
            name = part.name or self.flow.nodes[part.start].name
            further = [] if kind == "input" else [call for call in part.calls if call != name]
        else:
            name, *further = part.calls
            kind_of, _, arguments = name.partition("(")
            if len(name) > SHORT and arguments:
                name, further = kind_of, [arguments.removesuffix(")"), *further]
        lines = [("name", cut(name, LONGEST) + times)]
        lines += [("call", line) for call in further for line in wrapped(call, LONGEST, CALL)]
        lines += [("fact", line) for line in facts]
        if part.shared:
            lines.append(("fact", f"weights of {part.shared}"))
        return _box(kind + (" shared" if part.shared else ""), lines, part.repeated, about)

    def _kind(self, part: Part) -> str:
        node = self.flow.nodes[part.start]
        if node.kind == "input":
            return "input"
        if part.scope or (part.layers > 1 and len(part.calls) == 1):
            return "block"
        if len(self._read(part)) > 1 and node.kind in MERGES:
            return "merge"
        rules = self.flow.rules[part.start]
        return "weights" if rules.weights or rules.biases else "plain"

    def _shape(self, values: tuple[int, ...] | list[int]) -> str:
        return cut(", ".join(shape_text(list(self.shapes[value])) for value in values[:3]), LONGEST)

    def _facts(self, part: Part) -> list[str]:
        """Its shape and a figure in a line; of more figures, in two."""
        # What nobody reads has a shape, too.
        shape = self._shape(part.makes or [self.flow.starts[part.end - 1]])
        layers = range(part.start, part.end)
        said = [cut(text, LONGEST) for figure in self.figures if (text := figure.text(self.flow, layers))]
        lines = [shape, " · ".join(said)] if len(self.figures) > 1 else [" · ".join([shape, *said])]
        return [line for line in lines if line]


def _aside(layout: Layout, k: int) -> float:
    """How far right of a layout's middle that of a cell is."""
    return layout.places[k][0] + layout.cells[k].wide / 2 - layout.wide / 2


def _down(layout: Layout, k: int) -> list[Point]:
    """From a cell to the foot of a layout, where another column is longer."""
    x, y = layout.places[k]
    middle = x + layout.cells[k].wide / 2
    return [(middle, y), (middle, layout.high)]


def _box(kind: str, lines: list[tuple[str, str]], repeated: int = 1, about: str = "") -> Cell:
    lines = [(style, text) for style, text in lines if text]
    wide = max(width(text, 10, bold=style == "name") for style, text in lines) + 2 * PAD
    sheets = min(repeated, 3)
    extra = (sheets - 1) * STACK
    return Cell(
        kind, lines, max(wide, 44.0) + 2 * extra, len(lines) * LINE + PAD + extra, None, repeated, about
    )


def _point(label: str) -> Cell:
    """Where ways part, at its foot: the shape stands beside it, so that the way stays in the middle."""
    wide = 2 * (width(label, 9) + 9) if label else 6.0
    return Cell("point", [("aside", label)] if label else [], wide, 11.0 if label else 3.0)


def _draw(drawing: drawsvg.Drawing, layout: Layout, left: float, top: float) -> None:
    for (x, y), cell in zip(layout.places, layout.cells, strict=True):
        _draw_cell(drawing, cell, left + x, top + y)
    for lead in layout.leads:
        way = drawsvg.Path(class_="way").M(rounded(left + lead[0][0]), rounded(top + lead[0][1]))
        for x, y in lead[1:]:
            way.L(rounded(left + x), rounded(top + y))
        drawing.append(way)
    for route, ends in layout.routes:
        for element in _way([(left + x, top + y) for x, y in route], ends):
            drawing.append(element)


def _draw_cell(drawing: drawsvg.Drawing, cell: Cell, x: float, y: float) -> None:
    if cell.kind == "point":
        middle, low = x + cell.wide / 2, y + cell.high
        drawing.append(drawsvg.Line(*map(rounded, (middle, y, middle, low)), class_="way"))
        for style, text in cell.lines:
            drawing.append(drawsvg.Circle(rounded(middle), rounded(low), 2, class_="tip"))
            drawing.append(words(text, middle + 6, low - 1, style, 9))
        return
    if cell.inner is not None:
        frame = drawsvg.Rectangle(
            rounded(x), rounded(y), rounded(cell.wide), rounded(cell.high), rx=6, class_="frame"
        )
        frame.append_title(cell.about)
        drawing.append(frame)
        for number, (style, text) in enumerate(cell.lines):
            drawing.append(words(text, x + PAD, y + 13 + number * LINE, style))
        _draw(drawing, cell.inner, x + (cell.wide - cell.inner.wide) / 2, y + cell.high - cell.inner.high)
        return
    sheets = min(cell.sheets, 3) - 1
    # The one in front has all text; it is in the middle, and what leaves begins at its foot.
    extra = sheets * STACK
    wide, high = cell.wide - 2 * extra, cell.high - extra
    round_ = 9 if cell.kind.startswith(("input", "output")) else 3
    for sheet in range(sheets, -1, -1):
        shift = sheet * STACK
        rect = drawsvg.Rectangle(
            rounded(x + extra + shift),
            rounded(y + extra - shift),
            rounded(wide),
            rounded(high),
            rx=round_,
            class_=f"box {cell.kind}",
        )
        if not sheet and cell.about:
            rect.append_title(cell.about)
        drawing.append(rect)
    for number, (style, text) in enumerate(cell.lines):
        below = y + extra + PAD / 2 + (number + 1) * LINE - 3
        drawing.append(words(text, x + cell.wide / 2, below, style))


def _way(points: list[Point], ends: bool) -> list[drawsvg.DrawingElement]:
    path = drawsvg.Path(class_="way")
    path.M(rounded(points[0][0]), rounded(points[0][1]))
    for k in range(1, len(points)):
        (x1, y1), (x2, y2) = points[k - 1], points[k]
        if k % 2 or abs(x1 - x2) < 0.5:
            path.L(rounded(x2), rounded(y2))
        else:
            middle = (y1 + y2) / 2
            path.C(rounded(x1), rounded(middle), rounded(x2), rounded(middle), rounded(x2), rounded(y2))
    if not ends:
        return [path]
    return [path, tip(*points[-1], down=1)]
