"""Convolutions that another value steers: where they sample, or how far they reach, at each position."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.axes import undecided
from archdsl.layers.convolution import check_groups, group_doubts
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Offsets, Reach, Reads, Stencil, along_axes
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
from archdsl.problems.deformable import GuideMismatch
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, Symbolic, equal

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem


REACH = kinds.Kind(
    "a number above 0, of at most 1,000",
    lambda value: value if kinds.positive_number.check(value) is not None and value <= 1000 else None,
)


class SteeredConvolution(Layer, abstract=True):
    """The base of the convolutions that take further values, with an entry for each output position."""

    autocast = Autocast.SHORT

    channels: Size
    kernel: PerAxis
    stride: PerAxis
    padding: Sides
    dilation: PerAxis
    groups: Size
    bias: bool

    guides: Callable[[Shape], dict[str, tuple[Size, ...]]]
    """The further values by their arguments, in order, with the numbers of channels each may have."""

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.padding, self.dilation)

    def taps(self, x: Shape) -> Size:
        """The number of positions in the kernel."""
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return taps

    def positions(self, x: Shape) -> Size:
        """The number of positions in the output."""
        positions: Size = prod(output_size(self.windows(x)))
        return positions

    def shape(self, x: Shape, *given: Shape) -> Shape:
        check_map(self.kind, x)
        check_groups(x.channels, self.channels, self.groups)
        size = output_size(self.windows(x))
        for number, (name, guide) in enumerate(zip(self.guides(x), given, strict=False), 1):
            self._check(x, name, guide, number, size)
        return Shape((self.channels, *size))

    def _check(self, x: Shape, name: str, guide: Shape, number: int, size: tuple[Size, ...]) -> None:
        """Raise `guide-mismatch` where a further value can't steer this convolution."""
        fitting = self.guides(x)[name]
        extents_fit = guide.axes == x.axes and all(
            equal(n, m) is not False for n, m in zip(guide.size, size, strict=True)
        )
        if extents_fit and any(equal(guide.channels, channels) is not False for channels in fitting):
            return
        expected = tuple(str(Shape((channels, *size))) for channels in fitting)
        channels = tuple(map(str, fitting)) if extents_fit else ()
        problem = GuideMismatch(self.kind, name, str(guide), expected, channels)
        raise Fault(problem, name, inputs=(number,))

    def weights(self, x: Shape, *given: Shape) -> dict[str, Shape]:
        weight = Shape((self.channels, x.channels // self.groups, *per_axis("kernel", self.kernel, x)))
        return {"weight": weight, "bias": Shape((self.channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape, *given: Shape) -> Fans:
        made, taken = self.channels // self.groups, x.channels // self.groups
        return window_fans(made, taken, self.kernel, self.stride, x)

    def buffers(self, x: Shape, *given: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape, *given: Shape) -> Size:
        return self.channels * self.positions(x) * (x.channels // self.groups) * self.taps(x)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, *given = xs
        found = self.windows(x)
        size = output_size(found)
        doubted: list[Problem] = []
        for (name, fitting), guide in zip(self.guides(x).items(), given, strict=False):
            if all(equal(guide.channels, channels) is not True for channels in fitting):
                sizes = (guide.channels, *fitting)
                wanted = " or ".join(map(str, fitting))
                doubted.append(undecided(self.kind, f"{name} has {wanted} channels", *sizes))
            doubted += [
                undecided(self.kind, f"the {axis} of {name}, {n}, is {m}", n, m)
                for axis, n, m in zip(guide.axis_names[1:], guide.size, size, strict=True)
                if equal(n, m) is None
            ]
        return (
            group_doubts(self.kind, x.channels, self.channels, self.groups)
            + window_doubts(self.kind, found)
            + tuple(doubted)
        )

    def geometry(self, x: Shape) -> dict[str, Any]:
        """The arguments of the kernel's geometry as the torch classes of this module take them."""
        found = self.windows(x)
        named: dict[str, Any] = {"kernel": tuple(w.kernel for w in found)}
        if any(w.stride != 1 for w in found):
            named["stride"] = tuple(w.stride for w in found)
        if any(isinstance(w.before, Symbolic) for w in found):
            named["padding"] = "same"
        elif any(w.before or w.after for w in found):
            named["padding"] = tuple((w.before, w.after) for w in found)
        if any(w.dilation != 1 for w in found):
            named["dilation"] = tuple(w.dilation for w in found)
        if self.groups != 1:
            named["groups"] = self.groups
        if not self.bias:
            named["bias"] = False
        return named

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(*values)


class DeformableConv(SteeredConvolution):
    """Deformable convolution: a convolution whose taps another value moves, at each position.

    y[c, i] = bias[c] + sum over channels a of c's group and taps t of
    weight[c, a, t] * mask[t, i] * x(a, i*stride - before + t*dilation + offsets[t, i])

    x(a, p) at a place p between samples is interpolated linearly along every axis, with zeros outside of
    the map. `offsets` is a value of the output's extents with one channel for each tap and axis: for every
    tap in turn (the last axis fastest) its offset along each axis, the height before the width, in samples.
    `mask` (optional) has a channel for each tap; a sigmoid keeps it between 0 and 1. Dai et al. let the
    convolution that makes the offsets start with weights of zero.

    The extents of the output are those of `conv`. Without `reach` a unit may read any position, and no
    receptive field is claimed; with it, offsets are cut to -reach to reach samples (no gradient passes
    where they are cut), so a tap reads no further than reach, rounded up, beyond its place in the kernel.

    FLOPs: 2 for each multiply-accumulate, and 1 for each output with a bias. For each tap at each output
    position and d axes: 3*d for the place and its distances to both neighbours (5*d with `reach`),
    2^d * (d - 1) for the weights of 2^d neighbours, and for every input channel 2^(d + 1) - 1 for the
    interpolation (2^(d + 1) with a mask). The backward pass keeps the input, the places and the samples
    taken there (before and after the mask, if there is one, and the mask), and with `reach` the offsets.

    ```arch
    network Small {
      input image: [8, 16, 16]
      moves: conv(18, kernel=3, padding=1)
      strength: { from image -> conv(9, kernel=3, padding=1) -> sigmoid }
      from image -> deformable_conv(16, kernel=3, offsets=moves, mask=strength, padding=1, reach=2)
    }
    ```

    Source: Dai et al., Deformable convolutional networks, 2017, equations 1 to 4; the mask: Zhu et al.,
    Deformable ConvNets v2, 2019, equation 1. torchvision.ops.deform_conv2d has the same order of offsets.
    """

    source = '''\
class DeformableConvolution(nn.Module):
    """A convolution whose taps are moved by offsets, and weighted by a mask."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        padding: tuple[tuple[int, int], ...] | str | None = None,
        dilation: tuple[int, ...] | None = None,
        groups: int = 1,
        bias: bool = True,
        reach: float | None = None,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride or (1,) * len(kernel)
        self.padding = padding or ((0, 0),) * len(kernel)
        self.dilation = dilation or (1,) * len(kernel)
        self.groups = groups
        self.reach = reach
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, *kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, offsets: Tensor, mask: Tensor | None = None) -> Tensor:
        axes, size = len(self.kernel), offsets.shape[2:]
        taps = self.weight[0, 0].numel()
        # Places in half precision would be samples apart.
        kind = torch.promote_types(offsets.dtype, torch.float32)
        offsets = offsets.to(kind)
        if self.reach is not None:
            offsets = offsets.clamp(-self.reach, self.reach)
        offsets = offsets.reshape(x.shape[0], taps, axes, *size)
        tap = torch.arange(taps, device=x.device)
        places: list[Tensor] = []
        for axis in reversed(range(axes)):
            kernel, dilation = self.kernel[axis], self.dilation[axis]
            ones = (1,) * (axes - 1 - axis)
            start = torch.arange(size[axis], device=x.device) * self.stride[axis]
            start = start.view(-1, *ones) - self.before(
                axis, x.shape[axis + 2], size[axis]
            )
            along = tap.view(-1, *(1,) * axes) % kernel * dilation + start
            place = along.to(kind) + offsets[:, :, axis]
            places.append((2 * place + 1) / x.shape[axis + 2] - 1)
            tap = tap // kernel
        if axes == 1:
            # torch samples images and volumes.
            x = x.unsqueeze(2)
            places.append(torch.zeros_like(places[0]))
        grid = torch.stack(places, -1)
        if axes > 1:
            grid = grid.flatten(1, 2)
        samples = nn.functional.grid_sample(x.to(kind), grid, align_corners=False)
        samples = samples.to(self.weight.dtype).reshape(x.shape[0], -1, taps, *size)
        if mask is not None:
            samples = samples * mask.unsqueeze(1)
        samples = samples.flatten(1, 2)
        weight = self.weight.reshape(len(self.weight), -1, *(1,) * axes)
        convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[
            axes - 1
        ]
        return convolve(samples, weight, self.bias, groups=self.groups)

    def before(self, axis: int, extent: int, units: int) -> int:
        """The padding before the first sample of an axis."""
        if not isinstance(self.padding, str):
            return self.padding[axis][0]
        span = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return max((units - 1) * self.stride[axis] + span - extent, 0) // 2
'''

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    offsets: None = argument(kinds.further_value, "the value that moves the taps")
    mask: None = argument(kinds.further_value, "the value that weights the taps", None)
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)
    reach: float | None = argument(REACH, "the largest offset, in samples", None)

    def guides(self, x: Shape) -> dict[str, tuple[Size, ...]]:
        return {"offsets": (x.axes * self.taps(x),), "mask": (self.taps(x),)}

    def flops(self, x: Shape, offsets: Shape, mask: Shape | None = None) -> Size:
        d, neighbours = x.axes, 1 << x.axes
        each = d * (3 if self.reach is None else 5) + neighbours * (d - 1)
        sampled = x.channels * (2 * neighbours - 1 + (mask is not None))
        at_taps = self.positions(x) * self.taps(x) * (each + sampled)
        return 2 * self.macs(x) + at_taps + (self.shape(x).count if self.bias else 0)

    def saved(self, x: Shape, offsets: Shape, mask: Shape | None = None) -> Saved:
        at_taps = self.positions(x) * self.taps(x)
        inputs = (0,) + ((1,) if self.reach is not None else ()) + ((2,) if mask is not None else ())
        samples = x.channels * (1 if mask is None else 2)
        return Saved(inputs=inputs, floats=at_taps * (samples + max(x.axes, 2)))

    def reads(self, x: Shape, *given: Shape) -> tuple[Reads, ...]:
        points = (Reach.POINT,) * len(given)
        if self.reach is None:
            return (Reach.CHOSEN, *points)
        return (along_axes(_widened(w.stencil(), ceil(self.reach)) for w in self.windows(x)), *points)

    def build(self, nn: Code, x: Shape, *given: Shape) -> Code:
        named = self.geometry(x)
        if self.reach is not None:
            named["reach"] = self.reach
        return Code("DeformableConvolution")(x.channels, self.channels, **named)


class ContextDeformableConv(SteeredConvolution):
    """Context-deformable convolution: at each position the kernel is weighted by a Gaussian of its own width.

    y[c, i] = bias[c] + sum over channels a of c's group and taps t of
    weight[c, a, t] * exp(-r(t)^2 / (2 (sigma[i]^2 + eps))) * x[a, i*stride - before + t*dilation]

    r(t) is the distance of the tap from the centre of the kernel, in samples. `sigma` is a value of the
    output's extents, such as a convolution of a depth map: its one channel is the standard deviation of
    the Gaussian, or it has one for each axis (height, then width) and r(t)^2 / (2 sigma^2) is summed over
    the axes. Where sigma is 0 the centre alone is left; where it is large the layer is `conv`. Its sign
    doesn't count, and a `softplus` before it keeps it above 0. The extents are those of `conv`. The
    kernels start as those of `conv`.

    This is the convolution of the paper, whose filter is multiplied by a learned Gaussian at each pixel.
    The paper's variational Bayesian training of the widths and its perspective-aware guidance module are
    left out; what makes sigma is for the file to say. A peak of 1, distances in samples and `eps` are
    choices of this language, made from the paper's abstract and not held against its equations.

    FLOPs: 2 for each multiply-accumulate, and 1 for each output with a bias. For each tap at each output
    position 1 multiplication an input channel, 1 exponential, and 1 multiplication and (but for the first)
    1 addition a channel of sigma; and 3 for each element of sigma. The backward pass keeps sigma, the
    input (if it is padded, the padded copy), the Gaussians, their precisions, a table of distances, and the
    weighted windows.

    ```arch
    network Small {
      input image: [3, 16, 16]
      input depth: [1, 16, 16]
      width: { from depth -> conv(1, kernel=3, padding=1) -> softplus }
      from image -> context_deformable_conv(16, kernel=5, sigma=width, padding=2) -> relu
    }
    ```

    Source: Xiong et al., Variational context-deformable ConvNets for indoor scene parsing, 2020.
    """

    source = '''\
class ContextDeformableConvolution(nn.Module):
    """A convolution whose kernel is multiplied by a Gaussian, which is as wide as
    `sigma` says.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        padding: tuple[tuple[int, int], ...] | str | None = None,
        dilation: tuple[int, ...] | None = None,
        groups: int = 1,
        bias: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride or (1,) * len(kernel)
        self.padding = padding or ((0, 0),) * len(kernel)
        self.dilation = dilation or (1,) * len(kernel)
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, *kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        axes, size = len(self.kernel), sigma.shape[2:]
        ones = (1,) * axes
        gaussian = self.exponents(sigma).exp()
        sides = [
            side for axis in reversed(range(axes)) for side in self.sides(axis, x, size)
        ]
        windows = nn.functional.pad(x, sides) if any(sides) else x
        for axis in range(axes):
            span = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            windows = windows.unfold(axis + 2, span, self.stride[axis])[
                ..., :: self.dilation[axis]
            ]
        order = (*range(axes + 2, 2 * axes + 2), *range(2, axes + 2))
        windows = windows.permute(0, 1, *order) * gaussian.unsqueeze(1)
        weight = self.weight.reshape(len(self.weight), -1, *ones)
        convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[
            axes - 1
        ]
        return convolve(
            windows.flatten(1, axes + 1), weight, self.bias, groups=self.groups
        )

    def exponents(self, sigma: Tensor) -> Tensor:
        """The logarithm of the Gaussian: the batch, the taps along each axis, the
        positions.
        """
        axes = len(self.kernel)
        squares: list[Tensor] = []
        for axis, (kernel, dilation) in enumerate(
            zip(self.kernel, self.dilation, strict=True)
        ):
            tap = torch.arange(kernel, device=sigma.device, dtype=sigma.dtype)
            square = ((tap - (kernel - 1) / 2) * dilation).square()
            shape = [1] * axes
            shape[axis] = kernel
            squares.append(square.view(shape).expand(self.kernel))
        distances = torch.stack(squares)
        if sigma.shape[1] == 1:
            distances = distances.sum(0, keepdim=True)
        ones = (1,) * axes
        precision = (sigma.square() + self.eps).reciprocal()
        precision = precision.view(*precision.shape[:2], *ones, *precision.shape[2:])
        return (precision * (-0.5 * distances).view(*distances.shape, *ones)).sum(1)

    def sides(self, axis: int, x: Tensor, size: tuple[int, ...]) -> tuple[int, int]:
        """The padding before and after an axis."""
        if not isinstance(self.padding, str):
            return self.padding[axis]
        span = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        missing = max(
            (size[axis] - 1) * self.stride[axis] + span - x.shape[axis + 2], 0
        )
        return missing // 2, missing - missing // 2
'''

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    sigma: None = argument(kinds.further_value, "the value that has the standard deviations, in samples")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    dilation: PerAxis = argument(kinds.extent, "distance between two taps of the kernel", 1)
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)
    eps: float = argument(kinds.positive_number, "what is added to the variance", 1e-6)

    def guides(self, x: Shape) -> dict[str, tuple[Size, ...]]:
        return {"sigma": (1,) if x.axes == 1 else (1, x.axes)}

    def flops(self, x: Shape, sigma: Shape) -> Size:
        at_taps = self.positions(x) * self.taps(x) * (x.channels + 2 * sigma.channels)
        return 2 * self.macs(x) + at_taps + 3 * sigma.count + (self.shape(x).count if self.bias else 0)

    def saved(self, x: Shape, sigma: Shape) -> Saved:
        found = self.windows(x)
        at_taps = self.positions(x) * self.taps(x)
        own = at_taps * (x.channels + 1) + sigma.count
        once = sigma.channels * self.taps(x)
        if all(equal(w.padded, w.extent) is True for w in found):
            return Saved(inputs=(0, 1), floats=own, floats_once=once)
        padded: Size = x.channels * prod(w.padded for w in found)
        return Saved(inputs=(1,), floats=own + padded, floats_once=once)

    def reads(self, x: Shape, sigma: Shape) -> tuple[Reads, ...]:
        return (along_axes(w.stencil() for w in self.windows(x)), Reach.POINT)

    def build(self, nn: Code, x: Shape, sigma: Shape) -> Code:
        return Code("ContextDeformableConvolution")(
            x.channels, self.channels, **self.geometry(x), **self.chosen("eps")
        )


def _widened(stencil: Stencil | None, by: int) -> Stencil | None:
    """The stencil of a window each of whose taps may be moved by so many samples to either side."""
    if stencil is None:
        return None
    (taps,) = stencil.offsets
    apart = taps[1] - taps[0] if len(taps) > 1 else 1
    reached: Offsets = range(taps[0] - by, taps[-1] + by + 1)
    if apart > 2 * by + 1 and len(taps) * (2 * by + 1) <= MOST_PHASES:
        reached = tuple(tap + moved for tap in taps for moved in range(-by, by + 1))
    return Stencil(stencil.step_in, stencil.step_out, (reached,), at_most=True)
