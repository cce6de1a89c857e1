"""Layers for scale and rotation that do not fit the value that reaches them."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed


class OriginShape(Problem):
    """The origin of a polar grid is not a point of the plane.

    It is a value of shape [2]: how far the origin lies along the width, and how far along the height.

    ```arch
    network Small {
      input image: [1, 8, 8]
      middle: conv(1, kernel=3, padding=1)
      from image -> log_polar([16, 12], origin=middle)
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      middle: conv(1, kernel=3, padding=1) -> centroid
      from image -> log_polar([16, 12], origin=middle)
    }
    ```
    """

    kind: str
    shape: str

    def message(self) -> str:
        return f"the origin of `{self.kind}` is a point of the plane, and {self.shape} is none"

    def label(self) -> str:
        return "needs an origin of shape [2]"

    def help(self) -> str | None:
        return "`centroid` makes a point of a heat map of one channel"


class ScatteringTooCoarse(Problem):
    """A scattering transform averages over more than the picture.

    It divides the extents by 2**scales, so that no more than log2 of the smaller extent can be asked for.

    ```arch
    network Small {
      input image: [1, 12, 16]
      scattering(4)
    }
    ```

    ```arch
    network Small {
      input image: [1, 12, 16]
      scattering(3)
    }
    ```
    """

    shape: str
    scales: int
    most: int

    def message(self) -> str:
        return f"a scattering of {self.scales} scales averages over 2^{self.scales} samples of {self.shape}"

    def label(self) -> str:
        return f"at most {self.most}"


class ScatteringOfOpenSize(Problem):
    """A scattering transform is given a picture whose size is a symbol.

    Its filters are as large as the picture, and are worked out when the network is made: so all sizes must
    be numbers.

    ```arch
    network Small {
      input image: [1, H, 32]
      scattering(2)
    }
    ```

    ```arch
    network Small {
      input image: [1, 32, 32]
      scattering(2)
    }
    ```
    """

    kind: str
    shape: str
    symbols: tuple[str, ...]

    def message(self) -> str:
        symbols = listed(self.symbols)
        return f"`{self.kind}` has filters as large as its input, and {self.shape} depends on {symbols}"

    def label(self) -> str:
        return "needs sizes that are numbers"

    def help(self) -> str | None:
        return f"give the size a number: `--size {self.symbols[0]}=224`"
