"""Which arguments something takes, and which of those given is which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from archdsl.compiler.elsewhere import ARGUMENTS_ELSEWHERE
from archdsl.compiler.reporting import Reporter
from archdsl.diagnostics import Label
from archdsl.layers.arguments import SameAs
from archdsl.layers.layer import MANY, Layer
from archdsl.problems import nearest
from archdsl.problems.names import DuplicateArgument, ExtraArgument, MissingArgument, UnknownArgument
from archdsl.source import Span
from archdsl.syntax.tree import Argument, Block, Let


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
            _OF_LAYERS[layer] = Signature._of_layer(layer)
        return _OF_LAYERS[layer]

    @staticmethod
    def _of_layer(layer: type[Layer]) -> Signature:
        words = ["..."] if layer.inputs == MANY else []
        for name, parameter in layer.arguments.items():
            if parameter.required:
                words.append(name)
            else:
                words.append(f"{name}={_default(parameter.default)}")
        required = frozenset(n for n, p in layer.arguments.items() if p.required)
        text = f"{layer.kind}({', '.join(words)})" if words else layer.kind
        return Signature(layer.kind, tuple(layer.arguments), required, text, layer.inputs == MANY)

    @staticmethod
    def of_block(block: Block) -> Signature:
        words = [p.name if p.default is None else f"{p.name}={p.default.span.text}" for p in block.parameters]
        required = frozenset(p.name for p in block.parameters if p.default is None)
        text = f"{block.name}({', '.join(words)})" if words else block.name
        return Signature(block.name, tuple(p.name for p in block.parameters), required, text)

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
                if position == len(signature.parameters) + 1:
                    problem = ExtraArgument(signature.owner, len(signature.parameters), signature.text)
                    reporter.report(problem, argument.span)
                wrong = True
                continue
            name = signature.parameters[position - 1]
        elif name not in signature.parameters:
            reporter.report(unknown_argument(signature, name), argument.name_span or argument.span)
            wrong = True
            continue
        if name in bound:
            reporter.report(
                DuplicateArgument(signature.owner, name, signature.text),
                argument.span,
                (Label(bound[name].span, "given first here"),),
            )
            wrong = True
            continue
        bound[name] = argument
    missing = tuple(p for p in signature.parameters if p in signature.required and p not in bound)
    # A mistyped argument is most likely the one that is missing: one mistake, one message.
    if missing and not wrong:
        reporter.report(MissingArgument(signature.owner, missing, signature.text), owner)
        wrong = True
    return Bound(bound, not wrong)


def unknown_argument(signature: Signature, name: str) -> UnknownArgument:
    """The problem of a name that is no argument, with what was most likely meant."""
    words, remark = ARGUMENTS_ELSEWHERE.get(name, ((), None))
    meant = next((word for word in words if word in signature.parameters), None)
    if meant is None and remark is None:
        meant = nearest(name, signature.parameters)
    return UnknownArgument(signature.owner, name, meant, signature.text, remark)


def _default(value: object) -> str:
    if isinstance(value, SameAs):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)
