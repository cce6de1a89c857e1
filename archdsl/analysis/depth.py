"""Depth: how many layers with weights stand one after the other.

A network's depth, as in the names ResNet-50 and VGG-16, counts its convolutions and matrix products, along
the longest way from an input to an output. Normalisations and what has nothing to learn are not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archdsl.analysis.flow import Flow


def depth(flow: Flow) -> int:
    """The most layers with weights and multiply-accumulates on any way to an output."""
    deepest: list[int] = []
    # Layers of equal arguments and shapes have one object of rules among them.
    counted: dict[int, bool] = {}
    for rules, sources in zip(flow.rules, flow.sources, strict=True):
        counts = counted.get(id(rules))
        if counts is None:
            # A count in symbols is never 0: a size is at least 1.
            counts = counted[id(rules)] = rules.weights != 0 and rules.macs != 0
        if len(sources) == 1:
            deepest.append(deepest[sources[0]] + counts)
        else:
            deepest.append(max([deepest[source] for source in sources], default=0) + counts)
    return max((deepest[flow.makers[value]] for value in flow.outputs), default=0)
