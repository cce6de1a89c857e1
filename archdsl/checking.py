"""Everything that is wrong with a file: in its networks, what it expects of them, and its recipes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from archdsl.compiler import Work
from archdsl.compiler.frames import Frame
from archdsl.diagnostics import Diagnostic
from archdsl.net import Checked, check_network, program_of
from archdsl.recipes.reader import read_recipe
from archdsl.source import Source
from archdsl.syntax.tree import Train


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file, checked: each network that was looked at, and every diagnostic once, in order of place."""

    networks: list[Checked]
    diagnostics: list[Diagnostic]

    @property
    def wrong(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def check_file(source: Source, network: str | None = None, allow_python: bool = False) -> CheckedFile:
    """Check a file: the network that is named, or all of them; one of blocks alone as far as it goes.

    With `allow_python` the Python files from which it imports layers are run.
    """
    program = program_of(source, allow_python)
    names = [network] if network is not None else program.networks
    work = Work()
    checked = []
    for name in names:
        checked.append(check_network(program, name, work=work))
        if work.left < 0:
            break
    found = [d for one in checked for d in one.diagnostics] if names else program.check().diagnostics
    trains: dict[str | None, Train] = {}
    for train in program.file.declarations:
        if isinstance(train, Train) and (network is None or train.network in (network, None)):
            trains.setdefault(train.network, train)
    seen = program.names()
    found = [*found, *(d for train in trains.values() for d in _of_recipe(train, checked, seen))]
    return CheckedFile(checked, _once(found))


def _of_recipe(train: Train, checked: list[Checked], names: Frame | None) -> list[Diagnostic]:
    """What is wrong with a recipe, by itself and, where that has no errors, for its network."""
    networks = [one.net.network for one in checked if one.net is not None]
    network = next((one for one in networks if one.train is train), None)
    return read_recipe(train, network, frame=names)[1]


def _once(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each diagnostic once, though several networks of a file may meet it."""
    seen: dict[tuple[str, str, int, int, str], Diagnostic] = {}
    for d in diagnostics:
        seen.setdefault((d.name, d.span.source.name, d.span.start, d.span.end, d.message), d)
    return sorted(seen.values(), key=lambda d: (d.span.source.name, d.span.start, d.span.end))
