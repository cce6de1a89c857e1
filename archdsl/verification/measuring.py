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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import NamedTuple

import torch
from torch import Tensor

from archdsl.analysis import Analysis
from archdsl.analysis.equivariance import Equivariance
from archdsl.analysis.symmetry import Answer
from archdsl.compiler import Network, Program, Wire
from archdsl.layers.shapes import Shape
from archdsl.layers.symmetry import ACTED_ON, Fibre, Motion
from archdsl.progress import Progress, Told, untold
from archdsl.verification.enlarging import FACTOR, enlarged, has_positions, larger
from archdsl.verification.findings import Finding, MotionName, Verification
from archdsl.verification.influence import Span, inside, local
from archdsl.verification.passes import Passes, needed_for, spent
from archdsl.verification.running import Inputs, Running, State, drawn, fitted, in_double
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


Move = tuple[int, int]
"""The axis that an input is moved along, and by how many samples."""


class TooMuch(Exception):
    """A network with these inputs is too large to be measured; the message says by how much."""


class Patch(NamedTuple):
    """The extent of a patch on a background, and the places of the values that it tells of."""

    extent: int
    places: list[int]


@dataclass(slots=True)
class Measured:
    """What the moves so far have shown of one value's translation."""

    difference: float | None = None
    needed: list[int | None] | None = None
    refuted: bool = False


def verify(
    network: Network,
    analysis: Analysis,
    seed: int = 0,
    program: Program | None = None,
    weights: State | None = None,
    told: Told = untold,
) -> Verification:
    """Hold every claim of the analysis to the lowered network, with `weights` of its own or random ones.

    Those of scale need the network at another size, and so the `program` that it was compiled from.
    All extents must be numbers. Raises `TooMuch` before anything is computed, `Unfitting` where the weights
    are not the network's, `ArchError` where it can't be lowered, and torch's `RuntimeError` or `ValueError`
    where it does not compute it.
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
    planned = bench.planned()
    if (flops := sum(planned)) > MOST_FLOPS:
        raise TooMuch(f"{len(planned)} passes take {flops:,} FLOPs, and at most {MOST_FLOPS:,} are made")
    told(0)
    state = drawn(network, seed) if weights is None else in_double(weights)
    findings = bench.findings(state, Progress(max(flops, 1), told))
    return Verification(network, seed, TOLERANCE, findings, state, weights is not None)


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
        self._sieves = self._planned_sieves()
        self._patches = self._planned_patches()
        self._enlarged = [] if program is None else self._planned_enlargement()
        self._varying: dict[int, bool] = {}

    def planned(self) -> list[int]:
        """What each pass takes, in FLOPs; one more may tell whether what seems to answer varies at all."""
        found = [self._spent(range(len(self._numbers)))]
        found += [self._spent([*places, *self._sieved(move)]) for move, places in self._rolls.items()]
        for shift, patch in self._patches.items():
            found += [self._spent(patch.places)] * (1 + len(shift))
        found += [self._spent(self._answers(motion)) for motion in TURNS.values() if self._turns(motion)]
        if self._enlarged:
            found.append(self._spent(self._enlarged) * FACTOR ** self._axes())
        return found

    def findings(self, state: State, progress: Progress) -> list[Finding]:
        """Make all moves, with these weights."""
        self._state, self._progress = state, progress
        self._run = Passes(self._network, self._analysis.flow, self._wires, state, self._seed)
        generator = torch.Generator().manual_seed(self._seed)
        self._x: Inputs = [_noise(shape, generator) for shape in self._shapes]
        self._others: Inputs = [_noise(shape, generator) for shape in self._shapes]
        everything = range(len(self._numbers))
        self._y = self._run(self._x, everything)
        self._scales = self._scales_of(self._x, self._y)
        self._went(everything)
        return self._decided([*self._translations(), *self._turned(), *self._scaled()])

    def _spent(self, places: Iterable[int]) -> int:
        return spent(self._analysis.flow, (self._numbers[place] for place in places))

    def _went(self, places: Iterable[int], times: int = 1) -> None:
        """Tell that a pass for these places is done, or needs not be made."""
        self._progress.went(times * self._spent(places))

    def _vary(self, places: Iterable[int]) -> None:
        """Find out which values change with the inputs, where that is not known."""
        unknown = [place for place in places if place not in self._varying]
        if unknown:
            other = self._run(self._others, unknown)
            for i, z in other.items():
                y = self._y[i]
                self._varying[i] = bool(y.isfinite().all()) and not _alike(y, z, self._scales[i])

    # -------------------------------------------------------------------------- plans

    def _planned_rolls(self) -> dict[Move, list[int]]:
        """The axes and shifts by which some values are measured in a ring, and the places of these values."""
        found: dict[Move, list[int]] = {}
        for i, (value, shape, certificate) in enumerate(
            zip(self._numbers, self._made, self._certificates, strict=True)
        ):
            moves: Iterable[tuple[int, int]] = ()
            if certificate.translation == "equivariant" and self._local[value]:
                told = _axes_told(certificate, shape)
                moves = ((axis, certificate.motions[axis].shift) for axis in told)
            elif certificate.translation == "none":
                moves = self._suggested(shape)
            elif not certificate.motions:
                moves = ((axis, 1) for axis in range(self._axes()))
            for move in moves:
                found.setdefault(move, []).append(i)
        # Along each axis the largest first.
        return dict(sorted(found.items(), key=lambda one: (one[0][0], -one[0][1])))

    def _planned_sieves(self) -> dict[Move, list[int]]:
        """Values without extents of which nothing is claimed, by a move that is made anyway.

        They could only stay as they are. What does not when the input moves by several samples does not when
        it moves by one, and need not be computed then. In a network of convolutions that ends in a classifier
        that would be a pass through all of it.
        """
        found: dict[Move, list[int]] = {}
        for (axis, samples), places in self._rolls.items():
            still = [
                i
                for i in places
                if self._certificates[i].translation == "none" and len(self._made[i]) <= 1 + axis
            ]
            alike = ((other, by) for other, by in self._rolls if other == axis and by > samples)
            larger = [(other, by) for other, by in alike if by % samples == 0]
            if still and larger:
                most = max(larger, key=lambda move: self._spent(self._rolls[move]))
                found.setdefault(most, []).extend(still)
        return found

    def _sieved(self, move: Move) -> list[int]:
        return self._sieves.get(move, [])

    def _suggested(self, made: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """The moves that a value's extents suggest where nothing is claimed of it; one sample otherwise."""
        for axis in range(self._axes()):
            whole = next(shape[1 + axis] for shape in self._shapes if len(shape) > 1 + axis)
            extent = made[1 + axis] if len(made) > 1 + axis else whole
            step = whole // extent if whole % extent == 0 else 1
            yield axis, step if step <= whole // 4 else 1

    def _axes(self) -> int:
        return max((len(shape) - 1 for shape in self._shapes), default=0)

    def _planned_patches(self) -> dict[tuple[int, ...], Patch]:
        """How each shift is measured that is measured on a background."""
        found: dict[tuple[int, ...], Patch] = {}
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
            extent, clear = max(tried, key=lambda one: sum(one[1]))
            found[shift] = Patch(extent, [i for i in self._by_patch(shift) if clear[self._numbers[i]]])
        return {shift: patch for shift, patch in found.items() if patch.places}

    def _by_patch(self, shift: tuple[int, ...]) -> Iterator[int]:
        """The places of the values of which a claim about this shift takes a background."""
        for i, (value, certificate) in enumerate(zip(self._numbers, self._certificates, strict=True)):
            if tuple(motion.shift for motion in certificate.motions) == shift and (
                certificate.translation == "invariant"
                or (not self._local[value] and _axes_told(certificate, self._made[i]))
            ):
                yield i

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
        answers = self._answers(Motion.SCALE).items()
        found = [i for i, answer in answers if answer.fibre is not None and answer.fibre.exact]
        room = sum(self._analysis.flow.counts[self._numbers[i]] for i in found) * FACTOR ** self._axes()
        return found if room <= MOST_NUMBERS else []

    def _before(self, places: list[int]) -> list[int]:
        """The places of values and of all that they are made of."""
        needed = needed_for(self._analysis.flow, (self._numbers[i] for i in places))
        return [i for i, value in enumerate(self._numbers) if self._analysis.flow.makers[value] in needed]

    # -------------------------------------------------------------------------- translation

    def _translations(self) -> list[Finding]:
        measured = [Measured() for _ in self._numbers]
        found: list[list[str | None]] = [[] for _ in self._numbers]
        for move, places in self._rolls.items():
            axis, samples = move
            # What does not answer along one axis is not tried along the next.
            telling = [i for i in places if None not in found[i]]
            sieved = [i for i in self._sieved(move) if None not in found[i]]
            moved = self._rolled(self._x, axis, samples, [*telling, *sieved])
            for i in sieved:
                if not _alike(self._y[i], moved.pop(i), self._scales[i]):
                    found[i].append(None)
            self._compare_rolled(axis, samples, moved, measured, found)
            self._went([*places, *self._sieved(move)])
        self._compare_patches(measured)
        self._vary(
            i
            for i, certificate in enumerate(self._certificates)
            if (
                _all_answer(found[i])
                if certificate.translation == "none"
                else measured[i].difference is None and not certificate.motions
            )
        )
        return [
            self._translation(i, wire, certificate, measured[i], found[i])
            for i, (wire, certificate) in enumerate(zip(self._wires, self._certificates, strict=True))
        ]

    def _scales_of(self, inputs: Inputs, values: dict[int, Tensor]) -> dict[int, float]:
        """What differences of each value are shares of: its largest number.

        Or, where that is next to nothing beside what it was made of, as the mean of a normalised map, a small
        share of that: what is left of it is rounding.
        """
        flow = self._analysis.flow
        largest = dict(zip([flow.starts[i] for i in flow.inputs], map(_largest, inputs), strict=True))
        # What is made of rounding is rounding still.
        rounding: dict[int, float] = {}
        for i, made in values.items():
            value = self._numbers[i]
            feeds = flow.feeds[flow.makers[value]]
            known = [largest.get(feed, 0.0) for feed in feeds]
            shares = [CANCELLED * one for one in known if isfinite(one)]
            rounding[value] = max((*shares, *(rounding.get(feed, 0.0) for feed in feeds)), default=0.0)
            largest[value] = _largest(made)
        return {i: max(largest[self._numbers[i]], rounding[self._numbers[i]]) or 1.0 for i in values}

    def _compare_rolled(
        self,
        axis: int,
        samples: int,
        moved: dict[int, Tensor],
        measured: list[Measured],
        found: list[list[str | None]],
    ) -> None:
        for i, there in moved.items():
            y, certificate = self._y[i], self._certificates[i]
            if certificate.translation == "equivariant":
                _compare(measured[i], certificate, axis, y, there, self._scales[i])
            elif certificate.translation == "none":
                found[i].append(self._found(i, axis, samples, there))
            else:
                _note(measured[i], _difference(y, there, self._scales[i]))

    def _found(self, i: int, axis: int, samples: int, moved: Tensor) -> str | None:
        """What a value of which nothing is claimed does, seen along one axis."""
        y, scale = self._y[i], self._scales[i]
        if _alike(y, moved, scale):
            return "invariant"
        if y.dim() <= 2 + axis or y.shape[2 + axis] < LEAST_FOUND:
            return None
        extent, whole = y.shape[2 + axis], next(s[1 + axis] for s in self._shapes if len(s) > 1 + axis)
        by = samples * extent // whole
        border = extent // 4
        if by * whole != samples * extent or by == 0 or extent - 2 * border - by < LEAST_FOUND:
            return None
        needed = _needed(_units_off(y, moved, axis, by, scale))
        return "equivariant" if needed is not None and needed <= border else None

    def _compare_patches(self, measured: list[Measured]) -> None:
        for shift, (extent, places) in self._patches.items():
            patch = self._patch(extent, shift)
            base = self._run(patch, self._before(places))
            scales = self._scales_of(patch, base)
            self._went(places)
            for axis in range(len(shift)):
                for i, there in self._rolled(patch, axis, shift[axis], places).items():
                    certificate = self._certificates[i]
                    if certificate.translation == "invariant":
                        _note(measured[i], _difference(base[i], there, scales[i]))
                    else:
                        _compare(measured[i], certificate, axis, base[i], there, scales[i])
                self._went(places)

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

    def _rolled(self, inputs: Inputs, axis: int, samples: int, places: list[int]) -> dict[int, Tensor]:
        """What the network makes of inputs that are moved circularly along an axis."""
        return self._run([x.roll(samples, 2 + axis) if x.dim() > 2 + axis else x for x in inputs], places)

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
            if not _all_answer(found) or not self._varying[i]:
                return claim
            return replace(claim, verdict="found", found=min(map(str, found)))
        if measured.difference is None and not certificate.motions:
            # There is nothing that moves, and it depends on no input.
            still = not self._varying[i]
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

    def _decided(self, findings: list[Finding]) -> list[Finding]:
        """Without what is refuted by nothing but places of maxima that rounding chose."""
        if not any(finding.verdict == "refuted" for finding in findings):
            return findings
        chance = undecided(self._analysis.flow, {self._numbers[i]: y for i, y in self._y.items()})
        wires = {wire for value, wire in zip(self._numbers, self._wires, strict=True) if value in chance}
        reason = "maxima equal but for rounding"
        return [
            replace(finding, verdict="unmeasured", reason=reason, difference=None, needed=None)
            if finding.verdict == "refuted" and finding.wire in wires
            else finding
            for finding in findings
        ]

    # -------------------------------------------------------------------------- turns

    def _turned(self) -> list[Finding]:
        found: list[Finding] = []
        for name, motion in TURNS.items():
            answers = self._answers(motion)
            moved: dict[int, Tensor] = {}
            if self._turns(motion):
                # Not a view: some layers of torch take none of a volume.
                moved = self._run([_turned(name, x).contiguous() for x in self._x], list(answers))
                self._went(answers)
            unclaimed = {
                i: _turn_found(name, self._y[i], there, self._scales[i])
                for i, there in moved.items()
                if answers[i].answer == "none"
            }
            self._vary(i for i, kind in unclaimed.items() if kind is not None)
            for i, answer in answers.items():
                found.append(self._turn(i, name, answer, moved.get(i), unclaimed.get(i)))
        return found

    def _answers(self, motion: Motion) -> dict[int, Answer]:
        """What is claimed of a motion, by place, of the values of which anything is said."""
        answers = ((i, self._analysis.symmetries[value].of(motion)) for i, value in enumerate(self._numbers))
        return {i: answer for i, answer in answers if answer is not None}

    def _turns(self, motion: Motion) -> bool:
        """Whether an input can be moved so, and comes to lie where it was."""
        maps = [shape for shape in self._shapes if len(shape) > ACTED_ON[motion]]
        return bool(maps) and (motion is not Motion.ROTATION or all(shape[-1] == shape[-2] for shape in maps))

    def _turn(
        self, i: int, name: MotionName, answer: Answer, moved: Tensor | None, unclaimed: str | None
    ) -> Finding:
        y, wire = self._y[i], self._wires[i]
        fibre = answer.fibre
        channels = None if fibre is None or answer.answer != "equivariant" else fibre.kind
        claim = Finding(wire, name, answer.answer, "none", channels=channels, ended_by=answer.ended_by)
        if moved is None:
            reason = "input not square"
            return claim if answer.answer == "none" else replace(claim, verdict="unmeasured", reason=reason)
        if not y.isfinite().all():
            return replace(claim, verdict="unmeasured", reason="no finite numbers")
        if answer.answer == "none":
            answers = unclaimed is not None and self._varying[i]
            return replace(claim, verdict="found", found=unclaimed) if answers else claim
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

    def _scaled(self) -> list[Finding]:
        """What is claimed of scale, where there is a program that gives the network another size."""
        if self._program is None:
            return []
        made = self._of_larger(self._program)
        return [self._scale(i, answer, made.get(i)) for i, answer in self._answers(Motion.SCALE).items()]

    def _of_larger(self, program: Program) -> dict[int, Tensor]:
        """What the network of enlarged inputs makes of them, by the place of the value."""
        network = larger(program, self._network) if self._enlarged else None
        if network is None:
            return {}
        nodes = {node.name: node for node in network.nodes}
        places = [i for i in self._enlarged if self._wires[i].node.name in nodes]
        wires = [Wire(nodes[self._wires[i].node.name], self._wires[i].port) for i in places]
        run = Running(network, wires, fitted(network, self._state, self._seed), self._seed)
        inputs = [
            enlarged(x) if has_positions(node.shape) else x
            for node, x in zip(self._network.inputs, self._x, strict=True)
        ]
        made = run(inputs)
        self._went(self._enlarged, FACTOR ** self._axes())
        return dict(zip(places, made, strict=True))

    def _scale(self, i: int, answer: Answer, made: Tensor | None) -> Finding:
        y, wire, fibre = self._y[i], self._wires[i], answer.fibre
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


def _alike(a: Tensor, b: Tensor, scale: float) -> bool:
    """Whether two values differ by no more than rounding. Most that differ do so in their first channels."""
    few = slice(None), slice(0, 4)
    return a.shape == b.shape and all(
        _difference(c, d, scale) <= TOLERANCE for c, d in ((a[few], b[few]), (a, b))
    )


# ------------------------------------------------------------------------------ along one axis


def _axes_told(certificate: Equivariance, shape: Sequence[int]) -> list[int]:
    """The axes along which a value of this shape has units that lie outside the border, moved or not."""
    found: list[int] = []
    for axis, (extent, motion, border) in enumerate(
        zip(shape[1:], certificate.motions, certificate.border or [], strict=False)
    ):
        if border is not None and ((motion.ring and border == 0) or extent - motion.units > 2 * border):
            found.append(axis)
    return found


def _compare(
    measured: Measured, certificate: Equivariance, axis: int, y: Tensor, moved: Tensor, scale: float
) -> None:
    """Hold what one move along an axis did to a certificate."""
    if axis not in _axes_told(certificate, y.shape[1:]):
        return
    motion, border = certificate.motions[axis], (certificate.border or [])[axis]
    assert border is not None
    if motion.ring and border == 0:
        difference = _difference(y.roll(motion.units, 2 + axis), moved, scale)
        _note(measured, difference)
        needed: int | None = 0
        if difference > TOLERANCE:
            needed = _needed(_units_off(y, moved, axis, motion.units, scale))
    else:
        off = _units_off(y, moved, axis, motion.units, scale)
        _note(measured, max(share for u, share in enumerate(off) if _depth(u, len(off)) >= border))
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


def _all_answer(kinds: list[str | None]) -> bool:
    """Whether a value was moved, and answered along each axis."""
    return bool(kinds) and None not in kinds


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
    if _alike(y, moved, scale):
        return "invariant"
    needs = ACTED_ON[TURNS[name]]
    if y.dim() >= 2 + needs and prod(y.shape[-needs:]) > 1 and _alike(_turned(name, y), moved, scale):
        return "equivariant"
    return None
