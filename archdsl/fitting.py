"""For which values of an open size two sizes agree: exactly.

The difference of two sizes in one symbol is made of floor divisions by whole numbers, and of maxima and
minima. From some value on it repeats itself with a period, up to a steady increase: if x(h + p) = x(h) + c,
then x // d takes p * d / gcd(c, d) to do the same, a sum the least common multiple of its terms' periods,
and of two operands of a maximum the one that increases faster wins for good. So what is tried for the values
up to there, and for one period more, holds for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import gcd, lcm
from typing import NamedTuple

from archdsl.sizes import Atom, Extreme, Quotient, Size, Symbol, substitute, symbols_of

LONGEST = 1_024
"""The most values of a symbol that are tried."""


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values from 1 on: `below` those before `start`, then all whose remainder is among some."""

    period: int
    remainders: frozenset[int]
    start: int = 1
    below: frozenset[int] = frozenset()

    def __contains__(self, value: int) -> bool:
        return value in self.below if value < self.start else value % self.period in self.remainders

    @property
    def everything(self) -> bool:
        return len(self.remainders) == self.period and len(self.below) == self.start - 1

    def both(self, other: Values) -> Values | None:
        """The values in both sets; None where that takes too long to say."""
        start, period = max(self.start, other.start), lcm(self.period, other.period)
        if start + period > LONGEST:
            return None
        return _tried(lambda value: value in self and value in other, start, period)

    def said(self, name: str) -> str:
        """`H mod 4 is 0 or 3`, to stand after "where"."""
        ends = [] if not self.below else [f"{name} is {_some(sorted(self.below))}"]
        if self.remainders:
            from_ = f", from {self.start} on" if self.start > 1 else ""
            if len(self.remainders) == self.period:
                ends.append(f"{name} >= {self.start}")
            else:
                ends.append(f"{name} mod {self.period} is {_some(sorted(self.remainders))}{from_}")
        return " or ".join(ends)


class _Steps(NamedTuple):
    """From `start` on a size grows by `increase` in every `period`."""

    period: int
    increase: int
    start: int


class _Unknown(Exception):
    """A size that is none of those, or takes too long to repeat itself."""


def agreeing(a: Size, b: Size) -> tuple[str, Values] | None:
    """The only symbol on which it depends whether two sizes agree, and for which values they do.

    None where it depends on several symbols, or where it can't be told.
    """
    difference = a - b
    names = symbols_of(difference)
    if len(names) != 1:
        return None
    (name,) = names

    def agree(value: int) -> bool:
        return substitute(difference, {name: value}) == 0

    try:
        period, increase, start = _steps(difference, name)
        if not increase:
            return name, _tried(agree, start, period)
        # In each class of remainders the difference only grows or only falls: it is 0 once at most.
        last = start
        for value in range(start, start + period):
            first = substitute(difference, {name: value})
            assert isinstance(first, int)
            rounds, rest = divmod(-first, increase)
            if rounds >= 0 and not rest:
                last = max(last, value + rounds * period + 1)
        if last > LONGEST:
            return None
    except _Unknown:
        return None
    return name, _simplest(1, frozenset(), last, frozenset(v for v in range(1, last) if agree(v)))


def _tried(holds: Callable[[int], bool], start: int, period: int) -> Values:
    below = frozenset(value for value in range(1, start) if holds(value))
    remainders = frozenset(value % period for value in range(start, start + period) if holds(value))
    return _simplest(period, remainders, start, below)


def _simplest(period: int, remainders: frozenset[int], start: int, below: frozenset[int]) -> Values:
    """The set with the shortest period, from as early on as that holds."""
    for shorter in range(1, period):
        few = frozenset(r % shorter for r in remainders)
        if period % shorter == 0 and remainders == {r for r in range(period) if r % shorter in few}:
            period, remainders = shorter, few
            break
    while start > 1 and (start - 1 in below) == ((start - 1) % period in remainders):
        start -= 1
    return Values(period, remainders, start, frozenset(value for value in below if value < start))


def _steps(a: Size, name: str) -> _Steps:
    if isinstance(a, int):
        return _Steps(1, 0, 1)
    found = _Steps(1, 0, 1)
    for monomial, coefficient in a.terms.items():
        if not monomial:
            continue
        if len(monomial) != 1 or monomial[0][1] != 1:
            raise _Unknown
        period, increase, start = _of_atom(monomial[0][0], name)
        together = _bounded(lcm(found.period, period))
        total = found.increase * (together // found.period) + coefficient * increase * (together // period)
        found = _Steps(together, total, max(found.start, start))
    return found


def _of_atom(atom: Atom, name: str) -> _Steps:
    if isinstance(atom, Symbol):
        return _Steps(1, 1, 1)
    if isinstance(atom, Quotient):
        divisor = atom.divisor
        if not isinstance(divisor, int):
            raise _Unknown
        period, increase, start = _steps(atom.numerator, name)
        rounds = divisor // gcd(increase, divisor)
        return _Steps(_bounded(period * rounds), increase * rounds // divisor, start)
    return _of_extreme(atom, name)


def _of_extreme(atom: Extreme, name: str) -> _Steps:
    each = [_steps(operand, name) for operand in atom.operands]
    period = _bounded(reduce(lcm, (steps.period for steps in each)))
    start = max(steps.start for steps in each)
    sign = 1 if atom.name == "max" else -1
    increases = [sign * steps.increase * (period // steps.period) for steps in each]
    winner = increases.index(max(increases))
    last = start
    for operand, increase in zip(atom.operands, increases, strict=True):
        faster = increases[winner] - increase
        if not faster:
            continue
        for value in range(start, start + period):
            ahead = sign * substitute(atom.operands[winner] - operand, {name: value})
            assert isinstance(ahead, int)
            last = max(last, start + max(0, -(ahead // faster)) * period)
    return _Steps(period, sign * increases[winner], _bounded(last))


def _bounded(number: int) -> int:
    if number > LONGEST:
        raise _Unknown
    return number


def _some(numbers: list[int]) -> str:
    """`0 or 3`, `0 to 3 or 8`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [
        part
        for run in runs
        for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(number) for number in run])
    ]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
