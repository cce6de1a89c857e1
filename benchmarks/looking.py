"""What trained networks show when one looks inside: `python benchmarks/looking.py [--runs FOLDER]`.

Trains LeNet-5, a small network with max pooling and the convolutional network for MNIST-1D, each twice with
other seeds (a run that is in the folder already is taken as it is), writes the pictures of `docs/looking.md`
and prints its tables: what stimuli reach against the best test example, what inversions
keep, and what the other run of the same network takes both for, each beside the network before training.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from torch import Tensor

import archdsl
from archdsl.looking import showing
from archdsl.looking.deconvolution import projections
from archdsl.looking.inversion import inversions, layers_of
from archdsl.looking.stimulus import stimuli
from archdsl.looking.subject import Subject, of_run
from archdsl.looking.units import Unit, layer_of, units_of
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train

PICTURES = Path(__file__).parent.parent / "docs" / "looking"

POOLED = """
network Pooled {
  input image: [1, 28, 28]

  conv1: conv(8, kernel=5) -> relu
  pool1: max_pool(2)
  conv2: conv(16, kernel=5) -> relu
  pool2: max_pool(2)
  flatten
  logits: linear(10)
}

train {
  data         = mnist
  loss         = cross_entropy
  optimizer    = adam(lr=0.003)
  schedule     = cosine
  batch        = 50
  steps        = 800
  measurements = 2
}
"""

RUNS = {
    "lenet5": ("LeNet5Modern", {}),
    "lenet5-1": ("LeNet5Modern", {"seed": "1"}),
    "conv1d": ("MNIST1DConv", {"steps": "20_000", "measurements": "5"}),
    "conv1d-1": ("MNIST1DConv", {"steps": "20_000", "measurements": "5", "seed": "1"}),
    "pooled": (None, {}),
    "pooled-1": (None, {"seed": "1"}),
}

EXAMPLES = (0, 1, 2, 3, 4)
"""The test examples whose inversions are measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, default=None)
    folder = parser.parse_args().runs or Path(tempfile.mkdtemp(prefix="looking_"))
    runs = {name: trained(folder / name, *how) for name, how in RUNS.items()}

    lenet, other = runs["lenet5"], runs["lenet5-1"]
    named = units(lenet, "logits", *(f"c3:{k}" for k in range(8)), *(f"c5:{k}" for k in range(8)))
    reached = stimuli(lenet, named)
    shown = {state: [*some[10:14], *some[18:22], *some[:8]] for state, some in reached.items()}
    write("stimuli", showing.of_stimuli(lenet, shown).drawn())
    pooled = runs["pooled"]
    digits = stimuli(pooled, units(pooled, "logits"))
    write("digits", showing.of_stimuli(pooled, {k: some[:8] for k, some in digits.items()}).drawn())
    signals = runs["conv1d"]
    answers = stimuli(signals, units(signals, "logits", *(f"conv3:{k}" for k in range(6))))
    write("signals", showing.of_stimuli(signals, {k: some[:8] for k, some in answers.items()}).drawn())

    print("| network | units | weights | stimulus | best example | taken for its class |")
    print("| --- | --- | --- | --- | --- | --- |")
    for subject, second, found in (
        (lenet, other, reached),
        (pooled, runs["pooled-1"], digits),
        (signals, runs["conv1d-1"], answers),
    ):
        for state, some in found.items():
            for wire in dict.fromkeys(one.unit.wire for one in some):
                own = [one for one in some if one.unit.wire == wire]
                figures = [
                    f"{mean(one.deviations(one.excitation) for one in own):+.1f} σ",
                    f"{mean(one.deviations(one.best.excitation) for one in own):+.1f} σ",
                    "",
                ]
                if wire in subject.network.outputs:
                    figures[2] = agreed(second, [one.input for one in own], [one.unit.channel for one in own])
                name = str(own[0].unit).partition(":")[0]
                row = (f"`{subject.network.name}`", f"{len(own)} of {name}", state, *figures)
                print(f"| {' | '.join(row)} |", flush=True)

    chosen = units(pooled, *(f"conv1:{k}" for k in range(2)), *(f"conv2:{k}" for k in range(4)))
    write("deconvolution", showing.of_projections(pooled, chosen, projections(pooled, chosen)).drawn())

    given = lenet.given(example=2)
    write(
        "inversion",
        showing.of_inversions(lenet, given, inversions(lenet, layers_of(lenet.network), given)).drawn(),
    )
    print("\n| network | layer | weights | layer off | picture off | taken for the same |")
    print("| --- | --- | --- | --- | --- | --- |")
    for subject, second, layers in (
        (lenet, other, ("c1", "c3", "c5", "logits")),
        (pooled, runs["pooled-1"], ("conv1", "conv2", "pool2", "logits")),
        (signals, runs["conv1d-1"], ("conv1", "conv2", "conv3", "logits")),
    ):
        wires = [layer_of(subject.network, layer) for layer in layers]
        some = [subject.given(example=number) for number in EXAMPLES]
        every = [inversions(subject, wires, one) for one in some]
        # What the other run makes of the examples themselves, right or wrong.
        meant = [said and said[0] for said in (second.says(one.input, "trained") for one in some)]
        for state in subject.states:
            for k, layer in enumerate(layers):
                own = [found[state][k] for found in every]
                figures = [
                    f"{mean(one.error for one in own):.1%}",
                    f"{mean(one.apart for one in own):.0%}",
                    agreed(second, [one.input for one in own], meant),
                ]
                row = (f"`{subject.network.name}`", layer, state, *figures)
                print(f"| {' | '.join(row)} |", flush=True)


def trained(folder: Path, name: str | None, settings: dict[str, str]) -> Subject:
    """A run, which is trained where it is not there yet."""
    if not folder.exists():
        network = (archdsl.loads(POOLED) if name is None else archdsl.load(name)).network
        assert network.train is not None
        recipe, diagnostics = read_recipe(network.train, network, settings, look=True)
        assert recipe is not None, diagnostics
        train(network, recipe, folder)
    return of_run(folder)


def units(subject: Subject, *names: str) -> list[Unit]:
    return [unit for name in names for unit in units_of(subject.network, name)]


def agreed(other: Subject, inputs: Sequence[Tensor], classes: Sequence[int | None]) -> str:
    """How many inputs the other run takes for their class."""
    said = [other.says(x.unsqueeze(0), "trained") for x in inputs]
    right = sum(one is not None and one[0] == meant for one, meant in zip(said, classes, strict=True))
    return f"{right} of {len(inputs)}"


def write(name: str, svg: str) -> None:
    (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
