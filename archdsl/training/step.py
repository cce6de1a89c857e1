"""One step of training: the loss on a batch, its gradient and the update of the weights.

torch's own loop calls some two hundred operations a step, and a call costs as much as a small network
computes. Where it pays, the step is traced into one graph of tensor operations and compiled to C++ by
torch's compiler. The mathematics are the same, and the compiled step is checked against the step as
it is before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from archdsl.recipes.optimizers import SGD
from archdsl.recipes.recipe import Recipe
from archdsl.training.measuring import outputs_of
from archdsl.training.transforming import Mixed
from archdsl.training.windows import SmallConvolutionsAsProducts

SAVED_PER_OPERATION = 6e-6
"""Seconds that compiling saves on an operation of the step, at least: what calling it costs."""
COMPILING = 8.0
COMPILING_PER_OPERATION = 0.1
"""Seconds that compiling takes, and takes longer for each operation (benchmarks/mnist1d_steps.py)."""
FEWEST_STEPS = 10_000
"""A run of fewer steps is not worth tracing."""

Call = Callable[..., Any]


class NotCompiled(Exception):
    """Why a step is not compiled, in words that follow `not compiled: `."""


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
        processes: int = 1,
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
        """The learning rate, where the compiled step reads it."""
        self.averages = (
            {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            if recipe.moving_average is not None
            else {}
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "float16")
        self._compiled: Callable[..., Any] | None = None
        self._batch = 0
        self._groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
        self.set_rate(recipe.optimizer.lr)

    def set_rate(self, rate: float) -> None:
        """Use this learning rate from now on, in each part times the part's own factor."""
        self.rate.fill_(rate)
        for group in self.optimizer.param_groups:
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
        # The last batch of an epoch may be smaller than the one that the compiled step takes.
        if self._compiled is not None and len(inputs) == self._batch:
            self._compiled(*self._state(), self.rate, inputs, targets)
            return
        whole = len(inputs) if whole is None else whole
        size = max(-(-len(inputs) // self.recipe.accumulate), 1)
        starts = [k * size for k in range(self.recipe.accumulate)]
        if self.processes == 1:
            starts = [start for start in starts if start < len(inputs)]
        for start in starts:
            piece = slice(start, start + size)
            x, y = inputs[piece].contiguous(memory_format=self.memory_format), targets[piece]
            with self.precision(), self._gathering(start == starts[-1]):
                if not len(x):
                    # Nothing is left for this process; but each must take part, or the others would wait.
                    none = [one.new_zeros(2, *one.shape[1:]) for one in (inputs, targets)]
                    loss = self.loss(self.parallel, *none) * 0
                elif mixed is None:
                    loss = self.loss(self.parallel, x, y)
                else:
                    loss = self._mixed_loss(x, y, mixed.targets[piece], mixed.share)
                loss = loss * (len(x) / whole)
                self.scaler.scale(loss * self.processes).backward()  # type: ignore[no-untyped-call]
            self.total_loss += loss.detach()
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

    def _mixed_loss(self, x: Tensor, y: Tensor, other: Tensor, share: float) -> Tensor:
        outputs = outputs_of(self.parallel(x))
        return share * self._judged(outputs, y) + (1 - share) * self._judged(outputs, other)

    def _judged(self, outputs: Sequence[Tensor], y: Tensor) -> Tensor:
        terms = [term.weight * term.loss.loss(F, outputs[term.output], y) for term in self.recipe.loss]
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

    # -------------------------------------------------------------------------- compiling

    def compile(
        self, inputs: Tensor, targets: Tensor, steps: int, busy: Callable[[str], None] | None = None
    ) -> None:
        """Compile the step for batches of this shape, where it can be and pays over so many steps.

        `busy` is told when that begins. Raises `NotCompiled`; the step then runs as it is.
        """
        if inputs.device.type != "cpu":
            raise NotCompiled("it is on no CPU")
        if self.processes > 1:
            raise NotCompiled("several processes take it together")
        if steps < FEWEST_STEPS:
            raise NotCompiled(f"it would not pay for {steps:,} steps")
        self._refuse_what_is_not_traced()
        _find_compiler()
        graph = self.trace(inputs, targets)
        operations = [node for node in graph.graph.nodes if node.op == "call_function"]
        if any(torch.Tag.nondeterministic_seeded in getattr(n.target, "tags", ()) for n in operations):
            raise NotCompiled("it draws random numbers")
        if steps * SAVED_PER_OPERATION * len(operations) < COMPILING + COMPILING_PER_OPERATION * len(
            operations
        ):
            raise NotCompiled(f"it would not pay for {steps:,} steps")
        if busy is not None:
            busy("compiling the step, which takes some seconds and saves more")
        self._compile(graph, inputs, targets)

    def _refuse_what_is_not_traced(self) -> None:
        recipe = self.recipe
        if not isinstance(recipe.optimizer, SGD) or recipe.optimizer.dampening:
            raise NotCompiled(f"the update of {recipe.optimizer} is torch's own")
        for key in ("clip", "moving_average"):
            if getattr(recipe, key) is not None:
                raise NotCompiled(f"the recipe has `{key}`")
        if any(transform.mixes for transform in recipe.augment):
            raise NotCompiled("the recipe mixes examples")
        if recipe.accumulate > 1 or recipe.precision != "float32":
            raise NotCompiled("the recipe has `accumulate` or another precision")

    def _compile(self, graph: torch.fx.GraphModule, inputs: Tensor, targets: Tensor) -> None:
        # Loading the compiler takes a second, which a run without it need not spend.
        from torch import _inductor as inductor

        arguments: list[Any] = [*self._state(), self.rate, inputs, targets]
        before = [tensor.clone() for tensor in self._state()]
        try:
            compiled = inductor.compile(graph, arguments)
            # The first call is the one that can fail: kernels are loaded in it.
            compiled(*arguments)
            found = [tensor.clone() for tensor in self._state()]
            self._restore(before)
            self(inputs, targets)
            wanted = [tensor.clone() for tensor in self._state()]
        except Exception as error:
            raise NotCompiled(f"the compiler failed ({_first_line(error)})") from error
        finally:
            self._restore(before)
        if not all(map(_agree, found, wanted)):
            raise NotCompiled("the compiled step computes something else")
        self._compiled = compiled
        self._batch = len(inputs)

    def trace(self, inputs: Tensor, targets: Tensor) -> torch.fx.GraphModule:
        """The step as a graph of tensor operations over the state, the rate, the inputs and the targets.

        The graph updates the tensors that it is given. Raises `NotCompiled` where the network can't
        be traced.
        """
        from torch.fx.experimental.proxy_tensor import make_fx

        counts = (len(self.parameters), len(self.buffers), len(self._momenta()))

        def step(*tensors: Tensor) -> tuple[()]:
            state = iter(tensors)
            # Detached, a parameter is a leaf of its own and still the same memory.
            leaves = [next(state).detach().requires_grad_() for _ in range(counts[0])]
            buffers = [next(state) for _ in range(counts[1])]
            momenta = [next(state) for _ in range(counts[2])]
            total, rate, x, y = state
            weights = dict(zip(self.parameters, leaves, strict=True))
            weights |= dict(zip(self.buffers, buffers, strict=True))

            def forward(x: Tensor) -> Any:
                return torch.func.functional_call(self.model, weights, (x,))

            with torch.enable_grad():
                loss = self.loss(forward, x, y)
                found: Sequence[Tensor | None] = torch.autograd.grad(loss, leaves, allow_unused=True)
            total.add_(loss.detach())
            self._update(leaves, found, momenta, rate)
            return ()

        try:
            with SmallConvolutionsAsProducts():
                return make_fx(step, tracing_mode="fake")(*self._state(), self.rate, inputs, targets)
        except Exception as error:
            raise NotCompiled(f"it can't be traced ({_first_line(error)})") from error

    @torch.no_grad()
    def _update(
        self,
        parameters: list[Tensor],
        gradients: Sequence[Tensor | None],
        momenta: list[Tensor],
        rate: Tensor,
    ) -> None:
        """SGD's update, as `torch.optim.SGD` has it.

        Factors are multiplied and not passed as `alpha`: fusing an addition with the matrix product that
        made the gradient, torch 2.13's compiler drops it.
        """
        sgd = self.recipe.optimizer
        assert isinstance(sgd, SGD)
        groups = [self._groups[parameter] for parameter in self.parameters.values()]
        for i, (parameter, gradient, group) in enumerate(zip(parameters, gradients, groups, strict=True)):
            if gradient is None:
                continue
            if group["weight_decay"]:
                gradient = gradient + group["weight_decay"] * parameter
            if momenta:
                velocity = momenta[i].mul_(sgd.momentum).add_(gradient)
                gradient = gradient + sgd.momentum * velocity if sgd.nesterov else velocity
            step = rate * group["rate"] if group["rate"] != 1 else rate
            parameter.sub_(step * gradient)

    def _restore(self, state: list[Tensor]) -> None:
        for tensor, value in zip(self._state(), state, strict=True):
            tensor.copy_(value)

    def _momenta(self) -> list[Tensor]:
        states = (self.optimizer.state[parameter] for parameter in self.parameters.values())
        return [state["momentum_buffer"] for state in states if state.get("momentum_buffer") is not None]

    def _state(self) -> list[Tensor]:
        """Every tensor that a compiled step changes."""
        parameters = [p.detach() for p in self.parameters.values()]
        return [*parameters, *self.buffers.values(), *self._momenta(), self.total_loss]

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


def _agree(found: Tensor, wanted: Tensor) -> bool:
    """Whether two tensors are equal but for rounding; where neither is a number they agree."""
    return torch.allclose(found, wanted, rtol=1e-3, atol=1e-5, equal_nan=True)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _find_compiler() -> None:
    """Raise `NotCompiled` where torch finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception:
        raise NotCompiled("there is no C++ compiler") from None
