"""The structure of blocks and networks: inputs, labels and results that do not fit, and what goes unused."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed, plural


class InputCount(Problem):
    """A layer or block gets more or fewer values than it takes.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      b: conv(4, kernel=3, padding=1)
      from a, b -> relu
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      b: conv(4, kernel=3, padding=1)
      from a, b -> add -> relu
    }
    ```
    """

    owner: str
    takes: int
    given: int
    names: tuple[str, ...] = ()
    several: str | None = None
    """The layer whose results they all are."""

    def message(self) -> str:
        takes = "no input" if self.takes == 0 else plural(self.takes, "input")
        if self.names:
            takes += f" ({listed(self.names)})"
        return f"`{self.owner}` takes {takes} and is given {self.given}"

    def help(self) -> str | None:
        if self.several is not None:
            named = ", ".join(("y", "z", *(f"z{i}" for i in range(2, self.given)))[: self.given])
            example = f"`{named}: {self.several}(...)`"
            return f"give the results of `{self.several}` names, as in {example}, and go on from one"
        if self.takes == 1 and self.given > 1:
            return "join the values first, for example with `add` or `concat`"
        if self.takes == 0:
            return f"`{self.owner}` begins a new value: start the line with it, in its own line"
        return f"name the values: `from {', '.join(self.names or ('a', 'b'))} -> {self.owner}`"


class NoBranches(Problem):
    """A `parallel` has nothing between its braces.

    Each line there is a branch. One that changes nothing is `{}`.

    ```arch
    network Small {
      input image: [4, 8, 8]
      parallel add { }
    }
    ```

    ```arch
    network Small {
      input image: [4, 8, 8]
      parallel add {
        conv(4, kernel=3, padding=1)
        {}
      }
    }
    ```
    """

    join: str

    def message(self) -> str:
        return f"`parallel {self.join}` has no branches"

    def label(self) -> str:
        return "nothing to join"

    def help(self) -> str | None:
        return "each line between its braces is a branch; `{}` is one that changes nothing"


class NoValue(Problem):
    """A line takes the value that the line above made, and there is none.

    After several inputs, or where nothing was made yet, the line says where it starts: `from a`.

    ```arch
    network Two {
      input left: [4]
      input right: [4]
      linear(3)
    }
    ```

    ```arch
    network Two {
      input left: [4]
      input right: [4]
      from left, right -> concat -> linear(3)
    }
    ```
    """

    names: tuple[str, ...]

    def message(self) -> str:
        return "there is no value for this line to start from"

    def label(self) -> str:
        return "which value does this take?"

    def help(self) -> str | None:
        if not self.names:
            return "a network starts with an input: `input image: [3, 224, 224]`"
        return f"say it: `from {self.names[0]} -> ...`"


class NoInput(Problem):
    """A network has no `input` line, so nothing is known of what it takes.

    ```arch
    network Small {
      linear(10)
    }
    ```

    ```arch
    network Small {
      input features: [40]
      linear(10)
    }
    ```
    """

    network: str

    def message(self) -> str:
        return f"network `{self.network}` has no input"

    def help(self) -> str | None:
        return "begin it with a line such as `input image: [3, 224, 224]` (channels first, no batch)"


class InputForm(Problem):
    """An `input` line of the wrong form: a network's says a shape, a block's only names.

    What reaches a block has the shape it has, so a block's `input fine, coarse` names its values
    and no more. A network's input must say its shape: `input image: [3, 224, 224]`.

    ```arch
    network Small {
      input image
      relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```
    """

    in_network: bool

    def message(self) -> str:
        if self.in_network:
            return "a network's input needs its shape"
        return "a block's input has no shape of its own: it takes what reaches it"

    def help(self) -> str | None:
        if self.in_network:
            return "write channels first, then the spatial extents: `input image: [3, 224, 224]`"
        return "name the inputs only: `input fine, coarse`"


class NetworkInChain(Problem):
    """A network stands where a layer or block belongs.

    A network has inputs of its own, of shapes of its own, so it can't take what reaches it from another. What
    two networks share is a block.

    ```arch
    network Features {
      input image: [3, 8, 8]
      conv(4, kernel=3) -> relu
    }

    network Classifier {
      input image: [3, 8, 8]
      Features -> flatten -> linear(10)
    }
    ```

    ```arch
    block Features {
      conv(4, kernel=3) -> relu
    }

    network Classifier {
      input image: [3, 8, 8]
      Features -> flatten -> linear(10)
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"`{self.found}` is a network, not a block"

    def label(self) -> str:
        return "a network has inputs of its own and can't be part of another"

    def help(self) -> str | None:
        return "put the lines below its `input` into a block, which both networks can use"


class NetworkInExpression(Problem):
    """A network stands where a size, number or value belongs.

    Its name is taken for the whole file, so an open size must be called otherwise.

    ```arch
    network D {
      input signal: [1, D]
      conv(4, kernel=3)
    }
    ```

    ```arch
    network D {
      input signal: [1, L]
      conv(4, kernel=3)
    }
    ```
    """

    found: str
    like_a_size: bool

    def message(self) -> str:
        return f"`{self.found}` is a network, not a {'size' if self.like_a_size else 'value'}"

    def label(self) -> str:
        return "the name of a network in this file"

    def help(self) -> str | None:
        return "call the open size otherwise, or the network" if self.like_a_size else None


class MisplacedStatement(Problem):
    """A statement stands where it has no meaning: `input` and `output` belong to a block or network.

    ```arch
    network Small {
      input image: [3, 8, 8]
      repeat 2 {
        conv(3, kernel=3)
        output image
      }
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      repeat 2 {
        conv(3, kernel=3)
      }
    }
    ```
    """

    statement: str
    reason: str

    def message(self) -> str:
        return f"`{self.statement}` can't stand here"

    def label(self) -> str:
        return self.reason


class LoopNeedsLabel(Problem):
    """A label inside a loop that has no label itself.

    A label names one thing, and a loop makes it many times. With a label the loop numbers its
    rounds: `stage_1.skip`, `stage_2.skip`; and `stage.skip` is the list of all of them.

    ```arch
    network Small {
      input image: [3, 8, 8]
      repeat 2 {
        skip: conv(3, kernel=3)
      }
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      stage: repeat 2 {
        skip: conv(3, kernel=3)
      }
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"`{self.found}` is a label in a loop that has none"

    def label(self) -> str:
        return "would be made once a round"

    def help(self) -> str | None:
        return "give the loop a label: `stage: for ...`, then the rounds are `stage_1`, `stage_2`"


class ResultCount(Problem):
    """A line names more or fewer results than it makes.

    ```arch
    network Small {
      input image: [4, 8, 8]
      a, b, c: split([2, 2])
      from a, b -> add
    }
    ```

    ```arch
    network Small {
      input image: [4, 8, 8]
      a, b: split([2, 2])
      from a, b -> add
    }
    ```
    """

    named: int
    made: int

    def message(self) -> str:
        return f"{plural(self.named, 'label')} for {plural(self.made, 'result')}"

    def label(self) -> str:
        return f"this line makes {plural(self.made, 'result')}"

    def help(self) -> str | None:
        return "a result that is not needed is dropped by `_`" if self.named < self.made else None


class UnusedValue(Problem):
    """A layer's result reaches no output.

    Its parameters and cost are counted, for that is what the file says, but nothing depends on it.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      from image -> conv(8, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      b: from image -> conv(8, kernel=3)
      output a, b
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    layer: str

    def message(self) -> str:
        return f"what `{self.layer}` makes reaches no output"

    def label(self) -> str:
        return "made, counted, and never used"

    def help(self) -> str | None:
        return "use it, name it in `output`, or remove the line"


class JoinOfOne(Problem):
    """A layer that joins values is given one, and passes it on as it is.

    What reaches it is the value of the line above; what it is to be joined with is named as its argument.

    ```arch
    network Small {
      input image: [3, 32, 32]
      skip: conv(16, kernel=3, padding=1) -> relu
      max_pool(2) -> upsample(2)
      concat
      conv(16, kernel=3, padding=1)
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      skip: conv(16, kernel=3, padding=1) -> relu
      max_pool(2) -> upsample(2)
      concat(skip)
      conv(16, kernel=3, padding=1)
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    kind: str

    def message(self) -> str:
        return f"`{self.kind}` is given one value, and joins it with nothing"

    def label(self) -> str:
        return "passes on what reaches it"

    def help(self) -> str | None:
        return f"name the value that is to join it: `{self.kind}(label)`"


class JoinWithItself(Problem):
    """The value that reaches a layer is joined with itself.

    A join takes the value of the line above, and those that are its arguments. A label names what its line
    made, so right after that line it is the value of the line above once more: it is added to itself. To join
    it with what was there before, give that a label, or let both be branches of a `parallel`.

    ```arch
    network Small {
      input image: [16, 32, 32]
      g: conv(16, kernel=3, padding=1) -> relu
      add(g)
    }
    ```

    ```arch
    network Small {
      input image: [16, 32, 32]
      g: conv(16, kernel=3, padding=1) -> relu
      add(image)
    }
    ```

    Where it is meant, `from` says so: `from g, g -> add`.
    """

    severity: ClassVar[Severity] = "warning"

    kind: str
    found: str
    """The argument that is the value which reaches the join."""

    def message(self) -> str:
        return f"`{self.kind}` joins `{self.found}` with itself"

    def label(self) -> str:
        return f"`{self.found}` is what reaches it already"

    def help(self) -> str | None:
        return f"to join it with what came before it, give that a label: `x: ...`, then `{self.kind}(x)`"


class UnusedSharing(Problem):
    """A `shared` layer that is never used makes no layer at all.

    ```arch
    network Small {
      input features: [4]
      shared head: linear(4)
      relu
    }
    ```

    ```arch
    network Small {
      input features: [4]
      shared head: linear(4)
      relu -> head
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str

    def message(self) -> str:
        return f"shared layer `{self.found}` is never used"

    def help(self) -> str | None:
        return f"use it in a chain: `-> {self.found}`"
