"""Poolings of regions: from a map and boxes on it to a map of each box, all of one extent."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.dynamic import channel_doubts
from archdsl.layers.layer import Autocast, Saved, Weightless
from archdsl.layers.pooling import INDEX_BYTES
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.layers.windows import PerAxis, check_map, per_axis
from archdsl.problems.problem import Fault
from archdsl.problems.regions import NoAxisForRegions, RegionsMismatch
from archdsl.sizes import Size, equal

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem


class RegionPooling(Weightless, abstract=True):
    """The base of the poolings of regions."""

    size: PerAxis

    def shape(self, x: Shape, regions: Shape) -> Shape:
        check_map(self.kind, x)
        if x.axes == 3:
            raise Fault(NoAxisForRegions(self.kind, str(x)), inputs=(0,))
        size = per_axis("size", self.size, x)
        corners = 2 * x.axes
        if regions.axes != 1 or equal(regions.channels, corners) is False:
            lying = regions.axes == 1 and equal(regions[1], corners) is True
            expected = f"[{corners}, R]"
            problem = RegionsMismatch(self.kind, str(x), str(regions), expected, lying)
            raise Fault(problem, "regions", inputs=(0, 1))
        return Shape((x.channels, *regions.size, *size))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        x, regions = xs
        return channel_doubts(self.kind, regions, 2 * x.axes)

    def reads(self, x: Shape, regions: Shape) -> tuple[Reads, ...]:
        return Reach.CHOSEN, Reach.MIXED

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(*values)


class RoiMaxPool(RegionPooling):
    """Region-of-interest max pooling: a grid on each region of a map, and the largest sample of each bin.

        y[c, r, i, j] = max of x[c] over bin (i, j) of region r,  0 where the bin is empty

    `regions` is the label of a map [4, R] of the boxes of R regions: x1, y1, x2 and y2, in pixels of the
    image; x has `scale` samples for each. Multiplied by `scale` and rounded (halves up) they are the first
    and last sample of the region along each axis; with e samples from a first one f, at least one, bin i of
    `size` has the samples from f + floor(i*e/size) up to, and without, f + ceil((i + 1)*e/size). Bins so
    share a sample where their border falls into it. Samples outside of the map do not count. The regions
    choose what is read, anywhere in the map, and no gradient flows into them.

    The regions become the first spatial axis: [C, H, W] and [4, R] make [C, R, size, size]. A fully
    connected layer that all regions share is then `conv(features, kernel=[1, size, size])`, with as many
    weights, and one after it a `conv` with a kernel of 1. Of a signal [C, L] the regions are [2, R], starts
    and ends, and make [C, R, size].

    FLOPs: counted as for regions of the whole map, a comparison for each of its samples, for each channel and
    region. The backward pass keeps the input, the place of each maximum (8 bytes) and for each bin of each
    region whether it is empty (a byte).

    ```arch
    network Detector {
      input image: [3, 224, 224]
      input regions: [4, 300]
      from image
      features: conv(64, kernel=7, stride=4, padding=3) -> relu -> max_pool(4)
      pooled: roi_max_pool(regions, size=7, scale=1/16)
      hidden: conv(1024, kernel=[1, 7, 7]) -> relu
      scores: conv(21, kernel=1) -> reshape([21, 300])
      expect pooled.shape == [64, 300, 7, 7]
    }
    ```

    Source: Girshick, Fast R-CNN, 2015, Section 2.1, and Caffe's ROIPooling layer of the same author.
    """

    source = '''\
class RegionMaxPooling(nn.Module):
    """Lays a grid on each region and takes the largest sample of each bin.

    Along each axis a bin is two windows, overlapping or not, of a power of 2 samples.
    The places of the largest samples of all such windows are found first.
    """

    def __init__(self, size: tuple[int, ...], scale: float) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        extents = x.shape[2:]
        samples = x.detach().flatten(2)
        corners = torch.floor(regions.detach() * self.scale + 0.5).long()
        # They name the last axis first.
        low, high = corners.unflatten(1, (2, -1)).flip(2).unbind(1)
        place = torch.arange(extents.numel(), device=x.device).reshape(extents)
        tables = [place.expand_as(x)]
        grid = (*regions.shape[::2], *(1 for _ in extents))
        window = level = torch.zeros((1, *grid), dtype=torch.long, device=x.device)
        empty = torch.zeros(grid, dtype=torch.bool, device=x.device)
        for axis, (extent, size) in enumerate(zip(extents, self.size, strict=True)):
            tables = [
                doubled
                for table in tables
                for doubled in self.doubled(samples, table, axis + 2)
            ]
            start = low[:, axis, :, None]
            span = (high[:, axis, :, None] - start + 1).clamp(min=1)
            bins = torch.arange(size, device=x.device)
            first = start + torch.div(bins * span, size, rounding_mode="floor")
            last = start - torch.div(-(bins + 1) * span, size, rounding_mode="floor")
            first, last = first.clamp(0, extent), last.clamp(0, extent)
            along = [1 for _ in extents]
            along[axis] = size
            empty = empty | (last <= first).unflatten(2, along)
            first = first.clamp(max=extent - 1)
            last = torch.maximum(last, first + 1)
            powers = 2 ** torch.arange(extent.bit_length(), device=x.device)
            power = ((last - first).unsqueeze(3) >= powers).sum(3) - 1
            ends = torch.stack((first, last - powers[power])).unflatten(3, along)
            window = (window.unsqueeze(1) * extent + ends).flatten(0, 1)
            level = level * len(powers) + power.unflatten(2, along)
        found = (level * extents.numel() + window).movedim(0, 1)
        table = torch.stack(tables, 2).flatten(2)
        index = found.flatten(1).unsqueeze(1).expand(-1, x.shape[1], -1)
        places = table.gather(2, index).unflatten(2, (found.shape[1], -1)).unbind(2)
        largest = places[0]
        for other in places[1:]:
            largest = self.larger(samples, largest, other)
        y = x.flatten(2).gather(2, largest).unflatten(2, (-1, *self.size))
        return y.masked_fill(empty.unsqueeze(1), 0.0)

    def doubled(self, samples: Tensor, table: Tensor, axis: int) -> list[Tensor]:
        """The places of the largest samples of windows 1, 2, 4, ... times as long."""
        tables = [table]
        while 2 ** len(tables) <= table.shape[axis]:
            other = tables[-1].roll(-(2 ** (len(tables) - 1)), axis)
            larger = self.larger(samples, tables[-1].flatten(2), other.flatten(2))
            tables.append(larger.reshape(table.shape))
        return tables

    def larger(self, samples: Tensor, places: Tensor, others: Tensor) -> Tensor:
        """Of two places, that with the larger sample."""
        second = samples.gather(2, others) > samples.gather(2, places)
        return torch.where(second, others, places)
'''

    regions: None = argument(kinds.further_value, "the boxes, in pixels of the image")
    size: PerAxis = argument(kinds.extent, "bins along each axis", 7)
    scale: float = argument(kinds.positive_number, "samples of the map for each pixel of the image", 1 / 16)

    def flops(self, x: Shape, regions: Shape) -> Size:
        return x.count * regions.positions

    def saved(self, x: Shape, regions: Shape) -> Saved:
        y = self.shape(x, regions)
        return Saved(inputs=(0,), extra=INDEX_BYTES * y.count + y.positions)

    def build(self, nn: Code, x: Shape, regions: Shape) -> Code:
        return Code("RegionMaxPooling")(per_axis("size", self.size, x), self.scale)


class RoiAlign(RegionPooling):
    """Region-of-interest alignment: a grid on each region of a map, and the mean of a few places of each bin.

        y[c, r, i, j] = mean over the samples s, t of each bin of x[c] at (v, u),
        v = y1 + (i + (s + 1/2)/samples) * (y2 - y1)/size, and u alike, of the corners times `scale`

    `regions` is the label of a map [4, R] of the boxes of R regions: x1, y1, x2 and y2, in pixels of the
    image; x has `scale` samples for each. Nothing is rounded: each bin of the grid has `samples` places
    along each axis, and x is interpolated bilinearly there. Up to a sample outside of the map the outermost
    one is repeated; further out x is 0. A region measures at least one sample of the map along each axis.

    Sample k of the map lies at k. With `aligned` it lies at k + 1/2, as the centre of a pixel does: 1/2 is
    taken off the corners, and a region may be as small as it likes. Mask R-CNN has it without. The regions
    choose what is read, anywhere in the map, and no gradient flows into them.

    The regions become the first spatial axis: [C, H, W] and [4, R] make [C, R, size, size]. A convolution
    of each region is then a `conv` with `kernel=[1, 3, 3]`, and a fully connected layer that all regions
    share one with `kernel=[1, size, size]`. Of a signal [C, L] the regions are [2, R], starts and ends, and
    make [C, R, size]; x is then interpolated linearly.

    FLOPs: for each place 4 products, 3 additions and 1 for the mean (of a signal 2, 1 and 1), for each
    channel. The backward pass keeps the input and the places: 2 numbers each.

    ```arch
    network Masks {
      input image: [3, 224, 224]
      input regions: [4, 100]
      from image
      features: conv(64, kernel=7, stride=4, padding=3) -> relu -> max_pool(4)
      aligned: roi_align(regions, size=14, scale=1/16, samples=2)
      repeat 4 { conv(64, kernel=[1, 3, 3], padding=[0, 1, 1]) -> relu }
      masks: conv_transpose(64, kernel=[1, 2, 2], stride=[1, 2, 2]) -> relu -> conv(20, kernel=1)
      expect masks.shape == [20, 100, 28, 28]
    }
    ```

    Source: He, Gkioxari, Dollár and Girshick, Mask R-CNN, 2017, Section 3; `aligned` is Detectron2's.
    torchvision.ops.roi_align.
    """

    autocast = Autocast.WIDENED
    source = '''\
class RegionAlignment(nn.Module):
    """Lays a grid on each region and takes the mean of places in each bin."""

    def __init__(
        self, size: tuple[int, ...], scale: float, samples: int, aligned: bool = False
    ) -> None:
        super().__init__()
        self.size, self.scale, self.samples = size, scale, samples
        self.aligned = aligned

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        corners = regions.detach() * self.scale - (0.5 if self.aligned else 0.0)
        # They name the last axis first.
        low, high = corners.unflatten(1, (2, -1)).flip(2).unbind(1)
        span = high - low if self.aligned else (high - low).clamp(min=1)
        places: list[Tensor] = []
        for axis, (extent, size) in enumerate(zip(x.shape[2:], self.size, strict=True)):
            count = size * self.samples
            steps = (torch.arange(count, dtype=x.dtype, device=x.device) + 0.5) / count
            place = low[:, axis, :, None] + steps * span[:, axis, :, None]
            inside = (place >= -1) & (place <= extent)
            # From edge to edge the map measures 2; at -4 there is nothing.
            place = (2 * place.clamp(0, extent - 1) + 1) / extent - 1
            places.append(torch.where(inside, place, -4.0))
        if x.dim() == 3:
            x = x.unsqueeze(2)
            grid = torch.stack((places[0], torch.zeros_like(places[0])), 3)
        else:
            rows, columns = torch.broadcast_tensors(
                places[0].unsqueeze(3), places[1].unsqueeze(2)
            )
            grid = torch.stack((columns, rows), 4).flatten(1, 2)
        y = F.grid_sample(x, grid, align_corners=False)
        if len(self.size) == 2:
            y = y.unflatten(2, (regions.shape[2], -1))
        for axis, size in enumerate(self.size, 3):
            y = y.unflatten(axis, (size, self.samples)).mean(axis + 1)
        return y
'''

    regions: None = argument(kinds.further_value, "the boxes, in pixels of the image")
    size: PerAxis = argument(kinds.extent, "bins along each axis", 7)
    scale: float = argument(kinds.positive_number, "samples of the map for each pixel of the image", 1 / 16)
    samples: Size = argument(kinds.positive, "places along each axis of a bin", 2)
    aligned: bool = argument(kinds.boolean, "whether a sample lies in the middle of its pixels", False)

    def places(self, x: Shape, regions: Shape) -> Size:
        """The number of places at which the map is interpolated."""
        bins = per_axis("size", self.size, x)
        places: Size = prod((n * self.samples for n in bins), start=regions.positions)
        return places

    def flops(self, x: Shape, regions: Shape) -> Size:
        flops: Size = 2 ** (x.axes + 1) * x.channels * self.places(x, regions)
        return flops

    def saved(self, x: Shape, regions: Shape) -> Saved:
        return Saved(inputs=(0,), floats=2 * self.places(x, regions))

    def build(self, nn: Code, x: Shape, regions: Shape) -> Code:
        size = per_axis("size", self.size, x)
        return Code("RegionAlignment")(size, self.scale, self.samples, **self.chosen("aligned"))
