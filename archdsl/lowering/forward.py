"""The forward method of a class: which variable holds what, line by line.

A value that goes straight on is `x`. One that is needed later has its label, or else the name of its
layer. A name is used again as soon as the value it held is not needed any more.
"""

from __future__ import annotations

import re
from math import inf

from archdsl.compiler.network import Node, Wire
from archdsl.lowering.classes import Argument, Class, Parameter
from archdsl.lowering.expressions import fill
from archdsl.lowering.identifiers import RESERVED, identifier, is_plain, snake
from archdsl.lowering.layout import wrapped
from archdsl.lowering.steps import Item, Module, Previous, Run, Same, Step
from archdsl.lowering.uses import Input, label_of

LOOP = "i"
"""The variable that counts the rounds of a loop."""


class Forward:
    """Writes the forward method of one class. `given` are the inputs of the network, in its own class."""

    def __init__(self, made: Class, given: list[Node] | None, functions: set[str]) -> None:
        self.use = made.use
        self.items: list[Item] = []
        """What is computed; the rest is only made."""
        self.shapes: list[list[str]] = []
        shapes = iter(made.shapes)
        for item in made.use.items:
            texts = [next(shapes) or "" for _ in (item.body if isinstance(item, Run) else [item])]
            if any(step.call is not None for step in (item.body if isinstance(item, Run) else [item])):
                self.items.append(item)
                self.shapes.append(texts)
        self.arguments, self.counts = made.by_step()
        self.attributes: dict[str, None] = {}
        """The parameters of the class that the method reads."""
        self.lines: list[str] = []
        self.text: dict[Wire, str] = {}
        self.until: dict[str, float] = dict.fromkeys((*RESERVED, *functions, LOOP), inf)
        self.last = self._last_uses()
        self.modules: dict[str, str] = {}
        self.head: list[str] = []
        self._begin(given)

    def _begin(self, given: list[Node] | None) -> None:
        """Name what the method is given."""
        for index, wire in enumerate(self.use.inputs):
            if given is not None:
                wanted = identifier(given[index].key)
            else:
                wanted = "x" if index == 0 and len(self.use.scope.inputs) < 2 else _wire_name(wire)
            name = self._free(wanted, -1)
            self.text[wire] = name
            self.until[name] = self.last.get(wire, -0.5)
            self.head.append(f"{name}: Tensor")
        for path in self.use.modules:
            name = self._free(identifier(path.rpartition(".")[2]), -1)
            self.until[name] = inf
            self.modules[path] = name
            self.head.append(f"{name}: nn.Module")

    def _last_uses(self) -> dict[Wire, float]:
        last: dict[Wire, float] = {}
        for time, item in enumerate(self.items):
            for wire in _reads(item):
                last[wire] = time
        last.update(dict.fromkeys(self.use.outputs, inf))
        return last

    def write(self) -> list[str]:
        """The method, indented as it stands in its class; nothing for a class that is never called."""
        if not self.use.outputs:
            return []
        for time, (item, shapes) in enumerate(zip(self.items, self.shapes, strict=True)):
            if isinstance(item, Run):
                self._run(time, item, shapes)
            elif item is self.items[-1] and list(item.targets) == self.use.outputs:
                self._line(f"return {self._expression(item)}", shapes[0])
                break
            else:
                self._step(time, item, shapes[0])
        else:
            self._line(f"return {', '.join(self.text[wire] for wire in self.use.outputs)}")
        result = "Tensor"
        if len(self.use.outputs) > 1:
            result = f"tuple[{', '.join(['Tensor'] * len(self.use.outputs))}]"
            if len(self.use.outputs) > 4:
                result = "tuple[Tensor, ...]"
        head = f"def forward({', '.join(['self', *self.head])}) -> {result}:"
        return [*wrapped(head, 1), *self.lines]

    # -------------------------------------------------------------------------- lines

    def _line(self, text: str, shape: str = "", level: int = 2) -> None:
        self.lines += wrapped(text, level, shape)

    def _step(self, time: int, step: Step, shape: str) -> None:
        names = []
        for port, wire in enumerate(step.targets):
            if wire is None:
                names.append("_")
                continue
            until = self.last[wire]
            goes_on = until == time + 1 and _goes_on(wire, self.items[time + 1])
            name = self._name(step, port, time, goes_on)
            names.append(name)
            self.text[wire] = name
            self.until[name] = until
        self._line(f"{', '.join(names)} = {self._expression(step)}", shape)

    def _name(self, step: Step, port: int, time: float, goes_on: bool) -> str:
        label = step.labels[port]
        if (goes_on or label is None) and self._is_free("x", time):
            return "x"
        return self._free(identifier(label or snake(step.names[port])), time)

    def _is_free(self, name: str, time: float) -> bool:
        return self.until.get(name, -1) <= time

    def _free(self, name: str, time: float) -> str:
        """`name` (`name_` if it is reserved), or where that is in use, `name_2`, `name_3` and so on."""
        candidate, number = name, 1
        if name in RESERVED or name == LOOP:
            name = candidate = f"{name}_"
        while not self._is_free(candidate, time):
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def _expression(
        self, step: Step, values: list[str] | None = None, numbers: tuple[int, int] | None = None
    ) -> str:
        assert step.call is not None
        found = values if values is not None else [self.text[wire] for wire in step.inputs]
        constants = [self._constant(argument) for argument in self.arguments[step][step.call_constants :]]
        constants = [""] * step.call_constants + constants
        if numbers is not None and step.key is not None:
            module = f'getattr(self, f"{counted(step.key, numbers)}")'
        else:
            module = self._module(step.module) if step.module is not None else ""
        return fill(step.call, constants, found, module, [self._module(m) for m in step.modules])

    def _module(self, module: Module) -> str:
        return reached(module.path) if module.local else self.modules[module.path]

    def _constant(self, argument: Argument) -> str:
        if isinstance(argument, Parameter):
            self.attributes.setdefault(argument.name)
            return argument.source("self.")
        assert isinstance(argument, str)
        return argument

    # -------------------------------------------------------------------------- loops

    def _run(self, time: int, run: Run, shapes: list[str]) -> None:
        body = run.body
        fixed = {link for links in run.links for link in links if isinstance(link, Wire)}
        after = time + 0.5
        for wire in (*fixed, *run.initial.values()):
            self._keep(wire, after)
        carried = self._carry(time, run, fixed)
        old_last = {
            link: index
            for index, links in enumerate(run.links)
            for link in links
            if isinstance(link, Previous)
        }
        direct = {link for link in carried if link.step >= old_last[link]}
        lists = self._collect(time, run, after)
        last = self._body_uses(run)
        names: dict[tuple[int, int], str] = {}
        busy: dict[str, float] = {}
        lines: list[tuple[str, str]] = []
        for index, step in enumerate(body):
            if step.call is None:
                continue
            values = []
            for wire, link in zip(step.inputs, run.links[index], strict=True):
                if isinstance(link, Same):
                    values.append(names[link.step, link.port])
                elif isinstance(link, Previous):
                    values.append(carried[link])
                else:
                    values.append(self.text[wire])
            targets = []
            for port, target in enumerate(step.targets):
                if target is None:
                    targets.append("_")
                    continue
                mine = Previous(index, port)
                if mine in direct:
                    name = carried[mine]
                else:
                    closed = {
                        variable
                        for link, variable in carried.items()
                        if link not in direct
                        or index < old_last[link]
                        or index == link.step
                        or last[index, port] > link.step
                    }
                    closed |= set(targets)
                    closed |= {name for name, end in busy.items() if end > index}
                    closed |= {self.text[target].partition("[")[0] for target in fixed} | set(lists.values())
                    name = self._body_name(step, port, after, closed)
                    busy[name] = last[index, port]
                names[index, port] = name
                targets.append(name)
            numbers = run.numbering()[2][index]
            text = f"{', '.join(targets)} = {self._expression(step, values, numbers)}"
            lines.append((text, shapes[index]))
            for port, name in enumerate(targets):
                if Same(index, port) in lists:
                    lines.append((f"{lists[Same(index, port)]}.append({name})", ""))
        late = [link for link in carried if link not in direct]
        if late:
            left = ", ".join(carried[link] for link in late)
            lines.append((f"{left} = {', '.join(names[link.step, link.port] for link in late)}", ""))
        counting = LOOP if any("getattr(self, " in text for text, _ in lines) else "_"
        self._line(f"for {counting} in {self.rounds(run)}:")
        for text, shape in lines:
            self._line(text, shape, 3)
        self._leave(run, carried, names, lists)

    def _keep(self, wire: Wire, time: float) -> None:
        name = self.text[wire].partition("[")[0]
        self.until[name] = max(self.until.get(name, -1), time)

    def _carry(self, time: int, run: Run, fixed: set[Wire]) -> dict[Previous, str]:
        """The variables that go from round to round, set to what the first round takes."""
        carried: dict[Previous, str] = {}
        for link, wire in run.initial.items():
            name = self.text[wire]
            is_input = isinstance(self.use.places[wire], Input)
            again = (
                self.last[wire] <= time
                and wire not in fixed
                and name.isidentifier()
                and name not in carried.values()
                and (name == "x" or not is_input)
            )
            if not again:
                step = run.body[link.step]
                name = self._name(step, link.port, time, True)
                self._line(f"{name} = {self.text[wire]}")
            carried[link] = name
            self.until[name] = max(self.until.get(name, -1), time + 0.5)
        return carried

    def _collect(self, time: int, run: Run, after: float) -> dict[Same, str]:
        """The lists of those results of which not only the last round's is used."""
        lists: dict[Same, str] = {}
        for link in run.collected:
            step = run.body[link.step]
            label = step.labels[link.port] or step.names[link.port]
            stem = re.sub(r"_?\d*$", "", identifier(snake(label))) or "value"
            name = self._free(f"all_{stem}" if stem.endswith("s") else f"{stem}s", after)
            wires = [steps[link.step].targets[link.port] for steps in run.rounds]
            self.until[name] = max(self.last.get(wire, -1) for wire in wires if wire is not None)
            for number, wire in enumerate(wires):
                if wire is not None:
                    self.text[wire] = f"{name}[{number}]"
            self._line(f"{name} = []")
            lists[link] = name
        return lists

    def _body_uses(self, run: Run) -> dict[tuple[int, int], float]:
        """Until which line of the round each of its results is needed."""
        last: dict[tuple[int, int], float] = {}
        for index, step in enumerate(run.rounds[-1]):
            for port, wire in enumerate(step.targets):
                after = wire is not None and Same(index, port) not in run.collected and wire in self.last
                carries = Previous(index, port) in run.initial
                last[index, port] = inf if after or carries else index
        for index, links in enumerate(run.links):
            for link in links:
                if isinstance(link, Same):
                    last[link.step, link.port] = max(last[link.step, link.port], index)
        return last

    def _body_name(self, step: Step, port: int, time: float, closed: set[str]) -> str:
        label = step.labels[port]
        if label is not None and re.search(r"\d$", label):
            label = re.sub(r"_?\d+$", "", label) or label
        wanted = ["x"] if label is None or not self._is_free(identifier(label), time) else []
        wanted.append(identifier(label or re.sub(r"_\d+$", "", snake(step.names[port]))))
        number = 1
        while True:
            for name in wanted:
                candidate = name if number == 1 else f"{name}_{number}"
                if candidate not in closed and self._is_free(candidate, time):
                    return candidate
            number += 1

    def _leave(
        self,
        run: Run,
        carried: dict[Previous, str],
        names: dict[tuple[int, int], str],
        lists: dict[Same, str],
    ) -> None:
        """After the loop the names of its last round stand for what they hold."""
        ends: dict[str, float] = {}
        for index, step in enumerate(run.rounds[-1]):
            for port, wire in enumerate(step.targets):
                if wire is None or Same(index, port) in lists or wire not in self.last:
                    continue
                name = carried.get(Previous(index, port)) or names[index, port]
                self.text[wire] = name
                ends[name] = max(ends.get(name, -1), self.last[wire])
        for name in {*carried.values(), *names.values()}:
            self.until[name] = ends.get(name, -1)

    def rounds(self, run: Run) -> str:
        """`range(1, 4)`; the number of rounds may be a parameter of the class."""
        start, _, _ = run.numbering()
        count = self.counts[run]
        if isinstance(count, Parameter):
            self.attributes.setdefault(count.name)
            stop = count._replace(offset=count.offset + start).source("self.")
        else:
            stop = str(int(str(count)) + start)
        return f"range({start}, {stop})" if start else f"range({stop})"


def _reads(item: Item) -> set[Wire]:
    """The values that an item takes from before it."""
    if isinstance(item, Step):
        return set(item.inputs)
    fixed = {link for links in item.links for link in links if isinstance(link, Wire)}
    return fixed | set(item.initial.values())


def _goes_on(wire: Wire, item: Item) -> bool:
    """Whether an item takes this value and no other, or begins a loop with it."""
    if isinstance(item, Run):
        return wire in item.initial.values()
    return set(item.inputs) == {wire}


def reached(path: str) -> str:
    """A submodule by its path: `self.stem.conv`, `self._modules["lambda"]`."""
    text = "self"
    for key in path.split("."):
        text += f".{key}" if is_plain(key) else f'._modules["{key}"]'
    return text


def counted(key: str, numbers: tuple[int, int]) -> str:
    """The inside of the f-string that names a loop's member: `conv_{i + 1}`."""
    factor, offset = numbers
    stem = key.rstrip("0123456789")
    number = LOOP if factor == 1 else f"{factor} * {LOOP}"
    if offset:
        number += f" {'+' if offset > 0 else '-'} {abs(offset)}"
    return f"{stem}{{{number}}}"


def _wire_name(wire: Wire) -> str:
    """What the file calls a value, or `x`."""
    node = wire.node
    if wire.port and node.kind == "max_pool":
        return "indices"
    if not re.fullmatch(rf"{re.escape(node.kind)}(_\d+)?(@\d+)?", node.key):
        return identifier(node.key)
    name, scope = "x", node.scope
    while scope.parent is not None and wire in scope.outputs:
        name = identifier(label_of(scope) or name)
        scope = scope.parent
    return name
