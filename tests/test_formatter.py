"""The layout of files: it says what the text says, keeps every comment, and is the same the second time."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from programs import Program

import archdsl
from archdsl.checking import check_file
from archdsl.source import Source, Span
from archdsl.syntax import formatter
from archdsl.syntax.formatter import WIDTH
from archdsl.syntax.grammar import grammar
from archdsl.syntax.parser import parse
from archdsl.syntax.tokens import Tokens, scan

ROOT = Path(__file__).parent.parent
FILES = [*sorted((ROOT / "architectures").glob("*.arch")), *sorted((ROOT / "tests/networks").glob("*.arch"))]
VARIED = ["lenet5", "resnet", "mobilenet", "davit", "fpn", "alexnet", "preresnet", "vgg", "blocks"]
"""Bundled files that together have every form of the language that files have."""

FORMS = """# The head of a file.

import Stem, Head from "blocks.arch"
let base = 4 * (8 + 2) // 3
let even(x) = 2 * round(x / 2) if x > 1 and not x == 3 else -x ** 2

## Documented.
block Unit(channels, kernel = 3, activation = leaky_relu(0.1)) {
  input fine, coarse
  parallel add {
    {}
    from coarse -> conv(channels, kernel, padding=[[1, 0], [0, 1]]) -> upsample(2)
    wide: { repeat 2 { conv(channels, kernel=3) -> tanh } } -> relu
  }
  if input.channels != channels { conv(channels, kernel=1) } else { relu }
  if channels > 3 {
    relu
  } else if channels == 2 {
    tanh -> relu
  } else {}
  low, _: split([channels, min(channels, [3, 4][0], -1)])
  output low, input
}

network All(classes = 10, depths = [[1, 2], [3, 4]]) {
  input image: [3, H, W]
  shared tower: conv(8, kernel=5) -> relu
  ## What the stage makes.
  stage: for [width, [depth, step]] in zip(depths, [1, 2]) {
    let half = width // 2
    skip: conv(width * half, kernel=(depth + 1) % 3) -> tower
  }
  from stage.skip -> add
  expect stage_1.skip.shape == [1, 2] or not true
  expect round(parameters / 1M, 1) >= 1_0.5e-4 + 2KiB
}

train All {
  data = mnist("a b")
  loss = cross_entropy(logits) + 0.3 * cross_entropy
  augment = pad(2) -> normalize([0.5], 1/255)
  stage.rate = 0
  head.loss.rate = none
}
"""
"""Every form of the language, once at least. It is for the parser alone."""


def facts(node: Any) -> Any:
    """A tree, or a part of one, without the places."""
    if isinstance(node, Source | Span):
        return None
    if isinstance(node, list):
        return [facts(one) for one in node]
    if is_dataclass(node):
        return type(node).__name__, [facts(getattr(node, one.name)) for one in fields(node)]
    return node


def read(text: str) -> Any:
    """What a text says: its tree, with its comments. Fails where it has errors."""
    file, found = parse(Source("text.arch", text))
    assert [d.message for d in found] == []
    return facts(file)


def is_right(text: str) -> bool:
    return not parse(Source("text.arch", text))[1]


def laid_out(text: str) -> str:
    """The layout of a text, held against all that it promises."""
    result = archdsl.format(text)
    assert read(result) == read(text)
    assert archdsl.format(result) == result
    assert not re.search(r"[ \t]\n|\n\n\n|\{\n\n|\n\n *\}|^\n", re.sub(r"#.*", "#", result))
    assert result == "" or (result.endswith("\n") and not result.endswith("\n\n"))
    return result


def starts(text: str) -> list[int]:
    """Where a token begins, or a line ends."""
    return [token.start for token in scan(Source("text.arch", text), grammar(), Tokens())]


def gaps(text: str) -> list[int]:
    """Where a line may end: in brackets, about `->`, before `else`, about braces and statements."""
    found = [0]
    brackets = braces = 0
    before = "NEWLINE"
    for token in scan(Source("text.arch", text), grammar(), Tokens()):
        kind = token.kind
        may_begin = kind in ("ARROW", "ELSE", "NEWLINE", "RBRACE") or (kind == "LBRACE" and not braces)
        if brackets or may_begin or before in ("ARROW", "NEWLINE", "LBRACE"):
            found.append(token.start)
        brackets += (kind in ("LPAR", "LSQB")) - (kind in ("RPAR", "RSQB"))
        braces += (kind == "LBRACE") - (kind == "RBRACE")
        before = kind
    return found


def test_a_program_without_layout_gets_one() -> None:
    text = (
        "network   Small( classes=10 ){\n\n\n\tinput image :[3,8,8]\n"
        "   conv( 4,kernel = 3 )->relu ->\n flatten\n\n\n\n  logits:linear( classes , )   # scores\n\n}"
    )
    assert laid_out(text) == (
        "network Small(classes = 10) {\n"
        "  input image: [3, 8, 8]\n"
        "  conv(4, kernel=3) -> relu -> flatten\n"
        "\n"
        "  logits: linear(classes)  # scores\n"
        "}\n"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_this_project_is_laid_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert laid_out(text) == text
    lines = [line for line in text.splitlines() if "# allow" not in line]
    held = {after for line, after in pairwise(text.splitlines()) if line.lstrip().startswith("# allow")}
    code = [line.partition("  #")[0] for line in lines if line[:1] != "#" and line not in held]
    assert max(len(line) for line in code if not line.lstrip().startswith("#")) <= WIDTH


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int) -> None:
    laid_out(Program(seed).text())


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_with_other_spaces_and_comments(seed: int) -> None:
    laid_out(respaced(Program(seed).text(), random.Random(seed)))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_on_narrow_pages(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(formatter, "WIDTH", chance.choice([8, 20, 30, 40, 60]))
    laid_out(respaced(Program(seed).text(), chance) if seed % 2 else Program(seed).text())


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.parametrize("width", [10, 30, 50, 70])
def test_narrow_pages(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatter, "WIDTH", width)
    laid_out((ROOT / "architectures" / f"{name}.arch").read_text(encoding="utf-8"))


@pytest.mark.parametrize("width", [1, 10, 20, 30, 40, 50, 60, 80, 100])
def test_every_form(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatter, "WIDTH", width)
    laid_out(FORMS)


COMMENTS = ["# one\n", " # one\n", "\n# one\n", "\n\n# one\n\n", "\n## one\n", " # one\n\n  ## two\n"]


def test_where_a_comment_may_stand() -> None:
    """What the tests below take for granted: these are the gaps, and there are no others."""
    allowed = {gap for gap in {*starts(FORMS), 0} if is_right(f"{FORMS[:gap]} # one\n{FORMS[gap:]}")}
    assert allowed == set(gaps(FORMS))


def test_a_comment_in_every_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a comment may stand at all, it stays, and the rest means what it meant."""
    for part in FORMS.split("\n\n"):
        for number, gap in enumerate(gaps(part)):
            monkeypatch.setattr(formatter, "WIDTH", 30 if number % 2 else 100)
            laid_out(part[:gap] + COMMENTS[number % len(COMMENTS)] + part[gap:])


@pytest.mark.parametrize("name", ["lenet5", "davit", "fpn", "preresnet"])
def test_comments_in_all_gaps_of_a_file(name: str) -> None:
    text = (ROOT / "architectures" / f"{name}.arch").read_text(encoding="utf-8")
    places = gaps(text)
    full = text
    for number, gap in enumerate(reversed(places)):
        full = f"{full[:gap]} # comment {number}\n{full[gap:]}"
    assert laid_out(full).count("# comment") == len(places)


def respaced(text: str, chance: random.Random, comments: float = 0.1) -> str:
    """A program with other spaces, line breaks and comments between its tokens, where these may stand."""
    may_end = set(gaps(text))
    for start in reversed(starts(text)):
        kind = chance.random()
        if kind < 0.2:
            put = chance.choice([" ", "\t", "  ", "\f"])
        elif kind < 0.5 and start in may_end:
            put = chance.choice(["\n", "\r\n", "\n\n\n", " \n \n"])
        elif kind < 0.5 + comments and start in may_end:
            put = chance.choice(COMMENTS)
        else:
            continue
        text = text[:start] + put + text[start:]
    return text


@pytest.mark.parametrize("seed", range(12))
def test_every_form_with_other_spaces_and_comments(seed: int) -> None:
    laid_out(respaced(FORMS, random.Random(seed), comments=0.05 * (seed % 5)))


@pytest.mark.parametrize("name", ["lenet5", "mobilenet", "preresnet"])
def test_files_without_their_spaces(name: str) -> None:
    """The layout comes from the words alone: of lines that are torn or run together it makes the same."""
    text = (ROOT / "architectures" / f"{name}.arch").read_text(encoding="utf-8")
    squeezed = re.sub(r"^ +| (?=[=,:\]\)\{])|(?<=[:,\[\(\}]) ", "", text, flags=re.M)
    squeezed = "\n".join(
        original if "#" in original else line
        for original, line in zip(text.splitlines(), squeezed.splitlines(), strict=True)
    )
    assert squeezed != text
    assert archdsl.format(squeezed) == text


ALLOWED = ("bias-before-norm", "dropout-before-norm", "unseen-samples")


def allowing(chance: random.Random) -> str:
    """A program of mistakes, some of which comments allow, on lines that end anywhere."""
    uses = (
        "conv(4, kernel=3, padding=1)", "batch_norm", "dropout(0.5)", "max_pool(2)",
        "repeat 2 { conv(4, kernel=1) -> batch_norm }",
        "if 1 > 0 { conv(4, kernel=1) -> batch_norm } else { relu }",
    )  # fmt: skip
    lines = []
    for _ in range(chance.randint(1, 4)):
        line = ""
        for number in range(chance.randint(1, 5)):
            comment = f"  # {chance.choice(['allow', 'Allow', 'allow:'])} {chance.choice(ALLOWED)}"
            arrow = chance.choice([" -> ", " -> ", "\n-> ", " ->\n", f"{comment}\n-> ", f"\n{comment}\n-> "])
            use = re.sub(r"[(,{]", lambda m: m[0] + "\n" * (chance.random() < 0.15), chance.choice(uses))
            line += (arrow if number else "") + use
        above = f"# allow {chance.choice(ALLOWED)}\n" + "\n" * chance.randint(0, 1)
        after = f"  # allow {chance.choice(ALLOWED)}"
        lines.append(chance.choice(["", above]) + line + chance.choice(["", after]))
    return "\n".join(["network A {", " input x: [4, 33, 33]", *lines, "}\n"])


def test_what_a_comment_allows_is_what_it_allowed() -> None:
    def said(text: str) -> list[tuple[str, str]]:
        found = check_file(Source("a.arch", text)).diagnostics
        return sorted((d.name, re.sub(r"\s", "", d.span.text)) for d in found)

    for seed in range(40):
        text = allowing(random.Random(seed))
        assert said(laid_out(text)) == said(text), text


def expression(chance: random.Random, depth: int) -> str:
    """An expression of any form, with line breaks in its brackets now and then."""
    kind = chance.random()
    if depth == 0 or kind < 0.25:
        return chance.choice(["a", "12_345", '"a text"', "x.channels", "-1", "a_long_name", "none"])
    inner = [expression(chance, depth - 1) for _ in range(chance.choice([0, 1, 1, 2, 3, 8]))]
    comma = chance.choice([", ", ", ", ",\n", ",  # why\n"])
    if kind < 0.5:
        return f"[{comma.join(inner)}]"
    if kind < 0.7:
        named = [f"name={one}" if chance.random() < 0.5 else one for one in inner]
        return f"call({comma.join(sorted(named, key=lambda one: one.startswith('name=')))})"
    if kind < 0.95:
        operator = chance.choice(["+", "*", "and", "==", "if a else", "**"])
        return f"({f' {operator} '.join(inner[:2] or ['a'])})"
    return f"{expression(chance, 0)} + {expression(chance, depth - 1)}"


@pytest.mark.parametrize("seed", range(30))
def test_random_expressions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(formatter, "WIDTH", chance.choice([20, 40, 60, 100]))
    for _ in range(5):
        text = " -> ".join(f"call({expression(chance, 3)})" for _ in range(chance.choice([1, 1, 2, 3])))
        for program in (
            f"let a = {expression(chance, 4)}\n",
            f"block A(b = {expression(chance, 3)}, c) {{\n  {text}\n}}\n",
            f"block A {{\n  repeat {expression(chance, 3)} {{ {text} }} -> a\n}}\n",
        ):
            if is_right(program):
                laid_out(program)


def examples() -> list[Any]:
    """The programs of the documentation, those that show a mistake in their text left out."""
    found = []
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        programs = re.findall(r"^```arch[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
        for number, program in enumerate(programs, 1):
            if is_right(program):
                found.append(pytest.param(program, id=f"{page.relative_to(ROOT)}-{number}"))
    return found


@pytest.mark.parametrize("program", examples())
def test_the_examples_of_the_documentation(program: str) -> None:
    laid_out(program)


# ------------------------------------------------------------------------------ odd texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \n\t\n", ""),
        ("# alone", "# alone\n"),
        ("\n\n# a  \n\n\n\n# b\n\n", "# a\n\n# b\n"),
        ("\ufefflet a = 1", "let a = 1\n"),
        ("let a = 1\r\nlet b = 2", "let a = 1\r\nlet b = 2\r\n"),
        ("let a = 1\nlet b = 2\r\n", "let a = 1\nlet b = 2\n"),
        ("let a = 1\rlet b = 2", "let a = 1\nlet b = 2\n"),
        ("let a = [\n\t1,\t2,\n\t\t3]", "let a = [\n  1, 2,\n  3\n]\n"),
        ("let a = [\n  1, 2, 3,\n]\n", "let a = [1, 2, 3]\n"),
        ("let a = [1\n, 2, 3]\n", "let a = [\n  1,\n  2, 3\n]\n"),
        ('let a = "  #  "#c', 'let a = "  #  "  #c\n'),
        ("block A {}\nblock B {\n}", "block A {}\n\nblock B {}\n"),
        ("block A { relu }", "block A {\n  relu\n}\n"),
        ("block A {\n  # why\n}\n", "block A {\n  # why\n}\n"),
    ],
    ids=repr,
)
def test_odd_texts(text: str, expected: str) -> None:
    assert archdsl.format(text) == expected
    assert archdsl.format(expected) == expected


def test_a_line_for_which_a_comment_allows_something_stays_one() -> None:
    """Broken, most of it would no longer be on the line that the comment is for."""
    line = f"repeat 2 {{ conv(8, kernel=3, padding=1) -> batch_norm -> {' -> '.join(['relu'] * 9)} }}"
    for text in (f"# allow a-name: why\n  # more\n  {line}", f"{line}  # allow a-name, b-name"):
        assert laid_out(f"block A {{\n  {text}\n}}\n") == f"block A {{\n  {text}\n}}\n"
    assert line not in laid_out(f"block A {{\n  relu  # allow a-name\n  {line}\n}}\n")


def test_a_text_with_errors_is_refused_with_all_of_them() -> None:
    with pytest.raises(archdsl.ArchError) as caught:
        archdsl.format("network A {\n  conv(\n  3 +\n}\nblock {\n}\n", "broken.arch")
    assert len(caught.value.diagnostics) >= 2
    assert "broken.arch" in str(caught.value)


def test_a_layout_that_would_change_what_is_said_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at the end finds a mistake of ours, whether it loses a word or a comment."""
    whole = formatter._Writer.file
    for loss in (("relu", "tanh"), ("# c", ""), ("## d", "# d"), ("  tanh\n", "")):
        monkeypatch.setattr(formatter._Writer, "file", lambda *a, loss=loss: whole(*a).replace(*loss))
        with pytest.raises(formatter.ChangedMeaning):
            archdsl.format("## d\nblock A {\n  relu  # c\n  tanh\n}\n")


def test_deep_nesting() -> None:
    brackets = "let a = " + "[" * 40 + "1" + "]" * 40
    assert laid_out(brackets) == brackets + "\n"
    laid_out("block A {" + "{\n" * 49 + "relu" + "}" * 49 + "}")
    laid_out("let a = " + "[" * 50 + "1" + "]" * 50)
    laid_out("let a = [" + "not " * 98 + "b]")


def test_a_file_of_ten_thousand_lines_takes_a_second_or_so() -> None:
    lines = (ROOT / "architectures/resnet.arch").read_text(encoding="utf-8")
    text = "".join(lines.replace("block ", f"block B{i}") for i in range(10_000 // lines.count("\n") + 1))
    archdsl.format(lines)
    began = time.process_time()
    assert archdsl.format(text) != ""
    assert time.process_time() - began < 5


def test_it_is_imported_where_it_is_used_and_brings_nothing_heavy() -> None:
    program = (
        "import sys, archdsl\n"
        "assert 'archdsl.syntax.formatter' not in sys.modules\n"
        "archdsl.format('let a=1')\n"
        "assert not {'torch', 'lark', 'networkx', 'archdsl.compiler'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_example_of_the_rules_is_laid_out_by_them() -> None:
    page = (ROOT / "docs" / "formatting.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```arch\n(.*?)^```$", page, re.M | re.S)
    assert archdsl.format(program) == program
