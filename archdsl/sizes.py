"""Sizes: whole numbers, or expressions in symbols such as `H` and `W`.

A size is a plain `int` wherever it can be, and otherwise a `Symbolic`: a polynomial with integer
coefficients over atoms. An atom is a symbol (the size of something, hence at least 1), a floor
division that can't be simplified, or a maximum or minimum that can't be decided. Arithmetic keeps one
normal form, so that equal shapes come out as equal objects:

- like terms are collected, and what is constant collapses to an `int`;
- in `p // n` the coefficients of `p` are brought into 0 to n - 1 (`(H - 1)//2 + 1` is `(H + 1)//2`), a
  common divisor is cancelled (`(2*H + 1)//2` is `H`), and a division of a division becomes one
  (`((H + 1)//2 + 1)//2` is `(H + 3)//4`).

Growth is bounded (`TooLarge`), so that no file can exhaust the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, gcd
from typing import Any, Literal

MAX_TERMS = 200
MAX_DEGREE = 16
MAX_COEFFICIENT = 2**63
MAX_DEPTH = 40
MAX_WEIGHT = 2_000


class Undecided(ArithmeticError):
    """A question about sizes, a clause after "whether", whose answer depends on the symbols' values."""

    def __init__(self, question: str = "", symbols: Iterable[str] = ()) -> None:
        self.question = question
        self.symbols = tuple(sorted(symbols))
        super().__init__(f"whether {question} depends on {', '.join(self.symbols)}" if question else "")


class TooLarge(ArithmeticError):
    """An expression that has grown past the bounds."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A size that has no number yet: at least 1."""

    name: str


@dataclass(frozen=True, slots=True)
class Quotient:
    """`numerator // divisor`, in lowest terms; the divisor is at least 1."""

    numerator: Size
    divisor: Size


@dataclass(frozen=True, slots=True)
class Extreme:
    """The largest or smallest of several sizes, where the symbols decide which."""

    name: Literal["max", "min"]
    operands: tuple[Size, ...]


Atom = Symbol | Quotient | Extreme
Monomial = tuple[tuple[Atom, int], ...]
Bound = int | None


class Symbolic:
    """A polynomial over atoms, in normal form. Immutable; made by `symbol` and by arithmetic."""

    __slots__ = ("_bounds", "_hash", "_text", "depth", "terms", "weight")

    terms: dict[Monomial, int]

    def __init__(self, terms: dict[Monomial, int]) -> None:
        """`terms` must be free of zeros and have a term that is not constant."""
        depth = weight = 0
        for monomial in terms:
            weight += 1
            for atom, _ in monomial:
                atom_depth, atom_weight = _extent(atom)
                weight += atom_weight
                depth = max(depth, atom_depth)
        if len(terms) > MAX_TERMS:
            raise TooLarge(f"a size of more than {MAX_TERMS} terms")
        if depth > MAX_DEPTH or weight > MAX_WEIGHT:
            raise TooLarge("a size of too many nested divisions")
        for monomial, coefficient in terms.items():
            if sum(power for _, power in monomial) > MAX_DEGREE:
                raise TooLarge(f"a size of a degree above {MAX_DEGREE}")
            if not -MAX_COEFFICIENT < coefficient < MAX_COEFFICIENT:
                raise TooLarge("a size with a coefficient above 2**63")
        self.terms = terms
        self.depth = depth
        self.weight = weight
        self._hash = hash(frozenset(terms.items()))
        self._text: str | None = None
        self._bounds: tuple[Bound, Bound] | None = None

    # ------------------------------------------------------------------------ arithmetic

    def __add__(self, other: Size) -> Size:
        if not is_size(other):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, coefficient in _terms(other).items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _collected(terms)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return Symbolic({monomial: -coefficient for monomial, coefficient in self.terms.items()})

    def __pos__(self) -> Size:
        return self

    def __sub__(self, other: Size) -> Size:
        return self + -other if is_size(other) else NotImplemented

    def __rsub__(self, other: Size) -> Size:
        return -self + other if is_size(other) else NotImplemented

    def __mul__(self, other: Size) -> Size:
        if not is_size(other):
            return NotImplemented
        if isinstance(other, int):
            return _collected({monomial: coefficient * other for monomial, coefficient in self.terms.items()})
        if len(self.terms) * len(other.terms) > MAX_TERMS * MAX_TERMS:
            raise TooLarge(f"a size of more than {MAX_TERMS} terms")
        terms: dict[Monomial, int] = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                monomial = _times(left, right)
                terms[monomial] = terms.get(monomial, 0) + a * b
        return _collected(terms)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Size:
        if isinstance(exponent, bool) or not isinstance(exponent, int) or exponent < 0:
            return NotImplemented
        if exponent > MAX_DEGREE:
            raise TooLarge(f"a size of a degree above {MAX_DEGREE}")
        result: Size = 1
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Size) -> Size:
        return _floor_division(self, other) if is_size(other) else NotImplemented

    def __rfloordiv__(self, other: Size) -> Size:
        return _floor_division(other, self) if is_size(other) else NotImplemented

    def __mod__(self, other: Size) -> Size:
        return self - other * (self // other) if is_size(other) else NotImplemented

    def __rmod__(self, other: Size) -> Size:
        return other - self * (other // self) if is_size(other) else NotImplemented

    # ------------------------------------------------------------------------ comparison

    def __eq__(self, other: object) -> bool:
        """Whether the normal forms are the same; see `equal` for equality as numbers."""
        if self is other:
            return True
        return isinstance(other, Symbolic) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __ge__(self, other: Size) -> bool:
        return _decided(_at_least(self - other, 0), self, other) if is_size(other) else NotImplemented

    def __gt__(self, other: Size) -> bool:
        return _decided(_at_least(self - other, 1), self, other) if is_size(other) else NotImplemented

    def __le__(self, other: Size) -> bool:
        return not self > other if is_size(other) else NotImplemented

    def __lt__(self, other: Size) -> bool:
        return not self >= other if is_size(other) else NotImplemented

    def __bool__(self) -> bool:
        answer = _equal(self, 0)
        if answer is None:
            raise Undecided(f"{self} is 0", symbols_of(self))
        return not answer

    # ------------------------------------------------------------------------ text

    def __str__(self) -> str:
        """Python source whose value, given the symbols' numbers, is the size."""
        if self._text is None:
            ordered = sorted(self.terms.items(), key=_term_order)
            if ordered[0][1] < 0:
                first = next((i for i, (_, coefficient) in enumerate(ordered) if coefficient > 0), 0)
                ordered.insert(0, ordered.pop(first))
            text = ""
            for monomial, coefficient in ordered:
                sign = "-" if coefficient < 0 else "+"
                lead = ("-" if coefficient < 0 else "") if not text else f" {sign} "
                text += lead + _term_text(monomial, abs(coefficient), alone=lead in ("", " + ", " - "))
            self._text = text
        return self._text

    __repr__ = __str__


Size = int | Symbolic
"""A whole number, known or in symbols."""


def symbol(name: str) -> Symbolic:
    """The size called `name`."""
    return Symbolic({((Symbol(name), 1),): 1})


def is_size(value: Any) -> bool:
    """Whether a value is a whole number or an expression of such (truth values are not)."""
    return (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, Symbolic)


@dataclass(frozen=True, slots=True)
class Question:
    """Whether `left` is `right`, or at least `right`: what the symbols decide."""

    relation: Literal["equal", "at least"]
    left: Size
    right: Size


_answer: ContextVar[Callable[[Question], bool | None]] = ContextVar("answer", default=lambda _: None)


@contextmanager
def answering(answer: Callable[[Question], bool | None]) -> Iterator[None]:
    """Have `at_least` and `equal` ask for what they can't decide.

    So rules that are written for all sizes tell on what they depend, and what they say in each case.
    """
    before = _answer.set(answer)
    try:
        yield
    finally:
        _answer.reset(before)


def at_least(a: Size, n: int) -> bool | None:
    """Whether `a >= n` for all values of the symbols (True), for none (False), or undecided (None)."""
    decided = _at_least(a, n)
    return _answer.get()(Question("at least", a, n)) if decided is None else decided


def equal(a: Size, b: Size) -> bool | None:
    """Whether `a == b` for all values of the symbols (True), for none (False), or undecided (None)."""
    decided = _equal(a, b)
    return _answer.get()(Question("equal", a, b)) if decided is None else decided


def _at_least(a: Size, n: int) -> bool | None:
    if isinstance(a, int):
        return a >= n
    low, high = bounds(a)
    if low is not None and low >= n:
        return True
    if high is not None and high < n:
        return False
    return None


def _equal(a: Size, b: Size) -> bool | None:
    if a == b:
        return True
    if isinstance(a, int) and isinstance(b, int):
        return False
    difference = a - b
    if isinstance(difference, int):
        return difference == 0
    low, high = bounds(difference)
    if (low is not None and low > 0) or (high is not None and high < 0):
        return False
    divisor = gcd(*(coefficient for monomial, coefficient in difference.terms.items() if monomial))
    return False if difference.terms.get((), 0) % divisor else None


def bounds(a: Size) -> tuple[Bound, Bound]:
    """A lower and an upper bound of `a` over all values of the symbols; None where none is known."""
    if isinstance(a, int):
        return a, a
    if a._bounds is None:
        low, high = _interval(a.terms)
        other_low = _relaxed_lower(a.terms)
        other_high = _relaxed_lower({monomial: -coefficient for monomial, coefficient in a.terms.items()})
        if other_low is not None and (low is None or other_low > low):
            low = other_low
        if other_high is not None and (high is None or -other_high < high):
            high = -other_high
        a._bounds = low, high
    return a._bounds


def ceil_div(a: Size, n: Size) -> Size:
    """`a / n` rounded up; `n` is at least 1."""
    return (a + (n - 1)) // n


def divide_exactly(a: Size, n: Size) -> Size | None:
    """`a / n` where it is whole whatever the symbols are, else None. `n` is not 0."""
    if isinstance(a, int) and isinstance(n, int):
        return a // n if a % n == 0 else None
    return _exact(_terms(a), _terms(n))


def maximum(*values: Size) -> Size:
    """The largest value; an expression `max(...)` where the symbols decide which it is."""
    return _extreme("max", values)


def minimum(*values: Size) -> Size:
    """The smallest value; an expression `min(...)` where the symbols decide which it is."""
    return _extreme("min", values)


def substitute(a: Size, values: Mapping[str, Size]) -> Size:
    """`a` with sizes in place of symbols."""
    if isinstance(a, int):
        return a
    known: dict[Atom, Size] = {}
    total: Size = 0
    for monomial, coefficient in a.terms.items():
        product: Size = coefficient
        for atom, power in monomial:
            value = known.get(atom)
            if value is None:
                value = known[atom] = _substituted(atom, values)
            product = product * value**power
        total = total + product
    return total


def symbols_of(a: Size) -> set[str]:
    """The names of the symbols in `a`."""
    if isinstance(a, int):
        return set()
    names: set[str] = set()
    for atom in {atom for monomial in a.terms for atom, _ in monomial}:
        if isinstance(atom, Symbol):
            names.add(atom.name)
        else:
            for part in _parts(atom):
                names |= symbols_of(part)
    return names


# ------------------------------------------------------------------------------ normal form


def _terms(a: Size) -> dict[Monomial, int]:
    if isinstance(a, int):
        return {(): a} if a else {}
    return a.terms


def _collected(terms: dict[Monomial, int]) -> Size:
    kept = {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    return Symbolic(kept)


def _of(atom: Atom) -> Symbolic:
    return Symbolic({((atom, 1),): 1})


def _parts(atom: Quotient | Extreme) -> tuple[Size, ...]:
    return (atom.numerator, atom.divisor) if isinstance(atom, Quotient) else atom.operands


def _extent(atom: Atom) -> tuple[int, int]:
    """How deep an atom is nested, and of how many terms it is made."""
    if isinstance(atom, Symbol):
        return 0, 1
    parts = [part for part in _parts(atom) if isinstance(part, Symbolic)]
    return 1 + max(part.depth for part in parts), 1 + sum(part.weight for part in parts)


def _times(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: _atom_order(item[0])))


def _floor_division(a: Size, n: Size) -> Size:
    """`a // n`, where one of them is symbolic."""
    if isinstance(n, int):
        if n == 0:
            raise ZeroDivisionError("division of a size by zero")
        return _divided(a, n) if n > 0 else _divided(-a, -n)
    if _at_least(n, 1) is not True:
        raise Undecided(f"{n} is above 0", symbols_of(n))
    exact = _exact(_terms(a), n.terms)
    if exact is not None:
        return exact
    low, high = bounds(a)
    least = bounds(n)[0]
    if low is not None and high is not None and least is not None and 0 <= low and high < least:
        return 0
    return _of(Quotient(a, n))


def _divided(a: Size, n: int) -> Size:
    """`a // n` for an integer n above 0, in normal form."""
    if isinstance(a, int):
        return a // n
    whole: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, coefficient in a.terms.items():
        whole[monomial], rest[monomial] = divmod(coefficient, n)
    constant = rest.pop((), 0)
    rest = {monomial: coefficient for monomial, coefficient in rest.items() if coefficient}
    quotient = _collected(whole)
    if not rest:
        return quotient
    common = gcd(n, *rest.values())
    n //= common
    constant //= common
    if n == 1:
        return quotient + _collected({m: c // common for m, c in rest.items()}) + constant
    rest = {monomial: coefficient // common for monomial, coefficient in rest.items()}
    inner = min((m for m, c in rest.items() if _is_quotient(m) and c == 1), key=_monomial_order, default=None)
    if inner is None:
        return quotient + _of(Quotient(_collected({**rest, (): constant}), n))
    # (x // m + s) // n is (x + m*s) // (m*n), whatever integer s is.
    atom = inner[0][0]
    assert isinstance(atom, Quotient) and isinstance(atom.divisor, int)
    del rest[inner]
    scaled = _collected({**rest, (): constant}) * atom.divisor
    return quotient + _divided(atom.numerator + scaled, atom.divisor * n)


def _is_quotient(monomial: Monomial) -> bool:
    if len(monomial) != 1 or monomial[0][1] != 1:
        return False
    atom = monomial[0][0]
    return isinstance(atom, Quotient) and isinstance(atom.divisor, int)


def _exact(a: dict[Monomial, int], n: dict[Monomial, int]) -> Size | None:
    """`a / n` where `n` divides every term of `a`, or is `a` times a whole number."""
    if len(n) == 1:
        ((divisor, by),) = n.items()
        quotient: dict[Monomial, int] = {}
        for monomial, coefficient in a.items():
            powers = dict(monomial)
            for atom, power in divisor:
                powers[atom] = powers.get(atom, 0) - power
            if coefficient % by or any(power < 0 for power in powers.values()):
                return None
            quotient[tuple((atom, power) for atom, power in powers.items() if power)] = coefficient // by
        return _collected(quotient)
    if not a:
        return 0
    if a.keys() != n.keys():
        return None
    first = next(iter(n))
    times, left = divmod(a[first], n[first])
    return times if not left and all(a[m] == times * c for m, c in n.items()) else None


def _extreme(name: Literal["max", "min"], values: tuple[Size, ...]) -> Size:
    operands: list[Size] = []
    for value in values:
        inner = _single(value)
        parts = inner.operands if isinstance(inner, Extreme) and inner.name == name else (value,)
        for part in parts:
            if any(_beats(name, kept, part) for kept in operands):
                continue
            operands = [kept for kept in operands if not _beats(name, part, kept)]
            operands.append(part)
    if len(operands) == 1:
        return operands[0]
    return _of(Extreme(name, tuple(sorted(operands, key=str))))


def _single(value: Size) -> Atom | None:
    """The atom that a size consists of, if it is one."""
    if isinstance(value, Symbolic) and len(value.terms) == 1:
        ((monomial, coefficient),) = value.terms.items()
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0]
    return None


def _beats(name: Literal["max", "min"], a: Size, b: Size) -> bool:
    """Whether `a` makes `b` superfluous in a maximum (minimum)."""
    difference = a - b if name == "max" else b - a
    return _at_least(difference, 0) is True


def _substituted(atom: Atom, values: Mapping[str, Size]) -> Size:
    if isinstance(atom, Symbol):
        value = values.get(atom.name)
        return _of(atom) if value is None else value
    parts = tuple(substitute(part, values) for part in _parts(atom))
    if isinstance(atom, Quotient):
        return parts[0] // parts[1]
    return _extreme(atom.name, parts)


def _decided(answer: bool | None, a: Size, b: Size) -> bool:
    if answer is None:
        raise Undecided(f"{a} or {b} is larger", symbols_of(a) | symbols_of(b))
    return answer


# ------------------------------------------------------------------------------ bounds


def _interval(terms: dict[Monomial, int]) -> tuple[Bound, Bound]:
    """Bounds by interval arithmetic, term by term."""
    low: Bound = 0
    high: Bound = 0
    for monomial, coefficient in terms.items():
        term: tuple[Bound, Bound] = (coefficient, coefficient)
        for atom, power in monomial:
            factor = _atom_bounds(atom)
            for _ in range(power):
                term = _product(term, factor)
        low = None if low is None or term[0] is None else low + term[0]
        high = None if high is None or term[1] is None else high + term[1]
    return low, high


def _product(a: tuple[Bound, Bound], b: tuple[Bound, Bound]) -> tuple[Bound, Bound]:
    infinity = float("inf")
    ends = [
        0 if 0 in (x, y) else x * y
        for x in (-infinity if a[0] is None else a[0], infinity if a[1] is None else a[1])
        for y in (-infinity if b[0] is None else b[0], infinity if b[1] is None else b[1])
    ]
    low, high = min(ends), max(ends)
    return (
        low if isinstance(low, int) else None,
        high if isinstance(high, int) else None,
    )


def _atom_bounds(atom: Atom) -> tuple[Bound, Bound]:
    if isinstance(atom, Symbol):
        return 1, None
    if isinstance(atom, Extreme):
        lows, highs = zip(*(bounds(operand) for operand in atom.operands), strict=True)
        if atom.name == "max":
            known = [low for low in lows if low is not None]
            return max(known, default=None), None if None in highs else max(highs)
        known = [high for high in highs if high is not None]
        return None if None in lows else min(lows), min(known, default=None)
    low, high = bounds(atom.numerator)
    least, most = bounds(atom.divisor)
    assert least is not None
    if isinstance(atom.divisor, int):
        return None if low is None else low // least, None if high is None else high // least
    if low is None or low < 0:
        return None, None if high is None else max(high // least, high // (most or high + 1), 0)
    return 0 if most is None else low // most, None if high is None else high // least


def _relaxed_lower(terms: dict[Monomial, int]) -> Bound:
    """A lower bound that sees how terms go together, such as 0 for `H - H//2`.

    Divisions are replaced by the rational expressions that bound them, (x - n + 1)/n and x/n; then
    every symbol is written as 1 + t with t at least 0. If no coefficient of a power of the t is negative,
    the constant is a bound.
    """
    pending = [(monomial, Fraction(coefficient)) for monomial, coefficient in terms.items()]
    shifted: dict[tuple[tuple[str, int], ...], Fraction] = {}
    steps = 0
    while pending:
        steps += 1
        if steps > MAX_WEIGHT:
            return None
        monomial, coefficient = pending.pop()
        atom = next((atom for atom, _ in monomial if not isinstance(atom, Symbol)), None)
        if atom is None:
            if not _shift(monomial, coefficient, shifted):
                return None
            continue
        rest = tuple((a, power - (a == atom)) for a, power in monomial if power > (a == atom))
        low, _ = _interval({rest: 1})
        if not isinstance(atom, Quotient) or not isinstance(atom.divisor, int) or low is None or low < 0:
            return None
        scale = coefficient / atom.divisor
        for inner, factor in _terms(atom.numerator).items():
            pending.append((_times(rest, inner), scale * factor))
        if coefficient > 0:
            pending.append((rest, -scale * (atom.divisor - 1)))
    constant = shifted.pop((), Fraction(0))
    return ceil(constant) if all(coefficient >= 0 for coefficient in shifted.values()) else None


def _shift(
    monomial: Monomial, coefficient: Fraction, shifted: dict[tuple[tuple[str, int], ...], Fraction]
) -> bool:
    """Add coefficient * monomial, each symbol as 1 + t, to `shifted`; False where it grows too large."""
    expanded: dict[tuple[tuple[str, int], ...], Fraction] = {(): coefficient}
    for atom, power in monomial:
        assert isinstance(atom, Symbol)
        row = [1]
        for _ in range(power):
            row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]
        expanded = {
            (*names, (atom.name, exponent)) if exponent else names: value * binomial
            for names, value in expanded.items()
            for exponent, binomial in enumerate(row)
        }
        if len(expanded) > MAX_WEIGHT:
            return False
    for names, value in expanded.items():
        shifted[names] = shifted.get(names, Fraction(0)) + value
    return len(shifted) <= MAX_WEIGHT


# ------------------------------------------------------------------------------ text


def side_by_side(extents: Iterable[object], sign: str) -> str:
    """`96 × 55 × 55`; among several a sum is in brackets, as in `8 × (H//2 + 1) × W`."""
    texts = [(extent, str(extent)) for extent in extents]
    if len(texts) == 1:
        return texts[0][1]
    return sign.join(
        f"({text})" if isinstance(extent, Symbolic) and len(extent.terms) > 1 else text
        for extent, text in texts
    )


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    if isinstance(atom, Extreme):
        return f"{atom.name}({', '.join(map(str, atom.operands))})"
    return f"{_operand(atom.numerator)}//{_operand(atom.divisor)}"


def _operand(a: Size) -> str:
    simple = isinstance(a, int) or isinstance(_single(a), Symbol | Extreme)
    return str(a) if simple and not str(a).startswith("-") else f"({a})"


def _term_text(monomial: Monomial, coefficient: int, alone: bool) -> str:
    if not monomial:
        return str(coefficient)
    single = len(monomial) == 1 and coefficient == 1 and alone
    factors = [] if coefficient == 1 else [str(coefficient)]
    for atom, power in monomial:
        text = _atom_text(atom)
        if isinstance(atom, Quotient) and not (single and power == 1):
            text = f"({text})"
        factors.append(text if power == 1 else f"{text}**{power}")
    return "*".join(factors)


def _atom_order(atom: Atom) -> tuple[int, str]:
    return (0 if isinstance(atom, Symbol) else 1 if isinstance(atom, Quotient) else 2), _atom_text(atom)


def _monomial_order(monomial: Monomial) -> tuple[Any, ...]:
    degree = sum(power for _, power in monomial)
    return -degree, tuple((*_atom_order(atom), -power) for atom, power in monomial)


def _term_order(term: tuple[Monomial, int]) -> tuple[Any, ...]:
    return _monomial_order(term[0])
