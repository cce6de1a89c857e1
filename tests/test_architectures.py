"""The bundled networks, and others translated from a description, against values worked out elsewhere.

`tests/oracle/models.json` has every layer of 38 networks. Those that are bundled are compared layer by
layer with the bundled file; all of them are also translated into the language and compared by name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import archdsl

HERE = Path(__file__).parent
ARCHITECTURES = HERE.parent / "architectures"


def oracle(name: str) -> Any:
    return json.loads((HERE / "oracle" / f"{name}.json").read_text(encoding="utf-8"))


MODELS: dict[str, Any] = oracle("models")

BUNDLED = {
    "mnist1d_conv.arch": {"MNIST1DConv": "mnist1d_conv"},
    "mnist1d_fc.arch": {"MNIST1DFC": "mnist1d_fc"},
    "lenet5.arch": {"LeNet5": "lenet5_1998", "LeNet5Modern": "lenet5_modern_32"},
    "alexnet.arch": {"AlexNet": "alexnet_book_224p2", "AlexNetTorchvision": "alexnet_torchvision"},
    "alexnet_grouped.arch": {"AlexNetGrouped": "alexnet_grouped_224p2"},
    "vgg.arch": {"VGG11": "vgg_a", "VGG13": "vgg_b", "VGG16": "vgg_d", "VGG19": "vgg_e"},
    "nin.arch": {"NIN": "nin_cifar10"},
    "googlenet.arch": {"GoogLeNet": None, "GoogLeNetTorchvision": "googlenet_torchvision"},
    "resnet.arch": {
        "ResNet18": "resnet18",
        "ResNet34": "resnet34",
        "ResNet50": "resnet50_v1_original",
        "ResNet101": "resnet101_v1_original",
        "ResNet152": None,
        "ResNet50V15": "resnet50",
        "ResNet101V15": "resnet101",
        "ResNet152V15": "resnet152",
    },
    "unet.arch": {"UNet": "unet_2015", "UNetPadded": "unet_padded"},
}
"""Every bundled network and the model of the oracle that it is; None where the oracle has none."""

NETWORKS = [(file, network, model) for file, networks in BUNDLED.items() for network, model in networks.items()]
COMPARED = [(file, network, model) for file, network, model in NETWORKS if model]

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

STRUCTURAL = {"input", "flatten", "dropout", "identity"}
"""Kinds without figures of their own, which a description may or may not write down."""


@lru_cache(maxsize=None)
def report(file: str, network: str) -> dict[str, Any]:
    return archdsl.load(ARCHITECTURES / f"{file}", network=network).report().to_dict()


# ------------------------------------------------------------------------------ receptive fields


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


def assert_same_field(found: dict[str, Any], expected: Any, axes: int, name: str) -> None:
    for axis in range(axes):
        assert units(found, axis) == expected_units(expected, axis), f"receptive field of {name}"
        one = expected[axis] if isinstance(expected, list) else expected
        if not one.get("global"):
            assert found["size"][axis] == one["size"], name
            assert (found["taps"][axis] == found["size"][axis]) == one["dense"], name
            assert found["aligned"], name


def assert_same_layer(found: dict[str, Any], expected: dict[str, Any]) -> None:
    where = f"{found['name']} ({expected['id']})"
    assert found["shape"] == expected["out"], where
    figures = ("weights", "biases", "buffers", "macs")
    assert {k: found[k] for k in figures} == {k: expected[k] for k in figures}, where
    assert found["parameters"] == expected["weights"] + expected["biases"], where
    assert_same_field(found["receptive_field"], expected["rf"], len(expected["out"]) - 1, where)


# ------------------------------------------------------------------------------ the bundled files


def test_every_bundled_network_is_here() -> None:
    found = {
        path.name: set(re.findall(r"^network (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in ARCHITECTURES.glob("*.arch")
    }
    assert found == {file: set(networks) for file, networks in BUNDLED.items()}


@pytest.mark.parametrize(("file", "network", "model"), NETWORKS)
def test_expectations_hold_and_nothing_is_warned_of(file: str, network: str, model: str | None) -> None:
    net = archdsl.load(ARCHITECTURES / file, network=network)
    assert net.diagnostics == []
    assert "expect" in (ARCHITECTURES / file).read_text(encoding="utf-8")
    assert net.graph.number_of_nodes() > 5


@pytest.mark.parametrize(("file", "network", "model"), COMPARED)
def test_totals(file: str, network: str, model: str) -> None:
    totals = report(file, network)["totals"]
    expected = dict(MODELS[model]["totals"])
    if network == "LeNet5":
        expected["macs"] += 6 * 14 * 14 + 16 * 5 * 5  # its coefficients are depthwise convolutions here
    assert totals["parameters"] == totals["trainable"] == expected["params"]
    assert totals["buffers"] == expected["buffers"]
    assert totals["macs"] == expected["macs"]
    layers = report(file, network)["layers"]
    assert sum(layer["weights"] for layer in layers) == expected["weights"]
    assert sum(layer["biases"] for layer in layers) == expected["biases"]


@pytest.mark.parametrize(("file", "network", "model"), [c for c in COMPARED if c[1] != "LeNet5"])
def test_every_layer(file: str, network: str, model: str) -> None:
    """Layers of a kind are met in the same order on both sides."""
    found: dict[str, list[Any]] = {}
    for layer in report(file, network)["layers"]:
        found.setdefault(layer["kind"], []).append(layer)
    expected: dict[str, list[Any]] = {}
    for layer in MODELS[model]["layers"]:
        kind = KINDS.get(layer["op"], layer["args"].get("fn", layer["op"]))
        if layer["op"] == "adaptive_avgpool" and layer["args"]["out"] == [1, 1] or layer["id"] == "pool3" and network == "NIN":
            kind = "global_avg_pool"
            layer = {**layer, "rf": {"global": True}}
        expected.setdefault(kind, []).append(layer)
    for kind in STRUCTURAL:
        found.pop(kind, None)
        expected.pop(kind, None)
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {
        kind: len(of_kind) for kind, of_kind in expected.items()
    }
    for kind, of_kind in expected.items():
        for one, other in zip(found[kind], of_kind, strict=True):
            assert_same_layer(one, other)


def test_every_layer_of_lenet5() -> None:
    """Subsampling and the connection table are several layers each: their figures are summed."""
    layers = report("lenet5.arch", "LeNet5")["layers"]
    for expected in MODELS["lenet5_1998"]["layers"]:
        label = {"t2": "s2", "t4": "s4", "t5": "c5", "t6": "f6"}.get(expected["id"], expected["id"])
        if expected["op"] in ("input", "flatten"):
            continue
        made = [layer for layer in layers if layer["name"].split(".")[0] == label]
        if expected["op"] == "act":
            made = [layer for layer in made if layer["kind"] == "tanh"]
        else:
            made = [layer for layer in made if layer["kind"] != "tanh"]
        assert made[-1]["shape"] == expected["out"]
        assert sum(layer["weights"] for layer in made) == expected["weights"]
        assert sum(layer["biases"] for layer in made) == expected["biases"]
        if expected["op"] != "subsample_trainable":
            assert sum(layer["macs"] for layer in made) == expected["macs"]
        assert_same_field(made[-1]["receptive_field"], expected["rf"], len(expected["out"]) - 1, label)


def test_connections_of_lenet5_are_those_of_the_paper() -> None:
    text = (ARCHITECTURES / "lenet5.arch").read_text(encoding="utf-8")
    table = json.loads(re.search(r"let connections = (\[.*?\n\])", text, re.DOTALL)[1])
    expected = next(layer for layer in MODELS["lenet5_1998"]["layers"] if layer["op"] == "conv_table")
    assert [sorted(maps) for maps in table] == [sorted(maps) for maps in expected["args"]["table"]]


def test_googlenet_as_published() -> None:
    """Table 1 of the paper; by hand, 6,998,552 parameters and the two heads."""
    layers = report("googlenet.arch", "GoogLeNet")["layers"]
    shapes = {layer["name"]: layer["shape"] for layer in layers}
    concatenated = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}
    extent = {"3": 28, "4": 14, "5": 7}
    for name, channels in concatenated.items():
        assert shapes[f"inception_{name}.concat"] == [channels, extent[name[0]], extent[name[0]]]
    assert shapes["auxiliary1.avg_pool"] == [512, 4, 4]
    assert shapes["auxiliary2.avg_pool"] == [528, 4, 4]
    heads = [layer for layer in layers if layer["name"].startswith("auxiliary")]
    first = 512 * 128 + 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000
    second = first + 16 * 128
    assert sum(layer["parameters"] for layer in heads) == first + second
    assert sum(layer["parameters"] for layer in layers) - first - second == 6_998_552
    assert sum(layer["macs"] for layer in layers if layer not in heads) == 1_582_671_872
    assert report("googlenet.arch", "GoogLeNet")["outputs"] == ["logits", "auxiliary1", "auxiliary2"]


def test_resnet152_moves_the_stride_only() -> None:
    """The paper's differs from torchvision's as ResNet-101's does: in the first unit of three stages."""
    mine, late = (report("resnet.arch", n)["totals"] for n in ("ResNet152", "ResNet152V15"))
    moved = MODELS["resnet101"]["totals"]["macs"] - MODELS["resnet101_v1_original"]["totals"]["macs"]
    assert late["macs"] - mine["macs"] == moved
    assert late["parameters"] == mine["parameters"]


# ------------------------------------------------------------------------------ translated networks


def label(name: str) -> str:
    """A name that is no word of the language."""
    return "n_" + re.sub(r"\W", "_", name)


def translate(model: dict[str, Any]) -> str:
    """The network as a file: a line a layer, each saying what it starts from."""
    shapes = {layer["id"]: layer["out"] for layer in model["layers"]}
    lines = []
    for layer in model["layers"]:
        a, name = layer["args"], label(layer["id"])
        if layer["op"] == "input":
            lines.append(f"input {name}: {a['shape']}")
            continue
        inputs = ", ".join(label(i) for i in layer["in"])
        channels = shapes[layer["in"][0]][0]
        lines.append(f"{name}: from {inputs} -> {call(layer, channels, shapes)}")
        if layer["op"] == "channel_scale":
            lines[-1:] = [f"{name}_scale: parameter([{channels}, 1, 1])", f"{name}: from {inputs}, {name}_scale -> multiply"]
        if layer["op"] == "max_unpool":
            x, pool = (label(i) for i in layer["in"])
            lines[-1] = f"{name}: from {x} -> max_unpool({pool})"
    return "network Translated {\n  " + "\n  ".join(lines) + "\n}\n"


def call(layer: dict[str, Any], channels: int, shapes: dict[str, list[int]]) -> str:
    """A layer of the oracle in the words of the language."""
    a, op = layer["args"], layer["op"]
    if op == "conv":
        window = f"kernel={a['k']}, stride={a['s']}, padding={a['pad']}, dilation={a['d']}, bias={str(a['bias']).lower()}"
        if a["groups"] == "in":
            return f"depthwise_conv({window}, multiplier={a['out'].removeprefix('in*')})"
        return f"conv({a['out']}, {window}, groups={a['groups']})"
    if op == "conv_transpose":
        return (
            f"conv_transpose({a['out']}, kernel={a['k']}, stride={a['s']}, padding={a['p']}, "
            f"output_padding={a['output_padding']}, dilation={a['d']}, groups={a['groups']}, bias={str(a['bias']).lower()})"
        )
    if op == "conv_table":
        branches = "\n".join(f"select({maps}) -> conv(1, kernel={a['k']})" for maps in a["table"])
        return f"parallel concat {{\n{branches}\n}}"
    if op in ("maxpool", "avgpool"):
        padding = [before for before, after in a["pad"] if before == after]
        assert len(padding) == len(a["pad"])
        return f"{KINDS[op]}({a['k']}, stride={a['s']}, padding={padding}, ceil={str(a['ceil']).lower()})"
    if op == "crop":
        return f"crop({layer['out'][1:]}, offset={a['lo']})"
    if op == "adaptive_avgpool":
        return "global_avg_pool" if set(a["out"]) == {1} else f"adaptive_avg_pool({a['out']})"
    if op == "upsample":
        assert a["mode"] == "bilinear"
        return f"upsample({a['scale']}, mode=linear, align_corners={str(a['align_corners']).lower()})"
    if op == "subsample_trainable":
        return f"avg_pool({a['k']}, stride={a['s']}) -> depthwise_conv(kernel=1)"
    plain = {
        "act": lambda: a["fn"],
        "linear": lambda: f"linear({a['out']}, bias={str(a['bias']).lower()})",
        "lrn": lambda: f"local_response_norm({a['size']})",
        "reshape": lambda: f"reshape({a['shape']})",
        "channel_shuffle": lambda: f"channel_shuffle({a['groups']})",
        "channel_slice": lambda: f"slice({a['start']}, {a['stop']})",
        "mul": lambda: "multiply",
        "channel_layernorm": lambda: "layer_norm",
        "batchnorm": lambda: "batch_norm",
    }
    return plain[op]() if op in plain else op


@lru_cache(maxsize=None)
def translated(model: str) -> dict[str, Any]:
    return archdsl.loads(translate(MODELS[model]), name=f"{model}.arch").report().to_dict()


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_translated(model: str) -> None:
    found = translated(model)["layers"]
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
            total = {k: sum(layer[k] for layer in made) for k in ("weights", "biases", "parameters", "buffers", "macs")}
            if expected["op"] == "subsample_trainable":
                assert total.pop("macs") == expected["out"][0] * expected["out"][1] * expected["out"][2]
                total["macs"] = 0
            last = next(layer for layer in reversed(made) if layer["kind"] != "parameter")
            assert_same_layer({**last, **total}, expected)
        else:
            (layer,) = made
            assert_same_layer(layer, expected)


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

NOT_HOOKED = {"densenet121": "batch_norm", "mobilenetv1_100": "batch_norm", "efficientnet_b0": "batch_norm", "convnext_tiny": "parameter"}
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


# ------------------------------------------------------------------------------ published receptive fields

PUBLISHED = oracle("published_rf")["rows"]

SLIM_ALEXNET = """
network AlexNetV2 {
  input image: [3, 224, 224]
  conv1: conv(64, kernel=11, stride=4)
  pool1: max_pool(3, stride=2)
  conv2: conv(192, kernel=5, padding=same)
  pool2: max_pool(3, stride=2)
  conv3: conv(384, kernel=3, padding=same)
  conv4: conv(384, kernel=3, padding=same)
  conv5: conv(256, kernel=3, padding=same)
  pool5: max_pool(3, stride=2)
}
"""

SLIM_RESNET = """
import Bottleneck from "resnet.arch"
network ResNetSlim(depths) {
  input image: [3, 224, 224]
  conv(64, kernel=7, stride=2, padding=3) -> pad([[0, 1], [0, 1]]) -> max_pool(3, stride=2)
  block: for [channels, depth, stride] in zip([64, 128, 256, 512], depths, [2, 2, 2, 1]) {
    repeat depth - 1 { Bottleneck(channels) }
    Bottleneck(channels, stride3x3=stride)
  }
}
"""
"""TF-slim strides in the last unit of a block."""

SLIM_MOBILENET = """
network MobileNetSlim {
  input image: [3, 224, 224]
  Conv2d_0: conv(32, kernel=3, stride=2, padding=same)
  Conv2d: for [channels, stride] in [[64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2], [512, 1], [512, 1],
                                     [512, 1], [512, 1], [512, 1], [1024, 2], [1024, 1]] {
    depthwise_conv(kernel=3, stride=stride, padding=same)
    pointwise: conv(channels, kernel=1)
  }
}
"""


def assert_published(layers: list[dict[str, Any]], name: str, row: dict[str, Any]) -> None:
    field = next(layer for layer in layers if layer["name"] == name)["receptive_field"]
    assert (field["size"], field["stride"]) == ([row["rf"]] * 2, [row["stride"]] * 2)
    if row["padding"] is not None:
        assert field["padding"] == [row["padding"]] * 2


def compiled(text: str, size: int | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """The report's layers of a program, for images of another size where one is given."""
    text = text.replace("224", str(size)) if size else text
    layers: list[dict[str, Any]] = archdsl.loads(text, parameters=parameters).report().to_dict()["layers"]
    return layers


def end_point(row: dict[str, Any]) -> str:
    return str(row["end_point"].split("/")[-1])


def rows_of(network: str) -> list[Any]:
    return [pytest.param(row, id=f"{row['end_point']}-{row['resolution']}") for row in PUBLISHED if row["network"] == network]


@pytest.mark.parametrize("row", rows_of("alexnet_v2"))
def test_published_fields_of_alexnet(row: dict[str, Any]) -> None:
    assert_published(compiled(SLIM_ALEXNET, row["resolution"]), end_point(row), row)


@pytest.mark.parametrize(("network", "row"), [(n, p.values[0]) for n in ("vgg_a", "vgg_16") for p in rows_of(n)])
def test_published_fields_of_vgg(network: str, row: dict[str, Any]) -> None:
    """The bundled VGG-11 and VGG-16; `conv4_2` is the second convolution of stage 4."""
    layers = report("vgg.arch", {"vgg_a": "VGG11", "vgg_16": "VGG16"}[network])["layers"]
    kind, stage, number = re.fullmatch(r"(conv|pool)(\d)(?:_(\d))?", end_point(row)).groups()
    depth = {"vgg_a": [1, 1, 2, 2, 2], "vgg_16": [2, 2, 3, 3, 3]}[network][int(stage) - 1]
    convolution = "conv" if depth == 1 else f"conv_{number}"
    name = f"features.stage_{stage}.{'max_pool' if kind == 'pool' else convolution}"
    assert_published(layers, name, row)
    if row["resolution"] == 224:
        names = [layer["name"] for layer in layers]
        macs = sum(layer["macs"] for layer in layers[: names.index(name) + 1])
        assert 2 * macs / 1e9 == pytest.approx(row["gflops_table"], rel=0.02)


RESNETS = {
    "resnet_v1_50": [3, 4, 6, 3],
    "resnet_v1_101": [3, 4, 23, 3],
    "resnet_v1_152": [3, 8, 36, 3],
    "resnet_v1_200": [3, 24, 36, 3],
}


@lru_cache(maxsize=None)
def slim_resnet(network: str, size: int) -> list[dict[str, Any]]:
    """Its pooling pads as TensorFlow does: 112 positions after the end only, 161 on both sides."""
    text = SLIM_RESNET if size == 224 else SLIM_RESNET.replace("[[0, 1], [0, 1]]", "1")
    return compiled(text, size, depths=RESNETS[network])


@pytest.mark.parametrize(("network", "row"), [(n, p.values[0]) for n in RESNETS for p in rows_of(n)])
def test_published_fields_of_resnet(network: str, row: dict[str, Any]) -> None:
    layers = slim_resnet(network, row["resolution"] or 224)
    number = end_point(row).removeprefix("block")
    name = [layer["name"] for layer in layers if layer["name"].startswith(f"block_{number}.")][-1]
    assert_published(layers, name, row)


@pytest.mark.parametrize("row", rows_of("mobilenet_v1"))
def test_published_fields_of_mobilenet(row: dict[str, Any]) -> None:
    name = re.sub(r"Conv2d_(\d+)_pointwise", r"Conv2d_\1.pointwise", row["end_point"])
    assert_published(compiled(SLIM_MOBILENET, row["resolution"]), name, row)


# ------------------------------------------------------------------------------ the chapter's problems

PROBLEMS = oracle("problems")


def one_dimensional(*layers: str, channels: int = 1, length: int = 64) -> list[dict[str, Any]]:
    chain = "\n".join(f"layer{i}: {layer}" for i, layer in enumerate(layers, 1))
    return compiled(f"network Problem {{ input x: [{channels}, {length}]\n{chain}\n}}")[-len(layers) :]


def test_problem_10_8_weights_and_biases() -> None:
    layers = one_dimensional("conv(4, kernel=3)", "conv(10, kernel=5)", channels=3)
    for layer, expected in zip(layers, (PROBLEMS["10.8"]["layer1"], PROBLEMS["10.8"]["layer2"]), strict=True):
        assert {"weights": layer["weights"], "biases": layer["biases"]} == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (["conv(1, kernel=3, padding=1)"] * 3, [3, 5, PROBLEMS["10.9"]]),
        (["conv(1, kernel=7, padding=3)"] * 3, [7, 13, PROBLEMS["10.10"]]),
        (["conv(1, kernel=5, stride=2)", "conv(1, kernel=3)", "conv(1, kernel=5, dilation=2)"], PROBLEMS["10.11"]),
        (["conv(1, kernel=7, stride=3, dilation=3)"], [PROBLEMS["10.4"]["window_extent"]]),
    ],
)
def test_problems_10_4_to_10_11_receptive_fields(layers: list[str], expected: list[int]) -> None:
    assert [layer["receptive_field"]["size"] for layer in one_dimensional(*layers)] == [[n] for n in expected]


@pytest.mark.parametrize(
    ("layer", "matrix"),
    [
        ("conv(1, kernel=3, stride=2, padding=1)", PROBLEMS["10.5"]["i_stride2_3x6"]),
        ("conv(1, kernel=5, padding=2)", PROBLEMS["10.5"]["ii_kernel5_6x6"]),
        ("conv(1, kernel=3, dilation=2, padding=2)", PROBLEMS["10.5"]["iii_dilated_6x6"]),
        ("conv(1, kernel=1)", PROBLEMS["10.15"]["k1_stride1"]),
        ("conv(1, kernel=1, stride=2)", PROBLEMS["10.15"]["k1_stride2_equals_S_times_k1"]),
        ("conv(1, kernel=2, stride=2)", PROBLEMS["10.15"]["k2_stride2_equals_S_times_k2"]),
        ("conv(1, kernel=3, stride=2, padding=1)", PROBLEMS["10.15"]["k3_stride2_equals_S_times_k3"]),
        ("conv(1, kernel=3, stride=2, padding=1)", PROBLEMS["fig10.13"]["down_3x6"]),
    ],
)
def test_problems_10_5_and_10_15_connections(layer: str, matrix: list[list[Any]]) -> None:
    """A row is an output, and what it reads is where its row has weights."""
    (made,) = one_dimensional(layer, length=6)
    assert made["shape"] == [1, len(matrix)]
    field = made["receptive_field"]
    size, taps = field["size"][0], field["taps"][0]
    step = (size - 1) // (taps - 1) if taps > 1 else 1
    for unit, row in enumerate(matrix):
        first = unit * field["stride"][0] - field["padding"][0]
        read = {position for position in range(first, first + size, step) if 0 <= position < 6}
        assert read == {position for position, weight in enumerate(row) if weight != 0}


def test_figure_10_13_upsampling() -> None:
    (made,) = one_dimensional("conv_transpose(1, kernel=3, stride=2, padding=1, output_padding=1)", length=3)
    matrix = PROBLEMS["fig10.13"]["up_6x3"]
    assert made["shape"] == [1, len(matrix)]
    for unit, (low, high) in enumerate(units(made["receptive_field"], 0, count=len(matrix)) or []):
        read = {position for position in range(int(low), int(high) + 1) if 0 <= position < 3}
        assert read == {position for position, weight in enumerate(matrix[unit]) if weight != 0}


@pytest.mark.parametrize(
    ("inputs", "outputs", "matrix"),
    [(1, 2, PROBLEMS["10.6"]["matrix_12x6"]), (2, 1, PROBLEMS["10.7"]["matrix_6x12"])],
)
def test_problems_10_6_and_10_7_channels(inputs: int, outputs: int, matrix: list[list[Any]]) -> None:
    """As many different weights as the convolution has, and a row a unit."""
    (made,) = one_dimensional(f"conv({outputs}, kernel=3, padding=1, bias=false)", channels=inputs, length=6)
    assert made["weights"] == len({weight for row in matrix for weight in row if weight != 0})
    assert made["shape"] == [outputs, 6]
    assert len(matrix) == outputs * 6
    assert len(matrix[0]) == inputs * 6


def test_problem_10_12_epochs() -> None:
    recipe = (ARCHITECTURES / "mnist1d_conv.arch").read_text(encoding="utf-8")
    steps = int(re.search(r"steps\s+= (\S+)", recipe)[1].replace("_", ""))
    batch = int(re.search(r"batch\s+= (\S+)", recipe)[1])
    examples = int(re.search(r"examples=(\d+)", recipe)[1])
    assert steps * batch / examples == PROBLEMS["10.12"]


def test_problem_10_14_weights_and_biases() -> None:
    (layer,) = compiled("network Problem { input image: [3, 32, 32]\nconv(10, kernel=5) }")[-1:]
    assert {k: layer[k] for k in ("weights", "biases")} == PROBLEMS["10.14"]


def with_parameters(layers: list[dict[str, Any]]) -> list[dict[str, int]]:
    return [
        {"weights": x["weights"], "biases": x["biases"], "params": x["parameters"]} for x in layers if x["parameters"]
    ]


@pytest.mark.parametrize(
    ("file", "network", "expected"),
    [
        ("alexnet.arch", "AlexNet", PROBLEMS["10.16"]["ungrouped"]),
        ("alexnet_grouped.arch", "AlexNetGrouped", PROBLEMS["10.16"]["grouped_2gpu"]),
        ("vgg.arch", "VGG16", PROBLEMS["10.18"]["vgg16"]),
        ("vgg.arch", "VGG19", PROBLEMS["10.18"]["vgg19"]),
    ],
)
def test_problems_10_16_and_10_18_parameters(file: str, network: str, expected: dict[str, Any]) -> None:
    found = report(file, network)
    assert with_parameters(found["layers"]) == [
        {k: layer[k] for k in ("weights", "biases", "params")} for layer in expected["layers"]
    ]
    assert found["totals"]["parameters"] == expected["total"]


def test_problem_10_17_fields_of_alexnet() -> None:
    layers = {layer["name"]: layer["receptive_field"] for layer in report("alexnet.arch", "AlexNet")["layers"]}
    expected = PROBLEMS["10.17"]
    for name, layer in (("conv1", "conv1.conv"), ("pool1", "pool1"), ("conv2", "conv2.conv"), ("pool2", "pool2"), ("conv3", "conv3.conv")):
        assert layers[layer]["size"] == [expected[name]] * 2


def test_figures_of_the_text() -> None:
    text = PROBLEMS["text_numbers"]
    for file, network, key in (
        ("mnist1d_conv.arch", "MNIST1DConv", "mnist1d_conv_params"),
        ("mnist1d_fc.arch", "MNIST1DFC", "mnist1d_fc_params"),
    ):
        layers = report(file, network)["layers"]
        assert [x["parameters"] for x in layers if x["parameters"]] == text[key][:-1]
        assert report(file, network)["totals"]["parameters"] == text[key][-1]
    hidden = [x["shape"][0] for x in report("mnist1d_fc.arch", "MNIST1DFC")["layers"] if x["kind"] == "linear"]
    assert hidden == [*text["mnist1d_hidden"], 10]
    flat = next(x for x in report("alexnet.arch", "AlexNet")["layers"] if x["kind"] == "flatten")
    assert flat["shape"] == [text["alexnet_fc_in"]]
