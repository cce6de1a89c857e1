"""Wrong files by the thousand: good ones with something changed, and what must hold of any file at all."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType

from jsonschema import Draft202012Validator

from archdsl.checking import check_file
from archdsl.diagnostics import Diagnostic
from archdsl.report.diagnostics import render, render_all
from archdsl.report.findings import as_github, as_json, as_sarif
from archdsl.source import Source, Span

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "archdsl" / "schema" / "diagnostics.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))

PATIENCE = 60
"""Seconds after which a file that is still being checked has hung. Most take milliseconds."""

TOKEN = re.compile(r'"[^"\n]*"|\w+|->|//|\*\*|[=!<>]=|[^\w\s]|\n| +')

FOREIGN = [
    "\n", "\r\n", "\r", "\t", "\x00", "\x07", "\x1b[31m", "\ufeff", "\u2028", "\u202e", "\xa0",
    "\u0301", "\xe9", "\u2192", "\u03a9", "\U0001d538", "\u0661", "\xb2", "\ud800", "'", '"', "`",
    ";", "\\", "$", "@", "?", "!", "~", "^", "&", "|", "&&", "(", ")", "[", "]", "{", "}", "((",
    "[[", "{{", "}}", ",", ",,", ".", "..", "...", ":", "::", "=", "==", "===", "->", "=>", "-->",
    "<", ">=", "+", "-", "*", "**", "/", "//", "%", "#", "##", "_", "0", "-1", "1e999", "0x1F",
    "1_", ".5", "5.", "3K", "3k", "99999999999999999999", "10**10**10", "2**63", "1e-400", "0.1",
    "network", "block", "train", "import", "from", "input", "output", "let", "expect", "shared",
    "parallel", "repeat", "for", "in", "if", "else", "and", "or", "not", "true", "false", "none",
    "N", "H", "W", "same", "channels", "conv", "relu", "linear", "add", "concat", "split",
    "flatten", "input.channels", "[1, 2]", "[]", "{}", "()", "network N2 {", "if H > 2 {",
    "repeat 3 {", "for x in [1, 2] {", "parallel add {", "x: relu", "from input", "let x = 1",
    "output input", "range(10**12)", "1 / 0", "H / 2", "(L + 1) ** 9", "max_unpool(x)", "elif",
    "def f(x):", "nn.Conv2d(3, 64, 3)", "train {", "lr = 0.1", 'import A from "a.arch"',
]  # fmt: skip
"""What is put in: marks, words and pieces of programs, and what a text may hold that is none of these."""


def programs() -> list[str]:
    """Every bundled network, every example of the documentation, every case."""
    pages = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/cases/*.md"), ROOT / "README.md"]
    fences = [
        match[1]
        for page in sorted(pages)
        for match in re.finditer(r"^```arch[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    ]
    bundled = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("architectures/*.arch"))]
    return list(dict.fromkeys([*bundled, *fences]))


def mutated(random: Random, text: str, other: str) -> str:
    """A text with one to four changes; `other` is a text to take pieces of."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        text = random.choice((_characters, _tokens, _tokens, _tokens, _lines, _cut))(random, text, other)
    return text


def _characters(random: Random, text: str, other: str) -> str:
    at = random.randint(0, len(text))
    match random.randrange(4):
        case 0:
            return text[:at] + text[at + random.randint(1, 5) :]
        case 1:
            return text[:at] + random.choice(FOREIGN) + text[at:]
        case 2:
            end = at + random.randint(1, 20)
            return text[:end] + text[at:end] + text[end:]
        case _:
            return (
                text[:at]
                + chr(random.choice((random.randrange(128), random.randrange(0x11000))))
                + text[at + 1 :]
            )


def _tokens(random: Random, text: str, other: str) -> str:
    tokens = TOKEN.findall(text) or [""]
    at, with_ = random.randrange(len(tokens)), random.randrange(len(tokens))
    match random.randrange(6):
        case 0:
            del tokens[at]
        case 1:
            tokens.insert(at, tokens[with_])
        case 2:
            tokens[at], tokens[with_] = tokens[with_], tokens[at]
        case 3:
            tokens[at] = random.choice(FOREIGN)
        case 4:
            tokens.insert(at, random.choice(FOREIGN))
        case _:
            tokens[at] = random.choice(TOKEN.findall(other) or [""])
    return "".join(tokens)


def _lines(random: Random, text: str, other: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at, with_ = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[with_])
        case 2:
            lines[at], lines[with_] = lines[with_], lines[at]
        case _:
            lines.insert(at, random.choice(other.splitlines(keepends=True) or [""]))
    return "".join(lines)


def _cut(random: Random, text: str, other: str) -> str:
    at = random.randint(0, len(text))
    match random.randrange(3):
        case 0:
            return text[:at]
        case 1:
            return text[at:]
        case _:
            return text[:at] + other[random.randint(0, len(other)) :]


class Hung(Exception):
    """A file that takes so long that it would never end."""


@contextmanager
def watched(seconds: int = PATIENCE) -> Iterator[None]:
    """Stop what runs for too long with `Hung`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def checked(text: str, name: str = "case.arch") -> list[Diagnostic]:
    """What is said of a text, after holding it to what must be so for every text."""
    with watched():
        diagnostics = check_file(Source(name, text)).diagnostics
        for diagnostic in diagnostics:
            hold(diagnostic)
        VALIDATOR.validate(json.loads(as_json(diagnostics)))
        assert render_all(diagnostics).count("[") >= len(diagnostics)
        as_sarif(diagnostics), as_github(diagnostics)
    return diagnostics


def hold(diagnostic: Diagnostic) -> None:
    """Its places lie in their files, it says something, and it can be shown."""
    assert diagnostic.message
    edit = (diagnostic.edit.span,) if diagnostic.edit else ()
    for span in (diagnostic.span, *(label.span for label in diagnostic.labels), *edit):
        inside(span)
    for width in (40, 120):
        shown = render(diagnostic, width=width)
        assert "\x1b" not in shown and "\x00" not in shown
        assert diagnostic.name in shown.splitlines()[0]


def inside(span: Span) -> None:
    """A place lies in its file, the right way round."""
    assert 0 <= span.start <= span.end <= len(span.source.text), span
