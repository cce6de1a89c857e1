"""Initialisations: what the weights are before the first step.

Most fill the weight of one layer, where that is a kernel or a matrix (`Layer.fans`): `fill` is given
`torch.nn.init`, the tensor, and what the layer sums. Biases beside it become 0 unless an initialisation
says otherwise; all else begins as its layer's page says. `pretrained` takes all that a layer has from a
file.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

from archdsl.layers.arguments import argument, choice, number, positive_number
from archdsl.layers.layer import Fans
from archdsl.problems import Fault
from archdsl.problems.initialisation import NotDeltaOrthogonal, NotPlainKernel
from archdsl.recipes.word import Word, name, names, path

fan_word = choice("fan_in", "fan_out", "fan_average")
distribution_word = choice("normal", "uniform")


class Initialisation(Word, family="initialisation"):
    """The base of every initialisation."""

    def fits(self, kind: str, shape: tuple[Any, ...], fans: Fans) -> None:
        """Raise `Fault` where the weight of a kind of layer can't be filled so."""


class Filling(Initialisation, abstract=True):
    """The base of those that fill each layer by itself."""

    bias: float | None = argument(number, "what biases are", 0.0)

    fill: Callable[[Any, Any, Fans], None]
    """Given `torch.nn.init`, a weight and its fans: fill it."""


def _chosen(fans: Fans, fan: str) -> float:
    average = (fans.incoming + fans.outgoing) / 2
    return float({"fan_in": fans.incoming, "fan_out": fans.outgoing, "fan_average": average}[fan])


def _spread(init: Any, weight: Any, variance: float, distribution: str) -> None:
    """Fill with numbers of a variance."""
    if distribution == "normal":
        init.normal_(weight, std=sqrt(variance))
    else:
        bound = sqrt(3 * variance)
        init.uniform_(weight, -bound, bound)


class He(Filling):
    """Variance `gain / fan`: 2 for rectifiers (He et al., 2015, Equation 10; Prince 2023, Section 7.5)."""

    fan: str = argument(
        fan_word, "what keeps its variance: values (`fan_in`), gradients (`fan_out`)", "fan_in"
    )
    gain: float = argument(positive_number, "the numerator of the variance", 2.0)
    distribution: str = argument(distribution_word, "of the weights", "normal")

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        _spread(init, weight, self.gain / _chosen(fans, self.fan), self.distribution)


class Xavier(Filling):
    """Variance `2 gain / (fan_in + fan_out)` (Glorot and Bengio, 2010, Equation 16)."""

    gain: float = argument(positive_number, "factor of the variance", 1.0)
    distribution: str = argument(distribution_word, "of the weights", "uniform")

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        _spread(init, weight, self.gain / _chosen(fans, "fan_average"), self.distribution)


class Normal(Filling):
    """Normal weights of one standard deviation in every layer, as in AlexNet's paper (0.01)."""

    std: float = argument(positive_number, "the standard deviation")

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        init.normal_(weight, std=self.std)


class Orthogonal(Filling):
    """A matrix, outputs by all else, with orthonormal rows or columns (Saxe et al., 2014)."""

    gain: float = argument(positive_number, "factor of the weights", 1.0)

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        init.orthogonal_(weight, gain=self.gain)


class DeltaOrthogonal(Filling):
    """Zeros but for the kernel's centre, which is an orthogonal matrix (Xiao et al., 2018, Algorithm 2).

    Each unit then begins as an orthogonal map of the channels at its own place, and a plain network of
    thousands of layers can learn. A layer may not make fewer channels than it takes. Linear layers
    become orthogonal.
    """

    gain: float = argument(positive_number, "factor of the weights", 1.0)

    def fits(self, kind: str, shape: tuple[Any, ...], fans: Fans) -> None:
        if not fans.plain:
            raise Fault(NotPlainKernel(self.word, kind))
        made, taken = (shape[1], shape[0]) if fans.transposed else (shape[0], shape[1])
        if len(shape) > 2 and taken > made:
            raise Fault(NotDeltaOrthogonal(taken, made))

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        if weight.dim() == 2:
            init.orthogonal_(weight, gain=self.gain)
            return
        init.zeros_(weight)
        centre = tuple(extent // 2 for extent in weight.shape[2:])
        matrix = weight.new_empty(weight.shape[:2])
        init.orthogonal_(matrix, gain=self.gain)
        weight[(slice(None), slice(None), *centre)] = matrix


class Bilinear(Filling):
    """Each channel by itself as bilinear interpolation does it: the upsampling that FCN's begins with.

    Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, Section 3.3.
    """

    def fits(self, kind: str, shape: tuple[Any, ...], fans: Fans) -> None:
        if not fans.plain:
            raise Fault(NotPlainKernel(self.word, kind))

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        init.zeros_(weight)
        kernel = weight.new_ones(())
        for extent in weight.shape[2:]:
            half = (extent + 1) // 2
            centre = half - 1 if extent % 2 else half - 0.5
            line = weight.new_tensor([1 - abs(i - centre) / half for i in range(extent)])
            kernel = kernel.unsqueeze(-1) * line
        for channel in range(min(weight.shape[:2])):
            weight[channel, channel] = kernel


class Default(Filling):
    """What torch's own layers begin with."""

    bias: float | None = argument(number, "what biases are; `none` leaves them as they are", None)

    def fill(self, init: Any, weight: Any, fans: Fans) -> None:
        pass


class Pretrained(Initialisation):
    """The weights of a file: of `torch.save`, `.safetensors`, or the folder of another run.

    The layers' biases and running statistics come with them. Names need not be the network's: tensors are
    matched by name, else by the order of layers, else by prefixes and shapes, and what is left open is
    refused. Of a file with several sets of weights `only` names one. Layers of parts that have an
    initialisation of their own are not asked for.

    ```arch
    network Classifier {
      input image: [3, 32, 32]
      features: conv(16, kernel=3, bias=false) -> batch_norm -> relu
      global_avg_pool -> flatten
      head: linear(5)
    }

    train {
      data       = image_folder("pictures")
      loss       = cross_entropy
      optimizer  = sgd(lr=0.01)
      batch      = 10
      epochs     = 2
      initialize = pretrained("of_100_classes.pth", ignored="fc")
      head.initialize = he
      features.rate   = 0.1
    }
    ```
    """

    file: str = argument(path, "the file, or the folder of a run")
    ignored: tuple[str, ...] = argument(names, "prefixes of the file's names to leave out", ())
    only: str | None = argument(name, "the prefix of the file's names to take from, and no others", None)
