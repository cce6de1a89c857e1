"""The input that most excites a unit, by climbing from noise.

x* = argmax h(x) - SMOOTH R(x) / R, with |x - m| <= rho and every number of x within the inputs' limits.

Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network", University of
Montreal 2009, Section 3.2, hold x back by its norm alone. h is the unit before a function that only squashes
it, in standard deviations over test examples; m is the mean training input of each channel, and rho the norm,
less m, of what the unit reads of the test example that excites it most: so the stimulus is no stronger than
an example. The roughness R is the total variation of Mahendran and Vedaldi (CVPR 2015, Section 2), as a share
of its mean over training inputs; without it what hardly matters to the unit stays as grain.

Steps go along the slope, all of a length that falls to 0 along a cosine; after each the constraints are met
again. Several starts are tried, and the best is kept. A start at which the unit has no slope, as where no
relu before it is above 0, is replaced by an example that excites it; of this climb the highest point counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, cos, pi
from typing import Any

import torch
from torch import Tensor

from archdsl.analysis import Analysis, analyse
from archdsl.compiler import Wire
from archdsl.looking.examples import Best, at, best_examples, over_examples, part, reads
from archdsl.looking.roughness import total_variation
from archdsl.looking.subject import MOST_EXAMPLES, Seen, Subject
from archdsl.looking.units import Unit
from archdsl.looking.work import at_once, bounded
from archdsl.progress import Progress, Told, untold

STEPS = 200
STARTS = 4
SMOOTH = 0.3
"""How much roughness counts: so many standard deviations for that of an example."""
LENGTH = 0.2
"""The length of the first step, as a share of the largest norm."""


@dataclass(frozen=True, slots=True)
class Stimulus:
    """What most excites a unit.

    `excitation` is the unit's value, `mean` and `deviation` what it is over test examples, and `best` the
    example that excites it most, anywhere on its map unless its place was named. The deviation is None where
    all examples are one to the unit. `read` is what the unit reads of an input, along each of its spatial
    axes; all of it where it is None.
    """

    unit: Unit
    state: str
    input: Tensor
    read: tuple[slice, ...] | None
    excitation: float
    mean: float
    deviation: float | None
    best: Best

    def to_dict(self) -> dict[str, Any]:
        return {
            "unit": str(self.unit),
            "state": self.state,
            "excitation": self.excitation,
            "mean": self.mean,
            "deviation": self.deviation,
            "best_example": None if self.deviation is None else self.best.to_dict(),
        }

    def deviations(self, excitation: float) -> float | None:
        """A value of the unit in standard deviations above its mean over test examples, where it has any."""
        return None if self.deviation is None else (excitation - self.mean) / self.deviation

    @property
    def rose(self) -> bool:
        """Whether the search came above the best example; of a unit that answers to none it can't be said."""
        return self.deviation is None or self.excitation > self.best.excitation


def stimuli(
    subject: Subject,
    units: Sequence[Unit],
    seed: int = 0,
    steps: int = STEPS,
    smooth: float = SMOOTH,
    told: Told = untold,
) -> dict[str, list[Stimulus]]:
    """For each of the subject's states the stimulus of each unit; `told` hears how far it is.

    Raises `Unseen` where it would take too long.
    """
    analysis = analyse(subject.network)
    tries = STARTS * len(units) * len(subject.states)
    bounded(f"{len(units)} stimuli", analysis, 3 * steps * tries + MOST_EXAMPLES)
    # Those of one value climb together.
    together: dict[Wire, list[Unit]] = {}
    for unit in units:
        together.setdefault(unit.excited, []).append(unit)
    step = max(1, at_once(analysis) // STARTS)
    searches = sum(ceil(len(some) / step) for some in together.values())
    progress = Progress(len(subject.states) * searches * steps, told)
    found: dict[str, list[Stimulus]] = {}
    for state in subject.states:
        made: dict[Unit, Stimulus] = {}
        for wire, some in together.items():
            seen = subject.seen([wire], state)
            for start in range(0, len(some), step):
                climb = _Climb(subject, analysis, seen, some[start : start + step], smooth)
                made.update({one.unit: one for one in climb.found(state, seed, steps, progress)})
        found[state] = [made[unit] for unit in units]
    return found


class _Climb:
    """The search for the stimuli of some units of one value, all at once: `STARTS` inputs for each."""

    def __init__(
        self, subject: Subject, analysis: Analysis, seen: Seen, units: list[Unit], smooth: float
    ) -> None:
        self._subject, self._seen, self._units, self._smooth = subject, seen, units, smooth
        self._over = over_examples(subject, analysis, seen, [unit.channel for unit in units])
        own = [at(self._over[:, k], unit.middle) for k, unit in enumerate(units)]
        self._means = [one.mean().item() for one in own]
        self._deviations = [_deviation(one) for one in own]
        self._read = [reads(subject, analysis, unit, unit.middle) for unit in units]
        self._best = [best_examples(subject, self._over[:, k], unit, 1)[0] for k, unit in enumerate(units)]
        inputs = subject.training_inputs
        self._natural = total_variation(inputs).mean().clamp_min(1e-12)
        self._mean = inputs.mean([0, *range(2, inputs.dim())], keepdim=True)
        parts = [
            part(best.input - self._mean[0], reads(subject, analysis, unit, best.place))
            for unit, best in zip(units, self._best, strict=True)
        ]
        norms = torch.stack([torch.linalg.vector_norm(one) for one in parts])
        self._norms = norms.repeat_interleave(STARTS).reshape(-1, *[1] * len(subject.shape))

    def found(self, state: str, seed: int, steps: int, progress: Progress) -> list[Stimulus]:
        x, replaced = self._moving(self._starts(seed))
        highest, top = x.clone(), torch.full((len(x),), -torch.inf, device=x.device)
        for step in range(steps):
            x.requires_grad_()
            height = self._height(x)
            (slope,) = torch.autograd.grad(height.sum(), x)
            x = x.detach()
            higher = height.detach() > top
            highest[higher], top[higher] = x[higher], height.detach()[higher]
            length = LENGTH * (1 + cos(pi * step / steps)) / 2 * self._norms
            x = self._met(x + length * slope / _sizes(slope).clamp_min(1e-30))
            progress.went()
        with torch.no_grad():
            # Elsewhere the last point is as good as the highest.
            fell = replaced & (self._height(x) < top)
            x[fell] = highest[fell]
            best = self._height(x).reshape(-1, STARTS).argmax(1)
            chosen = x.reshape(-1, STARTS, *x.shape[1:])[torch.arange(len(best)), best]
            values = self._seen(chosen)[0]
        made = []
        for k, unit in enumerate(self._units):
            excitation = values[(k, unit.channel, *unit.middle)].item()
            mean, deviation = self._means[k], self._deviations[k]
            made.append(
                Stimulus(unit, state, chosen[k], self._read[k], excitation, mean, deviation, self._best[k])
            )
        return made

    def _height(self, x: Tensor) -> Tensor:
        """What each input is climbed by: its unit, in standard deviations, less its roughness."""
        return self._own(x) - self._smooth * total_variation(x) / self._natural

    def _own(self, x: Tensor) -> Tensor:
        """The unit of each input, in standard deviations; as it is where it has none."""
        values = torch.unflatten(self._seen(x)[0], 0, (-1, STARTS))
        own = [at(values[k, :, unit.channel], unit.middle) for k, unit in enumerate(self._units)]
        return torch.cat([one / (wide or 1.0) for one, wide in zip(own, self._deviations, strict=True)])

    def _starts(self, seed: int) -> Tensor:
        """Noise of a tenth of the norm around the mean input, where the unit reads it."""
        drawn = torch.randn(STARTS, *self._subject.shape, generator=torch.Generator().manual_seed(seed))
        noise = drawn.new_zeros(len(self._units), *drawn.shape)
        for one, read in zip(noise, self._read, strict=True):
            # What is not read stays as it is, and takes no part of the norm.
            part(one, read).copy_(part(drawn, read))
        noise = noise.flatten(0, 1).to(self._mean.device)
        return self._met(self._mean + 0.1 * self._norms * noise / _sizes(noise))

    def _moving(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The starts, those without a slope replaced by what is read of examples, and which these are."""
        (slope,) = torch.autograd.grad(self._own(x.requires_grad_()).sum(), x)
        x, still = x.detach(), _sizes(slope).flatten() == 0
        for k, unit in enumerate(self._units):
            if not still[k * STARTS : (k + 1) * STARTS].any():
                continue
            placed = replace(unit, place=unit.middle)
            examples = best_examples(self._subject, self._over[:, k], placed, STARTS)
            for start in range(STARTS):
                if still[k * STARTS + start]:
                    example = self._mean[0].expand(self._subject.shape).clone()
                    read = part(examples[start % len(examples)].input, self._read[k])
                    part(example, self._read[k]).copy_(read)
                    x[k * STARTS + start] = example
        return torch.where(still.reshape(-1, *[1] * (x.dim() - 1)), self._met(x), x), still

    def _met(self, x: Tensor) -> Tensor:
        """The inputs moved to where they meet the constraints: into the ball, then between the limits."""
        apart = x - self._mean
        low, high = self._subject.limits
        shrunk = apart * (self._norms / _sizes(apart).clamp_min(1e-30)).clamp_max(1)
        return torch.clamp(self._mean + shrunk, low, high)


def _deviation(values: Tensor) -> float | None:
    """The standard deviation of a unit over examples; None where they differ by rounding alone."""
    found: float = values.std(correction=0).item()
    return found if found > 1e-6 * values.abs().max().item() else None


def _sizes(x: Tensor) -> Tensor:
    """The norm of each of some inputs, to go with them."""
    found: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return found.reshape(-1, *[1] * (x.dim() - 1))
