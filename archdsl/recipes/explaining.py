"""A recipe in words, with the numbers that follow from it."""

from __future__ import annotations

from archdsl.analysis import Analysis, analyse
from archdsl.compiler import Network
from archdsl.compiler.network import Node
from archdsl.precision import Mixed
from archdsl.problems import plural
from archdsl.recipes.data import Described
from archdsl.recipes.initialisations import Pretrained
from archdsl.recipes.recipe import Recipe
from archdsl.report.units import human, human_bytes

MOMENTS = 8
"""How many moments of the learning rate are shown, beside the last step."""


def explained(network: Network, recipe: Recipe) -> str:
    """The recipe of a network: each setting with what follows from it, and the learning rate over time."""
    lines = [f"{network.name} is trained so:", ""]
    lines += [f"  {name:<15} {text}" for name, text in _settings(network, recipe)]
    described = recipe.described
    if described is not None:
        lines += ["", "  learning rate", *_rates(recipe, described.examples)]
    return "\n".join(lines)


def takes_weights(recipe: Recipe) -> bool:
    """Whether a part of the network begins with the weights of a file."""
    return any(
        isinstance(one, Pretrained) for one in (recipe.initialize, *(p.initialize for p in recipe.parts))
    )


def duration(seconds: float) -> str:
    """`2.3 ms`, `45 s`, `3 h 20 min`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    days, hours, left = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "days"), (hours, "h"), (left, "min")]
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _settings(network: Network, recipe: Recipe) -> list[tuple[str, str]]:
    described = recipe.described
    found = [("data", str(recipe.data))]
    if described is not None:
        examples = described.examples
        steps, per_epoch = recipe.all_steps(examples), recipe.steps_per_epoch(examples)
        left = examples % recipe.batch
        last = f", the last of {left:,}" if left else ""
        found += [
            ("", f"{examples:,} examples to train on and {described.tests:,} to test on; {described.target}"),
            *(("", remark) for remark in described.remarks),
            ("length", f"{steps:,} steps of {recipe.batch:,} examples, {per_epoch:,} steps an epoch{last}"),
            ("", f"{steps / per_epoch:,.6g} epochs, {human(recipe.all_examples(examples))} examples in all"),
        ]
    elif recipe.steps is not None:
        found.append(("length", f"{recipe.steps:,} steps of {recipe.batch:,} examples"))
    piece = recipe.batch // recipe.accumulate
    if recipe.accumulate > 1:
        found.append(("", f"a batch passes in {recipe.accumulate} pieces of {piece:,}"))
    found.append(("loss", " + ".join(map(str, recipe.loss))))
    found.append(("optimizer", str(recipe.optimizer)))
    if recipe.schedule:
        found.append(("schedule", " -> ".join(map(str, recipe.schedule))))
    for key, chain in (("augment", recipe.augment), ("evaluate", recipe.evaluate)):
        if chain:
            found.append((key, " -> ".join(map(str, chain))))
    if recipe.clip is not None:
        found.append(("clip", f"gradients by {recipe.clip}"))
    if recipe.moving_average is not None:
        steps_back = 1 / (1 - recipe.moving_average)
        found.append(("moving average", f"over about the last {steps_back:,.4g} steps; measured and saved"))
    found.append(("initialize", str(recipe.initialize)))
    for part in recipe.parts:
        said = []
        if part.rate is not None:
            said.append("left as it is" if part.rate == 0 else f"{part.rate:g} times the rate")
        if part.initialize is not None:
            said.append(f"begins as {part.initialize}")
        found.append((part.name, f"{', '.join(said)} ({plural(len(part.layers), 'layer')})"))
    mixed = "" if recipe.precision == "float32" else " in the layers, weights in float32"
    found.append(("precision", f"{recipe.precision}{mixed}"))
    of = f" of {network.output_names[recipe.loss[0].output]}" if len(network.outputs) > 1 else ""
    if recipe.metrics:
        found.append(("metrics", ", ".join(map(str, recipe.metrics)) + of))
    found += [("measured", line) if i == 0 else ("", line) for i, line in enumerate(_measured(recipe))]
    found.append(("seed", str(recipe.seed)))
    how = Mixed(recipe.precision) if mixed else None
    analysis = analyse(network, piece, optimizer_state=recipe.kept, mixed=how)
    totals = analysis.totals
    if isinstance(totals.macs, int):
        work = totals.macs + _macs_backward(network, analysis, recipe)
        found.append(("work", f"{human(work * recipe.batch)} MACs a step, forward and backward"))
    if isinstance(totals.training_peak_bytes, int):
        found.append(("memory", f"{human_bytes(totals.training_peak_bytes)} at the peak of a step"))
    return found


def measured_times(recipe: Recipe, described: Described) -> int:
    """How often a run is measured after its first step: once a step at most."""
    counts = described.examples, described.tests
    return -(-recipe.all_steps(described.examples) // recipe.measured_every(*counts))


def _measured(recipe: Recipe) -> list[str]:
    """How often a run is measured, and on how many examples."""
    described, times = recipe.described, recipe.measurements
    if described is not None:
        times = measured_times(recipe, described)
    if times is None:
        return ["as often as takes a quarter of the work at most, and saved"]
    lines = ["at the end, and saved" if times == 1 else f"{times:,} times, and saved"]
    if described is not None:
        training, tests = recipe.measured_examples(described.examples, described.tests)
        lines.append(f"each time, and before the first step, on {training:,} + {tests:,} examples")
    return lines


def _macs_backward(network: Network, analysis: Analysis, recipe: Recipe) -> int:
    """The multiply-accumulates of one example's gradients, where no extent is open.

    As many as forward for the gradient of what a layer takes, if something before it learns, and as many for
    that of its weights, if they do. No gradient comes to what leads to no loss.
    """
    learns: dict[Node, bool] = {}
    """Whether a layer, or one before it, has weights that learn."""
    work: dict[Node, int] = {}
    for node, rules in zip(network.nodes, analysis.rules, strict=True):
        own = node.first or node
        weights = node.kind != "input" and own.layer.weights(*(wire.shape for wire in own.inputs))
        trained = bool(weights) and recipe.part_of(own.name, "rate") != 0
        taken = sum(learns[wire.node] for wire in node.inputs)
        learns[node] = trained or taken > 0
        # Of a product of values there is a gradient for each; of one with weights, for all values together.
        times = trained + (min(taken, 1) if weights else taken)
        work[node] = times * rules.macs if isinstance(rules.macs, int) else 0
    left = {network.outputs[term.output].node for term in recipe.loss}
    reached: set[Node] = set()
    while left:
        node = left.pop()
        reached.add(node)
        left |= {wire.node for wire in node.inputs} - reached
    return sum(work[node] for node in reached)


def _rates(recipe: Recipe, examples: int) -> list[str]:
    steps = recipe.all_steps(examples)
    if not recipe.schedule:
        return [f"  {recipe.rate(0, examples):>15.6g} at every step"]
    moments = sorted({round(i * steps / MOMENTS) for i in range(MOMENTS)} | {max(steps - 1, 0)})
    lines = [
        f"  {recipe.rate(step, examples):>15.6g} at step {step + 1:,}" for step in moments if step < steps
    ]
    if any(piece.reactive for piece in recipe.schedule):
        lines.append("  and less each time that the plateau is reached")
    return lines
