"""Resampling: the same map at another resolution, without weights."""

from __future__ import annotations

from fractions import Fraction
from math import floor, prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers import stencils
from archdsl.layers.arguments import argument
from archdsl.layers.layer import Autocast, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads, Stencil, along_axes
from archdsl.layers.symmetry import Fibre, Motion, kept, kept_by_windows
from archdsl.layers.windows import (
    PerAxis,
    check_map,
    check_one_of,
    compact,
    depends,
    divides,
    needs,
    per_axis,
    symbols_in,
)
from archdsl.problems.arrangement import UndecidedSize
from archdsl.problems.layers import (
    ChannelsDoNotDivide,
    CornersOfNearest,
    CubicNeedsImage,
    EmptyOutput,
    ExtentsDoNotDivide,
)
from archdsl.problems.problem import Fault, extents
from archdsl.residues import agreeing
from archdsl.sizes import Size, at_least, divide_exactly, equal

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

Factors = float | tuple[float, ...]
"""One factor for all axes, or one an axis."""

TORCH_MODES = {
    "nearest": ("nearest", "nearest", "nearest"),
    "linear": ("linear", "bilinear", "trilinear"),
    "cubic": ("", "bicubic", ""),
}
"""torch's name of a mode along one, two and three axes."""

FINEST_SCALE = 10**6
"""A scale is taken as the nearest fraction with a denominator up to this: 1.3 as 13/10."""


class Upsample(Weightless):
    """Upsampling (or, with a scale below 1, downsampling) by interpolation.

    Output unit j lies at the input position (j + 1/2)/scale - 1/2: samples are thought of as the centres
    of pixels. With `align_corners=true` the first and last samples of input and output lie on each other,
    and it is j*(n - 1)/(m - 1) for extents n and m.

    - `nearest` takes the sample floor(j/scale);
    - `linear` (bilinear, trilinear) takes the weighted mean of the 2 neighbours along each axis;
    - `cubic` (images alone) takes 4 neighbours along each axis, weighted by Keys' kernel with a = -3/4.

    Outside of the map, the outermost sample is repeated. The extent n becomes m = floor(n*scale). With
    `size=` the extents are given and the scale is m/n; a scale that is given stands as it is, so where
    n*scale is not whole, `upsample(2.5)` is not the same as `upsample(size=floor(2.5*n))`. Both are
    torch.nn.functional.interpolate with the same argument, but for one thing that torch does in several
    ways: where rounding leaves m = n (`nearest`, `linear`) or m = 2*n (`nearest`), the scale is m/n.

    FLOPs for each output, of d axes: 0 for `nearest`; 2**d products and 2**d - 1 additions for `linear`
    (3, 7, 15 in all); 16 products and 15 additions for `cubic`. The backward pass keeps nothing.

    ```arch
    network Small {
      input image: [3, 16, 16]
      conv(8, kernel=3, padding=1) -> relu -> upsample(2)
      conv(3, kernel=3, padding=1) -> upsample(size=[50, 60], mode=linear, align_corners=true)
    }
    ```

    Source: Keys, Cubic convolution interpolation for digital image processing, 1981;
    torch.nn.functional.interpolate.
    """

    autocast = Autocast.LONG
    spreads = True
    scale: Factors | None = argument(kinds.factors, "output units for one input sample", None)
    size: PerAxis | None = argument(kinds.extent, "extent of the output, in place of a scale", None)
    mode: str = argument(kinds.choice("nearest", "linear", "cubic"), "how it interpolates", "nearest")
    align_corners: bool = argument(kinds.boolean, "whether the outermost samples stay outermost", False)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        check_one_of(self, "scale", "size")
        if self.mode == "cubic" and x.axes != 2:
            raise Fault(CubicNeedsImage(str(x), x.axes), "mode")
        if self.mode == "nearest" and self.align_corners:
            raise Fault(CornersOfNearest(), "align_corners")
        size = self.output_size(x)
        if any(at_least(extent, 1) is False for extent in size):
            raise Fault(EmptyOutput(self.kind, str(x), size), "scale")
        return Shape((x.channels, *size))

    def output_size(self, x: Shape) -> tuple[Size, ...]:
        """The extents of the output."""
        if self.size is not None:
            return per_axis("size", self.size, x)
        return tuple(
            _scaled(n, scale) for n, scale in zip(x.size, per_axis("scale", self.scale, x), strict=True)
        )

    def flops(self, x: Shape) -> Size:
        each: int = {"nearest": 0, "linear": 2 ** (x.axes + 1) - 1, "cubic": 31}[self.mode]
        return each * self.shape(x).count

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def axis_stencils(self, x: Shape) -> tuple[Stencil | None, ...]:
        """The stencil of each axis, None where it can't be given."""
        size = self.output_size(x)
        scales = (None,) * x.axes if self.scale is None else per_axis("scale", self.scale, x)
        return tuple(self._stencil(n, m, scale) for n, m, scale in zip(x.size, size, scales, strict=True))

    def _stencil(self, n: Size, m: Size, scale: float | None) -> Stencil | None:
        before, after = {"nearest": (0, 0), "linear": (0, 1), "cubic": (1, 2)}[self.mode]
        if self.align_corners:
            return _between_corners(n, m, before, after)
        step = _ratio(n, m) if scale is None else _step(self._exact(n, m, scale))
        if step is None:
            return None
        start = Fraction(0) if self.mode == "nearest" else (step - 1) / 2
        return stencils.interpolation(step, start, before, after)

    def _exact(self, n: Size, m: Size, scale: float) -> float:
        """The scale that a given one amounts to: see the documentation on rounding."""
        if self.mode != "cubic" and equal(m, n) is True:
            return 1
        if self.mode == "nearest" and equal(m, 2 * n) is True:
            return 2
        return scale

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(self.axis_stencils(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        unknown = [n for n, stencil in zip(x.size, self.axis_stencils(x), strict=True) if stencil is None]
        conditions = ((extent, 1) for extent in self.output_size(x))
        return needs(self.kind, conditions) + depends(self.kind, unknown, "its receptive field is not given")

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        (x,) = xs
        named: dict[str, Any] = {}
        if self.scale is None:
            named["size"] = compact(per_axis("size", self.size, x))
        else:
            scales = per_axis("scale", self.scale, x)
            triples = zip(x.size, self.output_size(x), scales, strict=True)
            named["scale_factor"] = compact(self._exact(n, m, scale) for n, m, scale in triples)
        named["mode"] = TORCH_MODES[self.mode][x.axes - 1]
        if self.align_corners:
            named["align_corners"] = True
        return torch.F.interpolate(values[0], **named)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        if motion is Motion.SCALE and self.mode == "nearest" and self.size is None:
            # A picture whose samples are repeated is the same picture.
            return kept(fibres, ("scalar",))
        if not self.centred(*xs):
            return kept_by_windows(motion, fibres, ("polar",))
        return kept_by_windows(motion, fibres)

    def centred(self, x: Shape) -> bool:
        """Whether units lie alike from both ends: not where a scale gives no whole number of them.

        Of the nearest sample alone what is read says it all.
        """
        if self.mode == "nearest" or self.scale is None or self.align_corners:
            return True
        axes = zip(x.size, self.output_size(x), per_axis("scale", self.scale, x), strict=True)
        return all(_step(self._exact(n, m, scale)) == _ratio(n, m) for n, m, scale in axes)


def _scaled(n: Size, scale: float) -> Size:
    """floor(n*scale), in the floating point of torch where the extent is known."""
    if isinstance(scale, float) and scale.is_integer():
        scale = int(scale)
    if isinstance(n, int):
        return floor(n * scale)
    if isinstance(scale, int):
        return n * scale
    fraction = Fraction(scale).limit_denominator(FINEST_SCALE)
    return n * fraction.numerator // fraction.denominator


def _step(scale: float) -> Fraction | None:
    """Input samples from one output unit to the next; None for a scale that is almost 0."""
    fraction = Fraction(scale).limit_denominator(FINEST_SCALE)
    return 1 / fraction if fraction else None


def _between_corners(n: Size, m: Size, before: int, after: int) -> Stencil | None:
    """The stencil along an axis whose n samples become m, the outermost ones on each other."""
    if equal(n, m) is True:
        return stencils.shifted(0)
    if not isinstance(n, int) or not isinstance(m, int):
        return None
    if m == 1:
        return Stencil(n, 1, (range(1),))
    if n == 1:
        return stencils.repeated(m)
    return stencils.interpolation(Fraction(n - 1, m - 1), Fraction(0), before, after)


def _ratio(n: Size, m: Size) -> Fraction | None:
    """n/m, where it is known."""
    if isinstance(n, int) and isinstance(m, int):
        return Fraction(n, m)
    grows, shrinks = divide_exactly(m, n), divide_exactly(n, m)
    if isinstance(grows, int):
        return Fraction(1, grows)
    if isinstance(shrinks, int):
        return Fraction(shrinks)
    return None


class PixelShuffle(Weightless):
    """Pixel shuffle: groups of channels become finer positions.

    y[c, i*factor + r] = x[c*factor + r, i], with r from 0 to factor - 1, along each axis

    On an image, factor*factor channels become a block of factor x factor pixels (the column counts
    fastest): [channels * factor**2, height, width] becomes [channels, height * factor, width * factor].
    The factor may differ from axis to axis, and signals and volumes are shuffled alike.

    FLOPs: none, values are only moved. The backward pass keeps nothing.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(12, kernel=3, padding=1) -> pixel_shuffle(2)
    }
    ```

    Source: Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network, 2016. torch.nn.PixelShuffle.
    """

    factor: PerAxis = argument(kinds.extent, "positions that one position becomes, along each axis")

    def factors(self, x: Shape) -> tuple[Size, ...]:
        """The factor of each axis."""
        return per_axis("factor", self.factor, x)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        factors = self.factors(x)
        divisor = prod(factors)
        if divides(divisor, x.channels) is False:
            raise Fault(ChannelsDoNotDivide(str(x.channels), _by(factors), str(divisor)), "factor")
        size = (extent * factor for extent, factor in zip(x.size, factors, strict=True))
        return Shape((x.channels // divisor, *size))

    def flops(self, x: Shape) -> Size:
        return 0

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(stencils.repeated(f) if isinstance(f, int) else None for f in self.factors(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        return _division_doubts(self.kind, [(prod(self.factors(x)), x.channels)])

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        (x,), (value,) = xs, values
        factors = self.factors(x)
        axes = x.axes
        if axes == 2 and factors[0] == factors[1]:
            return torch.F.pixel_shuffle(value, factors[0])
        # [batch, channels, factors..., extents...], then each factor behind its extent.
        apart = value.unflatten(1, (-1, *factors))
        if axes > 1:
            order = [place for axis in range(2, 2 + axes) for place in (axes + axis, axis)]
            apart = apart.permute(0, 1, *order)
        else:
            apart = apart.transpose(2, 3)
        for axis in range(axes, 0, -1):
            apart = apart.flatten(2 * axis, 2 * axis + 1)
        return apart


class PixelUnshuffle(Weightless):
    """Pixel unshuffle: blocks of positions become channels; `pixel_shuffle` turned round.

    y[c*factor + r, i] = x[c, i*factor + r], with r from 0 to factor - 1, along each axis

    [channels, height, width] becomes [channels * factor**2, height / factor, width / factor], and nothing
    is lost. The factor may differ from axis to axis.

    FLOPs: none, values are only moved. The backward pass keeps nothing.

    ```arch
    network Small {
      input image: [3, 32, 32]
      pixel_unshuffle(2) -> conv(24, kernel=3, padding=1)
    }
    ```

    Source: Shi et al., 2016; also called space to depth. torch.nn.PixelUnshuffle.
    """

    factor: PerAxis = argument(kinds.extent, "positions that become one position, along each axis")

    def factors(self, x: Shape) -> tuple[Size, ...]:
        """The factor of each axis."""
        return per_axis("factor", self.factor, x)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        factors = self.factors(x)
        for axis, extent, factor in zip(x.axis_names[1:], x.size, factors, strict=True):
            if divides(factor, extent) is False:
                raise Fault(ExtentsDoNotDivide(axis, str(extent), str(factor)), "factor")
        size = (extent // factor for extent, factor in zip(x.size, factors, strict=True))
        return Shape((x.channels * prod(factors), *size))

    def flops(self, x: Shape) -> Size:
        return 0

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(stencils.window(f, f) if isinstance(f, int) else None for f in self.factors(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        return _division_doubts(self.kind, zip(self.factors(x), x.size, strict=True))

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        (x,), (value,) = xs, values
        factors = self.factors(x)
        axes = x.axes
        if axes == 2 and factors[0] == factors[1]:
            return torch.F.pixel_unshuffle(value, factors[0])
        # [batch, channels, extent, factor, extent, factor, ...], then the factors behind the channels.
        apart = value
        for axis in range(axes, 0, -1):
            apart = apart.unflatten(1 + axis, (-1, factors[axis - 1]))
        if axes > 1:
            apart = apart.permute(0, 1, *range(3, 3 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2))
        else:
            apart = apart.transpose(2, 3)
        return apart.flatten(1, 1 + axes)


def _by(factors: tuple[Size, ...]) -> str:
    """`2` where the factors are all 2, else `2 x 1`."""
    value = compact(factors)
    return extents(value) if isinstance(value, tuple) else str(value)


def _division_doubts(kind: str, pairs: Any) -> tuple[Problem, ...]:
    """A warning for each pair of which it can't be decided whether the first divides the second."""
    found = []
    for n, a in dict.fromkeys(pairs):
        if divides(n, a) is None:
            decided = agreeing(a, a // n * n) if isinstance(n, int) else None
            fits = () if decided is None else (decided,)
            found.append(UndecidedSize(kind, f"{n} divides {a}", symbols_in((n, a)), fits))
    return tuple(found)
