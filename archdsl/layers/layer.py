"""The form of every layer: one class, in one place, with all that is known of its kind.

A layer's class holds its arguments, its documentation and its rules. The rules are pure functions
of the arguments and the shapes of the inputs; none knows a file, and none imports torch.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from archdsl.layers.arguments import Parameter
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads
from archdsl.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.recorder import Code
    from archdsl.problems import Problem

LAYERS: dict[str, type[Layer]] = {}
"""Every layer by its name in the language."""

MANY = -1
"""As `Layer.inputs`: one or more."""

RULES = ("shape", "weights", "buffers", "macs", "flops", "saved", "reads", "build", "forward")


class Saved(NamedTuple):
    """What the backward pass of a layer needs from its forward pass, for one example.

    `inputs` are the indices of the inputs it keeps and `output` whether it keeps what it made (each
    tensor is counted once, however many layers keep it); `extra` counts bytes of its own beside
    them, such as a pooling's indices or a dropout's mask.
    """

    inputs: tuple[int, ...] = ()
    output: bool = False
    extra: Size = 0


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
    """

    kind: ClassVar[str] = ""
    inputs: ClassVar[int] = 1
    arguments: ClassVar[dict[str, Parameter]] = {}
    words: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {
            name: replace(value, name=name)
            for name, value in cls.__dict__.items()
            if isinstance(value, Parameter)
        }
        cls.arguments = {**cls.arguments, **own}
        if abstract:
            return
        missing = [rule for rule in RULES if not callable(getattr(cls, rule, None))]
        if missing:
            raise TypeError(f"layer {cls.__name__} lacks the rules {', '.join(missing)}")
        if not cls.__doc__:
            raise TypeError(f"layer {cls.__name__} lacks its documentation")
        cls.kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        LAYERS[cls.kind] = cls

    def __init__(self, values: dict[str, Any]) -> None:
        """`values` has every argument, checked and in the form its kind gives."""
        self.values = values
        self.__dict__.update(values)

    if TYPE_CHECKING:
        # The rules. Each takes the shapes of the inputs, in order.

        def shape(self, *xs: Shape) -> Shape | tuple[Shape, ...]:
            """The shape of the output, or of each result. Raises `Fault` where the inputs don't fit."""

        def weights(self, *xs: Shape) -> dict[str, Shape]:
            """Trainable tensors by torch's names; those named `bias` are biases, all others weights."""

        def buffers(self, *xs: Shape) -> dict[str, Buffer]:
            """Tensors that are kept with the weights and not trained."""

        def macs(self, *xs: Shape) -> Size:
            """Multiply-accumulates of convolutions and matrix products, for one example."""

        def flops(self, *xs: Shape) -> Size:
            """All arithmetic operations for one example, 2 a multiply-accumulate."""

        def saved(self, *xs: Shape) -> Saved:
            """What the backward pass needs."""

        def reads(self, *xs: Shape) -> tuple[Reads, ...]:
            """For each input, which of its units a unit of the output reads."""

        def build(self, nn: Code, *xs: Shape) -> Code | None:
            """The call that makes the torch module, over the namespace `torch.nn`; None without one."""

        def forward(
            self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
        ) -> Code:
            """The expression that computes the output, over the namespace `torch`.

            `module` is what `build` made; `torch.nn.functional` is reached as `torch.F`. A layer
            with several results gives a tuple.
            """

    def doubts(self, *xs: Shape) -> tuple[Problem, ...]:
        """What can't be decided for all sizes; asked only where an input's shape has symbols."""
        return ()

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.values.items())})"
