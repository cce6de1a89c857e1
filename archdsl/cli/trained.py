"""`archdsl evaluate` and `archdsl predict`: what a trained run scores, and what it says of new inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG
from archdsl.cli.output import json_result, message, result, show, style
from archdsl.cli.settings import python_option, recipe_settings, run_options, stated

if TYPE_CHECKING:
    from torch import Tensor

    from archdsl.training.trained import Trained

RUN = click.Path(path_type=Path, file_okay=False)
WIDEST = 24
"""The most classes whose confusions are shown as a table."""


@click.command(short_help="Say what a trained run scores.")
@click.argument("run", type=RUN)
@run_options("Replace a key of the recipe, such as its data or its metrics.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
@python_option
@click.option("--device", default="cpu", help="Where to compute, as torch names it [cpu].")
def evaluate(
    run: Path, settings: tuple[tuple[str, str], ...], as_json: bool, allow_python: bool, device: str
) -> int:
    """Measure a trained run on the test examples of its data, and show which classes it confuses.

    Other data that --set names may lack classes; where they have no part for testing, all of them are.
    """
    from archdsl.recipes.keys import MEASURING

    keys = keys_of_run(settings, MEASURING, "what a trained run scores")
    trained = read_run(run, keys, device, True, allow_python)
    if trained is None:
        return WRONG
    from archdsl.training.folder import TrainingError

    try:
        score = trained.score()
    except click.exceptions.Exit:
        # Which is a RuntimeError: nobody reads any more.
        raise
    except (TrainingError, RuntimeError) as error:
        message(f"error: {str(error).splitlines()[0]}")
        return WRONG
    if as_json:
        confusion = None if score.confusion is None else score.confusion.tolist()
        figures = {"examples": score.examples, "metrics": score.metrics, "confusion": confusion}
        json_result({"schema": 1, "run": str(run), "classes": trained.names, **figures})
        return 0
    percent = {metric.title: metric.percent for metric in trained.recipe.metrics}
    wide = max(len(name) for name in percent)
    for name, value in score.metrics.items():
        text = f"{value:.2%}" if percent[name] else f"{value:.5g}"
        result(f"{name.replace('_', ' '):<{wide}}  {text:>7}")
    examples = "1 test example" if score.examples == 1 else f"{score.examples:,} test examples"
    message(f"on {examples} of {keys['data']}" if "data" in keys else f"on {examples}")
    if score.confusion is not None:
        result("\n" + _confusion(score.confusion, trained.names))
    return 0


@click.command(short_help="Say what a trained run makes of new inputs.")
@click.argument("run", type=RUN)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="INPUT...")
@click.option("--top", type=click.IntRange(1), default=3, metavar="K", help="The K likeliest classes [3].")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@python_option
@click.option("--device", default="cpu", help="Where to compute, as torch names it [cpu].")
def predict(
    run: Path, inputs: tuple[Path, ...], top: int, as_json: bool, allow_python: bool, device: str
) -> int:
    """Say what a trained run makes of pictures, or of the examples in .npy and .npz files.

    Of a folder, of all such files in it.
    """
    if as_json and stated("top"):
        raise click.UsageError("the JSON has every class: leave out --top")
    trained = read_run(run, device=device, allow_python=allow_python)
    if trained is None:
        return WRONG
    from archdsl.training.folder import TrainingError

    said: list[dict[str, object]] = []
    wrong = maps = False
    scores = trained.recipe.loss[0].loss.applies == "softmax"
    if not scores and stated("top"):
        raise click.UsageError(f"{run} gives values, and no classes: leave out --top")
    for file in _files(inputs):
        try:
            if file.is_dir():
                raise TrainingError(f"{file} is a folder without pictures and arrays")
            for name, output in trained.say(file):
                maps = maps or output.dim() > 1
                values = output.flatten().tolist()
                shape = list(output.shape)
                said.append({"input": name, "shape": shape, "classes" if scores else "values": values})
                if not as_json:
                    words = _likeliest(output, trained.names, top) if scores else _values(values)
                    result(f"{name}  {words}")
        except click.exceptions.Exit:
            # Which is a RuntimeError: nobody reads any more.
            raise
        except (TrainingError, RuntimeError) as error:
            message(f"error: {str(error).splitlines()[0]}")
            wrong = True
    if as_json:
        json_result({"schema": 1, "run": str(run), "classes": trained.names, "said": said})
    elif scores and maps:
        message("the percent of a class is the share of positions at which it is the likeliest")
    return WRONG if wrong else 0


def keys_of_run(settings: tuple[tuple[str, str], ...], heeded: tuple[str, ...], what: str) -> dict[str, str]:
    """The keys of a trained run's recipe that are replaced, which must be those that change something."""
    from archdsl.problems import listed
    from archdsl.recipes.keys import KEYS, OF_PARTS

    keys = recipe_settings(settings)
    if len(keys) != len(settings):
        raise click.UsageError("of a run only keys of the recipe can be set: --set train.KEY=VALUE")
    for key in keys:
        if key not in heeded and (key in KEYS or key.rpartition(".")[2] in OF_PARTS):
            those = listed([f"train.{one}" for one in heeded])
            raise click.UsageError(f"train.{key} changes nothing of {what}; {those} do")
    return keys


def _files(inputs: tuple[Path, ...]) -> Iterator[Path]:
    """The files that are meant: of a folder the pictures and arrays in it, or itself where it has none."""
    from archdsl.recipes.files import ARRAYS, PICTURES

    for path in inputs:
        inside = sorted(path.rglob("*")) if path.is_dir() else []
        yield from [one for one in inside if one.suffix.lower() in (*PICTURES, *ARRAYS)] or [path]


def read_run(
    run: Path,
    settings: dict[str, str] | None = None,
    device: str = "cpu",
    look: bool = False,
    allow_python: bool = False,
) -> Trained | None:
    """The run, or None after saying why there is none."""
    from archdsl.diagnostics import ArchError
    from archdsl.training.folder import TrainingError
    from archdsl.training.loop import device_of
    from archdsl.training.trained import Trained

    try:
        return Trained(run, settings, device_of(device), look, allow_python)
    except ArchError as error:
        show(error.diagnostics)
    except (TrainingError, RuntimeError) as error:
        message(f"error: {str(error).splitlines()[0]}")
    return None


def _likeliest(output: Tensor, classes: tuple[str, ...] | None, top: int) -> str:
    """`7 98.1 %, 1 1.2 %`; of a map the classes and how much of it they cover."""
    if output.dim() > 1:
        shares = output.argmax(0).flatten().bincount(minlength=len(output)).float()
        output = shares / shares.sum()
    values, indices = output.topk(min(top, len(output)))
    named = [classes[i] if classes else str(i) for i in indices.tolist()]
    return ", ".join(f"{name} {value:.1%}" for name, value in zip(named, values.tolist(), strict=True))


def _values(values: list[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values[:16]) + (" ..." if len(values) > 16 else "")


def _confusion(confusion: Tensor, classes: tuple[str, ...] | None) -> str:
    """Rows are what examples are, columns what they are taken for; of many classes the commonest mistakes."""
    from archdsl.report.terminal import BOLD

    names = list(classes or map(str, range(len(confusion))))
    if len(names) > WIDEST:
        mistakes = confusion.clone().fill_diagonal_(0)
        values, places = mistakes.flatten().topk(10)
        pairs = [
            (divmod(place, len(names)), n) for place, n in zip(places.tolist(), values.tolist(), strict=True)
        ]
        lines = [f"{n:>6}  {names[true]} taken for {names[said]}" for (true, said), n in pairs if n]
        return "\n".join(["The commonest mistakes", *lines])
    short = [name if len(name) <= 8 else f"{name[:7]}…" for name in names]
    first = max(map(len, names))
    wide = max(*map(len, short), len(str(int(confusion.max()))))
    paint = style(sys.stdout).paint
    head = " " * first + "  " + "  ".join(f"{name:>{wide}}" for name in short)
    rows = [
        f"{name:<{first}}  "
        + "  ".join(
            paint(f"{n or '·':>{wide}}", BOLD) if i == j else f"{n or '·':>{wide}}" for j, n in enumerate(row)
        )
        for i, (name, row) in enumerate(zip(names, confusion.tolist(), strict=True))
    ]
    return "\n".join(["Rows are what examples are, columns what they are taken for", "", head, *rows])
