"""Inputs really moved, and every value compared with what its certificate says of it.

Translation is measured in two ways, as the certificate means it. Where a value is made without statistics of
whole maps, its input is moved circularly: units that both lie outside the border must be equal, along a ring
all of them. Otherwise a patch of noise moves on a uniform background, if it can be told from what layers read
that nothing before the value feels it within its border (`archdsl.verification.influence`); if the map is too
small for that, the claim is not measured.

Where nothing is claimed, the shift that the extents suggest is tried: what a value answers to with at most a
quarter of its units at either end left out is found, unless it is so for want of any variation.

Scale is measured where the claim is exact, by the same network compiled for inputs of twice the extents, with
the same weights, each sample repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite, prod

import torch
from torch import Tensor

from archdsl.analysis import Analysis
from archdsl.analysis.equivariance import Equivariance
from archdsl.analysis.symmetry import Answer
from archdsl.compiler import Network, Program, Wire
from archdsl.layers.shapes import Shape
from archdsl.layers.symmetry import ACTED_ON, Fibre, Motion
from archdsl.verification.enlarging import FACTOR, enlarged, has_positions, larger
from archdsl.verification.findings import Finding, MotionName, Verification
from archdsl.verification.influence import Span, inside, local
from archdsl.verification.running import Inputs, Running
from archdsl.verification.ties import undecided

TOLERANCE = 1e-8
"""The largest difference that rounding explains, as a share of a value's largest number."""
CANCELLED = 1e-4
"""The share of what a value is made of below which it may have cancelled out but for rounding."""
MOST_NUMBERS = 2**26
"""The most numbers that all values of a pass may have together: half a gigabyte."""
MOST_FLOPS = 10**12
"""The most arithmetic operations of all passes together: a few minutes of one processor."""
PATCHES = (4, 2, 1)
"""The extents of a patch, the largest that fits first."""
LEAST_FOUND = 3
"""The fewest units along an axis by which a motion that is not claimed can be told."""

TURNS: dict[MotionName, Motion] = {"rotation": Motion.ROTATION, "reflection": Motion.REFLECTION}
REGULAR = {
    ("rotation", 4): [3, 0, 1, 2],
    ("rotation", 8): [3, 0, 1, 2, 7, 4, 5, 6],
    ("reflection", 8): [4, 7, 6, 5, 0, 3, 2, 1],
}
"""Which member of a run comes to each place (`archdsl.layers.symmetry`)."""


class TooMuch(Exception):
    """A network with these inputs is too large to be measured; the message says by how much."""


@dataclass(slots=True)
class Measured:
    """What the moves so far have shown of one value's translation."""

    difference: float | None = None
    needed: list[int | None] | None = None
    refuted: bool = False


def verify(
    network: Network, analysis: Analysis, seed: int = 0, program: Program | None = None
) -> Verification:
    """Hold every claim of the analysis to the lowered network.

    Those of scale need the network at another size, and so the `program` that it was compiled from.
    All extents must be numbers. Raises `TooMuch` before anything is computed, `ArchError` where the network
    can't be lowered, and torch's `RuntimeError` or `ValueError` where it does not compute it.
    """
    flow = analysis.flow
    inputs = set(flow.inputs)
    numbers = [
        value
        for value in range(len(flow.makers))
        if flow.makers[value] not in inputs and value not in flow.indices
    ]
    if (count := sum(flow.counts[value] for value in numbers)) > MOST_NUMBERS:
        raise TooMuch(f"a pass makes {count:,} numbers, and at most {MOST_NUMBERS:,} are kept")
    wires = [
        Wire(flow.nodes[flow.makers[value]], value - flow.starts[flow.makers[value]]) for value in numbers
    ]
    bench = _Bench(network, analysis, numbers, wires, seed, program)
    if (flops := bench.passes() * analysis.totals.flops) > MOST_FLOPS:
        raise TooMuch(f"{bench.passes()} passes take {flops:,} FLOPs, and at most {MOST_FLOPS:,} are made")
    findings = [*bench.translations(), *bench.turns(), *bench.scales()]
    return Verification(network, seed, TOLERANCE, bench.decided(findings))


class _Bench:
    """The moves of one network, and the values that they are compared by."""

    def __init__(
        self,
        network: Network,
        analysis: Analysis,
        numbers: list[int],
        wires: list[Wire],
        seed: int,
        program: Program | None,
    ) -> None:
        self._network, self._analysis, self._seed, self._program = network, analysis, seed, program
        self._numbers, self._wires = numbers, wires
        self._certificates = [analysis.certificates[value] for value in numbers]
        self._shapes = [_numbers(node.shape) for node in network.inputs]
        self._made = [_numbers(wire.shape) for wire in wires]
        self._local = local(analysis.flow)
        self._rolls = self._planned_rolls()
        self._patches = self._planned_patches()
        self._enlarged = [] if program is None else self._planned_enlargement()

    def passes(self) -> int:
        """How often the network is run."""
        axes = sum(len(shift) for shift in self._patches)
        enlarged = FACTOR ** self._axes() if self._enlarged else 0
        return 2 + len(self._rolls) + len(self._patches) + axes + len(TURNS) + enlarged

    # -------------------------------------------------------------------------- plans

    def _planned_rolls(self) -> list[tuple[int, int]]:
        """The axes and shifts by which some value is measured in a ring."""
        found: set[tuple[int, int]] = set()
        for value, shape, certificate in zip(self._numbers, self._made, self._certificates, strict=True):
            if certificate.translation == "equivariant" and self._local[value]:
                found.update((axis, motion.shift) for axis, motion in enumerate(certificate.motions))
            elif certificate.translation == "none":
                found.update(self._suggested(shape))
            elif not certificate.motions:
                found.update((axis, 1) for axis in range(self._axes()))
        return sorted(found)

    def _suggested(self, made: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """The moves that a value's extents suggest where nothing is claimed of it; one sample otherwise."""
        for axis in range(self._axes()):
            whole = next(shape[1 + axis] for shape in self._shapes if len(shape) > 1 + axis)
            extent = made[1 + axis] if len(made) > 1 + axis else whole
            step = whole // extent if whole % extent == 0 else 1
            yield axis, step if step <= whole // 4 else 1

    def _axes(self) -> int:
        return max((len(shape) - 1 for shape in self._shapes), default=0)

    def _planned_patches(self) -> dict[tuple[int, ...], tuple[int, list[bool]]]:
        """For each shift that is measured on a background: the patch's extent, and by value if that tells."""
        found: dict[tuple[int, ...], tuple[int, list[bool]]] = {}
        for value, certificate in zip(self._numbers, self._certificates, strict=True):
            shift = tuple(motion.shift for motion in certificate.motions)
            if (
                shift in found
                or not shift
                or (certificate.translation == "equivariant" and self._local[value])
            ):
                continue
            tried = [(extent, self._clear(extent, shift)) for extent in PATCHES]
            # The patch by which most can be told, and of such the largest.
            found[shift] = max(tried, key=lambda one: sum(one[1]))
        return {shift: plan for shift, plan in found.items() if any(plan[1])}

    def _clear(self, extent: int, shift: tuple[int, ...]) -> list[bool]:
        spans: dict[int, tuple[Span, ...]] = {}
        for value, shape in zip(self._analysis.flow.inputs, self._shapes, strict=True):
            if len(shape) > 1:
                steps = [*shift, *([0] * len(shape))][: len(shape) - 1]
                starts = self._starts(shape, extent, shift)
                spans[self._analysis.flow.starts[value]] = tuple(
                    (start, start + min(extent, n) - 1 + step)
                    for start, step, n in zip(starts, steps, shape[1:], strict=True)
                )
        return inside(self._analysis.flow, self._analysis.certificates, spans)

    def _starts(self, shape: tuple[int, ...], extent: int, shift: tuple[int, ...]) -> list[int]:
        steps = [*shift, *([0] * len(shape))]
        return [max(0, n - min(extent, n) - step) // 2 for n, step in zip(shape[1:], steps, strict=False)]

    def _planned_enlargement(self) -> list[int]:
        """The places of the values of which an exact claim of scale is made of what depends on an input."""
        found: list[int] = []
        for i, value in enumerate(self._numbers):
            answer = self._analysis.symmetries[value].of(Motion.SCALE)
            if answer is not None and answer.fibre is not None and answer.fibre.exact:
                found.append(i)
        room = sum(self._analysis.flow.counts[self._numbers[i]] for i in found) * FACTOR ** self._axes()
        return found if room <= MOST_NUMBERS else []

    # -------------------------------------------------------------------------- translation

    def translations(self) -> list[Finding]:
        self._run = Running(self._network, self._wires, self._seed)
        generator = torch.Generator().manual_seed(self._seed)
        self._x: Inputs = [_noise(shape, generator) for shape in self._shapes]
        self._y = self._run(self._x)
        self._scales = self._scales_of(self._x, self._y)
        other = self._run([_noise(shape, generator) for shape in self._shapes])
        self._varies = [
            bool(y.isfinite().all()) and _difference(y, z, scale) > TOLERANCE
            for y, z, scale in zip(self._y, other, self._scales, strict=True)
        ]
        measured = [Measured() for _ in self._numbers]
        found: list[list[str | None]] = [[] for _ in self._numbers]
        for axis, samples in self._rolls:
            moved = self._rolled(self._x, axis, samples)
            self._compare_rolled(axis, samples, moved, measured, found)
        self._compare_patches(measured)
        return [
            self._translation(i, wire, certificate, measured[i], found[i])
            for i, (wire, certificate) in enumerate(zip(self._wires, self._certificates, strict=True))
        ]

    def _scales_of(self, inputs: Inputs, values: list[Tensor]) -> list[float]:
        """What differences of each value are shares of: its largest number.

        Or, where that is next to nothing beside what it was made of, as the mean of a normalised map, a small
        share of that: what is left of it is rounding.
        """
        flow = self._analysis.flow
        largest = dict(zip([flow.starts[i] for i in flow.inputs], map(_largest, inputs), strict=True))
        # What is made of rounding is rounding still.
        rounding: dict[int, float] = {}
        for value, made in zip(self._numbers, values, strict=True):
            feeds = flow.feeds[flow.makers[value]]
            known = [largest.get(feed, 0.0) for feed in feeds]
            shares = [CANCELLED * one for one in known if isfinite(one)]
            rounding[value] = max((*shares, *(rounding.get(feed, 0.0) for feed in feeds)), default=0.0)
            largest[value] = _largest(made)
        return [max(largest[value], rounding[value]) or 1.0 for value in self._numbers]

    def _compare_rolled(
        self,
        axis: int,
        samples: int,
        moved: list[Tensor],
        measured: list[Measured],
        found: list[list[str | None]],
    ) -> None:
        for i, (value, certificate) in enumerate(zip(self._numbers, self._certificates, strict=True)):
            y, there = self._y[i], moved[i]
            if certificate.translation == "equivariant" and self._local[value]:
                if axis < len(certificate.motions) and certificate.motions[axis].shift == samples:
                    _compare(measured[i], certificate, axis, y, there, self._scales[i])
            elif certificate.translation == "none" and (axis, samples) in self._suggested(self._made[i]):
                found[i].append(self._found(i, axis, samples, there))
            elif certificate.translation == "invariant" and not certificate.motions:
                _note(measured[i], _difference(y, there, self._scales[i]))

    def _found(self, i: int, axis: int, samples: int, moved: Tensor) -> str | None:
        """What a value of which nothing is claimed does, seen along one axis."""
        y, scale = self._y[i], self._scales[i]
        if not self._varies[i]:
            return None
        if _difference(y, moved, scale) <= TOLERANCE:
            return "invariant"
        if y.dim() <= 2 + axis or y.shape[2 + axis] < LEAST_FOUND:
            return None
        extent, whole = y.shape[2 + axis], next(s[1 + axis] for s in self._shapes if len(s) > 1 + axis)
        by = samples * extent // whole
        border = extent // 4
        if by * whole != samples * extent or by == 0 or extent - 2 * border - by < LEAST_FOUND:
            return None
        off = _units_off(y, moved, axis, by, scale)
        needed = _needed(off)
        return "equivariant" if needed is not None and needed <= border else None

    def _compare_patches(self, measured: list[Measured]) -> None:
        for shift, (extent, clear) in self._patches.items():
            patch = self._patch(extent, shift)
            base = self._run(patch)
            scales = self._scales_of(patch, base)
            for axis in range(len(shift)):
                moved = self._rolled(patch, axis, shift[axis])
                for i, (value, certificate) in enumerate(zip(self._numbers, self._certificates, strict=True)):
                    if tuple(motion.shift for motion in certificate.motions) != shift or not clear[value]:
                        continue
                    if certificate.translation == "invariant":
                        _note(measured[i], _difference(base[i], moved[i], scales[i]))
                    elif not self._local[value]:
                        _compare(measured[i], certificate, axis, base[i], moved[i], scales[i])

    def _patch(self, extent: int, shift: tuple[int, ...]) -> Inputs:
        """Noise on a uniform background."""
        generator = torch.Generator().manual_seed(self._seed + 1)
        made: Inputs = []
        for shape in self._shapes:
            x = torch.full((1, *shape), 0.3, dtype=torch.float64)
            if len(shape) > 1:
                content = _noise((shape[0], *(min(extent, n) for n in shape[1:])), generator)
                starts = self._starts(shape, extent, shift)
                places = tuple(slice(a, a + n) for a, n in zip(starts, content.shape[2:], strict=True))
                x[(slice(None), slice(None), *places)] = content
            made.append(x)
        return made

    def _rolled(self, inputs: Inputs, axis: int, samples: int) -> list[Tensor]:
        """What the network makes of inputs that are moved circularly along an axis."""
        return self._run([x.roll(samples, 2 + axis) if x.dim() > 2 + axis else x for x in inputs])

    def _translation(
        self, i: int, wire: Wire, certificate: Equivariance, measured: Measured, found: list[str | None]
    ) -> Finding:
        claim = Finding(
            wire,
            "translation",
            certificate.translation,
            "none",
            certificate.shift,
            certificate.border,
            ended_by=certificate.ended_by,
        )
        if not self._y[i].isfinite().all():
            return replace(claim, verdict="unmeasured", reason="no finite numbers")
        if certificate.translation == "none":
            kinds = set(found)
            if not kinds or None in kinds:
                return claim
            return replace(claim, verdict="found", found=min(kinds, key=str))
        if measured.difference is None and not certificate.motions:
            # There is nothing that moves, and it depends on no input.
            still = not self._varies[i]
            return replace(claim, verdict="holds" if still else "refuted", difference=0.0 if still else None)
        if measured.difference is None:
            return replace(claim, verdict="unmeasured", reason=self._too_small(certificate))
        return replace(
            claim,
            verdict="refuted" if measured.refuted else "holds",
            difference=measured.difference,
            needed=measured.needed,
        )

    def _too_small(self, certificate: Equivariance) -> str:
        if None in (certificate.border or []):
            return "border not known"
        return "input too small"

    def decided(self, findings: list[Finding]) -> list[Finding]:
        """Without what is refuted by nothing but places of maxima that rounding chose."""
        if not any(finding.verdict == "refuted" for finding in findings):
            return findings
        chance = undecided(self._analysis.flow, dict(zip(self._numbers, self._y, strict=True)))
        wires = {wire for value, wire in zip(self._numbers, self._wires, strict=True) if value in chance}
        reason = "maxima equal but for rounding"
        return [
            replace(finding, verdict="unmeasured", reason=reason, difference=None, needed=None)
            if finding.verdict == "refuted" and finding.wire in wires
            else finding
            for finding in findings
        ]

    # -------------------------------------------------------------------------- turns

    def turns(self) -> list[Finding]:
        found: list[Finding] = []
        for name, motion in TURNS.items():
            needs = ACTED_ON[motion]
            maps = [shape for shape in self._shapes if len(shape) > needs]
            square = motion is not Motion.ROTATION or all(shape[-1] == shape[-2] for shape in maps)
            if not maps:
                continue
            moved = None
            if square:
                # Not a view: some layers of torch take none of a volume.
                moved = self._run([_turned(name, x).contiguous() for x in self._x])
            for i, (value, wire) in enumerate(zip(self._numbers, self._wires, strict=True)):
                answer = self._analysis.symmetries[value].of(motion)
                if answer is not None:
                    found.append(self._turn(i, wire, name, answer, None if moved is None else moved[i]))
        return found

    def _turn(self, i: int, wire: Wire, name: MotionName, answer: Answer, moved: Tensor | None) -> Finding:
        y = self._y[i]
        fibre = answer.fibre
        channels = None if fibre is None or answer.answer != "equivariant" else fibre.kind
        claim = Finding(wire, name, answer.answer, "none", channels=channels, ended_by=answer.ended_by)
        if moved is None:
            reason = "input not square"
            return claim if answer.answer == "none" else replace(claim, verdict="unmeasured", reason=reason)
        if not y.isfinite().all():
            return replace(claim, verdict="unmeasured", reason="no finite numbers")
        if answer.answer == "none":
            seen = _turn_found(name, y, moved, self._scales[i]) if self._varies[i] else None
            return claim if seen is None else replace(claim, verdict="found", found=seen)
        if fibre is not None and not fibre.exact:
            reason = "of continuous pictures"
            return replace(claim, verdict="unmeasured", reason=reason)
        wanted = y if answer.answer == "invariant" or fibre is None else _acted(name, fibre, y)
        if wanted is None:
            return replace(claim, verdict="unmeasured", reason="channels not followed")
        difference = _difference(wanted, moved, self._scales[i])
        return replace(
            claim, verdict="holds" if difference <= TOLERANCE else "refuted", difference=difference
        )

    # -------------------------------------------------------------------------- scale

    def scales(self) -> list[Finding]:
        """What is claimed of scale, where there is a program that gives the network another size."""
        if self._program is None:
            return []
        made = self._of_larger(self._program)
        found: list[Finding] = []
        for i, (value, wire) in enumerate(zip(self._numbers, self._wires, strict=True)):
            answer = self._analysis.symmetries[value].of(Motion.SCALE)
            if answer is not None:
                found.append(self._scale(i, wire, answer, made.get(i)))
        return found

    def _of_larger(self, program: Program) -> dict[int, Tensor]:
        """What the network of enlarged inputs makes of them, by the place of the value."""
        network = larger(program, self._network) if self._enlarged else None
        if network is None:
            return {}
        nodes = {node.name: node for node in network.nodes}
        places = [i for i in self._enlarged if self._wires[i].node.name in nodes]
        wires = [Wire(nodes[self._wires[i].node.name], self._wires[i].port) for i in places]
        run = Running(network, wires, self._seed)
        run.take_weights(self._run)
        inputs = [
            enlarged(x) if has_positions(node.shape) else x
            for node, x in zip(self._network.inputs, self._x, strict=True)
        ]
        return dict(zip(places, run(inputs), strict=True))

    def _scale(self, i: int, wire: Wire, answer: Answer, made: Tensor | None) -> Finding:
        y, fibre = self._y[i], answer.fibre
        channels = None if fibre is None or answer.answer != "equivariant" else fibre.kind
        claim = Finding(wire, "scale", answer.answer, "none", channels=channels, ended_by=answer.ended_by)
        if answer.answer == "none":
            return claim
        if fibre is not None and not fibre.exact:
            return replace(claim, verdict="unmeasured", reason="of continuous pictures")
        if made is None:
            return replace(claim, verdict="unmeasured", reason="made for one size")
        if not y.isfinite().all():
            return replace(claim, verdict="unmeasured", reason="no finite numbers")
        wanted = y if answer.answer == "invariant" else enlarged(y)
        difference = _difference(wanted, made, self._scales[i])
        return replace(
            claim, verdict="holds" if difference <= TOLERANCE else "refuted", difference=difference
        )


def _numbers(shape: Shape) -> tuple[int, ...]:
    return tuple(extent for extent in shape if isinstance(extent, int))


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(1, *shape, dtype=torch.float64, generator=generator)


def _largest(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def _difference(a: Tensor, b: Tensor, scale: float) -> float:
    """The largest, as a share of `scale`; infinite where shapes differ or numbers end."""
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    largest = float((a - b).abs().max()) / scale
    return largest if largest == largest else float("inf")


# ------------------------------------------------------------------------------ along one axis


def _compare(
    measured: Measured, certificate: Equivariance, axis: int, y: Tensor, moved: Tensor, scale: float
) -> None:
    """Hold what one move along an axis did to a certificate."""
    motion = certificate.motions[axis]
    border = (certificate.border or [])[axis]
    if border is None or y.dim() <= 2 + axis:
        return
    if motion.ring and border == 0:
        difference = _difference(y.roll(motion.units, 2 + axis), moved, scale)
        _note(measured, difference)
        needed: int | None = 0
        if difference > TOLERANCE:
            needed = _needed(_units_off(y, moved, axis, motion.units, scale))
    else:
        off = _units_off(y, moved, axis, motion.units, scale)
        inner = [share for u, share in enumerate(off) if _depth(u, len(off)) >= border]
        if not inner:
            return
        _note(measured, max(inner))
        needed = _needed(off)
    if measured.needed is None:
        measured.needed = [None] * len(certificate.motions)
    measured.needed[axis] = needed


def _note(measured: Measured, difference: float) -> None:
    measured.difference = max(difference, measured.difference or 0.0)
    measured.refuted = measured.refuted or difference > TOLERANCE


def _units_off(y: Tensor, moved: Tensor, axis: int, by: int, scale: float) -> list[float]:
    """For each unit that is still in the map when it has moved `by` units, how far it is off there."""
    extent = y.shape[2 + axis]
    if y.shape != moved.shape or by >= extent:
        return []
    here = y.narrow(2 + axis, 0, extent - by)
    there = moved.narrow(2 + axis, by, extent - by)
    share = (here - there).abs().movedim(2 + axis, 0).flatten(1).amax(1) / scale
    return [float("inf") if one != one else one for one in share.tolist()]


def _depth(unit: int, pairs: int) -> int:
    """How many units of border the pair of a unit and its image reaches: the outer one's distance to an end.

    Of `pairs` units, the unit itself lies before its image: its place counts from the start, that of the
    image from the end.
    """
    return min(unit, pairs - 1 - unit)


def _needed(off: list[float]) -> int | None:
    """The smallest border outside of which every unit has moved; None where none leaves any."""
    if not off:
        return None
    border = max(
        (_depth(unit, len(off)) + 1 for unit, share in enumerate(off) if not share <= TOLERANCE),
        default=0,
    )
    return border if len(off) > 2 * border else None


# ------------------------------------------------------------------------------ turns


def _turned(name: MotionName, x: Tensor) -> Tensor:
    """What has no such axes stays as it is."""
    if x.dim() < 2 + ACTED_ON[TURNS[name]]:
        return x
    return torch.rot90(x, 1, (-1, -2)) if name == "rotation" else x.flip(-1)


def _acted(name: MotionName, fibre: Fibre, y: Tensor) -> Tensor | None:
    """What the claim says that a value becomes; None for a fibre of which that is not worked out here."""
    if fibre.kind == "polar":
        if name == "rotation" and y.dim() == 4 and y.shape[2] == fibre.size and fibre.size % 4 == 0:
            return y.roll(fibre.size // 4, 2)
        return None
    turned = _turned(name, y)
    if fibre.kind == "scalar":
        return turned
    if fibre.kind == "regular" and (name, fibre.size) in REGULAR:
        runs = turned.reshape(1, -1, fibre.size, *y.shape[2:])
        return runs[:, :, REGULAR[name, fibre.size]].flatten(1, 2)
    if fibre.kind == "harmonic" and name == "rotation" and 2 * len(fibre.orders) == y.shape[1]:
        split = turned.reshape(1, -1, 2, *y.shape[2:])
        pairs = torch.view_as_complex(split.movedim(2, -1).contiguous())
        quarters = torch.tensor([1j**order for order in fibre.orders], dtype=torch.complex128)
        pairs = pairs * quarters.view(-1, *[1] * (pairs.dim() - 2))
        return torch.view_as_real(pairs).movedim(-1, 2).flatten(1, 2)
    return None


def _turn_found(name: MotionName, y: Tensor, moved: Tensor, scale: float) -> str | None:
    """What a value of which nothing is claimed does."""
    if _difference(y, moved, scale) <= TOLERANCE:
        return "invariant"
    needs = ACTED_ON[TURNS[name]]
    if (
        y.dim() >= 2 + needs
        and prod(y.shape[-needs:]) > 1
        and _difference(_turned(name, y), moved, scale) <= TOLERANCE
    ):
        return "equivariant"
    return None
