"""What can't be drawn, and why."""

from __future__ import annotations

from collections.abc import Iterable


class Undrawable(ValueError):
    """The message says all there is to say, in one line."""


class OpenSizes(Undrawable):
    """What needs numbers, where sizes are symbols."""

    def __init__(self, needs: str, symbols: Iterable[str]) -> None:
        self.needs = needs
        self.symbols = sorted(symbols)
        given = ", ".join(f'"{symbol}": ...' for symbol in self.symbols)
        super().__init__(f"{needs}: load it with sizes={{{given}}}")


class Unheeded(Undrawable):
    """What was asked of a style that it has no choice of; `fitting` are those that have."""

    def __init__(self, option: str, fitting: Iterable[str]) -> None:
        self.option = option
        self.fitting = " or ".join(fitting)
        super().__init__(f"{option} is for the style {self.fitting}")
