"""Activations: functions of one number, and the softmaxes.

FLOPs are counted for each element. An addition, a comparison (a maximum or minimum too), a
multiplication, a division, and each `exp`, `log` and `erf` count one; every other function counts what
it is composed of.
"""

from __future__ import annotations

from typing import Any, ClassVar

from archdsl.layers.arguments import argument, axis, boolean, number
from archdsl.layers.axes import axis_index
from archdsl.layers.layer import Autocast, Saved, Weightless
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.layers.symmetry import PICTURES, Fibre, Motion, kept
from archdsl.sizes import Size


class Activation(Weightless, abstract=True):
    """The base of the activations: `module` is torch's class, `cost` the FLOPs of an element.

    `keeps_output` says whether the backward pass needs the output; otherwise it needs the input.
    """

    module: ClassVar[str]
    cost: ClassVar[int]
    keeps_output: ClassVar[bool] = False

    def shape(self, x: Shape) -> Shape:
        return x

    def flops(self, x: Shape) -> Size:
        return self.cost * x.count

    def saved(self, x: Shape) -> Saved:
        return Saved(output=True) if self.keeps_output else Saved(inputs=(0,))

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def options(self, x: Shape) -> dict[str, Any]:
        """The arguments of torch's class that are written out."""
        return {}

    def build(self, nn: Code, x: Shape) -> Code:
        module: Code = getattr(nn, self.module)
        return module(**self.options(x))

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres)


class Relu(Activation):
    """The rectified linear unit: 0 for everything below 0, and the number itself above.

        y = max(x, 0)

    FLOPs: 1 an element. The backward pass needs the output.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu
    }
    ```

    Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.
    """

    module = "ReLU"
    formula = "max(0, z)"
    cost = 1
    keeps_output = True


class Relu6(Activation):
    """A rectified linear unit that ends at 6.

        y = min(max(x, 0), 6)

    FLOPs: 2 an element. The backward pass needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> relu6
    }
    ```

    Source: Howard et al., MobileNets: efficient convolutional neural networks for mobile vision
    applications, 2017.
    """

    module = "ReLU6"
    formula = "min(max(0, z), 6)"
    cost = 2


class LeakyRelu(Activation):
    """A rectified linear unit that lets a little through below 0.

        y = x       for x > 0
        y = slope x otherwise

    FLOPs: 2 an element (comparison, multiplication). The backward pass needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> leaky_relu(0.1)
    }
    ```

    Source: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.
    """

    module = "LeakyReLU"
    formula = "max(0, z) + slope * min(0, z)"
    cost = 2

    slope: float = argument(number, "what a negative number is multiplied by", 0.01)

    def options(self, x: Shape) -> dict[str, Any]:
        return {"negative_slope": self.slope} if self.chosen("slope") else {}


class Prelu(Activation):
    """A rectified linear unit whose slope below 0 is learned, one for all or one a channel.

        y = x        for x > 0
        y = weight x otherwise

    The slopes start at 0.25. FLOPs: 2 an element (comparison, multiplication). The backward pass
    needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> prelu(per_channel=true)
      expect parameters == 3 * 3 * 3 * 16 + 16 + 16
    }
    ```

    Source: He et al., Delving deep into rectifiers, 2015.
    """

    autocast = Autocast.SHORT
    module = "PReLU"
    formula = "max(0, z) + weight * min(0, z)"
    cost = 2

    per_channel: bool = argument(boolean, "whether each channel has a slope of its own", False)

    def weights(self, x: Shape) -> dict[str, Shape]:
        return {"weight": Shape((x.channels if self.per_channel else 1,))}

    def build(self, nn: Code, x: Shape) -> Code:
        return nn.PReLU(x.channels) if self.per_channel else nn.PReLU()

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        return kept(fibres, ("scalar", "polar") if self.per_channel else PICTURES)


class Elu(Activation):
    """The exponential linear unit: smooth below 0, where it tends to -1.

        y = x          for x > 0
        y = exp(x) - 1 otherwise

    FLOPs: 3 an element (comparison, exp, subtraction). The backward pass needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> elu
    }
    ```

    Source: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by
    exponential linear units, 2016.
    """

    module = "ELU"
    formula = "max(0, z) + exp(min(0, z)) - 1"
    cost = 3


class Selu(Activation):
    """The scaled exponential linear unit, whose outputs tend to mean 0 and variance 1.

        y = s x                  for x > 0
        y = s alpha (exp(x) - 1) otherwise,  with alpha = 1.67326324 and s = 1.05070099

    FLOPs: 5 an element (comparison, exp, subtraction, two multiplications). The backward pass needs
    the input.

    ```arch
    network Example {
      input features: [64]
      linear(32) -> selu
    }
    ```

    Source: Klambauer et al., Self-normalizing neural networks, 2017.
    """

    module = "SELU"
    formula = "1.05070099 * (max(0, z) + 1.67326324 * (exp(min(0, z)) - 1))"
    cost = 5


class Gelu(Activation):
    """The Gaussian error linear unit: the number times the chance that a normal one is smaller.

        y = x (1 + erf(x / sqrt(2))) / 2

    FLOPs: 5 an element (division, erf, addition, two multiplications). The backward pass needs the
    input.

    ```arch
    network Example {
      input features: [64]
      linear(32) -> gelu
    }
    ```

    Source: Hendrycks and Gimpel, Gaussian error linear units, 2016.
    """

    module = "GELU"
    formula = "z / 2 * (1 + erf(z / sqrt(2)))"
    cost = 5


class Silu(Activation):
    """The sigmoid linear unit, also called swish.

        y = x / (1 + exp(-x))

    FLOPs: 5 an element (negation, exp, addition, division, multiplication, as x sigmoid(x)). The
    backward pass needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> silu
    }
    ```

    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning, 2018.
    """

    module = "SiLU"
    formula = "z / (1 + exp(-z))"
    cost = 5


class Mish(Activation):
    """A smooth activation that dips a little below 0.

        y = x tanh(softplus(x)) = x tanh(log(1 + exp(x)))

    FLOPs: 9 an element (softplus 3, tanh 5, a multiplication). The backward pass needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> mish
    }
    ```

    Source: Misra, Mish: a self regularized non-monotonic activation function, 2020.
    """

    module = "Mish"
    formula = "z * tanh(log(1 + exp(z)))"
    cost = 9


class Sigmoid(Activation):
    """The logistic function: from 0 to 1.

        y = 1 / (1 + exp(-x))

    FLOPs: 4 an element (negation, exp, addition, division). The backward pass needs the output.

    ```arch
    network Example {
      input features: [64]
      linear(1) -> sigmoid
    }
    ```

    Source: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, 1986.
    """

    module = "Sigmoid"
    formula = "1 / (1 + exp(-z))"
    cost = 4
    keeps_output = True


class Tanh(Activation):
    """The hyperbolic tangent: from -1 to 1.

        y = (exp(2 x) - 1) / (exp(2 x) + 1)

    FLOPs: 5 an element (multiplication, exp, subtraction, addition, division). The backward pass
    needs the output.

    ```arch
    network Example {
      input image: [1, 32, 32]
      conv(6, kernel=5) -> tanh
    }
    ```

    Source: LeCun et al., Efficient backprop, 1998.
    """

    module = "Tanh"
    formula = "tanh(z)"
    cost = 5
    keeps_output = True


class Softplus(Activation):
    """A smooth rectifier.

        y = log(1 + exp(x))

    Above 20 it is taken as the identity. FLOPs: 3 an element (exp, addition, log). The backward pass
    needs the input.

    ```arch
    network Example {
      input features: [64]
      linear(1) -> softplus
    }
    ```

    Source: Dugas et al., Incorporating second-order functional knowledge for better option pricing,
    2001.
    """

    autocast = Autocast.LONG
    module = "Softplus"
    formula = "log(1 + exp(z))"
    cost = 3


class HardSigmoid(Activation):
    """The logistic function in straight pieces.

        y = min(max(x + 3, 0), 6) / 6

    FLOPs: 4 an element (addition, maximum, minimum, division). The backward pass needs the input.

    ```arch
    network Example {
      input features: [64]
      linear(16) -> hard_sigmoid
    }
    ```

    Source: Howard et al., Searching for MobileNetV3, 2019.
    """

    module = "Hardsigmoid"
    formula = "min(max(0, z + 3), 6) / 6"
    cost = 4


class HardSwish(Activation):
    """The sigmoid linear unit in straight pieces.

        y = x min(max(x + 3, 0), 6) / 6

    FLOPs: 5 an element (addition, maximum, minimum, multiplication, division). The backward pass
    needs the input.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(16, kernel=3) -> hard_swish
    }
    ```

    Source: Howard et al., Searching for MobileNetV3, 2019.
    """

    module = "Hardswish"
    formula = "z * min(max(0, z + 3), 6) / 6"
    cost = 5


class Identity(Activation):
    """Passes its input on: for a block whose activation is an argument, and shall be none.

        y = x

    FLOPs: none. The backward pass needs nothing.

    ```arch
    block Unit(channels, activation = relu) {
      conv(channels, kernel=3) -> activation
    }

    network Example {
      input image: [3, 32, 32]
      Unit(16)
      Unit(16, activation=identity)
    }
    ```
    """

    module = "Identity"
    formula = "z"
    cost = 0

    def saved(self, x: Shape) -> Saved:
        return Saved()


class AlongAxis(Activation, abstract=True):
    """The base of the softmaxes, which look at all elements along one axis."""

    autocast = Autocast.LONG
    keeps_output = True

    axis: str = argument(axis, "the axis along which the outputs are normalised", "channels")

    def shape(self, x: Shape) -> Shape:
        axis_index(x, self.axis)
        return x

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT if self.axis == "channels" else Reach.NORMALISED,)

    def options(self, x: Shape) -> dict[str, Any]:
        return {"dim": axis_index(x, self.axis) + 1}

    def rows(self, x: Shape) -> Size:
        """How many times the axis is normalised."""
        index = axis_index(x, self.axis)
        return Shape((*x[:index], *x[index + 1 :])).count

    def answers(self, motion: Motion, fibres: tuple[Fibre, ...], *xs: Shape) -> Fibre | None:
        # Turned round, an axis has the same elements still; by a turn it becomes another one.
        return kept(fibres) if self.axis == "channels" or motion is Motion.REFLECTION else None


class Softmax(AlongAxis):
    """Turns numbers along an axis into shares that are positive and add up to 1.

        y_i = exp(x_i - m) / sum_j exp(x_j - m),  m = max_j x_j

    FLOPs: 5 n - 2 for n numbers (n - 1 comparisons for the maximum, n subtractions, n exp, n - 1
    additions, n divisions). The backward pass needs the output.

    ```arch
    network Example {
      input features: [64]
      linear(10) -> softmax
    }
    ```

    Source: Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990.
    """

    module = "Softmax"

    def flops(self, x: Shape) -> Size:
        return 5 * x.count - 2 * self.rows(x)


class LogSoftmax(AlongAxis):
    """The logarithm of `softmax`, worked out without leaving the range of floats.

        y_i = x_i - m - log(sum_j exp(x_j - m)),  m = max_j x_j

    FLOPs: 5 n - 1 for n numbers (n - 1 comparisons for the maximum, n subtractions, n exp, n - 1
    additions, one log, n subtractions). The backward pass needs the output.

    ```arch
    network Example {
      input image: [3, 32, 32]
      conv(21, kernel=1) -> log_softmax
    }
    ```

    Source: Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990.
    """

    module = "LogSoftmax"

    def flops(self, x: Shape) -> Size:
        return 5 * x.count - self.rows(x)
