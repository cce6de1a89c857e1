"""Layers whose channels belong together, and values whose channels do not."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity


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


class TurnsEnd(Problem):
    """A layer does not keep what the layers before it made so that the network would answer to turns.

    After a `lifting_conv` the channels are functions on a group, after a `harmonic_conv` complex maps with
    orders: layers that take them for pictures, or for those of another group or other orders, end the
    equivariance.

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=3, group=p4m, bias=false) -> batch_norm -> relu
      global_avg_pool -> group_pool(group=p4m) -> flatten -> linear(10)
    }
    ```

    ```arch
    network Small {
      input image: [1, 28, 28]
      lifting_conv(8, kernel=3, group=p4m, bias=false) -> group_batch_norm(group=p4m) -> relu
      global_avg_pool -> group_pool(group=p4m) -> flatten -> linear(10)
    }
    ```
    """

    severity: ClassVar[Severity] = "note"

    kind: str
    channels: str
    """What the channels of its input are: `functions on p4`."""
    keepers: str

    def message(self) -> str:
        return f"`{self.kind}` does not keep {self.channels}: here the network's answer to turns ends"

    def label(self) -> str:
        return "takes its channels for something else"

    def help(self) -> str:
        return f"{self.keepers} keep it"
