"""What the program chooses for a run by itself: how fast it computes, never what, but for rounding.

Choices follow from the network, the recipe and the device, never from a clock, so that a run that goes on
makes them again. `benchmarks/image_steps.py` measures that they are the fastest of those there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from archdsl.analysis import analyse
from archdsl.compiler import Network
from archdsl.recipes.recipe import Recipe

MACS_OF_ONE_THREAD = 60_000_000
"""Below so many multiplications a step, threads cost more than they save."""


Effort = Literal["nothing", "recorded", "compiled", "what pays"]
"""What is done for quick steps: a GPU's work is `recorded`, also where it is `compiled`."""


@dataclass(frozen=True, slots=True)
class Choices:
    """How a run computes.

    `layout` is the order of a map's numbers in memory: channels of a position together (`channels_last`), or
    positions of a channel (`contiguous`). What was done of the `effort` for its steps is in the run's log.
    """

    threads: int
    layout: str
    effort: Effort = "what pays"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose(network: Network, recipe: Recipe, device: torch.device) -> Choices:
    """The choices for a network and recipe on a device."""
    return Choices(_threads(network, recipe), _layout(network, recipe, device))


def _threads(network: Network, recipe: Recipe) -> int:
    """One for a small network, else as many as torch takes, or a share where several processes are here."""
    if 0 < macs_of_a_step(network, recipe) < MACS_OF_ONE_THREAD:
        return 1
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, (os.cpu_count() or 1) // processes) if processes > 1 else torch.get_num_threads()


def macs_of_a_step(network: Network, recipe: Recipe) -> int:
    """Multiply-accumulates of a step, forward and for both gradients; 0 where extents are open."""
    macs = analyse(network).totals.macs
    return 3 * macs * recipe.batch if isinstance(macs, int) else 0


def _layout(network: Network, recipe: Recipe, device: torch.device) -> str:
    """Channels last where the short numbers of a GPU's matrix units want them so; a CPU gains nothing."""
    pictures = all(len(node.shape) == 3 for node in network.inputs)
    short = recipe.precision != "float32"
    return "channels_last" if pictures and short and device.type == "cuda" else "contiguous"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """While this is active torch computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable() -> Iterator[None]:
    """While this is active a GPU's convolutions are done in ways that give the same sums each time."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
