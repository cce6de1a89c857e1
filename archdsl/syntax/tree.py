"""The syntax tree: what a file says, before anyone asks what it means.

Every node knows its `span`. Nothing here is evaluated; names are plain strings.

Every expression knows its `depth`, 1 for a leaf; the parser bounds it, so a pass may recur over a
tree. The span of an expression in parentheses covers the parentheses, which leave no node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Union

from archdsl.source import Source, Span

# ------------------------------------------------------------------------------ expressions


@dataclass(slots=True, eq=False)
class Number:
    """`96`, `62_378_344`, `0.5`, `1e-4`, `60M`, `16KiB`. `unit` is `""` or the suffix as written."""

    span: Span
    value: int | float
    unit: str = ""
    depth: ClassVar[int] = 1


class Quoted(str):
    """What a string says. It equals the word of the same letters, and is shown with its quotes."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class String:
    """`"..."`. Nothing is escaped: `value` is what stands between the quotes."""

    span: Span
    value: Quoted
    depth: ClassVar[int] = 1


@dataclass(slots=True, eq=False)
class Constant:
    """`true`, `false`, `none`."""

    span: Span
    value: bool | None
    depth: ClassVar[int] = 1


@dataclass(slots=True, eq=False)
class Name:
    """A bare name in an expression; also `input` and `_`."""

    span: Span
    id: str
    depth: ClassVar[int] = 1


@dataclass(slots=True, eq=False)
class Attribute:
    """`x.channels`, `layer.skip`."""

    span: Span
    value: Expression
    name: str
    name_span: Span
    depth: int = 1


@dataclass(slots=True, eq=False)
class Index:
    """`list[i]`."""

    span: Span
    value: Expression
    index: Expression
    depth: int = 1


@dataclass(slots=True, eq=False)
class Call:
    """`min(a, b)`, `leaky_relu(0.1)`, `round8(x)`: a function, layer or block with its arguments."""

    span: Span
    callee: str
    callee_span: Span
    arguments: list[Argument]
    depth: int = 1


@dataclass(slots=True, eq=False)
class List:
    """`[3, 1]`."""

    span: Span
    items: list[Expression]
    depth: int = 1


@dataclass(slots=True, eq=False)
class Unary:
    """`-x`, `+x`, `not x`."""

    span: Span
    operator: str
    operand: Expression
    depth: int = 1


@dataclass(slots=True, eq=False)
class Binary:
    """`+ - * / // % **`, `and or`, and the comparisons `== != < <= > >=`."""

    span: Span
    operator: str
    left: Expression
    right: Expression
    depth: int = 1


@dataclass(slots=True, eq=False)
class Conditional:
    """`a if test else b`."""

    span: Span
    then: Expression
    test: Expression
    otherwise: Expression
    depth: int = 1


Expression = Union[Number, String, Constant, Name, Attribute, Index, Call, List, Unary, Binary, Conditional]


def operands(expression: Expression) -> tuple[Expression, ...]:
    """What a list, an index or an operation is made of; of a name, a call or what has a dot, nothing."""
    if isinstance(expression, List):
        return tuple(expression.items)
    if isinstance(expression, Index):
        return expression.value, expression.index
    if isinstance(expression, Unary):
        return (expression.operand,)
    if isinstance(expression, Binary):
        return expression.left, expression.right
    if isinstance(expression, Conditional):
        return expression.then, expression.test, expression.otherwise
    return ()


@dataclass(slots=True, eq=False)
class Argument:
    """An argument of a call: by position (`name` is None) or by name. `span` covers `kernel=11`."""

    span: Span
    name: str | None
    name_span: Span | None
    value: Expression


# ------------------------------------------------------------------------------ statements


@dataclass(slots=True, eq=False)
class Use:
    """A name in a chain with its arguments: a layer, block, shared layer or parameter.

    `name` may be dotted (`encoder.head`). `called` tells `relu()` from `relu`.
    """

    span: Span
    name: str
    name_span: Span
    arguments: list[Argument]
    called: bool


@dataclass(slots=True, eq=False)
class Group:
    """`{ ... }`."""

    span: Span
    body: list[Statement]


@dataclass(slots=True, eq=False)
class Repeat:
    """`repeat n { ... }`."""

    span: Span
    count: Expression
    body: list[Statement]


@dataclass(slots=True, eq=False)
class Target:
    """What a `for` binds: a name, or a list of targets. Exactly one of the two is set."""

    span: Span
    name: str | None
    items: list[Target] | None


@dataclass(slots=True, eq=False)
class For:
    """`for x in LIST { ... }`."""

    span: Span
    target: Target
    values: Expression
    body: list[Statement]


@dataclass(slots=True, eq=False)
class If:
    """`if test { ... } else { ... }`; an `else if` is an `otherwise` of one line with one `If`."""

    span: Span
    test: Expression
    then: list[Statement]
    otherwise: list[Statement]

    @property
    def further(self) -> tuple[Line, If] | None:
        """The line of an `else if`, and its `If`."""
        if len(self.otherwise) != 1:
            return None
        line = self.otherwise[0]
        if not isinstance(line, Line) or line.labels or line.origin or len(line.items) != 1:
            return None
        return (line, line.items[0]) if isinstance(line.items[0], If) else None


@dataclass(slots=True, eq=False)
class Parallel:
    """`parallel JOIN { ... }`."""

    span: Span
    join: Use
    body: list[Statement]


Item = Union[Use, Group, Repeat, For, If, Parallel]


@dataclass(slots=True, eq=False)
class Label:
    """One of the labels of a line; `_` drops that result."""

    span: Span
    name: str


@dataclass(slots=True, eq=False)
class Line:
    """`label: from a, b -> item -> item`. `origin` is None where the line takes the last value."""

    span: Span
    labels: list[Label]
    origin: list[Expression] | None
    items: list[Item]
    documentation: str = ""


@dataclass(slots=True, eq=False)
class Input:
    """`input image: [3, H, W]` in a network; `input fine, coarse` in a block (`shape` is None)."""

    span: Span
    names: list[Label]
    shape: Expression | None


@dataclass(slots=True, eq=False)
class Output:
    """`output a, b`. An expression each; a bare name or a dotted label names the result."""

    span: Span
    values: list[Expression]


@dataclass(slots=True, eq=False)
class Let:
    """`let out = 4 * width`, or with `parameters` a function of numbers."""

    span: Span
    name: str
    name_span: Span
    parameters: list[Label] | None
    value: Expression


@dataclass(slots=True, eq=False)
class Expect:
    """`expect conv1.shape == [15, 19]`."""

    span: Span
    test: Expression


@dataclass(slots=True, eq=False)
class Shared:
    """`shared head: Head(256)`, or a chain of layers."""

    span: Span
    label: Label
    items: list[Item]


@dataclass(slots=True, eq=False)
class Broken:
    """A statement or declaration that could not be read; its mistake has been reported.

    What it makes is unknown, and so is whatever it would have named: `names` are the labels,
    numbers, blocks and imports that a reader sees it define, in their order, repeats included.
    """

    span: Span
    names: list[Label]


Statement = Union[Line, Input, Output, Let, Expect, Shared, Broken]


def labels_of(body: list[Statement]) -> set[str]:
    """Every label, input and `let` that a body makes, in its unlabelled parts too."""
    found: set[str] = set()
    for statement in body:
        if isinstance(statement, Line):
            found.update(label.name for label in statement.labels)
            if not statement.labels:
                for item in statement.items:
                    for inner in bodies_of(item):
                        found |= labels_of(inner)
        elif isinstance(statement, Input):
            found.update(label.name for label in statement.names)
        elif isinstance(statement, Let):
            found.add(statement.name)
        elif isinstance(statement, Shared):
            found.add(statement.label.name)
        elif isinstance(statement, Broken):
            found.update(label.name for label in statement.names)
    return found


def bodies_of(item: Item) -> list[list[Statement]]:
    """The bodies in braces of an item of a chain."""
    if isinstance(item, Use):
        return []
    if isinstance(item, If):
        return [item.then, item.otherwise]
    return [item.body]


# ------------------------------------------------------------------------------ declarations


@dataclass(slots=True, eq=False)
class Parameter:
    span: Span
    name: str
    name_span: Span
    default: Expression | None


@dataclass(slots=True, eq=False)
class Block:
    """`block` or, with `is_network`, `network`: a name, parameters and a body."""

    span: Span
    name: str
    name_span: Span
    parameters: list[Parameter]
    body: list[Statement]
    is_network: bool
    documentation: str = ""


@dataclass(slots=True, eq=False)
class Import:
    """`import Bottleneck, Projection from "residual.arch"`."""

    span: Span
    names: list[Label]
    path: str
    path_span: Span


@dataclass(slots=True, eq=False)
class Setting:
    """`key = value` in a `train` block; `stem.rate` is a dotted key. A chain has several values."""

    span: Span
    key: str
    key_span: Span
    values: list[Expression]


@dataclass(slots=True, eq=False)
class Train:
    """`train { ... }` or `train NAME { ... }`."""

    span: Span
    network: str | None
    network_span: Span | None
    settings: list[Setting | Broken]


Declaration = Union[Block, Import, Train, Let, Broken]


@dataclass(slots=True, eq=False)
class Comment:
    """`# ...`, with its `#`. `##` comments above a declaration are also its `documentation`."""

    span: Span
    text: str


@dataclass(slots=True, eq=False)
class File:
    """A parsed file. `documentation` is the comment block at its head; `comments` are all of them."""

    source: Source
    declarations: list[Declaration]
    comments: list[Comment] = field(default_factory=list)
    documentation: str = ""
