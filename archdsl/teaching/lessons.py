"""What one should know of a network: notes for whoever asks, in walks along the layers and their fields."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import lcm

from archdsl.analysis import Analysis
from archdsl.analysis.flow import Flow, Pattern
from archdsl.analysis.receptive_field import Field, Fields, units_in_turn
from archdsl.compiler.network import Node
from archdsl.layers.stencils import MAX_PERIOD, Reach
from archdsl.problems.problem import extents
from archdsl.problems.teaching import (
    Aliasing,
    Checkerboard,
    FieldCoversInput,
    FieldShortOfInput,
    HolesInField,
    ShiftedPaths,
    UnreadEdge,
)
from archdsl.sizes import Size
from archdsl.teaching.finding import Finding, Readers
from archdsl.teaching.samples import unseen

SMOOTHING = frozenset({"blur_pool", "avg_pool", "scattering"})
"""Layers that take away what varies fast."""

STEPPING = frozenset(
    {"conv", "depthwise_conv", "max_pool", "lp_pool", "stochastic_pool", "max_pool_dropout", "subsample"}
)
"""Layers that keep every stride-th of what they make, and do not smooth."""

POOLS = frozenset({"global_avg_pool", "global_max_pool"})


def lessons(analysis: Analysis) -> Iterator[Finding]:
    """The findings, those of a kind in order of execution."""
    flow = analysis.flow
    readers = Readers(flow)
    for i, node in enumerate(flow.nodes):
        if node.kind == "conv_transpose":
            yield from _checkerboard(flow, i)
        elif node.kind in STEPPING:
            yield from _aliasing(flow, i)
        if len(flow.feeds[i]) == 1:
            yield from (found for found in unseen(flow, readers, i) if isinstance(found.problem, UnreadEdge))
        elif flow.feeds[i]:
            yield from _shifted(analysis, i)
        if node.kind in POOLS:
            yield from _short(analysis, readers, i)
    yield from _holes(analysis)
    yield from _covered(analysis)


# ------------------------------------------------------------------------------ single layers


def _checkerboard(flow: Flow, i: int) -> Iterator[Finding]:
    node = flow.nodes[i]
    reading = flow.rules[i].readers[0].readings[0]
    if not isinstance(reading, tuple):
        return
    for axis, pattern in enumerate(reading):
        counts = [sum(n + 1 for _, _, n in runs) for runs in pattern.runs]
        if len(set(counts)) > 1:
            kernel = _along(node.layer.values["kernel"], axis)
            stride = pattern.step_out
            below = kernel // stride * stride
            better = tuple(size for size in (below, below + stride) if size)
            problem = Checkerboard(node.kind, str(kernel), str(stride), tuple(sorted(set(counts))), better)
            yield Finding(problem, node)
            return


def _along(value: Size | tuple[Size, ...], axis: int) -> int:
    one = value[axis] if isinstance(value, tuple) else value
    assert isinstance(one, int)
    return one


def _aliasing(flow: Flow, i: int) -> Iterator[Finding]:
    node = flow.nodes[i]
    reading = flow.rules[i].readers[0].readings[0]
    if not isinstance(reading, tuple) or node.inputs[0].node.kind in SMOOTHING:
        return
    steps = [pattern.step_in for pattern in reading]
    kernel = node.layer.values.get("kernel")
    patches = "conv" in node.kind and isinstance(kernel, int) and all(step == kernel for step in steps)
    if max(steps) == 1 or (patches and kernel != 1):
        # Patches side by side are put in another order, channels for positions, before they are mixed.
        return
    stride = str(steps[0]) if len(set(steps)) == 1 else extents(steps)
    given = str(steps[0]) if len(set(steps)) == 1 else f"{steps}"
    blurred = "blur_pool" if given == "2" else f"blur_pool(stride={given})"
    if node.kind == "subsample":
        mend = f"`{blurred}` smooths and then drops samples"
    else:
        after = "an activation and " if "conv" in node.kind else ""
        mend = f"`{node.kind}` with `stride=1`, and after it {after}`{blurred}`, smooths first"
    yield Finding(Aliasing(node.kind, stride, mend), node)


# ------------------------------------------------------------------------------ fields


def _of_inputs(flow: Flow, field: Field | Fields | None) -> dict[str, Field]:
    """The field in each of the network's inputs that a value depends on."""
    if field is None:
        return {}
    if isinstance(field, Fields):
        return field.by_input
    return {flow.nodes[flow.inputs[0]].name: field}


def _axis_names(axes: int) -> tuple[str, ...]:
    return {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}[axes]


def _shifted(analysis: Analysis, i: int) -> Iterator[Finding]:
    """Paths that meet with different centres or strides in one of the inputs."""
    flow = analysis.flow
    node = flow.nodes[i]
    reader = flow.rules[i].readers[0]
    joined = [
        _of_inputs(flow, analysis.fields[value])
        for value, reading, extents_in in zip(flow.feeds[i], reader.readings, reader.extents_in, strict=True)
        if reading is Reach.POINT and extents_in == reader.extents
    ]
    for name in dict.fromkeys(name for fields in joined for name in fields):
        local = [fields[name] for fields in joined if name in fields and fields[name].reach == "local"]
        ranks = {len(field.axes) for field in local}
        if len(local) < 2 or len(ranks) != 1:
            continue
        differences = [_difference(local, axis) for axis in range(ranks.pop())]
        said: dict[str, list[str]] = {}
        for axis, difference in zip(_axis_names(len(differences)), differences, strict=True):
            if difference is not None:
                said.setdefault(difference, []).append(axis)
        if said:
            of = f" of `{name}`" if len(flow.inputs) > 1 else ""
            phrases = tuple(f"{text} along {' and '.join(axes)}{of}" for text, axes in said.items())
            yield Finding(ShiftedPaths(node.kind, phrases), node)
            return


def _difference(fields: list[Field], axis: int) -> str | None:
    """How far the centres of paths lie apart along an axis, or how their strides differ, if they do."""
    lattices = [field.axes[axis] for field in fields]
    if any(len(one) != 1 for one in lattices):
        return None
    strides = sorted({Fraction(one.step, one.period) for (one,) in lattices} - {Fraction(0)})
    if len(strides) > 1:
        return f"their strides are {' and '.join(map(str, strides))}"
    period = lcm(*(one.period for (one,) in lattices))
    if period > MAX_PERIOD:
        return None
    turns = units_in_turn(period, fields[0].extents[axis])
    centres: list[Fraction] = []
    for (one,) in lattices:
        seen = [one.at(unit) for unit in range(turns)]
        if None in seen or not one.step:
            return None
        centres.append(sum((Fraction(p.first + p.last, 2) for p in seen if p), Fraction(0)) / turns)
    apart = max(centres) - min(centres)
    if not apart:
        # Units that share a window, as after an upsampling, lie to either side of its centre.
        return None
    number = apart.numerator if apart.denominator == 1 else float(apart)
    on_average = " on average" if turns > 1 else ""
    return f"their centres are {number:,g} {'sample' if number == 1 else 'samples'} apart{on_average}"


def _short(analysis: Analysis, readers: Readers, i: int) -> Iterator[Finding]:
    """A pooling over the whole map of units that have not seen the whole input, and that nothing else reads.

    A gate, or a branch beside others that go on with the map, is no head.
    """
    flow = analysis.flow
    node = flow.nodes[i]
    value = flow.feeds[i][0]
    fields = _of_inputs(flow, analysis.fields[value])
    if len(fields) != 1 or len(readers.of(value)) > 1 or value in readers.given:
        return
    ((name, field),) = fields.items()
    source = next(flow.nodes[one] for one in flow.inputs if flow.nodes[one].name == name)
    whole = _numbers(source.shape.size)
    size = _numbers(field.size or ())
    if whole is None or size is None or len(size) != len(whole) or field.at_most:
        return
    if any(seen < extent for seen, extent in zip(size, whole, strict=True)):
        yield Finding(FieldShortOfInput(node.kind, extents(size), extents(whole)), node)


def _numbers(sizes: tuple[Size, ...] | list[int | None]) -> tuple[int, ...] | None:
    """Sizes that are all known numbers; None otherwise."""
    numbers = tuple(size for size in sizes if isinstance(size, int))
    return numbers if len(numbers) == len(sizes) else None


def _holes(analysis: Analysis) -> Iterator[Finding]:
    """Last maps of the network, before a field becomes global or at an output, whose fields have holes."""
    flow = analysis.flow
    last = set(flow.outputs)
    for i, feeds in enumerate(flow.feeds):
        after = analysis.fields[flow.starts[i]]
        if any(field.reach == "global" for field in _of_inputs(flow, after).values()):
            last.update(feeds)
    for value in sorted(last):
        for field in _of_inputs(flow, analysis.fields[value]).values():
            node = flow.nodes[flow.makers[value]]
            if field.reach == "local" and not field.at_most:
                yield from _hole(node, field)


def _hole(node: Node, field: Field) -> Iterator[Finding]:
    taps, size = _numbers(field.taps or []), _numbers(field.size or [])
    if taps is None or size is None:
        return
    found: dict[tuple[int, int], list[str]] = {}
    for axis, seen, extent in zip(_axis_names(len(size)) if size else (), taps, size, strict=True):
        if seen < extent:
            found.setdefault((seen, extent), []).append(axis)
    for (seen, extent), axes in found.items():
        yield Finding(HolesInField(node.name, tuple(axes), seen, extent), node)


def _covered(analysis: Analysis) -> Iterator[Finding]:
    """The first layer with a window whose input's field covers the whole of the network's only input."""
    flow = analysis.flow
    whole = _numbers(flow.nodes[flow.inputs[0]].shape.size) if len(flow.inputs) == 1 else None
    if not whole:
        return
    windowed: list[int] = []
    first: int | None = None
    for i, rules in enumerate(flow.rules):
        if rules.weights == 0 or not any(_widens(reading) for reading in rules.readers[0].readings):
            continue
        windowed.append(i)
        if first is None and _covers(analysis.fields[flow.feeds[i][0]], whole):
            first = i
    if first is None:
        return
    rest = [i for i in windowed if i >= first]
    node = flow.nodes[first]
    field = analysis.fields[flow.feeds[first][0]]
    assert isinstance(field, Field)
    parameters = sum(_parameters(analysis, i) for i in rest)
    problem = FieldCoversInput(
        node.name,
        extents(field.size or ()),
        extents(whole),
        len(rest),
        len(windowed),
        f"{parameters:,}",
    )
    yield Finding(problem, node)


def _widens(reading: Reach | tuple[Pattern, ...]) -> bool:
    """Whether units read more than one sample along some axis."""
    return isinstance(reading, tuple) and any(
        len(runs) > 1 or (runs and runs[0][2]) for pattern in reading for runs in pattern.runs
    )


def _covers(field: Field | Fields | None, whole: tuple[int, ...]) -> bool:
    if not isinstance(field, Field) or field.reach != "local" or field.at_most:
        return False
    size = _numbers(field.size or [])
    return (
        size is not None
        and len(size) == len(whole)
        and all(seen >= extent for seen, extent in zip(size, whole, strict=True))
    )


def _parameters(analysis: Analysis, i: int) -> Size:
    rules = analysis.rules[i]
    return rules.weights + rules.biases
