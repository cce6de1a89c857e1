"""Whatever stands in a file: never a traceback, never a hang, every message at a place inside the file."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from mutations import checked, mutated, programs

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
