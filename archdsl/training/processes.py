"""The processes that train together, each on its device: torch.distributed, and nothing of our own.

`torchrun`, SLURM or `archdsl train --devices` starts them; each finds its place in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from archdsl.training.folder import TrainingError
from archdsl.training.place import Place, place

Result = TypeVar("Result")

WAIT = timedelta(hours=2)
"""How long a process waits for the others: the first may be measuring or writing."""


class Agreed(TrainingError):
    """What went wrong in the first process, raised in every one; the first says it."""


class Parted(TrainingError):
    """A process of the run has ended, and the others can't go on without it."""


@contextmanager
def _hearing() -> Iterator[None]:
    """While this is active the others have to be there. Raises `Parted` where one has ended."""
    try:
        yield
    except RuntimeError as error:
        # What torch says of it names addresses and files of its own.
        raise Parted("another process of the run has ended") from error


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, seen from the one of number `rank`.

    Numbers that steer the run go through `control`, which is on the CPU and waits for no device.
    """

    rank: int = 0
    count: int = 1
    control: Any = field(default=None, repr=False)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of so many examples are this process's. The first never has fewer than another."""
        each, more = divmod(count, self.count)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def summed(self, *numbers: float) -> list[float]:
        """Each number, summed over the processes."""
        if self.count == 1:
            return list(numbers)
        packed = torch.tensor(numbers, dtype=torch.float64)
        with _hearing():
            dist.all_reduce(packed, group=self.control)
        return packed.tolist()

    def all_of(self, value: Result) -> list[Result]:
        """What every process has, in their order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _hearing():
            dist.all_gather_object(found, value, group=self.control)
        return found

    def add(self, tensor: Tensor) -> None:
        """Sum a tensor over the processes, in place and on its device."""
        if self.count > 1:
            with self.computing():
                dist.all_reduce(tensor)

    def follow_the_first(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.count > 1:
            with self.computing():
                for tensor in tensors:
                    dist.broadcast(tensor, src=0)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While this is active the processes compute together, as gradients are summed.

        Raises `Parted` where another has ended; what else goes wrong is this one's own.
        """
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not _of_the_connection(error):
                raise
            with _hearing():
                raise

    def wait(self) -> None:
        """Go on when all are here."""
        if self.count > 1:
            with _hearing():
                dist.barrier(group=self.control)

    def failure(self, message: str) -> TrainingError:
        """What every process raises alike; the first says it."""
        return TrainingError(message) if self.first else Agreed(message)

    def by_the_first(self, work: Callable[[], Result]) -> Result:
        """What some work gives that the first process alone does.

        A `TrainingError` of it is raised in every process.
        """
        if self.count == 1:
            return work()
        told: list[Any] = [None, None]
        failed: TrainingError | None = None
        if self.first:
            try:
                told[0] = work()
            except TrainingError as error:
                failed, told[1] = error, str(error)
        with _hearing():
            dist.broadcast_object_list(told, src=0, group=self.control)
        if failed is not None:
            raise failed
        if told[1] is not None:
            raise Agreed(told[1])
        result: Result = told[0]
        return result


def _of_the_connection(error: RuntimeError) -> bool:
    """Whether torch says that another process can't be reached. Of gloo it says so by text alone."""
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)


ALONE = Processes()


def _meeting_point(found: Place) -> None:
    """Where SLURM started the processes, say where they meet: torchrun says it itself."""
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    if "MASTER_PORT" not in os.environ:
        # The same in every process of a job, and unlikely to be another job's.
        os.environ["MASTER_PORT"] = str(20_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20_000)
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(found.rank), str(found.count)


def device_here(name: str) -> str:
    """The device of this process: of several on a machine, each takes its own."""
    found = place()
    return f"cuda:{found.local}" if found is not None and name == "cuda" else name


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """This process among those that were started with it; alone where none were.

    At the end all of them wait for each other, unless one failed.
    """
    found = place()
    if found is None:
        yield ALONE
        return
    _meeting_point(found)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=WAIT)
    try:
        together = Processes(found.rank, found.count, dist.new_group(backend="gloo", timeout=WAIT))
        yield together
        together.wait()
    finally:
        dist.destroy_process_group()
