"""The arguments of layers: their kinds, limits and defaults.

A kind checks what a file gave and brings it into the one form that the rules read. It knows no
source: what is wrong is raised as a `Fault`, and the compiler adds the place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from archdsl.problems.problem import listed
from archdsl.sizes import at_least, is_size

AXIS_WORDS = ("channels", "length", "height", "width", "depth")


@dataclass(frozen=True)
class Kind:
    """A kind of argument.

    `expected` says in words what it takes. `words` are read as themselves before any name of the
    file. `check` returns the value in the form that rules read, or None where it does not fit.
    `role` is `"number"` for everything that is a plain value; `"value"` takes a label as a further
    input of the layer, `"like"` takes a label and gives the layer its shape, `"pool"` takes the
    label of a max_pool, gives the layer that pooling's indices as its second input, and has the
    pooling's node as its value (its `layer`, and the shape it took as `inputs[0].shape`).
    """

    expected: str
    check: Callable[[Any], Any]
    words: frozenset[str] = frozenset()
    role: str = "number"
    most: float | None = None
    """The largest number, where `expected` says nothing of it."""

    def spelt(self) -> list[str]:
        """The words that it takes, truth values among them."""
        truth = self.check(True) is True and self.check(1) is None
        return sorted(self.words) + (["true", "false"] if truth else [])


class Required:
    """The default of an argument that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


@dataclass(frozen=True)
class SameAs:
    """A default that is another argument's value: `stride=kernel`."""

    name: str


@dataclass(frozen=True)
class Parameter:
    """An argument as a layer's class declares it. `name` is filled in from the class's body."""

    kind: Kind
    documentation: str
    default: Any = REQUIRED
    name: str = ""

    @property
    def required(self) -> bool:
        return isinstance(self.default, Required)


def argument(kind: Kind, documentation: str, default: Any = REQUIRED) -> Any:
    """Declare an argument in a layer's class: `channels: int = argument(positive, "...")`."""
    return Parameter(kind, documentation, default)


def declared(owner: type) -> dict[str, Parameter]:
    """The arguments that a class itself declares, by their names in the language and in their order.

    One that is called like something else of its class has an underscore after it there.
    """
    own = ((key.removesuffix("_"), value) for key, value in owner.__dict__.items())
    return {name: replace(value, name=name) for name, value in own if isinstance(value, Parameter)}


def written(value: object) -> str:
    """An argument's value as a file writes it."""
    if isinstance(value, SameAs):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        short = f"{value:g}"
        return (short if float(short) == value else repr(value)).replace("e-0", "e-")
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    return "none" if value is None else str(value)


# ------------------------------------------------------------------------------ kinds
# Whole numbers may be symbolic sizes; what a symbol may be (at least 1) decides their limits.


def _whole(least: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        whole = is_size(value) and at_least(value, least) is not False
        return value if whole else None

    return check


def _per_axis(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One value for all axes, or a list with one for each axis (checked against the axes later)."""

    def check_all(value: Any) -> Any:
        if not isinstance(value, tuple):
            return check(value)
        checked = tuple(check(v) for v in value)
        return checked if 1 <= len(checked) <= 3 and None not in checked else None

    return check_all


def _padding(value: Any) -> Any:
    if value == "same":
        return value
    natural = _whole(0)
    if not isinstance(value, tuple):
        return natural(value)
    return _sides(value, natural)


def _amount(value: Any) -> Any:
    whole = _whole_any
    return _sides(value, whole) if isinstance(value, tuple) else whole(value)


def _sides(value: tuple[Any, ...], check: Callable[[Any], Any]) -> Any:
    """`[1, 2]` (one an axis) or `[[1, 2], [0, 1]]` (a pair an axis), as pairs or numbers."""
    if not 1 <= len(value) <= 3:
        return None
    sides: list[Any] = []
    for side in value:
        if isinstance(side, tuple):
            pair = tuple(check(v) for v in side)
            if len(pair) != 2 or None in pair:
                return None
            sides.append(pair)
        else:
            checked = check(side)
            if checked is None:
                return None
            sides.append(checked)
    return tuple(sides)


def _whole_any(value: Any) -> Any:
    return value if is_size(value) else None


LARGEST_FLOAT = 3e38
"""Of torch's float32."""

LARGEST = 1e15
"""What no number may pass that has no limit of its own: the products of a few are still floats."""


def _number(low: float, high: float, open_low: bool = False, open_high: bool = False) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if isinstance(value, float) and not isfinite(value):
            return None
        above = value > low if open_low else value >= low
        below = value < high if open_high else value <= high
        return value if above and below else None

    return check


def up_to(least: int, most: int) -> Kind:
    """Whole numbers within limits."""
    whole = _whole(least)

    def check(value: Any) -> Any:
        checked = whole(value)
        return checked if checked is not None and at_least(most - checked, 0) is not False else None

    return Kind(f"a whole number from {least} to {most:,}", check)


positive = Kind("a positive whole number", _whole(1))
natural = Kind("a whole number of at least 0", _whole(0))
integer = Kind("a whole number", _whole_any)
boolean = Kind("true or false", lambda value: value if isinstance(value, bool) else None)
number = Kind("a number", _number(-LARGEST_FLOAT, LARGEST_FLOAT), most=LARGEST_FLOAT)
positive_number = Kind("a number above 0", _number(0, LARGEST, open_low=True), most=LARGEST)
small = Kind("a number above 0 and below 1", _number(0, 1, open_low=True, open_high=True))
non_negative_number = Kind("a number of at least 0", _number(0, LARGEST), most=LARGEST)
fraction = Kind("a number from 0 to 1", _number(0, 1))
part = Kind("a number between 0 and 1", _number(0, 1, open_low=True, open_high=True))
rate = Kind("a number from 0 up to, but not including, 1", _number(0, 1, open_high=True))

extent = Kind("a positive whole number, or a list with one an axis", _per_axis(_whole(1)))
naturals = Kind("a whole number of at least 0, or a list with one an axis", _per_axis(_whole(0)))
factors = Kind("a number above 0, or a list with one an axis", _per_axis(_number(0, LARGEST, open_low=True)))
padding = Kind(
    "`same`, a whole number of at least 0, a list with one an axis, or a list of pairs "
    "`[[before, after], ...]`",
    _padding,
    frozenset({"same"}),
)
amount = Kind("a whole number, a list with one an axis, or a list of pairs `[[before, after], ...]`", _amount)
axis = Kind(
    "an axis: `channels`, `length`, `height`, `width` or `depth`",
    lambda value: value if value in AXIS_WORDS else None,
    frozenset({"channels", "length", "height", "width", "depth"}),
)
axis_or_all = Kind(
    "an axis (`channels`, `length`, `height`, `width`, `depth`) or `all`",
    lambda value: value if value in AXIS_WORDS or value == "all" else None,
    frozenset({"channels", "length", "height", "width", "depth", "all"}),
)


def _list_of(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check_all(value: Any) -> Any:
        if not isinstance(value, tuple) or not value:
            return None
        checked = tuple(check(v) for v in value)
        return None if None in checked else checked

    return check_all


sizes = Kind("a list of positive whole numbers", _list_of(_whole(1)))
indices = Kind("a list of whole numbers of at least 0", _list_of(_whole(0)))
shape = Kind(
    "a list of positive whole numbers, of which one may be `_`",
    _list_of(lambda value: "_" if value == "_" else _whole(1)(value)),
    frozenset({"_"}),
)
axes = Kind(
    "a list of axes, channels among them: `[channels, width, height]`, or by number `[0, 2, 1]`",
    _list_of(lambda value: value if value in AXIS_WORDS or _whole(0)(value) is not None else None),
    frozenset({"channels", "length", "height", "width", "depth"}),
)

further_value = Kind("the label of a value", lambda value: value, role="value")
like = Kind("the label of a value", lambda value: value, role="like")
pool = Kind("the label of a max_pool", lambda value: value, role="pool")


def choice(*words: str) -> Kind:
    """One of a few words."""
    return Kind(
        listed([f"`{word}`" for word in words], "or"),
        lambda value: value if value in words else None,
        frozenset(words),
    )
