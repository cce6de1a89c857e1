"""A layer run from the source that it writes of itself, and what torch does meanwhile."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from archdsl.layers import Layer
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape


def source(layer: Layer, *xs: Shape) -> tuple[str | None, str]:
    """What the layer writes: the call that makes its module, and the expression of its output."""
    module = layer.build(Code("nn"), *xs)
    inputs = tuple(Code(f"x{i}") for i in range(max(1, len(xs))))
    output = layer.forward(Code("torch"), None if module is None else Code("module"), inputs, xs)
    return None if module is None else str(module), str(output)


def namespace(layer: Layer) -> dict[str, Any]:
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional}
    exec(layer.source, names)
    return names


def module_of(layer: Layer, *xs: Shape) -> nn.Module | None:
    """The torch module, from the source."""
    text, _ = source(layer, *xs)
    return None if text is None else eval(text, namespace(layer))


def output_of(
    layer: Layer, xs: tuple[Shape, ...], module: nn.Module | None, inputs: list[torch.Tensor]
) -> Any:
    """The output, from the source."""
    _, text = source(layer, *xs)
    values = {f"x{i}": value for i, value in enumerate(inputs)}
    return eval(text, {**namespace(layer), "module": module, **values})


def saved_bytes(layer: Layer, xs: tuple[Shape, ...], batch: int) -> int:
    """The bytes that torch keeps for the backward pass, its weights and buffers apart."""
    module = module_of(layer, *xs)
    inputs = [torch.rand(batch, *x).add(0.5).requires_grad_() * 1.0 for x in xs]
    own: set[int] = set()
    if module is not None:
        module.train()
        own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output_of(layer, xs, module, inputs)
    return sum(storage.nbytes() for storage in kept.values())


def ruled_bytes(layer: Layer, xs: tuple[Shape, ...], batch: int) -> int:
    """The bytes that the layer's rule says the backward pass needs."""
    saved = layer.saved(*xs)
    result = layer.shape(*xs)
    assert isinstance(result, Shape)
    floats = sum(xs[i].count for i in saved.inputs) + (result.count if saved.output else 0)
    return batch * (4 * floats + saved.extra) + saved.once


def support(
    layer: Layer, xs: tuple[Shape, ...], position: tuple[int, ...], of: int = 0
) -> set[tuple[int, ...]]:
    """The positions of input `of` that the output at `position` depends on: where its gradient isn't zero.

    In float64, outside training, with every channel of the output weighed by a random number.
    """
    module = module_of(layer, *xs)
    if module is not None:
        module.double().eval()
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.rand(1, *x, generator=generator, dtype=torch.float64) + 0.5 for x in xs]
    inputs[of].requires_grad_()
    output = output_of(layer, xs, module, inputs)
    unit = output[(0, slice(None), *position)]
    (torch.rand(unit.shape, generator=generator, dtype=torch.float64) * unit).sum().backward()
    gradient = inputs[of].grad
    assert gradient is not None
    return {tuple(place) for place in gradient[0].abs().sum(0).nonzero().tolist()}
