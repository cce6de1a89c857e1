"""Whatever stands in a file: never a traceback, never a hang, every message at a place inside the file."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from mutations import checked, mutated, programs

from archdsl.checking import check_file
from archdsl.compiler import limits
from archdsl.source import Source

PROGRAMS = programs()
SHORT = [program for program in PROGRAMS if len(program) < 2000]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutated imports find nothing but the bundled architectures."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("part", range(10))
def test_mutated_files(part: int) -> None:
    for number in range(60):
        random = Random(1000 * part + number)
        checked(mutated(random, random.choice(SHORT), random.choice(PROGRAMS)))


def test_the_networks_of_a_file_share_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEPS", 1000)
    source = Source(
        "many.arch", "".join(f"network N{n} {{ input x: [3]\nrepeat 300 {{ relu }} }}\n" for n in range(9))
    )
    assert check_file(source, "N8").diagnostics == []
    found = check_file(source).diagnostics
    assert [(d.name, d.span.line) for d in found] == [("too-much-work", 4)]
