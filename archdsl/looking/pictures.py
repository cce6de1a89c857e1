"""Files of pictures: which is meant, and its extents."""

from __future__ import annotations

import warnings
from pathlib import Path

from archdsl.compiler import Network
from archdsl.looking.unseen import Unseen
from archdsl.problems import Fault
from archdsl.recipes.files import carried
from archdsl.sizes import symbols_of

MOST_PIXELS = 50_000_000
"""The most pixels of a picture."""
SAMPLES = ("china.jpg", "flower.jpg")
"""Photographs that scikit-learn carries."""


def meant(picture: Path) -> Path:
    """The file, or where there is none the photograph of that name that scikit-learn carries."""
    if picture.name not in SAMPLES or picture.exists():
        return picture
    try:
        return carried("scikit-learn", "sklearn", f"datasets/images/{picture.name}")
    except Fault:
        return picture


def extents(file: Path) -> tuple[int, int]:
    """Columns and rows of a picture, from its head alone. Raises `Unseen` where it is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as found:
            size: tuple[int, int] = found.size
    except Image.DecompressionBombError:
        raise Unseen(f"{file} has more than {MOST_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture"
        raise Unseen(f"{file} can't be read: {reason}") from None
    if size[0] * size[1] > MOST_PIXELS:
        raise Unseen(f"{file} has {size[0]} x {size[1]} pixels, over {MOST_PIXELS:,}")
    return size


def sizes_for(network: Network, picture: Path) -> dict[str, int]:
    """What open sizes of the input are where it takes a picture as it is; raises `Unseen` as `extents`."""
    open_sizes = [symbols_of(extent) for extent in network.inputs[0].shape[1:]]
    if len(open_sizes) != 2 or not any(open_sizes):
        return {}
    wide, high = extents(picture)
    found: dict[str, int] = {}
    for names, extent in zip(open_sizes, (high, wide), strict=True):
        for name in names:
            if found.setdefault(name, extent) != extent:
                raise Unseen(f"{network.name} takes squares, and {picture} has {wide} x {high} pixels")
    return found
