"""Room on Python's own stack for the nesting that a file may have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from archdsl.compiler import limits


@contextmanager
def deep() -> Iterator[None]:
    """Room for the nesting that the limits allow, which Python's own limit is below; also a decorator."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, limits.PYTHON_FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
