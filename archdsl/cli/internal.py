"""A mistake of archdsl itself: what is said of it, and how it ends a command."""

from __future__ import annotations

import os

from archdsl.source import readable
from archdsl.version import version

INTERNAL_ERROR = 70
"""The exit code."""


def traced() -> bool:
    """Whether such a mistake is to show where it happened."""
    return bool(os.environ.get("ARCHDSL_DEBUG"))


def internal_error(error: Exception, arguments: list[str]) -> str:
    """What to say of it, with the command line that leads to it."""
    import platform

    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        f"internal error: {said}\n"
        "This is a mistake in archdsl, not in your file. To reproduce it:\n"
        f"  {' '.join(map(_quoted, ['archdsl', *arguments]))}\n"
        f"  archdsl {version()}, Python {platform.python_version()}, {platform.system()}\n"
        "With ARCHDSL_DEBUG=1 the same command shows where it happened."
    )


def _quoted(word: str) -> str:
    """A word as a shell reads it, with bytes that are no text as bash and zsh write them."""
    import shlex

    if readable(word) == word:
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{readable(escaped)}'"
