"""`archdsl look`: a look inside a trained network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import click

from archdsl.cli.networks import compiled
from archdsl.cli.output import Refused, json_text, message, result, style, waiting, width
from archdsl.cli.pictures import draw_to, form_of, output_option, theme_option
from archdsl.cli.settings import Number, python_option, recipe_settings, run_options
from archdsl.cli.targets import File
from archdsl.cli.trained import keys_of_run
from archdsl.drawing.picture import MADE_WITH

if TYPE_CHECKING:
    from archdsl.drawing.sheet import Sheet
    from archdsl.drawing.theme import Theme
    from archdsl.looking.subject import Subject
    from archdsl.looking.units import Unit

    class Measured(Protocol):
        """What was measured, of one unit or layer."""

        def to_dict(self) -> dict[str, Any]: ...


class Asked(NamedTuple):
    """What a way to look heeds, where it can choose."""

    unit: tuple[str, ...]
    layer: tuple[str, ...]
    picture: Path | None
    example: int | None
    steps: int | None
    smooth: float | None
    masks: Path | None
    share: float | None
    figures: bool | None
    seed: int | None


EXTRAS = {"PIL": ("pillow", "data"), **{name: (name, "pictures") for name in MADE_WITH}}
"""What a library without the extra lacks, by the module's name: the package, and the extra."""

OPTIONS = {"figures": "json"}
"""What those of `Asked` are called on the command line, where they have another name."""


class Found(NamedTuple):
    """What was found: a picture, and lines on what was measured."""

    sheet: Sheet
    lines: list[str]


class Way(NamedTuple):
    """A way to look.

    `options` are those of `Asked` that it heeds; `trained` ones need a run.
    """

    shows: str
    look: Callable[[Subject, Asked], Found]
    options: tuple[str, ...]
    trained: bool = True


def _stimulus(subject: Subject, asked: Asked) -> Found:
    from archdsl.looking.showing import of_stimuli, stimulus_lines
    from archdsl.looking.stimulus import SMOOTH, STEPS, stimuli

    smooth = SMOOTH if asked.smooth is None else asked.smooth
    units = _units(subject, asked)
    with waiting("stimuli") as told:
        found = stimuli(subject, units, asked.seed or 0, asked.steps or STEPS, smooth, told)
    said = [one for stimuli in found.values() for one in stimuli]
    return Found(of_stimuli(subject, found), _said(asked, subject, said, stimulus_lines))


def _deconvolution(subject: Subject, asked: Asked) -> Found:
    from archdsl.looking.deconvolution import Unexcited, projections
    from archdsl.looking.showing import of_projections, projection_lines

    chosen = asked.picture is not None or asked.example is not None
    given = subject.given(asked.picture, asked.example) if chosen else None
    units = _units(subject, asked)
    with waiting("deconvolution") as told:
        found = projections(subject, units, given, told=told)
    said: list[Measured] = []
    for state, projected in found.items():
        for unit, some in zip(units, projected, strict=True):
            said += some or [Unexcited(unit, state)]
    return Found(of_projections(subject, units, found), _said(asked, subject, said, projection_lines))


def _inversion(subject: Subject, asked: Asked) -> Found:
    from archdsl.looking.inversion import SMOOTH, STEPS, inversions, layers_of
    from archdsl.looking.showing import inversion_lines, of_inversions
    from archdsl.looking.units import layers_named

    smooth = SMOOTH if asked.smooth is None else asked.smooth
    layers = layers_named(subject.network, asked.layer) or layers_of(subject.network)
    given = subject.given(asked.picture, asked.example)
    with waiting("inversions") as told:
        found = inversions(subject, layers, given, asked.seed or 0, asked.steps or STEPS, smooth, told)
    said = [one for inversions in found.values() for one in inversions]
    return Found(of_inversions(subject, given, found), _said(asked, subject, said, inversion_lines))


def _units(subject: Subject, asked: Asked) -> list[Unit]:
    """The units that are meant; without any the first ones of the output."""
    from archdsl.looking.units import named, units_of

    meant = asked.unit or (named(subject.network.outputs[0]),)
    return list(dict.fromkeys(unit for text in meant for unit in units_of(subject.network, text)))


def _said(
    asked: Asked, subject: Subject, found: Sequence[Measured], lines: Callable[[Subject, Any], list[str]]
) -> list[str]:
    """What was measured, in lines or as JSON."""
    if not asked.figures:
        return lines(subject, found)
    figures = [one.to_dict() for one in found]
    return [json_text({"schema": 1, "run": subject.name, "found": figures})]


def _dissection(subject: Subject, asked: Asked) -> Found:
    from archdsl.looking.detectors import Detectors
    from archdsl.looking.dissection import SHARE
    from archdsl.looking.units import layers_named

    wires = layers_named(subject.network, asked.layer)
    if asked.masks is None or len(wires) != 1:
        raise click.UsageError("a dissection is of one --layer, with the pictures and --masks of a folder")
    with waiting("dissection") as told:
        found = Detectors(subject, wires[0], asked.masks, asked.share or SHARE, told)
    if asked.figures:
        return Found(found.sheet(), [json_text(found.to_dict())])
    return Found(found.sheet(), [found.text(width(sys.stdout), style(sys.stdout))])


def _maps(subject: Subject, asked: Asked) -> Found:
    from archdsl.looking.maps import check, left_out, maps, sheet

    if asked.picture is None and subject.recipe is None:
        raise click.UsageError("of a network without a run it takes a --picture to show its maps")
    check(subject)
    given = subject.given(asked.picture, asked.example)
    found = maps(subject, given.input, asked.layer, subject.limits_of(given))
    remarks = [] if asked.layer else left_out(subject.network)
    return Found(sheet(subject, given, found, remarks), [f"note: {remark}" for remark in remarks])


WAYS: dict[str, Way] = {
    "stimulus": Way(
        "the input that most excites a unit", _stimulus, ("unit", "steps", "smooth", "figures", "seed")
    ),
    "deconvolution": Way(
        "what of the examples that excite a unit it answers to",
        _deconvolution,
        ("unit", "picture", "example", "figures"),
    ),
    "inversion": Way(
        "what layers still tell of an input",
        _inversion,
        ("layer", "picture", "example", "steps", "smooth", "figures", "seed"),
    ),
    "dissection": Way(
        "which concepts of a folder of pictures with masks units detect",
        _dissection,
        ("layer", "masks", "share", "figures"),
    ),
    "maps": Way(
        "what layers make of a picture", _maps, ("layer", "picture", "example", "seed"), trained=False
    ),
}


@click.command(short_help="Look inside a trained network.")
@click.argument("run", metavar="RUN")
@click.option(
    "--how",
    type=click.Choice([*WAYS]),
    default="stimulus",
    show_default=True,
    help="What is looked for: " + "; ".join(f"{name}, {way.shows}" for name, way in WAYS.items()) + ".",
)
@click.option(
    "--unit",
    metavar="LAYER[:CHANNEL[,PLACE]]",
    multiple=True,
    help="A unit, counted from 0: conv3:17, conv3:17,4,6 at a place of its map, fc:5; LAYER alone means its "
    "first 16. Again: one more.",
)
@click.option("--layer", metavar="LAYER", multiple=True, help="A layer. Again: one more.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture, or the .npy file, that is looked at; scikit-learn's china.jpg and flower.jpg are "
    "found anywhere.",
)
@click.option("--example", type=click.IntRange(0), metavar="N", help="The test example that is looked at.")
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Steps of a search [200 for a stimulus, 400 for an inversion].",
)
@click.option(
    "--smooth",
    type=Number(0, 1000),
    metavar="X",
    help="How much neighbours are to be alike; 0 not at all [0.3 for a stimulus, 0.01 for an inversion].",
)
@click.option(
    "--masks",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The folder of a dissection: FOLDER/images/NAME.jpg, and FOLDER/masks/CONCEPT/NAME.png.",
)
@click.option(
    "--share",
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="PART",
    help="The part of a unit's values with which it counts as on [0.005].",
)
@click.option("--json", "figures", is_flag=True, default=None, help="The figures as JSON.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    metavar="N",
    help="By which a search begins, and the weights of a FILE are drawn [0].",
)
@run_options("Replace a key of the recipe, such as its data.")
@output_option("The file to write, .svg, .png or .pdf.", Path("look.png"))
@theme_option
@python_option
@click.option("--device", default="cpu", help="Where to compute, as torch names it [cpu].")
def look(
    run: str,
    how: str,
    unit: tuple[str, ...],
    layer: tuple[str, ...],
    picture: Path | None,
    example: int | None,
    steps: int | None,
    smooth: float | None,
    masks: Path | None,
    share: float | None,
    figures: bool | None,
    seed: int | None,
    settings: tuple[tuple[str, str], ...],
    output: Path,
    theme: Theme,
    allow_python: bool,
    device: str,
) -> int:
    """Show what a trained network has learnt to see, beside what it saw before training.

    RUN is the folder of a run, or a FILE for --how maps. A picture is written, and what was measured is said:
    of stimuli and examples how many standard deviations the unit is above its mean over test examples.
    """
    way = WAYS[how]
    asked = Asked(unit, layer, picture, example, steps, smooth, masks, share, figures, seed)
    for option, value in asked._asdict().items():
        if value not in (None, ()) and option not in way.options:
            fitting = " or ".join(name for name, other in WAYS.items() if option in other.options)
            raise click.UsageError(f"--{OPTIONS.get(option, option)} is for --how {fitting}")
    form = form_of(output)
    from archdsl.looking.unseen import Unseen
    from archdsl.training.folder import TrainingError

    try:
        subject = _subject(run, way, asked, settings, device, allow_python)
        found = way.look(subject, asked)
        draw_to(output, form, theme, found.sheet.drawn)
    except ImportError as error:
        if error.name not in EXTRAS:
            raise
        name, extra = EXTRAS[error.name]
        raise Refused(f"pictures need {name}: `pip install 'archdsl[{extra}]'`") from None
    except Unseen as error:
        raise Refused(str(error)) from None
    except click.exceptions.Exit:
        # Which is a RuntimeError: nobody reads any more.
        raise
    except (TrainingError, RuntimeError) as error:
        raise click.ClickException(str(error).splitlines()[0]) from None
    say = message if str(output) == "-" else result
    for line in found.lines:
        say(line)
    return 0


def _subject(
    run: str,
    way: Way,
    asked: Asked,
    settings: tuple[tuple[str, str], ...],
    device: str,
    allow_python: bool,
) -> Subject:
    """What is looked at: a run, or a FILE where the weights do not matter."""
    from archdsl.looking import subject
    from archdsl.looking.pictures import meant, sizes_for
    from archdsl.training.folder import TrainingError
    from archdsl.training.loop import device_of

    if way.trained and not Path(run).is_dir():
        raise Refused(
            f"{run!r} is no folder of a run, in which to see what was learnt: `archdsl train` makes one"
        )
    try:
        where = device_of(device)
        if Path(run).is_dir():
            from archdsl.recipes.keys import LOOKING

            if not way.trained and asked.seed is not None:
                raise click.UsageError("--seed draws the weights of a FILE: a run has its own")
            keys = keys_of_run(settings, LOOKING, "what is seen of a trained run")
            return subject.of_run(Path(run), keys, where, allow_python)
        if recipe_settings(settings):
            raise click.UsageError("only a run has a recipe here: leave out --set train....")
        target = File().convert(run, None, None)
        net = compiled(target, settings, allow_python=allow_python, unexpected=True)
        if asked.picture is not None and (sizes := sizes_for(net.network, meant(asked.picture))):
            # Where sizes are open, the picture is taken as it is.
            given = tuple(sizes.items())
            net = compiled(target, settings, given, (), allow_python, unexpected=True, quiet=True)
        return subject.of_network(net.network, asked.seed or 0, where)
    except click.exceptions.Exit:
        # Which is a RuntimeError: what is wrong has been said.
        raise
    except (TrainingError, RuntimeError) as error:
        raise click.ClickException(str(error).splitlines()[0]) from None
