"""Changes that are alike told once: what is said of them, what they are called together, what all cost.

A change in each of sixteen blocks is one group of sixteen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archdsl.comparison.changes import Change, Detail, Status
from archdsl.comparison.naming import Names, Place, common, place, starred, together, which, within
from archdsl.comparison.parts import FIGURES, Part
from archdsl.compiler.network import Node, Scope
from archdsl.problems.problem import plural
from archdsl.report.report import plain

if TYPE_CHECKING:
    from archdsl.sizes import Size

FEW = 4
"""Groups at one place that differ in numbers; of more, all are one."""

MANY = 16
"""Groups; of more, those of which the same is said are one, wherever they are."""


@dataclass(frozen=True)
class Group:
    """Changes that are alike, at least one."""

    changes: tuple[Change, ...]
    alike: int = 0
    """How many parts there are in all that have the name with `*`; 0 where that is not known."""
    called: str = ""
    """What they are called where they are one line of a block, wherever it is used."""

    @property
    def status(self) -> Status:
        return self.changes[0].status

    @property
    def said(self) -> str:
        """What is said of each, with `*` for numbers in names that differ."""
        return common([said(change) for change in self.changes])

    @cached_property
    def name(self) -> str:
        """What their parts are called, with `*` for numbers that differ."""
        names = [change.part.name for change in self.changes]
        if self.called:
            return self.called
        return together(names) if self.at_one_place else f"{names[0]} and {len(names) - 1} more"

    @cached_property
    def shown(self) -> str:
        """The name, with `*` where it is every part that is called so; else with the numbers, if short."""
        exact = None
        if self.at_one_place and not self.called and len(self.changes) not in (1, self.alike):
            exact = which([change.part.name for change in self.changes])
        return exact or self.name

    @property
    def often(self) -> str:
        """`× 16`, or `× 8 of 16` where the name is of more; nothing where it is one, or the name has it."""
        many = len(self.changes)
        if many == 1 or self.name.endswith(" more"):
            return ""
        # Of rows of layers the first alone would be counted.
        single = all(len(change.part.units) == 1 for change in self.changes)
        other = single and self.shown == self.name and self.alike > many
        return f"× {many} of {self.alike}" if other else f"× {many}"

    @cached_property
    def at_one_place(self) -> bool:
        """Whether their names differ in numbers and in labels of blocks alone."""
        return len(set(map(_place, self.changes))) == 1

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


def grouped(changes: Sequence[Change], before: Names, after: Names) -> list[Group]:
    """Changes of which the same is said, and that have the same name in blocks of the same name, as one.

    So are those of one block, wherever it stands, if every use of it has the change. Where there are more
    than a few whose words differ in numbers alone, they are one as well. The names are those of both
    networks.
    """

    def names(change: Change) -> Names:
        return before if change.after is None else after

    places: dict[tuple[str, ...], dict[str, list[Change]]] = {}
    for change in changes:
        words = said(change)
        by_words = places.setdefault((change.status, *_place(change), starred(words)), {})
        by_words.setdefault(re.sub(r"(?<=_)\d+", "*", words), []).append(change)
    groups: list[Group] = []
    for by_words in places.values():
        if len(by_words) > FEW:
            groups.append(Group(tuple(change for some in by_words.values() for change in some)))
        else:
            groups += [Group(tuple(some)) for some in by_words.values()]
    order = {id(change): number for number, change in enumerate(changes)}
    groups = _by_block(groups, names)
    groups.sort(key=lambda group: order[id(group.changes[0])])
    if len(groups) > MANY:
        merged: dict[tuple[str, str], list[Group]] = {}
        for group in groups:
            merged.setdefault((group.status, group.said), []).append(group)
        groups = [
            some[0] if len(some) == 1 else Group(tuple(change for group in some for change in group.changes))
            for some in merged.values()
        ]
    return [_counted(group, names) for group in groups]


def _by_block(groups: list[Group], names: Callable[[Change], Names]) -> list[Group]:
    """Groups with those as one that are one line of a block, and are all that it made."""
    found: dict[tuple[str, str, str, Place], list[Group]] = {}
    for group in groups:
        first, *others = [() if c.part.scope else (*within(c.part.units[0]),) for c in group.changes]
        depth = group.changes[0].part.units[0].name.count(".") + 1
        for tail in first:
            if all(tail in other for other in others):
                words = group.changes[0].part.name.split(".")[depth - len(tail[1:]) :]
                called = f"{'.'.join(words)} in every {tail[0]}"
                found.setdefault((group.status, group.said, called, tail), []).append(group)
    left = {id(group): group for group in groups}
    for (_, _, called, tail), some in found.items():
        changes = tuple(change for group in some for change in group.changes)
        units = [change.part.units[0].name for change in changes]
        free = all(id(group) in left for group in some)
        if len(some) > 1 and free and names(changes[0]).in_every(tail, units):
            for group in some:
                del left[id(group)]
            one = Group(changes, called=called)
            left[id(one)] = one
    return [*left.values()]


def _counted(group: Group, names: Callable[[Change], Names]) -> Group:
    """A group with how many parts have its name."""
    first = group.changes[0]
    if len(group.changes) == 1 or group.called or first.part.scope or not group.at_one_place:
        return group
    pattern = together([change.part.units[0].name for change in group.changes])
    return replace(group, alike=names(first).alike(first.part.units[0], pattern))


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
    return ", ".join(_detail(detail, change) for detail in change.details)


def _detail(detail: Detail, change: Change) -> str:
    """`kernel 3 → 5`. What a layer takes from beside it is called as it is there."""
    before, after = detail.before or "nothing", detail.after or "nothing"
    if detail.what == "inputs":
        before, after = _beside(before, change.before), _beside(after, change.after)
    name = "" if detail.what == "kind" else f"{detail.name} "
    return f"{name}{before} → {after}"


def _beside(names: str, part: Part | None) -> str:
    """Names of layers without that of the scope around a part."""
    unit = None if part is None else part.units[0]
    scope = unit.scope if isinstance(unit, Node) else None
    begin = f"{scope.name}." if scope is not None and scope.name else ""
    return ", ".join(name.removeprefix(begin) for name in names.split(", "))


def from_to(before: str, after: str) -> str:
    """Both where they differ."""
    return before if before == after else f"{before} → {after}"


def _place(change: Change) -> Place:
    """What a part is called: the blocks that it is in whatever their labels, and its name in these."""
    if change.part.scope:
        return (starred(change.part.scope),)
    unit = change.part.units[0]
    scope = unit.scope if isinstance(unit, Node) else unit.parent
    around = "" if scope is None else scope.name
    return (*place(unit)[:-1], starred(change.part.name.removeprefix(around)))
