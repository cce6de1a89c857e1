"""Expressions and arguments whose values do not fit."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, extents, plural


class BadArgument(Problem):
    """An argument of a value that it can't have.

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernel=3, stride=0)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      conv(4, kernel=3, stride=1)
    }
    ```
    """

    argument: str
    found: str
    expected: str
    meant: str | None = None
    signature: str | None = None
    """How the layer is written, where the argument was given by position."""
    remark: str | None = None

    def message(self) -> str:
        return f"`{self.argument}` can't be {self.found}"

    def label(self) -> str:
        return f"expected {self.expected}"

    def notes(self) -> tuple[str, ...]:
        return (self.remark,) if self.remark else ()

    def help(self) -> str | None:
        if self.meant:
            return f"did you mean `{self.meant}`?"
        return f"it is `{self.signature}`" if self.signature else None


class BadShape(Problem):
    """The shape of an input: a list of channels and up to three spatial extents.

    ```arch
    network Small {
      input image: [3, 0, 224]
      relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 224, 224]
      relu
    }
    ```
    """

    found: str
    count: int | None = None

    def message(self) -> str:
        return f"{self.found} is not the shape of an input"

    def label(self) -> str:
        return "expected a list of positive whole numbers: channels, then 0 to 3 spatial extents"

    def help(self) -> str | None:
        if self.count is not None and self.count > 4:
            return "the batch axis is never written: `[3, 224, 224]`"
        return None


class ChannelsNotFirst(Problem):
    """The shape of an input has its channels last, or none, as other libraries write it.

    A shape begins with the channels: `[224, 224, 3]` is 224 channels of 224 x 3 samples. Most likely the
    channels stand last where the extents before the last one would make a picture, and the last is 3, or 1
    after two equal ones, or where the first is open and the last is 1, 3 or 4: `[H, W, 3]`. Of what is called
    a picture, clip or signal (`image`, `img`, `picture`, `photo`, `frame`, `clip`, `video`, `volume`, `scan`,
    `signal`, `wave` or `audio`) any last extent that channels may be, up to 4, says so; an `image` of two
    extents, its height and width, has none. What else has such a shape, such as feature maps
    `x: [64, 64, 4]`, is let be.

    ```arch
    network Small {
      input image: [28, 28, 1]
      conv(8, kernel=3, padding=1)
    }
    ```

    ```arch
    network Small {
      input image: [1, 28, 28]
      conv(8, kernel=3, padding=1)
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    input: str
    channels: str
    size: tuple[str, ...]
    meant: tuple[str, ...]
    """The shape that was most likely meant, as the file would write it."""

    def message(self) -> str:
        return f"`{self.input}` has {self.channels} channels of {extents(self.size)}"

    def label(self) -> str:
        return f"channels come first: did you mean {self.replacement()}?"

    def replacement(self) -> str:
        return f"[{', '.join(self.meant)}]"


class WrongType(Problem):
    """An operator or function is given something it does not work on.

    ```arch
    network Small(width = "8") {
      input image: [1, 8, 8]
      conv(2 * width, kernel=3)
    }
    ```

    ```arch
    network Small(width = 8) {
      input image: [1, 8, 8]
      conv(2 * width, kernel=3)
    }
    ```
    """

    operation: str
    found: str
    expected: str

    mend: str | None = None

    def message(self) -> str:
        return f"{self.operation} does not work on {self.found}"

    def label(self) -> str:
        return f"expected {self.expected}"

    def help(self) -> str | None:
        return self.mend


class DivisionByZero(Problem):
    """A division or remainder by zero.

    ```arch
    network Small(groups = 0) {
      input image: [8, 8, 8]
      conv(8 // groups, kernel=3)
    }
    ```

    ```arch
    network Small(groups = 2) {
      input image: [8, 8, 8]
      conv(8 // groups, kernel=3)
    }
    ```
    """

    def message(self) -> str:
        return "division by zero"

    def label(self) -> str:
        return "this is 0"


class OutOfDomain(Problem):
    """A function has no value there: the root of a negative number, the logarithm of zero.

    ```arch
    network Small(width = 0) {
      input image: [1, 8, 8]
      conv(2 + floor(log2(width)), kernel=3)
    }
    ```

    ```arch
    network Small(width = 8) {
      input image: [1, 8, 8]
      conv(2 + floor(log2(width)), kernel=3)
    }
    ```
    """

    function: str
    found: str

    def message(self) -> str:
        return f"`{self.function}` has no value for {self.found or 'nothing'}"

    def label(self) -> str:
        expected = {
            "sqrt": "a number of at least 0",
            "log2": "a number above 0",
            "min": "at least one number",
            "max": "at least one number",
            "range": "a step other than 0",
            "**": "a base of at least 0, for an exponent that is not whole",
        }.get(self.function)
        return f"expected {expected}" if expected else ""


class IndexOutOfRange(Problem):
    """A list is asked for an element that it does not have. The first element is number 0.

    ```arch
    network Small {
      let widths = [8, 16]
      input image: [1, 8, 8]
      conv(widths[2], kernel=3)
    }
    ```

    ```arch
    network Small {
      let widths = [8, 16]
      input image: [1, 8, 8]
      conv(widths[1], kernel=3)
    }
    ```
    """

    index: int
    length: int

    def message(self) -> str:
        return f"there is no element {self.index} in a list of {self.length}"

    def label(self) -> str:
        if not self.length:
            return "the list is empty"
        from_end = f", or -1 to -{self.length} from the end" if self.index < 0 else ""
        return f"expected 0 to {self.length - 1}{from_end}"


class NotACondition(Problem):
    """The test of an `if` is neither true nor false.

    ```arch
    network Small(stride = 1) {
      input image: [1, 8, 8]
      if stride { max_pool(2) }
    }
    ```

    ```arch
    network Small(stride = 1) {
      input image: [1, 8, 8]
      if stride != 1 { max_pool(2) }
    }
    ```
    """

    found: str
    example: str = "stride != 1"

    def message(self) -> str:
        return f"{self.found} is neither true nor false"

    def label(self) -> str:
        return f"expected a condition, such as `{self.example}`"


class UndecidedCondition(Problem):
    """A condition depends on a size that is a symbol.

    Which layers a network has must be known, so a test that holds for some sizes only needs the
    symbol's value. So does what is divided by, such as a stride of `H - 3`: it must be above 0.

    ```arch
    network Small {
      input image: [3, H, W]
      if input.height > 64 { max_pool(2) }
      relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 128, W]
      if input.height > 64 { max_pool(2) }
      relu
    }
    ```
    """

    test: str
    symbols: tuple[str, ...]

    def message(self) -> str:
        return f"whether {self.test} depends on {', '.join(self.symbols)}"

    def label(self) -> str:
        return "can't be decided for all sizes"

    def help(self) -> str | None:
        return f"give the size a number: `--size {self.symbols[0]}=224`" if self.symbols else None


class NotExact(Problem):
    """A symbolic size is divided by `/`, and the result is whole for some sizes only.

    ```arch
    network Small {
      input signal: [4, L]
      halved: avg_pool(2)
      expect halved.length == input.length / 2
    }
    ```

    ```arch
    network Small {
      input signal: [4, L]
      halved: avg_pool(2)
      expect halved.length == input.length // 2
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"{self.found} is whole for some sizes only"

    def label(self) -> str:
        return "`//` divides and rounds down"


class NotAList(Problem):
    """A loop, or a function of lists, is given something else.

    ```arch
    network Small {
      input image: [1, 8, 8]
      for width in 3 { conv(width, kernel=1) }
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      for width in [3] { conv(width, kernel=1) }
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"{self.found} is not a list"

    def label(self) -> str:
        return "expected a list, such as `[64, 128]` or `range(3)`"


class NotACount(Problem):
    """`repeat` takes a whole number of at least 0.

    ```arch
    network Small(depth = 0) {
      input image: [1, 8, 8]
      repeat depth - 1 { conv(1, kernel=1) }
      relu
    }
    ```

    ```arch
    network Small(depth = 3) {
      input image: [1, 8, 8]
      repeat depth - 1 { conv(1, kernel=1) }
      relu
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"can't repeat {self.found} times"

    def label(self) -> str:
        return "expected a whole number of at least 0"


class UnpackMismatch(Problem):
    """A loop's `[a, b]` takes apart an element that has more or fewer parts.

    ```arch
    network Small {
      input image: [1, 8, 8]
      for [width, depth] in [[8, 1], [16]] { conv(width, kernel=1) }
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      for [width, depth] in [[8, 1], [16, 2]] { conv(width, kernel=1) }
    }
    ```
    """

    wanted: int
    found: str
    parts: int | None
    """How many it has; None for what is no list."""

    def message(self) -> str:
        return f"{self.found} can't be taken apart into {plural(self.wanted, 'name')}"

    def label(self) -> str:
        return "it is no list" if self.parts is None else f"it has {plural(self.parts, 'element')}"

    def help(self) -> str | None:
        return f"each element of the list is itself a list of {self.wanted}"


class NotAPool(Problem):
    """`max_unpool` goes back through a `max_pool`, and its label names something else.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: avg_pool(2)
      max_unpool(a)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: max_pool(2)
      max_unpool(a)
    }
    ```
    """

    found: str
    kind: str

    def message(self) -> str:
        return f"`{self.found}` is made by `{self.kind}`, not by a max_pool"

    def label(self) -> str:
        return "expected the label of a max_pool's value"


class SharedMismatch(Problem):
    """A shared layer is used on an input that its weights do not fit.

    Its weights take their shape from the first use.

    ```arch
    network Small {
      input image: [3, 8, 8]
      shared same: conv(8, kernel=3, padding=1)
      same -> same
    }
    ```

    ```arch
    network Small {
      input image: [8, 8, 8]
      shared same: conv(8, kernel=3, padding=1)
      same -> same
    }
    ```
    """

    layer: str
    tensor: str
    first: str
    now: str

    def message(self) -> str:
        return f"the weights of shared `{self.layer}` don't fit here"

    def label(self) -> str:
        return f"its `{self.tensor}` is {self.first}; here {self.now} would be needed"


class FigureCalled(Problem):
    """A figure of the network is written as if it were a function.

    `parameters`, `macs`, `flops` and `depth` are numbers; the peaks of memory alone may be asked for a batch.
    Of what a label names, `parameters`, `macs`, `flops` and `memory` stand after its dot.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      expect macs(a) < 2K
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      expect a.macs < 2K
    }
    ```
    """

    figure: str
    of: str | None = None
    """What it seems to be asked of, if that can be."""

    def message(self) -> str:
        return f"`{self.figure}` is a figure of the network, not a function"

    def label(self) -> str:
        return f"this is written `{self.of}.{self.figure}`" if self.of else "a number, without parentheses"


class NotInExpect(Problem):
    """A fact that is known only when the whole network is, used outside `expect`.

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      conv(4, kernel=a.receptive_field)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      a: conv(4, kernel=3)
      conv(4, kernel=3)
      expect a.receptive_field == 3
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"`{self.found}` is known only when the whole network is"

    def label(self) -> str:
        return "can be used in `expect` only"
