"""How the channels of a value answer when the network's input is turned, reflected or resized.

A map answers to a motion of the input by the same motion of its positions, and by what its channels do
meanwhile: its fibre. The positions follow from what a layer reads; what the channels do is the layer's
own rule, `Layer.answers`. Cohen and Welling, Steerable CNNs, 2017, call the pair a feature field.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Motion(Enum):
    """What is done to the input, about its centre."""

    ROTATION = "rotation"
    """A quarter turn, from the last axis towards the second-last (`torch.rot90(x, 1, (-1, -2))`)."""
    REFLECTION = "reflection"
    """The last axis turned round (`x.flip(-1)`)."""
    SCALE = "scale"
    """Everything larger or smaller."""


ACTED_ON = {Motion.ROTATION: 2, Motion.REFLECTION: 1, Motion.SCALE: 1}
"""How many of a map's last axes a motion acts on, at least."""


class Fibre(NamedTuple):
    """What the channels do at every position.

    - `scalar`: nothing; every channel is a picture by itself.
    - `regular`: they come in runs of `size`, one channel for each member of a group, which a motion permutes.
      Of p4, with 4 members, member r is r quarter turns, and a quarter turn carries it to r + 1 (mod 4). Of
      p4m, with 8, member 4 + r is the reflection and then r quarter turns: a quarter turn carries it to
      4 + (r + 1 mod 4), and the reflection exchanges r with 4 + (-r mod 4).
    - `harmonic`: they come in pairs, the real and the imaginary part, and a turn by an angle multiplies
      each by exp(i * order * angle); `orders` has the order of every pair.
    - `polar`: the axes are an angle and a radius: a turn moves the map in a ring of `size` units along the
      first axis, and a change of scale moves it along the second. A map that is longer or shorter than its
      ring is a stretch of it.

    Where `exact` is False the claim is that of continuous pictures: on samples it holds about.
    """

    kind: str
    size: int = 1
    orders: tuple[int, ...] = ()
    exact: bool = True


SCALAR = Fibre("scalar")

PICTURES = ("scalar", "regular", "polar")
"""The kinds whose channels are pictures, each by itself, that may change places: what acts on every number
alike keeps them."""


LINEAR = (*PICTURES, "harmonic")
"""The kinds that what is linear, and the same for every channel, keeps."""

PLANE = ("scalar", "regular", "harmonic")
"""The kinds whose axes are those of the input: what takes a part of an axis keeps them."""


def kept(fibres: tuple[Fibre, ...], kinds: tuple[str, ...] = PICTURES) -> Fibre | None:
    """What all inputs have in common, if it is of one of these kinds: for what acts at every position."""
    first = fibres[0]
    alike = all(other._replace(exact=first.exact) == first for other in fibres)
    return first if alike and first.kind in kinds else None


def kept_by_windows(
    motion: Motion, fibres: tuple[Fibre, ...], kinds: tuple[str, ...] = PICTURES
) -> Fibre | None:
    """As `kept`, for a layer that reads windows: a change of scale makes them others, but on polar maps."""
    found = kept(fibres, kinds)
    return None if found is not None and motion is Motion.SCALE and found.kind != "polar" else found
