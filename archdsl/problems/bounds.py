"""Limits: what no file may ask of the machine."""

from __future__ import annotations

from archdsl.problems.problem import Problem, plural


class TooManyLayers(Problem):
    """The network, unrolled, has more layers than the compiler makes.

    ```arch
    network Deep {
      input features: [4]
      repeat 1_000_000 { relu }
    }
    ```

    ```arch
    network Deep {
      input features: [4]
      repeat 100 { relu }
    }
    ```
    """

    limit: int
    rounds: int | None = None
    """Of a loop that is too long, how many it has, and how many layers each makes."""
    made: int = 0

    def message(self) -> str:
        return f"the network has more than {self.limit:,} layers"

    def label(self) -> str:
        if self.rounds is None:
            return "this one passes the limit"
        return f"{self.rounds:,} rounds of {plural(self.made, 'layer')}"


class TooMuchWork(Problem):
    """The file takes more steps to unroll than the compiler spends on one.

    Every statement, round of a loop, call of a function and element of a computed list is a step.

    ```arch
    network Endless {
      input features: [4]
      repeat 100_000 { repeat 100_000 { let a = 1 } }
      relu
    }
    ```

    ```arch
    network Endless {
      input features: [4]
      relu
    }
    ```
    """

    limit: int
    rounds: int | None = None
    """Of a loop that is too long, how many it has, and how many steps each takes at least."""
    spent: int = 1

    def message(self) -> str:
        return f"unrolling this file takes more than {self.limit:,} steps"

    def label(self) -> str:
        if self.rounds is None:
            return "given up here"
        return f"{self.rounds:,} rounds" + (f" of {self.spent} steps" if self.spent > 1 else "")


class RecursionTooDeep(Problem):
    """Blocks are used inside blocks, or functions inside functions, deeper than is followed.

    Most often a block uses itself without end. It may use itself, for example as a U-Net of any depth does,
    if some `if` ends it.

    ```arch
    block Nest(depth) { relu -> Nest(depth - 1) }

    network Endless {
      input features: [4]
      Nest(3)
    }
    ```

    ```arch
    block Nest(depth) {
      relu
      if depth > 0 { Nest(depth - 1) }
    }

    network Ends {
      input features: [4]
      Nest(3)
    }
    ```
    """

    what: str
    """`blocks`, `shared lines` or `functions`."""
    used: str
    limit: int

    def message(self) -> str:
        return f"{self.what} are used inside others more than {self.limit} deep, here `{self.used}`"

    def help(self) -> str | None:
        if self.what != "blocks":
            return None
        return "a block that uses itself needs a parameter that counts down, and an `if` that stops it"


class ListTooLong(Problem):
    """A list of more elements than the compiler makes.

    ```arch
    network Small {
      input features: [4]
      for i in range(10_000_000) { relu }
    }
    ```

    ```arch
    network Small {
      input features: [4]
      for i in range(10) { relu }
    }
    ```
    """

    limit: int

    def message(self) -> str:
        return f"a list may have at most {self.limit:,} elements"


class NumberTooLarge(Problem):
    """A number beyond what any size or count can be, written so or worked out.

    Whole numbers stay below 2**63, and others as far as floating point does, about 1.8e308.

    ```arch
    network Small {
      input features: [4]
      linear(2 ** 100)
    }
    ```

    ```arch
    network Small {
      input features: [4]
      linear(2 ** 10)
    }
    ```
    """

    def message(self) -> str:
        return "this number is too large"

    def label(self) -> str:
        return "whole numbers stay below 2**63, others go up to 1.8e308"


class SizeTooLarge(Problem):
    """A value has more elements than any memory holds.

    ```arch
    network Small {
      input image: [3, 8, 8]
      upsample(10_000_000)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      upsample(2)
    }
    ```
    """

    shape: str
    limit: int
    axis: str
    """That of the largest extent."""
    extent: int

    def message(self) -> str:
        return f"{self.shape} has more than {self.limit:,} elements"

    def label(self) -> str:
        verb = "are" if self.axis == "channels" else "is"
        return f"its {self.axis} {verb} {self.extent:,}"

    def help(self) -> str | None:
        fewer = "give it fewer channels" if self.axis == "channels" else f"make its {self.axis} smaller"
        return f"{fewer}: no memory holds so much"


class SymbolicTooLarge(Problem):
    """An expression in symbolic sizes that grew beyond what is simplified.

    ```arch
    network Small {
      input signal: [4, L]
      let a = (L + 1) ** 20
      upsample(size=a)
    }
    ```

    ```arch
    network Small {
      input signal: [4, 9]
      let a = (9 + 1) ** 2
      upsample(size=a)
    }
    ```
    """

    def message(self) -> str:
        return "this expression in symbolic sizes has too many terms, or too large numbers"

    def help(self) -> str | None:
        return "give a size a number: `--size H=224`"


class TooManyImports(Problem):
    """A file imports more files, one through another, than the compiler reads."""

    limit: int

    def message(self) -> str:
        return f"more than {plural(self.limit, 'file')} are imported"


class TooManyProblems(Problem):
    """A file has more mistakes than are worth showing at once."""

    limit: int

    def message(self) -> str:
        return f"only the first {self.limit} problems are shown"

    def label(self) -> str:
        return "the last one shown is here"


# ------------------------------------------------------------------------------ of the text


class FileTooLarge(Problem):
    """The file is larger than any that a person writes, and is not read."""

    size: int
    limit: int

    def message(self) -> str:
        return f"the file has {self.size:,} characters, more than {self.limit:,}"

    def label(self) -> str:
        return "the file is not read"


class StringTooLong(Problem):
    """A string has more characters than any name or path has."""

    length: int
    limit: int

    def message(self) -> str:
        return f"this string has {self.length:,} characters, more than {self.limit:,}"


class NestingTooDeep(Problem):
    """Groups stand inside groups, or brackets inside brackets, deeper than is read.

    Blocks may be used inside blocks instead, each by its name. The `if` of an `else if` stands inside that
    `else`, so that as many of them may follow each other and no more.
    """

    what: str
    """`groups`, `brackets` or `choices`."""
    limit: int

    def message(self) -> str:
        if self.what == "choices":
            return f"there are more than {self.limit} choices one after another by `else if`"
        return f"there are more than {self.limit} {self.what} inside each other"

    def label(self) -> str:
        return "this one passes the limit"

    def help(self) -> str | None:
        if self.what == "choices":
            return "take from a list by its index, as in `[8, 16][i]`, or give the rest a block of its own"
        return "give the inner part a name: a block of its own, or a `let`"


class ExpressionTooDeep(Problem):
    """An expression has more operations that wait for each other than is read.

    Parts of it can be named with `let`; a long sum is the `sum` of a list.
    """

    limit: int

    def message(self) -> str:
        return f"this expression is more than {self.limit} operations deep"

    def help(self) -> str | None:
        return "name parts of it with `let`, or use `sum([...])`"


class TooManyMistakes(Problem):
    """The file has so many mistakes that it is perhaps no .arch file; the rest is not read."""

    limit: int

    def message(self) -> str:
        return f"there are more than {self.limit} mistakes"

    def label(self) -> str:
        return "the file is not read from here on"
