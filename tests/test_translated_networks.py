"""Networks translated into the language from a description: layers, totals, other libraries' modules."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest
from expected import MODELS, alignment, assert_same_layer, oracle, units
from translating import label, translate

import archdsl


@cache
def translated(model: str) -> dict[str, Any]:
    return archdsl.loads(translate(MODELS[model]), name=f"{model}.arch").report().to_dict()


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_translated(model: str) -> None:
    found = translated(model)["layers"]
    aligned = alignment(MODELS[model])
    by_label: dict[str, list[Any]] = {}
    for layer in found:
        by_label.setdefault(layer["name"].split(".")[0], []).append(layer)
    for expected in MODELS[model]["layers"]:
        if expected["op"] == "input":
            continue
        name = label(expected["id"])
        made = by_label[name]
        if expected["op"] in ("subsample_trainable", "conv_table", "channel_scale"):
            made = made + by_label.get(f"{name}_scale", [])
            total = {
                k: sum(layer[k] for layer in made)
                for k in ("weights", "biases", "parameters", "buffers", "macs")
            }
            if expected["op"] == "subsample_trainable":
                assert total.pop("macs") == expected["out"][0] * expected["out"][1] * expected["out"][2]
                total["macs"] = 0
            last = next(layer for layer in reversed(made) if layer["kind"] != "parameter")
            assert_same_layer({**last, **total}, expected, aligned.get(expected["id"], True))
        else:
            (layer,) = made
            assert_same_layer(layer, expected, aligned.get(expected["id"], True))


@pytest.mark.parametrize("expected", oracle("totals"), ids=lambda row: row["model"])
def test_totals_translated(expected: dict[str, Any]) -> None:
    found = translated(expected["model"])
    totals = found["totals"]
    assert found["inputs"][0]["shape"] == expected["input"]
    assert (totals["parameters"], totals["buffers"]) == (expected["params"], expected["buffers"])
    subsampling = 6 * 14 * 14 + 16 * 5 * 5 if expected["model"] == "lenet5_1998" else 0
    assert totals["macs"] == expected["macs"] + subsampling


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model["whole_map_rf"]])
def test_field_of_a_unit_that_sees_the_whole_map(model: str) -> None:
    """As if the first layer that reads the whole map were a convolution as large as the map."""
    expected = MODELS[model]["whole_map_rf"]
    at = next(layer for layer in MODELS[model]["layers"] if layer["id"] == expected["at"])
    before = label(at["in"][0])
    layer = [x for x in translated(model)["layers"] if x["name"].split(".")[0] == before][-1]
    for axis, extent in enumerate(layer["shape"][1:]):
        spans = units(layer["receptive_field"], axis, count=extent)
        assert spans is not None
        low, high = spans[0][0], spans[-1][1]
        assert [low, high] == expected["unclipped"][axis]
        assert high - low + 1 == expected["size"][axis]
        last = MODELS[model]["input"][1 + axis] - 1
        assert [max(low, 0), min(high, last)] == expected["clipped_to_input"][axis]


WITH_EXTERNAL = [name for name, model in MODELS.items() if model["external_rf"] and name != "efficientnet_b0"]


@pytest.mark.parametrize("model", WITH_EXTERNAL)
def test_field_of_the_last_map_agrees_with_other_libraries(model: str) -> None:
    """The last map before the global pooling; of timm and pytorchcv by the support of gradients."""
    layers = MODELS[model]["layers"]
    at = next(layer for layer in layers if layer["op"] in ("adaptive_avgpool", "flatten"))
    field = next(x for x in translated(model)["layers"] if x["name"] == label(at["in"][0]))["receptive_field"]
    for expected in MODELS[model]["external_rf"]:
        assert field["size"] == [expected["size"]] * 2
        assert field["stride"] == [expected["jump"]] * 2
        assert field["padding"] == [expected["pad_left"]] * 2


def test_field_of_efficientnet_without_its_gates() -> None:
    """With the gates every map sees everything; without them timm's has a field of 851."""
    model = MODELS["efficientnet_b0"]
    gated = {layer["id"]: layer["in"][0] for layer in model["layers"] if layer["op"] == "mul"}
    layers = [
        {**layer, "in": [gated.get(i, i) for i in layer["in"]]}
        for layer in model["layers"]
        if layer["op"] != "mul" and ".se." not in layer["id"]
    ]
    found = archdsl.loads(translate({**model, "layers": layers})).report().to_dict()["layers"]
    at = next(layer for layer in layers if layer["op"] == "adaptive_avgpool")
    field = next(x for x in found if x["name"] == label(at["in"][0]))["receptive_field"]
    (expected,) = model["external_rf"]
    assert (field["size"], field["stride"]) == ([expected["size"]] * 2, [expected["jump"]] * 2)
    assert field["padding"] == [expected["pad_left"]] * 2


# ------------------------------------------------------------------------------ modules of other libraries


def leaves_of(rows: list[tuple[list[int], int]]) -> Counter[tuple[tuple[int, ...], int]]:
    """Output shapes and parameters, whatever the order of axes and extents of 1."""
    return Counter((tuple(sorted(n for n in shape if n > 1)), count) for shape, count in rows if count)


# models.json has no inception networks, and pytorchcv's ShuffleNet differs from torchvision's in one unit.
LEAVES = [
    {**row, "model": "alexnet_torchvision" if row["ref"] == "alexnetb" else row["model"]}
    for row in oracle("leaves")
    if not row["model"].startswith("inception") and row["ref"] != "shufflenetv2b_w1"
]

NOT_HOOKED = {
    "densenet121": "batch_norm",
    "mobilenetv1_100": "batch_norm",
    "efficientnet_b0": "batch_norm",
    "convnext_tiny": "parameter",
}
"""What timm computes without calling a module, so that its modules do not show it."""


@pytest.mark.parametrize("row", LEAVES, ids=lambda row: f"{row['lib']}-{row['ref']}")
def test_layers_are_those_of_other_libraries(row: dict[str, Any]) -> None:
    layers = translated(row["model"])["layers"]
    ours = leaves_of([(layer["shape"], layer["parameters"]) for layer in layers])
    theirs = leaves_of([(shape, count) for _, shape, count in row["leaves"]])
    assert theirs - ours == Counter()
    hidden = NOT_HOOKED.get(row["ref"]) if row["lib"] == "timm" else None
    missing = [(x["shape"], x["parameters"]) for x in layers if x["kind"] == hidden]
    assert ours - theirs == leaves_of(missing)
