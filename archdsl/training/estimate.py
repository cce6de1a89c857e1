"""How long a training would take: a few of its steps, timed."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from archdsl.compiler import Network
from archdsl.lowering.build import build
from archdsl.recipes.data import Target
from archdsl.recipes.recipe import Recipe
from archdsl.training.choices import choose, threads
from archdsl.training.initialisation import initialise
from archdsl.training.parameters import freeze, optimizer
from archdsl.training.step import Step
from archdsl.training.transforming import augmented

SECONDS = 1.0
"""About how long steps are timed."""
WARM = 2
"""The first steps make what later ones find there."""


def seconds_a_step(network: Network, recipe: Recipe, device: torch.device, target: Target) -> float:
    """Seconds that a step takes here, on random examples, not compiled; the fastest of those timed."""
    chosen = choose(network, recipe, device)
    model = build(network)
    initialise(model, network, recipe)
    model.to(device, memory_format=chosen.memory_format)  # type: ignore[call-overload]
    freeze(model, recipe)
    step = Step(model, recipe, optimizer(model, network, recipe), memory_format=chosen.memory_format)
    x = torch.rand(recipe.batch, *recipe.shape, device=device)
    y = _targets(recipe.batch, target, device)
    fastest, begun, done = float("inf"), time.perf_counter(), 0
    with threads(chosen.threads):
        while done < WARM + 1 or time.perf_counter() - begun < SECONDS:
            before = time.perf_counter()
            inputs, mixed = augmented(recipe, done, x, y)
            step(inputs, y, mixed)
            step.total_loss.item()
            if done >= WARM:
                fastest = min(fastest, time.perf_counter() - before)
            done += 1
    return fastest


def _targets(count: int, target: Target, device: torch.device) -> Tensor:
    if target.classes is None:
        return torch.rand(count, *target.shape, device=device)
    return torch.randint(target.classes, (count, *target.shape), device=device)
