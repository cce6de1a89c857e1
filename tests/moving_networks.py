"""Random networks whose values answer to shifts, turns and reflections in many ways, or cease to.

`Grower(seed).text()` writes one. A layer is drawn with arguments by chance, and drawn again where it does not
fit what it reads. Five families share most layers: plain ones along one to three axes, those whose layers are
alike from both ends, those over a group, harmonic ones, and those in polar coordinates.
"""

from __future__ import annotations

import random
from math import prod

from archdsl.compiler import read
from archdsl.source import Source

Shape = tuple[int, ...]
Line = tuple[str, str]
"""Labels, and what stands behind the colon."""

FAMILIES = ("plain", "plain", "plain", "even", "even", "group", "harmonic", "polar")
EXTENTS = {1: (24, 31, 32, 48), 2: (8, 9, 12, 16), 3: (5, 6, 8)}
"""Of inputs, by how many axes they have: small, so that thousands of networks can be run."""
MOST_NUMBERS = 12_000
"""The largest value that is kept."""
TRIES = 200
"""How many statements are drawn before a network is taken as it is."""

POINTWISE = (
    "tanh", "relu", "gelu", "sigmoid", "prelu", "prelu(per_channel=true)", "leaky_relu(0.2)", "identity",
    "dropout", "channel_dropout", "batch_norm", "layer_scale", "softmax", "log_softmax", "layer_norm",
    "local_response_norm(3)", "channel_shuffle(2)", "select([1, 0])", "select([0, 0, 1])", "slice(0, 2)",
    "conv(4, kernel=1)", "conv(6, kernel=1, groups=2)", "depthwise_conv(kernel=1)",
)  # fmt: skip
WHOLE = (
    "instance_norm", "instance_norm(affine=true)", "group_norm(1)", "group_norm(2)", "layer_norm(axis=all)",
    "layer_norm(axis=all, affine=false)", "softmax(axis={axis})", "global_avg_pool", "global_max_pool",
    "flatten", "adaptive_avg_pool(1)", "adaptive_max_pool(1)",
)  # fmt: skip
WINDOWS = (
    "conv({c}, kernel={k}, stride={s}, padding={pad}, dilation={d}, padding_mode={mode})",
    "conv({c}, kernel={k}, padding={half}, padding_mode={mode})",
    "conv({c}, kernel={thin}, stride={s}, padding={pad}, padding_mode={mode})",
    "conv({c}, kernel=1, stride={s})",
    "depthwise_conv(kernel={k}, stride={s}, padding={half}, padding_mode={mode})",
    "conv_transpose({c}, kernel={k}, stride={s}, padding={small}, output_padding={small}, dilation={d})",
    "conv_transpose({c}, kernel=2, stride=2)", "conv_transpose({c}, kernel=4, stride=2, padding=1)",
    "max_pool({k}, stride={s}, padding={pad}, ceil={bool})", "max_pool(2)",
    "max_pool(3, stride={s}, padding=1)", "max_pool({k}, stride={s}, dilation={d})",
    "avg_pool({k}, stride={s}, padding={pad}, ceil={bool}, count_padding={bool})", "avg_pool(2)",
    "lp_pool(2, kernel={k}, stride={s})", "stochastic_pool({k}, stride={s})",
    "blur_pool(padding_mode={mode})", "blur_pool({k}, stride={s}, padding_mode={mode})",
    "subsample({s})", "adaptive_avg_pool({n})", "adaptive_max_pool({n})",
    "upsample(2)", "upsample({s})", "upsample({scale}, mode={up})", "upsample(2, mode={up})",
    "upsample(size={n}, mode={up}, align_corners={bool})",
    "pad({small}, mode={mode})", "pad({sides}, mode={mode})", "pad(1, mode={mode})", "crop({n})",
    "crop({n}, offset={small})", "slice(1, {end}, axis={axis})", "slice(0, {end}, axis={axis})",
    "select([1, 0, 2], axis={axis})", "select([0, 2, 4], axis={axis})",
    "pixel_shuffle(2)", "pixel_unshuffle(2)", "diff_stride(1.5)", "diff_stride(2)",
    "njet_conv({c}, reach=1)", "scale_invariant_conv({c}, kernel=3, scales=[0.5, 1], padding=1)",
    "reshape([_, 2])", "permute({order})",
)  # fmt: skip
EVEN = (
    "avg_pool(3, stride=1, padding=1)", "max_pool(3, stride=1, padding=1)", "avg_pool(2)", "max_pool(2)",
    "avg_pool(3, stride=2)", "max_pool(3, stride=2, padding=1)", "blur_pool", "blur_pool(stride=1)",
    "upsample(2)", "upsample(2, mode=linear)", "upsample({scale}, mode={up})", "pad(1)",
    "pad(1, mode={mode})", "adaptive_avg_pool({n})", "adaptive_max_pool({n})", "crop({n})", "subsample(2)",
    "conv(4, kernel=1, stride=2)", "conv(4, kernel=1, padding=1)",
    "conv(4, kernel={thin}, padding_mode={mode})", "slice(1, {end}, axis={axis})", "instance_norm",
    "layer_norm(axis=all, affine=false)", "max_pool({k}, stride={s}, padding={half}, ceil={bool})",
    "softmax(axis={axis})", "upsample(size={n}, mode={up}, align_corners={bool})",
)  # fmt: skip
GROUP = (
    "group_conv(1, kernel=3, padding=1, group={group})", "group_conv(1, kernel=2, group={group})",
    "group_conv(1, kernel={one}, padding={pad}, group={group})",
    "group_conv(2, kernel=3, stride=2, padding=1, group={group})",
    "group_batch_norm(group={group})", "group_pool(group={group})", "group_pool(group={group}, mode=mean)",
    "lifting_conv(1, kernel=3, padding=1, group={group})", "tanh", "relu", "instance_norm",
)  # fmt: skip
HARMONIC = (
    "harmonic_conv(2, kernel=3, padding=1)", "harmonic_conv(2, kernel=3, input_orders=[0, 1], padding=1)",
    "harmonic_conv(2, kernel={one}, input_orders=[0, 1], padding={pad})",
    "harmonic_conv(1, kernel=5, orders=[0, 1, 2], padding=2)",
    "harmonic_conv(2, kernel=3, input_orders=[0, 1], stride=2, padding=1)",
    "harmonic_relu", "harmonic_norm", "magnitude", "layer_scale", "avg_pool(2)", "pad(1)", "crop({n})",
)  # fmt: skip
POLAR = (
    "pad([1, 0], mode=circular)", "conv(2, kernel=3, padding=[0, 1])", "max_pool([2, 1])",
    "conv(2, kernel=3, stride=2, padding=[0, 1])", "conv(3, kernel=[1, 3])",
    "conv(2, kernel=3, padding=1, padding_mode=circular)", "avg_pool([1, 2])", "upsample(2)",
    "blur_pool(padding_mode=circular)", "slice(0, 4, axis=width)", "slice(0, 8, axis=height)",
    "global_max_pool",
)  # fmt: skip
POOLS = {"plain": (), "even": EVEN, "group": GROUP, "harmonic": HARMONIC, "polar": POLAR}
MODES = ("zeros", "zeros", "circular", "circular", "reflect", "replicate")
AXES = {0: ("channels",), 1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class Grower:
    """Writes one network, a line a value. `shapes` has those that there are, in order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.family = FAMILIES[seed % len(FAMILIES)]
        self.shapes: dict[str, Shape] = {}
        self.lines: list[str] = []
        self.labels = 0
        self.group = self.random.choice(("p4", "p4m"))
        self.modes = ("circular",) if self.random.random() < 0.3 else MODES
        """What padding is filled with: in some networks a ring is to stay one."""

    def text(self, layers: int = 8) -> str:
        """The program; the last statement may make it a few layers longer."""
        self._begin()
        for _ in range(TRIES):
            if len(self.lines) >= layers:
                break
            self._statement()
        return "network Moving {\n  " + "\n  ".join([*self.inputs, *self.lines]) + "\n}\n"

    def _begin(self) -> None:
        square = self.family not in ("plain", "even")
        axes = 2 if square else self.random.choice((1, 2, 2, 2, 3))
        extents = [self.random.choice(EXTENTS[axes])] * axes
        if not square and self.random.random() < 0.3:
            extents[self.random.randrange(axes)] += self.random.randint(1, 4)
        self.shapes["x"] = (1 if self.family == "polar" else self.random.choice((1, 2, 4)), *extents)
        if self.random.random() < 0.1:
            self.shapes["y"] = (3,) if self.random.random() < 0.5 else self.shapes["x"]
        self.inputs = [f"input {name}: {list(shape)}" for name, shape in self.shapes.items()]
        if self.family == "even":
            # After a first convolution with a kernel of its own form nothing is claimed of turns.
            self._add("conv(4, kernel=1)", "x")
        elif self.family == "group":
            self._add(f"lifting_conv(2, kernel=3, padding=1, group={self.group})", "x")
        elif self.family == "harmonic":
            self._add("harmonic_conv(2, kernel=3, padding=1)", "x")
        elif self.family == "polar":
            angles = self.random.choice((12, 16, 18))
            self._add("centroid", "x")
            self._add(f"log_polar([{angles}, 8], origin={self.last})", "x")

    # ------------------------------------------------------------------------ lines

    @property
    def last(self) -> str:
        return next(reversed(self.shapes))

    def _label(self) -> str:
        self.labels += 1
        return f"v{self.labels}"

    def _add(self, layer: str, *reads: str) -> None:
        self._fits((self._label(), f"from {', '.join(reads)} -> {layer}"))

    def _fits(self, *lines: Line) -> None:
        """Add lines, if they fit what they read."""
        made_of = " ".join(made.translate(str.maketrans("=(,)", "    ")) for _, made in lines).split()
        body = [f"input {name}: {list(shape)}" for name, shape in self.shapes.items() if name in made_of]
        added = [f"{labels}: {made}" for labels, made in lines]
        text = "\n".join(["network Lines {", *(body or ["input x: [1]"]), *added, "}"])
        network = read(Source("lines", text)).compile().network
        if network is None:
            return
        found: dict[str, Shape] = {}
        for (labels, _), node in zip(lines, network.nodes[-len(lines) :], strict=True):
            shapes = [tuple(int(str(extent)) for extent in shape) for shape in node.shapes]
            # The places of a max_pool's maxima have no label.
            found |= dict(zip(labels.split(", "), shapes, strict=False))
        if all(prod(shape) <= MOST_NUMBERS for shape in found.values()):
            self.shapes |= found
            self.lines += added

    # ------------------------------------------------------------------------ arguments

    def _each(self, low: int, high: int, axes: int) -> str:
        """One number for all axes, or one an axis."""
        if self.random.random() < 0.65:
            return str(self.random.randint(low, high))
        return str([self.random.randint(low, high) for _ in range(axes)])

    def _sides(self, axes: int, least: int) -> str:
        return str([[self.random.randint(least, 2), self.random.randint(least, 2)] for _ in range(axes)])

    def _padding(self, axes: int) -> str:
        drawn = ("0", "same", self._each(0, 2, axes), self._sides(axes, 0))
        return self.random.choices(drawn, (6, 4, 5, 5))[0]

    def _extents(self, extent: int, axes: int) -> str:
        """Extents of a result: near to those there are, or small."""
        if self.random.random() < 0.5:
            return self._each(max(1, extent - 4), extent + 1, axes)
        return self._each(1, 6, axes)

    def _filled(self, layer: str, shape: Shape) -> str:
        """A layer with a word for each of its gaps."""
        axes = max(1, len(shape) - 1)
        extent = max(shape[1:], default=1)
        order = self.random.sample(range(axes + 1), axes + 1)
        words = {
            "k": self._each(1, 4, axes),
            "s": self._each(1, 3, axes),
            "d": self.random.choice(("1", "1", self._each(1, 2, axes))),
            "pad": self._padding(axes),
            "half": self.random.choice(("same", "1", "1")),
            "small": self._each(0, 1, axes),
            "sides": self._sides(axes, -1),
            "thin": str([*[self.random.choice((1, 3)) for _ in range(axes - 1)], 1]),
            "one": str(self.random.randint(2, 4)),
            "c": str(self.random.choice((2, 3, 4))),
            "n": self._extents(extent, axes),
            "end": str(extent - self.random.randint(0, 2)),
            "axis": self.random.choice(AXES[axes]),
            "scale": self.random.choice(("1.5", "2.5", "0.5", "3", "1.25", "0.75")),
            "up": self.random.choice(("nearest", "linear", "linear", "cubic")),
            "mode": self.random.choice(self.modes),
            "bool": self.random.choice(("true", "false")),
            "group": self.group,
            "order": str(order if order != sorted(order) else order[::-1]),
        }
        return layer.format(**words)

    # ------------------------------------------------------------------------ statements

    def _statement(self) -> None:
        forms = (
            self._step, self._join, self._fitted, self._gate, self._unpool,
            self._steered, self._attend, self._learned, self._cut,
        )  # fmt: skip
        self.random.choices(forms, (20, 3, 3, 2, 2, 1, 1, 1, 1))[0]()

    def _from(self) -> str:
        """Mostly the last value; sometimes another one, so that there are branches."""
        return self.last if self.random.random() < 0.75 else self.random.choice(list(self.shapes))

    def _step(self) -> None:
        before = self._from()
        weights = {"plain": (3, 8, 1, 0), "even": (3, 3, 1, 8)}.get(self.family, (2, 1, 1, 12))
        pools = (POINTWISE, WINDOWS, WHOLE, POOLS[self.family])
        pool = self.random.choices(pools, weights)[0]
        self._add(self._filled(self.random.choice(pool), self.shapes[before]), before)

    def _alike(self, name: str, channels: bool) -> str:
        """Another value of the same extents, if there is one; of as many channels, too, if so wanted."""
        first = 0 if channels else 1
        wanted = self.shapes[name][first:]
        found = [other for other, shape in self.shapes.items() if shape[first:] == wanted and other != name]
        return self.random.choice(found or [name])

    def _join(self) -> None:
        name, kind = self._from(), self.random.choice(("add", "subtract", "multiply", "concat", "concat"))
        other = self._alike(name, kind != "concat")
        if kind == "concat" and self.random.random() < 0.3:
            kind = self._filled("concat(axis={axis})", self.shapes[name])
        if kind != "subtract" or other != name:
            # A value less itself leaves rounding, of which a maximum may lie anywhere.
            self._add(kind, name, other)

    def _fitted(self) -> None:
        """A branch brought to the extents of another, and joined with it."""
        name, other = self._from(), self.random.choice(list(self.shapes))
        size = list(self.shapes[other][1:])
        if name == other or not size or len(self.shapes[name]) != len(self.shapes[other]):
            return
        label = self._label()
        way = self.random.choice((
            f"crop(like={other})", f"upsample(size={size})", f"upsample(size={size}, mode=linear)",
            f"adaptive_avg_pool({size})", f"adaptive_max_pool({size})",
        ))  # fmt: skip
        join = self.random.choice(("concat", "add"))
        self._fits((label, f"from {name} -> {way}"), (self._label(), f"from {label}, {other} -> {join}"))

    def _gate(self) -> None:
        name, pooled, gate = self._from(), self._label(), self._label()
        pool = self.random.choice(("global_avg_pool", "global_max_pool", "adaptive_avg_pool(1)"))
        between = self.random.choice(("sigmoid", "tanh", "depthwise_conv(kernel=1)"))
        join = self.random.choice(("multiply", "add"))
        self._fits(
            (pooled, f"from {name} -> {pool}"),
            (gate, f"from {pooled} -> {between}"),
            (self._label(), f"from {name}, {gate} -> {join}"),
        )

    def _unpool(self) -> None:
        name, pool, middle = self._from(), self._label(), self._label()
        windows = ("max_pool(2)", "max_pool({k}, stride={s}, padding={half})", "max_pool({k}, stride={s})")
        layer = self._filled(self.random.choice(windows), self.shapes[name])
        between = self.random.choice(("tanh", "batch_norm", "layer_scale"))
        self._fits(
            (pool, f"from {name} -> {layer}"),
            (middle, f"from {pool} -> {between}"),
            (self._label(), f"from {middle} -> max_unpool({pool})"),
        )

    def _steered(self) -> None:
        """A layer that takes a further value: filters, a guide, a mask or offsets."""
        name = self._from()
        channels, *size = self.shapes[name]
        source, guide, taps = self._alike(name, False), self._label(), 3 ** len(size)
        if self.random.random() < 0.2:
            pooled, flat = self._label(), self._label()
            self._fits(
                (pooled, f"from {source} -> global_avg_pool"),
                (flat, f"from {pooled} -> flatten"),
                (guide, f"from {flat} -> linear({2 * channels * taps})"),
                (self._label(), f"from {name} -> dynamic_conv(2, kernel=3, padding=1, filters={guide})"),
            )
            return
        moves = len(size) * taps
        layer, window, takes = self.random.choice((
            (f"conv({taps}, kernel=1)", "local_filter(kernel=3", "filters"),
            ("tanh", "pixel_adaptive_conv(2, kernel=3, padding=1", "guide"),
            ("conv(1, kernel=1)", "partial_conv(2, kernel=3, padding=1", "mask"),
            (f"conv({moves}, kernel=1)", "deformable_conv(2, kernel=3, padding=1, reach=1", "offsets"),
            (f"conv({taps}, kernel=1)", "context_deformable_conv(2, kernel=3, padding=1", "sigma"),
        ))  # fmt: skip
        results = f"{self._label()}, {self._label()}" if takes == "mask" else self._label()
        made = f"from {name} -> {window}, {takes}={guide})"
        self._fits((guide, f"from {source} -> {layer}"), (results, made))

    def _attend(self) -> None:
        name, thirds = self._from(), self._label()
        mixed = self.random.random() < (0.2 if self.family == "group" else 0.6)
        made = f"from {name} -> conv(12, kernel=1)" if mixed else f"from {name}, {name}, {name} -> concat"
        layer = self.random.choice((
            "attention(1)", "attention(2)", "attention(1, causal=true)", "channel_attention(1)",
            "channel_attention(2)", "window_attention(1, window=4)", "window_attention(1, window=2, shift=1)",
            "window_attention(2, window=4, shift=2)",
            "window_attention(1, window=3, shift=1, relative_positions=true)",
        ))  # fmt: skip
        self._fits((thirds, made), (self._label(), f"from {thirds} -> {layer}"))

    def _learned(self) -> None:
        name, learned = self._from(), self._label()
        channels, *size = self.shapes[name]
        shape = [channels, *(size if self.random.random() < 0.4 else [1] * len(size))]
        join = self.random.choice(("add", "multiply"))
        self._fits((learned, f"parameter({shape})"), (self._label(), f"from {name}, {learned} -> {join}"))

    def _cut(self) -> None:
        name = self._from()
        *_, extent = self.shapes[name]
        axis = AXES[len(self.shapes[name]) - 1][-1]
        sizes = [extent // 2, extent - extent // 2]
        if extent > 1:
            results = f"{self._label()}, {self._label()}"
            self._fits((results, f"from {name} -> split({sizes}, axis={axis})"))
