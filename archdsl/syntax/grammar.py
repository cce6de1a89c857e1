"""The grammar's tables: how to cut a text into terminals, and the LALR automaton.

Lark makes them from `arch.lark`. That takes some 200 ms and Lark's import 60 more, so the tables
are kept as JSON, which cannot run code, in the user's cache directory; then Lark is not imported.
The tables hold all that parsing needs, so they depend on the grammar's text, on Python's regular
expressions and on the form below, and on nothing else: these name the file.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

from archdsl.shipped import shipped

FORM = 1
"""Raised whenever the form of the cached tables changes."""


@dataclass(frozen=True, slots=True)
class Production:
    """`origin` is replaced by `size` symbols; `builder` names what makes its value, None passes it on."""

    origin: str
    size: int
    builder: str | None


@dataclass(frozen=True, slots=True)
class Grammar:
    """The tables of a LALR(1) automaton, and of the reader of tokens before it.

    `actions[state][terminal]` is the next state where that terminal is shifted, and `~n` where
    production `n` is reduced; `gotos[state][origin]` is the state after a reduction.
    """

    terminals: re.Pattern[str]
    keywords: dict[str, str]
    productions: list[Production]
    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]
    start: int
    end: int


@cache
def grammar() -> Grammar:
    """The grammar, from the cache where it is there and whole."""
    text = (shipped("grammars") / "arch.lark").read_text(encoding="utf-8")
    path = _cache_path(text)
    tables = _cached(path, text)
    if tables is not None:
        try:
            return _grammar(tables)
        except (KeyError, TypeError, ValueError, AttributeError, re.error):
            pass
    tables = build(text)
    _keep(path, text, tables)
    return _grammar(tables)


def build(text: str) -> dict[str, Any]:
    """The tables of a grammar, as data for JSON, made by Lark."""
    from lark import Lark
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    parser = Lark(text, parser="lalr", lexer="basic", start="file")
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    automaton = data["parser"]["parser"]
    symbols: dict[int, str] = automaton["tokens"]

    numbers: dict[int, int] = {}
    productions: list[tuple[str, int, str | None]] = []
    for reference in data["rules"]:
        rule = memo[reference["@"]]
        numbers[reference["@"]] = len(productions)
        productions.append((rule["origin"]["name"], len(rule["expansion"]), rule["alias"]))

    nonterminals = {origin for origin, _, _ in productions}
    actions: list[dict[str, int]] = [{} for _ in automaton["states"]]
    gotos: list[dict[str, int]] = [{} for _ in automaton["states"]]
    for state, row in automaton["states"].items():
        for symbol, (is_reduction, argument) in row.items():
            name = symbols[symbol]
            if is_reduction:
                actions[state][name] = ~numbers[argument["@"]]
            elif name in nonterminals:
                gotos[state][name] = argument
            else:
                actions[state][name] = argument

    # In the order in which Lark's own lexer tries them; a word of the language is matched as a
    # name first, as in Lark, so that `former` does not begin with `for`.
    terminals: list[TerminalDef] = parser.parser.lexer.terminals
    word = next(re.compile(t.pattern.to_regexp()) for t in terminals if t.name == "NAME")
    is_word = {t.name: t.pattern.type == "str" and bool(word.fullmatch(t.pattern.value)) for t in terminals}
    return {
        "terminals": [(t.name, t.pattern.to_regexp()) for t in terminals if not is_word[t.name]],
        "keywords": {t.pattern.value: t.name for t in terminals if is_word[t.name]},
        "productions": productions,
        "actions": actions,
        "gotos": gotos,
        "start": automaton["start_states"]["file"],
        "end": automaton["end_states"]["file"],
    }


def _grammar(tables: dict[str, Any]) -> Grammar:
    return Grammar(
        terminals=re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in tables["terminals"])),
        keywords={text: sys.intern(name) for text, name in tables["keywords"].items()},
        productions=[Production(*production) for production in tables["productions"]],
        actions=tables["actions"],
        gotos=tables["gotos"],
        start=tables["start"],
        end=tables["end"],
    )


def cache_directory() -> Path | None:
    """Where the user's caches are on this platform; None where there is no such place."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "archdsl" if os.path.isabs(base) else None


def _cache_path(text: str) -> Path | None:
    directory = cache_directory()
    if directory is None:
        return None
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return directory / f"grammar-{FORM}-{python}-{crc32(text.encode()):08x}.json"


def _cached(path: Path | None, text: str) -> dict[str, Any] | None:
    """The tables in the cache; None where they are not there, damaged, or another grammar's."""
    if path is None:
        return None
    try:
        checksum, _, content = path.read_text(encoding="utf-8").partition("\n")
        if checksum != f"{crc32(content.encode()):08x}":
            return None
        cached = json.loads(content)
        if cached["grammar"] != text:
            return None
        tables: dict[str, Any] = cached["tables"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return tables


def _keep(path: Path | None, text: str, tables: dict[str, Any]) -> None:
    """Write the tables aside and move them into place, so that no reader sees half of them."""
    if path is None:
        return
    content = json.dumps({"grammar": text, "tables": tables}, separators=(",", ":"))
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(f"{crc32(content.encode()):08x}\n{content}", encoding="utf-8")
        os.replace(aside, path)
    except OSError:
        with suppress(OSError):
            aside.unlink()
