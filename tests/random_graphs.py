"""Random networks: descriptions as those of `tests/oracle/`, and the same as programs."""

from __future__ import annotations

import random
from typing import Any

Node = dict[str, Any]


class Grower:
    """Adds layers at random to a network along one or two axes, all of whose branches lead to its end."""

    def __init__(self, seed: int, axes: int) -> None:
        self.random = random.Random(seed * 10 + axes)
        self.axes = axes
        extent = {1: (48, 90), 2: (20, 30)}[axes]
        shape = [self.random.randint(1, 2), *(self.random.randint(*extent) for _ in range(axes))]
        self.nodes: list[Node] = [
            {"id": "input", "op": "input", "in": [], "args": {"shape": shape}, "out": shape}
        ]

    def add(self, op: str, before: list[str], shape: list[int], /, **args: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append({"id": name, "op": op, "in": before, "args": args, "out": shape})
        return name

    def shape(self, name: str) -> list[int]:
        return list(next(node["out"] for node in self.nodes if node["id"] == name))

    def each(self, low: int, high: int) -> list[int]:
        """A number for each axis."""
        return [self.random.randint(low, high) for _ in range(self.axes)]

    def windowed(self, op: str, before: str) -> str:
        """A convolution or pooling."""
        channels, *size = self.shape(before)
        k, s = self.each(1, 5), self.each(1, 2)
        d = [self.random.choice([1, 1, 2, 3]) for _ in k] if op != "avgpool" else [1] * len(k)
        most = [(kernel if op == "conv" else kernel // 2) for kernel in k]
        pad = [[self.random.randint(0, m), self.random.randint(0, m)] for m in most]
        if min(size) < 12:
            s = [1] * self.axes
            pad = [[(kernel - 1) // 2] * 2 for kernel in k] if op != "conv" else pad
        out = [
            (n + sum(p) - (kernel - 1) * dilation - 1) // step + 1
            for n, p, kernel, dilation, step in zip(size, pad, k, d, s, strict=True)
        ]
        if min(out) < 5:
            return before
        if op == "conv":
            width = self.random.randint(1, 3)
            return self.add(
                op, [before], [width, *out], out=width, k=k, s=s, pad=pad, d=d, groups=1, bias=True
            )
        return self.add(op, [before], [channels, *out], k=k, s=s, pad=pad, d=d, ceil=False)

    def transposed(self, before: str) -> str:
        """Kernels are no smaller than strides along two axes: there, units that see nothing hide an axis."""
        size = self.shape(before)[1:]
        if max(size) > {1: 120, 2: 36}[self.axes]:
            return before
        s = self.each(1, 3 if self.axes == 1 else 2)
        k = [self.random.randint(1 if self.axes == 1 else step, 4) for step in s]
        d = self.each(1, 2) if self.axes == 1 else [1, 1]
        p = [self.random.randint(0, (kernel - 1) // 2) for kernel in k]
        extra = [self.random.randint(0, max(step, dilation) - 1) for step, dilation in zip(s, d, strict=True)]
        out = [
            (n - 1) * step + (kernel - 1) * dilation + 1 - 2 * pad + more
            for n, step, kernel, dilation, pad, more in zip(size, s, k, d, p, extra, strict=True)
        ]
        args = {"out": 2, "k": k, "s": s, "p": p, "output_padding": extra, "d": d, "groups": 1, "bias": True}
        return self.add("conv_transpose", [before], [2, *out], **args)

    def upsampled(self, before: str) -> str:
        channels, *size = self.shape(before)
        if max(size) > {1: 100, 2: 30}[self.axes]:
            return before
        scale = self.each(1, 3 if self.axes == 1 else 2)
        out = [n * factor for n, factor in zip(size, scale, strict=True)]
        mode = self.random.choice(["nearest", "linear"])
        args = {"scale": scale, "mode": mode, "align_corners": False}
        return self.add("upsample", [before], [channels, *out], **args)

    def cropped(self, before: str, size: list[int]) -> str:
        channels, *own = self.shape(before)
        if own == size:
            return before
        lo = [self.random.randint(0, n - m) for n, m in zip(own, size, strict=True)]
        hi = [n - m - low for n, m, low in zip(own, size, lo, strict=True)]
        return self.add("crop", [before], [channels, *size], lo=lo, hi=hi)

    def joined(self, left: str, right: str) -> str:
        """Two values, cropped to what both have, added or set side by side."""
        if left == right:
            return left
        size = [min(pair) for pair in zip(self.shape(left)[1:], self.shape(right)[1:], strict=True)]
        left, right = self.cropped(left, size), self.cropped(right, size)
        a, b = self.shape(left)[0], self.shape(right)[0]
        if self.random.random() < 0.5:
            return self.add("concat", [left, right], [a + b, *size])
        if a != b:
            args = {"k": [1] * self.axes, "s": [1] * self.axes, "pad": [[0, 0]] * self.axes}
            right = self.add(
                "conv", [right], [a, *size], out=a, d=[1] * self.axes, groups=1, bias=False, **args
            )
        return self.add("add", [left, right], [a, *size])

    def step(self, before: str) -> str:
        kind = self.random.choice(
            ["conv", "conv", "conv", "maxpool", "avgpool", "act", "crop", "transposed", "upsample", "branch"]
        )
        if kind in ("conv", "maxpool", "avgpool"):
            return self.windowed(kind, before)
        if kind == "act":
            return self.add("act", [before], self.shape(before), fn="relu")
        if kind == "crop":
            size = self.shape(before)[1:]
            return self.cropped(before, [n - self.random.randint(0, 2) for n in size])
        if kind == "transposed":
            return self.transposed(before)
        if kind == "upsample":
            return self.upsampled(before)
        left = self.step(before)
        right = before
        for _ in range(self.random.randint(0, 2)):
            right = self.step(right)
        return self.joined(left, right)


def random_graph(seed: int, axes: int) -> list[Node]:
    """A network of a few layers and branches."""
    grower = Grower(seed, axes)
    last = "input"
    for _ in range(grower.random.randint(3, 7)):
        last = grower.step(last)
    if last == "input":
        last = grower.windowed("conv", "input")
    return grower.nodes
