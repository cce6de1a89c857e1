"""How long numbers are in a training step in mixed precision, as torch's autocast chooses them.

Weights, their gradients, the optimizer's state and the network's inputs are float32. Each kind of layer says
by its `autocast` what it computes in; from that the lengths of all values follow, in order of execution. A
layer that converts an input computes with a copy of its own: only of weights is the conversion kept for the
next user, to the end of the step.
"""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.analysis.flow import Flow
from archdsl.layers.layer import Autocast
from archdsl.precision import PRECISIONS, Mixed
from archdsl.sizes import Size

LONG = PRECISIONS["float32"]


@dataclass(slots=True)
class Lengths:
    """Bytes a number: `values` of each value, `own` of what each layer keeps of its own, and `taken` of what
    each layer converts its inputs to, None where it takes them as they are.

    `copies` are the bytes of the short copies of each layer's weights.
    """

    values: list[int]
    own: list[int]
    taken: list[int | None]
    copies: list[Size]

    def sizes(self, flow: Flow, sizes: list[Size], batch: int) -> list[Size]:
        """The bytes of every value for `batch` examples, of which `sizes` are those at one precision."""
        return [
            size if value in flow.indices else flow.counts[value] * (batch * self.values[value])
            for value, size in enumerate(sizes)
        ]


def lengths(flow: Flow, mixed: Mixed) -> Lengths:
    """The lengths of all numbers of a network."""
    short = PRECISIONS[mixed.precision]
    found = Lengths([], [], [], [])
    for node, rules, feeds in zip(flow.nodes, flow.rules, flow.feeds, strict=True):
        autocast = node.layer.autocast
        longest = max((found.values[value] for value in feeds if value not in flow.indices), default=LONG)
        made, own, taken = longest, LONG, None
        copies: Size = 0
        if autocast is Autocast.SHORT:
            made = own = taken = short
            if node.first is None:
                copies = (rules.weights + rules.biases) * short
        elif autocast is Autocast.LONG and mixed.on_gpu:
            made = taken = LONG
        elif autocast is Autocast.WIDENED:
            made = LONG
        found.values += [made] * len(rules.counts)
        found.own.append(own)
        found.taken.append(taken)
        found.copies.append(copies)
    return found
