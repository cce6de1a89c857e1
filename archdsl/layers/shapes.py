"""The shape of a value: channels first, then the spatial extents; the batch axis is never written."""

from __future__ import annotations

from math import prod

from archdsl.sizes import Size

SPATIAL_AXES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("length",),
    2: ("height", "width"),
    3: ("depth", "height", "width"),
}
"""The names of the spatial axes, by their number."""


class Shape(tuple[Size, ...]):
    """`Shape((96, 55, 55))` is a map of 96 channels, `Shape((10,))` a vector of 10 features."""

    __slots__ = ()

    @property
    def channels(self) -> Size:
        return self[0]

    @property
    def size(self) -> tuple[Size, ...]:
        """The spatial extents; empty for a vector."""
        return tuple(self[1:])

    @property
    def axes(self) -> int:
        """The number of spatial axes: 0 for a vector."""
        return len(self) - 1

    @property
    def count(self) -> Size:  # type: ignore[override]
        """The number of elements."""
        return prod(self)

    @property
    def positions(self) -> Size:
        """The number of spatial positions: 1 for a vector."""
        return prod(self[1:])

    @property
    def axis_names(self) -> tuple[str, ...]:
        return ("channels", *SPATIAL_AXES[self.axes])

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self))}]"
