"""What Python code gives, made what the language knows, or refused in plain words."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from archdsl.compiler import Options
from archdsl.compiler.expressions import BATCH, SYMBOL
from archdsl.precision import PRECISIONS, TRAINED_IN, Mixed
from archdsl.sizes import Symbolic

Parameters = Mapping[str, Any] | None
Sizes = Mapping[str, int] | None
Inputs = Mapping[str, Sequence[int | str]] | None


class Arguments(Options):
    """What replaces a file's own words, from Python code."""

    __slots__ = ()

    def called(self, kind: str, name: str) -> str:
        return f"{kind}[{name!r}]"


def options(parameters: Parameters, sizes: Sizes, inputs: Inputs) -> Options:
    """What replaces a file's own words. Raises `TypeError` and `ValueError`.

    Whole numbers may be of any kind that Python takes for one, as those of numpy are.
    """
    return Arguments(
        {name: _value(f"parameter {name!r}", one) for name, one in _named("parameters", parameters)},
        {name: whole(f"size {name!r}", size, 1) for name, size in _named("sizes", sizes)},
        {name: _shape(name, shape) for name, shape in _named("inputs", inputs)},
    )


def whole(what: str, value: object, least: int, most: int | None = None) -> int:
    """A whole number in its range. Raises `TypeError` and `ValueError`."""
    limits = f"a whole number {f'from {least}' if most is None else f'from {least} to {most:_}'}"
    number = _index(value)
    if number is None:
        raise TypeError(f"{what} is {limits}, not {value!r}")
    if number < least or (most is not None and number > most):
        raise ValueError(f"{what} is {limits}, not {number}")
    return number


def bytes_of(precision: object) -> int:
    """The bytes of a number at a precision. Raises `ValueError`."""
    return PRECISIONS[_precision("a precision", precision, PRECISIONS)]


def mixed(what: str, precision: object) -> Mixed | None:
    """Training in a precision; None where that is float32. Raises `ValueError`."""
    known = _precision(what, precision, TRAINED_IN)
    return None if known == "float32" else Mixed(known)


def weights(given: object) -> str | Mapping[str, Any]:
    """A file, or tensors by name. Raises `TypeError`."""
    if isinstance(given, str | Mapping):
        return given
    if isinstance(given, os.PathLike):
        return os.fsdecode(given)
    expected = "a file, or a mapping of names to tensors, as `state_dict()` gives it"
    raise TypeError(f"weights are {expected}, not {type(given).__name__}")


def prefixes(what: str, given: object) -> tuple[str, ...]:
    """Names, or one alone. Raises `TypeError`."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise TypeError(f"{what} is a list of names, or one, not {given!r}")
    names = tuple(given)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{what} is a list of names, and {name!r} is none")
    return names


def prefix(what: str, given: object) -> str | None:
    """A name, or none. Raises `TypeError`."""
    if given is None or isinstance(given, str):
        return given
    raise TypeError(f"{what} is one name, not {given!r}")


def _precision(what: str, given: object, known: Iterable[str]) -> str:
    if not isinstance(given, str) or given not in known:
        from archdsl.problems import listed

        raise ValueError(f"{what} is {listed(map(repr, known), 'or')}, not {given!r}")
    return given


def _named(what: str, given: Mapping[str, Any] | None) -> Iterable[tuple[str, Any]]:
    if given is None:
        return ()
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{what} are a dictionary of what belongs to each name, not {given!r}")
    return given.items()


def _value(what: str, value: Any) -> Any:
    """A parameter's value, in which text is an expression of the language."""
    if value is None or isinstance(value, bool | str | Symbolic):
        return value
    number = _index(value)
    if number is not None:
        return number
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, list | tuple):
        return [_value(what, one) for one in value]
    raise TypeError(f"{what} is a number, a truth value, text, or a list of such, not {value!r}")


def _shape(name: str, shape: Any) -> tuple[int | str, ...]:
    """The shape of an input, in which a name in capitals is a size that is left open."""
    what = f"the shape of input {name!r}"
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise TypeError(f"{what} is a list of sizes, as in [3, 512, 512] or [3, 'H', 'W'], not {shape!r}")
    return tuple(_size(f"a size in {what}", size) for size in shape)


def _size(what: str, size: Any) -> int | str:
    if not isinstance(size, str):
        number = _index(size)
        if number is None:
            raise TypeError(f"{what} is a whole number, not {size!r}")
        return number
    if size == BATCH or not SYMBOL.fullmatch(size):
        raise ValueError(f"{what} is a whole number, or a name in capitals that leaves it open, not {size!r}")
    return size


def _index(value: Any) -> int | None:
    """A whole number as Python has it; None for what is none, as a truth value is."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
