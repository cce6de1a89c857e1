"""Names that are unknown, used twice, reserved, or used where something else belongs."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed


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
    and `width`, with three `depth` too. In `expect` it also has `receptive_field` and `stride`, and
    `translation`, `shift`, `border`, `rotation`, `reflection` and `scale`; what a label names has
    `parameters`, `macs`, `flops` and `memory`. The label of a block, group or loop opens the labels in it.

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
    of_network: bool = False
    """Whether the whole network has such a figure."""

    def message(self) -> str:
        return f"`{self.owner}` has no `{self.found}`"

    def label(self) -> str:
        if self.meant:
            return f"did you mean `{self.meant}`?"
        return "" if self.known else "this is no value that a layer made"

    def help(self) -> str | None:
        if self.of_network:
            return f"`{self.found}` is a figure of the whole network, and stands alone"
        if self.meant or not self.known:
            return None
        return f"it has {listed([f'`{name}`' for name in self.known])}"

    def replacement(self) -> str | None:
        return self.meant


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
    used: bool = False
    """Whether it is read, not given to something."""

    def message(self) -> str:
        return f"`{self.found}` is reserved"

    def label(self) -> str:
        return "this is the batch, which is never written" if self.found == "N" else ""

    def help(self) -> str | None:
        if self.used:
            return "leave the batch out; a size that is something else needs another name"
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
        if self.what.startswith("the string"):
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
    meant: str | None = None
    instead: str | None = None
    """How numbers are given, where they may be."""

    def message(self) -> str:
        return f"{self.found} is not a value that a layer made"

    def label(self) -> str:
        return "a label, or `input`, belongs here"

    def help(self) -> str | None:
        if self.meant:
            return f"did you mean `{self.meant}`?"
        return f"numbers are given as `{self.instead}`" if self.instead else None

    def replacement(self) -> str | None:
        return self.meant


class UnusedParameter(Problem):
    """A parameter of a network or block is read by nothing in it.

    Whatever it is set to, the network stays the same: most often a number was written where the parameter was
    meant. One that is there for the sake of others is called `_name`.

    ```arch
    network Small(classes = 10) {
      input features: [64]
      linear(10)
    }
    ```

    ```arch
    network Small(classes = 10) {
      input features: [64]
      linear(classes)
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str
    owner: str

    def message(self) -> str:
        return f"nothing in `{self.owner}` reads its parameter `{self.found}`"

    def label(self) -> str:
        return "changes nothing"

    def help(self) -> str | None:
        return "read it where it was meant, or take it out"


class UnusedLet(Problem):
    """A name that `let` defines is used by nothing.

    ```arch
    network Small {
      input features: [64]
      let width = 32
      linear(32) -> relu
    }
    ```

    ```arch
    network Small {
      input features: [64]
      let width = 32
      linear(width) -> relu
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str

    def message(self) -> str:
        return f"`{self.found}` is defined and never used"

    def label(self) -> str:
        return "nothing reads it"

    def help(self) -> str | None:
        return "use it where it was meant, or take the line out"


class UnusedImport(Problem):
    """A name is imported into a file with networks, and nothing there uses it.

    In a file of blocks alone nothing is said of it: other files may import it from there.

    ```arch
    import SqueezeExcitation, SeparableConv from "blocks.arch"

    network Small {
      input image: [3, 32, 32]
      SeparableConv(16)
    }
    ```

    ```arch
    import SeparableConv from "blocks.arch"

    network Small {
      input image: [3, 32, 32]
      SeparableConv(16)
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str
    path: str

    def message(self) -> str:
        return f"`{self.found}` of {self.path} is imported and never used"

    def label(self) -> str:
        return "nothing uses it"

    def help(self) -> str | None:
        return "take the name out of the import"


class ShadowedLayer(Problem):
    """A block has the name of a layer, which the file then can't use any more.

    Every chain of the file that says the name means the block, the block's own body among them, and whoever
    reads it takes it for the layer.

    ```arch
    block relu {
      leaky_relu(0.1)
    }

    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu
    }
    ```

    ```arch
    block LeakyRelu {
      leaky_relu(0.1)
    }

    network Small {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> LeakyRelu
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str

    def message(self) -> str:
        return f"the block `{self.found}` hides the layer of that name"

    def label(self) -> str:
        return "means the block in this whole file"

    def help(self) -> str | None:
        return "give the block a name of its own; by custom it begins with a capital"
