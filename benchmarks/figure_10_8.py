"""Figure 10.8 of Prince's "Understanding Deep Learning": `python benchmarks/figure_10_8.py`.

Trains `mnist1d_conv.arch` and `mnist1d_fc.arch` as their files say, 100,000 steps each, once for each seed,
then both again with the positions of all signals permuted, in an order drawn by the seed. Prints a Markdown
table of the errors and times, and writes the errors over the steps as CSV and as a picture.

`--seeds` says how many, `--steps` cuts the runs short, `--out` is where they go: what is there already is not
trained again. `--csv benchmarks/figure_10_8.csv` replaces the errors that are kept beside this script, from
which `docs/generate.py` draws `docs/pictures/figure-10-8.svg`.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import drawsvg

import archdsl
from archdsl.drawing.canvas import MARGIN, canvas, finished, rounded, title, words
from archdsl.problems.problem import plural
from archdsl.recipes.reader import read_recipe

NETWORKS = {"mnist1d_conv.arch": "Convolutional", "mnist1d_fc.arch": "Fully connected"}
POSITIONS = {"plain": "positions as they are", "permuted": "positions permuted"}
KEPT = Path(__file__).with_suffix(".csv")


class Curves(NamedTuple):
    """The errors of one network over the steps, a row for each seed; `positions` is a key of POSITIONS."""

    file: str
    positions: str
    steps: list[int]
    training: list[list[float]]
    test: list[list[float]]


# ------------------------------------------------------------------------------ runs


def trained(file: str, positions: str, seed: int, steps: int | None, folder: Path) -> float:
    """One run of a network's own recipe; the seconds that it took."""
    from archdsl.training.loop import train

    network = archdsl.load(file).network
    settings = {"seed": str(seed)}
    if steps is not None:
        settings["steps"] = str(steps)
    if positions == "permuted":
        settings["augment"] = settings["evaluate"] = f"permute_positions(seed={seed})"
    recipe, diagnostics = read_recipe(network.train, network, settings)
    if recipe is None:
        sys.exit("\n".join(map(str, diagnostics)))
    train(network, recipe, folder, resume=folder.exists())
    log = (folder / "train.log").read_text(encoding="utf-8")
    return float(re.findall(r"^ *([\d.]+) s  step ", log, re.MULTILINE)[-1])


def measured(folder: Path) -> tuple[list[int], list[float], list[float]]:
    """Steps, and the errors on training and on test examples, of a run."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    return steps, *([float(row[f"{which}_error"]) for row in rows] for which in ("training", "test"))


# ------------------------------------------------------------------------------ table


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, in per cent."""
    shown = f"{100 * mean(values):.1f} %"
    return f"{shown} ± {100 * stdev(values):.1f}" if len(values) > 1 and stdev(values) else shown


def row(curves: Curves, seconds: float | None = None) -> str:
    """A network's line of the table, with the mean time of its runs where that is known."""
    errors = [spread([seed[-1] for seed in errors]) for errors in (curves.training, curves.test)]
    cells = [f"`{curves.file}`", POSITIONS[curves.positions], str(len(curves.test)), *errors]
    return f"| {' | '.join(cells if seconds is None else [*cells, f'{seconds:.0f} s'])} |"


HEAD = """\
| network | positions | seeds | training error | test error | time of a run |
| --- | --- | --- | --- | --- | --- |"""


# ------------------------------------------------------------------------------ errors over the steps


def written(found: Sequence[Curves]) -> str:
    """All errors as CSV: a row for each step, a column for each run and set of examples."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    columns = {
        f"{curves.file} {curves.positions} {seed} {which}": errors
        for curves in found
        for seed, both in enumerate(zip(curves.training, curves.test, strict=True))
        for which, errors in zip(("training", "test"), both, strict=True)
    }
    writer.writerow(["step", *columns])
    writer.writerows(zip(found[0].steps, *(map("{:g}".format, c) for c in columns.values()), strict=True))
    return made.getvalue()


def read(place: Path = KEPT) -> list[Curves]:
    """What `written` wrote."""
    with place.open(encoding="utf-8", newline="") as text:
        heads, *rows = csv.reader(text)
    steps = [int(row[0]) for row in rows]
    found: dict[tuple[str, str], Curves] = {}
    for number, head in enumerate(heads[1:], 1):
        file, positions, _, which = head.split()
        curves = found.setdefault((file, positions), Curves(file, positions, steps, [], []))
        (curves.training if which == "training" else curves.test).append([float(row[number]) for row in rows])
    return list(found.values())


# ------------------------------------------------------------------------------ picture

WIDE, HIGH = 270.0, 170.0
"""Pixels of a plot."""
LEFT, ABOVE, BETWEEN, BELOW = 38.0, 40.0, 46.0, 40.0

STYLE = """
.grid { stroke: $faint; stroke-width: .6 } .axis { stroke: $edge; stroke-width: 1; fill: none }
.mark { fill: $quiet } .curve { fill: none; stroke-width: 1.6; stroke-linejoin: round }
.training { stroke: $blue } .test { stroke: $orange; stroke-dasharray: 5 2.5 }
.band { stroke: none; fill-opacity: .25 } .of-training { fill: $blue } .of-test { fill: $orange }
.training-words { fill: $blue } .test-words { fill: $orange } .head { font-weight: 600 }
"""


def drawn(found: Sequence[Curves]) -> str:
    """The errors over the steps: means as lines, from the least to the largest of all seeds as bands."""
    columns = [file for file in NETWORKS if any(curves.file == file for curves in found)]
    rows = [key for key in POSITIONS if any(curves.positions == key for curves in found)]
    across, down = LEFT + WIDE + BETWEEN, ABOVE + HIGH + BELOW
    high = 2 * MARGIN + 10 + len(rows) * down
    about = "Errors of a convolutional and a fully connected network on MNIST-1D over the steps of training"
    picture = canvas(2 * MARGIN + len(columns) * across - BETWEEN + 12, high, about, STYLE)
    picture.append(title("Figure 10.8: errors on MNIST-1D"))
    for curves in found:
        x = MARGIN + LEFT + columns.index(curves.file) * across
        y = MARGIN + 10 + ABOVE + rows.index(curves.positions) * down
        _plot(picture, curves, x, y)
    said = "Lines: means over the seeds. Bands: from the least to the largest."
    picture.append(words(said, MARGIN, high - MARGIN + 2, "note"))
    return finished(picture)


def _plot(picture: drawsvg.Drawing, curves: Curves, left: float, top: float) -> None:
    end = curves.steps[-1]

    def place(step: int, error: float) -> str:
        return f"{rounded(left + WIDE * step / end)},{rounded(top + HIGH * (1 - error))}"

    def line(kind: str, *corners: str) -> None:
        picture.append(drawsvg.Raw(f'<polyline class="{kind}" points="{" ".join(corners)}"/>'))

    parameters = archdsl.load(curves.file).report().to_dict()["totals"]["parameters"]
    head = f"{NETWORKS[curves.file]}, {parameters:,} parameters"
    picture.append(words(head, left, top - 22, "start head"))
    note = f"{POSITIONS[curves.positions]}, {plural(len(curves.test), 'seed')}"
    picture.append(words(note, left, top - 9, "note"))
    for percent in range(0, 101, 20):
        line("grid", place(0, percent / 100), place(end, percent / 100))
        picture.append(words(f"{percent} %", left - 5, top + HIGH * (1 - percent / 100) + 3.5, "end mark"))
    for step in (0, end // 2, end):
        anchor = "end mark" if step == end else "middle mark"
        picture.append(words(f"{step:,}", left + WIDE * step / end, top + HIGH + 14, anchor))
    picture.append(words("steps", left + WIDE / 4, top + HIGH + 14, "middle mark"))
    for which, seeds in (("training", curves.training), ("test", curves.test)):
        at = list(zip(*seeds, strict=True))
        if len(seeds) > 1:
            highest = [place(step, max(errors)) for step, errors in zip(curves.steps, at, strict=True)]
            lowest = [place(step, min(errors)) for step, errors in zip(curves.steps, at, strict=True)]
            line(f"band of-{which}", *highest, *reversed(lowest))
        line(f"curve {which}", *(place(s, mean(errors)) for s, errors in zip(curves.steps, at, strict=True)))
        last = mean(at[-1])
        # Below its line, where there is room: the test error's words are above the other.
        below = which == "training" and last > 0.15
        edge = min(at[-1]) if below else max(at[-1])
        y = top + HIGH * (1 - edge) + (13 if below else -5)
        picture.append(words(f"{which} {100 * last:.1f} %", left + WIDE - 3, y, f"end {which}-words"))
    line("axis", place(0, 1), place(0, 0), place(end, 0))


# ------------------------------------------------------------------------------ command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="figure_10_8_"))
    print(HEAD, flush=True)
    found = []
    for positions in POSITIONS:
        for file in NETWORKS:
            name = f"{Path(file).stem}{'-permuted' if positions == 'permuted' else ''}"
            folders = [out / f"{name}-{seed}" for seed in range(options.seeds)]
            times = [trained(file, positions, n, options.steps, folder) for n, folder in enumerate(folders)]
            runs = [measured(folder) for folder in folders]
            curves = Curves(file, positions, runs[0][0], [run[1] for run in runs], [run[2] for run in runs])
            print(row(curves, mean(times)), flush=True)
            found.append(curves)
    (options.csv or out / KEPT.name).write_text(written(found), encoding="utf-8")
    (out / "figure-10-8.svg").write_text(drawn(found), encoding="utf-8")
    print(f"\nThe runs, their errors and the picture are in {out}.")


if __name__ == "__main__":
    main()
