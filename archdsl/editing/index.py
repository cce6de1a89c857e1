"""The names of a file: where each is defined, what it stands for, and every place that means it.

An index follows the tree alone, without compiling, so it is there for a file that is half written too.
It finds what is meant as the compiler does: labels, inputs, parameters, `let`s and loop names are one
family; in a chain a name is a shared layer, a parameter or a loop's name, then a block, then a layer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from archdsl.compiler.expressions import ANSWER_WORDS, compared_with_answers
from archdsl.compiler.signatures import Signature
from archdsl.layers import LAYERS
from archdsl.source import Source, Span
from archdsl.syntax import tree

What = Literal["network", "block", "parameter", "input", "label", "let", "shared", "loop", "import"]

_WORD = re.compile(r"\w+")
IN_CHAINS = ("shared", "parameter", "loop")
"""What may hold a layer, and so stand in a chain."""


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a stretch of the file, and the scope around it; `body` is the block it belongs to."""

    start: int
    end: int
    parent: Scope | None
    body: tree.Block | None = None
    names: dict[str, Definition] = field(default_factory=dict)

    def around(self) -> Iterator[Scope]:
        """This scope and those around it, from the inside out."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def visible(self) -> dict[str, Definition]:
        """Every name that is seen from here, the inner before the outer."""
        found: dict[str, Definition] = {}
        for scope in self.around():
            for name, definition in scope.names.items():
                found.setdefault(name, definition)
        return found


@dataclass(slots=True, eq=False)
class Definition:
    """What a name stands for. `around` is the scope that has it, `inner` the scope that it opens."""

    name: str
    span: Span
    what: What
    node: Any
    around: Scope
    inner: Scope | None = None

    @property
    def place(self) -> tuple[str, int]:
        """By which it is known again when its file has been read anew."""
        return self.span.source.name, self.span.start

    @property
    def is_loop(self) -> bool:
        """Whether it is the label of a loop, so that `name_3` is its third round."""
        items = self.node.items if isinstance(self.node, tree.Line) else []
        return len(items) == 1 and isinstance(items[0], tree.For | tree.Repeat)


@dataclass(slots=True, eq=False)
class Reference:
    """A place that means a definition: its own name where it is `declared`, or a use of it."""

    span: Span
    definition: Definition
    declared: bool = False


@dataclass(slots=True, eq=False)
class Called:
    """A layer or block with arguments, in a chain or an expression."""

    name: str
    name_span: Span
    arguments: list[tree.Argument]
    definition: Definition | None
    """What of the file it is; None for a layer, a function of the language or nothing that is known."""


Find = Callable[[str], "Index | None"]
"""The index of a file that is imported, by its path as written."""


def imports_nothing(path: str) -> Index | None:
    return None


class Index:
    """The names of one file."""

    def __init__(self, file: tree.File, find: Find = imports_nothing) -> None:
        self.file = file
        self.source: Source = file.source
        self.module = Scope(0, len(file.source.text), None)
        self.scopes: list[Scope] = [self.module]
        self.definitions: list[Definition] = []
        self.references: list[Reference] = []
        self.calls: dict[int, Called] = {}
        """By where their names start."""
        self.imports: list[tree.Import] = []
        self._inner: dict[int, Scope] = {}
        for declaration in file.declarations:
            self._declare(declaration, find)
        for declaration in file.declarations:
            self._follow(declaration)
        self.references.sort(key=lambda reference: reference.span.start)
        self._starts = [reference.span.start for reference in self.references]

    def at(self, offset: int) -> Reference | None:
        """The place that a cursor stands in, or directly behind."""
        index = bisect_right(self._starts, offset)
        for reference in reversed(self.references[max(0, index - 2) : index]):
            if reference.span.start <= offset <= reference.span.end:
                return reference
        return None

    def scope_at(self, offset: int) -> Scope:
        """The innermost scope around a cursor."""
        around = [scope for scope in self.scopes if scope.start <= offset <= scope.end]
        return min(around, key=lambda scope: scope.end - scope.start, default=self.module)

    def exported(self, name: str) -> Definition | None:
        """What an import of this name from this file brings."""
        found = self.module.names.get(name)
        return found if found is not None and found.what in ("block", "network") else None

    # ------------------------------------------------------------------------ definitions

    def _declare(self, declaration: tree.Declaration, find: Find) -> None:
        module = self.module
        if isinstance(declaration, tree.Block):
            span = declaration.span
            inner = self._scope(span.start, span.end, module, declaration)
            what: What = "network" if declaration.is_network else "block"
            self._define(declaration.name, declaration.name_span, what, declaration, module, inner)
            for parameter in declaration.parameters:
                self._define(parameter.name, parameter.name_span, "parameter", parameter, inner)
            self._define_in(declaration.body, inner)
        elif isinstance(declaration, tree.Let):
            self._define_let(declaration, module)
        elif isinstance(declaration, tree.Import):
            self.imports.append(declaration)
            imported = find(declaration.path)
            for label in declaration.names:
                found = None if imported is None else imported.exported(label.name)
                if found is None:
                    self._define(label.name, label.span, "import", declaration, module)
                else:
                    module.names.setdefault(label.name, found)
                    self.references.append(Reference(label.span, found))
        elif isinstance(declaration, tree.Broken):
            for label in declaration.names:
                self._define(label.name, label.span, "import", declaration, module)

    def _define(
        self, name: str, span: Span, what: What, node: Any, scope: Scope, inner: Scope | None = None
    ) -> None:
        if name == "_":
            return
        definition = Definition(name, span, what, node, scope, inner)
        first = scope.names.setdefault(name, definition)
        if first is definition:
            self.definitions.append(definition)
        self.references.append(Reference(span, first, declared=True))

    def _scope(self, start: int, end: int, parent: Scope, body: tree.Block | None) -> Scope:
        scope = Scope(start, end, parent, body)
        self.scopes.append(scope)
        return scope

    def _define_let(self, let: tree.Let, scope: Scope) -> None:
        inner = None
        if let.parameters is not None:
            inner = self._scope(let.span.start, let.span.end, scope, scope.body)
            for label in let.parameters:
                self._define(label.name, label.span, "parameter", let, inner)
            self._inner[id(let)] = inner
        self._define(let.name, let.name_span, "let", let, scope)

    def _define_in(self, body: list[tree.Statement], scope: Scope) -> None:
        """The names that the statements of a body define, those of the groups in it among them."""
        for statement in body:
            if isinstance(statement, tree.Line):
                self._define_line(statement, scope)
            elif isinstance(statement, tree.Let):
                self._define_let(statement, scope)
            elif isinstance(statement, tree.Input):
                for label in statement.names:
                    self._define(label.name, label.span, "input", statement, scope)
            elif isinstance(statement, tree.Shared):
                self._define(statement.label.name, statement.label.span, "shared", statement, scope)
                self._define_items(statement.items, scope)
            elif isinstance(statement, tree.Broken):
                for label in statement.names:
                    self._define(label.name, label.span, "label", statement, scope)

    def _define_line(self, line: tree.Line, scope: Scope) -> None:
        labels, items = line.labels, line.items
        named = len(labels) == 1 and labels[0].name != "_"
        only = items[0] if len(items) == 1 else None
        inner = None
        if named and items and not isinstance(only, tree.Use):
            inner = self._scope(line.span.start, line.span.end, scope, scope.body)
            self._inner[id(line)] = inner
        for label in labels:
            self._define(label.name, label.span, "label", line, scope, inner)
        if inner is not None and isinstance(only, tree.For | tree.Repeat):
            # A labelled loop's rounds are the label's scope.
            self._inner[id(only)] = inner
            self._define_round(only, inner)
        else:
            self._define_items(items, inner or scope)

    def _define_items(self, items: list[tree.Item], scope: Scope) -> None:
        for item in items:
            if isinstance(item, tree.For | tree.Repeat):
                inner = self._scope(item.span.start, item.span.end, scope, scope.body)
                self._inner[id(item)] = inner
                self._define_round(item, inner)
            elif not isinstance(item, tree.Use):
                for body in tree.bodies_of(item):
                    self._define_in(body, scope)

    def _define_round(self, loop: tree.For | tree.Repeat, scope: Scope) -> None:
        targets = [loop.target] if isinstance(loop, tree.For) else []
        for target in targets:
            if target.name is not None:
                self._define(target.name, target.span, "loop", loop, scope)
            targets += target.items or []
        self._define_in(loop.body, scope)

    # ------------------------------------------------------------------------ uses

    def _follow(self, declaration: tree.Declaration) -> None:
        if isinstance(declaration, tree.Block):
            inner = next(scope for scope in self.scopes if scope.body is declaration)
            for parameter in declaration.parameters:
                if parameter.default is not None:
                    self._expression(parameter.default, inner)
            self._body(declaration.body, inner)
        elif isinstance(declaration, tree.Let):
            self._let(declaration, self.module)
        elif isinstance(declaration, tree.Train):
            self._train(declaration)

    def _let(self, let: tree.Let, scope: Scope) -> None:
        self._expression(let.value, self._inner.get(id(let), scope))

    def _body(self, body: list[tree.Statement], scope: Scope) -> None:
        for statement in body:
            if isinstance(statement, tree.Line):
                for expression in statement.origin or ():
                    self._expression(expression, scope)
                self._items(statement.items, self._inner.get(id(statement), scope))
            elif isinstance(statement, tree.Let):
                self._let(statement, scope)
            elif isinstance(statement, tree.Shared):
                self._items(statement.items, scope)
            elif isinstance(statement, tree.Output):
                for expression in statement.values:
                    self._expression(expression, scope)
            elif isinstance(statement, tree.Expect):
                self._expression(statement.test, scope)
            elif isinstance(statement, tree.Input) and statement.shape is not None:
                self._expression(statement.shape, scope)

    def _items(self, items: list[tree.Item], scope: Scope) -> None:
        for item in items:
            if isinstance(item, tree.Use):
                self._use(item, scope)
                continue
            if isinstance(item, tree.Parallel):
                self._use(item.join, scope)
            elif isinstance(item, tree.Repeat):
                self._expression(item.count, scope)
            elif isinstance(item, tree.For):
                self._expression(item.values, scope)
            elif isinstance(item, tree.If):
                self._expression(item.test, scope)
            inner = self._inner.get(id(item), scope)
            for body in tree.bodies_of(item):
                self._body(body, inner)

    def _use(self, use: tree.Use, scope: Scope) -> None:
        parts = _parts(use.name_span)
        found = self.in_chain(parts[0][0], scope)
        if found is not None:
            found = self._path(found, parts)
        self._call(use.name, use.name_span, use.arguments, found, scope)

    def in_chain(self, name: str, scope: Scope) -> Definition | None:
        """What a name in a chain is, if it is something of a file and no layer."""
        seen = [one.names[name] for one in scope.around() if name in one.names]
        holder = next((one for one in seen if one.what in IN_CHAINS), None)
        if holder is not None:
            return holder
        block = next((one for one in seen if one.what in ("block", "network", "import")), None)
        if block is not None:
            return block
        return None if name in LAYERS else next(iter(seen), None)

    def _call(
        self,
        name: str,
        span: Span,
        arguments: list[tree.Argument],
        found: Definition | None,
        scope: Scope,
    ) -> None:
        self.calls[span.start] = Called(name, span, arguments, found)
        block = found.node if found is not None and isinstance(found.node, tree.Block) else None
        layer = LAYERS.get(name) if found is None else None
        for argument, parameter in _bound(arguments, block, layer):
            if argument.name_span is not None and block is not None and found is not None and found.inner:
                meant = found.inner.names.get(argument.name or "")
                if meant is not None and meant.what == "parameter":
                    self.references.append(Reference(argument.name_span, meant))
            kind = layer.arguments.get(parameter) if layer is not None and parameter is not None else None
            words = kind.kind.words if kind is not None else frozenset()
            self._expression(argument.value, scope, words)

    def _expression(
        self, expression: tree.Expression, scope: Scope, words: frozenset[str] = frozenset()
    ) -> None:
        answers = compared_with_answers(expression)
        waiting = [expression]
        for node in waiting:
            if isinstance(node, tree.Name):
                if node.id not in (ANSWER_WORDS if node in answers else words):
                    self._value(node.id, node.span, scope)
            elif isinstance(node, tree.Attribute):
                if not self._attribute(node, scope):
                    waiting.append(node.value)
            elif isinstance(node, tree.Call):
                found = next((s.names[node.callee] for s in scope.around() if node.callee in s.names), None)
                if found is not None:
                    self.references.append(Reference(node.callee_span, found))
                self._call(node.callee, node.callee_span, node.arguments, found, scope)
            else:
                waiting += tree.operands(node)

    def value_of(self, name: str, scope: Scope) -> tuple[Definition, bool] | None:
        """What a name in an expression is, and whether it names a round of a loop, as `stage_3` does."""
        for one in scope.around():
            if name in one.names:
                return one.names[name], False
        loop, _, number = name.rpartition("_")
        if loop and number.isdigit():
            for one in scope.around():
                if loop in one.names and one.names[loop].is_loop:
                    return one.names[loop], True
        return None

    def _value(self, name: str, span: Span, scope: Scope) -> Definition | None:
        found = self.value_of(name, scope)
        if found is None:
            return None
        definition, is_round = found
        end = span.start + len(definition.name) if is_round else span.end
        self.references.append(Reference(Span(span.source, span.start, end), definition))
        return definition

    def _attribute(self, node: tree.Attribute, scope: Scope) -> bool:
        """Follow `a.b.c` from its first name; False where something else stands before the dot."""
        parts: list[tuple[str, Span]] = []
        value: tree.Expression = node
        while isinstance(value, tree.Attribute):
            parts.append((value.name, value.name_span))
            value = value.value
        if not isinstance(value, tree.Name):
            return False
        found = self._value(value.id, value.span, scope)
        if found is not None:
            self._members(found, parts[::-1])
        return True

    def _path(self, head: Definition, parts: list[tuple[str, Span]]) -> Definition | None:
        self.references.append(Reference(parts[0][1], head))
        return self._members(head, parts[1:]) if len(parts) > 1 else head

    def _unlabelled(self, name: str, span: Span, scope: Scope) -> Definition | None:
        """The block whose third use without a label a recipe names as `Unit_3`."""
        kind, _, number = name.rpartition("_")
        found = self.in_chain(kind, scope) if number.isdigit() else None
        if found is None or found.what not in ("block", "import"):
            return None
        self.references.append(Reference(Span(span.source, span.start, span.start + len(kind)), found))
        return found

    def _members(
        self, found: Definition, parts: list[tuple[str, Span]], in_recipe: bool = False
    ) -> Definition | None:
        """Follow names after dots; what the last means, None where one is no label."""
        for name, span in parts:
            inner = self.inside(found)
            value = None if inner is None else self.value_of(name, Scope(0, 0, None, None, inner.names))
            if value is None and inner is not None and in_recipe:
                used = self._unlabelled(name, span, inner)
                if used is None:
                    return None
                found = used
                continue
            if value is None or value[0].what == "parameter":
                return None
            found, is_round = value
            end = span.start + len(found.name) if is_round else span.end
            self.references.append(Reference(Span(span.source, span.start, end), found))
        return found

    def inside(self, definition: Definition) -> Scope | None:
        """The scope whose labels stand after the dot: a group's, a loop's, or that of the block used."""
        for _ in range(8):
            if definition.inner is not None:
                return definition.inner
            line = definition.node
            if not isinstance(line, tree.Line):
                return None
            following: Definition | None = None
            if not line.items and line.origin is not None and len(line.origin) == 1:
                value = line.origin[0]
                if isinstance(value, tree.Name):
                    meant = self.value_of(value.id, definition.around)
                    following = None if meant is None else meant[0]
            elif len(line.items) == 1 and isinstance(line.items[0], tree.Use):
                following = self.in_chain(line.items[0].name.split(".")[0], definition.around)
            if following is None:
                return None
            definition = following
        return None

    # ------------------------------------------------------------------------ recipes

    def network_of(self, train: tree.Train) -> Definition | None:
        """The network that a `train` block is for."""
        networks = [one for one in self.module.names.values() if one.what == "network"]
        if train.network is None:
            own = [one for one in networks if one.span.source is self.source]
            return own[0] if len(own) == 1 else None
        return next((one for one in networks if one.name == train.network), None)

    def _train(self, train: tree.Train) -> None:
        network = self.network_of(train)
        if network is not None and train.network_span is not None:
            self.references.append(Reference(train.network_span, network))
        scope = network.inner if network is not None and network.inner is not None else self.module
        for setting in train.settings:
            if not isinstance(setting, tree.Setting):
                continue
            *parts, key = _parts(setting.key_span)
            if parts:
                head = self._value(*parts[0], scope) or self._unlabelled(*parts[0], scope)
                if head is not None:
                    self._members(head, parts[1:], in_recipe=True)
            for value in setting.values:
                self._recipe_value(value, scope, labels=key[0] == "loss")

    def _recipe_value(self, expression: tree.Expression, scope: Scope, labels: bool) -> None:
        """A recipe's names are its words; besides them it sees the file's numbers and, in a loss, outputs."""
        waiting: list[tuple[tree.Expression, bool]] = [(expression, False)]
        for node, inside_call in waiting:
            if isinstance(node, tree.Name):
                found = self.value_of(node.id, scope)
                number = found is not None and found[0].what in ("let", "parameter")
                if number or (labels and inside_call):
                    self._value(node.id, node.span, scope)
            elif isinstance(node, tree.Attribute) and labels:
                self._attribute(node, scope)
            elif isinstance(node, tree.Call):
                found = self.value_of(node.callee, scope)
                if found is not None and found[0].what == "let":
                    self.references.append(Reference(node.callee_span, found[0]))
                waiting += [(argument.value, True) for argument in node.arguments]
            elif isinstance(node, tree.List):
                waiting += [(item, inside_call) for item in node.items]
            elif isinstance(node, tree.Index):
                waiting += [(node.value, inside_call), (node.index, inside_call)]
            elif isinstance(node, tree.Unary):
                waiting.append((node.operand, inside_call))
            elif isinstance(node, tree.Binary):
                waiting += [(node.left, inside_call), (node.right, inside_call)]
            elif isinstance(node, tree.Conditional):
                waiting += [(one, inside_call) for one in (node.then, node.test, node.otherwise)]


def _parts(span: Span) -> list[tuple[str, Span]]:
    """The names of a dotted one, each with its place."""
    return [
        (match.group(), Span(span.source, span.start + match.start(), span.start + match.end()))
        for match in _WORD.finditer(span.text)
    ] or [("", span)]


def _bound(
    arguments: list[tree.Argument], block: tree.Block | None, layer: Any
) -> Iterator[tuple[tree.Argument, str | None]]:
    """Each argument with the parameter that it is for, where that is known."""
    names: tuple[str, ...] = ()
    if block is not None:
        names = tuple(parameter.name for parameter in block.parameters)
    elif layer is not None and not Signature.of_layer(layer).values:
        names = Signature.of_layer(layer).parameters
    position = 0
    for argument in arguments:
        if argument.name is not None:
            yield argument, argument.name
            continue
        yield argument, names[position] if position < len(names) else None
        position += 1
