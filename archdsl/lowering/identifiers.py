"""Names of the file as names of Python.

Labels may be words that Python or `torch.nn.Module` keeps for itself (`lambda`, `forward`, `type`).
Submodules keep their label whatever it is; variables and classes get the nearest free name.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Container

HEADER = ("torch", "nn", "F", "Tensor", "OrderedDict", "Self", "pathlib", "safetensors")
"""The names that a lowered file imports in its head, or where it is run."""

AMBIGUOUS = ("I", "O", "l")
"""Names that look like numbers (pycodestyle's E741)."""

RESERVED = frozenset(
    {*HEADER, *AMBIGUOUS, *dir(builtins), *keyword.kwlist, *keyword.softkwlist, "self", "cls", "model"}
)

MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
        "append",
        "extend",
        "insert",
        "pop",
    ]
)
"""What `torch.nn.Module` and `torch.nn.Sequential` already call something (torch 2.11 to 2.13)."""


def is_plain(key: str) -> bool:
    """Whether a submodule of this name can be written `self.key`."""
    return (
        key.isascii()
        and key.isidentifier()
        and not key.startswith("_")
        and not keyword.iskeyword(key)
        and key not in MODULE_ATTRIBUTES
    )


def identifier(text: str) -> str:
    """The nearest name that Python takes for a variable: `head@2` becomes `head_2`."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text).strip("_")
    return f"x_{name}" if not name or name[0].isdigit() else name


def free(name: str, taken: Container[str], separator: str = "_") -> str:
    """`name` (`name_` if it is reserved), or where that is taken, `name_2`, `name_3` and so on."""
    if name in RESERVED:
        name += "_"
    candidate, number = name, 1
    while candidate in RESERVED or candidate in taken:
        number += 1
        candidate = f"{name}{separator}{number}"
    return candidate


def snake(name: str) -> str:
    """`BasicBlock_1` as `basic_block_1`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel(name: str) -> str:
    """`basic_block` as `BasicBlock`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def numbered(key: str) -> tuple[str, int] | None:
    """`conv_12` as `("conv_", 12)`; None for a name without a number."""
    match = re.fullmatch(r"(.*?)(0|[1-9][0-9]{0,8})", key)
    return (match[1], int(match[2])) if match and match[1] else None
