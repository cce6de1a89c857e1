"""`archdsl export`: the network in another form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import message, result, show, write_file, writing
from archdsl.cli.settings import network_options, python_option
from archdsl.cli.targets import FileOrRun, Target
from archdsl.cli.trained import read_run
from archdsl.diagnostics import ArchError

if TYPE_CHECKING:
    from torch import nn

    from archdsl.compiler import Network


@click.command(short_help="Write a network as PyTorch source, ONNX, or fully connected.")
@click.argument("file", type=FileOrRun(), metavar="FILE[:NETWORK]|RUN")
@click.option(
    "--to",
    "form",
    type=click.Choice(["torch", "onnx", "dense"]),
    required=True,
    help="PyTorch source; an ONNX graph with weights; a fully connected network that computes the same.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write [standard output; NETWORK.onnx; NETWORKDense.arch].",
)
@click.option("--weights", metavar="FILE", help="Weights to write: a state file of torch, or a run's folder.")
@click.option(
    "--ignore", multiple=True, metavar="PREFIX", help="Leave out what the file of weights calls so."
)
@click.option("--only", metavar="PREFIX", help="Take from what the file of weights calls so alone.")
@click.option(
    "--fresh", multiple=True, metavar="PART", help="Take no weights for this layer or label of the network."
)
@python_option
@network_options("an export has no recipe")
def export(
    file: Target | Path,
    form: str,
    output: Path | None,
    weights: str | None,
    ignore: tuple[str, ...],
    only: str | None,
    fresh: tuple[str, ...],
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Write a network as PyTorch source that runs without archdsl, or as an ONNX graph.

    Or, where layers have weight matrices or are functions of single numbers, as a fully connected network
    that computes the same: an .arch file, and its weights beside it in a .safetensors file.

    Of a run, which is a folder, what is written has the trained weights; of a FILE, those of --weights, or
    those that torch begins with. Beside PyTorch source they lie in a .safetensors file.
    """
    if ignore and weights is None:
        raise click.UsageError("--ignore leaves out names of --weights, and there are none")
    if only and weights is None:
        raise click.UsageError("--only takes names of --weights, and there are none")
    if fresh and weights is None:
        raise click.UsageError("--fresh begins a part without --weights, and there are none")
    if weights is not None and isinstance(file, Path):
        raise click.UsageError("--weights are for a FILE: a run has its own")
    if isinstance(file, Path):
        if settings or sizes or inputs:
            raise click.UsageError("a run is as it was trained: leave out --set, --size and --input")
        trained = read_run(file, allow_python=allow_python)
        if trained is None:
            return WRONG
        network, model = trained.network, trained.model
        recipe: dict[str, Any] | None = trained.stored
    else:
        net = compiled(file, settings, sizes, inputs, allow_python)
        network, model = net.network, None
        recipe = net.recipe.to_dict() if form == "dense" and net.recipe is not None else None
        if weights is not None:
            from archdsl.weights.loading import built

            try:
                model, found = built(network, weights, ignore, only, fresh, "command")
            except ArchError as error:
                show(error.diagnostics)
                return WRONG
            if found.doubt is not None:
                message(f"of {weights}: {found.doubt}")
    read = [file if isinstance(file, Path) else Path(file.source.name)]
    read += [Path(weights)] if weights is not None else []
    if form == "onnx":
        return _onnx(network, model, output or Path(f"{network.name}.onnx"), read)
    if form == "dense":
        return _dense(network, model, recipe, output or Path(f"{network.name}Dense.arch"), read)
    if output is None or str(output) == "-":
        from archdsl.lowering.source import write

        result(write(network).rstrip("\n"))
        if model is not None:
            its = read[-1] / "weights.safetensors" if isinstance(file, Path) else read[-1]
            message(f"the weights are in {its}; with -o FILE.py they are written beside the source")
        return 0
    return _torch(network, model, output, read)


def _spare(read: list[Path], *written: Path) -> None:
    """Refuse to write over what is read, over a file of a run, and over a network that somebody wrote."""
    from archdsl.project import is_run

    for path in written:
        if path.exists() and any(one.exists() and path.samefile(one) for one in read):
            raise click.UsageError(f"{path} is what is read: name another file by -o")
        if path.exists() and is_run(path.parent):
            raise click.UsageError(f"{path} belongs to the run in {path.parent}: name another file by -o")
        if path.suffix == ".arch" and path.is_file() and not _is_export(path):
            raise click.UsageError(f"{path} is a network's file: name another file by -o")


def _is_export(path: Path) -> bool:
    """Whether a file is one that an export wrote, which another may replace."""
    from archdsl.lowering.dense import HEAD

    return HEAD in path.read_bytes()[:1000].decode("utf-8", "replace").split("\n", 1)[0]


def _torch(network: Network, model: nn.Module | None, path: Path, read: list[Path]) -> int:
    from archdsl.lowering.source import write

    if model is None:
        _spare(read, path)
        write_file(path, write(network))
        message(f"wrote {path}")
        return 0
    beside = path.with_suffix(".safetensors")
    if path == beside:
        raise click.UsageError("two files are written: name the .py file, and the weights lie beside it")
    _spare(read, path, beside)
    from safetensors.torch import save

    source = write(network, beside.name)
    # What is shared in the module is of each of its names in the file.
    write_file(beside, save({name: tensor.clone() for name, tensor in model.state_dict().items()}))
    write_file(path, source)
    message(f"wrote {path} and {beside}, which it loads when it is run")
    return 0


def _dense(
    network: Network, model: nn.Module | None, recipe: dict[str, Any] | None, path: Path, read: list[Path]
) -> int:
    beside = path.with_suffix(".safetensors")
    if path.suffix != ".arch":
        raise click.UsageError("two files are written: name the .arch file, and the weights lie beside it")
    _spare(read, path, beside)
    if '"' in beside.name or not beside.name.isprintable():
        raise click.UsageError("the .arch file names that of the weights, so there can be no quotes in it")
    from safetensors.torch import save

    from archdsl.lowering.dense import NotDense, dense

    try:
        found = dense(network, model, beside.name, recipe)
    except NotDense as error:
        message(f"error: {error}")
        return WRONG
    write_file(beside, save(found.weights))
    write_file(path, found.text)
    message(f"wrote {path} and {beside}: {found.parameters:,} parameters in place of {found.before:,}")
    return 0


def _onnx(network: Network, model: nn.Module | None, path: Path, read: list[Path]) -> int:
    from archdsl.lowering.build import build
    from archdsl.lowering.onnx import NotExported
    from archdsl.lowering.onnx import export as write

    _spare(read, path)
    try:
        with writing(path):
            difference = write(network, model or build(network), path)
    except NotExported as error:
        message(f"error: {error}")
        return WRONG
    message(f"wrote {path}; onnxruntime computes what torch does, to {difference:.1g} of the largest value")
    return 0
