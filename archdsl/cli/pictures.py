"""Pictures as commands write them: the ending of the file is the form, `--theme` the page that it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archdsl.cli.output import Refused, message, result, write_file
from archdsl.drawing.picture import MADE_WITH, PICTURES, Picture
from archdsl.drawing.picture import form_of as form_of_file
from archdsl.drawing.undrawable import OpenSizes, Undrawable

if TYPE_CHECKING:
    from archdsl.drawing.theme import Theme

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)

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
    try:
        return form_of_file(output, forms, what)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def draw_to(output: Path | None, form: str, theme: Theme, draw: Callable[[], str]) -> None:
    """Write what is drawn, an SVG."""
    put(output, form, Picture(lambda form: draw(), theme))


def put(output: Path | None, form: str, picture: Picture) -> None:
    """Write a picture to a file, or to standard output."""
    try:
        made = picture.written(form)
    except OpenSizes as error:
        from archdsl.problems.problem import sizes_to_give

        raise Refused(f"{error.needs}: give {sizes_to_give(error.symbols)}") from None
    except Undrawable as error:
        raise Refused(str(error)) from None
    except ImportError as error:
        if error.name not in MADE_WITH:
            raise
        raise Refused(str(error)) from None
    if output is None or str(output) == "-":
        result(str(made))
    else:
        write_file(output, made)
        message(f"wrote {output}")
