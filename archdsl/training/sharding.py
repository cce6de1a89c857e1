"""Models that fit no device by themselves: weights, gradients and optimizer state split over all of them.

Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020; torch's
`fully_shard` does it (Zhao et al., "PyTorch FSDP", 2023). A part is gathered for as long as it computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

PARTS = 64
"""About how many parts a model is gathered in, one after the other."""


def shard(model: nn.Module, example: Tensor) -> None:
    """Split a model over all processes. `example` is a batch for it, which finds out what is called."""
    whole = sum(p.numel() for p in model.parameters())
    called = _called(model, example)
    for name, module in reversed(list(model.named_modules())):
        size = sum(p.numel() for p in module.parameters())
        if name and module in called and list(module.children()) and size >= whole / PARTS:
            fully_shard(module)
    fully_shard(model)


def _called(model: nn.Module, example: Tensor) -> set[nn.Module]:
    """The modules that are called as such: what reaches into another can't be gathered by itself."""
    found: set[nn.Module] = set()

    def seen(module: nn.Module, given: Any, result: Any) -> None:
        found.add(module)

    hooks = [module.register_forward_hook(seen) for module in model.modules()]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(example)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found


def gathered(tensors: Mapping[str, Tensor], first: bool) -> dict[str, Tensor]:
    """Whole tensors on the CPU, in the first process; all of them must ask."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if first:
            found[name] = whole.detach().cpu().clone()
    return found


def save_state(state: dict[str, Tensor], folder: Path) -> None:
    """Each process writes its part of the state, as `.safetensors` files.

    Raises what went wrong in one of them in all of them, an `OSError` where a disk is full.
    """
    try:
        save(_plain(state), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    except CheckpointException as failed:
        # Which is no `Exception`, and shows the stack of every process.
        error, _ = next(iter(failed.failures.values()))
        raise error from None


def load_state(state: dict[str, Tensor], folder: Path, alone: bool) -> None:
    """Fill the tensors of a state from what any number of processes wrote."""
    with warnings.catch_warnings():
        # That one process reads all is meant so.
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        load(_plain(state), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=alone)


def extents_in(folder: Path) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """The names of the tensors that are in a folder of parts, with their extents and types."""
    found: Any = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {name: (tuple(one.size), one.properties.dtype) for name, one in found.items()}


def _plain(state: dict[str, Tensor]) -> dict[str, Any]:
    return dict(state)
