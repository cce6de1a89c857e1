"""Everything that is wrong with a file: in its networks, what it expects of them, and its recipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from archdsl.collection import uncollected
from archdsl.compiler import Options, Program, Work
from archdsl.compiler.frames import Frame
from archdsl.diagnostics import Diagnostic
from archdsl.net import Checked, check_network, program_of
from archdsl.precision import STANDARD, Measure
from archdsl.recipes.reader import read_recipe
from archdsl.source import Source
from archdsl.syntax.tree import Train
from archdsl.teaching.allowing import divided, needless


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file, checked: each network that was looked at, and every diagnostic once, in order of place.

    `silenced` is what comments in the files allow.
    """

    networks: list[Checked]
    diagnostics: list[Diagnostic]
    silenced: list[Diagnostic] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def check_file(
    source: Source,
    network: str | None = None,
    allow_python: bool = False,
    teach: bool = False,
    options: Options | None = None,
    measure: Measure = STANDARD,
) -> CheckedFile:
    """Check a file: the network that is named, or all of them; one of blocks alone as far as it goes.

    With `allow_python` the Python files from which it imports layers are run; with `teach` what one should
    know of the networks is said, too. `measure` is what the peaks that it expects are for.
    """
    program = program_of(source, allow_python)
    return check_program(program, network, teach=teach, options=options, measure=measure)


def shares(programs: Sequence[tuple[Program, str | None]], options: Options) -> list[Options]:
    """Each file's share of options that are for several: what its networks have, or the one that is named.

    What none of them has goes to the first file with a network, for which it is a mistake.
    """
    has = []
    for program, network in programs:
        found = program.having(options)
        mine = found.values() if network is None else [found.get(network, set())]
        has.append(set[tuple[str, str]]().union(*mine))
    missing = options.names.difference(*has)
    first = next((i for i, (program, _) in enumerate(programs) if program.networks), 0)
    return [options.only(own | (missing if i == first else set())) for i, own in enumerate(has)]


@uncollected()
def check_program(
    program: Program,
    network: str | None = None,
    work: Work | None = None,
    teach: bool = False,
    options: Options | None = None,
    measure: Measure = STANDARD,
) -> CheckedFile:
    """As `check_file`, of a file that has been read; `work` bounds it together with others.

    With `options` its networks are those that these make of them, which need not be what the file expects;
    of several networks each takes those that it has.
    """
    names = [network] if network is not None else program.networks
    work = work or Work()
    checked = []
    shares = program.shared_out(options) if options and network is None else {}
    for name in names:
        checked.append(check_network(program, name, shares.get(name, options), work, teach, measure))
        if work.left < 0:
            break
    found = [d for one in checked for d in one.diagnostics]
    if not names:
        found = [*program.check().diagnostics, *program.unused()]
        chosen = program.chosen()
        if options and isinstance(chosen, Diagnostic):
            # It is set for a network, and there is none.
            found.append(chosen)
    trains: dict[str | None, Train] = {}
    for train in program.file.declarations:
        if isinstance(train, Train) and (network is None or train.network in (network, None)):
            trains.setdefault(train.network, train)
    seen = program.names()
    of_recipes = [d for train in trains.values() for d in _of_recipe(train, checked, seen)]
    said, quiet = divided([*found, *of_recipes])
    quiet += [d for one in checked for d in one.silenced]
    right = [one.net.network for one in checked if one.net is not None]
    if network is None and not options and names and len(right) == len(names):
        read = all(d.severity != "error" for d in of_recipes)
        said += needless(program, right, quiet, teach, read, said)
    return CheckedFile(checked, _once(said), quiet)


def _of_recipe(train: Train, checked: list[Checked], names: Frame | None) -> list[Diagnostic]:
    """What is wrong with a recipe, by itself and, where that has no errors, for its network."""
    networks = [one.net.network for one in checked if one.net is not None]
    network = next((one for one in networks if one.train is train), None)
    return read_recipe(train, network, frame=names)[1]


def _once(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each diagnostic once, though several networks of a file may meet it.

    Of warnings one for a place is enough, whatever else it says of another network.
    """
    seen: dict[tuple[str, str, int, int, str], Diagnostic] = {}
    for d in diagnostics:
        message = "" if d.severity == "warning" else d.message
        seen.setdefault((d.name, d.span.source.name, d.span.start, d.span.end, message), d)
    return sorted(seen.values(), key=lambda d: (d.span.source.name, d.span.start, d.span.end))
