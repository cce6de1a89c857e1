"""A compiled network: layers wired in order of execution, and the scopes they stand in.

The nodes and their wires are the graph that the analyses walk, and `Network.graph` the same graph as
networkx has it. The tree of scopes is what the file's blocks, labels and loops became, and what the
lowering turns into classes and loops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from archdsl.layers.layer import Layer
from archdsl.layers.shapes import Shape
from archdsl.source import Source, Span

if TYPE_CHECKING:
    import networkx

    from archdsl.compiler import Program
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

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """A copy is the layer at the same place of the network's copy."""
        return _copied(self, self.scope, protocol)


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
    network: Network | None = None
    """The network, of the scope that is its own."""

    def __repr__(self) -> str:
        return f"<scope {self.name or self.block}: {len(self.members)} members>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """As of a `Node`."""
        return _copied(self, self, protocol)


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
    program: Program | None = field(default=None, init=False)
    """The file that it was compiled from, which is none where it was changed since."""

    def belongs_to(self, program: Program) -> Network:
        """The network, which `program` has compiled."""
        self.program = program
        self.scope.network = self
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """A copy, pickled or deep, is made again from the texts: what it holds is nested too deep to be."""
        if self.program is None:
            return super().__reduce_ex__(protocol)
        return _again, (self.program, self.name, self.options)

    @cached_property
    def parts(self) -> list[Node | Scope]:
        """Every node in order of execution, then every scope that one of them stands in."""
        scopes: dict[Scope, None] = {}
        for node in self.nodes:
            scope: Scope | None = node.scope
            while scope is not None and scope not in scopes:
                scopes[scope] = None
                scope = scope.parent
        return [*self.nodes, *scopes]

    @cached_property
    def places(self) -> dict[Node | Scope, int]:
        """Where each of the `parts` is among them."""
        return {part: place for place, part in enumerate(self.parts)}

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


def _copied(part: Node | Scope, scope: Scope, protocol: SupportsIndex) -> Any:
    """How a part of a network, which stands in a scope, is pickled and copied: together with the network."""
    while scope.parent is not None:
        scope = scope.parent
    if scope.network is None:
        return object.__reduce_ex__(part, protocol)
    return _part_of, (scope.network, scope.network.places[part])


def _part_of(network: Network, place: int) -> Node | Scope:
    return network.parts[place]


def _again(program: Program, name: str, options: dict[str, dict[str, Any]]) -> Network:
    from archdsl.compiler import Options
    from archdsl.diagnostics import ArchError

    compiled = program.compile(name, Options(**options))
    if compiled.network is None:
        raise ArchError(compiled.diagnostics)
    return compiled.network
