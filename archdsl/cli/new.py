"""`archdsl new`: a first file to start from."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import click

from archdsl.cli.networks import WRONG
from archdsl.cli.output import Refused, message, show, writing, written

TASKS = ("classify", "segment", "signal")
CARRIED = ("digits", "mnist", "mnist1d")
"""Data that come with a package, or are generated: what an example is, they say themselves."""
NO_DATA = "none"
INPUTS = ("features", "signal", "image", "volume")
"""What an input is called, by the number of its spatial axes."""
STAGES = 4
"""The most stages that halve the extents."""
SMALLEST = 4
"""The extent that they leave, at least."""


class Shape(click.ParamType):
    """`3x224x224` or `3,224,224`: channels, and up to three spatial extents."""

    name = "SHAPE"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = re.split(r"x| *, *", value.strip("[] "))
        if len(parts) > 4 or not all(re.fullmatch(r"[1-9][0-9]{0,8}", part, re.ASCII) for part in parts):
            self.fail(f"{value!r} is no shape: channels and up to three extents, such as 3x224x224")
        from archdsl.layers.shapes import has_channels_last

        shape = tuple(map(int, parts))
        if has_channels_last(shape):
            meant = _written((shape[-1], *shape[:-1]))
            self.fail(f"{value!r} has {shape[0]} channels, which come first; did you mean {meant}?")
        return shape


class Classes(click.IntRange):
    """How many classes there are."""

    def __init__(self) -> None:
        super().__init__(2, 1_000_000)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        try:
            return super().convert(value, parameter, context)
        except click.BadParameter:
            self.fail(f"{value!r} is no number of classes: a whole number from 2 to 1,000,000")


class NewFile(click.ParamType):
    """The name of a file that is not there yet, with its ending."""

    name = "FILE"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        name = _arch(value)
        if os.path.lexists(name):
            self.fail(f"{name} is there already, and is left as it is; another name?")
        return name


@dataclass(frozen=True, slots=True)
class Plan:
    """What a first file is about."""

    task: str
    data: str
    shape: tuple[int, ...]
    classes: int

    @property
    def extents(self) -> tuple[int, ...]:
        return self.shape[1:]

    @property
    def input(self) -> str:
        return INPUTS[len(self.extents)]


@click.command(short_help="Write a first file to start from.")
@click.argument("file", required=False)
@click.option("--task", type=click.Choice(TASKS), help="What the network is for [classify].")
@click.option("--input", "shape", type=Shape(), help="The shape of an example, such as 3x224x224.")
@click.option("--classes", type=Classes(), help="How many classes there are.")
@click.option(
    "--data",
    type=click.Choice([*CARRIED, "image_folder", "time_series", "arrays", NO_DATA]),
    help="What it is trained on; without a recipe: none.",
)
@click.option("--yes", is_flag=True, help="Ask nothing, and choose what is not said.")
def new(
    file: str | None,
    task: str | None,
    shape: tuple[int, ...] | None,
    classes: int | None,
    data: str | None,
    yes: bool,
) -> int:
    """Write a file with a small network and its recipe, to start from.

    On a terminal, what no option says is asked for. A file that is there already is never touched; `-`
    writes to standard output.
    """
    asks = sys.stdin.isatty() and not yes
    if file not in (None, "-") and os.path.lexists(_arch(file)):
        raise _there_already(_arch(file))
    plan = _plan(task, shape, classes, data, asks)
    proposed = _arch(plan.data if plan.data in CARRIED else plan.input)
    if file is None:
        file = _ask("File", _free(proposed), NewFile(), True) if asks else proposed
    name = proposed if file == "-" else _arch(file)
    text = _checked(name, first_file(plan, _network_name(name)))
    if text is None:
        return WRONG
    if file == "-":
        written(text.encode())
        return 0
    with writing(name):
        try:
            with open(name, "x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        except FileExistsError:
            raise _there_already(name) from None
    quoted = shlex.quote(name)
    then = "" if plan.data == NO_DATA else f", then `archdsl train {quoted}`"
    message(f"wrote {name}; see `archdsl analyze {quoted}`{then}")
    if plan.data in CARRIED and not _is_there(plan.data):
        message(f"the examples of {plan.data} come with `pip install 'archdsl[data]'`")
    return 0


def _arch(file: str) -> str:
    from archdsl.project import ARCH

    return file if file.endswith(ARCH) else file + ARCH


def _free(name: str) -> str:
    """A name like this one that no file has."""
    stem = name.removesuffix(_arch(""))
    others = (_arch(f"{stem}{number}") for number in count(2))
    return next(one for one in chain([name], others) if not os.path.lexists(one))


def _there_already(name: str) -> Refused:
    return Refused(f"{name} is there already, and is left as it is")


# ------------------------------------------------------------------------------ what is wanted


def _plan(
    task: str | None, shape: tuple[int, ...] | None, classes: int | None, data: str | None, asks: bool
) -> Plan:
    """What is said, asked for or else chosen. Raises `UsageError` where it does not go together."""
    if task is None:
        task = "signal" if data in ("mnist1d", "time_series") else "classify"
        task = _ask("For what is it", task, click.Choice(TASKS), asks and data is None)
    fitting = _fitting(task, shape)
    if data is None:
        data = _ask("Data to train on", fitting[0], click.Choice(fitting), asks)
    elif data not in fitting:
        of = f" of {_written(shape)}" if shape else ""
        raise click.UsageError(f"--data {data} is not for `{task}`{of}; it takes {', '.join(fitting)}")
    if data in CARRIED:
        carried, known = _described(data)
        if classes not in (None, known):
            raise click.UsageError(f"--data {data} has {known} classes: leave out --classes")
        return Plan(task, data, carried, known)
    if shape is None:
        usual = {"image_folder": "3x224x224", "time_series": "1x128", "signal": "1x128", "segment": "3x64x64"}
        shape = _ask("Shape of an example", usual.get(data, usual.get(task, "3x32x32")), Shape(), asks)
        assert shape is not None
        if data not in _fitting(task, shape):
            raise click.UsageError(f"--data {data} is not for `{task}` of {_written(shape)}")
    usual_classes = 2 if task == "segment" else 10
    classes = classes or _ask("Number of classes", usual_classes, Classes(), asks)
    assert classes is not None
    return Plan(task, data, shape, classes)


def _ask(question: str, default: Any, kind: click.ParamType, asks: bool) -> Any:
    """The answer to a question, or the default where none is asked."""
    return click.prompt(question, default, type=kind, err=True) if asks else kind.convert(default, None, None)


def _fitting(task: str, shape: tuple[int, ...] | None) -> list[str]:
    """The data that a task can have, the best first."""
    axes = {"classify": (0, 1, 2, 3), "segment": (1, 2, 3), "signal": (1,)}[task]
    if shape is not None and len(shape) - 1 not in axes:
        raise click.UsageError(f"--input {_written(shape)} is not for `{task}`: see `archdsl new --help`")
    found = []
    if task != "segment":
        series = task == "signal" or (None if shape is None else len(shape) == 2)
        found += [data for data in CARRIED if series in (None, data == "mnist1d")]
        found = [data for data in found if shape in (None, _described(data)[0])]
        # What can be trained on as things stand comes first.
        found.sort(key=lambda data: not _is_there(data))
        square = shape is None or (shape[0] in (1, 3) and len(shape) == 3 and shape[1] == shape[2])
        if square and not series and (shape is None or shape[1] * shape[2] <= _most_pixels()):
            found.append("image_folder")
        if series is not False:
            found.append("time_series")
    return [*found, "arrays", NO_DATA]


def _described(data: str) -> tuple[tuple[int, ...], int]:
    """The shape of an example of data that are carried, and how many classes they have."""
    from archdsl.recipes.data import Data

    described = Data.words[data].new().described()
    return described.shapes[0], described.target.classes


def _is_there(data: str) -> bool:
    """Whether data that are carried can be read here; what is generated always can."""
    from archdsl.problems import Fault
    from archdsl.recipes.data import Data

    try:
        Data.words[data].new().look()
    except Fault:
        return False
    return True


def _most_pixels() -> int:
    """How many pixels a picture of a folder may have."""
    from archdsl.recipes.data import ImageFolder

    return int(ImageFolder.arguments["pixels"].default)


def _written(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


# ------------------------------------------------------------------------------ what is written


def first_file(plan: Plan, name: str) -> str:
    """The text of a network and its recipe."""
    if not plan.extents:
        network = _of_features(plan, name)
    elif plan.task == "segment":
        network = _segmenting(plan, name)
    else:
        network = _classifying(plan, name)
    return network + _recipe(plan)


_UNIT = """
## A convolution that keeps the extents, normalised.
block Unit(channels) {
  conv(channels, kernel=3, padding=same, bias=false) -> batch_norm -> relu
}
"""


def _of_features(plan: Plan, name: str) -> str:
    return f"""
## Which of {plan.classes} classes an example is.
network {name}(classes = {plan.classes}) {{
  input features: [{plan.shape[0]}]

  hidden1: linear(64) -> relu
  hidden2: linear(64) -> relu
  scores: linear(classes)

  expect scores.shape == [classes]
}}
"""


def _classifying(plan: Plan, name: str) -> str:
    extents = plan.extents
    lines: list[str] = []
    while len(lines) < STAGES and min(extents) >= 2 * SMALLEST:
        # Rounded up, no position is left unread.
        pool = "max_pool(2, ceil=true)" if any(extent % 2 for extent in extents) else "max_pool(2)"
        lines.append(f"stage{len(lines) + 1}: Unit({16 << len(lines)}) -> {pool}")
        extents = tuple(-(-extent // 2) for extent in extents)
    last, width = f"stage{len(lines) + 1}", 16 << len(lines)
    lines.append(f"{last}: Unit({width})")
    return f"""{_UNIT}
## Which of {plan.classes} classes {_article(plan.input)} is.
network {name}(classes = {plan.classes}) {{
  input {plan.input}: {list(plan.shape)}

  {_lines(lines)}
  global_avg_pool -> flatten
  scores: linear(classes)

  expect {last}.shape == {[width, *extents]}
  expect scores.shape == [classes]
}}
"""


def _segmenting(plan: Plan, name: str) -> str:
    stages = 0
    while stages < STAGES and all(extent % (2 << stages) == 0 for extent in plan.extents):
        stages += 1
    down = [f"down{i + 1}: Unit({16 << i})\nmax_pool(2)" for i in range(stages)]
    up = [
        f"conv_transpose({16 << i}, kernel=2, stride=2) -> concat(down{i + 1}) -> Unit({16 << i})"
        for i in reversed(range(stages))
    ]
    return f"""{_UNIT}
## Which of {plan.classes} classes each position of {_article(plan.input)} is: a path down that sees
## more, and a path up that sees where.
network {name}(classes = {plan.classes}) {{
  input {plan.input}: {list(plan.shape)}

  {_lines([*down, f"bottom: Unit({16 << stages})", *up])}
  scores: conv(classes, kernel=1)

  expect scores.shape == [classes, {", ".join(map(str, plan.extents))}]
}}
"""


def _lines(lines: list[str]) -> str:
    return "\n  ".join(lines)


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _recipe(plan: Plan) -> str:
    if plan.data == NO_DATA:
        return ""
    shape = list(plan.shape)
    channels, side = plan.shape[0], plan.shape[-1]
    targets = ", ".join(["n", *(map(str, plan.extents) if plan.task == "segment" else ())])
    data, where = {
        "image_folder": (
            f'image_folder("data", size={side}{", grey=true" if channels == 1 else ""})',
            "# The pictures of a class lie in data/train/CLASS, and others to test on in data/val/CLASS.",
        ),
        "time_series": (
            'time_series("data")',
            "# The series are in data/data_TRAIN.ts and data/data_TEST.ts.",
        ),
        "arrays": (
            'arrays("data.npz")',
            f"# data.npz has the arrays x [n, {str(shape)[1:]} and y [{targets}], which are classes from 0.",
        ),
    }.get(plan.data, (plan.data, ""))
    return f"""
{where}
train {{
  data = {data}
  loss = cross_entropy
  optimizer = adam(lr=0.003)
  schedule = cosine
  batch = 50
  epochs = 10
  initialize = he
}}
"""


def _network_name(file: str) -> str:
    """A network's name from a file's: `my_digits.arch` has `MyDigits`."""
    stem = os.path.splitext(os.path.basename(file))[0]
    name = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", stem))
    # `N` is the batch.
    return name if name[:1].isalpha() and name not in ("N", "Unit") else "First"


def _checked(name: str, text: str) -> str | None:
    """The file in its canonical layout; None, and said why, where the network can't be."""
    from archdsl.checking import check_file
    from archdsl.source import Source
    from archdsl.syntax.formatter import format

    laid_out = format(text, name)
    found = check_file(Source(name, laid_out)).diagnostics
    if any(diagnostic.severity == "error" for diagnostic in found):
        show(found)
        return None
    return laid_out
