"""Files of weights: tensors by name, read without running anything that is in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from archdsl.problems import Fault, listed
from archdsl.problems.pretrained import BadWeights

WEIGHTS = "weights.safetensors"
"""The weights in the folder of a run."""


@dataclass(frozen=True, slots=True)
class State:
    """The tensors of a file. `ordered` says whether they come in the order in which they were defined."""

    path: str
    tensors: Mapping[str, Tensor]
    ordered: bool

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def read_state(path: str) -> State:
    """The tensors of a `.safetensors` file, of a `state_dict` that torch saved, or of a run's folder.

    Raises `Fault` where there are none, and where the file could run code.
    """
    place = Path(path)
    if place.is_dir():
        place = place / WEIGHTS
        if not place.is_file():
            raise Fault(BadWeights(path, f"is a folder, but no run's: it has no {WEIGHTS}"))
    try:
        if place.suffix == ".safetensors":
            # Such files are sorted: by type, and then by name.
            return State(path, load_file(place), ordered=False)
        loaded = torch.load(place, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Fault(BadWeights(path, "is not there")) from None
    except OSError as error:
        raise Fault(BadWeights(path, f"can't be read: {error.strerror or error}")) from None
    except pickle.UnpicklingError:
        reason = "holds more than tensors, which could run code: save its `state_dict()`"
        raise Fault(BadWeights(path, reason)) from None
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, UnicodeDecodeError):
        raise Fault(BadWeights(path, "is no file of weights, or is cut short")) from None
    return State(path, _tensors(path, loaded), ordered=True)


def _tensors(path: str, loaded: Any) -> dict[str, Tensor]:
    """The tensors by name, which may lie one level down: `{"epoch": 90, "state_dict": {...}}`."""
    if isinstance(loaded, Mapping):
        found = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
        inner = {str(k): v for k, v in loaded.items() if isinstance(v, Mapping) and _is_state(v)}
        if found and not inner:
            return found
        if len(inner) == 1:
            ((_, state),) = inner.items()
            return {str(name): tensor for name, tensor in state.items()}
        if inner:
            names = listed([f"`{name}`" for name in inner])
            raise Fault(BadWeights(path, f"holds several sets of weights, {names}: save one of them alone"))
    raise Fault(BadWeights(path, "holds no tensors by name"))


def _is_state(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
