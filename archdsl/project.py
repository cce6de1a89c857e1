"""Files: reading sources, the bundled architectures, and what a file may import."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archdsl.problems import Fault, nearest
from archdsl.problems.files import ImportNotFound, ImportOutside, UnreadableFile
from archdsl.shipped import shipped
from archdsl.source import Source, Span

if TYPE_CHECKING:
    from archdsl.compiler.modules import Load

_NETWORK = re.compile(r"(?P<file>.+):(?P<network>[A-Za-z_]\w*)")
_DRIVE = re.compile(r"[A-Za-z]:[^\\/]*")

ARCH, PYTHON = ".arch", ".py"
"""How files of the language are called, and files of a user's own layers."""

MARK = ".archroot"
"""A file that marks the folder of a project, whose files may import each other. Its text is never read."""

RECIPE = "recipe.json"
"""The file by which a folder is known to be that of a run."""

MAX_BYTES = 1 << 20
"""The size of the largest file that is read: far beyond what anyone writes by hand."""
TOO_LARGE = f"the file is larger than {MAX_BYTES:,} bytes, the most that is read"


def divided(text: str, windows: bool = os.name == "nt") -> tuple[str, str | None]:
    """FILE and NETWORK. A name that is a file as it stands has no network, nor has a drive's letter.

    A bare name that is no file, such as `ResNet50`, is that of a bundled network.
    """
    if os.path.exists(text) or (windows and _DRIVE.fullmatch(text)):
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
    return str(shipped("architectures") / file) if os.path.exists(file) else file


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


class _Said(OSError):
    """An error that says what may have been meant, in place of what the system says."""

    def __str__(self) -> str:
        return str(self.strerror)


class NoFile(_Said, FileNotFoundError):
    """Neither a file here nor a bundled one."""


class NamedFolder(_Said, IsADirectoryError):
    """A folder in place of a file."""


def named(file: str) -> Source:
    """The source of a file, or of the bundled one of that name where there is none here.

    Raises as `read` does: where there is no such file `NoFile`, and for a folder `NamedFolder`.
    """
    found = None if os.path.exists(file) else bundled(file)
    try:
        return found or read(file)
    except FileNotFoundError as error:
        raise NoFile(error.errno, missing(file), file) from None
    except IsADirectoryError as error:
        raise NamedFolder(error.errno, _folder(file), file) from None


def is_run(folder: Path) -> bool:
    """Whether a path is the folder of a run."""
    return os.path.isfile(folder / RECIPE)


def _folder(file: str) -> str:
    """What to say of a folder, with the .arch file that is in it."""
    try:
        inside = list(Path(file).glob("*.arch"))
    except OSError:
        inside = []
    if len(inside) == 1 and is_run(Path(file)):
        return f"{file} is the folder of a run; its network, without what was set of it, is {inside[0]}"
    return f"{file} is a folder; name an .arch file in it" + (f": {inside[0]}" if len(inside) == 1 else "")


def missing(file: str) -> str:
    """What to say of a file that is not there, with the nearest name among those that are."""
    if os.path.islink(file):
        return f"{file} is a link to {os.readlink(file)}, which isn't there"
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


def read(path: str | Path) -> Source:
    """The source of a file.

    Raises `OSError` where it can't be read, and `Fault` where it is no text that `decoded` takes.
    """
    with open(path, "rb", opener=_at_once) as file:
        begun: bytes | None = b""
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            begun = file.raw.read(1)
            if begun == b"":
                raise OSError(errno.ENXIO, "it is a pipe, and nothing writes into it", str(path))
        if _WITHOUT_WAITING:
            os.set_blocking(file.fileno(), True)
        return Source(str(path), decoded((begun or b"") + file.read(MAX_BYTES + 1)))


_WITHOUT_WAITING: int = getattr(os, "O_NONBLOCK", 0)


def _at_once(path: str, flags: int) -> int:
    """Open a file; of a pipe, which is to be read, without waiting until somebody else opens it."""
    return os.open(path, flags | _WITHOUT_WAITING)


class NoText(Fault):
    """Raised of bytes that are no text: with as much of a text as they are, and where in it the first is."""

    def __init__(self, problem: UnreadableFile, text: str, start: int) -> None:
        super().__init__(problem)
        self.text = text
        self.start = start


def place_of(fault: Fault, file: str) -> Span:
    """Where `decoded` found a file at fault: where it is no text, or as a whole."""
    if isinstance(fault, NoText):
        return Span(Source(file, fault.text), fault.start, fault.start + 1)
    return Span(Source(file, ""), 0, 0)


def decoded(data: bytes) -> str:
    """The text of a file, of which no more than `MAX_BYTES` and one byte need be read.

    Raises `Fault` where it is larger, or not UTF-8 text.
    """
    if len(data) > MAX_BYTES:
        raise Fault(UnreadableFile(TOO_LARGE))
    # Of ASCII in UTF-16, which need not begin with its mark, every second byte is zero.
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or 4 * data.count(0) > len(data):
        raise Fault(UnreadableFile("the file looks like UTF-16; save it as UTF-8"))
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        text, start = data.decode("utf-8", "replace"), len(data[: error.start].decode("utf-8"))
        line, _ = Source("", text).position(start)
        reason = f"byte 0x{data[error.start]:02x} in line {line} is not UTF-8 text"
        raise NoText(UnreadableFile(reason, "save the file as UTF-8"), text, start) from None


class _Place(NamedTuple):
    """Where the source that was opened stands."""

    named: Path
    """Its folder, as it was named."""
    folder: Path
    """Its folder, with links followed."""
    root: Path
    """The folder that no import leaves: that of its project, or its own."""
    file: Path | None
    """Itself, with links followed; None where it is no file."""

    def called(self, target: Path) -> str:
        """What to call a file that is imported, or could be: by its path as the opened one was named."""
        if target.is_relative_to(self.folder):
            return (self.named / target.relative_to(self.folder)).as_posix()
        if self.named.is_absolute():
            return target.as_posix()
        return Path(os.path.relpath(target)).as_posix()


def imports_of(source: Source, folder: Path | None = None) -> Load:
    """What a named file may import: files in its folder and below it, and the bundled architectures.

    Where its folder, or one above that, has a file `MARK`, those in and below the nearest that has are meant.
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
            folders[source.name] = found.folder
        return found

    def load(path: str, importer: Source) -> Source:
        opened = place()
        beside = folders.get(importer.name)
        if beside is not None:
            target = _target(path, beside, opened)
            if target is not None:
                found = _imported(path, target, opened, source.name)
                if found.name != importer.name or path not in bundled_names():
                    folders[found.name] = target.parent
                    return found
            if path.endswith(PYTHON):
                reason = "there is no such file in this folder"
                meant = _from_root(path, beside, opened) or nearest_file(path, _beside(beside, PYTHON))
                raise Fault(ImportNotFound(path, reason, meant))
        shipped_one = bundled(path)
        if shipped_one is None:
            reason = "there is no such file in this folder, nor among the bundled architectures"
            known = [*(_beside(beside, ARCH) if beside else ()), *bundled_names()]
            meant = _from_root(path, beside, opened) if beside else None
            raise Fault(ImportNotFound(path, reason, meant or nearest_file(path, known)))
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
    is_file = os.path.isfile(opened)
    named = folder or (opened.parent if is_file else Path())
    try:
        real = named.resolve()
        return _Place(named, real, project_of(real), opened.resolve() if is_file else None)
    except OSError:
        # The current folder is gone, and nothing can be imported from it.
        return _Place(named, Path(os.devnull), Path(os.devnull), None)


def project_of(folder: Path) -> Path:
    """The nearest folder, from this one up, that is marked as a project's; this one where none is."""
    return next((one for one in (folder, *folder.parents) if os.path.isfile(one / MARK)), folder)


def _is_bundled(source: Source) -> bool:
    """Whether a source that is no file here is the bundled one of its name."""
    found = bundled(source.name)
    return found is not None and found.text == source.text


def _target(path: str, beside: Path, opened: _Place) -> Path | None:
    """The file that an import means, seen from a folder; None where there is none, which may be bundled."""
    try:
        target = (beside / path).resolve()
    except (OSError, RuntimeError, ValueError):
        # A zero byte, half a surrogate pair, or links that lead in a circle.
        raise Fault(ImportNotFound(path, "no file can be called so, or links lead in a circle")) from None
    if target.is_relative_to(opened.root):
        if os.path.isfile(target):
            if Path(path).is_absolute():
                # The same file must mean the same wherever its folder lies.
                relative = Path(os.path.relpath(target, beside)).as_posix()
                raise Fault(ImportNotFound(path, "a path is relative to the importing file", relative))
            return target
        if os.path.exists(target):
            raise Fault(ImportNotFound(path, "this is no regular file"))
    elif os.path.exists(target) or Path(path).is_absolute() or ".." in Path(path).parts:
        raise Fault(_outside(path, beside, target, opened))
    return None


def _from_root(path: str, beside: Path, opened: _Place) -> str | None:
    """The path from a folder to a file that is there as seen from the root; None where none is."""
    try:
        target = (opened.root / path).resolve()
    except (OSError, RuntimeError):
        # Links that lead in a circle.
        return None
    if Path(path).is_absolute() or not target.is_relative_to(opened.root) or not os.path.isfile(target):
        return None
    return Path(os.path.relpath(target, beside)).as_posix()


def _outside(path: str, beside: Path, target: Path, opened: _Place) -> ImportOutside:
    """What to say of an import that leads out of the root, by itself or by a link on its way."""
    project = opened.called(opened.root / MARK) if os.path.isfile(opened.root / MARK) else None
    linked = Path(os.path.normpath(beside / path)).is_relative_to(opened.root)
    around = (folder for folder in opened.folder.parents if target.is_relative_to(folder))
    both = None if project else next(around, None)
    if both is None or Path(os.path.expanduser("~")).is_relative_to(both):
        # Nobody should let every file of the disk, or of their own, be imported.
        mark = None
    else:
        mark = opened.called(both / MARK)
    return ImportOutside(path, project, opened.called(target) if linked else None, mark)


def _imported(path: str, target: Path, opened: _Place, name: str) -> Source:
    """The source of an imported file, called as seen from where the opened one, of that `name`, stands."""
    try:
        source = read(target)
    except Fault as fault:
        raise Fault(ImportNotFound(path, fault.problem.message())) from None
    except OSError as error:
        raise Fault(ImportNotFound(path, f"this file can't be read: {error.strerror}")) from None
    return Source(name if target == opened.file else opened.called(target), source.text)
