"""Options that many commands share, and the values they take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isnan
from typing import Any, TypeVar

import click

from archdsl.precision import MOST, PRECISIONS

Command = TypeVar("Command", bound=Callable[..., Any])

TRAIN = "train."
"""What a `--set` begins with that is for the recipe, not for the network."""


class Assignment(click.ParamType):
    """`KEY=VALUE`, as a pair of texts."""

    name = "KEY=VALUE"

    def __init__(self, example: str) -> None:
        self._example = example

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        key, equals, text = (part.strip() for part in value.partition("="))
        if not (key.removeprefix(TRAIN) and equals and text):
            self.fail(f"{value!r} is not of the form {self._example}", parameter, context)
        return key, text


class Number(click.FloatRange):
    """A number in a range, which what is no number is not."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        found = super().convert(value, parameter, context)
        if isnan(found):
            self.fail(f"{value} is not in the range {self._describe_range()}.", parameter, context)
        return found


class Sized(Assignment):
    """`H=512`."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        key, text = super().convert(value, parameter, context)
        size = _size(text)
        if size is None:
            self.fail(f"{text!r} is not a positive whole number, as in {self._example}", parameter, context)
        return key, size


class Shaped(Assignment):
    """`image=3,512,512`, or `image=3x512x512`; a name in capitals, as in `image=3,H,W`, is left open."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        key, text = super().convert(value, parameter, context)
        from archdsl.compiler.expressions import BATCH, SYMBOL

        parts = [part.strip() for part in text.strip("[]").replace("x", ",").split(",")]
        shape = [part if SYMBOL.match(part) and part != BATCH else _size(part) for part in parts]
        if None in shape:
            self.fail(f"{text!r} is not a shape, as in {self._example}", parameter, context)
        return key, tuple(shape)


class Extents(click.ParamType):
    """`6` or `4,6`: extents along the spatial axes."""

    name = "N[,N]"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        sizes = tuple(_size(part.strip()) for part in value.split(","))
        if None in sizes:
            self.fail(f"{value!r} is not of the form 6 or 4,6", parameter, context)
        return sizes


class Names(click.ParamType):
    """`name,shape,macs`: names of what there is, which is asked for where it is needed.

    `shown` are other names that are taken for them, those that people read.
    """

    def __init__(
        self,
        what: str,
        known: Callable[[], Iterable[str]],
        shown: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.name = f"{what.upper()},..."
        self._what = what
        self._known = known
        self._shown = shown

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from archdsl.problems import unknown

        known = [*self._known()]
        shown = {} if self._shown is None else self._shown()
        given = (name.strip() for name in value.split(","))
        names = tuple(name if name in known else shown.get(name, name) for name in given)
        for name in names:
            if name not in known:
                self.fail(unknown(self._what, name, known), parameter, context)
        return names


def _size(text: str) -> int | None:
    digits = text.replace("_", "")
    return (
        int(digits)
        if digits.isascii() and digits.isdecimal() and len(digits) < 19 and int(digits) > 0
        else None
    )


def python_option(command: Command) -> Command:
    """`--allow-python`: without it nothing that a file names is run."""
    words = "Run the Python that the file names: layers it imports, a function that gives data."
    return click.option("--allow-python", is_flag=True, help=words)(command)


def batch_options(command: Command) -> Command:
    """`--batch` and `--precision`: what the figures of memory are for."""
    batch = click.option(
        "--batch", type=click.IntRange(1, MOST), default=1, metavar="N", help="Examples at once [1]."
    )
    precision = click.option(
        "--precision",
        type=click.Choice([*PRECISIONS]),
        help="What numbers are stored as [float32, in training steps as the recipe says].",
    )
    return batch(precision(command))


def teach_option(command: Command) -> Command:
    """`--teach`: notes on what a network does that one should know of."""
    words = "Say what one should know of the network, too: aliasing, shifts, fields too small or too large."
    return click.option("--teach", is_flag=True, help=words)(command)


def network_options(no_recipe: str | None = None) -> Callable[[Command], Command]:
    """`--set`, `--size` and `--input`: what a network is compiled with.

    Where keys of the recipe can't be set, `no_recipe` says why.
    """
    what = "Set a parameter of the network (classes=10)"
    what += "." if no_recipe else " or a key of the recipe (train.batch=64)."
    size = "Give a symbol of the shapes its number (H=512)."
    shape = "Replace the shape of an input (image=3,512,512, or image=3,H,W with open sizes)."

    def without_recipe(context: click.Context, parameter: click.Parameter, pairs: Any) -> Any:
        if no_recipe and recipe_settings(pairs):
            raise click.UsageError(f"{no_recipe}: leave out --set train....")
        return _each_once(context, parameter, pairs)

    def add(command: Command) -> Command:
        for option in (
            _replacing("--input", "inputs", Shaped("image=3,512,512"), "NAME=SHAPE", shape),
            _replacing("--size", "sizes", Sized("H=512"), "SYMBOL=N", size),
            _replacing("--set", "settings", Assignment("classes=10"), "KEY=VALUE", what, without_recipe),
        ):
            command = option(command)
        return command

    return add


def run_options(help: str) -> Callable[[Command], Command]:
    """`--set` where a run is asked: keys of its recipe."""
    example = Assignment('train.data=arrays("new.npz")')
    return _replacing("--set", "settings", example, "train.KEY=VALUE", help)


def _each_once(context: click.Context, parameter: click.Parameter, pairs: Any) -> Any:
    """Refuse what is given twice: which of the two is meant can't be told."""
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise click.BadParameter(f"{key!r} is given twice", context, parameter)
        seen.add(key)
    return pairs


def _replacing(
    option: str,
    called: str,
    kind: Assignment,
    metavar: str,
    help: str,
    check: Callable[[click.Context, click.Parameter, Any], Any] = _each_once,
) -> Callable[[Command], Command]:
    """An option that may be there several times, for a name each."""
    return click.option(option, called, multiple=True, type=kind, metavar=metavar, help=help, callback=check)


def stated(*names: str) -> list[str]:
    """Those of some options that stand on the command line, as they stand there."""
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    return [f"--{name.replace('_', '-')}" for name in names if context.get_parameter_source(name) is source]


def parameters(settings: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The settings that are for the network."""
    return {key: text for key, text in settings if not key.startswith(TRAIN)}


def recipe_settings(settings: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The settings that are for the recipe, by their keys in the `train` block."""
    return {key.removeprefix(TRAIN): text for key, text in settings if key.startswith(TRAIN)}
