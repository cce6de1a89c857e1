"""`archdsl train`: a network trained as its `train` block says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import message, result, show
from archdsl.cli.settings import network_options, recipe_settings
from archdsl.cli.targets import File, Target

INTERRUPTED = 130


@click.command(short_help="Train a network as its file says.")
@click.argument("file", type=File(), metavar="FILE[:NETWORK]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder [runs/NAME-1].")
@click.option("--device", default="cpu", help="Where to train, as torch names it: cpu, cuda, cuda:1 [cpu].")
@network_options
def train(
    file: Target,
    out: Path | None,
    device: str,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Train a network as its train block says; --set train.steps=1000 replaces a key of it."""
    from archdsl.training.recipe import read_recipe

    net = compiled(file, settings, sizes, inputs)
    recipe, diagnostics = read_recipe(net.network.train, net.network, recipe_settings(settings))
    show(diagnostics)
    if recipe is None:
        return WRONG

    from archdsl.training import loop
    from archdsl.training.run import TrainingError, free_folder

    try:
        with _progress(recipe.steps) as progress:
            run = loop.train(net.network, recipe, out or free_folder(net.name), device, progress)
    except (TrainingError, RuntimeError) as error:
        message(f"error: {str(error).splitlines()[0]}")
        return WRONG
    result(f"training error  {run.training_error:6.1%}")
    result(f"test error      {run.test_error:6.1%}")
    rate = run.steps / run.seconds if run.seconds else 0
    message(f"{run.steps:,} steps in {run.seconds:,.1f} s ({rate:,.0f} a second); the run is in {run.folder}")
    if run.interrupted:
        message("interrupted: what was trained until then is saved")
        return INTERRUPTED
    return 0


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[int, float], None]]:
    """A bar on standard error where that is a terminal, else ten lines there."""
    if not sys.stderr.isatty():
        yield _lines(steps)
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
        task = bar.add_task("training", total=steps)
        yield lambda step, error: bar.update(task, completed=step, description=f"training error {error:5.1%}")


def _lines(steps: int) -> Callable[[int, float], None]:
    """Every tenth of a run, a line on standard error."""
    said = -1

    def show_progress(step: int, error: float) -> None:
        nonlocal said
        if 10 * step // steps > said:
            said = 10 * step // steps
            message(f"step {step:,} of {steps:,}: training error {error:.1%}")

    return show_progress
