"""Poolings: one number for each window, without weights; and the way back through one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from math import gcd, prod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from archdsl.layers import arguments as kinds
from archdsl.layers import stencils
from archdsl.layers.arguments import SameAs, argument
from archdsl.layers.layer import Autocast, Saved, Weightless
from archdsl.layers.linear_map import LinearMap, mean_taps, number
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads, Stencil, along_axes
from archdsl.layers.symmetry import LINEAR, PICTURES, SCALAR, Fibre, Motion, kept, kept_by_windows
from archdsl.layers.windows import (
    PAD_SAME,
    Pair,
    PerAxis,
    Sides,
    Window,
    check_map,
    compact,
    cut,
    depends,
    output_size,
    padded,
    padded_same,
    per_axis,
    symbols_in,
    symmetric,
    window_doubts,
    windows,
)
from archdsl.problems.arrangement import UndecidedSize
from archdsl.problems.layers import ChannelMismatch, PoolPaddingTooLarge, UnpoolMismatch
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, at_least, divide_exactly, equal, maximum

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

INDEX_BYTES = 8
"""A pooling's indices are int64."""


class Pooling(Weightless, abstract=True):
    """The base of the poolings over moving windows."""

    source = PAD_SAME

    kernel: PerAxis
    stride: PerAxis
    padding: Sides = 0
    dilation: PerAxis = 1
    ceil: bool
    means: ClassVar[bool] = False
    """Whether it is a mean to torch, whose means along three axes ask for room for a whole window."""

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis."""
        return windows(x, self.kernel, self.stride, self.padding, self.dilation)

    def taps(self, x: Shape) -> Size:
        """The number of samples in a window."""
        taps: Size = prod(per_axis("kernel", self.kernel, x))
        return taps

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        found = self.windows(x)
        if self.padding != "same":
            for w in found:
                for side in (w.before, w.after):
                    if at_least(w.kernel // 2 - side, 0) is False:
                        problem = PoolPaddingTooLarge(str(side), str(w.kernel), str(w.kernel // 2))
                        raise Fault(problem, "padding")
        same = "padding" in self.arguments
        if not self.may_overhang(x):
            output_size(found, same=same)
        return Shape((x.channels, *output_size(found, self.ceil, same)))

    def may_overhang(self, x: Shape) -> bool:
        """Whether the only window along an axis may be one that reaches past the end."""
        return self.ceil and not (self.means and x.axes == 3)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(w.stencil() for w in self.windows(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        return window_doubts(self.kind, self.windows(x), self.may_overhang(x))

    def native(self, x: Shape) -> bool:
        """Whether torch's module can pad so itself: the same on both sides, at most half of the kernel."""
        found = self.windows(x)
        return symmetric((w.before, w.after) for w in found) and all(
            at_least(w.kernel // 2 - w.before, 0) is True for w in found
        )

    def options(self, x: Shape) -> dict[str, Any]:
        """The named arguments that all torch poolings share, the padding where it is torch's."""
        found = self.windows(x)
        named: dict[str, Any] = {}
        if any(equal(w.stride, w.kernel) is not True for w in found):
            named["stride"] = compact(w.stride for w in found)
        if self.native(x) and any(w.before for w in found):
            named["padding"] = compact(w.before for w in found)
        return named

    def covering(self, x: Shape) -> tuple[Pair, ...]:
        """The padding under which windows that all fit are those of this layer, `ceil` or not."""
        return tuple((w.before, w.overhang(self.ceil)) for w in self.windows(x))

    def padded(
        self, torch: Code, value: Code, x: Shape, sides: Iterable[Pair], filling: float | None = None
    ) -> Code:
        """A value of shape x with the padding that torch's module can't do itself."""
        same = padded_same(value, self.windows(x), value=filling) if self.padding == "same" else None
        if same is not None:
            return same
        return padded(torch, value, sides, value=filling)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept_by_windows(motion, fibres)


class MaxPool(Pooling):
    """Max pooling: the largest sample of each window, channel by channel.

    y[c, i] = max over taps t of x[c, i*stride - before + t*dilation]

    Padding counts as minus infinity, so it never wins; it is at most half of the kernel, or `same`. The
    stride is the kernel unless it is given. The extent becomes
    (n + before + after - (kernel - 1)*dilation - 1) / stride + 1, rounded down, or with `ceil=true` up,
    where a last window that would start behind the last sample is left out.

    FLOPs: kernel - 1 comparisons for each output (of all axes: their product, less 1). The backward pass
    keeps the input and the place of each maximum (8 bytes each).

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> max_pool(2)
      conv(32, kernel=3, padding=1) -> relu -> max_pool(3, stride=2, padding=1, ceil=true)
    }
    ```

    Source: Yamaguchi et al., A neural network for speaker-independent isolated word recognition, 1990;
    torch.nn.MaxPool1d, MaxPool2d, MaxPool3d.
    """

    kernel: PerAxis = argument(kinds.extent, "extent of the window")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", SameAs("kernel"))
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    ceil: bool = argument(kinds.boolean, "whether a last window may reach past the end", False)
    dilation: PerAxis = argument(kinds.extent, "distance between two samples of the window", 1)

    of_window = "max"
    no_matrix = "which sample is the largest depends on the samples, so no fixed weights give it"

    def flops(self, x: Shape) -> Size:
        return self.shape(x).count * (self.taps(x) - 1)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), extra=INDEX_BYTES * self.shape(x).count)

    def build(self, nn: Code, x: Shape) -> Code:
        return self._built(nn, x, {})

    def build_with_indices(self, nn: Code, x: Shape) -> Code:
        """As `build`, where a `max_unpool` needs the places of the maxima."""
        return self._built(nn, x, {"return_indices": True})

    def _built(self, nn: Code, x: Shape, more: dict[str, Any]) -> Code:
        found = self.windows(x)
        named = self.options(x)
        if any(w.dilation != 1 for w in found):
            named["dilation"] = compact(w.dilation for w in found)
        if self.ceil and self.native(x):
            named["ceil_mode"] = True
        make = getattr(nn, f"MaxPool{x.axes}d")
        made: Code = make(compact(w.kernel for w in found), **named, **more)
        return made

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        if self.native(xs[0]):
            return module(values[0])
        return module(self.padded(torch, values[0], xs[0], self.covering(xs[0]), float("-inf")))

    def forward_with_indices(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        """As `forward`, over the module of `build_with_indices`; it gives two results.

        They are the output, and where in the input, with what `indexed` says was added to it, each
        maximum stood: one int64 that counts along all spatial axes, the last one fastest.
        """
        return self.forward(torch, module, values, xs)

    def indexed(self, x: Shape) -> tuple[Pair, ...]:
        """What must be added to the input for the indices to be places in it."""
        if self.native(x):
            return ((0, 0),) * x.axes
        return self.covering(x)


class AvgPool(Pooling):
    """Average pooling: the mean of each window, channel by channel.

    y[c, i] = (sum over taps t of x[c, i*stride - before + t]) / d

    d is the number of the window's positions in the input and its padding; with `count_padding=false` in
    the input alone, so that it is the mean of real samples. Padding is zeros; it is at most half of the
    kernel, or `same`. The stride is the kernel unless it is given. The extent follows as for `max_pool`; a
    last window that reaches past the padding (`ceil=true`) does not count what lies there. Along three axes
    a whole window has to fit all the same.

    FLOPs: kernel - 1 additions and 1 division for each output (kernel: the product over all axes). The
    backward pass keeps the input.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> tanh -> avg_pool(2)
      conv(32, kernel=3, padding=1) -> tanh -> avg_pool(3, stride=2, padding=same, count_padding=false)
    }
    ```

    Source: LeCun et al., Handwritten digit recognition with a back-propagation network, 1989.
    torch.nn.AvgPool1d, AvgPool2d, AvgPool3d.
    """

    kernel: PerAxis = argument(kinds.extent, "extent of the window")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", SameAs("kernel"))
    padding: Sides = argument(kinds.padding, "what is added around the input", 0)
    ceil: bool = argument(kinds.boolean, "whether a last window may reach past the end", False)
    count_padding: bool = argument(kinds.boolean, "whether padding counts in the mean", True)

    means = True

    def native(self, x: Shape) -> bool:
        # Along three axes torch's module takes no extent below the kernel, whatever it adds itself.
        short = (at_least(w.extent - w.kernel, 0) is not True for w in self.windows(x) if w.before)
        return super().native(x) and not (x.axes == 3 and any(short))

    def linear_map(self, x: Shape) -> LinearMap:
        def samples(w: Window, unit: int) -> int:
            """How many the mean of a window is taken of."""
            first = unit * w.stride - w.before
            end = min(number(first + w.kernel), number(w.extent + (w.after if self.count_padding else 0)))
            return end - number(first if self.count_padding else maximum(first, 0))

        axes = (mean_taps(w.stencil(), partial(samples, w)) for w in self.windows(x))
        return LinearMap(tuple(axes), x.channels)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        past = (at_least(w.after - w.overhang(self.ceil), 0) is not True for w in self.windows(*xs))
        # What counts in the first window, which lies within the padding, may not count in the last one.
        uneven = self.ceil and self.count_padding and any(past)
        return kept_by_windows(motion, fibres, ("polar",) if uneven else LINEAR)

    def flops(self, x: Shape) -> Size:
        return self.shape(x).count * self.taps(x)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,))

    def build(self, nn: Code, x: Shape) -> Code:
        named = self.options(x)
        if self.ceil and (self.count_padding or self.native(x)):
            named["ceil_mode"] = True
        if not self.count_padding and "padding" in named:
            named["count_include_pad"] = False
        make = getattr(nn, f"AvgPool{x.axes}d")
        made: Code = make(compact(per_axis("kernel", self.kernel, x)), **named)
        return made

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        (x,), (shape,) = values, xs
        if self.native(shape):
            return module(x)
        if not self.count_padding:
            # The mean over the window, divided by the share of the window that lies in the input.
            sides = self.covering(shape) if self.ceil else [(w.before, w.after) for w in self.windows(shape)]
            inside = self.padded(torch, torch.ones_like(x), shape, sides)
            return module(self.padded(torch, x, shape, sides)) / module(inside)
        found = self.windows(shape)
        mean = module(self.padded(torch, x, shape, ((w.before, w.after) for w in found)))
        size = tuple(w.count(self.ceil) for w in found)
        # To torch, padding that was added before is input, where a last window may start.
        made = tuple(Window(w.padded, w.kernel, w.stride).count(self.ceil) for w in found)
        return mean if made == size else cut(mean, (0,) * len(size), size)


class LpPool(Pooling):
    """Power-average pooling: the p-norm of each window, channel by channel.

    y[c, i] = (k * mean over taps t of x[c, i*stride + t]**p) ** (1/p)

    k is the number of samples in a window, so that this is (sum of x**p) ** (1/p); a last window that
    reaches past the end (`ceil=true`) takes the mean over the samples it has; along three axes a whole
    window has to fit all the same. p = 1 is the sum, a large p comes near the maximum. Where p is odd or
    no whole number, the samples should not be negative. The stride is the kernel unless it is given, and
    there is no padding.

    FLOPs: k powers, k - 1 additions and 1 root for each output. The backward pass keeps the input, its
    powers, and the mean, its sign, its magnitude and the scaled mean of each window.

    ```arch
    network Small {
      input signal: [1, 40]
      conv(8, kernel=5) -> relu -> lp_pool(2, kernel=3, stride=2)
    }
    ```

    Source: Gulcehre et al., Learned-norm pooling for deep feedforward and recurrent neural networks,
    2014. torch.nn.LPPool1d, LPPool2d, LPPool3d.
    """

    autocast = Autocast.LONG
    means = True
    p: float = argument(kinds.positive_number, "the power")
    kernel: PerAxis = argument(kinds.extent, "extent of the window")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", SameAs("kernel"))
    ceil: bool = argument(kinds.boolean, "whether a last window may reach past the end", False)

    def flops(self, x: Shape) -> Size:
        return self.shape(x).count * 2 * self.taps(x)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats=x.count + 4 * self.shape(x).count)

    def build(self, nn: Code, x: Shape) -> Code:
        named = self.options(x)
        if self.ceil:
            named["ceil_mode"] = True
        make = getattr(nn, f"LPPool{x.axes}d")
        made: Code = make(self.p, compact(per_axis("kernel", self.kernel, x)), **named)
        return made

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


class GlobalPooling(Weightless, abstract=True):
    """The base of the poolings of the whole map."""

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        return Shape((x.channels, *(1 for _ in x.size)))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POOLED,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        found = kept(fibres)
        # Over all angles and radii alike nothing is left of where they were.
        return SCALAR._replace(exact=found.exact) if found is not None and found.kind == "polar" else found


class GlobalAvgPool(GlobalPooling):
    """Global average pooling: the mean of each channel over all positions.

    y[c] = (sum over positions i of x[c, i]) / positions

    Every spatial extent becomes 1; `flatten` after it makes a vector of the channels.

    FLOPs: positions - 1 additions and 1 division for each channel. The backward pass keeps nothing.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu
      global_avg_pool -> flatten -> linear(10)
    }
    ```

    Source: Lin, Chen and Yan, Network in network, 2014. torch.nn.AdaptiveAvgPool2d(1).
    """

    def linear_map(self, x: Shape) -> LinearMap:
        whole = (mean_taps(stencils.window(n), partial(_all, n)) for n in map(number, x.size))
        return LinearMap(tuple(whole), x.channels)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("harmonic",)) or super().answers(motion, fibres, *xs)

    def flops(self, x: Shape) -> Size:
        return x.count

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def build(self, nn: Code, x: Shape) -> Code:
        made: Code = getattr(nn, f"AdaptiveAvgPool{x.axes}d")(1)
        return made


def _all(samples: int, unit: int) -> int:
    """Of how many samples a mean over all of them is."""
    return samples


class GlobalMaxPool(GlobalPooling):
    """Global max pooling: the largest sample of each channel over all positions.

    y[c] = max over positions i of x[c, i]

    Every spatial extent becomes 1; `flatten` after it makes a vector of the channels.

    FLOPs: positions - 1 comparisons for each channel. The backward pass keeps the input and the place of
    each maximum (8 bytes each).

    ```arch
    network Small {
      input signal: [1, 40]
      conv(16, kernel=3) -> relu
      global_max_pool -> flatten -> linear(10)
    }
    ```

    Source: Oquab et al., Is object localization for free?, 2015. torch.nn.AdaptiveMaxPool2d(1).
    """

    of_window = "max"
    no_matrix = MaxPool.no_matrix

    def flops(self, x: Shape) -> Size:
        return x.count - x.channels

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), extra=INDEX_BYTES * x.channels)

    def build(self, nn: Code, x: Shape) -> Code:
        made: Code = getattr(nn, f"AdaptiveMaxPool{x.axes}d")(1)
        return made


class AdaptivePooling(Weightless, abstract=True):
    """The base of the poolings that are told the extents of their output."""

    spreads = True
    keeps: ClassVar[tuple[str, ...]] = PICTURES
    """What its channels may do at a motion that it keeps."""
    size: PerAxis

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        return Shape((x.channels, *per_axis("size", self.size, x)))

    def read_samples(self, x: Shape) -> Size:
        """How many samples all windows of one channel have together."""
        return prod(_covered(n, size) for n, size in zip(x.size, per_axis("size", self.size, x), strict=True))

    def to_one(self, x: Shape) -> bool:
        """Whether the whole map becomes one position, as in a global pooling."""
        return all(equal(size, 1) is True for size in per_axis("size", self.size, x))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        if self.to_one(x):
            return (Reach.POOLED,)
        sizes = per_axis("size", self.size, x)
        return (along_axes(_adaptive(n, size) for n, size in zip(x.size, sizes, strict=True)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        if self.to_one(x):
            return ()
        sizes = per_axis("size", self.size, x)
        unknown = [n for n, size in zip(x.size, sizes, strict=True) if _adaptive(n, size) is None]
        return depends(self.kind, unknown, "its receptive field is not given")

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        if motion is Motion.SCALE and self.to_one(*xs):
            return kept(fibres, ("scalar",))
        return kept_by_windows(motion, fibres, self.keeps)


class AdaptiveAvgPool(AdaptivePooling):
    """Adaptive average pooling: means over as many windows as asked for, whatever the input's extent.

    y[c, j] = mean of x[c, i] for floor(j*n/size) <= i < ceil((j + 1)*n/size)

    Where size divides the extent n the windows are all alike; otherwise neighbours overlap, and most
    windows differ by a sample.

    FLOPs: for each output one addition less than its window has samples, and 1 division. Where an extent
    is a symbol that size does not divide, windows of an axis count as n + size - 1 samples in all, the
    most that can be. The backward pass keeps the input, or nothing where every size is 1.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu
      adaptive_avg_pool(6) -> flatten -> linear(10)
    }
    ```

    Source: He et al., Spatial pyramid pooling in deep convolutional networks, 2015.
    torch.nn.AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d.
    """

    keeps = LINEAR
    size: PerAxis = argument(kinds.extent, "extent of the output")

    def linear_map(self, x: Shape) -> LinearMap:
        def samples(n: int, size: int, unit: int) -> int:
            """How many the mean of a window is taken of."""
            return -(-(unit + 1) * n // size) - unit * n // size

        axes = []
        for n, size in zip(x.size, per_axis("size", self.size, x), strict=True):
            stencil = stencils.adaptive(number(n), number(size))
            axes.append(mean_taps(stencil, partial(samples, number(n), number(size))))
        return LinearMap(tuple(axes), x.channels)

    def flops(self, x: Shape) -> Size:
        return x.channels * self.read_samples(x)

    def saved(self, x: Shape) -> Saved:
        return Saved() if self.to_one(x) else Saved(inputs=(0,))

    def build(self, nn: Code, x: Shape) -> Code:
        sizes = compact(per_axis("size", self.size, x))
        made: Code = getattr(nn, f"AdaptiveAvgPool{x.axes}d")(sizes)
        return made


class AdaptiveMaxPool(AdaptivePooling):
    """Adaptive max pooling: the maxima of as many windows as asked for, whatever the input's extent.

    y[c, j] = max of x[c, i] for floor(j*n/size) <= i < ceil((j + 1)*n/size)

    Where size divides the extent n the windows are all alike; otherwise neighbours overlap, and most
    windows differ by a sample.

    FLOPs: for each output one comparison less than its window has samples. Where an extent is a symbol
    that size does not divide, windows of an axis count as n + size - 1 samples in all, the most that can
    be. The backward pass keeps the input and the place of each maximum (8 bytes each).

    ```arch
    network Small {
      input signal: [1, 40]
      conv(16, kernel=3) -> relu
      adaptive_max_pool(5) -> flatten -> linear(10)
    }
    ```

    Source: He et al., Spatial pyramid pooling in deep convolutional networks, 2015.
    torch.nn.AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d.
    """

    size: PerAxis = argument(kinds.extent, "extent of the output")

    of_window = "max"
    no_matrix = MaxPool.no_matrix

    def flops(self, x: Shape) -> Size:
        return x.channels * self.read_samples(x) - self.shape(x).count

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), extra=INDEX_BYTES * self.shape(x).count)

    def build(self, nn: Code, x: Shape) -> Code:
        sizes = compact(per_axis("size", self.size, x))
        made: Code = getattr(nn, f"AdaptiveMaxPool{x.axes}d")(sizes)
        return made


def _covered(extent: Size, size: Size) -> Size:
    """The samples in all windows of an adaptive pooling along one axis.

    Neighbours share a sample wherever a bound between them, j*extent/size, is not whole; of the size - 1
    bounds gcd(extent, size) - 1 are whole.
    """
    if isinstance(extent, int) and isinstance(size, int):
        return extent + size - gcd(extent, size)
    if divide_exactly(extent, size) is not None:
        return extent
    if divide_exactly(size, extent) is not None:
        return size
    return extent + size - 1


def _adaptive(extent: Size, size: Size) -> Stencil | None:
    if isinstance(extent, int) and isinstance(size, int):
        return stencils.adaptive(extent, size)
    shrinks, grows = divide_exactly(extent, size), divide_exactly(size, extent)
    if isinstance(shrinks, int):
        return stencils.window(shrinks, shrinks)
    if isinstance(grows, int):
        return stencils.repeated(grows)
    return None


class _Wire(Protocol):
    @property
    def shape(self) -> Shape: ...


class PoolingUse(Protocol):
    """The use of a `max_pool` that a `max_unpool` undoes: the compiler's node of it."""

    @property
    def layer(self) -> MaxPool: ...

    @property
    def inputs(self) -> Sequence[_Wire]: ...


class MaxUnpool(Weightless):
    """Max unpooling: every value goes back to the place its max pooling took the maximum from.

    y[c, place of maximum i] = x[c, i], and 0 everywhere else

    `pool` is the label of the `max_pool`; the output has the extents of that pooling's input. Any pooling
    of the language can be undone, overlapping and padded ones too; where two windows share a maximum, one
    of their values is kept.

    FLOPs: none, values are only moved. The backward pass keeps the indices (its second input).

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu
      pool1: max_pool(2)
      conv(16, kernel=3, padding=1) -> relu
      max_unpool(pool1)
      conv(3, kernel=3, padding=1)
    }
    ```

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014; Noh, Hong and
    Han, Learning deconvolution network for semantic segmentation, 2015. torch.nn.MaxUnpool1d,
    MaxUnpool2d, MaxUnpool3d.
    """

    pool: PoolingUse = argument(kinds.pool, "the max_pool that is undone")

    @property
    def pooled(self) -> Shape:
        """The shape of the pooling's input."""
        return self.pool.inputs[0].shape

    def shape(self, x: Shape, indices: Shape) -> Shape:
        check_map(self.kind, x)
        if equal(x.channels, indices.channels) is False:
            problem = ChannelMismatch(self.kind, str(x), str(x.channels), str(indices.channels))
            raise Fault(problem, inputs=(0,))
        same_axes = x.axes == indices.axes
        if not same_axes or any(equal(a, b) is False for a, b in zip(x.size, indices.size, strict=True)):
            raise Fault(UnpoolMismatch(str(x), str(indices)), inputs=(0,))
        return self.pooled

    def flops(self, x: Shape, indices: Shape) -> Size:
        return 0

    def saved(self, x: Shape, indices: Shape) -> Saved:
        return Saved(inputs=(1,))

    def reads(self, x: Shape, indices: Shape) -> tuple[Reads, ...]:
        found = self.pool.layer.windows(self.pooled)
        return (
            along_axes(w.transposed() for w in found),
            along_axes(w.transposed(indices_only=True) for w in found),
        )

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, indices = xs
        return tuple(
            UndecidedSize(self.kind, f"{a} is {b}", symbols_in((a, b)))
            for a, b in zip(x, indices, strict=True)
            if equal(a, b) is None
        )

    def build(self, nn: Code, x: Shape, indices: Shape) -> Code:
        pooling = self.pool.layer
        found = pooling.windows(self.pooled)
        # torch works out the extent without the dilation; the span in place of the kernel mends that.
        span = compact(w.span for w in found)
        named: dict[str, Any] = {}
        if any(equal(w.stride, w.span) is not True for w in found):
            named["stride"] = compact(w.stride for w in found)
        if pooling.native(self.pooled) and any(w.before for w in found):
            named["padding"] = compact(w.before for w in found)
        made: Code = getattr(nn, f"MaxUnpool{x.axes}d")(span, **named)
        return made

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        added = self.pool.layer.indexed(self.pooled)
        size = self.pooled.size
        whole = tuple(n + before + after for n, (before, after) in zip(size, added, strict=True))
        restored = module(*values, output_size=whole)
        if whole == size:
            return restored
        return cut(restored, (before for before, _ in added), size)
