"""A user's own layers: the classes of a Python file that an `.arch` file imports.

Nothing else in the compiler runs what a user wrote, and this is asked only where that is allowed. What goes
wrong in it is the user's to mend: `Broken` says so, with the line.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
from collections.abc import Iterable
from pathlib import PurePath
from textwrap import dedent
from traceback import walk_tb
from types import ModuleType
from typing import Any

from archdsl.diagnostics import Diagnostic, Label
from archdsl.layers.layer import FAMILIES, Buffer, Layer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import SPATIAL_AXES, Shape
from archdsl.layers.stencils import Reach, Stencil
from archdsl.layers.symmetry import SCALAR, Fibre, Motion
from archdsl.problems import CATALOGUE, Fault, Problem
from archdsl.problems.files import BrokenRule, ImportRaised
from archdsl.sizes import Symbolic, TooLarge, Undecided, at_least, is_size
from archdsl.source import Source, Span

RAISED = (Exception, SystemExit)
"""What a user's code may end in that is said, and goes no further."""

_SOURCES: dict[str, Source] = {}
"""The sources that were run, by the file names that Python has for their code."""

_LOADED: dict[str, dict[str, type[Layer]]] = {}
"""The layers of what was run, by the name of its module, which is its content's."""


class Broken(Exception):
    """The user's code ended in an error or gave what can't be; `place` is the line, where one is known."""

    def __init__(self, problem: Problem, place: Span | None = None, text: str = "raised here") -> None:
        super().__init__(problem.message())
        self.problem = problem
        self.labels = () if place is None else (Label(place, text),)


# ------------------------------------------------------------------------------ the file


def layers_of(source: Source, path: str) -> dict[str, type[Layer]]:
    """Run a Python file and give its layers by name, those among them that it imports from elsewhere.

    A file that has not changed is run once. Its module is no name of Python's path, and the file stands
    alone: what is beside it is not found by `import`. `path` is what messages call it. Raises `Broken`.
    """
    name = f"archdsl_own_{hashlib.sha256(source.text.encode()).hexdigest()[:16]}"
    if name not in _LOADED:
        module = _run(source, path, name)
        found = [value for value in vars(module).values() if isinstance(value, type)]
        layers = {layer.kind: layer for layer in found if issubclass(layer, Layer) and _is_own(layer)}
        for layer in layers.values():
            _check_source(layer)
        _LOADED[name] = layers
    return _LOADED[name]


def _run(source: Source, path: str, name: str) -> ModuleType:
    filename = f"<{PurePath(source.name).name} {name[-16:]}>"
    # Kept where Python looks for the lines of a traceback, and `archdsl layers` for those of a rule.
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(keepends=True), filename)
    _SOURCES[filename] = source
    module = ModuleType(name)
    module.__file__ = source.name
    sys.modules[name] = module
    try:
        exec(compile(source.text, filename, "exec", dont_inherit=True), module.__dict__)
    except RAISED as error:
        del sys.modules[name]
        raise Broken(ImportRaised(path, said(error)), place_of(error)) from error
    finally:
        # The catalogue is of what the language can say, and a file that is run anew may define its own anew.
        for key in [key for key, problem in CATALOGUE.items() if problem.__module__ == name]:
            del CATALOGUE[key]
    return module


def _is_own(layer: type[Layer]) -> bool:
    """Whether a class is a layer, not a base of some, and none of the language's."""
    return bool(vars(layer).get("kind")) and not layer.__module__.startswith(FAMILIES)


def _check_source(layer: type[Layer]) -> None:
    """What a layer adds to the source of a network must be Python."""
    try:
        ast.parse(dedent(layer.source))
    except RAISED as error:
        raise Broken(BrokenRule(layer.kind, "source", f"ended in {said(error)}")) from error


def said(error: BaseException) -> str:
    """An error in a line: `ZeroDivisionError: division by zero`."""
    kind = type(error).__name__
    try:
        lines = str(error.msg if isinstance(error, SyntaxError) else error).strip().splitlines()
    except RAISED:
        lines = []
    return f"{kind}: {lines[0]}" if lines else kind


def place_of(error: BaseException) -> Span | None:
    """The innermost line of a file of own layers that an error came from."""
    if isinstance(error, SyntaxError) and error.filename in _SOURCES and error.lineno:
        return _line(_SOURCES[error.filename], error.lineno)
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_code.co_filename in _SOURCES
    ]
    return _line(_SOURCES[places[-1][0]], places[-1][1]) if places else None


def _line(source: Source, number: int) -> Span | None:
    """What stands on a line; None where there is nothing, or no such line."""
    lines = source.text.split("\n")
    text = lines[number - 1] if 0 < number <= len(lines) else ""
    start = sum(len(line) + 1 for line in lines[: number - 1]) + len(text) - len(text.lstrip())
    return Span(source, start, start + len(text.strip())) if text.strip() else None


# ------------------------------------------------------------------------------ the rules


def ask(layer: Layer, xs: tuple[Shape, ...]) -> None:
    """Ask every rule of a user's own layer for inputs of these shapes, and hold what each gives to its form.

    What the analyses and the lowering ask later, they are then given. A `Fault` of the shape's is no
    mistake of the layer's, and left to the compiler. Raises `Broken`.
    """
    try:
        made = _asked(layer, "shape", *xs)
        shapes = (made,) if isinstance(made, Shape) else made
        right = isinstance(shapes, tuple) and bool(shapes) and all(_is_shape(shape) for shape in shapes)
        _hold(layer, "shape", made, right, "a `Shape` of extents of at least 1, or a tuple of such")
        _costs(layer, xs)
        for result in range(len(shapes)):
            _reads(layer, "reads" if result == 0 else "reads_of", layer.reads_of, result, xs)
        symbolic = any(isinstance(size, Symbolic) for size in _sizes([*xs, *layer.values.values()]))
        if symbolic:
            doubts = _asked(layer, "doubts", *xs)
            right = isinstance(doubts, tuple) and all(isinstance(doubt, Problem) for doubt in doubts)
            _hold(layer, "doubts", doubts, right, "a tuple of problems")
            for doubt in doubts:
                _say(layer, "doubts", doubt)
        else:
            # A module of open sizes can't be made, and the lowering says so.
            _torch(layer, xs)
        if type(layer).answers is not Layer.answers:
            for motion in Motion:
                fibre = _asked(layer, "answers", motion, (SCALAR,) * len(xs), *xs)
                _hold(layer, "answers", fibre, fibre is None or isinstance(fibre, Fibre), "a `Fibre` or None")
    except TooLarge:
        # What is too large is not the layer's mistake alone: whoever asks next says so.
        return
    except Fault as fault:
        _hold(layer, "shape", fault.problem, isinstance(fault.problem, Problem), "a fault with a `Problem`")
        right = all(index in range(len(xs)) for index in fault.inputs)
        _hold(layer, "shape", fault.inputs, right, "a fault of the inputs it has")
        _say(layer, "shape", fault.problem)


def mistake(layer: str, rule: str, error: BaseException) -> Broken:
    """An error of a rule of a user's own layer, to be raised."""
    problem = BrokenRule(layer, rule, f"ended in {said(error)}", isinstance(error, Undecided))
    return Broken(problem, place_of(error))


def blamed(error: BaseException) -> tuple[Layer, Broken] | None:
    """The own layer whose rule an error came from, wherever it was asked; None where it came from none."""
    found: tuple[Layer, Broken] | None = None
    for frame, _ in walk_tb(error.__traceback__):
        layer = frame.f_locals.get("self")
        if frame.f_code.co_filename in _SOURCES and isinstance(layer, Layer):
            found = found or (layer, mistake(layer.kind, frame.f_code.co_name, error))
    return found


def _asked(layer: Layer, rule: str, *arguments: Any) -> Any:
    try:
        return getattr(layer, rule)(*arguments)
    except TooLarge:
        raise
    except RAISED as error:
        if isinstance(error, Fault) and rule in ("shape", "doubts"):
            raise
        raise mistake(layer.kind, rule, error) from error


def _hold(layer: Layer, rule: str, found: object, right: bool, wanted: str) -> None:
    if right:
        return
    code = getattr(getattr(type(layer), rule), "__code__", None)
    source = None if code is None else _SOURCES.get(code.co_filename)
    place = None if code is None or source is None else _line(source, code.co_firstlineno)
    raise Broken(BrokenRule(layer.kind, rule, f"gives {_shown(found)}, not {wanted}"), place, "this rule")


def _say(layer: Layer, rule: str, problem: Problem) -> None:
    """The words of a user's own problem are the user's code, too."""
    try:
        Diagnostic.of(problem, Span(Source("", ""), 0, 0))
    except RAISED as error:
        raise mistake(layer.kind, rule, error) from error


def _costs(layer: Layer, xs: tuple[Shape, ...]) -> None:
    weights = _asked(layer, "weights", *xs)
    right = isinstance(weights, dict) and all(
        isinstance(name, str) and isinstance(shape, tuple) and all(map(is_size, shape))
        for name, shape in weights.items()
    )
    _hold(layer, "weights", weights, right, "a dict of names and shapes")
    buffers = _asked(layer, "buffers", *xs)
    right = isinstance(buffers, dict) and all(
        isinstance(name, str) and isinstance(buffer, Buffer) for name, buffer in buffers.items()
    )
    _hold(layer, "buffers", buffers, right, "a dict of names and `Buffer`s")
    for rule in ("macs", "flops"):
        count = _asked(layer, rule, *xs)
        right = is_size(count) and at_least(count, 0) is not False
        _hold(layer, rule, count, right, "a whole number of at least 0")
    saved = _asked(layer, "saved", *xs)
    right = isinstance(saved, Saved) and all(index in range(len(xs)) for index in saved.inputs)
    _hold(layer, "saved", saved, right, "a `Saved` of the inputs it has")


def _reads(layer: Layer, rule: str, asked: Any, result: int, xs: tuple[Shape, ...]) -> None:
    try:
        reads = asked(result, *xs)
    except RAISED as error:
        raise mistake(layer.kind, rule, error) from error
    right = isinstance(reads, tuple) and len(reads) == len(xs)
    for read, x in zip(reads if right else (), xs, strict=False):
        of_axes = isinstance(read, tuple) and len(read) == x.axes
        right = right and (
            isinstance(read, Reach) or (of_axes and all(isinstance(stencil, Stencil) for stencil in read))
        )
    _hold(layer, rule, reads, right, "a `Reach`, or a `Stencil` an axis, of each input")


def _torch(layer: Layer, xs: tuple[Shape, ...]) -> None:
    made = _asked(layer, "build", Code("nn"), *xs)
    _hold(layer, "build", made, made is None or isinstance(made, Code), "a call on `nn`, or None")
    if made is None:
        kept = [*layer.weights(*xs), *layer.buffers(*xs)]
        _hold(layer, "build", made, not kept, f"the module of {', '.join(kept)}")
    values = tuple(Code(f"x{number}") for number in range(len(xs) or 1))
    called = _asked(layer, "forward", Code("torch"), None if made is None else Code("module"), values, xs)
    _hold(layer, "forward", called, isinstance(called, Code), "an expression of the values")


def _is_shape(shape: object) -> bool:
    return (
        isinstance(shape, Shape)
        and len(shape) - 1 in SPATIAL_AXES
        and all(is_size(extent) and at_least(extent, 1) is not False for extent in shape)
    )


def _sizes(values: Iterable[Any]) -> Iterable[Any]:
    """What stands in lists, and lists in lists."""
    for value in values:
        if isinstance(value, tuple):
            yield from _sizes(value)
        else:
            yield value


def _shown(found: object) -> str:
    """What a rule gave, in a few words."""
    if found is None or isinstance(found, bool | int | float):
        return str(found)
    try:
        text = str(found) if isinstance(found, Shape) else repr(found)
    except RAISED:
        text = ""
    short = 0 < len(text) <= 40 and "\n" not in text
    return text if short else f"something of the type {type(found).__name__}"
