"""What of a network is executed, and which values go into and out of each of its scopes."""

from __future__ import annotations

from collections.abc import Iterable

from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.lowering.layers import Layers
from archdsl.lowering.scopes import ScopeTree


class Wiring:
    """The values that each scope is given and gives.

    `dead` are the scopes that reach no output. `executed` are the layers that reach one, or the result of
    a dead scope, and `wanted` the values that something reads.
    """

    def __init__(self, network: Network, tree: ScopeTree, layers: Layers) -> None:
        self.network = network
        self.tree = tree
        self.layers = layers
        self.given = set(network.inputs)
        self.inputs: dict[Scope, dict[Wire, None]] = {scope: {} for scope in tree.scopes}
        self.outputs: dict[Scope, dict[Wire, None]] = {scope: {} for scope in tree.scopes}
        self.executed: set[Node] = set()
        self.wanted: set[Wire] = set()
        self.dead: set[Scope] = set()
        self._trace()
        self._trace_dead()

    def _trace(self) -> None:
        """Find what is executed, and what goes into and out of every scope."""
        results = [self.layers.made(wire) for wire in self.network.outputs]
        self._need(results)
        for node in self.network.nodes:
            if node in self.executed:
                for wire in self.layers.needed(node):
                    self._connect(wire, self.tree.host[node])
        for wire in results:
            self._connect(wire, self.network.scope)

    def _need(self, wires: Iterable[Wire], within: Scope | None = None) -> set[Node]:
        pending = [wire.node for wire in wires]
        found: set[Node] = set()
        while pending:
            node = pending.pop()
            if node in self.given or node in self.executed:
                continue
            if within is not None and not self.tree.is_inside(self.tree.host[node], within):
                continue
            self.executed.add(node)
            found.add(node)
            pending += [wire.node for wire in self.layers.needed(node)]
        return found

    def _trace_dead(self) -> None:
        """A scope that reaches no output is made like any other, with the class it would have."""
        alive = {self.network.scope}
        for node in self.executed:
            scope = self.tree.host[node]
            while scope not in alive:
                alive.add(scope)
                scope = self.tree.host[scope]
        for scope in self.tree.scopes[1:]:
            if scope in alive or self.tree.host[scope] not in alive:
                continue
            self.dead.add(scope)
            results = [self.layers.made(wire) for wire in scope.outputs]
            results = [
                wire
                for wire in results
                if wire.node not in self.given and self.tree.is_inside(self.tree.host[wire.node], scope)
            ]
            for node in self._need(results, within=scope):
                for wire in self.layers.needed(node):
                    self._connect(wire, self.tree.host[node], within=scope)
            for wire in results:
                self.wanted.add(wire)
                inner = self.tree.host[wire.node]
                while inner is not self.tree.host[scope]:
                    self.outputs[inner].setdefault(wire)
                    inner = self.tree.host[inner]

    def _connect(self, wire: Wire, reader: Scope, within: Scope | None = None) -> None:
        """A wire that is read in a scope goes into every scope around it, up to where it is made."""
        self.wanted.add(wire)
        maker = self.network.scope if wire.node in self.given else self.tree.host[wire.node]
        while maker is not reader:
            if self.tree.depth[maker] > self.tree.depth[reader]:
                if within is None or self.tree.is_inside(maker, within):
                    self.outputs[maker].setdefault(wire)
                maker = self.tree.host[maker]
            else:
                if within is None or self.tree.is_inside(reader, within):
                    self.inputs[reader].setdefault(wire)
                reader = self.tree.host[reader]
