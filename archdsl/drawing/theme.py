"""Pictures for light pages, for dark ones, or for the one that the reader has."""

from __future__ import annotations

import re
from typing import Literal

Theme = Literal["auto", "light", "dark"]

PAGES = {"light": "#ffffff", "dark": "#0d1117"}
"""What is behind a picture."""

_DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{((?:[^{}]*\{[^{}]*\})*)\s*\}")
"""The rules of a style sheet for dark pages."""


def themed(svg: str, theme: Theme) -> str:
    """A picture that asks for the reader's page, for pages of one kind alone."""
    if theme == "auto":
        return svg
    found = _DARK.sub(r"\1" if theme == "dark" else "", svg)
    return (
        found.replace("<style>", f"<style>svg {{ background: {PAGES[theme]} }}", 1)
        if theme == "dark"
        else found
    )
