"""The columns of a table of layers: what each is called, and what it says of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archdsl.report.units import human, human_bytes, separated
from archdsl.sizes import side_by_side

Facts = Mapping[str, Any]
"""One of the `layers` of a report, as in its JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    `value` is the plain value for CSV; `cell` what people read, and `short` the same in less room.
    `number` columns are aligned to the right.
    """

    key: str
    heading: str
    value: Callable[[Facts], Any]
    cell: Callable[[Facts], str]
    short: Callable[[Facts], str] | None = None
    number: bool = False


def _plain(field: str) -> Callable[[Facts], Any]:
    return lambda facts: facts[field]


def _figure(key: str, heading: str) -> Column:
    """A column of numbers; zero is left blank, so that what counts stands out."""
    return Column(
        key,
        heading,
        _plain(key),
        lambda facts: separated(facts[key]) if facts[key] != 0 else "",
        lambda facts: human(facts[key]) if facts[key] != 0 else "",
        number=True,
    )


def shape_text(shape: list[Any], sign: str = " × ") -> str:
    """`96 × 55 × 55`, or with open sizes `96 × (H//4 + 1) × W`."""
    return side_by_side(shape, sign)


def per_axis(values: list[Any] | None) -> str:
    """One figure where all axes agree, otherwise one an axis."""
    if not values:
        return ""
    if all(value == values[0] for value in values):
        return str(values[0])
    return side_by_side(values, "×")


def field_texts(facts: Facts, part: str, bound: str = "≤") -> str:
    """A part of the receptive field: `51`, `7×3`, `global`; with several inputs one for each.

    `bound` stands before what is a bound, for it depends on the data or on what was learned.
    """
    field = facts["receptive_field"]
    if field is None:
        return ""
    # With several inputs it is an object by input, and an input may be called `global`.
    fields = [field] if isinstance(field.get("global"), bool) else list(field.values())
    texts = [_field_text(one, part, bound) for one in fields]
    return texts[0] if len(set(texts)) == 1 else " / ".join(text or "–" for text in texts)


def _field_text(field: dict[str, Any] | None, part: str, bound: str) -> str:
    if field is None:
        return ""
    if field["global"]:
        return "global" if part == "size" else ""
    text = per_axis(field[part])
    return f"{bound}{text}" if text and field["at_most"] and part in ("size", "taps") else text


def _equivariance(facts: Facts) -> str:
    one = facts["equivariance"]
    if one is None:
        return ""
    shift = f"shift {per_axis(one['shift'])}"
    if one["translation"] == "equivariant":
        return shift
    # What is invariant to some shifts only says to which.
    some = any(step != 1 for step in one["shift"] or ())
    return f"{one['translation']}, {shift}" if some else str(one["translation"])


def _symmetry(facts: Facts) -> str:
    """`equivariant: rotation (regular), reflection`; `~` stands where it holds of samples about."""
    parts: dict[str, list[str]] = {"equivariant": [], "invariant": []}
    for motion in ("rotation", "reflection", "scale"):
        found = facts["equivariance"] and facts["equivariance"][motion]
        if found and found["answer"] in parts:
            fibre = f" ({found['channels']})" if found["channels"] not in (None, "scalar") else ""
            parts[found["answer"]].append(f"{'' if found['exact'] else '~'}{motion}{fibre}")
    return "; ".join(f"{answer}: {', '.join(motions)}" for answer, motions in parts.items() if motions)


def _line(facts: Facts) -> str:
    return str(facts["line"]) if facts["defined"] is None else f"{facts['line']} ({facts['defined']})"


def _field(key: str, heading: str, part: str) -> Column:
    def exact(facts: Facts) -> str:
        return field_texts(facts, part, "")

    def cell(facts: Facts) -> str:
        return field_texts(facts, part)

    return Column(key, heading, exact, cell, number=True)


COLUMNS: dict[str, Column] = {
    column.key: column
    for column in (
        Column("name", "layer", _plain("name"), lambda facts: str(facts["name"])),
        Column("kind", "kind", _plain("kind"), lambda facts: str(facts["kind"])),
        Column("from", "from", lambda facts: " ".join(facts["from"]), lambda facts: ", ".join(facts["from"])),
        Column(
            "shape",
            "output",
            lambda facts: shape_text(facts["shape"], "x"),
            lambda facts: shape_text(facts["shape"]),
            lambda facts: shape_text(facts["shape"], "×"),
        ),
        _figure("weights", "weights"),
        _figure("biases", "biases"),
        _figure("parameters", "parameters"),
        _figure("buffers", "buffers"),
        _figure("macs", "MACs"),
        _figure("flops", "FLOPs"),
        Column(
            "memory",
            "memory",
            _plain("activation_bytes"),
            lambda facts: human_bytes(facts["activation_bytes"]) if facts["activation_bytes"] != 0 else "",
            number=True,
        ),
        _field("field", "field", "size"),
        _field("stride", "stride", "stride"),
        _field("padding", "padding", "padding"),
        _field("taps", "taps", "taps"),
        Column("equivariance", "translation", _equivariance, _equivariance),
        Column("symmetry", "symmetry", _symmetry, _symmetry),
        Column("line", "line", _plain("line"), _line, number=True),
    )
}
"""Every column by the name that `--columns` takes."""

STANDARD = ("name", "kind", "shape", "parameters", "macs", "memory", "field")
"""What a table shows unless told."""

WIDE = (
    "name",
    "kind",
    "shape",
    "parameters",
    "macs",
    "flops",
    "memory",
    "field",
    "stride",
    "equivariance",
    "line",
)
"""What it shows where there is room for it."""
