"""What is nearly always a mistake: found at every check, in one walk along the layers.

Layers with equal arguments on inputs of equal shapes share their rules in a `Flow`, so what those alone
decide is decided once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archdsl.analysis.flow import Flow, Rules
from archdsl.compiler.network import Node
from archdsl.problems.teaching import BiasBeforeNorm, DropoutBeforeNorm, UnseenSamples
from archdsl.source import Span
from archdsl.teaching.finding import Finding, Readers, place_of
from archdsl.teaching.samples import loses, unseen

NORMS = frozenset({"batch_norm", "group_batch_norm", "instance_norm"})
"""What subtracts from each channel the mean of all positions, whatever was added to the channel."""

BIASED = frozenset(
    {
        "conv",
        "depthwise_conv",
        "conv_transpose",
        "linear",
        "deformable_conv",
        "context_deformable_conv",
        "pixel_adaptive_conv",
        "njet_conv",
        "lifting_conv",
        "group_conv",
        "scale_invariant_conv",
    }
)
"""Layers whose `bias` adds one number to a whole channel of the result, and does nothing else."""

DROPOUTS = frozenset({"dropout", "channel_dropout"})


def mistakes(flow: Flow) -> Iterator[Finding]:
    """The findings, in order of execution: the first at each place."""
    # To find nothing must cost next to nothing: rules are looked at once, not once a layer.
    ids = [*map(id, flow.rules)]
    checks: dict[int, list[Check]] = {}
    for rules, i in dict(zip(ids, range(len(ids)), strict=True)).items():
        may_be_wrong = _checks(flow.nodes[i], flow.rules[i])
        if may_be_wrong:
            checks[rules] = may_be_wrong
    if not checks:
        return
    readers = Readers(flow)
    needed: set[Node] | None = None
    told: set[tuple[Check, Span]] = set()
    for i, check in [(i, check) for i, rules in enumerate(ids) if rules in checks for check in checks[rules]]:
        node = flow.nodes[i]
        place = check, place_of(node)
        if place in told:
            continue
        if check is _needless:
            if _norm(flow, readers, i) is None:
                continue
            if needed is None:
                needed = _needed(flow, readers)
            if (node.first or node) in needed:
                continue
        for found in check(flow, readers, i):
            told.add(place)
            yield found


Check = Callable[[Flow, Readers, int], Iterator[Finding]]


def _checks(node: Node, rules: Rules) -> list[Check]:
    """What may be wrong with a layer, by its rules."""
    kind = node.layer.kind
    if kind in DROPOUTS:
        return [_dropped] if node.layer.values["rate"] else []
    found: list[Check] = []
    if not rules.kept and loses(node, rules):
        found.append(_lost)
    if kind in BIASED and rules.biases != 0:
        found.append(_needless)
    return found


# ------------------------------------------------------------------------------ before a normalisation


def _dropped(flow: Flow, readers: Readers, i: int) -> Iterator[Finding]:
    node = flow.nodes[i]
    norms = (flow.nodes[j] for j in readers.of(flow.starts[i]))
    norm = next((one for one in norms if one.kind in ("batch_norm", "group_batch_norm")), None)
    if norm is not None:
        yield Finding(DropoutBeforeNorm(node.kind, norm.kind), node, ((norm, "normalised here"),))


def _norm(flow: Flow, readers: Readers, i: int) -> Node | None:
    """The normalisation that takes a layer's bias away; None where something else reads the layer."""
    value = flow.starts[i]
    if value in readers.given:
        return None
    norms = [flow.nodes[j] for j in readers.of(value)]
    return norms[0] if norms and all(node.kind in NORMS for node in norms) else None


def _needed(flow: Flow, readers: Readers) -> set[Node]:
    """The shared layers whose bias does something at one of their uses, at least, by their first use."""
    uses = {i for i, node in enumerate(flow.nodes) if node.first is not None}
    uses |= {flow.index[node.first] for node in flow.nodes if node.first is not None}
    return {flow.nodes[i].first or flow.nodes[i] for i in uses if _norm(flow, readers, i) is None}


def _needless(flow: Flow, readers: Readers, i: int) -> Iterator[Finding]:
    node = flow.nodes[i]
    norm = _norm(flow, readers, i)
    if norm is not None and node.first is None:
        count = flow.rules[i].biases
        biases = f"{count:,}" if isinstance(count, int) else str(count)
        problem = BiasBeforeNorm(node.kind, norm.kind, biases, _without_bias(node))
        yield Finding(problem, node, ((norm, "subtracted here"),))


def _lost(flow: Flow, readers: Readers, i: int) -> Iterator[Finding]:
    return (found for found in unseen(flow, readers, i) if isinstance(found.problem, UnseenSamples))


def _without_bias(node: Node) -> str | None:
    """The use of a layer, written without its bias; None where it is not plain to see how."""
    text = place_of(node).text
    if not text.startswith(f"{node.kind}(") or not text.endswith(")") or "\n" in text or "#" in text:
        return None
    if "bias" not in text:
        return f"{text[:-1]}, bias=false)"
    mended = text.replace("bias=true", "bias=false")
    return None if mended == text else mended
