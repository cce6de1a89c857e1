"""Poolings of regions, against their definitions as plain loops over regions, bins and samples."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from layer_harness import Lowered, Tensor, check_saved, check_weights, macs, make
from standalone import Standalone, compare

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.layers import Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach
from archdsl.lowering.onnx import export
from archdsl.problems import Fault
from archdsl.sizes import symbol
from archdsl.training.trained import Trained

KINDS = ["roi_max_pool", "roi_align"]
BOTH = pytest.mark.parametrize("kind", KINDS)


def layer_of(kind: str, **arguments: Any) -> Layer:
    """The layer; which value its regions are is told by what it is called on."""
    return make(kind, regions="label", **arguments)


def lowered(kind: str, x: tuple[int, ...], count: int, **arguments: Any) -> Lowered:
    shapes = Shape(x), Shape((2 * (len(x) - 1), count))
    return Lowered(layer_of(kind, **arguments), *shapes).double()


def drawn(x: tuple[int, ...], count: int, scale: float, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Features, and regions of every kind: inside and outside, turned round, thin, larger than the map."""
    torch.manual_seed(3)
    extents = torch.tensor(x[:0:-1], dtype=torch.float64).repeat(2)[None, :, None] / scale
    regions = (torch.rand(batch, 2 * (len(x) - 1), count, dtype=torch.float64) * 1.6 - 0.3) * extents
    regions[:, :, 0] = torch.tensor([0.0, 0.99]).repeat_interleave(len(x) - 1) * extents[0, :, 0]
    regions[:, :, 1] = torch.tensor([-3.0, 4.0]).repeat_interleave(len(x) - 1) * extents[0, :, 0]
    regions[:, :, 2] = 0.5 * extents[0, :, 0]
    return torch.randn(batch, *x, dtype=torch.float64), regions


# ------------------------------------------------------------------------------ references


def max_pool_loops(x: Any, regions: Any, size: tuple[int, ...], scale: float) -> Any:
    axes = x.ndim - 1
    y = np.zeros((len(x), regions.shape[1], *size))
    for r in range(regions.shape[1]):
        for cell in itertools.product(*map(range, size)):
            inside = []
            for axis in range(axes):
                # The corners have x before y, and the map height before width.
                first, last = (
                    math.floor(regions[axes - 1 - axis + side, r] * scale + 0.5) for side in (0, axes)
                )
                extent = max(last - first + 1, 1)
                start = first + math.floor(Fraction(cell[axis] * extent, size[axis]))
                end = first + math.ceil(Fraction((cell[axis] + 1) * extent, size[axis]))
                inside.append([k for k in range(start, end) if 0 <= k < x.shape[axis + 1]])
            for c in range(len(x)):
                found = [x[(c, *place)] for place in itertools.product(*inside)]
                y[(c, r, *cell)] = max(found) if found else 0
    return y


def interpolated(x: Any, place: tuple[float, ...]) -> Any:
    """All channels at a place between samples."""
    if any(p < -1 or p > n for p, n in zip(place, x.shape[1:], strict=True)):
        return np.zeros(len(x))
    value = np.zeros(len(x))
    place = tuple(min(max(p, 0), n - 1) for p, n in zip(place, x.shape[1:], strict=True))
    for corner in itertools.product((0, 1), repeat=len(place)):
        weight = math.prod(1 - abs(p - (math.floor(p) + k)) for p, k in zip(place, corner, strict=True))
        if weight > 0:
            value += (
                weight * x[(slice(None), *(math.floor(p) + k for p, k in zip(place, corner, strict=True)))]
            )
    return value


def align_loops(
    x: Any, regions: Any, size: tuple[int, ...], scale: float, samples: int = 2, aligned: bool = False
) -> Any:
    axes = x.ndim - 1
    y = np.zeros((len(x), regions.shape[1], *size))
    for r in range(regions.shape[1]):
        for cell in itertools.product(*map(range, size)):
            for sample in itertools.product(range(samples), repeat=axes):
                place = []
                for axis in range(axes):
                    start, end = (
                        regions[axes - 1 - axis + side, r] * scale - (0.5 if aligned else 0)
                        for side in (0, axes)
                    )
                    extent = end - start if aligned else max(end - start, 1)
                    step = cell[axis] + (sample[axis] + 0.5) / samples
                    place.append(start + step * extent / size[axis])
                y[(slice(None), r, *cell)] += interpolated(x, tuple(place)) / samples**axes
    return y


REFERENCES = {"roi_max_pool": max_pool_loops, "roi_align": align_loops}

CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("roi_max_pool", (2, 9, 12), {"size": 7, "scale": 1 / 16}),
    ("roi_max_pool", (3, 17, 8), {"size": [2, 3], "scale": 0.5}),
    ("roi_max_pool", (1, 1, 33), {"size": [1, 4], "scale": 1}),
    ("roi_max_pool", (2, 20), {"size": 3, "scale": 1 / 4}),
    ("roi_align", (2, 9, 12), {"size": 7, "scale": 1 / 16}),
    ("roi_align", (3, 7, 8), {"size": [2, 3], "scale": 0.5, "samples": 3}),
    ("roi_align", (2, 1, 5), {"size": 2, "scale": 1, "samples": 1, "aligned": True}),
    ("roi_align", (2, 20), {"size": 3, "scale": 1 / 4, "aligned": True}),
]
EVERY = pytest.mark.parametrize(("kind", "x", "arguments"), CASES)
COUNT = 12


def written_out(kind: str, x: tuple[int, ...], arguments: dict[str, Any]) -> dict[str, Any]:
    size = arguments["size"]
    return {**arguments, "size": tuple(size) if isinstance(size, list) else (size,) * (len(x) - 1)}


@EVERY
def test_it_is_its_definition_as_loops(kind: str, x: tuple[int, ...], arguments: dict[str, Any]) -> None:
    values, regions = drawn(x, COUNT, arguments["scale"])
    y = lowered(kind, x, COUNT, **arguments)(values, regions)
    layer = layer_of(kind, **arguments)
    assert tuple(y.shape[1:]) == layer.shape(Shape(x), Shape((2 * (len(x) - 1), COUNT)))
    for i in range(2):
        wanted = REFERENCES[kind](values[i].numpy(), regions[i].numpy(), **written_out(kind, x, arguments))
        assert np.allclose(y[i].numpy(), wanted, atol=1e-9)
    # All kinds of regions are met: some bins are empty, and most are not.
    assert 0 < (y == 0).sum() < y.numel() / 2 or kind == "roi_align"


def test_bins_of_a_region_by_hand() -> None:
    """The 3 x 4 samples from (1, 1) to (4, 3), in 2 x 2 bins of 2 x 2 samples: rows 1 and 2, then 2 and 3."""
    x = torch.arange(30.0).reshape(1, 1, 5, 6)
    regions = torch.tensor([[[16.0], [16.0], [64.0], [48.0]]])
    y = Lowered(layer_of("roi_max_pool", size=2), Shape((1, 5, 6)), Shape((4, 1)))(x, regions)
    assert y.tolist() == [[[[[14, 16], [20, 22]]]]]
    # Halves are rounded up: 24/16 is sample 2, and 40/16 sample 3.
    regions = torch.tensor([[[24.0], [24.0], [40.0], [40.0]]])
    y = Lowered(layer_of("roi_max_pool", size=1), Shape((1, 5, 6)), Shape((4, 1)))(x, regions)
    assert y.item() == 3 * 6 + 3
    # A region of one sample fills the whole grid.
    regions = torch.tensor([[[32.0], [32.0], [32.0], [32.0]]])
    y = Lowered(layer_of("roi_max_pool", size=3), Shape((1, 5, 6)), Shape((4, 1)))(x, regions)
    assert y.unique().tolist() == [14]


def test_a_whole_map_is_pooled_as_an_adaptive_pooling_does() -> None:
    x = torch.randn(2, 3, 11, 14)
    regions = torch.tensor([0.0, 0.0, 13.0, 10.0]).reshape(1, 4, 1).repeat(2, 1, 1)
    y = Lowered(layer_of("roi_max_pool", size=[4, 5], scale=1), Shape((3, 11, 14)), Shape((4, 1)))(x, regions)
    assert torch.equal(y[:, :, 0], torch.nn.functional.adaptive_max_pool2d(x, (4, 5)))


def test_an_aligned_grid_as_large_as_the_map_is_the_map() -> None:
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    regions = torch.tensor([0.0, 0.0, 8.0, 6.0]).double().reshape(1, 4, 1).repeat(2, 1, 1)
    module = lowered("roi_align", (3, 6, 8), 1, size=[6, 8], scale=1, samples=1, aligned=True)
    assert torch.allclose(module(x, regions)[:, :, 0], x)
    late = lowered("roi_align", (3, 6, 8), 1, size=[6, 8], scale=1, samples=1)
    assert not torch.allclose(late(x, regions)[:, :, 0], x, atol=0.1)


def by_onnxruntime(operator: str, x: Tensor, regions: Tensor, **attributes: Any) -> Any:
    """What onnxruntime makes of the regions of a single example: [R, C, size, size]."""
    rows = regions[0].T.numpy()
    inputs = {"x": x.numpy(), "rois": rows}
    if operator == "MaxRoiPool":
        inputs["rois"] = np.concatenate([np.zeros((len(rows), 1), np.float32), rows], 1)
    else:
        inputs["batch"] = np.zeros(len(rows), np.int64)
    types = {name: onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in inputs.items()}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, list(inputs), ["y"], **attributes)],
        "regions",
        [onnx.helper.make_tensor_value_info(n, types[n], list(v.shape)) for n, v in inputs.items()],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    opset = onnx.helper.make_opsetid("", 16)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    return y


def inside(count: int, width: float, height: float) -> Tensor:
    """Boxes within an image."""
    torch.manual_seed(5)
    corners = torch.rand(2, 2, count).sort(0).values * torch.tensor([width, height])[:, None]
    return corners.flatten(0, 1)[None]


def test_max_pooling_is_that_of_onnxruntime() -> None:
    x, regions = torch.randn(1, 3, 17, 23), inside(40, 23 * 16 - 9, 17 * 16 - 9)
    y = Lowered(layer_of("roi_max_pool"), Shape((3, 17, 23)), Shape((4, 40)))(x, regions)
    wanted = by_onnxruntime("MaxRoiPool", x, regions, pooled_shape=[7, 7], spatial_scale=1 / 16)
    assert np.array_equal(y[0].movedim(1, 0).numpy(), wanted)


@pytest.mark.parametrize("aligned", [False, True])
def test_alignment_is_that_of_onnxruntime(aligned: bool) -> None:
    x, regions = torch.randn(1, 3, 17, 23), inside(40, 23 * 8, 17 * 8)
    layer = layer_of("roi_align", size=[5, 4], scale=1 / 8, samples=3, aligned=aligned)
    y = Lowered(layer, Shape((3, 17, 23)), Shape((4, 40)))(x, regions)
    wanted = by_onnxruntime(
        "RoiAlign",
        x,
        regions,
        output_height=5,
        output_width=4,
        sampling_ratio=3,
        spatial_scale=1 / 8,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )
    assert np.allclose(y[0].movedim(1, 0).numpy(), wanted, atol=1e-4)


# ------------------------------------------------------------------------------ rules


@EVERY
def test_weights_costs_and_what_is_kept(kind: str, x: tuple[int, ...], arguments: dict[str, Any]) -> None:
    layer, shapes = layer_of(kind, **arguments), (Shape(x), Shape((2 * (len(x) - 1), COUNT)))
    module = Lowered(layer, *shapes)
    values, regions = drawn(x, COUNT, arguments["scale"], batch=3)
    check_weights(layer, module.module, *shapes)
    assert layer.macs(*shapes) == 0 == macs(module, values.float(), regions.float())
    check_saved(layer, module, values, regions)
    assert layer.reads(*shapes) == (Reach.CHOSEN, Reach.MIXED)


def test_operations_by_hand() -> None:
    image, signal = (Shape((5, 6, 7)), Shape((4, 10))), (Shape((5, 6)), Shape((2, 10)))
    assert layer_of("roi_max_pool", size=3).flops(*image) == 10 * 5 * 42
    assert layer_of("roi_max_pool", size=3).flops(*signal) == 10 * 5 * 6
    # 4 products, 3 sums and 1 for the mean of each of 9 * 4 places; of a signal 2, 1 and 1 of 3 * 2 places.
    assert layer_of("roi_align", size=3).flops(*image) == 10 * 5 * 36 * 8
    assert layer_of("roi_align", size=3).flops(*signal) == 10 * 5 * 6 * 4
    assert layer_of("roi_align", size=[3, 2], samples=3).flops(*image) == 10 * 5 * 54 * 8


@BOTH
def test_gradients_are_those_of_differences(kind: str) -> None:
    x, regions = drawn((2, 6, 7), 5, 0.5)
    module = lowered(kind, (2, 6, 7), 5, size=3, scale=0.5)
    assert torch.autograd.gradcheck(lambda x: module(x, regions), (x.requires_grad_(),))
    regions.requires_grad_()
    module(x, regions).sum().backward()
    assert regions.grad is None and x.grad.any()


@BOTH
def test_a_region_sees_its_samples_and_no_others(kind: str) -> None:
    """Of a region from (2, 3) to (5, 6), samples 2 to 5 and 3 to 6; interpolation reads none further out."""
    module = lowered(kind, (1, 9, 9), 1, size=2, scale=1)
    regions = torch.tensor([2.0, 3.0, 5.0, 6.0]).double().reshape(1, 4, 1)
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    seen = torch.zeros(9, 9, dtype=torch.bool)
    for i, j in itertools.product(range(9), repeat=2):
        one = x.clone()
        one[..., i, j] = 1
        seen[i, j] = module(one, regions).any()
    wanted = torch.zeros(9, 9, dtype=torch.bool)
    wanted[3:7, 2:6] = True
    assert torch.equal(seen, wanted)


@BOTH
def test_a_map_and_its_regions_that_move_together_give_the_same(kind: str) -> None:
    module = lowered(kind, (2, 12, 12), 3, size=3, scale=1 / 4)
    x = torch.zeros(1, 2, 12, 12, dtype=torch.float64)
    x[..., 1:7, 1:7] = torch.randn(2, 6, 6)
    regions = torch.tensor(
        [[4.0, 8.0, 9.3], [4.0, 5.0, 6.0], [20.0, 16.0, 23.0], [16.0, 20.0, 17.5]]
    ).double()
    still = module(x, regions[None])
    moved = module(x.roll((4, 3), (2, 3)), (regions + torch.tensor([12.0, 16.0] * 2)[:, None])[None])
    assert torch.allclose(moved, still, atol=1e-12)
    assert not torch.allclose(module(x.roll((4, 3), (2, 3)), regions[None]), still, atol=0.1)


@BOTH
def test_regions_and_examples_do_not_touch_each_other(kind: str) -> None:
    x, regions = drawn((2, 9, 8), 6, 1, batch=3)
    module = lowered(kind, (2, 9, 8), 6, size=2, scale=1)
    y = module(x, regions)
    order = [3, 0, 5, 1, 4, 2]
    assert torch.equal(module(x, regions[:, :, order]), y[:, :, order])
    assert torch.equal(module(x[1:2], regions[1:2]), y[1:2])


# ------------------------------------------------------------------------------ what does not fit

WRONG = [
    ((10,), (4, 5), (0,), "works along spatial axes, and [10] is a vector"),
    ((1, 6, 6, 6), (4, 5), (0,), "adds an axis for the regions, and [1, 6, 6, 6] has three already"),
    ((1, 6, 6), (5, 4), (0, 1), "of [1, 6, 6] needs regions of [4, R], not [5, 4]"),
    ((1, 6, 6), (4,), (0, 1), "of [1, 6, 6] needs regions of [4, R], not [4]"),
    ((1, 6, 6), (4, 5, 2), (0, 1), "of [1, 6, 6] needs regions of [4, R], not [4, 5, 2]"),
    ((1, 6), (4, 5), (0, 1), "of [1, 6] needs regions of [2, R], not [4, 5]"),
]


@BOTH
@pytest.mark.parametrize(("x", "regions", "which", "message"), WRONG)
def test_what_does_not_fit_is_said(
    kind: str, x: tuple[int, ...], regions: tuple[int, ...], which: tuple[int, ...], message: str
) -> None:
    with pytest.raises(Fault) as caught:
        layer_of(kind).shape(Shape(x), Shape(regions))
    assert (caught.value.inputs, caught.value.problem.message()) == (which, f"`{kind}` {message}")


@BOTH
def test_a_grid_has_an_extent_for_each_axis(kind: str) -> None:
    with pytest.raises(Fault, match="size") as caught:
        layer_of(kind, size=[7, 7]).shape(Shape((1, 20)), Shape((2, 5)))
    assert caught.value.argument == "size"
    for wrong in ({"size": 0}, {"scale": 0}, {"scale": -1}):
        with pytest.raises(AssertionError, match="is refused"):
            layer_of(kind, **wrong)


@BOTH
def test_open_sizes(kind: str) -> None:
    h, r = symbol("H"), symbol("R")
    layer = layer_of(kind, size=3)
    assert layer.shape(Shape((2, h, 8)), Shape((4, r))) == (2, r, 3, 3)
    assert layer.doubts(Shape((2, h, 8)), Shape((4, r))) == ()
    assert layer.flops(Shape((2, h, 8)), Shape((4, r))) == (16 * h * r if kind == "roi_max_pool" else 576 * r)
    (doubt,) = layer.doubts(Shape((2, 8, 8)), Shape((r, 5)))
    assert doubt.message() == f"`{kind}` may not fit: whether channels R is 4 depends on R"
    text = (
        f"network Open {{\n input x: [2, H, W]\n input r: [4, R]\n from x -> {kind}(r, size=2, scale=1)\n}}"
    )
    model = archdsl.loads(text).build().double()
    for height, width, count in ((5, 9, 4), (8, 3, 7)):
        x, regions = drawn((2, height, width), count, 1)
        assert torch.equal(
            model(x, regions), lowered(kind, (2, height, width), count, size=2, scale=1)(x, regions)
        )


# ------------------------------------------------------------------------------ whole networks

NETWORK = """
network Regions(kind = {layer}) {{
  input image: [1, 8, 8]
  regions: global_avg_pool -> flatten -> linear(4 * 12) -> reshape([4, 12])
  from image -> conv(16, kernel=3, padding=1) -> relu
  pooled: {layer}(regions, size=2, scale=6)
  hidden: conv(8, kernel=[1, 2, 2]) -> relu
  flatten
  logits: linear(10)
}}

train {{
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.02)
  batch        = 50
  steps        = 50
  measurements = 1
  metrics      = [error]
}}
"""


def network(kind: str) -> str:
    return NETWORK.format(layer=kind).replace(f"(kind = {kind})", "")


@BOTH
def test_a_network_of_random_regions_learns_digits(kind: str, tmp_path: Path) -> None:
    (tmp_path / "regions.arch").write_text(network(kind))
    arguments = ["train", str(tmp_path / "regions.arch"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert Trained(tmp_path / "run").score().metrics["error"] < 0.4


def test_fully_connected_layers_of_regions_have_the_weights_of_linear_ones() -> None:
    """A shared fully connected layer is a convolution over the grid: each region by itself."""
    net = archdsl.loads(
        "network Heads {\n input x: [6, 20, 20]\n input r: [4, 9]\n"
        " from x -> roi_max_pool(r, size=5, scale=1)\n"
        " fc6: conv(32, kernel=[1, 5, 5]) -> relu\n scores: conv(3, kernel=1) -> reshape([3, 9])\n}"
    )
    assert net.report().to_dict()["totals"]["parameters"] == 6 * 25 * 32 + 32 + 32 * 3 + 3
    model = net.build().double()
    x, regions = drawn((6, 20, 20), 9, 1)
    pooled = lowered("roi_max_pool", (6, 20, 20), 9, size=5, scale=1)(x, regions)
    weights = dict(model.named_parameters())
    features = pooled.movedim(2, 1).flatten(2)
    hidden = torch.relu(features @ weights["fc6.conv.weight"].flatten(1).T + weights["fc6.conv.bias"])
    scores = hidden @ weights["scores.conv.weight"].flatten(1).T + weights["scores.conv.bias"]
    assert torch.allclose(model(x, regions), scores.movedim(2, 1))


@BOTH
def test_exported_source_runs_alone(kind: str, worker: Standalone) -> None:
    compare(archdsl.loads(network(kind)), worker)
    body = f"from x -> {kind}(r, size=3, scale=1/2) -> conv(4, kernel=2)"
    compare(archdsl.loads(f"network Small {{\ninput x: [3, 15]\ninput r: [2, 7]\n{body}\n}}"), worker)


@BOTH
def test_it_has_an_onnx_graph(kind: str, tmp_path: Path) -> None:
    text = f"network Two {{\n input x: [2, 2, 3]\n input r: [4, 6]\n from x -> {kind}(r, size=3, scale=1)\n}}"
    net = archdsl.loads(text)
    assert export(net.network, net.build().eval(), tmp_path / "net.onnx") < 1e-4


def test_a_field_of_regions_is_said_to_be_anywhere() -> None:
    body = "from x -> roi_align(r) -> conv(2, kernel=1)"
    text = f"network Two {{\n input x: [2, 9, 8]\n input r: [4, 6]\n {body}\n}}"
    layer = archdsl.loads(text).report().to_dict()["layers"][-1]
    assert layer["receptive_field"]["x"]["global"] and layer["receptive_field"]["x"]["at_most"]
    assert layer["receptive_field"]["r"]["global"]
