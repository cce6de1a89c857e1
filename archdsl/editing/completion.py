"""What may be written where a cursor stands, and the arguments of what is being called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from archdsl.compiler.expressions import (
    ANSWER_WORDS,
    ANSWERS,
    EXPECTED_FACTS,
    NETWORK_FACTS,
    VALUE_FACTS,
)
from archdsl.compiler.functions import FUNCTIONS
from archdsl.compiler.peaks import PEAK_ARGUMENTS, PEAKS, peak_signature
from archdsl.compiler.signatures import Signature
from archdsl.editing.context import Context, context_at
from archdsl.editing.document import Document, Library
from archdsl.editing.index import Definition, Index, Scope
from archdsl.editing.wording import MEANINGS, NETWORK_MEANINGS, parameter_text
from archdsl.layers import LAYERS
from archdsl.layers.arguments import Kind, Parameter
from archdsl.project import ARCH, bundled, bundled_names, declared
from archdsl.recipes.keys import KEYS, OF_PARTS, Key
from archdsl.recipes.word import Word
from archdsl.report.reference import summary
from archdsl.syntax import tree

Sort = Literal[
    "layer",
    "block",
    "network",
    "value",
    "number",
    "function",
    "argument",
    "word",
    "keyword",
    "key",
    "file",
    "fact",
]

TOP_WORDS = ("network", "block", "train", "import", "let")
STATEMENT_WORDS = (
    "from",
    "parallel",
    "repeat",
    "for",
    "if",
    "let",
    "expect",
    "output",
    "shared",
    "input",
)
CHAIN_WORDS = ("parallel", "repeat", "for", "if")
JOINS = ("add", "multiply", "concat")
CONSTANTS = ("true", "false", "none")
MOST_ENTRIES = 2_000
"""Files of a folder that are offered to import from."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Something that may stand at `start`, up to the cursor. `rank` orders, the smaller first."""

    label: str
    sort: Sort
    start: int
    detail: str = ""
    documentation: str = ""
    rank: int = 5


def completions(library: Library, document: Document, offset: int) -> list[Completion]:
    """All that may be written at a place, each name once."""
    context = context_at(document, offset)
    if context.place == "nothing":
        return []
    found: dict[str, Completion] = {}
    for one in _Completions(library, document, offset, context).all():
        found.setdefault(one.label, one)
    return sorted(found.values(), key=lambda one: one.rank)


class _Completions:
    """The completions of one place."""

    def __init__(self, library: Library, document: Document, offset: int, context: Context) -> None:
        self.library = library
        self.document = document
        self.context = context
        self.index = library.index(document)
        self.scope = self.index.scope_at(offset)

    def all(self) -> Iterator[Completion]:
        context = self.context
        match context.place:
            case "file":
                yield from self.words(TOP_WORDS)
            case "network name":
                for definition in self.index.module.names.values():
                    if definition.what == "network":
                        yield self.name(definition, 1)
            case "statement":
                yield from self.chain()
                yield from self.words(STATEMENT_WORDS)
            case "chain":
                yield from self.chain()
                yield from self.words(CHAIN_WORDS)
            case "join":
                yield from self.layers(JOINS, 1)
                yield from self.chain()
            case "value":
                yield from self.values()
            case "expression":
                yield from self.expression(sorted(ANSWER_WORDS) if self.context.compared in ANSWERS else ())
            case "default":
                yield from self.expression()
                yield from self.layers(sorted(LAYERS))
            case "attribute":
                yield from self.attributes()
            case "import names":
                yield from self.import_names()
            case "import path":
                yield from self.import_paths()
            case "key":
                yield from self.keys()
            case "key attribute":
                yield from self.parts()
            case "setting":
                yield from self.setting()
            case "recipe argument":
                yield from self.recipe_argument()
            case "argument":
                yield from self.argument()

    def one(self, label: str, sort: Sort, detail: str = "", said: str = "", rank: int = 5) -> Completion:
        return Completion(label, sort, self.context.start, detail, said, rank)

    def words(self, words: Iterable[str], rank: int = 6) -> Iterator[Completion]:
        for word in words:
            yield self.one(word, "keyword", rank=rank)

    # ------------------------------------------------------------------------ names

    def name(self, definition: Definition, rank: int) -> Completion:
        """What a file defines."""
        node = definition.node
        if isinstance(node, tree.Block) and definition.what in ("block", "network"):
            signature = Signature.of_block(node).text
            return self.one(definition.name, definition.what, signature, node.documentation, rank)
        sort: Sort = "value" if definition.what in ("label", "input", "shared") else "number"
        said = node.documentation if isinstance(node, tree.Line) else ""
        return self.one(definition.name, sort, described(definition), said, rank)

    def visible(self) -> Iterator[Definition]:
        """The names that are seen here, but those that are defined below, which can't be used yet."""
        for definition in self.scope.visible().values():
            here = definition.span.source is self.document.source
            later = here and definition.span.end > self.context.start
            if not (later and definition.what in ("label", "shared", "let")):
                yield definition

    def layers(self, names: Iterable[str], rank: int = 4) -> Iterator[Completion]:
        for name in names:
            layer = LAYERS[name]
            yield self.one(name, "layer", Signature.of_layer(layer).text, summary(layer), rank)

    def chain(self) -> Iterator[Completion]:
        """What stands in a chain: blocks, what holds a layer, and layers."""
        for definition in self.visible():
            if definition.what in ("block", "import") and definition.node is not self.scope.body:
                yield self.name(definition, 3)
            elif definition.what in ("shared", "parameter", "loop"):
                yield self.name(definition, 2)
        yield from self.layers(sorted(LAYERS))

    def values(self, rank: int = 1) -> Iterator[Completion]:
        for definition in self.visible():
            if definition.what in ("label", "input", "parameter", "loop"):
                yield self.name(definition, rank)
        yield from self.input()

    def input(self) -> Iterator[Completion]:
        if self.scope.body is not None:
            yield self.one("input", "value", "what reaches the block or network", rank=3)

    def expression(self, words: Iterable[str] = ()) -> Iterator[Completion]:
        for word in words:
            yield self.one(word, "word", rank=0)
        for definition in self.visible():
            if definition.what not in ("block", "network"):
                yield self.name(definition, 2)
        yield from self.input()
        for name, (signature, _) in FUNCTIONS.items():
            yield self.one(name, "function", signature.text, rank=4)
        if self.context.in_expect:
            for name in NETWORK_FACTS:
                yield self.one(name, "fact", NETWORK_MEANINGS[name], rank=1)
        yield from self.words(CONSTANTS)

    def attributes(self) -> Iterator[Completion]:
        inner = inside(self.index, self.scope, self.context.path)
        if inner is not None:
            for definition in inner.names.values():
                if definition.what in ("label", "shared", "input"):
                    yield self.name(definition, 1)
        facts = [*VALUE_FACTS, *(EXPECTED_FACTS if self.context.in_expect else ())]
        for name in facts:
            yield self.one(name, "fact", MEANINGS[name], rank=2)

    # ------------------------------------------------------------------------ arguments

    def argument(self) -> Iterator[Completion]:
        """Within parentheses: the words that the argument takes, values, and the arguments that are left."""
        context = self.context
        definition = self.index.in_chain(context.callee.split(".")[0], self.scope)
        block = None if definition is None else definition.node
        if isinstance(block, tree.Block):
            names = [parameter.name for parameter in block.parameters]
            for parameter in self.left(names):
                default = next(p.default for p in block.parameters if p.name == parameter)
                said = "required" if default is None else f"default {default.span.text}"
                yield self.one(f"{parameter}=", "argument", said, rank=1)
            yield from self.expression()
            yield from self.chain()
            return
        if definition is None and context.callee in PEAKS and context.in_expect:
            asked = PEAK_ARGUMENTS.get(self.current(peak_signature(context.callee)) or "")
            yield from self.arguments(PEAK_ARGUMENTS)
            yield from self.expression(asked.kind.spelt() if asked is not None else ())
            return
        layer = LAYERS.get(context.callee) if definition is None else None
        if layer is None:
            yield from self.expression()
            return
        signature = Signature.of_layer(layer)
        current = self.current(signature)
        yield from self.arguments(layer.arguments)
        kind = layer.arguments[current].kind if current in layer.arguments else None
        if kind is not None and kind.role != "number":
            yield from self.values(rank=0)
            return
        yield from self.expression(kind.spelt() if kind is not None else ())
        if signature.values:
            yield from self.values()

    def arguments(self, parameters: dict[str, Parameter]) -> Iterator[Completion]:
        for name in self.left(list(parameters)):
            parameter = parameters[name]
            yield self.one(f"{name}=", "argument", parameter.kind.expected, parameter_text(parameter), 1)

    def left(self, names: list[str]) -> list[str]:
        """The arguments that are not given yet; none where the name of one, or a list, is open."""
        context = self.context
        if context.argument is not None or context.in_list:
            return []
        return [name for name in names[context.position :] if name not in context.given]

    def current(self, signature: Signature) -> str | None:
        """The argument that is being written."""
        context = self.context
        if context.argument is not None:
            return context.argument
        if signature.values or context.position >= len(signature.parameters):
            return None
        return signature.parameters[context.position]

    # ------------------------------------------------------------------------ imports

    def import_names(self) -> Iterator[Completion]:
        imported = self.library.imported(self.document, self.context.text) if self.context.text else None
        if imported is not None:
            for definition in imported.module.names.values():
                if definition.what == "block":
                    yield self.name(definition, 1)
            return
        for file in bundled_names():
            source = bundled(file)
            for name in declared("block", source.text) if source is not None else ():
                yield self.one(name, "block", file)

    def import_paths(self) -> Iterator[Completion]:
        written = self.context.text
        start = self.context.start
        quoted = start > 0 and self.document.text[start - 1] == '"'
        before = os.path.dirname(written)
        names: dict[str, int] = {}
        try:
            with os.scandir(self.document.folder / before) as found:
                entries = sorted(islice(found, MOST_ENTRIES), key=lambda entry: entry.name)
        except (OSError, ValueError):
            entries = []
        for entry in entries:
            beside = f"{before}/{entry.name}" if before else entry.name
            if entry.name.endswith(ARCH) and entry.path != self.document.name:
                names[beside] = 1
            elif entry.is_dir() and not entry.name.startswith("."):
                names[f"{beside}/"] = 2
        if not before:
            for name in bundled_names():
                names.setdefault(name, 3)
        for name, rank in names.items():
            yield self.one(name if quoted else f'"{name}"', "file", rank=rank)

    # ------------------------------------------------------------------------ recipes

    def train(self) -> tree.Train | None:
        at = self.context.start
        trains = [d for d in self.document.file.declarations if isinstance(d, tree.Train)]
        return next((t for t in trains if t.span.start <= at <= t.span.end), None)

    def network_scope(self) -> Scope | None:
        train = self.train()
        network = self.index.network_of(train) if train is not None else None
        return None if network is None else network.inner

    def keys(self) -> Iterator[Completion]:
        train = self.train()
        given = {s.key for s in train.settings if isinstance(s, tree.Setting)} if train is not None else set()
        for name, key in KEYS.items():
            if name not in given:
                rank = 1 if key.example else 2
                yield self.one(name, "key", key.documentation, key.example or "", rank)
        scope = self.network_scope()
        for definition in scope.names.values() if scope is not None else ():
            if definition.what in ("label", "shared"):
                yield self.name(definition, 3)

    def parts(self) -> Iterator[Completion]:
        """What a dotted key may go on with: what is set of a part, and the parts inside it."""
        for name, key in OF_PARTS.items():
            yield self.one(name, "key", key.documentation, rank=1)
        scope = self.network_scope()
        inner = inside(self.index, scope, self.context.path) if scope is not None else None
        for definition in inner.names.values() if inner is not None else ():
            if definition.what in ("label", "shared"):
                yield self.name(definition, 2)

    def key(self) -> Key | None:
        _, dot, name = self.context.key.rpartition(".")
        return OF_PARTS.get(name) if dot else KEYS.get(name)

    def setting(self) -> Iterator[Completion]:
        key = self.key()
        takes = key.takes if key is not None else None
        if isinstance(takes, Kind):
            yield from (self.one(word, "word", rank=0) for word in takes.spelt())
        elif takes is not None:
            for word in takes.words.values():
                yield self.one(word.word, "word", word.signature().text, summary(word), 1)
        yield from self.numbers()

    def recipe_argument(self) -> Iterator[Completion]:
        word = self.word(self.context.callee)
        if word is None:
            yield from self.numbers()
            return
        yield from self.arguments(word.arguments)
        current = self.current(word.signature())
        kind = word.arguments[current].kind if current in word.arguments else None
        for one in kind.spelt() if kind is not None else ():
            yield self.one(one, "word", rank=0)
        scope = self.network_scope()
        if kind is not None and kind.role == "output" and scope is not None:
            for definition in scope.names.values():
                if definition.what == "label":
                    yield self.name(definition, 1)
        yield from self.numbers()

    def word(self, name: str) -> type[Word] | None:
        """The word of a recipe that is called so, where this setting takes it."""
        key = self.key()
        if key is None or isinstance(key.takes, Kind):
            return None
        found: type[Word] | None = key.takes.words.get(name)
        return found

    def numbers(self) -> Iterator[Completion]:
        """The numbers that a recipe sees: the file's, and the network's parameters."""
        scope = self.network_scope()
        around = scope.visible() if scope is not None else self.index.module.visible()
        for definition in around.values():
            if definition.what in ("let", "parameter"):
                yield self.name(definition, 3)


def inside(index: Index, scope: Scope, path: list[str]) -> Scope | None:
    """The scope whose labels stand after `a.b.`."""
    found = index.value_of(path[0], scope) if path else None
    if found is None:
        return None
    inner = index.inside(found[0])
    for name in path[1:]:
        following = inner.names.get(name) if inner is not None else None
        inner = index.inside(following) if following is not None else None
    return inner


def described(definition: Definition) -> str:
    """What a name of a file is, in a few words of the file."""
    node = definition.node
    if definition.what == "import":
        return f'from "{node.path}"' if isinstance(node, tree.Import) else "could not be read"
    if isinstance(node, tree.Parameter):
        default = "" if node.default is None else f" = {_line(node.default.span.text)}"
        return f"parameter {definition.name}{default}"
    if isinstance(node, tree.Input):
        shape = "" if node.shape is None else f": {_line(node.shape.span.text)}"
        return f"input {definition.name}{shape}"
    if definition.what == "parameter":
        return f"parameter {definition.name}"
    if isinstance(node, tree.For):
        target, values = node.target.span.text, node.values.span.text
        return f"for {_line(target)} in {_line(values)}"
    return _line(node.span.text)


def _line(text: str) -> str:
    """The first line of a text, in a length that a window shows."""
    first, _, rest = text.partition("\n")
    shown = first.rstrip("\r ")
    return shown if len(shown) <= 80 and not rest else f"{shown[:80].rstrip()} …"


# ------------------------------------------------------------------------------ what is being called


@dataclass(frozen=True, slots=True)
class Help:
    """A signature, the places of its parameters in it, what each is for, and which is being written."""

    text: str
    documentation: str
    parameters: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    active: int | None = None


def signature_help(library: Library, document: Document, offset: int) -> Help | None:
    """The signature of what is called around a place."""
    context = context_at(document, offset)
    if not context.callee:
        return None
    index = library.index(document)
    scope = index.scope_at(offset)
    if context.in_recipe:
        key = KEYS.get(context.key) or OF_PARTS.get(context.key.rpartition(".")[2])
        family = None if key is None or isinstance(key.takes, Kind) else key.takes.words
        word = family.get(context.callee) if family is not None else None
        if word is None:
            return None
        return _help(word.signature(), _told(word.arguments), summary(word), context)
    definition = index.in_chain(context.callee.split(".")[0], scope)
    if definition is not None:
        node: Any = definition.node
        if isinstance(node, tree.Block):
            told = {p.name: "" for p in node.parameters}
            return _help(Signature.of_block(node), told, node.documentation, context)
        if isinstance(node, tree.Let) and node.parameters is not None:
            return _help(Signature.of_function(node), {p.name: "" for p in node.parameters}, "", context)
        return None
    layer = LAYERS.get(context.callee)
    if layer is not None:
        return _help(Signature.of_layer(layer), _told(layer.arguments), summary(layer), context)
    if context.callee in PEAKS:
        told = _told(PEAK_ARGUMENTS)
        return _help(peak_signature(context.callee), told, NETWORK_MEANINGS[context.callee], context)
    if context.callee in FUNCTIONS:
        signature = FUNCTIONS[context.callee][0]
        return _help(signature, dict.fromkeys(signature.parameters, ""), "", context)
    return None


def _told(parameters: dict[str, Parameter]) -> dict[str, str]:
    return {name: parameter_text(parameter) for name, parameter in parameters.items()}


def _help(signature: Signature, told: dict[str, str], documentation: str, context: Context) -> Help:
    parameters: list[tuple[tuple[int, int], str]] = []
    active: int | None = None
    name = context.argument
    if name is None and not signature.values and context.position < len(signature.parameters):
        name = signature.parameters[context.position]
    at = len(signature.owner)
    for parameter in signature.parameters:
        found = re.compile(rf"(?<=[(\s]){re.escape(parameter)}(?=[,)=])").search(signature.text, at)
        if found is None:
            continue
        at = found.end()
        if parameter == name:
            active = len(parameters)
        parameters.append((found.span(), told.get(parameter, "")))
    return Help(signature.text, documentation, parameters, active)
