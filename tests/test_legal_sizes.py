"""The sizes that a network takes: held against compiling it, and against torch, size by size."""

from __future__ import annotations

import json
import random
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from open_programs import OpenProgram

import archdsl
from archdsl.analysis.legal_sizes import LegalSizes, legal_sizes
from archdsl.compiler import Options
from archdsl.net import program_of
from archdsl.report.legal_sizes import to_dict
from archdsl.residues import holding
from archdsl.sizes import Question, Size, maximum, minimum, substitute, symbol
from archdsl.source import Source

UNET = """
block Level(depth) {
  here: conv(2, kernel=3, padding=1) -> relu
  if depth > 0 {
    below: max_pool(2) -> Level(depth - 1) -> upsample(2)
    from here, below -> concat -> conv(2, kernel=3, padding=1)
  }
}
"""
RESIDUAL = """
block Residual(channels, stride) {
  parallel add {
    { conv(channels, kernel=3, stride=stride, padding=1) -> relu -> conv(channels, kernel=3, padding=1) }
    { if stride != 1 { conv(channels, kernel=1, stride=stride) } }
  }
  relu
}
"""
HOURGLASS = """
block Hourglass(depth) {
  here: conv(2, kernel=1)
  if depth > 0 {
    from here -> max_pool(3, stride=2, padding=1) -> Hourglass(depth - 1) -> upsample(2) -> add(here)
  }
}
"""

TURNED_ADD = """
network Case {
  input x: [2, H, W]
  t: permute([channels, width, height])
  from x -> add(t) -> conv(2, kernel=3)
}
"""

NETWORKS = {
    "unet": (UNET, "[1, H]", "Level(3)", "H mod 8 is 0"),
    "resnet": (
        RESIDUAL,
        "[1, H]",
        "conv(2, kernel=7, stride=2, padding=3) -> max_pool(3, stride=2, padding=1)\n"
        "Residual(2, 1) -> Residual(2, 2) -> Residual(2, 2)\nglobal_avg_pool -> flatten -> linear(3)",
        "H >= 1",
    ),
    "hourglass": (
        HOURGLASS,
        "[1, H]",
        "conv(2, kernel=3) -> Hourglass(3)",
        "H is 3 or H mod 8 is 2, from 4 on",
    ),
    "strides": (
        "",
        "[1, H]",
        "a: conv(2, kernel=3, stride=3)\nfrom x -> conv(2, kernel=4, stride=3, padding=1) -> concat(a)",
        "H mod 3 is 0 or 1, from 2 on",
    ),
    "patches": ("", "[1, H]", "pixel_unshuffle(8) -> conv(6, kernel=1) -> attention(1)", "H mod 8 is 0"),
    "windows": (
        "",
        "[1, H, 12]",
        "conv(12, kernel=4, stride=4) -> window_attention(2, window=3)",
        "H mod 12 is 0 to 3, from 4 on",
    ),
    "valid": ("", "[1, H]", "repeat 3 { conv(2, kernel=5) -> max_pool(2) }\nconv(2, kernel=3)", "H >= 52"),
    "transposed": (
        "",
        "[1, H]",
        "conv(2, kernel=3, stride=2, padding=1)\n"
        "conv_transpose(2, kernel=3, stride=2, padding=1) -> add(x)\nconv_transpose(2, kernel=2, padding=3)",
        "H mod 2 is 1, from 6 on",
    ),
    "mirrored": (
        "",
        "[1, H]",
        "conv(2, kernel=7, padding=3, padding_mode=reflect) -> pad(2, mode=circular) -> pad(-3)",
        "H >= 4",
    ),
    "square": ("", "[2, H, H]", "conv(2, kernel=3) -> max_pool(3, stride=2, ceil=true)", "H >= 4"),
    "normal": (
        "",
        "[2, H]",
        "conv(2, kernel=3, stride=2) -> instance_norm -> adaptive_avg_pool(3)",
        "H >= 5",
    ),
    "turned": (
        "",
        "[2, H, W]",
        "t: permute([channels, width, height]) -> max_pool(2)\nfrom x -> max_pool(2) -> concat(t)",
        "H >= 2; W >= 2; H//2 is W//2",
    ),
}


def network(name: str) -> str:
    blocks, shape, body, _ = NETWORKS[name]
    return f"{blocks}\nnetwork Case {{\n  input x: {shape}\n{body}\n}}\n"


def of(text: str, **options: Any) -> LegalSizes:
    return legal_sizes(archdsl.loads(text, **options).network)


def said(found: LegalSizes) -> str:
    return "; ".join(
        [*(v.said(name) for name, v in found.values.items()), *(t.condition for t in found.together)]
    )


def fits(found: LegalSizes, sizes: dict[str, int]) -> bool:
    """Whether sizes are among those that were found, by what is said in words of several symbols."""
    conditions = (one.condition for one in found.together)
    # "49 divides H*W", "H is W" and the like, as Python has them.
    texts = [re.sub(r"(\S+) divides (.+?)(?= or | and |$)", r"(\2) % \1 == 0", text) for text in conditions]
    texts = [text.replace(" is not ", " != ").replace(" is ", " == ") for text in texts]
    return all(value in found.values[name] for name, value in sizes.items()) and all(
        eval(text, {"__builtins__": {}, "max": max, "min": min}, dict(sizes)) for text in texts
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_every_size_is_taken_by_the_compiler_and_by_torch_or_by_neither(name: str) -> None:
    import torch

    text = network(name)
    net = archdsl.loads(text)
    found = legal_sizes(net.network)
    assert found.exact
    assert said(found) == NETWORKS[name][3]
    model = net.build("meta").eval()
    symbols = [*found.values]
    if len(symbols) == 1:
        every = [{"H": value} for value in range(1, 57)]
    else:
        every = [{"H": h, "W": w} for h in range(1, 9) for w in range(1, 9)]
    program = program_of(Source("case.arch", text))
    for sizes in every:
        compiles = program.compile(options=Options(sizes=sizes)).network is not None
        assert compiles == fits(found, sizes), sizes
        shape = [substitute(extent, sizes) for extent in net.network.inputs[0].shape]
        try:
            with torch.no_grad():
                model(torch.empty(2, *shape, device="meta"))  # type: ignore[arg-type]
            runs = True
        except (RuntimeError, ValueError):
            runs = False
        assert runs == compiles, sizes


@pytest.mark.parametrize(
    ("body", "legal", "torch_too"),
    [
        ("max_pool(3, stride=2) -> reshape([10, 4])", {41, 42}, {21, 22, 61, 62}),
        ("slice(2, 9, axis=length) -> conv(2, kernel=3)", {*range(9, 81)}, {5, 6, 7, 8}),
    ],
)
def test_what_torch_takes_besides(body: str, legal: set[int], torch_too: set[int]) -> None:
    """torch moves what is left of a reshape into the batch, and ends a slice where the values end."""
    import torch

    net = archdsl.loads(f"network Case {{\n  input x: [2, H]\n  {body}\n}}")
    (values,) = legal_sizes(net.network).values.values()
    assert {v for v in range(1, 81) if v in values} == legal
    model = net.build("meta").eval()
    takes = set()
    for value in range(1, 81):
        try:
            model(torch.empty(2, 2, value, device="meta"))
            takes.add(value)
        except RuntimeError:
            pass
    assert takes - legal == torch_too
    assert legal <= takes


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_fit_where_they_compile(seed: int) -> None:
    text = OpenProgram(seed).text()
    program = program_of(Source("case.arch", text))
    net = program.compile().network
    if net is None:
        return
    found = legal_sizes(net)
    rng = random.Random(seed)
    symbols = [*found.values]
    if not symbols or found.unknown:
        return
    sizes = [dict.fromkeys(symbols, v) for v in range(1, 21)]
    sizes += [{name: rng.randint(1, 300) for name in symbols} for _ in range(8)]
    for one in sizes:
        if all(value <= found.tried.get(name, value) for name, value in one.items()):
            compiles = program.compile(options=Options(sizes=one)).network is not None
            assert compiles == fits(found, one), (one, text)


def test_each_size_that_is_refused_is_refused_by_one_layer_first() -> None:
    text = network("unet")
    found = of(text)
    for value in range(1, 60):
        refusing = [one for one in found.refusals if value in one.values]
        assert len(refusing) == (0 if value in found.values["H"] else 1), value
    for one in found.refusals:
        with pytest.raises(archdsl.ArchError) as error:
            archdsl.loads(text, sizes={"H": one.example})
        first = error.value.diagnostics[0]
        assert (first.message, first.name) == (one.problem.message(), one.problem.name)


@pytest.mark.parametrize("seed", range(25))
def test_questions_about_polynomials_and_divisions_are_answered_for_all_values(seed: int) -> None:
    rng = random.Random(seed)
    h = symbol("H")

    def size(depth: int) -> Size:
        if not depth:
            return rng.choice([h, h + rng.randint(-3, 9), 2 * h])
        a = size(depth - 1)
        return rng.choice(
            [
                lambda: a // rng.randint(2, 4) + rng.randint(0, 2),
                lambda: a * size(0) if depth == 1 else a + h,
                lambda: maximum(a, size(0), rng.randint(1, 9)),
                lambda: minimum(a, rng.randint(2, 20)),
                lambda: a - rng.randint(2, 5) * (size(0) // rng.randint(2, 5)),
            ]
        )()

    a, b = size(rng.randint(1, 2)), rng.choice([rng.randint(1, 60), size(1)])
    if isinstance(a - b, int):
        return
    for question in (Question("equal", a, b), Question("at least", a, b)):
        values = holding(question, "H", 20_000)
        assert values is not None
        for value in [*range(1, 90), *rng.sample(range(90, 9_000), 20)]:
            difference = substitute(a - b, {"H": value})
            assert isinstance(difference, int)
            holds = difference == 0 if question.relation == "equal" else difference >= 0
            assert (value in values) == holds, (question, value)


def test_sizes_in_arguments_and_products() -> None:
    assert said(of("network Case {\n  input x: [3, H, H]\n  reshape([3, 49])\n}")) == "H is 7"
    assert said(of("network Case {\n  input x: [3, H, H]\n  reshape([_, 7, 9])\n}")) == "H mod 21 is 0"
    assert said(of("network Case {\n  input x: [3, H - 4]\n  crop(x.length - 5)\n}")) == "H >= 10"
    coupled = of("network Case {\n  input x: [2, H, W]\n  max_pool(2) -> reshape([2, 7, 7])\n}")
    assert said(coupled) == "H >= 2; W >= 2; (H//2)*(W//2) is 49"
    assert coupled.smallest == {"H": 14, "W": 14}
    assert (
        said(of("network Case {\n  input x: [2, H, W]\n  reshape([_, 7])\n}"))
        == "H >= 1; W >= 1; 7 divides 2*H*W"
    )


def test_what_cannot_be_told_is_not_claimed() -> None:
    # Too long a period: what was tried is said, and no more.
    found = of("network Case {\n  input x: [1, H]\n  max_pool(1_999) -> reshape([_, 1_997])\n}")
    assert not found.exact
    assert found.tried["H"] < 1_997
    assert not any(value in found.values["H"] for value in range(1, found.tried["H"] + 1))
    # What follows an extent of 1 that is repeated along the other axis is left open.
    assert of(TURNED_ADD).unknown


def test_a_layer_of_ones_own_is_tried_and_no_more_is_said(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    path = tmp_path / "case.arch"
    path.write_text('import even_only from "own.py"\nnetwork Case {\n  input x: [1, H]\n  even_only\n}\n')
    found = legal_sizes(archdsl.load(path, allow_python=True).network)
    assert not found.exact
    assert {v for v in range(1, 30) if v in found.values["H"]} == {*range(2, 30, 2)}


OWN = '''
from __future__ import annotations

from archdsl.layers.activation import Relu
from archdsl.problems import Fault
from archdsl.problems.layers import NeedsMap


class EvenOnly(Relu):
    """Takes even lengths alone, and asks in a way of its own.

        y = max(x, 0)
    """

    def shape(self, x):
        if isinstance(x[1], int) and x[1] % 2:
            raise Fault(NeedsMap("even_only", str(x)))
        return x
'''


def test_json_is_of_its_schema() -> None:
    schema = json.loads(files("archdsl").joinpath("schema", "legal_sizes.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (
        network("turned"),
        network("unet"),
        TURNED_ADD,
        "network Case {\n  input x: [2, 3]\n  relu\n}",
    ):
        jsonschema.validate(to_dict(of(text)), schema)
    written = to_dict(of(network("hourglass")))["symbols"]["H"]
    assert {k: written[k] for k in ("below", "from", "period", "remainders", "tried")} == {
        "below": [3],
        "from": 4,
        "period": 8,
        "remainders": [2],
        "tried": None,
    }


def test_the_bundled_networks_take_the_sizes_they_were_written_for() -> None:
    for name, size, legal in (
        ("alexnet.arch", 224, "H >= 63"),
        ("UNet", 572, None),
        ("ResNet18", 224, "H >= 1"),
    ):
        net = archdsl.load(name, inputs={"image": [3 if name != "UNet" else 1, "H", size]})
        found = legal_sizes(net.network)
        assert found.exact
        assert size in found.values["H"]
        if legal:
            assert said(found) == legal
