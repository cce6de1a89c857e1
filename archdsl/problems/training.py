"""Recipes that can't be trained by: what a `train` block may not say."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed


class UnknownSetting(Problem):
    """A `train` block sets a key that there is none of.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimiser = sgd(lr=0.01)
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

    found: str
    meant: str | None
    known: tuple[str, ...]
    owner: tuple[str, str] | None = None
    """The key whose words have an argument of this name, and one of these words."""

    def message(self) -> str:
        return f"a recipe has no key `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "not a key of a recipe"

    def help(self) -> str | None:
        if self.owner is not None:
            key, word = self.owner
            return f"`{self.found}` is an argument: `{key} = {word}({self.found}=...)`"
        return None if self.meant else f"its keys are {listed([f'`{key}`' for key in self.known])}"

    def replacement(self) -> str | None:
        return self.meant


class DuplicateSetting(Problem):
    """A recipe sets a key twice.

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
      batch     = 200
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
      batch     = 200
      steps     = 1_000
    }
    ```
    """

    key: str

    def message(self) -> str:
        return f"`{self.key}` is set twice"

    def label(self) -> str:
        return "set a second time"


class ConflictingSettings(Problem):
    """A recipe states its length twice, in steps and in epochs.

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
      epochs    = 25
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
      epochs    = 25
    }
    ```
    """

    first: str
    second: str

    def message(self) -> str:
        return f"`{self.first}` and `{self.second}` both say how long to train"

    def label(self) -> str:
        return "keep one of the two"


class MissingSetting(Problem):
    """A recipe lacks a key that has no default.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
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

    keys: tuple[str, ...]
    examples: tuple[str, ...]

    def message(self) -> str:
        return f"the recipe does not say {listed([f'`{key}`' for key in self.keys])}"

    def label(self) -> str:
        return f"{listed(self.keys)} missing"

    def help(self) -> str | None:
        return f"for example {listed([f'`{example}`' for example in self.examples])}"


class NoRecipe(Problem):
    """A network is to be trained, and the file does not say how.

    A `train` block stands beside the network, or one `train NAME { ... }` for each of several networks.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
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

    network: str
    examples: tuple[str, ...]

    def message(self) -> str:
        return f"there is no `train` block for `{self.network}`"

    def label(self) -> str:
        return "nothing says how to train it"

    def help(self) -> str | None:
        return f"put one beside it: train {{ {'; '.join(self.examples)} }}, each key on a line of its own"


class BadSetting(Problem):
    """A key of a recipe has a value that it can't have.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 0
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

    key: str
    found: str
    expected: str
    meant: str | None = None

    def message(self) -> str:
        return f"`{self.key}` can't be {self.found}"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else f"expected {self.expected}"

    def help(self) -> str | None:
        return f"it is {self.expected}" if self.meant else None

    def replacement(self) -> str | None:
        return self.meant


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
    found: tuple[str, ...]
    shapes: tuple[str, ...]
    through: str | None = None
    """The key whose transforms the examples pass through."""

    def message(self) -> str:
        gives = f"`{self.data}` gives {listed(self.shapes, 'or')}"
        if self.through:
            gives = f"`{self.through}` makes {listed(self.shapes, 'or')} of `{self.data}`"
        if len(self.found) == 1:
            return f"{gives}, and the network takes {self.found[0]}"
        return f"{gives}, and the network has {len(self.found)} inputs"

    def label(self) -> str:
        return "does not fit the network's input" + ("s" if len(self.found) > 1 else "")

    def help(self) -> str | None:
        return f"`input signal: {self.shapes[0]}`"


class NoData(Problem):
    """Data that a recipe names are not there. Only training looks for them; a check does not.

    A path is meant from the folder of the file that says it; on the command line, from the current one.
    What packages carry needs the package.
    """

    found: str
    reason: str
    mend: str | None = None

    def message(self) -> str:
        return f"`{self.found}` {self.reason}"

    def label(self) -> str:
        return "no data"

    def help(self) -> str | None:
        return self.mend


class BadData(Problem):
    """Data that a recipe names are there, and can't be trained on.

    Arrays are numbers, as many examples as targets, and are read from `.npz` files without anything that
    could run code. Series are equally long.
    """

    found: str
    reason: str

    def message(self) -> str:
        return f"`{self.found}` can't be trained on: {self.reason}"


class PythonNotAllowed(Problem):
    """A recipe names the user's own Python, which runs only where the command line allows it.

    No file that one merely opens can run code: whoever trains says `--allow-python`.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = python("my_package.data:make")
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 10
      steps     = 1_000
    }
    ```
    """

    target: str

    def message(self) -> str:
        return f"`{self.target}` is Python, which would run code"

    def label(self) -> str:
        return "not allowed"

    def help(self) -> str | None:
        return "if you trust it: `--allow-python`"


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

    def message(self) -> str:
        given = f"`{self.data}` gives {self.target}"
        if not self.shapes:
            return f"{given}, which `{self.loss}` can't judge by"
        return f"{given}, for which `{self.loss}` takes {listed(self.shapes, 'or')}; this is {self.found}"

    def label(self) -> str:
        return "does not fit the network's result" if self.shapes else "does not fit the data"

    def help(self) -> str | None:
        if self.loss == "cross_entropy" and self.classes is not None and len(self.shapes[0].split(",")) == 1:
            return f"end the network in `linear({self.classes})`"
        return None


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

    def message(self) -> str:
        return f"`{self.metric}` can't judge {self.output} against {self.target}"

    def label(self) -> str:
        return "does not fit the data"


class UnknownPart(Problem):
    """A dotted key names a part that the network does not have.

    Before the last dot stands the name of a layer, of a labelled line, group or loop, or of a block's use.


    ```arch
    network Small {
      input signal: [1, 40]
      flatten
      score: linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      scores.rate = 10
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      flatten
      score: linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      score.rate = 10
    }
    ```
    """

    part: str
    meant: str | None

    def message(self) -> str:
        return f"the network has no part `{self.part}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "no layer or label of this name"


class NesterovWithoutMomentum(Problem):
    """Nesterov's method looks ahead by the momentum, so there has to be one, undampened.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01, nesterov=true)
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
      optimizer = sgd(lr=0.01, momentum=0.9, nesterov=true)
      batch     = 100
      steps     = 1_000
    }
    ```
    """

    def message(self) -> str:
        return "`nesterov` needs a momentum, and no dampening"

    def label(self) -> str:
        return "looks ahead by the momentum"

    def help(self) -> str | None:
        return "`sgd(lr=0.01, momentum=0.9, nesterov=true)`"


class StepNeedsPlaces(Problem):
    """A `step` schedule says either how often the rate falls or at which epochs.

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
      schedule  = step(by=0.1)
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
      schedule  = step(10, by=0.1)
    }
    ```
    """

    def message(self) -> str:
        return "`step` takes either `every` or `at`"

    def label(self) -> str:
        return "when does the rate fall?"

    def help(self) -> str | None:
        return "`step(30)` lets it fall every 30 epochs, `step(at=[30, 60, 80])` three times"


class EndlessPiece(Problem):
    """A piece of a schedule that others follow does not say how long it lasts.

    Only the last one lasts to the end of the training by itself.


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
      schedule  = warm_up -> cosine
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
      schedule  = warm_up(epochs=5) -> cosine
    }
    ```
    """

    piece: str

    def message(self) -> str:
        return f"`{self.piece}` does not say how long it lasts"

    def label(self) -> str:
        return "what follows would never begin"

    def help(self) -> str | None:
        return f"`{self.piece}(epochs=5)` or `{self.piece}(steps=1000)`"


class NotDeltaOrthogonal(Problem):
    """A convolution that makes fewer channels than it takes has no delta-orthogonal kernel.

    Its centre is a matrix that keeps lengths, so it needs as many rows as columns at least.


    ```arch
    network Narrowing {
      input signal: [1, 40]
      first: conv(16, kernel=3) -> relu
      second: conv(8, kernel=3) -> relu
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      initialize = delta_orthogonal
    }
    ```

    ```arch
    network Narrowing {
      input signal: [1, 40]
      first: conv(16, kernel=3) -> relu
      second: conv(8, kernel=3) -> relu
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      initialize = delta_orthogonal
      second.initialize = orthogonal
    }
    ```
    """

    taken: int
    made: int

    def message(self) -> str:
        return f"a kernel from {self.taken} to {self.made} channels can't be delta-orthogonal"

    def label(self) -> str:
        return "needs at least as many channels after a layer as before it"

    def help(self) -> str | None:
        return "give the layer another one, as in `second.initialize = orthogonal`"


class CropTooLarge(Problem):
    """A window is to be cut out of examples that are smaller than it.

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
      augment   = random_crop(48)
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
      augment   = random_crop(40, padding=4)
    }
    ```
    """

    transform: str
    size: int
    shape: str

    def message(self) -> str:
        return f"`{self.transform}` of {self.size} does not fit in {self.shape}"

    def label(self) -> str:
        return "the window is larger than the example"


class NeedsPictures(Problem):
    """A transform is for pictures, and for their colours, and the examples are something else.

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
      augment   = pca_color
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
      augment   = horizontal_flip
    }
    ```
    """

    transform: str
    shape: str

    def message(self) -> str:
        return f"`{self.transform}` is not for examples {self.shape}"

    def label(self) -> str:
        return "does not fit the examples"


class MixesLast(Problem):
    """Mixed examples have mixed targets, so nothing can follow a transform that mixes.

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
      augment   = mixup -> horizontal_flip
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
      augment   = horizontal_flip -> mixup
    }
    ```
    """

    transform: str

    def message(self) -> str:
        return f"`{self.transform}` has to come last"

    def label(self) -> str:
        return "what follows would see mixed examples"


class ChanceInEvaluation(Problem):
    """What is measured must not depend on chance.

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
      evaluate  = horizontal_flip
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
      augment   = horizontal_flip
    }
    ```
    """

    transform: str

    def message(self) -> str:
        return f"`{self.transform}` draws random numbers, and `evaluate` leaves nothing to chance"

    def label(self) -> str:
        return "belongs in `augment`"


class ViewsInTraining(Problem):
    """Several views of an example are made in a training step, which takes one.

    `five_crop` and `ten_crop` are for measuring: the outputs on their views are averaged.

    ```arch
    network Small {
      input image: [1, 24, 24]
      flatten -> linear(10)
    }

    train {
      data      = mnist
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      augment   = ten_crop(24)
      evaluate  = center_crop(24)
    }
    ```

    ```arch
    network Small {
      input image: [1, 24, 24]
      flatten -> linear(10)
    }

    train {
      data      = mnist
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      augment   = random_crop(24)
      evaluate  = ten_crop(24)
    }
    ```
    """

    transform: str
    views: int

    def message(self) -> str:
        return f"`{self.transform}` makes {self.views} views of an example, and a training step takes one"

    def label(self) -> str:
        return "belongs in `evaluate`"


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
