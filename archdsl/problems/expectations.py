"""What a file expects of its network, and what is the case."""

from __future__ import annotations

from typing import ClassVar

from archdsl.problems.problem import Problem, Severity

EVEN = "a quarter turn needs equal extents along both axes"


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
    every_axis: bool = False
    """Whether numbers that differ from axis to axis are compared with one number."""
    uneven: bool = False
    """Whether a turn ends at an input."""

    def message(self) -> str:
        return f"{self.test} does not hold"

    def label(self) -> str:
        return "; ".join(f"{side} is {value}" for side, value in self.sides)

    def notes(self) -> tuple[str, ...]:
        axes = "a number is compared with what there is along every axis" if self.every_axis else None
        return tuple(note for note in (self.difference, axes) if note)

    def help(self) -> str | None:
        return EVEN if self.uneven else None


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
    uneven: bool = False

    def message(self) -> str:
        return f"whether {self.test} depends on {', '.join(self.symbols)}"

    def label(self) -> str:
        return "can't be decided for all sizes"

    def notes(self) -> tuple[str, ...]:
        return (EVEN,) if self.uneven else ()

    def help(self) -> str | None:
        if not self.symbols:
            return None
        sizes = " ".join(f"--size {name}=224" for name in self.symbols)
        return f"give the {'size a number' if len(self.symbols) == 1 else 'sizes numbers'}: `{sizes}`"
