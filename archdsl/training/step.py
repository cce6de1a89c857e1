"""One step of training: the loss on a batch, its gradient and the update of the weights.

What a step computes stands here. How it may be taken with less effort than a call of torch for every
operation is in `archdsl.training.quickening`, which gives the step its `quick` form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from archdsl.recipes.recipe import Recipe
from archdsl.training.measuring import outputs_of
from archdsl.training.processes import ALONE, Processes
from archdsl.training.transforming import Mixed

Call = Callable[..., Any]


class Step:
    """Takes a model one step on: `step(inputs, targets)`.

    `total_loss` sums the losses of the steps, on the device. The model's parameters and buffers are
    changed in place, and so are the optimizer's state and the averaged weights.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        optimizer: torch.optim.Optimizer,
        parallel: nn.Module | None = None,
        processes: Processes = ALONE,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """`parallel` is the model as several `processes` compute with it, who take their mean gradient.

        Inputs are brought into `memory_format`, which the model's parameters have.
        """
        self.model = model
        self.parallel = parallel or model
        self.processes = processes
        self.memory_format = memory_format
        self.recipe = recipe
        self.optimizer = optimizer
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        self.buffers = {**dict(model.named_buffers()), **frozen}
        self.device = next(model.parameters()).device
        self.total_loss = torch.zeros((), device=self.device)
        self.rate = torch.zeros((), device=self.device)
        """The learning rate, where a compiled step reads it."""
        self.quick: Callable[[Tensor, Tensor], None] | None = None
        """The same step on a batch of `quick_batch` examples, taken in another way."""
        self.quick_batch = 0
        self.averages = (
            {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            if recipe.moving_average is not None
            else {}
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "float16")
        self._rate: float | None = None
        self.set_rate(recipe.optimizer.lr)

    def set_rate(self, rate: float) -> None:
        """Use this learning rate from now on, in each part times the part's own factor."""
        if rate == self._rate:
            return
        self._rate = rate
        self.rate.fill_(rate)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * group["rate"])
            else:
                group["lr"] = rate * group["rate"]

    def precision(self) -> AbstractContextManager[Any]:
        """While this is active, layers compute in the recipe's precision."""
        if self.recipe.precision == "float32":
            return nullcontext()
        dtype = getattr(torch, self.recipe.precision)
        return torch.autocast(self.device.type, dtype=dtype)

    def __call__(
        self, inputs: Tensor, targets: Tensor, mixed: Mixed | None = None, whole: int | None = None
    ) -> None:
        """Take a step on examples, which may be a part of a batch of `whole` that all processes have."""
        # The last batch of an epoch may be smaller than the one that the quick step takes.
        if self.quick is not None and inputs.shape[0] == self.quick_batch:
            self.quick(inputs, targets)
        else:
            self.as_it_is(inputs, targets, mixed, whole)

    def as_it_is(
        self, inputs: Tensor, targets: Tensor, mixed: Mixed | None = None, whole: int | None = None
    ) -> None:
        """The step by a call of torch for every operation."""
        self.gradients(inputs, targets, mixed, whole)
        self.update()

    def gradients(
        self,
        inputs: Tensor,
        targets: Tensor,
        mixed: Mixed | None = None,
        whole: int | None = None,
        forward: Call | None = None,
    ) -> None:
        """Add the loss on a batch to the total, and give the parameters their gradients.

        `forward` is another way to compute what the model does.
        """
        forward = self.parallel if forward is None else forward
        counts = self._counts(targets, whole)
        others = None if mixed is None else self._counts(mixed.targets, whole)
        size = max(-(-len(inputs) // self.recipe.accumulate), 1)
        starts = [k * size for k in range(self.recipe.accumulate)]
        if self.processes.count == 1:
            starts = [start for start in starts if start < len(inputs)]
        for start in starts:
            piece = slice(start, start + size)
            x, y = inputs[piece].contiguous(memory_format=self.memory_format), targets[piece]
            with self.precision(), self._gathering(start == starts[-1]):
                if not len(x):
                    # Nothing is left for this process; but each must take part, or the others would wait.
                    none = [one.new_zeros(2, *one.shape[1:]) for one in (inputs, targets)]
                    loss = self.loss(forward, *none) * 0
                else:
                    outputs = outputs_of(forward(x))
                    loss = self._judged(outputs, y, counts)
                    if mixed is not None:
                        other = self._judged(outputs, mixed.targets[piece], others)
                        loss = mixed.share * loss + (1 - mixed.share) * other
                self.scaler.scale(loss * self.processes.count).backward()  # type: ignore[no-untyped-call]
            self.total_loss += loss.detach()

    def update(self) -> None:
        """Change the weights by the gradients that they have, which are dropped."""
        if self.recipe.clip is not None:
            self.scaler.unscale_(self.optimizer)
            self.recipe.clip.clip(nn.utils, self.parameters.values())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self._follow()

    def _gathering(self, last: bool) -> AbstractContextManager[Any]:
        """While this is active gradients are summed over the processes, in the last piece of a batch only."""
        if isinstance(self.parallel, DistributedDataParallel) and not last:
            waiting: AbstractContextManager[Any] = self.parallel.no_sync()
            return waiting
        return nullcontext()

    def loss(self, forward: Call, x: Tensor, y: Tensor) -> Tensor:
        """The recipe's loss on examples, without axes."""
        return self._judged(outputs_of(forward(x)), y)

    def _counts(self, targets: Tensor, whole: int | None) -> list[Tensor | int]:
        """How many targets of the whole batch count for each term of the loss, in all processes."""
        found: list[Tensor | int] = []
        for term in self.recipe.loss:
            mask = term.loss.counted(targets)
            if mask is None:
                found.append(len(targets) if whole is None else whole)
                continue
            count = mask.sum()
            self.processes.add(count)
            found.append(count.clamp(min=1))
        return found

    def _judged(
        self, outputs: Sequence[Tensor], y: Tensor, counts: Sequence[Tensor | int] | None = None
    ) -> Tensor:
        """The loss of outputs; with `counts` of a whole batch's targets, what they are of its loss."""
        terms = []
        for number, term in enumerate(self.recipe.loss):
            loss = term.weight * term.loss.loss(F, outputs[term.output], y)
            if counts is not None:
                mask = term.loss.counted(y)
                loss = loss * ((len(y) if mask is None else mask.sum()) / counts[number])
            terms.append(loss)
        total: Tensor = sum(terms[1:], start=terms[0])
        return total

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the averaged weights follow the trained ones; what is no float is taken as it is."""
        if not self.averages:
            return
        slowness = self.recipe.moving_average or 0.0
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.averages[name].lerp_(tensor, 1 - slowness)
            else:
                self.averages[name].copy_(tensor)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While this is active the model has the averaged weights, if the recipe averages."""
        if not self.averages:
            yield
            return
        trained = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.averages)
        try:
            yield
        finally:
            self.model.load_state_dict(trained)

    # -------------------------------------------------------------------------- stopping and going on

    def state(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor that a run needs to go on, by a name of its own, for a checkpoint."""
        for name, tensor in self.model.state_dict().items():
            yield f"model/{name}", tensor
        for name, tensor in self.averages.items():
            yield f"average/{name}", tensor
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    yield f"optimizer/{name}/{key}", value
        yield "total_loss", self.total_loss
        if self.scaler.is_enabled():
            yield "scale", torch.tensor([self.scaler.get_scale(), float(self.scaler._get_growth_tracker())])

    @torch.no_grad()
    def restore(self, saved: dict[str, Tensor]) -> None:
        """Take up the state of a checkpoint."""
        self.model.load_state_dict(
            {name: saved[f"model/{name}"] for name in self.model.state_dict()}, strict=True
        )
        for name in self.averages:
            self.averages[name].copy_(saved[f"average/{name}"])
        for name, parameter in self.parameters.items():
            begin = f"optimizer/{name}/"
            for full, tensor in saved.items():
                if full.startswith(begin):
                    # torch keeps an optimizer's counter of steps on the CPU, unless it is fused.
                    key = full.removeprefix(begin)
                    moves = tensor.dim() or self.optimizer.param_groups[0].get("fused")
                    if (there := self.optimizer.state[parameter].get(key)) is not None:
                        # A quick step knows the tensor by its place.
                        there.copy_(tensor)
                        continue
                    if tensor.shape == parameter.shape:
                        # In the parameter's own layout, whatever that of the file.
                        tensor = torch.zeros_like(parameter).copy_(tensor)
                    self.optimizer.state[parameter][key] = tensor.to(self.device) if moves else tensor
        self.total_loss.copy_(saved["total_loss"])
        if self.scaler.is_enabled():
            scale, tracker = saved["scale"].tolist()
            self.scaler.load_state_dict(
                {**self.scaler.state_dict(), "scale": scale, "_growth_tracker": int(tracker)}
            )
