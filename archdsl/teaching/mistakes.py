"""What is nearly always a mistake: found at every check, in one walk along the layers.

Layers with equal arguments on inputs of equal shapes share their rules in a `Flow`, so what those alone
decide is decided once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archdsl.analysis.flow import Flow
from archdsl.compiler.network import Node
from archdsl.problems.teaching import BiasBeforeNorm, DropoutBeforeNorm, UnseenSamples
from archdsl.source import Span
from archdsl.teaching.finding import NEAR, Finding, Readers, place_of
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

KEPT = frozenset({"identity", "add", "subtract", "concat", "max_pool", "avg_pool", "global_avg_pool"})
"""Layers that give a number on whose channel the same number was added everywhere as one of their own."""

DROPOUTS = frozenset({"dropout", "channel_dropout"})

SCALED = frozenset({"identity", "relu", "leaky_relu", "prelu"})
"""Activations that a factor passes through: a dropout before them is one after them."""


def mistakes(flow: Flow) -> Iterator[Finding]:
    """The findings, in order of execution: the first at each place."""
    # To find nothing must cost next to nothing: rules are looked at once, not once a layer.
    ids = [*map(id, flow.rules)]
    checks: dict[int, Check] = {}
    biased: set[int] = set()
    for rules, i in dict(zip(ids, range(len(ids)), strict=True)).items():
        node = flow.nodes[i]
        kind = node.layer.kind
        if kind in DROPOUTS:
            if node.layer.values["rate"]:
                checks[rules] = _dropped
            continue
        if not flow.rules[i].kept and loses(node, flow.rules[i]):
            checks[rules] = _lost
        if kind in BIASED and flow.rules[i].biases != 0:
            biased.add(rules)
    if not checks and not biased:
        return
    readers = Readers(flow)
    needless = _needless(flow, readers, [i for i, rules in enumerate(ids) if rules in biased])
    told: set[Span] = set()
    for i, rules in enumerate(ids):
        if rules in checks and (place := place_of(flow.nodes[i])) not in told:
            for found in checks[rules](flow, readers, i):
                told.add(place)
                yield found
        if i in needless:
            yield needless[i]


Check = Callable[[Flow, Readers, int], Iterator[Finding]]


# ------------------------------------------------------------------------------ before a normalisation


def _dropped(flow: Flow, readers: Readers, i: int) -> Iterator[Finding]:
    node = flow.nodes[i]
    waiting = [i]
    for one in waiting:
        for j in readers.of(flow.starts[one]):
            norm = flow.nodes[j]
            if norm.kind in ("batch_norm", "group_batch_norm"):
                problem = DropoutBeforeNorm(node.kind, norm.kind)
                yield Finding(problem, node, ((norm, "normalised here"),))
                return
            if norm.kind in SCALED and len(waiting) < NEAR:
                waiting.append(j)


def _needless(flow: Flow, readers: Readers, biased: list[int]) -> dict[int, Finding]:
    """The biases that a normalisation takes away at every use of the line that has them, by the first use."""
    norms = Norms(flow, readers)
    found: dict[Span, list[int]] = {}
    needed: set[Span] = set()
    for i in biased:
        place = place_of(flow.nodes[i])
        if norms.after(i) is None:
            needed.add(place)
        else:
            found.setdefault(place, []).append(i)
    if needed:
        # A shared layer has one bias for all its uses.
        owners = {flow.nodes[i].first or flow.nodes[i] for i in biased if norms.after(i) is None}
        needed |= {place_of(owner) for owner in owners}
    told: dict[int, Finding] = {}
    for place, uses in found.items():
        own = [i for i in uses if flow.nodes[i].first is None]
        if place in needed or not own:
            continue
        node, norm = flow.nodes[own[0]], norms.after(own[0])
        assert norm is not None
        count = sum((flow.rules[i].biases for i in own[1:]), flow.rules[own[0]].biases)
        biases = f"{count:,}" if isinstance(count, int) else str(count)
        problem = BiasBeforeNorm(node.kind, norm.kind, biases, _without_bias(node))
        told[own[0]] = Finding(problem, node, ((norm, "subtracted here"),))
    return told


class Norms:
    """The normalisations that take away what is added to a whole channel of a value."""

    def __init__(self, flow: Flow, readers: Readers) -> None:
        self._flow = flow
        self._readers = readers
        self._further: list[Node | None] | None = None

    def after(self, i: int) -> Node | None:
        """The normalisation that takes a layer's bias away; None where something else reads the layer."""
        return self._of(self._flow.starts[i])

    def _of(self, value: int) -> Node | None:
        if value in self._readers.given:
            return None
        nodes = [self._flow.nodes[j] for j in self._readers.of(value)]
        if not nodes or not all(node.kind in NORMS or _keeps(node) for node in nodes):
            return None
        if all(node.kind in NORMS for node in nodes):
            return nodes[0]
        # What lies behind the layers in between is worked out for all values at once, from the last on.
        if self._further is None:
            self._further = self._all()
        return self._further[value]

    def _all(self) -> list[Node | None]:
        flow = self._flow
        found: list[Node | None] = [None] * len(flow.makers)
        for value in range(len(found) - 1, -1, -1):
            if value in self._readers.given:
                continue
            first: Node | None = None
            for j in self._readers.of(value):
                node = flow.nodes[j]
                norm = node if node.kind in NORMS else found[flow.starts[j]] if _keeps(node) else None
                if norm is None:
                    first = None
                    break
                first = first or norm
            found[value] = first
        return found


def _keeps(node: Node) -> bool:
    """Whether what is added to a whole channel of an input is added to a whole channel of the result."""
    if node.kind not in KEPT:
        return False
    values = node.layer.values
    if node.kind == "concat":
        return bool(values["axis"] == "channels")
    if node.kind == "avg_pool":
        return values["padding"] == 0 or values["count_padding"] is False
    return len(node.shapes) == 1


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
