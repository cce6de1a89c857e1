"""Which layer of a network is meant, where a picture is of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.drawing.undrawable import Undrawable
from archdsl.problems.problem import nearest

if TYPE_CHECKING:
    from archdsl.compiler.network import Network, Node


def layer_named(network: Network, name: str | None, what: str) -> Node:
    """A layer by its name, or the first one with weights within the block or label of that name.

    Without a name it is the first with weights; `what` the picture is of, for the message. Raises
    `Undrawable`.
    """
    layers = [node for node in network.nodes if node.inputs]
    within = [node for node in layers if name is None or node.name.startswith(f"{name}.")]
    for node in layers:
        if node.name == name:
            return node
    if within:
        return next((node for node in within if _weighs(node)), within[0])
    if name is None:
        raise Undrawable(f"{network.name} has no layer of which {what} could be drawn")
    scopes = {node.name.rsplit(".", k)[0] for node in layers for k in range(node.name.count(".") + 1)}
    near = nearest(name, sorted(scopes))
    meant = f"did you mean {near}?" if near else f"`archdsl analyze` lists them, from {layers[0].name} on"
    raise Undrawable(f"{network.name} has no layer {name}; {meant}")


def _weighs(node: Node) -> bool:
    return bool(node.layer.weights(*(wire.shape for wire in node.inputs)))
