"""The report as a Markdown table, for a README or an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.report.columns import COLUMNS, STANDARD, field_texts, shape_text
from archdsl.report.units import human, human_bytes, separated

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
    totals = report.totals
    peaks = f"batch {report.batch}, {report.precision}"
    lines += [
        "",
        f"- parameters: {separated(totals['parameters'])} ({human_bytes(totals['parameter_bytes'])})",
        f"- MACs: {separated(totals['macs'])} ({human(totals['macs'])})",
        f"- FLOPs: {separated(totals['flops'])} ({human(totals['flops'])})",
        f"- forward peak: {human_bytes(totals['forward_peak_bytes'])} ({peaks})",
        f"- training peak: {human_bytes(totals['training_peak_bytes'])} ({peaks})",
        f"- receptive field: {field_texts(totals, 'size')}",
    ]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: names have `_`, expressions have `*`."""
    return "".join(f"\\{character}" if character in r"\`*_|<[" else character for character in text)
