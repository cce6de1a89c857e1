"""Layers as lines of source: what makes a layer's module, and what calls it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from archdsl.compiler.network import Network, Node, Wire
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.layers.layer import LAYERS
from archdsl.layers.recorder import Code
from archdsl.lowering.expressions import CALLEE, VALUE, Expression, Value, parsed
from archdsl.problems.files import BrokenRule
from archdsl.problems.lowering import SizeNeeded
from archdsl.sizes import Undecided, symbols_of


def own_layers(network: Network) -> list[Node]:
    """The uses of layers that are the user's own Python."""
    return [node for node in network.nodes if node.kind not in LAYERS and node not in network.inputs]


@dataclass(slots=True)
class Lines:
    """A layer's lines of source: what makes its module, and what calls it."""

    make: Expression | None
    call: Expression


class Layers:
    """The lines of all layers of a network but its inputs.

    `same` has the results of layers that only hand their input on, with that input. `indexed` are the
    poolings whose indices are used. `sources` are what the lines call that torch does not have, each with the
    first layer that calls it.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.indexed = {
            wire.node
            for node in network.nodes
            for wire in node.inputs
            if wire.port and wire.node.kind == "max_pool"
        }
        self.parsed: dict[str, Expression] = {}
        self.lines: dict[Node, Lines] = {}
        self.same: dict[Wire, Wire] = {}
        self.sources: dict[str, Node] = {}
        given = set(network.inputs)
        for node in network.nodes:
            if node not in given:
                self._read(node)

    def made(self, wire: Wire) -> Wire:
        """The value that a wire carries, as the layer that made it gives it."""
        return self.same.get(wire, wire)

    def _read(self, node: Node) -> None:
        """Take a layer's lines of source apart."""
        layer = node.layer
        try:
            make, call = self._recorded(node)
        except ArchError:
            raise
        except Exception as error:
            if node.kind in LAYERS:
                raise
            raise own_mistake(node, "forward", error) from error
        self.lines[node] = Lines(make, call)
        source = dedent(layer.source)
        if source and _calls(source, make, call):
            self._take_source(node, source)
        if call.parts == (Value(0),) and make is None:
            wire = self.inputs(node)[0]
            self.same[Wire(node)] = wire

    def _recorded(self, node: Node) -> tuple[Expression | None, Expression]:
        """What makes a layer's module, and what calls it, as its rules write it down."""
        layer: Any = node.layer
        shapes = tuple(wire.shape for wire in node.inputs)
        count = len(node.inputs) or 1
        values = tuple(Code(f"{VALUE}{index}") for index in range(count))
        indexed = node in self.indexed
        build = layer.build_with_indices if indexed else layer.build
        forward = layer.forward_with_indices if indexed else layer.forward
        try:
            made = build(Code("nn"), *shapes)
            module = None if made is None else Code(CALLEE)
            called = forward(Code("torch"), module, values, shapes)
        except (TypeError, Undecided) as error:
            symbols = sorted(
                {name for shape in (*shapes, *node.shapes) for s in shape for name in symbols_of(s)}
            )
            if not symbols:
                raise
            problem = SizeNeeded(node.name, tuple(symbols))
            raise ArchError([Diagnostic.of(problem, node.use)]) from error
        return None if made is None else self._parse(str(made)), self._parse(str(called))

    def _take_source(self, node: Node, source: str) -> None:
        """Keep a layer's own source, once; of two that define one name only the last would be seen."""
        if source in self.sources:
            return
        for other, first in self.sources.items():
            mistaken = next((one for one in (node, first) if one.kind not in LAYERS), None)
            again = sorted({*defined_names(source)} & {*defined_names(other)})
            if mistaken is not None and again:
                what = f"defines `{again[0]}`, which another layer's does, too"
                raise ArchError([Diagnostic.of(BrokenRule(mistaken.kind, "source", what), mistaken.use)])
        self.sources[source] = node

    def _parse(self, text: str) -> Expression:
        if text not in self.parsed:
            self.parsed[text] = parsed(text)
        return self.parsed[text]

    def inputs(self, node: Node) -> tuple[Wire, ...]:
        """What the values of a layer's call are; a layer without inputs is told the batch by the first."""
        wires = node.inputs or (Wire(self.network.inputs[0]),)
        return tuple(self.made(wire) for wire in wires)

    def needed(self, node: Node) -> list[Wire]:
        """The values that a layer's call really uses."""
        wires = self.inputs(node)
        return [wires[index] for index in self.lines[node].call.values()]


def own_mistake(node: Node, rule: str, error: Exception) -> ArchError:
    """What a user's own layer did wrong, said at its use; to be raised."""
    from archdsl.compiler.own import blamed, mistake

    _, broken = blamed(error) or (node.layer, mistake(node.kind, rule, error))
    return ArchError([Diagnostic.of(broken.problem, node.use, broken.labels)])


def defined_names(source: str) -> list[str]:
    """The names of the classes and functions of a layer's own source."""
    return re.findall(r"^(?:class|def) (\w+)", source, re.MULTILINE)


def _calls(source: str, *lines: Expression | None) -> bool:
    """Whether a layer's lines call what its own source defines."""
    texts = [part for line in lines if line is not None for part in line.parts if isinstance(part, str)]
    return any(f"{name}(" in text for name in defined_names(source) for text in texts)
