"""From statements to layers: blocks opened, loops unrolled, choices made, shapes known as they are.

A value flows from item to item. Where something is wrong it is reported and the flow becomes
`UNKNOWN`, which passes through everything that follows and silences its consequences, while the
arguments of the later layers are still checked.
"""

from __future__ import annotations

from typing import Any

from archdsl.compiler import limits
from archdsl.compiler.blocks import BlockUses, Results
from archdsl.compiler.definitions import Definitions
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame
from archdsl.compiler.inputs import NetworkInputs
from archdsl.compiler.names import unknown_layer
from archdsl.compiler.network import Node, Scope, Wire
from archdsl.compiler.reporting import Failed, Reporter
from archdsl.compiler.scopes import Scopes
from archdsl.compiler.sharing import SharedUses
from archdsl.compiler.signatures import takes_no_more
from archdsl.compiler.unrolled import Unrolled
from archdsl.compiler.uses import LayerUses
from archdsl.compiler.values import (
    UNKNOWN,
    Flow,
    Labelled,
    Maker,
    Rounds,
    Shared,
    Unknown,
    is_list,
    items_of,
    show,
    wires_in,
)
from archdsl.layers.shapes import Shape
from archdsl.problems import Problem
from archdsl.problems.bounds import TooManyLayers, TooMuchWork
from archdsl.problems.names import ValueInChain
from archdsl.problems.structure import (
    LoopNeedsLabel,
    MisplacedStatement,
    NoBranches,
    NoValue,
    ResultCount,
)
from archdsl.problems.values import (
    NotACount,
    NotAList,
    UnpackMismatch,
)
from archdsl.source import Span
from archdsl.syntax import tree


class Unroller:
    """Unrolls one network, `block`, whose parameters are bound in `frame`."""

    def __init__(self, evaluator: Evaluator, reporter: Reporter, block: tree.Block, frame: Frame) -> None:
        self.evaluator = evaluator
        self.reporter = reporter
        self.block = block
        self.frame = frame
        arguments = {p.name: frame.names.get(p.name) for p in block.parameters}
        self.scope = Scope("", "", None, block.name, arguments)
        self.unrolled = Unrolled(Scopes(self.scope))
        self._scopes = self.unrolled.scopes
        self._places = self.unrolled.places
        self._definitions = Definitions(evaluator, reporter)
        self._layers = LayerUses(evaluator, reporter, self.unrolled)
        self._blocks = BlockUses(evaluator, reporter, self._definitions, self.unrolled, self._whole_body)
        self._shared = SharedUses(reporter, self.unrolled, self._labelled)

    def network(self, inputs: dict[str, Shape]) -> tuple[list[Node], Results]:
        """The network's inputs, whose shapes `inputs` may replace, and what its body gives."""
        block, frame = self.block, self.frame
        given = NetworkInputs(self.evaluator, self.reporter, self._definitions, self.unrolled)
        entries: list[Node] = []
        body: list[tree.Statement] = []
        for statement in block.body:
            if isinstance(statement, tree.Input):
                entries += given.enter(statement, frame, inputs)
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
        return entries, results

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
            if self.unrolled.lines is None:
                return self._line(statement, frame, value)  # type: ignore[arg-type]
            nodes = self.unrolled.nodes
            begun = len(nodes)
            value = self._line(statement, frame, value)  # type: ignore[arg-type]
            self.unrolled.lines.append((statement, value, nodes, begun, len(nodes)))  # type: ignore[arg-type]
            return value
        if isinstance(statement, tree.Let):
            self._definitions.let(statement, frame)
        elif isinstance(statement, tree.Expect):
            self.unrolled.expectations.append((statement, frame))
        elif isinstance(statement, tree.Shared):
            shared = Shared(
                statement.label.name, statement.label.span, statement.items, frame, self._scopes.innermost
            )
            self._scopes.take(statement.label.name)
            self.unrolled.shared.append(shared)
            self._definitions.define(statement.label, shared, frame)
        elif isinstance(statement, tree.Broken):
            for label in statement.names:
                frame.names.setdefault(label.name, UNKNOWN)
            frame.tainted = True
            return UNKNOWN
        elif isinstance(statement, tree.Input):
            reason = "it belongs at the head of a block or network"
            self.reporter.report(MisplacedStatement("input", reason), statement.span)
        return value

    # ------------------------------------------------------------------------ lines

    def _line(self, line: tree.Line, frame: Frame, value: Flow) -> Flow:
        if line.origin is not None:
            value = self._origin(line.origin, frame)
            self.unrolled.named = line.items[0].span if line.items else None
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
        self._definitions.define(label, bound, frame)
        # What is passed on as it came, through a shortcut, was made elsewhere.
        if isinstance(bound.value, Wire) and bound.value != value:
            self._places[bound.value.node] = label.span
        return bound.value

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
            layer = frame.module.layers.get(item.name)
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
            self._definitions.define(label, UNKNOWN if part is UNKNOWN else Labelled(part), frame)
            if isinstance(part, Wire):
                self.unrolled.parts.append((label, part, self._scopes.innermost))

    def _labelled(self, label: tree.Label, line: tree.Line, frame: Frame, value: Flow) -> Labelled | Rounds:
        """A line with one label: the label names the layer, the block's use, the rounds or a scope."""
        items = line.items
        if not items:
            if line.origin is not None and len(line.origin) == 1 and not isinstance(value, Unknown):
                named = self.evaluator.evaluate(line.origin[0], frame)
                if isinstance(named, Labelled):
                    return Labelled(value, named.inner, named.made)
            return Labelled(value)
        if len(items) == 1:
            item = items[0]
            if isinstance(item, tree.Use):
                return self._use(item, frame, value, label, line.origin is None)
            if isinstance(item, tree.Repeat | tree.For):
                return self._loop(item, frame, value, label, line.span)
        inner = Frame(frame, frame.module)
        with self._scopes.inside(label.name, True, wires_in(value)) as scope:
            value = self._items(items, inner, value, first=line.origin is None)
            scope.outputs = wires_in(value)
        return Labelled(value, inner, scope)

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
        # A chain of `else if` is nested in the tree, and needs no room for that on Python's stack.
        nodes, lines = self.unrolled.nodes, self.unrolled.lines
        passed: list[tuple[tree.Line, int]] = []
        try:
            while not (holds := self.evaluator.condition(item.test, frame)) and item.further is not None:
                line, item = item.further
                self.reporter.spend(1, line.span)
                passed.append((line, len(nodes)))
        except Failed:
            frame.tainted = True
            value = UNKNOWN
        else:
            value = self._body(item.then if holds else item.otherwise, frame, value)
        if lines is not None:
            lines += [(line, value, nodes, begun, len(nodes)) for line, begun in reversed(passed)]
        return value

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
            wires = [w for r in results for w in wires_in(r)]
            joined = wires[0] if len(wires) == 1 else tuple(wires)
        self.unrolled.named = item.join.span
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
            self._definitions.define(label, rounds, frame)
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
        # A round that only uses a block, as the round before it did, is repeated as that one was.
        repeat = item if isinstance(item, tree.Repeat) else None
        alone = repeat is not None and not (label or branches)
        use = _only_use(item.body) if alone else None
        bounded = False
        came: Flow = value
        begun = (0, 0)
        for number, element in enumerate(values, 1):
            if alone and number > 1 and value is UNKNOWN:
                # Whatever is wrong has been said.
                break
            if number > 1 and not bounded and repeat is not None:
                ended = start if branches else value
                bounded = self._bound(repeat.count, len(values), number - 1, begun, came, ended)
            begun = len(self.unrolled.nodes), self.reporter.steps_left
            self.reporter.spend(1, span)
            last = self._blocks.repetition
            came = start if branches else value
            if number > 1 and last is not None and use is not None and last.use is use.span:
                repeated = self._blocks.once_more(last, value)
                if repeated is not None:
                    value = repeated
                    continue
            inner = Frame(frame, frame.module, loose=label is None)
            if target is not None:
                self._unpack(target, element, inner)
            scope = None
            if label is None:
                value = self._body(item.body, inner, came)
            else:
                key = f"{label.name}_{number}"
                self._scopes.take(key)
                with self._scopes.inside(key, True, wires_in(came)) as scope:
                    scope.loop, scope.round = label.name, number
                    value = self._body(item.body, inner, came)
                    scope.outputs = wires_in(value)
                self._definitions.define(tree.Label(label.span, key), Labelled(value, inner, scope), frame)
            rounds.append(Labelled(value, inner, scope))
        return Rounds(value, rounds)

    def _bound(
        self,
        count: tree.Expression,
        rounds: int,
        done: int,
        begun: tuple[int, int],
        came: Flow,
        ended: Flow,
    ) -> bool:
        """Give up a `repeat` of which it is certain that it passes a limit, rather than go on until it does.

        From a value of the same shape every round does as the last did, which had `begun` with so many layers
        made and steps left; the next begins where it `ended`. Gives whether all are known to be within the
        limits.
        """
        made, spent = len(self.unrolled.nodes) - begun[0], begun[1] - self.reporter.steps_left
        alike = [w.shape for w in wires_in(came)] == [w.shape for w in wires_in(ended)]
        if not alike or isinstance(ended, Unknown):
            # A round is a step at least.
            made, spent = 0, 1
        left = rounds - done
        if made * left > limits.LAYERS - len(self.unrolled.nodes):
            raise self.reporter.stop(TooManyLayers(limits.LAYERS, rounds, made), count.span)
        if spent * left > self.reporter.steps_left:
            self.reporter.spend(spent * left, count.span, TooMuchWork(limits.STEPS, rounds, spent))
        return alike

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
            self._definitions.define(tree.Label(target.span, target.name), element, frame)
            return
        items = target.items or []
        if isinstance(element, Labelled | Rounds):
            element = element.value
        if element is UNKNOWN:
            parts: tuple[Any, ...] = (UNKNOWN,) * len(items)
        elif isinstance(element, tuple) and not isinstance(element, Wire) and len(element) == len(items):
            parts = element
        else:
            count = len(items_of(element)) if is_list(element) else None
            self.reporter.report(UnpackMismatch(len(items), show(element), count), target.span)
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
                    return self._shared.use(bound, use, value)
                if bound is UNKNOWN and name not in frame.module.layers and name not in frame.module.blocks:
                    return Labelled(UNKNOWN)
            around = around.parent
        found = frame.module.blocks.get(name)
        if found is not None:
            block, module = found
            return self._blocks.use(
                block, module, use.arguments, use.name_span, use.span, frame, value, label
            )
        layer = frame.module.layers.get(name)
        if layer is not None:
            plan = self._layers.plan(use, layer, use.arguments, use.name_span)
            return Labelled.layer(
                self._layers.use(plan, layer, use.name_span, use.span, frame, value, label, first)
            )
        return self._not_a_layer(use, frame, value, first)

    def _not_a_layer(self, use: tree.Use, frame: Frame, value: Flow, first: bool) -> Labelled:
        bound = self._named(use.name, frame)
        if isinstance(bound, Shared):
            return self._shared.use(bound, use, value)
        if bound is not None:
            if isinstance(bound, str):
                what = "string" if isinstance(bound, tree.Quoted) else "word"
                self.reporter.report(
                    ValueInChain(use.name, first, f"the {what} {show(bound)}"), use.name_span
                )
            elif bound is not UNKNOWN:
                what = "a value" if isinstance(bound, Labelled | Rounds | Wire) else show(bound)
                self.reporter.report(ValueInChain(use.name, first, what), use.name_span)
        elif not any(f.tainted for f in frame.around()):
            usable = [n for f in frame.around() for n, v in f.names.items() if isinstance(v, Maker | Shared)]
            problem = unknown_layer(use.name, [*usable, *frame.module.blocks, *frame.module.own])
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
        if not takes_no_more(use, self.reporter):
            return Labelled(UNKNOWN)
        frame = maker.frame
        if maker.block is not None:
            return self._blocks.use(
                maker.block, maker.module, maker.arguments, maker.span, use.span, frame, value, label
            )
        assert maker.layer is not None
        # The same words make the same layer, however often they are handed on.
        key = id(maker.arguments) if maker.arguments else maker.layer
        plan = self._layers.plan(key, maker.layer, maker.arguments, maker.span)
        made = self._layers.use(plan, maker.layer, maker.span, use.span, frame, value, label, first)
        return Labelled.layer(made)


def _only_use(body: list[tree.Statement]) -> tree.Use | None:
    """The use that is all of a body: it gets the value that comes in, and has no label."""
    line = body[0] if len(body) == 1 else None
    if not isinstance(line, tree.Line) or line.origin is not None or line.labels or len(line.items) != 1:
        return None
    item = line.items[0]
    return item if isinstance(item, tree.Use) else None
