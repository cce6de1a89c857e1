"""Layers that do not fit the value that reaches them: windows, channels, extents."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.arguments import CHANNELS_FOLLOW
from archdsl.problems.problem import Problem, Severity, extents, listed


class WindowOutsideInput(Problem):
    """The kernel of a convolution or pooling is larger than what it slides over.

    A kernel of k samples with dilation d spans (k - 1)*d + 1 samples. The input, with its padding, must
    be at least as large, or there is no place for even one window.

    ```arch
    network Small {
      input image: [3, 6, 6]
      conv(8, kernel=11)
    }
    ```

    ```arch
    network Small {
      input image: [3, 6, 6]
      conv(8, kernel=11, padding=same)
    }
    ```
    """

    kernel: tuple[object, ...]
    dilation: tuple[object, ...]
    span: tuple[object, ...]
    """What the kernel spans with its dilation."""
    size: tuple[object, ...]
    padded: tuple[object, ...]
    same: tuple[object, ...] | None
    """The extents that `padding=same` would give, where the layer takes it."""
    meant: str | None = None
    """The layer, where its arguments begin with the channels that reach it."""
    input: str | None = None
    """The network's input whose extents these are still."""

    def message(self) -> str:
        kernel = f"a kernel of {extents(self.kernel)}"
        if self.span != self.kernel:
            kernel += f" with dilation {_compact(self.dilation)}"
        if self.padded != self.size:
            return f"{kernel} does not fit in {extents(self.size)} padded to {extents(self.padded)}"
        return f"{kernel} does not fit in {extents(self.size)}"

    def label(self) -> str:
        return f"needs at least {extents(self.span)} after padding"

    def notes(self) -> tuple[str, ...]:
        return (CHANNELS_FOLLOW,) if self.meant else ()

    def help(self) -> str | None:
        if self.meant is not None:
            return f"did you mean `{self.meant}`?"
        if any(size == 1 != span for size, span in zip(self.padded, self.span, strict=True)):
            if self.input is not None:
                return f"an extent of `{self.input}` is 1: the channels come first, then the spatial extents"
            return "an extent is down to 1: use fewer poolings and strides above, or `padding=same` there"
        if self.same is None:
            return f"a kernel of {extents(self.size)} takes in the whole map"
        verb = "keeps" if self.same == self.size else "makes it"
        return f"padding=same {verb} {extents(self.same)}"


class FitsOnlyWhere(Problem):
    """A layer fits the symbolic sizes that reach it only where they are large enough.

    Nothing is wrong: a kernel of 3 needs 3 samples, and `H` may be any number from 1. The condition is
    stated, so that whoever chooses `H` knows.

    ```arch
    network Small {
      input image: [3, H, W]
      conv(8, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [3, H, W]
      conv(8, kernel=3, padding=same)
    }
    ```
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    conditions: tuple[str, ...]

    def message(self) -> str:
        return f"`{self.kind}` fits only where {listed(self.conditions)}"


class ReadsDependOnSize(Problem):
    """Which samples a unit reads depends on a size that is a symbol.

    `padding=same` with a stride pads an even extent otherwise than an odd one, adaptive pooling has
    other windows for every extent, and a centred crop starts elsewhere. The shape is known all the same;
    the receptive field is not, unless the size is given a number.

    ```arch
    network Small {
      input image: [3, H, W]
      conv(8, kernel=3, stride=2, padding=same)
    }
    ```

    ```arch
    network Small {
      input image: [3, H, W]
      conv(8, kernel=3, stride=2, padding=1)
    }
    ```
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    symbols: tuple[str, ...]
    assumption: str
    """What its receptive field is worked out for instead, as a sentence."""

    def message(self) -> str:
        return f"which samples `{self.kind}` reads depends on {listed(self.symbols)}"

    def notes(self) -> tuple[str, ...]:
        return (self.assumption,)

    def help(self) -> str | None:
        return f"give the size a number: `--size {self.symbols[0]}=224`"


class ArgumentAxes(Problem):
    """A list does not have one entry for each spatial axis.

    Arguments of size (kernel, stride, padding, ...) are one number for all axes, or a list with one
    entry an axis: one for a signal, two for an image (height, width), three for a volume (depth, height,
    width).

    ```arch
    network Small {
      input signal: [1, 40]
      conv(8, kernel=[3, 3])
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      conv(8, kernel=3)
    }
    ```
    """

    argument: str
    given: int
    axes: tuple[str, ...]
    shape: str

    def message(self) -> str:
        return (
            f"`{self.argument}` has {self.given} {'entry' if self.given == 1 else 'entries'}, "
            f"and {self.shape} has {_spatial(len(self.axes))}"
        )

    def label(self) -> str:
        if len(self.axes) == 1:
            return f"needs one number, for the {self.axes[0]}"
        return f"needs one number, or a list of {len(self.axes)}: {listed(self.axes)}"


class NeedsMap(Problem):
    """A layer that works along spatial axes is given a vector, which has none.

    ```arch
    network Small {
      input features: [10]
      conv(8, kernel=3)
    }
    ```

    ```arch
    network Small {
      input features: [1, 10]
      conv(8, kernel=3)
    }
    ```
    """

    kind: str
    shape: str
    input: str | None = None
    """The network's input that the vector is."""
    flattened: bool = False
    """Whether `flatten` made the vector of a map."""

    def message(self) -> str:
        return f"`{self.kind}` works along spatial axes, and {self.shape} is a vector"

    def label(self) -> str:
        return "needs channels and one to three spatial extents"

    def help(self) -> str | None:
        if self.input is not None:
            meant = f"input {self.input}: [1, {self.shape[1:]}"
            return f"a shape begins with the channels: of one channel it is `{meant}`"
        if self.flattened:
            return f"`flatten` made a vector of a map: put it after `{self.kind}`, before the first `linear`"
        return "`reshape` makes a map of a vector: `reshape([channels, length])`"


class NeedsVector(Problem):
    """`linear` takes a vector, and a map reaches it.

    A map must be flattened first, so that the file says where positions become features. What is a
    linear layer at every position of a map is a `conv` with a kernel of 1.

    ```arch
    network Small {
      input image: [3, 8, 8]
      linear(10)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      flatten -> linear(10)
    }
    ```
    """

    features: str
    shape: str

    def message(self) -> str:
        return f"`linear` takes a vector, and {self.shape} is a map"

    def label(self) -> str:
        return "needs a vector"

    def help(self) -> str | None:
        return f"flatten first: `flatten -> linear({self.features})`"


class GroupsDoNotDivide(Problem):
    """The groups of a convolution must divide its input channels and its output channels.

    With g groups the channels are cut into g parts, and each part of the output sees its part of the
    input alone.

    ```arch
    network Small {
      input image: [4, 8, 8]
      conv(6, kernel=3, groups=4)
    }
    ```

    ```arch
    network Small {
      input image: [4, 8, 8]
      conv(6, kernel=3, groups=2)
    }
    ```
    """

    groups: str
    inputs: str
    outputs: str
    inputs_fit: bool
    """Whether the groups divide the input channels."""
    fitting: tuple[int, ...] = ()
    """The nearest groups that divide both."""
    channels: tuple[int, ...] = ()
    """The nearest output channels that these groups divide, where they divide the input's."""

    def message(self) -> str:
        return f"{self.groups} groups do not divide {self.inputs} input and {self.outputs} output channels"

    def label(self) -> str:
        wrong = self.outputs if self.inputs_fit else self.inputs
        side = "output" if self.inputs_fit else "input"
        return f"{wrong} {side} channels are no multiple of {self.groups}"

    def help(self) -> str | None:
        mends = []
        if self.fitting:
            mends.append(f"groups={listed(self.fitting, 'or')}")
        if self.channels:
            mends.append(f"channels={listed(self.channels, 'or')}")
        return f"{', or '.join(mends)} would fit" if mends else None


class ChannelMismatch(Problem):
    """A layer needs another number of channels than reaches it.

    `max_unpool` puts every value back to where its pooling took it from, so it needs as many channels as
    that pooling gave.

    ```arch
    network Small {
      input image: [3, 8, 8]
      pool: max_pool(2)
      conv(8, kernel=1) -> max_unpool(pool)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      pool: max_pool(2)
      conv(3, kernel=1) -> max_unpool(pool)
    }
    ```
    """

    kind: str
    shape: str
    found: str
    expected: str

    def message(self) -> str:
        return f"`{self.kind}` needs {self._needed()}, and {self.shape} has {self.found}"

    def label(self) -> str:
        return f"needs {self._needed()}"

    def _needed(self) -> str:
        return "1 channel" if self.expected == "1" else f"{self.expected} channels"

    def help(self) -> str | None:
        return f"`conv({self.expected}, kernel=1)` before it makes them {self.expected}"


class UnpoolMismatch(Problem):
    """`max_unpool` needs the extents that its pooling gave.

    Each value goes back to the place that the pooling took its maximum from, so there must be one value
    for each.

    ```arch
    network Small {
      input image: [3, 8, 8]
      pool: max_pool(2)
      conv(3, kernel=3) -> max_unpool(pool)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      pool: max_pool(2)
      conv(3, kernel=3, padding=same) -> max_unpool(pool)
    }
    ```
    """

    shape: str
    pooled: str

    def message(self) -> str:
        return f"`max_unpool` of {self.shape}, and its pooling gave {self.pooled}"

    def label(self) -> str:
        return f"needs {self.pooled}"


class PoolPaddingTooLarge(Problem):
    """A pooling is padded by more than half of its kernel.

    A window that lay in the padding alone would have no value, so a given padding is at most half of
    the kernel (rounded down; dilation is not counted).

    ```arch
    network Small {
      input image: [3, 8, 8]
      max_pool(3, stride=2, padding=2)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      max_pool(3, stride=2, padding=1)
    }
    ```
    """

    padding: str
    kernel: str
    most: str

    def message(self) -> str:
        return f"a padding of {self.padding} is more than half of a kernel of {self.kernel}"

    def label(self) -> str:
        return f"at most {self.most}"


class PaddingOutsideInput(Problem):
    """`reflect` and `circular` take the padding from the input, which is too small for it.

    A reflection repeats the samples beside the border without the border itself, so it needs more
    samples than the padding; a circular padding takes them from the other end, and needs as many.

    ```arch
    network Small {
      input signal: [1, 4]
      pad(4, mode=reflect)
    }
    ```

    ```arch
    network Small {
      input signal: [1, 4]
      pad(3, mode=reflect)
    }
    ```
    """

    mode: str
    padding: str
    axis: str
    extent: str

    def message(self) -> str:
        return f"{self.mode} padding of {self.padding}, and the {self.axis} is {self.extent}"

    def label(self) -> str:
        return f"at most {self.extent}" if self.mode == "circular" else f"must be less than {self.extent}"


class OutputPaddingTooLarge(Problem):
    """The output padding of a transposed convolution is no less than its stride and its dilation.

    A convolution with a stride maps several extents to one, and `output_padding` says which of them its
    transpose makes; there are no more of them than the stride (or the dilation).

    ```arch
    network Small {
      input signal: [2, 5]
      conv_transpose(2, kernel=3, stride=2, output_padding=2)
    }
    ```

    ```arch
    network Small {
      input signal: [2, 5]
      conv_transpose(2, kernel=3, stride=2, output_padding=1)
    }
    ```
    """

    output_padding: str
    stride: str
    dilation: str
    needed: str = ""
    """What `padding=same` adds of its own accord, if it does."""

    def message(self) -> str:
        added = f" and {self.needed} that padding=same needs" if self.needed else ""
        return f"an output padding of {self.output_padding}{added} for a stride of {self.stride}"

    def label(self) -> str:
        if self.dilation == "1":
            return f"must be less than the stride, {self.stride}"
        return f"must be less than the stride, {self.stride}, or the dilation, {self.dilation}"


class EmptyOutput(Problem):
    """Nothing would be left of the value.

    An extent of the result would be 0 or less: a crop takes everything away, a transposed convolution's
    padding takes all that it made, or a scale below 1 leaves not even one sample.

    ```arch
    network Small {
      input signal: [2, 7]
      upsample(0.1)
    }
    ```

    ```arch
    network Small {
      input signal: [2, 7]
      upsample(0.5)
    }
    ```
    """

    kind: str
    shape: str
    size: tuple[object, ...]

    def message(self) -> str:
        return f"`{self.kind}` of {self.shape} would have an extent of {extents(self.size)}"

    def label(self) -> str:
        return "leaves nothing"


class ChannelsDoNotDivide(Problem):
    """`pixel_shuffle` makes positions out of channels, and the channels do not come out even.

    A factor of f turns f channels an axis into f positions, so an image needs a multiple of f*f channels.

    ```arch
    network Small {
      input image: [6, 3, 3]
      pixel_shuffle(2)
    }
    ```

    ```arch
    network Small {
      input image: [6, 3, 3]
      conv(8, kernel=1) -> pixel_shuffle(2)
    }
    ```
    """

    channels: str
    factor: str
    divisor: str

    def message(self) -> str:
        needed = f"needs a multiple of {self.divisor} channels"
        return f"`pixel_shuffle` by {self.factor} {needed}, not {self.channels}"

    def label(self) -> str:
        return f"{self.channels} channels are no multiple of {self.divisor}"


class ExtentsDoNotDivide(Problem):
    """`pixel_unshuffle` makes channels out of positions, and the positions do not come out even.

    ```arch
    network Small {
      input image: [3, 9, 8]
      pixel_unshuffle(2)
    }
    ```

    ```arch
    network Small {
      input image: [3, 9, 8]
      pad([[0, 1], [0, 0]]) -> pixel_unshuffle(2)
    }
    ```
    """

    axis: str
    extent: str
    factor: str

    def message(self) -> str:
        return f"`pixel_unshuffle` by {self.factor} needs extents that {self.factor} divides"

    def label(self) -> str:
        return f"the {self.axis} is {self.extent}"


class OneOfTwoArguments(Problem):
    """A layer takes one of two arguments, and was given both or neither.

    ```arch
    network Small {
      input image: [3, 8, 8]
      upsample(2, size=16)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      upsample(size=16)
    }
    ```
    """

    kind: str
    first: str
    second: str
    both: bool
    about: tuple[str, str]
    """What each of them is."""

    def message(self) -> str:
        if self.both:
            return f"`{self.kind}` takes `{self.first}` or `{self.second}`, and was given both"
        return f"`{self.kind}` needs `{self.first}` or `{self.second}`"

    def label(self) -> str:
        return "leave one out" if self.both else f"give it `{self.first}=` or `{self.second}=`"

    def help(self) -> str | None:
        first, second = self.about
        return None if self.both else f"`{self.first}`: {first}; `{self.second}`: {second}"


class CubicNeedsImage(Problem):
    """Cubic interpolation is defined for images alone.

    ```arch
    network Small {
      input signal: [1, 40]
      upsample(2, mode=cubic)
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      upsample(2, mode=linear)
    }
    ```
    """

    shape: str
    axes: int

    def message(self) -> str:
        return f"cubic upsampling is for images, and {self.shape} has {_spatial(self.axes)}"

    def label(self) -> str:
        return "needs two spatial axes"

    def help(self) -> str | None:
        return "mode=linear and mode=nearest work along any axes"


class CornersOfNearest(Problem):
    """`align_corners` says where interpolated samples lie; `nearest` interpolates nothing.

    ```arch
    network Small {
      input image: [3, 8, 8]
      upsample(2, align_corners=true)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      upsample(2, mode=linear, align_corners=true)
    }
    ```
    """

    def message(self) -> str:
        return "align_corners has no meaning for mode=nearest"

    def label(self) -> str:
        return "needs mode=linear or mode=cubic"


class ValueWithoutZeros(Problem):
    """`value` is what `pad` fills with; the other modes fill with samples of the input.

    ```arch
    network Small {
      input signal: [1, 40]
      pad(2, mode=reflect, value=1)
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      pad(2, value=1)
    }
    ```
    """

    mode: str

    def message(self) -> str:
        return f"`value` has no meaning for mode={self.mode}"

    def label(self) -> str:
        return "needs mode=zeros"


class CropOutsideInput(Problem):
    """A crop reaches outside of the value that it is cut from.

    It only cuts: of two values of different extents, the larger one is cropped `like` the smaller one, and
    a value gets larger by `pad` or `upsample`.

    ```arch
    network Small {
      input image: [3, 8, 8]
      inner: conv(3, kernel=3)
      crop(like=image) -> concat(image)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      inner: conv(3, kernel=3)
      from image -> crop(like=inner) -> concat(inner)
    }
    ```
    """

    size: tuple[object, ...]
    offset: tuple[object, ...] | None
    """Where the crop starts, if the file says so."""
    extents: tuple[object, ...]
    like: str | None = None
    """The shape of the value whose extents it should have, if the file names one."""
    swapped: bool = False
    """Whether that value is the one that can be cropped."""

    def message(self) -> str:
        of = "" if self.like is None else f", the extents of {self.like},"
        place = "" if self.offset is None else f" from {listed(self.offset)} on"
        return f"a crop of {extents(self.size)}{of}{place} does not fit in {extents(self.extents)}"

    def label(self) -> str:
        if self.offset is None:
            return f"at most {extents(self.extents)}"
        return f"offset and size add up to more than {extents(self.extents)}"

    def help(self) -> str | None:
        if self.like is None or self.offset is not None:
            return None
        if self.swapped:
            return "a crop only cuts: crop the larger of the two values like the smaller one"
        return "a crop only cuts: `pad` and `upsample` make a value larger"


class CropAxesDiffer(Problem):
    """`crop(like=...)` names a value with another number of spatial axes.

    A part of an image has a height and a width, so the value that it is cut like has to have them as well.
    Of channels there may be as many as there are.

    ```arch
    network Small {
      input image: [3, 8, 8]
      line: reshape([3, 64])
      from image -> crop(like=line)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      inner: conv(5, kernel=3)
      from image -> crop(like=inner)
      concat(inner)
    }
    ```
    """

    shape: str
    axes: int
    like: str
    like_axes: int

    def message(self) -> str:
        ours, theirs = _spatial(self.axes), _spatial(self.like_axes)
        return f"{self.shape} has {ours}, and the value that it is cropped like, {self.like}, has {theirs}"

    def label(self) -> str:
        return f"needs a value of {_spatial(self.axes)}"


def _compact(values: tuple[object, ...]) -> str:
    """`2` where all are 2, else `2 x 1`."""
    return str(values[0]) if len(set(values)) == 1 else extents(values)


def _spatial(axes: int) -> str:
    if axes == 1:
        return "1 spatial axis"
    return f"{axes or 'no'} spatial axes"


class NeedsPlane(Problem):
    """A layer that turns the plane is given a value with another number of spatial axes.

    Turns by an angle, and a distance from an origin, are those of a plane: the layer takes channels, a
    height and a width.

    ```arch
    network Small {
      input signal: [1, 40]
      log_polar([16, 12])
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      reshape([1, 8, 5]) -> log_polar([16, 12])
    }
    ```
    """

    kind: str
    shape: str
    axes: int

    def message(self) -> str:
        return f"`{self.kind}` is for images, and {self.shape} has {_spatial(self.axes)}"

    def label(self) -> str:
        return "needs channels, a height and a width"
