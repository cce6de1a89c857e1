"""What `archdsl look --how maps` shows of a picture: its pixels, held to numpy's, and its words."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import archdsl
from archdsl.cli.main import run
from archdsl.drawing.sheet import Curves, Pixels
from archdsl.looking.maps import Maps, left_out, maps
from archdsl.looking.subject import of_network
from archdsl.recipes.transforms import Normalize

RESIZED = """
network Resized {
  input picture: [3, H, W]
  sampled: from picture -> subsample(4)
  largest: from picture -> max_pool(4)
  mean: from picture -> avg_pool(4)
  repeated: from sampled -> upsample(4)
  put_back: from largest -> max_unpool(largest)
  interpolated: from mean -> upsample(4, mode=linear)
  output repeated, put_back, interpolated
}
"""


def shown(file: Path) -> list[np.ndarray]:
    """The pixels of the pictures in a sheet."""
    found = re.findall(r'href="data:image/png;base64,([^"]*)"', file.read_text(encoding="utf-8"))
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_the_pixels_are_those_of_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where sizes are open, a picture is taken as it is, and every pixel shown is a number."""
    monkeypatch.chdir(tmp_path)
    # Sixteenths, so that means of 16 are whole.
    picture = (np.random.default_rng(3).integers(0, 16, (24, 36, 3)) * 16).astype(np.uint8)
    Image.fromarray(picture).save("own.png")
    Path("resized.arch").write_text(RESIZED, encoding="utf-8")
    assert run(["look", "resized.arch", "--how", "maps", "--picture", "own.png", "-o", "out.svg"]) == 0
    assert "wrote out.svg" in capsys.readouterr().err
    whole, sampled, largest, mean, repeated, put_back, interpolated = shown(Path("out.svg"))
    assert (whole == picture).all()
    assert (sampled == picture[::4, ::4]).all()
    patches = picture.reshape(6, 4, 9, 4, 3)
    assert (largest == patches.max((1, 3))).all()
    assert (mean == patches.mean((1, 3))).all()
    assert (repeated == sampled.repeat(4, 0).repeat(4, 1)).all()
    expected = np.zeros_like(picture)
    for channel in range(3):
        for row, column in np.ndindex(6, 9):
            patch = patches[row, :, column, :, channel]
            i, j = np.unravel_index(patch.argmax(), patch.shape)
            expected[4 * row + i, 4 * column + j, channel] = patch.max()
    assert (put_back == expected).all()

    def stretched(values: np.ndarray, axis: int) -> np.ndarray:
        count = values.shape[axis]
        places = (np.arange(4 * count) + 0.5) / 4 - 0.5
        return np.apply_along_axis(lambda line: np.interp(places, np.arange(count), line), axis, values)

    assert abs(interpolated - stretched(stretched(mean.astype(float), 0), 1)).max() < 0.51
    text = Path("out.svg").read_text(encoding="utf-8")
    for words in ("What Resized makes of a picture", "own.png", "sampled", "subsample 3 × 6 × 9"):
        assert f">{words}</text>" in text


def test_other_numbers_are_shown_in_grey_on_one_scale() -> None:
    """Of channels that are no picture 0 is black, or grey where some are negative; the words say which."""
    rising = torch.tensor([[[0.0, 1.0]], [[2.0, 4.0]]])
    first, second = Maps("a", "relu", rising).shown()
    assert (first.tolist(), second.tolist()) == ([[0, 0.25]], [[0.5, 1]])
    assert Maps("a", "relu", rising).scale == "black 0, white 4"
    signed = Maps("a", "conv", torch.tensor([[[-2.0, 0.0, 1.0]]]))
    assert signed.shown()[0].tolist() == [[0, 0.5, 0.75]]
    assert signed.scale == "black -2, grey 0, white 2"
    assert Maps("a", "conv", torch.zeros(1, 2, 2)).shown()[0].eq(0).all()


def test_a_signal_is_a_few_curves_or_a_picture_with_a_row_a_channel() -> None:
    text = "network Signal { input x: [1, 90]\n conv(5, kernel=2, padding=1) -> relu\n flatten -> linear(2) }"
    x = torch.linspace(-1, 3, 90).reshape(1, 1, 90)
    signal, made, active = maps(of_network(archdsl.loads(text).network), x)
    (curve,), (rows,) = signal.panels(), active.panels()
    assert isinstance(curve, Curves) and curve.zero == 0.25 and signal.scale == "-1 to 3"
    assert [curve.channels[0][k] for k in (0, -1)] == [0, 1]
    assert (made.extents, active.scale[:14]) == ("5 × 91", "black 0, white")
    assert active.shown()[0].equal(active.values / active.values.max())
    assert isinstance(rows, Pixels) and (rows.wide, rows.high) == (91, 14), "a row is no hair"


def test_a_picture_keeps_its_colours_only_where_its_numbers_are_a_picture() -> None:
    limits = (torch.zeros(()), torch.ones(()))
    inside, beyond = torch.full((3, 2, 2), 0.5), torch.full((3, 2, 2), 1.5)
    assert Maps("a", "conv", inside, limits).shown()[0].shape == (3, 2, 2)
    assert len(Maps("a", "conv", beyond, limits).shown()) == 3
    # Rounding takes a mean of ones a little above 1.
    assert Maps("a", "avg_pool", torch.full((3, 2, 2), 1 + 1e-7), limits).as_picture


def test_what_the_lines_of_a_network_give() -> None:
    """A label is what comes out of it; vectors are no maps; of many channels the first are shown."""
    text = """
network Small {
  input image: [3, 8, 8]
  conv1: conv(20, kernel=3) -> relu
  max_pool(2)
  flatten -> linear(4)
}
"""
    subject = of_network(archdsl.loads(text).network, seed=1)
    x = torch.rand(1, 3, 8, 8)
    image, conv1, pooled = maps(subject, x)
    assert [one.name for one in (image, conv1, pooled)] == ["image", "conv1", "max_pool_1"]
    assert (conv1.values >= 0).all() and conv1.extents == "20 × 6 × 6" and len(conv1.shown()) == 16
    (_, before) = maps(subject, x, ["conv1.conv"])
    assert before.values.clamp_min(0).equal(conv1.values)
    assert maps(of_network(subject.network, seed=2), x)[1].values.ne(conv1.values).any()


def test_a_picture_is_shown_as_it_is_whatever_a_run_was_trained_on(tmp_path: Path) -> None:
    """Training inputs were dark; a bright photograph keeps its colours, and a bright example its form."""
    text = "network N { input image: [3, 4, 4]\n conv(2, kernel=1)\n flatten\n scores: linear(2) }"
    recipe: Any = SimpleNamespace(shape=(3, 4, 4), evaluate=(Normalize.new(mean=0.5, std=2.0),))
    subject = replace(of_network(archdsl.loads(text).network), recipe=recipe)
    subject.__dict__["limits"] = (torch.full((3, 1, 1), -0.25), torch.full((3, 1, 1), -0.15))
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "own.png")
    np.save(tmp_path / "own.npy", picture.transpose(2, 0, 1) / 255)
    given = subject.given(tmp_path / "own.png")
    (shown,) = maps(subject, given.input, (), subject.limits_of(given))[0].shown()
    assert (shown.mul(255).round().movedim(0, -1).numpy() == picture).all()
    given = subject.given(tmp_path / "own.npy", 0)
    assert maps(subject, given.input, (), subject.limits_of(given))[0].as_picture
    assert left_out(subject.network) == ["not shown, being vectors: flatten_1, scores"]


WRONG = [
    ("[3, S, S]", ["--picture", "own.png"], "Resized takes squares, and own.png has 9 x 6 pixels"),
    ("[3, H, W]", ["--picture", "none.png"], "none.png can't be read: No such file or directory"),
    ("[3, H, W]", ["--picture", "resized.arch"], "resized.arch can't be read: it is no picture"),
    ("[5, 8, 8]", ["--picture", "own.png"], "own.png: the network takes [5, 8, 8], which is no picture"),
    ("[3, H, W]", [], "a --picture"),
    ("[3, 8, 8, 8]", ["--picture", "own.png"], "Resized takes [3, 8, 8, 8], which is no picture and no"),
    ("[3, 60_000, 60_000]", ["--picture", "own.png"], "takes 42.7 GiB of memory, over 8.00 GiB"),
    (
        "[3, 8, 8]",
        ["--picture", "own.png", "--layer", "smapled"],
        "has no layer smapled; did you mean sampled?",
    ),
    ("[3, 8, 8]", ["--picture", "own.png", "--layer", "flat"], "flat is [12], and no maps to be shown"),
    ("[3, 8, 8]", ["--picture", "own.png", "--unit", "sampled:1"], "--unit is for --how stimulus"),
    ("[3, 8, 8]", ["--picture", "own.png", "--share", "0.1"], "--share is for --how dissection"),
]


@pytest.mark.parametrize(("shape", "options", "said"), WRONG, ids=[said[:24] for _, _, said in WRONG])
def test_what_is_wrong_is_said_in_a_line(
    shape: str,
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 6)).save("own.png")
    network = f"network Resized {{\n  input picture: {shape}\n  sampled: subsample(4)\n  flat: flatten\n}}\n"
    Path("resized.arch").write_text(network, encoding="utf-8")
    assert run(["look", "resized.arch", "--how", "maps", *options, "-o", "out.svg"]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not Path("out.svg").exists()
