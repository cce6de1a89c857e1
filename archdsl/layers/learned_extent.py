"""Layers that learn how far they reach: kernels that grow and shrink, strides that are learned."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import gcd, prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import Kind, argument
from archdsl.layers.convolution import check_groups, group_doubts
from archdsl.layers.layer import Autocast, Buffer, Layer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach, Reads, Stencil, along_axes
from archdsl.layers.windows import (
    PerAxis,
    Sides,
    Window,
    check_map,
    compact,
    output_size,
    per_axis,
    symmetric,
    window_doubts,
    windows,
)
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, Symbolic, maximum, minimum

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem


def _strides(value: Any) -> Any:
    checked = kinds.factors.check(value)
    numbers = checked if isinstance(checked, tuple) else (checked,)
    return None if any(number is None or number < 1 for number in numbers) else checked


STRIDES = Kind("a number of at least 1, or a list with one an axis", _strides)


class NjetConv(Layer):
    """N-jet convolution: kernels are sums of Gaussian derivatives, whose one scale is learned.

    y[c, i] = bias[c] + sum over channels a of c's group and taps t of
    kernel[c, a, t] * x[a, i*stride - before + t]

    kernel[c, a] = sum over orders n with n_1 + ... + n_d <= order of
    weight[c, a, n] * D_n1(t_1) * ... * D_nd(t_d)

    D_n is the n-th derivative of a Gaussian of deviation sigma, times sigma^n, at the taps about the
    kernel's centre. sigma = 2^scale is learned with the weights, one for the layer, and the kernel's size
    follows it: taps further than truncate*sigma + 1/2, rounded up, from the centre are 0, and the Gaussian
    sums to 1 over the others. The kernel never passes `reach` samples to either side, so it is at most
    2*reach + 1 wide, and a wider Gaussian is cut there. No gradient goes through where it is cut. The
    extents of the output are those of `conv` with a kernel of 2*reach + 1; `padding` is `same` unless it is
    given. The weights of a layer have one number for each derivative: (order + 1)(order + 2)/2 in two
    axes, whatever the size of the kernel. They start as normal noise of deviation 1, so a normalisation
    should follow.

    FLOPs: 2 for each multiply-accumulate with the largest kernel, and 1 for each output with a bias. What
    the kernels take, once for a batch, is not counted. The backward pass keeps the input (if it is padded
    unevenly, the padded copy), the kernels, and once the Gaussian's derivatives and their products.

    ```arch
    network Small {
      input image: [3, 32, 32]
      njet_conv(16, reach=5, bias=false) -> batch_norm -> relu
      njet_conv(32, reach=7, order=2, sigma=2, stride=2, bias=false) -> batch_norm -> relu
    }
    ```

    Source: Pintea et al., Resolution learning in deep convolutional networks using scale-space theory,
    2021. The paper's kernels have no bound and its layer has no bias, stride or groups; the start of the
    weights, the cut at 2 sigma and the scale as a power of 2 are those of its published code.
    """

    autocast = Autocast.SHORT
    source = '''\
class NJetConvolution(nn.Module):
    """A convolution whose kernels are sums of Gaussian derivatives of one learned
    scale.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        axes: int,
        reach: int,
        order: int = 3,
        sigma: float = 1.0,
        truncate: float = 2.0,
        stride: int | tuple[int, ...] = 1,
        padding: tuple[tuple[int, int], ...] | None = None,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.reach = reach
        self.order = order
        self.truncate = truncate
        self.stride = stride if isinstance(stride, tuple) else (stride,) * axes
        self.padding = padding
        self.groups = groups
        orders = [0]
        for _ in range(axes):
            orders = [n + m for n in orders for m in range(order + 1 - n)]
        self.weight = nn.Parameter(torch.randn(outputs, inputs // groups, len(orders)))
        self.scale = nn.Parameter(torch.full((1,), float(sigma)).log2())
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        axes = len(self.stride)
        sides = [self.sides(axis, x.shape[axis + 2]) for axis in range(axes)]
        padding = tuple(before for before, _ in sides)
        if any(before != after for before, after in sides):
            x = nn.functional.pad(
                x, [side for pair in reversed(sides) for side in pair]
            )
            padding = (0,) * axes
        convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[
            axes - 1
        ]
        return convolve(
            x, self.kernel(), self.bias, self.stride, padding, groups=self.groups
        )

    def kernel(self) -> Tensor:
        """The kernels of the scale as it is."""
        axes = len(self.stride)
        sigma = self.scale.exp2()
        tap = torch.arange(
            -self.reach, self.reach + 1, device=sigma.device, dtype=sigma.dtype
        )
        place = tap / sigma
        inside = tap.abs() <= (self.truncate * sigma.detach() + 0.5).ceil()
        gaussian = torch.where(inside, (-0.5 * place.square()).exp(), 0.0)
        derivatives = [gaussian / gaussian.sum()]
        for n in range(self.order):
            further = place * derivatives[n]
            if n:
                further = further + n * derivatives[n - 1]
            derivatives.append(-further)
        products = list(enumerate(derivatives))
        for _ in range(axes - 1):
            products = [
                (n + m, product.unsqueeze(-1) * derivatives[m])
                for n, product in products
                for m in range(self.order + 1 - n)
            ]
        weights = self.weight.view(*self.weight.shape, *(1,) * axes)
        kernel = weights[:, :, 0] * products[0][1]
        for i, (_, product) in enumerate(products[1:], 1):
            kernel = kernel + weights[:, :, i] * product
        return kernel

    def sides(self, axis: int, extent: int) -> tuple[int, int]:
        """The padding before and after an axis: as given, or for ceil(extent /
        stride) windows.
        """
        if self.padding is not None:
            return self.padding[axis]
        stride = self.stride[axis]
        missing = max(
            (-(-extent // stride) - 1) * stride + 2 * self.reach + 1 - extent, 0
        )
        return missing // 2, missing - missing // 2
'''

    channels: Size = argument(kinds.positive, "number of output channels")
    reach: Size = argument(kinds.up_to(1, 1000), "most samples from the kernel's centre to either side")
    order: Size = argument(kinds.up_to(0, 10), "the highest derivative", 3)
    sigma: float = argument(kinds.positive_number, "the deviation that the Gaussian starts with", 1)
    truncate: float = argument(kinds.positive_number, "how many deviations the kernel reaches", 2)
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "what is added around the input", "same")
    groups: Size = argument(kinds.positive, "parts of the channels that are convolved apart", 1)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each channel", True)

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each spatial axis, as large as the kernel may become."""
        return windows(x, 2 * self.reach + 1, self.stride, self.padding)

    def derivatives(self, axes: int) -> Size:
        """How many derivatives of at most the order there are along so many axes."""
        number: Size = prod(self.order + n for n in range(1, axes + 1))
        return number // (1, 1, 2, 6)[axes]

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        check_groups(x.channels, self.channels, self.groups)
        found = self.windows(x)
        try:
            size = output_size(found)
        except Fault as fault:
            # The kernel is given by how far it reaches.
            raise Fault(fault.problem, "reach") from fault
        return Shape((self.channels, *size))

    def weights(self, x: Shape) -> dict[str, Shape]:
        weight = Shape((self.channels, x.channels // self.groups, self.derivatives(x.axes)))
        own = {"weight": weight, "scale": Shape((1,))}
        return {**own, "bias": Shape((self.channels,))} if self.bias else own

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape) -> Size:
        taps = (2 * self.reach + 1) ** x.axes
        return self.shape(x).count * (x.channels // self.groups) * taps

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + (self.shape(x).count if self.bias else 0)

    def saved(self, x: Shape) -> Saved:
        found = self.windows(x)
        taps = 2 * self.reach + 1
        # The taps, their places, the Gaussian before and after its cut, and its derivatives; sigma, a sum.
        once = taps * (5 + self.order) + 2
        for axes in range(2, x.axes + 1):
            once = once + self.derivatives(axes) * taps**axes
        once = once + self.channels * (x.channels // self.groups) * taps**x.axes
        if symmetric((w.before, w.after) for w in found):
            return Saved(inputs=(0,), once=taps, floats_once=once)
        padded: Size = x.channels * prod(w.padded for w in found)
        return Saved(once=taps, floats=padded, floats_once=once)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        found = (w.stencil() for w in self.windows(x))
        return (along_axes(None if s is None else replace(s, at_most=True) for s in found),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        return group_doubts(self.kind, x.channels, self.channels, self.groups) + window_doubts(
            self.kind, self.windows(x)
        )

    def build(self, nn: Code, x: Shape) -> Code:
        named = self.chosen("order", "sigma", "truncate")
        strides = per_axis("stride", self.stride, x)
        if any(stride != 1 for stride in strides):
            named["stride"] = compact(strides)
        if self.padding != "same":
            named["padding"] = tuple((w.before, w.after) for w in self.windows(x))
        named |= self.chosen("groups", "bias")
        return Code("NJetConvolution")(x.channels, self.channels, x.axes, self.reach, **named)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


class DiffStride(Layer):
    """DiffStride: down-sampling by a low-pass filter in the frequency domain, whose stride is learned.

    Y[f] = window(|f|) X[f] for the frequencies |f| < m/2, along every spatial axis of n samples

    window(f) = min(max((n / (2 s) + smoothness - f) / smoothness, 0), 1)

    X is the discrete Fourier transform of the input along the axis, and the output the inverse transform
    of Y with m samples; s is the learned stride of the axis. A constant keeps its value (in the paper's
    code it is multiplied by n/m). The window passes what a stride of s keeps, and falls to 0 over
    `smoothness` frequencies more, where the gradient of s comes from. Each stride starts at `stride`. It
    never falls below it, nor below n / (n - smoothness): a smaller parameter counts as that, and its
    gradient passes on; n/s counts as at least 2.

    The extent n becomes m = n/stride + 2*smoothness, rounded down, at least 2 and at most n: as many
    samples as the window lets through with the stride it starts with. On a small map choose a small
    `smoothness`. In the paper the output shrinks as s grows; shapes of this language do not change in
    training, so here a larger s narrows the band of an output that stays as large. Where all n
    frequencies are kept (m = n) that of n/2 is among them. The paper's code lets one frequency more pass
    along the last axis; here all axes are alike.

    Each unit may read the whole axis, in a ring: moving the input round by n/g samples, g the greatest
    common divisor of n and m, moves the output round by m/g.

    FLOPs: along each axis in turn, for each line of n samples 5/2 n times the binary logarithm of n,
    rounded up, for the transform; the same for the m samples of its inverse; and 2 for each of the
    frequencies from 0 to m/2. Where an extent is a symbol the two are counted as direct sums: 4 for each
    sample and frequency. The backward pass keeps the input, for each axis its transform (and, but for the
    first, what that is of), and the windows.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1, bias=false) -> batch_norm -> relu -> diff_stride(2, smoothness=2)
      conv(32, kernel=3, padding=1, bias=false) -> batch_norm -> relu -> diff_stride([1.5, 2], smoothness=2)
    }
    ```

    Source: Riad et al., Learning strides in convolutional neural networks, 2022; the window: Sukhbaatar
    et al., Adaptive attention span in transformers, 2019; cropping of frequencies: Rippel, Snoek and Adams,
    Spectral representations for convolutional neural networks, 2015.
    """

    source = '''\
class DiffStride(nn.Module):
    """Down-sampling by a window over frequencies, whose width is learned."""

    def __init__(
        self,
        stride: tuple[float, ...],
        smoothness: float = 4.0,
        size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.least = stride
        self.smoothness = smoothness
        self.size = size
        self.stride = nn.Parameter(torch.tensor(stride))

    def forward(self, x: Tensor) -> Tensor:
        # There are no transforms of numbers in half precision.
        y = x.to(torch.promote_types(x.dtype, torch.float32))
        for axis, extent in enumerate(x.shape[2:]):
            units = self.units(axis, extent)
            window = self.window(axis, extent, units)
            spectrum = torch.fft.rfft(y, dim=axis + 2, norm="forward")
            spectrum = spectrum.narrow(axis + 2, 0, window.shape[0])
            spectrum = spectrum * window.view(-1, *(1,) * (len(self.least) - 1 - axis))
            y = torch.fft.irfft(spectrum, n=units, dim=axis + 2, norm="forward")
        return y.to(x.dtype)

    def window(self, axis: int, extent: int, units: int) -> Tensor:
        """How much of each frequency of the output is kept, from 0 up."""
        # Fewer samples can't tell a frequency of half their number from its opposite.
        passing = extent // 2 + 1 if units == extent else (units + 1) // 2
        least = max(self.least[axis], extent / max(extent - self.smoothness, 1))
        stride = self.stride[axis]
        # As if the parameter itself were never less, so that it is not stuck there.
        stride = stride + (stride.detach().clamp(min=least) - stride.detach())
        passed = (extent / stride).clamp(min=2) / 2
        frequency = torch.arange(passing, device=stride.device, dtype=stride.dtype)
        window = ((passed + self.smoothness - frequency) / self.smoothness).clamp(0, 1)
        return nn.functional.pad(window, (0, units // 2 + 1 - passing))

    def units(self, axis: int, extent: int) -> int:
        """The extent of the output."""
        if self.size is not None:
            return self.size[axis]
        return min(
            extent, max(int(extent / self.least[axis] + 2 * self.smoothness + 1e-9), 2)
        )
'''

    stride: float | tuple[float, ...] = argument(
        STRIDES, "the stride that learning starts with, and the least"
    )
    smoothness: float = argument(kinds.positive_number, "over how many frequencies the window falls", 4)

    def size(self, x: Shape) -> tuple[Size, ...]:
        """The extents of the output."""
        size: list[Size] = []
        for n, s in zip(x.size, per_axis("stride", self.stride, x), strict=True):
            stride, ramp = Fraction(str(s)), 2 * Fraction(str(self.smoothness))
            kept = n * (stride.denominator * ramp.denominator) + ramp.numerator * stride.numerator
            size.append(minimum(n, maximum(kept // (stride.numerator * ramp.denominator), 2)))
        return tuple(size)

    def stages(self, x: Shape) -> tuple[tuple[Size, Size, Size, Size], ...]:
        """For each axis in turn the extents before and after, the frequencies passing and the lines."""
        found = []
        before, after = list(x), [x.channels, *self.size(x)]
        for axis in range(1, len(x)):
            n, m = before[axis], after[axis]
            passing = n // 2 + 1 if n == m else (m + 1) // 2
            lines: Size = prod((*after[:axis], *before[axis + 1 :]))
            found.append((n, m, passing, lines))
        return tuple(found)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        return Shape((x.channels, *self.size(x)))

    def weights(self, x: Shape) -> dict[str, Shape]:
        return {"stride": Shape((x.axes,))}

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape) -> Size:
        return 0

    def flops(self, x: Shape) -> Size:
        total: Size = 0
        for n, m, _, lines in self.stages(x):
            frequencies = m // 2 + 1
            transforms = _transform(n, frequencies) + _transform(m, frequencies)
            total = total + lines * (transforms + 2 * frequencies)
        return total

    def saved(self, x: Shape) -> Saved:
        floats: Size = 0
        once: Size = 0
        for axis, (n, m, passing, lines) in enumerate(self.stages(x)):
            # The whole transform, and what it is of: for the first axis that is the input.
            floats = floats + 2 * (n // 2 + 1) * lines + (n * lines if axis else 0)
            # The window, before it is held between 0 and 1 and as it is used, and two forms of the stride.
            once = once + passing + m // 2 + 1 + 2
        return Saved(inputs=(0,), floats=floats, floats_once=once)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        found = along_axes(_ring(n, m) for n, m in zip(x.size, self.size(x), strict=True))
        return (Reach.MIXED if found is Reach.UNTOLD else found,)

    def build(self, nn: Code, x: Shape) -> Code:
        strides = tuple(float(stride) for stride in per_axis("stride", self.stride, x))
        named = self.chosen("smoothness")
        size = self.size(x)
        if not any(isinstance(extent, Symbolic) for extent in size):
            named["size"] = size
        return Code("DiffStride")(strides, **named)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


def _transform(n: Size, frequencies: Size) -> Size:
    """The operations of a Fourier transform of n real samples: by halving, or summed where n is open."""
    if isinstance(n, int):
        return 5 * n * (n - 1).bit_length() // 2
    return 4 * n * frequencies


def _ring(n: Size, m: Size) -> Stencil | None:
    """Every unit of m reads all n samples in a ring; None where the numbers are open, or too large."""
    if not (isinstance(n, int) and isinstance(m, int)):
        return None
    common = gcd(n, m)
    if m // common > MOST_PHASES:
        return None
    return Stencil(n // common, m // common, (range(n),) * (m // common), wraps=True, at_most=True)
