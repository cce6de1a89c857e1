"""Uses of layers and blocks as a file writes them, without what is left at its default."""

from __future__ import annotations

from typing import Any

from archdsl.compiler.network import Node, Scope, Wire
from archdsl.compiler.values import Function, Labelled, Maker, Rounds, Shared
from archdsl.layers.arguments import REQUIRED, SameAs, written


def layer_call(node: Node) -> str:
    """`conv(64, kernel=3)`."""
    if node.kind == "input":
        return f"input {node.shape}"
    given = []
    for number, (name, parameter) in enumerate(node.layer.arguments.items()):
        value = node.layer.values.get(name)
        default = parameter.default
        if isinstance(default, SameAs):
            default = node.layer.values.get(default.name)
        if default is REQUIRED or value != default:
            plain = number == 0 and parameter.required
            given.append(argument(value) if plain else f"{name}={argument(value)}")
    return _call(node.kind, given)


def block_call(scope: Scope) -> str:
    """`Bottleneck(width=64)`."""
    given = [f"{name}={argument(scope.arguments[name])}" for name in scope.chosen]
    return _call(scope.block or "", given)


def argument(value: Any) -> str:
    """An argument's value; a layer, a block, or what one has made, by its name."""
    match value:
        case Wire():
            return value.node.name
        case list() | tuple():
            return f"[{', '.join(map(argument, value))}]"
        case Maker() | Node() | Scope():
            return value.name
        case Labelled() | Rounds():
            made = value.made if isinstance(value, Labelled) else None
            return argument(made if made is not None and made.name else value.value)
        case Shared():
            return value.label
        case Function():
            return value.definition.name
    return written(value)


def _call(name: str, given: list[str]) -> str:
    return f"{name}({', '.join(given)})" if given else name
