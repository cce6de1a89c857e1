"""Weights from a file that are not those of the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from archdsl.problems.problem import Problem, listed, plural

Shown = tuple[tuple[str, str], ...]
"""Names of layers, or of a file's modules, each with the shapes of its tensors."""


def _shown(some: Shown) -> str:
    words = [f"`{name}` {shapes}" for name, shapes in some[:3]]
    if len(some) > 3:
        words.append(f"{len(some) - 3} more")
    return listed(words)


Way = Literal["recipe", "python", "command"]
"""Where the weights are asked for: in a recipe, by `net.build`, or by options of a command."""


def asked_by(problem: Problem, way: Way) -> Problem:
    """A problem whose mend is in the words of the place where the weights are asked for."""
    if isinstance(problem, LayersWithoutWeights | WeightsWithoutLayers | SeveralSetsOfWeights):
        return replace(problem, way=way)
    return problem


def _leaving_out(prefixes: tuple[str, ...], way: Way) -> str:
    form = "--ignore {}" if way == "command" else '"{}"'
    words = [form.format(prefix) for prefix in prefixes[:5]]
    words += ["..."] if len(prefixes) > 5 else []
    return f"`{' '.join(words)}`" if way == "command" else f"`ignored=[{', '.join(words)}]`"


def _taking(prefixes: tuple[str, ...], way: Way) -> str:
    form = "--only {}" if way == "command" else 'only="{}"'
    return listed([f"`{form.format(prefix)}`" for prefix in prefixes], "or")


class BadWeights(Problem):
    """A file that `pretrained` names is not there, or holds no weights that can be read.

    It is a `.safetensors` file, a file of `torch.save` with the tensors by name (a `state_dict`), or the
    folder of a run. Files that could run code are not read.
    """

    file: str
    reason: str

    def message(self) -> str:
        return f"`{self.file}` {self.reason}"

    def label(self) -> str:
        return "no weights"


class NoSuchPrefix(Problem):
    """What is to be left out of a file of weights, or alone to be taken from it, is not in it."""

    prefix: str
    meant: str | None

    def message(self) -> str:
        return f"nothing in the file is called `{self.prefix}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else "no such name"


class SeveralSetsOfWeights(Problem):
    """A file holds several sets of weights, and which is meant is not said.

    A checkpoint may have the weights of a network and their average, say. `only` names the set to take from,
    as it names a part of one: `only="ema"`, or `only="ema.encoder"`.
    """

    file: str
    sets: tuple[str, ...]
    way: Way = "recipe"

    def message(self) -> str:
        return f"`{self.file}` holds several sets of weights: {listed([f'`{name}`' for name in self.sets])}"

    def label(self) -> str:
        return "which of them is not said"

    def help(self) -> str:
        return f"{_taking(self.sets, self.way)} takes one of them"


class LayersWithoutWeights(Problem):
    """The file has no weights for layers of the network.

    The network is another one, or a part of it was replaced: a new head, say, for other classes. Such a
    part is given an initialisation of its own, and what stands in the file in its place is left out.
    """

    layers: Shown
    """Those that may be meant, where order alone would tell."""
    count: int
    """How many of them the file has nothing for."""
    lacking: tuple[str, ...]
    """The tensors that alone are missing, where it is not all of a layer's."""
    left: Shown
    prefixes: tuple[str, ...]
    thirds: str | None = None
    """Under what in the file there are three modules that, joined, have the shape of the first layer."""
    way: Way = "recipe"

    def message(self) -> str:
        named = " and ".join(f"`{name}`" for name in self.lacking)
        what = f"no {named}" if self.lacking else "nothing"
        of = "" if len(self.layers) == self.count else " among these"
        return f"the file has {what} for {plural(self.count, 'layer')}{of}: {_shown(self.layers)}"

    def label(self) -> str:
        return "weights of another network"

    def notes(self) -> tuple[str, ...]:
        if self.lacking or not self.left:
            return ()
        there = (f"in the file, and not in the network: {_shown(self.left)}",)
        if self.thirds is None:
            return there
        whole, part = f"`{self.layers[0][0]}`", f"`{self.thirds}`"
        return (*there, f"{whole} has the shape of three modules under {part} that are joined")

    def help(self) -> str:
        if "bias" in self.lacking:
            return "save the whole `state_dict()` of a model; a layer without a bias has `bias=false`"
        if self.thirds is not None:
            return (
                "queries, keys and values are of one layer here: join their weights, and their biases, by "
                "`torch.cat([q, k, v])`"
            )
        if self.lacking:
            return "save the whole `state_dict()` of a model: it has the running statistics, too"
        part = self.layers[0][0]
        if len(self.layers) > 1:
            part = part.rpartition(".")[0] or part
        forms = {"recipe": "{}.initialize = he", "python": 'fresh=["{}"]', "command": "--fresh {}"}
        mend = f"`{forms[self.way].format(part)}` begins a part of the network anew"
        if not self.prefixes:
            return mend
        return f"{mend}; {_leaving_out(self.prefixes, self.way)} leaves parts of the file out"


class WeightsWithoutLayers(Problem):
    """The file has weights that no layer of the network takes.

    Nothing is left out in silence, for the network may be another: a shallower one of the same family has
    layers of the same shapes.
    """

    modules: Shown
    count: int
    prefixes: tuple[str, ...]
    whole: tuple[str, ...] = ()
    """The prefixes under which there is all that the network has, where they are several."""
    way: Way = "recipe"

    def message(self) -> str:
        return f"the file has weights for {plural(self.count, 'layer')} more than the network"

    def label(self) -> str:
        return "weights of another network"

    def notes(self) -> tuple[str, ...]:
        there = (f"of this form: {_shown(self.modules)}",)
        if not self.whole:
            return there
        sets = listed([f"`{prefix}`" for prefix in self.whole])
        return (*there, f"each of {sets} has all that the network has")

    def help(self) -> str:
        if self.whole:
            return f"{_taking(self.whole, self.way)} takes one of them"
        if len(self.modules) > self.count:
            names = listed([f'"{prefix}"' for prefix in self.prefixes[:5]], "or")
            more = f", or {len(self.prefixes) - 5} more" if len(self.prefixes) > 5 else ""
            those = "one" if self.count == 1 else f"{self.count:,}"
            leaving = _leaving_out(("...",), self.way)
            return f"to leave {those} of them out: {leaving} with {those} of {names}{more}"
        if self.prefixes:
            return f"to leave them out: {_leaving_out(self.prefixes, self.way)}"
        return f"to leave some out, name what they stand under: {_leaving_out(('...',), self.way)}"


class ComputedWeights(Problem):
    """The file has no weights of a layer, but what they are computed from.

    So torch keeps layers with a weight norm, a spectral norm or another parametrisation, and layers that
    were pruned: `weight_g` and `weight_v`, say, or `weight_orig` and `weight_mask`. None of these is the
    weight that the layer computes with, so none is taken for it. `torch.nn.utils` has a call for each of
    them that puts the weight itself in their place, to be made before the model is saved:

    ```text
    for layer in model.modules():
        if torch.nn.utils.parametrize.is_parametrized(layer, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")
    torch.save(model.state_dict(), "plain.pth")
    ```
    """

    tensor: str
    of: tuple[str, ...]
    """The tensors of the file that it is computed from."""
    end: str
    """The call that puts it in their place."""
    count: int
    """Of how many layers it is so."""

    def message(self) -> str:
        others = f", and so of {plural(self.count - 1, 'more layer')}" if self.count > 1 else ""
        return f"the file has no `{self.tensor}`, but what it is computed from{others}"

    def label(self) -> str:
        return "weights that are computed"

    def notes(self) -> tuple[str, ...]:
        return (f"in its place: {listed([f'`{name}`' for name in self.of])}",)

    def help(self) -> str:
        return f"before the model is saved, `{self.end}` for each such layer puts the weight itself there"


class PermutedWeights(Problem):
    """The file has the layers of the network, but in an order from which they can't be told.

    Either two of equal shape are numbered otherwise than they are ordered, or there is no order of what
    stands under the file's prefixes in which all shapes are those of the network.
    """

    first: str | None
    second: str | None
    apart: Shown = ()
    """A layer of the network, and the module that has its place in the file: the first that are not alike."""
    scattered: bool = False
    """Whether neither shapes nor names speak against the file's order, but the prefixes do."""

    def message(self) -> str:
        if self.first is None:
            return "the file has layers of the network's shapes, but in no order that is the network's"
        return f"`{self.first}` stands before `{self.second}` in the file, and their shapes are equal"

    def label(self) -> str:
        return "weights of another network" if self.first is None else "which is which can't be told"

    def notes(self) -> tuple[str, ...]:
        if self.scattered:
            return ("what stands under one prefix in the file does not run together in the network",)
        if not self.apart:
            return ()
        layer, module = self.apart
        return (f"where the network has {_shown((layer,))}, the file has {_shown((module,))}",)

    def help(self) -> str:
        return "rename the file's tensors as the network has them: then they are matched by name"


class LayoutOfWeights(Problem):
    """How a learned value of the network lies in the file can't be told.

    A `parameter` is a value of the network: its channels first, and then its positions. Other libraries have
    tokens as [1, positions, channels], and then it is turned, for the number of channels tells which axis
    theirs is. Where there are as many positions, it does not.
    """

    layer: str
    tensor: str
    file_name: str
    own: tuple[int, ...]
    its: tuple[int, ...]

    def message(self) -> str:
        return f"the channels of `{self.file_name}` {list(self.its)} may be its first axis, or its last"

    def label(self) -> str:
        return "a layout that can't be told"

    def help(self) -> str:
        name = f"`{self.layer}.{self.tensor}`"
        return f"save it as the network has it, the channels first: {name}, of {list(self.own)}"


class AmbiguousWeights(Problem):
    """The file's weights fit the network in more than one way."""

    layer: str | None
    first: str
    second: str

    def message(self) -> str:
        whose = f"`{self.layer}` may be" if self.layer else "which is which can't be told of"
        return f"{whose} `{self.first}` {'or' if self.layer else 'and'} `{self.second}`"

    def label(self) -> str:
        return "weights that fit in several ways"

    def help(self) -> str:
        return "rename the file's tensors as the network has them: then they are matched by name"
