"""A network as an ONNX graph, with its weights, for any size of batch and all sizes that are left open."""

from __future__ import annotations

import io
import logging
import re
import tempfile
import warnings
from collections.abc import MutableMapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.analysis.legal_sizes import legal_sizes, open_sizes
from archdsl.compiler import Network
from archdsl.layers.shapes import Shape
from archdsl.lowering.identifiers import MODULE_ATTRIBUTES
from archdsl.problems.problem import listed
from archdsl.sizes import substitute
from archdsl.writing import write_whole

SMALLEST = 24
LONGEST = 2_048
"""Open sizes are tried with numbers between these."""
CLOSE = 1e-3
"""The largest difference, relative to the largest value, at which two computations agree but for rounding."""


class NotExported(Exception):
    """Why there is no ONNX graph, in one line for the user."""


def export(network: Network, model: nn.Module, path: Path) -> float:
    """Write the network, as it is used, to a file, and hold the file against the module.

    The graph's inputs and outputs have the file's names; the batch is free, and so are open sizes. Returns
    the largest difference from the module's outputs on random inputs, relative to their largest value.
    Raises `NotExported` where torch can't export a layer or leave a size open, where the packages are not
    there, and where the graph computes something else; then nothing is written.
    """
    of_trial = _sizes(network)
    for node in network.nodes:
        if node.layer.no_onnx:
            raise NotExported(f"ONNX has no form of `{node.name}` ({node.kind}): {node.layer.no_onnx}")
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotExported(f"{error.name} is not installed: pip install 'archdsl[onnx]'") from None
    model = model.cpu().eval()
    if path.exists() and not path.is_file():
        raise NotExported(f"{path} is no regular file")
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder, "net.onnx")
        _write(network, model, _inputs(network, of_trial[0], 2), aside)
        try:
            onnx.checker.check_model(aside, full_check=True)
            session = onnxruntime.InferenceSession(aside, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise NotExported(f"onnxruntime can't take the graph ({_said(error)})") from error
        difference = 0.0
        for count, sizes in ((2, of_trial[0]), (3, of_trial[-1])):
            given = _inputs(network, sizes, count)
            difference = max(difference, _difference(network, model, session, given))
        if not difference <= CLOSE:
            if of_trial[0]:
                raise NotExported(f"ONNX can't leave {listed(of_trial[0])} open here: give them by --size")
            raise NotExported(f"the ONNX graph computes something else (they differ by {difference:.2g})")
        write_whole(path, aside.read_bytes())
    return difference


def _sizes(network: Network) -> list[dict[str, int]]:
    """Numbers for the open sizes, twice: to trace the network with, and to try the graph with."""
    symbols = open_sizes(network)
    if not symbols:
        return [{}]
    known = legal_sizes(network)
    # torch takes an extent of 1 for one that is never another.
    found = [[n for n in range(SMALLEST, LONGEST) if n in known.values.get(name, ())][:2] for name in symbols]
    if known.unknown or known.together or any(len(values) < 2 for values in found):
        raise NotExported(f"which numbers fit {listed(symbols)} is not known: give them by --size")
    return [dict(zip(symbols, values, strict=True)) for values in zip(*found, strict=True)]


def _inputs(network: Network, sizes: dict[str, int], count: int) -> tuple[Tensor, ...]:
    """So many random examples."""
    return tuple(torch.randn(count, *(substitute(n, sizes) for n in node.shape)) for node in network.inputs)  # type: ignore[arg-type]


def _free(shape: Shape, batch: Any) -> dict[int, Any]:
    """What may vary of an input, by its axis, and how it is called."""
    return {0: batch} | {axis: str(n) for axis, n in enumerate(shape, 1) if not isinstance(n, int)}


def _write(network: Network, model: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    names = [node.name for node in network.inputs]
    # The exporter speaks of its own progress and of packages that it does without.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    silent = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(silent), redirect_stderr(silent):
            warnings.simplefilter("ignore")
            batch = torch.export.Dim("N")
            shapes = tuple(_free(node.shape, batch) for node in network.inputs)
            held = _Held(model)
            program = torch.onnx.export(
                held if held.hides else model,
                inputs,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=network.output_names,
                # Of what takes any number of inputs, they are one argument.
                dynamic_shapes=(shapes,) if held.hides else shapes,
            )
            assert program is not None
            if held.hides:
                held.rename(program.model.graph.initializers)
            for node in program.model.graph:
                if node.op_type == "MaxPool":
                    _pad_in_place_of_ceil(node)
            program.save(str(path))
    except Exception as error:
        raise NotExported(_reason(error)) from error
    finally:
        logger.setLevel(level)


class _Held(nn.Module):
    """A model whose tensors have names of no meaning.

    torch's exporter makes modules of the model's names, and can't where one `hides` what torch has there
    itself, as `forward` and `type` do.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.hides = any(MODULE_ATTRIBUTES & set(name.split(".")) for name, _ in model.named_modules())
        self._model = (model,)
        """In a tuple, it is no submodule."""
        self._names: dict[str, str] = {}
        self._places: dict[str, tuple[dict[str, Any], str]] = {}
        for name, module in model.named_modules():
            for own in (module._parameters, module._buffers):
                for key, tensor in own.items():
                    held = f"tensor_{len(self._names)}"
                    self._names[held] = f"{name}.{key}" if name else key
                    self._places[held] = own, key
                    if isinstance(tensor, nn.Parameter):
                        self.register_parameter(held, tensor)
                    else:
                        self.register_buffer(held, tensor)

    def forward(self, *inputs: Tensor) -> Any:
        # While torch traces, the tensors here are others than those of the model.
        before = {held: own[key] for held, (own, key) in self._places.items()}
        try:
            for held, (own, key) in self._places.items():
                own[key] = getattr(self, held)
            return self._model[0](*inputs)
        finally:
            for held, (own, key) in self._places.items():
                own[key] = before[held]

    def rename(self, held: MutableMapping[str, Any]) -> None:
        """Call the graph's tensors as the model does."""
        for number, name in self._names.items():
            if number in held:
                held[number].name = name


def _pad_in_place_of_ceil(pool: Any) -> None:
    """Write a rounded up number of windows as padding at the end.

    ONNX counts one that begins behind the samples, and torch does not.
    """
    from onnxscript import ir

    given = {name: pool.attributes[name].value for name in pool.attributes}
    if not given.get("ceil_mode"):
        return
    kernel, begins = given["kernel_shape"], given["pads"][: len(given["kernel_shape"])]
    ones = [1] * len(kernel)
    ends = []
    for axis, (size, begin) in enumerate(zip(kernel, begins, strict=True)):
        read, made = (value.shape[2 + axis] for value in (pool.inputs[0], pool.outputs[0]))
        if not isinstance(read, int) or not isinstance(made, int):
            return
        reach = given.get("dilations", ones)[axis] * (size - 1) + 1
        ends.append(max(0, (made - 1) * given.get("strides", ones)[axis] + reach - begin - read))
    pool.attributes["pads"] = ir.AttrInt64s("pads", [*begins, *ends])
    pool.attributes["ceil_mode"] = ir.AttrInt64("ceil_mode", 0)


def _reason(error: BaseException) -> str:
    """Why torch could not export a network: the operation that ONNX lacks, where the error names one."""
    last = error
    while last.__cause__ is not None:
        named = re.search(r"target=torch\.ops\.([\w.]+)\.\w+\]", str(last))
        if named:
            return f"ONNX has no form of torch's `{named[1]}` as this network uses it"
        last = last.__cause__
    return f"torch can't export this network ({_said(last)})"


def _said(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _difference(
    network: Network, model: nn.Module, session: object, inputs: tuple[torch.Tensor, ...]
) -> float:
    """How far the graph's outputs are from the module's, relative to the largest value."""
    with torch.no_grad():
        result = model(*inputs)
    wanted = result if isinstance(result, tuple) else (result,)
    given = {node.name: x.numpy() for node, x in zip(network.inputs, inputs, strict=True)}
    found = session.run(None, given)  # type: ignore[attr-defined]
    differences = [
        float((torch.from_numpy(a) - b).abs().max() / b.abs().max().clamp(min=1e-6))
        for a, b in zip(found, wanted, strict=True)
    ]
    return max(differences)
