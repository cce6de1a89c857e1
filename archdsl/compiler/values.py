"""What a name of a file can stand for while the file is compiled.

Numbers, words and truth values are Python's own, a string is `Quoted`; a list is a tuple; a value that a
layer made is a `Wire`, and several of them are a tuple of wires. The rest is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from archdsl.compiler.frames import Frame, Module
from archdsl.compiler.network import Node, Scope, Wire
from archdsl.layers.layer import Layer
from archdsl.sizes import is_size
from archdsl.source import Span
from archdsl.syntax.tree import Argument, Block, Item, Let, Quoted


class Unknown:
    """What a mistake leaves behind: it fits everywhere and says nothing, so one mistake is one message."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()

Flow = Wire | tuple[Any, ...] | Unknown | None
"""What goes from item to item: a value, several, an unknown one, or none yet."""


@dataclass(slots=True, eq=False)
class Labelled:
    """What a label names: its value, the labels in it, and the layer or scope that it is the name of."""

    value: Flow
    inner: Frame | None = None
    made: Node | Scope | None = None

    @classmethod
    def layer(cls, value: Flow) -> Labelled:
        """The label of one layer, which made this value."""
        wires = wires_in(value)
        return cls(value, made=wires[0].node if wires else None)


@dataclass(slots=True, eq=False)
class Rounds:
    """What a loop's label names: the value of the last round, and each round's labels."""

    value: Flow
    rounds: list[Labelled]


@dataclass(slots=True, eq=False)
class Maker:
    """A layer or block as an argument: made anew at each use.

    `word` is the name as written where it has no arguments, since some arguments take a word that
    is also a layer (`mode=linear`).
    """

    name: str
    span: Span
    layer: type[Layer] | None
    block: Block | None
    module: Module
    arguments: list[Argument]
    frame: Frame
    word: str | None


@dataclass(slots=True, eq=False)
class Shared:
    """A `shared` line: made at its first use, and used again after."""

    label: str
    span: Span
    items: list[Item]
    frame: Frame
    scope: Scope
    uses: int = 0
    made: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Function:
    """`let f(x) = ...`, and the names its body sees."""

    definition: Let
    frame: Frame


class PerAxis(tuple[Any, ...]):
    """A fact with one number an axis. Beside a single number it means that number for every axis."""


def show(value: Any) -> str:
    """A value in the words of the file, for messages."""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if value is None:
        return "`none`"
    if isinstance(value, Quoted):
        return f'`"{value}"`'
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, tuple) and not isinstance(value, Wire):
        if len(value) > 8:
            return f"a list of {len(value):,}"
        return f"[{', '.join(_inside(v) for v in value)}]"
    if isinstance(value, Wire | Labelled | Rounds):
        return "a value that a layer made"
    if isinstance(value, Maker):
        return f"the {'block' if value.block else 'layer'} `{value.name}`"
    if isinstance(value, Shared):
        return f"the shared layer `{value.label}`"
    if isinstance(value, Function):
        return f"the function `{value.definition.name}`"
    return str(value)


def is_number(value: Any) -> bool:
    return is_size(value) or isinstance(value, float)


def is_list(value: Any) -> bool:
    if isinstance(value, Labelled | Rounds):
        value = value.value
    return isinstance(value, tuple) and not isinstance(value, Wire)


def items_of(value: Any) -> tuple[Any, ...]:
    """The elements of what `is_list`."""
    items = value.value if isinstance(value, Labelled | Rounds) else value
    assert isinstance(items, tuple)
    return items


def wires_in(value: Flow) -> tuple[Wire, ...]:
    """The values that go on: none where they are unknown."""
    if isinstance(value, Wire):
        return (value,)
    if isinstance(value, tuple):
        return tuple(value)
    return ()


def _inside(value: Any) -> str:
    if isinstance(value, bool | str) or value is None:
        return show(value).strip("`")
    return show(value)
