"""Syntax: what cannot be read, and what is written in another language's way."""

from __future__ import annotations

import unicodedata

from archdsl.problems.problem import Problem, listed


class UnexpectedText(Problem):
    """Something stands where the language has no place for it.

    The message says what could stand there. The rest of the line is left out, and reading goes on
    with the next one.

    ```arch
    network Broken {
      input features: [4]
      linear(2) -> , relu
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
    expected: tuple[str, ...]
    hint: str | None = None

    def message(self) -> str:
        return f"expected {listed(self.expected, 'or')}, found {self.found}"

    def label(self) -> str:
        return f"expected {self.expected[0]}" if len(self.expected) == 1 else ""

    def help(self) -> str | None:
        return self.hint


class MissingComma(Problem):
    """Two arguments, elements or names follow each other without a comma between them.

    ```arch
    network Broken {
      input signal: [1, 40]
      conv(15 kernel=3)
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      conv(15, kernel=3)
    }
    ```
    """

    before: str
    after: str

    def message(self) -> str:
        return f"a comma is missing between `{self.before}` and `{self.after}`"

    def label(self) -> str:
        return "expected `,` after this"

    def replacement(self) -> str | None:
        return f"{self.before},"


class MissingArrow(Problem):
    """Two layers follow each other on one line without `->` between them.

    ```arch
    network Broken {
      input signal: [1, 40]
      conv(15, kernel=3) relu
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      conv(15, kernel=3) -> relu
    }
    ```
    """

    after: str

    def message(self) -> str:
        return f"`->` is missing before `{self.after}`"

    def label(self) -> str:
        return "expected `->` or the end of the line"

    def replacement(self) -> str | None:
        return f"-> {self.after}"


class WrongMark(Problem):
    """`:` and `=` and `==` each have their own use.

    A label and an input are followed by `:`. Arguments, defaults, `let` and the keys of `train` take `=`.
    Two values are compared with `==`.

    ```arch
    network Broken {
      input signal: [1, 40]
      conv1 = conv(15, kernel=3)
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      conv1: conv(15, kernel=3)
    }
    ```
    """

    what: str
    found: str
    wanted: str

    def message(self) -> str:
        return f"{self.what} takes `{self.wanted}`, not `{self.found}`"

    def label(self) -> str:
        return f"expected `{self.wanted}`"

    def replacement(self) -> str | None:
        return self.wanted


class MissingLet(Problem):
    """A number is named with `let`; a bare `name:` labels what a layer makes.

    ```arch
    network Broken {
      width = 64
      input features: [4]
      linear(width)
    }
    ```

    ```arch
    network Mended {
      let width = 64
      input features: [4]
      linear(width)
    }
    ```
    """

    found: str

    def message(self) -> str:
        return f"`let` is missing before `{self.found}`"

    def label(self) -> str:
        return f"a number is named by `let {self.found} = ...`, what a layer makes by `{self.found}: ...`"

    def replacement(self) -> str | None:
        return f"let {self.found}"


class KeywordAsName(Problem):
    """A word that the language keeps for itself is used as a name.

    These are `network block train import from input output let expect shared parallel repeat for in
    if else and or not true false none`.

    ```arch
    network Broken {
      input features: [4]
      output: linear(2)
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      scores: linear(2)
    }
    ```
    """

    word: str

    def message(self) -> str:
        return f"`{self.word}` is a word of the language and cannot be a name"

    def label(self) -> str:
        return "choose another name"


class MisspeltWord(Problem):
    """A line starts with what is nearly a word of the language.

    ```arch
    network Broken {
      input features: [4]
      a: linear(2)
      ouput a
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      a: linear(2)
      output a
    }
    ```
    """

    found: str
    meant: str

    def message(self) -> str:
        return f"`{self.found}` is no word of the language"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?"

    def replacement(self) -> str | None:
        return self.meant


class NoName(Problem):
    """A network or block has no name.

    ```arch
    network {
      input features: [4]
      linear(2)
    }
    ```

    ```arch
    network Classifier {
      input features: [4]
      linear(2)
    }
    ```
    """

    kind: str

    def message(self) -> str:
        return f"this {self.kind} has no name"

    def label(self) -> str:
        return "expected a name before this"

    def help(self) -> str | None:
        return f"name it: {self.kind} {'Classifier' if self.kind == 'network' else 'Bottleneck'} {{ ... }}"


class StrayElse(Problem):
    """An `else` has no `if` before it.

    It follows the `}` of its `if`, on the same line or at the start of the next one.

    ```arch
    network Broken(depth = 2) {
      input features: [4]
      if depth == 1 { linear(2) }
      relu
      else { linear(3) }
    }
    ```

    ```arch
    network Mended(depth = 2) {
      input features: [4]
      if depth == 1 { linear(2) }
      else { linear(3) }
      relu
    }
    ```
    """

    def message(self) -> str:
        return "this `else` belongs to no `if`"

    def label(self) -> str:
        return "expected the `}` of an `if` before this"


class OutsideBlock(Problem):
    """Layers and what else makes up a network stand outside of any network or block.

    ```arch
    linear(2)
    ```

    ```arch
    network Classifier {
      input features: [4]
      linear(2)
    }
    ```
    """

    found: str

    hint: str | None = None

    def message(self) -> str:
        return f"{self.found} stands outside of any network or block"

    def label(self) -> str:
        return "expected `network`, `block`, `train`, `import` or `let`"

    def help(self) -> str | None:
        return self.hint or "put it between the braces of a `network NAME { ... }`"


class NestedDeclaration(Problem):
    """A network, block, import or recipe is declared inside another.

    Declarations stand side by side in the file, in any order; a block may be used before its line.

    ```arch
    network Broken {
      block Head { linear(2) }
      input features: [4]
      Head
    }
    ```

    ```arch
    block Head { linear(2) }

    network Mended {
      input features: [4]
      Head
    }
    ```
    """

    kind: str

    def message(self) -> str:
        return f"`{self.kind}` cannot stand inside a network or block"

    def label(self) -> str:
        return "this belongs at the top of the file"

    def help(self) -> str | None:
        return "move it out of the braces: what is declared may be used before its line"


class NeedlessSemicolon(Problem):
    """Statements end with their line and take no `;`.

    ```arch
    network Broken {
      input features: [4]
      linear(2);
    }
    ```

    ```arch
    network Mended {
      input features: [4]
      linear(2)
    }
    ```
    """

    ends_line: bool

    def message(self) -> str:
        return "a statement ends with its line, without `;`"

    def label(self) -> str:
        return "leave this out" if self.ends_line else "start a new line here"

    def replacement(self) -> str | None:
        return "" if self.ends_line else "\n"


class ElseIf(Problem):
    """A second test is written `else if`.

    ```arch
    network Broken(depth = 2) {
      input features: [4]
      if depth == 1 { linear(2) } elif depth == 2 { linear(3) }
    }
    ```

    ```arch
    network Mended(depth = 2) {
      input features: [4]
      if depth == 1 { linear(2) } else if depth == 2 { linear(3) }
    }
    ```
    """

    def message(self) -> str:
        return "`elif` is written `else if`"

    def replacement(self) -> str | None:
        return "else if"


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


# ------------------------------------------------------------------------------ words and numbers


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
            return "names are made of a to z, A to Z, digits and `_`"
        return None

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
    (thousand, million, thousand million) and `KiB MiB GiB` (powers of 1024).

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

    def message(self) -> str:
        return f"`{self.found[:40]}` is not a number as the language writes them"

    def label(self) -> str:
        return "" if self.meant is None else f"this is written `{self.meant}`"

    def help(self) -> str | None:
        return None if self.meant else "numbers are 96, 62_378_344, 0.5, 1e-4, and with a unit 60M or 16KiB"

    def replacement(self) -> str | None:
        return self.meant


class StringTooLong(Problem):
    """A string has more characters than any name or path has."""

    length: int
    limit: int

    def message(self) -> str:
        return f"this string has {self.length:,} characters, more than {self.limit:,}"


# ------------------------------------------------------------------------------ expressions


class ChainedComparison(Problem):
    """Comparisons do not chain: each pair is compared by itself, and the results joined by `and`.

    ```arch
    network Broken(depth = 3) {
      input features: [4]
      if 1 < depth < 5 { relu }
    }
    ```

    ```arch
    network Mended(depth = 3) {
      input features: [4]
      if 1 < depth and depth < 5 { relu }
    }
    ```
    """

    left: str
    middle: str
    right: str

    def message(self) -> str:
        return "comparisons do not chain"

    def label(self) -> str:
        return "the second comparison"

    def help(self) -> str | None:
        if max(len(self.left), len(self.middle), len(self.right)) > 40:
            return "compare each pair, and join the comparisons by `and`"
        return f"write `{self.left} and {self.middle} {self.right}`"


class PositionalAfterNamed(Problem):
    """Arguments by position stand before those by name.

    ```arch
    network Broken {
      input signal: [1, 40]
      conv(kernel=3, 15)
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      conv(15, kernel=3)
    }
    ```
    """

    found: str
    named: str

    def message(self) -> str:
        return f"`{self.found[:40]}` has no name, but stands after `{self.named}=`"

    def label(self) -> str:
        return "arguments by position come first"

    def help(self) -> str | None:
        return f"name this argument, or put it before `{self.named}=`"


# ------------------------------------------------------------------------------ limits


class FileTooLarge(Problem):
    """The file is larger than any that a person writes, and is not read."""

    size: int
    limit: int

    def message(self) -> str:
        return f"the file has {self.size:,} characters, more than {self.limit:,}"

    def label(self) -> str:
        return "the file is not read"


class NestingTooDeep(Problem):
    """Groups stand inside groups, or brackets inside brackets, deeper than is read.

    Blocks may be used inside blocks instead, each by its name.
    """

    what: str
    limit: int

    def message(self) -> str:
        return f"there are more than {self.limit} {self.what} inside each other"

    def label(self) -> str:
        return "this one passes the limit"

    def help(self) -> str | None:
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
