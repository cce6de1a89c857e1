"""Which parameters are trained, at which rate, and which of them decay."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from archdsl.compiler import Network
from archdsl.layers import normalisation
from archdsl.recipes.optimizers import SGD
from archdsl.recipes.recipe import Recipe
from archdsl.training.folder import TrainingError

FUSED = {"SGD", "Adam", "AdamW", "Adagrad"}
"""The optimizers that torch has in one kernel for all parameters, on a CPU too."""


def freeze(model: nn.Module, recipe: Recipe) -> None:
    """Leave the parts of rate 0 as they are: their weights, and the running statistics in them.

    To be called again after `model.train()`, which sets every layer to work.
    """
    for name, module in model.named_modules():
        if recipe.part_of(name, "rate") == 0:
            module.eval()
            module.requires_grad_(False)


def groups(model: nn.Module, network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """The trained parameters in groups of one rate and one decay, as `torch.optim` takes them.

    `rate` is a group's factor of the learning rate, `names` are its parameters' names.
    """
    normalisations = {
        node.name for node in network.nodes if type(node.layer).__module__ == normalisation.__name__
    }
    decay: float = getattr(recipe.optimizer, "weight_decay", 0.0)
    spared = getattr(recipe.optimizer, "decay", "all") == "weights"
    found: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        layer, _, own = name.rpartition(".")
        factor = recipe.part_of(layer, "rate")
        factor = 1.0 if factor is None else factor
        decays = 0.0 if spared and (own == "bias" or layer in normalisations) else decay
        group = found.setdefault((factor, decays), {"params": [], "names": [], "rate": factor})
        group["params"].append(parameter)
        group["names"].append(name)
        if hasattr(recipe.optimizer, "weight_decay"):
            group["weight_decay"] = decays
    return list(found.values())


def optimizer(
    model: nn.Module, network: Network, recipe: Recipe, sharded: bool = False
) -> torch.optim.Optimizer:
    """The recipe's optimizer over the trained parameters."""
    # Not every such kernel takes parameters that are split over devices.
    options = {"fused": True} if recipe.optimizer.torch_name in FUSED and not sharded else {}
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError("there is nothing to train: every part that learns has the rate 0")
    made: torch.optim.Optimizer = recipe.optimizer.build(
        _AsWritten(), groups(model, network, recipe), **options
    )
    if isinstance(recipe.optimizer, SGD) and recipe.optimizer.momentum and not recipe.optimizer.dampening:
        # From zeros the first step is that of torch, which begins with the gradient itself; the compiled
        # step needs the tensors to be there.
        for group in made.param_groups:
            for parameter in group["params"]:
                made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return made


class _AsWritten:
    """torch.optim, but that its optimizers don't load torch's compiler.

    Torch (2.13) wraps methods of optimizers so that, when first called, they load all of its compiler to tell
    it that they are not to be compiled. That takes longer than to load torch, and here nothing is compiled
    around an optimizer. So these have their methods as they were written.
    """

    def __getattr__(self, name: str) -> type[torch.optim.Optimizer]:
        plain = getattr(torch.optim, name)
        wrapped = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
        methods: dict[str, Any] = {method: inspect.unwrap(getattr(plain, method)) for method in wrapped}
        return type(name, (plain,), {**methods, "step": torch.no_grad()(inspect.unwrap(plain.step))})
