"""The report as one page of HTML that needs nothing beside it: no network, no other file, no framework.

What the file says may be anyone's: it reaches the page as text that is escaped or as JSON, never as markup or
script, and the page's own policy lets no other style or script in.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from archdsl.citations import source_of
from archdsl.report.columns import COLUMNS, STANDARD, shape_text
from archdsl.report.diagnostics import render
from archdsl.report.page.content import Row, data_of, rows
from archdsl.report.table import LONGEST_NUMBER, ends
from archdsl.report.terminal import visible
from archdsl.report.totals import Total, totals

if TYPE_CHECKING:
    from archdsl.diagnostics import Diagnostic
    from archdsl.report.report import Report


def page(report: Report, diagnostics: Sequence[Diagnostic] = (), picture: str | None = None) -> str:
    """The page, from a report and what was said of its file; `picture` is an SVG of the network."""
    style, script = _own("page.css"), _own("page.js")
    found = rows(report)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    # Python's numbers of any length are those of JSON; what could end the element is written as escapes.
    data = json.dumps(data_of(report, found), separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    return Template(_own("page.html")).substitute(
        policy=policy,
        style=style,
        script=script,
        data=data,
        name=_text(report.name),
        shapes=_text(ends(report)),
        source=_source(report),
        totals="".join(map(_total, totals(report))),
        picture=_picture(report, picture),
        headings="".join(
            f'<th scope="col"{_numeric(key)}>{_text(COLUMNS[key].heading)}</th>' for key in STANDARD
        ),
        rows="".join(_row(row) for row in found if not row.above),
        diagnostics="".join(map(_diagnostic, diagnostics)) or "<p>Nothing is said of this file.</p>",
        setting=_text(f"batch {report.batch}, {report.precision}"),
    )


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _text(said: Any) -> str:
    """Text as HTML has it, without what steers or reorders."""
    return escape(visible(str(said)))


def _numeric(key: str) -> str:
    return ' class="number"' if COLUMNS[key].number else ""


def _source(report: Report) -> str:
    """What the file says of the network, where it comes from, and what was set."""
    network = report.network
    file = network.place.source
    said = " ".join(network.documentation.split())
    parts = [said] if said else []
    paper = source_of(file.text, said)
    if paper is not None and paper.title not in said:
        parts.append(str(paper))
    chosen = ", ".join(
        f"{name} = {shape_text([*value]) if isinstance(value, tuple) else value}"
        for options in network.options.values()
        for name, value in options.items()
    )
    parts.append(f"From {file.name}{f', with {chosen}' if chosen else ''}.")
    return "".join(f"<p>{_text(part)}</p>" for part in parts)


def _total(one: Total) -> str:
    long = ' class="long"' if len(one.exact) > LONGEST_NUMBER else ""
    figure = f"<b>{_text(one.exact)}</b> <span>{_text(one.beside)}</span>"
    return f"<div{long}><dt>{_text(one.name)}</dt><dd>{figure}</dd></div>"


def _picture(report: Report, svg: str | None) -> str:
    if svg is None:
        return ""
    encoded = b64encode(svg.encode("utf-8")).decode("ascii")
    said = escape(f"The maps of {report.name}, to scale.")
    return f'<figure tabindex="0"><img src="data:image/svg+xml;base64,{encoded}" alt="{said}"></figure>'


def _row(row: Row) -> str:
    """A row of the outermost level, for who has no script."""
    name, *cells = STANDARD
    texts = "".join(f"<td{_numeric(key)}>{_text(COLUMNS[key].cell(row.facts))}</td>" for key in cells)
    return f'<tr><th scope="row">{_text(COLUMNS[name].cell(row.facts))}</th>{texts}</tr>'


def _diagnostic(one: Diagnostic) -> str:
    return (
        f'<article class="{one.severity}"><h3><span>{one.severity}</span> {_text(one.name)}</h3>'
        f'<pre tabindex="0">{escape(render(one))}</pre>'
        f"<p>More: <code>archdsl explain {_text(one.name)}</code></p></article>"
    )
