"""Whether what a file expects of its network is the case."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from archdsl.compiler.depth import deep
from archdsl.compiler.expressions import (
    COMPARISONS,
    EQUALITY,
    NO_WORDS,
    Evaluator,
    Facts,
    not_a_condition,
    words_for,
)
from archdsl.compiler.frames import Frame
from archdsl.compiler.network import Wire
from archdsl.compiler.reporting import Failed, Reporter, Stop
from archdsl.compiler.values import Labelled, PerAxis, Rounds, show
from archdsl.diagnostics import Diagnostic, Label
from archdsl.problems.expectations import ExpectationFailed, ExpectationUndecided
from archdsl.sizes import Undecided, is_size, symbols_of
from archdsl.syntax import tree
from archdsl.syntax.builder import UNITS


@dataclass(frozen=True, slots=True)
class Outcome:
    """One `expect` line: whether it holds, None where a symbol decides."""

    expectation: tree.Expect
    holds: bool | None


@deep()
def check(
    expectations: list[tuple[tree.Expect, Frame]], facts: Facts, sizes: dict[str, int]
) -> tuple[list[Outcome], list[Diagnostic]]:
    """Every expectation held against the facts of the analysed network."""
    reporter = Reporter()
    evaluator = Evaluator(reporter, sizes, facts)
    outcomes: list[Outcome] = []
    with suppress(Stop):
        for expectation, frame in expectations:
            with suppress(Failed):
                holds = _holds(expectation.test, frame, evaluator, reporter)
                outcomes.append(Outcome(expectation, holds))
    return outcomes, reporter.diagnostics


def _holds(test: tree.Expression, frame: Frame, evaluator: Evaluator, reporter: Reporter) -> bool | None:
    """Whether an expectation holds, None where a symbol decides, after reporting what is not the case.

    Of conditions that are joined by `and` the first one that does not hold is reported, and it alone.
    """
    undecided: tree.Expression | None = None
    for part in _joined(test):
        try:
            value = evaluator.evaluate(part, frame)
        except Undecided:
            undecided = undecided or part
            continue
        if not isinstance(value, bool):
            raise reporter.fail(not_a_condition(part, value), part.span)
        if not value:
            labels, uneven = _ends(evaluator, part, frame, "ends at")
            reporter.report(_failed(evaluator, part, frame, uneven), part.span, labels)
            return False
    if undecided is None:
        return True
    symbols = tuple(sorted(_symbols(evaluator, undecided, frame)))
    labels, uneven = _ends(evaluator, undecided, frame, "may end at")
    problem = ExpectationUndecided(f"`{undecided.span.text}`", symbols, uneven)
    reporter.report(problem, undecided.span, labels)
    return None


def _joined(test: tree.Expression) -> list[tree.Expression]:
    """The conditions that are joined by `and`, which may be one."""
    found: list[tree.Expression] = []
    waiting = [test]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tree.Binary) and part.operator == "and":
            waiting += [part.right, part.left]
        else:
            found.append(part)
    return found


def _failed(evaluator: Evaluator, test: tree.Expression, frame: Frame, uneven: bool) -> ExpectationFailed:
    """Both sides of what does not hold, as far as they are not literally in the file."""
    sides: list[tuple[str, str]] = []
    values: list[Any] = []
    compared = _sides(test)
    units = {side.unit for side, _ in compared if isinstance(side, tree.Number)}
    unit = units.pop() if len(units) == 1 else ""
    for side, words in compared:
        try:
            value = evaluator.evaluate(side, frame, words)
        except Undecided:
            # Beside another that does not hold, whatever this one is.
            continue
        values.append(value[0] if _same_for_all(value) else value)
        literal = isinstance(side, tree.Name) and side.id in words
        if not literal and not isinstance(side, tree.Number | tree.String | tree.List | tree.Constant):
            sides.append((f"`{side.span.text}`", _shown(value, unit)))
    difference = None
    unlike = any(isinstance(value, PerAxis) and len(set(value)) > 1 for value in values)
    every = unlike and any(is_size(value) or isinstance(value, float) for value in values)
    if (
        len(values) == 2
        and values[0] != values[1]
        and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    ):
        difference = f"the difference is {_in_unit(values[0] - values[1], unit, '+')}"
    return ExpectationFailed(f"`{test.span.text}`", tuple(sides), difference, every, uneven)


def _ends(
    evaluator: Evaluator, test: tree.Expression, frame: Frame, how: Literal["ends at", "may end at"]
) -> tuple[tuple[Label, ...], bool]:
    """Where each answer that is none ended, or each that is undecided may; and whether a turn at an input."""
    found: dict[Label, None] = {}
    uneven = False
    for side, _ in _sides(test):
        if not isinstance(side, tree.Attribute):
            continue
        try:
            none, undecided = evaluator.evaluate(side, frame) is None, False
        except Undecided:
            none, undecided = False, True
        if not (none if how == "ends at" else undecided):
            continue
        owner = evaluator.evaluate(side.value, frame)
        value = owner.value if isinstance(owner, Labelled | Rounds) else owner
        if isinstance(value, Wire) and evaluator.facts is not None:
            node = evaluator.facts.ended_by(value, side.name)
            if node is not None:
                found[Label(node.defined or node.use, f"`{side.span.text}` {how} `{node.name}`")] = None
                uneven |= side.name == "rotation" and not node.inputs
    return tuple(found), uneven


def _sides(test: tree.Expression) -> list[tuple[tree.Expression, frozenset[str]]]:
    """What is compared, and which words each may be."""
    if isinstance(test, tree.Binary):
        if test.operator in EQUALITY:
            return [(test.left, words_for(test.right)), (test.right, words_for(test.left))]
        if test.operator in COMPARISONS:
            return [(test.left, NO_WORDS), (test.right, NO_WORDS)]
        if test.operator in ("and", "or"):
            return [*_sides(test.left), *_sides(test.right)]
    if isinstance(test, tree.Unary) and test.operator == "not":
        return _sides(test.operand)
    return []


def _shown(value: Any, unit: str) -> str:
    if _same_for_all(value):
        return show(value[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return _in_unit(value, unit)
    return show(value)


def _same_for_all(value: Any) -> bool:
    """Whether it is one number for every axis."""
    return isinstance(value, PerAxis) and len(set(value)) == 1


def _in_unit(number: int, unit: str, sign: str = "") -> str:
    """`1.5KiB`, and `1.49KiB (1_530)` where the number is rounded; without a unit as it is."""
    exact = f"{number:{sign}_}"
    factor = UNITS[unit]
    if abs(number) < factor / 100 or not unit:
        return exact
    rounded = f"{number / factor:{sign}_.2f}".rstrip("0").removesuffix(".") + unit
    return rounded if 100 * number % factor == 0 else f"{rounded} ({exact})"


def _symbols(evaluator: Evaluator, test: tree.Expression, frame: Frame) -> set[str]:
    found: set[str] = set()
    for side, words in _sides(test):
        try:
            value = evaluator.evaluate(side, frame, words)
        except Undecided:
            # A peak or an answer, which may depend on every size that there is.
            found |= evaluator.facts.symbols if evaluator.facts is not None else set()
            continue
        if isinstance(value, Labelled | Rounds):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if is_size(one):
                found |= symbols_of(one)
    return found
