"""Scopes that were read: their lines, and what tells whether two of them can share a class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from archdsl.compiler.network import Scope, Wire
from archdsl.lowering.expressions import Parts
from archdsl.lowering.identifiers import numbered
from archdsl.lowering.steps import Item, Module, Run, Same, Step


class Input(NamedTuple):
    """A value that a scope is given."""

    index: int  # type: ignore[assignment]


class Result(NamedTuple):
    """Result `port` of a step: of the item itself, or of member `step` of a loop's last round."""

    item: int
    step: int
    port: int


class Collected(NamedTuple):
    """Result `port` of member `step` in the round `round` of a loop, counted from 0."""

    item: int
    step: int
    port: int
    round: int


Place = Union[Input, Result, Collected]
"""Where a scope's lines find a value."""


@dataclass(slots=True, eq=False)
class Use:
    """A scope that was read: its items, and how the scope around it makes and calls it.

    `extras` are what it only registers, for others to call; `modules` the paths of those that it is handed.
    `form` is what uses must have alike to share a class, and `constants` what may differ. `shapes` are what
    each line makes.
    """

    scope: Scope
    inputs: list[Wire]
    outputs: list[Wire]
    modules: list[str]
    items: list[Item]
    extras: list[Step]
    places: dict[Wire, Place] = field(init=False)
    form: object = field(init=False)
    constants: list[str | tuple[str, ...]] = field(init=False)
    shapes: list[str] = field(init=False)
    path: str | None = ""
    """Where its module is; None for a later use of a shared block that does not fit the first."""
    make: Parts = ()
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.places = _places(self.items, self.inputs)
        self.form = _form(self)
        self.constants = list(_constants(self))
        self.shapes = list(_shapes(self))

    def steps(self) -> Iterator[Step]:
        """All lines, of a loop those of its first round."""
        yield from self.extras
        for item in self.items:
            yield from item.body if isinstance(item, Run) else (item,)

    def result_name(self, wire: Wire) -> str:
        """The name of a result after the line that makes it."""
        place = self.places[wire]
        assert not isinstance(place, Input)
        item = self.items[place.item]
        step = item.rounds[-1][place.step] if isinstance(item, Run) else item
        name = step.names[place.port]
        return f"{name}_{place.round + 1}" if isinstance(place, Collected) else name


def label_of(scope: Scope) -> str | None:
    """What the file calls a scope; None where it is named by its block and a number."""
    by_block = scope.block and re.fullmatch(rf"{re.escape(scope.block)}(_\d+)?(@\d+)?", scope.key)
    return None if by_block else scope.key


def stem_of(scope: Scope) -> str:
    """What scopes of a label have alike: `level` of `level1` and `level2`."""
    key = scope.key.partition("@")[0]
    number = numbered(key)
    return scope.loop or (number[0].rstrip("_") if number else key)


def _places(found: list[Item], inputs: list[Wire]) -> dict[Wire, Place]:
    places: dict[Wire, Place] = {wire: Input(index) for index, wire in enumerate(inputs)}
    for number, item in enumerate(found):
        if isinstance(item, Step):
            for port, wire in enumerate(item.targets):
                if wire is not None:
                    places[wire] = Result(number, 0, port)
            continue
        for round_, steps in enumerate(item.rounds):
            for index, step in enumerate(steps):
                for port, wire in enumerate(step.targets):
                    if wire is None:
                        continue
                    if Same(index, port) in item.collected:
                        places[wire] = Collected(number, index, port, round_)
                    elif round_ == item.count - 1:
                        places[wire] = Result(number, index, port)
    return places


def _form(use: Use) -> object:
    """What uses must have alike to share a class."""
    label = stem_of(use.scope)
    outside = {path: index for index, path in enumerate(use.modules)}

    def module(found: Module | None) -> object:
        if found is None:
            return None
        return found.path if found.local else outside[found.path]

    def line(step: Step, name: object, sources: object) -> object:
        calls = tuple(module(found) for found in step.modules)
        called = None if step.module is None or name != step.key else module(step.module)
        used = tuple(target is not None for target in step.targets)
        return name, called, step.make, step.call, sources, calls, used

    lines: list[object] = [line(step, step.key, ()) for step in use.extras]
    for item in use.items:
        if isinstance(item, Step):
            lines.append(line(item, item.key, tuple(use.places[wire] for wire in item.inputs)))
            continue
        start, _, numbers = item.numbering()
        body = []
        for index, step in enumerate(item.body):
            found = numbered(step.key) if step.key is not None else None
            sources = tuple(
                use.places[s] if isinstance(s, Wire) else (type(s).__name__, s) for s in item.links[index]
            )
            varies = tuple(isinstance(item.constant(index, k), tuple) for k in range(len(step.constants)))
            body.append((line(step, found and found[0], sources), varies))
        initial = tuple((previous, use.places[wire]) for previous, wire in item.initial.items())
        lines.append(("loop", start, tuple(numbers), tuple(body), initial, tuple(item.collected)))
    results = tuple(use.places[wire] for wire in use.outputs)
    return use.scope.block, None if use.scope.block else label, len(use.inputs), tuple(lines), results


def _constants(use: Use) -> Iterator[str | tuple[str, ...]]:
    """Every constant of a scope's lines, in order; of a loop first the number of its rounds."""
    for step in use.extras:
        yield from step.constants
    for item in use.items:
        if isinstance(item, Step):
            yield from item.constants
        else:
            yield str(item.count)
            for index, step in enumerate(item.body):
                for number in range(len(step.constants)):
                    yield item.constant(index, number)


def _shapes(use: Use) -> Iterator[str]:
    """For each line the shapes of what it makes; where a loop's rounds differ the first and the last."""
    for item in use.items:
        for steps in zip(*(item.rounds if isinstance(item, Run) else [[item]]), strict=True):
            texts = [
                ", ".join(s for s, t in zip(step.shapes, step.targets, strict=False) if t is not None)
                for step in steps
            ]
            yield texts[0] if len(set(texts)) == 1 else f"{texts[0]} ... {texts[-1]}"
