"""Layers whose channels belong together, and values whose channels do not."""

from __future__ import annotations

from archdsl.problems.problem import Problem


class BrokenRuns(Problem):
    """The channels of a value do not make whole runs, as the layer takes them.

    A function on a group has a channel for each member: 4 for each feature of p4, 8 of p4m. A complex map
    has two, its real and its imaginary part, and `harmonic_conv` takes as many of them for each of its
    `input_orders`.

    ```arch
    network Small {
      input image: [1, 28, 28]
      group_conv(8, kernel=3)
    }
    ```

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=3) -> group_conv(8, kernel=3)
    }
    ```
    """

    kind: str
    shape: str
    channels: str
    run: int
    """How many channels belong together."""
    reason: str
    """Why they do: what a run has, as a clause."""
    mend: str | None = None

    def message(self) -> str:
        needed = f"takes runs of {self.run} channels, {self.reason}"
        return f"`{self.kind}` {needed}, and {self.shape} has {self.channels}"

    def label(self) -> str:
        return f"{self.channels} is no multiple of {self.run}"

    def help(self) -> str | None:
        return self.mend
