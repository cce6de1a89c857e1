"""A report that is its table where it is printed, and in a notebook."""

from __future__ import annotations

from archdsl.report.report import Report


class PrintedReport(Report):
    """A report of which `str` is the table that `analyze` prints, as wide as it is."""

    def __str__(self) -> str:
        # Many ask for figures, and few for the table.
        from archdsl.report.table import table

        return table(self)

    def _repr_html_(self) -> str:
        from archdsl.report.html import html

        return html(self)
