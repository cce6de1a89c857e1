"""A run's copies of the files that its network is of: they read alike, and import each other."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path, PurePath

from archdsl.project import PYTHON
from archdsl.source import Source
from archdsl.syntax.parser import parse
from archdsl.syntax.tree import Import

ABOVE = "above"
"""The folder of a run for what lies above the folder of the network's file."""


def copies(main: Source, sources: Iterable[Source], name: str) -> dict[str, Source]:
    """The files to keep, by their names in a run's folder; the network's own is the first, by `name`.

    What is imported from the bundled architectures is found there again. Paths are written anew where a file
    lies elsewhere in the run's folder than it did.
    """
    known = {os.path.realpath(one.name): one for one in sources if one is not main}
    names = {main.name: name}
    found = [main]
    texts = {}
    for source in found:
        text, end = "", 0
        for declared in _imports(source):
            imported = known.get(os.path.realpath(Path(source.name).parent / declared.path))
            if imported is None or imported is source:
                continue
            if imported.name not in names:
                names[imported.name] = _name(imported, main, names.values())
                found.append(imported)
            # From where the file lay, which the network's own has left for the top of the run's folder.
            path = posixpath.relpath(names[imported.name], posixpath.dirname(names[source.name]) or ".")
            if path != posixpath.normpath(PurePath(declared.path).as_posix()):
                text += f'{source.text[end : declared.path_span.start]}"{path}"'
                end = declared.path_span.end
        texts[names[source.name]] = Source(source.name, text + source.text[end:])
    return texts


def _imports(source: Source) -> list[Import]:
    if source.name.endswith(PYTHON):
        return []
    return [one for one in parse(source)[0].declarations if isinstance(one, Import)]


def _name(source: Source, main: Source, taken: Iterable[str]) -> str:
    """The name of an imported file's copy: its path from the network's file, each folder up by a name."""
    folder = Path(main.name).parent
    parts = Path(os.path.relpath(os.path.realpath(source.name), os.path.realpath(folder))).parts
    name = "/".join(ABOVE if part == os.pardir else part for part in parts)
    while name in taken:
        name = f"{ABOVE}/{name}"
    return name
