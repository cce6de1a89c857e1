"""Samples that windows with a stride pass over, though nothing else reads them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from archdsl.analysis.flow import Flow, Pattern, Reader, Rules
from archdsl.compiler.network import Node
from archdsl.layers.layer import LAYERS, Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Stencil
from archdsl.layers.windows import per_axis
from archdsl.problems.problem import Fault
from archdsl.problems.teaching import UnreadEdge, UnseenSamples
from archdsl.sizes import Size
from archdsl.teaching.finding import Finding, Readers

LONGEST = 2**16
"""The longest axis whose samples are looked at one by one."""

MOST_READ = 2**20
"""The most readings, taps in all windows, that are followed one by one."""

MOST_LISTED = 4
"""The most samples that are listed one by one."""

MOST_TRIED = 2**10
"""The most kernels that are tried, one after the other."""

MEANT = frozenset({"subsample", "scale_invariant_conv"})
"""Layers with a stride whose purpose is to drop samples, or whose windows move over resized copies."""


class Loss(NamedTuple):
    """Samples of an axis that windows pass over: `between` two of them, or after the last.

    At an `edge` the windows overlap: what is lost is less than they read twice. With a `period` the extent
    is open, and `unseen` are the samples lost of the first of every so many.
    """

    unseen: frozenset[int]
    between: bool
    edge: bool = False
    period: int = 0


def _windowed(node: Node, rules: Rules) -> tuple[Pattern, ...] | None:
    """How the windows of a layer read its first input; None where it reads in another way."""
    if "stride" not in node.layer.arguments or not hasattr(node.layer, "windows"):
        return None
    reading = rules.readers[0].readings[0]
    if not isinstance(reading, tuple) or any(p.step_out != 1 or p.at_most or p.wraps for p in reading):
        return None
    return reading


def loses(node: Node, rules: Rules) -> bool:
    """Whether a layer passes over samples, edges aside."""
    readings = rules.readers[0].readings
    if not readings or not isinstance(readings[0], tuple) or node.layer.kind in MEANT:
        return False
    if all(
        pattern.step_in == 1 and len(pattern.runs[0]) == 1 >= pattern.runs[0][0][1] for pattern in readings[0]
    ):
        return False
    patterns = _windowed(node, rules)
    if patterns is None:
        return False
    return any(loss is not None and not loss.edge for loss in _losses(patterns, rules.readers[0]))


def _losses(patterns: tuple[Pattern, ...], reader: Reader) -> list[Loss | None]:
    """What windows pass over along each axis."""
    return [
        _loss(pattern, extent_in, extent)
        for pattern, extent_in, extent in zip(patterns, reader.extents_in[0], reader.extents, strict=True)
    ]


@lru_cache(maxsize=1024)
def _loss(pattern: Pattern, extent_in: Size, extent: Size) -> Loss | None:
    """What the windows of a pattern pass over, in as many windows as `extent`.

    Of an open extent only what is lost between the windows is known.
    """
    step, runs = pattern.step_in, pattern.runs[0]
    taps = sum(n + 1 for _, _, n in runs)
    if step > LONGEST:
        return None
    if not isinstance(extent_in, int) or not isinstance(extent, int):
        if taps > LONGEST:
            return None
        seen = {(first + gap * k) % step for first, gap, n in runs for k in range(n + 1)}
        unseen = frozenset(range(step)) - seen
        return Loss(unseen, True, period=step) if unseen else None
    if len(runs) == 1 and runs[0][1] <= 1 and runs[0][2] + 1 >= step:
        # A window without holes as long as its step: what can be lost comes after the last one.
        end = (extent - 1) * step + runs[0][0] + runs[0][2] + 1
        if not end < extent_in <= LONGEST:
            return None
        return Loss(frozenset(range(end, extent_in)), False, edge=runs[0][2] + 1 > step)
    if extent_in > LONGEST or taps * extent > MOST_READ:
        return None
    read: set[int] = set()
    for first, gap, n in runs:
        for k in range(n + 1):
            start = first + gap * k
            read.update(range(start, start + extent * step, step))
    unseen = frozenset(range(extent_in)) - read
    return Loss(unseen, min(unseen) < max(read)) if unseen else None


def unseen(flow: Flow, readers: Readers, first: int) -> Iterator[Finding]:
    """What is lost of the value that a layer reads with windows, unless another one reads it."""
    if _windowed(flow.nodes[first], flow.rules[first]) is None:
        return
    value = flow.feeds[first][0]
    if value in readers.given or flow.nodes[flow.makers[value]].kind == "pad":
        # What is lost of padding is no loss.
        return
    around = readers.of(value)
    if around[0] != first:
        # What is lost of a value has been said where it was first read.
        return
    found: list[Loss | None] | None = None
    for i in around:
        node, rules = flow.nodes[i], flow.rules[i]
        patterns = _windowed(node, rules)
        if patterns is None or flow.feeds[i][0] != value or node.layer.kind in MEANT:
            return
        losses = _losses(patterns, rules.readers[0])
        found = losses if found is None else [_common(a, b) for a, b in zip(found, losses, strict=True)]
    assert found is not None
    if any(found):
        node = flow.nodes[first]
        others = tuple((flow.nodes[i], "nor does this") for i in around[1:])
        yield Finding(_problem(node, flow.rules[first], found), node, others)


def _common(a: Loss | None, b: Loss | None) -> Loss | None:
    """What two layers both pass over."""
    if a is None or b is None or a.period != b.period:
        return None
    unseen = a.unseen & b.unseen
    return Loss(unseen, a.between and b.between, a.edge or b.edge, a.period) if unseen else None


def _problem(node: Node, rules: Rules, losses: list[Loss | None]) -> UnseenSamples | UnreadEdge:
    reader = rules.readers[0]
    names = node.inputs[0].shape.axis_names[1:]
    along: dict[str, list[str]] = {}
    for loss, name, extent in zip(losses, names, reader.extents_in[0], strict=True):
        if loss is not None:
            along.setdefault(_said(loss, extent), []).append(name)
    phrases = tuple(f"{said} along {' and '.join(axes)}" for said, axes in along.items())
    edge = all(loss is None or loss.edge for loss in losses)
    axis = next(i for i, loss in enumerate(losses) if loss is not None and loss.edge == edge)
    loss, extent = losses[axis], reader.extents_in[0][axis]
    patterns = _windowed(node, rules)
    assert loss is not None and patterns is not None
    step = patterns[axis].step_in
    dilations = per_axis("dilation", node.layer.values.get("dilation", 1), node.inputs[0].shape)
    between = [j for j, one in enumerate(losses) if one is not None and one.between]
    if loss.between and any(dilations[j] != 1 for j in between):
        mend = "a smaller dilation or stride, or a larger kernel, reads them"
    elif loss.between:
        enough = _enough(node, patterns) if set(dilations) == {1} else None
        kernel = f"{max(patterns[j].step_in for j in between)} or more leaves none out between windows"
        if enough is not None:
            kernel = f"{enough} reads every sample"
        mend = f"a kernel of {kernel}; `subsample` drops samples on purpose"
    else:
        assert isinstance(extent, int)
        fitting = extent - len(loss.unseen)
        mend = f"an extent of {fitting} or {fitting + step} loses nothing"
        for argument, how in (("ceil", "`ceil=true`"), ("padding", "padding at the end")):
            if argument in node.layer.arguments:
                mend = f"{how} reads more; {mend}"
                break
    return (UnreadEdge if edge else UnseenSamples)(node.kind, phrases, mend)


def _enough(node: Node, patterns: tuple[Pattern, ...]) -> int | None:
    """The smallest kernel, the same along all axes, with which windows without holes read every sample.

    It is tried by the layer's own rules; those of a user's own layer are asked for nothing that the file
    doesn't ask for. None where extents are open or none is found.
    """
    layer, shapes = node.layer, tuple(wire.shape for wire in node.inputs)
    extents = [extent for extent in shapes[0].size if isinstance(extent, int)]
    own = LAYERS.get(layer.kind) is not type(layer)
    if own or "kernel" not in layer.arguments or len(extents) < len(patterns):
        return None
    # A kernel below the step leaves something out between windows, unless one window reads the whole axis.
    least = max(min(pattern.step_in, extent) for pattern, extent in zip(patterns, extents, strict=True))
    for kernel in range(least, least + MOST_TRIED):
        if _all_read(layer, kernel, shapes):
            return kernel
    return None


def _all_read(layer: Layer, kernel: int, xs: tuple[Shape, ...]) -> bool:
    """Whether a layer with another kernel fits, and its windows read every sample of its first input."""
    value = layer.arguments["kernel"].kind.check(kernel)
    if value is None:
        return False
    tried = type(layer)({**layer.values, "kernel": value})
    try:
        made = tried.shape(*xs)
        reads = tried.reads_of(0, *xs)[0]
    except Fault:
        return False
    shape = made if isinstance(made, Shape) else made[0]
    return isinstance(reads, tuple) and all(
        isinstance(extent, int) and isinstance(count, int) and _reads_all(stencil, extent, count)
        for stencil, extent, count in zip(reads, xs[0].size, shape.size, strict=True)
    )


def _reads_all(window: Stencil, extent: int, count: int) -> bool:
    """Whether so many windows without holes read every sample of an axis."""
    first, end, step = window.offsets[0][0], window.offsets[0][-1] + 1, window.step_in
    if end - first < step:
        # Between two windows something is left out, so the last to begin before the samples must reach all.
        count = min(count, -first // step + 1)
    return first <= 0 and end + (count - 1) * step >= extent


def _said(loss: Loss, extent: Size) -> str:
    """`sample 14 of 0 to 14`, or `1 of every 2 samples`."""
    if loss.period:
        return f"{len(loss.unseen)} of every {loss.period} samples"
    assert isinstance(extent, int)
    places = sorted(loss.unseen)
    shown = [str(place) for place in places]
    if len(places) > MOST_LISTED:
        shown = [*shown[:2], "...", shown[-1]]
    return f"{'sample' if len(places) == 1 else 'samples'} {', '.join(shown)} of 0 to {extent - 1}"
