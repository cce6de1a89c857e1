"""Convolutions, linear, poolings, resampling and padding, against direct calls of torch."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from expected import oracle
from layer_harness import (
    Lowered,
    Tensor,
    check_saved,
    check_weights,
    elements,
    macs,
    make,
    read_positions,
    source,
    support,
    undone,
)
from torch.nn import functional as F

from archdsl.layers import LAYERS, Layer
from archdsl.layers.layer import RULES, Saved
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import MOST_PHASES, Reach
from archdsl.problems import Fault
from archdsl.sizes import substitute, symbol

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}

Weights = dict[str, Tensor]


@dataclass
class Case:
    """One use of a layer, and what torch computes for it when called directly.

    `direct` gets the input and the weights. `flops` is worked out by hand. `border` is what a unit that
    reads outside of the input gets. `saved` is False where our source adds the padding apart, so that
    autograd keeps the padded copy in place of the input.
    """

    kind: str
    arguments: dict[str, Any]
    x: tuple[int, ...]
    direct: Callable[[Tensor, Weights], Tensor]
    flops: int
    border: str = "zeros"
    saved: bool = True
    id: str = field(default="", init=False)

    def __post_init__(self) -> None:
        words = ",".join(f"{key}={value}" for key, value in self.arguments.items())
        self.id = f"{self.kind}({words})"


CASES = [
    # -------------------------------------------------------------- conv
    Case(
        "conv",
        {"channels": 4, "kernel": 3},
        (2, 9),
        lambda x, w: F.conv1d(x, w["weight"], w["bias"]),
        28 * (2 * 6 + 1),
    ),
    Case(
        "conv",
        {"channels": 4, "kernel": [3, 2], "stride": [2, 1], "padding": 1, "bias": False},
        (3, 7, 6),
        lambda x, w: F.conv2d(x, w["weight"], None, (2, 1), 1),
        2 * 4 * 4 * 7 * 18,
    ),
    Case(
        "conv",
        {"channels": 6, "kernel": 3, "padding": [1, 2], "dilation": [1, 2], "groups": 2},
        (4, 6, 7),
        lambda x, w: F.conv2d(x, w["weight"], w["bias"], 1, (1, 2), (1, 2), 2),
        6 * 42 * (2 * 18 + 1),
    ),
    Case(
        "conv",
        {"channels": 2, "kernel": 2, "stride": 2, "padding": [[0, 1], [1, 0], [1, 1]]},
        (1, 5, 4, 3),
        lambda x, w: F.conv3d(F.pad(x, (1, 1, 1, 0, 0, 1)), w["weight"], w["bias"], 2),
        2 * 3 * 2 * 2 * 17,
        saved=False,
    ),
    Case(
        "conv",
        {"channels": 3, "kernel": 3, "stride": 2, "padding": "same"},
        (2, 8),
        lambda x, w: F.conv1d(F.pad(x, (0, 1)), w["weight"], w["bias"], 2),
        12 * 13,
        saved=False,
    ),
    Case(
        "conv",
        {"channels": 3, "kernel": 3, "stride": 2, "padding": "same"},
        (2, 7, 9),
        lambda x, w: F.conv2d(x, w["weight"], w["bias"], 2, 1),
        3 * 20 * 37,
    ),
    Case(
        "conv",
        {"channels": 3, "kernel": 4, "padding": "same", "dilation": 3},
        (2, 12),
        lambda x, w: F.conv1d(F.pad(x, (4, 5)), w["weight"], w["bias"], dilation=3),
        36 * 17,
        saved=False,
    ),
    Case(
        "conv",
        {"channels": 3, "kernel": 1, "stride": 4, "padding": "same"},
        (2, 10),
        lambda x, w: F.conv1d(x, w["weight"], w["bias"], 4),
        9 * 5,
    ),
    Case(
        "conv",
        {"channels": 3, "kernel": 5, "stride": 2, "padding": 2, "padding_mode": "reflect"},
        (2, 5, 8),
        lambda x, w: F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), w["weight"], w["bias"], 2),
        3 * 12 * 101,
        "reflect",
        saved=False,
    ),
    Case(
        "conv",
        {"channels": 3, "kernel": 3, "padding": [[2, 0], [1, 1]], "padding_mode": "circular"},
        (2, 4, 4),
        lambda x, w: F.conv2d(F.pad(x, (1, 1, 2, 0), mode="circular"), w["weight"], w["bias"]),
        3 * 16 * 37,
        "circular",
        saved=False,
    ),
    Case(
        "conv",
        {"channels": 2, "kernel": 3, "padding": 4, "padding_mode": "replicate"},
        (1, 3, 2, 3),
        lambda x, w: F.conv3d(F.pad(x, (4,) * 6, mode="replicate"), w["weight"], w["bias"]),
        2 * 9 * 8 * 9 * 55,
        "replicate",
        saved=False,
    ),
    # -------------------------------------------------------------- depthwise_conv
    Case(
        "depthwise_conv",
        {"kernel": 3, "padding": 1},
        (4, 9),
        lambda x, w: F.conv1d(x, w["weight"], w["bias"], 1, 1, groups=4),
        36 * 7,
    ),
    Case(
        "depthwise_conv",
        {"kernel": [3, 1], "stride": 2, "multiplier": 3, "bias": False},
        (4, 7, 5),
        lambda x, w: F.conv2d(x, w["weight"], None, 2, groups=4),
        12 * 9 * 6,
    ),
    Case(
        "depthwise_conv",
        {"kernel": 2, "padding": "same", "dilation": 2, "padding_mode": "circular"},
        (2, 3, 4, 5),
        lambda x, w: F.conv3d(F.pad(x, (1,) * 6, mode="circular"), w["weight"], w["bias"], 1, 0, 2, 2),
        2 * 60 * 17,
        "circular",
        saved=False,
    ),
    # -------------------------------------------------------------- conv_transpose
    Case(
        "conv_transpose",
        {"channels": 3, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1},
        (2, 5),
        lambda x, w: F.conv_transpose1d(x, w["weight"], w["bias"], 2, 1, 1),
        2 * 2 * 5 * 9 + 30,
    ),
    Case(
        "conv_transpose",
        {"channels": 4, "kernel": 2, "stride": 2, "groups": 2, "bias": False},
        (2, 3, 4),
        lambda x, w: F.conv_transpose2d(x, w["weight"], None, 2, groups=2),
        2 * 24 * 2 * 4,
    ),
    Case(
        "conv_transpose",
        {"channels": 2, "kernel": [3, 1], "stride": [2, 3], "dilation": [2, 1]},
        (2, 3, 4),
        lambda x, w: F.conv_transpose2d(x, w["weight"], w["bias"], (2, 3), dilation=(2, 1)),
        2 * 24 * 2 * 3 + 2 * 9 * 10,
    ),
    Case(
        "conv_transpose",
        {"channels": 2, "kernel": 4, "stride": 2, "padding": [[2, 0]]},
        (2, 5),
        lambda x, w: F.conv_transpose1d(x, w["weight"], w["bias"], 2)[..., 2:],
        2 * 10 * 8 + 20,
    ),
    Case(
        "conv_transpose",
        {"channels": 2, "kernel": 5, "stride": 2, "padding": "same"},
        (2, 3, 4),
        lambda x, w: F.conv_transpose2d(x, w["weight"], w["bias"], 2)[..., 1:7, 1:9],
        2 * 24 * 50 + 2 * 48,
    ),
    Case(
        "conv_transpose",
        {"channels": 2, "kernel": 1, "stride": 3, "padding": "same"},
        (2, 3),
        lambda x, w: F.conv_transpose1d(x, w["weight"], w["bias"], 3, 0, 2),
        2 * 6 * 2 + 18,
    ),
    Case(
        "conv_transpose",
        {
            "channels": 1,
            "kernel": 2,
            "stride": [2, 1, 3],
            "padding": [[0, 1], [1, 0], [1, 1]],
            "output_padding": [1, 0, 2],
        },
        (1, 2, 3, 2),
        lambda x, w: F.conv_transpose3d(x, w["weight"], w["bias"], (2, 1, 3), 0, (1, 0, 2))[..., :4, 1:, 1:6],
        2 * 12 * 8 + 4 * 3 * 5,
    ),
    # -------------------------------------------------------------- linear
    Case("linear", {"features": 5}, (7,), lambda x, w: F.linear(x, w["weight"], w["bias"]), 75),
    Case("linear", {"features": 5, "bias": False}, (7,), lambda x, w: F.linear(x, w["weight"]), 70),
    # -------------------------------------------------------------- pooling
    Case("max_pool", {"kernel": 2}, (2, 7), lambda x, w: F.max_pool1d(x, 2), 6),
    Case(
        "max_pool",
        {"kernel": 3, "stride": 2, "padding": 1, "ceil": True},
        (2, 6, 7),
        lambda x, w: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        2 * 16 * 8,
    ),
    Case(
        "max_pool",
        {"kernel": [2, 3, 2], "stride": 1, "padding": [0, 1, 1], "dilation": [1, 2, 1]},
        (2, 4, 5, 3),
        lambda x, w: F.max_pool3d(x, (2, 3, 2), 1, (0, 1, 1), (1, 2, 1)),
        2 * 3 * 3 * 4 * 11,
    ),
    Case(
        "max_pool",
        {"kernel": 2, "padding": "same", "stride": 1},
        (2, 4, 5),
        lambda x, w: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 2, 1),
        2 * 20 * 3,
        saved=False,
    ),
    Case(
        "max_pool",
        {"kernel": 3, "padding": "same", "stride": 1, "dilation": 3},
        (2, 8),
        lambda x, w: F.max_pool1d(F.pad(x, (3, 3), value=-math.inf), 3, 1, dilation=3),
        32,
        saved=False,
    ),
    Case(
        "max_pool",
        {"kernel": 3, "padding": [[1, 0], [0, 1]], "stride": 2},
        (2, 5, 6),
        lambda x, w: F.max_pool2d(F.pad(x, (0, 1, 1, 0), value=-math.inf), 3, 2),
        2 * 6 * 8,
        saved=False,
    ),
    Case("avg_pool", {"kernel": 3, "stride": 2}, (2, 8), lambda x, w: F.avg_pool1d(x, 3, 2), 18),
    Case(
        "avg_pool",
        {"kernel": 3, "stride": 2, "padding": 1, "ceil": True},
        (2, 6, 7),
        lambda x, w: F.avg_pool2d(x, 3, 2, 1, True),
        2 * 16 * 9,
    ),
    Case(
        "avg_pool",
        {"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": False},
        (2, 6, 7),
        lambda x, w: F.avg_pool2d(x, 3, 2, 1, True, False),
        2 * 16 * 9,
    ),
    Case(
        "avg_pool",
        {"kernel": 2, "padding": [1, 0, 1], "count_padding": False},
        (2, 4, 5, 3),
        lambda x, w: F.avg_pool3d(x, 2, 2, (1, 0, 1), False, False),
        2 * 3 * 2 * 2 * 8,
    ),
    Case(
        "avg_pool",
        {"kernel": 3, "stride": 2, "padding": "same"},
        (2, 6),
        lambda x, w: F.avg_pool1d(F.pad(x, (0, 1)), 3, 2),
        18,
        saved=False,
    ),
    Case(
        "avg_pool",
        {"kernel": 2, "stride": 1, "padding": "same", "count_padding": False},
        (2, 3),
        lambda x, w: torch.cat([F.avg_pool1d(x, 2, 1), x[..., -1:]], -1),
        12,
        saved=False,
    ),
    Case(
        "lp_pool",
        {"p": 2, "kernel": 3, "stride": 2, "ceil": True},
        (2, 6),
        lambda x, w: F.lp_pool1d(x, 2, 3, 2, True),
        2 * 3 * 6,
    ),
    Case(
        "lp_pool", {"p": 3, "kernel": [2, 3]}, (2, 4, 7), lambda x, w: F.lp_pool2d(x, 3, (2, 3)), 2 * 4 * 12
    ),
    Case(
        "lp_pool",
        {"p": 1.5, "kernel": 2},
        (1, 4, 4, 5),
        lambda x, w: (F.avg_pool3d(x**1.5, 2) * 8) ** (1 / 1.5),
        8 * 16,
    ),
    Case("global_avg_pool", {}, (3, 5), lambda x, w: x.mean(2, keepdim=True), 15),
    Case("global_avg_pool", {}, (3, 5, 4), lambda x, w: x.mean((2, 3), keepdim=True), 60),
    Case("global_avg_pool", {}, (3, 5, 4, 2), lambda x, w: x.mean((2, 3, 4), keepdim=True), 120),
    Case("global_max_pool", {}, (3, 5), lambda x, w: x.amax(2, keepdim=True), 12),
    Case("global_max_pool", {}, (3, 5, 4), lambda x, w: x.amax((2, 3), keepdim=True), 57),
    Case("global_max_pool", {}, (3, 5, 4, 2), lambda x, w: x.amax((2, 3, 4), keepdim=True), 117),
    Case("adaptive_avg_pool", {"size": 5}, (2, 13), lambda x, w: F.adaptive_avg_pool1d(x, 5), 2 * 17),
    Case(
        "adaptive_avg_pool",
        {"size": [3, 4]},
        (2, 6, 5),
        lambda x, w: F.adaptive_avg_pool2d(x, (3, 4)),
        2 * 6 * 8,
    ),
    Case(
        "adaptive_avg_pool",
        {"size": [1, 4]},
        (2, 6, 5),
        lambda x, w: F.adaptive_avg_pool2d(x, (1, 4)),
        2 * 6 * 8,
    ),
    Case(
        "adaptive_avg_pool",
        {"size": [2, 5, 1]},
        (2, 4, 3, 2),
        lambda x, w: F.adaptive_avg_pool3d(x, (2, 5, 1)),
        2 * 4 * 7 * 2,
    ),
    Case("adaptive_avg_pool", {"size": 1}, (2, 4, 3, 2), lambda x, w: F.adaptive_avg_pool3d(x, 1), 48),
    Case("adaptive_max_pool", {"size": 5}, (2, 13), lambda x, w: F.adaptive_max_pool1d(x, 5), 2 * 12),
    Case(
        "adaptive_max_pool",
        {"size": [3, 4]},
        (2, 6, 5),
        lambda x, w: F.adaptive_max_pool2d(x, (3, 4)),
        2 * (48 - 12),
    ),
    Case(
        "adaptive_max_pool",
        {"size": [2, 5, 3]},
        (2, 4, 3, 6),
        lambda x, w: F.adaptive_max_pool3d(x, (2, 5, 3)),
        2 * (4 * 7 * 6 - 30),
    ),
    # -------------------------------------------------------------- resampling
    Case("upsample", {"scale": 2}, (2, 5), lambda x, w: F.interpolate(x, scale_factor=2), 0, "replicate"),
    Case("upsample", {"scale": 2.5}, (2, 5), lambda x, w: F.interpolate(x, scale_factor=2.5), 0, "replicate"),
    Case(
        "upsample", {"scale": 0.4}, (2, 12), lambda x, w: F.interpolate(x, scale_factor=0.4), 0, "replicate"
    ),
    Case("upsample", {"size": [7, 9]}, (2, 5, 4), lambda x, w: F.interpolate(x, (7, 9)), 0, "replicate"),
    Case(
        "upsample",
        {"scale": [1, 2, 3]},
        (1, 2, 3, 2),
        lambda x, w: F.interpolate(x, scale_factor=(1, 2, 3)),
        0,
        "replicate",
    ),
    Case(
        "upsample",
        {"scale": 3, "mode": "linear"},
        (2, 5),
        lambda x, w: F.interpolate(x, scale_factor=3, mode="linear"),
        90,
        "replicate",
    ),
    Case(
        "upsample",
        {"scale": [2, 2.5], "mode": "linear"},
        (2, 3, 5),
        lambda x, w: F.interpolate(x, scale_factor=(2.0, 2.5), mode="bilinear"),
        2 * 72 * 7,
        "replicate",
    ),
    Case(
        "upsample",
        {"scale": 0.7, "mode": "linear"},
        (2, 9),
        lambda x, w: F.interpolate(x, scale_factor=0.7, mode="linear"),
        36,
        "replicate",
    ),
    Case(
        "upsample",
        {"size": [4, 7, 6], "mode": "linear"},
        (1, 2, 3, 4),
        lambda x, w: F.interpolate(x, (4, 7, 6), mode="trilinear"),
        168 * 15,
        "replicate",
    ),
    Case(
        "upsample",
        {"scale": 2, "mode": "linear", "align_corners": True},
        (2, 5, 3),
        lambda x, w: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        2 * 60 * 7,
        "replicate",
    ),
    Case(
        "upsample",
        {"size": 13, "mode": "linear", "align_corners": True},
        (2, 5),
        lambda x, w: F.interpolate(x, 13, mode="linear", align_corners=True),
        78,
        "replicate",
    ),
    Case(
        "upsample",
        {"size": [1, 4], "mode": "linear", "align_corners": True},
        (2, 5, 1),
        lambda x, w: F.interpolate(x, (1, 4), mode="bilinear", align_corners=True),
        56,
        "replicate",
    ),
    Case(
        "upsample",
        {"scale": 2, "mode": "cubic"},
        (1, 5, 6),
        lambda x, w: F.interpolate(x, scale_factor=2, mode="bicubic"),
        120 * 31,
        "replicate",
    ),
    Case(
        "upsample",
        {"size": [9, 8], "mode": "cubic", "align_corners": True},
        (1, 5, 6),
        lambda x, w: F.interpolate(x, (9, 8), mode="bicubic", align_corners=True),
        72 * 31,
        "replicate",
    ),
    Case("pixel_shuffle", {"factor": 2}, (8, 3, 4), lambda x, w: F.pixel_shuffle(x, 2), 0),
    Case(
        "pixel_shuffle",
        {"factor": [1, 3]},
        (6, 3, 4),
        lambda x, w: x.reshape(-1, 2, 3, 3, 4).permute(0, 1, 3, 4, 2).reshape(-1, 2, 3, 12),
        0,
    ),
    Case(
        "pixel_shuffle",
        {"factor": 3},
        (6, 4),
        lambda x, w: torch.stack([x[:, r::3] for r in range(3)], -1).flatten(-2),
        0,
    ),
    Case(
        "pixel_shuffle",
        {"factor": [2, 1, 2]},
        (4, 2, 3, 2),
        lambda x, w: torch.stack(
            [torch.stack([x[:, 2 * i + j] for j in range(2)], -1).flatten(-2) for i in range(2)], 2
        ).flatten(1, 2)[:, None],
        0,
    ),
    Case("pixel_unshuffle", {"factor": 2}, (2, 6, 4), lambda x, w: F.pixel_unshuffle(x, 2), 0),
    Case(
        "pixel_unshuffle",
        {"factor": 3},
        (2, 6),
        lambda x, w: torch.stack([x[..., r::3] for r in range(3)], 2).flatten(1, 2),
        0,
    ),
    Case(
        "pixel_unshuffle",
        {"factor": [2, 1]},
        (2, 6, 4),
        lambda x, w: torch.stack([x[:, :, r::2] for r in range(2)], 2).flatten(1, 2),
        0,
    ),
    Case(
        "pixel_unshuffle",
        {"factor": 2},
        (1, 2, 4, 2),
        lambda x, w: torch.stack(
            [x[..., a::2, b::2, c::2] for a in (0, 1) for b in (0, 1) for c in (0, 1)], 2
        ).flatten(1, 2),
        0,
    ),
    # -------------------------------------------------------------- padding
    Case("pad", {"amount": 2}, (2, 5), lambda x, w: F.pad(x, (2, 2)), 0),
    Case(
        "pad",
        {"amount": [[1, 2], [-1, 0]], "value": 1.5},
        (2, 5, 4),
        lambda x, w: F.pad(x, (-1, 0, 1, 2), value=1.5),
        0,
    ),
    Case("pad", {"amount": -1}, (2, 4, 5, 3), lambda x, w: x[..., 1:-1, 1:-1, 1:-1], 0),
    Case(
        "pad",
        {"amount": [1, 3], "mode": "reflect"},
        (2, 3, 4),
        lambda x, w: F.pad(x, (3, 3, 1, 1), mode="reflect"),
        0,
        "reflect",
    ),
    Case(
        "pad",
        {"amount": [[3, -1]], "mode": "circular"},
        (2, 5),
        lambda x, w: torch.cat([x[..., 1:4], x[..., :4]], -1),
        0,
        saved=False,
    ),
    Case(
        "pad",
        {"amount": 2, "mode": "circular"},
        (1, 2, 3, 2),
        lambda x, w: F.pad(x, (2,) * 6, mode="circular"),
        0,
        "circular",
    ),
    Case(
        "pad",
        {"amount": [0, 2, 1], "mode": "replicate"},
        (1, 2, 3, 2),
        lambda x, w: F.pad(x, (1, 1, 2, 2, 0, 0), mode="replicate"),
        0,
        "replicate",
    ),
    Case("crop", {"size": 3}, (2, 8), lambda x, w: x[..., 2:5], 0),
    Case("crop", {"size": [3, 4], "offset": [0, 2]}, (2, 5, 6), lambda x, w: x[..., :3, 2:6], 0),
    Case("crop", {"like": Shape((9, 2, 3, 1))}, (2, 4, 3, 4), lambda x, w: x[..., 1:3, :, 1:2], 0),
]
OURS = {
    "conv",
    "depthwise_conv",
    "conv_transpose",
    "linear",
    "max_pool",
    "avg_pool",
    "lp_pool",
    "global_avg_pool",
    "global_max_pool",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "max_unpool",
    "upsample",
    "pixel_shuffle",
    "pixel_unshuffle",
    "pad",
    "crop",
}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def lowered(case: Case) -> tuple[Layer, Shape, Lowered]:
    torch.manual_seed(1)
    layer, x = make(case.kind, **case.arguments), Shape(case.x)
    return layer, x, Lowered(layer, x)


def weights_of(module: Lowered) -> Weights:
    return {} if module.module is None else dict(module.module.named_parameters())


def test_every_layer_and_argument_has_a_case() -> None:
    for kind in OURS - {"max_unpool"}:
        cases = [case for case in CASES if case.kind == kind]
        given = {name for case in cases for name in case.arguments}
        assert set(LAYERS[kind].arguments) == given, kind
        axes = {len(case.x) - 1 for case in cases}
        assert axes == ({0} if kind == "linear" else {1, 2, 3}), kind


@every_case
def test_shape_is_torchs(case: Case) -> None:
    layer, x, module = lowered(case)
    module.to("meta")
    meta = torch.empty(3, *x, device="meta")
    assert layer.shape(x) == tuple(case.direct(meta, weights_of(module)).shape[1:])
    assert layer.shape(x) == tuple(module(meta).shape[1:])


@every_case
def test_weights_are_torchs(case: Case) -> None:
    layer, x, module = lowered(case)
    check_weights(layer, module.module, x)


@every_case
def test_macs_are_torchs(case: Case) -> None:
    layer, x, module = lowered(case)
    weights = weights_of(module)
    assert layer.macs(x) == macs(lambda value: case.direct(value, weights), torch.rand(1, *x))


@every_case
def test_flops_are_as_documented(case: Case) -> None:
    layer, x, _ = lowered(case)
    assert layer.flops(x) == case.flops


@every_case
def test_values_are_torchs(case: Case) -> None:
    _, x, module = lowered(case)
    module.double()
    value = torch.rand(2, *x, dtype=torch.float64)
    if case.kind != "lp_pool":
        value -= 0.5
    torch.testing.assert_close(module(value), case.direct(value, weights_of(module)), rtol=1e-9, atol=1e-9)


@every_case
def test_reads_are_the_units_that_matter(case: Case) -> None:
    layer, x, module = lowered(case)
    (reads,) = layer.reads(x)
    if case.kind == "linear":
        assert reads is Reach.POINT
        return
    module.double()
    weights = {name: torch.rand_like(value) + 0.1 for name, value in weights_of(module).items()}
    with torch.no_grad():
        found = support(lambda value: case.direct(value, weights), x)
    border = case.border
    if case.kind == "pad" and "circular" in case.arguments.values() and border == "zeros":
        # The part that is cut off first is no source of padding; see the values.
        return
    assert torch.equal(found, read_positions(reads, x.size, layer.shape(x).size, border))


@pytest.mark.parametrize("case", [case for case in CASES if case.saved], ids=lambda case: case.id)
def test_saved_is_what_autograd_keeps(case: Case) -> None:
    layer, x, module = lowered(case)
    check_saved(layer, module, torch.rand(1, *x))


@every_case
def test_symbolic_sizes_agree_with_numbers(case: Case) -> None:
    """Every rule, worked out with symbols for the extents and then given their numbers."""
    layer, x, _ = lowered(case)
    if not x.axes or "like" in case.arguments:
        return
    names = ("D", "H", "W")[-x.axes :]
    open_ = Shape((x.channels, *(symbol(name) for name in names)))
    numbers = dict(zip(names, x.size, strict=True))

    def closed(size: Any) -> Any:
        return substitute(size, numbers)

    assert tuple(map(closed, layer.shape(open_))) == layer.shape(x)
    assert {k: tuple(map(closed, v)) for k, v in layer.weights(open_).items()} == layer.weights(x)
    assert closed(layer.macs(open_)) == layer.macs(x)
    if case.kind.startswith("adaptive"):
        assert closed(layer.flops(open_)) >= layer.flops(x)
    else:
        assert closed(layer.flops(open_)) == layer.flops(x)
    assert closed(layer.saved(open_).extra) == layer.saved(x).extra
    assert closed(layer.saved(open_).floats) == layer.saved(x).floats
    assert layer.saved(open_).inputs == layer.saved(x).inputs
    doubts = layer.doubts(open_)
    assert all(doubt.severity in ("note", "warning") and doubt.message() for doubt in doubts)
    if layer.reads(open_)[0] is Reach.MIXED:
        assert any(doubt.name == "reads-depend-on-size" for doubt in doubts)
    elif not any(doubt.name == "reads-depend-on-size" for doubt in doubts):
        assert layer.reads(open_) == layer.reads(x)
    assert layer.doubts(x) == ()


# ------------------------------------------------------------------------------ random arguments


def random_window(rng: random.Random, axes: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    size = tuple(rng.randint(3, 8) for _ in range(axes))
    kernel = [rng.randint(1, 4) for _ in range(axes)]
    stride = [rng.randint(1, 4) for _ in range(axes)]
    dilation = [rng.randint(1, 3) for _ in range(axes)]
    return size, {"kernel": kernel, "stride": stride, "dilation": dilation}


def starts(n: int, k: int, s: int, pair: tuple[int, int], d: int, ceil: bool) -> list[int]:
    """Where the windows of one axis begin, one after the other, by the documentation's words."""
    before, after = pair
    span = (k - 1) * d + 1
    found = []
    at = -before
    while at + span <= n + after:
        found.append(at)
        at += s
    if ceil and at < n and at - s + span < n + after:
        found.append(at)
    return found


def same(n: int, k: int, s: int, d: int) -> tuple[int, int]:
    total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
    return total // 2, total - total // 2


def by_hand(
    x: Tensor, windows: list[list[int]], kernel: list[int], dilation: list[int],
    reduce: Callable[[Tensor, list[tuple[int, ...]]], Tensor],
) -> Tensor:  # fmt: skip
    """`reduce` of the samples [batch, channels, samples] of each window and of all its positions."""
    size = x.shape[2:]
    outputs = []
    for begin in itertools.product(*windows):
        places = list(
            itertools.product(
                *([b + t * d for t in range(k)] for b, k, d in zip(begin, kernel, dilation, strict=True))
            )
        )
        inside = [p for p in places if all(0 <= i < n for i, n in zip(p, size, strict=True))]
        flat = [sum(i * math.prod(size[a + 1 :]) for a, i in enumerate(p)) for p in inside]
        outputs.append(reduce(x.flatten(2)[..., flat], places))
    return torch.stack(outputs, -1).unflatten(-1, [len(w) for w in windows])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_random_convolutions(axes: int) -> None:
    rng = random.Random(axes)
    fitted = refused = 0
    for _ in range(150):
        size, given = random_window(rng, axes)
        groups = rng.choice([1, 2])
        mode = rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"])
        most = min(size) - 1 if mode in ("reflect", "circular") else 4
        pads: Any = [[rng.randint(0, most), rng.randint(0, most)] for _ in range(axes)]
        k, s, d = given["kernel"], given["stride"], given["dilation"]
        if rng.random() < 0.3 and mode in ("zeros", "replicate"):
            pads = "same"
            sides = [same(*numbers) for numbers in zip(size, k, s, d, strict=True)]
        else:
            sides = [tuple(pair) for pair in pads]
        layer = make("conv", channels=2 * groups, padding=pads, groups=groups, padding_mode=mode, **given)
        x = Shape((2 * groups, *size))
        value = torch.rand(1, *x, dtype=torch.float64)
        flat = [side for pair in reversed(sides) for side in pair]
        widened = F.pad(value, flat, mode="constant" if mode == "zeros" else mode)
        if any((k_ - 1) * d_ + 1 > n for k_, d_, n in zip(k, d, widened.shape[2:], strict=True)):
            with pytest.raises(Fault) as caught:
                layer.shape(x)
            assert caught.value.problem.name == "window-outside-input"
            refused += 1
            continue
        module = Lowered(layer, x).double()
        wanted = CONV[axes](widened, module.module.weight, module.module.bias, s, 0, d, groups)
        assert layer.shape(x) == tuple(wanted.shape[1:])
        torch.testing.assert_close(module(value), wanted)
        assert layer.macs(x) == macs(module, value)
        fitted += 1
    assert fitted > 60 and refused > 5


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_random_transposed_convolutions(axes: int) -> None:
    rng = random.Random(10 + axes)
    fitted = 0
    for _ in range(100):
        size, given = random_window(rng, axes)
        size = tuple(min(n, 4) for n in size)
        k, s, d = given["kernel"], given["stride"], given["dilation"]
        extra = [rng.randint(0, max(a, b) - 1) for a, b in zip(s, d, strict=True)]
        sides = [(rng.randint(0, 2), rng.randint(0, 2)) for _ in range(axes)]
        layer = make("conv_transpose", channels=4, groups=2, output_padding=extra,
                     padding=[list(pair) for pair in sides], **given)  # fmt: skip
        x = Shape((2, *size))
        value = torch.rand(1, *x, dtype=torch.float64)
        weight = torch.rand(2, 2, *k, dtype=torch.float64) + 0.1
        bias = torch.rand(4, dtype=torch.float64)
        whole = CONV_TRANSPOSE[axes](value, weight, bias, s, 0, extra, 2, d)
        ends = [n - after for n, (_, after) in zip(whole.shape[2:], sides, strict=True)]
        wanted = whole[(..., *(slice(before, end) for (before, _), end in zip(sides, ends, strict=True)))]
        if any(end <= before for (before, _), end in zip(sides, ends, strict=True)):
            with pytest.raises(Fault) as caught:
                layer.shape(x)
            assert caught.value.problem.name == "empty-output"
            continue
        assert layer.shape(x) == tuple(wanted.shape[1:])
        module = Lowered(layer, x).double()
        module.module.load_state_dict({"weight": weight, "bias": bias})
        torch.testing.assert_close(module(value), wanted)
        assert layer.macs(x) == macs(lambda v, w=weight, g=(s, extra, d): CONV_TRANSPOSE[axes](
            v, w, None, g[0], 0, g[1], 2, g[2]), value)  # fmt: skip
        found = support(lambda v, m=module: m(v), x)
        assert torch.equal(found, read_positions(layer.reads(x)[0], x.size, layer.shape(x).size, "zeros"))
        fitted += 1
    assert fitted > 60


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
def test_random_poolings(kind: str, axes: int) -> None:
    """Against windows gone through one by one, as the documentation words it."""
    rng = random.Random(20 + axes)
    fitted = asymmetric = overhanging = 0
    for _ in range(120):
        size, given = random_window(rng, axes)
        size = tuple(n - 2 for n in size)
        ceil = rng.random() < 0.5
        k, s = given["kernel"], given["stride"]
        d = given["dilation"] if kind == "max_pool" else [1] * axes
        if rng.random() < 0.3:
            pads: Any = "same"
            sides = [same(*numbers) for numbers in zip(size, k, s, d, strict=True)]
        else:
            sides = [(rng.randint(0, n // 2), rng.randint(0, n // 2)) for n in k]
            pads = [list(pair) for pair in sides]
        arguments: dict[str, Any] = {"kernel": k, "stride": s, "padding": pads, "ceil": ceil}
        count = rng.random() < 0.5
        arguments |= {"dilation": d} if kind == "max_pool" else {"count_padding": count}
        layer, x = make(kind, **arguments), Shape((2, *size))
        windows = [starts(*numbers, ceil) for numbers in zip(size, k, s, sides, d, strict=True)]
        # The windows among which one has to be: torch's means over three axes ask for a whole one.
        asked = ceil and (kind == "max_pool" or axes < 3)
        if not all(starts(*numbers, asked) for numbers in zip(size, k, s, sides, d, strict=True)):
            with pytest.raises(Fault) as caught:
                layer.shape(x)
            assert caught.value.problem.name == "window-outside-input"
            continue
        value = torch.rand(2, *x, dtype=torch.float64) - 0.5

        def largest(samples: Tensor, places: list[Any]) -> Tensor:
            nothing = torch.full(samples.shape[:2], -math.inf, dtype=samples.dtype)
            return samples.amax(-1) if samples.shape[-1] else nothing

        def mean(samples: Tensor, places: list[Any], count: bool = count, size: Any = size,
                 sides: Any = sides) -> Tensor:  # fmt: skip
            padded = [
                p for p in places
                if all(-b <= i < n + a for i, n, (b, a) in zip(p, size, sides, strict=True))
            ]  # fmt: skip
            return samples.sum(-1) / (len(padded) if count else samples.shape[-1])

        wanted = by_hand(value, windows, k, d, largest if kind == "max_pool" else mean)
        assert layer.shape(x) == tuple(wanted.shape[1:])
        module = Lowered(layer, x)
        torch.testing.assert_close(module(value), wanted)
        asymmetric += any(before != after for before, after in sides)
        overhanging += any(
            w[-1] + (k_ - 1) * d_ + 1 > n + after
            for w, k_, d_, n, (_, after) in zip(windows, k, d, size, sides, strict=True)
        )
        if torch.isfinite(wanted).all():
            found = read_positions(layer.reads(x)[0], x.size, layer.shape(x).size, "zeros")
            assert torch.equal(support(lambda v, m=module: m(v), x), found)
        fitted += 1
    assert fitted > 30 and asymmetric > 15 and overhanging > 3


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_random_interpolations(axes: int) -> None:
    rng = random.Random(30 + axes)
    names = {
        "nearest": "nearest",
        "linear": ("linear", "bilinear", "trilinear")[axes - 1],
        "cubic": "bicubic",
    }
    for _ in range(60):
        x = Shape((1, *(rng.randint(1, 7) for _ in range(axes))))
        mode = rng.choice(["nearest", "linear", "cubic"] if axes == 2 else ["nearest", "linear"])
        corners = mode != "nearest" and rng.random() < 0.4
        given: dict[str, Any] = {"mode": mode, "align_corners": corners}
        named: dict[str, Any] = {"mode": names[mode]} | ({"align_corners": True} if corners else {})
        if rng.random() < 0.5:
            size = [rng.randint(1, 9) for _ in range(axes)]
            layer, named["size"] = make("upsample", size=size, **given), size
        else:
            scale = [rng.choice([1, 2, 3, 1.0, 1.5, 2.5, 0.5, 1.3]) for _ in range(axes)]
            made = [math.floor(n * f) for n, f in zip(x.size, scale, strict=True)]
            if 0 in made:
                continue
            layer, named["scale_factor"] = make("upsample", scale=scale, **given), scale
            if mode == "nearest":
                # torch is of two minds here, by the layout in memory; see the next test.
                named["scale_factor"] = [
                    m / n if m in (n, 2 * n) else f for m, n, f in zip(made, x.size, scale, strict=True)
                ]
        value = torch.rand(2, *x, dtype=torch.float64)
        wanted = F.interpolate(value, **named)
        assert layer.shape(x) == tuple(wanted.shape[1:])
        torch.testing.assert_close(Lowered(layer, x)(value), wanted)
        found = support(lambda v, named=named: F.interpolate(v, **named), x)
        assert torch.equal(found, read_positions(layer.reads(x)[0], x.size, layer.shape(x).size, "replicate"))


def test_a_scale_that_rounds_to_the_extent_or_its_double() -> None:
    """The same result whatever the number of axes and the layout in memory, which torch's own is not."""
    for n, scale, wanted in ((3, 1.3, [0, 1, 2]), (3, 2.3, [0, 0, 1, 1, 2, 2])):
        layer = make("upsample", scale=scale)
        for axes in (1, 2, 3):
            x = Shape((3, *(n,) * axes))
            value = torch.arange(n, dtype=torch.float64).expand(1, *x).contiguous()
            module = Lowered(layer, x)
            result = module(value)
            assert result[(0, 0, *(0,) * (axes - 1))].tolist() == wanted
            assert list(result.shape[1:]) == list(layer.shape(x))
            assert torch.equal(
                support(module, x),
                read_positions(layer.reads(x)[0], x.size, layer.shape(x).size, "replicate"),
            )
    x = Shape((1, 3))
    assert make("upsample", scale=1.3, mode="linear").reads(x) == make("upsample", scale=1).reads(x)


# ------------------------------------------------------------------------------ max_unpool


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_max_unpool_undoes_any_pooling(axes: int) -> None:
    """Unpooled, what was pooled stands where it came from, and all else is 0."""
    rng = random.Random(40 + axes)
    undone_ = 0
    for _ in range(80):
        size, given = random_window(rng, axes)
        k, s, d = given["kernel"], given["stride"], given["dilation"]
        sides = [(rng.randint(0, n // 2), rng.randint(0, n // 2)) for n in k]
        pads: Any = [list(pair) for pair in sides]
        if rng.random() < 0.3:
            pads, sides = "same", [same(*numbers) for numbers in zip(size, k, s, d, strict=True)]
        ceil = rng.random() < 0.5
        pool, x = make("max_pool", padding=pads, ceil=ceil, **given), Shape((2, *size))
        windows = [starts(*numbers, ceil) for numbers in zip(size, k, s, sides, d, strict=True)]
        if not all(windows):
            continue
        y = pool.shape(x)
        assert isinstance(y, Shape)
        value = torch.randperm(2 * elements(x)).reshape(2, *x) + 1.0  # all different
        pooled, indices = Lowered(pool, x, indices=True)(value)
        if not torch.isfinite(pooled).all():
            continue
        layer = make("max_unpool", pool=undone(pool, x))
        assert layer.shape(y, y) == x
        assert layer.macs(y, y) == layer.flops(y, y) == 0
        restored = Lowered(layer, y, y)(pooled, indices)
        assert restored.shape == value.shape
        kept = torch.isin(value, pooled)
        torch.testing.assert_close(restored, torch.where(kept, value, 0))
        first, second = layer.reads(y, y)
        wanted = read_positions(pool.reads(x)[0], x.size, y.size, "zeros")
        assert torch.equal(read_positions(first, y.size, x.size, "zeros"), wanted.T)
        assert not read_positions(second, y.size, x.size, "zeros").any()
        assert [a.step_out for a in second] == [a.step_out for a in first]
        undone_ += 1
    assert undone_ > 35


def test_max_unpool_keeps_the_indices() -> None:
    pool, x = make("max_pool", kernel=2), Shape((3, 6, 6))
    layer, y = make("max_unpool", pool=undone(pool, x)), Shape((3, 3, 3))
    assert layer.saved(y, y) == Saved(inputs=(1,))
    _, indices = Lowered(pool, x, indices=True)(torch.rand(1, *x))
    check_saved(layer, Lowered(layer, y, y), torch.rand(1, *y), indices)


# ------------------------------------------------------------------------------ the text


def test_source_reads_as_people_write_it() -> None:
    def of(kind: str, x: tuple[int, ...], **given: Any) -> tuple[str | None, str]:
        return source(make(kind, **given), Shape(x))

    assert of("conv", (3, 224, 224), channels=96, kernel=11, stride=4, padding=2) == (
        "nn.Conv2d(3, 96, 11, stride=4, padding=2)",
        "module(x0)",
    )
    assert of("conv", (4, 9), channels=8, kernel=3, stride=2, padding="same", groups=2, bias=False) == (
        "nn.Conv1d(4, 8, 3, stride=2, padding=1, groups=2, bias=False)",
        "module(x0)",
    )
    assert of("conv", (4, 8, 8), channels=8, kernel=3, stride=2, padding="same") == (
        "nn.Conv2d(4, 8, 3, stride=2)",
        "module(F.pad(x0, (0, 1, 0, 1)))",
    )
    assert of("max_pool", (4, 8, 8), kernel=3, stride=2, padding=1, ceil=True) == (
        "nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)",
        "module(x0)",
    )
    assert of("max_pool", (4, 8, 8), kernel=2) == ("nn.MaxPool2d(2)", "module(x0)")
    assert of("linear", (4,), features=10) == ("nn.Linear(4, 10)", "module(x0)")
    assert of("global_avg_pool", (4, 8, 8)) == ("nn.AdaptiveAvgPool2d(1)", "module(x0)")
    assert of("upsample", (4, 8, 8), scale=2, mode="linear") == (
        None,
        "F.interpolate(x0, scale_factor=2, mode='bilinear')",
    )
    assert of("crop", (4, 8, 8), size=6) == (None, "x0[..., 1:7, 1:7]")
    assert of("avg_pool", (4, 8), kernel=2, stride=1, padding="same", count_padding=False) == (
        "nn.AvgPool1d(2, stride=1)",
        "module(F.pad(x0, (0, 1))) / module(F.pad(torch.ones_like(x0), (0, 1)))",
    )


# ------------------------------------------------------------------------------ what is refused

WRONG: list[tuple[str, dict[str, Any], tuple[int, ...], str, str | None, str]] = [
    (
        "conv",
        {"channels": 8, "kernel": 11},
        (3, 6, 6),
        "window-outside-input",
        "kernel",
        "a kernel of 11 x 11 does not fit in 6 x 6",
    ),
    (
        "conv",
        {"channels": 8, "kernel": 3, "dilation": 4, "padding": 1},
        (3, 6),
        "window-outside-input",
        "kernel",
        "a kernel of 3 with dilation 4 does not fit in 6 padded to 8",
    ),
    ("max_pool", {"kernel": 3}, (3, 2), "window-outside-input", "kernel", "a kernel of 3 does not fit in 2"),
    (
        "lp_pool",
        {"p": 2, "kernel": 3},
        (3, 2, 4),
        "window-outside-input",
        "kernel",
        "a kernel of 3 x 3 does not fit in 2 x 4",
    ),
    (
        "lp_pool",
        {"p": 2, "kernel": 2, "ceil": True},
        (3, 1, 4, 4),
        "window-outside-input",
        "kernel",
        "a kernel of 2 x 2 x 2 does not fit in 1 x 4 x 4",
    ),
    (
        "conv",
        {"channels": 8, "kernel": [3, 3]},
        (1, 40),
        "argument-axes",
        "kernel",
        "`kernel` has 2 entries, and [1, 40] has 1 spatial axis",
    ),
    (
        "avg_pool",
        {"kernel": 2, "padding": [[0, 1]]},
        (1, 40, 40),
        "argument-axes",
        "padding",
        "`padding` has 1 entry, and [1, 40, 40] has 2 spatial axes",
    ),
    (
        "upsample",
        {"scale": [2, 2]},
        (1, 40),
        "argument-axes",
        "scale",
        "`scale` has 2 entries, and [1, 40] has 1 spatial axis",
    ),
    (
        "conv",
        {"channels": 6, "kernel": 3, "groups": 4},
        (4, 8, 8),
        "groups-do-not-divide",
        "groups",
        "4 groups do not divide 4 input and 6 output channels",
    ),
    (
        "conv_transpose",
        {"channels": 8, "kernel": 3, "groups": 4},
        (6, 8),
        "groups-do-not-divide",
        "groups",
        "4 groups do not divide 6 input and 8 output channels",
    ),
    (
        "conv",
        {"channels": 6, "kernel": 3, "padding": 5, "padding_mode": "reflect"},
        (4, 5),
        "padding-outside-input",
        "padding",
        "reflect padding of 5, and the length is 5",
    ),
    (
        "pad",
        {"amount": [1, 4], "mode": "circular"},
        (4, 5, 3),
        "padding-outside-input",
        "amount",
        "circular padding of 4, and the width is 3",
    ),
    (
        "conv_transpose",
        {"channels": 2, "kernel": 3, "stride": 2, "output_padding": 2},
        (2, 5),
        "output-padding-too-large",
        "output_padding",
        "an output padding of 2 for a stride of 2",
    ),
    (
        "conv_transpose",
        {"channels": 2, "kernel": 3, "padding": 4},
        (2, 5),
        "empty-output",
        "padding",
        "`conv_transpose` of [2, 5] would have an extent of -1",
    ),
    (
        "upsample",
        {"scale": 0.1},
        (2, 7),
        "empty-output",
        "scale",
        "`upsample` of [2, 7] would have an extent of 0",
    ),
    ("pad", {"amount": -2}, (2, 4), "empty-output", "amount", "`pad` of [2, 4] would have an extent of 0"),
    (
        "max_pool",
        {"kernel": 3, "dilation": 2, "padding": 2},
        (2, 5),
        "pool-padding-too-large",
        "padding",
        "a padding of 2 is more than half of a kernel of 3",
    ),
    (
        "avg_pool",
        {"kernel": 3, "padding": [[0, 2]]},
        (2, 5),
        "pool-padding-too-large",
        "padding",
        "a padding of 2 is more than half of a kernel of 3",
    ),
    (
        "linear",
        {"features": 10},
        (3, 8, 8),
        "needs-vector",
        None,
        "`linear` takes a vector, and [3, 8, 8] is a map",
    ),
    (
        "pixel_shuffle",
        {"factor": 2},
        (6, 3, 3),
        "channels-do-not-divide",
        "factor",
        "`pixel_shuffle` by 2 needs a multiple of 4 channels, not 6",
    ),
    (
        "pixel_unshuffle",
        {"factor": 2},
        (3, 9, 8),
        "extents-do-not-divide",
        "factor",
        "`pixel_unshuffle` by 2 needs extents that 2 divides",
    ),
    ("upsample", {}, (3, 8), "one-of-two-arguments", None, "`upsample` needs `scale` or `size`"),
    (
        "upsample",
        {"scale": 2, "size": 16},
        (3, 8),
        "one-of-two-arguments",
        None,
        "`upsample` takes `scale` or `size`, and was given both",
    ),
    ("crop", {}, (3, 8), "one-of-two-arguments", None, "`crop` needs `size` or `like`"),
    (
        "upsample",
        {"scale": 2, "mode": "cubic"},
        (3, 8),
        "cubic-needs-image",
        "mode",
        "cubic upsampling is for images, and [3, 8] has 1 spatial axis",
    ),
    (
        "upsample",
        {"scale": 2, "align_corners": True},
        (3, 8),
        "corners-of-nearest",
        "align_corners",
        "align_corners has no meaning for mode=nearest",
    ),
    (
        "pad",
        {"amount": 1, "mode": "reflect", "value": 2},
        (3, 8),
        "value-without-zeros",
        "value",
        "`value` has no meaning for mode=reflect",
    ),
    (
        "crop",
        {"size": 10},
        (3, 8, 12),
        "crop-outside-input",
        "size",
        "a crop of 10 x 10 does not fit in 8 x 12",
    ),
    (
        "crop",
        {"size": 6, "offset": [1, 3]},
        (3, 8, 8),
        "crop-outside-input",
        "offset",
        "a crop of 6 x 6 from 1 and 3 on does not fit in 8 x 8",
    ),
    (
        "crop",
        {"like": Shape((3, 64))},
        (3, 8, 8),
        "crop-axes-differ",
        "like",
        "[3, 8, 8] has 2 spatial axes, and the value that it is cropped like, [3, 64], has 1 spatial axis",
    ),
]
WRONG += [
    (kind, arguments, (10,), "needs-map", None, f"`{kind}` works along spatial axes, and [10] is a vector")
    for kind, arguments in {case.kind: case.arguments for case in CASES if case.kind != "linear"}.items()
]


@pytest.mark.parametrize(("kind", "arguments", "x", "name", "argument", "message"), WRONG)
def test_what_does_not_fit_is_refused(
    kind: str, arguments: dict[str, Any], x: tuple[int, ...], name: str, argument: str | None, message: str
) -> None:
    with pytest.raises(Fault) as caught:
        make(kind, **arguments).shape(Shape(x))
    problem = caught.value.problem
    assert (problem.name, caught.value.argument, problem.message()) == (name, argument, message)
    assert problem.label()
    assert type(problem).__doc__ and "```arch" in type(problem).__doc__


def test_mends() -> None:
    def mend(kind: str, x: tuple[int, ...], **given: Any) -> tuple[str, str | None]:
        with pytest.raises(Fault) as caught:
            make(kind, **given).shape(Shape(x))
        return caught.value.problem.label(), caught.value.problem.help()

    assert mend("conv", (384, 6, 6), channels=256, kernel=11) == (
        "needs at least 11 x 11 after padding",
        "padding=same keeps 6 x 6",
    )
    assert mend("conv", (3, 6, 6), channels=256, kernel=11, stride=2)[1] == "padding=same makes it 3 x 3"
    assert mend("lp_pool", (3, 2, 4), p=2, kernel=3)[1] == "a kernel of 2 x 4 takes in the whole map"
    assert mend("conv", (4, 8), channels=6, kernel=3, groups=4) == (
        "6 output channels are no multiple of 4",
        "groups=2, or channels=4 or 8 would fit",
    )
    assert mend("conv", (6, 8), channels=12, kernel=3, groups=4) == (
        "6 input channels are no multiple of 4",
        "groups=3 or 6 would fit",
    )
    assert mend("linear", (3, 8, 8), features=10)[1] == "flatten first: `flatten -> linear(10)`"
    assert mend("conv", (1, 40), channels=8, kernel=[3, 3])[0] == "needs one number, for the length"
    assert (
        mend("conv", (1, 9, 9), channels=8, kernel=[3])[0]
        == "needs one number, or a list of 2: height and width"
    )


def test_unpooling_of_another_shape_is_refused() -> None:
    pool = make("max_pool", kernel=2)
    layer = make("max_unpool", pool=undone(pool, Shape((3, 8, 8))))
    y = Shape((3, 4, 4))
    for x, name in ((Shape((8, 4, 4)), "channel-mismatch"), (Shape((3, 2, 4)), "unpool-mismatch"),
                    (Shape((3, 16)), "unpool-mismatch"), (Shape((3,)), "needs-map")):  # fmt: skip
        with pytest.raises(Fault) as caught:
            layer.shape(x, y)
        assert (caught.value.problem.name, caught.value.inputs) == (name, (0,))


# ------------------------------------------------------------------------------ what can't be decided


def test_doubts_of_symbolic_sizes() -> None:
    h, w, c = symbol("H"), symbol("W"), symbol("C")

    def doubts(kind: str, *x: Any, **given: Any) -> list[tuple[str, str, str]]:
        found = make(kind, **given).doubts(Shape(x))
        return [(doubt.name, doubt.severity, doubt.message()) for doubt in found]

    assert doubts("conv", 3, h, w, channels=8, kernel=3) == [
        ("fits-only-where", "note", "`conv` fits only where H >= 3 and W >= 3")
    ]
    assert doubts("conv", 3, h, w, channels=8, kernel=3, padding="same") == []
    assert doubts("conv", 3, h, w, channels=8, kernel=3, padding=1) == []
    assert doubts("conv", 3, h, w, channels=8, kernel=3, stride=2, padding="same") == [
        ("reads-depend-on-size", "note", "which samples `conv` reads depends on H and W")
    ]
    assert doubts("conv", c, 8, channels=8, kernel=3, groups=2) == [
        ("undecided-size", "warning", "`conv` may not fit: whether 2 divides C depends on C")
    ]
    assert doubts("conv", 2 * c, 8, channels=8, kernel=3, groups=2) == []
    assert doubts("max_pool", 3, h, kernel=2) == [
        ("fits-only-where", "note", "`max_pool` fits only where H >= 2")
    ]
    assert doubts("max_pool", 3, h, kernel=2, ceil=True) == []
    assert doubts("adaptive_avg_pool", 3, h, size=7) == [
        ("reads-depend-on-size", "note", "which samples `adaptive_avg_pool` reads depends on H")
    ]
    assert doubts("adaptive_avg_pool", 3, h, size=1) == []
    assert doubts("pixel_unshuffle", 3, h, factor=2) == [
        ("undecided-size", "warning", "`pixel_unshuffle` fits only where H mod 2 is 0")
    ]
    assert doubts("crop", 3, h, size=4) == [
        ("fits-only-where", "note", "`crop` fits only where H >= 4"),
        ("reads-depend-on-size", "note", "which samples `crop` reads depends on H"),
    ]
    with pytest.raises(Fault):
        make("conv", channels=8, kernel=3, groups=2).shape(Shape((2 * c + 1, 8)))


def test_same_padding_of_a_symbol_reads_as_extents_that_the_stride_divides() -> None:
    for kernel, stride in itertools.product(range(1, 6), range(1, 5)):
        layer = make("conv", channels=1, kernel=kernel, stride=stride, padding="same")
        assert layer.reads(Shape((1, symbol("H")))) == layer.reads(Shape((1, 12 * stride)))


def test_long_patterns_are_not_written_out() -> None:
    """No file can make an analysis endless: past the bound a layer claims nothing."""
    long = MOST_PHASES + 1
    x = Shape((1, long + 1))
    assert make("upsample", size=long).reads(x) == (Reach.UNTOLD,)
    assert make("upsample", scale=1e-9).reads(Shape((1, 10**10))) == (Reach.UNTOLD,)
    assert make("adaptive_avg_pool", size=long).reads(x) == (Reach.UNTOLD,)
    assert make("conv_transpose", channels=1, kernel=2, stride=10**9).reads(Shape((1, 1))) == (Reach.UNTOLD,)
    assert make("pixel_shuffle", factor=10**9).reads(Shape((10**9, 1))) == (Reach.UNTOLD,)


# ------------------------------------------------------------------------------ the form of a layer


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_that_lacks_a_rule_is_refused(rule: str) -> None:
    rules = {name: lambda self, *xs: None for name in RULES if name != rule}
    with pytest.raises(TypeError, match=f"lacks the rules {rule}"):
        type("Lacking", (Layer,), {"__doc__": "Something.", **rules})
    assert "lacking" not in LAYERS


def test_a_layer_without_documentation_is_refused() -> None:
    rules = {name: lambda self, *xs: None for name in RULES}
    with pytest.raises(TypeError, match="lacks its documentation"):
        type("Undocumented", (Layer,), rules)
    assert "undocumented" not in LAYERS


def test_documentation_says_what_is_counted() -> None:
    for kind in OURS:
        page = " ".join((LAYERS[kind].__doc__ or "").split())
        assert "FLOPs" in page and "backward pass keeps" in page and "Source:" in page, kind
        assert page.count("```arch") == 1 and kind in page.split("```arch")[1], kind


# ------------------------------------------------------------------------------ expected values of others

OPERATIONS = {
    "maxpool": "max_pool", "avgpool": "avg_pool", "adaptive_maxpool": "adaptive_max_pool",
    "adaptive_avgpool": "adaptive_avg_pool", "pad": "pad", "conv": "conv", "conv_transpose": "conv_transpose",
    "upsample": "upsample", "pixel_shuffle": "pixel_shuffle", "pixel_unshuffle": "pixel_unshuffle",
    "maxpool>max_unpool": "max_unpool",
}  # fmt: skip
RENAMED = {"out": "channels", "pad": "padding", "pad_mode": "padding_mode"}
ERRORS = {
    "output_not_positive": {"window-outside-input", "empty-output"},
    "not_divisible": {"groups-do-not-divide", "channels-do-not-divide"},
    "pool_pad_gt_half_kernel": {"pool-padding-too-large"},
    "pad_mode_too_large": {"padding-outside-input"},
    "bad_output_padding": {"output-padding-too-large"},
    "bad_argument": {"corners-of-nearest"},
}
ENTRIES = [
    entry
    for entry in oracle("ops")
    if entry["op"].replace("1d", "").replace("2d", "").replace("3d", "") in OPERATIONS
]


def layer_of(entry: dict[str, Any]) -> Layer:
    kind = OPERATIONS[entry["op"].replace("1d", "").replace("2d", "").replace("3d", "")]
    given = {RENAMED.get(key, key): value for key, value in entry["args"].items() if value is not None}
    given.pop("pad_equiv", None)
    if kind == "pad":
        given["amount"] = given.pop("padding")
        given["mode"] = {"constant": "zeros"}.get(given["mode"], given["mode"])
    if kind.startswith("adaptive"):
        size = entry["inputs"][0][2:]
        given = {"size": [n if m is None else m for m, n in zip(given["channels"], size, strict=True)]}
    if kind == "upsample":
        mode = given["mode"]
        given["mode"] = {"nearest-exact": "nearest", "bicubic": "cubic"}.get(
            mode, "linear" if "linear" in mode else mode
        )
    if given.get("padding") == "same_tf":
        given["padding"] = "same"
    if given.get("padding_mode") == "constant":
        given["padding_mode"] = "zeros"
    return make(kind, **given)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "unpool" not in e["op"]], ids=lambda e: e["id"])
def test_single_operations(entry: dict[str, Any]) -> None:
    batch, *rest = entry["inputs"][0]
    layer, x = layer_of(entry), Shape(rest)
    if entry["error"] is not None:
        with pytest.raises(Fault) as caught:
            layer.shape(x)
        assert caught.value.problem.name in ERRORS[entry["error"]["category"]]
        return
    assert [batch, *layer.shape(x)] == entry["output"]
    weights = sum(elements(shape) for shape in layer.weights(x).values())
    assert weights == entry["params"] == entry["trainable"]
    assert len(layer.buffers(x)) == entry["buffers"] == 0
    assert layer.macs(x) * batch == entry["macs_with_batch"]
    if "pad_equiv" in entry["args"]:
        (window,) = layer.windows(x)
        assert [[window.before, window.after]] == entry["args"]["pad_equiv"]


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "unpool" in e["op"]], ids=lambda e: e["id"])
def test_single_unpoolings(entry: dict[str, Any]) -> None:
    """In the language the extents are always those of the pooling's input: torch's `output_size`."""
    _, *rest = entry["inputs"][0]
    args, x = entry["args"], Shape(rest)
    pool = make("max_pool", kernel=args["kernel"], stride=args["stride"], padding=args["pad"])
    y = pool.shape(x)
    layer = make("max_unpool", pool=undone(pool, x))
    assert layer.shape(y, y) == x
    assert layer.macs(y, y) == entry["macs_with_batch"] == 0
    assert len(layer.weights(y, y)) == entry["params"] == entry["trainable"] == entry["buffers"] == 0
    if args["output_size"] is not None:
        assert list(x.size) == args["output_size"]
    axes = len(rest) - 1
    unpooled = tuple(
        (n - 1) * s - 2 * before + k
        for n, k, s, (before, _) in zip(y[1:], args["kernel"], args["stride"], args["pad"], strict=True)
    )
    if args["output_size"] is None:
        assert list(unpooled) == entry["output"][-axes:]


def test_which_expected_values_are_used() -> None:
    assert len(ENTRIES) == 120
