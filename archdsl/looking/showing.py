"""What was found inside a network, as a sheet of pictures and as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from archdsl.analysis import analyse
from archdsl.drawing.sheet import Panel, Row, Sheet, Table
from archdsl.looking import panels
from archdsl.looking.deconvolution import Projection, Unexcited
from archdsl.looking.examples import Best, part, reads
from archdsl.looking.inversion import Inversion
from archdsl.looking.stimulus import Stimulus
from archdsl.looking.subject import Given, Subject
from archdsl.looking.units import Unit, named

ACROSS = 8
"""How many pictures stand side by side."""
NAMED = 6
"""The most units that are named in a line."""
NOTHING = "answers to no example"
"""What is said of a unit that no example excites."""


def of_stimuli(subject: Subject, found: Mapping[str, Sequence[Stimulus]]) -> Sheet:
    """Stimuli of units in columns, for each state of the network, and the examples that excite them most."""
    analysis = analyse(subject.network)
    tables = []
    first = next(iter(found))
    for start in range(0, len(found[first]), ACROSS):
        rows = []
        for state, stimuli in found.items():
            some = stimuli[start : start + ACROSS]
            cells = [_cell(subject, s.input, s.read, _sigmas(s, s.excitation, 1)) for s in some]
            rows.append(Row(state, tuple(cells)))
            cells = []
            for s in some:
                if s.deviation is None:
                    # Which one is shown would be arbitrary.
                    cells.append(Panel(None, ("–", "answers to none")))
                    continue
                read = reads(subject, analysis, s.unit, s.best.place)
                said = _sigmas(s, s.best.excitation, 1)
                cells.append(_cell(subject, s.best.input, read, said, subject.called(s.best.target)))
            rows.append(Row("best example", tuple(cells)))
        heads = tuple(_head(subject, s.unit) for s in found[first][start : start + ACROSS])
        tables.append(Table(tuple(rows), heads))
    note = (
        "Below each picture: how many standard deviations above its mean over test examples the unit is;\n"
        "below an example its class, too."
    )
    every = [one for stimuli in found.values() for one in stimuli]
    note = "\n".join(
        [note, *_scale(subject), *(f"{remark[0].upper()}{remark[1:]}." for remark in _remarks(every))]
    )
    return Sheet(f"What most excites units of {subject.network.name}", note, tuple(tables))


def of_projections(
    subject: Subject, units: Sequence[Unit], found: Mapping[str, Sequence[Sequence[Projection]]]
) -> Sheet:
    """Examples that excite a unit in a row, each beside what of it the unit answers to."""
    tables: list[Table] = []
    without: list[str] = []
    signal = len(subject.shape) <= 2
    limits = subject.limits
    if signal:
        # Both with their zero in the middle, since they stand side by side.
        most = torch.maximum(limits[0].abs().max(), limits[1].abs().max())
        limits = -most, most
    for state, of_units in found.items():
        rows = []
        for unit, projections in zip(units, of_units, strict=True):
            cells = []
            for one in projections:
                said = subject.called(one.example.target)
                image = panels.of_input(part(one.example.input, one.read), *limits)
                cells.append(Panel(image, (said,) if said else ()))
                cells.append(Panel(panels.of_signed(part(one.input, one.read))))
            if cells:
                rows.append(Row(_head(subject, unit), tuple(cells)))
            else:
                without.append(f"{unit} ({state})")
        if rows:
            tables.append(Table(tuple(rows), name=state))
    note = "The parts of examples that excite each unit most, each beside what of it the unit answers to:\n"
    note += (
        "where that curve is above the line of 0 larger numbers excite it, where it is below smaller ones.\n"
        f"The frame of an example goes from {panels.ends_of(*limits)}."
        if signal
        else "what is lighter than the grey of 0 excites it, what is darker would hold it back."
    )
    if without:
        note += f"\nWhat {NOTHING} is left out: {_first(without)}."
    return Sheet(f"What excites units of {subject.network.name}", note, tuple(tables))


def of_inversions(subject: Subject, given: Given, found: Mapping[str, Sequence[Inversion]]) -> Sheet:
    """Inversions of layers side by side, in a row for each state of the network."""
    low, high = subject.limits
    rows = []
    for state, inversions in found.items():
        own = subject.says(given.input, state)
        cells = [Panel(panels.of_input(given.input[0], low, high), _taken_for(subject, own))]
        for one in inversions:
            words = (f"{one.apart:.0%} off", *_taken_for(subject, one.said))
            cells.append(Panel(panels.of_input(one.input, low, high), words))
        rows.append(Row(state, tuple(cells)))
    heads = (given.name, *(named(one.wire) for one in next(iter(found.values()))))
    note = "\n".join(
        [
            "Below each picture: how far it is from the given one, and what the network takes it for.",
            *_scale(subject),
        ]
    )
    name = subject.network.name
    return Sheet(f"What layers of {name} still tell of {given.name}", note, (Table(tuple(rows), heads),))


def _scale(subject: Subject) -> list[str]:
    """What the edges of an input's curves stand for, where it is a signal."""
    if len(subject.shape) > 2:
        return []
    return [f"The frame of a curve goes from {panels.ends_of(*subject.limits)}."]


def _taken_for(subject: Subject, said: tuple[int, float] | None) -> tuple[str, ...]:
    return () if said is None else (f"{subject.called(said[0])}: {said[1]:.0%}",)


def _cell(subject: Subject, x: Tensor, read: tuple[slice, ...] | None, *words: str) -> Panel:
    image = panels.of_input(part(x, read), *subject.limits)
    return Panel(image, tuple(word for word in words if word))


def _head(subject: Subject, unit: Unit) -> str:
    """What a unit is called; a score of a class with the class's name."""
    if unit.wire in subject.network.outputs and subject.classes:
        return f"{unit} {subject.classes[unit.channel]}"
    return str(unit)


def stimulus_lines(subject: Subject, found: Sequence[Stimulus]) -> list[str]:
    """What was measured of stimuli, a line each."""
    rows = [("unit", "weights", "stimulus", "best example", "")]
    for s in found:
        own, best = (_sigmas(s, value, 2) for value in (s.excitation, s.best.excitation))
        example = NOTHING if s.deviation is None else _called(subject, s.best)
        rows.append((str(s.unit), s.state, own, best, example))
    return _aligned(rows, ">>") + [f"note: {remark}" for remark in _remarks(found)]


def _sigmas(found: Stimulus, excitation: float, digits: int) -> str:
    """`+3.1 σ`, where the unit has a deviation."""
    value = found.deviations(excitation)
    return "–" if value is None else f"{value:+.{digits}f} σ"


def _remarks(found: Sequence[Stimulus]) -> list[str]:
    """Which units the search found nothing for that excites them more than an example."""
    below = [f"{one.unit} ({one.state})" for one in found if not one.rose]
    if not below:
        return []
    return [f"the search did not rise above the best example of {_first(below)}"]


def _first(names: Sequence[str]) -> str:
    """The first ones of many."""
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def projection_lines(subject: Subject, found: Sequence[Projection | Unexcited]) -> list[str]:
    """Which examples excite units most, a line each."""
    rows = [("unit", "weights", "value", "example")]
    for one in found:
        if isinstance(one, Unexcited):
            rows.append((str(one.unit), one.state, "–", NOTHING))
            continue
        value = f"{one.example.excitation:.4g}"
        rows.append((str(one.unit), one.state, value, _called(subject, one.example)))
    return _aligned(rows, ">")


def inversion_lines(subject: Subject, found: Sequence[Inversion]) -> list[str]:
    """What was measured of inversions, a line each."""
    rows = [("layer", "weights", "layer off", "picture off", "taken for")]
    for one in found:
        taken = ", ".join(_taken_for(subject, one.said))
        rows.append((named(one.wire), one.state, f"{one.error:.1%}", f"{one.apart:.1%}", taken))
    return _aligned(rows, ">>")


def _called(subject: Subject, best: Best) -> str:
    place = f" at {','.join(map(str, best.place))}" if best.place else ""
    target = subject.called(best.target)
    return f"{best.name}{place}" + (f", class {target}" if target else "")


def _aligned(rows: Sequence[tuple[str, ...]], numbers: str) -> list[str]:
    """Rows in columns; the columns from the third on that are `numbers` end alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ends = ["<", "<", *numbers, *"<" * len(widths)]
    return [
        "  ".join(f"{cell:{end}{wide}}" for cell, end, wide in zip(row, ends, widths, strict=False)).rstrip()
        for row in rows
    ]
