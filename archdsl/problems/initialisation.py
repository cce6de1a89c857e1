"""Initialisations that do not fit the layers they are for."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed


class NothingToFill(Problem):
    """A part is given an initialisation that fills kernels and matrices, and has neither.

    Normalisations, learned scales and kernels that are sums of given functions begin as their layers' pages
    say.

    ```arch
    network Small {
      input signal: [1, 40]
      conv(8, kernel=3) -> relu
      spread: batch_norm
      flatten
      scores: linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      spread.initialize = he
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      conv(8, kernel=3) -> relu
      spread: batch_norm
      flatten
      scores: linear(10)
    }

    train {
      data      = mnist1d
      loss      = cross_entropy
      optimizer = sgd(lr=0.01)
      batch     = 100
      steps     = 1_000
      scores.initialize = he
    }
    ```
    """

    part: str
    kinds: tuple[str, ...]

    def message(self) -> str:
        return f"`{self.part}` has no kernel or matrix to fill"

    def label(self) -> str:
        kinds = [f"`{kind}`" for kind in self.kinds]
        return f"{listed(kinds)} {'begin' if len(kinds) > 1 else 'begins'} as the layer's page says"


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


class NotPlainKernel(Problem):
    """An initialisation that places each number of a kernel needs one of outputs, inputs and taps alone.

    The kernels of a convolution over a group have an axis more, for the members of the group.


    ```arch
    network Turned {
      input image: [1, 8, 8]
      lifting_conv(4, kernel=3, group=p4) -> relu
      flatten
      scores: linear(10)
    }

    train {
      data       = digits
      loss       = cross_entropy
      optimizer  = sgd(lr=0.01)
      batch      = 50
      steps      = 1_000
      initialize = delta_orthogonal
    }
    ```

    ```arch
    network Turned {
      input image: [1, 8, 8]
      lifting_conv(4, kernel=3, group=p4) -> relu
      flatten
      scores: linear(10)
    }

    train {
      data       = digits
      loss       = cross_entropy
      optimizer  = sgd(lr=0.01)
      batch      = 50
      steps      = 1_000
      initialize = he
    }
    ```
    """

    word: str
    kind: str

    def message(self) -> str:
        return f"`{self.word}` can't fill the kernel of a `{self.kind}`"

    def label(self) -> str:
        return "places the numbers of kernels with outputs, inputs and taps"

    def help(self) -> str | None:
        return "draw them all alike: `he`, `xavier`, `normal` or `orthogonal`"
