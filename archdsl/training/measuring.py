"""What a network scores on examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.recipes.recipe import Recipe
from archdsl.training.examples import Batch
from archdsl.training.parameters import freeze
from archdsl.training.transforming import viewed


@torch.no_grad()
def measure(
    model: nn.Module, recipe: Recipe, examples: Iterable[Batch], precision: AbstractContextManager[Any]
) -> list[float]:
    """The value of each metric of the recipe, of the output that its first loss judges.

    Of several views of an example, the scores' softmax is averaged, or the values themselves.
    """
    metrics = recipe.metrics
    sums: list[list[Any]] = [[] for _ in metrics]
    with evaluating(model, recipe), precision:
        for x, target in examples:
            views, count = viewed(recipe, x)
            output = outputs_of(model(views))[recipe.loss[0].output]
            if count > 1:
                scores = output.softmax(1) if recipe.loss[0].loss.applies == "softmax" else output
                output = torch.unflatten(scores, 0, (len(x), count)).mean(1)
            for metric, so_far in zip(metrics, sums, strict=True):
                tally = metric.tally(output.float(), target)
                so_far[:] = [a + b for a, b in zip(so_far, tally, strict=True)] if so_far else tally
    return [metric.value(*total) for metric, total in zip(metrics, sums, strict=True)]


def outputs_of(result: Any) -> Sequence[Tensor]:
    """The outputs of a network, which gives a lone one by itself."""
    return result if isinstance(result, tuple) else (result,)


@contextmanager
def evaluating(model: nn.Module, recipe: Recipe) -> Iterator[None]:
    """While this is active the network works as it is used, not as it is trained."""
    model.eval()
    try:
        yield
    finally:
        model.train()
        freeze(model, recipe)
