"""What every layer promises: its rules, its page, and an example that torch agrees with."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import archdsl
from archdsl.checking import check_file
from archdsl.layers import LAYERS, Layer
from archdsl.layers.arguments import Kind, SameAs
from archdsl.layers.layer import RULES
from archdsl.source import Source

EVERY = pytest.mark.parametrize("kind", sorted(LAYERS))


def page(kind: str) -> str:
    return inspect.cleandoc(LAYERS[kind].__doc__ or "")


def example(kind: str) -> str:
    (text,) = re.findall(r"^```arch\n(.*?)^```$", page(kind), re.M | re.S)
    return str(text)


@EVERY
def test_its_page_says_what_it_computes(kind: str) -> None:
    text = page(kind)
    summary = text.split("\n\n")[0]
    assert summary.endswith((".", ":"))
    assert "FLOPs" in text
    assert "backward" in text.lower() or "Backward" in text


@EVERY
def test_its_arguments_are_documented_and_take_their_defaults(kind: str) -> None:
    for name, parameter in LAYERS[kind].arguments.items():
        assert isinstance(parameter.kind, Kind)
        assert parameter.name == name
        assert parameter.documentation
        assert not parameter.documentation.endswith(".")
        default = parameter.default
        if isinstance(default, SameAs):
            assert default.name in LAYERS[kind].arguments
        elif not parameter.required and default is not None:
            assert parameter.kind.check(default) == default


@EVERY
def test_its_example_has_no_mistake_and_uses_it(kind: str) -> None:
    checked = check_file(Source(f"{kind}.arch", example(kind)))
    assert checked.networks
    assert [d.message for d in checked.diagnostics] == []
    report = archdsl.loads(example(kind), name=f"{kind}.arch").report().to_dict()
    assert kind in {layer["kind"] for layer in report["layers"]}


@EVERY
def test_its_example_is_what_torch_makes_of_it(kind: str) -> None:
    """Weights by name, output shapes, and multiplications by torch's counter, on the meta device."""
    net = archdsl.loads(example(kind), name=f"{kind}.arch")
    report = net.report().to_dict()
    model = net.build(device="meta").eval()
    layers = {layer["name"]: layer for layer in report["layers"]}

    parameters: dict[str, int] = {}
    for name, tensor in model.named_parameters():
        layer = name.rpartition(".")[0]
        parameters[layer] = parameters.get(layer, 0) + tensor.numel()
    assert parameters == {name: layer["parameters"] for name, layer in layers.items() if layer["parameters"]}
    assert sum(buffer.numel() for buffer in model.buffers()) == report["totals"]["buffers"]

    inputs = [torch.empty(2, *entry["shape"], device="meta") for entry in report["inputs"]]
    with FlopCounterMode(display=False) as counter:
        made: Any = model(*inputs)
    outputs = (
        [made] if isinstance(made, torch.Tensor) else list(made.values() if isinstance(made, dict) else made)
    )
    assert [[2, *net_shape(layers, name)] for name in report["outputs"]] == [list(y.shape) for y in outputs]
    assert counter.get_total_flops() == 2 * 2 * report["totals"]["macs"]


def net_shape(layers: dict[str, Any], output: str) -> list[int]:
    """The shape of an output: of the layer of that name, or the last of that label."""
    names = [name for name in layers if name == output or name.startswith(f"{output}.")]
    shape: list[int] = layers[names[-1]]["shape"]
    return shape


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("rule", RULES)
def test_a_class_that_lacks_a_rule_is_refused(rule: str) -> None:
    others = {name: lambda self, *xs: None for name in RULES if name != rule}
    with pytest.raises(TypeError, match=f"layer Incomplete lacks the rules {rule}"):
        type("Incomplete", (Layer,), {"__doc__": "A layer.", **others})
    assert "incomplete" not in LAYERS


def test_a_class_that_lacks_its_page_is_refused() -> None:
    rules = {name: lambda self, *xs: None for name in RULES}
    with pytest.raises(TypeError, match="layer Silent lacks its documentation"):
        type("Silent", (Layer,), rules)
    assert "silent" not in LAYERS


def test_the_table_of_the_language_is_whole() -> None:
    """Names that files use stay. A new layer needs no entry here."""
    assert LAYERS.keys() >= {
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
        "flatten",
        "reshape",
        "parameter",
        "permute",
        "slice",
        "select",
        "channel_shuffle",
        "split",
        "add",
        "subtract",
        "multiply",
        "concat",
        "batch_norm",
        "layer_norm",
        "group_norm",
        "instance_norm",
        "local_response_norm",
        "dropout",
        "channel_dropout",
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "sigmoid",
        "tanh",
        "softplus",
        "hard_sigmoid",
        "hard_swish",
        "identity",
        "softmax",
        "log_softmax",
    }


SIGNATURES = {
    "conv": "channels kernel stride padding dilation groups bias padding_mode",
    "depthwise_conv": "kernel stride padding dilation multiplier bias padding_mode",
    "conv_transpose": "channels kernel stride padding output_padding dilation groups bias",
    "linear": "features bias",
    "reshape": "shape",
    "parameter": "shape",
    "permute": "order",
    "slice": "start end axis",
    "select": "indices axis",
    "channel_shuffle": "groups",
    "split": "sizes axis",
    "concat": "axis",
    "batch_norm": "eps momentum affine",
    "layer_norm": "axis eps affine",
    "group_norm": "groups eps affine",
    "instance_norm": "eps affine",
    "local_response_norm": "size alpha beta k",
    "dropout": "rate",
    "channel_dropout": "rate",
    "leaky_relu": "slope",
    "prelu": "per_channel",
    "softmax": "axis",
    "log_softmax": "axis",
}


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
def test_arguments_stand_in_the_order_of_the_language(kind: str) -> None:
    assert " ".join(LAYERS[kind].arguments) == SIGNATURES[kind]
