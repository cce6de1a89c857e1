"""A compiled network: layers wired in order of execution, and the scopes they stand in.

The nodes and their wires are the graph that the analyses walk, and `Network.graph` the same graph as
networkx has it. The tree of scopes is what the file's blocks, labels and loops became, and what the
lowering turns into classes and loops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from archdsl.layers.layer import Layer
from archdsl.layers.shapes import Shape
from archdsl.source import Source, Span

if TYPE_CHECKING:
    import networkx

    from archdsl.syntax.tree import Train


class Wire(NamedTuple):
    """A value: result `port` of a node."""

    node: Node
    port: int = 0

    @property
    def shape(self) -> Shape:
        return self.node.shapes[self.port]

    def __str__(self) -> str:
        several = len(self.node.shapes) > 1 and self.node.kind != "max_pool"
        return f"{self.node.name}.{self.port}" if several else self.node.name


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """One use of a layer.

    `name` is unique in the network, `key` the name within its scope. `inputs` are in order and may
    repeat (`x + x`). `shapes` has one shape a result; a max_pool's second result is its indices.
    `first` is the node that owns the weights where this is a later use of a shared layer
    (`head@2`). `use` is where the network's own file uses the layer; `defined` the place inside the
    block, where that is another.
    """

    name: str
    key: str
    layer: Layer
    inputs: tuple[Wire, ...]
    shapes: tuple[Shape, ...]
    scope: Scope
    use: Span
    defined: Span | None = None
    first: Node | None = None

    @property
    def kind(self) -> str:
        return self.layer.kind

    @property
    def shape(self) -> Shape:
        """The shape of the (first) result."""
        return self.shapes[0]

    def __repr__(self) -> str:
        return f"<{self.name}: {self.kind} {', '.join(map(str, self.shapes))}>"


@dataclass(slots=True, eq=False, repr=False)
class Scope:
    """A use of a block, a labelled group or line, or a round of a labelled loop.

    The network itself is the scope named `""`. `block` is the block's (or network's) name, None for
    a label's scope; `arguments` what its parameters are, and `chosen` those that are not left at a default.
    `members` are in order of execution. `round` is the number of a loop's round, from 1, and `loop` the
    loop's label.

    What a `shared` line makes is named after the scope that declares it: its node's `scope`, or its
    scope's `parent`, is that one. It stands among the `members` of the scope that uses it, and so
    does every later use, named `head@2`, whose nodes have `first` set to the owner of the weights.
    """

    name: str
    key: str
    parent: Scope | None
    block: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Wire, ...] = ()
    outputs: tuple[Wire, ...] = ()
    members: list[Node | Scope] = field(default_factory=list)
    loop: str | None = None
    round: int = 0
    chosen: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<scope {self.name or self.block}: {len(self.members)} members>"


@dataclass(eq=False, repr=False)
class Network:
    """A network of a file, unrolled: every layer, in order of execution, with its shapes."""

    name: str
    documentation: str
    inputs: list[Node]
    outputs: list[Wire]
    output_names: list[str]
    nodes: list[Node]
    """Every node but nothing else, inputs among them, in order of execution."""
    scope: Scope
    parameters: dict[str, Any]
    """The network's own parameters, as bound."""
    train: Train | None
    place: Span
    """Its name, where the file declares it."""
    sources: tuple[Source, ...]
    """Its file, and the files that it imports."""
    options: dict[str, dict[str, Any]]
    """What replaced the file's own words: `parameters`, `sizes` and `inputs`."""
    symbols: frozenset[str]
    """The names of symbolic sizes in its file; without any, every size is a number."""

    @cached_property
    def graph(self) -> networkx.MultiDiGraph[str]:
        """A node a layer, an edge a tensor; made when first asked for.

        Nodes are in order of execution, each with its `node`, `kind`, `layer` and `shape`. An edge is keyed
        by the index of the input it feeds, so that `x + x` has two; its `port` is the index of the result
        that it carries. Importing networkx takes longer than all else that `archdsl analyze` does.
        """
        import networkx

        graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
        graph.add_nodes_from(
            (node.name, {"node": node, "kind": node.kind, "layer": node.layer, "shape": node.shape})
            for node in self.nodes
        )
        graph.add_edges_from(
            (maker.name, node.name, index, {"port": port})
            for node in self.nodes
            for index, (maker, port) in enumerate(node.inputs)
        )
        return graph

    def __repr__(self) -> str:
        return f"<network {self.name}: {len(self.nodes)} layers>"

    def unused(self) -> list[Node]:
        """Nodes whose result nobody uses and that are no output, inputs among them."""
        used = {maker for node in self.nodes for maker, _ in node.inputs}
        used.update(wire.node for wire in self.outputs)
        return [node for node in self.nodes if node not in used]
