"""The figures that stand on the boxes of a graph, beside the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from archdsl.report.units import human
from archdsl.sizes import Size

if TYPE_CHECKING:
    from archdsl.analysis.flow import Flow

STANDARD = ("parameters",)
"""Those where none are asked for."""


class Figure(NamedTuple):
    """What is summed over the layers of a box, and what it is called there."""

    unit: str
    of: Callable[[Flow, int], Size]

    def text(self, flow: Flow, layers: range) -> str:
        """`1.2 M parameters`; nothing where that is none, so that what counts stands out."""
        total: Size = 0
        for layer in layers:
            total = total + self.of(flow, layer)
        return f"{human(total)} {self.unit}" if total != 0 else ""


def _parameters(flow: Flow, layer: int) -> Size:
    """What is another layer's counts there."""
    rules = flow.rules[layer]
    return rules.weights + rules.biases if flow.nodes[layer].first is None else 0


FIGURES: dict[str, Figure] = {
    "parameters": Figure("parameters", _parameters),
    "macs": Figure("MACs", lambda flow, layer: flow.rules[layer].macs),
    "flops": Figure("FLOPs", lambda flow, layer: flow.rules[layer].flops),
}
"""By the names that `analyze --columns` has for them."""
