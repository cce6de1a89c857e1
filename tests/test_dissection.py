"""Network dissection: detectors by construction, a plain reckoning beside it, folders that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from PIL import Image

import archdsl
from archdsl.analysis import analyse
from archdsl.cli.main import run
from archdsl.looking import dissection, pictures
from archdsl.looking.anchors import anchors, laid_over
from archdsl.looking.concepts import concepts
from archdsl.looking.detectors import Detectors
from archdsl.looking.dissection import Dissecting, Dissection
from archdsl.looking.subject import Subject, of_network
from archdsl.looking.units import layer_of
from archdsl.looking.unseen import Unseen
from archdsl.recipes.transforms import CenterCrop, FiveCrop, Normalize, Transform

EXTENT = 24
CONCEPTS = ("disc", "green", "red", "square")

Masks = dict[str, np.ndarray]


def shapes(count: int, seed: int = 0) -> list[tuple[np.ndarray, Masks]]:
    """Pictures of red and green squares and discs on a dark ground, and where each is."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:EXTENT, :EXTENT]
    made = []
    for _ in range(count):
        picture = np.full((EXTENT, EXTENT, 3), 20, np.uint8)
        masks = {name: np.zeros((EXTENT, EXTENT), bool) for name in CONCEPTS}
        for colour, form in random.integers(0, 2, (2, 2)):
            row, column = random.integers(4, EXTENT - 4, 2)
            half = random.integers(2, 5)
            across, along = rows - row, columns - column
            disc = across**2 + along**2 <= half**2
            where = (disc, (abs(across) <= half) & (abs(along) <= half))[form]
            picture[where] = ((20, 220, 20), (220, 20, 20))[colour]
            for name in CONCEPTS:
                masks[name] &= ~where
            masks[("green", "red")[colour]] |= where
            masks[("disc", "square")[form]] |= where
        made.append((picture, masks))
    return made


def folder_of(examples: list[tuple[np.ndarray, Masks]], folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for number, (picture, masks) in enumerate(examples):
        Image.fromarray(picture).save(folder / "images" / f"{number:03}.png")
        for name, mask in masks.items():
            (folder / "masks" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / "masks" / name / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def examples() -> list[tuple[np.ndarray, Masks]]:
    return shapes(24)


@pytest.fixture(scope="module")
def folder(examples: list[tuple[np.ndarray, Masks]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(examples, tmp_path_factory.mktemp("dissection") / "shapes")


def subject_of(text: str, **weights: torch.Tensor) -> Subject:
    subject = of_network(archdsl.loads(text).network)
    ((name, state),) = subject.states.items()
    filled = {key: weights.get(key.replace(".", "_"), value) for key, value in state.items()}
    return Subject(subject.name, subject.network, {name: filled}, subject.device)


def dissected(subject: Subject, layer: str, folder: Path) -> Dissection:
    (state,) = subject.states
    return Dissecting(subject, state, layer_of(subject.network, layer), concepts(folder)).found()


def test_detectors_by_construction(examples: list[tuple[np.ndarray, Masks]], folder: Path) -> None:
    """A unit for red, one for green, one that is never on: overlaps are those of the masks themselves."""
    text = f"network Colours {{ input image: [3, {EXTENT}, {EXTENT}]\n colour: conv(3, kernel=1) -> relu }}"
    mixing = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]]).reshape(3, 3, 1, 1)
    subject = subject_of(text, colour_conv_weight=mixing, colour_conv_bias=torch.zeros(3))
    red, green, off = dissected(subject, "colour", folder).units
    every = {name: np.stack([masks[name] for _, masks in examples]) for name in CONCEPTS}
    for unit, own in ((red, "red"), (green, "green")):
        overlaps = [(every[own] & every[name]).sum() / (every[own] | every[name]).sum() for name in CONCEPTS]
        assert unit.overlaps == tuple(overlaps)
        assert (CONCEPTS[unit.concept], unit.overlap) == (own, 1)
        # The brightest come first, and of equal ones the earlier.
        assert unit.strongest == tuple(i for i, mask in enumerate(every[own]) if mask.any())[:4]
    assert off.overlaps == (0, 0, 0, 0) and not off.detects
    assert (off.threshold, off.least) == (0, True)


@pytest.mark.parametrize(
    "cropped", [CenterCrop.new(size=12), FiveCrop.new(size=12)], ids=lambda crop: crop.word
)
def test_masks_are_moved_as_pictures_are(folder: Path, cropped: Transform) -> None:
    """A unit for red overlaps with red wholly in whatever part of the pictures the network takes."""
    text = "network Colours { input image: [3, 12, 12]\n colour: conv(1, kernel=1) -> relu }"
    mixing = torch.tensor([1.0, -1, -1]).reshape(1, 3, 1, 1)
    subject = subject_of(text, colour_conv_weight=mixing, colour_conv_bias=torch.zeros(1))
    recipe: Any = SimpleNamespace(shape=(3, EXTENT, EXTENT), evaluate=(cropped, Normalize.new(std=2.0)))
    (unit,) = dissected(replace(subject, recipe=recipe), "colour", folder).units
    assert (CONCEPTS[unit.concept], unit.overlap) == ("red", 1)


NETWORK = f"""
network Small {{
  input image: [3, {EXTENT}, {EXTENT}]
  conv1: conv(6, kernel=5) -> relu -> max_pool(2)
  conv2: conv(5, kernel=3, stride=2, padding=1)
  larger: upsample(2)
}}
"""


def reckoned(subject: Subject, layer: str, examples: list[tuple[np.ndarray, Masks]]) -> np.ndarray:
    """The overlaps, worked out plainly: all values of a unit, sorted; maps stretched by numpy."""
    (state,) = subject.states
    pictures = torch.from_numpy(np.stack([picture for picture, _ in examples])).movedim(-1, 1) / 255
    maps = subject.seen([layer_of(subject.network, layer)], state)(pictures)[0].numpy()
    first, step = {"conv1": (2.5, 2.0), "conv2": (2.5, 4.0), "larger": (1.5, 2.0)}[layer]
    places = first + step * np.arange(maps.shape[2])
    there = np.arange(EXTENT)
    found = np.zeros((maps.shape[1], len(CONCEPTS)))
    for unit in range(maps.shape[1]):
        values = np.sort(maps[:, unit].ravel())[::-1]
        threshold = values[int(0.005 * len(values))]
        on = []
        for one in maps[:, unit]:
            across = np.stack([np.interp(there, places, row) for row in one])
            whole = np.stack([np.interp(there, places, column) for column in across.T], 1)
            on.append(whole >= threshold if threshold > values[-1] else whole > threshold)
        for number, name in enumerate(CONCEPTS):
            mask = np.stack([masks[name] for _, masks in examples])
            found[unit, number] = (np.stack(on) & mask).sum() / (np.stack(on) | mask).sum()
    return found


@pytest.mark.parametrize("layer", ["conv1", "conv2", "larger"])
def test_a_plain_reckoning_comes_to_the_same(
    layer: str, examples: list[tuple[np.ndarray, Masks]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where units and pictures are taken a few at a time."""
    subject = subject_of(NETWORK)
    expected = reckoned(subject, layer, examples)
    assert expected.max() > 0.01
    for kept, together in ((dissection.MOST_KEPT, dissection.AT_ONCE), (40, 20_000)):
        monkeypatch.setattr(dissection, "MOST_KEPT", kept)
        monkeypatch.setattr(dissection, "AT_ONCE", together)
        found = dissected(subject, layer, folder)
        assert found.anchored
        np.testing.assert_allclose([unit.overlaps for unit in found.units], expected, atol=1e-3)


LEARNT = f"""
network Learnt {{
  input image: [3, {EXTENT}, {EXTENT}]
  conv1: conv(6, kernel=3, padding=1) -> relu -> max_pool(2)
  conv2: conv(8, kernel=3, padding=1) -> relu
  global_max_pool -> flatten -> linear(2)
}}

train {{
  data = image_folder("examples", size={EXTENT})
  loss = cross_entropy
  optimizer = adam(0.01)
  batch = 16
  steps = 30
}}
"""


def test_a_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained to tell red from green, it has units that detect them better than any did before."""
    monkeypatch.chdir(tmp_path)
    for number, (picture, masks) in enumerate(shapes(40, seed=1)):
        own = Path("examples", "red" if masks["red"].sum() > masks["green"].sum() else "green")
        own.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(own / f"{number}.png")
    Path("learnt.arch").write_text(LEARNT, encoding="utf-8")
    assert run(["train", "learnt.arch", "--out", "r"]) == 0
    look = ["look", "r", "--how", "dissection", "--layer", "conv2", "--masks", str(folder), "--share", "0.03"]
    capsys.readouterr()
    assert run([*look, "--json", "-o", "out.svg"]) == 0
    found = json.loads(capsys.readouterr().out)
    schema = Path(dissection.__file__).parents[1] / "schema" / "dissection.json"
    Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(found)
    trained, before = found["states"]["trained"], found["states"]["before training"]
    for colour in ("red", "green"):
        best, first = (max(unit["ious"][colour] for unit in units) for units in (trained, before))
        assert best > 0.25 and best > first
    assert run([*look, "-o", "out.svg"]) == 0
    table, counts = capsys.readouterr().out.split("\n\n")[1:]
    listed = [(int(line.split()[0]), line.split()[1]) for line in table.splitlines()[1:]]
    detectors = sorted((unit for unit in trained if unit["iou"] > 0.04), key=lambda unit: -unit["iou"])
    assert listed == [(unit["unit"], unit["concept"]) for unit in detectors]
    assert f"trained          {len(detectors)} of 8 units are detectors" in counts
    number, concept, iou = detectors[0]["unit"], detectors[0]["concept"], detectors[0]["iou"]
    assert f">conv2:{number}  {concept} {iou:.2f}</text>" in Path("out.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.001, ["overlaps by no more than 0.04 with what takes far more of them", "red 0.0"]),
        (
            0.3,
            [
                "a unit that is on in 0.3 of the pixels, wherever they are, overlaps by more than 0.04",
                "red 0.0",
            ],
        ),
        (0.02, []),
    ],
)
def test_a_share_that_decides_alone_is_said(share: float, said: list[str], folder: Path) -> None:
    subject = subject_of(f"network N {{ input image: [3, {EXTENT}, {EXTENT}]\n a: conv(2, kernel=1) }}")
    found = Detectors(subject, layer_of(subject.network, "a"), folder, share)
    notes = [line for line in found.text().splitlines() if line.startswith("note: ")]
    assert len(notes) == bool(said)
    assert all(words in notes[0] for words in said)


def test_maps_lie_where_their_units_see() -> None:
    """Without padding the first unit of a kernel of 5 lies on the third pixel, not at the edge."""
    network = archdsl.loads(NETWORK).network
    field = analyse(network).receptive_field(layer_of(network, "conv1"))
    placed, known = anchors(field, (10, 10), (EXTENT, EXTENT))
    assert known and [(anchor.first, anchor.step) for anchor in placed] == [(2.5, 2)] * 2
    ramp = torch.arange(10.0).expand(10, 10)
    stretched = laid_over(ramp, placed)
    np.testing.assert_allclose(
        stretched[7], np.interp(np.arange(EXTENT), 2.5 + 2 * np.arange(10), np.arange(10))
    )
    # What is equal stays exactly so, or a threshold would not be reached.
    assert laid_over(torch.full((10, 10), 0.1), placed).eq(torch.tensor(0.1)).all()


def test_a_layer_that_sees_all_is_stretched_from_edge_to_edge(folder: Path) -> None:
    layers = "a: conv(4, kernel=4, stride=4) -> group_norm(1)"
    text = f"network Normed {{ input image: [3, {EXTENT}, {EXTENT}]\n {layers} }}"
    assert not dissected(subject_of(text), "a", folder).anchored


def spoilt(folder: Path, spoil: Callable[[Path], object]) -> str:
    """What is said of a folder after something was done to it."""
    folder_of(shapes(3), folder)
    spoil(folder)
    subject = subject_of(f"network N {{ input image: [3, {EXTENT}, {EXTENT}]\n a: conv(2, kernel=1) }}")
    with pytest.raises(Unseen) as raised:
        dissected(subject, "a", folder)
    return str(raised.value).replace(str(folder), "F")


def resized(file: Path) -> None:
    Image.open(file).resize((9, 7)).save(file)


WRONG: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda f: (f / "masks/red/001.png").unlink(),
        "F/images/001.png has no mask F/masks/red/001.png: a black ",
    ),
    (
        lambda f: [(f / f"masks/red/00{i}.png").unlink() for i in (0, 2)],
        "has no mask F/masks/red/000.png, nor do ",
    ),
    (
        lambda f: resized(f / "masks/disc/002.png"),
        "F/masks/disc/002.png has 9 x 7 pixels, and F/images/002.png has",
    ),
    (lambda f: (f / "masks/red/001.png").write_bytes(b"no"), "F/masks/red/001.png can't be read: it is no "),
    (
        lambda f: (f / "images/000.png").write_bytes((f / "images/000.png").read_bytes()[:99]),
        "F/images/000.png can't",
    ),
    (
        lambda f: (f / "images/000.png").rename(f / "images/x.png"),
        "F/images/x.png has no mask F/masks/disc/x.png",
    ),
    (lambda f: (f / "images/000.png").unlink(), "F/masks/disc/000.png is the mask of no picture in F/images"),
    (lambda f: (f / "masks/red/000.png").rename(f / "masks/red/000.jpg"), "F/masks/red/000.jpg is no mask"),
    (
        lambda f: Image.new("RGB", (9, 9)).save(f / "images/000.jpg"),
        "F/images/000.jpg and F/images/000.png would",
    ),
    (lambda f: (f / "images").rename(f / "pictures"), "F/images can't be read: No such file or directory"),
    (lambda f: [file.unlink() for file in (f / "images").iterdir()], "F/images has no pictures"),
    (
        lambda f: (f / "masks").rename(f / "other") and (f / "masks").mkdir(),
        "F/masks has no folders of masks",
    ),
    (
        lambda f: Image.new("RGBA", (EXTENT, EXTENT)).save(f / "masks/red/001.png"),
        "F/masks/red/001.png has trans",
    ),
]


def test_too_many_pixels_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", EXTENT * EXTENT - 1)
    said = spoilt(tmp_path / "F", lambda folder: None)
    assert said == f"F/images/000.png has {EXTENT} x {EXTENT} pixels, over {EXTENT * EXTENT - 1}"


@pytest.mark.parametrize(("spoil", "said"), WRONG, ids=[said[:32] for _, said in WRONG])
def test_what_is_wrong_with_a_folder_is_named(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    assert said in spoilt(tmp_path / "F", spoil)
