"""Examples as small pictures for a page: signals as lines, maps of classes in colours."""

from __future__ import annotations

import base64
import colorsys
import io
from html import escape

import torch
from torch import Tensor

LARGEST = 96
"""Pixels that a picture has at most, each way."""
GREY = (128, 128, 128)
LINES = 6
"""Channels of a signal that are drawn."""


def thumbnails(examples: Tensor) -> list[str]:
    """A picture as HTML for each of some examples `[n, *shape]`, all in one scale.

    Of several slices or feature maps it is the middle or first one. Empty where there is nothing to draw, or
    where Pillow, which makes pictures, is not installed.
    """
    if not len(examples):
        return []
    low, high = examples.min().item(), examples.max().item()
    if 0 <= low and high <= 1:
        low, high = 0.0, 1.0
    scaled = (examples - low) / max(high - low, 1e-12)
    if scaled.dim() == 2:
        return [_signal(one[None]) for one in scaled]
    if scaled.dim() == 3:
        return [_signal(one) for one in scaled]
    if scaled.dim() == 5:
        scaled = scaled[:, :, scaled.shape[2] // 2]
    if scaled.dim() != 4:
        return [""] * len(examples)
    shown = scaled if scaled.shape[1] == 3 else scaled[:, :1].expand(-1, 3, -1, -1)
    return [_picture((one * 255).round().to(torch.uint8), "an example") for one in shown]


def class_map(labels: Tensor, classes: int, what: str) -> str:
    """A map of classes `[rows, columns]` as HTML, a colour a class; the first is black, what is none grey."""
    colours = [(0, 0, 0)]
    for number in range(1, classes):
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.65, 0.95)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    palette = torch.tensor([*colours, GREY], dtype=torch.uint8)
    rows = labels if labels.dim() == 2 else labels.reshape(1, -1)
    none = (rows < 0) | (rows >= classes)
    return _picture(palette[rows.masked_fill(none, classes)].movedim(-1, 0), what)


def _signal(channels: Tensor) -> str:
    """A signal `[channels, positions]`, whose values are from 0 to 1."""
    points = channels.shape[-1]
    lines = []
    for values in channels[:LINES].tolist():
        at = " ".join(
            f"{LARGEST * i / max(points - 1, 1):.1f},{LARGEST * (1 - v):.1f}" for i, v in enumerate(values)
        )
        lines.append(f'<polyline class="signal" points="{at}"/>')
    return f'<svg viewBox="0 0 {LARGEST} {LARGEST}" role="img" aria-label="a signal">{"".join(lines)}</svg>'


def _picture(pixels: Tensor, what: str) -> str:
    """Bytes `[3, rows, columns]`."""
    try:
        from PIL import Image
    except ImportError:
        return ""
    picture = Image.fromarray(pixels.movedim(0, -1).contiguous().numpy())
    picture.thumbnail((LARGEST, LARGEST))
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(what)}">'
