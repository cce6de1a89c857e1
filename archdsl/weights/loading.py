"""Weights of a file put into a network's module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from archdsl.compiler import Network
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.lowering.build import build
from archdsl.problems import Fault, nearest
from archdsl.problems.pretrained import BadWeights, SeveralSetsOfWeights, Way, asked_by
from archdsl.problems.recipes import NothingToLearn, UnknownPart
from archdsl.recipes.compatibility import parts_of
from archdsl.weights.archive import State, given_state, read_state
from archdsl.weights.matching import Matching, match
from archdsl.weights.modules import COUNTER, layers_of


def built(
    network: Network,
    weights: str | Mapping[str, Tensor],
    ignored: Sequence[str] = (),
    only: str | None = None,
    fresh: Sequence[str] = (),
    way: Way = "python",
) -> tuple[nn.Module, Matching]:
    """A network's module with the weights of a file, and how they were matched.

    The parts of the network that are `fresh` begin without them. Raises `ArchError`.
    """
    model = build(network)
    try:
        wanted = _all_but(network, fresh)
        state = read_state(weights) if isinstance(weights, str) else given_state(weights)
        return model, load_weights(model, network, state, ignored, only, wanted)
    except Fault as fault:
        raise ArchError([Diagnostic.of(asked_by(fault.problem, way), network.place)]) from None


def _all_but(network: Network, parts: Sequence[str]) -> set[str]:
    """The layers of a network that are in none of some of its parts, which are named as recipes name them."""
    there = parts_of(network)
    learning = {layer.name for layer in layers_of(network)}
    for part in parts:
        if part not in there:
            raise Fault(UnknownPart(part, nearest(part, there)))
        if not there[part] & learning:
            raise Fault(NothingToLearn(part))
    return {node.name for node in network.nodes}.difference(*(there[part] for part in parts))


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
    if state.sets and not any(f"{only}.".startswith(f"{one}.") for one in state.sets):
        raise Fault(SeveralSetsOfWeights(state.path, state.sets))
    layers = layers_of(network, wanted)
    asked = {layer.name for layer in layers}
    others = [layer for layer in layers_of(network) if layer.name not in asked]
    found = match(layers, state.shapes(), state.ordered, ignored, only, others, state.same)
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
            tensor = state.tensors[its]
            if one.turned:
                tensor = tensor.reshape(*into.shape[1:], into.shape[0]).movedim(-1, 0)
            into.copy_(tensor.reshape(into.shape))
        counter = state.tensors.get(f"{one.module}.{COUNTER}")
        ours = own.get(f"{one.layer}.{COUNTER}")
        if counter is not None and ours is not None and counter.numel() == 1:
            ours.copy_(counter.reshape(()))
