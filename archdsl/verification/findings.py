"""What was claimed of a value and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from archdsl.compiler import Network, Wire

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1
"""The version of the JSON object. Fields may be added to one version; none changes its meaning."""

MotionName = Literal["translation", "rotation", "reflection", "scale"]
MOTIONS: tuple[MotionName, ...] = ("translation", "rotation", "reflection", "scale")

Verdict = Literal["holds", "refuted", "found", "none", "unmeasured"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim of one value, and what came of it.

    `shift` and `border` are those of the certificate. `difference` is the largest found outside the border,
    as a share of the value's largest number; `needed` the smallest border, per axis, with which the claim
    would hold (None along an axis: with none). `found` says what a value does of which nothing is claimed,
    and `reason` why a claim could not be measured.
    """

    wire: Wire
    motion: MotionName
    claimed: str
    verdict: Verdict
    shift: list[int] | None = None
    border: list[int | None] | None = None
    channels: str | None = None
    ended_by: str | None = None
    difference: float | None = None
    needed: list[int | None] | None = None
    found: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "layer": str(self.wire),
            "kind": self.wire.node.kind,
            "line": self.wire.node.use.line,
            "motion": self.motion,
            "claimed": self.claimed,
            "shift": self.shift,
            "border": self.border,
            "channels": self.channels,
            "ended_by": self.ended_by,
            "verdict": self.verdict,
            "difference": self.difference if self.difference != float("inf") else None,
            "needed_border": self.needed,
            "found": self.found,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was measured of a network; `findings` are by motion, then in order of execution.

    `state` has the weights by which it was measured, by their names: `trained` ones, or random ones.
    """

    network: Network
    seed: int
    tolerance: float
    findings: list[Finding]
    state: Mapping[str, Tensor] = field(repr=False, compare=False)
    trained: bool

    def of(self, verdict: Verdict) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict == verdict]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object; its schema is shipped as `schema/verification.json`."""
        return {
            "schema": SCHEMA,
            "network": self.network.name,
            "inputs": [{"name": node.name, "shape": list(node.shape)} for node in self.network.inputs],
            "weights": "trained" if self.trained else "random",
            "seed": self.seed,
            "tolerance": self.tolerance,
            "refuted": len(self.of("refuted")),
            "findings": [finding.to_dict() for finding in self.findings],
        }
