"""What a network that is trained on shapes has detectors of: `python benchmarks/dissection.py`.

Red, green and blue discs, squares and triangles lie on coloured tiles; a small network learns to tell the
nine kinds. Then the units of its second layer are held to masks of the colours and forms in other such
pictures, and so are those that it began with. The picture goes to `docs/looking/dissection.svg`, the table to
the screen. The claim: there are more detectors than before training, and for each colour some unit overlaps
better than any did. Ends with exit code 1 where it does not hold.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

PICTURE = Path(__file__).parent.parent / "docs" / "looking" / "dissection.svg"
EXTENT, TILE = 32, 4
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 40), "blue": (60, 80, 230)}
FORMS = ("disc", "square", "triangle")
LEARNT, DISSECTED = 60, 25
"""Pictures of each kind."""

NETWORK = f"""
network Shapes {{
  input image: [3, {EXTENT}, {EXTENT}]
  conv1: conv(16, kernel=5, padding=2) -> relu
  pool1: max_pool(2)
  conv2: conv(24, kernel=3, padding=1) -> relu
  pool2: max_pool(2)
  conv3: conv(32, kernel=3, padding=1) -> relu
  global_max_pool -> flatten
  scores: linear({len(COLOURS) * len(FORMS)})
}}

train {{
  data = image_folder("shapes", size={EXTENT})
  loss = cross_entropy
  optimizer = adam(0.002)
  batch = 54
  steps = 300
}}
"""


class Shape(NamedTuple):
    """A picture, what is on it, and where that is."""

    colour: str
    form: str
    pixels: np.ndarray[Any, Any]
    where: np.ndarray[Any, Any]


def shapes(of_each: int, seed: int) -> Iterator[Shape]:
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:EXTENT, :EXTENT]
    for colour, form in product(COLOURS, FORMS):
        for _ in range(of_each):
            tiles = random.integers(0, 200, (EXTENT // TILE, EXTENT // TILE, 3))
            pixels = tiles.repeat(TILE, 0).repeat(TILE, 1)
            half = random.integers(5, 9)
            row, column = random.integers(half, EXTENT - half, 2)
            down, right = rows - row, columns - column
            if form == "disc":
                where = down**2 + right**2 <= half**2
            elif form == "square":
                where = (abs(down) <= 0.85 * half) & (abs(right) <= 0.85 * half)
            else:
                where = (abs(down) <= half) & (abs(right) <= 0.6 * (down + half))
            pixels[where] = np.array(COLOURS[colour]) + random.normal(0, 12, (where.sum(), 3))
            yield Shape(colour, form, pixels.clip(0, 255).astype(np.uint8), where)


def write(folder: Path) -> None:
    """The file, the pictures to learn from by their classes, and others with their masks."""
    (folder / "shapes.arch").write_text(NETWORK, encoding="utf-8")
    for number, shape in enumerate(shapes(LEARNT, 1)):
        own = folder / "shapes" / f"{shape.colour}-{shape.form}"
        own.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shape.pixels).save(own / f"{number:03}.png")
    (folder / "masked" / "images").mkdir(parents=True)
    for number, shape in enumerate(shapes(DISSECTED, 2)):
        Image.fromarray(shape.pixels).save(folder / "masked" / "images" / f"{number:03}.png")
        for concept in (*COLOURS, *FORMS):
            own = folder / "masked" / "masks" / concept
            own.mkdir(parents=True, exist_ok=True)
            there = shape.where & (concept in (shape.colour, shape.form))
            Image.fromarray(there).save(own / f"{number:03}.png")


def archdsl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "archdsl", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        archdsl(folder, "train", "shapes.arch", "--out", "runs/Shapes-1")
        look = ["look", "runs/Shapes-1", "--how", "dissection", "--layer", "conv2", "--masks", "masked"]
        print(archdsl(folder, *look, "-o", str(PICTURE)))
        states = json.loads(archdsl(folder, *look, "--json"))["states"]
    trained, before = (sum(unit["detects"] for unit in units) for units in states.values())
    wrong = trained <= before
    for concept in (*COLOURS, *FORMS):
        best, first = (max(unit["ious"][concept] for unit in states[state]) for state in states)
        wrong |= concept in COLOURS and best <= first
        print(f"{concept:<8}  best IoU {best:.3f}, before training {first:.3f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
