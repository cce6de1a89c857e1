"""A network as an ONNX graph, with its weights, for any size of batch and all sizes that are left open."""

from __future__ import annotations

import io
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.analysis.legal_sizes import Sizes, Trial, legal_sizes, open_sizes
from archdsl.compiler import Network
from archdsl.layers.shapes import Shape
from archdsl.lowering.identifiers import MODULE_ATTRIBUTES
from archdsl.problems.problem import listed, sizes_to_give
from archdsl.sizes import substitute
from archdsl.writing import write_whole

NEAR = (24, 40)
LONGEST = 2_048
"""Open sizes are tried with numbers below this, near to one of those and then to the other."""
TRIALS = 1_000
"""The most numbers that are asked for whether they fit."""
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
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotExported(f"{error.name} is not installed: pip install 'archdsl[onnx]'") from None
    model = model.cpu().eval()
    if path.exists() and not path.is_file():
        raise NotExported(f"{path} is no regular file")
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder, "net.onnx")
        try:
            difference = _tried(network, model, of_trial, aside)
        except NotExported as error:
            if not of_trial[0]:
                raise
            left = f"ONNX can't leave {listed(of_trial[0])} open here ({error})"
            raise NotExported(f"{left}: give {sizes_to_give(of_trial[0])}") from error
        write_whole(path, aside.read_bytes())
    return difference


def _tried(network: Network, model: nn.Module, of_trial: list[Sizes], path: Path) -> float:
    """Write the graph of the first of some sizes, and hold it against the module with all of them."""
    import onnx
    import onnxruntime

    _write(network, model, _inputs(network, of_trial[0], 2), path)
    try:
        onnx.checker.check_model(path, full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise NotExported(f"onnxruntime can't take the graph: {_said(error)}") from error
    difference = 0.0
    for count, sizes in ((2, of_trial[0]), (3, of_trial[-1])):
        given = _inputs(network, sizes, count)
        difference = max(difference, _difference(network, model, session, given))
    if not difference <= CLOSE:
        raise NotExported(f"the graph computes something else: they differ by {difference:.2g}")
    return difference


def _sizes(network: Network) -> list[Sizes]:
    """Numbers for the open sizes, twice: to trace the network with, and to try the graph with."""
    symbols = open_sizes(network)
    if not symbols:
        return [{}]
    known = legal_sizes(network).values
    # torch takes an extent of 1 for one that is never another.
    may = {name: [n for n in range(2, LONGEST) if name not in known or n in known[name]] for name in symbols}
    trial, left = Trial(network), iter(range(TRIALS))
    found: list[Sizes] = []
    for near in NEAR:
        sizes = next(_fitting(may, near, trial, left, {}), None)
        if sizes is None:
            said = f"no two numbers that fit were found for {listed(symbols)}"
            raise NotExported(f"{said}: give {sizes_to_give(symbols)}")
        found.append(sizes)
        for name, n in sizes.items():
            may[name].remove(n)
    return found


def _fitting(
    may: dict[str, list[int]], near: int, trial: Trial, left: Iterator[int], given: Sizes
) -> Iterator[Sizes]:
    """What fits of the numbers that symbols may have, with those that are given; those near a number first.

    What does not fit with the first symbols alone is left out with all that follows. It ends where no trials
    are `left`.
    """
    if next(left, None) is None or trial.refusal(given) is not None:
        return
    if len(given) == len(may):
        yield given
        return
    name = [*may][len(given)]
    # Each symbol is near another number: torch may take equal ones for the same.
    for n in sorted(may[name], key=lambda n: (abs(n - near - len(given)), -n)):
        yield from _fitting(may, near, trial, left, {**given, name: n})


def _inputs(network: Network, sizes: Sizes, count: int) -> tuple[Tensor, ...]:
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
                custom_translation_table={torch.ops.aten._adaptive_avg_pool3d.default: _mean_of_windows},
            )
            assert program is not None
            if held.hides:
                held.rename(program.model.graph.initializers)
            for node in program.model.graph:
                if node.op_type == "MaxPool":
                    _pad_in_place_of_ceil(node)
            program.save(str(path))
    except Exception as error:
        raise NotExported(_reason(error, model)) from error
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


def _mean_of_windows(x: Any, sizes: list[int]) -> Any:
    """`adaptive_avg_pool` in three dimensions, of which torch's exporter has no form: windows that are alike.

    Raises `ValueError` where they are not, which is then why it has none.
    """
    from onnxscript import opset18

    extents = x.shape[2:]
    if any(not isinstance(n, int) or n % size for n, size in zip(extents, sizes, strict=True)):
        raise ValueError("the windows are not alike")
    window = [n // size for n, size in zip(extents, sizes, strict=True)]
    return opset18.AveragePool(x, kernel_shape=window, strides=window)


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


def _reason(error: BaseException, model: nn.Module) -> str:
    """Why torch could not export a network: the operation that ONNX lacks, where the error names one.

    The first layer that is of it is named where it is a module, which most are.
    """
    last = error
    while last.__cause__ is not None:
        named = re.search(r"target=torch\.ops\.([\w.]+)\.\w+\]", str(last))
        if named:
            kind = named[1].rpartition(".")[2].replace("_", "").lower()
            layers = (name for name, one in model.named_modules() if type(one).__name__.lower() == kind)
            user = next((f"`{name}`" for name in layers), "this network")
            return f"ONNX has no form of torch's `{named[1]}` as {user} uses it"
        last = last.__cause__
    if "inferred a static shape" in str(last):
        return "torch takes it for fixed"
    return f"torch can't export this network: {_said(last)}"


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
    try:
        found = session.run(None, given)  # type: ignore[attr-defined]
    except Exception as error:
        raise NotExported(f"onnxruntime can't run the graph: {_said(error)}") from error
    if any(a.shape != b.shape for a, b in zip(found, wanted, strict=True)):
        raise NotExported("the graph gives other shapes")
    differences = [
        float((torch.from_numpy(a) - b).abs().max() / b.abs().max().clamp(min=1e-6))
        for a, b in zip(found, wanted, strict=True)
    ]
    return max(differences)
