"""The names that a place in a file sees: its file's, and those of every scope around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archdsl.layers.layer import LAYERS, Layer
from archdsl.source import Source, Span
from archdsl.syntax.tree import Block, Label, Let, Train


@dataclass(slots=True, eq=False)
class Module:
    """A parsed file: its blocks and networks by name, imported ones among them."""

    source: Source
    blocks: dict[str, tuple[Block, Module]] = field(default_factory=dict)
    networks: dict[str, Block] = field(default_factory=dict)
    trains: list[Train] = field(default_factory=list)
    lets: list[Let] = field(default_factory=list)
    imported: list[tuple[Label, str]] = field(default_factory=list)
    """The names that it imports, and from which file."""
    broken: bool = False
    """Whether a declaration could not be read, so that any name may be one it would have made."""
    layers: Mapping[str, type[Layer]] = field(default_factory=lambda: LAYERS)
    """The layers that the file sees by name: those of the language, and its own."""
    own: dict[str, type[Layer]] = field(default_factory=dict)
    """The layers that it imports."""
    words: frozenset[str] = frozenset()
    """The words that arguments of its own layers take."""
    frame: Frame = field(init=False)

    def __post_init__(self) -> None:
        self.frame = Frame(None, self)

    def take(self, layer: type[Layer]) -> None:
        """Let the file see a layer of its own."""
        self.own[layer.kind] = layer
        self.layers = {**self.layers, layer.kind: layer}
        self.words = self.words.union(*(parameter.kind.words for parameter in layer.arguments.values()))


class Frame:
    """The names of one scope, and the frame around it.

    `spans` are where the names were defined. A `loose` frame is a round of a loop without a label.
    In a `tainted` one something is unknown that might have defined further names.
    """

    __slots__ = ("block", "loose", "module", "names", "parent", "spans", "tainted")

    def __init__(
        self,
        parent: Frame | None,
        module: Module,
        block: Block | None = None,
        loose: bool = False,
    ) -> None:
        self.names: dict[str, Any] = {}
        self.spans: dict[str, Span] = {}
        self.parent = parent
        self.module = module
        self.block = block
        self.loose = loose
        self.tainted = False

    def around(self) -> Iterator[Frame]:
        """This frame and those around it, from the inside out."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent
