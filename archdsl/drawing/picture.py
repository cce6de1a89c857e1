"""A picture as it is taken away: shown in a notebook, written to a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archdsl.writing import write_whole

if TYPE_CHECKING:
    from archdsl.drawing.theme import Theme

PICTURES = (".svg", ".png", ".pdf")
"""The forms of a picture, which are the endings of its files."""
MADE_WITH = ("drawsvg", "resvg_py", "typst")
"""What an installation without the extra lacks."""


class Picture:
    """What is drawn of a network. In a notebook it shows itself.

    `drawn` makes it in a form: as SVG for pages of every kind, or as a text where that is no picture's form.
    """

    def __init__(
        self,
        drawn: Callable[[str], str],
        theme: Theme = "auto",
        forms: tuple[str, ...] = PICTURES,
        what: str = "a picture",
    ) -> None:
        self._drawn = drawn
        self.theme = theme
        self._forms = forms
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, pickled or deep, has what is drawn, and not what it is drawn of."""
        texts = {form: self._made(form) for form in self._forms if form not in PICTURES}
        drawn = {".svg": self._plain, **texts}.__getitem__
        return Picture, (drawn, self.theme, self._forms, self._what)

    @cached_property
    def _plain(self) -> str:
        return self._made(".svg")

    def made(self) -> Picture:
        """The same, once it has been drawn: what can't be drawn is said here."""
        assert self._plain
        return self

    @property
    def svg(self) -> str:
        """The picture as SVG. One of the theme `auto` has colours for light and for dark pages."""
        from archdsl.drawing.theme import themed

        return themed(self._plain, self.theme)

    def written(self, form: str) -> str | bytes:
        """What a file of this form holds.

        Raises `Undrawable`, and `ImportError` with the name of what is lacking where the extra is not there.
        """
        if form == ".svg":
            return self.svg
        if form not in PICTURES:
            return self._made(form)
        from archdsl.drawing.raster import pdf, png

        try:
            return (png if form == ".png" else pdf)(self._plain, self.theme)
        except ImportError as error:
            raise _lacking(error) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file whose ending is the form: .svg, .png or .pdf; of an equation .txt or .tex, too.

        Raises `ValueError` for another ending, and `OSError` where the file can't be written.
        """
        made = self.written(form_of(Path(path), self._forms, self._what))
        write_whole(Path(path), made.encode("utf-8") if isinstance(made, str) else made)

    def _made(self, form: str) -> str:
        try:
            return self._drawn(form)
        except ImportError as error:
            raise _lacking(error) from None

    def _repr_svg_(self) -> str:
        """What a notebook shows: on white unless it is for dark pages, for it can't ask on which it is."""
        from archdsl.drawing.theme import inlined

        return inlined(self._plain, "dark" if self.theme == "dark" else "light")

    def __repr__(self) -> str:
        from archdsl.drawing.raster import extents

        wide, high = extents(self._plain)
        return f"<picture, {wide:.0f} × {high:.0f}>"


def form_of(path: Path, forms: tuple[str, ...] = PICTURES, what: str = "a picture") -> str:
    """The ending of a file, which must be one of the forms. Raises `ValueError`."""
    form = path.suffix.lower()
    if form not in forms:
        *others, last = (f"*{ending}" for ending in forms)
        raise ValueError(f"{what} is written to a file called {', '.join(others)} or {last}, not to {path}")
    return form


def _lacking(error: ImportError) -> ImportError:
    """An error that says what to install, where that is all."""
    if error.name not in MADE_WITH:
        return error
    return ImportError(f"pictures need {error.name}: `pip install 'archdsl[pictures]'`", name=error.name)
