"""Memory: worked by hand, simulated value by value, and set beside what torch keeps."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
import torch

import archdsl
from archdsl.analysis import analyse
from archdsl.analysis.autocast import lengths
from archdsl.compiler import Node, Wire
from archdsl.precision import Mixed

BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}

Value = tuple[Node, int]
"""A layer and the number of its result."""


def peaks(net: archdsl.Net, batch: int = 1, precision: str = "float32", state: int = 0) -> tuple[int, int]:
    totals = net.report(batch, precision, state).to_dict()["totals"]
    return totals["forward_peak_bytes"], totals["training_peak_bytes"]


def program(body: str, inputs: str = "input x: [1, 8]") -> archdsl.Net:
    return archdsl.loads(f"network Held {{\n{inputs}\n{body}\n}}", name="held.arch")


# ------------------------------------------------------------------------------ worked by hand
#
# `alive` are numbers at each step, forward in the file's order and then backward, written as sums: what is
# read and made, and after a semicolon what is kept for the backward pass.

CHAIN = """
conv(2, kernel=3)
relu
flatten
linear(3)
"""
# x 8, conv 12, relu 12, flatten 12, linear 3; 8 parameters in the convolution, 39 in the linear layer.
CHAIN_FORWARD = [8, 8 + 12, 12 + 12, 12 + 12, 12 + 3]
CHAIN_TRAINING = [
    8,
    8 + 12,
    12 + 12 + 8,  # x is kept for the convolution
    12 + 12 + 8,  # of 24 the relu's output is kept anyway
    12 + 3 + (8 + 12),
    (8 + 12 + 12) + 3 + 12,  # linear: kept x, relu, flatten; gradients of its output and of its input
    (8 + 12) + 12 + 12,
    (8 + 12) + 12 + 12,
    8 + 12,  # the input has no gradient
]

RESIDUAL = """
a: conv(2, kernel=1)
parallel add {
  { conv(2, kernel=3, padding=1) -> batch_norm -> relu }
  {}
}
"""
# Every value has 16 numbers but x with 8. Parameters 4 + 14 + 4, buffers 4 and a counter of 8 bytes.
RESIDUAL_FORWARD = [8, 8 + 16, 32, 16 + 32, 16 + 32, 48]
RESIDUAL_TRAINING = [
    8,
    8 + 16,
    8 + 32,  # x and a; b is made of a
    8 + 16 + 32 + 4,  # the normalisation keeps b, and 2 statistics a channel
    8 + 16 + 16 + 16 + 16 + 4,  # x, a, b; the normalised and the rectified
    8 + 16 + 16 + 16 + 16 + 4,  # x, a, b, relu kept; the sum
    (8 + 16 + 16 + 16 + 4) + 48,  # add: gradients of the sum, of relu and of a
    (8 + 16 + 16 + 16 + 4) + 48,  # relu: gradients of relu, of the normalised, and a's goes on
    (8 + 16 + 16 + 4) + 48,  # batch_norm: of the normalised, of b, of a
    (8 + 16) + 32,  # conv: of b, of a
    8 + 16,
]

SHARED = """
shared head: conv(1, kernel=1)
conv(1, kernel=3, padding=1) -> head -> tanh -> head
"""
# Every value has 8 numbers; 4 + 2 parameters, counted once.
SHARED_FORWARD = [8, 16, 16, 16, 16]
SHARED_TRAINING = [
    8,
    16,
    8 + 16,
    8 + 8 + 16,  # x and the first convolution kept; head's output is not
    8 + 8 + 8 + 8,  # x, conv, tanh, and the result
    8 + 8 + 8 + 16,
    8 + 8 + 8 + 16,
    8 + 8 + 16,
    8 + 8,
]

UNPOOLED = """
conv(2, kernel=1)
pool: max_pool(2)
max_unpool(pool)
"""
# x 8, conv 16, pool 8 and as many places of 8 bytes each (two numbers of four), unpooled 16; 4 parameters.
UNPOOLED_FORWARD = [8, 8 + 16, 16 + 8 + 16, 8 + 16 + 16]
UNPOOLED_TRAINING = [
    8,
    8 + 16,
    8 + 16 + 8 + 16,
    8 + 16 + 16 + 8 + 16,  # x, conv and the places are kept; pool and the result
    8 + 16 + 16 + 16 + 8,  # max_unpool: gradients of the result and of pool
    8 + 16 + 16 + 8 + 16,  # max_pool: of pool and of conv
    8 + 16,
]

HELD = {
    "chain": (CHAIN, 47, 0, CHAIN_FORWARD, CHAIN_TRAINING),
    "residual": (RESIDUAL, 22, 4 * 4 + 8, RESIDUAL_FORWARD, RESIDUAL_TRAINING),
    "shared": (SHARED, 6, 0, SHARED_FORWARD, SHARED_TRAINING),
    "unpooled": (UNPOOLED, 4, 0, UNPOOLED_FORWARD, UNPOOLED_TRAINING),
}
"""The program; parameters; bytes of buffers; numbers alive at each step."""


@pytest.mark.parametrize("name", HELD)
def test_peaks_by_hand(name: str) -> None:
    body, parameters, buffers, forward, training = HELD[name]
    net = program(body)
    over_time = net.analysis().memory
    assert [size / 4 for size in over_time.forward] == forward
    assert [size / 4 for size in over_time.training] == training
    fixed = 4 * parameters + buffers
    assert peaks(net) == (fixed + 4 * max(forward), fixed + 4 * (parameters + max(training)))
    momentum, adam = (fixed + 4 * (parameters * (1 + n) + max(training)) for n in (1, 2))
    assert peaks(net, state=1)[1] == momentum
    assert peaks(net, state=2)[1] == adam


def test_inputs_are_there_from_the_start() -> None:
    net = program("from left -> max_pool(2) -> add(right)", "input left: [1, 8]\ninput right: [1, 4]")
    assert [size / 4 for size in net.analysis().memory.forward] == [12, 12, 8 + 4 + 4, 4 + 4 + 4]
    assert peaks(net) == (64, 64)


def test_batch_and_precision_by_hand() -> None:
    """Values grow with both; parameters with the precision alone; statistics once; places stay int64."""
    net = program("conv(2, kernel=1) -> batch_norm\npool: max_pool(2)\nmax_unpool(pool)")
    # For each example x 8, conv 16, batch_norm 16, pool 8, places 8, unpooled 16; parameters 4 + 4.
    for precision, each in BYTES.items():
        for batch in (1, 3):
            buffers = 4 * each + 8
            forward = batch * max((8 + 16) * each, 32 * each, (16 + 8) * each + 64, (8 + 16) * each + 64)
            kept = batch * (8 + 16 + 16) * each + 4 * each
            training = max(
                kept + batch * (8 * each + 64),  # max_pool, forward
                kept + batch * ((8 + 16) * each + 64),  # max_unpool, forward, and backward
                kept + batch * ((8 + 16) * each + 64),  # max_pool, backward
                batch * (8 + 16 + 32) * each + 4 * each,  # batch_norm, backward
            )
            fixed = 8 * each + buffers
            assert peaks(net, batch, precision) == (fixed + forward, fixed + 8 * each + training)


def test_activation_bytes_are_those_of_all_results() -> None:
    net = archdsl.loads(
        "network Parts {\n input x: [6, 8]\n left, right: split([2, 4])\n from right -> conv(1, kernel=3)\n}"
    )
    for batch, precision, each in ((1, "float32", 4), (5, "float16", 10), (2, "float64", 16)):
        layers = net.report(batch, precision).to_dict()["layers"]
        assert [layer["activation_bytes"] for layer in layers] == [48 * each, 6 * each]


def test_parameter_bytes() -> None:
    net = program(RESIDUAL)
    for precision, each in BYTES.items():
        totals = net.report(7, precision).to_dict()["totals"]
        assert totals["parameter_bytes"] == 22 * each


def test_layers_that_lead_nowhere_are_not_trained() -> None:
    """Before the first parameter, and after the last output's way parts, there is no backward step."""
    net = program("max_pool(2)\na: conv(1, kernel=1)\nb: tanh\nfrom a -> relu -> conv(4, kernel=1)\noutput b")
    over_time = net.analysis().memory
    nodes = net.network.nodes
    assert [nodes[i].kind for i in over_time.backward] == ["tanh", "conv"]
    # x 8, pool 4, and all others 4 but the last with 16; pool is kept, and tanh's output, which stays.
    assert [size / 4 for size in over_time.training] == [
        8,
        8 + 4,
        4 + 4,
        4 + 4 + 4,
        4 + 4 + 4 + 4,
        4 + 4 + 4 + 16,
        (4 + 4) + 4 + 4,
        4 + 4,
    ]


# ------------------------------------------------------------------------------ simulated


class Simulation:
    """Memory by its definition: at each step, each value in turn is asked whether it is alive."""

    def __init__(self, net: archdsl.Net, batch: int, each: int) -> None:
        self.nodes = net.network.nodes
        self.outputs = [as_value(wire) for wire in net.network.outputs]
        self.inputs = net.network.inputs
        self.at = {node: step for step, node in enumerate(self.nodes)}
        self.batch, self.each = batch, each
        self.values = [(node, port) for node in self.nodes for port in range(len(node.shapes))]
        self.readers: dict[Value, list[Node]] = {value: [] for value in self.values}
        for node in self.nodes:
            for wire in node.inputs:
                self.readers[as_value(wire)].append(node)
        self.trained, self.leads, self.kept = map(cache, (self._trained, self._leads, self._kept))
        self.backward = [node for node in self.nodes if self.trained(node) and self.leads(node)]

    def places(self, value: Value) -> bool:
        """Whether the value is the places of a pooling's maxima."""
        return value[0].kind == "max_pool" and value[1] == 1

    def size(self, value: Value) -> int:
        node, port = value
        if self.places(value):
            return 8 * self.batch * int(node.shapes[port].count) if self.readers[value] else 0
        return int(node.shapes[port].count) * self.batch * self.each

    def _trained(self, node: Node) -> bool:
        own = node.kind != "input" and node.layer.weights(*(wire.shape for wire in node.inputs))
        return bool(own) or any(self.trained(wire.node) for wire in node.inputs)

    def _leads(self, node: Node) -> bool:
        results = [(node, port) for port in range(len(node.shapes))]
        return any(
            value in self.outputs or any(self.leads(reader) for reader in self.readers[value])
            for value in results
        )

    def _kept(self, node: Node) -> tuple[set[Value], int]:
        """The values that a layer keeps for its backward step, and bytes of its own."""
        if node not in self.backward:
            return set(), 0
        rule = node.layer.saved(*(wire.shape for wire in node.inputs))
        values = {as_value(node.inputs[index]) for index in rule.inputs}
        if rule.output:
            values |= {(node, port) for port in range(len(node.shapes))}
        extra = int(rule.extra)
        if node.kind == "max_pool" and self.readers.get((node, 1)):
            values.add((node, 1))
            extra = 0
        floats = self.batch * int(rule.floats) + int(rule.floats_once)
        return values, self.batch * extra + int(rule.once) + self.each * floats

    def alive(self, value: Value, step: int) -> bool:
        """In a forward pass."""
        made = 0 if value[0] in self.inputs else self.at[value[0]]
        uses = [self.at[reader] for reader in self.readers[value]]
        if value in self.outputs:
            uses.append(len(self.nodes) - 1)
        return made <= step <= max([self.at[value[0]], *uses])

    def forward(self) -> list[int]:
        return [
            sum(self.size(value) for value in self.values if self.alive(value, step))
            for step in range(len(self.nodes))
        ]

    def training(self) -> list[int]:
        steps = []
        for step, node in enumerate(self.nodes):
            held = {value for value in self.values if self.alive(value, step)}
            own = 0
            for earlier in self.nodes[: self.at[node] + 1]:
                values, more = self.kept(earlier)
                held |= values
                own += more
            steps.append(own + sum(map(self.size, held)))
        for node in reversed(self.backward):
            held, own = set(), 0
            for earlier in self.nodes[: self.at[node] + 1]:
                values, more = self.kept(earlier)
                held |= values
                own += more
            gradients = [value for value in self.values if self.has_gradient(value, self.at[node])]
            steps.append(own + sum(map(self.size, held)) + sum(map(self.size, gradients)))
        return steps

    def has_gradient(self, value: Value, step: int) -> bool:
        """In the backward step of the layer that is `step` going forward."""
        if value[0] not in self.backward or self.places(value):
            return False
        uses = [self.at[reader] for reader in self.readers[value] if reader in self.backward]
        if value in self.outputs:
            uses.append(len(self.nodes))
        return bool(uses) and self.at[value[0]] <= step <= max(uses)


def as_value(wire: Wire) -> Value:
    return wire.node, wire.port


class Writer:
    """Writes a random program of layers that keep 4 channels on 8 positions, so that all can be joined."""

    PLAIN = (
        "conv(4, kernel=3, padding=1)",
        "conv(4, kernel=1, bias=false)",
        "batch_norm",
        "relu",
        "tanh",
        "gelu",
        "local_response_norm(3)",
        "group_norm(2)",
        "max_pool(3, stride=1, padding=1)",
        "avg_pool(3, stride=1, padding=1)",
        "prelu",
        "softmax",
        "identity",
        "channel_shuffle(2)",
        "depthwise_conv(3, padding=1)",
        "lp_pool(2, kernel=1)",
    )

    UNLIKE_TORCH = ("dropout", "channel_dropout(0.3)", "select([2, 0, 1, 3])")
    """Of which torch on the CPU keeps something else."""

    def __init__(self, seed: int, torch_alike: bool = False) -> None:
        self.random = random.Random(seed)
        self.plain = self.PLAIN if torch_alike else self.PLAIN + self.UNLIKE_TORCH
        self.torch_alike = torch_alike
        self.lines = ["shared again: conv(4, kernel=3, padding=1) -> relu"]
        self.values = ["x"]
        for _ in range(self.random.randint(4, 14)):
            self.values.append(self.line())

    def line(self) -> str:
        name = f"v{len(self.values)}"
        before = self.random.choice(self.values[-3:])
        kind = self.random.random()
        if kind < 0.55:
            body = " -> ".join(self.random.choice(self.plain) for _ in range(self.random.randint(1, 2)))
        elif kind < 0.75:
            others = self.random.sample(self.values, min(len(self.values), self.random.randint(1, 2)))
            join = self.random.choice(["add", "multiply", "subtract"])
            if self.torch_alike and (join == "multiply" or len(others) < 2):
                join = "add"
            body = f"{join}({', '.join(others)})"
        elif kind < 0.82:
            body = "again"
        elif kind < 0.9:
            self.lines.append(f"{name}p: from {before} -> max_pool(2)")
            body = f"max_unpool({name}p)"
            before = f"{name}p"
        else:
            self.lines.append(f"{name}a, {name}b: from {before} -> split([1, 3])")
            self.lines.append(f"{name}c: from {name}b -> conv(3, kernel=1)")
            before, body = f"{name}a", f"concat({name}c)"
        self.lines.append(f"{name}: from {before} -> {body}")
        return name

    def text(self) -> str:
        outputs = (
            {self.values[-1]} if self.torch_alike else {self.random.choice(self.values[1:]), self.values[-1]}
        )
        return "network Random {\ninput x: [4, 8]\n" + "\n".join(
            [*self.lines, f"output {', '.join(sorted(outputs))}", "}"]
        )


def written(seed: int, torch_alike: bool = False) -> archdsl.Net:
    return archdsl.loads(Writer(seed, torch_alike).text(), name="random.arch")


@pytest.mark.parametrize("seed", range(80))
def test_peaks_of_random_programs(seed: int) -> None:
    net = written(seed)
    chosen = random.Random(seed)
    batch, precision, state = chosen.randint(1, 9), chosen.choice(list(BYTES)), chosen.randint(0, 2)
    simulation = Simulation(net, batch, BYTES[precision])
    forward, training = simulation.forward(), simulation.training()
    over_time = net.analysis(batch, precision, state).memory
    assert over_time.forward == forward
    names = [net.network.nodes[i].name for i in over_time.backward]
    assert names == [node.name for node in reversed(simulation.backward)]
    assert over_time.training == training
    report = net.report(batch, precision, state).to_dict()
    totals = report["totals"]
    counters = sum(layer["kind"] == "batch_norm" for layer in report["layers"])
    fixed = BYTES[precision] * (totals["parameters"] + totals["buffers"] - counters) + 8 * counters
    assert totals["forward_peak_bytes"] == fixed + max(forward)
    trained = BYTES[precision] * totals["parameters"] * (1 + state)
    assert totals["training_peak_bytes"] == fixed + trained + max(training)


# ------------------------------------------------------------------------------ set beside torch


def kept_by_torch(net: archdsl.Net, batch: int, precision: torch.dtype = torch.float32) -> int:
    """The bytes that autograd keeps after a forward pass, weights and buffers apart; a tensor once."""
    model = net.build()
    kept: dict[Any, int] = {}
    held = []
    """So that no place is given away and counted for two."""

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.numel())
        kept[place] = tensor.nbytes
        held.append(tensor)
        return tensor

    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    inputs = [torch.rand(batch, *node.shape) for node in net.network.inputs]
    short = torch.autocast("cpu", precision, enabled=precision != torch.float32)
    with short, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(*inputs)
    assert isinstance(result, torch.Tensor)
    return sum(size for place, size in kept.items() if place[0] not in own)


def kept_by_rule(net: archdsl.Net, batch: int) -> int:
    """The same by the layers' rules."""
    simulation = Simulation(net, batch, 4)
    values: set[Value] = set()
    own = 0
    for node in simulation.nodes:
        kept, more = simulation.kept(node)
        values |= kept
        own += more
    return own + sum(map(simulation.size, values))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_keep_what_torch_keeps(seed: int) -> None:
    net = written(seed, torch_alike=True)
    assert kept_by_rule(net, 3) == kept_by_torch(net, 3)


@pytest.mark.parametrize(
    ("body", "less"),
    [
        # A flattened map is a view to torch, and the same memory as the relu's output.
        ("conv(2, kernel=3) -> relu -> flatten -> linear(3)", 12 * 4),
        # To multiply by what needs no gradient, torch keeps that alone.
        ("a: conv(1, kernel=1)\nfrom x, a -> multiply", 8 * 4),
        # A mask of floats on the CPU, a byte an element on a GPU and here.
        ("conv(2, kernel=3) -> dropout", 12 * 1 - 12 * 4),
    ],
)
def test_where_torch_keeps_something_else(body: str, less: int) -> None:
    net = program(body)
    assert kept_by_rule(net, 2) - kept_by_torch(net, 2) == 2 * less


@pytest.mark.parametrize(
    "file", ["mnist1d_conv.arch", "alexnet.arch", "resnet.arch:ResNet18", "unet.arch:UNetPadded"]
)
def test_bundled_networks_by_simulation(file: str) -> None:
    path, _, network = file.partition(":")
    net = archdsl.load(path, network=network or None)
    simulation = Simulation(net, 2, 4)
    over_time = net.analysis(2).memory
    assert over_time.forward == simulation.forward()
    assert over_time.training == simulation.training()


# ------------------------------------------------------------------------------ mixed precision

TRANSFORMER = {"side": 32, "patch": 8, "width": 48, "depth": 2, "heads": 4, "hidden": 96, "classes": 10}


SMALL_UNET = """
block Twice(channels) { repeat 2 { conv(channels, kernel=3, padding=1, bias=false) -> batch_norm -> relu } }
network SmallUNet {
  input image: [1, 64, 64]
  fine: Twice(8)
  coarse: max_pool(2) -> Twice(16)
  max_pool(2) -> Twice(32)
  conv_transpose(16, kernel=2, stride=2) -> concat(coarse) -> Twice(16)
  conv_transpose(8, kernel=2, stride=2) -> concat(fine) -> Twice(8)
  conv(2, kernel=1)
}"""


def kept_in_mixed_precision(net: archdsl.Net, batch: int) -> int:
    """What is alive at the first backward step, but for gradients and the copies of biases: none is saved."""
    mixed = Mixed("bfloat16", on_gpu=False)
    analysis = analyse(net.network, batch, mixed=mixed)
    flow, memory = analysis.flow, analysis.memory
    found = lengths(flow, mixed)
    sizes = found.sizes(flow, memory.sizes, batch)
    gradients = sum(sizes[value] for value in (*flow.outputs, *flow.feeds[memory.backward[0]]))
    biases = sum(2 * rules.biases for rules, copies in zip(flow.rules, found.copies, strict=True) if copies)
    return int(memory.training[len(flow.nodes)] - gradients - biases)


@pytest.mark.parametrize(
    ("text", "parameters", "side", "within"),
    [
        # The flattened maps are views to torch, and the mask of a dropout has there two bytes an element.
        ("alexnet.arch", {}, 67, 0.0005),
        ("resnet.arch:ResNet18", {}, 32, 0),
        (SMALL_UNET, {}, 32, 0),
        # The statistics of attention are float32, and the value that is classified is a view.
        ("vit.arch", TRANSFORMER, 32, 0.003),
    ],
    ids=["alexnet", "resnet", "unet", "vit"],
)
def test_mixed_precision_keeps_what_torch_keeps(
    text: str, parameters: dict[str, int], side: int, within: float
) -> None:
    load = archdsl.loads if "\n" in text else archdsl.load
    net = load(text, parameters=parameters, unexpected=True)
    (x,) = net.network.inputs
    size = {x.name: (int(x.shape[0]), side, side)}
    net = load(text, parameters=parameters, inputs=size, unexpected=True)
    kept = kept_by_torch(net, 2, torch.bfloat16)
    assert kept_in_mixed_precision(net, 2) == pytest.approx(kept, rel=within, abs=0)


def test_a_training_peak_in_mixed_precision_by_hand() -> None:
    text = """network One { input x: [4]
      linear(3) }
      train { data = arrays("none.npz")
      loss = cross_entropy
      optimizer = sgd(lr=0.1)
      batch = 10
      steps = 10
      precision = bfloat16 }"""
    net = archdsl.loads(text)
    # The input, its short copy, the weights' short copies, and a short output; then the gradient of that.
    assert net.analysis(5).memory.training == [80, 80 + 40 + 30 + 30, 40 + 30 + 30]
    found = net.report(batch=5).to_dict()
    assert found["totals"]["training_peak_bytes"] == 60 + 60 + 180
    assert (found["batch"], found["precision"], found["trained_in"]) == (5, "float32", "bfloat16")
    plain = net.report(batch=5, trained_in="float32").to_dict()
    assert plain["totals"]["training_peak_bytes"] == 60 + 60 + 80 + 60
    assert plain["trained_in"] == "float32"
    # What is said of the precision outright is not the recipe's to change.
    alone = net.report(batch=5, precision="float32").to_dict()
    assert (alone["totals"], alone["trained_in"]) == (plain["totals"], "float32")
    said = text.replace("linear(3)", "linear(3)\n expect training_peak(batch=5, precision=float32) == 260")
    assert not archdsl.loads(said).diagnostics
