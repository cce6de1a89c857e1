"""The scattering transform: wavelets, moduli and averages, with nothing to learn."""

from __future__ import annotations

from math import floor, log2
from typing import Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import Kind, argument
from archdsl.layers.layer import Autocast, Buffer, Saved, Weightless
from archdsl.layers.polar import check_image
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.layers.windows import symbols_in
from archdsl.problems.problem import Fault
from archdsl.problems.scattering import ScatteringOfOpenSize, ScatteringTooCoarse
from archdsl.sizes import Size

INDEX_BYTES = 8
"""Indices are int64."""

ORDER = Kind("1 or 2", lambda value: value if value in (1, 2) and not isinstance(value, bool) else None)


class Scattering(Weightless):
    """The scattering transform: what is left of a picture after wavelets, moduli and averages.

        S0 = x * phi
        S1[j, l] = |x * psi[j, l]| * phi
        S2[j, l, j', l'] = ||x * psi[j, l]| * psi[j', l']| * phi, for j < j'

    * is convolution in space, psi[j, l] a Morlet wavelet of scale 2**j (j below `scales`) at the angle
    (angles//2 - 1 - l) pi/angles, and phi a Gaussian of scale 2**scales, by which the result is
    sub-sampled: an extent n becomes n // 2**scales. Moduli are taken on grids as coarse as their wavelets
    allow. The picture is reflected at its borders and taken as periodic beyond. Bells have the deviation
    0.8 * 2**j (0.8 * 2**(scales - 1) for phi) along the wave and the integral 1, waves the frequency
    3 pi/4 / 2**j, and across the wave a bell is angles/4 times as wide.

    Each channel becomes, in this order, S0, S1 and, with `order=2`, S2: 1 + J L + L**2 J (J - 1)/2 channels
    for J scales and L angles; the last index counts fastest.

    With `roto=true` the second wavelets run along the angles too: for each l' and each k

        S2[j, j', l', k] = mean over l of ||x * psi[j, l]| * psi[j', l + l'] * rho[k]| * phi

    where rho[k] acts along l, over the full circle of 2 L angles: K = floor(log2 L) Morlet wavelets of
    scale 2**k, and a bell of scale 2**K last. Before these come S1[j], the mean over l, and between the two
    M[j, k] = mean over l of ||x * psi[j, l]| * phi * rho[k]|, for the wavelets alone. That makes
    1 + J + J K + J (J - 1)/2 L (K + 1) channels, which a turn by a multiple of pi/L leaves as they are, but
    for their positions and what sampling does.

    FLOPs: 5 n log2 n for a Fourier transform of n numbers (one of the picture, two for each modulus, one
    for each output channel), 2 for each frequency that a filter multiplies, 2 for each that is folded by
    sub-sampling, 4 a modulus; along the angles as well. None are multiply-accumulates. The backward pass
    keeps all that moduli are taken of, and filters cut down to coarser grids once for a batch. As
    ONNX has no complex numbers, a network with this layer has no ONNX graph.

    ```arch
    network Small {
      input image: [1, 28, 28]
      scattering(2, angles=8) -> batch_norm
      flatten -> linear(10)
    }
    ```

    Source: Bruna and Mallat, Invariant scattering convolution networks, 2013; with `roto=true`, Sifre and
    Mallat, Rotation, scaling and deformation invariant scattering for texture discrimination, 2013. Filters,
    borders and order are those of the package kymatio 0.3 (Andreux et al., 2020).
    """

    autocast = Autocast.WIDENED
    source = '''\
def wavelet(
    bell: Tensor, along: Tensor, frequency: float, size: tuple[int, ...]
) -> Tensor:
    """The spectrum of a wave under a bell, of mean 0; or of the bell alone."""
    if frequency:
        wave = bell * torch.exp(1j * frequency * along)
        bell = wave - bell * (wave.sum() / bell.sum())
    for axis, extent in enumerate(size):
        bell = bell.unflatten(axis, (-1, extent)).sum(axis)
    return torch.fft.fftn(bell).real.to(torch.get_default_dtype())


def fold(spectrum: Tensor, factor: int) -> Tensor:
    """The spectrum of every `factor`-th sample along the last two axes."""
    if factor == 1:
        return spectrum
    return (
        spectrum.unflatten(-1, (factor, -1))
        .mean(-2)
        .unflatten(-2, (factor, -1))
        .mean(-3)
    )


def coarse(filters: Tensor, level: int) -> Tensor:
    """Spectra on a grid that is coarser by 2**level: their low frequencies."""
    for axis in (-2, -1) if level else ():
        half = filters.shape[axis] >> (level + 1)
        ends = (
            filters.narrow(axis, 0, half),
            filters.narrow(axis, filters.shape[axis] - half, half),
        )
        filters = torch.cat(ends, axis)
    return filters


class Scattering(nn.Module):
    """Wavelets, moduli and averages of pictures of one size."""

    phi: Tensor
    psi: Tensor
    rho: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        scales: int,
        angles: int,
        order: int = 2,
        roto: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.scales, self.angles, self.order, self.roto = (
            size,
            scales,
            angles,
            order,
            roto,
        )
        step = 2**scales
        self.padded = tuple((extent // step + 2) * step for extent in size)
        rows, columns = (
            torch.arange(-2 * n, 3 * n, dtype=torch.float64) for n in self.padded
        )
        psi = []
        for scale, index in ((j, i) for j in range(scales) for i in range(angles)):
            angle = torch.tensor(
                (angles // 2 - 1 - index) * torch.pi / angles, dtype=torch.float64
            )
            along = rows[:, None] * angle.cos() + columns * angle.sin()
            across = (columns * angle.cos() - rows[:, None] * angle.sin()) * (
                4 / angles
            )
            variance = (0.8 * 2**scale) ** 2
            bell = torch.exp(-(along**2 + across**2) / (2 * variance)) * (4 / angles)
            bell = bell / (2 * torch.pi * variance)
            psi.append(wavelet(bell, along, 0.75 * torch.pi / 2**scale, self.padded))
        self.register_buffer("psi", torch.stack(psi).unflatten(0, (scales, angles)))
        variance, square = (
            (0.8 * 2 ** (scales - 1)) ** 2,
            rows[:, None] ** 2 + columns**2,
        )
        bell = torch.exp(-square / (2 * variance)) / (2 * torch.pi * variance)
        self.register_buffer("phi", wavelet(bell, square, 0, self.padded))
        if roto:
            turns = torch.arange(-4 * angles, 6 * angles, dtype=torch.float64)
            last = angles.bit_length() - 1
            rho = []
            for scale in range(last + 1):
                bell = torch.exp(
                    -(turns**2) / (2 * (0.8 * 2 ** min(scale, last - 1)) ** 2)
                )
                frequency = 0.75 * torch.pi / 2**scale if scale < last else 0
                rho.append(wavelet(bell / bell.sum(), turns, frequency, (2 * angles,)))
            self.register_buffer("rho", torch.stack(rho))

    def smooth(self, spectrum: Tensor, level: int) -> Tensor:
        """What phi leaves of a spectrum on a coarser grid, without the padding."""
        kept = fold(spectrum * coarse(self.phi, level), 2 ** (self.scales - level))
        return torch.fft.ifft2(kept).real[..., 1:-1, 1:-1]

    def turned(self, x: Tensor) -> Tensor:
        """The mean over angles (axis 2) of moduli after each wavelet along them."""
        circle = torch.fft.fft(torch.cat((x, x.conj()), 2), dim=2).unsqueeze(2)
        rho = self.rho.view(-1, 2 * self.angles, *(1 for _ in x.shape[3:]))
        return torch.fft.ifft(circle * rho, dim=3).abs().mean(3)

    def forward(self, x: Tensor) -> Tensor:
        for axis, (extent, padded) in enumerate(
            zip(self.size, self.padded, strict=True), 2
        ):
            place = torch.arange(padded, device=x.device) - (padded - extent) // 2
            place = place.remainder(2 * extent - 2)
            x = x.index_select(axis, torch.minimum(place, 2 * extent - 2 - place))
        spectrum = torch.fft.fft2(x)
        first, around, second = [self.smooth(spectrum, 0).unsqueeze(2)], [], []
        index = torch.arange(self.angles, device=x.device)
        sums = index[:, None] + index
        for low in range(self.scales):
            u = torch.fft.fft2(
                torch.fft.ifft2(
                    fold(spectrum.unsqueeze(2) * self.psi[low], 2**low)
                ).abs()
            )
            s = self.smooth(u, low)
            first.append(s.mean(2, keepdim=True) if self.roto else s)
            if self.roto and self.order == 2:
                around.append(self.turned(s)[:, :, :-1])
            paths = []
            for high in range(low + 1, self.scales if self.order == 2 else 0):
                filters = coarse(self.psi[high], low)
                if self.roto:
                    filters = filters[sums.remainder(self.angles)]
                v = torch.fft.ifft2(fold(u.unsqueeze(3) * filters, 2 ** (high - low)))
                if self.roto:
                    # Half a turn further on, a wavelet is its own conjugate.
                    v = self.turned(
                        torch.where((sums < self.angles)[..., None, None], v, v.conj())
                    )
                    paths.append(self.smooth(torch.fft.fft2(v.transpose(2, 3)), high))
                else:
                    paths.append(self.smooth(torch.fft.fft2(v.abs()), high))
            if paths:
                second.append(torch.stack(paths, 2 if self.roto else 3).flatten(2, 4))
        return torch.cat((*first, *around, *second), dim=2).flatten(1, 2)
'''

    no_onnx = "it has no complex numbers, which the Fourier transforms need"

    scales: int = argument(kinds.positive, "number of scales; extents are divided by two to this power")
    angles: int = argument(kinds.positive, "number of angles", 8)
    order: int = argument(ORDER, "most wavelets one after another", 2)
    roto: bool = argument(
        kinds.boolean, "whether wavelets run along the angles, and these are averaged", False
    )

    @property
    def turns(self) -> int:
        """The number of wavelets along the angles."""
        return floor(log2(self.angles))

    @property
    def paths(self) -> int:
        """The channels that are made of one."""
        scales, pairs = self.scales, self.scales * (self.scales - 1) // 2
        if self.roto:
            second = scales * self.turns + pairs * self.angles * (self.turns + 1)
            return 1 + scales + (second if self.order == 2 else 0)
        return 1 + scales * self.angles + (pairs * self.angles**2 if self.order == 2 else 0)

    def shape(self, x: Shape) -> Shape:
        check_image(self.kind, x)
        open_ = symbols_in((*x.size, self.scales, self.angles))
        if open_:
            raise Fault(ScatteringOfOpenSize(self.kind, str(x), open_), inputs=(0,))
        most = floor(log2(min(map(_number, x.size))))
        if _number(self.scales) > most:
            raise Fault(ScatteringTooCoarse(str(x), self.scales, most), "scales")
        return Shape((x.channels * self.paths, *(extent // 2**self.scales for extent in x.size)))

    def padded(self, x: Shape) -> tuple[int, int]:
        """The extents of the periodic picture."""
        step = 2**self.scales
        height, width = ((_number(extent) // step + 2) * step for extent in x.size)
        return height, width

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        padded = self.padded(x)
        made = {
            "psi": Buffer(Shape((self.scales, self.angles, *padded))),
            "phi": Buffer(Shape(padded)),
        }
        if self.roto:
            made["rho"] = Buffer(Shape((self.turns + 1, 2 * self.angles)))
        return made

    def grid(self, x: Shape, level: int) -> int:
        """The samples of the periodic picture on a grid coarser by 2**level."""
        height, width = self.padded(x)
        return (height >> level) * (width >> level)

    def pairs(self) -> list[tuple[int, int]]:
        """The scales of the first and the second wavelet."""
        if self.order == 1:
            return []
        return [(low, high) for low in range(self.scales) for high in range(low + 1, self.scales)]

    def flops(self, x: Shape) -> Size:
        each, last, circle = self.angles, self.grid(x, self.scales), 2 * self.angles

        def smooth(level: int) -> int:
            return 4 * self.grid(x, level) + _fourier(last)

        def filtered(low: int, high: int) -> int:
            """A filter on one grid, and the way to another."""
            folded = 2 if high > low else 0
            return (2 + folded) * self.grid(x, low) + _fourier(self.grid(x, high))

        def turned(samples: int) -> int:
            """Along the circle at each sample: there, each filter and back, its moduli and their mean."""
            along = _fourier(circle) + (self.turns + 1) * (2 * circle + _fourier(circle) + 5 * circle)
            return samples * along

        total = _fourier(self.grid(x, 0)) + smooth(0)
        for low in range(self.scales):
            grid = self.grid(x, low)
            total += each * (filtered(0, low) + 4 * grid + _fourier(grid) + smooth(low))
            if self.roto:
                kept = _number(self.shape(x).positions)
                total += each * kept + (turned(kept) if self.order == 2 else 0)
        for low, high in self.pairs():
            grid = self.grid(x, high)
            total += each**2 * filtered(low, high)
            if self.roto:
                total += each * turned(grid) + each * (self.turns + 1) * (_fourier(grid) + smooth(high))
            else:
                total += each**2 * (4 * grid + _fourier(grid) + smooth(high))
        return x.channels * total

    def saved(self, x: Shape) -> Saved:
        each, channels, circle = self.angles, x.channels, 2 * self.angles * (self.turns + 1)
        floats = sum(2 * each * self.grid(x, low) for low in range(self.scales))
        constants = sum(self.grid(x, low) for low in range(1, self.scales))
        once = INDEX_BYTES * sum(self.padded(x))
        if self.roto and self.order == 2:
            floats += self.scales * (2 * circle + 2 * each) * _number(self.shape(x).positions)
        for low, high in self.pairs():
            constants += self.grid(x, high)
            if self.roto:
                floats += 2 * circle * each * self.grid(x, high)
                constants += each**2 * self.grid(x, low)
                once += each**2
            else:
                floats += 2 * each**2 * self.grid(x, high)
                constants += each * self.grid(x, low) if low else 0
        return Saved(floats=channels * floats, floats_once=constants, once=once)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        """A filter is as large as the picture: a unit reads all of it, the nearest samples most."""
        return (Reach.MIXED,)

    def build(self, nn: Code, x: Shape) -> Code:
        named: dict[str, Any] = self.chosen("order", "roto")
        return Code("Scattering")(x.size, self.scales, self.angles, **named)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


def _number(size: Size) -> int:
    """A size that `shape` has found to be a number."""
    assert isinstance(size, int)
    return size


def _fourier(samples: int) -> int:
    """The FLOPs of a Fourier transform."""
    return round(5 * samples * log2(samples))
