"""Transforms: what is done to examples on their way into the network, a batch at a time.

`augment` is a chain of them for training; `evaluate` one for measuring, where nothing is left to chance.
A transform is handed torch's namespace, a batch `[n, channels, ...]` and, where it leaves something to
chance, what draws random numbers for the batch's examples: `archdsl.training.draws.Draws`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any, ClassVar

from archdsl.layers.arguments import (
    Kind,
    argument,
    fraction,
    natural,
    non_negative_number,
    number,
    positive,
    positive_number,
)
from archdsl.problems import Fault
from archdsl.problems.data import CropTooLarge, NeedsPictures, OtherChannels
from archdsl.recipes.word import Word

Shape = tuple[int, ...]


def _range(check: Any) -> Any:
    def check_both(value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != 2:
            return None
        low, high = (check(one) for one in value)
        return None if low is None or high is None or low > high else (low, high)

    return check_both


share_range = Kind("two rising numbers from 0 to 1, as in `[0.08, 1]`", _range(fraction.check))
factor_range = Kind("two rising numbers above 0, as in `[0.75, 1.33]`", _range(positive_number.check))
extent_range = Kind("two rising positive whole numbers, as in `[256, 512]`", _range(positive.check))


def _one_or_a_list(check: Any) -> Any:
    def check_all(value: Any) -> Any:
        if not isinstance(value, tuple):
            return check(value)
        checked = tuple(check(one) for one in value)
        return checked if checked and None not in checked else None

    return check_all


numbers = Kind("a number, or a list with one a channel", _one_or_a_list(number.check))
divisors = Kind("a number above 0, or a list with one a channel", _one_or_a_list(positive_number.check))


class Transform(Word, family="transform"):
    """The base of every transform."""

    chance: ClassVar[bool] = True
    """Whether it draws random numbers, so that it has no place in `evaluate`."""
    views: ClassVar[int] = 1
    """How many values it makes of one example: the network's outputs on them are averaged."""
    moves: ClassVar[bool] = False
    """Whether values change their places, so that a target at each place would be another's."""
    mixes: ClassVar[bool] = False
    """Whether it mixes examples, and with them their targets."""

    def shape(self, x: Shape) -> Shape:
        """The shape that an example comes out in. Raises `Fault` where it can't be transformed so."""
        return x

    apply: Callable[[Any, Any, Any], Any]
    """Given torch, a batch and draws for it: the transformed batch. One that mixes has none."""


def _pictures(word: Word, x: Shape) -> None:
    if len(x) != 3:
        raise Fault(NeedsPictures(word.word, str(list(x))))


class Crop(Transform, abstract=True):
    """The base of the transforms that cut a window of one extent an axis."""

    family_first: ClassVar[bool] = True
    moves: ClassVar[bool] = True

    size: int = argument(positive, "the extent of the window along every axis")

    def shape(self, x: Shape) -> Shape:
        if any(extent < self.size for extent in self.padded(x)[1:]):
            raise Fault(CropTooLarge(self.word, self.size, str(list(x))), "size")
        return (x[0], *[self.size] * (len(x) - 1))

    def padded(self, x: Shape) -> Shape:
        """The shape that the window is cut from."""
        return x


class RandomCrop(Crop):
    """A window at a random place of each example, after padding with zeros (Krizhevsky et al., 2012, 4.1)."""

    padding: int = argument(natural, "zeros on every side before the window is cut", 0)

    def padded(self, x: Shape) -> Shape:
        return (x[0], *(extent + 2 * self.padding for extent in x[1:]))

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        axes = x.dim() - 2
        if self.padding:
            x = torch.nn.functional.pad(x, [self.padding] * 2 * axes)
        for axis in range(2, x.dim()):
            room = x.shape[axis] - self.size + 1
            start = random.integers(0, room, 1)
            index = (start + torch.arange(self.size)).to(x.device)
            index = index.reshape(len(x), *[1] * (axis - 1), self.size, *[1] * (x.dim() - axis - 1))
            x = x.gather(axis, index.expand(*x.shape[:axis], self.size, *x.shape[axis + 1 :]))
        return x


class CenterCrop(Crop):
    """The window in the middle of each example."""

    chance: ClassVar[bool] = False

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        for axis in range(2, x.dim()):
            x = x.narrow(axis, (x.shape[axis] - self.size) // 2, self.size)
        return x


class FiveCrop(Crop):
    """The windows in the four corners and in the middle; the outputs on them are averaged."""

    chance: ClassVar[bool] = False
    views: ClassVar[int] = 5

    def shape(self, x: Shape) -> Shape:
        _pictures(self, x)
        return super().shape(x)

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        bottom, right = x.shape[2] - self.size, x.shape[3] - self.size
        places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
        windows = [x[:, :, i : i + self.size, j : j + self.size] for i, j in places]
        return torch.stack(windows, 1).flatten(0, 1)


class TenCrop(FiveCrop):
    """The five windows and their mirror images, as AlexNet was tested (Krizhevsky et al., 2012, 4.1)."""

    views: ClassVar[int] = 10

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        five = super().apply(torch, x, random).unflatten(0, (len(x), 5))
        return torch.cat([five, five.flip(-1)], 1).flatten(0, 1)


class RandomResizedCrop(Transform):
    """A window of a random area and aspect, resized to one extent (Szegedy et al., 2015, Section 6).

    The window covers a share of the area within `scale`, with width by height within `ratio`, cut off
    where it would be larger than the picture.
    """

    moves: ClassVar[bool] = True

    size: int = argument(positive, "the extent that comes out, along both axes")
    scale: tuple[float, float] = argument(share_range, "least and most share of the area", (0.08, 1.0))
    ratio: tuple[float, float] = argument(factor_range, "least and most width by height", (0.75, 4 / 3))

    def shape(self, x: Shape) -> Shape:
        _pictures(self, x)
        return (x[0], self.size, self.size)

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        height, width = x.shape[2:]
        shares, turns, across, down = random.uniform(4).unbind(1)
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * shares) * height * width
        low, high = (math.log(bound) for bound in self.ratio)
        aspect = torch.exp(low + (high - low) * turns)
        wide = torch.sqrt(area * aspect).clamp(max=width) / width
        tall = torch.sqrt(area / aspect).clamp(max=height) / height
        return _windows(torch, x, self.size, wide, tall, across, down)


class RandomScaleCrop(Transform):
    """A window at a random place of a picture whose shorter side was resized to a random extent.

    The extents lie within `shortest`, as VGG's training scales (Simonyan and Zisserman, 2015, Section 3.1).
    """

    moves: ClassVar[bool] = True

    size: int = argument(positive, "the extent of the window")
    shortest: tuple[int, int] = argument(
        extent_range, "least and most extent of the shorter side", (256, 512)
    )

    def shape(self, x: Shape) -> Shape:
        _pictures(self, x)
        if self.shortest[0] < self.size:
            raise Fault(CropTooLarge(self.word, self.size, f"a picture of {self.shortest[0]}"), "shortest")
        return (x[0], self.size, self.size)

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        low, high = self.shortest
        extents = random.integers(low, high + 1)
        across, down = random.uniform(2).unbind(1)
        side = self.size / extents * min(x.shape[2:])
        return _windows(torch, x, self.size, side / x.shape[3], side / x.shape[2], across, down)


def _windows(torch: Any, x: Any, size: int, wide: Any, tall: Any, across: Any, down: Any) -> Any:
    """A window of each picture, resized: its extents as shares of the picture's, and where it lies."""
    # In the coordinates of `affine_grid` a picture reaches from -1 to 1.
    zero = torch.zeros(len(x))
    matrix = torch.stack(
        [
            torch.stack([wide, zero, (1 - wide) * (2 * across - 1)], 1),
            torch.stack([zero, tall, (1 - tall) * (2 * down - 1)], 1),
        ],
        1,
    ).to(x.device, x.dtype)
    functional = torch.nn.functional
    grid = functional.affine_grid(matrix, [len(x), x.shape[1], size, size], align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


class Resize(Transform):
    """Every axis resized to one extent, bilinearly, with a low-pass where that is smaller."""

    moves: ClassVar[bool] = True

    chance: ClassVar[bool] = False

    size: int = argument(positive, "the extent that comes out")

    def shape(self, x: Shape) -> Shape:
        _pictures(self, x)
        return (x[0], self.size, self.size)

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        size = (self.size, self.size)
        return torch.nn.functional.interpolate(x, size=size, mode="bilinear", antialias=True)


class Pad(Transform):
    """Zeros on every side of each example, as LeNet-5 takes MNIST's 28 x 28 pictures as 32 x 32."""

    moves: ClassVar[bool] = True

    chance: ClassVar[bool] = False

    amount: int = argument(positive, "zeros on every side")

    def shape(self, x: Shape) -> Shape:
        return (x[0], *(extent + 2 * self.amount for extent in x[1:]))

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        return torch.nn.functional.pad(x, [self.amount] * 2 * (x.dim() - 2))


class PermutePositions(Transform):
    """Every example's positions in one order, drawn once and for all by `seed`; channels stay together.

    What lies side by side in the data lies apart then: to a fully connected layer it is all the same, a
    convolution loses what it counts on (Prince 2023, Section 10.2). The order follows from the seed and the
    number of positions alone, a vector's numbers being its positions. It has to stand in `evaluate`, too.
    """

    moves: ClassVar[bool] = True

    chance: ClassVar[bool] = False

    seed: int = argument(natural, "by which the order is drawn", 0)

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        axis = min(2, x.dim() - 1)
        positions = x.flatten(axis)
        order = torch.tensor(_order(self.seed, positions.shape[axis]), device=x.device)
        return positions.index_select(axis, order).reshape(x.shape)


@lru_cache(maxsize=8)
def _order(seed: int, count: int) -> list[int]:
    """Numbers below `count` in an order that is the same everywhere."""
    order = list(range(count))
    Random(seed).shuffle(order)
    return order


class HorizontalFlip(Transform):
    """Each example mirrored along its last axis with a probability."""

    moves: ClassVar[bool] = True

    probability: float = argument(fraction, "how often", 0.5)

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        mirrored = random.uniform().to(x.device) < self.probability
        return torch.where(mirrored.reshape(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)


class ColorJitter(Transform):
    """Brightness, contrast and saturation multiplied by random factors (Howard, 2013), one an example.

    Each factor is within 1 minus and plus what is given. Contrast is about the example's mean grey,
    saturation about each position's grey.
    """

    brightness: float = argument(non_negative_number, "largest deviation of the brightness", 0.0)
    contrast: float = argument(non_negative_number, "largest deviation of the contrast", 0.0)
    saturation: float = argument(non_negative_number, "largest deviation of the saturation", 0.0)

    def shape(self, x: Shape) -> Shape:
        _pictures(self, x)
        return x

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        draws = (2 * random.uniform(3, 1, 1, 1) - 1).unbind(1)
        bright, contrast, saturation = (
            (1 + width * draw).clamp(min=0).to(x.device, x.dtype)
            for width, draw in zip((self.brightness, self.contrast, self.saturation), draws, strict=True)
        )
        x = x * bright
        mean = _grey(x).mean((2, 3), keepdim=True)
        x = mean + contrast * (x - mean)
        grey = _grey(x)
        return grey + saturation * (x - grey)


def _grey(x: Any) -> Any:
    """The luma of a picture (ITU-R BT.601), or the mean of other channels, with one channel."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    weights = x.new_tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


class PcaColor(Transform):
    """Colours moved along the principal components of ImageNet's (Krizhevsky et al., 2012, Section 4.1).

    To each position is added the sum of the components, each times its eigenvalue and a normal number of
    deviation `std`, one an example.
    """

    std: float = argument(positive_number, "deviation of the normal numbers", 0.1)

    def shape(self, x: Shape) -> Shape:
        _pictures(self, x)
        if x[0] != 3:
            raise Fault(NeedsPictures(self.word, str(list(x))))
        return x

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        drawn = self.std * random.normal(3)
        values = torch.tensor(PCA_VALUES)
        moved = (drawn * values) @ torch.tensor(PCA_VECTORS).T
        return x + moved.to(x.device, x.dtype).reshape(len(x), 3, 1, 1)


PCA_VALUES = (0.2175, 0.0188, 0.0045)
"""The eigenvalues of the covariance of red, green and blue in ImageNet's pictures, from 0 to 1, as they
are in common use; the paper does not print its own."""
PCA_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Their eigenvectors, one a column; rows are red, green and blue."""


class Cutout(Transform):
    """A square of zeros at a random place, which may lie over the border (DeVries and Taylor, 2017)."""

    size: int = argument(positive, "the extent of the square")

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        inside = torch.ones(len(x), *[1] * (x.dim() - 1), dtype=torch.bool)
        for axis in range(2, x.dim()):
            extent = x.shape[axis]
            centre = random.integers(0, extent, 1)
            start = centre - self.size // 2
            place = torch.arange(extent)
            along = (place >= start) & (place < start + self.size)
            inside = inside & along.reshape(len(x), *[1] * (axis - 1), extent, *[1] * (x.dim() - axis - 1))
        return x.masked_fill(inside.to(x.device), 0.0)


class Normalize(Transform):
    """Each channel less its `mean`, divided by its `std`."""

    chance: ClassVar[bool] = False

    mean: Any = argument(numbers, "what is taken off, of all channels or one a channel", 0.0)
    std: Any = argument(divisors, "what is divided by, of all channels or one a channel", 1.0)

    def shape(self, x: Shape) -> Shape:
        for name in ("mean", "std"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != x[0]:
                raise Fault(OtherChannels(self.word, len(value), x[0]), name)
        return x

    def apply(self, torch: Any, x: Any, random: Any) -> Any:
        mean, std = (x.new_tensor(value).reshape(-1, *[1] * (x.dim() - 2)) for value in (self.mean, self.std))
        return (x - mean) / std


class Mixup(Transform):
    """Each example mixed with another, and their losses likewise (Zhang et al., 2018, Equation 1).

    The share is drawn from a beta distribution with both parameters `alpha`, one a batch. It comes last.
    """

    mixes: ClassVar[bool] = True

    alpha: float = argument(positive_number, "both parameters of the beta distribution", 0.2)

    def share(self, random: Any) -> float:
        """How much of itself an example keeps."""
        # A beta number is a gamma number by the sum of two; torch draws those by no generator of ours.
        return Random(random.seed()).betavariate(self.alpha, self.alpha)
