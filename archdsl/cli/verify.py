"""`archdsl verify`: what is certified of shifts, turns and scale, held to the network as torch runs it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import Refused, json_result, result, show, style, waiting, width
from archdsl.cli.pictures import draw_to, form_of, output_option, theme_option
from archdsl.cli.settings import network_options, python_option, stated
from archdsl.cli.targets import File
from archdsl.cli.trained import read_run

if TYPE_CHECKING:
    from archdsl.analysis import Analysis
    from archdsl.compiler import Network
    from archdsl.drawing.theme import Theme
    from archdsl.net import Net
    from archdsl.verification import State, Verification


@click.command(short_help="Measure what is claimed of translation, turns and scale.")
@click.argument("file", metavar="FILE[:NETWORK]|RUN")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@output_option("A picture of what every shift does, .svg, .png or .pdf.")
@click.option(
    "--layer",
    metavar="NAME",
    multiple=True,
    help="A layer that the picture shows; again: one more [the outputs, and where what is claimed changes].",
)
@theme_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    metavar="N",
    help="By which inputs are drawn, and the weights of a FILE [0].",
)
@python_option
@network_options("what is claimed holds for any weights")
def verify(
    file: str,
    as_json: bool,
    output: Path | None,
    layer: tuple[str, ...],
    theme: Theme,
    seed: int,
    allow_python: bool,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
) -> int:
    """Show theory beside measurement: each layer's certificate, and what moving the input really does.

    The network is built in double precision, with random weights, or of a run's folder with those that were
    trained; its input is shifted, turned by a quarter, reflected and enlarged. Ends with 1 where a claim is
    refuted.
    """
    if layer and output is None:
        raise click.UsageError("--layer is for a picture: give it a file, as by -o shifts.svg")
    if output is None and stated("theme"):
        raise click.UsageError("--theme is of a picture: name its file by -o")
    if as_json and str(output) == "-":
        raise click.UsageError("--json and -o - are both for standard output: name one, or a file by -o")
    form = form_of(output)
    net, weights = _measured(file, settings, sizes, inputs, allow_python)
    network = net.network
    _need_numbers(network)
    from archdsl.verification import TooMuch, Unfitting
    from archdsl.verification import verify as measure

    try:
        with waiting(f"measuring {network.name}") as told:
            found = measure(network, net.analysis(), seed, net.program, weights, told)
        if output is not None:
            draw_to(output, form, theme, lambda: _picture(found, net.analysis(), layer))
    except TooMuch as error:
        raise Refused(f"{network.name} is too large to measure so: {error}; {_smaller(network)}") from None
    except Unfitting:
        raise Refused(f"with such inputs {network.name} has other weights than those of {file}") from None
    except click.exceptions.Exit:
        # Which is a RuntimeError: nobody reads any more.
        raise
    except (RuntimeError, ValueError) as error:
        raise click.ClickException(f"torch does not compute it: {str(error).splitlines()[0]}") from None
    if str(output) == "-":
        pass
    elif as_json:
        json_result(found.to_dict())
    else:
        from archdsl.verification.text import text

        result(text(found, width(sys.stdout), style(sys.stdout)))
    wrong = any(diagnostic.severity == "error" for diagnostic in net.diagnostics)
    return WRONG if wrong or found.of("refuted") else 0


def _measured(
    file: str,
    settings: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    inputs: tuple[tuple[str, tuple[int, ...]], ...],
    allow_python: bool,
) -> tuple[Net, State | None]:
    """A network, and the weights that it was trained to if it is a run's."""
    if not Path(file).is_dir():
        target = File().convert(file, None, None)
        return compiled(target, settings, sizes, inputs, allow_python, unexpected=True), None
    if settings:
        raise click.UsageError("a run's network is as it was trained: leave out --set")
    trained = read_run(Path(file), allow_python=allow_python)
    if trained is None:
        raise click.exceptions.Exit(WRONG)
    weights = trained.model.state_dict()
    if not sizes and not inputs:
        return trained.net, weights
    from archdsl.compiler import Options
    from archdsl.net import check_network

    options = Options(**trained.network.options)
    options = replace(
        options, sizes={**options.sizes, **dict(sizes)}, inputs={**options.inputs, **dict(inputs)}
    )
    checked = check_network(trained.net.program, trained.network.name, options)
    show([one for one in checked.diagnostics if one.severity == "error"])
    net = checked.net or checked.unexpected
    if net is None:
        raise click.exceptions.Exit(WRONG)
    return net, weights


def _picture(found: Verification, analysis: Analysis, layers: tuple[str, ...]) -> str:
    from archdsl.drawing.shifts import shifts
    from archdsl.verification.shifting import shifted

    with waiting("shifts") as told:
        note, panels = shifted(found, analysis, layers, told)
    return shifts(f"{found.network.name}: theory beside measurement", note, panels)


def _need_numbers(network: Network) -> None:
    """Refuse open sizes: torch runs numbers."""
    from archdsl.problems.problem import sizes_to_give
    from archdsl.sizes import symbols_of

    names = {name for node in network.inputs for extent in node.shape for name in symbols_of(extent)}
    if names:
        raise Refused(f"what is measured needs sizes: give {sizes_to_give(names)}")


def _smaller(network: Network) -> str:
    """How to say that an input be smaller."""
    node = network.inputs[0]
    channels, *extents = (extent for extent in node.shape if isinstance(extent, int))
    shape = ",".join(str(extent) for extent in (channels, *(max(1, extent // 2) for extent in extents)))
    return f"a smaller input may do, as by `--input {node.name}={shape}`"
