"""Folders of pictures: read, decoded, trained on; and what is said of those that are broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from expected import ARCHITECTURES
from forks import run
from PIL import ExifTags, Image, ImageOps

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.looking.pictures import extents
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training import pictures
from archdsl.training.examples import Examples
from archdsl.training.folder import TrainingError
from archdsl.training.loop import train
from archdsl.training.pictures import Streamed, decode, opened
from archdsl.training.processes import Processes
from archdsl.training.run import Checkpoint
from archdsl.training.sources import load

CPU = torch.device("cpu")
TEXT = """network Small {
  input image: [3, 24, 24]
  conv(8, kernel=3, stride=2) -> batch_norm -> relu
  global_avg_pool -> flatten -> linear(CLASSES)
}
train {
  data         = DATA
  loss         = cross_entropy
  optimizer    = adam(lr=0.01)
  augment      = random_crop(24) -> horizontal_flip
  evaluate     = ten_crop(24)
  batch        = 10
  epochs       = 2
  measurements = 2
}
"""


def made(folder: Path, count: int, colour: tuple[int, int, int], ending: str = ".png") -> None:
    """Noisy pictures of about one colour, of several extents."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(sum(colour) + count)
    for i in range(count):
        height, width = 30 + 5 * (i % 4), 50 - 4 * (i % 5)
        noise = random.normal(0, 30, (height, width, 3))
        values = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{i:03}{ending}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As ImageNet lies: classes in `train` and in `val`."""
    root = tmp_path / "own"
    for part, count in (("train", 24), ("val", 6)):
        made(root / part / "red", count, (200, 40, 40), ".jpg")
        made(root / part / "green", count, (40, 200, 40))
        made(root / part / "blue", count, (40, 40, 200), ".JPEG")
    (root / "train/red/notes.txt").write_text("no picture, and not called one")
    return root


def recipe_for(data: str, classes: int = 3, text: str = TEXT) -> tuple[archdsl.Net, Recipe | None, list[str]]:
    net = archdsl.loads(text.replace("DATA", data).replace("CLASSES", str(classes)))
    recipe, found = read_recipe(net.network.train, net.network, look=True)
    return net, recipe, [d.message for d in found]


def examples_of(data: str, classes: int = 3) -> Examples:
    _, recipe, found = recipe_for(data, classes)
    assert recipe is not None, found
    return load(recipe, CPU)


def test_a_folder_as_imagenet_lies(folder: Path) -> None:
    examples = examples_of(f'image_folder("{folder}", size=28)')
    assert (examples.count, examples.tests) == (72, 18)
    assert examples.classes == ("blue", "green", "red")
    x, y = next(iter(examples.training(1000)))
    assert x.shape == (72, 3, 28, 28) and x.dtype == torch.float32 and 0 <= x.min() and x.max() <= 1
    brightest = x.mean((2, 3)).argmax(1)
    assert torch.equal(brightest, 2 - y), "blue is class 0 and the last channel"


def test_grey_pictures_of_a_folder_that_calls_its_tests_so(folder: Path) -> None:
    (folder / "val").rename(folder / "test")
    text = TEXT.replace("[3, 24, 24]", "[1, 24, 24]")
    _, recipe, found = recipe_for(f'image_folder("{folder}", size=28, grey=true)', text=text)
    assert recipe is not None, found
    ((x, _),) = load(recipe, CPU).testing()
    ((colours, _),) = examples_of(f'image_folder("{folder}", size=28)').testing()
    assert x.shape == (18, 1, 28, 28)
    # The luma of JPEG (ITU-R BT.601), but for what is rounded and cut off.
    luma = (colours * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(1, keepdim=True)
    assert (x - luma).abs().mean() < 0.005


def test_a_folder_without_parts_is_parted(tmp_path: Path) -> None:
    made(tmp_path / "own/a", 20, (200, 40, 40))
    made(tmp_path / "own/b", 10, (40, 200, 40))
    examples = examples_of(f'image_folder("{tmp_path}/own", size=28, test=0.2)', 2)
    assert (examples.count, examples.tests) == (24, 6)
    # Each class gives its share.
    labels = torch.cat([y for _, y in examples.testing()])
    assert labels.bincount().tolist() == [4, 2]


def test_streaming_gives_what_memory_gives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = f'image_folder("{folder}", size=28)'
    kept = examples_of(data)
    monkeypatch.setattr(pictures, "KEPT", 0)
    streamed = examples_of(data)
    assert isinstance(streamed, Streamed) and not isinstance(kept, Streamed)
    for begin in (0, 9):
        pairs = zip(kept.batches(10, 16, 5, begin), streamed.batches(10, 16, 5, begin), strict=True)
        for (x, y), (other_x, other_y) in pairs:
            assert torch.equal(x, other_x) and torch.equal(y, other_y)
    for (x, y), (other_x, other_y) in zip(kept.testing(), streamed.testing(), strict=True):
        assert torch.equal(x, other_x) and torch.equal(y, other_y)
    # Of the last batch, of one example, the second of two processes has none.
    pairs = zip(*(of.batches(71, 2, 5, 0, Processes(1, 2).share) for of in (kept, streamed)), strict=True)
    shares = [(x.shape, x.dtype, y.shape, y.dtype) for pair in pairs for x, y in pair]
    assert shares[0] == shares[1] and shares[2] == shares[3] and shares[3][0] == (0, 3, 28, 28)
    assert streamed.waited > 0


def test_a_run_knows_its_classes_by_name(folder: Path, tmp_path: Path) -> None:
    """And is not measured on data in which other classes have their numbers."""
    net, recipe, found = recipe_for(f'image_folder("{folder}", size=28)')
    assert recipe is not None, found
    train(net.network, recipe, tmp_path / "run")

    def said(*words: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(command, list(words), standalone_mode=False)
        return done.return_value, done.output.splitlines()

    code, lines = said("evaluate", str(tmp_path / "run"))
    assert code == 0
    assert [line.split() for line in lines[-4:]] == [
        ["blue", "green", "red"],
        ["blue", "6", "·", "·"],
        ["green", "·", "6", "·"],
        ["red", "·", "·", "6"],
    ]
    code, lines = said("predict", str(tmp_path / "run"), str(folder / "val/green"), "--top", "1")
    assert code == 0 and len(lines) == 6 and all(re.search(r"00\d\.png  green \d", line) for line in lines)
    for part in ("train", "val"):
        (folder / part / "blue").rename(folder / part / "navy")
    assert said("evaluate", str(tmp_path / "run")) == (
        1,
        ["error: the data have the class navy, and the run learnt blue, green and red"],
    )
    # Other data may lack a class; of a folder without parts all pictures are measured.
    shutil.rmtree(folder / "val/navy")
    other = folder.rename(tmp_path / "other")
    for data in (other, other / "val"):
        own = f'image_folder("{data}", size=28, pixels=10_000)'
        code, lines = said("evaluate", str(tmp_path / "run"), "--set", f"train.data={own}")
        assert code == 0 and f"on 12 test examples of {own}" in lines
        assert [line.split()[0] for line in lines[-3:]] == ["blue", "green", "red"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_network_learns_colours(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Random crops, flips and ten-crop measuring of JPEG and PNG files, end to end, decoded as needed."""
    monkeypatch.setattr(pictures, "KEPT", 0)
    monkeypatch.setattr(pictures, "workers_for", lambda count: workers)
    net, recipe, found = recipe_for(f'image_folder("{folder}", size=28)')
    assert recipe is not None, found
    done = train(net.network, recipe, tmp_path / "run")
    assert done.measured.test[0] == 0.0
    assert "waited for examples" in (tmp_path / "run/train.log").read_text()


def photographs(folder: Path, count: int) -> None:
    """Windows of two photographs that scikit-learn carries: so many of each to train on, one to test on."""
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    for name in ("china", "flower"):
        with Image.open(Path(spec.origin).parent / f"datasets/images/{name}.jpg") as photograph:
            for i in range(count + 1):
                into = folder / ("val" if i == count else "train") / name
                into.mkdir(parents=True, exist_ok=True)
                left, top = 60 * i, 10 * i
                photograph.crop((left, top, left + 400, top + 380)).save(into / f"{i}.JPEG")


OF_BOTH = {
    "loss": "cross_entropy",
    "optimizer": "sgd(lr=0.01, momentum=0.9, weight_decay=0.0005)",
    "schedule": "plateau(patience=5, falls=3)",
    "metrics": ["error", "top_error"],
    "initialize": "normal(std=0.01)",
}
PAPERS = {
    "AlexNet": OF_BOTH
    | {
        "batch": 128,
        "epochs": 90,
        "augment": "random_crop(size=224) -> horizontal_flip -> pca_color -> "
        "normalize(mean=[0.485, 0.456, 0.406], std=0.00392156862745098)",
        "evaluate": "ten_crop(size=224) -> normalize(mean=[0.485, 0.456, 0.406], std=0.00392156862745098)",
        "parts": {
            layer: {"rate": None, "initialize": "normal(std=0.01, bias=1)"}
            for layer in ("conv2", "conv4", "conv5", "fc6", "fc7")
        },
    },
    "VGG16": OF_BOTH
    | {
        "batch": 256,
        "epochs": 74,
        "augment": "random_scale_crop(size=224) -> horizontal_flip -> pca_color -> "
        "normalize(mean=[0.485, 0.456, 0.406])",
        "evaluate": "resize(size=384) -> ten_crop(size=224) -> normalize(mean=[0.485, 0.456, 0.406])",
    },
}
"""What the recipes say, defaults left out: of `pca_color` 0.1, of `plateau` a tenth, of scales 256 to 512, of
`top_error` 5."""


@pytest.mark.parametrize(
    ("file", "network", "count", "batch", "steps"),
    [("alexnet.arch", "AlexNet", 3, 4, 2), ("vgg.arch", "VGG16", 1, 2, 1)],
)
def test_the_recipes_of_the_papers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    network: str,
    count: int,
    batch: int,
    steps: int,
) -> None:
    """On photographs in a folder `imagenet` that lies as ImageNet does, with no line of the files changed.

    VGG-16 begins with layers of VGG-11, which is trained before it. All layers are narrower than the papers':
    100 million weights less to be written, and half a minute less of arithmetic.
    """
    monkeypatch.chdir(tmp_path)
    text = (ARCHITECTURES / file).read_text(encoding="utf-8").replace("linear(4096)", "linear(64)")
    text = text.replace("[64, 128, 256, 512, 512]", "[8, 16, 32, 64, 64]")
    text = re.sub(r"(?<=conv\()\d+", lambda channels: str(int(channels[0]) // 8), text)
    Path(file).write_text(text, encoding="utf-8")
    photographs(tmp_path / "imagenet", count)
    net = archdsl.load(file, network=network, parameters={"classes": 2})
    assert net.network.train is not None
    stated, _ = read_recipe(net.network.train, net.network)
    assert stated is not None
    said = stated.to_dict()
    assert {key: said[key] for key in PAPERS[network]} == PAPERS[network]
    assert [node.kind for node in net.network.nodes].count("dropout") == 2
    # Of two classes there are no five to name.
    settings = {"batch": str(batch), "steps": str(steps), "metrics": "[error, top_error(2)]"}
    recipe, found = read_recipe(net.network.train, net.network, settings, look=True)
    assert recipe is not None, [d.message for d in found]
    assert recipe.data == stated.data and recipe.augment == stated.augment
    if "vgg" in file:
        # One window in place of ten, which AlexNet is measured on: a minute less of VGG-16's arithmetic.
        settings["evaluate"] = "resize(384) -> center_crop(224) -> normalize([0.485, 0.456, 0.406])"
        recipe, _ = read_recipe(net.network.train, net.network, settings, look=True)
        assert recipe is not None
        shallower = archdsl.load(file, network="VGG11", parameters={"classes": 2}).network
        its, _ = read_recipe(shallower.train, shallower, settings, look=True)
        assert its is not None
        train(shallower, its, Path("runs/VGG11-1"))
    done = train(net.network, recipe, tmp_path / "run")
    assert done.steps == steps and done.measured.test[1] == 0.0
    assert done.measured.loss is not None and 0 < done.measured.loss < 50
    if "vgg" in file:
        rows = Path("run/pretrained.csv").read_text().splitlines()[1:]
        assert [row.split(",")[:2] for row in rows] == [
            ["features.stage_1.conv_1", "features.stage_1.conv"],
            ["features.stage_2.conv_1", "features.stage_2.conv"],
            *(
                [layer, layer]
                for layer in (
                    "features.stage_3.conv_1",
                    "features.stage_3.conv_2",
                    "classifier.fc6.linear",
                    "classifier.fc7.linear",
                    "classifier.logits",
                )
            ),
        ]


KILLING = """
import multiprocessing, os, signal
from archdsl.cli.main import main
from archdsl.training import pictures
from archdsl.training.step import Step

pictures.KEPT, pictures.workers_for = 0, lambda count: 2
original = Step.__call__

def killing(self, *given):
    original(self, *given)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGKILL)

Step.__call__ = killing
main(["train", "own.arch", "--out", "run"])
"""


def test_a_worker_that_is_killed(folder: Path, tmp_path: Path) -> None:
    """As by a machine that runs out of memory: the run ends with a message, and what it saved is there.

    In a process of its own, for torch raises in its handler of the signal, wherever the process is then.
    """
    text = TEXT.replace("DATA", f'image_folder("{folder}", size=28)').replace("CLASSES", "3")
    (tmp_path / "own.arch").write_text(text)
    done = subprocess.run([sys.executable, "-c", KILLING], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "DataLoader worker" in done.stderr
    assert Checkpoint.newest(tmp_path / "run") is not None
    again = run("train", "own.arch", "--out", "run", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


# ------------------------------------------------------------------------------ decoding


def test_decoding_keeps_the_middle(tmp_path: Path) -> None:
    """The shorter side becomes the extent; of the longer one the middle stays."""
    values = np.zeros((40, 80, 3), np.uint8)
    values[:, 20:60] = 255
    Image.fromarray(values).save(tmp_path / "wide.png")
    found = decode(tmp_path / "wide.png", size=20, grey=False, pixels=10**6)
    assert found.shape == (3, 20, 20) and found.dtype == torch.uint8
    assert (found[:, :, 2:-2] == 255).all()
    grey = decode(tmp_path / "wide.png", size=20, grey=True, pixels=10**6)
    assert grey.shape == (1, 20, 20)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_pictures_stand_as_they_were_taken(tmp_path: Path, ending: str) -> None:
    """A telephone that is held upright writes a picture on its side, and beside it how to turn it."""
    values = np.zeros((40, 80), np.uint8)
    values[:20, :40] = 255
    lying = Image.fromarray(values)
    for orientation in range(1, 9):
        said = Image.Exif()
        said[ExifTags.Base.Orientation] = orientation
        lying.save(tmp_path / f"one.{ending}", exif=said)
        expected = np.array(ImageOps.exif_transpose(Image.open(tmp_path / f"one.{ending}")))
        found = opened(tmp_path / f"one.{ending}", grey=True, pixels=10**6)
        assert (np.array(found) == expected).all(), orientation
        assert extents(tmp_path / f"one.{ending}") == found.size
    # Decoded at a smaller extent, it is turned all the same: the last one by a quarter, its white below.
    small = decode(tmp_path / f"one.{ending}", size=10, grey=True, pixels=10**6)[0]
    assert small[:4].max() < 40 and small[6:, :4].min() > 215 and small[6:, 6:].max() < 40


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_kind_of_picture_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGB", (30, 30), (250, 250, 250))
    if mode == "I;16":
        made_of = Image.fromarray(np.full((30, 30), 60000, np.uint16))
    else:
        made_of = picture.convert(mode)
    ending = ".jpg" if mode == "CMYK" else ".png"
    made_of.save(tmp_path / f"own{ending}")
    found = decode(tmp_path / f"own{ending}", size=8, grey=False, pixels=10**6)
    assert found.shape == (3, 8, 8)
    if mode == "I;16":
        assert (found == 60000 // 257).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "can't be decoded"),
        (b"GIF89a and no more", "can't be decoded"),
        (None, "can't be decoded"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes | None, said: str) -> None:
    made(tmp_path, 1, (1, 2, 3))
    file = tmp_path / "000.png"
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    with pytest.raises(ValueError, match=said):
        decode(file, size=8, grey=False, pixels=10**6)


def test_pictures_of_too_many_pixels(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"has \d\d x \d\d pixels, over 1,000; image_folder"):
        examples_of(f'image_folder("{folder}", size=28, pixels=1000)')
    Image.new("1", (3000, 2000)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="has 3000 x 2000 pixels, over 1,000,000"):
        decode(tmp_path / "large.png", size=8, grey=False, pixels=10**6)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="pixels"):
        decode(tmp_path / "bomb.png", size=8, grey=False, pixels=10**6)


# ------------------------------------------------------------------------------ broken folders


@pytest.mark.parametrize("stream", [False, True])
def test_a_corrupt_picture_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    broken = folder / "train/green/003.png"
    broken.write_bytes(broken.read_bytes()[:200])
    if stream:
        monkeypatch.setattr(pictures, "KEPT", 0)
    with pytest.raises(TrainingError, match=r"train/green/003\.png can't be decoded.*corrupt=skip"):
        list(examples_of(f'image_folder("{folder}", size=28)').training(1000))


def test_a_corrupt_picture_is_skipped_when_asked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = folder / "train/green/003.png"
    broken.write_bytes(broken.read_bytes()[:200])
    data = f'image_folder("{folder}", size=28, corrupt=skip)'
    kept = examples_of(data)
    assert sum(len(x) for x, _ in kept.training(1000)) == 71 and len(kept.skipped) == 1
    monkeypatch.setattr(pictures, "KEPT", 0)
    net, recipe, found = recipe_for(data)
    assert recipe is not None, found
    train(net.network, recipe, tmp_path / "run")
    log = (tmp_path / "run/train.log").read_text()
    assert log.count("left out 1 file: ") == log.count("train/green/003.png can't be decoded") == 1


def test_pictures_of_other_kinds_are_told_of(folder: Path) -> None:
    (folder / "train/red/000.webp").write_bytes(b"")
    (folder / "val/red/000.TIF").write_bytes(b"")
    _, recipe, _ = recipe_for(f'image_folder("{folder}", size=28)')
    assert recipe is not None and recipe.described is not None
    assert recipe.described.remarks == ("2 files of kinds that are not read (.tif, .webp)",)


@pytest.mark.parametrize("stream", [False, True])
def test_batches_and_folders_of_corrupt_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Where nothing of a batch is left, nothing is learnt from it; where nothing of all is, that is said."""
    if stream:
        monkeypatch.setattr(pictures, "KEPT", 0)
    files = sorted((folder / "train").rglob("*.*"))
    for broken in files[::5]:
        broken.write_bytes(b"")
    net, recipe, found = recipe_for(f'image_folder("{folder}", size=28, corrupt=skip)')
    assert recipe is not None, found
    few = replace(recipe, batch=1, steps=20, epochs=None, precision="float16")
    done = train(net.network, few, tmp_path / "run")
    assert done.steps == 20 and not done.interrupted
    for broken in files:
        broken.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"none of the (72 pictures|examples to be measured) can be read"):
        train(net.network, recipe, tmp_path / "other")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda root: [p.unlink() for p in (root / "train/red").iterdir()],
            "train/red` can't be used as data: it has no pictures",
        ),
        (lambda root: (root / "val/purple").mkdir(), "val/purple` can't be used as data: it has no pictures"),
        (lambda root: made(root / "val/purple", 1, (9, 9, 9)), "class `purple` is not among those"),
        (lambda root: shutil.rmtree(root / "val/green"), "class `green` has no folder in"),
        (lambda root: root.rename(root.parent / "gone"), "is no folder here"),
        (lambda root: (root / "val").rename(root / "valid"), "has no folder `val` or `test` beside `train`"),
    ],
)
def test_folders_that_can_not_be_trained_on(folder: Path, spoil: object, said: str) -> None:
    spoil(folder)  # type: ignore[operator]
    _, recipe, found = recipe_for(f'image_folder("{folder}", size=28)')
    assert recipe is None
    assert len(found) == 1 and said in found[0]


def test_the_classes_of_the_folder_are_held_against_the_network(folder: Path) -> None:
    _, recipe, found = recipe_for(f'image_folder("{folder}", size=28)', classes=10)
    assert recipe is None and "gives one of 3 classes" in found[0]
