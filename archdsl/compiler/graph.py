"""The networkx graph of a network: a node a layer, an edge a tensor. The only file that imports networkx."""

from __future__ import annotations

import networkx

from archdsl.compiler.network import Node


def graph_of(nodes: list[Node]) -> networkx.MultiDiGraph[str]:
    """Nodes in order of execution, each with its `node`, `kind`, `layer` and `shape`.

    An edge is keyed by the index of the input it feeds, so that `x + x` has two; its `port` is the
    index of the result it carries.
    """
    graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    graph.add_nodes_from(
        (node.name, {"node": node, "kind": node.layer.kind, "layer": node.layer, "shape": node.shapes[0]})
        for node in nodes
    )
    graph.add_edges_from(
        (wire.node.name, node.name, index, {"port": wire.port})
        for node in nodes
        for index, wire in enumerate(node.inputs)
    )
    return graph
