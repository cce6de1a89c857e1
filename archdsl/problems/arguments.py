"""What a layer, block or function is given: arguments that it does not have, lacks, or has twice."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity, listed, plural

CHANNELS_FOLLOW = (
    "how many channels or features reach a layer follows from what is above, and is never written"
)


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
        if self.remark == CHANNELS_FOLLOW:
            return "leave this out"
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
    meant: str | None = None
    """The layer, where its arguments begin with the channels that reach it."""

    def message(self) -> str:
        return f"`{self.owner}` is given `{self.argument}` twice"

    def label(self) -> str:
        return "given a second time"

    def notes(self) -> tuple[str, ...]:
        return (CHANNELS_FOLLOW,) if self.meant else ()

    def help(self) -> str | None:
        return f"did you mean `{self.meant}`?" if self.meant else f"it is `{self.signature}`"


class ChannelsWritten(Problem):
    """A layer's arguments begin with the channels that reach it, as in PyTorch.

    There `conv(3, 64, 7)` makes 64 channels of 3 by a kernel of 7. Here how many channels reach a layer
    follows from what is above, and is never written: it is 3 channels, a kernel of 64 and a stride of 7.
    Where that is meant, `kernel=64, stride=7` says so.

    ```arch
    network Small {
      input image: [3, 224, 224]
      conv(3, 64, 7) -> relu
    }
    ```

    ```arch
    network Small {
      input image: [3, 224, 224]
      conv(64, kernel=7) -> relu
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    found: str
    kernel: str
    stride: str | None
    """What stands for the kernel in PyTorch, if anything does."""
    meant: str

    def message(self) -> str:
        stride = "" if self.stride is None else f" and a stride of {self.stride}"
        return f"`{self.found}` has a kernel of {self.kernel}{stride}"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?"

    def notes(self) -> tuple[str, ...]:
        return (CHANNELS_FOLLOW,)

    def replacement(self) -> str | None:
        return None if self.stride is None else self.meant


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
