"""What analysing costs, against torch and torchinfo in the same run: `python benchmarks/analyze.py`.

Four claims, each measured in rounds that take turns, and compared by the fastest round of each (what
else runs on a machine only ever adds to a time, and to the shorter ones by more):

- a whole process of `archdsl analyze alexnet.arch` takes under a quarter of `python -c "import torch"`;
- every bundled network, in one process, is analysed in less time than three of those imports take;
- in a running process ResNet-152 goes from text to report at least 15 times, and from its syntax tree at
  least 50 times, as fast as it is built in torch and summarised by torchinfo;
- 10,000 layers, in a chain and with residuals, go from text to report in under a second, and up to
  100,000 the time of a layer stays the same (at most 1.5 times that of 10,000).

Ends with exit code 1 where one does not hold. `--quick` does fewer rounds; `--only NAME` one claim.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from archdsl.compiler import Program
from archdsl.net import check_network, program_of
from archdsl.project import bundled, bundled_networks, imports_of
from archdsl.source import Source

Claim = tuple[str, float, str, float, bool]
"""What is measured, the figure, its unit, the limit, and whether the claim holds."""


def rounds(count: int, *tasks: Callable[[], object]) -> list[float]:
    """The seconds of each task's fastest round, all in turn each round; the first round warms up."""
    times: list[list[float]] = [[] for _ in tasks]
    for number in range(count + 1):
        for task, found in zip(tasks, times, strict=True):
            gc.collect()
            begun = time.perf_counter()
            task()
            if number:
                found.append(time.perf_counter() - begun)
    return [min(found) for found in times]


# ------------------------------------------------------------------------------ a whole process


def process(*command: str) -> Callable[[], object]:
    """Run a command to its end, with Python's compiled files where it wants them."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run(command, env=environment, check=True, capture_output=True)


def start_up(count: int) -> list[Claim]:
    analyze = "from archdsl.cli.main import main; main()"
    ours, torchs = rounds(
        count,
        process(sys.executable, "-c", analyze, "analyze", "alexnet.arch"),
        process(sys.executable, "-c", "import torch"),
    )
    print(f"archdsl analyze alexnet.arch, whole process  {ours * 1000:9.0f} ms")
    print(f"python -c 'import torch', whole process      {torchs * 1000:9.0f} ms")
    return [("analyze / import torch, processes", ours / torchs, "", 0.25, ours / torchs < 0.25)]


ZOO = """
import archdsl
from archdsl.project import bundled_networks

for network, file in bundled_networks().items():
    archdsl.load(file, network=network).report().to_dict()
"""


def zoo(count: int) -> list[Claim]:
    ours, torchs = rounds(
        count, process(sys.executable, "-c", ZOO), process(sys.executable, "-c", "import torch")
    )
    print(f"all {len(bundled_networks()):3} bundled networks, whole process     {ours * 1000:9.0f} ms")
    print(f"python -c 'import torch', whole process      {torchs * 1000:9.0f} ms")
    return [("all networks / import torch, processes", ours / torchs, "", 3, ours / torchs < 3)]


# ------------------------------------------------------------------------------ ResNet-152


def resnet152() -> Any:
    """ResNet-152 by hand in torch, as He et al. (2016) draw it: stride in the first 1 x 1 convolution."""
    from torch import nn

    class Bottleneck(nn.Module):
        def __init__(self, before: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, width, 1, stride=stride, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * width)
            self.relu = nn.ReLU()
            self.shortcut = nn.Sequential()
            if stride != 1 or before != 4 * width:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(before, 4 * width, 1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
                )

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            return self.relu(self.bn3(self.conv3(y)) + self.shortcut(x))

    layers: list[Any] = [nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    before = 64
    for width, depth, stride in ((64, 3, 1), (128, 8, 2), (256, 36, 2), (512, 3, 2)):
        for number in range(depth):
            layers.append(Bottleneck(before, width, stride if number == 0 else 1))
            before = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def in_process(count: int) -> list[Claim]:
    from torchinfo import summary

    source = bundled("resnet.arch")
    assert source is not None
    tree = program_of(source).file

    def read() -> Program:
        return Program(source, tree, [], imports_of(source))

    def report(from_program: Any) -> Any:
        net = check_network(from_program, "ResNet152").net
        assert net is not None
        return net.report().to_dict()

    def peer() -> Any:
        return summary(resnet152(), input_size=(1, 3, 224, 224), verbose=0)

    assert report(read())["totals"]["parameters"] == peer().total_params
    # What is imported by now stays: the collection between the tasks need not walk through it.
    gc.collect()
    gc.freeze()
    # Many rounds, for a fast one is rare on a shared machine, and of short tasks most of all.
    text, from_tree, torchs = rounds(
        3 * count, lambda: report(program_of(source)), lambda: report(read()), peer
    )
    print(f"ResNet-152, text to report                   {text * 1000:9.1f} ms")
    print(f"ResNet-152, syntax tree to report            {from_tree * 1000:9.1f} ms")
    print(f"ResNet-152, built in torch, then torchinfo   {torchs * 1000:9.1f} ms")
    return [
        ("torchinfo / text to report", torchs / text, "times", 15, torchs / text >= 15),
        ("torchinfo / tree to report", torchs / from_tree, "times", 50, torchs / from_tree >= 50),
    ]


# ------------------------------------------------------------------------------ many layers

CHAIN = """
network Chain {{
  input signal: [8, 64]
  repeat {rounds} {{ conv(8, kernel=3, padding=1) -> relu }}
}}
"""

RESIDUAL = """
network Residual {{
  input signal: [8, 64]
  repeat {rounds} {{
    parallel add {{
      {{ conv(8, kernel=3, padding=1, bias=false) -> batch_norm }}
      {{}}
    }}
    relu
  }}
}}
"""


def many_layers(count: int) -> list[Claim]:
    claims: list[Claim] = []
    for name, text, of_a_round in (("chain", CHAIN, 2), ("residuals", RESIDUAL, 4)):
        seconds: dict[int, float] = {}
        for layers in (1_000, 10_000, 100_000):
            source = Source(f"{name}.arch", text.format(rounds=layers // of_a_round))

            def analyse(source: Source = source, layers: int = layers) -> None:
                net = check_network(program_of(source)).net
                assert net is not None
                assert len(net.report().to_dict()["layers"]) == layers

            (seconds[layers],) = rounds(max(1, count // 3) if layers == 100_000 else count, analyse)
            each = seconds[layers] / layers * 1e6
            what = f"{name}, {layers:,} layers, text to report"
            print(f"{what:<44} {seconds[layers] * 1000:9.0f} ms  {each:6.1f} us a layer")
        growth = seconds[100_000] / seconds[10_000] / 10
        claims.append((f"{name}, 10,000 layers", seconds[10_000], "s", 1.0, seconds[10_000] < 1.0))
        claims.append((f"{name}, a layer of 100,000 / of 10,000", growth, "times", 1.5, growth <= 1.5))
    return claims


MEASURES: dict[str, Callable[[int], list[Claim]]] = {
    "start-up": start_up,
    "zoo": zoo,
    "resnet152": in_process,
    "layers": many_layers,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="What analysing costs, against torch and torchinfo.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", choices=sorted(MEASURES), help="one of the claims")
    options = parser.parse_args()
    claims: list[Claim] = []
    for name, measure in MEASURES.items():
        if options.only in (None, name):
            claims += measure(3 if options.quick else 15)
    print()
    for what, figure, unit, limit, holds in claims:
        print(f"{'holds' if holds else 'FAILS':<6} {what:<40} {figure:8.2f} {unit:<6} (limit {limit:g})")
    return 0 if all(holds for *_, holds in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
