"""Convolutions whose filters are values of the network, or are weighed by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.axes import undecided
from archdsl.layers.convolution import check_groups, group_doubts
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads, along_axes
from archdsl.layers.windows import (
    PerAxis,
    Sides,
    Window,
    check_map,
    output_size,
    padded,
    per_axis,
    window_doubts,
    window_fans,
    windows,
)
from archdsl.problems.dynamic import FurtherValueMismatch
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, equal

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem


class DynamicConv(Weightless):
    """Dynamic convolution: a convolution whose kernels are a value of the network, others for each example.

    y[c, i] = sum over channels a of c's group and taps t of
    filters[(c*A + a)*T + t] * x[a, i*stride - before + t]

    A is the number of channels in a group and T that of the taps, the last axis fastest. `filters` is the
    label of a vector of channels * A * T numbers: the order of a `conv`'s weight, written out. The layer
    has nothing to learn; what makes the vector has. Extents become those of a `conv`.

    A vector of filters has no extents. Where it doesn't change when the input moves, as it doesn't after a
    global pooling, the output moves with the input.

    FLOPs: 2 for each multiply-accumulate. The backward pass keeps the input (where it is padded: a padded
    copy) and the filters. On torch the examples of a batch become groups of one convolution; as ONNX fixes
    the number of groups, a network with this layer has no ONNX graph.

    ```arch
    network Filtered {
      input image: [3, 32, 32]
      kernels: {
        conv(16, kernel=3, stride=2, padding=1) -> relu
        global_avg_pool -> flatten -> linear(4 * 3 * 5 * 5)
      }
      from image -> dynamic_conv(4, kernel=5, filters=kernels, padding=2)
    }
    ```

    Source: Jia, De Brabandere, Tuytelaars and Van Gool, Dynamic filter networks, 2016: the dynamic
    convolutional layer.
    """

    source = '''\
class DynamicConvolution(nn.Module):
    """A convolution of each example with filters of its own."""

    def __init__(
        self, kernel: tuple[int, ...], stride: tuple[int, ...], groups: int = 1
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, groups

    def forward(self, x: Tensor, filters: Tensor) -> Tensor:
        batch, inputs = x.shape[:2]
        weight = filters.reshape(-1, inputs // self.groups, *self.kernel)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.kernel) - 1]
        # The examples become groups of one convolution.
        x, groups = x.flatten(0, 1).unsqueeze(0), batch * self.groups
        y = convolve(x, weight, stride=self.stride, groups=groups)
        return y.squeeze(0).unflatten(0, (batch, -1))
'''

    autocast = Autocast.SHORT
    no_onnx = "it fixes the number of groups, and here they are as many as the examples"

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    filters: None = argument(kinds.further_value, "the kernels: a vector")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.padding)

    def each(self, x: Shape) -> Size:
        """The weights of one output channel: channels of a group, times taps."""
        each: Size = prod(per_axis("kernel", self.kernel, x), start=x.channels // self.groups)
        return each

    def shape(self, x: Shape, filters: Shape) -> Shape:
        check_map(self.kind, x)
        check_groups(x.channels, self.channels, self.groups)
        needed = self.channels * self.each(x)
        if filters.axes or equal(filters.channels, needed) is False:
            mend = f"`linear({needed})` makes them of {filters}"
            if filters.axes:
                mend = f"`flatten -> linear({needed})` makes them of {filters}"
                if equal(filters.count, needed) is True:
                    mend = f"`flatten` makes a vector of {filters}"
            wanted = (str(Shape((needed,))),)
            problem = FurtherValueMismatch(self.kind, "filters", str(x), str(filters), wanted, mend)
            raise Fault(problem, "filters", inputs=(0, 1))
        return Shape((self.channels, *output_size(self.windows(x))))

    def macs(self, x: Shape, filters: Shape) -> Size:
        return self.shape(x, filters).count * self.each(x)

    def flops(self, x: Shape, filters: Shape) -> Size:
        return 2 * self.macs(x, filters)

    def saved(self, x: Shape, filters: Shape) -> Saved:
        found = self.windows(x)
        return Saved(inputs=(1,), floats=padded_count(x, found)) if pads(found) else Saved(inputs=(0, 1))

    def reads(self, x: Shape, filters: Shape) -> tuple[Reads, ...]:
        return along_axes(w.stencil() for w in self.windows(x)), Reach.POOLED

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, filters = xs
        return (
            channel_doubts(self.kind, filters, self.channels * self.each(x))
            + group_doubts(self.kind, x.channels, self.channels, self.groups)
            + window_doubts(self.kind, self.windows(x))
        )

    def build(self, nn: Code, x: Shape, filters: Shape) -> Code:
        found = self.windows(x)
        kernel, stride = tuple(w.kernel for w in found), tuple(w.stride for w in found)
        return Code("DynamicConvolution")(kernel, stride, **self.chosen("groups"))

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(with_padding(torch, values[0], self.windows(xs[0])), values[1])


class LocalFilter(Weightless):
    """Dynamic local filtering: at every position a filter of its own, which is a value of the network.

    y[c, i] = sum over taps t of filters[t, i] * x[c, i - before + t]

    `filters` is the label of a map as large as the output. Its channels are the weights of the taps, the
    last axis fastest: as many as there are taps, for all channels of the input alike, or channels * taps,
    with filters[c*T + t, i] in place of filters[t, i], for each channel its own. The layer has nothing to
    learn. Channels stay; extents become those of a `conv` with a stride of 1, so that they stay unless
    `padding` says otherwise.

    With a `softmax` over the taps, as the paper has it for the prediction of video, each output is a mean
    of samples nearby: the filters move them.

    FLOPs: 2 for each multiply-accumulate. The backward pass keeps the window of every output and the
    filters, as copies.

    ```arch
    network Moved {
      input frame: [1, 64, 64]
      filters: {
        conv(16, kernel=5, padding=same) -> relu
        conv(7 * 7, kernel=1) -> softmax
      }
      from frame -> local_filter(kernel=7, filters=filters)
    }
    ```

    Source: Jia, De Brabandere, Tuytelaars and Van Gool, Dynamic filter networks, 2016: the dynamic local
    filtering layer.
    """

    autocast = Autocast.SHORT
    source = '''\
class LocalFiltering(nn.Module):
    """Weighs the samples of every window by filters that stand at its place.

    Windows have their taps as axes after those of the positions; `parts` is 1 where all
    channels have the
    same filters, and the number of channels where each has its own.
    """

    def __init__(self, axes: int, parts: int = 1) -> None:
        super().__init__()
        self.axes, self.parts = axes, parts

    def forward(self, windows: Tensor, filters: Tensor) -> Tensor:
        samples = (
            windows.unflatten(1, (self.parts, -1))
            .movedim(2, self.axes + 2)
            .flatten(self.axes + 3)
        )
        weights = filters.unflatten(1, (self.parts, -1)).movedim(2, -1).unsqueeze(-1)
        # Matrix products, one for each part of each position.
        return torch.matmul(samples, weights).squeeze(-1).movedim(-1, 2).flatten(1, 2)
'''

    kernel: PerAxis = argument(kinds.extent, "extent of the filters")
    filters: None = argument(kinds.further_value, "the filters: a map as large as the output")
    padding: Sides = argument(kinds.padding, "what is added around the input", "same")

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, 1, self.padding)

    def taps(self, x: Shape) -> Size:
        """The number of samples in a window."""
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return taps

    def needed(self, x: Shape, filters: Shape) -> Shape:
        """The shape that the filters should have: with as many channels as taps, if they have so many."""
        taps = self.taps(x)
        shared = equal(filters.channels, taps) is True
        return Shape((taps if shared else x.channels * taps, *output_size(self.windows(x))))

    def shape(self, x: Shape, filters: Shape) -> Shape:
        check_map(self.kind, x)
        needed = self.needed(x, filters)
        if len(filters) != len(x) or any(equal(a, b) is False for a, b in zip(filters, needed, strict=True)):
            taps = self.taps(x)
            expected = dict.fromkeys(str(Shape((n, *needed.size))) for n in (taps, x.channels * taps))
            mend = None
            if len(filters) == len(x) and not clash(filters, needed):
                mend = f"`conv({taps}, kernel=1)` makes {taps} channels of {filters.channels}"
            problem = FurtherValueMismatch(self.kind, "filters", str(x), str(filters), tuple(expected), mend)
            raise Fault(problem, "filters", inputs=(0, 1))
        return Shape((x.channels, *needed.size))

    def macs(self, x: Shape, filters: Shape) -> Size:
        return self.shape(x, filters).count * self.taps(x)

    def flops(self, x: Shape, filters: Shape) -> Size:
        return 2 * self.macs(x, filters)

    def saved(self, x: Shape, filters: Shape) -> Saved:
        return Saved(floats=self.macs(x, filters) + filters.count)

    def reads(self, x: Shape, filters: Shape) -> tuple[Reads, ...]:
        return along_axes(w.stencil() for w in self.windows(x)), Reach.POINT

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, filters = xs
        needed = self.needed(x, filters)
        return (
            channel_doubts(self.kind, filters, needed.channels)
            + extent_doubts(self.kind, filters, needed)
            + window_doubts(self.kind, self.windows(x))
        )

    def build(self, nn: Code, x: Shape, filters: Shape) -> Code:
        parts = () if equal(filters.channels, self.taps(x)) is True else (x.channels,)
        return Code("LocalFiltering")(x.axes, *parts)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(slid(torch, values[0], self.windows(xs[0])), values[1])


class PixelAdaptiveConv(Layer):
    """Pixel-adaptive convolution: a convolution whose weights fade where a guide changes.

    y[o, i] = bias[o] + sum over channels c and taps t of
    K(i, t) * weight[o, c, t] * x[c, i*stride - before + t*dilation]
    K(i, t) = exp(-1/2 |f(window's middle) - f(i*stride - before + t*dilation)|**2)

    f is the guide: a value with the extents of the input and any number of channels. Its vector at a tap is
    compared with that in the window's middle, which is the tap (kernel - 1) // 2 of each axis. Where the
    guide is the same everywhere, this is a `conv`; where it has edges, the sums keep to their side of them.
    Outside of the input both the input and the guide are 0. Extents become those of a `conv`, and the
    kernels start as a `conv`'s do.

    FLOPs: 2 for each multiply-accumulate, and 1 for each output with a bias; for each tap of each position
    3 for each channel of the guide, and 1 (differences, squares, their sum, a factor and an exponential),
    and 1 for each channel of the input (the product with K). The backward pass keeps the input (where it
    is padded: a padded copy), and for each tap of each position K, the differences in the guide and the
    input times K.

    ```arch
    network Upsampled {
      input depth: [1, 16, 16]
      input image: [3, 32, 32]
      from image
      guide: conv(8, kernel=3, padding=same)
      from depth -> upsample(2)
      pixel_adaptive_conv(16, kernel=5, guide=guide, padding=same) -> relu
      conv(1, kernel=1)
    }
    ```

    Source: Su et al., Pixel-adaptive convolutional neural networks, 2019, equation 3.
    """

    autocast = Autocast.SHORT
    source = '''\
class PixelAdaptiveConvolution(nn.Module):
    """A convolution whose weights fade with the distance of the guide from that in the
    window's middle.

    It takes the samples of every window, of input and guide: the taps are axes after
    those of the positions.
    """

    def __init__(
        self, inputs: int, channels: int, kernel: tuple[int, ...], bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, inputs, *kernel))
        self.bias = nn.Parameter(torch.empty(channels)) if bias else None
        self.kernel = kernel
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, windows: Tensor, guides: Tensor) -> Tensor:
        axes = len(self.kernel)
        middle = guides
        for axis, size in enumerate(self.kernel, axes + 2):
            middle = middle.narrow(axis, (size - 1) // 2, 1)
        near = torch.exp(-0.5 * (guides - middle).square().sum(1)).unsqueeze(axes + 1)
        faded = windows.movedim(1, axes + 1) * near
        y = nn.functional.linear(
            faded.flatten(axes + 1), self.weight.flatten(1), self.bias
        )
        return y.movedim(-1, 1)
'''

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    guide: None = argument(kinds.further_value, "what the weights adapt to: a map as large as the input")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.padding, self.dilation)

    def taps(self, x: Shape) -> Size:
        """The taps of all positions."""
        return prod((*per_axis("kernel", self.kernel, x), *output_size(self.windows(x))))

    def shape(self, x: Shape, guide: Shape) -> Shape:
        check_map(self.kind, x)
        if clash(guide, x):
            expected = f"[{', '.join(map(str, ('_', *x.size)))}]"
            problem = FurtherValueMismatch(self.kind, "guide", str(x), str(guide), (expected,))
            raise Fault(problem, "guide", inputs=(0, 1))
        return Shape((self.channels, *output_size(self.windows(x))))

    def weights(self, x: Shape, guide: Shape) -> dict[str, Shape]:
        weight = Shape((self.channels, x.channels, *per_axis("kernel", self.kernel, x)))
        return {"weight": weight, "bias": Shape((self.channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape, guide: Shape) -> Fans:
        return window_fans(self.channels, x.channels, self.kernel, self.stride, x)

    def buffers(self, x: Shape, guide: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape, guide: Shape) -> Size:
        return self.channels * x.channels * self.taps(x)

    def flops(self, x: Shape, guide: Shape) -> Size:
        biases = self.shape(x, guide).count if self.bias else 0
        return 2 * self.macs(x, guide) + biases + (3 * guide.channels + 1 + x.channels) * self.taps(x)

    def saved(self, x: Shape, guide: Shape) -> Saved:
        found = self.windows(x)
        own = (guide.channels + 1 + x.channels) * self.taps(x)
        return Saved(floats=own + padded_count(x, found)) if pads(found) else Saved(inputs=(0,), floats=own)

    def reads(self, x: Shape, guide: Shape) -> tuple[Reads, ...]:
        found = self.windows(x)
        reads = along_axes(w.stencil() for w in found)
        if all(w.kernel == 1 for w in found):
            # The middle is all there is: K is 1, whatever the guide.
            return reads, read_nowhere(found)
        return reads, reads

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, guide = xs
        return extent_doubts(self.kind, guide, x) + window_doubts(self.kind, self.windows(x))

    def build(self, nn: Code, x: Shape, guide: Shape) -> Code:
        kernel = per_axis("kernel", self.kernel, x)
        return Code("PixelAdaptiveConvolution")(x.channels, self.channels, kernel, **self.chosen("bias"))

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        found = self.windows(xs[0])
        return module(*(slid(torch, value, found) for value in values))


# ------------------------------------------------------------------------------ two values that go together


def clash(a: Shape, b: Shape) -> bool:
    """Whether two values have different extents, or different numbers of axes."""
    return len(a) != len(b) or any(equal(m, n) is False for m, n in zip(a.size, b.size, strict=True))


def channel_doubts(kind: str, a: Shape, channels: Size) -> tuple[Problem, ...]:
    """A warning where it can't be decided whether a value has so many channels."""
    if equal(a.channels, channels) is not None:
        return ()
    return (undecided(kind, f"channels {a.channels} is {channels}", a.channels, channels),)


def extent_doubts(kind: str, a: Shape, b: Shape) -> tuple[Problem, ...]:
    """A warning for each extent of which it can't be decided whether it is that of the other value."""
    return tuple(
        undecided(kind, f"{name} {m} is {n}", m, n)
        for name, m, n in zip(a.axis_names[1:], a.size, b.size, strict=True)
        if equal(m, n) is None
    )


# ------------------------------------------------------------------------------ padding and windows


def pads(found: Iterable[Window]) -> bool:
    """Whether anything is added around the input."""
    return any(side != 0 for w in found for side in (w.before, w.after))


def padded_count(x: Shape, found: Iterable[Window]) -> Size:
    """The elements of a value with its padding."""
    return prod((w.padded for w in found), start=x.channels)


def read_nowhere(found: Iterable[Window]) -> Reads:
    """The stencils of a value that the units of these windows don't read."""
    stencils = [w.stencil() for w in found]
    return along_axes(None if s is None else replace(s, offsets=(range(0),)) for s in stencils)


def with_padding(torch: Code, x: Code, found: tuple[Window, ...]) -> Code:
    """A value with its padding, if there is any."""
    return padded(torch, x, ((w.before, w.after) for w in found)) if pads(found) else x


def slid(torch: Code, x: Code, found: tuple[Window, ...]) -> Code:
    """A view of the samples in all windows: the value's axes, and an axis of taps for each spatial one."""
    x = with_padding(torch, x, found)
    for axis, w in enumerate(found, 2):
        x = x.unfold(axis, w.span, w.stride)
        x = x if w.dilation == 1 else x[..., :: w.dilation]
    return x
