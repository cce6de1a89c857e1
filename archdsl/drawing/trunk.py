"""What a picture shows of a network: the values along its trunk, what skips over some, its outputs.

The trunk is the longest way from an input to an output, from a map where there are maps and vectors. Where a
way parts and meets again within a map of one size, as in a residual unit or an Inception module, or within a
block of the file, what lies between is one step of the trunk; where it narrows in between, as between the two
arms of a U-Net, or meets at another size outside of blocks, the longer way is the trunk. A shorter one is a
skip; one that does at least half as much, or comes from another input, is told of where it joins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from archdsl.analysis.flow import Flow
    from archdsl.compiler.network import Network, Node, Scope
    from archdsl.layers.shapes import Shape
    from archdsl.sizes import Size

MANY = 32
"""How many stations a picture shows one by one; of more, equal ones and then those of one size are one."""

MOST = 60
"""How many it shows at all: of more, neighbours are one whatever their sizes."""

OUTSIDE = -1
"""The root of the graph, before every input."""


@dataclass(slots=True)
class Station:
    """Values of the trunk that are drawn as one body.

    `shape` is that of the last of them, but has the channels of the widest; a map whose extents are 1 is a
    vector here.
    """

    shape: tuple[int, ...]
    nodes: list[Node]
    """The layers of the trunk that it stands for, in order."""
    least: int
    """The fewest channels among the values."""
    joins: list[str] = field(default_factory=list)
    """What else comes in here: other inputs by their names, and `4 more branches`."""
    way: list[Node] = field(default_factory=list)
    """The layers of the trunk within the residual unit that it is."""
    members: list[Station] = field(default_factory=list)
    """The stations of this shape that it stands for, where they are several."""
    outputs: list[str] = field(default_factory=list)
    """Outputs of the network that it stands for, where the network has several."""
    departing: list[str] = field(default_factory=list)
    """Outputs that are made from it off the trunk."""

    @property
    def repeated(self) -> int:
        """How many stations of this shape it stands for."""
        return len(self.members) or 1

    @property
    def channels(self) -> int:
        """Channels of a map, features of a vector."""
        return self.shape[0]

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial extents; empty for a vector."""
        return self.shape[1:]

    @property
    def named(self) -> list[Node]:
        """The layers by which it may be called: those with weights and joins, or its first."""
        return [node for node in self.nodes if _computes(node)] or self.nodes[:1]


@dataclass(slots=True)
class Trunk:
    """The stations in order, and the skips from one to another, by their indices.

    A skip to the next station is the shortcut of a residual unit.
    """

    stations: list[Station]
    skips: list[tuple[int, int]]
    within: dict[int, int]
    """Of a station that stands for several, in how many places skips end that begin in it or right before."""


def trunk(network: Network, flow: Flow) -> Trunk:
    """The trunk of a network all of whose sizes are numbers."""
    path = _longest(flow)
    above = _dominators(flow)
    work = _work(flow)
    kept, ends = _kept(flow, path, above, work)
    stations, steps = _stations(flow, kept, path, work)
    stations, merged = _merged(stations, {steps[i] for i in ends})
    where = {i: merged[step] for i, step in steps.items()}

    def anchor(i: int) -> int:
        """The last layer of the trunk that every way to a layer goes through, if there is one."""
        while i != OUTSIDE and i not in where:
            i = above[i]
        return i

    reached: dict[tuple[int, int], set[int]] = defaultdict(set)
    # What is told of where it joins, and what is before it.
    told: set[int] = set()
    for before, i in pairwise(path):
        branches = 0
        for source in flow.sources[i]:
            if source == before:
                continue
            if flow.nodes[i].kind == "max_unpool" and flow.nodes[source].kind == "max_pool":
                # Where the largest values were is known of the map that was pooled.
                source = flow.sources[source][0]
            at = anchor(source)
            if at == OUTSIDE:
                behind = _behind(flow, source, where) - where.keys()
                stations[where[i]].joins += _from_inputs(flow, behind)
                told |= behind
            elif 2 * (work[source] - work[at]) < work[before] - work[at] or (
                flow.nodes[i].kind == "add" and where[i] - where[at] == 1
            ):
                if steps[at] < steps[i]:
                    reached[where[at], where[i]].add(i)
            elif where[i] - where[at] > 1:
                branches += 1
        if branches:
            stations[where[i]].joins.append(f"{branches} more branch{'es' if branches > 1 else ''}")
    for station in stations:
        station.joins = list(dict.fromkeys(station.joins))
    several = len(flow.outputs) > 1
    for value, name in zip(flow.outputs, network.output_names, strict=True) if several else ():
        maker = flow.makers[value]
        at = anchor(maker)
        if at == OUTSIDE:
            behind = _behind(flow, maker, where)
            read = [where[i] for i in behind if i in where]
            own = flow.nodes[maker].name.split(".")[0]
            further = {i for i in behind - where.keys() - told if flow.nodes[i].name.split(".")[0] != own}
            inputs = ", ".join(_from_inputs(flow, further))
            beside = f" ({'with' if read else 'of'} {inputs})" if inputs else ""
            stations[max(read, default=0)].departing.append(f"{name}{beside}")
        else:
            station = stations[where[at]]
            shown = flow.nodes[maker] in station.nodes
            (station.outputs if shown else station.departing).append(name)
    within = {}
    for k, station in enumerate(stations):
        joins = {i for a in (k - 1, k) for i in reached.get((a, k), ())}
        if station.repeated > 1 and (len(joins) > 1 or (k, k) in reached):
            within[k] = len(joins)
    skips = sorted((a, b) for a, b in reached if b > a and not (b - a == 1 and b in within))
    return Trunk(stations, skips, within)


def _work(flow: Flow) -> list[int]:
    """For each layer the most layers with bodies on a way to it, itself counted."""
    found: list[int] = []
    for node, sources in zip(flow.nodes, flow.sources, strict=True):
        found.append(max([found[source] for source in sources], default=0) + _computes(node))
    return found


def _behind(flow: Flow, i: int, where: Container[int]) -> set[int]:
    """A layer and those that it depends on, back to the trunk's, the first of which are among them."""
    seen, to_see = {i}, [i]
    while to_see:
        at = to_see.pop()
        new = [source for source in flow.sources[at] if source not in seen] if at not in where else []
        seen.update(new)
        to_see += new
    return seen


def _from_inputs(flow: Flow, behind: set[int]) -> list[str]:
    """The inputs among layers beside the trunk, and what the last on the way from them is.

    Nothing is said of what depends on none, as a learned token.
    What uses the weights of a layer of the trunk is called like that one.
    """
    names = sorted(flow.nodes[at].name for at in behind if at in flow.inputs)
    made = [at for at in behind if at not in flow.inputs and _computes(flow.nodes[at])]
    if not names or not made:
        return names
    last = flow.nodes[max(made)]
    return [f"{', '.join(names)}, through {(last.first or last).name.split('.')[0]}"]


def _longest(flow: Flow) -> list[int]:
    """The layers of the longest way to an output, in order, from an input that is a map where one is.

    A vector beside a map, such as the time of a step of diffusion, is what the map's way is told.
    """
    maps = {i for i in flow.inputs if flow.nodes[i].shape.size}
    makers = [flow.makers[value] for value in flow.outputs]
    length = _lengths(flow, maps)
    if not any(length[i] for i in makers):
        length = _lengths(flow, {i for i, sources in enumerate(flow.sources) if not sources})
    at = max(makers, key=lambda i: length[i])
    path = [at]
    while flow.sources[at]:
        at = max(flow.sources[at], key=lambda i: length[i])
        path.append(at)
    return path[::-1]


def _lengths(flow: Flow, starts: set[int]) -> list[int]:
    """For each layer how long the longest way to it from one of some is; 0 where there is none."""
    length: list[int] = []
    for i, sources in enumerate(flow.sources):
        before = max([length[source] for source in sources], default=0)
        length.append(before + 1 if before or i in starts else 0)
    return length


def _dominators(flow: Flow) -> list[int]:
    """For each layer the last one that every way from an input to it goes through.

    What depends on no input, as a learned token, is on no way. Cooper, Harvey and Kennedy, "A Simple, Fast
    Dominance Algorithm", 2001; in an order of execution one pass is enough.
    """
    above: list[int] = []
    level: list[int] = []
    free: list[bool] = []
    for i, sources in enumerate(flow.sources):
        on_way = [source for source in sources if not free[source]]
        free.append(not on_way and i not in flow.inputs)
        meet = on_way[0] if on_way else OUTSIDE
        for source in on_way[1:]:
            other = source
            while meet != other:
                if OUTSIDE in (meet, other):
                    meet = other = OUTSIDE
                elif level[meet] >= level[other]:
                    meet = above[meet]
                else:
                    other = above[other]
        above.append(meet)
        level.append(0 if meet == OUTSIDE else level[meet] + 1)
    return above


def _kept(flow: Flow, path: list[int], above: list[int], work: list[int]) -> tuple[list[int], set[int]]:
    """The path without what lies between a parting and a meeting within maps of one size.

    Within a block it may be of any sizes, if they are no smaller than both of those at its ends: the arms of
    a U are kept. What several later meetings read, as where layers are densely connected, is kept, too, and
    so are residual units in a row that one long skip goes around. With it, the layers at the ends of such
    skips.
    """
    place = {i: k for k, i in enumerate(path)}
    size = [_numbers(flow.nodes[i].shape.size) for i in path]
    read = Counter(
        source
        for i in path
        if len(flow.sources[i]) > 1 and flow.nodes[i].kind in ("add", "concat")
        for source in set(flow.sources[i])
    )
    inside = [False] * len(path)
    units: list[tuple[int, int]] = []
    ends: set[int] = set()
    for k, i in enumerate(path):
        if len(flow.sources[i]) < 2 or above[i] not in place:
            continue
        start = place[above[i]]
        last = _last_of_several(units, start)
        if flow.nodes[i].kind == "add" and start + 1 < k:
            units.append((start, k))
        if last and all(
            work[source] <= work[above[i]] for source in flow.sources[i] if source != path[k - 1]
        ):
            ends |= {above[i], i}
            tail = range(last + 1, k)
            if flow.nodes[i].kind == "add" and all(size[m] == size[k] and read[path[m]] < 2 for m in tail):
                inside[last + 1 : k] = [True] * len(tail)
            continue
        if any(read[path[m]] > 1 for m in range(start + 1, k)):
            continue
        # What a gate within it reads from the whole map is of no size of its own.
        between = [m for m in range(start + 1, k) if not inside[m]]
        outer = (size[start], size[k])
        unit = _unit(flow.nodes[i])
        if (
            flow.nodes[i].kind == "multiply"
            or all(size[m] in outer for m in between)
            or (unit and all(_of(flow.nodes[path[m]], unit) and _reaches(size[m], outer) for m in between))
        ):
            inside[start + 1 : k] = [True] * (k - start - 1)
    return [i for k, i in enumerate(path) if not inside[k]], ends


def _last_of_several(units: Sequence[tuple[int, int]], start: int) -> int:
    """Where the last of units ends of which two follow each other from a place on; 0 if none do.

    Units are given by where they begin and end, in the order of their ends.
    """
    end, latest = 0, start
    for first, last in takewhile(lambda unit: unit[1] > start, reversed(units)):
        if start <= first:
            end = end or last
            if last <= latest:
                return end
            latest = max(latest, first)
    return 0


def _unit(node: Node) -> Scope | None:
    """The use of a block that a layer is of; None for one that the network itself names."""
    scope = node.scope
    while scope.parent is not None and scope.block is None:
        scope = scope.parent
    return scope if scope.parent is not None else None


def _of(node: Node, unit: Scope) -> bool:
    """Whether a layer is within the use of a block."""
    scope: Scope | None = node.scope
    while scope is not None and scope is not unit:
        scope = scope.parent
    return scope is unit


def _reaches(size: tuple[int, ...], ends: tuple[tuple[int, ...], ...]) -> bool:
    """Whether a map is along no axis smaller than both of two others."""
    axes = {len(size), *map(len, ends)}
    return len(axes) == 1 and all(n >= min(of) for n, *of in zip(size, *ends, strict=True))


def _computes(node: Node) -> bool:
    """Whether a layer has a body of its own in a picture, also where it changes no shape.

    What only adds or multiplies learned numbers has none.
    """
    xs = [wire.shape for wire in node.inputs]
    several = sum(wire.node.kind != "parameter" for wire in node.inputs) > 1
    return node.kind == "input" or several or bool(node.layer.weights(*xs) and node.layer.macs(*xs))


def _stations(
    flow: Flow, kept: list[int], path: list[int], work: list[int]
) -> tuple[list[Station], dict[int, int]]:
    """The stations, and which of them each layer of the path belongs to."""
    stations: list[Station] = []
    owner: dict[int, int] = {}
    inside = _inside(flow, kept, path, work)
    for i in kept:
        node = flow.nodes[i]
        shape = _plain(node.shape)
        before = stations[-1] if stations else None
        arranged = node.kind in ("flatten", "reshape", "permute", "pad") and i != path[-1]
        if before and not before.size and shape[1:]:
            # The map that a vector becomes is read as one.
            arranged = False
        if before and (arranged or (shape == before.shape and not _computes(node))):
            before.nodes.append(node)
        elif before and _passing(before) and before.size == shape[1:] and before.size:
            # A pooled map is not drawn by itself where the next layer's has its size; what skips over that
            # layer begins at the body before.
            stations[-1] = Station(shape, [*before.nodes, node], shape[0], way=inside[i])
            last = len(stations) - 1
            owner = {k: max(last - 1, 0) if station == last else station for k, station in owner.items()}
        else:
            stations.append(Station(shape, [node], shape[0], way=inside[i]))
        owner[i] = len(stations) - 1
    last = 0
    for i in path:
        last = owner.setdefault(i, last)
    return stations, owner


def _inside(flow: Flow, kept: list[int], path: list[int], work: list[int]) -> dict[int, list[Node]]:
    """For each layer that is kept those of the path right before it that are not, where it adds to them.

    Of branches that are put together, as in an Inception module, the longest says little of the others,
    unless they do nothing, as in a dense unit.
    """
    found: dict[int, list[Node]] = {}
    apart = {*kept}
    way: list[Node] = []
    start = before = path[0]
    for i in path:
        if i not in apart:
            way.append(flow.nodes[i])
        else:
            whole = flow.nodes[i].kind == "add" or (
                flow.nodes[i].kind == "concat"
                and all(work[source] <= work[start] for source in flow.sources[i] if source != before)
            )
            found[i] = way if whole and all(node.kind != "concat" for node in way) else []
            start, way = i, []
        before = i
    return found


def _passing(station: Station) -> bool:
    """Whether it is of layers without weights alone."""
    return not any(_computes(node) for node in station.nodes)


def _numbers(sizes: Sequence[Size]) -> tuple[int, ...]:
    numbers = tuple(n for n in sizes if isinstance(n, int))
    assert len(numbers) == len(sizes), "every size is a number"
    return numbers


def _plain(shape: Shape) -> tuple[int, ...]:
    numbers = _numbers(shape)
    return numbers[:1] if all(extent == 1 for extent in numbers[1:]) else numbers


def _merged(stations: list[Station], apart: set[int]) -> tuple[list[Station], list[int]]:
    """As many stations as a picture can show, and the new index of each; some rather stay apart."""
    where = list(range(len(stations)))
    for whole in (True, True, False):
        if len(stations) > MANY:
            # A vector is like no other, and neither is the output.
            keys: list[object] = [
                (station.shape if whole else station.size) if station.size and k not in apart else k
                for k, station in enumerate(stations)
            ]
            stations, where = _folded(stations, where, [*keys[:-1], None])
        apart = set()
    while len(stations) > MOST:
        stations, where = _folded(stations, where, [k // 2 for k in range(len(stations))])
    return stations, where


def _folded(
    stations: list[Station], where: list[int], keys: Sequence[object]
) -> tuple[list[Station], list[int]]:
    """Neighbours of one key as one, but for the input."""
    found: list[Station] = []
    moved: list[int] = []
    for k, station in enumerate(stations):
        if k > 1 and keys[k] == keys[k - 1]:
            before = found[-1]
            widest = max(before.channels, station.channels)
            found[-1] = Station(
                (widest, *station.size),
                before.nodes + station.nodes,
                min(before.least, station.least),
                members=[*(before.members or [before]), *(station.members or [station])],
            )
        else:
            found.append(station)
        moved.append(len(found) - 1)
    return found, [moved[w] for w in where]
