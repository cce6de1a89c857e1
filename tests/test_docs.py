"""The pages of `docs/` and the README: generated pages are fresh, links lead somewhere, examples compile."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.layers import arguments
from archdsl.recipes.reader import read_recipe

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "architectures" / "README.md", *DOCS.rglob("*.md")])
PAGES = [page for page in PAGES if page.exists()]

FENCE = re.compile(r"^```arch([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def generated() -> dict[str, str]:
    """Every page that is written from the code and the bundled files."""
    pages: dict[str, str] = generator().pages()
    return pages


def examples() -> list[Any]:
    """Every ```arch example. `wrong NAME...` after it says which problems it shows.

    A problem's page has its wrong program first and the mended one second.
    """
    found = []
    for page in PAGES:
        for number, (info, program) in enumerate(FENCE.findall(page.read_text(encoding="utf-8"))):
            wrong = info.removeprefix(" wrong ").split() if info.startswith(" wrong ") else []
            if page.parent.name == "problems" and number == 0:
                wrong = [page.stem]
            name = f"{page.relative_to(ROOT)}-{number + 1}"
            found.append(pytest.param(program, wrong, id=name))
    return found


def problems(program: str, wrong: list[str]) -> list[str]:
    """What is wrong with a program's networks, lowering included, and the notes in `wrong`, by name."""
    found = []
    for network in re.findall(r"^network (\w+)", program, re.MULTILINE) or [None]:
        try:
            net = archdsl.loads(program, network=network, teach=True)
            found += net.diagnostics
            net.source()
            if net.network.train is not None or "no-recipe" in wrong:
                # The pages of data have no data, so only what would run code is looked for.
                look = "python-not-allowed" in wrong
                found += read_recipe(net.network.train, net.network, look=look)[1]
        except archdsl.ArchError as error:
            found += error.diagnostics
    return [
        diagnostic.name for diagnostic in found if diagnostic.severity != "note" or diagnostic.name in wrong
    ]


def test_generated_pages_are_fresh() -> None:
    """After a change to a layer or a problem: `python docs/generate.py`."""
    expected = generated()
    found = {
        str(path.relative_to(DOCS)): path.read_text(encoding="utf-8")
        for folder in ("layers", "problems", "zoo", "pictures")
        for path in (DOCS / folder).iterdir()
    }
    found |= {name: (DOCS / name).read_text(encoding="utf-8") for name in ("recipes.md", "zoo.md")}
    assert found.keys() == expected.keys()
    assert [path for path in found if not same(found[path], expected[path])] == []


EMBEDDED = re.compile(r'href="data:image/png;base64,([^"]*)"')


def same(found: str, expected: str) -> bool:
    """Whether two texts are the same; embedded pixels are so if only rounding sets them apart."""
    if found == expected:
        return True
    ours, theirs = (EMBEDDED.findall(text) for text in (found, expected))
    if not ours or len(ours) != len(theirs) or EMBEDDED.sub("", found) != EMBEDDED.sub("", expected):
        return False
    import numpy as np
    from PIL import Image

    def pixels(data: str) -> Any:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), int)

    pairs = [(pixels(one), pixels(other)) for one, other in zip(ours, theirs, strict=True)]
    return all(one.shape == other.shape and abs(one - other).max() <= 1 for one, other in pairs)


def test_every_layer_and_problem_shows_an_example() -> None:
    pages = generated()
    without = [
        path for path, text in pages.items() if "```arch" not in text and not path.endswith("index.md")
    ]
    assert [path for path in without if path.startswith("layers/")] == []


@pytest.mark.parametrize(("program", "wrong"), examples())
def test_examples(program: str, wrong: list[str]) -> None:
    assert set(problems(program, wrong)) == set(wrong)


@pytest.mark.parametrize("page", generator().PAGES_WITH_SCREENS, ids=lambda page: page.name)
def test_screens_are_fresh(page: Path) -> None:
    """Under a command stands what it prints today: `python docs/generate.py`."""
    text = page.read_text(encoding="utf-8")
    assert generator().with_screens(text) == text


def test_a_stale_screen_is_found() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generator().with_screens(page.replace("62,378,344", "62,378,345")) == page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        if link.startswith("#"):
            assert link[1:] in headings, link
        else:
            assert (page.parent / link.split("#")[0]).exists(), link


def test_the_layer_of_adding_a_layer() -> None:
    """Its class is complete, its example compiles, and it is computed by torch as its docstring says."""
    import torch

    from archdsl.layers import LAYERS

    page = (DOCS / "adding-a-layer.md").read_text(encoding="utf-8")
    kinds = [name for name, value in vars(arguments).items() if isinstance(value, arguments.Kind)]
    assert [name for name in kinds if f"`{name}`" not in page] == []
    program = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert program
    try:
        exec(program[1], {"__name__": "archdsl.layers.adding_a_layer"})
        net = archdsl.loads("network Example { input features: [4]\nsquared_relu(scale=2) }")
        made = net.report().to_dict()["layers"][-1]
        assert (made["kind"], made["shape"], made["flops"]) == ("squared_relu", [4], 12)
        given = torch.tensor([[-1.0, 0.0, 1.0, 3.0]])
        assert net.build()(given).tolist() == [[0.0, 0.0, 2.0, 18.0]]
    finally:
        LAYERS.pop("squared_relu", None)
