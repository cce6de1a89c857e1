"""The difference of two networks as a terminal shows it: what the file changed, what follows, the totals.

Changes that are alike are one, with how often they are there; numbers in which their names differ are `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from archdsl.comparison.changes import Change
from archdsl.comparison.groups import Group, common, from_to, grouped, starred, told
from archdsl.problems.problem import plural
from archdsl.report.columns import field_texts, shape_text
from archdsl.report.table import plain_signs
from archdsl.report.terminal import BOLD, CYAN, DIM, GREEN, RED, YELLOW, Style, text_width, visible
from archdsl.report.units import human, human_bytes, separated

if TYPE_CHECKING:
    from archdsl.comparison.difference import Difference, Renaming, Total
    from archdsl.sizes import Size

FOLLOWING = 10
"""The most lines on what follows from the changes, and on names."""

LONGEST_SIDE = 24
"""A total that is longer is an expression in symbols, and is said without columns."""

SIGNS: dict[str, tuple[str, str, str]] = {
    "added": ("+", "added", GREEN),
    "removed": ("−", "removed", RED),
    "changed": ("~", "changed", YELLOW),
    "moved": ("→", "moved", CYAN),
    "affected": ("·", "follows", DIM),
    "renamed": ("=", "renamed", DIM),
}
"""Sign, word and colour of a line: none of them says alone what a line is."""

LEFT = 12
"""Where the text begins after sign and word."""

NAMES = {
    "layers": "layers",
    "depth": "depth",
    "parameters": "parameters",
    "buffers": "buffers",
    "macs": "MACs",
    "flops": "FLOPs",
    "forward_peak_bytes": "forward peak",
    "training_peak_bytes": "training peak",
    "receptive_field": "receptive field",
}
"""The totals that are shown; the bytes of the parameters say no more than their number."""


class Line(NamedTuple):
    """Something that is otherwise: what, what is said of it, and what it costs."""

    status: str
    name: str
    said: str
    costs: str = ""


def text(
    difference: Difference, width: int | None = None, style: Style | None = None, depth: int | None = None
) -> str:
    """The whole difference, in `width` columns; without one no line is broken.

    What is nested deeper than `depth` is folded; without one, changes where they are too many to read, and
    all that follows from them.
    """
    style = style or Style()
    parts = [_title(difference, width, style)]
    if difference.same:
        parts.append(f" {_sameness(difference)}")
    lines = [
        [_line(group) for group in grouped(told(difference.readable(depth)))] + _outputs(difference),
        _affected(difference, depth or 1),
        _renamed(difference),
        _recipe(difference),
    ]
    parts += ["\n".join(_shown(line, width, style) for line in some) for some in lines if some]
    if not difference.same:
        parts.append("\n".join(_totals(difference.totals, width, style)))
    whole = "\n\n".join(parts)
    return plain_signs(whole) if style.ascii else whole


def _title(difference: Difference, width: int | None, style: Style) -> str:
    """The networks and their files, the files below where there is no room."""
    before, after = difference.before, difference.after
    names = from_to(before.name, after.name)
    files = [visible(report.network.place.source.name) for report in (before, after)]
    beside = from_to(files[0], files[1])
    if width is None or text_width(names) + 2 + text_width(beside) <= width:
        return f"{style.paint(names, BOLD)}  {style.paint(beside, DIM)}"
    below = [beside] if text_width(beside) < width else [files[0], f"→ {files[1]}"]
    lines = [style.paint(f" {_cut(line, width - 1)}", DIM) for line in below]
    return "\n".join([style.paint(_cut(names, width), BOLD), *lines])


def _sameness(difference: Difference) -> str:
    if difference.identical:
        return "no difference"
    what = [
        *(["names"] if difference.renamed or not all(_named_alike(difference)) else []),
        *(["the recipe"] if difference.recipe else []),
    ]
    verb = "differ" if what != ["the recipe"] else "differs"
    return f"the same structure; {' and '.join(what)} {verb}"


def _named_alike(difference: Difference) -> Iterable[bool]:
    return (bool(o.before and o.after and o.before[0] == o.after[0]) for o in difference.outputs)


# ------------------------------------------------------------------------------ changes


def _line(group: Group) -> Line:
    return Line(group.status, f"{group.name}  {group.often}".rstrip(), group.said, costs(group))


def costs(group: Group) -> str:
    """`+590,080 parameters, +1.85 G MACs`; nothing of what is 0 or not known."""
    figures = [(name, group.figure(name)) for name in ("parameters", "macs")]
    return ", ".join(
        f"{signed(figure, short=name == 'macs')} {NAMES[name]}"
        for name, figure in figures
        if figure not in (0, None)
    )


def signed(number: Size, short: bool = False) -> str:
    """`+590,080` or `−1.85 G`; an expression in symbols as it is."""
    if not isinstance(number, int):
        return str(number)
    size = human(abs(number)) if short and abs(number) >= 1000 else separated(abs(number))
    return f"{'+' if number > 0 else '−'}{size}"


def _outputs(difference: Difference) -> list[Line]:
    found = []
    names = {(one.before, one.after) for one in difference.renamed}
    for output in difference.outputs:
        before, after = output.before, output.after
        if before is None and after is not None:
            found.append(Line("added", after[0], "output"))
        elif after is None and before is not None:
            found.append(Line("removed", before[0], "output"))
        elif before is not None and after is not None and before[1] != after[1]:
            found.append(Line("moved", after[0], f"output {before[1]} → {after[1]}"))
        elif before and after and before[0] != after[0] and (before[0], after[0]) not in names:
            found.append(Line("renamed", f"{before[0]} → {after[0]}", "output"))
    return found


# ------------------------------------------------------------------------------ what follows


def _affected(difference: Difference, depth: int) -> list[Line]:
    """What has other shapes or figures in consequence, folded at a depth."""

    def place(change: Change) -> str:
        return ".".join(change.part.name.split(".")[:depth])

    alike: dict[tuple[str, str], list[tuple[str, list[Change]]]] = {}
    for name, some in groupby(difference.affected, place):
        changes = list(some)
        last = changes[-1]
        assert last.before is not None and last.after is not None
        shapes = [shape_text(list(part.shape)) for part in (last.before, last.after)]
        words = f"{shapes[0]} → {shapes[1]}" if shapes[0] != shapes[1] else "other figures"
        if len(changes) > 1:
            words = f"{plural(len(changes), 'layer')}, {words}"
        shown = name if len(changes) > 1 else last.part.name
        alike.setdefault((starred(shown), words), []).append((shown, changes))
    found = []
    for (_, words), ones in alike.items():
        often = f"  × {len(ones)}" if len(ones) > 1 else ""
        shown = common([name for name, _ in ones]) + often
        whole = Group(tuple(change for _, changes in ones for change in changes))
        found.append(Line("affected", shown, words, costs(whole)))
    return _first(found, "affected")


def _renamed(difference: Difference) -> list[Line]:
    """Names that differ: what lies in one scope that is called otherwise as one, and new numbers as one.

    A layer of another kind has its name from that, and it is told already.
    """
    told = {
        (change.before.name, change.after.name)
        for change in difference.changes
        if change.before and change.after and any(detail.what == "kind" for detail in change.details)
    }
    renamed = [one for one in difference.renamed if (one.before, one.after) not in told]
    numbered = [one for one in renamed if _bare(one.before) == _bare(one.after)]
    groups: dict[tuple[str, str], list[str]] = {}
    for one in renamed:
        if _bare(one.before) != _bare(one.after):
            names = _outer(one)
            groups.setdefault((starred(names[0]), starred(names[1])), []).append(" → ".join(names))
    found = [
        Line("renamed", common(names), plural(len(names), "layer") if len(names) > 1 else "")
        for names in groups.values()
    ]
    found = _first(found, "renamed")
    if numbered:
        before, after = _outer(numbered[0])
        many = f"{plural(len(numbered), 'layer')} with other numbers, as " if len(numbered) > 1 else ""
        found.append(Line("renamed", f"{many}{before} → {after}", ""))
    return found


def _outer(one: Renaming) -> tuple[str, str]:
    """The names without what they end with alike."""
    before, after = one.before.split("."), one.after.split(".")
    while len(before) > 1 and len(after) > 1 and before[-1] == after[-1]:
        before.pop()
        after.pop()
    return ".".join(before), ".".join(after)


def _bare(name: str) -> str:
    """A name without the numbers that are given to what has none of its own."""
    return re.sub(r"(_\d+)?(@\d+)?(?=\.|$)", "", name)


def _first(lines: list[Line], status: str) -> list[Line]:
    """No more lines than are read."""
    if len(lines) <= FOLLOWING:
        return lines
    return [*lines[: FOLLOWING - 1], Line(status, f"{len(lines) - FOLLOWING + 1} more, in --json", "")]


def _recipe(difference: Difference) -> list[Line]:
    before, after = difference.before.network.train, difference.after.network.train
    if not difference.recipe:
        return []
    if before is None or after is None:
        return [Line("added" if before is None else "removed", "recipe", "the whole `train` block")]
    return [
        Line(
            "added" if one.before is None else "removed" if one.after is None else "changed",
            f"train.{one.key}",
            " → ".join(text for text in (one.before, one.after) if text is not None),
        )
        for one in difference.recipe
    ]


# ------------------------------------------------------------------------------ lines


def _shown(line: Line, width: int | None, style: Style) -> str:
    """A line, or two and more where it is too long."""
    sign, word, colour = SIGNS[line.status]
    head = style.paint(f" {sign} {word:<{LEFT - 4}} ", colour)
    name, said, costs = map(visible, (line.name, line.said, line.costs))
    room = None if width is None else max(width - LEFT, 20)
    whole = "   ".join(piece for piece in (name, said, costs) if piece)
    if room is None or text_width(whole) <= room:
        painted = [name, said, style.paint(costs, DIM)]
        return head + "   ".join(piece for piece in painted if piece)
    indent = " " * LEFT
    lines = [head + _cut(name, room)]
    beside = f"{said}   {costs}" if costs else said
    if beside and text_width(beside) <= room:
        lines.append(indent + said + (f"   {style.paint(costs, DIM)}" if costs else ""))
    else:
        lines += [indent + piece for piece in _wrapped(said, room)]
        lines += [indent + style.paint(costs, DIM)] if costs else []
    return "\n".join(lines)


def _wrapped(said: str, room: int) -> list[str]:
    from textwrap import wrap

    return wrap(said, room, break_long_words=True, break_on_hyphens=False)


def _cut(name: str, room: int) -> str:
    """A name that is too long loses its middle."""
    if text_width(name) <= room:
        return name
    head = (room - 1) // 3
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"


def total_texts(total: Total) -> tuple[str, str, str, str]:
    """A total before and after, the difference, and the part of the whole that this is."""
    if total.name == "receptive_field":
        ours, theirs = (
            field_texts({"receptive_field": field}, "size") or "none" for field in (total.before, total.after)
        )
        return ours, theirs, "", ""
    in_bytes = total.name.endswith("_bytes")
    ours, theirs = (
        human_bytes(side) if in_bytes else separated(side) for side in (total.before, total.after)
    )
    difference = total.difference
    if difference is None or not isinstance(difference, int):
        return ours, theirs, "", ""
    amount = (
        f"{'+' if difference > 0 else '−'}{human_bytes(abs(difference))}" if in_bytes else signed(difference)
    )
    part = _percent(100 * difference / total.before) if total.before else ""
    return ours, theirs, amount, part


def _percent(part: float) -> str:
    return (f"{part:+,.0f} %" if abs(part) >= 100 else f"{part:+.3g} %").replace("-", "−")


def _totals(totals: Sequence[Total], width: int | None, style: Style) -> list[str]:
    shown = [total for total in totals if total.name in NAMES]
    texts = {total.name: total_texts(total) for total in shown if total.changed}
    # Two receptive fields may differ in what is not shown of them.
    rows = [(NAMES[name], *row) for name, row in texts.items() if row[0] != row[1]]
    fitting = [row for row in rows if max(map(len, row)) <= LONGEST_SIDE]
    widths = [max((text_width(row[k]) for row in fitting), default=0) for k in range(5)]
    widths[0] = max((len(row[0]) for row in rows), default=0)
    widths[1:3] = [
        max(found, len(heading)) for found, heading in zip(widths[1:3], ("before", "after"), strict=True)
    ]
    found = []
    if fitting:
        heading = f" {'':<{widths[0]}}  {'before':>{widths[1]}}  {'after':>{widths[2]}}"
        found.append(style.paint(heading, DIM))
    for row in rows:
        name, before, after, difference, part = row
        if row not in fitting:
            room = None if width is None else max(width - widths[0] - 3, 20)
            pieces = [f"{before} → {after}"] if room is None else _wrapped(f"{before} → {after}", room)
            found += [f" {name if k == 0 else '':<{widths[0]}}  {piece}" for k, piece in enumerate(pieces)]
            continue
        colour = RED if difference.startswith("+") else GREEN
        beside = (
            f"{style.paint(f'{difference:>{widths[3]}}', colour)}  {style.paint(f'{part:>{widths[4]}}', DIM)}"
        )
        line = f" {name:<{widths[0]}}  {before:>{widths[1]}}  {after:>{widths[2]}}"
        found.append(f"{line}  {beside}".rstrip() if difference else line)
    changed = {row[0] for row in rows}
    same = [name for name in NAMES.values() if name not in changed]
    if same:
        words = f"unchanged: {', '.join(same) if rows else 'every figure'}"
        lines = [words] if width is None else _wrapped(words, max(width - 1, 20))
        found += [style.paint(f" {line}", DIM) for line in lines]
    return found
