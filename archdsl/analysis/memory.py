"""Memory by order of execution: the peak of a forward pass, and of a training step.

Time goes in steps, a layer a step, in order of execution. Nothing is done in place and no value is a
view of another. A value of n elements takes n * batch * precision bytes; the indices of a max_pool are
int64 (8 bytes an element) and exist only where a layer uses them.

Forward. A value is alive from the step that makes it (the network's inputs: from the first step) up to
and including the step of its last use; the network's outputs stay to the end; a value that nothing uses
is alive at its own step only. The forward peak is the parameters and buffers, and the most bytes that
are alive at one step.

Training. The steps are the forward steps, and then the backward steps of the layers in reverse order.
A layer has a backward step if its output depends on a parameter (its own or an earlier one) and leads to
an output of the network; no other layer saves anything. Alive are

- in the forward steps: what is alive by the rule above, and everything saved by this and earlier layers:
  the inputs and the output that its `saved` rule names, and what it keeps of its own (`extra` bytes and
  `floats` numbers for each example, `once` and `floats_once` for the batch).
  A tensor that several layers save is counted once. Where a max_pool's indices are a value, they are
  that value, and not counted again as bytes of its own.
- in a layer's backward step: what this and earlier layers saved; the gradients of its outputs; and those
  of its inputs. The gradient of a value has the value's size. It is alive from the backward step of the
  value's last user (of an output of the network: from the first backward step) up to and including the
  backward step of the layer that made it. Values that depend on no parameter, the network's inputs among
  them, and indices have none.

In mixed precision the forward pass is as ever, in float32. In the training steps each value, its gradient,
and what layers keep of their own have the length that `archdsl.analysis.autocast` tells. A layer that
converts an input which it saves, saves its copy in place of the value. The short copies of a layer's weights
are alive from its forward step to the end. The parameters, their gradients and the optimizer's state are
float32.

The training peak is the parameters, the buffers, the parameters' gradients, the optimizer's state (so
many numbers a parameter; plain SGD keeps none), and the most bytes that are alive at one step.

With symbolic sizes a peak is an expression; where the symbols decide between steps it is a `max(...)`
of at most eight, and None if there are more candidates than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from archdsl.analysis.autocast import Lengths, lengths
from archdsl.analysis.cost import Cost
from archdsl.analysis.flow import Flow
from archdsl.precision import Mixed
from archdsl.sizes import Size, TooLarge, at_least, maximum

MOST_CANDIDATES = 8


@dataclass(slots=True)
class Memory:
    """The peaks in bytes, and the bytes of values alive at each step.

    `training` has a step for each layer, and then one for each backward step, whose layers are
    `backward` (numbers of layers, in that order). Parameters and what belongs to them are in the peaks
    and not in the steps. Value v takes `sizes[v]` bytes, and going forward it is alive from step
    `births[v]` up to and including step `deaths[v]`. The training steps are in `mixed` precision, if any.
    """

    forward_peak: Size | None
    training_peak: Size | None
    forward: list[Size]
    training: list[Size]
    backward: list[int]
    sizes: list[Size]
    births: list[int]
    deaths: list[int]
    mixed: Mixed | None


def memory(
    flow: Flow,
    cost: Cost,
    sizes: list[Size],
    batch: int,
    precision_bytes: int,
    optimizer_state: int,
    mixed: Mixed | None = None,
) -> Memory:
    """Both peaks and their timelines, from the bytes of every value."""
    steps = len(flow.nodes)
    last = 2 * steps - 1
    births, deaths, backward = _births(flow), _deaths(flow), _backward(flow)
    changes: list[Size] = [0] * (steps + 1)
    _live(changes, sizes, births, deaths)
    forward = list(accumulate(changes[:-1]))
    changes = [0] * (last + 2)
    found = None if mixed is None else lengths(flow, mixed)
    trained_sizes = sizes if found is None else found.sizes(flow, sizes, batch)
    saved = _save(flow, backward, batch, precision_bytes, found, changes)
    kept = [d if i < 0 else last - i for d, i in zip(deaths, saved, strict=True)]
    _live(changes, trained_sizes, births, kept)
    _differentiate(flow, backward, trained_sizes, changes)
    if found is not None:
        for step, copies in enumerate(found.copies):
            changes[step] += copies
    everything = list(accumulate(changes))
    order = [i for i in range(steps - 1, -1, -1) if backward[i]]
    training = everything[:steps] + [everything[last - i] for i in order]
    fixed = cost.parameter_bytes + cost.buffer_bytes
    trained = cost.parameter_bytes * (1 + optimizer_state)
    forward_peak, training_peak = _peak(forward), _peak(training)
    return Memory(
        None if forward_peak is None else fixed + forward_peak,
        None if training_peak is None else fixed + trained + training_peak,
        forward,
        training,
        order,
        sizes,
        births,
        deaths,
        mixed,
    )


def _births(flow: Flow) -> list[int]:
    births = flow.makers.copy()
    for node in flow.inputs:
        births[flow.starts[node]] = 0
    return births


def _deaths(flow: Flow) -> list[int]:
    """The last forward step of every value."""
    deaths = list(map(max, flow.last_use, flow.makers))
    for value in flow.outputs:
        deaths[value] = len(flow.nodes) - 1
    return deaths


def _backward(flow: Flow) -> list[bool]:
    """Which layers have a backward step."""
    sources = flow.sources
    trained: list[bool] = []
    for rules, before in zip(flow.rules, sources, strict=True):
        if rules.weights != 0 or rules.biases != 0:
            trained.append(True)
        elif len(before) == 1:
            trained.append(trained[before[0]])
        else:
            trained.append(any(trained[source] for source in before))
    leads = [False] * len(trained)
    for value in flow.outputs:
        leads[flow.makers[value]] = True
    for i in range(len(trained) - 1, -1, -1):
        if leads[i]:
            for source in sources[i]:
                leads[source] = True
        else:
            trained[i] = False
    return trained


def _live(changes: list[Size], sizes: list[Size], births: list[int], deaths: list[int]) -> None:
    """Add what is alive from its birth up to and including its death to the changes at each step."""
    for size, birth, death in zip(sizes, births, deaths, strict=True):
        changes[birth] += size
        changes[death + 1] -= size


def _save(
    flow: Flow,
    backward: list[bool],
    batch: int,
    precision_bytes: int,
    mixed: Lengths | None,
    changes: list[Size],
) -> list[int]:
    """The first layer that saves each value (-1 for none); what layers save of their own is added."""
    first = [-1] * len(flow.makers)
    feeds, starts, indices = flow.feeds, flow.starts, flow.indices
    last = 2 * len(flow.nodes) - 1
    for i, rules in enumerate(flow.rules):
        if not backward[i]:
            continue
        inputs, output, extra, once, floats, floats_once = rules.saved
        each, taken = (precision_bytes, None) if mixed is None else (mixed.own[i], mixed.taken[i])
        own = once + (floats * batch + floats_once) * each
        for j in inputs:
            value = feeds[i][j]
            if mixed is not None and taken is not None and taken != mixed.values[value]:
                own = own + flow.counts[value] * (batch * taken)
            elif first[value] < 0:
                first[value] = i
        start = starts[i]
        if output:
            for value in range(start, start + len(rules.counts)):
                if value not in indices:
                    first[value] = i
        if extra != 0:
            if start + 1 in indices and flow.last_use[start + 1] >= 0:
                first[start + 1] = i
            else:
                own = own + extra * batch
        if own != 0:
            changes[i] += own
            changes[last - i + 1] -= own
    return first


def _differentiate(flow: Flow, backward: list[bool], sizes: list[Size], changes: list[Size]) -> None:
    """Add the gradients of values to the changes at each step."""
    steps = len(flow.nodes)
    last = 2 * steps - 1
    used = [-1] * len(sizes)
    for i, feeds in enumerate(flow.feeds):
        if backward[i]:
            for value in feeds:
                used[value] = i
    for value in flow.outputs:
        used[value] = steps - 1
    indices = flow.indices
    for value, maker in enumerate(flow.makers):
        if backward[maker] and used[value] >= 0 and value not in indices:
            changes[last - used[value]] += sizes[value]
            changes[last - maker + 1] -= sizes[value]


def _peak(timeline: list[Size]) -> Size | None:
    if {int}.issuperset(map(type, timeline)):
        return max(timeline, default=0)
    numbers = [size for size in timeline if isinstance(size, int)]
    candidates: list[Size] = [max(numbers, default=0)]
    for size in dict.fromkeys(size for size in timeline if not isinstance(size, int)):
        if any(at_least(kept - size, 0) is True for kept in candidates):
            continue
        candidates = [kept for kept in candidates if at_least(size - kept, 0) is not True]
        candidates.append(size)
        if len(candidates) > MOST_CANDIDATES:
            return None
    try:
        return maximum(*candidates)
    except TooLarge:
        return None
