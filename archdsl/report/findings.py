"""Diagnostics as data: JSON, SARIF 2.1.0 for code scanning, and GitHub's workflow commands."""

from __future__ import annotations

import json
from typing import Any

from archdsl.diagnostics import Diagnostic, Edit, Label
from archdsl.problems import CATALOGUE
from archdsl.source import Source, Span
from archdsl.version import version

SCHEMA = 1

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(diagnostics: list[Diagnostic]) -> str:
    """The object that `check --format json` prints."""
    return json.dumps({"schema": SCHEMA, "diagnostics": [d.to_dict() for d in diagnostics]}, indent=2)


def as_github(diagnostics: list[Diagnostic]) -> str:
    """A workflow command a diagnostic, which GitHub shows beside the line of a pull request."""
    lines = []
    for d in diagnostics:
        place = d.to_dict()
        level = "notice" if d.severity == "note" else d.severity
        fields = {"file": place["file"], "line": place["line"], "col": place["column"], "title": d.name}
        if place["end_line"] == place["line"]:
            fields |= {"endColumn": place["end_column"]}
        said = _said(d)
        if not d.span.source.is_file:
            # Nothing can be shown beside what is in no file of the repository.
            fields = {"title": d.name}
            said = f"{place['file']}:{place['line']}:{place['column']}: {said}"
        properties = ",".join(f"{key}={_property(str(value))}" for key, value in fields.items())
        lines.append(f"::{level} {properties}::{_data(said)}")
    return "\n".join(lines)


def _said(d: Diagnostic) -> str:
    """All that is said, a line each; what stands beside the place may be said by the message, too."""
    lines = [d.message, *(text for text in (d.text,) if text not in d.message)]
    lines += [f"note: {note}" for note in d.notes]
    if d.help:
        lines.append(f"help: {d.help}")
    return "\n".join(lines)


def _data(text: str) -> str:
    """Text with what the command's own form needs written as percent codes."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(diagnostics: list[Diagnostic]) -> str:
    """A SARIF log of one run. Its rules are the problems that were found."""
    names = sorted({d.name for d in diagnostics})
    log = {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "archdsl", "version": version(), "rules": [*map(_rule, names)]}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(d, names.index(d.name)) for d in diagnostics],
            }
        ],
    }
    return json.dumps(log, indent=2)


def _rule(name: str) -> dict[str, Any]:
    page = (CATALOGUE[name].__doc__ or name).strip().split("\n\n")[0]
    return {"id": name, "shortDescription": {"text": " ".join(page.split())}}


def _result(d: Diagnostic, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": d.name,
        "ruleIndex": rule,
        "level": d.severity,
        "message": {"text": _said(d)},
        "locations": [_location(d.span)],
    }
    if d.labels:
        result["relatedLocations"] = [_related(i, label) for i, label in enumerate(d.labels)]
    if d.edit is not None:
        result["fixes"] = [_fix(d.edit)]
    return result


def _location(span: Span) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": _artifact(span.source), "region": _region(span)}}


def _related(number: int, label: Label) -> dict[str, Any]:
    return {"id": number, "message": {"text": label.text}, **_location(label.span)}


def _fix(edit: Edit) -> dict[str, Any]:
    change = {
        "artifactLocation": _artifact(edit.span.source),
        "replacements": [
            {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.replacement}}
        ],
    }
    return {"artifactChanges": [change]}


def _artifact(source: Source) -> dict[str, Any]:
    """Where a text is: a reference that is relative where its name is; what is no file has words alone."""
    import os
    from pathlib import PurePath
    from urllib.parse import quote

    if not source.is_file:
        return {"description": {"text": source.name.strip("<>")}}
    path = PurePath(source.name)
    return {"uri": path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))}


def _region(span: Span) -> dict[str, int]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
