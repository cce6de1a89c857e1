"""Losses: what training makes small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from archdsl.layers.arguments import Kind, argument, rate
from archdsl.recipes.data import Target
from archdsl.recipes.word import Word

output_name = Kind("the name of an output", lambda value: value, role="output")


def _of_64_bits(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(2**63) <= value < 2**63 else None


target_number = Kind("a whole number of 64 bits", _of_64_bits)


class Loss(Word, family="loss"):
    """The base of every loss, each a mean over the targets that count: the examples, or their positions."""

    family_first: ClassVar[bool] = True

    of: str | None = argument(output_name, "the output it judges, where the network has several", None)
    applies: ClassVar[str | None] = None
    """The layer that the loss applies itself, so that a network should not end in it.

    Such a loss takes scores of any size and sign.
    """

    outputs: Callable[[Target], tuple[tuple[int, ...], ...]]
    """The shapes of an output that the loss can hold against a target; none where it can't."""

    loss: Callable[[Any, Any, Any], Any]
    """Given `torch.nn.functional`, an output and its target: the loss, without axes."""

    def counted(self, target: Any) -> Any:
        """Which targets count, as a mask; None where all do."""
        return None

    def unlearnt(self, scores: int) -> int | None:
        """Which of so many scores is of no class; None where each is of one."""
        return None


class CrossEntropy(Loss):
    """The negative natural logarithm of the softmax at the example's class (Prince 2023, Section 5.5).

    Of a map with scores at every position, the mean over positions: per-pixel cross-entropy.
    `label_smoothing` spreads a share of each target evenly over the classes (Szegedy et al., 2016,
    Section 7). Targets of the number `ignore` are left out: it is no class,
    and may be any whole number, such as 255 or -100. Scores are counted as targets are.
    """

    label_smoothing: float = argument(rate, "the share of a target that is spread over all classes", 0.0)
    ignore: int | None = argument(target_number, "a number of targets that are of no class", None)
    applies = "softmax"

    def outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        if target.classes is None:
            return ()
        # There may be a score for the number that is no class, which nothing is learnt from.
        spare = [target.classes + 1] if target.ignored == target.classes else []
        return tuple((scores, *target.shape) for scores in (target.classes, *spare))

    def loss(self, F: Any, output: Any, target: Any) -> Any:
        if self.ignore is None:
            return F.cross_entropy(output, target, label_smoothing=self.label_smoothing)
        summed = F.cross_entropy(
            output, target, label_smoothing=self.label_smoothing, ignore_index=self.ignore, reduction="sum"
        )
        # Where no target counts the loss is 0, and not 0 by 0.
        return summed / self.counted(target).sum().clamp(min=1)

    def counted(self, target: Any) -> Any:
        return None if self.ignore is None else target != self.ignore

    def unlearnt(self, scores: int) -> int | None:
        return self.ignore if self.ignore is not None and 0 <= self.ignore < scores else None


class BinaryCrossEntropy(Loss):
    """The negative natural logarithm of the sigmoid, or of what it leaves of 1 (Prince 2023, Section 5.4).

    Targets are values from 0 to 1 in the output's shape, or one of two classes for an output `[1]`.
    """

    applies = "sigmoid"

    def outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        if target.classes is None:
            return (target.shape,)
        return ((1, *target.shape),) if target.classes == 2 else ()

    def loss(self, F: Any, output: Any, target: Any) -> Any:
        return F.binary_cross_entropy_with_logits(output, target.reshape(output.shape).to(output.dtype))


class MeanSquaredError(Loss):
    """The mean of the squared differences, in the square of the targets' unit (Prince 2023, Section 5.3)."""

    def outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        return (target.shape,) if target.classes is None else ()

    def loss(self, F: Any, output: Any, target: Any) -> Any:
        return F.mse_loss(output, target)


class MeanAbsoluteError(Loss):
    """The mean of the absolute differences, in the targets' unit."""

    def outputs(self, target: Target) -> tuple[tuple[int, ...], ...]:
        return (target.shape,) if target.classes is None else ()

    def loss(self, F: Any, output: Any, target: Any) -> Any:
        return F.l1_loss(output, target)
