"""Pictures of an image folder: decoded by workers, or once and for all where they fit."""

from __future__ import annotations

import os
import struct
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archdsl.recipes.data import ImageFolder
from archdsl.recipes.files import Pictures
from archdsl.training.examples import Batch, Examples, InMemory, Share, numbers, orders, spread, whole
from archdsl.training.folder import TrainingError

if TYPE_CHECKING:
    from PIL import Image

KEPT = 1 << 30
"""Bytes of decoded pictures that are kept on the device."""
FEW = 1_000
"""So many pictures are decoded faster than processes for them begin."""
AT_ONCE = 100
"""Pictures that are measured together."""

UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes a picture stand upright, as Pillow calls it, by its orientation."""

Decoded = tuple[Tensor, Tensor, list[str]]
"""Pictures `[n, channels, size, size]` in bytes, their classes, and the names of files that are none."""


def load(data: ImageFolder, found: tuple[Pictures, Pictures], device: torch.device) -> Examples:
    """The pictures of a folder.

    Raises `TrainingError` where one can't be decoded and such are not to be skipped.
    """
    training, testing = found
    count = len(training.files) + len(testing.files)
    streamed = Streamed(data, training, testing, device, workers_for(count))
    if count * data.channels * data.size**2 > KEPT:
        return streamed
    whole = streamed.whole(training), streamed.whole(testing)
    return InMemory(*whole, device, training.classes, streamed.skipped)


def workers_for(count: int) -> int:
    """How many processes decode: one a core, and none for few pictures, since it takes time to begin them."""
    return 0 if count < FEW else os.cpu_count() or 1


class Streamed(Examples):
    """Pictures that are decoded as they are needed, by worker processes."""

    def __init__(
        self, data: ImageFolder, training: Pictures, testing: Pictures, device: torch.device, workers: int
    ) -> None:
        self._data = data
        self._training = training
        self._testing = testing
        self._device = device
        self._workers = workers
        self.count, self.tests = len(training.files), len(testing.files)
        self.classes = training.classes
        self.skipped: dict[str, None] = {}

    def batches(self, batch: int, steps: int, seed: int, begin: int, share: Share = whole) -> Iterator[Batch]:
        chosen = (
            piece[share(len(piece))].tolist()
            for done, end, order in orders(self.count, batch, steps, seed, begin)
            for step in range(done, end)
            for piece in [order[step * batch : (step + 1) * batch]]
        )
        return self._decoded(self._training, list(chosen), share is not whole)

    def training(self, most: int, share: Share = whole) -> Iterator[Batch]:
        # Files come class by class: every so many of them, so that all classes are among those measured.
        chosen = spread(self.count, most)
        return self._decoded(self._training, _split(chosen[share(len(chosen))]))

    def testing(self, share: Share = whole) -> Iterator[Batch]:
        return self._decoded(self._testing, _split(list(range(self.tests))[share(self.tests)]))

    def some(self, most: int) -> Batch:
        chosen = self._decoded(self._testing, [spread(self.tests, most)])
        return next(chosen, (torch.empty(0), torch.empty(0, dtype=torch.long)))

    def whole(self, pictures: Pictures) -> Batch:
        """All of the pictures in order, as bytes."""
        count = len(pictures.files)
        found = list(self._raw(pictures, _split(list(range(count)))))
        if not found:
            raise TrainingError(f"none of the {count:,} pictures can be read: {next(iter(self.skipped))}")
        return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])

    def _decoded(self, pictures: Pictures, chosen: list[list[int]], empty: bool = False) -> Iterator[Batch]:
        for x, y in self._raw(pictures, chosen, empty):
            move = self._device.type == "cuda"
            x, y = (one.to(self._device, non_blocking=move) for one in (x, y))
            yield numbers(x), y

    def _raw(self, pictures: Pictures, chosen: list[list[int]], empty: bool = False) -> Iterator[Batch]:
        """Batches of decoded pictures; `empty` ones too, where each is one of several processes' shares.

        What is waited for is counted; what is no picture is named.
        """
        loader = DataLoader(
            _Files(self._data, pictures),
            batch_sampler=chosen,
            num_workers=self._workers,
            collate_fn=_together,
            pin_memory=self._device.type == "cuda",
        )
        batches = iter(loader)
        while True:
            begun = time.perf_counter()
            try:
                x, y, broken = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                said = str(error).splitlines()[0]
                raise TrainingError(
                    f"decoding pictures failed ({said}), as where memory runs out: --resume goes on"
                ) from None
            self.waited += time.perf_counter() - begun
            if broken and self._data.corrupt == "refuse":
                raise TrainingError(f"{broken[0]}; image_folder(..., corrupt=skip) leaves such files out")
            self.skipped.update(dict.fromkeys(broken))
            if len(x):
                yield x, y
            elif empty:
                yield x.new_empty(0, self._data.channels, self._data.size, self._data.size), y


def _split(indices: list[int]) -> list[list[int]]:
    return [indices[start : start + AT_ONCE] for start in range(0, len(indices), AT_ONCE)]


class _Files(Dataset[tuple[Tensor | str, int]]):
    """The files of a set, each decoded when it is asked for; one that is no picture gives the reason."""

    def __init__(self, data: ImageFolder, pictures: Pictures) -> None:
        self._decode = partial(decode, size=data.size, grey=data.grey, pixels=data.pixels)
        self._pictures = pictures

    def __getitem__(self, index: int) -> tuple[Tensor | str, int]:
        file = self._pictures.files[index]
        try:
            return self._decode(Path(file)), self._pictures.labels[index]
        except ValueError as reason:
            return f"{file} {reason}", -1


def _together(items: Sequence[tuple[Tensor | str, int]]) -> Decoded:
    whole = [(picture, label) for picture, label in items if isinstance(picture, Tensor)]
    broken = [picture for picture, _ in items if isinstance(picture, str)]
    x = torch.stack([picture for picture, _ in whole]) if whole else torch.empty(0)
    return x, torch.tensor([label for _, label in whole], dtype=torch.long), broken


def decode(file: Path, size: int | tuple[int, int], grey: bool, pixels: int) -> Tensor:
    """A picture `[channels, rows, columns]` in bytes, resized and its middle cut out.

    `size` is the extent of a square, or rows and columns. Raises `ValueError` with words that follow the
    file's name where it is no whole picture, or one of more than `pixels`.
    """
    high, wide = (size, size) if isinstance(size, int) else size
    return as_bytes(fitted(opened(file, grey, pixels, min(high, wide)), high, wide))


def opened(file: Path, grey: bool, pixels: int, least: int | None = None) -> Image.Image:
    """A picture as it was taken, in colour or grey; one of extents that are `least` and more will do.

    Raises `ValueError` as `decode` does.
    """
    from PIL import Image

    mode = "L" if grey else "RGB"
    try:
        with Image.open(file) as found:
            if found.width * found.height > pixels:
                raise ValueError(f"has {found.width} x {found.height} pixels, over {pixels:,}")
            lies = orientation(found)
            if least is not None:
                # A JPEG can be decoded at an eighth, a quarter or half of its extent.
                found.draft(mode, (least, least))
            whole: Image.Image = found
            if found.mode.startswith("I;16"):
                # Pillow cuts off what has more than 8 bits, where it should be scaled.
                whole = found.point(lambda value: value / 257, "L")
            return upright(whole.convert(mode), lies)
    except Image.DecompressionBombError:
        raise ValueError(f"has more than {pixels:,} pixels") from None
    except (OSError, SyntaxError, EOFError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise ValueError(f"can't be read: {error.strerror}") from None
        raise ValueError(f"can't be decoded ({error})".replace(f" '{file}'", "")) from None


def orientation(picture: Image.Image) -> int:
    """How a camera says that a picture lies, as EXIF numbers it; from 5 on rows and columns are swapped.

    1, as it stands, is also what is said by nothing, and by what can't be read.
    """
    from PIL import ExifTags

    broken = (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error)
    with suppress(*broken), warnings.catch_warnings(action="ignore"):
        said = picture.getexif().get(ExifTags.Base.Orientation)
        return said if isinstance(said, int) and 1 <= said <= 8 else 1
    return 1


def upright(picture: Image.Image, lies: int) -> Image.Image:
    """A picture turned and mirrored so that it stands, by its orientation."""
    from PIL import Image

    return picture if lies == 1 else picture.transpose(Image.Transpose[UPRIGHT[lies]])


def fitted(picture: Image.Image, high: int, wide: int, nearest: bool = False) -> Image.Image:
    """The middle of a picture that has been resized so that nothing of it is missing there.

    Pixels are averaged, or with `nearest` taken as they are.
    """
    from PIL import Image

    if picture.size == (wide, high):
        return picture
    across = wide * picture.height >= high * picture.width
    to, of = (wide, picture.width) if across else (high, picture.height)
    width, height = max(wide, round(picture.width * to / of)), max(high, round(picture.height * to / of))
    if nearest:
        picture = picture.resize((width, height), Image.Resampling.NEAREST)
    else:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    left, top = (width - wide) // 2, (height - high) // 2
    return picture.crop((left, top, left + wide, top + high))


def as_bytes(picture: Image.Image) -> Tensor:
    """A picture as a tensor `[channels, rows, columns]` of bytes."""
    values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return values.reshape(picture.height, picture.width, -1).movedim(-1, 0).contiguous()
