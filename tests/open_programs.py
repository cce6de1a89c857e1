"""Random programs with open sizes, of layers that fit some sizes only."""

from __future__ import annotations

import random


class OpenProgram:
    """Writes one program, whose input has one or two open extents. Many fit for no size at all."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.axes = self.random.choice([1, 1, 2])
        self.symbols = ("H", "W")[: self.axes]
        self.labels: list[tuple[str, int]] = []
        self.channels = 4

    def text(self) -> str:
        shape = ", ".join(self.extent(symbol) for symbol in self.symbols)
        lines = [f"input x: [4, {shape}]"]
        self.labels.append(("x", 4))
        for number in range(self.random.randint(2, 7)):
            if self.random.random() < 0.3:
                lines.append(self.join())
            else:
                label = f"v{number}"
                lines.append(f"{label}: {self.layer()}")
                self.labels.append((label, self.channels))
        body = "\n".join(f"  {line}" for line in lines)
        return f"network Open {{\n{body}\n}}\n"

    def extent(self, symbol: str) -> str:
        odd = [f"2 * {symbol}", f"{symbol} + 3", f"{symbol} - 2", f"{symbol} // 2 + 1", "6"]
        return symbol if self.random.random() < 0.8 else self.random.choice(odd)

    def join(self) -> str:
        other, channels = self.random.choice(self.labels)
        kind = self.random.choice(["add", "multiply", "concat", "crop"])
        if kind == "crop":
            return f"crop(like={other})"
        if kind == "concat":
            self.channels += channels
            return f"concat({other})"
        self.channels, before = channels, self.channels
        return f"conv({channels}, kernel=1) -> {kind}({other})" if channels != before else f"{kind}({other})"

    def layer(self) -> str:
        r = self.random
        k, s, p, d = r.randint(1, 5), r.randint(1, 3), r.randint(0, 2), r.choice([1, 1, 2])
        before, extent = self.channels, ["length", "height"][self.axes - 1]
        here = f"{self.labels[0][0]}.{extent}"
        kind = r.randrange(20)
        if kind < 4:
            self.channels = r.choice([2, 4, 6])
            mode = r.choice(["", "", ", padding_mode=reflect", ", padding_mode=circular"])
            padding = r.choice([str(p), "same", str(p)])
            return f"conv({self.channels}, kernel={k}, stride={s}, padding={padding}, dilation={d}{mode})"
        if kind < 7:
            ceil = r.choice(["", ", ceil=true"])
            pool = r.choice(["max_pool", "avg_pool"])
            return f"{pool}({k}, stride={s}, padding={min(p, k // 2)}{ceil})"
        if kind == 7:
            self.channels = 4
            return f"conv_transpose(4, kernel={k}, stride={s}, padding={p})"
        if kind == 8:
            return f"upsample({r.choice(['2', '3', '1.5', '0.5', '0.3'])})"
        if kind == 9:
            mode = r.choice(["zeros", "reflect", "replicate", "circular"])
            sides = ", ".join(f"[{r.randint(-2, 3)}, {r.randint(-1, 3)}]" for _ in self.symbols)
            return f"pad([{sides}], mode={mode})"
        if kind == 10:
            return r.choice(
                [f"crop({k})", f"crop({here} - {k})", f"crop({here} // {s})", "crop(3, offset=2)"]
            )
        if kind == 11:
            self.channels = before * s**self.axes
            return f"pixel_unshuffle({s})"
        if kind == 12:
            size = r.choice([12, 36, 48])
            self.channels = size
            rest = ", ".join(["_", *["1"] * (self.axes - 1)])
            return f"reshape([{size}, {rest}])"
        if kind == 13:
            self.channels = 4
            rest = ", ".join([str(r.choice([6, 9, 10]))] * self.axes)
            return f"reshape([4, {rest}])"
        if kind == 14 and self.axes == 2:
            self.channels = 4
            return f"conv(12, kernel=1) -> window_attention(2, window={k})"
        if kind == 14:
            return f"adaptive_avg_pool({k})"
        if kind == 15:
            return f"slice({p}, {p + k}, axis={extent})"
        if kind == 16:
            return f"select([{p}, 0, {k}], axis={extent})"
        if kind == 17:
            low = r.randint(1, 4)
            self.channels = before
            sides = ", ".join(["[0, 1]"] * self.axes)
            return f"pad([{sides}]) -> max_pool({low}, stride={low}) -> upsample({low})"
        if kind == 18 and self.axes == 2:
            return "permute([channels, width, height])"
        if kind == 18:
            label = self.labels[-1][0]
            return f"blur_pool(kernel=3, stride={s}) -> upsample({s})" if label else ""
        return r.choice(["relu", "instance_norm", "global_avg_pool", "softmax(axis=channels)"])
