"""What a file expects of its network, and what is the case."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity


class ExpectationFailed(Problem):
    """An `expect` line that does not hold.

    ```arch
    network Small {
      input features: [4]
      linear(3)
      expect parameters == 12
    }
    ```

    ```arch
    network Small {
      input features: [4]
      linear(3)
      expect parameters == 15
    }
    ```
    """

    test: str
    sides: tuple[tuple[str, str], ...]
    difference: str | None = None

    def message(self) -> str:
        return f"{self.test} does not hold"

    def label(self) -> str:
        return "; ".join(f"{side} is {value}" for side, value in self.sides)

    def notes(self) -> tuple[str, ...]:
        return (self.difference,) if self.difference else ()


class ExpectationUndecided(Problem):
    """An `expect` line that holds for some sizes only, since a size is a symbol.

    ```arch
    network Small {
      input signal: [1, L]
      pooled: max_pool(2)
      expect pooled.length == 20
    }
    ```

    ```arch
    network Small {
      input signal: [1, 40]
      pooled: max_pool(2)
      expect pooled.length == 20
    }
    ```
    """

    severity: ClassVar[Severity] = "warning"

    test: str
    symbols: tuple[str, ...]

    def message(self) -> str:
        return f"whether {self.test} depends on {', '.join(self.symbols)}"

    def label(self) -> str:
        return "can't be decided for all sizes"
