"""The recipe of a training: a `train` block read, checked and made complete.

Nothing here imports torch, so `archdsl check` finds a mistake in a recipe as fast as one in a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from archdsl.compiler.limits import PROBLEMS
from archdsl.diagnostics import Diagnostic, Label
from archdsl.problems.arguments import DuplicateArgument, ExtraArgument, MissingArgument, UnknownArgument
from archdsl.problems.bounds import TooManyProblems
from archdsl.problems.problem import Problem, listed, nearest
from archdsl.problems.training import (
    BadSetting,
    ConflictingSettings,
    DataMismatch,
    DuplicateSetting,
    LossMismatch,
    MissingSetting,
    SoftmaxBeforeLoss,
    UnknownSetting,
    UnsupportedSetting,
)
from archdsl.source import Source, Span
from archdsl.syntax import tree
from archdsl.syntax.parser import parse

if TYPE_CHECKING:
    from archdsl.compiler.network import Network


@dataclass(frozen=True, slots=True)
class Data:
    """A source of data: its name, and how many of its examples are for training."""

    name: str
    examples: int


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent: `v = momentum v + gradient + weight_decay w`, `w = w - lr v`."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained, with nothing left open.

    `steps` are updates of `batch` examples each. An epoch takes every training example once, in a
    new random order; its last batch is smaller where the batch does not divide the examples.
    """

    data: Data
    loss: str
    optimizer: SGD
    batch: int
    steps: int
    initialize: str
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.data.examples // self.batch)


class Described(NamedTuple):
    """What a source of data gives: the shapes it can give an example in, classes, training examples."""

    shapes: tuple[tuple[int, ...], ...]
    classes: int
    examples: int


DATA: dict[str, Described] = {"mnist1d": Described(((1, 40), (40,)), 10, 4_000)}
"""The sources of data. The most training examples are those outside the test set."""

LOSSES = ("cross_entropy",)
INITIALISATIONS = ("he",)

EXAMPLES = {
    "data": "data = mnist1d(examples=4000)",
    "loss": "loss = cross_entropy",
    "optimizer": "optimizer = sgd(lr=0.01)",
    "batch": "batch = 100",
    "steps": "steps = 100_000",
}
"""A line for each key that has no default."""

SUPPORTED = ("data", "loss", "optimizer", "batch", "steps", "epochs", "initialize", "seed")
NOT_YET = ("schedule", "augment", "evaluate", "precision", "metrics")
OF_PARTS = ("rate", "initialize")
"""What a dotted key may set for a part of the network; none of it is followed yet."""
LENGTH = ("steps", "epochs")

MOST_STEPS = 10**12


def read_recipe(
    train: tree.Train | None, network: Network | None, overrides: Mapping[str, str] | None = None
) -> tuple[Recipe | None, list[Diagnostic]]:
    """The recipe of a `train` block, and everything that is wrong with it.

    `overrides` are the texts of `--set train.KEY=VALUE`, by key; each takes the place of the file's
    setting. The network's input and result are held against the data; `network` is None where it has
    errors itself. `train` is None where the file has no such block, and what it would say is missing.
    One of the two is there. The recipe is None where there are errors.
    """
    if train is None:
        assert network is not None
        train = tree.Train(network.inputs[0].use, None, None, [])
    reader = _Reader(train)
    recipe: Recipe | None = None
    with suppress(_TooMany):
        settings = reader.settings(overrides or {})
        recipe = reader.recipe(settings)
        if network is not None:
            reader.fit(network, settings)
    place = train.span
    found = sorted(reader.found, key=lambda d: (d.span.source is not place.source, d.span.start))
    wrong = any(d.severity == "error" for d in found)
    return (None if wrong else recipe), found


class _TooMany(Exception):
    """The rest of the block is not read."""


class _Wrong(Exception):
    """A value that has no meaning; it has been reported."""


class _Parameter(NamedTuple):
    """An argument of a word such as `sgd`: what it may be, and its default where it has one."""

    expected: str
    fits: Callable[[float], bool]
    default: float | None = None
    whole: bool = False


def _whole(low: int, high: int, expected: str, default: int | None = None) -> _Parameter:
    return _Parameter(expected, lambda value: low <= value <= high, default, whole=True)


_POSITIVE = _whole(1, MOST_STEPS, "a positive whole number")
_SEED = _whole(0, 2**63 - 1, "a whole number of at least 0")

_SGD = {
    "lr": _Parameter("a number above 0", lambda value: 0 < value < math.inf),
    "momentum": _Parameter("a number from 0 up to, but not including, 1", lambda value: 0 <= value < 1, 0.0),
    "weight_decay": _Parameter("a number of at least 0", lambda value: 0 <= value < math.inf, 0.0),
}

Words = dict[str, dict[str, _Parameter]]
"""Words that a key takes, each with its arguments."""

_DATA: Words = {
    name: {
        "examples": _whole(
            1,
            data.examples,
            f"a whole number from 1 to {data.examples}; the rest are the test set",
            data.examples,
        )
    }
    for name, data in DATA.items()
}
_OPTIMIZERS: Words = {"sgd": _SGD}


class _Reader:
    """Reads one `train` block, and goes on after each mistake."""

    def __init__(self, train: tree.Train) -> None:
        self.train = train
        self.found: list[Diagnostic] = []

    def report(self, problem: Problem, span: Span, labels: tuple[Label, ...] = ()) -> None:
        if len(self.found) == PROBLEMS:
            self.found.append(Diagnostic.of(TooManyProblems(PROBLEMS), span))
            raise _TooMany
        self.found.append(Diagnostic.of(problem, span, labels))

    # -------------------------------------------------------------------------- which settings

    def settings(self, overrides: Mapping[str, str]) -> dict[str, tree.Setting]:
        """The settings by key: those of the file, and in their place those of the command line."""
        settings = self._distinct(s for s in self.train.settings if isinstance(s, tree.Setting))
        given = self._distinct(s for key, text in overrides.items() for s in self._parsed(key, text))
        if any(key in LENGTH for key in given):
            settings = {key: s for key, s in settings.items() if key not in LENGTH}
        settings |= given
        lengths = sorted((s for s in settings.values() if s.key in LENGTH), key=lambda s: s.span.start)
        if len(lengths) > 1:
            first, second = lengths
            label = Label(first.key_span, f"`{first.key}` says it here")
            self.report(ConflictingSettings(first.key, second.key), second.key_span, (label,))
        self._required(settings)
        return settings

    def _distinct(self, settings: Iterable[tree.Setting]) -> dict[str, tree.Setting]:
        """Settings by key; keys that are unknown, unsupported or repeated are reported and dropped."""
        distinct: dict[str, tree.Setting] = {}
        for setting in settings:
            key = setting.key
            if key in distinct:
                label = Label(distinct[key].key_span, "first set here")
                self.report(DuplicateSetting(key), setting.key_span, (label,))
            elif key in SUPPORTED:
                distinct[key] = setting
            elif key in NOT_YET or ("." in key and key.rsplit(".", 1)[1] in OF_PARTS):
                self.report(UnsupportedSetting(key, SUPPORTED), setting.key_span)
            else:
                known = (*SUPPORTED, *NOT_YET)
                self.report(UnknownSetting(key, nearest(key, known), SUPPORTED), setting.key_span)
        return distinct

    def _parsed(self, key: str, text: str) -> list[tree.Setting]:
        """The setting that the command line gives, read as a line of a `train` block."""
        source = Source(f"--set train.{key}", f"train {{ {key} = {text} }}")
        file, wrong = parse(source)
        self.found += wrong
        trains = [d for d in file.declarations if isinstance(d, tree.Train)]
        settings = [s for train in trains for s in train.settings if isinstance(s, tree.Setting)]
        if not wrong and [(s.key, len(file.declarations)) for s in settings] != [(key, 1)]:
            self.report(BadSetting(key, f"`{text}`", "one value"), Span(source, 0, len(source.text)))
            return []
        return settings

    def _required(self, settings: dict[str, tree.Setting]) -> None:
        # A mistyped key is one mistake, not also a missing one.
        misspelt = {nearest(s.key, SUPPORTED) for s in self.train.settings if isinstance(s, tree.Setting)}
        broken = any(isinstance(s, tree.Broken) for s in self.train.settings)
        stated = settings.keys() | misspelt
        missing = [k for k in EXAMPLES if k not in stated and not (k == "steps" and "epochs" in stated)]
        if missing and not broken:
            source, start, _ = place = self.train.span
            if place.text.startswith("train"):
                place = Span(source, start, start + len("train"))
            examples = tuple(EXAMPLES[key] for key in missing)
            self.report(MissingSetting(tuple(missing), examples), place)

    # -------------------------------------------------------------------------- what they say

    def recipe(self, settings: dict[str, tree.Setting]) -> Recipe | None:
        """Everything that the settings say; None where something is wrong or missing."""
        data = self._of(settings, "data", lambda value: self._word("data", value, _DATA))
        loss = self._of(
            settings, "loss", lambda value: self._word("loss", value, {name: {} for name in LOSSES})
        )
        optimizer = self._of(settings, "optimizer", lambda value: self._word("optimizer", value, _OPTIMIZERS))
        initialize = self._of(
            settings,
            "initialize",
            lambda value: self._word("initialize", value, {name: {} for name in INITIALISATIONS}),
        )
        examples = None if data is None else int(data[1]["examples"])
        most = MOST_STEPS if examples is None else examples
        expected = "a positive whole number" if examples is None else f"a whole number from 1 to {examples}"
        batch = self._of(
            settings,
            "batch",
            lambda value: self._number(
                "batch",
                value,
                _whole(1, most, f"{expected}, the training examples" if examples else expected),
            ),
        )
        steps = self._of(settings, "steps", lambda value: self._number("steps", value, _POSITIVE))
        epochs = self._of(settings, "epochs", lambda value: self._number("epochs", value, _POSITIVE))
        seed = self._of(settings, "seed", lambda value: self._number("seed", value, _SEED))
        if data is None or loss is None or optimizer is None or batch is None or examples is None:
            return None
        if steps is None:
            if epochs is None:
                return None
            steps = epochs * -(-examples // int(batch))
        return Recipe(
            data=Data(data[0], examples),
            loss=loss[0],
            optimizer=SGD(**optimizer[1]),
            batch=int(batch),
            steps=int(steps),
            initialize="he" if initialize is None else initialize[0],
            seed=0 if seed is None else int(seed),
        )

    def _of(self, settings: dict[str, tree.Setting], key: str, read: Callable[[tree.Expression], Any]) -> Any:
        """What a key says, or None where it is not there or wrong."""
        if key not in settings:
            return None
        first, *more = settings[key].values
        try:
            if more:
                span = first.span.to(more[-1].span)
                self.report(BadSetting(key, "a chain", "one value"), span)
                raise _Wrong
            return read(first)
        except _Wrong:
            return None

    def _word(self, key: str, value: tree.Expression, words: Words) -> tuple[str, dict[str, float]]:
        """A word and its arguments: `sgd(lr=0.01)`, `cross_entropy`."""
        expected = listed([f"`{_signature(name, takes)}`" for name, takes in words.items()], "or")
        if isinstance(value, tree.Name):
            name, at, arguments = value.id, value.span, []
        elif isinstance(value, tree.Call):
            name, at, arguments = value.callee, value.callee_span, value.arguments
        else:
            self._refuse(key, value, expected)
        if name not in words:
            self.report(BadSetting(key, f"`{name}`", expected, nearest(name, words)), at)
            raise _Wrong
        return name, self._arguments(name, at, arguments, words[name])

    def _arguments(
        self, name: str, at: Span, arguments: list[tree.Argument], takes: dict[str, _Parameter]
    ) -> dict[str, float]:
        signature = _signature(name, takes)
        given: dict[str, float] = {}
        seen: set[str] = set()
        order = list(takes)
        right = True
        for position, argument in enumerate(arguments):
            problem: Problem | None = None
            key = argument.name
            if key is None:
                if position < len(order):
                    key = order[position]
                else:
                    problem = ExtraArgument(name, len(order), signature)
            elif key not in takes:
                problem = UnknownArgument(name, key, nearest(key, takes), signature)
            if problem is None and key in seen:
                problem = DuplicateArgument(name, str(key), signature)
            if problem is not None or key is None:
                if problem is not None:
                    self.report(problem, argument.name_span or argument.span)
                right = False
                continue
            seen.add(key)
            try:
                given[key] = self._number(key, argument.value, takes[key])
            except _Wrong:
                right = False
        # An argument that was mistyped is one mistake, not also a missing one.
        misspelt = {nearest(a.name, takes) for a in arguments if a.name is not None and a.name not in takes}
        missing = [
            key
            for key, parameter in takes.items()
            if parameter.default is None and key not in seen and key not in misspelt
        ]
        if missing:
            self.report(MissingArgument(name, tuple(missing), signature), at)
            right = False
        if not right:
            raise _Wrong
        defaults = {
            key: parameter.default for key, parameter in takes.items() if parameter.default is not None
        }
        return {**defaults, **given}

    def _number(self, key: str, value: tree.Expression, limits: _Parameter) -> float:
        """A number within its limits; whole ones may be written as `1e5`."""
        number = self._value(key, value, limits.expected)
        if limits.whole and isinstance(number, float) and number.is_integer():
            number = int(number)
        fits = not (limits.whole and isinstance(number, float)) and limits.fits(number)
        if not fits:
            self.report(BadSetting(key, _shown(value, number), limits.expected), value.span)
            raise _Wrong
        return number if limits.whole else float(number)

    def _value(self, key: str, value: tree.Expression, expected: str) -> int | float:
        """The number that an expression of numbers makes."""
        match value:
            case tree.Number(value=number):
                return number
            case tree.Unary(operator="-", operand=operand):
                return -self._value(key, operand, expected)
            case tree.Unary(operator="+", operand=operand):
                return self._value(key, operand, expected)
            case tree.Binary(operator=operator, left=left, right=right) if operator in _ARITHMETIC:
                a, b = self._value(key, left, expected), self._value(key, right, expected)
                try:
                    return _ARITHMETIC[operator](a, b)
                except (ArithmeticError, ValueError):
                    self.report(BadSetting(key, f"`{value.span.text}`", expected), value.span)
                    raise _Wrong from None
        self._refuse(key, value, expected)

    def _refuse(self, key: str, value: tree.Expression, expected: str) -> NoReturn:
        self.report(BadSetting(key, f"`{value.span.text}`", expected), value.span)
        raise _Wrong

    # -------------------------------------------------------------------------- the network

    def fit(self, network: Network, settings: dict[str, tree.Setting]) -> None:
        """Hold the network's input and result against the data and the loss."""
        name = self._name_of(settings.get("data"))
        if name not in DATA:
            return
        data = DATA[name]
        shapes = tuple(str(list(shape)) for shape in data.shapes)
        taken = tuple(tuple(node.shape) for node in network.inputs)
        at = settings["data"].values[0].span
        if len(taken) != 1 or taken[0] not in data.shapes:
            labels = tuple(Label(node.use, f"this is {node.shape}") for node in network.inputs)
            found = tuple(str(node.shape) for node in network.inputs)
            self.report(DataMismatch(name, found, shapes), at, labels)
        loss = self._name_of(settings.get("loss"))
        if loss not in LOSSES:
            return
        at = settings["loss"].values[0].span
        labels = tuple(Label(wire.node.use, f"this is {wire.shape}") for wire in network.outputs)
        if [tuple(wire.shape) for wire in network.outputs] != [(data.classes,)]:
            found = tuple(str(wire.shape) for wire in network.outputs)
            self.report(LossMismatch(loss, found, name, data.classes), at, labels)
        elif network.outputs[0].node.kind == "softmax":
            self.report(SoftmaxBeforeLoss(loss, network.outputs[0].node.name), at, labels)

    @staticmethod
    def _name_of(setting: tree.Setting | None) -> str:
        if setting is None or len(setting.values) != 1:
            return ""
        value = setting.values[0]
        if isinstance(value, tree.Call):
            return value.callee
        return value.id if isinstance(value, tree.Name) else ""


def _power(base: float, exponent: float) -> int | float:
    """A power as a float where it is large, so that no file makes a number of endless digits."""
    if isinstance(base, int) and isinstance(exponent, int) and 0 <= exponent <= 64 and abs(base) < 2**32:
        return int(base**exponent)
    return math.pow(base, exponent)


_ARITHMETIC: dict[str, Callable[[float, float], int | float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": _power,
}


def _signature(name: str, takes: dict[str, _Parameter]) -> str:
    """`sgd(lr, momentum=0, weight_decay=0)`."""
    words = [key if p.default is None else f"{key}={p.default:g}" for key, p in takes.items()]
    return f"{name}({', '.join(words)})" if words else name


def _shown(value: tree.Expression, number: float) -> str:
    """The number as the file writes it, and what it comes to where that is not plain."""
    text = value.span.text
    if isinstance(value, tree.Number) or (
        isinstance(value, tree.Unary) and isinstance(value.operand, tree.Number)
    ):
        return text
    return f"`{text}`, which is {number:g}"
