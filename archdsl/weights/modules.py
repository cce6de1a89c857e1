"""The tensors of a layer, and of what stands under a prefix of a file: their names, shapes and layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from archdsl.compiler.network import Network
from archdsl.layers.structure import Parameter

COUNTER = "num_batches_tracked"
"""A batch normalisation's counter. Older files have none, and nothing follows from it."""
RUNNING = "running_"
"""How the names of a normalisation's statistics begin."""
WEIGHT, BIAS = "weight", "bias"

PARAMETRIZED = "parametrizations"
"""Under this stand the tensors from which torch's parametrisations compute another."""
COMPUTED = {
    frozenset(("g", "v")): "remove_weight_norm({layer})",
    frozenset(("orig", "u")): "remove_spectral_norm({layer})",
    frozenset(("orig",)): 'prune.remove({layer}, "{tensor}")',
}
"""How the names of tensors end from which torch computes another, and what of `torch.nn.utils` ends that."""

Extents = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """The tensors, by their full names, that a tensor is computed from, and the call that ends it."""

    of: tuple[str, ...]
    end: str


@dataclass(frozen=True, slots=True)
class Module:
    """The tensors of one module: their shapes, by what they are called in it; a bare parameter by nothing.

    `full` has the file's whole names of them. Of a network's layer there are none; `value` says whether its
    tensor is a value that runs through the network, and not what a layer computes with, and `uses` how
    often it is used. Of a file's module `computed` says which of its tensors are not there, but computed
    from others.
    """

    name: str
    tensors: Mapping[str, Extents]
    full: Mapping[str, str] = field(default_factory=dict)
    value: bool = False
    uses: int = 1
    computed: Mapping[str, Computed] = field(default_factory=dict)

    @property
    def shapes(self) -> str:
        return ", ".join(str(list(shape)) for shape in self.tensors.values())


def layers_of(network: Network, wanted: Iterable[str] | None = None) -> list[Module]:
    """The layers of a network that have tensors, in order of execution; only the `wanted` ones if named."""
    names = None if wanted is None else frozenset(wanted)
    uses = Counter(node.name if node.first is None else node.first.name for node in network.nodes)
    found: list[Module] = []
    for node in network.nodes:
        if node.first is not None or node.kind == "input" or (names is not None and node.name not in names):
            continue
        xs = [wire.shape for wire in node.inputs]
        tensors = dict(node.layer.weights(*xs))
        tensors |= {name: buffer.shape for name, buffer in node.layer.buffers(*xs).items()}
        # A network is built before it takes weights, and then no extent of one is open.
        shapes = {
            name: tuple(extent if isinstance(extent, int) else 0 for extent in shape)
            for name, shape in tensors.items()
            if name != COUNTER
        }
        if shapes:
            value = isinstance(node.layer, Parameter)
            found.append(Module(node.name, shapes, value=value, uses=uses[node.name]))
    return found


def modules_of(shapes: Mapping[str, Extents], layers: Iterable[Module]) -> list[Module]:
    """The modules of a file, in the order in which their first tensors come.

    Tensors stand under their module's prefix by the names that those of torch's layers, or of the network's,
    have. A tensor of another name is a module of its own: a bare parameter, of which a class may have many.
    `in_proj_weight` and `in_proj_bias` are `in_proj`'s, as torch's attention names a layer that is none.
    What a tensor is computed from is its module's, and no bare parameter.
    """
    own = {name for layer in layers for name in layer.tensors}
    computed = _computed(shapes, own)
    parts = {full: prefix for prefix, some in computed.items() for one in some.values() for full in one.of}
    split = {full: full.rpartition(".") for full in shapes}
    prefixes = {prefix for prefix, _, name in split.values() if name in own or plain(name)}
    found: dict[str, dict[str, str]] = {}
    for full, (prefix, dot, name) in split.items():
        if name == COUNTER:
            continue
        if full in parts:
            found.setdefault(parts[full], {})[full] = full
            continue
        stem, _, end = name.rpartition("_")
        joined = prefix + dot + stem
        if name in own or plain(name):
            found.setdefault(prefix, {})[name] = full
        elif stem and end in (WEIGHT, BIAS) and f"{joined}_{WEIGHT}" in shapes and joined not in prefixes:
            found.setdefault(joined, {})[end] = full
        else:
            found.setdefault(full, {})[""] = full
    return [
        Module(
            prefix,
            {name: shapes[full] for name, full in names.items()},
            names,
            computed=computed.get(prefix, {}),
        )
        for prefix, names in found.items()
    ]


def _computed(shapes: Mapping[str, Extents], own: set[str]) -> dict[str, dict[str, Computed]]:
    """By module the tensors of a file that are not in it, but computed from what is, as torch names that."""
    found: dict[str, dict[str, Computed]] = {}

    def add(prefix: str, tensor: str, of: Iterable[str], end: str) -> None:
        call = f"torch.nn.utils.{end.format(layer='layer', tensor=tensor)}"
        found.setdefault(prefix, {})[tensor] = Computed(tuple(of), call)

    parametrized: dict[tuple[str, str], list[str]] = {}
    ends: dict[tuple[str, str], dict[str, str]] = {}
    for full in shapes:
        before, inside, rest = f".{full}".partition(f".{PARAMETRIZED}.")
        if inside:
            parametrized.setdefault((before[1:], rest.partition(".")[0]), []).append(full)
            continue
        prefix, _, name = full.rpartition(".")
        stem, _, end = name.rpartition("_")
        if name not in own and (stem in own or WEIGHT in stem or BIAS in stem):
            ends.setdefault((prefix, stem), {})[end] = full
    for (prefix, tensor), names in parametrized.items():
        start = f"{prefix}.{PARAMETRIZED}.{tensor}.original".lstrip(".")
        if any(name.startswith(start) for name in names):
            add(prefix, tensor, names, 'parametrize.remove_parametrizations({layer}, "{tensor}")')
    for (prefix, tensor), its in ends.items():
        whole = f"{prefix}.{tensor}" if prefix else tensor
        calls = [call for some, call in COMPUTED.items() if some <= its.keys()]
        if calls and whole not in shapes:
            add(prefix, tensor, its.values(), calls[0])
    return found


def plain(name: str) -> bool:
    """Whether tensors of torch's layers are called so."""
    return name in (WEIGHT, BIAS) or name.startswith(RUNNING)


def fits(layer: Module, module: Module) -> dict[str, str] | None:
    """The module's name of each of a layer's tensors; None where they differ.

    The one tensor of a layer may be called as it likes. What is computed from others is not there.
    """
    if module.computed:
        return None
    if layer.tensors.keys() == module.tensors.keys():
        pairs = {name: name for name in layer.tensors}
    elif len(layer.tensors) == len(module.tensors) == 1:
        pairs = dict(zip(layer.tensors, module.tensors, strict=True))
    else:
        return None
    alike = all(_alike(layer, layer.tensors[own], module.tensors[its]) for own, its in pairs.items())
    return pairs if alike else None


def _alike(layer: Module, own: Extents, its: Extents) -> bool:
    """Whether a shape is another's, but for extents of 1 and for a map that was flattened to be read.

    A linear layer over a flattened map is a convolution over all of it, and reads in the same order.
    """
    if own == its:
        return True
    if layer.value:
        return layout(own, its) is not None
    if own[:1] != its[:1] or prod(own) != prod(its):
        return False
    return len(own) == 2 or len(its) == 2 or _told(own) == _told(its)


Layout = Literal["channels first", "channels last", "open"]


def layout(own: Extents, its: Extents) -> Layout | None:
    """How a tensor of a file lies that is a value of the network, [channels, positions...]; None if it isn't.

    Other libraries have tokens as [1, positions, channels]. Extents of 1 change no order, and positions may
    be flattened, row by row. So the channels are the first axis of the others, or the last, and their number
    tells which, but where it is that of the positions, too: that is `open`.
    """
    channels, positions = own[0], own[1:]
    told = _told(its)
    if channels == 1 or prod(positions) == 1:
        same = _same_positions(told, positions) if channels == 1 else told == (channels,)
        return "channels first" if same else None
    first = told[:1] == (channels,) and _same_positions(told[1:], positions)
    last = told[-1:] == (channels,) and _same_positions(told[:-1], positions)
    if first and last:
        return "open"
    return "channels first" if first else "channels last" if last else None


def _same_positions(a: Extents, b: Extents) -> bool:
    """Whether positions are the same row by row, on as many axes or on one."""
    a, b = _told(a), _told(b)
    return a == b or (prod(a) == prod(b) and min(len(a), len(b)) <= 1)


def _told(shape: Extents) -> Extents:
    """The extents that tell something: an axis of extent 1 changes the order of no number."""
    return tuple(extent for extent in shape if extent != 1)
