"""From text to tokens that the automaton can read.

`scan` cuts a text into terminals and sets comments aside; nothing fails to match. `structure` takes
out the newlines that end nothing and balances brackets and braces, so that a bracket or brace that
was forgotten is one problem, at one place, and the parser sees a file of whole statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from archdsl.diagnostics import Label
from archdsl.problems.bounds import NestingTooDeep
from archdsl.problems.problem import Problem
from archdsl.problems.syntax import NeedlessSemicolon, UnexpectedText
from archdsl.problems.tokens import (
    BadQuotes,
    CommentMark,
    MismatchedBracket,
    MissingBrace,
    StrayBracket,
    UnclosedBrace,
    UnclosedBracket,
    UnclosedString,
    UnknownCharacter,
)
from archdsl.source import Source, Span
from archdsl.syntax.grammar import Grammar, grammar
from archdsl.syntax.tree import Comment

NESTING = 50
"""Groups inside groups, and brackets inside brackets."""

DECLARATIONS = frozenset({"NETWORK", "BLOCK", "TRAIN", "IMPORT"})
STATEMENTS = frozenset({"OUTPUT", "LET", "EXPECT", "SHARED", "PARALLEL", "REPEAT", "FOR", "FROM"})
OPERANDS = frozenset({"NAME", "NUMBER", "STRING", "TRUE", "FALSE", "NONE", "INPUT", "RPAR", "RSQB"})
"""What an expression may end with."""

CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
WRITTEN = {"RPAR": ")", "RSQB": "]", "LBRACE": "{", "RBRACE": "}"}

MEANT = {
    "=>": "->", "-->": "->", "- >": "->", "\u2013>": "->", "\u2014>": "->",
    "\u2192": "->", "\u27f6": "->", "\u21d2": "->",
    "\u2212": "-", "\u2013": "-", "\u2014": "-",
    "\u00d7": "*", "\u22c5": "*", "\u00b7": "*",
    "\u2264": "<=", "\u2265": ">=", "\u2260": "!=",
    "&&": "and", "||": "or", "!": "not", "^": "**",
    "\u00a0": " ",
}  # fmt: skip
"""What a terminal MISTAKEN stands for."""


class Token(NamedTuple):
    """A terminal: its kind, its text, and where it starts and ends. One put in by us has no text."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(slots=True)
class Tokens:
    """What a text was read as.

    `documentation` is what stands above a token, by its start. `reported` are stretches whose
    mistake has been reported already, so that nothing more is said about what it leads to.
    """

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    documentation: dict[int, str] = field(default_factory=dict)
    head: str = ""
    reported: list[tuple[int, int]] = field(default_factory=list)


Report = Callable[[Problem, Span, tuple[Label, ...]], None]


def words(source: Source) -> list[tuple[str, str]]:
    """All that a text says, whatever its spaces and comments: the kind and the text of each terminal."""
    return [(token.kind, token.text) for token in scan(source, grammar(), Tokens())]


def scan(source: Source, tables: Grammar, result: Tokens) -> list[Token]:
    """The terminals of a text. Comments and what they document go to `result`.

    A run of newlines is one token, and a last one closes the text.
    """
    text = source.text
    keywords = tables.keywords
    tokens: list[Token] = []
    block: list[Comment] = []  # the comment lines directly above the place that is read
    is_head = True  # nothing but comments so far
    line_empty = True  # nothing on this line so far
    commented = False  # this line is a comment
    for match in tables.terminals.finditer(text):
        kind = match.lastgroup or ""
        if kind == "SPACE":
            continue
        start, end = match.span()
        if kind == "NEWLINE":
            if line_empty and not commented and block:  # an empty line ends a block of comments
                if is_head:
                    result.head, is_head = _documentation(block, "#"), False
                block = []
            if tokens and tokens[-1].kind != "NEWLINE":
                tokens.append(Token("NEWLINE", "\n", start, end))
            line_empty, commented = True, False
            continue
        if kind == "COMMENT":
            comment = Comment(Span(source, start, end), match.group().rstrip())
            comment.span = Span(source, start, start + len(comment.text))
            result.comments.append(comment)
            if line_empty:
                block.append(comment)
                commented = True
            continue
        if block:
            result.documentation[start] = _documentation(block, "##")
            if is_head:
                result.head = _documentation([c for c in block if not c.text.startswith("##")], "#")
            block = []
        is_head = line_empty = False
        word = match.group()
        if kind == "NAME":
            kind = keywords.get(word, "NAME") if word.isascii() else "ILLEGAL"
        elif kind == "ILLEGAL" and tokens and tokens[-1].kind == "ILLEGAL" and tokens[-1].end == start:
            last = tokens.pop()
            start, word = last.start, last.text + word
        tokens.append(Token(kind, word, start, end))
    if block and is_head:
        result.head = _documentation(block, "#")
    if tokens and tokens[-1].kind != "NEWLINE":
        tokens.append(Token("NEWLINE", "", len(text), len(text)))
    return tokens


def _documentation(block: list[Comment], mark: str) -> str:
    """The text of the comments that start with `mark`, without their marks."""
    lines = [comment.text.lstrip("#").removeprefix(" ") for comment in block if comment.text.startswith(mark)]
    return "\n".join(lines).strip("\n")


def structure(source: Source, tables: Grammar, report: Report) -> Tokens:
    """The tokens of a text as the automaton takes them: balanced, with only newlines that end a line."""
    result = Tokens()
    _Structure(source, scan(source, tables, result), result, report).run()
    return result


class _Structure:
    """One walk over the scanned tokens, with the brackets and braces that are open."""

    def __init__(self, source: Source, scanned: list[Token], result: Tokens, report: Report) -> None:
        self.source = source
        self.scanned = scanned
        self.result = result
        self.out = result.tokens
        self.report = report
        self.brackets: list[Token] = []
        self.braces: list[Token] = []
        self.closed: list[tuple[Token, Token]] = []  # pairs of braces, for the mending of a forgotten one
        self.first: Token | None = None  # of the line that is read
        self.calculates = False  # this line has an expression outside of brackets
        self.index = 0

    def run(self) -> None:
        scanned = self.scanned
        out = self.out
        end = len(self.source.text)
        while self.index < len(scanned):
            token = scanned[self.index]
            self.index += 1
            kind = token.kind
            if kind == "NEWLINE":
                self.newline(token)
            elif kind in ("LPAR", "LSQB"):
                self.open_bracket(token)
            elif kind in ("RPAR", "RSQB"):
                self.close_bracket(token)
            elif kind == "LBRACE":
                self.open_brace(token)
            elif kind == "RBRACE":
                self.close_brace(token)
            elif kind in _SPECIAL:
                self.mistaken(token)
            else:
                if kind == "FLOOR" and not self.calculates and not self.brackets:
                    self.comment(token)
                    continue
                if self.first is None:
                    self.begin(token)
                elif not self.brackets:
                    self.calculates |= kind in _CALCULATING
                out.append(token)
        self.close_brackets()
        self.close_braces(self.braces, Token("$END", "", end, end))
        while out and out[-1].kind == "NEWLINE":
            out.pop()
        out.append(Token("$END", "", end, end))

    # -------------------------------------------------------------------------- lines

    def begin(self, token: Token) -> None:
        """The first token of a line."""
        if token.kind in DECLARATIONS and self.braces and self.peek(0) in ("NAME", "LBRACE"):
            opened = self.indentation(self.braces[0])
        else:
            opened = -1
        if self.indentation(token) <= opened:
            # A declaration no deeper than the line that opened a brace: the brace was never closed.
            self.close_braces(self.braces, token)
            self.separate(token.start)
        self.first = token
        self.calculates = token.kind in _CALCULATING

    def peek(self, ahead: int) -> str:
        """The kind of a token to come."""
        index = self.index + ahead
        return self.scanned[index].kind if index < len(self.scanned) else "$END"

    def newline(self, token: Token) -> None:
        if self.brackets:
            if not self.is_unclosed():
                return
            self.close_brackets()
        ahead = self.peek(0)
        if not self.braces and self.first is not None and self.first.kind in ("NETWORK", "BLOCK", "TRAIN"):
            if ahead == "LBRACE":
                return
            self.missing_brace(ahead)
        if ahead not in ("ARROW", "ELSE"):
            self.end_line()
            if ahead != "RBRACE":
                self.separate(token.start)

    def separate(self, place: int) -> None:
        """A newline between two statements."""
        if self.out and self.out[-1].kind not in ("NEWLINE", "ARROW", "LBRACE"):
            self.out.append(Token("NEWLINE", "", place, place))

    def end_line(self) -> None:
        self.first = None
        self.calculates = False

    def comment(self, token: Token) -> None:
        """`//` where nothing can be divided: take the rest of the line for a comment."""
        self.say(CommentMark(), token)
        while self.peek(0) not in ("NEWLINE", "$END"):
            self.index += 1

    # -------------------------------------------------------------------------- brackets

    def open_bracket(self, token: Token) -> None:
        if self.first is None:
            self.begin(token)
        if len(self.brackets) >= NESTING:
            self.say(NestingTooDeep("brackets", NESTING), token)
            depth = 1
            while depth and self.peek(0) not in ("LBRACE", "RBRACE", "$END"):
                depth += (self.peek(0) in ("LPAR", "LSQB")) - (self.peek(0) in ("RPAR", "RSQB"))
                self.index += 1
            self.give_up(token)
            return
        self.brackets.append(token)
        self.out.append(token)

    def close_bracket(self, token: Token) -> None:
        wanted = {"RPAR": "LPAR", "RSQB": "LSQB"}[token.kind]
        if not self.brackets:
            self.say(StrayBracket(token.text), token)
            return
        if self.brackets[-1].kind != wanted:
            around = [opened.kind for opened in self.brackets[-2:-1]]
            if self.peek(0) == CLOSERS[self.brackets[-1].kind] and around == [wanted]:
                self.swap(token)
                token = self.scanned[self.index - 1]
            elif any(opened.kind == wanted for opened in self.brackets):
                while self.brackets[-1].kind != wanted:
                    self.close_last_bracket()
            else:
                token = self.mismatched(token)
        self.brackets.pop()
        self.out.append(token)

    def mismatched(self, token: Token) -> Token:
        """The bracket that was meant in place of one of another kind."""
        opened = self.brackets[-1]
        right = CLOSERS[opened.kind]
        self.say(
            MismatchedBracket(opened.text, token.text, WRITTEN[right]),
            token,
            (Label(self.span(opened), "opened here"),),
        )
        return Token(right, token.text, token.start, token.end)

    def swap(self, token: Token) -> None:
        """Close what is open by a bracket that stands in the place of the next one: `([)]`."""
        other = self.scanned[self.index]
        self.out.append(self.mismatched(token))
        self.brackets.pop()
        self.scanned[self.index] = Token(token.kind, other.text, other.start, other.end)
        self.index += 1

    def close_last_bracket(self, silently: bool = False) -> None:
        opened = self.brackets.pop()
        place = self.out[-1].end
        self.out.append(Token(CLOSERS[opened.kind], "", place, place))
        if not silently:
            self.say(UnclosedBracket(opened.text, WRITTEN[CLOSERS[opened.kind]]), opened)
        self.result.reported.append((opened.start, place))

    def close_brackets(self, silently: bool = False) -> None:
        """Close what is open. Of several forgotten on one line, the outermost is reported."""
        while self.brackets:
            self.close_last_bracket(silently or len(self.brackets) > 1)

    def is_unclosed(self) -> bool:
        """Whether the open brackets were forgotten: the next line is no part of a list in brackets."""
        first, second, third = self.peek(0), self.peek(1), self.peek(2)
        if first == "LBRACE":
            return self.brackets[-1].start not in self.pairs
        if first in ("RBRACE", "ARROW", "$END"):
            return True
        if first == "INPUT":
            return second == "NAME"
        if first in DECLARATIONS or first in STATEMENTS:
            return second != "EQUAL"
        if first != "NAME":
            return False
        if second == "COLON":
            return third not in OPERANDS or third == "NAME"
        follows_operand = self.out[-1].kind in OPERANDS
        if second == "LPAR" and follows_operand:
            return True
        return second in ("NEWLINE", "ARROW", "RBRACE") and follows_operand

    # -------------------------------------------------------------------------- braces

    def open_brace(self, token: Token) -> None:
        if self.brackets and self.brackets[-1].start in self.pairs:
            self.brace_in_brackets(token)
            return
        self.close_brackets()
        # The first brace is that of the network or block itself.
        if len(self.braces) > NESTING:
            self.say(NestingTooDeep("groups", NESTING), token)
            depth = 1
            while depth and self.peek(0) != "$END":
                depth += (self.peek(0) == "LBRACE") - (self.peek(0) == "RBRACE")
                self.index += 1
            self.give_up(token)
            return
        self.braces.append(token)
        self.out.append(token)
        self.end_line()

    @cached_property
    def pairs(self) -> dict[int, int]:
        """Where each bracket or brace is closed whose closer is behind whole pairs, by where it is opened.

        It is asked only for braces in brackets, of which either the brackets or the braces are a mistake.
        """
        found: dict[int, int] = {}
        waiting: list[Token] = []
        for token in self.scanned:
            if token.kind in CLOSERS:
                waiting.append(token)
            elif waiting and token.kind == CLOSERS[waiting[-1].kind]:
                found[waiting.pop().start] = token.start
        return found

    def brace_in_brackets(self, token: Token) -> None:
        """Leave out a group in brackets that are closed behind it."""
        self.say(UnexpectedText("`{`", ("a value",), "a list stands in brackets: [3, 3]"), token)
        end = self.pairs[token.start]
        while self.scanned[self.index - 1].start < end:
            self.index += 1
        self.give_up(token)

    def close_brace(self, token: Token) -> None:
        self.close_brackets()
        if not self.braces:
            self.say(StrayBracket("}"), token)
            return
        self.closed.append((self.braces.pop(), token))
        self.out.append(token)
        self.end_line()

    def close_braces(self, opened: list[Token], before: Token) -> None:
        """Close what is open where a declaration or the end of the file follows."""
        if not opened:
            return
        suspect = self.suspect(opened[-1])
        if opened[0].text or len(opened) > 1:
            found = "the end of the file" if before.kind == "$END" else f"`{before.text}`"
            span = Span(self.source, before.start, before.end)
            self.report(UnclosedBrace(found), span, (Label(self.span(suspect), "this is never closed"),))
        place = self.out[-1].end
        while self.out[-1].kind == "NEWLINE":
            self.out.pop()
        self.out.extend(Token("RBRACE", "", place, place) for _ in opened)
        opened.clear()

    def suspect(self, innermost: Token) -> Token:
        """The opened brace that was most likely forgotten, as the indentation of the file shows it.

        A `}` that starts its line further left than the line of its `{` was meant for another.
        """
        for opened, closer in self.closed:
            if (
                opened.start > innermost.start
                and self.starts_line(closer)
                and self.indentation(closer) < self.indentation(opened)
            ):
                return opened
        return innermost

    def missing_brace(self, ahead: str) -> None:
        """A declaration's first line without its `{`."""
        last = self.out[-1]
        assert self.first is not None
        self.say(MissingBrace(self.first.text), last)
        self.result.reported.append((self.first.start, last.end))
        opened = Token("LBRACE", "", last.end, last.end)
        self.out.append(opened)
        if ahead in DECLARATIONS or ahead == "$END":
            self.out.append(Token("RBRACE", "", last.end, last.end))
        else:
            self.braces.append(opened)

    # -------------------------------------------------------------------------- mistakes

    def mistaken(self, token: Token) -> None:
        """A token that is often written in place of one of the language's."""
        if self.first is None:
            self.begin(token)
        if token.kind == "SEMICOLON":
            if self.brackets:
                self.out.append(Token("ILLEGAL", *token[1:]))
                return
            self.say(NeedlessSemicolon(self.peek(0) in ("NEWLINE", "RBRACE")), token)
            if self.peek(0) != "NEWLINE":
                self.newline(token)
        elif token.kind == "MISTAKEN":
            meant = MEANT[token.text]
            self.say(UnknownCharacter(token.text, meant), token)
            if meant != " ":
                kind = _MEANT_KINDS[meant]
                self.calculates |= kind in _CALCULATING and not self.brackets
                self.out.append(Token(kind, meant, token.start, token.end))
        elif token.kind == "QUOTED":
            self.say(BadQuotes(token.text), token)
            self.out.append(Token("STRING", *token[1:]))
        else:
            self.say(UnclosedString(token.text), token)
            self.give_up(token)
            self.close_brackets(silently=True)

    def give_up(self, token: Token) -> None:
        """Leave a token that nothing takes: the statement is broken, and the reason was reported."""
        self.out.append(Token("ILLEGAL", token.text, token.start, token.end))
        self.result.reported.append((token.start, token.end))

    def say(self, problem: Problem, token: Token, labels: tuple[Label, ...] = ()) -> None:
        self.report(problem, self.span(token), labels)

    def span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def indentation(self, token: Token) -> int:
        """The column at which the line of a token starts, from 0."""
        text = self.source.text
        start = text.rfind("\n", 0, token.start) + 1
        return len(text[start : token.start]) - len(text[start : token.start].lstrip())

    def starts_line(self, token: Token) -> bool:
        text = self.source.text
        return not text[text.rfind("\n", 0, token.start) + 1 : token.start].strip()


_SPECIAL = frozenset({"SEMICOLON", "MISTAKEN", "QUOTED", "UNCLOSED"})
_CALCULATING = frozenset({"OUTPUT", "LET", "EXPECT", "FROM", "IF", "FOR", "REPEAT", "EQUAL"})
"""What has an expression after it, so that `//` divides there."""

_MEANT_KINDS = {
    "->": "ARROW", "-": "MINUS", "*": "TIMES", "<=": "AT_MOST", ">=": "AT_LEAST", "!=": "UNEQUAL",
    "and": "AND", "or": "OR", "not": "NOT", "**": "POWER",
}  # fmt: skip
