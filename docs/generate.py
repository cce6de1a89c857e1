"""Write what the documentation shows of the code: `python docs/generate.py`.

A layer's page is its class: signature, arguments, docstring. A problem's page is its docstring, with
what is said of the wrong program in it. Under a `$ archdsl ...` line of the README and of these pages
stands what the command prints.
`tests/test_docs.py` holds the pages to what this writes.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import sys
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import archdsl
from archdsl.analysis.flow import Flow
from archdsl.citations import Citation, chapter_figures, documentation, opening, source_of, title
from archdsl.cli.main import run
from archdsl.compiler.signatures import Signature
from archdsl.drawing.blocks import blocks
from archdsl.explanation import explanation
from archdsl.layers import LAYERS, Layer
from archdsl.layers.arguments import Kind, Parameter, written
from archdsl.net import Net
from archdsl.problems import CATALOGUE, Problem
from archdsl.project import bundled, bundled_networks
from archdsl.recipes.keys import KEYS, LENGTH, OF_PARTS, Key
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.report.columns import field_texts
from archdsl.report.units import separated

DOCS = Path(__file__).parent
PAGES_WITH_SCREENS = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))

PROGRAM = re.compile(r"^```arch[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCREEN = re.compile(r"^```console\n\$ archdsl ([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^`archdsl ((?:draw|look|verify) [^`]* -o (\S+\.svg))`$", re.MULTILINE)
COLUMNS = "105"
"""The width of the screens: that of a page."""


def layer_page(layer: type[Layer]) -> str:
    """The page of a layer."""
    lines = [f"# {layer.kind}", "", f"`{Signature.of_layer(layer).text}`", "", cleandoc(layer.__doc__ or "")]
    if layer.arguments:
        lines += ["", "## Arguments", *arguments_table(layer.arguments)]
    return "\n".join(lines) + "\n"


def arguments_table(arguments: dict[str, Parameter]) -> list[str]:
    """What a layer or word takes, as a table; nothing where it takes nothing."""
    lines = ["", "| argument | default | takes | meaning |", "| --- | --- | --- | --- |"] if arguments else []
    for name, parameter in arguments.items():
        default = "" if parameter.required else f"`{written(parameter.default)}`"
        expected = parameter.kind.expected.replace("|", "\\|")
        lines.append(f"| `{name}` | {default} | {expected} | {parameter.documentation} |")
    return lines


def problem_page(problem: type[Problem]) -> str:
    """The page of a problem."""
    return f"# {problem.name}\n\nSeverity: {problem.severity}.\n\n{explanation(problem)}\n"


def recipes_page() -> str:
    """The page of recipes: every key of a `train` block, and every word that it takes."""
    introduction = (
        "Written from the classes in `archdsl/recipes`. What a `train` block is stands in "
        "[language.md](language.md#training), what a run leaves in [training.md](training.md)."
    )
    lines = [
        "# Recipes",
        "",
        introduction,
        "",
        "## Keys",
        "",
        "| key | default | takes | what it says |",
        "| --- | --- | --- | --- |",
    ]
    default = defaults()
    lines += [
        f"| `{name}` | {default.get(name, '')} | {_takes(key)} | {key.documentation} |"
        for name, key in KEYS.items()
    ]
    lines += [f"| `PART.{name}` |  | {_takes(key)} | {key.documentation} |" for name, key in OF_PARTS.items()]
    families = {key.takes.family: key.takes for key in KEYS.values() if isinstance(key.takes, type)}
    for family, words in families.items():
        lines += ["", f"## {family.capitalize()}"]
        for word in words.words.values():
            lines += [
                "",
                f"### {word.word}",
                "",
                f"`{word.signature().text}`",
                "",
                cleandoc(word.__doc__ or ""),
            ]
            lines += arguments_table(word.arguments)
    return "\n".join(lines) + "\n"


def defaults() -> dict[str, str]:
    """What a recipe says that sets no key but those it must, by key; the others have no default."""
    must = "\n".join(key.example for key in KEYS.values() if key.example)
    net = archdsl.loads(f"network Small {{ input x: [1, 40]\nflatten -> linear(10) }}\ntrain {{ {must} }}")
    recipe, _ = read_recipe(net.network.train, net.network)
    assert recipe is not None
    found = Recipe.stored_settings(recipe.to_dict())
    own = (name for name, key in KEYS.items() if key.example is None and name not in LENGTH)
    return {name: f"`{found.get(name, 'none')}`" for name in own}


def _takes(key: Key) -> str:
    """What a key takes: a family of words, as a link to them, or a plain value."""
    if isinstance(key.takes, Kind):
        return key.takes.expected
    family = key.takes.family
    forms = {
        "one": family,
        "chain": f"{family}s, a chain",
        "list": f"{family}s, a list",
        "sum": f"{family}, or a sum",
    }
    return f"[{forms[key.form]}](#{family})"


def summary(documented: type) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(cleandoc(documented.__doc__ or "").split("\n\n")[0].split())


def index(heading: str, introduction: str, families: dict[str, list[tuple[str, str]]]) -> str:
    """A page that lists others, by family."""
    lines = [f"# {heading}", "", introduction]
    for family, pages in families.items():
        lines += ["", f"## {family}", "", "| | |", "| --- | --- |"]
        lines += [f"| [`{name}`]({name}.md) | {text} |" for name, text in pages]
    return "\n".join(lines) + "\n"


def families(members: dict[str, type]) -> dict[str, list[tuple[str, str]]]:
    """Names and summaries, by the module that defines them."""

    def family(item: tuple[str, type]) -> str:
        return item[1].__module__.rsplit(".", 1)[-1].replace("_", " ").capitalize()

    ordered = sorted(members.items(), key=lambda item: (family(item), item[0]))
    return {
        name: [(member, summary(documented)) for member, documented in pages]
        for name, pages in groupby(ordered, key=family)
    }


def pages() -> dict[str, str]:
    """Every generated page, by its path in this folder."""
    layers = "Written from the classes in `archdsl/layers`. `archdsl layers NAME` prints the same."
    problems = "Written from the classes in `archdsl/problems`. `archdsl explain NAME` prints the same."
    found = {
        "recipes.md": recipes_page(),
        "layers/index.md": index("Layers", layers, families(dict(LAYERS))),
        "problems/index.md": index("Problems", problems, families(dict(CATALOGUE))),
    }
    found.update(zoo_pages())
    for page in ("pictures.md", "chapter.md", "comparison.md"):
        found.update(pictures((DOCS / page).read_text(encoding="utf-8")))
    found["pictures/figure-10-8.svg"] = figure_10_8()
    found.update({f"layers/{name}.md": layer_page(layer) for name, layer in LAYERS.items()})
    found.update({f"problems/{name}.md": problem_page(problem) for name, problem in CATALOGUE.items()})
    return found


ZOO_OPENING = """\
Written from the files in `architectures/`: what stands here of a network is worked out from its file.
`archdsl list NAME` says where a network comes from and what its paper leaves open; `archdsl analyze NAME`,
`draw NAME` and `export NAME --to torch` take any of them by name. MACs are for one example of the file's
input; depth counts the layers with weights along the longest way, those of gates (squeeze-and-excitation)
among them. The field is that of the last value that does not see everything: after a first gate, or where
pixels become tokens by a reshape, every value counts as seeing everything, so there it says little. `≤`
stands where what is seen depends on the data. Sizes marked ° could not be held against the paper:
`archdsl list NAME` says what they rest on."""


def zoo_pages() -> dict[str, str]:
    """The page of the bundled networks, and a picture of each."""
    rows, gallery, found = [], [], {}
    networks = [(file, name, archdsl.load(file, network=name)) for name, file in bundled_networks().items()]
    entries = [Entry.of(file, net) for file, _, net in networks]
    for entry in sorted(entries, key=lambda entry: (entry.paper.year, entry.file)):
        rows.append(entry.row)
        gallery.append(entry.section)
        found[f"zoo/{entry.name}.svg"] = entry.picture
    lines = ["# The networks", "", ZOO_OPENING, ""]
    lines += ["| year | network | depth | parameters | MACs | field | paper |"]
    lines += ["| ---: | --- | ---: | ---: | ---: | ---: | --- |", *rows]
    lines += ["", "## Pictures", "", "To scale, each for itself: `archdsl draw NAME -o NAME.svg`.", *gallery]
    return {"zoo.md": "\n".join(lines) + "\n", **found}


class Entry(NamedTuple):
    """A bundled network as the page shows it."""

    file: str
    name: str
    title: str
    paper: Citation
    figures: tuple[str, ...]
    totals: dict[str, Any]
    field: str
    unconfirmed: bool
    picture: str

    @classmethod
    def of(cls, file: str, net: Net) -> Entry:
        source = bundled(file)
        assert source is not None
        said = documentation(source.text, "network", net.name)
        paper = source_of(source.text, said)
        assert paper is not None, f"{file} cites no paper"
        report = net.report()
        field = field_texts(report.totals, "size")
        return cls(
            file,
            net.name,
            title(said),
            paper,
            chapter_figures(said),
            report.to_dict()["totals"],
            # Of what sees everything from its first layer on, the last field that ends is the input's.
            field if field not in ("", "1") else "global",
            "could not be opened" in opening(source.text),
            blocks(net.network, Flow(net.network)),
        )

    @property
    def row(self) -> str:
        figure = "".join(f"; Prince's Figure {number}" for number in self.figures)
        cells = (
            str(self.paper.year),
            f"[`{self.name}`](#{self.name.lower()}){'°' if self.unconfirmed else ''}: {self.title}",
            str(self.totals["depth"]),
            separated(self.totals["parameters"]),
            separated(self.totals["macs"]),
            self.field,
            f"{self.paper}{figure}",
        )
        return f"| {' | '.join(cells)} |"

    @property
    def section(self) -> str:
        return (
            f"\n### {self.name}\n\n[{self.file}](../architectures/{self.file})\n\n"
            f"![{self.title}, drawn to scale](zoo/{self.name}.svg)"
        )


def pictures(page: str) -> dict[str, str]:
    """What the commands of a page write, by its path, each given the program before it."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for command in PICTURE.finditer(page):
            words = command[1].split()
            programs = PROGRAM.findall(page, 0, command.start())
            if words[1].endswith(".arch"):
                Path(words[1]).write_text(programs[-1], encoding="utf-8")
            with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
                assert run(words) == 0, command[0]
            found[f"pictures/{command[2]}"] = Path(command[2]).read_text(encoding="utf-8")
    return found


def figure_10_8() -> str:
    """The errors that `benchmarks/figure_10_8.py` measured, as it draws them."""
    script = runpy.run_path(str(DOCS.parent / "benchmarks" / "figure_10_8.py"))
    picture: str = script["drawn"](script["read"]())
    return picture


def with_screens(page: str) -> str:
    """A page with what its commands print today. A file that none brings is the program above the command."""

    def filled(screen: re.Match[str]) -> str:
        programs = PROGRAM.findall(page, 0, screen.start())
        printed = printed_by(screen[1].split(), programs[-1] if programs else "")
        return f"```console\n$ archdsl {screen[1]}\n{printed}```"

    return SCREEN.sub(filled, page)


def printed_by(arguments: list[str], program: str) -> str:
    """What a command shows on a screen, run where the file it names is the program unless it is bundled."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with tempfile.TemporaryDirectory() as folder, chdir(folder), mock.patch.dict(os.environ, COLUMNS=COLUMNS):
        name = next((argument for argument in arguments if argument.endswith(".arch")), None)
        if name is not None and bundled(name) is None:
            Path(name).write_text(program, encoding="utf-8")
        with redirect_stdout(screen), redirect_stderr(screen):
            run(arguments)
    screen.seek(0)
    return screen.read()


def main() -> None:
    """Write all pages, and remove those of what is no more."""
    written_pages = pages()
    for folder in ("layers", "problems", "zoo", "pictures"):
        (DOCS / folder).mkdir(exist_ok=True)
        for old in (DOCS / folder).iterdir():
            if f"{folder}/{old.name}" not in written_pages:
                old.unlink()
    for path, text in written_pages.items():
        (DOCS / path).write_text(text, encoding="utf-8")
    for path in PAGES_WITH_SCREENS:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_screens(text), encoding="utf-8")
    print(f"{len(written_pages)} pages", file=sys.stderr)


if __name__ == "__main__":
    main()
