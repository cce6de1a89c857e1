"""Networks that don't fit how they are to be trained: their inputs, outputs and losses."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed
from archdsl.sizes import Size


class DataMismatch(Problem):
    """The network's input does not take what the data give.

    Every value of the network is without the batch axis: MNIST-1D gives signals `[1, 40]`, which a
    network may also take as vectors `[40]`.

    ```arch
    network Small {
      input signal: [1, 50]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    data: str
    found: str
    shapes: tuple[str, ...]
    through: str | None = None
    """The key whose transforms the examples pass through."""
    input: str = "signal"
    """What the network calls its input."""
    trained: bool = False
    """Whether the network can't be another any more."""
    sizes: tuple[tuple[str, int], ...] = ()
    """What the input's open sizes must be, if then it fits."""
    only_augmented: bool = False
    """Whether what `augment` makes of an example fits, and what is measured does not."""

    def message(self) -> str:
        gives = f"`{self.data}` gives {listed(self.shapes, 'or')}"
        if self.through:
            gives = f"`{self.through}` makes {listed(self.shapes, 'or')} of `{self.data}`"
        return f"{gives}, and the network takes {self.found}"

    def label(self) -> str:
        return "does not fit the network's input"

    def help(self) -> str | None:
        if self.sizes:
            return " ".join(f"`--size {symbol}={size}`" for symbol, size in self.sizes)
        if self.only_augmented:
            return "`augment` makes that for training alone: let `evaluate` make it, too, as by `center_crop`"
        return None if self.trained else f"`input {self.input}: {self.shapes[0]}`"


class SeveralInputs(Problem):
    """Data give one value an example, and the network that is to learn from them has several inputs.

    Put what belongs together into one array, and let the network take it apart: along the channels where the
    other extents agree, otherwise as one long vector.

    ```arch
    network Same {
      input first: [1, 40]
      input second: [1, 40]
      from first, second -> subtract -> flatten -> linear(1)
    }

    train {
      data      = arrays("pairs.npz")
      loss      = binary_cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Same {
      input both: [2, 40]
      first, second: split([1, 1])
      from first, second -> subtract -> flatten -> linear(1)
    }

    train {
      data      = arrays("pairs.npz")
      loss      = binary_cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    data: str
    inputs: tuple[tuple[str, tuple[Size, ...]], ...]
    """Each with its name and the shape of its values."""

    def message(self) -> str:
        return f"`{self.data}` gives one value an example, and the network has {len(self.inputs)} inputs"

    def label(self) -> str:
        return "does not fit the network's inputs"

    def help(self) -> str | None:
        shapes = [shape for _, shape in self.inputs]
        alike = all(shape[1:] == shapes[0][1:] for shape in shapes)
        parts = [shape[0] if alike else prod(shape) for shape in shapes]
        joined = ", ".join(map(str, [sum(parts), *(shapes[0][1:] if alike else ())]))
        names = ", ".join(name for name, _ in self.inputs)
        reshaped = "" if alike else ", and `reshape` each"
        return (
            "give the data as one value and take it apart: "
            f"`input all: [{joined}]`, then `{names}: split([{', '.join(map(str, parts))}])`{reshaped}"
        )


class LossMismatch(Problem):
    """The network's result is not what the loss takes.

    `cross_entropy` takes a score for each class, before any softmax; of a map, scores at every position.
    The other losses take values in the shape of the targets.


    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(12)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    loss: str
    found: str
    shapes: tuple[str, ...]
    data: str
    target: str
    classes: int | None
    ignored: int | None = None
    """The number of the targets that are of no class."""
    trained: bool = False
    """Whether the network can't be another any more."""
    like_input: bool = False
    """Whether the result is of the shape of an input, as in an autoencoder."""

    def message(self) -> str:
        given = f"`{self.data}` gives {self.target}"
        if not self.shapes:
            return f"{given}, which `{self.loss}` can't judge by"
        return f"{given}, for which `{self.loss}` takes {listed(self.shapes, 'or')}; this is {self.found}"

    def label(self) -> str:
        return "does not fit the network's result" if self.shapes else "does not fit the data"

    def help(self) -> str | None:
        if self.trained:
            return None
        if self.loss == "cross_entropy" and self.classes == 256:
            return "where 255 marks what is of no class: `cross_entropy(ignore=255)`"
        if self.loss == "cross_entropy" and self.classes is not None and len(self.shapes[0].split(",")) == 1:
            end = f"end the network in `linear({self.classes})`"
            spare = self.ignored is not None and 0 <= self.ignored < self.classes
            return f"{end}: scores are counted as targets are, that of {self.ignored} too" if spare else end
        if self.like_input and not self.shapes:
            return 'targets that are the input itself: `arrays("own.npz")`, with one array as `x` and as `y`'
        return None


class WeightlessLoss(Problem):
    """Every loss of a recipe has the weight 0, so that there is nothing to learn.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = 0 * cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    count: int

    def message(self) -> str:
        return "the loss has the weight 0" if self.count == 1 else "every loss has the weight 0"

    def label(self) -> str:
        return "nothing is learnt from it"


class WhichOutput(Problem):
    """A loss does not say which of the network's outputs it judges.

    ```arch
    network Two {
      input signal: [1, 40]
      flatten
      early: linear(10)
      late: from input -> flatten -> linear(20) -> relu -> linear(10)
      output early, late
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Two {
      input signal: [1, 40]
      flatten
      early: linear(10)
      late: from input -> flatten -> linear(20) -> relu -> linear(10)
      output early, late
    }

    train {
      data      = mnist1d
      loss      = cross_entropy(late) + 0.3 * cross_entropy(early)
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    loss: str
    outputs: tuple[str, ...]

    def message(self) -> str:
        return f"the network has {len(self.outputs)} outputs, and `{self.loss}` names none"

    def label(self) -> str:
        return "which of them does it judge?"

    def help(self) -> str | None:
        return f"`{self.loss}({self.outputs[0]})`; the outputs are {listed([f'`{o}`' for o in self.outputs])}"


class UnknownOutput(Problem):
    """A loss names an output that the network does not have.

    ```arch
    network Two {
      input signal: [1, 40]
      flatten
      early: linear(10)
      late: from input -> flatten -> linear(20) -> relu -> linear(10)
      output early, late
    }

    train {
      data      = mnist1d
      loss      = cross_entropy(later)
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Two {
      input signal: [1, 40]
      flatten
      early: linear(10)
      late: from input -> flatten -> linear(20) -> relu -> linear(10)
      output early, late
    }

    train {
      data      = mnist1d
      loss      = cross_entropy(late)
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    found: str
    outputs: tuple[str, ...]
    meant: str | None

    def message(self) -> str:
        return f"the network has no output `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "no output of this name"

    def help(self) -> str | None:
        return None if self.meant else f"its outputs are {listed([f'`{o}`' for o in self.outputs])}"


class MetricMismatch(Problem):
    """A metric can't judge this network on these data.

    `error`, `accuracy` and `top_error` need classes, `mean_iou` a class at every position, and
    `top_error(k)` at least `k` scores.


    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      metrics   = [error, top_error(20)]
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      metrics   = [error, top_error(5)]
    }
    ```
    """

    metric: str
    target: str
    output: str
    reason: str = "does not fit the data"

    def message(self) -> str:
        return f"`{self.metric}` can't judge {self.output} against {self.target}"

    def label(self) -> str:
        return self.reason


class RepeatedMetric(Problem):
    """A recipe measures the same thing twice.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      metrics   = [error, top_error(5), error]
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      metrics   = [error, top_error(5)]
    }
    ```
    """

    metric: str

    def message(self) -> str:
        return f"`{self.metric}` is measured twice"

    def label(self) -> str:
        return "named a second time"


class IgnoresNothing(Problem):
    """A loss leaves out the targets of a number that no target has.

    Where data mark what is of no class by a number, such as 255 or -100, that number is said by `ignore`.
    The network has a score for each class, and none for that.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy(ignore=255)
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(9)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy(ignore=9)
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    ignored: int
    classes: int

    def message(self) -> str:
        return f"no target is {self.ignored}: the data have {self.classes:,} classes, from 0"

    def label(self) -> str:
        return "leaves nothing out"


class SoftmaxBeforeLoss(Problem):
    """A network that ends in a softmax is trained with a loss that applies one itself.

    The second softmax flattens the scores, and the network learns slowly and less.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10) -> softmax
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    loss: str
    layer: str
    applied: str

    def message(self) -> str:
        return f"`{self.loss}` applies a {self.applied} itself, and the network ends in one"

    def label(self) -> str:
        return f"after the {self.applied} of `{self.layer}`"

    def help(self) -> str | None:
        return f"leave the network's own {self.applied} out"


class BoundedScores(Problem):
    """The last activation of a network bounds the scores that its loss takes.

    A loss that applies a softmax or sigmoid itself takes scores of any size and sign, as a last `linear` or
    convolution gives them. After a sigmoid they lie between 0 and 1, and the softmax can't come near 1 for
    any class; after a relu every score below 0 is cut off, and with it its gradient.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10) -> relu
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    loss: str
    layer: str
    kind: str
    range: str
    applied: str

    def message(self) -> str:
        return f"`{self.loss}` takes scores of any size and sign, and those of `{self.kind}` are {self.range}"

    def label(self) -> str:
        return f"after `{self.layer}`"

    def help(self) -> str | None:
        return f"leave `{self.layer}` out: the loss applies a {self.applied} to the scores itself"
