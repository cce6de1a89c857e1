"""Figure 10.8 of Prince's "Understanding Deep Learning": `python benchmarks/figure_10_8.py`.

Trains `mnist1d_conv.arch` and `mnist1d_fc.arch` as their files say, 100,000 steps each, once for each seed,
and prints a Markdown table of the errors and times. `--seeds` says how many, `--out` where the runs go.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import Result, train

NETWORKS = ("mnist1d_conv.arch", "mnist1d_fc.arch")


def trained(file: str, seed: int, folder: Path) -> Result:
    """One run of a network's own recipe; only the seed is set."""
    network = archdsl.load(file).network
    recipe, diagnostics = read_recipe(network.train, network, {"seed": str(seed)})
    if recipe is None:
        sys.exit("\n".join(str(d) for d in diagnostics))
    return train(network, recipe, folder)


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, in per cent."""
    return f"{mean(values):.1%} ± {stdev(values):.1%}" if len(values) > 1 else f"{values[0]:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="figure_10_8_"))
    print("| network | training error | test error | time of a run |\n|---|---|---|---|")
    for file in NETWORKS:
        runs = [trained(file, seed, folder / f"{Path(file).stem}-{seed}") for seed in range(options.seeds)]
        training = spread([run.measured.training[0] for run in runs])
        test = spread([run.measured.test[0] for run in runs])
        print(f"| `{file}` | {training} | {test} | {mean(r.seconds for r in runs):.0f} s |", flush=True)
    print(f"\nThe runs are in {folder}.")


if __name__ == "__main__":
    main()
