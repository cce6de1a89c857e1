"""Masks, filters and guides that do not fit the value they go with."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed


class FurtherValueMismatch(Problem):
    """A layer is given a second value by its label, and that value has another shape than it needs.

    The mask of `partial_conv` has the extents of its input, and either one channel or as many as the
    input. The filters of `dynamic_conv` are a vector with every weight of one set of kernels; those of
    `local_filter` are a map with a weight for each tap, as large as the output. The guide of
    `pixel_adaptive_conv` has the extents of its input, and any number of channels (`_`).

    ```arch
    network Small {
      input image: [3, 32, 32]
      kernels: {
        global_avg_pool -> flatten -> linear(100)
      }
      from image -> dynamic_conv(8, kernel=3, filters=kernels)
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      kernels: {
        global_avg_pool -> flatten -> linear(8 * 3 * 3 * 3)
      }
      from image -> dynamic_conv(8, kernel=3, filters=kernels)
    }
    ```
    """

    kind: str
    argument: str
    """What the value is to the layer: its `mask`, `filters` or `guide`."""
    shape: str
    """The shape of the layer's input."""
    found: str
    expected: tuple[str, ...]
    mend: str | None = None

    def message(self) -> str:
        needed = listed(self.expected, "or")
        return f"`{self.kind}` of {self.shape} needs `{self.argument}` of {needed}, not {self.found}"

    def label(self) -> str:
        return f"expected {listed(self.expected, 'or')}"

    def help(self) -> str | None:
        return self.mend
