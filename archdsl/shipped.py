"""The folders that come with the package: the grammar and the bundled architectures."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """A folder that comes with the package: inside it where it is installed, beside it in a checkout.

    The checkout comes first, because an editable installation may leave an older copy in the package.
    """
    checkout = PACKAGE.parent
    # In site-packages, a folder of this name beside the package could be anyone's.
    return (checkout if (checkout / "pyproject.toml").is_file() else PACKAGE) / name
