"""Classes to be written: made of the uses that share them, with what differs for parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Union

from archdsl.lowering.expressions import UNNAMED, ClassName, Constant, Part, constant
from archdsl.lowering.identifiers import MODULE_ATTRIBUTES, camel, free, identifier, numbered, snake
from archdsl.lowering.layers import defined_names
from archdsl.lowering.steps import Run, Step
from archdsl.lowering.uses import Use, stem_of

LONGEST_NAME = 28
"""The most characters of a parameter that is named after a layer and its argument."""

POSITIONAL = 3
"""The most arguments that a call of a class gives by position."""


class Parameter(NamedTuple):
    """An argument that is `factor` times a parameter of the class, plus `offset`."""

    name: str
    factor: int = 1
    offset: int = 0

    def source(self, prefix: str = "") -> str:
        """`4 * channels`, `depth - 1`."""
        text = f"{prefix}{self.name}" if self.factor == 1 else f"{self.factor} * {prefix}{self.name}"
        if self.offset:
            text += f" {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
        return text


Argument = Union[str, tuple[str, ...], Parameter]
"""What a constant is in a class: the same for all its uses (one, or one a round), or a parameter."""

Column = tuple[str | tuple[str, ...], ...]
"""The values of a constant in all uses of a class."""


@dataclass(slots=True, eq=False)
class Class:
    """A class to be written: `use` stands for all its uses."""

    index: int
    block: str | None
    use: Use
    arguments: list[Argument]
    parameters: dict[str, str]
    """Names in order, with the type of each."""
    shapes: list[str | None]
    uses: int
    name: str = ""

    def by_step(self) -> tuple[dict[Step, list[Argument]], dict[Run, Argument]]:
        """The constants of each line, and the numbers of rounds."""
        rest = iter(self.arguments)
        steps: dict[Step, list[Argument]] = {}
        counts: dict[Run, Argument] = {}
        for item in (*self.use.extras, *self.use.items):
            if isinstance(item, Run):
                counts[item] = next(rest)
            for step in item.body if isinstance(item, Run) else [item]:
                steps[step] = [next(rest) for _ in step.constants]
        return steps, counts


def share(uses: list[Use], index: int) -> Class:
    """Make one class, the `index`th, of uses that are alike but for constants."""
    use = uses[0]
    names = _Parameters(uses)
    arguments = [names.argument(number) for number in range(len(use.constants))]
    parameters = names.types()
    shapes = [
        first if all(other == first for other in rest) else None
        for first, *rest in zip(*(other.shapes for other in uses), strict=True)
    ]
    made = Class(index, use.scope.block, use, arguments, parameters, shapes, len(uses))
    make: list[Part] = [ClassName(index), "("]
    for place, name in enumerate(parameters):
        prefix = ", " if place else ""
        make.append(f"{prefix}{name}=" if len(parameters) > POSITIONAL else prefix)
        make.append(Constant(place, name))
    make.append(")")
    parts = tuple(part for part in make if part != "")
    for number, other in enumerate(uses):
        other.make = parts
        other.arguments = tuple(names.values(name)[number] for name in parameters)
    return made


class _Parameters:
    """Finds the parameters that a class needs, and their names."""

    def __init__(self, uses: list[Use]) -> None:
        self.uses = uses
        self.columns: list[Column] = list(zip(*(use.constants for use in uses), strict=True))
        self.own: dict[str, tuple[str, ...]] = {}
        for name in uses[0].scope.arguments:
            values = [constant(use.scope.arguments.get(name)) for use in uses]
            if all(value is not None for value in values) and len(set(values)) > 1:
                self.own[name] = tuple(str(value) for value in values)
        self.names: dict[str, str] = {}
        self.found: dict[str, Column] = {}
        self.by_column: dict[Column, Parameter] = {}
        use = uses[0]
        self.taken: set[str] = {s.key for s in use.steps() if s.key is not None} | set(MODULE_ATTRIBUTES)
        for index, column in enumerate(self.columns):
            if len(set(column)) > 1 and column not in self.by_column:
                known = self._from_block(column)
                if known is not None:
                    self.by_column[column] = known
                else:
                    self.by_column[column] = Parameter(f"{index}")
        self._name_new()

    def _from_block(self, column: Column) -> Parameter | None:
        """A column that follows from a parameter of the block itself."""
        for name, values in self.own.items():
            if values == column:
                return self._take(name)
        numbers = _integers(column)
        for name, values in self.own.items():
            given = _integers(values)
            if numbers is None or given is None or given[0] == 0:
                continue
            factor, offset = numbers[0] // given[0], numbers[0] - given[0]
            if factor >= 2 and all(n == factor * g for n, g in zip(numbers, given, strict=True)):
                return self._take(name)._replace(factor=factor)
            if abs(offset) <= 2 and all(n == g + offset for n, g in zip(numbers, given, strict=True)):
                return self._take(name)._replace(offset=offset)
        return None

    def _take(self, name: str) -> Parameter:
        if name not in self.names:
            self.names[name] = free(identifier(name), self.taken)
            self.taken.add(self.names[name])
            self.found[self.names[name]] = self.own[name]
        return Parameter(self.names[name])

    def _name_new(self) -> None:
        """Name what no parameter of the block gives after the argument of the layer that takes it."""
        hints = list(_hints(self.uses[0]))
        new = {
            column: hints[int(parameter.name)]
            for column, parameter in self.by_column.items()
            if parameter.name.isdigit()
        }
        counts: dict[str, int] = {}
        for hint, _ in new.values():
            counts[hint] = counts.get(hint, 0) + 1
        for column, (hint, owner) in new.items():
            alone = counts[hint] == 1 and hint not in UNNAMED
            name = identifier(hint if alone else _short(f"{snake(owner)}_{hint}"))
            if any(isinstance(value, tuple) for value in column):
                name = f"all_{name}"
            name = free(name, self.taken)
            self.taken.add(name)
            self.found[name] = column
            self.by_column[column] = Parameter(name)

    def argument(self, index: int) -> Argument:
        column = self.columns[index]
        return self.by_column[column] if len(set(column)) > 1 else column[0]

    def types(self) -> dict[str, str]:
        """The parameters in order of need, with their types."""
        order = [p.name for column in self.columns if (p := self.by_column.get(column))]
        return {name: _type_of(self.found[name]) for name in dict.fromkeys(order)}

    def values(self, name: str) -> list[str]:
        """What each use gives for a parameter."""
        return [value if isinstance(value, str) else f"[{', '.join(value)}]" for value in self.found[name]]


def _short(name: str) -> str:
    """A name without the words in front that make it long."""
    while len(name) > LONGEST_NAME and "_" in name:
        name = name.partition("_")[2]
    return name


def _hints(use: Use) -> Iterator[tuple[str, str]]:
    """For each constant what the argument is called, and the submodule it belongs to."""

    def of(step: Step, owner: str) -> Iterator[tuple[str, str]]:
        found = {
            part.index: (part.hint, f"{owner}_{part.owner}" if part.owner else owner)
            for part in (*(step.make or ()), *(step.call or ()))
            if isinstance(part, Constant)
        }
        yield from (found[index] for index in range(len(step.constants)))

    for item in (*use.extras, *use.items):
        if isinstance(item, Step):
            yield from of(item, item.key or item.names[0])
        else:
            yield "depth", _stem(item.body[0])
            for step in item.body:
                yield from of(step, _stem(step))


def _stem(step: Step) -> str:
    """The name of a loop's member without its number."""
    number = numbered(step.key or step.names[0])
    return number[0].strip("_") if number else step.key or step.names[0]


def _integers(column: Column) -> list[int] | None:
    if not all(isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) for value in column):
        return None
    return [int(str(value)) for value in column]


def _type_of(column: Column) -> str:
    """The annotation of a parameter, from the values it is given."""
    types = set()
    for value in column:
        if isinstance(value, tuple):
            types.add(f"list[{_type_of(value)}]")
            continue
        found = ast.literal_eval(value)
        if isinstance(found, tuple | list):
            inner = _type_of(tuple(constant(item) or "None" for item in found))
            types.add(f"tuple[{inner}, ...]" if isinstance(found, tuple) else f"list[{inner}]")
        else:
            types.add("None" if found is None else type(found).__name__)
    return " | ".join(sorted(types, key=lambda name: (name == "None", name)))


def name_classes(classes: list[Class], network: str, sources: list[str]) -> None:
    """Give every class its name: the block's, and for further forms of a block what they have more."""
    taken = {name for made in classes for name in made.parameters}
    taken |= {name for source in sources for name in defined_names(source)}
    root = classes[-1]
    root.name = free(identifier(network), taken, "")
    taken.add(root.name)
    forms: dict[str, list[Class]] = {}
    for made in classes[:-1]:
        scope = made.use.scope
        label = scope.key.partition("@")[0] if made.uses == 1 and scope.loop is None else stem_of(scope)
        name = identifier(scope.block) if scope.block else camel(identifier(label))
        forms.setdefault(name, []).append(made)
    for name, several in forms.items():
        several.sort(key=lambda made: (len(made.use.items), made.index))
        plain = {step.key for step in several[0].use.steps()}
        for made in several:
            more = [s for s in made.use.steps() if s.key is not None and s.key not in plain]
            wanted = name
            if made is not several[0] and len(more) == 1 and more[0].fixed:
                wanted = f"{name}With{camel(identifier(str(more[0].key)))}"
            made.name = free(wanted, taken, "")
            taken.add(made.name)
