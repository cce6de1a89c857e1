"""The floors of the house: a package imports its own files and lower floors, and nothing heavy too early."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "archdsl"

FLOORS = {
    "collection": 0,
    "shipped": 0,
    "version": 0,
    "source": 0,
    "sizes": 0,
    "residues": 0.1,
    "citations": 0,
    "progress": 0,
    "writing": 0,
    "precision": 0,
    "problems": 0.2,
    "diagnostics": 0.4,
    "syntax": 1,
    "layers": 2,
    "highlighting": 2.5,
    "compiler": 3,
    "project": 3.5,
    "revisions": 3.6,
    "given": 3.8,
    "analysis": 4,
    "teaching": 4.5,
    "report": 5,
    "recipes": 5.5,
    "comparison": 5.6,
    "drawing": 5.8,
    "lowering": 6,
    "weights": 6.2,
    "verification": 6.4,
    "net": 6.5,
    "training": 7,
    "looking": 7.2,
    "checking": 7.5,
    "explanation": 7.8,
    "editing": 7.9,
    "server": 7.95,
    "cli": 8,
    "notebook": 8.5,
    "__main__": 9,
}
"""The floor of every file and folder of the package, by its name; a half floor has files of its own alone."""

TORCH_FROM = 6
"""The lowest floor that may import torch or numpy, wherever in a file."""

ANYWHERE = {"click", "lark", "networkx"}
"""What the way of `archdsl analyze` may import from others; `click` is for `OF_COMMANDS` alone."""

OF_COMMANDS = ("cli", "notebook")
"""What reads options: the command line and the magic of notebooks."""

WITH_TORCH = {
    "torch",
    "numpy",
    "PIL",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "rich",
    "safetensors",
    "filelock",
    "matplotlib",
}


OF_ONE_ROOM = {
    "drawsvg": "drawing",
    "resvg_py": "drawing",
    "typst": "drawing",
    "pygls": "server",
    "lsprotocol": "server",
    "pygments": "highlighting",
    "IPython": "notebook",
}
"""What one room alone imports: what makes pictures, speaks the editors' protocol, colours, or runs cells."""

OF_RECIPES = {"numpy"}
"""What recipes may import as well where they look at files of data, and not before."""


def imports(tree: ast.Module) -> Iterator[tuple[str, bool, int]]:
    """The modules that are imported: name, whether as the file is loaded, line. Types alone don't count."""

    def walk(node: ast.AST, at_load: bool) -> Iterator[tuple[str, bool, int]]:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, at_load, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports say where from, in full"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", at_load, node.lineno
        inside = at_load and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    return walk(tree, True)


def unit(path: Path, package: Path) -> str:
    """The file or folder of the package that a file belongs to."""
    first = path.relative_to(package).parts[0]
    return first.removesuffix(".py")


def faults(package: Path) -> list[str]:
    """Every import that breaks a rule."""
    found = []
    for path in sorted(package.rglob("*.py")):
        own = unit(path, package)
        if own == "__init__":
            # The package's own page names its parts and loads none of them.
            allowed = float("inf")
        elif own not in FLOORS:
            found.append(f"{path.name}: {own} has no floor")
            continue
        else:
            allowed = FLOORS[own]
        for name, at_load, line in imports(ast.parse(path.read_text(encoding="utf-8"))):
            top, _, rest = name.partition(".")
            place = f"{path.relative_to(package)}:{line} imports {name}"
            if top == "archdsl":
                other = rest.split(".")[0]
                if own == "__init__":
                    if at_load:
                        found.append(f"{place} as the package is loaded")
                elif other != own and FLOORS.get(other, -1) >= allowed:
                    found.append(f"{place}, from its own floor or a higher one")
            elif top in sys.stdlib_module_names or top == "__future__":
                continue
            elif top in WITH_TORCH:
                if own == "recipes" and top in OF_RECIPES and not at_load:
                    continue
                if allowed < TORCH_FROM:
                    found.append(f"{place}, below the floor of torch")
                elif own in ("net", "cli") and at_load:
                    found.append(f"{place} before it is needed")
            elif OF_ONE_ROOM.get(top) == own:
                continue
            elif top not in ANYWHERE or (top == "click" and own not in OF_COMMANDS):
                found.append(f"{place}, which nothing says it may")
    return found


def test_every_import_keeps_to_the_floors() -> None:
    assert faults(PACKAGE) == []


def test_every_floor_has_its_room() -> None:
    rooms = {unit(path, PACKAGE) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        ("layers/planted.py", "from archdsl.compiler import Network", "from its own floor or a higher one"),
        ("layers/planted.py", "def f():\n    import archdsl.report", "from its own floor or a higher one"),
        ("source.py", "import archdsl.diagnostics", "from its own floor or a higher one"),
        ("analysis/planted.py", "import torch", "below the floor of torch"),
        ("analysis/planted.py", "def f():\n    from numpy import array", "below the floor of torch"),
        ("recipes/planted.py", "import numpy", "below the floor of torch"),
        ("recipes/planted.py", "def f():\n    import torch", "below the floor of torch"),
        ("cli/planted.py", "import torch", "before it is needed"),
        ("report/planted.py", "import click", "which nothing says it may"),
        ("report/planted.py", "import requests", "which nothing says it may"),
        ("report/planted.py", "import drawsvg", "which nothing says it may"),
        ("editing/planted.py", "import lsprotocol", "which nothing says it may"),
        ("cli/planted.py", "def f():\n    import pygls", "which nothing says it may"),
        ("net.py", "def f():\n    import IPython", "which nothing says it may"),
        ("__init__.py", "from archdsl.net import load", "as the package is loaded"),
        ("helpers.py", "", "has no floor"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, path: str, line: str, said: str) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(line + "\n", encoding="utf-8")
    assert len(faults(tmp_path)) == 1
    assert said in faults(tmp_path)[0]


@pytest.mark.parametrize(
    "line",
    [
        "from __future__ import annotations",
        "from archdsl.sizes import Size",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n    import archdsl.cli.main",
    ],
)
def test_what_is_allowed_is_no_fault(tmp_path: Path, line: str) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "planted.py").write_text(line + "\n", encoding="utf-8")
    assert faults(tmp_path) == []
