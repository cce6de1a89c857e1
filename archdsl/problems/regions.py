"""Regions that a layer can't take, and maps that have none."""

from __future__ import annotations

from archdsl.problems.problem import Problem


class RegionsMismatch(Problem):
    """The regions that a layer is given are no boxes of its map.

    `roi_max_pool` and `roi_align` take regions as columns: of an image a map [4, R], whose channels are
    x1, y1, x2 and y2 of R regions, and of a signal a map [2, R] of starts and ends.

    ```arch
    network Small {
      input image: [3, 64, 64]
      input regions: [10, 4]
      from image -> conv(8, kernel=3, padding=1) -> roi_align(regions, scale=1)
    }
    ```

    ```arch
    network Small {
      input image: [3, 64, 64]
      input regions: [4, 10]
      from image -> conv(8, kernel=3, padding=1) -> roi_align(regions, scale=1)
    }
    ```
    """

    kind: str
    shape: str
    """The shape of the map."""
    found: str
    expected: str
    lying: bool
    """Whether the regions are rows where they should be columns."""

    def message(self) -> str:
        return f"`{self.kind}` of {self.shape} needs regions of {self.expected}, not {self.found}"

    def label(self) -> str:
        return f"expected {self.expected}"

    def help(self) -> str | None:
        return "`permute([length, channels])` makes columns of the rows" if self.lying else None


class NoAxisForRegions(Problem):
    """A layer that pools regions is given a volume.

    What it makes has an axis for the regions before those of the grid, and a value has three spatial axes
    at most. So its map is an image or a signal.

    ```arch
    network Small {
      input volume: [1, 16, 16, 16]
      input regions: [6, 10]
      from volume -> roi_align(regions)
    }
    ```

    ```arch
    network Small {
      input image: [1, 16, 16]
      input regions: [4, 10]
      from image -> roi_align(regions)
    }
    ```
    """

    kind: str
    shape: str

    def message(self) -> str:
        return f"`{self.kind}` adds an axis for the regions, and {self.shape} has three already"

    def label(self) -> str:
        return "needs channels and one or two spatial extents"
