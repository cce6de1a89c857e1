"""A step traced into one graph of tensor operations, and compiled by torch's compiler.

torch's own loop calls some two hundred operations a step, and a call costs as much as a small network
computes. Compiled, they are a few calls of machine code. On a CPU the whole step is compiled, with its
update; on a GPU its loss and gradients are, since an update is one kernel there already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from archdsl.recipes.optimizers import SGD
from archdsl.training.step import Step
from archdsl.training.windows import SmallConvolutionsAsProducts

OnBatch = Callable[[Tensor, Tensor], None]


class NotCompiled(Exception):
    """Why a step is not compiled, in words that follow `not compiled: `."""


def operations(graph: torch.fx.GraphModule) -> list[torch.fx.Node]:
    """The calls of tensor operations in a graph."""
    return [node for node in graph.graph.nodes if node.op == "call_function"]


# ------------------------------------------------------------------------------ all of it, on a CPU


def refuse_what_is_not_traced(step: Step) -> None:
    """Raise `NotCompiled` where the recipe has what the traced update has not."""
    recipe = step.recipe
    if not isinstance(recipe.optimizer, SGD) or recipe.optimizer.dampening:
        raise NotCompiled(f"the update of {recipe.optimizer} is torch's own")
    for key in ("clip", "moving_average"):
        if getattr(recipe, key) is not None:
            raise NotCompiled(f"the recipe has `{key}`")
    if recipe.accumulate > 1 or recipe.precision != "float32":
        raise NotCompiled("the recipe has `accumulate` or another precision")


def trace_step(step: Step, inputs: Tensor, targets: Tensor) -> torch.fx.GraphModule:
    """The step as a graph of tensor operations over `arguments`, which it updates.

    Raises `NotCompiled` where the network can't be traced.
    """
    counts = len(step.parameters), len(step.buffers)
    momenta = len(_momenta(step))

    def whole(*tensors: Tensor) -> tuple[()]:
        state = iter(tensors)
        leaves, buffers = _leaves(state, counts[0]), [next(state) for _ in range(counts[1])]
        kept = [next(state) for _ in range(momenta)]
        total, rate, x, y = state
        loss, found = _gradients(step, leaves, buffers, x, y)
        total.add_(loss)
        _update(step, leaves, found, kept, rate)
        return ()

    return _traced(whole, [*arguments(step), inputs, targets], SmallConvolutionsAsProducts())


def arguments(step: Step) -> list[Tensor]:
    """Every tensor that a step reads and changes, but for the batch."""
    parameters = [p.detach() for p in step.parameters.values()]
    return [*parameters, *step.buffers.values(), *_momenta(step), step.total_loss, step.rate]


def compiled_step(step: Step, graph: torch.fx.GraphModule, inputs: Tensor, targets: Tensor) -> OnBatch:
    """The traced step compiled to C++. Raises `NotCompiled` where the compiler fails."""
    kept = arguments(step)
    compiled = _compiled(graph, [*kept, inputs, targets])

    def take(x: Tensor, y: Tensor) -> None:
        compiled(*kept, x, y)

    return take


@torch.no_grad()
def _update(
    step: Step,
    parameters: list[Tensor],
    gradients: Sequence[Tensor | None],
    momenta: list[Tensor],
    rate: Tensor,
) -> None:
    """SGD's update, as `torch.optim.SGD` has it.

    Factors are multiplied and not passed as `alpha`: fusing an addition with the matrix product that
    made the gradient, torch 2.13's compiler drops it.
    """
    sgd = step.recipe.optimizer
    assert isinstance(sgd, SGD)
    groups = {p: group for group in step.optimizer.param_groups for p in group["params"]}
    of_each = [groups[parameter] for parameter in step.parameters.values()]
    for i, (parameter, gradient, group) in enumerate(zip(parameters, gradients, of_each, strict=True)):
        if gradient is None:
            continue
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * parameter
        if momenta:
            velocity = momenta[i].mul_(sgd.momentum).add_(gradient)
            gradient = gradient + sgd.momentum * velocity if sgd.nesterov else velocity
        own = rate * group["rate"] if group["rate"] != 1 else rate
        parameter.sub_(own * gradient)


def _momenta(step: Step) -> list[Tensor]:
    states = (step.optimizer.state[parameter] for parameter in step.parameters.values())
    return [state["momentum_buffer"] for state in states if state.get("momentum_buffer") is not None]


def find_compiler() -> None:
    """Raise `NotCompiled` where torch finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception:
        raise NotCompiled("there is no C++ compiler") from None


# ------------------------------------------------------------------------------ loss and gradients, on a GPU


def trace_gradients(step: Step, inputs: Tensor, targets: Tensor) -> torch.fx.GraphModule:
    """The loss, added to the step's, and the gradients of its parameters, as a graph.

    Its arguments are those of `compiled_gradients`. Raises `NotCompiled` where the network can't be traced.
    """
    counts = len(step.parameters), len(step.buffers)

    def gradients(*tensors: Tensor) -> tuple[Tensor, ...]:
        state = iter(tensors)
        leaves, buffers = _leaves(state, counts[0]), [next(state) for _ in range(counts[1])]
        total, x, y = state
        loss, found = _gradients(step, leaves, buffers, x, y)
        total.add_(loss)
        return tuple(
            torch.zeros_like(leaf) if gradient is None else _laid_out_like(leaf.detach(), gradient)
            for leaf, gradient in zip(leaves, found, strict=True)
        )

    return _traced(gradients, [*_read(step), inputs, targets])


def _read(step: Step) -> list[Tensor]:
    parameters = [p.detach() for p in step.parameters.values()]
    return [*parameters, *step.buffers.values(), step.total_loss]


def compiled_gradients(step: Step, graph: torch.fx.GraphModule, inputs: Tensor, targets: Tensor) -> OnBatch:
    """What gives the step its loss and its parameters their gradients, as `Step.gradients` does, compiled.

    What a layer drops is drawn as it is without the compiler. Raises `NotCompiled` where that fails.
    """
    read = _read(step)
    compiled = _compiled(graph, [*read, inputs, targets], {"fallback_random": True})

    def give(x: Tensor, y: Tensor) -> None:
        for parameter, gradient in zip(step.parameters.values(), compiled(*read, x, y), strict=True):
            parameter.grad = gradient

    return give


def _laid_out_like(parameter: Tensor, gradient: Tensor) -> Tensor:
    """A gradient in its parameter's layout, as optimizers of one kernel need it."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


# ------------------------------------------------------------------------------ both


def _leaves(state: Any, count: int) -> list[Tensor]:
    # Detached, a parameter is a leaf of its own and still the same memory.
    return [next(state).detach().requires_grad_() for _ in range(count)]


def _gradients(
    step: Step, leaves: list[Tensor], buffers: list[Tensor], x: Tensor, y: Tensor
) -> tuple[Tensor, Sequence[Tensor | None]]:
    """The loss on a batch and its gradient by each parameter, None where it has none."""
    weights = dict(zip(step.parameters, leaves, strict=True))
    weights |= dict(zip(step.buffers, buffers, strict=True))

    def forward(x: Tensor) -> Any:
        return torch.func.functional_call(step.model, weights, (x,))

    with torch.enable_grad():
        with step.precision():
            loss = step.loss(forward, x, y)
        found: Sequence[Tensor | None] = torch.autograd.grad(loss, leaves, allow_unused=True)
    return loss.detach(), found


def _traced(
    function: Callable[..., Any], given: list[Tensor], mode: AbstractContextManager[Any] | None = None
) -> torch.fx.GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        # The engine's own thread for a device would not be traced.
        with torch.autograd.set_multithreading_enabled(False), mode or nullcontext():
            return make_fx(function, tracing_mode="fake")(*given)
    except Exception as error:
        raise NotCompiled(f"it can't be traced ({first_line(error)})") from error


def _compiled(
    graph: torch.fx.GraphModule, given: list[Any], options: dict[str, Any] | None = None
) -> Callable[..., Any]:
    # Loading the compiler takes a second, which a run without it need not spend.
    from torch import _inductor as inductor

    try:
        return inductor.compile(graph, given, options=options)  # type: ignore[no-any-return]
    except Exception as error:
        raise NotCompiled(f"the compiler failed ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
