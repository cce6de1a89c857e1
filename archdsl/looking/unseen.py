"""What can't be looked at, and why."""

from __future__ import annotations


class Unseen(Exception):
    """The message says all there is to say, in one line."""
