"""Networks built by hand, for tests that must not depend on the language."""

from __future__ import annotations

from typing import Any

import archdsl.layers  # noqa: F401  (registers every layer)
from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.layers.arguments import SameAs
from archdsl.layers.layer import LAYERS, Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.structure import Input
from archdsl.source import Source, Span

PLACE = Span(Source("built by hand", ""), 0, 0)


def layer(kind: str, **given: Any) -> Layer:
    """A layer with its arguments checked and its defaults filled in, as the compiler makes it."""
    made = LAYERS[kind]
    values: dict[str, Any] = {}
    for name, parameter in made.arguments.items():
        value = given.pop(name, parameter.default)
        if isinstance(value, SameAs):
            value = values[value.name]
        checked = value if value is parameter.default else parameter.kind.check(value)
        assert checked is not None or value is None, f"{kind}({name}={value!r})"
        values[name] = checked
    assert not given, f"{kind} has no {', '.join(given)}"
    return made(values)


class Builder:
    """Adds layers to a network in order of execution."""

    def __init__(self) -> None:
        self.scope = Scope("", "", None)
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []

    def input(self, *shape: Any, name: str = "input") -> Wire:
        node = self._node(name, Input({"shape": shape}), (), (Shape(shape),))
        self.inputs.append(node)
        return Wire(node)

    def add(
        self, what: Layer | str, *wires: Wire, name: str = "", first: Node | None = None, **given: Any
    ) -> Wire:
        """Use a layer on values. Gives its first result."""
        used = layer(what, **given) if isinstance(what, str) else what
        shape = used.shape(*(wire.shape for wire in wires))
        shapes = (shape,) if isinstance(shape, Shape) else tuple(shape)
        name = name or f"{used.kind}_{len(self.nodes)}"
        return Wire(self._node(name, used, wires, shapes, first))

    def _node(
        self,
        name: str,
        used: Layer,
        wires: tuple[Wire, ...],
        shapes: tuple[Shape, ...],
        first: Node | None = None,
    ) -> Node:
        node = Node(name, name, used, wires, shapes, self.scope, PLACE, None, first)
        self.nodes.append(node)
        return node

    def network(self, *outputs: Wire) -> Network:
        return Network(
            "Built",
            "",
            self.inputs,
            list(outputs),
            [str(wire) for wire in outputs],
            self.nodes,
            self.scope,
            {},
            None,
            False,
        )
