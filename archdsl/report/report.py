"""The report of a network: everything that the analyses found, as `analyze --json` prints it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from archdsl.sizes import Size

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""

SUMMED = ("weights", "biases", "parameters", "buffers", "macs", "flops", "activation_bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a report: a layer, or a folded block.

    `facts` is the layer's object of the JSON, but with sizes that depend on symbols as expressions.
    `path` are the names of the scopes around it, from the outermost.
    """

    facts: dict[str, Any]
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A scope of the network, as a folded table shows it: what it is, and the layer whose value it gives."""

    kind: str
    result: str


@dataclass(frozen=True, slots=True)
class Report:
    """A network's report. `inputs` are names and shapes; `scopes` are all scopes by name."""

    name: str
    inputs: list[tuple[str, list[Size]]]
    outputs: list[str]
    layers: list[Entry]
    totals: dict[str, Any]
    scopes: dict[str, Fold]
    batch: Size = 1
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
        return [
            self._folded(entry, members[entry.facts["name"]]) if "kind" not in entry.facts else entry
            for entry in folded
        ]

    def _folded(self, entry: Entry, members: list[Entry]) -> Entry:
        name = entry.facts["name"]
        scope = self.scopes[name]
        result = next((m for m in members if m.facts["name"] == scope.result), members[-1])
        inside = {member.facts["name"] for member in members}
        origins = [origin for member in members for origin in member.facts["from"] if origin not in inside]
        facts = {
            **result.facts,
            "name": name,
            "kind": scope.kind or _count(len(members)),
            "from": list(dict.fromkeys(origins)),
            "line": members[0].facts["line"],
            "defined": None,
        }
        for figure in SUMMED:
            facts[figure] = sum(member.facts[figure] for member in members)
        return Entry(facts, entry.path)


def _count(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"


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
