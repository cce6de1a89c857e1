"""Trained runs: what they score, and what they say of new inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from archdsl.cli.main import archdsl as command
from archdsl.cli.output import json_text
from archdsl.recipes.data import Arrays, Mnist
from archdsl.training.folder import TrainingError
from archdsl.training.trained import Trained

FILE = """import Wide from "../parts/wide.arch"
import Flat from "below/flat.arch"

network Digits(classes = 10, width = 8) {
  input image: [1, 8, 8]
  Wide(width) -> Wide(2 * width)
  Flat
  logits: linear(classes)
}

train {
  data           = digits
  loss           = cross_entropy
  optimizer      = adam(lr=0.003)
  batch          = 50
  steps          = 90
  measurements   = 2
  moving_average = 0.9
  metrics        = [error, top_error(2)]
}
"""
FLAT = "block Flat { flatten }\n"
WIDE = "block Wide(c) { conv(c, kernel=3, padding=same) -> batch_norm -> relu -> max_pool(2) }\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a file with imports, one from above it, and a parameter that was set; the files gone since."""
    root = tmp_path_factory.mktemp("trained")
    files = {
        "project/.archroot": "",
        "project/parts/wide.arch": WIDE,
        "project/nets/below/flat.arch": FLAT,
        "project/nets/digits.arch": FILE,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    digits = str(root / "project/nets/digits.arch")
    done = run("train", digits, "--set", "width=12", "--out", str(root / "run"))
    assert done.return_value == 0, done.output
    shutil.rmtree(root / "project")
    return root / "run"


def test_a_run_scores_what_it_measured_last(folder: Path) -> None:
    score = Trained(folder).score()
    heads, *_, last = (folder / "metrics.csv").read_text().splitlines()
    row = dict(zip(heads.split(","), last.split(","), strict=True))
    assert score.metrics["error"] == pytest.approx(float(row["test_error"]), abs=1e-5)
    assert score.metrics["top_2_error"] == pytest.approx(float(row["test_top_2_error"]), abs=1e-5)
    assert score.confusion is not None and score.examples == 297
    assert int(score.confusion.sum()) == 297
    assert 1 - int(score.confusion.diagonal().sum()) / 297 == pytest.approx(score.metrics["error"])
    assert score.metrics["error"] < 0.2


def test_a_run_is_analysed_drawn_and_compared_as_it_was_begun(folder: Path, tmp_path: Path) -> None:
    """With what was set then, of the network and of the recipe; another setting is in its place."""
    trained = sum(tensor.numel() for tensor in Trained(folder).model.parameters())
    report = json.loads(run("analyze", str(folder), "--json").stdout)
    assert report["totals"]["parameters"] == trained
    narrow = json.loads(run("analyze", str(folder), "--set", "width=6", "--json").stdout)
    assert narrow["totals"]["parameters"] < trained
    assert run("draw", str(folder), "-o", str(tmp_path / "run.svg")).return_value == 0
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    described = json.loads((other / "recipe.json").read_text())
    described["options"]["parameters"] = {}
    described["recipe"]["batch"] = 7
    (other / "recipe.json").write_text(json.dumps(described))
    found = json.loads(run("diff", str(folder), str(other), "--json").stdout)
    assert [one["key"] for one in found["recipe"]] == ["batch"]
    assert [one["key"] for one in found["parameters"]] == ["width"]
    alone = json.loads(run("diff", str(other), str(other / "network.arch"), "--json").stdout)
    assert [one["key"] for one in alone["recipe"]] == ["batch"] and not alone["parameters"]
    (other / "recipe.json").write_text("{")
    broken = CliRunner().invoke(command, ["analyze", str(other)])
    assert broken.exit_code == 2 and "it is no run, or a broken one" in broken.output


def test_the_command_shows_metrics_and_confusions(folder: Path) -> None:
    done = run("evaluate", str(folder))
    assert done.return_value == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("error ") and lines[0].endswith("%")
    assert "Rows are what examples are, columns what they are taken for" in lines
    assert lines[-1].split()[0] == "9" and len(lines[-1].split()) == 11
    figures = json.loads(run("evaluate", str(folder), "--json").stdout)
    assert figures["metrics"].keys() == {"error", "top_2_error"}
    assert sum(map(sum, figures["confusion"])) == 297


def test_other_metrics_and_other_data(folder: Path, tmp_path: Path) -> None:
    done = run("evaluate", str(folder), "--set", "train.metrics=accuracy", "--json")
    error = json.loads(run("evaluate", str(folder), "--json").stdout)["metrics"]["error"]
    assert json.loads(done.stdout)["metrics"]["accuracy"] == pytest.approx(1 - error)
    np.savez(
        tmp_path / "new.npz",
        x=np.zeros((4, 8, 8)),
        y=np.arange(6, 10),
        test_x=np.zeros((5, 1, 8, 8)),
        test_y=np.full(5, 3),
    )
    data = f'train.data=arrays("{tmp_path}/new.npz")'
    figures = json.loads(run("evaluate", str(folder), "--set", data, "--json").stdout)
    assert figures["examples"] == 5
    # Five examples that are all the same are all right or all wrong.
    assert figures["metrics"]["error"] in (0.0, 1.0)


def test_data_to_be_measured_on_are_all_for_that(folder: Path, tmp_path: Path) -> None:
    """They may lack classes, and have no part for testing; the run's own keep the one that they have."""
    np.savez(tmp_path / "few.npz", x=np.zeros((3, 8, 8)), y=np.array([1, 2, 3]))
    few = f'arrays("{tmp_path}/few.npz")'
    done = run("evaluate", str(folder), "--set", f"train.data={few}")
    assert f"on 3 test examples of {few}" in done.output and len(done.output.splitlines()[-1].split()) == 11
    parted = json.loads(
        run("evaluate", str(folder), "--set", f"train.data={few[:-1]}, test=0.4)", "--json").stdout
    )
    assert parted["examples"] == 1
    there = f'arrays(path="{Path.cwd()}/own.npz", test=0.3)'
    assert Arrays.new(path="own.npz").same_files(there) and not Arrays.new(path="wn.npz").same_files(there)
    assert Mnist.new(examples=300).same_files("mnist") and not Mnist.new().same_files("mnist1d")
    np.savez(tmp_path / "more.npz", x=np.zeros((3, 8, 8)), y=np.array([1, 2, 10]))
    done = run("evaluate", str(folder), "--set", f'train.data=arrays("{tmp_path}/more.npz")')
    assert done.return_value == 1 and "one of 11 classes" in done.output
    own = json.loads(run("evaluate", str(folder), "--set", "train.data=digits", "--json").stdout)
    assert own["examples"] == 297
    for key in ("steps=3", "flatten.rate=0", "seed=1"):
        done = CliRunner().invoke(command, ["evaluate", str(folder), "--set", f"train.{key}"])
        assert done.exit_code == 2 and "changes nothing of what a trained run scores" in done.output


def test_other_data_are_said_to_be_wrong_and_nothing_else_of_them(folder: Path, tmp_path: Path) -> None:
    """What a training would be warned of is no matter to a measurement."""
    np.savez(tmp_path / "odd.npz", x=np.zeros((3, 8, 9)), y=np.arange(3))
    np.savez(tmp_path / "nan.npz", x=np.full((3, 8, 8), np.nan), y=np.arange(3))
    loss = ("--set", "train.loss=cross_entropy(ignore=255)")
    done = run("evaluate", str(folder), *loss, "--set", f'train.data=arrays("{tmp_path}/odd.npz")')
    assert "error[data-mismatch]" in done.output
    # The network is what it is, and its recipe was followed.
    assert "help:" not in done.output and "warning" not in done.output
    done = run("evaluate", str(folder), "--set", f'train.data=arrays("{tmp_path}/nan.npz")')
    assert f"`{tmp_path}/nan.npz` can't be used as data: `x` holds values" in done.output


def test_a_finished_run_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "falls.arch").write_text(WIDE + FLAT + FILE.partition("\n\n")[2])
    falls = ("train", str(tmp_path / "falls.arch"), "--out", str(tmp_path / "falls"))
    falls += ("--set", "train.steps=2", "--set", "train.schedule=cosine")
    assert run(*falls).return_value == 0
    longer = f"archdsl train {folder} --set train.steps=180 --resume"
    instead = f'can begin with its weights: `initialize = pretrained("{tmp_path / "falls"}")`'
    for one, steps, mend in ((folder, 90, longer), (tmp_path / "falls", 2, instead)):
        done = run("train", str(one), "--resume")
        assert done.return_value == 0 and done.output.splitlines()[-1].endswith(mend)
        assert f"the run in {one} is finished: all {steps} steps of its recipe are taken\n" in done.output


def test_json_has_no_number_that_is_none() -> None:
    data = {"a": [1.5, float("nan")], "b": {"c": (float("inf"), 2)}}
    assert json.loads(json_text(data)) == {"a": [1.5, None], "b": {"c": [None, 2]}}


def test_what_it_says_of_arrays_and_pictures(folder: Path, tmp_path: Path) -> None:
    trained = Trained(folder, look=False)
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        expected = trained.model(x).softmax(1)
    np.save(tmp_path / "several.npy", x.numpy())
    np.save(tmp_path / "one.npy", x[1, 0].numpy())
    np.savez(tmp_path / "named.npz", x=x.numpy())
    for file, rows in (("several.npy", [0, 1, 2]), ("one.npy", [1]), ("named.npz", [0, 1, 2])):
        said = list(trained.say(tmp_path / file))
        assert len(said) == len(rows)
        for (_, output), row in zip(said, rows, strict=True):
            torch.testing.assert_close(output, expected[row])
    grey = (x[0, 0] * 255).round().byte().numpy()
    Image.fromarray(grey).save(tmp_path / "picture.png")
    with torch.no_grad():
        of_picture = trained.model(torch.from_numpy(grey).float().reshape(1, 1, 8, 8) / 255).softmax(1)[0]
    ((_, output),) = trained.say(tmp_path / "picture.png")
    torch.testing.assert_close(output, of_picture)


def test_the_command_names_the_likeliest_classes(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((8, 8)))
    done = run("predict", str(folder), str(tmp_path / "one.npy"), "--top", "2")
    assert done.return_value == 0, done.output
    assert done.output.count("%") == 2
    said = json.loads(run("predict", str(folder), str(tmp_path / "one.npy"), "--json").stdout)["said"]
    assert sum(said[0]["classes"]) == pytest.approx(1) and said[0]["shape"] == [10]


def test_a_folder_is_all_that_can_be_read_in_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new/more").mkdir(parents=True)
    np.save(tmp_path / "new/one.npy", np.zeros((8, 8)))
    Image.fromarray(np.zeros((8, 8), "uint8")).save(tmp_path / "new/more/two.PNG")
    (tmp_path / "new/notes.txt").write_text("none of them")
    said = json.loads(run("predict", str(folder), str(tmp_path / "new"), "--json").stdout)["said"]
    assert [Path(one["input"]).name for one in said] == ["two.PNG", "one.npy"]
    (tmp_path / "empty").mkdir()
    done = run("predict", str(folder), str(tmp_path / "empty"))
    assert done.return_value == 1 and "is a folder without pictures and arrays" in done.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read: No such file"),
        (np.zeros((2, 1, 9, 9)), r"an array of \[2, 1, 9, 9\]; the network takes .* several: \[N, 1, 8, 8\]"),
        (np.array(["a", "b"]), "holds no numbers"),
        (np.full((1, 8, 8), np.nan), "holds values that are infinite or no numbers"),
        ({"inputs": np.zeros(3), "y": np.zeros(3)}, "has no array `x`.*; its arrays: inputs, y"),
    ],
)
def test_inputs_that_are_none(
    folder: Path, tmp_path: Path, content: np.ndarray | dict[str, np.ndarray] | None, said: str
) -> None:
    file = tmp_path / "new.npy"
    if isinstance(content, dict):
        file = file.with_suffix(".npz")
        np.savez(file, **content)
    elif content is not None:
        np.save(file, content)
    with pytest.raises(TrainingError, match=said):
        list(Trained(folder, look=False).say(file))
    done = run("predict", str(folder), str(file))
    assert done.return_value == 1 and done.output.startswith("error: ")


def test_a_file_that_is_no_picture(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.png").write_bytes(b"not a picture")
    with pytest.raises(TrainingError, match=r"new\.png can't be decoded"):
        list(Trained(folder, look=False).say(tmp_path / "new.png"))


@pytest.mark.parametrize("spoil", ["recipe.json", "weights.safetensors", "network.arch"])
def test_folders_that_are_no_runs(folder: Path, tmp_path: Path, spoil: str) -> None:
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / spoil).write_bytes(b"\x00\xff")
    with pytest.raises(TrainingError, match="can't be read"):
        Trained(tmp_path / "run")
    (tmp_path / "run" / spoil).unlink()
    for name in ("evaluate", "predict"):
        done = run(name, str(tmp_path / "run"), *(["x.npy"] if name == "predict" else []))
        said = "is no folder of a run" if spoil == "recipe.json" else "can't be read"
        assert done.return_value == 1 and said in done.output


def test_weights_of_another_network(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    changed = (tmp_path / "run/network.arch").read_text().replace("  Flat\n", "  Flat -> relu -> linear(7)\n")
    (tmp_path / "run/network.arch").write_text(changed)
    with pytest.raises(TrainingError, match="weights of another network"):
        Trained(tmp_path / "run")
