"""What convolutions, poolings and all other layers along spatial axes have in common.

A window is a kernel that moves along an axis by its stride; output extent, padding and stencil follow
from it. XLA gives the idea its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import stencils
from archdsl.layers.layer import Fans, Layer
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Stencil
from archdsl.problems.layers import (
    ArgumentAxes,
    FitsOnlyWhere,
    NeedsMap,
    OneOfTwoArguments,
    PaddingOutsideInput,
    ReadsDependOnSize,
    WindowOutsideInput,
)
from archdsl.problems.problem import Fault
from archdsl.sizes import Question, Size, Symbolic, at_least, ceil_div, equal, maximum, minimum, symbols_of

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

PerAxis = Size | tuple[Size, ...]
"""An argument of size: one for all axes, or one an axis."""

Sides = Size | str | tuple[Size | tuple[Size, Size], ...]
"""A padding as its kind gives it: `same`, one for all sides, one an axis or a pair an axis."""

Pair = tuple[Size, Size]
"""What is added before the first sample of an axis, and after the last."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window along one axis: what it slides over, and how."""

    extent: Size
    kernel: Size
    stride: Size = 1
    before: Size = 0
    after: Size = 0
    dilation: Size = 1

    @property
    def span(self) -> Size:
        """What the kernel spans with its dilation."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def padded(self) -> Size:
        return self.extent + self.before + self.after

    def count(self, ceil: bool = False) -> Size:
        """The number of windows: below 1 where not even one fits.

        With `ceil`, a last window may reach past the padding, if it starts before the padding after
        the last sample.
        """
        if ceil:
            inside = ceil_div(self.extent + self.before, self.stride)
            return minimum(ceil_div(self.padded - self.span, self.stride) + 1, inside)
        return (self.padded - self.span) // self.stride + 1

    def overhang(self, ceil: bool = False) -> Size:
        """What must be added after the last sample, so that the windows end there or before."""
        return maximum((self.count(ceil) - 1) * self.stride + self.span - self.extent - self.before, 0)

    def stencil(self, wraps: bool = False) -> Stencil | None:
        """The window's stencil, or None where its numbers are not known.

        Where `padding=same` depends on a symbolic extent, it is that of extents that the stride divides.
        """
        numbers = self._numbers()
        return None if numbers is None else stencils.window(*numbers, wraps)

    def transposed(self, indices_only: bool = False) -> Stencil | None:
        """The stencil of the way back, from the windows to what they slide over; None as `stencil`."""
        numbers = self._numbers()
        return None if numbers is None else stencils.transposed(*numbers, indices_only)

    def _numbers(self) -> tuple[int, int, int, int] | None:
        kernel, stride, before, dilation = self.kernel, self.stride, self.before, self.dilation
        if isinstance(before, Symbolic):
            before = maximum(self.span - stride, 0) // 2
        if (
            isinstance(kernel, int)
            and isinstance(stride, int)
            and isinstance(before, int)
            and isinstance(dilation, int)
        ):
            return kernel, stride, before, dilation
        return None


# ------------------------------------------------------------------------------ arguments


def check_map(kind: str, x: Shape) -> None:
    """Raise `needs-map` where a layer along spatial axes is given a vector."""
    if not x.axes:
        raise Fault(NeedsMap(kind, str(x)), inputs=(0,))


def check_one_of(layer: Layer, first: str, second: str) -> None:
    """Raise `one-of-two-arguments` unless one of two arguments is given, and one alone."""
    given = [getattr(layer, name) is not None for name in (first, second)]
    if given[0] == given[1]:
        about = (layer.arguments[first].documentation, layer.arguments[second].documentation)
        raise Fault(OneOfTwoArguments(layer.kind, first, second, given[0], about))


def per_axis(argument: str, value: Any, x: Shape) -> tuple[Any, ...]:
    """An argument of size as one value an axis. Raises `argument-axes` for a list of another length."""
    if not isinstance(value, tuple):
        return (value,) * x.axes
    if len(value) != x.axes:
        raise Fault(ArgumentAxes(argument, len(value), x.axis_names[1:], str(x)), argument)
    return value


def per_side(argument: str, value: Any, x: Shape) -> tuple[Pair, ...]:
    """An argument of sides (not `same`) as a pair an axis."""
    sides = per_axis(argument, value, x)
    return tuple(side if isinstance(side, tuple) else (side, side) for side in sides)


def window_fans(made: Size, taken: Size, kernel: PerAxis, stride: PerAxis, x: Shape) -> Fans:
    """The fans of a kernel that makes as many channels as `made` of as many as `taken`, within a group."""
    taps = prod(per_axis("kernel", kernel, x))
    # Between strides a unit is reached by every stride-th tap along each axis.
    reached = max(taps / prod(per_axis("stride", stride, x)), 1)
    return Fans(taken * taps, made * reached)


@lru_cache(maxsize=1024)
def windows(
    x: Shape, kernel: PerAxis, stride: PerAxis, padding: Sides = 0, dilation: PerAxis = 1
) -> tuple[Window, ...]:
    """A window an axis.

    `padding=same` is TensorFlow's: of ceil(extent/stride) windows, what is missing is added, half of it
    (rounded down) before the first sample.

    Every rule of a layer asks for its windows, and the layers of a network are much alike: so they are kept.
    """
    kernels = per_axis("kernel", kernel, x)
    strides = per_axis("stride", stride, x)
    dilations = per_axis("dilation", dilation, x)
    if padding != "same":
        sides = per_side("padding", padding, x)
        return tuple(
            Window(n, k, s, before, after, d)
            for n, k, s, (before, after), d in zip(x.size, kernels, strides, sides, dilations, strict=True)
        )
    made = []
    for n, k, s, d in zip(x.size, kernels, strides, dilations, strict=True):
        total = maximum((ceil_div(n, s) - 1) * s + (k - 1) * d + 1 - n, 0)
        made.append(Window(n, k, s, total // 2, total - total // 2, d))
    return tuple(made)


@lru_cache(maxsize=1024)
def _counts(found: tuple[Window, ...], ceil: bool) -> tuple[Size, ...]:
    return tuple(window.count(ceil) for window in found)


def output_size(found: tuple[Window, ...], ceil: bool = False, same: bool = True) -> tuple[Size, ...]:
    """The number of windows an axis. Raises `window-outside-input` where none fits.

    `same` says whether the layer takes `padding=same`, for the mend.
    """
    size = _counts(found, ceil)
    if any(at_least(count, 1) is False for count in size):
        problem = WindowOutsideInput(
            tuple(w.kernel for w in found),
            tuple(w.dilation for w in found),
            tuple(w.span for w in found),
            tuple(w.extent for w in found),
            tuple(w.padded for w in found),
            tuple(ceil_div(w.extent, w.stride) for w in found) if same else None,
        )
        raise Fault(problem, "kernel")
    return size


def check_mode(mode: str, sides: Iterable[Pair], x: Shape, argument: str) -> None:
    """Raise `padding-outside-input` where padding with samples of the input finds too few of them."""
    if mode not in ("reflect", "circular"):
        return
    spare = 1 if mode == "reflect" else 0
    for extent, axis, pair in zip(x.size, x.axis_names[1:], sides, strict=True):
        for side in pair:
            if at_least(extent - side, spare) is False:
                raise Fault(PaddingOutsideInput(mode, str(side), axis, str(extent)), argument)


# ------------------------------------------------------------------------------ symbolic sizes


def divides(n: Size, a: Size) -> bool | None:
    """Whether `n` divides `a`: for all values of the symbols, for none (False), or undecided (None)."""
    return equal(a - a // n * n, 0)


def symbols_in(sizes: Iterable[Size]) -> tuple[str, ...]:
    """The names of the symbols in some sizes, in order."""
    names: set[str] = set()
    for size in sizes:
        names |= symbols_of(size)
    return tuple(sorted(names))


def needs(kind: str, conditions: Iterable[tuple[Size, Size]]) -> tuple[Problem, ...]:
    """A note where "the first is at least the second" is undecided for some of the pairs."""
    starts: dict[str, int] = {}
    others: dict[str, None] = {}
    for a, least in conditions:
        if at_least(a - least, 0) is None:
            found = _start(a, least)
            if found is None:
                others[f"{a} >= {least}"] = None
            else:
                name, start = found
                starts[name] = max(start, starts.get(name, 1))
    said = (*(f"{name} >= {start}" for name, start in starts.items() if start > 1), *others)
    return (FitsOnlyWhere(kind, said),) if said else ()


def _start(a: Size, least: Size) -> tuple[str, int] | None:
    """The only symbol on which it depends whether `a` is at least `least`, and from where on it is.

    None where it depends on several, does not begin at one value, or takes too long to tell.
    """
    names = symbols_of(a - least)
    if len(names) != 1:
        return None
    (name,) = names
    if str(a) == name and isinstance(least, int):
        return name, least
    from archdsl.residues import holding

    values = holding(Question("at least", a, least), name)
    if values is None or values.below or values.period > 1 or not values.remainders:
        return None
    return name, values.start


def depends(kind: str, sizes: Iterable[Size], assumption: str) -> tuple[Problem, ...]:
    """A note that the samples which a layer reads depend on the symbols in `sizes`."""
    symbols = symbols_in(sizes)
    return (ReadsDependOnSize(kind, symbols, assumption),) if symbols else ()


def window_doubts(kind: str, found: tuple[Window, ...], ceil: bool = False) -> tuple[Problem, ...]:
    """What is undecided of windows along symbolic extents."""
    # Of `same`, whose padding follows from the extent, a window always fits.
    given = [w for w in found if not isinstance(w.before, Symbolic)]
    conditions = ((w.extent, w.span - w.before - w.after - (w.stride - 1 if ceil else 0)) for w in given)
    same = [w.extent for w in found if isinstance(w.before, Symbolic)]
    assumption = "its receptive field is given for extents that the stride divides"
    unknown = [size for w in found if w.stencil() is None for size in (w.kernel, w.stride, w.dilation)]
    return (
        needs(kind, conditions)
        + depends(kind, same, assumption)
        + depends(kind, unknown, "its receptive field is not given")
    )


# ------------------------------------------------------------------------------ source


def compact(values: Iterable[Any]) -> Any:
    """`2` for (2, 2), else the tuple: how people write it in a call of torch."""
    kept = tuple(values)
    return kept[0] if all(value == kept[0] for value in kept) else kept


def symmetric(sides: Iterable[Pair]) -> bool:
    """Whether torch's modules can pad so: the same before and after on every axis."""
    return all(equal(before, after) is True for before, after in sides)


def padded(
    torch: Code, x: Code, sides: Iterable[Pair], mode: str = "zeros", value: float | None = None
) -> Code:
    """`F.pad`, whose amounts begin with the last axis."""
    amounts = tuple(side for pair in reversed(tuple(sides)) for side in pair)
    named: dict[str, Any] = {} if mode == "zeros" else {"mode": mode}
    if value:
        named["value"] = value
    return torch.F.pad(x, amounts, **named)


PAD_SAME = '''\
def pad_same(
    x: Tensor,
    spans: tuple[int, ...],
    strides: tuple[int, ...],
    mode: str = "constant",
    value: float = 0.0,
) -> Tensor:
    """Pads so that windows give each extent divided by its stride, rounded up."""
    amounts: list[int] = []
    extents = x.shape[:1:-1]
    for extent, span, stride in zip(extents, spans[::-1], strides[::-1], strict=True):
        total = max((-(-extent // stride) - 1) * stride + span - extent, 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts, mode=mode, value=value)
'''
"""Torch source of `padding=same` along extents that are known only when the network runs."""


def padded_same(
    x: Code, found: Iterable[Window], mode: str = "zeros", value: float | None = None
) -> Code | None:
    """A call of `pad_same` where windows of `padding=same` depend on a symbol; None where none does."""
    found = tuple(found)
    if not any(isinstance(w.before, Symbolic) for w in found):
        return None
    named: dict[str, Any] = {} if mode == "zeros" else {"mode": mode}
    if value is not None:
        named["value"] = value
    return Code("pad_same")(x, tuple(w.span for w in found), tuple(w.stride for w in found), **named)


def cut(x: Code, starts: Iterable[Size], size: Iterable[Size]) -> Code:
    """A part of every spatial axis: `x[..., 1:9, 1:9]`."""
    parts = (slice(start, start + extent) for start, extent in zip(starts, size, strict=True))
    return x[(Ellipsis, *parts)]
