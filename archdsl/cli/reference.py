"""`archdsl layers`, `explain` and `list`: the reference at the prompt."""

from __future__ import annotations

import os
import re
import sys
from textwrap import indent
from typing import TYPE_CHECKING

import click

from archdsl.cli.output import Refused, result, style, width
from archdsl.cli.settings import python_option
from archdsl.cli.targets import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archdsl.layers.layer import Layer


@click.command(short_help="List the layers, or show one.")
@click.argument("name", required=False)
@click.option("--from", "file", metavar="FILE.py", help="Those of a Python file, instead of the language's.")
@click.option("--rules", is_flag=True, help="Show the rules of the layer, too, as the code has them.")
@python_option
def layers(name: str | None, file: str | None, rules: bool, allow_python: bool) -> int:
    """List the layers, or show one: its arguments, its documentation, with --rules its rules."""
    from archdsl.layers import LAYERS

    known = LAYERS if file is None else _own_layers(file, allow_python)
    if name is None:
        if rules:
            raise click.UsageError("--rules are those of one layer: name it")
        _list(known)
        return 0
    if name not in known:
        block = _bundled_block(name)
        if block is not None:
            use = f'import {name} from "{block}"'
            raise Refused(f"{name} is a block: `{use}`; `archdsl list {block}` shows it")
        raise Refused(_unknown_layer(name, known, file))
    result(_layer(known[name], rules))
    return 0


def _own_layers(file: str, allow_python: bool) -> dict[str, type[Layer]]:
    """The layers of a Python file, or an `ArchError` that says why there are none."""
    from archdsl.compiler.own import Broken, layers_of
    from archdsl.diagnostics import ArchError, Diagnostic
    from archdsl.problems.data import PythonNotAllowed
    from archdsl.source import Span

    source = source_of(file)
    whole = Span(source, 0, 0)
    if not allow_python:
        raise ArchError([Diagnostic.of(PythonNotAllowed(file), whole)])
    try:
        return layers_of(source, file)
    except Broken as broken:
        raise ArchError([Diagnostic.of(broken.problem, whole, broken.labels)]) from None


@click.command(short_help="Explain an error by its name.")
@click.argument("name", required=False)
def explain(name: str | None) -> int:
    """Explain an error or warning by its name, as in `archdsl explain channel-mismatch`."""
    from archdsl.problems import CATALOGUE

    if name is None:
        _list(CATALOGUE)
        return 0
    # As it stands on the screen: `error[channel-mismatch]`.
    name = re.sub(r"\w+\[([\w-]+)\].*", r"\1", name)
    if name not in CATALOGUE:
        raise Refused(_unknown_problem(name, CATALOGUE))
    from archdsl.explanation import explanation
    from archdsl.report.terminal import BOLD

    problem = CATALOGUE[name]
    heading = style(sys.stdout).paint(f"{problem.severity}[{name}]", BOLD)
    result(f"{heading}\n\n{explanation(problem)}")
    return 0


@click.command("list", short_help="List the bundled architectures, or say where one comes from.")
@click.argument("name", required=False, metavar="[FILE|NETWORK]")
def list_architectures(name: str | None) -> int:
    """List the bundled architectures and their networks, or say where one comes from.

    Of a FILE or a NETWORK: the paper, the figure of Prince's chapter 10 where it has one, what is said of
    each network, and what the paper leaves open.
    """
    from archdsl.citations import source_of as paper_of
    from archdsl.project import bundled, bundled_names, declared

    texts = {file: source.text for file in bundled_names() if (source := bundled(file))}
    if name is not None:
        return _show_architecture(name, texts)
    longest = max(map(len, texts), default=0)
    for file, text in texts.items():
        networks, blocks = declared("network", text), declared("block", text)
        listed = ", ".join(networks) if networks else f"blocks: {', '.join(blocks)}"
        paper = paper_of(text, "")
        result(f"{file:<{longest}}  {paper.year if paper else '':>4}  {listed}")
    return 0


def _bundled_block(name: str) -> str | None:
    """The bundled file that declares a block of a name."""
    from archdsl.project import bundled, bundled_names, declared

    sources = (bundled(file) for file in bundled_names())
    return next((s.name for s in sources if s and name in declared("block", s.text)), None)


def _show_architecture(name: str, texts: Mapping[str, str]) -> int:
    """What a file says of itself, and of all its networks and blocks or of the network that is named."""
    from archdsl.citations import documentation, paragraphs, preface
    from archdsl.problems import nearest
    from archdsl.project import bundled_networks, declared
    from archdsl.report.terminal import BOLD

    file, _, network = name.partition(":")
    text = None
    if os.path.isfile(file):
        text = source_of(file).text
    else:
        networks = bundled_networks()
        known = {one: one for one in texts} | {one.removesuffix(".arch"): one for one in texts}
        folded = {key.lower(): value for key, value in known.items()}
        named = {one.lower(): one for one in networks}
        if file in networks:
            file, network = networks[file], file
        elif file.lower() in folded:
            file = folded[file.lower()]
        elif file.lower() in named:
            network = network or named[file.lower()]
            file = networks[network]
        else:
            meant = nearest(file, {**known, **networks})
            hint = f"; did you mean {meant}?" if meant else " (`archdsl list` lists them)"
            raise Refused(f"no bundled file or network is called {name!r}{hint}")
        text = texts[file]
    dress = style(sys.stdout)
    room = max(40, min(width(sys.stdout) or 100, 100))
    parts = [dress.paint(file, BOLD), paragraphs(preface(text), room)]
    for what in ("network", "block"):
        for one in declared(what, text):
            if network and (what, one.lower()) != ("network", network.lower()):
                continue
            said = paragraphs([documentation(text, what, one)], room - 2)
            heading = dress.paint(f"{what} {one}", BOLD)
            parts.append(f"{heading}\n{indent(said, '  ')}" if said else heading)
    result("\n\n".join(part for part in parts if part))
    return 0


def _list(documented: Mapping[str, type]) -> None:
    from archdsl.report.reference import summary

    longest = max(map(len, documented), default=0)
    for name in sorted(documented):
        result(f"{name:<{longest}}  {summary(documented[name])}")


def _unknown_layer(name: str, known: Mapping[str, type[Layer]], file: str | None) -> str:
    """What is said of a name that is no layer of the language, or none of a Python file."""
    from archdsl.compiler.names import unknown_layer
    from archdsl.problems import nearest

    if file is not None:
        return _unknown("layer", name, nearest(name, known), f"`archdsl layers --from {file}` lists them")
    problem = unknown_layer(name)
    return _unknown("layer", name, problem.meant, problem.foreign or "`archdsl layers` lists them")


def _unknown_problem(name: str, known: Mapping[str, type]) -> str:
    from archdsl.layers import LAYERS
    from archdsl.problems import nearest
    from archdsl.problems.problem import kebab

    if name in LAYERS:
        return _unknown("problem", name, None, f"`archdsl layers {name}` shows the layer")
    return _unknown("problem", name, nearest(kebab(name), known), "`archdsl explain` lists them")


def _unknown(what: str, name: str, meant: str | None, remark: str) -> str:
    """That there is none of a name, with what was most likely meant; `remark` helps where nothing was."""
    said = f"there is no {what} {name!r}"
    return f"{said}; did you mean {meant}?" if meant else f"{said} ({remark})"


def _layer(layer: type[Layer], with_rules: bool) -> str:
    """A layer's page: signature, arguments, documentation, and every rule as the code has it if asked for."""
    from archdsl.compiler.signatures import Signature
    from archdsl.report.reference import page, rules
    from archdsl.report.terminal import BOLD, DIM

    dress = style(sys.stdout)
    parts = [dress.paint(Signature.of_layer(layer).text, BOLD)]
    if layer.arguments:
        longest = max(map(len, layer.arguments))
        parts.append(
            "\n".join(
                f"  {name:<{longest}}  {parameter.documentation}: {parameter.kind.expected}"
                for name, parameter in layer.arguments.items()
            )
        )
    parts.append(page(layer))
    if with_rules:
        parts.append(dress.paint("Rules", BOLD))
        parts += [dress.paint(source, DIM) for _, source in rules(layer)]
    return "\n\n".join(parts)
