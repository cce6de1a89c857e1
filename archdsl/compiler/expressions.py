"""Evaluating expressions: from the syntax of a number, list, condition or value to what it is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from archdsl.compiler import limits
from archdsl.compiler.frames import Frame, Module
from archdsl.compiler.functions import FUNCTIONS, LIST_FUNCTIONS, TooLong
from archdsl.compiler.network import Node, Scope, Wire
from archdsl.compiler.peaks import PEAK_ARGUMENTS, PEAKS, peak_signature
from archdsl.compiler.recording import plain
from archdsl.compiler.reporting import Failed, Reporter
from archdsl.compiler.signatures import Signature, bind, held, whole
from archdsl.compiler.values import (
    UNKNOWN,
    Flow,
    Function,
    Labelled,
    Maker,
    PerAxis,
    Rounds,
    Shared,
    Unknown,
    is_list,
    is_number,
    items_of,
    show,
)
from archdsl.layers import LAYERS
from archdsl.layers.shapes import Shape
from archdsl.problems import nearest, plural
from archdsl.problems.bounds import ListTooLong, NumberTooLarge, RecursionTooDeep, SymbolicTooLarge
from archdsl.problems.names import NotAValue, ReservedName, UnknownAttribute, UnknownName
from archdsl.problems.structure import NetworkInExpression
from archdsl.problems.values import (
    DivisionByZero,
    FigureCalled,
    IndexOutOfRange,
    NotACondition,
    NotAList,
    NotExact,
    NotInExpect,
    OutOfDomain,
    UndecidedCondition,
    WrongType,
)
from archdsl.sizes import (
    Size,
    Symbolic,
    TooLarge,
    Undecided,
    divide_exactly,
    equal,
    is_size,
    symbol,
    symbols_of,
)
from archdsl.source import Span
from archdsl.syntax import tree

NO_WORDS: frozenset[str] = frozenset()
ANSWER_WORDS = frozenset({"equivariant", "invariant"})
"""What an answer can be besides `none`; compared with one, these are read before any name."""
ALL_WORDS = frozenset[str]().union(
    *(parameter.kind.words for layer in LAYERS.values() for parameter in layer.arguments.values())
)
"""Every word that some layer's argument takes; a block may be given one, to hand it on."""

SYMBOL = re.compile(r"[A-Z][A-Z0-9_]*\Z")
BATCH = "N"
CONSTANTS = ("true", "false", "none")
"""The symbol that is the batch, and so no size of a shape."""
VALUE_FACTS = ("channels", "shape", "size", "length", "depth", "height", "width")
ANSWERS = ("translation", "rotation", "reflection", "scale")
"""The facts of a value that are words: how it answers when the input is moved."""
EXPECTED_VALUE_FACTS = ("receptive_field", "stride", *ANSWERS, "shift", "border")
LABEL_FIGURES = ("parameters", "macs", "flops", "memory")
"""The facts of a label that are sums over what it is the name of."""
EXPECTED_FACTS = (*EXPECTED_VALUE_FACTS, *LABEL_FIGURES)
"""What only `expect` may ask after a dot."""
NETWORK_FACTS = ("parameters", "macs", "flops", *PEAKS, "depth")


class _Applied(NamedTuple):
    """What a function gave for some arguments, the steps that it took, and how many calls stood around it.

    It sees nothing besides, so for the same arguments it gives the same again.
    """

    value: Any
    steps: int
    depth: int


class Facts(Protocol):
    """What `expect` may ask of the analysed network, and the open sizes in it."""

    symbols: frozenset[str]
    layers: int

    def of_network(self, name: str, **measure: Any) -> Any:
        """A figure of the network; a peak may be asked for another `measure` than that of the check."""

    def of_value(self, wire: Wire, name: str) -> Any: ...

    def of_label(self, made: Node | Scope, name: str) -> Size: ...

    def ended_by(self, wire: Wire, name: str) -> Node | None:
        """The layer at which an answer came to be none."""


class Evaluator:
    """Evaluates expressions in a frame. A mistake is reported, and raises `Failed`.

    `sizes` binds symbols to numbers; `facts`, in `expect`, knows the analysed network.
    """

    def __init__(
        self, reporter: Reporter, sizes: dict[str, int] | None = None, facts: Facts | None = None
    ) -> None:
        self.reporter = reporter
        self.sizes = sizes or {}
        self.facts = facts
        self._applied: dict[tuple[Function, Any], _Applied] = {}
        self._rules: dict[type, Callable[[Any, Frame], Any]] = {
            tree.Attribute: self._attribute,
            tree.Index: self._index,
            tree.Call: self._call,
            tree.Unary: self._unary,
            tree.Binary: self._binary,
        }

    def evaluate(self, node: tree.Expression, frame: Frame, words: frozenset[str] = NO_WORDS) -> Any:
        """The value of an expression. `words` are read as themselves before any name."""
        kind = type(node)
        if kind is tree.Number or kind is tree.Constant or kind is tree.String:
            return node.value  # type: ignore[union-attr]
        if kind is tree.Name:
            return self._name(node, frame, words)  # type: ignore[arg-type]
        if kind is tree.List:
            return self._list(node, frame, words)  # type: ignore[arg-type]
        if kind is tree.Conditional:
            return self._conditional(node, frame, words)  # type: ignore[arg-type]
        return self._rules[kind](node, frame)

    def condition(self, node: tree.Expression, frame: Frame) -> bool:
        """The truth of a test."""
        value = self.evaluate(node, frame)
        if not isinstance(value, bool):
            raise self.reporter.fail(not_a_condition(node, value), node.span)
        return value

    def wires(self, node: tree.Expression, frame: Frame, numbers: str | None = None) -> list[Wire]:
        """The values that an expression names: one, or all of a list.

        `numbers` is the argument that takes them where this one takes values.
        """
        found: list[Wire] = []
        value = self.evaluate(node, frame)
        items = items_of(value) if is_list(value) else (value,)
        if items and all(is_number(one) for one in items):
            meant = None
            if isinstance(node, tree.Attribute) and node.name in VALUE_FACTS:
                meant = node.value.span.text
            instead = None if numbers is None else f"{numbers}={node.span.text}"
            raise self.reporter.fail(NotAValue(show(value), meant, instead), node.span)
        self._flatten(value, node.span, found)
        return found

    def _flatten(self, value: Any, span: Span, into: list[Wire]) -> None:
        if isinstance(value, Wire):
            into.append(value)
        elif isinstance(value, Labelled | Rounds):
            self._flatten(value.value, span, into)
        elif isinstance(value, tuple):
            for one in value:
                self._flatten(one, span, into)
        elif isinstance(value, Unknown):
            raise Failed
        else:
            raise self.reporter.fail(NotAValue(show(value)), span)

    # ------------------------------------------------------------------------ names

    def _name(self, node: tree.Name, frame: Frame, words: frozenset[str]) -> Any:
        name = node.id
        if name in words:
            return name
        around: Frame | None = frame
        while around is not None:
            if name in around.names:
                value = around.names[name]
                if value is UNKNOWN:
                    raise Failed
                return value
            around = around.parent
        return self._unbound(node, frame)

    def open_size(self, name: str) -> Size:
        """The size that a symbol stands for: its number, where it has one."""
        self.reporter.symbols.add(name)
        return self.sizes[name] if name in self.sizes else symbol(name)

    def _unbound(self, node: tree.Name, frame: Frame) -> Any:
        name = node.id
        # `depth` is an axis as well.
        fact = name in NETWORK_FACTS and (self.facts is not None or name not in ALL_WORDS)
        if fact and not any(f.tainted for f in frame.around()):
            if self.facts is None:
                raise self.reporter.fail(NotInExpect(name), node.span)
            return self.facts.of_network(name)
        if name in frame.module.networks:
            like_a_size = SYMBOL.match(name) is not None
            if like_a_size:
                # So that `--size` of it is no second mistake.
                self.reporter.symbols.add(name)
            raise self.reporter.fail(NetworkInExpression(name, like_a_size), node.span)
        maker = self.maker(name, node.span, [], frame)
        if maker is not None:
            return maker
        if SYMBOL.match(name):
            if name == BATCH:
                raise self.reporter.fail(ReservedName(name, used=True), node.span)
            return self.open_size(name)
        if name in ALL_WORDS or name in frame.module.words:
            return name
        if any(f.tainted for f in frame.around()):
            raise Failed
        later = any(f.block is not None and name in tree.labels_of(f.block.body) for f in frame.around())
        own = [n for f in frame.around() for n in f.names]
        meant = meant_by(name, own, frame.module, expected=self.facts is not None)
        raise self.reporter.fail(UnknownName(name, meant, later, _rounds_there_are(name, frame)), node.span)

    def maker(
        self, name: str, span: Span, arguments: list[tree.Argument], frame: Frame, called: bool = False
    ) -> Maker | None:
        """The layer or block of a name, as an argument; None if there is none."""
        word = None if called else name
        found = frame.module.blocks.get(name)
        if found is not None:
            block, module = found
            return Maker(name, span, None, block, module, arguments, frame, word)
        layer = frame.module.layers.get(name)
        if layer is None:
            return None
        return Maker(name, span, layer, None, frame.module, arguments, frame, word)

    # ------------------------------------------------------------------------ lists, attributes

    def _list(self, node: tree.List, frame: Frame, words: frozenset[str]) -> tuple[Any, ...]:
        return self._bounded(tuple(self.evaluate(item, frame, words) for item in node.items), node.span)

    def _bounded(self, items: tuple[Any, ...], span: Span) -> tuple[Any, ...]:
        weight = _weight(items, limits.LIST)
        self.reporter.spend(weight, span)
        if weight > limits.LIST:
            raise self.reporter.fail(ListTooLong(limits.LIST), span)
        return items

    def _index(self, node: tree.Index, frame: Frame) -> Any:
        value = self.evaluate(node.value, frame)
        index = self.evaluate(node.index, frame)
        if isinstance(value, Labelled | Rounds):
            value = value.value
        if not isinstance(value, tuple) or isinstance(value, Wire):
            raise self.reporter.fail(NotAList(show(value)), node.value.span)
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        if isinstance(index, bool) or not isinstance(index, int):
            what = f"`{node.value.span.text}[...]`"
            raise self.reporter.fail(WrongType(what, show(index), "a whole number"), node.index.span)
        if not -len(value) <= index < len(value):
            raise self.reporter.fail(IndexOutOfRange(index, len(value)), node.index.span)
        return value[index]

    def _attribute(self, node: tree.Attribute, frame: Frame) -> Any:
        return self.attribute(self.evaluate(node.value, frame), node)

    def attribute(self, owner: Any, node: tree.Attribute) -> Any:
        """`owner.name`: an inner label, or a fact of the value."""
        name = node.name
        if isinstance(owner, Labelled):
            if owner.inner is not None and name in owner.inner.names:
                return self._known(owner.inner.names[name])
            if owner.inner is not None and owner.inner.tainted:
                raise Failed
            return self._fact(owner.value, node, owner.inner, (owner.made,))
        if isinstance(owner, Rounds):
            return self._of_rounds(owner, node)
        if isinstance(owner, Shared):
            # What stands in it is made at its first use; later ones have no weights of their own.
            return self._fact(None, node, None, tuple(owner.made))
        several = isinstance(owner, tuple) and not isinstance(owner, Wire) and owner
        if several and all(isinstance(one, Labelled | Rounds) for one in owner):
            return tuple(self.attribute(one, node) for one in owner)
        return self._fact(owner, node, None)

    def _of_rounds(self, owner: Rounds, node: tree.Attribute) -> Any:
        """A label made in a loop is, outside it, the list of its values, one a round."""
        having = [r for r in owner.rounds if r.inner is not None and node.name in r.inner.names]
        if having:
            return tuple(self._known(r.inner.names[node.name]) for r in having if r.inner is not None)
        last = owner.rounds[-1].inner if owner.rounds else None
        return self._fact(owner.value, node, last, tuple(one.made for one in owner.rounds))

    def _known(self, value: Any) -> Any:
        if value is UNKNOWN:
            raise Failed
        return value

    def _fact(
        self,
        value: Flow,
        node: tree.Attribute,
        inner: Frame | None,
        made: tuple[Node | Scope | None, ...] = (None,),
    ) -> Any:
        """A fact of a value, or a figure of what was `made`: of all rounds of a loop together."""
        name = node.name
        if value is UNKNOWN:
            raise Failed
        known: list[str] = list(inner.names) if inner is not None else []
        figured = [one for one in made if one is not None]
        if len(figured) == len(made):
            if name in LABEL_FIGURES:
                if self.facts is None:
                    raise self.reporter.fail(NotInExpect(name), node.name_span)
                return sum(self.facts.of_label(one, name) for one in figured)
            if self.facts is not None:
                known += LABEL_FIGURES
        if isinstance(value, Wire):
            shape = value.shape
            facts: dict[str, Any] = {
                "channels": shape[0],
                "shape": tuple(shape),
                "size": shape.size,
                **dict(zip(shape.axis_names[1:], shape[1:], strict=True)),
            }
            if name in facts:
                return facts[name]
            if name in EXPECTED_VALUE_FACTS:
                if self.facts is None:
                    raise self.reporter.fail(NotInExpect(name), node.name_span)
                return self.facts.of_value(value, name)
            known += facts
            if self.facts is not None:
                known += EXPECTED_VALUE_FACTS
        # What is a fact of others is no mistyped one.
        meant = None if name in (*VALUE_FACTS, *NETWORK_FACTS) else nearest(name, known)
        of_network = self.facts is not None and name in NETWORK_FACTS and name not in LABEL_FIGURES
        problem = UnknownAttribute(node.value.span.text, name, meant, tuple(known), of_network)
        raise self.reporter.fail(problem, node.name_span)

    # ------------------------------------------------------------------------ operators

    def _unary(self, node: tree.Unary, frame: Frame) -> Any:
        if node.operator == "not":
            return not self.condition(node.operand, frame)
        value = self.evaluate(node.operand, frame)
        if not is_number(value):
            raise self.reporter.fail(
                WrongType(f"`{node.operator}`", show(value), "a number"), node.operand.span
            )
        return -value if node.operator == "-" else value

    def _conditional(self, node: tree.Conditional, frame: Frame, words: frozenset[str]) -> Any:
        chosen = node.then if self.condition(node.test, frame) else node.otherwise
        return self.evaluate(chosen, frame, words)

    def _binary(self, node: tree.Binary, frame: Frame) -> Any:
        operator = node.operator
        if operator == "and":
            return self.condition(node.left, frame) and self.condition(node.right, frame)
        if operator == "or":
            return self.condition(node.left, frame) or self.condition(node.right, frame)
        equality = operator in EQUALITY
        self._check_answers(node, frame)
        left = self.evaluate(node.left, frame, words_for(node.right) if equality else NO_WORDS)
        right = self.evaluate(node.right, frame, words_for(node.left) if equality else NO_WORDS)
        if equality and self.facts is not None:
            self._check_strings(node, left, right)
        try:
            if equality:
                same = self._same(left, right)
                return same if operator == "==" else not same
            if operator in COMPARISONS:
                pairs = _pairs(left, right)
                if pairs is not None:
                    return all(bool(COMPARISONS[operator](a, b)) for a, b in pairs)
        except Undecided:
            if self.facts is not None:
                raise
            symbols = tuple(sorted(_symbols_in(left) | _symbols_in(right)))
            raise self.reporter.fail(UndecidedCondition(f"`{node.span.text}`", symbols), node.span) from None
        if is_number(left) and is_number(right):
            return self._arithmetic(node, left, right)
        if operator == "+" and is_list(left) and is_list(right):
            return self._bounded((*items_of(left), *items_of(right)), node.span)
        wrong, at = (left, node.left) if not is_number(left) else (right, node.right)
        mend = None
        if operator in VALUES_JOINED and all(isinstance(side, Wire | Labelled) for side in (left, right)):
            sides = f"{node.left.span.text}, {node.right.span.text}"
            mend = f"values are joined by layers: `from {sides} -> {VALUES_JOINED[operator]}`"
        raise self.reporter.fail(WrongType(f"`{operator}`", show(wrong), "a number", mend), at.span)

    def _check_answers(self, node: tree.Binary, frame: Frame) -> None:
        """Refuse to order answers, which are words, and to compare them with strings."""
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if not words_for(side):
                continue
            if node.operator in COMPARISONS:
                value = self.evaluate(side, frame)
                if value is None or isinstance(value, str):
                    mend = "an answer is a word: compare it with `==` or `!=`"
                    problem = WrongType(f"`{node.operator}`", show(value), "a number", mend)
                    raise self.reporter.fail(problem, side.span)
            if node.operator in EQUALITY:
                for one in _ways(other):
                    if isinstance(one, tree.String):
                        known = one.value in ANSWER_WORDS or one.value == "none"
                        quotes = f"leave out the quotes: `{one.value}`" if known else None
                        what = "an answer: `equivariant`, `invariant` or `none`"
                        problem = WrongType(f"`{node.operator}`", f"the string {one.span.text}", what, quotes)
                        raise self.reporter.fail(problem, one.span)

    def _check_strings(self, node: tree.Binary, left: Any, right: Any) -> None:
        """Refuse to compare figures, which are numbers, with strings; what else has a name may be either."""
        for side, value, other in ((node.left, left, node.right), (node.right, right, node.left)):
            figure = not isinstance(side, tree.Name) or side.id in NETWORK_FACTS
            number = is_number(value) or isinstance(value, PerAxis)
            if figure and number and isinstance(other, tree.String):
                mend = f"`{side.span.text}` is a number"
                if other.value.isdecimal():
                    mend = f"leave out the quotes: `{other.value}`"
                problem = WrongType(f"`{node.operator}`", f"the string {other.span.text}", "a number", mend)
                raise self.reporter.fail(problem, other.span)

    def _same(self, left: Any, right: Any) -> bool:
        """Equality, of numbers by value and of lists element by element; a truth value is no number."""
        if isinstance(left, PerAxis) and is_number(right):
            right = (right,) * len(left)
        elif isinstance(right, PerAxis) and is_number(left):
            left = (left,) * len(right)
        if is_list(left) and is_list(right):
            left, right = items_of(left), items_of(right)
            if len(left) != len(right):
                return False
            undecided = False
            for a, b in zip(left, right, strict=True):
                try:
                    if not self._same(a, b):
                        return False
                except Undecided:
                    undecided = True
            if undecided:
                raise Undecided
            return True
        if is_size(left) and is_size(right):
            answer = equal(left, right)
            if answer is None:
                raise Undecided
            return answer
        if isinstance(left, Maker) or isinstance(right, Maker):
            return _word(left) is not None and _word(left) == _word(right)
        if isinstance(left, bool) != isinstance(right, bool):
            return False
        return bool(left == right)

    def _arithmetic(self, node: tree.Binary, left: Any, right: Any) -> Any:
        operator = node.operator
        try:
            if operator in ("/", "//", "%"):
                if (is_size(right) and equal(right, 0) is not False) or right == 0:
                    raise ZeroDivisionError
                if operator == "/" and is_size(left) and is_size(right):
                    return self._divide(node, left, right)
            whole = operator == "**" and isinstance(left, int) and isinstance(right, int)
            if whole and right > 0 and (left.bit_length() - 1) * right >= limits.NUMBER.bit_length():
                raise OverflowError
            value = ARITHMETIC[operator](left, right)
        except ZeroDivisionError:
            raise self.reporter.fail(DivisionByZero(), node.right.span) from None
        except OverflowError:
            raise self.reporter.fail(NumberTooLarge(), node.span) from None
        except TooLarge:
            raise self.reporter.fail(SymbolicTooLarge(), node.span) from None
        except Undecided as error:
            raise self.reporter.fail(UndecidedCondition(error.question, error.symbols), node.span) from None
        except TypeError:
            raise self.reporter.fail(
                WrongType(f"`{operator}`", "a symbolic size and a fraction", "whole numbers"), node.span
            ) from None
        if isinstance(value, float) and math.isinf(value):
            raise self.reporter.fail(NumberTooLarge(), node.span)
        if isinstance(value, complex) or value != value:
            raise self.reporter.fail(OutOfDomain(operator, node.span.text), node.span)
        if isinstance(value, int) and not -limits.NUMBER <= value <= limits.NUMBER:
            raise self.reporter.fail(NumberTooLarge(), node.span)
        return value

    def _divide(self, node: tree.Binary, left: Any, right: Any) -> Any:
        """`/` is exact where it is exact, otherwise a float; of symbols it must be exact."""
        exact = divide_exactly(left, right)
        if exact is not None:
            return exact
        if isinstance(left, Symbolic) or isinstance(right, Symbolic):
            raise self.reporter.fail(NotExact(f"`{node.span.text}`"), node.span)
        return left / right

    # ------------------------------------------------------------------------ calls

    def _call(self, node: tree.Call, frame: Frame) -> Any:
        name = node.callee
        for around in frame.around():
            if name in around.names:
                value = around.names[name]
                if isinstance(value, Function):
                    return self._apply(value, node, frame)
                if value is UNKNOWN:
                    raise Failed
                if not isinstance(value, Labelled | Rounds):
                    raise self.reporter.fail(
                        WrongType("a call", show(value), "a function, layer or block"), node.callee_span
                    )
                break
        if name in FUNCTIONS:
            return self._builtin(node, frame)
        maker = self.maker(name, node.span, node.arguments, frame, called=True)
        if maker is not None:
            return maker
        if any(f.tainted for f in frame.around()):
            raise Failed
        if name in PEAKS:
            return self._peak(node, frame)
        if name in NETWORK_FACTS:
            raise self.reporter.fail(figure_called(node), node.callee_span)
        known = [*FUNCTIONS, *frame.module.blocks, *frame.module.layers]
        known += [n for f in frame.around() for n, v in f.names.items() if isinstance(v, Function)]
        later = any(let.name == name for let in frame.module.lets) or any(
            f.block is not None and name in tree.labels_of(f.block.body) for f in frame.around()
        )
        remark = "a function sees what stands above its own line, so it can't use itself" if later else None
        raise self.reporter.fail(UnknownName(name, nearest(name, known), later, remark), node.callee_span)

    def _peak(self, node: tree.Call, frame: Frame) -> Any:
        """A peak of memory for a batch and a precision."""
        if self.facts is None:
            raise self.reporter.fail(NotInExpect(node.callee), node.callee_span)
        signature = peak_signature(node.callee)
        bound = bind(signature, node.arguments, node.callee_span, self.reporter)
        given = {
            name: whole(self.evaluate(argument.value, frame, PEAK_ARGUMENTS[name].kind.words))
            for name, argument in bound.arguments.items()
        }
        values = held(PEAK_ARGUMENTS, given, bound, signature, self.reporter)
        if values is None:
            raise Failed
        # Each is an analysis of its own.
        self.reporter.spend(self.facts.layers, node.span)
        return self.facts.of_network(node.callee, **{name: values[name] for name in given})

    def _apply(self, function: Function, node: tree.Call, frame: Frame) -> Any:
        self.reporter.spend(1, node.span)
        if len(self.reporter.calls) >= limits.NESTING:
            raise self.reporter.stop(RecursionTooDeep("functions", node.callee, limits.NESTING), node.span)
        parameters = function.definition.parameters or []
        signature = Signature.of_function(function.definition)
        bound = bind(signature, node.arguments, node.callee_span, self.reporter)
        if not bound.whole:
            raise Failed
        inner = Frame(function.frame, function.frame.module)
        for parameter in parameters:
            inner.names[parameter.name] = self.evaluate(bound.arguments[parameter.name].value, frame)
        try:
            alike = function, plain(tuple(inner.names.values()))
        except TypeError:
            alike = None
        known = None if alike is None else self._applied.get(alike)
        if known is not None and len(self.reporter.calls) <= known.depth:
            self.reporter.spend(known.steps, node.span)
            return known.value
        begun = self.reporter.steps_left
        self.reporter.calls.append(node.span)
        try:
            value = self.evaluate(function.definition.value, inner)
        finally:
            self.reporter.calls.pop()
        if alike is not None:
            steps = begun - self.reporter.steps_left
            self._applied[alike] = _Applied(value, steps, len(self.reporter.calls))
        return value

    def _builtin(self, node: tree.Call, frame: Frame) -> Any:
        name = node.callee
        signature, apply = FUNCTIONS[name]
        bound = bind(signature, node.arguments, node.callee_span, self.reporter)
        if not bound.whole:
            raise Failed
        given = node.arguments
        if not signature.values:
            given = [bound.arguments[p] for p in signature.parameters if p in bound.arguments]
        values = [self.evaluate(argument.value, frame) for argument in given]
        values = [v.value if isinstance(v, Labelled | Rounds) else v for v in values]
        self.reporter.spend(1 + sum(len(v) for v in values if isinstance(v, tuple)), node.span)
        try:
            result = apply(*values)
        except (OverflowError, TooLarge):
            raise self.reporter.fail(NumberTooLarge(), node.span) from None
        except ValueError:
            shown = ", ".join(show(v) for v in values)
            raise self.reporter.fail(OutOfDomain(name, shown), node.span) from None
        except TooLong:
            raise self.reporter.fail(ListTooLong(limits.LIST), node.span) from None
        except TypeError:
            wrong = next((v for v in values if not is_number(v)), values[0] if values else None)
            expected = "a list" if name in LIST_FUNCTIONS else "numbers"
            if name == "range":
                wrong = next((v for v in values if not isinstance(v, int)), wrong)
                expected = "whole numbers"
            expected += " of numbers" if name == "sum" else ""
            raise self.reporter.fail(WrongType(f"`{name}`", show(wrong), expected), node.span) from None
        if isinstance(result, int) and abs(result) > limits.NUMBER:
            raise self.reporter.fail(NumberTooLarge(), node.span)
        return self._bounded(result, node.span) if is_list(result) else result


def _rounds_there_are(name: str, frame: Frame) -> str | None:
    """What to say of `stage_3` where the loop `stage` has two rounds."""
    loop, _, number = name.rpartition("_")
    rounds = next((f.names[loop] for f in frame.around() if loop in f.names), None)
    if not number.isdigit() or not isinstance(rounds, Rounds):
        return None
    return f"the loop `{loop}` has {plural(len(rounds.rounds), 'round')}, counted from 1"


def figure_called(node: tree.Call) -> FigureCalled:
    """The problem of a figure of the network in place of a function."""
    value = node.arguments[0].value if len(node.arguments) == 1 and not node.arguments[0].name else None
    of_label = isinstance(value, tree.Name | tree.Attribute) and node.callee in LABEL_FIGURES
    return FigureCalled(node.callee, value.span.text if value is not None and of_label else None)


def meant_by(name: str, own: Iterable[str], module: Module, expected: bool) -> str | None:
    """What an unknown name was most likely meant to be: in `expect` no layer and no block."""
    if name.lower() in CONSTANTS:
        return name.lower()
    makers = () if expected else (*module.blocks, *module.layers)
    return nearest(name, own) or nearest(name, [*NETWORK_FACTS, *makers], 0.7)


# ------------------------------------------------------------------------------ words


def words_for(other: tree.Expression) -> frozenset[str]:
    """The words that may be compared with an expression."""
    waiting = [other]
    for node in waiting:
        if isinstance(node, tree.Attribute):
            if node.name in ANSWERS:
                return ANSWER_WORDS
        elif isinstance(node, tree.Index):
            waiting.append(node.value)
        else:
            waiting += _alternatives(node)
    return NO_WORDS


def _alternatives(node: tree.Expression) -> list[tree.Expression]:
    """What an expression hands its words on to."""
    if isinstance(node, tree.List):
        return node.items
    return [node.then, node.otherwise] if isinstance(node, tree.Conditional) else []


def _ways(expression: tree.Expression) -> list[tree.Expression]:
    """An expression, and all that hand their words on through it."""
    found = [expression]
    for one in found:
        found += _alternatives(one)
    return found


def not_a_condition(node: tree.Expression, value: Any) -> NotACondition:
    """The problem of a test that is neither true nor false."""
    if (
        isinstance(node, tree.Attribute)
        and node.name in ANSWERS
        and (value is None or isinstance(value, str))
    ):
        return NotACondition(show(value), f"{node.span.text} == equivariant")
    return NotACondition(show(value))


def compared_with_answers(expression: tree.Expression) -> set[tree.Name]:
    """The names of an expression that are compared with an answer, and so may be its words."""
    found: set[tree.Name] = set()
    waiting = [expression]
    for node in waiting:
        if isinstance(node, tree.Binary) and node.operator in EQUALITY:
            for side, other in ((node.left, node.right), (node.right, node.left)):
                compared = _ways(side) if words_for(other) else []
                found.update(one for one in compared if isinstance(one, tree.Name))
        if isinstance(node, tree.Call):
            waiting += [argument.value for argument in node.arguments]
        else:
            waiting += tree.operands(node)
    return found


# ------------------------------------------------------------------------------ numbers and lists


def _pairs(left: Any, right: Any) -> list[tuple[Any, Any]] | None:
    """The numbers to compare: one pair, or one an axis; None where these are no numbers."""
    if isinstance(left, PerAxis) and is_number(right):
        return [(one, right) for one in left]
    if isinstance(right, PerAxis) and is_number(left):
        return [(left, one) for one in right]
    return [(left, right)] if is_number(left) and is_number(right) else None


def _word(value: Any) -> str | None:
    if isinstance(value, Maker):
        return value.word
    return value if isinstance(value, str) else None


def _weight(items: tuple[Any, ...], limit: int) -> int:
    """The number of elements of a list and its inner lists, counted no further than past `limit`."""
    weight = len(items)
    for item in items:
        if weight > limit:
            return weight
        if isinstance(item, tuple) and not isinstance(item, Wire | Shape):
            weight += _weight(item, limit - weight)
    return weight


def _symbols_in(value: Any) -> set[str]:
    if is_size(value):
        return symbols_of(value)
    if isinstance(value, tuple) and not isinstance(value, Wire):
        return {s for one in value for s in _symbols_in(one)}
    return set()


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
}
EQUALITY = ("==", "!=")
VALUES_JOINED = {"+": "add", "-": "subtract", "*": "multiply"}
"""The layers that do with values what operators do with numbers."""
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
