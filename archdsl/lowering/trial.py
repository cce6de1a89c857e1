"""A user's own layers tried in torch before a module is made of them: do their rules say what torch does?"""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from archdsl.compiler.network import Network, Node
from archdsl.compiler.own import said
from archdsl.diagnostics import ArchError
from archdsl.layers.layer import Layer
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.lowering.layers import own_layers
from archdsl.problems.files import BrokenRule
from archdsl.teaching.finding import Finding, in_place

BATCH = 2


def try_own_layers(network: Network) -> None:
    """Build and run each of the user's own layers by itself, without any numbers, and compare.

    Raises `ArchError` where one stands that torch can't build or run, or whose shape, weights or buffers are
    others than its rules say. Where a size is open, or torch can't do without numbers, nothing is compared.
    """
    known: set[tuple[Layer, tuple[Shape, ...]]] = set()
    for node in own_layers(network):
        xs = tuple(wire.shape for wire in node.inputs)
        if (node.layer, xs) not in known:
            known.add((node.layer, xs))
            found = _tried(node, xs)
            if found is not None:
                raise ArchError([*in_place([Finding(found, node)])])


def _tried(node: Node, xs: tuple[Shape, ...]) -> BrokenRule | None:
    """What torch does not do as the rules of a layer say; the first thing."""
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    layer = node.layer
    given = xs or (Shape((1,)),)
    if not all(isinstance(extent, int) for x in (*given, *node.shapes) for extent in x):
        return None
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "Tensor": Tensor}
    rule = "source"
    try:
        with torch.device("meta"), torch.no_grad():
            # Annotations stay words, as in a file that is written.
            exec(f"from __future__ import annotations\n{dedent(layer.source)}", names)
            rule = "build"
            made = layer.build(Code("nn"), *xs)
            if made is not None:
                names["module"] = eval(str(made), names)
                names["module"].eval()
                wrong = _other_tensors(layer, xs, names["module"])
                if wrong is not None:
                    return wrong
            rule = "forward"
            values = tuple(Code(f"x{index}") for index in range(len(given)))
            names |= {f"x{index}": torch.zeros(BATCH, *x) for index, x in enumerate(given)}
            called = layer.forward(Code("torch"), None if made is None else Code("module"), values, xs)
            results = eval(str(called), names)
    except Exception as error:
        if isinstance(error, NotImplementedError) or "meta" in str(error).lower():
            return None
        return BrokenRule(layer.kind, rule, f"ends in torch in {said(error)}")
    results = results if isinstance(results, tuple | list) else (results,)
    shapes = [list(result.shape) if isinstance(result, Tensor) else None for result in results]
    wanted = [[BATCH, *shape] for shape in node.shapes]
    if shapes == wanted:
        return None
    gives = " and ".join("no tensor" if shape is None else str(Shape(shape[1:])) for shape in shapes)
    says = " and ".join(str(shape) for shape in node.shapes)
    return BrokenRule(layer.kind, "shape", f"says {says}, and torch gives {gives}")


def _other_tensors(layer: Layer, xs: tuple[Shape, ...], module: Any) -> BrokenRule | None:
    """The weights or buffers of a module that are not what the rules say."""
    weights = {name: tuple(shape) for name, shape in layer.weights(*xs).items()}
    buffers = {name: tuple(buffer.shape) for name, buffer in layer.buffers(*xs).items()}
    kept = module.state_dict()
    in_module = {
        "weights": {name: tuple(tensor.shape) for name, tensor in module.named_parameters()},
        "buffers": {name: tuple(tensor.shape) for name, tensor in module.named_buffers() if name in kept},
    }
    for rule, said_of in (("weights", weights), ("buffers", buffers)):
        if in_module[rule] != said_of:
            what = f"says {_listed(said_of)}, and torch's module has {_listed(in_module[rule])}"
            return BrokenRule(layer.kind, rule, what)
    return None


def _listed(tensors: dict[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"{name} {Shape(shape)}" for name, shape in tensors.items()) or "none"
