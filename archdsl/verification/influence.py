"""How far a patch on a uniform background is felt, and whether that stays inside every border."""

from __future__ import annotations

from archdsl.analysis.equivariance import Equivariance
from archdsl.analysis.flow import Flow, Pattern
from archdsl.layers.layer import Layer
from archdsl.layers.stencils import Reach
from archdsl.sizes import Size

Span = tuple[int, int]
"""The first and the last position along an axis; they may lie outside the map."""

COPYING = frozenset(("reflect", "replicate", "circular"))
"""What a padding is filled with, where that is copies of samples."""


def inside(flow: Flow, certificates: list[Equivariance], patches: dict[int, tuple[Span, ...]]) -> list[bool]:
    """By value, whether nothing before it feels the patch within its border.

    `patches` are where content lies, all the places it is moved to together, by the input's value.
    """
    spans: list[tuple[Span, ...] | None] = []
    fine: list[bool] = []
    for i, (rules, before) in enumerate(zip(flow.rules, flow.feeds, strict=True)):
        for result, reader in enumerate(rules.readers):
            value = flow.starts[i] + result
            span, whole = patches.get(value), all(fine[feed] for feed in before)
            certificate = certificates[value]
            for feed, reading, extents in zip(before, reader.readings, reader.extents_in, strict=True):
                felt = spans[feed]
                if felt is None or reading is Reach.POOLED:
                    continue
                if isinstance(reading, tuple):
                    if not _within(flow.nodes[i].layer, certificate, reading, felt, extents, reader.extents):
                        whole = False
                        continue
                    reached = [_reached(p, one) for p, one in zip(reading, felt, strict=False)]
                    if None in reached or len(reading) != len(felt):
                        whole = False
                        continue
                    felt = tuple(one for one in reached if one is not None)
                if span is None:
                    span = felt
                elif len(span) == len(felt):
                    span = tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(span, felt, strict=True))
                else:
                    whole = False
            if certificate.translation == "equivariant" and span is not None:
                whole = whole and all(
                    motion.ring
                    or (
                        motion.before is not None
                        and motion.after is not None
                        and isinstance(extent, int)
                        and motion.before <= low
                        and high < extent - motion.after
                    )
                    for motion, (low, high), extent in zip(
                        certificate.motions, span, reader.extents, strict=True
                    )
                )
            spans.append(span if certificate.translation == "equivariant" else None)
            fine.append(whole)
    return fine


def _within(
    layer: Layer,
    certificate: Equivariance,
    reading: tuple[Pattern, ...],
    felt: tuple[Span, ...],
    extents_in: tuple[Size, ...],
    extents: tuple[Size, ...],
) -> bool:
    """Whether what is felt is read where it lies, and nowhere else.

    Content that has moved round a ring is not, once the ring is open; nor is content so near an end that a
    padding has copies of it.
    """
    copies = not COPYING.isdisjoint((layer.values.get("padding_mode"), layer.values.get("mode")))
    for j, (pattern, (first, last), extent_in, extent) in enumerate(
        zip(reading, felt, extents_in, extents, strict=False)
    ):
        if certificate.translation == "equivariant" and certificate.motions[j].ring:
            continue
        if not isinstance(extent_in, int) or not isinstance(extent, int):
            return False
        margin = 0
        if copies:
            # Layers that pad have one window a unit.
            outside = max(
                -(pattern.low[0] or 0),
                (extent - 1) * pattern.step_in + (pattern.high[0] or 0) - extent_in + 1,
            )
            margin = outside + 1 if outside > 0 else 0
        if first < margin or last >= extent_in - margin:
            return False
    return True


def _reached(pattern: Pattern, span: Span) -> Span | None:
    """The units that read something of a stretch, as one stretch; None where that can't be told."""
    first, last = span
    units: list[int] = []
    for phase, (low, high) in enumerate(zip(pattern.low, pattern.high, strict=True)):
        if low is not None and high is not None:
            units.append(-((high - first) // pattern.step_in) * pattern.step_out + phase)
            units.append((last - low) // pattern.step_in * pattern.step_out + phase)
    return (min(units), max(units)) if units else None


def local(flow: Flow) -> list[bool]:
    """By value, whether it is made without statistics of whole maps: then a circular shift moves it."""
    found: list[bool] = []
    for rules, before in zip(flow.rules, flow.feeds, strict=True):
        for reader in rules.readers:
            whole = any(reading in (Reach.NORMALISED, Reach.POOLED) for reading in reader.readings)
            found.append(not whole and all(found[feed] for feed in before))
    return found
