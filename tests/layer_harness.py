"""What every test of layers needs: a layer from its arguments, its source run, its rules set beside torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from archdsl.layers import LAYERS, Layer
from archdsl.layers.arguments import SameAs
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Stencil

Tensor = torch.Tensor


def make(kind: str, **given: Any) -> Layer:
    """The layer as the compiler makes it: every argument in its kind's form, defaults filled in."""
    cls = LAYERS[kind]
    assert set(given) <= set(cls.arguments), f"{kind} has no argument {set(given) - set(cls.arguments)}"
    values: dict[str, Any] = {}
    for name, parameter in cls.arguments.items():
        if name in given:
            values[name] = parameter.kind.check(_tuples(given[name]))
            assert values[name] is not None, f"{name}={given[name]!r} is refused"
        else:
            assert not parameter.required, f"{kind} needs {name}"
            default = parameter.default
            values[name] = values[default.name] if isinstance(default, SameAs) else default
    return cls(values)


def undone(pool: Layer, x: Shape) -> Any:
    """What a `max_unpool` is given as its `pool`: the use of that pooling on a value of shape x."""
    return SimpleNamespace(layer=pool, inputs=[SimpleNamespace(shape=x)])


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def source(layer: Layer, *xs: Shape, indices: bool = False) -> tuple[str | None, str]:
    """The source that is written for a layer: of its module, and of its forward over x0, x1, ..."""
    build = layer.build_with_indices if indices else layer.build
    built = build(Code("nn"), *xs)
    values = tuple(Code(f"x{i}") for i in range(max(1, len(xs))))
    rule = layer.forward_with_indices if indices else layer.forward
    forward = rule(Code("torch"), None if built is None else Code("module"), values, xs)
    return None if built is None else str(built), str(forward)


class Lowered(torch.nn.Module):
    """A layer's source, executed."""

    def __init__(self, layer: Layer, *xs: Shape, indices: bool = False) -> None:
        super().__init__()
        self.built, self.text = source(layer, *xs, indices=indices)
        self.names: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": F, "Tensor": Tensor, "math": math}
        exec(layer.source, self.names)
        self.module = None if self.built is None else eval(self.built, self.names)

    def forward(self, *values: Tensor) -> Any:
        names = {f"x{i}": value for i, value in enumerate(values)}
        return eval(self.text, {**self.names, "module": self.module, **names})


def elements(shape: Shape) -> int:
    return math.prod(int(extent) for extent in shape)


def macs(function: Callable[..., Any], *values: Tensor) -> int:
    """Multiply-accumulates by torch's own counter, which counts 2 for each."""
    with FlopCounterMode(display=False) as counter:
        function(*values)
    return counter.get_total_flops() // 2


def check_weights(layer: Layer, module: torch.nn.Module | None, *xs: Shape) -> None:
    """The weights and buffers of the rules are those of torch's module, by name and shape."""
    weights = {name: tuple(shape) for name, shape in layer.weights(*xs).items()}
    buffers = {name: tuple(buffer.shape) for name, buffer in layer.buffers(*xs).items()}
    found = {} if module is None else dict(module.named_parameters())
    kept = {} if module is None else dict(module.named_buffers())
    assert weights == {name: tuple(value.shape) for name, value in found.items()}
    assert buffers == {name: tuple(value.shape) for name, value in kept.items()}


def check_saved(layer: Layer, lowered: Lowered, *values: Tensor) -> None:
    """What the rule says is kept for the backward pass is what autograd keeps, in bytes, at two precisions.

    Weights and buffers are not counted, and each tensor once, however many operations keep it or a view
    of it.
    """
    rule = layer.saved(*(Shape(value.shape[1:]) for value in values))
    for kind in (torch.float32, torch.float64):
        given = tuple(v.to(kind).requires_grad_() if v.is_floating_point() else v for v in values)
        kept: dict[int, int] = {}

        def pack(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        module = lowered.to(kind)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = module(*given)
        for own in (*module.parameters(), *module.buffers()):
            kept.pop(own.untyped_storage().data_ptr(), None)
        batch, each = len(given[0]), given[0].element_size()
        wanted = sum(given[i].nbytes for i in rule.inputs)
        wanted += batch * int(rule.extra) + int(rule.once)
        wanted += each * (batch * int(rule.floats) + int(rule.floats_once))
        if rule.output:
            wanted += (result[0] if isinstance(result, tuple) else result).nbytes
        assert sum(kept.values()) == wanted


# ------------------------------------------------------------------------------ which units are read


def support(function: Callable[[Tensor], Tensor], x: Shape, positive: bool = True) -> Tensor:
    """Which input positions each output position depends on: [input positions, output positions].

    Each position in turn is raised far above all others, in every channel; whatever then changes in any
    channel of the output depends on it. This shows a maximum's whole window, which a gradient does not.
    """
    torch.manual_seed(0)
    base = torch.rand(1, *x, dtype=torch.float64) if positive else torch.randn(1, *x, dtype=torch.float64)
    count = elements(x) // x[0]
    raised = base.repeat(count, *(1 for _ in x))
    flat = raised.flatten(2)
    for position in range(count):
        flat[position, :, position] += 1000
    with torch.no_grad():
        before = function(base)
        change = (function(flat.reshape(raised.shape)) - before).abs()
    assert torch.isfinite(change).all()
    return (change.flatten(2) > 1e-9).any(1)


def read_positions(reads: Any, size: tuple[int, ...], output: tuple[int, ...], border: str) -> Tensor:
    """The same by the layer's rule: [input positions, output positions].

    `border` is what a position outside of the input stands for: nothing (`zeros`), or a sample inside
    (`reflect`, `replicate`, `circular`).
    """
    if reads is Reach.POOLED:
        return torch.ones(math.prod(size), math.prod(output), dtype=torch.bool)
    assert isinstance(reads, tuple), f"{reads} says nothing of positions"
    axes = [_axis(s, n, m, border) for s, n, m in zip(reads, size, output, strict=True)]
    whole = axes[0]
    for axis in axes[1:]:
        whole = torch.kron(whole, axis)
    return whole > 0


def _axis(stencil: Stencil, extent: int, units: int, border: str) -> Tensor:
    assert len(stencil.offsets) == stencil.step_out
    matrix = torch.zeros(extent, units, dtype=torch.int64)
    for unit in range(units):
        q, r = divmod(unit, stencil.step_out)
        offsets = list(stencil.offsets[r])
        assert offsets == sorted(set(offsets))
        for offset in offsets:
            place = _inside(q * stencil.step_in + offset, extent, border)
            if place is not None:
                matrix[place, unit] = 1
    return matrix


def _inside(place: int, extent: int, border: str) -> int | None:
    if 0 <= place < extent:
        return place
    if border == "circular":
        return place % extent
    if border == "replicate":
        return min(max(place, 0), extent - 1)
    if border == "reflect":
        return -place if place < 0 else 2 * (extent - 1) - place
    return None
