"""`archdsl look`: stimuli, deconvolutions and inversions, held to what theory says of them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch.nn import functional

from archdsl.analysis import analyse
from archdsl.cli.main import archdsl as command
from archdsl.cli.output import waiting
from archdsl.drawing.sheet import Curves, Pixels
from archdsl.looking import panels, work
from archdsl.looking.deconvolution import Unexcited, projected, projections
from archdsl.looking.examples import best_examples, over_examples
from archdsl.looking.inversion import inversions, layers_of
from archdsl.looking.showing import of_projections, of_stimuli, projection_lines, stimulus_lines
from archdsl.looking.stimulus import stimuli
from archdsl.looking.subject import Subject, of_run
from archdsl.looking.units import layer_of, units_of
from archdsl.looking.unseen import Unseen

FILE = """
network Bars(classes = 2) {
  input image: [1, 12, 12]

  c1: conv(4, kernel=3) -> relu
  pool: max_pool(2)
  c2: conv(3, kernel=3) -> relu
  flatten
  sums: linear(classes)
  shift: parameter([2])
  logits: from sums, shift -> add
}

train {
  data         = arrays("bars.npz")
  loss         = cross_entropy
  optimizer    = adam(lr=0.01)
  batch        = 20
  steps        = 40
  augment      = normalize(mean=0.2, std=0.5)
  evaluate     = normalize(mean=0.2, std=0.5)
  measurements = 1
}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells upright bars from those that lie."""
    root = tmp_path_factory.mktemp("looking")
    random = np.random.RandomState(0)
    x = 0.1 * random.rand(80, 1, 12, 12).astype(np.float32)
    y = np.arange(80) % 2
    for picture, upright in zip(x[:, 0], y, strict=True):
        at = random.randint(1, 10)
        picture[:, at : at + 2] += 0.8 * upright
        picture[at : at + 2, :] += 0.8 * (1 - upright)
    np.savez(root / "bars.npz", x=x, y=y)
    (root / "bars.arch").write_text(FILE)
    done = run("train", str(root / "bars.arch"), "--out", str(root / "run"))
    assert done.return_value == 0, done.output
    return root / "run"


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    return of_run(folder)


def test_the_command_looks_in_every_way(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "look.png"
    units = ["--unit", "c1:0", "--unit", "sums", "--unit", "sums:1"]
    arguments = ["look", str(folder), *units, "--steps", "20", "-o", str(made)]
    done = subprocess.run([sys.executable, "-m", "archdsl", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, f"wrote {made}\n")
    with Image.open(made) as opened:
        assert opened.size[0] > 500
    heads, *lines = done.stdout.splitlines()
    assert heads.split() == ["unit", "weights", "stimulus", "best", "example"]
    assert [line.split()[0] for line in lines] == ["c1:0", "sums:0", "sums:1"] * 2
    assert run(*arguments).stdout == done.stdout, "the same seed, the same stimuli"

    svg = run(
        "look",
        str(folder),
        "--how",
        "inversion",
        *["--layer", "c1", "--layer", "c1", "--layer", "c1.relu"],
        "--example",
        "3",
        "--steps",
        "2",
        "-o",
        "-",
    )
    assert (
        svg.stdout.count("<image") == 4 and "What layers of Bars still tell of test example 3" in svg.stdout
    )
    picture = tmp_path / "one.npy"
    np.save(picture, np.zeros((1, 12, 12)))
    for how, given in (("inversion", str(picture)), ("deconvolution", None)):
        extra = ["--picture", given, "--steps", "5"] if given else ["--unit", "c1"]
        done_so = run("look", str(folder), "--how", how, "--json", *extra, "-o", str(tmp_path / "look.svg"))
        figures = json.loads(done_so.stdout)
        assert figures["run"] == str(folder) and len(figures["found"]) >= 4
        assert {one["state"] for one in figures["found"]} == {"trained", "before training"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--unit", "logit"], "Bars has no layer logit; did you mean logits?"),
        (["--unit", "c1:4"], "'c1:4' names no unit: c1 has 4 channels, counted from 0"),
        (["--unit", "c1:0,10,0"], "'c1:0,10,0' names no unit: each channel of c1 has 10 × 10 units, counted"),
        (["--unit", "c1:0,1"], "'c1:0,1' names no unit: c1 has units like c1:2 or c1:2,4,4"),
        (["--unit", "sums:-1"], "'sums:-1' names no unit: sums has units like sums:1"),
        (["--unit", "image:0"], "image is the input; name a layer"),
        (["--unit", "shift:0"], "shift does not depend on the input"),
        (["--how", "inversion", "--layer", "shift"], "shift does not depend on the input"),
        (["--how", "inversion", "--example", "99"], "has 16 test examples, counted from 0"),
        (["--how", "inversion", "--picture", "no.png"], "no.png can't be read: No such file or directory"),
        (
            ["--how", "inversion", "--example", "1", "--picture", "china.jpg"],
            "china.jpg is one picture and has",
        ),
        (["--smooth", "nan"], "nan is not in the range 0<=x<=1000."),
        (["--smooth", "inf"], "inf is not in the range 0<=x<=1000."),
        (["--how", "dissection", "--share", "nan"], "nan is not in the range 0<x<1."),
        (["--device", "cuda:99"], "there is no device 'cuda:99' ("),
        (["--how", "inversion", "--unit", "c1:0"], "--unit is for --how stimulus or deconvolution"),
        (
            ["--set", "train.steps=3"],
            "changes nothing of what is seen of a trained run; train.data, train.loss",
        ),
        (["--how", "deconvolution", "--seed", "0"], "--seed is for --how stimulus or inversion or maps"),
        (["--how", "maps", "--seed", "0"], "--seed draws the weights of a FILE: a run has its own"),
        (["--set", "classes=3"], "of a run only keys of the recipe can be set: --set train.KEY=VALUE"),
        (["-o", "look.jpg"], "a picture is written to a file called *.svg, *.png or *.pdf, not to look.jpg"),
    ],
)
def test_what_can_not_be_looked_at_is_said(folder: Path, arguments: list[str], said: str) -> None:
    done = run("look", str(folder), *arguments)
    assert said in str(done.exception), done.output


@pytest.mark.parametrize(("module", "package"), [("PIL", "pillow"), ("drawsvg", "drawsvg")])
def test_what_pictures_need_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    for name in [
        name for name in sys.modules if name.startswith((module, "archdsl.drawing", "archdsl.looking"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    done = run("look", str(folder), "--steps", "1", "-o", str(tmp_path / "look.svg"))
    assert f"pictures need {package}: `pip install" in str(done.exception)


def test_too_much_work_and_no_run_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    assert "is no folder of a run" in str(run("look", str(tmp_path / "empty")).exception)
    assert "'lenet5.arch' is no folder of a run" in str(run("look", "lenet5.arch").exception)
    monkeypatch.setattr(work, "MOST_FLOPS", 10**6)
    for how in ("stimulus", "deconvolution", "inversion"):
        assert "at most 1,000,000 are made" in str(run("look", str(folder), "--how", how).exception)


def test_before_training_is_where_the_run_began(folder: Path, subject: Subject) -> None:
    """The test error of the first measurement is that of the weights which are shown as those before."""
    heads, first, *_, last = (folder / "metrics.csv").read_text().splitlines()
    column = heads.split(",").index("test_error")
    for state, row in (("before training", first), ("trained", last)):
        (scores,) = subject.seen(subject.network.outputs, state)(subject.examples.inputs)
        error = (scores.argmax(1) != subject.examples.targets).float().mean().item()
        assert error == pytest.approx(float(row.split(",")[column]), abs=1e-4)
    low, high = subject.limits
    assert low.item() == pytest.approx(-0.4, abs=0.01) and high.item() == pytest.approx(1.4, abs=0.01)


def test_the_stimulus_of_a_convolution_is_its_kernel(subject: Subject) -> None:
    """Of what is linear the largest value within a ball is along the weights: h = w . m + b + rho |w|."""
    free = replace(subject)
    free.__dict__["limits"] = (torch.tensor(-1e3), torch.tensor(1e3))
    unit = units_of(subject.network, "c1:2")[0]
    found = stimuli(free, [unit], steps=100, smooth=0)["trained"][0]
    kernel, bias = (subject.states["trained"][f"c1.conv.{name}"][2] for name in ("weight", "bias"))
    mean = subject.training_inputs.mean()
    assert found.read == (slice(4, 7), slice(4, 7))
    apart = found.input - mean
    window = apart[:, 4:7, 4:7].clone()
    assert torch.allclose(window / window.norm(), kernel / kernel.norm(), atol=1e-3)
    apart[:, 4:7, 4:7] = 0
    assert apart.abs().max() < 1e-5, "what is not read stays as it is"
    most = mean * kernel.sum() + bias + window.norm() * kernel.norm()
    assert found.excitation == pytest.approx(most.item(), rel=1e-3)
    assert found.excitation > found.best.excitation


def test_a_climb_that_can_not_begin_begins_at_an_example(subject: Subject) -> None:
    """Relus that noise leaves at 0 give no slope; a unit that is one for all examples has no deviation."""
    state = dict(subject.states["trained"])
    # Bright strokes alone get through.
    state["c1.conv.weight"] = torch.full_like(state["c1.conv.weight"], 1 / 9)
    state["c1.conv.bias"] = torch.full_like(state["c1.conv.bias"], -0.6)
    state["c2.conv.weight"] = state["c2.conv.weight"].abs()
    wholly = {**state, "c1.conv.bias": state["c1.conv.bias"] - 9}
    dead = replace(subject, states={"trained": state, "dead": wholly}, _seen={})
    units = units_of(subject.network, "sums")
    for smooth in (0.3, 0.0):
        found = stimuli(dead, units, steps=20, smooth=smooth)
        assert all(one.excitation > one.best.excitation + one.deviation for one in found["trained"])
    assert [(one.deviation, one.deviations(one.excitation)) for one in found["dead"]] == [(None, None)] * 2
    figures = found["dead"][0].to_dict()
    assert (figures["deviation"], figures["best_example"]) == (None, None)
    first, *_ = stimulus_lines(dead, found["dead"])[1:]
    assert first.split() == ["sums:0", "dead", "–", "–", *["answers", "to", "no", "example"]]
    assert "answers to none" in of_stimuli(dead, found).drawn()
    below = replace(found["trained"][1], excitation=-1e3)
    (*_, said) = stimulus_lines(dead, [below])
    assert said == "note: the search did not rise above the best example of sums:1 (trained)"


def test_the_best_example_is_the_best(subject: Subject) -> None:
    unit = units_of(subject.network, "c1:1")[0]
    seen = subject.seen([unit.excited], "trained")
    values = over_examples(subject, analyse(subject.network), seen, [1])[:, 0]
    first, second, *_ = best_examples(subject, values, unit, 5)
    assert first.excitation == values.max().item() > second.excitation
    assert values[(int(first.name.split()[-1]), *first.place)].item() == first.excitation
    at_place = units_of(subject.network, "c1:1,0,2")[0]
    (best,) = best_examples(subject, values, at_place, 1)
    assert (best.place, best.excitation) == ((0, 2), values[:, 0, 2].max().item())


def test_deconvolution_is_unpooling_relu_and_transposed_filters(subject: Subject) -> None:
    """Zeiler and Fergus's way back, taken step by step with torch's own layers."""
    state = subject.states["trained"]
    x = subject.examples.inputs[5:6]
    pooled, switches = functional.max_pool2d(
        functional.relu(functional.conv2d(x, state["c1.conv.weight"], state["c1.conv.bias"])),
        2,
        return_indices=True,
    )
    values = functional.conv2d(pooled, state["c2.conv.weight"], state["c2.conv.bias"])[0, :, 1, 0]
    channel, value = int(values.argmax()), values.max()
    assert value > 0
    unit, dull = (units_of(subject.network, f"c2:{k},1,0")[0] for k in (channel, int(values.argmin())))
    (found,), none = projections(subject, [unit, dull], subject.given(example=5))["trained"]
    assert values.min() < 0 and not none
    (*_, said) = projection_lines(subject, [found, Unexcited(dull, "trained")])
    assert said.split() == [str(dull), "trained", "–", *["answers", "to", "no", "example"]]
    made = of_projections(subject, [unit, dull], {"trained": [[found], []]})
    assert made.note.endswith(f"What answers to no example is left out: {dull} (trained).")
    alone = replace(subject, states={"trained": state})
    with pytest.raises(Unseen, match=f"none of c2:{dull.channel},1,0 is excited"):
        projections(alone, [dull], subject.given(example=5))
    start = torch.zeros(1, 3, 3, 3)
    start[0, channel, 1, 0] = value
    back = functional.conv_transpose2d(start, state["c2.conv.weight"])
    back = functional.relu(functional.max_unpool2d(back, switches, 2, output_size=(10, 10)))
    back = functional.conv_transpose2d(back, state["c1.conv.weight"])
    assert torch.allclose(found.input, back[0], atol=1e-6)
    # The slope lets through what relu keeps from coming back.
    slope = x.clone().requires_grad_()
    (made,) = subject.seen([unit.excited], "trained")(slope)
    (plain,) = torch.autograd.grad(made[0, channel, 1, 0], slope, value)
    assert not torch.allclose(found.input, plain[0], atol=1e-4)
    assert projected(subject.seen([unit.excited], "trained"), unit, []) == []


def test_how_far_a_search_is_stands_on_a_terminal(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts: list[float] = []
    given = subject.given(example=0)
    stimuli(subject, units_of(subject.network, "sums"), steps=2, told=parts.append)
    inversions(subject, [layer_of(subject.network, "c1")], given, steps=2, told=parts.append)
    assert parts == [0.25, 0.5, 0.75, 1] * 2
    for terminal, said in ((False, ""), (True, "\rsearch: 40 %\rsearch: 41 %\r            \r")):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        with waiting("search") as told:
            for part in (0.4, 0.401, 0.41):
                told(part)
        assert capsys.readouterr().err == said


def test_inputs_are_shown_as_curves_or_pixels() -> None:
    low, high = torch.tensor(-1.0), torch.tensor(3.0)
    curves = panels.of_input(torch.linspace(-1, 3, 80).reshape(2, 40), low, high)
    assert isinstance(curves, Curves) and curves.zero == 0.25
    assert [(line[0], line[-1]) for line in curves.channels] == [(0, 0.4937), (0.5063, 1)]
    for shape, mode in (((3, 5, 6), "RGB"), ((1, 5, 6), "L"), ((7, 5, 6), "L"), ((1, 9, 5, 6), "L")):
        shown = panels.of_input(torch.full(shape, 1.0), low, high)
        assert isinstance(shown, Pixels)
        with Image.open(io.BytesIO(shown.png)) as opened:
            assert (opened.mode, opened.size) == (mode, (6, 5))
            assert set(opened.tobytes()) == {128}


def test_inversion_finds_the_input_again(subject: Subject) -> None:
    given = subject.given(example=2)
    wires = [layer_of(subject.network, name) for name in ("c1", "sums")]
    alone = replace(subject, states={"trained": subject.states["trained"]})
    first, last = inversions(alone, wires, given, steps=150, smooth=1e-4)["trained"]
    assert first.error < 0.03 and first.apart < 0.2
    assert last.error < 0.03 and last.apart > first.apart, "scores tell less than a map"
    assert last.said is not None and last.said[0] == given.target
    again, other = (
        inversions(alone, wires[:1], given, seed=seed, steps=2)["trained"][0].input for seed in (3, 4)
    )
    assert not torch.equal(again, other)
    assert [str(wire) for wire in layers_of(subject.network)] == [
        *("c1.relu", "pool", "c2.relu", "sums", "logits")
    ]
