"""A folder of pictures with masks: for each picture and each concept a mask says where the concept is.

    FOLDER/images/NAME.jpg, .jpeg or .png
    FOLDER/masks/CONCEPT/NAME.png

A mask has its picture's extents; where it is not black, the concept is. Every picture has a mask of every
concept, so that a forgotten one is no concept's absence; one that is black says that nothing of it is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from archdsl.looking.pictures import MOST_PIXELS, extents
from archdsl.looking.unseen import Unseen
from archdsl.recipes.files import PICTURES
from archdsl.training.examples import numbers
from archdsl.training.pictures import as_bytes, decode, fitted, orientation, upright

IMAGES, MASKS = "images", "masks"
MASK = ".png"
"""How the names of masks end, in small letters: what JPEG does to edges makes no mask."""


@dataclass(frozen=True, slots=True)
class Concepts:
    """The pictures of a folder, and the concepts of which it has masks."""

    folder: Path
    pictures: tuple[Path, ...]
    names: tuple[str, ...]

    def mask(self, concept: str, picture: Path) -> Path:
        """The file of a mask."""
        return self.folder / MASKS / concept / f"{picture.stem}{MASK}"

    def seen(
        self, shape: tuple[int, ...], together: int, chosen: Sequence[int] | None = None
    ) -> Iterator[Tensor]:
        """The pictures, or those chosen, from 0 to 1 in the shape of an example, so many at a time."""
        for some in self._parts(together, chosen):
            yield numbers(torch.stack([_picture(file, shape) for file in some]))

    def masked(self, shape: tuple[int, ...], together: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The same with their masks `[pictures, concepts, rows, columns]`, of zeros and ones."""
        _, high, wide = shape
        parts = self._parts(together, None)
        for some, pictures in zip(parts, self.seen(shape, together), strict=True):
            masks = [[_mask(self.mask(name, file), high, wide) for name in self.names] for file in some]
            yield pictures, torch.stack([torch.cat(of_one) for of_one in masks]).float()

    def _parts(self, together: int, chosen: Sequence[int] | None) -> Iterator[list[Path]]:
        files = [self.pictures[i] for i in (range(len(self.pictures)) if chosen is None else chosen)]
        for start in range(0, len(files), together):
            yield files[start : start + together]


def concepts(folder: Path) -> Concepts:
    """What is in a folder. Names and extents are checked now, and each file's content when it is read.

    Raises `Unseen` with the first file that is not as it should be.
    """
    pictures = _named(folder / IMAGES, PICTURES)
    if not pictures:
        raise Unseen(f"{folder / IMAGES} has no pictures ({', '.join(PICTURES)})")
    stems: dict[str, Path] = {}
    for picture in pictures:
        if (other := stems.setdefault(picture.stem, picture)) is not picture:
            raise Unseen(f"{other} and {picture} would have the same masks: give one of them another name")
    names = tuple(sorted(path.name for path in _entries(folder / MASKS) if path.is_dir()))
    if not names:
        raise Unseen(f"{folder / MASKS} has no folders of masks, one for each concept")
    found = Concepts(folder, pictures, names)
    for name in names:
        _check_names(found, name)
    for picture in pictures:
        size = extents(picture)
        for name in names:
            mask = found.mask(name, picture)
            if (own := extents(mask)) != size:
                raise Unseen(
                    f"{mask} has {own[0]} x {own[1]} pixels, and {picture} has {size[0]} x {size[1]}: a mask "
                    "has the extents of its picture"
                )
    return found


def _check_names(found: Concepts, name: str) -> None:
    """A mask for each picture, and none besides."""
    folder = found.folder / MASKS / name
    files = _named(folder, PICTURES)
    for file in files:
        if file.suffix != MASK:
            raise Unseen(f"{file} is no mask: masks are called NAME{MASK}")
    there = {file.stem for file in files}
    lacking = [picture for picture in found.pictures if picture.stem not in there]
    if lacking:
        more = f", nor do {len(lacking) - 1:,} other pictures" if len(lacking) > 1 else ""
        raise Unseen(
            f"{lacking[0]} has no mask {found.mask(name, lacking[0])}{more}: a black mask says that there is "
            f"nothing of {name}"
        )
    stems = {picture.stem for picture in found.pictures}
    astray = [file for file in files if file.stem not in stems]
    if astray:
        raise Unseen(f"{astray[0]} is the mask of no picture in {found.folder / IMAGES}")


def _entries(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise Unseen(f"{folder} can't be read: {error.strerror}") from None


def _named(folder: Path, endings: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of a folder whose names end so, in order."""
    return tuple(sorted(path for path in _entries(folder) if path.suffix.lower() in endings))


def _picture(file: Path, shape: tuple[int, ...]) -> Tensor:
    """A picture in bytes, resized and cut to the shape of an example."""
    channels, high, wide = shape
    try:
        return decode(file, (high, wide), channels == 1, MOST_PIXELS)
    except ValueError as reason:
        raise Unseen(f"{file} {reason}") from None


def _mask(file: Path, high: int, wide: int) -> Tensor:
    """A mask `[1, rows, columns]`, resized and cut as its picture is, of ones where it is not black."""
    from PIL import Image

    try:
        with Image.open(file) as found:
            if "A" in found.getbands():
                raise Unseen(f"{file} has transparent pixels: a mask is black, or not black")
            # Of a palette the number counts, whatever its colour.
            mask = found.copy() if found.mode in ("P", "RGB") else found.convert("L")
            mask = upright(mask, orientation(found))
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        raise Unseen(f"{file} can't be decoded ({error})".replace(f" '{file}'", "")) from None
    return as_bytes(fitted(mask, high, wide, nearest=True)).amax(0, keepdim=True).ne(0)
