"""A step compiled by torch's compiler.

torch's own loop calls some two hundred operations a step, and a call costs as much as a small network
computes. On a CPU the whole step is traced into one graph, with its update, and compiled to a few calls of
machine code. On a GPU, where calls are recorded anyway, the model is compiled, forward and backward, so that
values are moved less often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    from torch.fx.experimental.proxy_tensor import make_fx

    counts = len(step.parameters), len(step.buffers)
    momenta = len(_momenta(step))

    def whole(*tensors: Tensor) -> tuple[()]:
        state = iter(tensors)
        # Detached, a parameter is a leaf of its own and still the same memory.
        leaves = [next(state).detach().requires_grad_() for _ in range(counts[0])]
        buffers = [next(state) for _ in range(counts[1])]
        kept = [next(state) for _ in range(momenta)]
        total, rate, x, y = state
        loss, found = _gradients(step, leaves, buffers, x, y)
        total.add_(loss)
        _update(step, leaves, found, kept, rate)
        return ()

    try:
        with SmallConvolutionsAsProducts():
            return make_fx(whole, tracing_mode="fake")(*arguments(step), inputs, targets)
    except Exception as error:
        raise NotCompiled(f"it can't be traced ({first_line(error)})") from error


def arguments(step: Step) -> list[Tensor]:
    """Every tensor that a step reads and changes, but for the batch."""
    parameters = [p.detach() for p in step.parameters.values()]
    return [*parameters, *step.buffers.values(), *_momenta(step), step.total_loss, step.rate]


def compiled_step(step: Step, graph: torch.fx.GraphModule, inputs: Tensor, targets: Tensor) -> OnBatch:
    """The traced step compiled to C++. Raises `NotCompiled` where the compiler fails."""
    # Loading the compiler takes a second, which a run without it need not spend.
    from torch import _inductor as inductor

    kept = arguments(step)
    try:
        compiled = inductor.compile(graph, [*kept, inputs, targets])
    except Exception as error:
        raise NotCompiled(f"the compiler failed ({first_line(error)})") from error

    def take(x: Tensor, y: Tensor) -> None:
        compiled(*kept, x, y)

    return take


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


# ------------------------------------------------------------------------------ the model, on a GPU


def compiled_gradients(step: Step) -> OnBatch:
    """`Step.gradients` with the model, forward and backward, as torch's compiler makes it on its first call.

    What a layer drops is drawn as it is without the compiler. A call raises what torch raises where the
    compiler fails.
    """
    # The compiler takes the fastest of several orders of a sum, by its clock, unless it may not: a run that
    # goes on would end with other digits.
    options: dict[str, Any] = {"fallback_random": True, "deterministic": True}
    model = torch.compile(step.model, fullgraph=True, dynamic=False, options=options)

    def give(x: Tensor, y: Tensor) -> None:
        step.gradients(x, y, forward=model)

    return give


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
