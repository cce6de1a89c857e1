"""What is looked at: a network with its weights, those it began with, and the inputs that it is used to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from archdsl.compiler import Network, Wire
from archdsl.diagnostics import ArchError
from archdsl.looking.pictures import meant
from archdsl.looking.unseen import Unseen
from archdsl.looking.work import MOST_NUMBERS
from archdsl.lowering.build import build
from archdsl.recipes.files import ARRAYS
from archdsl.recipes.recipe import Recipe
from archdsl.training.examples import Examples as Loaded
from archdsl.training.examples import spread
from archdsl.training.initialisation import initialise, take_pretrained
from archdsl.training.sources import load
from archdsl.training.trained import Trained, inputs_of
from archdsl.training.transforming import viewed

State = Mapping[str, Tensor]
"""Weights and statistics by their names."""

MOST_EXAMPLES = 1_000
"""The most examples that inputs are known by, and the most that are tried for the one that excites a unit."""


class Seen:
    """A network that shows some of its values: called with a batch of inputs it gives them in their order.

    Its weights stand still; what it gives can be differentiated by the inputs.
    """

    def __init__(self, network: Network, wires: Sequence[Wire], state: State, device: torch.device) -> None:
        shown = replace(network, outputs=list(wires), output_names=[f"value_{i}" for i in range(len(wires))])
        self._model = build(shown, device).eval().requires_grad_(False)
        self._model.load_state_dict(state)

    def __call__(self, x: Tensor) -> list[Tensor]:
        made = self._model(x)
        return [made] if isinstance(made, Tensor) else list(made)


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs as the network takes them `[n, *shape]`, their targets, and their numbers among all of them."""

    inputs: Tensor
    targets: Tensor
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Given:
    """One input as the network takes it, what it is called, and its class where that is known.

    `picture` is whether it comes from a file of a picture, whose numbers go from 0 to 1.
    """

    input: Tensor
    name: str
    target: int | None = None
    picture: bool = False


@dataclass(frozen=True)
class Subject:
    """A network to look at.

    `states` are its weights by what they are called on pictures: `trained`, and `before training`, the
    recipe's initial weights by its seed; of a network without a run there is one, drawn by a seed.
    """

    name: str
    network: Network
    states: Mapping[str, State] = field(repr=False)
    device: torch.device
    recipe: Recipe | None = None
    classes: tuple[str, ...] | None = None
    _seen: dict[tuple[str, tuple[Wire, ...]], Seen] = field(default_factory=dict, repr=False, compare=False)

    def seen(self, wires: Sequence[Wire], state: str) -> Seen:
        """The network with one of its `states`, showing values."""
        key = (state, tuple(wires))
        if key not in self._seen:
            self._seen[key] = Seen(self.network, wires, self.states[state], self.device)
        return self._seen[key]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an input."""
        inputs = self.network.inputs
        if len(inputs) != 1:
            raise Unseen(f"{self.network.name} has {len(inputs)} inputs, and looking inside is for one")
        extents = [extent for extent in inputs[0].shape if isinstance(extent, int)]
        if len(extents) < len(inputs[0].shape):
            raise Unseen(f"{inputs[0].name} has open sizes, and looking inside is for numbers")
        return tuple(extents)

    @cached_property
    def examples(self) -> Examples:
        """Test examples of the run's data, at most `MOST_EXAMPLES`, transformed as `evaluate` says."""
        inputs, targets = self._loaded.some(self._most)
        if not len(inputs):
            raise Unseen(f"{self.name} has no test examples")
        return Examples(self._viewed(inputs), targets, spread(self._loaded.tests, self._most))

    @cached_property
    def training_inputs(self) -> Tensor:
        """Training examples, at most `MOST_EXAMPLES`, as the network takes them when it is used."""
        return torch.cat([self._viewed(x) for x, _ in self._loaded.training(self._most)])

    def given(self, picture: Path | None = None, example: int | None = None) -> Given:
        """A picture, or an example of a `.npy` or `.npz` file; without a file a test example of the run.

        Raises `Unseen` where there is none of that number, and `TrainingError` where the file is no picture.
        """
        number = example or 0
        if picture is not None:
            shape = self.shape if self.recipe is None else self.recipe.shape
            file = meant(picture)
            arrays = file.suffix.lower() in ARRAYS
            if example is not None and not arrays:
                raise Unseen(f"{picture} is one picture and has no examples: leave out --example")
            found = list(islice(inputs_of(file, shape), number, number + 1))
            if not found:
                raise Unseen(f"{picture} has no example {number}, counted from 0")
            ((name, x),) = found
            name = f"{picture.name}{name.removeprefix(str(file))}"
            x = x.unsqueeze(0).to(self.device)
            return Given(x if self.recipe is None else self._viewed(x), name, picture=not arrays)
        if number >= self._loaded.tests:
            raise Unseen(f"{self.name} has {self._loaded.tests:,} test examples, counted from 0")
        (x, target) = next(self._loaded.testing(lambda count: slice(number, number + 1)))
        return Given(self._viewed(x), f"test example {number}", class_of(target))

    def says(self, x: Tensor, state: str) -> tuple[int, float] | None:
        """The likeliest class of an input and its share, where the network gives scores of classes."""
        if self.recipe is None or self.recipe.loss[0].loss.applies != "softmax":
            return None
        wire = self.network.outputs[self.recipe.loss[0].output]
        if len(wire.shape) != 1:
            return None
        with torch.no_grad():
            share, number = self.seen([wire], state)(x)[0][0].softmax(0).max(0)
        return int(number), float(share)

    def called(self, target: int | None) -> str:
        """The name of a class, or its number; nothing where it is not known."""
        return "" if target is None else self.classes[target] if self.classes else str(target)

    @property
    def _most(self) -> int:
        """How many examples are looked at, fewer where they are large."""
        return max(1, min(MOST_EXAMPLES, MOST_NUMBERS // prod(self.shape)))

    @cached_property
    def _loaded(self) -> Loaded:
        if self.recipe is None:
            raise Unseen(f"{self.name} has no examples: name the folder of a run, or give a picture")
        return load(self.recipe, self.device)

    def _viewed(self, inputs: Tensor) -> Tensor:
        assert self.recipe is not None
        x, views = viewed(self.recipe, inputs)
        return x[::views].float()

    @cached_property
    def limits(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest number of each channel of the training inputs, to go with an input.

        Without examples they are 0 and 1.
        """
        if self.recipe is None:
            return torch.zeros(()), torch.ones(())
        x = self.training_inputs
        along = [axis for axis in range(x.dim()) if axis != 1 or x.dim() == 2]
        low, high = x.amin(along, keepdim=True)[0], x.amax(along, keepdim=True)[0]
        return low, torch.maximum(high, low + 1e-6)

    def limits_of(self, given: Given) -> tuple[Tensor, Tensor]:
        """What black and white are of an input that is given, so that it can be shown as it is.

        Of a picture they are 0 and 1, as `evaluate` transforms them; else those of the training inputs, or
        where it goes beyond them its own.
        """
        if self.recipe is None:
            return self.limits
        along = [axis for axis in range(given.input.dim()) if axis != 1]
        if given.picture:
            zeros = torch.zeros(1, *self.recipe.shape, device=self.device)
            black, white = self._viewed(zeros), self._viewed(zeros + 1)
            # Padding may have brought in other numbers.
            return black.amin(along, keepdim=True)[0], white.amax(along, keepdim=True)[0]
        low, high = self.limits
        if along:
            low = torch.minimum(low, given.input.amin(along, keepdim=True)[0])
            high = torch.maximum(high, given.input.amax(along, keepdim=True)[0])
        return low, high


def class_of(target: Tensor) -> int | None:
    """The class that a target is, where it is one."""
    return int(target) if target.numel() == 1 and not target.is_floating_point() else None


def of_run(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    device: torch.device | None = None,
    allow_python: bool = False,
) -> Subject:
    """A trained run. `settings` replace keys of its recipe, such as its data.

    Raises `TrainingError` where there is no run in the folder, and `ArchError` where its recipe or its data
    are not what they were.
    """
    trained = Trained(folder, settings, device, True, allow_python)
    network, recipe = trained.network, trained.recipe
    # As training begins, draw for draw.
    torch.manual_seed(recipe.seed)
    first = build(network)
    initialise(first, network, recipe)
    states = {"trained": trained.model.state_dict()}
    # A file of weights that it began with may be gone.
    with suppress(ArchError):
        take_pretrained(first, network, recipe)
        states["before training"] = first.state_dict()
    return Subject(str(folder), network, states, trained.device, recipe, trained.classes)


def of_network(network: Network, seed: int = 0, device: torch.device | None = None) -> Subject:
    """A network without a run, with weights drawn by a seed."""
    torch.manual_seed(seed)
    states = {f"random weights of seed {seed}": build(network).state_dict()}
    return Subject(network.name, network, states, device or torch.device("cpu"))
