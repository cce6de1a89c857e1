"""`archdsl train`: a network trained as its `train` block says."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import hush, message, result, show
from archdsl.cli.settings import network_options, python_option, recipe_settings
from archdsl.cli.targets import STANDARD_INPUT, File, Target
from archdsl.training.place import LAUNCHED, Place, place

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from archdsl.compiler import Network
    from archdsl.diagnostics import Diagnostic
    from archdsl.recipes.recipe import Recipe
    from archdsl.training.run import Measurement

INTERRUPTED = 130
FIRST_SPEAKS = 5.0
"""Seconds that the other processes leave the first one to say what is wrong with a file."""


@click.command(short_help="Train a network as its file says.")
@click.argument("file", type=File(), metavar="FILE[:NETWORK]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run's folder [runs/NAME-1, or the next free].",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, or with the newest.")
@click.option("--explain", is_flag=True, help="Say in words what the recipe does, and train nothing.")
@python_option
@click.option("--tensorboard", is_flag=True, help="Write what is measured for TensorBoard, too.")
@click.option("--device", default="cpu", help="Where to train, as torch names it: cpu, cuda, cuda:1 [cpu].")
@click.option(
    "--devices",
    type=click.IntRange(1),
    metavar="N",
    help="Train on N devices of this machine, a process each.",
)
@click.option("--shard", is_flag=True, help="Split weights and optimizer state over the devices, too.")
@network_options
def train(
    file: Target,
    out: Path | None,
    resume: bool,
    explain: bool,
    allow_python: bool,
    tensorboard: bool,
    device: str,
    devices: int | None,
    shard: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Train a network as its train block says; --set train.steps=1000 replaces a key of it."""
    here = place()
    # Whoever started the processes has said what is to say of the file; else the first of them does.
    hush(LAUNCHED in os.environ or (here is not None and here.rank > 0))
    from archdsl.recipes.reader import read_recipe
    from archdsl.report.diagnostics import summary
    from archdsl.teaching.allowing import divided

    try:
        net = compiled(file, settings, sizes, inputs, allow_python)
    except click.exceptions.Exit:
        _after_the_first(here)
        raise

    def reading(look: bool) -> tuple[Recipe | None, list[Diagnostic]]:
        keys = recipe_settings(settings)
        block, names = net.network.train, net.program.names()
        return read_recipe(block, net.network, keys, names, look=look, allow_python=allow_python)

    recipe, diagnostics = reading(look=True)
    if explain and [d.name for d in diagnostics if d.severity == "error"] == ["no-data"]:
        # What follows from the data is left unsaid.
        recipe, diagnostics = reading(look=False)
    show(divided(diagnostics)[0])
    if recipe is None:
        message(f"{summary(diagnostics)} in {file.source.name}")
        _after_the_first(here)
        return WRONG
    if shard and here is None and (devices or 1) == 1:
        raise click.UsageError("--shard splits over several devices: --devices N")
    if explain:
        from archdsl.recipes.explaining import duration, explained

        result(explained(net.network, recipe))
        if recipe.described is None:
            return 0
        from archdsl.training.estimate import seconds_a_step
        from archdsl.training.loop import device_of
        from archdsl.training.run import TrainingError

        try:
            seconds = seconds_a_step(net.network, recipe, device_of(device), recipe.described.target)
        except (TrainingError, RuntimeError) as error:
            message(f"error: {str(error).splitlines()[0]}")
            return WRONG
        whole = seconds * recipe.all_steps(recipe.described.examples)
        takes = f"{duration(whole)} on {device}, by steps of {duration(seconds)} timed now"
        result(f"\n  time            {takes}; measuring comes on top")
        return 0

    from archdsl.training.run import TrainingError

    if devices is not None and devices > 1 and place() is None:
        from archdsl.training.launching import launch

        if file.source.name == STANDARD_INPUT:
            raise click.UsageError("--devices starts others, who can't read the same standard input")
        try:
            return launch(_without(sys.argv[1:], "--devices"), devices, device)
        except TrainingError as error:
            message(f"error: {error}")
            return WRONG
    words = _Words(file, settings, sizes, inputs, allow_python, tensorboard, shard)
    return _train(words, net.network, recipe, out, resume, device)


def _after_the_first(here: Place | None) -> None:
    """Wait, unless this is the first process: a launcher ends all others with the one that ends first, and
    that shall be the one that says why."""
    if here is not None and here.rank > 0:
        time.sleep(FIRST_SPEAKS)


@dataclass(frozen=True, slots=True)
class _Words:
    """What the command line says of a training that a resumed one must say again."""

    file: Target
    settings: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[str, int], ...]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    allow_python: bool
    tensorboard: bool
    shard: bool

    def resume(self, folder: Path, processes: int) -> str:
        """The command that goes on with a run."""
        file = self.file
        name = file.source.name if file.source.name != STANDARD_INPUT else str(folder / "network.arch")
        words = ["archdsl", "train", f"{name}:{file.network}" if file.network else name]
        for option, given in (("--set", self.settings), ("--size", self.sizes)):
            words += [word for key, value in given for word in (option, f"{key}={value}")]
        shapes = [(key, ",".join(map(str, shape))) for key, shape in self.inputs]
        words += [word for key, shape in shapes for word in ("--input", f"{key}={shape}")]
        words += ["--allow-python"] * self.allow_python
        words += ["--tensorboard"] * self.tensorboard + ["--shard"] * self.shard
        words += ["--devices", str(processes)] if LAUNCHED in os.environ else []
        return shlex.join([*words, "--resume", "--out", str(folder)])


def _train(
    words: _Words, network: Network, recipe: Recipe, out: Path | None, resume: bool, device: str
) -> int:
    """Train, among the processes that were started with this one."""
    from archdsl.diagnostics import ArchError
    from archdsl.report.diagnostics import summary
    from archdsl.training import loop
    from archdsl.training.processes import Agreed, device_here, joined
    from archdsl.training.run import TrainingError, free_folder, last_folder, said

    try:
        device = device_here(device)
        with joined(loop.device_of(device)) as processes:
            hush(not processes.first)
            name = network.name
            folder = processes.by_the_first(
                lambda: out or (last_folder(name) if resume else free_folder(name))
            )
            with _progress(recipe) if processes.first else nullcontext() as progress:
                run = loop.train(
                    network,
                    recipe,
                    folder,
                    device,
                    progress,
                    resume=resume,
                    tensorboard=words.tensorboard,
                    processes=processes,
                    sharded=words.shard,
                )
            wide = max(len(name) for name, _ in said(recipe, run.measured))
            for name, text in said(recipe, run.measured):
                result(f"{name:<{wide}}  {text:>7}")
            message(f"{_took(run.taken, run.seconds)}; the run is in {run.folder}")
            if run.interrupted:
                message("interrupted: what was trained until then is saved. To go on:")
                message(f"  {words.resume(run.folder, processes.count)}")
                return INTERRUPTED
            return 0
    except Agreed:
        return WRONG
    except ArchError as error:
        show(error.diagnostics)
        message(f"{summary(error.diagnostics)} in {words.file.source.name}")
        return WRONG
    except click.exceptions.Exit:
        # Which is a RuntimeError: nobody reads any more.
        raise
    except (TrainingError, RuntimeError) as error:
        # What went wrong in one of several processes is said by it.
        hush(False)
        here = place()
        of = "" if here is None or here.rank == 0 else f" in process {here.rank + 1} of {here.count}"
        message(f"error{of}: {str(error).splitlines()[0]}")
        return WRONG


def _without(arguments: list[str], option: str) -> list[str]:
    """A command line without an option that takes a value."""
    kept: list[str] = []
    skipped = False
    for argument in arguments:
        if not skipped and argument != option and not argument.startswith(f"{option}="):
            kept.append(argument)
        skipped = argument == option and not skipped
    return kept


@contextmanager
def _progress(recipe: Recipe) -> Iterator[_Lines | _Bar]:
    """A bar on standard error where that is a terminal, else ten lines there."""
    if not sys.stderr.isatty():
        yield _Lines(recipe)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Bar(recipe, bar)


class _Bar:
    """A progress bar."""

    def __init__(self, recipe: Recipe, bar: Bar) -> None:
        self._recipe = recipe
        self._bar = bar
        self._task = bar.add_task("training", total=None)

    def __call__(self, step: int, steps: int, measured: Measurement) -> None:
        from archdsl.training.run import said

        name, text = said(self._recipe, measured)[0]
        self._bar.update(self._task, completed=step, total=steps, description=f"{name} {text}")

    def busy(self, what: str) -> None:
        self._bar.update(self._task, description=what)


class _Lines:
    """Every tenth of a run, a line."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._said = -1

    def __call__(self, step: int, steps: int, measured: Measurement) -> None:
        from archdsl.training.run import said

        if 10 * step // steps > self._said:
            self._said = 10 * step // steps
            name, text = said(self._recipe, measured)[0]
            message(f"step {step:,} of {steps:,}: {name} {text}")

    def busy(self, what: str) -> None:
        message(what)


def _took(steps: int, seconds: float) -> str:
    """`200 steps in 3.1 s (65 a second)`."""
    rate = steps / seconds if seconds else 0
    often = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{steps:,} steps in {seconds:,.1f} s ({often} a second)"
