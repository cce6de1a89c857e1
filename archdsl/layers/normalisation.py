"""Normalisations: values brought to mean 0 and variance 1, over different sets of elements.

FLOPs of a normalisation that takes its mean and variance from the value itself, over n elements: the
mean n (n - 1 additions and a division), the deviations from it n, their squares n, the variance n, the
root 2 (addition of eps, square root), the divisions n: 5 n + 2. A learned scale and shift adds 2 an
element.
"""

from __future__ import annotations

from archdsl.layers.arguments import (
    argument,
    boolean,
    choice,
    fraction,
    number,
    positive,
    small,
)
from archdsl.layers.axes import check_groups, doubt_groups
from archdsl.layers.layer import Autocast, Buffer, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.layers.symmetry import PICTURES, Fibre, Motion, kept
from archdsl.problems.arrangement import NothingToNormalise, UndecidedSize
from archdsl.problems.problem import Fault
from archdsl.sizes import Size, at_least


class Normalisation(Weightless, abstract=True):
    """The base of the normalisations: the shape stays, and torch has a class for each."""

    eps: float
    affine: bool

    def shape(self, x: Shape) -> Shape:
        return x

    def scaled(self, x: Shape) -> Shape:
        """The shape of the learned scale and of the learned shift."""
        return Shape((x.channels,))

    def weights(self, x: Shape) -> dict[str, Shape]:
        return {"weight": self.scaled(x), "bias": self.scaled(x)} if self.affine else {}

    def sets(self, x: Shape) -> Size:
        """How many sets of elements are normalised, each by its own mean and variance."""
        return 1

    def flops(self, x: Shape) -> Size:
        return (7 if self.affine else 5) * x.count + 2 * self.sets(x)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats=2 * self.sets(x))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.NORMALISED if x.axes else Reach.POINT,)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])


class BatchNorm(Normalisation):
    """Normalises each channel by its mean and variance over the batch and all positions.

        y = (x - mean_c) / sqrt(variance_c + eps) * weight_c + bias_c

    While the network is trained, mean and variance are the batch's, and running averages of them
    are kept (new = (1 - momentum) old + momentum batch); when it is used, the running averages
    stand in, so that a unit reads its own position alone. Buffers: running mean, running variance
    and the batch counter, 2 C + 1. `affine=false` leaves out weight and bias.

    FLOPs: 2 an element: as the network is used, all is one scale and one shift a channel. The
    backward pass needs the input, and mean and deviation of each channel once a batch.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> batch_norm -> relu
      expect parameters == 3 * 3 * 3 * 16 + 2 * 16
    }
    ```

    Source: Ioffe and Szegedy, Batch normalization, 2015.
    """

    eps: float = argument(small, "added to the variance before the root", 1e-5)
    momentum: float = argument(fraction, "weight of the newest batch in the running averages", 0.1)
    affine: bool = argument(boolean, "whether each channel has a learned scale and shift", True)

    @property
    def formula(self) -> str:  # type: ignore[override]
        normalised = "(z - mean) / sqrt(variance + eps)"
        return f"weight * {normalised} + bias" if self.affine else normalised

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {
            "running_mean": Buffer(Shape((x.channels,))),
            "running_var": Buffer(Shape((x.channels,))),
            "num_batches_tracked": Buffer(Shape(()), integer=True),
        }

    def flops(self, x: Shape) -> Size:
        return 2 * x.count

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats_once=2 * x.channels)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def build(self, nn: Code, x: Shape) -> Code:
        module = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[x.axes]
        return module(x.channels, **self.chosen("eps", "momentum", "affine"))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar"))


class LayerNorm(Normalisation):
    """Normalises each example by itself: over its channels at each position, or over all of it.

        y = (x - mean) / sqrt(variance + eps) * weight + bias

    `axis=channels` takes mean and variance over the channels at each position, with one weight and
    one bias a channel; `axis=all` over the whole value, with one of each an element.

    FLOPs: 7 an element (5 without `affine`) and 2 for each mean and variance: 5 n + 2 to normalise n
    elements, and a learned scale and shift. The backward pass needs the input and each set's mean
    and deviation.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(96, kernel=4, stride=4) -> layer_norm
      expect parameters == 3 * 4 * 4 * 96 + 96 + 2 * 96
    }
    ```

    Source: Ba, Kiros and Hinton, Layer normalization, 2016; over the channels of a map: Liu et al.,
    A ConvNet for the 2020s, 2022.
    """

    autocast = Autocast.LONG

    axis: str = argument(
        choice("channels", "all"), "`channels` at each position, or `all` but the batch", "channels"
    )
    eps: float = argument(small, "added to the variance before the root", 1e-5)
    affine: bool = argument(boolean, "whether there is a learned scale and shift", True)

    def scaled(self, x: Shape) -> Shape:
        return x if self.axis == "all" else Shape((x.channels,))

    def sets(self, x: Shape) -> Size:
        return 1 if self.axis == "all" else x.positions

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        if self.axis == "channels" or not x.axes:
            return (Reach.POINT,)
        # A scale and a shift for each element tell positions apart.
        return (Reach.MIXED if self.affine else Reach.NORMALISED,)

    def build(self, nn: Code, x: Shape) -> Code:
        named = {} if self.affine else {"elementwise_affine": False}
        extents = self.scaled(x)
        over = list(extents) if extents.axes else extents.channels
        return nn.LayerNorm(over, **self.chosen("eps"), **named)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        if self.axis == "all" or not xs[0].axes:
            return module(values[0])
        return module(values[0].movedim(1, -1)).movedim(-1, 1)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        if self.affine:
            return kept(fibres, ("scalar", "polar")) if self.axis == "channels" else None
        return kept(fibres)


class GroupNorm(Normalisation):
    """Normalises each group of channels by its mean and variance over all positions.

        y = (x - mean_g) / sqrt(variance_g + eps) * weight_c + bias_c

    FLOPs: 7 an element (5 without `affine`) and 2 a group: 5 n + 2 to normalise n elements, and a
    learned scale and shift. The backward pass needs the input and each group's mean and deviation.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> group_norm(4) -> relu
    }
    ```

    Source: Wu and He, Group normalization, 2018.
    """

    autocast = Autocast.LONG

    groups: Size = argument(positive, "number of groups, which must divide the channels")
    eps: float = argument(small, "added to the variance before the root", 1e-5)
    affine: bool = argument(boolean, "whether each channel has a learned scale and shift", True)

    def shape(self, x: Shape) -> Shape:
        check_groups(self.kind, x.channels, self.groups)
        return x

    def doubts(self, *xs: Shape) -> tuple[UndecidedSize, ...]:
        return doubt_groups(self.kind, xs[0].channels, self.groups)

    def sets(self, x: Shape) -> Size:
        return self.groups

    def build(self, nn: Code, x: Shape) -> Code:
        return nn.GroupNorm(self.groups, x.channels, **self.chosen("eps", "affine"))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar"))


class InstanceNorm(Normalisation):
    """Normalises each channel of each example by its mean and variance over all positions.

        y = (x - mean_c) / sqrt(variance_c + eps) * weight_c + bias_c

    Weight and bias are learned with `affine=true` only. It needs a map of at least two positions.

    FLOPs: 5 an element (7 with `affine`) and 2 a channel: 5 n + 2 to normalise n elements, and a
    learned scale and shift. The backward pass needs the input and each channel's mean and deviation
    (and, in torch, with `affine` the scales once more for each example).

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3, bias=false) -> instance_norm -> relu
    }
    ```

    Source: Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016.
    """

    eps: float = argument(small, "added to the variance before the root", 1e-5)
    affine: bool = argument(boolean, "whether each channel has a learned scale and shift", False)

    def shape(self, x: Shape) -> Shape:
        if at_least(x.positions, 2) is False:
            raise Fault(NothingToNormalise(self.kind, str(x)))
        return x

    def sets(self, x: Shape) -> Size:
        return x.channels

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,), floats=(3 if self.affine else 2) * x.channels)

    def build(self, nn: Code, x: Shape) -> Code:
        module = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[x.axes - 1]
        return module(x.channels, **self.chosen("eps", "affine"))

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar") if self.affine else PICTURES)


class LocalResponseNorm(Weightless):
    """Divides each element by the strength of its neighbours in the channels around its own.

        y_c = x_c / (k + alpha / size * sum_j x_j^2)^beta

    where j runs over `size` channels around c (for an even `size` one more before c than after),
    and channels outside count as 0. `alpha` is divided by `size`, as in PyTorch: the network of
    Krizhevsky et al. has alpha = 1e-4 a channel, which is `alpha=5e-4` here, and `k=2`.

    FLOPs: size + 4 an element (the square, size - 1 additions of squares, a multiplication
    and an addition for the base, the power, the division). The backward pass needs the input and, in torch,
    the padded squares, the base and its power.

    ```arch
    network Example {
      input image: [3, 227, 227]
      conv(96, kernel=11, stride=4) -> relu -> local_response_norm(5, alpha=5e-4, k=2)
    }
    ```

    Source: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural
    networks, 2012.
    """

    autocast = Autocast.WIDENED

    size: int = argument(positive, "number of channels that are looked at, the element's own among them")
    alpha: float = argument(number, "weight of the sum of squares", 1e-4)
    beta: float = argument(number, "the exponent", 0.75)
    k: float = argument(number, "what is added to the sum", 1)

    def shape(self, x: Shape) -> Shape:
        return x

    def flops(self, x: Shape) -> Size:
        return (self.size + 4) * x.count

    def saved(self, x: Shape) -> Saved:
        padded = (x.channels + self.size - 1) * x.positions
        return Saved(inputs=(0,), floats=padded + 2 * x.count)

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def build(self, nn: Code, x: Shape) -> Code:
        return nn.LocalResponseNorm(self.size, **self.chosen("alpha", "beta", "k"))

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        if xs[0].axes:
            return module(values[0])
        return module(values[0].unsqueeze(-1)).squeeze(-1)

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar"))
