"""Pictures as pixels, and as pages for print."""

from __future__ import annotations

import re

from archdsl.drawing.theme import PAGES, Theme, themed

ZOOM = 2
"""Pixels of a PNG for each of the SVG's: sharp on dense screens and in print."""

POINTS = 0.75
"""Points of a page for each of the SVG's pixels."""


def extents(svg: str) -> tuple[float, float]:
    """The width and the height of a picture, in its own pixels."""
    size = re.search(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)
    assert size, "a picture says how large it is"
    return float(size[1]), float(size[2])


def png(svg: str, theme: Theme = "auto") -> bytes:
    """A picture as PNG, on white unless it is for dark pages."""
    import resvg_py

    theme = "dark" if theme == "dark" else "light"
    return bytes(resvg_py.svg_to_bytes(svg_string=themed(svg, theme), zoom=ZOOM, background=PAGES[theme]))


def pdf(svg: str, theme: Theme = "auto") -> bytes:
    """A picture as a PDF page of its size: lines stay lines, and text is text, its fonts with it."""
    import typst

    theme = "dark" if theme == "dark" else "light"
    wide, high = (extent * POINTS for extent in extents(svg))
    page = (
        "#set document(date: none)\n"
        f'#set page(width: {wide}pt, height: {high}pt, margin: 0pt, fill: rgb("{PAGES[theme]}"))\n'
        '#image(bytes(sys.inputs.svg), format: "svg", width: 100%)\n'
    )
    # No time of making, so that equal pictures are equal files.
    made = typst.compile(page.encode(), sys_inputs={"svg": themed(svg, theme)})
    assert isinstance(made, bytes)
    return made
