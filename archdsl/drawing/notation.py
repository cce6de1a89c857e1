"""Equations as text and as LaTeX, and how their parts are written."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from archdsl.analysis.formula import (
    Call,
    Formula,
    Index,
    Negative,
    Number,
    Over,
    Product,
    Quotient,
    Sum,
    Symbol,
)

if TYPE_CHECKING:
    from archdsl.analysis.equation import Equations

LETTERS = {
    "ω": r"\omega",
    "β": r"\beta",
    "γ": r"\gamma",
    "δ": r"\delta",
    "μ": r"\mu",
    "σ": r"\sigma",
    "ε": r"\varepsilon",
}
FUNCTIONS = {"exp", "log", "tanh", "max", "min"}
"""Those that LaTeX knows by their names."""


# ------------------------------------------------------------------------------ text


def plain(found: Equations) -> str:
    """A line an equation, and the notes below."""
    lines = [f"{_plain(line.left)} = {_plain(line.right)}" for line in found.lines]
    return "\n".join([*lines, *(("", *found.notes) if found.notes else ())])


def written(index: Index, minus: str = "-") -> str:
    """An index as it is written, without spaces: `2i-1`, and `5-m`, what is taken away last."""
    parts = [(times, name) for name, times in index.terms]
    if index.constant or not parts:
        parts.append((index.constant, ""))
    text = ""
    for times, name in sorted(parts, key=lambda part: part[0] < 0):
        sign = minus if times < 0 else "+" if text else ""
        text += f"{sign}{'' if abs(times) == 1 and name else abs(times)}{name}"
    return text


def number(value: float | Fraction) -> str:
    """A number as it is written."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def terms(formula: Sum) -> list[tuple[bool, Formula]]:
    """The terms of a sum, and whether each is taken away."""
    return [(True, t.inner) if isinstance(t, Negative) else (False, t) for t in formula.terms]


def bracketed(formula: Formula) -> bool:
    """Whether a factor needs brackets."""
    return isinstance(formula, Sum | Negative)


def _plain(formula: Formula) -> str:
    match formula:
        case Number(value):
            return number(value)
        case Symbol(letter, indices, square):
            below = ",".join(written(index) for index in indices)
            low = f"_{below}" if len(below) == 1 else f"_{{{below}}}" if below else ""
            return f"{letter}{'²' if square else ''}{low}"
        case Negative(inner):
            return f"-{_factor(inner)}"
        case Sum():
            return "".join(
                (" - " if taken else " + ") * (k > 0) + ("-" if taken and not k else "") + _plain(term)
                for k, (taken, term) in enumerate(terms(formula))
            )
        case Product(factors):
            return " ".join(
                f"({_plain(factor)})" if isinstance(factor, Quotient) else _factor(factor)
                for factor in factors
            )
        case Quotient(top, bottom):
            return f"{_factor(top)} / {_below(bottom)}"
        case Call(name, arguments):
            inside = ", ".join(_plain(argument) for argument in arguments)
            return f"a[{inside}]" if name == "a" else f"{name}({inside})"
        case Over(operation, index, last, inner):
            sign = "Σ" if operation == "sum" else "max"
            return f"{sign}_{{{index}=1..{last}}} {_factor(inner)}"


def _factor(formula: Formula) -> str:
    return f"({_plain(formula)})" if bracketed(formula) else _plain(formula)


def _below(formula: Formula) -> str:
    return (
        f"({_plain(formula)})"
        if isinstance(formula, Sum | Negative | Product | Quotient)
        else _plain(formula)
    )


# ------------------------------------------------------------------------------ LaTeX


def latex(found: Equations) -> str:
    r"""An `align*` of amsmath, and the notes as comments."""
    lines = " \\\\\n".join(f"  {_latex(line.left)} &= {_latex(line.right)}" for line in found.lines)
    notes = "".join(f"% {note}\n" for note in found.notes)
    return f"{notes}\\begin{{align*}}\n{lines}\n\\end{{align*}}"


def _latex(formula: Formula) -> str:
    match formula:
        case Number(Fraction() as value) if value.denominator != 1:
            return rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"
        case Number(value):
            return number(value)
        case Symbol(letter, indices, square):
            below = ", ".join(written(index) for index in indices)
            return f"{LETTERS.get(letter, letter)}{'^2' if square else ''}{f'_{{{below}}}' if below else ''}"
        case Negative(inner):
            return f"-{_latex_factor(inner)}"
        case Sum():
            return "".join(
                (" - " if taken else " + ") * (k > 0) + ("-" if taken and not k else "") + _latex(term)
                for k, (taken, term) in enumerate(terms(formula))
            )
        case Product(factors):
            return r" \, ".join(_latex_factor(factor) for factor in factors)
        case Quotient(top, bottom):
            return rf"\frac{{{_latex(top)}}}{{{_latex(bottom)}}}"
        case Call("sqrt", (inner,)):
            return rf"\sqrt{{{_latex(inner)}}}"
        case Call(name, arguments):
            inside = ", ".join(_latex(argument) for argument in arguments)
            if name == "a":
                return rf"a\left[{inside}\right]"
            function = rf"\{name}" if name in FUNCTIONS else rf"\operatorname{{{name}}}"
            return rf"{function}\left({inside}\right)"
        case Over(operation, index, last, inner):
            if operation == "sum":
                return rf"\sum_{{{index}=1}}^{{{last}}} {_latex_factor(inner)}"
            return rf"\max_{{1 \le {index} \le {last}}} {_latex_factor(inner)}"


def _latex_factor(formula: Formula) -> str:
    return rf"\left({_latex(formula)}\right)" if bracketed(formula) else _latex(formula)
