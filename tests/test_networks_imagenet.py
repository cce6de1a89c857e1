"""Networks for ImageNet: other libraries' layers, and what the papers say that a file can't expect."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from expected import MODELS, oracle, report
from test_translated_networks import (
    BATCH_NORMS,
    Leaf,
    inception,
    leaf,
    leaves_of_ours,
    leaves_of_theirs,
)

KINDS = {"batchnorm": "batch_norm", "maxpool": "max_pool", "adaptive_avgpool": "global_avg_pool"}

Layers = list[dict[str, Any]]


def layers_of(file: str, network: str) -> Layers:
    layers: Layers = report(file, network)["layers"]
    return layers


def under(layers: Layers, *labels: str) -> Layers:
    """The layers of a label, of all levels of it."""
    return [layer for layer in layers if any(layer["name"].startswith(f"{label}.") for label in labels)]


def total(layers: Layers, figure: str = "parameters") -> int:
    return sum(layer[figure] for layer in layers)


# ------------------------------------------------------------------------------ layers of other libraries


@pytest.mark.parametrize(
    ("file", "network", "reference"),
    [
        ("inception.arch", "InceptionV3", "inception_v3"),
        ("inception_v4.arch", "InceptionV4", "inception_v4"),
    ],
)
def test_layers_are_those_of_timm(file: str, network: str, reference: str) -> None:
    """Shapes and parameters, but of what timm computes without a module: normalisations, v3's poolings."""
    row = next(row for row in oracle("leaves") if (row["lib"], row["ref"]) == ("timm", reference))
    assert report(file, network)["inputs"][0]["shape"] == row["input"]
    assert reference in BATCH_NORMS
    seen = [layer for layer in without_auxiliary(file, network) if layer["kind"] != "batch_norm"]
    if reference == "inception_v3":
        pools = [x["name"] for x in seen if x["kind"] in ("max_pool", "avg_pool")]
        hidden = {name for name in pools if not name.startswith("pool_")}
        seen = [layer for layer in seen if layer["name"] not in hidden]
        assert (len(pools), len(hidden)) == (13, 11)
    assert leaves_of_ours(seen) == leaves_of_theirs(row)


def without_auxiliary(file: str, network: str) -> Layers:
    return [layer for layer in layers_of(file, network) if not layer["name"].startswith("auxiliary.")]


@pytest.mark.parametrize(
    ("network", "plain"), [("SEResNet50", "resnet50_v1_original"), ("SEResNeXt50", "resnet50")]
)
def test_without_its_gates_a_squeeze_and_excitation_network_is_a_residual_one(
    network: str, plain: str
) -> None:
    """Of SE-ResNeXt the layers outside its bottlenecks, and how many there are of each kind."""
    row = next(
        row for row in oracle("leaves") if row["model"] == plain and row["ref"] in ("resnet50", "resnet50b")
    )
    layers = layers_of("senet.arch", network)
    ours = leaves_of_ours([layer for layer in layers if ".SqueezeExcitation" not in layer["name"]])
    theirs = leaves_of_theirs(row)
    if network == "SEResNet50":
        assert ours == theirs
    else:
        assert kinds(ours) == kinds(theirs)
        resnext = [
            layer for layer in layers_of("resnext.arch", "ResNeXt50") if layer["kind"] != "global_avg_pool"
        ]
        assert ours - leaves_of_ours(resnext) == {leaf("mean", [2048], 0): 1}
        assert leaves_of_ours(resnext) - ours == {}


def kinds(leaves: dict[Leaf, int]) -> dict[str, int]:
    count: dict[str, int] = {}
    for (family, _, _), n in leaves.items():
        count[family] = count.get(family, 0) + n
    return count


def test_every_layer_of_preresnet200() -> None:
    """Those of pytorchcv's, which normalises once more before the first unit than the paper's appendix."""
    model = MODELS["preresnet200"]
    again = ["layer1.0.bn1", "layer1.0.relu1"]
    dropped = [layer for layer in model["layers"] if layer["id"] in again]
    assert [layer["weights"] + layer["biases"] for layer in dropped] == [128, 0]
    found: dict[str, Layers] = {}
    for layer in layers_of("preresnet.arch", "PreResNet200"):
        found.setdefault(layer["kind"], []).append(layer)
    expected: dict[str, Layers] = {}
    for layer in model["layers"]:
        kind = KINDS.get(layer["op"], layer["args"].get("fn", layer["op"]))
        if layer["id"] not in again and kind not in ("input", "flatten"):
            expected.setdefault(kind, []).append(layer)
    del found["flatten"]
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {
        kind: len(of_kind) for kind, of_kind in expected.items()
    }
    for kind, of_kind in expected.items():
        for one, other in zip(found[kind], of_kind, strict=True):
            figures = ("weights", "biases", "buffers", "macs")
            assert [one[k] for k in figures] == [other[k] for k in figures], one["name"]
            assert one["shape"] == other["out"], one["name"]
            field, theirs = one["receptive_field"], other["rf"]
            if kind not in ("global_avg_pool", "linear"):
                for key, their_key in (("size", "size"), ("stride", "jump"), ("padding", "pad_left")):
                    assert field[key] == [theirs[their_key]] * 2, one["name"]
    unactivated(layers_of("preresnet.arch", "PreResNet200"))
    totals = report("preresnet.arch", "PreResNet200")["totals"]
    assert totals["parameters"] == model["totals"]["params"] - 128
    assert totals["macs"] == model["totals"]["macs"]


def unactivated(layers: Layers) -> None:
    """From sum to sum nothing is done; only a projection reads what is activated."""
    sums = [layer for layer in layers if layer["kind"] == "add"]
    before = "stem.max_pool"
    for one in sums:
        unit = one["name"].rpartition(".")[0]
        projected = f"{unit}.shortcut.conv"
        (shortcut,) = [name for name in one["from"] if ".residual." not in name]
        if shortcut == projected:
            (given,) = [layer["from"] for layer in layers if layer["name"] == projected]
            assert given == [before if before == "stem.max_pool" else f"{unit}.activated.relu"]
        else:
            assert shortcut == before
        before = one["name"]
    assert sum(f"{one['name'].rpartition('.')[0]}.shortcut.conv" in one["from"] for one in sums) == 4


# ------------------------------------------------------------------------------ as published, and by hand


def test_zfnet_by_hand() -> None:
    """Figure 3: extents 110, 26, 13, 13 and 13, and 6 x 6 x 256 at the end."""
    products = {
        "conv1": (96, 3 * 49, 110),
        "conv2": (256, 96 * 25, 26),
        "conv3": (384, 256 * 9, 13),
        "conv4": (384, 384 * 9, 13),
        "conv5": (256, 384 * 9, 13),
        "fc6": (4096, 6 * 6 * 256, 1),
        "fc7": (4096, 4096, 1),
    }
    layers = layers_of("zfnet.arch", "ZFNet")
    for label, (out, given, extent) in products.items():
        (layer,) = [layer for layer in under(layers, label) if layer["parameters"]]
        assert layer["parameters"] == out * given + out
        assert layer["macs"] == out * given * extent**2
        assert layer["shape"] == ([out, extent, extent] if label.startswith("conv") else [out])
    normalised = [layer["shape"] for layer in layers if layer["kind"] == "local_response_norm"]
    assert normalised == [[96, 55, 55], [256, 13, 13]]


def test_columns_of_vgg_differ_as_table_1_has_them() -> None:
    """C is B and three convolutions of kernel 1; D has kernels of 3 there; A-LRN is A and one layer."""
    widths = [256, 512, 512]
    b, c, d = (
        report("vgg.arch", network)["totals"]["parameters"] for network in ("VGG13", "VGG16C", "VGG16")
    )
    assert c - b == sum(n * n + n for n in widths)
    assert d - c == sum(8 * n * n for n in widths)
    a, lrn = (
        [layer for layer in layers_of("vgg.arch", network) if layer["kind"] != "flatten"]
        for network in ("VGG11", "VGG11LRN")
    )
    assert [layer["kind"] for layer in lrn[:4]] == ["conv", "relu", "local_response_norm", "max_pool"]
    figures = ("kind", "shape", "parameters", "macs", "receptive_field")
    without = [layer for layer in lrn if layer["kind"] != "local_response_norm"]
    assert [[x[f] for f in figures] for x in without] == [[x[f] for f in figures] for x in a]


def test_network_in_network_for_imagenet_by_hand() -> None:
    """Widths, kernels and extents of the Caffe model."""
    layers = layers_of("nin.arch", "NINImageNet")
    given = 3
    for label, out, kernel, extent, last in (
        ("mlpconv1", 96, 11, 54, 96),
        ("mlpconv2", 256, 5, 27, 256),
        ("mlpconv3", 384, 3, 13, 384),
        ("mlpconv4", 1024, 3, 6, 1000),
    ):
        convolutions = [layer for layer in under(layers, label) if layer["kind"] == "conv"]
        products = [out * given * kernel**2, out * out, out * last]
        assert [layer["weights"] for layer in convolutions] == products
        assert [layer["macs"] for layer in convolutions] == [n * extent**2 for n in products]
        given = last
    fields = [layer["receptive_field"] for layer in layers if layer["kind"] == "conv"]
    assert fields[0]["padding"] == [0, 0]
    assert [field["size"] for field in (fields[0], fields[3], fields[6], fields[9])] == [
        [n, n] for n in (11, 19 + 4 * 8, 67 + 2 * 16, 131 + 2 * 32)
    ]


def test_inception_v3_and_its_auxiliary_head() -> None:
    """The head is cut off once the network is trained: 23,834,568 parameters stay, as timm's network has."""
    layers = layers_of("inception.arch", "InceptionV3")
    head = under(layers, "auxiliary")
    by_hand = 768 * 128 + 2 * 128 + 128 * 25 * 768 + 2 * 768 + 768 * 1000 + 1000
    assert total(head) == by_hand
    assert total(layers) - by_hand == 23_834_568
    assert report("inception.arch", "InceptionV3")["outputs"] == ["logits", "auxiliary"]
    assert total(head, "macs") == 25 * 768 * 128 + 128 * 25 * 768 + 768 * 1000


@pytest.mark.parametrize(
    ("file", "network", "slim"),
    [("inception.arch", "InceptionV3", "inception_v3"), ("inception_v4.arch", "InceptionV4", "inception_v4")],
)
def test_fields_of_inception_as_published(file: str, network: str, slim: str) -> None:
    """Araujo, Norris and Sim measured TF-Slim's: at every end point they give, the extent and the stride."""
    layers = layers_of(file, network)
    rows = [row for row in oracle("published_rf")["rows"] if row["network"] == slim and not row["resolution"]]
    assert len(rows) > 3
    for row in rows:
        at = label_of(slim, row["end_point"])
        made = [layer for layer in layers if layer["name"] == at or layer["name"].startswith(f"{at}.")]
        field = made[-1]["receptive_field"]
        assert field["size"] == [row["rf"]] * 2, at
        assert field["stride"] == [row["stride"]] * 2, at
        assert field["padding"] == [row["padding"]] * 2, at


@pytest.mark.parametrize(
    ("file", "network", "slim"),
    [("inception.arch", "InceptionV3", "inception_v3"), ("inception_v4.arch", "InceptionV4", "inception_v4")],
)
def test_convolutions_of_inception_see_what_those_of_slim_see(file: str, network: str, slim: str) -> None:
    """Along each axis: which of 1 x 7 and 7 x 1 comes first, and where nothing is padded."""

    def seen(layers: Layers) -> Counter[tuple[Any, ...]]:
        return Counter(
            (*x["shape"], x["weights"], *(tuple(x["receptive_field"][k]) for k in ("size", "padding")))
            for x in layers
            if x["kind"] == "conv"
        )

    assert seen(without_auxiliary(file, network)) == seen(inception(slim))


def label_of(slim: str, end_point: str) -> str:
    """TF-Slim's name of an end point, and ours of the same."""
    if slim == "inception_v3":
        kind, place = end_point.split("_")[:2]
        return f"{'conv' if kind == 'Conv2d' else 'mixed'}_{place}"
    kind, place = end_point.split("_")[:2]
    if kind == "Conv2d" or place in ("3a", "4a", "5a"):
        return f"stem.{'conv' if kind == 'Conv2d' else 'mixed'}_{place}"
    stage = {"5": "a", "6": "b", "7": "c"}[place[0]]
    if place[1] == "a":
        return f"reduction_{chr(ord(stage) - 1)}"
    return f"inception_{stage}_{ord(place[1]) - ord('a')}"


def test_gates_add_what_the_paper_says() -> None:
    """Section 4: some 2.5 million parameters, and 3.87 in place of 3.86 billion operations, where the mean
    and the product over every map count."""
    layers = layers_of("senet.arch", "SEResNet50")
    gates = [layer for layer in layers if ".SqueezeExcitation" in layer["name"]]
    depths = {256: 3, 512: 4, 1024: 6, 2048: 3}
    assert total(gates) == sum(n * (2 * c * c // 16 + c // 16 + c) for c, n in depths.items())
    assert round(total(gates) / 1e6, 1) == 2.5
    plain = report("resnet.arch", "ResNet50")["totals"]
    assert total(layers) - total(gates) == plain["parameters"]
    assert round(plain["macs"] / 1e9, 2) == 3.86
    weighed = sum(n * c * (56 * 256 // c) ** 2 for c, n in depths.items())
    assert round((total(layers, "macs") + 2 * weighed) / 1e9, 2) == 3.87


def test_senet154_by_hand() -> None:
    """A bottleneck of a stage of c channels: halved, 64 groups, a gate; the shortcut 3 x 3 where it steps."""

    def norm(c: int) -> int:
        return 2 * c

    stem = 27 * 64 + norm(64) + 9 * 64 * 64 + norm(64) + 9 * 64 * 128 + norm(128)
    count, given = stem, 128
    for c, depth, kernel in ((256, 3, 1), (512, 8, 3), (1024, 36, 3), (2048, 3, 3)):
        half = c // 2
        gate = 2 * c * (c // 16) + c // 16 + c
        inner = norm(half) + half * c * 9 // 64 + norm(c) + c * c + norm(c) + gate
        count += depth * inner + given * half + (depth - 1) * c * half + given * c * kernel**2 + norm(c)
        given = c
    count += 2048 * 1000 + 1000
    assert total(layers_of("senet.arch", "SENet154")) == count == 115_088_984
    products = [x for x in layers_of("senet.arch", "SENet154") if x["kind"] in ("conv", "linear")]
    inside = [x for x in products if ".SqueezeExcitation" not in x["name"] and "shortcut" not in x["name"]]
    assert len(inside) == 154


@pytest.mark.parametrize(
    ("network", "depths", "growth"),
    [
        ("DenseNet121", [6, 12, 24, 16], 32),
        ("DenseNet169", [6, 12, 32, 32], 32),
        ("DenseNet201", [6, 12, 48, 32], 32),
        ("DenseNet264", [6, 12, 64, 48], 32),
        ("DenseNet161", [6, 12, 36, 24], 48),
    ],
)
def test_densenet_by_hand(network: str, depths: list[int], growth: int) -> None:
    """Every layer that Table 1 counts, and the parameters of all. What it calls 264 layers are 265."""
    layers = layers_of("densenet.arch", network)
    products = [layer for layer in layers if layer["kind"] in ("conv", "linear")]
    assert len(products) == 1 + 2 * sum(depths) + 3 + 1
    assert len(products) == int(network.removeprefix("DenseNet")) + (network == "DenseNet264")
    channels = 2 * growth
    count = 3 * 49 * channels + 2 * channels
    for block, depth in enumerate(depths):
        for _ in range(depth):
            narrow = 4 * growth
            count += 2 * channels + channels * narrow + 2 * narrow + 9 * narrow * growth
            channels += growth
        count += 2 * channels
        if block < 3:
            count += channels * (channels // 2)
            channels //= 2
    count += channels * 1000 + 1000
    assert total(layers) == count


def test_residual_networks_have_the_layers_they_are_called_by() -> None:
    """Convolutions and linear layers, but for those of the shortcuts."""
    for file, network, count in (
        ("resnet.arch", "ResNet200V15", 200),
        ("preresnet.arch", "PreResNet200", 200),
        ("resnext.arch", "ResNeXt50", 50),
        ("resnext.arch", "ResNeXt101", 101),
        ("resnext.arch", "ResNeXt101_64x4d", 101),
    ):
        products = [layer for layer in layers_of(file, network) if layer["kind"] in ("conv", "linear")]
        assert sum("shortcut" not in layer["name"] for layer in products) == count


def test_a_bottleneck_of_resnext_by_hand() -> None:
    """Equation 4 and Table 2: with 32 paths of 4 channels about 70 thousand weights, as ResNet's has."""
    unit = under(layers_of("resnext.arch", "ResNeXt50"), "features.stage_1.GroupedBottleneck_2")
    weights = sum(layer["weights"] for layer in unit if layer["kind"] == "conv")
    assert weights == 32 * (256 * 4 + 9 * 4 * 4 + 4 * 256)
    assert round(weights / 1e3, -1) == 70
    (grouped,) = [layer for layer in unit if layer["kind"] == "conv" and layer["macs"] == 9 * 4 * 128 * 56**2]
    assert grouped["shape"] == [128, 56, 56]
