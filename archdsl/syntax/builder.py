"""The nodes of the syntax tree, made as the automaton reduces.

Each method makes the value of one production of the grammar, which names it; its parameters are the
values of the production's symbols in their order, a token where the symbol is a terminal.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from typing import Any, TypeAlias

from archdsl.diagnostics import Label as Place
from archdsl.problems.bounds import ExpressionTooDeep, NestingTooDeep, NumberTooLarge, StringTooLong
from archdsl.problems.problem import Problem
from archdsl.problems.syntax import ChainedComparison, PositionalAfterNamed
from archdsl.problems.tokens import BadNumber
from archdsl.source import Source, Span
from archdsl.syntax.tokens import NESTING, Report, Token, Tokens
from archdsl.syntax.tree import (
    Argument,
    Attribute,
    Binary,
    Block,
    Broken,
    Call,
    Conditional,
    Constant,
    Expect,
    Expression,
    For,
    Group,
    If,
    Import,
    Index,
    Input,
    Item,
    Label,
    Let,
    Line,
    List,
    Name,
    Number,
    Output,
    Parallel,
    Parameter,
    Quoted,
    Repeat,
    Setting,
    Shared,
    Statement,
    String,
    Target,
    Train,
    Unary,
    Use,
)

DEPTH = 100
"""Operations of an expression that wait for each other."""

LARGEST = 2**63 - 1
"""The largest whole number that may be written."""

STRING = 4096
"""Characters of a string."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

_NUMBER = re.compile(
    r"([0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+)?)(K|M|G|KiB|MiB|GiB)?", re.ASCII
)
_LONGEST_NUMBER = 400
_UNITS_IN_SMALL = {unit.lower(): unit for unit in UNITS if unit}
_IN_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmg]?)b", re.ASCII | re.IGNORECASE)
UNIT_WORDS = frozenset({*_UNITS_IN_SMALL, "b", "kb", "mb", "gb"})
"""Units, and what is often written for one, in small letters."""

Head: TypeAlias = Block | Repeat | For | Parallel | If | Broken
Chain: TypeAlias = list[Item | Broken]


class Refused(Exception):
    """A statement that reads well but cannot be taken; it is left out."""

    def __init__(self, problem: Problem, span: Span) -> None:
        super().__init__(problem)
        self.problem = problem
        self.span = span


class Builder:
    """Makes the nodes of one file."""

    def __init__(self, source: Source, tokens: Tokens, report: Report) -> None:
        self.source = source
        self.tokens = tokens.tokens
        self.documentation = tokens.documentation
        self.report = report
        self._misplaced: set[int] = set()
        """The identities of arguments by position behind one by name; those that are reported are few."""

    def span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def at(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def label(self, token: Token) -> Label:
        return Label(Span(self.source, token.start, token.end), token.text)

    def broken(self, start: int, end: int) -> Broken:
        """A stretch that could not be read, with the names that it defines as far as can be seen."""
        tokens = self.tokens
        index = bisect_left(tokens, start, key=lambda token: token.start)
        names = []
        while index < len(tokens) and tokens[index].start < end:
            if tokens[index].kind == "NAME" and self._defines(index):
                names.append(self.label(tokens[index]))
            index += 1
        return Broken(self.span(start, end), names)

    def _defines(self, index: int) -> bool:
        """Whether a name is followed by `:`, or stands where a word of the language gives it meaning."""
        tokens = self.tokens
        after = index + 1
        while tokens[after].kind == "COMMA" and tokens[after + 1].kind == "NAME":
            after += 2
        if tokens[after].kind == "COLON":
            return True
        before = index - 1
        while before > 0 and tokens[before].kind == "COMMA" and tokens[before - 1].kind == "NAME":
            before -= 2
        return before >= 0 and tokens[before].kind in _DEFINING

    # -------------------------------------------------------------------------- lists

    def nothing(self) -> list[Any]:
        return []

    def one(self, first: Any) -> list[Any]:
        return [first]

    def another(self, items: list[Any], separator: Token, item: Any) -> list[Any]:
        items.append(item)
        return items

    def one_name(self, name: Token) -> list[Label]:
        return [self.label(name)]

    def another_name(self, names: list[Label], comma: Token, name: Token) -> list[Label]:
        names.append(self.label(name))
        return names

    # -------------------------------------------------------------------------- declarations

    def head(self, keyword: Token, name: Token) -> Block:
        return self.head_parameters(keyword, name, name, [])

    def head_empty(self, keyword: Token, name: Token, opened: Token, closed: Token) -> Block:
        return self.head_parameters(keyword, name, opened, [])

    def head_parameters(
        self, keyword: Token, name: Token, opened: Token, parameters: list[Parameter], *rest: Token
    ) -> Block:
        return Block(
            self.span(keyword.start, name.end),
            name.text,
            self.at(name),
            parameters,
            [],
            keyword.kind == "NETWORK",
            self.documentation.get(keyword.start, ""),
        )

    def parameter(self, name: Token) -> Parameter:
        return Parameter(self.at(name), name.text, self.at(name), None)

    def parameter_default(self, name: Token, equal: Token, default: Expression) -> Parameter:
        return Parameter(self.span(name.start, default.span.end), name.text, self.at(name), default)

    def import_names(self, keyword: Token, names: list[Label], origin: Token, path: Token) -> Import:
        value = self.string(path)
        return Import(self.span(keyword.start, path.end), names, value.value, value.span)

    def train(self, keyword: Token) -> Train:
        return Train(self.at(keyword), None, None, [])

    def train_network(self, keyword: Token, name: Token) -> Train:
        return Train(self.span(keyword.start, name.end), name.text, self.at(name), [])

    def train_empty(self, head: Train | Broken, opened: Token, closed: Token) -> Train | Broken:
        return self.train_settings(head, opened, [], closed)

    def train_settings(
        self, head: Train | Broken, opened: Token, settings: list[Setting | Broken], closed: Token
    ) -> Train | Broken:
        if isinstance(head, Broken):
            return self.broken(head.span.start, closed.end)
        head.span = self.span(head.span.start, closed.end)
        head.settings = settings
        return head

    def setting(self, key: tuple[str, int, int], equal: Token, values: list[Expression]) -> Setting:
        text, start, end = key
        return Setting(self.span(start, values[-1].span.end), text, self.span(start, end), values)

    # -------------------------------------------------------------------------- statements

    def body_empty(self, opened: Token, closed: Token) -> Group:
        return Group(self.span(opened.start, closed.end), [])

    def body(self, opened: Token, statements: list[Statement], closed: Token) -> Group:
        return Group(self.span(opened.start, closed.end), statements)

    def with_body(self, head: Head, body: Group) -> Head:
        """A block, loop or choice, from its first line and its body."""
        if isinstance(head, Broken):
            return self.broken(head.span.start, body.span.end)
        if isinstance(head, If):
            head.then = body.body
        else:
            head.body = body.body
        head.span = self.span(head.span.start, body.span.end)
        return head

    def line(self, chain: Chain) -> Line | Broken:
        return self._line(chain[0].span.start, [], None, chain)

    def line_origin(self, origin: tuple[int, list[Expression]]) -> Line | Broken:
        return self._line(origin[0], [], origin[1], [])

    def line_origin_chain(
        self, origin: tuple[int, list[Expression]], arrow: Token, chain: Chain
    ) -> Line | Broken:
        return self._line(origin[0], [], origin[1], chain)

    def line_labels(self, labels: list[Label], colon: Token, chain: Chain) -> Line | Broken:
        return self._line(labels[0].span.start, labels, None, chain)

    def line_labels_origin(
        self, labels: list[Label], colon: Token, origin: tuple[int, list[Expression]]
    ) -> Line | Broken:
        return self._line(labels[0].span.start, labels, origin[1], [])

    def line_labels_origin_chain(
        self,
        labels: list[Label],
        colon: Token,
        origin: tuple[int, list[Expression]],
        arrow: Token,
        chain: Chain,
    ) -> Line | Broken:
        return self._line(labels[0].span.start, labels, origin[1], chain)

    def _line(
        self, start: int, labels: list[Label], origin: list[Expression] | None, chain: Chain
    ) -> Line | Broken:
        if chain:
            end = chain[-1].span.end
        else:
            assert origin is not None
            end = origin[-1].span.end
        items = [item for item in chain if not isinstance(item, Broken)]
        if len(items) < len(chain):
            return self.broken(start, end)
        documentation = self.documentation.get(start, "") if labels else ""
        return Line(self.span(start, end), labels, origin, items, documentation)

    def origin(self, keyword: Token, values: list[Expression]) -> tuple[int, list[Expression]]:
        return keyword.start, values

    def input(self, keyword: Token, names: list[Label]) -> Input:
        return Input(self.span(keyword.start, names[-1].span.end), names, None)

    def input_shape(self, keyword: Token, names: list[Label], colon: Token, shape: Expression) -> Input:
        return Input(self.span(keyword.start, shape.span.end), names, shape)

    def output(self, keyword: Token, values: list[Expression]) -> Output:
        return Output(self.span(keyword.start, values[-1].span.end), values)

    def let(self, keyword: Token, name: Token, equal: Token, value: Expression) -> Let:
        return Let(self.span(keyword.start, value.span.end), name.text, self.at(name), None, value)

    def let_function(
        self,
        keyword: Token,
        name: Token,
        opened: Token,
        parameters: list[Label],
        closed: Token,
        equal: Token,
        value: Expression,
    ) -> Let:
        return Let(self.span(keyword.start, value.span.end), name.text, self.at(name), parameters, value)

    def expect(self, keyword: Token, test: Expression) -> Expect:
        return Expect(self.span(keyword.start, test.span.end), test)

    def shared(self, keyword: Token, name: Token, colon: Token, chain: Chain) -> Shared | Broken:
        items = [item for item in chain if not isinstance(item, Broken)]
        end = chain[-1].span.end
        if len(items) < len(chain):
            return self.broken(keyword.start, end)
        return Shared(self.span(keyword.start, end), self.label(name), items)

    # -------------------------------------------------------------------------- items

    def dotted(self, name: Token) -> tuple[str, int, int]:
        return name.text, name.start, name.end

    def dotted_more(self, path: tuple[str, int, int], dot: Token, name: Token) -> tuple[str, int, int]:
        text, start, _ = path
        return f"{text}.{name.text}", start, name.end

    def use(self, path: tuple[str, int, int]) -> Use:
        name, start, end = path
        span = self.span(start, end)
        return Use(span, name, span, [], False)

    def use_arguments(self, path: tuple[str, int, int], arguments: tuple[list[Argument], int]) -> Use:
        name, start, end = path
        return Use(self.span(start, arguments[1]), name, self.span(start, end), arguments[0], True)

    def repeat(self, keyword: Token, count: Expression) -> Repeat:
        return Repeat(self.span(keyword.start, count.span.end), count, [])

    def for_each(self, keyword: Token, target: Target, within: Token, values: Expression) -> For:
        return For(self.span(keyword.start, values.span.end), target, values, [])

    def target(self, name: Token) -> Target:
        return Target(self.at(name), name.text, None)

    def target_list(self, opened: Token, items: list[Target], *rest: Token) -> Target:
        return Target(self.span(opened.start, rest[-1].end), None, items)

    def parallel(self, keyword: Token, join: Use) -> Parallel:
        return Parallel(self.span(keyword.start, join.span.end), join, [])

    def if_test(self, keyword: Token, test: Expression) -> If:
        return If(self.span(keyword.start, test.span.end), test, [], [])

    def choice(self, clauses: list[If | Broken]) -> If | Broken:
        return self._choice(clauses, None)

    def choice_else(self, clauses: list[If | Broken], keyword: Token, body: Group) -> If | Broken:
        return self._choice(clauses, body)

    def _choice(self, clauses: list[If | Broken], last: Group | None) -> If | Broken:
        """`if ... else if ... else ...`, each further clause inside the one before it."""
        end = clauses[-1].span.end if last is None else last.span.end
        otherwise: list[Statement] = [] if last is None else last.body
        if len(clauses) > NESTING:
            raise Refused(NestingTooDeep("choices", NESTING), clauses[NESTING].span)
        if any(isinstance(clause, Broken) for clause in clauses):
            return self.broken(clauses[0].span.start, end)
        choice: If | None = None
        for clause in reversed(clauses):
            assert isinstance(clause, If)
            if choice is not None:
                otherwise = [Line(choice.span, [], None, [choice])]
            clause.span = self.span(clause.span.start, end)
            clause.otherwise = otherwise
            choice = clause
        assert choice is not None
        return choice

    # -------------------------------------------------------------------------- arguments

    def arguments_empty(self, opened: Token, closed: Token) -> tuple[list[Argument], int]:
        return [], closed.end

    def arguments(self, opened: Token, arguments: list[Argument], *rest: Token) -> tuple[list[Argument], int]:
        return arguments, rest[-1].end

    def another_argument(self, arguments: list[Argument], comma: Token, argument: Argument) -> list[Argument]:
        last = arguments[-1]
        # Behind an argument that was in its place there is none with a name: the search is not begun.
        if argument.name is None and (last.name is not None or id(last) in self._misplaced):
            named = next(earlier for earlier in reversed(arguments) if earlier.name is not None)
            if named.name is not None:
                self._misplaced.add(id(argument))
                self.report(
                    PositionalAfterNamed(argument.span.text, named.name),
                    argument.span,
                    (Place(named.span, "this one has a name"),),
                )
        arguments.append(argument)
        return arguments

    def positional(self, value: Expression) -> Argument:
        return Argument(value.span, None, None, value)

    def named(self, name: Token, equal: Token, value: Expression) -> Argument:
        return Argument(self.span(name.start, value.span.end), name.text, self.at(name), value)

    # -------------------------------------------------------------------------- expressions

    def deeper(self, depth: int, span: Span) -> int:
        """The depth of an expression above one of `depth`. Raises Refused past the limit."""
        if depth >= DEPTH:
            raise Refused(ExpressionTooDeep(DEPTH), span)
        return depth + 1

    def conditional(
        self, then: Expression, keyword: Token, test: Expression, other: Token, otherwise: Expression
    ) -> Conditional:
        span = self.span(then.span.start, otherwise.span.end)
        depth = self.deeper(max(then.depth, test.depth, otherwise.depth), span)
        return Conditional(span, then, test, otherwise, depth)

    def binary(self, left: Expression, operator: Token, right: Expression) -> Binary:
        span = self.span(left.span.start, right.span.end)
        return Binary(span, operator.text, left, right, self.deeper(max(left.depth, right.depth), span))

    def comparison(self, left: Expression, operator: Token, right: Expression) -> Binary:
        """A comparison. One of a comparison is a mistake, and read as it was meant: `a < b and b < c`."""
        if not isinstance(left, Binary) or left.span.end != left.right.span.end or not self._compares(left):
            return self.binary(left, operator, right)
        middle = left.right.right if isinstance(left.right, Binary) and left.operator == "and" else left.right
        second = self.binary(middle, operator, right)
        self.report(
            ChainedComparison(left.span.text, middle.span.text, f"{operator.text} {right.span.text}"),
            self.span(operator.start, right.span.end),
            (),
        )
        return self.binary(left, Token("AND", "and", operator.start, operator.start), second)

    def _compares(self, left: Binary) -> bool:
        """Whether the left side of a comparison is itself one, and not in parentheses."""
        if left.span.start != left.left.span.start:
            return False
        return left.operator in _COMPARISONS or left.operator == "and"

    def unary(self, operator: Token, operand: Expression) -> Unary:
        span = self.span(operator.start, operand.span.end)
        return Unary(span, operator.text, operand, self.deeper(operand.depth, span))

    def attribute(self, value: Expression, dot: Token, name: Token) -> Attribute:
        span = self.span(value.span.start, name.end)
        return Attribute(span, value, name.text, self.at(name), self.deeper(value.depth, span))

    def index(self, value: Expression, opened: Token, index: Expression, closed: Token) -> Index:
        span = self.span(value.span.start, closed.end)
        return Index(span, value, index, self.deeper(max(value.depth, index.depth), span))

    def call(self, name: Token, arguments: tuple[list[Argument], int]) -> Call:
        span = self.span(name.start, arguments[1])
        depth = max((argument.value.depth for argument in arguments[0]), default=0)
        return Call(span, name.text, self.at(name), arguments[0], self.deeper(depth, span))

    def parenthesised(self, opened: Token, value: Expression, closed: Token) -> Expression:
        value.span = self.span(opened.start, closed.end)
        return value

    def list_empty(self, opened: Token, closed: Token) -> List:
        return List(self.span(opened.start, closed.end), [])

    def list_items(self, opened: Token, items: list[Expression], *rest: Token) -> List:
        span = self.span(opened.start, rest[-1].end)
        return List(span, items, self.deeper(max(item.depth for item in items), span))

    def name(self, name: Token) -> Name:
        return Name(self.at(name), name.text)

    def constant(self, word: Token) -> Constant:
        return Constant(self.at(word), _CONSTANTS[word.text])

    def string(self, token: Token) -> String:
        length = token.end - token.start - 2
        if length > STRING:
            raise Refused(StringTooLong(length, STRING), self.at(token))
        return String(self.at(token), Quoted(token.text[1:-1]))

    def number(self, token: Token) -> Number:
        text, span = token.text, self.at(token)
        if text.isdecimal() and text.isascii() and len(text) < 19:
            return Number(span, int(text))
        if len(text) > _LONGEST_NUMBER:
            raise Refused(NumberTooLarge(), span)
        match = _NUMBER.fullmatch(text)
        if match is None:
            problem = bad_number(text)
            match = None if problem.meant is None else _NUMBER.fullmatch(problem.meant)
            if match is None:
                raise Refused(problem, span)
            self.report(problem, span, ())
        digits, unit = match.group(1).replace("_", ""), match.group(2) or ""
        value = number_value(digits, UNITS[unit])
        if value is None:
            raise Refused(NumberTooLarge(), span)
        return Number(span, value, unit)


def number_value(digits: str, factor: int) -> int | float | None:
    """The value of digits times a unit; with a unit, whole where it is whole. None if it is too large."""
    if digits.isdecimal():
        whole = int(digits) * factor
        return whole if whole <= LARGEST else None
    value = float(digits)
    if not math.isfinite(value * factor):
        return None
    if factor > 1 and LARGEST**-1 < value < LARGEST:
        mantissa, _, exponent = digits.lower().partition("e")
        before, _, after = mantissa.partition(".")
        places = len(after) - int(exponent or 0)
        whole, rest = divmod(int(before + after) * factor * 10 ** max(0, -places), 10 ** max(0, places))
        if rest == 0:
            return whole if whole <= LARGEST else None
    return value * factor


def bad_number(found: str) -> BadNumber:
    """The problem of a number that is written so, or stands apart from its unit, with what was meant."""
    text = "".join(found.split())
    if text != found and _NUMBER.fullmatch(text):
        return BadNumber(found, text)
    meant = mended_number(text)
    in_bytes = _IN_BYTES.fullmatch(text) if meant is None else None
    if in_bytes is None:
        return BadNumber(found, meant)
    digits, factor = in_bytes.groups()
    either = (f"{digits}{factor.upper()}", f"{digits}{factor.upper()}iB" if factor else f"{digits}G")
    return BadNumber(found, None, either)


def mended_number(text: str) -> str | None:
    """What a badly written number was meant to be, if that is plain.

    `1_` is `1`, `5k` is `5K`, `0x10` is `16`.
    """
    if not text.isascii():
        return None
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,15}|0[oO][0-7]{1,20}|0[bB][01]{1,60}", text):
        return str(int(text, 0))
    meant = re.sub(r"_+", "_", text)
    meant = re.sub(r"_(?![0-9])|(?<![0-9])_", "", meant)
    meant = re.sub(r"^\.", "0.", meant)
    meant = re.sub(r"\.(?![0-9])", ".0", meant)
    match = re.fullmatch(r"([0-9_.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)", meant)
    if match is None:
        return None
    unit = match.group(2)
    if unit not in UNITS:
        if unit.lower() not in _UNITS_IN_SMALL:
            return None
        unit = _UNITS_IN_SMALL[unit.lower()]
    meant = match.group(1) + unit
    return meant if meant != text and _NUMBER.fullmatch(meant) else None


_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_CONSTANTS = {"true": True, "false": False, "none": None}
_DEFINING = frozenset({"NETWORK", "BLOCK", "IMPORT", "INPUT", "LET", "SHARED"})
