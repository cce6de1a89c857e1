"""What `archdsl.editing` gives, as the protocol has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from lsprotocol import types
from pygls import uris

from archdsl.diagnostics import Diagnostic
from archdsl.editing.completion import Completion
from archdsl.editing.document import Document, path_of
from archdsl.editing.navigation import Symbol
from archdsl.server.positions import Positions
from archdsl.source import Source, Span
from archdsl.syntax import tree

SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}

_COMPLETIONS = {
    "layer": types.CompletionItemKind.Function,
    "block": types.CompletionItemKind.Class,
    "network": types.CompletionItemKind.Module,
    "value": types.CompletionItemKind.Variable,
    "number": types.CompletionItemKind.Constant,
    "function": types.CompletionItemKind.Function,
    "argument": types.CompletionItemKind.Field,
    "word": types.CompletionItemKind.EnumMember,
    "keyword": types.CompletionItemKind.Keyword,
    "key": types.CompletionItemKind.Property,
    "file": types.CompletionItemKind.File,
    "fact": types.CompletionItemKind.Property,
}

_SYMBOLS = {
    "network": types.SymbolKind.Module,
    "block": types.SymbolKind.Class,
    "train": types.SymbolKind.Namespace,
    "input": types.SymbolKind.Variable,
    "label": types.SymbolKind.Field,
    "shared": types.SymbolKind.Field,
    "let": types.SymbolKind.Constant,
}

FOREIGN = 5
"""Errors in imported files that are shown, at the use that leads to them or at the import."""


def name_of(uri: str) -> str:
    """What a file is called here: its path, or its address where it has none."""
    path = uris.to_fs_path(uri) if uri.startswith("file:") else None
    return os.path.normpath(path) if path and os.path.isabs(path) else uri


def markdown(text: str) -> types.MarkupContent | None:
    return types.MarkupContent(types.MarkupKind.Markdown, text) if text else None


def message(diagnostic: Diagnostic) -> str:
    """All that is said of a mistake, a line each: what was found, what was expected, evidence, the mend."""
    parts = [diagnostic.message, diagnostic.text, *diagnostic.notes]
    if diagnostic.help:
        parts.append(f"help: {diagnostic.help}")
    return "\n".join(part for part in parts if part)


class Translation:
    """Translates for one editor: `uri` finds the address of a file by its name."""

    def __init__(self, uri: Callable[[str], str], encoding: str, related: bool) -> None:
        self.uri = uri
        self.encoding = encoding
        self._related = related

    def positions(self, source: Source) -> Positions:
        return Positions(source, self.encoding)

    def location(self, span: Span) -> types.Location:
        return types.Location(self.uri(path_of(span.source.name)), self.positions(span.source).shown(span))

    def diagnostics(
        self, document: Document, own: list[Diagnostic], foreign: list[Diagnostic]
    ) -> list[types.Diagnostic]:
        positions = self.positions(document.source)
        found = [self._diagnostic(one, positions.shown(one.span)) for one in own]
        errors = [one for one in foreign if one.severity == "error"]
        imports = [d for d in document.file.declarations if isinstance(d, tree.Import)]
        for one in errors[:FOREIGN] if imports else []:
            file = os.path.basename(one.span.source.name)
            named = (d for d in imports if os.path.basename(d.path) == file)
            # The last of the places in this file that led there is where it hands over.
            here = [label.span for label in one.labels if label.span.source.name == document.source.name]
            at = here[-1] if here else next(named, imports[0]).path_span
            shown = self._diagnostic(one, positions.shown(at))
            shown.message = f"{file}:{one.span.line}: {shown.message}"
            place = types.DiagnosticRelatedInformation(self.location(one.span), one.text or one.message)
            shown.related_information = [place, *(shown.related_information or ())]
            shown.data = {"name": one.name}
            found.append(shown)
        return found

    def _diagnostic(self, one: Diagnostic, shown: types.Range) -> types.Diagnostic:
        related = [
            types.DiagnosticRelatedInformation(self.location(label.span), label.text) for label in one.labels
        ]
        data: dict[str, Any] = {"name": one.name}
        if one.edit is not None:
            data["replacement"] = one.edit.replacement
        return types.Diagnostic(
            range=shown,
            message=message(one),
            severity=SEVERITIES[one.severity],
            code=one.name,
            source="archdsl",
            related_information=related if related and self._related else None,
            data=data,
        )

    def completions(
        self, document: Document, offset: int, found: list[Completion]
    ) -> list[types.CompletionItem]:
        positions = self.positions(document.source)
        ranges: dict[int, types.Range] = {}
        return [
            types.CompletionItem(
                label=one.label,
                kind=_COMPLETIONS[one.sort],
                detail=one.detail or None,
                documentation=markdown(one.documentation),
                sort_text=f"{one.rank}{number:04}",
                # Neovim leaves it to the server to sort out what does not fit, unless this is given.
                filter_text=one.label,
                text_edit=types.TextEdit(
                    ranges.setdefault(one.start, positions.range(one.start, offset)), one.label
                ),
            )
            for number, one in enumerate(found)
        ]

    def symbols(self, document: Document, found: list[Symbol]) -> list[types.DocumentSymbol]:
        positions = self.positions(document.source)

        def translated(one: Symbol) -> types.DocumentSymbol:
            return types.DocumentSymbol(
                name=one.name,
                kind=_SYMBOLS.get(one.what, types.SymbolKind.Variable),
                range=positions.range(one.start, one.end),
                selection_range=positions.range(one.name_start, one.name_end),
                detail=one.detail or None,
                children=[translated(child) for child in one.children] or None,
            )

        return [translated(one) for one in found]
