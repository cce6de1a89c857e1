"""One process a device, started by torch's own launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from uuid import uuid4

import torch

from archdsl.training.folder import TrainingError
from archdsl.training.place import LAUNCHED
from archdsl.training.processes import Parted


def launch(arguments: Sequence[str], devices: int, device: str) -> int:
    """Run `archdsl` with these arguments in as many processes on this machine; what they end with.

    Raises `TrainingError` where there are not so many devices, and `Parted` where a process was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if device == "cuda" and torch.cuda.device_count() < devices:
        there = torch.cuda.device_count()
        raise TrainingError(f"there are {there} devices to train on here, not {devices}")
    # What went wrong a process has said itself, in one line.
    logging.disable(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    os.environ[LAUNCHED] = "1"
    try:
        elastic_launch(config, sys.executable)("-m", "archdsl", *arguments)
    except ChildFailedError as failed:
        for rank, failure in failed.failures.items():
            if failure.exitcode < 0:
                raise Parted(f"process {rank + 1} of {devices} was {_killed(-failure.exitcode)}") from None
        _, first = failed.get_first_failure()
        return first.exitcode
    except SignalException as ended:
        # The processes have heard of it, too, and were waited for while they saved.
        return 128 + ended.sigval
    return 0


def _killed(number: int) -> str:
    """By which signal a process was ended."""
    name = signal.Signals(number).name
    return f"ended by {name}" + (", as where memory runs out" if number == signal.SIGKILL else "")
