"""How alike two layers are, in points: what they are worth as a pair, and what each costs that is in none.

Layers with matrices of weights count most: of a block, its convolutions are what it is known by, and
activations and normalisations are everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archdsl.comparison.alignment import NEVER, Pair
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


UNLIKE = 2 / 3
"""Two networks are unlike that have no more than this in common."""

UNLIKE_IN_NAME = 1 / 2
"""The same of two that have one name, and so are states of one network."""

SMALL = 12
"""Layers; of two networks that have no more, every change is told however unlike they are."""

OTHERWISE = 0.75
"""What a layer counts, as a part of its weight, that both have with other arguments."""


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

    def in_common(self, looks: Sequence[int], others: Sequence[int], pairs: Iterable[Pair]) -> float:
        """The part of the smaller of two networks, by weight, that the other has, by the pairs of both.

        The inputs are left out: every network has them.
        """
        sums = [
            sum(self.weight(look) for look in some if self._examples[look].node.kind != "input")
            for some in (looks, others)
        ]
        both = sum(self._kept(looks[i], others[j]) for i, j in pairs)
        return both / min(sums) if min(sums) else 1.0

    def _kept(self, look: int, other: int) -> float:
        x, y = self._examples[look], self._examples[other]
        weight = min(self.weight(look), self.weight(other))
        if x.node.kind == "input":
            return 0.0
        if x.node.kind == y.node.kind:
            return weight if x.kind == y.kind else OTHERWISE * weight
        return max(self.worth(look, other), 0)

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
