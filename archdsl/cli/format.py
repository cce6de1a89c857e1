"""`archdsl fmt`: files in the one canonical layout."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from archdsl.cli.networks import WRONG
from archdsl.cli.output import Refused, message, result, show, style, write_file, written
from archdsl.cli.targets import STANDARD_INPUT, Unreadable, files_of, source_of


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """A file as it is and as it should be."""

    name: str
    before: bytes
    after: bytes

    @property
    def changed(self) -> bool:
        return self.before != self.after


@click.command(short_help="Lay files out in the one canonical way.")
@click.argument("places", metavar="FILE|FOLDER...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; name the files that would change, and exit 1.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def fmt(places: tuple[str, ...], check: bool, diff: bool) -> int:
    """Lay files out in the one canonical way. Of a folder, all .arch files in it and below.

    What a file says and its comments stay as they are; so does a file with syntax errors. With `-`,
    standard input is laid out on standard output. A folder without such files ends it with exit code 2.
    """
    from archdsl.diagnostics import ArchError

    files: list[_LaidOut] = []
    codes = [0]
    folders = 0

    def failed(error: click.ClickException) -> None:
        message(f"error: {error.message}")
        codes.append(error.exit_code)

    for name in files_of(places):
        if isinstance(name, Unreadable):
            failed(name)
            folders += 1
            continue
        try:
            files.append(_laid_out(name))
        except ArchError as error:
            show(error.diagnostics)
            codes.append(WRONG)
        except click.ClickException as error:
            failed(error)
    unwritten = 0
    # All are laid out before any is written: a mistake of ours leaves everything as it was.
    for file in files:
        if file.name == STANDARD_INPUT and not (check or diff):
            written(file.after)
        elif not file.changed:
            continue
        elif diff:
            _show_difference(file)
        elif check:
            result(file.name)
        else:
            try:
                _write(file)
            except click.ClickException as error:
                failed(error)
                unwritten += 1
    same = sum(not file.changed for file in files)
    changed = len(files) - same - unwritten
    said = _summary(changed, same, len(codes) - 1 - folders, check or diff)
    if said and set(places) != {"-"}:
        message(said)
    return max(*codes, WRONG if check and changed else 0)


def _laid_out(name: str) -> _LaidOut:
    """A file and its layout. Raises `ArchError` where it has errors, or says why it can't be read."""
    from archdsl.project import missing
    from archdsl.syntax.formatter import format

    if name == STANDARD_INPUT:
        source = source_of(name)
        before = source.text.encode()
    else:
        if os.path.islink(name) and not os.path.exists(name):
            raise Refused(missing(name))
        if not os.path.exists(name):
            raise Refused(f"there is no file or folder {name!r} here")
        if not os.path.isfile(name):
            raise Refused(f"{name} is no regular file")
        source = source_of(name)
        before = Path(name).read_bytes()
    return _LaidOut(name, before, format(source.text, name).encode())


def _write(file: _LaidOut) -> None:
    """Put a file's layout in its place. Raises `ClickException` where it is read-only or can't be written."""
    # A renaming asks for no permission to write the file itself.
    if not os.stat(file.name).st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise click.ClickException(f"{file.name} is read-only, and is left as it is")
    write_file(Path(file.name), file.after)


def _show_difference(file: _LaidOut) -> None:
    """What would change, as a unified difference that `patch` takes, or in colours."""
    import difflib

    from archdsl.report.terminal import CYAN, GREEN, RED, visible

    before, after = (data.decode().splitlines(keepends=True) for data in (file.before, file.after))
    lines = list(difflib.unified_diff(before, after, file.name, file.name))
    if not sys.stdout.isatty():
        missing = "\n\\ No newline at end of file\n"
        text = "".join(line if line.endswith("\n") else line + missing for line in lines)
        written(text.encode(errors="surrogateescape"))
        return
    look = style(sys.stdout)
    colours = {"-": RED, "+": GREEN, "@": CYAN}
    for line in lines:
        text = visible(line.rstrip("\r\n"))
        result(look.paint(text, colours[line[0]]) if line[0] in colours else text)


def _summary(changed: int, same: int, failed: int, only_shown: bool) -> str:
    """`2 files changed, 3 files as they should be, 1 file not laid out`; empty for none."""
    from archdsl.problems.problem import plural

    said = [f"{plural(changed, 'file')} {'would change' if only_shown else 'changed'}"] if changed else []
    if same:
        said.append(f"{plural(same, 'file')} as {'it' if same == 1 else 'they'} should be")
    if failed:
        said.append(f"{plural(failed, 'file')} not laid out")
    return ", ".join(said)
