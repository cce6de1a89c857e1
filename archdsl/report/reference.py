"""Layers and problems as pages: what the class says of itself, in the words of the language."""

from __future__ import annotations

import inspect
import re
from textwrap import dedent

from archdsl.layers.layer import RULES, Layer


def page(documented: type) -> str:
    """A docstring as a page of text."""
    return inspect.cleandoc(documented.__doc__ or "")


def summary(documented: type) -> str:
    """The first sentence of a docstring, without its stop."""
    paragraph = " ".join(page(documented).split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0].removesuffix(".")


def rules(layer: type[Layer]) -> list[tuple[str, str]]:
    """The rules of a layer: their names, and their source as it stands in the class or its family's."""
    return [(rule, dedent(inspect.getsource(getattr(layer, rule))).rstrip()) for rule in RULES]
