"""Uses of blocks: arguments and inputs bound, the body unrolled or repeated from a recording."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from archdsl.compiler import limits
from archdsl.compiler.definitions import Definitions
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame, Module
from archdsl.compiler.network import Scope, Wire
from archdsl.compiler.recording import Key, Recording, Recordings, key_of
from archdsl.compiler.reporting import Failed, Reporter
from archdsl.compiler.signatures import Bound, Signature, bind
from archdsl.compiler.unrolled import Unrolled
from archdsl.compiler.values import UNKNOWN, Flow, Labelled, Unknown, wires_in
from archdsl.layers.shapes import Shape
from archdsl.problems.bounds import RecursionTooDeep, TooManyLayers
from archdsl.problems.structure import InputCount, InputForm, NetworkInChain, NoValue
from archdsl.source import Span
from archdsl.syntax import tree


@dataclass(slots=True, eq=False)
class Results:
    """What a body gives: its last value, or what its `output` line names."""

    value: Flow
    names: list[str] | None = None


Body = Callable[[list[tree.Statement], Frame, Flow], Results]
"""Unrolls the body of a block."""


class SoFar(NamedTuple):
    """How far the unrolling is. `said` counts the diagnostics, the expectations and the shared lines."""

    nodes: int
    steps_left: int
    said: tuple[int, int, int]


class Repetition(NamedTuple):
    """A use of a block that was repeated from a recording, and the shapes of its inputs."""

    known: Recording
    block: str
    use: Span
    shapes: tuple[Shape, ...]


class BlockUses:
    """Uses blocks, whose bodies are unrolled by `body`."""

    def __init__(
        self,
        evaluator: Evaluator,
        reporter: Reporter,
        definitions: Definitions,
        unrolled: Unrolled,
        body: Body,
    ) -> None:
        self._evaluator = evaluator
        self._reporter = reporter
        self._definitions = definitions
        self._unrolled = unrolled
        self._body = body
        self._calls = reporter.calls
        self._scopes = unrolled.scopes
        self._nodes = unrolled.nodes
        self._recordings = Recordings()
        self.repetition: Repetition | None = None
        """The use that came last, if it was repeated from a recording."""
        self._bound: dict[tuple[tree.Block, int | Span], Bound] = {}

    def use(
        self,
        block: tree.Block,
        module: Module,
        arguments: list[tree.Argument],
        name_span: Span,
        use: Span,
        frame: Frame,
        value: Flow,
        label: tree.Label | None,
    ) -> Labelled:
        if block.is_network:
            self._reporter.report(NetworkInChain(block.name), name_span)
            return Labelled(UNKNOWN, _unknown_frame(module))
        written = (block, id(arguments) if arguments else name_span)
        bound = self._bound.get(written)
        if bound is None:
            bound = bind(Signature.of_block(block), arguments, name_span, self._reporter)
            self._bound[written] = bound
        self.repetition = None
        given = self._arguments(bound, arguments, frame)
        if not bound.whole or isinstance(value, Unknown):
            return Labelled(UNKNOWN, _unknown_frame(module))
        if value is None:
            self._reporter.report(NoValue(()), use)
            return Labelled(UNKNOWN, _unknown_frame(module))
        if len(self._calls) >= limits.NESTING:
            raise self._reporter.stop(RecursionTooDeep("blocks", block.name, limits.NESTING), use)
        key = self._scopes.next_use(block.name) if label is None else label.name
        wires = wires_in(value)
        alike = key_of(block, given, wires) if label is None else None
        self._calls.append(use)
        try:
            known = None if alike is None else self._repeatable(alike, use)
            if known is not None:
                self.repetition = Repetition(known, block.name, use, tuple([wire.shape for wire in wires]))
                return Labelled(self._repeat(known, block.name, key, use, wires))
            inner = Frame(module.frame, module, block)
            inner.names["input"] = value
            for parameter in block.parameters:
                self._parameter(parameter, given, inner)
            if any(v is UNKNOWN for v in inner.names.values()):
                return Labelled(UNKNOWN, _unknown_frame(module))
            reached = self._inputs(block, inner, value, use)
            if isinstance(reached, Unknown):
                return Labelled(UNKNOWN, _unknown_frame(module))
            arguments_ = {p.name: inner.names[p.name] for p in block.parameters}
            begun = self._so_far()
            with self._scopes.inside(key, label is not None, wires, block.name, arguments_) as scope:
                scope.chosen = _chosen(block, given)
                body: list[tree.Statement] = [s for s in block.body if not isinstance(s, tree.Input)]
                results = self._body(body, inner, reached)
                scope.outputs = wires_in(results.value)
            self.repetition = None
            if alike is not None:
                self._record(alike, begun, scope)
        finally:
            self._calls.pop()
        if results.value is None:
            self._reporter.report(NoValue(()), use)
            return Labelled(UNKNOWN, inner)
        return Labelled(results.value, inner, scope)

    def once_more(self, last: Repetition, value: Flow) -> Flow:
        """Repeat a use that was repeated before, in the same frame; None where it has to be used anew."""
        wires = wires_in(value)
        if tuple([maker.shapes[port] for maker, port in wires]) != last.shapes:
            return None
        self._calls.append(last.use)
        try:
            # The line of the use is a step, too.
            if not self._has_room(last.known, 1):
                return None
            self._reporter.spend(1, last.use)
            key = self._scopes.next_use(last.block)
            return self._repeat(last.known, last.block, key, last.use, wires)
        finally:
            self._calls.pop()

    def _repeat(self, known: Recording, block: str, key: str, use: Span, inputs: tuple[Wire, ...]) -> Flow:
        with self._scopes.inside(key, False, inputs, block, known.arguments) as scope:
            scope.chosen = known.chosen
            self._reporter.spend(known.steps, use)
            self._nodes += known.repeat(scope, self._calls[0], self._unrolled.places)
        return scope.outputs[0] if len(scope.outputs) == 1 else scope.outputs

    def _repeatable(self, alike: Key, use: Span) -> Recording | None:
        """What to repeat for a use, unless that takes too much: then it is unrolled, to say where."""
        layers = self._recordings.layers(alike)
        if layers is not None and layers > limits.LAYERS - len(self._nodes):
            raise self._reporter.stop(TooManyLayers(limits.LAYERS), use)
        known = self._recordings.find(alike)
        return known if known is not None and self._has_room(known) else None

    def _has_room(self, known: Recording, before: int = 0) -> bool:
        """Whether a recording can be repeated after so many steps."""
        return (
            len(self._calls) <= known.depth
            and known.steps + before <= self._reporter.steps_left
            and len(known) <= limits.LAYERS - len(self._nodes)
        )

    def _so_far(self) -> SoFar:
        reporter = self._reporter
        said = len(reporter.diagnostics), len(self._unrolled.expectations), len(self._unrolled.shared)
        return SoFar(len(self._nodes), reporter.steps_left, said)

    def _record(self, alike: Key, begun: SoFar, scope: Scope) -> None:
        """Record a use of a block, unless it did something besides making layers."""
        now = self._so_far()
        made = now.nodes - begun.nodes
        if now.said != begun.said or not scope.outputs or self._reporter.has_errors:
            return
        if self._recordings.has_room(made, now.nodes):
            steps = begun.steps_left - now.steps_left
            nodes = self._nodes[begun.nodes :]
            make = partial(Recording, scope, nodes, self._unrolled.places, len(self._calls), steps)
            self._recordings.keep(alike, made, make)

    def _arguments(self, bound: Bound, arguments: list[tree.Argument], frame: Frame) -> dict[str, Any]:
        """The arguments' values, all of them evaluated so that each one's mistakes show."""
        given: dict[str, Any] = {}
        evaluate = self._evaluator.evaluate
        for name, argument in bound.arguments.items():
            try:
                given[name] = evaluate(argument.value, frame)
            except Failed:
                given[name] = UNKNOWN
        if not bound.whole:
            known = set(map(id, bound.arguments.values()))
            for argument in arguments:
                if id(argument) not in known:
                    with suppress(Failed):
                        evaluate(argument.value, frame)
        return given

    def _parameter(self, parameter: tree.Parameter, given: dict[str, Any], inner: Frame) -> None:
        if parameter.name in given:
            value = given[parameter.name]
        else:
            assert parameter.default is not None
            try:
                value = self._evaluator.evaluate(parameter.default, inner)
            except Failed:
                value = UNKNOWN
        self._definitions.define(tree.Label(parameter.name_span, parameter.name), value, inner)

    def _inputs(self, block: tree.Block, inner: Frame, value: Flow, use: Span) -> Flow:
        """What the body starts from: named inputs are bound, and several leave the choice to `from`."""
        wires = wires_in(value)
        statements = [s for s in block.body if isinstance(s, tree.Input)]
        labels = [label for statement in statements for label in statement.names]
        for statement in statements:
            if statement.shape is not None:
                self._reporter.report(InputForm(in_network=False), statement.span)
                return UNKNOWN
        takes = len(labels) or 1
        if len(wires) != takes:
            names = tuple(label.name for label in labels)
            problem = InputCount(block.name, takes, len(wires), names)
            self._reporter.report(problem, use)
            return UNKNOWN
        for label, wire in zip(labels, wires, strict=False):
            self._definitions.define(label, Labelled(wire), inner)
        if takes == 1:
            inner.names["input"] = wires[0]
            return wires[0]
        return None


def _chosen(block: tree.Block, given: dict[str, Any]) -> tuple[str, ...]:
    """Which arguments a use gives, but those that are the number or word that the default is."""
    return tuple(
        [
            p.name
            for p in block.parameters
            if p.name in given
            and not (
                isinstance(p.default, tree.Number | tree.Constant | tree.String)
                and p.default.value == given[p.name]
            )
        ]
    )


def _unknown_frame(module: Module) -> Frame:
    frame = Frame(None, module)
    frame.tainted = True
    return frame
