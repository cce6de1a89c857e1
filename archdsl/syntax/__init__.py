"""From text to syntax tree."""

from archdsl.syntax.parser import parse

__all__ = ["parse"]
