"""From a name to where it is defined and used, in one file and across those that import each other."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from archdsl.editing.document import Document, Library, is_bundled, path_of, real
from archdsl.editing.index import IN_CHAINS, Definition, Index, Reference, Scope
from archdsl.layers import LAYERS
from archdsl.problems import Fault
from archdsl.problems.tokens import NAMES
from archdsl.source import Span
from archdsl.syntax import tree
from archdsl.syntax.grammar import grammar


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a file."""

    name: str
    start: int
    end: int


class Refused(Exception):
    """A name can't be given; the text says why."""


def definition(library: Library, document: Document, offset: int) -> Place | None:
    """Where the name at a place is defined; of an imported file's path, the file."""
    reference = library.index(document).at(offset)
    if reference is not None:
        span = reference.definition.span
        return Place(path_of(span.source.name), span.start, span.end)
    for one in document.file.declarations:
        if isinstance(one, tree.Import) and one.path_span.start <= offset <= one.path_span.end:
            try:
                return Place(path_of(library.imports(document)(one.path, document.source).name), 0, 0)
            except Fault:
                return None
    return None


def references(
    library: Library, document: Document, offset: int, declared: bool = True, folders: bool = True
) -> list[Place]:
    """Every place that means what the name at a place means, in the files that may import it too."""
    reference = library.index(document).at(offset)
    if reference is None:
        return []
    found: dict[Place, None] = {}
    meant = reference.definition
    for index in _indices(library, document, meant, folders):
        for one in _meaning(index, meant):
            if declared or not one.declared:
                name = path_of(index.source.name)
                found.setdefault(Place(name, one.span.start, one.span.end))
    return list(found)


def highlights(library: Library, document: Document, offset: int) -> list[Span]:
    """The places of the document that mean what the name at a place means."""
    index = library.index(document)
    reference = index.at(offset)
    return [] if reference is None else [one.span for one in _meaning(index, reference.definition)]


def renamable(library: Library, document: Document, offset: int) -> Span:
    """The name at a place, if it can be changed. Raises `Refused`."""
    reference = library.index(document).at(offset)
    if reference is None:
        raise Refused("nothing that a file defines is named here")
    meant = reference.definition
    home = path_of(meant.span.source.name)
    if is_bundled(home) and library.opened(home) is None:
        file = meant.span.source.name.replace("\\", "/").rpartition("/")[2]
        raise Refused(f"{meant.name} is defined in {file}, which comes with archdsl")
    if meant.what == "import":
        raise Refused(f"where {meant.name} is defined can't be read")
    return reference.span


def renamed(library: Library, document: Document, offset: int, name: str) -> list[Place]:
    """The places to put another name into. Raises `Refused` where it is taken, or no name."""
    renamable(library, document, offset)
    reference = library.index(document).at(offset)
    assert reference is not None
    meant = reference.definition
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or name in grammar().keywords:
        raise Refused(f"{name!r} is no name: {NAMES}, and are no word of the language")
    if name in ("_", "N"):
        raise Refused(f"`{name}` is kept by the language")
    if name == meant.name:
        return []
    if name in LAYERS and meant.what in ("block", "network", *IN_CHAINS):
        raise Refused(f"`{name}` is a layer, and whatever is called so would hide it")
    for index in _indices(library, document, meant, folders=True):
        if any(True for _ in _meaning(index, meant)):
            _free(index, meant, name)
    return references(library, document, offset)


def _free(index: Index, meant: Definition, name: str) -> None:
    """Raise `Refused` where a file has the name already, and it would be seen from a place of the other."""
    taken: Definition | None = None
    if meant.what in ("block", "network") or meant.around is index.module:
        taken = next((one for one in index.definitions if one.name == name), None)
        taken = taken or index.module.names.get(name)
    elif meant.span.source is index.source:
        body = _outermost(meant.around)
        own = (one for one in index.definitions if one.name == name and _outermost(one.around) is body)
        taken = next(own, None) or index.module.names.get(name)
    if taken is not None:
        line = taken.span.line
        raise Refused(f"`{name}` is taken: {taken.span.source.name}:{line} defines it")


def _outermost(scope: Scope) -> Scope:
    """The scope of the block or network around a scope."""
    while scope.parent is not None and scope.parent.parent is not None:
        scope = scope.parent
    return scope


def _meaning(index: Index, meant: Definition) -> Iterator[Reference]:
    place = _placed(meant)
    return (one for one in index.references if _placed(one.definition) == place)


def _placed(definition: Definition) -> tuple[str, int]:
    name, start = definition.place
    return real(path_of(name)), start


def _indices(library: Library, document: Document, meant: Definition, folders: bool) -> Iterator[Index]:
    """The indices of the files that may mean a definition: its own, the document's, and the importers'."""
    home = path_of(meant.span.source.name)
    own = library.document(home) if not is_bundled(home) or library.opened(home) is not None else None
    files: dict[str, Document] = {real(document.name): document}
    if own is not None:
        files.setdefault(real(home), own)
    if folders:
        # What imports an importer may mean the definition as well.
        waiting = [home, *(one.name for one in files.values())]
        for name in waiting:
            for other in library.importers(home):
                if real(other.name) not in files and library.may_import(other, name):
                    files[real(other.name)] = other
                    waiting.append(other.name)
    for one in files.values():
        yield library.index(one)


# ------------------------------------------------------------------------------ the outline


@dataclass(frozen=True, slots=True)
class Symbol:
    """Something that a file defines, for its outline."""

    name: str
    detail: str
    what: str
    start: int
    end: int
    name_start: int
    name_end: int
    children: tuple[Symbol, ...] = ()


def symbols(library: Library, document: Document) -> list[Symbol]:
    """The networks, blocks, numbers and recipes of a file, with the labels in them."""
    from archdsl.editing.completion import described

    index = library.index(document)
    inside: dict[int, list[Definition]] = {}
    for definition in index.definitions:
        inside.setdefault(id(definition.around), []).append(definition)

    def symbol(definition: Definition) -> Symbol:
        node = definition.node
        whole = node.span if isinstance(node, tree.Block | tree.Line | tree.Let | tree.Shared) else None
        start, end = (whole or definition.span)[1:]
        children: list[Symbol] = []
        if definition.inner is not None and (node.span.source is index.source):
            children = [symbol(one) for one in _labels(definition.inner, inside, index)]
        detail = "" if isinstance(node, tree.Block) else described(definition)
        name_start, name_end = definition.span.start, definition.span.end
        start, end = min(start, name_start), max(end, name_end)
        return Symbol(
            definition.name, detail, definition.what, start, end, name_start, name_end, tuple(children)
        )

    found = [symbol(one) for one in inside.get(id(index.module), []) if one.what != "import"]
    for declaration in document.file.declarations:
        if isinstance(declaration, tree.Train):
            span = declaration.span
            name = f"train {declaration.network}" if declaration.network else "train"
            at = declaration.network_span or Span(span.source, span.start, span.start + len("train"))
            found.append(Symbol(name, "", "train", span.start, span.end, at.start, at.end))
    return sorted(found, key=lambda one: one.start)


def _labels(scope: Scope, inside: dict[int, list[Definition]], index: Index) -> Iterator[Definition]:
    """The labels of a scope, and those of scopes in it that no label opens."""
    opened = {id(one.inner) for one in inside.get(id(scope), []) if one.inner is not None}
    yield from (one for one in inside.get(id(scope), []) if one.what != "parameter" and one.what != "loop")
    for other in index.scopes:
        if other.parent is scope and id(other) not in opened:
            yield from _labels(other, inside, index)


# ------------------------------------------------------------------------------ folding


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines that can be folded, from 1; `comment` where they are one."""

    first: int
    last: int
    comment: bool = False


def folds(document: Document) -> list[Fold]:
    """Bodies in braces and lists in brackets of several lines, and comments of several."""
    source = document.source
    found: dict[int, Fold] = {}
    opened: list[tuple[str, int]] = []
    for token in document.tokens:
        if token.kind in ("LBRACE", "LPAR", "LSQB"):
            opened.append((token.kind, source.line_at(token.start)))
        elif token.kind in ("RBRACE", "RPAR", "RSQB") and opened:
            wanted = {"RBRACE": "LBRACE", "RPAR": "LPAR", "RSQB": "LSQB"}[token.kind]
            if not any(kind == wanted for kind, _ in opened):
                continue
            while opened[-1][0] != wanted:
                opened.pop()
            first, last = opened.pop()[1], source.line_at(token.start)
            if last > first:
                # The line that closes it stays, so that `} else {` is seen.
                kept = Fold(first, last - 1 if last - 1 > first else last)
                found.setdefault(first, kept)
                if found[first].last < kept.last:
                    found[first] = kept
    lines = [source.line_at(c.span.start) for c in document.file.comments if _alone(document, c.span.start)]
    for first, last in _runs(lines):
        if last > first:
            found.setdefault(first, Fold(first, last, comment=True))
    return [found[first] for first in sorted(found)]


def _alone(document: Document, start: int) -> bool:
    text = document.text
    return not text[text.rfind("\n", 0, start) + 1 : start].strip()


def _runs(lines: list[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring lines as their first and last."""
    first = last = -1
    for line in lines:
        if line != last + 1:
            if first > 0:
                yield first, last
            first = line
        last = line
    if first > 0:
        yield first, last


def token_at(document: Document, offset: int) -> tuple[int, int, str] | None:
    """The word or sign around a place, with its kind."""
    tokens = document.tokens
    index = bisect_right(tokens, offset, key=lambda token: token.start) - 1
    for token in tokens[max(0, index - 1) : index + 1][::-1]:
        if token.start <= offset <= token.end and token.kind != "NEWLINE":
            return token.start, token.end, token.kind
    return None
