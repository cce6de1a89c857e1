"""What can't be drawn, and why."""

from __future__ import annotations


class Undrawable(Exception):
    """The message says all there is to say, in one line."""
