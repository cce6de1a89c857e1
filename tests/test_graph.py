"""The networkx graph of a network: another form of the nodes and wires that the analyses walk."""

from __future__ import annotations

import pytest
from bundled import BUNDLED

import archdsl
from archdsl.analysis.flow import Flow

SEVERAL = """
network Several {
  input image: [4, 16, 16]
  input mask: [4, 16, 16]
  low, high: from image -> split(sizes=[1, 3], axis=channels)
  twice: from mask, mask -> add
  pooled: from twice -> max_pool(2)
  from pooled -> max_unpool(pooled)
  together: from low, high, mask -> concat
  output together, pooled
}
"""


NETWORKS = [(file, network) for file, networks in BUNDLED.items() for network in networks]


@pytest.mark.parametrize(("file", "network"), [(None, "Several"), *NETWORKS], ids=lambda name: name)
def test_the_graph_is_what_the_analyses_walk(file: str | None, network: str) -> None:
    net = archdsl.loads(SEVERAL) if file is None else archdsl.load(file, network=network)
    flow = Flow(net.network)
    graph = net.graph
    nodes = [graph.nodes[name]["node"] for name in graph]
    assert nodes == flow.nodes
    assert list(graph) == [node.name for node in flow.nodes]
    for i, name in enumerate(graph):
        edges = sorted(graph.in_edges(name, keys=True, data="port"), key=lambda edge: edge[2])
        sources = tuple(nodes.index(graph.nodes[origin]["node"]) for origin, _, _, _ in edges)
        assert sources == flow.sources[i]
        assert [index for _, _, index, _ in edges] == list(range(len(sources)))
        assert (
            tuple(flow.starts[s] + edge[3] for s, edge in zip(sources, edges, strict=True)) == flow.feeds[i]
        )
        facts = graph.nodes[name]
        assert (facts["kind"], facts["shape"]) == (flow.nodes[i].kind, flow.nodes[i].shape)


def test_an_edge_is_an_input() -> None:
    graph = archdsl.loads(SEVERAL).graph
    assert list(graph.edges("mask", keys=True)) == [
        ("mask", "twice", 0),
        ("mask", "twice", 1),
        ("mask", "together", 2),
    ]
    assert [port for _, _, port in graph.in_edges("together", data="port")] == [0, 1, 0]


def test_the_graph_is_made_once() -> None:
    net = archdsl.loads(SEVERAL)
    assert net.graph is net.graph


def test_every_part_shows_itself_in_a_line() -> None:
    """A node's inputs have inputs: shown whole, the last node of a chain would show all others."""
    net = archdsl.load("alexnet.arch")
    for shown in (*net.graph.nodes(data=True), *net.graph.edges(data=True), net.network, net.network.scope):
        assert len(repr(shown)) < 300
    assert repr(net.network.nodes[-1]) == "<logits: linear [1000]>"


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((3, 0, 5), "bad-shape"),
        ((3, -1, 5), "bad-shape"),
        ((1, 2, 3, 4, 5, 6), "bad-shape"),
        ((), "bad-shape"),
        ((3, 10**18, 10**18), "size-too-large"),
    ],
)
def test_a_shape_from_outside_is_held_to_what_a_file_may_say(shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(archdsl.ArchError) as error:
        archdsl.loads("network A {\n  input x: [3, 8, 8]\n  relu\n}", inputs={"x": shape})
    assert [d.name for d in error.value.diagnostics] == [problem]
