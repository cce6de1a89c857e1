"""Networks that detect objects: their parts by hand, and what was published of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from expected import ARCHITECTURES, report

import archdsl


def conv(channels: int, inputs: int, kernel: int = 1, bias: bool = True) -> int:
    """The parameters of a convolution of square kernels."""
    return channels * (inputs * kernel**2 + bias)


def normalised(channels: int, inputs: int, kernel: int = 1) -> int:
    """The parameters of a convolution with batch normalisation."""
    return conv(channels, inputs, kernel, bias=False) + 2 * channels


def of(layers: list[dict[str, Any]], *starts: str, what: str = "parameters") -> int:
    """A figure of all layers whose names begin with one of these."""
    return sum(layer[what] for layer in layers if layer["name"].startswith(starts))


def normalisations(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of torchvision's detectors are frozen, and so not among its parameters."""
    return [layer for layer in layers if layer["kind"] == "batch_norm"]


@cache
def layers_with(file: str, network: str, **parameters: Any) -> list[dict[str, Any]]:
    net = archdsl.load(ARCHITECTURES / file, network=network, parameters=parameters)
    return list(net.report().to_dict()["layers"])


# ------------------------------------------------------------------------------ YOLO


def test_fast_yolo_by_hand() -> None:
    """9 convolutions (Section 2.1), with the filters of cfg/yolo-tiny.cfg."""
    channels = [3, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
    pairs = list(zip(channels[1:], channels, strict=False))
    made = [layer for layer in report("yolo.arch", "FastYOLO")["layers"] if layer["kind"] == "conv"]
    assert [layer["parameters"] for layer in made] == [conv(a, b, 3) for a, b in pairs]
    extents = [448, 224, 112, 56, 28, 14, 7, 7, 7]
    assert [layer["shape"] for layer in made] == [[a, n, n] for (a, _), n in zip(pairs, extents, strict=True)]
    linear = 256 * (7 * 7 * 1024 + 1) + 4096 * 257 + 1470 * 4097
    assert report("yolo.arch", "FastYOLO")["totals"]["parameters"] == linear + sum(
        conv(a, b, 3) for a, b in pairs
    )


def test_yolo_on_another_grid_has_other_outputs_alone() -> None:
    """S x S x (5 B + C) numbers of images 64 S wide: Section 2."""
    layers = layers_with("yolo.arch", "YOLO", grid=3, boxes=1, classes=4)
    assert layers[0]["shape"] == [64, 96, 96]
    assert layers[-1]["shape"] == [9, 3, 3]
    assert of(layers, "column") == of(report("yolo.arch", "YOLO")["layers"], "column")


# ------------------------------------------------------------------------------ YOLOv7


def test_parts_of_yolov7_as_its_authors_program_prints_them() -> None:
    """Of cfg/deploy/yolov7.yaml, unfused: issue 504 of WongKinYiu/yolov7."""
    layers = report("yolov7.arch", "YOLOv7Training")["layers"]
    first = [layer for layer in layers if layer["name"].startswith("backbone.stem.")]
    assert of(first, "backbone.stem.Conv_1") == 928
    assert of(first, "backbone.stem.Conv_2") == 18_560
    assert of(first, "backbone.stem.Conv_3") == 36_992
    assert of(layers, "backbone.c2.Conv_1") == 73_984
    assert of(layers, "backbone.c2.ELAN_1.cross") == of(layers, "backbone.c2.ELAN_1.first") == 8_320
    assert of(layers, "head.top") == 7_609_344
    assert of(layers, "head.middle.above") == 131_584
    assert of(layers, "head.middle.ELANHead_1.next_1") == 295_168
    assert of(layers, "head.middle.ELANHead_1.next_4") == 147_712
    implicit = 256 + 512 + 1024 + 3 * 255
    totals = report("yolov7.arch", "YOLOv7Training")["totals"]
    assert totals["parameters"] - implicit == 37_620_125


def test_yolov7_of_one_class_as_its_authors_program_prints_it() -> None:
    """`Model Summary: 415 layers, 37196556 parameters`: issue 256 of WongKinYiu/yolov7."""
    layers = layers_with("yolov7.arch", "YOLOv7Training", classes=1)
    assert sum(layer["parameters"] for layer in layers) == 37_196_556


def test_yolov7_fused_is_what_was_trained_without_what_is_taken_in() -> None:
    """A normalisation's two numbers a channel become a bias; RepConv's 1 x 1 and what is implicit go."""
    trained, used = (report("yolov7.arch", n)["layers"] for n in ("YOLOv7Training", "YOLOv7"))
    shifts = sum(layer["biases"] for layer in trained if layer["kind"] == "batch_norm")
    ends = [(256, 128), (512, 256), (1024, 512)]
    gone = shifts + sum(conv(a, b, bias=False) + a for a, b in ends)
    gone += sum(a for a, _ in ends) + 3 * 255
    assert sum(x["parameters"] for x in trained) - gone == sum(x["parameters"] for x in used)
    # Its program prints 104.5 GFLOPS, two for each multiplication and addition.
    assert round(2 * report("yolov7.arch", "YOLOv7")["totals"]["macs"] / 1e9, 1) == 104.5
    apart = sum(conv(a, b, bias=False) * n * n for (a, b), n in zip(ends, (80, 40, 20), strict=True))
    assert sum(x["macs"] for x in trained) - sum(x["macs"] for x in used) == apart


# ------------------------------------------------------------------------------ regions with a CNN each


def test_parts_of_rcnn_by_hand() -> None:
    layers = report("rcnn.arch", "RCNN")["layers"]
    convolutions = [(96, 3, 11), (256, 48, 5), (384, 256, 3), (384, 192, 3), (256, 192, 3)]
    assert of(layers, "cnn.conv") == sum(conv(*shape) for shape in convolutions)
    assert of(layers, "cnn.fc6") == 4096 * 9217
    assert of(layers, "scores") == 20 * 4097
    assert of(layers, "boxes") == 80 * 9217
    # Section 3.2: fc7 has 16.8 million parameters, 29 % of the fine-tuned CNN's.
    fine = report("rcnn.arch", "RCNNFineTuning")
    assert of(fine["layers"], "cnn.fc7") == 4096 * 4097
    assert round(4096 * 4097 / 1e6, 1) == 16.8
    assert round(100 * 4096 * 4097 / fine["totals"]["parameters"]) == 29
    assert of(fine["layers"], "cnn") + 21 * 4097 == fine["totals"]["parameters"]


def test_rcnn_is_the_grouped_alexnet_with_other_ends() -> None:
    """At 227 pixels, as at 224 with two of padding, 55 positions are left of the first convolution."""
    alexnet = report("alexnet_grouped.arch", "AlexNetGrouped")["totals"]
    fine = report("rcnn.arch", "RCNNFineTuning")["totals"]
    assert alexnet["parameters"] - fine["parameters"] == (1000 - 21) * 4097
    assert alexnet["macs"] - fine["macs"] == (1000 - 21) * 4096


# ------------------------------------------------------------------------------ regions of one map

VGG = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256)]
VGG += [(512, 256), (512, 512), (512, 512), (512, 512), (512, 512), (512, 512)]


@pytest.mark.parametrize(
    ("file", "network", "head", "count"),
    [("fast_rcnn.arch", "FastRCNN", "head", 2000), ("faster_rcnn.arch", "FasterRCNN", "detector", 300)],
)
def test_parts_of_fast_rcnn_by_hand(file: str, network: str, head: str, count: int) -> None:
    """What convolutions over regions cost is what fully connected layers would, a region each."""
    layers = report(file, network)["layers"]
    assert of(layers, "features") == sum(conv(a, b, 3) for a, b in VGG)
    connected = [512 * 49 * 4096, 4096 * 4096, 21 * 4096, 84 * 4096]
    assert of(layers, f"{head}.") == sum(connected) + 2 * 4096 + 21 + 84
    assert of(layers, f"{head}.", what="macs") == count * sum(connected)
    # The fully connected layers are those of VGG-16.
    vgg = report("vgg.arch", "VGG16")["layers"]
    for name in ("fc6", "fc7"):
        assert of(layers, f"{head}.{name}") == of(vgg, f"classifier.{name}")


def test_the_proposals_of_faster_rcnn_as_published() -> None:
    """Section 3.1.1 of arXiv:1506.01497v3 counts weights: 2.8e4, and with the 3 x 3 convolution 2.4e6."""
    layers = report("faster_rcnn.arch", "FasterRCNN")["layers"]
    outputs = of(layers, "rpn.scores", "rpn.boxes", what="weights")
    assert outputs == 512 * (4 + 2) * 9
    assert round(outputs / 1e4, 1) == 2.8
    hidden = of(layers, "rpn.hidden", what="weights")
    assert hidden == 3 * 3 * 512 * 512
    assert round((hidden + outputs) / 1e6, 1) == 2.4
    # About 2,400 positions, and so about 20,000 anchors, on an image of 600 x 1000.
    (scores,) = (layer for layer in layers if layer["name"] == "rpn.scores")
    assert 9 * scores["shape"][1] * scores["shape"][2] == 9 * 2394


# ------------------------------------------------------------------------------ pyramids


def test_parts_of_fpn_by_hand() -> None:
    layers = report("fpn.arch", "FPN")["layers"]
    resnet = report("resnet.arch", "ResNet50")
    head = sum(layer["parameters"] for layer in resnet["layers"] if layer["name"].startswith("head"))
    assert of(layers, "fpn.c") == resnet["totals"]["parameters"] - head
    assert of(layers, "fpn.m") == sum(conv(256, n) for n in (256, 512, 1024, 2048))
    assert of(layers, "fpn.p") == 4 * conv(256, 256, 3)
    assert of(layers, "rpn") == conv(256, 256, 3) + conv(6, 256) + conv(12, 256)
    positions = 200**2 + 100**2 + 50**2 + 25**2 + 13**2
    assert of(layers, "rpn", what="macs") == positions * (9 * 256 * 256 + 18 * 256)


def test_fpn_has_the_parts_of_torchvisions() -> None:
    """41,755,286: of fasterrcnn_resnet50_fpn with 91 classes, one score an anchor, normalisation frozen."""
    layers = layers_with("fpn.arch", "FPNDetector", classes=90)
    frozen = of(normalisations(layers), "")
    proposals = conv(256, 256, 3) + conv(3, 256) + conv(12, 256)
    assert sum(layer["parameters"] for layer in layers) - frozen + proposals == 41_755_286


def test_one_head_serves_the_regions_of_all_levels() -> None:
    layers = report("fpn.arch", "FPNDetector")["layers"]
    pooled = [layer for layer in layers if layer["kind"] == "roi_max_pool"]
    assert [layer["shape"] for layer in pooled] == [[256, 250, 7, 7]] * 4
    connected = [256 * 49 * 1024, 1024 * 1024, 81 * 1024, 324 * 1024]
    assert of(layers, "head.", what="macs") == 1000 * sum(connected)


def test_mask_rcnn_has_the_parts_of_torchvisions() -> None:
    """44,401,393: of maskrcnn_resnet50_fpn, whose masks have the background as their 91st class."""
    layers = layers_with("mask_rcnn.arch", "MaskRCNN", classes=90)
    frozen = of(normalisations(layers), "")
    proposals = conv(256, 256, 3) + conv(3, 256) + conv(12, 256)
    assert sum(layer["parameters"] for layer in layers) - frozen + proposals + conv(1, 256) == 44_401_393


def test_parts_of_the_mask_head_by_hand() -> None:
    """What is convolved over all regions at once costs what it costs region by region."""
    layers = report("mask_rcnn.arch", "MaskRCNN")["layers"]
    upsampling = 256 * 256 * 4
    assert of(layers, "masks.") == 4 * conv(256, 256, 3) + upsampling + 256 + conv(80, 256)
    each = 4 * 14 * 14 * 9 * 256 * 256 + 14 * 14 * upsampling + 28 * 28 * 256 * 80
    assert of(layers, "masks.", what="macs") == 512 * each
    aligned = [layer["shape"] for layer in layers if layer["kind"] == "roi_align"]
    assert aligned == [[256, 128, 7, 7], [256, 128, 14, 14]] * 4
