"""What is known, as an editor shows it: figures on a line, signatures, and pages in Markdown."""

from __future__ import annotations

from archdsl.compiler.signatures import Signature
from archdsl.editing.checks import Facts, Seen, Totals
from archdsl.layers.arguments import Parameter, SameAs, written
from archdsl.layers.shapes import Shape
from archdsl.problems import plural
from archdsl.report.columns import shape_text
from archdsl.report.units import human_bytes, separated

MOST = 6
"""Shapes of a line that are listed one by one."""

MEANINGS = {
    "shape": "the list of channels and spatial extents",
    "channels": "the number of channels",
    "size": "the list of spatial extents",
    "length": "the extent of the only spatial axis",
    "height": "the extent from top to bottom",
    "width": "the extent from left to right",
    "depth": "the first spatial extent of a volume",
    "receptive_field": "how many input samples along an axis a unit of it can see",
    "stride": "how many input samples lie between neighbouring units of it",
    "translation": "`equivariant`, `invariant` or `none`: what it does when the input is shifted",
    "rotation": "`equivariant`, `invariant` or `none`: what it does when the input is turned by a quarter",
    "reflection": "`equivariant`, `invariant` or `none`: what it does when the input is reflected",
    "scale": "`equivariant`, `invariant` or `none`: what it does when the input is resized",
    "shift": "the input samples of which shifts must be multiples that it answers to",
    "border": "the units at either end of an axis of which `translation` claims nothing",
    "parameters": "trainable numbers in it, all its layers together",
    "macs": "multiply-accumulates in it for one example, all its layers together",
    "flops": "arithmetic operations in it for one example, all its layers together",
    "memory": "bytes of what its layers make, all of them together",
}
"""What may be asked of values, and of what made them."""

NETWORK_MEANINGS = {
    "parameters": "trainable numbers of the network",
    "macs": "multiply-accumulates for one example",
    "flops": "arithmetic operations for one example",
    "forward_peak": "bytes at the peak of a forward pass",
    "training_peak": "bytes at the peak of a training step",
    "depth": "layers with weights on the longest way from input to output",
}
"""What `expect` may ask of the network."""


def shapes_text(shapes: tuple[Shape, ...]) -> str:
    """The shapes of a line's values: `64 × 56 × 56`, of several `64 × 28 × 28, 10`."""
    said = [shape_text(list(shape)) for shape in shapes]
    return ", ".join(said if len(said) <= MOST else [*said[: MOST - 1], f"… ({len(said)})"])


def facts_text(facts: Facts, exact: bool = True) -> str:
    """What is known besides shapes: `parameters 9,408 · MACs 118,013,952 · field 7 · stride 2`."""
    parts = []
    if facts.parameters is not None:
        parts.append(f"parameters {separated(facts.parameters)}")
    if facts.macs is not None and facts.macs != 0:
        parts.append(f"MACs {separated(facts.macs)}")
    if facts.field:
        parts.append(f"receptive field {facts.field}")
    if facts.stride:
        parts.append(f"stride {facts.stride}")
    return " · ".join(parts)


def seen_text(seen: Seen) -> str:
    """All that is known of a line, as Markdown."""
    first = seen.first[0]
    known = facts_text(first)
    said = f"**{shapes_text(first.shapes)}**" + (f"  \n{known}" if known else "")
    if seen.once:
        return said
    return f"{said}\n\n{times_text(seen)}"


def times_text(seen: Seen) -> str:
    """How often a line is unrolled, and what else it gives: the figures are those of its first time."""
    networks = list(dict.fromkeys(facts.network for facts in seen.first))
    where = f"first in {networks[0]}" + (
        f", also in {plural(len(networks) - 1, 'other network')}" if len(networks) > 1 else ""
    )
    others = list(seen.shapes)[1:]
    if not others:
        return f"The same shape at every use ({where})."
    listed = "; ".join(shapes_text(shapes) for shapes in others[:MOST])
    more = f" and {len(others) - MOST} more" if len(others) > MOST else ""
    return f"The first of {len(others) + 1} shapes ({where}); at other uses {listed}{more}."


def totals_text(totals: Totals) -> str:
    """A network's figures, as Markdown."""
    peaks = f"forward {human_bytes(totals.forward_peak)}, training {human_bytes(totals.training_peak)}"
    lines = [
        f"parameters {separated(totals.parameters)}",
        f"MACs {separated(totals.macs)}",
        f"memory at its peak: {peaks}",
        f"{plural(totals.depth, 'layer')} with weights one after the other",
    ]
    if totals.field:
        lines.append(f"receptive field {totals.field}")
    return "\n".join(f"- {line}" for line in lines)


def fenced(text: str) -> str:
    """A line of the language in Markdown."""
    return f"```arch\n{text}\n```"


def default_text(parameter: Parameter) -> str:
    """`default 1`, or that there is none."""
    if parameter.required:
        return "required"
    if isinstance(parameter.default, SameAs):
        return f"as `{parameter.default.name}` unless given"
    return f"default {written(parameter.default)}"


def parameter_text(parameter: Parameter) -> str:
    """What an argument is for, what it takes, and its default."""
    return f"{parameter.documentation}: {parameter.kind.expected} ({default_text(parameter)})"


def parameters_page(signature: Signature, parameters: dict[str, Parameter]) -> str:
    """A signature, and each of its arguments."""
    listed = "\n".join(f"- `{name}`: {parameter_text(one)}" for name, one in parameters.items())
    return fenced(signature.text) + (f"\n\n{listed}" if listed else "")
