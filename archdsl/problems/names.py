"""Names that are unknown, used twice, or used where something else belongs."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed, plural


class UnknownLayer(Problem):
    """A name in a chain is no layer, block, shared layer or parameter.

    Layers are listed by `archdsl layers`; blocks are declared in the file or imported.

    ```arch
    network Small {
      input image: [1, 8, 8]
      covn(4, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernel=3)
    }
    ```
    """

    found: str
    meant: str | None
    foreign: str | None = None

    def message(self) -> str:
        return f"there is no layer or block `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "not a layer, block or shared layer"

    def help(self) -> str | None:
        if self.foreign:
            return self.foreign
        return None if self.meant else "`archdsl layers` lists the layers; a block is declared or imported"

    def replacement(self) -> str | None:
        return self.meant


class UnknownName(Problem):
    """A name in an expression is not defined here.

    Labels, parameters, `let` and loop names are seen in the scope that defines them and in the
    scopes inside it, after the line that defines them. An undefined name in capitals is a symbolic
    size.

    ```arch
    network Small(width = 8) {
      input image: [1, 8, 8]
      conv(widht, kernel=3)
    }
    ```

    ```arch
    network Small(width = 8) {
      input image: [1, 8, 8]
      conv(width, kernel=3)
    }
    ```
    """

    found: str
    meant: str | None
    later: bool = False
    remark: str | None = None

    def message(self) -> str:
        if self.later:
            return f"`{self.found}` is used before it is made"
        return f"`{self.found}` is not defined"

    def label(self) -> str:
        if self.later:
            return "not made yet"
        return f"did you mean `{self.meant}`?" if self.meant else "not found in this scope"

    def help(self) -> str | None:
        return self.remark

    def replacement(self) -> str | None:
        return None if self.later else self.meant


class UnknownAttribute(Problem):
    """What stands after a dot is neither an inner label of the value nor one of its facts.

    A value has `channels`, `shape` and `size`; with one spatial axis `length`, with two `height`
    and `width`, with three `depth` too. In `expect` it also has `receptive_field` and `stride`. The
    label of a block, group or loop opens the labels in it.

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv1: conv(4, kernel=3)
      conv(conv1.chanels, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv1: conv(4, kernel=3)
      conv(conv1.channels, kernel=3)
    }
    ```
    """

    owner: str
    found: str
    meant: str | None
    known: tuple[str, ...]

    def message(self) -> str:
        return f"`{self.owner}` has no `{self.found}`"

    def label(self) -> str:
        if self.meant:
            return f"did you mean `{self.meant}`?"
        return "" if self.known else "this is no value that a layer made"

    def help(self) -> str | None:
        if self.meant or not self.known:
            return None
        return f"it has {listed([f'`{name}`' for name in self.known])}"

    def replacement(self) -> str | None:
        return self.meant


class UnknownArgument(Problem):
    """A layer, block or function is given an argument that it does not have.

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernal=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernel=3)
    }
    ```
    """

    owner: str
    found: str
    meant: str | None
    signature: str
    remark: str | None = None

    def message(self) -> str:
        return f"`{self.owner}` has no argument `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def notes(self) -> tuple[str, ...]:
        return (self.remark,) if self.remark else ()

    def help(self) -> str | None:
        return f"it is `{self.signature}`"

    def replacement(self) -> str | None:
        return self.meant


class DuplicateArgument(Problem):
    """An argument is given twice, by position and by name or twice by name.

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, 3, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernel=3)
    }
    ```
    """

    owner: str
    argument: str
    signature: str

    def message(self) -> str:
        return f"`{self.owner}` is given `{self.argument}` twice"

    def label(self) -> str:
        return "given a second time"

    def help(self) -> str | None:
        return f"it is `{self.signature}`"


class ExtraArgument(Problem):
    """More arguments by position than there are.

    ```arch
    network Small {
      input signal: [40]
      relu(3)
    }
    ```

    ```arch
    network Small {
      input signal: [40]
      relu
    }
    ```
    """

    owner: str
    count: int
    signature: str

    def message(self) -> str:
        if self.count == 0:
            return f"`{self.owner}` takes no arguments"
        return f"`{self.owner}` takes at most {plural(self.count, 'argument')}"

    def label(self) -> str:
        return "one too many"

    def help(self) -> str | None:
        return f"it is `{self.signature}`"


class MissingArgument(Problem):
    """An argument without a default is not given.

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernel=3)
    }
    ```
    """

    owner: str
    missing: tuple[str, ...]
    signature: str

    def message(self) -> str:
        names = listed([f"`{name}`" for name in self.missing])
        return f"`{self.owner}` needs {names}"

    def label(self) -> str:
        return f"{listed(self.missing)} missing"

    def help(self) -> str | None:
        return f"it is `{self.signature}`"


class DuplicateName(Problem):
    """A name is defined twice in one scope.

    Labels, parameters, `let`, loop names and inputs are one family; so are the blocks and networks
    of a file and what it imports. A name means one thing in a scope.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      a: conv(4, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      b: conv(4, kernel=3)
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"`{self.found}` is already defined"

    def label(self) -> str:
        return "defined a second time"

    def help(self) -> str | None:
        return "a name means one thing in a scope: give one of them another name"


class ReservedName(Problem):
    """A name that the language keeps for itself: `N` is the batch.

    ```arch
    network Small {
      input image: [3, N, 8]
      relu
    }
    ```

    ```arch
    network Small {
      input image: [3, H, 8]
      relu
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"`{self.found}` is reserved"

    def label(self) -> str:
        return "this is the batch, which is never written" if self.found == "N" else ""

    def help(self) -> str | None:
        return "choose another name"


class ValueInChain(Problem):
    """The label of a value stands where a layer belongs.

    In a chain a name is a layer, block, shared layer or parameter. To go on from a value made
    earlier, start the line with `from`; to use a layer's weights again, declare it `shared`.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      b: relu
      a -> sigmoid
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      b: relu
      from a, b -> add -> sigmoid
    }
    ```
    """

    found: str
    first: bool
    what: str = "a value"

    def message(self) -> str:
        return f"`{self.found}` is {self.what}, not a layer"

    def label(self) -> str:
        return "a layer or block belongs here"

    def help(self) -> str | None:
        if self.what.startswith("the word"):
            return "a layer is named without quotes"
        if self.what != "a value":
            return None
        if self.first:
            return f"write `from {self.found}` to go on from it"
        return f"to use its weights again, declare it: `shared {self.found}: ...`"

    def replacement(self) -> str | None:
        return f"from {self.found}" if self.first and self.what == "a value" else None


class NotAValue(Problem):
    """A number, word or layer stands where a value belongs, that is, something a layer made.

    ```arch
    network Small(width = 4) {
      input image: [1, 8, 8]
      conv(width, kernel=3)
      concat(width)
    }
    ```

    ```arch
    network Small(width = 4) {
      input image: [1, 8, 8]
      a: conv(width, kernel=3)
      from a, a -> concat
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"{self.found} is not a value that a layer made"

    def label(self) -> str:
        return "a label, or `input`, belongs here"


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

    def message(self) -> str:
        takes = "no input" if self.takes == 0 else plural(self.takes, "input")
        if self.names:
            takes += f" ({listed(self.names)})"
        return f"`{self.owner}` takes {takes} and is given {self.given}"

    def help(self) -> str | None:
        if self.takes == 1 and self.given > 1:
            return "join the values first, for example with `add` or `concat`"
        if self.takes == 0:
            return f"`{self.owner}` begins a new value: start the line with it, in its own line"
        return f"name the values: `from {', '.join(self.names or ('a', 'b'))} -> {self.owner}`"


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


class UnknownNetwork(Problem):
    """A network is asked for that the file does not have.

    ```arch
    network Small {
      input image: [1, 8, 8]
      relu
    }

    train Big {
      batch = 10
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      relu
    }
    ```
    """

    found: str
    known: tuple[str, ...]
    meant: str | None

    def message(self) -> str:
        return f"there is no network `{self.found}` in this file"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def help(self) -> str | None:
        return f"it has {listed([f'`{name}`' for name in self.known])}" if self.known else None


class WhichNetwork(Problem):
    """A file with several networks, none of which was chosen.

    With none named, the only network of a file is meant, or the one named like the file.

    ```arch
    network Left {
      input image: [1, 8, 8]
      relu
    }

    network Right {
      input image: [1, 8, 8]
      relu
    }

    train {
      batch = 10
    }
    ```

    ```arch
    network Left {
      input image: [1, 8, 8]
      relu
    }

    network Right {
      input image: [1, 8, 8]
      relu
    }
    ```
    """

    file: str
    known: tuple[str, ...]
    for_training: bool = False

    def message(self) -> str:
        return f"this file has {len(self.known)} networks: {listed(self.known)}"

    def label(self) -> str:
        return "which one?"

    def help(self) -> str | None:
        if self.for_training:
            return f"name it: `train {self.known[0]} {{ ... }}`"
        return f"name one: `{self.file}:{self.known[0]}`"


class NoNetwork(Problem):
    """A file without a network has nothing to analyse. It may still hold blocks for others.

    ```arch
    block Twice { relu -> relu }
    ```

    ```arch
    block Twice { relu -> relu }

    network Small {
      input image: [1, 8, 8]
      Twice
    }
    ```
    """

    def message(self) -> str:
        return "this file has no network"

    def help(self) -> str | None:
        return "begin one: `network Name { input image: [3, 224, 224] ... }`"


class UnknownParameter(Problem):
    """A parameter is set that the network does not have (`--set classes=10`, `--size`, `--input`)."""

    network: str
    found: str
    what: str
    known: tuple[str, ...]
    meant: str | None

    def message(self) -> str:
        return f"network `{self.network}` has no {self.what} `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def help(self) -> str | None:
        return f"it has {listed([f'`{name}`' for name in self.known])}" if self.known else None


class UnknownImport(Problem):
    """An import names a block that the other file does not declare.

    ```arch
    import Botleneck from "resnet.arch"

    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```
    """

    found: str
    path: str
    meant: str | None
    known: tuple[str, ...]

    def message(self) -> str:
        return f'"{self.path}" has no block `{self.found}`'

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def help(self) -> str | None:
        if self.meant or not self.known:
            return None
        return f"it has {listed([f'`{name}`' for name in self.known])}"

    def replacement(self) -> str | None:
        return self.meant


class ImportNotFound(Problem):
    """An imported file is not there, or can't be read.

    Paths are relative to the importing file, then to the bundled architectures.

    ```arch
    import Bottleneck from "resnett.arch"

    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```
    """

    path: str
    reason: str
    meant: str | None = None

    def message(self) -> str:
        return f'"{self.path}" can\'t be imported'

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return f'did you mean "{self.meant}"?' if self.meant else None

    def replacement(self) -> str | None:
        return f'"{self.meant}"' if self.meant else None


class ImportOutside(Problem):
    """An import leaves the folder of the file that the user named.

    An `.arch` file from elsewhere must not be able to read what lies around it, so imports stay
    inside the folder of the named file and the bundled architectures.

    ```arch
    import Secret from "../../elsewhere.arch"

    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Small {
      input image: [3, 8, 8]
      relu
    }
    ```
    """

    path: str

    def message(self) -> str:
        return f'"{self.path}" lies outside the folder of the file that was opened'

    def label(self) -> str:
        return "imports stay inside that folder"

    def help(self) -> str | None:
        return "move the file beside this one, or into a folder below it"


class ImportCycle(Problem):
    """Files that import each other in a circle."""

    files: tuple[str, ...]

    def message(self) -> str:
        return "these files import each other in a circle"

    def label(self) -> str:
        return " -> ".join(self.files)

    def help(self) -> str | None:
        return "put what they share into a file of its own"


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
