"""Turns, reflections and changes of scale: a certificate of how every value answers to each.

What is certified. Let every input that is a map be turned by a quarter about its centre, reflected along its
last axis, or resized. Then

- `equivariant`: the positions of the value do the same, and its channels do what its fibre says
  (`archdsl.layers.symmetry`).
- `invariant`: the value stays as it is.
- `none`: nothing is claimed. `ended_by` names the first layer for which the claim failed.

Where it is not `exact` the claim is of continuous pictures, and of samples it holds about. An exact claim of
scale is of enlargement by a whole factor that repeats each sample so many times along every axis: what acts
at one position, takes the mean or maximum of a whole map, or repeats samples itself, answers to that exactly.

How it is derived. What the channels do is the layer's rule `answers`. What the positions do follows from
what it reads: turned round, each unit must read what its mirror image reads, on both axes alike for a
quarter turn. After a polar resampling a turn moves the map in a ring along its first axis, so that the
stencil there must repeat and wrap around, or stay within its own samples; a change of scale moves it along
the second axis, where borders are as they are. What has no positions left and scalar channels is invariant,
and so is whatever is made of that alone.

With symbolic extents a claim is made where it is so whatever the symbols are. Where they decide, nothing is
claimed either, and `where` says what is so at the sizes that fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from archdsl.analysis.flow import Flow, Pattern, Reader, Reading
from archdsl.analysis.uniformity import uniform
from archdsl.layers.stencils import Reach
from archdsl.layers.symmetry import ACTED_ON, SCALAR, Fibre, Motion
from archdsl.sizes import Question, Size, Symbolic, answering, equal

if TYPE_CHECKING:
    from archdsl.compiler.network import Node

MOST_UNITS = 2**14
"""The longest axis of a ring that is looked at."""


class Answer(NamedTuple):
    """How a value answers to one motion; `fibre` is what its channels do, where anything is claimed.

    `where` is set if nothing is claimed since open sizes decide, at the layer `ended_by`: it is what is so
    for those that fit, and `none` where that can't be told.
    """

    answer: Literal["equivariant", "invariant", "none"]
    fibre: Fibre | None = None
    ended_by: str | None = None
    where: Literal["equivariant", "invariant", "none"] | None = None

    @property
    def at_best(self) -> Literal["equivariant", "invariant", "none"]:
        """The answer at open sizes that fit."""
        return self.where or self.answer

    def depending(self, name: str) -> Answer:
        """This answer where open sizes decide at a layer whether it is so."""
        return Answer("none", self.fibre, name, self.at_best)

    def to_dict(self) -> dict[str, Any]:
        """The object that the report prints."""
        return {
            "answer": self.answer,
            "channels": self.fibre.kind if self.fibre is not None and self.answer == "equivariant" else None,
            "exact": self.answer == "none" or self.fibre is None or self.fibre.exact,
            "ended_by": self.ended_by,
        }


class Symmetry:
    """How one value answers to each motion; None for a motion that no input has the axes for."""

    __slots__ = ("answers", "over")

    def __init__(self, answers: tuple[Answer | None, ...]) -> None:
        self.answers = answers
        self.over = all(one is None or one.at_best == "none" for one in answers)
        """Whether nothing is claimed any more, whatever open sizes are."""

    def of(self, motion: Motion) -> Answer | None:
        return self.answers[MOTIONS.index(motion)]

    def to_dict(self) -> dict[str, Any]:
        """The objects that the report prints, by motion."""
        return {
            motion.value: None if answer is None else answer.to_dict()
            for motion, answer in zip(MOTIONS, self.answers, strict=True)
        }


MOTIONS = tuple(Motion)
MADE = ("regular", "harmonic")
"""The kinds of fibre that a layer is there to make."""

INVARIANT = Answer("invariant", SCALAR)


def symmetries(flow: Flow) -> list[Symmetry]:
    """How every value answers, by its number."""
    inputs = set(flow.inputs)
    axes = max((len(flow.rules[i].readers[0].extents) for i in inputs), default=0)
    apply = [axes >= ACTED_ON[motion] for motion in MOTIONS]
    still = Symmetry(tuple(INVARIANT if applies else None for applies in apply))
    found: list[Symmetry] = []
    # Values that nobody computes from others, still to come, and the last layer that reads one of a claim.
    origins, read = flow.feeds.count(()), 0
    over: set[Symmetry] = set()
    for i, (rules, before) in enumerate(zip(flow.rules, flow.feeds, strict=True)):
        first = found[before[0]] if before else still
        if i > read and not origins and len(over) == 1:
            # By far the most frequent: a network whose first convolution has ended every claim.
            return found + [first] * (len(flow.makers) - len(found))
        origins -= not before
        start = len(found)
        if first.over and (len(before) == 1 or all(found[feed] is first for feed in before)):
            found += (first,) * len(rules.counts)
        elif before:
            values = [found[feed] for feed in before]
            found.extend(
                _made(flow, i, values, reader, start + j in flow.indices)
                for j, reader in enumerate(rules.readers)
            )
        elif i in inputs:
            extents = rules.readers[0].extents
            name = flow.nodes[i].name
            found.append(
                Symmetry(
                    tuple(
                        _at_input(motion, extents, name) if applies else None
                        for motion, applies in zip(MOTIONS, apply, strict=True)
                    )
                )
            )
        else:
            found.append(still)
        for value, one in enumerate(found[start:], start):
            if one.over:
                over.add(one)
            else:
                read = max(read, flow.last_use[value])
    return found


def ended(flow: Flow, symmetries: list[Symmetry]) -> list[tuple[Node, Fibre]]:
    """The layers that end an answer to turns which others were made for, and what they did not keep."""
    number = MOTIONS.index(Motion.ROTATION)
    found: list[tuple[Node, Fibre]] = []
    answers = [symmetry.answers[number] for symmetry in set(symmetries)]
    if not any(one is not None and one.fibre is not None and one.fibre.kind in MADE for one in answers):
        return found
    for node, before, start in zip(flow.nodes, flow.feeds, flow.starts, strict=True):
        after = symmetries[start].answers[number]
        if after is None or after.ended_by != node.name or after.where is not None:
            continue
        for feed in before:
            answer = symmetries[feed].answers[number]
            fibre = None if answer is None else answer.fibre
            if fibre is not None and fibre.kind in MADE:
                found.append((node, fibre))
                break
    return found


def _at_input(motion: Motion, extents: tuple[Size, ...], name: str) -> Answer:
    if len(extents) < ACTED_ON[motion]:
        # A vector, beside maps that move, stays as it is.
        return INVARIANT
    square = equal(extents[-1], extents[-2]) if motion is Motion.ROTATION else True
    if square is False:
        return Answer("none", None, name)
    found = _settled(motion, SCALAR, extents)
    return found if square else found.depending(name)


def _settled(motion: Motion, fibre: Fibre, extents: tuple[Size, ...]) -> Answer:
    """An answer: invariant, where no positions are left to move and the channels are pictures."""
    acted_on = extents if motion is Motion.SCALE else extents[-ACTED_ON[motion] :]
    if fibre.kind == "scalar" and all(extent == 1 for extent in acted_on):
        return Answer("invariant", fibre)
    return Answer("equivariant", fibre)


def _made(flow: Flow, i: int, values: list[Symmetry], reader: Reader, places: bool) -> Symmetry:
    """How what a layer makes answers; `places` says that it is the places where maxima were found."""
    answers: list[Answer | None] = []
    for number, motion in enumerate(MOTIONS):
        given = [value.answers[number] for value in values]
        known = [one for one in given if one is not None]
        if len(known) < len(given):
            answers.append(None)
        else:
            answers.append(_met(flow, i, motion, known, reader, places))
    same = next((value for value in values if list(value.answers) == answers), None)
    return same or Symmetry(tuple(answers))


def _met(flow: Flow, i: int, motion: Motion, known: list[Answer], reader: Reader, places: bool) -> Answer:
    """The answer of what a layer makes of values with these answers."""
    ended = [one for one in known if one.at_best == "none"]
    if ended:
        return min(ended, key=lambda one: one.where is not None)
    name = flow.nodes[i].name
    if all(one.at_best == "invariant" for one in known):
        least = min(known, key=lambda one: one.fibre is None or one.fibre.exact)
        found = Answer("invariant", least.fibre)
    else:
        found = _answered(flow, i, motion, known, reader, places) or Answer("none", None, name)
    doubt = next((one.ended_by for one in known if one.where is not None), None)
    return found if doubt is None or found.at_best == "none" else found.depending(doubt)


def _answered(
    flow: Flow, i: int, motion: Motion, known: list[Answer], reader: Reader, places: bool
) -> Answer | None:
    """The answer of what a layer makes of values of which some move; None where the claim ends."""
    fibres: list[Fibre] = []
    for feed, one, reading, extents in zip(
        flow.feeds[i], known, reader.readings, reader.extents_in, strict=True
    ):
        if one.fibre is None:
            return None
        if one.at_best == "invariant" and any(extent != 1 for extent in extents):
            # Something with positions that does not move, such as a learned map, tells them apart.
            alike = reading is Reach.POINT and motion is not Motion.SCALE and uniform(flow, feed)
            if not alike:
                return None
        fibres.append(one.fibre)
    node = flow.nodes[i]
    xs = tuple([maker.shapes[port] for maker, port in node.inputs])
    fibre = node.layer.answers(motion, tuple(fibres), *xs)
    if fibre is None:
        asked: list[Question] = []
        with answering(asked.append):
            node.layer.answers(motion, tuple(fibres), *xs)
        return Answer("none", None, node.name, "none") if asked else None
    if fibre.kind == "polar" and motion is Motion.ROTATION:
        fibre = fibre._replace(size=_ring(fibre, reader))
    moves = _every(
        _moves(motion, before, fibre, reading, extents_in, reader.extents)
        for before, reading, extents_in in zip(fibres, reader.readings, reader.extents_in, strict=True)
    )
    if moves is False:
        return None
    exact = fibre.exact and all(one.exact for one in fibres)
    if motion is Motion.SCALE:
        exact = exact and fibre.kind == "scalar"
        for reading, extents_in in zip(reader.readings, reader.extents_in, strict=True):
            exact = exact and _repeats(reading, extents_in, reader.extents)
    fibre = fibre._replace(exact=exact)
    # The place of a maximum is another one in a map that moved, also where there is one maximum alone.
    found = Answer("equivariant", fibre) if places else _settled(motion, fibre, reader.extents)
    return found if moves else found.depending(node.name)


def _moves(
    motion: Motion,
    before: Fibre,
    after: Fibre,
    reading: Reading,
    extents_in: tuple[Size, ...],
    extents: tuple[Size, ...],
) -> bool | None:
    """Whether the positions of what is made move as those of what is read do; None where symbols decide."""
    if isinstance(reading, Reach) and all(extent == 1 for extent in extents_in):
        return True
    if after.kind != before.kind and reading in (Reach.UNTOLD, Reach.CHOSEN, Reach.MIXED):
        # A resampling, whose own rule says it all.
        return True
    if reading is Reach.POINT:
        same = len(extents_in) == len(extents)
        return same and _every(equal(a, b) for a, b in zip(extents_in, extents, strict=True))
    if reading is Reach.UNTOLD and any(isinstance(extent, Symbolic) for extent in extents_in):
        return None
    if isinstance(reading, Reach):
        whole = before.kind != "polar" or motion is Motion.SCALE or extents_in[0] == before.size
        return reading in (Reach.NORMALISED, Reach.POOLED) and whole
    if motion is Motion.SCALE:
        # A layer that answers to it at all has looked at its own positions.
        return True
    if before.kind == "polar":
        return motion is not Motion.ROTATION or after.size > 0
    mirrored = _mirrored(reading[-1], extents_in[-1], extents[-1])
    if motion is Motion.REFLECTION:
        return mirrored
    if len(reading) < 2 or not (reading[-1] is reading[-2] or _alike(reading[-1], reading[-2])):
        return False
    return _every((equal(extents_in[-1], extents_in[-2]), equal(extents[-1], extents[-2]), mirrored))


def _every(answers: Iterable[bool | None]) -> bool | None:
    """Whether all is so; None where that is open."""
    found = set(answers)
    return False if False in found else None if None in found else True


def _repeats(reading: Reading, extents_in: tuple[Size, ...], extents: tuple[Size, ...]) -> bool:
    """Whether samples that are repeated along every axis are read as one: then so is what is made of them."""
    if all(extent == 1 for extent in extents_in):
        return True
    if isinstance(reading, Reach):
        return reading in (Reach.POINT, Reach.NORMALISED, Reach.POOLED)
    return all(
        pattern.step_in == 1
        and all(offset == 0 for offset in (*pattern.low, *pattern.high))
        and extent == extent_in * pattern.step_out
        for pattern, extent_in, extent in zip(reading, extents_in, extents, strict=True)
    )


def _alike(a: Pattern, b: Pattern) -> bool:
    return (a.step_in, a.step_out, a.runs, a.wraps) == (b.step_in, b.step_out, b.runs, b.wraps)


def _positions(pattern: Pattern, unit: int) -> set[int]:
    """What a unit reads along an axis."""
    turn, phase = divmod(unit, pattern.step_out)
    return {
        turn * pattern.step_in + first + k * gap
        for first, gap, count in pattern.runs[phase]
        for k in range(count + 1)
    }


def _mirrored(pattern: Pattern, extent_in: Size, extent: Size) -> bool | None:
    """Whether each unit reads the mirror image of what its own mirror image reads; None where symbols decide.

    Place p of the input and `extent_in - 1 - p` are images. Units repeat after `step_out`, and so do theirs:
    so that one turn shows it all, whatever the extents.
    """
    if pattern.identity and extent_in == extent:
        return True
    turns = extent // pattern.step_out
    rest = extent - turns * pattern.step_out
    if not isinstance(rest, int):
        return None
    wanted: set[tuple[int, int]] = set()
    for phase in range(min(extent, pattern.step_out) if isinstance(extent, int) else pattern.step_out):
        further, image = divmod(rest - 1 - phase, pattern.step_out)
        runs, images = pattern.runs[phase], pattern.runs[image]
        if len(runs) != len(images):
            return False
        for (first, gap, count), (other, *alike) in zip(runs, reversed(images), strict=True):
            if [gap, count] != alike:
                return False
            wanted.add((further, first + gap * count + other))
    # Offset o from a unit's turn is the image of offset `across - o` from its image's turn.
    across = {further: extent_in - 1 - (turns + further) * pattern.step_in for further, _ in wanted}
    return _every(equal(across[further], ends) for further, ends in wanted)


def _ring(fibre: Fibre, reader: Reader) -> int:
    """How many units make a ring after a layer, where that is a ring at all; otherwise 0."""
    found = {
        _turned(reading[0], fibre, extents_in[0], reader.extents[0])
        if isinstance(reading, tuple)
        else fibre.size
        for reading, extents_in in zip(reader.readings, reader.extents_in, strict=True)
        if extents_in
    }
    return found.pop() if len(found) == 1 else 0


def _turned(pattern: Pattern, fibre: Fibre, extent_in: Size, extent: Size) -> int:
    """The length of what a stencil makes of a ring; 0 where it reads beyond it, or where turns don't fit."""
    ring = fibre.size
    if pattern.identity and extent_in == extent:
        return ring
    if not isinstance(extent_in, int) or not isinstance(extent, int) or extent > MOST_UNITS:
        return 0
    ends = {
        0,
        extent - 1,
        *range(min(pattern.step_out, extent)),
        *range(max(extent - pattern.step_out, 0), extent),
    }
    places = set().union(*(_positions(pattern, unit) for unit in ends))
    inside = all(0 <= place < extent_in for place in places)
    if not inside and not (pattern.wraps and extent_in == ring):
        return 0
    made, rest = divmod(ring * pattern.step_out, pattern.step_in)
    # A quarter of the ring has to be a whole number of the layer's steps.
    return 0 if rest or (fibre.exact and ring // 4 % pattern.step_in) else made
