"""The sizes that a network with open ones takes, as `analyze --legal-sizes` prints them: words and JSON."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from archdsl.problems.problem import listed
from archdsl.report.columns import shape_text
from archdsl.report.diagnostics import WIDTH
from archdsl.report.terminal import BOLD, DIM, Style, visible

if TYPE_CHECKING:
    from archdsl.analysis.legal_sizes import LegalSizes, Refusal
    from archdsl.compiler import Node
    from archdsl.residues import Values

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""


def words(found: LegalSizes, width: int | None = None, style: Style | None = None) -> str:
    """The sets in words, the smallest sizes, and which layers refuse the others."""
    style = style or Style()
    room = width or WIDTH
    inputs = ", ".join(f"{node.name} {shape_text(list(node.shape))}" for node in found.network.inputs)
    inputs = inputs if not style.ascii else inputs.replace("×", "x")
    name = style.paint(found.network.name, BOLD)
    if not found.values:
        example = found.network.inputs[0]
        names = "DHW"[3 - example.shape.axes :] if example.shape.axes > 1 else "L" * example.shape.axes
        opened = ",".join([str(example.shape.channels), *names]) if names else "C"
        return "\n".join(
            [
                f"{name} takes {visible(inputs)} alone: none of its sizes is open.",
                f"A name in capitals leaves one open: `--input {example.name}={opened}`",
            ]
        )
    lines = [f"{name}  {visible(inputs)}", ""]
    conditions = [_set(found, symbol) for symbol in found.values]
    conditions += [one.condition for one in found.together]
    never = [symbol for symbol, values in found.values.items() if not (values.remainders or values.below)]
    if never and found.exact:
        lines += [f"fits for no {listed(never, 'or')}"]
    else:
        lines += ["fits where" if found.exact else "fits, as far as is known, where"]
        lines += [line for text in conditions for line in _wrapped(text, room, 2)]
    if found.smallest is not None:
        smallest = ", ".join(f"{symbol} = {value}" for symbol, value in found.smallest.items())
        lines += ["", f"the smallest: {smallest}"]
    for one in found.unknown:
        where = "" if one.node is None else f"at {one.node.name}, {_place(one.node)}, "
        said = f"not known: {where}{listed(one.symbols)}: {one.reason}; `--size {one.symbols[0]}=...` tells"
        lines += ["", *_wrapped(said, room, 0)]
    refusing = dict.fromkeys([r.node for r in found.refusals] + [t.node for t in found.together])
    if refusing:
        lines += ["", "what refuses the others first"]
    order = {node: i for i, node in enumerate(found.network.nodes)}
    for node in sorted(refusing, key=order.__getitem__):
        lines.append(f"  {style.paint(visible(node.name), BOLD)}, {_place(node)}")
        mine = [refusal for refusal in found.refusals if refusal.node is node]
        if mine:
            lines += _wrapped("; ".join(map(_refused, mine)), room, 4)
            first = mine[0]
            text = f"{first.symbol} = {first.example}: {first.problem.message()}"
            lines += [style.paint(line, DIM) for line in _wrapped(text, room, 4)]
        lines += [
            line
            for one in found.together
            if one.node is node
            for line in _wrapped(f"needs that {one.condition}", room, 4)
        ]
    if found.resized:
        layers = listed([f"{visible(node.name)} ({_place(node)})" for node in found.resized])
        said = f"other weights at other sizes, so that what is trained at one does not fit another: {layers}"
        lines += ["", *_wrapped(said, room, 0)]
    return "\n".join(lines)


def to_dict(found: LegalSizes) -> dict[str, Any]:
    """The JSON object; its schema is shipped as `schema/legal_sizes.json`."""
    return {
        "schema": SCHEMA,
        "network": found.network.name,
        "inputs": [
            {"name": node.name, "shape": [n if isinstance(n, int) else str(n) for n in node.shape]}
            for node in found.network.inputs
        ],
        "exact": found.exact,
        "symbols": {
            symbol: {"text": _set(found, symbol), **_numbers(values), "tried": found.tried.get(symbol)}
            for symbol, values in found.values.items()
        },
        "together": [
            {**_where(one.node), "symbols": list(one.symbols), "condition": one.condition}
            for one in found.together
        ],
        "smallest": found.smallest,
        "resized": [_where(node) for node in found.resized],
        "unknown": [
            {
                **({"layer": None} if one.node is None else _where(one.node)),
                "symbols": list(one.symbols),
                "reason": one.reason,
            }
            for one in found.unknown
        ],
        "refused": [
            {
                **_where(one.node),
                "symbol": one.symbol,
                "text": one.values.said(one.symbol),
                "tried": one.tried,
                **_numbers(one.values),
                "example": one.example,
                "name": one.problem.name,
                "message": one.problem.message(),
            }
            for one in found.refusals
        ],
    }


def _set(found: LegalSizes, symbol: str) -> str:
    """`H mod 16 is 0`; `H is 7, of 1 to 500`, where no more is known."""
    values = found.values[symbol]
    said = _said(values, symbol) or f"no {symbol} fits"
    up_to = found.tried.get(symbol)
    return said if up_to is None else f"{said} (tried up to {symbol} = {up_to:,}; not known beyond)"


def _said(values: Values, symbol: str) -> str:
    return f"{symbol} is any size" if values.everything else values.said(symbol)


def _refused(one: Refusal) -> str:
    """`H is 1 to 6`; of what was tried, where more is not known."""
    up_to = "" if one.tried is None else f", of those up to {one.tried:,}"
    return f"{one.values.said(one.symbol)}{up_to}"


def _numbers(values: Values) -> dict[str, Any]:
    return {
        "below": sorted(values.below),
        "from": values.start,
        "period": values.period,
        "remainders": sorted(values.remainders),
    }


def _where(node: Node) -> dict[str, Any]:
    return {
        "layer": node.name,
        "file": node.use.source.name,
        "line": node.use.line,
        "defined": None if node.defined is None else node.defined.line,
    }


def _place(node: Node) -> str:
    """`line 9`, `line 3 (used in line 12)`."""
    if node.defined is None:
        return f"line {node.use.line}"
    other = node.defined.source is not node.use.source
    file = f" of {visible(node.defined.source.name)}" if other else ""
    return f"line {node.defined.line}{file} (used in line {node.use.line})"


def _wrapped(text: str, room: int, indent: int) -> list[str]:
    before = " " * indent
    return wrap(visible(text), max(room, 20 + indent), initial_indent=before, subsequent_indent=before + "  ")
