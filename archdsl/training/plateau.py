"""The learning rate that falls when nothing gets better."""

from __future__ import annotations

from archdsl.recipes.recipe import Recipe
from archdsl.recipes.schedules import Schedule
from archdsl.training.run import Measurement


class Plateau:
    """How often a reactive schedule has lowered the rate: after so many measurements without a better one."""

    def __init__(self, recipe: Recipe) -> None:
        self.piece: Schedule | None = next((p for p in recipe.schedule if p.reactive), None)
        self.falls = not recipe.metrics or recipe.metrics[0].falls
        self.best: float | None = None
        self.waited = 0
        self.drops = 0

    def see(self, measured: Measurement) -> None:
        """Count a measurement."""
        if self.piece is None:
            return
        value = measured.test[0] if self.falls else -measured.test[0]
        if self.best is None or value < self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited == self.piece.values["patience"]:
            self.drops, self.waited = self.drops + 1, 0
