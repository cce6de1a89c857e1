"""The input whose representation in a layer is that of a given one: what the layer still tells of it.

x* = argmin |f(x) - f(x0)|² / |f(x0)|² + SIZE R_alpha(x - m) / R_alpha + SMOOTH R_V(x) / R_V

Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015, Section 2,
with alpha = 6 and beta = 2: the alpha-norm keeps numbers in bounds, the total variation lets neighbours be
alike. Both count here as shares of what they are for training inputs, whose mean for each channel is m, so
that no weight depends on the data; and x stays within the inputs' limits. The descent begins with noise and
goes by the steps of Adam (Kingma and Ba 2015, Algorithm 1), whose length falls to 0 along a cosine. Several
are tried, and the one that ends lowest is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import torch
from torch import Tensor

from archdsl.analysis import analyse
from archdsl.compiler import Network, Scope, Wire
from archdsl.looking.roughness import alpha_norm, total_variation
from archdsl.looking.subject import Given, Subject
from archdsl.looking.units import named
from archdsl.looking.work import bounded
from archdsl.progress import Progress, Told, untold
from archdsl.training.examples import spread

STEPS = 400
STARTS = 4
SIZE = 1e-3
"""How much the alpha-norm of an example counts, against a representation that is wholly wrong."""
SMOOTH = 1e-2
"""How much the roughness of an example counts."""
LENGTH = 0.05
"""The length of the first step, as a share of what lies between the inputs' limits."""
MOST_LAYERS = 7
"""How many layers are inverted where none is named."""


@dataclass(frozen=True, slots=True)
class Inversion:
    """What a layer still tells of an input.

    `error` is how far its representation is from that of the given input, as a share of the latter's norm,
    and `apart` how far it is itself, as a share of how far the given one is from the mean input. `said` is
    what the network makes of it: a class and its share, where it gives scores of classes.
    """

    wire: Wire
    state: str
    input: Tensor
    error: float
    apart: float
    said: tuple[int, float] | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "layer": named(self.wire),
            "state": self.state,
            "error": self.error,
            "apart": self.apart,
            "class": None if self.said is None else self.said[0],
            "share": None if self.said is None else self.said[1],
        }


def inversions(
    subject: Subject,
    wires: Sequence[Wire],
    given: Given,
    seed: int = 0,
    steps: int = STEPS,
    smooth: float = SMOOTH,
    told: Told = untold,
) -> dict[str, list[Inversion]]:
    """For each of the subject's states the inversion of each layer; `told` hears how far it is.

    Raises `Unseen` where it would take too long.
    """
    bounded("inversions", analyse(subject.network), 3 * steps * STARTS * len(wires) * len(subject.states))
    progress = Progress(len(subject.states) * len(wires) * steps, told)
    return {
        state: [_inverted(subject, wire, given, state, seed, steps, smooth, progress) for wire in wires]
        for state in subject.states
    }


def layers_of(network: Network) -> list[Wire]:
    """Layers and labels along the network, some of many; the last is the output."""
    found: dict[Wire, None] = {}
    for member in network.scope.members:
        if isinstance(member, Scope):
            found.update(dict.fromkeys(member.outputs[:1]))
        elif member.inputs and member.kind != "flatten":
            found[Wire(member)] = None
    wires = list(found)
    kept = spread(len(wires), MOST_LAYERS)
    return [wires[len(wires) - 1 - k] for k in reversed(kept)]


def _inverted(
    subject: Subject,
    wire: Wire,
    given: Given,
    state: str,
    seed: int,
    steps: int,
    smooth: float,
    progress: Progress,
) -> Inversion:
    seen = subject.seen([wire], state)
    inputs = subject.training_inputs
    low, high = subject.limits
    mean = inputs.mean([0, *range(2, inputs.dim())], keepdim=True)
    rough = total_variation(inputs).mean().clamp_min(1e-12)
    large = alpha_norm(inputs - mean).mean().clamp_min(1e-12)
    with torch.no_grad():
        meant = seen(given.input)[0]
    whole = meant.square().sum().clamp_min(1e-12)
    noise = torch.randn(STARTS, *given.input.shape[1:], generator=torch.Generator().manual_seed(seed))
    wide = high - low
    x = (mean + 0.1 * wide * noise.to(mean.device)).clamp(low, high)

    def loss(x: Tensor) -> Tensor:
        error = (seen(x)[0] - meant).square().flatten(1).sum(1) / whole
        return error + SIZE * alpha_norm(x - mean) / large + smooth * total_variation(x) / rough

    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(steps):
        x.requires_grad_()
        (slope,) = torch.autograd.grad(loss(x).sum(), x)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square()
        along = first / (1 - 0.9 ** (step + 1)) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        length = LENGTH * wide * (1 + cos(pi * step / steps)) / 2
        x = (x.detach() - length * along).clamp(low, high)
        progress.went()
    with torch.no_grad():
        found = x[loss(x).argmin()][None]
        error = (seen(found)[0] - meant).norm() / whole.sqrt()
    apart = (found - given.input).norm() / (given.input - mean).norm().clamp_min(1e-12)
    return Inversion(wire, state, found[0], error.item(), apart.item(), subject.says(found, state))
