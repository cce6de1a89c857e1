"""Random numbers for the examples of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """Draws numbers for a batch of `whole` examples, and gives those of a `share` of them.

    They come from a generator on the CPU, the same on every device; and they are drawn for the whole batch,
    so that an example's are the same whichever process it falls to. Each has a row an example.
    """

    def __init__(self, seed: int, whole: int, share: slice | None = None) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._whole = whole
        self._share = share or slice(0, whole)

    def uniform(self, *extents: int) -> Tensor:
        """Numbers from 0 to 1, `[n, *extents]`."""
        return torch.rand(self._whole, *extents, generator=self._generator)[self._share]

    def normal(self, *extents: int) -> Tensor:
        """Numbers of mean 0 and deviation 1, `[n, *extents]`."""
        return torch.randn(self._whole, *extents, generator=self._generator)[self._share]

    def integers(self, low: int, end: int, *extents: int) -> Tensor:
        """Whole numbers from `low` up to, and without, `end`, `[n, *extents]`."""
        return torch.randint(low, end, (self._whole, *extents), generator=self._generator)[self._share]

    def seed(self) -> int:
        """A seed for numbers that are drawn once a batch."""
        return int(torch.randint(2**31, (), generator=self._generator))

    def order(self, count: int) -> Tensor:
        """The numbers below `count`, shuffled."""
        return torch.randperm(count, generator=self._generator)
