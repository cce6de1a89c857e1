"""What is known of a network without running it.

`analyse` asks every layer its rules once and gives, for each use of a layer, its `Facts`, and the
network's `Totals`. Nothing here imports torch, prints, or changes the network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from archdsl.analysis.cost import cost
from archdsl.analysis.depth import depth
from archdsl.analysis.equivariance import Equivariance, equivariances
from archdsl.analysis.flow import Flow, Rules
from archdsl.analysis.memory import Memory, memory
from archdsl.analysis.receptive_field import Field, Fields, last_local, receptive_fields
from archdsl.analysis.symmetry import Symmetry, symmetries
from archdsl.compiler.network import Network, Node, Wire
from archdsl.precision import Mixed
from archdsl.sizes import Size

__all__ = ["Analysis", "Equivariance", "Facts", "Field", "Fields", "Memory", "Symmetry", "Totals", "analyse"]


@dataclass(slots=True, eq=False)
class Facts:
    """What is known of one use of a layer; counts and operations are for one example.

    A later use of a shared layer has no weights, biases and buffers of its own. `receptive_field`,
    `equivariance` (of translation) and `symmetry` are those of the (first) result. `receptive_field` is None
    where the value depends on no input; it is a `Fields` where the network has several inputs.
    """

    node: Node
    rules: Rules
    """What the layer's rules say: `weights`, `biases`, `buffers`, `macs` and `flops` are among them."""
    activation_bytes: Size
    """Of all results, for the whole batch."""
    receptive_field: Field | Fields | None
    equivariance: Equivariance
    symmetry: Symmetry


@dataclass(slots=True, eq=False)
class Totals:
    """What is known of a network. A peak is None where the symbols leave too much open."""

    depth: int
    """Layers with weights, one after the other."""
    parameters: Size
    trainable: Size
    buffers: Size
    macs: Size
    flops: Size
    parameter_bytes: Size
    forward_peak_bytes: Size | None
    training_peak_bytes: Size | None
    receptive_field: Field | Fields | None
    """Of the first output, or of the last value before the field becomes global."""


@dataclass(eq=False)
class Analysis:
    """The facts of every layer in order of execution, the totals, and memory over time.

    `rules` and `activation_bytes` are by layer, `fields`, `certificates` and `symmetries` by value.
    """

    rules: list[Rules]
    activation_bytes: list[Size]
    totals: Totals
    memory: Memory
    flow: Flow
    fields: list[Field | Fields | None]
    certificates: list[Equivariance]
    symmetries: list[Symmetry]

    @cached_property
    def facts(self) -> list[Facts]:
        """What is known of each use of a layer, in order of execution."""
        return [
            Facts(
                node, rules, activation, self.fields[start], self.certificates[start], self.symmetries[start]
            )
            for node, rules, activation, start in zip(
                self.flow.nodes, self.rules, self.activation_bytes, self.flow.starts, strict=True
            )
        ]

    def __getitem__(self, node: Node) -> Facts:
        return self.facts[self.flow.index[node]]

    def receptive_field(self, wire: Wire) -> Field | Fields | None:
        """Of any result of a layer."""
        return self.fields[self.flow.number(wire)]

    def equivariance(self, wire: Wire) -> Equivariance:
        """Of any result of a layer."""
        return self.certificates[self.flow.number(wire)]

    def symmetry(self, wire: Wire) -> Symmetry:
        """Of any result of a layer."""
        return self.symmetries[self.flow.number(wire)]


def analyse(
    network: Network,
    batch: int = 1,
    precision_bytes: int = 4,
    optimizer_state: int = 0,
    mixed: Mixed | None = None,
) -> Analysis:
    """Analyse a network for `batch` examples, with numbers of so many bytes.

    `optimizer_state` is how many numbers the optimizer keeps for each parameter: 0 for plain SGD, 1 with
    momentum, 2 for Adam. In `mixed` precision it is trained, over numbers of four bytes.
    """
    flow = Flow(network)
    spent = cost(flow, precision_bytes)
    sizes = flow.bytes_of_values(batch, precision_bytes)
    over_time = memory(flow, spent, sizes, batch, precision_bytes, optimizer_state, mixed)
    fields = receptive_fields(flow)
    certificates = equivariances(flow)
    rules = [
        one if node.first is None else replace(one, weights=0, biases=0, buffers=0, integer_buffers=0)
        for node, one in zip(flow.nodes, flow.rules, strict=True)
    ]
    activations = [
        sizes[start]
        if len(one.counts) == 1
        else sum(sizes[start + 1 : start + len(one.counts)], sizes[start])
        for one, start in zip(rules, flow.starts, strict=True)
    ]
    totals = Totals(
        depth(flow),
        spent.parameters,
        spent.parameters,
        spent.buffers,
        spent.macs,
        spent.flops,
        spent.parameter_bytes,
        over_time.forward_peak,
        over_time.training_peak,
        last_local(flow, fields),
    )
    return Analysis(rules, activations, totals, over_time, flow, fields, certificates, symmetries(flow))
