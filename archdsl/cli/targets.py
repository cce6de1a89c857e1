"""FILE and FILE:NETWORK on the command line: which file is meant, and its text."""

from __future__ import annotations

import sys
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


class Unreadable(NamedTuple):
    """A FILE of the command line that can't be read, why, and the exit code that this gives."""

    name: str
    reason: str
    exit_code: int


class File(click.ParamType):
    """FILE, or FILE:NETWORK where a command is about one network.

    With `several`, one that can't be read does not end the command: it becomes `Unreadable`.
    """

    name = "FILE"

    def __init__(self, with_network: bool = True, several: bool = False) -> None:
        self._with_network = with_network
        self._several = several

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
        try:
            return Target(source_of(file), network)
        except click.ClickException as error:
            if self._several:
                return Unreadable(file, error.message, error.exit_code)
            raise


def source_of(file: str) -> Source:
    """The text of a file, of a bundled one where there is none here, or of standard input.

    Raises `Refused` or `click.ClickException` with one line on what is wrong.
    """
    from archdsl.project import MAX_BYTES, bundled, read
    from archdsl.source import Source

    try:
        if file in ("-", STANDARD_INPUT):
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ValueError
            return Source(STANDARD_INPUT, data.decode("utf-8-sig"))
        found = None if Path(file).exists() else bundled(file)
        return found or read(file)
    except FileNotFoundError:
        raise Refused(_missing(file)) from None
    except IsADirectoryError:
        raise Refused(_folder(file)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise click.ClickException(f"{file}:{line}: byte 0x{byte:02x} is not UTF-8 text") from None
    except ValueError:
        raise click.ClickException(
            f"{file} is larger than {MAX_BYTES:,} bytes, the most that is read"
        ) from None
    except OSError as error:
        raise Refused(f"{file} can't be read: {error.strerror}") from None


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
