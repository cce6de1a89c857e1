"""Python's collector of cyclic garbage, kept from looking for some where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Do without the collector; also a decorator.

    What a compilation or a report makes, it keeps, and the collector walks all of it again and again while it
    grows: a third of the time for 100,000 layers.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
