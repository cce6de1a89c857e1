"""Receptive fields: held to the oracle, to their definition, and to the support of torch's gradients."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any

import pytest
import torch
from expected import oracle
from random_graphs import random_graph
from reference import Hull, Node, Reference
from translating import label, translate

import archdsl
from archdsl.layers.stencils import adaptive

RECORDS = {record["id"]: record for record in oracle("rf_dag")}


def nodes_of(record: dict[str, Any]) -> list[Node]:
    return [{**node, "out": record["shapes"][node["id"]]} for node in record["spec"]]


def load(nodes: list[Node]) -> tuple[archdsl.Net, dict[str, dict[str, Any]]]:
    """The network of a description, and the fields that its report gives, by the description's names."""
    net = archdsl.loads(translate({"layers": nodes}), name="translated.arch")
    layers = {layer["name"]: layer for layer in net.report().to_dict()["layers"]}
    made = [node for node in nodes if node["op"] != "input"]
    assert [layers[label(node["id"])]["shape"] for node in made] == [node["out"] for node in made]
    return net, {node["id"]: layers[label(node["id"])]["receptive_field"] for node in made}


def reported_ends(field: dict[str, Any], axis: int, unit: int) -> tuple[Any, Any]:
    """The first and last position of a unit, from the report's stride, padding, size and phases alone."""
    stride = Fraction(field["stride"][axis])
    phases = field["phases"][axis] if field["phases"] else None
    if phases is None:
        if field["padding"][axis] is None:
            return None, None
        first = unit * stride - field["padding"][axis]
        return first, first + field["size"][axis] - 1
    turns, phase = divmod(unit, len(phases))
    low, high = phases[phase]
    if low is None:
        return None, None
    start = turns * len(phases) * stride
    return start + low, start + high


# ------------------------------------------------------------------------------ set beside the definition


def assert_by_definition(nodes: list[Node], fields: dict[str, dict[str, Any]]) -> None:
    """Every field of the report, of every value, is what following units back position by position gives."""
    reference = Reference(nodes)
    conflicts, misaligned = merges(nodes, reference)
    seen: dict[str, set[str]] = {"input": set()}
    for node in nodes[1:]:
        name, field = node["id"], fields[node["id"]]
        seen[name] = {name}.union(*(seen[before] for before in node["in"]))
        assert field["global"] is False, name
        assert field["aligned"] is not bool(seen[name] & (conflicts | misaligned)), name
        axes = range(len(node["out"]) - 1)
        if seen[name] & conflicts and not one_stride(reference, name, axes):
            assert (field["stride"], field["padding"], field["phases"]) == (None, None, None), name
        else:
            assert_units(reference, name, field, axes)
        for axis in axes:
            hulls = [hull for hull in reported_units(reference, name, axis, field) if hull]
            assert field["size"][axis] == max((last - first + 1 for first, last, _ in hulls), default=0), name
            assert field["taps"][axis] == max((count for *_, count in hulls), default=0), name


def assert_units(reference: Reference, name: str, field: dict[str, Any], axes: range) -> None:
    """Stride, padding and phases, of the shortest period."""
    for axis in axes:
        first = reference.hull(name, axis, 0)
        assert field["padding"][axis] == (-first[0] if first else None), name
        for unit in range(24):
            hull = reference.hull(name, axis, unit)
            assert reported_ends(field, axis, unit) == (hull[:2] if hull else (None, None)), name
        assert (len(field["phases"][axis]) if field["phases"] else 1) == period(reference, name, axis), name
    assert (field["phases"] is not None) == any(period(reference, name, axis) > 1 for axis in axes), name


def reported_units(reference: Reference, name: str, axis: int, field: dict[str, Any]) -> list[Hull]:
    """The units over which the largest is taken: those of a period, or where there is none, all."""
    count = reference.extent(name, axis)
    if field["stride"] is not None:
        count = len(field["phases"][axis]) if field["phases"] else 1
    return [reference.hull(name, axis, unit) for unit in range(count)]


def pattern(reference: Reference, name: str, axis: int, length: int) -> tuple[int, int] | None:
    """The shortest period of what units see, and its step in samples; None where there is none."""
    sets = [reference.positions(name, axis, unit, False) for unit in range(length)]
    if not any(sets):
        return 1, 0
    for steps in range(1, length // 3):
        shift = next((min(b) - min(a) for a, b in zip(sets, sets[steps:], strict=False) if a and b), None)
        if shift is not None and all(
            frozenset(place + shift for place in a) == b for a, b in zip(sets, sets[steps:], strict=False)
        ):
            return steps, shift
    return None


def period(reference: Reference, name: str, axis: int) -> int:
    found = pattern(reference, name, axis, 120)
    assert found is not None, name
    return found[0]


def one_stride(reference: Reference, name: str, axes: range) -> bool:
    """Whether the paths that see something have one stride after all."""
    return all(pattern(reference, name, axis, 120) is not None for axis in axes)


def merges(nodes: list[Node], reference: Reference) -> tuple[set[str], set[str]]:
    """The layers whose inputs differ in stride, and those whose inputs differ in centres alone."""
    conflicts: set[str] = set()
    misaligned: set[str] = set()
    for node in nodes:
        for axis in range(len(node["out"]) - 1 if len(node["in"]) > 1 else 0):
            found = [pattern(reference, before, axis, 120) for before in node["in"]]
            strides = {None if one is None else Fraction(one[1], one[0]) for one in found}
            if len(strides) > 1 or None in strides:
                conflicts.add(node["id"])
                continue
            whole = lcm(*(one[0] for one in found if one))
            for unit in range(whole):
                hulls = [reference.hull(before, axis, unit) for before in node["in"]]
                if len({hull[0] + hull[1] for hull in hulls if hull}) > 1:
                    misaligned.add(node["id"])
    return conflicts, misaligned - conflicts


# ------------------------------------------------------------------------------ set beside gradients


class Averaged(torch.nn.Module):
    """In place of a max pooling: the sum over each window, so that every sample of it has a gradient."""

    def __init__(self, pool: torch.nn.Module, axes: int) -> None:
        super().__init__()
        self.pool, self.axes = pool, axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def per_axis(value: Any) -> list[int]:
            return [value] * self.axes if isinstance(value, int) else list(value)

        pool, channels = self.pool, x.shape[1]
        k, s, p, d = (per_axis(v) for v in (pool.kernel_size, pool.stride, pool.padding, pool.dilation))
        out = pool(x.detach()).shape[2:]
        sides: list[int] = []
        for axis in reversed(range(self.axes)):
            needed = (out[axis] - 1) * s[axis] + (k[axis] - 1) * d[axis] + 1
            sides += [p[axis], needed - p[axis] - x.shape[2 + axis]]
        x = torch.nn.functional.pad(x.clamp(min=0), sides)
        function = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[self.axes - 1]
        ones = torch.ones(channels, 1, *k, dtype=x.dtype)
        return function(x, ones, stride=s, dilation=d, groups=channels)


def linear_twin(net: archdsl.Net, axes: int) -> torch.nn.Module:
    """The lowered network with positive weights, no activations, and averages for maxima, in float64."""
    torch.manual_seed(0)
    model = net.build().double()
    for parameter in model.parameters():
        parameter.data = torch.rand_like(parameter) / 2 + 0.5
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.Identity())
            elif isinstance(child, torch.nn.MaxPool1d | torch.nn.MaxPool2d):
                setattr(module, name, Averaged(child, axes))
    return model


def gradient_units(model: torch.nn.Module, shape: list[int], axis: int) -> list[Hull]:
    """The support of the gradient of every unit along an axis, in the middle of the others."""
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    y = model(x).sum(1)[0]
    for other in reversed(range(y.dim())):
        if other != axis:
            y = y.select(other, y.shape[other] // 2)
    (gradients,) = torch.autograd.grad(
        y, x, torch.eye(len(y), dtype=torch.float64), is_grads_batched=True, allow_unused=True
    )
    kept = gradients.abs().movedim(3 + axis, -1).flatten(1, -2).sum(1)
    hulls: list[Hull] = []
    for row in kept:
        (places,) = torch.nonzero(row > row.max() * 1e-12, as_tuple=True)
        hulls.append((int(places[0]), int(places[-1]), len(places)) if len(places) else None)
    return hulls


def assert_by_gradient(net: archdsl.Net, nodes: list[Node], field: dict[str, Any]) -> None:
    """Every unit's support is that of the definition, and an interior unit's that of the report."""
    reference, name, shape = Reference(nodes), nodes[-1]["id"], nodes[0]["out"]
    model = linear_twin(net, len(shape) - 1)
    for axis in range(len(shape) - 1):
        found = gradient_units(model, shape, axis)
        assert found == [
            reference.hull(name, axis, unit, True) for unit in range(reference.extent(name, axis))
        ]
        interior = sorted(set(range(len(found))) - set(reference.affected(name, axis)))
        if field["stride"] is not None:
            for unit in interior:
                hull = found[unit]
                assert reported_ends(field, axis, unit) == (hull[:2] if hull else (None, None))


# ------------------------------------------------------------------------------ the oracle


@pytest.mark.parametrize("record", RECORDS.values(), ids=list(RECORDS))
def test_branched_graphs_of_the_oracle(record: dict[str, Any]) -> None:
    nodes = nodes_of(record)
    _, fields = load(nodes)
    field = fields[record["output"]]
    if record["axes"][0].get("global_"):
        assert field == {
            "size": None,
            "stride": None,
            "padding": None,
            "taps": None,
            "phases": None,
            "aligned": None,
            "global": True,
            "at_most": False,
        }
        return
    assert_by_definition(nodes, fields)
    reference = Reference(nodes)
    disagreeing = {name for axis in record["axes"] for name in axis["jump_conflicts"]}
    apart = {name for axis in record["axes"] for name in axis["misaligned_merges"]}
    conflicts, misaligned = merges(nodes, reference)
    assert conflicts == disagreeing
    assert misaligned == apart
    assert field["aligned"] is not bool(disagreeing | apart)
    for number, axis in enumerate(record["axes"]):
        assert_axis(reference, record, number, axis, field)


def assert_axis(
    reference: Reference, record: dict[str, Any], number: int, axis: dict[str, Any], field: dict[str, Any]
) -> None:
    """All that the oracle says of an axis, against the report and against the definition."""
    name = record["output"]
    assert reference.extent("input", number) == axis["input_len"]
    assert reference.extent(name, number) == axis["n_units"] == len(axis["units"])
    clipped = [reference.hull(name, number, unit, True) for unit in range(axis["n_units"])]
    assert clipped == [None if unit[0] is None else tuple(unit) for unit in axis["units"]]
    if axis["jump"] is None:
        assert axis["period"] is axis["phases"] is None
        assert field["stride"] is field["phases"] is field["padding"] is None
        unclipped = [reference.hull(name, number, unit) for unit in range(axis["n_units"])]
        assert field["size"][number] == max(hull[1] - hull[0] + 1 for hull in unclipped if hull)
        return
    assert Fraction(field["stride"][number]) == Fraction(axis["jump"])
    assert field["size"][number] == axis["size"]
    assert field["taps"][number] == max(count for *_, count in axis["phases"])
    first = axis["phases"][0][0]
    assert field["padding"][number] == (None if first is None else -first)
    affected = reference.affected(name, number)
    assert len(affected) == axis["border_affected_units"]
    for unit in range(axis["n_units"]):
        turns, phase = divmod(unit, axis["period"])
        low, high, _ = axis["phases"][phase]
        ends = (None, None) if low is None else (turns * axis["step"] + low, turns * axis["step"] + high)
        assert reported_ends(field, number, unit) == ends
        if unit not in affected:
            assert tuple(axis["units"][unit][:2]) == ends
    assert (len(field["phases"][number]) if field["phases"] else 1) == axis["period"]


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "flatten_fc"])
def test_gradients_of_the_oracles_graphs(name: str) -> None:
    nodes = nodes_of(RECORDS[name])
    net, fields = load(nodes)
    assert_by_gradient(net, nodes, fields[nodes[-1]["id"]])


# ------------------------------------------------------------------------------ random programs


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int, axes: int) -> None:
    nodes = random_graph(seed, axes)
    net, fields = load(nodes)
    assert_by_definition(nodes, fields)
    assert_by_gradient(net, nodes, fields[nodes[-1]["id"]])


def resizing(rng: random.Random, axes: int) -> str:
    """A network without padding that brings its maps to given sizes, so that periods are longer than maps."""
    size = [rng.randint(9, 18) for _ in range(axes)]
    lines = [f"input x: [1, {', '.join(map(str, size))}]"]

    def window(most: int = 3) -> list[int]:
        return [rng.randint(1, min(most, extent)) for extent in size]

    for _ in range(rng.randint(2, 5)):
        kind = rng.choice(["conv", "conv", "avg_pool", "adaptive_avg_pool", "upsample", "parallel"])
        if kind in ("conv", "avg_pool"):
            k, s = window(), window(2)
            lines.append(f"{kind}({'2, ' if kind == 'conv' else ''}{k}, stride={s})")
            size = [(extent - kernel) // step + 1 for extent, kernel, step in zip(size, k, s, strict=True)]
        elif kind == "adaptive_avg_pool":
            size = [rng.randint(min(2, extent), extent) for extent in size]
            lines.append(f"adaptive_avg_pool({size})" if max(size) > 1 else "relu")
        elif kind == "upsample":
            size = [rng.randint(extent, 2 * extent) for extent in size]
            how = rng.choice(["nearest", "linear, align_corners=true"])
            lines.append(f"upsample(size={size}, mode={how})")
        else:
            k = window()
            size = [extent - kernel + 1 for extent, kernel in zip(size, k, strict=True)]
            other = rng.choice(["crop", "adaptive_avg_pool"]) if max(size) > 1 else "crop"
            lines.append(f"parallel concat {{\nconv(1, {k})\n{other}({size})\n}}")
    lines.append("end: conv(1, 1)")
    return "network Resizing {\n" + "\n".join(lines) + "\n}\n"


@pytest.mark.parametrize("axes", [1, 2])
def test_only_units_that_exist_are_counted(axes: int) -> None:
    """Without padding a field is the largest support of the gradients of the units that there are."""
    rng = random.Random(axes)
    shorter = 0
    for _ in range(30):
        net = archdsl.loads(resizing(rng, axes))
        report = net.report().to_dict()
        field, shape = report["layers"][-1]["receptive_field"], report["layers"][-1]["shape"]
        if field["size"] is None:
            # Their period is longer than is told.
            continue
        model = linear_twin(net, axes)
        for axis in range(axes):
            units = gradient_units(model, report["inputs"][0]["shape"], axis)
            assert field["size"][axis] == max(last - first + 1 for first, last, _ in units), net.source()
            assert field["taps"][axis] == max(count for *_, count in units), net.source()
            if field["stride"] is not None:
                ends = [reported_ends(field, axis, unit) for unit in range(shape[1 + axis])]
                assert ends == [unit[:2] for unit in units], net.source()
                phases = field["phases"][axis] if field["phases"] else []
                assert len(phases) <= shape[1 + axis]
                shorter += len(phases) == shape[1 + axis]
    assert shorter > 5


def test_a_map_shorter_than_a_period_has_no_further_phases() -> None:
    """A fifth unit of b would see 9 to 14; c's only unit differs from none."""
    text = """network Shorter {
        input x: [1, 12]
        a: adaptive_avg_pool(5)
        b: conv(1, 2)
        c: conv(1, 4)
        expect b.receptive_field == 6
        expect c.receptive_field == 12
    }"""
    _, b, c = (layer["receptive_field"] for layer in archdsl.loads(text).report().to_dict()["layers"])
    assert b["phases"] == [[[0, 4], [2, 7], [4, 9], [7, 11]]]
    assert (b["taps"], b["stride"], c["phases"], c["taps"]) == ([6], ["12/5"], None, [12])
    of_open_extent = archdsl.loads("network Open {\n input x: [1, L]\n upsample(3) -> conv(1, 2)\n}")
    field = of_open_extent.report().to_dict()["layers"][-1]["receptive_field"]
    assert field["phases"] == [[[0, 0], [0, 0], [0, 1]]]


def test_paths_are_aligned_where_all_units_that_exist_are() -> None:
    """A second unit of the two would see 4 to 11, and 7 to 9."""
    text = """network Aligned {
        input x: [1, 12]
        a: adaptive_avg_pool(5)
        both: parallel add {
            conv(1, 3) -> crop(1, offset=1)
            crop(1, offset=2)
        }
        expect both.receptive_field == 8
    }"""
    field = archdsl.loads(text).report().to_dict()["layers"][-1]["receptive_field"]
    assert field["aligned"] is True and field["phases"] is None


def test_adaptive_windows_that_are_evenly_spaced_are_those_of_a_plain_pooling() -> None:
    """Seven samples to three are windows of 3 at a stride of 2, and no mean of 7/3."""
    plain = 0
    for extent in range(1, 31):
        for size in range(1, 11):
            windows = [[*range(j * extent // size, -(-(j + 1) * extent // size))] for j in range(size)]
            stencil = adaptive(extent, size)
            assert stencil is not None
            for j, window in enumerate(windows):
                q, r = divmod(j, stencil.step_out)
                assert [q * stencil.step_in + o for o in stencil.offsets[r]] == window
            steps = {(b[0] - a[0], len(a) - len(b)) for a, b in pairwise(windows)}
            if len(steps) == 1 and steps != {(0, 0)} and steps <= {(step, 0) for step in range(30)}:
                assert (stencil.step_in, stencil.step_out) == (windows[1][0], 1)
                plain += extent % size > 0
    assert plain > 30
    net = archdsl.loads("network Seven {\n  input signal: [1, 7]\n  p: adaptive_avg_pool(3)\n}")
    field = net.report().to_dict()["layers"][0]["receptive_field"]
    assert (field["size"], field["stride"], field["padding"]) == ([3], [2], [0])


@pytest.mark.parametrize(
    ("layer", "extent"),
    [("upsample(size=4001)", 4000), ("upsample(size=99991)", 100_000), ("adaptive_avg_pool(4999)", 7000)],
)
def test_a_pattern_too_long_to_tell_is_not_global(layer: str, extent: int) -> None:
    """What a field is called follows from what a layer does, whatever the sizes."""
    net = archdsl.loads(f"network Long {{\n  input x: [1, {extent}]\n  y: {layer}\n}}")
    field = net.report().to_dict()["layers"][-1]["receptive_field"]
    assert field["size"] is None and field["phases"] is None and field["global"] is False
