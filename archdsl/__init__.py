"""archdsl: the language in which people write down neural-network architectures.

    import archdsl

    net = archdsl.load("alexnet.arch")      # checked and analysed; raises archdsl.ArchError
    net.report().to_dict()                  # what `archdsl analyze --json` prints
    net.graph                               # a networkx.MultiDiGraph
    model = net.build()                     # a torch.nn.Module

Nothing is imported before it is asked for, so that the command line starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archdsl.diagnostics import ArchError, Diagnostic
    from archdsl.net import Net, load, loads

__all__ = ["ArchError", "Diagnostic", "Net", "load", "loads"]

_HOMES = {
    "ArchError": "archdsl.diagnostics",
    "Diagnostic": "archdsl.diagnostics",
    "Net": "archdsl.net",
    "load": "archdsl.net",
    "loads": "archdsl.net",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'archdsl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
