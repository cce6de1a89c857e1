"""The report as HTML, for a notebook: a table whose blocks fold, the totals in its foot.

A notebook shows many of these on one page, in colours that are its own. So every rule of style is for the
one element, called after what is in it, and text and lines have the colour of what is around them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from archdsl.report.columns import COLUMNS, STANDARD, Column, Facts
from archdsl.report.diagnostics import render_all
from archdsl.report.table import LONGEST_NUMBER, cut, ends, within
from archdsl.report.terminal import BLUE, BOLD, CYAN, DIM, GREEN, RED, YELLOW, Style
from archdsl.report.totals import totals
from archdsl.report.units import separated

if TYPE_CHECKING:
    from archdsl.diagnostics import Diagnostic
    from archdsl.report.report import Entry, Report

OPEN_ROWS = 40
"""Blocks are open at first as far as the table then has no more rows than these."""

MOST_ROWS = 600
"""Rows that a table has at all, open or folded: they are saved with the notebook."""

LONGEST_SHAPE = 40
"""Characters of a cell that is no number; one that is longer loses its middle."""

LEAST_PICTURE = 0.7
"""A picture that is too wide is made smaller as far as this; then it scrolls."""

STYLE = """
{
  color: inherit; line-height: 1.4 }
div { overflow-x: auto; margin: 0 0 .8em }
.tall { max-height: 60em }
img {
  display: block; max-width: 100%; margin: 0; background: #fff; border-radius: 4px }
pre {
  margin: 0 0 .8em; padding: 0; white-space: pre-wrap; color: inherit; background: none;
  font: .92em/1.35 var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace) }
table {
  width: auto; margin: 0; border: 0; border-collapse: collapse; table-layout: auto; color: inherit;
  background: none; font-size: .92em; font-variant-numeric: tabular-nums }
caption {
  caption-side: top; padding: 0 .5em .4em; color: inherit; text-align: left }
caption b { margin-right: .8em }
tr, tbody tr:nth-child(n) {
  border: 0; background: none }
tbody tr:nth-child(n):hover { background: rgba(128, 128, 128, .14) }
th, td {
  padding: .12em .5em; border: 0; color: inherit; font-weight: normal; text-align: left; vertical-align: top;
  white-space: nowrap; max-width: none }
thead th { font-weight: 600 }
thead th { border-bottom: 1px solid rgba(128, 128, 128, .5) }
.n { text-align: right }
.d, tbody td:nth-child(2), .beside, tr:has(> th > details[open]) > td, p { opacity: .72 }
tfoot tr:first-child > * { padding-top: .5em; border-top: 1px solid rgba(128, 128, 128, .5) }
tfoot td { white-space: normal; overflow-wrap: anywhere }
details { display: inline }
summary { display: list-item; cursor: pointer; font-weight: 600 }
summary:focus-visible { outline: 2px solid currentColor }
p { margin: 0 .5em }
.b, .red, .yellow, .green, .cyan, .blue { font-weight: bold }
.red { color: #e3242d } .yellow { color: #956e00 } .green { color: #1e8639 } .cyan { color: #12818c }
.blue { color: #3171de }
"""
"""What it says for any page. Its colours can be read on white, and well enough on black."""

ON_DARK = """
.red { color: #ee777d } .yellow { color: #c79300 } .green { color: #28b24c } .cyan { color: #17abba }
.blue { color: #6e9ce8 }
"""
"""What it says where a page tells that it is dark."""

DARK_PAGES = ("body[data-jp-theme-light=false]", "body.vscode-dark", "html[theme=dark]")
"""How they tell: JupyterLab and nbconvert, VS Code, Colab."""

PAINTED = {
    BOLD: "b",
    DIM: "d",
    RED: "red",
    GREEN: "green",
    YELLOW: "yellow",
    CYAN: "cyan",
    BLUE: "blue",
}
"""The class of each colour of a terminal."""


def html(report: Report, picture: str | None = None, diagnostics: Sequence[Diagnostic] = ()) -> str:
    """The diagnostics, the picture, which is SVG, and the table, as one element."""
    rows, remark = _rows(report)
    parts = []
    if diagnostics:
        parts.append(f"<pre>{_painted(render_all([*diagnostics], Style(colour=True)))}</pre>")
    if picture is not None:
        # As an image of its own its style is for itself alone.
        data = b64encode(picture.encode()).decode()
        said = escape(f"The maps of {report.name} in a row, to scale")
        least = LEAST_PICTURE * float(ElementTree.fromstring(picture).attrib["width"])
        size = f'style="min-width: {least:.0f}px" src="data:image/svg+xml;base64,{data}"'
        parts.append(f'<div><img alt="{said}" {size}></div>')
    parts.append(_table(report, rows))
    if remark:
        parts.append(f"<p>{escape(remark)}</p>")
    return _element("\n".join(parts), rows)


def printed(text: str) -> str:
    """What a terminal shows, with its colours, as one element."""
    return _element(f"<pre>{_painted(text)}</pre>", [])


def _element(body: str, rows: list[Row]) -> str:
    name = f"archdsl-{sha256(body.encode()).hexdigest()[:12]}"
    here = f"div.archdsl.{name}"
    on_dark = [rule for page in DARK_PAGES for rule in scoped(ON_DARK, f"{page} {here}")]
    style = "\n".join([*scoped(STYLE, here), *on_dark, *_folding(f".{name}", rows)])
    return f'<div class="archdsl {name}">\n<style>\n{style}\n</style>\n{body}\n</div>'


def scoped(rules: str, scope: str) -> Iterator[str]:
    """Rules of style for one element and what is in it."""
    for selectors, body in re.findall(r"([^{}]*)\{([^{}]*)\}", rules):
        names = [f"{scope} {selector.strip()}".strip() for selector in selectors.split(",")]
        yield f"{', '.join(names)} {{ {' '.join(body.split())} }}"


def _painted(text: str) -> str:
    """Text with the colours of a terminal, as HTML."""
    first, *rest = re.split("\x1b\\[([0-9;]*)m", text)
    parts = [escape(first)]
    for code, run in zip(rest[::2], rest[1::2], strict=True):
        parts.append(
            f'<span class="{PAINTED[code]}">{escape(run)}</span>' if code in PAINTED else escape(run)
        )
    return "".join(parts)


# ------------------------------------------------------------------------------ the rows


@dataclass(slots=True)
class Row:
    """A line of the table: a layer, or the block that the rows after it are in.

    `inside` are the numbers of the blocks around it, from the outermost; a block has a `number` of its own.
    """

    name: str
    facts: Facts
    inside: tuple[int, ...]
    number: int | None = None
    opened: bool = False


def _rows(report: Report) -> tuple[list[Row], str]:
    """What the table has, and what is to be said of what it has not.

    A layer that is alone in a block is one row with it.
    """
    depth, entries = _shown(report)
    kept, remark = entries[:MOST_ROWS], ""
    if len(kept) < len(entries):
        remark = f"These are {MOST_ROWS} of {separated(len(entries))} lines; the totals are of all."
    elif len(entries) < len(report.layers):
        remark = f"What is nested deeper than {depth} is one line each."
    deepest = max((len(entry.path) for entry in kept), default=0)
    sums = {entry.facts["name"]: entry.facts for d in range(deepest) for entry in report.entries(d + 1)}
    members: dict[str, int] = {}
    for entry in kept:
        for scope in entry.path:
            members[scope] = members.get(scope, 0) + 1
    opened = _opened(kept, members, deepest)
    rows: list[Row] = []
    numbers: dict[str, int] = {}
    for entry in kept:
        around: list[str] = []
        for level, scope in enumerate(entry.path):
            if members[scope] == 1:
                continue
            inside = tuple(numbers[name] for name in around)
            above = around[-1] if around else ""
            around.append(scope)
            if scope not in numbers:
                numbers[scope] = len(numbers)
                rows.append(Row(within(scope, above), sums[scope], inside, numbers[scope], level < opened))
        above = around[-1] if around else ""
        # A layer alone in a block is called as the block is.
        called = next((scope for scope in entry.path if members[scope] == 1), entry.facts["name"])
        rows.append(Row(within(called, above), entry.facts, tuple(numbers[scope] for scope in around)))
    return rows, remark


def _shown(report: Report) -> tuple[int, list[Entry]]:
    """The layers or, of very many, what is left of them folded as deep as there is room."""
    deepest = max((len(entry.path) for entry in report.layers), default=0)
    found = 1, report.entries(1)
    for depth in range(2, deepest + 2):
        entries = report.entries(depth)
        if len(entries) > MOST_ROWS:
            return found
        found = depth, entries
    return found


def _opened(entries: list[Entry], members: dict[str, int], deepest: int) -> int:
    """How many levels of blocks are open at first: as many as there is room for."""
    for depth in range(deepest, 0, -1):
        seen = {scope for entry in entries for scope in entry.path[: depth + 1] if members[scope] > 1}
        if len(seen) + sum(len(entry.path) <= depth for entry in entries) <= OPEN_ROWS:
            return depth
    return 0


def _folding(scope: str, rows: list[Row]) -> Iterator[str]:
    """Rows are seen while every block around them is open.

    They are `hidden` as far as those are closed at first, for a page that takes no style.
    """
    for row in rows:
        if row.number is None:
            continue
        here = f".i{row.number}"
        opened = [f":has(.b{number} [open])" for number in (*row.inside, row.number)]
        closed = ", ".join(f"{scope}:not({block}) {here}" for block in opened)
        yield f"{scope}{''.join(opened)} {here} {{ display: table-row !important }}"
        yield f"{closed} {{ display: none !important }}"


# ------------------------------------------------------------------------------ the table


def _table(report: Report, rows: list[Row]) -> str:
    shown = [COLUMNS[key] for key in STANDARD]
    headings = "".join(
        f'<th scope="col"{_number(column.number)}>{escape(column.heading)}</th>' for column in shown
    )
    opened = {row.number for row in rows if row.opened}
    seen = sum(opened.issuperset(row.inside) for row in rows)
    tall = ' class="tall"' if seen > 2 * OPEN_ROWS else ""
    lines = [
        f"<div{tall}><table>",
        f"<caption><b>{escape(report.name)}</b>{escape(ends(report))}</caption>",
        f"<thead><tr>{headings}</tr></thead>",
        "<tbody>",
    ]
    for row in rows:
        cells = "".join(f"<td{_number(c.number)}>{_cell(c, row.facts)}</td>" for c in shown[1:])
        hidden = "" if opened.issuperset(row.inside) else " hidden"
        lines.append(f"<tr{_classes(row)}{hidden}>{_heading(row)}{cells}</tr>")
    lines += ["</tbody>", "<tfoot>", *_totals(report, len(shown)), "</tfoot>", "</table></div>"]
    return "\n".join(lines)


def _number(number: bool) -> str:
    return ' class="n"' if number else ""


def _classes(row: Row) -> str:
    """`b3` is block 3, and `i3` what stands in it."""
    classes = [f"i{row.inside[-1]}"] if row.inside else []
    if row.number is not None:
        classes.append(f"b{row.number}")
    return f' class="{" ".join(classes)}"' if classes else ""


def _heading(row: Row) -> str:
    name = escape(row.name)
    if row.number is not None:
        name = f"<details{' open' if row.opened else ''}><summary>{name}</summary></details>"
    indent = f' style="padding-left: {len(row.inside) * 1.4 + 0.5:.1f}em"' if row.inside else ""
    return f'<th scope="row"{indent}>{name}</th>'


def _cell(column: Column, facts: Facts) -> str:
    text = column.cell(facts)
    most = LONGEST_NUMBER if column.number else LONGEST_SHAPE
    return (
        escape(text)
        if len(text) <= most
        else f'<span title="{escape(text)}">{escape(cut(text, most))}</span>'
    )


def _totals(report: Report, columns: int) -> Iterator[str]:
    """Digits stand below each other; an expression that is too long takes the whole row."""
    for total in totals(report):
        name = f'<tr><th scope="row">{escape(total.name)}</th>'
        beside = f'<span class="beside">{escape(total.beside)}</span>'
        if len(total.exact) > LONGEST_NUMBER:
            yield f'{name}<td colspan="{columns - 1}">{escape(total.exact)} {beside}</td></tr>'
        else:
            exact = f'<td class="n" colspan="2">{escape(total.exact)}</td>'
            yield f'{name}{exact}<td colspan="{columns - 3}">{beside}</td></tr>'
