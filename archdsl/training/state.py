"""What a run goes on from: taken of its step, written into a checkpoint, and taken up again.

Of several processes the first writes, or, where the network's state is split over them, each its part. As
many processes as before go on bit for bit; another number draws other random numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from archdsl.recipes.recipe import Recipe
from archdsl.training.processes import Processes
from archdsl.training.run import Checkpoint, Run, write_state
from archdsl.training.step import Step


class State:
    """The state of a run's step and of its random numbers."""

    def __init__(self, step: Step, recipe: Recipe, processes: Processes, sharded: bool) -> None:
        self._step = step
        self._recipe = recipe
        self._processes = processes
        self._sharded = sharded

    def save(self, run: Run, done: int) -> None:
        """Write a checkpoint after so many steps."""
        state = dict(self._step.state())
        name = _random(self._processes.rank)
        random = {name: torch.get_rng_state()}
        if self._step.device.type == "cuda":
            random[f"{name}.cuda"] = torch.cuda.get_rng_state()
        with run.checkpoint(done, self._processes.wait) as place:
            if self._sharded:
                from archdsl.training.sharding import save_state

                save_state({**state, **random}, place)
            else:
                everyone = self._processes.all_of(random)
                if self._processes.first:
                    write_state({**state, **{k: v for one in everyone for k, v in one.items()}}, place)

    def restore(self, last: Checkpoint) -> None:
        """Take up a checkpoint, and the random numbers that this process would draw next."""
        if last.in_parts or self._sharded:
            from archdsl.training.sharding import load_state

            saved = self._template(last)
            load_state(saved, last.place, alone=self._processes.count == 1)
        else:
            saved = last.tensors()
        self._step.restore(saved)
        if not self._processes.first:
            # What was lost since the last measurement is all processes' sum, and the first one's to keep.
            self._step.total_loss.zero_()
        name = _random(self._processes.rank)
        if name in saved and _random(self._processes.count) not in saved:
            torch.set_rng_state(saved[name])
            if f"{name}.cuda" in saved:
                torch.cuda.set_rng_state(saved[f"{name}.cuda"])
        else:
            # There were more processes, or fewer: what they would have drawn next is no one's.
            self.sow(last.step)

    def sow(self, step: int) -> None:
        """Begin the random numbers of several processes anew, in each its own."""
        if self._processes.count > 1:
            torch.manual_seed((self._recipe.seed << 20) + step * self._processes.count + self._processes.rank)

    def weights(self) -> dict[str, Tensor]:
        """The model's weights as they are now, for the process that writes them."""
        state: dict[str, Tensor] = self._step.model.state_dict()
        if self._sharded:
            from archdsl.training.sharding import gathered

            return gathered(state, self._processes.first)
        if not self._processes.first:
            return {}
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def _template(self, last: Checkpoint) -> dict[str, Tensor]:
        """Tensors for all that a checkpoint in parts holds, split as this process has them."""
        from archdsl.training.sharding import extents_in

        known = dict(self._step.state())
        found: dict[str, Tensor] = {}
        for name, (extents, dtype) in extents_in(last.place).items():
            like = known.get(name)
            if like is None and name.startswith("optimizer/"):
                parameter = self._step.parameters[name.split("/")[1]]
                like = torch.zeros_like(parameter) if tuple(parameter.shape) == extents else None
            found[name] = torch.zeros(extents, dtype=dtype) if like is None else torch.zeros_like(like)
        return found


def _random(rank: int) -> str:
    """What a checkpoint calls the state of a process's random numbers."""
    return f"random.{rank}"
