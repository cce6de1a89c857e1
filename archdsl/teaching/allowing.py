"""Comments `# allow NAME, NAME: reason`, which silence warnings and notes on the line that they are for.

A comment at the end of a line is for that line; comments alone on their lines are for the next line that has
anything else. What begins or ends on that line is silenced. What is said of a line is found in the text of
the line, so it holds wherever a diagnostic comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from archdsl.compiler import Program
from archdsl.compiler.network import Network
from archdsl.diagnostics import Diagnostic
from archdsl.problems import CATALOGUE, nearest
from archdsl.problems.teaching import UnknownAllow, UnusedAllow
from archdsl.source import Source, Span
from archdsl.syntax.tree import Block, Train

_NAMES = r"([\w-]+(?: *, *[\w-]+)*) *(?::|$)"
_DIRECTIVE = re.compile(rf"# *allow +{_NAMES}")
_ALIKE = re.compile(rf"#+ *allow(?: +| *: *){_NAMES}", re.IGNORECASE)
"""What is meant so where a warning or note has the name: otherwise it may be a sentence."""
_NAME = re.compile(r"[\w-]+")

NEAR = 3
"""So many lines away a message may be that a comment was meant for."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A name in a comment, where it stands, and the line that the comment is for."""

    name: str
    span: Span
    line: int


def divided(found: list[Diagnostic]) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """What is to be said, and what comments in the files silence."""
    said: list[Diagnostic] = []
    quiet: list[Diagnostic] = []
    known: dict[Source, set[tuple[str, int]]] = {}
    for d in found:
        source = d.span.source
        if source not in known:
            known[source] = {(one.name, one.line) for one in allowed(source)}
        silent = d.severity != "error" and any((d.name, line) in known[source] for line in _lines_of(d))
        (quiet if silent else said).append(d)
    return said, quiet


def _lines_of(d: Diagnostic) -> tuple[int, int]:
    """The lines on which what is said begins and ends."""
    return d.span.line, d.span.source.line_at(max(d.span.start, d.span.end - 1))


@lru_cache(maxsize=16)
def allowed(source: Source) -> tuple[Allowed, ...]:
    """All that the comments of a file allow. It is kept, for it is asked of every network of the file."""
    if "llow" not in source.text:
        return ()
    found: list[Allowed] = []
    above: list[tuple[str, Span]] = []
    last = source.line_count
    for number in range(1, last + 1):
        before, comment = _comment(source.line(number))
        above += _directives(source, source.offset(number, len(before) + 1), comment)
        if before.strip() or number == last:
            found += [Allowed(name, span, number) for name, span in above]
            above.clear()
    return tuple(found)


def _comment(line: str) -> tuple[str, str]:
    """A line's text and its comment; a `#` in a string, which ends on its line, begins none."""
    start = line.find("#")
    while start >= 0 and line.count('"', 0, start) % 2:
        start = line.find("#", start + 1)
    return (line, "") if start < 0 else (line[:start], line[start:])


def _directives(source: Source, start: int, comment: str) -> list[tuple[str, Span]]:
    """The names that a comment, which starts there, allows, each with its place."""
    match = _DIRECTIVE.match(comment)
    if match is None:
        match = _ALIKE.match(comment)
        if match is None or CATALOGUE.keys().isdisjoint(_NAME.findall(match[1])):
            return []
    names = _NAME.finditer(comment, match.start(1), match.end(1))
    return [(name[0], Span(source, start + name.start(), start + name.end())) for name in names]


def needless(
    program: Program,
    networks: Iterable[Network],
    quiet: list[Diagnostic],
    teach: bool,
    of_recipes: bool = False,
    said: Iterable[Diagnostic] = (),
) -> list[Diagnostic]:
    """The names in a file's comments that are none, or silenced nothing though all was looked at.

    `quiet` is what was silenced, of the `networks` of the file, and `said` what was not. A comment in a block
    that none of them uses, or in a `train` block unless those were read (`of_recipes`), is left alone; so is
    the name of a note where notes were not asked for.
    """
    return unneeded(program, lambda: places(networks, program.source), quiet, teach, of_recipes, said)


def unneeded(
    program: Program,
    places: Callable[[], set[int]],
    quiet: list[Diagnostic],
    teach: bool,
    of_recipes: bool,
    said: Iterable[Diagnostic] = (),
) -> list[Diagnostic]:
    """As `needless`, where `places` gives the lines on which layers of the networks are written."""
    source = program.source
    used = {(d.name, line) for d in quiet if d.span.source is source for line in _lines_of(d)}
    found: list[Diagnostic] = []
    met: set[int] | None = None
    for one in allowed(source):
        problem = CATALOGUE.get(one.name)
        if problem is None:
            known = [name for name, kind in CATALOGUE.items() if kind.severity != "error"]
            found.append(Diagnostic.of(UnknownAllow(one.name, nearest(one.name, known)), one.span))
            continue
        if (one.name, one.line) in used or (problem.severity == "note" and not teach):
            continue
        if problem.severity != "error":
            if met is None:
                met = places()
            if not _looked_at(program, one.line, met, of_recipes):
                continue
        near = [
            d.span.line
            for d in said
            if d.name == one.name and d.span.source is source and abs(d.span.line - one.line) <= NEAR
        ]
        meant = min(near, key=lambda line: abs(line - one.line), default=None)
        found.append(Diagnostic.of(UnusedAllow(one.name, problem.severity == "error", meant), one.span))
    return found


def places(networks: Iterable[Network], source: Source) -> set[int]:
    """The lines of a file on which layers of networks are written."""
    spans = {node.defined or node.use for network in networks for node in network.nodes}
    return {span.line for span in spans if span.source is source}


def _looked_at(program: Program, line: int, met: set[int], of_recipes: bool) -> bool:
    """Whether what stands on a line was compiled by some network, or read as a recipe."""
    for declaration in program.file.declarations:
        span = declaration.span
        first, last = span.line, span.source.line_at(span.end)
        if first <= line <= last:
            if isinstance(declaration, Train):
                return of_recipes
            return not isinstance(declaration, Block) or any(first <= at <= last for at in met)
    return True
