"""Optimizers: how gradients change the weights. They are torch's own, and so are their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from archdsl.layers.arguments import (
    Kind,
    argument,
    boolean,
    choice,
    non_negative_number,
    number,
    positive_number,
    rate,
)
from archdsl.problems import Fault
from archdsl.problems.recipes import NesterovWithoutMomentum
from archdsl.recipes.word import Word


def _two(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check_both(value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != 2:
            return None
        both = tuple(check(one) for one in value)
        return None if None in both else both

    return check_both


two_rates = Kind("two numbers from 0 up to, but not including, 1, as in `[0.9, 0.999]`", _two(rate.check))
_two_factors = _two(positive_number.check)


def _rising(value: Any) -> Any:
    checked = _two_factors(value)
    return checked if checked and checked[0] <= checked[1] else None


def _around_one(value: Any) -> Any:
    checked = _two_factors(value)
    return checked if checked and checked[0] < 1 < checked[1] else None


two_rising = Kind("two rising numbers above 0, as in `[1e-6, 50]`", _rising)
two_etas = Kind("a number below 1 and one above, as in `[0.5, 1.2]`", _around_one)


class Optimizer(Word, family="optimizer"):
    """The base of every optimizer."""

    torch_name: ClassVar[str]
    """The class in `torch.optim`."""
    states: ClassVar[int]
    """How many numbers it keeps for each trained number."""
    splits: ClassVar[bool] = True
    """Whether it can work on weights that are split over devices."""
    lr: float

    def __init_subclass__(cls, torch: str = "", states: int = 0, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.torch_name = torch
        cls.states = states

    def build(self, optim: Any, groups: Any, **options: Any) -> Any:
        """Given `torch.optim` and parameter groups: the optimizer."""
        return getattr(optim, self.torch_name)(groups, **self.values, **options)

    def kept(self) -> int:
        """How many numbers it keeps for each trained number, with these arguments."""
        return self.states


class Decaying(Optimizer, abstract=True):
    """The base of the optimizers that let weights decay."""

    weight_decay: float = argument(non_negative_number, "how much of a weight is added to its gradient", 0.0)
    decay: str = argument(
        choice("all", "weights"),
        "what decays: everything, or `weights` alone and neither biases nor normalisations",
        "all",
    )

    def build(self, optim: Any, groups: Any, **options: Any) -> Any:
        given = {name: value for name, value in self.values.items() if name != "decay"}
        return getattr(optim, self.torch_name)(groups, **given, **options)


class SGD(Decaying, torch="SGD"):
    """Stochastic gradient descent, with momentum `m`: `v = m v + (1 - dampening) g`, `w = w - lr v`.

    With `nesterov`, `w = w - lr (g + m v)`. Sutskever et al., "On the importance of initialization and
    momentum in deep learning", ICML 2013, in torch's form of it.
    """

    lr: float = argument(positive_number, "learning rate")
    momentum: float = argument(rate, "how much of the last step is taken again", 0.0)
    nesterov: bool = argument(boolean, "look ahead by the momentum", False)
    dampening: float = argument(rate, "how much the gradient counts less beside the momentum", 0.0)

    def check(self) -> None:
        if self.nesterov and (not self.momentum or self.dampening):
            raise Fault(NesterovWithoutMomentum(), "nesterov")

    def kept(self) -> int:
        return 1 if self.momentum else 0


class Adam(Decaying, torch="Adam", states=2):
    """Steps scaled by running means of the gradient and of its square.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, Algorithm 1.
    """

    lr: float = argument(positive_number, "learning rate", 1e-3)
    betas: tuple[float, float] = argument(two_rates, "how slowly the two means change", (0.9, 0.999))
    eps: float = argument(non_negative_number, "added to the denominator", 1e-8)
    amsgrad: bool = argument(boolean, "divide by the largest mean so far (Reddi et al., 2018)", False)

    def kept(self) -> int:
        return 3 if self.amsgrad else 2


class AdamW(Adam, torch="AdamW", states=2, word="adamw"):
    """Adam with weights that shrink by `lr weight_decay` of themselves, whatever their gradient.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, Algorithm 2.
    """

    weight_decay: float = argument(non_negative_number, "how much of a weight is taken off, times lr", 0.01)


class RMSprop(Decaying, torch="RMSprop", states=1, word="rmsprop"):
    """Steps divided by the root of a running mean of the gradient's square (Hinton's lecture 6e, 2012)."""

    lr: float = argument(positive_number, "learning rate", 0.01)
    alpha: float = argument(rate, "how slowly the mean changes", 0.99)
    eps: float = argument(non_negative_number, "added to the denominator", 1e-8)
    momentum: float = argument(rate, "how much of the last step is taken again", 0.0)
    centered: bool = argument(boolean, "divide by the standard deviation", False)

    def kept(self) -> int:
        return 1 + bool(self.momentum) + self.centered


class Adagrad(Decaying, torch="Adagrad", states=1):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al., JMLR 2011)."""

    lr: float = argument(positive_number, "learning rate", 0.01)
    lr_decay: float = argument(non_negative_number, "how the rate falls with the steps", 0.0)
    initial_accumulator_value: float = argument(non_negative_number, "what the sums begin with", 0.0)
    eps: float = argument(non_negative_number, "added to the denominator", 1e-10)


class Adafactor(Decaying, torch="Adafactor", states=1):
    """Steps scaled by means of the squared gradient over the rows and over the columns of a weight.

    Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018, in torch's
    form of it. Of a matrix it keeps a number a row and a column, of a vector one a number; where memory is
    worked out, it is counted as one a number.
    """

    splits: ClassVar[bool] = False

    lr: float = argument(positive_number, "the largest step, relative to the weight", 0.01)
    beta2_decay: float = argument(number, "the power of the step by which the means slow down", -0.8)
    d: float = argument(positive_number, "the largest root mean square of an update, before the rate", 1.0)
    weight_decay: float = argument(non_negative_number, "how much of a weight is taken off, times lr", 0.0)


class Adadelta(Decaying, torch="Adadelta", states=2):
    """Steps scaled by the ratio of past steps to past gradients (Zeiler, 2012)."""

    lr: float = argument(positive_number, "factor of the step", 1.0)
    rho: float = argument(rate, "how slowly the means change", 0.9)
    eps: float = argument(non_negative_number, "added under the roots", 1e-6)


class Adamax(Decaying, torch="Adamax", states=2):
    """Adam with the largest gradient in place of the mean square (Kingma and Ba, 2015, Section 7.1)."""

    lr: float = argument(positive_number, "learning rate", 2e-3)
    betas: tuple[float, float] = argument(two_rates, "how slowly mean and maximum change", (0.9, 0.999))
    eps: float = argument(non_negative_number, "added to the denominator", 1e-8)


class NAdam(Decaying, torch="NAdam", states=2, word="nadam"):
    """Adam with Nesterov's momentum (Dozat, 2016)."""

    lr: float = argument(positive_number, "learning rate", 2e-3)
    betas: tuple[float, float] = argument(two_rates, "how slowly the two means change", (0.9, 0.999))
    eps: float = argument(non_negative_number, "added to the denominator", 1e-8)
    momentum_decay: float = argument(non_negative_number, "how the momentum grows with the steps", 4e-3)


class RAdam(Decaying, torch="RAdam", states=2, word="radam"):
    """Adam whose first steps are rectified (Liu et al., ICLR 2020)."""

    lr: float = argument(positive_number, "learning rate", 1e-3)
    betas: tuple[float, float] = argument(two_rates, "how slowly the two means change", (0.9, 0.999))
    eps: float = argument(non_negative_number, "added to the denominator", 1e-8)


class ASGD(Decaying, torch="ASGD", states=1, word="asgd"):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992)."""

    lr: float = argument(positive_number, "learning rate", 0.01)
    lambd: float = argument(non_negative_number, "how the weights shrink", 1e-4)
    alpha: float = argument(number, "the power of the rate's fall", 0.75)
    t0: float = argument(non_negative_number, "the step at which averaging begins", 1e6)


class Rprop(Optimizer, torch="Rprop", states=2):
    """Steps by the gradient's sign, which grow while it stays the same (Riedmiller and Braun, 1993)."""

    lr: float = argument(positive_number, "the first step's size", 0.01)
    etas: tuple[float, float] = argument(two_etas, "by how much a step shrinks and grows", (0.5, 1.2))
    step_sizes: tuple[float, float] = argument(two_rising, "the smallest and the largest step", (1e-6, 50.0))
