"""Convolutions over the groups p4 and p4m, which keep quarter turns and, over p4m, reflections.

A function on the group has, for each feature, a run of channels with one member each. p4 has the four
quarter turns; p4m has them, and each of them after a reflection of the last axis. Member r is r quarter
turns (`torch.rot90(x, r, (-1, -2))`), and member 4 + r the reflection (`x.flip(-1)`) and then r quarter
turns. So a quarter turn of the input carries member r to r + 1 and member 4 + r to 4 + (r + 1), and a
reflection exchanges member r with member 4 + (-r), all modulo 4.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.axes import undecided
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved, Weightless
from archdsl.layers.normalisation import Normalisation
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads, along_axes
from archdsl.layers.symmetry import Fibre, Motion
from archdsl.layers.windows import (
    PerAxis,
    Sides,
    Window,
    check_map,
    compact,
    divides,
    output_size,
    padded,
    symmetric,
    window_doubts,
    window_fans,
    windows,
)
from archdsl.problems.groups import BrokenRuns
from archdsl.problems.layers import NeedsPlane
from archdsl.problems.problem import Fault
from archdsl.sizes import Size

if TYPE_CHECKING:
    from archdsl.problems.problem import Problem

MEMBERS = {"p4": 4, "p4m": 8}
"""How many members each group has."""

GROUPS = kinds.choice(*MEMBERS)


class PlaneConvolution(Layer, abstract=True):
    """The base of the convolutions whose filters are made in the forward pass, turned in the plane.

    What they made them into is convolved with as any other filters are: shape, cost and what is read are
    those of a plain convolution of all input with all output channels.
    """

    autocast = Autocast.SHORT

    kernel: Size
    stride: PerAxis
    padding: Sides

    outputs: Callable[[], Size]
    """The number of output channels."""

    run: Callable[[Shape], int]
    """How many channels of the input belong together."""

    check_runs: Callable[[Shape], None]
    """Raise `Fault` unless the input's channels make whole runs."""

    def windows(self, x: Shape) -> tuple[Window, ...]:
        """A window for each of the two axes."""
        return windows(x, self.kernel, self.stride, self.padding)

    def shape(self, x: Shape) -> Shape:
        check_map(self.kind, x)
        if x.axes != 2:
            raise Fault(NeedsPlane(self.kind, str(x), x.axes), inputs=(0,))
        self.check_runs(x)
        return Shape((self.outputs(), *output_size(self.windows(x))))

    def filters(self, x: Shape) -> Size:
        """The number of weights of the convolution that is done in the end."""
        return self.outputs() * x.channels * self.kernel * self.kernel

    def macs(self, x: Shape) -> Size:
        return self.filters(x) * prod(output_size(self.windows(x)))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (along_axes(w.stencil() for w in self.windows(x)),)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        (x,) = xs
        return doubt_runs(self.kind, x.channels, self.run(x)) + window_doubts(self.kind, self.windows(x))

    def geometry(self, x: Shape) -> dict[str, Any]:
        """The arguments of stride and padding that are written out."""
        found = self.windows(x)
        named: dict[str, Any] = {}
        if any(w.stride != 1 for w in found):
            named["stride"] = compact(w.stride for w in found)
        if any(w.before for w in found) and symmetric((w.before, w.after) for w in found):
            named["padding"] = compact(w.before for w in found)
        return named

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        sides = [(w.before, w.after) for w in self.windows(xs[0])]
        return module(values[0] if symmetric(sides) else padded(torch, values[0], sides))


class OverGroup(PlaneConvolution, abstract=True):
    """The base of `lifting_conv` and `group_conv`."""

    channels: Size
    group: str
    bias: bool

    source = '''\
class GroupConv2d(nn.Module):
    """A convolution with the weights moved by every member of p4 (4 members) or p4m
    (8).

    Member r turns them by r quarters, member 4 + r reflects them first. With `lifting`
    the input is plain
    channels; otherwise it has a run of members for each feature, which are permuted as
    the weights move.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int,
        members: int,
        lifting: bool = False,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.members, self.lifting, self.stride, self.padding = (
            members,
            lifting,
            stride,
            padding,
        )
        over = (inputs,) if lifting else (inputs, members)
        self.weight = nn.Parameter(torch.empty(channels, *over, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(channels)) if bias else None
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def filters(self) -> Tensor:
        """The weights moved by every member, as those of one convolution."""
        cycles = (1, 1) if self.lifting else (self.members // 4, 4)
        weight = self.weight.unflatten(1, (-1, 1)) if self.lifting else self.weight
        weight = weight.unflatten(2, cycles)
        sides = [weight, weight.flip(2, 3, 5).roll(1, 3)][: self.members // 4]
        moved = [
            torch.rot90(side, r, (-1, -2)).roll(r, 3)
            for side in sides
            for r in range(4)
        ]
        return torch.stack(moved, 1).flatten(0, 1).flatten(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        bias: Tensor | None = self.bias
        if bias is not None:
            bias = bias[:, None].expand(-1, self.members).flatten()
        return torch.conv2d(x, self.filters(), bias, self.stride, self.padding)
'''

    @property
    def members(self) -> int:
        return MEMBERS[self.group]

    def outputs(self) -> Size:
        return self.channels * self.members

    def weights(self, x: Shape) -> dict[str, Shape]:
        run = self.run(x)
        over = (x.channels // run, run) if run > 1 else (x.channels,)
        weight = Shape((self.channels, *over, self.kernel, self.kernel))
        return {"weight": weight, "bias": Shape((self.channels,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape) -> Fans:
        """As of the plain convolution that the turned filters are."""
        fans = window_fans(self.outputs(), x.channels, self.kernel, self.stride, x)
        return fans._replace(plain=False)

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + (self.shape(x).count if self.bias else 0)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats_once=self.filters(x))

    def build(self, nn: Code, x: Shape) -> Code:
        run = self.run(x)
        named: dict[str, Any] = {"members": self.members}
        if run == 1:
            named["lifting"] = True
        named |= self.geometry(x)
        if not self.bias:
            named["bias"] = False
        return Code("GroupConv2d")(x.channels // run, self.channels, self.kernel, **named)

    def lifted(self, motion: Motion, exact: bool) -> Fibre | None:
        """The fibre of a function on the group, for a motion that the group has."""
        if motion is Motion.ROTATION or (motion is Motion.REFLECTION and self.group == "p4m"):
            return Fibre("regular", self.members, exact=exact)
        return None


class LiftingConv(OverGroup):
    """Lifting convolution: from an image to a function on a group of turns and reflections.

        y[c, g, i] = bias[c] + sum over channels a and taps t of
        (g weight)[c, a, t] * x[a, i*stride - before + t]

    g goes through the members of the group, and g weight is the filter moved by g. `group=p4` has the four
    quarter turns, `group=p4m` each of them as it is and after a reflection. The output has a run of members
    for each feature: channels*4 or channels*8 channels. In a run, member r is the filter turned by r
    quarters (from the width towards the height), and member 4 + r the filter whose width was reversed,
    turned by r quarters. So where the image is turned by a quarter, the maps are too, and member r becomes
    r + 1 (modulo 4); a reversal of the width exchanges member r with 4 + (-r). One bias belongs to each
    feature.

    Extents are those of a convolution: n becomes (n + before + after - kernel) // stride + 1. With a stride,
    turns are kept only where the windows lie alike from both ends, as where n + 2*padding - kernel is a
    multiple of the stride. The filters are made in the forward pass and start as those of a convolution.

    FLOPs: 2 for each multiply-accumulate of the whole convolution, and 1 for each output with a bias; moving
    filters is no arithmetic. The backward pass keeps the input and, once a batch, the moved filters.

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=5, group=p4m) -> relu
      group_conv(8, kernel=3, group=p4m) -> relu
      group_pool(group=p4m)
    }
    ```

    Source: Cohen and Welling, Group equivariant convolutional networks, 2016, equation 10.
    """

    channels: Size = argument(kinds.positive, "number of features; each has a channel for every member")
    kernel: Size = argument(kinds.positive, "extent of the square kernel")
    group: str = argument(GROUPS, "the group: quarter turns, or also reflections", "p4")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "zeros that are added around the input", 0)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each feature", True)

    def run(self, x: Shape) -> int:
        return 1

    def check_runs(self, x: Shape) -> None:
        """Any channels will do."""

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        (fibre,) = fibres
        return self.lifted(motion, fibre.exact) if fibre.kind == "scalar" else None


class GroupConv(OverGroup):
    """Group convolution: between functions on a group of turns and reflections.

        y[c, g, i] = bias[c] + sum over features a, members h and taps t of
        (g weight)[c, a, h, t] * x[a, h, i*stride - before + t]

    g weight is the filter moved by g: its taps are turned or reflected, and its members permuted, so that
    (g weight)[c, a, h] is weight[c, a, g^-1 h] moved by g. Input and output have a run of members for each
    feature, ordered as `lifting_conv` gives them: 4 channels a feature with `group=p4`, 8 with `group=p4m`.
    It must be the group of the layers before. (Convolution with `groups` is another thing.) One bias
    belongs to each feature.

    Extents are those of a convolution: n becomes (n + before + after - kernel) // stride + 1. With a stride,
    turns are kept only where the windows lie alike from both ends, as where n + 2*padding - kernel is a
    multiple of the stride. The filters are made in the forward pass and start as those of a convolution.

    FLOPs: 2 for each multiply-accumulate of the whole convolution, and 1 for each output with a bias; moving
    filters is no arithmetic. The backward pass keeps the input and, once a batch, the moved filters.

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=3) -> relu
      group_conv(16, kernel=3, padding=1) -> relu
      expect parameters == 8 * 9 + 8 + 16 * 8 * 4 * 9 + 16
    }
    ```

    Source: Cohen and Welling, Group equivariant convolutional networks, 2016, equation 11.
    """

    channels: Size = argument(kinds.positive, "number of features; each has a channel for every member")
    kernel: Size = argument(kinds.positive, "extent of the square kernel")
    group: str = argument(GROUPS, "the group: quarter turns, or also reflections", "p4")
    stride: PerAxis = argument(kinds.extent, "step of the window, in input samples", 1)
    padding: Sides = argument(kinds.padding, "zeros that are added around the input", 0)
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each feature", True)

    def run(self, x: Shape) -> int:
        return self.members

    def check_runs(self, x: Shape) -> None:
        check_members(self.kind, x, self.group)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        (fibre,) = fibres
        return self.lifted(motion, fibre.exact) if _runs_of(fibre, self.group) else None


class GroupPool(Weightless):
    """Pools over the members of a group: from a function on the group to plain channels.

        y[c, i] = max over members g of x[c, g, i]

    or their mean with `mode=mean`. What turned with the image and changed its members only turns with it
    from here on. Channels become a fourth (`group=p4`) or an eighth (`group=p4m`); positions stay. After a
    global pooling the result is the same whichever way the image is turned.

    FLOPs: members - 1 comparisons for each output, or members - 1 additions and 1 division. The backward
    pass needs input and output with `mode=max`, and nothing with `mode=mean`.

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=5) -> relu
      global_avg_pool -> group_pool -> flatten -> linear(10)
    }
    ```

    Source: the coset pooling of Cohen and Welling, Group equivariant convolutional networks, 2016.
    """

    group: str = argument(GROUPS, "the group: quarter turns, or also reflections", "p4")
    mode: str = argument(kinds.choice("max", "mean"), "what is taken of the members", "max")

    @property
    def members(self) -> int:
        return MEMBERS[self.group]

    def shape(self, x: Shape) -> Shape:
        check_members(self.kind, x, self.group)
        return Shape((x.channels // self.members, *x.size))

    def flops(self, x: Shape) -> Size:
        return self.shape(x).count * (self.members - 1 if self.mode == "max" else self.members)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), output=True) if self.mode == "max" else Saved()

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        return doubt_runs(self.kind, xs[0].channels, self.members)

    def build(self, nn: Code, x: Shape) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        runs = values[0].unflatten(1, (-1, self.members))
        return runs.amax(2) if self.mode == "max" else runs.mean(2)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        (fibre,) = fibres
        scalar = fibre.kind == "scalar" or _runs_of(fibre, self.group)
        return Fibre("scalar", exact=fibre.exact) if scalar else None


class GroupBatchNorm(Normalisation):
    """Normalises each feature on a group over the batch, all positions and all members.

        y[c, g] = (x[c, g] - mean_c) / sqrt(variance_c + eps) * weight_c + bias_c

    All members of a run share mean, variance, scale and shift, so that turns and reflections are kept;
    `batch_norm` would give every member its own. While the network is trained, mean and variance are the
    batch's, and running averages of them are kept, which stand in when it is used. Buffers: running mean and
    variance of each feature, and the batch counter. The shape stays.

    FLOPs: 2 an element: as the network is used, all is one scale and one shift a feature. The backward pass
    needs the input, and mean and deviation of each feature once a batch.

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=5, group=p4m, bias=false) -> group_batch_norm(group=p4m) -> relu
      expect parameters == 8 * 25 + 2 * 8
    }
    ```

    Source: Cohen and Welling, Group equivariant convolutional networks, 2016; Ioffe and Szegedy, Batch
    normalization, 2015. torch.nn.BatchNorm3d, with the members as an axis.
    """

    group: str = argument(GROUPS, "the group: quarter turns, or also reflections", "p4")
    eps: float = argument(kinds.small, "added to the variance before the root", 1e-5)
    momentum: float = argument(kinds.fraction, "weight of the newest batch in the running averages", 0.1)
    affine: bool = argument(kinds.boolean, "whether each feature has a learned scale and shift", True)

    @property
    def members(self) -> int:
        return MEMBERS[self.group]

    def shape(self, x: Shape) -> Shape:
        if x.axes > 2:
            raise Fault(NeedsPlane(self.kind, str(x), x.axes), inputs=(0,))
        check_members(self.kind, x, self.group)
        return x

    def scaled(self, x: Shape) -> Shape:
        return Shape((x.channels // self.members,))

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {
            "running_mean": Buffer(self.scaled(x)),
            "running_var": Buffer(self.scaled(x)),
            "num_batches_tracked": Buffer(Shape(()), integer=True),
        }

    def flops(self, x: Shape) -> Size:
        return 2 * x.count

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats_once=2 * self.scaled(x).channels)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        return doubt_runs(self.kind, xs[0].channels, self.members)

    def build(self, nn: Code, x: Shape) -> Code:
        module = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[x.axes]
        return module(x.channels // self.members, **self.chosen("eps", "momentum", "affine"))

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0].unflatten(1, (-1, self.members))).flatten(1, 2)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        (fibre,) = fibres
        return fibre if fibre.kind == "scalar" or _runs_of(fibre, self.group) else None


def check_members(kind: str, x: Shape, group: str) -> None:
    """Raise `broken-runs` unless the channels are whole runs of the group's members."""
    members = MEMBERS[group]
    if divides(members, x.channels) is False:
        mend = f"`lifting_conv` with group={group} makes such runs of an image"
        if group != "p4" and divides(MEMBERS["p4"], x.channels):
            mend += "; where nothing is said, its group is p4"
        problem = BrokenRuns(kind, str(x), str(x.channels), members, f"one for each member of {group}", mend)
        raise Fault(problem, inputs=(0,))


def doubt_runs(kind: str, channels: Size, run: int) -> tuple[Problem, ...]:
    """A warning where it can't be decided whether the channels make whole runs."""
    if divides(run, channels) is not None:
        return ()
    return (undecided(kind, f"{run} divides {channels}", channels),)


def _runs_of(fibre: Fibre, group: str) -> bool:
    return fibre.kind == "regular" and fibre.size == MEMBERS[group]
