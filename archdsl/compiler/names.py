"""The names of a whole file, held against what there is: also in blocks that no network uses and in
branches that are not taken, which unrolling never sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archdsl.compiler.elsewhere import ARGUMENT_WORDS_ELSEWHERE, FUNCTIONS_ELSEWHERE, layer_elsewhere
from archdsl.compiler.expressions import (
    ALL_WORDS,
    ANSWER_WORDS,
    EXPECTED_FACTS,
    NETWORK_FACTS,
    SYMBOL,
    VALUE_FACTS,
    compared_with_answers,
    figure_called,
    meant_by,
)
from archdsl.compiler.frames import Module
from archdsl.compiler.functions import FUNCTIONS
from archdsl.compiler.peaks import PEAK_ARGUMENTS, PEAKS
from archdsl.compiler.reporting import Reporter
from archdsl.compiler.signatures import Signature, bind
from archdsl.layers import LAYERS
from archdsl.layers.arguments import Parameter
from archdsl.problems import nearest
from archdsl.problems.names import (
    ShadowedLayer,
    UnknownLayer,
    UnknownName,
    UnusedImport,
    UnusedLet,
    UnusedParameter,
)
from archdsl.problems.structure import InputForm, NetworkInChain
from archdsl.problems.values import NotInExpect
from archdsl.syntax import tree

LITERALS = frozenset({tree.Number, tree.Constant, tree.String})
"""What names nothing, and is by far the most frequent expression."""


def unknown_layer(name: str, usable: Iterable[str] = ()) -> UnknownLayer:
    """The problem of a name that is no layer, with what was most likely meant."""
    elsewhere = layer_elsewhere(name)
    if elsewhere is not None:
        return UnknownLayer(name, *elsewhere)
    known = [*usable, *LAYERS]
    return UnknownLayer(name, nearest(name.lower(), known) or nearest(name, known))


def check_names(module: Module, reporter: Reporter) -> list[Names]:
    """Report every name of the file's blocks and networks that nothing can make good."""
    checked = [Names(module, block, reporter) for block, owner in module.blocks.values() if owner is module]
    for names in checked:
        names.check()
    return checked


def check_use(module: Module, checked: list[Names], reporter: Reporter) -> None:
    """Report what a file without errors names and never uses, and what it names like a layer.

    Blocks may be there for other files, which may import them from where they are imported. A name that
    begins with `_` says that it is not meant to be read.
    """
    outside: set[str] = set()
    for let in module.lets:
        outside |= {name for name in _words_in(let.value) if name != let.name}
    for train in module.trains:
        for setting in train.settings:
            if isinstance(setting, tree.Setting):
                outside.update(name for value in setting.values for name in _words_in(value))
    everything = outside.union(*(names.used for names in checked))
    text = module.source.text

    def unused(name: str, used: set[str]) -> bool:
        # What stands after a dot may be a name of another scope.
        return name not in used and name[0] != "_" and f".{name}" not in text

    if module.networks:
        for label, path in module.imported:
            if label.name not in everything:
                reporter.report(UnusedImport(label.name, path), label.span)
    for let in module.lets if module.blocks else ():
        if unused(let.name, everything):
            reporter.report(UnusedLet(let.name), let.name_span)
    for names in checked:
        block = names.block
        used = names.used | outside if block.is_network else names.used
        for parameter in block.parameters:
            if unused(parameter.name, used):
                reporter.report(UnusedParameter(parameter.name, block.name), parameter.name_span)
        for let in names.lets:
            if unused(let.name, names.used):
                reporter.report(UnusedLet(let.name), let.name_span)
        if block.name in LAYERS:
            reporter.report(ShadowedLayer(block.name), block.name_span)


def _words_in(expression: tree.Expression) -> Iterator[str]:
    for name in _names_in(expression):
        yield name.callee if isinstance(name, tree.Call) else name.id


class Names:
    """One block. Whether a name is defined before its use is left to unrolling: here it is enough
    that the block defines it somewhere, so nothing is reported that might be right."""

    def __init__(self, module: Module, block: tree.Block, reporter: Reporter) -> None:
        self._module = module
        self.block = block
        self.used: set[str] = set()
        """The names that it uses, dotted ones in their parts."""
        self.lets: list[tree.Let] = []
        self._reporter = reporter
        self._defined = {"input", "_", *(let.name for let in module.lets)}
        # What could not be imported has been reported, and may be anything.
        self._defined |= set(module.frame.names)
        self._defined |= {parameter.name for parameter in block.parameters}
        defined, self._loops = _defined_in(block.body)
        self._defined |= defined

    def check(self) -> None:
        for parameter in self.block.parameters:
            if parameter.default is not None:
                self._expression(parameter.default)
        self._body(self.block.body)

    def _body(self, body: list[tree.Statement]) -> None:
        for statement in body:
            if isinstance(statement, tree.Line):
                for expression in statement.origin or ():
                    self._expression(expression)
                self._items(statement.items)
            elif isinstance(statement, tree.Shared):
                self._items(statement.items)
            elif isinstance(statement, tree.Let):
                self.lets.append(statement)
                self._expression(statement.value, {label.name for label in statement.parameters or ()})
            elif isinstance(statement, tree.Expect):
                self._expression(statement.test, expected=True)
            elif isinstance(statement, tree.Output):
                for expression in statement.values:
                    self._expression(expression)
            elif isinstance(statement, tree.Input) and statement.shape is not None:
                if not self.block.is_network:
                    self._reporter.report(InputForm(in_network=False), statement.span)
                self._expression(statement.shape)

    def _items(self, items: list[tree.Item]) -> None:
        for item in items:
            if isinstance(item, tree.Use):
                self._use(item)
                continue
            if isinstance(item, tree.Parallel):
                self._use(item.join)
            elif isinstance(item, tree.Repeat):
                self._expression(item.count)
            elif isinstance(item, tree.For):
                self._expression(item.values)
            elif isinstance(item, tree.If):
                self._expression(item.test)
            for body in tree.bodies_of(item):
                self._body(body)

    def _use(self, use: tree.Use) -> None:
        self.used.update(use.name.split("."))
        if not self._callee(use.name, use):
            block, module = self.block, self._module
            named = (p.name for p in block.parameters)
            blocks = [name for name, (one, _) in module.blocks.items() if not one.is_network]
            usable = [*blocks, *module.own, *named, *_shared_in(block.body)]
            unknown = unknown_layer(use.name, usable)
            self._reporter.report(unknown, use.name_span)
            if unknown.foreign and unknown.meant:
                # It is known which layer is meant, so its arguments are held to it, too.
                signature = Signature.of_layer(LAYERS[unknown.meant])
                bind(signature, use.arguments, use.name_span, self._reporter)
        for argument in use.arguments:
            value = argument.value
            if type(value) in LITERALS:
                continue
            compared = _compared(argument)
            if compared is not None and not self._means_something(compared.id):
                remark = f"an argument is given by one equals sign: `{value.span.text.replace('==', '=', 1)}`"
                self._reporter.report(UnknownName(compared.id, None, remark=remark), compared.span)
                continue
            if isinstance(value, tree.Name):
                self.used.add(value.id)
                if not self._means_something(value.id):
                    problem = self._unknown_argument(value.id, self._parameter_of(use, argument))
                    self._reporter.report(problem, value.span)
            else:
                self._expression(value)

    def _callee(self, name: str, use: tree.Use | tree.Call) -> bool:
        """Whether a layer, block or name of the block stands behind a name; its arguments are bound."""
        span = use.name_span if isinstance(use, tree.Use) else use.callee_span
        if self._is_defined(name.split(".")[0]):
            return True
        found = self._module.blocks.get(name)
        if found is not None and found[0].is_network:
            self._reporter.report(NetworkInChain(name), span)
            return True
        if found is not None:
            bind(Signature.of_block(found[0]), use.arguments, span, self._reporter)
            return True
        layer = self._module.layers.get(name)
        if layer is not None:
            bind(Signature.of_layer(layer), use.arguments, span, self._reporter)
            return True
        return False

    def _is_defined(self, name: str) -> bool:
        if self._module.broken or name in self._defined:
            return True
        if not name[-1:].isdigit():
            return False
        loop, _, number = name.rpartition("_")
        return number.isdigit() and loop in self._loops

    def _expression(
        self, node: tree.Expression, bound: set[str] | None = None, expected: bool = False
    ) -> None:
        answers = compared_with_answers(node)
        of_peaks: dict[tree.Name, Parameter] = {}
        for name in _names_in(node):
            if isinstance(name, tree.Call):
                self.used.add(name.callee)
                if name.callee not in FUNCTIONS and not self._callee(name.callee, name):
                    if name.callee in PEAKS:
                        of_peaks |= _given_as_words(name)
                        if not expected:
                            self._reporter.report(NotInExpect(name.callee), name.callee_span)
                        continue
                    if name.callee in NETWORK_FACTS:
                        self._reporter.report(figure_called(name), name.callee_span)
                        continue
                    module = self._module
                    known = [*FUNCTIONS, *module.blocks, *module.layers, *self._defined - {"input", "_"}]
                    meant = FUNCTIONS_ELSEWHERE.get(name.callee) or nearest(name.callee, known)
                    problem = UnknownName(name.callee, meant)
                    self._reporter.report(problem, name.callee_span)
            elif not (bound and name.id in bound):
                self.used.add(name.id)
                if name in answers and not self._means_something(name.id):
                    meant = nearest(name.id, [*ANSWER_WORDS, *self._defined - {"_"}])
                    remark = "it is compared with an answer: `equivariant`, `invariant` or `none`"
                    self._reporter.report(UnknownName(name.id, meant, remark=remark), name.span)
                elif name in of_peaks and not self._is_defined(name.id):
                    if name.id not in of_peaks[name].kind.words:
                        self._reporter.report(self._unknown_argument(name.id, of_peaks[name]), name.span)
                elif not self._means_something(name.id):
                    self._reporter.report(self._unknown_name(name.id, expected=expected), name.span)

    def _unknown_name(
        self, name: str, words: frozenset[str] = frozenset(), expected: bool = False
    ) -> UnknownName:
        """The problem of a name that nothing stands behind; `words` are those that it might have been."""
        kind, _, count = name.rpartition("_")
        module = self._module
        if count.isdigit() and (kind in module.blocks or kind in module.layers):
            return UnknownName(name, None, remark=f"what has no label can't be named: `name: {kind}...`")
        if expected and name in (*VALUE_FACTS, *EXPECTED_FACTS):
            return UnknownName(name, None, remark=f"it is asked of what a label names: `label.{name}`")
        return UnknownName(name, meant_by(name, self._defined - {"_"} | words, module, expected))

    def _unknown_argument(self, name: str, parameter: Parameter | None) -> UnknownName:
        """The problem of a name that is given to a layer's parameter, or to whatever else takes it."""
        if parameter is None:
            return self._unknown_name(name, ALL_WORDS)
        words = parameter.kind.spelt()
        if not words:
            return self._unknown_name(name)
        elsewhere = ARGUMENT_WORDS_ELSEWHERE.get(parameter.name, {}).get(name)
        meant = elsewhere or nearest(name, [*words, *self._defined - {"_"}])
        return UnknownName(name, meant, remark=f"`{parameter.name}` takes {parameter.kind.expected}")

    def _parameter_of(self, use: tree.Use, argument: tree.Argument) -> Parameter | None:
        """What an argument is given to, where it is a layer's."""
        layer = None if use.name in self._module.blocks else self._module.layers.get(use.name)
        if layer is None or self._is_defined(use.name):
            return None
        if argument.name is not None:
            return layer.arguments.get(argument.name)
        signature = Signature.of_layer(layer)
        place = [one for one in use.arguments if one.name is None].index(argument)
        if signature.values or place >= len(signature.parameters):
            return None
        return layer.arguments[signature.parameters[place]]

    def _means_something(self, name: str) -> bool:
        return (
            self._is_defined(name)
            or name in self._module.blocks
            or name in self._module.layers
            or name in ALL_WORDS
            or name in self._module.words
            or name in ANSWER_WORDS
            or name in NETWORK_FACTS
            or SYMBOL.match(name) is not None
        )


def _compared(argument: tree.Argument) -> tree.Name | None:
    """The name in `kernel == 3`, given by place."""
    value = argument.value
    if argument.name is None and isinstance(value, tree.Binary) and value.operator == "==":
        return value.left if isinstance(value.left, tree.Name) else None
    return None


def _given_as_words(peak: tree.Call) -> dict[tree.Name, Parameter]:
    """The names that are given to arguments of a peak which take words, or to what is no argument of it."""
    found: dict[tree.Name, Parameter] = {}
    for place, argument in enumerate(peak.arguments):
        value = argument.value
        if not isinstance(value, tree.Name):
            continue
        name = argument.name or next(iter([*PEAK_ARGUMENTS][place:]), "")
        mistyped = (one for one in PEAK_ARGUMENTS.values() if value.id in one.kind.words)
        parameter = PEAK_ARGUMENTS.get(name) or next(mistyped, None)
        if parameter is not None and parameter.kind.words:
            found[value] = parameter
    return found


def _names_in(expression: tree.Expression) -> list[tree.Name | tree.Call]:
    """The names and calls of an expression. What stands after a dot is not a name of the scope."""
    if type(expression) is tree.Name:
        return [expression]
    found: list[tree.Name | tree.Call] = []
    waiting = [expression]
    for node in waiting:
        if type(node) in LITERALS:
            continue
        if isinstance(node, tree.Name):
            found.append(node)
        elif isinstance(node, tree.Call):
            found.append(node)
            waiting += [argument.value for argument in node.arguments]
        elif isinstance(node, tree.Attribute):
            waiting.append(node.value)
        else:
            waiting += tree.operands(node)
    return found


def _defined_in(body: list[tree.Statement]) -> tuple[set[str], set[str]]:
    """Every name that a body defines, at any depth; and the loops among them, whose rounds are named
    `label_1`, `label_2`."""
    found: set[str] = set()
    loops: set[str] = set()
    bodies = [body]
    for inner in bodies:
        for statement in inner:
            items: list[tree.Item] = []
            if isinstance(statement, tree.Line):
                found.update([label.name for label in statement.labels])
                items = statement.items
            elif isinstance(statement, tree.Shared):
                found.add(statement.label.name)
                items = statement.items
            elif isinstance(statement, tree.Input | tree.Broken):
                found.update([label.name for label in statement.names])
            elif isinstance(statement, tree.Let):
                found.add(statement.name)
            for item in items:
                if type(item) is tree.Use:
                    continue
                if isinstance(item, tree.For):
                    found.update(_targets(item.target))
                if isinstance(item, tree.For | tree.Repeat) and isinstance(statement, tree.Line):
                    loops.update([label.name for label in statement.labels])
                bodies += tree.bodies_of(item)
    return found, loops


def _targets(target: tree.Target) -> Iterator[str]:
    if target.name is not None:
        yield target.name
    for item in target.items or ():
        yield from _targets(item)


def _shared_in(body: list[tree.Statement]) -> Iterator[str]:
    """The labels of shared layers."""
    for statement in body:
        if isinstance(statement, tree.Shared):
            yield statement.label.name
        for item in statement.items if isinstance(statement, tree.Line) else []:
            for inner in tree.bodies_of(item):
                yield from _shared_in(inner)
