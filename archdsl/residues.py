"""For which values of an open size two sizes agree, or one is at least the other: exactly.

The difference of two sizes in one symbol is made of sums and products, floor divisions by whole numbers, and
maxima and minima. With a period p, from some value on, it is a polynomial in every class of remainders: what
x(h), x(h + p), x(h + 2 p), ... give. Sums and products of such have the least common multiple of the periods.
If x(h + p) = x(h) + c, then x // d takes p * d / gcd(c, d) to be one again; of a degree n above 1 it takes
p * d * lcm(1, ..., n) at most, after which every binomial coefficient comes back, modulo d. Of two operands
of a maximum the same one wins for good behind the last zero of their difference. So what is tried for the
values up to there, and for one period more, holds for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from math import ceil, gcd, lcm
from typing import NamedTuple

from archdsl.sizes import Atom, Extreme, Question, Size, Symbol, substitute, symbols_of

LONGEST = 1_024
"""The most values of a symbol that are tried, unless more are asked for."""


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
        return tried(lambda value: value in self and value in other, start, period)

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


class _Pieces(NamedTuple):
    """From `start` on a size is a polynomial of at most this degree in each class modulo the period."""

    period: int
    degree: int
    start: int


class _Unknown(Exception):
    """A size that is none of those, or takes too long to repeat itself."""


def agreeing(a: Size, b: Size) -> tuple[str, Values] | None:
    """The only symbol on which it depends whether two sizes agree, and for which values they do.

    None where it depends on several symbols, or where it can't be told.
    """
    names = symbols_of(a - b)
    if len(names) != 1:
        return None
    (name,) = names
    values = holding(Question("equal", a, b), name)
    return None if values is None else (name, values)


def holding(question: Question, name: str, longest: int = LONGEST) -> Values | None:
    """For which values of the only symbol on which it depends the answer is yes.

    None where it can't be told, or takes more than the `longest` trial of values.
    """
    difference = question.left - question.right
    at = _numbers(difference, name)
    is_equal = question.relation == "equal"
    try:
        pieces = _pieces(difference, name, longest)
        settled = _settled(at, pieces, longest)
    except _Unknown:
        return None
    if settled + pieces.period > longest:
        return None
    return tried(lambda value: at(value) == 0 if is_equal else at(value) >= 0, settled, pieces.period)


def tried(holds: Callable[[int], bool], start: int, period: int) -> Values:
    """The values for which something holds that repeats itself with a period from `start` on."""
    below = frozenset(value for value in range(1, start) if holds(value))
    remainders = frozenset(value % period for value in range(start, start + period) if holds(value))
    return _simplest(period, remainders, start, below)


def _simplest(period: int, remainders: frozenset[int], start: int, below: frozenset[int]) -> Values:
    """The set with the shortest period, from as early on as that holds."""
    for shorter in range(1, period):
        if period % shorter:
            continue
        few = frozenset(r % shorter for r in remainders)
        if len(few) * (period // shorter) == len(remainders):
            period, remainders = shorter, few
            break
    while start > 1 and (start - 1 in below) == ((start - 1) % period in remainders):
        start -= 1
    return Values(period, remainders, start, frozenset(value for value in below if value < start))


def _numbers(a: Size, name: str) -> Callable[[int], int]:
    """A size as a function of its only symbol."""

    def at(value: int) -> int:
        number = substitute(a, {name: value})
        assert isinstance(number, int)
        return number

    return at


def _pieces(a: Size, name: str, longest: int) -> _Pieces:
    found, degrees = _Pieces(1, 0, 1), [0]
    for monomial in () if isinstance(a, int) else a.terms:
        degree = 0
        for atom, power in monomial:
            one = _of_atom(atom, name, longest)
            degree += power * one.degree
            found = _Pieces(_bounded(lcm(found.period, one.period), longest), 0, max(found.start, one.start))
        degrees.append(degree)
    return found._replace(degree=max(degrees))


def _of_atom(atom: Atom, name: str, longest: int) -> _Pieces:
    if isinstance(atom, Symbol):
        return _Pieces(1, 1, 1)
    if isinstance(atom, Extreme):
        return _of_extreme(atom, name, longest)
    divisor = atom.divisor
    if not isinstance(divisor, int):
        raise _Unknown
    period, degree, start = _pieces(atom.numerator, name, longest)
    at = _numbers(atom.numerator, name)
    if degree > 1:
        rounds = divisor * lcm(*range(1, degree + 1))
    else:
        rounds = divisor // gcd(at(start + period) - at(start), divisor)
    return _Pieces(_bounded(period * rounds, longest), degree, start)


def _of_extreme(atom: Extreme, name: str, longest: int) -> _Pieces:
    each = [_pieces(operand, name, longest) for operand in atom.operands]
    period = _bounded(lcm(*(one.period for one in each)), longest)
    together = _Pieces(period, max(one.degree for one in each), max(one.start for one in each))
    pairs = combinations(atom.operands, 2)
    last = max(_settled(_numbers(a - b, name), together, longest) for a, b in pairs)
    return together._replace(start=last)


def _settled(at: Callable[[int], int], pieces: _Pieces, longest: int) -> int:
    """The value from which on a size has one sign in each class of remainders, or is 0."""
    period, degree, start = pieces
    last = start
    for value in range(start, start + period):
        changes = _last_change([at(value + i * period) for i in range(degree + 1)])
        last = _bounded(max(last, value + changes * period), longest)
    return last


def _last_change(values: list[int]) -> int:
    """From which n on a polynomial has one sign, given what it is at 0, 1, ... up to its degree.

    All its zeros lie within twice the largest of the i-th roots of its i-th coefficient from above, relative
    to the highest: Fujiwara, 1916.
    """
    differences: list[int] = []
    while values:
        differences.append(values[0])
        values = [b - a for a, b in pairwise(values)]
    while differences and not differences[-1]:
        differences.pop()
    if len(differences) < 2:
        return 0
    if len(differences) == 2:
        return max(0, -differences[0] // differences[1] + 1)
    # Newton's form: the i-th difference times n over i.
    coefficients = [Fraction(0)] * len(differences)
    over = [Fraction(1)]
    for i, difference in enumerate(differences):
        for power, coefficient in enumerate(over):
            coefficients[power] += difference * coefficient
        longer = [Fraction(0), *over]
        over = [(a - i * b) / (i + 1) for a, b in zip(longer, [*over, Fraction(0)], strict=True)]
    *rest, highest = coefficients
    try:
        largest: float = max(float(abs(c / highest)) ** (1 / i) for i, c in enumerate(reversed(rest), 1))
        return ceil(2 * largest) + 1
    except OverflowError:
        raise _Unknown from None


def _bounded(number: int, longest: int) -> int:
    if number > longest:
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
