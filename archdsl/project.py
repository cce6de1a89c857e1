"""Files: reading sources, the bundled architectures, and what a file may import."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from archdsl.problems import Fault, nearest
from archdsl.problems.files import ImportNotFound, ImportOutside
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
            # A file here of the same name is another.
            hidden = Path(file).exists()
            return (str(shipped("architectures") / file) if hidden else file), network
    return None


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

    Raises `OSError` where it can't be read, `UnicodeDecodeError` where it is not UTF-8 text, and
    `ValueError` where it is larger than `MAX_BYTES`.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES:,} bytes")
    return Source(str(path), data.decode("utf-8-sig"))


def imports_of(source: Source, folder: Path | None = None) -> Load:
    """What a named file may import: files in its folder and below it, and the bundled architectures.

    Python files are found in the same way, but that none is bundled; finding one does not run it.
    Links are followed before the folder is compared, so none of them leads out of it. A source that
    is not a file (standard input, text from Python) is taken to stand in the current folder, or in
    `folder`, where one that is to be a file will stand.
    """
    folders: dict[str, Path] = {}

    @cache
    def named_and_root() -> tuple[Path, Path]:
        """The folder as it is named and as it is; most files import nothing and never ask."""
        opened = Path(source.name)
        named = folder or (opened.parent if opened.is_file() else Path())
        try:
            return named, named.resolve()
        except OSError:
            # The current folder is gone, and nothing can be imported from it.
            return named, Path(os.devnull)

    def load(path: str, importer: Source) -> Source:
        named, root = named_and_root()
        beside = folders.get(importer.name, root)
        try:
            target = (beside / path).resolve()
        except (OSError, RuntimeError, ValueError):
            # A zero byte, half a surrogate pair, or links that lead in a circle.
            raise Fault(ImportNotFound(path, "no file can be called so, or links lead in a circle")) from None
        if target.is_relative_to(root):
            if target.is_file():
                found = _imported(path, target, root, named)
                folders[found.name] = target.parent
                return found
            if target.exists():
                raise Fault(ImportNotFound(path, "this is no regular file"))
        elif target.exists() or Path(path).is_absolute() or ".." in Path(path).parts:
            raise Fault(ImportOutside(path))
        if path.endswith(PYTHON):
            reason = "there is no such file in this folder"
            raise Fault(ImportNotFound(path, reason, nearest_file(path, _beside(beside, PYTHON))))
        found_bundled = bundled(path)
        if found_bundled is None:
            reason = "there is no such file in this folder, nor among the bundled architectures"
            meant = nearest_file(path, [*_beside(beside, ARCH), *bundled_names()])
            raise Fault(ImportNotFound(path, reason, meant))
        return found_bundled

    return load


def nearest_file(name: str, names: Iterable[str]) -> str | None:
    """The name of a file that was most likely meant; that both end in `.arch` or `.py` tells nothing."""
    bare = {known.removesuffix(ARCH).removesuffix(PYTHON): known for known in names}
    found = nearest(name.removesuffix(ARCH).removesuffix(PYTHON), bare)
    return None if found is None else bare[found]


def _beside(folder: Path, suffix: str) -> list[str]:
    """The files of a folder that end so; none where it can't be read."""
    try:
        return sorted(path.name for path in folder.glob(f"*{suffix}"))
    except OSError:
        return []


def _imported(path: str, target: Path, root: Path, named: Path) -> Source:
    """The source of an imported file, called as seen from where the opened one was `named`."""
    try:
        source = read(target)
    except UnicodeDecodeError:
        raise Fault(ImportNotFound(path, "this file is not UTF-8 text")) from None
    except ValueError:
        raise Fault(ImportNotFound(path, f"this file is larger than {MAX_BYTES:,} bytes")) from None
    except OSError as error:
        raise Fault(ImportNotFound(path, f"this file can't be read: {error.strerror}")) from None
    return Source((named / target.relative_to(root)).as_posix(), source.text)
