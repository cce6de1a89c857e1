"""Uses of layers and blocks as a file writes them, without what is left at its default."""

from __future__ import annotations

from typing import Any

from archdsl.compiler.network import Node, Scope, Wire
from archdsl.compiler.values import Maker
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
    """An argument's value; a layer or block that is one by its name."""
    if isinstance(value, list):
        return f"[{', '.join(map(argument, value))}]"
    if isinstance(value, Wire):
        return value.node.name
    return value.name if isinstance(value, Maker | Node) else written(value)


def _call(name: str, given: list[str]) -> str:
    return f"{name}({', '.join(given)})" if given else name
