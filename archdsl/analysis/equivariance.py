"""Translation: a certificate of how every value answers when the input's content moves.

What is certified. Let the content of every input (a map) move by a multiple of `shift` samples along
each axis, against a uniform background, and let it stay so far inside that its influence does not reach
the border. Then

- `equivariant`: the value moves by that multiple of shift/stride units (stride as in the receptive
  field). This holds for all units outside a border of `border` units at either end of each axis. In a
  network without global statistics (`NORMALISED` layers) more is true: if any image is moved circularly,
  corresponding units that both lie outside the border have equal values. With circular padding all along
  and extents that the strides divide the border is 0, and a circular shift is answered exactly everywhere.
- `invariant`: the value stays as it is.
- `none`: nothing is claimed. `ended_by` names the first layer for which the claim above failed.

How it is derived, from what the layers read:

- A stencil: its input must move by whole multiples of `step_in`, so `shift` grows to the least multiple
  for which it does. Where units read in turn, and one turn is as long as the axis (an adaptive pooling
  from 7 to 4, values joined end to end along it), nothing repeats and the claim ends. A unit lies in the
  border if its stencil reaches outside its input or into its input's border. Positions that wrap around
  are inside as long as the ring is whole: from the input on, until zero padding, or a window that leaves
  samples over, opens it.
- The same position (POINT), and the same with global statistics (NORMALISED), keep everything. Where
  several values meet, those that move must move by equally many units for one shift; `shift` is the
  least common multiple and the border the largest. Values that don't move may join them along axes on
  which their extent is 1, and at every position where they are the same at all (`uniformity`). Another map
  that doesn't move and has positions (a learned `parameter`), and a moving map of extent 1 that is repeated
  along an axis, end the claim.
- Global pooling (POOLED) makes what moves invariant. Mixing positions (MIXED), or reading none knows which
  (UNTOLD), ends the claim, except for what is invariant already, which stays so whatever reads it.
- A vector that is an input has no positions to move: beside maps that move it stays as it is, and alone it
  ends the claim. A layer of which nothing is known ends it too.

With symbolic extents the border is bounded over all values of the symbols; where it has no bound, None.
"""

from __future__ import annotations

from math import gcd, lcm
from typing import Any, Literal, NamedTuple

from archdsl.analysis.flow import Flow, Pattern, Reader, Reading
from archdsl.analysis.uniformity import uniform
from archdsl.layers.stencils import Reach
from archdsl.sizes import Size, bounds


class Motion(NamedTuple):
    """How a value moves along one axis: by `units` for each `shift` samples of the input.

    `before` and `after` are the units of border at the two ends (None: no bound is known), and `ring`
    says that the axis is still a whole ring: a circular shift of the input is one of the value.
    """

    shift: int
    units: int
    before: int | None
    after: int | None
    ring: bool


class Equivariance:
    """The certificate of one value. `motions` has an entry for each axis of what moves."""

    __slots__ = ("ended_by", "motions", "translation")

    def __init__(
        self,
        translation: Literal["equivariant", "invariant", "none"],
        motions: tuple[Motion, ...] = (),
        ended_by: str | None = None,
    ) -> None:
        self.translation = translation
        self.motions = motions
        self.ended_by = ended_by

    @property
    def shift(self) -> list[int] | None:
        """The samples, per axis of the input, of which shifts must be multiples; None without a claim."""
        return None if self.translation == "none" else [motion.shift for motion in self.motions]

    @property
    def border(self) -> list[int | None] | None:
        """The units at either end, per axis, for which nothing is claimed; None where nothing moves."""
        if self.translation != "equivariant":
            return None
        return [
            None if motion.before is None or motion.after is None else max(motion.before, motion.after)
            for motion in self.motions
        ]

    def to_dict(self) -> dict[str, Any]:
        """The object that the report prints."""
        motions = self.motions
        if self.translation == "equivariant" and len(motions) == 2 and motions[0] is motions[1]:
            # By far the most frequent: a map with both axes alike.
            shift, _, before, after, _ = motions[0]
            border = None if before is None or after is None else max(before, after)
            shifts, borders = [shift, shift], [border, border]
            return {"translation": "equivariant", "shift": shifts, "border": borders, "ended_by": None}
        return {
            "translation": self.translation,
            "shift": self.shift,
            "border": self.border,
            "ended_by": self.ended_by,
        }


STILL = Equivariance("invariant")
"""Of a value that depends on no input that moves."""

_new = tuple.__new__
"""Makes a Motion in a third of the time; it is made for every convolution of a deep network."""

START = Motion(1, 1, 0, 0, True)


def equivariances(flow: Flow) -> list[Equivariance]:
    """The certificate of every value, by its number."""
    inputs = set(flow.inputs)
    of_vectors = STILL if any(flow.rules[i].readers[0].extents for i in inputs) else None
    found: list[Equivariance] = []
    for i, (rules, before) in enumerate(zip(flow.rules, flow.feeds, strict=True)):
        if len(before) == 1:
            value = found[before[0]]
            if rules.kept:
                found.append(value)
                continue
            for reader in rules.readers:
                if reader.kept or value.translation != "equivariant":
                    found.append(value)
                    continue
                made = _read(value, reader.readings[0], reader.extents_in[0], reader.extents)
                found.append(_ended(flow, i) if made is None else made)
        elif before:
            values = [found[feed] for feed in before]
            found.extend(_met(flow, before, values, reader) or _ended(flow, i) for reader in rules.readers)
        elif i in inputs:
            motions = (START,) * len(rules.readers[0].extents)
            moving = Equivariance("equivariant", motions) if motions else of_vectors
            found.append(moving or _ended(flow, i))
        else:
            found.append(STILL)
    return found


def _ended(flow: Flow, i: int) -> Equivariance:
    return Equivariance("none", (), flow.nodes[i].name)


def _met(
    flow: Flow, feeds: tuple[int, ...], values: list[Equivariance], reader: Reader
) -> Equivariance | None:
    """The certificate of what a layer makes of several values; None where the claim ends."""
    for value in values:
        if value.translation == "none":
            return value
    joined: Equivariance | None = None
    for value, reading, extents in zip(values, reader.readings, reader.extents_in, strict=True):
        made: Equivariance | None = value
        if value.translation == "equivariant":
            # A moving map of extent 1 that is repeated over positions; a global pooling has one input.
            made = None if reading is Reach.POOLED else _read(value, reading, extents, reader.extents)
        joined = made if joined is None else _joined(joined, made)
        if joined is None:
            return None
    assert joined is not None
    if joined.translation == "equivariant":
        for feed, value, reading, extents in zip(
            feeds, values, reader.readings, reader.extents_in, strict=True
        ):
            if (
                value.translation == "invariant"
                and any(extent != 1 for extent in extents)
                and not (reading is Reach.POINT and uniform(flow, feed))
            ):
                return None
    return joined


def _joined(a: Equivariance, b: Equivariance | None) -> Equivariance | None:
    if b is None:
        return None
    if a is b or b is STILL:
        return a
    if a is STILL:
        return b
    if len(a.motions) != len(b.motions):
        return None
    if a.motions is b.motions or a.motions == b.motions:
        return b if a.translation == "invariant" else a
    moving = [value for value in (a, b) if value.translation == "equivariant"]
    motions: list[Motion] = []
    for left, right in zip(a.motions, b.motions, strict=True):
        shift = lcm(left.shift, right.shift)
        if len(moving) == 1:
            kept = left if moving[0] is a else right
            motions.append(kept._replace(shift=shift, units=kept.units * (shift // kept.shift)))
            continue
        if not moving:
            motions.append(left._replace(shift=shift))
            continue
        if left.shift * right.units != right.shift * left.units:
            return None
        motions.append(
            Motion(
                shift,
                left.units * (shift // left.shift),
                _larger(left.before, right.before),
                _larger(left.after, right.after),
                left.ring and right.ring,
            )
        )
    return Equivariance("equivariant" if moving else "invariant", tuple(motions))


def _read(
    value: Equivariance, reading: Reading, extents_in: tuple[Size, ...], extents: tuple[Size, ...]
) -> Equivariance | None:
    """The certificate of what a layer makes of a moving value; None where the claim ends."""
    if isinstance(reading, tuple):
        motions = value.motions
        if not len(reading) == len(motions) == len(extents_in) == len(extents):
            return None
        last = _moved(motions[0], reading[0], extents_in[0], extents[0])
        if last is None:
            return None
        made = [last]
        for j in range(1, len(motions)):
            if not (
                motions[j] is motions[j - 1]
                and reading[j] is reading[j - 1]
                and extents_in[j] == extents_in[j - 1]
                and extents[j] == extents[j - 1]
            ):
                last = _moved(motions[j], reading[j], extents_in[j], extents[j])
                if last is None:
                    return None
            made.append(last)
        return Equivariance("equivariant", tuple(made))
    if reading is Reach.POINT:
        return value if extents_in == extents else None
    if reading is Reach.NORMALISED:
        return value
    if reading is Reach.POOLED:
        return Equivariance("invariant", value.motions)
    return None


def _moved(motion: Motion, pattern: Pattern, extent_in: Size, extent: Size) -> Motion | None:
    """The motion of what a stencil makes; None where the stencil repeats nowhere along the axis."""
    if pattern.identity and extent_in == extent:
        return motion
    shift, units, before, after, ring = motion
    step_in, step_out = pattern.step_in, pattern.step_out
    if step_in != 1:
        if step_out != 1 and isinstance(extent_in, int) and step_in >= extent_in:
            return None
        times = step_in // gcd(units, step_in)
        shift *= times
        units = units * times // step_in
    if step_out != 1:
        units *= step_out
    whole = ring and extent_in * step_out == extent * step_in
    if whole and pattern.wraps:
        return Motion(shift, units, 0, 0, True)
    before, after = _border(pattern, extent_in, extent, before, after)
    return _new(Motion, (shift, units, before, after, whole and before == 0 == after))


def _border(
    pattern: Pattern, extent_in: Size, extent: Size, before: int | None, after: int | None
) -> tuple[int | None, int | None]:
    """The units at both ends that reach outside the input, or into its border."""
    step_in, step_out = pattern.step_in, pattern.step_out
    if step_out == 1 and before is not None and after is not None:
        low, high = pattern.low[0], pattern.high[0]
        if low is not None and high is not None and isinstance(extent, int) and isinstance(extent_in, int):
            # One window a unit, by far the most frequent case: what the general rule below comes to.
            first = -((low - before) // step_in)
            last = extent - 1 - (extent_in - 1 - after - high) // step_in
            return min(max(first, 0), extent), min(max(last, 0), extent)
    lead: int | None = 0
    trail: int | None = 0
    if not any(pattern.runs):
        # Places that come from elsewhere (a max_unpool's indices): as far as what was pooled there.
        lead = None if before is None else before * step_out
        trail = None if after is None else after * step_out
    for phase, (low, high) in enumerate(zip(pattern.low, pattern.high, strict=True)):
        if low is None or high is None:
            continue
        if before is None:
            lead = None
        else:
            # The last turn whose first position lies before the border's end.
            turn = -((low - before) // step_in) - 1
            if turn >= 0:
                lead = _larger(lead, turn * step_out + phase + 1)
        if after is None:
            trail = None
        else:
            turn_after = (extent_in - 1 - after - high) // step_in + 1
            trail = _larger(trail, _bound(extent - turn_after * step_out - phase))
    if isinstance(extent, int):
        lead = extent if lead is None else min(lead, extent)
        trail = extent if trail is None else min(trail, extent)
    return lead, trail


def _bound(size: Size) -> int | None:
    return size if isinstance(size, int) else bounds(size)[1]


def _larger(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a if a > b else b
