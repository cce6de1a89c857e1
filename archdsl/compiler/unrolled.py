"""What has been unrolled of a network: its layers so far, and the scopes that are open."""

from __future__ import annotations

from dataclasses import dataclass, field

from archdsl.compiler.frames import Frame
from archdsl.compiler.network import Node, Scope, Wire
from archdsl.compiler.scopes import Scopes
from archdsl.compiler.values import Flow, Shared
from archdsl.problems import Problem
from archdsl.source import Span
from archdsl.syntax.tree import Expect, Label, Line

LineResult = tuple[Line, Flow, list[Node], int, int]
"""A line as it was unrolled: what it gave, and the list of all layers, with where its own begin and end."""

Part = tuple[Label, Wire, Scope]
"""One of several results, the label that it was given, and the scope in which it was."""


@dataclass(slots=True, eq=False)
class Unrolled:
    """The layers of a network in order of execution, and what was met on the way.

    `places` are where the values that have labels have them. `lines` are the lines in the order in which
    they were done with, each time that they were unrolled; None where nobody asks. `parts` are the values
    that lines with several labels took apart, and the scopes of these; the label is `_` where one was
    dropped. `joins` are the uses of layers that join values, each with what is odd of it wherever it was
    unrolled, and the layer that it made; `named` is the use of which a line names all inputs.
    """

    scopes: Scopes
    nodes: list[Node] = field(default_factory=list)
    places: dict[Node, Span] = field(default_factory=dict)
    expectations: list[tuple[Expect, Frame]] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    lines: list[LineResult] | None = None
    parts: list[Part] = field(default_factory=list)
    joins: dict[Span, tuple[Problem, Node] | None] = field(default_factory=dict)
    named: Span | None = None
