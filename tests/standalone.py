"""Lowered sources run in a fresh process where archdsl can't be imported, and set beside the built module."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import archdsl
from archdsl.compiler.network import Network, Node, Wire
from archdsl.layers.recorder import Code

WORKER = """
import json, sys
import torch

sys.modules["archdsl"] = None
# Weights are given, so those that modules begin with need not be drawn: that takes longer than all else.
for name in ("kaiming_uniform_", "uniform_", "normal_", "trunc_normal_"):
    setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
for line in sys.stdin:
    job = json.loads(line)
    names = {"__name__": "exported"}
    with open(job["source"], encoding="utf-8") as file:
        exec(compile(file.read(), job["source"], "exec", dont_inherit=True), names)
    model = [value for value in names.values() if isinstance(value, type)][-1]().eval()
    given = torch.load(job["given"], mmap=True)
    model.load_state_dict(given["state"], assign=True)
    with torch.no_grad():
        results = model(*given["inputs"])
    torch.save({"keys": list(model.state_dict()), "results": results}, job["result"])
    print("done", flush=True)
"""


class Standalone:
    """A process without archdsl that runs exported sources."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )

    def run(self, source: str, state: dict[str, Any], inputs: list[torch.Tensor]) -> dict[str, Any]:
        """What the source makes of the weights and inputs: the names of its state, and its results."""
        assert self.process.stdin and self.process.stdout
        self.count += 1
        paths = {key: self.folder / f"{key}{self.count}" for key in ("source", "given", "result")}
        paths["source"].write_text(source, encoding="utf-8")
        torch.save({"state": state, "inputs": inputs}, paths["given"])
        self.process.stdin.write(json.dumps({key: str(path) for key, path in paths.items()}) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", source
        result: dict[str, Any] = torch.load(paths["result"])
        for path in paths.values():
            path.unlink()
        return result


@contextmanager
def standalone(folder: Path) -> Iterator[Standalone]:
    worker = Standalone(folder)
    try:
        yield worker
    finally:
        assert worker.process.stdin and worker.process.stdout
        worker.process.stdin.close()
        worker.process.wait()
        worker.process.stdout.close()


POOL = torch.rand(1_000_003, generator=torch.Generator().manual_seed(0)) * 2 - 1


@contextmanager
def quickly_initialised() -> Iterator[None]:
    """Kernels and matrices begin with numbers of one pool, of the usual size: to draw a hundred million of
    them takes longer than to compute with them."""

    def copied(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        fan_in = tensor[0].numel() if len(tensor) else 1
        with torch.no_grad():
            for piece in tensor.view(-1).split(len(POOL)):
                piece.copy_(POOL[: len(piece)]).mul_(max(fan_in, 1) ** -0.5)
        return tensor

    with mock.patch.object(torch.nn.init, "kaiming_uniform_", copied):
        yield


def listed(results: Any) -> list[torch.Tensor]:
    return [results] if isinstance(results, torch.Tensor) else list(results)


# ------------------------------------------------------------------------------ expected by the layers' rules


def owned(network: Network) -> dict[str, tuple[int, ...]]:
    """The shape of every weight and buffer, by the name it must have."""
    found: dict[str, tuple[int, ...]] = {}
    for node in network.nodes:
        if node.first is None:
            xs = [wire.shape for wire in node.inputs]
            found |= {f"{node.name}.{k}": tuple(v) for k, v in node.layer.weights(*xs).items()}
            found |= {f"{node.name}.{k}": tuple(v.shape) for k, v in node.layer.buffers(*xs).items()}
    return found


def interpreted(
    network: Network, state: dict[str, Any], inputs: list[torch.Tensor]
) -> dict[Wire, torch.Tensor]:
    """Every value of a network, each layer computed by itself as its own rules write it."""
    undone = {
        wire.node
        for node in network.nodes
        for wire in node.inputs
        if wire.port and wire.node.kind == "max_pool"
    }
    values = {Wire(node): value for node, value in zip(network.inputs, inputs, strict=True)}
    for node in network.nodes:
        if node in network.inputs:
            continue
        results = _computed(node, node in undone, state, [values[w] for w in node.inputs] or inputs[:1])
        values |= {Wire(node, port): value for port, value in enumerate(listed(results))}
    return values


def _computed(node: Node, undone: bool, state: dict[str, Any], values: list[torch.Tensor]) -> Any:
    layer: Any = node.layer
    xs = tuple(wire.shape for wire in node.inputs)
    names: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "Tensor": torch.Tensor}
    exec(layer.source, names)
    built = (layer.build_with_indices if undone else layer.build)(Code("nn"), *xs)
    if built is not None:
        names["module"] = eval(str(built), names).eval()
        prefix = (node.first or node).name + "."
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        names["module"].load_state_dict(own)
    rule = layer.forward_with_indices if undone else layer.forward
    places = tuple(Code(f"value{i}") for i in range(len(values)))
    names |= {f"value{i}": value for i, value in enumerate(values)}
    with torch.no_grad():
        return eval(
            str(rule(Code("torch"), Code("module") if built is not None else None, places, xs)), names
        )


def compare(
    net: archdsl.Net, worker: Standalone, seed: int = 0, interpret: bool = True
) -> tuple[torch.nn.Module, list[torch.Tensor]]:
    """Hold the built module and the exported source to the file's names, shapes and values.

    The module, and the two examples that it was given.
    """
    torch.manual_seed(seed)
    inputs = [torch.randn(2, *(int(n) for n in node.shape)) for node in net.network.inputs]
    with quickly_initialised():
        model = net.build().eval()
    state = model.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == owned(net.network)
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            value.normal_()
    with torch.no_grad():
        results = listed(model(*inputs))
    assert [list(value.shape) for value in results] == [[2, *wire.shape] for wire in net.network.outputs]
    found = worker.run(net.source(), state, inputs)
    assert found["keys"] == list(state)
    assert all(torch.equal(a, b) for a, b in zip(listed(found["results"]), results, strict=True))
    if interpret:
        values = interpreted(net.network, state, inputs)
        for wire, value in zip(net.network.outputs, results, strict=True):
            torch.testing.assert_close(value, values[wire], rtol=1e-5, atol=1e-6, equal_nan=True)
    return model, inputs
