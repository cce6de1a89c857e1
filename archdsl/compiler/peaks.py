"""The peaks of memory, which `expect` may ask of other batches and precisions: `training_peak(batch=64)`."""

from __future__ import annotations

from typing import Any

from archdsl.compiler.signatures import Signature
from archdsl.layers.arguments import Kind, Parameter, choice
from archdsl.precision import MOST, PRECISIONS, STANDARD

PEAKS = ("forward_peak", "training_peak")


def _count(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST
    return value if fits else None


PEAK_ARGUMENTS = {
    "batch": Parameter(
        Kind(f"a whole number from 1 to {MOST:,}", _count), "examples at once", STANDARD.batch, "batch"
    ),
    "precision": Parameter(choice(*PRECISIONS), "what numbers are stored as", "float32", "precision"),
}
"""By their names in a `Measure`."""


def peak_signature(name: str) -> Signature:
    """What one of them takes."""
    return Signature.of_arguments(name, PEAK_ARGUMENTS)
