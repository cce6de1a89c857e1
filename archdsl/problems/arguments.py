"""What a layer, block or function is given: arguments that it does not have, lacks, or has twice."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed, plural


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
    value: str | None = None
    """The name that was given, where it may be that of a value."""
    items: tuple[str, ...] = ()
    """All that was given, where it would do as one list."""

    def message(self) -> str:
        if self.count == 0:
            return f"`{self.owner}` takes no arguments"
        return f"`{self.owner}` takes at most {plural(self.count, 'argument')}"

    def label(self) -> str:
        return "these belong in one list" if self.items else "one too many"

    def replacement(self) -> str | None:
        return f"[{', '.join(self.items)}]" if self.items else None

    def help(self) -> str | None:
        if self.items:
            return f"write `{self.owner}({self.replacement()})`"
        if self.value is not None:
            return f"it is `{self.signature}`; a value goes in by `from {self.value} -> {self.owner}`"
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
