"""What is nearly always a mistake though it fits, what one should know of a network, and how to say "I know".

The warnings are told wherever a network is checked, the notes where they are asked for (`--teach`).
"""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed, plural


class BiasBeforeNorm(Problem):
    """A bias stands right before a normalisation that takes it away again.

    Batch normalisation subtracts each channel's mean, and with it whatever number was added to the channel.
    The bias gets no gradient, costs memory and a decay, and does nothing: the normalisation has a learned
    shift of its own. So it is where sums, joins or poolings stand between the two, as long as nothing else
    reads what comes before the normalisation. Of a line that is used often, all uses are counted together,
    and nothing is said where one of them needs the bias.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> batch_norm -> relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> batch_norm -> relu
    }
    ```

    Source: Ioffe and Szegedy, Batch normalization, 2015, section 3.2.
    """

    severity: ClassVar[Severity] = "warning"

    kind: str
    norm: str
    biases: str
    """How many numbers the bias has."""
    mended: str | None = None
    """The use without its bias, where it can be written."""

    def message(self) -> str:
        return f"the bias of `{self.kind}` does nothing: `{self.norm}` subtracts it with the mean"

    def label(self) -> str:
        return (
            f"{plural(self.biases, 'number')} without effect"
            if self.biases != "1"
            else "a number without effect"
        )

    def help(self) -> str:
        return "write `bias=false`"

    def replacement(self) -> str | None:
        return self.mended


class DropoutBeforeNorm(Problem):
    """A dropout stands right before a batch normalisation.

    While the network is trained the dropout makes the variance larger, and the normalisation keeps that
    variance for later. When the network is used nothing is dropped, the variance is smaller than the one
    that was kept, and every value after it is off. After the last normalisation a dropout does no harm. A
    relu in between changes nothing: what is dropped before it is dropped after it.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> dropout(0.3) -> batch_norm -> relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> batch_norm -> relu -> dropout(0.3)
    }
    ```

    Source: Li, Chen, Hu and Yang, Understanding the disharmony between dropout and batch normalization by
    variance shift, 2019.
    """

    severity: ClassVar[Severity] = "warning"

    kind: str
    norm: str

    def message(self) -> str:
        return f"`{self.norm}` learns the variance of what `{self.kind}` disturbs in training alone"

    def label(self) -> str:
        return "drops in training, and not after it"

    def help(self) -> str:
        return f"put `{self.kind}` after the normalisation and its activation, best after the last one"


class UnseenSamples(Problem):
    """Windows with a stride pass over samples that nothing else reads.

    Either the kernel is smaller than the stride, and samples between two windows are lost, or windows that
    do not overlap end before the samples do, since a last one would not fit. What was lost was computed for
    nothing. Where another path reads all of it, as beside the shortcut of a residual, nothing is said. Of
    windows that overlap, what is lost at the end is told as a note, `unread-edge`.

    ```arch
    network Small {
      input signal: [1, 15]
      conv(8, kernel=3, padding=1) -> relu -> max_pool(2)
    }
    ```

    ```arch
    network Small {
      input signal: [1, 15]
      conv(8, kernel=3, padding=1) -> relu -> max_pool(2, ceil=true)
    }
    ```

    Where samples are to be left out, `subsample`, `slice` and `crop` say so. Source: Dumoulin and Visin, A
    guide to convolution arithmetic for deep learning, 2016, section 2.4.
    """

    severity: ClassVar[Severity] = "warning"

    kind: str
    losses: tuple[str, ...]
    """What is lost along some axes, a phrase each."""
    mend: str

    def message(self) -> str:
        return f"`{self.kind}` never reads {listed(self.losses)}"

    def label(self) -> str:
        return "and nothing else does"

    def help(self) -> str:
        return self.mend


class UnusedResult(Problem):
    """One of several results was given a label that nothing reads.

    A result that is not needed is dropped by `_`, which says that this is meant.

    ```arch
    network Small {
      input image: [4, 8, 8]
      low, high: split([2, 2])
      from low -> conv(8, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [4, 8, 8]
      low, _: split([2, 2])
      from low -> conv(8, kernel=3)
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str
    layer: str

    def message(self) -> str:
        return f"`{self.found}`, a result of `{self.layer}`, is never used"

    def label(self) -> str:
        return "named here, and read by nothing"

    def help(self) -> str:
        return "use it, or write `_` in its place to drop it"

    def replacement(self) -> str:
        return "_"


class UnusedAllow(Problem):
    """A comment `# allow NAME` silences nothing.

    What it was written for is gone, or stands on another line: the comment is for its own line, or, alone on
    a line, for the next one that has anything else. What is silenced begins or ends on that line. An error
    can't be silenced.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> batch_norm -> relu  # allow bias-before-norm
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> batch_norm -> relu
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str
    is_error: bool = False
    meant: int | None = None
    """The line near by of which a message of this name is told."""

    def message(self) -> str:
        if self.is_error:
            return f"`{self.found}` is an error, which nothing silences"
        return f"nothing here is silenced by `allow {self.found}`"

    def help(self) -> str:
        if self.is_error:
            return "mend the error"
        if self.meant is not None:
            return f"the message is about line {self.meant}: put the comment at its end, or above it"
        return "take the name out of the comment"


class UnknownAllow(Problem):
    """A comment `# allow NAME` has a name that no warning or note has.

    Every message begins with its name: `warning[bias-before-norm]`.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu  # allow bias-before-nrom
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str
    meant: str | None

    def message(self) -> str:
        return f"there is no warning or note `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "silences nothing"

    def replacement(self) -> str | None:
        return self.meant


# ------------------------------------------------------------------------------ notes


class ShiftedPaths(Problem):
    """Paths from the input meet, and what they say at one position is of different places.

    A unit of each path looks at a window of the input; the windows' centres differ, or the paths have moved
    on by different strides. Kernels of an even extent, padding on one side and strided layers without padding
    do that. A network can learn to live with it, but borders and small things suffer.

    ```arch
    network Small {
      input signal: [8, 64]
      parallel add {
        conv(8, kernel=2, padding=[[0, 1]])
        {}
      }
    }
    ```

    ```arch
    network Small {
      input signal: [8, 64]
      parallel add {
        conv(8, kernel=3, padding=1)
        {}
      }
    }
    ```

    Source: Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks, 2019.
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    differences: tuple[str, ...]

    def message(self) -> str:
        return f"the paths that meet in `{self.kind}` look at different places: {listed(self.differences)}"

    def label(self) -> str:
        return "paths meet here"

    def help(self) -> str:
        return "kernels of odd extent with half of it as padding keep the centres of all paths together"


class Checkerboard(Problem):
    """A transposed convolution adds up more of its input at some units than at others.

    Where the kernel is no multiple of the stride, neighbouring units get different numbers of terms, in
    turn: a pattern of squares that training has to undo, and often does not.

    ```arch
    network Small {
      input features: [16, 8, 8]
      conv_transpose(8, kernel=3, stride=2, padding=1, output_padding=1)
    }
    ```

    ```arch
    network Small {
      input features: [16, 8, 8]
      conv_transpose(8, kernel=4, stride=2, padding=1)
    }
    ```

    Source: Odena, Dumoulin and Olah, Deconvolution and checkerboard artifacts, 2016.
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    kernel: str
    stride: str
    counts: tuple[int, ...]
    """How many taps reach the units of a period, along the first axis where they differ."""
    better: tuple[int, ...]

    def message(self) -> str:
        return f"a kernel of {self.kernel} is no multiple of the stride {self.stride}: checkerboards"

    def label(self) -> str:
        return f"units in turn are sums over {listed(self.counts)} taps"

    def help(self) -> str:
        return (
            f"a kernel of {listed(self.better, 'or')}, or `upsample` and a convolution, treat all units alike"
        )


class Aliasing(Problem):
    """A step is taken without smoothing first.

    What varies faster than every second sample that is kept comes out as something slow, and when the input
    moves by one sample the result is another. Smoothing before the step prevents that: `blur_pool` does both.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> max_pool(2)
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, padding=1) -> relu -> max_pool(2, stride=1) -> blur_pool
    }
    ```

    Source: Zhang, Making convolutional networks shift-invariant again, 2019.
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    stride: str
    mend: str

    def message(self) -> str:
        return f"`{self.kind}` takes a step of {self.stride} without a low-pass before it: aliasing"

    def help(self) -> str:
        return self.mend


class UnreadEdge(Problem):
    """Overlapping windows with a stride end before the samples do.

    A last window would not fit, so the last samples are read by nothing, while those at the other end are.
    It is seldom more than a sample or two, and shifts what the map's middle is.

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, stride=2) -> relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3, stride=2, padding=1) -> relu
    }
    ```

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, section 2.4.
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    losses: tuple[str, ...]
    mend: str

    def message(self) -> str:
        return f"the windows of `{self.kind}` end before {listed(self.losses)}"

    def label(self) -> str:
        return "a last one does not fit"

    def help(self) -> str:
        return self.mend


class HolesInField(Problem):
    """Units at the end of the network see a window of the input with holes in it.

    Dilations that grow without kernels to fill the gaps, or strides over samples that no kernel touches,
    leave samples in the midst of a field that the unit never sees, however deep the network is.

    ```arch
    network Small {
      input signal: [1, 64]
      conv(8, kernel=3, dilation=2) -> relu -> conv(8, kernel=3, dilation=2) -> relu
    }
    ```

    ```arch
    network Small {
      input signal: [1, 64]
      conv(8, kernel=3, dilation=1) -> relu -> conv(8, kernel=3, dilation=2) -> relu
    }
    ```

    Source: Wang et al., Understanding convolution for semantic segmentation, 2018, section 3.2.
    """

    severity: ClassVar[Severity] = "note"

    layer: str
    axes: tuple[str, ...]
    taps: int
    size: int

    def message(self) -> str:
        seen = f"a unit of `{self.layer}` sees {self.taps} of the {self.size} samples of its field"
        return f"{seen} along {listed(self.axes)}"

    def label(self) -> str:
        return "the last map, and its field has holes"

    def help(self) -> str:
        return "dilations such as 1, 2, 5 one after the other, or kernels as large as the stride, leave none"


class FieldShortOfInput(Problem):
    """A pooling over the whole map averages units none of which has seen the whole input.

    What it gives is an average (or maximum) of what was found in windows. That may be meant, as in a bag of
    features; an answer that needs far parts of the input together can't come of it.

    ```arch
    network Small {
      input image: [1, 32, 32]
      conv(8, kernel=3, padding=1) -> relu -> global_avg_pool -> flatten -> linear(10)
    }
    ```

    ```arch
    network Small {
      input image: [1, 32, 32]
      conv(8, kernel=3, padding=1) -> relu -> avg_pool(16)
      conv(8, kernel=3, padding=1) -> relu -> global_avg_pool -> flatten -> linear(10)
    }
    ```

    Source: Brendel and Bethge, Approximating CNNs with bag-of-local-features models works surprisingly well
    on ImageNet, 2019.
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    field: str
    extents: str

    def message(self) -> str:
        return f"`{self.kind}` pools units that see {self.field} samples of an input of {self.extents}"

    def label(self) -> str:
        return "no unit before it sees the whole input"

    def help(self) -> str:
        return "more layers, larger kernels or earlier strides widen the field; it may be meant"


class FieldCoversInput(Problem):
    """From some layer on, the receptive field is as large as the whole input.

    A unit in the middle of the layer's input sees nearly all of the network's input already, and one in a
    corner about half of it along each axis: what a larger field adds lies for the most part beyond the input.
    Such layers were found to add little or nothing to the accuracy. Fewer layers, or a larger input, may do
    as well.

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(8, kernel=5, padding=2) -> relu -> conv(8, kernel=5, padding=2) -> relu
      conv(8, kernel=5, padding=2) -> relu -> flatten -> linear(10)
    }
    ```

    ```arch
    network Small {
      input image: [1, 32, 32]
      conv(8, kernel=5, padding=2) -> relu -> conv(8, kernel=5, padding=2) -> relu
      conv(8, kernel=5, padding=2) -> relu -> flatten -> linear(10)
    }
    ```

    The field is the one that the analysis gives, along the path that sees most. Source: Richter, Schöning,
    Wiedenroth and Krumnack, Should you go deeper? Optimizing convolutional neural network architectures
    without training, 2021; Richter and Pal, Receptive field refinement for convolutional neural networks
    reliably improves predictive performance, 2022.
    """

    severity: ClassVar[Severity] = "note"

    layer: str
    field: str
    extents: str
    layers: int
    """How many layers with a window there are from here on, this one among them."""
    of: int
    parameters: str

    def message(self) -> str:
        field = f"the receptive field before `{self.layer}` is {self.field}"
        return f"{field}, and the whole input {self.extents}"

    def label(self) -> str:
        return "what its window adds lies mostly beyond the input"

    def notes(self) -> tuple[str, ...]:
        rest = f"{plural(self.layers, 'layer')} with a window, of {self.of} in the network"
        return (f"so it is from here on: {rest}, with {self.parameters} parameters",)
