"""The keys of a recipe: what each is for, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from archdsl.layers.arguments import Kind, choice, natural, non_negative_number, positive, positive_number
from archdsl.layers.arguments import rate as rate_kind
from archdsl.precision import TRAINED_IN
from archdsl.recipes.clipping import Clipping
from archdsl.recipes.data import Data
from archdsl.recipes.initialisations import Initialisation
from archdsl.recipes.losses import Loss
from archdsl.recipes.metrics import Metric
from archdsl.recipes.optimizers import Optimizer
from archdsl.recipes.schedules import Schedule
from archdsl.recipes.transforms import Transform
from archdsl.recipes.word import Word

Form = Literal["one", "chain", "list", "sum"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a recipe.

    `takes` is a family of words, or a kind of plain value. `form` is how many: one word or value, a
    chain `a -> b`, a list `[a, b]`, or a sum `a + 0.3 * b`. A key with an `example` has no default.
    """

    takes: type[Word] | Kind
    documentation: str
    form: Form = "one"
    example: str | None = None


KEYS: dict[str, Key] = {
    "data": Key(Data, "what the network is trained on", example="data = mnist1d(examples=4000)"),
    "loss": Key(
        Loss,
        "what is made small; a sum weighs several outputs: `cross_entropy(a) + 0.3 * cross_entropy(b)`",
        "sum",
        example="loss = cross_entropy",
    ),
    "optimizer": Key(Optimizer, "how gradients change the weights", example="optimizer = sgd(lr=0.01)"),
    "schedule": Key(
        Schedule,
        "how the learning rate changes, as in `warm_up(epochs=5) -> cosine`; every piece is of the "
        "optimizer's rate, and does not go on from where the one before it ended",
        "chain",
    ),
    "batch": Key(positive, "examples a step", example="batch = 100"),
    "accumulate": Key(positive, "in how many pieces a batch passes through the network, one after the other"),
    "steps": Key(positive, "how many updates there are", example="steps = 100_000"),
    "epochs": Key(positive_number, "in place of `steps`: how often every training example is seen"),
    "initialize": Key(Initialisation, "what the weights are before the first step"),
    "clip": Key(Clipping, "how large gradients may be, as in `norm(1)`"),
    "augment": Key(
        Transform, "what is done to training examples, as in `random_crop(224) -> horizontal_flip`", "chain"
    ),
    "evaluate": Key(Transform, "what is done to examples that are measured, as in `ten_crop(224)`", "chain"),
    "moving_average": Key(
        rate_kind,
        "how slowly averaged weights follow the trained ones; they are what is measured and saved "
        "(Szegedy et al., 2016, Section 8)",
    ),
    "precision": Key(
        choice(*TRAINED_IN),
        "what the layers compute in; in the shorter two weights stay in float32 (Micikevicius et al., "
        "Mixed Precision Training, 2018)",
    ),
    "metrics": Key(
        Metric,
        "what is measured; the first is drawn. Unless said, of classes the error, with `mean_iou` where each "
        "position has one, and of values the mean squared and the mean absolute error",
        "list",
    ),
    "measurements": Key(
        positive,
        "how often the network is measured and saved over the run. Unless said, up to 100 times: as often as "
        "takes a quarter of the work at most, but three times at least; 100 times for a schedule that "
        "answers to measurements",
    ),
    "seed": Key(natural, "where random numbers begin"),
}
"""Every key, in the order in which a recipe is written."""

OF_PARTS: dict[str, Key] = {
    "rate": Key(non_negative_number, "factor of the part's learning rate; 0 leaves the part as it is"),
    "initialize": Key(Initialisation, "what the part's weights are before the first step"),
}
"""What a dotted key may set of a part: `stem.rate = 0`."""

LENGTH = ("steps", "epochs")
"""The keys of which a recipe has one."""
MEASURING = ("data", "loss", "evaluate", "precision", "metrics")
"""The keys that matter to a network that is trained already, and measured."""
REPORTED = ("optimizer", "precision", "moving_average")
"""The keys that matter to the figures of a network."""
LOOKING = ("data", "loss", "evaluate")
"""The keys that matter to a network that is trained already, and looked at."""


def replaced(own: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Settings with others in place of some: a training has one length, in whatever unit."""
    kept = {key: text for key, text in own.items() if not (key in LENGTH and settings.keys() & set(LENGTH))}
    return {**kept, **settings}
