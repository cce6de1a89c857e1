"""What a file says of where its networks come from: the paper, and the figure of the chapter.

The comment at the beginning of a bundled file cites its paper as `Authors, "Title", Venue Year`; the
documentation of a network that comes from another paper cites that one in the same form.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from itertools import groupby, takewhile

_CITATION = re.compile(
    r'(?P<authors>[^":]+), "(?P<title>[^"]+)", (?P<venue>[^.;:"]*?)[, ]*\b(?P<year>(?:19|20)\d\d)\b'
)
_FIGURE = re.compile(r"\bFigures? (10\.\d+)")


@dataclass(frozen=True, slots=True)
class Citation:
    """A publication."""

    authors: str
    title: str
    venue: str
    year: int

    @property
    def surnames(self) -> list[str]:
        return [name.split()[-1] for name in re.split(r", | and ", self.authors)]

    def __str__(self) -> str:
        many = len(self.surnames) > 2 or self.authors.endswith("et al.")
        names = f"{self.surnames[0]} et al." if many else " and ".join(self.surnames)
        return f'{names}, "{self.title}", {f"{self.venue} {self.year}".strip()}'


def preface(text: str) -> list[str]:
    """The lines of the comment at the beginning of a file, without their marks."""
    comment = takewhile(lambda line: line.startswith("#") and not line.startswith("##"), text.splitlines())
    return [line.removeprefix("#").removeprefix(" ") for line in comment]


def opening(text: str) -> str:
    """The comment at the beginning of a file, on one line."""
    return " ".join(" ".join(preface(text)).split())


def documentation(text: str, what: str, name: str) -> str:
    """The documentation of a network or block of a file, on one line."""
    found = re.search(rf"^((?:##[^\n]*\n)+){what}\s+{name}\b", text, re.MULTILINE)
    return " ".join(line.lstrip("#").strip() for line in found[1].splitlines()) if found else ""


def paragraphs(lines: list[str], width: int) -> str:
    """Prose broken anew to a width; lines that are indented, such as tables, stay as they are."""
    found: list[str] = []
    for indented, group in groupby(lines, key=lambda line: line.startswith(" ") or not line):
        members = list(group)
        found += members if indented else textwrap.wrap(" ".join(members), width, break_on_hyphens=False)
    return "\n".join(found)


def citations(text: str) -> list[Citation]:
    """The publications that a text cites in full, in order."""
    found = []
    for one in _CITATION.finditer(text):
        # What stands before the authors ends as a sentence does; an initial does not.
        authors = re.split(r"(?<=[a-z]{3})\. ", one["authors"])[-1]
        found.append(Citation(authors.strip(), one["title"], one["venue"].strip(), int(one["year"])))
    return found


def source_of(text: str, said: str) -> Citation | None:
    """Where a network of a file comes from, of which its documentation says something.

    That is what the documentation cites in full; or what it names of the file's, by a surname and the year;
    or the file's first.
    """
    own, files = citations(said), citations(opening(text))
    named = [c for c in files if re.search(rf"\b{re.escape(c.surnames[0])}\b[^.;]*\b{c.year}\b", said)]
    return next(iter([*own, *named, *files]), None)


def chapter_figures(text: str) -> tuple[str, ...]:
    """The figures of Prince, *Understanding Deep Learning*, chapter 10, that a text names."""
    return tuple(dict.fromkeys(_FIGURE.findall(text)))


def title(documentation: str) -> str:
    """What a network is called: its documentation up to the first colon."""
    return documentation.split(":", 1)[0].strip()
