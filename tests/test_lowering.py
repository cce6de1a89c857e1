"""From a file to PyTorch: the built module and the exported source are the file's network."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bundled import BUNDLED, load
from conftest import CASES, sections
from programs import Program
from standalone import Standalone, compare, listed, owned
from test_layers_all import example
from torch.utils.flop_counter import FlopCounterMode

import archdsl
from archdsl.layers import LAYERS
from archdsl.lowering.identifiers import MODULE_ATTRIBUTES

NETWORKS = [(file, network) for file, networks in BUNDLED.items() for network in networks]
EVERY_NETWORK = pytest.mark.parametrize(("file", "network"), NETWORKS, ids=[name for _, name in NETWORKS])


# ------------------------------------------------------------------------------ bundled networks


@EVERY_NETWORK
def test_bundled_network_at_its_size(file: str, network: str) -> None:
    """Names, shapes and numbers of weights, shapes of all layers and results, on the meta device."""
    net = load(file, network)
    report = net.report().to_dict()
    model = net.build(device="meta").eval()
    assert type(model).__name__ == network
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == owned(net.network)
    parameters: dict[str, int] = {}
    for name, tensor in model.named_parameters():
        layer = name.rpartition(".")[0]
        parameters[layer] = parameters.get(layer, 0) + tensor.numel()
    rows = {row["name"]: row for row in report["layers"]}
    assert parameters == {name: row["parameters"] for name, row in rows.items() if row["parameters"]}
    assert sum(parameters.values()) == report["totals"]["parameters"]
    shapes: dict[str, list[int]] = {}
    for name, module in model.named_modules():
        # Torch's layer normalisation has the channels last, and one over a group the members as an axis.
        if name in rows and rows[name]["kind"] not in ("layer_norm", "group_batch_norm"):
            module.register_forward_hook(
                # A row is the first use of what is shared.
                lambda _, given, made, name=name: shapes.update(
                    {name: shapes.get(name, list(listed(made)[0].shape[1:]))}
                )
            )
    inputs = [torch.empty(3, *row["shape"], device="meta") for row in report["inputs"]]
    with FlopCounterMode(display=False) as counter:
        results = listed(model(*inputs))
    assert [list(value.shape[1:]) for value in results] == [list(w.shape) for w in net.network.outputs]
    assert shapes
    assert shapes == {name: rows[name]["shape"] for name in shapes}
    assert counter.get_total_flops() == 2 * 3 * report["totals"]["macs"]


@EVERY_NETWORK
def test_bundled_network_exported(file: str, network: str, worker: Standalone) -> None:
    """In a process without archdsl the source takes the built module's weights and computes the same.

    And every weight that trains is reached by the gradient of the outputs, and a step moves them.
    """
    net = load(file, network, small=True)
    few = sum(p.numel() for p in net.build("meta").parameters()) < 5e6
    model, inputs = compare(net, worker, interpret=few)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    results = listed(model(*inputs))
    loss = sum(((result - torch.randn_like(result)) ** 2).mean() for result in results)
    loss.backward()
    assert torch.isfinite(loss)
    unreached = [
        name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()
    ]
    assert unreached == []
    last = list(model.parameters())[-3:]
    before = [value.detach().clone() for value in last]
    optimizer.step()
    assert not all(map(torch.equal, last, before))


def test_names_in_a_loop_of_blocks() -> None:
    state = load("resnet.arch", "ResNet18").build("meta").state_dict()
    assert [name for name in state if name.startswith("stage_2.") and "conv" in name] == [
        "stage_2.BasicBlock_1.residual.conv_1.weight",
        "stage_2.BasicBlock_1.residual.conv_2.weight",
        "stage_2.BasicBlock_1.shortcut.conv.weight",
        "stage_2.BasicBlock_2.residual.conv_1.weight",
        "stage_2.BasicBlock_2.residual.conv_2.weight",
    ]


# ------------------------------------------------------------------------------ every layer

LAYERS_IN_USE: dict[str, list[str]] = {
    "add": ["a: relu\nadd(a, input)"],
    "subtract": ["a: relu\nsubtract(a)"],
    "multiply": ["a: relu\nmultiply(a, a)"],
    "concat": ["a: relu\nconcat(a, input)", "concat(input, axis={axis})"],
    "conv": [
        "conv(6, kernel=3)",
        "conv(6, kernel=3, stride=2, padding=same, bias=false)",
        "conv(8, kernel={per_axis}, groups=2, padding=1, dilation=1, padding_mode=circular)",
        "conv(6, kernel=2, padding={pairs}, padding_mode=reflect)",
    ],
    "depthwise_conv": ["depthwise_conv(kernel=3, multiplier=2)", "depthwise_conv(kernel=2, padding=same)"],
    "conv_transpose": [
        "conv_transpose(6, kernel=3, stride=2, output_padding=1)",
        "conv_transpose(6, kernel=4, stride=2, padding={pairs}, groups=2, bias=false)",
    ],
    "linear": ["flatten -> linear(5)", "flatten -> linear(5, bias=false)"],
    "max_pool": ["max_pool(2)", "max_pool(3, stride=2, padding=same)", "max_pool(3, stride=2, ceil=true)"],
    "avg_pool": [
        "avg_pool(2)",
        "avg_pool(3, stride=2, padding=same, count_padding=false)",
        "avg_pool(3, stride=2, padding=1, ceil=true)",
    ],
    "lp_pool": ["relu -> lp_pool(2, 2)"],
    "global_avg_pool": ["global_avg_pool"],
    "global_max_pool": ["global_max_pool"],
    "adaptive_avg_pool": ["adaptive_avg_pool(3)"],
    "adaptive_max_pool": ["adaptive_max_pool({per_axis})"],
    "max_unpool": [
        "p: max_pool(2)\nmax_unpool(p)",
        "p: max_pool(3, stride=2, padding=same)\ntanh -> max_unpool(p)",
    ],
    "upsample": ["upsample(2)", "upsample(size=9, mode=linear, align_corners=true)"],
    "pixel_shuffle": ["conv({blocks}, kernel=1) -> pixel_shuffle(2)"],
    "pixel_unshuffle": ["pixel_unshuffle(2)"],
    "pad": ["pad(1)", "pad({pairs}, mode=reflect)", "pad(-1)", "pad(2, value=0.5)"],
    "crop": ["crop(3)", "crop(3, offset=1)", "a: conv(2, kernel=3)\nfrom input -> crop(like=a)"],
    "flatten": ["flatten"],
    "reshape": ["reshape([2, _])"],
    "parameter": ["p: parameter({shape})\nfrom p, input -> add"],
    "permute": ["permute({reversed})"],
    "slice": ["slice(1, 3)", "slice(2, 5, axis={axis})"],
    "select": ["select([3, 0, 0])", "select([1, 3, 5], axis={axis})"],
    "channel_shuffle": ["channel_shuffle(2)"],
    "split": ["a, b: split([1, 3])\nfrom b -> relu", "a, b: split([2, 4], axis={axis})\noutput b, a"],
    "batch_norm": ["batch_norm", "batch_norm(eps=1e-3, momentum=0.2, affine=false)"],
    "layer_norm": ["layer_norm", "layer_norm(axis=all, eps=1e-3)", "layer_norm(affine=false)"],
    "group_norm": ["group_norm(2)", "group_norm(4, affine=false)"],
    "instance_norm": ["instance_norm", "instance_norm(affine=true)"],
    "local_response_norm": ["local_response_norm(3, alpha=0.1, k=2)"],
    "dropout": ["dropout", "dropout(0.2)"],
    "channel_dropout": ["channel_dropout(0.2)"],
    "softmax": ["softmax", "softmax(axis={axis})"],
    "log_softmax": ["log_softmax"],
    "leaky_relu": ["leaky_relu(0.1)", "leaky_relu"],
    "prelu": ["prelu", "prelu(per_channel=true)"],
} | {
    kind: [kind]
    for kind in ("relu", "relu6", "elu", "selu", "gelu", "silu", "mish", "sigmoid", "tanh", "softplus")
}
LAYERS_IN_USE |= {kind: [kind] for kind in ("hard_sigmoid", "hard_swish", "identity")}
"""Lines that use layers otherwise than their pages; each reaches `[4, 6, ...]` of one, two or three axes."""


def program(line: str, axes: int) -> str:
    words = {
        "axis": ("length", "height", "depth")[axes - 1],
        "per_axis": str([1, 2, 3][:axes]),
        "pairs": str([[0, 1], [1, 0], [1, 1]][:axes]),
        "shape": str([4, 1, 6, 6][: axes + 1]),
        "reversed": str([1, 0, 2, 3][: axes + 1]),
        "blocks": str(2 ** (axes + 1)),
    }
    shape = [4, 6, 6, 6][: axes + 1]
    return f"network Used {{\n  input data: {shape}\n  {line.format(**words)}\n}}\n"


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_the_example_of_every_page_exported(kind: str, worker: Standalone) -> None:
    compare(archdsl.loads(example(kind)), worker)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", sorted(LAYERS_IN_USE))
def test_layer_exported(kind: str, axes: int, worker: Standalone) -> None:
    for line in LAYERS_IN_USE[kind]:
        text = program(line, axes)
        net = archdsl.loads(text)
        assert kind in {node.kind for node in net.network.nodes}
        compare(net, worker)


# ------------------------------------------------------------------------------ random programs


@pytest.mark.parametrize("seed", range(60))
def test_random_program(seed: int, worker: Standalone) -> None:
    """Names, shapes and values as the layers' own rules give them, one by one, and the export the same."""
    compare(archdsl.loads(Program(seed).text()), worker, seed)


def test_random_programs_have_every_form() -> None:
    bodies, source = "", ""
    for seed in range(0, 150, 3):
        text = Program(seed).text()
        bodies += text.partition("network Random")[2]
        source += archdsl.loads(text).source()
    for word in ("repeat", "for [", "parallel", "shared", "Halves", "if ", "output", "concat(", "max_unpool"):
        assert word in bodies, word
    for form in (r"for i in range\(", r"for _ in ", "getattr", "nn.Sequential", r"\.append\(", "_modules"):
        assert re.search(form, source), form


# ------------------------------------------------------------------------------ open sizes


@pytest.mark.parametrize("size", [(5, 5), (6, 9), (8, 3), (13, 16)])
@pytest.mark.parametrize(
    "line",
    [
        "conv(4, kernel=3, stride=2, padding=same)",
        "conv(4, kernel=[2, 5], stride=[3, 2], dilation=[2, 1], padding=same, bias=false)",
        "conv(4, kernel=3, stride=2, padding=same, padding_mode=replicate)",
        "depthwise_conv(kernel=4, stride=3, padding=same)",
        "max_pool(3, stride=2, padding=same)",
        "avg_pool(3, stride=2, padding=same)",
        "avg_pool(3, stride=2, padding=same, count_padding=false)",
        "avg_pool(2, stride=3, padding=same)",
        "max_pool(2, ceil=true) -> conv(3, kernel=3, padding=same) -> upsample(2)",
        "concat(input, axis=height) -> pixel_shuffle(2)",
        "conv(8, kernel=3, padding=same) -> layer_norm -> global_avg_pool -> flatten -> linear(3)",
    ],
)
def test_open_sizes(line: str, size: tuple[int, int], worker: Standalone) -> None:
    """A network of open sizes is what the same file makes with numbers."""
    text = f"network Open {{\n  input image: [8, H, W]\n  {line}\n}}\n"
    net = archdsl.loads(text)
    fixed = archdsl.loads(text, sizes=dict(zip("HW", size, strict=True)))
    model = fixed.build().eval()
    image = torch.randn(2, 8, *size)
    with torch.no_grad():
        wanted = model(image)
    assert list(wanted.shape[1:]) == list(fixed.network.outputs[0].shape)
    found = worker.run(net.source(), model.state_dict(), [image])
    torch.testing.assert_close(found["results"], wanted)


@pytest.mark.parametrize(
    "line",
    [
        "flatten -> linear(4)",
        "layer_norm(axis=all)",
        "conv_transpose(4, kernel=3, stride=2, padding=same)",
        "crop(3)",
        "reshape([2, 4, H * W])",
        "p: parameter([8, H, W])",
        "upsample(size=[H, W])",
        "pad(-1, mode=reflect)",
        "avg_pool(3, stride=2, ceil=true, padding=[[0, 1], [0, 1]], count_padding=false)",
    ],
)
def test_a_size_that_is_needed(line: str) -> None:
    """Where a module can't do without a number it is said which, where, and how to give it."""
    text = f"network Open {{\n  input image: [8, H, W]\n  {line}\n}}\n"
    net = archdsl.loads(text)
    with pytest.raises(archdsl.ArchError) as raised:
        net.source()
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.name == "size-needed"
    assert diagnostic.span.line == 3
    assert diagnostic.help == "give `--size H=...` and `--size W=...`"
    archdsl.loads(text, sizes={"H": 8, "W": 8}).build("meta")


# ------------------------------------------------------------------------------ the text of the source


def sources() -> dict[str, str]:
    """The source of every bundled network, layer's example, literate case and some random programs."""
    found = {name: load(file, name).source() for file, name in NETWORKS}
    found |= {kind: archdsl.loads(example(kind)).source() for kind in LAYERS}
    for case in sections((CASES / "lowering.md").read_text(encoding="utf-8")):
        found[case.name] = archdsl.loads(case.program.text).source()
    return found | {f"random {seed}": archdsl.loads(Program(seed).text()).source() for seed in range(20)}


def test_sources_are_clean_and_formatted(tmp_path: Path) -> None:
    """By ruff's own settings and some stricter: nothing unused, all annotated, 88 columns."""
    for name, source in sources().items():
        (tmp_path / f"{re.sub(r'[^A-Za-z0-9]', '_', name)}.py").write_text(source, encoding="utf-8")
    rules = "E,F,W,I,UP,B,C4,SIM,PIE,RET,ANN,N805,RUF100"
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--select", rules, "--output-format=concise"], ["format", "--diff"]):
        done = subprocess.run(
            [*ruff, *command, "--isolated", "--no-cache", str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_source_that_is_run_tries_its_network(tmp_path: Path) -> None:
    path = tmp_path / "lenet.py"
    path.write_text(load("lenet5.arch", "LeNet5Modern").source(), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "logits: [1, 10]\nparameters: 61706\n"


def test_nothing_of_a_file_but_names_and_constants_is_code() -> None:
    """Documentation is text, whatever is in it."""
    text = '## """ + exit(1) + """ \\\n## {exit(1)} \\"""\nnetwork Quiet {\n  input x: [4]\n  relu\n}\n'
    model = archdsl.loads(text).build()
    assert type(model).__name__ == "Quiet"
    assert sys.modules[type(model).__module__].__doc__ == '""" + exit(1) + """ \\ {exit(1)} \\"""'


# ------------------------------------------------------------------------------ the module


def test_building_twice_gives_two_modules_of_one_class() -> None:
    net = load("mnist1d_conv.arch", "MNIST1DConv")
    first, second = net.build(), net.build()
    assert type(first) is type(second)
    assert first is not second
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_a_module_goes_to_a_process_that_has_not_built_it(tmp_path: Path) -> None:
    """With its weights, its mode and what was put on it, by torch.save as by multiprocessing."""
    block = "block B(n) { conv(n, kernel=3) -> batch_norm }\n"
    text = f"{block}network A {{ input x: [3, 8, 8]\n repeat 2 {{ B(4) }} }}"
    model = archdsl.loads(text).build().eval()
    assert type(copy.deepcopy(model)) is type(model)
    model.note = "kept"
    torch.save(model, tmp_path / "a.pt")
    # Such a process has no Python module of the source.
    del sys.modules[type(model).__module__]
    again = torch.load(tmp_path / "a.pt", weights_only=False)
    x = torch.randn(1, 3, 8, 8)
    assert type(again) is not type(model) and again.note == "kept" and not again.training
    assert torch.equal(again(x), model(x))


def test_devices() -> None:
    net = load("mnist1d_conv.arch", "MNIST1DConv")
    assert {p.device.type for p in net.build("meta").parameters()} == {"meta"}
    assert {p.device.type for p in net.build(torch.device("cpu")).parameters()} == {"cpu"}
    with torch.device("meta"):
        assert {p.device.type for p in net.build().parameters()} == {"meta"}


def test_train_and_eval() -> None:
    """Dropout and running statistics follow the mode, also below a label that torch uses itself."""
    text = """
    network Modes {
      input x: [4, 8]
      training: dropout(0.5) -> batch_norm
      train_: conv(4, kernel=1)
    }
    """
    model = archdsl.loads(text).build()
    x = torch.randn(3, 4, 8)
    assert model.train() is model
    assert not torch.equal(model(x), model(x))
    assert model.eval() is model
    assert torch.equal(model(x), model(x))
    assert {module.training for module in model.modules() if module is not model} == {False}


def test_a_shared_layer_learns_from_all_its_uses() -> None:
    text = """
    network Twice {
      input x: [4]
      shared head: linear(4, bias=false)
      from x -> head -> head
    }
    """
    net = archdsl.loads(text)
    model = net.build()
    assert list(model.state_dict()) == ["head.weight"]
    x = torch.randn(2, 4)
    weight = model.get_parameter("head.weight")
    torch.testing.assert_close(model(x), x @ weight.T @ weight.T)


# ------------------------------------------------------------------------------ names

AWKWARD = {
    *MODULE_ATTRIBUTES,
    "lambda",
    "None",
    "True",
    "self",
    "cls",
    "torch",
    "nn",
    "F",
    "Tensor",
    "i",
    "l",
}
AWKWARD |= {
    "x_",
    "name",
    "model",
    "result",
    "super",
    "range",
    "print",
    "len",
    "float",
    "int",
    "getattr",
    "zip",
}
AWKWARD |= {
    "_modules",
    "_parameters",
    "_buffers",
    "__init__",
    "__class__",
    "OrderedDict",
    "Self",
    "enumerate",
}
AWKWARD -= {"train"}
"""Names that Python or torch have taken; `train` is a word of the language itself."""


def named(label: str) -> str:
    """A program in which everything is called the same: a label, a block's input, an inner label."""
    return f"""
    block Inner {{
      {label}: conv(2, kernel=1) -> relu
      conv(2, kernel=1)
      add({label})
    }}
    network Named {{
      input value: [2, 4]
      {label}: Inner
      other: {{
        {label}: dropout(0.5)
        concat({label}) -> conv(2, kernel=1)
      }}
      add({label})
    }}
    """


@pytest.mark.parametrize("label", sorted(AWKWARD))
def test_a_label_that_means_something_else_to_torch_or_python(label: str, worker: Standalone) -> None:
    net = archdsl.loads(named(label))
    compare(net, worker)
    model = net.build()
    model.train()
    model(torch.randn(1, 2, 4)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_an_unlabelled_use_gives_way_to_a_later_label(worker: Standalone) -> None:
    text = """
    block Unit { inner: conv(2, kernel=1) -> relu }
    network Named {
      input value: [2, 4]
      Unit -> Unit
      Unit_1: conv(2, kernel=1)
      Unit
    }
    """
    net = archdsl.loads(text)
    compare(net, worker)
    weights = [name.removesuffix(".weight") for name in net.build().state_dict() if name.endswith("weight")]
    assert weights == ["Unit_2.inner.conv", "Unit_3.inner.conv", "Unit_1", "Unit_4.inner.conv"]
