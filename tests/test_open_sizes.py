"""Open sizes: a report in symbols says for each value of them what the report of that value says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from expected import ARCHITECTURES
from test_memory import Writer

import archdsl

FIGURES = ("shape", "weights", "biases", "parameters", "buffers", "macs", "flops", "activation_bytes")
TOTALS = (
    "parameters",
    "trainable",
    "buffers",
    "macs",
    "flops",
    "parameter_bytes",
    "forward_peak_bytes",
    "training_peak_bytes",
)
FIELD = ("stride", "padding", "phases", "aligned", "global")


def closed(value: Any, sizes: dict[str, int]) -> Any:
    """A figure with numbers for its symbols."""
    if isinstance(value, str):
        return eval(value, {"__builtins__": {}, "min": min, "max": max}, dict(sizes))
    if isinstance(value, list):
        return [closed(one, sizes) for one in value]
    return value


def is_open(value: Any) -> bool:
    return any(is_open(one) for one in value) if isinstance(value, list) else isinstance(value, str)


def assert_agrees(
    text: str, network: str | None, sizes: dict[str, int], left_open: tuple[str, ...] = ()
) -> None:
    """Every figure, with the sizes put into its expression, is that of the network of those sizes."""
    symbolic = archdsl.loads(text, network=network).report().to_dict()
    concrete = archdsl.loads(text, network=network, sizes=sizes).report().to_dict()
    assert [x["name"] for x in symbolic["layers"]] == [x["name"] for x in concrete["layers"]]
    for one, other in zip(symbolic["layers"], concrete["layers"], strict=True):
        where = f"{one['name']} for {sizes}"
        assert {k: closed(one[k], sizes) for k in FIGURES} == {k: other[k] for k in FIGURES}, where
        assert_same_field(one["receptive_field"], other["receptive_field"], where)
        assert_same_claim(one["equivariance"], other["equivariance"], where)
    found = {key: closed(symbolic["totals"][key], sizes) for key in TOTALS if key not in left_open}
    assert found == {key: concrete["totals"][key] for key in TOTALS if key not in left_open}, sizes
    assert all(symbolic["totals"][key] is None for key in left_open)


def assert_same_field(found: Any, expected: Any, where: str) -> None:
    if found is None:
        assert expected is None, where
        return
    assert {key: found[key] for key in FIELD} == {key: expected[key] for key in FIELD}, where
    for key in ("size", "taps"):
        # Where paths of different strides have met, they grow along the map, and are open.
        assert found[key] == expected[key] or (found[key] is None and found["stride"] is None), where


def assert_same_claim(found: Any, expected: Any, where: str) -> None:
    """The border is the largest of any size, or open."""
    for key in ("translation", "shift", "ended_by"):
        assert found[key] == expected[key], where
    for one, other in zip(found["border"] or [], expected["border"] or [], strict=True):
        assert one is None or one >= other, where


CHAINS = {
    "strides": (
        "conv(4, kernel=7, stride=2, padding=3) -> relu\nmax_pool(3, stride=2, padding=1)\nconv(8, kernel=3)",
        [30, 31, 32, 33, 64],
    ),
    "dilation": ("conv(4, kernel=3, dilation=2) -> conv(4, kernel=3, dilation=4) -> tanh", [20, 21, 40]),
    "ceil": ("max_pool(3, stride=2, ceil=true) -> avg_pool(2, ceil=true)", [20, 21, 22, 23, 24]),
    "transposed": (
        "conv(4, kernel=4, stride=2, padding=1) -> conv_transpose(2, kernel=4, stride=2, padding=1)",
        [16, 20, 32],
    ),
    "odd-transposed": (
        "conv_transpose(3, kernel=3, stride=2, padding=1, output_padding=1, dilation=2) -> batch_norm",
        [9, 10, 17],
    ),
    "upsampled": ("upsample(3) -> conv(2, kernel=3, padding=1) -> upsample(2, mode=linear)", [8, 9, 10]),
    "residual": (
        "conv(4, kernel=3, padding=1)\n"
        "parallel add { { conv(4, kernel=3, padding=1) -> relu }\n {} }\nmax_pool(2)",
        [16, 17, 18],
    ),
    "branches": (
        "parallel concat { conv(4, kernel=3, stride=2, padding=1)\n conv(4, kernel=1, stride=2)\n"
        "max_pool(3, stride=2, padding=1) }\nbatch_norm -> gelu",
        [16, 17, 18, 19],
    ),
    "same": ("conv(4, kernel=3, stride=2, padding=same) -> conv(4, kernel=5, padding=same)", [16, 20, 32]),
    "circular": ("conv(4, kernel=3, padding=1, padding_mode=circular) -> pad(2, mode=reflect)", [16, 20]),
    "crop-and-slice": (
        "y: conv(2, kernel=3)\npad(2) -> crop(like=y, offset=[1]) -> add(y)\nslice(1, 9, axis=length)",
        [16, 20],
    ),
    "gate": (
        "y: conv(4, kernel=3)\nglobal_avg_pool -> conv(4, kernel=1) -> sigmoid -> multiply(y)",
        [16, 20, 33],
    ),
    "classes": (
        "conv(8, kernel=3, stride=2) -> global_max_pool -> flatten -> linear(10) -> softmax",
        [16, 17],
    ),
    "flattened": (
        "conv(2, kernel=3, stride=2) -> flatten -> linear(10, bias=false) -> dropout",
        [16, 17, 20],
    ),
    "normalised": (
        "group_norm(2) -> conv(3, kernel=2) -> layer_norm -> local_response_norm(3)",
        [16, 17, 18],
    ),
    "beside-what-is-fixed": (
        "a: conv(2, kernel=1)\np: parameter([9000])\nq: from p -> relu -> linear(3)\noutput a, q",
        [16, 4_000, 20_000],
    ),
    "unpooled": ("pool: max_pool(2)\nconv(2, kernel=1)\nmax_unpool(pool)", [16, 17, 18]),
    "adaptive": ("conv(2, kernel=3, padding=1) -> adaptive_avg_pool(1)", [16, 17]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_an_open_length(name: str) -> None:
    body, lengths = CHAINS[name]
    text = f"network Open {{\ninput x: [2, L]\n{body}\n}}"
    report = archdsl.loads(text).report().to_dict()
    assert any(is_open(layer["shape"]) for layer in report["layers"])
    assert any(is_open(layer["flops"]) for layer in report["layers"]) == any(
        layer["flops"] for layer in report["layers"]
    )
    for length in lengths:
        assert_agrees(text, None, {"L": length})


def test_channels_may_be_open_too() -> None:
    text = """network Open(classes = 10) {
      input image: [C, H, W]
      conv(K, kernel=3, padding=1, groups=C) -> batch_norm -> relu
      depthwise_conv(3, stride=2) -> prelu(per_channel=true)
      global_avg_pool -> flatten -> linear(classes)
    }"""
    for c, k, h, w in ((3, 6, 16, 20), (1, 7, 9, 8), (4, 8, 30, 30)):
        assert_agrees(text, None, {"C": c, "K": k, "H": h, "W": w})


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_of_an_open_length(seed: int) -> None:
    text = Writer(seed).text().replace("[4, 8]", "[4, L]")
    for length in (8, 20):
        assert_agrees(text, None, {"L": length})


PEAK = "training_peak_bytes"


@pytest.mark.parametrize(
    ("file", "network", "sizes", "left_open"),
    [
        ("resnet.arch", "ResNet18", [(224, 224), (256, 192), (95, 130)], ()),
        ("resnet.arch", "ResNet50", [(224, 320)], ()),
        ("vgg.arch", "VGG11", [(224, 224), (64, 96)], ()),
        ("unet.arch", "UNetPadded", [(64, 64), (128, 96)], ()),
        # More than 16 moments of its training may be the fullest.
        ("alexnet.arch", "AlexNet", [(224, 224), (300, 256)], (PEAK,)),
    ],
)
def test_bundled_networks_of_open_sizes(
    file: str, network: str, sizes: list[tuple[int, int]], left_open: tuple[str, ...]
) -> None:
    text = (ARCHITECTURES / file).read_text(encoding="utf-8")
    text = re.sub(r"^ *expect .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"(input \w+: \[\d+), \d+, \d+\]", r"\1, H, W]", text)
    for height, width in sizes:
        assert_agrees(text, network, {"H": height, "W": width}, left_open)
