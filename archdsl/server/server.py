"""The server itself: what the editor tells, what it asks, and checks beside them that nobody waits for.

Requests are answered on the event loop from the text and its tree, which takes milliseconds; those about a
large text by a thread of their own, and not at all when it has changed by then. Checking is the work of
another; a newer text puts an end to the check of an older one, and what an old check found is never shown for
a new text.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

from lsprotocol import types
from pygls import uris
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol

from archdsl.compiler import limits
from archdsl.diagnostics import ArchError
from archdsl.editing import navigation
from archdsl.editing.checks import Cancelled, Check, Checker
from archdsl.editing.completion import completions, signature_help
from archdsl.editing.document import Document, Library, path_of, real
from archdsl.editing.hints import Wanted, hints
from archdsl.editing.hover import hover
from archdsl.editing.mends import mends
from archdsl.project import MARK
from archdsl.server.translation import Translation, markdown, name_of

TYPING = 0.15
"""Seconds after a change before it is checked: few type faster."""

PATIENCE = 10.0
"""Seconds that a request waits for the check of its document."""

AT_ONCE = 20_000
"""Characters of a text that is read on the event loop: in less time than lies between two keys."""

Answer = TypeVar("Answer")

LANGUAGE = "arch"
FILES = ("**/*.arch", f"**/{MARK}")
REQUEST_FAILED = -32803
CONTENT_MODIFIED = -32801


@dataclass(eq=False)
class Open:
    """A document that is open in the editor, and how far its check is."""

    uri: str
    document: Document
    version: int | None
    check: Check | None = None
    task: asyncio.Task[None] | None = None
    checked: asyncio.Event = field(default_factory=asyncio.Event)


class Protocol(LanguageServerProtocol):
    """The protocol, in which every request has an answer, though it can't be read or comes too late."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        """A message, read; None for a request or a notification that can't be, and is dealt with."""
        try:
            return super().structure_message(data)
        except JsonRpcException:
            method = data.get("method")
            if method is None:
                raise
            said = f"these are no params of {method}"
            if "id" not in data:
                logging.getLogger(__name__).warning(said)
            elif method in self.fm.builtin_features or method in self.fm.features:
                self._refuse(data["id"], JsonRpcInvalidParams(said))
            else:
                self._refuse(data["id"], JsonRpcMethodNotFound.of(method))
            return None

    def handle_message(self, message: Any) -> None:
        if message is None:
            return
        if self._shutdown and hasattr(message, "id") and hasattr(message, "method"):
            self._refuse(message.id, JsonRpcInvalidRequest("the server is shutting down"))
        else:
            super().handle_message(message)

    def _refuse(self, request: Any, why: JsonRpcException) -> None:
        self._send_response(request, error=why.to_response_error())


class ArchServer(LanguageServer):
    """A language server for files of the language."""

    protocol: Protocol

    def __init__(self, version: str) -> None:
        super().__init__("archdsl", version, types.TextDocumentSyncKind.Full, protocol_cls=Protocol)
        self.library = Library()
        self.checker = Checker(self.library)
        self.wanted = Wanted()
        self.open: dict[str, Open] = {}
        self.closing = False
        self._worker = ThreadPoolExecutor(1, "check")
        self._reader = ThreadPoolExecutor(1, "read")

    # ------------------------------------------------------------------------ what the editor can do

    @property
    def translation(self) -> Translation:
        encoding = self.server_capabilities.position_encoding or types.PositionEncodingKind.Utf16
        published = getattr(self.client_capabilities.text_document, "publish_diagnostics", None)
        return Translation(self.uri_of, encoding, bool(getattr(published, "related_information", False)))

    def client_can(self, path: str) -> bool:
        """Whether the client says that it has a capability, as in `workspace.inlay_hint.refresh_support`."""
        found: Any = self.client_capabilities
        for part in path.split("."):
            found = getattr(found, part, None)
        return bool(found)

    def configure(self, settings: Any) -> None:
        """Take over what is set: `{"hints": {"parameters": true, "receptiveField": true}, "teach": true}`."""
        settings = settings if isinstance(settings, dict) else {}
        settings = settings.get("archdsl", settings)
        if not isinstance(settings, dict):
            return
        asked = settings.get("hints")
        if isinstance(asked, dict):
            self.wanted = Wanted(asked.get("parameters") is True, asked.get("receptiveField") is True)
        if "teach" in settings:
            self.checker.teach = settings["teach"] is True

    def uri_of(self, name: str) -> str:
        """The address of a file, as the editor gave it if it is open."""
        opened = self.library.opened(name)
        found = (one.uri for one in self.open.values() if opened is not None and one.document is opened)
        return next(found, None) or uris.from_fs_path(name) or name

    def document(self, uri: str) -> Document | None:
        """A document as it stands, open or not; None where there is no such file."""
        known = self.open.get(uri)
        return known.document if known is not None else self.library.document(name_of(uri))

    async def aside(self, document: Document, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """What a function finds, that reads a document: of a large one, beside the loop.

        Raises `JsonRpcException` where the document has changed by then.
        """
        if len(document.text) <= AT_ONCE:
            return function(*arguments)
        uri = next((uri for uri, known in self.open.items() if known.document is document), None)

        def changed() -> bool:
            return self.closing or (uri is not None and self.document(uri) is not document)

        def work() -> Answer | None:
            return None if changed() else function(*arguments)

        found = await asyncio.get_running_loop().run_in_executor(self._reader, work)
        if changed():
            raise JsonRpcException("the text has changed", CONTENT_MODIFIED)
        return cast(Answer, found)

    # ------------------------------------------------------------------------ checks

    def take(self, uri: str, text: str, version: int | None, delay: float) -> None:
        """Take a document's text, and have it checked, and those that import it."""
        document = Document(name_of(uri), text)
        known = self.open.get(uri)
        if known is None:
            known = self.open[uri] = Open(uri, document, version)
        known.document, known.version = document, version
        self.library.put(document)
        self.check_soon(known, delay)
        self.check_importers(document.name, max(delay, TYPING))

    def check_importers(self, name: str, delay: float) -> None:
        """Check what imports a file, directly or by another, or would if the file were there."""
        marks = os.path.basename(name) == MARK
        for other in self.open.values():
            loaded = other.check.loaded if other.check is not None else frozenset[str]()
            imports = marks or any(real(path_of(one)) == real(name) for one in loaded)
            if other.document.name != name and (imports or self.library.may_import(other.document, name)):
                self.check_soon(other, delay)

    def check_soon(self, known: Open, delay: float) -> None:
        """Check a document after a while, unless it is to be checked again before."""
        if known.task is not None:
            known.task.cancel()
        known.checked.clear()
        known.task = asyncio.get_running_loop().create_task(self._check(known, delay))

    async def _check(self, known: Open, delay: float) -> None:
        await asyncio.sleep(delay)
        document, task = known.document, known.task

        def cancelled() -> bool:
            return self.closing or known.document is not document or known.task is not task

        loop = asyncio.get_running_loop()
        check: Check | None = None
        try:
            await self.aside(document, document.read)
            check = await loop.run_in_executor(self._worker, self.checker.check, document, cancelled)
        except (Cancelled, JsonRpcException):
            return
        except Exception as error:
            self.complain(f"checking {document.name}", error)
        if cancelled() or self.open.get(known.uri) is not known:
            return
        known.check = check
        known.checked.set()
        if check is None:
            return
        found = self.translation.diagnostics(document, check.diagnostics, check.foreign)
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(known.uri, found, known.version)
        )
        if self.client_can("workspace.inlay_hint.refresh_support"):
            self.workspace_inlay_hint_refresh(None)

    async def fresh(self, uri: str) -> Check | None:
        """The check of a document as it stands; None where it takes too long, or the document is not open."""
        known = self.open.get(uri)
        if known is None:
            return None
        try:
            await asyncio.wait_for(known.checked.wait(), PATIENCE)
        except TimeoutError:
            return None
        current = known.check
        return current if current is not None and current.document is known.document else None

    def complain(self, doing: str, error: Exception) -> None:
        """Say that we made a mistake, where those look who look for it."""
        said = "".join(traceback.format_exception(error))
        text = f"internal error while {doing}: this is a mistake in archdsl, not in your file\n{said}"
        logging.getLogger(__name__).error(text)
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, text))


def server(version: str) -> ArchServer:
    """A server with all that it answers."""
    ls = ArchServer(version)

    def answers(method: str, options: Any = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register what answers a method. A mistake of ours is logged, and answered by nothing."""

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            if asyncio.iscoroutinefunction(handler):

                @wraps(handler)
                async def later(params: Any) -> Any:
                    try:
                        return await handler(params)
                    except JsonRpcException:
                        raise
                    except Exception as error:
                        ls.complain(f"answering {method}", error)
                        return None

                return ls.feature(method, options)(later)

            @wraps(handler)
            def at_once(params: Any) -> Any:
                try:
                    return handler(params)
                except JsonRpcException:
                    raise
                except Exception as error:
                    ls.complain(f"answering {method}", error)
                    return None

            return ls.feature(method, options)(at_once)

        return register

    _lifetime(ls, answers)
    _about_names(ls, answers)
    _about_text(ls, answers)
    return ls


Answers = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


def _lifetime(ls: ArchServer, answers: Answers) -> None:
    """What comes and goes: the session, its documents and its settings."""

    @answers(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        options = params.initialization_options
        ls.configure(options)
        if isinstance(options, dict) and options.get("allowPython") is True:
            ls.checker = Checker(ls.library, allow_python=True, teach=ls.checker.teach)
        folders = [folder.uri for folder in params.workspace_folders or ()]
        ls.library.folders = [name_of(uri) for uri in folders or [params.root_uri or ""] if uri]

    @answers(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        await _ask_settings(ls)
        if ls.client_can("workspace.did_change_watched_files.dynamic_registration"):
            watchers = [types.FileSystemWatcher(pattern) for pattern in FILES]
            watched = types.DidChangeWatchedFilesRegistrationOptions(watchers)
            registration = types.Registration("files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, watched)
            await ls.client_register_capability_async(types.RegistrationParams([registration]))

    @answers(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configured(params: types.DidChangeConfigurationParams) -> None:
        if params.settings:
            ls.configure(params.settings)
        else:
            await _ask_settings(ls)
        for known in ls.open.values():
            ls.check_soon(known, 0)

    @answers(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched(params: types.DidChangeWatchedFilesParams) -> None:
        for change in params.changes:
            if change.uri not in ls.open:
                ls.check_importers(name_of(change.uri), TYPING)

    @answers(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        one = params.text_document
        ls.take(one.uri, one.text, one.version, 0)

    @answers(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        # A client that sends parts all the same has had them put together.
        whole = [
            c for c in params.content_changes if isinstance(c, types.TextDocumentContentChangeWholeDocument)
        ]
        uri, version = params.text_document.uri, params.text_document.version
        known = ls.open.get(uri)
        if known is not None and known.version is not None and version < known.version:
            # Some clients let an older text overtake a newer one when keys come in a burst.
            return
        text = whole[-1].text if whole else ls.workspace.get_text_document(uri).source
        ls.take(uri, text, version, TYPING)

    @answers(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        ls.check_importers(name_of(params.text_document.uri), 0)

    @answers(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        known = ls.open.pop(params.text_document.uri, None)
        if known is None:
            return
        if known.task is not None:
            known.task.cancel()
        known.task = None
        known.checked.set()
        ls.library.close(known.document.name)
        ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(known.uri, []))
        ls.check_importers(known.document.name, TYPING)

    @answers(types.SHUTDOWN)
    def shutdown(params: Any) -> None:
        ls.closing = True
        for known in ls.open.values():
            if known.task is not None:
                known.task.cancel()


async def _ask_settings(ls: ArchServer) -> None:
    if not ls.client_can("workspace.configuration"):
        return
    asked = types.ConfigurationParams([types.ConfigurationItem(section="archdsl")])
    found = await ls.workspace_configuration_async(asked)
    if found and found[0]:
        ls.configure(found[0])
        for known in ls.open.values():
            ls.check_soon(known, 0)


def _about_names(ls: ArchServer, answers: Answers) -> None:
    """What is asked of a place in a text."""

    def place(params: Any) -> tuple[Document, int] | None:
        document = ls.document(params.text_document.uri)
        if document is None:
            return None
        return document, ls.translation.positions(document.source).offset(params.position)

    def location(found: navigation.Place) -> types.Location | None:
        document = ls.library.document(found.name)
        if document is None:
            return None
        shown = ls.translation.positions(document.source).range(found.start, found.end)
        return types.Location(ls.uri_of(found.name), shown)

    @answers(types.TEXT_DOCUMENT_HOVER)
    async def hovered(params: types.HoverParams) -> types.Hover | None:
        check = await ls.fresh(params.text_document.uri)
        at = place(params)
        found = None if at is None else await ls.aside(at[0], hover, ls.library, *at, check)
        if at is None or found is None:
            return None
        contents = types.MarkupContent(types.MarkupKind.Markdown, found.text)
        return types.Hover(contents, ls.translation.positions(at[0].source).range(found.start, found.end))

    @answers(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", "(", ",", "=", '"'])
    )
    async def completed(params: types.CompletionParams) -> list[types.CompletionItem]:
        at = place(params)
        if at is None:
            return []
        return ls.translation.completions(*at, await ls.aside(at[0], completions, ls.library, *at))

    @answers(
        types.TEXT_DOCUMENT_SIGNATURE_HELP, types.SignatureHelpOptions(["(", ","], retrigger_characters=["="])
    )
    async def signature(params: types.SignatureHelpParams) -> types.SignatureHelp | None:
        at = place(params)
        found = None if at is None else await ls.aside(at[0], signature_help, ls.library, *at)
        if found is None:
            return None
        parameters = [types.ParameterInformation(span, markdown(said)) for span, said in found.parameters]
        one = types.SignatureInformation(found.text, markdown(found.documentation), parameters)
        return types.SignatureHelp([one], 0, found.active)

    @answers(types.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: types.DefinitionParams) -> types.Location | None:
        at = place(params)
        found = None if at is None else await ls.aside(at[0], navigation.definition, ls.library, *at)
        return None if found is None else location(found)

    @answers(types.TEXT_DOCUMENT_REFERENCES)
    async def references(params: types.ReferenceParams) -> list[types.Location]:
        at = place(params)
        declared = params.context.include_declaration
        found = [] if at is None else await ls.aside(at[0], navigation.references, ls.library, *at, declared)
        return [one for one in map(location, found) if one is not None]

    @answers(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    async def highlighted(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight]:
        at = place(params)
        if at is None:
            return []
        positions = ls.translation.positions(at[0].source)
        spans = await ls.aside(at[0], navigation.highlights, ls.library, *at)
        return [types.DocumentHighlight(positions.range(span.start, span.end)) for span in spans]

    @answers(types.TEXT_DOCUMENT_PREPARE_RENAME)
    async def renamable(params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        at = place(params)
        if at is None:
            return None
        try:
            span = await ls.aside(at[0], navigation.renamable, ls.library, *at)
        except navigation.Refused as refused:
            raise JsonRpcException(str(refused), REQUEST_FAILED) from None
        shown = ls.translation.positions(at[0].source).range(span.start, span.end)
        return types.PrepareRenamePlaceholder(shown, span.text)

    @answers(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    async def renamed(params: types.RenameParams) -> types.WorkspaceEdit | None:
        at = place(params)
        if at is None:
            return None
        try:
            places = await ls.aside(at[0], navigation.renamed, ls.library, *at, params.new_name)
        except navigation.Refused as refused:
            raise JsonRpcException(str(refused), REQUEST_FAILED) from None
        edits: dict[str, list[types.TextEdit]] = {}
        for one in map(location, places):
            if one is not None:
                edits.setdefault(one.uri, []).append(types.TextEdit(one.range, params.new_name))
        return _workspace_edit(ls, edits)


def _workspace_edit(ls: ArchServer, edits: dict[str, list[types.TextEdit]]) -> types.WorkspaceEdit:
    """Edits of several files; with the versions of those that are open, where the client takes these."""
    if not ls.client_can("workspace.workspace_edit.document_changes"):
        return types.WorkspaceEdit(changes=edits)
    changes: list[Any] = []
    for uri, some in edits.items():
        version = ls.open[uri].version if uri in ls.open else None
        changes.append(
            types.TextDocumentEdit(types.OptionalVersionedTextDocumentIdentifier(uri, version), some)
        )
    return types.WorkspaceEdit(document_changes=changes)


def _about_text(ls: ArchServer, answers: Answers) -> None:
    """What is asked of a text as a whole, or of a stretch of it."""

    @answers(types.TEXT_DOCUMENT_INLAY_HINT)
    async def hinted(params: types.InlayHintParams) -> list[types.InlayHint] | None:
        check = await ls.fresh(params.text_document.uri)
        if check is None:
            return None
        positions = ls.translation.positions(check.document.source)
        start, end = positions.offset(params.range.start), positions.offset(params.range.end)
        return [
            types.InlayHint(
                positions.position(hint.offset),
                hint.text,
                kind=types.InlayHintKind.Type,
                tooltip=markdown(hint.tooltip),
                padding_left=True,
            )
            for hint in hints(check, ls.wanted, start, end)
        ]

    @answers(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def symbols(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        document = ls.document(params.text_document.uri)
        if document is None:
            return []
        found = await ls.aside(document, navigation.symbols, ls.library, document)
        return ls.translation.symbols(document, found)

    @answers(types.TEXT_DOCUMENT_FOLDING_RANGE)
    async def folds(params: types.FoldingRangeParams) -> list[types.FoldingRange]:
        document = ls.document(params.text_document.uri)
        if document is None:
            return []
        return [
            types.FoldingRange(
                fold.first - 1, fold.last - 1, kind=types.FoldingRangeKind.Comment if fold.comment else None
            )
            for fold in await ls.aside(document, navigation.folds, document)
        ]

    @answers(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions([types.CodeActionKind.QuickFix]))
    async def actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        check = await ls.fresh(uri)
        if check is None:
            return []
        translation = ls.translation
        positions = translation.positions(check.document.source)
        start, end = positions.offset(params.range.start), positions.offset(params.range.end)
        found = []
        for mend in mends(check.document, check.diagnostics, start, end):
            place = positions.range(mend.edit.span.start, mend.edit.span.end)
            edit = _workspace_edit(ls, {uri: [types.TextEdit(place, mend.edit.replacement)]})
            found.append(
                types.CodeAction(
                    mend.title,
                    kind=types.CodeActionKind.QuickFix,
                    diagnostics=translation.diagnostics(check.document, [mend.diagnostic], []),
                    edit=edit,
                    is_preferred=mend.certain,
                )
            )
        return found

    @answers(types.TEXT_DOCUMENT_FORMATTING)
    async def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        from archdsl.syntax.formatter import ChangedMeaning, format

        document = ls.document(params.text_document.uri)
        if document is None:
            return None
        try:
            laid_out = await ls.aside(document, format, document.text, document.name)
        except ArchError as error:
            first = error.diagnostics[0]
            said = f"not laid out: line {first.span.line}: {first.message}"
        except ChangedMeaning as error:
            said = str(error)
        else:
            return _difference(ls, document, laid_out)
        ls.window_show_message(types.ShowMessageParams(types.MessageType.Warning, said))
        return None


def _difference(ls: ArchServer, document: Document, laid_out: str) -> list[types.TextEdit]:
    """One edit that makes a document what it is laid out as, of the stretch that differs."""
    text = document.text
    if text == laid_out:
        return []
    start, most = 0, min(len(text), len(laid_out))
    while start < most and text[start] == laid_out[start]:
        start += 1
    start = text.rfind("\n", 0, start) + 1
    same = 0
    while same < most - start and text[-1 - same] == laid_out[-1 - same]:
        same += 1
    end, new = len(text) - same, laid_out[start : len(laid_out) - same]
    return [types.TextEdit(ls.translation.positions(document.source).range(start, end), new)]


class _Refusals(logging.Filter):
    """Keeps refusals out of the log, which are answers and no mistakes."""

    def filter(self, record: logging.LogRecord) -> bool:
        refused = record.exc_info and isinstance(record.exc_info[1], JsonRpcException)
        return not (refused or str(record.msg).startswith("Unable to deserialize message"))


def serve(version: str) -> None:
    """Serve an editor on standard input and output until it says goodbye."""
    # A nested file needs the room while another thread may be done with it.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), limits.PYTHON_FRAMES))
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_Refusals())
    channel = sys.stdout.buffer
    # What anything else prints must not come between the messages.
    sys.stdout = sys.stderr
    server(version).start_io(stdout=channel)
