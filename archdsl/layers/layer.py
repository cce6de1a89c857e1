"""The form of every layer: one class, in one place, with all that is known of its kind.

A layer's class holds its arguments, its documentation and its rules. The rules are pure functions
of the arguments and the shapes of the inputs; none knows a file, and none imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from archdsl.layers.arguments import Parameter, declared
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads
from archdsl.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.linear_map import LinearMap
    from archdsl.layers.recorder import Code
    from archdsl.layers.symmetry import Fibre, Motion
    from archdsl.problems import Problem

LAYERS: dict[str, type[Layer]] = {}
"""Every layer by its name in the language."""

FAMILIES = f"{__package__}."
"""What the names of the modules begin with whose classes are layers of the language."""

MANY = -1
"""As `Layer.inputs`: one or more."""

RULES = ("shape", "weights", "buffers", "macs", "flops", "saved", "reads", "build", "forward")


def kind_of(name: str) -> str:
    """The name in the language of a class's: `SquaredRelu` is `squared_relu`, `TopKGate` `top_k_gate`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Saved(NamedTuple):
    """What the backward pass of a layer needs from its forward pass, for one example.

    `inputs` are the indices of the inputs it keeps and `output` whether it keeps what it made (each
    tensor is counted once, however many layers keep it). Beside them it may keep values of its own:
    `extra` counts bytes that are as many at every precision, such as a pooling's indices or a
    dropout's mask, and `floats` numbers of the network's precision, such as a normalisation's
    statistics. `once` and `floats_once` count those that are the same for a batch of any size.
    """

    inputs: tuple[int, ...] = ()
    output: bool = False
    extra: Size = 0
    once: Size = 0
    floats: Size = 0
    floats_once: Size = 0


class Autocast(Enum):
    """In which precision a layer computes where torch's autocast chooses it, over weights in float32."""

    AS_GIVEN = auto()
    """It takes values as they are; the result is as long as the longest, what it keeps of its own float32."""
    SHORT = auto()
    """Inputs and weights are converted to the short precision; all that it makes is short."""
    LONG = auto()
    """Inputs are converted to float32, and all that it makes is. On a CPU it computes as given."""
    WIDENED = auto()
    """It takes values as they are, and all that it makes is float32, as its weights are."""


class Fans(NamedTuple):
    """How many numbers of a layer's `weight` meet in a unit: of the output, and of the input.

    On average where units differ. The weight's axes are outputs, inputs and then the window's, or inputs
    first where it is `transposed`; where it is not `plain`, it has others, and only fillings that draw every
    number alike can fill it.
    """

    incoming: Any
    outgoing: Any
    transposed: bool = False
    plain: bool = True


class Buffer(NamedTuple):
    """A tensor that is kept with the weights and not trained. `integer` ones are int64."""

    shape: Shape
    integer: bool = False


class Layer:
    """A kind of layer, with its arguments as attributes.

    A subclass declares arguments with `argument(...)` in their order and defines every one of
    `RULES`, itself or through a family's base class (declared with `abstract=True`); one that lacks
    a rule is refused when it is defined. Its docstring is its reference page: what it computes, the
    equation, what `flops` counts for each element, an example in an ```` ```arch ```` fence, the
    source. `inputs` is how many values it takes, or `MANY`.

    An argument that is called like a rule has an underscore after it in the class: `shape_` declares
    the argument `shape`, and is the attribute that holds it. `source` is the torch source of a class
    or function that `build` or `forward` calls by its name, where torch has none; it is written once into
    a lowered network that needs it.
    `registered=False` keeps a layer from the files: only the compiler makes it. A class that is defined
    outside this package is a user's own: a file that imports it sees it, and no other.
    """

    kind: ClassVar[str] = ""
    inputs: ClassVar[int] = 1
    source: ClassVar[str] = ""
    no_onnx: ClassVar[str] = ""
    """Why ONNX has no form of it, where it has none."""
    formula: str = ""
    """What it makes of each number z by itself, as in `max(0, z)`; arguments stand for their values.

    `mean`, `variance`, `weight` and `bias` are figures that each channel has.
    """
    of_window: ClassVar[str] = ""
    """What a unit is of the samples that it reads, channel by channel, where it is no weighted sum: `max`."""
    no_matrix: ClassVar[str] = ""
    """Why it is no linear map, where one may take it for one."""
    spreads: ClassVar[bool] = False
    """Whether it makes of a map that is the same everywhere such a map, though it reads windows."""
    autocast: ClassVar[Autocast] = Autocast.AS_GIVEN
    arguments: ClassVar[dict[str, Parameter]] = {}
    words: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, abstract: bool = False, registered: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.arguments = {**cls.arguments, **declared(cls)}
        if abstract:
            return
        missing = [rule for rule in RULES if not callable(getattr(cls, rule, None))]
        if missing:
            raise TypeError(f"layer {cls.__name__} lacks the rules {', '.join(missing)}")
        if not cls.__doc__:
            raise TypeError(f"layer {cls.__name__} lacks its documentation")
        cls.kind = kind_of(cls.__name__)
        # What is defined elsewhere is a user's own layer: the files alone that import it know it.
        if registered and cls.__module__.startswith(FAMILIES):
            LAYERS[cls.kind] = cls

    def __init__(self, values: dict[str, Any]) -> None:
        """`values` has every argument, checked and in the form its kind gives."""
        self.values = values
        for name, value in values.items():
            self.__dict__[f"{name}_" if name in RULES else name] = value

    if TYPE_CHECKING:
        # The rules. Each takes the shapes of the inputs, in order.

        shape: Callable[..., Shape | tuple[Shape, ...]]
        """The shape of the output, or of each result. Raises `Fault` where the inputs don't fit."""

        weights: Callable[..., dict[str, Shape]]
        """Trainable tensors by torch's names; those named `bias` are biases, all others weights."""

        buffers: Callable[..., dict[str, Buffer]]
        """Tensors that are kept with the weights and not trained."""

        macs: Callable[..., Size]
        """Multiply-accumulates of convolutions and matrix products, for one example."""

        flops: Callable[..., Size]
        """All arithmetic operations for one example, 2 a multiply-accumulate."""

        saved: Callable[..., Saved]
        """What the backward pass needs."""

        reads: Callable[..., tuple[Reads, ...]]
        """For each input, which of its units a unit of the output reads."""

        build: Callable[..., Code | None]
        """Given `torch.nn` and the shapes: the call that makes the torch module; None without one."""

        forward: Callable[[Code, Code | None, tuple[Code, ...], tuple[Shape, ...]], Code]
        """Given `torch`, what `build` made, the inputs and their shapes: the expression of the output.

        `torch.nn.functional` is reached as `torch.F`. A layer with several results gives a tuple. A
        layer without inputs is handed the network's first input, for the size of the batch.
        """

    def reads_of(self, result: int, *xs: Shape) -> tuple[Reads, ...]:
        """As `reads`, for one result; another than `reads` only where the results differ in it."""
        return self.reads(*xs)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        """What the output's channels do at a motion of the network's input.

        `fibres` are what those of the inputs do. None where nothing can be said, as for a kernel that is free
        to take any form.
        """
        return None

    def linear_map(self, *xs: Any) -> LinearMap | None:
        """Which weight meets which position, where the layer is a matrix and a bias; else None.

        Asked for inputs whose sizes are numbers.
        """
        return None

    def fans(self, *xs: Any, **named: Any) -> Fans | None:
        """What an initialisation must know of `weight`; None where it begins as the layer alone says."""
        return None

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        """What can't be decided for all sizes; asked only where an input's shape has symbols."""
        return ()

    def chosen(self, *names: str) -> dict[str, Any]:
        """Of the named arguments those that are not left at their default, to be written out."""
        given = {name: self.values[name] for name in names}
        return {name: value for name, value in given.items() if value != self.arguments[name].default}

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.values.items())})"


class Weightless(Layer, abstract=True):
    """The base of every layer that has no matrix product and, mostly, nothing to learn.

    The rules are typed so that a subclass may name the inputs it takes.
    """

    def weights(self, *xs: Any, **named: Any) -> dict[str, Shape]:
        return {}

    def buffers(self, *xs: Any, **named: Any) -> dict[str, Buffer]:
        return {}

    def macs(self, *xs: Any, **named: Any) -> Size:
        return 0
