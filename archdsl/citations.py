"""What a file says of where its networks come from: the paper, and the figure of the chapter.

The comment at the beginning of a bundled file cites its paper as `Authors, "Title", Venue Year`; the
documentation of a network that comes from another paper cites that one in the same form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

    def __str__(self) -> str:
        surnames = [name.split()[-1] for name in re.split(r", | and ", self.authors)]
        many = len(surnames) > 2 or self.authors.endswith("et al.")
        names = f"{surnames[0]} et al." if many else " and ".join(surnames)
        return f'{names}, "{self.title}", {f"{self.venue} {self.year}".strip()}'


def opening(text: str) -> str:
    """The comment at the beginning of a file, on one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return " ".join(lines)


def documentation(text: str, what: str, name: str) -> str:
    """The documentation of a network or block of a file, on one line."""
    found = re.search(rf"^((?:##[^\n]*\n)+){what}\s+{name}\b", text, re.MULTILINE)
    return " ".join(line.lstrip("#").strip() for line in found[1].splitlines()) if found else ""


def cited(text: str) -> Citation | None:
    """The first publication that a text cites."""
    found = _CITATION.search(text)
    if found is None:
        return None
    # What stands before the authors ends as a sentence does; an initial does not.
    authors = re.split(r"(?<=[a-z]{3})\. ", found["authors"])[-1]
    return Citation(authors.strip(), found["title"], found["venue"].strip(), int(found["year"]))


def chapter_figures(text: str) -> tuple[str, ...]:
    """The figures of Prince, *Understanding Deep Learning*, chapter 10, that a text names."""
    return tuple(dict.fromkeys(_FIGURE.findall(text)))


def title(documentation: str) -> str:
    """What a network is called: its documentation up to the first colon."""
    return documentation.split(":", 1)[0].strip()
