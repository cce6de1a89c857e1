"""Values that steer a convolution from beside it: offsets, masks, extents."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed


class GuideMismatch(Problem):
    """A value that steers a convolution does not have the shape that the convolution needs.

    `deformable_conv` takes an offset for each spatial axis and tap of its kernel at every position of its
    output, and a mask with a number for each tap; `context_deformable_conv` takes a standard deviation,
    one for all axes or one for each. So their extents are those of the output, and their channels follow
    from the kernel: 18 offsets for a kernel of 3 x 3.

    ```arch
    network Small {
      input image: [3, 8, 8]
      moves: conv(9, kernel=3, padding=1)
      from image -> deformable_conv(8, kernel=3, offsets=moves, padding=1)
    }
    ```

    ```arch
    network Small {
      input image: [3, 8, 8]
      moves: conv(18, kernel=3, padding=1)
      from image -> deformable_conv(8, kernel=3, offsets=moves, padding=1)
    }
    ```
    """

    kind: str
    argument: str
    shape: str
    expected: tuple[str, ...]
    """The shapes that would fit."""
    channels: tuple[str, ...] = ()
    """The numbers of channels that would fit, where the extents do."""

    def message(self) -> str:
        return f"`{self.kind}` can't take {self.shape} as its `{self.argument}`"

    def label(self) -> str:
        return f"needs {listed(self.expected, 'or')}"

    def help(self) -> str | None:
        if not self.channels:
            return None
        made = listed([f"`conv({channels}, kernel=1)`" for channels in self.channels], "or")
        return f"{made} makes as many channels of it"
