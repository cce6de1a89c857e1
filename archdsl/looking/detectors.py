"""What a dissection found: as a table, as JSON, and as pictures with the regions where units are on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archdsl.compiler import Wire
from archdsl.drawing.sheet import Panel, Row, Sheet, Table
from archdsl.looking.concepts import concepts
from archdsl.looking.dissection import DETECTS, SHARE, Dissecting, Dissection, Unit
from archdsl.looking.panels import pixels
from archdsl.looking.subject import Subject
from archdsl.problems.problem import plural
from archdsl.progress import Progress, Told, untold
from archdsl.report.table import GAP, LEAST_NAME, cut, plain_signs
from archdsl.report.terminal import BOLD, Style, text_width, visible

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""

SHOWN = 5
"""The most units on a sheet, of each state of the network."""
NAMED = 6
"""The most concepts that are named in a line."""
DARK = 0.4
"""What is left of the brightness where a unit is off, in grey."""
SIDE = 96.0
"""Pixels of the larger side of a picture."""


class Detectors:
    """The units of a layer, in each state of what is looked at, held to the concepts of a folder.

    Raises `Unseen` where the layer has no maps, or the folder is not as it should be.
    """

    def __init__(
        self, subject: Subject, wire: Wire, folder: Path, share: float = SHARE, told: Told = untold
    ) -> None:
        """`share` is how many of a unit's values count as on; `told` hears how far it is."""
        self._subject, self._share = subject, share
        self._concepts = concepts(folder)
        self._layers = [Dissecting(subject, state, wire, self._concepts, share) for state in subject.states]
        progress = Progress(sum(layer.pictures for layer in self._layers), told)
        self._found = [layer.found(progress) for layer in self._layers]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        first = self._found[0]
        shares = zip(self._concepts.names, first.shares, strict=True)
        return {
            "schema": SCHEMA,
            "looked_at": self._subject.name,
            "network": self._subject.network.name,
            "layer": first.layer,
            "shape": list(first.shape),
            "pictures": len(self._concepts.pictures),
            "share": self._share,
            "detects_above": DETECTS,
            "anchored": first.anchored,
            "concepts": [{"name": name, "share": share} for name, share in shares],
            "states": {found.state: found.to_dict() for found in self._found},
        }

    def text(self, width: int | None = None, style: Style | None = None) -> str:
        """The detectors as a table for `width` columns, and below it how many there are in each state."""
        style = style or Style()
        first = self._found[0]
        lines = [style.paint(visible(self._heading), BOLD), ""]
        if first.detectors:
            lines += [*_table(first, width, style), ""]
        wide = max(len(found.state) for found in self._found)
        lines += [f"{found.state:<{wide}}{GAP}{visible(_summary(found))}" for found in self._found]
        lines += [f"note: {visible(note)}" for note in self._notes()]
        return "\n".join(plain_signs(line) if style.ascii else line for line in lines)

    def sheet(self) -> Sheet:
        """The best units with the pictures in which they are strongest, dark where they are off."""
        tables = []
        for layer, found in zip(self._layers, self._found, strict=True):
            rows = tuple(self._row(layer, found, unit) for unit in _best(found))
            tables.append(Table(rows, name=f"{found.state}: {_summary(found)}", side=SIDE))
        about = "The best units, detectors or not, in the pictures where they are strongest: dark where off"
        heading = f"What the units of {self._found[0].layer} answer to"
        return Sheet(heading, f"{self._heading}\n{about}", tuple(tables))

    @property
    def _heading(self) -> str:
        first, count = self._found[0], len(self._concepts.pictures)
        names = plural(len(self._concepts.names), "concept")
        return f"{first.layer} of {self._subject.name}: {plural(count, 'picture')}, {names}"

    def _row(self, layer: Dissecting, found: Dissection, unit: Unit) -> Row:
        name = f"{found.layer}:{unit.number}"
        if unit.overlap:
            name += f"  {found.concepts.names[unit.concept]} {unit.overlap:.2f}"
        return Row(name, tuple(Panel(pixels(_lit(*region), None)) for region in layer.regions(unit)))

    def _notes(self) -> list[str]:
        first = self._found[0]
        notes = [
            f"no picture has anything of {name}"
            for name, share in zip(self._concepts.names, first.shares, strict=True)
            if share == 0
        ]
        notes += [note for note in (_unreachable(first, self._share), _by_chance(first, self._share)) if note]
        if not first.anchored:
            notes.append(
                f"what units of {first.layer} see has no one place: maps are stretched from edge to edge"
            )
        return notes


def _unreachable(found: Dissection, share: float) -> str:
    """Of which concepts hardly any unit can be a detector, being on in so few pixels or too many."""
    least = {
        name: of
        for name, of in zip(found.concepts.names, found.shares, strict=True)
        if of and min(of, share) / max(of, share) <= DETECTS
    }
    if not least:
        return ""
    return (
        f"a unit that is on in {share:.2g} of the pixels overlaps by no more than {DETECTS} with what takes "
        f"far more of them, or far fewer: {_shares(least)}; --share sets another part"
    )


def _by_chance(found: Dissection, share: float) -> str:
    """With which concepts a unit that is on anywhere overlaps as a detector does."""
    most = {
        name: of
        for name, of in zip(found.concepts.names, found.shares, strict=True)
        if share * of / (share + of - share * of) > DETECTS
    }
    if not most:
        return ""
    return (
        f"a unit that is on in {share:.2g} of the pixels, wherever they are, overlaps by more than {DETECTS} "
        f"with what takes many of them: {_shares(most)}; a smaller --share tells more"
    )


def _shares(taken: dict[str, float]) -> str:
    """`red 0.31, disc 0.2`, the first ones."""
    said = ", ".join(f"{name} {share:.2g}" for name, share in [*taken.items()][:NAMED])
    return said + (", ..." if len(taken) > NAMED else "")


def _summary(found: Dissection) -> str:
    """`5 of 8 units are detectors (IoU above 0.04) of 2 concepts: red 3, disc 2`."""
    count, every = len(found.detectors), plural(len(found.units), "unit")
    if not count:
        return f"none of {every} is a detector (IoU above {DETECTS})"
    of = ", ".join(f"{name} {units}" for name, units in [*found.detected.items()][:NAMED])
    of += ", ..." if len(found.detected) > NAMED else ""
    are = "is a detector" if count == 1 else "are detectors"
    names = plural(len(found.detected), "concept")
    return f"{count:,} of {every} {are} (IoU above {DETECTS}) of {names}: {of}"


def _table(found: Dissection, width: int | None, style: Style) -> list[str]:
    names = [visible(found.concepts.names[unit.concept]) for unit in found.detectors]
    wide = max(map(text_width, [*names, "concept"]))
    if width is not None:
        wide = min(wide, max(width - len("unit    IoU  threshold") - 2 * len(GAP), LEAST_NAME))
    lines = [style.paint(f"unit{GAP}{'concept':<{wide}}{GAP}  IoU{GAP}threshold", BOLD)]
    for unit, name in zip(found.detectors, names, strict=True):
        said = cut(name, wide)
        said += " " * (wide - text_width(said))
        lines.append(f"{unit.number:>4}{GAP}{said}{GAP}{unit.overlap:.3f}{GAP}{unit.threshold:>9.4g}")
    return lines


def _best(found: Dissection) -> Sequence[Unit]:
    """The best unit of each concept, the best of these first, and then the best of the others."""
    ranked = sorted(found.units, key=lambda unit: -unit.overlap)
    firsts: dict[int, Unit] = {}
    for unit in ranked:
        firsts.setdefault(unit.concept, unit)
    others = [unit for unit in ranked if firsts[unit.concept] is not unit]
    return [*firsts.values(), *others][:SHOWN]


def _lit(picture: Tensor, on: Tensor) -> Tensor:
    """A picture that is dark and without colours where a unit is off; one in grey has one channel."""
    lit = torch.where(on, picture, DARK * picture.mean(0, keepdim=True))
    return lit if len(lit) == 3 else lit[0]
