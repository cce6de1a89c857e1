"""The lines of a scope: what each of its members makes and computes, and which of them repeat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from archdsl.compiler.network import Wire
from archdsl.lowering.expressions import Constant, Parts
from archdsl.lowering.identifiers import is_plain, numbered

LONGEST_BODY = 64
"""The most members of one round of a loop that is found in unlabelled members."""


class Module(NamedTuple):
    """A module that a line calls: by its path within the scope, or from outside, by its full path."""

    path: str
    local: bool


@dataclass(slots=True, eq=False)
class Step:
    """A member of a scope: a layer, or a use of a block or label.

    `key` is its name where this scope registers it, and `make` how it is made then. `call` computes
    `targets` (None where a result is not used) from `inputs`; it is None for what is only
    registered. `constants` are those of `make` and then those of `call`. `modules` are the modules
    from outside that the called scope is handed. `labels`, `names` and `shapes` go with `targets`.
    `fixed` is set where the file gave this very name, so that it is no round of a loop.
    """

    key: str | None
    make: Parts | None
    call: Parts | None
    constants: tuple[str, ...]
    module: Module | None
    modules: tuple[Module, ...]
    inputs: tuple[Wire, ...]
    targets: tuple[Wire | None, ...]
    labels: tuple[str | None, ...]
    names: tuple[str, ...]
    shapes: tuple[str, ...]
    scope: bool = False
    loop: str | None = None
    fixed: bool = False

    @property
    def call_constants(self) -> int:
        """Where the constants of `call` begin."""
        return sum(isinstance(part, Constant) for part in self.make or ())


class Same(NamedTuple):
    """Result `port` of member `step` of the same round."""

    step: int
    port: int


class Previous(NamedTuple):
    """Result `port` of member `step` of the round before."""

    step: int
    port: int


Link = Union[Same, Previous, Wire]
"""Where a member of a loop's round has an input from; a `Wire` is from outside the loop."""


@dataclass(slots=True, eq=False)
class Run:
    """Rounds of members that differ in nothing but the number in their names, and in constants.

    `links` says for each member of a round where its inputs come from; `initial` where the first
    round has those that the others take from the round before.
    """

    rounds: list[list[Step]]
    links: list[tuple[Link, ...]]
    initial: dict[Previous, Wire]
    collected: list[Same] = field(default_factory=list)
    """Results of which not only the last round's is used after the loop."""

    @property
    def body(self) -> list[Step]:
        return self.rounds[0]

    @property
    def count(self) -> int:
        return len(self.rounds)

    @property
    def size(self) -> int:
        return self.count * len(self.body)

    def constant(self, step: int, index: int) -> str | tuple[str, ...]:
        """A constant of the body: one for all rounds, or one a round."""
        values = tuple(steps[step].constants[index] for steps in self.rounds)
        return values[0] if len(set(values)) == 1 else values

    def numbering(self) -> tuple[int, int, list[tuple[int, int] | None]]:
        """The loop's first number, the step of none, and for each member the factor and offset.

        Member `conv_{factor * i + offset}` of the round `i`, None for one that is not registered.
        """
        firsts: list[tuple[int, int] | None] = []
        for step, second in zip(self.rounds[0], self.rounds[1], strict=True):
            if step.key is None or second.key is None:
                firsts.append(None)
                continue
            a, b = numbered(step.key), numbered(second.key)
            assert a is not None and b is not None
            firsts.append((b[1] - a[1], a[1]))
        known = [first for first in firsts if first is not None]
        start = known[0][1] if known and all(factor == 1 for factor, _ in known) else 0
        numbers = [None if f is None else (f[0], f[1] - f[0] * start) for f in firsts]
        return start, self.count, numbers


Item = Union[Step, Run]


def items(steps: Sequence[Step], results: Iterable[Wire]) -> list[Item]:
    """The steps, with those that repeat put together. `results` are the wires used outside the scope."""
    finder = _Finder(steps, frozenset(results))
    return finder.items()


class _Finder:
    """Finds loops: first rounds that are alike to the last constant, then rounds of other constants."""

    def __init__(self, steps: Sequence[Step], results: frozenset[Wire]) -> None:
        self.steps = steps
        self.results = results
        self.made = {
            wire: (index, port)
            for index, step in enumerate(steps)
            for port, wire in enumerate(step.targets)
            if wire is not None
        }
        self.last_use: dict[Wire, int] = {}
        for index, step in enumerate(steps):
            for wire in step.inputs:
                self.last_use[wire] = index
        numbers: dict[object, int] = {}
        self.forms = [numbers.setdefault(_form(step), len(numbers)) for step in steps]
        self.exact = [
            numbers.setdefault((form, step.constants), len(numbers))
            for form, step in zip(self.forms, steps, strict=True)
        ]

    def items(self) -> list[Item]:
        found: list[Item] = []
        stretch = 0
        for start, run in self._runs(0, len(self.steps), exact=True):
            found += self._varying(stretch, start)
            found.append(run)
            stretch = start + run.size
        return found + self._varying(stretch, len(self.steps))

    def _varying(self, start: int, end: int) -> list[Item]:
        """The steps from `start` to `end`, with the loops whose constants differ put together."""
        found: list[Item] = []
        for at, run in self._runs(start, end, exact=False):
            found += self.steps[start:at]
            found.append(run)
            start = at + run.size
        return found + list(self.steps[start:end])

    def _runs(self, start: int, end: int, exact: bool) -> list[tuple[int, Run]]:
        runs = []
        at = start
        while at < end:
            best = self._best(at, end, exact)
            if best is None:
                at += 1
                continue
            # A loop that begins elsewhere in the round may read better: all numbers alike.
            period = len(best.body)
            place = at
            for later in range(at + 1, min(at + period, end)):
                other = self._run(later, end, period, exact)
                if (
                    other
                    and other.size >= best.size
                    and _worth(other, exact)
                    and _order(other) < _order(best)
                ):
                    best, place = other, later
            runs.append((place, best))
            at = place + best.size
        return runs

    def _best(self, at: int, end: int, exact: bool) -> Run | None:
        best: Run | None = None
        marks = self.exact if exact else self.forms
        for period in range(1, min(LONGEST_BODY, (end - at) // 2) + 1):
            if marks[at] != marks[at + period]:
                continue
            run = self._run(at, end, period, exact)
            if run and _worth(run, exact) and (best is None or run.size > best.size):
                best = run
                if run.size > (end - at) // 2:
                    break
        return best

    def _run(self, at: int, end: int, period: int, exact: bool) -> Run | None:
        """The longest loop of rounds of `period` steps that begins at `at`."""
        if at + 2 * period > end:
            return None
        links = [
            tuple(self._link(wire, at, period, 1) for wire in step.inputs)
            for step in self.steps[at + period : at + 2 * period]
        ]
        initial: dict[Previous, Wire] = {}
        for index in range(period):
            first = self.steps[at + index]
            if len(first.inputs) != len(links[index]):
                return None
            for wire, link in zip(first.inputs, links[index], strict=True):
                own = self._link(wire, at, period, 0)
                if isinstance(link, Previous):
                    if isinstance(own, Same) or initial.setdefault(link, wire) != wire:
                        return None
                elif own != link:
                    return None
        count = 1
        while at + (count + 1) * period <= end and self._goes_on(at, count, period, links, exact):
            count += 1
        if count < 2:
            return None
        stop = at + count * period
        rounds = [list(self.steps[at + n * period : at + (n + 1) * period]) for n in range(count)]
        collected = [
            Same(index, port)
            for index in range(period)
            for port in range(len(rounds[0][index].targets))
            if any(self._used_after(steps[index].targets[port], stop) for steps in rounds[:-1])
        ]
        return Run(rounds, links, initial, collected)

    def _goes_on(
        self, at: int, count: int, period: int, links: Sequence[tuple[Link, ...]], exact: bool
    ) -> bool:
        """Whether the `period` steps after `count` rounds are a further round."""
        marks = self.exact if exact else self.forms
        start = at + count * period
        if marks[start : start + period] != marks[at : at + period]:
            return False
        for index in range(period):
            first, step = self.steps[at + index], self.steps[start + index]
            if tuple(self._link(wire, at, period, count) for wire in step.inputs) != links[index]:
                return False
            fixed = first.call_constants
            if not exact and step.constants[fixed:] != first.constants[fixed:]:
                return False
        return self._numbers_go_on(at, count, period)

    def _link(self, wire: Wire, at: int, period: int, number: int) -> Link:
        index, port = self.made.get(wire, (-1, 0))
        start = at + number * period
        if start <= index < start + period:
            return Same(index - start, port)
        if number and start - period <= index < start:
            return Previous(index - start + period, port)
        return wire

    def _used_after(self, wire: Wire | None, stop: int) -> bool:
        return wire is not None and (wire in self.results or self.last_use.get(wire, -1) >= stop)

    def _numbers_go_on(self, at: int, count: int, period: int) -> bool:
        """Whether the numbers in the names rise evenly, from round to round."""
        for index in range(at, at + period):
            keys = [self.steps[index + n * period].key for n in (0, 1, count - 1, count)]
            if keys[0] is None:
                continue
            numbers = [found[1] for key in keys if key is not None and (found := numbered(key))]
            if len(numbers) != 4 or numbers[3] - numbers[2] != numbers[1] - numbers[0]:
                return False
        return True


def _form(step: Step) -> object:
    """What must be equal in all rounds of a loop, but for the wiring."""
    name: object = step.key
    if step.key is not None and not step.fixed:
        number = numbered(step.key)
        name = (number[0],) if number and is_plain(step.key) else step.key
    module = step.module if step.key is None else None
    used = tuple(target is not None for target in step.targets)
    return name, module, step.make, step.call, len(step.inputs), step.modules, used


def _worth(run: Run, exact: bool) -> bool:
    """Whether a loop is shorter or clearer than its lines."""
    period = len(run.body)
    if exact:
        return run.count >= 3 or period >= 3 or run.body[0].scope
    loops = {step.loop for steps in run.rounds for step in steps}
    if period == 1 and len(loops) == 1 and None not in loops:
        return True
    columns = {
        values
        for index, step in enumerate(run.body)
        for constant in range(len(step.constants))
        if isinstance(values := run.constant(index, constant), tuple)
    }
    return run.count >= 8 or (run.count >= 3 and len(columns) <= 4)


def _order(run: Run) -> int:
    """How many different numbers the names of a round have."""
    _, _, numbers = run.numbering()
    return len({number for number in numbers if number is not None})
