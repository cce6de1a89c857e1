"""The difference of two networks as a terminal shows it: what the file changed, what follows, the totals.

Changes that are alike are one, with how often they are there; numbers in which their names differ are `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from archdsl.comparison.changes import Change
from archdsl.comparison.declared import Setting
from archdsl.comparison.groups import Group, from_to
from archdsl.comparison.naming import common, starred, which
from archdsl.problems.problem import plural
from archdsl.report.columns import field_texts, shape_text
from archdsl.report.table import plain_signs
from archdsl.report.terminal import BOLD, CYAN, DIM, GREEN, RED, YELLOW, Style, text_width, visible
from archdsl.report.units import human, human_bytes, separated

if TYPE_CHECKING:
    from archdsl.comparison.difference import Difference, Kind, Renaming, Total
    from archdsl.sizes import Size

FOLLOWING = 10
"""The most lines on what follows from the changes, and on names."""

LONGEST_SIDE = 24
"""A total that is longer is an expression in symbols, and is said without columns, as one with words is."""

SIGNS: dict[str, tuple[str, str, str]] = {
    "added": ("+", "added", GREEN),
    "removed": ("−", "removed", RED),
    "changed": ("~", "changed", YELLOW),
    "moved": ("→", "moved", CYAN),
    "affected": ("·", "follows", DIM),
    "renamed": ("=", "renamed", DIM),
    "both": ("·", "both", DIM),
}
"""Sign, word and colour of a line: none of them says alone what a line is."""

UNBROKEN = "\u00a0"
"""A space at which no line is broken; it is written as any other."""

MANIFOLD = 10
"""How many times as much a figure is of which no part in percent is said."""

LEAST = 0.001
"""Percent below which a part is nearly none."""

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
        parts.append(_sentence(_sameness(difference), width))
    if difference.unlike and depth is None:
        parts.append(_sentence(f"{unlikeness(difference)}; with --depth N layer by layer", width))
        lines = [_kinds(difference.kinds, "layers") + _kinds(difference.blocks, "blocks")]
    else:
        lines = [
            [_line(group) for group in difference.grouped(difference.readable(depth))] + _outputs(difference),
            _affected(difference, depth or 1),
            _renamed(difference),
        ]
    lines = [_parameters(difference), *lines, _declared(difference)]
    parts += ["\n".join(_shown(line, width, style) for line in some) for some in lines if some]
    if not difference.same:
        parts.append("\n".join(_totals(difference.totals, width, style)))
    whole = "\n\n".join(parts).replace(UNBROKEN, " ")
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
    inside = bool(difference.renamed) or not all(_named_alike(difference))
    what = {
        "the network's name": difference.before.name != difference.after.name and not inside,
        "names": inside,
        "parameters": difference.parameters,
        "expectations": difference.expectations,
        "the recipe": difference.recipe,
    }
    named = [words for words, differ in what.items() if differ]
    verb = "differs" if named in (["the recipe"], ["the network's name"]) else "differ"
    listed = ", ".join(named[:-1])
    return f"the same structure; {f'{listed} and {named[-1]}' if listed else named[-1]} {verb}"


def _named_alike(difference: Difference) -> Iterable[bool]:
    return (bool(o.before and o.after and o.before[0] == o.after[0]) for o in difference.outputs)


# ------------------------------------------------------------------------------ changes


def _line(group: Group) -> Line:
    return Line(group.status, f"{group.shown}  {group.often}".rstrip(), group.said, costs(group))


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


# ------------------------------------------------------------------------------ two unlike networks


def unlikeness(difference: Difference) -> str:
    """That there is little that two networks have in common."""
    part = f"{difference.in_common:.0%}".replace("%", " %")
    return f"unlike networks: {part} of the smaller one is in the other"


def _kinds(kinds: Sequence[Kind], what: str) -> list[Line]:
    """What one network alone has, and what both have."""
    alone = {
        "removed": [_often(kind.before, kind.name) for kind in kinds if not kind.after],
        "added": [_often(kind.after, kind.name) for kind in kinds if not kind.before],
        "both": [
            _often(kind.after, kind.name)
            if kind.before == kind.after
            else f"{kind.name} {kind.before} → {kind.after}"
            for kind in kinds
            if kind.before and kind.after
        ],
    }
    return [Line(status, what, _some(texts)) for status, texts in alone.items() if texts]


def _often(number: int, name: str) -> str:
    return name if number == 1 else f"{number} × {name}"


def _some(texts: Sequence[str]) -> str:
    """No more than are read, and no line ends within one."""
    texts = [text.replace(" ", UNBROKEN) for text in texts]
    more = [f"{len(texts) - FOLLOWING + 1} more"] if len(texts) > FOLLOWING else []
    return ", ".join([*(texts[: FOLLOWING - 1] if more else texts), *more])


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
        names = [name for name, _ in ones]
        shown = (which(names) or common(names)) + often
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
    groups: dict[tuple[str, str], list[_Names]] = {}
    for one in renamed:
        if _bare(one.before) != _bare(one.after):
            names = _names(one)
            groups.setdefault((starred(names.before), starred(names.after)), []).append(names)
    found = [Line("renamed", *_together(some)) for some in groups.values()]
    found = _first(found, "renamed")
    if numbered:
        before, after = numbered[0].before, numbered[0].after
        many = f"{plural(len(numbered), 'layer')} with other numbers, as " if len(numbered) > 1 else ""
        found.append(Line("renamed", f"{many}{before} → {after}", ""))
    return found


class _Names(NamedTuple):
    """What a layer was called and is, without what both names begin and end with: that is `around` them."""

    whole: Renaming
    around: str
    before: str
    after: str
    renumbered: bool
    """Whether the ends that are left out differ in numbers."""


def _names(one: Renaming) -> _Names:
    before, after = one.before.split("."), one.after.split(".")
    renumbered = False
    while len(before) > 1 and len(after) > 1 and _bare(before[-1]) == _bare(after[-1]):
        renumbered |= before.pop() != after.pop()
    around = []
    while len(before) > 1 and len(after) > 1 and before[0] == after[0]:
        around.append(before.pop(0))
        after.pop(0)
    return _Names(one, ".".join(around), ".".join(before), ".".join(after), renumbered)


def _together(some: Sequence[_Names]) -> tuple[str, str]:
    """Names of one change in one line, and how many they are; within what, where that is alike."""
    if len(some) == 1:
        return f"{some[0].whole.before} → {some[0].whole.after}", ""
    alike = len({starred(names.around) for names in some}) == 1
    begins = [f"{names.around}." if alike and names.around else "" for names in some]
    texts = [
        f"{begin}{names.before} → {begin}{names.after}" for begin, names in zip(begins, some, strict=True)
    ]
    renumbered = sum(names.renumbered for names in some)
    others = f", {renumbered} of them with {'other numbers' if renumbered > 1 else 'another number'}"
    return common(texts), plural(len(some), "layer") + (others if renumbered else "")


def _bare(name: str) -> str:
    """A name without the numbers that are given to what has none of its own."""
    return re.sub(r"(_\d+)?(@\d+)?(?=\.|$)", "", name)


def _first(lines: list[Line], status: str) -> list[Line]:
    """No more lines than are read."""
    if len(lines) <= FOLLOWING:
        return lines
    return [*lines[: FOLLOWING - 1], Line(status, f"{len(lines) - FOLLOWING + 1} more, in --json", "")]


def _parameters(difference: Difference) -> list[Line]:
    return [_setting(f"parameter {one.key}", one) for one in difference.parameters]


def _declared(difference: Difference) -> list[Line]:
    """What the files say otherwise beside layers.

    What is expected of another network than the one before is no change of what was expected.
    """
    found = []
    if difference.same or difference.before.name == difference.after.name:
        # Of one fact, what is said of it is enough.
        found += [_setting(f"expect {one.key}", _of_fact(one)) for one in difference.expectations]
    before, after = difference.before.network.train, difference.after.network.train
    if difference.recipe and (before is None or after is None):
        found.append(Line("added" if before is None else "removed", "recipe", "the whole `train` block"))
    else:
        found += [_setting(f"train.{one.key}", one) for one in difference.recipe]
    return found


def _of_fact(condition: Setting) -> Setting:
    texts = (condition.before, condition.after)
    return Setting(condition.key, *(text and text.removeprefix(condition.key).strip() for text in texts))


def _setting(name: str, setting: Setting) -> Line:
    before, after = setting.before, setting.after
    status = "added" if before is None else "removed" if after is None else "changed"
    return Line(status, name, " → ".join(text for text in (before, after) if text is not None))


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


def _sentence(said: str, width: int | None) -> str:
    lines = [said] if width is None else _wrapped(said, max(width - 1, 20))
    return "\n".join(f" {line}" for line in lines)


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
        fields = [field_texts({"receptive_field": one}, "size") for one in (total.before, total.after)]
        ours, theirs = (
            ", ".join(filter(None, (field or "none", beside)))
            for field, beside in zip(fields, total.beside, strict=True)
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
    return ours, theirs, amount, _part(total.before, total.after)


def _part(before: int, after: int) -> str:
    """`+64 %`, and `× 12` of what is ten times as much and more."""
    if not before:
        return ""
    if after >= MANIFOLD * before:
        return f"× {after / before:,.0f}"
    part = 100 * (after - before) / before
    form = "+,.0f" if abs(part) >= 100 else "+.3g" if abs(part) >= LEAST else "+.3f"
    return f"{part:{form}} %".replace("-", "−")


def _totals(totals: Sequence[Total], width: int | None, style: Style) -> list[str]:
    shown = [total for total in totals if total.name in NAMES]
    texts = {total.name: total_texts(total) for total in shown if total.changed}
    # Two receptive fields may differ in what is not shown of them.
    rows = [(NAMES[name], *row) for name, row in texts.items() if row[0] != row[1]]
    apart = {NAMES[total.name] for total in shown if any(total.beside)}
    fitting = [row for row in rows if max(map(len, row)) <= LONGEST_SIDE and row[0] not in apart]
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
        found += [style.paint(line, DIM) for line in _sentence(words, width).splitlines()]
    return found
