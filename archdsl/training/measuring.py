"""What a network scores on examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.recipes.metrics import Metric
from archdsl.recipes.recipe import Recipe
from archdsl.training.examples import Batch
from archdsl.training.folder import TrainingError
from archdsl.training.parameters import freeze
from archdsl.training.transforming import viewed


@torch.no_grad()
def scored(
    model: nn.Module, recipe: Recipe, examples: Iterable[Batch], precision: AbstractContextManager[Any]
) -> Iterator[Batch]:
    """What the network says of examples, with their targets, batch by batch.

    It is the output that the recipe's first loss judges; a score that is of no class is below all others.
    Of several views of an example the scores' softmax is averaged, or the values themselves.
    """
    with evaluating(model, recipe), precision:
        for x, target in examples:
            views, count = viewed(recipe, x)
            output = outputs_of(model(views))[recipe.loss[0].output]
            if (unlearnt := recipe.loss[0].loss.unlearnt(output.shape[1])) is not None:
                output = output.index_fill(1, torch.tensor(unlearnt, device=output.device), -torch.inf)
            if count > 1:
                scores = output.softmax(1) if recipe.loss[0].loss.applies == "softmax" else output
                output = torch.unflatten(scores, 0, (len(x), count)).mean(1)
            yield output.float(), target


def as_read(recipe: Recipe, output: Tensor) -> Tensor:
    """What a network says `[n, ...]` as people read it: of scores of classes their softmax, else the values.

    The softmax of several views has been averaged already.
    """
    views = any(transform.views > 1 for transform in recipe.evaluate)
    return output.softmax(1) if recipe.loss[0].loss.applies == "softmax" and not views else output


def measured(
    model: nn.Module, recipe: Recipe, examples: Iterable[Batch], precision: AbstractContextManager[Any]
) -> Tally:
    """The metrics of the recipe on examples."""
    tally = Tally(recipe.metrics)
    for output, target in scored(model, recipe, examples, precision):
        tally.add(*counted(recipe, output, target))
    return tally


def counted(recipe: Recipe, output: Tensor, target: Tensor) -> Batch:
    """Of outputs and targets what counts for the recipe's first loss, of maps each position by itself."""
    mask = recipe.loss[0].loss.counted(target)
    return (output, target) if mask is None else (output.movedim(1, -1)[mask], target[mask])


class Tally:
    """Metrics that add up over batches."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics
        self._sums: list[tuple[Any, ...]] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        self._join([metric.tally(output, target) for metric in self._metrics])

    def join(self, tallies: Sequence[Tally]) -> None:
        """Become what several tallies, this one among them, come to together."""
        parts = [tally._sums for tally in tallies]
        self._sums = []
        for sums in parts:
            self._join(sums)

    def _join(self, sums: list[tuple[Any, ...]]) -> None:
        if not self._sums or not sums:
            self._sums = self._sums or sums
            return
        pairs = zip(self._sums, sums, strict=True)
        self._sums = [tuple(a + b for a, b in zip(*pair, strict=True)) for pair in pairs]

    def values(self) -> list[float]:
        """Each metric. Raises `TrainingError` where nothing was added: all that should be was left out."""
        if not self._sums:
            raise TrainingError("none of the examples to be measured can be read")
        return [metric.value(*sums) for metric, sums in zip(self._metrics, self._sums, strict=True)]


def outputs_of(result: Any) -> Sequence[Tensor]:
    """The outputs of a network, which gives a lone one by itself."""
    return result if isinstance(result, tuple) else (result,)


@contextmanager
def evaluating(model: nn.Module, recipe: Recipe) -> Iterator[None]:
    """While this is active the network works as it is used, not as it is trained."""
    trained = model.training
    model.eval()
    try:
        yield
    finally:
        if trained:
            model.train()
            freeze(model, recipe)
