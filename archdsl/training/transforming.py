"""The recipe's transforms at work on batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from archdsl.recipes.recipe import Recipe
from archdsl.recipes.transforms import Mixup
from archdsl.training.draws import Draws


class Mixed(NamedTuple):
    """What a batch is mixed with: the targets of the other examples, and the share of the first ones."""

    targets: Tensor
    share: float


def augmented(
    recipe: Recipe, step: int, x: Tensor, y: Tensor, whole: int | None = None, first: int = 0
) -> tuple[Tensor, Mixed | None]:
    """A training batch transformed, or a part of one of `whole` examples, from its example `first` on.

    What is drawn follows from the seed, the step and an example's place in the batch alone. But mixing is
    among the examples that are there.
    """
    if not recipe.augment:
        return x, None
    seed = (recipe.seed * 0x9E3779B97F4A7C15 + step) % 2**63
    random = Draws(seed, len(x) if whole is None else whole, slice(first, first + len(x)))
    for transform in recipe.augment:
        if isinstance(transform, Mixup):
            share = transform.share(random)
            others = random.order(len(x)).to(x.device)
            return share * x + (1 - share) * x[others], Mixed(y[others], share)
        x = transform.apply(torch, x, random)
    return x, None


def viewed(recipe: Recipe, x: Tensor) -> tuple[Tensor, int]:
    """A batch to be measured, transformed, and how many views of each example there are now."""
    views = 1
    for transform in recipe.evaluate:
        x = transform.apply(torch, x, None)
        views *= transform.views
    return x, views
