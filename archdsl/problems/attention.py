"""Attention that does not fit its value: channels that are no queries, keys and values, and windows."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed, plural


class NotQueriesKeysValues(Problem):
    """The channels that reach an attention are not queries, keys and values for all of its heads.

    `attention` and its like project nothing. The first third of their channels are the queries, the
    second the keys and the last the values, and each third is cut into heads (or groups) of equal size. So
    they are given 3 * heads * features channels, mostly by a `conv` with a kernel of 1.

    ```arch
    network Small {
      input tokens: [64, 49]
      attention(heads=4)
    }
    ```

    ```arch
    network Small {
      input tokens: [64, 49]
      conv(3 * 64, kernel=1) -> attention(heads=4)
    }
    ```
    """

    kind: str
    shape: str
    channels: str
    argument: str
    """`heads` or `groups`."""
    parts: str
    multiple: str
    projected: str = ""
    """Three times the channels, where that would fit."""
    near: tuple[int, ...] = ()
    """The nearest numbers of parts that would do, where there are three thirds."""

    def message(self) -> str:
        return (
            f"`{self.kind}` of {self.shape}: {plural(self.channels, 'channel')} can't be queries, keys and "
            f"values for {plural(self.parts, self.argument.removesuffix('s'))}"
        )

    def label(self) -> str:
        return f"needs a multiple of {self.multiple} channels"

    def help(self) -> str | None:
        if self.projected:
            return f"`conv({self.projected}, kernel=1)` before it makes queries, keys and values"
        return f"{self.argument}={listed(self.near, 'or')} would fit" if self.near else None


class WindowsLeaveRest(Problem):
    """Windows of attention do not fill the map.

    The map is cut into windows that lie side by side, so each extent must be a multiple of the window's.
    Liu et al. pad the map with zeros, and cut the padding off again afterwards; that is said in the file,
    where it can be seen.

    ```arch
    network Small {
      input image: [24, 14, 10]
      window_attention(heads=2, window=7)
    }
    ```

    ```arch
    network Small {
      input image: [24, 14, 10]
      pad([[0, 0], [0, 4]]) -> window_attention(heads=2, window=7) -> slice(0, 10, axis=width)
    }
    ```
    """

    axis: str
    extent: str
    window: str
    missing: str = ""
    """What an extent lacks, where it is known."""

    def message(self) -> str:
        return f"windows of {self.window} do not fill the {self.axis}, which is {self.extent}"

    def label(self) -> str:
        return f"{self.extent} is no multiple of {self.window}"

    def help(self) -> str | None:
        return f"`pad` can add {self.missing} to the {self.axis}" if self.missing else None


class ShiftPastWindow(Problem):
    """Windows of attention are shifted by a whole window or more.

    A shift of a whole window puts windows where there were windows before, so what can differ is less.

    ```arch
    network Small {
      input image: [24, 14, 14]
      window_attention(heads=2, window=7, shift=7)
    }
    ```

    ```arch
    network Small {
      input image: [24, 14, 14]
      window_attention(heads=2, window=7, shift=3)
    }
    ```
    """

    shift: str
    window: str

    def message(self) -> str:
        return f"windows of {self.window} are shifted by {self.shift}"

    def label(self) -> str:
        return f"must be less than {self.window}"
