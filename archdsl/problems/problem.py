"""The form of every problem: data first, prose second."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, dataclass_transform

from archdsl.sizes import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning", "note"]

CATALOGUE: dict[str, type[Problem]] = {}
"""Every problem by its name (`channel-mismatch`)."""


@dataclass_transform(frozen_default=True)
class Problem:
    """Something that can be wrong with a file.

    A subclass is a frozen dataclass, without saying so. Its fields are the evidence, its methods the
    words, and its docstring the page that `archdsl explain NAME` prints: what is wrong, why, a wrong
    program in an ```` ```arch ```` fence, and its mend in a second one. Its name is the class's in
    kebab case.
    """

    name: ClassVar[str]
    severity: ClassVar[Severity] = "error"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = kebab(cls.__name__)
        if cls.name in CATALOGUE:
            raise TypeError(f"two problems are called {cls.name}")
        CATALOGUE[cls.name] = cls

    def __new__(cls, *fields: Any, **named: Any) -> Self:
        # Most runs meet no problem, and dataclasses for them all would be a fifth of a start.
        if "__dataclass_fields__" not in cls.__dict__:
            dataclass(frozen=True)(cls)
        return super().__new__(cls)

    def message(self) -> str:
        """The headline: what was found, in the words of the file."""
        raise NotImplementedError

    def label(self) -> str:
        """What stands beside the underlined text: usually what was expected."""
        return ""

    def notes(self) -> tuple[str, ...]:
        """Further evidence, a line each."""
        return ()

    def help(self) -> str | None:
        """The mend, in words."""
        return None

    def replacement(self) -> str | None:
        """The mend as text in place of what is underlined, where it is mechanical."""
        return None

    def together(self, other: Problem) -> Problem | None:
        """Itself and another of its kind at the same place as one; None where the first says it all."""
        return None


def kebab(name: str) -> str:
    """`channel-mismatch`, of `ChannelMismatch` as of `CHANNEL_MISMATCH`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return words.lower().replace("_", "-")


class Fault(Exception):
    """Raised by a rule that knows what is wrong but not where.

    `argument` names the argument at fault, `inputs` are the indices of the inputs at fault; with
    neither, the fault is the layer's. The compiler adds the place and where the inputs came from.
    """

    def __init__(self, problem: Problem, argument: str | None = None, inputs: tuple[int, ...] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.argument = argument
        self.inputs = inputs


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that `name` was most likely meant to be, if one is as alike as `cutoff`, of 1."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`there is no column 'mac'; did you mean macs?`, or which there are."""
    names = list(known)
    meant = nearest(name, names)
    others = f"did you mean {meant}?" if meant else f"there are {listed(names)}"
    return f"there is no {what} {name!r}; {others}"


def extents(size: Iterable[object]) -> str:
    """Extents as people write them: `11 x 11`."""
    return side_by_side(size, " x ")


def listed(names: Iterable[object], last: str = "and") -> str:
    """`a, b and c`."""
    words = [str(name) for name in names]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def sizes_to_give(symbols: Iterable[str]) -> str:
    """The options by which open sizes become numbers."""
    return listed(f"`--size {symbol}=...`" for symbol in sorted(symbols))


def plural(count: object, noun: str) -> str:
    """`1 input`, `3 inputs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
