"""What every shift of the input does to a value, beside what is claimed of some: data of a picture.

The input is moved circularly where the value is made without statistics of whole maps, or in a ring all
along. Otherwise, as `archdsl.verification.measuring` does, a patch moves on a uniform background, if nothing
before the value feels it within its border. The input is noise with the spectrum of photographs, in which
neighbours are alike: of white noise a blur leaves next to nothing (Field, Relations between the statistics of
natural images and the response properties of cortical cells, 1987).

A value is compared with what the shift makes of the unmoved one: moved by so many units, and where that is no
whole number, as if each unit were held until the next (Zhang, Making convolutional networks shift-invariant
again, 2019). A difference is the root of the mean square, as a share of that between two different inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, prod, sqrt

import torch
from torch import Tensor

from archdsl.analysis import Analysis
from archdsl.compiler import Network, Wire
from archdsl.drawing.choosing import layer_named
from archdsl.drawing.shifts import Frame, Panel, Shares
from archdsl.drawing.undrawable import Undrawable
from archdsl.progress import Progress, Told, untold
from archdsl.verification import measuring
from archdsl.verification.findings import Finding, Verification
from archdsl.verification.influence import Span, inside, local
from archdsl.verification.measuring import TOLERANCE, TooMuch
from archdsl.verification.passes import spent
from archdsl.verification.running import Inputs, Running
from archdsl.verification.text import WORDS, claimed

MOST_PANELS = 8
"""How many values are shown that nobody chose."""
FEWEST, MOST = 8, 16
"""How far a map is moved along both of its axes; farther, along one axis alone."""
FARTHEST = 64
"""How far an input is moved along one axis."""
MOST_CELLS = 32
"""How many cells a plot of units has along an axis; of more units, a cell shows the one that differs most."""
PATCHES = (8, 4, 2, 1)
"""The extents of a patch, the largest that fits first."""
BACKGROUND = 0.3


@dataclass(frozen=True, slots=True)
class Moves:
    """All ways in which the input is moved: along the axis `first` and the next by 0 up to each of `steps`.

    Axes are counted from the first spatial one, as in certificates; an input that lacks one is not moved
    along it.
    """

    first: int
    steps: tuple[int, ...]

    def all(self) -> Iterator[tuple[int, ...]]:
        yield from product(*map(range, self.steps))

    def along(self, shift: Sequence[int], axis: int) -> int:
        """By how many samples a shift moves along an axis."""
        return shift[axis - self.first] if 0 <= axis - self.first < len(shift) else 0

    def rolled(self, x: Tensor, shift: tuple[int, ...]) -> Tensor:
        """An input moved circularly."""
        for axis in range(x.dim() - 2):
            x = x.roll(self.along(shift, axis), 2 + axis)
        return x


def shifted(
    found: Verification, analysis: Analysis, names: Sequence[str] = (), told: Told = untold
) -> tuple[str, list[Panel]]:
    """How the input was moved, and a panel for each layer that is named.

    Without names, for the outputs and where what is claimed changes. Raises `Undrawable` and `TooMuch`.
    """
    network = found.network
    if all(len(node.shape) < 2 for node in network.inputs):
        raise Undrawable(f"no input of {network.name} has an axis along which it could be moved")
    findings = {one.wire: one for one in found.findings if one.motion == "translation"}
    wires = _named(network, names) if names else _telling(network, analysis, findings)
    return _Shifting(found, analysis, wires).panels([findings[wire] for wire in wires], told)


def _named(network: Network, names: Sequence[str]) -> list[Wire]:
    return list(dict.fromkeys(Wire(layer_named(network, name, "shifts")) for name in names))


def _telling(network: Network, analysis: Analysis, findings: dict[Wire, Finding]) -> list[Wire]:
    """The outputs, and the values at which what is claimed changes, in order of execution."""
    outputs = [wire for wire in findings if wire in network.outputs][:MOST_PANELS]
    ended = {analysis.equivariance(wire).ended_by for wire in outputs} - {None}
    changes = [
        wire
        for wire in findings
        if wire not in network.outputs
        and analysis.equivariance(wire).ended_by not in ended
        and _changes(analysis, wire)
    ]
    chosen = {*changes[: MOST_PANELS - len(outputs)], *outputs}
    return [wire for wire in findings if wire in chosen]


def _changes(analysis: Analysis, wire: Wire) -> bool:
    """Whether what is claimed of a value is another claim than of what its layer reads."""
    now = analysis.equivariance(wire)
    before = [analysis.equivariance(feed) for feed in wire.node.inputs]
    return bool(before) and all(
        (one.translation, one.shift, any(one.border or []))
        != (now.translation, now.shift, any(now.border or []))
        for one in before
    )


class _Shifting:
    """The moves of one network, and some of its values."""

    def __init__(self, found: Verification, analysis: Analysis, wires: list[Wire]) -> None:
        self._found, self._analysis, self._wires = found, analysis, wires
        self._numbers = [analysis.flow.number(wire) for wire in wires]
        self._certificates = [analysis.equivariance(wire) for wire in wires]
        self._shapes = [
            tuple(extent for extent in node.shape if isinstance(extent, int)) for node in found.network.inputs
        ]
        self._extents = [
            min(shape[1 + axis] for shape in self._shapes if len(shape) > 1 + axis)
            for axis in range(max(map(len, self._shapes)) - 1)
        ]
        self._spent = spent(analysis.flow, self._numbers)
        self._moves = self._planned()
        self._local = local(analysis.flow)
        self._extent, clear = self._patched()
        # Whether each value is seen with a patch, and whether it should be and can't.
        wanted = [not self._rolls(k) for k in range(len(wires))]
        self._by_patch = [one and clear[value] for one, value in zip(wanted, self._numbers, strict=True)]
        self._lacking = [one and not clear[value] for one, value in zip(wanted, self._numbers, strict=True)]
        ways = any(self._by_patch) + (not all(self._by_patch))
        self._passes = ways * (2 + prod(self._moves.steps))
        if (flops := self._passes * self._spent) > measuring.MOST_FLOPS:
            raise TooMuch(
                f"{self._passes} passes take {flops:,} FLOPs, and at most {measuring.MOST_FLOPS:,} are made"
            )

    # -------------------------------------------------------------------------- plans

    def _planned(self) -> Moves:
        room = FARTHEST**2
        if self._spent:
            room = measuring.MOST_FLOPS // (2 * self._spent) - 2
        last = len(self._extents) - 1
        if last > 0 and self._extents[last - 1] > 1:
            steps = tuple(min(max(FEWEST, 2 * self._span(a)), self._extents[a]) for a in (last - 1, last))
            if max(self._span(last - 1), self._span(last)) <= MOST // 2 and prod(steps) <= room:
                return Moves(last - 1, steps)
        fewest = min(FEWEST, self._extents[last])
        wanted = min(max(MOST, 2 * self._span(last)), FARTHEST, self._extents[last])
        return Moves(last, (max(min(wanted, room), fewest),))

    def _span(self, axis: int) -> int:
        """The largest shift along an axis that is claimed of a value."""
        return max(
            (one.motions[axis].shift for one in self._certificates if len(one.motions) > axis), default=1
        )

    def _rolls(self, k: int) -> bool:
        """Whether a value is seen with its input moved in a ring."""
        one = self._certificates[k]
        # All of no motions are rings, too: of what depends on no input.
        ring = all(motion.ring and motion.before == 0 == motion.after for motion in one.motions)
        return (
            one.translation == "none"
            or ring
            or (one.translation == "equivariant" and self._local[self._numbers[k]])
        )

    def _patched(self) -> tuple[int, list[bool]]:
        """The extent of the patch by which most can be told, and by value whether it tells."""
        tried = [(extent, self._clear(extent)) for extent in PATCHES]
        return max(tried, key=lambda one: sum(one[1][value] for value in self._numbers))

    def _clear(self, extent: int) -> list[bool]:
        flow = self._analysis.flow
        spans: dict[int, tuple[Span, ...]] = {}
        for node, shape in zip(flow.inputs, self._shapes, strict=True):
            spans[flow.starts[node]] = tuple(
                (start, start + min(extent, n) - 1 + reach)
                for start, reach, n in zip(
                    self._starts(shape, extent), self._reach(shape), shape[1:], strict=True
                )
            )
        return inside(flow, self._analysis.certificates, spans)

    def _reach(self, shape: tuple[int, ...]) -> list[int]:
        """How far an input is moved along each of its axes."""
        farthest = [steps - 1 for steps in self._moves.steps]
        return [self._moves.along(farthest, axis) for axis in range(len(shape) - 1)]

    def _starts(self, shape: tuple[int, ...], extent: int) -> list[int]:
        reach = self._reach(shape)
        return [max(0, n - min(extent, n) - step) // 2 for n, step in zip(shape[1:], reach, strict=True)]

    # -------------------------------------------------------------------------- moves

    def panels(self, findings: list[Finding], told: Told) -> tuple[str, list[Panel]]:
        found, progress = self._found, Progress(self._passes, told)
        told(0)
        run = Running(found.network, self._wires, found.state, found.seed)
        shares: list[Shares] = [[] for _ in self._wires]
        units: list[tuple[Shares, Frame | None] | None] = [None] * len(self._wires)
        for patched in (False, True):
            shown = [k for k, by_patch in enumerate(self._by_patch) if by_patch == patched]
            if not shown:
                continue
            generator = torch.Generator().manual_seed(found.seed)
            make = self._patch if patched else self._picture
            inputs, others = make(generator), make(generator)
            base, other = run(inputs), run(others)
            progress.went(2)
            scale = {k: _root(base[k] - other[k]) for k in shown}
            for shift in self._moves.all():
                moved = run([self._moves.rolled(x, shift) for x in inputs])
                progress.went()
                for k in shown:
                    seen = self._seen(k, base[k], moved[k], shift)
                    self._take(shares[k], shift, seen, scale[k])
                    if shift == self._one(k):
                        units[k] = self._by_unit(k, seen, scale[k])
        return self._note(), [
            self._panel(k, finding, shares[k], units[k]) for k, finding in enumerate(findings)
        ]

    def _picture(self, generator: torch.Generator) -> Inputs:
        return [_natural(shape, generator) for shape in self._shapes]

    def _patch(self, generator: torch.Generator) -> Inputs:
        """A patch on a uniform background."""
        made: Inputs = []
        for shape in self._shapes:
            x = torch.full((1, *shape), BACKGROUND, dtype=torch.float64)
            content = _natural((shape[0], *(min(self._extent, n) for n in shape[1:])), generator)
            starts = self._starts(shape, self._extent)
            places = tuple(slice(a, a + n) for a, n in zip(starts, content.shape[2:], strict=True))
            x[(slice(None), slice(None), *places)] = content
            made.append(x)
        return made

    def _take(self, shares: Shares, shift: tuple[int, ...], seen: _Seen, scale: float) -> None:
        if shift[-1] == 0:
            shares.append([])
        shares[-1].append(seen.share(scale))

    def _seen(self, k: int, y: Tensor, moved: Tensor, shift: tuple[int, ...]) -> _Seen:
        """A moved value held to the unmoved one, and which units are claimed."""
        certificate = self._certificates[k]
        axes = y.dim() - 2
        known = axes == len(certificate.motions) or certificate.translation == "none"
        if certificate.translation == "invariant" or not 0 < axes <= len(self._extents) or not known:
            square = (moved - y).square()
            return _Seen(square.mean(1)[0] if y.dim() > 2 else square[0].mean(), None)
        total, claim = torch.zeros_like(y[0, 0]), torch.ones_like(y[0, 0], dtype=torch.bool)
        ways: list[list[tuple[int, float]]] = []
        for axis, extent in enumerate(y.shape[2:]):
            ratio, border, ring = self._unit(k, axis, extent)
            units = self._moves.along(shift, axis) * ratio
            by, rest = units // 1, units % 1
            ways.append([(by, 1 - float(rest)), (by + 1, float(rest))] if rest else [(by, 1.0)])
            if not ring:
                claim &= _kept(extent, ceil(units), border).view(-1, *[1] * (axes - 1 - axis))
        for way in product(*ways):
            weight = 1.0
            origin = y
            for axis, (by, part) in enumerate(way):
                weight *= part
                origin = origin.roll(by, 2 + axis)
            total += weight * (moved - origin).square().mean(1)[0]
        return _Seen(total, claim)

    def _unit(self, k: int, axis: int, extent: int) -> tuple[Fraction, int, bool]:
        """How many units a sample is along an axis, the border, and whether a shift goes round."""
        certificate = self._certificates[k]
        if certificate.translation != "equivariant":
            return Fraction(extent, self._extents[axis]), 0, False
        motion, border = certificate.motions[axis], (certificate.border or [])[axis]
        return Fraction(motion.units, motion.shift), border or 0, motion.ring and border == 0

    def _one(self, k: int) -> tuple[int, ...]:
        """The shift after which units are shown: the least that is claimed, along each axis that has one."""
        motions = self._certificates[k].motions
        return tuple(
            0 if steps == 1 else motions[axis].shift if axis < len(motions) else 1
            for axis, steps in enumerate(self._moves.steps, self._moves.first)
        )

    def _by_unit(self, k: int, seen: _Seen, scale: float) -> tuple[Shares, Frame | None] | None:
        if seen.claim is None or seen.square.dim() == 0:
            return None
        certificate, shift = self._certificates[k], self._one(k)
        square, claim = seen.square, seen.claim
        hidden = max(square.dim() - 2, 0)
        for _ in range(hidden):
            # Of a volume the last two axes are shown.
            square, claim = square.mean(0), claim.any(0)
        compared = torch.ones_like(claim)
        for axis, extent in enumerate(square.shape):
            ratio, _, ring = self._unit(k, hidden + axis, extent)
            by = self._moves.along(shift, hidden + axis) * ratio
            if not ring:
                compared &= _kept(extent, ceil(by), 0).view(-1, *[1] * (square.dim() - 1 - axis))
        if not compared.any():
            return None
        frame = _around(claim) if certificate.translation == "equivariant" else None
        square = square.masked_fill(~compared, -1.0)
        if square.dim() == 1:
            square = square[None]
            frame = None if frame is None else (0, 1, *frame[2:])
        factor = -(-max(square.shape) // MOST_CELLS)
        rows = [
            [
                _share(float(square[i : i + factor, j : j + factor].max()), scale)
                for j in range(0, square.shape[1], factor)
            ]
            for i in range(0, square.shape[0], factor if square.shape[0] > 1 else 1)
        ]
        if frame is not None and factor > 1:
            first, last, start, end = frame
            ends = len(rows) if last == square.shape[0] else last // factor
            rows_in = (0, 1) if len(rows) == 1 else (-(-first // factor), ends)
            frame = (*rows_in, -(-start // factor), len(rows[0]) if end == square.shape[1] else end // factor)
        return rows, frame

    # -------------------------------------------------------------------------- words

    def _note(self) -> str:
        axes = len(self._extents)
        along = "its axis" if axes == 1 else "the last axis"
        if len(self._moves.steps) == 2:
            rows = "rows along the first, columns along the second"
            along = f"{'both axes' if axes == 2 else 'the last two axes'}: {rows}"
        far = " and ".join(f"0 to {steps - 1}" for steps in dict.fromkeys(self._moves.steps))
        weights = ", with trained weights" if self._found.trained else ""
        return f"the input is moved by {far} samples along {along}{weights}"

    def _panel(
        self, k: int, finding: Finding, shares: Shares, units: tuple[Shares, Frame | None] | None
    ) -> Panel:
        motions = self._certificates[k].motions[self._moves.first :][: len(self._moves.steps)]
        steps = [motion.shift for motion in motions]
        answered = [[False] * len(some) for some in shares]
        # All shifts in order, as the cells are.
        for number, shift in enumerate(self._moves.all() if self._certificates[k].motions else ()):
            row, column = divmod(number, len(shares[0]))
            answered[row][column] = all(by % step == 0 for by, step in zip(shift, steps, strict=False))
        claims = bool(self._certificates[k].motions)
        unseen = claims and (self._lacking[k] or finding.verdict == "unmeasured")
        if unseen:
            # What is claimed can't be held to the network here; the shift by 0 is as good as any.
            units = None
            shares = [
                [
                    None if answer and (row or column) else share
                    for column, (share, answer) in enumerate(zip(some, answers, strict=True))
                ]
                for row, (some, answers) in enumerate(zip(shares, answered, strict=True))
            ]
        within: list[float | None] = []
        without: list[float | None] = []
        for some, answers in zip(shares, answered, strict=True):
            for share, answer in zip(some, answers, strict=True):
                (within if answer else without).append(share)
        if claims:
            # Without the shift by 0, which every value answers to.
            within = within[1:]
        notes = [
            f"claimed: {claimed(finding)}"
            + (f" ({WORDS[finding.verdict]})" if WORDS[finding.verdict] else "")
        ]
        if unseen:
            small = "too small for a patch that no edge feels"
            notes.append(f"not measured here: {small if self._lacking[k] else finding.reason}")
            if any(share is not None for share in without):
                ring = ", moved in a ring" if self._lacking[k] else ""
                notes.append(f"measured: {_mean(without)} at other shifts{ring}")
        elif claims and without:
            notes.append(f"measured: {_mean(within)} at such shifts, {_mean(without)} at others")
        elif claims:
            notes.append(f"measured: {_mean(within)} at all of these shifts")
        else:
            notes.append(f"measured: {_mean(without[1:])} at shifts other than 0")
        if self._by_patch[k]:
            notes.append(f"a patch of {self._extent} moves on a uniform background")
        by = ", ".join(map(str, self._one(k)))
        by_unit, frame = units or (None, None)
        return Panel(
            str(finding.wire),
            tuple(notes),
            shares,
            answered,
            by_unit,
            f"by unit, after a shift by {by}",
            frame,
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """The mean square difference at every position, or of all there is; and which positions are claimed."""

    square: Tensor
    claim: Tensor | None

    def share(self, scale: float) -> float | None:
        square = self.square if self.claim is None else self.square[self.claim]
        return _share(float(square.mean()), scale) if square.numel() else None


def _share(square: float, scale: float) -> float | None:
    """A difference as a share; None where none was made (-1)."""
    if square < 0:
        return None
    share = sqrt(square) / (scale or 1.0)
    return 0.0 if share <= TOLERANCE else min(share, 1.0) if share == share else 1.0


def _kept(extent: int, by: int, border: int) -> Tensor:
    """Which units lie outside the border, before and after being moved."""
    place = torch.arange(extent)
    return (place - by >= border) & (place < extent - border)


def _around(claim: Tensor) -> Frame | None:
    """The rows and columns that are claimed; of a signal columns alone."""
    if not claim.any():
        return None
    ends: list[int] = []
    for axis in range(claim.dim()):
        places = claim.movedim(axis, 0).flatten(1).any(1) if claim.dim() > 1 else claim
        at = places.nonzero().flatten().tolist()
        ends += [at[0], at[-1] + 1]
    return (0, 1, ends[0], ends[1]) if claim.dim() == 1 else (ends[0], ends[1], ends[2], ends[3])


def _root(difference: Tensor) -> float:
    return sqrt(float(difference.square().mean()))


def _natural(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise in a ring whose amplitude falls with the frequency, as in photographs; white in a vector."""
    x = torch.randn(1, *shape, dtype=torch.float64, generator=generator)
    if len(shape) < 2:
        return x
    axes = tuple(range(2, x.dim()))
    square = torch.zeros(shape[1:], dtype=torch.float64)
    for axis, extent in enumerate(shape[1:]):
        frequencies = torch.fft.fftfreq(extent, dtype=torch.float64).square()
        square = square + frequencies.view(-1, *[1] * (len(shape) - 2 - axis))
    least = float(square[square > 0].min()) if bool((square > 0).any()) else 1.0
    x = torch.fft.ifftn(torch.fft.fftn(x, dim=axes) / square.clamp(min=least).sqrt(), dim=axes).real
    return torch.div(x, x.std().clamp(min=1e-9))


def _mean(shares: list[float | None]) -> str:
    """The mean of shares, in words."""
    seen = [share for share in shares if share is not None]
    if not seen:
        return "nothing"
    mean = sum(seen) / len(seen)
    return "no difference" if max(seen) == 0 else f"{mean:.2g} on average"
