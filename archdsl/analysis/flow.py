"""The graph as lists, in order of execution, with the rules of every layer asked once.

All analyses walk the same lists. A layer's rules depend on its arguments and the shapes of its inputs
alone, so they are asked once for each such pair: the blocks of a deep network repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from archdsl.layers.layer import Saved
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Offsets, Reach, Reads, Stencil
from archdsl.sizes import Size

if TYPE_CHECKING:
    from archdsl.compiler.network import Network, Node, Wire

Run = tuple[int, int, int]
"""Evenly spaced offsets: the first, the gap, and how many follow it."""


class Pattern:
    """A stencil, brought into the form that the analyses compute with.

    `runs` has, for each of the `step_out` units in turn, the evenly spaced offsets it reads; `low` and
    `high` the first and last of them (None for a unit that reads nothing). `identity` is set where each
    unit reads the one at its own place; `at_most` as the stencil has it.
    """

    __slots__ = ("at_most", "high", "identity", "low", "runs", "step_in", "step_out", "wraps")

    def __init__(self, stencil: Stencil) -> None:
        self.step_in = stencil.step_in
        self.step_out = stencil.step_out
        self.runs = tuple(_runs(offsets) for offsets in stencil.offsets)
        self.low = tuple(min((run[0] for run in runs), default=None) for runs in self.runs)
        self.high = tuple(max((f + g * n for f, g, n in runs), default=None) for runs in self.runs)
        self.wraps = stencil.wraps
        self.at_most = stencil.at_most
        self.identity = self.step_in == self.step_out == 1 and self.low == self.high == (0,)


Reading = Reach | tuple[Pattern, ...]
"""How one input is read: by a `Reach`, or by a pattern for each axis."""


@dataclass(slots=True, eq=False)
class Reader:
    """How the units of a result read the layer's inputs."""

    readings: tuple[Reading, ...]
    kept: bool
    """Whether every input is read at its own place: what is known of a single input holds on."""
    extents_in: tuple[tuple[Size, ...], ...]
    extents: tuple[Size, ...]
    """The spatial extents of the result."""


@dataclass(slots=True, eq=False)
class Rules:
    """What a layer's rules say for inputs of given shapes, for one example."""

    weights: Size
    biases: Size
    buffers: Size
    integer_buffers: Size
    """How many of the buffers are int64."""
    macs: Size
    flops: Size
    saved: Saved
    readers: tuple[Reader, ...]
    """One for each result."""
    counts: tuple[Size, ...]
    """The elements of each result."""
    kept: bool
    """Whether there is one result, and every input is read at its own place."""


class Flow:
    """A network's layers and values, numbered in order of execution.

    Layer i is `nodes[i]`; it reads the values `feeds[i]`, which layers `sources[i]` make, and makes the
    values from `starts[i]` on. Value v is made by layer `makers[v]`, has `counts[v]` elements, and is
    read last by layer `last_use[v]` (-1 where none does). A max_pool's indices are a value of their own
    (`indices`), which exists only where it is used. `uniform` has what `uniformity` has found of values.
    """

    __slots__ = (
        "counts",
        "feeds",
        "index",
        "indices",
        "inputs",
        "last_use",
        "makers",
        "nodes",
        "outputs",
        "rules",
        "sources",
        "starts",
        "uniform",
    )

    def __init__(self, network: Network) -> None:
        self.nodes = nodes = network.nodes
        self.index: dict[Node, int] = {node: i for i, node in enumerate(nodes)}
        self.rules: list[Rules] = []
        self.starts: list[int] = []
        self.makers: list[int] = []
        self.counts: list[Size] = []
        self.last_use: list[int] = []
        self.feeds: list[tuple[int, ...]] = []
        self.sources: list[tuple[int, ...]] = []
        self.indices: set[int] = set()
        self.uniform: dict[int, bool] = {}
        # The compiler makes one tuple of shapes for a layer on inputs of given shapes: it stands for both.
        known: dict[int, Rules] = {}
        # Names of its own for what every layer needs: the loop is run 100,000 times.
        index, starts, makers = self.index, self.starts, self.makers
        last_use, counts = self.last_use, self.counts
        rules_of, feeds_of, sources_of = self.rules, self.feeds, self.sources
        for i, node in enumerate(nodes):
            wires = node.inputs
            if len(wires) == 1:
                maker, port = wires[0]
                source = index[maker]
                value = starts[source] + port
                last_use[value] = i
                feeds: tuple[int, ...] = (value,)
                feeds_of.append(feeds)
                # Where every layer before has one result, layers and values have the same numbers.
                sources_of.append(feeds if value == source else (source,))
            else:
                sources = tuple([index[maker] for maker, _ in wires])
                feeds = tuple([starts[s] + port for s, (_, port) in zip(sources, wires, strict=True)])
                for value in feeds:
                    last_use[value] = i
                feeds_of.append(feeds)
                sources_of.append(sources)
            rules = known.get(id(node.shapes))
            if rules is None:
                xs = tuple([maker.shapes[port] for maker, port in wires])
                rules = known[id(node.shapes)] = _ask(node, xs)
            rules_of.append(rules)
            starts.append(len(makers))
            makes = rules.counts
            if len(makes) == 1:
                makers.append(i)
                last_use.append(-1)
                counts.append(makes[0])
                continue
            if node.layer.kind == "max_pool":
                self.indices.add(len(makers) + 1)
            makers += [i] * len(makes)
            last_use += [-1] * len(makes)
            counts += makes
        self.inputs: list[int] = [index[node] for node in network.inputs]
        self.outputs: list[int] = [self.number(wire) for wire in network.outputs]

    def number(self, wire: Wire) -> int:
        """The number of a value."""
        return self.starts[self.index[wire.node]] + wire.port

    def bytes_of_values(self, batch: int, precision_bytes: int) -> list[Size]:
        """The bytes of every value: `batch` examples at the precision; int64 indices, if they exist."""
        each = batch * precision_bytes
        sizes: list[Size] = [count * each for count in self.counts]
        for value in self.indices:
            used = self.last_use[value] >= 0 or value in self.outputs
            sizes[value] = self.counts[value] * (8 * batch) if used else 0
        return sizes


def _ask(node: Node, xs: tuple[Shape, ...]) -> Rules:
    layer = node.layer
    counts = tuple([shape.count for shape in node.shapes])
    if layer.kind == "input":
        return Rules(0, 0, 0, 0, 0, 0, Saved(), (_reader((), xs, node.shape),), counts, False)
    weights: Size = 0
    biases: Size = 0
    for name, shape in layer.weights(*xs).items():
        if name == "bias":
            biases = biases + prod(shape)
        else:
            weights = weights + prod(shape)
    floating: Size = 0
    integers: Size = 0
    for buffer in layer.buffers(*xs).values():
        if buffer.integer:
            integers = integers + prod(buffer.shape)
        else:
            floating = floating + prod(buffer.shape)
    readers = tuple([_reader(layer.reads_of(r, *xs), xs, shape) for r, shape in enumerate(node.shapes)])
    return Rules(
        weights,
        biases,
        floating + integers,
        integers,
        layer.macs(*xs),
        layer.flops(*xs),
        layer.saved(*xs),
        readers,
        counts,
        len(readers) == 1 and readers[0].kept,
    )


def _reader(reads: tuple[Reads, ...], xs: tuple[Shape, ...], shape: Shape) -> Reader:
    readings = tuple([_reading(read) for read in reads])
    extents_in = tuple([x.size for x in xs])
    extents = shape.size
    kept = extents_in == (extents,) * len(xs) and all(_keeps(reading) for reading in readings)
    return Reader(readings, kept, extents_in, extents)


def _reading(read: Reads) -> Reading:
    if isinstance(read, Reach):
        return read
    return tuple([_pattern(stencil) for stencil in read])


_pattern = lru_cache(maxsize=1024)(Pattern)


def _keeps(reading: Reading) -> bool:
    if isinstance(reading, tuple):
        return all(pattern.identity for pattern in reading)
    return reading is Reach.POINT


def _runs(offsets: Offsets) -> tuple[Run, ...]:
    if not isinstance(offsets, range):
        gaps = {b - a for a, b in pairwise(offsets)}
        if len(gaps) > 1:
            return tuple((offset, 1, 0) for offset in offsets)
        if not offsets:
            return ()
        return ((offsets[0], gaps.pop() if gaps else 1, len(offsets) - 1),)
    if not offsets:
        return ()
    return ((offsets[0], offsets.step if len(offsets) > 1 else 1, len(offsets) - 1),)
