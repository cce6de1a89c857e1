"""Figure 10.8: positions permuted for good, the script that trains, and what the pages show of it."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train
from archdsl.training.trained import Trained

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "figure_10_8.py"))

FULLY = """network Fully {
  input signal: [40]
  hidden: linear(30) -> relu
  logits: linear(10)
}
train {
  data         = mnist1d
  loss         = cross_entropy
  optimizer    = sgd(lr=0.05)
  batch        = 100
  steps        = 100
  measurements = 3
}
"""


def test_a_fully_connected_network_does_not_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun from weights that are permuted alike, it learns the same of permuted positions.

    The order is one and the same in training, in measurements, in `evaluate` and in `predict`.
    """
    monkeypatch.chdir(tmp_path)
    net = archdsl.loads(FULLY)
    permuted = "permute_positions(seed=7)"
    settings = {"plain": {}, "permuted": {"augment": permuted, "evaluate": permuted}}
    recipe, found = read_recipe(net.network.train, net.network, settings["permuted"])
    assert recipe is not None and not found
    order = recipe.evaluate[0].apply(torch, torch.arange(40)[None], None)[0]
    torch.manual_seed(0)
    weights = {name: tensor.detach() for name, tensor in net.build().named_parameters()}
    save_file(weights, "plain.safetensors")
    save_file(
        {**weights, "hidden.linear.weight": weights["hidden.linear.weight"][:, order].contiguous()},
        "permuted.safetensors",
    )
    x = np.random.default_rng(0).normal(size=(20, 40))
    np.save("x.npy", x)
    measured, scores, said = [], [], []
    for name, own in settings.items():
        begin = {"initialize": f'pretrained("{name}.safetensors")'}
        recipe, found = read_recipe(net.network.train, net.network, {**own, **begin})
        assert recipe is not None and not found
        train(net.network, recipe, tmp_path / name)
        measured.append(SCRIPT["measured"](tmp_path / name)[1:])
        run = Trained(tmp_path / name)
        scores.append(run.score().metrics["error"])
        said.append(torch.stack([output for _, output in run.say(Path("x.npy"))]))
    np.testing.assert_allclose(*measured, atol=3e-3)
    assert measured[0][1][-1] < 0.8 < measured[0][1][0], "and it learns"
    assert scores[0] == pytest.approx(scores[1], abs=3e-3)
    torch.testing.assert_close(*said, rtol=1e-3, atol=1e-4)


def test_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes a table, the errors and the picture; what is there is not trained again."""
    arguments = ["figure_10_8.py", "--seeds", "1", "--steps", "2", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    SCRIPT["main"]()
    table = capsys.readouterr().out
    assert [line.split("|")[1:4] for line in table.splitlines()[2:6]] == [
        [f" `{file}` ", f" {positions} ", " 1 "]
        for positions in ("positions as they are", "positions permuted")
        for file in ("mnist1d_conv.arch", "mnist1d_fc.arch")
    ]
    found = SCRIPT["read"](tmp_path / "figure_10_8.csv")
    assert [len(curves.test) for curves in found] == [1] * 4
    assert [curves.steps for curves in found] == [[0, 1, 2]] * 4
    assert found[3].test == [SCRIPT["measured"](tmp_path / "mnist1d_fc-permuted-0")[2]] != found[1].test
    picture = (tmp_path / "figure-10-8.svg").read_text(encoding="utf-8")
    assert picture == SCRIPT["drawn"](found)
    SCRIPT["main"]()
    assert capsys.readouterr().out == table
    assert (tmp_path / "mnist1d_fc-0" / "train.log").read_text(encoding="utf-8").count("step 2: ") == 1


def test_the_page_has_what_was_measured() -> None:
    """The table is made of the errors that are kept; that the picture is, `test_docs.py` holds."""
    page = (ROOT / "docs" / "chapter.md").read_text(encoding="utf-8")
    found = SCRIPT["read"]()
    assert [line for line in page.splitlines() if line.startswith("| `mnist1d")] == [
        SCRIPT["row"](curves) for curves in found
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for curves in found[:2]:
        errors = SCRIPT["row"](curves).split("|")[4:6]
        (row,) = (line for line in readme.splitlines() if line.startswith(f"| `{curves.file}` | "))
        assert row.split("|")[3:5] == errors
