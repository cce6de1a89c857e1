"""Weights from a file that are not those of the network."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed, plural

Shown = tuple[tuple[str, str], ...]
"""Names of layers, or of a file's modules, each with the shapes of its tensors."""


def _shown(some: Shown) -> str:
    words = [f"`{name}` {shapes}" for name, shapes in some[:3]]
    if len(some) > 3:
        words.append(f"{len(some) - 3} more")
    return listed(words)


def _leaving_out(prefixes: tuple[str, ...]) -> str:
    names = [f'"{prefix}"' for prefix in prefixes[:5]]
    if len(prefixes) > 5:
        names.append("...")
    return f"`ignored=[{', '.join(names)}]`"


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
        return (f"in the file, and not in the network: {_shown(self.left)}",)

    def help(self) -> str:
        if self.lacking:
            return "save the whole `state_dict()` of a model: it has the running statistics, too"
        part = self.layers[0][0].rpartition(".")[0] or self.layers[0][0]
        mend = f"`{part}.initialize = he` begins a part of the network anew"
        return (
            f"{mend}; {_leaving_out(self.prefixes)} leaves parts of the file out" if self.prefixes else mend
        )


class WeightsWithoutLayers(Problem):
    """The file has weights that no layer of the network takes.

    Nothing is left out in silence, for the network may be another: a shallower one of the same family has
    layers of the same shapes.
    """

    modules: Shown
    count: int
    prefixes: tuple[str, ...]

    def message(self) -> str:
        return f"the file has weights for {plural(self.count, 'layer')} more than the network"

    def label(self) -> str:
        return "weights of another network"

    def notes(self) -> tuple[str, ...]:
        return (f"of this form: {_shown(self.modules)}",)

    def help(self) -> str:
        if len(self.modules) > self.count:
            names = listed([f'"{prefix}"' for prefix in self.prefixes[:5]], "or")
            more = f", or {len(self.prefixes) - 5} more" if len(self.prefixes) > 5 else ""
            those = "one" if self.count == 1 else f"{self.count:,}"
            return f'to leave {those} of them out: `ignored=["..."]` with {those} of {names}{more}'
        if self.prefixes:
            return f"to leave them out: {_leaving_out(self.prefixes)}"
        return 'to leave some out, name what they stand under: `ignored=["..."]`'


class PermutedWeights(Problem):
    """The file has the layers of the network, but in an order from which they can't be told.

    Either two of equal shape are numbered otherwise than they are ordered, or there is no order of what
    stands under the file's prefixes in which all shapes are those of the network.
    """

    first: str | None
    second: str | None

    def message(self) -> str:
        if self.first is None:
            return "the file has layers of the network's shapes, but in no order that is the network's"
        return f"`{self.first}` stands before `{self.second}` in the file, and their shapes are equal"

    def label(self) -> str:
        return "weights of another network" if self.first is None else "which is which can't be told"

    def help(self) -> str:
        return "rename the file's tensors as the network has them: then they are matched by name"


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
