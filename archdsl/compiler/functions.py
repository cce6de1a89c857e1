"""The functions of numbers and lists that the language has: `min`, `round`, `range`, `zip` and the others.

Each takes values as they are and raises what Python does where they are not its own: `TypeError` for those of
another kind, `ValueError` for those it is not defined for, `OverflowError` for a result that is too large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from archdsl.compiler import limits
from archdsl.compiler.signatures import Signature
from archdsl.compiler.values import is_list, is_number, items_of
from archdsl.sizes import Symbolic, is_size, maximum, minimum


class TooLong(Exception):
    """A list that would be longer than lists may be."""


def _extreme(choose: Callable[..., Any], symbolic: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        numbers = values[0] if len(values) == 1 and isinstance(values[0], tuple) else values
        if not numbers:
            raise ValueError
        if any(isinstance(n, Symbolic) for n in numbers):
            return symbolic(*_sized(numbers))
        return choose(_numbers(numbers))

    return extreme


def _numbers(values: Any) -> Any:
    if not all(is_number(v) for v in values):
        raise TypeError
    return values


def _sized(values: Any) -> Any:
    if not all(is_size(v) for v in values):
        raise TypeError
    return values


def _rounded(rounding: Callable[[Any], int]) -> Callable[[Any], Any]:
    def rounded(value: Any) -> Any:
        if is_size(value):
            return value
        if not isinstance(value, float):
            raise TypeError
        return rounding(value)

    return rounded


def _round(value: Any, digits: Any = None) -> Any:
    if digits is None:
        return _rounded(round)(value)
    if isinstance(value, Symbolic) or not is_number(value) or not isinstance(digits, int):
        raise TypeError
    return round(value, max(-20, min(20, digits)))


def _sqrt(value: Any) -> Any:
    if isinstance(value, Symbolic) or not is_number(value):
        raise TypeError
    if isinstance(value, int) and value >= 0 and math.isqrt(value) ** 2 == value:
        return math.isqrt(value)
    return math.sqrt(value)


def _log2(value: Any) -> Any:
    if isinstance(value, Symbolic) or not is_number(value):
        raise TypeError
    if isinstance(value, int) and value > 0 and value & (value - 1) == 0:
        return value.bit_length() - 1
    return math.log2(value)


def _sequence(value: Any) -> tuple[Any, ...]:
    if not is_list(value):
        raise TypeError
    return items_of(value)


def _sum(values: Any) -> Any:
    total: Any = 0
    for value in _numbers(_sequence(values)):
        total = total + value
    if isinstance(total, int) and abs(total) > limits.NUMBER:
        raise OverflowError
    return total


def _range(*ends: Any) -> tuple[int, ...]:
    whole = [int(e) if isinstance(e, float) and e.is_integer() else e for e in ends]
    if any(isinstance(e, bool) or not isinstance(e, int) for e in whole):
        raise TypeError
    numbers = range(*whole)
    # A range of up to 2**64 numbers has no len().
    steps = abs(numbers.stop - numbers.start) // abs(numbers.step)
    if steps > limits.LIST:
        raise TooLong
    return tuple(numbers)


def _zip(*lists: Any) -> tuple[Any, ...]:
    return tuple(zip(*(_sequence(one) for one in lists), strict=False))


FUNCTIONS: dict[str, tuple[Signature, Callable[..., Any]]] = {
    "min": (Signature.of_builtin("min", ("values",), many=True), _extreme(min, minimum)),
    "max": (Signature.of_builtin("max", ("values",), many=True), _extreme(max, maximum)),
    "ceil": (Signature.of_builtin("ceil", ("x",)), _rounded(math.ceil)),
    "floor": (Signature.of_builtin("floor", ("x",)), _rounded(math.floor)),
    "round": (Signature.of_builtin("round", ("x", "digits"), optional=1), _round),
    "sqrt": (Signature.of_builtin("sqrt", ("x",)), _sqrt),
    "log2": (Signature.of_builtin("log2", ("x",)), _log2),
    "len": (Signature.of_builtin("len", ("list",)), lambda values: len(_sequence(values))),
    "sum": (Signature.of_builtin("sum", ("list",)), _sum),
    "range": (Signature.of_builtin("range", ("start", "end", "step"), optional=2), _range),
    "reverse": (Signature.of_builtin("reverse", ("list",)), lambda values: _sequence(values)[::-1]),
    "zip": (Signature.of_builtin("zip", ("lists",), many=True), _zip),
}
LIST_FUNCTIONS = ("len", "sum", "reverse", "zip")
