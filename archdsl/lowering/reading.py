"""From the members of a scope to its lines: what each makes, what it calls, and what it hands on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.lowering.expressions import Callee, Constant, Part, Parts, Value
from archdsl.lowering.identifiers import is_plain
from archdsl.lowering.layers import Layers
from archdsl.lowering.scopes import ScopeTree
from archdsl.lowering.steps import Module, Step, items
from archdsl.lowering.uses import Use, label_of
from archdsl.lowering.wiring import Wiring

LONGEST_CHAIN = 16
"""The most layers of a labelled chain that is written as one `nn.Sequential`."""


class Reader:
    """Reads the scopes of a network, each after those inside it.

    `uses` are those that were read, None where there is nothing to make or compute.
    """

    def __init__(self, network: Network, tree: ScopeTree, layers: Layers) -> None:
        self.network = network
        self.tree = tree
        self.layers = layers
        self.wiring = Wiring(network, tree, layers)
        self.uses: dict[Scope, Use | None] = {}

    def read(self, scope: Scope) -> Use | None:
        """Read a scope. Where its use has no `make` yet, a class is still to be made for it."""
        use = self.uses[scope] = self._use(scope)
        return use

    def _use(self, scope: Scope) -> Use | None:
        """Read a scope: as a further call of its first use's module, where it is one and fits."""
        first = self.tree.first_use(scope)
        if first is not None:
            original = self.uses.get(first)
            again = self._lines(scope, first.name)
            if original is not None and again is not None and again.form == original.form:
                if again.constants == original.constants:
                    # Where the class of both is still to be made, they get it together.
                    again.path = original.path
                    again.make = original.make
                    again.arguments = original.arguments
                    return again
        use = self._lines(scope, scope.name)
        if use is None:
            return None
        use.path = None if first is not None else scope.name
        if _is_chain(use):
            use.make, use.arguments = _sequential(use)
        return use

    def _lines(self, scope: Scope, home: str) -> Use | None:
        """The lines of a scope, whose own modules are those whose paths begin with `home`."""
        extras = [
            step
            for member in self.tree.extras.get(self.tree.by_name[home], ())
            if (step := self._registered(member)) is not None
        ]
        taken = {step.key for step in extras}
        modules: dict[str, None] = {}
        steps: list[Step] = []
        for member in scope.members:
            step = self._step(member, home, taken, modules)
            if step is not None:
                steps.append(step)
        inputs = self._ordered(self.wiring.inputs[scope], scope.inputs)
        outputs = self._ordered(self.wiring.outputs[scope], scope.outputs)
        if scope is self.network.scope:
            inputs = [Wire(node) for node in self.network.inputs]
            outputs = [self.layers.made(wire) for wire in self.network.outputs]
        elif not steps and not extras:
            return None
        return Use(scope, inputs, outputs, list(modules), items(steps, outputs), extras)

    def _ordered(self, wires: dict[Wire, None], first: Iterable[Wire]) -> list[Wire]:
        """The wires, those that the file names as the scope's own before the others."""
        named = [self.layers.made(wire) for wire in first]
        return list(dict.fromkeys([wire for wire in named if wire in wires] + list(wires)))

    def _registered(self, member: Node | Scope) -> Step | None:
        """What a scope makes for scopes inside it, or elsewhere, to call."""
        if isinstance(member, Node):
            lines = self.layers.lines.get(member)
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
            return None if member in self.wiring.given else self._layer_step(member, home, taken, modules)
        use = self.uses[member]
        return None if use is None else self._scope_step(member, use, home, taken, modules)

    def _layer_step(
        self, node: Node, home: str, taken: set[str | None], modules: dict[str, None]
    ) -> Step | None:
        lines = self.layers.lines[node]
        executed = node in self.wiring.executed and Wire(node) not in self.layers.same
        module, key = None, None
        if lines.make is not None:
            module, key = _module((node.first or node).name, home, taken)
            if not module.local and executed:
                modules.setdefault(module.path)
        if key is None and not executed:
            return None
        make = lines.make if key is not None else None
        constants = () if make is None else make.constants
        inputs = self.layers.inputs(node)
        used = lines.call.values()
        parts = _renumbered(lines.call.shifted(len(constants)), used)
        wires = tuple(Wire(node, port) for port in range(len(node.shapes)))
        if node.kind == "max_pool" and node not in self.layers.indexed:
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
            tuple(wire if wire in self.wiring.wanted else None for wire in wires) if executed else (),
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
        executed = bool(self.wiring.outputs[scope]) and scope not in self.wiring.dead
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
        names = [use.result_name(wire) for wire in use.outputs] if several else [scope.key]
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
    for index, step in enumerate(use.steps()):
        parts.append(f"{', ' if index else ''}{step.key}=")
        for part in step.make or ():
            if isinstance(part, Constant):
                owner = f"{step.key}_{part.owner}" if part.owner else str(step.key)
                part = part._replace(index=part.index + len(constants), owner=owner)
            parts.append(part)
        constants += step.constants
    return (*parts, "))"), tuple(constants)
