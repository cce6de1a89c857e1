"""Examples to train on and to test on, and the batches of them that go into a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

Share = Callable[[int], slice]
"""Which of so many examples a process takes; by itself it takes all."""


def whole(count: int) -> slice:
    """All of so many examples."""
    return slice(0, count)


Batch = tuple[Tensor, Tensor]
"""Examples `[n, *shape]` and their targets, on the device."""


class Examples(ABC):
    """Examples of a source of data, in the shape that the recipe says.

    `count` are for training and `tests` for testing. `classes` are the names of the classes, where they
    have any. `waited` counts the seconds that training has waited for examples.
    """

    count: int
    tests: int
    classes: tuple[str, ...] | None = None
    waited: float = 0.0
    skipped: dict[str, None]
    """What was left out, and why, each once."""

    @abstractmethod
    def batches(self, batch: int, steps: int, seed: int, begin: int, share: Share = whole) -> Iterator[Batch]:
        """Batches without replacement, in a new order each epoch, from step `begin` until `steps` are done.

        The orders follow from the seed alone, so that a run that goes on sees what it would have. Of each
        batch a `share` may be taken, which may be empty.
        """

    @abstractmethod
    def training(self, most: int, share: Share = whole) -> Iterator[Batch]:
        """Training examples to measure, at most so many of them, in order, or a share of them."""

    @abstractmethod
    def testing(self, share: Share = whole) -> Iterator[Batch]:
        """The test examples, in order, or a share of them."""

    @abstractmethod
    def some(self, most: int) -> Batch:
        """Test examples to look at, at most so many: every so many of them, so that classes differ."""


def spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, at equal distances."""
    taken = min(most, count)
    return [i * count // taken for i in range(taken)]


def orders(count: int, batch: int, steps: int, seed: int, begin: int) -> Iterator[tuple[int, int, Tensor]]:
    """For each epoch that is not over by step `begin`: its first and last step that are left, and its order.

    The last batch of an epoch is smaller where the batch does not divide the examples. The orders of the
    epochs before `begin` are drawn too: each follows from those before it.
    """
    generator = torch.Generator().manual_seed(seed)
    per_epoch = -(-count // batch)
    for epoch in range(-(-steps // per_epoch)):
        order = torch.randperm(count, generator=generator)
        first, last = epoch * per_epoch, min((epoch + 1) * per_epoch, steps)
        if last > begin:
            done = max(begin - first, 0)
            yield done, last - first, order


class InMemory(Examples):
    """Examples that stay on the device, all of them; pictures as bytes.

    An epoch is gathered at once, since a gather a step costs more than a small network's step.
    """

    def __init__(
        self,
        training: Batch,
        testing: Batch,
        device: torch.device,
        classes: tuple[str, ...] | None = None,
        skipped: dict[str, None] | None = None,
    ) -> None:
        self._training = training[0].to(device), training[1].to(device)
        self._testing = testing[0].to(device), testing[1].to(device)
        self.count, self.tests = len(training[0]), len(testing[0])
        self.classes = classes
        self.skipped = skipped or {}

    def batches(self, batch: int, steps: int, seed: int, begin: int, share: Share = whole) -> Iterator[Batch]:
        x, y = self._training
        for done, end, order in orders(self.count, batch, steps, seed, begin):
            shuffled = order.to(x.device)
            pieces = zip(*(torch.split(part[shuffled], batch) for part in (x, y)), strict=True)
            for xs, ys in islice(pieces, done, end):
                own = share(xs.shape[0])
                if own != whole(xs.shape[0]):
                    xs, ys = xs[own], ys[own]
                yield numbers(xs), ys

    def training(self, most: int, share: Share = whole) -> Iterator[Batch]:
        return _pieces(self._training, share(min(most, self.count)))

    def testing(self, share: Share = whole) -> Iterator[Batch]:
        return _pieces(self._testing, share(self.tests))

    def some(self, most: int) -> Batch:
        chosen = spread(self.tests, most)
        x, y = self._testing
        return numbers(x[chosen]), y[chosen]


AT_ONCE = 1_000
"""The most examples that are measured together."""


def _pieces(examples: Batch, own: slice) -> Iterator[Batch]:
    x, y = examples
    for start in range(own.start, own.stop, AT_ONCE):
        end = min(start + AT_ONCE, own.stop)
        yield numbers(x[start:end]), y[start:end]


def numbers(x: Tensor) -> Tensor:
    """Bytes of pictures as numbers from 0 to 1, and numbers as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x
