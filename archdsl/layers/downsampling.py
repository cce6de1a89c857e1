"""Downsampling that is not one of the usual poolings: by dropping, after a blur, and with chance."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from math import comb, prod
from typing import Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import SameAs, argument
from archdsl.layers.convolution import PADDING_MODES
from archdsl.layers.layer import Autocast, Buffer, Saved, Weightless
from archdsl.layers.linear_map import LinearMap, number, once, window_taps
from archdsl.layers.pooling import INDEX_BYTES, Pooling
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads, along_axes
from archdsl.layers.symmetry import LINEAR, Fibre, Motion, kept_by_windows
from archdsl.layers.windows import (
    Pair,
    PerAxis,
    Window,
    check_map,
    check_mode,
    needs,
    output_size,
    padded,
    per_axis,
    per_side,
    window_doubts,
    windows,
)
from archdsl.problems.problem import Problem
from archdsl.sizes import Size

Amounts = Size | tuple[Size | Pair, ...]
"""A padding that is not `same`."""

AMOUNTS = kinds.Kind(
    "a whole number of at least 0, a list with one an axis, or a list of pairs `[[before, after], ...]`",
    lambda value: None if value == "same" else kinds.padding.check(value),
)


class Subsample(Weightless):
    """Subsampling: every stride-th sample along each axis is kept, and all others are dropped.

    y[c, i] = x[c, i*stride]

    The first sample is always kept, so that an extent n becomes n/stride, rounded up. What varies faster
    than every second kept sample comes out as something slow (aliasing): `blur_pool` takes it away
    first.

    FLOPs: none, values are only moved. The backward pass keeps nothing.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> subsample(2)
      conv(32, kernel=3, padding=1) -> relu -> subsample([2, 4])
    }
    ```

    Source: Prince, Understanding deep learning, 2023, section 10.4.1. In torch, x[..., ::2, ::2].
    """

    stride: PerAxis = argument(kinds.extent, "distance from one kept sample to the next")

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window of one sample for each spatial axis."""
        return windows(x, 1, self.stride)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        return Shape((x.channels, *output_size(self.windows(x))))

    def flops(self, x: Shape) -> Size:
        return 0

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(w.stencil() for w in self.windows(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        return window_doubts(self.kind, self.windows(x))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept_by_windows(motion, fibres, LINEAR)

    def linear_map(self, x: Shape) -> LinearMap:
        kept = (window_taps(1, w.stride, 0, fixed=once) for w in self.windows(x))
        return LinearMap(tuple(kept), x.channels)

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        steps = (None if stride == 1 else stride for stride in per_axis("stride", self.stride, xs[0]))
        return values[0][(Ellipsis, *(slice(None, None, step) for step in steps))]


class BlurPool(Weightless):
    """Blur pooling: each channel is smoothed with a fixed binomial filter, and then subsampled.

    y[c, i] = sum over taps t of filter[t] * x[c, i*stride - before + t]

    along an axis filter[t] = binomial(kernel - 1, t) / 2**(kernel - 1): [1, 2, 1]/4 for a kernel of 3,
    [1, 3, 3, 1]/8 for 4; along several axes it is the product of theirs. Its sum is 1, and a kernel of 1
    is `subsample`. It takes the place of a stride: `max_pool(2, stride=1) -> blur_pool`, or a
    convolution of stride 1, its activation, and `blur_pool`.

    Unless `padding` is given, (kernel - 1)//2 samples are added before and kernel//2 after, so that the
    extent n becomes n/stride, rounded up, whatever the kernel; in general it becomes
    (n + before + after - kernel) // stride + 1. Reflection, which is how the padding is filled unless
    `padding_mode` says otherwise, needs more samples than it adds.

    Nothing is learned. The filter is a buffer, once for every channel, so it is counted among the buffers
    and stands in checkpoints, as in those of the paper's authors. Since it multiplies, it counts as the
    depthwise convolution it is: output elements x taps multiply-accumulates.

    FLOPs: 2 for each multiply-accumulate; positions in the padding count as all others. The backward
    pass keeps the padded copy of the input, with `reflect` and `replicate` also the input; without
    padding only the input.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> max_pool(2, stride=1) -> blur_pool
      conv(32, kernel=3, padding=1) -> relu -> blur_pool(4, stride=[2, 1], padding_mode=replicate)
    }
    ```

    Source: Zhang, Making convolutional networks shift-invariant again, 2019, section 3.
    """

    autocast = Autocast.SHORT
    source = '''\
class BlurPool(nn.Module):
    """Smooths each channel with a binomial filter, and keeps every stride-th sample."""

    filter: Tensor

    def __init__(
        self, channels: int, kernel: tuple[int, ...], stride: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.stride = stride
        taps = torch.ones(())
        for extent in kernel:
            row = torch.ones(1)
            for _ in range(extent - 1):
                row = (F.pad(row, (1, 0)) + F.pad(row, (0, 1))) / 2
            taps = taps.unsqueeze(-1) * row
        self.register_buffer("filter", taps.expand(channels, 1, *kernel).clone())

    def forward(self, x: Tensor) -> Tensor:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.stride) - 1]
        return convolve(x, self.filter, stride=self.stride, groups=len(self.filter))
'''

    kernel: PerAxis = argument(kinds.extent, "extent of the filter", 3)
    stride: PerAxis = argument(kinds.extent, "distance from one kept sample to the next", 2)
    padding: Amounts | None = argument(
        AMOUNTS, "what is added around the input; half of the kernel unless given", None
    )
    padding_mode: str = argument(PADDING_MODES, "what the padding is filled with", "reflect")

    def sides(self, x: Shape) -> tuple[Pair, ...]:
        """What is added before and after, on each axis."""
        if self.padding is not None:
            return per_side("padding", self.padding, x)
        return tuple(((k - 1) // 2, k // 2) for k in per_axis("kernel", self.kernel, x))

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.sides(x))

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        found = self.windows(x)
        check_mode(self.padding_mode, self.sides(x), x, "padding")
        return Shape((x.channels, *output_size(found, same=False)))

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {"filter": Buffer(Shape((x.channels, 1, *per_axis("kernel", self.kernel, x))))}

    def macs(self, x: Shape) -> Size:
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return self.shape(x).count * taps

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x)

    def saved(self, x: Shape) -> Saved:
        if not self.pads(x):
            return Saved(inputs=(0,))
        copy = x.channels * prod(w.padded for w in self.windows(x))
        return Saved(inputs=(0,) if self.padding_mode in ("reflect", "replicate") else (), floats=copy)

    def pads(self, x: Shape) -> bool:
        """Whether anything is added around the input."""
        return any(side != 0 for pair in self.sides(x) for side in pair)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        wraps = self.padding_mode == "circular"
        return (along_axes(w.stencil(wraps) for w in self.windows(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        conditions: list[tuple[Size, Size]] = []
        if self.padding_mode in ("reflect", "circular"):
            spare = 1 if self.padding_mode == "reflect" else 0
            sides = zip(x.size, self.sides(x), strict=True)
            conditions = [(n, side + spare) for n, pair in sides for side in pair]
        return window_doubts(self.kind, self.windows(x)) + needs(self.kind, conditions)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept_by_windows(motion, fibres, LINEAR)

    def linear_map(self, x: Shape) -> LinearMap:
        def weight(kernel: int, unit: int, tap: int) -> Fraction:
            """A sample of the binomial filter."""
            return Fraction(comb(kernel - 1, tap), 2 ** (kernel - 1))

        axes = (
            window_taps(w.kernel, w.stride, w.before, 1, self.padding_mode, partial(weight, number(w.kernel)))
            for w in self.windows(x)
        )
        return LinearMap(tuple(axes), x.channels)

    def build(self, nn: Code, x: Shape) -> Code:
        kernel, stride = per_axis("kernel", self.kernel, x), per_axis("stride", self.stride, x)
        return Code("BlurPool")(x.channels, kernel, stride)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        (x,) = xs
        if not self.pads(x):
            return module(values[0])
        return module(padded(torch, values[0], self.sides(x), self.padding_mode))


WINDOWS = '''
    def windows(self, x: Tensor) -> Tensor:
        """The samples of every window, along a last axis."""
        for axis, kernel in enumerate(self.kernel):
            x = x.unfold(axis + 2, kernel, self.stride[axis])
        return x.flatten(-len(self.kernel))
'''
"""A method of the torch classes of the poolings with chance."""


class ChancePooling(Pooling, abstract=True):
    """The base of the poolings that take a sample of each window by chance while a network is trained."""

    ceil: bool = False

    def extents(self, x: Shape) -> tuple[Any, ...]:
        """The kernel and the stride, one an axis, as the torch classes take them."""
        return per_axis("kernel", self.kernel, x), per_axis("stride", self.stride, x)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


class StochasticPool(ChancePooling):
    """Stochastic pooling: a sample of each window, drawn with a probability in proportion to its value.

        p[t] = a[t] / (sum over taps s of a[s]),  a[t] = max(x[c, i*stride + t], 0)
        y[c, i] = a[t], t drawn with probability p[t]      in training
        y[c, i] = sum over taps t of p[t] * a[t]           otherwise

    What is used is the mean of what is drawn in training. Samples should not be negative, as after a
    `relu`: those that are count as 0. A window of zeros gives 0. Every window is drawn for itself, also
    where windows overlap. The stride is the kernel unless it is given. There is no padding, but `pad`
    before it does what padding would: zeros are never drawn. The extent becomes
    (n - kernel) // stride + 1.

    FLOPs: 1 comparison for each input sample, and for each output, as the network is used, k divisions, k
    products and 2(k - 1) additions (k: the samples of a window). The backward pass keeps the input, the
    output, and the place of each drawn sample (8 bytes each).

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> stochastic_pool(3, stride=2)
      conv(32, kernel=3, padding=1) -> relu -> pad(1) -> stochastic_pool(2)
    }
    ```

    Source: Zeiler and Fergus, Stochastic pooling for regularization of deep convolutional neural
    networks, 2013, equations 4, 5 (training) and 6.
    """

    source = (
        '''\
class StochasticPool(nn.Module):
    """In training one sample a window, as likely as it is large; else the mean."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            samples = self.windows(x.relu())
            total = samples.sum(-1, keepdim=True)
            return (samples / total.masked_fill(total == 0, 1) * samples).sum(-1)
        with torch.no_grad():
            samples = self.windows(x)
            # Of exponential times whose rates are the samples, each is the shortest
            # with a probability in proportion to its rate. Rates below 0 never win.
            times = torch.empty_like(samples).exponential_()
            drawn = (samples / times).argmax(-1, keepdim=True)
            size = x.shape[2:]
            places = torch.arange(size.numel(), device=x.device).view(1, 1, *size)
            places = self.windows(places).expand_as(samples)
            places = places.gather(-1, drawn).squeeze(-1)
        return x.flatten(2).gather(-1, places.flatten(2)).view(places.shape).relu()
'''
        + WINDOWS
    )

    kernel: PerAxis = argument(kinds.extent, "extent of the window")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", SameAs("kernel"))

    def flops(self, x: Shape) -> Size:
        return x.count + self.shape(x).count * (4 * self.taps(x) - 2)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), output=True, extra=INDEX_BYTES * self.shape(x).count)

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("StochasticPool")(*self.extents(x))


class MaxPoolDropout(ChancePooling):
    """Max-pooling dropout: the largest of the samples of each window that dropout leaves.

        y[c, i] = the largest x[c, i*stride + t] that is not dropped                in training
        y[c, i] = (1 - rate) * sum over m of rate**(k - m) * a[m]                   otherwise

    In training each sample of the map is dropped with probability `rate`, for all windows that it is in;
    a window of which nothing is left gives 0. Otherwise a[1] <= ... <= a[k] are the k samples of a window
    in order: a[m] is the largest that is left with probability (1 - rate) * rate**(k - m), namely if it
    is kept and those above it are dropped. So what is used (probabilistic weighted pooling) is the mean
    of what training gives. After a `relu`, as in the paper, it is the same whether a dropped sample is
    left out or set to 0; here it is left out, so that the mean is right for negative samples too. Nothing
    is scaled up. With a rate of 0 it is `max_pool`.

    The stride is the kernel unless it is given, and there is no padding. The extent becomes
    (n - kernel) // stride + 1.

    FLOPs: for each output, as the network is used, k(k - 1)/2 comparisons (one for each two samples of a
    window, which puts them in order), k products and k - 1 additions. The backward pass keeps the input,
    the place of each maximum (8 bytes each), and a byte for each output that says whether anything was
    left.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> max_pool_dropout(2)
      conv(32, kernel=3, padding=1) -> relu -> max_pool_dropout(3, stride=2, rate=0.3)
    }
    ```

    Source: Wu and Gu, Towards dropout training for convolutional neural networks, 2015, on max-pooling
    dropout and probabilistic weighted pooling.
    """

    source = (
        '''\
class MaxPoolDropout(nn.Module):
    """In training the largest sample that dropout leaves of a window; else the mean."""

    def __init__(
        self, kernel: tuple[int, ...], stride: tuple[int, ...], rate: float
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            samples = self.windows(x).sort(-1).values
            above = torch.arange(samples.shape[-1], dtype=x.dtype, device=x.device)
            return (samples * ((1 - self.rate) * self.rate ** above.flip(0))).sum(-1)
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(self.kernel) - 1]
        with torch.no_grad():
            left = x.masked_fill(torch.rand_like(x) < self.rate, float("-inf"))
            largest, places = pool(left, self.kernel, self.stride, return_indices=True)
        y = x.flatten(2).gather(-1, places.flatten(2)).view(places.shape)
        return y.masked_fill(largest == float("-inf"), 0)
'''
        + WINDOWS
    )

    kernel: PerAxis = argument(kinds.extent, "extent of the window")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", SameAs("kernel"))
    rate: float = argument(kinds.rate, "the share of the samples that are dropped", 0.5)

    def flops(self, x: Shape) -> Size:
        taps = self.taps(x)
        return self.shape(x).count * (taps * (taps - 1) // 2 + 2 * taps - 1)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), extra=(INDEX_BYTES + 1) * self.shape(x).count)

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("MaxPoolDropout")(*self.extents(x), self.rate)
