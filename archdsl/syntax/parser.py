"""From the text of a file to its syntax tree, with a diagnostic for everything that cannot be read.

The automaton of `grammar.py` takes the tokens of `tokens.py` one by one, and `builder.py` makes the
nodes. Where no action stands for a token, the mistake is mended if it is a common one, so that
nothing is lost; otherwise it is reported in the words of the language, the statement becomes a
`Broken` node, and reading goes on with the next one.
"""

from __future__ import annotations

import re
from typing import Any

from archdsl.collection import uncollected
from archdsl.diagnostics import Diagnostic, Label
from archdsl.problems.bounds import FileTooLarge, TooManyMistakes
from archdsl.problems.problem import Problem, nearest
from archdsl.problems.syntax import (
    ElseIf,
    KeywordAsName,
    MissingArrow,
    MissingComma,
    MissingLet,
    MisspeltWord,
    NestedDeclaration,
    NoName,
    OutsideBlock,
    RepeatedWord,
    StrayElse,
    UnexpectedText,
    WrongMark,
)
from archdsl.problems.tokens import NAMES, StrayBracket, UnknownCharacter
from archdsl.source import Source, Span
from archdsl.syntax.builder import UNIT_WORDS, Builder, Refused, bad_number
from archdsl.syntax.grammar import Grammar, grammar
from archdsl.syntax.tokens import DECLARATIONS, OPERANDS, WRITTEN, Token, Tokens, structure
from archdsl.syntax.tree import Broken, Declaration, File

SIZE = 2**20
"""Characters of a file."""

MISTAKES = 100
"""Mistakes of one file that are reported."""


def parse(source: Source, tokens: Tokens | None = None) -> tuple[File, list[Diagnostic]]:
    """The tree of a file, and what is wrong with its text, in order of place.

    `tokens` are its tokens where they have been read already, and nothing was wrong with them.
    No text makes this raise. What could not be read is `Broken` in the tree; of a file that is too
    large, or has too many mistakes, the tree is empty.
    """
    if len(source.text) > SIZE:
        problem = FileTooLarge(len(source.text), SIZE)
        return File(source, []), [Diagnostic.of(problem, Span(source, 0, 0))]
    reports = _Reports()
    try:
        with uncollected():
            tables = grammar()
            tokens = tokens or structure(source, tables, reports.add)
            declarations = _Parser(source, tables, tokens, reports).run()
        file = File(source, declarations, tokens.comments, tokens.head)
    except _TooMany:
        file = File(source, [])
    if reports.diagnostics and (told := _foreign(source)) is not None:
        return File(source, [Broken(Span(source, 0, len(source.text)), [])]), [told]
    found = sorted(reports.diagnostics, key=lambda d: (d.span.start, d.span.end))
    return file, _one_brace_too_many(found)


def _foreign(source: Source) -> Diagnostic | None:
    """What is said of a text with mistakes that is none of this language's, in place of them all."""
    from archdsl.syntax.foreign import foreign

    found = foreign(source)
    return None if found is None else Diagnostic.of(*found)


def _one_brace_too_many(found: list[Diagnostic]) -> list[Diagnostic]:
    """A brace too many in a body closes it too early, and the last brace closes nothing: one mistake."""
    outside = next((d for d in found if d.name == OutsideBlock.name and d.labels), None)
    last = next((d for d in found if d.name == StrayBracket.name and d.span.text == "}"), None)
    if outside is None or last is None or last.span.start < outside.span.start:
        return found
    labels = (
        Label(outside.span, "this would stand outside"),
        Label(last.span, "the last one then closes nothing"),
    )
    early = Diagnostic.of(StrayBracket("}", early=True), outside.labels[0].span, labels)
    return [early if d is outside else d for d in found if d is not last]


class _TooMany(Exception):
    """The rest of the file is not read."""


class _Reports:
    """The diagnostics of one file, at most one at a place."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._places: set[tuple[int, int]] = set()

    def add(self, problem: Problem, span: Span, labels: tuple[Label, ...]) -> None:
        if (span.start, span.end) in self._places:
            return
        self._places.add((span.start, span.end))
        if len(self.diagnostics) == MISTAKES:
            self.diagnostics.append(Diagnostic.of(TooManyMistakes(MISTAKES), span))
            raise _TooMany
        self.diagnostics.append(Diagnostic.of(problem, span, labels))


class _Parser:
    """The automaton at work on one file."""

    def __init__(self, source: Source, tables: Grammar, tokens: Tokens, reports: _Reports) -> None:
        self.source = source
        self.actions = tables.actions
        self.gotos = tables.gotos
        self.productions = tables.productions
        self.end = tables.end
        self.tokens = tokens.tokens
        self.reported = tokens.reported
        self.reports = reports
        self.builder = Builder(source, tokens, reports.add)
        self.states: list[int] = [tables.start]
        self.values: list[Any] = []

    def run(self) -> list[Declaration]:
        """Read to the end of the file."""
        actions, gotos = self.actions, self.gotos
        states, values, tokens = self.states, self.values, self.tokens
        steps = [
            (p.size, p.origin, None if p.builder is None else getattr(self.builder, p.builder))
            for p in self.productions
        ]
        passed_on: dict[tuple[int, int, str], int] = {}
        index = 0
        while True:
            token = tokens[index]
            kind = token.kind
            action = actions[states[-1]].get(kind)
            if action is None:
                if states[-1] == self.end:
                    declarations: list[Declaration] = values[0]
                    return declarations
                index = self.recover(index)
            elif action >= 0:
                states.append(action)
                values.append(token)
                index += 1
            else:
                size, origin, build = steps[~action]
                if build is None:
                    # A name alone is an atom, a power, a product, a sum, ...: the way up is gone once.
                    way = (states[-2], states[-1], kind)
                    state = passed_on.get(way)
                    if state is None:
                        state = passed_on[way] = self.passed_on(*way)
                    states[-1] = state
                    continue
                try:
                    value = build(*values[len(values) - size :])
                except Refused as refused:
                    self.say(refused.problem, refused.span)
                    index = self.leave_out(index)
                    continue
                if size:
                    del states[-size:]
                    del values[-size:]
                states.append(gotos[states[-1]][origin])
                values.append(value)

    def passed_on(self, below: int, state: int, kind: str) -> int:
        """The state after all productions that pass a value on, one after the other, before a terminal."""
        while True:
            action = self.actions[state].get(kind)
            if action is None or action >= 0 or self.productions[~action].builder is not None:
                return state
            state = self.gotos[below][self.productions[~action].origin]

    # -------------------------------------------------------------------------- what could stand here

    def accepts(self, *kinds: str) -> bool:
        """Whether these terminals could follow."""
        states = self.states.copy()
        for kind in kinds:
            while True:
                action = self.actions[states[-1]].get(kind)
                if action is None:
                    return False
                if action >= 0:
                    states.append(action)
                    break
                production = self.productions[~action]
                if production.size:
                    del states[-production.size :]
                states.append(self.gotos[states[-1]][production.origin])
        return True

    def expected(self) -> tuple[str, ...]:
        """What could stand here, in the words of the language."""
        kinds = {kind for kind in self.actions[self.states[-1]] if self.accepts(kind)}
        words = []
        for phrase, sign, covered in _PHRASES:
            if sign in kinds:
                words.append(phrase)
                kinds -= covered
        if "NEWLINE" in kinds:
            kinds.discard("RBRACE")
        if "COLON" in kinds:
            kinds.discard("COMMA")
        if words or not kinds.isdisjoint(_OPERATORS):
            kinds.discard("LSQB")
        words.extend(phrase for kind, phrase in _MARKS.items() if kind in kinds)
        return tuple(words) or ("an operator",)

    def found(self, token: Token) -> str:
        if token.kind == "NEWLINE":
            return "the end of the line"
        if token.kind == "$END":
            return "the end of the file"
        text = token.text or WRITTEN[token.kind]
        return f"the word `{text}`" if token.kind in _KEYWORDS else f"`{text[:40]}`"

    # -------------------------------------------------------------------------- mistakes

    def recover(self, index: int) -> int:
        """Report or mend what stands at `index`; the index at which to go on."""
        token = self.tokens[index]
        after_group = self.before(index).kind == "RBRACE" and self.accepts("NEWLINE")
        if not after_group and any(start <= token.start <= end for start, end in self.reported):
            return self.leave_out(index)
        mended = self.mend(index)
        if mended is not None:
            return mended
        if after_group:
            # What follows is read as a line of its own; if it is none, that is said there.
            if self.accepts("NEWLINE", token.kind):
                problem = UnexpectedText(self.found(token), self.expected(), "start a new line here")
                self.say(problem, self.at(token))
            return self.put_in(index, "NEWLINE", "")
        wrong = self.problem(index)
        labels = self.closed_before(index) if isinstance(wrong, OutsideBlock) else ()
        self.reports.add(wrong, self.place(index), labels)
        return self.leave_out(index)

    def closed_before(self, index: int) -> tuple[Label, ...]:
        """The brace that closed the declaration before a token outside of any."""
        while index and self.tokens[index - 1].kind == "NEWLINE":
            index -= 1
        brace = self.before(index)
        return (Label(self.at(brace), "what stands before ends here"),) if brace.kind == "RBRACE" else ()

    def place(self, index: int) -> Span:
        """Where a token stands; the end of a line, and what we put in, after what is before it."""
        token = self.tokens[index]
        if token.text.strip():
            return self.at(token)
        place = self.before(index).end
        return Span(self.source, place, place)

    def at(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def before(self, index: int) -> Token:
        return self.tokens[index - 1] if index else Token("NEWLINE", "", 0, 0)

    def problem(self, index: int) -> Problem:
        """What is wrong with the token at `index`, which nothing accepts."""
        token, before = self.tokens[index], self.before(index)
        if token.kind == "ILLEGAL":
            return UnknownCharacter(token.text)
        if token.kind in DECLARATIONS and self.accepts("EXPECT"):
            return NestedDeclaration(token.text)
        if self.accepts("NETWORK"):
            return OutsideBlock(self.found(token), _OTHER_LANGUAGES.get(token.text))
        if before.kind in ("NETWORK", "BLOCK") and token.kind in ("LBRACE", "LPAR"):
            return NoName(before.text)
        if token.kind == "ELSE":
            return StrayElse()
        return UnexpectedText(self.found(token), self.expected(), self.hint(token, before))

    def hint(self, token: Token, before: Token) -> str | None:
        """How to mend a mistake whose reason is likely."""
        if before.text in _OTHER_LANGUAGES:
            return _OTHER_LANGUAGES[before.text]
        if (before.kind, token.kind) in _HINTS:
            return _HINTS[before.kind, token.kind]
        if token.kind in ("MORE", "COMMA") and self.accepts("ARROW"):
            return "layers are chained by `->`"
        if token.kind == "MINUS" and (rest := _REST_OF_NAME.match(self.source.text, token.start)):
            return f"{NAMES}: `{before.text}_{rest[1]}`"
        begins = token.text[:1].isdigit() and token.text.isalnum() and not token.text.isdigit()
        if begins and self.accepts("REPEAT"):
            return f"{NAMES}, and begin with no digit"
        if token.kind == "DIVIDE" and self.accepts("REPEAT"):
            return "a comment begins with `#`"
        if token.kind == "IF":
            return "a choice between values is written `a if test else b`"
        unlisted = before.kind == "NUMBER" or self.accepts("RPAR")
        if token.kind == "COMMA" and self.begins_with("INPUT") and unlisted:
            return "a shape is a list in brackets: [3, 224, 224]"
        if self.begins_with("FOR") and (
            token.kind in ("LPAR", "COMMA") and self.accepts("IN" if token.kind == "COMMA" else "NAME")
        ):
            return "to take elements apart, write `for [a, b] in ...`"
        if token.kind == "COMMA" and self.accepts("RPAR"):
            return "a list stands in brackets: [3, 3]"
        if token.kind == "COLON" and self.begins_with("FOR", "REPEAT", "IF", "ELSE"):
            return "no colon: the body stands between braces, `{ ... }`"
        if token.kind == "COLON" and self.begins_with("COLON"):
            return "a line has one label"
        if token.kind in _JOINS and before.kind == "NAME" and self.accepts("ARROW"):
            return f"values are joined by layers: from {before.text}, ... -> {_JOINS[token.kind]}"
        if token.kind == "LPAR" and before.kind == "NAME":
            return f"functions stand alone: {before.text}(...)"
        if token.kind == "NUMBER" and before.kind == "NAME" and self.begins_with("LET"):
            return f"a value follows an equals sign: let {before.text} = {token.text[:40]}"
        if token.kind == "NUMBER" and before.kind == "NAME" and self.accepts("LPAR"):
            return f"arguments stand in parentheses: {before.text}({token.text[:40]})"
        if token.kind == "LSQB" and self.accepts("COLON"):
            return f"a shape follows a colon: {before.text}: [...]"
        if token.kind == "LBRACE" and self.accepts("COLON") and self.accepts("ARROW"):
            return "layers are grouped by `LABEL: { ... }`, and branches that meet by `parallel add { ... }`"
        if token.kind == "NEWLINE" and before.kind in _OPERATORS:
            return "an expression goes on in the next line only inside parentheses"
        if token.kind in ("NEWLINE", "RBRACE") and before.kind == "COLON":
            return "a label names what its line makes"
        return None

    def mend(self, index: int) -> int | None:
        """Report a common mistake and change the tokens to what was meant.

        Returns the index to go on with, or None where it is none of these mistakes.
        """
        token, before = self.tokens[index], self.before(index)
        kind, after = token.kind, self.ahead(index, 1)
        if kind == "NAME" and before.kind == "NUMBER" and token.text.lower() in UNIT_WORDS:
            whole = Span(self.source, before.start, token.end)
            self.say(bad_number(whole.text), whole)
            return self.leave_out(index)
        if before.kind == "INPUT" and after == "LSQB" and kind in ("COLON", "EQUAL") and self.accepts("NAME"):
            self.say(NoName("input"), self.at(token))
            return self.put_in(index, "NAME", "input")
        if kind in ("COLON", "EQUAL") and before.kind in _KEYWORDS and self.takes_back(before, "NAME", kind):
            self.say(KeywordAsName(before.text), self.at(before))
            return self.change(index - 1, Token("NAME", *before[1:]))
        labels = kind == "EQUAL" and before.kind in _KEYWORDS and after == "NAME"
        if labels and self.takes_back(before, "NAME", "COLON"):
            self.say(KeywordAsName(before.text), self.at(before))
            self.change(index, Token("COLON", *token[1:]))
            return self.change(index - 1, Token("NAME", *before[1:]))
        if before.kind == "NAME" and kind in _MEANINGS and (word := self.misspelt(before, kind)) is not None:
            self.say(MisspeltWord(before.text, word), self.at(before))
            return self.change(index - 1, Token(word.upper(), word, before.start, before.end))
        if kind in ("COLON", "EQUAL", "EQUALS"):
            return self.mend_mark(index)
        if kind in _KEYWORDS and self.accepts("NAME", after) and self.is_name(after):
            self.say(KeywordAsName(token.text), self.at(token))
            return self.change(index, Token("NAME", *token[1:]))
        if kind == "NAME" and self.accepts("NETWORK"):
            word = nearest(token.text, [w.lower() for w in sorted(DECLARATIONS)])
            if word is not None and self.accepts(word.upper(), after):
                self.say(MisspeltWord(token.text, word), self.at(token))
                return self.change(index, Token(word.upper(), word, token.start, token.end))
            if after == "EQUAL":
                self.say(MissingLet(token.text), self.at(token))
                return self.put_in(index, "LET", "let")
        if token.text == "elif" and self.accepts("ELSE", "IF"):
            self.say(ElseIf(), self.at(token))
            return self.change(index, Token("ELSE", "else", *token[2:]), Token("IF", "if", *token[2:]))
        if (
            before.kind in OPERANDS
            and before.text
            and kind in _ELEMENTS
            and self.accepts("COMMA", kind)
            and self.begins_with("LPAR", "LSQB", "INPUT", "OUTPUT", "IMPORT")
        ):
            if kind == "NAME" and before.kind == "NAME" and before.text == token.text and after == "EQUAL":
                self.say(RepeatedWord(token.text), self.at(token))
                del self.tokens[index]
                return index
            self.say(MissingComma(before.text, token.text), self.at(before))
            return self.put_in(index, "COMMA", ",")
        follows = kind == "NAME" and before.kind in _ENDS_LAYER and after in _AFTER_LAYER
        if follows and self.accepts("ARROW", "NAME"):
            self.say(MissingArrow(token.text), self.at(token))
            return self.put_in(index, "ARROW", "->")
        if self.accepts("NEWLINE", kind) and kind in _LINES:
            problem = UnexpectedText(self.found(token), self.expected(), "start a new line here")
            self.say(problem, self.at(token))
            return self.put_in(index, "NEWLINE", "")
        return None

    def mend_mark(self, index: int) -> int | None:
        """One of `:`, `=`, `==` and `:=` where another was meant, or in a line that lacks its `let`."""
        token, before = self.tokens[index], self.before(index)
        after = self.ahead(index, 1)
        calculates = after in _VALUES or (after == "NAME" and self.ahead(index, 2) in _OPERATORS)
        if token.kind == "EQUAL" and before.kind == "NAME" and calculates and self.takes_back(before, "LET"):
            self.say(MissingLet(before.text), self.at(before))
            return self.put_in(index - 1, "LET", "let")
        if token.kind == "COLON" and after == "EQUAL" and self.accepts("EQUAL"):
            self.say(
                WrongMark(self.assigned(), ":=", "="), self.at(token).to(self.at(self.tokens[index + 1]))
            )
            del self.tokens[index]
            return index
        if token.kind == "EQUAL" and before.kind == "COLON":
            self.say(WrongMark(self.labelled(), ":=", ":"), self.at(before).to(self.at(token)))
            del self.tokens[index]
            return index
        compares = token.kind == "EQUAL" or self.begins_with("EXPECT")
        if self.accepts("EQUAL"):
            kind, what, mark = "EQUAL", self.assigned(), "="
        elif self.accepts("COLON") and (token.kind == "EQUAL" or after == "NAME"):
            kind, what, mark = "COLON", self.labelled(), ":"
        elif self.accepts("EQUALS") and compares and not self.begins_with(*_COMPARISONS):
            kind, what, mark = "EQUALS", "a comparison", "=="
        else:
            return None
        self.say(WrongMark(what, token.text, mark), self.at(token))
        return self.change(index, Token(kind, mark, token.start, token.end))

    def labelled(self) -> str:
        """What a colon would stand after here."""
        return "an input" if self.begins_with("INPUT") else "a label"

    def is_name(self, after: str) -> bool:
        """Whether a word of the language that stands here, before `after`, was meant as a name."""
        if after in ("EQUAL", "COLON"):
            return True
        return not (self.accepts("NUMBER") or self.accepts("REPEAT"))

    def misspelt(self, name: Token, kind: str) -> str | None:
        """The word of the language that `name`, which starts a statement, was meant to be before `kind`."""
        words = [w.lower() for w in sorted(_MEANINGS[kind])]
        word = _SYNONYMS.get(name.text) or nearest(name.text, words)
        return word if word is not None and self.takes_back(name, word.upper(), kind) else None

    def takes_back(self, token: Token, *kinds: str) -> bool:
        """Take `token` from the top of the stack if these terminals could stand in its place."""
        if not self.values or self.values[-1] is not token:
            return False
        state = self.states.pop()
        if not self.accepts(*kinds):
            self.states.append(state)
            return False
        self.values.pop()
        return True

    def ahead(self, index: int, count: int) -> str:
        """The kind of a later token."""
        return self.tokens[min(index + count, len(self.tokens) - 1)].kind

    def change(self, index: int, *tokens: Token) -> int:
        self.tokens[index : index + 1] = tokens
        return index

    def put_in(self, index: int, kind: str, text: str) -> int:
        start = self.tokens[index].start
        self.tokens.insert(index, Token(kind, text, start, start))
        return index

    def assigned(self) -> str:
        """What is given a value here."""
        for depth in range(len(self.values) - 1, -1, -1):
            value = self.values[depth]
            if not isinstance(value, Token):
                continue
            if value.kind == "LET":
                return "`let`"
            if value.kind == "LPAR":
                word = self.values[depth - 2] if depth > 1 else None
                is_head = isinstance(word, Token) and word.kind in ("NETWORK", "BLOCK")
                return "a parameter" if is_head else "an argument"
            if value.kind == "LBRACE":
                break
        return "a key of `train`"

    def begins_with(self, *kinds: str) -> bool:
        """Whether one of these terminals stands before what is read, in this statement."""
        for value in reversed(self.values):
            if isinstance(value, Token):
                if value.kind in kinds:
                    return True
                if value.kind in ("LBRACE", "NEWLINE"):
                    return False
        return False

    def say(self, problem: Problem, span: Span) -> None:
        self.reports.add(problem, span, ())

    # -------------------------------------------------------------------------- going on

    def leave_out(self, index: int) -> int:
        """Leave out what is wrong from `index` on; the index of the token to go on with.

        If it stands in the first line of a group, the group is still read. Otherwise the rest of the
        statement is left out, with the groups that it opens. Braces are balanced, so what follows is
        a newline or the end of the body or file, which may stand after any statement.
        """
        end = self.end_of_statement(index)
        brace = next((i for i in range(index, end) if self.tokens[i].kind == "LBRACE"), None)
        depth = len(self.values)
        while True:
            gotos = self.gotos[self.states[depth]]
            if brace is not None and depth < len(self.values):
                first = self.values[depth]
                head = _HEADS.get(first.kind) if isinstance(first, Token) else None
                if head is not None and head in gotos:
                    broken = self.builder.broken(first.start, self.tokens[brace].start)
                    return self.go_on(depth, head, broken, brace)
            origin = next(
                (origin for origin in ("statement", "setting", "declaration") if origin in gotos), None
            )
            if origin is not None:
                break
            depth -= 1
        start = self.start_of_statement(index)
        if origin == "declaration" and self.tokens[start].kind not in _TOP:
            while self.tokens[end].kind == "NEWLINE" and self.tokens[end + 1].kind not in _TOP:
                end = self.end_of_statement(end + 1)
        place = self.tokens[start].start
        broken = self.builder.broken(place, max(place, self.before(end).end))
        return self.go_on(depth, origin, broken, end)

    def end_of_statement(self, index: int) -> int:
        """The index of what ends the statement that `index` stands in."""
        depth = 0
        while True:
            kind = self.tokens[index].kind
            if kind == "$END" or (depth == 0 and kind in ("NEWLINE", "RBRACE")):
                return index
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            index += 1

    def start_of_statement(self, index: int) -> int:
        """The index of the first token of the statement that `index` stands in."""
        depth = 0
        while index:
            kind = self.tokens[index - 1].kind
            if depth == 0 and kind in ("NEWLINE", "LBRACE"):
                break
            depth += (kind == "RBRACE") - (kind == "LBRACE")
            index -= 1
        return index

    def go_on(self, depth: int, origin: str, value: Broken, index: int) -> int:
        """Take `value` for an `origin` that starts at `depth` of the stack."""
        del self.states[depth + 1 :]
        del self.values[depth:]
        self.states.append(self.gotos[self.states[-1]][origin])
        self.values.append(value)
        return index


_KEYWORDS = frozenset(
    [
        "NETWORK",
        "BLOCK",
        "TRAIN",
        "IMPORT",
        "FROM",
        "INPUT",
        "OUTPUT",
        "LET",
        "EXPECT",
        "SHARED",
        "PARALLEL",
        "REPEAT",
        "FOR",
        "IN",
        "IF",
        "ELSE",
        "AND",
        "OR",
        "NOT",
        "TRUE",
        "FALSE",
        "NONE",
    ]
)
_TOP = DECLARATIONS | {"LET"}
_LINES = _TOP | {"EXPECT", "INPUT", "OUTPUT", "SHARED"}
_HEADS = {
    "NETWORK": "head",
    "BLOCK": "head",
    "TRAIN": "train_head",
    "REPEAT": "repeat_head",
    "FOR": "for_head",
    "PARALLEL": "parallel_head",
    "IF": "if_head",
}
"""What the first line of a group is called in the grammar, by its first word."""

_COMPARISONS = frozenset({"EQUALS", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST"})
_OPERATORS = _COMPARISONS | {"PLUS", "MINUS", "TIMES", "DIVIDE", "FLOOR", "MODULO", "POWER", "AND", "OR"}
_VALUES = frozenset({"NUMBER", "STRING", "TRUE", "FALSE", "NONE", "LSQB", "MINUS", "LPAR", "INPUT"})
_ELEMENTS = frozenset({"NUMBER", "STRING", "TRUE", "FALSE", "NONE", "NAME"})

_MEANINGS = {
    "NAME": frozenset(
        {"INPUT", "OUTPUT", "LET", "EXPECT", "SHARED", "PARALLEL", "REPEAT", "FOR", "FROM", "IF"}
    ),
    "NUMBER": frozenset({"REPEAT", "EXPECT", "IF"}),
    "INPUT": frozenset({"EXPECT", "FROM", "IF"}),
}
"""The words that may start a statement before a token of a kind."""

_EXPRESSION = frozenset(
    {"NUMBER", "STRING", "TRUE", "FALSE", "NONE", "NAME", "INPUT", "NOT", "PLUS", "MINUS", "LPAR", "LSQB"}
)
_STATEMENT = frozenset(
    {
        "NAME",
        "LBRACE",
        "FROM",
        "PARALLEL",
        "REPEAT",
        "FOR",
        "IF",
        "INPUT",
        "OUTPUT",
        "LET",
        "EXPECT",
        "SHARED",
    }
)
_ENDS_LAYER = frozenset({"RPAR", "NAME"})
_AFTER_LAYER = frozenset({"NAME", "LPAR", "DOT", "ARROW", "NEWLINE", "RBRACE", "$END"})

_HINTS = {
    ("REPEAT", "LBRACE"): "say how often: repeat 3 { ... }",
    ("IMPORT", "TIMES"): 'name what is imported: import Block from "file.arch"',
    ("PARALLEL", "LBRACE"): "say how the branches are joined: parallel add { ... }",
}
"""How to mend what is often left out, by the word before it and what stands in its place."""

_REST_OF_NAME = re.compile(r"(?<=\w)-(\w+) *[:({]")
"""What goes on a label, or the name of a network or block, after a hyphen."""

_JOINS = {"PLUS": "add", "MINUS": "subtract", "TIMES": "multiply"}
"""The layers that do with values what operators do with numbers."""

_SYNONYMS = {"return": "output", "def": "let", "const": "let", "var": "let", "assert": "expect"}
"""Words of other languages that a statement may start with, and ours."""

_OTHER_LANGUAGES = {
    "while": "layers are repeated by `repeat n { ... }` and `for x in list { ... }`",
    "def": "a block is `block Name(channels) { ... }`, and a function of numbers `let f(x) = 2 * x`",
    "lambda": "a function of numbers is `let f(x) = 2 * x`",
    "class": "a network is `network Name { ... }`, and a piece of one `block Name { ... }`",
    "return": "the result is the last line's, or what `output` names",
}
"""Words of other languages, and what is written here in their place."""

_PHRASES: list[tuple[str, str, frozenset[str]]] = [
    ("a value", "NUMBER", _EXPRESSION),
    ("a layer", "REPEAT", _STATEMENT),
    ("a name", "NAME", frozenset({"NAME"})),
    ("a file between quotes", "STRING", frozenset({"STRING"})),
]
"""What a terminal tells of the place where it could stand, and the other terminals that this covers."""

_MARKS = {
    "ELSE": "`else`", "LSQB": "`[`", "COLON": "`:`", "EQUAL": "`=`", "COMMA": "`,`", "ARROW": "`->`",
    "FROM": "`from`", "IN": "`in`", "LBRACE": "`{`", "RPAR": "`)`", "RSQB": "`]`", "RBRACE": "`}`",
    "NEWLINE": "the end of the line", "$END": "the end of the file",
}  # fmt: skip
"""The words for what is not covered by a phrase. Operators, points and `(` are left unsaid."""
