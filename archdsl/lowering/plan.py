"""From the scopes of a network to the classes that are written.

Scopes are read from the innermost outwards. What a scope does becomes steps and loops
(`archdsl.lowering.steps`); two uses of a block whose steps are alike but for constants share a class, and
the constants that differ become its parameters.

Layers that reach no output are made, so that their weights are there, but not executed.
"""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.compiler.network import Network, Node
from archdsl.lowering.classes import Class, name_classes, share
from archdsl.lowering.layers import Layers
from archdsl.lowering.reading import Reader
from archdsl.lowering.scopes import ScopeTree
from archdsl.lowering.uses import Use


@dataclass(slots=True)
class Plan:
    """Everything that is written: the classes, inner ones first, the network's own at the end."""

    classes: list[Class]
    sources: list[str]
    inputs: list[Node]


def plan(network: Network) -> Plan:
    """The classes of a network. Raises `ArchError` where a weight's size is a symbol without a value."""
    tree = ScopeTree(network)
    layers = Layers(network)
    reader = Reader(network, tree, layers)
    classes: list[Class] = []
    for level in tree.levels():
        groups: dict[object, list[Use]] = {}
        for scope in level:
            use = reader.read(scope)
            if use is not None and not use.make:
                groups.setdefault(use.form, []).append(use)
        for group in groups.values():
            classes.append(share(group, len(classes)))
    sources = list(layers.sources)
    name_classes(classes, network.name, sources)
    return Plan(classes, sources, network.inputs)
