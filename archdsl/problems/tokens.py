"""Tokens: characters, strings, numbers and brackets that can't be read."""

from __future__ import annotations

import unicodedata

from archdsl.problems.problem import Problem, listed

NAMES = "names are made of a to z, A to Z, digits and `_`"


class UnknownCharacter(Problem):
    """A character that the language does not use, or one that only looks like its own.

    Names are made of the letters `a` to `z` and `A` to `Z`, of digits and of `_`. Anything may
    stand in comments and between quotes.

    ```arch
    network Broken {
      input features: [4]
      linear(2) → relu
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      linear(2) -> relu
    }
    ```
    """

    found: str
    meant: str | None = None

    def message(self) -> str:
        if self.meant is not None and self.meant.strip():
            return f"`{self.found}` is written `{self.meant}`"
        if len(self.found) > 1 and any(character.isalnum() for character in self.found):
            return f"`{self.found[:40]}` has letters that names are not made of"
        character = self.found[0]
        name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
        if character.isprintable() and not character.isspace():
            return f"`{character}` ({name}) has no meaning here"
        return f"there is a character here that cannot be seen ({name})"

    def help(self) -> str | None:
        if self.meant is None and any(character.isalpha() for character in self.found):
            return NAMES
        return None if self.meant else "leave it out; it may stand between quotes, and in a comment after `#`"

    def replacement(self) -> str | None:
        return self.meant


class UnclosedString(Problem):
    """The quotes of a string are closed on the line that opens them.

    ```arch
    import Bottleneck from "resnet.arch

    network Broken {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Mended {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```
    """

    found: str

    def message(self) -> str:
        return "the quotes of this string are never closed"

    def label(self) -> str:
        return 'expected `"` on the same line'


class BadQuotes(Problem):
    """Strings stand between straight double quotes.

    ```arch
    import Bottleneck from 'resnet.arch'

    network Broken {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Mended {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```
    """

    found: str

    def message(self) -> str:
        return 'a string stands between straight double quotes: "..."'

    def replacement(self) -> str | None:
        return f'"{self.found[1:-1]}"'


class BadNumber(Problem):
    """A number is not written as the language writes numbers.

    Numbers are `96`, `62_378_344`, `0.5` and `1e-4`, and may end with one of the units `K M G`
    (thousand, million, thousand million) and `KiB MiB GiB` (powers of 1024), without a space before it.

    ```arch
    network Broken {
      input features: [4]
      linear(5k)
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      linear(5K)
    }
    ```
    """

    found: str
    meant: str | None
    either: tuple[str, ...] = ()
    """What may be meant by one that is given in bytes, or thousand millions."""

    def message(self) -> str:
        return f"`{self.found[:40]}` is not a number as the language writes them"

    def label(self) -> str:
        meant = self.either if self.meant is None else (self.meant,)
        return f"this is written {listed([f'`{one}`' for one in meant], 'or')}" if meant else ""

    def help(self) -> str | None:
        if self.either:
            return "K, M and G are powers of 1000, KiB, MiB and GiB of 1024; bytes have no unit"
        return None if self.meant else "numbers are 96, 62_378_344, 0.5, 1e-4, and with a unit 60M or 16KiB"

    def replacement(self) -> str | None:
        return self.meant


class CommentMark(Problem):
    """`//` divides and rounds down; a comment starts with `#`.

    ```arch
    network Broken {
      input features: [4]  // a vector
      linear(2)
    }
    ```

    ```arch
    network Mended {
      input features: [4]  # a vector
      linear(2)
    }
    ```
    """

    def message(self) -> str:
        return "a comment starts with `#`, not with `//`"

    def replacement(self) -> str | None:
        return "#"


# ------------------------------------------------------------------------------ brackets


class UnclosedBracket(Problem):
    """A `(` or `[` is never closed.

    ```arch
    network Broken {
      input signal: [1, 40]
      conv(15, kernel=3
      relu
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      conv(15, kernel=3)
      relu
    }
    ```
    """

    opened: str
    closer: str

    def message(self) -> str:
        return f"this `{self.opened}` is never closed"

    def label(self) -> str:
        return f"expected a `{self.closer}` for this"


class MismatchedBracket(Problem):
    """A bracket is closed by one of another kind.

    ```arch
    network Broken {
      input signal: [1, 40)
      relu
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      relu
    }
    ```
    """

    opened: str
    found: str
    closer: str

    def message(self) -> str:
        return f"`{self.opened}` is closed by `{self.found}`"

    def label(self) -> str:
        return f"expected `{self.closer}`"

    def replacement(self) -> str | None:
        return self.closer


class StrayBracket(Problem):
    """A closing bracket or brace closes nothing.

    ```arch
    network Broken {
      input features: [4]
      linear(2))
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      linear(2)
    }
    ```
    """

    found: str

    early: bool = False
    """Whether it closes something too early, so that a later one closes nothing."""

    def message(self) -> str:
        if self.early:
            return f"there is a `{self.found}` too many"
        return f"this `{self.found}` closes nothing"

    def label(self) -> str:
        return "closes the network or block early" if self.early else "nothing is open here"

    def replacement(self) -> str | None:
        return ""


class UnclosedBrace(Problem):
    """A `{` is never closed: the file ends, or the next declaration begins, before its `}`.

    The place that is labelled is a guess from the indentation of the lines.

    ```arch
    network Broken {
      input features: [4]
      repeat 2 {
        linear(2)
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      repeat 2 {
        linear(2)
      }
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"expected `}}`, found {self.found}"

    def label(self) -> str:
        return "expected `}` before this"


class MissingBrace(Problem):
    """The body of a network, block or recipe stands between braces; the first one is missing.

    ```arch
    network Broken
      input features: [4]
      linear(2)
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      linear(2)
    }
    ```
    """

    kind: str

    def message(self) -> str:
        return f"the body of this `{self.kind}` has no `{{`"

    def label(self) -> str:
        return "expected `{` after this"
