"""Padding and cropping: samples added around a map, or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.layers import arguments as kinds
from archdsl.layers import stencils
from archdsl.layers.arguments import argument
from archdsl.layers.layer import Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads, Stencil, along_axes
from archdsl.layers.symmetry import Fibre, Motion, kept_by_windows
from archdsl.layers.windows import (
    Pair,
    PerAxis,
    check_map,
    check_mode,
    check_one_of,
    cut,
    depends,
    needs,
    padded,
    per_axis,
    per_side,
)
from archdsl.problems.layers import CropAxesDiffer, CropOutsideInput, EmptyOutput, ValueWithoutZeros
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, at_least, maximum, minimum

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem


class Pad(Weightless):
    """Padding: samples are added around the map, or with negative amounts taken away.

    y[c, i] = x[c, i - before] inside; outside of the map

    - `zeros`: `value` (0 unless it is given);
    - `reflect`: the map mirrored at its outermost sample, which is not repeated;
    - `replicate`: the outermost sample;
    - `circular`: the map from its other end.

    The extent n becomes n + before + after. A negative amount cuts that many samples off first.

    FLOPs: none, values are only moved. The backward pass keeps nothing, with `reflect` and `replicate`
    the input.

    ```arch
    network Small {
      input image: [3, 32, 32]
      pad(2, mode=reflect) -> conv(16, kernel=5)
      pad([[0, 1], [0, 1]]) -> max_pool(3, stride=2)
      pad(-1)
    }
    ```

    Source: torch.nn.functional.pad.
    """

    amount: Size | tuple[Size | Pair, ...] = argument(kinds.amount, "samples added at each side")
    mode: str = argument(
        kinds.choice("zeros", "reflect", "replicate", "circular"), "what they are filled with", "zeros"
    )
    value: float = argument(kinds.number, "the number that `zeros` fills with", 0)

    def sides(self, x: Shape) -> tuple[Pair, ...]:
        """What is added before and after, on each axis."""
        return per_side("amount", self.amount, x)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        if self.mode != "zeros" and self.value != 0:
            raise Fault(ValueWithoutZeros(self.mode), "value")
        sides = self.sides(x)
        size = tuple(n + before + after for n, (before, after) in zip(x.size, sides, strict=True))
        if any(at_least(extent, 1) is False for extent in size + self.left(x).size):
            raise Fault(EmptyOutput(self.kind, str(x), size), "amount")
        added = ((maximum(before, 0), maximum(after, 0)) for before, after in sides)
        check_mode(self.mode, added, self.left(x), "amount")
        return Shape((x.channels, *size))

    def left(self, x: Shape) -> Shape:
        """What negative amounts leave of the map."""
        return Shape(
            (
                x.channels,
                *(
                    n + minimum(before, 0) + minimum(after, 0)
                    for n, (before, after) in zip(x.size, self.sides(x), strict=True)
                ),
            )
        )

    def flops(self, x: Shape) -> Size:
        return 0

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,)) if self.mode in ("reflect", "replicate") else Saved()

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(self._stencil(pair) for pair in self.sides(x)),)

    def _stencil(self, pair: Pair) -> Stencil | None:
        before, _ = pair
        if not isinstance(before, int):
            return None
        # What is cut off first is not there to come round again.
        wraps = self.mode == "circular" and all(at_least(side, 0) is True for side in pair)
        return Stencil(1, 1, (range(-before, 1 - before),), wraps)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        sides = self.sides(x)
        left = self.left(x).size
        conditions: list[tuple[Size, Size]] = [
            *((n, 1) for n in left),
            *((n + before + after, 1) for n, (before, after) in zip(x.size, sides, strict=True)),
        ]
        least = {"reflect": 1, "circular": 0}.get(self.mode)
        if least is not None:
            conditions += [(n, side + least) for n, pair in zip(left, sides, strict=True) for side in pair]
        unknown = [pair[0] for pair in sides if self._stencil(pair) is None]
        return needs(self.kind, conditions) + depends(self.kind, unknown, "its receptive field is not given")

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        (x,), (value,) = xs, values
        sides = self.sides(x)
        if self.mode == "zeros":
            return padded(torch, value, sides, value=self.value)
        if any(side < 0 for pair in sides for side in pair):
            value = cut(value, (max(-before, 0) for before, _ in sides), self.left(x).size)
        added = [(max(before, 0), max(after, 0)) for before, after in sides]
        return padded(torch, value, added, self.mode)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept_by_windows(motion, fibres)


class Crop(Weightless):
    """Cropping: a part of the map, as large as is said or as another value is.

    y[c, i] = x[c, i + offset]

    The extents of the part are given in one of two ways. `size` is numbers: `crop(16)`, `crop([16, 24])`.
    `like` is the label of a value that was made before, with as many spatial axes and with no larger
    extents: `crop(like=inner)` cuts to the height and width of `inner`. Of that value nothing but the
    extents is asked, and the channels stay those of the value that is cropped.

    The part is taken from the middle, offset = (n - size) // 2, so that of an odd rest one sample more is
    cut off at the end; `offset` says how many samples are cut off before it instead. A crop only cuts:
    what makes a map larger is `pad` or `upsample`.

    FLOPs: none, values are only moved. The backward pass keeps nothing.

    ```arch
    network Small {
      input image: [3, 32, 32]
      inner: conv(8, kernel=3) -> relu
      from image -> crop(like=inner)
      concat(inner) -> crop(16, offset=[0, 4])
    }
    ```

    Source: Ronneberger, Fischer and Brox, U-Net, 2015.
    """

    spreads = True
    size: PerAxis | None = argument(kinds.extent, "extent of the part", None)
    like: Shape | None = argument(kinds.like, "value whose extents the part gets", None)
    offset: PerAxis | None = argument(kinds.naturals, "where the part starts; the middle unless given", None)

    def output_size(self, x: Shape) -> tuple[Size, ...]:
        """The extents of the part."""
        return self.like.size if self.like is not None else per_axis("size", self.size, x)

    def offsets(self, x: Shape) -> tuple[Size, ...]:
        """Where the part starts."""
        if self.offset is not None:
            return per_axis("offset", self.offset, x)
        return tuple((n - size) // 2 for n, size in zip(x.size, self.output_size(x), strict=True))

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        check_one_of(self, "size", "like")
        if self.like is not None and self.like.axes != x.axes:
            raise Fault(CropAxesDiffer(str(x), x.axes, str(self.like), self.like.axes), "like")
        size = self.output_size(x)
        given = None if self.offset is None else per_axis("offset", self.offset, x)
        for n, extent, offset in zip(x.size, size, given or (0,) * x.axes, strict=True):
            if at_least(n - extent - offset, 0) is False:
                argument = "like" if self.size is None else "size"
                like = None if self.like is None else str(self.like)
                swapped = all(at_least(part - n, 0) is True for n, part in zip(x.size, size, strict=True))
                problem = CropOutsideInput(size, given, x.size, like, swapped)
                raise Fault(problem, argument if given is None else "offset")
        return Shape((x.channels, *size))

    def flops(self, x: Shape) -> Size:
        return 0

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (
            along_axes(
                stencils.shifted(offset) if isinstance(offset, int) else None for offset in self.offsets(x)
            ),
        )

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        offsets = self.offsets(x)
        given = offsets if self.offset is not None else (0,) * x.axes
        conditions = (
            (n, size + offset) for n, size, offset in zip(x.size, self.output_size(x), given, strict=True)
        )
        unknown = [offset for offset in offsets if not isinstance(offset, int)]
        return needs(self.kind, conditions) + depends(self.kind, unknown, "its receptive field is not given")

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return cut(values[0], self.offsets(xs[0]), self.output_size(xs[0]))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept_by_windows(motion, fibres)
