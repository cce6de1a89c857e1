"""Where values begin: the inputs of a network, and values that are learned."""

from __future__ import annotations

from archdsl.layers.arguments import argument, sizes
from archdsl.layers.layer import Autocast, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reads
from archdsl.problems.arrangement import TooManyExtents
from archdsl.problems.problem import Fault
from archdsl.sizes import Size


class Origin(Weightless, abstract=True):
    """The base of the layers that take no input. `shape` has the channels first."""

    autocast = Autocast.WIDENED
    inputs = 0

    shape_: tuple[Size, ...] = argument(sizes, "channels, then the spatial extents")

    def shape(self) -> Shape:
        if len(self.shape_) > 4:
            wanted = Shape(self.shape_)
            raise Fault(TooManyExtents(str(wanted), len(wanted), 0), argument="shape")
        return Shape(self.shape_)

    def flops(self) -> Size:
        return 0

    def saved(self) -> Saved:
        return Saved()

    def reads(self) -> tuple[Reads, ...]:
        return ()


class Input(Origin, registered=False):
    """What a network is given: an `input NAME: [channels, *spatial]` line."""

    def build(self, nn: Code) -> None:
        return None

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        return values[0]


class Parameter(Origin):
    """A learned value. It takes no input: it begins a new value, the same for every example.

        y = weight

    The weight starts as normal noise of deviation 0.02. FLOPs: none. The backward pass needs nothing.

    ```arch
    network Example {
      input image: [3, 32, 32]
      patches: conv(64, kernel=8, stride=8)
      position: parameter([64, 4, 4])
      from patches, position -> add
      expect parameters == 3 * 8 * 8 * 64 + 64 + 64 * 4 * 4
    }
    ```

    Source: the learned positions of Dosovitskiy et al., An image is worth 16 x 16 words, 2021.
    """

    source = '''\
class LearnedValue(nn.Module):
    """A learned value, the same for every example of a batch."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(shape))

    def forward(self, batch: int) -> Tensor:
        return self.weight.expand(batch, *self.weight.shape)
'''

    def weights(self) -> dict[str, Shape]:
        return {"weight": self.shape()}

    def build(self, nn: Code) -> Code:
        return Code("LearnedValue")(*self.shape_)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        """`values` holds the network's first input, whose batch the weight is repeated for."""
        assert module is not None
        return module(values[0].shape[0])
