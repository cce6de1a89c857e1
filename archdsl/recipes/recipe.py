"""The recipe of a training: what a `train` block says, with nothing left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from archdsl.recipes.clipping import Clipping
from archdsl.recipes.data import Data, Described
from archdsl.recipes.initialisations import Initialisation
from archdsl.recipes.keys import KEYS
from archdsl.recipes.losses import Loss
from archdsl.recipes.metrics import Metric
from archdsl.recipes.optimizers import Optimizer
from archdsl.recipes.schedules import Schedule, rate_factor
from archdsl.recipes.transforms import Transform
from archdsl.source import Span

MEASURED = 10_000
"""The most training examples that are measured."""
FEWEST, MOST = 3, 100
"""How often a run is measured at least and at most where its recipe does not say: enough for a curve."""


@dataclass(frozen=True, slots=True)
class Term:
    """A loss with its weight in the sum, and the index of the output that it judges."""

    weight: float
    loss: Loss
    output: int

    def __str__(self) -> str:
        return str(self.loss) if self.weight == 1 else f"{self.weight:g} * {self.loss}"


@dataclass(frozen=True, slots=True)
class Part:
    """What a recipe says of a part of the network. `layers` are the names of the layers in it."""

    name: str
    layers: frozenset[str]
    rate: float | None = None
    """Factor of the learning rate; 0 leaves the part as it is."""
    initialize: Initialisation | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    `steps` are updates of `batch` examples each. An epoch takes every training example once, in a
    new random order; its last batch is smaller where the batch does not divide the examples.
    """

    data: Data
    loss: tuple[Term, ...]
    optimizer: Optimizer
    batch: int
    seed: int
    steps: int | None = None
    epochs: float | None = None
    schedule: tuple[Schedule, ...] = ()
    initialize: Initialisation = field(kw_only=True)
    augment: tuple[Transform, ...] = ()
    evaluate: tuple[Transform, ...] = ()
    described: Described | None = None
    shape: tuple[int, ...] = ()
    """The shape that an example of the data has before it is transformed."""
    clip: Clipping | None = None
    accumulate: int = 1
    moving_average: float | None = None
    precision: str = "float32"
    metrics: tuple[Metric, ...] = ()
    measurements: int | None = None
    """How often the network is measured and saved; where it is not said, `measured_every` says how often."""
    parts: tuple[Part, ...] = field(default=())
    places: Mapping[str, Span] = field(default_factory=dict, compare=False, repr=False)
    """Where each key's value stands that is not left at its default."""

    @property
    def kept(self) -> int:
        """How many numbers there are for each trained one beside it and its gradient.

        Averaged weights lie beside the trained ones as a number of the optimizer does.
        """
        return self.optimizer.kept() + (self.moving_average is not None)

    def steps_per_epoch(self, examples: int) -> int:
        return -(-examples // self.batch)

    def all_steps(self, examples: int) -> int:
        """How many steps it takes, of so many training examples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * self.steps_per_epoch(examples)))

    def all_examples(self, examples: int) -> int:
        """How many examples all steps take: the last batch of an epoch is what is left of them."""
        epochs, steps = divmod(self.all_steps(examples), self.steps_per_epoch(examples))
        return epochs * examples + steps * self.batch

    def measured_every(self, examples: int, tests: int) -> int:
        """How many steps there are from one measurement to the next, if there are so many: at least one.

        Unless the recipe says how often, no more examples are measured than are trained on. Forward alone is
        a third of a step's work, so that measuring is at most a quarter of all; but it is done `FEWEST`
        times. That follows from the counts alone, and is the same when a run goes on.
        """
        steps = self.all_steps(examples)
        if self.measurements is not None:
            return max(1, steps // self.measurements)
        often = MOST
        if not any(piece.reactive for piece in self.schedule):
            # What answers to measurements needs them. Before the first step there is one more.
            whole = sum(self.measured_examples(examples, tests)) * self.views
            often = min(max(self.all_examples(examples) // max(whole, 1) - 1, FEWEST), MOST)
        return -(-steps // often)

    @property
    def views(self) -> int:
        """How many values are made of an example that is measured."""
        return prod(one.views for one in self.evaluate)

    def measured_examples(self, examples: int, tests: int) -> tuple[int, int]:
        """How many examples are measured each time, of those to train on and of those to test on."""
        return min(examples, MEASURED), tests

    def rate(self, step: int, examples: int, drops: int = 0) -> float:
        """The learning rate of a step, counted from 0, after so many falls of a reactive schedule."""
        steps, per_epoch = self.all_steps(examples), self.steps_per_epoch(examples)
        lr: float = self.optimizer.lr
        return lr * rate_factor(self.schedule, step, steps, per_epoch, drops)

    def part_of(self, layer: str, what: str) -> Any:
        """What the last part that has a layer says of it, or None."""
        part = self.part_that_says(layer, what)
        return None if part is None else getattr(part, what)

    def part_that_says(self, layer: str, what: str) -> Part | None:
        """The last part that has a layer and says something of it."""
        for part in reversed(self.parts):
            if layer in part.layers and getattr(part, what) is not None:
                return part
        return None

    @staticmethod
    def stored_settings(stored: dict[str, Any]) -> dict[str, str]:
        """What `to_dict` wrote, as settings that make the recipe again when they are read."""
        parts = {
            f"{part}.{key}": value
            for part, values in stored["parts"].items()
            for key, value in values.items()
        }
        settings = {**{key: stored[key] for key in KEYS}, **parts}
        settings["metrics"] = f"[{', '.join(stored['metrics'])}]"
        return {key: str(value) for key, value in settings.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Every key as a file writes it, those left at their defaults too."""
        return {
            "data": str(self.data.located()),
            "loss": " + ".join(map(str, self.loss)),
            "shape": list(self.shape),
            "optimizer": str(self.optimizer),
            "schedule": " -> ".join(map(str, self.schedule)) or "constant",
            "batch": self.batch,
            "accumulate": self.accumulate,
            "steps": self.steps,
            "epochs": self.epochs,
            "initialize": str(self.initialize.located()),
            "augment": " -> ".join(map(str, self.augment)) or None,
            "evaluate": " -> ".join(map(str, self.evaluate)) or None,
            "clip": None if self.clip is None else str(self.clip),
            "moving_average": self.moving_average,
            "precision": self.precision,
            "metrics": [str(metric) for metric in self.metrics],
            "measurements": self.measurements,
            "seed": self.seed,
            "parts": {
                part.name: {
                    "rate": part.rate,
                    "initialize": None if part.initialize is None else str(part.initialize.located()),
                }
                for part in self.parts
            },
        }
