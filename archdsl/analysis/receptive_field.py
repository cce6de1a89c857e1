"""Receptive fields: which positions of an input a unit of a value depends on.

Exact, per input and per spatial axis, through any graph. Positions are those of the input, unclipped:
those outside it are padding. A field is followed layer by layer with the stencils that the layers
give: if unit q*P + r of a value sees q*S + p for every p in phases[r], and a layer's unit u reads
that value's units u*a + o, then the layer's unit sees all that those units see. Where several paths
meet, a unit sees the union.

The words are those of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
Networks" (Distill, 2019): size, effective stride, effective padding (minus the first position of unit 0).

- `global`: what a layer does (flattening, global pooling, normalising over the map) makes every unit
  depend on the whole input, and so it stays. A vector that is an input is global from the start.
- `aligned` is false where two paths that meet have different strides, or units whose centres (the middle
  of the first and last position) differ, and stays false after it. Units that see nothing are left out.
- All figures are of units that the value has: where it has fewer than a period, of those alone.
- Where strides differ there is no one stride, padding or phase: both lattices are carried on, and size
  and taps are the largest over the units that the value really has; None where its extents are symbols.
- A map of extent 1 that is broadcast has stride 0.
- Where nothing exact can be said (periods above 1,024 units, more than eight different strides at one
  value), all fields are None, and `global` is false.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Any, Literal, NamedTuple

from archdsl.analysis.flow import Flow, Pattern, Reader, Reading
from archdsl.analysis.positions import Positions, moved, same, union
from archdsl.layers.stencils import MAX_PERIOD, Reach
from archdsl.sizes import Size

MAX_UNIONS = 2**14
MAX_LATTICES = 8
MAX_UNITS = 2**13


class Lattice:
    """Unit q*period + r sees q*step + p for every p in phases[r]; None is a unit that sees nothing."""

    __slots__ = ("period", "phases", "step")

    def __init__(self, period: int, step: int, phases: tuple[Positions | None, ...]) -> None:
        self.period = period
        self.step = step
        self.phases = phases

    def at(self, unit: int) -> Positions | None:
        """What a unit sees."""
        turns, phase = divmod(unit, self.period)
        seen = self.phases[phase]
        return None if seen is None else seen.shifted(turns * self.step)


Axis = tuple[Lattice, ...]
"""One lattice; several, of different strides, where paths of different strides have met."""


class Measures(NamedTuple):
    """The figures of a field along one axis.

    `size` and `taps` are None where they aren't known, `stride` is where paths of different strides have met,
    and `padding` there or where unit 0 sees nothing. `turns` is how many units differ in turn.
    """

    size: int | None
    taps: int | None
    stride: int | Fraction | None
    padding: int | None
    turns: int


class Field:
    """The receptive field of a value in one input.

    `axes` has an entry for each spatial axis of the input; it is empty where the field is global or not
    known (`reach`). `extents` are those of the value. With `at_most` it is a bound: what a unit reads of
    it depends on the data, or on what was learned.
    """

    __slots__ = ("_known", "aligned", "at_most", "axes", "extents", "reach")

    def __init__(
        self,
        axes: tuple[Axis, ...],
        aligned: bool,
        extents: tuple[Size, ...],
        reach: Literal["local", "global", "unknown"] = "local",
        at_most: bool = False,
    ) -> None:
        self.axes = axes
        self.aligned = aligned
        self.extents = extents
        self.reach = reach
        self.at_most = at_most
        self._known: list[Measures] | None = None

    @property
    def _measures(self) -> list[Measures]:
        """Those of every axis, worked out when first asked for."""
        if self._known is None:
            known: list[Measures] = []
            for j, (axis, extent) in enumerate(zip(self.axes, self.extents, strict=True)):
                alike = j and axis is self.axes[j - 1] and extent == self.extents[j - 1]
                known.append(known[-1] if alike else _measured(axis, extent))
            self._known = known
        return self._known

    @property
    def size(self) -> list[int | None] | None:
        """The extent of the largest field, per axis; None where the field is global or not known."""
        return [m.size for m in self._measures] if self.reach == "local" else None

    @property
    def taps(self) -> list[int | None] | None:
        """The most positions that a unit really uses, per axis."""
        return [m.taps for m in self._measures] if self.reach == "local" else None

    @property
    def stride(self) -> list[int | Fraction] | None:
        """The step of a unit in input samples, per axis; None where paths of different strides have met."""
        if self.reach != "local":
            return None
        strides = [m.stride for m in self._measures if m.stride is not None]
        return strides if len(strides) == len(self.axes) else None

    @property
    def padding(self) -> list[int | None] | None:
        """Minus the first position of unit 0, per axis (None for a unit that sees nothing)."""
        return None if self.stride is None else [m.padding for m in self._measures]

    @property
    def phases(self) -> list[list[list[int | None]]] | None:
        """The ends of each unit of a period that there is, per axis, where units differ in turn."""
        if self.stride is None or all(m.turns == 1 for m in self._measures):
            return None
        return [
            [[None, None] if seen is None else [seen.first, seen.last] for seen in axis[0].phases[: m.turns]]
            for axis, m in zip(self.axes, self._measures, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """The object that the report prints."""
        if self.reach != "local":
            return {
                "size": None,
                "stride": None,
                "padding": None,
                "taps": None,
                "phases": None,
                "aligned": None,
                "global": self.reach == "global",
                "at_most": self.at_most,
            }
        sizes, taps, strides, paddings, turns = zip(*self._measures, strict=True)
        met = None in strides
        return {
            "size": None if None in sizes else [*sizes],
            "stride": None if met else [s if type(s) is int else str(s) for s in strides],
            "padding": None if met else [*paddings],
            "taps": None if None in taps else [*taps],
            "phases": None if met or max(turns) == 1 else self.phases,
            "aligned": self.aligned,
            "global": False,
            "at_most": self.at_most,
        }


class Fields:
    """The receptive field of a value in each of a network's several inputs that it depends on."""

    __slots__ = ("by_input",)

    def __init__(self, by_input: dict[str, Field]) -> None:
        self.by_input = by_input

    @property
    def size(self) -> list[int | None] | None:
        """Of the one input that the value depends on, if it is one."""
        field = self._only
        return None if field is None else field.size

    @property
    def stride(self) -> list[int | Fraction] | None:
        """Of the one input that the value depends on, if it is one."""
        field = self._only
        return None if field is None else field.stride

    @property
    def _only(self) -> Field | None:
        return next(iter(self.by_input.values())) if len(self.by_input) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The object that the report prints: an object for each input, by its name."""
        return {name: field.to_dict() for name, field in self.by_input.items()}


GLOBAL = Field((), True, (), "global")
ANYWHERE = Field((), True, (), "global", at_most=True)
UNKNOWN = Field((), True, (), "unknown")
SAMPLE = (Lattice(1, 1, (Positions(0, 0, ()),)),)
"""An axis of an input: each unit is a sample."""


def receptive_fields(flow: Flow) -> list[Field | Fields | None]:
    """The field of every value, by its number; None where it depends on no input."""
    if len(flow.inputs) == 1:
        return list(_fields(flow, flow.inputs[0]))
    found: list[dict[str, Field]] = [{} for _ in flow.makers]
    for source in flow.inputs:
        name = flow.nodes[source].name
        for value, field in enumerate(_fields(flow, source)):
            if field is not None:
                found[value][name] = field
    return [Fields(by_input) if by_input else None for by_input in found]


def last_local(flow: Flow, fields: list[Field | Fields | None]) -> Field | Fields | None:
    """The field that stands for the network: that of its first output.

    If that is global, the field of the last value before it became so: from the output back through the
    first input of each layer that depends on a network's input, until one of a layer's inputs has a field
    that isn't global. With several network inputs a value counts as global when it is so in all of them.
    """
    value = last_local_value(flow, fields)
    return None if value is None else fields[value]


def last_local_value(flow: Flow, fields: list[Field | Fields | None]) -> int | None:
    """The number of the value whose field that is."""
    if not flow.outputs:
        return None
    value = flow.outputs[0]
    while fields[value] is not None and _is_global(fields[value]):
        before = [feed for feed in flow.feeds[flow.makers[value]] if fields[feed] is not None]
        if not before:
            break
        value = next((feed for feed in before if not _is_global(fields[feed])), before[0])
    return value


def _is_global(field: Field | Fields | None) -> bool:
    if isinstance(field, Fields):
        return all(one.reach == "global" for one in field.by_input.values())
    return field is not None and field.reach == "global"


# ------------------------------------------------------------------------------ through the graph


def _fields(flow: Flow, source: int) -> list[Field | None]:
    """The field of every value in one input."""
    rules, feeds, starts = flow.rules, flow.feeds, flow.starts
    fields: list[Field | None] = [None] * len(flow.makers)
    extents = rules[source].readers[0].extents
    fields[starts[source]] = Field((SAMPLE,) * len(extents), True, extents) if extents else GLOBAL
    for i in range(source + 1, len(rules)):
        before = feeds[i]
        if len(before) == 1:
            field = fields[before[0]]
            if field is None:
                continue
            if rules[i].kept:
                fields[starts[i]] = field
                continue
            for value, reader in enumerate(rules[i].readers, starts[i]):
                kept = reader.kept
                fields[value] = field if kept else _read(field, reader.readings[0], reader.extents)
        elif before:
            for value, reader in enumerate(rules[i].readers, starts[i]):
                fields[value] = _met([fields[feed] for feed in before], reader)
    return fields


def _read(field: Field, reading: Reading, extents: tuple[Size, ...]) -> Field:
    """The field of what a layer makes of a value."""
    if field.reach == "global":
        return field
    if reading is Reach.POINT:
        return field
    if reading is Reach.UNTOLD:
        return UNKNOWN
    if isinstance(reading, Reach):
        return ANYWHERE if field.at_most or reading is Reach.CHOSEN else GLOBAL
    axes = field.axes
    if field.reach == "unknown" or len(reading) != len(axes):
        return UNKNOWN
    pattern = reading[0]
    axis = _through(axes[0], pattern)
    if axis is None:
        return UNKNOWN
    made = [axis]
    at_most = field.at_most or pattern.at_most
    for j in range(1, len(axes)):
        if axes[j] is not axes[j - 1] or reading[j] is not pattern:
            pattern = reading[j]
            at_most = at_most or pattern.at_most
            axis = _through(axes[j], pattern)
            if axis is None:
                return UNKNOWN
        made.append(axis)
    return Field(tuple(made), field.aligned, extents, at_most=at_most)


def _met(befores: list[Field | None], reader: Reader) -> Field | None:
    """The field of a value that several are made into."""
    found: Field | None = None
    extents = reader.extents
    for before, reading, extents_in in zip(befores, reader.readings, reader.extents_in, strict=True):
        if before is None or (before.reach == "global" and _reads_nothing(reading)):
            continue
        if reading is Reach.POINT and before.reach == "local" and extents_in != extents:
            field = _broadcast(before, extents_in, extents)
        else:
            field = _read(before, reading, extents)
        found = field if found is None or found is field else _joined(found, field, extents)
    return found


def _reads_nothing(reading: Reading) -> bool:
    """Whether no unit reads anything of an input, as a new mask nothing of the picture that it is for."""
    return isinstance(reading, tuple) and not all(any(pattern.runs) for pattern in reading)


def _broadcast(field: Field, extents: tuple[Size, ...], to: tuple[Size, ...]) -> Field:
    """A map whose extents of 1 are repeated."""
    if len(extents) != len(to):
        return UNKNOWN
    axes = [
        tuple(Lattice(1, 0, (lattice.phases[0],)) for lattice in axis) if n == 1 and m != 1 else axis
        for axis, n, m in zip(field.axes, extents, to, strict=True)
    ]
    return Field(tuple(axes), field.aligned, to, at_most=field.at_most)


def _joined(a: Field, b: Field, extents: tuple[Size, ...]) -> Field:
    if a.reach == "global" or b.reach == "global":
        return GLOBAL if GLOBAL in (a, b) else ANYWHERE
    if a.reach == "unknown" or b.reach == "unknown" or len(a.axes) != len(b.axes):
        return UNKNOWN
    if a.axes is b.axes and not (a.at_most or b.at_most):
        return a if a.aligned else b
    aligned = a.aligned and b.aligned
    axes: list[Axis] = []
    for j, (left, right) in enumerate(zip(a.axes, b.axes, strict=True)):
        if j and left is a.axes[j - 1] and right is b.axes[j - 1]:
            axes.append(axes[-1])
            continue
        both = _union(left, right, extents[j])
        if both is None:
            return UNKNOWN
        axis, agree = both
        aligned = aligned and agree
        axes.append(axis)
    return Field(tuple(axes), aligned, extents, at_most=a.at_most or b.at_most)


# ------------------------------------------------------------------------------ along one axis


def _through(axis: Axis, pattern: Pattern) -> Axis | None:
    """What a layer's units see along an axis; None where the period grows too long."""
    if pattern.identity:
        return axis
    if len(axis) == 1:
        lattice = axis[0]
        if lattice.period == 1 and pattern.step_out == 1:
            seen = lattice.phases[0]
            runs = pattern.runs[0]
            if seen is not None and len(runs) == 1:
                seen = moved(seen, runs[0], lattice.step)
                return (Lattice(1, lattice.step * pattern.step_in, (seen,)),)
        made = _composed(lattice, pattern)
        return None if made is None else (made,)
    result: Axis = ()
    for lattice in axis:
        made = _composed(lattice, pattern)
        both = None if made is None else _union(result, (made,)) if result else ((made,), True)
        if both is None:
            return None
        result = both[0]
    return result


def _composed(lattice: Lattice, pattern: Pattern) -> Lattice | None:
    period, step, phases = lattice.period, lattice.step, lattice.phases
    common = gcd(period, pattern.step_in)
    rounds = period // common
    new_period = rounds * pattern.step_out
    if new_period > MAX_PERIOD:
        return None
    apart = [min(period // gcd(period, gap), n + 1) for runs in pattern.runs for _, gap, n in runs]
    if rounds * sum(apart) > MAX_UNIONS:
        return None
    made: list[Positions | None] = []
    for turn in range(rounds):
        start = turn * pattern.step_in
        for runs in pattern.runs:
            seen: Positions | None = None
            for first, gap, n in runs:
                # Offsets a whole number of periods apart fall on the same phase.
                every = period // gcd(period, gap)
                for k in range(min(every, n + 1)):
                    turns, phase = divmod(start + first + k * gap, period)
                    part = phases[phase]
                    if part is not None:
                        run = (turns, every * gap // period, (n - k) // every)
                        seen = union(seen, moved(part, run, step))
            made.append(seen)
    return _shortest(new_period, step * pattern.step_in // common, tuple(made))


def _shortest(period: int, step: int, phases: tuple[Positions | None, ...]) -> Lattice:
    """The lattice with the shortest period."""
    divisor = 2
    while divisor <= gcd(period, step):
        if period % divisor == 0 == step % divisor and _repeats(phases, period // divisor, step // divisor):
            period, step = period // divisor, step // divisor
            phases = phases[:period]
        else:
            divisor += 1
    return Lattice(period, step, phases)


def _repeats(phases: tuple[Positions | None, ...], period: int, step: int) -> bool:
    """Whether each phase is the one `period` before it, moved by `step`."""
    return all(
        same(later, None if seen is None else seen.shifted(step))
        for seen, later in zip(phases, phases[period:], strict=False)
    )


def _union(a: Axis, b: Axis, extent: Size | None = None) -> tuple[Axis, bool] | None:
    """What units see that see both, and whether strides agree, and centres of the first `extent` units.

    None where it grows too much.
    """
    if a is b:
        return a, True
    if len(a) == 1 and len(b) == 1 and a[0].step * b[0].period == b[0].step * a[0].period:
        both = _overlaid(a[0], b[0], extent)
        return None if both is None else ((both[0],), both[1])
    lattices = list(a)
    for lattice in b:
        for i, other in enumerate(lattices):
            if lattice.step * other.period == other.step * lattice.period:
                both = _overlaid(other, lattice, extent)
                if both is None:
                    return None
                lattices[i] = both[0]
                break
        else:
            lattices.append(lattice)
    return None if len(lattices) > MAX_LATTICES else (tuple(lattices), False)


def _overlaid(a: Lattice, b: Lattice, extent: Size | None) -> tuple[Lattice, bool] | None:
    """Two lattices of one stride as one, and whether the centres of the first `extent` units agree."""
    if a is b:
        return a, True
    if a.period == 1 == b.period:
        left, right = a.phases[0], b.phases[0]
        agree = left is None or right is None or left.first + left.last == right.first + right.last
        seen = union(left, right)
        if seen is left:
            return a, agree
        return Lattice(1, a.step, (seen,)), agree
    period = a.period * b.period // gcd(a.period, b.period)
    if period > MAX_PERIOD:
        return None
    pairs = [(a.at(unit), b.at(unit)) for unit in range(period)]
    agree = all(
        left is None or right is None or left.first + left.last == right.first + right.last
        for left, right in pairs[: units_in_turn(period, extent)]
    )
    phases = [union(left, right) for left, right in pairs]
    return _shortest(period, a.step * period // a.period, tuple(phases)), agree


def units_in_turn(period: int, extent: Size | None) -> int:
    """How many units of a period there are in a map: all where its extent is open."""
    return min(period, extent) if isinstance(extent, int) else period


def _measured(axis: Axis, extent: Size) -> Measures:
    if len(axis) > 1:
        if not isinstance(extent, int):
            return Measures(None, None, None, None, 0)
        return Measures(_largest_hull(axis, extent), _most_taps(axis, extent), None, None, 0)
    (lattice,) = axis
    first = lattice.phases[0]
    padding = None if first is None else -first.first
    if lattice.period == 1 and first is not None:
        return Measures(first.last - first.first + 1, first.number, lattice.step, padding, 1)
    turns = units_in_turn(lattice.period, extent)
    seen = [phase for phase in lattice.phases[:turns] if phase is not None]
    counts = [phase.number for phase in seen]
    size = max((phase.last - phase.first + 1 for phase in seen), default=0)
    taps = None if None in counts else max((count for count in counts if count), default=0)
    whole, rest = divmod(lattice.step, lattice.period)
    stride = Fraction(lattice.step, lattice.period) if rest else whole
    return Measures(size, taps, stride, padding, turns)


def _largest_hull(axis: Axis, extent: int) -> int | None:
    """The hull of a unit grows from some unit towards both ends (it is convex), in each phase."""
    period = 1
    for lattice in axis:
        period = period * lattice.period // gcd(period, lattice.period)
        if period > MAX_UNITS:
            return None
    largest = 0
    for phase in range(min(period, extent)):
        for unit in {phase, phase + (extent - 1 - phase) // period * period}:
            seen = [part for lattice in axis if (part := lattice.at(unit)) is not None]
            if seen:
                hull = max(part.last for part in seen) - min(part.first for part in seen) + 1
                largest = max(largest, hull)
    return largest


def _most_taps(axis: Axis, extent: int) -> int | None:
    if extent > MAX_UNITS:
        return None
    most = 0
    for unit in range(extent):
        seen: Positions | None = None
        for lattice in axis:
            seen = union(seen, lattice.at(unit))
        count = 0 if seen is None else seen.number
        if count is None:
            return None
        most = max(most, count)
    return most
