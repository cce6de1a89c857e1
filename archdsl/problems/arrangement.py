"""Values that do not fit together, and rearrangements that do not fit their value."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from archdsl.problems.problem import Problem, Severity, extents, listed, plural

if TYPE_CHECKING:
    from archdsl.residues import Values


class ShapeMismatch(Problem):
    """Values are to be added, multiplied or joined, and their extents differ.

    `add`, `subtract` and `multiply` take values of equal extents, where an extent of 1 is repeated
    to fit; `concat` takes values whose extents are equal on every axis but the one it joins. A
    vector is never taken for a map by itself: which of its sides should be the channels is for the
    file to say.

    ```arch
    network Small {
      input image: [3, 32, 32]
      wide: conv(8, kernel=3, padding=1)
      conv(8, kernel=3)
      add(wide)
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      wide: conv(8, kernel=3, padding=1)
      conv(8, kernel=3, padding=same)
      add(wide)
    }
    ```
    """

    kind: str
    shapes: tuple[str, ...]
    first: int
    """The first of the two inputs that differ, from 0."""
    second: int
    differences: tuple[tuple[str, str, str], ...]
    """Axis, extent in the first, extent in the second; empty where the number of axes differs."""
    expected: str
    mend: str | None = None
    padded: tuple[str, ...] = ()
    """The layers that make extents smaller on the ways to here, each as it would keep them."""
    kept: tuple[object, ...] = ()
    """The extents that they would all keep."""

    def message(self) -> str:
        a, b = self.shapes[self.first], self.shapes[self.second]
        if not self.differences:
            return f"`{self.kind}` of {a} and {b}: they have different numbers of axes"
        unlike = listed([f"{axis} ({x} and {y})" for axis, x, y in self.differences])
        return f"`{self.kind}` of {a} and {b}: they differ in {unlike}"

    def label(self) -> str:
        return f"expected {self.expected}"

    def notes(self) -> tuple[str, ...]:
        if len(self.shapes) < 3:
            return ()
        return tuple(f"input {number} is {shape}" for number, shape in enumerate(self.shapes, 1))

    def help(self) -> str | None:
        if not self.padded:
            return self.mend
        keep = f"write {listed([f'`{layer}`' for layer in self.padded])} to keep {extents(self.kept)}"
        return f"{keep}; {self.mend}" if self.mend else keep


class UndecidedSize(Problem):
    """Whether a layer fits depends on a size that is a symbol.

    The file is taken at its word, and analysed as if the layer fitted. Give the size a number with
    `--size`, or write the network so that the sizes agree whatever the symbol is.

    ```arch
    network Small {
      input left: [3, H, 32]
      input right: [3, 64, 32]
      from left, right -> add
    }
    ```

    ```arch
    network Small {
      input left: [3, H, 32]
      input right: [3, H, 32]
      from left, right -> add
    }
    ```

    Where one symbol decides, all values that fit are given: after a pooling and an upsampling by 2, a map
    meets itself only where the extent was even, `H mod 2 is 0`.
    """

    severity: ClassVar[Severity] = "warning"

    kind: str
    question: str
    """What is not known, as a clause after "whether"."""
    symbols: tuple[str, ...]
    fits: tuple[tuple[str, Values], ...] = ()
    """For each of these symbols the values for which the layer fits, where they are all that decides."""

    def message(self) -> str:
        if not self.fits:
            return f"`{self.kind}` may not fit: whether {self.question} depends on {listed(self.symbols)}"
        if self.never:
            return f"`{self.kind}` fits for no {listed(self.never, 'or')}"
        return f"`{self.kind}` fits only where {listed(values.said(name) for name, values in self.fits)}"

    def label(self) -> str:
        return f"it needs that {self.question}" if self.fits else ""

    def help(self) -> str | None:
        if self.fits:
            mend = "pad or crop the input to such a size, or the larger value where they meet"
            return None if self.never else mend
        return f"give the size a number to be sure: `--size {self.symbols[0]}=224`"

    @property
    def never(self) -> tuple[str, ...]:
        """The symbols of which no value fits."""
        return tuple(name for name, values in self.fits if not values.remainders and not values.below)

    def together(self, other: Problem) -> UndecidedSize | None:
        if not isinstance(other, UndecidedSize) or not self.fits or not other.fits:
            return None
        fits = dict(self.fits)
        for name, values in other.fits:
            both = fits[name].both(values) if name in fits else values
            if both is None:
                return None
            fits[name] = both
        symbols = tuple(dict.fromkeys((*self.symbols, *other.symbols)))
        return UndecidedSize(self.kind, self.question, symbols, tuple(fits.items()))


class UnknownAxis(Problem):
    """An axis is named that the value does not have.

    A vector has `channels` alone; a map of one spatial axis has `length` beside them, of two
    `height` and `width`, of three `depth`, `height` and `width`.

    ```arch
    network Small {
      input image: [3, 32, 32]
      slice(0, 16, axis=length)
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 32]
      slice(0, 16, axis=width)
    }
    ```
    """

    axis: str
    shape: str
    axes: tuple[str, ...]

    def message(self) -> str:
        return f"{self.shape} has no axis `{self.axis}`"

    def label(self) -> str:
        return f"expected {listed([f'`{axis}`' for axis in self.axes], 'or')}"


class ReshapeMismatch(Problem):
    """A value is to take a shape that holds another number of elements.

    One extent may be written `_` and is worked out from the others.

    ```arch
    network Small {
      input features: [60]
      reshape([7, 9])
    }
    ```

    ```arch
    network Small {
      input features: [60]
      reshape([6, _])
    }
    ```
    """

    found: str
    count: str
    wanted: str
    known: str
    """The product of the extents that are written."""
    open: bool
    """Whether an extent is `_`."""

    def message(self) -> str:
        if self.open:
            return (
                f"{self.found} can't become {self.wanted}: its {self.count} elements "
                f"don't divide by {self.known}"
            )
        return f"{self.found} can't become {self.wanted}: it has {self.count} elements, not {self.known}"

    def label(self) -> str:
        return f"expected a shape of {self.count} elements"

    def help(self) -> str | None:
        return None if self.open else "one extent may be `_`: it follows from the others"


class TooManyExtents(Problem):
    """A shape has more axes than a value can have, or more than one `_`.

    A value has channels and up to three spatial axes, and only one extent can follow from the
    others.

    ```arch
    network Small {
      input features: [64]
      reshape([2, 2, 2, 2, 4])
    }
    ```

    ```arch
    network Small {
      input features: [64]
      reshape([4, 2, 2, 4])
    }
    ```
    """

    wanted: str
    axes: int
    open: int

    def message(self) -> str:
        if self.axes > 4:
            return f"{self.wanted} has {self.axes} axes"
        return f"{self.wanted} leaves {self.open} extents open"

    def label(self) -> str:
        if self.axes > 4:
            return "expected channels and 0 to 3 spatial extents"
        return "expected one `_` at most"


class NotAPermutation(Problem):
    """The order given to `permute` does not name every axis once.

    ```arch
    network Small {
      input image: [3, 32, 16]
      permute([0, 2, 2])
    }
    ```

    ```arch
    network Small {
      input image: [3, 32, 16]
      permute([0, 2, 1])
    }
    ```
    """

    order: str
    shape: str
    axes: tuple[str, ...]

    def message(self) -> str:
        return f"{self.order} is not an order of the axes of {self.shape}"

    def label(self) -> str:
        numbered = [f"{axis} ({number})" for number, axis in enumerate(self.axes)]
        return f"expected each once: {listed(numbered)}"


class OutsideAxis(Problem):
    """A `slice` or `select` asks for more than the axis has.

    Positions count from 0, and the end of a slice is not part of it.

    ```arch
    network Small {
      input signal: [1, 40]
      slice(30, 50, axis=length)
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      slice(30, 40, axis=length)
    }
    ```
    """

    what: str
    """What reaches outside: `end 50`, `index 7`."""
    axis: str
    extent: str
    shape: str
    last: str
    """The largest that would do."""

    def message(self) -> str:
        return f"{self.what} is outside {self.axis}, which is {self.extent} in {self.shape}"

    def label(self) -> str:
        return f"expected {self.last} at most"


class EmptySlice(Problem):
    """A `slice` ends where it starts, or before.

    ```arch
    network Small {
      input signal: [4, 40]
      slice(2, 2)
    }
    ```

    ```arch
    network Small {
      input signal: [4, 40]
      slice(2, 3)
    }
    ```
    """

    start: str
    end: str

    def message(self) -> str:
        return f"a slice from {self.start} to {self.end} is empty"

    def label(self) -> str:
        return f"expected an end above {self.start}; the end is not part of the slice"


class SplitMismatch(Problem):
    """The sizes given to `split` do not add up to the axis.

    ```arch
    network Small {
      input signal: [6, 40]
      left, right: split([2, 3])
      from left, right -> concat
    }
    ```

    ```arch
    network Small {
      input signal: [6, 40]
      left, right: split([2, 4])
      from left, right -> concat
    }
    ```
    """

    sizes: str
    total: str
    axis: str
    extent: str
    shape: str

    def message(self) -> str:
        return f"{self.sizes} adds up to {self.total}, and {self.axis} of {self.shape} is {self.extent}"

    def label(self) -> str:
        return f"expected sizes that add up to {self.extent}"


class UnevenGroups(Problem):
    """Channels are to be put into groups of equal size, and can't be.

    ```arch
    network Small {
      input image: [10, 8, 8]
      group_norm(4)
    }
    ```

    ```arch
    network Small {
      input image: [10, 8, 8]
      group_norm(5)
    }
    ```
    """

    kind: str
    channels: str
    groups: str
    near: tuple[int, ...] = ()
    """The nearest numbers of groups that would do."""

    def message(self) -> str:
        return f"`{self.kind}` can't put {self.channels} channels into {self.groups} equal groups"

    def label(self) -> str:
        return f"expected a divisor of {self.channels}"

    def help(self) -> str | None:
        if not self.near:
            return None
        return f"{plural(self.channels, 'channel')} make {listed(self.near, 'or')} equal groups"


class NothingToNormalise(Problem):
    """`instance_norm` normalises each channel over its positions, and there are none or only one.

    A single number less its own mean is always 0, so nothing of the value would be left.

    ```arch
    network Small {
      input features: [64]
      instance_norm
    }
    ```

    ```arch
    network Small {
      input features: [64]
      layer_norm
    }
    ```
    """

    kind: str
    shape: str

    def message(self) -> str:
        return f"`{self.kind}` of {self.shape} has one number a channel to normalise over"

    def label(self) -> str:
        return "expected a map of at least 2 positions"

    def help(self) -> str | None:
        return "`layer_norm` normalises over the channels, `batch_norm` over the batch"
