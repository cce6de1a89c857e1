"""The totals of a network, as they stand below a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from archdsl.report.columns import field_texts
from archdsl.report.units import human, human_bytes, separated

if TYPE_CHECKING:
    from archdsl.report.report import Report
    from archdsl.sizes import Size


class Total(NamedTuple):
    """A figure: exact, and what is said beside it."""

    name: str
    exact: str
    beside: str


def totals(report: Report) -> list[Total]:
    """Every total in the order of the table. What is said beside one never repeats it."""
    figures = report.totals
    settings = f"batch {report.batch}, {report.precision}"
    lines = [
        Total("depth", str(figures["depth"]), "layers with weights, one after the other"),
        _total("parameters", figures["parameters"], human_bytes(figures["parameter_bytes"])),
    ]
    if figures["trainable"] != figures["parameters"]:
        lines.append(_total("trainable", figures["trainable"]))
    if figures["buffers"] != 0:
        lines.append(_total("buffers", figures["buffers"]))
    lines += [_total("MACs", figures["macs"]), _total("FLOPs", figures["flops"])]
    for name in ("forward", "training"):
        peak = figures[f"{name}_peak_bytes"]
        unit = f"{human_bytes(peak)}, " if isinstance(peak, int) else "bytes, "
        lines.append(Total(f"{name} peak", separated(peak), unit + settings))
    field = field_texts(figures, "size")
    if field:
        lines.append(Total("receptive field", field, _afterwards(report, field)))
    return lines


def _total(name: str, figure: Size, *beside: str) -> Total:
    exact = separated(figure)
    words = [human(figure) if isinstance(figure, int) and figure >= 1000 else "", *beside]
    return Total(name, exact, ", ".join(word for word in words if word and word != exact))


def _afterwards(report: Report, field: str) -> str:
    """The total is of the last value that does not see everything."""
    output = report.scope.outputs[0].node.name
    own = next((entry.facts for entry in report.layers if entry.facts["name"] == output), None)
    return "then global" if own and field_texts(own, "size") == "global" != field else ""
