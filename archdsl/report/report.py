"""The report of a network: everything that the analyses found, as `analyze --json` prints it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archdsl.analysis import Analysis, Facts, Totals
    from archdsl.compiler import Network, Scope
    from archdsl.sizes import Size

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""

PRECISIONS = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}
"""The bytes of a number."""

SUMMED = ("weights", "biases", "parameters", "buffers", "macs", "flops", "activation_bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a report: a layer, or a folded scope.

    `facts` is the layer's object of the JSON, but with sizes that depend on symbols as expressions.
    `path` are the names of the scopes around it, from the outermost.
    """

    facts: dict[str, Any]
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A network's report. `inputs` are names and shapes, `scope` is the network's own."""

    name: str
    inputs: list[tuple[str, list[Size]]]
    outputs: list[str]
    layers: list[Entry]
    totals: dict[str, Any]
    scope: Scope
    batch: int = 1
    precision: str = "float32"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object. A size that depends on symbols is a string."""
        return {
            "schema": SCHEMA,
            "network": self.name,
            "inputs": [{"name": name, "shape": _plain(shape)} for name, shape in self.inputs],
            "outputs": list(self.outputs),
            "layers": [_plain(entry.facts) for entry in self.layers],
            "totals": _plain(self.totals),
        }

    def entries(self, depth: int | None = None) -> list[Entry]:
        """The layers in order of execution, scopes that stand deeper than `depth` folded into one entry each.

        The figures of a folded scope are sums; shape, field and equivariance are those of its result.
        """
        if depth is None:
            return self.layers
        folded: list[Entry] = []
        members: dict[str, list[Entry]] = {}
        for entry in self.layers:
            if len(entry.path) < depth:
                folded.append(entry)
                continue
            name = entry.path[depth - 1]
            if name not in members:
                members[name] = []
                folded.append(Entry({"name": name}, entry.path[: depth - 1]))
            members[name].append(entry)
        scopes = {scope.name: scope for scope in _scopes(self.scope)} if members else {}
        return [
            Entry(_folded(scopes[name], members[name]), entry.path)
            if (name := entry.facts["name"]) in members
            else entry
            for entry in folded
        ]


def report_of(network: Network, analysis: Analysis, batch: int = 1, precision: str = "float32") -> Report:
    """The report of an analysed network; `batch` and `precision` are those of the analysis."""
    inputs = set(network.inputs)
    paths: dict[Scope, tuple[str, ...]] = {network.scope: ()}
    layers = [
        Entry(_facts(facts), _path(facts.node.scope, paths))
        for facts in analysis.facts
        if facts.node not in inputs
    ]
    return Report(
        network.name,
        [(node.name, list(node.shape)) for node in network.inputs],
        list(network.output_names),
        layers,
        _totals(analysis.totals),
        network.scope,
        batch,
        precision,
    )


def _facts(facts: Facts) -> dict[str, Any]:
    node = facts.node
    field = facts.receptive_field
    return {
        "name": node.name,
        "kind": node.kind,
        "from": [str(wire) for wire in node.inputs],
        "shape": list(node.shape),
        "weights": facts.weights,
        "biases": facts.biases,
        "parameters": facts.weights + facts.biases,
        "buffers": facts.buffers,
        "macs": facts.macs,
        "flops": facts.flops,
        "activation_bytes": facts.activation_bytes,
        "equivariance": facts.equivariance.to_dict(),
        "receptive_field": None if field is None else field.to_dict(),
        "file": node.use.source.name,
        "line": node.use.line,
        "defined": None if node.defined is None else node.defined.line,
    }


def _totals(totals: Totals) -> dict[str, Any]:
    field = totals.receptive_field
    return {
        "parameters": totals.parameters,
        "trainable": totals.trainable,
        "buffers": totals.buffers,
        "macs": totals.macs,
        "flops": totals.flops,
        "parameter_bytes": totals.parameter_bytes,
        "forward_peak_bytes": totals.forward_peak_bytes,
        "training_peak_bytes": totals.training_peak_bytes,
        "receptive_field": None if field is None else field.to_dict(),
    }


def _path(scope: Scope, paths: dict[Scope, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of a scope and those around it; `paths` has those that were asked for before."""
    if scope not in paths:
        # The network's own scope is always there, so every scope has one around it here.
        assert scope.parent is not None
        paths[scope] = (*_path(scope.parent, paths), scope.name)
    return paths[scope]


def _scopes(scope: Scope) -> Iterator[Scope]:
    """All scopes inside one."""
    from archdsl.compiler import Scope

    waiting = [scope]
    while waiting:
        for member in waiting.pop().members:
            if isinstance(member, Scope):
                yield member
                waiting.append(member)


def _folded(scope: Scope, members: list[Entry]) -> dict[str, Any]:
    """The facts of a scope's layers as those of one layer."""
    from archdsl.problems import plural

    result = scope.outputs[0].node.name if scope.outputs else None
    last = next((m for m in members if m.facts["name"] == result), members[-1])
    inside = {member.facts["name"] for member in members}
    origins = [origin for member in members for origin in member.facts["from"] if origin not in inside]
    facts = {
        **last.facts,
        "name": scope.name,
        "kind": scope.block or plural(len(members), "layer"),
        "from": list(dict.fromkeys(origins)),
        "line": members[0].facts["line"],
        "defined": None,
    }
    for figure in SUMMED:
        facts[figure] = sum(member.facts[figure] for member in members)
    return facts


_PLAIN: dict[type, Callable[[Any], Any]] = {
    dict: lambda value: {key: _plain(item) for key, item in value.items()},
    list: lambda value: [_plain(item) for item in value],
    tuple: lambda value: [_plain(item) for item in value],
    int: lambda value: value,
    str: lambda value: value,
    bool: lambda value: value,
    type(None): lambda value: value,
}


def _plain(value: Any) -> Any:
    """A value as JSON has it: sizes in symbols and fractions as text."""
    return _PLAIN.get(type(value), str)(value)
