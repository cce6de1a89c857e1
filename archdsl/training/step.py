"""One step of training: loss, gradients and the update of the parameters in place.

The step is one function. It can run as it is, call by call, which takes any network; or it is
traced once with its backward pass into a graph of tensor operations, and the graph compiled to C++,
which on a CPU saves what the calls of a small network cost. Both compute the same mathematics.

Which of the two is settled before the first step, from the network, the recipe and the machine and
never from a clock, so that the same seed gives the same numbers again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.training.recipe import SGD
from archdsl.training.windows import SmallConvolutionsAsProducts

SAVED_PER_OPERATION = 6e-6
"""Seconds that compiling saves on an operation of the step, at least: what calling it costs."""
COMPILING = 8.0
COMPILING_PER_OPERATION = 0.1
"""Seconds that compiling takes, and takes longer for each operation (benchmarks/mnist1d_steps.py)."""
FEWEST_STEPS = 10_000
"""A run of fewer steps is not worth tracing."""

Call = Callable[..., Tensor]


class NotCompiled(Exception):
    """Why a step is not compiled, in words that follow `not compiled: `."""


class Step:
    """Takes a model one step on: `step(inputs, classes)`.

    `total_loss` sums the losses of the steps, on the device. The model's parameters and buffers are
    changed in place, and so are `momenta`, by the names of the trained parameters; without momentum
    there are none.
    """

    def __init__(self, model: nn.Module, optimizer: SGD) -> None:
        self.model = model
        self.optimizer = optimizer
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.buffers = dict(model.named_buffers())
        with_momentum = self.parameters if optimizer.momentum else {}
        self.momenta = {name: torch.zeros_like(p) for name, p in with_momentum.items()}
        self.total_loss = torch.zeros((), device=next(model.parameters()).device)
        self._compiled: Callable[..., Any] | None = None
        self._batch = 0

    def __call__(self, inputs: Tensor, classes: Tensor) -> None:
        # The last batch of an epoch may be smaller than the one that the compiled step takes.
        if self._compiled is not None and len(inputs) == self._batch:
            self._compiled(*self._state(), inputs, classes)
        else:
            parameters, momenta = list(self.parameters.values()), list(self.momenta.values())
            self.total_loss += self._update(self.model, parameters, momenta, inputs, classes)

    def compile(self, inputs: Tensor, classes: Tensor, steps: int) -> None:
        """Compile the step for batches of this shape, where it can be and pays over so many steps.

        Raises `NotCompiled`; the step then runs as it is.
        """
        if inputs.device.type != "cpu":
            raise NotCompiled("it is on no CPU")
        if steps < FEWEST_STEPS:
            raise NotCompiled(f"it would not pay for {steps:,} steps")
        _find_compiler()
        graph = self.trace(inputs, classes)
        operations = [node for node in graph.graph.nodes if node.op == "call_function"]
        if any(torch.Tag.nondeterministic_seeded in getattr(n.target, "tags", ()) for n in operations):
            raise NotCompiled("it draws random numbers")
        if steps * SAVED_PER_OPERATION * len(operations) < COMPILING + COMPILING_PER_OPERATION * len(
            operations
        ):
            raise NotCompiled(f"it would not pay for {steps:,} steps")
        self._compile(graph, inputs, classes)

    def _compile(self, graph: torch.fx.GraphModule, inputs: Tensor, classes: Tensor) -> None:
        # Loading the compiler takes a second, which a run without it need not spend.
        from torch import _inductor as inductor

        arguments: list[Any] = [*self._state(), inputs, classes]
        before = [tensor.clone() for tensor in self._state()]
        try:
            compiled = inductor.compile(graph, arguments)
            # The first call is the one that can fail: kernels are loaded in it.
            compiled(*arguments)
            found = [tensor.clone() for tensor in self._state()]
            self._restore(before)
            self(inputs, classes)
            wanted = [tensor.clone() for tensor in self._state()]
        except Exception as error:
            raise NotCompiled(f"the compiler failed ({_first_line(error)})") from error
        finally:
            self._restore(before)
        if not all(map(_agree, found, wanted)):
            raise NotCompiled("the compiled step computes something else")
        self._compiled = compiled
        self._batch = len(inputs)

    def trace(self, inputs: Tensor, classes: Tensor) -> torch.fx.GraphModule:
        """The step as a graph of tensor operations over the state, the inputs and the classes.

        The graph updates the tensors that it is given. Raises `NotCompiled` where the network can't
        be traced.
        """
        from torch.fx.experimental.proxy_tensor import make_fx

        counts = (len(self.parameters), len(self.buffers), len(self.momenta))

        def step(*tensors: Tensor) -> tuple[()]:
            state = iter(tensors)
            # Detached, a parameter is a leaf of its own and still the same memory.
            leaves = [next(state).detach().requires_grad_() for _ in range(counts[0])]
            buffers = [next(state) for _ in range(counts[1])]
            momenta = [next(state) for _ in range(counts[2])]
            total, x, y = state
            weights = dict(zip(self.parameters, leaves, strict=True))
            weights |= dict(zip(self.buffers, buffers, strict=True))

            def forward(x: Tensor) -> Tensor:
                result: Tensor = torch.func.functional_call(self.model, weights, (x,))
                return result

            total.add_(self._update(forward, leaves, momenta, x, y))
            return ()

        try:
            with SmallConvolutionsAsProducts():
                return make_fx(step, tracing_mode="fake")(*self._state(), inputs, classes)
        except Exception as error:
            raise NotCompiled(f"it can't be traced ({_first_line(error)})") from error

    def _restore(self, state: list[Tensor]) -> None:
        for tensor, value in zip(self._state(), state, strict=True):
            tensor.copy_(value)

    def _state(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        parameters = [p.detach() for p in self.parameters.values()]
        return [*parameters, *self.buffers.values(), *self.momenta.values(), self.total_loss]

    def _update(
        self, forward: Call, parameters: list[Any], momenta: list[Tensor], x: Tensor, y: Tensor
    ) -> Tensor:
        """The loss on a batch, and SGD's update of the parameters, as `torch.optim.SGD` has it."""
        with torch.enable_grad():
            loss = F.cross_entropy(forward(x), y)
            found: Sequence[Tensor | None] = torch.autograd.grad(loss, parameters, allow_unused=True)
        sgd = self.optimizer
        # Factors are multiplied and not passed as `alpha`: fusing an addition with the matrix product
        # that made the gradient, torch 2.13's compiler drops it.
        with torch.no_grad():
            for i, (parameter, gradient) in enumerate(zip(parameters, found, strict=True)):
                if gradient is None:
                    continue
                if sgd.weight_decay:
                    gradient = gradient + sgd.weight_decay * parameter
                if momenta:
                    gradient = momenta[i].mul_(sgd.momentum).add_(gradient)
                parameter.sub_(sgd.lr * gradient)
        return loss.detach()


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
