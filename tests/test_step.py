"""The step of training: as it is and compiled, both against torch's own optimizer."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import archdsl
from archdsl.compiler import Network
from archdsl.recipes.clipping import Norm, Value
from archdsl.recipes.data import Mnist1d
from archdsl.recipes.initialisations import He
from archdsl.recipes.losses import CrossEntropy
from archdsl.recipes.metrics import Error, TopError
from archdsl.recipes.optimizers import SGD, Adam, AdamW, Optimizer
from archdsl.recipes.recipe import Part, Recipe, Term
from archdsl.training.compiling import compiled_gradients, trace_step
from archdsl.training.diagnosis import first_without_number
from archdsl.training.measuring import Tally, counted
from archdsl.training.parameters import freeze, optimizer
from archdsl.training.quickening import FEWEST_STEPS, Snapshot, agree, quicken
from archdsl.training.step import Step
from archdsl.training.windows import LARGEST, SmallConvolutionsAsProducts

BATCH = 8
SGDS = (
    SGD.new(lr=0.05),
    SGD.new(lr=0.02, momentum=0.9),
    SGD.new(lr=0.02, momentum=0.8, weight_decay=0.01),
    SGD.new(lr=0.02, momentum=0.9, nesterov=True),
)

CONV = """network Conv {
  input signal: [1, 40]
  conv(6, kernel=3, stride=2) -> batch_norm -> relu
  conv(6, kernel=5, padding=same) -> tanh -> avg_pool(2)
  flatten -> linear(10)
}"""
PICTURE = """network Picture {
  input picture: [3, 12, 12]
  shared same_again: conv(4, kernel=3, padding=1)
  conv(4, kernel=[3, 1], stride=[2, 1], padding=[1, 0]) -> same_again -> relu -> same_again
  conv(4, kernel=3, groups=2) -> gelu -> max_pool(2)
  global_avg_pool -> flatten -> linear(10)
}"""
FULLY_CONNECTED = """network FullyConnected {
  input signal: [40]
  linear(20) -> relu -> linear(10)
}"""
DROPS = """network Drops {
  input signal: [40]
  linear(20) -> dropout(0.5) -> linear(10)
}"""


def recipe_of(chosen: Optimizer, **keys: Any) -> Recipe:
    """A recipe of a step: its optimizer, and what else is said."""
    term = Term(1.0, CrossEntropy.new(), 0)
    made = {"data": Mnist1d.new(), "loss": (term,), "batch": BATCH, "seed": 0, "steps": 10**9}
    return Recipe(**{**made, "optimizer": chosen, "initialize": He.new(), **keys})


def step_of(model: nn.Module, network: Network, chosen: Optimizer, **keys: Any) -> Step:
    recipe = recipe_of(chosen, **keys)
    freeze(model, recipe)
    return Step(model, recipe, optimizer(model, network, recipe))


def examples(net: archdsl.Net, count: int) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    shape = net.network.inputs[0].shape
    return [(torch.randn(BATCH, *shape), torch.randint(10, (BATCH,))) for _ in range(count)]


def reference(model: nn.Module, sgd: SGD, batches: list[tuple[Tensor, Tensor]]) -> nn.Module:
    """The model after the steps that torch's own optimizer takes."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=sgd.lr,
        momentum=sgd.momentum,
        weight_decay=sgd.weight_decay,
        nesterov=sgd.nesterov,
    )
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("sgd", SGDS)
@pytest.mark.parametrize("text", [CONV, PICTURE, FULLY_CONNECTED])
def test_a_step_is_that_of_torchs_optimizer(text: str, sgd: SGD) -> None:
    net = archdsl.loads(text)
    torch.manual_seed(0)
    model = net.build()
    batches = examples(net, 20)
    expected = reference(model, sgd, batches)
    step = step_of(model, net.network, sgd)
    for x, y in batches:
        step(x, y)
    assert_same(model, expected)


@pytest.mark.parametrize(("text", "sgd"), [(PICTURE, SGDS[3])])
def test_a_compiled_step_is_the_same_mathematics(text: str, sgd: SGD) -> None:
    net = archdsl.loads(text)
    torch.manual_seed(0)
    model = net.build()
    batches = examples(net, 50)
    # An epoch may end with a smaller batch, which the compiled step doesn't take.
    batches[25] = (batches[25][0][:3], batches[25][1][:3])
    expected = reference(model, sgd, batches)
    step = step_of(model, net.network, sgd)
    before = copy.deepcopy(model.state_dict())
    assert quicken(step, *batches[0], steps=10**9) == "the step is compiled"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert step.total_loss == 0
    for x, y in batches:
        step(x, y)
    assert_same(model, expected)
    assert 0 < step.total_loss / len(batches) < 5


def test_small_convolutions_are_no_calls_of_the_library_any_more() -> None:
    net = archdsl.loads(CONV)
    graph = trace_step(step_of(net.build(), net.network, SGD.new(lr=0.1)), *examples(net, 1)[0])
    assert not [node for node in graph.graph.nodes if "convolution" in str(node.target)]


@pytest.mark.parametrize(
    ("text", "steps", "reason"),
    [
        (FULLY_CONNECTED, FEWEST_STEPS - 1, "it would not pay for 9,999 steps"),
        (FULLY_CONNECTED, FEWEST_STEPS, "it would not pay for 10,000 steps"),
        (DROPS, 10**9, "it draws random numbers"),
    ],
)
def test_why_a_step_is_not_compiled(text: str, steps: int, reason: str) -> None:
    net = archdsl.loads(text)
    step = step_of(net.build(), net.network, SGD.new(lr=0.1))
    assert quicken(step, *examples(net, 1)[0], steps) == f"the step is not compiled: {reason}"
    step(*examples(net, 1)[0])
    assert step.total_loss > 0


def test_a_network_that_can_not_be_traced_takes_its_steps_as_it_is() -> None:
    class Fickle(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    step = step_of(Fickle(4, 3), archdsl.loads(FULLY_CONNECTED).network, SGD.new(lr=0.1))
    x, y = torch.randn(2, 4), torch.tensor([0, 1])
    assert "not compiled: it can't be traced" in quicken(step, x, y, 10**9)
    step(x, y)
    assert step.total_loss > 0


@pytest.mark.parametrize(
    ("chosen", "keys", "reason"),
    [
        (Adam.new(), {}, "the update of adam is torch's own"),
        (SGD.new(lr=0.1, momentum=0.9, dampening=0.5), {}, "torch's own"),
        (SGD.new(lr=0.1), {"clip": Norm.new(limit=1.0)}, "the recipe has `clip`"),
        (SGD.new(lr=0.1), {"moving_average": 0.9}, "the recipe has `moving_average`"),
        (SGD.new(lr=0.1), {"accumulate": 2}, "`accumulate`"),
        (SGD.new(lr=0.1), {"precision": "bfloat16"}, "another precision"),
    ],
)
def test_which_recipes_are_not_compiled(chosen: Optimizer, keys: dict[str, Any], reason: str) -> None:
    net = archdsl.loads(FULLY_CONNECTED)
    step = step_of(net.build(), net.network, chosen, **keys)
    assert reason in quicken(step, *examples(net, 1)[0], 10**9)
    assert step.quick is None


def test_a_compiled_model_gives_the_gradients_of_the_step() -> None:
    """As it is recorded on a GPU; the compiler for a CPU is the same but for its last part."""
    net = archdsl.loads(CONV.replace("flatten", "flatten -> dropout(0.5)"))
    step = step_of(net.build(), net.network, SGD.new(lr=0.1, momentum=0.9), accumulate=2)
    x, y = examples(net, 1)[0]
    before = Snapshot(step)
    compiled_gradients(step)(x, y)
    found = before.changes()
    step.gradients(x, y)
    wanted = before.changes()
    assert {f"gradient/{name}" for name in step.parameters} <= set(wanted)
    assert agree(found, wanted, 1e-3)
    # Other examples have other gradients.
    step.gradients(x.flip(0), y)
    assert not agree(before.changes(), wanted, 1e-3)


def test_what_agrees() -> None:
    one = {"model/a.weight": torch.tensor([1.0, 2.0]), "model/b.weight": torch.tensor([1e-6, 1e-6])}
    assert agree(one, one, 1e-3)
    # What is rounding beside others of its kind may be anything, and no number agrees with none.
    assert agree({**one, "model/b.weight": torch.tensor([-1e-6, 1e-6])}, one, 1e-3)
    assert not agree({**one, "model/b.weight": torch.tensor([1e-2, 0.0])}, one, 1e-3)
    assert not agree({**one, "model/a.weight": torch.tensor([1.01, 2.0])}, one, 1e-3)
    nan = {**one, "model/a.weight": torch.tensor([float("nan"), 2.0])}
    assert agree(nan, nan, 1e-3) and not agree(nan, one, 1e-3) and not agree(one, nan, 1e-3)
    # Weights are held to weights, and not to a counter of steps, which is larger than all.
    steps = {"optimizer/a.weight/step": torch.tensor(1e6)}
    assert not agree({**one, **steps, "model/a.weight": torch.tensor([1.01, 2.0])}, {**one, **steps}, 1e-3)


def test_where_numbers_end_is_seen_behind_a_quick_step() -> None:
    net = archdsl.loads(FULLY_CONNECTED)
    model = net.build()
    step = step_of(model, net.network, SGD.new(lr=0.1))
    step.quick, step.quick_batch = lambda x, y: None, BATCH
    with torch.no_grad():
        model.linear_2.weight[0, 0] = float("inf")
    assert first_without_number(step, *examples(net, 1)[0]) == "the weight of linear_2"


def test_a_batch_in_pieces_is_the_same_step() -> None:
    net = archdsl.loads(FULLY_CONNECTED)
    whole, pieces = net.build(), net.build()
    pieces.load_state_dict(whole.state_dict())
    one = step_of(whole, net.network, SGD.new(lr=0.1))
    other = step_of(pieces, net.network, SGD.new(lr=0.1), accumulate=3)
    for x, y in examples(net, 5):
        one(x, y)
        other(x, y)
    assert_same(whole, pieces)
    torch.testing.assert_close(one.total_loss, other.total_loss)


def test_targets_that_are_ignored_count_nowhere() -> None:
    """Not in the loss of a batch, nor in that of its pieces, of which one has no others, nor in metrics."""
    net = archdsl.loads(FULLY_CONNECTED)
    model = net.build()
    loss = CrossEntropy.new(ignore=3, label_smoothing=0.1)
    x, y = examples(net, 1)[0]
    y = torch.tensor([3, 1, 3, 3, 3, 3, 2, 9])
    wanted = nn.CrossEntropyLoss(ignore_index=3, label_smoothing=0.1)(model(x), y)
    gradients = torch.autograd.grad(wanted, list(model.parameters()))
    for pieces in (1, 3):
        recipe = recipe_of(SGD.new(lr=0.1), loss=(Term(1.0, loss, 0),), accumulate=pieces)
        step = Step(model, recipe, optimizer(model, net.network, recipe))
        step.gradients(x, y)
        torch.testing.assert_close(step.total_loss, wanted.detach())
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
            parameter.grad = None
    step.gradients(x, torch.full_like(y, 3))
    assert all(not parameter.grad.any() for parameter in model.parameters())  # type: ignore[union-attr]
    recipe = dataclasses.replace(recipe, metrics=(Error.new(), TopError.new(k=2)))
    scores = torch.tensor([[[[3.0, 0, 0], [1, 2, 0]]] * 2]).permute(0, 3, 1, 2)
    truth = torch.tensor([[[0, 3], [1, 3]]])
    tally = Tally(recipe.metrics)
    tally.add(*counted(recipe, scores, truth))
    assert tally.values() == [0.5, 0.0]


@pytest.mark.parametrize(("clip", "limit"), [(Norm.new(limit=0.1), 0.1), (Value.new(limit=0.01), 0.01)])
def test_gradients_are_clipped(clip: Any, limit: float) -> None:
    net = archdsl.loads(FULLY_CONNECTED)
    model = net.build()
    before = [p.detach().clone() for p in model.parameters()]
    step = step_of(model, net.network, SGD.new(lr=1.0), clip=clip)
    step(*examples(net, 1)[0])
    moved = torch.cat([(a - b).flatten() for a, b in zip(before, model.parameters(), strict=True)])
    size = moved.norm() if isinstance(clip, Norm) else moved.abs().max()
    torch.testing.assert_close(size.detach(), torch.tensor(limit), rtol=1e-3, atol=0)


def test_averaged_weights_follow_the_trained_ones() -> None:
    net = archdsl.loads(CONV)
    model = net.build()
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step = step_of(model, net.network, SGD.new(lr=0.1), moving_average=0.75)
    for x, y in examples(net, 3):
        step(x, y)
        for name, tensor in model.state_dict().items():
            fraction = tensor.is_floating_point()
            expected[name] = 0.75 * expected[name] + 0.25 * tensor if fraction else tensor.clone()
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with step.averaged():
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(tensor, expected[name])
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("compiled", [False, True])
def test_parts_have_rates_of_their_own(compiled: bool) -> None:
    net = archdsl.loads("""network Parts {
      input signal: [40]
      stem: linear(20) -> batch_norm -> relu
      head: linear(20) -> relu
      linear(10)
    }""")
    model = net.build()
    parts = (
        Part("stem", frozenset({"stem.linear", "stem.batch_norm", "stem.relu"}), rate=0.0),
        Part("head", frozenset({"head.linear", "head.relu"}), rate=10.0),
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step = step_of(model, net.network, SGD.new(lr=0.01), parts=parts)
    x, y = examples(net, 1)[0]
    frozen = copy.deepcopy(model)
    loss = F.cross_entropy(frozen(x), y)
    loss.backward()
    if compiled:
        assert quicken(step, x, y, 10**9) == "the step is compiled"
    step(x, y)
    for name, parameter in frozen.named_parameters():
        moved = before[name] - model.get_parameter(name).detach()
        if name.startswith("stem."):
            assert not moved.any() and parameter.grad is None
        else:
            rate = 0.1 if name.startswith("head.") else 0.01
            torch.testing.assert_close(moved, rate * parameter.grad, rtol=1e-3, atol=1e-7)
    # Its running statistics are left as they are, too.
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items() if n.startswith("stem."))


def test_decay_spares_biases_and_normalisations() -> None:
    net = archdsl.loads(CONV)
    groups = optimizer(
        net.build(), net.network, recipe_of(AdamW.new(weight_decay=0.1, decay="weights"))
    ).param_groups
    decays = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert {name for name, decay in decays.items() if decay} == {
        "conv_1.weight",
        "conv_2.weight",
        "linear_1.weight",
    }


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_convolutions_over_windows_are_convolutions(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))

    def per_axis(low: int, high: int) -> st.SearchStrategy[int | tuple[int, ...]]:
        return st.integers(low, high) | st.tuples(*[st.integers(low, high)] * axes)

    kernel = data.draw(st.tuples(*[st.integers(1, 3)] * axes))
    groups = data.draw(st.sampled_from([1, 1, 1, 2]))
    stride = data.draw(per_axis(1, 3))
    padding: Any = data.draw(per_axis(0, 2) | st.just("valid") | st.just("same"))
    if padding == "same":
        stride = 1
    arguments = (stride, padding, data.draw(per_axis(1, 2)), groups)
    extents = data.draw(st.tuples(*[st.integers(6, 9)] * axes))
    function: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    x = torch.randn(2, 4, *extents, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4 // groups, *kernel, dtype=torch.float64, requires_grad=True)
    bias = data.draw(st.sampled_from([None, torch.randn(6, dtype=torch.float64)]))
    expected = function(x, weight, bias, *arguments)
    with SmallConvolutionsAsProducts():
        found = function(x, weight, bias, *arguments)
    torch.testing.assert_close(found, expected)
    rates = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, (x, weight), rates),
        torch.autograd.grad(expected, (x, weight), rates),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_large_convolutions_stay_as_they_are() -> None:
    x, weight = torch.randn(1, 64, LARGEST // 64 // 3 + 3), torch.randn(2, 64, 3)
    with SmallConvolutionsAsProducts():
        assert torch.equal(F.conv1d(x, weight), F.conv1d(x, weight, None))
        found = F.conv1d(x, weight)
    assert torch.equal(found, F.conv1d(x, weight))
