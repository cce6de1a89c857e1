"""Network dissection: which concepts the units of a layer answer to (Bau et al. 2017).

1. The threshold of a unit is the number that a share of 0.005 of all its values exceed, at every place of
   every picture.
2. Its map of a picture is laid over the picture, stretched linearly between the middles of what its places
   see. Where that reaches the threshold, the unit is on.
3. Over all pictures together: the pixels where it is on that are of a concept, as a share of those where it
   is on or that are of the concept. Above 0.04 the unit is a detector of its best concept.

A threshold that is a unit's least value, as of a ReLU that is hardly ever above 0, has to be exceeded: what
is off would count as on otherwise. Thresholds are exact: of each unit the largest values are kept, and where
these are too many, the pictures are gone through several times, for some units at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from archdsl.analysis import analyse
from archdsl.compiler import Wire
from archdsl.looking.anchors import anchors, laid_over
from archdsl.looking.concepts import Concepts
from archdsl.looking.subject import Subject
from archdsl.looking.units import named
from archdsl.looking.unseen import Unseen
from archdsl.progress import Progress, untold
from archdsl.training.transforming import viewed

SHARE = 0.005
"""The share of a unit's values that exceed its threshold."""
DETECTS = 0.04
"""The overlap above which a unit is a detector."""
STRONGEST = 4
"""The pictures that are shown of a unit: those in which it reaches its largest values."""
MOST_KEPT = 1 << 26
"""The most values that are kept at a time to find thresholds: a quarter of a gigabyte."""
AT_ONCE = 1 << 24
"""The most numbers of a value, of masks or of stretched maps at a time, unless one picture has more: sums of
so many ones are exact."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What was found of one unit: its threshold, and its overlap with each concept.

    A threshold that is `least`, none of its values being less, has to be exceeded. `strongest` are the
    numbers of the pictures in which it reaches its largest values.
    """

    number: int
    threshold: float
    least: bool
    overlaps: tuple[float, ...]
    strongest: tuple[int, ...]

    @property
    def concept(self) -> int:
        """The number of its best concept."""
        return max(range(len(self.overlaps)), key=self.overlaps.__getitem__)

    @property
    def overlap(self) -> float:
        """That with its best concept."""
        return self.overlaps[self.concept]

    @property
    def detects(self) -> bool:
        return self.overlap > DETECTS


@dataclass(frozen=True, slots=True)
class Dissection:
    """What was found of a layer's units; `shares` are those of all pixels that the concepts take.

    `anchored` says whether maps were laid over pictures by what their units see.
    """

    state: str
    layer: str
    shape: tuple[int, ...]
    anchored: bool
    concepts: Concepts
    shares: tuple[float, ...]
    units: tuple[Unit, ...]

    @property
    def detectors(self) -> list[Unit]:
        """The units that detect something, the best first."""
        return sorted((unit for unit in self.units if unit.detects), key=lambda unit: -unit.overlap)

    @property
    def detected(self) -> dict[str, int]:
        """How many units detect each concept that any does, those of most units first."""
        counts: dict[str, int] = {}
        for unit in self.detectors:
            name = self.concepts.names[unit.concept]
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def to_dict(self) -> list[dict[str, Any]]:
        """The units as they stand in the JSON object."""
        names = self.concepts.names
        return [
            {
                "unit": unit.number,
                "threshold": unit.threshold,
                "concept": names[unit.concept] if unit.overlap else None,
                "iou": unit.overlap,
                "detects": unit.detects,
                "ious": dict(zip(names, unit.overlaps, strict=True)),
                "strongest": [str(self.concepts.pictures[i]) for i in unit.strongest],
            }
            for unit in self.units
        ]


class _Thresholds(NamedTuple):
    """By unit: its threshold, whether that is its least value, and in which pictures it is strongest."""

    values: Tensor
    least: Tensor
    strongest: Tensor


class Dissecting:
    """A layer, made ready to be dissected with a folder of pictures and masks.

    Raises `Unseen` where the layer has no maps, or the network takes no pictures.
    """

    def __init__(
        self,
        subject: Subject,
        state: str,
        wire: Wire,
        folder: Concepts,
        share: float = SHARE,
    ) -> None:
        self._subject, self._state, self._wire, self._folder = subject, state, wire, folder
        name, taken = named(wire), subject.shape
        # In this shape pictures are read; then they are transformed as examples are.
        self._example = taken if subject.recipe is None else subject.recipe.shape
        for shape in (taken, self._example):
            if len(shape) != 3 or shape[0] not in (1, 3):
                raise Unseen(f"{subject.network.name} takes {list(shape)}, which is no picture")
        self._shape = tuple(extent for extent in wire.shape if isinstance(extent, int))
        if len(self._shape) != 3:
            raise Unseen(f"{name} is {wire.shape}, no maps: name a layer before they are flattened or pooled")
        analysis = analyse(subject.network)
        self._anchors, self._anchored = anchors(analysis.receptive_field(wire), self._shape[1:], taken[1:])
        values = [count for count in analysis.flow.counts if isinstance(count, int)]
        largest = max(*values, prod(self._example), len(folder.names) * prod(self._example[1:]))
        self._together = max(1, AT_ONCE // largest)
        units, *extents = self._shape
        count = len(folder.pictures) * prod(extents)
        # With the value that so many others exceed.
        self._kept = min(count, floor(count * share + 1e-9) + 1)
        self._groups = torch.arange(units).chunk(max(1, ceil(units * self._kept / MOST_KEPT)))
        self._seen = subject.seen([wire], state)

    @property
    def pictures(self) -> int:
        """How many pictures `found` goes through, each as often as it does."""
        return (len(self._groups) + 1) * len(self._folder.pictures)

    def found(self, progress: Progress | None = None) -> Dissection:
        """Two passes through the pictures: for the thresholds, then for the overlaps."""
        progress = progress or Progress(self.pictures, untold)
        thresholds = self._thresholds(progress)
        overlaps, shares = self._overlaps(thresholds, progress)
        columns = (thresholds.values, thresholds.least, overlaps, thresholds.strongest)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        units = tuple(
            Unit(number, value, least, tuple(row), tuple(strongest))
            for number, (value, least, row, strongest) in enumerate(rows)
        )
        return Dissection(
            self._state,
            named(self._wire),
            self._shape,
            self._anchored,
            self._folder,
            tuple(shares.tolist()),
            units,
        )

    def regions(self, unit: Unit) -> Iterator[tuple[Tensor, Tensor]]:
        """The strongest pictures of a unit, as they are cut for the network, and where it is on in them."""
        threshold, least = torch.tensor([unit.threshold]), torch.tensor([unit.least])
        for pictures in self._folder.seen(self._example, self._together, unit.strongest):
            maps = self._maps(pictures)[:, [unit.number]]
            on = _on(laid_over(maps, self._anchors), threshold, least)
            for picture, where in zip(self._moved(pictures), on, strict=True):
                yield picture, where[0]

    def _thresholds(self, progress: Progress) -> _Thresholds:
        parts = [self._of_units(some, progress) for some in self._groups]
        return _Thresholds(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _of_units(self, units: Tensor, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Thresholds of some units, whether they are their least values, and their strongest pictures."""
        largest, peaks = torch.empty(len(units), 0), torch.empty(len(units), 0)
        least = torch.full((len(units),), torch.inf)
        pictures = torch.empty(len(units), 0, dtype=torch.long)
        done = 0
        for shown in self._folder.seen(self._example, self._together):
            values = self._maps(shown)[:, units].transpose(0, 1).flatten(2)
            if not values.isfinite().all():
                raise Unseen(f"the maps of {named(self._wire)} have values that are infinite or no numbers")
            peaks = torch.cat([peaks, values.amax(2)], 1)
            numbers = torch.arange(done, done + values.shape[1]).expand(len(units), -1)
            pictures = torch.cat([pictures, numbers], 1)
            done += values.shape[1]
            # Of equal ones the first, so that the same pictures are shown each time.
            order = peaks.argsort(stable=True, dim=1, descending=True)[:, :STRONGEST]
            peaks, pictures = peaks.gather(1, order), pictures.gather(1, order)
            every = torch.cat([largest, values.flatten(1)], 1)
            largest = every.topk(min(self._kept, every.shape[1])).values
            least = torch.minimum(least, values.flatten(1).amin(1))
            progress.went(values.shape[1])
        thresholds = largest[:, -1]
        return thresholds, thresholds == least, pictures

    def _overlaps(self, thresholds: _Thresholds, progress: Progress) -> tuple[Tensor, Tensor]:
        """By unit and concept their overlap, and by concept its share of all pixels."""
        units, concepts = self._shape[0], len(self._folder.names)
        both = torch.zeros(units, concepts, dtype=torch.long)
        on, of = torch.zeros(units, dtype=torch.long), torch.zeros(concepts, dtype=torch.long)
        pixels = 0
        for pictures, masks in self._folder.masked(self._example, self._together):
            marked = self._moved(masks).gt(0.5).float().flatten(2)
            for maps, marks in zip(self._maps(pictures), marked, strict=True):
                of += marks.sum(1).long()
                pixels += marks.shape[1]
                # Between its places a map is nowhere larger than at the largest: most units are off all over.
                reached = (maps.amax((1, 2)) >= thresholds.values).nonzero()[:, 0]
                for some in torch.split(reached, max(1, AT_ONCE // marks.shape[1])):
                    laid = laid_over(maps[some], self._anchors)
                    where = _on(laid, thresholds.values[some], thresholds.least[some]).flatten(1)
                    on[some] += where.sum(1)
                    both[some] += (where.float() @ marks.T).long()
                progress.went()
        either = on[:, None] + of - both
        return both / either.clamp_min(1).double(), of.double() / pixels

    def _maps(self, pictures: Tensor) -> Tensor:
        """The layer's maps of pictures, which are transformed first."""
        recipe = self._subject.recipe
        x, views = (pictures, 1) if recipe is None else viewed(recipe, pictures)
        with torch.no_grad():
            (maps,) = self._seen(x[::views].to(self._subject.device))
        return maps.float().cpu()

    def _moved(self, masks: Tensor) -> Tensor:
        """Masks, or pictures that are shown, with their pixels where transforms move them."""
        recipe = self._subject.recipe
        moving = () if recipe is None else tuple(one for one in recipe.evaluate if one.moves)
        for transform in moving:
            masks = transform.apply(torch, masks, None)[:: transform.views]
        return masks


def _on(laid: Tensor, thresholds: Tensor, least: Tensor) -> Tensor:
    """Where stretched maps `[..., units, rows, columns]` reach their thresholds."""
    values, exceeded = (one.reshape(-1, 1, 1) for one in (thresholds, least))
    return torch.where(exceeded, laid > values, laid >= values)
