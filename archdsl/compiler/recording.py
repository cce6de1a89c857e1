"""Uses of a block that come out alike: unrolled once, and repeated from a recording after that.

A block's body sees its arguments, its inputs and the names of its file, and nothing else. So two uses
with equal arguments, from inputs of equal shapes, make the same layers under other names. Only uses
without a label are repeated: nothing outside can ask for what is named inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from archdsl.compiler.network import Node, Scope, Wire
from archdsl.layers.layer import Layer
from archdsl.layers.shapes import Shape
from archdsl.sizes import Symbolic
from archdsl.source import Span
from archdsl.syntax.tree import Block, Quoted

Key = tuple[Any, ...]

PLAIN = frozenset((int, str, Quoted, bool, float, Symbolic))

_new = tuple.__new__
"""Makes a Wire in a third of the time; one is made for every layer that is repeated."""


class _Layer(NamedTuple):
    """A node without its name. Its inputs are places in a list of wires: the use's inputs, then results.

    `only_input` and `several` results say what most layers are, for the sake of time.
    """

    key: str
    layer: Layer
    inputs: tuple[int, ...]
    only_input: int | None
    shapes: tuple[Shape, ...]
    several: bool
    scope: int
    defined: Span | None
    label: Span | None


class _Scope(NamedTuple):
    """A scope inside the use's own, which has the number 0; inputs and outputs are places as in `_Layer`.

    Members are numbers: of layers from 0 up, of scopes from -1 down.
    """

    original: Scope
    parent: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    members: list[int]


class NotRepeatable(Exception):
    """A use makes layers that belong to it alone."""


class Recording:
    """What one use of a block made, with the arguments that it had.

    `steps` is the work that it took, `depth` how many uses stood around it, itself among them.
    """

    __slots__ = ("_layers", "_scopes", "arguments", "chosen", "depth", "steps")

    def __init__(
        self, scope: Scope, nodes: list[Node], labels: Mapping[Node, Span], depth: int, steps: int
    ) -> None:
        """Record a use whose `scope` is closed; `labels` are where its values have labels.

        Raises `NotRepeatable` where it is wired to something besides its inputs, and where one of its layers
        has another for an argument, as `max_unpool` has its pooling.
        """
        if any(isinstance(value, Node) for node in nodes for value in node.layer.values.values()):
            raise NotRepeatable
        results = [Wire(node, port) for node in nodes for port in range(len(node.shapes))]
        places = {wire: place for place, wire in enumerate((*scope.inputs, *results))}
        scopes = {one: number for number, one in enumerate(_with_inner(scope))}
        layers = {node: number for number, node in enumerate(nodes)}

        def placed(wires: tuple[Wire, ...]) -> tuple[int, ...]:
            try:
                return tuple([places[wire] for wire in wires])
            except KeyError:
                raise NotRepeatable from None

        self.arguments, self.chosen = scope.arguments, scope.chosen
        self.depth = depth
        self.steps = steps
        self._layers = [
            _Layer(
                node.key,
                node.layer,
                inputs,
                inputs[0] if len(inputs) == 1 else None,
                node.shapes,
                len(node.shapes) > 1,
                scopes[node.scope],
                node.defined,
                labels.get(node),
            )
            for node in nodes
            for inputs in [placed(node.inputs)]
        ]
        self._scopes = [
            _Scope(
                one,
                0 if one is scope or one.parent is None else scopes[one.parent],
                placed(one.inputs),
                placed(one.outputs),
                [-scopes[m] if isinstance(m, Scope) else layers[m] for m in one.members],
            )
            for one in scopes
        ]

    def __len__(self) -> int:
        """The number of layers."""
        return len(self._layers)

    def repeat(self, scope: Scope, use: Span, labels: dict[Node, Span]) -> list[Node]:
        """Make the layers again, in `scope`, from its inputs; `use` is where the network's file uses them."""
        scopes = [scope]
        for original, parent, *_ in self._scopes[1:]:
            around = scopes[parent]
            name = f"{around.name}.{original.key}"
            inner = Scope(name, original.key, around, original.block, original.arguments)
            inner.loop, inner.round, inner.chosen = original.loop, original.round, original.chosen
            scopes.append(inner)
        prefixes = [f"{one.name}." for one in scopes]
        wires = [*scope.inputs]
        nodes: list[Node] = []
        for key, layer, inputs, only, shapes, several, number, defined, label in self._layers:
            name = prefixes[number] + key
            read = tuple([wires[place] for place in inputs]) if only is None else (wires[only],)
            node = Node(name, key, layer, read, shapes, scopes[number], use, defined)
            nodes.append(node)
            wires.append(_new(Wire, (node, 0)))
            if several:
                wires += [Wire(node, port) for port in range(1, len(shapes))]
            if label is not None:
                labels[node] = label
        for one, (_, _, inputs, outputs, members) in zip(scopes, self._scopes, strict=True):
            one.members = [nodes[m] if m >= 0 else scopes[-m] for m in members]
            one.outputs = tuple([wires[place] for place in outputs])
            if one is not scope:
                one.inputs = tuple([wires[place] for place in inputs])
        return nodes


class Recordings:
    """The recordings of a network, which together have at most twice as many layers as the network has."""

    def __init__(self) -> None:
        self._known: dict[Key, Recording | None] = {}
        self._waiting: dict[Key, Callable[[], Recording]] = {}
        self._made: dict[Key, int] = {}
        self._layers = 0

    def layers(self, key: Key) -> int | None:
        """How many layers a use makes, where one like it was kept."""
        return self._made.get(key)

    def find(self, key: Key) -> Recording | None:
        """What was recorded of a use; it is made now, for many a use has no second one like it."""
        make = self._waiting.pop(key, None)
        if make is not None:
            with suppress(NotRepeatable):
                self._known[key] = make()
        return self._known.get(key)

    def has_room(self, layers: int, in_network: int) -> bool:
        """Whether so many layers may be recorded. Blocks in blocks would be, once for each around them."""
        return self._layers + layers <= 2 * in_network

    def keep(self, key: Key, layers: int, make: Callable[[], Recording]) -> None:
        """Have a use of so many layers recorded, by `make`, which may raise `NotRepeatable`."""
        if key not in self._known:
            self._layers += layers
            self._made[key] = layers
            self._known[key] = None
            self._waiting[key] = make


def key_of(block: Block, arguments: Mapping[str, Any], inputs: tuple[Wire, ...]) -> Key | None:
    """All that a use of a block depends on; None where that is more than plain values and shapes.

    The defaults of what `arguments` leaves out follow from the rest.
    """
    if len(inputs) > 1 and len(set(inputs)) < len(inputs):
        return None
    try:
        given = [plain(value) for value in arguments.values()]
    except TypeError:
        return None
    return (block, *arguments, *given, *[node.shapes[port] for node, port in inputs])


def plain(value: Any) -> Any:
    """A value with its type, since 1, 1.0 and true are equal. Raises `TypeError` where it is not plain."""
    kind = type(value)
    if value is None or kind in PLAIN:
        return (kind, value)
    if isinstance(value, tuple) and kind is not Wire:
        return (kind, *[plain(one) for one in value])
    raise TypeError(kind)


def _with_inner(scope: Scope) -> list[Scope]:
    """A scope and all scopes inside it, each after the one around it."""
    found = [scope]
    for one in found:
        found += [member for member in one.members if isinstance(member, Scope)]
    return found
