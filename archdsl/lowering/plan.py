"""From the scopes of a network to classes: which uses share one, and what its parameters are.

Scopes are read from the innermost outwards. What a scope does becomes steps and loops
(`archdsl.lowering.steps`); two uses of a block whose steps are alike but for constants share a class, and
the constants that differ become its parameters.

Layers that reach no output are made, so that their weights are there, but not executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Union

from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.layers.recorder import Code
from archdsl.lowering.expressions import (
    CALLEE,
    UNNAMED,
    VALUE,
    Callee,
    ClassName,
    Constant,
    Expression,
    Part,
    Parts,
    Value,
    constant,
    parsed,
)
from archdsl.lowering.identifiers import (
    MODULE_ATTRIBUTES,
    camel,
    free,
    identifier,
    is_plain,
    numbered,
    snake,
)
from archdsl.lowering.steps import Item, Module, Run, Same, Step, items
from archdsl.problems.lowering import SizeNeeded
from archdsl.sizes import Undecided, symbols_of

LONGEST_CHAIN = 16
"""The most layers of a labelled chain that is written as one `nn.Sequential`."""

POSITIONAL = 3
"""The most arguments that a call of a class gives by position."""


class Input(NamedTuple):
    """A value that a scope is given."""

    index: int  # type: ignore[assignment]


class Result(NamedTuple):
    """Result `port` of a step: of the item itself, or of member `step` of a loop's last round."""

    item: int
    step: int
    port: int


class Collected(NamedTuple):
    """Result `port` of member `step` in the round `round` of a loop, counted from 0."""

    item: int
    step: int
    port: int
    round: int


Place = Union[Input, Result, Collected]
"""Where a scope's lines find a value."""


class Parameter(NamedTuple):
    """An argument that is `factor` times a parameter of the class, plus `offset`."""

    name: str
    factor: int = 1
    offset: int = 0

    def source(self, prefix: str = "") -> str:
        """`4 * channels`, `depth - 1`."""
        text = f"{prefix}{self.name}" if self.factor == 1 else f"{self.factor} * {prefix}{self.name}"
        if self.offset:
            text += f" {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
        return text


Argument = Union[str, tuple[str, ...], Parameter]
"""What a constant is in a class: the same for all its uses (one, or one a round), or a parameter."""

Column = tuple[str | tuple[str, ...], ...]
"""The values of a constant in all uses of a class."""


@dataclass(slots=True, eq=False)
class Use:
    """A scope that was read: its items, and how the scope around it makes and calls it."""

    scope: Scope
    home: str
    inputs: list[Wire]
    outputs: list[Wire]
    modules: list[str]
    items: list[Item]
    extras: list[Step]
    places: dict[Wire, Place]
    form: object = None
    constants: list[str | tuple[str, ...]] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    path: str | None = ""
    """Where its module is; None for a later use of a shared block that does not fit the first."""
    make: Parts = ()
    arguments: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Class:
    """A class to be written: `use` stands for all its uses."""

    index: int
    block: str | None
    use: Use
    arguments: list[Argument]
    parameters: dict[str, str]
    """Names in order, with the type of each."""
    shapes: list[str | None]
    uses: int
    name: str = ""

    def by_step(self) -> tuple[dict[Step, list[Argument]], dict[Run, Argument]]:
        """The constants of each line, and the numbers of rounds."""
        rest = iter(self.arguments)
        steps: dict[Step, list[Argument]] = {}
        counts: dict[Run, Argument] = {}
        for item in (*self.use.extras, *self.use.items):
            if isinstance(item, Run):
                counts[item] = next(rest)
            for step in item.body if isinstance(item, Run) else [item]:
                steps[step] = [next(rest) for _ in step.constants]
        return steps, counts


@dataclass(slots=True)
class Plan:
    """Everything that is written: the classes, inner ones first, the network's own at the end."""

    classes: list[Class]
    sources: list[str]
    inputs: list[Node]


def plan(network: Network) -> Plan:
    """The classes of a network. Raises `ArchError` where a weight's size is a symbol without a value."""
    return _Planner(network).plan()


# ------------------------------------------------------------------------------ layers


@dataclass(slots=True)
class _Lines:
    """A layer's lines of source: what makes its module, and what calls it."""

    make: Expression | None
    call: Expression


class _Planner:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.given = set(network.inputs)
        self.host: dict[Node | Scope, Scope] = {}
        self.scopes: list[Scope] = [network.scope]
        self._walk()
        self.depth = {network.scope: 0}
        for scope in self.scopes[1:]:
            self.depth[scope] = self.depth[self.host[scope]] + 1
        self.indexed = {
            wire.node
            for node in network.nodes
            for wire in node.inputs
            if wire.port and wire.node.kind == "max_pool"
        }
        self.parsed: dict[str, Expression] = {}
        self.lines: dict[Node, _Lines] = {}
        self.same: dict[Wire, Wire] = {}
        self.sources: dict[str, None] = {}
        for node in network.nodes:
            if node not in self.given:
                self._read_layer(node)
        self.inputs: dict[Scope, dict[Wire, None]] = {scope: {} for scope in self.scopes}
        self.outputs: dict[Scope, dict[Wire, None]] = {scope: {} for scope in self.scopes}
        self.executed: set[Node] = set()
        self.wanted: set[Wire] = set()
        self.dead: set[Scope] = set()
        self._trace()
        self.extras: dict[Scope, list[Node | Scope]] = {}
        self.by_name = {scope.name: scope for scope in reversed(self.scopes)}
        self.uses: dict[Scope, Use | None] = {}
        self.classes: list[Class] = []

    def _walk(self) -> None:
        """Where each member stands. Scopes in order, those outside before those inside."""
        pending = [self.network.scope]
        order: list[Scope] = []
        while pending:
            scope = pending.pop()
            order.append(scope)
            for member in scope.members:
                self.host[member] = scope
            pending += [member for member in reversed(scope.members) if isinstance(member, Scope)]
        self.scopes = order

    # -------------------------------------------------------------------------- layers

    def _read_layer(self, node: Node) -> None:
        """Take a layer's lines of source apart."""
        layer: Any = node.layer
        shapes = tuple(wire.shape for wire in node.inputs)
        count = len(node.inputs) or 1
        values = tuple(Code(f"{VALUE}{index}") for index in range(count))
        indexed = node in self.indexed
        build = layer.build_with_indices if indexed else layer.build
        forward = layer.forward_with_indices if indexed else layer.forward
        try:
            made = build(Code("nn"), *shapes)
            module = None if made is None else Code(CALLEE)
            called = forward(Code("torch"), module, values, shapes)
        except (TypeError, Undecided) as error:
            symbols = sorted(
                {name for shape in (*shapes, *node.shapes) for s in shape for name in symbols_of(s)}
            )
            if not symbols:
                raise
            problem = SizeNeeded(node.name, tuple(symbols))
            raise ArchError([Diagnostic.of(problem, node.use)]) from error
        make = None if made is None else self._parse(str(made))
        call = self._parse(str(called))
        self.lines[node] = _Lines(make, call)
        if layer.source and _calls(layer.source, make, call):
            self.sources.setdefault(layer.source)
        if call.parts == (Value(0),) and make is None:
            wire = self._inputs(node)[0]
            self.same[Wire(node)] = wire

    def _parse(self, text: str) -> Expression:
        if text not in self.parsed:
            self.parsed[text] = parsed(text)
        return self.parsed[text]

    def _inputs(self, node: Node) -> tuple[Wire, ...]:
        """What the values of a layer's call are; a layer without inputs is told the batch by the first."""
        wires = node.inputs or (Wire(self.network.inputs[0]),)
        return tuple(self.same.get(wire, wire) for wire in wires)

    def _needed(self, node: Node) -> list[Wire]:
        """The values that a layer's call really uses."""
        wires = self._inputs(node)
        return [wires[index] for index in self.lines[node].call.values()]

    # -------------------------------------------------------------------------- wires

    def _trace(self) -> None:
        """Find what is executed, and what goes into and out of every scope."""
        results = [self.same.get(wire, wire) for wire in self.network.outputs]
        self._need(results)
        for node in self.network.nodes:
            if node in self.executed:
                for wire in self._needed(node):
                    self._connect(wire, self.host[node])
        for wire in results:
            self._connect(wire, self.network.scope)
        self._trace_dead()

    def _need(self, wires: Iterable[Wire], within: Scope | None = None) -> set[Node]:
        pending = [wire.node for wire in wires]
        found: set[Node] = set()
        while pending:
            node = pending.pop()
            if node in self.given or node in self.executed:
                continue
            if within is not None and not self._is_inside(self.host[node], within):
                continue
            self.executed.add(node)
            found.add(node)
            pending += [wire.node for wire in self._needed(node)]
        return found

    def _trace_dead(self) -> None:
        """A scope that reaches no output is made like any other, with the class it would have."""
        alive = {self.network.scope}
        for node in self.executed:
            scope = self.host[node]
            while scope not in alive:
                alive.add(scope)
                scope = self.host[scope]
        for scope in self.scopes[1:]:
            if scope in alive or self.host[scope] not in alive:
                continue
            self.dead.add(scope)
            results = [self.same.get(wire, wire) for wire in scope.outputs]
            results = [
                wire
                for wire in results
                if wire.node not in self.given and self._is_inside(self.host[wire.node], scope)
            ]
            for node in self._need(results, within=scope):
                for wire in self._needed(node):
                    self._connect(wire, self.host[node], within=scope)
            for wire in results:
                self.wanted.add(wire)
                inner = self.host[wire.node]
                while inner is not self.host[scope]:
                    self.outputs[inner].setdefault(wire)
                    inner = self.host[inner]

    def _is_inside(self, scope: Scope, outer: Scope) -> bool:
        while self.depth[scope] > self.depth[outer]:
            scope = self.host[scope]
        return scope is outer

    def _connect(self, wire: Wire, reader: Scope, within: Scope | None = None) -> None:
        """A wire that is read in a scope goes into every scope around it, up to where it is made."""
        self.wanted.add(wire)
        maker = self.network.scope if wire.node in self.given else self.host[wire.node]
        while maker is not reader:
            if self.depth[maker] > self.depth[reader]:
                if within is None or self._is_inside(maker, within):
                    self.outputs[maker].setdefault(wire)
                maker = self.host[maker]
            else:
                if within is None or self._is_inside(reader, within):
                    self.inputs[reader].setdefault(wire)
                reader = self.host[reader]

    # -------------------------------------------------------------------------- scopes

    def plan(self) -> Plan:
        for member in self.host:
            owner = member.scope if isinstance(member, Node) else member.parent
            first = member.first is None if isinstance(member, Node) else self._first(member) is None
            if first and owner is not None and owner is not self.host[member]:
                self.extras.setdefault(owner, []).append(member)
        for level in self._levels():
            groups: dict[object, list[Use]] = {}
            for scope in level:
                use = self._use(scope)
                self.uses[scope] = use
                if use is not None and not use.make:
                    groups.setdefault(use.form, []).append(use)
            for group in groups.values():
                self._share(group)
        _name(self.classes, self.network.name, list(self.sources))
        return Plan(self.classes, list(self.sources), self.network.inputs)

    def _levels(self) -> list[list[Scope]]:
        """The scopes by height: those of a level need only those of the levels before."""
        height = dict.fromkeys(self.scopes, 0)
        changed = True
        while changed:
            changed = False
            for scope in reversed(self.scopes):
                inner = [m for m in (*scope.members, *self.extras.get(scope, ())) if isinstance(m, Scope)]
                first = self._first(scope)
                least = max([height[m] + 1 for m in inner] + ([height[first]] if first else []), default=0)
                if least > height[scope]:
                    height[scope] = least
                    changed = True
        levels: list[list[Scope]] = [[] for _ in range(max(height.values()) + 1)]
        for scope in self.scopes:
            levels[height[scope]].append(scope)
        return levels

    def _first(self, scope: Scope) -> Scope | None:
        """The first use of the shared block that `scope` is a later use of."""
        if "@" not in scope.name:
            return None
        pending: list[Scope] = [scope]
        while pending:
            for member in pending.pop().members:
                if isinstance(member, Scope):
                    pending.append(member)
                elif member.first is not None:
                    inside = member.name.removeprefix(scope.name)
                    if member.first.name.endswith(inside):
                        found = self.by_name.get(member.first.name[: -len(inside)])
                        return None if found is scope else found
        return None

    def _use(self, scope: Scope) -> Use | None:
        """Read a scope: as a further call of its first use's module, where it is one and fits."""
        first = self._first(scope)
        if first is not None:
            original = self.uses.get(first)
            again = self._read(scope, first.name)
            if original is not None and again is not None and again.form == original.form:
                if again.constants == original.constants:
                    # Where the class of both is still to be made, they get it together.
                    again.path = original.path
                    again.make = original.make
                    again.arguments = original.arguments
                    return again
        use = self._read(scope, scope.name)
        if use is None:
            return None
        use.path = None if first is not None else scope.name
        if _is_chain(use):
            use.make, use.arguments = _sequential(use)
        return use

    def _read(self, scope: Scope, home: str) -> Use | None:
        """The lines of a scope, whose own modules are those whose paths begin with `home`."""
        extras = [
            step
            for member in self.extras.get(self.by_name[home], ())
            if (step := self._registered(member)) is not None
        ]
        taken = {step.key for step in extras}
        modules: dict[str, None] = {}
        steps: list[Step] = []
        for member in scope.members:
            step = self._step(member, home, taken, modules)
            if step is not None:
                steps.append(step)
        inputs = self._ordered(self.inputs[scope], scope.inputs)
        outputs = self._ordered(self.outputs[scope], scope.outputs)
        if scope is self.network.scope:
            inputs = [Wire(node) for node in self.network.inputs]
            outputs = [self.same.get(wire, wire) for wire in self.network.outputs]
        elif not steps and not extras:
            return None
        found = items(steps, outputs)
        places = _places(found, inputs)
        use = Use(scope, home, inputs, outputs, list(modules), found, extras, places)
        use.form = _form(use)
        use.constants = list(_constants(use))
        use.shapes = list(_shapes(use))
        return use

    def _ordered(self, wires: dict[Wire, None], first: Iterable[Wire]) -> list[Wire]:
        """The wires, those that the file names as the scope's own before the others."""
        named = [self.same.get(wire, wire) for wire in first]
        return list(dict.fromkeys([wire for wire in named if wire in wires] + list(wires)))

    def _registered(self, member: Node | Scope) -> Step | None:
        """What a scope makes for scopes inside it, or elsewhere, to call."""
        if isinstance(member, Node):
            lines = self.lines.get(member)
            if lines is None or lines.make is None:
                return None
            make, constants = lines.make.parts, lines.make.constants
        else:
            use = self.uses[member]
            if use is None:
                return None
            make, constants = use.make, use.arguments
        return Step(
            member.key, make, None, constants, None, (), (), (), (), (), (), isinstance(member, Scope)
        )

    def _step(
        self, member: Node | Scope, home: str, taken: set[str | None], modules: dict[str, None]
    ) -> Step | None:
        if isinstance(member, Node):
            return None if member in self.given else self._layer_step(member, home, taken, modules)
        use = self.uses[member]
        return None if use is None else self._scope_step(member, use, home, taken, modules)

    def _layer_step(
        self, node: Node, home: str, taken: set[str | None], modules: dict[str, None]
    ) -> Step | None:
        lines = self.lines[node]
        executed = node in self.executed and Wire(node) not in self.same
        module, key = None, None
        if lines.make is not None:
            module, key = _module((node.first or node).name, home, taken)
            if not module.local and executed:
                modules.setdefault(module.path)
        if key is None and not executed:
            return None
        make = lines.make if key is not None else None
        constants = () if make is None else make.constants
        inputs = self._inputs(node)
        used = lines.call.values()
        parts = _renumbered(lines.call.shifted(len(constants)), used)
        wires = tuple(Wire(node, port) for port in range(len(node.shapes)))
        if node.kind == "max_pool" and node not in self.indexed:
            wires = wires[:1]
        label = None if re.fullmatch(rf"{re.escape(node.kind)}(_\d+)?(@\d+)?", node.key) else node.key
        return Step(
            key,
            None if make is None else make.parts,
            parts if executed else None,
            (*constants, *lines.call.constants) if executed else constants,
            module,
            (),
            tuple(inputs[index] for index in used) if executed else (),
            tuple(wire if wire in self.wanted else None for wire in wires) if executed else (),
            tuple(label and _of_several(node, label, wire.port) for wire in wires),
            tuple(_of_several(node, node.key, wire.port) for wire in wires),
            tuple(str(wire.shape) for wire in wires),
            fixed=label is not None,
        )

    def _scope_step(
        self, scope: Scope, use: Use, home: str, taken: set[str | None], modules: dict[str, None]
    ) -> Step | None:
        key: str | None
        if use.path is None:
            taken.add(scope.key)
            module, key = Module(scope.key, True), scope.key
        else:
            module, key = _module(use.path, home, taken)
        executed = bool(self.outputs[scope]) and scope not in self.dead
        if key is None and not executed:
            return None
        constants = use.arguments if key is not None else ()
        handed: list[Module] = []
        if executed:
            if not module.local:
                modules.setdefault(module.path)
            for path in use.modules:
                inner, _ = _module(path, home, None)
                handed.append(inner)
                if not inner.local:
                    modules.setdefault(path)
        label = label_of(scope)
        several = len(use.outputs) > 1
        names = [_result_name(use, wire) for wire in use.outputs] if several else [scope.key]
        return Step(
            key,
            use.make if key is not None else None,
            _call(len(use.inputs), len(handed)) if executed else None,
            constants,
            module,
            tuple(handed),
            tuple(use.inputs) if executed else (),
            tuple(use.outputs) if executed else (),
            tuple(names) if several else (label,),
            tuple(names),
            tuple(str(wire.shape) for wire in use.outputs),
            True,
            scope.loop,
            label is not None and scope.loop is None,
        )

    # -------------------------------------------------------------------------- classes

    def _share(self, uses: list[Use]) -> None:
        """Make one class of uses that are alike but for constants."""
        use = uses[0]
        names = _Parameters(uses)
        arguments = [names.argument(index) for index in range(len(use.constants))]
        parameters = names.types()
        shapes = [
            first if all(other == first for other in rest) else None
            for first, *rest in zip(*(other.shapes for other in uses), strict=True)
        ]
        made = Class(len(self.classes), use.scope.block, use, arguments, parameters, shapes, len(uses))
        self.classes.append(made)
        make: list[Part] = [ClassName(made.index), "("]
        for index, name in enumerate(parameters):
            prefix = ", " if index else ""
            make.append(f"{prefix}{name}=" if len(parameters) > POSITIONAL else prefix)
            make.append(Constant(index, name))
        make.append(")")
        parts = tuple(part for part in make if part != "")
        for number, other in enumerate(uses):
            other.make = parts
            other.arguments = tuple(names.values(name)[number] for name in parameters)


class _Parameters:
    """Finds the parameters that a class needs, and their names."""

    def __init__(self, uses: list[Use]) -> None:
        self.uses = uses
        self.columns: list[Column] = list(zip(*(use.constants for use in uses), strict=True))
        self.own: dict[str, tuple[str, ...]] = {}
        for name in uses[0].scope.arguments:
            values = [constant(use.scope.arguments.get(name)) for use in uses]
            if all(value is not None for value in values) and len(set(values)) > 1:
                self.own[name] = tuple(str(value) for value in values)
        self.names: dict[str, str] = {}
        self.found: dict[str, Column] = {}
        self.by_column: dict[Column, Parameter] = {}
        use = uses[0]
        self.taken: set[str] = {s.key for s in _all_steps(use) if s.key is not None} | set(MODULE_ATTRIBUTES)
        for index, column in enumerate(self.columns):
            if len(set(column)) > 1 and column not in self.by_column:
                known = self._from_block(column)
                if known is not None:
                    self.by_column[column] = known
                else:
                    self.by_column[column] = Parameter(f"{index}")
        self._name_new()

    def _from_block(self, column: Column) -> Parameter | None:
        """A column that follows from a parameter of the block itself."""
        for name, values in self.own.items():
            if values == column:
                return self._take(name)
        numbers = _integers(column)
        for name, values in self.own.items():
            given = _integers(values)
            if numbers is None or given is None or given[0] == 0:
                continue
            factor, offset = numbers[0] // given[0], numbers[0] - given[0]
            if factor >= 2 and all(n == factor * g for n, g in zip(numbers, given, strict=True)):
                return self._take(name)._replace(factor=factor)
            if abs(offset) <= 2 and all(n == g + offset for n, g in zip(numbers, given, strict=True)):
                return self._take(name)._replace(offset=offset)
        return None

    def _take(self, name: str) -> Parameter:
        if name not in self.names:
            self.names[name] = free(identifier(name), self.taken)
            self.taken.add(self.names[name])
            self.found[self.names[name]] = self.own[name]
        return Parameter(self.names[name])

    def _name_new(self) -> None:
        """Name what no parameter of the block gives after the argument of the layer that takes it."""
        hints = list(_hints(self.uses[0]))
        new = {
            column: hints[int(parameter.name)]
            for column, parameter in self.by_column.items()
            if parameter.name.isdigit()
        }
        counts: dict[str, int] = {}
        for hint, _ in new.values():
            counts[hint] = counts.get(hint, 0) + 1
        for column, (hint, owner) in new.items():
            alone = counts[hint] == 1 and hint not in UNNAMED
            name = identifier(hint if alone else f"{snake(owner)}_{hint}")
            if any(isinstance(value, tuple) for value in column):
                name = f"all_{name}"
            name = free(name, self.taken)
            self.taken.add(name)
            self.found[name] = column
            self.by_column[column] = Parameter(name)

    def argument(self, index: int) -> Argument:
        column = self.columns[index]
        return self.by_column[column] if len(set(column)) > 1 else column[0]

    def types(self) -> dict[str, str]:
        """The parameters in order of need, with their types."""
        order = [p.name for column in self.columns if (p := self.by_column.get(column))]
        return {name: _type_of(self.found[name]) for name in dict.fromkeys(order)}

    def values(self, name: str) -> list[str]:
        """What each use gives for a parameter."""
        return [value if isinstance(value, str) else f"[{', '.join(value)}]" for value in self.found[name]]


# ------------------------------------------------------------------------------ scopes


def _defined(source: str) -> list[str]:
    """The names of the classes and functions of a layer's own source."""
    return re.findall(r"^(?:class|def) (\w+)", source, re.MULTILINE)


def _calls(source: str, *lines: Expression | None) -> bool:
    """Whether a layer's lines call what its own source defines."""
    texts = [part for line in lines if line is not None for part in line.parts if isinstance(part, str)]
    return any(f"{name}(" in text for name in _defined(source) for text in texts)


def _module(path: str, home: str, taken: set[str | None] | None) -> tuple[Module, str | None]:
    """A module as a scope reaches it, and its key where the scope is the one to register it."""
    if home and not path.startswith(f"{home}."):
        return Module(path, False), None
    inside = path[len(home) + 1 :] if home else path
    if taken is None or "." in inside or inside in taken:
        return Module(inside, True), None
    taken.add(inside)
    return Module(inside, True), inside


def _call(inputs: int, modules: int) -> Parts:
    """`module(a, b, head)`."""
    parts: list[Part] = [Callee(), "("]
    slots: list[Part] = [Value(index) for index in range(inputs)]
    slots += [Callee(index) for index in range(modules)]
    for index, slot in enumerate(slots):
        parts += [", ", slot] if index else [slot]
    return (*parts, ")")


def _renumbered(parts: Parts, used: list[int]) -> Parts:
    numbers = {index: number for number, index in enumerate(used)}
    return tuple(Value(numbers[part.index]) if isinstance(part, Value) else part for part in parts)


def _of_several(node: Node, name: str, port: int) -> str:
    """The name of one of a layer's results: a pooling has its value and the indices."""
    if node.kind == "max_pool":
        return f"{name}_indices" if port else name
    return f"{name}_{port}" if len(node.shapes) > 1 else name


def label_of(scope: Scope) -> str | None:
    """What the file calls a scope; None where it is named by its block and a number."""
    by_block = scope.block and re.fullmatch(rf"{re.escape(scope.block)}(_\d+)?(@\d+)?", scope.key)
    return None if by_block else scope.key


def _stem_of(scope: Scope) -> str:
    """What scopes of a label have alike: `level` of `level1` and `level2`."""
    key = scope.key.partition("@")[0]
    number = numbered(key)
    return scope.loop or (number[0].rstrip("_") if number else key)


def _result_name(use: Use, wire: Wire) -> str:
    place = use.places[wire]
    assert not isinstance(place, Input)
    item = use.items[place.item]
    step = item.rounds[-1][place.step] if isinstance(item, Run) else item
    name = step.names[place.port]
    return f"{name}_{place.round + 1}" if isinstance(place, Collected) else name


def _places(found: list[Item], inputs: list[Wire]) -> dict[Wire, Place]:
    places: dict[Wire, Place] = {wire: Input(index) for index, wire in enumerate(inputs)}
    for number, item in enumerate(found):
        if isinstance(item, Step):
            for port, wire in enumerate(item.targets):
                if wire is not None:
                    places[wire] = Result(number, 0, port)
            continue
        for round_, steps in enumerate(item.rounds):
            for index, step in enumerate(steps):
                for port, wire in enumerate(step.targets):
                    if wire is None:
                        continue
                    if Same(index, port) in item.collected:
                        places[wire] = Collected(number, index, port, round_)
                    elif round_ == item.count - 1:
                        places[wire] = Result(number, index, port)
    return places


def _form(use: Use) -> object:
    """What uses must have alike to share a class."""
    label = _stem_of(use.scope)
    outside = {path: index for index, path in enumerate(use.modules)}

    def module(found: Module | None) -> object:
        if found is None:
            return None
        return found.path if found.local else outside[found.path]

    def line(step: Step, name: object, sources: object) -> object:
        calls = tuple(module(found) for found in step.modules)
        called = None if step.module is None or name != step.key else module(step.module)
        used = tuple(target is not None for target in step.targets)
        return name, called, step.make, step.call, sources, calls, used

    lines: list[object] = [line(step, step.key, ()) for step in use.extras]
    for item in use.items:
        if isinstance(item, Step):
            lines.append(line(item, item.key, tuple(use.places[wire] for wire in item.inputs)))
            continue
        start, _, numbers = item.numbering()
        body = []
        for index, step in enumerate(item.body):
            found = numbered(step.key) if step.key is not None else None
            sources = tuple(
                use.places[s] if isinstance(s, Wire) else (type(s).__name__, s) for s in item.links[index]
            )
            varies = tuple(isinstance(item.constant(index, k), tuple) for k in range(len(step.constants)))
            body.append((line(step, found and found[0], sources), varies))
        initial = tuple((previous, use.places[wire]) for previous, wire in item.initial.items())
        lines.append(("loop", start, tuple(numbers), tuple(body), initial, tuple(item.collected)))
    results = tuple(use.places[wire] for wire in use.outputs)
    return use.scope.block, None if use.scope.block else label, len(use.inputs), tuple(lines), results


def _constants(use: Use) -> Iterator[str | tuple[str, ...]]:
    """Every constant of a scope's lines, in order; of a loop first the number of its rounds."""
    for step in use.extras:
        yield from step.constants
    for item in use.items:
        if isinstance(item, Step):
            yield from item.constants
        else:
            yield str(item.count)
            for index, step in enumerate(item.body):
                for number in range(len(step.constants)):
                    yield item.constant(index, number)


def _hints(use: Use) -> Iterator[tuple[str, str]]:
    """For each constant what the argument is called, and the submodule it belongs to."""

    def of(step: Step, owner: str) -> Iterator[tuple[str, str]]:
        found = {
            part.index: (part.hint, f"{owner}_{part.owner}" if part.owner else owner)
            for part in (*(step.make or ()), *(step.call or ()))
            if isinstance(part, Constant)
        }
        yield from (found[index] for index in range(len(step.constants)))

    for item in (*use.extras, *use.items):
        if isinstance(item, Step):
            yield from of(item, item.key or item.names[0])
        else:
            yield "depth", _stem(item.body[0])
            for step in item.body:
                yield from of(step, _stem(step))


def _stem(step: Step) -> str:
    """The name of a loop's member without its number."""
    number = numbered(step.key or step.names[0])
    return number[0].strip("_") if number else step.key or step.names[0]


def _shapes(use: Use) -> Iterator[str]:
    """For each line the shapes of what it makes; where a loop's rounds differ the first and the last."""
    for item in use.items:
        for steps in zip(*(item.rounds if isinstance(item, Run) else [[item]]), strict=True):
            texts = [
                ", ".join(s for s, t in zip(step.shapes, step.targets, strict=False) if t is not None)
                for step in steps
            ]
            yield texts[0] if len(set(texts)) == 1 else f"{texts[0]} ... {texts[-1]}"


def _all_steps(use: Use) -> Iterator[Step]:
    yield from use.extras
    for item in use.items:
        yield from item.body if isinstance(item, Run) else (item,)


def _is_chain(use: Use) -> bool:
    """Whether a labelled line or group is its layers one after the other, and nothing else."""
    if use.scope.block is not None or use.scope.parent is None or use.extras or use.modules:
        return False
    if len(use.inputs) != 1 or not 1 <= len(use.items) <= LONGEST_CHAIN:
        return False
    value: Wire | None = use.inputs[0]
    for item in use.items:
        if not isinstance(item, Step) or item.key is None or not is_plain(item.key):
            return False
        if item.call != _call(1, 0) or item.inputs != (value,) or len(item.targets) != 1:
            return False
        value = item.targets[0]
    return use.outputs == [value]


def _sequential(use: Use) -> tuple[Parts, tuple[str, ...]]:
    """A chain as `nn.Sequential(OrderedDict(conv=nn.Conv2d(...), relu=nn.ReLU()))`."""
    parts: list[Part] = ["nn.Sequential(OrderedDict("]
    constants: list[str] = []
    for index, step in enumerate(_all_steps(use)):
        parts.append(f"{', ' if index else ''}{step.key}=")
        for part in step.make or ():
            if isinstance(part, Constant):
                owner = f"{step.key}_{part.owner}" if part.owner else str(step.key)
                part = part._replace(index=part.index + len(constants), owner=owner)
            parts.append(part)
        constants += step.constants
    return (*parts, "))"), tuple(constants)


def _integers(column: Column) -> list[int] | None:
    if not all(isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) for value in column):
        return None
    return [int(str(value)) for value in column]


def _type_of(column: Column) -> str:
    """The annotation of a parameter, from the values it is given."""
    types = set()
    for value in column:
        if isinstance(value, tuple):
            types.add(f"list[{_type_of(value)}]")
            continue
        found = ast.literal_eval(value)
        if isinstance(found, tuple | list):
            inner = _type_of(tuple(constant(item) or "None" for item in found))
            types.add(f"tuple[{inner}, ...]" if isinstance(found, tuple) else f"list[{inner}]")
        else:
            types.add("None" if found is None else type(found).__name__)
    return " | ".join(sorted(types, key=lambda name: (name == "None", name)))


def _name(classes: list[Class], network: str, sources: list[str]) -> None:
    """Give every class its name: the block's, and for further forms of a block what they have more."""
    taken = {name for made in classes for name in made.parameters}
    taken |= {name for source in sources for name in _defined(source)}
    root = classes[-1]
    root.name = free(identifier(network), taken, "")
    taken.add(root.name)
    forms: dict[str, list[Class]] = {}
    for made in classes[:-1]:
        scope = made.use.scope
        label = scope.key.partition("@")[0] if made.uses == 1 and scope.loop is None else _stem_of(scope)
        name = identifier(scope.block) if scope.block else camel(identifier(label))
        forms.setdefault(name, []).append(made)
    for name, several in forms.items():
        several.sort(key=lambda made: (len(made.use.items), made.index))
        plain = {step.key for step in _all_steps(several[0].use)}
        for made in several:
            more = [s for s in _all_steps(made.use) if s.key is not None and s.key not in plain]
            wanted = name
            if made is not several[0] and len(more) == 1 and more[0].fixed:
                wanted = f"{name}With{camel(identifier(str(more[0].key)))}"
            made.name = free(wanted, taken, "")
            taken.add(made.name)
