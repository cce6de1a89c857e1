"""What layers and their arguments are called in PyTorch, in Keras and in papers, and what they are here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from archdsl.layers import LAYERS
from archdsl.problems import nearest
from archdsl.problems.arguments import CHANNELS_FOLLOW

_SMALL_LETTERS = "layers are written in small letters, their words joined by `_`"
_SAME_LAYER = "one layer serves signals, images and volumes"

_ATTENTION = "write `conv(3 * width, kernel=1) -> attention(heads) -> conv(width, kernel=1)`"
_SQUEEZE = 'write `import SqueezeExcitation from "blocks.arch"` at the head of the file, and use that'

LAYERS_ELSEWHERE: dict[str, tuple[str | None, str]] = {
    "dense": ("linear", "a fully connected layer is `linear(features)`"),
    "fc": ("linear", "a fully connected layer is `linear(features)`"),
    "fullyconnected": ("linear", "a fully connected layer is `linear(features)`"),
    "innerproduct": ("linear", "a fully connected layer is `linear(features)`"),
    "convolution": ("conv", "a convolution is `conv(channels, kernel)`"),
    "deconv": ("conv_transpose", "a transposed convolution is `conv_transpose(channels, kernel)`"),
    "deconvolution": ("conv_transpose", "a transposed convolution is `conv_transpose(channels, kernel)`"),
    "transposedconv": ("conv_transpose", "a transposed convolution is `conv_transpose(channels, kernel)`"),
    "separableconv": (None, "write `depthwise_conv(kernel=3) -> conv(channels, kernel=1)`"),
    "deformconv": ("deformable_conv", "it is `deformable_conv(channels, kernel, offsets=moves)`"),
    "multiheadattention": ("attention", _ATTENTION),
    "selfattention": ("attention", _ATTENTION),
    "squeezeexcitation": (None, _SQUEEZE),
    "selayer": (None, _SQUEEZE),
    "pool": (None, "write `max_pool(kernel)` or `avg_pool(kernel)`"),
    "pooling": (None, "write `max_pool(kernel)` or `avg_pool(kernel)`"),
    "maxpooling": ("max_pool", "it is `max_pool(kernel)`"),
    "averagepooling": ("avg_pool", "it is `avg_pool(kernel)`"),
    "averagepool": ("avg_pool", "it is `avg_pool(kernel)`"),
    "avgpooling": ("avg_pool", "it is `avg_pool(kernel)`"),
    "globalaveragepooling": ("global_avg_pool", "it leaves every extent 1: `global_avg_pool -> flatten`"),
    "globalaveragepool": ("global_avg_pool", "it leaves every extent 1: `global_avg_pool -> flatten`"),
    "gap": ("global_avg_pool", "it leaves every extent 1: `global_avg_pool -> flatten`"),
    "globalmaxpooling": ("global_max_pool", "it leaves every extent 1: `global_max_pool -> flatten`"),
    "batchnormalization": ("batch_norm", "it is `batch_norm`, without arguments"),
    "bn": ("batch_norm", "it is `batch_norm`, without arguments"),
    "layernormalization": ("layer_norm", "it is `layer_norm`"),
    "groupnormalization": ("group_norm", "it is `group_norm(groups)`"),
    "lrn": ("local_response_norm", "it is `local_response_norm(size)`"),
    "spatialdropout": ("channel_dropout", "what drops whole channels is `channel_dropout(rate)`"),
    "dropout1d": ("channel_dropout", "what drops whole channels is `channel_dropout(rate)`"),
    "dropout2d": ("channel_dropout", "what drops whole channels is `channel_dropout(rate)`"),
    "dropout3d": ("channel_dropout", "what drops whole channels is `channel_dropout(rate)`"),
    "pacconv": ("pixel_adaptive_conv", "it is `pixel_adaptive_conv(channels, kernel, guide=...)`"),
    "groupbn": ("group_batch_norm", "over a group it is `group_batch_norm`"),
    "swish": ("silu", "swish is `silu`"),
    "upsampling": ("upsample", "it is `upsample(scale)`"),
    "interpolate": ("upsample", "it is `upsample(scale)`, or `upsample(size=...)`"),
    "resize": ("upsample", "it is `upsample(size=...)`"),
    "zeropad": ("pad", "it is `pad(amount)`"),
    "zeropadding": ("pad", "it is `pad(amount)`"),
    "cropping": ("crop", "it is `crop(size)`"),
    "view": ("reshape", "it is `reshape(shape)`"),
    "cat": ("concat", "to join values along an axis, write `concat`"),
    "concatenate": ("concat", "to join values along an axis, write `concat`"),
    "sum": ("add", "to add values, write `add`"),
    "residual": (None, "a shortcut is `parallel add { {...} {} }`: one branch with layers, one without"),
    "mul": ("multiply", "to multiply values, write `multiply`"),
    "sub": ("subtract", "to subtract a value, write `subtract`"),
    "sequential": (None, "layers follow one another by lines, or by `->` on one line"),
}
"""By name in small letters without `_`: the layer that is meant, if it is one, and how it is written."""

FUNCTIONS_ELSEWHERE = {"int": "floor", "trunc": "floor", "log": "log2"}
"""Python's functions of numbers and lists, and those here that are most likely meant."""

WORDS_ELSEWHERE = {
    "f32": "float32",
    "fp32": "float32",
    "single": "float32",
    "bf16": "bfloat16",
    "f16": "float16",
    "fp16": "float16",
    "half": "float16",
    "l1": "mean_absolute_error",
    "l2": "mean_squared_error",
    "nll": "cross_entropy",
    "kaiming": "he",
    "glorot": "xavier",
    "acc": "error",
    "accuracy": "error",
}
"""Words of a recipe, as other libraries have them; in small letters, before any underscore."""

KEYS_ELSEWHERE: dict[str, tuple[str | None, str | None]] = {
    "criterion": ("loss", None),
    "iterations": ("steps", None),
    "ema": ("moving_average", None),
    "amp": ("precision", None),
    "dtype": ("precision", None),
    "transform": ("augment", None),
    "device": (None, "it is said where training begins: `archdsl train FILE --device cuda`"),
    "shuffle": (None, "leave it out: every epoch takes the training examples in a new random order"),
    "num_workers": (None, "leave it out: pictures are decoded by processes of their own, one a core"),
    "validation_split": (None, 'the data say what is for testing: `data = arrays("own.npz", test=0.2)`'),
}
"""Keys that other libraries have for a training: the one that is meant, or why there is none."""

OPTIMIZERS_ELSEWHERE = {
    "lbfgs": "L-BFGS computes the loss of the same examples many times for a step, and a step of a recipe is "
    "one gradient: write `adam`",
    "muon": "torch's Muon changes matrices alone, and kernels of convolutions, biases and normalisations are "
    "none: write `adamw`",
    "sparseadam": "it is for sparse gradients, which no layer has: write `adam`",
}
"""Why a recipe has none of these, and what to write; in small letters without underscores."""

ARGUMENTS_ELSEWHERE: dict[str, tuple[tuple[str, ...], str | None]] = {
    "filters": (("channels",), None),
    "out_channels": (("channels",), None),
    "units": (("features",), None),
    "out_features": (("features",), None),
    "in_channels": ((), CHANNELS_FOLLOW),
    "in_features": ((), CHANNELS_FOLLOW),
    "num_features": ((), CHANNELS_FOLLOW),
    "num_channels": ((), CHANNELS_FOLLOW),
    "input_shape": ((), "what reaches a layer is never written: the network's `input` line says it once"),
    "inplace": ((), "leave it out: archdsl decides where a value is stored"),
    "activation": ((), "an activation is a layer of its own: `-> relu`"),
    "pool_size": (("kernel",), None),
    "use_bias": (("bias",), None),
    "negative_slope": (("slope",), None),
    "alpha": (("slope",), None),
    "p": (("rate",), None),
    "num_groups": (("groups",), None),
    "scale_factor": (("scale",), None),
    "upscale_factor": (("factor",), None),
    "downscale_factor": (("factor",), None),
    "output_size": (("size",), None),
    "ceil_mode": (("ceil",), None),
    "count_include_pad": (("count_padding",), None),
    "epsilon": (("eps",), None),
    "learning_rate": (("lr",), None),
    "dim": (("axis",), None),
}
"""By name: the arguments that may be meant, the first that the layer has, or why there is none."""


ARGUMENT_WORDS_ELSEWHERE = {
    "padding": {"valid": "0"},
    "padding_mode": {"constant": "zeros"},
}
"""By argument: words that other libraries take for it, and what is written here."""


def word_meant(name: str, words: Iterable[str]) -> str | None:
    """The word of a recipe that was most likely meant: by another name, its initials, or one like it."""
    known = list(words)
    small = name.lower()
    initials = {"".join(part[0] for part in word.split("_")): word for word in known if "_" in word}
    for one in (small, small.partition("_")[0]):
        meant = one if one in known else WORDS_ELSEWHERE.get(one, initials.get(one))
        if meant in known:
            return meant
    return nearest(small, known)


def layer_elsewhere(name: str) -> tuple[str | None, str] | None:
    """The layer that another library calls `name`, and how it is written here; None if there is none."""
    bare = name.rsplit(".", 1)[-1].lower().replace("_", "")
    dimensionless = re.sub(r"[123]d$", "", bare)
    for key in (bare, dimensionless):
        if key in LAYERS_ELSEWHERE:
            return LAYERS_ELSEWHERE[key]
    kind = _by_bare_name(LAYERS).get(dimensionless)
    if kind is None:
        return None
    return (
        kind,
        _SAME_LAYER if bare != dimensionless else _SMALL_LETTERS,
    )


def _by_bare_name(kinds: Iterable[str]) -> dict[str, str]:
    return {kind.replace("_", ""): kind for kind in kinds}
