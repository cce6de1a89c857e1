"""Which sizes a network with open ones takes: exactly, from the rules that its layers have for shapes.

A rule asks `sizes.equal` and `sizes.at_least` for all that open sizes leave undecided. Here it is asked
again with every answer in turn: so it becomes a formula of questions about sizes, true where the layer fits.
`residues` knows for which values of one symbol a question is answered by yes, from some value on in a period,
and so all values are known when those of one period are. Questions about several symbols at once stay as
they are, and are said.

Every set is then held against the rules themselves, with numbers in place of the symbol, for many values.
Where that finds a difference, or no period is found, no more is claimed than what was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, compress, islice, product
from math import gcd, lcm
from typing import Any, NamedTuple

from archdsl.compiler.network import Network, Node, Wire
from archdsl.layers.layer import LAYERS, Layer
from archdsl.layers.shapes import Shape
from archdsl.problems import Fault, Problem
from archdsl.problems.values import BadArgument, BadShape
from archdsl.residues import Values, holding, tried
from archdsl.sizes import (
    Question,
    Quotient,
    Size,
    Symbolic,
    TooLarge,
    answering,
    at_least,
    equal,
    substitute,
    symbol,
    symbols_of,
)

LONGEST = 32_768
"""The most values of a symbol that are told apart."""

CALLS = 4_000
"""The most rules that are asked with numbers, to hold a set against them."""

OPEN_COST = 4
"""So many calls with numbers cost as much as one with symbols left."""

ALWAYS = 64
"""So many values are tried at least, where the calls allow it."""

FAR = (97, 128, 225, 500, 512, 1_000, 1_023, 4_096, 10_000, 65_536)
"""What is tried beyond."""

CASES = 64
"""The most cases of one rule that are told apart."""

PAIRS = 24
"""Of sizes that decide together, the pairs of values up to this are tried."""

COMBINATIONS = 100_000
"""So many combinations of values of all symbols are looked through for the smallest that fits."""

Literal = tuple[Question, bool]
Term = frozenset[Literal]
Sizes = dict[str, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The values of a symbol for which a layer is the first that does not fit, and what is wrong with one."""

    node: Node
    symbol: str
    values: Values
    example: int
    problem: Problem
    tried: int | None = None
    """Up to which value that was tried, where more is not known."""


@dataclass(frozen=True, slots=True)
class Together:
    """What a layer needs of several symbols at once."""

    node: Node
    symbols: tuple[str, ...]
    condition: str


@dataclass(frozen=True, slots=True)
class Open:
    """What can't be said: of these symbols, at a layer, and why."""

    node: Node | None
    symbols: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class LegalSizes:
    """The sizes that a network takes.

    They are those where each symbol's value is among its `values` and every condition of `together` holds,
    but for what is `unknown`. Where `tried` has a symbol, its values are known up to that number alone.
    """

    network: Network
    values: dict[str, Values] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    together: list[Together] = field(default_factory=list)
    unknown: list[Open] = field(default_factory=list)
    smallest: Sizes | None = None
    resized: list[Node] = field(default_factory=list)
    """Layers whose weights have open sizes: those of one size are not those of another."""

    @property
    def exact(self) -> bool:
        """Whether all of it is known."""
        return not self.tried and not self.unknown


def open_sizes(network: Network) -> tuple[str, ...]:
    """The symbols that have no number, in order."""
    names = {name for node in network.nodes for size in _sizes_of(node) for name in symbols_of(size)}
    return tuple(sorted(names))


def legal_sizes(network: Network) -> LegalSizes:
    """Which sizes a network takes."""
    return _Search(network).found()


# ------------------------------------------------------------------------------ a rule's cases


class Case(NamedTuple):
    """Answers to a rule's questions, and what it then gives: None where the layer does not fit."""

    answers: tuple[Literal, ...]
    shapes: tuple[Shape, ...] | None

    def gives(self, shapes: tuple[Shape, ...]) -> bool:
        """Whether its results have these shapes; sizes that its answers call equal are."""
        known = dict(self.answers)
        return all(
            a == b or known.get(_normal(Question("equal", a, b)), False)
            for made, shape in zip(self.shapes or (), shapes, strict=False)
            for a, b in zip(made, shape, strict=True)
        )


class _Untold(Exception):
    """A rule with too many cases."""


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def _asked(layer: Layer, xs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """The shapes of a layer's results, its arguments held to their kinds again. Raises `_Refused`."""
    for name, parameter in layer.arguments.items():
        value = layer.values[name]
        if value is None or parameter.kind.role != "number" or not any(True for _ in _sizes_in(value)):
            continue
        if parameter.kind.check(value) is None:
            if layer.kind == "input":
                raise _Refused(BadShape(str(Shape(value)), len(value)))
            raise _Refused(BadArgument(name, str(value), parameter.kind.expected, None))
    try:
        shape = layer.shape(*xs)
    except Fault as fault:
        raise _Refused(fault.problem) from None
    return (shape,) if isinstance(shape, Shape) else (*shape,)


def _cases(layer: Layer, xs: tuple[Shape, ...]) -> list[Case]:
    """What a rule gives for every answer to its questions."""
    pending: list[tuple[bool, ...]] = [()]
    cases: list[Case] = []
    while pending:
        script = pending.pop()
        known: dict[Question, bool] = {}

        def answer(question: Question, script: tuple[bool, ...] = script, known: Any = known) -> bool:
            question = _normal(question)
            if question not in known:
                known[question] = script[len(known)] if len(known) < len(script) else True
            answered: bool = known[question]
            return answered

        with answering(answer):
            try:
                shapes: tuple[Shape, ...] | None = _asked(layer, xs)
            except _Refused:
                shapes = None
        answers = tuple(known.items())
        cases.append(Case(answers, shapes))
        taken = [answered for _, answered in answers]
        pending += [(*taken[:i], False) for i in range(len(script), len(taken))]
        if len(cases) > CASES:
            raise _Untold
    return cases


def _normal(question: Question) -> Question:
    """The same question for equal differences, of which of two opposite ones is as good."""
    difference = question.left - question.right
    if question.relation == "equal":
        difference = min(difference, -difference, key=lambda size: (str(size).startswith("-"), str(size)))
    return Question(question.relation, difference, 0)


def _terms(cases: list[Case]) -> list[Term]:
    """Where the layer fits, as alternatives: sets of answers, as few of each as will do."""
    refused = [dict(case.answers) for case in cases if case.shapes is None]
    found: list[Term] = []
    for case in cases:
        if case.shapes is None:
            continue
        term = dict(case.answers)
        for question in sorted(term, key=lambda q: term[q]):
            fewer = {q: yes for q, yes in term.items() if q != question}
            if not any(all(fewer.get(q, yes) == yes for q, yes in one.items()) for one in refused):
                term = fewer
        found.append(frozenset(term.items()))
    return [
        t for i, t in enumerate(found) if not any(o < t or (o == t and j < i) for j, o in enumerate(found))
    ]


def _factors(terms: list[Term]) -> list[list[Term]]:
    """Alternatives as several of which one each must hold, where they are such: mostly an axis each."""
    common = frozenset.intersection(*terms)
    parts = [[frozenset({literal})] for literal in common]
    rest = [term - common for term in terms]
    if not all(rest):
        return parts
    together: list[set[str]] = []
    for literal in chain.from_iterable(rest):
        touching = [names for names in together if names & set(_symbols([literal]))]
        together = [names for names in together if names not in touching]
        together.append(set(_symbols([literal])).union(*touching))
    split = [
        [*dict.fromkeys(frozenset(x for x in term if set(_symbols([x])) <= names) for term in rest)]
        for names in together
    ]
    whole = {frozenset(chain.from_iterable(choice)) for choice in product(*split)}
    return parts + (split if whole == set(rest) else [rest])


def _symbols(literals: Iterable[Literal]) -> tuple[str, ...]:
    return tuple(sorted({name for question, _ in literals for name in symbols_of(question.left)}))


# ------------------------------------------------------------------------------ the search


class _Search:
    def __init__(self, network: Network) -> None:
        self._names = open_sizes(network)
        self._result = LegalSizes(network)
        self._nodes = [node for node in network.nodes if any(True for _ in _open_in(node))]
        self._needs: dict[str, list[tuple[Node, list[Term]]]] = {name: [] for name in self._names}
        """For each symbol what layers need of it alone, in order of execution."""
        self._coupled: list[tuple[Node, list[Term]]] = []
        self._other: dict[str, list[Term]] = {name: [] for name in self._names}
        """Where shapes are others than those that the network has: an extent of 1 that is repeated."""
        self._other_together: list[tuple[Node, Term]] = []
        self._asked: set[Question] = set()
        """Every question of a rule."""
        self._sets: dict[tuple[Question, str], Values | None] = {}
        self._trial = Trial(network)

    def found(self) -> LegalSizes:
        result = self._result
        if not self._names:
            return result
        self._collect()
        own = next((node for node in self._nodes if node.kind not in LAYERS and node.kind != "input"), None)
        told: dict[str, Values | None] = {}
        for name in self._names:
            values = None if own is not None or not self._told(name) else self._of(name)
            told[name] = None if values is None else self._with_others(name, values)
        fitting = {name: _first(values, 1) for name, values in told.items() if values is not None}
        for name in self._names:
            # Numbers for the other symbols are quicker, where all of them are as good.
            others = {other: some[0] for other, some in fitting.items() if other != name and some}
            self._settle(name, told[name], {} if self._coupled else others)
        self._leave_out_implied()
        if result.tried and len(self._names) > 1:
            result.unknown.append(Open(None, self._names, "each was tried alone, and not with the others"))
        self._hold_together()
        self._find_smallest()
        result.resized = [node for node in self._nodes if node.first is None and _is_resized(node)]
        return result

    # ------------------------------------------------------------------------ what is needed

    def _collect(self) -> None:
        known: dict[Any, list[Case] | None] = {}
        asks_later = False
        uncertain: list[Node] = []
        for node in self._nodes:
            xs = tuple(wire.shape for wire in node.inputs)
            key = (id(node.layer), xs)
            if key not in known:
                try:
                    known[key] = _cases(node.layer, xs)
                except (_Untold, TooLarge):
                    known[key] = None
            cases = known[key]
            if cases is None:
                names = tuple(sorted({name for size in _sizes_of(node) for name in symbols_of(size)}))
                self._result.unknown.append(Open(node, names, "its rule has too many cases"))
                continue
            asks_later = asks_later or (bool(uncertain) and len(cases) > 1)
            self._divide(node, _terms(cases))
            for case in cases:
                self._asked.update(question for question, _ in case.answers)
                if case.shapes is None or case.gives(node.shapes):
                    continue
                names = _symbols(case.answers)
                if len(names) == 1:
                    self._other[names[0]].append(frozenset(case.answers))
                else:
                    uncertain.append(node)
        if asks_later:
            first = uncertain[0]
            names = tuple(sorted({name for size in _sizes_of(first) for name in symbols_of(size)}))
            reason = "where it repeats an extent of 1, what follows has other sizes"
            self._result.unknown.append(Open(first, names, reason))

    def _divide(self, node: Node, terms: list[Term]) -> None:
        """Put what a layer needs to the symbols that it needs it of."""
        if not terms:
            return
        alone: dict[str, list[list[Term]]] = {}
        for part in _factors(terms):
            names = _symbols(chain.from_iterable(part))
            if len(names) == 1:
                alone.setdefault(names[0], []).append(part)
            elif all(set(part) != set(known) for _, known in self._coupled):
                self._coupled.append((node, part))
                self._result.together.append(Together(node, names, _said(part)))
        for name, needs in alone.items():
            joined = [frozenset(chain.from_iterable(choice)) for choice in product(*needs)]
            self._needs[name].append((node, joined))

    def _told(self, name: str) -> bool:
        """Whether every question about a symbol has an answer, and they repeat themselves soon enough."""
        terms = [*chain.from_iterable(terms for _, terms in self._needs[name]), *self._other[name]]
        return all(self._set(question, name) is not None for term in terms for question, _ in term)

    def _set(self, question: Question, name: str) -> Values | None:
        key = question, name
        if key not in self._sets:
            self._sets[key] = holding(question, name, LONGEST)
        return self._sets[key]

    def _holds(self, terms: list[Term], name: str, value: int) -> bool:
        return any(
            all((value in (self._set(question, name) or ())) == yes for question, yes in term)
            for term in terms
        )

    def _repeating(self, name: str, holds: Callable[[int], bool], terms: Iterable[Term]) -> Values | None:
        start, period = self._repeats(name, terms)
        return tried(holds, start, period) if start + period <= LONGEST else None

    def _repeats(self, name: str, terms: Iterable[Term]) -> tuple[int, int]:
        """From where on the answers to all questions of some terms repeat themselves, and their period."""
        sets = [self._set(question, name) for term in terms for question, _ in term]
        start = max((one.start for one in sets if one), default=1)
        return start, lcm(*(one.period for one in sets if one))

    def _of(self, name: str) -> Values | None:
        needs = list(dict.fromkeys((tuple(terms)) for _, terms in self._needs[name]))
        every = [[*terms] for terms in needs]
        return self._repeating(
            name,
            lambda value: all(self._holds(terms, name, value) for terms in every),
            chain.from_iterable(every),
        )

    def _with_others(self, name: str, values: Values) -> Values | None:
        """The values, those decided one by one where shapes are others; None where these have no end."""
        others = self._other[name]
        if not others:
            return values
        where = self._repeating(name, lambda value: self._holds(others, name, value), others)
        if where is None or where.remainders:
            return None
        arguments = (p for node in self._nodes for p in node.layer.arguments.values())
        if any(p.kind.role == "like" for p in arguments):
            # Such an argument has the shape alone, and not the value whose shape is another there.
            return None
        decided: dict[int, bool] = {}
        for value in where.below:
            asked: set[Question] = set()
            with answering(lambda question, asked=asked: asked.add(_normal(question))):  # type: ignore[misc]
                decided[value] = Trial(self._result.network).refusal({name: value}) is None
            if not asked <= self._asked:
                # It then depends on another symbol otherwise than elsewhere.
                reason = f"where {name} is {value} an extent of 1 is repeated, and more is asked of the other"
                self._result.unknown.append(Open(None, self._names, reason))
                return None
        start = max(values.start, where.start)
        return tried(lambda value: decided.get(value, value in values), start, values.period)

    # ------------------------------------------------------------------------ held against the rules

    def _settle(self, name: str, values: Values | None, others: Sizes) -> None:
        """Hold the values of a symbol against the rules, and find who refuses which."""
        result, trial = self._result, self._trial
        coupled = {node for node, _ in self._coupled}
        each = max(1, len(self._nodes))
        # Where a symbol stays one, sums are of expressions, and slow.
        share = CALLS // len(self._names) // (1 if len(others) + 1 == len(self._names) else OPEN_COST)
        most = max(1, share // each)
        wanted = LONGEST if values is None else max(ALWAYS, values.start + 2 * values.period)
        last = min(most, wanted)
        first_by: dict[int, tuple[Node, Problem]] = {}
        right = values is not None
        numbers: list[int] = [*range(1, last + 1)]
        if values is not None:
            numbers += [n for n in FAR if n > last]
        for value in numbers:
            refusal = trial.refusal({**others, name: value})
            if refusal is not None and refusal[0] in coupled and (values is None or value in values):
                # That no number of another symbol goes with it is said beside.
                refusal = None
            if refusal is not None and value <= last:
                first_by[value] = refusal
            if values is not None and (refusal is None) != (value in values):
                right = False
        if values is None or not right:
            values = Values(1, frozenset(), last + 1, frozenset(set(range(1, last + 1)) - set(first_by)))
            result.tried[name] = last
        result.values[name] = values
        self._refusals(name, values, first_by, last)

    def _refusals(
        self, name: str, values: Values, first_by: dict[int, tuple[Node, Problem]], last: int
    ) -> None:
        """Who refuses what: the layers in order of execution, each with what those before let through."""
        needs = self._needs[name]
        known = name not in self._result.tried and last >= values.start + values.period
        whole: dict[Node, Values] = {}
        if known:
            # From there on every layer's answers repeat themselves, too.
            start, period = self._repeats(name, (term for _, each in needs for term in each))
            if start + period <= last + 1:
                for node in dict.fromkeys(node for node, _ in first_by.values()):
                    mine = frozenset(v for v, (one, _) in first_by.items() if one is node)
                    whole[node] = tried(mine.__contains__, start, period)
        examples: dict[Node, int] = {}
        for value in sorted(first_by):
            examples.setdefault(first_by[value][0], value)
        order = {node: i for i, node in enumerate(self._nodes)}
        for node in sorted(examples, key=order.__getitem__):
            mine = frozenset(v for v, (one, _) in first_by.items() if one is node)
            refused = whole.get(node) or Values(1, frozenset(), last + 1, mine)
            example = examples[node]
            up_to = None if node in whole else last
            self._result.refusals.append(Refusal(node, name, refused, example, first_by[example][1], up_to))

    def _fits_together(self, sizes: Sizes) -> bool:
        def holds(literal: Literal) -> bool:
            question, yes = literal
            number = substitute(question.left, sizes)
            assert isinstance(number, int)
            return (number == 0 if question.relation == "equal" else number >= 0) == yes

        return all(any(all(map(holds, term)) for term in terms) for _, terms in self._coupled)

    def _predicted(self, sizes: Sizes) -> bool:
        return all(v in self._result.values[n] for n, v in sizes.items()) and self._fits_together(sizes)

    def _leave_out_implied(self) -> None:
        """Leave out what symbols need together where what each needs alone sees to it."""
        result = self._result
        exact = result.values.keys() - result.tried.keys()
        known = {name: _first(result.values[name], 1) for name in exact}
        # As a symbol is at least 1, so each of its values is at least the smallest.
        beyond = {name: symbol(name) + (some[0] - 1) for name, some in known.items() if some}

        def implied(literal: Literal) -> bool:
            question, yes = literal
            try:
                size = substitute(question.left, beyond)
            except TooLarge:
                return False
            return (equal(size, 0) if question.relation == "equal" else at_least(size, 0)) is yes

        open_ones = [not any(all(map(implied, term)) for term in terms) for _, terms in self._coupled]
        self._coupled = [*compress(self._coupled, open_ones)]
        result.together = [*compress(result.together, open_ones)]

    def _hold_together(self) -> None:
        """Try pairs of values, or triples, against the rules."""
        if len(self._names) < 2 or self._result.tried or self._result.unknown:
            return
        for sizes in islice(self._combinations(), CALLS // 4 // len(self._nodes)):
            if self._predicted(sizes) != (self._trial.refusal(sizes) is None):
                self._result.unknown.append(
                    Open(None, self._names, f"{_assigned(sizes)} is not as the conditions say")
                )
                return

    def _combinations(self) -> Iterator[Sizes]:
        """Values of all symbols, the smallest first; and such as fit alone."""
        yield from (dict.fromkeys(self._names, value) for value in range(1, 2 * PAIRS))
        fitting = [_first(self._result.values[name], 4) for name in self._names]
        yield from (dict(zip(self._names, values, strict=True)) for values in product(*fitting))
        every = product(range(1, PAIRS + 1), repeat=len(self._names))
        yield from (dict(zip(self._names, values, strict=True)) for values in every)

    def _find_smallest(self) -> None:
        count = min(PAIRS * 2, int(COMBINATIONS ** (1 / len(self._names))))
        firsts = [_first(self._result.values[name], count) for name in self._names]
        if not all(firsts):
            return
        sizes = dict(zip(self._names, (some[0] for some in firsts), strict=True))
        if self._coupled:
            found = (
                dict(zip(self._names, values, strict=True))
                for values in sorted(product(*firsts), key=lambda v: (max(v), v))
            )
            fitting = next((one for one in found if self._fits_together(one)), None)
            if fitting is None:
                return
            sizes = fitting
        if self._trial.refusal(sizes) is not None:
            return
        self._result.smallest = sizes
        # With numbers for the other symbols, too, the messages are those of the compiler.
        for i, one in enumerate(self._result.refusals):
            for whole in ({**sizes, one.symbol: one.example}, dict.fromkeys(sizes, one.example)):
                refusal = self._trial.refusal(whole)
                if refusal is not None and refusal[0] is one.node:
                    self._result.refusals[i] = replace(one, problem=refusal[1])
                    break


def _is_resized(node: Node) -> bool:
    shapes = node.layer.weights(*(wire.shape for wire in node.inputs)).values()
    return any(isinstance(size, Symbolic) for shape in shapes for size in shape)


def _first(values: Values, count: int) -> list[int]:
    """The smallest values of a set."""
    found = sorted(values.below)[:count]
    if values.remainders:
        more = (v for v in range(values.start, values.start + values.period * count) if v in values)
        found += [value for value, _ in zip(more, range(count - len(found)), strict=False)]
    return found


def _assigned(sizes: Sizes) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sizes.items())


# ------------------------------------------------------------------------------ in words


def _said(terms: list[Term]) -> str:
    """`H is W or H is 1`."""
    return " or ".join(" and ".join(sorted(_question(*literal) for literal in term)) for term in terms)


def _question(question: Question, yes: bool) -> str:
    """`H is W`, `49 divides H*W`, `H >= W + 2`."""
    difference = question.left
    divided = _division(difference) if question.relation == "equal" else None
    if divided is not None:
        divisor, number = divided
        return f"{divisor} {'divides' if yes else 'does not divide'} {number}"
    positive, negative = _sides(difference)
    if question.relation == "equal":
        if isinstance(positive, int):
            positive, negative = negative, positive
        return f"{positive} {'is' if yes else 'is not'} {negative}"
    return f"{positive} {'>=' if yes else '<'} {negative}"


def _division(difference: Size) -> tuple[int, Size] | None:
    """A divisor and a number whose remainder the difference is."""
    assert isinstance(difference, Symbolic)
    for monomial, coefficient in difference.terms.items():
        if len(monomial) != 1 or not isinstance(monomial[0][0], Quotient) or coefficient >= 0:
            continue
        quotient = monomial[0][0]
        if isinstance(quotient.divisor, int) and -coefficient == quotient.divisor:
            number = difference + quotient.divisor * Symbolic({monomial: 1})
            if number - quotient.divisor * (number // quotient.divisor) == difference:
                return quotient.divisor, number
    return None


def _sides(difference: Size) -> tuple[Size, Size]:
    """The positive terms and the negative ones, without what divides all of them."""
    assert isinstance(difference, Symbolic)
    common = gcd(*difference.terms.values())
    sides: list[Size] = []
    for sign in (1, -1):
        total: Size = 0
        for monomial, coefficient in difference.terms.items():
            if coefficient * sign > 0:
                part = abs(coefficient) // common
                total = total + (Symbolic({monomial: part}) if monomial else part)
        sides.append(total)
    return sides[0], sides[1]


# ------------------------------------------------------------------------------ numbers in place of symbols


class Trial:
    """The rules of a network's layers, asked with numbers in place of some of the symbols."""

    def __init__(self, network: Network) -> None:
        self._closed = {n: n.shapes for n in network.nodes if not any(True for _ in _open_in(n))}
        self._nodes = [node for node in network.nodes if node not in self._closed]
        self._plain = {n: not any(map(_is_open, n.layer.values.values())) for n in self._nodes}
        self._known: dict[Any, tuple[Shape, ...] | Problem] = {}

    def refusal(self, sizes: Sizes) -> tuple[Node, Problem] | None:
        """The first layer that does not fit these sizes, and what is wrong; None where all do."""
        made: dict[Node, tuple[Shape, ...]] = {**self._closed}
        for node in self._nodes:
            xs = tuple([made[maker][port] for maker, port in node.inputs])
            plain = self._plain[node]
            key = (id(node.layer), xs) if plain else None
            found = self._known.get(key) if key is not None else None
            if found is None:
                layer = node.layer if plain else self._bound(node, sizes, made)
                try:
                    shapes = _asked(layer, xs)
                    # A max_pool whose places are used has its result twice.
                    found = (*shapes, *shapes[:1]) if len(shapes) < len(node.shapes) else shapes
                except _Refused as refused:
                    found = refused.problem
                if key is not None and len(self._known) < CALLS:
                    self._known[key] = found
            if isinstance(found, Problem):
                return node, found
            made[node] = found
        return None

    def _bound(self, node: Node, sizes: Sizes, made: dict[Node, tuple[Shape, ...]]) -> Layer:
        """The layer with numbers for the symbols among its arguments."""

        def bound(value: Any) -> Any:
            if isinstance(value, Symbolic):
                return substitute(value, sizes)
            if isinstance(value, Shape):
                return Shape(map(bound, value))
            if isinstance(value, Node):
                layer = self._bound(value, sizes, made)
                origins = [_stand_in(wire.node, wire.node.layer, (), made) for wire in value.inputs]
                wires = tuple(Wire(one, wire.port) for one, wire in zip(origins, value.inputs, strict=True))
                return _stand_in(value, layer, wires, made)
            return tuple(map(bound, value)) if type(value) is tuple else value

        return type(node.layer)({name: bound(value) for name, value in node.layer.values.items()})


def _stand_in(
    node: Node, layer: Layer, inputs: tuple[Wire, ...], made: dict[Node, tuple[Shape, ...]]
) -> Node:
    return Node(node.name, node.key, layer, inputs, made[node], node.scope, node.use)


def _sizes_in(value: Any) -> Iterator[Size]:
    """The sizes in an argument."""
    if isinstance(value, int | Symbolic) and not isinstance(value, bool):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _sizes_in(one)


def _is_open(value: Any) -> bool:
    return isinstance(value, Node) or any(isinstance(size, Symbolic) for size in _sizes_in(value))


def _sizes_of(node: Node) -> Iterator[Size]:
    """The sizes of a node's inputs, results and arguments."""
    for wire in node.inputs:
        yield from wire.shape
    for shape in node.shapes:
        yield from shape
    for value in node.layer.values.values():
        yield from _sizes_in(value)


def _open_in(node: Node) -> Iterator[Size]:
    return (size for size in _sizes_of(node) if isinstance(size, Symbolic))
