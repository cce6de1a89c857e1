"""How a run takes its steps with less effort: compiled, recorded, or both.

What is done follows from the network, the recipe, the device and the number of steps, never from a clock.
Before a quick step is used, it is held to the step as it is, on the same batch from the same state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from archdsl.training.choices import Effort
from archdsl.training.compiling import (
    NotCompiled,
    OnBatch,
    compiled_gradients,
    compiled_step,
    find_compiler,
    first_line,
    operations,
    refuse_what_is_not_traced,
    trace_step,
)
from archdsl.training.parameters import FUSED
from archdsl.training.recording import NotRecorded, recorded
from archdsl.training.step import Step

SAVED_PER_OPERATION = 6e-6
"""Seconds that compiling saves on an operation of the step, at least: what calling it costs."""
COMPILING = 8.0
COMPILING_PER_OPERATION = 0.1
"""Seconds that compiling takes, and takes longer for each operation (benchmarks/mnist1d_steps.py)."""
SAVED_PER_MAC = 2e-15
COMPILING_ON_GPU = 60.0
"""The same on a GPU, where calls are recorded anyway: what is saved is moving values, and goes with the
arithmetic (benchmarks/image_steps.py, VGG-16)."""
FEWEST_STEPS = 10_000
"""A run of fewer steps is not worth tracing."""
FEWEST_RECORDED = 100
"""A run of fewer steps is not worth recording."""

Busy = Callable[[str], None]


def quicken(
    step: Step,
    inputs: Tensor,
    targets: Tensor,
    steps: int,
    macs: float = 0,
    effort: Effort = "what pays",
    busy: Busy | None = None,
) -> str:
    """Give the step its quick form for batches of this shape, and say in words what that is.

    `what pays` over so many `steps`, of so many multiply-accumulates (`macs`) each, is done, or else what
    `effort` says. `busy` is told when something begins that takes time. The step stays as it is where nothing
    is to be gained, or something is refused.
    """
    if effort == "nothing" or (effort == "recorded" and step.device.type != "cuda"):
        return "the step is neither compiled nor recorded"
    if step.processes.count > 1:
        return f"the step is not {_done(step)}: several processes take it together"
    if any(transform.mixes for transform in step.recipe.augment):
        return f"the step is not {_done(step)}: the recipe mixes examples"
    if step.device.type == "cpu":
        try:
            quick = _compiled(step, inputs, targets, steps, effort, busy)
            _hold(step, quick, step.as_it_is, inputs, targets, Snapshot(step))
        except NotCompiled as reason:
            return f"the step is not compiled: {reason}"
        step.quick, step.quick_batch = quick, len(inputs)
        return "the step is compiled"
    if step.device.type == "cuda":
        try:
            _refuse_what_is_not_recorded(step, steps, effort)
            return _quicken_on_gpu(step, inputs, targets, steps, macs, effort, busy)
        except (NotRecorded, NotCompiled) as reason:
            return f"the step is not recorded: {reason}"
    return f"the step is not compiled: {step.device.type} is neither a CPU nor a CUDA device"


def _done(step: Step) -> str:
    return "compiled" if step.device.type == "cpu" else "recorded"


def _quicken_on_gpu(
    step: Step, inputs: Tensor, targets: Tensor, steps: int, macs: float, effort: Effort, busy: Busy | None
) -> str:
    inputs = inputs.contiguous(memory_format=step.memory_format)
    before = Snapshot(step)
    try:
        gradients: OnBatch = step.gradients
        how = "the step is compiled and recorded"
        try:
            compiled = _compiled_for_gpu(step, steps, macs, effort, busy)
            _hold(step, compiled, step.gradients, inputs, targets, before)
            gradients = compiled
        except NotCompiled as reason:
            how = f"the step is recorded, and not compiled: {reason}"

        def take(x: Tensor, y: Tensor) -> None:
            gradients(x, y)
            step.update()

        quick = recorded(step, take, inputs, targets)
        _hold(step, quick, take, inputs, targets, before)
        step.quick, step.quick_batch = quick, len(inputs)
        return how
    finally:
        before.restore()


def _refuse_what_is_not_recorded(step: Step, steps: int, effort: Effort) -> None:
    recipe = step.recipe
    if steps < FEWEST_RECORDED and effort == "what pays":
        raise NotRecorded(f"it would not pay for {steps:,} steps")
    if recipe.optimizer.torch_name not in FUSED or getattr(recipe.optimizer, "dampening", False):
        raise NotRecorded(f"{recipe.optimizer} does not keep all that it needs on the device")
    if recipe.precision == "float16":
        raise NotRecorded("how the loss is scaled for float16 follows from each step")


def _compiled_for_gpu(step: Step, steps: int, macs: float, effort: Effort, busy: Busy | None) -> OnBatch:
    if effort == "recorded":
        raise NotCompiled("that was not wanted")
    if effort == "what pays" and steps * macs * SAVED_PER_MAC < COMPILING_ON_GPU:
        raise NotCompiled(f"it would not pay for {steps:,} steps")
    _tell(busy)
    return compiled_gradients(step)


def _compiled(
    step: Step, inputs: Tensor, targets: Tensor, steps: int, effort: Effort, busy: Busy | None
) -> OnBatch:
    if steps < FEWEST_STEPS and effort == "what pays":
        raise NotCompiled(f"it would not pay for {steps:,} steps")
    refuse_what_is_not_traced(step)
    find_compiler()
    graph = trace_step(step, inputs, targets)
    seeded = torch.Tag.nondeterministic_seeded
    if any(seeded in getattr(node.target, "tags", ()) for node in operations(graph)):
        raise NotCompiled("it draws random numbers")
    count = len(operations(graph))
    saved, lost = steps * SAVED_PER_OPERATION * count, COMPILING + COMPILING_PER_OPERATION * count
    if effort == "what pays" and saved < lost:
        raise NotCompiled(f"it would not pay for {steps:,} steps")
    _tell(busy)
    return compiled_step(step, graph, inputs, targets)


def _tell(busy: Busy | None) -> None:
    if busy is not None:
        busy("compiling the step, which takes some seconds and saves more")


# ------------------------------------------------------------------------------ held to the step as it is


class Snapshot:
    """The state of a step, to be brought back in place, and of the random numbers."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._tensors = {name: tensor.detach().clone() for name, tensor in step.state()}
        self._random = torch.get_rng_state()
        self._on_device = torch.cuda.get_rng_state(step.device) if step.device.type == "cuda" else None

    @torch.no_grad()
    def restore(self) -> None:
        for name, tensor in self._step.state():
            if name in self._tensors:
                tensor.copy_(self._tensors[name])
            else:
                # What an optimizer keeps that is recorded begins with zeros.
                tensor.zero_()
        torch.set_rng_state(self._random)
        if self._on_device is not None:
            torch.cuda.set_rng_state(self._on_device, self._step.device)

    def changes(self) -> dict[str, Tensor]:
        """How far each tensor is from what it was, and what gradients there are; all is brought back."""
        found = {}
        for name, tensor in self._step.state():
            before = self._tensors.get(name)
            found[name] = (tensor if before is None else tensor.double() - before.double()).clone()
        for name, parameter in self._step.parameters.items():
            if parameter.grad is not None:
                found[f"gradient/{name}"] = parameter.grad.clone()
                parameter.grad = None
        self.restore()
        return found


def _hold(
    step: Step, quick: OnBatch, plain: OnBatch, inputs: Tensor, targets: Tensor, before: Snapshot
) -> None:
    """Raise `NotCompiled` where a quick way fails, or computes something else than the plain one."""
    try:
        before.restore()
        # The first call is the one that can fail: kernels are loaded in it.
        quick(inputs, targets)
        found = before.changes()
        plain(inputs, targets)
        wanted = before.changes()
    except Exception as error:
        raise NotCompiled(f"it failed when tried ({first_line(error)})") from error
    finally:
        before.restore()
    if not agree(found, wanted, TOLERANCES[step.device.type, step.recipe.precision]):
        raise NotCompiled("it computes something else so")


TOLERANCES = {
    ("cpu", "float32"): 1e-3,
    # Convolutions may take ten binary digits of a number (TF32), and of bfloat16 there are seven.
    ("cuda", "float32"): 0.05,
    ("cuda", "bfloat16"): 0.4,
}
"""How much rounding may change a step, as a share of the step."""
UNTOUCHED = 0.05
"""The share of the largest change of its kind below which a change is rounding itself."""


def agree(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> bool:
    """Whether two steps changed each tensor of a state alike, but for rounding; NaN agrees with NaN."""
    sizes: dict[str, list[tuple[float, float]]] = {}
    for name, change in wanted.items():
        other = found[name]
        if not torch.equal(change.isnan(), other.isnan()):
            return False
        change, other = change.nan_to_num(), other.nan_to_num()
        # Weights are held to weights, gradients to gradients, and running statistics to such.
        place, _, rest = name.partition("/")
        kind = rest.rpartition("." if place == "model" else "/")[2] if place != "gradient" else place
        sizes.setdefault(kind, []).append((_size(other - change), _size(change)))
    return all(
        difference <= tolerance * (change + UNTOUCHED * max(largest for _, largest in alike))
        for alike in sizes.values()
        for difference, change in alike
    )


def _size(change: Tensor) -> float:
    """The root of the mean square."""
    return change.double().square().mean().sqrt().item() if change.numel() else 0.0
