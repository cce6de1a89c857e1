"""Changes that are alike told once: what is said of them, what they are called together, what all cost.

A change in each of sixteen blocks is one group of sixteen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archdsl.comparison.changes import Change, Detail, Status
from archdsl.comparison.parts import FIGURES
from archdsl.compiler.network import Node, Scope
from archdsl.problems.problem import plural
from archdsl.report.report import plain

if TYPE_CHECKING:
    from archdsl.sizes import Size

FEW = 4
"""Groups at one place that differ in numbers; of more, all are one."""

MANY = 16
"""Groups; of more, those of which the same is said are one, wherever they are."""


@dataclass(frozen=True, slots=True)
class Group:
    """Changes that are alike, at least one."""

    changes: tuple[Change, ...]

    @property
    def status(self) -> Status:
        return self.changes[0].status

    @property
    def said(self) -> str:
        """What is said of each, with `*` for numbers in names that differ."""
        return common([said(change) for change in self.changes])

    @property
    def name(self) -> str:
        """What their parts are called, with `*` for numbers that differ."""
        names = [change.part.name for change in self.changes]
        alike = len(set(map(_place, self.changes))) == 1
        return together(names) if alike else f"{names[0]} and {len(names) - 1} more"

    @property
    def often(self) -> str:
        """`× 16`; nothing where it is one, or the name has it."""
        many = len(self.changes) > 1 and not self.name.endswith(" more")
        return f"× {len(self.changes)}" if many else ""

    def figure(self, name: str) -> Size | None:
        """How much more of a figure all of them are; None where it is not known of one."""
        total: Size = 0
        for change in self.changes:
            figure = change.figure(name)
            if figure is None:
                return None
            total = total + figure
        return total

    def to_dict(self, numbers: dict[int, int]) -> dict[str, Any]:
        """`numbers` are those of the changes, by their identity."""
        return {
            "status": self.status,
            "name": self.name,
            "said": self.said,
            "count": len(self.changes),
            "changes": [numbers[id(change)] for change in self.changes],
            "difference": {name: plain(self.figure(name)) for name in FIGURES},
        }


def grouped(changes: Sequence[Change]) -> list[Group]:
    """Changes of which the same is said, and that have the same name in blocks of the same name, as one.

    Where there are more than a few whose words differ in numbers alone, they are one as well.
    """
    places: dict[tuple[str, ...], dict[str, list[Change]]] = {}
    for change in changes:
        words = said(change)
        by_words = places.setdefault((change.status, *_place(change), starred(words)), {})
        by_words.setdefault(re.sub(r"(?<=_)\d+", "*", words), []).append(change)
    groups = []
    for by_words in places.values():
        if len(by_words) > FEW:
            groups.append(Group(tuple(change for some in by_words.values() for change in some)))
        else:
            groups += [Group(tuple(some)) for some in by_words.values()]
    order = {id(change): number for number, change in enumerate(changes)}
    groups.sort(key=lambda group: order[id(group.changes[0])])
    if len(groups) <= MANY:
        return groups
    merged: dict[tuple[str, str], list[Change]] = {}
    for group in groups:
        merged.setdefault((group.status, group.said), []).extend(group.changes)
    return [Group(tuple(some)) for some in merged.values()]


def told(changes: Iterable[Change]) -> list[Change]:
    """Those that the file made."""
    return [change for change in changes if change.status not in ("same", "affected")]


def said(change: Change) -> str:
    """What is said of a change: what was added, or what is otherwise."""
    if change.status in ("added", "removed"):
        unit = change.part.units[0] if len(change.part.units) == 1 else None
        block = isinstance(unit, Scope) and unit.block is not None
        many = f", {plural(len(change.part.layers), 'layer')}" if block else ""
        return change.part.kind.replace(" -> ", " → ") + many
    if not change.details and change.before and change.after:
        return f"{from_to(str(len(change.before.layers)), str(len(change.after.layers)))} layers"
    return ", ".join(map(_detail, change.details))


def _detail(detail: Detail) -> str:
    """`kernel 3 → 5`."""
    before, after = detail.before or "nothing", detail.after or "nothing"
    name = "" if detail.what == "kind" else f"{detail.name} "
    return f"{name}{before} → {after}"


def from_to(before: str, after: str) -> str:
    """Both where they differ."""
    return before if before == after else f"{before} → {after}"


def _place(change: Change) -> tuple[str, ...]:
    """What a part is called: the blocks that it is in whatever their labels, and its name in these."""
    if change.part.scope:
        return (starred(change.part.scope),)
    unit = change.part.units[0]
    scope = unit.scope if isinstance(unit, Node) else unit.parent
    around = "" if scope is None else scope.name
    blocks = []
    while scope is not None and scope.parent is not None:
        blocks.append(scope.block or starred(scope.key))
        scope = scope.parent
    return (*reversed(blocks), starred(change.part.name.removeprefix(around)))


def together(names: Sequence[str]) -> str:
    """Names of as many parts as one, with `*` for what differs in a part."""
    columns = zip(*(name.split(".") for name in names), strict=True)
    return ".".join(map(_alike, columns))


def _alike(words: tuple[str, ...]) -> str:
    if len(set(map(starred, words))) == 1:
        return common(words)
    head = _beginning(words)
    tail = _beginning([word[len(head) :][::-1] for word in words])[::-1]
    return f"{head}*{tail}"


def _beginning(words: Sequence[str]) -> str:
    """What all words begin with."""
    first, last = min(words), max(words)
    differ = (k for k, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differ, min(len(first), len(last)))]


def common(names: Sequence[str]) -> str:
    """Names that differ in numbers alone as one, with `*` for the numbers that differ."""
    pieces = [re.split(r"(\d+)", name) for name in names]
    columns = zip(*pieces, strict=True)
    return "".join(column[0] if len(set(column)) == 1 else "*" for column in columns)


def starred(name: str) -> str:
    """A name without its numbers."""
    return re.sub(r"\d+", "*", name)
