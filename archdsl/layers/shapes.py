"""The shape of a value: channels first, then the spatial extents; the batch axis is never written."""

from __future__ import annotations

from collections.abc import Sequence
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


def has_channels_last(shape: Sequence[Size]) -> bool:
    """Whether a shape is most likely a signal, picture or clip whose channels were written last.

    With the channels last it would be a common one; with the channels first, many channels of a narrow strip.
    """
    numbers = [extent for extent in shape if isinstance(extent, int)]
    if len(numbers) < max(len(shape), 2):
        return False
    *extents, channels = numbers
    if channels not in ((1, 3, 4) if len(extents) == 2 else (1, 3)):
        return False
    if len(extents) == 1:
        return extents[0] >= max(16, 32 * (channels - 1))
    short, long = sorted(extents[-2:])
    return short >= max(8, 7 * channels) and long <= 4 * short and extents[0] >= 8
