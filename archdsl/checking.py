"""Everything that is wrong with a file: in its networks, what it expects of them, and its recipes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from archdsl.diagnostics import Diagnostic
from archdsl.net import Checked, check_network, program_of
from archdsl.source import Source
from archdsl.training.recipe import read_recipe


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file, checked: each network that was looked at, and every diagnostic once, in order of place."""

    networks: list[Checked]
    diagnostics: list[Diagnostic]

    @property
    def wrong(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def check_file(source: Source, network: str | None = None) -> CheckedFile:
    """Check a file: the network that is named, or all of them; one of blocks alone as far as it goes."""
    program = program_of(source)
    if network is None and not program.networks:
        return CheckedFile([], _once(program.check().diagnostics))
    names = [network] if network is not None else program.networks
    checked = [check_network(program, name) for name in names]
    return CheckedFile(checked, _once(d for one in checked for d in (*one.diagnostics, *_of_recipe(one))))


def _of_recipe(checked: Checked) -> list[Diagnostic]:
    """What is wrong with the recipe of a network that has one."""
    if checked.net is None or checked.net.network.train is None:
        return []
    return read_recipe(checked.net.network.train, checked.net.network)[1]


def _once(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each diagnostic once, though several networks of a file may meet it."""
    seen: dict[tuple[str, str, int, int, str], Diagnostic] = {}
    for d in diagnostics:
        seen.setdefault((d.name, d.span.source.name, d.span.start, d.span.end, d.message), d)
    return sorted(seen.values(), key=lambda d: (d.span.source.name, d.span.start, d.span.end))
