"""Style sheets: for light pages, for dark ones, or for the one that the reader has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

from archdsl.drawing.colours import PALETTE, Pair

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)

PAGES = dict(zip(("light", "dark"), PALETTE["page"], strict=True))
"""What is behind a picture."""

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_ROLE = re.compile(r"\$([\w-]+)")
_DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{((?:[^{}]*\{[^{}]*\})*)\s*\}")
"""The rules of a style sheet for dark pages."""


def styled(rules: str, colours: Mapping[str, Pair] | None = None) -> str:
    """A style sheet from rules that name the palette's colours, and further ones, as `$role`.

    What of it is colour is said once more for dark pages.
    """
    every = {**PALETTE, **(colours or {})}
    dark = []
    for selector, declarations in _RULE.findall(rules):
        coloured = "; ".join(one.strip() for one in declarations.split(";") if "$" in one)
        if coloured:
            dark.append(f"{selector.strip()} {{ {_ROLE.sub(lambda role: every[role[1]][1], coloured)} }}")
    light = _ROLE.sub(lambda role: every[role[1]][0], rules)
    return f"{light}@media (prefers-color-scheme: dark) {{\n" + "\n".join(dark) + "\n}\n"


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


def inlined(svg: str, theme: Literal["light", "dark"]) -> str:
    """A picture with its page behind it, whose style is for itself alone in whatever document it is."""
    from hashlib import sha256

    from archdsl.report.html import scoped

    found = themed(svg, theme)
    name = f"archdsl-{sha256(found.encode()).hexdigest()[:12]}"

    def of_it(style: re.Match[str]) -> str:
        rules = re.sub(r"/\*.*?\*/|^svg \{[^}]*\}", "", style[1])
        own = [f".{name} {{ background: {PAGES[theme]} }}", *scoped(rules, f".{name}")]
        return "<style>\n" + "\n".join(own) + "\n</style>"

    found = re.sub(r"<style>(.*?)</style>", of_it, found, count=1, flags=re.DOTALL)
    return found.replace("<svg ", f'<svg class="{name}" ', 1)
