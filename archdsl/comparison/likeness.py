"""How alike two layers are, in points: what they are worth as a pair, and what each costs that is in none.

Layers with matrices of weights count most: of a block, its convolutions are what it is known by, and
activations and normalisations are everywhere.
"""

from __future__ import annotations

from archdsl.comparison.alignment import NEVER
from archdsl.comparison.outline import Book, differ
from archdsl.layers.layer import Layer

HEAVY, LIGHT = 80, 20
"""What an equal pair is worth, with a matrix of weights and without."""

UNPAIRED = 4
"""The part of its weight that a layer costs that is in no pair."""

OPENING = 50
"""What a stretch of such layers costs, beside the layers."""

CHANGED = (65, 50, 30, 15)
"""What a pair of one kind keeps of that in percent, by how many arguments are others."""

RELATED = 25
"""What a pair of related kinds keeps of it in percent, or one of which one alone shares its weights."""

LABEL, AROUND = 20, 10
"""What a label is worth that both have, and one around both."""

END = 60
"""What it is worth that both make the output at one place."""


class Likeness:
    """Points for layers by their numbers in `Outline.looks`."""

    def __init__(self, book: Book) -> None:
        self._examples = book.examples
        self._worth: dict[tuple[int, int], int] = {}
        self._weights: dict[int, int] = {}

    def worth(self, look: int, other: int) -> int:
        key = (look, other)
        if key not in self._worth:
            self._worth[key] = self._pair(look, other)
        return self._worth[key]

    def weight(self, look: int) -> int:
        """What a layer is worth in an equal pair."""
        if look not in self._weights:
            node = self._examples[look].node
            weights = node.layer.weights(*[wire.shape for wire in node.inputs])
            heavy = node.kind == "input" or any(len(shape) > 1 for shape in weights.values())
            self._weights[look] = HEAVY if heavy else LIGHT
        return self._weights[look]

    def _pair(self, look: int, other: int) -> int:
        x, y = self._examples[look], self._examples[other]
        weight = min(self.weight(look), self.weight(other))
        shared = x.node.first is not None, y.node.first is not None
        if shared[0] != shared[1] and related(x.node.layer, y.node.layer):
            points = weight * RELATED // 100
        elif x.kind == y.kind:
            points = weight if len(x.node.inputs) == len(y.node.inputs) else weight * 9 // 10
        elif x.node.kind == y.node.kind:
            otherwise = sum(differ(name, x.node.layer, y.node.layer) for name in x.node.layer.values)
            points = weight * CHANGED[min(otherwise, len(CHANGED)) - 1] // 100
        elif related(x.node.layer, y.node.layer):
            points = weight * RELATED // 100
        else:
            return NEVER
        return points


def related(x: Layer, y: Layer) -> bool:
    """Whether one layer may have been put in place of another: two convolutions, two activations."""
    if x.kind == y.kind:
        return True
    return type(x).__module__ == type(y).__module__ and "input" not in (x.kind, y.kind)
