"""What a unit of a layer computes, as a text, as LaTeX, and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.analysis.equation import TooManyKinds, equations
from archdsl.drawing.choosing import layer_named
from archdsl.drawing.notation import latex, plain
from archdsl.drawing.undrawable import OpenSizes, Undrawable
from archdsl.sizes import TooLarge, Undecided

if TYPE_CHECKING:
    from archdsl.compiler.network import Network, Node


def equation(network: Network, name: str | None, form: str) -> str:
    """The equations of a layer: a text (`.txt`), LaTeX (`.tex`) or a picture. Raises `Undrawable`."""
    node = layer_named(network, name, "an equation")
    try:
        found = equations(network, node)
    except Undecided:
        raise OpenSizes(f"what {node.name} computes depends on open sizes", network.symbols) from None
    except TooManyKinds as error:
        raise Undrawable(f"the units of {node.name} {error}") from None
    except TooLarge:
        raise Undrawable(f"{node.name} reads too much to be written as an equation") from None
    if found is None:
        raise Undrawable(f"of `{node.kind}` no equation is written")
    found = found._replace(notes=[*found.notes, *_left_out(network, found.layers[-1])])
    if form == ".txt":
        return plain(found)
    if form == ".tex":
        return latex(found)
    from archdsl.drawing.typesetting import typeset

    return typeset(found)


def _left_out(network: Network, last: Node) -> list[str]:
    """What is said of the layer that alone goes on with what the equations make, if it is of their kind.

    That is one that makes other numbers of them and leaves their shape, such as a softmax.
    """
    while True:
        readers = [node for node in network.nodes for wire in node.inputs if wire.node is last]
        if len(readers) != 1 or any(wire.node is last for wire in network.outputs):
            return []
        after, layer, x = readers[0], readers[0].layer, last.shape
        others = len(after.inputs) > 1 or after.shape != x or layer.formula or layer.of_window
        if others or layer.macs(x):
            return []
        if layer.flops(x):
            return [f"`{layer.kind}` comes after it, and is not in the equation."]
        last = after
