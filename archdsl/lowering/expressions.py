"""Lines of source with places to fill in.

A layer writes its torch calls down as text. Here the text is taken apart into what is fixed and what
may differ between two uses: the constants, the values that go in, the module that is called. Two
uses with equal fixed parts can share a line of source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Union


class Constant(NamedTuple):
    """The place of the constant number `index`. `hint` is what the called function calls it.

    A constant that equals its `default` is left out, with the `prefix` before it. `owner` is the
    submodule it belongs to, where a line makes several.
    """

    index: int  # type: ignore[assignment]
    hint: str
    prefix: str = ""
    default: str | None = None
    owner: str = ""


class Value(NamedTuple):
    """The place of the input number `index`."""

    index: int  # type: ignore[assignment]


class Callee(NamedTuple):
    """The place of the module that is called; `index` counts the modules that it is handed besides."""

    index: int | None = None  # type: ignore[assignment]


class ClassName(NamedTuple):
    """The place of the name of a class that is yet to be named."""

    index: int  # type: ignore[assignment]


Part = Union[str, Constant, Value, Callee, ClassName]
Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """A line of source with places, and its constants (as source) in the order of their places."""

    parts: Parts
    constants: tuple[str, ...] = ()

    def values(self) -> list[int]:
        """The inputs that occur, each once, in order."""
        return sorted({part.index for part in self.parts if isinstance(part, Value)})

    def shifted(self, by: int) -> Parts:
        """The parts with the constants counted from `by`."""
        return tuple(
            part._replace(index=part.index + by) if isinstance(part, Constant) else part
            for part in self.parts
        )


REQUIRED = ""

SIGNATURES: dict[str, tuple[tuple[str, str], ...]] = {
    "Conv": (
        ("in_channels", REQUIRED),
        ("out_channels", REQUIRED),
        ("kernel_size", REQUIRED),
        ("stride", "1"),
        ("padding", "0"),
        ("dilation", "1"),
        ("groups", "1"),
        ("bias", "True"),
        ("padding_mode", '"zeros"'),
    ),
    "ConvTranspose": (
        ("in_channels", REQUIRED),
        ("out_channels", REQUIRED),
        ("kernel_size", REQUIRED),
        ("stride", "1"),
        ("padding", "0"),
        ("output_padding", "0"),
        ("groups", "1"),
        ("bias", "True"),
        ("dilation", "1"),
        ("padding_mode", '"zeros"'),
    ),
    "Linear": (("in_features", REQUIRED), ("out_features", REQUIRED), ("bias", "True")),
    "BatchNorm": (
        ("num_features", REQUIRED),
        ("eps", "1e-05"),
        ("momentum", "0.1"),
        ("affine", "True"),
    ),
    "GroupNorm": (
        ("num_groups", REQUIRED),
        ("num_channels", REQUIRED),
        ("eps", "1e-05"),
        ("affine", "True"),
    ),
    "InstanceNorm": (
        ("num_features", REQUIRED),
        ("eps", "1e-05"),
        ("momentum", "0.1"),
        ("affine", "False"),
    ),
    "MaxPool": (
        ("kernel_size", REQUIRED),
        ("stride", "None"),
        ("padding", "0"),
        ("dilation", "1"),
        ("return_indices", "False"),
        ("ceil_mode", "False"),
    ),
    "AvgPool": (
        ("kernel_size", REQUIRED),
        ("stride", "None"),
        ("padding", "0"),
        ("ceil_mode", "False"),
        ("count_include_pad", "True"),
    ),
}
"""The first arguments of torch's modules and their defaults, by the class's name without its `2d`.

They let uses that leave an argument out share a class with uses that give it, and give the
parameters of classes their names.
"""

UNNAMED = frozenset({"value", "start", "end"})
"""Hints that say little without the name of the layer."""

CALLEE = "_module_"
VALUE = "_value_"


def parsed(text: str) -> Expression:
    """A layer's line of source taken apart. `_value_0` stands for an input, `_module_` for the module."""
    return _Reader(text).expression()


def constant(value: object) -> str | None:
    """A plain value as source; None for anything else."""
    if isinstance(value, str):
        text = repr(value)
        return text if '"' in text else f'"{text[1:-1]}"'
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        words = [constant(item) for item in value]
        if None in words:
            return None
        inside = ", ".join(str(word) for word in words)
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(words) == 1 else f"({inside})"
    return None


class _Reader:
    """Reads one expression; `ast` finds where its constants are, the text between is kept as it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.ascii = text.isascii()
        self.parts: list[Part] = []
        self.constants: list[str] = []

    def expression(self) -> Expression:
        tree = ast.parse(self.text, mode="eval").body
        signature = _signature(tree)
        if signature is not None and isinstance(tree, ast.Call):
            self._call(tree, signature)
        else:
            self._copy(tree, tree.col_offset, self._end(tree))
        return Expression(_joined(self.parts), tuple(self.constants))

    def _call(self, call: ast.Call, signature: tuple[tuple[str, str], ...]) -> None:
        """A call of a torch module whose arguments are known: those left out get a place too."""
        self.parts.append(ast.unparse(call.func) + "(")
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        separator = ""
        for position, value in enumerate(call.args):
            self.parts.append(separator)
            hint = signature[position][0] if position < len(signature) else "value"
            self._copy(value, value.col_offset, self._end(value), hint)
            separator = ", "
        for name, default in signature[len(call.args) :]:
            argument = given.pop(name, None)
            if default is REQUIRED or (argument is not None and not _is_literal(argument)):
                if argument is not None:
                    self.parts.append(f"{separator}{name}=")
                    self._copy(argument, argument.col_offset, self._end(argument), name)
            else:
                text = default if argument is None else _literal_text(argument)
                self._hole(text, name, f"{separator}{name}=", default)
            separator = ", "
        for name_, argument in given.items():
            self.parts.append(f"{separator}{name_}=")
            self._copy(argument, argument.col_offset, self._end(argument), str(name_))
        self.parts.append(")")

    def _copy(self, tree: ast.expr, start: int, end: int, hint: str = "value") -> None:
        """The text from `start` to `end`, with places for what may differ in it."""
        at = start
        for node, name in _places(tree, hint):
            self.parts.append(self._slice(at, node.col_offset))
            if isinstance(node, ast.Name):
                self.parts.append(Callee() if node.id == CALLEE else Value(int(node.id.removeprefix(VALUE))))
            else:
                self._hole(_literal_text(node), name)
            at = self._end(node)
        self.parts.append(self._slice(at, end))

    def _hole(self, text: str, hint: str, prefix: str = "", default: str | None = None) -> None:
        self.parts.append(Constant(len(self.constants), hint, prefix, default))
        self.constants.append(text)

    def _end(self, node: ast.expr) -> int:
        assert node.end_col_offset is not None
        return node.end_col_offset

    def _slice(self, start: int, end: int) -> str:
        if self.ascii:
            return self.text[start:end]
        return self.text.encode()[start:end].decode()


def _joined(parts: list[Part]) -> Parts:
    """The parts with neighbouring texts put together and empty ones left out."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str):
            if joined and isinstance(joined[-1], str):
                joined[-1] += part
            elif part:
                joined.append(part)
        else:
            joined.append(part)
    return tuple(joined)


def _signature(tree: ast.expr) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(tree, ast.Call) or any(keyword.arg is None for keyword in tree.keywords):
        return None
    function = tree.func
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return None
    return SIGNATURES.get(re.sub(r"[123]d$", "", function.attr)) if function.value.id == "nn" else None


def _places(tree: ast.expr, hint: str) -> Iterator[tuple[ast.expr, str]]:
    """Every constant, input and module of an expression in order of place, with its hint."""
    if _is_literal(tree) or _is_placeholder(tree):
        yield tree, hint
        return
    hints: dict[int, str] = {}
    if isinstance(tree, ast.Call):
        hints = {id(keyword.value): keyword.arg or hint for keyword in tree.keywords}
        if isinstance(tree.func, ast.Attribute):
            own = SIGNATURES.get(re.sub(r"[123]d$", "", tree.func.attr), ())
            hints |= {id(value): name for value, (name, _) in zip(tree.args, own, strict=False)}
    children = [child for child in _children(tree) if isinstance(child, ast.expr)]
    for part in ast.iter_child_nodes(tree):
        if isinstance(part, ast.Slice):
            hints |= {id(end): name for end, name in ((part.lower, "start"), (part.upper, "end")) if end}
    for child in sorted(children, key=lambda child: (child.lineno, child.col_offset)):
        yield from _places(child, hints.get(id(child), "value"))


def _children(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.keyword | ast.Slice):
            yield from _children(child)
        else:
            yield child


def _is_literal(tree: ast.expr) -> bool:
    if isinstance(tree, ast.Constant):
        return tree.value is not Ellipsis
    if isinstance(tree, ast.UnaryOp):
        return isinstance(tree.op, ast.USub) and isinstance(tree.operand, ast.Constant)
    if isinstance(tree, ast.Tuple | ast.List):
        return bool(tree.elts) and all(map(_is_literal, tree.elts)) and _is_bracketed(tree)
    return False


def _is_bracketed(tree: ast.Tuple | ast.List) -> bool:
    """Whether a tuple has its own brackets: the one in `x[0, 1]` has none."""
    return isinstance(tree, ast.List) or tree.col_offset < tree.elts[0].col_offset


def _is_placeholder(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Name) and (tree.id == CALLEE or tree.id.startswith(VALUE))


def _literal_text(tree: ast.expr) -> str:
    text = constant(ast.literal_eval(tree))
    assert text is not None
    return text


def fill(
    parts: Sequence[Part],
    constants: Sequence[str],
    values: Sequence[str] = (),
    module: str = "",
    modules: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> str:
    """The source with every place filled in."""
    words: list[str] = []
    for number, part in enumerate(parts):
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, Constant):
            text = constants[part.index]
            if part.default is None:
                words.append(_placed(text, parts, number))
            elif text != part.default:
                words.append(part.prefix + text)
        elif isinstance(part, Value):
            words.append(values[part.index])
        elif isinstance(part, Callee):
            words.append(module if part.index is None else modules[part.index])
        else:
            words.append(classes[part.index])
    return _SLICE.sub(_roomy, "".join(words))


_SLICE = re.compile(r"(?:(?<=\[)|(?<=, ))[^\[\](),:]*:[^\[\](),]*(?=[\],])")
"""A slice among the subscripts of a line."""


def _roomy(found: re.Match[str]) -> str:
    """A slice with room around its colons, where one of its ends is more than a number."""
    ends = [end.strip() for end in found[0].split(":")]
    return " : ".join(ends).strip() if any("." in end for end in ends) else found[0]


def _placed(text: str, parts: Sequence[Part], number: int) -> str:
    """A constant in its place: arithmetic over a parameter gets brackets, but not as the end of a slice."""
    if not re.search(r"[A-Za-z_]\w*\.[A-Za-z_]| [*+-] ", text) or text[0] in "\"'([":
        return text
    before = parts[number - 1] if number else ""
    after = parts[number + 1] if number + 1 < len(parts) else ""
    first = before if isinstance(before, str) else ""
    last = after if isinstance(after, str) else ","
    if first.endswith(":") or last.startswith(":"):
        return text
    whole = first.endswith(("(", ", ", "=")) and last.startswith((")", ","))
    return text if whole or " " not in text else f"({text})"
