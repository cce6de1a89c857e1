"""Convolutions: weighted sums over windows, with the same weights at every position."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved
from archdsl.layers.linear_map import LinearMap, transposed_taps, window_taps
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads, along_axes
from archdsl.layers.symmetry import ACTED_ON, Fibre, Motion, kept
from archdsl.layers.windows import (
    PAD_SAME,
    Pair,
    PerAxis,
    Sides,
    Window,
    check_map,
    check_mode,
    compact,
    cut,
    depends,
    divides,
    needs,
    output_size,
    padded,
    padded_same,
    per_axis,
    per_side,
    symbols_in,
    symmetric,
    window_doubts,
    window_fans,
    windows,
)
from archdsl.problems.arrangement import UndecidedSize
from archdsl.problems.layers import EmptyOutput, GroupsDoNotDivide, OutputPaddingTooLarge
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, at_least, maximum

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

PADDING_MODES = kinds.choice("zeros", "reflect", "replicate", "circular")


class Convolution(Layer, abstract=True):
    """The base of `conv` and `depthwise_conv`, which differ in channels and groups alone."""

    autocast = Autocast.SHORT
    source = PAD_SAME

    kernel: PerAxis
    stride: PerAxis
    padding: Sides
    dilation: PerAxis
    bias: bool
    padding_mode: str

    channels_and_groups: Callable[[Shape], tuple[Size, Size]]
    """Output channels and groups."""

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.padding, self.dilation)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        channels, groups = self.channels_and_groups(x)
        check_groups(x.channels, channels, groups)
        found = self.windows(x)
        check_mode(self.padding_mode, ((w.before, w.after) for w in found), x, "padding")
        return Shape((channels, *output_size(found)))

    def weights(self, x: Shape) -> dict[str, Shape]:
        channels, groups = self.channels_and_groups(x)
        weight = Shape((channels, x.channels // groups, *per_axis("kernel", self.kernel, x)))
        return {"weight": weight, "bias": Shape((channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape) -> Fans:
        channels, groups = self.channels_and_groups(x)
        return window_fans(channels // groups, x.channels // groups, self.kernel, self.stride, x)

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape) -> Size:
        channels, groups = self.channels_and_groups(x)
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return channels * prod(output_size(self.windows(x))) * (x.channels // groups) * taps

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + (self.shape(x).count if self.bias else 0)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,))

    def linear_map(self, x: Shape) -> LinearMap:
        _, groups = self.channels_and_groups(x)
        return LinearMap(
            tuple(
                window_taps(w.kernel, w.stride, w.before, w.dilation, self.padding_mode)
                for w in self.windows(x)
            ),
            groups,
        )

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        wraps = self.padding_mode == "circular"
        return (along_axes(w.stencil(wraps) for w in self.windows(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        channels, groups = self.channels_and_groups(x)
        found = self.windows(x)
        least = {"reflect": 1, "circular": 0}.get(self.padding_mode)
        conditions = (
            [] if least is None else [(w.extent, side + least) for w in found for side in (w.before, w.after)]
        )
        return (
            group_doubts(self.kind, x.channels, channels, groups)
            + window_doubts(self.kind, found)
            + needs(self.kind, conditions)
        )

    def build(self, nn: Code, x: Shape) -> Code:
        channels, groups = self.channels_and_groups(x)
        found = self.windows(x)
        named: dict[str, Any] = {}
        if any(w.stride != 1 for w in found):
            named["stride"] = compact(w.stride for w in found)
        if symmetric((w.before, w.after) for w in found) and any(w.before for w in found):
            named["padding"] = compact(w.before for w in found)
            if self.padding_mode != "zeros":
                named["padding_mode"] = self.padding_mode
        if any(w.dilation != 1 for w in found):
            named["dilation"] = compact(w.dilation for w in found)
        if groups != 1:
            named["groups"] = groups
        if not self.bias:
            named["bias"] = False
        make = getattr(nn, f"Conv{x.axes}d")
        made: Code = make(x.channels, channels, compact(w.kernel for w in found), **named)
        return made

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        found = self.windows(xs[0])
        sides = [(w.before, w.after) for w in found]
        if symmetric(sides):
            return module(values[0])
        same = padded_same(values[0], found, self.padding_mode) if self.padding == "same" else None
        if same is not None:
            return module(same)
        return module(padded(torch, values[0], sides, self.padding_mode))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        kernel, stride = per_axis("kernel", self.kernel, *xs), per_axis("stride", self.stride, *xs)
        # A kernel that is free to take any form is so along the axes that a motion leaves alone.
        free = (*kernel, *stride) if motion is Motion.SCALE else kernel[-ACTED_ON[motion] :]
        return kept(fibres, ("scalar", "polar") if all(size == 1 for size in free) else ("polar",))


class Conv(Convolution):
    """Convolution: at each position, a weighted sum over a window of the input.

    y[c, i] = bias[c] + sum over channels a of c's group and taps t of
    weight[c, a, t] * x[a, i*stride - before + t*dilation]

    along one, two or three axes. Strictly, it is a correlation: the kernel is not turned round. The
    extent n becomes (n + before + after - (kernel - 1)*dilation - 1) // stride + 1; with `padding=same`
    it becomes n/stride, rounded up. The kernels start with random weights.

    FLOPs: 2 for each multiply-accumulate, and 1 for each output with a bias. Positions in the padding
    count as all others. The backward pass keeps the input.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=same) -> relu
      conv(32, kernel=[3, 2], stride=2, padding=[[0, 1], [0, 0]], groups=2, bias=false)
    }
    ```

    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998; groups:
    Krizhevsky et al., 2012; dilation: Yu and Koltun, 2016. torch.nn.Conv1d, Conv2d, Conv3d.
    """

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)
    padding_mode: str = argument(PADDING_MODES, "what the padding is filled with", "zeros")

    def channels_and_groups(self, x: Shape) -> tuple[Size, Size]:
        return self.channels, self.groups


class DepthwiseConv(Convolution):
    """Depthwise convolution: every channel is convolved by itself.

    y[c*multiplier + m, i] = bias[c*multiplier + m] + sum over taps t of
    weight[c*multiplier + m, 0, t] * x[c, i*stride - before + t*dilation]

    It is `conv` with as many groups as channels, and `multiplier` outputs for each of them. A `conv` with
    a kernel of 1 after it mixes the channels; the two are a separable convolution.

    FLOPs: 2 for each multiply-accumulate, and 1 for each output with a bias. The backward pass keeps the
    input.

    ```arch
    network Small {
      input image: [16, 32, 32]
      depthwise_conv(kernel=3, stride=2, padding=1, bias=false) -> batch_norm -> relu
      conv(32, kernel=1)
    }
    ```

    Source: Sifre, Rigid-motion scattering for image classification, 2014; Howard et al., MobileNets, 2017.
    torch.nn.Conv1d, Conv2d, Conv3d with groups.
    """

    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    multiplier: Size = argument(kinds.positive, "output channels for each input channel", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)
    padding_mode: str = argument(PADDING_MODES, "what the padding is filled with", "zeros")

    def channels_and_groups(self, x: Shape) -> tuple[Size, Size]:
        return x.channels * self.multiplier, x.channels


class ConvTranspose(Layer):
    """Transposed convolution: every input sample is spread over a window of the output.

    y[c, j] = bias[c] + sum over channels a of c's group and all i, t with
    j = i*stride - before + t*dilation of weight[a, c, t] * x[a, i]

    It is the linear map that a convolution's gradient goes back through, and makes maps larger. The
    extent n becomes (n - 1)*stride + (kernel - 1)*dilation + 1 - before - after + output_padding: the
    padding is taken away from the output. `padding=same` makes it n*stride. `output_padding` adds units
    at the end, for the extents that a convolution with a stride maps to the same one.

    FLOPs: 2 for each multiply-accumulate (input positions x input channels x output channels / groups x
    taps), and 1 for each output with a bias. The backward pass keeps the input.

    ```arch
    network Small {
      input image: [16, 8, 8]
      conv_transpose(8, kernel=2, stride=2) -> relu
      conv_transpose(4, kernel=3, stride=2, padding=1, output_padding=1)
    }
    ```

    Source: Zeiler et al., Deconvolutional networks, 2010; Dumoulin and Visin, A guide to convolution
    arithmetic, 2016. torch.nn.ConvTranspose1d, ConvTranspose2d, ConvTranspose3d.
    """

    autocast = Autocast.SHORT

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    stride: PerAxis = argument(kinds.extent, "output units from one input sample to the next", 1)
    padding: Sides = argument(kinds.padding, "what is taken away around the output", 0)
    output_padding: PerAxis = argument(kinds.naturals, "units added at the end of the output", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)

    def geometry(self, x: Shape) -> tuple[tuple[Window, Size], ...]:
        """For each axis the window, with what is taken away as its padding, and the output padding."""
        kernels = per_axis("kernel", self.kernel, x)
        strides = per_axis("stride", self.stride, x)
        dilations = per_axis("dilation", self.dilation, x)
        added = per_axis("output_padding", self.output_padding, x)
        axes = []
        same = self.padding == "same"
        sides = () if same else per_side("padding", self.padding, x)
        for axis, n in enumerate(x.size):
            k, s, d, extra = kernels[axis], strides[axis], dilations[axis], added[axis]
            span = (k - 1) * d + 1
            if same:
                total = maximum(span - s, 0)
                pair: Pair = (total // 2, total - total // 2)
                extra += maximum(s - span, 0)
            else:
                pair = sides[axis]
            axes.append((Window(n, k, s, *pair, d), extra))
        return tuple(axes)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        check_groups(x.channels, self.channels, self.groups)
        geometry = self.geometry(x)
        given = per_axis("output_padding", self.output_padding, x)
        for (w, extra), own in zip(geometry, given, strict=True):
            if at_least(maximum(w.stride, w.dilation) - extra, 1) is False:
                needed = "" if extra == own else str(extra - own)
                problem = OutputPaddingTooLarge(str(own), str(w.stride), str(w.dilation), needed)
                raise Fault(problem, "output_padding")
        size = self.size(x)
        if any(at_least(extent, 1) is False for extent in size):
            raise Fault(EmptyOutput(self.kind, str(x), size), "padding")
        return Shape((self.channels, *size))

    def size(self, x: Shape) -> tuple[Size, ...]:
        """The extents of the output."""
        return tuple(
            (w.extent - 1) * w.stride + w.span - w.before - w.after + extra for w, extra in self.geometry(x)
        )

    def weights(self, x: Shape) -> dict[str, Shape]:
        kernel = per_axis("kernel", self.kernel, x)
        weight = Shape((x.channels, self.channels // self.groups, *kernel))
        return {"weight": weight, "bias": Shape((self.channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape) -> Fans:
        made, taken = self.channels // self.groups, x.channels // self.groups
        outgoing, incoming, *_ = window_fans(taken, made, self.kernel, self.stride, x)
        return Fans(incoming, outgoing, transposed=True)

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape) -> Size:
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return x.count * (self.channels // self.groups) * taps

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + (self.shape(x).count if self.bias else 0)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,))

    def linear_map(self, x: Shape) -> LinearMap:
        found = (w for w, _ in self.geometry(x))
        axes = tuple(transposed_taps(w.kernel, w.stride, w.before, w.dilation) for w in found)
        return LinearMap(axes, self.groups, inputs_first=True)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(w.transposed() for w, _ in self.geometry(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        geometry = self.geometry(x)
        unknown = [
            size for w, _ in geometry if w.transposed() is None for size in (w.kernel, w.stride, w.dilation)
        ]
        return (
            group_doubts(self.kind, x.channels, self.channels, self.groups)
            + needs(self.kind, ((extent, 1) for extent in self.size(x)))
            + depends(self.kind, unknown, "its receptive field is not given")
        )

    def build(self, nn: Code, x: Shape) -> Code:
        geometry = self.geometry(x)
        found = [w for w, _ in geometry]
        named: dict[str, Any] = {}
        if any(w.stride != 1 for w in found):
            named["stride"] = compact(w.stride for w in found)
        if any(w.before and w.after for w in found):
            named["padding"] = compact(min(w.before, w.after) for w in found)
        if any(extra for _, extra in geometry):
            named["output_padding"] = compact(extra for _, extra in geometry)
        if self.groups != 1:
            named["groups"] = self.groups
        if not self.bias:
            named["bias"] = False
        if any(w.dilation != 1 for w in found):
            named["dilation"] = compact(w.dilation for w in found)
        make = getattr(nn, f"ConvTranspose{x.axes}d")
        made: Code = make(x.channels, self.channels, compact(w.kernel for w in found), **named)
        return made

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        found = [w for w, _ in self.geometry(xs[0])]
        if symmetric((w.before, w.after) for w in found):
            return module(values[0])
        # The module takes away what both sides share; the rest is cut off.
        starts = [w.before - min(w.before, w.after) for w in found]
        return cut(module(values[0]), starts, self.size(xs[0]))


def check_groups(inputs: Size, outputs: Size, groups: Size) -> None:
    """Raise `groups-do-not-divide` unless the groups divide both numbers of channels."""
    inputs_fit = divides(groups, inputs) is not False
    if inputs_fit and divides(groups, outputs) is not False:
        return
    fitting: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    if isinstance(inputs, int) and isinstance(outputs, int) and isinstance(groups, int):
        common = [g for g in range(1, min(inputs, 4096) + 1) if inputs % g == 0 and outputs % g == 0]
        below = [g for g in common if g < groups][-1:]
        above = [g for g in common if g > groups][:1]
        fitting = tuple(g for g in below + above if g > 1)
        if inputs_fit:
            channels = tuple(c for c in (outputs // groups * groups, (outputs // groups + 1) * groups) if c)
    problem = GroupsDoNotDivide(str(groups), str(inputs), str(outputs), inputs_fit, fitting, channels)
    raise Fault(problem, "groups")


def group_doubts(kind: str, inputs: Size, outputs: Size, groups: Size) -> tuple[Problem, ...]:
    """A warning where it can't be decided whether the groups divide the channels."""
    return tuple(
        UndecidedSize(kind, f"{groups} divides {channels}", symbols_in((groups, channels)))
        for channels in dict.fromkeys((inputs, outputs))
        if divides(groups, channels) is None
    )
