"""Curves of a run over its steps, as SVG that reads in print, in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 480, 290
LEFT, TOP, RIGHT, BOTTOM = 62, 44, 18, 42

STYLE = """
.curve { overflow: visible; font: 12px system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif }
.curve text { fill: #24292f } .curve .mark { fill: #59636e }
.curve .title { font-size: 14px; font-weight: 600 }
.curve .grid { stroke: #d8dee4 } .curve .line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.curve .training { stroke: #1f6feb } .curve .test { stroke: #c4500c } .curve .dash { stroke-dasharray: 5 3 }
.curve .ground { fill: #fff }
.curve .point { fill: transparent; stroke: none } .curve .point:hover { fill: currentColor }
@media (prefers-color-scheme: dark) {
.curve text { fill: #e6edf3 } .curve .mark { fill: #9aa4ae } .curve .grid { stroke: #3a424b }
.curve .ground { fill: #0d1117 }
.curve .training { stroke: #6cb0ff } .curve .test { stroke: #ff9d5c }
}
"""


class Line(NamedTuple):
    """A line of a curve: steps and values. `look` is `training` or `test`, which is dashed, too."""

    name: str
    look: str
    points: Sequence[tuple[int, float]]


def curve(
    title: str, lines: Sequence[Line], percent: bool = False, last: int | None = None, pointed: bool = True
) -> str:
    """A picture of up to two lines, from 0 up, to step `last` (or that of the last point).

    A value in percent is a fraction. What each line came to stands in the legend; where it may be `pointed`
    at, each point says what it is.
    """
    points = [point for line in lines for point in line.points]
    end = max(last or 0, max((step for step, _ in points), default=0), 1)
    top = max((value for _, value in points), default=0.0)
    gap = 0.2 if percent and top > 0.5 else _gap(top or 1.0, 5)
    top = max(gap * ceil(top / gap - 1e-9), gap)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(step: int, value: float) -> tuple[float, float]:
        return round(LEFT + wide * step / end, 1), round(TOP + high * (1 - value / top), 1)

    drawn = [f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>']
    for number in range(round(top / gap) + 1):
        _, y = place(0, number * gap)
        drawn.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        mark = _shown(number * gap, percent)
        drawn.append(f'<text class="mark" x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{mark}</text>')
    across = max(1, round(_gap(end, 4)))
    for step in range(0, end + 1, across):
        x, _ = place(step, 0)
        drawn.append(
            f'<text class="mark" x="{x}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{step:,}</text>'
        )
    drawn.append(
        f'<text class="mark" x="{LEFT + wide / 2}" y="{HEIGHT - 6}" text-anchor="middle">steps</text>'
    )
    at = LEFT
    for line in lines:
        dash = " dash" if line.look == "test" else ""
        path = " ".join("{},{}".format(*place(*point)) for point in line.points)
        drawn.append(f'<polyline class="line {line.look}{dash}" points="{path}"/>')
        if len(line.points) == 1:
            x, y = place(*line.points[0])
            drawn.append(f'<circle class="line {line.look}" cx="{x}" cy="{y}" r="3"/>')
        now = _shown(line.points[-1][1], percent, exact=True) if line.points else ""
        drawn.append(f'<path class="line {line.look}{dash}" d="M{at} 30h20"/>')
        drawn.append(f'<text x="{at + 26}" y="34">{escape(line.name)} {now}</text>')
        at += 210
        for step, value in line.points if pointed else ():
            x, y = place(step, value)
            said = f"step {step:,}: {line.name} {_shown(value, percent, exact=True)}"
            drawn.append(
                f'<circle class="point" cx="{x}" cy="{y}" r="4"><title>{escape(said)}</title></circle>'
            )
    return "\n".join(
        [
            f'<svg class="curve" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">',
            *drawn,
            "</svg>",
        ]
    )


def alone(picture: str) -> str:
    """A picture as a file of its own."""
    head, rest = picture.split(">", 1)
    ground = f'<rect class="ground" x="-12" y="-10" width="{WIDTH + 24}" height="{HEIGHT + 20}"/>'
    head = head.replace(
        f'"0 0 {WIDTH} {HEIGHT}"', f'"-12 -10 {WIDTH + 24} {HEIGHT + 20}" width="756" height="465"'
    )
    return f"{head}>\n<style>{STYLE}</style>\n{ground}{rest}\n"


def _gap(top: float, most: int) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that parts `top` into at most so many gaps."""
    power = 10.0 ** floor(log10(top / most))
    return next(power * times for times in (1, 2, 5, 10, 20) if power * times * most >= top * (1 - 1e-9))


def _shown(value: float, percent: bool, exact: bool = False) -> str:
    if percent:
        return f"{value:.2%}" if exact else f"{100 * value:.3g} %"
    if 1_000 <= value < 1_000_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
