"""Networks of signals, texts, clips and voxels: what their papers count, and the rest by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from expected import ARCHITECTURES, report

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train


def shapes(file: str, network: str, **parameters: Any) -> dict[str, list[int]]:
    net = archdsl.load(ARCHITECTURES / file, network=network, parameters=parameters)
    return {layer["name"]: layer["shape"] for layer in net.report().to_dict()["layers"]}


def totals(file: str, network: str, **parameters: Any) -> dict[str, int]:
    found = archdsl.load(ARCHITECTURES / file, network=network, parameters=parameters).report().to_dict()
    return {key: found["totals"][key] for key in ("parameters", "macs")}


# ------------------------------------------------------------------------------ signals and texts


def test_limited_weight_sharing_has_filters_for_every_pooling() -> None:
    """The poolings and all that follows are those of full sharing; the filters are fourteen times."""
    filters = 84 * 45 * 8 + 84
    positions = (40 - 8 + 1 - 6) // 2 + 1
    assert positions == 14
    head = 14 * 84 * 1000 + 1000 + 1000 * 1000 + 1000 + 1000 * 183 + 183
    limited, full = (totals("speech_cnn.arch", n) for n in ("SpeechCNN", "SpeechCNNShared"))
    assert limited["parameters"] == 14 * filters + head
    assert full["parameters"] == filters + head
    # Where poolings overlap, limited sharing convolves a band once for each of them.
    assert limited["macs"] - full["macs"] == (14 * 6 - 33) * 84 * 45 * 8


def test_each_section_of_limited_sharing_sees_its_bands() -> None:
    layers = report("speech_cnn.arch", "SpeechCNN")["layers"]
    pools = [layer["receptive_field"] for layer in layers if layer["kind"] == "max_pool"]
    assert [field["size"] for field in pools] == [[8 + 6 - 1]] * 14
    assert [-field["padding"][0] for field in pools] == [2 * section for section in range(14)]
    shared = next(
        layer["receptive_field"]
        for layer in report("speech_cnn.arch", "SpeechCNNShared")["layers"]
        if layer["kind"] == "max_pool"
    )
    assert (shared["size"], shared["stride"], shared["padding"]) == ([13], [2], [0])


@pytest.mark.parametrize(
    ("network", "features", "units"), [("CharCNNLarge", 1024, 2048), ("CharCNNSmall", 256, 1024)]
)
def test_character_networks(network: str, features: int, units: int) -> None:
    lengths = [1014 - 6]
    lengths.append(lengths[0] // 3 - 6)
    for _ in range(4):
        lengths.append((lengths[-1] // 3 if len(lengths) == 2 else lengths[-1]) - 2)
    assert lengths == [1008, 330, 108, 106, 104, 102]
    kernels = [70 * 7, features * 7, *[features * 3] * 4]
    dense = [34 * features * units, units * units, units * 4]
    found = totals("char_cnn.arch", network)
    assert found["macs"] == features * sum(n * k for n, k in zip(lengths, kernels, strict=True)) + sum(dense)
    assert found["parameters"] == features * (sum(kernels) + 6) + sum(dense) + 2 * units + 4
    made = shapes("char_cnn.arch", network)
    convolutions = [made[f"net.conv{i}.conv"] for i in range(1, 7)]
    assert convolutions == [[features, length] for length in lengths]


@pytest.mark.parametrize(("samples", "kernel", "factor", "left"), [(128, 15, 6, 5), (64, 9, 4, 6)])
@pytest.mark.parametrize("channels", [2, 4])
def test_beats_of_both_lengths(samples: int, kernel: int, factor: int, left: int, channels: int) -> None:
    sizes = {"samples": samples, "kernel": kernel, "factor": factor, "channels": channels}
    made = shapes("ecg_cnn.arch", "ECGCNN", **sizes)
    assert made["cnn2.conv"] == [16, left]
    assert left < kernel  # so there is no third layer of convolutions
    first, second = 32 * channels * kernel, 16 * 32 * kernel
    found = totals("ecg_cnn.arch", "ECGCNN", **sizes)
    assert found["parameters"] == first + 32 + second + 16 + 170 + 55
    assert found["macs"] == first * (samples - kernel + 1) + second * left + 160 + 50


def test_adaptive_layers_leave_one_sample_of_a_bearing() -> None:
    length, lengths = 240, []
    for _ in range(3):
        lengths.append(length - 8)
        length = lengths[-1] // 4
    assert length == 1
    made = shapes("bearing_cnn.arch", "BearingCNN")
    assert [made[f"cnn{i}.conv"] for i in (1, 2, 3)] == [
        [neurons, n] for neurons, n in zip([60, 40, 40], lengths, strict=True)
    ]
    convolutions = sum(n * k for n, k in zip(lengths, [60 * 9, 40 * 60 * 9, 40 * 40 * 9], strict=True))
    assert totals("bearing_cnn.arch", "BearingCNN")["macs"] == convolutions + 40 * 20 + 20 * 4


def test_the_layers_for_beats_learn_a_series(tmp_path: Path) -> None:
    """GunPoint, in 150 of the 1,000 steps that its recipe takes."""
    net = archdsl.load(ARCHITECTURES / "ecg_cnn.arch", network="GunPointCNN")
    settings = {"steps": "150", "measurements": "1"}
    recipe, found = read_recipe(net.network.train, net.network, settings, look=True)
    assert recipe is not None, found
    assert train(net.network, recipe, tmp_path / "run").measured.test[0] < 0.4


# ------------------------------------------------------------------------------ clips


def test_actions_as_the_paper_counts_them() -> None:
    """Section 2.2 gives the trainable parameters of every layer."""
    counted: dict[str, int] = {}
    for layer in report("action_cnn3d.arch", "ActionCNN3D")["layers"]:
        name = next((p for p in layer["name"].split(".") if p in ("c2", "s3", "c4", "s5", "c6")), "output")
        counted[name] = counted.get(name, 0) + layer["parameters"]
    assert counted == {"c2": 1_480, "s3": 92, "c4": 3_810, "s5": 156, "c6": 289_536, "output": 384}
    assert counted["c2"] == 5 * 2 * (7 * 7 * 3 + 1)
    assert counted["s3"] == 2 * 2 * (3 * 5 + 2 * 4)
    assert counted["c4"] == 5 * 6 * (7 * 6 * 3 + 1)
    assert counted["s5"] == 2 * 6 * (3 * 3 + 2 * 2)
    assert counted["c6"] == 128 * 78 * (7 * 4 + 1)
    assert sum(counted.values()) == 295_458


def test_clips_of_c3d() -> None:
    """By hand; a last map of 3 x 3 would not make the small network's 17.5 million."""
    channels = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    positions = [16 * 112**2, 16 * 56**2, *[8 * 28**2] * 2, *[4 * 14**2] * 2, *[2 * 7**2] * 2]
    kernels = [27 * a * b for a, b in pairwise(channels)]
    dense = [512 * 16 * 4096, 4096 * 4096, 4096 * 487]
    found = totals("c3d.arch", "C3D")
    assert found["macs"] == sum(k * n for k, n in zip(kernels, positions, strict=True)) + sum(dense)
    assert found["parameters"] == sum(kernels) + sum(channels[1:]) + sum(dense) + 2 * 4096 + 487

    small = totals("c3d.arch", "C3DSmall")["parameters"]
    assert abs(small / 17.5e6 - 1) < 0.005
    assert small - 2048 * 256 * (16 - 9) == 13_774_949
    assert totals("c3d.arch", "C3D", classes=101)["parameters"] == found["parameters"] - 386 * 4097


@pytest.mark.parametrize(("network", "convolutions"), [("R2Plus1D18", 17), ("R2Plus1D34", 33)])
def test_r2plus1d_leaves_the_parameters_alone(network: str, convolutions: int) -> None:
    """Each pair of convolutions has nearly, and at most, the weights of the one in three dimensions."""
    layers = report("r2plus1d.arch", network)["layers"]
    pairs = [
        (one, other)
        for one, other in zip(layers, layers[3:], strict=False)
        if one["name"].endswith(".space") and other["name"].endswith(".time")
    ]
    assert len(pairs) == convolutions - 1
    for one, other in pairs:
        before = one["weights"] // (9 * one["shape"][0])
        whole = 27 * before * other["shape"][0]
        lost = whole - one["weights"] - other["weights"]
        assert 0 <= lost < 9 * before + 3 * other["shape"][0]


def test_residual_clips_as_published() -> None:
    """torchvision's own figures of its r3d_18 and r2plus1d_18: parameters, and 1e9 multiply-accumulates."""
    r3d, r2plus1d = (totals("r2plus1d.arch", n) for n in ("R3D18", "R2Plus1D18Torchvision"))
    assert (r3d["parameters"], round(r3d["macs"] / 1e9, 2)) == (33_371_472, 40.70)
    assert (r2plus1d["parameters"], round(r2plus1d["macs"] / 1e9, 2)) == (31_505_325, 40.52)


def test_torchvision_differs_in_the_units_that_widen() -> None:
    """Their second convolution is as narrow between space and time as the first: three units, and no more."""
    mine, theirs = (totals("r2plus1d.arch", n) for n in ("R2Plus1D18", "R2Plus1D18Torchvision"))
    less = 0
    for before, after in [(64, 128), (128, 256), (256, 512)]:
        first = 27 * before * after // (9 * before + 3 * after)
        second = 27 * after * after // (9 * after + 3 * after)
        less += (second - first) * (9 * after + 2 + 3 * after)  # 2: the normalisation between
    assert mine["parameters"] - theirs["parameters"] == less


# ------------------------------------------------------------------------------ voxels


@pytest.mark.parametrize(("classes", "parameters"), [(40, 921_736), (10, 917_866)])
def test_voxnet(classes: int, parameters: int) -> None:
    found = totals("voxnet.arch", "VoxNet", classes=classes)
    assert found["parameters"] == parameters
    assert found["macs"] == 32 * 125 * 14**3 + 32 * 32 * 27 * 12**3 + 128 * 32 * 6**3 + 128 * classes
    dense = 128 * 32 * 6**3 + 128
    assert dense / parameters > 0.95  # the paper: most of them lead into the dense layer


def test_shapenets() -> None:
    kernels = [48 * 6**3, 160 * 48 * 5**3, 512 * 160 * 4**3]
    dense = [1200 * 512 * 2**3, 40 * 1200]
    found = totals("shapenets.arch", "ShapeNets3D")
    assert found["parameters"] == sum(kernels) + sum(dense) + 48 + 160 + 512 + 1200 + 40
    assert found["macs"] == sum(k * n**3 for k, n in zip(kernels, [13, 5, 2], strict=True)) + sum(dense)
