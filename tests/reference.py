"""Receptive fields by their definition: which samples a unit sees, followed back position by position.

Slow and plain, on descriptions of networks as `tests/oracle/` has them. Nothing of archdsl is in it.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import floor
from typing import Any

Node = dict[str, Any]
Hull = tuple[int, int, int] | None
"""The first and last position seen and how many are; None where none is."""


def reads(op: str, a: dict[str, Any], axis: int, unit: int) -> list[int]:
    """The units of its input that a unit of a layer reads along an axis, unclipped."""
    if op in ("conv", "maxpool", "avgpool"):
        first = unit * a["s"][axis] - a["pad"][axis][0]
        dilation = a.get("d", [1] * len(a["k"]))[axis]
        return [first + tap * dilation for tap in range(a["k"][axis])]
    if op == "conv_transpose":
        places = [unit + a["p"][axis] - tap * a["d"][axis] for tap in range(a["k"][axis])]
        return [place // a["s"][axis] for place in places if place % a["s"][axis] == 0]
    if op == "upsample" and a["mode"] == "nearest":
        return [floor(Fraction(unit) / Fraction(a["scale"][axis]))]
    if op == "upsample":
        place = (unit + Fraction(1, 2)) / Fraction(a["scale"][axis]) - Fraction(1, 2)
        low = floor(place)
        return [low] if place == low else [low, low + 1]
    if op == "crop":
        return [unit + a["lo"][axis]]
    assert op in ("add", "concat", "act"), op
    return [unit]


class Reference:
    """The fields of every unit of a network without layers that look at the whole map."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = {node["id"]: node for node in nodes}
        self.positions = cache(self._positions)
        self.leaves = cache(self._leaves)

    def extent(self, name: str, axis: int) -> int:
        return int(self.nodes[name]["out"][1 + axis])

    def _positions(self, name: str, axis: int, unit: int, clipped: bool) -> frozenset[int]:
        """What a unit sees; `clipped`, only through units and samples that there are."""
        if clipped and not 0 <= unit < self.extent(name, axis):
            return frozenset()
        node = self.nodes[name]
        if node["op"] == "input":
            return frozenset([unit])
        read = reads(node["op"], node["args"], axis, unit)
        return frozenset().union(
            *(self.positions(before, axis, place, clipped) for before in node["in"] for place in read)
        )

    def hull(self, name: str, axis: int, unit: int, clipped: bool = False) -> Hull:
        seen = self.positions(name, axis, unit, clipped)
        return (min(seen), max(seen), len(seen)) if seen else None

    def affected(self, name: str, axis: int) -> list[int]:
        """The units whose field the border cuts off."""
        return [
            unit
            for unit in range(self.extent(name, axis))
            if self.positions(name, axis, unit, False) != self.positions(name, axis, unit, True)
        ]

    def _leaves(self, name: str, axis: int, unit: int) -> tuple[bool, bool]:
        """Whether a unit reads, at once or through others, before the start or past the end of a value."""
        if not 0 <= unit < self.extent(name, axis):
            return unit < 0, unit >= 0
        node = self.nodes[name]
        if node["op"] == "input":
            return False, False
        read = reads(node["op"], node["args"], axis, unit)
        found = [self.leaves(before, axis, place) for before in node["in"] for place in read]
        return any(start for start, _ in found), any(end for _, end in found)

    def border(self, name: str, axis: int) -> tuple[int, int]:
        """How far from the start, and from the end, the last unit lies that padding reaches."""
        extent = self.extent(name, axis)
        found = [self.leaves(name, axis, unit) for unit in range(extent)]
        before = max((unit + 1 for unit, (start, _) in enumerate(found) if start), default=0)
        after = max((extent - unit for unit, (_, end) in enumerate(found) if end), default=0)
        return before, after
