"""The one layout of a file: text in, text out.

The tokens of the text are read once more, as statements, chains, brackets and bodies with the comments
between them, and written anew. What the text says is what the parser is given, so the result is held
against that: the same tokens, the same documentation, the same comments in the same order. If it were
otherwise, that would be our mistake, and there is no result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from archdsl.collection import uncollected
from archdsl.diagnostics import ArchError
from archdsl.problems.problem import Problem
from archdsl.source import Source
from archdsl.syntax.grammar import grammar
from archdsl.syntax.parser import SIZE, parse
from archdsl.syntax.tokens import OPERANDS, Tokens, structure

WIDTH = 100
"""Columns of a line. What cannot be broken may be longer, and comments are never touched."""

STEP = 2
"""Columns by which a body, and what goes on in the next line, is further in."""


class ChangedMeaning(Exception):
    """A layout that would not say what the text says."""


def format(text: str, name: str = "<string>") -> str:
    """A file in its canonical layout. `name` is what messages call it.

    Lines end as the first one does. Raises `ArchError` where the text has syntax errors.
    """
    laid_out = _laid_out(Source(name, text))
    end = text.find("\n")
    return laid_out.replace("\n", "\r\n") if end > 0 and text[end - 1] == "\r" else laid_out


@uncollected()
def _laid_out(source: Source) -> str:
    tokens = _structured(source)
    found = parse(source, tokens)[1]
    if found or tokens is None:
        raise ArchError(found)
    result = Source(source.name, _Writer().file(_Reader(source, tokens).file()))
    if len(result.text) > SIZE:
        raise ArchError(parse(result)[1])
    again = _structured(result)
    if again is None or _meaning(again) != _meaning(tokens):
        raise ChangedMeaning(f"the layout of {source.name} would change what it says")
    return result.text


def _structured(source: Source) -> Tokens | None:
    """The tokens that the parser is given; none where something is wrong with them already."""
    if len(source.text) > SIZE:
        return None
    wrong: list[Problem] = []
    tokens = structure(source, grammar(), lambda problem, span, labels: wrong.append(problem))
    return None if wrong else tokens


def _meaning(tokens: Tokens) -> tuple[object, ...]:
    """What the parser makes a text's tree of, without the places: where it is equal, so are the trees.

    A comma before a closing bracket says nothing; documentation is that of what begins a statement.
    """
    said: list[tuple[str, str]] = []
    documented: list[tuple[int, str]] = []
    before = "NEWLINE"
    for token in tokens.tokens:
        kind = token.kind
        if kind in ("RPAR", "RSQB") and before == "COMMA":
            said.pop()
        if before in ("NEWLINE", "LBRACE") and kind != "RBRACE":
            documentation = tokens.documentation.get(token.start)
            if documentation:
                documented.append((len(said), documentation))
        said.append((kind, token.text))
        before = kind
    return said, documented, tokens.head, [comment.text for comment in tokens.comments]


# ------------------------------------------------------------------------------ what is laid out


class _Comment(NamedTuple):
    """A comment; whether it has a line of its own, and an empty line before it."""

    text: str
    alone: bool
    spaced: bool


class _Gap(NamedTuple):
    """What stands before a token: comments, and whether a line ends or is empty between these and it."""

    comments: list[_Comment]
    newline: bool
    spaced: bool


@dataclass(slots=True)
class _Bracket:
    """`( ... )` or `[ ... ]`, with the space before it.

    `keeps` says that its lines stay as they are: it is a list in rows, has comments between its items, or
    stands in what is held.
    `flat` is the whole on one line, None where it can't be.
    """

    space: str
    opener: str
    closer: str
    items: list[_Item]
    comments: list[_Comment]
    keeps: bool
    flat: str | None


Piece: TypeAlias = "str | _Bracket | list[_Comment]"
"""Tokens with the spaces before them, from one operator to the next; brackets; comments in between."""


@dataclass(slots=True)
class _Item:
    """An item in brackets, and whether it begins a line."""

    comments: list[_Comment]
    newline: bool
    pieces: list[Piece]
    flat: str | None


@dataclass(slots=True)
class _Clause:
    """What has a body, such as `repeat 2 { ... }` or `else { ... }`, or a use that has none.

    `parted` says that it begins a line, behind the clause before it.
    """

    comments: list[_Comment]
    parted: bool
    pieces: list[Piece]
    before_brace: list[_Comment] = field(default_factory=list)
    body: _Body | None = None
    flat: str | None = None


@dataclass(slots=True)
class _Link:
    """An item of a chain, with the comments about the `->` before it, and whether it begins a line."""

    comments: list[_Comment]
    clauses: list[_Clause]
    flat: str | None
    newline: bool = False


@dataclass(slots=True)
class _Statement:
    """A statement, setting or declaration: what stands above it, itself, and a comment that trails it.

    It is `held` where a comment `# allow ...` is for one of its lines: they stay what they are.
    """

    kind: str
    above: list[_Comment]
    spaced: bool
    links: list[_Link]
    flat: str | None
    held: bool
    trailing: str = ""


@dataclass(slots=True)
class _Body:
    """The statements between braces, or those of a file.

    `trailing` is the comment behind `{`, and `comments` stand after the last statement. In what is held, the
    first statement may be `opening` the line of the `{`, and the last one `closing` that of the `}`.
    """

    statements: list[_Statement]
    trailing: str = ""
    comments: list[_Comment] = field(default_factory=list)
    broken: bool = True
    opening: bool = False
    closing: bool = False

    @property
    def empty(self) -> bool:
        return not (self.statements or self.comments or self.trailing)


# ------------------------------------------------------------------------------ reading

_DECLARED = frozenset({"NETWORK", "BLOCK", "TRAIN"})
"""Declarations with a body."""

_CLOSED = frozenset({"COMMA", "RPAR", "RSQB"})
"""What ends an item in brackets."""

_ENDED = frozenset({"ARROW", "NEWLINE", "RBRACE", "$END"})
"""What ends an item of a chain."""

_ATTACHED = frozenset({"COMMA", "COLON", "DOT"})
"""What has no space before it."""

_LOOSENESS = {
    "if": 0, "else": 0, "or": 1, "and": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "//": 5, "%": 5,
}  # fmt: skip
"""The operators before which an expression in brackets may be broken; the loosest are those of 0."""


class _Reader:
    """Reads the tokens of a text that has no errors."""

    def __init__(self, source: Source, tokens: Tokens) -> None:
        self.tokens = tokens.tokens
        self.gaps = _gaps(source, tokens)
        self.index = 0
        self.allows = any(_allows(comment.text) for comment in tokens.comments)
        self.held = False
        self.shared = False
        """Whether what is held has lines in common with the body that is read."""

    def file(self) -> _Body:
        return self.body(_Body([]), "$END")

    def body(self, body: _Body, closer: str) -> _Body:
        """Statements up to a `}` or the end of the file, which is left."""
        statements = body.statements
        while True:
            if self.tokens[self.index].kind == "NEWLINE":
                self.index += 1
            comments, _, spaced = self.gaps[self.index]
            if comments and not comments[0].alone:
                if statements:
                    statements[-1].trailing = comments[0].text
                else:
                    body.trailing = comments[0].text
                comments = comments[1:]
            if self.tokens[self.index].kind == closer:
                body.comments = comments
                return body
            statements.append(self.statement(comments, spaced))

    def statement(self, above: list[_Comment], spaced: bool) -> _Statement:
        tokens, gaps = self.tokens, self.gaps
        around, held = self.held, self.allows and (self.shared or self.is_held(above))
        self.held = held
        kind = tokens[self.index].kind
        links = [self.link([], kind in _DECLARED)]
        while tokens[self.index].kind == "ARROW":
            arrow = gaps[self.index]
            self.index += 1
            comments = arrow.comments + gaps[self.index].comments
            newline = arrow.newline or gaps[self.index].newline
            links.append(self.link(comments, False))
            links[-1].newline = newline
        self.held = around
        settings = links[0].clauses[0].body
        if kind == "TRAIN" and settings is not None:
            _align(settings.statements)
        flat = None if held and any(link.newline for link in links) else _joined(" -> ", links)
        return _Statement(kind, above, spaced, links, flat, held)

    def is_held(self, above: list[_Comment]) -> bool:
        """Whether a comment `# allow ...` is for a line of the statement that begins here, bodies aside."""
        if any(_allows(comment.text) for comment in above):
            return True
        depth = 0
        index = self.index
        while True:
            kind = self.tokens[index].kind
            ended = depth == 0 and kind in ("NEWLINE", "RBRACE", "$END") and index > self.index
            if ended and kind == "NEWLINE":
                index += 1
            comments = self.gaps[index].comments
            if depth == 0 or self.tokens[index - 1].kind == "LBRACE":
                found = comments[:1] if ended or depth else comments
                own = [one for one in found if not (one.alone and (ended or depth))]
                if index > self.index and any(_allows(comment.text) for comment in own):
                    return True
            if ended:
                return False
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            index += 1

    def link(self, comments: list[_Comment], declares: bool) -> _Link:
        """An item of a chain; what begins the first one of a line goes with it."""
        tokens = self.tokens
        clauses: list[_Clause] = []
        before: list[_Comment] = []
        parted = False
        while True:
            clause = _Clause(before, parted, self.run(_ENDED, declares))
            clauses.append(clause)
            if tokens[self.index].kind == "LBRACE":
                self.braces(clause, declares)
            if clause.body is None or tokens[self.index].kind != "ELSE":
                break
            before, parted, _ = self.gaps[self.index]
        bodies = [clause.body for clause in clauses if clause.body is not None]
        if any(body.broken for body in bodies) and not self.held:
            # Of a choice, all bodies are broken or none is.
            for body in bodies:
                body.broken = not body.empty
        for clause in clauses:
            clause.flat = _flat_clause(clause)
        flat = None if comments or any(c.parted or c.comments for c in clauses) else _joined(" ", clauses)
        return _Link(comments, clauses, flat)

    def braces(self, clause: _Clause, declares: bool) -> None:
        """A body from its `{` to its `}`. One of a single statement may stand on one line."""
        if clause.pieces:
            clause.before_brace = self.gaps[self.index].comments
        self.index += 1
        begins, around = self.gaps[self.index].newline, self.shared
        ends = self.gaps[self.closer()].newline if self.held else True
        self.shared = self.held and not declares and not (begins and ends)
        body = self.body(_Body([]), "RBRACE")
        if self.shared:
            body.opening, body.closing = not begins, not ends
        self.shared = around
        broken = declares or begins or self.gaps[self.index].newline or len(body.statements) > 1
        body.broken = (broken or any(s.flat is None for s in body.statements)) and not body.empty
        clause.body = body
        self.index += 1

    def closer(self) -> int:
        """The index of the `}` of the body that begins here."""
        depth, index = 0, self.index
        while depth or self.tokens[index].kind != "RBRACE":
            depth += (self.tokens[index].kind == "LBRACE") - (self.tokens[index].kind == "RBRACE")
            index += 1
        return index

    def run(self, ends: frozenset[str], declares: bool = False, named: bool = False) -> list[Piece]:
        """Tokens up to one of `ends` or a `{`, with the spaces that belong between them.

        `declares` says that its parentheses hold parameters, and `named` that `=` gives an argument its name.
        """
        tokens, gaps = self.tokens, self.gaps
        pieces: list[Piece] = []
        text = ""
        before = ""
        tight = True  # no space before the next token
        index = self.index
        while True:
            token = tokens[index]
            kind = token.kind
            if kind in ends or kind == "LBRACE":
                break
            comments = gaps[index].comments
            if comments and before:
                if text:
                    pieces.append(text)
                    text = ""
                pieces.append(comments)
                tight = True
            if kind == "LPAR" or kind == "LSQB":
                if text:
                    pieces.append(text)
                    text = ""
                attached = before == "NAME" if kind == "LPAR" else before in OPERANDS
                self.index = index
                pieces.append(self.bracket("" if tight or attached else " ", declares))
                index = self.index
                before = tokens[index - 1].kind
                tight = False
                continue
            unary = (kind == "MINUS" or kind == "PLUS") and before not in OPERANDS
            if text and not unary and token.text in _LOOSENESS:
                pieces.append(text)
                text = ""
            if kind == "EQUAL" and named:
                text += token.text
                tight = True
            else:
                text += token.text if tight or kind in _ATTACHED else " " + token.text
                tight = unary or kind == "DOT"
            before = kind
            index += 1
        if text:
            pieces.append(text)
        self.index = index
        return pieces

    def bracket(self, space: str, declares: bool) -> _Bracket:
        start = self.index
        opened = self.tokens[start]
        self.index += 1
        items: list[_Item] = []
        comments: list[_Comment] = []
        before_comma = False
        while True:
            found, newline, _ = self.gaps[self.index]
            newline |= before_comma
            comments += found
            if self.tokens[self.index].kind in ("RPAR", "RSQB"):
                break
            pieces = self.run(_CLOSED, named=opened.kind == "LPAR" and not declares)
            items.append(_Item(comments, newline or bool(comments), pieces, _flat(pieces)))
            comments = list(self.gaps[self.index].comments)
            before_comma = self.gaps[self.index].newline
            if self.tokens[self.index].kind != "COMMA":
                break
            self.index += 1
        closed = self.tokens[self.index]
        self.index += 1
        commented = bool(comments) or any(item.comments for item in items)
        keeps = commented or (opened.kind == "LSQB" and any(item.newline for item in items[1:]))
        if self.held and not keeps:
            keeps = any(gap.newline for gap in self.gaps[start + 1 : self.index])
        inside = None if keeps else _joined(", ", items)
        flat = None if inside is None else f"{space}{opened.text}{inside}{closed.text}"
        return _Bracket(space, opened.text, closed.text, items, comments, keeps, flat)


def _gaps(source: Source, tokens: Tokens) -> list[_Gap]:
    """What stands before each token but the newlines."""
    text, comments = source.text, tokens.comments
    count = len(comments)
    gaps = []
    none: list[_Comment] = []
    number, place = 0, 0
    for token in tokens.tokens:
        if token.kind == "NEWLINE":
            gaps.append(_NOTHING)
            continue
        start = len(text) if token.kind == "$END" else token.start
        before = none
        while number < count and comments[number].span.start < start:
            comment = comments[number]
            lines = text.count("\n", place, comment.span.start)
            if before is none:
                before = []
            before.append(_Comment(comment.text, lines > 0 or place == 0, lines > 1))
            place = comment.span.end
            number += 1
        lines = text.count("\n", place, start) if start > place else 0
        gaps.append(_Gap(before, lines > 0, lines > 1) if lines or before else _NOTHING)
        place = token.end
    return gaps


_NOTHING = _Gap([], False, False)


def _flat(pieces: list[Piece]) -> str | None:
    """Pieces on one line, None where they can't be."""
    text = ""
    for piece in pieces:
        if isinstance(piece, list):
            return None
        more = piece if isinstance(piece, str) else piece.flat
        if more is None:
            return None
        text += more
    return text


def _joined(separator: str, parts: list[_Item] | list[_Link] | list[_Clause]) -> str | None:
    texts = [part.flat for part in parts]
    return None if None in texts else separator.join(texts)  # type: ignore[arg-type]


def _flat_clause(clause: _Clause) -> str | None:
    head = _flat(clause.pieces)
    if clause.body is None or head is None or clause.before_brace or clause.body.broken:
        return head if clause.body is None else None
    body = f"{{ {clause.body.statements[0].flat} }}" if clause.body.statements else "{}"
    return f"{head} {body}" if head else body


def _align(settings: list[_Statement]) -> None:
    """Put the `=` of settings that follow each other below each other, apart for those of parts."""
    groups: list[list[tuple[_Statement, str]]] = []
    for setting in settings:
        key = str(setting.links[0].clauses[0].pieces[0]).partition(" =")[0]
        spaced = setting.spaced or any(comment.spaced for comment in setting.above)
        if not groups or spaced or ("." in key) != ("." in groups[-1][-1][1]):
            groups.append([])
        groups[-1].append((setting, key))
    for group in groups:
        width = max(len(key) for _, key in group)
        for setting, key in group:
            padded = key.ljust(width)
            link = setting.links[0]
            clause = link.clauses[0]
            clause.pieces[0] = padded + str(clause.pieces[0]).removeprefix(key)
            for part in (clause, link, setting):
                part.flat = None if part.flat is None else padded + part.flat.removeprefix(key)


# ------------------------------------------------------------------------------ writing


class _Writer:
    """Writes lines: each part on one if it fits, otherwise broken at its arrows, bodies and brackets."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.held = False

    def end_line(self, indent: int) -> None:
        self.lines.append(self.line.rstrip(" "))
        self.line = " " * indent

    def fits(self, text: str, after: int = 0) -> bool:
        return len(self.line) + len(text) + after <= WIDTH

    def file(self, body: _Body) -> str:
        if body.empty:
            return ""
        self.statements(body, 0)
        self.lines.append(self.line)
        return "\n".join(self.lines[1:]) + "\n"

    def comments(self, comments: list[_Comment], indent: int) -> None:
        """Comments in the midst of a statement, which goes on in the next line."""
        for comment in comments:
            if comment.alone or comment is not comments[0]:
                self.end_line(indent)
                self.line += comment.text
            else:
                self.line += "  " + comment.text
        self.end_line(indent)

    # -------------------------------------------------------------------------- statements

    def statements(self, body: _Body, indent: int) -> None:
        """Each statement and comment on new lines."""
        last: _Statement | None = None
        for statement in body.statements:
            declared = last is not None and (statement.kind in _DECLARED or last.kind in _DECLARED)
            first = last is None
            for comment in statement.above:
                self.above(comment.text, (comment.spaced or declared) and not first, indent)
                first = declared = False
            if body.opening and first and not statement.above:
                self.line += " "
            else:
                self.above("", (statement.spaced or declared) and not first, indent)
            self.statement(statement, indent)
            last = statement
        first = last is None
        for comment in body.comments:
            self.above(comment.text, comment.spaced and not first, indent)
            first = False

    def above(self, text: str, spaced: bool, indent: int) -> None:
        """Begin a line, after an empty one if `spaced`."""
        self.end_line(indent)
        if spaced:
            self.end_line(indent)
        self.line += text

    def statement(self, statement: _Statement, indent: int) -> None:
        flat = statement.flat
        if flat is not None and (indent + len(flat) <= WIDTH or statement.held):
            self.line += flat
        else:
            around, self.held = self.held, statement.held
            self.chain(statement.links, indent)
            self.held = around
        if statement.trailing:
            self.line += "  " + statement.trailing

    def chain(self, links: list[_Link], indent: int) -> None:
        """A chain over several lines, each of which holds as much as fits."""
        inner = indent + STEP
        base = indent
        for number, link in enumerate(links):
            if number:
                if link.comments:
                    self.comments(link.comments, inner)
                    base = inner
                elif self.stays(links, number, inner):
                    self.line += " "
                else:
                    self.end_line(inner)
                    base = inner
                self.line += "-> "
            if link.flat is not None and (self.held or self.fits(link.flat)):
                self.line += link.flat
            else:
                self.link(link, base)

    def stays(self, links: list[_Link], number: int, inner: int) -> bool:
        """Whether an item goes on the line of the one before it."""
        if self.held:
            return not links[number].newline
        flat = links[number].flat
        if flat is not None:
            if self.fits(flat, len(" -> ")):
                # A last bare word takes its neighbour along rather than stand alone.
                last = links[-1].flat
                return not (
                    number == len(links) - 2
                    and last is not None
                    and last.isidentifier()
                    and not self.fits(flat, len(" ->  -> ") + len(last))
                    and inner + len("-> ") + len(flat) + len(" -> ") + len(last) <= WIDTH
                )
            if inner + len("-> ") + len(flat) <= WIDTH:
                return False
        clause = links[number].clauses[0]
        head = None if clause.body is None else _flat(clause.pieces)
        return head is not None and self.fits(head, len(" -> ") + len(" {"))

    def link(self, link: _Link, indent: int) -> None:
        """An item that is more than one line, or too long for this one."""
        clauses = link.clauses
        if any(clause.parted for clause in clauses) and self.hold(clauses, indent):
            for clause in clauses:
                if clause is not clauses[0]:
                    self.part(clause, indent)
                self.line += clause.flat or ""
            return
        for clause in clauses:
            if clause.comments or (self.held and clause.parted):
                self.part(clause, indent)
            elif clause is not clauses[0]:
                self.line += " "
            body = clause.body
            if self.held and clause.flat is not None:
                self.line += clause.flat
                continue
            self.pieces(clause.pieces, indent, 0 if body is None else len(" {"))
            if body is None:
                return
            if clause.before_brace:
                self.comments(clause.before_brace, indent)
            elif clause.pieces:
                self.line += " "
            self.body(body, indent)

    def hold(self, clauses: list[_Clause], indent: int) -> bool:
        """Whether each clause of a choice fits on a line of its own."""
        first = clauses[0].flat
        return (
            first is not None
            and self.fits(first)
            and all(clause.flat is not None and indent + len(clause.flat) <= WIDTH for clause in clauses)
        )

    def part(self, clause: _Clause, indent: int) -> None:
        """Begin a line for a clause."""
        if clause.comments:
            self.comments(clause.comments, indent)
        else:
            self.end_line(indent)

    def body(self, body: _Body, indent: int) -> None:
        if body.empty:
            self.line += "{}"
            return
        self.line += "{"
        if body.trailing:
            self.line += "  " + body.trailing
        self.statements(body, indent + STEP)
        if body.closing:
            self.line += " }"
        else:
            self.end_line(indent)
            self.line += "}"

    # -------------------------------------------------------------------------- expressions

    def pieces(self, pieces: list[Piece], indent: int, after: int, beyond: int | None = None) -> None:
        """Pieces, with `after` columns to follow: on this line if they fit, else broken in brackets.

        What comes after a comment goes on at `beyond`, by default one step further in.
        """
        while pieces:
            count = next((i for i, piece in enumerate(pieces) if _breaks(piece)), len(pieces))
            text = _flat(pieces[:count]) or ""
            rest = pieces[count] if count < len(pieces) else None
            follows = after if rest is None else len(rest.space) + 1 if isinstance(rest, _Bracket) else 0
            if not self.fits(text, follows):
                count = self.relieved(pieces[:count], count)
            for piece in pieces[:count]:
                self.line += piece if isinstance(piece, str) else piece.flat or ""  # type: ignore[union-attr]
            if count == len(pieces):
                return
            broken = pieces[count]
            if isinstance(broken, _Bracket):
                self.bracket(broken, indent)
            elif isinstance(broken, list):
                indent = beyond = indent + STEP if beyond is None else beyond
                self.comments(broken, indent)
            pieces = pieces[count + 1 :]

    def relieved(self, pieces: list[Piece], otherwise: int) -> int:
        """The index of the bracket to break: the longest of those that begin on this line."""
        column = len(self.line)
        best, length = otherwise, 0
        for index, piece in enumerate(pieces):
            if isinstance(piece, _Bracket):
                flat = piece.flat or ""
                if piece.items and (length == 0 or (len(flat) > length and column + 2 <= WIDTH)):
                    best, length = index, len(flat)
                column += len(flat)
            elif isinstance(piece, str):
                column += len(piece)
        return best

    def bracket(self, bracket: _Bracket, indent: int) -> None:
        """A bracket over several lines."""
        self.line += bracket.space + bracket.opener
        items = bracket.items
        if self.hugs(bracket, indent):
            for item in items[:-1]:
                self.line += f"{item.flat}, "
            *head, last = items[-1].pieces
            self.line += _flat(head) or ""
            if isinstance(last, _Bracket):
                self.bracket(last, indent)
            self.line += bracket.closer
            return
        inner = indent + STEP
        was_broken = True
        for item in items:
            comma = "" if item is items[-1] else ","
            if item.comments:
                self.comments(item.comments, inner)
            elif was_broken or (bracket.keeps and item.newline):
                self.end_line(inner)
            elif item.flat is not None and self.fits(item.flat, len(" " + comma)):
                self.line += " "
            else:
                self.end_line(inner)
            was_broken = item.flat is None or not self.fits(item.flat, len(comma))
            if was_broken:
                self.item(item, inner, len(comma))
            else:
                self.line += item.flat or ""
            self.line += comma
        if bracket.comments:
            self.comments(bracket.comments, inner)
            self.line = " " * indent
        else:
            self.end_line(indent)
        self.line += bracket.closer

    def hugs(self, bracket: _Bracket, indent: int) -> bool:
        """Whether the brackets of the last item stand for these too: `f(a, [`, rows, `])`."""
        items = bracket.items
        if bracket.keeps or not items:
            return False
        pieces = items[-1].pieces
        if not isinstance(pieces[-1], _Bracket) or not pieces[-1].items or _operators(pieces):
            return False
        if len(items) == 1 and len(pieces) == 1:
            return True
        last, head = items[-1].flat, _flat(pieces[:-1])
        if bracket.opener != "(" or head is None or any(item.flat is None for item in items[:-1]):
            return False
        if last is not None and indent + STEP + len(last) <= WIDTH:
            return False
        before = "".join(f"{item.flat}, " for item in items[:-1])
        return self.fits(before + head, len("["))

    def item(self, item: _Item, indent: int, after: int) -> None:
        """An item in brackets that does not fit on a line: broken before its loosest operators, if any."""
        operators = _operators(item.pieces)
        if not operators:
            self.pieces(item.pieces, indent, after)
            return
        bounds = [0, *operators, len(item.pieces)]
        inner = indent + STEP
        base = indent
        for start, end in pairwise(bounds):
            pieces = item.pieces[start:end]
            flat = _flat(pieces)
            room = after if end == len(item.pieces) else 0
            if start and not isinstance(pieces[min(1, len(pieces) - 1)], list):
                if flat is not None and self.fits(flat, room):
                    self.line += flat
                    continue
                self.end_line(inner)
                base = inner
                pieces = [str(pieces[0]).removeprefix(" "), *pieces[1:]]
            elif start:
                # A comment right behind the operator ends the line there.
                base = inner
            self.pieces(pieces, base, room, inner)


def _allows(comment: str) -> bool:
    """Whether a comment may be one that silences what is said of a line."""
    return comment.lstrip("# ").lower().startswith("allow")


def _breaks(piece: Piece) -> bool:
    return isinstance(piece, list) or (isinstance(piece, _Bracket) and piece.flat is None)


def _operators(pieces: list[Piece]) -> list[int]:
    """Where the loosest operators of an expression stand among its pieces."""
    found: dict[int, list[int]] = {}
    for index, piece in enumerate(pieces):
        if isinstance(piece, str) and piece.startswith(" "):
            looseness = _LOOSENESS.get(piece.split(" ", 2)[1])
            if looseness is not None and index:
                found.setdefault(looseness, []).append(index)
    return found[min(found)] if found else []
