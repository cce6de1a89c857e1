"""What `expect` lines ask of a network: the figures of its report."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archdsl.analysis.receptive_field import Field
from archdsl.compiler.expressions import ANSWERS
from archdsl.compiler.network import Network, Node, Scope, Wire
from archdsl.compiler.peaks import PEAKS
from archdsl.compiler.reporting import Failed
from archdsl.compiler.values import PerAxis
from archdsl.layers.symmetry import Motion
from archdsl.precision import STANDARD, Measure
from archdsl.sizes import Size, TooLarge, Undecided

if TYPE_CHECKING:
    from archdsl.analysis import Analysis


class NothingKnown:
    """What `expect` lines learn of a network that could not be analysed."""

    symbols: frozenset[str] = frozenset()
    layers = 0

    def of_network(self, name: str, **measure: Any) -> Any:
        raise Failed

    def of_value(self, wire: Wire, name: str) -> Any:
        raise Failed

    def of_label(self, made: Node | Scope, name: str) -> Size:
        raise Failed

    def ended_by(self, wire: Wire, name: str) -> Node | None:
        raise Failed


class Known:
    """What they learn of one that was analysed. `measured` gives the analysis that peaks are of.

    It is that for `measure` where a line says nothing else.
    """

    def __init__(
        self,
        network: Network,
        analysis: Analysis,
        measured: Callable[[Measure], Analysis],
        measure: Measure,
    ) -> None:
        self.symbols = network.symbols
        self.layers = len(network.nodes)
        self._analysis = analysis
        self._measure = measure
        self._measured_for = measured
        self._measures: dict[Measure, Analysis] = {}

    def _measured(self, measure: Measure) -> Analysis:
        """The analysis of which peaks are; only they depend on the recipe, which nothing else has read."""
        if measure not in self._measures:
            try:
                self._measures[measure] = self._measured_for(measure)
            except TooLarge:
                raise Undecided from None
        return self._measures[measure]

    @cached_property
    def _members(self) -> dict[Node | Scope, list[int]]:
        """The layers that stand in each scope, as a folded table has them; each layer stands in itself."""
        found: dict[Node | Scope, list[int]] = {}
        for i, node in enumerate(self._analysis.flow.nodes):
            found[node] = [i]
            scope: Scope | None = node.scope
            while scope is not None:
                found.setdefault(scope, []).append(i)
                scope = scope.parent
        return found

    def of_label(self, made: Node | Scope, name: str) -> Size:
        """A figure of a layer, or the sum over all layers of a scope, which may have none."""
        members = self._members.get(made, ())
        if name == "memory":
            standard = self._measure == STANDARD
            analysis = self._analysis if standard else self._measured(self._measure)
            return sum(analysis.activation_bytes[i] for i in members)
        rules = (self._analysis.rules[i] for i in members)
        if name == "parameters":
            return sum(one.weights + one.biases for one in rules)
        return sum(one.macs if name == "macs" else one.flops for one in rules)

    def of_network(self, name: str, **measure: Any) -> Any:
        asked = self._measure._replace(**measure)
        totals = (self._measured(asked) if name in PEAKS else self._analysis).totals
        figure = {
            "parameters": totals.parameters,
            "macs": totals.macs,
            "flops": totals.flops,
            "forward_peak": totals.forward_peak_bytes,
            "training_peak": totals.training_peak_bytes,
            "depth": totals.depth,
        }[name]
        if figure is None:
            # A peak of which the symbols leave too much open.
            raise Undecided
        return figure

    def of_value(self, wire: Wire, name: str) -> Any:
        """What a value sees, and how it answers when the input is moved; numbers are one an axis.

        None where the field is global, and where nothing is claimed.
        """
        if name in ANSWERS:
            answer = self._answer(wire, name)
            return None if answer == "none" else answer
        if name in ("shift", "border"):
            certificate = self._analysis.equivariance(wire)
            numbers = certificate.shift if name == "shift" else certificate.border
            if numbers and None in numbers:
                # A border that grows with an open size.
                raise Undecided
            return PerAxis(numbers) if numbers else None
        field = self._analysis.receptive_field(wire._replace(port=0))
        if not isinstance(field, Field):
            return None
        values = field.to_dict()["size" if name == "receptive_field" else "stride"]
        return None if values is None else PerAxis(values)

    def _answer(self, wire: Wire, name: str) -> str | None:
        """The word of the report; None for a motion that no input has the axes for."""
        if name == "translation":
            return self._analysis.equivariance(wire).translation
        found = self._analysis.symmetry(wire).of(Motion(name))
        if found is not None and found.where is not None:
            raise Undecided
        return None if found is None else found.answer

    def ended_by(self, wire: Wire, name: str) -> Node | None:
        if name in ("translation", "shift", "border"):
            ended = self._analysis.equivariance(wire).ended_by
        else:
            found = self._analysis.symmetry(wire).of(Motion(name)) if name in ANSWERS else None
            ended = None if found is None else found.ended_by
        return next((node for node in self._analysis.flow.nodes if node.name == ended), None)
