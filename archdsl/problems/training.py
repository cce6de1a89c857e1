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

    def message(self) -> str:
        return f"a recipe has no key `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "not a key of a recipe"

    def help(self) -> str | None:
        return None if self.meant else f"its keys are {listed([f'`{key}`' for key in self.known])}"

    def replacement(self) -> str | None:
        return self.meant


class UnsupportedSetting(Problem):
    """A key of the language that training does not follow yet.

    It is refused rather than left out of account, so that no network is trained by another recipe
    than its file states.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      schedule  = cosine
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

    key: str
    supported: tuple[str, ...]

    def message(self) -> str:
        return f"`{self.key}` is not supported yet"

    def label(self) -> str:
        return "training would not follow this"

    def help(self) -> str | None:
        return f"leave it out; supported are {listed([f'`{key}`' for key in self.supported])}"


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


class BadSetting(Problem):
    """A key of a recipe, or an argument in it, has a value that it can't have.

    ```arch
    network Small {
      input signal: [1, 40]
      flatten -> linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=-0.01)
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

    def message(self) -> str:
        gives = f"`{self.data}` gives {listed(self.shapes, 'or')}"
        if len(self.found) == 1:
            return f"{gives}, and the network takes {self.found[0]}"
        return f"{gives}, and the network has {len(self.found)} inputs"

    def label(self) -> str:
        return "does not fit the network's input" + ("s" if len(self.found) > 1 else "")

    def help(self) -> str | None:
        return f"`input signal: {self.shapes[0]}`"


class LossMismatch(Problem):
    """The network's result is not what the loss takes.

    `cross_entropy` takes one vector with a score a class, before any softmax.

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
    found: tuple[str, ...]
    data: str
    classes: int

    def message(self) -> str:
        takes = f"`{self.loss}` takes [{self.classes}], a score for each class of `{self.data}`"
        if len(self.found) == 1:
            return f"{takes}, and the network gives {self.found[0]}"
        return f"{takes}, and the network gives {len(self.found)} values"

    def label(self) -> str:
        return "does not fit the network's result" + ("s" if len(self.found) > 1 else "")

    def help(self) -> str | None:
        if len(self.found) > 1:
            return "`output` names the value that is the result"
        return f"end the network in `linear({self.classes})`"


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

    def message(self) -> str:
        return f"`{self.loss}` applies a softmax itself, and the network ends in one"

    def label(self) -> str:
        return f"after the softmax of `{self.layer}`"

    def help(self) -> str | None:
        return "leave the network's own softmax out"
