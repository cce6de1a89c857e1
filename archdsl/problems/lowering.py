"""What keeps a network from becoming a torch module."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed, sizes_to_give


class SizeNeeded(Problem):
    """A torch module has weights of fixed sizes, and here a size is a symbol without a value.

    Shapes, parameters and memory come out as expressions in the symbol; weights can't. A map's height
    and width may stay symbols as long as no layer's weights depend on them, as they do where a
    flattened map goes into a `linear`.

    ```arch
    network Classifier {
      input image: [3, H, W]
      conv(16, kernel=3, stride=2) -> relu -> flatten
      logits: linear(10)
    }
    ```

    Give the symbol a value where the module is made (`--size H=32 --size W=32`), or make the layer
    independent of it:

    ```arch
    network Classifier {
      input image: [3, H, W]
      conv(16, kernel=3, stride=2) -> relu -> global_avg_pool -> flatten
      logits: linear(10)
    }
    ```
    """

    layer: str
    symbols: tuple[str, ...]

    def message(self) -> str:
        return (
            f"the torch module of `{self.layer}` needs numbers for {listed(f'`{s}`' for s in self.symbols)}"
        )

    def label(self) -> str:
        return f"made from {'a size' if len(self.symbols) == 1 else 'sizes'} without a value"

    def help(self) -> str | None:
        return f"give {sizes_to_give(self.symbols)}"
