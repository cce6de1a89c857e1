"""What stands in a row of a picture of blocks: a body, its size and its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archdsl.drawing.trunk import Station

LEAN = 0.34
"""How far a cuboid reaches to the right and up, for each pixel that it is deep."""


@dataclass(slots=True)
class Scale:
    """Pixels for each row, column and channel of a map, and for each feature of a vector."""

    row: float
    column: float
    channel: float
    feature: float


@dataclass(slots=True)
class Body:
    """A station where it stands: its front's size, how deep it is, its labels, its row, its place there."""

    station: Station
    labels: tuple[str, ...]
    """Channels, extents, kernel, name; then what joins and leaves here, a line each."""
    thick: float
    high: float
    deep: float
    row: int = 0
    wide: float = 0.0
    """What it takes of the row."""
    left: float = 0.0
    aside: bool = False
    """Whether the way up to the next row begins at its side: something comes in at its top."""

    @property
    def lean(self) -> float:
        return self.deep * LEAN

    @property
    def reach(self) -> float:
        """How far it goes above and below the middle of its row."""
        return (self.high + self.lean) / 2

    @property
    def middle(self) -> float:
        return self.left + self.wide / 2

    @property
    def side(self) -> float:
        """Where it ends at the right."""
        return self.middle + (self.thick + self.lean) / 2

    @property
    def front(self) -> tuple[float, float]:
        """The upper left corner of its front, from the middle of its row."""
        return self.middle - (self.thick + self.lean) / 2, self.lean - self.reach
