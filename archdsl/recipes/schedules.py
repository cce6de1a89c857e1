"""Schedules: the learning rate over the steps, as a factor of the optimizer's own rate.

A schedule is a chain of pieces, such as `warm_up(epochs=5) -> cosine`. Each lasts as many steps or
epochs as it says; the last one lasts to the end. Each is a factor of the optimizer's rate by itself, whatever
the one before it ended with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from archdsl.layers.arguments import (
    Kind,
    argument,
    choice,
    fraction,
    non_negative_number,
    positive,
    positive_number,
)
from archdsl.problems import Fault
from archdsl.problems.recipes import ConflictingSettings, StepNeedsPlaces
from archdsl.recipes.word import Word


class Moment(NamedTuple):
    """A step of a piece: how many of the piece's steps are done, of how many; an epoch's steps; and how
    often a measurement has made a reactive schedule lower the rate."""

    done: int
    length: int
    per_epoch: int
    drops: int = 0

    @property
    def share(self) -> float:
        """How much of the piece is done, from 0 up to 1."""
        return self.done / self.length


def _rising(value: Any) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    checked = tuple(non_negative_number.check(one) for one in values)
    rising = checked and None not in checked and list(checked) == sorted(set(checked))
    return checked if rising else None


places = Kind("a number of at least 0, or a rising list of them, as in `[30, 60, 90]`", _rising)


class Schedule(Word, family="schedule"):
    """The base of every piece of a schedule."""

    reactive: ClassVar[bool] = False
    """Whether it answers to measurements, and not to the steps alone."""

    steps: int | None = argument(positive, "how many steps the piece lasts; the last, to the end", None)
    epochs: float | None = argument(positive_number, "as `steps`, in epochs", None)

    def check(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise Fault(ConflictingSettings("steps", "epochs", self.word), "epochs")

    def lasts(self, per_epoch: int) -> int | None:
        """How many steps it says it lasts."""
        if self.epochs is not None:
            return max(1, round(self.epochs * per_epoch))
        return self.steps

    factor: Callable[[Moment], float]
    """The factor of the learning rate at a moment."""


class Constant(Schedule):
    """The same rate at every step, `times` the optimizer's."""

    times: float = argument(positive_number, "factor of the optimizer's rate", 1.0)

    def factor(self, at: Moment) -> float:
        return self.times


class WarmUp(Schedule):
    """A rate that rises in a line from `start` of the optimizer's to the whole (Goyal et al., 2017, 2.2)."""

    start: float = argument(fraction, "factor before the first step", 0.0)

    def factor(self, at: Moment) -> float:
        return self.start + (1 - self.start) * (at.done + 1) / at.length


class Step(Schedule):
    """A rate that is multiplied by `by` after every so many epochs, or at certain ones.

    `step(30)` divides by ten every 30 epochs, `step(at=[30, 60, 80])` three times; with `unit=steps`
    the numbers are steps.
    """

    every: float | None = argument(positive_number, "epochs from one fall to the next", None)
    at: tuple[float, ...] | None = argument(places, "the epochs at whose end the rate falls", None)
    by: float = argument(positive_number, "what the rate is multiplied by", 0.1)
    unit: str = argument(choice("epochs", "steps"), "what `every` and `at` count", "epochs")

    def check(self) -> None:
        super().check()
        if (self.every is None) == (self.at is None):
            raise Fault(StepNeedsPlaces(), "at" if self.at is not None else None)

    def factor(self, at: Moment) -> float:
        done = at.done if self.unit == "steps" else at.done / at.per_epoch
        if self.at is None:
            assert self.every is not None
            return _power(self.by, done // self.every)
        return _power(self.by, sum(place <= done for place in self.at))


class Exponential(Schedule):
    """A rate that is multiplied by `by` over each epoch, a little at every step."""

    by: float = argument(positive_number, "what the rate is multiplied by over an epoch")

    def factor(self, at: Moment) -> float:
        return _power(self.by, at.done / at.per_epoch)


class Cosine(Schedule):
    """A rate that falls along half a cosine to `end` (Loshchilov and Hutter, SGDR, 2017, Equation 5)."""

    end: float = argument(fraction, "factor at the end", 0.0)

    def factor(self, at: Moment) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * at.share)) / 2


class Polynomial(Schedule):
    """A rate that falls to `end` as a power of the share that is left; in a line with the power 1."""

    power: float = argument(positive_number, "the power", 1.0)
    end: float = argument(fraction, "factor at the end", 0.0)

    def factor(self, at: Moment) -> float:
        return float(self.end + (1 - self.end) * (1 - at.share) ** self.power)


class OneCycle(Schedule):
    """A rate that rises along a cosine from `start` to the optimizer's, and falls along another to `end`.

    Smith and Topin, "Super-Convergence", 2018, with the cosines that torch's `OneCycleLR` has.
    """

    rise: float = argument(fraction, "the share of the steps in which it rises", 0.3)
    start: float = argument(fraction, "factor at the first step", 0.04)
    end: float = argument(fraction, "factor at the last step", 4e-6)

    def factor(self, at: Moment) -> float:
        # As torch has it, the step of the highest rate is `rise` of all of them, less one.
        turn, last = self.rise * at.length - 1, at.length - 1
        if at.done <= turn:
            return _between(self.start, 1.0, at.done / turn if turn else 1.0)
        return _between(1.0, self.end, (at.done - turn) / (last - turn))


class Plateau(Schedule):
    """A rate that is multiplied by `by` when `patience` measurements in a row bring no better error.

    The error is the first metric on the test examples. As AlexNet and VGG were trained, but by hand.
    """

    reactive: ClassVar[bool] = True

    by: float = argument(positive_number, "what the rate is multiplied by", 0.1)
    patience: int = argument(positive, "measurements without a better one until the rate falls", 10)
    falls: int | None = argument(positive, "how often it falls at most", None)

    def factor(self, at: Moment) -> float:
        return _power(self.by, at.drops if self.falls is None else min(at.drops, self.falls))


def _power(by: float, times: float) -> float:
    """A factor so many times over; infinite where there is no number for it."""
    try:
        return float(by**times)
    except OverflowError:
        return math.inf


def _between(begin: float, end: float, share: float) -> float:
    """From `begin` to `end` along half a cosine."""
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


def begins(pieces: tuple[Schedule, ...], per_epoch: int) -> list[int]:
    """The step, counted from 0, at which each piece begins."""
    return [sum(piece.lasts(per_epoch) or 1 for piece in pieces[:i]) for i in range(len(pieces))]


def rate_factor(pieces: tuple[Schedule, ...], step: int, steps: int, per_epoch: int, drops: int = 0) -> float:
    """The factor of the learning rate at a step, counted from 0, of so many."""
    begun = 0
    for piece in pieces[:-1]:
        length = piece.lasts(per_epoch) or 1
        if step < begun + length:
            return piece.factor(Moment(step - begun, length, per_epoch, drops))
        begun += length
    if not pieces:
        return 1.0
    return pieces[-1].factor(Moment(step - begun, max(steps - begun, 1), per_epoch, drops))
