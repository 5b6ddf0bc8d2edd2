"""Exit codes of commands that did what they do and found something amiss."""

from __future__ import annotations

__all__ = ["BROKEN", "NOT_GRANTED"]

BROKEN = 4
"""A run in which something does not fit."""

NOT_GRANTED = 6
"""A request that was recorded as an attempt: nobody was erased."""
