"""What is told of a name to one who points at it, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

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
from archdsl.editing.checks import Check, Seen
from archdsl.editing.completion import described
from archdsl.editing.context import context_at
from archdsl.editing.document import Document, Library
from archdsl.editing.hints import line_at
from archdsl.editing.index import Called, Definition, Index
from archdsl.editing.navigation import token_at
from archdsl.editing.wording import (
    MEANINGS,
    NETWORK_MEANINGS,
    facts_text,
    fenced,
    parameter_text,
    parameters_page,
    seen_text,
    shapes_text,
    totals_text,
)
from archdsl.layers import LAYERS
from archdsl.layers.arguments import Kind
from archdsl.layers.layer import Layer
from archdsl.recipes.keys import KEYS, OF_PARTS
from archdsl.report.reference import page
from archdsl.source import Span
from archdsl.syntax import tree


@dataclass(frozen=True, slots=True)
class Hover:
    """A text about a stretch of a document."""

    start: int
    end: int
    text: str


def hover(library: Library, document: Document, offset: int, check: Check | None = None) -> Hover | None:
    """What is known of the name at a place; `check` is the document, checked, as it stands."""
    token = token_at(document, offset)
    if token is None or token[2] in ("STRING", "NUMBER"):
        return None
    start, end, _ = token
    if not document.text[start:end].isidentifier():
        return None
    if check is not None and check.document is not document:
        check = None
    index = library.index(document)
    text = _told(index, document, start, end, check)
    return None if text is None else Hover(start, end, text)


def _told(index: Index, document: Document, start: int, end: int, check: Check | None) -> str | None:
    reference = index.at(start)
    if reference is None or not reference.span.start <= start < reference.span.end:
        reference = index.at(end)
    if reference is not None and reference.span.start <= start < reference.span.end:
        return _definition(reference.definition, reference.span, document, check)
    call = index.calls.get(start)
    if call is not None and call.definition is None and call.name in LAYERS:
        return _layer(call, check)
    if call is not None and call.name in FUNCTIONS:
        return fenced(FUNCTIONS[call.name][0].text)
    if call is not None and call.name in PEAKS:
        takes = parameters_page(peak_signature(call.name), PEAK_ARGUMENTS)
        return f"{NETWORK_MEANINGS[call.name]}\n\n{takes}"
    return (
        _argument(index, document, start, end)
        or _in_recipe(document, start, end)
        or _bare(document, start, end)
    )


def _definition(definition: Definition, at: Span, document: Document, check: Check | None) -> str:
    node = definition.node
    here = definition.span.source is document.source
    if isinstance(node, tree.Block) and definition.what in ("block", "network"):
        kind = "network" if node.is_network else "block"
        parts = [fenced(f"{kind} {Signature.of_block(node).text}"), node.documentation]
        if check is not None and here and definition.name in check.totals:
            parts.append(totals_text(check.totals[definition.name]))
        line = line_at(document.file, at.start)
        only = line.items[0] if line is not None and len(line.items) == 1 else None
        if isinstance(only, tree.Use) and only.name_span.start == at.start:
            parts.append(_seen(check, line))
    else:
        parts = [fenced(described(definition))]
        if isinstance(node, tree.Line):
            parts.append(node.documentation)
            parts.append(_seen(check, node) if here else "")
    if not here:
        parts.append(f"in {definition.span.source.name}")
    return "\n\n".join(part for part in parts if part)


def _seen(check: Check | None, line: tree.Line | None) -> str:
    """What is known of a line, if it was checked."""
    seen: Seen | None = check.lines.get(line.span.start) if check is not None and line is not None else None
    return seen_text(seen) if seen is not None and seen.first else ""


def _layer(call: Called, check: Check | None) -> str:
    """A layer's page, with what is known of this use of it above it."""
    layer = LAYERS[call.name]
    parts = []
    seen = check.uses.get(call.name_span.start) if check is not None else None
    if seen is not None:
        first = seen.first[0]
        inputs = ", ".join(shapes_text((shape,)) for shape in first.inputs)
        change = f"{inputs} → {shapes_text(first.shapes)}" if inputs else shapes_text(first.shapes)
        several = " (its first use)" if len(seen.shapes) > 1 else ""
        known = facts_text(first)
        parts.append(f"**{change}**{several}" + (f"  \n{known}" if known else ""))
    return "\n\n".join([*parts, _page(layer)])


def _page(layer: type[Layer]) -> str:
    """The reference of a layer."""
    return f"{parameters_page(Signature.of_layer(layer), layer.arguments)}\n\n{page(layer)}"


def _argument(index: Index, document: Document, start: int, end: int) -> str | None:
    """The name of a layer's argument, or a word that it takes."""
    name = document.text[start:end]
    for call in index.calls.values():
        if call.definition is not None or call.name not in LAYERS:
            continue
        layer = LAYERS[call.name]
        names = Signature.of_layer(layer).parameters
        for position, argument in enumerate(call.arguments):
            if not argument.span.start <= start < argument.span.end:
                continue
            by_place = names[position] if position < len(names) else None
            parameter = layer.arguments.get(argument.name or by_place or "")
            if parameter is None:
                continue
            is_name = argument.name_span is not None and argument.name_span.start == start
            if is_name or name in parameter.kind.words:
                return f"{fenced(f'{call.name}({parameter.name}=...)')}\n\n{parameter_text(parameter)}"
    return None


def _in_recipe(document: Document, start: int, end: int) -> str | None:
    """A key of a recipe, a word that it takes, or an argument of one."""
    name = document.text[start:end]
    for train in document.file.declarations:
        if not isinstance(train, tree.Train) or not train.span.start <= start < train.span.end:
            continue
        for setting in train.settings:
            if not isinstance(setting, tree.Setting) or not setting.span.start <= start < setting.span.end:
                continue
            _, dot, key_name = setting.key.rpartition(".")
            key = OF_PARTS.get(key_name) if dot else KEYS.get(key_name)
            if key is None:
                return None
            if start < setting.key_span.end:
                known = name == key_name and setting.key_span.end == end
                example = f"\n\n{fenced(key.example)}" if key.example else ""
                return f"{key.documentation}{example}" if known else None
            if isinstance(key.takes, Kind):
                return key.takes.expected if name in key.takes.words else None
            word = key.takes.words.get(name)
            if word is not None:
                return f"{parameters_page(word.signature(), word.arguments)}\n\n{page(word)}"
            called = key.takes.words.get(context_at(document, start).callee)
            parameter = called.arguments.get(name) if called is not None else None
            return parameter_text(parameter) if parameter is not None else None
    return None


def _bare(document: Document, start: int, end: int) -> str | None:
    """A fact that is asked of a value or network, and a layer that is named as an argument."""
    name = document.text[start:end]
    before = document.text[:start].rstrip()
    if before.endswith("."):
        return MEANINGS[name] if name in (*VALUE_FACTS, *EXPECTED_FACTS) else None
    context = context_at(document, start)
    if context.in_expect and name in NETWORK_FACTS:
        return NETWORK_MEANINGS[name]
    if name in ANSWER_WORDS and context.compared in ANSWERS:
        return MEANINGS[context.compared]
    if name in LAYERS and context.place in ("argument", "expression"):
        return _page(LAYERS[name])
    return None
