"""The Python interface: a file loaded, checked and analysed, and built as a torch module on request."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archdsl import given
from archdsl.analysis import Analysis, analyse
from archdsl.analysis.expected import Known, NothingKnown
from archdsl.analysis.symmetry import ended
from archdsl.collection import uncollected
from archdsl.compiler import Compilation, Network, Options, Program, Work, limits
from archdsl.compiler import read as parse_program
from archdsl.compiler.expectations import Outcome
from archdsl.compiler.expectations import check as check_expectations
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.given import Inputs, Parameters, Sizes
from archdsl.layers.symmetry import Fibre
from archdsl.precision import MOST, STANDARD, Measure
from archdsl.problems import Fault
from archdsl.problems.bounds import SymbolicTooLarge
from archdsl.problems.expectations import ExpectationFailed
from archdsl.problems.groups import TurnsEnd
from archdsl.project import divided, imports_of, named, place_of
from archdsl.report import Report
from archdsl.report.printed import PrintedReport
from archdsl.sizes import TooLarge
from archdsl.source import Source
from archdsl.teaching.finding import in_place
from archdsl.teaching.mistakes import mistakes

if TYPE_CHECKING:
    import networkx
    import torch

    from archdsl.comparison import Difference
    from archdsl.compiler.modules import Load
    from archdsl.drawing.picture import Picture
    from archdsl.drawing.theme import Theme
    from archdsl.recipes.recipe import Recipe


class Net:
    """A network that is right: checked, with every expectation held against the analysis.

    `diagnostics` are its warnings and notes, `outcomes` its expectations. With parameters, sizes or inputs
    replaced, those that do not hold fail nothing. It can be pickled, and copied.
    """

    def __init__(
        self,
        program: Program,
        network: Network,
        analysis: Analysis,
        diagnostics: list[Diagnostic],
        outcomes: list[Outcome],
    ) -> None:
        self.program = program
        self.network = network
        self.diagnostics = diagnostics
        self.outcomes = outcomes
        self.settings: dict[str, str] = {}
        """What keys of the recipe are in place of what the file says, as those of a run are."""
        self._analysis = analysis

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, pickled or deep, is made again from the texts: what it holds is nested too deep to be."""
        options = Options(**self.network.options)
        return _again, (self.program, self.name, options, self.diagnostics, self.settings)

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def graph(self) -> networkx.MultiDiGraph[str]:
        """A node a layer, in order of execution; an edge a tensor, keyed by the input's index."""
        return self.network.graph

    @cached_property
    def recipe(self) -> Recipe | None:
        """What the file says of the training; None where it says nothing, or what can't be followed."""
        if self.network.train is None and not self.settings:
            return None
        from archdsl.recipes.reader import read_recipe

        return read_recipe(self.network.train, self.network, self.settings, self.program.names())[0]

    def analysis(
        self,
        batch: int = 1,
        precision: str | None = None,
        optimizer_state: int | None = None,
        trained_in: str | None = None,
    ) -> Analysis:
        """The facts of every layer and the totals, for `batch` examples at a precision.

        `optimizer_state` is how many numbers are kept for each parameter beside its gradient, and
        `trained_in` the precision that layers compute in while weights stay in float32: those of the file's
        recipe unless they are given; without a recipe none, and float32. Where a precision is given, be it
        float32, all numbers are of that one, whatever the recipe says. Raises `TypeError` and `ValueError`.
        """
        batch = given.whole("batch", batch, 1, MOST)
        stored = "float32" if precision is None else precision
        numbers = given.bytes_of(stored)
        if optimizer_state is None:
            optimizer_state = 0 if self.recipe is None else self.recipe.kept
        optimizer_state = given.whole("optimizer_state", optimizer_state, 0)
        if trained_in is None:
            recipe = self.recipe if precision is None else None
            trained_in = "float32" if recipe is None else recipe.precision
        mixed = given.mixed("trained_in", trained_in) if stored == "float32" else None
        if (batch, stored, optimizer_state, mixed) == (1, "float32", 0, None):
            return self._analysis
        return analyse(self.network, batch, numbers, optimizer_state, mixed)

    def report(
        self,
        batch: int = 1,
        precision: str | None = None,
        optimizer_state: int | None = None,
        trained_in: str | None = None,
    ) -> Report:
        """What `archdsl analyze` shows; its `to_dict()` is the JSON object."""
        analysis = self.analysis(batch, precision, optimizer_state, trained_in)
        return PrintedReport(self.network, analysis, int(batch), precision or "float32")

    def draw(
        self,
        style: str = "blocks",
        theme: Theme = "auto",
        *,
        layer: str | Sequence[str] = (),
        unit: str | None = None,
        positions: int | Sequence[int] | None = None,
        depth: int | None = None,
        figures: Sequence[str] | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> Picture:
        """What `archdsl draw` draws, with what its options say; a notebook shows it.

        Its `svg` is the picture, and its `save("net.pdf")` writes it. Raises `ValueError` where the style has
        nothing to draw, and `ImportError` where the extra `pictures` is not there.
        """
        from archdsl.drawing.styles import Asked, picture

        def number(what: str, value: int | None) -> int | None:
            return None if value is None else given.whole(what, value, 0)

        extents = positions if positions is None or isinstance(positions, Iterable) else (positions,)
        asked = Asked(
            (layer,) if isinstance(layer, str) else tuple(layer),
            unit,
            None if extents is None else tuple(given.whole("a position", one, 1) for one in extents),
            number("depth", depth),
            (figures,) if isinstance(figures, str) else None if figures is None else tuple(figures),
            number("width", width),
            number("height", height),
        )
        return picture(style, [(self.network, self._analysis)], asked, theme).made()

    def source(self) -> str:
        """The network as PyTorch source that runs without archdsl."""
        from archdsl.lowering.source import write

        return write(self.network)

    def build(
        self,
        device: str | torch.device | None = None,
        weights: str | Path | Mapping[str, torch.Tensor] | None = None,
        ignored: str | Sequence[str] = (),
        only: str | None = None,
        fresh: str | Sequence[str] = (),
    ) -> torch.nn.Module:
        """The network as a torch module, made from its source. Imports torch.

        With `weights` it has those of a file of `torch.save`, a `.safetensors` file, a run's folder or a
        `state_dict()`, whose names need not be the network's; `ignored` are prefixes of its names to leave
        out, and `only` is one to take from alone. The layers and labels that `fresh` names are of the
        network, and begin without them: a new head, say. Raises `ArchError` where they are not this
        network's, and warns where only the order of the file tells which of two layers of equal shape is
        which. Raises `TypeError`.
        """
        ignored, fresh = given.prefixes("ignored", ignored), given.prefixes("fresh", fresh)
        only = given.prefix("only", only)
        if weights is None:
            if ignored or fresh or only is not None:
                raise TypeError("ignored, only and fresh say what is taken of weights, and there are none")
            from archdsl.lowering.build import build

            return build(self.network, device)
        from archdsl.weights.loading import built

        its = given.weights(weights)
        model, found = built(self.network, its, ignored, only, fresh)
        if found.doubt is not None:
            warnings.warn(f"{its if isinstance(its, str) else 'weights'}: {found.doubt}", stacklevel=2)
        return model.to(device)

    def _repr_html_(self) -> str:
        """What a notebook shows: warnings and notes, the picture where it can be drawn, and the table."""
        from archdsl.report.html import html

        said = [diagnostic for diagnostic in self.diagnostics if diagnostic.severity != "error"]
        return html(self.report(), self._picture(), said)

    def _picture(self) -> str | None:
        """The maps to scale, as SVG; None where sizes are open or the extra `pictures` is not there."""
        from archdsl.drawing.undrawable import OpenSizes

        try:
            return self.draw(theme="light").svg
        except (ImportError, OpenSizes):
            return None

    def __repr__(self) -> str:
        shapes = ", ".join(f"{node.name}: {node.shape}" for node in self.network.inputs)
        return f"<{self.name}({shapes}) -> {', '.join(str(w.shape) for w in self.network.outputs)}>"


@dataclass(frozen=True, slots=True)
class Checked:
    """One network of a file, checked: `net` is None where it has errors.

    Where all that is wrong is that expectations do not hold, it is `unexpected`. `silenced` is what comments
    in the files allow.
    """

    name: str
    net: Net | None
    diagnostics: list[Diagnostic]
    outcomes: list[Outcome]
    unexpected: Net | None = None
    silenced: list[Diagnostic] = field(default_factory=list)


def load(
    path: str | Path,
    network: str | None = None,
    parameters: Parameters = None,
    sizes: Sizes = None,
    inputs: Inputs = None,
    allow_python: bool = False,
    teach: bool = False,
    unexpected: bool = False,
) -> Net:
    """Load a network of a file, or of a bundled architecture if there is no such file here.

    `resnet.arch:ResNet50` names the network as on the command line; so does `network`. With `allow_python`
    the Python files from which it imports layers are run; without, no code that a file names ever is. With
    `teach` what one should know of the network is among its diagnostics, as notes. With `unexpected` it is
    given though expectations do not hold: they are among its diagnostics, as warnings.
    Raises `ArchError` with its `diagnostics` where the file has errors or is not UTF-8 text, and `OSError`
    where it can't be read: `FileNotFoundError`, with what may have been meant, where there is none.
    """
    file, chosen = divided(os.fsdecode(path))
    options = given.options(parameters, sizes, inputs)
    return _load(_read(file), network or chosen, options, allow_python, teach, unexpected)


def loads(
    text: str,
    name: str = "<string>",
    network: str | None = None,
    parameters: Parameters = None,
    sizes: Sizes = None,
    inputs: Inputs = None,
    allow_python: bool = False,
    teach: bool = False,
    unexpected: bool = False,
) -> Net:
    """Load a network from text. `name` is what messages call it; all else is as in `load`."""
    if not isinstance(text, str):
        raise TypeError(f"the text of a file is a str, not {type(text).__name__}")
    options = given.options(parameters, sizes, inputs)
    return _load(Source(name, text), network, options, allow_python, teach, unexpected)


def _read(file: str) -> Source:
    try:
        return named(file)
    except Fault as fault:
        raise ArchError([Diagnostic.of(fault.problem, place_of(fault, file))]) from None


def _load(
    source: Source,
    network: str | None,
    options: Options,
    allow_python: bool,
    teach: bool,
    unexpected: bool,
) -> Net:
    checked = check_network(program_of(source, allow_python), network, options, teach=teach)
    if checked.net is not None:
        return checked.net
    if not unexpected or checked.unexpected is None:
        raise ArchError(checked.diagnostics)
    net = checked.unexpected
    net.diagnostics = [
        replace(d, severity="warning") if d.severity == "error" else d for d in net.diagnostics
    ]
    return net


def _again(
    program: Program, name: str, options: Options, diagnostics: list[Diagnostic], settings: dict[str, str]
) -> Net:
    """A network that was right, or as right as was asked, once more."""
    checked = check_network(program, name, options)
    net = checked.net or checked.unexpected
    if net is None:
        raise ArchError(checked.diagnostics)
    net.diagnostics, net.settings = diagnostics, settings
    return net


def program_of(source: Source, allow_python: bool = False, load: Load | None = None) -> Program:
    """A source, parsed, with the imports that `load` finds, or those that a file in its place may have."""
    return parse_program(source, load or imports_of(source), allow_python)


@uncollected()
def diff(before: Net, after: Net, batch: int = 1, precision: str | None = None) -> Difference:
    """How the second network differs from the first, for `batch` examples at a precision.

    The peak of training is that of the recipes' optimizers and, where no precision is given, of their
    precisions, where both files have a recipe, and of plain SGD in float32 otherwise. Raises `TypeError` and
    `ValueError`.
    """
    for net in (before, after):
        if not isinstance(net, Net):
            raise TypeError(f"a difference is of two networks, as `archdsl.load` gives them, not {net!r}")
    from archdsl.comparison import compared, declared

    both = before.recipe is not None and after.recipe is not None
    trained = (None, None) if both else (0, "float32")
    ours, theirs = (net.report(batch, precision, *trained) for net in (before, after))
    said = (
        declared(report, net.recipe, [outcome.expectation for outcome in net.outcomes])
        for report, net in ((ours, before), (theirs, after))
    )
    return compared(ours, theirs, *said)


@uncollected()
def check_network(
    program: Program,
    network: str | None = None,
    options: Options | None = None,
    work: Work | None = None,
    teach: bool = False,
    measure: Measure = STANDARD,
) -> Checked:
    """Compile and analyse one network and hold it against its expectations.

    `work` bounds the networks of a file together. With `teach` what one should know of it is said, too.
    `measure` is what the peaks that it expects are for.
    """
    options = Options() if options is None else options
    compiled = program.compile(network, options, work)
    if compiled.network is None:
        # What is expected of the shapes that are known can be held against them all the same.
        outcomes, found = check_expectations(compiled.sound(), NothingKnown(), options.sizes)
        found, quiet = _heard(
            [*_together(compiled.diagnostics, found, options), *_certain(program, compiled)]
        )
        return Checked(network or "", None, found, outcomes, silenced=quiet)
    return _expected(program, compiled, compiled.network, options, teach, measure)


def _expected(
    program: Program,
    compiled: Compilation,
    network: Network,
    options: Options,
    teach: bool,
    measure: Measure,
) -> Checked:
    try:
        analysis = analyse(network)
    except TooLarge:
        too_large = Diagnostic.of(SymbolicTooLarge(), network.inputs[0].use)
        return Checked(network.name, None, [*compiled.diagnostics, too_large], [])
    except Exception as error:
        mistaken = _mistaken(error, network)
        if mistaken is None:
            raise
        return Checked(network.name, None, [*compiled.diagnostics, mistaken], [])
    net = Net(program, network, analysis, [], [])
    known = Known(network, analysis, lambda measure: net.analysis(*measure), measure)
    outcomes, found = check_expectations(compiled.sound(), known, options.sizes)
    diagnostics = _together(compiled.diagnostics, found, options)
    for node, fibre in ended(analysis.flow, analysis.symmetries):
        diagnostics.append(Diagnostic.of(_turns_end(node.kind, fibre), node.defined or node.use))
    diagnostics, quiet = _heard(diagnostics)
    taught, of_taught = _heard(_taught(analysis, teach))
    diagnostics += taught[: max(0, limits.PROBLEMS - len(diagnostics))]
    quiet += of_taught
    if len(program.networks) == 1 and not options and any("llow" in c.text for c in program.file.comments):
        # What one network does not need may be meant for another, or for the file as it stands.
        from archdsl.teaching.allowing import needless

        diagnostics += needless(program, [network], quiet, teach, said=diagnostics)
    net.diagnostics, net.outcomes = diagnostics, outcomes
    if any(d.severity == "error" for d in diagnostics):
        lines = [expectation.span for expectation, _ in compiled.expectations]
        wrong = [d for d in diagnostics if d.severity == "error" and d.name != ExpectationFailed.name]
        unexpected = net if all(any(d.span.within(line) for line in lines) for d in wrong) else None
        return Checked(network.name, None, diagnostics, outcomes, unexpected, quiet)
    return Checked(network.name, net, diagnostics, outcomes, silenced=quiet)


def _taught(analysis: Analysis, teach: bool) -> list[Diagnostic]:
    """What is nearly always a mistake and, with `teach`, what one should know."""
    found = [*in_place(mistakes(analysis.flow))]
    if teach:
        from archdsl.teaching.lessons import lessons

        found += in_place(lessons(analysis))
    return found


def _certain(program: Program, compiled: Compilation) -> list[Diagnostic]:
    """The mistakes in a network with errors that are there whatever its errors were meant to be."""
    if compiled.partial is None:
        return []
    from archdsl.teaching.partial import certain

    return [*in_place(certain(compiled.partial, program.file))]


def _heard(found: list[Diagnostic]) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """What is said and what comments in the files silence."""
    if all(d.severity == "error" for d in found):
        return found, []
    from archdsl.teaching.allowing import divided as told_apart

    return told_apart(found)


def _mistaken(error: Exception, network: Network) -> Diagnostic | None:
    """What is wrong with the user's own layer whose rule an analysis was asking; None where it was none's."""
    from archdsl.compiler.own import blamed

    found = blamed(error)
    if found is None:
        return None
    layer, broken = found
    use = next((node.use for node in network.nodes if node.layer is layer), network.place)
    return Diagnostic.of(broken.problem, use, broken.labels)


def _turns_end(kind: str, fibre: Fibre) -> TurnsEnd:
    if fibre.kind == "regular":
        group = "p4m" if fibre.size == 8 else "p4"
        keepers = f"`group_conv`, `group_batch_norm` and `group_pool` with group={group}"
        return TurnsEnd(kind, f"functions on {group}", keepers)
    orders = [*dict.fromkeys(fibre.orders)]
    keepers = f"`harmonic_conv` with input_orders={orders}, `harmonic_relu`, `harmonic_norm` and `magnitude`"
    return TurnsEnd(kind, f"complex maps of the orders {orders}", keepers)


def _together(compiled: list[Diagnostic], expected: list[Diagnostic], options: Options) -> list[Diagnostic]:
    """What the compiler found and what expectations did, in the order of the file.

    A file's expectations speak of itself as it stands: what was replaced is the user's business.
    """
    if options or not expected:
        return compiled
    return sorted([*compiled, *expected], key=lambda d: (d.span.source.name, d.span.start))


def _rendered(error: ArchError, colour: bool) -> str:
    """A file's errors as on the command line."""
    from archdsl.report.diagnostics import render_all
    from archdsl.report.terminal import Style

    return render_all(error.diagnostics, Style(colour=colour))


ArchError.rendered = _rendered
