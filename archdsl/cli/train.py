"""`archdsl train`: a network trained as its `train` block says."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import hush, message, result, show
from archdsl.cli.settings import network_options, parameters, python_option, recipe_settings, stated
from archdsl.cli.targets import STANDARD_INPUT, FileOrRun, Target
from archdsl.training.place import LAUNCHED, Place, place

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from archdsl.diagnostics import Diagnostic
    from archdsl.net import Net
    from archdsl.recipes.recipe import Recipe
    from archdsl.training.loop import Result
    from archdsl.training.processes import Processes
    from archdsl.training.run import Measurement

BY_A_SIGNAL = 128
"""What a signal's number is added to in the exit code of what it ended."""
FIRST_SPEAKS = 5.0
"""Seconds that the other processes leave the first one to say what is wrong with a file."""


@click.command(short_help="Train a network as its file says.")
@click.argument("file", type=FileOrRun(), metavar="FILE[:NETWORK]|RUN")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run's folder [runs/NAME-1, or the next free].",
)
@click.option("--resume", is_flag=True, help="Go on with RUN, or with that in --out, or with the newest.")
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
@network_options()
def train(
    file: Target | Path,
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
    """Train a network as its train block says; --set train.steps=1000 replaces a key of it.

    RUN is the folder of a run that stopped: with --resume it goes on, and FILE is not needed for that.
    """
    here = place()
    # Whoever started the processes has said what is to say of the file; else the first of them does.
    hush(LAUNCHED in os.environ or (here is not None and here.rank > 0))
    try:
        with _hearing_terminations():
            words = _Words(file, settings, sizes, inputs, allow_python, tensorboard, shard, device)
            if isinstance(file, Path):
                if parameters(settings) or sizes or inputs:
                    raise click.UsageError(
                        "a run has the network that it was begun with: set train.KEY alone"
                    )
                if explain or not resume:
                    raise click.UsageError(f"{file} is a run: --resume goes on with it")
                if out is not None and out != file:
                    raise click.UsageError(f"the run in {file} goes on there: leave out --out")
                out = file
            elif explain and (given := stated("out", "resume", "tensorboard", "devices", "shard")):
                raise click.UsageError(f"--explain trains nothing: leave out {given[0]}")
            read = _read(words, explain)
            if read is None:
                _after_the_first(here)
                return WRONG
            net, recipe, missing = read
            if shard and here is None and (devices or 1) == 1:
                raise click.UsageError("--shard splits over several devices: --devices N")
            if explain:
                return _explain(net, recipe, device, missing)
            if devices is not None and devices > 1 and here is None:
                return _launch(words, net, out, devices)
            return _train(words, net, recipe, out, resume)
    except click.exceptions.Exit:
        _after_the_first(here)
        raise
    except KeyboardInterrupt as stop:
        hush(here is not None and here.rank > 0)
        _below_what_was_typed()
        message("interrupted before the run " + ("went on" if resume else "began"))
        return _code(stop)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which is heard of as Ctrl-C is."""


@contextmanager
def _hearing_terminations() -> Iterator[None]:
    """While this is active SIGTERM raises `_Terminated`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may say what a signal does.
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _code(stop: KeyboardInterrupt) -> int:
    """The exit code of what was stopped so."""
    return BY_A_SIGNAL + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def _below_what_was_typed() -> None:
    """A terminal shows Ctrl-C as it is typed, where the next line would begin."""
    if sys.stderr.isatty():
        message("")


def _read(words: _Words, explain: bool) -> tuple[Net, Recipe, bool] | None:
    """The network and its recipe, and whether its data are missing, which an explanation can do without.

    None after saying what is wrong.
    """
    from archdsl.diagnostics import ArchError
    from archdsl.recipes.reader import read_recipe
    from archdsl.report.diagnostics import summary
    from archdsl.teaching.allowing import divided

    file, settings, allow_python = words.file, words.settings, words.allow_python
    if isinstance(file, Path):
        from archdsl.training.begun import goes_on
        from archdsl.training.folder import TrainingError

        try:
            return *goes_on(file, recipe_settings(settings), allow_python), False
        except ArchError as error:
            show(error.diagnostics)
            message(f"{summary(error.diagnostics)} in the run in {file}")
        except TrainingError as error:
            message(f"error: {error}")
        return None
    net = compiled(file, settings, words.sizes, words.inputs, allow_python)

    def reading(look: bool) -> tuple[Recipe | None, list[Diagnostic]]:
        keys = recipe_settings(settings)
        block, names = net.network.train, net.program.names()
        return read_recipe(block, net.network, keys, names, look=look, allow_python=allow_python)

    recipe, diagnostics = reading(look=True)
    show(divided(diagnostics)[0])
    missing = [d.name for d in diagnostics if d.severity == "error"] == ["no-data"]
    if explain and missing:
        # What follows from the data is left unsaid.
        recipe, _ = reading(look=False)
    if recipe is None:
        message(f"{summary(diagnostics)} in {file.source.name}")
        return None
    return net, recipe, missing


def _explain(net: Net, recipe: Recipe, device: str, missing: bool) -> int:
    """Say what a recipe does, as far as that is known where its data are `missing`."""
    from archdsl.diagnostics import ArchError
    from archdsl.recipes.explaining import duration, explained, takes_weights

    result(explained(net.network, recipe))
    if takes_weights(recipe):
        from archdsl.lowering.build import build
        from archdsl.training.initialisation import take_pretrained

        try:
            take_pretrained(build(net.network), net.network, recipe)
        except ArchError as error:
            message("")
            show(error.diagnostics)
            missing = True
    if missing or recipe.described is None:
        return WRONG if missing else 0
    from archdsl.training.estimate import Estimate
    from archdsl.training.folder import TrainingError
    from archdsl.training.loop import device_of

    try:
        timed = Estimate.of(net.network, recipe, device_of(device), recipe.described)
    except (TrainingError, RuntimeError) as error:
        message(f"error: {str(error).splitlines()[0]}")
        return WRONG
    parts = f"{duration(timed.steps)} of steps, {duration(timed.measuring)} of measuring"
    result(f"\n  time            {duration(timed.steps + timed.measuring)} on {device}: {parts}")
    result(f"                  by steps of {duration(timed.step)} timed now, not compiled")
    return 0


def _launch(words: _Words, net: Net, out: Path | None, devices: int) -> int:
    """Train in processes of their own, which say how it goes."""
    from archdsl.training.folder import TrainingError
    from archdsl.training.launching import launch
    from archdsl.training.processes import Parted
    from archdsl.training.run import last_folder

    if isinstance(words.file, Target) and words.file.source.name == STANDARD_INPUT:
        raise click.UsageError("--devices starts others, who can't read the same standard input")
    try:
        return launch(_without(sys.argv[1:], "--devices"), devices, words.device)
    except Parted as error:
        message(f"error: {error}")
        _say_how_to_go_on(words, out or last_folder(net.network.name), devices)
    except TrainingError as error:
        message(f"error: {error}")
    return WRONG


def _say_how_to_go_on(words: _Words, folder: Path, processes: int) -> None:
    """After a process was lost: up to where all is saved, and the command that goes on."""
    from archdsl.training.run import Checkpoint

    last = Checkpoint.newest(folder)
    if last is None:
        message("nothing was saved yet")
        return
    message(f"what was trained up to step {last.step:,} is saved. To go on:")
    message(f"  {words.resume(folder, processes)}")


def _after_the_first(here: Place | None) -> None:
    """Wait, unless this is the first process: a launcher ends all others with the one that ends first, and
    that shall be the one that says why."""
    if here is not None and here.rank > 0:
        time.sleep(FIRST_SPEAKS)


@dataclass(frozen=True, slots=True)
class _Words:
    """What the command line says of a training: of what, and by which means."""

    file: Target | Path
    settings: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[str, int], ...]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    allow_python: bool
    tensorboard: bool
    shard: bool
    device: str

    def resume(self, folder: Path, processes: int, setting: str | None = None) -> str:
        """The command that goes on with a run: its folder has the network and the recipe but a `setting`."""
        words = ["--allow-python"] * self.allow_python
        words += ["--tensorboard"] * self.tensorboard + ["--shard"] * self.shard
        words += ["--device", self.device] if self.device != "cpu" else []
        words += ["--devices", str(processes)] if LAUNCHED in os.environ else []
        words += [] if setting is None else ["--set", setting]
        return shlex.join(["archdsl", "train", str(folder), *words, "--resume"])


def _train(words: _Words, net: Net, recipe: Recipe, out: Path | None, resume: bool) -> int:
    """Train, among the processes that were started with this one."""
    from archdsl.diagnostics import ArchError
    from archdsl.report.diagnostics import summary
    from archdsl.training.folder import TrainingError
    from archdsl.training.loop import device_of
    from archdsl.training.processes import Agreed, Parted, device_here, joined
    from archdsl.training.run import CHECKPOINTS, free_folder, last_folder

    network = net.network
    folder: Path | None = None
    count = 1
    try:
        device = device_here(words.device)
        with joined(device_of(device)) as processes:
            hush(not processes.first)
            count = processes.count
            folder = processes.by_the_first(
                lambda: out or (last_folder(network.name) if resume else free_folder(network.name))
            )
            return _run(words, net, recipe, folder, device, resume, processes)
    except Agreed:
        return WRONG
    except KeyboardInterrupt as stop:
        if folder is None or not (folder / CHECKPOINTS).exists():
            raise
        _below_what_was_typed()
        message("interrupted at once: what was saved last is as it was. To go on:")
        message(f"  {words.resume(folder, count)}")
        return _code(stop)
    except ArchError as error:
        show(error.diagnostics)
        where = f"the run in {words.file}" if isinstance(words.file, Path) else words.file.source.name
        message(f"{summary(error.diagnostics)} in {where}")
        return WRONG
    except click.exceptions.Exit:
        # Which is a RuntimeError: nobody reads any more.
        raise
    except (TrainingError, RuntimeError) as error:
        here = place()
        rank = 0 if here is None else here.rank
        lost = isinstance(error, Parted) and folder is not None
        # What went wrong in one of several processes is said by it. Of one that is gone whoever started them
        # speaks, or else the first process that can be left.
        hush(lost and (LAUNCHED in os.environ or rank > 1))
        of = "" if here is None or rank == 0 else f" in process {rank + 1} of {here.count}"
        message(f"error{of}: {str(error).splitlines()[0]}")
        if lost and folder is not None:
            _say_how_to_go_on(words, folder, count)
        return WRONG


def _run(
    words: _Words,
    net: Net,
    recipe: Recipe,
    folder: Path,
    device: str,
    resume: bool,
    processes: Processes,
) -> int:
    """Train into a folder, and say what came of it."""
    from archdsl.training import loop
    from archdsl.training.run import said

    with _progress(recipe) if processes.first else nullcontext() as progress:
        run = loop.train(
            net.network,
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
    if run.ended_by is None and not run.taken:
        _say_that_it_is_finished(words, recipe, run, processes.count)
        return 0
    message(f"{_took(run.taken, run.seconds)}; the run is in {run.folder}")
    if run.ended_by is None:
        return 0
    message("interrupted: what was trained until then is saved. To go on:")
    message(f"  {words.resume(run.folder, processes.count)}")
    return BY_A_SIGNAL + run.ended_by


def _say_that_it_is_finished(words: _Words, recipe: Recipe, run: Result, processes: int) -> None:
    """Of a run that had taken all its steps: that, and how it can be made longer."""
    from archdsl.training.run import not_as_long

    message(f"the run in {run.folder} is finished: all {run.steps:,} steps of its recipe are taken")
    unit = "epochs" if recipe.steps is None else "steps"
    longer = replace(recipe, **{unit: 2 * getattr(recipe, unit)})
    described = recipe.described
    assert described is not None
    why = not_as_long(recipe, longer, run.steps, described.examples, described.tests)
    if why is None:
        message("to go on for longer, for example twice as long:")
        message(f"  {words.resume(run.folder, processes, f'train.{unit}={getattr(longer, unit)}')}")
    else:
        message(f"twice as long it would have been another: {why}")
        message(f'another run can begin with its weights: `initialize = pretrained("{run.folder}")`')


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

    def note(self, what: str) -> None:
        self._bar.console.print(f"note: {what}", markup=False, highlight=False, soft_wrap=True)


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

    def note(self, what: str) -> None:
        message(f"note: {what}")


def _took(steps: int, seconds: float) -> str:
    """`200 steps in 3.1 s (65 a second)`."""
    rate = steps / seconds if seconds else 0
    often = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{steps:,} steps in {seconds:,.1f} s ({often} a second)"
