"""Parts of a network: layers, blocks and rows of them, as they are named and what they cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from archdsl.comparison.outline import Outline, Unit
from archdsl.compiler.network import Node, Scope
from archdsl.layers.shapes import Shape
from archdsl.problems.problem import plural
from archdsl.report.calls import block_call, layer_call
from archdsl.report.report import plain

if TYPE_CHECKING:
    from archdsl.sizes import Size

FEW = 5
"""The most layers in a row that are written out."""

FIGURES = ("parameters", "buffers", "macs", "flops", "activation_bytes")
"""What is summed of a part, by the names of the report."""


@dataclass(frozen=True, slots=True)
class Part:
    """Layers of one network that are one thing: a layer, a block, or some in a row."""

    units: tuple[Unit, ...]
    layers: tuple[Node, ...]
    figures: dict[str, Size]
    scope: str = ""
    """The name of the scope that it stands for, where that is not all of it."""

    @property
    def name(self) -> str:
        """Of the unit; where there are several, of the first and the last."""
        if self.scope:
            return self.scope
        first, last = self.units[0].name, self.units[-1].name
        return first if len(self.units) == 1 else _from_to(first, last)

    @property
    def kind(self) -> str:
        """What it is: `conv(64, kernel=3) -> relu`, `3 × Bottleneck`."""
        only = self.units[0] if len(self.units) == 1 else None
        plain_group = isinstance(only, Scope) and only.block is None and _in_a_row(self.layers)
        if plain_group or all(isinstance(unit, Node) for unit in self.units):
            return _row(self.layers)
        kinds = {_block(unit) for unit in self.units}
        said = kinds.pop() if len(kinds) == 1 else "parts"
        return said if len(self.units) == 1 else f"{len(self.units)} × {said}"

    @property
    def shape(self) -> Shape:
        """Of the last layer's result."""
        return self.layers[-1].shape

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "layers": [node.name for node in self.layers],
            "shape": plain(list(self.shape)),
            **{figure: plain(value) for figure, value in self.figures.items()},
        }


def together(parts: Sequence[Part]) -> Part:
    """Parts in order, with what lies between them left out, as one."""
    return Part(
        tuple(unit for part in parts for unit in part.units),
        tuple(node for part in parts for node in part.layers),
        {name: sum(part.figures[name] for part in parts) for name in FIGURES},
    )


class Parts:
    """Makes the parts of one network."""

    def __init__(self, outline: Outline, figures: list[dict[str, Size]], both: Collection[Scope]) -> None:
        """`figures` are those of every layer, by its number; no part is larger than a scope of `both`."""
        self.outline = outline
        self.figures = figures
        self._both = frozenset((*both, outline.network.scope))

    def of(self, numbers: Sequence[int]) -> Part:
        """Layers that follow one another, as one part."""
        return self._part(self._largest(numbers))

    def divided(self, numbers: Sequence[int]) -> list[Part]:
        """Layers that follow one another, as parts: layers in a row and blocks that are alike are one."""
        groups: list[list[Unit]] = []
        for unit in self._largest(numbers):
            if groups and self._goes_on(groups[-1][-1], unit):
                groups[-1].append(unit)
            else:
                groups.append([unit])
        return [self._part(group) for group in groups]

    def _goes_on(self, last: Unit, unit: Unit) -> bool:
        if self.outline.parents[last] is not self.outline.parents[unit]:
            return False
        if isinstance(unit, Node) and isinstance(last, Node):
            return "input" not in (unit.kind, last.kind)
        both = isinstance(unit, Scope) and isinstance(last, Scope)
        return both and self.outline.signature(unit) == self.outline.signature(last)

    def _largest(self, numbers: Sequence[int]) -> list[Unit]:
        """The largest units that some layers, in order, fill."""
        units: list[Unit] = []
        at = 0
        while at < len(numbers):
            unit: Unit = self.outline.nodes[numbers[at]]
            filled = at + 1
            while (around := self.outline.parents[unit]) not in self._both:
                first, last = self.outline.ranges[around]
                end = at + last - first
                if first != numbers[at] or end > len(numbers) or numbers[end - 1] != last - 1:
                    break
                unit, filled = around, end
            units.append(unit)
            at = filled
        return units

    def _part(self, units: Sequence[Unit]) -> Part:
        numbers = [number for unit in units for number in self.outline.layers(unit)]
        sums = {figure: sum(self.figures[number][figure] for number in numbers) for figure in FIGURES}
        return Part(tuple(units), tuple(self.outline.nodes[number] for number in numbers), sums)


def _from_to(first: str, last: str) -> str:
    """`stage_1.conv_1 … conv_3`: what two names have in common is written once."""
    ours, theirs = first.split("."), last.split(".")
    common = 0
    while common < min(len(ours), len(theirs)) - 1 and ours[common] == theirs[common]:
        common += 1
    return f"{first} … {'.'.join(theirs[common:])}"


def _in_a_row(layers: Sequence[Node]) -> bool:
    """Whether each layer takes what the one before it made, and nothing else."""
    return all([maker for maker, _ in node.inputs] == [before] for before, node in pairwise(layers))


def _row(layers: Sequence[Node]) -> str:
    """Layers one after another; of many the first and the last, and how many they are."""
    if len(layers) <= FEW:
        return " -> ".join(map(layer_call, layers))
    return f"{layer_call(layers[0])} -> … -> {layer_call(layers[-1])}, {plural(len(layers), 'layer')}"


def _block(unit: Unit) -> str:
    if isinstance(unit, Node):
        return layer_call(unit)
    if unit.block is None and len(unit.members) == 1:
        return _block(unit.members[0])
    if unit.block is None:
        return plural(len([*_nodes(unit)]), "layer")
    return block_call(unit)


def _nodes(scope: Scope) -> Iterator[Node]:
    for member in scope.members:
        if isinstance(member, Node):
            yield member
        else:
            yield from _nodes(member)
