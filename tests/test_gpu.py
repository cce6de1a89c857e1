"""What only a GPU shows: recorded and compiled steps, runs on it, and networks that compute there."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from bundled import BUNDLED, load
from safetensors.torch import load_file
from standalone import listed, quickly_initialised
from test_runs import NETWORK, content, run
from torch import Tensor, nn

import archdsl
from archdsl.compiler import Network
from archdsl.recipes.clipping import Norm
from archdsl.recipes.data import Mnist1d
from archdsl.recipes.initialisations import He
from archdsl.recipes.losses import CrossEntropy
from archdsl.recipes.optimizers import SGD, Adam, AdamW, Optimizer
from archdsl.recipes.recipe import Recipe, Term
from archdsl.training.choices import Effort
from archdsl.training.parameters import optimizer
from archdsl.training.quickening import quicken
from archdsl.training.step import Step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

BATCH = 64
NETWORKS = {
    "signal": """network Signal {
      input signal: [1, 40]
      conv(6, kernel=3, stride=2) -> relu
      conv(6, kernel=5, padding=same) -> tanh -> avg_pool(2)
      flatten -> dropout(0.3) -> linear(10)
    }""",
    "picture": """network Picture {
      input picture: [3, 32, 32]
      conv(16, kernel=5, padding=2) -> local_response_norm(5, alpha=5e-4, beta=0.75, k=2)
      relu -> max_pool(2)
      residual: { conv(16, kernel=3, padding=1) -> batch_norm -> gelu }
      conv(32, kernel=3, groups=2) -> group_norm(4) -> silu
      global_avg_pool -> flatten -> dropout(0.5) -> linear(10)
    }""",
    "attention": """network Attention {
      input picture: [3, 32, 32]
      conv(32, kernel=8, stride=8) -> flatten -> linear(64) -> relu -> layer_norm -> linear(10)
    }""",
}


def recipe_of(chosen: Optimizer, **keys: Any) -> Recipe:
    term = Term(1.0, CrossEntropy.new(), 0)
    made = {"data": Mnist1d.new(), "loss": (term,), "batch": BATCH, "seed": 0, "steps": 10**9}
    return Recipe(**{**made, "optimizer": chosen, "initialize": He.new(), **keys})


def step_of(model: nn.Module, network: Network, recipe: Recipe) -> Step:
    form = torch.channels_last if len(network.inputs[0].shape) == 3 else torch.contiguous_format
    model = copy.deepcopy(model).to("cuda", memory_format=form)  # type: ignore[call-overload]
    return Step(model, recipe, optimizer(model, network, recipe), memory_format=form)


@pytest.mark.parametrize("effort", ["recorded", "compiled"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "chosen", "keys"),
    [
        ("signal", SGD.new(lr=0.02, momentum=0.9, nesterov=True), {}),
        ("picture", SGD.new(lr=0.02, momentum=0.9, weight_decay=0.01), {}),
        ("picture", AdamW.new(), {"clip": Norm.new(limit=1.0), "moving_average": 0.9}),
        ("attention", Adam.new(lr=0.003), {}),
    ],
)
def test_quick_steps_are_the_steps_as_they_are(
    name: str, chosen: Optimizer, keys: dict[str, Any], precision: str, effort: Effort
) -> None:
    net = archdsl.loads(NETWORKS[name])
    recipe = recipe_of(chosen, precision=precision, **keys)
    torch.manual_seed(0)
    model = net.build()
    shape = net.network.inputs[0].shape
    batches = [
        (torch.randn(BATCH, *shape).cuda(), torch.randint(10, (BATCH,)).cuda())  # type: ignore[arg-type]
        for _ in range(12)
    ]
    # The last batch of an epoch is smaller, and rates change.
    batches[6] = (batches[6][0][:9], batches[6][1][:9])

    def losses(step: Step) -> Tensor:
        torch.manual_seed(1)
        found = []
        for number, (x, y) in enumerate(batches):
            step.set_rate(0.01 if number < 4 else 0.003)
            step(x, y)
            found.append(step.total_loss.item())
        return torch.tensor(found)

    quick = step_of(model, net.network, recipe)
    before = {name: tensor.clone() for name, tensor in quick.state() if name.startswith("model/")}
    said = quicken(quick, *batches[0], 10**9, effort=effort)
    compiles = effort == "compiled"
    assert said.startswith("the step is compiled and" if compiles else "the step is recorded, and not"), said
    assert quick.total_loss == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in quick.state() if name in before)
    plain = losses(step_of(model, net.network, recipe))
    found = losses(quick)
    assert plain[-1] > 1
    tolerance = 0.02 if compiles else 1e-4
    torch.testing.assert_close(found, plain, rtol=tolerance, atol=tolerance)


POOLED = NETWORK.replace("stride=2) -> relu", "stride=1) -> relu -> max_pool(3, stride=2)")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("text", [NETWORK, POOLED])
def test_a_run_on_a_gpu_goes_on_bit_for_bit(tmp_path: Path, text: str, precision: str) -> None:
    text = text.replace("train {", f"train {{\n  precision = {precision}")
    run(tmp_path / "whole", text, device="cuda")
    log = (tmp_path / "whole" / "train.log").read_text()
    assert ("is recorded" in log) == (precision != "float16"), log
    run(tmp_path / "parts", text, stop=100, device="cuda")
    run(tmp_path / "parts", text, resume=True, device="cuda")
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_bundled_networks_compute_the_same_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    wrong: list[tuple[str, object]] = []
    for file, networks in BUNDLED.items():
        for name in networks:
            try:
                net = load(file, name, small=True)
                torch.manual_seed(0)
                with quickly_initialised():
                    model = net.build().eval()
                given = [torch.rand(1, *node.shape) for node in net.network.inputs]  # type: ignore[arg-type]
                with torch.no_grad():
                    expected = listed(model(*given))
                    found = listed(model.cuda()(*[x.cuda() for x in given]))
            except Exception as error:
                wrong.append((name, f"{type(error).__name__}: {str(error).splitlines()[0]}"))
                continue
            for one, other in zip(expected, found, strict=True):
                difference = (one - other.cpu()).abs().max() / one.abs().max().clamp(min=1e-6)
                if not difference < 1e-3:
                    wrong.append((name, difference.item()))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_run_keeps_its_data_on_the_device_and_may_be_evaluated_anywhere(tmp_path: Path) -> None:
    result = run(tmp_path / "run", device="cuda")
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(torch.isfinite(tensor.float()).all() for tensor in weights.values())
    from archdsl.training.trained import Trained

    trained = Trained(tmp_path / "run")
    assert abs(trained.score().metrics["error"] - result.measured.test[0]) < 0.01
