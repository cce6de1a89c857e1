"""What a network costs: trainable numbers, buffers, multiply-accumulates, operations, bytes.

A tensor named `bias` counts as biases, every other trainable one as weights. A shared layer carries
its weights and buffers at its first use, and none at the later ones; it computes at each use.
"""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.analysis.flow import Flow
from archdsl.sizes import Size


@dataclass(slots=True)
class Cost:
    """The sums over a network: MACs and FLOPs for one example, bytes at the precision.

    An int64 buffer (a batch normalisation's counter) takes 8 bytes at any precision.
    """

    weights: Size = 0
    biases: Size = 0
    buffers: Size = 0
    macs: Size = 0
    flops: Size = 0
    parameter_bytes: Size = 0
    buffer_bytes: Size = 0

    @property
    def parameters(self) -> Size:
        return self.weights + self.biases


def cost(flow: Flow, precision_bytes: int) -> Cost:
    """The totals of a network."""
    total = Cost()
    integers: Size = 0
    weights: Size = 0
    biases: Size = 0
    buffers: Size = 0
    macs: Size = 0
    flops: Size = 0
    for node, rules in zip(flow.nodes, flow.rules, strict=True):
        macs += rules.macs
        flops += rules.flops
        if node.first is None:
            weights += rules.weights
            biases += rules.biases
            buffers += rules.buffers
            integers += rules.integer_buffers
    total.weights, total.biases, total.buffers = weights, biases, buffers
    total.macs, total.flops = macs, flops
    total.parameter_bytes = (weights + biases) * precision_bytes
    total.buffer_bytes = (buffers - integers) * precision_bytes + integers * 8
    return total
