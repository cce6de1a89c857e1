"""Layers that put the elements of a value in another order or shape, or take a part of them.

None computes anything: FLOPs are 0.
"""

from __future__ import annotations

from typing import Any

from archdsl.layers import arguments
from archdsl.layers.arguments import argument, axes, axis, indices, natural, positive, sizes
from archdsl.layers.axes import axis_index, check_groups, doubt_groups, undecided
from archdsl.layers.layer import Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads, Stencil, shifted, window
from archdsl.layers.symmetry import PLANE, Fibre, Motion, kept
from archdsl.layers.windows import divides, needs
from archdsl.problems.arrangement import (
    EmptySlice,
    NotAPermutation,
    OutsideAxis,
    ReshapeMismatch,
    SplitMismatch,
    TooManyExtents,
)
from archdsl.problems.problem import Fault, Problem
from archdsl.sizes import Size, at_least, divide_exactly, equal


class Arrangement(Weightless, abstract=True):
    """The base of the rearrangements, which have no module in torch and keep nothing for backward."""

    def flops(self, x: Shape) -> Size:
        return 0

    def saved(self, x: Shape) -> Saved:
        return Saved()

    def build(self, nn: Code, x: Shape) -> None:
        return None


class Flatten(Arrangement):
    """Makes a vector of a map, channel by channel, the last axis fastest.

        y[(c * height + i) * width + j] = x[c, i, j]

    A vector stays as it is. FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [1, 28, 28]
      conv(8, kernel=3) -> flatten
      linear(10)
    }
    ```
    """

    def shape(self, x: Shape) -> Shape:
        return Shape((x.count,))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.MIXED if x.axes else Reach.POINT,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return values[0].flatten(1) if xs[0].axes else values[0]

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return fibres[0]


class Reshape(Arrangement):
    """Gives a value another shape of as many elements, in the same order (the last axis fastest).

    One extent may be `_`: it follows from the others. FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input noise: [100]
      linear(128 * 7 * 7) -> reshape([128, 7, 7])
      conv_transpose(1, kernel=4, stride=4)
    }
    ```
    """

    shape_: tuple[Any, ...] = argument(arguments.shape, "channels, then the spatial extents; one may be `_`")

    def wanted(self) -> str:
        return f"[{', '.join(map(str, self.shape_))}]"

    def known(self) -> Size:
        """The product of the extents that are given."""
        return Shape(extent for extent in self.shape_ if extent != "_").count

    def shape(self, x: Shape) -> Shape:
        gaps = self.shape_.count("_")
        if len(self.shape_) > 4 or gaps > 1:
            raise Fault(TooManyExtents(self.wanted(), len(self.shape_), gaps), argument="shape")
        count, known = x.count, self.known()
        fits = divides(known, count) if gaps else equal(known, count)
        if fits is False:
            raise Fault(
                ReshapeMismatch(str(x), str(count), self.wanted(), str(known), gaps > 0), argument="shape"
            )
        if not gaps:
            return Shape(self.shape_)
        rest = divide_exactly(count, known)
        gap = count // known if rest is None else rest
        return Shape(gap if extent == "_" else extent for extent in self.shape_)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        count, known = xs[0].count, self.known()
        if "_" in self.shape_:
            fits, question = divides(known, count), f"{known} divides {count}"
        else:
            fits, question = equal(known, count), f"{count} is {known}"
        return () if fits else (undecided(self.kind, question, count, known),)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        y = self.shape(x)
        same = len(x) == len(y) and all(equal(a, b) is True for a, b in zip(x, y, strict=True))
        return (Reach.POINT if same else Reach.MIXED,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return values[0].reshape(-1, *self.shape(xs[0]))


class Permute(Arrangement):
    """Puts the axes in another order.

        y[i_0, i_1, ...] = x[j_0, j_1, ...]  with j_order[k] = i_k

    `order` names for each axis of the result the axis it was, by name or by number (channels are 0).
    FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [3, 32, 16]
      permute([channels, width, height])
      expect image.shape == [3, 32, 16]
    }
    ```
    """

    order: tuple[Any, ...] = argument(axes, "the axes in their new order")

    def numbers(self, x: Shape) -> tuple[int, ...]:
        """`order` by number. Raises `Fault` where it does not name every axis of `x` once."""
        names = x.axis_names
        numbers = tuple(names.index(one) if one in names else one for one in self.order)
        if set(numbers) != set(range(len(x))) or len(numbers) != len(x):
            order = f"[{', '.join(map(str, self.order))}]"
            raise Fault(NotAPermutation(order, str(x), names), argument="order")
        return numbers

    def shape(self, x: Shape) -> Shape:
        return Shape(x[number] for number in self.numbers(x))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT if self.numbers(x) == tuple(range(len(x))) else Reach.MIXED,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return values[0].permute(0, *(number + 1 for number in self.numbers(xs[0])))


class Slice(Arrangement):
    """Takes the stretch from `start` up to, and without, `end` along one axis.

        y[i] = x[start + i],  0 <= i < end - start

    FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input signal: [2, 40]
      left: slice(0, 1)
      from signal -> slice(1, 2)
      concat(left)
    }
    ```
    """

    start: Size = argument(natural, "the first position, from 0")
    end: Size = argument(natural, "the position after the last")
    axis: str = argument(axis, "the axis along which it is taken", "channels")

    def shape(self, x: Shape) -> Shape:
        index = axis_index(x, self.axis)
        if at_least(self.end - self.start, 1) is False:
            raise Fault(EmptySlice(str(self.start), str(self.end)), argument="end")
        if at_least(x[index] - self.end, 0) is False:
            extent = str(x[index])
            raise Fault(OutsideAxis(f"end {self.end}", self.axis, extent, str(x), extent), argument="end")
        return Shape((*x[:index], self.end - self.start, *x[index + 1 :]))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        extent = xs[0][axis_index(xs[0], self.axis)]
        return needs(self.kind, [(extent, self.end), (self.end, self.start + 1)])

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        if self.axis == "channels":
            return (Reach.POINT,)
        return (_along(x, self.axis, shifted(self.start) if isinstance(self.start, int) else None),)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return _part(values[0], axis_index(xs[0], self.axis), slice(self.start, self.end))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return _part_answers(self.axis, motion, fibres)


class Select(Arrangement):
    """Takes the listed positions along one axis, in the order of the list; one may stand twice.

        y[i] = x[indices[i]]

    FLOPs: none. The backward pass needs the list alone, where the positions are not evenly spaced.

    ```arch
    network Example {
      input maps: [6, 14, 14]
      select([0, 1, 5]) -> conv(1, kernel=5)
    }
    ```

    Source: the partial connections of LeCun et al., Gradient-based learning applied to document
    recognition, 1998, are written with it.
    """

    indices: tuple[Size, ...] = argument(indices, "the positions, from 0")
    axis: str = argument(axis, "the axis along which they are taken", "channels")

    def shape(self, x: Shape) -> Shape:
        index = axis_index(x, self.axis)
        for position in self.indices:
            if at_least(x[index] - position, 1) is False:
                extent, last = str(x[index]), str(x[index] - 1)
                problem = OutsideAxis(f"index {position}", self.axis, extent, str(x), last)
                raise Fault(problem, argument="indices")
        return Shape((*x[:index], len(self.indices), *x[index + 1 :]))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        extent = xs[0][axis_index(xs[0], self.axis)]
        return needs(self.kind, [(extent, position + 1) for position in self.indices])

    def step(self) -> int | None:
        """The positive step from each position to the next, where it is the same."""
        if not all(isinstance(position, int) for position in self.indices):
            return None
        if len(self.indices) == 1:
            return 1
        steps = {b - a for a, b in zip(self.indices, self.indices[1:], strict=False)}
        step = steps.pop()
        return step if not steps and isinstance(step, int) and step > 0 else None

    def saved(self, x: Shape) -> Saved:
        return Saved() if self.step() else Saved(once=8 * len(self.indices))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        if self.axis == "channels":
            return (Reach.POINT,)
        first, step, extent = self.indices[0], self.step(), x[axis_index(x, self.axis)]
        stencil: Stencil | None = None
        if step and isinstance(first, int):
            stencil = window(1, stride=step, padding=-first)
        elif isinstance(extent, int):
            positions = [position for position in self.indices if isinstance(position, int)]
            stencil = Stencil(extent, len(positions), tuple(range(i, i + 1) for i in positions))
        return (_along(x, self.axis, stencil),)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        step = self.step()
        taken: Any = list(self.indices)
        if step:
            taken = slice(self.indices[0], self.indices[-1] + 1, step if step > 1 else None)
        return _part(values[0], axis_index(xs[0], self.axis), taken)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return _part_answers(self.axis, motion, fibres)


class ChannelShuffle(Arrangement):
    """Deals the channels of each group out over all groups, like cards.

        y[j * groups + g] = x[g * (channels / groups) + j]

    FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [24, 28, 28]
      conv(24, kernel=1, groups=3) -> channel_shuffle(3)
      depthwise_conv(3, padding=1)
    }
    ```

    Source: Zhang et al., ShuffleNet, 2018.
    """

    groups: Size = argument(positive, "number of groups, which must divide the channels")

    def shape(self, x: Shape) -> Shape:
        check_groups(self.kind, x.channels, self.groups)
        return x

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        return doubt_groups(self.kind, xs[0].channels, self.groups)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        each = xs[0].channels // self.groups
        return values[0].unflatten(1, (self.groups, each)).transpose(1, 2).flatten(1, 2)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar"))


class Split(Arrangement):
    """Cuts a value into several along one axis: one result a size.

        y_k[i] = x[sizes[0] + ... + sizes[k - 1] + i]

    FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [24, 28, 28]
      left, right: split([12, 12])
      from right -> conv(12, kernel=3, padding=1) -> relu
      concat(left)
    }
    ```

    Source: the channel split of Ma et al., ShuffleNet V2, 2018, is one.
    """

    sizes: tuple[Size, ...] = argument(sizes, "the extent of each result, which add up to the axis")
    axis: str = argument(axis, "the axis that is cut", "channels")

    def total(self) -> Size:
        return sum(self.sizes[1:], start=self.sizes[0])

    def shape(self, x: Shape) -> tuple[Shape, ...]:
        index = axis_index(x, self.axis)
        if equal(self.total(), x[index]) is False:
            written = f"[{', '.join(map(str, self.sizes))}]"
            raise Fault(
                SplitMismatch(written, str(self.total()), self.axis, str(x[index]), str(x)), argument="sizes"
            )
        return tuple(Shape((*x[:index], size, *x[index + 1 :])) for size in self.sizes)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        extent = xs[0][axis_index(xs[0], self.axis)]
        if equal(self.total(), extent) is not None:
            return ()
        return (undecided(self.kind, f"{self.axis}, {extent}, is {self.total()}", extent, self.total()),)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        """Along a spatial axis no stencil holds for all results; see `reads_of`."""
        return (Reach.POINT if self.axis == "channels" else Reach.MIXED,)

    def reads_of(self, result: int, *xs: Shape) -> tuple[Reads, ...]:
        if self.axis == "channels":
            return (Reach.POINT,)
        start = sum(self.sizes[:result], start=0)
        return (_along(xs[0], self.axis, shifted(start) if isinstance(start, int) else None),)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return values[0].split(list(self.sizes), dim=axis_index(xs[0], self.axis) + 1)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return _part_answers(self.axis, motion, fibres)


def _part_answers(axis: str, motion: Motion, fibres: tuple[Fibre, ...]) -> Fibre | None:
    """What the channels of a part of an axis do; one of positions may lie alike from both ends."""
    if axis == "channels":
        return kept(fibres, ("scalar", "polar"))
    return None if motion is Motion.SCALE else kept(fibres, PLANE)


def _along(x: Shape, axis: str, stencil: Stencil | None) -> Reads:
    """The stencil along one axis, where the others stay; nothing is claimed where there is none."""
    if stencil is None:
        return Reach.MIXED
    return tuple(stencil if name == axis else shifted(0) for name in x.axis_names[1:])


def _part(value: Code, index: int, taken: Any) -> Code:
    """`value[:, :, taken]`, with `taken` at the axis of that number (channels are 0)."""
    return value[(*(slice(None),) * (index + 1), taken)]
