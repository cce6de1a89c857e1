"""Values worked out without archdsl (`tests/oracle/`), and how a report is compared with them."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import archdsl

HERE = Path(__file__).parent
ARCHITECTURES = HERE.parent / "architectures"


def oracle(name: str) -> Any:
    """One of the files of expected values."""
    return json.loads((HERE / "oracle" / f"{name}.json").read_text(encoding="utf-8"))


MODELS: dict[str, Any] = oracle("models")

KINDS = {
    "conv": "conv",
    "linear": "linear",
    "batchnorm": "batch_norm",
    "maxpool": "max_pool",
    "avgpool": "avg_pool",
    "adaptive_avgpool": "adaptive_avg_pool",
    "lrn": "local_response_norm",
    "conv_transpose": "conv_transpose",
    "crop": "crop",
    "concat": "concat",
    "add": "add",
}
"""The oracle's word for a kind of layer, and the language's."""


@cache
def report(file: str, network: str) -> dict[str, Any]:
    """What `analyze --json` prints of a bundled network."""
    return archdsl.load(ARCHITECTURES / file, network=network).report().to_dict()


def compiled(text: str, size: int | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """The report's layers of a program; where a size is given, for images of that instead of 224."""
    text = text.replace("224", str(size)) if size else text
    layers: list[dict[str, Any]] = archdsl.loads(text, parameters=parameters).report().to_dict()["layers"]
    return layers


def units(field: dict[str, Any], axis: int, count: int = 48) -> list[tuple[Fraction, Fraction]] | None:
    """The first and last input position of each of the first units of an axis, of a report's field."""
    if field["global"]:
        return None
    phases = field["phases"][axis] if field["phases"] else None
    stride = Fraction(field["stride"][axis])
    if phases:
        spans = []
        for unit in range(count):
            start = (unit // len(phases)) * len(phases) * stride
            low, high = phases[unit % len(phases)]
            spans.append((start + low, start + high))
        return spans
    low = -Fraction(field["padding"][axis])
    size = field["size"][axis]
    return [(low + i * stride, low + i * stride + size - 1) for i in range(count)]


def expected_units(field: Any, axis: int, count: int = 48) -> list[tuple[Fraction, Fraction]] | None:
    """The same of an expected field."""
    field = field[axis] if isinstance(field, list) else field
    if field.get("global"):
        return None
    jump = Fraction(field["jump"])
    if "phases" not in field:
        low = -Fraction(field["pad_left"])
        return [(low + i * jump, low + i * jump + field["size"] - 1) for i in range(count)]
    period = field["period"]
    spans = []
    for unit in range(count):
        start = (unit // period) * period * jump
        low, high = field["phases"][unit % period]
        spans.append((start + low, start + high))
    return spans


def alignment(model: dict[str, Any]) -> dict[str, bool]:
    """Of every local value, whether no two paths to it have met whose units differ in centre or stride."""
    fields = {layer["id"]: layer["rf"] for layer in model["layers"]}
    aligned: dict[str, bool] = {}
    for layer in model["layers"]:
        before = [name for name in layer["in"] if name in aligned]
        met = layer["op"] in ("add", "concat", "mul") and len(before) > 1
        axes = range(len(layer["out"]) - 1 if met else 0)
        centres = [[centres_of(fields[name], axis) for axis in axes] for name in before]
        if not (isinstance(layer["rf"], dict) and layer["rf"].get("global")):
            aligned[layer["id"]] = all(aligned[name] for name in before) and all(
                one == centres[0] for one in centres
            )
    return aligned


def centres_of(field: Any, axis: int) -> list[Fraction]:
    """Twice the centre of each of the first units."""
    return [low + high for low, high in expected_units(field, axis) or []]


NO_FIELD = dict.fromkeys(("size", "stride", "padding", "taps", "phases", "aligned"))


def assert_same_field(
    found: dict[str, Any], expected: Any, axes: int, name: str, aligned: bool = True
) -> None:
    """The field of a report is the expected one, with nothing said of units where it is global."""
    if not axes or (isinstance(expected, dict) and expected.get("global")):
        assert found == {**NO_FIELD, "global": True, "at_most": False}, name
        return
    assert found["aligned"] is aligned, name
    for axis in range(axes):
        assert units(found, axis) == expected_units(expected, axis), f"receptive field of {name}"
        one = expected[axis] if isinstance(expected, list) else expected
        assert found["size"][axis] == one["size"], name
        assert (found["taps"][axis] == found["size"][axis]) == one["dense"], name
        if "center0" in one:
            assert Fraction(one["size"] - 1, 2) - found["padding"][axis] == Fraction(one["center0"]), name


def assert_same_layer(found: dict[str, Any], expected: dict[str, Any], aligned: bool = True) -> None:
    where = f"{found['name']} ({expected['id']})"
    assert found["shape"] == expected["out"], where
    figures = ("weights", "biases", "buffers", "macs")
    assert {k: found[k] for k in figures} == {k: expected[k] for k in figures}, where
    assert found["parameters"] == expected["weights"] + expected["biases"], where
    assert_same_field(found["receptive_field"], expected["rf"], len(expected["out"]) - 1, where, aligned)
