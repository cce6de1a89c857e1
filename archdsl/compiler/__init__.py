"""From a syntax tree to a network: names, arguments, blocks unrolled, shapes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from archdsl.compiler.blocks import Results
from archdsl.compiler.definitions import Definitions
from archdsl.compiler.depth import deep
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame, Module
from archdsl.compiler.modules import Kept, Load, Modules, no_imports
from archdsl.compiler.names import check_names, check_use
from archdsl.compiler.needs import Needs, expectations_of
from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.compiler.reporting import Failed, Reporter, Stop, Work
from archdsl.compiler.unrolled import LineResult, Part
from archdsl.compiler.unrolling import Unroller
from archdsl.compiler.values import UNKNOWN, Unknown
from archdsl.diagnostics import Diagnostic, Label
from archdsl.layers.shapes import Shape
from archdsl.problems import Problem, nearest
from archdsl.problems.arguments import MissingArgument
from archdsl.problems.bounds import SymbolicTooLarge
from archdsl.problems.files import NoNetwork, UnknownNetwork, UnknownParameter, WhichNetwork
from archdsl.problems.names import DuplicateName
from archdsl.problems.structure import NoInput, NoValue, UnusedSharing, UnusedValue
from archdsl.problems.teaching import UnusedResult
from archdsl.sizes import TooLarge
from archdsl.source import Source, Span
from archdsl.syntax import tree
from archdsl.syntax.parser import parse

__all__ = ["Compilation", "Network", "Node", "Options", "Program", "Scope", "Wire", "Work", "read"]

OPTIONS = {"parameters": "--set", "sizes": "--size", "inputs": "--input"}
"""The options of the command line, by what they replace."""


@dataclass(frozen=True, slots=True)
class Options:
    """What replaces the file's own words: network parameters, sizes for symbols, input shapes.

    A parameter's value may be text, which is read as an expression of the language; text among the extents of
    an input names a size that is left open.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, tuple[int | str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.parameters or self.sizes or self.inputs)

    def called(self, kind: str, name: str) -> str:
        """What messages call the place where something of a kind is replaced."""
        return f"{OPTIONS[kind]} {name}"

    def replaced(self, others: Options) -> Options:
        """These, with others in place of those of the same names."""
        return Options(
            {**self.parameters, **others.parameters},
            {**self.sizes, **others.sizes},
            {**self.inputs, **others.inputs},
        )

    @property
    def names(self) -> set[tuple[str, str]]:
        """What is replaced: of which kind, and its name."""
        return {(kind, name) for kind, given in asdict(self).items() for name in given}

    def only(self, names: set[tuple[str, str]]) -> Options:
        """Those of some of the `names`."""
        kept = {
            kind: {name: value for name, value in given.items() if (kind, name) in names}
            for kind, given in asdict(self).items()
        }
        return Options(**kept)


@dataclass(slots=True, eq=False)
class Compilation:
    """One network of a program, compiled; `network` is None where it has errors.

    Errors in what it does not need, and in what is expected of it, are among the diagnostics all the same.
    `partial` is as much of it as there is where it has errors.
    """

    network: Network | None
    diagnostics: list[Diagnostic]
    expectations: list[tuple[tree.Expect, Frame]]
    partial: Network | None = None

    def sound(self) -> list[tuple[tree.Expect, Frame]]:
        """The expectations in which nothing wrong was found yet."""
        wrong = [d.span for d in self.diagnostics if d.severity == "error"]
        return [e for e in self.expectations if not any(span.within(e[0].span) for span in wrong)]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file declares outside its networks, and what is wrong there; no module where it was given up."""

    module: Module | None
    reporter: Reporter
    sources: tuple[Source, ...] = ()
    unused: tuple[Diagnostic, ...] = ()
    """What is to be said of its names where nothing else is wrong."""


class Program:
    """A parsed file with its imports, ready to have its networks compiled.

    Layers of the user's own, which are Python, run where `allow_python` says so, and nowhere else.
    """

    def __init__(
        self,
        source: Source,
        file: tree.File,
        found: list[Diagnostic],
        load: Load,
        allow_python: bool = False,
    ) -> None:
        self.source = source
        self.file = file
        self._parsed = found
        self._load = load
        self._imported: dict[tuple[str, str], Source] = {}
        self._allow_python = allow_python
        self._last: tuple[dict[str, int], Declared] | None = None
        self.lines: list[LineResult] | None = None
        """Where it is a list, each line that is compiled is put into it with what it gave, errors or not."""
        self.whole = True
        """Whether the file is all there: of a part of one, nothing is said to be unused."""
        networks = [d for d in file.declarations if isinstance(d, tree.Block) and d.is_network]
        self.networks = [network.name for network in networks]
        self._places = {network.name: network.name_span for network in reversed(networks)}

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is read again from the same texts, and needs no files."""
        return read, (self.source, Kept(self._imported), self._allow_python)

    def _find(self, path: str, importer: Source) -> Source:
        found = self._imported[path, importer.name] = self._load(path, importer)
        return found

    def chosen(self, name: str | None = None) -> str | Diagnostic:
        """The network that is meant: the one named, the only one, or the one named like the file."""
        at = Span(self.source, 0, 0)
        if name is not None:
            if name in self._places:
                return name
            known = tuple(self.networks)
            return Diagnostic.of(UnknownNetwork(name, known, nearest(name, known)), at)
        if not self.networks:
            return Diagnostic.of(NoNetwork(), at)
        if len(self.networks) == 1:
            return self.networks[0]
        stem = _bare(self.source.name.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".arch"))
        named_alike = [n for n in self.networks if _bare(n) == stem]
        if len(named_alike) == 1:
            return named_alike[0]
        first = self._places[self.networks[0]]
        return Diagnostic.of(WhichNetwork(self.source.name, tuple(self.networks)), first)

    def compile(
        self, name: str | None = None, options: Options | None = None, work: Work | None = None
    ) -> Compilation:
        """Compile one network. Everything that is wrong with the file is among the diagnostics.

        `work` bounds several compilations together.
        """
        options = Options() if options is None else options
        declared = self._declared(options.sizes)
        reporter = Reporter(work, declared.reporter, self._harmless_for(name))
        expectations: list[tuple[tree.Expect, Frame]] = []
        network: Network | None = None
        if declared.module is not None:
            with suppress(Stop), deep():
                try:
                    network, expectations = self._network(name, declared.module, options, reporter)
                except TooLarge:
                    # Rules of layers are asked in many places; what is too large for one ends it all.
                    reporter.report(SymbolicTooLarge(), Span(self.source, 0, 0))
        found = _in_order(reporter.diagnostics)
        if network is None or reporter.has_errors or not network.outputs:
            return Compilation(None, found, expectations, network)
        # What is named wrongly elsewhere may be what seems to be unused.
        unused = () if any(d.severity == "error" for d in found) else declared.unused
        network.belongs_to(self)
        return Compilation(network, _in_order([*found, *unused]), expectations)

    def _harmless_for(self, name: str | None) -> Callable[[Diagnostic], bool]:
        """Whether an error leaves a network as it is: in what it does not need, or in an `expect` line."""
        chosen = self.chosen(name)
        spans: list[Span] | None = None
        known: dict[int, bool] = {}

        def harmless(d: Diagnostic) -> bool:
            nonlocal spans
            if isinstance(chosen, Diagnostic):
                return False
            if id(d) not in known:
                if spans is None:
                    needed = self._needs.of(chosen)
                    kept = {*map(id, needed)}
                    spans = [one.span for one in self.file.declarations if id(one) not in kept]
                    spans += [line.span for one in needed for line in expectations_of(one)]
                known[id(d)] = any(d.span.within(one) for one in spans)
            return known[id(d)]

        return harmless

    def shared_out(self, options: Options) -> dict[str, Options]:
        """Each network's share of options that are for a file: what it has.

        What no network has goes to the first, for which it is a mistake.
        """
        has = self.having(options)
        missing = options.names.difference(*has.values())
        first = next(iter(has), None)
        return {name: options.only(own | (missing if name == first else set())) for name, own in has.items()}

    def having(self, options: Options) -> dict[str, set[tuple[str, str]]]:
        """The names of options that each network has."""
        found: dict[str, set[tuple[str, str]]] = {}
        for block in self.file.declarations:
            if isinstance(block, tree.Block) and block.is_network:
                inputs = {label.name for s in block.body if isinstance(s, tree.Input) for label in s.names}
                sizes = self._needs.words_of(block.name) if options.sizes else set[str]()
                # An input that is replaced may bring sizes of its own.
                sizes |= {str(size) for name in inputs for size in options.inputs.get(name, ())}
                parameters = {parameter.name for parameter in block.parameters}
                own = {"parameters": parameters, "sizes": sizes, "inputs": inputs}
                found[block.name] = {(kind, name) for kind, name in options.names if name in own[kind]}
        return found

    @cached_property
    def _needs(self) -> Needs:
        return Needs(self.file)

    def names(self) -> Frame | None:
        """The names that a `train` block sees; None where the file was given up."""
        module = self._declared({}).module
        return None if module is None else module.frame

    def check(self) -> Compilation:
        """Everything that is wrong with the file outside its networks (those are compiled one by one)."""
        reporter = Reporter(after=self._declared({}).reporter)
        if not self.file.declarations and not self._parsed:
            reporter.report(NoNetwork(), Span(self.source, 0, 0))
        return Compilation(None, _in_order(reporter.diagnostics), [])

    def unused(self) -> list[Diagnostic]:
        """What the file names and never uses, to be said where nothing is wrong with it."""
        return [*self._declared({}).unused]

    def _network(
        self, name: str | None, module: Module, options: Options, reporter: Reporter
    ) -> tuple[Network | None, list[tuple[tree.Expect, Frame]]]:
        chosen = self.chosen(name)
        if not isinstance(chosen, Diagnostic):
            block = module.networks.get(chosen)
            sources = self._declared(options.sizes).sources
            return (
                (None, [])
                if block is None
                else _compile(module, block, options, reporter, sources, self.lines)
            )
        # Where a declaration could not be read, it may have been the network that is missing.
        if not module.broken:
            reporter.diagnostics.append(chosen)
        return None, []

    def _declared(self, sizes: dict[str, int]) -> Declared:
        """What stands outside the networks: worked out once for all of them, unless sizes are given anew."""
        if self._last is None or self._last[0] != sizes:
            self._last = dict(sizes), self._declare(sizes)
        return self._last[1]

    def _declare(self, sizes: dict[str, int]) -> Declared:
        reporter = Reporter()
        reporter.diagnostics.extend(self._parsed)
        with suppress(Stop), deep():
            modules = Modules(reporter, self._find, self._allow_python)
            module = modules.module(self.source, self.file)
            evaluator = Evaluator(reporter, dict(sizes))
            definitions = Definitions(evaluator, reporter)
            for one in modules.order:
                for let in one.lets:
                    definitions.let(let, one.frame)
            checked = [check_names(one, reporter) for one in modules.order]
            _check_trains(module, reporter)
            unused = Reporter()
            if self.whole and not reporter.has_errors:
                check_use(module, checked[-1], unused)
            return Declared(module, reporter, modules.sources, tuple(unused.diagnostics))
        return Declared(None, reporter)


def read(source: Source, load: Load = no_imports, allow_python: bool = False) -> Program:
    """Parse a source. `load` finds imported files, and `allow_python` runs those of the user's own layers."""
    file, found = parse(source)
    return Program(source, file, found, load, allow_python)


def _compile(
    module: Module,
    block: tree.Block,
    options: Options,
    reporter: Reporter,
    sources: tuple[Source, ...],
    lines: list[LineResult] | None = None,
) -> tuple[Network | None, list[tuple[tree.Expect, Frame]]]:
    evaluator = Evaluator(reporter, dict(options.sizes))
    frame = Frame(module.frame, module, block)
    parameters = _bind_parameters(block, options, evaluator, frame)
    inputs = {
        name: Shape(evaluator.open_size(size) if isinstance(size, str) else size for size in shape)
        for name, shape in options.inputs.items()
    }
    unroller = Unroller(evaluator, reporter, block, frame)
    unroller.unrolled.lines = lines
    entries, results = unroller.network(inputs)
    scope, unrolled = unroller.scope, unroller.unrolled
    if not any(isinstance(s, tree.Input) or _is_broken_input(s) for s in block.body):
        reporter.report(NoInput(block.name), block.name_span)
    _check_options(block, options, frame, reporter)
    for shared in unrolled.shared:
        if not shared.uses and not reporter.has_errors:
            reporter.report(UnusedSharing(shared.label), shared.span)
    outputs = _outputs(block, results, reporter)
    scope.outputs = tuple(outputs)
    scope.inputs = tuple(Wire(entry) for entry in entries)
    network = Network(
        name=block.name,
        documentation=block.documentation,
        inputs=entries,
        outputs=outputs,
        output_names=results.names or [str(wire) for wire in outputs],
        nodes=unrolled.nodes,
        scope=scope,
        parameters=parameters,
        train=_train_of(module, block.name),
        place=block.name_span,
        sources=sources,
        options=asdict(options),
        symbols=frozenset(reporter.symbols),
    )
    if outputs and not reporter.has_errors:
        _unused(network, unrolled.parts, reporter)
        for place, odd in unrolled.joins.items():
            if odd is not None:
                problem, node = odd
                labels = () if node.defined is None else (Label(node.use, "used here"),)
                reporter.report(problem, place, labels)
    return network, unrolled.expectations


def _unused(network: Network, parts: list[Part], reporter: Reporter) -> None:
    """Report what is made and never used, unless `_` says that it is meant so."""
    dropped = {wire.node.defined or wire.node.use for label, wire, _ in parts if label.name == "_"}
    alone: set[Node] = set()
    for node in network.unused():
        alone.add(node)
        place = node.defined or node.use
        if place not in dropped:
            reporter.report(UnusedValue(node.name), place)
    several = [part for part in parts if len(part[1].node.shapes) > 1 and part[0].name != "_"]
    if not several:
        return
    used = {wire for node in network.nodes for wire in node.inputs}
    for label, wire, scope in several:
        if wire not in used and wire.node not in alone and not _given_on(wire, scope):
            reporter.report(UnusedResult(label.name, wire.node.name), label.span)


def _given_on(wire: Wire, scope: Scope | None) -> bool:
    """Whether a value is among the results of a scope or one around it, whose user may drop it."""
    while scope is not None:
        if wire in scope.outputs:
            return True
        scope = scope.parent
    return False


def _bind_parameters(
    block: tree.Block, options: Options, evaluator: Evaluator, frame: Frame
) -> dict[str, Any]:
    """The network's parameters: what the options give, else the defaults."""
    bound: dict[str, Any] = {}
    for parameter in block.parameters:
        value: Any = UNKNOWN
        place = options.called("parameters", parameter.name)
        try:
            if parameter.name in options.parameters:
                value = _given(options.parameters[parameter.name], place, evaluator, frame)
            elif parameter.default is not None:
                value = evaluator.evaluate(parameter.default, frame)
            else:
                problem = MissingArgument(block.name, (parameter.name,), f"{place}=...")
                evaluator.reporter.report(problem, parameter.name_span)
        except Failed:
            pass
        if parameter.name in frame.names:
            first = Label(frame.spans[parameter.name], "first defined here")
            evaluator.reporter.report(DuplicateName(parameter.name), parameter.name_span, (first,))
        frame.names[parameter.name] = value
        frame.spans[parameter.name] = parameter.name_span
        bound[parameter.name] = value
    return bound


def _given(value: Any, place: str, evaluator: Evaluator, frame: Frame) -> Any:
    """An option's value: text is an expression, lists are tuples."""
    if isinstance(value, list):
        return tuple(_given(v, place, evaluator, frame) for v in value)
    if not isinstance(value, str):
        return value
    source = Source(place, f"let value = {value}")
    file, found = parse(source)
    lets = [d for d in file.declarations if isinstance(d, tree.Let)]
    if found or len(lets) != 1:
        evaluator.reporter.diagnostics.extend(found)
        raise Failed
    return evaluator.evaluate(lets[0].value, frame.module.frame)


def _check_options(block: tree.Block, options: Options, frame: Frame, reporter: Reporter) -> None:
    """What is set must be there to be set."""
    parameters = tuple(p.name for p in block.parameters)
    inputs = tuple(label.name for s in block.body if isinstance(s, tree.Input) for label in s.names)
    symbols = tuple(sorted(set(reporter.symbols)))
    for kind, what, given, known in (
        ("parameters", "parameter", options.parameters, parameters),
        ("inputs", "input", options.inputs, inputs),
        ("sizes", "symbolic size", options.sizes, symbols),
    ):
        for name in given:
            if name not in known:
                problem = UnknownParameter(block.name, name, what, known, nearest(name, known))
                place = Source(options.called(kind, name), name)
                reporter.report(problem, Span(place, 0, len(name)))


def _is_broken_input(statement: tree.Statement) -> bool:
    return isinstance(statement, tree.Broken) and statement.span.text.startswith("input")


def _outputs(block: tree.Block, results: Results, reporter: Reporter) -> list[Wire]:
    value = results.value
    if isinstance(value, Unknown):
        return []
    if value is None:
        if not reporter.has_errors:
            reporter.report(NoValue(()), block.name_span)
        return []
    return [value] if isinstance(value, Wire) else list(value)


def _check_trains(module: Module, reporter: Reporter) -> None:
    """A train block is the only network's, or names its network; a network has one at most."""
    known = tuple(module.networks)
    seen: set[str] = set()
    for train in module.trains:
        at = train.network_span or Span(train.span.source, train.span.start, train.span.start + len("train"))
        problem: Problem | None = None
        if train.network is None:
            if len(known) > 1:
                problem = WhichNetwork(module.source.name, known, for_training=True)
            elif not known:
                problem = NoNetwork()
        elif train.network not in known:
            problem = UnknownNetwork(train.network, known, nearest(train.network, known))
        name = train.network or (known[0] if len(known) == 1 else "")
        if problem is None and name in seen:
            problem = DuplicateName(f"train {name}")
        seen.add(name)
        if problem is not None:
            reporter.report(problem, at)


def _train_of(module: Module, network: str) -> tree.Train | None:
    for train in module.trains:
        if train.network in (network, None):
            return train
    return None


def _bare(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _in_order(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """By place within a file; files in the order in which they were first spoken of."""
    files: dict[str, int] = {}
    for diagnostic in diagnostics:
        files.setdefault(diagnostic.span.source.name, len(files))
    return sorted(diagnostics, key=lambda d: (files[d.span.source.name], d.span.start, d.span.end))
