"""Random programs: every form of the language that makes a network, put together by chance and right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

BLOCKS = """
## A convolution and what follows it.
block ConvBlock(channels, kernel = 3, activation = relu) {
  conv(channels, kernel, padding=same, bias=false) -> batch_norm -> activation
}

block Residual(channels) {
  parallel add {
    residual: {
      ConvBlock(channels, kernel=1)
      conv(channels, kernel=3, padding=1, bias=false) -> batch_norm
    }
    shortcut: if input.channels != channels { conv(channels, kernel=1) }
  }
  relu
}

block Mix(width, depth = 2) {
  parallel concat {
    {}
    wide: { repeat depth { conv(width, kernel=3, padding=1) -> tanh } }
    from input -> ConvBlock(1, kernel=1, activation=leaky_relu(0.2))
  }
}

block Merge(channels) {
  input first, second
  parallel add {
    from first -> conv(channels, kernel=1)
    from second -> ConvBlock(channels)
  }
}

block Halves(channels) {
  conv(2 * channels, kernel=1)
  low, high: split([channels, channels])
  skip: from low -> sigmoid
  output high, skip
}

block Deep(channels, depth) {
  conv(channels, kernel=1)
  if depth > 0 { inner: Deep(channels, depth - 1) } else { gelu }
  add(input)
}
"""
"""Blocks of one input; `Merge` takes two and `Halves` gives two. All keep the extents."""

NAMES = [
    "lambda",
    "forward",
    "type",
    "class",
    "self",
    "x",
    "i",
    "model",
    "torch",
    "nn",
    "F",
    "Tensor",
    "result",
    "parameters",
    "state_dict",
    "training",
    "register_buffer",
    "conv_1",
    "relu_2",
    "conv",
    "relu",
    "stage",
    "stage_1",
    "name",
    "add",
    "eval",
    "OrderedDict",
    "ConvBlock_1",
    "Head",
    "results",
    "x_2",
    "values",
    "modules",
    "print",
    "list",
    "super",
    "append",
    "T_destination",
    "async",
    "match",
    "True_",
    "depth",
    "channels",
]
"""Labels that are near to the words of Python, torch and the lowering."""


@dataclass(frozen=True)
class Value:
    label: str
    channels: int


@dataclass
class Program:
    """Writes one program. Every value has the extents 6 x 6, so that any two can be joined."""

    seed: int
    random: random.Random = field(init=False)
    lines: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    shared: list[Value] = field(default_factory=list)
    channels: int = 0
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def text(self) -> str:
        count = self.random.choice([1, 1, 1, 2])
        for _ in range(count):
            value = Value(self._label(), self.random.randint(1, 4))
            self.values.append(value)
            self._line(f"input {value.label}: [{value.channels}, 6, 6]")
        self._line(f"from {self.values[0].label} -> conv(4, kernel=1)")
        self.channels = 4
        for _ in range(self.random.randint(2, 9)):
            self._statement()
        if self.random.random() < 0.4 and len(self.values) > count:
            chosen = self.random.sample(self.values[count:], min(len(self.values) - count, 3))
            self._line(f"output {', '.join(value.label for value in chosen)}")
        body = "\n".join(f"  {line}" for line in self.lines)
        return f"{BLOCKS}\n## Made by chance.\nnetwork Random {{\n{body}\n}}\n"

    def _line(self, text: str) -> None:
        self.lines.append(text)

    def _label(self, names: Sequence[str] = (*NAMES, *"abcdefgh")) -> str:
        stem = self.random.choice(names)
        label, number = stem, 1
        while self.taken & (around := {label, *(f"{label}_{n}" for n in range(1, 6))}):
            number += 1
            label = f"{stem}{number}"
        self.taken |= around
        return label

    def _width(self) -> int:
        return self.random.choice([2, 3, 4, 6])

    # ------------------------------------------------------------------------ chains

    def _layer(self) -> str:
        """A layer that keeps the channels."""
        return self.random.choice(
            [
                "relu",
                "tanh",
                "batch_norm",
                "dropout(0.3)",
                "prelu",
                "max_pool(3, stride=1, padding=1)",
                "avg_pool(3, stride=1, padding=same)",
                "depthwise_conv(kernel=3, padding=[[2, 0], [1, 1]])",
                "layer_norm",
                "softmax(axis=height)",
                "pad(1, mode=reflect) -> crop(6)",
                "slice(0, 1) -> conv(2, kernel=1) -> select([1, 0, 1])",
            ]
        )

    def _chain(self) -> str:
        """A chain of one to three layers; what it does to the channels is noted."""
        items = []
        for _ in range(self.random.randint(1, 3)):
            kind = self.random.random()
            if kind < 0.4:
                self.channels = self._width()
                kernel = self.random.choice([1, 3])
                items.append(f"conv({self.channels}, kernel={kernel}, padding={kernel // 2})")
            elif kind < 0.6:
                items.append(self._block())
            else:
                layer = self._layer()
                self.channels = 3 if layer.startswith("slice") else self.channels
                items.append(layer)
        return " -> ".join(items)

    def _block(self) -> str:
        width, kind = self._width(), self.random.choice(["ConvBlock", "Residual", "Mix", "Deep"])
        if kind == "Mix":
            self.channels += width + 1
            return f"Mix({width}, depth={self.random.randint(1, 3)})"
        if kind == "Deep":
            return f"Deep({self.channels}, {self.random.randint(0, 2)})"
        self.channels = width
        if kind == "ConvBlock":
            return self.random.choice(
                [f"ConvBlock({width})", f"ConvBlock({width}, 1)", f"ConvBlock({width}, activation=tanh)"]
            )
        return f"{kind}({width})"

    # ------------------------------------------------------------------------ statements

    def _statement(self) -> None:
        """One statement more; it may be the only one of its form, or far from anything like it."""
        forms = [
            self._plain,
            self._plain,
            self._labelled,
            self._labelled,
            self._group,
            self._repeat,
            self._labelled_repeat,
            self._for,
            self._parallel,
            self._parallel_loop,
            self._join,
            self._shared,
            self._several,
            self._choice,
            self._unpool,
            self._skips,
            self._learned,
            self._unused,
        ]
        self.random.choice(forms)()

    def _plain(self) -> None:
        self._line(self._chain())

    def _labelled(self) -> None:
        label = self._label()
        self._line(f"{label}: {self._chain()}")
        self._keep(label)

    def _keep(self, label: str) -> None:
        self.values.append(Value(label, self.channels))

    def _group(self) -> None:
        label = self._label()
        inner = self.random.choice(["inner", "first", "type"])
        self._line(f"{label}: {{")
        self._line(f"  {inner}: {self._chain()}")
        self._line(f"  {self._chain()}")
        self._line("}")
        self._keep(label)

    def _repeat(self) -> None:
        count, width = self.random.randint(1, 4), self.channels
        body = self.random.choice(
            [
                f"Residual({width})",
                f"conv({width}, kernel=3, padding=1) -> relu",
                f"ConvBlock({width}) -> ConvBlock({width + 1}) -> ConvBlock({width})",
                f"parallel add {{ conv({width}, kernel=1) -> relu\n    {{}} }}",
                f"Mix(1) -> conv({width}, kernel=1)",
            ]
        )
        self._line(f"repeat {count} {{ {body} }}")

    def _labelled_repeat(self) -> None:
        label, width = self._label(), self.channels
        self._line(f"{label}: repeat {self.random.randint(1, 3)} {{")
        self._line(f"  skip: conv({width}, kernel=3, padding=1) -> relu")
        self._line(f"  {self.random.choice([f'Residual({width})', 'tanh', f'Deep({width}, 1)'])}")
        self._line("}")
        self._keep(label)
        if self.random.random() < 0.5:
            self._line(f"from {label}.skip -> add")

    def _for(self) -> None:
        label = self._label() if self.random.random() < 0.7 else None
        widths = [self._width() for _ in range(self.random.randint(1, 4))]
        kernels = [self.random.choice([1, 3]) for _ in widths]
        body = self.random.choice(
            [
                "conv(width, kernel, padding=kernel // 2) -> relu",
                "ConvBlock(width, kernel)",
                "Residual(width)",
            ]
        )
        listed = ", ".join(f"[{w}, {k}]" for w, k in zip(widths, kernels, strict=True))
        self._line(f"{label + ': ' if label else ''}for [width, kernel] in [{listed}] {{ {body} }}")
        self.channels = widths[-1]
        if label:
            self._keep(label)

    def _parallel(self) -> None:
        join = self.random.choice(["add", "multiply", "concat", "Merge(3)"])
        branches = 2 if join.startswith("Merge") else self.random.randint(2, 3)
        before, after = self.channels, []
        lines = []
        for _ in range(branches):
            self.channels = before
            text = "{}" if self.random.random() < 0.2 else self._chain()
            if join in ("add", "multiply") and self.channels != before:
                text += f" -> conv({before}, kernel=1)"
                self.channels = before
            label = f"{self._label()}: " if self.random.random() < 0.4 else ""
            if label and text != "{}":
                self._keep(label[:-2])
            lines.append(f"  {label if text != '{}' else ''}{text}")
            after.append(self.channels)
        self._line(f"parallel {join} {{")
        self.lines += lines
        self._line("}")
        self.channels = {"concat": sum(after), "Merge(3)": 3}.get(join, before)

    def _parallel_loop(self) -> None:
        rates = self.random.sample([1, 2, 3, 4], self.random.randint(2, 4))
        body = "conv(2, kernel=3, padding=rate, dilation=rate)"
        body += self.random.choice(["", " -> relu", " -> ConvBlock(2, 1)"])
        self._line(f"parallel concat {{ for rate in {rates} {{ {body} }} }}")
        self.channels = 2 * len(rates)

    def _join(self) -> None:
        other = self.random.choice(self.values)
        kind = self.random.choice(["concat", "add", "from", "Merge"])
        if kind == "add" and other.channels == self.channels:
            self._line(f"add({other.label})")
        elif kind == "from":
            self._line(f"from {other.label}")
            self.channels = other.channels
            self._line("relu")
        elif kind == "Merge":
            more = self.random.choice(self.values)
            self._line(f"from {other.label}, {more.label} -> Merge(4)")
            self.channels = 4
        else:
            self._line(f"concat({other.label})")
            self.channels += other.channels

    def _shared(self) -> None:
        if not self.shared:
            # In a chain, a shared layer that is called as a kind of layer would hide the kind.
            label = self._label("abcdefgh")
            made = self.random.choice(
                ["conv({0}, kernel=3, padding=1)", "ConvBlock({0})", "ConvBlock({0}) -> conv({0}, kernel=1)"]
            )
            self._line(f"shared {label}: {made.format(self.channels)}")
            self.shared.append(Value(label, self.channels))
        head = self.shared[-1]
        self._line(f"conv({head.channels}, kernel=1) -> {head.label}")
        self.channels = head.channels
        if self.random.random() < 0.5:
            self._line(f"repeat {self.random.randint(2, 3)} {{ {head.label} }}")

    def _several(self) -> None:
        width, first, second = self._width(), self._label(), self._label()
        self._line(f"{first}, {second}: Halves({width})")
        self.values += [Value(first, width), Value(second, width)]
        self._line(f"from {second} -> add({first})")
        self.channels = width

    def _choice(self) -> None:
        width = self._width()
        inputs = sum(line.startswith("input ") for line in self.lines)
        test = "input.channels > 2" if inputs == 1 else f"{width} % 2 == 0"
        self._line(f"if {test} {{ conv({width}, kernel=1) }} else {{ ConvBlock({width}) }}")
        self.channels = width

    def _unpool(self) -> None:
        label = self._label()
        self._line(f"{label}: max_pool(2)")
        self._line(f"conv({self.channels}, kernel=3, padding=1) -> max_unpool({label})")

    def _skips(self) -> None:
        down, up = self._label(), self._label()
        self._line(f"{down}: for width in [3, 4, 5] {{")
        self._line("  skip: conv(width, kernel=3, padding=1) -> relu")
        self._line("  conv(width, kernel=3, padding=1)")
        self._line("}")
        self._line(f"{up}: for [width, skip] in zip([5, 4, 3], reverse({down}.skip)) {{")
        self._line("  conv(width, kernel=1) -> concat(skip) -> conv(width, kernel=1) -> relu")
        self._line("}")
        self.channels = 3
        self._keep(up)

    def _learned(self) -> None:
        label = self._label()
        self._line(f"{label}_before: relu")
        self._line(f"{label}: parameter([{self.channels}, 1, 6])")
        self._line(f"from {label}_before, {label} -> multiply")

    def _unused(self) -> None:
        """Layers that reach no output."""
        label, before = self._label(), self.channels
        self._line(f"{label}_kept: identity")
        self._line(f"{label}: {self._chain()}")
        self._line(f"from {label}_kept -> relu")
        self.channels = before
