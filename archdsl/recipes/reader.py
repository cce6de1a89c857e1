"""From a `train` block to a recipe: every key read and checked, every mistake at its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from archdsl.compiler.elsewhere import (
    ARGUMENTS_ELSEWHERE,
    KEYS_ELSEWHERE,
    OPTIMIZERS_ELSEWHERE,
    word_meant,
)
from archdsl.compiler.expressions import Evaluator
from archdsl.compiler.frames import Frame, Module
from archdsl.compiler.network import Network
from archdsl.compiler.reporting import Failed, Reporter, Stop
from archdsl.compiler.signatures import bind, held, whole
from archdsl.compiler.values import show
from archdsl.diagnostics import Diagnostic, Label
from archdsl.layers.arguments import Kind, Parameter, non_negative_number
from archdsl.problems import Fault, nearest
from archdsl.problems.data import ChanceInEvaluation, MixesLast, PythonNotAllowed, ViewsInTraining
from archdsl.problems.problem import listed
from archdsl.problems.recipes import (
    BadSetting,
    ConflictingSettings,
    DuplicateSetting,
    EndlessPiece,
    MissingSetting,
    NoRecipe,
    NothingToLearn,
    PieceNeverBegins,
    UnknownPart,
    UnknownSetting,
)
from archdsl.problems.values import BadArgument
from archdsl.recipes.compatibility import Compatibility, parts_of
from archdsl.recipes.data import Data, Described, Python, plain
from archdsl.recipes.initialisations import He
from archdsl.recipes.keys import KEYS, LENGTH, OF_PARTS, Key
from archdsl.recipes.optimizers import Optimizer
from archdsl.recipes.recipe import Part, Recipe
from archdsl.recipes.schedules import Schedule, begins
from archdsl.recipes.transforms import Transform
from archdsl.recipes.word import Word
from archdsl.source import Source, Span
from archdsl.syntax import tree
from archdsl.syntax.parser import parse

Meaning = TypeVar("Meaning", bound=Word)
MOST_STEPS = 10**12

_Terms = list[tuple[float, Any, Span]]
"""Words of a sum, each with its weight and its place."""


def read_recipe(
    train: tree.Train | None,
    network: Network | None,
    overrides: Mapping[str, str] | None = None,
    frame: Frame | None = None,
    *,
    look: bool = False,
    allow_python: bool = False,
    learnt_from: str | None = None,
) -> tuple[Recipe | None, list[Diagnostic]]:
    """The recipe of a `train` block, and everything that is wrong with it.

    `overrides` are the texts of `--set train.KEY=VALUE`, by key; each takes the place of the file's
    setting. `frame` has the names that the block sees, those of its file. The network's inputs, outputs
    and parts are held against the recipe; `network` is None where it has errors itself. `train` is None
    where the file has no such block, and what it would say is missing. One of the two is there. With
    `look` the files of the data are read, and with `allow_python` the user's own Python is run, to say
    what there is. Of a network that is trained already, `learnt_from` are the data that it learnt
    from, as a recipe says them: others may lack classes, and are for testing as a whole where they have no
    part for that. The recipe is None where there are errors.
    """
    if train is None:
        assert network is not None
        nothing = tree.Train(network.place, None, None, [])
        reader = _Reader(nothing, network, frame, lacking=True, learnt_from=learnt_from)
    else:
        reader = _Reader(train, network, frame, learnt_from=learnt_from)
    recipe: Recipe | None = None
    with suppress(Stop):
        recipe = reader.recipe(reader.settings(overrides or {}), look, allow_python)
    place = reader.train.span
    found = sorted(
        reader.reporter.diagnostics, key=lambda d: (d.span.source is not place.source, d.span.start)
    )
    wrong = any(d.severity == "error" for d in found)
    return (None if wrong else recipe), found


class _Reader:
    """Reads one `train` block, and goes on after each mistake."""

    def __init__(
        self,
        train: tree.Train,
        network: Network | None,
        frame: Frame | None,
        lacking: bool = False,
        learnt_from: str | None = None,
    ) -> None:
        self.train = train
        self.learnt_from = learnt_from
        self.lacking = lacking
        """Whether the file has no such block, and all is said from outside."""
        self.network = network
        self.reporter = Reporter()
        self.evaluator = Evaluator(self.reporter)
        around = frame or Frame(None, Module(train.span.source))
        self.frame = Frame(around, around.module)
        self.frame.names = dict(network.parameters) if network is not None else {}

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
            self.reporter.report(ConflictingSettings(first.key, second.key), second.key_span, (label,))
        self._required(settings)
        return settings

    def _distinct(self, settings: Iterable[tree.Setting]) -> dict[str, tree.Setting]:
        """Settings by key; keys that are unknown, unsupported or repeated are reported and dropped."""
        distinct: dict[str, tree.Setting] = {}
        known = tuple(KEYS)
        for setting in settings:
            key = setting.key
            part, dot, of_part = key.rpartition(".")
            if key in distinct:
                label = Label(distinct[key].key_span, "first set here")
                self.reporter.report(DuplicateSetting(key), setting.key_span, (label,))
            elif key in KEYS or (dot and of_part in OF_PARTS):
                distinct[key] = setting
            elif dot:
                owner = self._owner_of(of_part, [part]) if part in KEYS else None
                meant = None if owner else nearest(of_part, OF_PARTS)
                problem = UnknownSetting(
                    key, meant and f"{part}.{meant}", tuple(f"{part}.{k}" for k in OF_PARTS), owner
                )
                self.reporter.report(problem, setting.key_span)
            else:
                owner = self._owner_of(key, KEYS)
                meant, remark = (None, None) if owner else _key_meant(key)
                problem = UnknownSetting(key, meant, known, owner, remark)
                self.reporter.report(problem, setting.key_span)
        return distinct

    def _owner_of(self, name: str, keys: Iterable[str]) -> tuple[str, str, str] | None:
        """Of some keys the one whose words take such an argument, or are elsewhere said to; the argument; and
        a word with it, that of the file if it takes one."""
        said = {one.key: one.values[0] for one in self.train.settings if isinstance(one, tree.Setting)}
        meant = (name, *ARGUMENTS_ELSEWHERE.get(name, ((), None))[0])
        for key in keys:
            takes, node = KEYS[key].takes, said.get(key)
            words = takes.words if isinstance(takes, type) else {}
            stated = node.callee if isinstance(node, tree.Call) else getattr(node, "id", "")
            for word in sorted(words.values(), key=lambda one: one.word != stated):
                for argument in meant:
                    if argument in word.arguments:
                        given = node.arguments if isinstance(node, tree.Call) and word.word == stated else []
                        others = (one for one in given if one.name is None or one.name in word.arguments)
                        kept = [one.span.text for one in others if one.name != argument]
                        return key, argument, f"{word.word}({', '.join([*kept, f'{argument}=...'])})"
        return None

    def _parsed(self, key: str, text: str) -> list[tree.Setting]:
        """The setting that the command line gives, read as a line of a `train` block."""
        source = Source(f"--set train.{key}", f"train {{ {key} = {text} }}")
        file, wrong = parse(source)
        self.reporter.diagnostics += wrong
        trains = [d for d in file.declarations if isinstance(d, tree.Train)]
        settings = [s for train in trains for s in train.settings if isinstance(s, tree.Setting)]
        if not wrong and [(s.key, len(file.declarations)) for s in settings] != [(key, 1)]:
            whole_text = Span(source, 0, len(source.text))
            self.reporter.report(BadSetting(key, f"`{text}`", "one value"), whole_text)
            return []
        return settings

    def _required(self, settings: dict[str, tree.Setting]) -> None:
        # A mistyped key is one mistake, not also a missing one.
        misspelt = {_key_meant(s.key)[0] for s in self.train.settings if isinstance(s, tree.Setting)}
        broken = any(isinstance(s, tree.Broken) for s in self.train.settings)
        stated = settings.keys() | misspelt
        examples = {name: key.example for name, key in KEYS.items() if key.example}
        if self.network is not None:
            examples["data"] = f"data = {_data_for(self.network)}"
        missing = [k for k in examples if k not in stated and not (k == "steps" and "epochs" in stated)]
        if missing and not broken:
            shown = tuple(str(examples[key]) for key in missing)
            source, start, _ = place = self.train.span
            if self.lacking and self.network is not None:
                others = [train.network for train in self.frame.module.trains if train.network is not None]
                self.reporter.report(NoRecipe(self.network.name, shown, tuple(others)), place)
                return
            self.reporter.report(
                MissingSetting(tuple(missing), shown), Span(source, start, start + len("train"))
            )

    # -------------------------------------------------------------------------- what they say

    def recipe(self, settings: dict[str, tree.Setting], look: bool, allow_python: bool) -> Recipe | None:
        """Everything that the settings say; None where something is wrong or missing."""
        found = {
            name: self._read(name, settings[name], key) for name, key in KEYS.items() if name in settings
        }
        parts = self._parts(settings)
        data: Data | None = found.get("data")
        described = None
        if data is not None:
            if self.learnt_from is not None and not data.same_files(self.learnt_from):
                found["data"] = data = data.measured()
            place = settings["data"].values[0].span
            with suppress(Failed):
                described = self._described(data, place, found.get("loss"), look, allow_python)
        trained = self.learnt_from is not None
        compatibility = Compatibility(self.network, self.reporter, settings, data, described, trained)
        shape = compatibility.data(found.get("augment") or (), found.get("evaluate") or ())
        if all(found[key] is not None for key in ("augment", "evaluate") if key in found):
            compatibility.positions(found.get("augment") or (), found.get("evaluate") or ())
        terms = compatibility.loss(found.get("loss"))
        metrics = compatibility.metrics(found.get("metrics"), terms)
        initialize = found.get("initialize") or He.new()
        compatibility.initialisations(initialize, parts)
        self._batch(found, described, settings)
        required = [key for key in ("data", "loss", "optimizer", "batch") if found.get(key) is None]
        if required or self.reporter.has_errors or (found.get("steps") is found.get("epochs") is None):
            return None
        seed = found.pop("seed", None)
        recipe = Recipe(
            **{
                **found,
                "loss": terms,
                "metrics": metrics,
                "initialize": initialize,
                "parts": parts,
                "described": described,
                "shape": shape,
                "seed": 0 if seed is None else seed,
                "places": {key: setting.values[0].span for key, setting in settings.items()},
            }
        )
        if described is not None and recipe.schedule:
            self._pieces(recipe, described.examples, settings["schedule"].values)
        return recipe

    def _pieces(self, recipe: Recipe, examples: int, nodes: list[tree.Expression]) -> None:
        """Every piece of the schedule should begin before the training ends."""
        steps = recipe.all_steps(examples)
        for node, piece, begin in zip(
            nodes, recipe.schedule, begins(recipe.schedule, recipe.steps_per_epoch(examples)), strict=True
        ):
            if begin >= steps:
                self.reporter.report(PieceNeverBegins(piece.word, begin, steps), node.span)
                return

    def _described(
        self, data: Data, at: Span, terms: _Terms | None, look: bool, allow_python: bool
    ) -> Described | None:
        """What there is of the data; None where their files are not to be read."""
        numbers = {getattr(loss, "ignore", None) for _, loss, _ in terms or ()}
        # What one of several losses counts is a class.
        ignored = numbers.pop() if len(numbers) == 1 else None
        if look and isinstance(data, Python) and not allow_python:
            raise self.reporter.fail(PythonNotAllowed(data.target), at)
        try:
            described = data.look(ignored) if look else data.described()
        except Fault as fault:
            raise self.reporter.fail(fault.problem, at) from None
        if described is None:
            return None
        target = described.target
        if target.classes is not None and self.learnt_from is not None and self.network is not None and terms:
            names, of = self.network.output_names, terms[0][1].of
            scores = self.network.outputs[names.index(of) if of in names else 0].shape[0]
            # A single score tells two classes apart.
            known = max(scores, 2) if isinstance(scores, int) else 0
            target = replace(target, classes=max(target.classes, known))
        return replace(described, target=target.leaving_out(ignored))

    def _batch(
        self, found: dict[str, Any], described: Described | None, settings: dict[str, tree.Setting]
    ) -> None:
        """Hold the batch to the examples, and its pieces to the batch."""
        batch, accumulate = found.get("batch"), found.get("accumulate")
        if described is not None and batch is not None and batch > described.examples:
            expected = f"a whole number from 1 to {described.examples}, the training examples"
            self._refuse("batch", settings["batch"].values[0], expected, batch)
        if batch is not None and accumulate is not None and batch % accumulate:
            expected = f"a whole number that divides the batch of {batch}"
            self._refuse("accumulate", settings["accumulate"].values[0], expected, accumulate)
        steps = found.get("steps")
        if steps is not None and steps > MOST_STEPS:
            self._refuse("steps", settings["steps"].values[0], f"at most {MOST_STEPS:,}", steps)

    def _parts(self, settings: dict[str, tree.Setting]) -> tuple[Part, ...]:
        """What the dotted keys say, by part, in the order of the file."""
        found: dict[str, dict[str, Any]] = {}
        there = parts_of(self.network) if self.network is not None else None
        for setting in settings.values():
            name, dot, key = setting.key.rpartition(".")
            if not dot:
                continue
            if there is not None and name not in there:
                problem = UnknownPart(name, nearest(name, there))
                self.reporter.report(problem, setting.key_span)
            elif there is not None and not there[name] & self._learning():
                self.reporter.report(NothingToLearn(name), setting.key_span)
            value = self._read(setting.key, setting, OF_PARTS[key])
            found.setdefault(name, {})[key] = value
        return tuple(
            Part(name, (there or {}).get(name, frozenset()), **values) for name, values in found.items()
        )

    def _learning(self) -> set[str]:
        """The names of the layers that have weights, or statistics that follow the examples."""
        found: set[str] = set()
        for node in self.network.nodes if self.network is not None else ():
            xs = [wire.shape for wire in node.inputs]
            follows = any(name.startswith("running_") for name in node.layer.buffers(*xs))
            if node.kind != "input" and (node.layer.weights(*xs) or follows):
                found.add(node.name)
        return found

    def _read(self, name: str, setting: tree.Setting, key: Key) -> Any:
        """What a key says, or None where it is wrong."""
        first, *more = setting.values
        try:
            if key.form == "chain":
                return self._chain(name, setting.values, key)
            if more:
                span = first.span.to(more[-1].span)
                raise self.reporter.fail(BadSetting(name, "a chain", "one value"), span)
            if isinstance(key.takes, Kind):
                return self._value(name, first, key.takes)
            if key.form == "sum":
                return self._sum(name, first, key.takes)
            if key.form == "list":
                nodes = first.items if isinstance(first, tree.List) else [first]
                if not nodes:
                    self._refuse(name, first, _expected(key.takes))
                words = [self._maybe_word(name, node, key.takes) for node in nodes]
                return None if None in words else tuple(words)
            return self._word(name, first, key.takes)
        except Failed:
            return None

    def _chain(self, name: str, nodes: list[tree.Expression], key: Key) -> tuple[Word, ...] | None:
        assert isinstance(key.takes, type)
        words = [self._maybe_word(name, node, key.takes) for node in nodes]
        for node, word in list(zip(nodes, words, strict=True))[:-1]:
            if isinstance(word, Schedule) and word.steps is None and word.epochs is None:
                self.reporter.report(EndlessPiece(word.word), node.span)
            if isinstance(word, Transform) and word.mixes:
                self.reporter.report(MixesLast(word.word), node.span)
        for node, word in zip(nodes, words, strict=True):
            if isinstance(word, Transform) and name == "evaluate" and (word.chance or word.mixes):
                self.reporter.report(ChanceInEvaluation(word.word), node.span)
            if isinstance(word, Transform) and name == "augment" and word.views > 1:
                self.reporter.report(ViewsInTraining(word.word, word.views), node.span)
        return None if None in words else tuple(word for word in words if word is not None)

    def _sum(self, name: str, node: tree.Expression, family: type[Word]) -> _Terms | None:
        """`a + 0.3 * b` as weights and words, each with its place."""
        if isinstance(node, tree.Binary) and node.operator == "+":
            left, right = self._sum(name, node.left, family), self._sum(name, node.right, family)
            return None if left is None or right is None else [*left, *right]
        weight = 1.0
        at = node
        if isinstance(node, tree.Binary) and node.operator == "*":
            factor, at = node.left, node.right
            if _names_a_word(factor, family):
                factor, at = at, factor
            weight = float(self._value(name, factor, non_negative_number))
        word = self._maybe_word(name, at, family)
        return None if word is None else [(weight, word, at.span)]

    def _maybe_word(self, key: str, node: tree.Expression, family: type[Word]) -> Word | None:
        with suppress(Failed):
            return self._word(key, node, family)
        return None

    def _word(self, key: str, node: tree.Expression, family: type[Meaning]) -> Meaning:
        """A word and its arguments: `sgd(lr=0.01)`, `cross_entropy`."""
        words = family.words
        if isinstance(node, tree.Name):
            name, at, arguments = node.id, node.span, []
        elif isinstance(node, tree.Call):
            name, at, arguments = node.callee, node.callee_span, node.arguments
        elif isinstance(node, tree.String):
            meant = word_meant(node.value, words)
            raise self.reporter.fail(
                BadSetting(key, f"`{node.span.text}`", _expected(family), meant), node.span
            )
        else:
            self._refuse(key, node, _expected(family))
            raise Failed
        if name not in words:
            remark = OPTIMIZERS_ELSEWHERE.get(name.lower().replace("_", "")) if family is Optimizer else None
            meant = None if remark else word_meant(name, words)
            problem = BadSetting(key, f"`{name}`", _expected(family), meant, remark)
            raise self.reporter.fail(problem, at)
        found: type[Meaning] = words[name]
        signature = found.signature()
        bound = bind(signature, arguments, at, self.reporter)
        given: dict[str, Any] = {}
        failed = False
        for parameter_name, argument in bound.arguments.items():
            try:
                given[parameter_name] = self._argument(found.arguments[parameter_name], argument)
            except Failed:
                failed = True
        values = held(found.arguments, given, bound, signature, self.reporter)
        if values is None or failed:
            raise Failed
        word = found(values)
        try:
            word.check()
        except Fault as fault:
            argument_at = bound.arguments.get(fault.argument or "")
            raise self.reporter.fail(fault.problem, argument_at.span if argument_at else at) from None
        return word

    def _argument(self, parameter: Parameter, argument: tree.Argument) -> Any:
        kind = parameter.kind
        if kind.role == "output":
            return argument.value.span.text
        if kind.role == "path" and isinstance(argument.value, tree.String):
            return self._path(argument.value)
        value = self.evaluator.evaluate(argument.value, self.frame, kind.words)
        if not plain(value):
            problem = BadArgument(parameter.name, show(value), kind.expected)
            raise self.reporter.fail(problem, argument.span)
        return value

    def _path(self, node: tree.String) -> str:
        """A path from the folder of the file that says it, or from the current one where none does."""
        stated = Path(node.value).expanduser()
        file = Path(node.span.source.name)
        return str(file.parent / stated) if file.is_file() else str(stated)

    def _value(self, key: str, node: tree.Expression, kind: Kind) -> Any:
        """A plain value of a kind."""
        if isinstance(node, tree.Name) and kind.words and node.id not in kind.words:
            if all(node.id not in frame.names for frame in self.frame.around()):
                meant = word_meant(node.id, kind.words)
                problem = BadSetting(key, f"`{node.id}`", kind.expected, meant)
                raise self.reporter.fail(problem, node.span)
        value = whole(self.evaluator.evaluate(node, self.frame, kind.words))
        checked = kind.check(value) if plain(value) else None
        if checked is None:
            self._refuse(key, node, kind.expected, value)
            raise Failed
        return checked

    def _refuse(self, key: str, node: tree.Expression, expected: str, value: Any = None) -> None:
        text = f"`{node.span.text}`"
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = isinstance(node, tree.Number) or (
                isinstance(node, tree.Unary) and isinstance(node.operand, tree.Number)
            )
            text = node.span.text if number else f"{text}, which is {value:g}"
        self.reporter.report(BadSetting(key, text, expected), node.span)


def _key_meant(key: str) -> tuple[str | None, str | None]:
    """The key that was most likely meant, or why there is none."""
    return KEYS_ELSEWHERE.get(key) or (nearest(key, KEYS), None)


def _data_for(network: Network) -> str:
    """Data that fit a network's input and need no files, or else those of a file."""
    taken = [tuple(node.shape) for node in network.inputs]
    for word in Data.words.values():
        if not any(argument.required for argument in word.arguments.values()):
            described = word.new().described()
            if described is not None and taken in [[shape] for shape in described.shapes]:
                return str(word.word)
    return 'arrays("own.npz")'


def _names_a_word(node: tree.Expression, family: type[Word]) -> bool:
    name = node.id if isinstance(node, tree.Name) else node.callee if isinstance(node, tree.Call) else ""
    return name in family.words


def _expected(family: type[Word]) -> str:
    """The words of a family; few of them with their arguments."""
    words = family.words
    if len(words) > 3:
        return listed([f"`{name}`" for name in words], "or")
    return listed([f"`{word.signature().text}`" for word in words.values()], "or")
