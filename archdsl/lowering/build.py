"""From a compiled network to a torch module: the written source, run."""

from __future__ import annotations

import copyreg
import hashlib
import linecache
import sys
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from archdsl.compiler.network import Network
from archdsl.lowering.source import write

if TYPE_CHECKING:
    import torch


def build(network: Network, device: str | torch.device | None = None) -> torch.nn.Module:
    """The network as a torch module on `device` (`"meta"` makes no numbers).

    It is an instance of the class that `archdsl export --to torch` writes. Raises `ArchError` where
    a weight's size is a symbol without a value, and where torch does not compute a user's own layer as its
    rules say.
    """
    import torch

    source = write(network)
    with torch.device(device if device is not None else torch.get_default_device()):
        module: torch.nn.Module = module_class(source)()
    return module


def module_class(source: str) -> type[torch.nn.Module]:
    """The network's class from its source, which is the last.

    The source is kept where Python looks for the lines of a traceback, and `torch.compile` for the
    code. Equal sources are one Python module, so that building a network again costs nothing more.
    """
    name = f"archdsl_lowered_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        filename = f"<{name}>"
        module = ModuleType(name)
        module.__file__ = filename
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(compile(source, filename, "exec"), module.__dict__)
        sys.modules[name] = module
        for own in _classes(name):
            copyreg.pickle(own, partial(_taken_apart, source))
    return _classes(name)[-1]


def _classes(name: str) -> list[type[torch.nn.Module]]:
    """The classes of modules that a Python module defines."""
    import torch

    classes = [value for value in vars(sys.modules[name]).values() if isinstance(value, type)]
    return [value for value in classes if value.__module__ == name and issubclass(value, torch.nn.Module)]


def _taken_apart(source: str, module: torch.nn.Module) -> tuple[Any, ...]:
    """A module for pickle, with its source: another process has no Python module of that name."""
    taken = module.__reduce_ex__(2)
    assert isinstance(taken, tuple)
    return _bare, (source, type(module).__name__), *taken[2:]


def _bare(source: str, name: str) -> torch.nn.Module:
    """A module of a class of the source, without what its constructor makes."""
    whole = module_class(source)
    own: type[torch.nn.Module] = getattr(sys.modules[whole.__module__], name)
    return own.__new__(own)
