"""What is said beside errors: nothing that is not there once they are mended."""

from __future__ import annotations

import random
import re

import pytest
from programs import Program

from archdsl.checking import check_file
from archdsl.project import bundled
from archdsl.source import Source
from archdsl.syntax import tree
from archdsl.syntax.parser import parse


def warnings_of(text: str) -> tuple[set[tuple[str, int]], bool]:
    """The warnings and their lines, and whether there are errors."""
    checked = check_file(Source("/nowhere/a.arch", text))
    found = {(d.name, d.span.line) for d in checked.diagnostics if d.severity == "warning"}
    return found, checked.wrong


def uses(text: str) -> list[tree.Use]:
    """The uses of layers and blocks in chains, at the first two depths."""
    bodies = [d.body for d in parse(Source("", text))[0].declarations if isinstance(d, tree.Block)]
    found: list[tree.Use] = []
    for body in bodies:
        for line in body:
            for item in line.items if isinstance(line, tree.Line) else ():
                bodies += tree.bodies_of(item)
                found += [item] if isinstance(item, tree.Use) else []
    return found


READ_TWICE = """
network First {
  input x: [4, 16, 16]
  a: conv(4, kernel=1)
  batch_norm
  shared s: conv(4, kernel=1)
  s -> batch_norm -> dropout(0.5) -> batch_norm
  parallel add {
    { conv(4, kernel=1) -> batch_norm }
    { from a -> relu -> s }
  }
  lost: from a -> relu
  from x -> conv(4, kernel=1)
  batch_norm
}
"""
"""Of its values before a normalisation some are read by others, too."""


def biased(name: str) -> str:
    """A bundled file whose convolutions all have a bias, and of which nothing is expected."""
    source = bundled(name)
    assert source is not None
    return re.sub(r"^ *expect .*\n", "", source.text.replace(", bias=false", ""), flags=re.MULTILINE)


TEXTS = [
    biased("resnet.arch"),
    biased("unet.arch"),
    READ_TWICE + READ_TWICE.replace("First", "Second"),
    *(Program(seed).text() for seed in range(4)),
]


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_no_warning_follows_from_an_error(number: int) -> None:
    text = TEXTS[number]
    right, wrong = warnings_of(text)
    assert not wrong
    places = uses(text)
    kept = 0
    for use in random.Random(number).sample(places, min(12, len(places))):
        end = use.name_span.end
        found, wrong = warnings_of(f"{text[:end]}_zz{text[end:]}")
        assert wrong and found <= right
        kept += len(found)
    assert kept or number > 2
