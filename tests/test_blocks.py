"""The bundled blocks, against the equations of their papers worked out in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train

Array = np.ndarray[Any, Any]


def block(use: str, shape: list[int]) -> tuple[archdsl.Net, dict[str, Array], Array, Array]:
    """A network of one block: itself, its weights, an example, and what it makes of it."""
    name = use.partition("(")[0]
    text = f'import {name} from "blocks.arch"\nnetwork N {{\n  input x: {shape}\n  made: {use}\n}}\n'
    net = archdsl.loads(text)
    torch.manual_seed(0)
    model = net.build().double().eval()
    statistics = [tensor for key, tensor in model.named_buffers() if "running" in key]
    for tensor in (*model.parameters(), *statistics):
        tensor.data = torch.rand_like(tensor) + 0.1
    x = torch.randn(1, *shape, dtype=torch.float64)
    with torch.no_grad():
        y = model(x)
    weights = {key.removeprefix("made."): value.numpy() for key, value in model.state_dict().items()}
    return net, weights, x[0].numpy(), y[0].numpy()


def convolved(x: Array, weight: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> Array:
    """A convolution by its definition, along all axes of x."""
    made, each, *kernel = weight.shape
    padded = np.pad(x, [(0, 0)] + [(padding, padding)] * (x.ndim - 1))
    size = [(n - k) // stride + 1 for n, k in zip(padded.shape[1:], kernel, strict=True)]
    y = np.zeros((made, *size))
    for c in range(made):
        first = c // (made // groups) * each
        for place in np.ndindex(*size):
            window = tuple(slice(i * stride, i * stride + k) for i, k in zip(place, kernel, strict=True))
            y[(c, *place)] = (padded[(slice(first, first + each), *window)] * weight[c]).sum()
    return y


def normalised(x: Array, weights: dict[str, Array], name: str) -> Array:
    def each(key: str) -> Array:
        return weights[f"{name}.{key}"].reshape(-1, *[1] * (x.ndim - 1))

    scale = each("weight") / np.sqrt(each("running_var") + 1e-5)
    return (x - each("running_mean")) * scale + each("bias")


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_separable() -> None:
    net, w, x, y = block("SeparableConv(5, stride=2, padding=1)", [3, 7, 8])
    between = convolved(x, w["depthwise_conv.weight"], 2, 1, 3)
    between = relu(normalised(between, w, "batch_norm_1"))
    after = relu(normalised(convolved(between, w["conv.weight"]), w, "batch_norm_2"))
    np.testing.assert_allclose(y, after)
    assert net.report().to_dict()["totals"]["parameters"] == 3 * 9 + 3 * 5 + 2 * 3 + 2 * 5


def test_outer_product() -> None:
    """One convolution whose kernels are outer products, with C + K + K weights each and a bias."""
    net, w, x, y = block("OuterProductConv(4, kernel=3)", [5, 6, 7])
    u = w["over_channels.weight"][:, :, 0, 0]
    v = w["along_height.weight"][:, 0, :, 0]
    h = w["along_width.weight"][:, 0, 0, :]
    kernels = np.einsum("mc,mi,mj->mcij", u, v, h)
    np.testing.assert_allclose(y, convolved(x, kernels, 1, 1) + w["along_width.bias"][:, None, None])
    assert net.report().to_dict()["totals"]["parameters"] == 4 * (5 + 3 + 3 + 1)


def test_channel_separated() -> None:
    _, w, x, y = block("ChannelSeparatedBottleneck(8, stride=2)", [4, 5, 6, 4])
    inner = x
    for number, (stride, padding, groups) in enumerate([(1, 0, 1), (1, 0, 1), (2, 1, 2), (1, 0, 1)], 1):
        depthwise = number == 3
        key = "separated.depthwise_conv" if depthwise else f"separated.conv_{number - (number > 3)}"
        inner = convolved(inner, w[f"{key}.weight"], stride, padding, groups)
        inner = normalised(inner, w, f"separated.batch_norm_{number}")
        inner = relu(inner) if number in (1, 3) else inner
    shortcut = normalised(convolved(x, w["shortcut.conv.weight"], 2), w, "shortcut.batch_norm")
    np.testing.assert_allclose(y, relu(inner + shortcut))


def test_grouped() -> None:
    _, w, x, y = block("GroupedBottleneck(6, 4, groups=2)", [6, 4, 5])
    inner = relu(normalised(convolved(x, w["grouped.conv_1.weight"]), w, "grouped.batch_norm_1"))
    inner = convolved(inner, w["grouped.conv_2.weight"], 1, 1, 2)
    inner = relu(normalised(inner, w, "grouped.batch_norm_2"))
    inner = normalised(convolved(inner, w["grouped.conv_3.weight"]), w, "grouped.batch_norm_3")
    np.testing.assert_allclose(y, relu(inner + x))
    assert w["grouped.conv_2.weight"].shape == (4, 2, 3, 3)


def test_gated() -> None:
    _, w, x, y = block("GatedConv(2, kernel=3, stride=2, padding=1)", [3, 6, 5])
    made = {
        part: convolved(x, w[f"{part}.conv.weight"], 2, 1) + w[f"{part}.conv.bias"][:, None, None]
        for part in ("feature", "gating")
    }
    feature = np.where(made["feature"] > 0, made["feature"], np.expm1(np.minimum(made["feature"], 0)))
    np.testing.assert_allclose(y, feature * sigmoid(made["gating"]))


@pytest.mark.parametrize("shape", [[4, 6], [4, 3, 5], [4, 2, 3, 2]])
def test_squeeze_and_excitation(shape: list[int]) -> None:
    net, w, x, y = block("SqueezeExcitation(reduction=2)", shape)
    z = x.reshape(4, -1).mean(1)
    reduced = relu(w["scale.reduce.conv.weight"].reshape(2, 4) @ z + w["scale.reduce.conv.bias"])
    s = sigmoid(w["scale.expand.conv.weight"].reshape(4, 2) @ reduced + w["scale.expand.conv.bias"])
    np.testing.assert_allclose(y, x * s.reshape(-1, *[1] * (x.ndim - 1)))
    # He et al. count 2 C^2 / r weights; here there are biases too.
    assert net.report().to_dict()["totals"]["parameters"] == 2 * 4 * 4 // 2 + 2 + 4


def test_max_blur_pool() -> None:
    _, _, x, y = block("MaxBlurPool", [2, 8, 7])
    dense = np.zeros((2, 7, 6))
    for i, j in np.ndindex(7, 6):
        dense[:, i, j] = x[:, i : i + 2, j : j + 2].max((1, 2))
    padded = np.pad(dense, [(0, 0), (1, 1), (1, 1)], mode="reflect")
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    wanted = convolved(padded, np.broadcast_to(blur, (2, 1, 3, 3)), 2, 0, 2)
    np.testing.assert_allclose(y, wanted)


USING = """
import SeparableConv, OuterProductConv, GroupedBottleneck, GatedConv from "blocks.arch"
import SqueezeExcitation, MaxBlurPool from "blocks.arch"
network Using {
  input image: [1, 8, 8]
  GatedConv(8)
  SeparableConv(16)
  MaxBlurPool
  GroupedBottleneck(16, 8, groups=4) -> SqueezeExcitation(reduction=4)
  OuterProductConv(16) -> relu
  global_avg_pool -> flatten -> linear(10)
}
train {
  data = digits
  loss = cross_entropy
  optimizer = adam(lr=0.01)
  batch = 50
  steps = 150
  measurements = 1
}
"""


def test_a_network_of_blocks_is_trained(tmp_path: Path) -> None:
    net = archdsl.loads(USING)
    recipe, found = read_recipe(net.network.train, net.network)
    assert recipe is not None and not found
    result = train(net.network, recipe, tmp_path / "run")
    assert result.measured.test[0] < 0.2
