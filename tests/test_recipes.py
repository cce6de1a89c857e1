"""Recipes: their words held against torch, and what they may and may not say."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import re
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn

import archdsl
from archdsl.cli.train import train as command
from archdsl.layers.layer import Fans
from archdsl.recipes.data import Target
from archdsl.recipes.explaining import duration, explained
from archdsl.recipes.initialisations import (
    Bilinear,
    DeltaOrthogonal,
    He,
    Initialisation,
    Normal,
    Orthogonal,
    Xavier,
)
from archdsl.recipes.keys import KEYS, OF_PARTS
from archdsl.recipes.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)
from archdsl.recipes.metrics import AbsoluteError, Accuracy, Error, MeanIou, Metric, SquaredError, TopError
from archdsl.recipes.optimizers import Optimizer
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.recipes.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
    WarmUp,
    rate_factor,
)
from archdsl.report.units import human, human_bytes
from archdsl.training.folder import TrainingError
from archdsl.training.initialisation import initialise
from archdsl.training.loop import Plateau as PlateauSoFar
from archdsl.training.loop import train
from archdsl.training.measuring import as_read, scored
from archdsl.training.parameters import optimizer
from archdsl.training.run import Measurement
from archdsl.training.step import Step as TrainingStep
from archdsl.training.transforming import augmented

NETWORK = """let base = 0.1
network Small(classes = 10) {
  input signal: [1, 40]
  stem: conv(4, kernel=3) -> relu
  stage: repeat 2 { conv(4, kernel=3, padding=1) -> batch_norm -> relu }
  flatten
  logits: linear(classes)
}
"""
WHOLE = {
    "data": "mnist1d",
    "loss": "cross_entropy",
    "optimizer": "sgd(lr=0.1)",
    "batch": "100",
    "steps": "1000",
}


def read(**settings: str) -> tuple[Recipe | None, list[tuple[str, str]]]:
    """The recipe of a small network with these settings in place of the usual ones, and what is wrong."""
    lines = "\n".join(f"{key} = {value}" for key, value in {**WHOLE, **settings}.items() if value)
    net = archdsl.loads(f"{NETWORK}\ntrain {{\n{lines}\n}}")
    recipe, found = read_recipe(net.network.train, net.network, frame=net.program.names())
    return recipe, [(d.name, d.span.text) for d in found]


def right(**settings: str) -> Recipe:
    recipe, found = read(**settings)
    assert recipe is not None and not found
    return recipe


# ------------------------------------------------------------------------------ optimizers

GIVEN: dict[str, dict[str, Any]] = {"sgd": {"lr": 0.1}}


@pytest.mark.parametrize("word", sorted(Optimizer.words))
def test_an_optimizer_is_torchs_with_torchs_defaults(word: str) -> None:
    chosen = Optimizer.words[word]
    signature = inspect.signature(getattr(torch.optim, chosen.torch_name))
    for name, parameter in chosen.arguments.items():
        if name == "decay" or parameter.required:
            continue
        assert parameter.default == pytest.approx(signature.parameters[name].default), name


@pytest.mark.parametrize("word", sorted(Optimizer.words))
def test_an_optimizer_keeps_what_it_says(word: str) -> None:
    chosen = Optimizer.words[word].new(**GIVEN.get(word, {}))
    weights = nn.Parameter(torch.ones(50))
    made = chosen.build(torch.optim, [weights])
    weights.sum().backward()
    before = weights.detach().clone()
    made.step()
    assert not torch.equal(weights, before)
    kept = sum(value.numel() for value in made.state[weights].values() if value.numel() == 50)
    assert kept == 50 * chosen.kept()


def test_which_of_torchs_optimizers_there_are() -> None:
    """All but those that ask for more than a step's gradient: several evaluations, sparse ones, matrices."""
    theirs = {name for name in torch.optim.__all__ if inspect.isclass(getattr(torch.optim, name, None))}
    ours = {word.torch_name for word in Optimizer.words.values()}
    assert ours == theirs - {"Optimizer", "LBFGS", "SparseAdam", "Muon"}


def test_adafactor_does_not_train_weights_that_are_split(tmp_path: Any) -> None:
    recipe = right(optimizer="adafactor")
    with pytest.raises(TrainingError, match="adafactor does not train weights that are split"):
        train(archdsl.loads(NETWORK).network, recipe, tmp_path / "run", sharded=True)
    assert not (tmp_path / "run").exists()


def test_optimizers_keep_more_where_they_are_asked_to() -> None:
    words = Optimizer.words
    assert words["sgd"].new(lr=1).kept() == 0
    assert words["sgd"].new(lr=1, momentum=0.9).kept() == 1
    assert words["adam"].new(amsgrad=True).kept() == 3
    assert words["rmsprop"].new(momentum=0.9, centered=True).kept() == 3


@pytest.mark.parametrize(
    "chosen",
    [
        *(chosen.new(**GIVEN.get(word, {})) for word, chosen in sorted(Optimizer.words.items())),
        Optimizer.words["sgd"].new(lr=0.1, momentum=0.9, nesterov=True),
        Optimizer.words["sgd"].new(lr=0.1, momentum=0.9, dampening=0.5),
        Optimizer.words["rmsprop"].new(momentum=0.9),
        Optimizer.words["rmsprop"].new(momentum=0.9, centered=True),
        Optimizer.words["adam"].new(amsgrad=True),
    ],
    ids=str,
)
def test_training_takes_the_steps_of_torchs_optimizer(chosen: Optimizer) -> None:
    net = archdsl.load("mnist1d_conv.arch")
    recipe, _ = read_recipe(net.network.train, net.network)
    assert recipe is not None
    torch.manual_seed(0)
    model = net.build()
    twin = copy.deepcopy(model)
    pairs = [
        (model, optimizer(model, net.network, dataclasses.replace(recipe, optimizer=chosen))),
        (twin, chosen.build(torch.optim, twin.parameters())),
    ]
    for _ in range(3):
        x, y = torch.randn(10, 1, 40), torch.randint(10, (10,))
        for trained, made in pairs:
            made.zero_grad()
            nn.functional.cross_entropy(trained(x), y).backward()
            made.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_analyze_counts_the_optimizer_of_the_recipe(tmp_path: Any) -> None:
    lines = "\n".join(f"{key} = {value}" for key, value in {**WHOLE, "optimizer": "adam"}.items())
    net = archdsl.loads(f"{NETWORK}\ntrain {{\n{lines}\n}}")
    plain, with_adam = (
        net.report(optimizer_state=state).to_dict()["totals"]["training_peak_bytes"] for state in (0, 2)
    )
    assert with_adam - plain == 2 * 4 * net.report().to_dict()["totals"]["parameters"]


# ------------------------------------------------------------------------------ schedules

STEPS, PER_EPOCH = 60, 10


def factors(*pieces: Schedule, steps: int = STEPS) -> list[float]:
    return [rate_factor(pieces, step, steps, PER_EPOCH) for step in range(steps)]


def torchs(make: Any, steps: int = STEPS, every: int = 1) -> list[float]:
    """The rates of one of torch's schedulers, that is told of a step after so many."""
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = make(made)
    found = []
    for step in range(steps):
        found.append(made.param_groups[0]["lr"])
        made.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return found


@pytest.mark.parametrize(
    ("pieces", "make", "every"),
    [
        ((Cosine.new(end=0.1),), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, 0.1), 1),
        ((Polynomial.new(power=2.0),), lambda o: torch.optim.lr_scheduler.PolynomialLR(o, STEPS, 2.0), 1),
        ((Step.new(every=2),), lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.1), PER_EPOCH),
        (
            (Step.new(at=(1, 4), by=0.5),),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 4], 0.5),
            PER_EPOCH,
        ),
        (
            (Step.new(at=(7, 31), unit="steps"),),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [7, 31], 0.1),
            1,
        ),
        (
            (Exponential.new(by=0.5),),
            lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5 ** (1 / PER_EPOCH)),
            1,
        ),
        (
            (OneCycle.new(),),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False),
            1,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_a_schedule_is_torchs(pieces: tuple[Schedule, ...], make: Any, every: int) -> None:
    assert factors(*pieces) == pytest.approx(torchs(make, every=every))


def test_pieces_follow_each_other() -> None:
    pieces = (WarmUp.new(epochs=1.0), Constant.new(steps=5, times=0.5), Cosine.new())
    found = factors(*pieces)
    assert found[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert found[10:15] == [0.5] * 5
    assert found[15:] == pytest.approx([(1 + math.cos(math.pi * i / 45)) / 2 for i in range(45)])


def test_without_a_schedule_the_rate_stays() -> None:
    assert factors() == [1.0] * STEPS


def test_a_plateau_answers_to_measurements() -> None:
    recipe = right(schedule="plateau(by=0.5, patience=2, falls=1)")
    so_far = PlateauSoFar(recipe)
    drops = []
    for step, error in enumerate([0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.7, 0.7]):
        so_far.see(Measurement(step, [0.0], [error], None, 0.1))
        drops.append(so_far.drops)
    assert drops == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [recipe.rate(0, 4000, n) for n in (0, 1, 2)] == pytest.approx([0.1, 0.05, 0.05])


# ------------------------------------------------------------------------------ losses and metrics


@pytest.mark.parametrize(
    ("loss", "target", "output", "wanted"),
    [
        (CrossEntropy.new(), Target(10), (10,), nn.CrossEntropyLoss()),
        (CrossEntropy.new(label_smoothing=0.2), Target(10), (10,), nn.CrossEntropyLoss(label_smoothing=0.2)),
        (CrossEntropy.new(ignore=3), Target(5, (4, 6)), (5, 4, 6), nn.CrossEntropyLoss(ignore_index=3)),
        (MeanSquaredError.new(), Target(None, (3, 4)), (3, 4), nn.MSELoss()),
        (MeanAbsoluteError.new(), Target(None, (7,)), (7,), nn.L1Loss()),
        (BinaryCrossEntropy.new(), Target(None, (7,)), (7,), nn.BCEWithLogitsLoss()),
    ],
)
def test_a_loss_is_torchs(loss: Loss, target: Target, output: tuple[int, ...], wanted: Any) -> None:
    torch.manual_seed(0)
    scores = torch.randn(8, *output)
    truth = (
        torch.rand(8, *target.shape)
        if target.classes is None
        else torch.randint(target.classes, (8, *target.shape))
    )
    assert loss.outputs(target) == (output,)
    torch.testing.assert_close(loss.loss(nn.functional, scores, truth), wanted(scores, truth))


def test_binary_cross_entropy_of_two_classes() -> None:
    loss = BinaryCrossEntropy.new()
    assert loss.outputs(Target(2)) == ((1,),) and loss.outputs(Target(3)) == ()
    scores, truth = torch.tensor([[2.0], [-1.0]]), torch.tensor([1, 1])
    expected = -(torch.tensor([2.0, -1.0]).sigmoid().log()).mean()
    torch.testing.assert_close(loss.loss(nn.functional, scores, truth), expected)


TWO = """network Two {
  input signal: [1, 40]
  stem: flatten -> linear(20) -> relu
  early: linear(10)
  late: from stem -> linear(10)
  output late, early
}
"""


def step_of(text: str, **settings: str) -> TrainingStep:
    """A step of a network whose weights are the same each time."""
    lines = "\n".join(f"{key} = {value}" for key, value in {**WHOLE, **settings}.items())
    net = archdsl.loads(f"{text}\ntrain {{\n{lines}\n}}")
    recipe, found = read_recipe(net.network.train, net.network)
    assert recipe is not None, found
    torch.manual_seed(0)
    model = net.build()
    return TrainingStep(model, recipe, optimizer(model, net.network, recipe))


def some(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, 1, 40), torch.randint(10, (count,))


def test_losses_of_several_outputs_add_up_by_their_weights() -> None:
    loss = "cross_entropy(late, label_smoothing=0.1) + 0.3 * cross_entropy(early) + cross_entropy(late) * 0"
    step = step_of(TWO, loss=loss)
    x, y = some()
    late, early = step.model(x)
    wanted = nn.functional.cross_entropy(late, y, label_smoothing=0.1)
    wanted = wanted + 0.3 * nn.functional.cross_entropy(early, y)
    gradients = torch.autograd.grad(wanted, list(step.parameters.values()))
    step.gradients(x, y)
    torch.testing.assert_close(step.total_loss, wanted.detach())
    for parameter, gradient in zip(step.parameters.values(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    # What is measured is the output that the loss names first.
    ((measured, _),) = scored(step.model, step.recipe, [(x, y)], nullcontext())
    assert torch.equal(measured, step.model.eval()(x)[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_layers_compute_in_the_precision_of_the_recipe(precision: str) -> None:
    """Weights and their steps are in float32, and those of the step in float32 but for rounding."""
    x, y = some()
    step, plain = step_of(NETWORK, precision=precision), step_of(NETWORK)
    seen = []
    step.model.get_submodule("logits").register_forward_hook(lambda *given: seen.append(given[2].dtype))
    before = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    step(x, y)
    plain(x, y)
    assert seen == [getattr(torch, precision)]
    assert step.scaler.get_scale() == (2.0**16 if precision == "float16" else 1.0)
    for name, parameter in step.parameters.items():
        assert parameter.dtype == torch.float32
        if name.startswith("logits"):
            moved, wanted = (of.parameters[name] - before[name] for of in (step, plain))
            assert (moved - wanted).norm() < 0.05 * wanted.norm()
    assert step.total_loss.item() == pytest.approx(plain.total_loss.item(), rel=0.02)


def test_examples_and_their_losses_are_mixed_alike() -> None:
    step = step_of(NETWORK, augment="mixup(alpha=5)")
    x, _ = some(10)
    y = torch.arange(10)
    mixed, other = augmented(step.recipe, 3, x, y)
    # Each example has a class of its own, which tells with whom it was mixed.
    assert other is not None and 0.01 < other.share < 0.99
    assert sorted(other.targets.tolist()) == list(range(10)) != other.targets.tolist()
    torch.testing.assert_close(mixed, other.share * x + (1 - other.share) * x[other.targets])
    loss = nn.functional.cross_entropy
    scores = copy.deepcopy(step.model)(mixed)
    wanted = other.share * loss(scores, y) + (1 - other.share) * loss(scores, other.targets)
    step.gradients(mixed, y, other)
    torch.testing.assert_close(step.total_loss, wanted.detach())


CROPPED = """network Cropped {
  input image: [1, 6, 6]
  conv(4, kernel=3) -> relu -> flatten
  linear(10)
}
"""


@pytest.mark.parametrize("crops", ["five_crop", "ten_crop"])
def test_what_is_said_of_several_windows_is_averaged(crops: str) -> None:
    step = step_of(CROPPED, data="digits", augment="random_crop(6)", evaluate=f"{crops}(6)")
    x, y = torch.rand(3, 1, 8, 8), torch.arange(3)
    ((found, _),) = scored(step.model, step.recipe, [(x, y)], nullcontext())
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    windows = [x[..., i : i + 6, j : j + 6] for i, j in corners]
    if crops == "ten_crop":
        windows += [window.flip(-1) for window in windows]
    wanted = sum(step.model(window).softmax(1) for window in windows) / len(windows)
    torch.testing.assert_close(found, wanted)
    assert torch.equal(as_read(step.recipe, found), found)


def value(metric: Metric, output: torch.Tensor, target: torch.Tensor) -> float:
    """A metric over two batches."""
    half = len(output) // 2
    one, other = metric.tally(output[:half], target[:half]), metric.tally(output[half:], target[half:])
    return metric.value(*(a + b for a, b in zip(one, other, strict=True)))


def test_metrics_by_hand() -> None:
    output = torch.tensor([[3.0, 2, 1], [1, 3, 2], [1, 2, 3], [3, 2, 1]])
    target = torch.tensor([0, 1, 0, 2])
    assert value(Error.new(), output, target) == 0.5
    assert value(Accuracy.new(), output, target) == 0.5
    assert value(TopError.new(k=2), output, target) == 0.5
    assert value(TopError.new(k=3), output, target) == 0.0
    assert value(Error.new(), torch.tensor([[2.0], [-1]]), torch.tensor([1, 1])) == 0.5
    numbers, truth = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0, 0], [0, 4]])
    assert value(SquaredError.new(), numbers, truth) == 13 / 4
    assert value(AbsoluteError.new(), numbers, truth) == 5 / 4


def test_mean_iou_by_hand() -> None:
    # Two pictures of three pixels; class 2 occurs neither in what is said nor in what is true.
    said = torch.tensor([[0, 0, 1], [1, 1, 0]])
    output = nn.functional.one_hot(said, 3).movedim(-1, 1).float()
    target = torch.tensor([[0, 1, 1], [1, 255, 0]])
    # Class 0: said and true 2, either 3. Class 1: said and true 2, either 3; 255 is no class.
    assert value(MeanIou.new(), output, target) == pytest.approx(2 / 3)


# ------------------------------------------------------------------------------ initialisations


def filled(how: Initialisation, shape: tuple[int, ...], fans: tuple[int, int] = (1, 1)) -> torch.Tensor:
    torch.manual_seed(0)
    weight = torch.full(shape, torch.nan)
    how.fill(nn.init, weight, Fans(*fans))
    return weight


@pytest.mark.parametrize(
    ("how", "variance"),
    [
        (He.new(), 2 / 400),
        (He.new(fan="fan_out", gain=1.0), 1 / 100),
        (He.new(fan="fan_average", distribution="uniform"), 2 / 250),
        (Xavier.new(), 1 / 250),
        (Normal.new(std=0.01), 1e-4),
    ],
)
def test_weights_have_the_variance_of_the_paper(how: Initialisation, variance: float) -> None:
    weight = filled(how, (200, 400), (400, 100))
    assert weight.var().item() == pytest.approx(variance, rel=0.03)
    assert abs(weight.mean().item()) < 0.1 * math.sqrt(variance)


def test_orthogonal_weights_keep_lengths() -> None:
    weight = filled(Orthogonal.new(gain=2.0), (30, 20))
    torch.testing.assert_close(weight.T @ weight, 4 * torch.eye(20), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [(3,), (5, 3), (3, 3, 3), (4,)])
def test_delta_orthogonal_weights_keep_the_length_of_every_position(kernel: tuple[int, ...]) -> None:
    weight = filled(DeltaOrthogonal.new(), (12, 8, *kernel))
    function = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[len(kernel) - 1]
    x = torch.randn(2, 8, *[9] * len(kernel))
    y = function(x, weight, padding=[k // 2 for k in kernel])
    inside = y[(slice(None), slice(None), *[slice(0, 9)] * len(kernel))]
    torch.testing.assert_close(inside.norm(dim=1), x.norm(dim=1), rtol=1e-4, atol=1e-4)


SUMMING = {
    "conv(6, kernel=3, groups=2)": "",
    "conv(6, kernel=[3, 2], stride=[1, 2])": "",
    "depthwise_conv(kernel=3, multiplier=2)": "",
    "conv_transpose(6, kernel=4, stride=2, groups=2)": "",
    "conv_transpose(6, kernel=2, stride=2)": "",
    "lifting_conv(3, kernel=3, group=p4m)": "",
    "group_conv(3, kernel=3, group=p4)": "",
    "scale_invariant_conv(6, kernel=3, scales=[0.5, 1])": "",
    "partial_conv(6, kernel=3, mask=known, groups=2)": "input known: [1, 16, 16]",
    "deformable_conv(6, kernel=3, offsets=moved, padding=1)": "input moved: [18, 16, 16]",
    "pixel_adaptive_conv(6, kernel=3, guide=alike)": "input alike: [2, 16, 16]",
    "flatten -> linear(7)": "",
}
"""Layers whose weights an initialisation fills, and the further input that one takes."""


@pytest.mark.parametrize("line", SUMMING)
def test_fans_are_the_weights_that_meet(line: str) -> None:
    """With every weight and value 1, a unit is what meets in it, and so is its gradient."""
    further = SUMMING[line]
    text = f"network N {{\ninput x: [8, 16, 16]\n{further}\n{'from x' if further else ''}\nlast: {line}\n}}"
    net = archdsl.loads(text)
    node = next(node for node in net.network.nodes if node.layer.weights(*(w.shape for w in node.inputs)))
    model = net.build().double()
    for name, parameter in model.named_parameters():
        nn.init.constant_(parameter, float(name.endswith("weight")))
    x = torch.ones(1, 8, 16, 16, dtype=torch.double, requires_grad=True)
    given = {"known": torch.ones, "alike": torch.ones, "moved": torch.zeros}
    others = [given[n.name](1, *n.shape, dtype=torch.double) for n in net.network.inputs[1:]]
    results = model(x, *others)
    y = results[0] if isinstance(results, tuple) else results
    (gradient,) = torch.autograd.grad(y.sum(), x)
    fans = node.layer.fans(*(wire.shape for wire in node.inputs))
    inside = (Ellipsis, slice(6, 10), slice(6, 10)) if y.dim() == 4 else ()
    assert y[inside].mean().item() == pytest.approx(fans.incoming)
    if node.kind != "scale_invariant_conv":  # of the scales only the largest answers
        assert gradient[..., 6:10, 6:10].mean().item() == pytest.approx(fans.outgoing)


@pytest.mark.parametrize("line", SUMMING)
def test_an_initialisation_reaches_every_layer_that_sums(line: str) -> None:
    further = SUMMING[line]
    text = f"network N {{\ninput x: [8, 16, 16]\n{further}\n{'from x' if further else ''}\nlast: {line}\n}}"
    net = archdsl.loads(text)
    model = net.build()
    recipe, _ = read_recipe(archdsl.load("mnist1d_conv.arch").network.train, None)
    assert recipe is not None
    torch.manual_seed(0)
    initialise(model, net.network, dataclasses.replace(recipe, initialize=Normal.new(std=3.0, bias=0.25)))
    for name, value in model.named_parameters():
        if name.endswith("bias"):
            assert (value == 0.25).all()
        else:
            assert value.std().item() == pytest.approx(3, rel=5 / math.sqrt(2 * value.numel()))


def test_a_part_begins_as_it_says() -> None:
    """The rest as the network does; of parts that lie in each other the later line counts."""
    recipe = right(
        initialize="normal(2)",
        **{"stage.initialize": "orthogonal(gain=3, bias=0.5)", "stage_2.initialize": "delta_orthogonal"},
    )
    net = archdsl.loads(NETWORK)
    model = net.build()
    torch.manual_seed(0)
    initialise(model, net.network, recipe)
    state = model.state_dict()
    assert state["stem.conv.weight"].std().item() == pytest.approx(2, rel=0.5)
    assert state["logits.weight"].std().item() == pytest.approx(2, rel=0.1)
    first, second = (state[f"stage_{i}.conv.weight"] for i in (1, 2))
    torch.testing.assert_close(first.flatten(1) @ first.flatten(1).T, 9 * torch.eye(4), rtol=1e-4, atol=1e-4)
    assert (state["stage_1.conv.bias"] == 0.5).all() and not state["stage_2.conv.bias"].any()
    assert not second[..., 0].any() and not second[..., 2].any()
    torch.testing.assert_close(second[..., 1] @ second[..., 1].T, torch.eye(4), rtol=1e-4, atol=1e-4)


def test_bilinear_weights_interpolate() -> None:
    layer = nn.ConvTranspose2d(3, 3, kernel_size=4, stride=2, padding=1, bias=False)
    layer.weight.data = filled(Bilinear.new(), (3, 3, 4, 4))
    x = torch.randn(1, 3, 6, 6)
    expected = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(layer(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


# ------------------------------------------------------------------------------ what a recipe implies


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.00234, "2.34 ms"),
        (45.2, "45.2 s"),
        (90, "2 min"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (7200, "2 h"),
        (9 * 86400 + 3600 * 5 + 60, "9 days 5 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_recipe_in_words() -> None:
    """Figures worked out by hand: 4,000 examples in batches of 100 are 40 steps an epoch."""
    recipe = right(schedule="warm_up(epochs=1) -> cosine", accumulate="4", **{"stem.rate": "0"})
    net = archdsl.loads(f"{NETWORK}")
    said = explained(net.network, recipe).splitlines()
    assert "  length          1,000 steps of 100 examples, 40 steps an epoch" in said
    assert "                  25 epochs, 100 K examples in all" in said
    assert "                  a batch passes in 4 pieces of 25" in said
    assert "  stem            left as it is (2 layers)" in said
    assert "           0.0025 at step 1" in said
    assert f"             {0.1 * (1 + math.cos(math.pi * 85 / 960)) / 2:.6g} at step 126".strip() in "".join(
        said
    )


def test_what_a_recipe_comes_to() -> None:
    """By hand: of 200 examples in batches of 30 the last of an epoch has 20; what is frozen has no gradient,
    and neither has what an input takes."""
    text = """network Two {
      input signal: [1, 40]
      first: conv(8, kernel=3, stride=2)
      second: conv(8, kernel=3, stride=2)
      spare: from first -> conv(2, kernel=1)
      head: from second -> flatten -> linear(10)
      output head, spare
    }"""
    net = archdsl.loads(text)
    for frozen, macs in (
        ({}, 2 * 456 + 304 + 3 * (1728 + 720)),
        ({"first.rate": "0"}, 456 + 304 + 2 * 1728 + 3 * 720),
    ):
        settings = {"batch": "30", "steps": "20", "measurements": "500", "data": "mnist1d(examples=200)"}
        given = {**WHOLE, **settings, **frozen, "loss": "cross_entropy(head)"}
        recipe, _ = read_recipe(None, net.network, given)
        assert recipe is not None
        said = explained(net.network, recipe)
        assert "20 steps of 30 examples, 7 steps an epoch, the last of 20" in said
        assert "580 examples in all" in said and "measured        20 times" in said
        assert f"work            {human(30 * macs)} MACs" in said


SAID: dict[str, tuple[str, str]] = {
    "data": ("mnist1d(examples=2000)", "2,000 examples to train on and 1,000 to test on; one of 10 classes"),
    "loss": ("cross_entropy(label_smoothing=0.1)", "loss            cross_entropy(label_smoothing=0.1)"),
    "optimizer": ("adam(lr=0.003)", "optimizer       adam(lr=0.003)"),
    "schedule": ("cosine(end=0.1)", "schedule        cosine(end=0.1)"),
    "batch": ("50", "1,000 steps of 50 examples, 80 steps an epoch"),
    "accumulate": ("4", "a batch passes in 4 pieces of 25"),
    "steps": ("500", "500 steps of 100 examples"),
    "epochs": ("3", "120 steps of 100 examples"),
    "initialize": ("xavier", "initialize      xavier"),
    "clip": ("norm(1)", "gradients by norm(limit=1)"),
    "augment": ("cutout(3)", "augment         cutout(size=3)"),
    "evaluate": ("normalize(0.5)", "evaluate        normalize(mean=0.5)"),
    "moving_average": ("0.99", "over about the last 100 steps; measured and saved"),
    "precision": ("bfloat16", "bfloat16 in the layers, weights in float32"),
    "metrics": ("[error, top_error(2)]", "metrics         error, top_error(k=2)"),
    "measurements": ("7", "8 times, and saved"),
    "seed": ("9", "seed            9"),
    "stem.rate": ("0.5", "stem            0.5 times the rate (2 layers)"),
    "stem.initialize": ("orthogonal", "stem            begins as orthogonal (2 layers)"),
}
"""Every key with a value that is not its default, and what is said of that."""


@pytest.mark.parametrize("key", [*KEYS, *(f"stem.{key}" for key in OF_PARTS)])
def test_every_key_can_be_set_from_outside_and_is_explained(key: str) -> None:
    value, said = SAID[key]
    stated = right(**{key: value}, **({"steps": ""} if key == "epochs" else {}))
    text = "\n".join(f"{name} = {value}" for name, value in WHOLE.items())
    net = archdsl.loads(f"{NETWORK}\ntrain {{\n{text}\n}}")
    recipe, found = read_recipe(net.network.train, net.network, {key: value}, net.program.names())
    assert recipe == stated and not found
    assert said not in explained(net.network, right())
    assert said in explained(net.network, recipe)


def test_measuring_takes_a_quarter_of_the_work_at_most() -> None:
    """An example that is measured costs a third of one that is trained on. What a recipe says is done."""
    for length, often in (
        ({"steps": "100_000"}, 100),
        ({"epochs": "1"}, 3),
        ({"epochs": "60"}, 47),
        ({"epochs": "60", "evaluate": "ten_crop(28)"}, 3),
        ({"epochs": "60", "schedule": "plateau"}, 100),
        ({"epochs": "1", "measurements": "20"}, 20),
    ):
        net = archdsl.loads("network Small { input x: [1, 28, 28]\nflatten -> linear(10) }")
        own = {key: text for key, text in WHOLE.items() if key != "steps"}
        recipe, found = read_recipe(None, net.network, {**own, "data": "mnist", **length})
        assert recipe is not None, found
        every = recipe.measured_every(4_000, 1_000)
        times = -(-recipe.all_steps(4_000) // every)
        assert times == often
        if "measurements" not in length and often not in (3, 100):
            assert (times + 1) * 5_000 / 3 <= 240_000 / 3 < (times + 2) * 5_000 / 3


def test_the_memory_of_a_step_is_that_of_what_passes_at_a_time() -> None:
    """A piece of a batch, with the gradients, what the optimizer keeps and the averages, in its precision."""
    net = archdsl.loads(NETWORK)
    peaks = set()
    for settings, examples, kept, precision in (
        ({}, 100, 0, "float32"),
        ({"accumulate": "4"}, 25, 0, "float32"),
        ({"optimizer": "adam", "moving_average": "0.9"}, 100, 3, "float32"),
        ({"precision": "float16"}, 100, 0, "float16"),
    ):
        report = net.report(examples, optimizer_state=kept, trained_in=precision)
        peak = report.to_dict()["totals"]["training_peak_bytes"]
        said = explained(net.network, right(**settings))
        assert f"memory          {human_bytes(peak)} at the peak of a step\n" in f"{said}\n"
        peaks.add(peak)
        # So it is of a file that says so.
        text = "\n".join(f"{name} = {value}" for name, value in {**WHOLE, **settings}.items())
        of_file = archdsl.loads(f"{NETWORK}\ntrain {{\n{text}\n}}").report(examples)
        assert of_file.to_dict() == report.to_dict()
        assert ("float32, layers in float16" in str(of_file)) == (precision == "float16")
    assert len(peaks) == 4


def test_the_command_explains_and_estimates(tmp_path: Any) -> None:
    done = CliRunner().invoke(command, ["mnist1d_conv.arch", "--explain"], standalone_mode=False)
    assert done.return_value == 0, done.output
    pattern = r"time +\S+ (?:s|min|h).* on cpu: .* of steps, .* of measuring\n +by steps of \S+ ms timed now"
    assert re.search(pattern, done.output)
    assert not list(tmp_path.iterdir())
    # What is known without the data and the weights is said, and that they are not there.
    asked = ["mnist1d_conv.arch", "--explain", "--set"]
    for missing in (["alexnet.arch", "--explain"], [*asked, 'train.initialize=pretrained("none.pth")']):
        without = CliRunner().invoke(command, missing, standalone_mode=False)
        assert without.return_value == 1 and "  optimizer " in without.output
        assert re.search(r"error\[(no-data|bad-weights)\]: .* (is no|is not)", without.output)
        assert "timed now" not in without.output


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_mixed_precision(tmp_path: Any, precision: str) -> None:
    recipe = right(precision=precision, steps="60", optimizer="adam(lr=0.01)")
    done = train(archdsl.loads(NETWORK).network, recipe, tmp_path / "run")
    assert done.measured.training[0] < 0.8
    assert all(
        t.dtype != getattr(torch, precision) for t in load_file(tmp_path / "run/weights.safetensors").values()
    )


# ------------------------------------------------------------------------------ what a recipe says


def test_every_key_can_be_set() -> None:
    recipe = right(
        loss="cross_entropy(label_smoothing=base)",
        optimizer="adamw(lr=base / 100, decay=weights)",
        schedule="warm_up(epochs=1) -> cosine",
        accumulate="2",
        initialize="xavier",
        clip="norm(1)",
        moving_average="0.999",
        precision="bfloat16",
        metrics="[error, top_error(5)]",
        seed="3",
        **{"stem.rate": "0", "stage.initialize": "orthogonal(gain=2)"},
    )
    assert set(KEYS) - {"epochs"} <= recipe.to_dict().keys()
    assert recipe.optimizer.lr == pytest.approx(1e-3)
    assert recipe.part_of("stem.conv", "rate") == 0
    assert recipe.part_of("stage_2.conv", "initialize") == Orthogonal.new(gain=2)
    assert recipe.part_of("logits", "rate") is None


def test_the_length_may_be_said_in_epochs() -> None:
    assert right(steps="", epochs="2.5").all_steps(4000) == 100
    assert right(steps="1e3").all_steps(4000) == 1000


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"optimizer": "adm"}, ("bad-setting", "adm")),
        ({"optimizer": "adam(betas=[0.9])"}, ("bad-argument", "betas=[0.9]")),
        ({"optimizer": "rprop(weight_decay=0.1)"}, ("unknown-argument", "weight_decay")),
        ({"optimizer": "sgd(lr=0.1, nesterov=true)"}, ("nesterov-without-momentum", "nesterov=true")),
        ({"optimizer": "sgd(lr=H)"}, ("bad-argument", "lr=H")),
        ({"optimizer": "sgd(lr=relu)"}, ("bad-argument", "lr=relu")),
        ({"schedule": "warm_up -> cosine"}, ("endless-piece", "warm_up")),
        ({"schedule": "step"}, ("step-needs-places", "step")),
        ({"schedule": "cosine(steps=3, epochs=3)"}, ("conflicting-settings", "epochs=3")),
        ({"loss": "cross_entropy + mean_squared_error"}, ("loss-mismatch", "mean_squared_error")),
        ({"loss": "cross_entropy(other)"}, ("unknown-output", "cross_entropy(other)")),
        ({"loss": "cross_entropy * relu"}, ("bad-setting", "relu")),
        ({"metrics": "[error, top_error(20)]"}, ("metric-mismatch", "top_error(20)")),
        ({"metrics": "mean_iou"}, ("metric-mismatch", "mean_iou")),
        ({"stme.rate": "0"}, ("unknown-part", "stme.rate")),
        ({"stem.lr": "0"}, ("unknown-setting", "stem.lr")),
        ({"stem.rate": "-1"}, ("bad-setting", "-1")),
        ({"accumulate": "3"}, ("bad-setting", "3")),
        ({"precision": "float8"}, ("bad-setting", "float8")),
        ({"batch": "H"}, ("bad-setting", "H")),
        ({"clip": "norm(0)"}, ("bad-argument", "0")),
        ({"moving_average": "1"}, ("bad-setting", "1")),
        ({"metrics": "[]"}, ("bad-setting", "[]")),
        ({"seed": "cross_entropy"}, ("unknown-name", "cross_entropy")),
    ],
)
def test_what_a_recipe_may_not_say(settings: dict[str, str], expected: tuple[str, str]) -> None:
    recipe, found = read(**settings)
    assert recipe is None
    assert found == [expected]
