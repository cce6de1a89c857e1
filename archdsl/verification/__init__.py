"""The certificates of an analysis held to the lowered network: theory beside measurement.

`verify` builds the network in double precision, with random weights or trained ones, moves its input, and
compares what every layer makes with what its certificate says.
"""

from __future__ import annotations

from archdsl.verification.findings import Finding, Verification
from archdsl.verification.measuring import TooMuch, verify
from archdsl.verification.running import State, Unfitting

__all__ = ["Finding", "State", "TooMuch", "Unfitting", "Verification", "verify"]
