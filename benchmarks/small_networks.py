"""What the small bundled networks learn of real data: `python benchmarks/small_networks.py [NETWORK...]`.

Trains every bundled network whose `train` block names data that packages carry, as its file says, and prints
a Markdown table of the errors and times. `mnist1d_conv.arch` and `mnist1d_fc.arch` have a script of their own
(`figure_10_8.py`). `--seed` is that of the runs, `--out` where they go.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import archdsl
from archdsl.project import bundled_networks
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train

CARRIED = ("digits", "mnist", "time_series")
"""The words of data that packages carry, but for MNIST-1D."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="small_networks_"))
    print("| network | data | steps | training error | test error | seconds |\n|---|---|---|---|---|---|")
    for name in options.networks or bundled_networks():
        network = archdsl.load(name).network
        if network.train is None:
            continue
        recipe, diagnostics = read_recipe(network.train, network, {"seed": str(options.seed)}, look=True)
        if recipe is None or recipe.data.word not in CARRIED:
            if options.networks:
                sys.exit("\n".join(map(str, diagnostics)) or f"{name} is not trained on data of a package")
            continue
        done = train(network, recipe, folder / name)
        errors = f"{done.measured.training[0]:.1%} | {done.measured.test[0]:.1%}"
        print(f"| `{name}` | {recipe.data} | {done.steps:,} | {errors} | {done.seconds:.0f} |", flush=True)
    print(f"\nThe runs are in {folder}.")


if __name__ == "__main__":
    main()
