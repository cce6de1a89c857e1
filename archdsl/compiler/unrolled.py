"""What has been unrolled of a network: its layers so far, and the scopes that are open."""

from __future__ import annotations

from dataclasses import dataclass, field

from archdsl.compiler.frames import Frame
from archdsl.compiler.network import Node
from archdsl.compiler.scopes import Scopes
from archdsl.compiler.values import Shared
from archdsl.source import Span
from archdsl.syntax.tree import Expect


@dataclass(slots=True, eq=False)
class Unrolled:
    """The layers of a network in order of execution, and what was met on the way.

    `places` are where the values that have labels have them.
    """

    scopes: Scopes
    nodes: list[Node] = field(default_factory=list)
    places: dict[Node, Span] = field(default_factory=dict)
    expectations: list[tuple[Expect, Frame]] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
