"""What the page shows, as data: a row a layer or scope, what the rows see of the inputs, memory step by step.

What is equal stands once and is referred to by its number, and what has no bound is bounded: the page of a
network of 100,000 layers opens, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archdsl.analysis import Fields
from archdsl.compiler import Node, Scope
from archdsl.problems import plural
from archdsl.report.columns import COLUMNS, STANDARD
from archdsl.report.report import folded, folded_scope, plain, result_of
from archdsl.report.table import within
from archdsl.report.terminal import visible
from archdsl.report.units import human_bytes

if TYPE_CHECKING:
    from archdsl.analysis import Field
    from archdsl.analysis.positions import Positions
    from archdsl.analysis.receptive_field import Axis
    from archdsl.report.report import Entry, Report
    from archdsl.sizes import Size

MOST_ROWS = 4_000
"""What is nested deeper than as many rows reach is folded."""
MOST_MEMBERS = 1_000
"""A scope with more members shows them in runs."""
RUNS = 100
"""The most runs of a scope."""
DEEPEST = 40
"""How deep scopes may stand in each other before they are folded."""
MOST_STEPS = 1_200
"""A longer time is shown in as many stretches, each with its most."""
PATTERN_ROOM = 200_000
"""The characters that the positions of all fields may take; past them the ends alone are kept."""
ENDS_ROOM = 400_000
"""And past these, nothing is."""
LONGEST_CALL = 160
"""The characters of a line of the file that are shown."""

CELLS = tuple(key for key in STANDARD if key not in ("name", "field"))
"""The cells of a row besides its name and its field, by the key of their column."""
MEASURED = ("parameters", "macs", "activation_bytes")
"""What the treemap divides, and the bars show."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Members of a scope that follow each other, where there are too many for a row each."""

    members: list[Node | Scope]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page: a layer, a scope or a run.

    `facts` are as a report's entry has them; `node` is the layer whose result is the row's; `above` are the
    names of what the row stands in; `opens` says whether rows of its own follow.
    """

    facts: dict[str, Any]
    node: Node
    above: tuple[str, ...]
    opens: bool

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def label(self) -> str:
        """The name without what it shares with the name of the scope around it."""
        return next(
            (short for scope in reversed(self.above) if (short := within(self.name, scope)) != self.name),
            self.name,
        )


def rows(report: Report) -> list[Row]:
    """The network's layers and scopes, each scope before what is in it, in order of execution."""
    entries = {
        facts.node: entry
        for facts, entry in zip(
            (facts for facts in report.analysis.facts if facts.node.kind != "input"),
            report.layers,
            strict=True,
        )
    }
    depth = _depth(report.scope)
    found: list[Row] = []
    waiting: list[tuple[Node | Scope | Run, tuple[str, ...]]] = [
        (member, ()) for member in reversed(_parts(report.scope))
    ]
    while waiting:
        member, above = waiting.pop()
        if isinstance(member, Node):
            found.append(Row(entries[member].facts, member, above, False))
            continue
        inside = [*_layers(member)]
        facts, node = _together(member, inside, entries)
        opens = len(above) + 1 < depth
        found.append(Row(facts, node, above, opens))
        if opens:
            within = (*above, str(facts["name"]))
            waiting += [(part, within) for part in reversed(_parts(member))]
    return found


def _parts(scope: Scope | Run) -> list[Node | Scope | Run]:
    """What a scope has rows for."""
    members = [m for m in scope.members if isinstance(m, Scope) or m.kind != "input"]
    if len(members) <= MOST_MEMBERS:
        return [*members]
    each = -(-len(members) // RUNS)
    return [Run(members[start : start + each]) for start in range(0, len(members), each)]


def _depth(scope: Scope) -> int:
    """How many levels there is room for; one always."""
    level: list[Node | Scope | Run] = _parts(scope)
    count = depth = 0
    while level and depth < DEEPEST:
        count += len(level)
        if depth and count > MOST_ROWS:
            break
        depth += 1
        level = [part for member in level if not isinstance(member, Node) for part in _parts(member)]
    return depth


def _layers(scope: Scope | Run) -> Iterator[Node]:
    waiting: list[Node | Scope] = [*reversed(scope.members)]
    while waiting:
        member = waiting.pop()
        if isinstance(member, Scope):
            waiting += reversed(member.members)
        elif member.kind != "input":
            yield member


def _together(
    part: Scope | Run, inside: list[Node], entries: dict[Node, Entry]
) -> tuple[dict[str, Any], Node]:
    """The facts of a scope or run as those of one layer, and the layer whose result it has."""
    members = [entries[node] for node in inside]
    if isinstance(part, Scope):
        result, facts = result_of(part, members), folded_scope(part, members)
    else:
        result = members[-1]
        name = f"{part.members[0].name} … {part.members[-1].key}"
        facts = folded(name, plural(len(members), "layer"), members, result)
    node = next(node for node in inside if entries[node] is result)
    return facts, node


# ------------------------------------------------------------------------------ as one object


@dataclass(slots=True)
class Pool:
    """Things that stand once, by their number."""

    members: list[Any] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, one: Any) -> int:
        text = json.dumps(one)
        if text not in self._numbers:
            self._numbers[text] = len(self.members)
            self.members.append(one)
        return self._numbers[text]


def data_of(report: Report, found: list[Row]) -> dict[str, Any]:
    """The object that the page's script reads; its fields are named where they are written."""
    facts, calls = Pool(), Pool()
    views = Views(report)
    lines = []
    before: list[str] = []
    for row in found:
        del before[len(row.above) :]
        # A name that does not follow from the one above is given whole.
        follows = ".".join([*before[-1:], row.label])
        before.append(row.name)
        lines.append(
            [
                len(row.above),
                row.label,
                facts.number(
                    [
                        *(COLUMNS[key].cell(row.facts) for key in CELLS),
                        *map(_number, map(row.facts.get, MEASURED)),
                    ]
                ),
                views.of(row),
                ", ".join(row.facts["from"]),
                COLUMNS["line"].cell(row.facts),
                calls.number(_call(row)),
                *([row.name] if row.name != follows else []),
            ]
        )
    return {
        "inputs": [
            {"name": name, "channels": plain(shape[0]), "extents": plain(shape[1:])}
            for name, shape in report.inputs
        ],
        "rows": lines,
        "facts": facts.members,
        "calls": calls.members,
        "views": views.views.members,
        "fields": views.fields,
        "axes": views.axes.members,
        "memory": _memory(report, found),
    }


def _call(row: Row) -> str:
    """What the file says of a layer, on one line."""
    if row.facts["name"] != row.node.name:
        return ""
    text = " ".join(visible((row.node.defined or row.node.use).text).split())
    return text if len(text) <= LONGEST_CALL else f"{text[: LONGEST_CALL - 1]}…"


def _number(size: Size | None) -> int | None:
    return size if isinstance(size, int) else None


class Views:
    """What rows see of the inputs: `fields` are of a value in an input, `axes` what units see along one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.views = Pool()
        self.fields: list[dict[str, Any]] = []
        self.axes = Pool()
        self._room = 0
        # By identity: a deep network's values have few fields, and few axes, in common.
        self._fields: dict[Field, int] = {}
        self._axes: dict[Axis, int | None] = {}

    def of(self, row: Row) -> int:
        """The number of a view: its figures in words, and a field for each input, or None."""
        flow = self._report.analysis.flow
        seen = self._report.analysis.fields[flow.starts[flow.index[row.node]]]
        names = [name for name, _ in self._report.inputs]
        by_input = seen.by_input if isinstance(seen, Fields) else {names[0]: seen} if seen else {}
        words = [
            COLUMNS[key].cell(row.facts)
            for key in ("field", "stride", "padding", "taps", "equivariance", "symmetry")
        ]
        numbers = [self._field(one) if (one := by_input.get(name)) is not None else None for name in names]
        return self.views.number([words, numbers])

    def _field(self, field: Field) -> int:
        if field not in self._fields:
            self._fields[field] = len(self.fields)
            self.fields.append(
                {
                    "reach": field.reach,
                    "at_most": field.at_most,
                    "extents": plain([*field.extents]),
                    "axes": [self._axis(axis) for axis in field.axes],
                }
            )
        return self._fields[field]

    def _axis(self, axis: Axis) -> int | None:
        """The number of an axis; None where there is no room for it.

        An axis is a list of lattices, each [period, step, phases], with the letters of `Lattice`.
        """
        if axis not in self._axes:
            if self._room > ENDS_ROOM:
                self._axes[axis] = None
            else:
                whole = self._room <= PATTERN_ROOM
                written = [
                    [one.period, one.step, [_phase(phase, whole) for phase in one.phases]] for one in axis
                ]
                before = len(self.axes.members)
                self._axes[axis] = self.axes.number(written)
                if len(self.axes.members) > before:
                    self._room += len(json.dumps(written))
        return self._axes[axis]


def _phase(seen: Positions | None, whole: bool) -> list[Any] | None:
    """[first, last], for all in between; where there are holes, then the steps, or a mask in hexadecimal.

    A third of 0 says that only the ends are known.
    """
    if seen is None:
        return None
    ends: list[Any] = [seen.first, seen.last]
    if seen.parts == () or (seen.parts is not None and len(seen.parts) == 1 and seen.parts[0][0] == 1):
        return ends
    if not whole:
        return [*ends, 0]
    if seen.parts is not None:
        return [*ends, [list(part) for part in seen.parts]]
    return [*ends, f"{seen.mask:x}" if seen.mask else 0]


def _memory(report: Report, found: list[Row]) -> dict[str, Any] | None:
    """Bytes alive at each step: [amount, layer, whether it goes back]. None where sizes are open.

    Of a long time there is a stretch of `each` steps for a step, with the most of it; `counts` are the steps.
    `amounts` are bytes, and the same in words; a layer is the number of its row, or the name of one that has
    none. `held` are the values of the forward pass, as [layer, amount, first step, last step]; None where
    steps are taken together.
    """
    analysis = report.analysis
    memory, nodes, makers = analysis.memory, analysis.flow.nodes, analysis.flow.makers
    if not all(isinstance(size, int) for size in (*memory.forward, *memory.training)):
        return None
    numbers = {row.node: i for i, row in enumerate(found) if row.name == row.node.name}
    layers = [numbers.get(node, node.name) for node in nodes]
    forward = [(size, i, 0) for i, size in enumerate(memory.forward)]
    training = [
        *((size, i, 0) for i, size in enumerate(memory.training[: len(nodes)])),
        *((size, i, 1) for size, i in zip(memory.training[len(nodes) :], memory.backward, strict=True)),
    ]
    amounts = Pool()

    def amount(size: Size) -> int:
        return amounts.number([size, human_bytes(size)])

    def each(steps: list[Any]) -> int:
        return -(-len(steps) // MOST_STEPS)

    def written(steps: list[Any], each: int) -> list[list[Any]]:
        most = [max(steps[i : i + each], key=lambda step: step[0]) for i in range(0, len(steps), each)]
        return [[amount(size), layers[i], back] for size, i, back in most]

    values = zip(makers, memory.sizes, memory.births, memory.deaths, strict=True)
    held = [[layers[maker], amount(size), birth, death] for maker, size, birth, death in values if size != 0]
    return {
        "forward": written(forward, each(forward)),
        "training": written(training, each(training)),
        "each": {"forward": each(forward), "training": each(training)},
        "counts": {"forward": len(forward), "training": len(training)},
        "held": held if len(nodes) <= MOST_STEPS else None,
        "amounts": amounts.members,
    }
