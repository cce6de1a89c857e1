"""Where a cursor stands: what may be written there, as the words before it tell.

The tokens are asked and not the tree, since what is being typed has no tree yet.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Literal

from archdsl.compiler.expressions import EQUALITY
from archdsl.editing.document import Document
from archdsl.syntax.tokens import DECLARATIONS, STATEMENTS, Token

Place = Literal[
    "nothing",
    "file",
    "network name",
    "statement",
    "chain",
    "join",
    "value",
    "expression",
    "default",
    "attribute",
    "import names",
    "import path",
    "key",
    "key attribute",
    "setting",
    "recipe argument",
    "argument",
]

OPENERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_COMPLETE = frozenset(
    {"NAME", "INPUT", "NUMBER", "STRING", "RPAR", "RSQB", "RBRACE", "TRUE", "FALSE", "NONE"}
)
"""What ends something that is whole: after it comes a sign and no word."""


@dataclass(slots=True)
class Context:
    """What stands before a cursor. `start` is where the word begins that it stands in or behind.

    Within the parentheses of `callee`, `argument` is the name of the argument that is being written, where
    it has been, else `position` counts the ones before it; `given` are the names that were. `path` are the
    names before a dot, `compared` is the fact of a value that is compared with what is written, `key` is
    that of a recipe's setting, and `text` a path between quotes as far as it has been written.
    """

    place: Place
    start: int
    callee: str = ""
    argument: str | None = None
    position: int = 0
    given: list[str] = field(default_factory=list)
    in_list: bool = False
    path: list[str] = field(default_factory=list)
    compared: str = ""
    key: str = ""
    text: str = ""
    in_expect: bool = False
    in_recipe: bool = False


@dataclass(slots=True)
class _Opened:
    """A bracket or brace that is open, and the first token of the statement that it belongs to."""

    index: int
    kind: str
    head: int


def context_at(document: Document, offset: int) -> Context:
    """The context of a cursor."""
    tokens = document.tokens
    count = bisect_left(tokens, offset, key=lambda token: token.start)
    before = tokens[:count]
    nothing = Context("nothing", offset)
    if any(c.span.start < offset <= c.span.end for c in document.file.comments):
        return nothing
    start = offset
    text: str | None = None
    whole = False
    if before and before[-1].end >= offset and before[-1].text:
        last = before[-1]
        if last.kind in ("STRING", "UNCLOSED", "QUOTED"):
            if last.end == offset and last.kind != "UNCLOSED":
                before = before[:-1]
                whole = True
            else:
                text = document.text[last.start + 1 : offset]
                before, start = before[:-1], last.start + 1
        elif last.kind == "NUMBER":
            whole = True
            before = before[:-1]
        elif last.text[0].isalpha() or last.text[0] == "_":
            before, start = before[:-1], last.start
    opened, first = _opened(before)
    statement = before[first:]
    while statement and statement[0].kind == "NEWLINE":
        statement = statement[1:]
    if text is not None:
        is_path = bool(statement) and statement[0].kind == "IMPORT" and statement[-1].kind == "FROM"
        return Context("import path", start, text=text) if is_path else nothing
    found = _context(document, before, opened, statement, start)
    if whole:
        # Nothing is to be offered for it, but what it is an argument of is known.
        found.place = "nothing"
    return found


def _opened(tokens: list[Token]) -> tuple[list[_Opened], int]:
    """What is open after some tokens, and where the last statement begins."""
    opened: list[_Opened] = []
    first = 0
    for index, token in enumerate(tokens):
        kind = token.kind
        if kind in OPENERS:
            opened.append(_Opened(index, kind, first))
            if kind == "LBRACE":
                first = index + 1
        elif kind in ("RPAR", "RSQB"):
            if opened and OPENERS[opened[-1].kind] == kind:
                opened.pop()
        elif kind == "RBRACE":
            while opened and opened[-1].kind != "LBRACE":
                opened.pop()
            if opened:
                first = opened.pop().head
        elif kind == "NEWLINE":
            if opened and opened[-1].kind != "LBRACE":
                if not _was_forgotten(tokens, index):
                    continue
                while opened and opened[-1].kind != "LBRACE":
                    opened.pop()
            following = tokens[index + 1].kind if index + 1 < len(tokens) else ""
            last = tokens[index - 1].kind if index else ""
            if following not in ("ARROW", "ELSE") and last != "ARROW":
                first = index + 1
        elif kind in ("NETWORK", "BLOCK", "TRAIN") and index == first and opened:
            line_start = index == 0 or tokens[index - 1].kind == "NEWLINE"
            if line_start and index + 1 < len(tokens) and tokens[index + 1].kind in ("NAME", "LBRACE"):
                opened.clear()
    return opened, first


def _was_forgotten(tokens: list[Token], newline: int) -> bool:
    """Whether the brackets that are open at the end of a line were to be closed in it."""
    following = [token.kind for token in tokens[newline + 1 : newline + 3]] + ["", ""]
    first, second = following[0], following[1]
    if first in DECLARATIONS or first in STATEMENTS or first in ("RBRACE", "ARROW"):
        return second != "EQUAL"
    whole = newline > 0 and tokens[newline - 1].kind in _COMPLETE
    return first == "NAME" and (second == "COLON" or (whole and second in ("LPAR", "ARROW", "NEWLINE")))


def _context(
    document: Document, before: list[Token], opened: list[_Opened], statement: list[Token], start: int
) -> Context:
    kinds = [token.kind for token in statement]
    last = kinds[-1] if kinds else ""
    brace = next((one for one in reversed(opened) if one.kind == "LBRACE"), None)
    head = "" if brace is None else _head(before, brace)
    found = Context("nothing", start, in_expect="EXPECT" in kinds[:1], in_recipe=head == "TRAIN")
    if found.in_recipe and "EQUAL" in kinds:
        found.key = "".join(token.text for token in statement[: kinds.index("EQUAL")])
    if last == "DOT":
        found.path = _path(statement[:-1])
        found.place = "attribute" if found.path else "nothing"
        if found.in_recipe and not found.key:
            found.place = "key attribute"
        return found
    inside = [one for one in opened if brace is None or one.index > brace.index]
    if inside:
        return _in_brackets(before, inside, found, kinds)
    if brace is None:
        return _at_top(document, statement, kinds, found)
    if head == "TRAIN":
        if not kinds:
            found.place = "key"
        elif "EQUAL" in kinds:
            found.place = "nothing" if last in _COMPLETE else "setting"
        return found
    found.place = _in_body(kinds)
    found.compared = _compared(statement)
    return found


def _compared(tokens: list[Token]) -> str:
    """The name after the dot in `x.name ==`, at the end of some tokens."""
    if len(tokens) > 3 and tokens[-1].text in EQUALITY and tokens[-3].kind == "DOT":
        return tokens[-2].text
    return ""


def _head(before: list[Token], brace: _Opened) -> str:
    """The first word of the statement that a brace belongs to."""
    return next((t.kind for t in before[brace.head : brace.index] if t.kind != "NEWLINE"), "")


def _path(tokens: list[Token]) -> list[str]:
    """The names of `a.b` at the end of some tokens."""
    names: list[str] = []
    for index in range(len(tokens) - 1, -1, -2):
        if tokens[index].kind not in ("NAME", "INPUT"):
            return []
        names.append(tokens[index].text)
        if index == 0 or tokens[index - 1].kind != "DOT":
            break
    return names[::-1]


def _in_brackets(before: list[Token], inside: list[_Opened], found: Context, kinds: list[str]) -> Context:
    call = next((one for one in reversed(inside) if one.kind == "LPAR"), None)
    name = before[call.index - 1] if call is not None and call.index else None
    last = before[-1].kind if before else ""
    if call is not None and _declares(before, call):
        found.place = "default" if last == "EQUAL" else "nothing"
        return found
    if call is None or name is None or name.kind != "NAME":
        if kinds[:1] != ["INPUT"]:
            found.place = "nothing" if last in _COMPLETE else "expression"
        return found
    found.callee = ".".join(_path(before[: call.index]))
    found.in_list = inside[-1] is not call
    depth = 0
    slot: list[Token] = []
    for token in before[call.index + 1 :]:
        if token.kind in OPENERS:
            depth += 1
        elif token.kind in OPENERS.values():
            depth -= 1
        if token.kind == "COMMA" and depth == 0:
            if not _named(slot):
                found.position += 1
            slot = []
            continue
        slot.append(token)
        if depth == 0 and token.kind == "EQUAL" and _named(slot):
            found.given.append(slot[-2].text)
    if _named(slot):
        found.argument = next(token for token in slot if token.kind != "NEWLINE").text
    found.place = "recipe argument" if found.in_recipe else "argument"
    if last in _COMPLETE:
        found.place = "nothing"
    return found


def _declares(before: list[Token], call: _Opened) -> bool:
    """Whether parentheses are those of a declaration's parameters."""
    return call.index > 1 and before[call.index - 2].kind in ("NETWORK", "BLOCK", "LET")


def _named(slot: list[Token]) -> bool:
    words = [token for token in slot if token.kind != "NEWLINE"]
    return len(words) > 1 and words[1].kind == "EQUAL"


def _at_top(document: Document, statement: list[Token], kinds: list[str], found: Context) -> Context:
    first, last = (kinds[0], kinds[-1]) if kinds else ("", "")
    if not kinds:
        found.place = "file"
    elif first == "IMPORT" and last in ("IMPORT", "COMMA"):
        found.place = "import names"
        found.text = _path_ahead(document, found.start)
    elif first == "IMPORT" and last == "FROM":
        found.place = "import path"
        found.text = ""
    elif kinds == ["TRAIN"]:
        found.place = "network name"
    elif first == "LET" and "EQUAL" in kinds and last not in _COMPLETE:
        found.place = "expression"
    return found


def _path_ahead(document: Document, offset: int) -> str:
    """The path of the `import` whose names are being written before it; empty where there is none."""
    index = bisect_left(document.tokens, offset, key=lambda token: token.start)
    for token in document.tokens[index:]:
        if token.kind == "STRING":
            return token.text[1:-1]
        if token.kind == "NEWLINE":
            break
    return ""


def _in_body(kinds: list[str]) -> Place:
    if not kinds:
        return "statement"
    if kinds[0] == "INPUT":
        return "nothing"
    last = kinds[-1]
    rest = kinds[kinds.index("COLON") + 1 :] if "COLON" in kinds else kinds
    first = rest[0] if rest else ""
    if last == "COLON":
        return "statement" if kinds[0] != "SHARED" else "chain"
    if last == "ARROW":
        return "chain"
    if last == "PARALLEL":
        return "join"
    if last == "ELSE":
        return "statement"
    if last in _COMPLETE:
        return "nothing"
    if first == "FROM" and "ARROW" not in rest:
        return "value"
    if first == "OUTPUT":
        return "value"
    if first == "LET":
        return "expression" if "EQUAL" in kinds else "nothing"
    if first == "FOR":
        return "expression" if "IN" in kinds else "nothing"
    if first in ("EXPECT", "REPEAT", "IF") or last in ("REPEAT", "IF", "IN"):
        return "expression"
    return "nothing"
