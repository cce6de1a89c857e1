"""Certificates of equivariance held to random networks: `python benchmarks/certificates.py --networks 3000`.

Each network is a draw of `tests/moving_networks.py`. As `archdsl verify` does it, the network is run in
double precision on an input and on the same input shifted, turned, reflected and enlarged, and every claim is
compared with what came out. Printed are:

- the claims that held, and those that could not be measured, and why;
- how often nothing is claimed of a value that answers all the same, by the layer at which the certificate
  ended. Looked for are positions that move and values that stay, not what channels may do besides.

A claim that is refuted is printed with its network and its seed, and ends the script with exit code 1.
`--workers` runs so many processes, each with one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import torch

import archdsl
from archdsl.verification import TooMuch, verify
from archdsl.verification.findings import MOTIONS

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from moving_networks import Grower

SOUGHT = tuple(motion for motion in MOTIONS if motion != "scale")
"""The motions that are looked for where nothing is claimed; a change of scale is not."""
MOST_LISTED = 12
"""The most kinds of layers that are listed for a motion."""


@dataclass
class Seen:
    """What came of the networks of some seeds."""

    claims: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By motion, claim and verdict."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of claims that were not measured: by motion and reason."""
    ends: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Of values without a claim: by motion, the kind of layer that ended it, and what was found."""
    refuted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        for own, more in zip(vars(self).values(), vars(other).values(), strict=True):
            own += more


def seen(seed: int) -> Seen:
    found = Seen()
    text = Grower(seed).text()
    net = archdsl.loads(text)
    try:
        verified = verify(net.network, net.analysis(), seed, net.program)
    except (TooMuch, RuntimeError, ValueError) as error:
        found.failed.append(f"seed {seed} is not computed: {str(error).splitlines()[0]}")
        return found
    kinds = {node.name: node.kind for node in net.network.nodes}
    wrong = []
    for one in verified.findings:
        found.claims[one.motion, one.claimed, one.verdict] += 1
        if one.verdict == "unmeasured":
            found.reasons[one.motion, one.reason or ""] += 1
        elif one.verdict == "refuted":
            wrong.append(f"  {one.wire}: {one.motion} {one.claimed}, off by {one.difference}")
        elif one.claimed == "none":
            found.ends[one.motion, kinds.get(one.ended_by or "", ""), one.found or "nothing"] += 1
    if wrong:
        found.refuted.append("\n".join([f"REFUTED, seed {seed}:", text, *wrong, ""]))
    return found


def one_thread() -> None:
    torch.set_num_threads(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0, help="that of the first network")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.networks)
    total = Seen()
    start = time.perf_counter()
    with get_context("spawn").Pool(options.workers, one_thread) as pool:
        for one in pool.imap(seen, seeds, chunksize=20):
            total.add(one)
            for line in one.refuted + one.failed:
                print(line, flush=True)
    print(f"{options.networks:,} networks from seed {options.seed} in {time.perf_counter() - start:.0f} s\n")
    show(total)
    return 1 if total.refuted else 0


def show(total: Seen) -> None:
    claims, ends = total.claims, total.ends
    print("| motion | claim | held | refuted | not measured |\n|---|---|---|---|---|")
    for motion in MOTIONS:
        for claim in ("equivariant", "invariant"):
            counts = [claims[motion, claim, verdict] for verdict in ("holds", "refuted", "unmeasured")]
            print(f"| {motion} | {claim} | {' | '.join(f'{count:,}' for count in counts)} |")
    print("\nNot measured:")
    for (motion, reason), count in total.reasons.most_common():
        print(f"- {motion}, {reason}: {count:,}")
    print("\n| motion | nothing claimed | but found | share |\n|---|---|---|---|")
    for motion in SOUGHT:
        found = claims[motion, "none", "found"]
        every = found + claims[motion, "none", "none"]
        print(f"| {motion} | {every:,} | {found:,} | {found / max(every, 1):.1%} |")
    print("\n| motion | ended by | nothing claimed | equivariant | invariant |\n|---|---|---|---|---|")
    for motion in SOUGHT:
        kinds = sorted({kind for of, kind, _ in ends if of == motion})
        rows = [
            [ends[motion, kind, what] for what in ("nothing", "equivariant", "invariant")] for kind in kinds
        ]
        ranked = sorted(zip(kinds, rows, strict=True), key=lambda one: sum(one[1][1:]), reverse=True)
        for kind, (nothing, *found) in ranked[:MOST_LISTED]:
            if any(found):
                print(f"| {motion} | `{kind}` | {nothing + sum(found):,} | {found[0]:,} | {found[1]:,} |")


if __name__ == "__main__":
    sys.exit(main())
