"""What a network makes of a picture: the maps of each value that the file names, as pictures.

A map's pixels are its units, one each. Three channels whose numbers keep to those of a picture are shown in
its colours, one in its greys; other channels each in grey, all of a value on one scale: 0 is black where no
number is negative, and grey otherwise. Of a signal, a few channels are curves, and more are one picture, with
a row for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod

import torch
from torch import Tensor

from archdsl.analysis import analyse
from archdsl.compiler import Network, Scope, Wire
from archdsl.drawing.sheet import CURVES, Curves, Panel, Pixels, Row, Sheet, Table
from archdsl.looking.panels import ends_of, of_input, pixels
from archdsl.looking.subject import Given, Subject
from archdsl.looking.units import layers_named, named
from archdsl.looking.unseen import Unseen
from archdsl.report.columns import shape_text
from archdsl.report.units import human_bytes

CHANNELS = 16
"""How many channels of a value are shown."""
VALUES = 32
"""How many values are shown where none is named."""
NAMED = 6
"""How many of what is left out are named."""
MOST_NUMBERS = 1 << 26
"""The most numbers that what is shown may have together."""
MOST_BYTES = 1 << 33
"""The most memory that a pass may take."""
ROUNDING = 1e-5
"""How far beyond a picture's numbers others may be through rounding, as a share of their range."""

WHOLE, PART = 200.0, 84.0
"""Pixels of the larger side of each of a few pictures, and of each of many."""
LINE = 6.0
"""Pixels that the row of a signal's channel is high at least, where all are no higher than long."""
SIDE_BY_SIDE = {WHOLE: 4, PART: 8}
"""How many pictures have room beside each other."""


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of one value `[channels, rows, columns]`, or `[channels, samples]` of a signal.

    `limits` are the least and the greatest of a picture with as many channels, or None with other channels.
    """

    name: str
    kind: str
    values: Tensor
    limits: tuple[Tensor, Tensor] | None = None

    @property
    def as_picture(self) -> bool:
        """Whether the numbers are those of a picture."""
        if self.limits is None or self.of_signal or len(self.values) not in (1, 3):
            return False
        low, high = self.limits
        beyond = ROUNDING * (high - low)
        return bool(((self.values >= low - beyond) & (self.values <= high + beyond)).all())

    @property
    def of_signal(self) -> bool:
        return self.values.dim() == 2

    @property
    def as_curves(self) -> bool:
        """Whether it is a signal of so few channels that each has a curve of its own colour."""
        return self.of_signal and len(self.values) <= CURVES

    @property
    def _ends(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest number of a signal, and 0."""
        zero = torch.zeros(())
        low, high = torch.minimum(self.values.min(), zero), torch.maximum(self.values.max(), zero)
        return low, high if high > low else low + 1

    @property
    def most(self) -> float:
        """The greatest size of a number."""
        return self.values.abs().max().item()

    def panels(self) -> list[Pixels | Curves]:
        """Each of these as it is drawn: a few channels of a signal as curves."""
        if self.as_curves:
            return [of_input(self.values, *self._ends)]
        drawn = [pixels(one, None) for one in self.shown()]
        return [replace(one, high=_stretched(one)) if self.of_signal else one for one in drawn]

    def shown(self) -> list[Tensor]:
        """Pictures of numbers from 0 to 1: `[3, rows, columns]`, or `[rows, columns]` for each channel."""
        if self.as_picture:
            assert self.limits is not None
            low, high = self.limits
            scaled = ((self.values - low) / (high - low)).clamp(0, 1)
            return [scaled] if len(scaled) == 3 else [scaled[0]]
        scaled = self.values / (self.most or 1.0)
        shown = scaled if self._signless else scaled / 2 + 0.5
        return [shown] if self.of_signal else list(shown[:CHANNELS])

    @property
    def _signless(self) -> bool:
        return bool((self.values >= 0).all())

    @property
    def scale(self) -> str:
        """What black and white stand for; nothing where they are the picture's."""
        if self.as_picture:
            return ""
        if self.as_curves:
            return ends_of(*self._ends)
        most = f"{self.most:.3g}"
        return f"black 0, white {most}" if self._signless else f"black -{most}, grey 0, white {most}"

    @property
    def extents(self) -> str:
        return shape_text(list(self.values.shape))


def check(subject: Subject) -> None:
    """Raise `Unseen` where an input is no picture and no signal, or takes more memory than it may."""
    if len(subject.shape) not in (2, 3):
        raise Unseen(f"{subject.network.name} takes {list(subject.shape)}, which is no picture and no signal")
    peak = analyse(subject.network).totals.forward_peak_bytes
    if not isinstance(peak, int) or peak > MOST_BYTES:
        room = f"{human_bytes(peak)} of memory, over {human_bytes(MOST_BYTES)}"
        raise Unseen(f"an input {list(subject.shape)} of {subject.network.name} takes {room}")


def named_values(network: Network) -> list[Wire]:
    """What the lines of the network itself give: maps alone."""
    return [wire for wire in given_values(network) if len(wire.shape) in (2, 3)]


def given_values(network: Network) -> list[Wire]:
    """What the lines of the network itself give: a label its value, a layer its own."""
    found: list[Wire] = []
    for member in network.scope.members:
        if isinstance(member, Scope):
            wires = member.outputs
        else:
            count = 1 if member.kind == "max_pool" else len(member.shapes)
            wires = tuple(Wire(member, port) for port in range(count))
        found += [wire for wire in wires if wire not in found]
    return [wire for wire in found if wire.node.kind != "input"]


def left_out(network: Network) -> list[str]:
    """What is not shown where no layer is named, a sentence each: vectors, and values beyond the first."""
    found = []
    if flat := [named(wire) for wire in given_values(network) if len(wire.shape) == 1]:
        said = ", ".join(flat[:NAMED]) + (", ..." if len(flat) > NAMED else "")
        found.append(f"not shown, being {'vectors' if len(flat) > 1 else 'a vector'}: {said}")
    if (count := len(named_values(network))) > VALUES:
        found.append(f"the first {VALUES} of {count:,} lines; --layer names others")
    return found


def maps(
    subject: Subject, x: Tensor, layers: Sequence[str] = (), limits: tuple[Tensor, Tensor] | None = None
) -> list[Maps]:
    """An input, which is a batch of one, and the maps of the layers that are named, or of all lines.

    `limits` are the least and the greatest numbers of a picture, without which they are the subject's.
    Raises `Unseen`.
    """
    network = subject.network
    wires = layers_named(network, layers) or named_values(network)[:VALUES]
    flat = [wire for wire in wires if len(wire.shape) not in (2, 3)]
    if flat:
        raise Unseen(f"{named(flat[0])} is {flat[0].shape}, and no maps to be shown")
    if not wires:
        raise Unseen(f"{network.name} has no line that gives maps")
    count = sum(prod(extent for extent in wire.shape if isinstance(extent, int)) for wire in wires)
    if count > MOST_NUMBERS:
        raise Unseen(f"the maps have {count:,} numbers, over {MOST_NUMBERS:,}: name fewer layers")
    (state, *_) = subject.states
    with torch.no_grad():
        made = subject.seen(wires, state)(x)
    limits = limits or subject.limits
    source = network.inputs[0]
    found = [Maps(source.name, "input", x[0].cpu(), limits)]
    for wire, value in zip(wires, made, strict=True):
        if not value.isfinite().all():
            raise Unseen(f"{named(wire)} has values that are infinite or no numbers")
        kept = limits if len(value[0]) == len(x[0]) else None
        found.append(Maps(named(wire), wire.node.kind, value[0].float().cpu(), kept))
    return found


def sheet(subject: Subject, given: Given, found: Sequence[Maps], remarks: Sequence[str] = ()) -> Sheet:
    """The pictures: values with one each beside each other, of others a part of their own."""
    tables: list[Table] = []
    for single, some in groupby(found, lambda value: len(value.shown()) == 1):
        if single:
            panels = [Panel(one.panels()[0], _words(one)) for one in some]
            tables.append(Table(_rows(panels, WHOLE), side=WHOLE))
            continue
        for value in some:
            panels = [Panel(one) for one in value.panels()]
            side = WHOLE if len(panels) <= SIDE_BY_SIDE[WHOLE] else PART
            tables.append(Table(_rows(panels, side), name=", ".join(_words(value)), side=side))
    (state, *_) = subject.states
    note = f"{given.name}; {state}" if subject.states[state] else given.name
    what = "a signal" if found[0].of_signal else "a picture"
    return Sheet(f"What {subject.network.name} makes of {what}", "\n".join([note, *remarks]), tuple(tables))


def _stretched(rows: Pixels) -> int:
    """How high a picture of a signal's channels is for its length, so that none is too flat to be seen."""
    return max(rows.high, round(rows.wide * min(1.0, rows.high * LINE / WHOLE)))


def _rows(panels: list[Panel], side: float) -> tuple[Row, ...]:
    beside = SIDE_BY_SIDE[side]
    return tuple(Row("", tuple(panels[k : k + beside])) for k in range(0, len(panels), beside))


def _words(value: Maps) -> tuple[str, ...]:
    """What stands at a value's pictures: its name, layer and extents; the scale; what is left out."""
    kind = "" if value.kind in (value.name, "input") else f"{value.kind} "
    said = [value.name, f"{kind}{value.extents}"]
    if value.scale:
        said.append(value.scale)
    if value.of_signal and not value.as_curves:
        said.append("a row a channel")
    elif len(value.values) > CHANNELS and not value.as_picture:
        said.append(f"the first {CHANNELS} of {len(value.values):,} channels")
    return tuple(said)
