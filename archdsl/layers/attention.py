"""Attention: every position, or every channel, takes in what it finds alike among the others.

The layers here project nothing. They are given queries, keys and values as the thirds of their channels,
which a `conv` with a kernel of 1 makes, and another one after them mixes the heads. So the projections are
layers like all others, with the costs, the names and the initialisation of any `conv`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.axes import NEIGHBOURHOOD, undecided
from archdsl.layers.layer import Autocast, Buffer, Layer, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach, Reads, Stencil, along_axes
from archdsl.layers.symmetry import Fibre, Motion, kept
from archdsl.layers.windows import PerAxis, check_map, depends, divides, per_axis
from archdsl.problems.attention import NotQueriesKeysValues, ShiftPastWindow, WindowsLeaveRest
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, at_least, equal

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

MOST_BEFORE = 64
"""The most positions that a causal attention is said to read one by one: each makes the analysis of what is
made of values joined end to end longer."""


class AttentionFamily(Layer, abstract=True):
    """The base of the attentions: their input is queries, keys and values, in this order."""

    autocast = Autocast.SHORT

    parts: Callable[[], tuple[str, Size]]
    """Into how many parts each third of the channels is cut, and the argument that says so."""

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        name, parts = self.parts()
        if divides(3 * parts, x.channels) is False:
            channels = x.channels
            projected = str(3 * channels) if divides(parts, channels) else ""
            near: tuple[int, ...] = ()
            if isinstance(channels, int) and isinstance(parts, int) and channels % 3 == 0:
                third = channels // 3
                below = range(min(parts, third), max(0, parts - NEIGHBOURHOOD), -1)
                above = range(parts + 1, min(third, parts + NEIGHBOURHOOD) + 1)
                found = (next((n for n in numbers if third % n == 0), None) for numbers in (below, above))
                near = tuple(n for n in found if n is not None)
            raise Fault(
                NotQueriesKeysValues(
                    self.kind, str(x), str(channels), name, str(parts), str(3 * parts), projected, near
                ),
                argument=name,
                inputs=(0,),
            )
        return Shape((x.channels // 3, *x.size))

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        channels, (name, parts) = xs[0].channels, self.parts()
        if divides(3 * parts, channels) is not None:
            return ()
        question = f"{channels} channels are queries, keys and values for {parts} {name}"
        return (undecided(self.kind, question, channels, parts),)

    def weights(self, x: Shape) -> dict[str, Shape]:
        return {}

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])

    def within_heads(self, fibres: tuple[Fibre, ...], x: Shape) -> Fibre | None:
        """What the channels do where positions change places: products of queries and keys stay, if what is
        permuted stays within a head."""
        found = kept(fibres)
        _, parts = self.parts()
        if found is None or found.kind != "regular":
            return found
        return found if divides(found.size, x.channels // 3 // parts) else None


class Attention(AttentionFamily):
    """Multi-head self-attention: every position takes in values from all, by how its query meets their keys.

        y[h, i] = sum over positions j of a[h, i, j] * v[h, j]
        a[h, i, j] = softmax over j of q[h, i] . k[h, j] / sqrt(features of a head)

    The channels are the queries q, then the keys k, then the values v; each third is cut into heads,
    one after another, and the heads' results are put end to end. So 3 d channels become d, and the extents
    stay. With `causal`, position i takes in positions up to its own only; the positions of a map of
    several axes come in the order of reading, the last axis fastest. Nothing here is learned: a
    `conv` with a kernel of 1 before it projects, and one after it mixes the heads. Where a position is it
    does not see, unless something was added that says so (a `parameter`).

    Of `causal` the receptive field is given along axes of up to 64 positions.

    FLOPs: 2 for each multiply-accumulate (2 d for each pair of positions), and for each head and each
    position 6 n - 2 over n positions (n scalings, and a softmax). What `causal` leaves out counts as all
    else. The backward pass keeps the input, the output, and a number for each head and position.

    ```arch
    network Example {
      input image: [3, 32, 32]
      tokens: conv(64, kernel=8, stride=8)
      attended: layer_norm -> conv(3 * 64, kernel=1) -> attention(heads=4) -> conv(64, kernel=1)
      from tokens, attended -> add
      expect attended.shape == [64, 4, 4]
    }
    ```

    Source: Vaswani et al., Attention is all you need, 2017, Equation 1 and Section 3.2.2; over images:
    Dosovitskiy et al., An image is worth 16 x 16 words, 2021; causal, over pixels: Chen et al., Generative
    pretraining from pixels, 2020. torch.nn.functional.scaled_dot_product_attention.
    """

    source = '''\
class Attention(nn.Module):
    """Attention among all positions; the channels are queries, keys and values."""

    def __init__(self, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        tokens = (
            x.flatten(2).transpose(1, 2).contiguous().unflatten(2, (3, self.heads, -1))
        )
        query, key, value = tokens.permute(2, 0, 3, 1, 4).unbind()
        y = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=self.causal
        )
        return y.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:])
'''

    heads: Size = argument(kinds.positive, "number of heads")
    causal: bool = argument(kinds.boolean, "whether positions take in only those up to their own", False)

    def parts(self) -> tuple[str, Size]:
        return "heads", self.heads

    def macs(self, x: Shape) -> Size:
        return 2 * x.positions * x.positions * (x.channels // 3)

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + self.heads * x.positions * (6 * x.positions - 2)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), output=True, floats=self.heads * x.positions)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        if not self.causal:
            return (Reach.NORMALISED,)
        if x.axes == 1:
            return (along_axes([_causal(x.size[0])]),)
        # A unit reads all of the rows above, and its own up to itself: no pattern for each axis says that.
        first, *others = x.size
        beside = [Stencil(1, 1, (range(1 - n, n),), at_most=True) for n in others if isinstance(n, int)]
        above = _causal(first, at_most=True)
        return (along_axes([above, *beside]) if len(beside) == len(others) else Reach.UNTOLD,)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        open_ = xs[0].size if self.causal else ()
        return super().doubts(*xs) + depends(self.kind, open_, "its receptive field is not given")

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        if self.causal:
            return None
        found = self.within_heads(fibres, xs[0])
        # Resized, a picture has more samples or fewer of each kind: the shares of the kinds stay.
        return None if found is not None and motion is Motion.SCALE and found.kind == "polar" else found

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("Attention")(self.heads, **self.chosen("causal"))


class WindowAttention(AttentionFamily):
    """Multi-head self-attention within windows: a position takes in values from its own window alone.

        y[h, i] = sum over positions j in the window of i of a[h, i, j] * v[h, j]
        a[h, i, j] = softmax over j of (q[h, i] . k[h, j] / sqrt(features of a head) + b[h, i - j])

    The map is cut into windows side by side, which must fill it. Channels are as `attention` has them: 3 d
    become d, and the extents stay. With a `shift` the windows begin that many samples later, and the samples
    that are left over at the two ends of an axis make windows of their own, smaller than the others. (Liu
    et al. move the map in a ring and mask, which comes to the same.) Along an axis of one window nothing is
    shifted. With `relative_positions` there is a learned number b for each head and each difference of two
    positions in a window, kept as a table of (2 window - 1 for each axis, multiplied) x heads and begun as
    normal noise of deviation 0.02.

    FLOPs: 2 for each multiply-accumulate (2 d for each position and each position of its window), and for
    each head and position 6 n - 2 over the n positions of a window (n scalings, and a softmax), and n more
    with `relative_positions`. What the shift cuts off counts as all else. The backward pass keeps queries,
    keys and values cut into windows, and besides: the result in windows, a number for each head and
    position, and with a shift a mask for the batch; or, with `relative_positions`, every weight a. (So it is
    on the CPU. On a GPU torch may keep the first with `relative_positions` too.)

    ```arch
    network Example {
      input image: [3, 64, 64]
      conv(48, kernel=4, stride=4)
      for shift in [0, 2] {
        conv(3 * 48, kernel=1)
        window_attention(heads=3, window=4, shift=shift, relative_positions=true)
        conv(48, kernel=1)
      }
    }
    ```

    Source: Liu et al., Swin transformer, 2021, Section 3.2 and Equation 4.
    """

    source = '''\
class WindowAttention(nn.Module):
    """Attention within windows of a map; the channels are queries, keys and values."""

    def __init__(
        self,
        heads: int,
        window: tuple[int, ...],
        shift: tuple[int, ...],
        relative_positions: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.bias: nn.Parameter | None = None
        if relative_positions:
            table = torch.empty(*(2 * side - 1 for side in window), heads)
            self.bias = nn.Parameter(
                nn.init.trunc_normal_(table, std=0.02).flatten(0, -2)
            )

    def forward(self, x: Tensor) -> Tensor:
        size = list(x.shape[2:])
        axes = list(range(2, x.dim()))
        counts = [
            extent // side for extent, side in zip(size, self.window, strict=True)
        ]
        # Along an axis of one window, a shift would only cut it in two.
        moved = [
            step if count > 1 else 0
            for step, count in zip(self.shift, counts, strict=True)
        ]
        if any(moved):
            x = x.roll([-step for step in moved], axes)
        query, key, value = [self.windows(third, counts) for third in x.chunk(3, 1)]
        mask = self.mask(size, counts, moved, x.device)
        y = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask
        )
        y = self.joined(y, counts)
        return y.roll(moved, axes) if any(moved) else y

    def windows(self, x: Tensor, counts: list[int]) -> Tensor:
        """A map cut up: [batch, windows and heads, positions, features]."""
        n = len(counts)
        grid = [
            extent for pair in zip(counts, self.window, strict=True) for extent in pair
        ]
        x = x.reshape(x.shape[0], self.heads, -1, *grid)
        x = x.permute(0, *range(3, 2 * n + 3, 2), 1, *range(4, 2 * n + 4, 2), 2)
        return x.flatten(1, n + 1).flatten(2, n + 1).contiguous()

    def joined(self, y: Tensor, counts: list[int]) -> Tensor:
        """The way back from `windows`, with the heads end to end."""
        n = len(counts)
        y = y.unflatten(2, self.window).unflatten(1, (*counts, self.heads))
        grid = [number for axis in range(n) for number in (axis + 1, axis + n + 2)]
        y = y.permute(0, n + 1, 2 * n + 2, *grid).flatten(1, 2)
        for axis in range(2, n + 2):
            y = y.flatten(axis, axis + 1)
        return y

    def mask(
        self, size: list[int], counts: list[int], moved: list[int], device: torch.device
    ) -> Tensor | None:
        """What is added for each query and key: [1, windows and heads, queries,
        keys].
        """
        n = len(size)
        mask = (
            None
            if self.bias is None
            else self.pairs(self.bias).expand(*counts, -1, -1, -1)
        )
        if any(moved):
            # What came round from the other end of an axis keeps apart from what it now
            # lies beside.
            side = torch.zeros(size, dtype=torch.int64, device=device)
            for axis, step in enumerate(moved):
                came_round = (
                    torch.arange(size[axis], device=device) >= size[axis] - step
                )
                side = 2 * side + came_round.reshape([-1] + [1] * (n - axis - 1))
            grid = [
                extent
                for pair in zip(counts, self.window, strict=True)
                for extent in pair
            ]
            side = (
                side.reshape(grid)
                .permute(*range(0, 2 * n, 2), *range(1, 2 * n, 2))
                .flatten(n)
            )
            apart = (side.unsqueeze(-1) != side.unsqueeze(-2)).unsqueeze(n)
            if mask is None:
                mask = ~apart.expand(*counts, self.heads, -1, -1)
            else:
                mask = mask.masked_fill(apart, float("-inf"))
        return None if mask is None else mask.flatten(0, n).unsqueeze(0)

    def pairs(self, bias: Tensor) -> Tensor:
        """The learned number of each head, query and key, which follows from the
        difference of places.
        """
        n = len(self.window)
        found = bias.transpose(0, 1).unflatten(
            1, [2 * side - 1 for side in self.window]
        )
        for axis, side in enumerate(self.window):
            found = found.unfold(axis + 1, side, 1)
        return found.flip(list(range(-n, 0))).flatten(-n).flatten(1, n)
'''

    heads: Size = argument(kinds.positive, "number of heads")
    window: PerAxis = argument(kinds.extent, "extent of a window")
    shift: PerAxis = argument(kinds.naturals, "how far the windows are moved on, less than a window", 0)
    relative_positions: bool = argument(
        kinds.boolean, "whether a learned number for each difference of positions is added", False
    )

    def parts(self) -> tuple[str, Size]:
        return "heads", self.heads

    def windows(self, x: Shape) -> tuple[tuple[Size, Size, Size], ...]:
        """Extent, window and shift along each axis."""
        windows = per_axis("window", self.window, x)
        shifts = per_axis("shift", self.shift, x)
        return tuple(zip(x.size, windows, shifts, strict=True))

    def shape(self, x: Shape) -> Shape:
        made = super().shape(x)
        for axis, (extent, window, shift) in zip(x.axis_names[1:], self.windows(x), strict=True):
            if at_least(window - shift, 1) is False:
                raise Fault(ShiftPastWindow(str(shift), str(window)), argument="shift")
            if divides(window, extent) is False:
                known = isinstance(extent, int) and isinstance(window, int)
                missing = str(-extent % window) if known else ""
                raise Fault(
                    WindowsLeaveRest(axis, str(extent), str(window), missing), argument="window", inputs=(0,)
                )
        return made

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        found = list(super().doubts(*xs))
        unknown: list[Size] = []
        unshifted: list[Size] = []
        for extent, window, shift in self.windows(xs[0]):
            if divides(window, extent) is None:
                question = f"windows of {window} fill an extent of {extent}"
                found.append(undecided(self.kind, question, extent, window))
            if _windowed(extent, window, shift) is None:
                unknown += [window, shift]
            elif shift != 0 and at_least(extent - window, 1) is None:
                unshifted.append(extent)
        assumption = "its receptive field is given for maps of more than one window"
        found += depends(self.kind, unknown, "its receptive field is not given")
        found += depends(self.kind, unshifted, assumption)
        return tuple(found)

    def weights(self, x: Shape) -> dict[str, Shape]:
        if not self.relative_positions:
            return {}
        differences: Size = prod(2 * window - 1 for _, window, _ in self.windows(x))
        return {"bias": Shape((differences, self.heads))}

    def scores(self, x: Shape) -> Size:
        """Pairs of positions that share a window."""
        return x.positions * self.area(x)

    def area(self, x: Shape) -> Size:
        """Positions of a window."""
        return prod(window for _, window, _ in self.windows(x))

    def macs(self, x: Shape) -> Size:
        return 2 * self.scores(x) * (x.channels // 3)

    def flops(self, x: Shape) -> Size:
        each = (7 if self.relative_positions else 6) * self.area(x) - 2
        return 2 * self.macs(x) + self.heads * x.positions * each

    def saved(self, x: Shape) -> Saved:
        scores = self.heads * self.scores(x)
        shifted = any(
            shift != 0 and at_least(extent - window, 1) is not False
            for extent, window, shift in self.windows(x)
        )
        if self.relative_positions:
            return Saved(floats=x.count + scores, once=self.scores(x) if shifted else 0)
        result = x.count // 3 + self.heads * x.positions
        return Saved(floats=x.count + result, floats_once=scores if shifted else 0)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(_windowed(*axis) for axis in self.windows(x)),)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        found = self.within_heads(fibres, xs[0])
        if found is None or motion is Motion.SCALE:
            return None
        if self.relative_positions and not (found.kind == "polar" and motion is Motion.ROTATION):
            # A table is free to tell left from right.
            return None
        return found

    def build(self, nn: Code, x: Shape) -> Code:
        window = per_axis("window", self.window, x)
        shift = per_axis("shift", self.shift, x)
        return Code("WindowAttention")(self.heads, window, shift, **self.chosen("relative_positions"))


class ChannelAttention(AttentionFamily):
    """Self-attention among the channels of a group: every channel takes in maps from all of its group.

        y[g, c] = sum over channels e of group g of a[g, c, e] * v[g, e]
        a[g, c, e] = softmax over e of q[g, c] . k[g, e] / sqrt(channels of a group)

    where q[g, c], k[g, e] and v[g, e] are whole maps, one number for each position. The channels are the
    queries, then the keys, then the values, as in `attention`: 3 d channels become d, and the extents
    stay. Its cost grows with the positions, and not with their square. Nothing here is learned.

    FLOPs: 2 for each multiply-accumulate (2 positions for each pair of channels of a group), and for each
    channel 6 n - 2 over the n channels of its group (n scalings, and a softmax). The backward pass keeps
    the input and every weight a.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(64, kernel=4, stride=4)
      conv(3 * 64, kernel=1) -> channel_attention(groups=4) -> conv(64, kernel=1)
      expect parameters == (3 * 16 + 1) * 64 + 65 * 3 * 64 + 65 * 64
    }
    ```

    Source: the channel group attention of Ding et al., DaViT: dual attention vision transformers, 2022.
    """

    source = '''\
class ChannelAttention(nn.Module):
    """Attention among the channels of each group; the channels are queries, keys and
    values.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = x.flatten(2).unflatten(1, (3, self.groups, -1)).unbind(1)
        scores = query @ key.transpose(2, 3) * query.shape[2] ** -0.5
        return (scores.softmax(-1) @ value).flatten(1, 2).unflatten(2, x.shape[2:])
'''

    groups: Size = argument(kinds.positive, "number of groups of channels")

    def parts(self) -> tuple[str, Size]:
        return "groups", self.groups

    def scores(self, x: Shape) -> Size:
        """Pairs of channels that share a group."""
        channels = x.channels // 3
        return channels * (channels // self.groups)

    def macs(self, x: Shape) -> Size:
        return 2 * self.scores(x) * x.positions

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + 6 * self.scores(x) - 2 * (x.channels // 3)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats=self.scores(x))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        # A channel that is a group by itself is handed on.
        return (Reach.POINT if equal(self.groups, x.channels // 3) else Reach.NORMALISED,)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        # The products of maps are sums over positions: they grow with a picture.
        return None if motion is Motion.SCALE else self.within_heads(fibres, xs[0])

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("ChannelAttention")(self.groups)


class LayerScale(Weightless):
    """Multiplies each channel by a learned number, which begins small.

        y[c, i] = weight[c] * x[c, i]

    At the end of a residual branch it lets a deep network begin close to the identity. Vectors and maps
    keep their shape. FLOPs: 1 an element. The backward pass needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      tokens: conv(64, kernel=8, stride=8)
      conv(3 * 64, kernel=1) -> attention(heads=4) -> conv(64, kernel=1) -> layer_scale
      add(tokens)
    }
    ```

    Source: Touvron et al., Going deeper with image transformers, 2021, Equation 4.
    """

    autocast = Autocast.WIDENED
    source = '''\
class LayerScale(nn.Module):
    """A learned number for each channel, which it is multiplied by."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.reshape([-1] + [1] * (x.dim() - 2))
'''

    initial: float = argument(kinds.number, "what every number is at first", 1e-6)

    def shape(self, x: Shape) -> Shape:
        return x

    def weights(self, x: Shape) -> dict[str, Shape]:
        return {"weight": Shape((x.channels,))}

    def flops(self, x: Shape) -> Size:
        return x.count

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar"))

    def build(self, nn: Code, x: Shape) -> Code:
        return Code("LayerScale")(x.channels, float(self.initial))

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


def _causal(extent: Size, at_most: bool = False) -> Stencil | None:
    """The stencil of units that read all up to themselves; None where these may be too many to follow."""
    if not isinstance(extent, int) or extent > MOST_BEFORE:
        return None
    return Stencil(1, 1, (range(1 - extent, 1),), at_most=at_most)


def _windowed(extent: Size, window: Size, shift: Size) -> Stencil | None:
    """The stencil of units that read their whole window; None where its numbers are not known."""
    if not isinstance(window, int) or not isinstance(shift, int) or window > MOST_PHASES:
        return None
    if at_least(extent - window, 1) is False:
        shift = 0
    before, own = range(shift - window, shift), range(shift, shift + window)
    return Stencil(window, window, tuple(before if unit < shift else own for unit in range(window)))
