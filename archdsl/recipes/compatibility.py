"""Whether a recipe fits its network: inputs and data, outputs and losses, parts and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.compiler.reporting import Reporter
from archdsl.diagnostics import Label
from archdsl.problems import Fault, Problem, nearest
from archdsl.problems.data import MovesTargets, PositionsDiffer
from archdsl.problems.initialisation import NothingToFill
from archdsl.problems.training import (
    BoundedScores,
    DataMismatch,
    IgnoresNothing,
    LossMismatch,
    MetricMismatch,
    RepeatedMetric,
    SeveralInputs,
    SoftmaxBeforeLoss,
    UnknownOutput,
    WeightlessLoss,
    WhichOutput,
)
from archdsl.recipes.data import Data, Described
from archdsl.recipes.initialisations import Filling, Initialisation
from archdsl.recipes.losses import Loss
from archdsl.recipes.metrics import AbsoluteError, Error, MeanIou, Metric, SquaredError
from archdsl.recipes.recipe import Part, Term
from archdsl.recipes.transforms import PermutePositions, Transform
from archdsl.sizes import Size, substitute, symbols_of
from archdsl.source import Span
from archdsl.syntax import tree

PASSED_ON = frozenset({"identity", "dropout", "channel_dropout", "flatten"})
"""Layers that leave a score what it is, or drop it; a `flatten` where there is one a channel."""

BOUNDED = {
    "sigmoid": "between 0 and 1",
    "hard_sigmoid": "between 0 and 1",
    "softmax": "between 0 and 1",
    "relu": "at least 0",
    "relu6": "between 0 and 6",
}
"""Activations after which there are some scores only, and which."""


class Misfit(NamedTuple):
    """A transform that examples can't pass through, and where it stands."""

    problem: Problem
    at: Span


class Compatibility:
    """Holds what the settings say against a network; without one there is little to hold.

    Of a `trained` one it is not said how it would fit.
    """

    def __init__(
        self,
        network: Network | None,
        reporter: Reporter,
        settings: Mapping[str, tree.Setting],
        data: Data | None,
        described: Described | None,
        trained: bool = False,
    ) -> None:
        self.network = network
        self._trained = trained
        self.reporter = reporter
        self.settings = settings
        self._data = data
        self._described = described

    def _at(self, key: str) -> Span:
        return self.settings[key].values[0].span

    def data(self, augment: tuple[Transform, ...], evaluate: tuple[Transform, ...]) -> tuple[int, ...]:
        """The shape in which the data give examples that, transformed, fit the network's input."""
        described = self._described
        if self.network is None or self._data is None:
            return ()
        inputs = self.network.inputs
        if len(inputs) > 1:
            labels = tuple(Label(node.use, f"this is {node.shape}") for node in inputs)
            taken_each = tuple((node.name, tuple(node.shape)) for node in inputs)
            self.reporter.report(SeveralInputs(self._data.word, taken_each), self._at("data"), labels)
            return ()
        if described is None:
            return ()
        if self._moved(described, {"augment": augment, "evaluate": evaluate}):
            return ()
        taken = [tuple(node.shape) for node in self.network.inputs]
        chains = {"augment": augment, "evaluate": evaluate}
        made = {
            key: {shape: self._transformed(key, chain, shape) for shape in described.shapes}
            for key, chain in chains.items()
        }
        for shape in described.shapes:
            if all([made[key][shape]] == taken for key in chains):
                return shape
        # The data may give a vector as well: the shape with as many axes as the network's input is meant.
        alike = (shape for shape in described.shapes if [len(shape)] == [len(one) for one in taken])
        meant = next(alike, described.shapes[0])
        for results in made.values():
            misfit = results[meant]
            if isinstance(misfit, Misfit):
                self.reporter.report(misfit.problem, misfit.at)
                return ()
        key = next((key for key in chains if taken not in [[one] for one in made[key].values()]), "augment")
        node = inputs[0]
        # What leaves the shape as it is has no part in it.
        given = made[key][meant]
        assert not isinstance(given, Misfit)
        through = key if given != meant else None
        comes_out = [given] if through else described.shapes
        shapes = tuple(str(list(one)) for one in comes_out)
        sizes = _open_sizes(taken[0], given)
        only = key == "evaluate" and made["augment"][meant] == taken[0]
        problem = DataMismatch(
            self._data.word, str(node.shape), shapes, through, node.name, self._trained, sizes, only
        )
        label = Label(node.use, f"this is {node.shape}")
        self.reporter.report(problem, self._at(through or "data"), (label,))
        return ()

    def positions(self, augment: tuple[Transform, ...], evaluate: tuple[Transform, ...]) -> None:
        """Positions that are permuted for good are so whenever the network sees an example."""
        chains = {"augment": augment, "evaluate": evaluate}
        for stated, lacking in (("augment", "evaluate"), ("evaluate", "augment")):
            nodes = self.settings[stated].values if chains[stated] else ()
            for node, transform in zip(nodes, chains[stated], strict=True):
                if isinstance(transform, PermutePositions) and transform not in chains[lacking]:
                    others = [one for one in chains[lacking] if isinstance(one, PermutePositions)]
                    other = str(others[0]) if others else None
                    problem = PositionsDiffer(str(transform), stated, lacking, other)
                    self.reporter.report(problem, node.span)
                    return

    def _moved(self, described: Described, chains: dict[str, tuple[Transform, ...]]) -> bool:
        """Whether a transform moves what has a target at its place, after reporting it."""
        if not described.target.placed:
            return False
        moved = [
            (node, transform)
            for key, chain in chains.items()
            for node, transform in zip(self.settings[key].values if chain else (), chain, strict=True)
            if transform.moves
        ]
        for node, transform in moved:
            self.reporter.report(MovesTargets(transform.word, str(described.target)), node.span)
        return bool(moved)

    def _transformed(
        self, key: str, chain: tuple[Transform, ...], shape: tuple[int, ...]
    ) -> tuple[int, ...] | Misfit:
        """The shape that comes out of a chain of transforms, or what does not fit in it."""
        for node, transform in zip(self.settings[key].values if chain else (), chain, strict=True):
            try:
                shape = transform.shape(shape)
            except Fault as fault:
                return Misfit(fault.problem, node.span)
        return shape

    # -------------------------------------------------------------------------- losses

    def loss(self, terms: list[tuple[float, Loss, Span]] | None) -> tuple[Term, ...]:
        """The terms of the loss, each with the output it judges."""
        found: list[Term] = []
        if terms and not any(weight for weight, _, _ in terms):
            self.reporter.report(WeightlessLoss(len(terms)), self._at("loss"))
        for weight, loss, at in terms or ():
            index = self._output(loss, at)
            if index is None:
                continue
            found.append(Term(weight, loss, index))
            fits = True
            if self._data is not None and self._described is not None:
                fits = self._judged(loss, index, self._data, self._described, at)
            if self.network is not None and fits:
                self._ended(loss, self.network.outputs[index], at)
        return tuple(found)

    def _output(self, loss: Loss, at: Span) -> int | None:
        """The index of the output that a loss judges; None after reporting that there is none."""
        if self.network is None:
            return 0
        names = self.network.output_names
        if loss.of is None:
            if len(names) > 1:
                self.reporter.report(WhichOutput(loss.word, tuple(names)), at)
                return None
            return 0
        if loss.of not in names:
            self.reporter.report(UnknownOutput(loss.of, tuple(names), nearest(loss.of, names)), at)
            return None
        return names.index(loss.of)

    def _judged(self, loss: Loss, index: int, data: Data, described: Described, at: Span) -> bool:
        """Whether an output is one that the loss can hold against the targets, after saying why not."""
        if self.network is None:
            return True
        ignored, target = getattr(loss, "ignore", None), described.target
        if ignored is not None and target.classes is not None and ignored != target.ignored:
            if not 0 <= ignored < target.classes:
                self.reporter.report(IgnoresNothing(ignored, target.classes), at)
        shapes = loss.outputs(described.target)
        wire = self.network.outputs[index]
        label = Label(wire.node.use, f"this is {wire.shape}")
        fits = tuple(wire.shape) in shapes
        if not fits:
            wanted = tuple(str(list(shape)) for shape in shapes)
            problem = LossMismatch(
                loss.word,
                str(wire.shape),
                wanted,
                data.word,
                str(described.target),
                described.target.classes,
                described.target.ignored,
                self._trained,
                any(tuple(wire.shape) == tuple(node.shape) for node in self.network.inputs),
            )
            self.reporter.report(problem, at, (label,))
        return fits

    def _ended(self, loss: Loss, wire: Wire, at: Span) -> None:
        """What a loss takes as scores should not be bounded, nor be turned into shares already."""
        while wire.node.kind in PASSED_ON and (
            wire.node.kind != "flatten" or wire.shape.count == wire.node.inputs[0].shape.channels
        ):
            wire = wire.node.inputs[0]
        node = wire.node
        if loss.applies is None or node.layer.values.get("axis", "channels") != "channels":
            return
        label = Label(node.use, f"this is {wire.shape}")
        if node.kind == loss.applies:
            self.reporter.report(SoftmaxBeforeLoss(loss.word, node.name, loss.applies), at, (label,))
        elif node.kind in BOUNDED:
            problem = BoundedScores(loss.word, node.name, node.kind, BOUNDED[node.kind], loss.applies)
            self.reporter.report(problem, at, (label,))

    # -------------------------------------------------------------------------- metrics

    def metrics(self, given: Sequence[Metric] | None, terms: tuple[Term, ...]) -> tuple[Metric, ...]:
        """What is measured: what the recipe names, or what suits the targets."""
        described = self._described
        if described is None or self.network is None or not terms:
            return tuple(given or ())
        output = tuple(self.network.outputs[terms[0].output].shape)
        if not given:
            return _usual(described)
        node = self.settings["metrics"].values[0]
        nodes = node.items if isinstance(node, tree.List) else [node]
        for number, (metric, one) in enumerate(zip(given, nodes, strict=True)):
            reason = metric.misfit(described.target, output)
            if reason is not None:
                problem = MetricMismatch(str(metric), str(described.target), str(list(output)), reason)
                self.reporter.report(problem, one.span)
            elif metric in given[:number]:
                first = Label(nodes[given.index(metric)].span, "named first here")
                self.reporter.report(RepeatedMetric(str(metric)), one.span, (first,))
        return tuple(given)

    # -------------------------------------------------------------------------- weights

    def initialisations(self, initialize: Initialisation, parts: tuple[Part, ...]) -> None:
        """The weights of each layer must be ones that its initialisation can fill."""
        if self.network is None:
            return
        for part in parts:
            key = f"{part.name}.initialize"
            if isinstance(part.initialize, Filling) and part.layers and not part.layers & self._fillable():
                learning = (n for n in self.network.nodes if n.name in part.layers)
                kinds = sorted({n.kind for n in learning if n.layer.weights(*(w.shape for w in n.inputs))})
                self.reporter.report(NothingToFill(part.name, tuple(kinds)), self._at(key))
        for node in self.network.nodes:
            of_parts = [p for p in parts if node.name in p.layers and p.initialize is not None]
            used = of_parts[-1].initialize if of_parts else initialize
            key = f"{of_parts[-1].name}.initialize" if of_parts else "initialize"
            shapes = [wire.shape for wire in node.inputs]
            fans = node.layer.fans(*shapes)
            if fans is None or used is None or key not in self.settings:
                continue
            try:
                used.fits(node.kind, tuple(node.layer.weights(*shapes)["weight"]), fans)
            except Fault as fault:
                self.reporter.report(fault.problem, self._at(key), (Label(node.use, "of this layer"),))

    def _fillable(self) -> set[str]:
        """The names of the layers whose weights an initialisation may fill."""
        assert self.network is not None
        return {
            node.name
            for node in self.network.nodes
            if node.layer.fans(*(wire.shape for wire in node.inputs)) is not None
        }


def _open_sizes(taken: tuple[Size, ...], given: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    """What symbols must be for an input to take an example; none where that is not all that it needs."""
    found: dict[str, int] = {}
    for extent, there in zip(taken, given, strict=False):
        if str(extent) in symbols_of(extent):
            found.setdefault(str(extent), there)
    fits = len(taken) == len(given) and tuple(substitute(one, found) for one in taken) == given
    return tuple(found.items()) if fits else ()


def _usual(described: Described) -> tuple[Metric, ...]:
    """The metrics of a recipe that names none."""
    if described.target.classes is None:
        return (SquaredError.new(), AbsoluteError.new())
    return (Error.new(), MeanIou.new()) if described.target.shape else (Error.new(),)


def parts_of(network: Network) -> dict[str, frozenset[str]]:
    """Every part that a dotted key may name, with the layers in it.

    A part is a layer, a block's use or a label's scope, a labelled loop with all its rounds, or one
    round of it.
    """
    found: dict[str, set[str]] = {}
    for node in network.nodes:
        if node.first is None and node not in network.inputs:
            for name in _around(node):
                found.setdefault(name, set()).add(node.name)
    return {name: frozenset(layers) for name, layers in found.items()}


def _around(node: Node) -> list[str]:
    names = [node.name]
    scope: Scope | None = node.scope
    while scope is not None and scope.name:
        names.append(scope.name)
        if scope.loop:
            names.append(f"{scope.name.removesuffix(scope.key)}{scope.loop}")
        scope = scope.parent
    return names
