"""A process's place among those that were started with it. Torch is not needed to know it."""

from __future__ import annotations

import os
from dataclasses import dataclass

LAUNCHED = "ARCHDSL_LAUNCHED"
"""Set in the environment of processes that `archdsl train --devices` started."""


@dataclass(frozen=True, slots=True)
class Place:
    """The number of a process, of how many, and its number on its machine, which is that of its device."""

    rank: int
    count: int
    local: int


def place() -> Place | None:
    """The place that a launcher gave this process: torchrun's words, or SLURM's; None where it is alone."""
    words = os.environ
    if "RANK" in words and "WORLD_SIZE" in words:
        found = Place(int(words["RANK"]), int(words["WORLD_SIZE"]), int(words.get("LOCAL_RANK", "0")))
    elif "SLURM_PROCID" in words and "SLURM_STEP_NUM_TASKS" in words:
        count = int(words["SLURM_STEP_NUM_TASKS"])
        found = Place(int(words["SLURM_PROCID"]), count, int(words.get("SLURM_LOCALID", "0")))
    else:
        return None
    return found if found.count > 1 else None
