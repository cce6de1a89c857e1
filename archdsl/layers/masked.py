"""Convolutions of values that are known at some positions only, as a mask says."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.convolution import check_groups, group_doubts
from archdsl.layers.dynamic import (
    channel_doubts,
    clash,
    extent_doubts,
    padded_count,
    pads,
    read_nowhere,
    with_padding,
)
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads, along_axes
from archdsl.layers.windows import (
    PerAxis,
    Sides,
    Window,
    check_map,
    output_size,
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


class PartialConv(Layer):
    """Partial convolution: a convolution over the samples that a mask marks as known.

    y[c, i] = r(i) * (sum over channels a of c's group and taps t of
    weight[c, a, t] * x[a, p] * mask[a, p]) + bias[c]   where the window has a known sample, else 0

    p = i*stride - before + t*dilation, and r(i) is the size of the window divided by the sum of the mask
    over it. There are two results: y, and the new mask, which is 1 where the window has a known sample and
    0 elsewhere. Holes so become smaller from layer to layer.

    The mask holds 1 where there is data and 0 where there is none; what is between them weighs the samples.
    With one channel it holds for all channels of the input, the window's size is its number of taps, and
    the new mask has one channel. With as many channels as the input it marks each channel for itself, the
    window's size is taps times channels of a group, and the new mask has as many channels as y. Padding
    counts as a hole: windows at the border are scaled up for it, even where the whole input is known. No
    gradient flows into the mask.

    Extents become those of a `conv`. The kernels start as He et al., 2015, draw them, the biases at 0.

    FLOPs: 2 for each multiply-accumulate; 1 for each element of the input (the mask's product); for each
    window of the mask, as many operations as it has samples, and 1 more (a sum, a comparison and a
    division); and for each output 1, and 1 more with a bias. The backward pass keeps the mask, the masked
    input, and for each window of the mask r and a byte that says whether it has a known sample.

    ```arch
    network Inpainting {
      input image: [3, 64, 64]
      input known: [1, 64, 64]
      from image
      coarse, coarse_known: partial_conv(16, kernel=7, mask=known, stride=2, padding=3)
      from coarse -> relu
      filled, _: partial_conv(32, kernel=5, mask=coarse_known, stride=2, padding=2)
      from filled -> relu -> upsample(4) -> conv(3, kernel=3, padding=same)
    }
    ```

    Source: Liu et al., Image inpainting for irregular holes using partial convolutions, 2018, equations 1
    and 2; padding as in Liu et al., Partial convolution based padding, 2018.
    """

    autocast = Autocast.SHORT
    source = '''\
class PartialConvolution(nn.Module):
    """A convolution over the samples that a mask marks as known; it gives a new mask
    beside its output.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int = 1,
        bias: bool = True,
        mask_channels: int = 1,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, inputs // groups, *kernel))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.kernel, self.stride, self.dilation, self.groups = (
            kernel,
            stride,
            dilation,
            groups,
        )
        self.per_channel = mask_channels > 1
        self.samples = (
            self.weight[0].numel() if self.per_channel else self.weight[0, 0].numel()
        )
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = mask.detach()
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.kernel) - 1]
        y = convolve(
            x * mask,
            self.weight,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )
        parts = self.groups if self.per_channel else 1
        count = mask.unflatten(1, (parts, -1)).sum(2)
        for axis, size in enumerate(self.kernel):
            apart = self.dilation[axis]
            windows = count.unfold(axis + 2, (size - 1) * apart + 1, self.stride[axis])
            count = windows[..., ::apart].sum(-1)
        known = (count > 0).unsqueeze(2)
        ratio = torch.where(known, self.samples / count.unsqueeze(2), 0.0)
        y = y.unflatten(1, (parts, -1)) * ratio
        if self.bias is not None:
            y = y + self.bias.reshape(parts, -1, *(1 for _ in self.kernel))
        y = torch.where(known, y, 0.0)
        if self.per_channel:
            known = known.expand_as(y)
        return y.flatten(1, 2), known.flatten(1, 2).to(y.dtype)
'''

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    mask: None = argument(kinds.further_value, "what is known of the input: of 1 channel, or as many")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input, as holes", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.padding, self.dilation)

    def shape(self, x: Shape, mask: Shape) -> tuple[Shape, Shape]:
        check_map(self.kind, x)
        channels_fit = mask.channels == 1 or equal(mask.channels, x.channels) is not False
        if not channels_fit or clash(mask, x):
            expected = dict.fromkeys(str(Shape((channels, *x.size))) for channels in (1, x.channels))
            problem = FurtherValueMismatch(self.kind, "mask", str(x), str(mask), tuple(expected))
            raise Fault(problem, "mask", inputs=(0, 1))
        check_groups(x.channels, self.channels, self.groups)
        size = output_size(self.windows(x))
        known: Size = 1 if mask.channels == 1 else self.channels
        return Shape((self.channels, *size)), Shape((known, *size))

    def weights(self, x: Shape, mask: Shape) -> dict[str, Shape]:
        kernel = per_axis("kernel", self.kernel, x)
        weight = Shape((self.channels, x.channels // self.groups, *kernel))
        return {"weight": weight, "bias": Shape((self.channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape, mask: Shape) -> Fans:
        made, taken = self.channels // self.groups, x.channels // self.groups
        return window_fans(made, taken, self.kernel, self.stride, x)

    def buffers(self, x: Shape, mask: Shape) -> dict[str, Buffer]:
        return {}

    def taps(self, x: Shape) -> Size:
        """The positions of a window."""
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return taps

    def counted(self, x: Shape, mask: Shape) -> tuple[Size, Size]:
        """How many windows of the mask are summed, and how many samples each has."""
        positions: Size = prod(output_size(self.windows(x)))
        if mask.channels == 1:
            return positions, self.taps(x)
        return positions * self.groups, mask.channels // self.groups * self.taps(x)

    def macs(self, x: Shape, mask: Shape) -> Size:
        return self.shape(x, mask)[0].count * (x.channels // self.groups) * self.taps(x)

    def flops(self, x: Shape, mask: Shape) -> Size:
        sums, samples = self.counted(x, mask)
        outputs = self.shape(x, mask)[0].count * (2 if self.bias else 1)
        return 2 * self.macs(x, mask) + x.count + sums * (samples + 1) + outputs

    def saved(self, x: Shape, mask: Shape) -> Saved:
        sums, _ = self.counted(x, mask)
        found = self.windows(x)
        if pads(found):
            both = padded_count(x, found) + padded_count(mask, found)
            return Saved(floats=both + sums, extra=sums)
        return Saved(inputs=(1,), floats=x.count + sums, extra=sums)

    def reads(self, x: Shape, mask: Shape) -> tuple[Reads, ...]:
        reads = along_axes(w.stencil() for w in self.windows(x))
        return reads, reads

    def reads_of(self, result: int, *xs: Shape) -> tuple[Reads, ...]:
        """The new mask reads the mask alone."""
        reads, of_mask = self.reads(*xs)
        return (read_nowhere(self.windows(xs[0])) if result else reads), of_mask

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, mask = xs
        of_channels = () if mask.channels == 1 else channel_doubts(self.kind, mask, x.channels)
        return (
            of_channels
            + extent_doubts(self.kind, mask, x)
            + group_doubts(self.kind, x.channels, self.channels, self.groups)
            + window_doubts(self.kind, self.windows(x))
        )

    def build(self, nn: Code, x: Shape, mask: Shape) -> Code:
        found = self.windows(x)
        named = self.chosen("groups", "bias")
        if mask.channels != 1:
            named["mask_channels"] = mask.channels
        return Code("PartialConvolution")(
            x.channels,
            self.channels,
            tuple(w.kernel for w in found),
            tuple(w.stride for w in found),
            tuple(w.dilation for w in found),
            **named,
        )

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        found = self.windows(xs[0])
        return module(*(with_padding(torch, value, found) for value in values))
