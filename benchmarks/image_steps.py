"""What a training step costs beside a hand-written loop: `python benchmarks/image_steps.py`.

The claim: AlexNet and ResNet-18 train on synthetic pictures within 3 % of the best loop written by hand in
torch, or faster. The loops take turns, a few steps each: whenever ours asks for its next batches, each of the
hand-written ones takes steps of its own, so whatever else the machine does falls on all alike. They are
`train` itself, with its files, measurements and signals, and torch modules written out below with the same
optimizer, in the layouts and with the threads that one may choose; the best of them is the peer. The same
choices are tried for ours, and those that the program makes by itself must be the fastest, within 3 % too.

With `--compiled` there are peers that torch.compile made, as well. `--device cuda` does it on a GPU, with
VGG-16, ResNet-50 and MNIST-1D's network as well, and says which share of the device's rate of matrix
products, measured in the same run, the steps reach, and how long the device takes to start as many kernels
that do nothing. There every long run is compiled and recorded, so that is what is timed. A peer that lets the
library for convolutions search for its fastest way is shown, but is none: another run of it gives other
numbers, and ours may not. Beside a ratio of medians stand how many turns count, and the quartiles of the
ratios turn by turn: where these lie far apart, something else was going on. Ends with exit code 1 where a
claim does not hold.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

import archdsl
from archdsl.compiler import Network
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.choices import Choices, Effort, choose
from archdsl.training.examples import InMemory
from archdsl.training.loop import train

ALLOWED = 1.03
WARM = 3
"""Turns of which no time is taken."""
LEAST = 8
"""The fewest turns that count: a median of fewer, and quartiles more so, are noise."""
CLASSES = 1000

# ------------------------------------------------------------------------------ by hand


class AlexNet(nn.Module):
    """Krizhevsky, Sutskever and Hinton (2012), on one device, as `alexnet.arch` has it."""

    def __init__(self) -> None:
        super().__init__()

        def normalised(*convolution: int) -> list[nn.Module]:
            taken, made, kernel, stride, padding = convolution
            conv = nn.Conv2d(taken, made, kernel, stride, padding)
            return [conv, nn.ReLU(), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2), nn.MaxPool2d(3, 2)]

        self.features = nn.Sequential(
            *normalised(3, 96, 11, 4, 2),
            *normalised(96, 256, 5, 1, 2),
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.classifier = nn.Sequential(
            *(nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
            nn.Linear(4096, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x).flatten(1))
        return y


class Block(nn.Module):
    """A residual block: two 3 x 3 convolutions, or with `narrow` channels between a bottleneck."""

    def __init__(self, before: int, after: int, stride: int, narrow: int | None) -> None:
        super().__init__()
        if narrow is None:
            sizes = [(before, after, 3, stride), (after, after, 3, 1)]
        else:
            sizes = [(before, narrow, 1, stride), (narrow, narrow, 3, 1), (narrow, after, 1, 1)]
        layers: list[nn.Module] = []
        for taken, made, kernel, step in sizes:
            layers.append(nn.Conv2d(taken, made, kernel, step, kernel // 2, bias=False))
            layers += [nn.BatchNorm2d(made), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet(depths: tuple[int, ...], bottleneck: bool) -> nn.Module:
    """He et al. (2016), Table 1."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    before = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        after = 4 * width if bottleneck else width
        for number in range(depth):
            stride = 2 if stage and number == 0 else 1
            layers.append(Block(before, after, stride, width if bottleneck else None))
            before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, CLASSES))


def vgg16() -> nn.Module:
    """Simonyan and Zisserman (2015), Table 1, column D."""
    layers: list[nn.Module] = []
    before = 3
    for channels, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    for taken in (25088, 4096):
        layers += [nn.Linear(taken, 4096), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(4096, CLASSES))


def mnist1d() -> nn.Module:
    """Prince (2023), Figure 10.7."""
    layers: list[nn.Module] = []
    for taken in (1, 15, 15):
        layers += [nn.Conv1d(taken, 15, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(60, 10))


@dataclass(frozen=True)
class Case:
    """A network of ours and by hand, and the batches that they train on; of a small one a turn is longer."""

    file: str
    by_hand: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    classes: int = CLASSES
    turn: int = 1


def picture(extent: int) -> tuple[int, ...]:
    return (3, extent, extent)


def resnet18() -> nn.Module:
    return resnet((2, 2, 2, 2), False)


def resnet50() -> nn.Module:
    return resnet((3, 4, 6, 3), True)


ON_CPU = {
    "AlexNet": Case("alexnet.arch:AlexNet", AlexNet, picture(224), 16),
    "ResNet-18": Case("resnet.arch:ResNet18", resnet18, picture(64), 32),
}
ON_GPU = {
    "MNIST-1D": Case("mnist1d_conv.arch", mnist1d, (1, 40), 100, 10, 200),
    "AlexNet": Case("alexnet.arch:AlexNet", AlexNet, picture(224), 256, turn=10),
    "ResNet-18": Case("resnet.arch:ResNet18", resnet18, picture(224), 256, turn=10),
    "VGG-16": Case("vgg.arch:VGG16", vgg16, picture(224), 64, turn=10),
    "ResNet-50": Case("resnet.arch:ResNet50", resnet50, picture(224), 128, turn=10),
}

# ------------------------------------------------------------------------------ steps in turn


def hand_written(
    case: Case,
    device: torch.device,
    layout: str,
    precision: str,
    mode: str | None = None,
    search: bool = False,
) -> Callable[[], None]:
    """A step of the loop as one who knows torch writes it; of a `mode` of torch.compile if one is given.

    With `search` convolutions are done in whatever way was the fastest when tried.
    """
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    torch.manual_seed(0)
    model = case.by_hand().to(device, memory_format=form)
    run = torch.compile(model, mode=mode) if mode else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    x = torch.rand(case.batch, *case.shape).to(device, memory_format=form)
    y = torch.randint(case.classes, (case.batch,), device=device)
    dtype = getattr(torch, precision)

    def step() -> None:
        with torch.autocast(device.type, dtype=dtype, enabled=precision != "float32"):
            loss = F.cross_entropy(run(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def searching() -> None:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False):
            step()

    return searching if search else step


SEARCHED = "searched"


@dataclass(frozen=True)
class Spread:
    """The quartiles of a ratio, turn by turn, and of how many turns."""

    low: float
    high: float
    turns: int

    def __str__(self) -> str:
        return f"quartiles {self.low:.3f} to {self.high:.3f} of {self.turns} turns"


@dataclass(frozen=True)
class Claim:
    """What is claimed to be at most `ALLOWED`, and what it is."""

    what: str
    ratio: float
    spread: str

    @property
    def holds(self) -> bool:
        return self.ratio <= ALLOWED

    def __str__(self) -> str:
        held = "holds" if self.holds else "FAILS"
        return f"{held:<6} {self.what:<42} {self.ratio:6.3f} (limit {ALLOWED}; {self.spread})"


class Turns:
    """Times the steps of a run, so many a turn, and lets others take theirs between them."""

    def __init__(self, others: dict[str, Callable[[], None]], device: torch.device, turn: int) -> None:
        self.times: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
        self.said = ""
        """What the run's log says of how it took its steps."""
        self.kernels = 0
        """How many kernels the device runs in a step of ours."""
        self._others = others
        self._device = device
        self._turn = turn

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def between(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches of a run, each few given when the others have had their turn."""
        while some := list(islice(batches, self._turn)):
            for name, step in self._others.items():
                begun = self.now()
                for _ in range(self._turn):
                    step()
                self.times[name].append((self.now() - begun) / self._turn)
            begun = self.now()
            yield from some[:-1]
            yield some[-1]
            self.times["ours"].append((self.now() - begun) / len(some))
            # After a few turns nothing is new: then what a step starts is counted, outside of the times.
            if self._device.type == "cuda" and len(self.times["ours"]) == WARM:
                if (one := next(batches, None)) is not None:
                    yield from self._counted(one)

    def _counted(self, batch: Any) -> Iterator[Any]:
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            yield batch
            self.now()
        work = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
        self.kernels = len(work)

    def seconds(self, name: str) -> float:
        """The median of a loop's turns; the first warm up."""
        return median(self.times[name][WARM:])

    def spread(self, name: str) -> Spread:
        """How ours differs from a loop, turn by turn."""
        # The run asks for batches that it does not take: then the others have had a turn more.
        pairs = zip(self.times["ours"][WARM:], self.times[name][WARM:], strict=False)
        ratios = [ours / theirs for ours, theirs in pairs]
        low, _, high = quantiles(ratios, method="inclusive")
        return Spread(low, high, len(ratios))


def recipe_for(case: Case, network: Network, folder: str, steps: int, precision: str) -> Recipe:
    """A recipe on synthetic pictures, two batches of them, which stay in memory."""
    random = np.random.default_rng(0)
    x = random.random((2 * case.batch + 2, *case.shape), dtype=np.float32)
    y = random.integers(case.classes, size=len(x))
    y[-1] = case.classes - 1
    np.savez(f"{folder}/own.npz", x=x[2:], y=y[2:], test_x=x[:2], test_y=y[:2])
    settings = {
        "data": f'arrays("{folder}/own.npz")',
        "loss": "cross_entropy",
        "optimizer": "sgd(lr=0.01, momentum=0.9, weight_decay=5e-4)",
        "batch": str(case.batch),
        "steps": str(steps),
        "measurements": "1",
        "precision": precision,
        "metrics": "error",
    }
    recipe, found = read_recipe(None, network, settings, look=True)
    assert recipe is not None, [d.message for d in found]
    return recipe


def in_turns(
    network: Network,
    recipe: Recipe,
    device: torch.device,
    others: dict[str, Callable[[], None]],
    choices: Choices,
    turn: int,
) -> Turns:
    """Train a network of ours, with others' steps between."""
    turns = Turns(others, device, turn)
    with tempfile.TemporaryDirectory() as folder:
        whole = InMemory.batches
        InMemory.batches = lambda self, *given: turns.between(whole(self, *given))  # type: ignore[method-assign]
        try:
            train(network, recipe, Path(folder) / "run", str(device), choices=choices)
        finally:
            InMemory.batches = whole  # type: ignore[method-assign]
        log = (Path(folder) / "run" / "train.log").read_text()
        turns.said = next(line.strip() for line in log.splitlines() if "the step is" in line)
    return turns


def choices_there_are(own: Choices, device: torch.device, case: Case) -> list[Choices]:
    """The program's own, and those that it could have made."""
    other = "contiguous" if own.layout == "channels_last" else "channels_last"
    pictures = len(case.shape) == 3
    if device.type == "cuda":
        efforts: tuple[Effort, ...] = ("compiled", "recorded", "nothing")
        found = [replace(own, effort=effort) for effort in efforts]
        return [*found, replace(own, layout=other, effort="recorded")] if pictures else found
    found = [own, replace(own, layout=other)] if pictures else [own]
    if own.threads > 1:
        found.append(replace(own, threads=1))
    return found


def peers_of(
    case: Case, device: torch.device, precision: str, compiled: bool
) -> dict[str, Callable[[], None]]:
    """The loops by hand, by what they are."""
    layouts = ("contiguous", "channels_last") if len(case.shape) == 3 else ("contiguous",)
    found = {layout: hand_written(case, device, layout, precision) for layout in layouts}
    if compiled:
        best = layouts[-1] if device.type == "cuda" and precision != "float32" else layouts[0]
        found[f"{best}, compiled"] = hand_written(case, device, best, precision, "default")
        if device.type == "cuda":
            found[f"{best}, compiled, with graphs"] = hand_written(
                case, device, best, precision, "reduce-overhead"
            )
            found[f"{best}, compiled, {SEARCHED}"] = hand_written(
                case, device, best, precision, "default", True
            )
    return {f"by hand, {what}": step for what, step in found.items()}


def compared(
    name: str, case: Case, device: torch.device, turns: int, precision: str, rate: float, compiled: bool
) -> list[Claim]:
    """Print what steps take, and give each claim with its ratio."""
    given = {} if len(case.shape) == 2 else {"image": case.shape}
    net = archdsl.load(case.file, inputs=given)
    macs = 3 * net.report().to_dict()["totals"]["macs"] * case.batch
    others = peers_of(case, device, precision, compiled)
    ratios: dict[Choices, float] = {}
    spreads: dict[Choices, Spread] = {}
    reference = 1.0
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_for(case, net.network, folder, turns * case.turn, precision)
        there_are = choices_there_are(choose(net.network, recipe, device), device, case)
        own = there_are[0]
        for made in there_are:
            took = in_turns(net.network, recipe, device, others, made, case.turn)
            alike = [other for other in others if SEARCHED not in other]
            peer = min(alike, key=took.seconds)
            seconds, best = took.seconds("ours"), took.seconds(peer)
            spreads[made] = took.spread(peer)
            # With fewer threads the others had fewer, too: then seconds are compared as they are.
            reference = best if made.threads == own.threads else reference
            ratios[made] = seconds / reference
            what = f"{made.layout}, {made.threads} threads" if device.type == "cpu" else made.layout
            print(
                f"{name}, ours, {what}, {made.effort}: {1e6 * seconds:,.0f} µs; ours / best by hand "
                f"{seconds / best:.3f}, {spreads[made]} ({took.said})",
                flush=True,
            )
            if made == own:
                for other in others:
                    print(f"{name}, {other}: {1e6 * took.seconds(other):,.0f} µs")
                share = macs / seconds / rate
                print(
                    f"{name}: {case.batch / seconds:,.0f} examples a second, {share:.0%} of matrix products"
                )
                # What is not the fastest is no peer any more.
                others = {peer: others[peer]}
            if device.type == "cuda":
                print(f"{name}: {took.kernels} kernels, {1e6 * of_nothing(took.kernels):,.0f} µs if empty")
    fastest = min(ratios, key=ratios.__getitem__)
    beside = "the same" if fastest == own else f"ours over best by hand: {spreads[own]}; {spreads[fastest]}"
    return [
        Claim(f"{name}, ours / best by hand", ratios[own], str(spreads[own])),
        Claim(f"{name}, own choice / fastest choice", ratios[own] / ratios[fastest], beside),
    ]


def of_nothing(kernels: int) -> float:
    """Seconds that a GPU takes for the recording of so many kernels that do nothing."""
    graph, clock = torch.cuda.CUDAGraph(), Turns({}, torch.device("cuda"), 1)
    torch.cuda._sleep(0)
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            torch.cuda._sleep(0)
    taken = []
    for _ in range(5):
        begun = clock.now()
        for _ in range(100):
            graph.replay()
        taken.append((clock.now() - begun) / 100)
    return median(taken)


def matrix_rate(device: torch.device, precision: str) -> float:
    """Multiply-accumulates a second of the device's matrix products, the fastest of a few large ones."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.rand(size, size, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    clock = Turns({}, device, 1)
    fastest = float("inf")
    for _ in range(5):
        begun = clock.now()
        torch.mm(a, b)
        fastest = min(fastest, clock.now() - begun)
    return size**3 / fastest


def main() -> int:
    parser = argparse.ArgumentParser(description="What a training step costs beside a hand-written loop.")
    parser.add_argument("--device", default="cpu", help="as torch names it [cpu]")
    parser.add_argument("--turns", type=int, default=15, help="turns of each loop [15]")
    parser.add_argument("--precision", default="float32", help="float32, bfloat16 or float16 [float32]")
    parser.add_argument("--compiled", action="store_true", help="peers that torch.compile compiled, too")
    parser.add_argument("--only", action="append", help="one of the networks; may be repeated")
    options = parser.parse_args()
    if options.turns < (least := WARM + LEAST):
        parser.error(
            f"--turns is {least} at least, not {options.turns}: the first {WARM} warm up, and a median of "
            f"fewer than {LEAST} is noise"
        )
    device = torch.device(options.device)
    cases = ON_GPU if device.type == "cuda" else ON_CPU
    if unknown := [name for name in options.only or () if name not in cases]:
        parser.error(f"--only is {', '.join(cases)} on this device, not {unknown[0]}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, {options.precision}")
    rate = matrix_rate(device, options.precision)
    print(f"matrix products: {rate / 1e12:.3f} T multiply-accumulates a second")
    claims: list[Claim] = []
    for network, case in cases.items():
        if not options.only or network in options.only:
            claims += compared(
                network, case, device, options.turns, options.precision, rate, options.compiled
            )
    print()
    for claim in claims:
        print(claim)
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
