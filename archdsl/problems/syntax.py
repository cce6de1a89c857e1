"""Syntax: what cannot be read, and what is written in another language's way."""

from __future__ import annotations

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
        if self.hint is not None or self.found.startswith("the end"):
            return self.hint
        needed = f"put {listed(self.expected, 'or')}"
        if self.found.strip("`")[:1].isalnum() and self.found.startswith("`"):
            return f"{needed} in its place"
        return f"{needed} before it" + ("" if self.found in ("`)`", "`]`", "`}`") else ", or leave it out")


class RepeatedWord(Problem):
    """A name stands twice where it is to stand once.

    ```arch
    network Broken {
      input signal: [1, 40]
      conv(15, kernel kernel=3)
    }
    ```

    ```arch
    network Mended {
      input signal: [1, 40]
      conv(15, kernel=3)
    }
    ```
    """

    word: str

    def message(self) -> str:
        return f"`{self.word}` stands here twice"

    def label(self) -> str:
        return "leave this out"

    def replacement(self) -> str | None:
        return ""


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

    def help(self) -> str | None:
        if self.word == "output":
            return "the last line's value is the result, without a mark; `output NAME` is one with a label"
        return None


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
    """A network, block or input has no name.

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
        named = {"network": "network Classifier { ... }", "input": "input image: [3, 224, 224]"}
        return f"name it: `{named.get(self.kind, 'block Bottleneck { ... }')}`"


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
