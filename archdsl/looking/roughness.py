"""How rough inputs are, and how far from the middle: what a search for a natural one is held back by."""

from __future__ import annotations

from torch import Tensor


def total_variation(x: Tensor) -> Tensor:
    """How much neighbours differ, for each of some inputs `[n, channels, *extents]`.

    R(x) = mean over places of the sum over axes of (x[i + 1] - x[i])²: Mahendran and Vedaldi 2015, Section 2,
    there as a sum, with beta = 2. A vector has no neighbours: 0.
    """
    found = x.new_zeros(len(x))
    for axis in range(2, x.dim()):
        found = found + x.diff(dim=axis).square().flatten(1).sum(1)
    return found / x[0].numel()


def alpha_norm(x: Tensor, alpha: float = 6.0) -> Tensor:
    """How far inputs are from the middle, which has been taken from them, for each of some.

    R(x) = mean of |x| ^ alpha: Mahendran and Vedaldi 2015, Section 2, there as a sum.
    """
    return x.abs().pow(alpha).flatten(1).mean(1)
