"""The cell magic `%%arch` of IPython: a network is defined in a cell of a notebook, and shown.

IPython loads this file by `%load_ext archdsl`, and nothing else of archdsl knows it.
"""

from __future__ import annotations

import shlex
import sys
from keyword import iskeyword
from typing import Any

import click
from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from archdsl.checking import check_program
from archdsl.cli.networks import unheld
from archdsl.cli.output import style, width
from archdsl.cli.settings import network_options, parameters, python_option, teach_option
from archdsl.compiler import Options
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.editing.completion import completions
from archdsl.editing.document import Document, Library
from archdsl.net import Net, program_of
from archdsl.report.diagnostics import render_all
from archdsl.report.table import table
from archdsl.report.terminal import Style
from archdsl.source import Source

MAGIC = "%%arch"


@click.command(add_help_option=False)
@click.argument("name", required=False)
@teach_option
@python_option
@network_options("a cell trains nothing")
def _line(**settings: Any) -> None:
    """What may stand behind `%%arch`."""


class Cells:
    """The cells of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def arch(self, line: str, cell: str) -> None:
        """Define networks in a cell, as in an .arch file, and show them.

        %%arch [NAME] [--set KEY=VALUE] [--size SYMBOL=N] [--input NAME=SHAPE] [--teach] [--allow-python]

            %%arch
            network Small(classes = 10) {
              input image: [1, 28, 28]
              conv(16, kernel=3) -> relu -> max_pool(2)
              flatten -> linear(classes)
            }

        Afterwards `Small` is the network: `Small.report()`, `Small.build()`. The only network of a cell is
        called NAME instead where one is given. A cell with errors shows them and changes no name.

        --set KEY=VALUE     Set a parameter of the network (classes=100).
        --size SYMBOL=N     Give a symbol of the shapes its number (H=512).
        --input NAME=SHAPE  Replace the shape of an input (image=3,512,512).
        --teach             Say what one should know of the network, too.
        --allow-python      Run the Python files from which the cell imports layers.

        Blocks are imported from files beside the notebook and from the bundled ones. `{n}` and `$n` in the
        line stand for the value of `n`: `%%arch --set classes={n}`.
        """
        asked = _asked(line)
        # The line of the magic is the first of the cell, so that lines are called as they are numbered there.
        number = len(self._shell.history_manager.input_hist_parsed) - 1
        source = Source(f"In[{number}]", f"\n{cell}")
        program = program_of(source, asked["allow_python"])
        names = _names(asked["name"], program.networks)
        options = Options(parameters(asked["settings"]), dict(asked["sizes"]), dict(asked["inputs"]))
        checked = check_program(program, teach=asked["teach"], options=options)
        if checked.wrong:
            for one in checked.networks:
                # A budget that is broken keeps no one from seeing what breaks it.
                if one.unexpected is not None:
                    self._show(one.unexpected)
            raise ArchError(checked.diagnostics)
        if not program.networks:
            missing = program.chosen()
            assert isinstance(missing, Diagnostic)
            raise ArchError([missing])
        nets = [one.net for one in checked.networks if one.net is not None]
        of_networks = [diagnostic for net in nets for diagnostic in net.diagnostics]
        self._say([diagnostic for diagnostic in checked.diagnostics if diagnostic not in of_networks])
        for net in nets:
            self._show(net)
            if said := unheld(net):
                print(said)
        self._shell.push(dict(zip(names, nets, strict=True)))

    @property
    def _is_terminal(self) -> bool:
        """Whether the shell shows text alone."""
        return "text/html" not in self._shell.display_formatter.active_types

    def _say(self, diagnostics: list[Diagnostic]) -> None:
        if diagnostics:
            dressed = style(sys.stdout) if self._is_terminal else Style(colour=True)
            print(render_all(diagnostics, dressed) + "\n")

    def _show(self, net: Net) -> None:
        if self._is_terminal:
            self._say([diagnostic for diagnostic in net.diagnostics if diagnostic.severity != "error"])
            print(table(net.report(), width(sys.stdout), style(sys.stdout)))
        else:
            display(net)


def _asked(line: str) -> dict[str, Any]:
    """What a line asks for, as the command line reads it."""
    try:
        asked = _line.make_context(MAGIC, shlex.split(line)).params
    except click.ClickException as error:
        raise UsageError(f"{error.format_message()} (`{MAGIC}?` shows what there is)") from None
    except ValueError as error:
        raise UsageError(f"{line!r} can't be read: {error}") from None
    return asked


def _names(name: str | None, networks: list[str]) -> list[str]:
    """What the networks of a cell are called in Python."""
    if name is not None and len(networks) > 1:
        raise UsageError(
            f"the cell has {len(networks)} networks, which are called as in it: leave out {name!r}"
        )
    names = networks if name is None else [name]
    for one in names:
        if not one.isidentifier() or iskeyword(one):
            ask = f": name it otherwise, as in `{MAGIC} net`" if name is None else ""
            raise UsageError(f"nothing can be called {one!r} in Python{ask}")
    return names


def complete(context: CompletionContext) -> SimpleMatcherResult:
    """What may be written in a cell of the magic where the cursor stands; nothing in another."""
    first, newline, cell = context.full_text.partition("\n")
    if first.split()[:1] != [MAGIC] or not context.cursor_line:
        return {"completions": []}
    document = Document(MAGIC, newline + cell)
    offset = document.source.offset(context.cursor_line + 1, context.cursor_position + 1)
    found = completions(Library(), document, offset)
    written = {document.text[one.start : offset] for one in found}
    fragment = max(written, key=len, default="")
    return {
        "completions": [
            SimpleCompletion(text=one.label, type=one.sort)
            for one in sorted(found, key=lambda one: (one.rank, one.label))
            if one.label.startswith(fragment)
        ],
        "matched_fragment": fragment,
        "ordered": True,
        "suppress": True,
    }


_MATCHER = context_matcher(identifier="archdsl")(complete)


def load(shell: InteractiveShell) -> None:
    """Put the magic into a shell."""
    shell.register_magic_function(Cells(shell).arch, "cell", "arch")
    if _MATCHER not in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.append(_MATCHER)


def unload(shell: InteractiveShell) -> None:
    """Take it out again."""
    shell.magics_manager.magics["cell"].pop("arch", None)
    if _MATCHER in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(_MATCHER)
