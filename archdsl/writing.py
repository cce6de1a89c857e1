"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def unwritten(what: object, error: OSError) -> str:
    """What to say of a file, or of anything else, that can't be written."""
    return f"{what} can't be written: {error.strerror}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, then rename it. Raises `OSError`.

    A link is followed, what is replaced keeps its permissions, and what is no regular file, such as a pipe,
    is written to as it is.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        place.write_bytes(content)
        return
    try:
        handle, aside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    except OSError as error:
        # It names the file aside, which nobody asked for.
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(aside, stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o666 & ~umask)
        os.replace(aside, place)
    except BaseException:
        os.unlink(aside)
        raise
