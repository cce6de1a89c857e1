"""Which arguments something takes, and which of those given is which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from archdsl.compiler import limits
from archdsl.compiler.elsewhere import ARGUMENT_WORDS_ELSEWHERE, ARGUMENTS_ELSEWHERE
from archdsl.compiler.network import Wire
from archdsl.compiler.reporting import Reporter
from archdsl.compiler.values import Labelled, Maker, show
from archdsl.diagnostics import Label
from archdsl.layers.arguments import Parameter, SameAs, axis, axis_or_all, boolean, small, written
from archdsl.layers.layer import LAYERS, MANY, Layer
from archdsl.layers.shapes import Shape
from archdsl.problems import nearest
from archdsl.problems.arguments import (
    CHANNELS_FOLLOW,
    DuplicateArgument,
    ExtraArgument,
    MissingArgument,
    UnknownArgument,
)
from archdsl.problems.names import UnknownName
from archdsl.problems.values import BadArgument
from archdsl.source import Span
from archdsl.syntax.tree import Argument, Block, Let, Name, Number, Quoted, Use


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a layer, block or function, by position.

    `values` are further inputs that come first, as many as one likes, and by position only:
    `concat(level1, level2)`. `text` is how the reference writes it.
    """

    owner: str
    parameters: tuple[str, ...]
    required: frozenset[str]
    text: str
    values: bool = False

    @staticmethod
    def of_layer(layer: type[Layer]) -> Signature:
        if layer not in _OF_LAYERS:
            _OF_LAYERS[layer] = Signature.of_arguments(layer.kind, layer.arguments, layer.inputs == MANY)
        return _OF_LAYERS[layer]

    @staticmethod
    def of_arguments(owner: str, arguments: dict[str, Parameter], values: bool = False) -> Signature:
        """The signature of what declares its arguments: a layer, or a word of a recipe."""
        words = ["..."] if values else []
        for name, parameter in arguments.items():
            if parameter.required:
                words.append(name)
            else:
                words.append(f"{name}={written(parameter.default)}")
        required = frozenset(n for n, p in arguments.items() if p.required)
        text = f"{owner}({', '.join(words)})" if words else owner
        return Signature(owner, tuple(arguments), required, text, values)

    @staticmethod
    @lru_cache(maxsize=1024)
    def of_block(block: Block) -> Signature:
        words = [p.name if p.default is None else f"{p.name}={p.default.span.text}" for p in block.parameters]
        required = frozenset(p.name for p in block.parameters if p.default is None)
        text = f"{block.name}({', '.join(words)})" if words else block.name
        # A parameter that is there twice has been reported where it stands.
        names = tuple(dict.fromkeys(p.name for p in block.parameters))
        return Signature(block.name, names, required, text)

    @staticmethod
    def of_function(function: Let) -> Signature:
        names = tuple(p.name for p in function.parameters or ())
        return Signature(function.name, names, frozenset(names), f"{function.name}({', '.join(names)})")

    @staticmethod
    def of_builtin(
        name: str, parameters: tuple[str, ...], optional: int = 0, many: bool = False
    ) -> Signature:
        required = parameters[: len(parameters) - optional]
        words = [p if p in required else f"{p}=" for p in parameters] + (["..."] if many else [])
        text = f"{name}({', '.join(words)})"
        return Signature(name, () if many else parameters, frozenset(() if many else required), text, many)


_OF_LAYERS: dict[type[Layer], Signature] = {}


class Bound(NamedTuple):
    """Arguments by parameter; those that were given wrongly are not `whole`."""

    arguments: dict[str, Argument]
    whole: bool


def bind(signature: Signature, arguments: list[Argument], owner: Span, reporter: Reporter) -> Bound:
    """Which argument is which, after reporting those that fit no parameter, and those that are missing.

    Where the signature takes `values`, the positional arguments are not among the result.
    """
    bound: dict[str, Argument] = {}
    wrong = False
    position = 0
    for argument in arguments:
        name = argument.name
        if name is None:
            if signature.values:
                continue
            position += 1
            if position > len(signature.parameters):
                together = _as_list(signature, arguments) if position == 2 else None
                if together is not None:
                    bound.clear()
                    reporter.report(together, arguments[0].span.to(arguments[-1].span))
                elif position == len(signature.parameters) + 1:
                    named = argument.value.id if isinstance(argument.value, Name) else None
                    problem = ExtraArgument(signature.owner, len(signature.parameters), signature.text, named)
                    reporter.report(problem, argument.span)
                wrong = True
                continue
            name = signature.parameters[position - 1]
        elif name not in signature.parameters:
            reporter.report(unknown_argument(signature, name), argument.name_span or argument.span)
            wrong = True
            continue
        if name in bound:
            # Given by position it is most likely the channels, after those that reach the layer.
            first = bound[name]
            same = first.value.span.text == argument.value.span.text
            second = position == 2 and first is arguments[1] and not same
            meant = _shifted(signature, arguments[0], arguments) if second else None
            reporter.report(
                DuplicateArgument(signature.owner, name, signature.text, meant),
                argument.span,
                (Label(first.span, "given first here"),),
            )
            wrong = True
            continue
        bound[name] = argument
    # A mistyped argument is most likely the one that is missing: one mistake, one message.
    if not wrong and not signature.required <= bound.keys():
        missing = tuple([p for p in signature.parameters if p in signature.required and p not in bound])
        reporter.report(MissingArgument(signature.owner, missing, signature.text), owner)
        wrong = True
    return Bound(bound, not wrong)


def _shifted(signature: Signature, extra: Argument, arguments: Iterable[Argument]) -> str | None:
    """A layer without the channels or features that reach it, which other libraries have first."""
    if signature.owner not in LAYERS or signature.parameters[0] not in ("channels", "features"):
        return None
    return _use(signature.owner, [argument for argument in arguments if argument is not extra])


def _use(owner: str, arguments: list[Argument]) -> str:
    """The use of a layer with these arguments, as it is written."""
    given = ", ".join(argument.span.text for argument in arguments)
    return f"{owner}({given})" if given else owner


def _as_list(signature: Signature, arguments: list[Argument]) -> ExtraArgument | None:
    """The problem of a list that was given without its brackets to the only argument of a layer."""
    layer = LAYERS.get(signature.owner)
    if layer is None or Signature.of_layer(layer) != signature or len(signature.parameters) != 1:
        return None
    kind = layer.arguments[signature.parameters[0]].kind
    items: list[Any] = []
    for argument in arguments:
        value = argument.value
        if isinstance(value, Number):
            items.append(value.value)
        elif isinstance(value, Name) and value.id in kind.words:
            items.append(value.id)
    if len(items) < len(arguments) or any(a.name is not None for a in arguments) or kind.role != "number":
        return None
    if kind.check(tuple(items)) is None:
        return None
    written = tuple(argument.span.text for argument in arguments)
    return ExtraArgument(signature.owner, 1, signature.text, items=written)


def takes_no_more(use: Use, reporter: Reporter) -> bool:
    """Whether a use of something that has its arguments already is given no others."""
    signature = Signature(use.name, (), frozenset(), use.name)
    return bind(signature, use.arguments, use.name_span, reporter).whole


def unknown_argument(signature: Signature, name: str) -> UnknownArgument:
    """The problem of a name that is no argument, with what was most likely meant."""
    words, remark = ARGUMENTS_ELSEWHERE.get(name, ((), None))
    meant = next((word for word in words if word in signature.parameters), None)
    if meant is None and remark is None:
        meant = nearest(name, signature.parameters)
    return UnknownArgument(signature.owner, name, meant, signature.text, remark)


def held(
    parameters: dict[str, Parameter],
    given: dict[str, Any],
    bound: Bound,
    signature: Signature,
    reporter: Reporter,
) -> dict[str, Any] | None:
    """Every argument's value in the form its kind gives, defaults filled in; None after reporting.

    `given` are the values that the arguments in `bound` had.
    """
    values: dict[str, Any] = {}
    wrong = False
    for name, parameter in parameters.items():
        if name not in given:
            default = parameter.default
            values[name] = values.get(default.name) if isinstance(default, SameAs) else default
            continue
        found = given[name]
        if isinstance(found, Maker):
            found = found.word if found.word in parameter.kind.words else found
        checked = parameter.kind.check(whole(found))
        is_none = found is None and parameter.default is not None and parameter.kind.role == "number"
        if is_none or (checked is None and found is not None):
            # A value was meant for the argument that takes one.
            takers = (p.name for p in parameters.values() if p.kind.role != "number" and p.name not in given)
            taker = next(takers, None) if isinstance(found, Wire | Labelled) else None
            _refuse(parameter, found, bound, signature, reporter, taker)
            wrong = True
        values[name] = checked
    return None if wrong or not bound.whole else values


def _refuse(
    parameter: Parameter,
    found: Any,
    bound: Bound,
    signature: Signature,
    reporter: Reporter,
    taker: str | None,
) -> None:
    """Report a value that is not of the argument's kind; `taker` is the argument of whose kind it is."""
    name, kind = parameter.name, parameter.kind
    argument = bound.arguments[name]
    others = [one for one in bound.arguments.values() if one is not argument]
    in_list = isinstance(found, str) and found in kind.words
    meant = nearest(found, kind.words) if isinstance(found, str) and not in_list else None
    if isinstance(found, Quoted) and (word := ARGUMENT_WORDS_ELSEWHERE.get(name, {}).get(found)):
        meant = f"{name}={word}"
    if taker is not None:
        meant = f"{taker}={argument.value.span.text}"
    elif isinstance(found, Wire | Labelled) and argument.name is None and kind.role == "number":
        meant = f"from {argument.value.span.text} -> {_use(signature.owner, others)}"
    elif "_" in kind.words and (open_extent := _with_open_extent(found)) is not None:
        meant = open_extent
    is_word = isinstance(found, str) and not isinstance(found, Quoted)
    if is_word and isinstance(argument.value, Name) and meant is None and not in_list:
        # A word of some other layer's arguments, so it has not been said that nothing is called so.
        problem = UnknownName(found, None, remark=f"`{name}` takes {kind.expected}")
        reporter.report(problem, argument.value.span)
        return
    by_place = argument.name is None and name != signature.parameters[0]
    text = signature.text if by_place else None
    # Where other libraries have the channels that reach the layer, we have what takes no such number.
    count = isinstance(found, int) and not isinstance(found, bool) and found > 0
    # An axis that is given by a number may be meant so.
    takes_none = kind in (boolean, small) or (kind in (axis, axis_or_all) and found not in (1, 2, 3))
    follows = count and takes_none and argument.name is None and signature.owner in LAYERS
    if follows and meant is None:
        first, *_ = bound.arguments.values()
        meant = _shifted(signature, first, bound.arguments.values()) or _use(signature.owner, others)
    remark = CHANNELS_FOLLOW if follows else None
    expected = kind.expected
    if kind.most is not None and isinstance(found, int | float) and abs(found) > kind.most:
        expected += f", of at most {written(kind.most)}"
    reporter.report(BadArgument(name, show(found), expected, meant, text, remark), argument.span)


def _with_open_extent(value: Any) -> str | None:
    """A shape with an extent of -1, which elsewhere follows from the others, as it is written here."""
    items = value if isinstance(value, tuple) and not isinstance(value, Wire) else (value,)
    return written(tuple("_" if item == -1 else item for item in items)) if -1 in items else None


def whole(value: Any) -> Any:
    """A float that is whole as the integer it is, in lists too: `/` may have made it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < limits.NUMBER:
        return int(value)
    if isinstance(value, tuple) and not isinstance(value, Wire | Shape):
        return tuple(whole(v) for v in value)
    return value
