"""FILE and FILE:NETWORK on the command line: which file is meant, and its text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from archdsl.cli.output import Refused

if TYPE_CHECKING:
    from archdsl.compiler.modules import Load
    from archdsl.source import Source

STANDARD_INPUT = "<standard input>"


class Target(NamedTuple):
    """A FILE of the command line: its source, the network that was named, and where imports are found.

    Without a `load` they are beside the file.
    """

    source: Source
    network: str | None
    load: Load | None = None


class Unreadable(Refused):
    """A FILE of the command line that can't be read, and why, which may have `named` it."""

    def __init__(self, file: str, reason: str, named: bool = False) -> None:
        super().__init__(reason if named else f"{file}: {reason}")
        self.file = file
        self.reason = reason


class File(click.ParamType):
    """FILE, or FILE:NETWORK where a command is about one network."""

    name = "FILE"

    def __init__(self, with_network: bool = True) -> None:
        self._with_network = with_network

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from archdsl.project import divided

        file, network = divided(value)
        if network is not None and not self._with_network:
            self.fail(
                f"{value!r}: this command is about whole files; leave out {':' + network!r}",
                parameter,
                context,
            )
        return Target(source_of(file), network)


class FileOrRun(File):
    """FILE[:NETWORK], or the folder of a run, as its path."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if isinstance(value, str) and (Path(value) / "recipe.json").is_file():
            return Path(value)
        return super().convert(value, parameter, context)


def targets_of(places: Iterable[str]) -> Iterator[Target | Unreadable]:
    """The files of `files_of`, read; one that can't be read does not end the command."""
    from archdsl.project import divided

    for place in files_of(places):
        if isinstance(place, Unreadable):
            yield place
            continue
        file, network = divided(place)
        try:
            yield Target(source_of(file), network)
        except Unreadable as error:
            yield error


def files_of(places: Iterable[str]) -> Iterator[str | Unreadable]:
    """The files that are meant by FILE|FOLDER..., each once: those that are named, and those in folders."""
    seen = set()
    for place in places:
        if place == "-":
            found: list[str | Unreadable] = [STANDARD_INPUT]
        elif os.path.isdir(place):
            found = _in_folder(place)
        else:
            found = [place]
        for one in found:
            real = one if isinstance(one, Unreadable) else os.path.realpath(one)
            if real not in seen:
                seen.add(real)
                yield one


def _in_folder(folder: str) -> list[str | Unreadable]:
    """The .arch files of a folder and those below it. Links and hidden names are passed over."""
    from archdsl.project import ARCH

    unreadable: list[OSError] = []
    found = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        meant = (name for name in names if name.lower().endswith(ARCH) and name[0] != ".")
        paths = [os.path.join(place, name) for name in meant]
        found += [path for path in paths if not os.path.islink(path)]
    here = os.path.join(".", "")
    names = sorted(path.removeprefix(here) for path in found)
    return [*(_no_access(error.filename, error) for error in unreadable), *names]


def _no_access(file: str, error: OSError) -> Unreadable:
    return Unreadable(file, f"{file} can't be read: {error.strerror}", named=True)


def source_of(file: str) -> Source:
    """The text of a file, of a bundled one where there is none here, or of standard input.

    Raises `Unreadable`.
    """
    from archdsl.problems import Fault
    from archdsl.project import MAX_BYTES, bundled, decoded, read
    from archdsl.source import Source

    try:
        if file in ("-", STANDARD_INPUT):
            return Source(STANDARD_INPUT, decoded(sys.stdin.buffer.read(MAX_BYTES + 1)))
        found = None if Path(file).exists() else bundled(file)
        return found or read(file)
    except FileNotFoundError:
        raise Unreadable(file, _missing(file), named=True) from None
    except IsADirectoryError:
        raise Unreadable(file, _folder(file), named=True) from None
    except Fault as fault:
        raise Unreadable(file, fault.problem.message()) from None
    except OSError as error:
        raise _no_access(file, error) from None


def _folder(file: str) -> str:
    """What to say of a folder, with the .arch file that is in it, as in the folder of a run."""
    try:
        inside = list(Path(file).glob("*.arch"))
    except OSError:
        inside = []
    return f"{file} is a folder; name an .arch file in it" + (f": {inside[0]}" if len(inside) == 1 else "")


def _missing(file: str) -> str:
    """What to say of a file that is not there, with the nearest name among those that are."""
    from archdsl.project import bundled_names, bundled_networks, nearest_file

    folder = Path(file).parent
    try:
        near = {path.name: str(folder / path.name) for path in folder.glob("*.arch")}
    except OSError:
        near = {}
    networks = bundled_networks()
    said = f"there is no file {file!r}, here or among the bundled architectures"
    # A network alone would have been found; with another after a colon its file was meant.
    home = next((home for name, home in networks.items() if name.lower() == file.lower()), None)
    names = {**dict.fromkeys([*bundled_names(), *networks]), **near}
    meant = nearest_file(Path(file).name, names)
    shown = home or (names[meant] or meant if meant else None)
    return f"{said}; did you mean {shown}?" if shown else f"{said} (`archdsl list` shows those)"
