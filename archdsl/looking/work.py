"""How long a look may take."""

from __future__ import annotations

from archdsl.analysis import Analysis
from archdsl.looking.unseen import Unseen

MOST_FLOPS = 3 * 10**13
"""The most arithmetic operations of a search: half an hour of one processor."""

MOST_NUMBERS = 2**26
"""The most numbers that are kept at a time: of examples, and of what passes through the network."""
MOST_AT_ONCE = 64


def at_once(analysis: Analysis) -> int:
    """How many inputs go through the network together."""
    numbers = sum(count for count in analysis.flow.counts if isinstance(count, int))
    return max(1, min(MOST_AT_ONCE, MOST_NUMBERS // max(1, numbers)))


def bounded(what: str, analysis: Analysis, passes: int) -> None:
    """Raise `Unseen` where so many passes take too long. Back through a network is twice the way there."""
    flops = passes * analysis.totals.flops
    if not isinstance(flops, int) or flops > MOST_FLOPS:
        raise Unseen(
            f"{what} take {flops:,} FLOPs, and at most {MOST_FLOPS:,} are made: ask for less at once, "
            "or for fewer --steps"
        )
