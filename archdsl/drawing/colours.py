"""The colours of all pictures, each for light and for dark pages."""

from __future__ import annotations

from math import cos, pi, sin

Pair = tuple[str, str]
"""A colour on light pages and on dark ones."""

PALETTE: dict[str, Pair] = {
    "page": ("#ffffff", "#0d1117"),
    # Words, borders and lines, from the strongest to the faintest.
    "text": ("#24292f", "#e6edf3"),
    "quiet": ("#57606a", "#b4bcc4"),
    "edge": ("#6e7781", "#8b949e"),
    "line": ("#8c959f", "#6e7681"),
    "faint": ("#d0d7de", "#3d444d"),
    # Grey: what computes nothing, and inputs.
    "plain": ("#eef1f4", "#2a3038"),
    "input": ("#e4e7ea", "#434a51"),
    "input-light": ("#f3f4f6", "#5a626b"),
    "input-shade": ("#cdd2d7", "#363c42"),
    # Blue: maps, layers with weights, blocks.
    "blue": ("#1f5f99", "#9ccbf5"),
    "map": ("#b6d7f2", "#2c5f8f"),
    "map-light": ("#d8eafa", "#3a76ae"),
    "map-shade": ("#8fbfe8", "#234d75"),
    "layer": ("#d8eafa", "#234d75"),
    "block": ("#c3def5", "#1d3f61"),
    # Orange: vectors, outputs, what changed.
    "orange": ("#9a5b00", "#f6c98a"),
    "vector": ("#f6c98a", "#a8701f"),
    "output": ("#fbe0bd", "#60410f"),
    # Red: skips and joins, what was removed.
    "red": ("#b1365a", "#f28aa6"),
    "join": ("#fbe3ea", "#5a2437"),
    # Green: what was added.
    "green": ("#1f7a3d", "#7fd396"),
    "new": ("#dcf3e0", "#1f4d2d"),
}
"""By role; a style sheet names them as `$role`. Words and what is quiet can be read on every surface."""


def told_apart(number: int, name: str = "c", strong: bool = False) -> dict[str, Pair]:
    """So many colours, called c1, c2 and so on: hues in a circle, in turns of lightness where many.

    They are for surfaces with letters on them; `strong` ones are for lines.
    """
    turns = 1 if number <= 9 else 3
    found = {}
    for k in range(number):
        hue = 250 + 360 * k / max(number, 3)
        shift = (k % turns) * 0.06
        found[f"{name}{k + 1}"] = (
            (_hex(0.58, 0.13, hue), _hex(0.76, 0.12, hue))
            if strong
            else (_hex(0.88 - shift, 0.085, hue), _hex(0.42 + shift, 0.09, hue))
        )
    return found


def neutral(number: int, name: str) -> dict[str, Pair]:
    """So many greys for surfaces with letters, called by a name and 1, 2 and so on, the faintest first."""
    found = {}
    for k in range(number):
        far = (k + 1) / number
        found[f"{name}{k + 1}"] = (_hex(0.97 - 0.15 * far, 0.0, 0), _hex(0.28 + 0.16 * far, 0.0, 0))
    return found


def graded(number: int, name: str) -> dict[str, Pair]:
    """So many colours, called by a name and 1, 2 and so on, from near the page to far from it."""
    found = {}
    for k in range(number):
        far = k / max(number - 1, 1)
        chroma = 0.06 + 0.12 * far
        found[f"{name}{k + 1}"] = (
            _hex(0.93 - 0.45 * far, chroma, 60 - 25 * far),
            _hex(0.36 + 0.42 * far, chroma, 45 + 25 * far),
        )
    return found


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """A colour of OKLCH, in which equal steps look equal."""
    a, b = chroma * cos(hue * pi / 180), chroma * sin(hue * pi / 180)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
    )
    return "#" + "".join(f"{_byte(part):02x}" for part in linear)


def _byte(linear: float) -> int:
    part = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055))
