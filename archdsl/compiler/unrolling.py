"""From statements to layers: blocks opened, loops unrolled, choices made, shapes known as they are.

A value flows from item to item. Where something is wrong it is reported and the flow becomes
`UNKNOWN`, which passes through everything that follows and silences its consequences, while the
arguments of the later layers are still checked.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from archdsl.compiler import limits
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame
from archdsl.compiler.names import unknown_layer
from archdsl.compiler.network import Node, Scope, Wire
from archdsl.compiler.recording import Key, NotRepeatable, Recording, Recordings, key_of
from archdsl.compiler.reporting import Failed, Reporter
from archdsl.compiler.scopes import Scopes
from archdsl.compiler.signatures import Bound, Signature, bind
from archdsl.compiler.uses import LayerUses, Plan, UsePlace
from archdsl.compiler.values import (
    UNKNOWN,
    Flow,
    Function,
    Labelled,
    Maker,
    Rounds,
    Shared,
    Unknown,
    show,
)
from archdsl.diagnostics import Label
from archdsl.layers import LAYERS
from archdsl.layers.layer import Layer
from archdsl.layers.shapes import Shape
from archdsl.layers.structure import Input
from archdsl.problems import Problem
from archdsl.problems.bounds import RecursionTooDeep, TooManyLayers
from archdsl.problems.names import DuplicateName, ReservedName, ValueInChain
from archdsl.problems.structure import (
    InputCount,
    InputForm,
    LoopNeedsLabel,
    MisplacedStatement,
    NoBranches,
    NoValue,
    ResultCount,
)
from archdsl.problems.values import (
    BadShape,
    NotACount,
    NotAList,
    SharedMismatch,
    UnpackMismatch,
)
from archdsl.sizes import at_least, is_size
from archdsl.source import Span
from archdsl.syntax import tree


@dataclass(slots=True, eq=False)
class Results:
    """What a body gives: its last value, or what its `output` line names."""

    value: Flow
    names: list[str] | None = None


class SoFar(NamedTuple):
    """How far the unrolling is. `said` counts the diagnostics, the expectations and the shared lines."""

    nodes: int
    steps_left: int
    said: tuple[int, int, int]


class Unroller:
    """Unrolls one network. `nodes` are its layers in order of execution."""

    def __init__(self, evaluator: Evaluator, reporter: Reporter) -> None:
        self.evaluator = evaluator
        self.reporter = reporter
        self.nodes: list[Node] = []
        self.expectations: list[tuple[tree.Expect, Frame]] = []
        self.shared: list[Shared] = []
        self._recordings = Recordings()
        self._bound: dict[tuple[tree.Block, int | Span], Bound] = {}
        self._uses = LayerUses(evaluator, reporter)
        self._calls = reporter.calls
        self._places: dict[Node, Span] = {}

    # ------------------------------------------------------------------------ scopes

    def network(
        self, block: tree.Block, frame: Frame, inputs: dict[str, Shape]
    ) -> tuple[Scope, list[Node], Results]:
        """Unroll a network whose parameters are bound in `frame`; `inputs` replaces shapes."""
        scope = Scope("", "", None, block.name)
        scope.arguments = {p.name: frame.names.get(p.name) for p in block.parameters}
        self._scopes = Scopes(scope)
        entries: list[Node] = []
        body: list[tree.Statement] = []
        for statement in block.body:
            if isinstance(statement, tree.Input):
                entries += self._network_inputs(statement, frame, inputs)
            else:
                body.append(statement)
        value: Flow = Wire(entries[0]) if len(entries) == 1 else None
        if not entries:
            # What is wrong with the inputs, or that there is none, has been said or will be.
            value = UNKNOWN
        if len(entries) == 1:
            frame.names.setdefault("input", value)
        results = self._whole_body(body, frame, value)
        self._scopes.close()
        return scope, entries, results

    def _network_inputs(self, statement: tree.Input, frame: Frame, replaced: dict[str, Shape]) -> list[Node]:
        if statement.shape is None or len(statement.names) != 1:
            self.reporter.report(InputForm(in_network=True), statement.span)
            for label in statement.names:
                frame.names[label.name] = UNKNOWN
            return []
        label = statement.names[0]
        shape = replaced.get(label.name) or self._input_shape(statement.shape, frame)
        if shape is None:
            self._define(label, UNKNOWN, frame)
            return []
        scope = self._scopes.innermost
        node = Node("", "", Input({"shape": shape}), (), (shape,), scope, label.span)
        self._scopes.take(label.name)
        self._scopes.add(node, label.name)
        self.nodes.append(node)
        self._places[node] = label.span
        self._define(label, Labelled(Wire(node)), frame)
        return [node]

    def _input_shape(self, node: tree.Expression, frame: Frame) -> Shape | None:
        try:
            value = self.evaluator.evaluate(node, frame)
        except Failed:
            return None
        listed_ = isinstance(value, tuple) and not isinstance(value, Wire) and 1 <= len(value) <= 4
        if not listed_ or not all(is_size(v) and at_least(v, 1) is not False for v in value):
            count = len(value) if isinstance(value, tuple) else None
            self.reporter.report(BadShape(show(value), count), node.span)
            return None
        shape = Shape(value)
        return shape if self._uses.within_bounds((shape,), node.span) else None

    # ------------------------------------------------------------------------ statements

    def _whole_body(self, body: list[tree.Statement], frame: Frame, value: Flow) -> Results:
        """The body of a network or block, which alone may have an `output` line."""
        results: Results | None = None
        for statement in body:
            if isinstance(statement, tree.Output):
                results = self._outputs(statement, frame)
            else:
                value = self._statement(statement, frame, value)
        return results or Results(value)

    def _outputs(self, statement: tree.Output, frame: Frame) -> Results:
        """What an `output` line names: each value as the file does, or, out of a list, as its layer."""
        wires: list[Wire] = []
        names: list[str] = []
        whole = True
        for expression in statement.values:
            try:
                found = self.evaluator.wires(expression, frame)
            except Failed:
                whole = False
                continue
            alone = isinstance(self.evaluator.evaluate(expression, frame), Labelled) and len(found) == 1
            names += [expression.span.text] if alone else map(str, found)
            wires += found
        if not whole:
            return Results(UNKNOWN, names)
        return Results(wires[0] if len(wires) == 1 else tuple(wires), names)

    def _body(self, body: list[tree.Statement], frame: Frame, value: Flow) -> Flow:
        for statement in body:
            if isinstance(statement, tree.Output):
                reason = "only the body of a block or network has outputs"
                self.reporter.report(MisplacedStatement("output", reason), statement.span)
            else:
                value = self._statement(statement, frame, value)
        return value

    def _statement(self, statement: tree.Statement, frame: Frame, value: Flow) -> Flow:
        self.reporter.spend(1, statement.span)
        kind = type(statement)
        if kind is tree.Line:
            return self._line(statement, frame, value)  # type: ignore[arg-type]
        if isinstance(statement, tree.Let):
            self.let(statement, frame)
        elif isinstance(statement, tree.Expect):
            self.expectations.append((statement, frame))
        elif isinstance(statement, tree.Shared):
            shared = Shared(
                statement.label.name, statement.label.span, statement.items, frame, self._scopes.innermost
            )
            self._scopes.take(statement.label.name)
            self.shared.append(shared)
            self._define(statement.label, shared, frame)
        elif isinstance(statement, tree.Broken):
            for label in statement.names:
                frame.names.setdefault(label.name, UNKNOWN)
            frame.tainted = True
            return UNKNOWN
        elif isinstance(statement, tree.Input):
            reason = "it belongs at the head of a block or network"
            self.reporter.report(MisplacedStatement("input", reason), statement.span)
        return value

    def let(self, statement: tree.Let, frame: Frame) -> None:
        """Bind a name to a number, a list or a function."""
        bound: Any
        if statement.parameters is not None:
            self.reporter.spend(len(frame.names), statement.span)
            bound = Function(statement, self._snapshot(frame))
        else:
            try:
                bound = self.evaluator.evaluate(statement.value, frame)
            except Failed:
                bound = UNKNOWN
        self._define(tree.Label(statement.name_span, statement.name), bound, frame)

    def _snapshot(self, frame: Frame) -> Frame:
        """The names that are defined so far: a function sees no later one, so none can call itself."""
        copy = Frame(frame.parent, frame.module, frame.block)
        copy.names = dict(frame.names)
        copy.tainted = frame.tainted
        return copy

    def _define(self, label: tree.Label, bound: Any, frame: Frame) -> None:
        name = label.name
        if name in ("_", "input"):
            # That `input` is no name has been said where the file was read.
            return
        if name == "N":
            self.reporter.report(ReservedName(name), label.span)
        elif name in frame.names:
            first = frame.spans.get(name)
            places = (Label(first, "first defined here"),) if first else ()
            self.reporter.report(DuplicateName(name), label.span, places)
            return
        frame.names[name] = bound
        frame.spans[name] = label.span

    # ------------------------------------------------------------------------ lines

    def _line(self, line: tree.Line, frame: Frame, value: Flow) -> Flow:
        if line.origin is not None:
            value = self._origin(line.origin, frame)
        elif line.items and not self._begins(line.items[0], frame) and value is None:
            names = tuple(n for f in frame.around() for n, v in f.names.items() if isinstance(v, Labelled))
            self.reporter.report(NoValue(names), line.items[0].span)
            value = UNKNOWN
        labels = line.labels
        if not labels:
            return self._items(line.items, frame, value, first=line.origin is None)
        if frame.loose:
            self.reporter.report(LoopNeedsLabel(labels[0].name), labels[0].span)
            if frame.parent is not None:
                # That it can't be named after the loop follows from this.
                frame.parent.names.setdefault(labels[0].name, UNKNOWN)
        if len(labels) > 1:
            value = self._items(line.items, frame, value, first=line.origin is None)
            self._take_apart(line, frame, value)
            return value
        label = labels[0]
        if label.name == "_":
            return self._items(line.items, frame, value, first=line.origin is None)
        self._scopes.take(label.name)
        bound = self._labelled(label, line, frame, value)
        self._define(label, bound, frame)
        value = bound.value
        if isinstance(value, Wire):
            self._places[value.node] = label.span
        return value

    def _origin(self, origin: list[tree.Expression], frame: Frame) -> Flow:
        wires: list[Wire] = []
        failed = False
        for expression in origin:
            try:
                wires += self.evaluator.wires(expression, frame)
            except Failed:
                failed = True
        if failed:
            return UNKNOWN
        return wires[0] if len(wires) == 1 else tuple(wires)

    def _begins(self, item: tree.Item, frame: Frame) -> bool:
        """Whether an item begins a new value, so that it needs none: `parameter`, or a group."""
        if isinstance(item, tree.Use):
            layer = LAYERS.get(item.name)
            return layer is not None and layer.inputs == 0
        return True

    def _take_apart(self, line: tree.Line, frame: Frame, value: Flow) -> None:
        parts: tuple[Any, ...]
        if isinstance(value, Unknown):
            parts = (UNKNOWN,) * len(line.labels)
        else:
            parts = value if isinstance(value, tuple) and not isinstance(value, Wire) else (value,)
            if len(parts) != len(line.labels):
                at = line.labels[0].span.to(line.labels[-1].span)
                self.reporter.report(ResultCount(len(line.labels), len(parts)), at)
                parts = (UNKNOWN,) * len(line.labels)
        for label, part in zip(line.labels, parts, strict=True):
            self._define(label, UNKNOWN if part is UNKNOWN else Labelled(part), frame)

    def _labelled(self, label: tree.Label, line: tree.Line, frame: Frame, value: Flow) -> Labelled | Rounds:
        """A line with one label: the label names the layer, the block's use, the rounds or a scope."""
        items = line.items
        if not items:
            inner = None
            if line.origin is not None and len(line.origin) == 1 and not isinstance(value, Unknown):
                named = self.evaluator.evaluate(line.origin[0], frame)
                inner = named.inner if isinstance(named, Labelled) else None
            return Labelled(value, inner)
        if len(items) == 1:
            item = items[0]
            if isinstance(item, tree.Use):
                return self._use(item, frame, value, label, line.origin is None)
            if isinstance(item, tree.Repeat | tree.For):
                return self._loop(item, frame, value, label, line.span)
        inner = Frame(frame, frame.module)
        with self._scopes.inside(label.name, True, _wires_in(value)) as scope:
            value = self._items(items, inner, value, first=line.origin is None)
            scope.outputs = _wires_in(value)
        return Labelled(value, inner)

    # ------------------------------------------------------------------------ items of a chain

    def _items(self, items: list[tree.Item], frame: Frame, value: Flow, first: bool = False) -> Flow:
        for item in items:
            if type(item) is tree.Use:
                value = self._use(item, frame, value, None, first).value
            else:
                value = self._braces(item, frame, value)
            first = False
        return value

    def _braces(self, item: tree.Item, frame: Frame, value: Flow) -> Flow:
        if isinstance(item, tree.Group):
            return self._body(item.body, frame, value)
        if isinstance(item, tree.If):
            return self._if(item, frame, value)
        if isinstance(item, tree.Parallel):
            return self._parallel(item, frame, value)
        assert isinstance(item, tree.Repeat | tree.For)
        return self._loop(item, frame, value, None, item.span).value

    def _if(self, item: tree.If, frame: Frame, value: Flow) -> Flow:
        try:
            chosen = item.then if self.evaluator.condition(item.test, frame) else item.otherwise
        except Failed:
            frame.tainted = True
            return UNKNOWN
        return self._body(chosen, frame, value)

    def _parallel(self, item: tree.Parallel, frame: Frame, value: Flow) -> Flow:
        results: list[Any] = []
        for statement in item.body:
            if not isinstance(statement, tree.Line):
                self._body([statement], frame, value)
                if isinstance(statement, tree.Broken):
                    results.append(UNKNOWN)
                continue
            alone = statement.items[0] if len(statement.items) == 1 else None
            if isinstance(alone, tree.Repeat | tree.For):
                results += self._rounds_as_branches(statement, alone, frame, value)
            else:
                results.append(self._statement(statement, frame, value))
        if any(r is None for r in results) or not results:
            if not isinstance(value, Unknown):
                problem: Problem = NoValue(()) if results else NoBranches(item.join.name)
                self.reporter.report(problem, item.join.span)
            return UNKNOWN
        if any(isinstance(r, Unknown) for r in results):
            joined: Flow = UNKNOWN
        else:
            wires = [w for r in results for w in _wires_in(r)]
            joined = wires[0] if len(wires) == 1 else tuple(wires)
        return self._use(item.join, frame, joined, None, False).value

    def _rounds_as_branches(
        self, line: tree.Line, loop: tree.Repeat | tree.For, frame: Frame, value: Flow
    ) -> list[Flow]:
        self.reporter.spend(1, line.span)
        if line.origin is not None:
            value = self._origin(line.origin, frame)
        label = line.labels[0] if line.labels else None
        if label is not None:
            self._scopes.take(label.name)
        rounds = self._loop(loop, frame, value, label, line.span, branches=True)
        if label is not None:
            self._define(label, rounds, frame)
        return [r.value for r in rounds.rounds]

    def _loop(
        self,
        item: tree.Repeat | tree.For,
        frame: Frame,
        value: Flow,
        label: tree.Label | None,
        span: Span,
        branches: bool = False,
    ) -> Rounds:
        """The rounds of a loop, each from the value of the one before; as `branches`, from the first."""
        values = self._loop_values(item, frame)
        if values is None:
            frame.tainted = True
            return Rounds(UNKNOWN, [])
        rounds: list[Labelled] = []
        target = item.target if isinstance(item, tree.For) else None
        start = value
        for number, element in enumerate(values, 1):
            self.reporter.spend(1, span)
            inner = Frame(frame, frame.module, loose=label is None)
            if target is not None:
                self._unpack(target, element, inner)
            came = start if branches else value
            if label is None:
                value = self._body(item.body, inner, came)
            else:
                key = f"{label.name}_{number}"
                self._scopes.take(key)
                with self._scopes.inside(key, True, _wires_in(came)) as scope:
                    scope.loop, scope.round = label.name, number
                    value = self._body(item.body, inner, came)
                    scope.outputs = _wires_in(value)
                self._define(tree.Label(label.span, key), Labelled(value, inner), frame)
            rounds.append(Labelled(value, inner))
        return Rounds(value, rounds)

    def _loop_values(self, item: tree.Repeat | tree.For, frame: Frame) -> Any:
        try:
            if isinstance(item, tree.For):
                values = self.evaluator.evaluate(item.values, frame)
                if isinstance(values, Labelled | Rounds):
                    values = values.value
                if not isinstance(values, tuple) or isinstance(values, Wire):
                    raise self.reporter.fail(NotAList(show(values)), item.values.span)
                return values
            count = self.evaluator.evaluate(item.count, frame)
        except Failed:
            return None
        if isinstance(count, float) and count.is_integer():
            count = int(count)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            self.reporter.report(NotACount(show(count)), item.count.span)
            return None
        return range(count)

    def _unpack(self, target: tree.Target, element: Any, frame: Frame) -> None:
        if target.name is not None:
            self._define(tree.Label(target.span, target.name), element, frame)
            return
        items = target.items or []
        if isinstance(element, Labelled | Rounds):
            element = element.value
        if element is UNKNOWN:
            parts: tuple[Any, ...] = (UNKNOWN,) * len(items)
        elif isinstance(element, tuple) and not isinstance(element, Wire) and len(element) == len(items):
            parts = element
        else:
            self.reporter.report(UnpackMismatch(len(items), show(element)), target.span)
            parts = (UNKNOWN,) * len(items)
        for one, part in zip(items, parts, strict=True):
            self._unpack(one, part, frame)

    # ------------------------------------------------------------------------ uses

    def _use(
        self, use: tree.Use, frame: Frame, value: Flow, label: tree.Label | None, first: bool
    ) -> Labelled:
        """A name in a chain: a parameter or shared layer of the scope, else a block, else a layer."""
        name = use.name
        around: Frame | None = frame
        while around is not None:
            bound = around.names.get(name)
            if bound is not None:
                if isinstance(bound, Maker):
                    return self._make(bound, use, value, label, first)
                if isinstance(bound, Shared):
                    return self._use_shared(bound, use, value)
                if bound is UNKNOWN and name not in LAYERS and name not in frame.module.blocks:
                    return Labelled(UNKNOWN)
            around = around.parent
        found = frame.module.blocks.get(name)
        if found is not None:
            block, module = found
            return self._use_block(block, module, use.arguments, use.name_span, use.span, frame, value, label)
        layer = LAYERS.get(name)
        if layer is not None:
            plan = self._uses.plan(use, layer, use.arguments, use.name_span)
            return Labelled(self._use_layer(plan, layer, use.name_span, use.span, frame, value, label, first))
        return self._not_a_layer(use, frame, value, first)

    def _not_a_layer(self, use: tree.Use, frame: Frame, value: Flow, first: bool) -> Labelled:
        bound = self._named(use.name, frame)
        if isinstance(bound, Shared):
            return self._use_shared(bound, use, value)
        if bound is not None:
            if isinstance(bound, str):
                self.reporter.report(ValueInChain(use.name, first, f"the word `{bound}`"), use.name_span)
            elif bound is not UNKNOWN:
                what = "a value" if isinstance(bound, Labelled | Rounds | Wire) else show(bound)
                self.reporter.report(ValueInChain(use.name, first, what), use.name_span)
        elif not any(f.tainted for f in frame.around()):
            usable = [n for f in frame.around() for n, v in f.names.items() if isinstance(v, Maker | Shared)]
            problem = unknown_layer(use.name, [*usable, *frame.module.blocks])
            self.reporter.report(problem, use.name_span)
        return Labelled(UNKNOWN)

    def _named(self, name: str, frame: Frame) -> Any:
        """What a name, dotted or not, is bound to; None if to nothing."""
        head, *rest = name.split(".")
        bound = next((f.names[head] for f in frame.around() if head in f.names), None)
        for part in rest:
            inner = bound.inner if isinstance(bound, Labelled) else None
            bound = inner.names.get(part) if inner is not None else None
        return bound

    def _make(
        self, maker: Maker, use: tree.Use, value: Flow, label: tree.Label | None, first: bool
    ) -> Labelled:
        """A layer or block that was given as an argument, made anew."""
        if not self._without_arguments(use):
            return Labelled(UNKNOWN)
        frame = maker.frame
        if maker.block is not None:
            return self._use_block(
                maker.block, maker.module, maker.arguments, maker.span, use.span, frame, value, label
            )
        assert maker.layer is not None
        # The same words make the same layer, however often they are handed on.
        key = id(maker.arguments) if maker.arguments else maker.layer
        plan = self._uses.plan(key, maker.layer, maker.arguments, maker.span)
        return Labelled(self._use_layer(plan, maker.layer, maker.span, use.span, frame, value, label, first))

    def _without_arguments(self, use: tree.Use) -> bool:
        """Whether a use of something that has its arguments already is given no others."""
        signature = Signature(use.name, (), frozenset(), use.name)
        return bind(signature, use.arguments, use.name_span, self.reporter).whole

    # ------------------------------------------------------------------------ shared layers

    def _use_shared(self, shared: Shared, use: tree.Use, value: Flow) -> Labelled:
        """Make a shared line at its first use, and its later uses with the same weights."""
        shared.uses += 1
        if not self._without_arguments(use) or isinstance(value, Unknown):
            return Labelled(UNKNOWN)
        if value is None:
            self.reporter.report(NoValue(()), use.span)
            return Labelled(UNKNOWN)
        if len(self._calls) >= limits.NESTING:
            raise self.reporter.stop(RecursionTooDeep("shared lines", shared.label, limits.NESTING), use.span)
        key = shared.label if shared.uses == 1 else f"{shared.label}@{shared.uses}"
        before = len(self.nodes)
        self._calls.append(use.span)
        try:
            with self._scopes.as_if_in(shared.scope):
                line = tree.Line(use.span, [], None, shared.items)
                bound = self._labelled(tree.Label(use.span, key), line, shared.frame, value)
        finally:
            self._calls.pop()
        made = self.nodes[before:]
        if shared.uses == 1:
            shared.made = made
        else:
            self._same_weights(shared, made, use)
        return Labelled(bound.value, bound.inner if isinstance(bound, Labelled) else None)

    def _same_weights(self, shared: Shared, made: list[Node], use: tree.Use) -> None:
        """Tie what a later use made to the owner of the weights."""
        for owner, node in zip(shared.made, made, strict=False):
            node.first = owner.first or owner
            then = owner.layer.weights(*(w.shape for w in owner.inputs))
            now = node.layer.weights(*(w.shape for w in node.inputs))
            for tensor, shape in now.items():
                if then.get(tensor) != shape:
                    problem = SharedMismatch(shared.label, tensor, str(then.get(tensor)), str(shape))
                    self.reporter.report(problem, use.span, (Label(shared.span, "declared here"),))
                    return

    # ------------------------------------------------------------------------ blocks

    def _use_block(
        self,
        block: tree.Block,
        module: Any,
        arguments: list[tree.Argument],
        name_span: Span,
        use: Span,
        frame: Frame,
        value: Flow,
        label: tree.Label | None,
    ) -> Labelled:
        written = (block, id(arguments) if arguments else name_span)
        bound = self._bound.get(written)
        if bound is None:
            bound = bind(Signature.of_block(block), arguments, name_span, self.reporter)
            self._bound[written] = bound
        given = self._block_arguments(bound.arguments, arguments, frame)
        if not bound.whole or isinstance(value, Unknown):
            return Labelled(UNKNOWN, _unknown_frame(module))
        if value is None:
            self.reporter.report(NoValue(()), use)
            return Labelled(UNKNOWN, _unknown_frame(module))
        if len(self._calls) >= limits.NESTING:
            raise self.reporter.stop(RecursionTooDeep("blocks", block.name, limits.NESTING), use)
        key = self._scopes.next_use(block.name) if label is None else label.name
        wires = _wires_in(value)
        alike = key_of(block, given, wires) if label is None else None
        self._calls.append(use)
        try:
            known = None if alike is None else self._repeatable(alike)
            if known is not None:
                with self._scopes.inside(key, False, wires, block.name, known.arguments) as scope:
                    self.reporter.spend(known.steps, use)
                    self.nodes += known.repeat(scope, self._calls[0], self._places)
                return Labelled(scope.outputs[0] if len(scope.outputs) == 1 else scope.outputs)
            inner = Frame(module.frame, module, block)
            inner.names["input"] = value
            for parameter in block.parameters:
                self._block_parameter(parameter, given, inner)
            if any(v is UNKNOWN for v in inner.names.values()):
                return Labelled(UNKNOWN, _unknown_frame(module))
            reached = self._block_inputs(block, inner, value, use)
            if isinstance(reached, Unknown):
                return Labelled(UNKNOWN, _unknown_frame(module))
            arguments_ = {p.name: inner.names[p.name] for p in block.parameters}
            begun = self._so_far()
            with self._scopes.inside(key, label is not None, wires, block.name, arguments_) as scope:
                body: list[tree.Statement] = [s for s in block.body if not isinstance(s, tree.Input)]
                results = self._whole_body(body, inner, reached)
                scope.outputs = _wires_in(results.value)
            if alike is not None:
                self._record(alike, begun, scope)
        finally:
            self._calls.pop()
        if results.value is None:
            self.reporter.report(NoValue(()), use)
            return Labelled(UNKNOWN, inner)
        return Labelled(results.value, inner)

    def _repeatable(self, alike: Key) -> Recording | None:
        """What to repeat for a use, unless that breaks a bound: then it is unrolled, to say where."""
        known = self._recordings.find(alike)
        if known is None:
            return None
        fits = (
            len(self._calls) <= known.depth
            and known.steps <= self.reporter.steps_left
            and len(known) <= limits.LAYERS - len(self.nodes)
        )
        return known if fits else None

    def _so_far(self) -> SoFar:
        reporter = self.reporter
        said = len(reporter.diagnostics), len(self.expectations), len(self.shared)
        return SoFar(len(self.nodes), reporter.steps_left, said)

    def _record(self, alike: Key, begun: SoFar, scope: Scope) -> None:
        """Record a use of a block, unless it did something besides making layers."""
        now = self._so_far()
        made = now.nodes - begun.nodes
        if now.said != begun.said or not scope.outputs or self.reporter.has_errors:
            return
        if self._recordings.has_room(made, now.nodes):
            steps = begun.steps_left - now.steps_left
            nodes = self.nodes[begun.nodes :]
            with suppress(NotRepeatable):
                self._recordings.keep(alike, Recording(scope, nodes, self._places, len(self._calls), steps))

    def _block_arguments(
        self, bound: dict[str, tree.Argument], arguments: list[tree.Argument], frame: Frame
    ) -> dict[str, Any]:
        """The arguments' values, all of them evaluated so that each one's mistakes show."""
        given: dict[str, Any] = {}
        names = {id(argument): name for name, argument in bound.items()}
        for argument in arguments:
            try:
                value = self.evaluator.evaluate(argument.value, frame)
            except Failed:
                value = UNKNOWN
            if id(argument) in names:
                given[names[id(argument)]] = value
        return given

    def _block_parameter(self, parameter: tree.Parameter, given: dict[str, Any], inner: Frame) -> None:
        if parameter.name in given:
            value = given[parameter.name]
        else:
            assert parameter.default is not None
            try:
                value = self.evaluator.evaluate(parameter.default, inner)
            except Failed:
                value = UNKNOWN
        self._define(tree.Label(parameter.name_span, parameter.name), value, inner)

    def _block_inputs(self, block: tree.Block, inner: Frame, value: Flow, use: Span) -> Flow:
        """What the body starts from: named inputs are bound, and several leave the choice to `from`."""
        wires = _wires_in(value)
        statements = [s for s in block.body if isinstance(s, tree.Input)]
        labels = [label for statement in statements for label in statement.names]
        for statement in statements:
            if statement.shape is not None:
                self.reporter.report(InputForm(in_network=False), statement.span)
                return UNKNOWN
        takes = len(labels) or 1
        if len(wires) != takes:
            names = tuple(label.name for label in labels)
            problem = InputCount(block.name, takes, len(wires), names)
            self.reporter.report(problem, use)
            return UNKNOWN
        for label, wire in zip(labels, wires, strict=False):
            self._define(label, Labelled(wire), inner)
        if takes == 1:
            inner.names["input"] = wires[0]
            return wires[0]
        return None

    # ------------------------------------------------------------------------ layers

    def _use_layer(
        self,
        plan: Plan,
        cls: type[Layer],
        name_span: Span,
        use: Span,
        frame: Frame,
        value: Flow,
        label: tree.Label | None,
        first: bool,
    ) -> Flow:
        """Make one layer: its arguments evaluated and checked, its shape worked out, its node wired."""
        if first and cls.inputs == 0:
            # It begins a new value; the one of the line above stays where it was.
            value = None
        inputs: list[Wire] = [value] if type(value) is Wire else list(_wires_in(value))
        layer = plan.made.get(None)
        if layer is None:
            layer = self._uses.layer(plan, frame, inputs)
            if layer is not None and plan.constant:
                plan.made[None] = layer
        if layer is None or value is UNKNOWN or not self._uses.fits(plan, inputs, use):
            return UNKNOWN
        shapes = self._uses.shapes(layer, tuple([maker.shapes[port] for maker, port in inputs]))
        if shapes is None:
            shapes = self._uses.work_out(plan, layer, inputs, UsePlace(name_span, use, self._origins))
            if shapes is None:
                return UNKNOWN
        calls = self._calls
        node = Node(
            "",
            "",
            layer,
            tuple(inputs),
            shapes,
            self._scopes.innermost,
            calls[0] if calls else use,
            use if calls else None,
        )
        self._scopes.add(node, None if label is None else label.name)
        self.nodes.append(node)
        if len(self.nodes) > limits.LAYERS:
            raise self.reporter.stop(TooManyLayers(limits.LAYERS), use)
        if len(shapes) == 1:
            return Wire(node, 0)
        return tuple(Wire(node, port) for port in range(len(shapes)))

    def _origins(self, inputs: list[Wire], at: Span) -> tuple[Label, ...]:
        """Where a layer's inputs came from, with their shapes, but for those that stand at `at` itself."""
        labels: list[Label] = []
        for wire in inputs:
            place = self._places.get(wire.node) or wire.node.defined or wire.node.use
            label = Label(place, f"this is {wire.shape}")
            elsewhere = place.source is not at.source or not place.start <= at.start < place.end
            if elsewhere and label not in labels:
                labels.append(label)
        return tuple(labels)


def _wires_in(value: Flow) -> tuple[Wire, ...]:
    if isinstance(value, Wire):
        return (value,)
    if isinstance(value, tuple):
        return tuple(value)
    return ()


def _unknown_frame(module: Any) -> Frame:
    frame = Frame(None, module)
    frame.tainted = True
    return frame
