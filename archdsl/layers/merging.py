"""Layers that make one value of several."""

from __future__ import annotations

from functools import reduce
from operator import add, mul, sub
from typing import Any, ClassVar

from archdsl.layers.arguments import argument, axis
from archdsl.layers.axes import axis_index, undecided_extents
from archdsl.layers.layer import MANY, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach, Reads, Stencil, shifted
from archdsl.layers.symmetry import LINEAR, PICTURES, PLANE, Fibre, Motion, kept
from archdsl.problems.arrangement import ShapeMismatch
from archdsl.problems.problem import Fault, Problem, extents
from archdsl.sizes import Size, equal


class Elementwise(Weightless, abstract=True):
    """The base of the layers that join values element by element, from left to right."""

    inputs = MANY

    operator: ClassVar[Any]
    keeps: ClassVar[tuple[str, ...]] = PICTURES
    """The kinds of fibre of which it makes the same kind."""

    def joined(self, *xs: Shape) -> tuple[Shape, ...]:
        """The shape after each input. Raises `Fault` at the first that does not fit."""
        shapes = [xs[0]]
        for number, x in enumerate(xs[1:], 1):
            y = shapes[-1]
            if len(x) != len(y) or any(_clash(a, b) for a, b in zip(y, x, strict=True)):
                # One of the inputs before must differ from this one: the first that does is named.
                first = next(i for i in range(number) if _unlike(xs[i], x))
                raise Fault(self.mismatch(xs, first, number), inputs=(first, number))
            shapes.append(Shape(_repeated(a, b) for a, b in zip(y, x, strict=True)))
        return tuple(shapes)

    def mismatch(self, xs: tuple[Shape, ...], first: int, second: int) -> ShapeMismatch:
        return ShapeMismatch(
            self.kind,
            tuple(map(str, xs)),
            first,
            second,
            _differences(xs[first], xs[second]),
            "values of equal extents, or extents of 1",
            _mend_ranks(xs[first], xs[second]) or _mend(xs[first], xs[second], joins=False),
        )

    def shape(self, *xs: Shape) -> Shape:
        return self.joined(*xs)[-1]

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        shapes = self.joined(*xs)
        pairs = (
            (name, a, b)
            for y, x in zip(shapes, xs[1:], strict=False)
            for name, a, b in zip(y.axis_names, y, x, strict=True)
            if a != 1 and b != 1
        )
        return undecided_extents(self.kind, pairs, repeated=True)

    def flops(self, *xs: Shape) -> Size:
        total: Size = 0
        for shape in self.joined(*xs)[1:]:
            total = total + shape.count
        return total

    def saved(self, *xs: Shape) -> Saved:
        return Saved()

    def reads(self, *xs: Shape) -> tuple[Reads, ...]:
        y = self.shape(*xs)
        return tuple(_reach(x, y) for x in xs)

    def build(self, nn: Code, *xs: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        result: Code = reduce(type(self).operator, values)
        return result

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, self.keeps)


class Add(Elementwise):
    """Adds values element by element: the join of a residual.

        y = x_1 + x_2 + ... + x_n

    An extent of 1, of the channels too, is repeated to fit the others; numbers of axes must agree. One
    value alone passes through.

    FLOPs: 1 an element of each sum, from left to right: n - 1 an element of the result where all
    shapes are equal. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [16, 32, 32]
      parallel add {
        conv(16, kernel=3, padding=1)
        {}
      }
      relu
    }
    ```

    Source: He et al., Deep residual learning for image recognition, 2016.
    """

    operator = staticmethod(add)
    keeps = LINEAR


class Subtract(Elementwise):
    """Subtracts values element by element: the first less all the others.

        y = x_1 - x_2 - ... - x_n

    An extent of 1, of the channels too, is repeated to fit the others; numbers of axes must agree. One
    value alone passes through.

    FLOPs: 1 an element of each difference, from left to right: n - 1 an element of the result where
    all shapes are equal. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [3, 32, 32]
      blurred: avg_pool(3, stride=1, padding=1)
      from image, blurred -> subtract
    }
    ```
    """

    operator = staticmethod(sub)
    keeps = LINEAR


class Multiply(Elementwise):
    """Multiplies values element by element: the join of a gate.

        y = x_1 x_2 ... x_n

    An extent of 1, of the channels too, is repeated to fit the others; numbers of axes must agree. One
    value alone passes through.

    FLOPs: 1 an element of each product, from left to right: n - 1 an element of the result where all
    shapes are equal. The backward pass needs every input and, of more than two, every product but
    the last.

    ```arch
    network Example {
      input image: [32, 28, 28]
      gate: {
        global_avg_pool
        conv(8, kernel=1) -> relu
        conv(32, kernel=1) -> sigmoid
      }
      from image, gate -> multiply
    }
    ```

    Source: the gates of Hu, Shen and Sun, Squeeze-and-excitation networks, 2018.
    """

    operator = staticmethod(mul)

    def saved(self, *xs: Shape) -> Saved:
        if len(xs) == 1:
            return Saved()
        between: Size = 0
        for shape in self.joined(*xs)[1:-1]:
            between = between + shape.count
        return Saved(inputs=tuple(range(len(xs))), floats=between)


class Concat(Weightless):
    """Joins values end to end along one axis.

        y = [x_1; x_2; ...; x_n]

    All other extents must be equal. FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [64, 28, 28]
      parallel concat {
        conv(32, kernel=1)
        conv(96, kernel=1) -> relu -> conv(64, kernel=3, padding=1)
      }
      expect macs == 28 * 28 * (64 * 32 + 64 * 96 + 96 * 64 * 9)
    }
    ```

    Source: Szegedy et al., Going deeper with convolutions, 2015, and Ronneberger, Fischer and Brox,
    U-Net, 2015, join branches and levels so.
    """

    inputs = MANY

    axis: str = argument(axis, "the axis along which they are joined", "channels")

    def shape(self, *xs: Shape) -> Shape:
        first = xs[0]
        index = axis_index(first, self.axis)
        extent = first[index]
        for number, x in enumerate(xs[1:], 1):
            unlike = _differences(first, x, equals=index)
            if len(x) != len(first) or unlike:
                raise Fault(
                    ShapeMismatch(
                        self.kind,
                        tuple(map(str, xs)),
                        0,
                        number,
                        unlike,
                        f"values whose extents are equal but for {self.axis}",
                        _mend_ranks(first, x)
                        or (_mend(first, x, joins=True) if self.axis == "channels" else None),
                    ),
                    inputs=(0, number),
                )
            extent = extent + x[index]
        return Shape((*first[:index], extent, *first[index + 1 :]))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        pairs = (
            (name, a, b)
            for x in xs[1:]
            for name, a, b in zip(x.axis_names, xs[0], x, strict=True)
            if name != self.axis
        )
        return undecided_extents(self.kind, pairs)

    def flops(self, *xs: Shape) -> Size:
        return 0

    def saved(self, *xs: Shape) -> Saved:
        return Saved()

    def reads(self, *xs: Shape) -> tuple[Reads, ...]:
        """Along a spatial axis each unit reads one input: a table as long as the axis says which.

        Where the axis has no number, or is longer than a table may be, nothing is claimed.
        """
        if self.axis == "channels":
            return (Reach.POINT,) * len(xs)
        index = axis_index(xs[0], self.axis)
        numbers = [length for length in (x[index] for x in xs) if isinstance(length, int)]
        total = sum(numbers)
        if len(numbers) < len(xs) or total > MOST_PHASES:
            return (Reach.MIXED,) * len(xs)
        reads: list[Reads] = []
        start = 0
        for length in numbers:
            offsets = tuple(
                range(r - start, r - start + 1) if start <= r < start + length else range(0)
                for r in range(total)
            )
            joined = Stencil(total, total, offsets)
            reads.append(tuple(joined if i == index else shifted(0) for i in range(1, len(xs[0]))))
            start += length
        return tuple(reads)

    def build(self, nn: Code, *xs: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        if len(values) == 1:
            return values[0]
        return torch.cat(list(values), dim=axis_index(xs[0], self.axis) + 1)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        if self.axis != "channels":
            # Along an axis that a motion leaves alone, parts stay where they are.
            return None if motion is Motion.SCALE else kept(fibres, PLANE)
        if all(fibre.kind == "harmonic" for fibre in fibres):
            orders = tuple(order for fibre in fibres for order in fibre.orders)
            return fibres[0]._replace(orders=orders)
        return kept(fibres)


def _reach(x: Shape, y: Shape) -> Reach:
    """How an input of shape `x` is read by a result of shape `y`.

    One number a channel, repeated over all positions, is read as a global pooling reads: it does not
    move. A map repeated along some of its axes only is claimed nothing of.
    """
    if all(m != 1 or n == 1 for m, n in zip(x.size, y.size, strict=True)):
        return Reach.POINT
    return Reach.POOLED if all(extent == 1 for extent in x.size) else Reach.MIXED


# ------------------------------------------------------------------------------ what does not fit


def _repeated(a: Size, b: Size) -> Size:
    """The extent of two that fit: the other one where the first is 1."""
    return b if a != b and b != 1 and equal(a, 1) is True else a


def _clash(a: Size, b: Size) -> bool:
    return equal(a, b) is False and equal(a, 1) is not True and equal(b, 1) is not True


def _unlike(a: Shape, b: Shape) -> bool:
    return len(a) != len(b) or any(_clash(m, n) for m, n in zip(a, b, strict=True))


def _differences(a: Shape, b: Shape, equals: int | None = None) -> tuple[tuple[str, str, str], ...]:
    """Axis and extents wherever two shapes differ.

    Extents of 1 differ from none, unless `equals` is given: the number of the only axis that may differ.
    """
    if len(a) != len(b):
        return ()
    return tuple(
        (name, str(m), str(n))
        for i, (name, m, n) in enumerate(zip(a.axis_names, a, b, strict=True))
        if (_clash(m, n) if equals is None else i != equals and equal(m, n) is False)
    )


def _mend_ranks(a: Shape, b: Shape) -> str | None:
    """How a vector becomes a map that may join another."""
    if len(a) == len(b) or (a.axes and b.axes):
        return None
    vector, of = (a, b) if a.axes == 0 else (b, a)
    ones = ", ".join("1" for _ in of.size)
    return f"`reshape([{vector.channels}, {ones}])` makes a map of the vector {vector}"


def _mend(a: Shape, b: Shape, joins: bool) -> str | None:
    """How one of two values is most likely brought to the shape of the other.

    `joins` says that the numbers of channels may differ.
    """
    if len(a) != len(b) or not all(isinstance(extent, int) for extent in (*a, *b)):
        return None
    channels_fit = joins or not _clash(a.channels, b.channels)
    if not a.axes:
        return f"`linear({b.channels})` makes {b.channels} features of {a.channels}"
    if a.size == b.size:
        return f"`conv({b.channels}, kernel=1)` makes {b.channels} channels of {a.channels}"
    large, small = (a, b) if a.positions > b.positions else (b, a)
    factor = large.size[0] // small.size[0]
    if factor > 1 and large.size == tuple(factor * extent for extent in small.size):
        if channels_fit:
            return f"`upsample({factor})` brings {extents(small.size)} to {extents(large.size)}"
        return f"`conv({small.channels}, kernel=1, stride={factor})` brings {large} to {small}"
    if channels_fit and all(m >= n for m, n in zip(large.size, small.size, strict=True)):
        cut = f"{extents(large.size)} down to {extents(small.size)}"
        return f"`crop(like=LABEL)`, with the label of {small}, cuts {cut}"
    return None
