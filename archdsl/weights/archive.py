"""Files of weights: tensors by name, read without running anything that is in them."""

from __future__ import annotations

import errno
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from archdsl.problems import Fault
from archdsl.problems.pretrained import BadWeights
from archdsl.weights.modules import Module, plain

WEIGHTS = "weights.safetensors"
"""The weights in the folder of a run."""
NO_WEIGHTS = "is no file of weights, or is cut short"


@dataclass(frozen=True, slots=True)
class State:
    """The tensors of a file. `ordered` says whether they come in the order in which they were defined.

    Of a file with several sets of weights all names begin with that of their set.
    """

    path: str
    tensors: Mapping[str, Tensor]
    ordered: bool
    sets: tuple[str, ...] = ()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what can be weights: whole numbers of a name of their own are indices, or a mask."""
        return {
            name: tuple(tensor.shape)
            for name, tensor in self.tensors.items()
            if tensor.is_floating_point() or tensor.is_complex() or plain(name.rpartition(".")[2])
        }

    def same(self, one: Module, other: Module) -> bool:
        """Whether two modules are one layer under two names: in one place of the memory, or of one value.

        Values that are all alike tell nothing: so do norms begin, of whatever layer.
        """
        if one.full.keys() != other.full.keys():
            return False
        pairs = [(self.tensors[its], self.tensors[other.full[name]]) for name, its in one.full.items()]
        if all(a.is_set_to(b) for a, b in pairs):
            return True
        equal = all(torch.equal(a, b) for a, b in pairs)
        return equal and any(a.numel() > 1 and bool((a != a.flatten()[0]).any()) for a, _ in pairs)


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
        # Of an archive without its end torch looks for places that are before the beginning.
        cut = error.errno == errno.EINVAL
        reason = NO_WEIGHTS if cut else f"can't be read: {error.strerror or error}"
        raise Fault(BadWeights(path, reason)) from None
    except pickle.UnpicklingError:
        reason = NO_WEIGHTS
        if _is_pickled(place):
            reason = "holds more than tensors, which could run code: save its `state_dict()`"
        raise Fault(BadWeights(path, reason)) from None
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, UnicodeDecodeError):
        raise Fault(BadWeights(path, NO_WEIGHTS)) from None
    return _state(path, loaded)


def given_state(tensors: Mapping[str, Tensor]) -> State:
    """The tensors of a mapping in memory: a `state_dict()`, or what somebody read from a file.

    One of a `.safetensors` file is sorted, as the file is. Raises `Fault` where there are no tensors.
    """
    state = _state("weights", tensors)
    by_type = [list(run) for _, run in groupby(state.tensors, lambda name: state.tensors[name].dtype)]
    ordered = isinstance(tensors, OrderedDict) or any(run != sorted(run) for run in by_type)
    return replace(state, ordered=ordered)


def _is_pickled(place: Path) -> bool:
    """Whether a file is one of `torch.save`: an archive, or a pickle of an older version."""
    with place.open("rb") as file:
        return file.read(1) == pickle.PROTO or zipfile.is_zipfile(file)


def _state(path: str, loaded: Any) -> State:
    """The tensors by name, which may lie one level down: `{"epoch": 90, "state_dict": {...}}`.

    Raises `Fault` where there are none.
    """
    if isinstance(loaded, Mapping):
        found = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
        inner = {str(k): v for k, v in loaded.items() if isinstance(v, Mapping) and _is_state(v)}
        if found and not inner:
            return State(path, found, ordered=True)
        if len(inner) == 1:
            ((_, state),) = inner.items()
            return State(path, {str(name): tensor for name, tensor in state.items()}, ordered=True)
        if inner:
            named = {
                f"{one}.{name}": tensor for one, state in inner.items() for name, tensor in state.items()
            }
            return State(path, named, ordered=True, sets=tuple(inner))
    raise Fault(BadWeights(path, "holds no tensors by name"))


def _is_state(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
