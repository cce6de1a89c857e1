"""A use of a block that is repeated from a recording makes what unrolling it would have made."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from expected import ARCHITECTURES
from mutations import mutated, programs
from programs import Program

from archdsl.checking import check_file
from archdsl.compiler import Network, Node, Scope, limits
from archdsl.compiler.recording import Recording, Recordings
from archdsl.compiler.values import show
from archdsl.net import check_network, program_of
from archdsl.source import Source

BUNDLED = [path.read_text(encoding="utf-8") for path in sorted(ARCHITECTURES.glob("*.arch"))]
RANDOM = [Program(seed).text() for seed in range(25)]

MANY = """
let width = 2 * 4

block Unit(channels, kernel = 3) {
  shared tie: conv(channels, kernel, padding=same)
  tie -> relu -> tie
}

block Cell(channels, wide = false) {
  parallel concat {
    left: { conv(channels, kernel=1) -> relu }
    { Inner(channels) -> Inner(channels) }
  }
  if wide { rounds: repeat 2 { a: relu } }
  last, spare: split([channels, channels])
  add(last, spare)
}

block Inner(channels) {
  pool: max_pool(2)
  max_unpool(pool) -> conv(channels, kernel=3, padding=1)
  rounds: repeat 2 { Nothing -> relu }
}

block Nothing { }

block Two {
  input a, b
  from a, b -> add -> relu
}

block Back(channels) { conv(channels, kernel=3, padding=1) -> max_pool(2) }

network Many {
  input x: [width, 8, 8]
  repeat 5 { Cell(width) }
  repeat 4 { Cell(width, wide=true) }
  Cell_12: relu
  repeat 3 { Unit(width) }
  repeat 3 { Unit(8.0) -> Unit(8) -> Unit(channels=8) }
  one: Cell(width) -> Cell(width)
  from one, one -> Two
  from one, one -> Two
  Two_2: relu
}
"""


def found(network: Network) -> list[Any]:
    """All that is known of a network's layers and scopes, with numbers for nodes."""
    numbers = {node: number for number, node in enumerate(network.nodes)}

    def wires(of: Any) -> list[tuple[int, int]]:
        return [(numbers[node], port) for node, port in of]

    def scope(one: Scope) -> list[Any]:
        members = [scope(m) if isinstance(m, Scope) else numbers[m] for m in one.members]
        around = None if one.parent is None else one.parent.name
        ends = wires(one.inputs), wires(one.outputs)
        arguments = {name: show(value) for name, value in one.arguments.items()}
        return [one.name, one.key, around, one.block, arguments, *ends, one.loop, one.round, members]

    def values(node: Node) -> dict[str, Any]:
        given = node.layer.values
        return {name: numbers[value] if isinstance(value, Node) else value for name, value in given.items()}

    layers = [
        (
            *(node.name, node.key, node.kind, values(node), wires(node.inputs), node.shapes),
            node.scope.name,
            *(*map(str, (node.use, node.defined)), None if node.first is None else numbers[node.first]),
        )
        for node in network.nodes
    ]
    return [layers, scope(network.scope), wires(network.outputs), network.output_names]


LOOPS = """
block A(n) {
  if n > 0 { repeat 3 { A(n - 1) } }
  relu
}
network N {
  input x: [3]
  for n in [1, 2, 3] { repeat 2 { A(n) } }
  shared s: A(2)
  repeat 3 { s }
  repeat 3 { A(1) }
}
"""
"""Loops whose rounds use a block: within itself, with other arguments, and through a shared line."""


def made(source: Source) -> list[Any]:
    """What each network of a program is compiled to, its report and its torch source."""
    program = program_of(source)
    networks: list[Any] = []
    for name in program.networks:
        net = check_network(program, name).net
        assert net is not None
        networks.append((found(net.network), net.report().to_dict(), net.source()))
    return networks


@pytest.mark.parametrize("text", [MANY, LOOPS, *BUNDLED, *RANDOM])
def test_repeating_makes_what_unrolling_makes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("case.arch", text)
    repeated = made(source)
    monkeypatch.setattr(Recordings, "find", lambda self, key: None)
    # Not compared by `assert`, which would write out both.
    differ = [
        number for number, pair in enumerate(zip(repeated, made(source), strict=True)) if pair[0] != pair[1]
    ]
    assert not differ


def test_equal_uses_are_unrolled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 50 blocks of ResNet-152, and those in them, the eight that are unlike those before are unrolled."""
    repeat, lengths = Recording.repeat, []

    def counted(self: Recording, *rest: Any) -> Any:
        lengths.append(len(self))
        return repeat(self, *rest)

    monkeypatch.setattr(Recording, "repeat", counted)
    source = Source("resnet.arch", (ARCHITECTURES / "resnet.arch").read_text(encoding="utf-8"))
    assert check_network(program_of(source), "ResNet152").net is not None
    assert lengths == [10] * 42


def told(source: Source) -> list[str]:
    """What is said of a file, as it is shown: an imported file is read anew each time."""
    return [f"{d} {d.labels} {d.notes} {d.help}" for d in check_file(source).diagnostics]


@pytest.mark.parametrize("part", range(4))
def test_wrong_files_are_told_the_same(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEPS", 20_000)
    texts = [text for text in programs() if "block" in text and len(text) < 3000]
    sources = []
    for number in range(50):
        random = Random(1000 * part + number)
        sources.append(Source("case.arch", mutated(random, random.choice(texts), random.choice(texts))))
    repeated = [told(source) for source in sources]
    monkeypatch.setattr(Recordings, "find", lambda self, key: None)
    assert repeated == [told(source) for source in sources]


def test_bounds_hold_as_if_unrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "block Ten { repeat 10 { relu } }\nnetwork N {\n  input x: [3]\n  repeat 40 { Ten }\n}\n"
    source = Source("case.arch", text)
    for bound, most in (("LAYERS", 333), ("STEPS", 333)):
        with monkeypatch.context() as patch:
            patch.setattr(limits, bound, most)
            repeated = check_file(source).diagnostics
            patch.setattr(Recordings, "find", lambda self, key: None)
            assert repeated == check_file(source).diagnostics != []
    assert check_file(source).diagnostics == []
