"""The table of a network: a line a layer, totals below.

A layout is chosen that fits: with room to spare there are further columns; where it is scarce the kind
goes beside the name, shapes close up, names lose their middle, numbers their last digits, and at last
the names become a tree. Expressions in open sizes lose their middle too; the JSON has them whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING

from archdsl.report.columns import COLUMNS, STANDARD, WIDE, Column, Facts, shape_text
from archdsl.report.terminal import BOLD, DIM, Style, text_width, visible
from archdsl.report.totals import totals

if TYPE_CHECKING:
    from archdsl.report.report import Entry, Report

GAP = "  "
LEAST_NAME = 14
"""A name is never cut below this."""

LEAST_EXPRESSION = 18
"""Nor is another column below this: no plain number is as long."""

LONGEST_NUMBER = 24
"""A total that is longer is an expression in symbols: it begins at the left, and others keep their place."""

SHORTENED = (
    frozenset({"macs", "flops"}),
    frozenset({"macs", "flops", "parameters", "weights", "biases", "buffers"}),
)
"""The numbers that go into units when room is scarce, step by step."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How much is said, and how tersely."""

    columns: tuple[str, ...]
    kind_beside: bool = False
    close: bool = False
    short: frozenset[str] = frozenset()
    elided: bool = False
    tree: bool = False


def table(
    report: Report,
    width: int | None = None,
    style: Style | None = None,
    depth: int | None = None,
    columns: tuple[str, ...] = (),
) -> str:
    """The whole table, for `width` columns; without one nothing is shortened or left out.

    `depth` folds what is nested deeper into one line a block; `columns` are keys of `COLUMNS`.
    """
    style = style or Style()
    entries = report.entries(depth)
    lines = _grid(entries, width, style, columns)
    text = "\n".join([_title(report, style), "", *lines, "", *_totals(report, width, style)])
    return plain_signs(text) if style.ascii else text


def plain_signs(text: str) -> str:
    for fine, plain in (("×", "x"), ("…", ".."), ("→", "->"), ("·", "-"), ("─", "-"), ("–", "-"), ("−", "-")):
        text = text.replace(fine, plain)
    return text


def _title(report: Report, style: Style) -> str:
    return f"{style.paint(report.name, BOLD)}  {visible(ends(report))}"


def ends(report: Report) -> str:
    """What goes in and what comes out: `image 3 × 224 × 224 → logits 1000`."""
    inputs = ", ".join(f"{name} {shape_text(shape)}" for name, shape in report.inputs)
    outputs = ", ".join(
        f"{name} {shape_text(list(wire.shape))}"
        for name, wire in zip(report.outputs, report.scope.outputs, strict=True)
    )
    return f"{inputs} → {outputs}"


# ------------------------------------------------------------------------------ the grid


def _grid(entries: list[Entry], width: int | None, style: Style, columns: tuple[str, ...]) -> list[str]:
    if width is None:
        return _draw(entries, Layout(columns or STANDARD), None, style)
    layouts = _layouts(columns, entries)
    cells = _Cells(entries)
    for layout in layouts:
        if cells.needed(layout) <= width:
            return _draw(entries, layout, width, style)
    return _draw(entries, layouts[-1], width, style)


def _layouts(columns: tuple[str, ...], entries: list[Entry]) -> list[Layout]:
    """From the roomiest to the tersest."""
    if columns:
        layouts = [Layout(columns)]
    else:
        layouts = [
            Layout(WIDE),
            Layout(tuple(key for key in WIDE if key != "equivariance")),
            Layout((*STANDARD, "stride")),
            Layout(STANDARD),
            Layout(STANDARD, kind_beside=True),
        ]
    layouts.append(replace(layouts[-1], close=True))
    terse = layouts[-1]
    if _elision_is_unique(entries):
        layouts.append(replace(terse, elided=True))
        layouts += [replace(layouts[-1], short=short) for short in SHORTENED]
    layouts.append(replace(terse, tree=True))
    layouts += [replace(terse, tree=True, short=short) for short in SHORTENED]
    if not columns:
        least = replace(layouts[-1], kind_beside=False)
        for leave_out in ({"kind"}, {"kind", "memory"}, {"kind", "memory", "field"}):
            layouts.append(replace(least, columns=tuple(key for key in STANDARD if key not in leave_out)))
    return layouts


def _elision_is_unique(entries: list[Entry]) -> bool:
    return len({_elided(entry.facts["name"]) for entry in entries}) == len(entries)


class _Cells:
    """The widths of columns, each worked out once, however many layouts are tried."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._widths: dict[tuple[str, bool, bool, bool, bool], int] = {}

    def needed(self, layout: Layout) -> int:
        keys = _keys(layout)
        return sum(self.width(key, layout) for key in keys) + len(GAP) * (len(keys) - 1) + 1

    def width(self, key: str, layout: Layout) -> int:
        name = key == "name"
        flags = (
            _is_short(key, layout),
            name and layout.kind_beside,
            name and layout.elided,
            name and layout.tree,
        )
        if (key, *flags) not in self._widths:
            column = COLUMNS[key]
            if name:
                widest = max((text_width(text) for text, _ in _names(self._entries, layout)), default=0)
            else:
                say = column.short if flags[0] and column.short else column.cell
                widest = max((text_width(say(entry.facts)) for entry in self._entries), default=0)
            self._widths[(key, *flags)] = max(widest, len(column.heading))
        return self._widths[(key, *flags)]


def _keys(layout: Layout) -> tuple[str, ...]:
    return tuple(key for key in layout.columns if not (layout.kind_beside and key == "kind"))


def _is_short(key: str, layout: Layout) -> bool:
    return key in layout.short or (key == "shape" and layout.close)


def _draw(entries: list[Entry], layout: Layout, width: int | None, style: Style) -> list[str]:
    cells = _Cells(entries)
    keys = _keys(layout)
    widths = {key: cells.width(key, layout) for key in keys}
    if width is not None and "name" in widths:
        over = cells.needed(layout) - width
        before = widths["name"]
        widths["name"] = max(min(before, LEAST_NAME), before - max(0, over))
        _narrow(widths, over - (before - widths["name"]))

    def row(texts: dict[str, str], paint: dict[str, str]) -> str:
        parts = []
        for key in keys:
            text = texts.get(key, "")
            room = " " * (widths[key] - text_width(text))
            text = style.paint(text, paint[key]) if key in paint else text
            parts.append(room + text if COLUMNS[key].number else text + room)
        return (" " + GAP.join(parts)).rstrip()

    headings = {key: COLUMNS[key].heading for key in keys}
    rule = style.paint("─" * (sum(widths.values()) + len(GAP) * (len(keys) - 1) + 1), DIM)
    lines = [row(headings, dict.fromkeys(keys, BOLD)), rule]
    rows = _names(entries, layout)
    for text, entry in rows:
        texts = {"name": cut(visible(text), widths.get("name", len(text)))}
        if entry is None:
            lines.append(row(texts, {"name": DIM}))
            continue
        for key in keys:
            if key != "name":
                texts[key] = cut(visible(_cell(COLUMNS[key], entry.facts, layout)), widths[key])
        lines.append(row(texts, {"kind": DIM, "from": DIM}))
    lines.append(rule)
    return lines


def _narrow(widths: dict[str, int], over: int) -> None:
    """Take what is too much from the widest columns: expressions in open sizes, which lose their middle."""
    while over > 0:
        key = max((key for key in widths if key != "name"), key=lambda key: widths[key], default="name")
        if key == "name" or widths[key] <= LEAST_EXPRESSION:
            return
        widths[key] -= 1
        over -= 1


def _cell(column: Column, facts: Facts, layout: Layout) -> str:
    return column.short(facts) if column.short and _is_short(column.key, layout) else column.cell(facts)


def cut(text: str, width: int) -> str:
    """A text that is too long loses its middle."""
    if text_width(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


# ------------------------------------------------------------------------------ names


def _names(entries: list[Entry], layout: Layout) -> list[tuple[str, Entry | None]]:
    """What stands in the first column, line by line. A line without an entry opens a block of the tree."""
    if not layout.tree:
        shown = _elided if layout.elided else str
        return [(_with_kind(shown(entry.facts["name"]), entry, layout), entry) for entry in entries]
    lines: list[tuple[str, Entry | None]] = []
    open_scopes: tuple[str, ...] = ()
    for entry in entries:
        common = 0
        while (
            common < len(open_scopes)
            and common < len(entry.path)
            and open_scopes[common] == entry.path[common]
        ):
            common += 1
        for level in range(common, len(entry.path)):
            above = entry.path[level - 1] if level else ""
            lines.append(("  " * level + within(entry.path[level], above), None))
        open_scopes = entry.path
        name = within(entry.facts["name"], entry.path[-1] if entry.path else "")
        lines.append(("  " * len(entry.path) + _with_kind(name, entry, layout), entry))
    return lines


def within(name: str, scope: str) -> str:
    """The name of a layer or scope as it is called inside a scope around it."""
    return name[len(scope) + 1 :] if scope and name.startswith(f"{scope}.") else name


def _elided(name: str) -> str:
    parts = name.split(".")
    return name if len(parts) < 3 else f"{parts[0]}…{parts[-1]}"


def _with_kind(name: str, entry: Entry, layout: Layout) -> str:
    """The name, and the kind where the name does not say it."""
    if not layout.kind_beside:
        return name
    kind = entry.facts["kind"]
    said = re.sub(r"(_\d+)?(@\d+)?$", "", re.split(r"[.…]", name)[-1].strip())
    return name if said == kind else f"{name} · {kind}"


# ------------------------------------------------------------------------------ totals


def _totals(report: Report, width: int | None, style: Style) -> list[str]:
    """Digits stand below each other, and what is said of them in a column of its own.

    An expression that is too long goes on in lines of its own.
    """
    lines = totals(report)
    left = max(len(line.name) for line in lines)
    middle = max(len(line.exact) for line in lines if len(line.exact) <= LONGEST_NUMBER)
    found: list[str] = []
    for line in lines:
        room = 0 if width is None else max(width - left - 3, LEAST_EXPRESSION)
        parts = wrap(line.exact, room, break_long_words=False) if 0 < room < len(line.exact) else [line.exact]
        *above, last = parts
        found += [f" {line.name if part is parts[0] else '':<{left}}  {part}" for part in above]
        name = "" if above else line.name
        exact = f"{last}" if above else f"{last:>{middle}}"
        found.append(f" {name:<{left}}  {exact}  {style.paint(line.beside, DIM)}".rstrip())
    return found
