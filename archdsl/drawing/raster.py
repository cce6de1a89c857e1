"""Pictures as pixels."""

from __future__ import annotations

import resvg_py

ZOOM = 2
"""Pixels of a PNG for each of the SVG's: sharp on dense screens and in print."""


def png(svg: str) -> bytes:
    """A picture as PNG, on white."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=ZOOM, background="white"))
