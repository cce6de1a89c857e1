"""A network as an ONNX graph, with its weights, for any size of batch."""

from __future__ import annotations

import io
import logging
import os
import re
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import nn

from archdsl.compiler import Network

CLOSE = 1e-3
"""The largest difference, relative to the largest value, at which two computations agree but for rounding."""


class NotExported(Exception):
    """Why there is no ONNX graph, in one line for the user."""


def export(network: Network, model: nn.Module, path: Path) -> float:
    """Write the network, as it is used, to a file, and hold the file against the module.

    The graph's inputs and outputs have the file's names; the batch is free. Returns the largest
    difference from the module's outputs on random inputs, relative to their largest value. Raises
    `NotExported` where a size is open or torch can't export a layer, where the packages are not there,
    and where the graph computes something else; then nothing is written.
    """
    open_sizes = [node.name for node in network.inputs if not all(isinstance(n, int) for n in node.shape)]
    if open_sizes:
        raise NotExported(f"the sizes of `{open_sizes[0]}` are open: give them by --size")
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
    inputs = tuple(torch.randn(2, *(n for n in node.shape if isinstance(n, int))) for node in network.inputs)
    if path.exists() and not path.is_file():
        raise NotExported(f"{path} is no regular file")
    path = Path(os.path.realpath(path))
    # Written aside and then renamed, so that no one sees half of it.
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, suffix=".onnx", delete=False) as file:
        aside = Path(file.name)
    try:
        _write(network, model, inputs, aside)
        onnx.checker.check_model(aside, full_check=True)
        difference = 0.0
        session = onnxruntime.InferenceSession(aside, providers=["CPUExecutionProvider"])
        for count in (2, 3):
            given = tuple(torch.randn(count, *x.shape[1:]) for x in inputs)
            difference = max(difference, _difference(network, model, session, given))
        if not difference <= CLOSE:
            raise NotExported(f"the ONNX graph computes something else (they differ by {difference:.2g})")
        # A temporary file is its owner's alone; this one is as others are.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(aside, 0o666 & ~umask)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return difference


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
            program = torch.onnx.export(
                model,
                inputs,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=network.output_names,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
            )
            assert program is not None
            program.save(str(path))
    except Exception as error:
        raise NotExported(_reason(error)) from error
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Why torch could not export a network: the operation that ONNX lacks, where the error names one."""
    last = error
    while last.__cause__ is not None:
        named = re.search(r"target=torch\.ops\.([\w.]+)\.\w+\]", str(last))
        if named:
            return f"ONNX has no form of torch's `{named[1]}` as this network uses it"
        last = last.__cause__
    said = next(iter(str(last).strip().splitlines()), type(last).__name__)
    return f"torch can't export this network ({said})"


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
