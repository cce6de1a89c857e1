"""Data that can't be used, and transforms that don't fit them."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity


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
    """Data that a recipe names are there, and can't be trained on or measured with.

    Arrays are numbers, as many examples as targets, and are read from `.npz` files without anything that
    could run code. Series are equally long.
    """

    found: str
    reason: str
    mend: str | None = None

    def message(self) -> str:
        return f"`{self.found}` can't be used as data: {self.reason}"

    def help(self) -> str | None:
        return self.mend


class PythonNotAllowed(Problem):
    """A recipe or an import names the user's own Python, which runs only where the command line allows it.

    No file that one merely opens can run code: whoever wants it says `--allow-python`.

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


class OtherChannels(Problem):
    """A transform has a number for each channel, and the examples have more channels or fewer.

    One number is for all channels.

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
      augment   = normalize(mean=[0.5, 0.4, 0.4], std=0.2)
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
      augment   = normalize(mean=0.4, std=0.2)
    }
    ```
    """

    transform: str
    given: int
    channels: int

    def message(self) -> str:
        have = "1 channel" if self.channels == 1 else f"{self.channels:,} channels"
        return f"`{self.transform}` has {self.given} numbers for examples of {have}"

    def label(self) -> str:
        return "does not fit the examples"

    def help(self) -> str | None:
        return "one number, not in a list, is for all channels"


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


class PositionsDiffer(Problem):
    """Positions are permuted as the network is trained and not as it is measured, or the other way round.

    The network would be measured on examples of another form than it knows. `permute_positions` belongs in
    both chains, with one seed.

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
      augment   = permute_positions(seed=7)
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
      augment   = permute_positions(seed=7)
      evaluate  = permute_positions(seed=7)
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    transform: str
    stated: str
    """The key that has it."""
    lacking: str
    other: str | None = None
    """What `lacking` has in its place."""

    def message(self) -> str:
        there = "has not" if self.other is None else f"has `{self.other}`"
        return f"`{self.stated}` has `{self.transform}`, and `{self.lacking}` {there}"

    def label(self) -> str:
        return "trained and measured examples differ in form"

    def help(self) -> str | None:
        if self.other is None:
            return f"say it in `{self.lacking}`, too"
        return f"say `{self.transform}` in `{self.lacking}`, too"


class MovesTargets(Problem):
    """A transform moves what an example holds, and there is a target at each place of it.

    The targets would stay where they are, and each would be of another place. Colours, noise and what else
    leaves values where they are can be changed.
    """

    transform: str
    target: str

    def message(self) -> str:
        return f"`{self.transform}` moves an example, and its target stays: {self.target}"

    def label(self) -> str:
        return "targets would be of other places"

    def help(self) -> str | None:
        return "leave it out, or give data that are cut and turned already"
