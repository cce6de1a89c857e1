"""The extension for VS Code, as far as that needs no editor: its words, its snippets, its settings."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.checking import check_file
from archdsl.source import Source
from archdsl.syntax.grammar import grammar

ROOT = Path(__file__).parent.parent
EXTENSION = ROOT / "grammars/vscode"


def read(name: str) -> Any:
    return json.loads((EXTENSION / name).read_text(encoding="utf-8"))


SNIPPETS = read("snippets/arch.json")


def expressions(part: Any) -> Iterator[str]:
    """The regular expressions of a TextMate grammar."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("begin", "end", "match"):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(part, list):
        for value in part:
            yield from expressions(value)


def test_its_grammar_has_the_words_of_the_language() -> None:
    words = set()
    for expression in expressions(read("syntaxes/arch.tmLanguage.json")):
        words |= set(re.findall(r"\b[a-z]{2,}\b", re.sub(r"\\.|\[[^\]]*\]", " ", expression)))
    assert words == {*grammar().keywords, "allow"}


def expanded(name: str) -> str:
    """A snippet as it stands when its defaults are taken over."""
    text = "\n".join(SNIPPETS[name]["body"]).replace("\t", "  ")
    defaults = dict(re.findall(r"\$\{(\d+):([^{}]*)\}", text))
    text = re.sub(r"\$\{\d+:([^{}]*)\}", r"\1", text)
    text = re.sub(r"\$([1-9]\d*)", lambda found: defaults[found[1]], text).replace("$0", "")
    assert "$" not in text
    return text + "\n"


def around(snippet: str) -> str:
    """A whole file with a snippet in it."""
    word = re.sub(r"^##.*\n", "", snippet).partition(" ")[0]
    if word == "network":
        return snippet
    if word == "block":
        name = re.search(r"block (\w+)", snippet)
        assert name
        return f"{snippet}\nnetwork Small {{\n  input image: [3, 64, 64]\n\n  {name[1]}(16)\n}}\n"
    if word == "train":
        return f"{expanded('Network')}\n{snippet}"
    if word == "import":
        return f"{snippet}\nnetwork Small {{\n  input image: [16, 64, 64]\n\n  SqueezeExcitation\n}}\n"
    lines = "".join(f"  {line}\n" for line in snippet.splitlines())
    return (
        "network Small {\n  input image: [3, 64, 64]\n\n"
        f"  features: conv(16, kernel=3, padding=same) -> relu\n{lines}}}\n"
    )


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_is_right_as_it_comes(name: str) -> None:
    text = around(expanded(name))
    found = check_file(Source("small.arch", text))
    # A number is there before what it is for.
    said = [(d.name, d.message) for d in found.diagnostics if d.name != "unused-let"]
    assert said == []
    assert archdsl.format(text) == text


def test_it_passes_on_the_settings_of_the_server() -> None:
    """What docs/editors.md lists; what runs code can't come with a folder."""
    settings = read("package.json")["contributes"]["configuration"]["properties"]
    listed = re.findall(
        r"^\| `(\w[\w.]+)` \| `false` \|", (ROOT / "docs/editors.md").read_text("utf-8"), re.M
    )
    assert listed
    for name in listed:
        assert settings.pop(f"archdsl.{name}")["scope" if name == "allowPython" else "default"] in (
            "machine",
            False,
        )
    assert settings.pop("archdsl.path")["scope"] == "machine"
    assert list(settings) == ["archdsl.trace.server"]


def test_its_other_files_are_whole() -> None:
    words = read("language-configuration.json")
    assert words["comments"]["lineComment"] == "#"
    for pattern in (words["wordPattern"], *words["indentationRules"].values()):
        re.compile(pattern)
    assert re.match(words["indentationRules"]["increaseIndentPattern"], "  parallel add {  # both")
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    described = {
        prefix.strip("`") for prefix in re.findall(r"`[\w-]+`", (EXTENSION / "README.md").read_text("utf-8"))
    }
    for snippet in SNIPPETS.values():
        prefixes = snippet["prefix"]
        assert described & ({prefixes} if isinstance(prefixes, str) else set(prefixes))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert read("package.json")["version"] == project["version"]
