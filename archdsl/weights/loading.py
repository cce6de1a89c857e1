"""Weights of a file put into a network's module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from archdsl.compiler import Network
from archdsl.problems import Fault
from archdsl.problems.pretrained import BadWeights
from archdsl.weights.archive import State
from archdsl.weights.matching import COUNTER, Matching, layers_of, match


def load_weights(
    model: nn.Module,
    network: Network,
    state: State,
    ignored: Sequence[str] = (),
    only: str | None = None,
    wanted: Iterable[str] | None = None,
) -> Matching:
    """Put the weights and statistics of a file into `model`, which was built from `network`.

    Of the layers only the `wanted` ones, if they are named; `ignored` are prefixes of the file to leave out,
    `only` is one to take from alone. Raises `Fault`, with the model as it was, where the file does not fit.
    """
    found = match(layers_of(network, wanted), state.shapes(), state.ordered, ignored, only)
    for one in found.matches:
        for its in one.tensors.values():
            tensor = state.tensors[its]
            if not tensor.is_floating_point():
                kind = str(tensor.dtype).removeprefix("torch.")
                raise Fault(BadWeights(state.path, f"has {kind} numbers in `{its}`, and weights are real"))
            if not tensor.float().isfinite().all():
                reason = f"has values in `{its}` that are infinite or no numbers"
                raise Fault(BadWeights(state.path, reason))
    _copy(model, state, found)
    return found


@torch.no_grad()
def _copy(model: nn.Module, state: State, found: Matching) -> None:
    own: dict[str, Tensor] = model.state_dict()
    for one in found.matches:
        for name, its in one.tensors.items():
            into = own[f"{one.layer}.{name}"]
            into.copy_(state.tensors[its].reshape(into.shape))
        counter = state.tensors.get(f"{one.module}.{COUNTER}")
        if counter is not None:
            own[f"{one.layer}.{COUNTER}"].copy_(counter)
