"""What was found inside a network, as a sheet of pictures and as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from archdsl.analysis import analyse
from archdsl.drawing.sheet import Panel, Row, Sheet, Table
from archdsl.looking import panels
from archdsl.looking.deconvolution import Projection
from archdsl.looking.examples import Best, part, reads
from archdsl.looking.inversion import Inversion
from archdsl.looking.stimulus import Stimulus
from archdsl.looking.subject import Given, Subject
from archdsl.looking.units import Unit, named

ACROSS = 8
"""How many pictures stand side by side."""


def of_stimuli(subject: Subject, found: Mapping[str, Sequence[Stimulus]]) -> Sheet:
    """Stimuli of units in columns, for each state of the network, and the examples that excite them most."""
    analysis = analyse(subject.network)
    tables = []
    first = next(iter(found))
    for start in range(0, len(found[first]), ACROSS):
        rows = []
        for state, stimuli in found.items():
            some = stimuli[start : start + ACROSS]
            cells = [_cell(subject, s.input, s.read, f"{s.deviations(s.excitation):+.1f} σ") for s in some]
            rows.append(Row(state, tuple(cells)))
            cells = []
            for s in some:
                read = reads(subject, analysis, s.unit, s.best.place)
                said = f"{s.deviations(s.best.excitation):+.1f} σ"
                cells.append(_cell(subject, s.best.input, read, said, subject.called(s.best.target)))
            rows.append(Row("best example", tuple(cells)))
        heads = tuple(_head(subject, s.unit) for s in found[first][start : start + ACROSS])
        tables.append(Table(tuple(rows), heads))
    note = (
        "Below each picture: how many standard deviations above its mean over test examples the unit is;\n"
        "below an example its class, too."
    )
    return Sheet(f"What most excites units of {subject.network.name}", note, tuple(tables))


def of_projections(subject: Subject, found: Mapping[str, Sequence[Sequence[Projection]]]) -> Sheet:
    """Examples that excite a unit in a row, each beside what of it the unit answers to."""
    tables = []
    for state, units in found.items():
        rows = []
        for projections in units:
            cells = []
            for one in projections:
                said = subject.called(one.example.target)
                cells.append(_cell(subject, one.example.input, one.read, said))
                cells.append(Panel(panels.of_signed(part(one.input, one.read))))
            if cells:
                rows.append(Row(_head(subject, projections[0].unit), tuple(cells)))
        if rows:
            tables.append(Table(tuple(rows), name=state))
    note = (
        "The parts of examples that excite each unit most, each beside what of it the unit answers to:\n"
        "what is lighter than the grey of 0 excites it, what is darker would hold it back."
    )
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
    note = "Below each picture: how far it is from the given one, and what the network takes it for."
    name = subject.network.name
    return Sheet(f"What layers of {name} still tell of {given.name}", note, (Table(tuple(rows), heads),))


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
        own, best = s.deviations(s.excitation), s.deviations(s.best.excitation)
        rows.append((str(s.unit), s.state, f"{own:+.2f} σ", f"{best:+.2f} σ", _called(subject, s.best)))
    return _aligned(rows, ">>")


def projection_lines(subject: Subject, found: Sequence[Projection]) -> list[str]:
    """Which examples excite units most, a line each."""
    rows = [("unit", "weights", "value", "example")]
    for one in found:
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
