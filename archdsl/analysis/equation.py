"""What a unit of a layer computes, as equations.

Positions, channels and weights count from 1. `x` is the layer's input, `h` its output, or that of the
activation after it; i, j and k count its positions, c its channels. A weight's indices are its place in the
layer's tensor `weight`, without axes of extent 1; d counts the channels of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from archdsl.analysis.formula import (
    Call,
    Equation,
    Formula,
    Index,
    Number,
    Over,
    Product,
    Quotient,
    Symbol,
    added,
    multiplied,
    read,
)
from archdsl.layers.layer import Layer
from archdsl.layers.linear_map import LinearMap, Tap, Taps, number, once, stencil_taps
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, window
from archdsl.sizes import Size, Undecided, equal

if TYPE_CHECKING:
    from archdsl.compiler.network import Network, Node

POSITIONS = ("i", "j", "k")
INPUT = "d"
"""What counts the channels of the input: `a` is the activation."""
TAPS = {1: ("t",), 2: ("m", "n"), 3: ("l", "m", "n")}
MOST_KINDS = 9
"""Of how many kinds units are, by turns, and are still written down."""
MOST_TERMS = {True: 7, False: 4}
"""How many terms are written one by one: along one axis of one channel, and otherwise."""
MOST_FIXED = 16
"""How many are, where each has a number of its own for a weight."""
EXTENTS = range(60, 68)
"""Extents for those that are open, to see whether anything depends on them."""

OUTSIDE = {
    "zeros": "Outside of the input, x is 0.",
    "circular": "Outside of the input, x goes on with its other end.",
    "reflect": "Outside of the input, x is mirrored at its first and its last position.",
    "replicate": "Outside of the input, x is as at its first or its last position.",
}
UNCOUNTED = "Positions outside of the input do not count."


class Equations(NamedTuple):
    """The equations of a layer and what comes right after it, and what must be known to read them."""

    lines: list[Equation]
    notes: list[str]
    layers: list[Node]
    """Whose they are: the layer, and a normalisation and an activation after it."""


class TooManyKinds(Exception):
    """The units of a layer are of more kinds, or have more weights, than are written down."""


def equations(network: Network, node: Node) -> Equations | None:
    """Those of a layer; None where it is of a kind of which none are written.

    Raises `Undecided` where they depend on open sizes, `TooManyKinds` and `TooLarge`.
    """
    layer, x, y = node.layer, node.inputs[0].shape, node.shape
    kinds = _kinds(layer, x, y)
    if kinds is None:
        return None
    parts, notes = kinds
    after = [] if layer.formula else _after(network, node)
    place = _place(y)
    lines: list[Equation] = []
    activation = next((one for one in after if not _has_figures(one.layer)), None)
    norm = next((one for one in after if _has_figures(one.layer)), None)
    if norm is not None:
        lines += [Equation(Symbol("z", left), right) for left, right in parts]
        parts = [(place, _pointwise(norm.layer, Symbol("z", place), y, "δ"))]
        notes.append(_figures(norm.layer))
    for left, right in parts:
        whole = right if activation is None else Call("a", (right,))
        lines.append(Equation(Symbol("h", left), whole))
    if activation is not None:
        z = Symbol("z")
        lines.append(Equation(Call("a", (z,)), _pointwise(activation.layer, z, y, "δ")))
    if layer.formula and _has_figures(layer):
        notes.append(_figures(layer))
    return Equations(lines, list(filter(None, notes)), [node, *filter(None, (norm, activation))])


Kind = tuple[tuple[Index, ...], Formula]
"""The indices of some units of a layer, and what they are."""


def _kinds(layer: Layer, x: Shape, y: Shape) -> tuple[list[Kind], list[str]] | None:
    """What the units are, each kind of them, and notes."""
    if layer.formula:
        place = _place(y)
        return [(place, _pointwise(layer, Symbol("x", place), y, "β"))], []
    if layer.of_window:
        return _largest(_steady(_windows(layer, x), y), x, y)
    found = _linear(layer, x)
    return None if found is None else _weighted(layer, replace(found, axes=_steady(found.axes, y)), x, y)


def _place(y: Shape) -> tuple[Index, ...]:
    return (*_if(y.channels, letter("c")), *(letter(POSITIONS[k]) for k in range(y.axes)))


def letter(name: str) -> Index:
    """An index that is a letter."""
    return Index(((name, 1),))


def index(terms: list[tuple[str, int]], constant: int) -> Index:
    """An index without letters that are taken no times."""
    return Index(tuple(term for term in terms if term[1]), constant)


def _if(size: Size, index: Index) -> tuple[Index, ...]:
    """An index along an axis, left out where there is one place alone."""
    return () if equal(size, 1) is True else (index,)


# ------------------------------------------------------------------------------ number by number


def _has_figures(layer: Layer) -> bool:
    return "mean" in layer.formula


def _figures(layer: Layer) -> str:
    eps = layer.values["eps"]
    return f"μ and σ² are a channel's mean and variance, as kept from training; ε is {eps:g}."


def _pointwise(layer: Layer, z: Formula, y: Shape, shift: str) -> Formula:
    """The formula of an activation or a normalisation of z."""
    own = layer.weights(y).get("weight")
    channel = _if(y.channels, letter("c"))
    names: dict[str, Formula] = {
        "z": z,
        "mean": Symbol("μ", channel),
        "variance": Symbol("σ", channel, square=True),
        "eps": Symbol("ε"),
        "weight": Symbol("γ", channel if own is not None and own.count == y.channels else ()),
        "bias": Symbol(shift, channel),
    }
    given = {name: Number(value) for name, value in layer.values.items() if isinstance(value, int | float)}
    return read(layer.formula, {**given, **names})


def _after(network: Network, node: Node) -> list[Node]:
    """A normalisation and an activation right after a layer, where nothing else reads what is between."""
    found: list[Node] = []
    last = node
    while len(found) < 2:
        readers = [other for other in network.nodes for wire in other.inputs if wire.node is last]
        outputs = any(wire.node is last for wire in network.outputs)
        if len(readers) != 1 or outputs or not readers[0].layer.formula:
            break
        (last,) = readers
        if found and (_has_figures(last.layer) or not _has_figures(found[0].layer)):
            break
        found.append(last)
    return [one for one in found if one.layer.formula != "z"]


# ------------------------------------------------------------------------------ weighted sums


def _steady(axes: tuple[Taps, ...], y: Shape) -> tuple[Taps, ...]:
    """The same, without a step along an axis on which there is one unit alone."""
    return tuple(
        replace(taps, step_in=0) if taps.step_out == 1 and equal(m, 1) is True else taps
        for taps, m in zip(axes, y.size, strict=True)
    )


def _numeric(layer: Layer, x: Shape) -> list[Shape]:
    """Inputs with numbers for extents: that which it is, or some in place of open ones."""
    if all(isinstance(n, int) for n in x.size):
        return [x]
    return [Shape((x.channels, *(n if isinstance(n, int) else e for n in x.size))) for e in EXTENTS]


def _linear(layer: Layer, x: Shape) -> LinearMap | None:
    found = [layer.linear_map(one) for one in _numeric(layer, x)]
    first = found[0]
    if any(other is None or first is None or _form(other) != _form(first) for other in found[1:]):
        raise Undecided
    return first


def _form(found: LinearMap) -> object:
    return [(taps.step_in, taps.step_out, taps.phases) for taps in found.axes]


def _windows(layer: Layer, x: Shape) -> tuple[Taps, ...]:
    """What the units of a pooling read, along each axis."""
    (read_, *others) = [layer.reads(one)[0] for one in _numeric(layer, x)]
    if any(other != read_ for other in others):
        raise Undecided
    if read_ is Reach.POOLED:
        return tuple(stencil_taps(window(number(n)), "zeros", once) for n in x.size)
    if isinstance(read_, Reach):
        raise Undecided
    return tuple(stencil_taps(stencil, "zeros", once) for stencil in read_)


def _outside(axes: Sequence[Taps], x: Shape, y: Shape) -> bool:
    """Whether some unit reads positions outside of the input."""
    for taps, n, m in zip(axes, x.size, y.size, strict=True):
        every = [p for unit in range(taps.step_out) for p, _ in taps.of(unit)]
        if not isinstance(n, int) or not isinstance(m, int):
            # With an open extent the end is not known; what is before the start tells.
            if any(p < 0 for p in every):
                return True
            continue
        last = [p for unit in range(max(0, m - taps.step_out), m) for p, _ in taps.of(unit)]
        if any(p < 0 for p in every) or any(p >= n for p in last):
            return True
    return False


class _Term(NamedTuple):
    """Along one axis: the position that is read, the weight that meets it, and which weight that is."""

    position: Index
    weight: Index
    tap: int


def _turns(axes: Sequence[Taps]) -> list[tuple[int, ...]]:
    kinds = prod(taps.step_out for taps in axes)
    if kinds > MOST_KINDS:
        raise TooManyKinds(f"are of {kinds:,} kinds, by turns, and at most {MOST_KINDS} are written")
    return [*product(*(range(taps.step_out) for taps in axes))]


def _units(axes: Sequence[Taps], turn: tuple[int, ...]) -> tuple[Index, ...]:
    """The indices of the units of a kind."""
    return tuple(
        index(
            [(POSITIONS[k], taps.step_out if taps.step_in else 0)],
            r + 1 - (taps.step_out if taps.step_in else 0),
        )
        for k, (taps, r) in enumerate(zip(axes, turn, strict=True))
    )


def _terms(taps: Taps, k: int, phase: Sequence[Tap]) -> list[_Term]:
    """Each position and weight of a kind of unit."""
    return [
        _Term(
            index([(POSITIONS[k], taps.step_in)], p + 1 - taps.step_in),
            Index((), t + 1),
            t,
        )
        for p, t in phase
    ]


def _together(taps: Taps, k: int, name: str, phase: Sequence[Tap]) -> _Term:
    """All of them, by an index that runs from 1; they are evenly spaced."""
    (p, t), (p2, t2) = phase[0], phase[1]
    assert all((d[0] - c[0], d[1] - c[1]) == (p2 - p, t2 - t) for c, d in pairwise(phase))
    position = [(POSITIONS[k], taps.step_in), (name, p2 - p)]
    return _Term(
        index(position, p + 1 - taps.step_in - (p2 - p)), index([(name, t2 - t)], t + 1 - (t2 - t)), t
    )


def _spread(
    axes: Sequence[Taps], turn: tuple[int, ...], most: int
) -> tuple[list[tuple[_Term, ...]], list[tuple[str, int]]]:
    """The terms of a kind of unit, and the indices that they are summed over: none where each is written."""
    phases = [taps.phases[r] for taps, r in zip(axes, turn, strict=True)]
    if prod(map(len, phases)) <= most:
        along = [_terms(taps, k, phase) for k, (taps, phase) in enumerate(zip(axes, phases, strict=True))]
        return [*product(*along)], []
    terms, over = [], []
    for k, (taps, phase) in enumerate(zip(axes, phases, strict=True)):
        if len(phase) == 1:
            terms.append(_terms(taps, k, phase)[0])
        else:
            name = TAPS[len(axes)][k]
            terms.append(_together(taps, k, name, phase))
            over.append((name, len(phase)))
    return [tuple(terms)], over


def _largest(axes: tuple[Taps, ...], x: Shape, y: Shape) -> tuple[list[Kind], list[str]]:
    channel = _if(y.channels, letter("c"))
    kinds: list[Kind] = []
    for turn in _turns(axes):
        terms, over = _spread(axes, turn, 5)
        samples = tuple(Symbol("x", (*channel, *(one.position for one in term))) for term in terms)
        inner: Formula = samples[0] if over else Call("max", samples)
        for name, last in reversed(over):
            inner = Over("max", name, str(last), inner)
        kinds.append(((*channel, *_units(axes, turn)), inner))
    return kinds, [UNCOUNTED if _outside(axes, x, y) else ""]


def _weighted(layer: Layer, found: LinearMap, x: Shape, y: Shape) -> tuple[list[Kind], list[str]]:
    of_group, to_group = y.channels // found.groups, x.channels // found.groups
    notes = []
    one_to_one = equal(of_group, 1) is True
    # The group of an output channel: the channel itself where there are as many.
    group = "c" if one_to_one else "g"
    grouped = equal(found.groups, 1) is not True
    alone = equal(to_group, 1) is True
    if grouped:
        inputs, outputs = number(to_group), number(of_group)
        taken = Index(((group, inputs),), 0) if alone else Index(((group, inputs), (INPUT, 1)), -inputs)
        made = Index((("c", 1), (group, -outputs)), outputs)
        if not one_to_one:
            notes.append(f"g is the group of channel c: c / {outputs}, rounded up.")
    else:
        taken, made = letter(INPUT), letter("c")
    from_channel = _if(x.channels, taken)
    if not found.learned:
        to_weight: tuple[Index, ...] = ()
    elif found.inputs_first:
        to_weight = (*_if(x.channels, taken), *_if(of_group, made))
    else:
        to_weight = (*_if(y.channels, letter("c")), *_if(to_group, letter(INPUT)))
    bias = [Symbol("β", _if(y.channels, letter("c")))] if "bias" in layer.weights(x) else []
    most = MOST_TERMS[len(found.axes) == 1 and alone]
    kinds: list[Kind] = []
    for turn in _turns(found.axes):
        right, note = _one_kind(found, turn, x, y, (from_channel, to_weight), most)
        if not alone:
            right = Over("sum", INPUT, str(to_group), right)
        units = (*_if(y.channels, letter("c")), *_units(found.axes, turn))
        kinds.append((units, added([*bias, right] if right != Number(0) or not bias else [*bias])))
        notes += [note] if note not in notes else []
    if found.axes and _outside(found.axes, x, y):
        notes.append(OUTSIDE[found.axes[0].filling])
    return kinds, notes


def _one_kind(
    found: LinearMap,
    turn: tuple[int, ...],
    x: Shape,
    y: Shape,
    channels: tuple[tuple[Index, ...], tuple[Index, ...]],
    most: int,
) -> tuple[Formula, str]:
    """The weighted sum of a kind of unit, of one input channel, and a note."""
    from_channel, to_weight = channels
    if any(not taps.phases[r] for taps, r in zip(found.axes, turn, strict=True)):
        return Number(0), ""
    if found.learned:
        terms, over = _spread(found.axes, turn, most)
        kernel = [max(t for phase in taps.phases for _, t in phase) + 1 for taps in found.axes]
        inner = added(
            [
                Product(
                    (
                        Symbol(
                            "ω",
                            (
                                *to_weight,
                                *(i for n, o in zip(kernel, term, strict=True) for i in _if(n, o.weight)),
                            ),
                        ),
                        Symbol("x", (*from_channel, *(one.position for one in term))),
                    )
                )
                for term in terms
            ]
        )
        for name, last in reversed(over):
            inner = Over("sum", name, str(last), inner)
        return inner, ""
    weights = _fixed(found.axes, turn, y)
    if weights is None or len(set(weights.values())) == 1:
        terms, over = _spread(found.axes, turn, most)
        inner = added([Symbol("x", (*from_channel, *(one.position for one in term))) for term in terms])
        for name, last in reversed(over):
            inner = Over("sum", name, str(last), inner)
        if weights is None:
            places = tuple(letter(POSITIONS[k]) for k in range(len(found.axes)))
            note = "n is how many of a unit's samples count."
            return Product((Quotient(Number(1), Symbol("n", places)), inner)), note
        return multiplied([*_factor(next(iter(weights.values()))), inner]), ""
    terms, over = _spread(found.axes, turn, MOST_FIXED)
    if over:
        raise TooManyKinds("have too many different weights to be written")
    return added(
        [
            multiplied(
                [
                    *_factor(weights[tuple(one.tap for one in term)]),
                    Symbol("x", (*from_channel, *(one.position for one in term))),
                ]
            )
            for term in terms
        ]
    ), ""


def _factor(weight: Fraction) -> list[Formula]:
    return [] if weight == 1 else [Number(weight)]


def _fixed(axes: Sequence[Taps], turn: tuple[int, ...], y: Shape) -> dict[tuple[int, ...], Fraction] | None:
    """The weights of a kind of unit, by their taps; None where they differ from unit to unit."""
    along: list[dict[int, Fraction]] = []
    for taps, r, m in zip(axes, turn, y.size, strict=True):
        assert taps.fixed is not None
        units = range(r, m if isinstance(m, int) else r + 1, taps.step_out)
        found = {tuple((t, taps.fixed(unit, t)) for _, t in taps.of(unit)) for unit in units}
        if len(found) != 1:
            return None
        along.append(dict(found.pop()))
    return {
        tuple(t for t, _ in some): prod((weight for _, weight in some), start=Fraction(1))
        for some in product(*(weights.items() for weights in along))
    }
