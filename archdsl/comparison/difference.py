"""The difference of two networks: layers, figures, names, outputs and recipes held against each other.

Names are no part of the structure: where layers are only called otherwise, the networks are the same. No
more is the recipe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archdsl.comparison.changes import Change, Changes, minus
from archdsl.comparison.declared import Declared, Setting, expectations, parameters, settings
from archdsl.comparison.groups import Group, grouped, told
from archdsl.comparison.likeness import SMALL, UNLIKE, UNLIKE_IN_NAME
from archdsl.comparison.matching import Matching
from archdsl.comparison.naming import Names, units
from archdsl.comparison.outline import Outline
from archdsl.comparison.parts import FIGURES, Part, Parts
from archdsl.compiler.network import Scope
from archdsl.problems.problem import plural
from archdsl.report.report import plain
from archdsl.report.totals import afterwards

if TYPE_CHECKING:
    from archdsl.compiler.network import Network
    from archdsl.report.report import Report
    from archdsl.sizes import Size

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""

TOTALS = (
    "depth",
    "parameters",
    "buffers",
    "macs",
    "flops",
    "parameter_bytes",
    "forward_peak_bytes",
    "training_peak_bytes",
    "receptive_field",
)
"""What is compared of the networks as a whole, by the names of the report."""

READABLE = 32
"""Groups beyond which scopes are folded."""

DEEPEST = 6
"""The depth from which on they are."""


@dataclass(frozen=True, slots=True)
class Total:
    """A figure of the whole networks. A peak is None where the symbols leave it open."""

    name: str
    before: Any
    after: Any
    beside: tuple[str, str] = ("", "")
    """What is said beside it, of either network."""

    @property
    def changed(self) -> bool:
        return bool(self.before != self.after) or self.beside[0] != self.beside[1]

    @property
    def difference(self) -> Size | None:
        """None where there is none, as of receptive fields, which have many figures."""
        return None if self.name == "receptive_field" else minus(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Renaming:
    """A layer that is called otherwise."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of layer or a block, and how often it is in either network."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Output:
    """An output: its name and its place, from 1, in either network; both None in one that lacks it."""

    before: tuple[str, int] | None
    after: tuple[str, int] | None

    @property
    def same(self) -> bool:
        """Whether both have it, at one place."""
        return self.before is not None and self.after is not None and self.before[1] == self.after[1]


class Difference:
    """The difference of two reports, and of what their files say beside layers."""

    def __init__(
        self,
        before: Report,
        after: Report,
        declared: tuple[Declared, Declared] = (Declared(), Declared()),
    ) -> None:
        self.before = before
        self.after = after
        self._declared = declared
        matching = Matching(before.network, after.network)
        self._matching = matching
        self._changes = Changes(
            matching,
            Parts(matching.before, _figures(before, matching.before), matching.scopes.keys()),
            Parts(matching.after, _figures(after, matching.after), matching.scopes.values()),
        )

    @property
    def same(self) -> bool:
        """Whether the structure is the same: layers, arguments, wires, shapes, inputs and outputs."""
        alike = all(entry.status == "same" for entry in self._changes.entries)
        return alike and all(output.same for output in self.outputs)

    @property
    def identical(self) -> bool:
        """Whether nothing at all is otherwise: names and what else the files say are the same, too."""
        renamed = any(o.before and o.after and o.before[0] != o.after[0] for o in self.outputs)
        said = self.recipe or self.parameters or self.expectations or self.before.name != self.after.name
        return self.same and not (self.renamed or renamed or said)

    @property
    def sequence(self) -> list[Change]:
        """Both networks from the inputs on; what is the same is in runs."""
        return self._changes.sequence

    def folded(self, depth: int) -> list[Change]:
        """As `sequence`, with scopes deeper than `depth` as one where something changed in them."""
        return self._changes.folded(depth)

    def readable(self, depth: int | None = None) -> list[Change]:
        """The sequence folded at a depth; without one, where there are too many groups to read."""
        if depth is not None:
            return self.folded(depth)
        found = self.sequence
        for deep in range(DEEPEST, 0, -1):
            if len(self.grouped(found)) <= READABLE:
                break
            found = self.folded(deep)
        return found

    @cached_property
    def changes(self) -> list[Change]:
        """What was added, removed, changed and moved, in order of execution."""
        return told(self.sequence)

    @cached_property
    def groups(self) -> list[Group]:
        """The changes with those that are alike as one, in order of the first of each."""
        return self.grouped(self.changes)

    def grouped(self, changes: list[Change]) -> list[Group]:
        """Those of some changes that the file made, with those that are alike as one."""
        return grouped(told(changes), *self._names)

    @cached_property
    def _names(self) -> tuple[Names, Names]:
        return Names(self.before.network), Names(self.after.network)

    @cached_property
    def affected(self) -> list[Change]:
        """The layers that have another shape or other figures in consequence, one by one."""
        entries = self._changes.entries
        return [self._changes.single(entry) for entry in entries if entry.status == "affected"]

    @cached_property
    def renamed(self) -> list[Renaming]:
        """The layers that are called otherwise, in order of execution."""
        before, after = self._matching.before.nodes, self._matching.after.nodes
        pairs = ((before[i].name, after[j].name) for j, i in enumerate(self._matching.before_of) if i >= 0)
        return [Renaming(ours, theirs) for ours, theirs in pairs if ours != theirs]

    @cached_property
    def in_common(self) -> float:
        """The part of the smaller network that is in the other, by layers.

        Those with matrices of weights count four times as much as others, those with other arguments there
        three quarters.
        """
        return self._matching.in_common()

    @property
    def unlike(self) -> bool:
        """Whether they have so little in common that pairs of layers are chance."""
        most = UNLIKE_IN_NAME if self.before.name == self.after.name else UNLIKE
        return self.in_common <= most and max(self.totals[0].before, self.totals[0].after) > SMALL

    @cached_property
    def kinds(self) -> list[Kind]:
        """The kinds of layers of both, those that are there most often first."""
        return _counted(*([node.kind for node in one.network.nodes] for one in (self.before, self.after)))

    @cached_property
    def blocks(self) -> list[Kind]:
        """The blocks that both use, those that are used most often first."""
        return _counted(*map(_used, (self.before.network, self.after.network)))

    def apart(self) -> tuple[list[Part], list[Part]]:
        """Either network, but for its inputs, as the parts that its outermost labels and blocks are."""
        return self._changes.apart()

    @cached_property
    def outputs(self) -> list[Output]:
        """The outputs of the second network, then those that only the first has."""
        ours = dict(enumerate(zip(self.before.outputs, self.before.network.outputs, strict=True)))
        theirs = dict(enumerate(zip(self.after.outputs, self.after.network.outputs, strict=True)))
        pairs: dict[int, int] = {}
        # One of the same name is the likeliest; after that, one of any name that is of the same value.
        for by_name in (True, False):
            for j, (name, wire) in theirs.items():
                for i, (other, was) in ours.items():
                    if j in pairs or i in pairs.values() or (by_name and name != other):
                        continue
                    if wire.port == was.port and self._changes.same_value(was.node, wire.node):
                        pairs[j] = i
        found = [
            Output((ours[pairs[j]][0], pairs[j] + 1) if j in pairs else None, (name, j + 1))
            for j, (name, _) in theirs.items()
        ]
        gone = [i for i in ours if i not in pairs.values()]
        return found + [Output((ours[i][0], i + 1), None) for i in gone]

    @cached_property
    def recipe(self) -> list[Setting]:
        """The keys of the `train` blocks that say otherwise; none where one of them is not known."""
        return settings(*self._declared)

    @cached_property
    def parameters(self) -> list[Setting]:
        """The parameters that both networks have, with other values."""
        return parameters(self.before.network, self.after.network)

    @cached_property
    def expectations(self) -> list[Setting]:
        """The conditions of `expect` lines that one network alone has, those of one fact together."""
        return expectations(*(one.expected for one in self._declared))

    @cached_property
    def totals(self) -> list[Total]:
        """Every total in the order of the report, the number of layers first."""
        ours, theirs = self.before.totals, self.after.totals
        counts = [len(one.network.nodes) - len(one.network.inputs) for one in (self.before, self.after)]
        layers = Total("layers", counts[0], counts[1])
        fields = afterwards(self.before), afterwards(self.after)
        beside = {"receptive_field": fields}
        return [
            layers,
            *(Total(name, ours[name], theirs[name], beside.get(name, ("", ""))) for name in TOTALS),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object. A size that depends on symbols is a string."""
        numbers = {id(change): number for number, change in enumerate(self.changes)}
        return {
            "schema": SCHEMA,
            "before": _network(self.before),
            "after": _network(self.after),
            "same": self.same,
            "in_common": round(self.in_common, 4),
            "unlike": self.unlike,
            "kinds": {kind.name: {"before": kind.before, "after": kind.after} for kind in self.kinds},
            "blocks": {block.name: {"before": block.before, "after": block.after} for block in self.blocks},
            "totals": {total.name: _total(total) for total in self.totals},
            "changes": [change.to_dict() for change in self.changes],
            "groups": [group.to_dict(numbers) for group in self.groups],
            "affected": [
                {"before": _affected(change.before), "after": _affected(change.after)}
                for change in self.affected
            ],
            "renamed": [{"before": one.before, "after": one.after} for one in self.renamed],
            "outputs": [
                {"before": _output(output.before), "after": _output(output.after)} for output in self.outputs
            ],
            "parameters": _settings(self.parameters),
            "expectations": _settings(self.expectations),
            "recipe": _settings(self.recipe),
        }

    def __repr__(self) -> str:
        return f"<{self.before.name} to {self.after.name}: {plural(len(self.changes), 'change')}>"


def _counted(before: Iterable[str], after: Iterable[str]) -> list[Kind]:
    """How often each name is among some and among others; inputs are no layers."""
    ours, theirs = Counter(before), Counter(after)
    found = [Kind(name, ours[name], theirs[name]) for name in {**ours, **theirs} if name != "input"]
    return sorted(found, key=lambda kind: -max(kind.before, kind.after))


def _used(network: Network) -> Iterator[str]:
    """The blocks that a network uses, each as often as it does."""
    return (unit.block for unit in units(network) if isinstance(unit, Scope) and unit.block is not None)


def _figures(report: Report, outline: Outline) -> list[dict[str, Size]]:
    """The figures of every layer, by its number."""
    analysis = report.analysis
    found: list[dict[str, Size]] = [{} for _ in outline.nodes]
    for node, rules, activation in zip(
        analysis.flow.nodes, analysis.rules, analysis.activation_bytes, strict=True
    ):
        parameters = rules.weights + rules.biases
        # An input is stored by whoever gives it, and no layer of the report.
        stored = 0 if node.kind == "input" else activation
        values = (parameters, rules.buffers, rules.macs, rules.flops, stored)
        found[outline.index[node]] = dict(zip(FIGURES, values, strict=True))
    return found


def _network(report: Report) -> dict[str, Any]:
    return {
        "network": report.name,
        "file": report.network.place.source.name,
        "inputs": [{"name": name, "shape": plain(shape)} for name, shape in report.inputs],
        "outputs": report.outputs,
    }


def _total(total: Total) -> dict[str, Any]:
    found = {"before": plain(total.before), "after": plain(total.after)}
    return found if total.name == "receptive_field" else {**found, "difference": plain(total.difference)}


def _affected(part: Part | None) -> dict[str, Any]:
    assert part is not None
    found = part.to_dict()
    return {name: found[name] for name in ("name", "shape", *FIGURES)}


def _settings(some: list[Setting]) -> list[dict[str, str | None]]:
    return [{"key": one.key, "before": one.before, "after": one.after} for one in some]


def _output(output: tuple[str, int] | None) -> dict[str, Any] | None:
    return None if output is None else {"name": output[0], "place": output[1]}
