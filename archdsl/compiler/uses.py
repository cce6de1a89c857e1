"""Uses of layers: which arguments a use gives, the layer of them, the shapes it makes, and its node."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from archdsl.compiler import limits
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame
from archdsl.compiler.mending import channels_written, mended
from archdsl.compiler.network import Node, Wire
from archdsl.compiler.reporting import Failed, Reporter, Stop
from archdsl.compiler.signatures import Bound, Signature, bind, held
from archdsl.compiler.unrolled import Unrolled
from archdsl.compiler.values import UNKNOWN, Flow, wires_in
from archdsl.diagnostics import Label
from archdsl.layers.arguments import Parameter
from archdsl.layers.layer import LAYERS, MANY, Layer
from archdsl.layers.shapes import Shape
from archdsl.problems import Fault, Problem
from archdsl.problems.bounds import SizeTooLarge, SymbolicTooLarge, TooManyLayers
from archdsl.problems.layers import WindowOutsideInput
from archdsl.problems.names import NotAValue
from archdsl.problems.structure import InputCount, JoinOfOne, JoinWithItself
from archdsl.problems.values import NotAPool, UndecidedCondition
from archdsl.sizes import Size, Symbolic, TooLarge, Undecided, symbol
from archdsl.source import Span
from archdsl.syntax import tree


@dataclass(slots=True, eq=False)
class Plan:
    """What a use of a layer says, worked out once: each parameter with its argument, and the cache
    of the layers made of it, by the values that the arguments had."""

    layer: type[Layer]
    further: list[tree.Argument]
    given: list[tuple[Parameter, tree.Argument]]
    bound: Bound
    constant: bool
    extra: int
    """How many inputs the arguments add to those of the chain."""
    name_span: Span
    own: bool
    """Whether the layer is the user's own, whose rules may be mistaken."""
    made: dict[Any, Layer | None] = field(default_factory=dict)


class LayerUses:
    """Makes the layers of a network. Equal arguments of one use make one layer, so that what its rules
    say of one shape is asked once, however often a loop or block repeats it."""

    def __init__(self, evaluator: Evaluator, reporter: Reporter, unrolled: Unrolled) -> None:
        self._evaluator = evaluator
        self._reporter = reporter
        self._unrolled = unrolled
        self._calls = reporter.calls
        self._scopes = unrolled.scopes
        self._nodes = unrolled.nodes
        self._plans: dict[Any, Plan] = {}
        self._shapes: dict[tuple[Layer, tuple[Shape, ...]], tuple[Shape, ...]] = {}

    def plan(self, key: Any, layer: type[Layer], arguments: list[tree.Argument], name_span: Span) -> Plan:
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._planned(layer, arguments, name_span)
        return plan

    def _planned(self, layer: type[Layer], arguments: list[tree.Argument], name_span: Span) -> Plan:
        bound = bind(Signature.of_layer(layer), arguments, name_span, self._reporter)
        further = [a for a in arguments if a.name is None] if layer.inputs == MANY else []
        # In the order of the layer and not of the file: further values become inputs by their place.
        given = [(p, bound.arguments[name]) for name, p in layer.arguments.items() if name in bound.arguments]
        constant = not further and all(
            parameter.kind.role == "number" and _is_constant(argument.value, parameter.kind.words)
            for parameter, argument in given
        )
        extra = sum(parameter.kind.role in ("value", "pool") for parameter, _ in given)
        own = layer.kind not in LAYERS
        return Plan(layer, further, given, bound, constant, extra, name_span, own)

    def use(
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
        inputs: list[Wire] = [value] if type(value) is Wire else list(wires_in(value))
        layer = plan.made.get(None)
        if layer is None:
            layer = self._layer(plan, frame, inputs)
            if layer is not None and plan.constant:
                plan.made[None] = layer
        if layer is None or value is UNKNOWN or not self._fits(plan, inputs, use):
            return UNKNOWN
        shapes = self._shapes.get((layer, tuple([maker.shapes[port] for maker, port in inputs])))
        if shapes is None:
            shapes = self._work_out(plan, layer, inputs, name_span, use)
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
        self._nodes.append(node)
        if cls.inputs == MANY:
            self._look_at_join(plan, node, use, type(value) is Wire)
        if len(self._nodes) > limits.LAYERS:
            raise self._reporter.stop(TooManyLayers(limits.LAYERS), use)
        if len(shapes) == 1:
            return Wire(node, 0)
        return tuple(Wire(node, port) for port in range(len(shapes)))

    def _layer(self, plan: Plan, frame: Frame, inputs: list[Wire]) -> Layer | None:
        """The layer of these arguments; labels among them are appended to `inputs`."""
        failed = False
        for argument in plan.further:
            try:
                inputs += self._evaluator.wires(argument.value, frame)
            except Failed:
                failed = True
        values: dict[str, Any] = {}
        evaluate = self._evaluator.evaluate
        for parameter, argument in plan.given:
            kind = parameter.kind
            try:
                if kind.role == "number":
                    values[parameter.name] = evaluate(argument.value, frame, kind.words)
                else:
                    values[parameter.name] = self._value_argument(parameter, argument, frame, inputs)
            except Failed:
                failed = True
        if failed:
            self._checked(plan, values)
            return None
        key = tuple([(type(value), value) for value in values.values()])
        try:
            if key in plan.made:
                return plan.made[key]
        except TypeError:
            # Something that is no plain value, such as a layer: the check below says so.
            return self._checked(plan, values)
        layer = plan.made[key] = self._checked(plan, values)
        return layer

    def _value_argument(
        self, parameter: Parameter, argument: tree.Argument, frame: Frame, inputs: list[Wire]
    ) -> Any:
        like = parameter.kind.role == "like"
        # What takes the extents of a value takes them as numbers, too.
        wires = self._evaluator.wires(argument.value, frame, "size" if like else None)
        if len(wires) != 1:
            raise self._reporter.fail(NotAValue(f"a list of {len(wires)} values"), argument.value.span)
        wire = wires[0]
        if like:
            return wire.shape
        if parameter.kind.role == "value":
            inputs.append(wire)
            return None
        pool = wire.node
        if pool.layer.kind != "max_pool":
            problem = NotAPool(argument.value.span.text, pool.layer.kind)
            raise self._reporter.fail(problem, argument.value.span)
        if len(pool.shapes) == 1:
            # The pooling's second result: where in its input each maximum stood.
            pool.shapes = (pool.shapes[0], pool.shapes[0])
        inputs.append(Wire(pool, 1))
        return pool

    def _checked(self, plan: Plan, given: dict[str, Any]) -> Layer | None:
        """The layer of these arguments' values, each held to its kind; None after reporting."""
        signature = Signature.of_layer(plan.layer)
        try:
            values = held(plan.layer.arguments, given, plan.bound, signature, self._reporter)
            return None if values is None else plan.layer(values)
        except (Failed, Stop):
            raise
        except Exception as error:
            if not plan.own:
                raise
            # The kind of an argument, or `__init__`, is the user's own, too.
            from archdsl.compiler.own import mistake

            found = mistake(plan.layer.kind, "arguments", error)
            self._reporter.report(found.problem, plan.name_span, found.labels)
            return None

    def _fits(self, plan: Plan, inputs: list[Wire], at: Span) -> bool:
        """Whether the layer takes so many inputs."""
        takes = plan.layer.inputs
        given = len(inputs) - plan.extra
        if given == takes or (takes == MANY and given):
            return True
        # Several results of one layer were most likely not meant together.
        makers = {wire.node for wire in inputs}
        together = takes == 1 and len(makers) == 1 and len(set(inputs)) == given > 1
        several = next(iter(makers)).kind if together else None
        problem = InputCount(plan.layer.kind, 2 if takes == MANY else takes, given, several=several)
        self._reporter.report(problem, at)
        return False

    def _work_out(
        self, plan: Plan, layer: Layer, inputs: list[Wire], name_span: Span, use: Span
    ) -> tuple[Shape, ...] | None:
        """The shapes of a layer's results, or None after reporting why there are none."""
        xs = tuple(wire.shape for wire in inputs)
        if plan.own and not self._sound(layer, xs, inputs, name_span):
            return None
        try:
            shape = layer.shape(*xs)
            # A tuple of its own for these inputs, by which the analyses know them again.
            shapes = (shape,) if isinstance(shape, Shape) else (*shape,)
            if any(isinstance(extent, Symbolic) for x in (*xs, *shapes) for extent in x):
                for doubt in _doubts(layer, xs):
                    self._reporter.report(doubt, use, self._origins(inputs, name_span))
        except Fault as fault:
            argument = plan.bound.arguments.get(fault.argument or "")
            at = name_span if argument is None else argument.span
            shown = [inputs[index] for index in fault.inputs] or inputs
            self._reporter.report(self._mended(fault, plan, layer, inputs, use), at, self._origins(shown, at))
            return None
        except TooLarge:
            self._reporter.report(SymbolicTooLarge(), use)
            return None
        except Undecided as error:
            # What a rule divides by, such as a stride, may be below 1.
            self._reporter.report(UndecidedCondition(error.question, error.symbols), use)
            return None
        if not within_bounds(shapes, use, self._reporter, self._origins(inputs, use)):
            return None
        self._shapes[(layer, xs)] = shapes
        if len(plan.given) > 1 and (written := channels_written(layer, plan.given, inputs, use)) is not None:
            self._reporter.report(written, use)
        return shapes

    @staticmethod
    def _mended(fault: Fault, plan: Plan, layer: Layer, inputs: list[Wire], use: Span) -> Problem:
        problem = fault.problem
        if isinstance(problem, WindowOutsideInput):
            written = channels_written(layer, plan.given, inputs, use, fits=False)
            if written is not None:
                return replace(problem, meant=written.meant)
        return mended(problem, layer, inputs)

    def _look_at_join(self, plan: Plan, node: Node, use: Span, one: bool) -> None:
        """Note of a join whether it joins nothing, or `one` value that the line above made with itself.

        Where a line names all of them, or the join is an argument of a block, that is meant.
        """
        joins = self._unrolled.joins
        if use is self._unrolled.named or plan.own or (use in joins and joins[use] is None):
            return
        if not plan.name_span.within(use):
            return
        found: Problem | None = None
        if one and not plan.further:
            found = JoinOfOne(node.kind)
        elif one and node.kind != "multiply" and node.inputs[0] in node.inputs[1:]:
            at = node.inputs.index(node.inputs[0], 1) - 1
            alone = len(plan.further) == len(node.inputs) - 1
            found = JoinWithItself(node.kind, plan.further[at].span.text) if alone else None
        joins[use] = None if found is None else (found, node)

    def _sound(self, layer: Layer, xs: tuple[Shape, ...], inputs: list[Wire], at: Span) -> bool:
        """Whether the rules of a user's own layer give what they should, after reporting one that doesn't."""
        from archdsl.compiler.own import Broken, ask

        try:
            ask(layer, xs)
        except Broken as broken:
            self._reporter.report(broken.problem, at, (*broken.labels, *self._origins(inputs, at)))
            return False
        return True

    def _origins(self, inputs: list[Wire], at: Span) -> tuple[Label, ...]:
        """Where a layer's inputs came from, with their shapes, but for those that stand at `at` itself."""
        labels: list[Label] = []
        for wire in inputs:
            place = self._unrolled.places.get(wire.node) or wire.node.defined or wire.node.use
            label = Label(place, f"this is {wire.shape}")
            elsewhere = place.source is not at.source or not place.start <= at.start < place.end
            if elsewhere and label not in labels:
                labels.append(label)
        return tuple(labels)


def within_bounds(
    shapes: tuple[Shape, ...], at: Span, reporter: Reporter, labels: tuple[Label, ...] = ()
) -> bool:
    """Whether the values are of a size that there can be; `labels` say what they were made of."""
    for shape in shapes:
        try:
            elements = shape.count
        except TooLarge:
            reporter.report(SymbolicTooLarge(), at)
            return False
        if isinstance(elements, int) and elements > limits.ELEMENTS:
            extent = max(one for one in shape if isinstance(one, int))
            axis = shape.axis_names[shape.index(extent)]
            reporter.report(SizeTooLarge(str(shape), limits.ELEMENTS, axis, extent), at, labels)
            return False
    return True


def _doubts(layer: Layer, xs: tuple[Shape, ...]) -> tuple[Problem, ...]:
    """What is in doubt of a layer on open sizes, but for what no extent could break.

    A value that there is has extents of at least 1, for the layer that made it has seen to that. So
    H//2 >= 1 need not be said again of every layer after a pooling.
    """
    found = layer.doubts(*xs)
    if not found:
        return ()
    names: dict[Size, Size] = {}
    for x in xs:
        for extent in x:
            if isinstance(extent, Symbolic):
                names.setdefault(extent, symbol(f"extent{len(names)}"))
    try:
        return found if layer.doubts(*(Shape(names.get(n, n) for n in x) for x in xs)) else ()
    except Fault:
        return found


def _is_constant(node: tree.Expression, words: frozenset[str]) -> bool:
    if isinstance(node, tree.Number | tree.String | tree.Constant):
        return True
    if isinstance(node, tree.Name):
        return node.id in words
    return isinstance(node, tree.List) and all(_is_constant(item, words) for item in node.items)
