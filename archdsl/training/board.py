"""A run's measurements as TensorBoard reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from archdsl.recipes.recipe import Recipe
from archdsl.training.folder import TrainingError
from archdsl.training.run import Measurement
from archdsl.writing import unwritten

FOLDER = "tensorboard"


class Board:
    """Event files in the folder `tensorboard` of a run, open while it is used as a context.

    What another writer wrote there after step `since` is passed over by readers, for it is measured again.
    Raises `TrainingError` where the package tensorboard is not installed, and where they can't be written.
    """

    def __init__(self, folder: Path, recipe: Recipe, since: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainingError(
                "the package tensorboard is not installed: `pip install 'archdsl[tensorboard]'`"
            ) from None
        self._titles = [metric.title for metric in recipe.metrics]
        self._folder = folder / FOLDER
        with self._written():
            self._writer = SummaryWriter(self._folder, purge_step=since + 1 if since else None)

    def add(self, found: Measurement) -> None:
        """Write a measurement, so that it is seen at once."""
        scalars = {"rate": found.rate}
        if found.loss is not None:
            scalars["loss"] = found.loss
        for title, training, test in zip(self._titles, found.training, found.test, strict=True):
            scalars[f"{title}/training"] = training
            scalars[f"{title}/test"] = test
        with self._written():
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, found.step)
            self._writer.flush()

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(unwritten(self._folder, error)) from None

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What could not be written was said.
        with suppress(OSError):
            self._writer.close()
