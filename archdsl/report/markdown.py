"""The report as a Markdown table, for a README or an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.report.columns import COLUMNS, STANDARD, shape_text
from archdsl.report.totals import totals

if TYPE_CHECKING:
    from archdsl.report.report import Report


def markdown(report: Report, depth: int | None = None, columns: tuple[str, ...] = ()) -> str:
    """A heading, a line a layer, and the totals."""
    shown = [COLUMNS[key] for key in columns or STANDARD]
    inputs = ", ".join(f"`{name}` {shape_text(shape)}" for name, shape in report.inputs)
    lines = [
        f"### {report.name}",
        "",
        f"{inputs} → {', '.join(f'`{name}`' for name in report.outputs)}",
        "",
        _row([column.heading for column in shown]),
        _row(["---:" if column.number else "---" for column in shown]),
    ]
    lines += [
        _row([_escaped(column.cell(entry.facts)) for column in shown]) for entry in report.entries(depth)
    ]
    lines.append("")
    lines += [
        f"- {total.name}: {_escaped(total.exact)}{f' ({total.beside})' if total.beside else ''}"
        for total in totals(report)
    ]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: names have `_`, expressions have `*`."""
    return "".join(f"\\{character}" if character in r"\`*_|<[" else character for character in text)
