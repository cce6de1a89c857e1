"""A user's own layers: Python beside the file, run only where that is allowed, and like any layer then."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from layer_harness import Lowered, check_saved

import archdsl
from archdsl.checking import check_file
from archdsl.cli.main import archdsl as command
from archdsl.cli.main import run as run_command
from archdsl.cli.targets import Target
from archdsl.cli.train import _Words
from archdsl.compiler.own import Broken, layers_of
from archdsl.layers import LAYERS
from archdsl.layers.shapes import Shape
from archdsl.problems import CATALOGUE
from archdsl.project import MAX_BYTES
from archdsl.source import Source

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "adding-a-layer.md").read_text(encoding="utf-8")
SQUARED = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
"""The squared ReLU of the page about layers."""

NETWORK = """import squared_relu from "my_layers.py"

block Unit(features, activation = squared_relu) {
  linear(features) -> activation
}

network Digits(classes = 10) {
  input image: [1, 8, 8]
  first: conv(8, kernel=3, padding=1) -> squared_relu(scale=0.5) -> max_pool(2)
  flatten
  repeat 2 { Unit(32) }
  Unit(32, activation=squared_relu(scale=2))
  logits: linear(classes)
}

train {
  data         = digits
  loss         = cross_entropy
  optimizer    = adam(lr=0.003)
  batch        = 50
  steps        = 20
  measurements = 2
}
"""

LEARNED = '''
from archdsl.layers.layer import Layer, Buffer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach


class ChannelScale(Layer):
    """Each channel times a number that is learned."""

    source = """
    class Scaled(nn.Module):
        def __init__(self, channels: int, axes: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(channels, *[1] * axes))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight
    """

    def shape(self, x):
        return x

    def weights(self, x):
        return {"weight": Shape((x.channels, *[1] * x.axes))}

    def buffers(self, x):
        return {}

    def macs(self, x):
        return 0

    def flops(self, x):
        return x.count

    def saved(self, x):
        return Saved(floats=x.count)

    def reads(self, x):
        return (Reach.POINT,)

    def build(self, nn, x):
        return Code("Scaled")(x.channels, x.axes)

    def forward(self, torch, module, values, xs):
        return module(values[0])
'''

PLAIN = '''
from archdsl.layers.activation import Relu
from archdsl.layers.arguments import Kind, argument
from archdsl.layers.layer import Buffer, Saved
from archdsl.layers.recorder import Code
from archdsl.layers.shapes import Shape
from archdsl.layers.stencils import Reach, Stencil
from archdsl.problems import Fault, Problem


class Odd(Relu):
    """A rectified linear unit, but for one thing."""

    {}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a network of a layer of its own."""
    (tmp_path / "my_layers.py").write_text(SQUARED)
    (tmp_path / "digits.arch").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


def hostile(folder: Path, file: str = "my_layers.py") -> None:
    """Let a file leave a trace where it is run; what was run before has another content."""
    trace = folder / "was-run"
    (folder / file).write_text(f"open({str(trace)!r}, 'w').close()\n{SQUARED}")


def odd(text: str) -> archdsl.Net:
    """A network of the layer `odd`, whose class has this text in it."""
    Path("odd.py").write_text(PLAIN.format(text.replace("\n", "\n    ")))
    program = 'import odd from "odd.py"\nnetwork Small {\n  input x: [4, 6]\n  one: odd\n}\n'
    return archdsl.loads(program, "small.arch", allow_python=True)


def refused(make: Callable[[], object]) -> archdsl.Diagnostic:
    """The one thing that is said against what `make` makes."""
    with pytest.raises(archdsl.ArchError) as caught:
        make()
    (found,) = caught.value.diagnostics
    assert found.help
    return found


# ------------------------------------------------------------------------------ nothing runs by itself


def commands(file: str) -> list[list[str]]:
    return [
        ["analyze", file],
        ["analyze", file, "--json"],
        ["check", file],
        ["export", file, "--to", "torch"],
        ["export", file, "--to", "onnx"],
        ["train", file, "--out", "run"],
        ["train", file, "--explain"],
        ["train", file, "--resume", "--out", "run"],
        ["layers", "--from", "my_layers.py"],
        ["layers", "squared_relu", "--from", "my_layers.py"],
    ]


@pytest.mark.parametrize("arguments", commands("digits.arch"), ids=" ".join)
def test_a_hostile_file_does_nothing_unless_it_is_allowed(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    hostile(folder)
    done = run_command(arguments)
    assert done == 1
    assert "error[python-not-allowed]" in "".join(capsys.readouterr())
    assert sorted(path.name for path in folder.iterdir()) == ["digits.arch", "my_layers.py"]


@pytest.mark.parametrize("text", [NETWORK, NETWORK.replace("my_layers.py", "./my_layers.py")])
def test_loading_runs_nothing_unless_it_is_allowed(folder: Path, text: str) -> None:
    hostile(folder)
    (folder / "digits.arch").write_text(text)
    for load in (lambda: archdsl.load("digits.arch"), lambda: archdsl.loads(text)):
        found = refused(load)
        assert (found.name, found.span.line) == ("python-not-allowed", 1)
        assert "my_layers.py" in found.span.text
    assert [d.name for d in check_file(Source("digits.arch", text)).diagnostics] == ["python-not-allowed"]
    assert not (folder / "was-run").exists()
    archdsl.load("digits.arch", allow_python=True)
    assert (folder / "was-run").exists()
    assert refused(lambda: archdsl.load("digits.arch")).name == "python-not-allowed"


def test_a_run_of_someone_else_does_nothing_unless_it_is_allowed(folder: Path) -> None:
    assert run("train", "digits.arch", "--allow-python", "--out", "run").return_value == 0
    hostile(folder, "run/my_layers.py")
    np.save("x.npy", np.zeros((1, 8, 8)))
    for arguments in (["evaluate", "run"], ["predict", "run", "x.npy"], ["export", "run", "--to", "torch"]):
        done = run(*arguments)
        assert done.return_value == 1
        assert "error[python-not-allowed]" in done.output
        assert not (folder / "was-run").exists()
    assert run("predict", "run", "x.npy", "--allow-python").return_value == 0
    assert (folder / "was-run").exists()


def test_python_is_found_where_files_of_the_language_are(folder: Path) -> None:
    (folder / "inner").mkdir()
    hostile(folder, "../outside.py")
    (folder / "inner/link.py").symlink_to(folder.parent / "outside.py")
    (folder / "large.py").write_text("#" * (MAX_BYTES + 1))
    (folder / "latin.py").write_bytes(b"# \xe9")
    for path, name in {
        "../outside.py": "import-outside",
        str(folder.parent / "outside.py"): "import-outside",
        "inner/link.py": "import-outside",
        "inner": "import-not-found",
        "my_layer.py": "import-not-found",
        "large.py": "import-not-found",
        "latin.py": "import-not-found",
        "alexnet.py": "import-not-found",
        ".py": "import-not-found",
    }.items():
        program = f'import squared_relu from "{path}"\nnetwork Small {{ input x: [4]\n squared_relu }}\n'
        with pytest.raises(archdsl.ArchError) as caught:
            archdsl.loads(program, allow_python=True)
        (found,) = caught.value.diagnostics
        assert (found.name, found.span.text) == (name, f'"{path}"')
    assert not (folder / "was-run").exists()


# ------------------------------------------------------------------------------ all that layers have


def test_it_is_analysed_like_a_layer_of_the_language(folder: Path) -> None:
    own = archdsl.load("digits.arch", allow_python=True).report().to_dict()
    text = re.sub(r"^import.*\n", "", NETWORK).replace("squared_relu", "elu").replace("scale", "alpha")
    text = re.sub(r"elu\(alpha=[\d.]+\)", "elu", text)
    built_in = archdsl.loads(text).report().to_dict()
    for one, other in zip(own["layers"], built_in["layers"], strict=True):
        if one["kind"] == "squared_relu":
            assert one["flops"] == 3 * int(np.prod(one["shape"]))
            one, other = ({**layer, "kind": "", "flops": 0} for layer in (one, other))
            one["name"] = one["name"].replace("squared_relu", "elu")
        keep = ("name", "shape", "parameters", "receptive_field", "equivariance", "activation_bytes")
        assert [one[key] for key in keep] == [other[key] for key in keep]
    assert own["totals"]["parameters"] == built_in["totals"]["parameters"]
    assert own["totals"]["forward_peak_bytes"] == built_in["totals"]["forward_peak_bytes"]
    assert own["layers"][1]["name"] == "first.squared_relu"


def test_it_computes_what_torch_does_and_keeps_what_it_says(folder: Path) -> None:
    net = archdsl.load("digits.arch", allow_python=True)
    model = net.build()
    x = torch.randn(3, 1, 8, 8)
    state = dict(model.state_dict())
    F = torch.nn.functional
    y = F.conv2d(x, state["first.conv.weight"], state["first.conv.bias"], padding=1)
    y = F.max_pool2d(F.relu(y) ** 2 * 0.5, 2).flatten(1)
    for unit, scale in (("Unit_1", 1.0), ("Unit_2", 1.0), ("Unit_3", 2.0)):
        y = F.linear(y, state[f"{unit}.linear_1.weight"], state[f"{unit}.linear_1.bias"])
        y = F.relu(y) ** 2 * scale
    y = F.linear(y, state["logits.weight"], state["logits.bias"])
    torch.testing.assert_close(model(x), y)
    layer = next(node.layer for node in net.network.nodes if node.kind == "squared_relu")
    check_saved(layer, Lowered(layer, Shape((4, 5))), torch.randn(2, 4, 5))


def test_open_sizes(folder: Path) -> None:
    program = (
        'import squared_relu from "my_layers.py"\n'
        "network Open { input x: [3, H, W]\n conv(4, kernel=3) -> squared_relu }\n"
    )
    net = archdsl.loads(program, allow_python=True)
    last = net.report().to_dict()["layers"][-1]
    assert (last["shape"], last["flops"]) == ([4, "H - 2", "W - 2"], "12*H*W - 24*H - 24*W + 48")
    given = archdsl.loads(program, sizes={"H": 8, "W": 9}, allow_python=True)
    assert given.report().to_dict()["layers"][-1]["flops"] == 3 * 4 * 6 * 7
    assert net.build()(torch.randn(1, 3, 5, 7)).shape == (1, 4, 3, 5)


def test_its_arguments_are_checked(folder: Path) -> None:
    for use, name in {
        "squared_relu(scale=0)": "bad-argument",
        "squared_relu(slope=1)": "unknown-argument",
        "squared_relu(1, 2)": "extra-argument",
        "from x, x -> squared_relu": "input-count",
        "square_relu": "unknown-layer",
        "squared_relu(scale=x)": "bad-argument",
    }.items():
        program = f'import squared_relu from "my_layers.py"\nnetwork Small {{ input x: [4]\n {use} }}\n'
        with pytest.raises(archdsl.ArchError) as caught:
            archdsl.loads(program, allow_python=True)
        assert [d.name for d in caught.value.diagnostics] == [name]


def test_exported_source_runs_alone(folder: Path) -> None:
    (folder / "learned.py").write_text(LEARNED)
    (folder / "digits.arch").write_text(
        'import channel_scale from "learned.py"\n'
        + NETWORK.replace("-> max_pool(2)", "-> channel_scale -> max_pool(2) -> channel_scale")
    )
    out = ["--to", "torch", "--allow-python", "-o", "exported.py"]
    assert run("export", "digits.arch", *out).return_value == 0
    for path in ("learned.py", "my_layers.py", "digits.arch"):
        (folder / path).unlink()
    program = "import runpy, sys; sys.modules['archdsl'] = None; runpy.run_path(sys.argv[1], {}, '__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program, "exported.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "logits: [1, 10]"
    assert (folder / "exported.py").read_text().count("class Scaled(") == 1


def test_the_onnx_graph(folder: Path) -> None:
    done = run("export", "digits.arch", "--to", "onnx", "--allow-python", "-o", "net.onnx")
    assert done.return_value == 0, done.output
    assert "onnxruntime computes what torch does" in done.output


def test_analyze_check_and_layers(folder: Path) -> None:
    done = run("analyze", "digits.arch", "--json", "--allow-python")
    kinds = [layer["kind"] for layer in json.loads(done.stdout)["layers"]]
    assert kinds.count("squared_relu") == 4
    assert run("check", "digits.arch", "--allow-python").return_value == 0
    listed = run("layers", "--from", "my_layers.py", "--allow-python").output
    assert listed == "squared_relu  The square of a rectified linear unit\n"
    page = run("layers", "squared_relu", "--from", "my_layers.py", "--allow-python", "--rules").output
    assert page.startswith("squared_relu(scale=1)\n")
    assert "what the square is multiplied by: a number above 0" in page
    assert "return torch.F.relu(values[0]).square() * self.scale" in page
    assert "So et al., Primer" in page


def test_layers_from_files_that_give_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "raises.py").write_text("x = 1\nnothing\n")
    assert run_command(["layers", "--from", "raises.py", "--allow-python"]) == 1
    said = capsys.readouterr().err
    assert said.startswith('error[import-raised]: "raises.py" ended in NameError')
    assert " 2 | nothing\n" in said
    assert run_command(["layers", "square", "--from", "my_layers.py", "--allow-python"]) == 2
    assert "there is no layer 'square'; did you mean squared_relu?" in capsys.readouterr().err
    assert run_command(["layers", "--from", "missing.py", "--allow-python"]) == 2
    assert run_command(["layers", "squared_relu"]) == 2


# ------------------------------------------------------------------------------ training


def test_a_run_keeps_the_layer_it_was_trained_with(folder: Path) -> None:
    done = run("train", "digits.arch", "--allow-python", "--out", "run", "--set", "train.steps=300")
    assert done.return_value == 0, done.output
    assert (folder / "run/my_layers.py").read_text() == SQUARED
    (folder / "my_layers.py").unlink()
    (folder / "digits.arch").unlink()
    scored = json.loads(run("evaluate", "run", "--json", "--allow-python").stdout)
    assert scored["metrics"]["error"] < 0.3
    np.save("x.npy", np.zeros((1, 8, 8)))
    said = json.loads(run("predict", "run", "x.npy", "--json", "--allow-python").stdout)
    assert len(said["said"][0]["classes"]) == 10
    assert run("export", "run", "--to", "torch", "--allow-python").return_value == 0


def test_a_run_goes_on_with_the_layer_it_began_with(folder: Path) -> None:
    written = SQUARED.replace("\n", "\r\n").encode()
    (folder / "my_layers.py").write_bytes(written)
    out = ["--allow-python", "--out", "run"]
    assert run("train", "digits.arch", *out).return_value == 0
    again = run("train", "digits.arch", *out, "--resume")
    assert again.return_value == 0, again.output
    moved = run("train", "run/network.arch", *out, "--resume")
    assert moved.return_value == 0, moved.output
    (folder / "run/my_layers.py").write_bytes(b"\xe9")
    assert run("train", "digits.arch", *out, "--resume").return_value == 1
    (folder / "run/my_layers.py").write_bytes(written)
    (folder / "my_layers.py").write_text(SQUARED.replace(".square()", ".pow(3)"))
    other = run("train", "digits.arch", *out, "--resume")
    assert other.return_value == 1
    assert "the file has changed since the run in run began; as it was it is run/my_layers.py" in other.output


def test_a_run_goes_on_with_the_blocks_it_began_with(folder: Path) -> None:
    (folder / "parts.arch").write_text("block Part { linear(32) -> relu }  # one\n")
    text = 'import Part from "parts.arch"\n' + NETWORK.replace("repeat 2 { Unit(32) }", "Part")
    (folder / "digits.arch").write_text(text)
    out = ["--allow-python", "--out", "run"]
    assert run("train", "digits.arch", *out).return_value == 0
    (folder / "parts.arch").write_text("block Part { linear(32) -> relu }  # another remark\n")
    assert run("train", "digits.arch", *out, "--resume").return_value == 0
    (folder / "parts.arch").write_text("block Part { linear(33) -> relu }\n")
    other = run("train", "digits.arch", *out, "--resume")
    assert other.return_value == 1
    assert "as it was it is run/parts.arch" in other.output


def test_the_command_that_goes_on_allows_what_the_first_did() -> None:
    words = _Words(Target(Source("digits.arch", ""), None), (), (), (), True, False, False, "cuda")
    assert words.resume(Path("run"), 1) == "archdsl train run --allow-python --device cuda --resume"


# ------------------------------------------------------------------------------ who sees which layers


def test_a_file_sees_the_layers_it_imports_and_no_other(folder: Path) -> None:
    before = dict(LAYERS)
    archdsl.load("digits.arch", allow_python=True)
    exec(SQUARED, {"__name__": "somewhere"})
    assert before == LAYERS
    program = "network Small { input x: [4]\n squared_relu }\n"
    assert refused_name(program) == ["unknown-layer"]
    (folder / "parts.arch").write_text(
        'import squared_relu from "my_layers.py"\nblock Part { squared_relu(scale=2) }\n'
    )
    beside = 'import Part from "parts.arch"\nnetwork Small { input x: [4]\n Part -> squared_relu }\n'
    assert refused_name(beside) == ["unknown-layer"]
    handed_on = beside.replace("Part from", "Part, squared_relu from")
    assert archdsl.loads(handed_on, allow_python=True).network.nodes[-1].kind == "squared_relu"


def refused_name(program: str) -> list[str]:
    with pytest.raises(archdsl.ArchError) as caught:
        archdsl.loads(program, allow_python=True)
    return [d.name for d in caught.value.diagnostics]


def test_words_of_its_arguments_are_read_as_themselves(folder: Path) -> None:
    (folder / "odd.py").write_text(
        PLAIN.format("form = argument(choice('soft', 'steep'), 'how steep', 'soft')").replace(
            "Kind,", "choice,"
        )
    )
    (folder / "parts.arch").write_text(
        'import odd from "odd.py"\nblock Part(form = soft) { odd(form) -> odd(form=steep) }\n'
    )
    program = (
        'import Part from "parts.arch"\nimport odd from "odd.py"\n'
        "network Small { input x: [4]\n Part -> Part(form=steep) -> Part(steep) -> odd(steep) }\n"
    )
    for text in (program, program.replace('import odd from "odd.py"\n', "").replace(" -> odd(steep)", "")):
        forms = [
            node.layer.values["form"] for node in archdsl.loads(text, allow_python=True).network.nodes[1:]
        ]
        assert forms[:6] == ["soft", "steep", "steep", "steep", "steep", "steep"]
    wrong = program.replace("odd(steep)", "odd(form=steeep)")
    assert refused(lambda: archdsl.loads(wrong, allow_python=True)).edit.replacement == "steep"  # type: ignore[union-attr]


def test_two_files_may_call_two_layers_alike(folder: Path) -> None:
    cubed = SQUARED.replace(".square()", ".pow(3)")
    for name, text in (("square", SQUARED), ("cube", cubed)):
        (folder / f"{name}.py").write_text(text)
        Block = name.capitalize()
        (folder / f"{name}.arch").write_text(
            f'import squared_relu from "{name}.py"\nblock {Block} {{ squared_relu }}\n'
        )
    program = (
        'import Square from "square.arch"\nimport Cube from "cube.arch"\n'
        "network Both { input x: [2]\n a: Square\n b: from x -> Cube\n output a, b }\n"
    )
    first, second = archdsl.loads(program, allow_python=True).build()(torch.tensor([[-1.0, 3.0]]))
    assert (first.tolist(), second.tolist()) == ([[0.0, 9.0]], [[0.0, 27.0]])


def test_an_unchanged_file_gives_the_same_classes(folder: Path) -> None:
    hostile(folder)

    def layer() -> type:
        return type(archdsl.load("digits.arch", allow_python=True).network.nodes[2].layer)

    first = layer()
    (folder / "was-run").unlink()
    assert layer() is first
    assert not (folder / "was-run").exists()
    hostile(folder)
    (folder / "my_layers.py").write_text((folder / "my_layers.py").read_text() + "# changed\n")
    second = layer()
    assert second is not first
    assert (folder / "was-run").exists()


def test_a_problem_of_ones_own_is_said_and_not_in_the_catalogue(folder: Path) -> None:
    before = set(CATALOGUE)
    text = (
        "class Uneven(Problem):\n"
        "    count: int\n"
        "    def message(self):\n        return f'{self.count} channels are no pairs'\n"
        "    def help(self):\n        return 'take one more'\n"
        "def shape(self, x):\n"
        "    if x.channels % 4 != 1:\n        raise Fault(self.Uneven(x.channels))\n"
        "    return x\n"
    )
    for again in ("", "# changed\n"):
        found = refused(lambda again=again: odd(text + again))  # type: ignore[misc]
        assert (found.name, found.message) == ("uneven", "4 channels are no pairs")
        assert (found.span.text, found.labels[0].text) == ("odd", "this is [4, 6]")
    assert set(CATALOGUE) == before


# ------------------------------------------------------------------------------ mistakes in it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise Exception", "Exception"),
        ("def f(): return f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("x = '\0'", "source code string cannot contain null bytes"),
        ("x = (", "SyntaxError: '(' was never closed"),
    ],
)
def test_a_file_that_ends_in_an_error(folder: Path, text: str, said: str) -> None:
    (folder / "my_layers.py").write_text(text)
    found = refused(lambda: archdsl.load("digits.arch", allow_python=True))
    assert (found.name, found.span.text) == ("import-raised", '"my_layers.py"')
    assert said in found.message
    assert all(label.span.source.name == "my_layers.py" for label in found.labels)


MISTAKES = [
    ("def shape(self, x): return None", "shape", "gives None, not a `Shape`"),
    ("def shape(self, x): return (4, 6)", "shape", "gives (4, 6), not a `Shape`"),
    ("def shape(self, x): return Shape((4, 3.5))", "shape", "gives [4, 3.5], not"),
    ("def shape(self, x): return Shape((4, 0))", "shape", "gives [4, 0], not"),
    ("def shape(self, x): return ()", "shape", "gives (), not"),
    ("def shape(self, x): return Shape((1,) * 9)", "shape", "not a `Shape`"),
    ("def shape(self): return x", "shape", "ended in TypeError"),
    ("def shape(self, x): return 1 / 0", "shape", "ended in ZeroDivisionError: division by zero"),
    ("def shape(self, x): return self.shape(x)", "shape", "ended in RecursionError"),
    ("def shape(self, x): raise SystemExit", "shape", "ended in SystemExit"),
    ("def shape(self, x): raise Fault('no')", "shape", "gives 'no', not a fault with a `Problem`"),
    ("def shape(self, x): raise Fault(Problem())", "shape", "ended in AttributeError"),
    ("def weights(self, x): return []", "weights", "gives [], not a dict"),
    ("def weights(self, x): return {'weight': 3}", "weights", "not a dict of names and shapes"),
    ("def buffers(self, x): return {'mean': Shape((3,))}", "buffers", "not a dict of names and `Buffer`s"),
    ("def macs(self, x): return 1.5", "macs", "gives 1.5, not a whole number"),
    ("def macs(self, x): raise Fault(Problem())", "macs", "ended in Fault"),
    ("def flops(self, x): return x.nothing", "flops", "ended in AttributeError"),
    ("def saved(self, x): return Saved(inputs=(1,))", "saved", "not a `Saved` of the inputs it has"),
    ("def saved(self, x): return None", "saved", "gives None"),
    ("def reads(self, x): return Reach.POINT", "reads", "not a `Reach`, or a `Stencil` an axis"),
    ("def reads(self, x): return ((Stencil(1, 1, (range(1),)),) * 2,)", "reads", "not a `Reach`"),
    ("def reads(self, x): raise KeyError('x')", "reads", "ended in KeyError: 'x'"),
    ("def build(self, nn, x): return 'nn.ReLU()'", "build", "gives 'nn.ReLU()', not a call on `nn`"),
    (
        "def weights(self, x): return {'weight': Shape((3,))}\ndef build(self, nn, x): return None",
        "build",
        "gives None, not the module of weight",
    ),
    ("def forward(self, torch, m, values, xs): return ~values[0]", "forward", "ended in TypeError"),
    (
        "def forward(self, torch, m, values, xs): return values[0] if values[0] > 0 else values[0]",
        "forward",
        "what torch will compute is not yet known",
    ),
    ("def forward(self, torch, m, values, xs): return [*values[0]]", "forward", "not iterable"),
    ("def forward(self, torch, module, values, xs): return 'x'", "forward", "gives 'x', not an expression"),
    ("def answers(self, motion, fibres, *xs): return 1", "answers", "gives 1, not a `Fibre` or None"),
    ("def answers(self, motion, fibres, *xs): return fibres[7]", "answers", "ended in IndexError"),
    ("source = 'class Broken('", "source", "ended in SyntaxError"),
    ("source = None", "source", "ended in"),
    ("def __init__(self, values): raise ValueError('no')", "arguments", "ended in ValueError: no"),
    (
        "wide = argument(Kind('anything', lambda value: 1 / 0), 'how wide', 1)\n"
        "def shape(self, x): return Shape((1 // (self.wide - 1),))",
        "shape",
        "ended in ZeroDivisionError",
    ),
]


@pytest.mark.parametrize(("text", "rule", "said"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_in_a_rule(folder: Path, text: str, rule: str, said: str) -> None:
    found = refused(lambda: odd(text))
    assert found.name == "broken-rule"
    assert f"the rule `{rule}` of the layer `odd`" in found.message
    assert said in found.message
    at_import = rule == "source"
    assert (found.span.line, found.span.text) == ((1, '"odd.py"') if at_import else (4, "odd"))
    if "ended" in said and not at_import and "(self):" not in text and "Problem()" not in text:
        assert found.labels[0].span.source.name == "odd.py"


def test_a_mistake_in_a_kind_of_argument(folder: Path) -> None:
    Path("odd.py").write_text(PLAIN.format("wide = argument(Kind('any', lambda v: 1 // v), 'how wide', 1)"))
    program = 'import odd from "odd.py"\nnetwork Small {\n  input x: [4]\n  odd(wide=0)\n}\n'
    found = refused(lambda: archdsl.loads(program, "small.arch", allow_python=True))
    assert "the rule `arguments` of the layer `odd` ended in ZeroDivisionError" in found.message
    assert found.labels[0].span.text.startswith("wide = argument(")


def test_a_mistake_that_shows_only_in_an_analysis(folder: Path) -> None:
    """What a rule gives may change with what it is asked, and with how often."""
    text = "asked = 0\ndef flops(self, x):\n    Odd.asked += 1\n    return 1 // (2 - Odd.asked)"
    found = refused(lambda: odd(text))
    assert "the rule `flops` of the layer `odd` ended in ZeroDivisionError" in found.message
    assert found.span.text == "odd"
    assert [label.span.text for label in found.labels] == ["return 1 // (2 - Odd.asked)"]


def test_a_mistake_with_open_sizes_alone(folder: Path) -> None:
    Path("odd.py").write_text(
        PLAIN.format("def forward(self, torch, module, values, xs): return xs[0][1].nothing")
    )
    program = 'import odd from "odd.py"\nnetwork Small {\n  input x: [4, L]\n  odd\n}\n'
    net = archdsl.loads(program, "small.arch", allow_python=True)
    found = refused(net.source)
    assert "the rule `forward` of the layer `odd` ended in AttributeError" in found.message


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("def build(self, nn, x): return nn.Nothing()", "build", "no attribute 'Nothing'"),
        ("def build(self, nn, x): return nn.Linear(3, -1)", "build", "RuntimeError"),
        (
            "def build(self, nn, x): return nn.Linear(6, 6)",
            "weights",
            "says none, and torch's module has weight",
        ),
        ("def build(self, nn, x): return nn.BatchNorm1d(4, affine=False)", "buffers", "running_mean [4]"),
        ("def forward(self, torch, m, values, xs): return torch.F.nothing(values[0])", "forward", "nothing"),
        (
            "def forward(self, torch, m, values, xs): return values[0].sum(1)",
            "shape",
            "says [4, 6], and torch gives [6]",
        ),
        ("def shape(self, x): return Shape((3, 6))", "shape", "says [3, 6], and torch gives [4, 6]"),
        ("def shape(self, x): return (x, x)", "shape", "says [4, 6] and [4, 6], and torch gives [4, 6]"),
        (
            "source = 'def twice(x):\\n    return nowhere'\n"
            "def forward(self, torch, module, values, xs): return Code('twice')(values[0])",
            "forward",
            "NameError",
        ),
        ("source = 'nowhere'", "source", "NameError"),
    ],
)
def test_torch_does_not_do_what_the_rules_say(folder: Path, text: str, rule: str, said: str) -> None:
    net = odd(text)
    found = refused(net.build)
    assert found.name == "broken-rule"
    assert f"the rule `{rule}` of the layer `odd`" in found.message
    assert said in found.message
    assert found.span.line == 4


def test_operators_are_those_of_torch_in_the_order_of_python(folder: Path) -> None:
    text = "1 - x - (2 - x * 3) / 4 + (-x) ** 2 * (x >= 0.5) - (x < 0.25) * ((x - 3) @ torch.ones(6, 6)) ** 2"
    net = odd(f"def forward(self, torch, m, values, xs):\n    x = values[0]\n    return {text}")
    x = torch.randn(2, 4, 6)
    torch.testing.assert_close(net.build()(x), eval(text, {"torch": torch, "x": x}))


def test_a_layer_in_a_block_is_wrong_where_it_stands(folder: Path) -> None:
    Path("odd.py").write_text(PLAIN.format("def shape(self, x): return Shape((3, 6))"))
    program = 'import odd from "odd.py"\nblock B { odd }\nnetwork Small {\n  input x: [4, 6]\n  B\n}\n'
    found = refused(archdsl.loads(program, allow_python=True).build)
    assert (found.span.line, found.span.text) == (2, "odd")
    assert [label.span.text for label in found.labels] == ["B"]


def test_two_sources_may_not_define_one_name(folder: Path) -> None:
    (folder / "learned.py").write_text(LEARNED)
    (folder / "other.py").write_text(LEARNED.replace("ChannelScale", "OtherScale").replace("ones", "zeros"))
    program = (
        'import channel_scale from "learned.py"\nimport other_scale from "other.py"\n'
        "network Both { input x: [4, 6]\n channel_scale -> other_scale }\n"
    )
    net = archdsl.loads(program, allow_python=True)
    found = refused(net.source)
    assert "the rule `source` of the layer `other_scale` defines `Scaled`" in found.message
    assert archdsl.loads(program.replace("-> other_scale", "-> channel_scale"), allow_python=True).build()
    (folder / "other.py").write_text(
        LEARNED.replace("ChannelScale", "OtherScale").replace("Scaled", "LearnedValue")
    )
    for order in ("p: parameter([4, 6])\n from x -> other_scale", "other_scale\n parameter([4, 6])"):
        text = program.replace("channel_scale -> other_scale", f"y: {{ {order} }}\n from x, y -> add")
        found = refused(archdsl.loads(text.replace("y: {", "y: {\n"), allow_python=True).source)
        assert "the rule `source` of the layer `other_scale` defines `LearnedValue`" in found.message


def test_a_mistake_is_no_traceback_at_the_prompt(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my_layers.py").write_text(SQUARED.replace("torch.F.relu", "torch.F.nothing"))
    for arguments in (["train", "digits.arch", "--out", "run"], ["export", "digits.arch", "--to", "onnx"]):
        assert run_command([*arguments, "--allow-python"]) == 1
        said = capsys.readouterr().err
        assert "error[broken-rule]: the rule `forward` of the layer `squared_relu` ends in torch in" in said
        assert "Traceback" not in said
        assert "internal error" not in said


def test_a_class_need_not_be_one_of_the_file(folder: Path) -> None:
    """Bases and layers of the language are none of a file's own; what it imports from elsewhere is."""
    (folder / "elsewhere.py").write_text(SQUARED)
    text = (
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('elsewhere', 'elsewhere.py')\n"
        "found = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(found)\n"
        "SquaredRelu = found.SquaredRelu\n"
        "from archdsl.layers.structure import Input\n"
        "from archdsl.layers.convolution import Conv\n"
        "from archdsl.layers.layer import Layer, Weightless\n"
        "class Base(Layer, abstract=True): pass\n"
    )
    assert list(layers_of(Source("several.py", text), "several.py")) == ["squared_relu"]
    with pytest.raises(Broken, match="lacks its documentation"):
        layers_of(Source("bare.py", f"{text}class Bare(Conv): pass\n"), "bare.py")


def test_an_input_of_ones_own_is_refused(folder: Path) -> None:
    (folder / "my_layers.py").write_text(
        "from archdsl.layers.activation import Relu\n"
        "class Input(Relu):\n    'Not what a network is given.'\n"
        "class MaxPool(Relu):\n    'Not the maximum.'\n"
    )
    for name, said in (("input", "keyword-as-name"), ("max_pool", "built-in-layer")):
        program = f'import {name} from "my_layers.py"\nnetwork Small {{ input x: [4]\n relu }}\n'
        assert refused_name(program) == [said]


def test_a_file_that_is_imported_twice_is_run_once(folder: Path) -> None:
    (folder / "count.txt").write_text("")
    (folder / "my_layers.py").write_text("with open('count.txt', 'a') as f: f.write('x')\nraise ValueError\n")
    program = (
        'import one from "my_layers.py"\nimport two from "./my_layers.py"\nimport three from "my_layers.py"\n'
        "network Small { input x: [4]\n one -> two -> three }\n"
    )
    assert set(refused_name(program)) == {"import-raised"}
    assert (folder / "count.txt").read_text() == "x"
