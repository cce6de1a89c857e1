"""How far a piece of work is, for whoever waits."""

from __future__ import annotations

from collections.abc import Callable

Told = Callable[[float], None]
"""What hears which part of the work is done, from 0 to 1."""


def untold(part: float) -> None:
    """What hears it where nobody waits."""


class Progress:
    """How far a piece of work is, of so many steps."""

    def __init__(self, steps: int, told: Told) -> None:
        self._steps, self._told, self._done = steps, told, 0

    def went(self, steps: int = 1) -> None:
        self._done += steps
        self._told(self._done / self._steps)
