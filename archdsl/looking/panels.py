"""Inputs and what is found in them as small pictures for a sheet."""

from __future__ import annotations

import io

import torch
from torch import Tensor

from archdsl.drawing.sheet import Curves, Pixels

LARGEST = 192
"""Pixels that a picture has at most, each way."""


def of_input(x: Tensor, low: Tensor, high: Tensor) -> Pixels | Curves:
    """An input `[channels, *extents]`, or a vector, whose channels go from `low` to `high`."""
    scaled = ((x - low) / (high - low)).clamp(0, 1)
    if x.dim() <= 2:
        ends = low.min().item(), high.max().item()
        zero = -ends[0] / (ends[1] - ends[0])
        whole = (x - ends[0]) / (ends[1] - ends[0])
        return _curves(whole, zero if 0 <= zero <= 1 else None)
    return pixels(_plane(scaled))


def ends_of(low: Tensor, high: Tensor) -> str:
    """What the lower and the upper edge of a signal's curve stand for."""
    return f"{low.min().item():.3g} to {high.max().item():.3g}"


def of_signed(x: Tensor) -> Pixels | Curves:
    """What has a sign, in the shape of an input: zero is in the middle, the greatest size at the edge."""
    scaled = 0.5 + 0.5 * x / x.abs().max().clamp_min(1e-30)
    return _curves(scaled, 0.5) if x.dim() <= 2 else pixels(_plane(scaled))


def pixels(picture: Tensor, largest: int | None = LARGEST) -> Pixels:
    """A picture of numbers from 0 to 1: `[rows, columns]` in grey, or `[3, rows, columns]`.

    One that is larger is shown smaller; with None each number is a pixel. Raises `ImportError` where Pillow
    is not installed.
    """
    from PIL import Image

    values = (picture.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    made = Image.fromarray((values if values.dim() == 2 else values.movedim(0, -1)).contiguous().numpy())
    if largest is not None:
        made.thumbnail((largest, largest))
    file = io.BytesIO()
    made.save(file, "PNG", optimize=True)
    return Pixels(file.getvalue(), *made.size)


def _plane(x: Tensor) -> Tensor:
    """What is shown of `[channels, *extents]`: of a volume its middle slice, of channels that are no colours
    their mean."""
    while x.dim() > 3:
        x = x[:, x.shape[1] // 2]
    return x if len(x) == 3 else x.mean(0)


def _curves(x: Tensor, zero: float | None) -> Curves:
    channels = x.detach().cpu().clamp(0, 1).reshape(-1, x.shape[-1])
    return Curves(tuple(tuple(round(v, 4) for v in channel) for channel in channels.tolist()), zero)
