"""Harmonic networks: convolutions of complex maps that keep turns by any angle.

A complex map is a pair of channels, the real part and the imaginary part. A map of rotation order m is
multiplied by exp(i m angle) where the image is turned by an angle (from the width towards the height). A
value of several orders has all pairs of the first, then all of the second, and so on, equally many of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import Kind, argument
from archdsl.layers.groups import PlaneConvolution, doubt_runs
from archdsl.layers.layer import Autocast, Buffer, Layer, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads, Stencil
from archdsl.layers.symmetry import Fibre, Motion
from archdsl.layers.windows import PerAxis, Sides, divides
from archdsl.problems.groups import BrokenRuns
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, at_least, is_size

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

HIGHEST_ORDER = 16
"""Filters of higher orders change faster from pixel to pixel than a kernel of any usual extent can hold."""

MOST_PAIRS = 2**16
"""The most pairs whose orders are written down; of a value of more, nothing is said."""


def _orders(value: Any) -> Any:
    if not isinstance(value, tuple) or not value or len(set(value)) < len(value):
        return None
    whole = all(isinstance(order, int) and not isinstance(order, bool) for order in value)
    return value if whole and all(abs(order) <= HIGHEST_ORDER for order in value) else None


ORDERS = Kind(f"a list of different whole numbers from -{HIGHEST_ORDER} to {HIGHEST_ORDER}", _orders)
AT_LEAST_2 = Kind(
    "a whole number of at least 2",
    lambda value: value if is_size(value) and at_least(value, 2) is not False else None,
)

PAIR = "a real and an imaginary part"


class HarmonicConv(PlaneConvolution):
    """Harmonic convolution: with circular harmonics as filters, from and to complex maps.

        y[n, c, i] = sum over input orders p, maps a and taps t of
        W(n - p, t) * x[p, a, i*stride - before + t],   W(m, t) = R(r) exp(i (m phi + beta))

    where a tap lies at the distance r and the angle phi (from the width towards the height) from the
    kernel's centre, the products are complex, and every pair of an output and an input map has a learned
    radial profile R and a learned phase beta. Turning the image by an angle turns the maps, and multiplies
    those of order n by exp(i n angle): exactly for quarter turns, about for others.

    `orders` are those of the output: `channels` complex maps for each, as pairs of a real and an imaginary
    channel, those of the first order first. `input_orders` are the orders of the input, in the same layout;
    they must be what the layers before gave. Without it the input is an image: real channels, of order 0.
    There is no bias: `harmonic_relu` has one.

    A profile has (kernel + 1)//2 numbers, on rings that are evenly spaced up to the radius (kernel - 1)/2,
    from 0 on where m is 0, and without 0 otherwise. Each point of a ring is spread over the pixels by a
    Gaussian of deviation 1/2, whose weights add up to 1. Profiles start normal, so that the filters of one
    output map have the norm 1 together, and phases uniform. Extents are those of a convolution.

    FLOPs: 2 for each multiply-accumulate of the convolution, in which a complex product is four real ones.
    Making the filters, once a batch, is not counted. The backward pass keeps the input and, once a batch,
    the filters and the cosine and sine of every phase.

    ```arch
    network Small {
      input image: [1, 28, 28]
      harmonic_conv(8, kernel=5) -> harmonic_relu
      harmonic_conv(8, kernel=5, input_orders=[0, 1]) -> harmonic_relu
      magnitude
      expect parameters == 2 * 8 * (3 + 1) + 16 + 2 * 8 * 2 * 8 * (3 + 1) + 16
    }
    ```

    Source: Worrall, Garbin, Turmukhambetov and Brostow, Harmonic networks: deep translation and rotation
    equivariance, 2017.
    """

    channels: Size = argument(kinds.positive, "number of complex maps of each order")
    kernel: Size = argument(AT_LEAST_2, "extent of the square kernel")
    orders: tuple[int, ...] = argument(ORDERS, "rotation orders of the output", (0, 1))
    input_orders: tuple[int, ...] | None = argument(
        ORDERS, "rotation orders of the input; unless given, it is an image", None
    )
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "zeros that are added around the input", 0)

    source = '''\
class HarmonicConv2d(nn.Module):
    """A convolution between complex maps whose filters are R(r) exp(i (m phi + beta)).

    `orders` and `input_orders` are the rotation orders of output and input; m is their
    difference. A real input has none, and is of order 0.
    """

    basis: Tensor

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int,
        orders: tuple[int, ...],
        input_orders: tuple[int, ...] = (),
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.real, self.stride, self.padding = not input_orders, stride, padding
        rows = [
            [self.rings(kernel, n - p) for p in input_orders or (0,)] for n in orders
        ]
        self.register_buffer(
            "basis", torch.stack([torch.stack(row, 1) for row in rows], 1)
        )
        rings = self.basis.shape[3]
        pairs = (len(orders), channels, len(rows[0]), inputs)
        self.weight = nn.Parameter(torch.empty(*pairs, rings))
        self.phase = nn.Parameter(torch.empty(pairs))
        norms = inputs * self.basis.square().sum((0, 2, 3, 4, 5))
        with torch.no_grad():
            self.weight.normal_().mul_(norms.rsqrt().reshape(-1, 1, 1, 1, 1))
            self.phase.uniform_(0, 2 * torch.pi)

    @staticmethod
    def rings(kernel: int, order: int) -> Tensor:
        """Real and imaginary part of exp(i order phi) on each ring: [2, rings, kernel,
        kernel].

        A quarter of each ring is sampled, and turned to give the others: so quarter
        turns are kept exactly.
        """
        radius, count, samples = (kernel - 1) / 2, (kernel + 1) // 2, 8 * (kernel + 2)
        radii = torch.linspace(radius / count if order else 0, radius, count)[:, None]
        phi = (torch.arange(samples) + 0.5) * (torch.pi / 2 / samples)
        pixels = torch.arange(kernel) - radius
        along = torch.exp(-2 * (radii * phi.cos()).unsqueeze(2).sub(pixels).square())
        down = torch.exp(-2 * (radii * phi.sin()).unsqueeze(2).sub(pixels).square())
        along = along / along.sum(2, keepdim=True) / (4 * samples)
        down = (down / down.sum(2, keepdim=True)).transpose(1, 2)
        real = down @ (along * (order * phi).cos()[:, None])
        imaginary = down @ (along * (order * phi).sin()[:, None])
        for turns in (2, 1):
            cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[order * turns % 4]
            x, y = (
                torch.rot90(real, turns, (-1, -2)),
                torch.rot90(imaginary, turns, (-1, -2)),
            )
            real, imaginary = (
                real + (cos * x - sin * y),
                imaginary + (sin * x + cos * y),
            )
        return torch.stack([real, imaginary])

    def filters(self) -> Tensor:
        """The filters as those of one convolution of real channels."""
        real, imaginary = self.basis[:, :, None, :, None]
        cos = (self.weight * self.phase.cos()[..., None])[..., None, None]
        sin = (self.weight * self.phase.sin()[..., None])[..., None, None]
        x = (cos * real).sum(4) - (sin * imaginary).sum(4)
        y = (cos * imaginary).sum(4) + (sin * real).sum(4)
        if self.real:
            return torch.stack([x, y], 2).flatten(0, 2).flatten(1, 2)
        parts = torch.stack([torch.stack([x, -y], 4), torch.stack([y, x], 4)], 2)
        return parts.flatten(0, 2).flatten(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, self.filters(), None, self.stride, self.padding)
'''

    def outputs(self) -> Size:
        return 2 * len(self.orders) * self.channels

    def run(self, x: Shape) -> int:
        return 1 if self.input_orders is None else 2 * len(self.input_orders)

    def check_runs(self, x: Shape) -> None:
        if self.input_orders is None or divides(self.run(x), x.channels) is not False:
            return
        orders = f"of each of {len(self.input_orders)} orders" if len(self.input_orders) > 1 else "of 1 order"
        mend = "`input_orders` are the `orders` of the harmonic_conv before"
        problem = BrokenRuns(self.kind, str(x), str(x.channels), self.run(x), f"{PAIR} {orders}", mend)
        raise Fault(problem, "input_orders", (0,))

    def pairs(self, x: Shape) -> tuple[Size, ...]:
        """Output orders, their maps, input orders, their maps."""
        given = 1 if self.input_orders is None else len(self.input_orders)
        return len(self.orders), self.channels, given, x.channels // self.run(x)

    @property
    def differences(self) -> list[int]:
        """The order of the filter from each input order to each output order."""
        return [n - p for n in self.orders for p in self.input_orders or (0,)]

    def weights(self, x: Shape) -> dict[str, Shape]:
        pairs = self.pairs(x)
        return {"weight": Shape((*pairs, (self.kernel + 1) // 2)), "phase": Shape(pairs)}

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        outer, _, inner, _ = self.pairs(x)
        return {"basis": Buffer(Shape((2, outer, inner, (self.kernel + 1) // 2, self.kernel, self.kernel)))}

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats_once=self.filters(x) + 2 * Shape(self.pairs(x)).count)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        (reads,) = super().reads(x)
        # Every filter of another order than 0 is 0 at its centre, which a kernel of odd extent has.
        if isinstance(reads, tuple) and all(self.differences) and self.kernel % 2 == 1:
            reads = tuple(Stencil(s.step_in, s.step_out, s.offsets, at_most=True) for s in reads)
        return (reads,)

    def build(self, nn: Code, x: Shape) -> Code:
        named: dict[str, Any] = {} if self.input_orders is None else {"input_orders": self.input_orders}
        named |= self.geometry(x)
        inputs = x.channels // self.run(x)
        return Code("HarmonicConv2d")(inputs, self.channels, self.kernel, self.orders, **named)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        (fibre,), (x,) = fibres, xs
        *_, inputs = self.pairs(x)
        if motion is not Motion.ROTATION or not isinstance(inputs, int) or not isinstance(self.channels, int):
            return None
        if max(inputs, self.channels) > MOST_PAIRS:
            return None
        if self.input_orders is None:
            given = fibre.kind == "scalar"
        else:
            wanted = tuple(order for order in self.input_orders for _ in range(inputs))
            given = _orders_of(fibre, x) == wanted
        orders = tuple(order for order in self.orders for _ in range(self.channels))
        return Fibre("harmonic", orders=orders, exact=fibre.exact) if given else None


class OfPairs(Layer, abstract=True):
    """The base of the layers that take complex maps one by one, whatever their order."""

    def check_pairs(self, x: Shape) -> None:
        """Raise `broken-runs` unless the channels are pairs."""
        if divides(2, x.channels) is False:
            raise Fault(BrokenRuns(self.kind, str(x), str(x.channels), 2, PAIR), inputs=(0,))

    def shape(self, x: Shape) -> Shape:
        self.check_pairs(x)
        return x

    def macs(self, x: Shape) -> Size:
        return 0

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        return doubt_runs(self.kind, xs[0].channels, 2)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        (fibre,) = fibres
        return fibre if _orders_of(fibre, xs[0]) else None


class HarmonicRelu(OfPairs):
    """A rectified linear unit of magnitudes, with a learned threshold: the C-ReLU of harmonic networks.

        y = max(|z| + bias_c, 0) z / |z|,   |z| = sqrt(re^2 + im^2 + eps)

    The direction of a complex number stays, so that turns are kept. The shape stays; one bias belongs to
    each pair of channels, and starts at 0, where the layer changes nothing. `eps` keeps the derivative
    finite where a map is 0.

    FLOPs: 5 an element, 10 a pair (the magnitude 5, the bias, the maximum, the division, two
    multiplications). The backward pass needs the input and, for each pair, the magnitude, what is left of
    it, and their quotient.

    ```arch
    network Small {
      input image: [1, 28, 28]
      harmonic_conv(8, kernel=5, orders=[0, 1, 2]) -> harmonic_relu
      magnitude
    }
    ```

    Source: Worrall, Garbin, Turmukhambetov and Brostow, Harmonic networks: deep translation and rotation
    equivariance, 2017.
    """

    autocast = Autocast.WIDENED

    eps: float = argument(kinds.small, "added to the square of the magnitude", 1e-5)

    source = '''\
class HarmonicReLU(nn.Module):
    """max(|z| + bias, 0) z / |z| of pairs of channels, the real and the imaginary
    parts of z.
    """

    def __init__(self, pairs: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.bias = nn.Parameter(torch.zeros(pairs))

    def forward(self, x: Tensor) -> Tensor:
        z = x.unflatten(1, (-1, 2))
        size = (z.square().sum(2) + self.eps).sqrt()
        left = torch.relu(size + self.bias.reshape(-1, *(1,) * (x.dim() - 2)))
        return (z * (left / size).unsqueeze(2)).flatten(1, 2)
'''

    def weights(self, x: Shape) -> dict[str, Shape]:
        return {"bias": Shape((x.channels // 2,))}

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def flops(self, x: Shape) -> Size:
        return 5 * x.count

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats=3 * (x.channels // 2) * x.positions)

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("HarmonicReLU")(x.channels // 2, **self.chosen("eps"))


class HarmonicNorm(OfPairs):
    """Batch normalisation of the magnitudes of complex maps, and a rectified linear unit of the result.

        y = max(w_c (|z| - mean_c) / sqrt(variance_c + eps) + b_c, 0) z / |z|
        |z| = sqrt(re^2 + im^2 + eps)

    The direction of a complex number stays, so that turns are kept. A magnitude can't be negative, so that
    what comes out below 0 is 0, and no `harmonic_relu` is needed after it. While the network is trained,
    mean and variance are those of the batch and all positions, and running averages of them are kept, which
    stand in when it is used. Weight w and bias b, one of each for a pair, start at 1 and 0. The shape stays.
    Buffers: running mean and variance of each pair, and the batch counter.

    FLOPs: 5.5 an element, 11 a pair (the magnitude 5, one scale and one shift, the maximum, the division,
    two multiplications). The backward pass needs the input and, for each pair, the magnitude, what is left
    of it, and their quotient, and mean and deviation once a batch.

    ```arch
    network Small {
      input image: [1, 28, 28]
      harmonic_conv(8, kernel=5) -> harmonic_norm
      harmonic_conv(8, kernel=5, input_orders=[0, 1]) -> harmonic_norm
      magnitude
    }
    ```

    Source: Worrall, Garbin, Turmukhambetov and Brostow, Harmonic networks: deep translation and rotation
    equivariance, 2017; Ioffe and Szegedy, Batch normalization, 2015.
    """

    eps: float = argument(kinds.small, "added to the variance, and to the square of the magnitude", 1e-5)
    momentum: float = argument(kinds.fraction, "weight of the newest batch in the running averages", 0.1)
    affine: bool = argument(kinds.boolean, "whether each pair has a learned scale and shift", True)

    source = '''\
class HarmonicNorm(nn.BatchNorm1d):
    """Batch normalisation of |z|, cut off at 0, for pairs of channels, the parts of
    z.
    """

    def forward(self, x: Tensor) -> Tensor:
        z = x.unflatten(1, (-1, 2))
        size = (z.square().sum(2) + self.eps).sqrt()
        left = torch.relu(super().forward(size.reshape(*size.shape[:2], -1))).view_as(
            size
        )
        return (z * (left / size).unsqueeze(2)).flatten(1, 2)
'''

    def weights(self, x: Shape) -> dict[str, Shape]:
        pairs = Shape((x.channels // 2,))
        return {"weight": pairs, "bias": pairs} if self.affine else {}

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        pairs = Shape((x.channels // 2,))
        return {
            "running_mean": Buffer(pairs),
            "running_var": Buffer(pairs),
            "num_batches_tracked": Buffer(Shape(()), integer=True),
        }

    def flops(self, x: Shape) -> Size:
        return 11 * (x.channels // 2) * x.positions

    def saved(self, x: Shape) -> Saved:
        pairs = x.channels // 2
        return Saved(inputs=(0,), floats=3 * pairs * x.positions, floats_once=2 * pairs)

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("HarmonicNorm")(x.channels // 2, **self.chosen("eps", "momentum", "affine"))


class Magnitude(OfPairs, Weightless):
    """The magnitudes of complex maps: what is left of them when turns are to change nothing.

        y[c, i] = sqrt(x[2c, i]^2 + x[2c + 1, i]^2)

    Each pair of channels, a real and an imaginary part, becomes one; positions stay. A turn of the image
    multiplies a complex map by a number of magnitude 1, so that the result only turns with the image, and
    after a global pooling stays the same. The derivative at 0 is taken as 0.

    FLOPs: 2 an element, 4 for each output (two squares, the addition, the root). The backward pass needs
    input and output.

    ```arch
    network Small {
      input image: [1, 28, 28]
      harmonic_conv(8, kernel=5, orders=[0, 1, 2]) -> harmonic_relu
      magnitude -> global_avg_pool -> flatten -> linear(10)
    }
    ```

    Source: Worrall, Garbin, Turmukhambetov and Brostow, Harmonic networks: deep translation and rotation
    equivariance, 2017. torch.linalg.vector_norm over pairs.
    """

    def shape(self, x: Shape) -> Shape:
        self.check_pairs(x)
        return Shape((x.channels // 2, *x.size))

    def flops(self, x: Shape) -> Size:
        return 4 * self.shape(x).count

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), output=True)

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return torch.linalg.vector_norm(values[0].unflatten(1, (-1, 2)), dim=2)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        found = super().answers(motion, fibres, *xs)
        return Fibre("scalar", exact=found.exact) if found else None


def _orders_of(fibre: Fibre, x: Shape) -> tuple[int, ...] | None:
    """The order of every pair of channels; plain pictures are of order 0. None where there is none."""
    if fibre.kind == "scalar" and isinstance(x.channels, int) and x.channels // 2 <= MOST_PAIRS:
        return (0,) * (x.channels // 2)
    return fibre.orders if fibre.kind == "harmonic" else None
