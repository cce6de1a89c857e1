"""The fully connected layer."""

from __future__ import annotations

from archdsl.layers import arguments as kinds
from archdsl.layers.arguments import argument
from archdsl.layers.layer import Autocast, Buffer, Fans, Layer, Saved
from archdsl.layers.linear_map import LinearMap
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Reads
from archdsl.problems.layers import NeedsVector
from archdsl.problems.problem import Fault
from archdsl.sizes import Size


class Linear(Layer):
    """Fully connected layer: every output is a weighted sum of all features.

    y[c] = bias[c] + sum over a of weight[c, a] * x[a]

    It takes a vector; a map must be flattened first, so that the file shows where positions become
    features. A linear layer at every position of a map is `conv` with a kernel of 1.

    FLOPs: 2 for each multiply-accumulate (features in x features out), and 1 for each output with a
    bias. The backward pass keeps the input.

    ```arch
    network Small {
      input image: [1, 28, 28]
      flatten -> linear(100) -> relu
      linear(10, bias=false)
    }
    ```

    Source: Rosenblatt, The perceptron, 1958. torch.nn.Linear.
    """

    autocast = Autocast.SHORT

    features: Size = argument(kinds.positive, "number of output features")
    bias: bool = argument(kinds.boolean, "whether a learned number is added to each feature", True)

    def shape(self, x: Shape) -> Shape:
        if x.axes:
            raise Fault(NeedsVector(str(self.features), str(x)), inputs=(0,))
        return Shape((self.features,))

    def weights(self, x: Shape) -> dict[str, Shape]:
        weight = Shape((self.features, x.channels))
        return {"weight": weight, "bias": Shape((self.features,))} if self.bias else {"weight": weight}

    def fans(self, x: Shape) -> Fans:
        return Fans(x.channels, self.features)

    def buffers(self, x: Shape) -> dict[str, Buffer]:
        return {}

    def macs(self, x: Shape) -> Size:
        return x.channels * self.features

    def flops(self, x: Shape) -> Size:
        return 2 * self.macs(x) + (self.features if self.bias else 0)

    def saved(self, x: Shape) -> Saved:
        return Saved(inputs=(0,))

    def linear_map(self, x: Shape) -> LinearMap:
        return LinearMap(())

    def reads(self, x: Shape) -> tuple[Reads, ...]:
        return (Reach.POINT,)

    def build(self, nn: Code, x: Shape) -> Code:
        if self.bias:
            return nn.Linear(x.channels, self.features)
        return nn.Linear(x.channels, self.features, bias=False)

    def forward(
        self, torch: Code, module: Code | None, values: tuple[Code, ...], xs: tuple[Shape, ...]
    ) -> Code:
        assert module is not None
        return module(values[0])
