"""Mobile networks and networks of segmentation: what their papers and others published of them."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from expected import (
    ARCHITECTURES,
    KINDS,
    MODELS,
    alignment,
    assert_same_layer,
    oracle,
    report,
    units,
)
from test_translated_networks import leaves_of_ours, leaves_of_theirs

import archdsl

STRUCTURAL = {"input", "flatten", "dropout", "split", "channel_slice"}
"""Kinds without figures of their own, which a description may or may not write down."""

OTHER_WORDS = {"channel_layernorm": "layer_norm", "channel_scale": "layer_scale", "mul": "multiply"}


def analysed(file: str, **parameters: Any) -> dict[str, Any]:
    """The report of a file's main network with other parameters, and images of another extent."""
    side = parameters.pop("pixels", None)
    inputs = {"image": (3, side, side)} if side else {}
    net = archdsl.load(ARCHITECTURES / file, parameters=parameters, inputs=inputs)
    found: dict[str, Any] = net.report().to_dict()
    return found


def figures(found: dict[str, Any]) -> tuple[int, int]:
    return found["totals"]["parameters"], found["totals"]["macs"]


def total(layers: list[dict[str, Any]], key: str, *kinds: str) -> int:
    return sum(layer[key] for layer in layers if layer["kind"] in kinds)


# ------------------------------------------------------------------------------ layer by layer


def same_layers(layers: list[dict[str, Any]], model: str) -> None:
    """Layers of a kind are met in the same order on both sides; a depthwise convolution is a convolution."""
    found: dict[str, list[Any]] = {}
    for layer in layers:
        found.setdefault(layer["kind"].removeprefix("depthwise_"), []).append(layer)
    expected: dict[str, list[Any]] = {}
    aligned = alignment(MODELS[model])
    for layer in MODELS[model]["layers"]:
        kind = KINDS.get(layer["op"], layer["args"].get("fn", layer["op"]))
        if layer["op"] == "adaptive_avgpool":
            assert layer["args"]["out"] == [1, 1]
            kind, layer = "global_avg_pool", {**layer, "rf": {"global": True}}
        expected.setdefault(OTHER_WORDS.get(kind, kind), []).append(layer)
    for kind in STRUCTURAL:
        found.pop(kind, None)
        expected.pop(kind, None)
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {
        kind: len(of_kind) for kind, of_kind in expected.items()
    }
    for kind, of_kind in expected.items():
        for one, other in zip(found[kind], of_kind, strict=True):
            assert_same_layer(one, other, aligned.get(other["id"], True))


@pytest.mark.parametrize(
    ("file", "network", "model"),
    [
        ("mobilenet.arch", "MobileNet", "mobilenet_v1"),
        ("shufflenet_v2.arch", "ShuffleNetV2Torchvision", "shufflenet_v2_x1_0"),
        ("efficientnet.arch", "EfficientNet", "efficientnet_b0"),
        ("convnext.arch", "ConvNeXt", "convnext_tiny"),
    ],
)
def test_every_layer(file: str, network: str, model: str) -> None:
    found, expected = report(file, network), MODELS[model]["totals"]
    same_layers(found["layers"], model)
    assert found["totals"]["buffers"] == expected["buffers"]
    assert figures(found) == (expected["params"], expected["macs"])


def test_every_layer_of_deconvnet_without_normalisation() -> None:
    same_layers(analysed("deconvnet.arch", normalised=False)["layers"], "deconvnet_noh2015")


def test_shufflenet_v2_is_that_of_pytorchcv() -> None:
    """Its variant with the left side of stage 2 as the authors' code has it; all layers are modules there."""
    (theirs,) = (row for row in oracle("leaves") if row["ref"] == "shufflenetv2b_w1")
    layers = report("shufflenet_v2.arch", "ShuffleNetV2")["layers"]
    assert leaves_of_ours(layers) == leaves_of_theirs(theirs)
    assert isinstance(leaves_of_ours(layers), Counter)
    torchvision = report("shufflenet_v2.arch", "ShuffleNetV2Torchvision")["layers"]
    assert leaves_of_ours(torchvision) != leaves_of_theirs(theirs)


# ------------------------------------------------------------------------------ MobileNet


@pytest.mark.parametrize(
    ("width", "macs", "parameters"), [(1, 569, 4.2), (0.75, 325, 2.6), (0.5, 149, 1.3), (0.25, 41, 0.5)]
)
def test_widths_of_mobilenet(width: float, macs: int, parameters: float) -> None:
    """Table 6 of the paper."""
    found = figures(analysed("mobilenet.arch", width=width))
    assert (round(found[0] / 1e6, 1), round(found[1] / 1e6)) == (parameters, macs)


@pytest.mark.parametrize(("pixels", "macs"), [(192, 418), (160, 291), (128, 186)])
def test_resolutions_of_mobilenet(pixels: int, macs: int) -> None:
    """Table 7 of the paper, but for 160 pixels, where it has 290: all but the last layer go with the area."""
    found = analysed("mobilenet.arch", pixels=pixels)
    assert round(found["totals"]["macs"] / 1e6) == macs
    last = 1024 * 1000
    assert (found["totals"]["macs"] - last) * 224**2 == (568_740_352 - last) * pixels**2


def test_where_mobilenet_spends() -> None:
    """Table 2 of the paper: by far the most in convolutions of 1 x 1."""
    layers = report("mobilenet.arch", "MobileNet")["layers"]
    whole = {key: sum(layer[key] for layer in layers) for key in ("weights", "macs")}
    ones = [layer for layer in layers if layer["name"].endswith("SeparableConv_1.conv_1")]
    assert len(ones) == 13
    shares = {
        "1 x 1": [sum(layer[key] for layer in ones) / whole[key] for key in ("macs", "weights")],
        "depthwise": [total(layers, key, "depthwise_conv") / whole[key] for key in ("macs", "weights")],
        "linear": [total(layers, key, "linear") / whole[key] for key in ("macs", "weights")],
    }
    published = {"1 x 1": (94.86, 74.59), "depthwise": (3.06, 1.06), "linear": (0.18, 24.33)}
    for kind, (macs, weights) in published.items():
        assert 100 * shares[kind][0] == pytest.approx(macs, abs=0.2), kind
        assert 100 * shares[kind][1] == pytest.approx(weights, abs=0.4), kind


@pytest.mark.parametrize(
    ("width", "macs", "parameters"),
    [
        (1.4, 582, 6.06),
        (1.3, 509, 5.34),
        (1, 300, 3.47),
        (0.75, 209, 2.61),
        (0.5, 97, 1.95),
        (0.35, 59, 1.66),
    ],
)
def test_widths_of_mobilenet_v2(width: float, macs: int, parameters: float) -> None:
    """The list of the authors' repository, which counts no normalisations and rounds multiply-adds down."""
    found = analysed("mobilenet_v2.arch", width=width)
    normalised = total(found["layers"], "parameters", "batch_norm")
    assert round((found["totals"]["parameters"] - normalised) / 1e6, 2) == parameters
    assert found["totals"]["macs"] // 1_000_000 == macs


def test_bottleneck_of_mobilenet_v2() -> None:
    """Table 1 of the paper: h w t d' (d' + k^2 + d'') multiply-adds, and no activation behind the last."""
    layers = report("mobilenet_v2.arch", "MobileNetV2")["layers"]
    unit = [layer for layer in layers if layer["name"].startswith("bottleneck_3.Bottleneck_2.")]
    assert sum(layer["macs"] for layer in unit) == 28 * 28 * 6 * 32 * (32 + 3**2 + 32)
    assert [layer["kind"] for layer in unit][-3:] == ["conv", "batch_norm", "add"]
    assert sum(layer["kind"] == "add" for layer in layers) == 17 - 7


# ------------------------------------------------------------------------------ SqueezeNet


def test_parameters_of_squeezenet() -> None:
    """Table 1 of the paper, before pruning."""
    published = {
        "conv1": 14_208,
        "fire2": 11_920,
        "fire3": 12_432,
        "fire4": 45_344,
        "fire5": 49_440,
        "fire6": 104_880,
        "fire7": 111_024,
        "fire8": 188_992,
        "fire9": 197_184,
        "conv10": 513_000,
    }
    found = Counter[str]()
    for layer in report("squeezenet.arch", "SqueezeNet")["layers"]:
        found[layer["name"].split(".")[0]] += layer["parameters"]
    assert +found == published


def test_squeezenet_1_1_needs_2_4_times_less() -> None:
    one, other = (figures(report("squeezenet.arch", name)) for name in ("SqueezeNet", "SqueezeNet11"))
    assert round(one[1] / other[1], 1) == 2.4
    assert one[0] - other[0] == (7 * 7 * 3 * 96 + 96 + 96 * 16) - (3 * 3 * 3 * 64 + 64 + 64 * 16)


# ------------------------------------------------------------------------------ ShuffleNet


@pytest.mark.parametrize(
    ("groups", "channels", "macs"),
    [(1, 144, 143), (2, 200, 140), (3, 240, 137), (4, 272, 133), (8, 384, 137)],
)
def test_groups_of_shufflenet(groups: int, channels: int, macs: int) -> None:
    """Table 1 of the paper, which leaves out the last layer."""
    found = analysed("shufflenet.arch", groups=groups, channels=channels)
    assert found["layers"][-1]["macs"] == 4 * channels * 1000
    assert round((found["totals"]["macs"] - 4 * channels * 1000) / 1e6) == macs


@pytest.mark.parametrize(
    ("width", "groups", "channels", "macs", "parameters"),
    [(2, 3, 240, 524, 5.4), (2, 8, 384, 522, 6.5), (1, 8, 384, 138, 2.4), (0.5, 3, 240, 38, 0.7)],
)
def test_widths_of_shufflenet(width: float, groups: int, channels: int, macs: int, parameters: float) -> None:
    """The list of the authors' repository, whose networks have no bias in the last layer."""
    found = figures(analysed("shufflenet.arch", width=width, groups=groups, channels=channels))
    assert (round((found[0] - 1000) / 1e6, 1), round(found[1] / 1e6)) == (parameters, macs)


# ------------------------------------------------------------------------------ EfficientNet, ConvNeXt


@pytest.mark.parametrize(
    ("coefficients", "parameters", "macs"),
    [
        ((1.0, 1.1, 240), 7_794_184, 0.687),
        ((1.1, 1.2, 260), 9_109_994, 0.994),
        ((1.2, 1.4, 300), 12_233_232, 1.827),
        ((1.4, 1.8, 380), 19_341_616, 4.394),
        ((2.0, 3.1, 600), 66_347_960, 37.746),
    ],
)
def test_scaled_efficientnets(coefficients: tuple[float, float, int], parameters: int, macs: float) -> None:
    """B1 to B4 and B7, as torchvision has them."""
    width, depth, side = coefficients
    found = figures(analysed("efficientnet.arch", width=width, depth=depth, side=side))
    assert (found[0], round(found[1] / 1e9, 3)) == (parameters, macs)


@pytest.mark.parametrize(
    ("width", "depths", "parameters", "macs"),
    [(96, [3, 3, 27, 3], 50, 8.7), (128, [3, 3, 27, 3], 89, 15.4), (256, [3, 3, 27, 3], 350, 60.9)],
)
def test_larger_convnexts(width: int, depths: list[int], parameters: int, macs: float) -> None:
    """Table 1 of the paper: S, B and XL."""
    found = figures(analysed("convnext.arch", width=width, depths=depths))
    assert (round(found[0] / 1e6), round(found[1] / 1e9, 1)) == (parameters, macs)


# ------------------------------------------------------------------------------ segmentation


def test_deconvnet_is_its_own_mirror_image() -> None:
    """Each unpooling makes the map that its pooling took, and both sides are as heavy."""
    layers = {layer["name"]: layer for layer in report("deconvnet.arch", "DeconvNet")["layers"]}
    down = {5: 512, 4: 512, 3: 256, 2: 128, 1: 64}
    for stage, channels in down.items():
        assert layers[f"unpool{stage}"]["shape"] == [channels, 224 >> stage - 1, 224 >> stage - 1]

    def macs(name: str) -> int:
        return sum(layer["macs"] for key, layer in layers.items() if key.split(".")[0] == name)

    assert macs("conv5") == macs("deconv5") == 3 * 14**2 * 512**2 * 9
    assert macs("conv4") == macs("deconv4") == 28**2 * (512 + 512 + 256) * 512 * 9
    assert macs("conv3") == macs("deconv3") == 56**2 * (256 + 256 + 128) * 256 * 9
    assert macs("conv2") == macs("deconv2") == 112**2 * (64 + 128) * 128 * 9
    assert macs("conv1") + (64 - 3) * 64 * 9 * 224**2 == macs("deconv1")
    assert macs("fc6") == macs("deconv_fc6") == 7**2 * 512 * 4096


NETWORKS = ["FCN32s", "FCN16s", "FCN8s"]


def test_fcn_takes_any_picture() -> None:
    """Open extents: every crop fits, whatever they are, and each pixel has its scores."""
    text = (ARCHITECTURES / "fcn.arch").read_text(encoding="utf-8").replace("[3, 500, 500]", "[3, H, W]")
    text = "\n".join(line for line in text.splitlines() if not line.strip().startswith("expect"))
    net = archdsl.loads(text, name="fcn.arch", network="FCN8s")
    assert net.diagnostics == []
    assert [str(n) for n in net.network.outputs[0].shape] == ["21", "H", "W"]
    with pytest.raises(archdsl.ArchError, match="does not fit"):
        archdsl.loads(text.replace("offset=9", "offset=24"), name="fcn.arch", network="FCN8s")


def centre(layer: dict[str, Any]) -> Fraction:
    """Where the middle of a unit's field lies from unit times stride, on average over a period."""
    field = layer["receptive_field"]
    stride = Fraction(field["stride"][0])
    spans = units(field, 0, count=64)
    assert spans is not None
    return (
        sum(((low + high) / 2 - place * stride for place, (low, high) in enumerate(spans)), Fraction()) / 64
    )


def test_crops_of_fcn_lay_maps_on_each_other() -> None:
    """Maps that are added have the same centres, and the scores are about their pixels."""
    for network in NETWORKS:
        layers = {layer["name"]: layer for layer in report("fcn.arch", network)["layers"]}
        assert centre(layers["score"]) == 0
        for fuse in ("fuse_pool4", "fuse_pool3")[: NETWORKS.index(network)]:
            assert centre(layers[f"{fuse}.upscore"]) == centre(layers[f"{fuse}.score.crop"])
            assert centre(layers[f"{fuse}.upscore"]) != centre(layers[f"{fuse}.score.conv"])


def test_fcn_is_vgg16() -> None:
    """The same weights but for the last layer, and the interpolations are all else."""
    vgg = {
        tuple(sorted([layer["weights"], layer["biases"]])) for layer in report("vgg.arch", "VGG16")["layers"]
    }
    layers = report("fcn.arch", "FCN32s")["layers"]
    own = [layer for layer in layers if layer["name"].startswith("vgg.") and layer["parameters"]]
    assert len(own) == 16
    assert all(tuple(sorted([layer["weights"], layer["biases"]])) in vgg for layer in own[:-1])
    assert sum(layer["parameters"] for layer in own) == 138_357_544 - 4097 * (1000 - 21)
    published = {"FCN32s": [64], "FCN16s": [4, 32], "FCN8s": [4, 4, 16]}
    for network, kernels in published.items():
        ups = [layer for layer in report("fcn.arch", network)["layers"] if layer["kind"] == "conv_transpose"]
        assert [layer["parameters"] for layer in ups] == [21 * 21 * kernel**2 for kernel in kernels]
