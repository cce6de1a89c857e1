"""The form of every word of a recipe: one class, in one place, with all that is known of it.

`sgd(lr=0.1)`, `cosine(end=0.01)` and `top_error(5)` are words. A word's class declares its arguments as
a layer's does, and what the word means on torch stands beside them: a rule that needs torch is handed
its namespace, so that a recipe can be checked, explained and written down without torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

from archdsl.compiler.signatures import Signature
from archdsl.layers.arguments import Kind, Parameter, declared, written

path = Kind(
    "a path between quotes", lambda value: value if isinstance(value, str) and value else None, role="path"
)
"""A path is meant from the folder of the file that says it, and from the current one on the command line."""


name = Kind("a name between quotes", lambda value: value if isinstance(value, str) and value else None)


def _names(value: Any) -> tuple[str, ...] | None:
    some = (value,) if isinstance(value, str) else value
    return some if isinstance(some, tuple) and all(isinstance(one, str) and one for one in some) else None


names = Kind("names between quotes, in a list where they are several", _names)


class Word:
    """A word with its arguments as attributes.

    A family of words, such as the losses, is a subclass declared with `family="loss"`; each of its
    subclasses is a word, named like its class (`MeanSquaredError` is `mean_squared_error`) or by `word=`.
    Its docstring is its reference: what it means,
    its equation, its source.
    """

    family: ClassVar[str]
    word: ClassVar[str] = ""
    words: ClassVar[dict[str, type[Any]]]
    """Every word of the family, by name."""
    arguments: ClassVar[dict[str, Parameter]] = {}
    family_first: ClassVar[bool] = False
    """Whether the arguments that all words of the family have come before a word's own."""

    def __init_subclass__(cls, family: str = "", word: str = "", abstract: bool = False) -> None:
        super().__init_subclass__()
        own = declared(cls)
        first, last = (cls.arguments, own) if cls.family_first else (own, cls.arguments)
        cls.arguments = {name: own.get(name, p) for name, p in {**first, **last}.items()}
        if family:
            cls.family = family
            cls.words = {}
        elif not abstract:
            cls.word = word or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
            cls.words[cls.word] = cls

    def __init__(self, values: dict[str, Any]) -> None:
        """`values` has every argument, checked and in the form its kind gives."""
        self.values = values
        self.__dict__.update(values)

    @classmethod
    def new(cls, **given: Any) -> Self:
        """The word with these arguments, and the defaults of all others."""
        return cls({name: given.get(name, p.default) for name, p in cls.arguments.items()})

    @classmethod
    def signature(cls) -> Signature:
        return Signature.of_arguments(cls.word, cls.arguments)

    def located(self) -> Self:
        """The same word, good from any folder: its paths are in full."""
        return self._moved(os.path.abspath)

    def seen_from(self, folder: str) -> Self:
        """The same word, as a file in a folder writes it: with its paths from there."""
        return self._moved(lambda path: os.path.relpath(path, folder or os.curdir))

    def _moved(self, moved: Callable[[str], str]) -> Self:
        paths = {
            name: moved(value)
            for name, value in self.values.items()
            if self.arguments[name].kind.role == "path"
        }
        return type(self)({**self.values, **paths})

    def check(self) -> None:
        """Raise `Fault` where arguments that are right by themselves don't go together."""

    def __str__(self) -> str:
        """The word as a file writes it, with what is not left at its default."""
        given = [
            f"{name}={self._written(name, value)}"
            for name, value in self.values.items()
            if self.arguments[name].required or value != self.arguments[name].default
        ]
        return f"{self.word}({', '.join(given)})" if given else self.word

    def _written(self, name: str, value: Any) -> str:
        kind = self.arguments[name].kind
        if kind is names:
            return f"[{', '.join(map(json.dumps, value))}]"
        quoted = isinstance(value, str) and value not in kind.words and kind.role != "output"
        return json.dumps(value) if quoted else written(value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values == getattr(other, "values", None)

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.values.items())))

    def __repr__(self) -> str:
        return str(self)
