"""The wheel: what is in it, and that it works with nothing beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `pip install` leaves it: the wheel's files, away from the checkout."""
    folder = tmp_path_factory.mktemp("site")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")))
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_it_has_what_it_needs(installed: Path) -> None:
    package = installed / "archdsl"
    (grammar,) = (package / "grammars").iterdir()  # and not what editors need
    assert grammar.read_bytes() == (ROOT / "grammars/arch.lark").read_bytes()
    names = {path.name for path in (ROOT / "architectures").glob("*.arch")}
    assert names
    assert {path.name for path in (package / "architectures").glob("*.arch")} == names
    schemas = {path.name for path in (ROOT / "archdsl/schema").glob("*.json")}
    assert schemas
    assert {path.name for path in (package / "schema").glob("*.json")} == schemas
    assert (package / "py.typed").exists()
    pages = {path.name for path in (ROOT / "archdsl/report/page").glob("page.*")}
    assert (
        pages
        == {path.name for path in (package / "report/page").glob("page.*")}
        == {"page.css", "page.html", "page.js"}
    )


def test_it_works_alone(installed: Path, tmp_path: Path) -> None:
    """Its own grammar and networks, though folders of those names stand beside the package."""
    for name in ("grammars", "architectures"):
        (installed / name).mkdir(exist_ok=True)
    arguments = ["analyze", "vgg.arch:VGG16", "--json"]
    program = f"import archdsl.cli.main as main; print(main.__file__); main.main({arguments})"
    environment = os.environ | {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    place, _, report = done.stdout.partition("\n")
    assert Path(place).is_relative_to(installed)
    assert json.loads(report)["totals"]["parameters"] == 138_357_544
