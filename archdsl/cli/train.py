"""`archdsl train`: a network trained as its `train` block says."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import message, result, show
from archdsl.cli.settings import network_options, recipe_settings
from archdsl.cli.targets import STANDARD_INPUT, File, Target

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from archdsl.diagnostics import Diagnostic
    from archdsl.recipes.recipe import Recipe
    from archdsl.training.run import Measurement

INTERRUPTED = 130


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
@click.option("--allow-python", is_flag=True, help="Run the Python that the recipe names.")
@click.option("--tensorboard", is_flag=True, help="Write what is measured for TensorBoard, too.")
@click.option("--device", default="cpu", help="Where to train, as torch names it: cpu, cuda, cuda:1 [cpu].")
@network_options
def train(
    file: Target,
    out: Path | None,
    resume: bool,
    explain: bool,
    allow_python: bool,
    tensorboard: bool,
    device: str,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Train a network as its train block says; --set train.steps=1000 replaces a key of it."""
    from archdsl.recipes.reader import read_recipe
    from archdsl.report.diagnostics import summary

    net = compiled(file, settings, sizes, inputs)

    def reading(look: bool) -> tuple[Recipe | None, list[Diagnostic]]:
        keys = recipe_settings(settings)
        block, names = net.network.train, net.program.names()
        return read_recipe(block, net.network, keys, names, look=look, allow_python=allow_python)

    recipe, diagnostics = reading(look=True)
    if explain and [d.name for d in diagnostics if d.severity == "error"] == ["no-data"]:
        # What follows from the data is left unsaid.
        recipe, diagnostics = reading(look=False)
    show(diagnostics)
    if recipe is None:
        message(f"{summary(diagnostics)} in {file.source.name}")
        return WRONG
    if explain:
        from archdsl.recipes.explaining import duration, explained

        analysis = net.analysis(recipe.batch, optimizer_state=recipe.optimizer.kept())
        result(explained(net.network, recipe, analysis))
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

    from archdsl.diagnostics import ArchError
    from archdsl.training import loop
    from archdsl.training.run import TrainingError, free_folder, last_folder, said

    folder = out or (last_folder(net.name) if resume else free_folder(net.name))
    try:
        with _progress(recipe) as progress:
            run = loop.train(net.network, recipe, folder, device, progress, resume, tensorboard)
    except ArchError as error:
        show(error.diagnostics)
        message(f"{summary(error.diagnostics)} in {file.source.name}")
        return WRONG
    except (TrainingError, RuntimeError) as error:
        message(f"error: {str(error).splitlines()[0]}")
        return WRONG
    words = said(recipe, run.measured)
    wide = max(len(name) for name, _ in words)
    for name, text in words:
        result(f"{name:<{wide}}  {text:>7}")
    rate = run.taken / run.seconds if run.seconds else 0
    message(f"{run.taken:,} steps in {run.seconds:,.1f} s ({rate:,.0f} a second); the run is in {run.folder}")
    if run.interrupted:
        message("interrupted: what was trained until then is saved. To go on:")
        message(f"  {_going_on(file, settings, sizes, inputs, run.folder)}")
        return INTERRUPTED
    return 0


def _going_on(
    file: Target,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
    folder: Path,
) -> str:
    """The command that resumes a run."""
    name = file.source.name if file.source.name != STANDARD_INPUT else str(folder / "network.arch")
    words = ["archdsl", "train", f"{name}:{file.network}" if file.network else name]
    for option, given in (("--set", settings), ("--size", sizes)):
        words += [word for key, value in given for word in (option, f"{key}={value}")]
    words += [word for key, shape in inputs for word in ("--input", f"{key}={','.join(map(str, shape))}")]
    return shlex.join([*words, "--resume", "--out", str(folder)])


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
