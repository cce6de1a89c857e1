"""A network of convolutions as a fully connected one that computes the same: its `.arch` text and weights.

Every layer that is a matrix becomes a `linear` layer of as many units, whose weights are that matrix and
whose biases are those of the channels, repeated over the positions. Values are vectors in the order of
`flatten`. Functions of single numbers, and joins of values of one shape, stay as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.analysis.legal_sizes import open_sizes
from archdsl.analysis.weight_matrix import weight_matrix
from archdsl.compiler import Network, Node, Options, Wire, read
from archdsl.layers import LAYERS
from archdsl.layers.activation import Activation, AlongAxis
from archdsl.layers.linear_map import number
from archdsl.layers.merging import Concat, Elementwise
from archdsl.layers.shapes import Shape
from archdsl.lowering.build import build
from archdsl.problems.problem import listed, sizes_to_give
from archdsl.recipes.recipe import Recipe
from archdsl.report.calls import layer_call
from archdsl.sizes import TooLarge, Undecided
from archdsl.source import Source
from archdsl.syntax.formatter import format

MOST_WEIGHTS = 20_000_000
"""The most weights and biases that are written: 80 MB."""
ROUNDING = 1e-6
"""The largest difference in double precision that rounding explains, as a share of the largest value."""

HEAD = "with each of its layers as one matrix"
"""What the first line of the text says."""
PASSING = ("flatten", "reshape", "identity")
"""The kinds of layer that leave a flattened value as it is."""


class NotDense(Exception):
    """Why no fully connected network is written, in one line for the user."""


@dataclass(frozen=True, slots=True)
class Dense:
    """The fully connected network: its text, its weights by the names that it has for them, how many
    parameters it has, and how many the other one."""

    text: str
    weights: dict[str, Tensor]
    parameters: int
    before: int


def dense(
    network: Network, model: nn.Module | None, file: str, recipe: Mapping[str, Any] | None = None
) -> Dense:
    """The fully connected network that computes what `model`, which was built from `network`, does.

    Without a model it has the weights that torch begins with. Its text says that the weights are in `file`.
    With a `recipe`, as `Recipe.to_dict` has it, it is trained in the same way, beginning with them. Raises
    `NotDense` where a size is open, where a layer has no matrix, and where there would be too many weights.
    """
    lines = _Lines(network)
    parameters = sum(
        number(node.shape.count) * (number(_of(node).count) + _biased(node)) for node in lines.matrices
    )
    if parameters > MOST_WEIGHTS:
        raise NotDense(f"it would have {parameters:,} weights, and at most {MOST_WEIGHTS:,} are written")
    model = model or build(network)
    name, before = f"{network.name}Dense", sum(p.numel() for p in model.parameters())
    text = format(
        f"## {network.name} {HEAD}: both compute the same.\n"
        f"## {parameters:,} parameters in place of {before:,}; their values are in {file}.\n"
        f"network {name} {{\n{lines.text()}\n\nexpect parameters == {parameters:_}\n}}\n"
        f"{'' if recipe is None else _training(recipe, file)}"
    )
    twin = read(Source(name, text)).compile(None, Options()).network
    assert twin is not None, "what is written compiles"
    linear = [node.name for node in twin.nodes if node.kind == "linear"]
    exact = deepcopy(model).cpu().double().eval()
    weights: dict[str, Tensor] = {}
    for its, node in zip(linear, lines.matrices, strict=True):
        module = exact.get_submodule((node.first or node).name) if node.layer.weights(_of(node)) else None
        weights[f"{its}.weight"] = _matrix(node, module)
        if module is not None and isinstance(module.bias, Tensor):
            weights[f"{its}.bias"] = module.bias.detach().repeat_interleave(number(node.shape.positions))
    _hold(network, exact, twin, weights)
    precision = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
    return Dense(text, {its: tensor.to(precision) for its, tensor in weights.items()}, parameters, before)


def _of(node: Node) -> Shape:
    return node.inputs[0].shape


def _biased(node: Node) -> bool:
    return "bias" in node.layer.weights(_of(node))


# ------------------------------------------------------------------------------ text


@dataclass(eq=False, slots=True)
class _Line:
    """A line of the text: the lines that make what it begins with, its chain, and the nodes that this is in
    place of."""

    sources: list[_Line]
    chain: list[str]
    nodes: list[Node] = field(default_factory=list)
    label: str = ""
    named: bool = True
    """Whether the label is written: always but before a line that alone goes on from here."""


class _Lines:
    """The lines of the text, and the labels of what they make."""

    def __init__(self, network: Network) -> None:
        self._needed = _needed(network)
        read = [wire for node in self._needed for wire in node.inputs if node.kind not in PASSING]
        self._uses = Counter(map(_passed, [*read, *network.outputs]))
        """How often a value is read, directly or through layers that pass it on."""
        self._made: dict[Wire, _Line] = {}
        self._taken: set[str] = set()
        self.inputs: list[_Line] = []
        self.written: list[_Line] = []
        self.matrices: list[Node] = []
        """What becomes a `linear` layer, in the order of these."""
        if symbols := open_sizes(network):
            raise NotDense(f"a fully connected network needs sizes: give {sizes_to_give(symbols)}")
        for node in network.inputs:
            self._input(node)
        for node in self._needed:
            if node.kind not in PASSING:
                self._layer(node)
        self._outputs = [
            self._output(wire, name) for wire, name in zip(network.outputs, network.output_names, strict=True)
        ]
        self._label()

    def _input(self, node: Node) -> None:
        line = _Line([], [layer_call(node)], label=_free(node.name, self._taken))
        self.inputs.append(line)
        if node.shape.axes and self._uses[Wire(node)]:
            line = _Line([line], ["flatten"], label=_free(f"{node.name}_flat", self._taken))
            self.written.append(line)
        self._made[Wire(node)] = line

    def _layer(self, node: Node) -> None:
        sources = [self._made[_passed(wire)] for wire in node.inputs]
        shapes = [wire.shape for wire in node.inputs]
        result = Wire(node)
        if _same_on_vectors(node, shapes):
            last = self.written[-1] if self.written else None
            if last is not None and sources == [last] and self._read_once(last):
                last.chain.append(layer_call(node))
                last.nodes.append(node)
            else:
                self.written.append(last := _Line(sources, [layer_call(node)], [node]))
            self._made[result] = last
            return
        try:
            found = node.layer.linear_map(*shapes)
        except (Undecided, TooLarge):
            found = None
        if found is None or not _own(node):
            raise NotDense(
                f"`{node.name}` ({node.kind}) can't be written as a fully connected layer: what can be has a "
                "weight matrix, as a convolution or a mean pooling has, acts on single numbers, as relu, or "
                "joins values of one shape"
            )
        units = number(node.shape.count)
        call = f"linear({units})" if _biased(node) else f"linear({units}, bias=false)"
        self.matrices.append(node)
        self.written.append(line := _Line(sources, [call], [node]))
        self._made[result] = line

    def _read_once(self, line: _Line) -> bool:
        """Whether the value of a line is made of layers, and is no more once another goes on from it."""
        return bool(line.nodes) and self._uses[Wire(line.nodes[-1])] == 1

    def _output(self, wire: Wire, name: str) -> _Line:
        """The line that makes an output, in its shape and called as it is."""
        line = self._made[_passed(wire)]
        shape = f"reshape({list(wire.shape)})" if wire.shape.axes else None
        if line.label or (shape is not None and not self._read_once(line)):
            # An input, another output, or a vector that others read.
            self.written.append(line := _Line([line], [shape or "identity"]))
        elif shape is not None:
            line.chain.append(shape)
        line.label = _free(name, self._taken)
        return line

    def _label(self) -> None:
        """Give every line a label that its nodes were called by, and leave out what nobody needs to say."""
        layers = [node for node in self._needed if node.kind not in PASSING]
        for line in self.written:
            if not line.label:
                names = [node.name for node in line.nodes]
                scope = _common(names)
                whole = scope and sum(node.name.startswith(f"{scope}.") for node in layers) == len(names)
                own = scope if whole and scope not in self._taken else names[0]
                line.label = _free(own, self._taken)
        readers = Counter(id(source) for line in self.written for source in line.sources)
        for line, following in pairwise(self.written):
            line.named = bool(line.nodes) or readers[id(line)] != 1 or following.sources != [line]

    def text(self) -> str:
        """What stands in the network's braces."""
        lines = [f"input {line.label}: {line.chain[0].removeprefix('input ')}" for line in self.inputs]
        lines.append("")
        before = self.inputs[0] if len(self.inputs) == 1 else None
        for line in self.written:
            chain = " -> ".join(line.chain)
            if line.sources != [before]:
                chain = f"from {', '.join(source.label for source in line.sources)} -> {chain}"
            lines.append(f"{line.label}: {chain}" if line.named else chain)
            before = line
        if self._outputs != self.written[-1:]:
            lines.append(f"output {', '.join(line.label for line in self._outputs)}")
        return "\n".join(lines)


def _passed(wire: Wire) -> Wire:
    """The value that a value is, seen through layers that pass it on."""
    while wire.node.kind in PASSING:
        wire = wire.node.inputs[0]
    return wire


def _needed(network: Network) -> list[Node]:
    """The layers that an output depends on, in order of execution."""
    wanted = {wire.node for wire in network.outputs}
    for node in reversed(network.nodes):
        if node in wanted:
            wanted.update(wire.node for wire in node.inputs)
    return [node for node in network.nodes if node in wanted and node.kind != "input"]


def _same_on_vectors(node: Node, shapes: list[Shape]) -> bool:
    """Whether a layer does to flattened values what it does to these."""
    layer, vectors = node.layer, not any(shape.axes for shape in shapes)
    if not _own(node):
        return False
    if isinstance(layer, AlongAxis):
        return vectors
    if isinstance(layer, Activation):
        return not layer.weights(*shapes)
    if isinstance(layer, Elementwise):
        return len(set(shapes)) == 1
    if isinstance(layer, Concat):
        return layer.axis == "channels"
    return node.kind == "dropout"


def _own(node: Node) -> bool:
    """Whether a layer is the language's own, and no user's Python that its file imports."""
    return LAYERS.get(node.kind) is type(node.layer)


def _common(names: list[str]) -> str:
    """The scope that all of several layers stand in."""
    scopes = {name.rpartition(".")[0] for name in names}
    return scopes.pop() if len(names) > 1 and len(scopes) == 1 else ""


def _free(name: str, taken: set[str]) -> str:
    """A label like a name, and no other's."""
    label = stem = re.sub(r"\W", "_", name)
    count = 1
    while label in taken:
        count += 1
        label = f"{stem}_{count}"
    taken.add(label)
    return label


def _training(recipe: Mapping[str, Any], file: str) -> str:
    """The `train` block: the recipe, which begins with the weights."""
    settings = Recipe.stored_settings({**recipe, "parts": {}})
    settings["initialize"] = f'pretrained("{file}")'
    said = {key: f"{int(text):_}" if text.isdecimal() else text for key, text in settings.items()}
    lines = [f"{key} = {text}" for key, text in said.items() if USUAL.get(key) != text]
    if recipe["parts"]:
        lines.append(
            f"# Left out is what was said of {listed(recipe['parts'])}, whose layers are others here."
        )
    return "\n".join(["\ntrain {", *lines, "}\n"])


USUAL = {
    "schedule": "constant",
    "accumulate": "1",
    "precision": "float32",
    "metrics": "[error]",
    "seed": "0",
}
"""What a recipe says where a file says nothing."""


# ------------------------------------------------------------------------------ weights


@torch.no_grad()
def _matrix(node: Node, module: nn.Module | None) -> Tensor:
    """The matrix of a layer, in double precision.

    What one channel of the output takes of one channel of the input says where which weight stands; the
    layer's own tensor, what it is for every two channels of a group.
    """
    x, y = _of(node), node.shape
    found, one = node.layer.linear_map(x), weight_matrix(node.layer, x, [0], [0])
    assert found is not None and one is not None
    cells = torch.tensor(one.cells)
    units, positions = cells.shape
    groups = number(found.groups)
    made, taken = number(y.channels) // groups, number(x.channels) // groups
    weight = None if module is None else module.weight
    whole = torch.zeros(groups, made, units, groups, taken, positions, dtype=torch.float64)
    for group in range(groups):
        table = torch.zeros(len(one.values), made, taken, dtype=torch.float64)
        for n, value in enumerate(one.values):
            if isinstance(value, Fraction):
                table[n] = float(value)
                continue
            assert isinstance(weight, Tensor)
            for tap in value:
                place: tuple[Any, ...] = (..., *tap[2:])
                block = torch.unflatten(weight[place], 0, (groups, -1))[group]
                table[n] += block.T if found.inputs_first else block
        whole[group, :, :, group] = table[cells].permute(2, 0, 3, 1)
    return whole.reshape(groups * made * units, groups * taken * positions)


@torch.no_grad()
def _hold(network: Network, model: nn.Module, twin: Network, weights: dict[str, Tensor]) -> None:
    """Hold the fully connected network to the other one, on random inputs in double precision."""
    ours = build(twin, "meta").eval()
    ours.load_state_dict(weights, assign=True)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(3, *map(number, node.shape), dtype=torch.float64, generator=generator)
        for node in network.inputs
    ]
    results = [made if isinstance(made, tuple) else (made,) for made in (ours(*inputs), model(*inputs))]
    for a, b in zip(*results, strict=True):
        if b.isfinite().all() and not (a - b).abs().max() <= ROUNDING * b.abs().max():
            raise AssertionError(f"the fully connected network of {network.name} computes something else")
