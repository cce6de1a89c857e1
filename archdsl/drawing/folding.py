"""Where a row or a column that is too long for a page goes on in the next."""

from __future__ import annotations

from collections.abc import Sequence

CUT = 0.2
"""What skips from one place across a break cost, where rows of half and of 1.5 times the mean cost 0.5."""
SPLIT = 0.08
"""What a break within a stage costs: between bodies of one name, or of one extent."""


def breaks(
    widths: Sequence[float], skips: Sequence[tuple[int, int]], stages: Sequence[Sequence[str]], most: float
) -> list[int]:
    """What begins a row, but for the first: as few rows as can be, of about equal length.

    `widths` are those of what stands in it with the gaps between, `stages` labels that are alike within a
    stage, and `most` how long a row may be; one thing alone may be longer. A break across few skips and
    between stages is better.
    """
    ends = [0.0]
    for width in widths:
        ends.append(ends[-1] + width)
    if ends[-1] <= most:
        return []
    costs = [0.0] * (len(widths) + 1)
    for k in range(1, len(widths)):
        costs[k] += CUT * len({a for a, b in skips if a < k <= b})
        costs[k] += SPLIT * sum(one == other for one, other in zip(stages[k - 1], stages[k], strict=True))
    rows = min(int(-(-ends[-1] // most)), len(widths))
    tried = (_best(ends, costs, number, most) for number in range(rows, len(widths) + 1))
    return next(found for found in tried if found is not None)


def _best(ends: Sequence[float], costs: Sequence[float], rows: int, most: float) -> list[int] | None:
    """The cheapest breaks into so many rows; None where some row would be too long."""
    mean = ends[-1] / rows
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for _ in range(rows):
        longer: dict[int, tuple[float, list[int]]] = {}
        for start, (cost, found) in best.items():
            for stop in range(start + 1, len(ends)):
                length = ends[stop] - ends[start]
                if length > most and stop > start + 1:
                    break
                total = cost + (length / mean - 1) ** 2 + costs[stop]
                if stop not in longer or total < longer[stop][0]:
                    longer[stop] = (total, [*found, stop])
        best = longer
    return best[len(ends) - 1][1][:-1] if len(ends) - 1 in best else None
