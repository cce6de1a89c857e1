"""Layers that disturb a value while the network is trained, and do nothing when it is used."""

from __future__ import annotations

from archdsl.layers.arguments import argument, rate
from archdsl.layers.layer import Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.layers.symmetry import LINEAR, Fibre, Motion, kept
from archdsl.sizes import Size


class DropoutFamily(Weightless, abstract=True):
    """The base of the dropouts."""

    rate: float = argument(rate, "the share of what is set to 0", 0.5)

    def shape(self, x: Shape) -> Shape:
        return x

    def flops(self, x: Shape) -> Size:
        return 0

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, LINEAR)


class Dropout(DropoutFamily):
    """Sets elements to 0 at random in training, and scales the others up so that the mean stays.

        y = mask x / (1 - rate),  mask = 0 with probability `rate`, else 1

    Outside training it passes its input on. FLOPs: none, as the network is used. The backward pass
    needs the mask, one byte an element (torch keeps it so on a GPU; on the CPU as floats).

    ```arch
    network Example {
      input features: [256]
      linear(64) -> relu -> dropout(0.5)
      linear(10)
    }
    ```

    Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.
    """

    def saved(self, x: Shape) -> Saved:
        return Saved(extra=x.count) if self.rate else Saved()

    def build(self, nn: Code, x: Shape) -> Code:
        return nn.Dropout(self.rate)


class ChannelDropout(DropoutFamily):
    """Sets whole channels to 0 at random in training, and scales the others up.

        y_c = mask_c x_c / (1 - rate),  mask_c = 0 with probability `rate`, else 1

    Neighbouring elements of a map are much alike, so that dropping single ones takes little away. In
    a vector every element is a channel. Outside training it passes its input on. FLOPs: none, as the
    network is used. The backward pass needs the mask, a float a channel (of a vector as `dropout`).

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu -> channel_dropout(0.2)
      conv(16, kernel=3)
    }
    ```

    Source: Tompson et al., Efficient object localization using convolutional networks, 2015.
    """

    def saved(self, x: Shape) -> Saved:
        if not self.rate:
            return Saved()
        return Saved(floats=x.channels) if x.axes else Saved(extra=x.count)

    def build(self, nn: Code, x: Shape) -> Code:
        module = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)[x.axes]
        return module(self.rate)
