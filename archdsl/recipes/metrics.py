"""Metrics: what is measured of a network on the training and on the test examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from archdsl.layers.arguments import argument, positive
from archdsl.recipes.data import Target
from archdsl.recipes.word import Word


class Metric(Word, family="metric"):
    """The base of every metric.

    It adds up over batches: `tally` is a batch's sums, `value` what those of all batches come to.
    """

    percent: ClassVar[bool] = True
    """Whether it is a fraction, shown in percent."""
    falls: ClassVar[bool] = True
    """Whether less of it is better."""

    @property
    def title(self) -> str:
        """Its name in tables and files."""
        return self.word

    def fits(self, target: Target, output: tuple[Any, ...]) -> bool:
        """Whether it can judge outputs of a shape against such a target."""
        return target.classes is not None

    def misfit(self, target: Target, output: tuple[Any, ...]) -> str | None:
        """Why it can't judge outputs of a shape against such a target; None where it can."""
        return None if self.fits(target, output) else "does not fit the data"

    tally: Callable[[Any, Any], tuple[Any, ...]]
    """Given a batch's outputs and targets: its sums, as tensors and numbers."""

    def value(self, *sums: Any) -> float:
        """What the sums of all batches come to: the first by the second."""
        total, count = sums
        return float(total) / float(count) if count else 0.0


def _decided(output: Any) -> Any:
    """The class of the highest score; of a single score, whether it is above 0."""
    return output.argmax(1) if output.shape[1] > 1 else (output[:, 0] > 0).long()


class Error(Metric):
    """The fraction of examples, or of their positions, whose highest score is not their class, from 0 to 1.

    Of a single score, whether it is above 0. The top-1 error of Krizhevsky et al., 2012, Section 2.
    """

    def tally(self, output: Any, target: Any) -> tuple[Any, ...]:
        return (_decided(output) != target).sum(), target.numel()


class Accuracy(Metric):
    """The fraction of examples, or of their positions, whose highest score is their class: 1 less `error`."""

    falls: ClassVar[bool] = False

    def tally(self, output: Any, target: Any) -> tuple[Any, ...]:
        return (_decided(output) == target).sum(), target.numel()


class TopError(Metric):
    """The fraction of examples whose class is not among the `k` highest scores, from 0 to 1.

    Krizhevsky et al., 2012, Section 2, with `k` of 5.
    """

    k: int = argument(positive, "how many scores count", 5)

    @property
    def title(self) -> str:
        return f"top_{self.k}_error"

    def misfit(self, target: Target, output: tuple[Any, ...]) -> str | None:
        if target.classes is not None and self.k > output[0]:
            return f"there are {output[0]} scores"
        return super().misfit(target, output)

    def tally(self, output: Any, target: Any) -> tuple[Any, ...]:
        among = (output.topk(self.k, dim=1).indices == target.unsqueeze(1)).any(1)
        return (~among).sum(), target.numel()


class MeanIou(Metric, word="mean_iou"):
    """Intersection over union of the positions of each class, averaged over the classes that occur.

    From 0 to 1; targets that are no class, such as 255, do not count. Everingham et al., "The Pascal Visual
    Object Classes Challenge", IJCV 2015, Section 4.3.
    """

    falls: ClassVar[bool] = False

    def fits(self, target: Target, output: tuple[Any, ...]) -> bool:
        return target.classes is not None and bool(target.shape)

    def tally(self, output: Any, target: Any) -> tuple[Any, ...]:
        classes = max(output.shape[1], 2)
        known = (target >= 0) & (target < classes)
        pairs = target[known] * classes + _decided(output)[known]
        return (pairs.bincount(minlength=classes * classes).reshape(classes, classes),)

    def value(self, *sums: Any) -> float:
        (confusion,) = sums
        both = confusion.diagonal()
        either = confusion.sum(0) + confusion.sum(1) - both
        return float((both[either > 0] / either[either > 0]).mean()) if either.any() else 0.0


class SquaredError(Metric, word="mean_squared_error"):
    """The mean of the squared differences, in the square of the targets' unit (Prince 2023, Section 5.3)."""

    percent: ClassVar[bool] = False

    def fits(self, target: Target, output: tuple[Any, ...]) -> bool:
        return target.classes is None

    def tally(self, output: Any, target: Any) -> tuple[Any, ...]:
        return (output - target).square().sum(), target.numel()


class AbsoluteError(Metric, word="mean_absolute_error"):
    """The mean of the absolute differences, in the targets' unit."""

    percent: ClassVar[bool] = False

    def fits(self, target: Target, output: tuple[Any, ...]) -> bool:
        return target.classes is None

    def tally(self, output: Any, target: Any) -> tuple[Any, ...]:
        return (output - target).abs().sum(), target.numel()
