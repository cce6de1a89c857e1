"""Maps that are the same at every position, whatever the input: the mean of a map, spread over one.

Such a map does not move, and yet it may join what does: it tells no position from another.
"""

from __future__ import annotations

from archdsl.analysis.flow import Flow, Reader
from archdsl.layers.layer import Layer
from archdsl.layers.stencils import Reach

ALIKE = (Reach.POINT, Reach.NORMALISED, Reach.POOLED)
"""How layers read that do the same at every position."""


def uniform(flow: Flow, value: int) -> bool:
    """Whether a value is the same at every position."""
    known = flow.uniform
    pending = [] if value in known else [value]
    while pending:
        one = pending[-1]
        i = flow.makers[one]
        reader = flow.rules[i].readers[one - flow.starts[i]]
        feeds = flow.feeds[i]
        if all(extent == 1 for extent in reader.extents):
            known[one] = True
        elif not feeds or not _does_alike(flow.nodes[i].layer, reader):
            known[one] = False
        elif missing := [feed for feed in feeds if feed not in known]:
            pending += missing
            continue
        else:
            known[one] = all(known[feed] for feed in feeds)
        pending.pop()
    return known[value]


def _does_alike(layer: Layer, reader: Reader) -> bool:
    return layer.spreads or reader.kept or all(reading in ALIKE for reading in reader.readings)
