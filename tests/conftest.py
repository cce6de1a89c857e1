"""Literate cases: `tests/cases/*.md`, a program and beside it exactly what archdsl says of it.

A case is a section (`## name`) with an ```` ```arch ```` fence and, after it, what is expected of the
program. A ```` ```text ```` fence has the rendered diagnostics and, where they are no worse than notes, the
table in 80 columns; a ```` ```python ```` fence has the source that is exported; a ```` ```layout ```` fence
has the program as `archdsl fmt` lays it out; a ```` ```console ```` fence has a line
`$ archdsl ... case.arch ...` and what it prints. A fence ```` ```arch other.arch ```` before the program is a
file that it may import. `pytest --update` writes what archdsl says now; where nothing is expected yet, that
is `text`.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import io
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from standalone import Standalone

    from archdsl.source import Source

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores among them; so do the processes that a test starts.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes is the machine's affair, and what else runs there.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

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
    """A section with a program, and what is expected of it by the kind of fence."""

    name: str
    files: dict[str, str]
    program: Fence
    expected: dict[str, Fence]


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
            found[name] = Section(name, files, fence, {})
            files = {}
        elif fence.info.startswith("arch "):
            files[fence.info.removeprefix("arch ")] = fence.text
        elif fence.info in EXPECTATIONS:
            if name not in found or fence.info in found[name].expected:
                raise Orphan(f"line {line}: an expectation without a program")
            found[name].expected[fence.info] = fence
        else:
            known = ", ".join(f"`{info}`" for info in ("arch", "arch FILE", *EXPECTATIONS))
            raise Orphan(f"line {line}: a fence is one of {known}, not {fence.info!r}")
    if files:
        raise Orphan(f"the files of {name!r} have no program after them")
    return list(found.values())


def said(program: Source, expected: str) -> str:
    """The diagnostics of a program and, with none worse than a note, its table."""
    from archdsl.checking import check_file
    from archdsl.report.diagnostics import render_all
    from archdsl.report.table import table

    checked = check_file(program)
    parts = [render_all(checked.diagnostics)] if checked.diagnostics else []
    if all(d.severity == "note" for d in checked.diagnostics):
        parts += [table(one.net.report(), 80) for one in checked.networks if one.net is not None]
    return "\n\n".join(parts) + "\n"


def exported(program: Source, expected: str) -> str:
    """The PyTorch source of a program's network."""
    from archdsl.net import loads

    return loads(program.text, program.name).source()


def printed(program: Source, expected: str) -> str:
    """What the command of the first line prints, with that line."""
    from archdsl.cli.main import run

    command = expected.splitlines()[0]
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        run(shlex.split(command.removeprefix("$ archdsl ")))
    screen.seek(0)
    return f"{command}\n{screen.read()}"


def laid_out(program: Source, expected: str) -> str:
    """The program in its canonical layout."""
    import archdsl

    return archdsl.format(program.text, program.name)


EXPECTATIONS: dict[str, Callable[[Source, str], str]] = {
    "text": said,
    "python": exported,
    "layout": laid_out,
    "console": printed,
}
"""What archdsl says of a program, by the kind of fence that expects it; it is given what stands there."""


def found(section: Section, kind: str) -> str:
    """What archdsl says of a case, in a folder with the files that it may import."""
    from archdsl.source import Source

    # As in a terminal of 80 columns, whatever the tests are run in.
    columns = mock.patch.dict(os.environ, COLUMNS="80")
    with TemporaryDirectory() as folder, contextlib.chdir(folder), columns:
        for name, text in section.files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
        Path(PROGRAM).write_text(section.program.text, encoding="utf-8")
        fence = section.expected.get(kind)
        return EXPECTATIONS[kind](Source(PROGRAM, section.program.text), fence.text if fence else "")


def updated(markdown: str, name: str, kind: str, text: str) -> str:
    """A file with an expectation of one case replaced, or put after its program."""
    section = next(section for section in sections(markdown) if section.name == name)
    fence = section.expected.get(kind)
    if fence is not None:
        return markdown[: fence.start] + text + markdown[fence.end :]
    after = section.program.end + len("```\n")
    return f"{markdown[:after]}\n```{kind}\n{text}```\n{markdown[after:]}"


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A process without archdsl that runs exported sources, one after the other."""
    from standalone import standalone

    with standalone(tmp_path_factory.mktemp("exported")) as process:
        yield process


class CaseFailed(AssertionError):
    """What archdsl says is not what stands in the file."""


class Case(pytest.Item):
    """One program with its expectation."""

    def __init__(self, *, section: Section, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.section = section

    def runtest(self) -> None:
        differences = [self.compare(kind) for kind in self.section.expected or ("text",)]
        if any(differences):
            raise CaseFailed("\n".join(differences))

    def compare(self, kind: str) -> str:
        """What is different from what is expected; nothing where the expectation is written anew."""
        says = found(self.section, kind)
        fence = self.section.expected.get(kind)
        if fence is not None and fence.text == says:
            return ""
        if self.config.getoption("--update"):
            text = self.path.read_text(encoding="utf-8")
            self.path.write_text(updated(text, self.section.name, kind, says), encoding="utf-8")
            return ""
        if fence is None:
            return f"no expectation beside the program; archdsl says:\n{says}"
        lines = difflib.unified_diff(
            fence.text.splitlines(), says.splitlines(), "the file", "archdsl", lineterm=""
        )
        return "\n".join(lines)

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
            cases = sections(self.path.read_text(encoding="utf-8"))
        except Orphan as orphan:
            raise self.CollectError(f"{self.path.name}: {orphan}") from None
        for section in cases:
            yield Case.from_parent(self, name=section.name, section=section)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update", action="store_true", help="write what archdsl says now into tests/cases/*.md"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.getoption("--update"):
        # A file has many cases, and two workers would each write it without the other's.
        config.option.numprocesses = 0
        config.option.dist = "no"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Ten thousand tests stay until the end: nothing of them need be searched for what can be freed."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    if file_path.suffix == ".md" and file_path.parent == CASES:
        return CaseFile.from_parent(parent, path=file_path)
    return None
