"""Literate cases: `tests/cases/*.md`, a program and beside it exactly what archdsl says of it.

A case is a section (`## name`) with an ```` ```arch ```` fence and, after it, a ```` ```text ```` fence: the
rendered diagnostics and, where they are no worse than notes, the table in 80 columns. A fence
```` ```arch other.arch ```` before the program is a file that it may import. `pytest --update` writes what
archdsl says now.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parent / "cases"
PROGRAM = "case.arch"


@dataclass
class Fence:
    """A fenced block of a Markdown file; `start` and `end` are the offsets of its content."""

    info: str
    start: int
    end: int
    text: str


@dataclass
class Section:
    """A section with a program. `text` is None where no expectation stands beside it."""

    name: str
    files: dict[str, str]
    program: Fence
    text: Fence | None


class Orphan(Exception):
    """A fence that belongs to nothing, or a section that is there twice."""


_HEADING_OR_FENCE = re.compile(
    r"^##+ +(?P<name>.+?) *$|^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.M | re.S
)


def sections(markdown: str) -> list[Section]:
    """The cases of a file, in order."""
    found: dict[str, Section] = {}
    name, files = "", dict[str, str]()
    for match in _HEADING_OR_FENCE.finditer(markdown):
        line = markdown[: match.start()].count("\n") + 1
        if match["name"]:
            if files:
                raise Orphan(f"line {line}: the files of {name!r} have no program after them")
            name = match["name"]
            continue
        fence = Fence(match["info"].strip(), match.start("text"), match.end("text"), match["text"])
        if fence.info == "arch":
            if not name or name in found:
                raise Orphan(f"line {line}: a program needs a section of its own")
            found[name] = Section(name, files, fence, None)
            files = {}
        elif fence.info.startswith("arch "):
            files[fence.info.removeprefix("arch ")] = fence.text
        elif fence.info == "text":
            if name not in found or found[name].text is not None:
                raise Orphan(f"line {line}: an expectation without a program")
            found[name].text = fence
        else:
            raise Orphan(f"line {line}: a fence is `arch`, `arch FILE` or `text`, not {fence.info!r}")
    if files:
        raise Orphan(f"the files of {name!r} have no program after them")
    return list(found.values())


def said(section: Section, folder: Path) -> str:
    """What archdsl says of a case: its diagnostics and, with none worse than a note, its table."""
    from archdsl.checking import check_file
    from archdsl.report.diagnostics import render_all
    from archdsl.report.table import table
    from archdsl.source import Source

    for name, text in section.files.items():
        folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(name).write_text(text, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        checked = check_file(Source(PROGRAM, section.program.text))
    finally:
        os.chdir(before)
    parts = [render_all(checked.diagnostics)] if checked.diagnostics else []
    if all(d.severity == "note" for d in checked.diagnostics):
        parts += [table(one.net.report(), 80) for one in checked.networks if one.net is not None]
    return "\n\n".join(parts) + "\n"


def updated(markdown: str, name: str, text: str) -> str:
    """A file with the expectation of one case replaced, or put after its program."""
    section = next(section for section in sections(markdown) if section.name == name)
    if section.text is not None:
        return markdown[: section.text.start] + text + markdown[section.text.end :]
    after = section.program.end + len("```\n")
    return f"{markdown[:after]}\n```text\n{text}```\n{markdown[after:]}"


class CaseFailed(AssertionError):
    """What archdsl says is not what stands in the file."""


class Case(pytest.Item):
    """One program with its expectation."""

    def __init__(self, *, section: Section, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.section = section

    def runtest(self) -> None:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            found = said(self.section, Path(folder))
        expected = None if self.section.text is None else self.section.text.text
        if found == expected:
            return
        if self.config.getoption("--update"):
            text = self.path.read_text(encoding="utf-8")
            self.path.write_text(updated(text, self.section.name, found), encoding="utf-8")
            return
        if expected is None:
            raise CaseFailed(f"no ```text beside the program; archdsl says:\n{found}")
        lines = difflib.unified_diff(
            expected.splitlines(), found.splitlines(), "the file", "archdsl", lineterm=""
        )
        raise CaseFailed("\n".join(lines))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, CaseFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.section.name


class CaseFile(pytest.File):
    """A Markdown file of cases."""

    def collect(self) -> Iterator[Case]:
        try:
            found = sections(self.path.read_text(encoding="utf-8"))
        except Orphan as orphan:
            raise self.CollectError(f"{self.path.name}: {orphan}") from None
        for section in found:
            yield Case.from_parent(self, name=section.name, section=section)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update", action="store_true", help="write what archdsl says now into tests/cases/*.md"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    if file_path.suffix == ".md" and file_path.parent == CASES:
        return CaseFile.from_parent(parent, path=file_path)
    return None
