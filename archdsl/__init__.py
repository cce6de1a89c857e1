"""archdsl: the language in which people write down neural-network architectures.

    import archdsl

    net = archdsl.load("alexnet.arch")      # checked and analysed; raises archdsl.ArchError
    print(net.report())                     # what `archdsl analyze` prints
    net.report().to_dict()                  # what `archdsl analyze --json` prints
    net.graph                               # a networkx.MultiDiGraph
    net.draw().save("alexnet.pdf")          # what `archdsl draw` draws
    model = net.build()                     # a torch.nn.Module
    archdsl.diff(net, other).to_dict()      # what `archdsl diff --json` prints
    archdsl.format(text)                    # the text of a file in its canonical layout

In a notebook a network shows itself, and after `%load_ext archdsl` a cell of `%%arch` defines one.

Nothing is imported before it is asked for, so that the command line starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from archdsl.diagnostics import ArchError, Diagnostic
    from archdsl.net import Net, diff, load, loads
    from archdsl.syntax.formatter import format

    __version__: str

__all__ = ["ArchError", "Diagnostic", "Net", "__version__", "diff", "format", "load", "loads"]

_HOMES = {
    "ArchError": "archdsl.diagnostics",
    "Diagnostic": "archdsl.diagnostics",
    "Net": "archdsl.net",
    "diff": "archdsl.net",
    "format": "archdsl.syntax.formatter",
    "load": "archdsl.net",
    "loads": "archdsl.net",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from archdsl.version import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module 'archdsl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext archdsl` calls."""
    from archdsl.notebook import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What `%unload_ext archdsl` calls."""
    from archdsl.notebook import unload

    unload(shell)
