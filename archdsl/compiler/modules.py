"""The files of one compilation: each read once, with what it imports."""

from __future__ import annotations

from collections.abc import Callable

from archdsl.compiler import limits
from archdsl.compiler.frames import Module
from archdsl.compiler.reporting import Reporter
from archdsl.compiler.values import UNKNOWN
from archdsl.diagnostics import Label
from archdsl.layers.layer import LAYERS, Layer, kind_of
from archdsl.problems import Fault, nearest
from archdsl.problems.bounds import TooManyImports
from archdsl.problems.data import PythonNotAllowed
from archdsl.problems.files import BuiltInLayer, ImportCycle, ImportedNetwork, ImportNotFound, UnknownImport
from archdsl.problems.names import DuplicateName
from archdsl.source import Source, Span
from archdsl.syntax.parser import parse
from archdsl.syntax.tree import Broken, File, Import, Let, Train

Load = Callable[[str, Source], Source]
"""Finds an imported file: the path as written and the importing source; raises `Fault`."""


def no_imports(path: str, importer: Source) -> Source:
    """The `Load` of a program that has no file around it."""
    raise Fault(ImportNotFound(path, "this program is not in a file, so it can import nothing"))


class Kept:
    """A `Load` of what another one has found, by path and importer: it needs no files, and can be pickled."""

    def __init__(self, found: dict[tuple[str, str], Source]) -> None:
        self._found = found

    def __call__(self, path: str, importer: Source) -> Source:
        source = self._found.get((path, importer.name))
        return no_imports(path, importer) if source is None else source


class Modules:
    """The files of one compilation, each parsed once. Python among them is run only with `allow_python`."""

    def __init__(self, reporter: Reporter, load: Load, allow_python: bool = False) -> None:
        self._reporter = reporter
        self._load = load
        self._allow_python = allow_python
        self._done: dict[str, Module] = {}
        self._open: list[str] = []
        self._layers: dict[str, dict[str, type[Layer]] | None] = {}
        self.order: list[Module] = []
        self.python: list[Source] = []
        """The files of own layers that were run."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every file, each after what it imports; Python last."""
        return (*(module.source for module in self.order), *self.python)

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
                module.imported += [(label, declaration.path) for label in declaration.names]
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
                module.frame.names.pop(declaration.name, None)
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
        if statement.path.endswith(".py"):
            self._import_layers(statement, module, defined)
            return
        imported = self._imported(statement, module)
        if imported is module:
            # What it declares, above or below, is not defined a second time by that.
            names = (label.name for label in statement.names if label.name not in module.blocks)
            module.frame.names.update(dict.fromkeys(names, UNKNOWN))
            return
        for label in statement.names:
            if not self._define(label.name, label.span, defined):
                continue
            if imported is None:
                module.frame.names[label.name] = UNKNOWN
                continue
            found = imported.blocks.get(label.name)
            if label.name in imported.own:
                module.take(imported.own[label.name])
            elif found is None:
                there = {name: of for name, (block, of) in imported.blocks.items() if not block.is_network}
                known = tuple(name for name, of in there.items() if of is imported)
                passed = tuple(name for name in there if name not in known)
                meant = nearest(label.name, there)
                problem = UnknownImport(label.name, statement.path, meant, known, passed=passed)
                self._reporter.report(problem, label.span)
                module.frame.names[label.name] = UNKNOWN
            elif found[0].is_network:
                blocks = tuple(name for name, (block, _) in imported.blocks.items() if not block.is_network)
                self._reporter.report(ImportedNetwork(label.name, blocks), label.span)
                module.frame.names[label.name] = UNKNOWN
            else:
                module.blocks[label.name] = found
                module.words |= imported.words

    def _import_layers(self, statement: Import, module: Module, defined: dict[str, Span]) -> None:
        layers = self._own_layers(statement, module)
        for label in statement.names:
            if not self._define(label.name, label.span, defined):
                continue
            found = None if layers is None else layers.get(label.name)
            if found is not None and label.name not in LAYERS:
                module.take(found)
                continue
            module.frame.names[label.name] = UNKNOWN
            if found is not None:
                self._reporter.report(BuiltInLayer(label.name, statement.path), label.span)
            elif layers is not None:
                known = tuple(name for name in layers if name not in LAYERS)
                meant = nearest(label.name, known) or nearest(kind_of(label.name), known)
                problem = UnknownImport(label.name, statement.path, meant, known, "layer")
                self._reporter.report(problem, label.span)

    def _own_layers(self, statement: Import, module: Module) -> dict[str, type[Layer]] | None:
        """The layers of a Python file by name; None after saying why there are none."""
        source = self._source(statement, module)
        if source is None:
            return None
        if not self._allow_python:
            self._reporter.report(PythonNotAllowed(statement.path), statement.path_span)
            return None
        if source.name not in self._layers:
            # Nothing else runs what a user wrote, so it is not even imported before it is wanted.
            from archdsl.compiler.own import Broken, layers_of

            self.python.append(source)
            self._layers[source.name] = None
            try:
                self._layers[source.name] = layers_of(source, statement.path)
            except Broken as broken:
                self._reporter.report(broken.problem, statement.path_span, broken.labels)
        return self._layers[source.name]

    def _source(self, statement: Import, module: Module) -> Source | None:
        """The file that is imported; None after saying why there is none."""
        if len(self._done) + len(self._layers) > limits.IMPORTS:
            raise self._reporter.stop(TooManyImports(limits.IMPORTS), statement.path_span)
        try:
            return self._load(statement.path, module.source)
        except Fault as fault:
            self._reporter.report(fault.problem, statement.path_span)
            return None

    def _imported(self, statement: Import, module: Module) -> Module | None:
        """The module that is imported, itself where a file imports itself; None after saying why not."""
        source = self._source(statement, module)
        if source is None:
            return None
        if source.name in self._open:
            circle = (*self._open[self._open.index(source.name) :], source.name)
            self._reporter.report(ImportCycle(circle), statement.path_span)
            return module if source.name == module.source.name else None
        if source.name in self._done:
            return self._done[source.name]
        return self.module(source)
