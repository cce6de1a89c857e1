"""The report of a network: everything that the analyses found, as `analyze --json` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archdsl.collection import uncollected
from archdsl.sizes import Symbolic
from archdsl.source import Span

if TYPE_CHECKING:
    from archdsl.analysis import Analysis, Equivariance, Field, Fields, Symmetry, Totals
    from archdsl.analysis.flow import Rules
    from archdsl.compiler import Network, Scope
    from archdsl.sizes import Size

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""

SUMMED = ("weights", "biases", "parameters", "buffers", "macs", "flops", "activation_bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a report: a layer, or a folded scope.

    `facts` is the layer's object of the JSON, but with sizes that depend on symbols as expressions.
    `path` are the names of the scopes around it, from the outermost.
    """

    facts: dict[str, Any]
    path: tuple[str, ...]


@dataclass(eq=False)
class Report:
    """A network's report: what was found of it, for a batch of so many examples at a precision."""

    network: Network
    analysis: Analysis
    batch: int = 1
    precision: str = "float32"

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def scope(self) -> Scope:
        """The network's own."""
        return self.network.scope

    @property
    def inputs(self) -> list[tuple[str, list[Size]]]:
        """Names and shapes."""
        return [(node.name, list(node.shape)) for node in self.network.inputs]

    @property
    def outputs(self) -> list[str]:
        return list(self.network.output_names)

    @cached_property
    def layers(self) -> list[Entry]:
        """Every layer, in order of execution."""
        paths: dict[Scope, tuple[str, ...]] = {self.scope: ()}
        nodes = [facts.node for facts in self.analysis.facts if facts.node.kind != "input"]
        return [
            Entry(layer, _path(node.scope, paths))
            for node, layer in zip(nodes, _layers(self.analysis), strict=True)
        ]

    @cached_property
    def totals(self) -> dict[str, Any]:
        """The `totals` of the JSON, but with sizes that depend on symbols as expressions."""
        return _totals(self.analysis.totals)

    def __repr__(self) -> str:
        return f"<report of {self.name}, batch {self.batch}, {self.precision}>"

    @uncollected()
    def to_dict(self) -> dict[str, Any]:
        """The JSON object. A size that depends on symbols is a string.

        Layers that have the same receptive field, or the same certificate, have one object in common.
        """
        layers = _layers(self.analysis)
        totals = _totals(self.analysis.totals)
        inputs = [{"name": name, "shape": shape} for name, shape in self.inputs]
        values = [
            {"name": name, "from": str(wire), "shape": list(wire.shape)}
            for name, wire in zip(self.outputs, self.network.outputs, strict=True)
        ]
        mixed = self.analysis.memory.mixed
        if self.network.symbols:
            layers, totals, inputs, values = plain(layers), plain(totals), plain(inputs), plain(values)
        return {
            "schema": SCHEMA,
            "network": self.name,
            "batch": self.batch,
            "precision": self.precision,
            "trained_in": self.precision if mixed is None else mixed.precision,
            "inputs": inputs,
            "outputs": self.outputs,
            "output_values": values,
            "layers": layers,
            "totals": totals,
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
            Entry(folded_scope(scopes[name], members[name]), entry.path)
            if (name := entry.facts["name"]) in members
            else entry
            for entry in folded
        ]


def _layers(analysis: Analysis) -> list[dict[str, Any]]:
    """The objects of the JSON, but with sizes as they are; the inputs are not among them."""
    fields: dict[Field | Fields | None, dict[str, Any] | None] = {}
    # The claims of translation that go with each answer to turns, of which there are few, one after another.
    by_symmetry: dict[Symmetry, tuple[dict[str, Any], dict[Equivariance, dict[str, Any]]]] = {}
    certificates: dict[Equivariance, dict[str, Any]] = {}
    answers: dict[str, Any] = {}
    answered: Symmetry | None = None
    # A block's lines are those of many layers, which follow each other.
    lines: dict[Span | None, int | None] = {None: None}
    last: Span | None = None
    file, line = "", 0
    # What a layer's rules alone decide; most layers share their rules with others.
    figures: dict[int, dict[str, Any]] = {}
    layers: list[dict[str, Any]] = []
    flow, fields_of = analysis.flow, analysis.fields
    certificates_of, symmetries_of = analysis.certificates, analysis.symmetries
    for node, rules, activation, start in zip(
        flow.nodes, analysis.rules, analysis.activation_bytes, flow.starts, strict=True
    ):
        known = figures.get(id(rules))
        if known is None:
            if node.layer.kind == "input":
                continue
            known = figures[id(rules)] = _figures(node.layer.kind, rules, activation)
        field = fields_of[start]
        certificate, symmetry = certificates_of[start], symmetries_of[start]
        if field not in fields:
            fields[field] = None if field is None else field.to_dict()
        if symmetry is not answered:
            answered = symmetry
            if symmetry not in by_symmetry:
                by_symmetry[symmetry] = symmetry.to_dict(), {}
            answers, certificates = by_symmetry[symmetry]
        if certificate not in certificates:
            certificates[certificate] = {**certificate.to_dict(), **answers}
        if node.use is not last:
            last = node.use
            file, line = last.source.name, last.line
        defined = node.defined
        if defined not in lines:
            assert defined is not None
            lines[defined] = defined.line
        layer = known.copy()
        layer["name"] = node.name
        inputs = node.inputs
        if len(inputs) == 1 and len(inputs[0][0].shapes) == 1:
            layer["from"] = [inputs[0][0].name]
        else:
            layer["from"] = [*map(str, inputs)]
        layer["shape"] = [*node.shapes[0]]
        layer["equivariance"] = certificates[certificate]
        layer["receptive_field"] = fields[field]
        layer["file"] = file
        layer["line"] = line
        layer["defined"] = lines[defined]
        layers.append(layer)
    return layers


def _figures(kind: str, rules: Rules, activation_bytes: Size) -> dict[str, Any]:
    """A layer's object of the JSON, its keys in their order; None stands where the rules say nothing."""
    return {
        "name": None,
        "kind": kind,
        "from": None,
        "shape": None,
        "weights": rules.weights,
        "biases": rules.biases,
        "parameters": rules.weights + rules.biases,
        "buffers": rules.buffers,
        "macs": rules.macs,
        "flops": rules.flops,
        "activation_bytes": activation_bytes,
        "equivariance": None,
        "receptive_field": None,
        "file": None,
        "line": None,
        "defined": None,
    }


def _totals(totals: Totals) -> dict[str, Any]:
    field = totals.receptive_field
    return {
        "depth": totals.depth,
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


def plain(value: Any) -> Any:
    """What JSON can hold: an expression in symbols is text."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Symbolic) else value


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


def folded_scope(scope: Scope, members: list[Entry]) -> dict[str, Any]:
    """The facts of a scope's layers as those of one layer."""
    from archdsl.problems import plural

    return folded(
        scope.name, scope.block or plural(len(members), "layer"), members, result_of(scope, members)
    )


def result_of(scope: Scope, members: list[Entry]) -> Entry:
    """Which of its layers makes the result of a scope."""
    result = scope.outputs[0].node.name if scope.outputs else None
    return next((m for m in members if m.facts["name"] == result), members[-1])


def folded(name: str, kind: str, members: list[Entry], last: Entry) -> dict[str, Any]:
    """The facts of several layers as those of one, whose result is the `last` one's."""
    inside = {member.facts["name"] for member in members}
    origins = [origin for member in members for origin in member.facts["from"] if origin not in inside]
    facts = {
        **last.facts,
        "name": name,
        "kind": kind,
        "from": list(dict.fromkeys(origins)),
        "line": members[0].facts["line"],
        "defined": None,
    }
    for figure in SUMMED:
        facts[figure] = sum(member.facts[figure] for member in members)
    return facts
