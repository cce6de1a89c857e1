"""The inputs of a network: nodes of the shapes that its `input` lines say."""

from __future__ import annotations

import re
from typing import Any

from archdsl.compiler.definitions import Definitions
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame
from archdsl.compiler.network import Node, Wire
from archdsl.compiler.reporting import Failed, Reporter
from archdsl.compiler.unrolled import Unrolled
from archdsl.compiler.uses import within_bounds
from archdsl.compiler.values import UNKNOWN, Labelled, show
from archdsl.layers.shapes import Shape, has_channels_last
from archdsl.layers.structure import Input
from archdsl.problems.structure import InputForm
from archdsl.problems.values import BadShape, ChannelsNotFirst
from archdsl.sizes import at_least, is_size
from archdsl.source import Source, Span
from archdsl.syntax import tree


class NetworkInputs:
    """Makes the nodes of `input` lines."""

    def __init__(
        self, evaluator: Evaluator, reporter: Reporter, definitions: Definitions, unrolled: Unrolled
    ) -> None:
        self._evaluator = evaluator
        self._reporter = reporter
        self._definitions = definitions
        self._unrolled = unrolled

    def enter(self, statement: tree.Input, frame: Frame, replaced: dict[str, Shape]) -> list[Node]:
        """The node of an input, none where something is wrong; `replaced` has shapes in place of its own."""
        if statement.shape is None or len(statement.names) != 1:
            self._reporter.report(InputForm(in_network=True), statement.span)
            for label in statement.names:
                frame.names[label.name] = UNKNOWN
            return []
        label = statement.names[0]
        if label.name in replaced:
            text = f"{label.name}={','.join(map(str, replaced[label.name]))}"
            place = Span(Source(f"--input {label.name}", text), 0, len(text))
            shape = self._checked(tuple(replaced[label.name]), place)
            self._doubt(label.name, shape, tuple(map(str, replaced[label.name])), place)
        else:
            shape = self._shape(statement.shape, frame)
            if isinstance(statement.shape, tree.List):
                written = tuple(item.span.text for item in statement.shape.items)
                self._doubt(label.name, shape, written, statement.shape.span)
        if shape is None:
            self._definitions.define(label, UNKNOWN, frame)
            return []
        scopes = self._unrolled.scopes
        node = Node("", "", Input({"shape": shape}), (), (shape,), scopes.innermost, label.span)
        scopes.take(label.name)
        scopes.add(node, label.name)
        self._unrolled.nodes.append(node)
        self._unrolled.places[node] = label.span
        self._definitions.define(label, Labelled(Wire(node)), frame)
        return [node]

    def _shape(self, node: tree.Expression, frame: Frame) -> Shape | None:
        try:
            value = self._evaluator.evaluate(node, frame)
        except Failed:
            return None
        return self._checked(value, node.span)

    def _doubt(self, name: str, shape: Shape | None, written: tuple[str, ...], at: Span) -> None:
        """Warn of a shape, written so, whose first extent is most likely not its channels."""
        if shape is None:
            return
        last = _last_word(name)
        if has_channels_last(shape, last.endswith((*_PICTURES, *_RECORDINGS))):
            meant = (written[-1], *written[:-1])
        elif last.endswith(_PICTURES) and _has_no_channels(shape):
            meant = ("1", *written)
        else:
            return
        size = tuple(map(str, shape.size))
        self._reporter.report(ChannelsNotFirst(name, str(shape.channels), size, meant), at)

    def _checked(self, value: Any, at: Span) -> Shape | None:
        """A shape that a network may take; None after reporting why it may not."""
        in_list = isinstance(value, tuple) and not isinstance(value, Wire) and 1 <= len(value) <= 4
        if not in_list or not all(is_size(v) and at_least(v, 1) is not False for v in value):
            count = len(value) if isinstance(value, tuple) else None
            self._reporter.report(BadShape(show(value), count), at)
            return None
        shape = Shape(value)
        return shape if within_bounds((shape,), at, self._reporter) else None


_PICTURES = ("image", "img", "picture", "photo")
_RECORDINGS = ("frame", "clip", "video", "volume", "scan", "signal", "wave", "audio")
"""What inputs are called that are recorded, and no features of another network."""


def _last_word(name: str) -> str:
    """What a name tells of its value: `signal` of `raw_signals_2`."""
    words = [word for word in re.split(r"[_\d]+", name.lower()) if len(word) > 1]
    return words[-1].removesuffix("s") if words else ""


def _has_no_channels(shape: Shape) -> bool:
    """Whether the shape of a picture is its height and width alone."""
    if shape.axes != 1:
        return False
    sides = [side for side in shape if isinstance(side, int)]
    return not sides or (len(sides) == 2 and 8 <= min(sides) and max(sides) <= 4 * min(sides))
