"""Clipping: gradients kept from growing too large before the update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archdsl.layers.arguments import argument, positive_number
from archdsl.recipes.word import Word


class Clipping(Word, family="clipping"):
    """The base of every way to clip."""

    clip: Callable[[Any, Any], None]
    """Given `torch.nn.utils` and the parameters: clip their gradients in place."""


class Norm(Clipping):
    """All gradients together scaled down to a norm of at most `limit` (Pascanu et al., 2013, Algorithm 1)."""

    limit: float = argument(positive_number, "the largest norm")

    def clip(self, utils: Any, parameters: Any) -> None:
        utils.clip_grad_norm_(parameters, self.limit)


class Value(Clipping):
    """Each number of a gradient cut at `limit` and at minus `limit`."""

    limit: float = argument(positive_number, "the largest magnitude")

    def clip(self, utils: Any, parameters: Any) -> None:
        utils.clip_grad_value_(parameters, self.limit)
