"""What the tests know of the bundled networks: what describes them, and sizes at which they are quick."""

from __future__ import annotations

from typing import Any

from expected import ARCHITECTURES

import archdsl

BUNDLED: dict[str, dict[str, str | None]] = {
    "mnist1d_conv.arch": {"MNIST1DConv": "mnist1d_conv"},
    "mnist1d_fc.arch": {"MNIST1DFC": "mnist1d_fc"},
    "lenet5.arch": {"LeNet5": "lenet5_1998", "LeNet5Modern": "lenet5_modern_32"},
    "alexnet.arch": {"AlexNet": "alexnet_book_224p2", "AlexNetTorchvision": "alexnet_torchvision"},
    "alexnet_grouped.arch": {"AlexNetGrouped": "alexnet_grouped_224p2"},
    "vgg.arch": {"VGG11": "vgg_a", "VGG13": "vgg_b", "VGG16": "vgg_d", "VGG19": "vgg_e"},
    "nin.arch": {"NIN": "nin_cifar10"},
    "googlenet.arch": {"GoogLeNet": None, "GoogLeNetTorchvision": "googlenet_torchvision"},
    "resnet.arch": {
        "ResNet18": "resnet18",
        "ResNet34": "resnet34",
        "ResNet50": "resnet50_v1_original",
        "ResNet101": "resnet101_v1_original",
        "ResNet152": None,
        "ResNet50V15": "resnet50",
        "ResNet101V15": "resnet101",
        "ResNet152V15": "resnet152",
    },
    "unet.arch": {"UNet": "unet_2015", "UNetPadded": "unet_padded"},
    "vanilla_cnn.arch": {"VanillaCNN": None},
    "vit.arch": {"ViT": None},
    "swin.arch": {"Swin": None},
    "davit.arch": {"DaViT": None},
    "imagegpt.arch": {"ImageGPT": None},
    "blocks.arch": {},
}
"""Every bundled network and the model of the oracle that it is; None where the oracle has none."""

SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "alexnet.arch": {"inputs": {"image": (3, 67, 67)}},
    "alexnet_grouped.arch": {"inputs": {"image": (3, 67, 67)}},
    "davit.arch": {"parameters": {"side": 64, "window": 4, "stages": [[1, 24, 3], [1, 48, 6]]}},
    "googlenet.arch": {"inputs": {"image": (3, 160, 160)}},
    "imagegpt.arch": {"parameters": {"colours": 16, "side": 4, "width": 24, "depth": 2, "heads": 3}},
    "nin.arch": {"inputs": {"image": (3, 99, 99)}},
    "resnet.arch": {"inputs": {"image": (3, 64, 64)}},
    "swin.arch": {"parameters": {"side": 64, "window": 4, "width": 24, "stages": [[2, 3], [2, 6]]}},
    "unet.arch:UNet": {"inputs": {"image": (1, 188, 188)}},
    "unet.arch:UNetPadded": {"inputs": {"image": (3, 32, 32)}},
    "vanilla_cnn.arch": {"parameters": {"depth": 20}},
    "vgg.arch": {"inputs": {"image": (3, 32, 32)}},
    "vit.arch": {"parameters": {"side": 64, "width": 96, "depth": 2, "heads": 3, "hidden": 192}},
}
"""Sizes at which they take little time, of a file or of one network of it: parameters, inputs' shapes."""


def load(file: str, network: str, small: bool = False) -> archdsl.Net:
    """A bundled network, as it is or at a size that takes little time."""
    sizes = SMALL.get(f"{file}:{network}", SMALL.get(file, {})) if small else {}
    return archdsl.load(ARCHITECTURES / file, network=network, **sizes)
