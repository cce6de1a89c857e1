"""What an editor asks of a file, without a protocol: facts, names, completions, and at any moment."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from programs import Program

from archdsl.checking import check_file
from archdsl.editing import navigation
from archdsl.editing.checks import Cancelled, Check, Checker
from archdsl.editing.completion import Completion, completions, signature_help
from archdsl.editing.document import Document, Library, path_of
from archdsl.editing.hints import Wanted, hints
from archdsl.editing.hover import hover
from archdsl.editing.mends import mends
from archdsl.layers import LAYERS
from archdsl.project import bundled, bundled_names
from archdsl.recipes.keys import KEYS
from archdsl.source import Source

SMALL = """\
let base = 8

## A convolution and what follows it.
block Unit(width, kernel = 3, activation = relu) {
  conv(width, kernel, padding=kernel // 2, bias=false) -> batch_norm -> activation
}

block Pair(width) {
  first: Unit(width)
  second: Unit(width, kernel=5)
  output first, second
}

network Small(classes = 10) {
  input image: [3, 32, 32]
  stem: Unit(base, kernel=7)
  stage: for width in [16, 32] {
    inner: Unit(width) -> max_pool(2)
    skip: conv(width, kernel=1)
  }
  pair: Pair(base)
  joined: from pair.first, pair.second -> concat
  global_avg_pool -> flatten
  scores: linear(classes)
  expect stage_2.skip.shape == [32, 8, 8]
}

train {
  data      = image_folder("pictures", size=32)
  loss      = cross_entropy
  optimizer = sgd(lr=0.1)
  batch     = 10
  steps     = 10
  stem.rate = 0
}
"""


def opened(text: str, name: str = "/nowhere/small.arch") -> tuple[Library, Document]:
    library = Library()
    document = Document(name, text)
    library.put(document)
    return library, document


def checked(text: str, name: str = "/nowhere/small.arch") -> Check:
    library, document = opened(text, name)
    return Checker(library).check(document)


def offset_of(text: str, word: str, further: int = 0) -> int:
    assert text.count(word) >= 1, word
    return text.index(word) + further


# ------------------------------------------------------------------------------ checks


@pytest.mark.parametrize("name", bundled_names())
def test_a_document_is_checked_as_its_file_is(name: str) -> None:
    """Network by network, kept and moved: what is said is what `archdsl check` says."""
    source = bundled(name)
    assert source is not None
    path = path_of(name)
    library = Library()
    checker = Checker(library)
    said = [(d.name, d.message, d.span.start) for d in check_file(Source(path, source.text)).diagnostics]
    first = checker.check(Document(path, source.text))
    assert [(d.name, d.message, d.span.start) for d in first.diagnostics] == said
    ahead = "# moved, and nothing else\n\n"
    moved = checker.check(Document(path, ahead + source.text))
    assert [(d.name, d.message, d.span.start - len(ahead)) for d in moved.diagnostics] == said
    assert {start - len(ahead): seen.shapes for start, seen in moved.lines.items()} == {
        start: seen.shapes for start, seen in first.lines.items()
    }


def test_an_edit_leaves_other_networks_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the networks whose declarations changed are checked again."""
    source = bundled("resnet.arch")
    assert source is not None
    checker = Checker(Library())
    compiled: list[str] = []
    real = checker._checked

    def counted(document: Document, network: str, *rest: object) -> object:
        compiled.append(network)
        return real(document, network, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(checker, "_checked", counted)
    checker.check(Document("/a/resnet.arch", source.text))
    assert len(compiled) == 9
    compiled.clear()
    checker.check(Document("/a/resnet.arch", source.text.replace("[256, 36, 2]", "[256, 35, 2]", 1)))
    assert compiled == ["ResNet152"]
    compiled.clear()
    basic = source.text.replace(
        "block BasicBlock(channels, stride = 1) {", "block BasicBlock(channels, stride=1) {"
    )
    checker.check(Document("/a/resnet.arch", basic))
    assert compiled == ["ResNet18", "ResNet34"]


def test_a_file_of_more_networks_than_are_kept_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archdsl.editing.checks.KEPT", 2)
    text = "".join(f"network A{i} {{\n  input x: [3, 8]\n  relu\n}}\n" for i in range(9))
    checker = Checker(Library())
    first = checker.check(Document("/a/many.arch", text))
    kept = dict(checker._units)
    again = checker.check(Document("/a/many.arch", "# a line\n" + text))
    assert list(checker._units.items()) == list(kept.items())
    assert len(again.lines) == len(first.lines) == 9


def test_a_diagnostic_that_is_kept_moves_with_all_its_places() -> None:
    text = (
        "network A {\n  input image: [3, 8, 8]\n  a: conv(4, kernel=3)\n"
        "  b: from image -> conv(4, kernel=1)\n"
        "  from a, b -> add\n}\nnetwork B {\n  input image: [3, 8, 8]\n  conv(4, kernel=3)\n}\n"
    )
    library, document = opened(text)
    checker = Checker(library)
    (before,) = checker.check(document).diagnostics
    assert before.labels
    longer = Document(document.name, "\n\n\n" + text)
    (after,) = checker.check(longer).diagnostics
    assert [after.span.text, *(label.span.text for label in after.labels)] == [
        before.span.text,
        *(label.span.text for label in before.labels),
    ]
    assert all(span.source is longer.source for span in (after.span, *(one.span for one in after.labels)))


def test_one_network_says_nothing_of_another_that_is_half_written() -> None:
    text = SMALL.split("train {")[0] + "network Other {\n  input image: [3, 8, 8]\n  conv(4, ker\n}\n"
    check = checked(text)
    assert {d.span.line for d in check.diagnostics if d.severity == "error"} == {
        text[: text.index("ker\n")].count("\n") + 1
    }
    assert "Small" in check.totals and "Other" not in check.totals
    assert hints(check, Wanted(parameters=True))[0].text == "8 × 32 × 32 … · 1,192 parameters …"


def test_a_comment_that_silences_is_heard_and_a_needless_one_named() -> None:
    line = "  conv(16, kernel=3) -> batch_norm -> relu"
    other = "network B {\n  input image: [3, 8, 8]\n  relu\n}\n"
    text = f"network A {{\n  input image: [3, 8, 8]\n{line}\n}}\n{other}"
    (said,) = checked(text).diagnostics
    silenced = text.replace(line, f"{line}  # allow {said.name}", 1)
    assert checked(silenced).diagnostics == []
    needless = silenced.replace("-> batch_norm ", "")
    assert [d.name for d in checked(needless).diagnostics] == [
        d.name for d in check_file(Source("a.arch", needless)).diagnostics
    ]
    assert checked(needless).diagnostics


def test_a_check_stops_between_networks() -> None:
    source = bundled("resnet.arch")
    assert source is not None
    library, document = opened(source.text)
    with pytest.raises(Cancelled):
        Checker(library).check(document, lambda: True)


# ------------------------------------------------------------------------------ hints


def test_every_line_has_its_shape() -> None:
    check = checked(SMALL)
    assert [d.name for d in check.diagnostics if d.severity == "error"] == []
    by_line = {SMALL[: hint.offset].rpartition("\n")[2].strip(): hint.text for hint in hints(check)}
    assert by_line["stem: Unit(base, kernel=7)"] == "8 × 32 × 32"
    assert by_line["scores: linear(classes)"] == "10"
    assert by_line["pair: Pair(base)"] == "8 × 8 × 8, 8 × 8 × 8"
    assert by_line["global_avg_pool -> flatten"] == "16"
    # Three uses of the block differ, and the two rounds of the loop.
    assert by_line["inner: Unit(width) -> max_pool(2)"] == "16 × 16 × 16 …"
    assert by_line[
        "conv(width, kernel, padding=kernel // 2, bias=false) -> batch_norm -> activation"
    ].endswith("…")
    # The two uses of the pair's own block agree with one another.
    assert by_line["first: Unit(width)"] == "8 × 8 × 8"
    assert by_line["}"] == "32 × 8 × 8"


def test_hints_tell_more_on_request() -> None:
    check = checked(SMALL)
    wanted = Wanted(parameters=True, receptive_field=True)
    text = next(
        h.text for h in hints(check, wanted) if SMALL[: h.offset].endswith("stem: Unit(base, kernel=7)")
    )
    assert text == "8 × 32 × 32 · 1,192 parameters · field 7"


def test_a_block_that_is_repeated_from_a_recording_is_not_said_to_stand_once() -> None:
    text = (
        "block B {\n  conv(4, kernel=3, padding=1)\n}\n"
        "network A {\n  input x: [4, 16, 16]\n  repeat 3 { B }\n}\n"
    )
    text_of = {
        text[: h.offset].rpartition("\n")[2].strip(): h.text
        for h in hints(checked(text), Wanted(receptive_field=True))
    }
    assert text_of["conv(4, kernel=3, padding=1)"] == "4 × 16 × 16 · field 3 …"


def test_what_follows_a_mistake_has_no_hint() -> None:
    text = "network A {\n  input image: [3, 8, 8]\n  conv(4, kernel=3)\n  conv(4, kernel=30)\n  relu\n}\n"
    assert [h.text for h in hints(checked(text))] == ["4 × 6 × 6"]


# ------------------------------------------------------------------------------ hover


def test_an_expectation_that_is_wrong_hides_no_figures() -> None:
    text = "network A {\n  input image: [3, 8, 8]\n  conv(4, kernel=3)\n  expect paramters == 3\n}\n"
    text += "network B {\n  input image: [3, 8, 8]\n  conv(5, kernel=3)\n}\n"
    found = [hint.text for hint in hints(checked(text), Wanted(parameters=True))]
    assert found == ["4 × 6 × 6 · 112 parameters", "5 × 6 × 6 · 140 parameters"]


def test_names_that_are_not_used_are_those_of_check() -> None:
    """A network is checked with what it needs alone; what is unused is so in the whole file."""
    text = (
        'import SeparableConv, SqueezeExcitation from "blocks.arch"  # allow unused-import\n'
        "let width = 8\nlet spare = 9\n"
        "network A(classes = 10) {\n  input x: [3, 8, 8]\n  SeparableConv(width)\n}\n"
        "network B {\n  input x: [3, 8, 8]\n  SqueezeExcitation(1)\n}\n"
    )
    for program in (
        text,
        text.replace("  SqueezeExcitation(1)\n", "  relu\n"),
        text.replace("[3, 8, 8]", "[3, 8"),
    ):
        said = check_file(Source("a.arch", program)).diagnostics
        here = checked(program).diagnostics
        assert [(d.name, d.span.start) for d in here] == [(d.name, d.span.start) for d in said]
        names = [d.name for d in said]
        if "SqueezeExcitation(1)\n" in program and "[3, 8, 8]" in program:
            assert names == ["unused-allow", "unused-let", "unused-parameter"]
        else:
            assert "unused-import" not in names and ("unused-let" in names) == ("[3, 8, 8]" in program)


def test_every_warning_can_be_allowed() -> None:
    """Each layout of a line, and comments that are there already: then nothing more is said."""
    text = (
        "network A {\n  input image: [3, 8, 8]\n"
        "  conv(4, kernel=1) -> batch_norm\n"
        "  conv(4, kernel=1) -> batch_norm  # why\n"
        "  conv(4, kernel=1) -> batch_norm  # allow unseen-samples: why\n"
        f"  {'relu -> ' * 8}conv(4, kernel=1) -> batch_norm\n"
        "  conv(\n    4,\n    kernel=1,\n  ) -> batch_norm\n"
        "  # allow unseen-samples\n  conv(4, kernel=1) -> batch_norm\n"
        "  kept: conv(4, kernel=1)\n  from image -> conv(2, kernel=1, stride=2) -> relu\n}\n"
    )
    for ending in ("\n", "\r\n"):
        now = text.replace("\n", ending)
        for _ in range(12):
            check = checked(now)
            silencing = [m for m in mends(check.document, check.diagnostics, 0, len(now)) if not m.certain]
            if not silencing:
                break
            edit = silencing[0].edit
            now = now[: edit.span.start] + edit.replacement + now[edit.span.end :]
        left = [d.name for d in checked(now).diagnostics]
        assert set(left) <= {"unused-allow"}
        assert now.count("# allow bias-before-norm") == 4 and ", bias-before-norm" in now
        assert ending == "\r\n" or "\r" not in now
        assert now.count("\n") == now.count(ending)


def told(text: str, word: str, further: int = 0) -> str:
    library, document = opened(text)
    found = hover(library, document, offset_of(text, word, further), Checker(library).check(document))
    return "" if found is None else found.text


def test_a_layer_shows_its_page_and_this_use() -> None:
    said = told(SMALL, "max_pool(2)")
    assert "max_pool(kernel, " in said and "**16 × 32 × 32 → 16 × 16 × 16**" in said
    assert "Takes the largest" in said or "maximum" in said.lower()


@pytest.mark.parametrize(
    ("word", "further", "expected"),
    [
        (
            "Unit(base",
            0,
            ["block Unit(width, kernel=3, activation=relu)", "A convolution and what", "8 × 32 × 32"],
        ),
        ("stem: Unit", 0, ["stem: Unit(base, kernel=7)", "parameters 1,192"]),
        ("pair.first", 5, ["first: Unit(width)"]),
        ("bias=false", 0, ["whether a learned number is added"]),
        ("kernel=7", 0, ["parameter kernel = 3"]),
        ("classes)", 0, ["parameter classes = 10"]),
        ("Small(", 0, ["network Small(classes=10)", "parameters", "memory at its peak"]),
        ("base, k", 0, ["let base = 8"]),
        ("stage_2", 0, ["stage: for width in"]),
        ("shape ==", 0, ["channels and spatial extents"]),
        ("optimizer", 0, ["how gradients change the weights"]),
        ("sgd(", 0, ["learning rate"]),
        ("lr=", 0, ["learning rate"]),
        ("stem.rate", 0, ["stem: Unit"]),
    ],
)
def test_hover(word: str, further: int, expected: list[str]) -> None:
    said = told(SMALL, word, further)
    for part in expected:
        assert part in said, said


@pytest.mark.parametrize("word", ["[3, 32", "-> concat", "# nothing"])
def test_signs_and_comments_say_nothing(word: str) -> None:
    assert told(SMALL + "# nothing\n", word) == ""


def test_words_of_arguments_are_explained() -> None:
    text = "network A {\n  input x: [3, 8, 8]\n  upsample(2, mode=linear)\n}\n"
    assert "how it interpolates" in told(text, "linear)")


# ------------------------------------------------------------------------------ completion


def offered(text: str) -> list[Completion]:
    """What is offered at the `|`."""
    offset = text.index("|")
    library, document = opened(text.replace("|", "", 1))
    return completions(library, document, offset)


def names(text: str) -> list[str]:
    return [one.label for one in offered(text)]


def inside(line: str) -> str:
    """A line in the network of the small file, after its labels."""
    return SMALL.replace("  expect stage_2.skip", f"  {line}\n  expect stage_2.skip", 1)


@pytest.mark.parametrize(
    ("line", "there", "not_there"),
    [
        ("|", ["conv", "Unit", "parallel", "expect", "from"], ["import", "same", "base"]),
        ("re|", ["relu", "repeat"], []),
        ("x: |", ["conv", "for"], []),
        ("conv(3, kernel=1) -> |", ["relu", "Unit", "repeat"], ["expect", "let"]),
        ("conv(|", ["channels=", "kernel=", "base", "min"], ["same"]),
        ("conv(8, |", ["kernel=", "padding="], ["channels="]),
        ("conv(8, kernel=3, |", ["padding="], ["channels=", "kernel="]),
        ("conv(8, kernel=3, padding=|", ["same", "base"], ["stride=", "kernel="]),
        ("conv(8, kernel=3, bias=|", ["true", "false"], []),
        ("upsample(2, mode=|", ["nearest", "linear", "cubic"], []),
        ("permute([|", ["channels", "width"], []),
        ("Unit(|", ["width=", "kernel=", "activation=", "base"], []),
        ("Unit(8, activation=|", ["relu", "gelu", "Unit"], ["width="]),
        ("max_unpool(|", ["stem", "stage"], ["Unit"]),
        ("from |", ["stem", "stage", "image", "input", "pair"], ["Unit", "relu", "conv"]),
        ("from stem, |", ["stage", "joined"], []),
        ("from pair.|", ["first", "second", "channels"], ["receptive_field", "macs"]),
        ("from stage_1.|", ["inner", "skip"], []),
        ("expect |", ["parameters", "macs", "stem", "sum"], ["conv", "stride"]),
        (
            "expect stem.|",
            ["receptive_field", "stride", "shape", "translation", "border", "macs", "memory"],
            [],
        ),
        ("expect training_peak(|", ["batch=", "precision=", "sum"], ["float16"]),
        ("expect training_peak(batch=64, precision=fl|", ["float16", "bfloat16"], ["batch="]),
        ("expect stem.translation == inv|", ["invariant", "equivariant", "none"], []),
        ("expect stem.stride == |", ["none", "stem"], ["invariant"]),
        ("parallel |", ["add", "concat", "multiply"], []),
        ("let half = |", ["base", "classes", "round"], ["conv"]),
        ("repeat |", ["base", "classes"], ["conv"]),
        ("output |", ["scores", "joined"], []),
        ("relu -> |", ["Unit", "Pair"], ["Small"]),
    ],
)
def test_completion_in_a_network(line: str, there: list[str], not_there: list[str]) -> None:
    found = names(inside(line))
    assert [name for name in there if name not in found] == []
    assert [name for name in not_there if name in found] == []


def test_completion_of_defaults() -> None:
    assert {"base", "relu", "min"} <= set(names(SMALL.replace("activation = relu", "activation = |", 1)))
    assert names(SMALL.replace("kernel = 3", "ker|", 1)) == []
    assert "slope=" in names(SMALL.replace("activation = relu", "activation = leaky_relu(|)", 1))
    assert "base" in names("let base = 3\nlet f(x) = min(|")


@pytest.mark.parametrize(
    "line", ["let |", "conv(3, kernel=1) |", "# co|", 'x: "a|"', "conv(8, 3|", "from stem |", "for |"]
)
def test_nothing_is_offered_where_nothing_fits(line: str) -> None:
    assert names(inside(line)) == []


def test_a_word_that_means_two_things_says_the_one_that_is_meant_here() -> None:
    """`depth` is a fact of a network, and the first extent of a volume."""

    def depth(line: str) -> str:
        return next(one.detail for one in offered(inside(line)) if one.label == "depth")

    assert "layers with weights" in depth("expect |") and "volume" in depth("expect stem.|")
    assert "layers with weights" in told(inside("expect depth > 3"), "depth >")


def test_a_peak_shows_what_it_takes() -> None:
    said = told(inside("expect training_peak(batch=64) < 3"), "training_peak(")
    for part in ("training_peak(batch=1, precision=float32)", "examples at once", "peak of a training step"):
        assert part in said


def test_what_stands_first_is_what_is_most_likely_meant() -> None:
    assert names(inside("conv(8, kernel=3, padding=|"))[0] == "same"
    assert names(inside("conv(|"))[:2] == ["channels=", "kernel="]
    assert names(inside("Unit(|"))[:3] == ["width=", "kernel=", "activation="]


def test_arguments_come_with_their_documentation_and_defaults() -> None:
    found = {one.label: one for one in offered(inside("conv(8, |"))}
    assert (
        "default 1" in found["stride="].documentation
        and "step of the window" in found["stride="].documentation
    )
    assert found["kernel="].detail
    assert {one.label: one for one in offered(inside("Unit(|"))}["kernel="].detail == "default 3"


def test_every_layer_is_offered_with_its_signature() -> None:
    found = {one.label: one for one in offered(inside("|"))}
    assert set(LAYERS) <= set(found)
    assert found["max_pool"].detail.startswith("max_pool(kernel") and found["max_pool"].documentation


@pytest.mark.parametrize(
    ("setting", "there", "not_there"),
    [
        ("|", ["schedule", "augment", "stem", "scores"], ["loss", "batch", "data"]),
        ("schedule = |", ["cosine", "warm_up"], ["sgd"]),
        ("schedule = warm_up(epochs=5) -> |", ["cosine"], []),
        ("schedule = warm_up(|", ["epochs=", "steps="], []),
        ("precision = |", ["bfloat16", "float32"], ["cosine"]),
        ("initialize = |", ["he"], []),
        ("head.|", ["rate", "initialize"], ["loss"]),
    ],
)
def test_completion_in_a_recipe(setting: str, there: list[str], not_there: list[str]) -> None:
    found = names(SMALL.replace("  stem.rate = 0\n", f"  {setting}\n"))
    assert [name for name in there if name not in found] == []
    assert [name for name in not_there if name in found] == []


def test_every_key_is_offered_with_what_it_is_for() -> None:
    found = {one.label: one for one in offered("network A {\n  input x: [3]\n}\ntrain {\n  |\n}\n")}
    assert {name: key.documentation for name, key in KEYS.items()} == {
        name: found[name].detail for name in KEYS
    }


def test_completion_at_the_top_and_of_imports(tmp_path: Path) -> None:
    (tmp_path / "mine.arch").write_text("block Mine(width) {\n  conv(width, kernel=1)\n}\nlet a = 1\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.txt").write_text("")

    def at(text: str) -> list[str]:
        library, document = opened(text.replace("|", "", 1), str(tmp_path / "a.arch"))
        return [one.label for one in completions(library, document, text.index("|"))]

    assert at("|") == ["network", "block", "train", "import", "let"]
    assert at('import Mine from "|"')[:2] == ["mine.arch", "folder/"]
    assert "blocks.arch" in at('import Mine from "|')
    assert '"mine.arch"' in at("import Mine from |")
    assert at('import | from "mine.arch"') == ["Mine"]
    assert "SeparableConv" in at("import |")


# ------------------------------------------------------------------------------ signatures


@pytest.mark.parametrize(
    ("line", "text", "active"),
    [
        ("conv(|", "conv(channels, kernel", "channels"),
        ("conv(8, |", "conv(channels, kernel", "kernel"),
        ("conv(8, 3|", "conv(channels, kernel", "kernel"),
        ("conv(8, 3, padding=[1, |", "conv(channels, kernel", "padding"),
        ("Unit(8, activation=relu|", "Unit(width, kernel=3, activation=relu)", "activation"),
        ("conv(max(1, |", "max(values, ...)", None),
        ("concat(stem, |", "concat(..., axis=channels)", None),
        ("expect training_peak(64, |", "training_peak(batch=1, precision=float32)", "precision"),
    ],
)
def test_signature_help(line: str, text: str, active: str | None) -> None:
    whole = inside(line)
    library, document = opened(whole.replace("|", "", 1))
    found = signature_help(library, document, whole.index("|"))
    assert found is not None and found.text.startswith(text)
    if active is None:
        assert found.active is None
    else:
        assert found.active is not None
        start, end = found.parameters[found.active][0]
        assert found.text[start:end] == active


@pytest.mark.parametrize("line", ["|", "conv(3, kernel=1)|", "conv(3, kernel=1) -> |", "let f(x|"])
def test_no_signature_outside_of_parentheses(line: str) -> None:
    whole = inside(line)
    library, document = opened(whole.replace("|", "", 1))
    assert signature_help(library, document, whole.index("|")) is None


# ------------------------------------------------------------------------------ names


def spans(text: str, places: list[navigation.Place]) -> list[tuple[int, str]]:
    return sorted((text[: p.start].count("\n") + 1, text[p.start : p.end]) for p in places)


@pytest.mark.parametrize(
    ("word", "further", "line"),
    [
        ("Unit(base", 0, 4),
        ("base, kernel", 0, 1),
        ("kernel // 2", 0, 4),
        ("kernel=7", 0, 4),
        ("activation\n", 0, 4),
        ("width) -> max", 0, 17),
        ("stage_2.skip", 0, 17),
        ("stage_2.skip", 8, 19),
        ("pair.first", 0, 21),
        ("pair.first", 5, 9),
        ("classes)\n", 0, 14),
        ("stem.rate", 0, 16),
        ("first, second\n}", 0, 9),
    ],
)
def test_definition(word: str, further: int, line: int) -> None:
    library, document = opened(SMALL)
    found = navigation.definition(library, document, offset_of(SMALL, word, further))
    assert found is not None
    assert SMALL[: found.start].count("\n") + 1 == line


@pytest.mark.parametrize("word", ["relu)", "conv(width, kernel,", "same", "[3, 32"])
def test_layers_and_words_are_defined_nowhere(word: str) -> None:
    text = SMALL.replace("kernel // 2", "same", 1)
    library, document = opened(text)
    assert navigation.definition(library, document, offset_of(text, word)) is None


def test_references_of_each_kind() -> None:
    library, document = opened(SMALL)

    def of(word: str, declared: bool = True) -> list[tuple[int, str]]:
        return spans(SMALL, navigation.references(library, document, offset_of(SMALL, word), declared))

    assert of("Unit(width, k") == [(n, "Unit") for n in (4, 9, 10, 16, 18)]
    assert of("Unit(width, k", declared=False) == [(n, "Unit") for n in (9, 10, 16, 18)]
    assert of("base = 8") == [(n, "base") for n in (1, 16, 21)]
    assert of("stage: for") == [(17, "stage"), (25, "stage")]
    assert of("first: Unit") == [(9, "first"), (11, "first"), (22, "first")]
    assert of("kernel = 3") == [(4, "kernel"), (5, "kernel"), (5, "kernel"), (10, "kernel"), (16, "kernel")]
    assert of("stem: Unit") == [(16, "stem"), (34, "stem")]


def test_a_name_in_a_chain_is_a_layer_before_it_is_a_label() -> None:
    text = (
        "network A {\n  input x: [3, 8, 8]\n  relu: conv(3, kernel=1)\n"
        "  conv(3, kernel=1) -> relu\n  add(relu)\n}\n"
    )
    library, document = opened(text)
    assert spans(text, navigation.references(library, document, offset_of(text, "relu: "))) == [
        (3, "relu"),
        (5, "relu"),
    ]


def test_an_inner_name_hides_an_outer_one() -> None:
    text = (
        "let n = 4\nnetwork A {\n  input x: [3, 8, 8]\n  a: for n in [1, 2] {\n    conv(n, kernel=1)\n  }\n"
        "  conv(n, kernel=1)\n}\n"
    )
    library, document = opened(text)
    assert spans(text, navigation.references(library, document, 4)) == [(1, "n"), (7, "n")]


def test_renaming_changes_every_place_and_keeps_the_meaning() -> None:
    library, document = opened(SMALL)
    places = navigation.renamed(library, document, offset_of(SMALL, "stage: for"), "floor_of")
    text = SMALL
    for place in sorted(places, key=lambda p: -p.start):
        text = text[: place.start] + "floor_of" + text[place.end :]
    assert "floor_of: for" in text and "floor_of_2.skip" in text and "stage" not in text
    assert [d.name for d in checked(text).diagnostics] == [d.name for d in checked(SMALL).diagnostics]


def test_a_word_that_is_compared_with_an_answer_is_no_name() -> None:
    text = (
        "network A {\n  input x: [3, 8, 8]\n  invariant: conv(2, kernel=1)\n"
        "  expect [invariant.translation] != [invariant] and invariant.shift == 1\n}\n"
    )
    library, document = opened(text)
    places = navigation.renamed(library, document, offset_of(text, "invariant: conv"), "maps")
    for place in sorted(places, key=lambda p: -p.start):
        text = text[: place.start] + "maps" + text[place.end :]
    assert "  expect [maps.translation] != [invariant] and maps.shift == 1\n" in text
    assert checked(text).diagnostics == []


@pytest.mark.parametrize(
    ("word", "new", "why"),
    [
        ("stem: Unit", "joined", "taken"),
        ("stem: Unit", "Unit", "taken"),
        ("stem: Unit", "repeat", "no name"),
        ("stem: Unit", "2nd", "no name"),
        ("stem: Unit", "größe", "no name"),
        ("stem: Unit", "N", "kept"),
        ("Unit(width, k", "Pair", "taken"),
        ("Unit(width, k", "stem", "taken"),
        ("Unit(width, k", "relu", "would hide"),
        ("relu)", "gelu2", "nothing that a file defines"),
        ("[3, 32", "x", "nothing that a file defines"),
    ],
)
def test_names_that_cannot_be_given(word: str, new: str, why: str) -> None:
    library, document = opened(SMALL)
    with pytest.raises(navigation.Refused, match=why):
        navigation.renamed(library, document, offset_of(SMALL, word), new)


def test_renaming_a_block_follows_recipes_that_count_its_uses() -> None:
    """`U_1` is the first use of U without a label, in a network and inside what has one."""
    text = (
        "block U(n) {\n  conv(n, kernel=1)\n}\nblock Outer {\n  U(4) -> U(4)\n}\n"
        "network A {\n  input x: [3, 8, 8]\n  U(4) -> Outer\n  named: Outer\n}\n"
        "train {\n  U_1.rate = 0\n  Outer_1.U_2.rate = 0\n  named.U_2.rate = 0\n}\n"
    )
    library, document = opened(text)
    places = navigation.renamed(library, document, offset_of(text, "U(n)"), "V")
    for place in sorted(places, key=lambda p: -p.start):
        text = text[: place.start] + "V" + text[place.end :]
    assert "  V_1.rate = 0\n  Outer_1.V_2.rate = 0\n  named.V_2.rate = 0\n" in text
    assert "U" not in text
    assert not [d for d in checked(text).diagnostics if d.name == "unknown-part"]


def test_names_across_files(tmp_path: Path) -> None:
    blocks = "block Unit(width) {\n  inner: conv(width, kernel=1)\n}\n"
    user = (
        'import Unit from "mine.arch"\nnetwork A {\n  input x: [3, 8, 8]\n  a: Unit(width=4)\n'
        "  from a.inner -> relu\n}\n"
    )
    (tmp_path / "mine.arch").write_text(blocks)
    (tmp_path / "user.arch").write_text(user)
    # What nobody wrote is passed by.
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "user.arch").write_text(user)
    (tmp_path / "else.arch").write_text("block Unit(width) {\n  conv(width, kernel=1)\n}\n")
    library = Library()
    document = Document(str(tmp_path / "user.arch"), user)
    library.put(document)
    found = navigation.definition(library, document, offset_of(user, "Unit(width"))
    assert found == navigation.Place(str(tmp_path / "mine.arch"), 6, 10)
    inner = navigation.definition(library, document, offset_of(user, "a.inner", 2))
    assert inner == navigation.Place(
        str(tmp_path / "mine.arch"), blocks.index("inner"), blocks.index("inner") + 5
    )
    file = navigation.definition(library, document, offset_of(user, "mine.arch"))
    assert file == navigation.Place(str(tmp_path / "mine.arch"), 0, 0)
    places = navigation.renamed(library, document, offset_of(user, "Unit(width"), "Cell")
    by_file = {Path(p.name).name for p in places}
    assert by_file == {"mine.arch", "user.arch"} and len(places) == 3
    # From the other side, too: the file that imports it need not be open.
    library.close(document.name)
    other = library.document(str(tmp_path / "mine.arch"))
    assert other is not None
    found_again = navigation.references(library, other, 6)
    assert {p.name for p in found_again} == {str(tmp_path / name) for name in by_file}
    width = navigation.references(library, other, blocks.index("width"))
    assert sorted(Path(p.name).name for p in width) == ["mine.arch", "mine.arch", "user.arch"]


def test_what_comes_with_the_package_is_not_renamed() -> None:
    text = (
        'import SeparableConv from "blocks.arch"\nnetwork A {\n  input x: [3, 8, 8]\n  SeparableConv(4)\n}\n'
    )
    library, document = opened(text)
    with pytest.raises(navigation.Refused, match="comes with archdsl"):
        navigation.renamed(library, document, offset_of(text, "SeparableConv(4"), "Other")
    found = navigation.definition(library, document, offset_of(text, "SeparableConv(4"))
    assert found is not None and Path(found.name).is_file()


def test_imports_are_read_from_what_is_open(tmp_path: Path) -> None:
    (tmp_path / "mine.arch").write_text("block Unit {\n  conv(4, kernel=1)\n}\n")
    user = 'import Unit from "mine.arch"\nnetwork A {\n  input x: [3, 8, 8]\n  Unit\n}\n'
    library = Library()
    document = Document(str(tmp_path / "user.arch"), user)
    library.put(document)
    checker = Checker(library)
    assert hints(checker.check(document))[0].text == "4 × 8 × 8"
    library.put(Document(str(tmp_path / "mine.arch"), "block Unit {\n  conv(5, kernel=3)\n}\n"))
    assert hints(checker.check(document))[0].text == "5 × 6 × 6"
    library.close(str(tmp_path / "mine.arch"))
    assert hints(checker.check(document))[0].text == "4 × 8 × 8"
    (tmp_path / "mine.arch").unlink()
    assert [d.name for d in checker.check(document).diagnostics] == ["import-not-found"]


def test_the_bundled_file_of_a_files_own_name_is_another(tmp_path: Path) -> None:
    text = 'import Stem from "resnet.arch"\nnetwork A {\n  input x: [3, 64, 64]\n  Stem\n}\n'
    (tmp_path / "resnet.arch").write_text(text)
    library = Library()
    document = Document(str(tmp_path / "resnet.arch"), text)
    library.put(document)
    assert not Checker(library).check(document).diagnostics
    found = navigation.definition(library, document, offset_of(text, "Stem\n"))
    assert found is not None and found.name != document.name and Path(found.name).is_file()


def test_what_an_import_imports_is_followed(tmp_path: Path) -> None:
    """A file that is changed behind another: its names are found where they stand now."""
    (tmp_path / "far.arch").write_text("block Far {\n  relu\n}\n")
    (tmp_path / "near.arch").write_text('import Far from "far.arch"\n')
    text = 'import Far from "near.arch"\nnetwork A {\n  input x: [3]\n  Far\n}\n'
    library = Library()
    document = Document(str(tmp_path / "a.arch"), text)
    library.put(document)
    found = navigation.definition(library, document, offset_of(text, "Far\n"))
    assert found == navigation.Place(str(tmp_path / "far.arch"), 6, 9)
    library.put(Document(str(tmp_path / "far.arch"), "\n\nblock Far {\n  relu\n}\n"))
    found = navigation.definition(library, document, offset_of(text, "Far\n"))
    assert found == navigation.Place(str(tmp_path / "far.arch"), 8, 11)
    assert Checker(library).check(document).loaded >= {str(tmp_path / "far.arch")}


def test_files_that_import_each_other_in_a_circle_have_names_all_the_same(tmp_path: Path) -> None:
    one = 'import B from "two.arch"\nblock A {\n  B\n}\n'
    two = 'import A from "one.arch"\nblock B {\n  A\n}\n'
    (tmp_path / "one.arch").write_text(one)
    (tmp_path / "two.arch").write_text(two)
    library = Library()
    document = Document(str(tmp_path / "one.arch"), one)
    library.put(document)
    found = navigation.definition(library, document, offset_of(one, "B\n}"))
    assert found is not None and found.name.endswith("two.arch")
    assert [d.name for d in Checker(library).check(document).foreign] == ["import-cycle"]


def test_no_python_is_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    text = 'import own_layer from "own.py"\nnetwork A {\n  input x: [3]\n  own_layer\n}\n'
    library = Library()
    document = Document(str(tmp_path / "a.arch"), text)
    library.put(document)
    assert [d.name for d in Checker(library).check(document).diagnostics] == ["python-not-allowed"]
    everything(library, document, random.Random(1))
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------------------ outline


def test_symbols() -> None:
    library, document = opened(SMALL)

    def outline(found: list[navigation.Symbol]) -> list[object]:
        return [(one.name, outline(list(one.children))) if one.children else one.name for one in found]

    assert outline(navigation.symbols(library, document)) == [
        "base",
        "Unit",
        ("Pair", ["first", "second"]),
        ("Small", ["image", "stem", ("stage", ["inner", "skip"]), "pair", "joined", "scores"]),
        "train",
    ]
    for one in navigation.symbols(library, document):
        assert one.start <= one.name_start <= one.name_end <= one.end


def test_folds() -> None:
    text = "# one\n# two\n\nnetwork A {\n  input x: [\n    3,\n    8,\n  ]\n  a: {\n    relu\n  }\n}\n"
    found = [(f.first, f.last, f.comment) for f in navigation.folds(opened(text)[1])]
    assert found == [(1, 2, True), (4, 11, False), (5, 7, False), (9, 10, False)]


# ------------------------------------------------------------------------------ any text


def everything(library: Library, document: Document, chance: random.Random) -> None:
    """All that an editor may ask of a document, at places by chance."""
    text = document.text
    check = Checker(library).check(document)
    for diagnostic in (*check.diagnostics, *check.foreign):
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(diagnostic.span.source.text)
    for hint in hints(check, Wanted(parameters=True, receptive_field=True)):
        assert 0 <= hint.offset <= len(text)
    for _ in range(6):
        offset = chance.randrange(len(text) + 1)
        for one in completions(library, document, offset):
            assert one.start <= offset
        signature_help(library, document, offset)
        found = hover(library, document, offset, check)
        assert found is None or (found.start <= offset <= found.end and found.text)
        navigation.definition(library, document, offset)
        navigation.references(library, document, offset, folders=False)
        navigation.highlights(library, document, offset)
    for symbol in navigation.symbols(library, document):
        assert 0 <= symbol.start <= symbol.name_start <= symbol.name_end <= symbol.end <= len(text)
    for mend in mends(document, check.diagnostics, 0, len(text)):
        assert mend.title and 0 <= mend.edit.span.start <= mend.edit.span.end <= len(text)
    for fold in navigation.folds(document):
        assert 1 <= fold.first < fold.last <= document.source.line_count


SCRAPS = [
    *'(){}[]:=.,"#\n\r',
    "->",
    "conv(",
    "from ",
    "if x {",
    "repeat 3 {",
    "let x = ",
    "network X {",
    "block Y(a = 3) {",
    "input",
    'import A from "',
    "train {",
    "\r\n",
    "\U0001f600",
    "\u2028",
    "\ud800",
    "\x00",
    "10**9",
]


def broken(text: str, chance: random.Random) -> str:
    """A text after a few edits by chance."""
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + text[at + chance.randrange(30) :]
            case 2:
                text = text[:at] + chance.choice(SCRAPS) + text[at:]
            case _:
                other = chance.randrange(len(text) + 1)
                text = text[:at] + text[other : other + 20] + text[at:]
    return text


@pytest.mark.parametrize("seed", range(30))
def test_no_text_is_too_broken(seed: int) -> None:
    """Bundled files and programs by chance, cut and mixed up: nothing fails, and errors are the file's."""
    chance = random.Random(seed)
    source = bundled(chance.choice(bundled_names()))
    assert source is not None
    text = broken(source.text if seed % 3 else Program(seed).text(), chance)
    library, document = opened(text, "/nowhere/broken.arch")
    everything(library, document, chance)
    errors = {
        (d.name, d.span.start) for d in Checker(library).check(document).diagnostics if d.severity == "error"
    }
    said = check_file(Source(document.name, text)).diagnostics
    own = (d for d in said if d.severity == "error" and d.span.source.name == document.name)
    assert errors == {(d.name, d.span.start) for d in own}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "x" * 200_000,
        "network A {\n  input x: [3]\n  " + "relu -> " * 3_000 + "relu\n}",
        "network A {\n  input x: [3]\n  " + "if true { relu } else " * 300 + "{ relu }\n}",
        "network A {\n  input x: [3]\n  " + "{ " * 400,
        "block A { B }\nblock B { A }\nnetwork C {\n  input x: [3]\n  A\n}",
        "network A {\n  input x: [3]\n  a: b\n  b: a\n  from a.b.a.b -> relu\n  c: from c\n}",
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("\n", "\r"),
        "\ufeff" + SMALL,
    ],
)
def test_odd_texts(text: str) -> None:
    everything(*opened(text), random.Random(0))


@pytest.mark.parametrize("name", bundled_names())
def test_everything_can_be_renamed_at_once(name: str) -> None:
    """Every definition of a bundled file under another name, wherever it is meant: the same is meant."""
    source = bundled(name)
    assert source is not None
    library, document = opened(source.text, path_of(name))
    new: dict[tuple[int, int], str] = {}
    for number, definition in enumerate(library.index(document).definitions):
        if definition.what == "import":
            continue
        fresh = f"fresh_{number}_of" if definition.what != "parameter" else f"fresh_{number}"
        found = navigation.references(library, document, definition.span.start, folders=False)
        for place in found:
            assert place.name == document.name
            assert new.setdefault((place.start, place.end), fresh) == fresh
    text = source.text
    for (start, end), fresh in sorted(new.items(), reverse=True):
        text = text[:start] + fresh + text[end:]
    before = Checker(library).check(document)
    after = Checker(library).check(Document(document.name, text))
    assert [d.name for d in after.diagnostics if d.severity == "error"] == []
    assert sorted(map(str, after.totals.values())) == sorted(map(str, before.totals.values()))
