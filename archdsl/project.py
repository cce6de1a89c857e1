"""Files: reading sources, the bundled architectures, and what a file may import."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archdsl.problems import Fault, nearest
from archdsl.problems.files import ImportNotFound, ImportOutside, UnreadableFile
from archdsl.shipped import shipped
from archdsl.source import Source

if TYPE_CHECKING:
    from archdsl.compiler.modules import Load

_NETWORK = re.compile(r"(?P<file>.+):(?P<network>[A-Za-z_]\w*)")
_DRIVE = re.compile(r"[A-Za-z]:[^\\/]*")

ARCH, PYTHON = ".arch", ".py"
"""How files of the language are called, and files of a user's own layers."""

MAX_BYTES = 1 << 20
"""The size of the largest file that is read: far beyond what anyone writes by hand."""
TOO_LARGE = f"the file is larger than {MAX_BYTES:,} bytes, the most that is read"


def divided(text: str, windows: bool = os.name == "nt") -> tuple[str, str | None]:
    """FILE and NETWORK. A name that is a file as it stands has no network, nor has a drive's letter.

    A bare name that is no file, such as `ResNet50`, is that of a bundled network.
    """
    if Path(text).exists() or (windows and _DRIVE.fullmatch(text)):
        return text, None
    found = _NETWORK.fullmatch(text)
    if found:
        return found["file"], found["network"]
    return _bundled_network(text) or (text, None)


def _bundled_network(name: str) -> tuple[str, str] | None:
    """The bundled file and network that a bare name means, in whatever case it is written."""
    if not name.isidentifier():
        return None
    for network, file in bundled_networks().items():
        if network.lower() == name.lower():
            return _told_apart(file), network
    return None


def _told_apart(file: str) -> str:
    """What to call a bundled file: by its name or, where a file here has the same, by its path."""
    return str(shipped("architectures") / file) if Path(file).exists() else file


def bundled_names() -> list[str]:
    """The file names of the bundled architectures, in order."""
    return sorted(path.name for path in shipped("architectures").glob("*.arch"))


def bundled_networks() -> dict[str, str]:
    """The networks of the bundled architectures, each with its file."""
    found = (bundled(file) for file in bundled_names())
    return {name: source.name for source in found if source for name in declared("network", source.text)}


def declared(what: str, text: str) -> list[str]:
    """The names of the networks or blocks that a text declares, as far as can be seen without parsing it."""
    return re.findall(rf"^{what}\s+(\w+)", text, re.MULTILINE)


def bundled(name: str) -> Source | None:
    """A bundled architecture by its file name, or None."""
    if name not in bundled_names():
        return None
    return Source(name, (shipped("architectures") / name).read_text(encoding="utf-8"))


def read(path: str | Path) -> Source:
    """The source of a file.

    Raises `OSError` where it can't be read, and `Fault` where it is no text that `decoded` takes.
    """
    with open(path, "rb") as file:
        return Source(str(path), decoded(file.read(MAX_BYTES + 1)))


def decoded(data: bytes) -> str:
    """The text of a file, of which no more than `MAX_BYTES` and one byte need be read.

    Raises `Fault` where it is larger, or not UTF-8 text.
    """
    if len(data) > MAX_BYTES:
        raise Fault(UnreadableFile(TOO_LARGE))
    # Of ASCII in UTF-16, which need not begin with its mark, every second byte is zero.
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or 4 * data.count(0) > len(data):
        raise Fault(UnreadableFile("the file looks like UTF-16; save it as UTF-8"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"byte 0x{data[error.start]:02x} in line {line} is not UTF-8 text"
        raise Fault(UnreadableFile(reason)) from None


class _Place(NamedTuple):
    """Where the source that was opened stands."""

    named: Path
    """Its folder, as it was named."""
    root: Path
    """Its folder, with links followed."""
    file: Path | None
    """Itself, with links followed; None where it is no file."""


def imports_of(source: Source, folder: Path | None = None) -> Load:
    """What a named file may import: files in its folder and below it, and the bundled architectures.

    A file means a bundled one by its own name, never itself, and bundled files import bundled ones alone,
    whatever lies around. Python files are found in the same way, but that none is bundled; finding one does
    not run it.
    Links are followed before the folder is compared, so none of them leads out of it. A source that
    is not a file (standard input, text from Python) is taken to stand in the current folder, or in
    `folder`, where one that is to be a file will stand.
    """
    folders: dict[str, Path] = {}

    @cache
    def place() -> _Place:
        """Where the source stands; most files import nothing and never ask."""
        found = _place_of(source, folder)
        if found.file is not None or not _is_bundled(source):
            folders[source.name] = found.root
        return found

    def load(path: str, importer: Source) -> Source:
        opened = place()
        beside = folders.get(importer.name)
        if beside is not None:
            target = _target(path, beside, opened.root)
            if target is not None:
                found = _imported(path, target, opened, source.name)
                if found.name != importer.name or path not in bundled_names():
                    folders[found.name] = target.parent
                    return found
            if path.endswith(PYTHON):
                reason = "there is no such file in this folder"
                raise Fault(ImportNotFound(path, reason, nearest_file(path, _beside(beside, PYTHON))))
        shipped_one = bundled(path)
        if shipped_one is None:
            reason = "there is no such file in this folder, nor among the bundled architectures"
            known = [*(_beside(beside, ARCH) if beside else ()), *bundled_names()]
            raise Fault(ImportNotFound(path, reason, nearest_file(path, known)))
        # No two files of a compilation may be called the same.
        called = str(shipped("architectures") / path) if path == source.name else _told_apart(path)
        return Source(called, shipped_one.text)

    return load


def nearest_file(name: str, names: Iterable[str]) -> str | None:
    """The name of a file that was most likely meant; that both end in `.arch` or `.py` tells nothing."""
    bare = {known.removesuffix(ARCH).removesuffix(PYTHON): known for known in names}
    found = nearest(name.removesuffix(ARCH).removesuffix(PYTHON), bare, 0.7)
    return None if found is None else bare[found]


def _beside(folder: Path, suffix: str) -> list[str]:
    """The files of a folder that end so; none where it can't be read."""
    try:
        return sorted(path.name for path in folder.glob(f"*{suffix}"))
    except OSError:
        return []


def _place_of(source: Source, folder: Path | None) -> _Place:
    opened = Path(source.name)
    is_file = opened.is_file()
    named = folder or (opened.parent if is_file else Path())
    try:
        return _Place(named, named.resolve(), opened.resolve() if is_file else None)
    except OSError:
        # The current folder is gone, and nothing can be imported from it.
        return _Place(named, Path(os.devnull), None)


def _is_bundled(source: Source) -> bool:
    """Whether a source that is no file here is the bundled one of its name."""
    found = bundled(source.name)
    return found is not None and found.text == source.text


def _target(path: str, beside: Path, root: Path) -> Path | None:
    """The file that an import means, seen from a folder; None where there is none, which may be bundled."""
    try:
        target = (beside / path).resolve()
    except (OSError, RuntimeError, ValueError):
        # A zero byte, half a surrogate pair, or links that lead in a circle.
        raise Fault(ImportNotFound(path, "no file can be called so, or links lead in a circle")) from None
    if target.is_relative_to(root):
        if target.is_file():
            return target
        if target.exists():
            raise Fault(ImportNotFound(path, "this is no regular file"))
    elif target.exists() or Path(path).is_absolute() or ".." in Path(path).parts:
        raise Fault(ImportOutside(path))
    return None


def _imported(path: str, target: Path, opened: _Place, name: str) -> Source:
    """The source of an imported file, called as seen from where the opened one, of that `name`, stands."""
    try:
        source = read(target)
    except Fault as fault:
        raise Fault(ImportNotFound(path, fault.problem.message())) from None
    except OSError as error:
        raise Fault(ImportNotFound(path, f"this file can't be read: {error.strerror}")) from None
    if target != opened.file:
        name = (opened.named / target.relative_to(opened.root)).as_posix()
    return Source(name, source.text)
