"""Recipes: the keys of a `train` block, and words that don't go together."""

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
    owner: tuple[str, str, str] | None = None
    """The key whose words have such an argument, the argument, and one of these words with it."""
    remark: str | None = None
    """Why there is none, where that is known."""

    def message(self) -> str:
        return f"a recipe has no key `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "not a key of a recipe"

    def help(self) -> str | None:
        if self.owner is not None:
            key, argument, word = self.owner
            return f"`{argument}` is an argument: `{key} = {word}`"
        if self.meant or self.remark:
            return self.remark
        return f"its keys are {listed([f'`{key}`' for key in self.known])}"

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
    piece: str | None = None
    """The piece of a schedule whose length it is, if not the training's."""

    def message(self) -> str:
        what = f"`{self.piece}` lasts" if self.piece else "to train"
        return f"`{self.first}` and `{self.second}` both say how long {what}"

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
    others: tuple[str, ...] = ()
    """The networks of the file that have one."""

    def message(self) -> str:
        return f"there is no `train` block for `{self.network}`"

    def label(self) -> str:
        return "nothing says how to train it"

    def help(self) -> str | None:
        head = f"train {self.network} {{" if self.others else "train {"
        text = "\n".join(["put one beside it:", head, *(f"  {one}" for one in self.examples), "}"])
        if not self.others:
            return text
        return f"{text}\nthere is one for {listed([f'`{one}`' for one in self.others])}"


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
    remark: str | None = None
    """Why it can't, where that is known, and what to write."""

    def message(self) -> str:
        return f"`{self.key}` can't be {self.found}"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else f"expected {self.expected}"

    def help(self) -> str | None:
        return self.remark or (f"it is {self.expected}" if self.meant else None)

    def replacement(self) -> str | None:
        return self.meant


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


class NothingToLearn(Problem):
    """A dotted key sets the rate or the initialisation of a part that has no weights.

    It would do nothing, and nothing in a recipe is left out in silence.

    ```arch
    network Small {
      input signal: [1, 40]
      vector: flatten
      score: linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      vector.rate = 0
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      vector: flatten
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

    def message(self) -> str:
        return f"`{self.part}` has no weights"

    def label(self) -> str:
        return "nothing to set here"


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


class PieceNeverBegins(Problem):
    """The pieces of a schedule that come first last longer than the training.

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
      schedule  = warm_up(steps=2_000) -> cosine
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
      steps     = 10_000
      schedule  = warm_up(steps=2_000) -> cosine
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    piece: str
    before: int
    steps: int

    def message(self) -> str:
        return f"`{self.piece}` never begins: training ends after {self.steps:,} steps"

    def label(self) -> str:
        return f"it would begin after {self.before:,}"
