"""`archdsl verify`: what is certified of shifts, turns and scale, held to the network as torch runs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archdsl.cli.networks import WRONG, compiled
from archdsl.cli.output import Refused, result, style, width
from archdsl.cli.pictures import draw_to, form_of, output_option, theme_option
from archdsl.cli.settings import network_options, python_option, recipe_settings
from archdsl.cli.targets import File, Target

if TYPE_CHECKING:
    from archdsl.analysis import Analysis
    from archdsl.compiler import Network
    from archdsl.drawing.theme import Theme
    from archdsl.verification import Verification


class AnyWeights(File):
    """FILE, of which a run's folder is none: trained weights change nothing."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        try:
            return super().convert(value, parameter, context)
        except Refused as error:
            if isinstance(value, str) and Path(value).is_dir():
                raise Refused(f"{error.message}; what is claimed holds for any weights") from None
            raise


@click.command(short_help="Measure what is claimed of translation, turns and scale.")
@click.argument("file", type=AnyWeights(), metavar="FILE[:NETWORK]")
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
    help="By which weights and inputs are drawn [0].",
)
@python_option
@network_options
def verify(
    file: Target,
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

    The network is built with random weights in double precision; its input is shifted, turned by a quarter,
    reflected and enlarged. Ends with 1 where a claim is refuted.
    """
    if recipe_settings(settings):
        raise click.UsageError("what is claimed holds for any weights: leave out --set train....")
    if layer and output is None:
        raise click.UsageError("--layer is for a picture: give it a file, as by -o shifts.svg")
    form = form_of(output)
    net = compiled(file, settings, sizes, inputs, allow_python, unexpected=True)
    network = net.network
    _need_numbers(network)
    from archdsl.verification import TooMuch
    from archdsl.verification import verify as measure

    try:
        found = measure(network, net.analysis(), seed, net.program)
        if output is not None:
            draw_to(output, form, theme, lambda: _picture(found, net.analysis(), layer))
    except TooMuch as error:
        raise Refused(f"{network.name} is too large to measure so: {error}; {_smaller(network)}") from None
    except click.exceptions.Exit:
        # Which is a RuntimeError: nobody reads any more.
        raise
    except (RuntimeError, ValueError) as error:
        raise click.ClickException(f"torch does not compute it: {str(error).splitlines()[0]}") from None
    if str(output) == "-":
        pass
    elif as_json:
        import json

        result(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        from archdsl.verification.text import text

        result(text(found, width(sys.stdout), style(sys.stdout)))
    wrong = any(diagnostic.severity == "error" for diagnostic in net.diagnostics)
    return WRONG if wrong or found.of("refuted") else 0


def _picture(found: Verification, analysis: Analysis, layers: tuple[str, ...]) -> str:
    from archdsl.drawing.shifts import shifts
    from archdsl.verification.shifting import shifted

    note, panels = shifted(found, analysis, layers)
    return shifts(f"{found.network.name}: theory beside measurement", note, panels)


def _need_numbers(network: Network) -> None:
    """Refuse open sizes: torch runs numbers."""
    from archdsl.sizes import symbols_of

    names = {name for node in network.inputs for extent in node.shape for name in symbols_of(extent)}
    if names:
        needed = " and ".join(f"`--size {name}=...`" for name in sorted(names))
        raise Refused(f"what is measured needs sizes: give {needed}")


def _smaller(network: Network) -> str:
    """How to say that an input be smaller."""
    node = network.inputs[0]
    channels, *extents = (extent for extent in node.shape if isinstance(extent, int))
    shape = ",".join(str(extent) for extent in (channels, *(max(1, extent // 2) for extent in extents)))
    return f"a smaller input may do, as by `--input {node.name}={shape}`"
