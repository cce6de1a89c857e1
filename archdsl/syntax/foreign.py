"""Files of other languages, told by their first lines.

It is asked only of a text that can't be read, and answers only where that is sure: one that declares a
network or a block is a file of this language, whatever is wrong with it.
"""

from __future__ import annotations

import re

from archdsl.problems.files import ForeignFile, UnresolvedMerge
from archdsl.problems.problem import Problem
from archdsl.source import Source, Span

LINES, CHARACTERS = 60, 10_000
"""How many are looked at, but for the marks of a merge."""

_OWN = re.compile(r"^\s*(network|block)\s+\w+\s*([({]|$)|^\s*train(\s+\w+)?\s*\{", re.MULTILINE)
_MERGE = re.compile(r"^(<{7}|>{7})( .*)?$", re.MULTILINE)
_LANGUAGES = {
    "HTML": re.compile(r"\A\s*<(!doctype html|html|head)\b", re.IGNORECASE),
    "XML": re.compile(r"\A\s*<\?xml\b", re.IGNORECASE),
    "JSON": re.compile(r'\A\s*(\{\s*("|\})|\[\s*[\[{"])'),
    "Python": re.compile(
        r"^(import [\w.]+ as \w+|import \w+(\.\w+)+|from [\w.]+ import [\w(*]"
        r"|import (torch|torchvision|tensorflow|keras|jax|numpy|math|os|sys)\s*(,|$)"
        r"|(class|(async )?def) \w+.*:\s*$|[\w.]+ = (\w+\.)*[A-Z]\w+\(\[?\s*$)",
        re.MULTILINE,
    ),
    "a Caffe prototxt": re.compile(r"^layers?\s*\{\s*(name|type|bottom|top):\s*[\"A-Z]", re.MULTILINE),
    "a Darknet cfg": re.compile(r"^\[(net|network|convolutional|connected)\]\s*$", re.MULTILINE),
    "YAML": re.compile(
        r"\A([ \t\r]*(#.*)?\n)*(---[ \t\r]*$|%YAML)"
        r"|^[\w-]+:[ \t\r]*\n([ \t\r]*(#.*)?\n)*([ \t]+[\w-]+:|[ \t]*- )",
        re.MULTILINE,
    ),
}
"""By what it is called, what no file of this language has in its first lines."""


def foreign(source: Source) -> tuple[Problem, Span] | None:
    """What a text that can't be read is, and the line that tells it; None where that is not sure."""
    mark = _MERGE.search(source.text)
    if mark is not None:
        return UnresolvedMerge(), Span(source, *mark.span())
    head = "".join(source.text[:CHARACTERS].splitlines(keepends=True)[:LINES])
    if _OWN.search(head):
        return None
    for language, sign in _LANGUAGES.items():
        found = sign.search(head)
        if found is not None:
            start = found.start() + len(found.group()) - len(found.group().lstrip())
            end = head.find("\n", start)
            return ForeignFile(language), Span(source, start, len(head) if end < 0 else end)
    return None
