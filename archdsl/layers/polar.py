"""Polar coordinates: a turn of the picture becomes a shift along the angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import Kind, argument
from archdsl.layers.layer import Autocast, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.layers.symmetry import Fibre, Motion
from archdsl.layers.windows import check_map, divides, symbols_in
from archdsl.problems.arrangement import UndecidedSize
from archdsl.problems.layers import ChannelMismatch, NeedsPlane
from archdsl.problems.problem import Fault
from archdsl.problems.scattering import OriginShape
from archdsl.sizes import Size, at_least, equal

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem


def _pair(value: Any) -> Any:
    checked = kinds.sizes.check(value)
    return checked if checked is not None and len(checked) == 2 else None


def check_image(kind: str, x: Shape) -> None:
    """Raise `needs-plane` unless a value has channels, a height and a width."""
    check_map(kind, x)
    if x.axes != 2:
        raise Fault(NeedsPlane(kind, str(x), x.axes), inputs=(0,))


class LogPolar(Weightless):
    """Log-polar resampling: the map on a grid of angles and of the logarithm of distances from an origin.

        y[c, j, k] = x[c] at origin + R**(k/radii) * (cos(2 pi j/angles), sin(2 pi j/angles))

    along (width, height): angles run from the width's direction towards the height's. Distances are in
    samples, from 1 to just below R, half of the map's diagonal. Between samples x is interpolated
    bilinearly; outside it is 0. `size` is [angles, radii], and the output has these extents whatever those
    of the input are.

    The origin is the map's centre or, with `origin=`, the label of a value of shape [2]: (along the width,
    along the height), where -1 and 1 are the map's edges and 0 its centre, as `centroid` gives it. The
    gradient reaches the origin.

    About its origin, a turn of the picture by 360/angles degrees moves the output in a ring by one unit
    along the first axis, and a growth by R**(1/radii) moves it by one unit along the second. What follows
    should therefore be padded in a ring along the first axis alone, as below.

    FLOPs: 7 for each output (4 products, 3 additions), and with `origin=` 2 additions for each position. The
    backward pass keeps the input and where each position lies (2 numbers each; with `origin=` for each
    example, else once).

    ```arch
    network Small {
      input image: [1, 28, 28]
      middle: {
        conv(8, kernel=5, padding=same) -> relu
        conv(1, kernel=1) -> centroid
      }
      from image -> log_polar([32, 24], origin=middle)
      pad([1, 0], mode=circular) -> conv(16, kernel=3, padding=[0, 1]) -> relu
      global_max_pool -> flatten -> linear(10)
    }
    ```

    Source: Esteves, Allen-Blanchette, Zhou and Daniilidis, Polar transformer networks, 2018, section 3.3.
    torch.nn.functional.grid_sample.
    """

    autocast = Autocast.WIDENED
    source = '''\
def log_polar(
    x: Tensor, angles: int, radii: int, origin: Tensor | None = None
) -> Tensor:
    """Samples x at `angles` angles and `radii` distances, from 1 to half of its
    diagonal, from an origin.
    """
    height, width = x.shape[-2:]
    angle = torch.arange(angles, dtype=x.dtype, device=x.device)[:, None] * (
        2 * torch.pi / angles
    )
    exponent = torch.arange(radii, dtype=x.dtype, device=x.device) / radii
    distance = ((height**2 + width**2) ** 0.5 / 2) ** exponent
    # From edge to edge the map measures 2 along either axis.
    along = (
        distance * angle.cos() * (2 / width),
        distance * angle.sin() * (2 / height),
    )
    grid = torch.stack(along, dim=-1).expand(x.shape[0], angles, radii, 2)
    if origin is not None:
        grid = grid + origin[:, None, None]
    return F.grid_sample(x, grid, align_corners=False)
'''

    size: tuple[Size, Size] = argument(
        Kind("two positive whole numbers, `[angles, radii]`", _pair), "angles and radii of the grid"
    )
    origin: None = argument(
        kinds.further_value, "the origin of the grid, of shape [2]; else the centre", None
    )

    def shape(self, x: Shape, *origin: Shape) -> Shape:
        check_image(self.kind, x)
        for point in origin:
            if point.axes or equal(point.channels, 2) is False:
                raise Fault(OriginShape(self.kind, str(point)), "origin", inputs=(1,))
        return Shape((x.channels, *self.size))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        return tuple(
            UndecidedSize(self.kind, f"{point.channels} is 2", symbols_in(point))
            for point in xs[1:]
            if equal(point.channels, 2) is None
        )

    def flops(self, x: Shape, *origin: Shape) -> Size:
        y = self.shape(x, *origin)
        return 7 * y.count + (2 * y.positions if origin else 0)

    def saved(self, x: Shape, *origin: Shape) -> Saved:
        grid = 2 * self.shape(x, *origin).positions
        return Saved(inputs=(0,), floats=grid) if origin else Saved(inputs=(0,), floats_once=grid)

    def reads(self, x: Shape, *origin: Shape) -> tuple[Reads, ...]:
        """A fixed grid is fixed, but no stencil says it: a unit's row and column both depend on its angle."""
        return (Reach.CHOSEN, Reach.MIXED) if origin else (Reach.UNTOLD,)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        """A turn moves the map along its angles, where the origin turns along or is the centre."""
        angles, radii = self.size
        if fibres[0].kind != "scalar" or at_least(angles, 4) is False or at_least(radii, 2) is False:
            # Fewer samples have no place for a quarter turn, or for a change of scale.
            return None
        if motion is Motion.ROTATION and all((f.kind, f.orders) == ("harmonic", (1,)) for f in fibres[1:]):
            whole = divides(4, self.size[0]) is True
            ring = self.size[0] if isinstance(self.size[0], int) else 1
            return Fibre("polar", ring, exact=whole and all(f.exact for f in fibres))
        if motion is Motion.SCALE and len(fibres) == 1:
            return Fibre("polar", exact=False)
        return None

    def build(self, nn: Code, *xs: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return Code("log_polar")(values[0], *self.size, *values[1:])


class Centroid(Weightless):
    """The centre of mass of a heat map, as a point.

        y = sum over positions i of p[i] * place(i)

    The place of a sample is (along the width, along the height), or one number an axis from the last to the
    first, where -1 and 1 are the map's edges and 0 its centre: the sample of index i among n lies at
    (2 i + 1)/n - 1. So a map and the same map at another resolution have one centroid. The map [1, ...]
    becomes the vector [axes].

    The mass p comes from the map x by `mass`:

    - `softmax`: exp(x) divided by its sum, so that all mass is positive;
    - `relu`: max(x, 0) divided by its sum; a map without a positive sample has its centroid in the centre;
    - `sum`: x divided by its sum, which should stay away from 0.

    FLOPs: 2 for each multiply-accumulate (one an axis and position); and for n positions 5 n - 2 for
    `softmax`, 3 n - 1 for `relu` (n comparisons, n - 1 additions, n divisions), 2 n - 1 for `sum`. The
    backward pass keeps the places (once for a batch), and with `softmax` p, with `relu` max(x, 0) and 2
    numbers, with `sum` the input and its sum.

    ```arch
    network Small {
      input image: [1, 28, 28]
      conv(8, kernel=5, padding=same) -> relu
      conv(1, kernel=1) -> centroid
    }
    ```

    Source: Esteves et al., Polar transformer networks, 2018, section 3.2, whose programs divide by the sum;
    the softmax is that of Levine et al., End-to-end training of deep visuomotor policies, 2016.
    """

    autocast = Autocast.SHORT
    source = '''\
def centroid(x: Tensor, mass: str) -> Tensor:
    """The centre of mass of a map of one channel, from -1 to 1 along each axis, the
    last axis first.
    """
    axes = [
        (2 * torch.arange(n, dtype=x.dtype, device=x.device) + 1) / n - 1
        for n in x.shape[2:]
    ]
    places = torch.stack(torch.meshgrid(axes, indexing="ij")[::-1], dim=-1).flatten(
        0, -2
    )
    heat = x.flatten(1)
    if mass == "softmax":
        share = heat.softmax(dim=1)
    elif mass == "relu":
        share = F.normalize(F.relu(heat), p=1.0, dim=1)
    else:
        share = heat / heat.sum(dim=1, keepdim=True)
    return share @ places
'''

    mass: str = argument(kinds.choice("softmax", "relu", "sum"), "how samples become mass", "softmax")

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        if equal(x.channels, 1) is False:
            raise Fault(ChannelMismatch(self.kind, str(x), str(x.channels), "1"), inputs=(0,))
        return Shape((x.axes,))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        if equal(x.channels, 1) is None:
            return (UndecidedSize(self.kind, f"{x.channels} is 1", symbols_in((x.channels,))),)
        return ()

    def macs(self, x: Shape) -> Size:
        return x.axes * x.positions

    def flops(self, x: Shape) -> Size:
        n = x.positions
        return 2 * self.macs(x) + {"softmax": 5 * n - 2, "relu": 3 * n - 1, "sum": 2 * n - 1}[self.mass]

    def saved(self, x: Shape) -> Saved:
        n = x.positions
        places = x.axes * n
        if self.mass == "softmax":
            return Saved(floats=n, floats_once=places)
        if self.mass == "relu":
            return Saved(floats=n + 2, floats_once=places)
        return Saved(inputs=(0,), floats=1, floats_once=places)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.MIXED,)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        """A point turns with its map: as the number x + iy it is multiplied by exp(i * angle)."""
        (fibre,), (x,) = fibres, xs
        if motion is Motion.ROTATION and fibre.kind == "scalar" and x.axes == 2:
            return Fibre("harmonic", orders=(1,), exact=fibre.exact)
        return None

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return Code("centroid")(values[0], self.mass)
