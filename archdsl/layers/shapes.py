"""The shape of a value: channels first, then the spatial extents; the batch axis is never written."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from archdsl.sizes import Size, at_least

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


def has_channels_last(shape: Sequence[Size], recorded: bool = True) -> bool:
    """Whether a shape is most likely a signal, picture or clip whose channels were written last.

    With the channels last it would be a common one; with the channels first, many channels of a narrow strip.
    The feature maps of a network may be just that, so what is not known to be `recorded` must have three
    channels last, or one after two equal extents. Where the first extent is open and the last is 1, 3 or 4,
    there is no doubt: how many channels there are is seldom left open.
    """
    *extents, channels = shape
    if not extents or not isinstance(channels, int):
        return False
    if not isinstance(extents[0], int):
        wide = all(at_least(extent, 8) is not False for extent in extents)
        return wide and channels in ((1, 3, 4) if recorded or len(extents) > 1 else (3, 4))
    numbers = [extent for extent in extents if isinstance(extent, int)]
    if len(numbers) < len(extents):
        return False
    if len(extents) == 1:
        return recorded and channels in (1, 3) and numbers[0] >= max(16, 32 * (channels - 1))
    short, long = sorted(numbers[-2:])
    if not recorded:
        likely = channels == 3 or (channels == 1 and short == long and len(extents) == 2)
    else:
        likely = channels <= 4 if len(extents) == 2 else channels in (1, 3)
    least = 8 if recorded or short == long else 21
    return likely and least <= short and long <= 4 * short and numbers[0] >= 8
