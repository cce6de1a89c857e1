"""Where numbers end: the layer of a network whose values are the first that are none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archdsl.training.step import Step
from archdsl.training.transforming import Mixed


def first_without_number(
    step: Step, inputs: Tensor, targets: Tensor, mixed: Mixed | None = None
) -> str | None:
    """Take a step; where its loss is infinite or no number, the layer where that begins.

    It begins in the weights that the step before left, or in what a layer computes.
    """
    found: list[str] = []

    def look(name: str) -> Any:
        def hook(module: nn.Module, given: Any, result: Any) -> None:
            values = result if isinstance(result, tuple) else (result,)
            if not found and not all(torch.isfinite(v).all() for v in values if v.is_floating_point()):
                spoilt = [n for n, p in module.named_parameters(recurse=False) if not torch.isfinite(p).all()]
                found.append(f"the {' and '.join(spoilt)} of {name}" if spoilt else name)

        return hook

    leaves = [(name, module) for name, module in step.model.named_modules() if not list(module.children())]
    hooks = [module.register_forward_hook(look(name)) for name, module in leaves]
    try:
        step.total_loss.zero_()
        # Of a compiled or recorded step the layers see nothing.
        step.as_it_is(inputs, targets, mixed)
    finally:
        for hook in hooks:
            hook.remove()
    if torch.isfinite(step.total_loss):
        return None
    return found[0] if found else "the loss"
