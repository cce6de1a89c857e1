"""Files as a revision of a git repository has them.

git is asked for what it stores, by `git cat-file` alone and with names on its standard input: nothing of a
name is taken for an option, no filter, pager or hook of the repository is run, and nothing is fetched.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from archdsl.problems import Fault
from archdsl.problems.files import ImportNotFound, ImportOutside
from archdsl.project import MARK, MAX_BYTES, PYTHON, TOO_LARGE, bundled, bundled_names, decoded
from archdsl.source import Source

if TYPE_CHECKING:
    from archdsl.compiler.modules import Load

_REVISION = re.compile(r"(?P<revision>(?:[^:{]|\{[^}]*\})+):(?P<path>.+)")

_COMMAND = ("-c", "core.fsmonitor=", "-c", "safe.bareRepository=explicit", "cat-file", "--follow-symlinks")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}

_LINKS = (b"symlink", b"dangling", b"loop", b"notdir")
"""What git says of a link that leads to no file of the revision, and of a path through a file."""


class Unavailable(Exception):
    """A file of a revision that can't be had; the message says why."""


def divided(text: str, windows: bool = os.name == "nt") -> tuple[str, str] | None:
    """REVISION and PATH of `REVISION:PATH`; None for what is no such thing, as a drive's letter is none."""
    found = _REVISION.fullmatch(text)
    if found is None or (windows and len(found["revision"]) == 1):
        return None
    return found["revision"], found["path"]


def read_at(revision: str, path: str, folder: Path, name: str) -> tuple[Source, Load]:
    """A file of a revision, called `name`, and what it may import: files of that revision.

    Which of them, and which bundled ones, is told as `imports_of` does.
    `path` is from the root of the repository or, where it begins with `./` or `../`, from `folder`, which is
    in it. Raises `Unavailable`.
    """
    text = _text(revision, path, folder)
    if text is None:
        raise Unavailable(_absent(revision, path, folder))
    source = Source(name, text)
    # What stands before the last part is kept as it is: `./` says from where it is meant.
    root = path[: len(path) - len(posixpath.basename(path))]
    places = {name: posixpath.basename(path)}

    @cache
    def project() -> str | None:
        """The file that marks the folder of the project, seen from the file's own; None where none does."""
        for up in range(len(folder.absolute().parts) + len(path.split("/"))):
            mark = "../" * up + MARK
            try:
                found = _asked("--batch-check", [f"{revision}:{root}{mark}"], folder)
            except Unavailable:
                # git does not look above its repository.
                break
            if found.splitlines()[0].split()[-2] == b"blob":
                return mark
        return None

    def load(wanted: str, importer: Source) -> Source:
        if importer.name in places:
            own = places[importer.name]
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(own), wanted))
            up = inside.split("/").count("..")
            if posixpath.isabs(inside) or up:
                mark = project()
                if posixpath.isabs(inside) or mark is None or up > mark.count("../"):
                    raise Fault(ImportOutside(wanted, mark and f"{revision}:{root}{mark}"))
            try:
                found = _text(revision, root + inside, folder)
            except Unavailable as error:
                raise Fault(ImportNotFound(wanted, str(error))) from None
            if found is not None and (inside != own or wanted not in bundled_names()):
                called = f"{revision}:{root}{inside}"
                places[called] = inside
                return Source(called, found)
        shipped = None if wanted.endswith(PYTHON) else bundled(wanted)
        if shipped is None:
            raise Fault(ImportNotFound(wanted, f"there is no such file at {revision}"))
        return shipped

    return source, load


def _text(revision: str, path: str, folder: Path) -> str | None:
    """The text of a file; None where the revision has none of this name."""
    asked = f"{revision}:{path}"
    tree, found = _asked("--batch-check", [f"{revision}^{{tree}}", asked], folder).splitlines()[:2]
    if tree.split()[-2] != b"tree":
        raise Unavailable(f"there is no revision {revision!r} in this repository")
    words = found.split()
    if words[0] in _LINKS:
        raise Unavailable(f"{path} at {revision} is a link that leads to no file of that revision")
    if not words[-1].isdigit():
        # It is missing, or kept in another repository.
        return None
    kind, size = words[-2], int(words[-1])
    if kind != b"blob":
        raise Unavailable(f"{path} at {revision} is a folder; name an .arch file in it")
    if size > MAX_BYTES:
        raise Unavailable(f"{path} at {revision}: {TOO_LARGE}")
    try:
        return decoded(_asked("--batch", [asked], folder).partition(b"\n")[2][:size])
    except Fault as fault:
        raise Unavailable(f"{path} at {revision}: {fault.problem.message()}") from None


def _absent(revision: str, path: str, folder: Path) -> str:
    """What to say of a file that a revision has not; it may be meant from the folder, not from the root."""
    said = f"there is no file {path.removeprefix('./')} at {revision}"
    if not path.startswith(("./", "../")) and _text(revision, f"./{path}", folder) is not None:
        return f"{said}; from this folder it is {revision}:./{path}"
    return said


def _asked(how: str, names: list[str], folder: Path) -> bytes:
    """What git answers of some names, a line each or more."""
    if any(character in name for name in names for character in "\n\r\0"):
        raise Unavailable("no revision and no file can be called so")
    git = shutil.which("git")
    if git is None:
        raise Unavailable("git, which keeps revisions, is not installed")
    command = [git, *_COMMAND, how]
    text = "".join(f"{name}\n" for name in names)
    try:
        done = subprocess.run(
            command,
            input=os.fsencode(text),
            capture_output=True,
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            check=False,
        )
    except (OSError, ValueError) as error:
        raise Unavailable(f"git can't be run: {error}") from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if "not a git repository" in said:
        raise Unavailable(f"{folder.absolute()} is in no git repository")
    raise Unavailable(f"git can't read it: {said.splitlines()[0] if said else 'it says nothing'}")
