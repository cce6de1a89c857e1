"""The page of a run, `run.html`: while it trains, when it is done, and when it fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.folder import TrainingError
from archdsl.training.loop import train
from archdsl.training.page import SHOWN
from archdsl.training.run import Measurement
from archdsl.training.sources import load
from archdsl.training.trained import Trained

SIGNALS = """network Signals {
  input signal: [1, 40]
  conv(8, kernel=3, stride=2) -> relu -> flatten -> linear(10)
}

train {
  data         = mnist1d(examples=500)
  loss         = cross_entropy
  optimizer    = sgd(lr=0.1)
  batch        = 50
  steps        = 20
  measurements = 4
}
"""
MAPS = """network Maps {
  input image: [1, 6, 6]
  conv(3, kernel=3, padding=1)
}

train {
  data         = arrays("maps.npz")
  loss         = cross_entropy
  optimizer    = sgd(lr=0.1)
  batch        = 4
  steps        = 2
  measurements = 1
}
"""
VOID = {"meta", "img"}


class Outline(HTMLParser):
    """Every element's name in order, after making sure that all are closed in turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str, **attributes: str) -> int:
        return sum(t == tag and attributes.items() <= found.items() for t, found in self.elements)


def run(folder: Path, text: str, name: str = "<string>", progress: object = None, **settings: str) -> Path:
    net = archdsl.loads(text, name)
    recipe, found = read_recipe(net.network.train, net.network, settings, look=True)
    assert recipe is not None and not found, found
    train(net.network, recipe, folder, progress=progress)  # type: ignore[arg-type]
    return folder / "run.html"


def test_it_shows_the_curves_and_what_the_network_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archdsl.training.loop.SHOW_EVERY", 0.0)
    folder = tmp_path / "run"
    seen: list[str] = []

    class Look:
        def __call__(self, step: int, steps: int, measured: Measurement) -> None:
            seen.append((folder / "run.html").read_text())

        def busy(self, what: str) -> None: ...

    page = run(folder, SIGNALS, progress=Look()).read_text()
    assert len(seen) == 5
    # While it trains the page reads itself again, and once it is done it stands still.
    assert all('http-equiv="refresh"' in one for one in seen) and "refresh" not in page
    assert "step 5 of 20" in seen[1] and "done; <span class=quiet>step 20 of 20" in page
    outline = Outline(page)
    for title in ("error", "loss, as trained", "learning rate", "examples a second"):
        assert outline.count("svg", **{"class": "curve", "aria-label": title}) == 1
    assert outline.count("figure") == SHOWN
    assert outline.count("polyline", **{"class": "signal"}) == SHOWN
    # Nothing is asked of a network, and nothing runs.
    assert "default-src 'none'" in page and not re.search(r"<script|src=\"(?!data:)|@import|url\(", page)
    trained = Trained(folder)
    x, wanted = load(trained.recipe, torch.device("cpu")).some(SHOWN)
    said = trained.model(x).softmax(1)
    cards = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S)
    for card, target, scores in zip(cards, wanted.tolist(), said, strict=True):
        value, likeliest = scores.max(0)
        assert ("✓" in card) == (int(likeliest) == target) and f"is class {target}<" in card
        first = re.findall(r"<span>(.*?)</span>", card)[:2]
        assert first == [f"class {likeliest}", f"{value.item():.1%}"]
    rows = (folder / "pace.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "5", "10", "15", "20"]
    assert all(float(row.split(",")[1]) > 0 for row in rows[1:])


def test_maps_are_shown_beside_their_targets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 1, 6, 6)), rng.integers(0, 3, (8, 6, 6))
    np.savez(tmp_path / "maps.npz", x=x, y=y, test_x=x, test_y=y)
    (tmp_path / "maps.arch").write_text(MAPS)
    outline = Outline(run(tmp_path / "run", MAPS, str(tmp_path / "maps.arch")).read_text())
    assert outline.count("figure") == 8
    assert [outline.count("img", alt=what) for what in ("an example", "target", "what it says")] == [8, 8, 8]


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        run(tmp_path / "run", SIGNALS, optimizer="sgd(lr=1e15)")
    page = (tmp_path / "run/run.html").read_text()
    assert "stopped: the loss is no number" in page and "refresh" not in page
