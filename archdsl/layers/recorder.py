"""A namespace that writes down the calls made on it.

A layer says how torch computes it by calling what it is handed. Handed this, the calls become a
line of source: `nn.Conv2d(3, 96, 11, stride=4)`. The module that trains is made from that source,
so what is exported and what is trained cannot differ.
"""

from __future__ import annotations

from typing import Any


class Code:
    """A Python expression as text. Attributes, calls, indexing, arithmetic and comparisons give longer ones.

    What it will be is not known while it is written down, so that it has no truth and no elements.
    """

    __slots__ = ("_operator", "_text")

    def __init__(self, text: str, operator: str = "") -> None:
        """`operator` is the one that binds last in the text, where there is one."""
        self._text = text
        self._operator = operator

    def __getattr__(self, name: str) -> Code:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._text == "torch" and name == "F":
            return Code("F")
        return Code(f"{self._operand()}.{name}")

    def __call__(self, *arguments: Any, **named: Any) -> Code:
        words = [literal(value) for value in arguments]
        words += [f"{name}={literal(value)}" for name, value in named.items()]
        return Code(f"{self._operand()}({', '.join(words)})")

    def __getitem__(self, key: Any) -> Code:
        keys = key if isinstance(key, tuple) else (key,)
        return Code(f"{self._operand()}[{', '.join(_subscript(k) for k in keys)}]")

    def __add__(self, other: Any) -> Code:
        return self._binary("+", other)

    def __sub__(self, other: Any) -> Code:
        return self._binary("-", other)

    def __mul__(self, other: Any) -> Code:
        return self._binary("*", other)

    def __truediv__(self, other: Any) -> Code:
        return self._binary("/", other)

    def __matmul__(self, other: Any) -> Code:
        return self._binary("@", other)

    def __pow__(self, other: Any) -> Code:
        return self._binary("**", other)

    def __radd__(self, other: Any) -> Code:
        return self._written(other)._binary("+", self)

    def __rsub__(self, other: Any) -> Code:
        return self._written(other)._binary("-", self)

    def __rmul__(self, other: Any) -> Code:
        return self._written(other)._binary("*", self)

    def __rtruediv__(self, other: Any) -> Code:
        return self._written(other)._binary("/", self)

    def __neg__(self) -> Code:
        return Code(f"-{self._operand()}", "-x")

    def __lt__(self, other: Any) -> Code:
        return self._binary("<", other)

    def __le__(self, other: Any) -> Code:
        return self._binary("<=", other)

    def __gt__(self, other: Any) -> Code:
        return self._binary(">", other)

    def __ge__(self, other: Any) -> Code:
        return self._binary(">=", other)

    def __eq__(self, other: object) -> Code:  # type: ignore[override]
        return self._binary("==", other)

    def __ne__(self, other: object) -> Code:  # type: ignore[override]
        return self._binary("!=", other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("what torch will compute is not yet known: no `if`, `and`, `or`; torch.where chooses")

    __iter__ = None
    """Indexing would make it endless: `torch.topk(x, 2)[0]` is the first of what a call gives."""

    @staticmethod
    def _written(value: Any) -> Code:
        return Code(literal(value))

    def _binary(self, operator: str, other: Any) -> Code:
        right = other._operand() if isinstance(other, Code) else literal(other)
        # Operators of one rank are read from the left.
        together = any({operator, self._operator} <= set(rank) for rank in ("+-", "*/"))
        left = self._text if together else self._operand()
        return Code(f"{left} {operator} {right}", operator)

    def _operand(self) -> str:
        return f"({self._text})" if self._operator else self._text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Code({self._text!r})"


def literal(value: Any) -> str:
    """A value as Python source. Only code, plain values, and lists and tuples of them have one."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple):
        inside = ", ".join(literal(v) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, list):
        return f"[{', '.join(literal(v) for v in value)}]"
    raise TypeError(f"{value!r} can't be written as source")


def _subscript(key: Any) -> str:
    if isinstance(key, slice):
        ends = [("" if end is None else literal(end)) for end in (key.start, key.stop)]
        return ":".join(ends) + ("" if key.step is None else f":{literal(key.step)}")
    return "..." if key is Ellipsis else literal(key)
