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
CARRIER = "scikit-learn"
SAMPLES = ("china.jpg", "flower.jpg")
"""Photographs that the package `CARRIER` carries."""


def meant(picture: Path) -> Path:
    """The file, or where there is none the photograph of that name that scikit-learn carries.

    Raises `Unseen` where that is not installed.
    """
    if picture.name not in SAMPLES or picture.exists():
        return picture
    try:
        return carried(CARRIER, "sklearn", f"datasets/images/{picture.name}")
    except Fault:
        lacking = f"there is no file {picture}, and the package that carries one is not installed"
        raise Unseen(f"{lacking}: `pip install {CARRIER}`") from None


def extents(file: Path) -> tuple[int, int]:
    """Columns and rows of a picture as it was taken, from its head alone.

    Raises `Unseen` where it is none.
    """
    from PIL import Image

    from archdsl.training.pictures import orientation

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as found:
            wide, high = found.size
            if wide * high > MOST_PIXELS:
                raise Unseen(f"{file} has {wide} x {high} pixels, over {MOST_PIXELS:,}")
            return (high, wide) if orientation(found) >= 5 else (wide, high)
    except Image.DecompressionBombError:
        raise Unseen(f"{file} has more than {MOST_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture"
        raise Unseen(f"{file} can't be read: {reason}") from None


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
