"""The language server: the real process, spoken to by a real client, as an editor speaks to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient
from test_editing import SCRAPS, SMALL, broken

from archdsl.project import bundled, bundled_names
from archdsl.server.positions import Positions
from archdsl.source import Source

COMMAND = [sys.executable, "-c", "from archdsl.cli.main import main; main()", "lsp"]
LONG = 60.0
"""Seconds that nothing takes, however busy the machine."""


class Editor(LanguageClient):
    """A client with the files that it has open, and all that it was told."""

    def __init__(self) -> None:
        super().__init__("tests", "1")
        self.told: dict[str, list[types.PublishDiagnosticsParams]] = {}
        self.news = asyncio.Event()
        self.complaints: list[str] = []
        self.shown: list[str] = []
        self.versions: dict[str, int] = {}
        self.settings: Any = None
        self.refreshed = 0

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: types.PublishDiagnosticsParams) -> None:
            self.told.setdefault(params.uri, []).append(params)
            self.news.set()

        @self.feature(types.WINDOW_LOG_MESSAGE)
        def logged(params: types.LogMessageParams) -> None:
            self.complaints.append(params.message)

        @self.feature(types.WINDOW_SHOW_MESSAGE)
        def shown(params: types.ShowMessageParams) -> None:
            self.shown.append(params.message)

        @self.feature(types.WORKSPACE_CONFIGURATION)
        def configuration(params: types.ConfigurationParams) -> list[Any]:
            return [self.settings for _ in params.items]

        @self.feature(types.CLIENT_REGISTER_CAPABILITY)
        def registered(params: types.RegistrationParams) -> None:
            pass

        @self.feature(types.WORKSPACE_INLAY_HINT_REFRESH)
        def refresh(params: Any) -> None:
            self.refreshed += 1

    def open(self, uri: str, text: str) -> None:
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, "arch", 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, uri: str, text: str) -> None:
        self.versions[uri] += 1
        identifier = types.VersionedTextDocumentIdentifier(self.versions[uri], uri)
        changes = [types.TextDocumentContentChangeWholeDocument(text)]
        self.text_document_did_change(types.DidChangeTextDocumentParams(identifier, changes))

    async def diagnostics(self, uri: str) -> list[types.Diagnostic]:
        """What is said of the text as it stands."""

        async def wait() -> list[types.Diagnostic]:
            while True:
                said = self.told.get(uri)
                if said and said[-1].version == self.versions[uri]:
                    return list(said[-1].diagnostics)
                self.news.clear()
                await self.news.wait()

        return await asyncio.wait_for(wait(), LONG)

    async def hints(self, uri: str) -> list[types.InlayHint]:
        everything = types.Range(types.Position(0, 0), types.Position(100_000, 0))
        params = types.InlayHintParams(types.TextDocumentIdentifier(uri), everything)
        return list(await asyncio.wait_for(self.text_document_inlay_hint_async(params), LONG) or [])


CAPABILITIES = types.ClientCapabilities(
    workspace=types.WorkspaceClientCapabilities(
        configuration=True,
        inlay_hint=types.InlayHintWorkspaceClientCapabilities(refresh_support=True),
        workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
        did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
    ),
    text_document=types.TextDocumentClientCapabilities(
        publish_diagnostics=types.PublishDiagnosticsClientCapabilities(related_information=True)
    ),
)


@contextlib.asynccontextmanager
async def session(
    folder: Path,
    options: Any = None,
    settings: Any = None,
    capabilities: types.ClientCapabilities = CAPABILITIES,
) -> AsyncIterator[Editor]:
    """An editor with its server, from the handshake to the goodbye; nothing may go wrong inside it."""
    editor = Editor()
    editor.settings = settings
    await editor.start_io(*COMMAND, cwd=folder)
    params = types.InitializeParams(
        capabilities,
        root_uri=folder.as_uri(),
        workspace_folders=[types.WorkspaceFolder(folder.as_uri(), folder.name)],
        initialization_options=options,
    )
    await asyncio.wait_for(editor.initialize_async(params), LONG)
    editor.initialized(types.InitializedParams())
    process = editor._server
    assert process is not None
    try:
        yield editor
        await asyncio.wait_for(editor.shutdown_async(None), LONG)
        editor.exit(None)
        assert await asyncio.wait_for(process.wait(), LONG) == 0
        assert editor.complaints == []
        assert process.stderr is not None
        assert b"Traceback" not in await process.stderr.read()
    finally:
        if process.returncode is None:
            process.kill()
        await editor.stop()


def spoken(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario to its end."""
    asyncio.run(asyncio.wait_for(scenario(), 4 * LONG))


def place(uri: str, text: str, word: str, further: int = 0) -> dict[str, Any]:
    """The position of a word, as parameters of a request."""
    position = Positions(Source("", text)).position(text.index(word) + further)
    return {"text_document": types.TextDocumentIdentifier(uri), "position": position}


def cut(text: str, where: types.Range) -> str:
    """The text of a range."""
    positions = Positions(Source("", text))
    return text[positions.offset(where.start) : positions.offset(where.end)]


def edited(text: str, edits: list[types.TextEdit]) -> str:
    """A text with edits made."""
    positions = Positions(Source("", text))
    for edit in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
        start, end = positions.offset(edit.range.start), positions.offset(edit.range.end)
        text = text[:start] + edit.new_text + text[end:]
    return text


def test_a_file_from_opening_to_closing(tmp_path: Path) -> None:
    """Diagnostics, hints, hover, completion, signatures, names, outline and mends, in one session."""
    uri = (tmp_path / "small.arch").as_uri()
    identifier = types.TextDocumentIdentifier(uri)

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(uri, SMALL)
            assert [
                d for d in await editor.diagnostics(uri) if d.severity == types.DiagnosticSeverity.Error
            ] == []
            hints = {hint.position.line: hint for hint in await editor.hints(uri)}
            assert hints[15].label == "8 × 32 × 32"
            assert hints[15].position.character == len("  stem: Unit(base, kernel=7)")

            said = await editor.text_document_hover_async(types.HoverParams(**place(uri, SMALL, "max_pool(")))
            assert said is not None and "16 × 32 × 32 → 16 × 16 × 16" in said.contents.value
            assert said.range is not None and cut(SMALL, said.range) == "max_pool"

            typed = SMALL.replace("  scores:", "  conv(8, kernel=3, pad\n  scores:", 1)
            editor.change(uri, typed)
            at = types.CompletionParams(**place(uri, typed, "pad\n", 3))
            items = await editor.text_document_completion_async(at)
            assert isinstance(items, list | tuple)
            padding = next(item for item in items if item.label == "padding=")
            # Without it Neovim takes all of them for fitting.
            assert all(item.filter_text == item.label for item in items)
            assert isinstance(padding.text_edit, types.TextEdit)
            assert edited(typed, [padding.text_edit]) == typed.replace("pad\n", "padding=\n", 1)
            helped = await editor.text_document_signature_help_async(
                types.SignatureHelpParams(**place(uri, typed, "8, kernel=3, pad", 3))
            )
            assert helped is not None and helped.signatures[0].label.startswith("conv(channels, kernel")
            assert helped.active_parameter == 1
            errors = [
                d for d in await editor.diagnostics(uri) if d.severity == types.DiagnosticSeverity.Error
            ]
            assert {error.range.start.line for error in errors} == {typed[: typed.index("pad\n")].count("\n")}

            wrong = SMALL.replace("linear(classes)", "linear(classes, bais=true)", 1)
            editor.change(uri, wrong)
            (error,) = [
                d for d in await editor.diagnostics(uri) if d.severity == types.DiagnosticSeverity.Error
            ]
            assert (error.code, error.source) == ("unknown-argument", "archdsl")
            assert error.data == {"name": "unknown-argument", "replacement": "bias"}
            assert cut(wrong, error.range) == "bais"
            actions = await editor.text_document_code_action_async(
                types.CodeActionParams(identifier, error.range, types.CodeActionContext([error]))
            )
            (action,) = actions or []
            assert isinstance(action, types.CodeAction) and action.title == "Replace `bais` by `bias`"
            assert action.edit is not None and action.edit.document_changes is not None
            change = action.edit.document_changes[0]
            assert isinstance(change, types.TextDocumentEdit)
            assert change.text_document.version == editor.versions[uri]
            assert "bias=true" in edited(wrong, list(change.edits))

            warned = SMALL.replace("bias=false", "bias=true", 1)
            editor.change(uri, warned)
            (warning,) = await editor.diagnostics(uri)
            asked_for = types.CodeActionParams(identifier, warning.range, types.CodeActionContext([warning]))
            both = await editor.text_document_code_action_async(asked_for) or []
            offered = {one.title: one.is_preferred for one in both if isinstance(one, types.CodeAction)}
            assert offered.pop("Allow `bias-before-norm` here") is False
            assert [*offered.values()] == [True]

            editor.change(uri, SMALL)
            found = await editor.text_document_definition_async(
                types.DefinitionParams(**place(uri, SMALL, "pair.first", 5))
            )
            assert isinstance(found, types.Location) and found.uri == uri and found.range.start.line == 8
            asked = types.ReferenceParams(
                context=types.ReferenceContext(True), **place(uri, SMALL, "base = 8")
            )
            references = await editor.text_document_references_async(asked) or []
            assert [one.range.start.line for one in references] == [0, 15, 20]
            marked = await editor.text_document_document_highlight_async(
                types.DocumentHighlightParams(**place(uri, SMALL, "base = 8"))
            )
            assert len(marked or []) == 3
            prepared = await editor.text_document_prepare_rename_async(
                types.PrepareRenameParams(**place(uri, SMALL, "stem: "))
            )
            assert isinstance(prepared, types.PrepareRenamePlaceholder) and prepared.placeholder == "stem"
            renamed = await editor.text_document_rename_async(
                types.RenameParams(new_name="first_layer", **place(uri, SMALL, "stem: "))
            )
            assert renamed is not None and renamed.document_changes is not None
            (change,) = renamed.document_changes
            assert isinstance(change, types.TextDocumentEdit)
            assert edited(SMALL, list(change.edits)) == SMALL.replace("stem", "first_layer")
            with pytest.raises(JsonRpcException, match="taken"):
                await editor.text_document_rename_async(
                    types.RenameParams(new_name="joined", **place(uri, SMALL, "stem: "))
                )

            symbols = await editor.text_document_document_symbol_async(types.DocumentSymbolParams(identifier))
            assert [one.name for one in symbols or []] == ["base", "Unit", "Pair", "Small", "train"]
            folds = await editor.text_document_folding_range_async(types.FoldingRangeParams(identifier))
            assert (13, 24) in {(fold.start_line, fold.end_line) for fold in folds or []}

            editor.text_document_did_close(types.DidCloseTextDocumentParams(identifier))
            del editor.versions[uri]
            while editor.told[uri][-1].diagnostics or editor.told[uri][-1].version is not None:
                editor.news.clear()
                await asyncio.wait_for(editor.news.wait(), LONG)

    spoken(scenario)


def test_formatting(tmp_path: Path) -> None:
    uri = (tmp_path / "a.arch").as_uri()
    untidy = "network   A{\n  input x:[3,8,8]\n      relu\n}\n"
    options = types.FormattingOptions(2, True)

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(uri, untidy)
            params = types.DocumentFormattingParams(types.TextDocumentIdentifier(uri), options)
            edits = await editor.text_document_formatting_async(params)
            tidy = edited(untidy, list(edits or []))
            assert tidy == "network A {\n  input x: [3, 8, 8]\n  relu\n}\n"
            editor.change(uri, tidy)
            assert not await editor.text_document_formatting_async(params)
            assert editor.shown == []
            editor.change(uri, "network A {\n  input x: [3, 8\n}\n")
            assert await editor.text_document_formatting_async(params) is None
            (said,) = editor.shown
            assert said.startswith("not laid out: line 2: ")

    spoken(scenario)


def test_a_mistake_shows_the_places_that_explain_it(tmp_path: Path) -> None:
    uri = (tmp_path / "a.arch").as_uri()
    text = (
        "network A {\n  input x: [3, 8, 8]\n  a: conv(4, kernel=3)\n  b: from x -> conv(4, kernel=1)\n"
        "  from a, b -> add\n}\n"
    )

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(uri, text)
            (error,) = await editor.diagnostics(uri)
            related = {cut(text, one.location.range): one.message for one in error.related_information or []}
            assert set(related) == {"a", "b"}
        bare = types.ClientCapabilities()
        async with session(tmp_path, capabilities=bare) as editor:
            editor.open(uri, text)
            (error,) = await editor.diagnostics(uri)
            assert error.related_information is None

    spoken(scenario)


def test_columns_are_counted_as_the_editor_counts_them(tmp_path: Path) -> None:
    """A sign outside of the first 65,536 is two units of UTF-16; a client may ask for others."""
    uri = (tmp_path / "a.arch").as_uri()
    text = "network A {\r\n  input x: [3]\r\n  import \U0001f600 x; linear(2, bais=true)\r\n}\r\n"

    async def at(encodings: list[types.PositionEncodingKind]) -> int:
        general = types.GeneralClientCapabilities(position_encodings=encodings)
        async with session(tmp_path, capabilities=types.ClientCapabilities(general=general)) as editor:
            editor.open(uri, text)
            found = [d for d in await editor.diagnostics(uri) if d.range.start.line == 2]
            return max(d.range.start.character for d in found)

    async def scenario() -> None:
        sign = text.splitlines()[2].index("\U0001f600")
        in_16 = await at([types.PositionEncodingKind.Utf16])
        in_32 = await at([types.PositionEncodingKind.Utf32])
        assert in_32 >= sign
        assert in_16 - in_32 == (in_32 > sign)

    spoken(scenario)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_go_there_and_back(encoding: str) -> None:
    text = "a\U0001f600b\r\nä\n\n\rx\u2028y\ud800\n"
    positions = Positions(Source("", text), encoding)
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":
            assert positions.offset(positions.position(offset)) == offset
    assert positions.offset(types.Position(99, 0)) == len(text)
    assert positions.offset(types.Position(0, 99)) == 3
    inside = types.Position(0, 2)
    assert positions.offset(inside) == (2 if encoding == "utf-32" else 1)


def test_importing_files_follow_what_is_open(tmp_path: Path) -> None:
    unit, user = tmp_path / "unit.arch", tmp_path / "user.arch"
    unit.write_text("block Unit {\n  conv(4, kernel=1)\n}\n")
    text = 'import Unit from "unit.arch"\nnetwork A {\n  input x: [3, 8, 8]\n  Unit\n}\n'
    user.write_text(text)

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(user.as_uri(), text)
            assert [hint.label for hint in await editor.hints(user.as_uri())] == ["4 × 8 × 8"]
            editor.open(unit.as_uri(), unit.read_text())
            editor.change(unit.as_uri(), "block Unit {\n  conv(5, kernel=3)\n}\n")
            await editor.diagnostics(unit.as_uri())
            assert [hint.label for hint in await editor.hints(user.as_uri())] == ["5 × 6 × 6"]
            # What is wrong in the imported file is said where it is imported, and leads there.
            editor.change(unit.as_uri(), "block Unit {\n  conv(5, kernel=3, bais=true)\n}\n")
            await editor.hints(user.as_uri())
            (error,) = await editor.diagnostics(user.as_uri())
            assert error.message.startswith("unit.arch:2: ") and cut(text, error.range) == '"unit.arch"'
            # What is wrong with a use is said at that use.
            editor.change(unit.as_uri(), "block Unit {\n  conv(5, kernel=30)\n}\n")
            await editor.hints(user.as_uri())
            (error,) = await editor.diagnostics(user.as_uri())
            assert error.message.startswith("unit.arch:2: ") and cut(text, error.range) == "Unit"
            assert error.range.start.line == 3
            assert error.related_information is not None
            assert error.related_information[0].location.uri == unit.as_uri()
            renamed = await editor.text_document_rename_async(
                types.RenameParams(new_name="Cell", **place(user.as_uri(), text, "Unit\n"))
            )
            assert renamed is not None and renamed.document_changes is not None
            changed = {c.text_document.uri: c.text_document.version for c in renamed.document_changes}  # type: ignore[union-attr]
            assert changed == {unit.as_uri(): 4, user.as_uri(): 1}
            # A file that vanishes, and comes back.
            closed = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(unit.as_uri()))
            editor.text_document_did_close(closed)
            kept = unit.read_text()
            unit.unlink()
            gone = types.FileEvent(unit.as_uri(), types.FileChangeType.Deleted)
            editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([gone]))
            await editor.hints(user.as_uri())
            assert [d.code for d in await editor.diagnostics(user.as_uri())] == ["import-not-found"]
            unit.write_text(kept)
            back = types.FileEvent(unit.as_uri(), types.FileChangeType.Created)
            editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([back]))
            assert [hint.label for hint in await editor.hints(user.as_uri())] == ["4 × 8 × 8"]
            # A folder that becomes a project's.
            inner, mark = (tmp_path / "nets/inner.arch").as_uri(), tmp_path / ".archroot"
            editor.open(inner, text.replace("unit.arch", "../unit.arch"))
            assert [d.code for d in await editor.diagnostics(inner)] == ["import-outside"]
            mark.touch()
            made = types.FileEvent(mark.as_uri(), types.FileChangeType.Created)
            editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([made]))
            assert [hint.label for hint in await editor.hints(inner)] == ["4 × 8 × 8"]

    spoken(scenario)


def test_what_hints_tell_can_be_set(tmp_path: Path) -> None:
    uri = (tmp_path / "a.arch").as_uri()
    text = "network A {\n  input x: [3, 8, 8]\n  conv(4, kernel=3)\n}\n"

    async def labels(**given: Any) -> list[Any]:
        async with session(tmp_path, **given) as editor:
            editor.open(uri, text)
            await editor.diagnostics(uri)
            return [hint.label for hint in await editor.hints(uri)]

    async def scenario() -> None:
        assert await labels() == ["4 × 6 × 6"]
        assert await labels(options={"hints": {"parameters": True}}) == ["4 × 6 × 6 · 112 parameters"]
        assert await labels(options="nonsense", settings=["nonsense"]) == ["4 × 6 × 6"]
        async with session(tmp_path) as editor:
            editor.open(uri, text)
            settings = {"archdsl": {"hints": {"receptiveField": True}}}
            editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))
            assert [hint.label for hint in await editor.hints(uri)] == ["4 × 6 × 6 · field 3"]

    spoken(scenario)


def test_python_runs_only_where_the_editor_is_set_so(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"print('to nobody')\nopen({str(ran)!r}, 'w').close()\n")
    uri = (tmp_path / "a.arch").as_uri()
    text = 'import own from "own.py"\nnetwork A {\n  input x: [3]\n  own\n}\n'

    async def scenario() -> None:
        # A folder's settings are not asked, since whoever sends a folder writes these.
        async with session(tmp_path, settings={"allowPython": True}) as editor:
            editor.open(uri, text)
            await editor.hints(uri)
            assert [d.code for d in await editor.diagnostics(uri)] == ["python-not-allowed"]
            assert not ran.exists()
        async with session(tmp_path, options={"allowPython": True}) as editor:
            editor.open(uri, text)
            assert "python-not-allowed" not in [d.code for d in await editor.diagnostics(uri)]
            assert ran.exists()

    spoken(scenario)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """Requests about addresses that nobody opened, and of no file, are answered by nothing."""

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            for uri in (
                "untitled:Untitled-1",
                (tmp_path / "none.arch").as_uri(),
                "http://a/b.arch",
                "",
                "file:///",
            ):
                await all_requests(editor, uri, types.Position(3, 7))
            editor.open("untitled:Untitled-1", SMALL)
            errors = await editor.diagnostics("untitled:Untitled-1")
            assert [d for d in errors if d.severity == types.DiagnosticSeverity.Error] == []
            assert len(await editor.hints("untitled:Untitled-1")) > 8

    spoken(scenario)


async def all_requests(editor: Editor, uri: str, position: types.Position) -> None:
    """Ask all that can be asked of a place; none may fail."""
    identifier = types.TextDocumentIdentifier(uri)
    at: dict[str, Any] = {"text_document": identifier, "position": position}
    stretch = types.Range(types.Position(0, 0), position)
    requests: list[Any] = [
        editor.text_document_hover_async(types.HoverParams(**at)),
        editor.text_document_completion_async(types.CompletionParams(**at)),
        editor.text_document_signature_help_async(types.SignatureHelpParams(**at)),
        editor.text_document_definition_async(types.DefinitionParams(**at)),
        editor.text_document_references_async(
            types.ReferenceParams(context=types.ReferenceContext(True), **at)
        ),
        editor.text_document_document_highlight_async(types.DocumentHighlightParams(**at)),
        editor.text_document_document_symbol_async(types.DocumentSymbolParams(identifier)),
        editor.text_document_folding_range_async(types.FoldingRangeParams(identifier)),
        editor.text_document_inlay_hint_async(types.InlayHintParams(identifier, stretch)),
        editor.text_document_code_action_async(
            types.CodeActionParams(identifier, stretch, types.CodeActionContext([]))
        ),
        editor.text_document_formatting_async(
            types.DocumentFormattingParams(identifier, types.FormattingOptions(2, True))
        ),
    ]
    await asyncio.wait_for(asyncio.gather(*requests), LONG)
    for refusable in (
        editor.text_document_prepare_rename_async(types.PrepareRenameParams(**at)),
        editor.text_document_rename_async(types.RenameParams(new_name="fresh", **at)),
    ):
        with contextlib.suppress(JsonRpcException):
            await asyncio.wait_for(refusable, LONG)


def test_any_text_at_any_moment(tmp_path: Path) -> None:
    """Typing that never waits, into files that are broken in every way: each request is answered."""
    chance = random.Random(7)
    uri = (tmp_path / "a.arch").as_uri()

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(uri, "")
            for _ in range(12):
                source = bundled(chance.choice(bundled_names()))
                assert source is not None
                text = broken(source.text, chance)
                if chance.random() < 0.2:
                    text = chance.choice(SCRAPS) * 20_000
                editor.change(uri, text)
                lines = text.count("\n") + 2
                await all_requests(
                    editor, uri, types.Position(chance.randrange(lines), chance.randrange(120))
                )
            # And a burst of keys, of which the last text alone counts.
            for end in range(0, len(SMALL), 9):
                editor.change(uri, SMALL[:end])
            editor.change(uri, SMALL)
            assert [
                d for d in await editor.diagnostics(uri) if d.severity == types.DiagnosticSeverity.Error
            ] == []

    spoken(scenario)


def test_typing_does_not_wait_for_a_check(tmp_path: Path) -> None:
    """While a network of very many layers is checked, names are offered at once, and a newer text ends it."""
    uri = (tmp_path / "a.arch").as_uri()
    body = "input x: [8, 64]\n  repeat 8_000 { conv(8, kernel=3, padding=1) -> relu }"
    many = "".join(f"network A{i} {{\n  {body}\n}}\n" for i in range(12))

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(uri, many)
            await asyncio.sleep(0.3)
            asked = types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(2, 2))
            assert await asyncio.wait_for(editor.text_document_completion_async(asked), 5)
            assert uri not in editor.told
            editor.change(uri, "network A {\n  input x: [8, 64]\n  relu\n}\n")
            assert await editor.diagnostics(uri) == []
            assert [said.version for said in editor.told[uri]] == [2]

    spoken(scenario)


def test_an_older_text_never_replaces_a_newer_one(tmp_path: Path) -> None:
    uri = (tmp_path / "a.arch").as_uri()

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(uri, SMALL)
            editor.change(uri, SMALL.replace("relu", "rleu"))
            for late in (1, 0):
                identifier = types.VersionedTextDocumentIdentifier(late, uri)
                changes = [types.TextDocumentContentChangeWholeDocument(SMALL)]
                editor.text_document_did_change(types.DidChangeTextDocumentParams(identifier, changes))
            assert any("rleu" in one.message for one in await editor.diagnostics(uri))

    spoken(scenario)


def test_a_large_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It is read beside the loop: what is asked meanwhile of another file is answered first."""
    large, small = (tmp_path / "large.arch").as_uri(), (tmp_path / "small.arch").as_uri()
    lines = "".join(f"  a{i}: conv(8, kernel=3, padding=1) -> relu -> relu\n" for i in range(4_000))
    text = f"network A {{\n  input x: [8, 64]\n{lines}}}\n"

    async def scenario() -> None:
        async with session(tmp_path) as editor:
            editor.open(small, SMALL)
            editor.open(large, text)

            def asked(uri: str) -> asyncio.Future[Any]:
                params = types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(3, 2))
                return asyncio.ensure_future(editor.text_document_completion_async(params))

            waiting = asked(large)
            assert await asyncio.wait_for(asked(small), LONG) is not None
            assert not waiting.done()
            # With a newer text nobody wants what was asked of the older one.
            editor.change(large, "network A {\n  input x: [8, 64]\n  relu\n  \n}\n")
            assert await asyncio.wait_for(asked(large), LONG)
            with pytest.raises(JsonRpcException, match="has changed"):
                await asyncio.wait_for(waiting, LONG)
            assert await editor.diagnostics(large) == []

    spoken(scenario)


def test_every_request_is_answered_until_the_editor_ends() -> None:
    """Whatever its params, and after the goodbye; an editor that dies closes the pipe, and it ends."""
    place = {"textDocument": {"uri": "file:///a.arch"}, "position": {"line": 0, "character": 0}}
    asked: list[tuple[str, Any]] = [
        ("initialize", {"capabilities": {}}),
        ("textDocument/hover", {}),
        ("textDocument/formatting", {**place, "options": {}}),
        ("textDocument/hover", [5]),
        ("unknown/method", {}),
        ("shutdown", None),
        ("textDocument/hover", place),
        ("shutdown", None),
    ]
    messages = [{"id": i, "method": method, "params": params} for i, (method, params) in enumerate(asked)]
    messages.insert(1, {"method": "textDocument/didOpen", "params": {}})
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    sent = b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
    done = subprocess.run(COMMAND, input=sent, capture_output=True, timeout=LONG)
    answers = [json.loads(one) for one in re.findall(r"\{.*\}", done.stdout.decode())]
    codes = {one["id"]: one["error"]["code"] if "error" in one else 0 for one in answers if "id" in one}
    invalid, unknown, late = -32602, -32601, -32600
    assert codes == dict(enumerate([0, invalid, invalid, invalid, unknown, 0, late, late]))
    assert b"Traceback" not in done.stderr


def test_without_pygls_it_says_what_to_install(tmp_path: Path) -> None:
    for missing in ("pygls", "lsprotocol"):
        (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('no', name={missing!r})\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert found.returncode == 2
    assert "pip install 'archdsl[editor]'" in found.stderr
