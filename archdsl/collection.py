"""Python's collector of cyclic garbage, kept from looking for some where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MUCH = 100_000
"""So many new objects take longer to walk than it takes to see that they need not be."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Do without the collector; also a decorator.

    What a compilation or a report makes, it keeps, and the collector walks all of it again and again while it
    grows, and once more behind it, where all of it is young: a third of the time for 100,000 layers. So what
    was made meanwhile counts as old, which is walked seldom.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_count()[0] > MUCH and not gc.get_freeze_count():
                # All that is young is set aside, and what was set aside comes back as old.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
