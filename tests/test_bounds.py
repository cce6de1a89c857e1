"""Files that ask for too much: each is refused by its own diagnostic, and soon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import CASES
from mutations import checked, watched

from archdsl.checking import check_file
from archdsl.compiler import limits
from archdsl.compiler.unrolling import Unroller
from archdsl.problems import CATALOGUE
from archdsl.report.diagnostics import render
from archdsl.source import Source

NETWORK = "network Case {{\n  input x: [4]\n  {}\n}}\n"
MANY = 10**5


def case(body: str) -> str:
    return NETWORK.format(body)


LARGE = {
    "file-too-large": (
        case(" " * 2**20),
        """\
error[file-too-large]: the file has 1,048,611 characters, more than 1,048,576
  --> case.arch:1:1
   |
 1 | network Case {
   | ^ the file is not read""",
    ),
    "string-too-long": (
        f'import A from "{"a" * 10_000}"\n' + case("relu"),
        """\
error[string-too-long]: this string has 10,000 characters, more than 4,096
  --> case.arch:1:15
   |
 1 | …"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…
   |  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^""",
    ),
    "too-many-mistakes": (
        case("\n  ".join(["relu )"] * 120)),
        """\
error[too-many-mistakes]: there are more than 100 mistakes
    --> case.arch:103:8
     |
 103 |   relu )
     |        ^ the file is not read from here on""",
    ),
    "too-many-problems": (
        case("\n  ".join(["rleu"] * 120)),
        """\
error[too-many-problems]: only the first 100 problems are shown
    --> case.arch:103:3
     |
 103 |   rleu
     |   ^^^^ the last one shown is here""",
    ),
    "too-many-imports": (
        'import B0 from "f0.arch"\n' + case("B0"),
        """\
error[too-many-imports]: more than 100 files are imported
  --> f99.arch:1:18
   |
 1 | import B100 from "f100.arch"
   |                  ^^^^^^^^^^^""",
    ),
}
"""Programs too long to be written out: the last thing that is said of each. All others are `tests/cases`."""


@pytest.fixture(autouse=True)
def in_a_folder_of_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(130):
        text = f'import B{number + 1} from "f{number + 1}.arch"\nblock B{number} {{ relu }}\n'
        (tmp_path / f"f{number}.arch").write_text(text)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("problem", LARGE)
def test_what_is_said_of_a_large_program(problem: str) -> None:
    text, expected = LARGE[problem]
    last = check_file(Source("case.arch", text)).diagnostics[-1]
    assert (last.name, render(last, width=80)) == (problem, expected)


def test_every_problem_has_its_case() -> None:
    cases = "".join(path.read_text(encoding="utf-8") for path in CASES.glob("*.md"))
    shown = set(re.findall(r"^(?:error|warning|note)\[([a-z0-9-]+)\]", cases, re.MULTILINE))
    # They take files beside the program: tests/test_data.py and tests/test_pretrained.py have them.
    with_data = {
        "moves-targets",
        "bad-weights",
        "no-such-prefix",
        "computed-weights",
        "layers-without-weights",
        "weights-without-layers",
        "permuted-weights",
        "ambiguous-weights",
        "layout-of-weights",
        "several-sets-of-weights",
    }
    assert shown | set(LARGE) | with_data == set(CATALOGUE)


def functions(count: int, value: str) -> str:
    lines = ["let f0(x) = x", *(f"let f{i}(x) = {value.format(f'f{i - 1}(x)')}" for i in range(1, count))]
    return "\n".join(lines) + "\n" + case(f"linear(f{count - 1}(1))\n  expect parameters == f{count - 1}(1)")


def blocks(count: int, body: str) -> str:
    lines = [f"block B{i} {{ {body.format(f'B{i + 1}')} }}" for i in range(count)]
    return "\n".join([*lines, f"block B{count} {{ relu }}", case("B0")])


HOSTILE = {
    "parentheses": (case(f"let a = {'(' * MANY}1{')' * MANY}"), "nesting-too-deep"),
    "closing brackets": (")" * MANY, "too-many-mistakes"),
    "braces": (case("{" * MANY + "relu" + "}" * MANY), "nesting-too-deep"),
    "lists in lists": (case(f"let a = {'[' * MANY}{']' * MANY}"), "nesting-too-deep"),
    "calls in calls": (case(f"let a = {'min(' * MANY}1{')' * MANY}"), "nesting-too-deep"),
    "a long sum": (case("let a = " + "+".join(["1"] * MANY)), "expression-too-deep"),
    "a long power": (case("let a = " + "**".join(["2"] * MANY)), "expression-too-deep"),
    "else if": (case("if true { relu } " + "else if true { relu } " * 10**4), "nesting-too-deep"),
    "attributes": (case(f"let a = x{'.shape' * MANY}"), "expression-too-deep"),
    "arguments": (case(f"concat({'x,' * 10**4}x)"), None),
    "functions in functions": (functions(20_000, "{}"), "too-much-work"),
    "deep functions": (functions(110, "{}"), "recursion-too-deep"),
    "deep expressions in functions": (functions(99, "(" * 40 + "{}" + " + 1)" * 40), "expectation-failed"),
    "doubling functions": (functions(60, "{0} + {0}"), "too-much-work"),
    "doubling lists": (
        case("let a0 = [1, 1]\n" + "\n".join(f"let a{i} = [a{i - 1}, a{i - 1}]" for i in range(1, 60))),
        "list-too-long",
    ),
    "blocks in blocks": (blocks(5_000, "{}"), "recursion-too-deep"),
    "doubling blocks": (blocks(60, "{0} -> {0}"), "too-many-layers"),
    "rounds of nothing": (case("repeat 10**15 { }"), "too-much-work"),
    "rounds in rounds": (case("repeat 1000 { " * 4 + "{}" + " }" * 4), "too-much-work"),
    "large kernels": (
        "network Case {\n  input x: [1, H]\n"
        + "\n".join(
            f"  from x -> {use}"
            for use in (
                f"conv(1, kernel={2**63 - 1}, padding=same)",
                f"conv_transpose(1, kernel={2**63 - 1})",
                f"blur_pool({2**63 - 1})",
                f"conv(1, kernel=3, stride={2**63 - 1})",
            )
        )
        + "\n}",
        None,
    ),
    "harmonics": (
        "network Case {\n  input x: [4, H, W]\n  harmonic_conv(2**53, kernel=3, padding=same)\n}",
        None,
    ),
    "a large number": (case(f"linear({'9' * 10**5})"), "number-too-large"),
    "a large power": (case("linear(10**10**10)"), "number-too-large"),
    "a large recipe": (
        case("relu") + "train {\n  batch = 10**10**10\n  steps = 2**64**64\n}",
        "number-too-large",
    ),
    "many settings": (
        case("relu") + "train {\n" + "\n".join(f"k{i} = {i}" for i in range(20_000)) + "\n}",
        "too-many-problems",
    ),
    "symbols": (
        "network Case {\n  input x: ["
        + ", ".join(f"A{i}" for i in range(3))
        + "]\n  let y = ("
        + "+".join(f"B{i}" for i in range(40))
        + ") ** 5\n  relu\n}",
        "symbolic-too-large",
    ),
    "periods": (
        "network Case {\n  input x: [1, 2000]\n"
        + "\n".join(f"  conv_transpose(1, kernel=3, stride={p})" for p in (7, 11, 13, 17, 19, 23))
        + "\n}",
        None,
    ),
    "a name that no file can have": ('import A from "a\x00b"\n' + case("relu"), "import-not-found"),
    "a name too long for a file": (f'import A from "{"x" * 4000}"\n' + case("relu"), "import-not-found"),
    "choices in choices in blocks in blocks": (
        "block B(depth) { "
        + ("if 1 == 2 { relu } " + "else if 1 == 2 { relu } " * 49 + "else { ") * 10
        + "if depth > 0 { B(depth - 1) } else { relu }"
        + "}" * 10
        + " }\n"
        + case("B(40)"),
        None,
    ),
    "half a pair": ('import A from "\ud800"\n' + case("relu"), "import-not-found"),
}
"""Programs made to exhaust time or memory, or to end in a traceback, and what is said of each."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program(name: str) -> None:
    text, expected = HOSTILE[name]
    if expected is None:
        with watched():
            check_file(Source("case.arch", text))
        return
    found = {diagnostic.name for diagnostic in checked(text)}
    assert expected in found


@pytest.mark.parametrize(
    "body", ["relu", "pad(1)", "B -> relu", "a: repeat 2 { B }", "let a = 1\n  relu", "s"]
)
def test_a_loop_is_given_up_early_only_where_it_would_be_late(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With lower limits, so that every count around them can be tried."""
    monkeypatch.setattr(limits, "LAYERS", 30)
    monkeypatch.setattr(limits, "STEPS", 150)

    def refused(count: int, loop: str) -> bool:
        text = (
            "block B { relu -> tanh }\n\nnetwork Case {\n  input x: [4, 8]\n  shared s: tanh\n  s\n  "
            f"{loop.format(f'repeat {count} {{ {body} }}')}\n}}\n"
        )
        return any(d.severity == "error" for d in check_file(Source("case.arch", text)).diagnostics)

    for loop in ("{}", "repeat 2 {{\n relu\n {} }}"):
        early = [refused(count, loop) for count in (0, 1, 2, *range(4, 34, 2), 200)]
        with monkeypatch.context() as late:
            late.setattr(Unroller, "_bound", lambda *_: False)
            assert early == [refused(count, loop) for count in (0, 1, 2, *range(4, 34, 2), 200)]
        assert early[0] is False and early[-1] is True
