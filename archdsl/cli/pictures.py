"""Pictures as commands write them: the ending of the file is the form, `--theme` the page that it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archdsl.cli.output import Refused, message, result, write_file

if TYPE_CHECKING:
    from archdsl.drawing.theme import Theme

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)

PICTURES = (".svg", ".png", ".pdf")
MADE_WITH = ("drawsvg", "resvg_py", "typst")
"""What a library without the extra lacks."""

theme_option = click.option(
    "--theme",
    type=click.Choice(["auto", "light", "dark"]),
    default="auto",
    show_default=True,
    help="The page that it is for; auto is the reader's in an .svg, light elsewhere.",
)


def output_option(help: str, default: Path | None = None) -> Callable[[FC], FC]:
    """`-o`, the file that a picture is written to."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        default=default,
        show_default=default is not None,
        help=help,
    )


def form_of(output: Path | None, forms: tuple[str, ...] = PICTURES, what: str = "a picture") -> str:
    """The ending of a file, which must be one of the forms; standard output gets the first of them."""
    if output is None or str(output) == "-":
        return forms[0]
    form = output.suffix.lower()
    if form not in forms:
        *others, last = (f"*{ending}" for ending in forms)
        raise click.UsageError(
            f"{what} is written to a file called {', '.join(others)} or {last}, not to {output}"
        )
    return form


def draw_to(output: Path | None, form: str, theme: Theme, draw: Callable[[], str]) -> None:
    """Write what is drawn, an SVG or the text of a form that is no picture."""
    try:
        made = _made(draw, form, theme)
    except ImportError as error:
        if error.name not in MADE_WITH:
            raise
        raise Refused(f"pictures need {error.name}: `pip install 'archdsl[pictures]'`") from None
    if output is None or str(output) == "-":
        result(str(made))
    else:
        write_file(output, made)
        message(f"wrote {output}")


def _made(draw: Callable[[], str], form: str, theme: Theme) -> str | bytes:
    from archdsl.drawing.undrawable import Undrawable

    try:
        made = draw()
    except Undrawable as error:
        raise Refused(str(error)) from None
    if form not in PICTURES:
        return made
    if form == ".svg":
        from archdsl.drawing.theme import themed

        return themed(made, theme)
    from archdsl.drawing import raster

    return raster.png(made, theme) if form == ".png" else raster.pdf(made, theme)
