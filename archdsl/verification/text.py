"""Claims and measurements as a table: a part for each motion, a line for each layer."""

from __future__ import annotations

from archdsl.report.columns import per_axis, shape_text
from archdsl.report.table import GAP, LEAST_NAME, cut, plain_signs
from archdsl.report.terminal import BOLD, DIM, GREEN, RED, YELLOW, Style, text_width, visible
from archdsl.verification.findings import MOTIONS, Finding, Verification

COLOURS = {"holds": GREEN, "refuted": RED, "found": YELLOW, "none": DIM, "unmeasured": YELLOW}
WORDS = {
    "holds": "holds",
    "refuted": "REFUTED",
    "found": "found",
    "none": "",
    "unmeasured": "not measured",
}
HEADINGS = ("claimed", "measured", "")


def text(found: Verification, width: int | None = None, style: Style | None = None) -> str:
    """The table for `width` columns, and below it how many claims hold."""
    style = style or Style()
    inputs = ", ".join(f"{node.name} {shape_text(list(node.shape))}" for node in found.network.inputs)
    name = style.paint(visible(found.network.name), BOLD)
    chance = "trained weights, inputs" if found.trained else "weights and inputs"
    lines = [f"{name}  {visible(inputs)}, {chance} by chance (seed {found.seed})"]
    for motion in MOTIONS:
        findings = [finding for finding in found.findings if finding.motion == motion]
        if not findings:
            continue
        if all(finding.verdict == "none" for finding in findings):
            lines += [
                "",
                f"{style.paint(motion, BOLD)}: no layer's value is claimed or found to answer to it",
            ]
            continue
        lines += ["", *_part(motion, findings, width, style)]
    lines += ["", _summary(found, style)]
    return "\n".join(plain_signs(line) if style.ascii else line for line in lines)


def _part(motion: str, findings: list[Finding], width: int | None, style: Style) -> list[str]:
    rows = [(visible(str(one.wire)), claimed(one), _measured(one), WORDS[one.verdict]) for one in findings]
    heads = (motion, *HEADINGS)
    widths = [max(map(text_width, column)) for column in zip(heads, *rows, strict=True)]
    over = 0 if width is None else sum(widths) + len(GAP) * (len(widths) - 1) - width
    # Names lose their middle first, then what is claimed and what was measured: the JSON has them whole.
    for column in range(3):
        taken = min(max(over, 0), max(widths[column] - LEAST_NAME, 0))
        widths[column] -= taken
        over -= taken
    lines = [style.paint(_line(heads, widths), BOLD)]
    for finding, row in zip(findings, rows, strict=True):
        words = style.paint(row[3], COLOURS[finding.verdict])
        lines.append(f"{_line(row[:3], widths[:3], padded=bool(row[3]))}{GAP if row[3] else ''}{words}")
    return lines


def _line(texts: tuple[str, ...], widths: list[int], padded: bool = False) -> str:
    cells = [cut(text, width) for text, width in zip(texts, widths, strict=True)]
    line = GAP.join(
        cell + " " * (width - text_width(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return line if padded else line.rstrip()


def claimed(finding: Finding) -> str:
    """`equivariant, shift 4, border 2`."""
    if finding.claimed == "none":
        return f"none, ended by {visible(finding.ended_by or '')}"
    said = (
        finding.claimed if finding.channels in (None, "scalar") else f"{finding.claimed} ({finding.channels})"
    )
    if finding.shift:
        said += f", shift {per_axis(finding.shift)}"
    if finding.border is not None and None not in finding.border:
        said += f", border {per_axis(finding.border)}"
    return said


def _measured(finding: Finding) -> str:
    """`2e-16, border 2`; what was found where nothing is claimed; why a claim was not measured."""
    if finding.verdict == "found":
        return f"{finding.found}, not claimed"
    if finding.difference is None:
        return finding.reason or ""
    said = "exact" if finding.difference == 0 else f"{finding.difference:.0e}"
    if finding.needed is not None:
        needed = ["–" if border is None else border for border in finding.needed]
        said += f", border {per_axis(needed)}"
    return said


def _summary(found: Verification, style: Style) -> str:
    counts = {verdict: len(found.of(verdict)) for verdict in ("holds", "refuted", "unmeasured", "found")}
    parts = [
        f"{counts['holds']:,} claims hold" if counts["holds"] != 1 else "1 claim holds",
        style.paint(f"{counts['refuted']:,} refuted", RED if counts["refuted"] else DIM),
    ]
    if counts["unmeasured"]:
        parts.append(f"{counts['unmeasured']:,} not measured")
    if counts["found"]:
        parts.append(f"{counts['found']:,} not claimed, but found")
    return ", ".join(parts)
