"""The version of archdsl that is installed."""

from __future__ import annotations


def version() -> str:
    """The installed version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("archdsl")
    except PackageNotFoundError:
        return "(not installed)"
