"""Operations: what each layer's page says it takes for an element, and uses of it worked by hand."""

from __future__ import annotations

import inspect

import pytest

import archdsl
from archdsl.layers import LAYERS

NONE = "FLOPs: none"

COUNTED: dict[str, tuple[str, list[tuple[list[int], str, int]]]] = {
    "conv": (
        "2 for each multiply-accumulate, and 1 for each output with a bias",
        [
            # 8 x 6 x 6 outputs of 3 x 9 products.
            ([3, 8, 8], "conv(8, kernel=3)", 8 * 36 * (2 * 27 + 1)),
            ([3, 8, 8], "conv(8, kernel=3, padding=1, bias=false)", 8 * 64 * 2 * 27),
            ([4, 20], "conv(8, kernel=5, stride=2, groups=2)", 8 * 8 * (2 * 10 + 1)),
            ([2, 4, 6, 6], "conv(3, kernel=2)", 3 * 3 * 5 * 5 * (2 * 16 + 1)),
        ],
    ),
    "depthwise_conv": (
        "2 for each multiply-accumulate, and 1 for each output with a bias",
        [
            ([3, 8, 8], "depthwise_conv(3, multiplier=2)", 6 * 36 * (2 * 9 + 1)),
            ([3, 10], "depthwise_conv(3, bias=false)", 3 * 8 * 2 * 3),
        ],
    ),
    "conv_transpose": (
        "input positions x input channels x output channels / groups x",
        [
            ([4, 5, 5], "conv_transpose(6, kernel=2, stride=2)", 2 * 25 * 4 * 6 * 4 + 6 * 100),
            ([4, 5], "conv_transpose(6, kernel=3, groups=2, bias=false)", 2 * 5 * 4 * 3 * 3),
        ],
    ),
    "linear": (
        "features in x features out), and 1 for each output with a bias",
        [([7], "linear(5)", 2 * 7 * 5 + 5), ([7], "linear(5, bias=false)", 70)],
    ),
    "max_pool": (
        "kernel - 1 comparisons for each output (of all axes: their product, less 1)",
        [
            ([3, 8, 8], "max_pool(2)", 3 * 16 * 3),
            ([3, 9], "max_pool(3, stride=2, padding=1)", 3 * 5 * 2),
            ([1, 4, 4, 4], "max_pool(2)", 8 * 7),
        ],
    ),
    "avg_pool": (
        "kernel - 1 additions and 1 division for each output (kernel: the product over all axes)",
        [([3, 8, 8], "avg_pool(2)", 3 * 16 * 4), ([3, 9], "avg_pool(3, stride=2)", 3 * 4 * 3)],
    ),
    "lp_pool": (
        "k powers, k - 1 additions and 1 root for each output",
        [([3, 8, 8], "lp_pool(2, kernel=2)", 3 * 16 * (4 + 3 + 1))],
    ),
    "global_avg_pool": (
        "positions - 1 additions and 1 division for each channel",
        [([3, 8, 8], "global_avg_pool", 3 * 64)],
    ),
    "global_max_pool": (
        "positions - 1 comparisons for each channel",
        [([3, 8, 8], "global_max_pool", 3 * 63)],
    ),
    "adaptive_avg_pool": (
        "for each output one addition less than its window has samples, and 1 division",
        [
            ([3, 8, 8], "adaptive_avg_pool(4)", 3 * 16 * 4),
            # 7 to 3: windows of 0-2, 2-4, 4-6.
            ([3, 7], "adaptive_avg_pool(3)", 3 * (3 + 3 + 3)),
            # 5 to 2: 0-2, 2-4.
            ([2, 7, 5], "adaptive_avg_pool([3, 2])", 2 * 9 * 6),
        ],
    ),
    "adaptive_max_pool": (
        "for each output one comparison less than its window has samples",
        [
            ([3, 8, 8], "adaptive_max_pool(4)", 3 * 16 * 3),
            ([3, 7], "adaptive_max_pool(3)", 3 * (2 + 2 + 2)),
        ],
    ),
    "max_unpool": (NONE, [([3, 8], "max_pool(2) -> max_unpool(label)", 0)]),
    "upsample": (
        "0 for `nearest`; 2**d products and 2**d - 1 additions for `linear` (3, 7, 15 in all); "
        "16 products and 15 additions for `cubic`",
        [
            ([3, 8], "upsample(2)", 0),
            ([3, 8], "upsample(2, mode=linear)", 3 * 16 * 3),
            ([3, 8, 8], "upsample(2, mode=linear)", 3 * 256 * 7),
            ([1, 4, 4, 4], "upsample(2, mode=linear)", 512 * 15),
            ([3, 8, 8], "upsample(2, mode=cubic)", 3 * 256 * 31),
        ],
    ),
    "pixel_shuffle": (NONE, [([4, 8, 8], "pixel_shuffle(2)", 0)]),
    "pixel_unshuffle": (NONE, [([4, 8, 8], "pixel_unshuffle(2)", 0)]),
    "pad": (NONE, [([4, 8, 8], "pad(2, mode=reflect)", 0)]),
    "crop": (NONE, [([4, 8, 8], "crop(6)", 0)]),
    "flatten": (NONE, [([4, 8, 8], "flatten", 0)]),
    "reshape": (NONE, [([4, 8, 8], "reshape([8, 4, 8])", 0)]),
    "parameter": (NONE, [([4, 8], "parameter([4, 8])", 0)]),
    "permute": (NONE, [([4, 8, 6], "permute([channels, width, height])", 0)]),
    "slice": (NONE, [([4, 8], "slice(1, 3)", 0)]),
    "select": (NONE, [([4, 8], "select([1, 3])", 0)]),
    "channel_shuffle": (NONE, [([4, 8], "channel_shuffle(2)", 0)]),
    "split": (NONE, [([4, 8], "split([1, 3])", 0)]),
    "concat": (NONE, [([4, 8], "concat(x)", 0)]),
    "add": (
        "1 an element of each sum, from left to right: n - 1 an element of the result where all shapes",
        [
            ([4, 8], "add(x)", 32),
            ([4, 8], "add(x, x)", 64),
            ([4, 8], "global_avg_pool -> add(x)", 32),
        ],
    ),
    "subtract": ("1 an element of each difference", [([4, 8], "subtract(x, x)", 64)]),
    "multiply": ("1 an element of each product", [([4, 8], "multiply(x, x)", 64)]),
    "batch_norm": (
        "2 an element: as the network is used, all is one scale and one shift a channel",
        [([4, 8], "batch_norm", 64), ([4, 8], "batch_norm(affine=false)", 64)],
    ),
    "layer_norm": (
        "7 an element (5 without `affine`) and 2 for each mean and variance",
        [
            ([4, 8], "layer_norm", 7 * 32 + 2 * 8),
            ([4, 8], "layer_norm(affine=false)", 5 * 32 + 2 * 8),
            ([4, 8], "layer_norm(axis=all)", 7 * 32 + 2),
            ([4], "layer_norm", 7 * 4 + 2),
        ],
    ),
    "group_norm": (
        "7 an element (5 without `affine`) and 2 a group",
        [([4, 8], "group_norm(2)", 7 * 32 + 4), ([4, 8], "group_norm(4, affine=false)", 5 * 32 + 8)],
    ),
    "instance_norm": (
        "5 an element (7 with `affine`) and 2 a channel",
        [([4, 8], "instance_norm", 5 * 32 + 8), ([4, 8], "instance_norm(affine=true)", 7 * 32 + 8)],
    ),
    "local_response_norm": ("size + 4 an element", [([4, 8], "local_response_norm(3)", 7 * 32)]),
    "dropout": (NONE, [([4, 8], "dropout", 0)]),
    "channel_dropout": (NONE, [([4, 8], "channel_dropout", 0)]),
    "relu": ("1 an element", [([4, 8], "relu", 32)]),
    "relu6": ("2 an element", [([4, 8], "relu6", 64)]),
    "leaky_relu": ("2 an element (comparison, multiplication)", [([4, 8], "leaky_relu", 64)]),
    "prelu": ("2 an element (comparison, multiplication)", [([4, 8], "prelu", 64)]),
    "elu": ("3 an element (comparison, exp, subtraction)", [([4, 8], "elu", 96)]),
    "selu": ("5 an element (comparison, exp, subtraction, two multiplications)", [([4, 8], "selu", 160)]),
    "gelu": ("5 an element (division, erf, addition, two multiplications)", [([4, 8], "gelu", 160)]),
    "silu": ("5 an element (negation, exp, addition, division, multiplication", [([4, 8], "silu", 160)]),
    "mish": ("9 an element (softplus 3, tanh 5, a multiplication)", [([4, 8], "mish", 288)]),
    "sigmoid": ("4 an element (negation, exp, addition, division)", [([4, 8], "sigmoid", 128)]),
    "tanh": (
        "5 an element (multiplication, exp, subtraction, addition, division)",
        [([4, 8], "tanh", 160)],
    ),
    "softplus": ("3 an element (exp, addition, log)", [([4, 8], "softplus", 96)]),
    "hard_sigmoid": (
        "4 an element (addition, maximum, minimum, division)",
        [([4, 8], "hard_sigmoid", 128)],
    ),
    "hard_swish": (
        "5 an element (addition, maximum, minimum, multiplication, division)",
        [([4, 8], "hard_swish", 160)],
    ),
    "identity": (NONE, [([4, 8], "identity", 0)]),
    "softmax": (
        "5 n - 2 for n numbers",
        [
            ([4], "softmax", 5 * 4 - 2),
            ([4, 8], "softmax", 8 * (5 * 4 - 2)),
            ([4, 8], "softmax(axis=length)", 4 * (5 * 8 - 2)),
        ],
    ),
    "log_softmax": (
        "5 n - 1 for n numbers",
        [([4], "log_softmax", 5 * 4 - 1), ([4, 8], "log_softmax", 8 * (5 * 4 - 1))],
    ),
}
"""What the page says, and uses: the input, the layer, the operations."""


def test_every_layer_is_counted() -> None:
    assert set(COUNTED) == set(LAYERS)


@pytest.mark.parametrize("kind", COUNTED)
def test_operations_are_those_of_the_page(kind: str) -> None:
    said, uses = COUNTED[kind]
    assert said in " ".join(inspect.cleandoc(LAYERS[kind].__doc__ or "").split())
    for shape, call, flops in uses:
        *before, last = call.split(" -> ")
        lines = [f"label: {layer}" for layer in before] + [last.replace("label", "label" if before else "x")]
        net = archdsl.loads(f"network Counted {{\ninput x: {shape}\n" + "\n".join(lines) + "\n}")
        report = net.report().to_dict()
        layers = [layer for layer in report["layers"] if layer["kind"] == kind]
        assert [layer["flops"] for layer in layers] == [flops], call
        assert report["totals"]["flops"] == sum(layer["flops"] for layer in report["layers"])
        weighty = kind in ("conv", "depthwise_conv", "conv_transpose", "linear")
        assert (layers[0]["macs"] > 0) is weighty
