"""`archdsl export`: the network in another form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import message, result, show, write_file
from archdsl.cli.settings import network_options, python_option, recipe_settings
from archdsl.cli.targets import File, Target
from archdsl.cli.trained import read_run
from archdsl.diagnostics import ArchError

if TYPE_CHECKING:
    from torch import nn

    from archdsl.compiler import Network


class FileOrRun(File):
    """FILE[:NETWORK], or the folder of a run."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if isinstance(value, str) and (Path(value) / "recipe.json").is_file():
            return Path(value)
        return super().convert(value, parameter, context)


@click.command(short_help="Write a network as PyTorch source, or as ONNX.")
@click.argument("file", type=FileOrRun(), metavar="FILE[:NETWORK]|RUN")
@click.option(
    "--to",
    "form",
    type=click.Choice(["torch", "onnx"]),
    required=True,
    help="PyTorch source, or an ONNX graph with weights.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write [standard output; NETWORK.onnx].",
)
@click.option(
    "--weights", metavar="FILE", help="Weights for the graph: a state file of torch, or a run's folder."
)
@click.option(
    "--ignore", multiple=True, metavar="PREFIX", help="Leave out what the file of weights calls so."
)
@python_option
@network_options
def export(
    file: Target | Path,
    form: str,
    output: Path | None,
    weights: str | None,
    ignore: tuple[str, ...],
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Write a network as PyTorch source that runs without archdsl, or as an ONNX graph.

    Of a run, which is a folder, the graph has the trained weights; of a FILE, those of --weights, or those
    that torch begins with.
    """
    if weights is not None and (form != "onnx" or isinstance(file, Path)):
        raise click.UsageError("--weights are for a FILE that is written --to onnx")
    if recipe_settings(settings):
        raise click.UsageError("an export has no recipe: leave out --set train....")
    if isinstance(file, Path):
        if settings or sizes or inputs:
            raise click.UsageError("a run is as it was trained: leave out --set, --size and --input")
        trained = read_run(file, allow_python=allow_python)
        if trained is None:
            return WRONG
        network, model = trained.network, trained.model
    else:
        net = compiled(file, settings, sizes, inputs, allow_python)
        network, model = net.network, None
        if weights is not None:
            try:
                model = net.build(weights=weights, ignored=ignore)
            except ArchError as error:
                show(error.diagnostics)
                return WRONG
    if form == "onnx":
        return _onnx(network, model, output)
    from archdsl.lowering.source import write

    source = write(network)
    if output is None or str(output) == "-":
        result(source.rstrip("\n"))
    else:
        write_file(output, source)
        message(f"wrote {output}")
    return 0


def _onnx(network: Network, model: nn.Module | None, output: Path | None) -> int:
    from archdsl.lowering.build import build
    from archdsl.lowering.onnx import NotExported
    from archdsl.lowering.onnx import export as write

    path = output or Path(f"{network.name}.onnx")
    try:
        difference = write(network, model or build(network), path)
    except NotExported as error:
        message(f"error: {error}")
        return WRONG
    except OSError as error:
        message(f"error: {path} can't be written: {error.strerror}")
        return WRONG
    message(f"wrote {path}; onnxruntime computes what torch does, to {difference:.1g} of the largest value")
    return 0
