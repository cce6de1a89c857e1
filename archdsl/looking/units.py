"""Which layer and which of its units are meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archdsl.compiler import Network, Node, Scope, Wire
from archdsl.looking.unseen import Unseen
from archdsl.problems.problem import nearest, plural

FIRST = 16
"""How many units a layer shows that is named alone."""

RISING = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "tanh", "softplus", "hard_sigmoid"),
        # Which rest when a network is used.
        *("dropout", "channel_dropout"),
    }
)
"""Functions of one number that never fall: what makes their input largest makes their output largest."""
SHARES = frozenset({"softmax", "log_softmax"})
"""Shares of scores: of a class it is the score that is looked at (Simonyan et al. 2014, Section 2)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a layer: a channel and, on a map, a place, without which it is any of the channel's.

    `wire` is the value whose unit it is called, and `excited` the one that is made large: before functions
    that only squash it, which would hide how much.
    """

    wire: Wire
    channel: int
    place: tuple[int, ...] | None = None

    @property
    def extents(self) -> tuple[int, ...]:
        """The extents of the map that the unit is on, none of a vector."""
        return tuple(extent for extent in self.wire.shape[1:] if isinstance(extent, int))

    @property
    def middle(self) -> tuple[int, ...]:
        """Its place, or the middle of the map."""
        return self.place or tuple((extent - 1) // 2 for extent in self.extents)

    @property
    def excited(self) -> Wire:
        wire = self.wire
        while wire.node.kind in RISING | SHARES:
            wire = wire.node.inputs[0]
        return wire

    def __str__(self) -> str:
        place = "".join(f",{at}" for at in self.place or ())
        return f"{named(self.wire)}:{self.channel}{place}"


def layer_of(network: Network, name: str) -> Wire:
    """The value that a layer makes, or what a block or label of that name gives. Raises `Unseen`."""
    scopes = {scope.name: scope for scope in _scopes(network.scope) if scope.name}
    wires = {node.name: Wire(node) for node in network.nodes}
    if name in scopes and name not in wires:
        given = scopes[name].outputs
        if len(given) != 1:
            raise Unseen(f"{name} gives {len(given)} values; name a layer in it")
        wires[name] = given[0]
    if name in wires:
        if wires[name].node in network.inputs:
            raise Unseen(f"{name} is the input; name a layer")
        if not _depends(wires[name].node, set(network.inputs)):
            raise Unseen(f"{name} does not depend on the input")
        return wires[name]
    known = [*scopes, *(node.name for node in network.nodes if node.inputs)]
    near = nearest(name, known)
    first = next((node.name for node in network.nodes if node.inputs), None)
    meant = f"did you mean {near}?" if near else f"`archdsl analyze` lists them, from {first} on"
    raise Unseen(f"{network.name} has no layer {name}; {meant}")


def layers_named(network: Network, names: Sequence[str]) -> list[Wire]:
    """The values that layers make, each once, by whatever names. Raises `Unseen`."""
    return list(dict.fromkeys(layer_of(network, name) for name in names))


def units_of(network: Network, text: str) -> list[Unit]:
    """The units that are meant by `LAYER:CHANNEL`, `LAYER:CHANNEL,ROW,COLUMN` or, the first ones, `LAYER`.

    They count from 0. Raises `Unseen`.
    """
    name, colon, rest = text.partition(":")
    wire = layer_of(network, name)
    extents = [extent for extent in wire.shape if isinstance(extent, int)]
    if not extents or len(extents) < len(wire.shape):
        raise Unseen(f"{name} has no units: its shape is {wire.shape}")
    if not colon:
        return [Unit(wire, channel) for channel in range(min(FIRST, extents[0]))]
    if not re.fullmatch(r"\d{1,9}( *, *\d{1,9})*", rest.strip()):
        raise Unseen(f"{text!r} names no unit: {_example(name, extents)}")
    channel, *place = map(int, rest.split(","))
    if place and len(place) != len(extents) - 1:
        raise Unseen(f"{text!r} names no unit: {_example(name, extents)}")
    if channel >= extents[0]:
        what = "channel" if len(extents) > 1 else "unit"
        raise Unseen(f"{text!r} names no unit: {name} has {plural(extents[0], what)}, counted from 0")
    if any(at >= extent for at, extent in zip(place, extents[1:], strict=bool(place))):
        size = " × ".join(map(str, extents[1:]))
        raise Unseen(f"{text!r} names no unit: each channel of {name} has {size} units, counted from 0")
    return [Unit(wire, channel, tuple(place) or None)]


def named(wire: Wire) -> str:
    """What a file calls a value: by its label where that gives nothing else, as `conv1` its relu."""
    scope: Scope | None = wire.node.scope
    name = str(wire)
    while scope is not None and scope.name and scope.outputs == (wire,):
        name, scope = scope.name, scope.parent
    return name


def _depends(node: Node, inputs: set[Node]) -> bool:
    """Whether a node reads an input, if by others."""
    pending, met = [node], {node}
    while pending:
        before = {wire.node for wire in pending.pop().inputs} - met
        met |= before
        pending += before
    return bool(met & inputs)


def _scopes(scope: Scope) -> Iterator[Scope]:
    yield scope
    for member in scope.members:
        if isinstance(member, Scope):
            yield from _scopes(member)


def _example(name: str, extents: list[int]) -> str:
    """How units of a layer are named."""
    if len(extents) == 1:
        return f"{name} has units like {name}:{extents[0] // 2}"
    place = ",".join(str((extent - 1) // 2) for extent in extents[1:])
    return f"{name} has units like {name}:{extents[0] // 2} or {name}:{extents[0] // 2},{place}"
