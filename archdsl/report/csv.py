"""The report as comma-separated values, a line a layer, for a spreadsheet or a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.report.columns import COLUMNS

if TYPE_CHECKING:
    from archdsl.report.report import Report


def csv(report: Report, depth: int | None = None, columns: tuple[str, ...] = ()) -> str:
    """A line of the columns' names, then one a layer: whole numbers, memory in bytes.

    Values are quoted where RFC 4180 asks for it.
    """
    shown = [COLUMNS[key] for key in columns or tuple(COLUMNS)]
    lines = [",".join(column.key for column in shown)]
    lines += [
        ",".join(_quoted(str(column.value(entry.facts))) for column in shown)
        for entry in report.entries(depth)
    ]
    return "\n".join(lines)


def _quoted(value: str) -> str:
    if any(character in value for character in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value
