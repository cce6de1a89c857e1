"""Maxima that are equal but for rounding: where they lie is chance, and so is where `max_unpool` puts values.

An interpolation, for one, repeats the samples at an edge, and computes each repetition anew.
"""

from __future__ import annotations

from itertools import product

from torch import Tensor

from archdsl.analysis.flow import Flow
from archdsl.layers.pooling import MaxPool
from archdsl.layers.windows import Window

EQUAL = 1e-12
"""How far samples that are equal may differ by rounding, as a share of the map's largest number."""


def undecided(flow: Flow, made: dict[int, Tensor]) -> set[int]:
    """The values that are made of such places; `made` has what the network made, by value."""
    found: set[int] = set()
    for i, (node, feeds) in enumerate(zip(flow.nodes, flow.feeds, strict=True)):
        tied = any(feed in found for feed in feeds)
        if not tied and node.kind == "max_unpool":
            pool = flow.makers[feeds[1]]
            (source,), layer = flow.feeds[pool], flow.nodes[pool].layer
            assert isinstance(layer, MaxPool)
            tied = source in made and _tied(made[source], layer.windows(flow.nodes[pool].inputs[0].shape))
        if tied:
            found.update(range(flow.starts[i], flow.starts[i] + len(flow.rules[i].counts)))
    return found


def _tied(y: Tensor, windows: tuple[Window, ...]) -> bool:
    """Whether two samples of a map that may share a window are equal but for rounding."""
    rounding = EQUAL * float(y.abs().max())
    steps = []
    for window in windows:
        kernel, dilation = window.kernel, window.dilation
        assert isinstance(kernel, int) and isinstance(dilation, int)
        steps.append([dilation * tap for tap in range(1 - kernel, kernel)])
    for apart in product(*steps):
        here = there = y
        for axis, step in enumerate(apart, 2):
            left = max(y.shape[axis] - abs(step), 0)
            here = here.narrow(axis, max(-step, 0) if left else 0, left)
            there = there.narrow(axis, max(step, 0) if left else 0, left)
        difference = (here - there).abs()
        if bool(((difference > 0) & (difference <= rounding)).any()):
            return True
    return False
