"""What all pictures of a layer or a unit share: letters, and colours on light and dark pages."""

from __future__ import annotations

from math import cos, pi, sin
from typing import Any

import drawsvg

from archdsl.drawing.lettering import FAMILY

STYLE = f"""
text {{ fill: #24292f; text-anchor: middle; font: 11px {FAMILY} }}
.title {{ font-size: 13px; font-weight: 600; text-anchor: start }}
.note {{ fill: #59636e; font-size: 10px; text-anchor: start }}
.end {{ text-anchor: end }} .start {{ text-anchor: start }}
.letter {{ font-family: "STIX Two Text", "Cambria", "Times New Roman", Times, "Liberation Serif",
  "DejaVu Serif", serif; font-style: italic }}
.low {{ font-size: 68%; font-style: normal }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .note {{ fill: #9aa4ae }} }}
"""

MARGIN = 14.0


def numbered(base: str, below: str, x: float, y: float, size: float, kind: str = "") -> drawsvg.Text:
    """A letter with an index below it; its baseline is at y."""
    text = drawsvg.Text("", rounded(size), rounded(x), rounded(y), class_=f"letter {kind}".strip())
    # The style sheet sets a size, too, and would win over an attribute.
    upright = "" if base.isalpha() else ";font-style:normal"
    text.args["style"] = f"font-size:{rounded(size)}px{upright}"
    text.append(drawsvg.TSpan(base))
    if below:
        text.append(drawsvg.TSpan(below, dy=rounded(size * 0.22), class_="low"))
    return text


def width_of(base: str, below: str, size: float) -> float:
    """How wide that is, rather more than less."""
    return (len(base) * (0.86 if base.isalpha() else 0.64) + len(below) * 0.68 * 0.66) * size


def plain(words: str, x: float, y: float, kind: str) -> drawsvg.Text:
    """Words, as the style sheet has them."""
    return drawsvg.Text(words, 11, rounded(x), rounded(y), class_=kind)


def rounded(number: float) -> float:
    """As many digits as a picture needs."""
    return round(number, 1)


def told_apart(number: int, strong: bool = False) -> tuple[list[str], list[str]]:
    """So many colours, for light and for dark pages: hues in a circle, in turns of lightness where many.

    They are for surfaces with letters on them; `strong` ones are for lines.
    """
    turns = 1 if number <= 9 else 3
    light, dark = [], []
    for k in range(number):
        hue = 250 + 360 * k / max(number, 3)
        shift = (k % turns) * 0.06
        light.append(_hex(0.58, 0.13, hue) if strong else _hex(0.88 - shift, 0.085, hue))
        dark.append(_hex(0.76, 0.12, hue) if strong else _hex(0.42 + shift, 0.09, hue))
    return light, dark


def sheet(light: list[str], dark: list[str], property: str = "fill", kind: str = "c") -> str:
    """The style sheet that gives the classes c1, c2, ... their colours."""

    def rules(colours: list[str]) -> str:
        return " ".join(f".{kind}{k} {{ {property}: {colour} }}" for k, colour in enumerate(colours, 1))

    return f"{rules(light)}\n@media (prefers-color-scheme: dark) {{ {rules(dark)} }}\n"


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


def finished(drawing: Any) -> str:
    """The picture as SVG."""
    return str(drawing.as_svg())
