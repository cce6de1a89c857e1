"""Where results and messages go, and how they are dressed there."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from archdsl.progress import Told, untold
from archdsl.report.terminal import Style
from archdsl.source import readable
from archdsl.writing import unwritten, write_whole

if TYPE_CHECKING:
    from archdsl.diagnostics import Diagnostic


BROKEN_PIPE = 141
"""The exit code where nobody reads what is written: 128 and the number of SIGPIPE."""


def write_all(stream: TextIO) -> None:
    """Have a stream write a sign that its encoding lacks as its escape, rather than end in an error."""
    codecs.register_error("archdsl", _escaped)
    stream.reconfigure(errors="archdsl")  # type: ignore[attr-defined]


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = readable(error.object[error.start : error.end])
    return text.encode("ascii", "backslashreplace").decode(), error.end


class Refused(click.ClickException):
    """A command line that asks for what is not there; the message says all there is to say."""

    exit_code = 2


def style(stream: TextIO) -> Style:
    """Colours on a terminal, or wherever `FORCE_COLOR` asks for them, unless `NO_COLOR` is set.

    ASCII where the encoding has no finer signs.
    """
    fit = stream.isatty() and os.environ.get("TERM") != "dumb"
    colour = (fit or os.environ.get("FORCE_COLOR", "0") not in ("", "0")) and not os.environ.get("NO_COLOR")
    try:
        "×─→…·–".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Style(colour, ascii=True)
    return Style(colour)


def width(stream: TextIO) -> int | None:
    """The columns of the terminal, or those that `COLUMNS` asks for; None where nothing limits them."""
    if stream.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size().columns
    return None


_hushed = False


@contextmanager
def waiting(what: str) -> Iterator[Told]:
    """Say on standard error, where that is a terminal, which part of something is done, from 0 to 1."""
    if _hushed or not sys.stderr.isatty():
        yield untold
        return
    said = ""

    def say(part: float) -> None:
        nonlocal said
        line = f"{what}: {int(100 * part)} %"
        if line != said:
            said = line
            click.echo(f"\r{line}", sys.stderr, nl=False)

    try:
        yield say
    finally:
        # Nothing of it stays.
        click.echo(f"\r{' ' * len(said)}\r", sys.stderr, nl=False)


def hush(hushed: bool = True) -> None:
    """Write nothing from now on: of several processes that do the same, one speaks."""
    global _hushed
    _hushed = hushed


def result(text: str) -> None:
    """Write a result to standard output."""
    _write(text, sys.stdout)


def json_result(data: dict[str, Any]) -> None:
    """Write a result to standard output as JSON."""
    result(json_text(data))


def json_text(data: dict[str, Any]) -> str:
    """Data as JSON, which has no number that is infinite or none: `null` stands in its place."""
    import json

    try:
        return json.dumps(data, indent=2, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data), indent=2, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not isfinite(data) else data


def message(text: str) -> None:
    """Write anything else to standard error."""
    _write(text, sys.stderr)


def show(diagnostics: list[Diagnostic], to_error: bool = True) -> None:
    """Write diagnostics with their source, an empty line after each."""
    from archdsl.report.diagnostics import WIDTH, render

    stream = sys.stderr if to_error else sys.stdout
    room = max(40, min(width(stream) or WIDTH, WIDTH) - 8)
    for diagnostic in diagnostics:
        _write(render(diagnostic, style(stream), room) + "\n", stream)


def written(data: bytes) -> None:
    """Write bytes to standard output as they are, whatever its encoding."""
    _write(data, sys.stdout, ends_line=False)


def _write(text: str | bytes, stream: TextIO, ends_line: bool = True) -> None:
    """Write a text and a line's end. Where nobody reads any more, the command ends."""
    if _hushed:
        return
    try:
        # Colours were decided where the text was made.
        click.echo(text, stream, nl=ends_line, color=True)
    except BrokenPipeError:
        raise click.exceptions.Exit(BROKEN_PIPE) from None
    except OSError as error:
        raise lost(error) from None


def lost(error: OSError) -> click.ClickException:
    """What to say where a result can't be written, as to a disk that is full."""
    return click.ClickException(unwritten("the result", error))


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all."""
    with writing(path):
        write_whole(path, content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Write a file, or say why it can't be written."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(unwritten(path, error)) from None
