"""How long a training would take: a few of its steps and of its measurements, timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Self

import torch
from torch import Tensor

from archdsl.compiler import Network
from archdsl.lowering.build import build
from archdsl.recipes.data import Described, Target
from archdsl.recipes.explaining import measured_times
from archdsl.recipes.recipe import Recipe
from archdsl.training.choices import choose, threads
from archdsl.training.examples import AT_ONCE
from archdsl.training.initialisation import initialise
from archdsl.training.measuring import measured
from archdsl.training.parameters import freeze, optimizer
from archdsl.training.step import Step
from archdsl.training.transforming import augmented

SECONDS = 1.0
"""About how long steps are timed."""
WARM = 2
"""The first steps make what later ones find there."""


class Estimate(NamedTuple):
    """Seconds that a step takes, that all steps take, and that all measurements take."""

    step: float
    steps: float
    measuring: float

    @classmethod
    def of(cls, network: Network, recipe: Recipe, device: torch.device, described: Described) -> Self:
        """Of a training here, by steps that are not compiled, on random examples; the fastest of some."""
        chosen = choose(network, recipe, device)
        model = build(network)
        initialise(model, network, recipe)
        model.to(device, memory_format=chosen.memory_format)  # type: ignore[call-overload]
        freeze(model, recipe)
        step = Step(model, recipe, optimizer(model, network, recipe), memory_format=chosen.memory_format)
        x = torch.rand(recipe.batch, *recipe.shape, device=device)
        y = _targets(recipe.batch, described.target, device)
        done = 0

        def take_step() -> None:
            nonlocal done
            inputs, mixed = augmented(recipe, done, x, y)
            step(inputs, y, mixed)
            step.total_loss.item()
            done += 1

        counts = recipe.measured_examples(described.examples, described.tests)
        with threads(chosen.threads):
            a_step = _fastest(take_step)
            # Many at once may take longer each than few: as many as are measured so, if they are soon done.
            in_time = int(3 * SECONDS / a_step * recipe.batch / recipe.views)
            together = max(1, min(AT_ONCE, max(counts), in_time))
            random = torch.rand(together, *recipe.shape, device=device)
            some = [(random, _targets(together, described.target, device))]
            a_piece = _fastest(lambda: measured(model, recipe, some, step.precision()).values())
        # The network is measured before the first step, too.
        pieces = sum(counts) / together * (1 + measured_times(recipe, described))
        return cls(a_step, a_step * recipe.all_steps(described.examples), a_piece * pieces)


def _fastest(work: Callable[[], object]) -> float:
    """Seconds that some work takes, done again and again."""
    fastest, begun, done = float("inf"), time.perf_counter(), 0
    while done < WARM + 1 or time.perf_counter() - begun < SECONDS:
        before = time.perf_counter()
        work()
        if done >= WARM:
            fastest = min(fastest, time.perf_counter() - before)
        done += 1
    return fastest


def _targets(count: int, target: Target, device: torch.device) -> Tensor:
    if target.classes is None:
        return torch.rand(count, *target.shape, device=device)
    return torch.randint(target.classes, (count, *target.shape), device=device)
