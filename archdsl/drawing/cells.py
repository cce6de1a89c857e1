"""The boxes of a graph and where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from archdsl.drawing.layered import Point


@dataclass(slots=True)
class Cell:
    """What has a place in a layout: a box with lines of text, a frame, a point where ways part or a port."""

    kind: str
    lines: list[tuple[str, str]]
    """Each line's class and text."""
    wide: float = 0.0
    high: float = 0.0
    inner: Layout | None = None
    sheets: int = 1
    about: str = ""


@dataclass(slots=True)
class Layout:
    """Cells at places, and the ways between them."""

    cells: list[Cell] = field(default_factory=list)
    places: list[Point] = field(default_factory=list)
    """The upper left corner of each cell."""
    routes: list[tuple[list[Point], bool]] = field(default_factory=list)
    """The points of each way, and whether it ends with a tip."""
    wide: float = 0.0
    high: float = 0.0
    enters: dict[int, float] = field(default_factory=dict)
    """How far right of the middle each value comes in that is read."""
    leaves: list[float] = field(default_factory=list)
    """How far right of the middle the values leave, in their order."""
    leads: list[list[Point]] = field(default_factory=list)
    """The corners of the ways from column to column."""
