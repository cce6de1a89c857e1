"""Small convolutions as matrix products.

A library's convolution on the CPU costs more to call than a small one costs to compute. Laid out as
windows (`[N, C, L]` becomes `[N P, C K]` for `P` positions and a kernel of `K`; Chellapilla, Puri and
Simard 2006), the same sums are one matrix product, and a compiler fuses the laying out with what
stands before it. The windows hold every value up to `K` times, so large convolutions stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

LARGEST = 1 << 17
"""Values in the windows above which a library's convolution is about as fast."""


class SmallConvolutionsAsProducts(TorchFunctionMode):
    """While this is active, small convolutions of whatever is called are computed over windows."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in (torch.conv1d, torch.conv2d, torch.conv3d):
            return _convolution(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _convolution(
    function: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    kernel = tuple(weight.shape[2:])
    axes = len(kernel)
    steps, gaps = _per_axis(stride, axes), _per_axis(dilation, axes)
    sides = _sides(padding, kernel, gaps)
    spans = [gap * (k - 1) + 1 for k, gap in zip(kernel, gaps, strict=True)]
    places = [
        (extent + sum(side) - span) // step + 1
        for extent, side, span, step in zip(input.shape[-axes:], sides, spans, steps, strict=True)
    ]
    batched = input.dim() == axes + 2
    if groups > 1 or not batched or len(input) * prod(places) * weight[0].numel() > LARGEST:
        return function(input, weight, bias, stride, padding, dilation, groups)
    # torch.nn.functional.pad counts the axes from the last.
    x = F.pad(input, [n for side in reversed(sides) for n in side]) if any(map(any, sides)) else input
    x = x.movedim(1, -1)
    for axis, (k, gap, step, count) in enumerate(zip(kernel, gaps, steps, places, strict=True), 1):
        x = torch.stack([_taken(x, axis, i * gap, step, count) for i in range(k)], dim=axes + 1 + axis - 1)
    x = x.reshape(-1, weight[0].numel())
    products = x @ weight.movedim(1, -1).reshape(len(weight), -1).t()
    if bias is not None:
        products = products + bias
    return products.reshape(len(input), *places, len(weight)).movedim(-1, 1)


def _taken(x: Tensor, axis: int, start: int, step: int, count: int) -> Tensor:
    """Every `step`th value along an axis, `count` of them from `start` on."""
    return x[(slice(None),) * axis + (slice(start, start + step * (count - 1) + 1, step),)]


def _per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _sides(
    padding: str | int | Sequence[int], kernel: Sequence[int], gaps: Sequence[int]
) -> list[tuple[int, int]]:
    """The padding before and after, for each axis; torch puts the odd one of `same` at the end."""
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if isinstance(padding, str):
        totals = [gap * (k - 1) for k, gap in zip(kernel, gaps, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(n, n) for n in _per_axis(padding, len(kernel))]
