"""The page of a problem: its docstring, and what is said of the wrong program in it."""

from __future__ import annotations

import re

from archdsl.checking import check_file
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.problems import Problem
from archdsl.report.diagnostics import render_all
from archdsl.report.reference import page
from archdsl.source import Source

PROGRAM = re.compile(r"^```arch\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def explanation(problem: type[Problem]) -> str:
    """A problem explained. Under the first program of its docstring stands what is said of it.

    The programs stand alone: where a problem takes several files, as those of imports do, no message
    is shown.
    """
    text = page(problem)
    wrong = PROGRAM.search(text)
    if wrong is None:
        return text
    said = [d for d in _said(Source("wrong.arch", wrong[1])) if d.name == problem.name]
    if not said:
        return text
    return f"{text[: wrong.end()]}\n\n```text\n{render_all(said)}\n```{text[wrong.end() :]}"


def _said(source: Source) -> list[Diagnostic]:
    """What is wrong with a program, and with making a module of it where nothing else is."""
    checked = check_file(source)
    if checked.wrong:
        return checked.diagnostics
    found = list(checked.diagnostics)
    for one in checked.networks:
        try:
            if one.net is not None:
                one.net.source()
        except ArchError as error:
            found += error.diagnostics
    return found
