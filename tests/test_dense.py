"""`archdsl export --to dense`: fully connected networks that compute what convolutional ones do."""

from __future__ import annotations

import csv
import random
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.diagnostics import ArchError
from archdsl.lowering.dense import Dense, NotDense, dense

CHAPTER = Path(__file__).parent.parent / "docs" / "chapter.md"

STATEMENTS = (
    "conv(4, kernel=3, padding=1)",
    "conv(3, kernel=[3, 2], stride=2, bias=false)",
    "conv(6, kernel=3, padding=[[2, 1], [0, 1]], dilation=2)",
    "conv(4, kernel=3, padding=1, groups=2)",
    "conv(2, kernel=3, padding=1, padding_mode=circular)",
    "conv(2, kernel=3, padding=1, padding_mode=reflect, stride=2)",
    "depthwise_conv(kernel=3, padding=same)",
    "conv_transpose(4, kernel=3, stride=2, groups=2)",
    "conv_transpose(3, kernel=2)",
    "avg_pool(2)",
    "subsample(2)",
    "global_avg_pool",
    "identity",
    "dropout(0.3)",
    "relu",
    "tanh -> leaky_relu(0.2)",
    "{ parallel add { conv(4, kernel=1) -> relu\n conv(4, kernel=1, bias=false) } }",
    "{ parallel concat { conv(2, kernel=1)\n {}\n relu } }",
    "{ skip: relu\n sigmoid -> subtract(skip) }",
    "conv(4, kernel=1) -> head -> relu -> head",
    "flatten -> linear(7) -> reshape([7, 1, 1])",
)
"""Statements of a map; `head` is a shared layer of four channels. Which fit each other, trying decides."""

ENDS = ("flatten -> linear(5) -> softmax", "output a3", "output a3, a1, x", "output a2, a2", "flatten", "")


def random_network(seed: int) -> archdsl.Net:
    """A network that compiles, of four statements on a map of four channels."""
    draw = random.Random(seed)
    while True:
        lines = [f"a{i}: {draw.choice(STATEMENTS)}" for i in range(4)]
        body = "\n".join(["shared head: conv(4, kernel=3, padding=1)", *lines, draw.choice(ENDS)])
        try:
            return archdsl.loads(f"network Random {{\ninput x: [4, 5, 4]\n{body}\n}}")
        except ArchError:
            continue


def compares(net: archdsl.Net, model: torch.nn.Module, found: Dense) -> archdsl.Net:
    """The fully connected network, seen to give what the other does, in the same shapes."""
    theirs = archdsl.loads(found.text)
    twin = theirs.build("meta").eval()
    twin.load_state_dict(found.weights, assign=True)
    inputs = [torch.randn(4, *node.shape, dtype=torch.float64) for node in net.network.inputs]
    results = [made if isinstance(made, tuple) else (made,) for made in (model(*inputs), twin(*inputs))]
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    return theirs


def test_random_networks_compute_the_same() -> None:
    seen = set()
    for seed in range(18):
        net = random_network(seed)
        model = net.build().double().eval()
        theirs = compares(net, model, dense(net.network, model, "weights.safetensors"))
        kinds = {node.kind for node in theirs.network.nodes}
        assert not kinds & {"conv", "depthwise_conv", "conv_transpose", "avg_pool", "subsample"}
        seen |= {node.kind for node in net.network.nodes}
    assert {"depthwise_conv", "conv_transpose", "avg_pool", "subsample", "concat", "add", "softmax"} <= seen


def test_how_it_is_written() -> None:
    """Labels, and outputs in their shapes under their names; what no output needs is left out."""
    net = archdsl.loads("""network Two(width = 3) {
      input left: [1, 8]
      input right: [8]
      unused: from left -> max_pool(2)
      stem: from left -> conv(width, kernel=3, bias=false) -> relu -> dropout(0.2)
      conv(2, kernel=2, stride=2) -> tanh
      flat: flatten
      side: from right -> linear(6)
      sum: from flat, side -> add -> sigmoid
      output stem, sum
    }""")
    model = net.build().double().eval()
    found = dense(net.network, model, "two.safetensors")
    assert compares(net, model, found).network.output_names == net.network.output_names
    assert (
        found.text
        == """\
## Two with each of its layers as one matrix: both compute the same.
## 312 parameters in place of 77; their values are in two.safetensors.
network TwoDense {
  input left: [1, 8]
  input right: [8]

  from left -> flatten
  stem_conv: linear(18, bias=false) -> relu -> dropout(rate=0.2)
  conv_1: linear(6) -> tanh
  side: from right -> linear(6)
  sum: from conv_1, side -> add -> sigmoid
  stem: from stem_conv -> reshape([3, 6])
  output stem, sum

  expect parameters == 312
}
"""
    )


def test_its_recipe_is_that_of_the_other() -> None:
    net = archdsl.loads("""network Small(rate = 0.1) {
      input signal: [1, 40]
      stem: conv(2, kernel=3) -> relu
      flatten -> linear(10)
    }
    train {
      data       = mnist1d(examples=1000)
      loss       = cross_entropy
      optimizer  = sgd(lr=rate, momentum=0.9)
      schedule   = warm_up(steps=10) -> cosine
      batch      = 10
      epochs     = 2
      initialize = orthogonal
      augment    = horizontal_flip -> permute_positions(3)
      evaluate   = permute_positions(3)
      seed       = 4
      stem.rate  = 0
    }""")
    assert net.recipe is not None
    found = dense(net.network, net.build(), "small.safetensors", net.recipe.to_dict())
    block = found.text.partition("\ntrain {\n")[2]
    assert (
        block
        == """\
  data       = mnist1d(examples=1000)
  loss       = cross_entropy
  optimizer  = sgd(lr=0.1, momentum=0.9)
  schedule   = warm_up(steps=10) -> cosine
  batch      = 10
  epochs     = 2
  initialize = pretrained("small.safetensors")
  augment    = horizontal_flip -> permute_positions(seed=3)
  evaluate   = permute_positions(seed=3)
  seed       = 4
  # Left out is what was said of stem, whose layers are others here.
}
"""
    )
    assert archdsl.loads(found.text).recipe is not None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("input x: [1, 8]\nconv(2, kernel=3) -> max_pool(2)", "`max_pool_1` (max_pool) can't be written as"),
        ("input x: [1, 8]\nconv(2, kernel=3) -> batch_norm", "`batch_norm_1` (batch_norm) can't be"),
        ("input x: [1, 8]\nconv(2, kernel=3) -> prelu", "`prelu_1` (prelu) can't be written as"),
        ("input x: [2, 8]\nsoftmax", "`softmax_1` (softmax) can't be written as"),
        ("input x: [1, L]\nconv(2, kernel=3)", "a fully connected network needs sizes: give `--size L=...`"),
        ("input x: [3, 64, 64]\nconv(8, kernel=3)", "it would have 377,911,328 weights, and at most"),
    ],
)
def test_what_is_refused(body: str, said: str) -> None:
    net = archdsl.loads(f"network Refused {{\n{body}\n}}")
    with pytest.raises(NotDense, match=re.escape(said)):
        dense(net.network, net.build(), "refused.safetensors")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    assert done.return_value == 0, done.output
    return done.output


def errors(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_becomes_the_network_of_figure_10_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights fit `mnist1d_fc.arch`, and training that begins with them begins where the run ended."""
    monkeypatch.chdir(tmp_path)
    run("train", "mnist1d_conv.arch", "--set", "train.steps=5", "--out", "run")
    said = run("export", "run", "--to", "dense", "-o", "dense.arch")
    assert "wrote dense.arch and dense.safetensors: 59,065 parameters in place of 2,050" in said
    (program,) = re.findall(
        r"^```arch\n([^`]*^network MNIST1DConvDense .*?)^```$", CHAPTER.read_text(), re.M | re.S
    )
    written = Path("dense.arch").read_text(encoding="utf-8")
    assert written.replace(" 5\n", " 100_000\n") == program
    weights = load_file("dense.safetensors")
    net, fully = archdsl.load("mnist1d_conv.arch"), archdsl.load("mnist1d_fc.arch")
    assert (
        sum(tensor.numel() for tensor in weights.values()) == fully.report().to_dict()["totals"]["parameters"]
    )
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())
    others = sum(int(tensor.count_nonzero()) for name, tensor in weights.items() if name.endswith("weight"))
    assert others == archdsl.load("mnist1d_conv.arch").report().to_dict()["totals"]["macs"] == 10_230
    x = torch.randn(50, 1, 40)
    ours, theirs = net.build(weights="run"), fully.build(weights="dense.safetensors")
    torch.testing.assert_close(ours(x), theirs(x[:, 0]), rtol=1e-4, atol=1e-5)
    run("train", "dense.arch", "--set", "train.steps=1", "--out", "on")
    last, first = errors(Path("run"))[-1], errors(Path("on"))[0]
    assert float(first["test_error"]) == pytest.approx(float(last["test_error"]), abs=0.002)


def test_mistakes_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for output, said in (
        ("-", "two files are written"),
        ("weights.safetensors", "two files are written"),
        ("weights.txt", "two files are written"),
        ('"quoted".arch', "there can be no quotes in it"),
    ):
        done = CliRunner().invoke(command, ["export", "mnist1d_conv.arch", "--to", "dense", "-o", output])
        assert done.exit_code == 2 and said in done.output
    done = CliRunner().invoke(command, ["export", "LeNet5", "--to", "dense"], standalone_mode=False)
    assert done.return_value == 1 and "error: `" in done.output and "can't be written as" in done.output
    assert not list(tmp_path.iterdir())


def test_nothing_that_is_read_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "network Own {\n  input x: [4]\n  linear(2)\n}\n"
    (tmp_path / "run").mkdir()
    for name in ("own.arch", "other.arch", "run/network.arch", "run/recipe.json", "run/weights.safetensors"):
        (tmp_path / name).write_text(text)
    for form, output, said in (
        ("dense", "own.arch", "own.arch is what is read"),
        ("torch", "./own.arch", "own.arch is what is read"),
        ("onnx", "run/network.arch", "run/network.arch belongs to the run in run"),
        ("dense", "run/weights.arch", "run/weights.safetensors belongs to the run in run"),
        ("torch", "other.arch", "other.arch is a network's file"),
        ("dense", "other.arch", "other.arch is a network's file"),
    ):
        done = CliRunner().invoke(command, ["export", "own.arch", "--to", form, "-o", output])
        assert done.exit_code == 2 and said in done.output, done.output
    assert {path.read_text() for path in tmp_path.rglob("*.*")} == {text}
    for _ in range(2):
        # But what an export wrote, another may replace.
        assert (
            CliRunner().invoke(command, ["export", "own.arch", "--to", "dense", "-o", "d.arch"]).exit_code
            == 0
        )
