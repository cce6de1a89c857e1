"""What numbers are stored as, and for how many examples at once figures are worked out."""

from __future__ import annotations

from typing import NamedTuple

PRECISIONS = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}
"""The bytes of a number."""

MOST = 2**31
"""The most examples at once."""


class Measure(NamedTuple):
    """What the figures of memory are for.

    Without a precision numbers are float32, and training steps are as the file's recipe says.
    """

    batch: int = 1
    precision: str | None = None

    def __str__(self) -> str:
        return f"batch {self.batch}" if self.precision is None else f"batch {self.batch}, {self.precision}"


STANDARD = Measure()


TRAINED_IN = ("float32", "bfloat16", "float16")
"""What layers compute in while a network is trained. Weights are float32."""


class Mixed(NamedTuple):
    """Training in mixed precision: layers compute in a short one, over weights in float32.

    On a GPU more operations stay in float32 than on a CPU.
    """

    precision: str
    on_gpu: bool = True
