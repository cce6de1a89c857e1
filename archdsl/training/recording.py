"""A step's work on a GPU, recorded once and given to the device again for each batch.

A GPU works through a small network's kernels faster than Python can name them. Recorded as a CUDA graph
they are started by one call, and the device waits for none of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from archdsl.training.compiling import OnBatch, first_line
from archdsl.training.step import Step

WARM = 3
"""Steps before the recording: torch's libraries choose and allocate in the first."""
LARGEST_SHARE = 0.5
"""The share of the device's memory that a recording may keep: other work needs some beside it."""


class NotRecorded(Exception):
    """Why a step is not recorded, in words that follow `not recorded: `."""


def recorded(step: Step, take: OnBatch, inputs: Tensor, targets: Tensor) -> OnBatch:
    """A step that takes a recording of `take`, for batches of this shape.

    Steps are taken meanwhile: the caller brings back the state. Raises `NotRecorded`.
    """
    x = inputs.clone(memory_format=step.memory_format)
    y = targets.clone()
    for group in step.optimizer.param_groups:
        # What changes from step to step must be read from the device.
        group["lr"] = torch.tensor(float(group["lr"]), device=step.device)
        if "capturable" in group:
            group["capturable"] = True
    graph = torch.cuda.CUDAGraph()
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    try:
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM):
                take(x, y)
        torch.cuda.current_stream().wait_stream(beside)
        # Other threads, as of a progress display, do nothing on the device.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            take(x, y)
    except RuntimeError as error:
        raise NotRecorded(f"the device refused it ({first_line(error)})") from error
    torch.cuda.empty_cache()
    there = torch.cuda.get_device_properties(step.device).total_memory
    if torch.cuda.memory_reserved(step.device) > LARGEST_SHARE * there:
        raise NotRecorded("it would keep more than half of the device's memory")

    def again(batch: Tensor, wanted: Tensor) -> None:
        x.copy_(batch)
        y.copy_(wanted)
        graph.replay()

    return again
