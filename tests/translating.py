"""A description of a network, as the files of `tests/oracle/` have it, translated into the language."""

from __future__ import annotations

import re
from typing import Any

from expected import KINDS


def label(name: str) -> str:
    """A name that is no word of the language."""
    return "n_" + re.sub(r"\W", "_", name)


def translate(model: dict[str, Any]) -> str:
    """The network as a file: a line a layer, each saying what it starts from."""
    shapes = {layer["id"]: layer["out"] for layer in model["layers"]}
    lines = []
    for layer in model["layers"]:
        a, name = layer["args"], label(layer["id"])
        if layer["op"] == "input":
            lines.append(f"input {name}: {a['shape']}")
            continue
        inputs = ", ".join(label(i) for i in layer["in"])
        channels = shapes[layer["in"][0]][0]
        lines.append(f"{name}: from {inputs} -> {call(layer, channels, shapes)}")
        if layer["op"] == "channel_scale":
            lines[-1:] = [
                f"{name}_scale: parameter([{channels}, 1, 1])",
                f"{name}: from {inputs}, {name}_scale -> multiply",
            ]
        if layer["op"] == "max_unpool":
            x, pool = (label(i) for i in layer["in"])
            lines[-1] = f"{name}: from {x} -> max_unpool({pool})"
    return "network Translated {\n  " + "\n  ".join(lines) + "\n}\n"


def bias(args: dict[str, Any]) -> str:
    return f"bias={str(args['bias']).lower()}"


def call(layer: dict[str, Any], channels: int, shapes: dict[str, list[int]]) -> str:
    """A layer of the oracle in the words of the language."""
    a, op = layer["args"], layer["op"]
    if op == "conv":
        window = f"kernel={a['k']}, stride={a['s']}, padding={a['pad']}, dilation={a['d']}, {bias(a)}"
        if a["groups"] == "in":
            return f"depthwise_conv({window}, multiplier={a['out'].removeprefix('in*')})"
        return f"conv({a['out']}, {window}, groups={a['groups']})"
    if op == "conv_transpose":
        return (
            f"conv_transpose({a['out']}, kernel={a['k']}, stride={a['s']}, padding={a['p']}, "
            f"output_padding={a['output_padding']}, dilation={a['d']}, groups={a['groups']}, {bias(a)})"
        )
    if op == "conv_table":
        branches = "\n".join(f"select({maps}) -> conv(1, kernel={a['k']})" for maps in a["table"])
        return f"parallel concat {{\n{branches}\n}}"
    if op in ("maxpool", "avgpool"):
        dilation = f", dilation={a['d']}" if a.get("d", [1]) != [1] * len(a["k"]) else ""
        window = f"{a['k']}, stride={a['s']}, padding={a['pad']}{dilation}"
        return f"{KINDS[op]}({window}, ceil={str(a['ceil']).lower()})"
    if op == "crop":
        return f"crop({layer['out'][1:]}, offset={a['lo']})"
    if op == "adaptive_avgpool":
        return "global_avg_pool" if set(a["out"]) == {1} else f"adaptive_avg_pool({a['out']})"
    if op == "upsample":
        mode = {"nearest": "nearest"}.get(a["mode"], "linear")
        corners = ", align_corners=true" if a["align_corners"] else ""
        return f"upsample({a['scale']}, mode={mode}{corners})"
    if op == "subsample_trainable":
        return f"avg_pool({a['k']}, stride={a['s']}) -> depthwise_conv(kernel=1)"
    plain = {
        "act": lambda: a["fn"],
        "linear": lambda: f"linear({a['out']}, {bias(a)})",
        "lrn": lambda: f"local_response_norm({a['size']})",
        "reshape": lambda: f"reshape({a['shape']})",
        "channel_shuffle": lambda: f"channel_shuffle({a['groups']})",
        "channel_slice": lambda: f"slice({a['start']}, {a['stop']})",
        "mul": lambda: "multiply",
        "channel_layernorm": lambda: "layer_norm",
        "batchnorm": lambda: "batch_norm",
    }
    return plain[op]() if op in plain else op
