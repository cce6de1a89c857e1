"""A document checked: what is wrong with it, and what is known of each of its lines.

A network is checked by itself, with the declarations that it uses, and what was found is kept: after an
edit only the networks whose declarations changed are checked again, and what is kept of the others is
moved to where they stand now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archdsl.analysis import Analysis, Field, Fields
from archdsl.checking import check_program
from archdsl.compiler import Program, Wire, Work
from archdsl.compiler.needs import Needs
from archdsl.compiler.network import Node
from archdsl.compiler.unrolled import LineResult
from archdsl.compiler.values import Flow
from archdsl.diagnostics import Diagnostic, Label
from archdsl.editing.document import Document, Library
from archdsl.layers.shapes import Shape
from archdsl.net import Net
from archdsl.recipes.reader import read_recipe
from archdsl.report.columns import field_texts
from archdsl.sizes import Size
from archdsl.source import Source, Span
from archdsl.syntax import tree
from archdsl.teaching.allowing import divided, unneeded

KEPT = 200
"""Networks of which is kept what was found, besides those of the document that was checked last."""

TIMES = 16
"""Times that a line is unrolled of which all is kept; of later ones, the shapes."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a line or layer, as it was unrolled once in a network.

    `parameters` and `macs` are those of all that it made; they are None, and so is `reach`, where the network
    has errors and was not analysed.
    """

    network: str
    shapes: tuple[Shape, ...]
    parameters: Size | None = None
    macs: Size | None = None
    reach: Field | Fields | None = None
    inputs: tuple[Shape, ...] = ()

    @property
    def field(self) -> str:
        """The receptive field as the table has it; empty where there is none to speak of."""
        return field_texts(self._told, "size")

    @property
    def stride(self) -> str:
        return field_texts(self._told, "stride")

    @property
    def _told(self) -> dict[str, Any]:
        return {"receptive_field": None if self.reach is None else self.reach.to_dict()}


@dataclass(slots=True)
class Seen:
    """All that is known of a line, or of a layer's use: the facts of its `first` times, all `shapes` it gave.

    A line is `once` where it belongs to one network and stands in it a single time.
    """

    first: list[Facts] = field(default_factory=list)
    shapes: dict[tuple[Shape, ...], None] = field(default_factory=dict)
    times: int = 0
    once: bool = True

    def copy(self) -> Seen:
        return replace(self, first=list(self.first), shapes=dict(self.shapes))

    def add(self, other: Seen) -> None:
        """Take in what another network says of the same line."""
        self.first += other.first
        self.shapes |= other.shapes
        self.times += other.times
        self.once = False


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of a network as a whole."""

    parameters: Size
    macs: Size
    forward_peak: Size | None
    training_peak: Size | None
    field: str
    depth: int


@dataclass(slots=True)
class _Unit:
    """What was found of one network, by places in the pieces of the source that it was found in."""

    source: Source
    pieces: list[tuple[int, int]]
    diagnostics: list[Diagnostic]
    lines: dict[int, Seen]
    uses: dict[int, Seen]
    totals: Totals | None
    silenced: list[Diagnostic]
    written: set[int]
    """Where its layers are written, in the document itself."""
    right: bool


@dataclass(slots=True)
class Check:
    """A document, checked. `lines` and `uses` go by where they start, `totals` by network.

    `foreign` are the diagnostics of files that it imports, and `loaded` the names of those files.
    """

    document: Document
    diagnostics: list[Diagnostic]
    foreign: list[Diagnostic]
    lines: dict[int, Seen]
    uses: dict[int, Seen]
    totals: dict[str, Totals]
    loaded: frozenset[str]


class Cancelled(Exception):
    """A newer text came before this one was checked."""


class Checker:
    """Checks documents, and keeps what it found of networks that an edit leaves alone."""

    def __init__(self, library: Library, allow_python: bool = False, teach: bool = False) -> None:
        self._library = library
        self._allow_python = allow_python
        self.teach = teach
        """Whether what one should know of a network is said, too."""
        self._units: OrderedDict[tuple[Any, ...], _Unit] = OrderedDict()

    def check(self, document: Document, cancelled: Callable[[], bool] = lambda: False) -> Check:
        """Everything about a document. Raises `Cancelled` between networks where `cancelled` says so."""
        source, file = document.source, document.file
        loaded: list[tuple[str, str]] = []
        load = self._library.imports(document, loaded)
        whole = Program(source, file, document.mistakes, load, self._allow_python)
        found = list(whole.check().diagnostics)
        imported = tuple(dict.fromkeys(loaded))
        lines: dict[int, Seen] = {}
        uses: dict[int, Seen] = {}
        totals: dict[str, Totals] = {}
        quiet: list[Diagnostic] = []
        written: set[int] = set()
        right = 0
        work = Work()
        needs = Needs(file)
        for network in dict.fromkeys(whole.networks):
            if cancelled():
                raise Cancelled
            if work.left < 0:
                break
            unit, move = self._unit(document, network, needs.of(network), imported, work)
            found += [_moved(diagnostic, unit.source, source, move) for diagnostic in unit.diagnostics]
            for known, all_known in ((unit.lines, lines), (unit.uses, uses)):
                for start, seen in known.items():
                    if move(start) in all_known:
                        all_known[move(start)].add(seen)
                    else:
                        all_known[move(start)] = seen.copy()
            if unit.totals is not None:
                totals[network] = unit.totals
            quiet += [_moved(diagnostic, unit.source, source, move) for diagnostic in unit.silenced]
            written |= {source.line_at(move(start)) for start in unit.written}
            right += unit.right
        for declaration in file.declarations:
            if isinstance(declaration, tree.Train) and _network_of(declaration, whole.networks) is None:
                found += read_recipe(declaration, None, frame=whole.names())[1]
        if right or not whole.networks:
            unused, hushed = divided(whole.unused())
            found += unused
            quiet += hushed
        if whole.networks and right == len(whole.networks):
            wrong = any(one.severity == "error" for one in found)
            found += unneeded(whole, lambda: written, quiet, self.teach, not wrong, found)
        while len(self._units) > KEPT + len(whole.networks):
            self._units.popitem(last=False)
        own, foreign = _sorted_out(divided(found)[0], source)
        return Check(document, own, foreign, lines, uses, totals, frozenset(name for name, _ in loaded))

    def _unit(
        self,
        document: Document,
        network: str,
        kept: list[tree.Declaration],
        imported: tuple[Any, ...],
        work: Work,
    ) -> tuple[_Unit, Callable[[int], int]]:
        """What is known of a network, and how its places are moved to where they are now."""
        pieces = [(one.span.start, one.span.end) for one in kept]
        text = document.text
        has_imports = any(isinstance(one, tree.Import) for one in kept)
        key = (
            document.name,
            network,
            self.teach,
            imported if has_imports else (),
            *(text[start:end] for start, end in pieces),
            *(_allowed_around(document.source, start, end) for start, end in pieces),
        )
        unit = self._units.get(key)
        if unit is None:
            unit = self._checked(document, network, kept, pieces, work)
            if work.left >= 0:
                self._units[key] = unit
        else:
            self._units.move_to_end(key)
        if unit.source is document.source:
            return unit, lambda offset: offset
        starts = [start for start, _ in unit.pieces]
        old = unit.pieces

        def move(offset: int) -> int:
            index = bisect_right(starts, offset) - 1
            if index < 0:
                return min(offset, len(text))
            return min(offset - old[index][0] + pieces[index][0], len(text))

        return unit, move

    def _checked(
        self,
        document: Document,
        network: str,
        kept: list[tree.Declaration],
        pieces: list[tuple[int, int]],
        work: Work,
    ) -> _Unit:
        source = document.source
        mistakes = [d for d in document.mistakes if any(s <= d.span.start <= e for s, e in pieces)]
        file = tree.File(source, kept)
        program = Program(source, file, mistakes, self._library.imports(document), self._allow_python)
        program.lines = []
        program.whole = False
        checked = check_program(program, network, work, self.teach)
        one = checked.networks[0]
        net = one.net or one.unexpected
        lines, uses, written = _facts(network, program.lines, net, source)
        right = one.net is not None
        found, quiet = checked.diagnostics, checked.silenced
        return _Unit(source, pieces, found, lines, uses, _totals(net), quiet, written, right)


def _allowed_around(source: Source, start: int, end: int) -> str:
    """The comments around a declaration that may silence something on its first or last line."""
    last = source.line_at(end)
    found = source.line(last)[source.position(end)[1] - 1 :]
    number = source.line_at(start) - 1
    while number > 0 and (not source.line(number).strip() or source.line(number).lstrip().startswith("#")):
        found += source.line(number) if "llow" in source.line(number) else ""
        number -= 1
    return found


def _network_of(train: tree.Train, networks: list[str]) -> str | None:
    if train.network is None:
        return networks[0] if len(networks) == 1 else None
    return train.network if train.network in networks else None


def _moved(diagnostic: Diagnostic, old: Source, new: Source, move: Callable[[int], int]) -> Diagnostic:
    """A diagnostic of an earlier text of a document, at its places in the text of now."""
    if old is new:
        return diagnostic

    def moved(span: Span) -> Span:
        return Span(new, move(span.start), move(span.end)) if span.source is old else span

    edit = diagnostic.edit
    return replace(
        diagnostic,
        span=moved(diagnostic.span),
        labels=tuple(Label(moved(label.span), label.text) for label in diagnostic.labels),
        edit=None if edit is None else replace(edit, span=moved(edit.span)),
    )


def _sorted_out(found: Iterable[Diagnostic], source: Source) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """Each diagnostic once, in order of place: those of the document, and those of other files."""
    once: dict[tuple[str, str, int, int, str], Diagnostic] = {}
    for d in found:
        once.setdefault((d.name, d.span.source.name, d.span.start, d.span.end, d.message), d)
    ordered = sorted(once.values(), key=lambda d: (d.span.start, d.span.end))
    own = [d for d in ordered if d.span.source.name == source.name]
    return own, [d for d in ordered if d.span.source.name != source.name]


# ------------------------------------------------------------------------------ facts


def _facts(
    network: str, results: list[LineResult], net: Net | None, source: Source
) -> tuple[dict[int, Seen], dict[int, Seen], set[int]]:
    """What is known of each line of the document itself, and of each layer that it uses; where layers are."""
    analysis = net.analysis() if net is not None else None
    lines: dict[int, Seen] = {}
    made = results[0][2] if results else []
    for line, value, _, begun, ended in results:
        wires = _wires(value)
        if line.span.source is not source or not wires:
            continue
        seen = lines.setdefault(line.span.start, Seen())
        shapes = tuple(wire.shape for wire in wires)
        seen.shapes.setdefault(shapes)
        seen.times += 1
        if seen.times <= TIMES:
            seen.first.append(_fact(network, shapes, made[begun:ended], wires[0], analysis))
    places = Counter([place for node in made for place in {node.use, node.defined or node.use}])
    for line, _, _, begun, ended in results:
        if line.span.source is source and line.span.start in lines:
            seen = lines[line.span.start]
            seen.once = seen.times == 1 and _stands_once(line, made[begun:ended], places)
    uses: dict[int, Seen] = {}
    for node in made:
        place = node.defined or node.use
        if place.source is source:
            seen = uses.setdefault(place.start, Seen())
            seen.shapes.setdefault(node.shapes[:1])
            if not seen.first:
                one = _fact(network, node.shapes[:1], [node], Wire(node), analysis)
                seen.first.append(replace(one, inputs=tuple(wire.shape for wire in node.inputs)))
    return lines, uses, {place.start for place in places if place.source is source}


def _stands_once(line: tree.Line, nodes: Sequence[Node], places: Counter[Span]) -> bool:
    """Whether a line that was unrolled once made all the layers that are written in it.

    A use of a block that is like one before it is repeated without its lines being unrolled again.
    """
    own = Counter(
        place
        for node in nodes
        for place in {node.use, node.defined or node.use}
        if place.source is line.span.source and line.span.start <= place.start < line.span.end
    )
    return bool(own) and all(places[place] == own[place] for place in own)


def _wires(value: Flow) -> list[Wire]:
    """The values of a line; none where they are unknown."""
    if isinstance(value, Wire):
        return [value]
    if isinstance(value, tuple):
        return [one for one in value if isinstance(one, Wire)]
    return []


def _fact(
    network: str, shapes: tuple[Shape, ...], nodes: Sequence[Node], wire: Wire, analysis: Analysis | None
) -> Facts:
    if analysis is None:
        return Facts(network, shapes)
    index = analysis.flow.index
    known = [analysis.rules[index[node]] for node in nodes if node in index]
    return Facts(
        network,
        shapes,
        sum((rules.weights + rules.biases for rules in known), 0),
        sum((rules.macs for rules in known), 0),
        analysis.receptive_field(wire) if wire.node in index else None,
    )


def _totals(net: Net | None) -> Totals | None:
    if net is None:
        return None
    totals = net.analysis().totals
    last = totals.receptive_field
    return Totals(
        totals.parameters,
        totals.macs,
        totals.forward_peak_bytes,
        totals.training_peak_bytes,
        field_texts({"receptive_field": None if last is None else last.to_dict()}, "size"),
        totals.depth,
    )
