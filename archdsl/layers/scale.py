"""A convolution that answers alike to patterns of several sizes."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, lcm, prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import Kind, argument
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.resampling import FINEST_SCALE
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MAX_PERIOD, Offsets, Reads, Stencil, along_axes
from archdsl.layers.windows import (
    PerAxis,
    Sides,
    Window,
    check_map,
    depends,
    needs,
    output_size,
    per_axis,
    per_side,
    symmetric,
    window_fans,
    windows,
)
from archdsl.problems.layers import EmptyOutput
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, Symbolic, at_least

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

INDEX_BYTES = 8
"""Indices are int64."""


MOST = 64
"""The largest scale; the smallest is one by it."""


def _scales(value: Any) -> Any:
    if not isinstance(value, tuple) or 1 not in value:
        return None
    checked = tuple(kinds.positive_number.check(scale) for scale in value)
    if None in checked or len(set(checked)) < len(checked):
        return None
    return checked if all(1 / MOST <= scale <= MOST for scale in checked) else None


class ScaleInvariantConv(Layer):
    """Scale-invariant convolution: one kernel, applied to the input at several scales; the largest is kept.

    y = max over scales s of back_s(bias + weight * resized_s(x))

    along one, two or three axes. For each scale

    1. the input is resized linearly: an extent n becomes floor(n*s), and sample i lies at the input's
       position (i + 1/2)/s - 1/2, outside of which the outermost samples are repeated;
    2. it is convolved, as `conv` does it, with the same kernel, bias, stride and padding at every scale;
    3. the responses are resized back linearly onto the units of the convolution at scale 1: a unit takes
       the response at its own window's centre. Where the resized input has no response within half a unit
       of it, the scale does not take part.

    Then the largest response is kept for each channel and position, so the extents are those of `conv`. A
    scale above 1 makes the input larger, and so finds patterns that are smaller than the kernel; 1 has to be
    among the scales. A pattern that grows by the ratio of two of the scales is found again at another scale.
    As there are finitely many, nothing is claimed for changes of scale at large. The answer moves along with
    the input for shifts by multiples of the scales' common denominator (and of the stride).

    FLOPs: 2 for each multiply-accumulate, over all scales, and 1 for each response with a bias; 3 for each
    number that is interpolated, axis by axis, on the way there and back; scales - 1 comparisons for each
    output. The backward pass keeps the input at every scale, which response was the largest (8 bytes an
    output), and for each resized axis two indices and a weight for every unit, once for a batch.

    ```arch
    network Small {
      input image: [1, 28, 28]
      scale_invariant_conv(36, kernel=7, scales=[0.5, 0.75, 1, 1.5, 2]) -> relu -> max_pool(2)
      scale_invariant_conv(64, kernel=5, scales=[0.5, 1, 2], padding=same) -> relu
      flatten -> linear(10)
    }
    ```

    Source: Kanazawa, Sharma and Jacobs, Locally scale-invariant convolutional neural networks, 2014,
    section 3, whose six scales are powers of 2**(1/3).
    """

    autocast = Autocast.SHORT
    source = '''\
def places(x: Tensor, start: float, step: float, count: int) -> Tensor:
    """The places start + j * step along an axis, at the precision of x or a finer
    one.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    return start + step * torch.arange(count, dtype=exact, device=x.device)


def resample(x: Tensor, axis: int, place: Tensor) -> Tensor:
    """Interpolates linearly at places along an axis, outside of which its ends are
    repeated.
    """
    last = x.shape[axis] - 1
    inside = place.clamp(0, last)
    low = inside.floor().long()
    weight = (inside - low).to(x.dtype).view([-1] + [1] * (x.dim() - 1 - axis))
    return torch.lerp(
        x.index_select(axis, low),
        x.index_select(axis, (low + 1).clamp(max=last)),
        weight,
    )


class ScaleInvariantConv(nn.Module):
    """Convolves the input at several scales, brings the responses back, and keeps
    the largest.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: tuple[int, ...],
        scales: tuple[float, ...],
        stride: tuple[int, ...],
        padding: tuple[tuple[int, int], ...] | str,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.scales, self.stride, self.padding = (
            kernel,
            scales,
            stride,
            padding,
        )
        self.weight = nn.Parameter(torch.empty(channels, inputs, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        bound = self.weight[0].numel() ** -0.5
        self.bias = (
            nn.Parameter(torch.empty(channels).uniform_(-bound, bound))
            if bias
            else None
        )

    def sides(self, x: Tensor) -> list[tuple[int, int]]:
        """What is added before and after, on each axis."""
        if not isinstance(self.padding, str):
            return list(self.padding)
        spans = zip(x.shape[2:], self.kernel, self.stride, strict=True)
        total = [
            max((-(-extent // step) - 1) * step + span - extent, 0)
            for extent, span, step in spans
        ]
        return [(added // 2, added - added // 2) for added in total]

    def convolve(self, x: Tensor) -> Tensor:
        sides = self.sides(x)
        if any(before != after for before, after in sides):
            x = F.pad(x, [side for pair in reversed(sides) for side in pair])
            sides = [(0, 0)] * len(sides)
        convolution = (F.conv1d, F.conv2d, F.conv3d)[len(sides) - 1]
        return convolution(
            x, self.weight, self.bias, self.stride, [before for before, _ in sides]
        )

    def forward(self, x: Tensor) -> Tensor:
        responses = [self.convolve(x)]
        for scale in self.scales:
            if scale == 1:
                continue
            resized = x
            for axis, extent in enumerate(x.shape[2:], 2):
                place = places(
                    x, (1 / scale - 1) / 2, 1 / scale, int(extent * scale + 1e-6)
                )
                resized = resample(resized, axis, place)
            response = y = self.convolve(resized)
            missing = []
            for axis, ((before, _), (added, _)) in enumerate(
                zip(self.sides(x), self.sides(resized), strict=True)
            ):
                half, count = self.kernel[axis] / 2, responses[0].shape[axis + 2]
                place = places(
                    x,
                    (scale * (half - before) - half + added) / self.stride[axis],
                    scale,
                    count,
                )
                y = resample(y, axis + 2, place)
                outside = (place < -0.5001) | (
                    place > response.shape[axis + 2] - 0.4999
                )
                none = y.new_zeros(count).masked_fill(outside, float("-inf"))
                missing.append(none.view([-1] + [1] * (x.dim() - 3 - axis)))
            for none in missing:
                y = y + none
            responses.append(y)
        return torch.stack(responses).max(dim=0).values
'''

    channels: Size = argument(kinds.positive, "number of output channels")
    kernel: PerAxis = argument(kinds.extent, "extent of the kernel")
    scales: tuple[float, ...] = argument(
        Kind(f"a list of different numbers from 1/{MOST} to {MOST}, 1 among them", _scales),
        "scales of the input",
    )
    stride: PerAxis = argument(kinds.extent, "step of the window, in samples", 1)
    padding: Sides = argument(kinds.padding, "zeros that are added around the input, at every scale", 0)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)

    @property
    def others(self) -> tuple[Fraction, ...]:
        """The scales but for 1."""
        return tuple(Fraction(s).limit_denominator(FINEST_SCALE) for s in self.scales if s != 1)

    def resized(self, x: Shape) -> tuple[Shape, ...]:
        """The input at the scales but for 1."""
        return tuple(
            Shape((x.channels, *(n * scale.numerator // scale.denominator for n in x.size)))
            for scale in self.others
        )

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each axis of one scale."""
        return windows(x, self.kernel, self.stride, self.padding)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        size = output_size(self.windows(x))
        for resized in self.resized(x):
            if any(at_least(extent, 1) is False for extent in resized.size):
                raise Fault(EmptyOutput(self.kind, str(x), resized.size), "scales")
            try:
                output_size(self.windows(resized))
            except Fault as fault:
                # It fits the input, so the scale is what is wrong.
                raise Fault(fault.problem, "scales") from None
        return Shape((self.channels, *size))

    def weights(self, x: Shape) -> dict[str, Shape]:
        weight = Shape((self.channels, x.channels, *per_axis("kernel", self.kernel, x)))
        return {"weight": weight, "bias": Shape((self.channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape) -> Fans:
        return window_fans(self.channels, x.channels, self.kernel, self.stride, x)

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def responses(self, x: Shape) -> tuple[Shape, ...]:
        """What the convolution makes at each scale, 1 first."""
        return tuple(
            Shape((self.channels, *output_size(self.windows(resized)))) for resized in (x, *self.resized(x))
        )

    def macs(self, x: Shape) -> Size:
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return sum((response.count for response in self.responses(x)), 0) * x.channels * taps

    def flops(self, x: Shape) -> Size:
        first, *others = self.responses(x)
        total = 2 * self.macs(x) + len(others) * first.count
        if self.bias:
            total += sum((response.count for response in others), first.count)
        for resized, response in zip(self.resized(x), others, strict=True):
            total += 3 * (_interpolated(x, resized) + _interpolated(response, first))
        return total

    def saved(self, x: Shape) -> Saved:
        y = self.shape(x)
        own = self.windows(x)
        plain = symmetric((w.before, w.after) for w in own)
        floats: Size = 0 if plain else x.channels * prod(w.padded for w in own)
        indices: Size = 0
        for resized in self.resized(x):
            found = self.windows(resized)
            alike = symmetric((w.before, w.after) for w in found)
            floats += resized.count if alike else x.channels * prod(w.padded for w in found)
            indices += sum(resized.size, 0) + sum(y.size, 0)
        return Saved(
            inputs=(0,) if plain else (),
            floats=floats,
            floats_once=indices,
            once=2 * INDEX_BYTES * indices,
            extra=INDEX_BYTES * y.count,
        )

    def axis_stencils(self, x: Shape) -> tuple[Stencil | None, ...]:
        """The stencil of each axis, None where it can't be given."""
        found = zip(*(self.windows(each) for each in (x, *self.resized(x))), strict=True)
        return tuple(_union((Fraction(1), *self.others), of_scales) for of_scales in found)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(self.axis_stencils(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        resized = self.resized(x)
        axes = tuple(zip(*(self.windows(each) for each in (x, *resized)), strict=True))
        conditions: list[tuple[Size, Size]] = [(extent, 1) for each in resized for extent in each.size]
        # Of `same`, whose padding follows from the extent, a window always fits.
        conditions += [
            (w.extent, w.span - w.before - w.after)
            for found in axes
            for w in found
            if not isinstance(w.before, Symbolic)
        ]
        unknown = [
            size
            for stencil, found in zip(self.axis_stencils(x), axes, strict=True)
            if stencil is None
            for w in found
            for size in (w.kernel, w.stride, w.before)
        ]
        return needs(self.kind, conditions) + depends(self.kind, unknown, "its receptive field is not given")

    def build(self, nn: Code, x: Shape) -> Code:
        kernel, stride = (per_axis(name, self.values[name], x) for name in ("kernel", "stride"))
        padding = "same" if self.padding == "same" else per_side("padding", self.padding, x)
        named = {} if self.bias else {"bias": False}
        make = Code("ScaleInvariantConv")
        return make(x.channels, self.channels, kernel, self.scales, stride, padding, **named)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


def _interpolated(x: Shape, y: Shape) -> Size:
    """How many numbers are made where the extents of x become those of y, the first axis first."""
    total: Size = 0
    for axis in range(1, len(x)):
        total += prod((x.channels, *y[1 : axis + 1], *x[axis + 1 :]))
    return total


@lru_cache(maxsize=256)
def _union(scales: tuple[Fraction, ...], found: tuple[Window, ...]) -> Stencil | None:
    """What a unit reads along an axis at most, over all scales; the first is 1.

    A sample of the resized input stands for all that it covers of the input: so a window that reaches
    outside of the one reaches outside of the other. None where a size has no number, or units repeat after
    more than `MAX_PERIOD`.
    """
    kernel, stride, before = found[0].kernel, found[0].stride, found[0].before
    paddings = [w.before for w in found if isinstance(w.before, int)]
    if not (isinstance(kernel, int) and isinstance(stride, int) and isinstance(before, int)):
        return None
    if len(paddings) < len(found):
        return None
    period = lcm(*(scale.denominator for scale in scales))
    if period > MAX_PERIOD:
        return None
    middle, half = Fraction(kernel, 2), Fraction(1, 2)
    phases: list[Offsets] = []
    for unit in range(period):
        low, high = unit * stride - before, unit * stride - before + kernel - 1
        for scale, added in zip(scales[1:], paddings[1:], strict=True):
            response = (scale * (unit * stride + middle - before) - middle + added) / stride
            first = floor(response) * stride - added
            last = ceil(response) * stride - added + kernel - 1
            low = min(low, floor((first + half) / scale - half), floor(first / scale))
            high = max(high, ceil((last + half) / scale - half), ceil((last + 1) / scale) - 1)
        phases.append(range(low, high + 1))
    return Stencil(stride * period, period, tuple(phases), at_most=True)
