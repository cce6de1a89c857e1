"""A difference that is its text where it is printed, and in a notebook."""

from __future__ import annotations

from archdsl.comparison.difference import Difference
from archdsl.report.terminal import Style


class PrintedDifference(Difference):
    """A difference of which `str` is what `diff` prints, as wide as it is."""

    def __str__(self) -> str:
        # Many ask for figures, and few for the text.
        from archdsl.comparison.text import text

        return text(self)

    def _repr_html_(self) -> str:
        from archdsl.comparison.text import text
        from archdsl.report.html import printed

        return printed(text(self, style=Style(colour=True)))
