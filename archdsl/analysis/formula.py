"""Formulas as data: what stands on both sides of an equation.

Indices count from 1 and are sums of multiples of letters, as 2i - 1.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, slots=True)
class Index:
    """A sum of letters, each so many times, and a number."""

    terms: tuple[tuple[str, int], ...]
    constant: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    value: int | float | Fraction


@dataclass(frozen=True, slots=True)
class Symbol:
    """A letter with its indices, as x_{c, 2i - 1}; `square` is that of a variance."""

    letter: str
    indices: tuple[Index, ...] = ()
    square: bool = False


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus a term."""

    inner: Formula


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms, one after the other."""

    terms: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """Factors, one after the other."""

    factors: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Quotient:
    """A fraction."""

    top: Formula
    bottom: Formula


@dataclass(frozen=True, slots=True)
class Call:
    """A function by its name: `exp`, `log`, `tanh`, `erf`, `sqrt`, `max`, `min`; or an activation, `a`."""

    name: str
    arguments: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Over:
    """A sum, or the maximum, of what stands inside for an index from 1 to `last`."""

    operation: Literal["sum", "max"]
    index: str
    last: str
    inner: Formula


Formula = Number | Symbol | Negative | Sum | Product | Quotient | Call | Over


@dataclass(frozen=True, slots=True)
class Equation:
    """What is on the left is what is on the right."""

    left: Formula
    right: Formula


def added(terms: list[Formula]) -> Formula:
    """The terms as a sum, or the one that there is."""
    return terms[0] if len(terms) == 1 else Sum(tuple(terms)) if terms else Number(0)


def multiplied(factors: list[Formula]) -> Formula:
    """The factors as a product, or the one that there is."""
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def read(text: str, names: Mapping[str, Formula]) -> Formula:
    """A formula as a layer's class has it, its names replaced."""
    return _read(ast.parse(text, mode="eval").body, names)


def _read(node: ast.expr, names: Mapping[str, Formula]) -> Formula:
    match node:
        case ast.Constant(value=value):
            assert isinstance(value, int | float)
            return Number(value)
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return Negative(_read(inner, names))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return Call(name, tuple(_read(argument, names) for argument in arguments))
        case ast.BinOp(left=left, op=operation, right=right):
            one, other = _read(left, names), _read(right, names)
            terms = one.terms if isinstance(one, Sum) else (one,)
            factors = one.factors if isinstance(one, Product) else (one,)
            match operation:
                case ast.Add():
                    return Sum((*terms, other))
                case ast.Sub():
                    return Sum((*terms, Negative(other)))
                case ast.Mult():
                    return Product((*factors, other))
                case ast.Div():
                    return Quotient(one, other)
    raise ValueError(f"no formula: {ast.unparse(node)}")
