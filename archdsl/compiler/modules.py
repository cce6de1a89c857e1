"""The files of one compilation: each read once, with what it imports."""

from __future__ import annotations

from collections.abc import Callable

from archdsl.compiler import limits
from archdsl.compiler.frames import Module
from archdsl.compiler.reporting import Reporter
from archdsl.compiler.values import UNKNOWN
from archdsl.diagnostics import Label
from archdsl.problems import Fault, nearest
from archdsl.problems.bounds import TooManyImports
from archdsl.problems.files import ImportCycle, ImportNotFound, UnknownImport
from archdsl.problems.names import DuplicateName
from archdsl.source import Source, Span
from archdsl.syntax.parser import parse
from archdsl.syntax.tree import Broken, File, Import, Let, Train

Load = Callable[[str, Source], Source]
"""Finds an imported file: the path as written and the importing source; raises `Fault`."""


def no_imports(path: str, importer: Source) -> Source:
    """The `Load` of a program that has no file around it."""
    raise Fault(ImportNotFound(path, "this program is not in a file, so it can import nothing"))


class Modules:
    """The files of one compilation, each parsed once."""

    def __init__(self, reporter: Reporter, load: Load) -> None:
        self._reporter = reporter
        self._load = load
        self._done: dict[str, Module] = {}
        self._open: list[str] = []
        self.order: list[Module] = []

    def module(self, source: Source, tree: File | None = None) -> Module:
        """The module of a source, with everything it imports. `tree` spares parsing it again."""
        if tree is None:
            tree, diagnostics = parse(source)
            self._reporter.diagnostics.extend(diagnostics)
        module = Module(source)
        self._done[source.name] = module
        self._open.append(source.name)
        defined: dict[str, Span] = {}
        for declaration in tree.declarations:
            if isinstance(declaration, Import):
                self._import(declaration, module, defined)
            elif isinstance(declaration, Train):
                module.trains.append(declaration)
            elif isinstance(declaration, Let):
                module.lets.append(declaration)
            elif isinstance(declaration, Broken):
                module.broken = True
                module.frame.tainted = True
            elif self._define(declaration.name, declaration.name_span, defined):
                module.blocks[declaration.name] = (declaration, module)
                if declaration.is_network:
                    module.networks[declaration.name] = declaration
        self._open.pop()
        self.order.append(module)
        return module

    def _define(self, name: str, span: Span, defined: dict[str, Span]) -> bool:
        if name in defined:
            self._reporter.report(DuplicateName(name), span, (Label(defined[name], "first defined here"),))
            return False
        defined[name] = span
        return True

    def _import(self, statement: Import, module: Module, defined: dict[str, Span]) -> None:
        imported = self._imported(statement, module)
        for label in statement.names:
            if not self._define(label.name, label.span, defined):
                continue
            if imported is None:
                module.frame.names[label.name] = UNKNOWN
                continue
            found = imported.blocks.get(label.name)
            if found is None:
                known = tuple(imported.blocks)
                problem = UnknownImport(label.name, statement.path, nearest(label.name, known), known)
                self._reporter.report(problem, label.span)
                module.frame.names[label.name] = UNKNOWN
            else:
                module.blocks[label.name] = found

    def _imported(self, statement: Import, module: Module) -> Module | None:
        if len(self._done) > limits.IMPORTS:
            raise self._reporter.stop(TooManyImports(limits.IMPORTS), statement.path_span)
        try:
            source = self._load(statement.path, module.source)
        except Fault as fault:
            self._reporter.report(fault.problem, statement.path_span)
            return None
        if source.name in self._open:
            circle = (*self._open[self._open.index(source.name) :], source.name)
            self._reporter.report(ImportCycle(circle), statement.path_span)
            return None
        if source.name in self._done:
            return self._done[source.name]
        return self.module(source)
