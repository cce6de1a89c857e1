"""The files of an editor: the text of each as it stands there, its tree, and what it imports.

What is open is read from the editor and everything else from the disk, so that a file is checked against
what its author sees, saved or not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from archdsl.compiler.depth import deep
from archdsl.compiler.modules import Load
from archdsl.diagnostics import Diagnostic
from archdsl.editing.index import Index, imports_nothing
from archdsl.problems import Fault
from archdsl.project import ARCH, PYTHON, imports_of, project_of, read
from archdsl.shipped import shipped
from archdsl.source import Source
from archdsl.syntax import tree
from archdsl.syntax.grammar import grammar
from archdsl.syntax.parser import SIZE, parse
from archdsl.syntax.tokens import Token, Tokens, scan

MOST_FILES = 500
"""Files of a folder that are looked through for what they import."""

MOST_FOLDERS = 1_000
"""Folders in a folder that are looked into for files: a whole disk may be opened as one."""

PASSED_BY = frozenset({"node_modules", "site-packages", "__pycache__", "venv"})
"""Folders that are not looked into, beside those whose names begin with a point."""


class Document:
    """One state of a file's text. `name` is its path, or whatever the editor calls a file without one."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.source = Source(name, text)

    @cached_property
    def _parsed(self) -> tuple[tree.File, list[Diagnostic]]:
        return parse(self.source)

    @property
    def file(self) -> tree.File:
        return self._parsed[0]

    @property
    def mistakes(self) -> list[Diagnostic]:
        """What can't be read of it."""
        return self._parsed[1]

    @cached_property
    def tokens(self) -> list[Token]:
        """Its words and signs, comments left out."""
        if len(self.source.text) > SIZE:
            return []
        return scan(self.source, grammar(), Tokens())

    def read(self) -> None:
        """Read it now, so that whoever asks later does not wait."""
        _ = self._parsed, self.tokens

    @property
    def text(self) -> str:
        return self.source.text

    @property
    def folder(self) -> Path:
        """What its imports are relative to: of a file without a path, the current folder."""
        return Path(self.name).parent if os.path.isabs(self.name) else Path.cwd()


def path_of(name: str) -> str:
    """The path behind the name of a source: those that are bundled go by their bare names."""
    return name if os.path.isabs(name) else str(shipped("architectures") / name)


def is_bundled(name: str) -> bool:
    """Whether a source is one of the package's own, which nobody should change."""
    return Path(path_of(name)).parent == shipped("architectures")


def real(name: str) -> str:
    """A path with its links followed, by which files are known to be the same."""
    return os.path.realpath(name) if os.path.isabs(name) else name


def _files_in(folder: str) -> Iterator[str]:
    """The files of the language in a folder and those in it, those that are nearest first."""
    waiting = [folder]
    for inner in waiting:
        try:
            entries = sorted(os.scandir(inner), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in PASSED_BY:
                continue
            if entry.is_dir(follow_symlinks=False):
                if len(waiting) < MOST_FOLDERS:
                    waiting.append(entry.path)
            elif entry.name.endswith(ARCH):
                yield entry.path


class Library:
    """The files that an editor has open, and those beside them on the disk."""

    def __init__(self) -> None:
        self._open: dict[str, Document] = {}
        self._read: dict[str, tuple[tuple[int, int], Document]] = {}
        self._indices: dict[Document, tuple[tuple[Document, ...], Index]] = {}
        self.folders: list[str] = []
        """The folders that are worked in, if the editor says which."""

    # ------------------------------------------------------------------------ which files there are

    def put(self, document: Document) -> None:
        """Take a document for what its file says now."""
        self.close(document.name)
        self._open[real(document.name)] = document

    def close(self, name: str) -> None:
        """Read a file from the disk again."""
        document = self._open.pop(real(name), None)
        if document is not None:
            self._indices.pop(document, None)

    def opened(self, name: str) -> Document | None:
        return self._open.get(real(name))

    def document(self, name: str) -> Document | None:
        """A file as the editor has it, else as it stands on the disk; None where it can't be read."""
        found = self._open.get(real(name))
        if found is not None or not os.path.isabs(name):
            return found
        try:
            status = os.stat(name)
            state = (status.st_mtime_ns, status.st_size)
            known = self._read.get(name)
            if known is not None and known[0] == state:
                return known[1]
            document = Document(name, read(name).text)
        except (OSError, ValueError, Fault):
            return None
        if known is not None:
            self._indices.pop(known[1], None)
        self._read[name] = (state, document)
        return document

    # ------------------------------------------------------------------------ imports

    def imports(self, document: Document, loaded: list[tuple[str, str]] | None = None) -> Load:
        """How a document finds what it imports. What it finds is put into `loaded`, names and texts."""
        from_disk = imports_of(document.source, document.folder)

        def load(path: str, importer: Source) -> Source:
            try:
                found = from_disk(path, importer)
            except Fault as fault:
                if loaded is not None:
                    loaded.append((path, fault.problem.message()))
                raise
            opened = self._open.get(real(path_of(found.name)))
            if opened is not None:
                found = Source(found.name, opened.text)
            if loaded is not None:
                loaded.append((found.name, found.text))
            return found

        return load

    def index(self, document: Document) -> Index:
        """The names of a document, those that it imports among them."""
        return self._indexed(document, ())

    def _indexed(self, document: Document, around: tuple[Document, ...]) -> Index:
        imported = self._imported(document)
        known = None if around else self._indices.get(document)
        behind = () if around else self._behind(imported)
        if known is not None and known[0] == behind:
            return known[1]

        def find(path: str) -> Index | None:
            other = imported.get(path)
            if other is None or other is document or other in around:
                return None
            return self._indexed(other, (*around, document))

        with deep():
            index = Index(document.file, find if imported else imports_nothing)
        if not around:
            self._indices[document] = (behind, index)
        return index

    def _behind(self, imported: dict[str, Document]) -> tuple[Document, ...]:
        """All that is imported, and what that imports."""
        found = list(dict.fromkeys(imported.values()))
        for document in found:
            found += [one for one in self._imported(document).values() if one not in found]
        return tuple(found)

    def _imported(self, document: Document) -> dict[str, Document]:
        """The files that a document imports, by their paths as written."""
        load = self.imports(document)
        found: dict[str, Document] = {}
        for declaration in document.file.declarations:
            if not isinstance(declaration, tree.Import) or declaration.path.endswith(PYTHON):
                continue
            try:
                source = load(declaration.path, document.source)
            except Fault:
                continue
            other = self.document(path_of(source.name))
            if other is not None:
                found[declaration.path] = other
        return found

    def imported(self, document: Document, path: str) -> Index | None:
        """The names of a file that a document imports, or might."""
        try:
            source = self.imports(document)(path, document.source)
        except Fault:
            return None
        other = self.document(path_of(source.name))
        return None if other is None else self.index(other)

    def importers(self, name: str) -> list[Document]:
        """The files that may import a file: those that are open, and those of the folders around it."""
        found = dict(self._open)
        for folder in self._folders_of(name):
            for path in islice(_files_in(folder), MOST_FILES):
                document = self.document(path)
                if document is not None:
                    found.setdefault(real(path), document)
        return [document for key, document in found.items() if key != real(name)]

    def _folders_of(self, name: str) -> list[str]:
        if not os.path.isabs(name):
            return []
        around = [folder for folder in self.folders if real(name).startswith(real(folder) + os.sep)]
        return around or [str(project_of(Path(name).parent))]

    def may_import(self, document: Document, other: str) -> bool:
        """Whether a document says the name of another file where it imports."""
        stem = os.path.basename(other)
        return stem in document.text and any(
            isinstance(one, tree.Import) and os.path.basename(one.path) == stem
            for one in document.file.declarations
        )
