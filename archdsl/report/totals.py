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
    mixed = report.analysis.memory.mixed
    layers = "" if mixed is None else f", layers in {mixed.precision}"
    lines = [
        Total("depth", str(figures["depth"]), "layers with weights, one after the other"),
        _total("parameters", figures["parameters"], human_bytes(figures["parameter_bytes"])),
    ]
    if figures["trainable"] != figures["parameters"]:
        lines.append(_total("trainable", figures["trainable"]))
    if figures["buffers"] != 0:
        lines.append(_total("buffers", figures["buffers"]))
    lines += [_total("MACs", figures["macs"]), _total("FLOPs", figures["flops"])]
    for name, precision in (("forward", report.precision), ("training", report.precision + layers)):
        peak = figures[f"{name}_peak_bytes"]
        unit = f"{human_bytes(peak)}, " if isinstance(peak, int) else "bytes, "
        lines.append(Total(f"{name} peak", separated(peak), f"{unit}batch {report.batch}, {precision}"))
    field = field_texts(figures, "size")
    if field:
        lines.append(Total("receptive field", field, afterwards(report)))
    return lines


def _total(name: str, figure: Size, *beside: str) -> Total:
    exact = separated(figure)
    words = [human(figure) if isinstance(figure, int) and figure >= 1000 else "", *beside]
    return Total(name, exact, ", ".join(word for word in words if word and word != exact))


def afterwards(report: Report) -> str:
    """What to say beside the receptive field: the total is of the last value that does not see everything."""
    output = report.scope.outputs[0].node
    if output.kind == "input":
        return ""
    flow = report.analysis.flow
    own = report.analysis.fields[flow.starts[flow.nodes.index(output)]]
    if own is None or field_texts({"receptive_field": own.to_dict()}, "size") != "global":
        return ""
    return "then global" if field_texts(report.totals, "size") != "global" else ""
