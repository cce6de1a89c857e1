"""What a layer that does not fit was most likely meant to be, told by what stands before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from archdsl.compiler.network import Node, Wire
from archdsl.layers.arguments import Parameter, SameAs
from archdsl.layers.layer import Layer
from archdsl.problems import Problem
from archdsl.problems.arguments import ChannelsWritten
from archdsl.problems.arrangement import ShapeMismatch
from archdsl.problems.layers import NeedsMap, WindowOutsideInput
from archdsl.sizes import Size
from archdsl.source import Span
from archdsl.syntax.tree import Argument

Given = Sequence[tuple[Parameter, Argument]]
"""The arguments of a use, in the order of the layer's parameters."""

NEAR = 32
"""So many layers before the one at fault are looked at."""


def mended(problem: Problem, layer: Layer, inputs: Sequence[Wire]) -> Problem:
    """A problem of a layer with such inputs, and the mend that what stands before it tells."""
    if isinstance(problem, ShapeMismatch):
        return _unpadded(problem, layer, inputs)
    if isinstance(problem, NeedsMap):
        return _flattened(problem, inputs[0])
    if isinstance(problem, WindowOutsideInput):
        origin = _origin(inputs[0])
        return replace(problem, input=origin.name if origin.kind == "input" else None)
    return problem


# ------------------------------------------------------------------------------ channels that are not written


def channels_written(
    layer: Layer, given: Given, inputs: Sequence[Wire], use: Span, fits: bool = True
) -> ChannelsWritten | None:
    """The warning of a use whose arguments begin with the channels that reach it; None where they don't.

    Of a kernel that does not even fit it need not be known that so many channels reach the layer.
    """
    names = [*layer.arguments]
    positional = [argument for _, argument in given if argument.name is None]
    if names[:3] != ["channels", "kernel", "stride"] or len(positional) < 2 or not inputs:
        return None
    channels, out, kernel = (layer.values[name] for name in ("channels", "kernel", "stride"))
    kernel = kernel if len(positional) > 2 else None
    if not isinstance(channels, int) or not isinstance(out, int):
        return None
    shape = inputs[0].shape
    if channels != shape.channels and (fits or kernel is None):
        return None
    if not _unlikely(layer.kind, channels, out, kernel, narrow=fits and shape.axes == 1):
        return None
    texts = [argument.span.text for argument in positional]
    named = [f"{name}={text}" for name, text in zip(names[1:], texts[2:], strict=False)]
    further = [argument.span.text for _, argument in given if argument.name is not None]
    meant = f"{layer.kind}({', '.join([texts[1], *(named or ['kernel=...']), *further])})"
    return ChannelsWritten(" ".join(use.text.split()), texts[1], texts[2] if named else None, meant)


def _unlikely(kind: str, channels: int, kernel: int, stride: object, narrow: bool) -> bool:
    """Whether so many channels of such a kernel and stride are most likely channels, channels and a kernel.

    `conv(16, 3, 1)` of 16 channels is meant as it is written: what is taken for channels is larger than
    kernels are, or more than the few channels of an input, and what is taken for the kernel is odd. Along
    one axis (`narrow`) kernels are long, and only of the few channels of an input does it tell anything.
    """
    few = channels <= 4
    if kernel % 2 or (narrow and not few):
        return False
    if stride is None:
        return few and kernel >= 16 and not narrow
    if _odd(stride):
        return kernel >= 16 or (few and isinstance(stride, int) and 3 <= stride < kernel)
    # A kernel of 2 or 4 is that of a transposed convolution. Of one that is meant so, the kernel is
    # its stride, or twice that.
    even = isinstance(stride, int) and stride in (2, 4)
    return even and kind == "conv_transpose" and not narrow and kernel >= 16


# ------------------------------------------------------------------------------ maps and vectors


def _flattened(problem: NeedsMap, wire: Wire) -> NeedsMap:
    """Whether a vector is the network's input, or a map that was flattened."""
    for _ in range(NEAR):
        node = wire.node
        if not node.inputs:
            return replace(problem, input=node.name) if node.kind == "input" else problem
        if node.kind == "flatten":
            return replace(problem, flattened=True)
        if len(node.inputs) > 1 or node.inputs[0].shape != wire.shape:
            return problem
        wire = node.inputs[0]
    return problem


def _origin(wire: Wire) -> Node:
    """The first of the layers before a value that had its extents already."""
    for _ in range(NEAR):
        node = wire.node
        if len(node.inputs) != 1 or node.inputs[0].shape.size != wire.shape.size:
            break
        wire = node.inputs[0]
    return wire.node


# ------------------------------------------------------------------------------ extents that were to be kept


def _unpadded(problem: ShapeMismatch, layer: Layer, inputs: Sequence[Wire]) -> ShapeMismatch:
    """The layers without padding to which it is due that extents differ, where they are all that differs."""
    spatial = any(axis != "channels" for axis, _, _ in problem.differences)
    joins = "axis" in layer.arguments
    if not spatial or (joins and layer.values["axis"] != "channels"):
        return problem
    # What is repeated to fit keeps what it is.
    maps = [wire for wire in inputs if joins or any(extent != 1 for extent in wire.shape.size)]
    ways = [_way(wire) for wire in maps]
    size = next((size for size in ways[0] if all(size in way for way in ways)), None)
    if size is None:
        return problem
    shrinking = dict.fromkeys(node for way in ways for node in way[size])
    padded = tuple(dict.fromkeys(text for node in shrinking if (text := _padded(node)) is not None))
    if not padded:
        return problem
    return replace(problem, mend=None if joins else _widened(inputs), padded=padded, kept=size)


def _way(wire: Wire) -> dict[tuple[Size, ...], list[Node]]:
    """The extents that a value would have had if layers before it kept them, and which layers these are."""
    found: dict[tuple[Size, ...], list[Node]] = {wire.shape.size: []}
    shrinking: list[Node] = []
    for _ in range(NEAR):
        node = wire.node
        if len(node.inputs) != 1:
            break
        before = node.inputs[0]
        if before.shape.size != wire.shape.size:
            if _padded(node) is None:
                break
            shrinking = [*shrinking, node]
        found.setdefault(before.shape.size, shrinking)
        wire = before
    return found


def _padded(node: Node) -> str | None:
    """A layer as it would keep the extents, if it takes `padding=same` and has no padding."""
    values, parameters = node.layer.values, node.layer.arguments
    text = (node.defined or node.use).text
    windowed = parameters.keys() >= {"kernel", "stride", "padding"}
    takes = windowed and "same" in parameters["padding"].kind.words
    plain = text.startswith(f"{node.kind}(") and text.endswith(")") and "\n" not in text and "#" not in text
    if not takes or not plain or values["padding"] != 0 or "padding" in text:
        return None
    if _all(values["stride"], 1):
        return f"{text[:-1]}, padding=same)"
    # The step of a pooling is its kernel where nothing else is said: between branches it is seldom meant.
    unsaid = isinstance(parameters["stride"].default, SameAs) and "," not in text
    if not unsaid or values["stride"] != values["kernel"] or not _odd(values["kernel"]):
        return None
    return f"{text[:-1]}, stride=1, padding=same)"


def _all(value: object, number: int) -> bool:
    return all(one == number for one in (value if isinstance(value, tuple) else (value,)))


def _odd(value: object) -> bool:
    return all(isinstance(one, int) and one % 2 for one in (value if isinstance(value, tuple) else (value,)))


def _widened(inputs: Iterable[Wire]) -> str | None:
    """How the narrower of values are brought to the channels of the widest, where they differ."""
    channels = {wire.shape.channels for wire in inputs} - {1}
    if len(channels) < 2 or not all(isinstance(count, int) for count in channels):
        return None
    *narrow, wide = sorted(int(count) for count in channels if isinstance(count, int))
    return f"`conv({wide}, kernel=1)` makes {wide} channels of {narrow[0]}"
