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
    from archdsl.problems import Fault
    from archdsl.source import Source
    from archdsl.training.folder import Described

STANDARD_INPUT = "<standard input>"


class Target(NamedTuple):
    """A FILE of the command line: its source, the network that was named, and where imports are found.

    Without a `load` they are beside the file. Of a `run` what it was begun with is meant, too.
    """

    source: Source
    network: str | None
    load: Load | None = None
    run: Described | None = None


class Unreadable(Refused):
    """A FILE of the command line that can't be read, and why, which may have `named` it.

    `fault` is what its text was refused by.
    """

    def __init__(self, file: str, reason: str, named: bool = False, fault: Fault | None = None) -> None:
        super().__init__(reason if named else f"{file}: {reason}")
        self.file = file
        self.reason = reason
        self.fault = fault


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
        from archdsl.project import is_run

        if isinstance(value, str) and is_run(Path(value)):
            return Path(value)
        return super().convert(value, parameter, context)


class FileOfRun(FileOrRun):
    """FILE[:NETWORK], or the folder of a run, as the network and the recipe that it was begun with."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        found = super().convert(value, parameter, context)
        if not isinstance(found, Path):
            return found
        from archdsl.training.folder import TrainingError, described

        try:
            run = described(found)
        except TrainingError as error:
            raise Unreadable(str(found), str(error), named=True) from None
        return Target(run.source, run.network, run=run)


def targets_of(places: Iterable[str]) -> Iterator[Target | Unreadable]:
    """The files of `files_of`, read; one that can't be read does not end the command."""
    from archdsl.project import divided

    for place in files_of(places, linked=True):
        if isinstance(place, Unreadable):
            yield place
            continue
        file, network = divided(place)
        try:
            yield Target(source_of(file), network)
        except Unreadable as error:
            yield error


def files_of(places: Iterable[str], linked: bool = False) -> Iterator[str | Unreadable]:
    """The files that are meant by FILE|FOLDER..., each once: those that are named, and those in folders.

    Of a folder, those that links in it lead to are among them where they may be `linked`.
    """
    seen = set()
    for place in places:
        if place == "-":
            found: list[str | Unreadable] = [STANDARD_INPUT]
        elif os.path.isdir(place):
            found = _in_folder(place, linked)
        else:
            found = [place]
        for one in found:
            real = one if isinstance(one, Unreadable) else os.path.realpath(one)
            if real not in seen:
                seen.add(real)
                yield one


def _in_folder(folder: str, linked: bool) -> list[str | Unreadable]:
    """The .arch files of a folder and below it, one at least; links to files last, where they count.

    Hidden names, linked folders and what is no file, such as a pipe, are passed over.
    """
    from archdsl.project import ARCH

    unreadable: list[OSError] = []
    found = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        meant = (name for name in names if name.lower().endswith(ARCH) and name[0] != ".")
        paths = [os.path.join(place, name) for name in meant]
        found += [path for path in paths if os.path.isfile(path) and (linked or not os.path.islink(path))]
    here = os.path.join(".", "")
    names = sorted((path.removeprefix(here) for path in found), key=lambda path: (os.path.islink(path), path))
    if not (names or unreadable):
        return [Unreadable(folder, f"{folder} is a folder without .arch files", named=True)]
    return [*(_no_access(error.filename, error) for error in unreadable), *names]


def _no_access(file: str, error: OSError) -> Unreadable:
    return Unreadable(file, f"{file} can't be read: {error.strerror}", named=True)


def source_of(file: str) -> Source:
    """The text of a file, of a bundled one where there is none here, or of standard input.

    Raises `Unreadable`.
    """
    from archdsl.problems import Fault
    from archdsl.project import MAX_BYTES, decoded, named
    from archdsl.source import Source

    try:
        if file in ("-", STANDARD_INPUT):
            return Source(STANDARD_INPUT, decoded(sys.stdin.buffer.read(MAX_BYTES + 1)))
        return named(file)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Unreadable(file, str(error), named=True) from None
    except Fault as fault:
        raise Unreadable(file, fault.problem.message(), fault=fault) from None
    except OSError as error:
        raise _no_access(file, error) from None
